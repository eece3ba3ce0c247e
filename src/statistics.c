/*-------------------------------------------------------------------------
 *
 * statistics.c
 *		The statistics of experiments.
 *
 * Everything is computed from erfc(), exp(), log() and lgamma_r(), which the C
 * library has.  Sums are finite, so that nothing depends on when a series is
 * cut off, and terms are scaled, so that large counts neither overflow nor
 * underflow.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"

#include "statistics.h"

/*
 * Beyond so many the sum of leadscore_beta_greater() would take milliseconds,
 * and the distributions are normal to 5 digits and more.
 */
#define LONGEST_SUM		100000.0

/*
 * Logarithms of gamma functions of more have too few digits left for the
 * differences between them.
 */
#define LARGEST_COUNT	1e9

/* Terms are scaled down when they are larger. */
#define LARGE_TERM		1e200

/* How firmly the Bayes factor of a ratio believes in the planned weights */
#define RATIO_PRIOR		100.0

/* lgamma() writes a global variable; this does not. */
static double
log_gamma(double x)
{
	int			sign;

	return lgamma_r(x, &sign);
}

/* The chance that a standard normal variable is larger than z */
double
leadscore_normal_tail(double z)
{
	return 0.5 * erfc(z * M_SQRT1_2);
}

/* The density of a standard normal variable */
static double
normal_density(double z)
{
	return exp(-0.5 * z * z) / sqrt(2 * M_PI);
}

/*
 * The number below which a standard normal variable is with chance p, 0 < p < 1:
 * P. J. Acklam's rational approximation, good to nine digits, and one step of
 * Halley's method.
 */
double
leadscore_normal_quantile(double p)
{
	static const double a[] = {-3.969683028665376e+01, 2.209460984245205e+02, -2.759285104469687e+02,
	1.383577518672690e+02, -3.066479806614716e+01, 2.506628277459239e+00};
	static const double b[] = {-5.447609879822406e+01, 1.615858368580409e+02, -1.556989798598866e+02,
	6.680131188771972e+01, -1.328068155288572e+01};
	static const double c[] = {-7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e+00,
	-2.549732539343734e+00, 4.374664141464968e+00, 2.938163982698783e+00};
	static const double d[] = {7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e+00,
	3.754408661907416e+00};
	double		q;
	double		x;
	double		error;

	/* the upper half by the lower one, whose chances are exact */
	if (p > 0.5)
		return -leadscore_normal_quantile(1 - p);
	if (p < 0.02425)
	{
		q = sqrt(-2 * log(p));
		x = (((((c[0] * q + c[1]) * q + c[2]) * q + c[3]) * q + c[4]) * q + c[5]) /
			((((d[0] * q + d[1]) * q + d[2]) * q + d[3]) * q + 1);
	}
	else
	{
		double		r;

		q = p - 0.5;
		r = q * q;
		x = (((((a[0] * r + a[1]) * r + a[2]) * r + a[3]) * r + a[4]) * r + a[5]) * q /
			(((((b[0] * r + b[1]) * r + b[2]) * r + b[3]) * r + b[4]) * r + 1);
	}
	error = (leadscore_normal_tail(-x) - p) / normal_density(x);
	/* so far out that the density underflows the approximation has to do */
	return isfinite(error) ? x - error / (1 + 0.5 * x * error) : x;
}

/*
 * The chance that a chi-square variable with df degrees of freedom is larger
 * than x: for one and two it is known, and each two more add a term.
 */
double
leadscore_chi_square_tail(double x, int df)
{
	double		half = x / 2;
	int			twice;
	double		tail = df % 2 == 1 ? erfc(sqrt(half)) : exp(-half);

	if (x <= 0)
		return 1;
	if (isinf(x))
		return 0;
	for (twice = df % 2 == 1 ? 1 : 2; twice < df; twice += 2)
		tail += exp(twice / 2.0 * log(half) - half - log_gamma(twice / 2.0 + 1));
	return Min(tail, 1);
}

/* The logarithm of the beta function */
static double
log_beta(double a, double b)
{
	return log_gamma(a) + log_gamma(b) - log_gamma(a + b);
}

/*
 * The chance that Beta(a2, b2) is larger than Beta(a1, b1): a sum of a2 terms,
 * each by its ratio to the one before.  (E. Miller, Formulas for Bayesian A/B
 * Testing.)
 */
static double
greater_by_sum(double a1, double b1, double a2, double b2)
{
	double		scale = log_beta(a1, b1 + b2) - log_beta(a1, b1);
	double		term = 1;
	double		sum = 1;
	int			terms = (int) a2;
	int			i;

	for (i = 0; i < terms - 1; i++)
	{
		term *= (a1 + i) / (a1 + i + b1 + b2) * ((b2 + i) / (1.0 + i));
		sum += term;
		if (sum > LARGE_TERM)
		{
			sum /= LARGE_TERM;
			term /= LARGE_TERM;
			scale += log(LARGE_TERM);
		}
		if ((i & 0xfff) == 0)
			CHECK_FOR_INTERRUPTS();
	}
	return exp(log(sum) + scale);
}

