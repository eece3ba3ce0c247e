/*-------------------------------------------------------------------------
 *
 * checkpoint.c
 *		Where a lead stood at the line before which its events were purged.
 *
 * A purge takes the events before a line out of the log.  Their counts stay, in
 * lead_state.baseline, and a row of lead_checkpoint says how the lead stood at
 * the line: after what time changed in that instant, and before anything else
 * of it.  From there its log is replayed.  Only leads with a baseline can have
 * a checkpoint, so that others never look for one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "checkpoint.h"
#include "guard.h"
#include "stage.h"

/* Has the state that was found, or is about to be written, a baseline? */
bool
leadscore_has_baseline(const Writer *writer)
{
	return writer->baseline != NULL ||
		!slot_attisnull(writer->state.slot, writer->pipeline->columns.baseline);
}

/* A column of the row that was read */
static Datum
column(const Writer *writer, const char *name, Oid type, bool *isnull)
{
	TupleTableSlot *slot = writer->checkpoint.slot;

	return slot_getattr(slot, leadscore_column(slot->tts_tupleDescriptor, name, type, "lead_checkpoint"), isnull);
}

/* The same of a column that is never null */
static Datum
required(const Writer *writer, const char *name, Oid type)
{
	bool		isnull;
	Datum		value = column(writer, name, type, &isnull);

	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("column \"%s\" of table \"%s\" contains an unexpected null", name, "lead_checkpoint"),
				 errhint("Restore the row from a backup.")));
	return value;
}

/* The same of an instant, NEVER for NULL */
static int64
instant(const Writer *writer, const char *name)
{
	bool		isnull;
	Datum		value = column(writer, name, TIMESTAMPTZOID, &isnull);

	return isnull ? NEVER : DatumGetTimestampTz(value);
}

/*
 * Read the checkpoint of the lead whose state was found, by the writer's
 * snapshot.  False if it was never purged.
 */
bool
leadscore_checkpoint_read(Writer *writer, int64 lead_id, Checkpoint *checkpoint)
{
	Oid			stage = leadscore_type("lead_stage");
	Datum		value;
	bool		isnull;

	if (!leadscore_has_baseline(writer))
		return false;
	if (writer->checkpoint.rel == NULL)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(writer->context);

		leadscore_table_open(&writer->checkpoint, writer->pipeline->checkpoint, AccessShareLock, ACL_SELECT);
		MemoryContextSwitchTo(oldcontext);
	}
	if (!leadscore_row_read(&writer->checkpoint, lead_id, writer->snapshot))
		return false;
	checkpoint->purged_before = nearest_instant(DatumGetTimestampTz(required(writer, "purged_before", TIMESTAMPTZOID)));
	checkpoint->stage_seq = DatumGetInt32(required(writer, "stage_seq", INT4OID));
	checkpoint->segments_seq = DatumGetInt32(required(writer, "segments_seq", INT4OID));
	checkpoint->stage = DatumGetLeadStage(required(writer, "stage", stage));
	value = column(writer, "suspended_stage", stage, &isnull);
	checkpoint->suspended = isnull ? 0 : DatumGetLeadStage(value);
	checkpoint->promotion_blocked = DatumGetBool(required(writer, "promotion_blocked", BOOLOID));
	checkpoint->cycle = DatumGetInt32(required(writer, "cycle", INT4OID));
	checkpoint->stage_since = DatumGetTimestampTz(required(writer, "stage_since", TIMESTAMPTZOID));
	checkpoint->profile_at = instant(writer, "profile_at");
	checkpoint->milestone_at = instant(writer, "milestone_at");
	checkpoint->segments_since = instant(writer, "segments_since");
	value = column(writer, "segments", INT4ARRAYOID, &isnull);
	checkpoint->segments = isnull ? (Datum) 0 : value;
	(void) column(writer, "source_ids", INT8ARRAYOID, &isnull);
	checkpoint->named = !isnull;
	checkpoint->configuration = DatumGetInt64(required(writer, "configuration", INT8OID));
	return true;
}

