/*-------------------------------------------------------------------------
 *
 * logistic.c
 *		Ridge logistic regression over patterns of features.
 *
 * An aggregate sees each row once, and a fit needs all of them at every step.
 * So rows that are equal are kept as one pattern with counts: that is all that a
 * fit depends on.  Zeros are not kept, as most leads have done few things.
 *
 * Sums of floating-point numbers depend on their order.  So patterns are sorted
 * before they are added up, by their bytes: in whatever order the rows came, and
 * by however many workers, the result has the same bits.
 *
 * The fit is by Newton's method (iteratively reweighted least squares).  With
 * X the features, p the chances, and the penalty ridge / 2 * the sum of the
 * squares of the coefficients, the intercept left out, a step is
 *
 *		(X' W X + ridge I)^-1 (X' (y - p) - ridge b),	W = p (1 - p)
 *
 * by a Cholesky factor of the matrix.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "logistic.h"

#define MAX_STEPS		50
#define MAX_HALVINGS	30
#define TOLERANCE		1e-8	/* of the last step */
#define MIN_PIVOT		1e-11	/* of a matrix whose diagonal is one */
#define NORMAL_95		1.959963984540054

/* One value, and the rows that have it */
typedef struct ValueCount
{
	double		value;
	int64		n;
	int64		positives;
} ValueCount;

/* What a step of the fit adds up */
typedef struct Sums
{
	int			n;				/* parameters: the intercept and the features */
	double	   *gradient;
	double	   *matrix;			/* n * n, the lower half */
	double		log_likelihood; /* less the penalty */
	double		penalty;
} Sums;

/* The bytes of a value and its place, and of a pattern */
#define TERM_SIZE(wide)		(((wide) ? sizeof(float8) : sizeof(float4)) + sizeof(int16))
#define PATTERN_SIZE(nterms, wide) \
	MAXALIGN(sizeof(LogisticPattern) + (Size) (nterms) * TERM_SIZE(wide))

/* The first pattern, or the one behind another */
#define first_pattern(data)	((LogisticPattern *) (data)->bytes)
#define next_pattern(pattern) \
	((LogisticPattern *) ((char *) (pattern) + PATTERN_SIZE((pattern)->nterms, (pattern)->wide)))
#define end_pattern(data)	((LogisticPattern *) ((data)->bytes + (data)->size))

/* The places of a pattern's values */
#define PATTERN_PLACES(pattern) \
	((int16 *) ((char *) ((pattern) + 1) + \
				(pattern)->nterms * ((pattern)->wide ? sizeof(float8) : sizeof(float4))))

/* One of its values */
static inline double
pattern_value(const LogisticPattern *p, int i)
{
	return p->wide ? ((const float8 *) (p + 1))[i] : ((const float4 *) (p + 1))[i];
}

/* Begin without patterns. */
void
leadscore_logistic_init(LogisticData *data, int nfeatures, bool clustered)
{
	data->nfeatures = nfeatures;
	data->clustered = clustered;
	data->sorted = true;
	data->size = 0;
	data->capacity = 8192;
	data->bytes = palloc(data->capacity);
}

/* Order patterns by cluster and features.  A sort of millions takes seconds. */
static int
pattern_cmp(const void *a, const void *b)
{
	const LogisticPattern *x = *(LogisticPattern *const *) a;
	const LogisticPattern *y = *(LogisticPattern *const *) b;

	CHECK_FOR_INTERRUPTS();
	if (x->cluster != y->cluster)
		return x->cluster < y->cluster ? -1 : 1;
	if (x->nterms != y->nterms)
		return x->nterms < y->nterms ? -1 : 1;
	if (x->wide != y->wide)
		return x->wide ? 1 : -1;
	return memcmp(x + 1, y + 1, x->nterms * TERM_SIZE(x->wide));
}

