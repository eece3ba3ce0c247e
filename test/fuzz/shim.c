/*-------------------------------------------------------------------------
 *
 * shim.c
 *		What the server gives to the code that is fuzzed without one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"

#undef fprintf
#undef vsprintf
#undef qsort

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"

/* A block of memory knows its neighbours, so that all can be freed at once. */
typedef union Block
{
	struct
	{
		union Block *next;
		union Block *previous;
	}			link;
	char		align[16];
} Block;

static Block blocks = {.link = {&blocks, &blocks}};

MemoryContext CurrentMemoryContext = NULL;
volatile sig_atomic_t InterruptPending = false;

void
ProcessInterrupts(void)
{
}

static void
link_block(Block *block)
{
	if (block == NULL)
		abort();
	block->link.next = blocks.link.next;
	block->link.previous = &blocks;
	blocks.link.next->link.previous = block;
	blocks.link.next = block;
}

static void
unlink_block(Block *block)
{
	block->link.previous->link.next = block->link.next;
	block->link.next->link.previous = block->link.previous;
}

void *
palloc(Size size)
{
	Block	   *block = malloc(sizeof(Block) + size);

	link_block(block);
	return block + 1;
}

void *
palloc0(Size size)
{
	return memset(palloc(size), 0, size);
}

void *
repalloc(void *pointer, Size size)
{
	Block	   *block = (Block *) pointer - 1;

	unlink_block(block);
	block = realloc(block, sizeof(Block) + size);
	link_block(block);
	return block + 1;
}

void
pfree(void *pointer)
{
	Block	   *block = (Block *) pointer - 1;

	unlink_block(block);
	free(block);
}

void *
MemoryContextAllocHuge(MemoryContext context, Size size)
{
	return palloc(size);
}

void *
repalloc_huge(void *pointer, Size size)
{
	return repalloc(pointer, size);
}

struct varlena *
pg_detoast_datum(struct varlena *datum)
{
	return datum;
}

struct varlena *
pg_detoast_datum_packed(struct varlena *datum)
{
	return datum;
}

int
AggCheckCallContext(FunctionCallInfo fcinfo, MemoryContext *context)
{
	return 0;
}

ArrayType *
construct_array(Datum *items, int n, Oid type, int len, bool by_value, char align)
{
	return palloc(n * sizeof(Datum));
}

ArrayType *
construct_empty_array(Oid type)
{
	return palloc(1);
}

/* An error unwinds to the code that catches it; its text is dropped. */
sigjmp_buf	fuzz_error;

bool
errstart(int elevel, const char *domain)
{
	return elevel >= ERROR;
}

bool
errstart_cold(int elevel, const char *domain)
{
	return errstart(elevel, domain);
}

void
errfinish(const char *file, int line, const char *function)
{
	siglongjmp(fuzz_error, 1);
}

int
errcode(int code)
{
	return 0;
}

int
errmsg(const char *format,...)
{
	return 0;
}

int
errdetail(const char *format,...)
{
	return 0;
}

int
errhint(const char *format,...)
{
	return 0;
}

/* The end of a memory context */
void
fuzz_free_all(void)
{
	while (blocks.link.next != &blocks)
		pfree(blocks.link.next + 1);
}

int
pg_sprintf(char *str, const char *fmt,...)
{
	va_list		args;
	int			result;

	va_start(args, fmt);
	result = vsprintf(str, fmt, args);
	va_end(args);
	return result;
}

void
pg_qsort(void *base, size_t n, size_t size, int (*cmp) (const void *, const void *))
{
	qsort(base, n, size, cmp);
}

/* An Assert of the code that is fuzzed failed. */
#if PG_VERSION_NUM >= 160000
void
ExceptionalCondition(const char *condition, const char *file, int line)
{
	fuzz_fail(condition, file, line);
}
#else
void
ExceptionalCondition(const char *condition, const char *type, const char *file, int line)
{
	fuzz_fail(condition, file, line);
}
#endif

/* A property that must hold does not. */
void
fuzz_fail(const char *condition, const char *file, int line)
{
	fprintf(stderr, "%s:%d: not true: %s\n", file, line, condition);
	abort();
}
