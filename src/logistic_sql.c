/*-------------------------------------------------------------------------
 *
 * logistic_sql.c
 *		Logistic regression as SQL calls it: the aggregate logistic_fit,
 *		samples, which are fitted more than once, and the chance of a lead.
 *
 * A sample is what the aggregate has collected, as one value: so a pipeline
 * reads its leads once, and then looks at single features, leaves some out, fits,
 * and judges the result.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "leadscore.h"
#include "logistic.h"

PG_FUNCTION_INFO_V1(leadscore_logistic_transfn);
PG_FUNCTION_INFO_V1(leadscore_logistic_clustered_transfn);
PG_FUNCTION_INFO_V1(leadscore_logistic_sample_transfn);
PG_FUNCTION_INFO_V1(leadscore_logistic_clustered_sample_transfn);
PG_FUNCTION_INFO_V1(leadscore_logistic_combinefn);
PG_FUNCTION_INFO_V1(leadscore_logistic_serialfn);
PG_FUNCTION_INFO_V1(leadscore_logistic_deserialfn);
PG_FUNCTION_INFO_V1(leadscore_logistic_finalfn);
PG_FUNCTION_INFO_V1(leadscore_logistic_sample_finalfn);
PG_FUNCTION_INFO_V1(leadscore_logistic_fit_sample);
PG_FUNCTION_INFO_V1(leadscore_logistic_features);
PG_FUNCTION_INFO_V1(leadscore_logistic_auc);
PG_FUNCTION_INFO_V1(leadscore_values_of_rules);
PG_FUNCTION_INFO_V1(leadscore_calibrated_chance);

#define SAMPLE_MAGIC	0x4c534c52
#define RESULT_COLUMNS	8
#define FEATURE_COLUMNS	6
#define AREA_COLUMNS	5

/* What stands before the edges of a curve: intercept, coefficient of points, stages */
#define CURVE_STAGES	4
#define CURVE_HEAD		(2 + CURVE_STAGES)
#define FIRST_RANK		50		/* stage_rank of iql; the next ones are 10
								 * apart */

/* The state of the aggregates */
typedef struct LogisticState
{
	double		ridge;
	LogisticData data;
} LogisticState;

/* The same as bytes, before its patterns */
typedef struct SampleHeader
{
	int32		vl_len_;
	int32		magic;
	int32		nfeatures;
	int32		clustered;
	double		ridge;
} SampleHeader;

/* The numbers of an array, which must be finite; in *n how many there are */
static double *
read_numbers(ArrayType *array, const char *what, int *n)
{
	double	   *numbers;
	int			i;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("%s must be an array of one dimension", what)));
	*n = ARR_NDIM(array) == 0 ? 0 : ARR_DIMS(array)[0];
	if (array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not contain nulls", what)));
	numbers = (double *) ARR_DATA_PTR(array);
	for (i = 0; i < *n; i++)
		if (!isfinite(numbers[i]))
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("%s must be finite", what)));
	return numbers;
}

/* Refuse a penalty that makes no sense. */
static double
checked_ridge(double ridge)
{
	if (!isfinite(ridge) || ridge < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("ridge must be a finite number and not negative"),
				 errhint("Use 1, or 0 for a fit without a penalty.")));
	return ridge;
}

