/*-------------------------------------------------------------------------
 *
 * purge.c
 *		Taking old events out of the log of leads.
 *
 * Each lead is replayed once more from its whole log, under the lock of its
 * state, and is looked at as the replay passes the line.  What it has counted
 * there goes into its baseline, and how it stands there into its checkpoint;
 * from then on its log begins at the line.  Events before it can be deleted in
 * any way that fires no trigger, such as with their partition.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "checkpoint.h"
#include "edge.h"
#include "guard.h"
#include "progress.h"
#include "purge.h"
#include "shard.h"

PG_FUNCTION_INFO_V1(leadscore_purge);
PG_FUNCTION_INFO_V1(leadscore_purge_superseded);

/* Leads whose events before a line are being deleted, in order */
typedef struct PurgedLeads
{
	Oid			event;			/* the table; InvalidOid: none are */
	int64		line;
	const int64 *lead_ids;
	uint64		n;
} PurgedLeads;

static PurgedLeads deleting = {InvalidOid, 0, NULL, 0};

/* Is an event that is being deleted one that a purge has counted? */
static bool
is_purged(int64 lead_id, int64 at)
{
	return at < deleting.line && deleting.n > 0 &&
		bsearch(&lead_id, deleting.lead_ids, deleting.n, sizeof(int64), leadscore_lead_id_cmp) != NULL;
}

/* Are all rows that a statement has deleted from event those of a purge? */
bool
leadscore_purge_deletes(Relation rel, Tuplestorestate *rows)
{
	TupleTableSlot *slot;
	EventColumns columns;
	bool		all = true;

	if (deleting.event != RelationGetRelid(rel))
		return false;
	slot = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsMinimalTuple);
	leadscore_event_columns(RelationGetDescr(rel), RelationGetRelationName(rel), &columns);
	tuplestore_select_read_pointer(rows, tuplestore_alloc_read_pointer(rows, EXEC_FLAG_REWIND));
	tuplestore_rescan(rows);
	while (all && tuplestore_gettupleslot(rows, true, false, slot))
	{
		bool		isnull;
		int64		lead_id = DatumGetInt64(slot_getattr(slot, columns.lead_id, &isnull));

		CHECK_FOR_INTERRUPTS();
		all = is_purged(lead_id, nearest_instant(DatumGetTimestampTz(slot_getattr(slot, columns.occurred_at, &isnull))));
	}
	ExecDropSingleTupleTableSlot(slot);
	return all;
}

/*
 * Draw the line of one lead: make its history right, and write its checkpoint
 * and its baseline.
 */
static void
draw_line(Writer *writer, int64 lead_id, int64 line)
{
	LeadRecord	record;
	HistoryBuffer replayed;
	Checkpoint	old;
	ReplayCut	cut = {.at = line};
	ActivityList *baseline;
	int32		stage_seq = 0;
	int32		segments_seq = 0;

	if (!leadscore_state_lock(writer, lead_id, LockTupleNoKeyExclusive))
		return;
	leadscore_record_init(writer, &record, lead_id);
	leadscore_state_decode(writer, &record);
	if (leadscore_checkpoint_read(writer, lead_id, &old))
	{
		if (old.purged_before >= line)
			return;
		stage_seq = old.stage_seq;
		segments_seq = old.segments_seq;
	}
	leadscore_writer_flush(writer, false);
	if (!leadscore_lead_read(writer, lead_id))
		return;
	leadscore_replay_one(writer, &record, &replayed, &cut);
	leadscore_correct_history(writer, &replayed);

	/* a lead that is younger than the line has no counts before it */
	if (cut.reached)
	{
		stage_seq = leadscore_stage_number(writer->pipeline, lead_id, stage_seq, cut.nstages);
		segments_seq = leadscore_segment_number(writer->pipeline, lead_id, segments_seq, cut.nsegments);
		leadscore_checkpoint_write(writer, lead_id, &cut, stage_seq, segments_seq);
		baseline = palloc(sizeof(ActivityList));
		*baseline = cut.baseline;
		writer->baseline = baseline;
		record.lifecycle.processed_until = Max(record.lifecycle.processed_until, line);
	}
	leadscore_state_write(writer, &record, true);
	CommandCounterIncrement();
}

