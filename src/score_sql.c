/*-------------------------------------------------------------------------
 *
 * score_sql.c
 *		The scoring functions as SQL calls them: (activity, model, at) -> ...
 *
 * Each is a few lines: model_cache.c has the model ready and evaluates, and here
 * the answer becomes a Datum.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "leadscore.h"
#include "level.h"
#include "stage.h"

PG_FUNCTION_INFO_V1(leadscore_score);
PG_FUNCTION_INFO_V1(leadscore_score_milli);
PG_FUNCTION_INFO_V1(leadscore_qualified_stage_sql);
PG_FUNCTION_INFO_V1(leadscore_stage_by_activity);
PG_FUNCTION_INFO_V1(leadscore_stage_by_score);
PG_FUNCTION_INFO_V1(leadscore_next_change);
PG_FUNCTION_INFO_V1(leadscore_grade_text);
PG_FUNCTION_INFO_V1(leadscore_settled_stage);
PG_FUNCTION_INFO_V1(leadscore_level_of_activity);
PG_FUNCTION_INFO_V1(leadscore_level_of_points);

/* score(activity, model, at): points, exact to a thousandth */
Datum
leadscore_score(PG_FUNCTION_ARGS)
{
	return leadscore_milli_numeric(leadscore_scorer_cache_evaluate(fcinfo)->evaluation->total);
}

/* score_milli(activity, model, at): milli-points */
Datum
leadscore_score_milli(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(leadscore_scorer_cache_evaluate(fcinfo)->evaluation->total);
}

/* qualified_stage(activity, model, at): the highest stage that holds */
Datum
leadscore_qualified_stage_sql(PG_FUNCTION_ARGS)
{
	ScorerCache *site = leadscore_scorer_cache_evaluate(fcinfo);

	PG_RETURN_LEAD_STAGE(leadscore_qualified_stage(site->scorer, site->evaluation));
}

/* stage_by_points(activity, model, at): what the points alone say */
Datum
leadscore_stage_by_activity(PG_FUNCTION_ARGS)
{
	ScorerCache *site = leadscore_scorer_cache_evaluate(fcinfo);

	PG_RETURN_LEAD_STAGE(leadscore_stage_by_points(site->scorer, site->evaluation,
												   site->evaluation->total));
}

/*
 * stage_by_points(points numeric, model): the same for a number of points.
 * Thresholds are milli-points, so rounding down to them loses nothing.
 */
Datum
leadscore_stage_by_score(PG_FUNCTION_ARGS)
{
	Numeric		points = PG_GETARG_NUMERIC(0);
	ScorerCache *site = leadscore_scorer_cache(fcinfo, PG_GETARG_DATUM(1));
	Numeric		limit = int64_to_numeric(MAX_SCORE_MILLI / 1000);
	Datum		milli;

	if (numeric_is_nan(points))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("points must be a number"),
				 errhint("Pass points such as 30.5.")));
	points = DatumGetNumeric(DirectFunctionCall2(numeric_smaller,
												 NumericGetDatum(points),
												 NumericGetDatum(limit)));
	points = DatumGetNumeric(DirectFunctionCall2(numeric_larger,
												 NumericGetDatum(points),
												 DirectFunctionCall1(numeric_uminus,
																	 NumericGetDatum(limit))));
	milli = DirectFunctionCall2(numeric_mul, NumericGetDatum(points),
								NumericGetDatum(int64_to_numeric(1000)));
	milli = DirectFunctionCall1(numeric_int8, DirectFunctionCall1(numeric_floor, milli));
	PG_RETURN_LEAD_STAGE(leadscore_stage_by_points(site->scorer, NULL,
												   DatumGetInt64(milli)));
}

/*
 * next_change(activity, model, at): the first instant after at when the
 * qualified stage is another one if nothing happens; NULL if never.
 */
Datum
leadscore_next_change(PG_FUNCTION_ARGS)
{
	ScorerCache *site = leadscore_scorer_cache_evaluate(fcinfo);
	Scorer	   *scorer = site->scorer;
	int32		bucket;

	bucket = leadscore_qualified_change(scorer, &site->activity, site->evaluation->at,
										leadscore_qualified_stage(scorer, site->evaluation));
	if (bucket == BUCKET_NEVER)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(bucket_start(bucket, (LeadGrain) scorer->model->grain));
}

/*
 * grade(activity, model, at): the grades of the graded dimensions, one after
 * the other, such as A2; NULL if the model has none.
 */
Datum
leadscore_grade_text(PG_FUNCTION_ARGS)
{
	ScorerCache *site = leadscore_scorer_cache_evaluate(fcinfo);
	const LeadModel *model = site->scorer->model;
	StringInfoData text;
	int			i;

	initStringInfo(&text);
	for (i = 0; i < model->dimensions.n; i++)
	{
		int			grade = leadscore_grade(model, i, site->evaluation->dimensions[i]);

		if (grade != NO_INDEX)
			appendStringInfoString(&text,
								   MODEL_STRING(model, model_grades(model)[grade].name));
	}
	if (text.len == 0)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(text.data, text.len));
}

/* level(activity, model, at): the level of an activity from an instant on */
Datum
leadscore_level_of_activity(PG_FUNCTION_ARGS)
{
	ScorerCache *site = leadscore_scorer_cache(fcinfo, PG_GETARG_DATUM(1));
	LeadActivity *activity = PG_GETARG_LEAD_ACTIVITY_PP(0);

	leadscore_scorer_cache_activity(site, activity);
	PG_FREE_IF_COPY(activity, 0);
	PG_RETURN_INT16(leadscore_level(site->scorer, &site->activity,
									bucket_of(PG_GETARG_TIMESTAMPTZ(2), site->activity.grain)));
}

/* level_of(points, model): the level of a number of milli-points */
Datum
leadscore_level_of_points(PG_FUNCTION_ARGS)
{
	ScorerCache *site = leadscore_scorer_cache(fcinfo, PG_GETARG_DATUM(1));
	int64		points = Min(PG_GETARG_INT64(0), MAX_SCORE_MILLI);

	PG_RETURN_INT16(leadscore_level_of(site->scorer, points));
}
