/*-------------------------------------------------------------------------
 *
 * model_compare.c
 *		Two models over all leads of a pipeline, in one pass.
 *
 * A query that computes both scores of every lead and groups them would take the
 * memory of a row for each lead; this keeps one sum for each pair of stages, and
 * only leads that the models judge differently, sorted within work_mem.
 *
 * Parallel workers can each take some blocks of lead_state.  They hand over what
 * they found as rows, and the leader puts these together.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "optimizer/cost.h"
#include "storage/bufmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/tuplesort.h"

#include "leadscore.h"
#include "pipeline.h"
#include "progress.h"
#include "score_pair.h"
#include "stage.h"

PG_FUNCTION_INFO_V1(leadscore_compare_leads);
PG_FUNCTION_INFO_V1(leadscore_compare_blocks);

#define STAGES			(LEAD_STAGE_ADVOCATE + 1)
#define SHARES			16
#define SHARE_BLOCKS	256		/* that are worth a share of their own */
#define PROGRESS_ROWS	1000

/* The leads that have one pair of stages under the two models */
typedef struct StagePair
{
	int64		leads;
	int64		points[2];		/* milli-points, added up */
	Tuplesortstate *differing;	/* leads with other points or another stage;
								 * NULL: none */
} StagePair;

/* A comparison that goes on: it takes rows as an executor hands them over. */
typedef struct Comparison
{
	DestReceiver receiver;
	MemoryContext context;
	MemoryContext scratch;		/* for one row */
	ScorerCache *sites[2];
	ScorerPair *pair;
	TimestampTz at;
	bool		past;
	ReturnSetInfo *rsinfo;		/* of a worker */
	TupleTableSlot *differing;
	int64		rows;			/* that progress does not know of */
	StagePair	pairs[STAGES * STAGES];
} Comparison;

/* a + b, at the end of the range if it is beyond */
static int64
saturating_add(int64 a, int64 b)
{
	int64		sum;

	if (pg_add_s64_overflow(a, b, &sum))
		return a < 0 ? PG_INT64_MIN : PG_INT64_MAX;
	return sum;
}

/* points / leads, rounded half away from zero */
static int64
mean(int128 points, int64 leads)
{
	int128		twice = (points < 0 ? -points : points) * 2;
	int64		result = (int64) ((twice + leads) / ((int128) leads * 2));

	return points < 0 ? -result : result;
}

/* Add leads to what is known of their stages. */
static void
add_leads(Comparison *c, const uint8 *stages, int64 leads, const int64 *points)
{
	StagePair  *pair = &c->pairs[stages[0] * STAGES + stages[1]];
	int			i;

	pair->leads += leads;
	for (i = 0; i < 2; i++)
		pair->points[i] = saturating_add(pair->points[i], points[i]);
}

/* Keep a lead that the models judge differently, to be returned in order. */
static void
keep_lead(Comparison *c, const uint8 *stages, int64 lead_id, const int64 *points)
{
	StagePair  *pair = &c->pairs[stages[0] * STAGES + stages[1]];
	TupleTableSlot *slot = c->differing;

	if (pair->differing == NULL)
	{
		AttrNumber	column = 1;
		Oid			operator = Int8LessOperator;
		Oid			collation = InvalidOid;
		bool		nulls_first = false;
		MemoryContext oldcontext = MemoryContextSwitchTo(c->context);

		/* there are a few pairs, mostly four or so with many leads */
		pair->differing = tuplesort_begin_heap(slot->tts_tupleDescriptor, 1, &column, &operator,
											   &collation, &nulls_first, Max(work_mem / 4, 64),
											   NULL, TUPLESORT_NONE);
		MemoryContextSwitchTo(oldcontext);
	}
	ExecClearTuple(slot);
	slot->tts_values[0] = Int64GetDatum(lead_id);
	slot->tts_values[1] = Int64GetDatum(points[0]);
	slot->tts_values[2] = Int64GetDatum(points[1]);
	ExecStoreVirtualTuple(slot);
	tuplesort_puttupleslot(pair->differing, slot);
}

