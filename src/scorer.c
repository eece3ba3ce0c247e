/*-------------------------------------------------------------------------
 *
 * scorer.c
 *		A model made ready for scoring.
 *
 * Its rules are indexed by signal, stages and gates are in order, and what
 * segments ask for has its place beside it.  Nothing depends on a lead.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "score.h"

#include "score_parts.h"
#include "stage.h"

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

/* Give each rule its weights; rules of one decay share them. */
static void
begin_weights(Scorer *scorer)
{
	const ModelRule *rules = model_rules(scorer->model);
	int			n = scorer->model->rules.n;
	int		   *different = palloc(sizeof(int) * n + 1);
	int			ndifferent = 0;
	int			i;

	scorer->weights = palloc(sizeof(RuleWeights *) * n + 1);
	for (i = 0; i < n; i++)
	{
		const ModelRule *like;
		int			j = 0;

		for (; j < ndifferent; j++)
		{
			like = &rules[different[j]];
			if (like->decay == rules[i].decay && like->decay_period == rules[i].decay_period &&
				like->decay_percent == rules[i].decay_percent)
				break;
		}
		if (j < ndifferent)
			scorer->weights[i] = scorer->weights[different[j]];
		else
		{
			scorer->weights[i] = palloc0(sizeof(RuleWeights));
			leadscore_decay_begin(&rules[i], scorer->weights[i]);
			different[ndifferent++] = i;
		}
	}
	pfree(different);
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

	begin_weights(scorer);
	for (i = 0; i < model->rules.n; i++)
	{
		int64		horizon = rule_horizon(model, &rules[i], scorer->weights[i]);

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