/* Sort the patterns and put equal ones together. */
void
leadscore_logistic_sort(LogisticData *data)
{
	LogisticPattern **order;
	LogisticPattern *last = NULL;
	LogisticPattern *p;
	char	   *bytes;
	Size		size = 0;
	int64		n = 0;
	int64		i;

	if (data->sorted)
		return;
	for (p = first_pattern(data); p < end_pattern(data); p = next_pattern(p))
		n++;
	order = palloc_extended(sizeof(LogisticPattern *) * n, MCXT_ALLOC_HUGE);
	n = 0;
	for (p = first_pattern(data); p < end_pattern(data); p = next_pattern(p))
		order[n++] = p;
	qsort(order, n, sizeof(LogisticPattern *), pattern_cmp);
	bytes = MemoryContextAllocHuge(GetMemoryChunkContext(data->bytes), data->capacity);
	for (i = 0; i < n; i++)
	{
		if (last != NULL && pattern_cmp(&last, &order[i]) == 0 &&
			order[i]->n <= PG_INT32_MAX - last->n)
		{
			last->n += order[i]->n;
			last->positives += order[i]->positives;
			continue;
		}
		last = (LogisticPattern *) (bytes + size);
		memcpy(last, order[i], PATTERN_SIZE(order[i]->nterms, order[i]->wide));
		size += PATTERN_SIZE(last->nterms, last->wide);
	}
	pfree(order);
	pfree(data->bytes);
	data->bytes = bytes;
	data->size = size;
	data->sorted = true;
}

/*
 * Make room.  Equal patterns are put together before more memory is asked for,
 * so that rows of few patterns take little.
 */
static void
reserve(LogisticData *data, Size more)
{
	if (data->size + more <= data->capacity)
		return;
	leadscore_logistic_sort(data);
	if (data->size + more <= data->capacity / 2)
		return;
	while (data->size + more > data->capacity / 2)
		data->capacity *= 2;
	data->bytes = repalloc_huge(data->bytes, data->capacity);
}

/* Add one row. */
void
leadscore_logistic_add(LogisticData *data, int64 cluster, bool label, const double *features)
{
	LogisticPattern *pattern;
	int16	   *places;
	bool		wide = false;
	int			nterms = 0;
	int			n = 0;
	int			i;

	for (i = 0; i < data->nfeatures; i++)
		if (features[i] != 0)
		{
			nterms++;
			wide |= fabs(features[i]) > FLT_MAX || (float4) features[i] != features[i];
		}
	reserve(data, PATTERN_SIZE(nterms, wide));
	pattern = end_pattern(data);
	memset(pattern, 0, PATTERN_SIZE(nterms, wide));
	pattern->cluster = cluster;
	pattern->n = 1;
	pattern->positives = label ? 1 : 0;
	pattern->nterms = (int16) nterms;
	pattern->wide = wide;
	places = PATTERN_PLACES(pattern);
	for (i = 0; i < data->nfeatures; i++)
		if (features[i] != 0)
		{
			if (wide)
				((float8 *) (pattern + 1))[n] = features[i];
			else
				((float4 *) (pattern + 1))[n] = (float4) features[i];
			places[n++] = (int16) i;
		}
	data->size += PATTERN_SIZE(nterms, wide);
	data->sorted = false;
}

/* Add the patterns of another collection, which has the same features. */
void
leadscore_logistic_append(LogisticData *data, const LogisticData *other)
{
	if (other->size == 0)
		return;
	reserve(data, other->size);
	memcpy(data->bytes + data->size, other->bytes, other->size);
	data->size += other->size;
	data->sorted = false;
}

/* Are the bytes of a collection patterns that a fit can rely on? */
bool
leadscore_logistic_valid(const LogisticData *data)
{
	Size		at = 0;
	int64		n = 0;

	while (at < data->size)
	{
		const LogisticPattern *p = (const LogisticPattern *) (data->bytes + at);
		int			i;

		if (data->size - at < sizeof(LogisticPattern) ||
			p->nterms < 0 || p->nterms > data->nfeatures ||
			*(const uint8 *) &p->wide > 1 ||
			data->size - at < PATTERN_SIZE(p->nterms, p->wide) ||
			p->n <= 0 || p->n > PG_INT64_MAX / 2 - n || p->positives < 0 || p->positives > p->n)
			return false;
		for (i = 0; i < p->nterms; i++)
			if (!isfinite(pattern_value(p, i)) || pattern_value(p, i) == 0 ||
				PATTERN_PLACES(p)[i] >= data->nfeatures ||
				PATTERN_PLACES(p)[i] < (i == 0 ? 0 : PATTERN_PLACES(p)[i - 1] + 1))
				return false;
		n += p->n;
		at += PATTERN_SIZE(p->nterms, p->wide);
	}
	return true;
}