/*
 * Let a record, whose activity holds all counts of before the line, go on from a
 * checkpoint.  What was counted since for the time before the line moves the
 * stage at the line.
 */
void
leadscore_checkpoint_resume(Writer *writer, LeadRecord *record, const Checkpoint *checkpoint)
{
	LeadLifecycle *lifecycle = &record->lifecycle;

	lifecycle->standing.stage = checkpoint->stage;
	lifecycle->standing.suspended = checkpoint->suspended;
	lifecycle->standing.promotion_blocked = checkpoint->promotion_blocked;
	lifecycle->cycle = checkpoint->cycle;
	lifecycle->stage_since = checkpoint->stage_since;
	lifecycle->processed_until = checkpoint->purged_before;
	lifecycle->profile_at = checkpoint->profile_at;
	lifecycle->milestone_at = checkpoint->milestone_at;
	lifecycle->segments_since = checkpoint->segments_since;
	if (!leadscore_lifecycle_valid(lifecycle))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("invalid checkpoint of lead " INT64_FORMAT, record->lead_id),
				 errhint("Restore its row of table lead_checkpoint from a backup.")));
	record->configuration = checkpoint->configuration;
	leadscore_period_begin(writer, record);
	if (checkpoint->segments != (Datum) 0)
		leadscore_segments_read(checkpoint->segments, lifecycle);
	leadscore_lifecycle_resume(lifecycle, checkpoint->purged_before);
}

#define CHECKPOINT_COLUMNS	14

/* Write the checkpoint of a lead, whose state is locked. */
void
leadscore_checkpoint_write(Writer *writer, int64 lead_id, const ReplayCut *cut,
						   int32 stage_seq, int32 segments_seq)
{
	static const Oid types[CHECKPOINT_COLUMNS] = {INT8OID, TIMESTAMPTZOID, INT4OID, INT4OID, TEXTOID, TEXTOID,
		BOOLOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4ARRAYOID, TIMESTAMPTZOID,
	INT8OID};
	Pipeline   *pipeline = writer->pipeline;
	const LeadLifecycle *lifecycle = &cut->record.lifecycle;
	const LeadStanding *standing = &lifecycle->standing;
	Datum		values[CHECKPOINT_COLUMNS];
	char		nulls[CHECKPOINT_COLUMNS];
	bool		isnull;

	memset(nulls, ' ', sizeof(nulls));
	values[0] = Int64GetDatum(lead_id);
	values[1] = TimestampTzGetDatum(cut->at);
	values[2] = Int32GetDatum(stage_seq);
	values[3] = Int32GetDatum(segments_seq);
	values[4] = CStringGetTextDatum(lead_stage_label(standing->stage));
	values[5] = standing->suspended ? CStringGetTextDatum(lead_stage_label(standing->suspended)) : (Datum) 0;
	nulls[5] = standing->suspended ? ' ' : 'n';
	values[6] = BoolGetDatum(standing->promotion_blocked);
	values[7] = Int32GetDatum(lifecycle->cycle);
	values[8] = TimestampTzGetDatum(lifecycle->stage_since);
	values[9] = TimestampTzGetDatum(lifecycle->profile_at);
	nulls[9] = lifecycle->profile_at == NEVER ? 'n' : ' ';
	values[10] = TimestampTzGetDatum(lifecycle->milestone_at);
	nulls[10] = lifecycle->milestone_at == NEVER ? 'n' : ' ';
	values[11] = leadscore_segments_array(lifecycle, &isnull);
	nulls[11] = isnull ? 'n' : ' ';
	values[12] = TimestampTzGetDatum(lifecycle->segments_since);
	nulls[12] = lifecycle->segments_since == NEVER ? 'n' : ' ';
	values[13] = Int64GetDatum(cut->record.configuration);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (pipeline->plans[PLAN_WRITE_CHECKPOINT] == NULL)
		pipeline->plans[PLAN_WRITE_CHECKPOINT] =
			leadscore_keep_plan(psprintf("INSERT INTO %s (lead_id, purged_before, stage_seq, segments_seq, stage,"
										 "  suspended_stage, promotion_blocked, cycle, stage_since, profile_at,"
										 "  milestone_at, segments, segments_since, configuration)"
										 " VALUES ($1, $2, $3, $4, leadscore.lead_stage($5), leadscore.lead_stage($6),"
										 "  $7, $8, $9, $10, $11, $12, $13, $14)"
										 " ON CONFLICT (lead_id) DO UPDATE SET (purged_before, stage_seq, segments_seq,"
										 "  stage, suspended_stage, promotion_blocked, cycle, stage_since, profile_at,"
										 "  milestone_at, segments, segments_since, configuration, purged_at) ="
										 " (EXCLUDED.purged_before, EXCLUDED.stage_seq, EXCLUDED.segments_seq,"
										 "  EXCLUDED.stage, EXCLUDED.suspended_stage, EXCLUDED.promotion_blocked,"
										 "  EXCLUDED.cycle, EXCLUDED.stage_since, EXCLUDED.profile_at,"
										 "  EXCLUDED.milestone_at, EXCLUDED.segments, EXCLUDED.segments_since,"
										 "  EXCLUDED.configuration, EXCLUDED.purged_at)",
										 leadscore_table_name(pipeline->checkpoint)),
								CHECKPOINT_COLUMNS, (Oid *) types);
	CommandCounterIncrement();
	leadscore_engine_execute_nulls(pipeline->plans[PLAN_WRITE_CHECKPOINT], values, nulls, GetLatestSnapshot(),
								   IsolationUsesXactSnapshot() ? GetTransactionSnapshot() : InvalidSnapshot);
	SPI_finish();
	CommandCounterIncrement();
}

