/*-------------------------------------------------------------------------
 *
 * score.c
 *		The score and the stage of a lead.
 *
 * Every non-linearity (decay, limits, caps, clamps, gates) happens here, on
 * read, in integers: points are milli-points, weights are units of 2^-31, and
 * products are taken in 128 bits.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "score.h"

#include "miscadmin.h"

#include "stage.h"

#ifndef HAVE_INT128
#error "leadscore needs a compiler with 128-bit integers"
#endif

#define WEIGHT_BITS		31
#define WEIGHT_ONE		(INT64CONST(1) << WEIGHT_BITS)
#define FACTOR_ONE		((uint128) 1 << 127)

/* more counts than this make no difference to a saturated score */
#define MAX_QUANTITY	((int128) 1 << 85)

/* a search that need not be exact gives up after so many evaluations */
#define SEARCH_BUDGET	10000

/* after so many bounds reading the log is cheaper */
#define KEEPS_BUDGET	1000

typedef enum Answer
{
	ANSWER_NO = 0,
	ANSWER_YES,
	ANSWER_UNKNOWN
} Answer;

/*
 * What is known of all buckets from one evaluation to another, when nothing
 * new happens in between: every rule is monotone there, so its values lie
 * between those at the ends, and sums and clamps keep that.
 */
typedef struct Range
{
	const Evaluation *from;
	const Evaluation *to;
	int64		low;
	int64		high;
	int64	   *dimension_low;
	int64	   *dimension_high;
} Range;

/* A search for the first bucket where a stage changes */
typedef struct Search
{
	Scorer	   *scorer;
	const ActivityList *activity;
	bool		qualified;		/* else by standing */
	LeadStanding standing;
	int			budget;			/* evaluations left; negative: no limit */
	Range		range;
} Search;

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

