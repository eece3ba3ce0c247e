/*-------------------------------------------------------------------------
 *
 * score.c
 *		The score of a lead: what an activity is worth at an instant, by a model.
 *
 * Every non-linearity (decay, limits, caps, clamps) happens here, on read, in
 * integers: points are milli-points, weights are units of 2^-31, and products
 * are taken in 128 bits.  So a score is the same on every machine.
 *
 * A model is made ready once (scorer.c), and the weights of a decay are tabulated
 * (decay.c).  An evaluation finds the items of each signal (evaluation.c), applies
 * the rules of those signals that the lead has, and adds up: rule, dimension,
 * score.  What the score says about the stage is in qualify.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "score.h"

#include "score_parts.h"

/*
 * The signal that keeps a rule from counting: one of only_if that is missing,
 * or one of unless that is present.  NO_INDEX if there is none.
 */
int
leadscore_rule_blocker(const Scorer *scorer, const Evaluation *e, int rule,
					   bool *missing)
{
	const ModelRule *r = &model_rules(scorer->model)[rule];
	const int16 *only_if = MODEL_ITEMS(scorer->model, int16, r->only_if);
	const int16 *unless = MODEL_ITEMS(scorer->model, int16, r->unless);
	int			i;

	*missing = true;
	for (i = 0; i < r->only_if.n; i++)
		if (!leadscore_signal_present(e, only_if[i]))
			return only_if[i];
	*missing = false;
	for (i = 0; i < r->unless.n; i++)
		if (leadscore_signal_present(e, unless[i]))
			return unless[i];
	return NO_INDEX;
}

/* Counts that a rule sees before its limit, and the newest bucket of them */
int64
leadscore_rule_events(const Scorer *scorer, const Evaluation *e, int rule,
					  int32 *newest)
{
	const ModelRule *r = &model_rules(scorer->model)[rule];
	const SignalSpan *span = &e->signals[r->signal];
	int128		events = span->timeless;
	const ActivityItem *item;

	*newest = PG_INT32_MIN;
	for (item = first_item(e, r); item < span->end; item++)
		if (item->count > 0)
		{
			events += item->count;
			*newest = item->bucket;
		}
	if (scorer->distinct[r->signal])
	{
		int32		reset = e->resets[r->dimension];
		int32		id = model_signals(scorer->model)[r->signal].id;

		/* all of them, not only the newest of each value */
		events = 0;
		for (item = e->activity->items; item < e->activity->items + e->activity->nitems; item++)
			if (item->signal == id && item->value != 0 && item->count > 0 && item->bucket <= e->at &&
				(item->bucket == BUCKET_TIMELESS || item->bucket > reset))
				events += item->count;
	}
	return (int64) Min(events, PG_INT64_MAX);
}

/* The different values that a rule over a distinct signal counts */
int64
leadscore_rule_values(const Scorer *scorer, const Evaluation *e, int rule)
{
	const ModelRule *r = &model_rules(scorer->model)[rule];
	const ActivityItem *item;
	int64		values = e->signals[r->signal].timeless;

	for (item = first_item(e, r); item < e->signals[r->signal].end; item++)
		if (r->within == 0 || e->at - item->bucket < r->within)
			values += item->count;
	return values;
}

/* points * weight / 1000, rounded half away from zero */
int64
leadscore_weighted(int64 points, int64 weight)
{
	int128		product;

	if (weight == 1000)
		return points;
	product = (int128) points * weight;
	if (product <= PG_INT64_MAX - 500 && product >= 500 - PG_INT64_MAX)
	{
		int64		small = (int64) product;

		return saturate(small >= 0 ? (small + 500) / 1000 : -((-small + 500) / 1000));
	}
	return saturate(round_milli(product));
}

/*
 * How many quiet times a rule of idle time counts: it is quiet since the
 * newest event, the reset or creation.
 */
