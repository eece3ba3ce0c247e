/*-------------------------------------------------------------------------
 *
 * qualify.c
 *		The stage that a score, and what is present, qualify a lead for.
 *
 * The same rules are asked at one bucket of time ("which stage now?") and about
 * a stretch of it ("does the stage change in these months?").  So they are
 * written once, in interval arithmetic: a Range holds the least and the most
 * that the score and each dimension can be in the stretch, and an answer is
 * yes, no or unknown.  At one bucket both ends are equal and every answer is
 * known; a stretch that answers "unknown" is cut in two by stage_search.c.
 *
 * "Qualified stage" is what points and gates say.  "Standing" is the recorded
 * stage of a lead, which decides what may come next: exits are left for a stage
 * of leads only, demotion has a margin, and lost consent suspends a stage.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "qualify.h"

#include "score_parts.h"
#include "stage.h"

/* Make room for the dimensions of a range. */
void
leadscore_range_create(const Scorer *scorer, Range *range)
{
	int			n = scorer->model->dimensions.n;

	range->dimension_low = palloc(sizeof(int64) * n * 2 + 1);
	range->dimension_high = palloc(sizeof(int64) * n * 2 + 1);
	range->gross_low = range->dimension_low + n;
	range->gross_high = range->dimension_high + n;
}

/* Free what leadscore_range_create() has made. */
void
leadscore_range_free(Range *range)
{
	pfree(range->dimension_low);
	pfree(range->dimension_high);
}

/* Begin a range, with no points in any dimension. */
void
leadscore_range_begin(const Scorer *scorer, const Evaluation *from, const Evaluation *to, Range *range)
{
	range->from = from;
	range->to = to;
	range->ever = false;
	memset(range->dimension_low, 0, sizeof(int64) * scorer->model->dimensions.n);
	memset(range->dimension_high, 0, sizeof(int64) * scorer->model->dimensions.n);
}

/*
 * One end of a range: dimensions and score from sums of rules' points.  Weights
 * are not negative, so the low end of a score comes from those of dimensions.
 */
static int64
add_up(const LeadModel *model, const int64 *sums, int64 *dimension_points)
{
	const ModelDimension *dimensions = model_dimensions(model);
	int64		total = 0;
	int			i;

	for (i = 0; i < model->dimensions.n; i++)
	{
		Assert(dimensions[i].weight >= 0);
		dimension_points[i] = clamp(saturate(sums[i]),
									dimensions[i].min_points, dimensions[i].max_points);
		total += leadscore_weighted(dimension_points[i], dimensions[i].weight);
	}
	return clamp(saturate(total), model->min_score, model->max_score);
}

/* The points that choose tiers of quiet time; all other rules are in the sums. */
void
leadscore_range_gross(const Scorer *scorer, Range *range)
{
	range->gross_total_low = add_up(scorer->model, range->dimension_low, range->gross_low);
	range->gross_total_high = add_up(scorer->model, range->dimension_high, range->gross_high);
	Assert(range->gross_total_low <= range->gross_total_high);
}

/*
 * Add the points of a rule of quiet time that go by what a lead has: those of
 * any tier that may be reached, for any number of quiet times.
 */
void
leadscore_range_add_tiered(const Scorer *scorer, int rule, int64 least_times,
						   int64 most_times, Range *range)
{
	const LeadModel *model = scorer->model;
	const ModelRule *r = &model_rules(model)[rule];
	const ModelTier *tiers = MODEL_ITEMS(model, ModelTier, r->tiers);
	bool		of_score = r->of_dimension == NO_INDEX;
	const ModelTier *tier = tier_reached(model, r, of_score ? range->gross_total_low :
										 range->gross_low[r->of_dimension]);
	const ModelTier *last = tier_reached(model, r, of_score ? range->gross_total_high :
										 range->gross_high[r->of_dimension]);
	int64		low = PG_INT64_MAX;
	int64		high = PG_INT64_MIN;

	Assert(least_times <= most_times);
	for (;;)
	{
		/* of one tier the points grow with the times */
		int64		x = cap_points(r, tier_points(r, tier, least_times));
		int64		y = cap_points(r, tier_points(r, tier, most_times));

		low = Min(low, Min(x, y));
		high = Max(high, Max(x, y));
		if (tier == last)
			break;
		tier = tier ? tier + 1 : tiers;
	}
	range->dimension_low[r->dimension] += low;
	range->dimension_high[r->dimension] += high;
}

/* The dimensions and the score of a range, from the sums of the rules' points */
void
leadscore_range_add_up(const Scorer *scorer, Range *range)
{
	range->low = add_up(scorer->model, range->dimension_low, range->dimension_low);
	range->high = add_up(scorer->model, range->dimension_high, range->dimension_high);
	Assert(range->low <= range->high);
}