/* Count all rows. */
static void
count_rows(const LogisticData *data, int64 *n, int64 *positives)
{
	const LogisticPattern *p;

	*n = *positives = 0;
	for (p = first_pattern(data); p < end_pattern(data); p = next_pattern(p))
	{
		*n += p->n;
		*positives += p->positives;
	}
}

/*
 * Number the features that a fit can say something about, from 1 (0 is the
 * intercept); -1 of one that is left out, or has the same value in every row.
 * Returns how many there are, with the intercept.
 */
static int
number_parameters(const LogisticData *data, const bool *left_out, int64 n, int *parameters)
{
	int64	   *rows = palloc0(sizeof(int64) * data->nfeatures + 1);
	double	   *seen = palloc0(sizeof(double) * data->nfeatures + 1);
	bool	   *varies = palloc0(sizeof(bool) * data->nfeatures + 1);
	const LogisticPattern *p;
	int			count = 1;
	int			i;

	for (p = first_pattern(data); p < end_pattern(data); p = next_pattern(p))
		for (i = 0; i < p->nterms; i++)
		{
			int			place = PATTERN_PLACES(p)[i];

			if (rows[place] > 0 && seen[place] != pattern_value(p, i))
				varies[place] = true;
			seen[place] = pattern_value(p, i);
			rows[place] += p->n;
		}
	for (i = 0; i < data->nfeatures; i++)
		parameters[i] = (left_out && left_out[i]) || rows[i] == 0 ||
			(rows[i] == n && !varies[i]) ? -1 : count++;
	pfree(rows);
	pfree(seen);
	pfree(varies);
	return count;
}

/* The parameters and values of a pattern's features that are learned; returns how many */
static int
learned_terms(const LogisticPattern *p, const int *parameters, int *x, double *value)
{
	const int16 *places = PATTERN_PLACES(p);
	int			n = 0;
	int			i;

	for (i = 0; i < p->nterms; i++)
	{
		int			parameter = parameters[places[i]];

		if (parameter > 0)
		{
			x[n] = parameter;
			value[n++] = pattern_value(p, i);
		}
	}
	return n;
}

/* The chance of log-odds */
static double
chance(double eta)
{
	return eta >= 0 ? 1 / (1 + exp(-eta)) : exp(eta) / (1 + exp(eta));
}

/* The logarithm of that chance */
static double
log_chance(double eta)
{
	return eta >= 0 ? -log1p(exp(-eta)) : eta - log1p(exp(eta));
}

/* Add up the gradient, the matrix and the likelihood at some coefficients. */
static void
add_up(const LogisticData *data, const int *parameters, const double *b, double ridge, Sums *sums)
{
	const LogisticPattern *p;
	int			k = sums->n;
	int			x[LOGISTIC_MAX_FEATURES];
	double		value[LOGISTIC_MAX_FEATURES];
	int			i;
	int			j;

	memset(sums->gradient, 0, sizeof(double) * k);
	memset(sums->matrix, 0, sizeof(double) * k * k);
	sums->log_likelihood = 0;
	sums->penalty = 0;
	for (p = first_pattern(data); p < end_pattern(data); p = next_pattern(p))
	{
		int			n = learned_terms(p, parameters, x, value);
		double		eta = b[0];
		double		q;
		double		residual;
		double		weight;

		CHECK_FOR_INTERRUPTS();
		for (i = 0; i < n; i++)
			eta += b[x[i]] * value[i];
		q = chance(eta);
		residual = p->positives - p->n * q;
		weight = p->n * q * chance(-eta);
		sums->log_likelihood += p->positives * log_chance(eta) +
			(p->n - p->positives) * log_chance(-eta);
		sums->gradient[0] += residual;
		sums->matrix[0] += weight;
		for (i = 0; i < n; i++)
		{
			double	   *row = &sums->matrix[x[i] * k];

			sums->gradient[x[i]] += residual * value[i];
			row[0] += weight * value[i];
			for (j = 0; j <= i; j++)
				row[x[j]] += weight * value[i] * value[j];
		}
	}
	for (i = 1; i < k; i++)
	{
		sums->gradient[i] -= ridge * b[i];
		sums->matrix[i * k + i] += ridge;
		sums->penalty += ridge * b[i] * b[i] / 2;
	}
}

