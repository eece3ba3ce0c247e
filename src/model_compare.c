/*-------------------------------------------------------------------------
 *
 * model_compare.c
 *		Two models over all leads of a pipeline, in one pass.
 *
 * A query that computes both scores of every lead and groups them would take the
 * memory of a row for each lead; this keeps one sum for each pair of stages, and
 * returns a lead of its own only where the models differ.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/rls.h"

#include "leadscore.h"
#include "pipeline.h"
#include "progress.h"
#include "stage.h"

PG_FUNCTION_INFO_V1(leadscore_compare_leads);

#define FETCH_ROWS	1000
#define STAGES		(LEAD_STAGE_ADVOCATE + 1)

/* The leads that have one pair of stages under the two models */
typedef struct StagePair
{
	int64		leads;
	int64		points[2];		/* milli-points, added up */
} StagePair;

/* a + b, at the end of the range if it is beyond */
static int64
saturating_add(int64 a, int64 b)
{
	int64		sum;

	if (pg_add_s64_overflow(a, b, &sum))
		return a < 0 ? PG_INT64_MIN : PG_INT64_MAX;
	return sum;
}

/* Append a row to the result; without a lead_id it is a sum over leads. */
static void
put_comparison(ReturnSetInfo *rsinfo, const int64 *lead_id, int64 leads,
			   const uint8 *stages, const int64 *points)
{
	Datum		values[6];
	bool		nulls[6] = {lead_id == NULL, false, false, false, false, false};

	values[0] = lead_id ? Int64GetDatum(*lead_id) : (Datum) 0;
	values[1] = Int64GetDatum(leads);
	values[2] = LeadStageGetDatum(stages[0]);
	values[3] = LeadStageGetDatum(stages[1]);
	values[4] = Int64GetDatum(points[0]);
	values[5] = Int64GetDatum(points[1]);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/*
 * Read of each lead that existed at $1: its activity, and the signals that its
 * profile has begun to match since, which are to be taken back.  For an instant
 * that is not in the past the profile is that of now.
 *
 * Few leads did not exist yet, or none, so these are left out: a join of all
 * leads would take longer than to score them.  But it leaves out leads that row
 * security hides.
 */
static char *
leads_sql(Oid schema, bool past)
{
	Oid			lead = leadscore_table(schema, "lead");
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT s.lead_id, s.activity%s FROM %s s", past ? ", c.signals, c.counts" : "",
					 leadscore_table_name(leadscore_table(schema, "lead_state")));
	if (past)
		appendStringInfo(&sql, " LEFT JOIN (SELECT p.lead_id, pg_catalog.array_agg(g.signal_id::pg_catalog.int8) AS signals,"
						 "  pg_catalog.array_agg(p.count::pg_catalog.int8) AS counts"
						 "  FROM %s p JOIN %s g ON g.signal OPERATOR(pg_catalog.=) p.signal"
						 "  WHERE p.changed_at OPERATOR(pg_catalog.>) $1 GROUP BY p.lead_id) c"
						 " ON c.lead_id OPERATOR(pg_catalog.=) s.lead_id",
						 leadscore_table_name(leadscore_table(schema, "profile_change")),
						 leadscore_table_name(leadscore_table(schema, "signal")));
	appendStringInfo(&sql, check_enable_rls(lead, InvalidOid, true) == RLS_ENABLED ?
					 " WHERE EXISTS (SELECT FROM %s l WHERE l.lead_id OPERATOR(pg_catalog.=) s.lead_id"
					 "  AND l.created_at OPERATOR(pg_catalog.<=) $1)" :
					 " WHERE NOT EXISTS (SELECT FROM %s l WHERE l.lead_id OPERATOR(pg_catalog.=) s.lead_id"
					 "  AND l.created_at OPERATOR(pg_catalog.>) $1)",
					 leadscore_table_name(lead));
	return sql.data;
}

/* Take back signals that a profile has begun or ceased to match. */
static void
take_back(ActivityList *activity, Datum signals, Datum counts)
{
	Datum	   *ids;
	Datum	   *changes;
	int			n;
	int			i;

	deconstruct_array(DatumGetArrayTypeP(signals), INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
					  TYPALIGN_DOUBLE, &ids, NULL, &n);
	deconstruct_array(DatumGetArrayTypeP(counts), INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
					  TYPALIGN_DOUBLE, &changes, NULL, &n);
	for (i = 0; i < n; i++)
	{
		int64		signal = DatumGetInt64(ids[i]);
		int64		count = DatumGetInt64(changes[i]);

		/* a table may hold ids that no signal of an activity has */
		if (signal >= 0 && signal <= PG_INT16_MAX)
			lead_activity_count(activity, (int32) signal, 0, BUCKET_TIMELESS,
								-Max(count, -PG_INT64_MAX));
	}
	pfree(ids);
	pfree(changes);
}

