/*-------------------------------------------------------------------------
 *
 * score.c
 *		The score of a lead: what an activity is worth at an instant, by a model.
 *
 * Every non-linearity (decay, limits, caps, clamps) happens here, on read, in
 * integers: points are milli-points, weights are units of 2^-31, and products
 * are taken in 128 bits.  So a score is the same on every machine.
 *
 * A model is made ready once (a Scorer): its rules are indexed by signal, and
 * the weights of a decay are tabulated by age, as far as ages are asked for.
 * An evaluation finds the items of each signal, applies the rules of those
 * signals that the lead has, and adds up: rule, dimension, score.  What the
 * score says about the stage is in qualify.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "score.h"

#include "miscadmin.h"

#include "score_parts.h"
#include "stage.h"

#ifndef HAVE_INT128
#error "leadscore needs a compiler with 128-bit integers"
#endif

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

/*
 * The smallest size of points of one quiet time that is not 0, in thousandths
 * of milli-points; 0 if there is none
 */
static int128
least_idle_points(const LeadModel *model, const ModelRule *rule)
{
	const ModelTier *tiers = MODEL_ITEMS(model, ModelTier, rule->tiers);
	int128		least = 0;
	int			i;

	if (rule->tiers.n == 0)
		least = (int128) 1000 * rule->points;
	for (i = 0; i < rule->tiers.n; i++)
	{
		int128		points = (int128) tiers[i].points * rule->points;

		points = Max(points, -points);
		if (points != 0 && (least == 0 || points < least))
			least = points;
	}
	return Max(least, -least);
}

/*
 * How long after its last bucket a rule may still change by itself; -1: for
 * ever
 */