/* Add a row to the state; one without a label or without features is passed over. */
static Datum
transition(FunctionCallInfo fcinfo, bool clustered, int cluster_argument, int ridge_argument)
{
	LogisticState *state = PG_ARGISNULL(0) ? NULL : (LogisticState *) PG_GETARG_POINTER(0);
	MemoryContext context;
	MemoryContext oldcontext;
	double	   *features;
	double		ridge;
	int			n;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "aggregate function called in non-aggregate context");
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2) || (clustered && PG_ARGISNULL(cluster_argument)))
	{
		if (state == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(state);
	}
	if (ridge_argument > 0 && PG_ARGISNULL(ridge_argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("ridge must not be null"),
				 errhint("Use 1, or 0 for a fit without a penalty.")));
	ridge = ridge_argument > 0 ? checked_ridge(PG_GETARG_FLOAT8(ridge_argument)) : 0;
	features = read_numbers(PG_GETARG_ARRAYTYPE_P(2), "features", &n);
	oldcontext = MemoryContextSwitchTo(context);
	if (state == NULL)
	{
		if (n > LOGISTIC_MAX_FEATURES)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("a fit cannot have more than %d features", LOGISTIC_MAX_FEATURES)));
		state = palloc(sizeof(LogisticState));
		state->ridge = ridge;
		leadscore_logistic_init(&state->data, n, clustered);
	}
	if (n != state->data.nfeatures)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("rows have different numbers of features: %d and %d",
						state->data.nfeatures, n)));
	if (ridge != state->ridge)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("ridge must be the same in all rows")));
	leadscore_logistic_add(&state->data, clustered ? PG_GETARG_INT64(cluster_argument) : 0,
						   PG_GETARG_BOOL(1), features);
	MemoryContextSwitchTo(oldcontext);
	PG_RETURN_POINTER(state);
}

/* logistic_fit(label, features, ridge) */
Datum
leadscore_logistic_transfn(PG_FUNCTION_ARGS)
{
	return transition(fcinfo, false, 0, 3);
}

/* logistic_fit(label, features, ridge, cluster) */
Datum
leadscore_logistic_clustered_transfn(PG_FUNCTION_ARGS)
{
	return transition(fcinfo, true, 4, 3);
}

/* logistic_sample(label, features) */
Datum
leadscore_logistic_sample_transfn(PG_FUNCTION_ARGS)
{
	return transition(fcinfo, false, 0, 0);
}

/* logistic_sample(label, features, cluster) */
Datum
leadscore_logistic_clustered_sample_transfn(PG_FUNCTION_ARGS)
{
	return transition(fcinfo, true, 3, 0);
}

/* Two states become one. */
Datum
leadscore_logistic_combinefn(PG_FUNCTION_ARGS)
{
	LogisticState *left = PG_ARGISNULL(0) ? NULL : (LogisticState *) PG_GETARG_POINTER(0);
	LogisticState *right = PG_ARGISNULL(1) ? NULL : (LogisticState *) PG_GETARG_POINTER(1);
	MemoryContext context;
	MemoryContext oldcontext;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "aggregate function called in non-aggregate context");
	if (right == NULL)
	{
		if (left == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(left);
	}
	oldcontext = MemoryContextSwitchTo(context);
	if (left == NULL)
	{
		left = palloc(sizeof(LogisticState));
		left->ridge = right->ridge;
		leadscore_logistic_init(&left->data, right->data.nfeatures, right->data.clustered);
	}
	if (left->data.nfeatures != right->data.nfeatures)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("rows have different numbers of features: %d and %d",
						left->data.nfeatures, right->data.nfeatures)));
	if (left->ridge != right->ridge)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("ridge must be the same in all rows")));
	leadscore_logistic_append(&left->data, &right->data);
	MemoryContextSwitchTo(oldcontext);
	PG_RETURN_POINTER(left);
}

/* A state as one value, its patterns sorted */
static bytea *
make_sample(LogisticState *state)
{
	SampleHeader *header;
	Size		size;

	leadscore_logistic_sort(&state->data);
	size = sizeof(SampleHeader) + state->data.size;
	if (!AllocSizeIsValid(size))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many rows to learn from"),
				 errhint("Use a part of them.")));
	header = palloc0(size);
	SET_VARSIZE(header, size);
	header->magic = SAMPLE_MAGIC;
	header->nfeatures = state->data.nfeatures;
	header->clustered = state->data.clustered;
	header->ridge = state->ridge;
	memcpy(header + 1, state->data.bytes, state->data.size);
	return (bytea *) header;
}

