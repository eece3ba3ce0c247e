/*-------------------------------------------------------------------------
 *
 * merge.c
 *		Making the logs of two leads one.
 *
 * merge_leads() moves what is in ordinary tables; the changes of both profiles,
 * the counts of purged events and what was before the line of a purge are in
 * tables that the engine keeps, and are put together here.  Then the lead is
 * replayed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "guard.h"
#include "pipeline.h"
#include "purge.h"
#include "rebuild.h"
#include "shard.h"

PG_FUNCTION_INFO_V1(leadscore_merge_logs);
PG_FUNCTION_INFO_V1(leadscore_merge_lines);

/* Run a statement that writes tables of the engine. */
static void
run(const char *sql, Datum *values)
{
	Oid			types[3] = {INT8OID, INT8OID, TIMESTAMPTZOID};
	SPIPlanPtr	plan = SPI_prepare(sql, 3, types);

	if (plan == NULL)
		elog(ERROR, "could not prepare: %s", sql);
	CommandCounterIncrement();
	leadscore_engine_execute(plan, values, GetLatestSnapshot(), InvalidSnapshot, false);
}

/*
 * The profile of the merged lead matched a signal when one of both did.  From
 * $3 on, when consent was withdrawn, it matches no signal that asks for
 * consent.  The rows get numbers after those that they replace.
 */
static const char *const merge_profiles =
"WITH change AS ("
"  SELECT c.signal, c.changed_at, pg_catalog.sum(c.count) AS count, pg_catalog.max(c.recorded_at) AS recorded_at"
"  FROM %1$s c WHERE c.lead_id OPERATOR(pg_catalog.=) ANY (ARRAY[$1, $2])"
"  GROUP BY c.signal, c.changed_at"
" ), level AS ("
"  SELECT c.signal, c.changed_at, c.recorded_at,"
"   COALESCE(g.condition::pg_catalog.text OPERATOR(pg_catalog.~) 'consented', false) AS consents,"
"   pg_catalog.sum(c.count) OVER (PARTITION BY c.signal ORDER BY c.changed_at) OPERATOR(pg_catalog.>) 0 AS present"
"  FROM change c LEFT JOIN %2$s g ON g.signal OPERATOR(pg_catalog.=) c.signal"
" ), step AS ("
"  SELECT l.signal, l.changed_at, l.recorded_at, l.present, l.consents,"
"   pg_catalog.lag(l.present, 1, false) OVER (PARTITION BY l.signal ORDER BY l.changed_at) AS before"
"  FROM level l"
" ), kept AS ("
"  SELECT s.signal, s.changed_at, s.recorded_at, CASE WHEN s.present THEN 1 ELSE -1 END AS count"
"  FROM step s WHERE s.present IS DISTINCT FROM s.before"
"   AND NOT (s.consents AND s.changed_at OPERATOR(pg_catalog.>=) $3)"
"  UNION ALL"
"  SELECT s.signal, $3, pg_catalog.max(s.recorded_at), -1"
"  FROM step s WHERE s.consents AND s.changed_at OPERATOR(pg_catalog.<) $3 AND pg_catalog.isfinite($3)"
"  GROUP BY s.signal"
"  HAVING (pg_catalog.array_agg(s.present ORDER BY s.changed_at DESC))[1]"
" )"
" INSERT INTO %1$s (lead_id, seq, signal, count, changed_at, recorded_at)"
" SELECT $1, (m.seq OPERATOR(pg_catalog.+) pg_catalog.row_number() OVER (ORDER BY k.changed_at, k.signal COLLATE pg_catalog.\"C\"))::pg_catalog.int4,"
"  k.signal, k.count, k.changed_at, k.recorded_at"
" FROM kept k, (SELECT COALESCE(pg_catalog.max(c.seq), 0) AS seq FROM %1$s c WHERE c.lead_id OPERATOR(pg_catalog.=) $1) m";

static const char *const drop_profiles =
"DELETE FROM %1$s WHERE lead_id OPERATOR(pg_catalog.=) $1 AND seq OPERATOR(pg_catalog.<=) $2";