int64
leadscore_quiet_times(const Scorer *scorer, const Evaluation *e, int rule)
{
	const ModelRule *r = &model_rules(scorer->model)[rule];
	int32		reset = e->resets[r->dimension];
	int32		start = newest_bucket(e, r->signal);
	bool		missing;

	if (leadscore_rule_blocker(scorer, e, rule, &missing) != NO_INDEX)
		return 0;
	if (start <= reset)
	{
		start = reset;
		if (created_signal(scorer) != NO_INDEX)
			start = Max(start, newest_bucket(e, created_signal(scorer)));
	}
	return start == PG_INT32_MIN ? 0 : quiet_times(r, e->at, start);
}

/* The points that choose the tier of a rule: what a lead has without such rules */
int64
leadscore_gross_points(const Evaluation *e, const ModelRule *rule)
{
	return rule->of_dimension == NO_INDEX ? e->gross_total : e->gross[rule->of_dimension];
}

/* The points of a rule of idle time, before its cap */
static int64
idle_points(const Scorer *scorer, const Evaluation *e, int rule)
{
	const ModelRule *r = &model_rules(scorer->model)[rule];
	int64		times = leadscore_quiet_times(scorer, e, rule);

	if (times == 0)
		return 0;
	if (r->tiers.n == 0)
		return saturate((int128) times * r->points);
	return tier_points(r, tier_reached(scorer->model, r, leadscore_gross_points(e, r)), times);
}

/*
 * The points of a rule.  Without limited, its limit_count is passed over;
 * without capped, its max_points.
 */
int64
leadscore_rule_points(Scorer *scorer, const Evaluation *e, int rule,
					  bool limited, bool capped)
{
	const LeadModel *model = scorer->model;
	const ModelRule *r = &model_rules(model)[rule];
	RuleWeights *w = scorer->weights[rule];
	const SignalSpan *span = &e->signals[r->signal];
	bool		missing;
	int128		quantity = 0;	/* units of 2^-31 */
	int64		first_left = r->first_n;
	int64		limit_left = 0;
	int32		limit_period = PG_INT32_MIN;
	int32		newest = PG_INT32_MIN;
	int32		last_day = PG_INT32_MIN;
	int32		last_period = PG_INT32_MIN;
	int64		period_left = 0;
	int64		points;
	const ActivityItem *item;

	if (r->aggregate == AGGREGATE_IDLE)
	{
		points = idle_points(scorer, e, rule);
		return capped ? cap_points(r, points) : points;
	}
	if (span->first == span->end && span->timeless == 0)
		return 0;
	if ((r->only_if.n > 0 || r->unless.n > 0) &&
		leadscore_rule_blocker(scorer, e, rule, &missing) != NO_INDEX)
		return 0;

	switch (r->aggregate)
	{
		case AGGREGATE_SUM:
			quantity = (int128) span->timeless * WEIGHT_ONE;
			break;
		case AGGREGATE_FIRST_N:
			first_left -= Min(first_left, span->timeless);
			quantity = (int128) (r->first_n - first_left) * WEIGHT_ONE;
			break;
		case AGGREGATE_DAYS:
			quantity = span->timeless > 0 ? WEIGHT_ONE : 0;
			break;
		case AGGREGATE_TIER:
			quantity = span->timeless;
			break;
		default:
			break;
	}

	for (item = first_item(e, r); item < span->end; item++)
	{
		int32		bucket = item->bucket;
		int64		count = item->count;

		if (count <= 0)
			continue;
		if (r->limit_count > 0 && limited)
		{
			int32		period = period_of(bucket, (LeadGrain) model->grain,
										   (CalendarPeriod) r->limit_period);

			if (period != limit_period)
			{
				limit_period = period;
				limit_left = r->limit_count;
			}
			count = Min(count, limit_left);
			limit_left -= count;
			if (count == 0)
				continue;
		}
		newest = bucket;
		switch (r->aggregate)
		{
			case AGGREGATE_SUM:
				quantity += (int128) count * weight_at(scorer, r, w, e->at - bucket);
				break;
			case AGGREGATE_FIRST_N:
				count = Min(count, first_left);
				first_left -= count;
				quantity += (int128) count * weight_at(scorer, r, w, e->at - bucket);
				break;
			case AGGREGATE_DAYS:
				{
					int32		day = day_of(bucket, (LeadGrain) model->grain);

					if (day != last_day)
						quantity += weight_at(scorer, r, w, e->at - bucket);
					last_day = day;
					break;
				}
			case AGGREGATE_TIER:
				if (r->within == 0 || e->at - bucket < r->within)
					quantity += count;
				break;
			case AGGREGATE_PERIODS:
				{
					int32		period = period_of(bucket, (LeadGrain) model->grain,
												   (CalendarPeriod) r->period);

					if (period != last_period)
						period_left = r->min_count;
					last_period = period;
					/* a period is paid by the bucket in which it has enough */
					if (period_left > 0 && count >= period_left)
						quantity += weight_at(scorer, r, w, e->at - bucket);
					period_left -= Min(count, period_left);
					break;
				}
			default:
				break;
		}
	}

	if (r->aggregate == AGGREGATE_TIER)
	{
		const ModelTier *tier = tier_reached(model, r, quantity);

		points = tier ? leadscore_weighted(tier->points, r->points) : 0;
	}
	else
	{
		if (r->aggregate == AGGREGATE_LAST)
		{
			if (span->timeless > 0)
				quantity = WEIGHT_ONE;
			else if (newest != PG_INT32_MIN)
				quantity = weight_at(scorer, r, w, e->at - newest);
		}
		quantity = Min(quantity, MAX_QUANTITY);
		points = saturate(round_shift(quantity * r->points, WEIGHT_BITS));
	}
	return capped ? cap_points(r, points) : points;
}