/*
 * Read a sample, in place if it is aligned.  Any role can make up bytes, so all
 * that a fit relies on is checked.
 */
static void
read_sample(bytea *value, LogisticState *state)
{
	SampleHeader *header = (SampleHeader *) value;
	bool		valid;

	if (!PointerIsAligned(header, double))
	{
		header = palloc(VARSIZE(value));
		memcpy(header, value, VARSIZE(value));
	}
	valid = VARSIZE(header) >= sizeof(SampleHeader) && header->magic == SAMPLE_MAGIC &&
		header->nfeatures >= 0 && header->nfeatures <= LOGISTIC_MAX_FEATURES &&
		(header->clustered == 0 || header->clustered == 1) &&
		isfinite(header->ridge) && header->ridge >= 0;
	if (valid)
	{
		state->ridge = header->ridge;
		state->data.nfeatures = header->nfeatures;
		state->data.clustered = header->clustered != 0;
		state->data.sorted = true;
		state->data.size = state->data.capacity = VARSIZE(header) - sizeof(SampleHeader);
		state->data.bytes = (char *) (header + 1);
		valid = leadscore_logistic_valid(&state->data);
	}
	if (!valid)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid sample"),
				 errhint("Use a value of the aggregate leadscore_internal.logistic_sample().")));
}

/* The state for another process */
Datum
leadscore_logistic_serialfn(PG_FUNCTION_ARGS)
{
	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "aggregate function called in non-aggregate context");
	PG_RETURN_BYTEA_P(make_sample((LogisticState *) PG_GETARG_POINTER(0)));
}

/* The state of another process; its bytes are copied when it is combined */
Datum
leadscore_logistic_deserialfn(PG_FUNCTION_ARGS)
{
	LogisticState *state = palloc(sizeof(LogisticState));

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "aggregate function called in non-aggregate context");
	read_sample(PG_GETARG_BYTEA_P(0), state);
	PG_RETURN_POINTER(state);
}

/* What went wrong, as an error */
static void
refuse(const LogisticFit *fit)
{
	switch (fit->problem)
	{
		case LOGISTIC_FITTED:
			break;
		case LOGISTIC_ONE_LABEL:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("all labels are %s: there is nothing to tell apart",
							fit->positives > 0 ? "true" : "false")));
			break;
		case LOGISTIC_COLLINEAR:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("feature %d is a sum of other features", fit->place + 1),
					 errhint("Leave it out, or use a ridge greater than 0.")));
			break;
		case LOGISTIC_SEPARATED:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the features tell the labels apart without an error, so that the fit has no end"),
					 errhint("Use a ridge greater than 0, and look for a feature that is known only after the label.")));
			break;
	}
}

