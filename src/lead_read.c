/*-------------------------------------------------------------------------
 *
 * lead_read.c
 *		The functions by which apps ask where a lead stands.
 *
 * They read as the owner of the pipeline, so that an app needs no more than
 * EXECUTE on them; but a lead that row security hides from the caller is not
 * there for them either.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

#include "app.h"
#include "explain.h"
#include "guard.h"
#include "shard.h"
#include "stage.h"
#include "sweep.h"

PG_FUNCTION_INFO_V1(leadscore_may_contact_here);

/* A lead as of an instant */
typedef struct LeadThen
{
	int64		lead_id;
	ActivityList activity;
	uint8		stage;			/* of now */
} LeadThen;

/*
 * The same in shards.  If they have leads by lead_id, the name tells the number
 * of a lead, and so the shard.  Two names of one number are no lead in common.
 */
static bool
find_distributed(Pipeline *pipeline, Datum name, Snapshot snapshot, int64 *lead_id)
{
	Datum		number = Int64GetDatum(leadscore_number_of_name(name));
	AppStatement statement = pipeline->by_lead ? READ_NAME : READ_EXTERNAL_ID;
	bool		isnull = true;
	Datum		value = (Datum) 0;

	if (leadscore_app_run(pipeline, statement, pipeline->by_lead ? &number : &name, NULL, snapshot) > 0)
		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (!isnull && pipeline->by_lead)
	{
		if (!DatumGetBool(DirectFunctionCall2Coll(texteq, C_COLLATION_OID, value, name)))
			ereport(ERROR,
					(errcode(ERRCODE_UNIQUE_VIOLATION),
					 errmsg("lead_id " INT64_FORMAT " of this name is that of a lead with another name",
							DatumGetInt64(number)),
					 errhint("Give the lead another name, say with a suffix.")));
		value = number;
	}
	if (isnull && leadscore_app_run(pipeline, READ_ALIAS, &name, NULL, snapshot) > 0)
		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (!isnull)
		*lead_id = DatumGetInt64(value);
	return !isnull;
}

/* Find a lead by a name that the app has for it, its own or another one. */
bool
leadscore_find_lead(Pipeline *pipeline, Datum external_id, Snapshot snapshot, int64 *lead_id)
{
	AppCache   *cache = leadscore_app_cache(pipeline);
	bool		found;
	bool		isnull;

	external_id = leadscore_folded_name(external_id);
	if (pipeline->distributed)
		return find_distributed(pipeline, external_id, snapshot, lead_id);
	if (cache->plain && OidIsValid(cache->external_id_key))
	{
		Lookup		lookup;

		leadscore_lookup_open(&lookup, pipeline->lead, cache->external_id_key);
		found = leadscore_lookup_text(&lookup, external_id, snapshot);
		if (found)
			*lead_id = DatumGetInt64(slot_getattr(lookup.slot, cache->lead_id, &isnull));
		leadscore_lookup_close(&lookup);
	}
	else
	{
		found = leadscore_app_run(pipeline, READ_EXTERNAL_ID, &external_id, NULL, snapshot) > 0;
		if (found)
			*lead_id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
												   1, &isnull));
	}
	return found || leadscore_find_alias(pipeline, external_id, snapshot, lead_id);
}

/* Decode an activity, which must be of the pipeline's grain. */
static void
decode(const Pipeline *pipeline, Datum value, ActivityList *activity)
{
	MemoryContext context = CurrentMemoryContext;

	lead_activity_init(activity, pipeline->grain, 64);
	leadscore_activity_decode(DatumGetLeadActivityPP(value), activity);
	MemoryContextSwitchTo(context);
	if (activity->grain != pipeline->grain)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("activity of a lead has another grain than the pipeline"),
				 errhint("Run rebuild() of the pipeline.")));
}