/*
 * Replace the lower half of a matrix by its Cholesky factor, after its diagonal
 * was made one by scale.  Returns the row that depends on those before it, or -1.
 */
static int
factorize(double *matrix, int k, double *scale)
{
	int			i;
	int			j;
	int			l;

	for (i = 0; i < k; i++)
	{
		if (!(matrix[i * k + i] > 0))
			return i;
		scale[i] = 1 / sqrt(matrix[i * k + i]);
	}
	for (i = 0; i < k; i++)
	{
		CHECK_FOR_INTERRUPTS();
		for (j = 0; j <= i; j++)
		{
			double		sum = matrix[i * k + j] * scale[i] * scale[j];

			for (l = 0; l < j; l++)
				sum -= matrix[i * k + l] * matrix[j * k + l];
			if (i > j)
				matrix[i * k + j] = sum / matrix[j * k + j];
			else if (!(sum > MIN_PIVOT))
				return i;
			else
				matrix[i * k + i] = sqrt(sum);
		}
	}
	return -1;
}

/* Solve for a right side, in place, with what factorize() has left. */
static void
solve(const double *factor, int k, const double *scale, double *x)
{
	int			i;
	int			j;

	for (i = 0; i < k; i++)
	{
		x[i] *= scale[i];
		for (j = 0; j < i; j++)
			x[i] -= factor[i * k + j] * x[j];
		x[i] /= factor[i * k + i];
	}
	for (i = k - 1; i >= 0; i--)
	{
		for (j = i + 1; j < k; j++)
			x[i] -= factor[j * k + i] * x[j];
		x[i] /= factor[i * k + i];
	}
	for (i = 0; i < k; i++)
		x[i] *= scale[i];
}

/*
 * The variance of each parameter.  Without clusters it is the diagonal of the
 * inverse.  Rows of one cluster are not independent: then the sums of residuals
 * by cluster stand in the middle of two inverses (the sandwich), times
 * clusters / (clusters - 1).  Row r of the inverse is solved for when needed.
 */
static void
variances(const LogisticData *data, const int *parameters, const double *b,
		  const double *factor, int k, const double *scale, double *result)
{
	double	   *rows = palloc0(sizeof(double) * k * k);
	double	   *score;
	int			x[LOGISTIC_MAX_FEATURES];
	double		value[LOGISTIC_MAX_FEATURES];
	const LogisticPattern *p;
	int64		clusters = 0;
	int			i;
	int			j;

	for (i = 0; i < k; i++)
	{
		CHECK_FOR_INTERRUPTS();
		rows[i * k + i] = 1;
		solve(factor, k, scale, &rows[i * k]);
		result[i] = data->clustered ? 0 : rows[i * k + i];
	}
	if (data->clustered)
	{
		score = palloc(sizeof(double) * k);
		for (p = first_pattern(data); p < end_pattern(data);)
		{
			int64		cluster = p->cluster;

			CHECK_FOR_INTERRUPTS();
			memset(score, 0, sizeof(double) * k);
			for (; p < end_pattern(data) && p->cluster == cluster; p = next_pattern(p))
			{
				int			n = learned_terms(p, parameters, x, value);
				double		eta = b[0];
				double		residual;

				for (i = 0; i < n; i++)
					eta += b[x[i]] * value[i];
				residual = p->positives - p->n * chance(eta);
				score[0] += residual;
				for (i = 0; i < n; i++)
					score[x[i]] += residual * value[i];
			}
			clusters++;
			for (i = 0; i < k; i++)
			{
				double		sum = 0;

				for (j = 0; j < k; j++)
					sum += rows[i * k + j] * score[j];
				result[i] += sum * sum;
			}
		}
		for (i = 0; i < k; i++)
			result[i] *= clusters > 1 ? clusters / (clusters - 1.0) : NAN;
		pfree(score);
	}
	pfree(rows);
}