static const char *const merge_baselines =
"UPDATE %1$s s SET baseline = b.baseline"
" FROM (SELECT pg_catalog.sum(o.baseline) AS baseline FROM %1$s o WHERE o.lead_id OPERATOR(pg_catalog.=) ANY (ARRAY[$1, $2])) b"
" WHERE s.lead_id OPERATOR(pg_catalog.=) $1 AND b.baseline IS NOT NULL";

/*
 * Both leads have one line, if any.  No log tells any more what was before it:
 * the history of the lead that had come further holds, and of equals that of
 * the winner.  A lead that is younger than the line has none.
 */
static const char *const loser_came_further =
"SELECT FROM %1$s c LEFT JOIN %1$s w ON w.lead_id OPERATOR(pg_catalog.=) $1,"
" LATERAL (SELECT pg_catalog.max(leadscore.stage_rank(h.to_stage)) AS most FROM %2$s h"
"  WHERE h.lead_id OPERATOR(pg_catalog.=) $2 AND h.superseded_at IS NULL AND h.seq OPERATOR(pg_catalog.<=) c.stage_seq) l,"
" LATERAL (SELECT pg_catalog.max(leadscore.stage_rank(h.to_stage)) AS most FROM %2$s h"
"  WHERE h.lead_id OPERATOR(pg_catalog.=) $1 AND h.superseded_at IS NULL AND h.seq OPERATOR(pg_catalog.<=) w.stage_seq) k"
" WHERE c.lead_id OPERATOR(pg_catalog.=) $2 AND (w.lead_id IS NULL OR l.most OPERATOR(pg_catalog.>) k.most)";

/* Rows that this transaction has recorded were never valid for anybody. */
static const char *const drop_fresh =
"DELETE FROM %1$s WHERE lead_id OPERATOR(pg_catalog.=) $1 AND superseded_at IS NULL AND recorded_at OPERATOR(pg_catalog.>=)"
" (SELECT GREATEST(pg_catalog.now(), pg_catalog.max(o.recorded_at)) FROM %1$s o WHERE o.lead_id OPERATOR(pg_catalog.=) $1)";

static const char *const supersede_all =
"UPDATE %1$s SET superseded_at ="
" (SELECT GREATEST(pg_catalog.now(), pg_catalog.max(o.recorded_at)) FROM %1$s o WHERE o.lead_id OPERATOR(pg_catalog.=) $1)"
" WHERE lead_id OPERATOR(pg_catalog.=) $1 AND superseded_at IS NULL";

static const char *const take_stages =
"INSERT INTO %2$s (lead_id, seq, cycle, from_stage, to_stage, effective_at, recorded_at, cause, model, score, from_since, is_lead)"
" SELECT $1, (m.seq OPERATOR(pg_catalog.+) pg_catalog.row_number() OVER (ORDER BY h.seq))::pg_catalog.int4, h.cycle, h.from_stage,"
"  h.to_stage, h.effective_at, m.recorded_at, h.cause, h.model, h.score, h.from_since, h.is_lead"
" FROM %2$s h, %1$s c,"
"  (SELECT COALESCE(pg_catalog.max(o.seq), 0) AS seq, GREATEST(pg_catalog.now(), pg_catalog.max(o.recorded_at)) AS recorded_at"
"   FROM %2$s o WHERE o.lead_id OPERATOR(pg_catalog.=) $1) m"
" WHERE h.lead_id OPERATOR(pg_catalog.=) $2 AND h.superseded_at IS NULL"
"  AND c.lead_id OPERATOR(pg_catalog.=) $2 AND h.seq OPERATOR(pg_catalog.<=) c.stage_seq";

