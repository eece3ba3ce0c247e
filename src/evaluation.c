/*-------------------------------------------------------------------------
 *
 * evaluation.c
 *		What an evaluation sees of an activity.
 *
 * The items of each signal up to a bucket, and where resets cut them off: what
 * the points of rules (score.c) and their bounds (bounds.c) are computed from.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "score.h"

#include "score_parts.h"

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
		int			index = scorer_signal(scorer, id);
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

/* Find from where on each dimension counts. */
static void
find_resets(const Scorer *scorer, Evaluation *e)
{
	const LeadModel *model = scorer->model;
	const ModelDimension *dimensions = model_dimensions(model);
	int			i;
	int			j;

	for (i = 0; i < model->dimensions.n; i++)
	{
		const int16 *resets = MODEL_ITEMS(model, int16, dimensions[i].resets);

		e->resets[i] = PG_INT32_MIN;
		for (j = 0; j < dimensions[i].resets.n; j++)
		{
			int32		reset = newest_bucket(e, resets[j]);

			e->resets[i] = Max(e->resets[i], reset);
		}
	}
}

/* Find the counts that an activity holds up to a bucket. */
void
leadscore_look_at(const Scorer *scorer, const ActivityList *activity, int32 last, Evaluation *result)
{
	result->activity = activity;
	find_spans(scorer, result, last);
	find_resets(scorer, result);
}

/*
 * See what the evaluation of another model sees, which has the same signals.
 * What result has allocated for that stays with it.
 */
void
leadscore_look_beside(const Scorer *scorer, const Evaluation *other, Evaluation *result)
{
	result->activity = other->activity;
	result->signals = other->signals;
	result->present = other->present;
	result->npresent = other->npresent;
	find_resets(scorer, result);
}

/* Has the signal been counted at least once up to now? */
bool
leadscore_signal_present(const Evaluation *e, int signal)
{
	return e->signals[signal].timeless > 0 ||
		newest_bucket(e, signal) != PG_INT32_MIN;
}