/* Return a row of a worker; without a lead_id it is a sum over leads. */
static void
put_share(ReturnSetInfo *rsinfo, const int64 *lead_id, int64 leads,
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

/* Do what has to be done now and then. */
static void
count_rows(Comparison *c, int64 rows)
{
	c->rows += rows;
	if (c->rows < PROGRESS_ROWS)
		return;
	leadscore_progress_count(c->rows);
	c->rows = 0;
}

/* Begin to receive leads: what the query returns must be what it seems to be. */
static void
leads_startup(DestReceiver *self, int operation, TupleDesc desc)
{
	leadscore_column(desc, "lead_id", INT8OID, "lead_state");
	leadscore_column(desc, "activity", leadscore_type("lead_activity"), "lead_state");
}

/* Score a lead by both models. */
static bool
receive_lead(TupleTableSlot *slot, DestReceiver *self)
{
	Comparison *c = (Comparison *) self;
	ActivityList *activity = &c->sites[0]->activity;
	MemoryContext oldcontext;
	int64		points[2];
	int64		lead_id;
	Datum		value;
	bool		isnull;

	/* a share is counted when it comes in */
	if (c->rsinfo == NULL)
		count_rows(c, 1);
	lead_id = DatumGetInt64(slot_getattr(slot, 1, &isnull));
	value = slot_getattr(slot, 2, &isnull);
	if (isnull)
		return true;
	oldcontext = MemoryContextSwitchTo(c->scratch);
	leadscore_scorer_cache_activity(c->sites[0], DatumGetLeadActivityPP(value));
	leadscore_check_grain(c->sites[1]->scorer, activity);
	if (c->past)
	{
		Datum		signals = slot_getattr(slot, 3, &isnull);

		if (!isnull)
			take_back(activity, signals, slot_getattr(slot, 4, &isnull));
	}
	leadscore_pair_evaluate(c->pair, activity, bucket_of(c->at, activity->grain));
	points[0] = c->pair->evaluations[0]->total;
	points[1] = c->pair->evaluations[1]->total;
	add_leads(c, c->pair->stages, 1, points);
	if (c->pair->stages[0] != c->pair->stages[1] || points[0] != points[1])
	{
		if (c->rsinfo)
			put_share(c->rsinfo, &lead_id, 1, c->pair->stages, points);
		else
			keep_lead(c, c->pair->stages, lead_id, points);
	}
	MemoryContextSwitchTo(oldcontext);
	MemoryContextReset(c->scratch);
	return true;
}

/* Take a row that put_share() has made. */
static bool
receive_share(TupleTableSlot *slot, DestReceiver *self)
{
	Comparison *c = (Comparison *) self;
	uint8		stages[2];
	int64		points[2];
	int64		leads;

	slot_getallattrs(slot);
	leads = DatumGetInt64(slot->tts_values[1]);
	stages[0] = DatumGetLeadStage(slot->tts_values[2]);
	stages[1] = DatumGetLeadStage(slot->tts_values[3]);
	points[0] = DatumGetInt64(slot->tts_values[4]);
	points[1] = DatumGetInt64(slot->tts_values[5]);
	if (slot->tts_isnull[0])
	{
		count_rows(c, leads);
		add_leads(c, stages, leads, points);
	}
	else
		keep_lead(c, stages, DatumGetInt64(slot->tts_values[0]), points);
	return true;
}

static void
share_startup(DestReceiver *self, int operation, TupleDesc desc)
{
}

/* The executor ends, and the comparison stays. */
static void
receiver_shutdown(DestReceiver *self)
{
}

/* Begin a comparison of two models at an instant. */
static Comparison *
comparison_begin(Datum a, Datum b, TimestampTz at)
{
	Comparison *c = palloc0(sizeof(Comparison));
	TupleDesc	desc = CreateTemplateTupleDesc(3);
	int			i;

	c->context = CurrentMemoryContext;
	c->scratch = AllocSetContextCreate(CurrentMemoryContext, "leadscore comparison", ALLOCSET_DEFAULT_SIZES);
	c->at = at;
	c->past = at < GetCurrentTransactionStartTimestamp();
	c->receiver.receiveSlot = receive_lead;
	c->receiver.rStartup = leads_startup;
	c->receiver.rShutdown = receiver_shutdown;
	c->receiver.rDestroy = receiver_shutdown;
	c->receiver.mydest = DestTuplestore;
	leadscore_scorer_cache_at(&c->sites[0], c->context, a);
	leadscore_scorer_cache_at(&c->sites[1], c->context, b);
	c->pair = leadscore_pair_create(c->sites[0]->scorer, c->sites[1]->scorer);
	for (i = 1; i <= 3; i++)
		TupleDescInitEntry(desc, (AttrNumber) i, NULL, INT8OID, -1, 0);
	c->differing = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	return c;
}

/* Run a query that reads nothing but what the caller may; the rows go to a comparison. */
static void
run_query(Comparison *c, const char *sql, int nargs, Oid *types, Datum *values)
{
	SPIExecuteOptions options = {0};

	/* an executor of an extension may not expect an empty list */
	ParamListInfo params = nargs > 0 ? makeParamList(nargs) : NULL;
	int			i;

	for (i = 0; i < nargs; i++)
		params->params[i] = (ParamExternData)
	{
		values[i], false, PARAM_FLAG_CONST, types[i]
	};
	options.params = params;
	options.read_only = true;
	options.dest = &c->receiver;
	if (SPI_execute_extended(sql, &options) != SPI_OK_SELECT)
		elog(ERROR, "could not compare leads: %s", sql);
}

/* Is there a lead that is created only after an instant? */
static bool
leads_to_come(Oid lead, TimestampTz at)
{
	Oid			type = TIMESTAMPTZOID;
	Datum		value = TimestampTzGetDatum(at);
	char	   *sql = psprintf("SELECT 1 FROM %s WHERE created_at OPERATOR(pg_catalog.>) $1 LIMIT 1",
							   leadscore_table_name(lead));

	/* a limit of rows here would keep workers away */
	if (SPI_execute_with_args(sql, 1, &type, &value, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not look for leads: %s", sql);
	return SPI_processed > 0;
}

/*
 * Read of each lead that existed at $1: its activity, and the signals that its
 * profile has begun to match since, which are to be taken back.  For an instant
 * that is not in the past the profile is that of now.
 *
 * Few leads did not exist yet, or none, so these are left out: a join of all
 * leads would take longer than to score them.  But it leaves out leads that row
 * security hides.  NULL if all leads are to be read as they are.
 */
static char *
leads_sql(Oid schema, bool past, TimestampTz at)
{
	Oid			lead = leadscore_table(schema, "lead");
	bool		hidden = check_enable_rls(lead, InvalidOid, true) == RLS_ENABLED;
	StringInfoData sql;

	if (!past && !hidden && !leads_to_come(lead, at))
		return NULL;
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
	appendStringInfo(&sql, hidden ?
					 " WHERE EXISTS (SELECT FROM %s l WHERE l.lead_id OPERATOR(pg_catalog.=) s.lead_id"
					 "  AND l.created_at OPERATOR(pg_catalog.<=) $1)" :
					 " WHERE NOT EXISTS (SELECT FROM %s l WHERE l.lead_id OPERATOR(pg_catalog.=) s.lead_id"
					 "  AND l.created_at OPERATOR(pg_catalog.>) $1)",
					 leadscore_table_name(lead));
	return sql.data;
}

/* Read all leads as they are now, or of some blocks: [first, last), last 0: all. */
static void
read_states(Comparison *c, Oid schema, int64 first, int64 last)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT s.lead_id, s.activity FROM %s s",
					 leadscore_table_name(leadscore_table(schema, "lead_state")));
	if (first > 0 || last > 0)
		appendStringInfo(&sql, " WHERE s.ctid OPERATOR(pg_catalog.>=) '(" INT64_FORMAT ",0)'::pg_catalog.tid", first);
	if (last > 0)
		appendStringInfo(&sql, " AND s.ctid OPERATOR(pg_catalog.<) '(" INT64_FORMAT ",0)'::pg_catalog.tid", last);
	run_query(c, sql.data, 0, NULL, NULL);
}

/*
 * The blocks of lead_state, if workers can be given ranges of them; else 0.  The
 * policies of row security may call what no worker can run.
 */
static int64
blocks_to_share(Oid schema)
{
	Relation	rel = table_open(leadscore_table(schema, "lead_state"), AccessShareLock);
	int64		blocks = 0;

	if (rel->rd_rel->relkind == RELKIND_RELATION && rel->rd_rel->relam == HEAP_TABLE_AM_OID &&
		!RelationUsesLocalBuffers(rel) &&
		check_enable_rls(RelationGetRelid(rel), InvalidOid, true) != RLS_ENABLED)
		blocks = RelationGetNumberOfBlocks(rel);
	table_close(rel, AccessShareLock);
	return max_parallel_workers_per_gather > 0 && blocks >= SHARE_BLOCKS * 2 ? blocks : 0;
}

/* Have workers score all leads as they are now, as many as the planner takes. */
static void
share_blocks(Comparison *c, FunctionCallInfo fcinfo, int64 blocks)
{
	Oid			types[4] = {REGNAMESPACEOID, leadscore_type("lead_model"), leadscore_type("lead_model"), TIMESTAMPTZOID};
	Datum		values[4];
	int			shares = (int) Min(SHARES, blocks / SHARE_BLOCKS);
	StringInfoData sql;
	int			i;

	initStringInfo(&sql);
	for (i = 0; i < 4; i++)
		values[i] = PG_GETARG_DATUM(i);
	for (i = 0; i < shares; i++)
		/* what was written after the last block was counted is of no snapshot */
		appendStringInfo(&sql, "%sSELECT * FROM leadscore_internal.compare_blocks($1, $2, $3, $4, " INT64_FORMAT ", " INT64_FORMAT ")",
						 i > 0 ? " UNION ALL " : "", blocks * i / shares,
						 i + 1 < shares ? blocks * (i + 1) / shares : 0);
	c->receiver.receiveSlot = receive_share;
	c->receiver.rStartup = share_startup;
	run_query(c, sql.data, 4, types, values);
}

/* The label of a stage as text */
static Datum
stage_text(uint8 stage)
{
	return CStringGetTextDatum(lead_stage_label(stage));
}

/* Return what was found: pairs of stages, the highest first, and then leads in this order. */
static void
return_comparison(Comparison *c, ReturnSetInfo *rsinfo)
{
	Datum		values[8] = {0};
	bool		nulls[8] = {false, true, false, false, false, false, false, false};
	int			i;

	values[0] = CStringGetTextDatum("stage");
	for (i = STAGES * STAGES - 1; i >= 0; i--)
	{
		StagePair  *pair = &c->pairs[i];

		if (pair->leads == 0)
			continue;
		values[2] = Int64GetDatum(pair->leads);
		values[3] = stage_text((uint8) (i / STAGES));
		values[4] = stage_text((uint8) (i % STAGES));
		values[5] = leadscore_milli_numeric(mean(pair->points[0], pair->leads));
		values[6] = leadscore_milli_numeric(mean(pair->points[1], pair->leads));
		values[7] = leadscore_milli_numeric(mean((int128) pair->points[1] - pair->points[0], pair->leads));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	values[0] = CStringGetTextDatum("lead");
	values[2] = Int64GetDatum(1);
	nulls[1] = false;
	for (i = STAGES * STAGES - 1; i >= 0; i--)
	{
		Tuplesortstate *differing = c->pairs[i].differing;
		TupleTableSlot *slot;

		if (differing == NULL)
			continue;
		values[3] = stage_text((uint8) (i / STAGES));
		values[4] = stage_text((uint8) (i % STAGES));
		slot = MakeSingleTupleTableSlot(c->differing->tts_tupleDescriptor, &TTSOpsMinimalTuple);
		tuplesort_performsort(differing);
		while (tuplesort_gettupleslot(differing, true, false, slot, NULL))
		{
			MemoryContext oldcontext = MemoryContextSwitchTo(c->scratch);
			int64		points[2];

			CHECK_FOR_INTERRUPTS();
			slot_getallattrs(slot);
			points[0] = DatumGetInt64(slot->tts_values[1]);
			points[1] = DatumGetInt64(slot->tts_values[2]);
			values[1] = slot->tts_values[0];
			values[5] = leadscore_milli_numeric(points[0]);
			values[6] = leadscore_milli_numeric(points[1]);
			values[7] = leadscore_milli_numeric(points[1] - points[0]);
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
			MemoryContextSwitchTo(oldcontext);
			MemoryContextReset(c->scratch);
		}
		ExecDropSingleTupleTableSlot(slot);
		tuplesort_end(differing);
	}
}

/*
 * compare_leads(pipeline, a, b, at): the rows of compare_models(), in order.
 * There is a row for every pair of qualified stages, with the means of its
 * leads, and for every lead that has another score or qualified stage under model
 * b than under model a.  Leads are as they were then: without signals that their
 * profile has come to match since, and without leads that did not exist yet.
 * Reads with the rights of the caller.
 */
Datum
leadscore_compare_leads(PG_FUNCTION_ARGS)
{
	Oid			schema = PG_GETARG_OID(0);
	TimestampTz at = PG_GETARG_TIMESTAMPTZ(3);
	Comparison *c;
	bool		outermost;
	char	   *sql;
	int64		blocks;

	InitMaterializedSRF(fcinfo, 0);
	c = comparison_begin(PG_GETARG_DATUM(1), PG_GETARG_DATUM(2), at);
	outermost = leadscore_progress_begin(schema, TASK_COMPARE_MODELS, PHASE_MODELS);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	sql = leads_sql(schema, c->past, at);
	if (sql)
	{
		Oid			type = TIMESTAMPTZOID;
		Datum		value = TimestampTzGetDatum(at);

		run_query(c, sql, 1, &type, &value);
	}
	else if ((blocks = blocks_to_share(schema)) > 0)
		share_blocks(c, fcinfo, blocks);
	else
		read_states(c, schema, 0, 0);
	SPI_finish();
	leadscore_progress_end(outermost);
	return_comparison(c, (ReturnSetInfo *) fcinfo->resultinfo);
	return (Datum) 0;
}

/*
 * compare_blocks(pipeline, a, b, at, first, last): the same for the leads in
 * some blocks of lead_state as they are now.  Every lead that differs comes at
 * once, and with lead_id NULL the sums of each pair of stages.
 */
Datum
leadscore_compare_blocks(PG_FUNCTION_ARGS)
{
	Comparison *c;
	int			i;

	InitMaterializedSRF(fcinfo, 0);
	c = comparison_begin(PG_GETARG_DATUM(1), PG_GETARG_DATUM(2), PG_GETARG_TIMESTAMPTZ(3));
	c->past = false;
	c->rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	read_states(c, PG_GETARG_OID(0), PG_GETARG_INT64(4), PG_GETARG_INT64(5));
	SPI_finish();
	for (i = 0; i < STAGES * STAGES; i++)
		if (c->pairs[i].leads > 0)
		{
			uint8		stages[2] = {(uint8) (i / STAGES), (uint8) (i % STAGES)};

			put_share(c->rsinfo, NULL, c->pairs[i].leads, stages, c->pairs[i].points);
		}
	return (Datum) 0;
}