/*
 * compare_leads(pipeline, a, b, at): a row for every lead that has another
 * score or qualified stage under model b than under model a, and a row with
 * lead_id NULL for every pair of stages, with the milli-points of its leads
 * added up.  Leads are as they were then: without signals that their profile
 * has come to match since, and without leads that did not exist yet.  Reads
 * with the rights of the caller.
 */
Datum
leadscore_compare_leads(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int64		at = PG_GETARG_TIMESTAMPTZ(3);
	bool		past = at < GetCurrentTransactionStartTimestamp();
	Oid			type = TIMESTAMPTZOID;
	Datum		argument = TimestampTzGetDatum(at);
	ScorerCache *sites[2] = {NULL, NULL};
	StagePair  *pairs = palloc0(sizeof(StagePair) * STAGES * STAGES);
	uint8		stages[2];
	int64		points[2];
	Portal		portal;
	bool		outermost;
	int			i;

	InitMaterializedSRF(fcinfo, 0);
	for (i = 0; i < 2; i++)
		leadscore_scorer_cache_at(&sites[i], CurrentMemoryContext, PG_GETARG_DATUM(i + 1));
	outermost = leadscore_progress_begin(PG_GETARG_OID(0), TASK_COMPARE_MODELS, PHASE_MODELS);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	portal = SPI_cursor_open_with_args(NULL,
									   leads_sql(PG_GETARG_OID(0), past),
									   1, &type, &argument, NULL, true, CURSOR_OPT_NO_SCROLL);
	leadscore_column(portal->tupDesc, "lead_id", INT8OID, "lead_state");
	leadscore_column(portal->tupDesc, "activity", leadscore_type("lead_activity"), "lead_state");
	for (;;)
	{
		uint64		row;

		CHECK_FOR_INTERRUPTS();
		SPI_cursor_fetch(portal, true, FETCH_ROWS);
		if (SPI_processed == 0)
			break;
		for (row = 0; row < SPI_processed; row++)
		{
			HeapTuple	tuple = SPI_tuptable->vals[row];
			ActivityList *activity = &sites[0]->activity;
			bool		isnull;
			int64		lead_id;
			Datum		value;
			StagePair  *pair;

			lead_id = DatumGetInt64(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 1, &isnull));
			value = SPI_getbinval(tuple, SPI_tuptable->tupdesc, 2, &isnull);
			if (isnull)
				continue;
			leadscore_scorer_cache_activity(sites[0], DatumGetLeadActivityPP(value));
			leadscore_check_grain(sites[1], activity);
			if (past)
			{
				Datum		signals = SPI_getbinval(tuple, SPI_tuptable->tupdesc, 3, &isnull);

				if (!isnull)
					take_back(activity, signals,
							  SPI_getbinval(tuple, SPI_tuptable->tupdesc, 4, &isnull));
			}
			for (i = 0; i < 2; i++)
			{
				leadscore_evaluate(sites[i]->scorer, activity,
								   bucket_of(at, activity->grain), sites[i]->evaluation);
				stages[i] = leadscore_qualified_stage(sites[i]->scorer, sites[i]->evaluation);
				points[i] = sites[i]->evaluation->total;
			}
			pair = &pairs[stages[0] * STAGES + stages[1]];
			pair->leads++;
			for (i = 0; i < 2; i++)
				pair->points[i] = saturating_add(pair->points[i], points[i]);
			if (stages[0] != stages[1] || points[0] != points[1])
				put_comparison(rsinfo, &lead_id, 1, stages, points);
		}
		leadscore_progress_count((int64) SPI_processed);
		SPI_freetuptable(SPI_tuptable);
	}
	SPI_cursor_close(portal);
	SPI_finish();
	leadscore_progress_end(outermost);
	for (i = 0; i < STAGES * STAGES; i++)
		if (pairs[i].leads > 0)
		{
			stages[0] = (uint8) (i / STAGES);
			stages[1] = (uint8) (i % STAGES);
			put_comparison(rsinfo, NULL, pairs[i].leads, stages, pairs[i].points);
		}
	return (Datum) 0;
}
