/*-------------------------------------------------------------------------
 *
 * level.c
 *		The level of a lead: how high its score can be from now on, if nothing
 *		happens.
 *
 * The hottest leads are found by an index on a number that is stored with each
 * lead.  A score would be no such number, since it changes while time passes.
 * What a score can still become, if nothing happens, only falls while time
 * passes.  So it is stored when a lead is written, and is right for ever: a
 * query takes the leads that may be among the hottest, and scores those.
 *
 * It is stored coarsely, in octaves above the points that make an sql.  So most
 * leads have level 0, and an event seldom changes the level: the update of
 * lead_state stays HOT.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "level.h"

#include "qualify.h"
#include "score_parts.h"
#include "stage.h"

/* the floor of a model without thresholds: 50 points */
#define DEFAULT_FLOOR	INT64CONST(50000)

/* the floor is no lower, so that it can be doubled */
#define LEAST_FLOOR		INT64CONST(1000)

/* after so many events that are dated ahead the level is not worth its search */
#define MAX_STRETCHES	16

/*
 * Points up to which a lead has level 0: the highest threshold up to sql, or
 * else the highest that gates ask for.
 */
static int64
level_floor(const LeadModel *model)
{
	const ModelStageRule *stage_rules = model_stage_rules(model);
	const ModelGate *gates = model_gates(model);
	int64		floor = NO_POINTS;
	int			i;

	for (i = 0; i < model->stage_rules.n; i++)
		if (stage_rules[i].stage <= LEAD_STAGE_SQL)
			floor = Max(floor, stage_rules[i].min_score);
	for (i = 0; i < model->gates.n && floor == NO_POINTS; i++)
		if (gate_of_score(&gates[i]) && gates[i].stage <= LEAD_STAGE_SQL && !gates[i].negate)
			floor = Max(floor, gates[i].min_points);
	return floor == NO_POINTS ? DEFAULT_FLOOR : Max(floor, LEAST_FLOOR);
}

/* May a rule of quiet time give points? */
static bool
idle_rule_gives(const LeadModel *model, const ModelRule *rule)
{
	const ModelTier *tiers = MODEL_ITEMS(model, ModelTier, rule->tiers);
	int			i;

	if (rule->tiers.n == 0)
		return rule->points > 0;
	for (i = 0; i < rule->tiers.n; i++)
		if ((tiers[i].points > 0 && rule->points > 0) || (tiers[i].points < 0 && rule->points < 0))
			return true;
	return false;
}

/* Does no rule of a model give points because time passes? */
static bool
only_fades(const Scorer *scorer)
{
	const ModelRule *rules = model_rules(scorer->model);
	int			i;

	for (i = 0; i < scorer->nidle; i++)
		if (idle_rule_gives(scorer->model, &rules[scorer->idle_rules[i]]))
			return false;
	for (i = 0; i < scorer->ntiered; i++)
		if (idle_rule_gives(scorer->model, &rules[scorer->tiered_rules[i]]))
			return false;
	return true;
}

/* Find what levels need of a model, once. */
static void
prepare(Scorer *scorer)
{
	if (scorer->floor != 0)
		return;
	scorer->given = MemoryContextAlloc(scorer->context, sizeof(int64) * scorer->model->dimensions.n + 1);
	scorer->only_fades = only_fades(scorer);
	scorer->floor = level_floor(scorer->model);
}

/* The level of a number of points: 0 up to the floor, then one more for each doubling */
int16
leadscore_level_of(Scorer *scorer, int64 points)
{
	int64		limit;
	int16		level = 0;

	prepare(scorer);
	limit = scorer->floor;
	/* no points are beyond MAX_SCORE_MILLI, so it is not doubled beyond int64 */
	for (; points > limit; limit *= 2)
		level++;
	return level;
}

/* The score if all that takes points away were gone */
static int64
points_given(const Scorer *scorer, const Evaluation *e)
{
	const LeadModel *model = scorer->model;
	const ModelDimension *dimensions = model_dimensions(model);
	const ModelRule *rules = model_rules(model);
	int64		total = 0;
	int			i;

	memset(scorer->given, 0, sizeof(int64) * model->dimensions.n);
	for (i = 0; i < model->rules.n; i++)
		scorer->given[rules[i].dimension] += Max(e->rules[i], 0);
	for (i = 0; i < model->dimensions.n; i++)
		total += leadscore_weighted(clamp(saturate(scorer->given[i]), dimensions[i].min_points,
										  dimensions[i].max_points), dimensions[i].weight);
	return clamp(saturate(total), model->min_score, model->max_score);
}

/* The first bucket of an activity after one, or `none` */
static int32
bucket_after(const ActivityList *activity, int32 after, int32 none)
{
	int32		next = none;
	int			i;

	for (i = 0; i < activity->nitems; i++)
		if (activity->items[i].bucket > after && activity->items[i].bucket < next)
			next = activity->items[i].bucket;
	return next;
}

/*
 * The highest score that bounds allow at any bucket from that of an evaluation
 * on.  Between two buckets of the activity what the rules give at both ends
 * bounds what they give in between (see Range).
 */
static int64
ceiling(Scorer *scorer, const ActivityList *activity, Evaluation *first, Range *range)
{
	LeadGrain	grain = (LeadGrain) scorer->model->grain;
	Evaluation *begin = first;
	Evaluation *end = leadscore_evaluation_create(scorer);
	int64		newest = first->at;
	int64		highest = -MAX_SCORE_MILLI;
	int64		last = last_bucket(grain);
	int64		start = first->at;
	int			i;

	for (i = 0; i < activity->nitems; i++)
		newest = Max(newest, activity->items[i].bucket);
	if (scorer->quiet_after >= 0)
		last = Min(last, newest + scorer->quiet_after + 1);
	last = Max(last, start);
	for (i = 0; start <= last; i++)
	{
		int32		next = bucket_after(activity, (int32) start, (int32) last + 1);

		if (i == MAX_STRETCHES)
		{
			highest = MAX_SCORE_MILLI;
			break;
		}
		if (i > 0)
			leadscore_evaluate(scorer, activity, (int32) start, begin);
		leadscore_evaluate(scorer, activity, next - 1, end);
		leadscore_range_set(scorer, begin, end, range);
		highest = Max(highest, range->high);
		start = next;
	}
	leadscore_evaluation_free(end);
	return highest;
}

/*
 * Does an evaluation show that the level of its activity is at most so high from
 * its bucket on?  With nothing to come, and rules that only fade, no later score
 * is above the points that are given now.  That is all that most leads need.
 */
bool
leadscore_level_within(Scorer *scorer, const ActivityList *activity, const Evaluation *e, int16 level)
{
	prepare(scorer);
	return scorer->only_fades &&
		bucket_after(activity, e->at, PG_INT32_MAX) == PG_INT32_MAX &&
		leadscore_level_of(scorer, points_given(scorer, e)) <= level;
}

/*
 * The level of an activity from a bucket on.  It never rises while time passes:
 * a level that was right once stays right until something is written.
 */
int16
leadscore_level(Scorer *scorer, const ActivityList *activity, int32 from)
{
	Evaluation *e = leadscore_evaluation_create(scorer);
	int16		level = 0;
	Range		range;

	leadscore_evaluate(scorer, activity, from, e);
	if (!leadscore_level_within(scorer, activity, e, 0))
	{
		leadscore_range_create(scorer, &range);
		level = leadscore_level_of(scorer, ceiling(scorer, activity, e, &range));
		leadscore_range_free(&range);
	}
	leadscore_evaluation_free(e);
	return level;
}