/*
 * Refuse new events of a lead, dated before its line, whose source_id is that of
 * an event that was purged, as the unique index would if it were there.
 */
void
leadscore_check_purged_ids(Writer *writer, int64 lead_id, Datum *event_ids, int n)
{
	Pipeline   *pipeline = writer->pipeline;
	Oid			types[2] = {INT8OID, INT8ARRAYOID};
	Datum		values[2];
	bool		twice;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (pipeline->plans[PLAN_FIND_PURGED] == NULL)
		pipeline->plans[PLAN_FIND_PURGED] =
			leadscore_keep_plan(psprintf("SELECT FROM %s e, %s c WHERE e.lead_id OPERATOR(pg_catalog.=) $1"
										 " AND e.event_id OPERATOR(pg_catalog.=) ANY ($2)"
										 " AND c.lead_id OPERATOR(pg_catalog.=) $1 AND " SOURCE_ID_HASH("e.source_id")
										 " OPERATOR(pg_catalog.=) ANY (c.source_ids)",
										 leadscore_table_name(pipeline->event),
										 leadscore_table_name(pipeline->checkpoint)), 2, types);
	values[0] = Int64GetDatum(lead_id);
	values[1] = leadscore_build_array(event_ids, NULL, n, INT8OID);
	CommandCounterIncrement();
	leadscore_engine_execute(pipeline->plans[PLAN_FIND_PURGED], values, GetLatestSnapshot(), InvalidSnapshot, true);
	twice = SPI_processed > 0;
	SPI_finish();
	/* no values: they may be those of a lead that the caller cannot see */
	if (twice)
		ereport(ERROR,
				(errcode(ERRCODE_UNIQUE_VIOLATION),
				 errmsg("duplicate key value violates unique constraint \"%s\"", "event_source_id_key"),
				 errdetail("An event of this source_id was purged."),
				 errhint("Call track(), which reports duplicates.")));
}