/* Is a state as of now, or is it due to be looked at, or behind? */
static bool
is_current(const Pipeline *pipeline, TupleTableSlot *slot)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, pipeline->columns.configuration, &isnull);

	if (isnull || DatumGetInt64(value) < pipeline->configuration)
		return false;
	value = slot_getattr(slot, pipeline->columns.next_review_at, &isnull);
	return isnull || DatumGetTimestampTz(value) > GetCurrentTransactionStartTimestamp();
}

/* Is the state of a lead as of now?  In *found whether there is one. */
bool
leadscore_state_is_current(Pipeline *pipeline, int64 lead_id, Snapshot snapshot, bool *found)
{
	Lookup		lookup;
	bool		current;

	leadscore_lookup_open(&lookup, pipeline->state, leadscore_app_cache(pipeline)->state_key);
	*found = leadscore_lookup_number(&lookup, lead_id, snapshot);
	current = *found && is_current(pipeline, lookup.slot);
	leadscore_lookup_close(&lookup);
	return current;
}

/* The same in shards, of which the node that has the lead tells what is due */
static bool
find_distributed_state(Pipeline *pipeline, int64 lead_id, Snapshot snapshot,
					   ActivityList *activity, uint8 *stage)
{
	Datum		number = Int64GetDatum(lead_id);
	HeapTuple	row;
	Datum		value;
	char	   *label;
	bool		isnull;

	if (leadscore_app_run(pipeline, READ_STATE, &number, NULL, snapshot) == 0)
		return false;
	row = SPI_tuptable->vals[0];
	value = SPI_getbinval(row, SPI_tuptable->tupdesc, 1, &isnull);
	label = SPI_getvalue(row, SPI_tuptable->tupdesc, 2);
	if (isnull || label == NULL || !lead_stage_parse(label, strlen(label), stage))
		return false;
	if (activity)
		decode(pipeline, value, activity);
	return true;
}

/*
 * Find the activity and the stage of a lead as of now, including changes that
 * are due and that no sweep has recorded yet.
 */
bool
leadscore_find_state(Pipeline *pipeline, int64 lead_id, Snapshot snapshot,
					 ActivityList *activity, uint8 *stage)
{
	Lookup		lookup;
	bool		found;
	bool		current = true;
	bool		isnull[2];

	if (pipeline->distributed)
		return find_distributed_state(pipeline, lead_id, snapshot, activity, stage);
	leadscore_lookup_open(&lookup, pipeline->state, leadscore_app_cache(pipeline)->state_key);
	found = leadscore_lookup_number(&lookup, lead_id, snapshot);
	if (found)
	{
		Datum		value = slot_getattr(lookup.slot, pipeline->columns.activity, &isnull[0]);

		*stage = DatumGetLeadStage(slot_getattr(lookup.slot, pipeline->columns.stage, &isnull[1]));
		found = !isnull[0] && !isnull[1];
		current = is_current(pipeline, lookup.slot);
		if (found && current && activity)
			decode(pipeline, value, activity);
	}
	leadscore_lookup_close(&lookup);
	if (found && !current)
	{
		LeadForecast *forecast;

		PushActiveSnapshot(snapshot);
		forecast = leadscore_forecast(pipeline->part, lead_id, PG_INT64_MIN);
		PopActiveSnapshot();
		found = forecast != NULL;
		if (found)
			*stage = forecast->stage;
		if (found && activity)
			*activity = forecast->activity;
	}
	return found;
}

/* Was a lead in some stage at an instant, though it was created later? */
static bool
was_born(Pipeline *pipeline, int64 lead_id, TimestampTz at, Snapshot snapshot)
{
	Datum		values[2];

	values[0] = Int64GetDatum(lead_id);
	values[1] = TimestampTzGetDatum(at);
	return leadscore_app_run(pipeline, STAGE_AT, values, NULL, snapshot) > 0;
}

/*
 * A lead as it is now; false if there is none, or none yet at an instant.  A
 * table without a fitting index is read by a query.
 */
