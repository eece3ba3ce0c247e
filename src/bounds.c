/*-------------------------------------------------------------------------
 *
 * bounds.c
 *		Bounds of a score while it is not known which events will come.
 *
 * A late event asks whether the stage that is recorded would have been another
 * in the months since.  Reading the log and replaying tells; these bounds tell
 * most of the time without it.  Known are two activities, of which one holds
 * what is certain and one all that may be.  Counts can only raise a quantity
 * and age can only lower it, so the points of a rule lie between those of the
 * certain counts, as old as they can be, and those of all counts, as young as
 * they can be.
 *
 * A rule for which no bounds are worth their code gives none, and the caller
 * falls back on the log.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bounds.h"

#include "score_parts.h"

/* Do both sides have the same of a signal, and nothing that is yet to come? */
static bool
same_span(const Bounds *b, int signal)
{
	const SignalSpan *least = &b->least->signals[signal];
	const SignalSpan *most = &b->most->signals[signal];
	ptrdiff_t	n = least->end - least->first;

	if (least->timeless != most->timeless || n != most->end - most->first)
		return false;
	if (n > 0 && most->end[-1].bucket > b->most->at)
		return false;
	return n == 0 || memcmp(least->first, most->first, n * sizeof(ActivityItem)) == 0;
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
	ptrdiff_t	n = most->end - most->first;
	ptrdiff_t	nbefore = n > 0 && most->end[-1].bucket == b->most->at ? n - 1 : n;

	if (b->most->at != b->least->at || least->timeless != most->timeless ||
		least->end - least->first < nbefore)
		return false;
	if (least->end - least->first > nbefore && least->first[nbefore].bucket != b->most->at)
		return false;
	return nbefore == 0 || memcmp(least->first, most->first, nbefore * sizeof(ActivityItem)) == 0;
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

/*
 * The most quiet times: the longest began with the newest event that is
 * certain.  False if its beginning is not known at all.
 */
static bool
most_quiet_times(const Scorer *scorer, const Bounds *b, const ModelRule *r, int64 *times)
{
	int32		reset = b->least->resets[r->dimension];
	int32		start = newest_bucket(b->least, r->signal);
	int			created = created_signal(scorer);
	const ActivityItem *oldest = first_item(b->most, r);

	*times = 0;
	if (start > reset)
	{
		*times = quiet_times(r, b->least->at, start);
		return true;
	}
	if (created != NO_INDEX && !same_span(b, created))
		return false;
	if (created != NO_INDEX)
		reset = Max(reset, newest_bucket(b->least, created));
	if (reset != PG_INT32_MIN)
		*times = quiet_times(r, b->least->at, reset);
	if (oldest < b->most->signals[r->signal].end)
		*times = Max(*times, quiet_times(r, b->least->at, oldest->bucket));
	return true;
}

/*
 * How many quiet times a rule counts, which may begin anew at any time.  False
 * if there are no bounds for it.
 */
static bool
idle_bounds(const Scorer *scorer, const Bounds *b, int rule, int64 *least, int64 *most)
{
	const ModelRule *r = &model_rules(scorer->model)[rule];
	Answer		blocked = is_blocked(scorer, b, r);
	int			created = created_signal(scorer);

	*least = *most = 0;
	if (blocked == ANSWER_YES)
		return true;
	if (blocked == ANSWER_NO && same_span(b, r->signal) &&
		(created == NO_INDEX || same_span(b, created)))
	{
		Evaluation	e = *b->most;

		*least = leadscore_quiet_times(scorer, &e, rule);
		e.at = b->least->at;
		*most = leadscore_quiet_times(scorer, &e, rule);
		return true;
	}
	return most_quiet_times(scorer, b, r, most);
}

/* The points of tiers that may be reached */
static void
tier_bounds(const Scorer *scorer, const ModelRule *r, int128 least, int128 most,
			int64 *low, int64 *high)
{
	const ModelTier *tiers = MODEL_ITEMS(scorer->model, ModelTier, r->tiers);
	int64		reached = 0;
	int			i;

	for (i = 0; i < r->tiers.n && tiers[i].from <= least; i++)
		reached = tiers[i].points;
	*low = *high = cap_points(r, leadscore_weighted(reached, r->points));
	for (; i < r->tiers.n && tiers[i].from <= most; i++)
		include(cap_points(r, leadscore_weighted(tiers[i].points, r->points)), low, high);
}

/* The next group of items of one calendar period: counts and buckets */
typedef struct ItemGroup
{
	int128		least;
	int128		most;
	int32		oldest;
	int32		newest;
} ItemGroup;

/*
 * Take the next group of a rule's items, from *x and *y on: those that share
 * a calendar period, or one.  False at the end.
 */
static bool
next_group(const Scorer *scorer, const Bounds *b, const ModelRule *r,
		   const ActivityItem **x, const ActivityItem **y, ItemGroup *group)
{
	LeadGrain	grain = (LeadGrain) scorer->model->grain;
	const ActivityItem *x_end = b->least->signals[r->signal].end;
	const ActivityItem *y_end = b->most->signals[r->signal].end;
	CalendarPeriod kind = (CalendarPeriod)
		(r->aggregate == AGGREGATE_PERIODS ? r->period : r->limit_period);
	int32		period = 0;

	group->least = group->most = 0;
	while (*y < y_end)
	{
		int32		bucket = (*y)->bucket;

		if (group->most > 0 &&
			(kind == PERIOD_NONE || period_of(bucket, grain, kind) != period))
			break;
		if ((*y)->count > 0)
		{
			if (group->most == 0)
			{
				group->oldest = bucket;
				if (kind != PERIOD_NONE)
					period = period_of(bucket, grain, kind);
			}
			group->newest = bucket;
			group->most += (*y)->count;
		}
		for (; *x < x_end && (*x)->bucket <= bucket; (*x)++)
			if ((*x)->bucket == bucket)
				group->least += Max((*x)->count, 0);
		(*y)++;
	}
	if (r->limit_count > 0)
	{
		group->least = Min(group->least, r->limit_count);
		group->most = Min(group->most, r->limit_count);
	}
	return group->most > 0;
}

/*
 * The points of a rule of whose signal something may come in between, if it is
 * not kept from counting, which may be sure.  False if it is one of those that
 * are too rare for bounds of their own.
 */
static bool
open_bounds(Scorer *scorer, const Bounds *b, int rule, bool sure, int64 *low, int64 *high)
{
	const ModelRule *r = &model_rules(scorer->model)[rule];
	RuleWeights *w = scorer->weights[rule];
	int32		first = b->most->at;
	int32		last = b->least->at;
	const ActivityItem *x = first_item(b->least, r);
	const ActivityItem *y = first_item(b->most, r);
	int128		least = b->least->signals[r->signal].timeless;
	int128		most = b->most->signals[r->signal].timeless;
	int128		low_quantity;
	int128		high_quantity;
	ItemGroup	group;

	/* both sides may be kept from counting, and what lies between them not */
	if (sure && r->aggregate != AGGREGATE_TIER && grows_at_end(b, r->signal))
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
	else if (r->aggregate == AGGREGATE_PERIODS)
	{
		/* with more counts a period has enough no later, so it weighs no more */
		low_quantity = high_quantity = 0;
		while (next_group(scorer, b, r, &x, &y, &group))
		{
			if (group.least >= r->min_count)
				low_quantity += weight_at(scorer, r, w, last - group.oldest);
			if (group.most >= r->min_count)
				high_quantity += weight_at(scorer, r, w, Max(first - group.newest, 0));
		}
	}
	else if (r->aggregate == AGGREGATE_TIER)
	{
		/* a value may be in another bucket on each side, so sides are apart */
		for (; x < b->least->signals[r->signal].end; x++)
			if (x->count > 0 && (r->within == 0 || last - x->bucket < r->within))
				least += x->count;
		for (; y < b->most->signals[r->signal].end; y++)
			if (y->count > 0 && (r->within == 0 || first - y->bucket < r->within))
				most += y->count;
		tier_bounds(scorer, r, least, most, low, high);
		return true;
	}
	else if (scorer->distinct[r->signal])
	{
		/* the same here, and there is no limit */
		low_quantity = least * WEIGHT_ONE;
		high_quantity = most * WEIGHT_ONE;
		for (; x < b->least->signals[r->signal].end; x++)
			low_quantity += (int128) x->count * weight_at(scorer, r, w, last - x->bucket);
		for (; y < b->most->signals[r->signal].end; y++)
			high_quantity += (int128) y->count * weight_at(scorer, r, w, Max(first - y->bucket, 0));
	}
	else
	{
		low_quantity = least * WEIGHT_ONE;
		high_quantity = most * WEIGHT_ONE;
		while (next_group(scorer, b, r, &x, &y, &group))
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
	Answer		blocked;

	if (r->aggregate == AGGREGATE_IDLE)
	{
		int64		least;
		int64		most;

		if (!idle_bounds(scorer, b, rule, &least, &most))
			return false;
		*low = *high = quantity_points(r, (int128) least * WEIGHT_ONE);
		include(quantity_points(r, (int128) most * WEIGHT_ONE), low, high);
		return true;
	}
	*low = *high = 0;
	blocked = is_blocked(scorer, b, r);
	if (blocked == ANSWER_YES)
		return true;
	if (blocked == ANSWER_NO && same_span(b, r->signal))
	{
		Evaluation	e = *b->most;

		*low = *high = leadscore_counted_points(scorer, &e, rule);
		e.at = b->least->at;
		include(leadscore_counted_points(scorer, &e, rule), low, high);
	}
	else if (!open_bounds(scorer, b, rule, blocked == ANSWER_NO, low, high))
		return false;
	if (blocked == ANSWER_UNKNOWN)
		include(0, low, high);
	Assert(*low <= *high);
	return true;
}

/* Set a range to bounds; false if there are none. */
bool
leadscore_range_bounds(Scorer *scorer, const Bounds *b, Range *range)
{
	const LeadModel *model = scorer->model;
	const ModelRule *rules = model_rules(model);
	const ModelStageRule *stage_rules = model_stage_rules(model);
	bool		present;
	int			i;
	int			j;

	Assert(b->most->at <= b->least->at);
	for (i = 0; i < model->dimensions.n; i++)
		if (b->least->resets[i] != b->most->resets[i])
			return false;
	for (i = 0; i < model->stage_rules.n; i++)
		if (stage_rules[i].only_if != NO_INDEX &&
			!same_presence(b, stage_rules[i].only_if, &present))
			return false;
	leadscore_range_begin(scorer, b->most, b->least, range);
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
			range->dimension_low[rules[rule].dimension] += low;
			range->dimension_high[rules[rule].dimension] += high;
		}
	}
	if (scorer->ntiered > 0)
		leadscore_range_gross(scorer, range);
	for (i = 0; i < scorer->ntiered; i++)
	{
		int64		least;
		int64		most;

		if (!idle_bounds(scorer, b, scorer->tiered_rules[i], &least, &most))
			return false;
		leadscore_range_add_tiered(scorer, scorer->tiered_rules[i], least, most, range);
	}
	leadscore_range_add_up(scorer, range);
	return true;
}
