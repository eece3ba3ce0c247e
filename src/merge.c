/*-------------------------------------------------------------------------
 *
 * merge.c
 *		Making the logs of two leads one.
 *
 * merge_leads() moves what is in ordinary tables; the changes of both profiles
 * and the counts of purged events are in tables that the engine keeps, and are
 * put together here.  Then the lead is replayed.
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
#include "rebuild.h"
#include "shard.h"

PG_FUNCTION_INFO_V1(leadscore_merge_logs);

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
	PipelinePart part = {PG_GETARG_OID(0), InvalidOid};
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
	pipeline = leadscore_pipeline_for_write(part);
	if (pipeline->distributed)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("leads of distributed tables cannot be merged"),
				 errhint("Move the events to one lead, and delete the other.")));
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
