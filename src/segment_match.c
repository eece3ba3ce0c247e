/*-------------------------------------------------------------------------
 *
 * segment_match.c
 *		The segments that a lead is in.
 *
 * A condition is answered like a row of a gate, in interval arithmetic: so the
 * same code says which segments a lead is in at a bucket, and whether they stay
 * the same over many buckets (see qualify.c).  The stage is the one that the
 * lead has once the events of an instant are applied: no stage depends on a
 * segment, so this is no circle.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "segment_match.h"

/* One condition over a range, before it is negated; members are of segments before it */
static Answer
test_condition(const Scorer *scorer, const Range *range, uint8 stage, const SegmentBits *members,
			   const SegmentCondition *c)
{
	switch (c->test)
	{
		case TEST_SIGNAL:
			{
				/* counts in a window can only fall while nothing happens */
				int64		most = leadscore_signal_count(range->from, c->signal, c->within);
				int64		least = range->to == range->from ? most :
					leadscore_signal_count(range->to, c->signal, c->within);

				return at_least(least, most, c->min_count);
			}
		case TEST_DIMENSION:
			/* a dimension that the model does not have has no points */
			if (c->dimension == NO_INDEX)
				return at_least(0, 0, c->min_points);
			return at_least(range->dimension_low[c->dimension],
							range->dimension_high[c->dimension], c->min_points);
		case TEST_SCORE:
			return at_least(range->low, range->high, c->min_points);
		case TEST_STAGE:
			return stage >= c->stage_from && stage <= c->stage_to ? ANSWER_YES : ANSWER_NO;
		case TEST_SEGMENT:
			if (c->segment == NO_INDEX)
				return ANSWER_NO;
			return segment_is_member(members, c->segment) ? ANSWER_YES : ANSWER_NO;
	}
	return ANSWER_NO;
}

/* One condition over a range */
static inline Answer
condition_answer(const Scorer *scorer, const Range *range, uint8 stage, const SegmentBits *members,
				 const SegmentCondition *c)
{
	Answer		answer = test_condition(scorer, range, stage, members, c);

	if (c->negate && answer != ANSWER_UNKNOWN)
		answer = answer == ANSWER_YES ? ANSWER_NO : ANSWER_YES;
	return answer;
}

/* Is a lead in a segment, over a range? */
static Answer
segment_answer(const Scorer *scorer, const Range *range, uint8 stage, const SegmentBits *members,
			   const Segment *segment)
{
	int64		needed = segment->weight * segment->min_share;
	int64		low = 0;		/* weight of the names that hold ... */
	int64		left = 0;		/* ... and of those that do not */
	int			i = 0;

	while (i < segment->n)
	{
		int64		weight = segment->conditions[i].weight;
		Answer		any = ANSWER_NO;
		bool		more = true;

		/* alternatives */
		for (; more; i++)
		{
			more = segment->conditions[i].goes_on;
			if (any != ANSWER_YES)
			{
				Answer		answer = condition_answer(scorer, range, stage, members,
													  &segment->conditions[i]);

				if (answer != ANSWER_NO)
					any = answer;
			}
		}
		if (any == ANSWER_YES)
			low += weight;
		else if (any == ANSWER_NO)
			left += weight;
		if ((segment->weight - left) * WHOLE_SHARE < needed)
			return ANSWER_NO;
	}
	return low * WHOLE_SHARE >= needed ? ANSWER_YES : ANSWER_UNKNOWN;
}

/* The segments that a lead in a stage is in at the bucket of an evaluation */
void
leadscore_segments_at(const Scorer *scorer, const Evaluation *e, uint8 stage, SegmentBits *members)
{
	const SegmentSet *set = scorer->segments;
	Range		range;
	int			i;

	memset(members, 0, sizeof(SegmentBits));
	if (set == NULL)
		return;
	range_of_one(e, &range);
	for (i = 0; i < set->n; i++)
	{
		Answer		answer = segment_answer(scorer, &range, stage, members, &set->segments[i]);

		Assert(answer != ANSWER_UNKNOWN);
		if (answer == ANSWER_YES)
			segment_set_member(members, i);
	}
}

/*
 * Does a lead stay, over a range, in the segments that it is in, and in no
 * other, while it stays in its stage?  False means that it may not.  If no count
 * leaves or enters a window in the range, only what asks for points is to be
 * looked at.
 */
bool
leadscore_segments_keep(const Scorer *scorer, const Range *range, const LeadStanding *standing,
						bool only_points)
{
	const SegmentSet *set = scorer->segments;
	int			i;

	for (i = 0; set && i < set->n; i++)
	{
		const Segment *segment = &set->segments[i];
		Answer		stored = segment_is_member(&standing->segments, i) ? ANSWER_YES : ANSWER_NO;

		if ((segment->by_points || !only_points) &&
			segment_answer(scorer, range, standing->stage, &standing->segments, segment) != stored)
			return false;
	}
	return true;
}

