/*-------------------------------------------------------------------------
 *
 * rebuild.c
 *		Finding leads that differ from a replay of their logs, and repairing them.
 *
 * One snapshot shows the events, the profiles and the states of all leads as
 * they belong together, as each transaction writes them together.  So a lead
 * that differs in it is wrong, whatever other sessions are writing meanwhile.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "difference.h"
#include "guard.h"
#include "loaded.h"
#include "progress.h"
#include "rebuild.h"
#include "replay.h"
#include "row_stream.h"
#include "shard.h"

PG_FUNCTION_INFO_V1(leadscore_rebuild);
PG_FUNCTION_INFO_V1(leadscore_verify);

typedef void (*DifferenceFound) (void *context, const Difference *difference);

static const LeadRange all_leads = {PG_INT64_MIN, PG_INT64_MAX};

/*
 * The next row of a stream, if it is of a lead, into a slot.  The map is from
 * rows of a query to those of the table, which have dropped columns too; NULL if
 * they are the same.
 */
static bool
take_row(RowStream *stream, int64 lead_id, TupleConversionMap *map, TupleTableSlot *slot)
{
	HeapTuple	tuple = leadscore_stream_take(stream, lead_id);

	if (tuple == NULL)
		return false;
	ExecForceStoreHeapTuple(map ? execute_attr_map_tuple(tuple, map) : heap_copytuple(tuple), slot, true);
	return true;
}

/*
 * Find rows of tables about leads that have no lead: share k of n looks through
 * every n-th table.
 */
static void
find_orphans(Writer *writer, int k, int n, DifferenceFound found, void *context)
{
	const Pipeline *pipeline = writer->pipeline;
	Oid			tables[LEAD_TABLES];
	const char *problems[LEAD_TABLES] = {"state without a lead", "events without a lead",
		"history without a lead", "profile changes without a lead", "consent without a lead",
		"name without a lead", "history of segments without a lead", "runs of sequences without a lead",
		"actions without a lead", "exposures without a lead", "changes of owner or persona without a lead",
	"preferences without a lead", "checkpoint without a lead"};
	int			i;

	leadscore_lead_tables(pipeline, tables);
	for (i = k - 1; i < (int) lengthof(tables); i += n)
	{
		char	   *sql = psprintf("SELECT t.lead_id, pg_catalog.count(*)::pg_catalog.text FROM %s t"
								   " WHERE NOT EXISTS (SELECT FROM %s l WHERE l.lead_id OPERATOR(pg_catalog.=) t.lead_id)"
								   " GROUP BY t.lead_id", leadscore_table_name(tables[i]),
								   leadscore_table_name(pipeline->lead));
		uint64		j;

		PushActiveSnapshot(writer->snapshot);
		if (SPI_execute(sql, true, 0) != SPI_OK_SELECT)
			elog(ERROR, "could not look for orphans: %s", sql);
		PopActiveSnapshot();
		for (j = 0; j < SPI_processed; j++)
		{
			Difference	difference = {0};
			bool		isnull;

			difference.lead_id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[j],
															 SPI_tuptable->tupdesc, 1, &isnull));
			difference.problem = problems[i];
			difference.stored = SPI_getvalue(SPI_tuptable->vals[j], SPI_tuptable->tupdesc, 2);
			found(context, &difference);
		}
		SPI_freetuptable(SPI_tuptable);
	}
}

/*
 * The leads of share k of n, counted from 1.  In one snapshot the shares are the
 * same in every process, and together they are all leads that can be.
 */
static LeadRange
share_of_leads(const Writer *writer, int k, int n)
{
	LeadRange	range = all_leads;
	char	   *sql;
	bool		isnull;
	int64		least;
	int128		span;

	if (n == 1)
		return range;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	sql = psprintf("SELECT pg_catalog.min(lead_id::pg_catalog.int8), pg_catalog.max(lead_id::pg_catalog.int8)"
				   " FROM %s", leadscore_table_name(writer->pipeline->lead));
	PushActiveSnapshot(writer->snapshot);
	if (SPI_execute(sql, true, 0) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not look for leads: %s", sql);
	PopActiveSnapshot();
	least = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	/* without leads there are only orphans */
	span = isnull ? 0 :
		(int128) DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull)) - least;
	if (k > 1)
		range.first = (int64) (least + span * (k - 1) / n + 1);
	if (k < n)
		range.last = (int64) (least + span * k / n);
	SPI_finish();
	return range;
}

