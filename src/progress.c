/*-------------------------------------------------------------------------
 *
 * progress.c
 *		What other sessions see of long work: the view leadscore.progress.
 *
 * Work in a transaction cannot tell of itself by rows, which nobody sees before
 * it commits, and an extension that is not preloaded has no shared memory of its
 * own on all versions.  But every backend sees the locks of all others at once,
 * and the tag of a lock has room for 80 bits.  So a session at work holds some
 * locks on nothing, whose tags say what it does.  They are of a type that
 * nothing else takes (LOCKTAG_USERLOCK), and in a mode that conflicts with no
 * lock of another session in it, so nobody ever waits for one.  The server lets
 * go of them when the transaction ends in whatever way, and after a crash there
 * are none.
 *
 * Each number stands in the two halves of a tag, and the third field says which
 * number it is.  A new phase takes all of its locks before those of the last one
 * go, so a reader always finds one phase that is complete.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "catalog.h"
#include "compat.h"
#include "progress.h"

PG_FUNCTION_INFO_V1(leadscore_progress_task);
PG_FUNCTION_INFO_V1(leadscore_progress_phase_name);
PG_FUNCTION_INFO_V1(leadscore_progress_start);
PG_FUNCTION_INFO_V1(leadscore_progress_next);
PG_FUNCTION_INFO_V1(leadscore_progress_finish);

/* Names of tasks, as users call them */
static const char *const tasks[] = {
	"activate_model", "activate_segment", "apply_retention", "attach_pipeline", "backfill_table",
	"compare_models", "purge", "rebuild", "retire_segment", "suggest_points", "sweep", "verify"
};

/* Phases, in plain words */
static const char *const phases[] = {
	"waiting for sessions that write",
	"recording consent that was loaded",
	"creating triggers",
	"completing leads that were loaded",
	"comparing leads with their events",
	"looking for rows without a lead",
	"repairing leads",
	"bringing leads up to date",
	"choosing leads",
	"looking at leads that are due",
	"keeping the counts of leads",
	"keeping hashes of source ids",
	"deleting events",
	"deleting superseded history",
	"deleting ended actions",
	"reading rows",
	"writing leads",
	"counting events",
	"reading leads as they were",
	"learning points",
	"testing points",
	"writing the draft",
	"computing both scores of leads"
};

#define PHASES	lengthof(phases)

/* The numbers that are shown; the view leadscore.progress knows their places. */
typedef enum ShownNumber
{
	SHOWN_WORK,					/* schema; task and phase */
	SHOWN_STARTED_AT,
	SHOWN_PHASE_STARTED_AT,
	SHOWN_DONE,
	SHOWN_TOTAL,
	SHOWN_NUMBERS
} ShownNumber;

#define SHOWN_MAGIC		0x4C00	/* high byte of the third field */
#define SHOWN_SERIALS	32		/* phases are numbered in 5 bits, numbers in 3 */

#define SHOW_EVERY		200000	/* microseconds */
#define SHOW_ALWAYS		100		/* counts up to this are shown at once */
#define TELL_AFTER		10000000	/* work that took so long says what it did */

/* The work of this session, outermost; its locks are of the whole transaction. */
static struct
{
	bool		active;
	SubTransactionId subid;		/* that it began in */
	Oid			schema;
	ProgressTask task;
	ProgressPhase phase;
	int			serial;
	TimestampTz shown_at;
	int64		numbers[SHOWN_NUMBERS];
	bool		held[SHOWN_NUMBERS];	/* whether the lock of a number is
										 * held */
	int64		counted;		/* what is done of the phase */
	int64		done[PHASES];	/* the same of all phases so far */
}			shown;

/* The tag that says a number */
static void
make_tag(LOCKTAG *tag, int serial, int number, int64 value)
{
	tag->locktag_field1 = MyDatabaseId;
	tag->locktag_field2 = (uint32) ((uint64) value >> 32);
	tag->locktag_field3 = (uint32) value;
	tag->locktag_field4 = (uint16) (SHOWN_MAGIC | serial << 3 | number);
	tag->locktag_type = LOCKTAG_USERLOCK;
	tag->locktag_lockmethodid = USER_LOCKMETHOD;
}