/* The first of an activity's items that is of a signal, or of a later one */
static int
first_of_signal(const ActivityList *activity, int32 signal)
{
	int			low = 0;
	int			high = activity->nitems;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (activity->items[middle].signal >= signal)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/*
 * The first of an activity's items that is of a signal without values and later
 * than a bucket, or behind it
 */
static int
first_item_after(const ActivityList *activity, int32 signal, int64 bucket)
{
	int			low = 0;
	int			high = activity->nitems;

	while (low < high)
	{
		int			middle = (low + high) / 2;
		const ActivityItem *item = &activity->items[middle];

		if (item->signal > signal || (item->signal == signal && item->bucket > bucket))
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/*
 * Is a condition on a signal without values met at a bucket?  In *expiry is the
 * bucket in which its counts become too few, as they leave its window;
 * PG_INT32_MAX if never.
 */
static bool
counts_met(const SegmentCondition *c, const ActivityList *activity, int32 at, int32 *expiry)
{
	const ActivityItem *items = activity->items;
	int			first = first_item_after(activity, c->signal_id, BUCKET_TIMELESS);
	int64		oldest = c->within > 0 ? (int64) at - c->within : PG_INT32_MIN;
	int64		count = 0;
	int			i;

	*expiry = PG_INT32_MAX;
	if (first > 0 && items[first - 1].signal == c->signal_id)
		count = Min(Max(items[first - 1].count, 0), PG_INT32_MAX);
	/* from the newest on, until there are enough: these leave last */
	for (i = first_item_after(activity, c->signal_id, at) - 1;
		 i >= first && items[i].bucket > oldest && count < c->min_count; i--)
	{
		count += Min(Max(items[i].count, 0), PG_INT32_MAX);
		if (count >= c->min_count && c->within > 0)
			*expiry = (int32) Min((int64) items[i].bucket + c->within, PG_INT32_MAX);
	}
	return count >= c->min_count;
}

/* The same for any signal */
static bool
signal_met(const SegmentCondition *c, const ActivityList *activity, int32 at, int32 *expiry)
{
	int			first = first_of_signal(activity, c->signal_id);
	int			end;
	ActivityList seen;
	bool		met;

	if (first == activity->nitems || activity->items[first].signal != c->signal_id)
		return counts_met(c, activity, at, expiry);
	end = lead_activity_signal_end(activity, first);
	/* no value sorts before all values */
	if (!c->distinct && activity->items[end - 1].value == 0)
		return counts_met(c, activity, at, expiry);
	lead_activity_init(&seen, activity->grain, end - first);
	leadscore_see_values(&seen, activity->items + first, activity->items + end, c->distinct, at);
	met = counts_met(c, &seen, at, expiry);
	pfree(seen.items);
	return met;
}

/*
 * The first bucket in which a segment may change as counts leave windows.  It
 * cannot while a name does not hold that time alone does not make hold.
 */
static int32
segment_expiry(const SegmentSet *set, int number, const ActivityList *activity, int32 at,
			   const LeadStanding *standing, const int32 *others)
{
	const Segment *segment = &set->segments[number];
	int32		first = PG_INT32_MAX;
	int			i = 0;

	while (i < segment->n)
	{
		bool		holds = false;
		bool		may_hold = false;
		bool		more = true;

		for (; more; i++)
		{
			const SegmentCondition *c = &segment->conditions[i];
			int32		expiry = PG_INT32_MAX;
			bool		met = false;

			more = segment->conditions[i].goes_on;
			switch (c->test)
			{
				case TEST_SIGNAL:
					met = signal_met(c, activity, at, &expiry) != c->negate;
					break;
				case TEST_STAGE:
					met = (standing->stage >= c->stage_from && standing->stage <= c->stage_to) != c->negate;
					break;
				case TEST_SEGMENT:
					if (c->segment != NO_INDEX)
					{
						met = segment_is_member(&standing->segments, c->segment);
						expiry = others[c->segment];
						may_hold |= set->segments[c->segment].by_points;
					}
					met = met != c->negate;
					break;
				default:
					/* points are not looked at here */
					may_hold = true;
					break;
			}
			holds |= met;
			may_hold |= met || expiry != PG_INT32_MAX;
			first = Min(first, expiry);
		}
		if (!may_hold && !holds && segment->min_share == WHOLE_SHARE)
			return PG_INT32_MAX;
	}
	return first;
}

/*
 * The first bucket after one in which segments of a lead may change because
 * counts leave their windows, if nothing is counted meanwhile and its stage and
 * its points allow it; `before` if there is none before that.  So a search need
 * not look for it by halves.
 */
int32
leadscore_segments_expiry(const Scorer *scorer, const ActivityList *activity, int32 after,
						  const LeadStanding *standing, int32 before)
{
	const SegmentSet *set = scorer->segments;
	int32		others[MAX_SEGMENTS];
	int32		first = before;
	int			i;

	for (i = 0; set && i < set->n; i++)
	{
		others[i] = segment_expiry(set, i, activity, after, standing, others);
		first = Min(first, others[i]);
	}
	Assert(first > after);
	return first;
}

/* Is one condition met at the bucket of an evaluation, by a lead in these segments? */
bool
leadscore_condition_met(const Scorer *scorer, const Evaluation *e, uint8 stage,
						const SegmentBits *members, const SegmentCondition *condition)
{
	Range		range;

	range_of_one(e, &range);
	return condition_answer(scorer, &range, stage, members, condition) == ANSWER_YES;
}

/* The weight of the names of a segment that hold */
int64
leadscore_match_weight(const Scorer *scorer, const Evaluation *e, uint8 stage,
					   const SegmentBits *members, const Segment *segment)
{
	int64		weight = 0;
	bool		any = false;
	int			i;

	for (i = 0; i < segment->n; i++)
	{
		any = any || leadscore_condition_met(scorer, e, stage, members, &segment->conditions[i]);
		if (segment->conditions[i].goes_on)
			continue;
		if (any)
			weight += segment->conditions[i].weight;
		any = false;
	}
	return weight;
}