/* How many leads of a part are in a range, for other sessions that look on. */
static int64
count_leads(const Writer *writer, const LeadRange *range)
{
	char	   *sql = psprintf("SELECT pg_catalog.count(*) FROM %s WHERE lead_id OPERATOR(pg_catalog.>=) '" INT64_FORMAT "'::pg_catalog.int8"
							   " AND lead_id OPERATOR(pg_catalog.<=) '" INT64_FORMAT "'::pg_catalog.int8",
							   leadscore_table_name(writer->pipeline->lead), range->first, range->last);
	bool		isnull;
	int64		n;

	PushActiveSnapshot(writer->snapshot);
	if (SPI_execute(sql, true, 0) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not count leads: %s", sql);
	PopActiveSnapshot();
	n = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_freetuptable(SPI_tuptable);
	return n;
}

/* Histories of leads, in order: one that was loaded has none. */
typedef struct Histories
{
	RowStream  *stages;			/* NULL: not read yet */
	RowStream  *segments;
} Histories;

/* Begin to read the histories of a range of leads, if that has not begun. */
static void
histories_open(Writer *writer, const LeadRange *range, Histories *histories)
{
	MemoryContext oldcontext;

	if (histories->stages != NULL)
		return;
	oldcontext = MemoryContextSwitchTo(writer->context);
	histories->stages = leadscore_stream_open("lead_id", writer->pipeline->stage_log, "lead_id", false, range,
											  writer->snapshot);
	histories->segments = leadscore_stream_open("lead_id", writer->pipeline->segment_log, "lead_id", false, range,
												writer->snapshot);
	MemoryContextSwitchTo(oldcontext);
}

/* End that. */
static void
histories_close(Histories *histories)
{
	if (histories->stages == NULL)
		return;
	leadscore_stream_close(histories->stages);
	leadscore_stream_close(histories->segments);
}

/*
 * Was the lead in the writer's slot, which has no state, just loaded?  One that
 * is created only in time to come is looked at by itself.
 */
static bool
is_loaded(LogReader *log, Histories *histories, int64 lead_id)
{
	return !leadscore_stream_has(histories->stages, lead_id) &&
		!leadscore_stream_has(histories->segments, lead_id) &&
		!leadscore_stream_has(log->profiles, lead_id) &&
		leadscore_lead_created_at(log->writer) <= log->writer->now;
}

/*
 * Keep other sessions from creating the state of a lead that was loaded.  False
 * if one has done so since the writer's snapshot, or if the lead is gone.
 */
static bool
claim_loaded(Writer *writer, int64 lead_id)
{
	return leadscore_lead_lock(writer, lead_id, LockTupleNoKeyExclusive) &&
		!leadscore_state_lock(writer, lead_id, LockTupleNoKeyExclusive);
}

/* Write the state and the history of a lead that was loaded, from its log in one pass. */
static void
write_loaded(LogReader *log, int64 lead_id)
{
	Writer	   *writer = log->writer;
	HistoryBuffer replayed;
	LeadRecord	record;

	ExecStoreAllNullTuple(writer->state.slot);
	leadscore_state_none(writer);
	record.lead_id = lead_id;
	leadscore_replay(log, &record, &replayed, NULL);
	leadscore_history_append(&writer->appended, &replayed);
	leadscore_state_insert(writer, &record);
	leadscore_writer_flush(writer, true);
}

/* The leads that are to be repaired */
typedef struct LeadSet
{
	MemoryContext context;
	int64	   *ids;
	int64		n;
	int64		capacity;
	int64		done;			/* written already: those that were loaded,
								 * and those before them */
} LeadSet;

/* Remember a lead that differs. */
static void
remember(void *context, const Difference *difference)
{
	LeadSet    *set = context;

	if (set->n == set->capacity)
	{
		set->capacity = Max(64, set->capacity * 2);
		set->ids = set->ids ? repalloc_huge(set->ids, set->capacity * sizeof(int64)) :
			MemoryContextAllocHuge(set->context, set->capacity * sizeof(int64));
	}
	set->ids[set->n++] = difference->lead_id;
}

/* Delete our rows of a lead that is gone.  Events are not ours to delete. */
static void
delete_orphan(Writer *writer, int64 lead_id)
{
	Oid			type = INT8OID;
	Datum		value = Int64GetDatum(lead_id);
	Oid			tables[5];
	int			i;

	tables[0] = writer->pipeline->stage_log;
	tables[1] = writer->pipeline->profile_change;
	tables[2] = writer->pipeline->segment_log;
	tables[3] = writer->pipeline->checkpoint;
	tables[4] = writer->pipeline->state;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	CommandCounterIncrement();
	for (i = 0; i < (int) lengthof(tables); i++)
	{
		SPIPlanPtr	plan = SPI_prepare(psprintf("DELETE FROM %s WHERE lead_id OPERATOR(pg_catalog.=) $1",
												leadscore_table_name(tables[i])), 1, &type);

		leadscore_engine_execute(plan, &value, GetLatestSnapshot(), InvalidSnapshot, false);
	}
	SPI_finish();
}

/*
 * Make one lead equal to a replay of its log.  False if there is no such lead:
 * then rows about it that are left are deleted.
 */
static bool
repair_lead(Writer *writer, int64 lead_id)
{
	LeadRecord	record;
	bool		created;

	record.lead_id = lead_id;
	if (leadscore_find_or_create(writer, &record, true, LockTupleNoKeyExclusive, NULL, 0, &created))
	{
		if (created)
			return true;
		leadscore_record_init(writer, &record, lead_id);
		leadscore_state_decode(writer, &record);
		if (leadscore_correct(writer, &record))
		{
			leadscore_state_write(writer, &record, true);
			return true;
		}
	}
	delete_orphan(writer, lead_id);
	return false;
}

/*
 * Repair leads, in the order of lead_id, and count them for other sessions that
 * look on if asked; returns how many of them there are.
 */
static int64
repair_leads(Writer *writer, const LeadSet *set, bool counts)
{
	int64		n = 0;
	int64		i;

	writer->repair = true;
	for (i = 0; i < set->n; i++)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(writer->lead_context);

		CHECK_FOR_INTERRUPTS();
		n += repair_lead(writer, set->ids[i]);
		MemoryContextSwitchTo(oldcontext);
		MemoryContextReset(writer->lead_context);
		leadscore_writer_flush(writer, true);
		if (counts)
			leadscore_progress_count(1);
	}
	return n;
}