/* What lies between two evaluations with no bucket of the activity in between */
void
leadscore_range_set(const Scorer *scorer, const Evaluation *from, const Evaluation *to,
					Range *range)
{
	const LeadModel *model = scorer->model;
	const ModelRule *rules = model_rules(model);
	int			i;

	leadscore_range_begin(scorer, from, to, range);
	for (i = 0; i < model->rules.n; i++)
	{
		if (rule_is_tiered_idle(&rules[i]))
			continue;
		range->dimension_low[rules[i].dimension] += Min(from->rules[i], to->rules[i]);
		range->dimension_high[rules[i].dimension] += Max(from->rules[i], to->rules[i]);
	}
	if (scorer->ntiered > 0)
		leadscore_range_gross(scorer, range);
	for (i = 0; i < scorer->ntiered; i++)
	{
		int			rule = scorer->tiered_rules[i];

		leadscore_range_add_tiered(scorer, rule, leadscore_quiet_times(scorer, from, rule),
								   leadscore_quiet_times(scorer, to, rule), range);
	}
	leadscore_range_add_up(scorer, range);
}

/* How often a signal was counted within a window (0: ever) up to an evaluation */
int64
leadscore_signal_count(const Evaluation *e, int signal, int32 within)
{
	const SignalSpan *span = &e->signals[signal];
	int64		count = span->timeless;
	const ActivityItem *item = span->end;

	while (item > span->first)
	{
		item--;
		if (within > 0 && e->at - item->bucket >= within)
			break;
		/* beyond what min_count can ask for nothing needs to be told apart */
		if (item->count > 0)
			count = Min(count, PG_INT64_MAX / 2) + Min(item->count, PG_INT64_MAX / 2);
	}
	return count;
}

/* How often the signal of a gate was counted within its window */
int64
leadscore_gate_count(const Scorer *scorer, const Evaluation *e, int gate)
{
	const ModelGate *g = &model_gates(scorer->model)[gate];

	return leadscore_signal_count(e, g->signal, g->within);
}

/*
 * How often an activity counts a signal, in any bucket or by the profile alone; no
 * more than `enough`.
 */
static int64
count_ever(const Scorer *scorer, const ActivityList *activity, int signal, bool by_profile, int64 enough)
{
	int32		id = model_signals(scorer->model)[signal].id;
	int64		count = 0;
	int			low = 0;
	int			high = activity->nitems;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (activity->items[middle].signal < id)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < activity->nitems && activity->items[low].signal == id && count < enough; low++)
	{
		const ActivityItem *item = &activity->items[low];

		if (item->count > 0 && (!by_profile || item->bucket == BUCKET_TIMELESS))
			count += scorer->distinct[signal] ? 1 : Min(item->count, enough - count);
	}
	return count;
}