/* Put the parameters of a fit where their features are. */
static void
put_parameters(const LogisticData *data, const int *parameters, const double *b,
			   const double *variance, LogisticFit *fit)
{
	int			i;

	fit->intercept = b[0];
	fit->intercept_error = sqrt(variance[0]);
	for (i = 0; i < data->nfeatures; i++)
	{
		int			x = parameters[i];

		fit->coefficients[i] = x < 0 ? 0 : b[x];
		fit->errors[i] = x < 0 ? NAN : sqrt(variance[x]);
	}
}

/*
 * Fit labels to the features of sorted patterns.  A feature with the same value
 * in every row gets the coefficient 0 and no error: nothing can be said of it.
 */
void
leadscore_logistic_fit(const LogisticData *data, const bool *left_out, double ridge,
					   LogisticFit *fit)
{
	int		   *parameters = palloc(sizeof(int) * data->nfeatures + 1);
	Sums		sums;
	double	   *b;
	double	   *step;
	double	   *scale;
	double		best = 0;
	int			halvings = 0;
	bool		last = false;
	int			bad;
	int			i;

	Assert(data->sorted);
	memset(fit, 0, sizeof(LogisticFit));
	count_rows(data, &fit->n, &fit->positives);
	if (fit->positives == 0 || fit->positives == fit->n)
	{
		fit->problem = LOGISTIC_ONE_LABEL;
		return;
	}
	fit->coefficients = palloc0(sizeof(double) * data->nfeatures + 1);
	fit->errors = palloc0(sizeof(double) * data->nfeatures + 1);
	sums.n = number_parameters(data, left_out, fit->n, parameters);
	sums.gradient = palloc(sizeof(double) * sums.n);
	sums.matrix = palloc(sizeof(double) * sums.n * sums.n);
	b = palloc0(sizeof(double) * sums.n);
	step = palloc0(sizeof(double) * sums.n);
	scale = palloc(sizeof(double) * sums.n);
	b[0] = log((double) fit->positives / (fit->n - fit->positives));
	for (fit->iterations = 0;; fit->iterations++)
	{
		double		largest = 0;

		add_up(data, parameters, b, ridge, &sums);
		/* a step that leads downhill was too long */
		if (fit->iterations > 0 && !last && halvings < MAX_HALVINGS &&
			!(sums.log_likelihood - sums.penalty >= best - 1e-9 * (1 + fabs(best))))
		{
			for (i = 0; i < sums.n; i++)
			{
				step[i] /= 2;
				b[i] -= step[i];
			}
			halvings++;
			fit->iterations--;
			continue;
		}
		best = sums.log_likelihood - sums.penalty;
		halvings = 0;
		bad = factorize(sums.matrix, sums.n, scale);
		if (last || bad >= 0)
			break;
		if (fit->iterations == MAX_STEPS || sums.log_likelihood > -1e-7)
		{
			fit->problem = LOGISTIC_SEPARATED;
			return;
		}
		memcpy(step, sums.gradient, sizeof(double) * sums.n);
		solve(sums.matrix, sums.n, scale, step);
		for (i = 0; i < sums.n; i++)
		{
			b[i] += step[i];
			largest = Max(largest, fabs(step[i]));
		}
		last = largest < TOLERANCE;
	}
	if (bad >= 0)
	{
		/* far out the weights vanish, whatever the features are */
		fit->problem = fit->iterations > 8 ? LOGISTIC_SEPARATED : LOGISTIC_COLLINEAR;
		for (i = 0; i < data->nfeatures; i++)
			if (parameters[i] == bad)
				fit->place = i;
		return;
	}
	fit->log_likelihood = sums.log_likelihood;
	variances(data, parameters, b, sums.matrix, sums.n, scale, step);
	put_parameters(data, parameters, b, step, fit);
	pfree(parameters);
	pfree(sums.gradient);
	pfree(sums.matrix);
	pfree(b);
	pfree(step);
	pfree(scale);
}