static const char *const take_segments =
"INSERT INTO %2$s (lead_id, seq, segment, entered, effective_at, recorded_at, cause)"
" SELECT $1, (m.seq OPERATOR(pg_catalog.+) pg_catalog.row_number() OVER (ORDER BY h.seq))::pg_catalog.int4, h.segment, h.entered,"
"  h.effective_at, m.recorded_at, h.cause"
" FROM %2$s h, %1$s c,"
"  (SELECT COALESCE(pg_catalog.max(o.seq), 0) AS seq, GREATEST(pg_catalog.now(), pg_catalog.max(o.recorded_at)) AS recorded_at"
"   FROM %2$s o WHERE o.lead_id OPERATOR(pg_catalog.=) $1) m"
" WHERE h.lead_id OPERATOR(pg_catalog.=) $2 AND h.superseded_at IS NULL"
"  AND c.lead_id OPERATOR(pg_catalog.=) $2 AND h.seq OPERATOR(pg_catalog.<=) c.segments_seq";

/* What one of them has had is not to come again. */
static const char *const join_source_ids =
"UPDATE %1$s c SET source_ids = a.ids FROM (SELECT pg_catalog.array_agg(DISTINCT u) AS ids"
"  FROM %1$s o, pg_catalog.unnest(o.source_ids) u WHERE o.lead_id OPERATOR(pg_catalog.=) ANY (ARRAY[$1, $2])) a"
" WHERE c.lead_id OPERATOR(pg_catalog.=) ANY (ARRAY[$1, $2])";

static const char *const drop_checkpoint =
"DELETE FROM %1$s WHERE lead_id OPERATOR(pg_catalog.=) $1";

static const char *const take_checkpoint =
"INSERT INTO %1$s (lead_id, purged_before, stage_seq, segments_seq, stage, suspended_stage, promotion_blocked, cycle,"
"  stage_since, profile_at, milestone_at, segments, segments_since, configuration, source_ids, purged_at)"
" SELECT $1, c.purged_before,"
"  (SELECT pg_catalog.max(h.seq) FROM %2$s h WHERE h.lead_id OPERATOR(pg_catalog.=) $1),"
"  COALESCE((SELECT pg_catalog.max(h.seq) FROM %3$s h WHERE h.lead_id OPERATOR(pg_catalog.=) $1), 0),"
"  c.stage, c.suspended_stage, c.promotion_blocked, c.cycle, c.stage_since, c.profile_at, c.milestone_at, c.segments,"
"  c.segments_since, c.configuration, c.source_ids, c.purged_at"
" FROM %1$s c WHERE c.lead_id OPERATOR(pg_catalog.=) $2";

/* Events of before the line that are moved next count in the baseline. */
static const char *const begin_baseline =
"UPDATE %1$s s SET baseline = o.baseline OPERATOR(pg_catalog.-) o.baseline FROM %1$s o"
" WHERE s.lead_id OPERATOR(pg_catalog.=) $1 AND s.baseline IS NULL"
" AND o.lead_id OPERATOR(pg_catalog.=) $2 AND o.baseline IS NOT NULL";