/* Lock leads that have events before the line, passing by leads that are locked. */
static int64 *
pick_leads(const Writer *writer, int64 line, int64 max_leads, bool delete_events, uint64 *n)
{
	const Pipeline *pipeline = writer->pipeline;
	Oid			types[2] = {TIMESTAMPTZOID, INT8OID};
	Datum		values[2];
	int64	   *ids;
	uint64		i;
	char	   *sql = psprintf("SELECT s.lead_id FROM %s s WHERE s.lead_id OPERATOR(pg_catalog.=) ANY (SELECT e.lead_id FROM %s e"
							   " WHERE e.occurred_at OPERATOR(pg_catalog.<) $1%s)"
							   " ORDER BY s.lead_id LIMIT $2 FOR NO KEY UPDATE OF s SKIP LOCKED",
							   leadscore_table_name(pipeline->state), leadscore_table_name(pipeline->event),
							   delete_events ? "" :
							   psprintf(" AND NOT EXISTS (SELECT FROM %s c WHERE c.lead_id OPERATOR(pg_catalog.=) e.lead_id"
										" AND c.purged_before OPERATOR(pg_catalog.>=) $1)",
										leadscore_table_name(pipeline->checkpoint)));

	values[0] = TimestampTzGetDatum(line);
	values[1] = Int64GetDatum(max_leads);
	if (SPI_execute_with_args(sql, 2, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not pick leads: %s", sql);
	*n = SPI_processed;
	ids = MemoryContextAllocHuge(writer->context, (*n + 1) * sizeof(int64));
	for (i = 0; i < *n; i++)
	{
		bool		isnull;

		ids[i] = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull));
	}
	SPI_freetuptable(SPI_tuptable);
	return ids;
}

/*
 * Keep hashes of the source_ids of events before the line: one that is sent
 * again must not count again.  Needs an SPI connection.
 */
static void
keep_source_ids(Writer *writer, const int64 *lead_ids, uint64 n, int64 line)
{
	Oid			types[2] = {TIMESTAMPTZOID, INT8ARRAYOID};
	Datum		values[2];
	SPIPlanPtr	plan;

	values[0] = TimestampTzGetDatum(line);
	values[1] = leadscore_lead_ids_array(lead_ids, n);
	plan = SPI_prepare(psprintf("UPDATE %s c SET source_ids = ARRAY(SELECT DISTINCT u FROM"
								"   pg_catalog.unnest(c.source_ids OPERATOR(pg_catalog.||) h.hashes) u ORDER BY u)"
								" FROM (SELECT e.lead_id, pg_catalog.array_agg(" SOURCE_ID_HASH("e.source_id") ") AS hashes FROM %s e"
								"  WHERE e.lead_id OPERATOR(pg_catalog.=) ANY ($2) AND e.occurred_at OPERATOR(pg_catalog.<) $1"
								"   AND e.source_id IS NOT NULL GROUP BY e.lead_id) h"
								" WHERE c.lead_id OPERATOR(pg_catalog.=) h.lead_id",
								leadscore_table_name(writer->pipeline->checkpoint),
								leadscore_table_name(writer->pipeline->event)), 2, types);
	if (plan == NULL)
		elog(ERROR, "could not prepare: UPDATE lead_checkpoint");
	CommandCounterIncrement();
	leadscore_engine_execute(plan, values, GetLatestSnapshot(),
							 IsolationUsesXactSnapshot() ? GetTransactionSnapshot() : InvalidSnapshot, false);
}

/*
 * Delete the events of leads before their line.  A session that changes an
 * event has locked it, and waits for the state that we hold: its event is left
 * for the next purge.  Needs an SPI connection.
 */