static int64
rule_horizon(const LeadModel *model, const ModelRule *rule, const RuleWeights *w)
{
	if (rule->aggregate == AGGREGATE_TIER)
		return rule->within;
	if (rule->aggregate == AGGREGATE_IDLE)
	{
		int128		points = least_idle_points(model, rule);
		int128		times;

		if (!rule->repeat || points == 0)
			return rule->after;
		if (rule->max_points == NO_POINTS)
			return -1;
		times = (int128) 1000 * Max(rule->max_points, -rule->max_points) / points;
		return times >= PG_INT32_MAX ? -1 : rule->after * ((int64) times + 1);
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

	scorer->first_rule = palloc(sizeof(int32) * (scorer->nsignals + 1));
	scorer->signal_rules = palloc(sizeof(int16) * model->rules.n + 1);
	scorer->idle_rules = palloc(sizeof(int16) * model->rules.n + 1);
	scorer->tiered_rules = palloc(sizeof(int16) * model->rules.n + 1);
	for (i = 0; i < scorer->nsignals; i++)
	{
		scorer->first_rule[i] = n;
		for (j = 0; j < model->rules.n; j++)
			if (rules[j].signal == i && rules[j].aggregate != AGGREGATE_IDLE)
				scorer->signal_rules[n++] = (int16) j;
	}
	scorer->first_rule[scorer->nsignals] = n;
	for (j = 0; j < model->rules.n; j++)
		if (rule_is_tiered_idle(&rules[j]))
			scorer->tiered_rules[scorer->ntiered++] = (int16) j;
		else if (rules[j].aggregate == AGGREGATE_IDLE)
			scorer->idle_rules[scorer->nidle++] = (int16) j;
}

/* What the compiler of models promises, and the code below relies on */
static void
check_order(const LeadModel *model)
{
#ifdef USE_ASSERT_CHECKING
	const ModelSignal *signals = model_signals(model);
	const ModelStageRule *stage_rules = model_stage_rules(model);
	const ModelRule *rules = model_rules(model);
	const ModelGate *gates = model_gates(model);
	int			i;

	for (i = 1; i < model->signals.n; i++)
		Assert(signals[i - 1].id < signals[i].id);
	for (i = 1; i < model->stage_rules.n; i++)
		Assert(stage_rules[i - 1].stage <= stage_rules[i].stage);
	for (i = 0; i < model->rules.n; i++)
	{
		Assert(rules[i].signal >= 0 && rules[i].signal < model->signals.n);
		Assert(rules[i].dimension >= 0 && rules[i].dimension < model->dimensions.n);
		Assert(rules[i].aggregate != AGGREGATE_IDLE || rules[i].after > 0);
		Assert(rules[i].decay == DECAY_NONE || rules[i].decay_period > 0);
		Assert(rules[i].aggregate != AGGREGATE_PERIODS || rules[i].min_count > 0);
		Assert(rules[i].of_dimension < model->dimensions.n);
		Assert(rules[i].of_dimension == NO_INDEX || rule_is_tiered_idle(&rules[i]));
	}
	for (i = 0; i < model->gates.n; i++)
	{
		Assert(i == 0 || gates[i - 1].stage <= gates[i].stage);
		Assert(gates[i].signal == NO_INDEX || gates[i].dimension == NO_INDEX);
		Assert((gates[i].signal == NO_INDEX) == (gates[i].min_points != NO_POINTS));
		Assert(gates[i].signal < model->signals.n && gates[i].dimension < model->dimensions.n);
	}
#endif
}

/* Give each signal an index: those of the model, then others that segments ask for. */
static void
index_signals(Scorer *scorer, const SegmentSet *segments)
{
	const LeadModel *model = scorer->model;
	const ModelSignal *signals = model_signals(model);
	int			i;
	int			j;

	scorer->max_signal_id = model->signals.n > 0 ? signals[model->signals.n - 1].id : -1;
	for (i = 0; segments && i < segments->n; i++)
		for (j = 0; j < segments->segments[i].n; j++)
			if (segments->segments[i].conditions[j].test == TEST_SIGNAL)
				scorer->max_signal_id = Max(scorer->max_signal_id, segments->segments[i].conditions[j].signal_id);
	scorer->signal_index = palloc((scorer->max_signal_id + 1) * sizeof(int16) + 1);
	scorer->distinct = palloc0((scorer->max_signal_id + 1) * sizeof(bool) + 1);
	for (i = 0; i <= scorer->max_signal_id; i++)
		scorer->signal_index[i] = NO_INDEX;
	for (i = 0; i < model->signals.n; i++)
	{
		scorer->signal_index[signals[i].id] = (int16) i;
		scorer->distinct[i] = signals[i].distinct != 0;
	}
	scorer->nsignals = model->signals.n;
}

/*
 * Resolve what segments name by this model, and give the signals that it does
 * not know an index; returns the longest window.
 */
static int32
resolve_segments(Scorer *scorer, const SegmentSet *segments)
{
	const ModelDimension *dimensions = model_dimensions(scorer->model);
	int32		longest = 0;
	int			i;
	int			j;
	int			k;

	if (segments == NULL || segments->n == 0)
		return 0;
	scorer->segments = leadscore_segment_set(segments->segments, segments->n);
	for (i = 0; i < scorer->segments->n; i++)
		for (j = 0; j < scorer->segments->segments[i].n; j++)
		{
			SegmentCondition *c = &scorer->segments->segments[i].conditions[j];

			c->signal = NO_INDEX;
			c->dimension = NO_INDEX;
			if (c->test == TEST_SIGNAL)
			{
				if (scorer->signal_index[c->signal_id] == NO_INDEX)
				{
					scorer->distinct[scorer->nsignals] = c->distinct;
					scorer->signal_index[c->signal_id] = (int16) scorer->nsignals++;
				}
				c->signal = scorer->signal_index[c->signal_id];
				c->distinct = scorer->distinct[c->signal];
				longest = Max(longest, c->within);
			}
			for (k = 0; c->test == TEST_DIMENSION && k < scorer->model->dimensions.n; k++)
				if (strcmp(MODEL_STRING(scorer->model, dimensions[k].name), c->dimension_name) == 0)
					c->dimension = (int16) k;
		}
	return longest;
}

/*
 * Make a model ready, and the segments beside it if there are any; lives in the
 * current memory context.
 */
Scorer *
leadscore_scorer_create(const LeadModel *model, const SegmentSet *segments)
{
	Scorer	   *scorer = palloc0(sizeof(Scorer));
	const ModelRule *rules = model_rules(model);
	const ModelGate *gates = model_gates(model);
	const ModelStageRule *stage_rules = model_stage_rules(model);
	int64		quiet;
	int			i;

	check_order(model);
	scorer->model = model;
	scorer->context = CurrentMemoryContext;
	index_signals(scorer, segments);
	quiet = resolve_segments(scorer, segments);

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
		horizon = rule_horizon(model, &rules[i], w);
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

/* Room for what a lead is worth at one bucket; used again for the next */
Evaluation *
leadscore_evaluation_create(const Scorer *scorer)
{
	const LeadModel *model = scorer->model;
	Evaluation *e = palloc0(sizeof(Evaluation));

	e->context = CurrentMemoryContext;
	e->signals = palloc(sizeof(SignalSpan) * scorer->nsignals + 1);
	e->present = palloc(sizeof(int16) * scorer->nsignals + 1);
	e->resets = palloc(sizeof(int32) * model->dimensions.n + 1);
	e->rules = palloc(sizeof(int64) * model->rules.n + 1);
	e->dimensions = palloc(sizeof(int64) * model->dimensions.n * 2 + 1);
	e->gross = e->dimensions + model->dimensions.n;
	return e;
}

/* Free an evaluation. */
void
leadscore_evaluation_free(Evaluation *e)
{
	if (e->values)
		pfree(e->values);
	pfree(e->signals);
	pfree(e->present);
	pfree(e->resets);
	pfree(e->rules);
	pfree(e->dimensions);
	pfree(e);
}

/*
 * The first of some items of one signal that is later than a bucket, which
 * bsearch() cannot find: it looks for equals
 */
static const ActivityItem *
first_after(const ActivityItem *low, const ActivityItem *high, int32 bucket)
{
	while (low < high)
	{
		const ActivityItem *middle = low + (high - low) / 2;

		if (middle->bucket > bucket)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* Make room for the items of signals with values, of which there are at most n. */
static void
reserve_values(Evaluation *e, int n)
{
	int			max_values = Max(n, e->max_values * 2);

	if (n <= e->max_values)
		return;
	/* this may fail, and code that catches the error may call again */
	if (e->values == NULL)
		e->values = MemoryContextAllocHuge(e->context, (Size) max_values * sizeof(ActivityItem));
	else
		e->values = repalloc_huge(e->values, (Size) max_values * sizeof(ActivityItem));
	e->max_values = max_values;
}

/* Append what a distinct signal counts for one value: once, in its newest bucket */
static void
append_value(ActivityList *list, const ActivityItem *item, const ActivityItem *end, int32 last)
{
	const ActivityItem *newest = end;

	/* what came without a value is not known to be different */
	if (item->value == 0)
		return;
	do
		newest--;
	while (newest > item && (newest->count <= 0 || newest->bucket > last));
	if (item->bucket == BUCKET_TIMELESS && item->count > 0)
		newest = item;
	if (newest->count > 0 && newest->bucket <= last)
		list->items[list->nitems++] = (ActivityItem)
	{
		newest->bucket, item->signal, 0, 1
	};
}

/*
 * Append to a list what rules see up to a bucket of a signal that has values,
 * from an item to another.  If rules count its different values, each of them
 * counts once; else the values make no difference.  The list has room.
 *
 * Each value counts in its newest bucket: so it leaves a window, and decays,
 * with the last event that brought it.  What comes out is a list like that of
 * any other signal, and another event can only make a value count, or make it
 * younger, which bounds.c relies on.
 */
void
leadscore_see_values(ActivityList *list, const ActivityItem *item, const ActivityItem *end,
					 bool distinct, int32 last)
{
	Assert(end - item <= list->capacity - list->nitems);
	while (item < end)
	{
		const ActivityItem *next = item + 1;

		if (distinct)
		{
			while (next < end && next->value == item->value)
				next++;
			append_value(list, item, next, last);
		}
		else if (item->bucket <= last)
			list->items[list->nitems++] = (ActivityItem)
		{
			item->bucket, item->signal, 0, item->count
		};
		item = next;
	}
	lead_activity_normalize(list);
}

/*
 * Find what an evaluation sees of a signal that has values, in its room behind
 * *nvalues items of other signals.
 */
static void
find_values(Evaluation *e, const ActivityItem *item, const ActivityItem *end, bool distinct,
			int32 last, int *nvalues, SignalSpan *span)
{
	ActivityList list = {e->activity->grain, 0, (int) (end - item), e->values + *nvalues};

	Assert(*nvalues + (end - item) <= e->max_values);
	leadscore_see_values(&list, item, end, distinct, last);
	span->first = list.items;
	span->end = list.items + list.nitems;
	if (list.nitems > 0 && span->first->bucket == BUCKET_TIMELESS)
	{
		span->timeless = Max(span->first->count, 0);
		span->first++;
	}
	*nvalues += list.nitems;
}

/* Find the items of each signal that the scorer knows up to a bucket. */
static void
find_spans(const Scorer *scorer, Evaluation *e, int32 last)
{
	const ActivityItem *item = e->activity->items;
	const ActivityItem *last_item = item + e->activity->nitems;
	int			nvalues = 0;

	memset(e->signals, 0, sizeof(SignalSpan) * scorer->nsignals);
	e->npresent = 0;
	while (item < last_item)
	{
		int32		id = item->signal;
		int			index = id <= scorer->max_signal_id ? scorer->signal_index[id] : NO_INDEX;
		const ActivityItem *end = item + 1;
		SignalSpan *span;

		while (end < last_item && end->signal == id)
			end++;
		if (index != NO_INDEX)
		{
			span = &e->signals[index];
			/* no value sorts before all values */
			if (unlikely(end[-1].value != 0 || scorer->distinct[index]))
			{
				if (nvalues == 0)
					reserve_values(e, (int) (last_item - item));
				find_values(e, item, end, scorer->distinct[index], last, &nvalues, span);
			}
			else
			{
				if (item->bucket == BUCKET_TIMELESS)
				{
					span->timeless = Max(item->count, 0);
					item++;
				}
				span->first = item;
				span->end = end;
				if (end > item && end[-1].bucket > last)
					span->end = first_after(item, end, last);
			}
			if (span->end > span->first || span->timeless > 0)
				e->present[e->npresent++] = (int16) index;
		}
		item = end;
	}
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
	RuleWeights *w = &scorer->weights[rule];
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

	if (sum_points(scorer, e, &model_rules(scorer->model)[rule], &scorer->weights[rule],
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

/* Find the counts that an activity holds up to a bucket. */
void
leadscore_look_at(const Scorer *scorer, const ActivityList *activity, int32 last, Evaluation *result)
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

	Assert(activity->grain == (LeadGrain) model->grain);
	leadscore_look_at(scorer, activity, at, result);
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
