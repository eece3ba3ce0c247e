/*-------------------------------------------------------------------------
 *
 * statistics_sql.c
 *		The statistics of experiments as SQL calls them.
 *
 * Counts come from tables and may be anything: NULL is the answer to what has
 * none, so that no report fails or shows NaN.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"

#include "statistics.h"

PG_FUNCTION_INFO_V1(leadscore_normal_tail_sql);
PG_FUNCTION_INFO_V1(leadscore_normal_quantile_sql);
PG_FUNCTION_INFO_V1(leadscore_chi_square_tail_sql);
PG_FUNCTION_INFO_V1(leadscore_beta_greater_sql);
PG_FUNCTION_INFO_V1(leadscore_beta_loss_sql);
PG_FUNCTION_INFO_V1(leadscore_sequential_p_sql);
PG_FUNCTION_INFO_V1(leadscore_sequential_margin_sql);
PG_FUNCTION_INFO_V1(leadscore_ratio_chi_square_sql);
PG_FUNCTION_INFO_V1(leadscore_ratio_log_bayes_sql);

/* A number, or NULL in place of NaN */
#define RETURN_NUMBER(value) \
	do { \
		double		answer = (value); \
\
		if (isnan(answer)) \
			PG_RETURN_NULL(); \
		PG_RETURN_FLOAT8(answer); \
	} while (0)

/* normal_tail(z) */
Datum
leadscore_normal_tail_sql(PG_FUNCTION_ARGS)
{
	RETURN_NUMBER(leadscore_normal_tail(PG_GETARG_FLOAT8(0)));
}

/* normal_quantile(p) */
Datum
leadscore_normal_quantile_sql(PG_FUNCTION_ARGS)
{
	double		p = PG_GETARG_FLOAT8(0);

	if (!(p > 0 && p < 1))
		PG_RETURN_NULL();
	RETURN_NUMBER(leadscore_normal_quantile(p));
}

/* chi_square_tail(x, df); of a million degrees of freedom nobody asks */
Datum
leadscore_chi_square_tail_sql(PG_FUNCTION_ARGS)
{
	double		x = PG_GETARG_FLOAT8(0);
	int			df = PG_GETARG_INT32(1);

	if (isnan(x) || df < 1 || df > 1000000)
		PG_RETURN_NULL();
	RETURN_NUMBER(leadscore_chi_square_tail(x, df));
}

/* Two beta distributions, whose four parameters are whole numbers of at least 1 */
static bool
get_betas(FunctionCallInfo fcinfo, double *parameters)
{
	int			i;

	for (i = 0; i < 4; i++)
	{
		if (PG_GETARG_INT64(i) < 1)
			return false;
		parameters[i] = (double) PG_GETARG_INT64(i);
	}
	return true;
}

/* beta_greater(a1, b1, a2, b2) */
Datum
leadscore_beta_greater_sql(PG_FUNCTION_ARGS)
{
	double		b[4];

	if (!get_betas(fcinfo, b))
		PG_RETURN_NULL();
	RETURN_NUMBER(leadscore_beta_greater(b[0], b[1], b[2], b[3]));
}

/* beta_loss(a1, b1, a2, b2) */
Datum
leadscore_beta_loss_sql(PG_FUNCTION_ARGS)
{
	double		b[4];

	if (!get_betas(fcinfo, b))
		PG_RETURN_NULL();
	RETURN_NUMBER(leadscore_beta_loss(b[0], b[1], b[2], b[3]));
}

/* sequential_p(difference, variance, effect) */
Datum
leadscore_sequential_p_sql(PG_FUNCTION_ARGS)
{
	double		difference = PG_GETARG_FLOAT8(0);
	double		variance = PG_GETARG_FLOAT8(1);
	double		effect = PG_GETARG_FLOAT8(2);

	if (!(variance >= 0 && effect > 0) || isnan(difference))
		PG_RETURN_NULL();
	RETURN_NUMBER(leadscore_sequential_p(difference, variance, effect));
}

/* sequential_margin(variance, effect, alpha) */
Datum
leadscore_sequential_margin_sql(PG_FUNCTION_ARGS)
{
	double		variance = PG_GETARG_FLOAT8(0);
	double		effect = PG_GETARG_FLOAT8(1);
	double		alpha = PG_GETARG_FLOAT8(2);

	if (!(variance >= 0 && effect > 0 && alpha > 0 && alpha < 1))
		PG_RETURN_NULL();
	RETURN_NUMBER(leadscore_sequential_margin(variance, effect, alpha));
}

/* Counts and the weights that they should be in; false if they are no such */
static bool
get_ratio(FunctionCallInfo fcinfo, double **counts, double **weights, int *n)
{
	ArrayType  *arrays[2] = {PG_GETARG_ARRAYTYPE_P(0), PG_GETARG_ARRAYTYPE_P(1)};
	double	   *numbers[2];
	double		sum = 0;
	int			sizes[2];
	int			i;
	int			j;

	for (i = 0; i < 2; i++)
	{
		const int64 *items = (const int64 *) ARR_DATA_PTR(arrays[i]);

		if (ARR_NDIM(arrays[i]) != 1 || array_contains_nulls(arrays[i]))
			return false;
		sizes[i] = ArrayGetNItems(1, ARR_DIMS(arrays[i]));
		numbers[i] = palloc(sizeof(double) * sizes[i]);
		for (j = 0; j < sizes[i]; j++)
		{
			if (items[j] < 0)
				return false;
			numbers[i][j] = (double) items[j];
			if (i == 1)
				sum += numbers[i][j];
		}
	}
	*counts = numbers[0];
	*weights = numbers[1];
	*n = sizes[0];
	return sizes[0] == sizes[1] && sum > 0;
}

/* ratio_chi_square(counts, weights) */
Datum
leadscore_ratio_chi_square_sql(PG_FUNCTION_ARGS)
{
	double	   *counts;
	double	   *weights;
	int			n;

	if (!get_ratio(fcinfo, &counts, &weights, &n))
		PG_RETURN_NULL();
	RETURN_NUMBER(leadscore_ratio_chi_square(counts, weights, n));
}

/* ratio_log_bayes(counts, weights) */
Datum
leadscore_ratio_log_bayes_sql(PG_FUNCTION_ARGS)
{
	double	   *counts;
	double	   *weights;
	int			n;

	if (!get_ratio(fcinfo, &counts, &weights, &n))
		PG_RETURN_NULL();
	RETURN_NUMBER(leadscore_ratio_log_bayes(counts, weights, n));
}