/* Numbers as an array, NULL in the place of each that is none */
static Datum
numbers_array(const double *numbers, int n)
{
	Datum	   *values = palloc(sizeof(Datum) * n + 1);
	bool	   *nulls = palloc(sizeof(bool) * n + 1);
	int			dims[1] = {n};
	int			lower[1] = {1};
	int			i;

	for (i = 0; i < n; i++)
	{
		nulls[i] = isnan(numbers[i]);
		values[i] = Float8GetDatum(numbers[i]);
	}
	return PointerGetDatum(construct_md_array(values, nulls, n > 0 ? 1 : 0, dims, lower, FLOAT8OID,
											  sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* Describe the row that a function returns. */
static TupleDesc
result_desc(FunctionCallInfo fcinfo)
{
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return BlessTupleDesc(desc);
}

/* A fit as a row of the type logistic_model */
static Datum
fit_row(FunctionCallInfo fcinfo, const LogisticData *data, const bool *left_out, double ridge)
{
	TupleDesc	desc = result_desc(fcinfo);
	LogisticFit fit;
	Datum		values[RESULT_COLUMNS];
	bool		nulls[RESULT_COLUMNS] = {false};

	leadscore_logistic_fit(data, left_out, ridge, &fit);
	refuse(&fit);
	values[0] = Float8GetDatum(fit.intercept);
	values[1] = numbers_array(fit.coefficients, data->nfeatures);
	nulls[2] = isnan(fit.intercept_error);
	values[2] = Float8GetDatum(fit.intercept_error);
	values[3] = numbers_array(fit.errors, data->nfeatures);
	values[4] = Float8GetDatum(fit.log_likelihood);
	values[5] = Int64GetDatum(fit.n);
	values[6] = Int64GetDatum(fit.positives);
	values[7] = Int32GetDatum(fit.iterations);
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

/* The end of logistic_fit(); the state may be asked again (windows). */
Datum
leadscore_logistic_finalfn(PG_FUNCTION_ARGS)
{
	LogisticState *state = PG_ARGISNULL(0) ? NULL : (LogisticState *) PG_GETARG_POINTER(0);

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "aggregate function called in non-aggregate context");
	if (state == NULL)
		PG_RETURN_NULL();
	leadscore_logistic_sort(&state->data);
	return fit_row(fcinfo, &state->data, NULL, state->ridge);
}

/* The end of logistic_sample(); it empties the state, which may be large. */
Datum
leadscore_logistic_sample_finalfn(PG_FUNCTION_ARGS)
{
	LogisticState *state = PG_ARGISNULL(0) ? NULL : (LogisticState *) PG_GETARG_POINTER(0);
	bytea	   *sample;

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "aggregate function called in non-aggregate context");
	if (state == NULL)
		PG_RETURN_NULL();
	sample = make_sample(state);
	pfree(state->data.bytes);
	state->data.bytes = NULL;
	PG_RETURN_BYTEA_P(sample);
}

/* logistic_fit_sample(sample, learned, ridge): a fit with some of the features */
Datum
leadscore_logistic_fit_sample(PG_FUNCTION_ARGS)
{
	LogisticState state;
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(1);
	bool	   *left_out;
	int			i;

	read_sample(PG_GETARG_BYTEA_P(0), &state);
	if (ARR_NDIM(array) > 1 || array_contains_nulls(array) ||
		(ARR_NDIM(array) == 0 ? 0 : ARR_DIMS(array)[0]) != state.data.nfeatures)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("learned must say true or false of each of %d features", state.data.nfeatures)));
	left_out = palloc(sizeof(bool) * state.data.nfeatures + 1);
	for (i = 0; i < state.data.nfeatures; i++)
		left_out[i] = !((bool *) ARR_DATA_PTR(array))[i];
	return fit_row(fcinfo, &state.data, left_out, checked_ridge(PG_GETARG_FLOAT8(2)));
}

/* An area as three columns: the area and the ends of its interval */
static void
put_area(const LogisticArea *area, Datum *values, bool *nulls)
{
	values[0] = Float8GetDatum(area->auc);
	values[1] = Float8GetDatum(Max(area->auc - area->margin, 0));
	values[2] = Float8GetDatum(Min(area->auc + area->margin, 1));
	nulls[0] = nulls[1] = nulls[2] = isnan(area->auc);
}

