/*-------------------------------------------------------------------------
 *
 * sweep.c
 *		Leads whose stage may change though nothing happens: because time
 *		passed, because an event that was dated ahead is due, or because
 *		models or signals changed.
 *
 * A change of configuration records only itself; each lead is brought up to
 * date at its next write or by a sweep, and until then queries compute.
 *
 * A sweep also lowers levels of leads whose points have faded (see level.c), so
 * that few leads stand among the hottest that are not.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "checkpoint.h"
#include "edge.h"
#include "guard.h"
#include "progress.h"
#include "shard.h"
#include "stage.h"
#include "sweep.h"

PG_FUNCTION_INFO_V1(leadscore_sweep);
PG_FUNCTION_INFO_V1(leadscore_current_stage);
PG_FUNCTION_INFO_V1(leadscore_current_stage_since);
PG_FUNCTION_INFO_V1(leadscore_current_activity);
PG_FUNCTION_INFO_V1(leadscore_current_segments);

/*
 * Bring a record up to now.  False if the lead is gone.  A writer's history is
 * corrected where that is needed; a reader, which hands over a buffer, gets the
 * record only, and in the buffer its whole history if it was replayed.
 */
static bool
bring_up(Writer *writer, LeadRecord *record, HistoryBuffer *replayed)
{
	if (record->lifecycle.pending_at > writer->now &&
		!leadscore_configuration_is_late(writer, record))
	{
		leadscore_run(writer, record, NULL, 0);
		leadscore_lifecycle_advance(&record->lifecycle, writer->now);
		return true;
	}
	if (replayed == NULL)
		return leadscore_correct(writer, record);
	if (!leadscore_lead_read(writer, record->lead_id))
		return false;
	leadscore_replay_one(writer, record, replayed, NULL);
	return true;
}

/* Look at one lead; no other session may be at it. */
static void
sweep_lead(Writer *writer, int64 lead_id)
{
	LeadRecord	record;

	if (!leadscore_state_lock(writer, lead_id, LockTupleNoKeyExclusive))
		return;
	leadscore_record_init(writer, &record, lead_id);
	leadscore_state_decode(writer, &record);
	if (bring_up(writer, &record, NULL))
		leadscore_state_write(writer, &record, true);
}

