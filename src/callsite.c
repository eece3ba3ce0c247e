/*-------------------------------------------------------------------------
 *
 * callsite.c
 *		From SQL arguments to an evaluation, with the model decoded once.
 *
 * A query that scores a million leads hands over the same model a million
 * times.  The function's call site keeps the model made ready, and knows it
 * again by its toast pointer or, inline, by the hash in its header; so no row
 * pays for detoasting it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "leadscore.h"

/* A model from a datum, whole and aligned, of a format that we know */
const LeadModel *
leadscore_model_read(Datum value)
{
	const LeadModel *model = (const LeadModel *) PG_DETOAST_DATUM(value);

	if (VARSIZE(model) < sizeof(LeadModel) || model->format != MODEL_FORMAT)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("unsupported format %d of a lead_model", model->format),
				 errhint("Install the version of leadscore that wrote it, or compile the model again.")));
	return model;
}

/* Does the call site hold this model already? */
static bool
same_model(const CallSite *site, Datum value)
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
CallSite *
leadscore_call_site_for(CallSite **place, MemoryContext context, Datum value)
{
	CallSite   *site = *place;
	const struct varlena *raw = (const struct varlena *) DatumGetPointer(value);
	const LeadModel *model;
	LeadModel  *copy;
	MemoryContext oldcontext;

	if (site == NULL)
	{
		oldcontext = MemoryContextSwitchTo(context);
		site = palloc0(sizeof(CallSite));
		site->context = AllocSetContextCreate(CurrentMemoryContext,
											  "leadscore model", ALLOCSET_DEFAULT_SIZES);
		lead_activity_init(&site->activity, GRAIN_DAY, 64);
		MemoryContextSwitchTo(oldcontext);
		*place = site;
	}
	if (same_model(site, value))
		return site;

	model = leadscore_model_read(value);
	if (site->scorer != NULL && VARSIZE(model) == VARSIZE(site->scorer->model) &&
		model->hash == site->scorer->model->hash)
		return site;

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
	site->scorer = leadscore_scorer_create(copy);
	site->evaluation = leadscore_evaluation_create(site->scorer);
	MemoryContextSwitchTo(oldcontext);
	return site;
}

/* The call site of a function that takes one model */
CallSite *
leadscore_call_site(FunctionCallInfo fcinfo, Datum value)
{
	return leadscore_call_site_for((CallSite **) &fcinfo->flinfo->fn_extra,
								   fcinfo->flinfo->fn_mcxt, value);
}

/* An activity can be scored only with a model of its grain. */
void
leadscore_check_grain(const CallSite *site, const ActivityList *activity)
{
	LeadGrain	grain = (LeadGrain) site->scorer->model->grain;

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
leadscore_call_site_activity(CallSite *site, const LeadActivity *activity)
{
	leadscore_activity_decode(activity, &site->activity);
	leadscore_check_grain(site, &site->activity);
}

/* Evaluate arguments (activity, model, at) at their call site. */
CallSite *
leadscore_call_site_evaluate(FunctionCallInfo fcinfo)
{
	CallSite   *site = leadscore_call_site(fcinfo, PG_GETARG_DATUM(1));
	LeadActivity *activity = PG_GETARG_LEAD_ACTIVITY_PP(0);

	leadscore_call_site_activity(site, activity);
	PG_FREE_IF_COPY(activity, 0);
	leadscore_evaluate(site->scorer, &site->activity,
					   bucket_of(PG_GETARG_TIMESTAMPTZ(2), site->activity.grain),
					   site->evaluation);
	return site;
}

/* Milli-points as points, printed with no needless decimals */
Datum
leadscore_milli_numeric(int64 milli)
{
	if (milli % 1000 == 0)
		return NumericGetDatum(int64_to_numeric(milli / 1000));
	if (milli % 100 == 0)
		return NumericGetDatum(int64_div_fast_to_numeric(milli / 100, 1));
	if (milli % 10 == 0)
		return NumericGetDatum(int64_div_fast_to_numeric(milli / 10, 2));
	return NumericGetDatum(int64_div_fast_to_numeric(milli, 3));
}
