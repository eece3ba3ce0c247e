/*-------------------------------------------------------------------------
 *
 * report_support.c
 *		What views ask of an activity, one value a row.
 *
 * The same could be had from dimension_scores() and unnest(), at the price of
 * a set of rows for each lead and of a join for the planner.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "leadscore.h"

PG_FUNCTION_INFO_V1(leadscore_dimension_points);
PG_FUNCTION_INFO_V1(leadscore_last_activity);
PG_FUNCTION_INFO_V1(leadscore_has_signal);

/* The activity of an argument, read into memory of this call */
static void
read_activity(Datum value, ActivityList *list)
{
	leadscore_activity_read(DatumGetLeadActivityPP(value), list);
}

/*
 * dimension_points(activity, model, dimension, at): points of one dimension,
 * NULL if the model has none of this name
 */
Datum
leadscore_dimension_points(PG_FUNCTION_ARGS)
{
	CallSite   *site = leadscore_call_site(fcinfo, PG_GETARG_DATUM(1));
	LeadActivity *activity = PG_GETARG_LEAD_ACTIVITY_PP(0);
	text	   *name = PG_GETARG_TEXT_PP(2);
	const LeadModel *model = site->scorer->model;
	const ModelDimension *dimensions = model_dimensions(model);
	int			i;

	for (i = 0; i < model->dimensions.n; i++)
	{
		const char *dimension = MODEL_STRING(model, dimensions[i].name);

		if (strlen(dimension) == VARSIZE_ANY_EXHDR(name) &&
			memcmp(dimension, VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name)) == 0)
			break;
	}
	if (i == model->dimensions.n)
		PG_RETURN_NULL();
	leadscore_call_site_activity(site, activity);
	PG_FREE_IF_COPY(activity, 0);
	leadscore_evaluate(site->scorer, &site->activity,
					   bucket_of(PG_GETARG_TIMESTAMPTZ(3), site->activity.grain),
					   site->evaluation);
	PG_RETURN_FLOAT8(site->evaluation->dimensions[i] / 1000.0);
}

/*
 * last_activity(activity, at): the start of the newest bucket up to at with an
 * event that counts; signal 0 is counted by the engine
 */
Datum
leadscore_last_activity(PG_FUNCTION_ARGS)
{
	ActivityList list;
	int32		newest = BUCKET_TIMELESS;
	int32		limit;
	int			i;

	read_activity(PG_GETARG_DATUM(0), &list);
	limit = bucket_of(PG_GETARG_TIMESTAMPTZ(1), list.grain);
	for (i = 0; i < list.nitems; i++)
	{
		ActivityItem *item = &list.items[i];

		if (item->signal > 0 && item->count > 0 && item->bucket != BUCKET_TIMELESS &&
			item->bucket <= limit && (newest == BUCKET_TIMELESS || item->bucket > newest))
			newest = item->bucket;
	}
	if (newest == BUCKET_TIMELESS)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(bucket_start(newest, list.grain));
}

/* has_signal(activity, signal_id): was it counted, in whatever bucket? */
Datum
leadscore_has_signal(PG_FUNCTION_ARGS)
{
	ActivityList list;
	int32		signal = PG_GETARG_INT32(1);
	int			i;

	read_activity(PG_GETARG_DATUM(0), &list);
	for (i = 0; i < list.nitems; i++)
	{
		if (list.items[i].signal == signal && list.items[i].count > 0)
			PG_RETURN_BOOL(true);
	}
	PG_RETURN_BOOL(false);
}