/* Compute weights up to an age below the horizon. */
static void
extend_weights(Scorer *scorer, const ModelRule *rule, RuleWeights *w, int32 age)
{
	if (age >= w->capacity)
	{
		int64		capacity = Max(Max(w->capacity * INT64CONST(2), 512),
								   age + INT64CONST(1));

		/* this may fail, and whoever catches it may come again */
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

/* The weight of something age buckets old */
static inline uint32
weight_at(Scorer *scorer, const ModelRule *rule, RuleWeights *w, int32 age)
{
	if (age >= w->horizon)
		return 0;
	if (rule->decay == DECAY_NONE || rule->decay == DECAY_WINDOW)
		return (uint32) WEIGHT_ONE;
	if (unlikely(age >= w->n))
		extend_weights(scorer, rule, w, age);
	return w->weights[age];
}

/* How long after its last bucket a rule may still change; -1: for ever */
static int64
rule_horizon(const ModelRule *rule, const RuleWeights *w)
{
	if (rule->aggregate == AGGREGATE_TIER)
		return rule->within;
	if (rule->aggregate == AGGREGATE_IDLE)
	{
		if (!rule->repeat || rule->points == 0)
			return rule->after;
		if (rule->max_points == NO_POINTS ||
			rule->max_points / rule->points >= PG_INT32_MAX)
			return -1;
		return rule->after * (rule->max_points / rule->points + INT64CONST(1));
	}
	return rule->decay == DECAY_NONE ? 0 : w->horizon;
}

/* What single signals do to a stage: milestones, and a reason to promote again */
static void
find_milestones(Scorer *scorer)
{
	const LeadModel *model = scorer->model;
	const ModelStageRule *stage_rules = model_stage_rules(model);
	const ModelRule *rules = model_rules(model);
	int			i;
	int			j;

	scorer->entry_stage = palloc0(model->signals.n + 1);
	scorer->positive = palloc0(sizeof(bool) * (model->signals.n + 1));
	for (i = 0; i < model->stage_rules.n; i++)
	{
		const int16 *entries = MODEL_ITEMS(model, int16, stage_rules[i].entry_signals);

		/* stages ascend, so of several the highest stays */
		for (j = 0; j < stage_rules[i].entry_signals.n; j++)
			scorer->entry_stage[entries[j]] = stage_rules[i].stage;
	}
	for (i = 0; i < model->rules.n; i++)
	{
		const ModelTier *tiers = MODEL_ITEMS(model, ModelTier, rules[i].tiers);
		bool		positive = rules[i].points > 0;

		if (rules[i].aggregate == AGGREGATE_IDLE)
			continue;
		if (rules[i].aggregate == AGGREGATE_TIER && tiers[rules[i].tiers.n - 1].points <= 0)
			positive = rules[i].points < 0 && tiers[rules[i].tiers.n - 1].points < 0;
		if (positive)
			scorer->positive[rules[i].signal] = true;
	}
}

/*
 * Which rules a signal concerns: a lead has a few of many signals, and a rule
 * whose signal it has not gives no points.
 */
static void
index_rules(Scorer *scorer)
{
	const LeadModel *model = scorer->model;
	const ModelRule *rules = model_rules(model);
	int			n = 0;
	int			i;
	int			j;

	scorer->first_rule = palloc(sizeof(int32) * (model->signals.n + 1));
	scorer->signal_rules = palloc(sizeof(int16) * model->rules.n + 1);
	scorer->idle_rules = palloc(sizeof(int16) * model->rules.n + 1);
	for (i = 0; i < model->signals.n; i++)
	{
		scorer->first_rule[i] = n;
		for (j = 0; j < model->rules.n; j++)
			if (rules[j].signal == i && rules[j].aggregate != AGGREGATE_IDLE)
				scorer->signal_rules[n++] = (int16) j;
	}
	scorer->first_rule[model->signals.n] = n;
	for (j = 0; j < model->rules.n; j++)
		if (rules[j].aggregate == AGGREGATE_IDLE)
			scorer->idle_rules[scorer->nidle++] = (int16) j;
}

/* Make a model ready; lives in the current memory context. */
Scorer *
leadscore_scorer_create(const LeadModel *model)
{
	Scorer	   *scorer = palloc0(sizeof(Scorer));
	const ModelSignal *signals = model_signals(model);
	const ModelRule *rules = model_rules(model);
	const ModelGate *gates = model_gates(model);
	const ModelStageRule *stage_rules = model_stage_rules(model);
	int64		quiet = 0;
	int			i;

	scorer->model = model;
	scorer->context = CurrentMemoryContext;
	scorer->max_signal_id = model->signals.n > 0 ? signals[model->signals.n - 1].id : -1;
	scorer->signal_index = palloc((scorer->max_signal_id + 1) * sizeof(int16) + 1);
	for (i = 0; i <= scorer->max_signal_id; i++)
		scorer->signal_index[i] = NO_INDEX;
	for (i = 0; i < model->signals.n; i++)
		scorer->signal_index[signals[i].id] = (int16) i;

	scorer->weights = palloc0(sizeof(RuleWeights) * model->rules.n + 1);
	for (i = 0; i < model->rules.n; i++)
	{
		RuleWeights *w = &scorer->weights[i];
		int64		horizon;

		w->horizon = decay_horizon(&rules[i]);
		w->factor = FACTOR_ONE;
		if (rules[i].decay == DECAY_HALF_LIFE)
			w->ratio = half_life_ratio(rules[i].decay_period);
		else if (rules[i].decay == DECAY_STEP)
			w->ratio = step_ratio(&rules[i]);
		horizon = rule_horizon(&rules[i], w);
		quiet = horizon < 0 || quiet < 0 ? -1 : Max(quiet, horizon);
	}
	for (i = 0; i < model->gates.n; i++)
		quiet = quiet < 0 ? -1 : Max(quiet, gates[i].within);
	scorer->quiet_after = quiet > PG_INT32_MAX ? -1 : (int32) quiet;

	find_milestones(scorer);
	index_rules(scorer);
	scorer->gate_end = palloc(sizeof(int16) * model->gates.n + 1);
	for (i = model->gates.n - 1; i >= 0; i--)
		scorer->gate_end[i] = i + 1 < model->gates.n &&
			gates[i].stage == gates[i + 1].stage &&
			strcmp(MODEL_STRING(model, gates[i].name),
				   MODEL_STRING(model, gates[i + 1].name)) == 0 ?
			scorer->gate_end[i + 1] : (int16) (i + 1);
	scorer->stages = palloc0(sizeof(StageGates) * model->stage_rules.n + 1);
	for (i = model->stage_rules.n - 1; i >= 0; i--)
	{
		StageGates *stage;
		int			j;

		if (i + 1 < model->stage_rules.n &&
			stage_rules[i + 1].stage == stage_rules[i].stage)
		{
			stage = &scorer->stages[scorer->nstages - 1];
			stage->first_rule = i;
			stage->nrules++;
			continue;
		}
		if (stage_rules[i].stage <= LEAD_STAGE_VISITOR)
			break;
		stage = &scorer->stages[scorer->nstages++];
		stage->stage = stage_rules[i].stage;
		stage->first_rule = i;
		stage->nrules = 1;
		for (j = 0; j < model->gates.n; j++)
			if (gates[j].stage == stage->stage && stage->ngates++ == 0)
				stage->first_gate = j;
	}
	return scorer;
}

Evaluation *
leadscore_evaluation_create(const Scorer *scorer)
{
	const LeadModel *model = scorer->model;
	Evaluation *e = palloc0(sizeof(Evaluation));

	e->signals = palloc(sizeof(SignalSpan) * model->signals.n + 1);
	e->present = palloc(sizeof(int16) * model->signals.n + 1);
	e->resets = palloc(sizeof(int32) * model->dimensions.n + 1);
	e->rules = palloc(sizeof(int64) * model->rules.n + 1);
	e->dimensions = palloc(sizeof(int64) * model->dimensions.n + 1);
	return e;
}

static void
evaluation_free(Evaluation *e)
{
	pfree(e->signals);
	pfree(e->present);
	pfree(e->resets);
	pfree(e->rules);
	pfree(e->dimensions);
	pfree(e);
}

/* The first of some items of one signal that is later than a bucket */
static int
first_after(const ActivityItem *items, int low, int high, int32 bucket)
{
	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (items[middle].bucket > bucket)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* Find the items of each signal of the model up to a bucket. */
static void
find_spans(const Scorer *scorer, Evaluation *e, int32 last)
{
	const ActivityItem *items = e->activity->items;
	int			n = e->activity->nitems;
	int			i = 0;

	memset(e->signals, 0, sizeof(SignalSpan) * scorer->model->signals.n);
	e->npresent = 0;
	while (i < n)
	{
		int32		id = items[i].signal;
		int			index = id <= scorer->max_signal_id ? scorer->signal_index[id] : NO_INDEX;
		int			end = i + 1;
		SignalSpan *span;

		while (end < n && items[end].signal == id)
			end++;
		if (index != NO_INDEX)
		{
			span = &e->signals[index];
			if (items[i].bucket == BUCKET_TIMELESS)
			{
				span->timeless = Max(items[i].count, 0);
				i++;
			}
			span->first = i;
			span->end = end;
			if (end > i && items[end - 1].bucket > last)
				span->end = first_after(items, i, end, last);
			if (span->end > span->first || span->timeless > 0)
				e->present[e->npresent++] = (int16) index;
		}
		i = end;
	}
}

/* The newest bucket of a signal up to now, or PG_INT32_MIN */
static int32
newest_bucket(const Evaluation *e, int signal)
{
	const SignalSpan *span = &e->signals[signal];
	int			i;

	for (i = span->end - 1; i >= span->first; i--)
		if (e->activity->items[i].count > 0)
			return e->activity->items[i].bucket;
	return PG_INT32_MIN;
}

/* Has the signal been counted at least once up to now? */
bool
leadscore_signal_present(const Evaluation *e, int signal)
{
	return e->signals[signal].timeless > 0 ||
		newest_bucket(e, signal) != PG_INT32_MIN;
}

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

/* The first item of a rule's signal that the dimension's reset leaves */
static inline int
first_item(const Evaluation *e, const ModelRule *rule)
{
	const SignalSpan *span = &e->signals[rule->signal];
	int32		reset = e->resets[rule->dimension];
	int			i = span->first;

	while (i < span->end && e->activity->items[i].bucket <= reset)
		i++;
	return i;
}

/* Counts that a rule sees before its limit, and the newest bucket of them */
int64
leadscore_rule_events(const Scorer *scorer, const Evaluation *e, int rule,
					  int32 *newest)
{
	const ModelRule *r = &model_rules(scorer->model)[rule];
	const SignalSpan *span = &e->signals[r->signal];
	int128		events = span->timeless;
	int			i;

	*newest = PG_INT32_MIN;
	for (i = first_item(e, r); i < span->end; i++)
		if (e->activity->items[i].count > 0)
		{
			events += e->activity->items[i].count;
			*newest = e->activity->items[i].bucket;
		}
	return (int64) Min(events, PG_INT64_MAX);
}

/* v / 2^bits, rounded half away from zero */
static inline int128
round_shift(int128 v, int bits)
{
	int128		half = (int128) 1 << (bits - 1);

	return v >= 0 ? (v + half) >> bits : -((-v + half) >> bits);
}

static inline int64
saturate(int128 points)
{
	if (points > MAX_SCORE_MILLI)
		return MAX_SCORE_MILLI;
	if (points < -MAX_SCORE_MILLI)
		return -MAX_SCORE_MILLI;
	return (int64) points;
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
	return saturate(product >= 0 ? (product + 500) / 1000 : -((-product + 500) / 1000));
}

static inline int64
clamp(int64 points, int64 min, int64 max)
{
	if (min != NO_POINTS && points < min)
		return min;
	if (max != NO_POINTS && points > max)
		return max;
	return points;
}

/* The signal that says when a lead was created, NO_INDEX if there is none */
static inline int
created_signal(const Scorer *scorer)
{
	return scorer->max_signal_id >= 0 ? scorer->signal_index[0] : NO_INDEX;
}

/* Points of idle time: quiet since the newest event, the reset or creation */
static int128
idle_quantity(const Scorer *scorer, const Evaluation *e, const ModelRule *rule,
			  int32 newest)
{
	int32		start = newest;
	int64		quiet;

	if (start == PG_INT32_MIN)
	{
		if (created_signal(scorer) != NO_INDEX)
			start = newest_bucket(e, created_signal(scorer));
		start = Max(start, e->resets[rule->dimension]);
	}
	if (start == PG_INT32_MIN)
		return 0;
	quiet = (int64) e->at - start;
	if (quiet < rule->after)
		return 0;
	return rule->repeat ? quiet / rule->after : 1;
}

/* No more points than the cap of a rule, which has their sign or is 0 */
static inline int64
cap_points(const ModelRule *rule, int64 points)
{
	if (rule->max_points != NO_POINTS &&
		(points > 0 ? points > rule->max_points : points < Min(rule->max_points, 0)))
		return rule->max_points;
	return points;
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
	RuleWeights *w = &scorer->weights[rule];
	const SignalSpan *span = &e->signals[r->signal];
	const ActivityItem *items = e->activity->items;
	bool		idle = r->aggregate == AGGREGATE_IDLE;
	bool		missing;
	int128		quantity = 0;	/* units of 2^-31 */
	int64		first_left = r->first_n;
	int64		limit_left = 0;
	int32		limit_period = PG_INT32_MIN;
	int32		newest = PG_INT32_MIN;
	int32		last_day = PG_INT32_MIN;
	int64		points;
	int			i;

	if (!idle && span->first == span->end && span->timeless == 0)
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

	for (i = first_item(e, r); i < span->end; i++)
	{
		int32		bucket = items[i].bucket;
		int64		count = items[i].count;

		if (count <= 0)
			continue;
		if (r->limit_count > 0 && limited)
		{
			int32		period = period_of(bucket, (LeadGrain) model->grain,
										   (LimitPeriod) r->limit_period);

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
			default:
				break;
		}
	}

	points = r->points;
	if (r->aggregate == AGGREGATE_TIER)
	{
		const ModelTier *tiers = MODEL_ITEMS(model, ModelTier, r->tiers);
		int64		reached = 0;

		for (i = 0; i < r->tiers.n && tiers[i].count <= quantity; i++)
			reached = tiers[i].points;
		points = leadscore_weighted(reached, points);
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
		else if (idle)
			quantity = idle_quantity(scorer, e, r, newest) * WEIGHT_ONE;
		quantity = Min(quantity, MAX_QUANTITY);
		points = saturate(round_shift(quantity * points, WEIGHT_BITS));
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
	const ActivityItem *item = &e->activity->items[span->first];
	const ActivityItem *end = &e->activity->items[span->end];
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
			int32		period = period_of(item->bucket, grain, (LimitPeriod) r->limit_period);

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

	if (sum_points(scorer, e, &model_rules(scorer->model)[rule], &scorer->weights[rule],
				   &points))
		return points;
	return leadscore_rule_points(scorer, e, rule, true, true);
}

/* Find what an activity holds up to a bucket. */
static void
look_at(const Scorer *scorer, const ActivityList *activity, int32 last, Evaluation *result)
{
	const LeadModel *model = scorer->model;
	const ModelDimension *dimensions = model_dimensions(model);
	int			i;
	int			j;

	result->activity = activity;
	find_spans(scorer, result, last);
	for (i = 0; i < model->dimensions.n; i++)
	{
		const int16 *resets = MODEL_ITEMS(model, int16, dimensions[i].resets);

		result->resets[i] = PG_INT32_MIN;
		for (j = 0; j < dimensions[i].resets.n; j++)
		{
			int32		reset = newest_bucket(result, resets[j]);

			result->resets[i] = Max(result->resets[i], reset);
		}
	}
}

/* Score an activity at a bucket. */
void
leadscore_evaluate(Scorer *scorer, const ActivityList *activity, int32 at,
				   Evaluation *result)
{
	const LeadModel *model = scorer->model;
	const ModelDimension *dimensions = model_dimensions(model);
	const ModelRule *rules = model_rules(model);
	int64		total = 0;
	int			i;
	int			j;

	look_at(scorer, activity, at, result);
	result->at = at;
	memset(result->dimensions, 0, sizeof(int64) * model->dimensions.n);
	/* at most MAX_ROWS rules of at most 1e15 each, so sums cannot overflow */
	memset(result->rules, 0, sizeof(int64) * model->rules.n);
	for (i = 0; i < result->npresent; i++)
	{
		int			signal = result->present[i];

		for (j = scorer->first_rule[signal]; j < scorer->first_rule[signal + 1]; j++)
		{
			int			rule = scorer->signal_rules[j];
			int64		points = rule_points(scorer, result, rule);

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
	for (i = 0; i < model->dimensions.n; i++)
	{
		result->dimensions[i] = clamp(saturate(result->dimensions[i]),
									  dimensions[i].min_points, dimensions[i].max_points);
		total += leadscore_weighted(result->dimensions[i], dimensions[i].weight);
	}
	result->total = clamp(saturate(total), model->min_score, model->max_score);
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

static void
range_create(const Scorer *scorer, Range *range)
{
	range->dimension_low = palloc(sizeof(int64) * scorer->model->dimensions.n + 1);
	range->dimension_high = palloc(sizeof(int64) * scorer->model->dimensions.n + 1);
}

/* Begin a range, with no points in any dimension. */
static void
range_begin(const Scorer *scorer, const Evaluation *from, const Evaluation *to, Range *range)
{
	range->from = from;
	range->to = to;
	memset(range->dimension_low, 0, sizeof(int64) * scorer->model->dimensions.n);
	memset(range->dimension_high, 0, sizeof(int64) * scorer->model->dimensions.n);
}

/* The dimensions and the score of a range, from the sums of the rules' points */
static void
range_add_up(const Scorer *scorer, Range *range)
{
	const LeadModel *model = scorer->model;
	const ModelDimension *dimensions = model_dimensions(model);
	int64		low = 0;
	int64		high = 0;
	int			i;

	for (i = 0; i < model->dimensions.n; i++)
	{
		const ModelDimension *d = &dimensions[i];

		range->dimension_low[i] = clamp(saturate(range->dimension_low[i]),
										d->min_points, d->max_points);
		range->dimension_high[i] = clamp(saturate(range->dimension_high[i]),
										 d->min_points, d->max_points);
		/* a negative weight turns them round */
		low += leadscore_weighted(d->weight < 0 ? range->dimension_high[i] :
								  range->dimension_low[i], d->weight);
		high += leadscore_weighted(d->weight < 0 ? range->dimension_low[i] :
								   range->dimension_high[i], d->weight);
	}
	range->low = clamp(saturate(low), model->min_score, model->max_score);
	range->high = clamp(saturate(high), model->min_score, model->max_score);
}

/* What lies between two evaluations with no bucket of the activity in between */
static void
range_set(const Scorer *scorer, const Evaluation *from, const Evaluation *to,
		  Range *range)
{
	const LeadModel *model = scorer->model;
	const ModelRule *rules = model_rules(model);
	int			i;

	range_begin(scorer, from, to, range);
	for (i = 0; i < model->rules.n; i++)
	{
		range->dimension_low[rules[i].dimension] += Min(from->rules[i], to->rules[i]);
		range->dimension_high[rules[i].dimension] += Max(from->rules[i], to->rules[i]);
	}
	range_add_up(scorer, range);
}

/* Is low..high at least min? */
static inline Answer
at_least(int64 low, int64 high, int64 min)
{
	return low >= min ? ANSWER_YES : (high < min ? ANSWER_NO : ANSWER_UNKNOWN);
}

/* How often the signal of a gate was counted within its window */
int64
leadscore_gate_count(const Scorer *scorer, const Evaluation *e, int gate)
{
	const ModelGate *g = &model_gates(scorer->model)[gate];
	const SignalSpan *span = &e->signals[g->signal];
	int64		count = span->timeless;
	int			i;

	for (i = span->end - 1; i >= span->first; i--)
	{
		const ActivityItem *item = &e->activity->items[i];

		if (g->within > 0 && e->at - item->bucket >= g->within)
			break;
		/* beyond what min_count can ask for nothing needs to be told apart */
		if (item->count > 0)
			count = Min(count, PG_INT64_MAX / 2) + Min(item->count, PG_INT64_MAX / 2);
	}
	return count;
}

/* One row of a gate, over a range */
static Answer
gate_answer(const Scorer *scorer, const Range *range, int gate)
{
	const ModelGate *g = &model_gates(scorer->model)[gate];
	Answer		answer;

	if (g->signal == NO_INDEX)
		answer = at_least(range->dimension_low[g->dimension],
						  range->dimension_high[g->dimension], g->min_points);
	else
	{
		/* counts in a window can only fall while nothing happens */
		int64		most = leadscore_gate_count(scorer, range->from, gate);
		int64		least = range->to == range->from ? most :
			leadscore_gate_count(scorer, range->to, gate);

		answer = at_least(least, most, g->min_count);
	}
	if (g->negate && answer != ANSWER_UNKNOWN)
		answer = answer == ANSWER_YES ? ANSWER_NO : ANSWER_YES;
	return answer;
}

/* One row of a gate at one bucket */
bool
leadscore_gate_met(const Scorer *scorer, const Evaluation *e, int gate)
{
	const ModelGate *g = &model_gates(scorer->model)[gate];
	bool		met;

	if (g->signal == NO_INDEX)
		met = e->dimensions[g->dimension] >= g->min_points;
	else
		met = leadscore_gate_count(scorer, e, gate) >= g->min_count;
	return met != (g->negate != 0);
}

/* All gates of a stage: rows of one name are alternatives, names add up. */
static Answer
gates_answer(const Scorer *scorer, const Range *range, const StageGates *stage)
{
	int			end = stage->first_gate + stage->ngates;
	int			i = stage->first_gate;
	Answer		all = ANSWER_YES;

	while (i < end)
	{
		int			name_end = scorer->gate_end[i];
		Answer		any = ANSWER_NO;

		for (; i < name_end && any != ANSWER_YES; i++)
		{
			Answer		answer = gate_answer(scorer, range, i);

			if (answer != ANSWER_NO)
				any = answer;
		}
		if (any == ANSWER_NO)
			return ANSWER_NO;
		if (any == ANSWER_UNKNOWN)
			all = ANSWER_UNKNOWN;
		i = name_end;
	}
	return all;
}

/* The row of a stage that decides for this lead, or NULL */
const ModelStageRule *
leadscore_stage_rule(const Scorer *scorer, const Evaluation *e,
					 const StageGates *stage)
{
	const ModelStageRule *rules = model_stage_rules(scorer->model);
	int			i;

	for (i = stage->first_rule; i < stage->first_rule + stage->nrules; i++)
		if (rules[i].only_if == NO_INDEX ||
			leadscore_signal_present(e, rules[i].only_if))
			return &rules[i];
	return NULL;
}

/* Is this contact a lead at all?  The gates of iql say so. */
static Answer
is_lead(const Scorer *scorer, const Range *range)
{
	int			i;

	for (i = scorer->nstages - 1; i >= 0; i--)
		if (scorer->stages[i].stage == LEAD_STAGE_IQL)
			return gates_answer(scorer, range, &scorer->stages[i]);
	return ANSWER_YES;
}

/* Do the score and the gates of a stage hold? */
static Answer
stage_holds(const Scorer *scorer, const Range *range, const StageGates *stage,
			Answer lead)
{
	const ModelStageRule *rule = leadscore_stage_rule(scorer, range->from, stage);
	bool		gated = stage->ngates > 0 &&
		(scorer->model->gates_required || stage->stage == LEAD_STAGE_IQL);
	Answer		answer = lead;
	Answer		gates;

	if (rule == NULL || (rule->min_score == NO_POINTS && !gated) || lead == ANSWER_NO)
		return ANSWER_NO;
	if (rule->min_score != NO_POINTS)
	{
		Answer		score = at_least(range->low, range->high, rule->min_score);

		if (score == ANSWER_NO)
			return ANSWER_NO;
		if (score == ANSWER_UNKNOWN)
			answer = ANSWER_UNKNOWN;
	}
	if (!gated || stage->stage == LEAD_STAGE_IQL)
		return answer;
	gates = gates_answer(scorer, range, stage);
	return gates == ANSWER_YES ? answer : gates;
}

/*
 * The highest stage below `below` and above `above` that holds over a range;
 * `above` itself if none does.
 */
static int
highest_stage(const Scorer *scorer, const Range *range, int below, int above,
			  Answer lead)
{
	int			i;

	for (i = 0; i < scorer->nstages; i++)
	{
		Answer		answer;

		if (scorer->stages[i].stage >= below)
			continue;
		if (scorer->stages[i].stage <= above)
			break;
		answer = stage_holds(scorer, range, &scorer->stages[i], lead);
		if (answer == ANSWER_YES)
			return scorer->stages[i].stage;
		if (answer == ANSWER_UNKNOWN)
			return STAGE_UNKNOWN;
	}
	return above;
}

static int
qualified_over(const Scorer *scorer, const Range *range)
{
	return highest_stage(scorer, range, PG_UINT8_MAX, LEAD_STAGE_VISITOR,
						 is_lead(scorer, range));
}

/* Have the points fallen below the threshold of a stage, less the margin? */
static Answer
must_demote(const Scorer *scorer, const Range *range, uint8 stage)
{
	int			i;

	if (!scorer->model->allow_demotion || stage <= LEAD_STAGE_VISITOR ||
		stage > LEAD_STAGE_SQL)
		return ANSWER_NO;
	for (i = 0; i < scorer->nstages; i++)
		if (scorer->stages[i].stage == stage)
		{
			const ModelStageRule *rule =
				leadscore_stage_rule(scorer, range->from, &scorer->stages[i]);
			Answer		enough;

			if (rule == NULL || rule->min_score == NO_POINTS)
				return ANSWER_NO;
			enough = at_least(range->low, range->high,
							  rule->min_score - scorer->model->demotion_margin);
			return enough == ANSWER_UNKNOWN ? ANSWER_UNKNOWN :
				(enough == ANSWER_YES ? ANSWER_NO : ANSWER_YES);
		}
	return ANSWER_NO;
}

/*
 * The stage that a lead of this standing moves to over a range; its own if it
 * stays, STAGE_UNKNOWN if the range does not tell.
 */
static int
standing_over(const Scorer *scorer, const Range *range, LeadStanding standing)
{
	uint8		stage = standing.stage;
	Answer		lead = is_lead(scorer, range);
	int			higher;

	/* consent given again brings back what its loss has suspended */
	if (stage == LEAD_STAGE_VISITOR && standing.suspended != 0)
		stage = standing.suspended;
	/* a contact that is no lead any more, as after losing consent */
	if (stage > LEAD_STAGE_VISITOR && stage < LEAD_STAGE_CUSTOMER)
	{
		if (lead == ANSWER_NO)
			return LEAD_STAGE_VISITOR;
		if (lead == ANSWER_UNKNOWN)
			return STAGE_UNKNOWN;
	}
	if (!standing.promotion_blocked)
	{
		/* an exit is left for a stage of leads only */
		int			above = Max(stage, LEAD_STAGE_VISITOR);

		higher = highest_stage(scorer, range, PG_UINT8_MAX, above, lead);
		if (higher != above)
			return higher;
	}
	switch (must_demote(scorer, range, stage))
	{
		case ANSWER_NO:
			return stage;
		case ANSWER_YES:
			return highest_stage(scorer, range, stage, LEAD_STAGE_VISITOR, lead);
		default:
			return STAGE_UNKNOWN;
	}
}

/* A range of one bucket, where every answer is known */
static void
single_range(const Evaluation *e, Range *range)
{
	range->from = e;
	range->to = e;
	range->low = e->total;
	range->high = e->total;
	range->dimension_low = e->dimensions;
	range->dimension_high = e->dimensions;
}

uint8
leadscore_qualified_stage(Scorer *scorer, const Evaluation *e)
{
	Range		range;

	single_range(e, &range);
	return (uint8) qualified_over(scorer, &range);
}

/* Does what makes a contact a lead hold at the bucket of an evaluation? */
bool
leadscore_is_lead(const Scorer *scorer, const Evaluation *e)
{
	Range		range;

	single_range(e, &range);
	return is_lead(scorer, &range) == ANSWER_YES;
}

/* The stage that a lead of this standing moves to now, or stays in */
uint8
leadscore_next_stage(Scorer *scorer, const Evaluation *e, LeadStanding standing)
{
	Range		range;

	single_range(e, &range);
	return (uint8) standing_over(scorer, &range, standing);
}

/*
 * What points alone say: the highest stage whose threshold they reach.  Below
 * all thresholds it is the highest stage before them that needs no points.
 * Without an evaluation only the general rows are considered.
 */
uint8
leadscore_stage_by_points(const Scorer *scorer, const Evaluation *e, int64 points)
{
	uint8		ungraded = LEAD_STAGE_VISITOR;	/* needs no points */
	bool		thresholds = false;
	int			i;

	for (i = 0; i < scorer->nstages; i++)
	{
		const StageGates *stage = &scorer->stages[i];
		const ModelStageRule *rule;

		if (e != NULL)
			rule = leadscore_stage_rule(scorer, e, stage);
		else
		{
			rule = &model_stage_rules(scorer->model)[stage->first_rule + stage->nrules - 1];
			if (rule->only_if != NO_INDEX)
				rule = NULL;
		}
		if (rule == NULL)
			continue;
		if (rule->min_score == NO_POINTS)
		{
			if (stage->ngates > 0 && ungraded == LEAD_STAGE_VISITOR)
				ungraded = stage->stage;
			continue;
		}
		if (points >= rule->min_score)
			return stage->stage;
		thresholds = true;
		ungraded = LEAD_STAGE_VISITOR;
	}
	return thresholds ? ungraded : LEAD_STAGE_VISITOR;
}

/* Evaluate a bucket, at the cost of a search's budget. */
static Evaluation *
search_evaluate(Search *search, int32 at)
{
	Evaluation *e = leadscore_evaluation_create(search->scorer);

	CHECK_FOR_INTERRUPTS();
	if (search->budget > 0)
		search->budget--;
	leadscore_evaluate(search->scorer, search->activity, at, e);
	return e;
}

/* The stage over the range of a search, STAGE_UNKNOWN if it does not tell */
static int
judge_range(const Search *search)
{
	return search->qualified ?
		qualified_over(search->scorer, &search->range) :
		standing_over(search->scorer, &search->range, search->standing);
}

static int
search_judge(Search *search, const Evaluation *from, const Evaluation *to)
{
	range_set(search->scorer, from, to, &search->range);
	return judge_range(search);
}

/*
 * The first bucket from `from` to `to` where the stage is another than the
 * standing's.  A range is left as soon as its bounds say that nothing changes
 * in it; so the answer is exact, and usually found in a few evaluations.
 * Without budget left it is the first bucket that has not been looked at.
 */
static int32
search_range(Search *search, const Evaluation *from, const Evaluation *to)
{
	Evaluation *left;
	Evaluation *right;
	int32		middle;
	int32		found;

	if (search_judge(search, from, to) == search->standing.stage)
		return BUCKET_NEVER;
	if (from->at == to->at || search->budget == 0)
		return from->at;
	middle = from->at + (to->at - from->at) / 2;
	left = search_evaluate(search, middle);
	found = search_range(search, from, left);
	evaluation_free(left);
	if (found == BUCKET_NEVER)
	{
		right = search_evaluate(search, middle + 1);
		found = search_range(search, right, to);
		evaluation_free(right);
	}
	return found;
}

/* The same from one bucket to another with nothing of the activity in between */
static int32
search_stretch(Search *search, int32 start, int32 end)
{
	Evaluation *from = search_evaluate(search, start);
	Evaluation *to = end > start ? search_evaluate(search, end) : from;
	int32		found = search_range(search, from, to);

	if (to != from)
		evaluation_free(to);
	evaluation_free(from);
	return found;
}

/* The first bucket of an activity after one, or `none` */
static int32
next_bucket(const ActivityList *activity, int32 after, int32 none)
{
	int32		next = none;
	int			i;

	for (i = 0; i < activity->nitems; i++)
		if (activity->items[i].bucket > after && activity->items[i].bucket < next)
			next = activity->items[i].bucket;
	return next;
}

/*
 * Bounds: what an activity amounts to at any bucket from `least->at` to
 * `most->at` (which are the other way round: `most` is taken as old as it can
 * be young), if it holds at least what `least` has found and at most what
 * `most` has.  Counts can only raise a quantity and age can only lower it; so
 * all that can be lies between the oldest least and the youngest most.
 */
typedef struct Bounds
{
	Evaluation *least;			/* its `at` is the last bucket of the range */
	Evaluation *most;			/* its `at` is the first bucket of the range */
} Bounds;

/* Do both sides have the same of a signal, and nothing that is yet to come? */
static bool
same_span(const Bounds *b, int signal)
{
	const SignalSpan *least = &b->least->signals[signal];
	const SignalSpan *most = &b->most->signals[signal];
	const ActivityItem *x = &b->least->activity->items[least->first];
	const ActivityItem *y = &b->most->activity->items[most->first];
	int			n = least->end - least->first;

	if (least->timeless != most->timeless || n != most->end - most->first)
		return false;
	if (n > 0 && y[n - 1].bucket > b->most->at)
		return false;
	return n == 0 || memcmp(x, y, n * sizeof(ActivityItem)) == 0;
}

/*
 * Is the range one bucket, and has `most` only more in that than `least`?  Then
 * all that comes first has come, and more of the newest can only add points.
 */
static bool
grows_at_end(const Bounds *b, int signal)
{
	const SignalSpan *least = &b->least->signals[signal];
	const SignalSpan *most = &b->most->signals[signal];
	const ActivityItem *x = &b->least->activity->items[least->first];
	const ActivityItem *y = &b->most->activity->items[most->first];
	int			n = most->end - most->first;
	int			nbefore = n > 0 && y[n - 1].bucket == b->most->at ? n - 1 : n;

	if (b->most->at != b->least->at || least->timeless != most->timeless ||
		least->end - least->first < nbefore)
		return false;
	if (least->end - least->first > nbefore && x[nbefore].bucket != b->most->at)
		return false;
	return nbefore == 0 || memcmp(x, y, nbefore * sizeof(ActivityItem)) == 0;
}

/*
 * Does presence of a signal decide alike on both sides?  Sets *present.
 */
static bool
same_presence(const Bounds *b, int signal, bool *present)
{
	*present = leadscore_signal_present(b->most, signal);
	return *present == leadscore_signal_present(b->least, signal);
}

/* Is a rule kept from counting?  ANSWER_UNKNOWN if it may be now and then. */
static Answer
is_blocked(const Scorer *scorer, const Bounds *b, const ModelRule *r)
{
	const int16 *only_if = MODEL_ITEMS(scorer->model, int16, r->only_if);
	const int16 *unless = MODEL_ITEMS(scorer->model, int16, r->unless);
	Answer		answer = ANSWER_NO;
	bool		present;
	int			i;

	for (i = 0; i < r->only_if.n; i++)
		if (!same_presence(b, only_if[i], &present))
			answer = ANSWER_UNKNOWN;
		else if (!present)
			return ANSWER_YES;
	for (i = 0; i < r->unless.n; i++)
		if (!same_presence(b, unless[i], &present))
			answer = ANSWER_UNKNOWN;
		else if (present)
			return ANSWER_YES;
	return answer;
}

/* Let a range of points include more of them. */
static inline void
include(int64 points, int64 *low, int64 *high)
{
	*low = Min(*low, points);
	*high = Max(*high, points);
}

/* The points of a quantity in units of 2^-31 */
static inline int64
quantity_points(const ModelRule *r, int128 quantity)
{
	quantity = Min(quantity, MAX_QUANTITY);
	return cap_points(r, saturate(round_shift(quantity * r->points, WEIGHT_BITS)));
}

/* The points of a quiet time that began in a bucket, at the end of the range */
static void
include_quiet(const Bounds *b, const ModelRule *r, int32 start, int64 *low, int64 *high)
{
	int64		quiet = (int64) b->least->at - start;

	if (quiet >= r->after)
		include(quantity_points(r, (int128) (r->repeat ? quiet / r->after : 1) * WEIGHT_ONE),
				low, high);
}

/*
 * Quiet time: the longest began with the newest event that is certain, and it
 * may begin anew at any time.  False if its beginning is not known at all.
 */
static bool
idle_bounds(const Scorer *scorer, const Bounds *b, const ModelRule *r,
			int64 *low, int64 *high)
{
	int32		reset = b->least->resets[r->dimension];
	int32		start = newest_bucket(b->least, r->signal);
	int			created = created_signal(scorer);
	int			oldest = first_item(b->most, r);

	*low = *high = 0;
	if (start > reset)
	{
		include_quiet(b, r, start, low, high);
		return true;
	}
	if (created != NO_INDEX && !same_span(b, created))
		return false;
	if (created != NO_INDEX)
		reset = Max(reset, newest_bucket(b->least, created));
	if (reset != PG_INT32_MIN)
		include_quiet(b, r, reset, low, high);
	if (oldest < b->most->signals[r->signal].end)
		include_quiet(b, r, b->most->activity->items[oldest].bucket, low, high);
	return true;
}

/* The points of tiers that may be reached */
static void
tier_bounds(const Scorer *scorer, const ModelRule *r, int128 least, int128 most,
			int64 *low, int64 *high)
{
	const ModelTier *tiers = MODEL_ITEMS(scorer->model, ModelTier, r->tiers);
	int64		reached = 0;
	int			i;

	for (i = 0; i < r->tiers.n && tiers[i].count <= least; i++)
		reached = tiers[i].points;
	*low = *high = cap_points(r, leadscore_weighted(reached, r->points));
	for (; i < r->tiers.n && tiers[i].count <= most; i++)
		include(cap_points(r, leadscore_weighted(tiers[i].points, r->points)), low, high);
}

/* The next group of items of one limit, from *i on: counts and buckets */
typedef struct ItemGroup
{
	int128		least;
	int128		most;
	int32		oldest;
	int32		newest;
} ItemGroup;

/*
 * Take the next group of a rule's items: those that share a limit, or one.
 * False at the end.
 */
static bool
next_group(const Scorer *scorer, const Bounds *b, const ModelRule *r, int *i, int *j,
		   ItemGroup *group)
{
	LeadGrain	grain = (LeadGrain) scorer->model->grain;
	const ActivityItem *x = b->least->activity->items;
	const ActivityItem *y = b->most->activity->items;
	int			x_end = b->least->signals[r->signal].end;
	int			y_end = b->most->signals[r->signal].end;
	int32		period = 0;

	group->least = group->most = 0;
	while (*j < y_end)
	{
		int32		bucket = y[*j].bucket;

		if (group->most > 0 &&
			(r->limit_count == 0 || period_of(bucket, grain, (LimitPeriod) r->limit_period) != period))
			break;
		if (y[*j].count > 0)
		{
			if (group->most == 0)
			{
				group->oldest = bucket;
				if (r->limit_count > 0)
					period = period_of(bucket, grain, (LimitPeriod) r->limit_period);
			}
			group->newest = bucket;
			group->most += y[*j].count;
		}
		for (; *i < x_end && x[*i].bucket <= bucket; (*i)++)
			if (x[*i].bucket == bucket)
				group->least += Max(x[*i].count, 0);
		(*j)++;
	}
	if (r->limit_count > 0)
	{
		group->least = Min(group->least, r->limit_count);
		group->most = Min(group->most, r->limit_count);
	}
	return group->most > 0;
}

/*
 * The points of a rule of whose signal something may come in between.  False
 * if it is one of those that are too rare for bounds of their own.
 */
static bool
open_bounds(Scorer *scorer, const Bounds *b, int rule, int64 *low, int64 *high)
{
	const ModelRule *r = &model_rules(scorer->model)[rule];
	RuleWeights *w = &scorer->weights[rule];
	int32		first = b->most->at;
	int32		last = b->least->at;
	int			i = first_item(b->least, r);
	int			j = first_item(b->most, r);
	int128		least = b->least->signals[r->signal].timeless;
	int128		most = b->most->signals[r->signal].timeless;
	int128		low_quantity;
	int128		high_quantity;
	ItemGroup	group;

	if (r->aggregate != AGGREGATE_TIER && grows_at_end(b, r->signal))
	{
		*low = *high = leadscore_rule_points(scorer, b->least, rule, true, true);
		include(leadscore_rule_points(scorer, b->most, rule, true, true), low, high);
		return true;
	}
	/* which counts are the first ones, or the newest, hangs on what comes */
	if (r->aggregate != AGGREGATE_SUM &&
		(r->limit_count > 0 || r->aggregate == AGGREGATE_FIRST_N || r->aggregate == AGGREGATE_DAYS))
		return false;
	if (r->aggregate == AGGREGATE_LAST)
	{
		int32		newest;

		low_quantity = high_quantity = 0;
		newest = newest_bucket(b->least, r->signal);
		if (least > 0)
			low_quantity = WEIGHT_ONE;
		else if (newest > b->least->resets[r->dimension])
			low_quantity = weight_at(scorer, r, w, last - newest);
		newest = newest_bucket(b->most, r->signal);
		if (most > 0)
			high_quantity = WEIGHT_ONE;
		else if (newest > b->most->resets[r->dimension])
			high_quantity = weight_at(scorer, r, w, Max(first - newest, 0));
	}
	else if (r->aggregate == AGGREGATE_TIER)
	{
		while (next_group(scorer, b, r, &i, &j, &group))
		{
			if (r->within == 0 || last - group.newest < r->within)
				least += group.least;
			if (r->within == 0 || first - group.newest < r->within)
				most += group.most;
		}
		tier_bounds(scorer, r, least, most, low, high);
		return true;
	}
	else
	{
		low_quantity = least * WEIGHT_ONE;
		high_quantity = most * WEIGHT_ONE;
		while (next_group(scorer, b, r, &i, &j, &group))
		{
			low_quantity += group.least * weight_at(scorer, r, w, last - group.oldest);
			high_quantity += group.most * weight_at(scorer, r, w, Max(first - group.newest, 0));
		}
	}
	*low = *high = quantity_points(r, low_quantity);
	include(quantity_points(r, high_quantity), low, high);
	return true;
}

/* The points of a rule; false if there are no bounds for it */
static bool
rule_bounds(Scorer *scorer, const Bounds *b, int rule, int64 *low, int64 *high)
{
	const ModelRule *r = &model_rules(scorer->model)[rule];
	Answer		blocked = is_blocked(scorer, b, r);

	*low = *high = 0;
	if (blocked == ANSWER_YES)
		return true;
	if (blocked == ANSWER_NO && same_span(b, r->signal) &&
		(r->aggregate != AGGREGATE_IDLE || created_signal(scorer) == NO_INDEX ||
		 same_span(b, created_signal(scorer))))
	{
		Evaluation	e = *b->most;

		*low = *high = rule_points(scorer, &e, rule);
		e.at = b->least->at;
		include(rule_points(scorer, &e, rule), low, high);
	}
	else if (r->aggregate == AGGREGATE_IDLE ? !idle_bounds(scorer, b, r, low, high) :
			 !open_bounds(scorer, b, rule, low, high))
		return false;
	if (blocked == ANSWER_UNKNOWN)
		include(0, low, high);
	return true;
}

/* Set the range of a search to bounds; false if there are none. */
static bool
range_bounds(Search *search, const Bounds *b)
{
	Scorer	   *scorer = search->scorer;
	const LeadModel *model = scorer->model;
	const ModelRule *rules = model_rules(model);
	const ModelStageRule *stage_rules = model_stage_rules(model);
	bool		present;
	int			i;
	int			j;

	for (i = 0; i < model->dimensions.n; i++)
		if (b->least->resets[i] != b->most->resets[i])
			return false;
	for (i = 0; i < model->stage_rules.n; i++)
		if (stage_rules[i].only_if != NO_INDEX &&
			!same_presence(b, stage_rules[i].only_if, &present))
			return false;
	range_begin(scorer, b->most, b->least, &search->range);
	for (i = 0; i < b->most->npresent + 1; i++)
	{
		bool		idle = i == b->most->npresent;
		int			signal = idle ? 0 : b->most->present[i];
		int			end = idle ? scorer->nidle : scorer->first_rule[signal + 1];

		for (j = idle ? 0 : scorer->first_rule[signal]; j < end; j++)
		{
			int			rule = idle ? scorer->idle_rules[j] : scorer->signal_rules[j];
			int64		low;
			int64		high;

			if (!rule_bounds(scorer, b, rule, &low, &high))
				return false;
			search->range.dimension_low[rules[rule].dimension] += low;
			search->range.dimension_high[rules[rule].dimension] += high;
		}
	}
	range_add_up(scorer, &search->range);
	return true;
}

/*
 * Is the stage that of the search's standing at every bucket from `from` to
 * `until`, for any activity that holds at least the counts of one up to a
 * bucket, and at most those of another up to `until`?  True is certain.
 */
static bool
bounds_keep(Search *search, const ActivityList *least, int32 least_last,
			const ActivityList *most, int32 from, int32 until)
{
	Bounds		b;
	bool		keeps;

	CHECK_FOR_INTERRUPTS();
	if (search->budget > 0)
		search->budget--;
	b.least = leadscore_evaluation_create(search->scorer);
	b.most = leadscore_evaluation_create(search->scorer);
	look_at(search->scorer, least, least_last, b.least);
	look_at(search->scorer, most, until, b.most);
	b.least->at = until;
	b.most->at = from;
	keeps = range_bounds(search, &b) && judge_range(search) == search->standing.stage;
	evaluation_free(b.least);
	evaluation_free(b.most);
	return keeps;
}

/*
 * The last bucket up to `until` that a search from `start` on need not look at,
 * start - 1 if it must look at all.  In *stride is how far to leap at first,
 * and then how far the next leap may be.
 */
static int32
leap(Search *search, int32 start, int32 until, int64 *stride)
{
	int64		length = Min(*stride, (int64) until - start + 1);

	for (; length > 1 && next_bucket(search->activity, start, BUCKET_NEVER) < start + length; length /= 2)
		if (bounds_keep(search, search->activity, start, search->activity,
						start, (int32) (start + length - 1)))
		{
			*stride = length * 2;
			return (int32) (start + length - 1);
		}
	*stride = Max(length * 2, 2);
	return start - 1;
}

/*
 * The first bucket after `after` and up to `until` where the stage changes.
 * Between two buckets of the activity rules are monotone; so these are the
 * ranges to search, where bounds over many of them do not tell.
 */
static int32
search_change(Search *search, int32 after, int32 until)
{
	Scorer	   *scorer = search->scorer;
	const ActivityList *activity = search->activity;
	LeadGrain	grain = (LeadGrain) scorer->model->grain;
	int32		newest = after;
	int32		last;
	int32		found = BUCKET_NEVER;
	int64		stride;
	int			i;

	for (i = 0; i < activity->nitems; i++)
		newest = Max(newest, activity->items[i].bucket);
	last = last_bucket(grain);
	if (scorer->quiet_after >= 0 && scorer->quiet_after < last - newest)
		last = newest + scorer->quiet_after + 1;
	last = Min(last, until);
	if (after >= last)
		return BUCKET_NEVER;

	range_create(scorer, &search->range);
	stride = (int64) last - after;
	while (after < last && found == BUCKET_NEVER)
	{
		int32		start = after + 1;
		int32		end = leap(search, start, last, &stride);

		if (end >= start)
		{
			after = end;
			continue;
		}
		end = next_bucket(activity, start, last + 1) - 1;
		found = search_stretch(search, start, end);
		after = end;
	}
	pfree(search->range.dimension_low);
	pfree(search->range.dimension_high);
	return found;
}

/* The first bucket after `after` where the qualified stage is not `stage` */
int32
leadscore_qualified_change(Scorer *scorer, const ActivityList *activity,
						   int32 after, uint8 stage)
{
	Search		search = {
		.scorer = scorer,.activity = activity,.qualified = true,
		.standing = {.stage = stage},.budget = -1
	};

	return search_change(&search, after, last_bucket((LeadGrain) scorer->model->grain));
}

/*
 * The first bucket after `after` and up to `until` where a lead of this
 * standing moves to another stage by the passing of time.  Where it is hard
 * to find, an earlier bucket: who comes then finds nothing and asks again.
 */
int32
leadscore_standing_change(Scorer *scorer, const ActivityList *activity,
						  int32 after, int32 until, LeadStanding standing)
{
	Search		search = {
		.scorer = scorer,.activity = activity,.standing = standing,
		.budget = SEARCH_BUDGET
	};

	return search_change(&search, after, until);
}

/*
 * Does a lead of this standing stay in its stage from one bucket to another,
 * while its activity grows, in whatever order, from `least` (what is up to
 * `least_last` of it) to `most` (what is up to `until`)?  True is certain.
 */
bool
leadscore_standing_stays(Scorer *scorer, const ActivityList *least, int32 least_last,
						 const ActivityList *most, int32 from, int32 until,
						 LeadStanding standing)
{
	Search		search = {.scorer = scorer,.standing = standing,.budget = -1};
	bool		stays;

	Assert(from <= until);
	range_create(scorer, &search.range);
	stays = bounds_keep(&search, least, least_last, most, from, until);
	pfree(search.range.dimension_low);
	pfree(search.range.dimension_high);
	return stays;
}

/*
 * The same of an activity as it is, from before the first bucket to the end of
 * the last: where bounds over all of them do not tell, halves of them may.
 */
static bool
keeps_halves(Search *search, int32 from, int32 until)
{
	int32		middle = from + (until - from) / 2;

	if (bounds_keep(search, search->activity, from - 1, search->activity, from, until))
		return true;
	return from < until && search->budget > 0 &&
		keeps_halves(search, from, middle) && keeps_halves(search, middle + 1, until);
}

/*
 * Does a lead of this standing stay in its stage from the bucket `from` up to
 * `until`, both included, whatever the order of events within each bucket?
 * True is certain; false means that only the log can tell.  The profile must
 * be the same all the time.
 */
bool
leadscore_standing_keeps(Scorer *scorer, const ActivityList *activity,
						 int32 from, int32 until, LeadStanding standing)
{
	Search		search = {
		.scorer = scorer,.activity = activity,.standing = standing,
		.budget = KEEPS_BUDGET
	};
	bool		keeps;

	Assert(from <= until);
	range_create(scorer, &search.range);
	keeps = keeps_halves(&search, from, until);
	pfree(search.range.dimension_low);
	pfree(search.range.dimension_high);
	return keeps;
}