/* One row of a gate, over a range */
static Answer
gate_answer(const Scorer *scorer, const Range *range, int gate)
{
	const ModelGate *g = &model_gates(scorer->model)[gate];
	Answer		answer;

	if (range->ever)
		answer = g->signal == NO_INDEX ? ANSWER_UNKNOWN :
			at_least(count_ever(scorer, range->counts, g->signal, true, g->min_count),
					 count_ever(scorer, range->counts, g->signal, false, g->min_count), g->min_count);
	else if (gate_of_score(g))
		answer = at_least(range->low, range->high, g->min_points);
	else if (g->signal == NO_INDEX)
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

	if (gate_of_score(g))
		met = e->total >= g->min_points;
	else if (g->signal == NO_INDEX)
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

/* May a stage hold with the right points, whichever of its rows decides? */
static bool
may_ever_hold(const Scorer *scorer, const Range *range, const StageGates *stage, bool gated)
{
	const ModelStageRule *rules = model_stage_rules(scorer->model);
	bool		by_points = false;
	int			i;

	for (i = stage->first_rule; i < stage->first_rule + stage->nrules; i++)
		by_points |= rules[i].min_score != NO_POINTS;
	return gated ? gates_answer(scorer, range, stage) != ANSWER_NO : by_points;
}

/* Do the score and the gates of a stage hold? */
static Answer
stage_holds(const Scorer *scorer, const Range *range, const StageGates *stage,
			Answer lead)
{
	const ModelStageRule *rule;
	bool		gated = stage->ngates > 0 &&
		(scorer->model->gates_required || stage->stage == LEAD_STAGE_IQL);
	Answer		answer = lead;
	Answer		gates;

	if (range->ever)
		return lead == ANSWER_NO || !may_ever_hold(scorer, range, stage, gated) ?
			ANSWER_NO : ANSWER_UNKNOWN;
	rule = leadscore_stage_rule(scorer, range->from, stage);
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

/* The qualified stage over a range, STAGE_UNKNOWN if the range does not tell */
int
leadscore_qualified_over(const Scorer *scorer, const Range *range)
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
	if (range->ever)
		return ANSWER_UNKNOWN;
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
int
leadscore_standing_over(const Scorer *scorer, const Range *range, const LeadStanding *standing)
{
	uint8		stage = standing->stage;
	Answer		lead = is_lead(scorer, range);
	int			higher;

	/* consent given again brings back what its loss has suspended */
	if (stage == LEAD_STAGE_VISITOR && standing->suspended != 0)
		stage = standing->suspended;
	/* a contact that is no lead any more, as after losing consent */
	if (stage > LEAD_STAGE_VISITOR && stage < LEAD_STAGE_CUSTOMER)
	{
		if (lead == ANSWER_NO)
			return LEAD_STAGE_VISITOR;
		if (lead == ANSWER_UNKNOWN)
			return STAGE_UNKNOWN;
	}
	if (!standing->promotion_blocked)
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

/*
 * Do gates keep a lead of this standing in its stage, in any bucket and with any
 * points?  The activity holds at least the counts of each bucket, and the profile
 * must be the same in all.  True is certain.
 */
bool
leadscore_standing_is_fixed(const Scorer *scorer, const ActivityList *activity, const LeadStanding *standing)
{
	Range		range = {.ever = true,.counts = activity};

	return leadscore_standing_over(scorer, &range, standing) == standing->stage;
}

/* The highest stage whose points and gates hold at the bucket of an evaluation */
uint8
leadscore_qualified_stage(Scorer *scorer, const Evaluation *e)
{
	Range		range;
	int			stage;

	range_of_one(e, &range);
	stage = leadscore_qualified_over(scorer, &range);
	Assert(stage != STAGE_UNKNOWN);
	return (uint8) stage;
}

/* Does what makes a contact a lead hold at the bucket of an evaluation? */
bool
leadscore_is_lead(const Scorer *scorer, const Evaluation *e)
{
	Range		range;

	range_of_one(e, &range);
	return is_lead(scorer, &range) == ANSWER_YES;
}

/* Are the gates that make a contact a lead asked of nothing that an event of the activity counts? */
bool
leadscore_lead_by_profile(const Scorer *scorer, const ActivityList *activity)
{
	const ModelGate *gates = model_gates(scorer->model);
	int			i;
	int			j;
	int			k;

	for (i = 0; i < scorer->nstages; i++)
	{
		const StageGates *stage = &scorer->stages[i];

		if (stage->stage != LEAD_STAGE_IQL)
			continue;
		for (j = stage->first_gate; j < stage->first_gate + stage->ngates; j++)
		{
			if (gates[j].signal == NO_INDEX)
				return false;
			for (k = 0; k < activity->nitems; k++)
				if (activity->items[k].bucket != BUCKET_TIMELESS &&
					scorer_signal(scorer, activity->items[k].signal) == gates[j].signal)
					return false;
		}
	}
	return true;
}

/* The stage that a lead of this standing moves to now, or stays in */
uint8
leadscore_next_stage(Scorer *scorer, const Evaluation *e, const LeadStanding *standing)
{
	Range		range;
	int			stage;

	range_of_one(e, &range);
	stage = leadscore_standing_over(scorer, &range, standing);
	Assert(stage != STAGE_UNKNOWN);
	return (uint8) stage;
}

/*
 * What points alone say to the gates of a stage: do they meet every one of
 * which a row asks for a score?  Unknown if there is none.
 */
static Answer
gates_by_points(const Scorer *scorer, const StageGates *stage, int64 points)
{
	const ModelGate *gates = model_gates(scorer->model);
	int			end = stage->first_gate + stage->ngates;
	int			i = stage->first_gate;
	Answer		all = ANSWER_UNKNOWN;

	while (i < end)
	{
		int			name_end = scorer->gate_end[i];
		Answer		any = ANSWER_UNKNOWN;

		for (; i < name_end; i++)
			if (gate_of_score(&gates[i]) && any != ANSWER_YES)
				any = (points >= gates[i].min_points) != (gates[i].negate != 0) ?
					ANSWER_YES : ANSWER_NO;
		if (any == ANSWER_NO)
			return ANSWER_NO;
		if (any == ANSWER_YES)
			all = ANSWER_YES;
	}
	return all;
}

/*
 * What points alone say: the highest stage whose threshold they reach, which
 * may stand in a gate.  Below all thresholds it is the highest stage before
 * them that needs no points.  Without an evaluation only the general rows are
 * considered.
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
		Answer		reached;

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
		if (rule->min_score != NO_POINTS)
			reached = points >= rule->min_score ? ANSWER_YES : ANSWER_NO;
		else
			reached = gates_by_points(scorer, stage, points);
		if (reached == ANSWER_YES)
			return stage->stage;
		if (reached == ANSWER_UNKNOWN)
		{
			if (stage->ngates > 0 && ungraded == LEAD_STAGE_VISITOR)
				ungraded = stage->stage;
			continue;
		}
		thresholds = true;
		ungraded = LEAD_STAGE_VISITOR;
	}
	return thresholds ? ungraded : LEAD_STAGE_VISITOR;
}