/*
 * The same for what most rules are: a sum without conditions, of counts that
 * are not huge; false if it is another.
 */
static inline bool
sum_points(Scorer *scorer, const Evaluation *e, const ModelRule *r, RuleWeights *w,
		   int64 *result)
{
	const SignalSpan *span = &e->signals[r->signal];
	const ActivityItem *item = span->first;
	const ActivityItem *end = span->end;
	LeadGrain	grain = (LeadGrain) scorer->model->grain;
	int32		reset = e->resets[r->dimension];
	int64		limit_left = PG_INT32_MAX;
	int32		limit_period = PG_INT32_MIN;
	int64		quantity;
	int64		points;

	if (r->aggregate != AGGREGATE_SUM || r->only_if.n > 0 || r->unless.n > 0 ||
		span->timeless > PG_INT16_MAX || span->end - span->first > PG_INT16_MAX)
		return false;
	/* below 2^15 * 2^31, so that 2^15 of them stay below 2^62 */
	quantity = span->timeless << WEIGHT_BITS;
	for (; item < end; item++)
	{
		int64		count = item->count;

		if (item->bucket <= reset || count <= 0)
			continue;
		if (r->limit_count > 0)
		{
			int32		period = period_of(item->bucket, grain, (CalendarPeriod) r->limit_period);

			if (period != limit_period)
			{
				limit_period = period;
				limit_left = r->limit_count;
			}
			count = Min(count, limit_left);
			limit_left -= count;
		}
		if (count > PG_INT16_MAX)
			return false;
		quantity += count * weight_at(scorer, r, w, e->at - item->bucket);
	}
	points = saturate(round_shift((int128) quantity * r->points, WEIGHT_BITS));
	*result = cap_points(r, points);
	return true;
}

/* The points of a rule as they count */
static inline int64
rule_points(Scorer *scorer, const Evaluation *e, int rule)
{
	int64		points;

	if (sum_points(scorer, e, &model_rules(scorer->model)[rule], scorer->weights[rule],
				   &points))
		return points;
	return leadscore_rule_points(scorer, e, rule, true, true);
}

/* The same for bounds.c */
int64
leadscore_counted_points(Scorer *scorer, const Evaluation *e, int rule)
{
	return rule_points(scorer, e, rule);
}

/*
 * The points of quiet time that go by what a lead has.  That is what it has
 * without them, so that they do not depend on themselves.
 */