/* Take a lock for a number, if there is room; work does not fail for want of it. */
static bool
show_number(int serial, int number, int64 value)
{
	ResourceOwner owner = CurrentResourceOwner;
	LOCKTAG		tag;
	bool		held;

	make_tag(&tag, serial, number, value);
	CurrentResourceOwner = TopTransactionResourceOwner;
	held = leadscore_lock_if_free(&tag, AccessShareLock) != LOCKACQUIRE_NOT_AVAIL;
	CurrentResourceOwner = owner;
	return held;
}

/* Let go of the lock of a number. */
static void
hide_number(int serial, int number, int64 value)
{
	ResourceOwner owner = CurrentResourceOwner;
	LOCKTAG		tag;

	make_tag(&tag, serial, number, value);
	CurrentResourceOwner = TopTransactionResourceOwner;
	(void) LockRelease(&tag, AccessShareLock, false);
	CurrentResourceOwner = owner;
}

/* Show a phase instead of the last one. */
static void
show_phase(ProgressPhase phase, int64 total)
{
	int64		numbers[SHOWN_NUMBERS];
	bool		held[SHOWN_NUMBERS];
	int			serial = (shown.serial + 1) % SHOWN_SERIALS;
	int			i;

	shown.phase = phase;
	shown.counted = 0;
	shown.shown_at = GetCurrentTimestamp();

	memcpy(numbers, shown.numbers, sizeof(numbers));
	numbers[SHOWN_WORK] = (int64) ((uint64) shown.schema << 32 | (uint64) shown.task << 16 | phase);
	numbers[SHOWN_PHASE_STARTED_AT] = shown.shown_at;

	numbers[SHOWN_DONE] = 0;
	numbers[SHOWN_TOTAL] = total;
	for (i = 0; i < SHOWN_NUMBERS; i++)
		held[i] = show_number(serial, i, numbers[i]);
	for (i = 0; i < SHOWN_NUMBERS; i++)
		if (shown.held[i])
			hide_number(shown.serial, i, shown.numbers[i]);
	shown.serial = serial;

	memcpy(shown.numbers, numbers, sizeof(numbers));
	memcpy(shown.held, held, sizeof(held));
}

/* Show how much is done. */
static void
show_done(int64 done)
{
	bool		held = show_number(shown.serial, SHOWN_DONE, done);

	if (shown.held[SHOWN_DONE])
		hide_number(shown.serial, SHOWN_DONE, shown.numbers[SHOWN_DONE]);
	shown.numbers[SHOWN_DONE] = done;
	shown.held[SHOWN_DONE] = held;
}

/* Let go of all locks. */
static void
hide_all(void)
{
	int			i;

	for (i = 0; i < SHOWN_NUMBERS; i++)
		if (shown.held[i])
			hide_number(shown.serial, i, shown.numbers[i]);
	memset(shown.held, 0, sizeof(shown.held));
	shown.active = false;
}

/* The transaction ends, and our locks with it. */
static void
at_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
	{
		memset(shown.held, 0, sizeof(shown.held));
		shown.active = false;
	}
}

/* Work that failed in a subtransaction, or in one inside, is over. */
static void
at_subtransaction_end(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB && shown.active && shown.subid >= subid)
		hide_all();
}

/*
 * Work on a pipeline begins.  True if it is not part of other work, which then
 * is what other sessions see; pass that to leadscore_progress_end().
 */
bool
leadscore_progress_begin(Oid schema, ProgressTask task, ProgressPhase phase)
{
	static bool registered = false;

	if (shown.active || IsParallelWorker())
		return false;
	if (!registered)
	{
		RegisterXactCallback(at_end, NULL);
		RegisterSubXactCallback(at_subtransaction_end, NULL);
		registered = true;
	}
	shown.active = true;
	shown.subid = GetCurrentSubTransactionId();
	shown.schema = schema;
	shown.task = task;

	memset(shown.done, 0, sizeof(shown.done));
	shown.numbers[SHOWN_STARTED_AT] = GetCurrentTimestamp();

	show_phase(phase, PROGRESS_UNKNOWN);
	return true;
}