static int64
delete_before_line(Writer *writer, const int64 *lead_ids, uint64 n, int64 line)
{
	Oid			types[2] = {TIMESTAMPTZOID, INT8ARRAYOID};
	Datum		values[2];
	char	   *name = leadscore_table_name(writer->pipeline->event);
	SPIPlanPtr	plan;
	int64		deleted;

	values[0] = TimestampTzGetDatum(line);
	values[1] = leadscore_lead_ids_array(lead_ids, n);
	plan = SPI_prepare(psprintf("WITH d AS MATERIALIZED (SELECT o.lead_id, o.event_id, o.occurred_at FROM %s o"
								"  WHERE o.lead_id OPERATOR(pg_catalog.=) ANY ($2) AND o.occurred_at OPERATOR(pg_catalog.<) $1"
								"  FOR UPDATE SKIP LOCKED)"
								" DELETE FROM %s e USING d WHERE e.lead_id OPERATOR(pg_catalog.=) d.lead_id"
								" AND e.event_id OPERATOR(pg_catalog.=) d.event_id"
								" AND e.occurred_at OPERATOR(pg_catalog.=) d.occurred_at"
								" AND e.occurred_at OPERATOR(pg_catalog.<) $1", name, name), 2, types);
	if (plan == NULL)
		elog(ERROR, "could not prepare: DELETE FROM %s", name);
	deleting.event = writer->pipeline->event;
	deleting.line = line;
	deleting.lead_ids = lead_ids;
	deleting.n = n;
	PG_TRY();
	{
		CommandCounterIncrement();
		leadscore_engine_execute(plan, values, GetLatestSnapshot(),
								 IsolationUsesXactSnapshot() ? GetTransactionSnapshot() : InvalidSnapshot, false);
		deleted = (int64) SPI_processed;
	}
	PG_FINALLY();
	{
		deleting.event = InvalidOid;
		deleting.n = 0;
	}
	PG_END_TRY();
	return deleted;
}

/* Purge at most so many leads; returns how many events were deleted. */
static int64
purge_pipeline(PipelinePart part, int64 before, int64 max_leads, bool delete_events)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "leadscore purge",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext oldcontext = MemoryContextSwitchTo(context);
	Writer		writer;
	int64	   *ids;
	int64		line;
	int64		deleted = 0;
	uint64		n;
	uint64		i;

	leadscore_writer_begin(&writer, part, true);
	if (writer.pipeline->nperiods == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no model was ever active"),
				 errdetail("The first model judges all events of before its activation, and must see them."),
				 errhint("Activate a model before you purge events.")));
	line = bucket_start(bucket_of(nearest_instant(Min(before, writer.now)), writer.pipeline->grain),
						writer.pipeline->grain);
	leadscore_edges_watch(&writer);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	leadscore_progress_phase(PHASE_PICK, PROGRESS_UNKNOWN);
	ids = pick_leads(&writer, line, max_leads, delete_events, &n);
	leadscore_progress_phase(PHASE_LINE, (int64) n);
	for (i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(writer.lead_context);
		draw_line(&writer, ids[i], line);
		MemoryContextSwitchTo(context);
		MemoryContextReset(writer.lead_context);
		leadscore_writer_flush(&writer, true);
		leadscore_progress_count(1);
	}
	leadscore_writer_flush(&writer, false);
	leadscore_progress_phase(PHASE_SOURCE_IDS, PROGRESS_UNKNOWN);
	if (n > 0)
		keep_source_ids(&writer, ids, n, line);
	leadscore_progress_phase(PHASE_DELETE, PROGRESS_UNKNOWN);
	if (delete_events && n > 0)
		deleted = delete_before_line(&writer, ids, n, line);
	SPI_finish();
	MemoryContextSwitchTo(context);
	leadscore_edges_apply(&writer);
	leadscore_writer_end(&writer);
	MemoryContextSwitchTo(oldcontext);
	MemoryContextDelete(context);
	return deleted;
}

static Datum
purge(PG_FUNCTION_ARGS)
{
	PipelinePart part = leadscore_whole_part(PG_GETARG_OID(0));
	bool		outermost;
	int64		deleted;

	leadscore_check_maintainer(part.schema, "lead_state", ACL_UPDATE);
	leadscore_check_maintainer(part.schema, "event", ACL_DELETE);
	if (!OidIsValid(part.shard) && leadscore_is_distributed(leadscore_table(part.schema, "event")))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("events of distributed tables cannot be purged"),
				 errhint("Keep the events, or delete leads.")));
	leadscore_hold_shard(part);
	outermost = leadscore_progress_begin(part.schema, TASK_PURGE, PHASE_WAIT);
	deleted = purge_pipeline(part, PG_GETARG_TIMESTAMPTZ(1), PG_GETARG_INT64(2), PG_GETARG_BOOL(3));
	leadscore_progress_end(outermost);
	PG_RETURN_INT64(deleted);
}

