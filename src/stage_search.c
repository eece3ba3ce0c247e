/*-------------------------------------------------------------------------
 *
 * stage_search.c
 *		When does the stage of a lead change, or a segment that it is in, if
 *		nothing happens?
 *
 * Between two buckets of an activity what a lead is worth at both ends bounds
 * what it is worth in between (see Range).  A search takes the stretch from one
 * bucket of the activity to the next: if the stage is known and the same over
 * the whole stretch, it is left, or else cut in two.  The answer is exact, and
 * is usually found in a few evaluations.
 *
 * Most leads stay where they are whatever their points, because a gate of each
 * higher stage lacks counts.  For them nothing is searched.
 *
 * An activity of many buckets would need many stretches.  So a search first
 * leaps over as many of them as bounds.c can tell something about.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "stage_search.h"

#include "miscadmin.h"

#include "bounds.h"
#include "score_parts.h"
#include "segment_match.h"

/* a search that need not be exact gives up after so many evaluations */
#define SEARCH_BUDGET	10000

/* a guess for the next review: that it is early costs less than that it is exact */
#define GUESS_BUDGET	8

/* after so many bounds reading the log is cheaper */
#define KEEPS_BUDGET	1000

/* so many parts of a bucket's counts are looked at one by one */
#define MAX_PARTS		64

/* A search for the first bucket where a stage changes */
typedef struct Search
{
	Scorer	   *scorer;
	const ActivityList *activity;
	bool		qualified;		/* else by standing */
	LeadStanding standing;
	bool		windows_known;	/* no count leaves a window of a segment */
	int			budget;			/* evaluations left; negative: no limit */
	Range		range;
} Search;

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

/*
 * Does nothing change for a lead of this standing, whenever and whatever its points,
 * as no count of an activity lets it?
 */
static bool
nothing_ever(Scorer *scorer, const ActivityList *activity, const LeadStanding *standing)
{
	bool		fixed = scorer->segments == NULL && leadscore_standing_is_fixed(scorer, activity, standing);

#ifdef USE_ASSERT_CHECKING
	if (fixed)
	{
		Evaluation *e = leadscore_evaluation_create(scorer);
		int			step = Max(activity->nitems / 4, 1);
		int			i;

		for (i = 0; i < activity->nitems; i += step)
			if (activity->items[i].bucket != BUCKET_TIMELESS)
			{
				leadscore_evaluate(scorer, activity, activity->items[i].bucket, e);
				Assert(leadscore_next_stage(scorer, e, standing) == standing->stage);
			}
		leadscore_evaluation_free(e);
	}
#endif
	return fixed;
}

