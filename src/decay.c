/*-------------------------------------------------------------------------
 *
 * decay.c
 *		The weights of a decay by age.
 *
 * Weights are units of 2^-31, computed in integers to about 2^-120 and tabulated
 * as far as ages are asked for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "score_parts.h"

#define FACTOR_ONE		((uint128) 1 << 127)

/* a * b for numbers of at most one, in units of 2^-127 */
static uint128
multiply(uint128 a, uint128 b)
{
	uint64		a1 = (uint64) (a >> 64);
	uint64		a0 = (uint64) a;
	uint64		b1 = (uint64) (b >> 64);
	uint64		b0 = (uint64) b;
	uint128		cross1 = (uint128) a0 * b1;
	uint128		cross2 = (uint128) a1 * b0;
	uint128		middle = (((uint128) a0 * b0) >> 64) + (uint64) cross1 + (uint64) cross2;
	uint128		high = (uint128) a1 * b1 + (cross1 >> 64) + (cross2 >> 64) + (middle >> 64);

	return (high << 1) | ((uint64) middle >> 63);
}

/*
 * 2^(-1/period), in units of 2^-127: the series of exp(-ln 2 / period).  Good
 * to about 2^-120, so that tables of any usable length round correctly.
 */
static uint128
half_life_ratio(int32 period)
{
	uint128		ln2 = (uint128) UINT64CONST(0x58B90BFBE8E7BCD5) << 64 |
		UINT64CONST(0xE4F1D9CC01F97B57);
	uint128		x = ln2 / period;
	uint128		term = FACTOR_ONE;
	uint128		sum = FACTOR_ONE;
	int			k;

	for (k = 1; term != 0; k++)
	{
		term = multiply(term, x) / k;
		if (k % 2 == 1)
			sum -= term;
		else
			sum += term;
	}
	return sum;
}

/* What a step leaves: 1 - percent, exactly if that is a binary fraction */
static uint128
step_ratio(const ModelRule *rule)
{
	uint128		left = 100000 - rule->decay_percent;

	return FACTOR_ONE / 100000 * left + FACTOR_ONE % 100000 * left / 100000;
}

/* A factor as a weight, 2^-halvings of it, rounded to nearest, halves up */
static inline uint32
factor_weight(uint128 factor, int halvings)
{
	uint64		high = (uint64) (factor >> 64);

	return (uint32) (((high >> (WEIGHT_BITS + halvings)) + 1) >> 1);
}

/* The age from which on a rule's weights are zero */
static int32
decay_horizon(const ModelRule *rule)
{
	int64		horizon;

	switch (rule->decay)
	{
		case DECAY_HALF_LIFE:
			/* 2^-32 is the last that rounds to one unit */
			horizon = INT64CONST(32) * rule->decay_period + 1;
			break;
		case DECAY_LINEAR:
			horizon = (INT64CONST(100000) * rule->decay_period +
					   rule->decay_percent - 1) / rule->decay_percent;
			break;
		case DECAY_STEP:
			{
				uint128		ratio = step_ratio(rule);
				uint128		factor = FACTOR_ONE;
				int64		steps = 0;

				for (; factor_weight(factor, 0) > 0; steps++)
					factor = multiply(factor, ratio);
				horizon = steps * rule->decay_period;
				break;
			}
		case DECAY_WINDOW:
			horizon = rule->decay_period;
			break;
		default:
			return PG_INT32_MAX;
	}
	return (int32) Min(horizon, PG_INT32_MAX);
}

/* No weight is computed yet. */
void
leadscore_decay_begin(const ModelRule *rule, RuleWeights *w)
{
	w->horizon = decay_horizon(rule);
	w->factor = FACTOR_ONE;
	if (rule->decay == DECAY_HALF_LIFE)
		w->ratio = half_life_ratio(rule->decay_period);
	else if (rule->decay == DECAY_STEP)
		w->ratio = step_ratio(rule);
}

/* Compute weights up to an age below the horizon. */
void
leadscore_extend_weights(Scorer *scorer, const ModelRule *rule, RuleWeights *w, int32 age)
{
	Assert(age >= w->n && age < w->horizon);
	if (age >= w->capacity)
	{
		int64		capacity = Max(Max(w->capacity * INT64CONST(2), 512),
								   age + INT64CONST(1));

		/* this may fail, and code that catches the error may call again */
		capacity = Min(capacity, w->horizon);
		if (w->weights == NULL)
			w->weights = MemoryContextAllocHuge(scorer->context,
												capacity * sizeof(uint32));
		else
			w->weights = repalloc_huge(w->weights, capacity * sizeof(uint32));
		w->capacity = (int32) capacity;
	}
	for (; w->n <= age; w->n++)
	{
		int32		period = rule->decay_period;

		if (rule->decay == DECAY_HALF_LIFE)
		{
			if (w->n % period == 0)
				w->factor = FACTOR_ONE;
			w->weights[w->n] = factor_weight(w->factor, w->n / period);
			w->factor = multiply(w->factor, w->ratio);
		}
		else if (rule->decay == DECAY_STEP)
		{
			w->weights[w->n] = factor_weight(w->factor, 0);
			if ((w->n + 1) % period == 0)
				w->factor = multiply(w->factor, w->ratio);
		}
		else
		{
			int128		whole = (int128) 100000 * period;
			int128		left = whole - (int128) rule->decay_percent * w->n;

			w->weights[w->n] = (uint32) ((left * WEIGHT_ONE * 2 + whole) / (whole * 2));
		}
	}
}