/* Order by value. */
static int
value_cmp(const void *a, const void *b)
{
	double		x = ((const ValueCount *) a)->value;
	double		y = ((const ValueCount *) b)->value;

	CHECK_FOR_INTERRUPTS();
	return x < y ? -1 : (x > y ? 1 : 0);
}

/*
 * The area under the curve: how often a row with label true has a larger value
 * than one with label false, ties half (Mann and Whitney), and the margin of
 * Hanley and McNeil.  Sorts the values.
 */
static void
area_of(ValueCount *values, int64 n, LogisticArea *area)
{
	double		wins = 0;
	double		below = 0;
	double		positives;
	double		negatives;
	double		a;
	int64		i;
	int64		j;

	qsort(values, n, sizeof(ValueCount), value_cmp);
	area->n = area->positives = 0;
	for (i = 0; i < n; i = j)
	{
		double		hits = 0;
		double		misses = 0;

		for (j = i; j < n && values[j].value == values[i].value; j++)
		{
			hits += values[j].positives;
			misses += values[j].n - values[j].positives;
			area->n += values[j].n;
			area->positives += values[j].positives;
		}
		wins += hits * (below + misses / 2);
		below += misses;
	}
	positives = area->positives;
	negatives = area->n - area->positives;
	area->auc = area->margin = NAN;
	if (positives == 0 || negatives == 0)
		return;
	a = area->auc = wins / positives / negatives;
	area->margin = NORMAL_95 * sqrt((a * (1 - a) +
									 (positives - 1) * (a / (2 - a) - a * a) +
									 (negatives - 1) * (2 * a * a / (1 + a) - a * a)) /
									positives / negatives);
}

/* How many rows have a feature, and what it says alone. */
void
leadscore_logistic_feature(const LogisticData *data, int place, LogisticFeature *result)
{
	const LogisticPattern *p;
	ValueCount *values;
	int64		n = 1;
	int			i;

	memset(result, 0, sizeof(LogisticFeature));
	for (p = first_pattern(data); p < end_pattern(data); p = next_pattern(p))
		n++;
	values = palloc_extended(sizeof(ValueCount) * n, MCXT_ALLOC_HUGE);
	memset(&values[0], 0, sizeof(ValueCount));
	n = 1;
	for (p = first_pattern(data); p < end_pattern(data); p = next_pattern(p))
	{
		ValueCount *value = &values[0];

		CHECK_FOR_INTERRUPTS();
		for (i = 0; i < p->nterms && PATTERN_PLACES(p)[i] <= place; i++)
			if (PATTERN_PLACES(p)[i] == place)
			{
				value = &values[n++];
				value->value = pattern_value(p, i);
				value->n = value->positives = 0;
				result->n += p->n;
				result->positives += p->positives;
			}
		value->n += p->n;
		value->positives += p->positives;
	}
	area_of(values, n, &result->area);
	pfree(values);
}

/* How well coefficients tell the labels apart; an intercept would not matter. */
void
leadscore_logistic_area(const LogisticData *data, const double *coefficients, LogisticArea *area)
{
	const LogisticPattern *p;
	ValueCount *values;
	int64		n = 0;
	int			i;

	for (p = first_pattern(data); p < end_pattern(data); p = next_pattern(p))
		n++;
	values = palloc_extended(sizeof(ValueCount) * n + 1, MCXT_ALLOC_HUGE);
	n = 0;
	for (p = first_pattern(data); p < end_pattern(data); p = next_pattern(p))
	{
		CHECK_FOR_INTERRUPTS();
		values[n].value = 0;
		values[n].n = p->n;
		values[n].positives = p->positives;
		for (i = 0; i < p->nterms; i++)
			values[n].value += coefficients[PATTERN_PLACES(p)[i]] * pattern_value(p, i);
		n++;
	}
	area_of(values, n, area);
	pfree(values);
}