/* Does nothing change over the range of a search?  False: it may. */
static bool
range_keeps(const Search *search)
{
	if (search->qualified)
		return leadscore_qualified_over(search->scorer, &search->range) == search->standing.stage;
	return leadscore_standing_over(search->scorer, &search->range, &search->standing) == search->standing.stage &&
		leadscore_segments_keep(search->scorer, &search->range, &search->standing,
								search->windows_known);
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

	leadscore_range_set(search->scorer, from, to, &search->range);
	if (range_keeps(search))
		return BUCKET_NEVER;
	if (from->at == to->at || search->budget == 0)
		return from->at;
	middle = from->at + (to->at - from->at) / 2;
	left = search_evaluate(search, middle);
	found = search_range(search, from, left);
	leadscore_evaluation_free(left);
	if (found == BUCKET_NEVER)
	{
		right = search_evaluate(search, middle + 1);
		found = search_range(search, right, to);
		leadscore_evaluation_free(right);
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
		leadscore_evaluation_free(to);
	leadscore_evaluation_free(from);
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
	leadscore_look_at(search->scorer, least, least_last, b.least);
	leadscore_look_at(search->scorer, most, until, b.most);
	b.least->at = until;
	b.most->at = from;
	keeps = leadscore_range_bounds(search->scorer, &b, &search->range) && range_keeps(search);
	leadscore_evaluation_free(b.least);
	leadscore_evaluation_free(b.most);
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
 * The same after a bucket and up to `last`.  Stretches between two buckets of
 * the activity are the ranges to search, where bounds over many of them do not
 * tell.
 */
static int32
search_stretches(Search *search, int32 after, int32 last)
{
	int32		found = BUCKET_NEVER;
	int64		stride = (int64) last - after;

	while (after < last && found == BUCKET_NEVER)
	{
		int32		start = after + 1;
		int32		end = leap(search, start, last, &stride);

		if (end >= start)
		{
			after = end;
			continue;
		}
		end = next_bucket(search->activity, start, last + 1) - 1;
		found = search_stretch(search, start, end);
		after = end;
	}
	return found;
}

/*
 * The first bucket after `after` and up to `until` where the stage or a segment
 * changes, or may change: the bucket in which a count leaves a window of a
 * segment is known, and only what lies before it is searched.
 */
static int32
search_change(Search *search, int32 after, int32 until)
{
	Scorer	   *scorer = search->scorer;
	const ActivityList *activity = search->activity;
	LeadGrain	grain = (LeadGrain) scorer->model->grain;
	int32		newest = after;
	int32		last;
	int32		expiry = BUCKET_NEVER;
	int32		found;
	int			i;

	if (!search->qualified && nothing_ever(scorer, activity, &search->standing))
		return BUCKET_NEVER;
	for (i = 0; i < activity->nitems; i++)
		newest = Max(newest, activity->items[i].bucket);
	last = last_bucket(grain);
	if (scorer->quiet_after >= 0 && scorer->quiet_after < last - newest)
		last = newest + scorer->quiet_after + 1;
	last = Min(last, until);
	if (after >= last)
		return BUCKET_NEVER;

	leadscore_range_create(scorer, &search->range);
	if (!search->qualified && scorer->segments)
	{
		/* items that are dated ahead come into windows too */
		expiry = next_bucket(activity, after, BUCKET_NEVER);
		expiry = leadscore_segments_expiry(scorer, activity, after, &search->standing, expiry);
		search->windows_known = true;
	}
	found = search_stretches(search, after, Min(expiry - 1, last));
	if (found == BUCKET_NEVER && expiry <= last)
		found = expiry;
	leadscore_range_free(&search->range);
	Assert(found == BUCKET_NEVER || found <= last);
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
 * standing moves to another stage, or into or out of a segment, by the passing
 * of time.  Where it is hard
 * to find, or if it need not be exact, an earlier bucket: a later call finds
 * nothing there and asks again.
 */
int32
leadscore_standing_change(Scorer *scorer, const ActivityList *activity,
						  int32 after, int32 until, const LeadStanding *standing, bool exact)
{
	Search		search = {
		.scorer = scorer,.activity = activity,.standing = *standing,
		.budget = exact ? SEARCH_BUDGET : GUESS_BUDGET
	};

	return search_change(&search, after, until);
}

/*
 * Does a lead of this standing stay in its stage and segments from one bucket to another,
 * while its activity grows, in whatever order, from `least` (what is up to
 * `least_last` of it) to `most` (what is up to `until`)?  True is certain.
 */
bool
leadscore_standing_stays(Scorer *scorer, const ActivityList *least, int32 least_last,
						 const ActivityList *most, int32 from, int32 until,
						 const LeadStanding *standing)
{
	Search		search = {.scorer = scorer,.standing = *standing,.budget = -1};
	bool		stays;

	Assert(from <= until);
	if (nothing_ever(scorer, most, standing))
		return true;
	leadscore_range_create(scorer, &search.range);
	stays = bounds_keep(&search, least, least_last, most, from, until);
	leadscore_range_free(&search.range);
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
 * Does a lead of this standing stay in its stage and segments from the bucket `from` up to
 * `until`, both included, whatever the order of events within each bucket?
 * True is certain; false means that only the log can tell.  The profile must
 * be the same all the time.
 */
bool
leadscore_standing_keeps(Scorer *scorer, const ActivityList *activity,
						 int32 from, int32 until, const LeadStanding *standing)
{
	Search		search = {
		.scorer = scorer,.activity = activity,.standing = *standing,
		.budget = KEEPS_BUDGET
	};
	bool		keeps;

	Assert(from <= until);
	if (nothing_ever(scorer, activity, standing))
		return true;
	leadscore_range_create(scorer, &search.range);
	keeps = keeps_halves(&search, from, until);
	leadscore_range_free(&search.range);
	return keeps;
}

/* An activity whose counts of one bucket come in an order that is not known */
typedef struct Parts
{
	ActivityList rest;			/* all that is not in the bucket, or not
								 * looked at */
	ActivityList counts;		/* of the bucket */
	ActivityList part;			/* of the counts */
	ActivityList activity;		/* the rest with the part */
	int64		nparts;			/* 0: too many to look at */
} Parts;

/* Take the counts of a bucket that a scorer looks at out of an activity. */
static void
parts_init(Parts *parts, const Scorer *scorer, const ActivityList *activity, int32 bucket)
{
	int			i;

	lead_activity_init(&parts->rest, activity->grain, activity->nitems);
	lead_activity_init(&parts->counts, activity->grain, 16);
	lead_activity_init(&parts->part, activity->grain, 16);
	lead_activity_init(&parts->activity, activity->grain, activity->nitems);
	for (i = 0; i < activity->nitems; i++)
	{
		const ActivityItem *item = &activity->items[i];
		bool		counts = item->bucket == bucket && scorer_signal(scorer, item->signal) != NO_INDEX;

		lead_activity_append(counts ? &parts->counts : &parts->rest, item->signal, item->value, item->bucket,
							 item->count);
	}
	parts->nparts = 1;
	for (i = 0; i < parts->counts.nitems && parts->nparts > 0; i++)
	{
		int64		count = parts->counts.items[i].count;

		parts->nparts = count > 0 && count < MAX_PARTS ? parts->nparts * (count + 1) : 0;
		if (parts->nparts > MAX_PARTS)
			parts->nparts = 0;
	}
}

/* Set the activity to what it is with part number `number` of the counts. */
static void
parts_take(Parts *parts, int64 number)
{
	int			i;

	CHECK_FOR_INTERRUPTS();
	/* a number has a digit for each count */
	parts->part.nitems = 0;
	for (i = 0; i < parts->counts.nitems; i++)
	{
		const ActivityItem *item = &parts->counts.items[i];
		int64		base = item->count + 1;

		if (number % base > 0)
			lead_activity_append(&parts->part, item->signal, item->value, item->bucket, number % base);
		number /= base;
	}
	lead_activity_merge(&parts->rest, &parts->part, 1, &parts->activity);
}

/* Do two evaluations move a lead of each of some standings alike? */
static bool
decide_alike(Scorer *scorer, const Evaluation *x, const Evaluation *y, const LeadStanding *standings, int n)
{
	int			i;

	for (i = 0; i < n; i++)
	{
		SegmentBits in_x = {0};
		SegmentBits in_y = {0};

		if (leadscore_next_stage(scorer, x, &standings[i]) != leadscore_next_stage(scorer, y, &standings[i]))
			return false;
		if (scorer->segments == NULL)
			continue;
		leadscore_segments_at(scorer, x, standings[i].stage, &in_x);
		leadscore_segments_at(scorer, y, standings[i].stage, &in_y);
		if (memcmp(&in_x, &in_y, sizeof(SegmentBits)) != 0)
			return false;
	}
	return true;
}

/*
 * Do two activities, which have the same in a bucket, move a lead of each of some
 * standings alike in it, whatever part of its counts has come?  True is certain.
 */
bool
leadscore_standings_alike(Scorer *scorer, const ActivityList *a, const ActivityList *b,
						  int32 bucket, const LeadStanding *standings, int n)
{
	Evaluation *x = leadscore_evaluation_create(scorer);
	Evaluation *y = leadscore_evaluation_create(scorer);
	Parts		of_a;
	Parts		of_b;
	int64		i;
	bool		alike;

	parts_init(&of_a, scorer, a, bucket);
	parts_init(&of_b, scorer, b, bucket);
	Assert(lead_activity_equal(&of_a.counts, &of_b.counts));
	alike = of_a.nparts > 0;
	for (i = 0; i < of_a.nparts && alike; i++)
	{
		parts_take(&of_a, i);
		parts_take(&of_b, i);
		leadscore_evaluate(scorer, &of_a.activity, bucket, x);
		leadscore_evaluate(scorer, &of_b.activity, bucket, y);
		alike = decide_alike(scorer, x, y, standings, n);
	}
	leadscore_evaluation_free(x);
	leadscore_evaluation_free(y);
	return alike;
}

/*
 * Do counts that come in one instant of a bucket promote a lead of this standing,
 * to the same stage and score whatever part of the bucket's other counts has come,
 * while without them it stays all the bucket?  The activity has all counts of the
 * bucket but these.  True is certain.
 */
bool
leadscore_counts_promote(Scorer *scorer, const ActivityList *activity, const ActivityList *counts,
						 int32 bucket, const LeadStanding *standing, uint8 *stage, int64 *score)
{
	Evaluation *e = leadscore_evaluation_create(scorer);
	LeadStanding promoted = *standing;
	Parts		parts;
	ActivityList with;
	int64		i;
	bool		promote;

	parts_init(&parts, scorer, activity, bucket);
	lead_activity_init(&with, activity->grain, activity->nitems + counts->nitems);
	promote = parts.nparts > 0;
	for (i = 0; i < parts.nparts && promote; i++)
	{
		parts_take(&parts, i);
		leadscore_evaluate(scorer, &parts.activity, bucket, e);
		promote = leadscore_next_stage(scorer, e, standing) == standing->stage;
		if (!promote)
			break;
		lead_activity_merge(&parts.activity, counts, 1, &with);
		leadscore_evaluate(scorer, &with, bucket, e);
		if (i == 0)
		{
			*stage = promoted.stage = leadscore_next_stage(scorer, e, standing);
			*score = e->total;
		}
		promote = promoted.stage > standing->stage && *score == e->total &&
			leadscore_next_stage(scorer, e, standing) == promoted.stage &&
			leadscore_next_stage(scorer, e, &promoted) == promoted.stage;
	}
	leadscore_evaluation_free(e);
	return promote;
}