/* logistic_features(sample): what each feature alone says */
Datum
leadscore_logistic_features(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	LogisticState state;
	int			i;

	InitMaterializedSRF(fcinfo, 0);
	read_sample(PG_GETARG_BYTEA_P(0), &state);
	for (i = 0; i < state.data.nfeatures; i++)
	{
		LogisticFeature feature;
		Datum		values[FEATURE_COLUMNS];
		bool		nulls[FEATURE_COLUMNS] = {false};

		CHECK_FOR_INTERRUPTS();
		leadscore_logistic_feature(&state.data, i, &feature);
		values[0] = Int32GetDatum(i + 1);
		values[1] = Int64GetDatum(feature.n);
		values[2] = Int64GetDatum(feature.positives);
		put_area(&feature.area, &values[3], &nulls[3]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* logistic_auc(sample, coefficients): how well they tell the labels apart */
Datum
leadscore_logistic_auc(PG_FUNCTION_ARGS)
{
	TupleDesc	desc = result_desc(fcinfo);
	LogisticState state;
	LogisticArea area;
	double	   *coefficients;
	int			n;
	Datum		values[AREA_COLUMNS];
	bool		nulls[AREA_COLUMNS] = {false};

	read_sample(PG_GETARG_BYTEA_P(0), &state);
	coefficients = read_numbers(PG_GETARG_ARRAYTYPE_P(1), "coefficients", &n);
	if (n != state.data.nfeatures)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("there must be a coefficient for each of %d features", state.data.nfeatures)));
	leadscore_logistic_area(&state.data, coefficients, &area);
	values[0] = Int64GetDatum(area.n);
	values[1] = Int64GetDatum(area.positives);
	put_area(&area, &values[2], &nulls[2]);
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

/*
 * rule_values(activity, model, at): of each rule, in the model's order, the
 * points that it gives after its limit and cap, over the points that it gives
 * for one; then the score.  A rule without points gives 0.
 */
Datum
leadscore_values_of_rules(PG_FUNCTION_ARGS)
{
	ScorerCache *site = leadscore_scorer_cache_evaluate(fcinfo);
	const LeadModel *model = site->scorer->model;
	const ModelRule *rules = model_rules(model);
	Datum	   *values = palloc(sizeof(Datum) * (model->rules.n + 1));
	int			i;

	for (i = 0; i < model->rules.n; i++)
		values[i] = Float8GetDatum(rules[i].points == 0 ? 0 :
								   (double) site->evaluation->rules[i] / rules[i].points);
	values[i] = Float8GetDatum(site->evaluation->total / 1000.0);
	PG_RETURN_ARRAYTYPE_P(construct_array(values, model->rules.n + 1, FLOAT8OID, sizeof(float8),
										  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/*
 * calibrated_chance(curve, score, stage_rank): the chance of a lead.  A curve is
 * what calibration_curve() makes: the log-odds of an iql without points, of a
 * point, and of the stages from iql to prospect; then nothing, or the edges of
 * bins and the chance of each.  NULL for a stage that has no log-odds.
 *
 * lead_score asks for each lead, so the array is read where it lies.
 */
Datum
leadscore_calibrated_chance(PG_FUNCTION_ARGS)
{
	ArrayType  *curve = PG_GETARG_ARRAYTYPE_P(0);
	int32		stage_rank = PG_GETARG_INT32(2);
	int			n = ARR_NDIM(curve) == 0 ? 0 : ARR_DIMS(curve)[0];
	const double *numbers = (const double *) ARR_DATA_PTR(curve);
	double		log_odds;
	int			edges;
	int			low = 0;
	int			high;

	if (ARR_NDIM(curve) != 1 || array_contains_nulls(curve) ||
		n < CURVE_HEAD || (n > CURVE_HEAD && (n - CURVE_HEAD) % 2 == 0))
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("a curve must have %d numbers, or an odd number more", CURVE_HEAD)));
	if (stage_rank < FIRST_RANK || stage_rank >= FIRST_RANK + 10 * CURVE_STAGES)
		PG_RETURN_NULL();
	log_odds = numbers[0] + numbers[1] * PG_GETARG_FLOAT8(1) +
		numbers[2 + (stage_rank - FIRST_RANK) / 10];
	if (isnan(log_odds))
		PG_RETURN_NULL();
	if (n == CURVE_HEAD)
		PG_RETURN_FLOAT8((1 + tanh(log_odds / 2)) / 2);

	/* count the edges that are not above */
	edges = (n - CURVE_HEAD) / 2;
	for (high = edges; low < high;)
	{
		int			middle = (low + high) / 2;

		if (numbers[CURVE_HEAD + middle] <= log_odds)
			low = middle + 1;
		else
			high = middle;
	}
	PG_RETURN_FLOAT8(numbers[CURVE_HEAD + edges + low]);
}