/* Lock some leads that a condition picks and that no other session has locked. */
static int64 *
pick_leads(const Writer *writer, const char *condition, int64 max_leads, uint64 *n)
{
	Oid			type = INT8OID;
	Datum		limit = Int64GetDatum(max_leads);
	char	   *sql = psprintf("SELECT lead_id FROM %s WHERE %s LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED",
							   leadscore_table_name(writer->pipeline->state), condition);
	int64	   *ids;
	uint64		i;

	if (SPI_execute_with_args(sql, 1, &type, &limit, NULL, false, 0) != SPI_OK_SELECT)
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
 * Leads whose level is too high by now.  Points fade from one bucket to the
 * next, so a lead that was written in this one is as it is.
 */
static char *
faded_condition(const Pipeline *pipeline)
{
	return psprintf("level OPERATOR(pg_catalog.>) 0"
					" AND configuration OPERATOR(pg_catalog.=) " INT64_FORMAT
					" AND updated_at OPERATOR(pg_catalog.<) pg_catalog.date_bin("
					"(SELECT g.grain FROM %s g), pg_catalog.now(), '2000-01-01 00:00:00+00'::pg_catalog.timestamptz)"
					" AND level OPERATOR(pg_catalog.>) leadscore_internal.level(activity,"
					" (SELECT m.compiled FROM %s m WHERE m.status OPERATOR(pg_catalog.=) 'active'), pg_catalog.now())"
					" ORDER BY level DESC",
					pipeline->configuration, leadscore_table_name(pipeline->setting),
					leadscore_table_name(pipeline->model));
}

/* Sweep leads that were picked. */
static void
sweep_leads(Writer *writer, const int64 *ids, uint64 n)
{
	uint64		i;

	for (i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(writer->lead_context);
		sweep_lead(writer, ids[i]);
		MemoryContextSwitchTo(writer->context);
		MemoryContextReset(writer->lead_context);
		leadscore_writer_flush(writer, true);
		leadscore_progress_count(1);
	}
}

/*
 * Sweep at most so many leads of a part; returns how many there were.  Leads of
 * which only the level is lowered are not counted: to what a query answers that
 * makes no difference.
 */
int64
leadscore_sweep_part(PipelinePart part, int64 max_leads)
{
	MemoryContext context;
	MemoryContext oldcontext;
	Writer		writer;
	int64		swept = 0;
	int			round;

	context = AllocSetContextCreate(CurrentMemoryContext, "leadscore sweep",
									ALLOCSET_DEFAULT_SIZES);
	oldcontext = MemoryContextSwitchTo(context);
	leadscore_writer_begin(&writer, part, true);
	leadscore_edges_watch(&writer);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	for (round = 0; round < 3 && swept < max_leads; round++)
	{
		uint64		n;
		int64	   *ids;

		/* leads that are due, then leads behind the configuration */
		if (round == 0)
			ids = pick_leads(&writer, "next_review_at OPERATOR(pg_catalog.<=) pg_catalog.now()"
							 " ORDER BY next_review_at", max_leads, &n);
		else if (round == 1)
			ids = pick_leads(&writer,
							 psprintf("configuration OPERATOR(pg_catalog.<) " INT64_FORMAT
									  " ORDER BY configuration", writer.pipeline->configuration),
							 max_leads - swept, &n);
		else
			ids = pick_leads(&writer, faded_condition(writer.pipeline), max_leads - swept, &n);
		sweep_leads(&writer, ids, n);
		if (round < 2)
			swept += (int64) n;
	}
	SPI_finish();
	MemoryContextSwitchTo(context);
	leadscore_edges_apply(&writer);
	leadscore_writer_end(&writer);
	MemoryContextSwitchTo(oldcontext);
	MemoryContextDelete(context);
	return swept;
}

/* Have the leads of a shard that have no owner get one, as sweep() of the pipeline does where there are none. */
static void
assign_left(PipelinePart part)
{
	UserSwitch	saved;
	int			nestlevel;

	leadscore_run_as(leadscore_table_owner(leadscore_table(part.schema, "lead_state")), true, &saved);
	nestlevel = leadscore_fix_path();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	leadscore_call_function(part, "_assign_left", 0, NULL, NULL, NULL, false);
	SPI_finish();
	AtEOXact_GUC(true, nestlevel);
	leadscore_run_back(&saved);
}

static Datum
sweep(PG_FUNCTION_ARGS)
{
	Oid			schema = PG_GETARG_OID(0);
	int64		max_leads = PG_GETARG_INT64(1);
	int64		swept = 0;
	bool		outermost;
	ListCell   *lc;

	leadscore_check_maintainer(schema, "lead_state", ACL_UPDATE);
	outermost = leadscore_progress_begin(schema, TASK_SWEEP, PHASE_SWEEP);
	foreach(lc, leadscore_parts(schema, NOTICE))
	{
		PipelinePart part = *(PipelinePart *) lfirst(lc);

		if (swept >= max_leads)
			break;
		leadscore_hold_shard(part);
		if (OidIsValid(part.shard))
			assign_left(part);
		swept += leadscore_sweep_part(part, max_leads - swept);
	}
	leadscore_progress_end(outermost);
	PG_RETURN_INT64(swept);
}

/*
 * sweep(pipeline, max_leads): brings up to date at most so many leads whose
 * stage may have changed; returns how many it did.
 */
Datum
leadscore_sweep(PG_FUNCTION_ARGS)
{
	return leadscore_call_discreetly(sweep, fcinfo);
}

/* May the caller see the state of a lead? */
static bool
caller_sees_state(Pipeline *pipeline, int64 lead_id)
{
	Datum		value = Int64GetDatum(lead_id);
	bool		sees;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (pipeline->plans[PLAN_SEE_STATE] == NULL)
	{
		Oid			type = INT8OID;

		pipeline->plans[PLAN_SEE_STATE] =
			leadscore_keep_plan(psprintf("SELECT lead_id FROM %s WHERE lead_id OPERATOR(pg_catalog.=) $1",
										 leadscore_table_name(pipeline->state)), 1, &type);
	}
	leadscore_renew_plan(pipeline->plans[PLAN_SEE_STATE]);
	if (SPI_execute_plan(pipeline->plans[PLAN_SEE_STATE], &value, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the state of lead " INT64_FORMAT, lead_id);
	sees = SPI_processed == 1;
	SPI_finish();
	return sees;
}

/* The part of a record to return */
typedef enum RecordPart
{
	RECORD_STAGE,
	RECORD_STAGE_SINCE,
	RECORD_ACTIVITY,
	RECORD_SEGMENTS
} RecordPart;

/*
 * Put the segments that a lead was in at its line, if it was purged, in front of
 * what a replay says.  Returns from when on that is all.
 */
static int64
begin_changes(Writer *reader, int64 lead_id, LeadForecast *forecast)
{
	const Pipeline *pipeline = reader->pipeline;
	Checkpoint	checkpoint;
	Datum	   *ids;
	bool	   *nulls;
	int			n;
	int			i;
	int			j;

	if (!leadscore_checkpoint_read(reader, lead_id, &checkpoint))
		return PG_INT64_MIN;
	if (checkpoint.segments == (Datum) 0)
		return checkpoint.purged_before;
	deconstruct_array(DatumGetArrayTypeP(checkpoint.segments), INT4OID, sizeof(int32), true,
					  TYPALIGN_INT, &ids, &nulls, &n);
	for (i = 0; i < Min(n, MAX_SEGMENTS); i++)
	{
		for (j = 0; j < pipeline->nsegment_activations; j++)
			if (!nulls[i] && pipeline->segment_activations[j].id == DatumGetInt32(ids[i]) &&
				pipeline->segment_activations[j].conditions != NULL)
				break;
		if (j < pipeline->nsegment_activations)
		{
			SegmentChange *change = &forecast->changes[forecast->nchanges++];

			memset(change, 0, sizeof(SegmentChange));
			change->segment = pstrdup(pipeline->segment_activations[j].name);
			change->entered = true;
			change->effective_at = checkpoint.purged_before;
		}
	}
	return checkpoint.purged_before;
}

/*
 * Compute, by the active snapshot, the record that a sweep would write for a
 * lead at an instant that is not past, in the current context.  NULL if there is
 * no such lead.
 */
LeadForecast *
leadscore_forecast(PipelinePart part, int64 lead_id, int64 at)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "leadscore current state",
												  ALLOCSET_DEFAULT_SIZES);
	Writer		reader;
	LeadRecord	record;
	HistoryBuffer replayed = {0};
	LeadForecast *forecast = NULL;
	bool		found;
	bool		isnull;
	int			i;

	MemoryContextSwitchTo(context);
	leadscore_reader_begin(&reader, part);
	reader.now = Max(reader.now, at);
	found = leadscore_row_read(&reader.state, lead_id, reader.snapshot);
	if (found)
	{
		leadscore_record_init(&reader, &record, lead_id);
		leadscore_state_decode(&reader, &record);
		found = bring_up(&reader, &record, &replayed);
	}
	MemoryContextSwitchTo(caller);
	if (found)
	{
		bool		whole = replayed.context != NULL;
		const HistoryBuffer *history = whole ? &replayed : &reader.appended;
		SegmentChange *change;

		forecast = palloc0(sizeof(LeadForecast));
		lead_activity_init(&forecast->activity, record.activity.grain, record.activity.nitems);
		lead_activity_copy(&record.activity, &forecast->activity);
		forecast->stage = record.lifecycle.standing.stage;
		forecast->stage_since = record.lifecycle.stage_since;
		forecast->segments = leadscore_segments_array(&record.lifecycle, &isnull);
		forecast->changes = palloc(sizeof(SegmentChange) * (MAX_SEGMENTS + history->nsegments));
		forecast->told_from = whole ? begin_changes(&reader, lead_id, forecast) : NEVER;
		change = &forecast->changes[forecast->nchanges];
		forecast->nchanges += history->nsegments;
		for (i = 0; i < history->nsegments; i++)
		{
			change[i] = history->segments[i].change;
			change[i].segment = pstrdup(history->segments[i].change.segment);
		}
	}
	leadscore_reader_end(&reader);
	MemoryContextDelete(context);
	return forecast;
}

/* The same for a query; NULL if row security hides the lead from the caller. */
static Datum
current_record(FunctionCallInfo fcinfo, RecordPart part)
{
	int64		lead_id = PG_GETARG_INT64(1);
	PipelinePart pipeline = leadscore_part_of_lead(PG_GETARG_OID(0), lead_id);
	LeadForecast *forecast = NULL;

	if (caller_sees_state(leadscore_pipeline_for_query(pipeline), lead_id))
		forecast = leadscore_forecast(pipeline, lead_id, PG_INT64_MIN);
	if (forecast == NULL || (part == RECORD_SEGMENTS && forecast->segments == (Datum) 0))
		PG_RETURN_NULL();
	switch (part)
	{
		case RECORD_STAGE:
			return LeadStageGetDatum(forecast->stage);
		case RECORD_STAGE_SINCE:
			return TimestampTzGetDatum(forecast->stage_since);
		case RECORD_ACTIVITY:
			return PointerGetDatum(leadscore_activity_make(&forecast->activity));
		case RECORD_SEGMENTS:
			break;
	}
	return forecast->segments;
}

/*
 * current_stage(pipeline, lead_id): the stage of a lead as of now, including
 * changes that are due and that no sweep has recorded yet.  Views call it for
 * leads that are due.
 */
Datum
leadscore_current_stage(PG_FUNCTION_ARGS)
{
	return current_record(fcinfo, RECORD_STAGE);
}

/* current_stage_since(pipeline, lead_id): when that stage began */
Datum
leadscore_current_stage_since(PG_FUNCTION_ARGS)
{
	return current_record(fcinfo, RECORD_STAGE_SINCE);
}

/*
 * current_activity(pipeline, lead_id): the activity of a lead as signals are
 * defined now, though it was not counted again yet
 */
Datum
leadscore_current_activity(PG_FUNCTION_ARGS)
{
	return current_record(fcinfo, RECORD_ACTIVITY);
}

/*
 * current_segments(pipeline, lead_id): the numbers of the segments that a lead
 * is in as of now; NULL if it is in none
 */
Datum
leadscore_current_segments(PG_FUNCTION_ARGS)
{
	return current_record(fcinfo, RECORD_SEGMENTS);
}