/* Is there work to show? */
bool
leadscore_progress_shown(void)
{
	return shown.active;
}

/* Another phase begins, with so much to do; PROGRESS_UNKNOWN if nobody knows. */
void
leadscore_progress_phase(ProgressPhase phase, int64 total)
{
	if (shown.active)
		show_phase(phase, total);
}

/* So much more of the phase is done. */
void
leadscore_progress_count(int64 n)
{
	TimestampTz now;

	if (!shown.active)
		return;
	shown.done[shown.phase] += n;
	shown.counted += n;

	if (shown.counted <= SHOW_ALWAYS)
		now = shown.shown_at;

	else
	{
		now = GetCurrentTimestamp();
		if (now - shown.shown_at < SHOW_EVERY)
			return;
	}
	shown.shown_at = now;

	show_done(shown.counted);
}

/* Work is over.  What took long says what it has done. */
void
leadscore_progress_end(bool outermost)
{
	int64		took;
	StringInfoData counts;
	int			i;

	if (!outermost || !shown.active)
		return;
	hide_all();
	took = GetCurrentTimestamp() - shown.numbers[SHOWN_STARTED_AT];

	if (took < TELL_AFTER)
		return;
	initStringInfo(&counts);
	for (i = 0; i < PHASES; i++)
		if (shown.done[i] > 0)
			appendStringInfo(&counts, "%s%s: " INT64_FORMAT, counts.len > 0 ? "; " : "", phases[i],
							 shown.done[i]);
	if (counts.len > 0)
		counts.data[0] = pg_toupper((unsigned char) counts.data[0]);
	ereport(NOTICE,
			(errmsg("%s of pipeline \"%s\" took " INT64_FORMAT " seconds", tasks[shown.task],
					get_namespace_name(shown.schema), took / USECS_PER_SEC),
			 counts.len > 0 ? errdetail("%s.", counts.data) : 0));
	pfree(counts.data);
}

/* progress_task(number): the name of a task; NULL if there is none */
Datum
leadscore_progress_task(PG_FUNCTION_ARGS)
{
	int32		number = PG_GETARG_INT32(0);

	if (number < 0 || number >= (int32) lengthof(tasks))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(tasks[number]));
}

/* progress_phase(number): a phase in words; NULL if there is none */
Datum
leadscore_progress_phase_name(PG_FUNCTION_ARGS)
{
	int32		number = PG_GETARG_INT32(0);

	if (number < 0 || number >= (int32) PHASES)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(phases[number]));
}

/* The place of a name in a list */
static int
find_name(const char *const *names, int n, text *name)
{
	char	   *wanted = text_to_cstring(name);
	int			i;

	for (i = 0; i < n; i++)
		if (strcmp(names[i], wanted) == 0)
			return i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown work \"%s\"", wanted),
			 errhint("Functions of leadscore that may take long call this.")));
}

/*
 * progress_begin(pipeline, task, phase): for functions in SQL.  Only those of
 * the owner may say that they work on a pipeline.
 */
Datum
leadscore_progress_start(PG_FUNCTION_ARGS)
{
	Oid			schema = PG_GETARG_OID(0);

	leadscore_check_maintainer(schema, "lead_state", ACL_UPDATE);
	PG_RETURN_BOOL(leadscore_progress_begin(schema, find_name(tasks, lengthof(tasks), PG_GETARG_TEXT_PP(1)),
											find_name(phases, PHASES, PG_GETARG_TEXT_PP(2))));
}

/* progress_next(phase): another phase begins, of which nobody knows the size */
Datum
leadscore_progress_next(PG_FUNCTION_ARGS)
{
	leadscore_progress_phase(find_name(phases, PHASES, PG_GETARG_TEXT_PP(0)), PROGRESS_UNKNOWN);
	PG_RETURN_VOID();
}

/* progress_end(outermost): work is over */
Datum
leadscore_progress_finish(PG_FUNCTION_ARGS)
{
	leadscore_progress_end(PG_GETARG_BOOL(0));
	PG_RETURN_VOID();
}