/* Let the winner have the past of the loser, if that had come further. */
static void
merge_past(const Pipeline *pipeline, Datum *values)
{
	Oid			types[2] = {INT8OID, INT8OID};
	char	   *checkpoint = leadscore_table_name(pipeline->checkpoint);
	char	   *stages = leadscore_table_name(pipeline->stage_log);
	char	   *segments = leadscore_table_name(pipeline->segment_log);
	char	   *sql = psprintf(loser_came_further, checkpoint, stages);

	run(psprintf(join_source_ids, checkpoint), values);
	CommandCounterIncrement();
	if (SPI_execute_with_args(sql, 2, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not execute: %s", sql);
	if (SPI_processed == 0)
		return;
	run(psprintf(drop_fresh, stages), values);
	run(psprintf(supersede_all, stages), values);
	run(psprintf(take_stages, checkpoint, stages), values);
	run(psprintf(drop_fresh, segments), values);
	run(psprintf(supersede_all, segments), values);
	run(psprintf(take_segments, checkpoint, segments), values);
	run(psprintf(drop_checkpoint, checkpoint), values);
	run(psprintf(take_checkpoint, checkpoint, stages, segments), values);
	run(psprintf(begin_baseline, leadscore_table_name(pipeline->state)), values);
}

/* The greatest number of a change of a lead's profile */
static int64
last_change(const Pipeline *pipeline, Datum lead_id)
{
	Oid			type = INT8OID;
	char	   *sql = psprintf("SELECT COALESCE(pg_catalog.max(seq), 0)::pg_catalog.int8 FROM %s WHERE lead_id OPERATOR(pg_catalog.=) $1",
							   leadscore_table_name(pipeline->profile_change));
	bool		isnull;

	CommandCounterIncrement();
	if (SPI_execute_with_args(sql, 1, &type, &lead_id, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not execute: %s", sql);
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

static Datum
merge_logs(PG_FUNCTION_ARGS)
{
	PipelinePart part = leadscore_whole_part(PG_GETARG_OID(0));
	Pipeline   *pipeline;
	Datum		values[3];
	char	   *profiles;
	int64		last;
	UserSwitch	saved;
	int			nestlevel;
	int			i;

	for (i = 0; i < 3; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("pipeline, winner and loser must not be null"),
					 errhint("Call merge_leads() of the pipeline.")));
	leadscore_check_maintainer(part.schema, "lead_state", ACL_UPDATE);
	leadscore_hold_shard(part);
	pipeline = leadscore_pipeline_for_write(part);
	values[0] = PG_GETARG_DATUM(1);
	values[1] = PG_GETARG_DATUM(2);
	values[2] = PG_ARGISNULL(3) ? TimestampTzGetDatum(DT_NOEND) : PG_GETARG_DATUM(3);

	leadscore_run_as(pipeline->owner, false, &saved);
	nestlevel = leadscore_fix_path();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	profiles = leadscore_table_name(pipeline->profile_change);
	last = last_change(pipeline, values[0]);
	run(psprintf(merge_profiles, profiles, leadscore_table_name(pipeline->signal)), values);
	run(psprintf(merge_baselines, leadscore_table_name(pipeline->state)), values);
	values[1] = Int64GetDatum(last);
	run(psprintf(drop_profiles, profiles), values);
	SPI_finish();
	AtEOXact_GUC(true, nestlevel);
	leadscore_run_back(&saved);
	CommandCounterIncrement();
	leadscore_rebuild_lead(part, PG_GETARG_INT64(1));
	PG_RETURN_VOID();
}

/*
 * merge_logs(pipeline, winner, loser, withdrawn_at): put the logs of two leads
 * together and replay the winner, which has the events of both; withdrawn_at:
 * since when consent is withdrawn, NULL: it is not.
 */
Datum
leadscore_merge_logs(PG_FUNCTION_ARGS)
{
	return leadscore_call_discreetly(merge_logs, fcinfo);
}

static Datum
merge_lines(PG_FUNCTION_ARGS)
{
	PipelinePart part = leadscore_whole_part(PG_GETARG_OID(0));
	Pipeline   *pipeline;
	Datum		values[3];
	UserSwitch	saved;
	int			nestlevel;

	leadscore_check_maintainer(part.schema, "lead_state", ACL_UPDATE);
	leadscore_hold_shard(part);
	pipeline = leadscore_pipeline_for_write(part);
	values[0] = PG_GETARG_DATUM(1);
	values[1] = PG_GETARG_DATUM(2);
	values[2] = TimestampTzGetDatum(DT_NOEND);
	leadscore_draw_common_line(part, PG_GETARG_INT64(1), PG_GETARG_INT64(2));
	leadscore_run_as(pipeline->owner, false, &saved);
	nestlevel = leadscore_fix_path();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	merge_past(pipeline, values);
	SPI_finish();
	AtEOXact_GUC(true, nestlevel);
	leadscore_run_back(&saved);
	PG_RETURN_VOID();
}

/*
 * merge_lines(pipeline, winner, loser): if one of two leads was purged, make what
 * was before the later one of their lines one, before events are moved.
 */
Datum
leadscore_merge_lines(PG_FUNCTION_ARGS)
{
	return leadscore_call_discreetly(merge_lines, fcinfo);
}
