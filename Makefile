# leadscore: build and install with PGXS. "make help" lists the targets.

EXTENSION = leadscore
MODULE_big = leadscore
PGFILEDESC = "leadscore - lead scoring, funnel stages and funnel metrics"

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)

# The version stands once, in the control file.
top := $(patsubst %/,%,$(dir $(firstword $(MAKEFILE_LIST))))
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" $(top)/$(EXTENSION).control)

# Names of the files that match a pattern, relative to the source tree.
files = $(sort $(patsubst $(top)/%,%,$(wildcard $(top)/$(1))))
# Names of the tests that match a pattern: no folder, no suffix.
tests = $(basename $(notdir $(call files,$(1))))

# The DDL of pipelines becomes a C file in the folder of the build.
PIPELINE_FILES = src/pipeline_files.c
OBJS = $(patsubst %.c,%.o,$(sort $(call files,src/*.c) $(PIPELINE_FILES)))
PG_CPPFLAGS = -I$(top)/src -DLEADSCORE_VERSION='"$(EXTVERSION)"'
EXTRA_CLEAN = $(PIPELINE_FILES)
ifdef WERROR
PG_CFLAGS = -Wall -Wextra -Werror -Wno-unused-parameter -Wno-sign-compare
endif

# The install script of this version is made of the fragments by topic, in
# order. Upgrade scripts are installed as they are.
SCRIPT = $(EXTENSION)--$(EXTVERSION).sql
DATA_built = $(SCRIPT)
DATA = $(call files,src/sql/upgrade/$(EXTENSION)--*.sql)
PIPELINE = $(patsubst src/sql/pipeline/%,%,$(call files,src/sql/pipeline/*/*.sql))

REGRESS = $(call tests,sql/*.sql)
REGRESS_OPTS = --launcher=$(top)/test/launcher --load-extension=$(EXTENSION) --encoding=UTF8 --no-locale
# one of them makes what the others begin with
ISOLATION = begin $(filter-out begin,$(call tests,test/isolation/specs/*.spec))
ISOLATION_OPTS = --inputdir=$(top)/test/isolation \
	--load-extension=$(EXTENSION) --encoding=UTF8 --no-locale
PROVE_TESTS = $(call files,test/t/*.pl)
ifneq ($(PROVE_TESTS),)
TAP_TESTS = 1
endif

# A server built with LLVM wants bitcode of extensions; without the tools for
# it we build none.
llvm_bin := $(shell sed -n 's/^LLVM_BINPATH *= *//p' $(dir $(PGXS))../Makefile.global)
ifeq ($(wildcard $(llvm_bin)/llvm-lto),)
override with_llvm = no
endif

include $(PGXS)

# In a build outside the source tree look there for sources only, never for
# products of a build inside.
ifdef VPATH
VPATH :=
vpath %.c $(top)
vpath %.control $(top)
$(shell mkdir -p src)
endif

$(OBJS): $(addprefix $(top)/,$(call files,src/*.h) Makefile $(EXTENSION).control)

$(SCRIPT): $(addprefix $(top)/,$(call files,src/sql/[0-9]*.sql) Makefile $(EXTENSION).control)
	cat $(addprefix $(top)/,$(call files,src/sql/[0-9]*.sql)) > $@.new && mv $@.new $@

# A folder changes when a file is renamed or removed.
$(PIPELINE_FILES): $(addprefix $(top)/src/sql/pipeline/,$(PIPELINE)) $(wildcard $(top)/src/sql/pipeline/*) $(top)/src/sql/embed $(top)/Makefile
	$(top)/src/sql/embed $(top)/src/sql/pipeline $(PIPELINE) > $@.new && mv $@.new $@

# Everything below works on private servers and private builds in tmp_test/.
export PG_CONFIG
run = $(top)/test/run

.PHONY: help test test-one test-all pg-upgrade demo coverage lint fuzz oracle \
	sizes big torture flakes valgrind discard-caches sqlsmith indent deb test-clean

help:
	@echo 'make, make install    build and install for the server of PG_CONFIG'
	@echo 'make installcheck     run the tests on a running server, after install'
	@echo 'make test             build and run all tests on a private server'
	@echo 'make test-one T=name  run one test (regress, isolation or TAP)'
	@echo 'make test-all         the same on PostgreSQL 15, 17 and 18'
	@echo 'make pg-upgrade       test pg_upgrade from PostgreSQL 15 to 17'
	@echo 'make deb              build Debian packages, follow the README with them'
	@echo 'make demo             show the extension at work on a private server'
	@echo 'make coverage         run all tests, print line and function coverage'
	@echo 'make lint             analyze the C code (clang-tidy, cppcheck, gcc)'
	@echo 'make fuzz             fuzz the parsers (needs clang); FUZZ_RUNS=n: so many inputs'
	@echo 'make oracle           compare five times as many random cases'
	@echo 'make sizes            test with large numbers of everything (half an hour)'
	@echo 'make big              10,000,000 leads, 100,000,000 events (hours, 60 GB of disk)'
	@echo 'make torture          crash the server 200 times, many clients for minutes'
	@echo 'make flakes           run what depends on timing 50 times'
	@echo 'make valgrind         run all tests, the server under valgrind (hours)'
	@echo 'make discard-caches   test with caches that are always out of date'
	@echo 'make sqlsmith         ask a server with assertions random queries'
	@echo 'make indent           indent the C code with pgindent'
	@echo 'make clean            remove what was built, stop private servers'
	@echo 'WERROR=1              compile with all warnings, as errors'

test:
	@$(run) suite

test-one:
	@$(run) one $(T)

test-all:
	@$(top)/test/test-all

pg-upgrade:
	@$(top)/test/test-all pg-upgrade

deb:
	@$(top)/test/package

demo:
	@$(run) demo

coverage:
	@$(run) coverage

lint:
	@$(top)/test/lint

fuzz:
	@$(top)/test/fuzz/run $(FUZZ_RUNS)

oracle:
	@ORACLE_CASES=$${ORACLE_CASES:-1000} $(run) one oracle

sizes:
	@SIZES=$${SIZES:-1} RANDOM_HISTORIES=$${RANDOM_HISTORIES:-3000} $(run) one sizes random

big:
	@$(run) exec $(top)/test/bench/big

torture:
	@CRASH_CYCLES=$${CRASH_CYCLES:-200} CONCURRENCY_SECONDS=$${CONCURRENCY_SECONDS:-60} $(run) one crash concurrency

flakes:
	@$(run) repeat 50 $(ISOLATION) crash concurrency

valgrind discard-caches sqlsmith:
	@$(top)/test/assert-server $@

indent:
	@$(top)/test/test-all indent

clean: test-clean
test-clean:
	@$(run) clean