/* Is a sum of leadscore_beta_greater() too long, or too inexact? */
static bool
is_normal(double a1, double b1, double a2, double b2)
{
	return Min(Min(a1, b1), Min(a2, b2)) > LONGEST_SUM ||
		Max(Max(a1, b1), Max(a2, b2)) > LARGEST_COUNT;
}

/* Mean and variance of a beta distribution */
static void
beta_moments(double a, double b, double *mean, double *variance)
{
	*mean = a / (a + b);
	*variance = a / (a + b) * (b / (a + b)) / (a + b + 1);
}

/*
 * The same, with whole parameters of at least 1: of the four sums that are
 * equal to it, as the arms can be swapped, and success and failure, the
 * shortest.
 */
double
leadscore_beta_greater(double a1, double b1, double a2, double b2)
{
	double		shortest = Min(Min(a1, b1), Min(a2, b2));
	double		chance;

	if (is_normal(a1, b1, a2, b2))
	{
		double		mean1;
		double		mean2;
		double		variance1;
		double		variance2;

		beta_moments(a1, b1, &mean1, &variance1);
		beta_moments(a2, b2, &mean2, &variance2);
		return leadscore_normal_tail((mean1 - mean2) / sqrt(variance1 + variance2));
	}
	if (shortest == a2)
		chance = greater_by_sum(a1, b1, a2, b2);
	else if (shortest == a1)
		chance = 1 - greater_by_sum(a2, b2, a1, b1);
	else if (shortest == b1)
		chance = greater_by_sum(b2, a2, b1, a1);
	else
		chance = 1 - greater_by_sum(b1, a1, b2, a2);
	return Max(Min(chance, 1), 0);
}

/*
 * What is lost on average by choosing the second of two arms: the mean of
 * Beta(a1, b1) - Beta(a2, b2) where that is positive, and 0 elsewhere.
 */
double
leadscore_beta_loss(double a1, double b1, double a2, double b2)
{
	double		mean1;
	double		mean2;
	double		variance1;
	double		variance2;
	double		loss;

	beta_moments(a1, b1, &mean1, &variance1);
	beta_moments(a2, b2, &mean2, &variance2);
	if (is_normal(a1, b1, a2, b2))
	{
		double		deviation = sqrt(variance1 + variance2);
		double		z = (mean1 - mean2) / deviation;

		loss = deviation * (normal_density(z) + z * leadscore_normal_tail(-z));
	}
	else
		loss = mean1 * leadscore_beta_greater(a2, b2, a1 + 1, b1) -
			mean2 * leadscore_beta_greater(a2 + 1, b2, a1, b1);
	return Max(loss, 0);
}

/*
 * The p-value of a difference that holds however often one looks: one divided
 * by the likelihood ratio of a mixture of differences, normal with standard
 * deviation effect, against none.  (R. Johari, L. Pekelis, D. Walsh, Always
 * Valid Inference.)
 */
double
leadscore_sequential_p(double difference, double variance, double effect)
{
	double		prior = effect * effect;
	double		log_ratio;

	if (variance <= 0)
		return difference == 0 ? 1 : 0;
	log_ratio = 0.5 * log(variance / (variance + prior)) +
		difference * difference / variance * (prior / (2 * (variance + prior)));
	return Min(exp(-log_ratio), 1);
}

/* Half the width of the interval that belongs to it, at the level 1 - alpha */
double
leadscore_sequential_margin(double variance, double effect, double alpha)
{
	double		prior = effect * effect;

	if (variance <= 0)
		return 0;
	return sqrt(variance * ((variance + prior) / prior) *
				(2 * log(1 / alpha) + log((variance + prior) / variance)));
}

/*
 * The p-value of counts that were to be in the ratio of weights, by chi-square;
 * it holds for one look.
 */
double
leadscore_ratio_chi_square(const double *counts, const double *weights, int n)
{
	double		total = 0;
	double		weight = 0;
	double		sum = 0;
	int			df = -1;
	int			i;

	for (i = 0; i < n; i++)
	{
		total += counts[i];
		weight += weights[i];
	}
	for (i = 0; i < n; i++)
	{
		double		expected = total * (weights[i] / weight);

		if (expected > 0)
		{
			sum += (counts[i] - expected) * ((counts[i] - expected) / expected);
			df++;
		}
		else if (counts[i] > 0)
			return 0;
	}
	return df < 1 ? 1 : leadscore_chi_square_tail(sum, df);
}

/*
 * The logarithm of the Bayes factor of other ratios, Dirichlet around the
 * weights, against these.  With none of them wrong it exceeds x with a chance of
 * 1 / x at most, however often one looks.
 */
double
leadscore_ratio_log_bayes(const double *counts, const double *weights, int n)
{
	double		total = 0;
	double		weight = 0;
	double		sum = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		total += counts[i];
		weight += weights[i];
	}
	for (i = 0; i < n; i++)
	{
		double		share = weights[i] / weight;

		if (share > 0)
			sum += log_gamma(RATIO_PRIOR * share + counts[i]) - log_gamma(RATIO_PRIOR * share) -
				counts[i] * log(share);
		else if (counts[i] > 0)
			return INFINITY;
	}
	return sum + log_gamma(RATIO_PRIOR) - log_gamma(RATIO_PRIOR + total);
}