/*
 * purge(pipeline, before, max_leads, delete_events): takes the events before a
 * line out of the log of at most so many leads; returns how many it deleted.
 */
Datum
leadscore_purge(PG_FUNCTION_ARGS)
{
	return leadscore_call_discreetly(purge, fcinfo);
}

/*
 * If one of two leads was purged, give both the later one of their lines.  Their
 * states must be locked.
 */
void
leadscore_draw_common_line(PipelinePart part, int64 lead_id, int64 other)
{
	int64		lead_ids[2];
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "leadscore purge",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext oldcontext = MemoryContextSwitchTo(context);
	Writer		writer;
	int64		line = PG_INT64_MIN;
	int			i;

	lead_ids[0] = lead_id;
	lead_ids[1] = other;
	leadscore_writer_begin(&writer, part, true);
	for (i = 0; i < 2; i++)
	{
		Checkpoint	checkpoint;

		if (leadscore_state_lock(&writer, lead_ids[i], LockTupleNoKeyExclusive) &&
			leadscore_checkpoint_read(&writer, lead_ids[i], &checkpoint))
			line = Max(line, checkpoint.purged_before);
	}
	for (i = 0; i < 2 && line != PG_INT64_MIN; i++)
	{
		MemoryContextSwitchTo(writer.lead_context);
		draw_line(&writer, lead_ids[i], line);
		MemoryContextSwitchTo(context);
		MemoryContextReset(writer.lead_context);
	}
	leadscore_writer_end(&writer);
	MemoryContextSwitchTo(oldcontext);
	MemoryContextDelete(context);
}

static Datum
purge_superseded(PG_FUNCTION_ARGS)
{
	PipelinePart part = leadscore_whole_part(PG_GETARG_OID(0));
	Pipeline   *pipeline;
	Oid			types[2] = {TIMESTAMPTZOID, INT8OID};
	Datum		values[2];
	char	   *name;
	SPIPlanPtr	plan;
	UserSwitch	saved;
	int			nestlevel;
	int64		deleted;

	leadscore_check_maintainer(part.schema, "lead_state", ACL_UPDATE);
	leadscore_hold_shard(part);
	pipeline = leadscore_pipeline_for_write(part);
	name = leadscore_table_name(PG_GETARG_BOOL(1) ? pipeline->segment_log : pipeline->stage_log);
	values[0] = PG_GETARG_DATUM(2);
	values[1] = PG_GETARG_DATUM(3);
	leadscore_run_as(pipeline->owner, true, &saved);
	nestlevel = leadscore_fix_path();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	leadscore_progress_phase(PHASE_SUPERSEDED, PROGRESS_UNKNOWN);
	/* the newest row of a lead stays, as rows are numbered after it */
	plan = SPI_prepare(psprintf("DELETE FROM %s h USING (SELECT o.lead_id, o.seq FROM %s o"
								"  WHERE o.superseded_at OPERATOR(pg_catalog.<) $1 AND EXISTS (SELECT FROM %s n"
								"   WHERE n.lead_id OPERATOR(pg_catalog.=) o.lead_id AND n.seq OPERATOR(pg_catalog.>) o.seq) LIMIT $2) d"
								" WHERE h.lead_id OPERATOR(pg_catalog.=) d.lead_id AND h.seq OPERATOR(pg_catalog.=) d.seq",
								name, name, name), 2, types);
	if (plan == NULL)
		elog(ERROR, "could not prepare: DELETE FROM %s", name);
	leadscore_engine_execute(plan, values, InvalidSnapshot, InvalidSnapshot, false);
	deleted = (int64) SPI_processed;
	SPI_finish();
	AtEOXact_GUC(true, nestlevel);
	leadscore_run_back(&saved);
	PG_RETURN_INT64(deleted);
}

/*
 * purge_superseded(pipeline, segments, before, max_rows): deletes at most so many
 * rows of stage_log, or of segment_log, that were superseded before an instant;
 * returns how many.
 */
Datum
leadscore_purge_superseded(PG_FUNCTION_ARGS)
{
	return leadscore_call_discreetly(purge_superseded, fcinfo);
}