/*
 * Repair the leads that were found so far: states are locked in the order of
 * lead_id, and those of leads that come now are next.
 */
static void
repair_found(Writer *writer, LeadSet *set)
{
	Snapshot	snapshot = writer->snapshot;

	if (set->n == 0)
		return;
	ExecClearTuple(writer->lead.slot);
	writer->snapshot = InvalidSnapshot;
	set->done += repair_leads(writer, set, false);
	set->n = 0;
	writer->snapshot = snapshot;
}

/*
 * Compare the leads of a range with their logs, in one snapshot, and find rows
 * without a lead in share k of n of the tables; k = 0: in none.  With a set,
 * leads that were loaded are written at once, and counted there.
 */
static void
compare_range(Writer *writer, const LeadRange *range, int k, int n, DifferenceFound found, void *context,
			  LeadSet *repairs)
{
	const Pipeline *pipeline = writer->pipeline;
	RowStream  *leads;
	RowStream  *states;
	TupleConversionMap *lead_map;
	TupleConversionMap *state_map;
	Histories	histories = {0};
	LogReader	log;
	int64		lead_id;
	bool		writes;
	bool		alone = leadscore_pipeline_is_locked(pipeline->part);

	writer->repair = true;
	if (writer->snapshot == InvalidSnapshot)
	{
		CommandCounterIncrement();
		writer->snapshot = GetLatestSnapshot();
	}
	writer->snapshot = RegisterSnapshot(writer->snapshot);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	leadscore_progress_phase(PHASE_COMPARE, count_leads(writer, range));
	MemoryContextSwitchTo(writer->context);
	leads = leadscore_stream_open("*", pipeline->lead, "lead_id", false, range, writer->snapshot);
	states = leadscore_stream_open("*", pipeline->state, "lead_id", false, range, writer->snapshot);
	leadscore_log_open(&log, writer, range);
	/* one that begins at a line is looked at by itself */
	writes = repairs && !leadscore_ever_filled(pipeline->checkpoint);
	leadscore_lead_open(writer);
	lead_map = convert_tuples_by_name(leadscore_stream_desc(leads), RelationGetDescr(writer->lead.rel));
	state_map = convert_tuples_by_name(leadscore_stream_desc(states), RelationGetDescr(writer->state.rel));
	while (leadscore_stream_peek(leads, &lead_id))
	{
		Difference	difference = {0};
		LeadRecord	stored;
		bool		has_state;

		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(writer->lead_context);
		take_row(leads, lead_id, lead_map, writer->lead.slot);
		has_state = take_row(states, lead_id, state_map, writer->state.slot);
		log.loaded = false;
		if (writes && !has_state)
		{
			LeadRange	rest = {lead_id, range->last};

			histories_open(writer, &rest, &histories);
			log.loaded = is_loaded(&log, &histories, lead_id);
			if (log.loaded && !alone)
			{
				repair_found(writer, repairs);
				log.loaded = claim_loaded(writer, lead_id);
			}
		}
		if (log.loaded)
		{
			write_loaded(&log, lead_id);
			repairs->done++;
		}
		else if (!has_state)
		{
			difference.lead_id = lead_id;
			difference.problem = "lead without a state";
			found(context, &difference);
		}
		else
		{
			/* what is in the buffers then is of this lead */
			if (writes)
				leadscore_writer_flush(writer, false);
			leadscore_record_init(writer, &stored, lead_id);
			leadscore_state_decode(writer, &stored);
			if (leadscore_lead_differs(&log, &stored, repairs != NULL, &difference))
				found(context, &difference);
			writer->profiles.n = 0;
		}
		ExecClearTuple(writer->lead.slot);
		ExecClearTuple(writer->state.slot);
		MemoryContextSwitchTo(writer->context);
		MemoryContextReset(writer->lead_context);
		leadscore_progress_count(1);
	}
	leadscore_stream_close(leads);
	leadscore_stream_close(states);
	leadscore_log_close(&log);
	histories_close(&histories);
	if (k > 0)
	{
		leadscore_progress_phase(PHASE_ORPHANS, PROGRESS_UNKNOWN);
		find_orphans(writer, k, n, found, context);
	}
	SPI_finish();
	MemoryContextSwitchTo(writer->context);
	UnregisterSnapshot(writer->snapshot);
	writer->snapshot = InvalidSnapshot;
}