static void
add_tiered_rules(Scorer *scorer, Evaluation *e)
{
	const LeadModel *model = scorer->model;
	const ModelDimension *dimensions = model_dimensions(model);
	int64		total = 0;
	int			i;

	for (i = 0; i < model->dimensions.n; i++)
	{
		e->gross[i] = clamp(saturate(e->dimensions[i]),
							dimensions[i].min_points, dimensions[i].max_points);
		total += leadscore_weighted(e->gross[i], dimensions[i].weight);
	}
	e->gross_total = clamp(saturate(total), model->min_score, model->max_score);
	for (i = 0; i < scorer->ntiered; i++)
	{
		int			rule = scorer->tiered_rules[i];
		int64		points = leadscore_rule_points(scorer, e, rule, true, true);

		e->rules[rule] = points;
		e->dimensions[model_rules(model)[rule].dimension] += points;
	}
}

/*
 * Add up what the counts at hand are worth.  A rule that has a twin, a rule of
 * another model with the same points, is worth what its twin is in that
 * evaluation.
 */
static pg_attribute_always_inline void
add_up_rules(Scorer *scorer, const Evaluation *other, const int16 *twins, Evaluation *result)
{
	const LeadModel *model = scorer->model;
	const ModelDimension *dimensions = model_dimensions(model);
	const ModelRule *rules = model_rules(model);
	int64		total = 0;
	int			i;
	int			j;

	memset(result->dimensions, 0, sizeof(int64) * model->dimensions.n);
	/* at most MAX_ROWS rules of at most 1e15 each, so sums cannot overflow */
	memset(result->rules, 0, sizeof(int64) * model->rules.n);
	for (i = 0; i < result->npresent; i++)
	{
		int			signal = result->present[i];

		for (j = scorer->first_rule[signal]; j < scorer->first_rule[signal + 1]; j++)
		{
			int			rule = scorer->signal_rules[j];
			int64		points = twins && twins[rule] != NO_INDEX ? other->rules[twins[rule]] :
				rule_points(scorer, result, rule);

			result->rules[rule] = points;
			result->dimensions[rules[rule].dimension] += points;
		}
	}
	for (i = 0; i < scorer->nidle; i++)
	{
		int			rule = scorer->idle_rules[i];
		int64		points = leadscore_rule_points(scorer, result, rule, true, true);

		result->rules[rule] = points;
		result->dimensions[rules[rule].dimension] += points;
	}
	if (unlikely(scorer->ntiered > 0))
		add_tiered_rules(scorer, result);
	for (i = 0; i < model->dimensions.n; i++)
	{
		result->dimensions[i] = clamp(saturate(result->dimensions[i]),
									  dimensions[i].min_points, dimensions[i].max_points);
		total += leadscore_weighted(result->dimensions[i], dimensions[i].weight);
	}
	result->total = clamp(saturate(total), model->min_score, model->max_score);
	Assert(result->total >= -MAX_SCORE_MILLI && result->total <= MAX_SCORE_MILLI);
}

/* Score an activity at a bucket. */
void
leadscore_evaluate(Scorer *scorer, const ActivityList *activity, int32 at,
				   Evaluation *result)
{
	Assert(activity->grain == (LeadGrain) scorer->model->grain);
	leadscore_look_at(scorer, activity, at, result);
	result->at = at;
	add_up_rules(scorer, NULL, NULL, result);
}

/* Score what another model was asked about, see score_pair.c. */
void
leadscore_evaluate_beside(Scorer *scorer, const Evaluation *other, const int16 *twins,
						  Evaluation *result)
{
	leadscore_look_beside(scorer, other, result);
	result->at = other->at;
	add_up_rules(scorer, other, twins, result);
}

/* Index of the grade that a dimension's points earn, or NO_INDEX */
int
leadscore_grade(const LeadModel *model, int dimension, int64 points)
{
	const ModelGrade *grades = model_grades(model);
	int			i;

	for (i = 0; i < model->grades.n; i++)
		if (grades[i].dimension == dimension && points >= grades[i].min_points)
			return i;
	return NO_INDEX;
}