static bool
read_lead(Pipeline *pipeline, TimestampTz at, Snapshot snapshot, LeadThen *lead)
{
	AppCache   *cache = leadscore_app_cache(pipeline);
	Datum		value = Int64GetDatum(lead->lead_id);
	Lookup		lookup;
	bool		found;
	bool		isnull = true;
	TimestampTz created_at = 0;

	if (pipeline->distributed)
	{
		if (leadscore_app_run(pipeline, READ_LEAD, &value, NULL, snapshot) == 0)
			return false;
		created_at = DatumGetTimestampTz(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
		return !isnull && (created_at <= at || was_born(pipeline, lead->lead_id, at, snapshot)) &&
			find_distributed_state(pipeline, lead->lead_id, snapshot, &lead->activity, &lead->stage);
	}
	if (!cache->plain)
	{
		HeapTuple	row;
		bool		stateless;

		if (leadscore_app_run(pipeline, READ_LEAD, &value, NULL, snapshot) == 0)
			return false;
		row = SPI_tuptable->vals[0];
		created_at = DatumGetTimestampTz(SPI_getbinval(row, SPI_tuptable->tupdesc, 1, &isnull));
		if (isnull || (created_at > at && !was_born(pipeline, lead->lead_id, at, snapshot)))
			return false;
		decode(pipeline, SPI_getbinval(row, SPI_tuptable->tupdesc, 2, &stateless), &lead->activity);
		if (!lead_stage_parse(SPI_getvalue(row, SPI_tuptable->tupdesc, 3),
							  strlen(SPI_getvalue(row, SPI_tuptable->tupdesc, 3)), &lead->stage))
			return false;
		return true;
	}
	leadscore_lookup_open(&lookup, pipeline->lead, cache->lead_key);
	leadscore_column(RelationGetDescr(lookup.rel), "created_at", TIMESTAMPTZOID, "lead");
	found = leadscore_lookup_number(&lookup, lead->lead_id, snapshot);
	if (found)
		created_at = DatumGetTimestampTz(slot_getattr(lookup.slot, cache->created_at, &isnull));
	leadscore_lookup_close(&lookup);
	return found && !isnull &&
		(created_at <= at || was_born(pipeline, lead->lead_id, at, snapshot)) &&
		leadscore_find_state(pipeline, lead->lead_id, snapshot, &lead->activity, &lead->stage);
}

/* Take back signals that the profile has begun or ceased to match since. */
static void
take_back_profile(Pipeline *pipeline, TimestampTz at, Snapshot snapshot, LeadThen *lead)
{
	Datum		values[2];
	uint64		n;
	uint64		i;

	values[0] = Int64GetDatum(lead->lead_id);
	values[1] = TimestampTzGetDatum(at);
	n = leadscore_app_run(pipeline, PROFILE_SINCE, values, NULL, snapshot);
	for (i = 0; i < n; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		bool		isnull;
		int			signal = DatumGetInt16(SPI_getbinval(row, SPI_tuptable->tupdesc, 1, &isnull));
		int64		count = DatumGetInt64(SPI_getbinval(row, SPI_tuptable->tupdesc, 2, &isnull));

		/* a table may hold ids that no signal of an activity has */
		if (signal >= 0)
			lead_activity_count(&lead->activity, signal, 0, BUCKET_TIMELESS,
								-Max(count, -PG_INT64_MAX));
	}
}

/* Does row security show the caller the rows of a lead in a table? */
static bool
shows(Pipeline *pipeline, Oid table, AppStatement statement, int64 lead_id, Snapshot snapshot,
	  const UserSwitch *caller)
{
	Datum		value = Int64GetDatum(lead_id);
	UserSwitch	owner;
	bool		shown;

	if (check_enable_rls(table, caller->userid, true) != RLS_ENABLED)
		return true;
	GetUserIdAndSecContext(&owner.userid, &owner.sec_context);
	leadscore_run_back(caller);
	shown = leadscore_app_run(pipeline, statement, &value, NULL, snapshot) > 0;

	leadscore_run_back(&owner);
	return shown;
}

/*
 * The lead that the first argument of a function means, by its number or by
 * the app's name for it; false if the caller is not to see one.
 */
bool
leadscore_find_argument(FunctionCallInfo fcinfo, Pipeline *pipeline, Snapshot snapshot,
						const UserSwitch *caller, int64 *lead_id)
{
	const AppCall *call = fcinfo->flinfo->fn_extra;

	if (PG_ARGISNULL(0))
		return false;
	if (call->function->arguments[0] == 'i')
		*lead_id = PG_GETARG_INT64(0);
	else if (!leadscore_find_lead(pipeline, PG_GETARG_DATUM(0), snapshot, lead_id))
		return false;
	return shows(pipeline, pipeline->lead, SEE_LEAD, *lead_id, snapshot, caller) &&
		shows(pipeline, pipeline->state, SEE_STATE, *lead_id, snapshot, caller);
}

/* Begin to read: as the owner, with the snapshot of the query. */
Pipeline *
leadscore_read_begin(FunctionCallInfo fcinfo, UserSwitch *caller)
{
	Pipeline   *pipeline = leadscore_app_pipeline(fcinfo);

	leadscore_run_as(pipeline->owner, false, caller);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	return pipeline;
}

/* End a function that runs as the owner of the pipeline. */
void
leadscore_read_end(const UserSwitch *caller)
{
	SPI_finish();
	leadscore_run_back(caller);
}

/* lead_id(external_id): the number of a lead; NULL if there is none */
Datum
leadscore_lead_id(FunctionCallInfo fcinfo)
{
	UserSwitch	caller;
	Pipeline   *pipeline = leadscore_read_begin(fcinfo, &caller);
	int64		lead_id;
	bool		found = leadscore_find_argument(fcinfo, pipeline, GetActiveSnapshot(), &caller, &lead_id);

	leadscore_read_end(&caller);
	if (!found)
		PG_RETURN_NULL();
	PG_RETURN_INT64(lead_id);
}

/*
 * may_contact(external_id, channel, topic, at, transactional), and its twin by
 * number: the rule is in core/34-consent.sql.
 */
Datum
leadscore_may_contact(FunctionCallInfo fcinfo)
{
	UserSwitch	caller;
	Pipeline   *pipeline = leadscore_read_begin(fcinfo, &caller);
	Snapshot	snapshot = GetActiveSnapshot();
	Datum		values[5];
	char		nulls[5];
	int64		lead_id;
	bool		isnull;
	bool		result = false;
	int			i;

	if (leadscore_find_argument(fcinfo, pipeline, snapshot, &caller, &lead_id))
	{
		values[0] = Int64GetDatum(lead_id);
		nulls[0] = ' ';
		for (i = 1; i < 5; i++)
		{
			values[i] = PG_ARGISNULL(i) ? (Datum) 0 : PG_GETARG_DATUM(i);
			nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
		}
		if (PG_ARGISNULL(3))
		{
			values[3] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
			nulls[3] = ' ';
		}
		if (leadscore_app_run(pipeline, pipeline->distributed ? MAY_CONTACT_THERE : MAY_CONTACT, values, nulls, snapshot) > 0)
			result = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	}
	leadscore_read_end(&caller);
	PG_RETURN_BOOL(result);
}

/*
 * may_contact(pipeline, lead_id, channel, topic, at, transactional): the rule for a
 * lead in a shard of this node, with the rights of the caller
 */
Datum
leadscore_may_contact_here(PG_FUNCTION_ARGS)
{
	static const Oid types[5] = {INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID, BOOLOID};
	PipelinePart part;
	Datum		values[5];
	char		nulls[5];
	bool		result;
	bool		isnull;
	int			i;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	part = leadscore_part_of_lead(PG_GETARG_OID(0), PG_GETARG_INT64(1));
	for (i = 0; i < 5; i++)
	{
		values[i] = PG_GETARG_DATUM(i + 1);
		nulls[i] = PG_ARGISNULL(i + 1) ? 'n' : ' ';
	}
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	leadscore_call_function(part, "_may_contact", 5, types, values, nulls, true);
	result = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	PG_RETURN_BOOL(result);
}

/*
 * The model that a function is to judge by: the one that is active as its query
 * sees it, even if another session activates a model meanwhile, or the one that
 * was active then.  NULL if there is none.  A query looks up the active model
 * once.
 */
static ScorerCache *
find_model(FunctionCallInfo fcinfo, Pipeline *pipeline, TimestampTz at, bool of_then,
		   Snapshot snapshot)
{
	AppCall    *call = fcinfo->flinfo->fn_extra;
	AppCache   *cache = leadscore_app_cache(pipeline);
	Datum		value = TimestampTzGetDatum(at);
	Datum		compiled;
	bool		isnull;

	/* one that was not finished for an error is begun anew */
	if (cache->active && (cache->active->scorer == NULL || cache->active->evaluation == NULL))
		cache->active = NULL;
	if (!of_then && call->active && cache->active &&
		cache->active->scorer->model->hash == call->hash && leadscore_same_view(&call->seen, snapshot))
		return cache->active;
	if (leadscore_app_run(pipeline, of_then ? MODEL_OF_THEN : ACTIVE_MODEL,
						  of_then ? &value : NULL, NULL, snapshot) == 0)
		return NULL;
	compiled = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (of_then)
		return leadscore_scorer_cache_at(&call->then, fcinfo->flinfo->fn_mcxt, compiled);
	leadscore_scorer_cache_at(&cache->active, pipeline->context, compiled);
	call->active = true;
	call->seen = *snapshot;
	call->hash = cache->active->scorer->model->hash;
	return cache->active;
}

/* Evaluate the lead of the arguments (lead, at, as_of_model); NULL if there is none. */
static ScorerCache *
evaluate_argument(FunctionCallInfo fcinfo, Pipeline *pipeline, const UserSwitch *caller,
				  LeadThen *lead)
{
	Snapshot	snapshot = GetActiveSnapshot();
	TimestampTz at = PG_ARGISNULL(1) ? GetCurrentTransactionStartTimestamp() : PG_GETARG_TIMESTAMPTZ(1);
	bool		of_then = !PG_ARGISNULL(2) && PG_GETARG_BOOL(2);
	ScorerCache *site;

	if (!leadscore_find_argument(fcinfo, pipeline, snapshot, caller, &lead->lead_id) ||
		!read_lead(pipeline, at, snapshot, lead))
		return NULL;
	/* the profile of now and later is that of today */
	if (at < GetCurrentTransactionStartTimestamp())
		take_back_profile(pipeline, at, snapshot, lead);
	site = find_model(fcinfo, pipeline, at, of_then, snapshot);
	if (site)
	{
		leadscore_check_grain(site->scorer, &lead->activity);
		leadscore_evaluate(site->scorer, &lead->activity, bucket_of(at, pipeline->grain),
						   site->evaluation);
	}
	return site;
}

/* score(external_id, at, as_of_model), score_by_id(lead_id, at, as_of_model) */
Datum
leadscore_lead_score(FunctionCallInfo fcinfo)
{
	UserSwitch	caller;
	Pipeline   *pipeline = leadscore_read_begin(fcinfo, &caller);
	LeadThen	lead;
	ScorerCache *site = evaluate_argument(fcinfo, pipeline, &caller, &lead);

	leadscore_read_end(&caller);
	if (site == NULL)
		PG_RETURN_NULL();
	return leadscore_milli_numeric(site->evaluation->total);
}

/* explain(external_id, at, as_of_model), explain_by_id(…) */
Datum
leadscore_lead_explain(FunctionCallInfo fcinfo)
{
	UserSwitch	caller;
	Pipeline   *pipeline;
	LeadThen	lead;
	ScorerCache *site;

	InitMaterializedSRF(fcinfo, 0);
	pipeline = leadscore_read_begin(fcinfo, &caller);
	site = evaluate_argument(fcinfo, pipeline, &caller, &lead);
	if (site)
		leadscore_explain_rows((ReturnSetInfo *) fcinfo->resultinfo, site->scorer,
							   site->evaluation);
	leadscore_read_end(&caller);
	return (Datum) 0;
}

/* What is missing first, then by the name of the gate */
static int
line_cmp(const ListCell *a, const ListCell *b)
{
	const GateLine *x = lfirst(a);
	const GateLine *y = lfirst(b);

	if (x->met != y->met)
		return x->met ? 1 : -1;
	return strcmp(x->gate, y->gate);
}

/* next_steps(external_id), next_steps_by_id(lead_id) */
Datum
leadscore_lead_next_steps(FunctionCallInfo fcinfo)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	Snapshot	snapshot = GetActiveSnapshot();
	UserSwitch	caller;
	Pipeline   *pipeline;
	LeadThen	lead;
	ScorerCache *site = NULL;
	List	   *lines = NIL;
	uint8		next = 0;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	pipeline = leadscore_read_begin(fcinfo, &caller);
	if (leadscore_find_argument(fcinfo, pipeline, snapshot, &caller, &lead.lead_id) &&
		read_lead(pipeline, DT_NOEND, snapshot, &lead))
		site = find_model(fcinfo, pipeline, now, false, snapshot);
	if (site)
	{
		leadscore_check_grain(site->scorer, &lead.activity);
		leadscore_evaluate(site->scorer, &lead.activity, bucket_of(now, pipeline->grain),
						   site->evaluation);
		lines = list_concat(leadscore_gate_lines(site->scorer, site->evaluation),
							leadscore_milestone_lines(site->scorer));
	}
	foreach(lc, lines)
	{
		uint8		stage = ((GateLine *) lfirst(lc))->stage;

		if (stage > lead.stage && stage > LEAD_STAGE_VISITOR && (next == 0 || stage < next))
			next = stage;
	}
	list_sort(lines, line_cmp);
	foreach(lc, lines)
	{
		const GateLine *line = lfirst(lc);
		Datum		values[4];
		bool		nulls[4] = {false, false, false, line->missing == NULL};

		if (line->stage != next)
			continue;
		values[0] = CStringGetTextDatum(lead_stage_label(line->stage));
		values[1] = CStringGetTextDatum(line->gate);
		values[2] = BoolGetDatum(line->met);
		values[3] = line->missing ? CStringGetTextDatum(line->missing) : (Datum) 0;
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	leadscore_read_end(&caller);
	return (Datum) 0;
}

/* stage_at(external_id, at, as_known_at), stage_at_by_id(lead_id, …) */
Datum
leadscore_lead_stage_at(FunctionCallInfo fcinfo)
{
	MemoryContext context = CurrentMemoryContext;
	Snapshot	snapshot = GetActiveSnapshot();
	UserSwitch	caller;
	Pipeline   *pipeline = leadscore_read_begin(fcinfo, &caller);
	int64		lead_id;
	Datum		result = (Datum) 0;

	if (leadscore_find_argument(fcinfo, pipeline, snapshot, &caller, &lead_id) &&
		shows(pipeline, pipeline->stage_log, SEE_STAGES, lead_id, snapshot, &caller))
	{
		Datum		values[3];
		AppStatement statement = PG_ARGISNULL(2) ? STAGE_AT : STAGE_AS_KNOWN_AT;

		values[0] = Int64GetDatum(lead_id);
		values[1] = PG_ARGISNULL(1) ? TimestampTzGetDatum(GetCurrentTransactionStartTimestamp()) :
			PG_GETARG_DATUM(1);
		values[2] = PG_GETARG_DATUM(2);
		if (leadscore_app_run(pipeline, statement, values, NULL, snapshot) > 0)
		{
			char	   *stage = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
			MemoryContext oldcontext = MemoryContextSwitchTo(context);

			result = CStringGetTextDatum(stage);
			MemoryContextSwitchTo(oldcontext);
		}
	}
	leadscore_read_end(&caller);
	if (result == (Datum) 0)
		PG_RETURN_NULL();
	return result;
}