/*
 * Repair the leads of a range that are not as their logs say, each under its own
 * lock; returns how many there were.
 */
static int64
rebuild_range(PipelinePart part, const LeadRange *range)
{
	MemoryContext context;
	MemoryContext oldcontext;
	Writer		writer;
	LeadSet		set = {0};
	int64		i;
	int64		n = 0;

	context = AllocSetContextCreate(CurrentMemoryContext, "leadscore rebuild",
									ALLOCSET_DEFAULT_SIZES);
	oldcontext = MemoryContextSwitchTo(context);
	set.context = context;
	leadscore_writer_begin(&writer, part, true);
	if (!leadscore_pipeline_is_locked(part))
		leadscore_lock_loaded_range(writer.pipeline, range);
	/* the range that has the greatest number finds what has no lead, for all */
	compare_range(&writer, range, range->last == all_leads.last ? 1 : 0, 1, remember, &set, &set);
	if (set.n > 1)
		qsort(set.ids, set.n, sizeof(int64), leadscore_lead_id_cmp);
	for (i = 0; i < set.n; i++)
		if (i == 0 || set.ids[i] != set.ids[i - 1])
			set.ids[n++] = set.ids[i];
	set.n = n;
	leadscore_progress_phase(PHASE_REPAIR, set.n);
	(void) repair_leads(&writer, &set, true);
	leadscore_writer_end(&writer);
	MemoryContextSwitchTo(oldcontext);
	MemoryContextDelete(context);
	return set.done + n;
}

/* Repair all leads of a part; returns how many there were. */
int64
leadscore_rebuild_part(PipelinePart part)
{
	return rebuild_range(part, &all_leads);
}

/* Make one lead equal to a replay of its log; returns 1, or 0 if there is none. */
int64
leadscore_rebuild_lead(PipelinePart part, int64 lead_id)
{
	LeadSet		set = {.ids = &lead_id,.n = 1};
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "leadscore rebuild",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext oldcontext = MemoryContextSwitchTo(context);
	Writer		writer;
	int64		n;

	leadscore_writer_begin(&writer, part, true);
	n = repair_leads(&writer, &set, false);
	leadscore_writer_end(&writer);
	MemoryContextSwitchTo(oldcontext);
	MemoryContextDelete(context);
	return n;
}

