/*-------------------------------------------------------------------------
 *
 * model_cache.c
 *		From SQL arguments to an evaluation, with the model decoded once.
 *
 * A query that scores a million leads hands over the same model a million
 * times.  The function's call site keeps the model made ready, and knows it
 * again by its toast pointer or, inline, by the hash in its header; so no row
 * pays for detoasting it.
 *
 * A row of a view asks for the score, for the points of dimensions and for
 * grades of one lead.  The first of these call sites evaluates its activity, and
 * the others take what it found.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "utils/memutils.h"

#include "leadscore.h"

/* The call site that evaluated last, if it is still there */
static ScorerCache *latest = NULL;

/* A call site goes, with its query. */
static void
forget(void *site)
{
	if (latest == site)
		latest = NULL;
}

/* Does the call site hold this model already? */
static bool
same_model(const ScorerCache *site, Datum value)
{
	const struct varlena *raw = (const struct varlena *) DatumGetPointer(value);
	const LeadModel *model;

	if (site->scorer == NULL)
		return false;
	if (VARATT_IS_EXTERNAL_ONDISK(raw))
	{
		struct varatt_external toast;

		VARATT_EXTERNAL_GET_POINTER(toast, raw);
		return site->toasted && toast.va_valueid == site->toast_value &&
			toast.va_toastrelid == site->toast_relation;
	}
	if (VARATT_IS_EXTENDED(raw))
		return false;
	model = (const LeadModel *) raw;
	return VARSIZE(model) == VARSIZE(site->scorer->model) &&
		model->hash == site->scorer->model->hash;
}

/* A call site, made if it is not there yet, ready for a model */
ScorerCache *
leadscore_scorer_cache_at(ScorerCache **place, MemoryContext context, Datum value)
{
	ScorerCache *site = *place;
	const struct varlena *raw = (const struct varlena *) DatumGetPointer(value);
	const LeadModel *model;
	LeadModel  *copy;
	MemoryContext oldcontext;

	if (site == NULL)
	{
		oldcontext = MemoryContextSwitchTo(context);
		site = palloc0(sizeof(ScorerCache));
		site->context = AllocSetContextCreate(CurrentMemoryContext,
											  "leadscore model", ALLOCSET_DEFAULT_SIZES);
		lead_activity_init(&site->activity, GRAIN_DAY, 64);
		site->evaluated_capacity = 256;
		site->evaluated = palloc(site->evaluated_capacity);
		site->forget.func = forget;
		site->forget.arg = site;
		MemoryContextRegisterResetCallback(context, &site->forget);
		MemoryContextSwitchTo(oldcontext);
		*place = site;
	}
	if (same_model(site, value))
		return site;

	model = leadscore_model_read(value);
	if (site->scorer != NULL && VARSIZE(model) == VARSIZE(site->scorer->model) &&
		model->hash == site->scorer->model->hash)
		return site;

	forget(site);
	site->scorer = NULL;
	MemoryContextReset(site->context);
	oldcontext = MemoryContextSwitchTo(site->context);
	copy = palloc(VARSIZE(model));
	memcpy(copy, model, VARSIZE(model));
	site->toasted = VARATT_IS_EXTERNAL_ONDISK(raw);
	if (site->toasted)
	{
		struct varatt_external toast;

		VARATT_EXTERNAL_GET_POINTER(toast, raw);
		site->toast_value = toast.va_valueid;
		site->toast_relation = toast.va_toastrelid;
	}
	site->evaluation = NULL;
	site->scorer = leadscore_scorer_create(copy, NULL);
	site->evaluation = leadscore_evaluation_create(site->scorer);
	MemoryContextSwitchTo(oldcontext);
	return site;
}

/* The call site of a function that takes one model */
ScorerCache *
leadscore_scorer_cache(FunctionCallInfo fcinfo, Datum value)
{
	return leadscore_scorer_cache_at((ScorerCache **) &fcinfo->flinfo->fn_extra,
									 fcinfo->flinfo->fn_mcxt, value);
}

/* An activity can be scored only with a model of its grain. */
void
leadscore_check_grain(const Scorer *scorer, const ActivityList *activity)
{
	LeadGrain	grain = (LeadGrain) scorer->model->grain;

	if (activity->grain != grain)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("cannot score an activity of grain \"%s\" with a model of grain \"%s\"",
						lead_activity_grain_name(activity->grain),
						lead_activity_grain_name(grain)),
				 errhint("Use a model of the pipeline that the activity comes from.")));
}

/* Decode an activity into a call site; it must have the model's grain. */
void
leadscore_scorer_cache_activity(ScorerCache *site, const LeadActivity *activity)
{
	leadscore_activity_decode(activity, &site->activity);
	leadscore_check_grain(site->scorer, &site->activity);
}

/* Do two call sites hold the same model? */
static bool
hold_same_model(const ScorerCache *a, const ScorerCache *b)
{
	return a == b ||
		(VARSIZE(a->scorer->model) == VARSIZE(b->scorer->model) &&
		 a->scorer->model->hash == b->scorer->model->hash);
}

/* Is an activity the one that a call site has evaluated? */
static bool
has_evaluated(const ScorerCache *site, const LeadActivity *activity)
{
	return site->evaluated_size == VARSIZE_ANY_EXHDR(activity) &&
		memcmp(site->evaluated, VARDATA_ANY(activity), site->evaluated_size) == 0;
}

/* What an activity holds, if a call site has just evaluated it; else NULL */
const ActivityList *
leadscore_scorer_cache_known(const LeadActivity *activity)
{
	return latest != NULL && has_evaluated(latest, activity) ? &latest->activity : NULL;
}

/*
 * Evaluate an activity with the model of a call site.  Returns the call site
 * that holds the evaluation: this one, or the last one if that has just evaluated
 * the same.  Callers only read it.
 */
ScorerCache *
leadscore_scorer_cache_score(ScorerCache *site, LeadActivity *activity, TimestampTz at)
{
	int32		bucket = bucket_of(at, (LeadGrain) site->scorer->model->grain);
	Size		size = VARSIZE_ANY_EXHDR(activity);

	if (latest != NULL && latest->evaluation->at == bucket && has_evaluated(latest, activity) &&
		hold_same_model(latest, site))
		return latest;

	latest = NULL;
	leadscore_scorer_cache_activity(site, activity);
	leadscore_evaluate(site->scorer, &site->activity, bucket, site->evaluation);
	if (size > site->evaluated_capacity)
	{
		/* may fail: the site is used again after an error that is caught */
		site->evaluated = repalloc_huge(site->evaluated, size * 2);
		site->evaluated_capacity = size * 2;
	}
	memcpy(site->evaluated, VARDATA_ANY(activity), size);
	site->evaluated_size = size;
	latest = site;
	return site;
}

/* The same for the arguments (activity, model, at) of a function */
ScorerCache *
leadscore_scorer_cache_evaluate(FunctionCallInfo fcinfo)
{
	ScorerCache *site = leadscore_scorer_cache(fcinfo, PG_GETARG_DATUM(1));
	LeadActivity *activity = PG_GETARG_LEAD_ACTIVITY_PP(0);

	site = leadscore_scorer_cache_score(site, activity, PG_GETARG_TIMESTAMPTZ(2));
	PG_FREE_IF_COPY(activity, 0);
	return site;
}