/* rebuild(pipeline, lead_id), or rebuild(pipeline, first_lead_id, last_lead_id) */
static Datum
rebuild(PG_FUNCTION_ARGS)
{
	Oid			schema;
	LeadRange	range = all_leads;
	bool		single = PG_NARGS() == 2 && !PG_ARGISNULL(1);
	int64		changed = 0;
	bool		outermost;
	ListCell   *lc;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("pipeline must not be null"),
				 errhint("Call rebuild() of the pipeline.")));
	schema = PG_GETARG_OID(0);
	if (PG_NARGS() == 3)
	{
		range.first = PG_GETARG_INT64(1);
		range.last = PG_GETARG_INT64(2);
	}
	leadscore_check_maintainer(schema, "lead_state", ACL_UPDATE);
	outermost = !single && leadscore_progress_begin(schema, TASK_REBUILD, PHASE_COMPARE);
	foreach(lc, leadscore_parts(schema, NOTICE))
	{
		PipelinePart part = *(PipelinePart *) lfirst(lc);

		leadscore_hold_shard(part);
		changed += single ? leadscore_rebuild_lead(part, PG_GETARG_INT64(1)) : rebuild_range(part, &range);
	}
	leadscore_progress_end(outermost);
	PG_RETURN_INT64(changed);
}

/*
 * rebuild(pipeline, lead_id): repairs a lead (NULL: all leads) that is not as
 * its log says; returns how many were not.  rebuild(pipeline, first_lead_id,
 * last_lead_id) does it for the leads from one to another; it is strict.
 */
Datum
leadscore_rebuild(PG_FUNCTION_ARGS)
{
	return leadscore_call_discreetly(rebuild, fcinfo);
}

/* Return a difference as a row. */
static void
return_difference(void *context, const Difference *difference)
{
	ReturnSetInfo *rsinfo = context;
	Datum		values[4] = {0};
	bool		nulls[4] = {false, false, false, false};

	values[0] = Int64GetDatum(difference->lead_id);
	values[1] = CStringGetTextDatum(difference->problem);
	nulls[2] = difference->stored == NULL;
	if (difference->stored)
		values[2] = CStringGetTextDatum(difference->stored);
	nulls[3] = difference->expected == NULL;
	if (difference->expected)
		values[3] = CStringGetTextDatum(difference->expected);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/*
 * verify(pipeline): every lead that is not as its log says, and rows without a
 * lead: (lead_id, problem, stored, expected).  No rows if all is right.
 * verify_share(pipeline, share, shares) does it for one of several shares, which
 * parallel workers may compare.
 */
Datum
leadscore_verify(PG_FUNCTION_ARGS)
{
	Oid			schema = PG_GETARG_OID(0);
	bool		outermost;
	int			k = PG_NARGS() > 1 ? PG_GETARG_INT32(1) : 1;
	int			n = PG_NARGS() > 1 ? PG_GETARG_INT32(2) : 1;
	ListCell   *lc;

	if (k < 1 || k > n)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no share %d of %d", k, n),
				 errhint("Call verify() of the pipeline.")));
	leadscore_check_maintainer(schema, "lead_state", ACL_SELECT);
	leadscore_check_maintainer(schema, "event", ACL_SELECT);
	InitMaterializedSRF(fcinfo, 0);
	outermost = leadscore_progress_begin(schema, TASK_VERIFY, PHASE_COMPARE);
	foreach(lc, leadscore_parts(schema, k == 1 ? NOTICE : DEBUG1))
	{
		MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "leadscore verify",
													  ALLOCSET_DEFAULT_SIZES);
		MemoryContext oldcontext = MemoryContextSwitchTo(context);
		Writer		reader;
		LeadRange	range;

		leadscore_reader_begin(&reader, *(PipelinePart *) lfirst(lc));
		range = share_of_leads(&reader, k, n);
		compare_range(&reader, &range, k, n, return_difference, fcinfo->resultinfo, NULL);
		leadscore_reader_end(&reader);
		MemoryContextSwitchTo(oldcontext);
		MemoryContextDelete(context);
	}
	leadscore_progress_end(outermost);
	return (Datum) 0;
}
