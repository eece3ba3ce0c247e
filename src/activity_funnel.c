/*-------------------------------------------------------------------------
 *
 * activity_funnel.c
 *		activity_funnel(): a funnel of signals, from the counts of a lead.
 *
 * An activity says on which days, or in which hours, a signal was counted.  That
 * is all that a funnel asks if its instants are cut to buckets.  So no event is
 * read, and a lead is one row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/memutils.h"

#include "leadscore.h"
#include "funnel.h"

PG_FUNCTION_INFO_V1(leadscore_activity_funnel);

/* What is asked, and room to work in, kept at the call site */
typedef struct ActivityFunnel
{
	Interval	within;
	FunnelSpec	spec;
	bool		repeats;		/* a signal is more than one step */
	int32		signals[FUNNEL_MAX_STEPS];
	ActivityList activity;
	int			room;
	struct ChainEnd *ends[2];
} ActivityFunnel;

/* Chains of one length: where they end, and the latest that they can start */
typedef struct ChainEnd
{
	int32		end;
	int32		start;
} ChainEnd;

/* Read the signals, if they are others than before. */
static void
read_signals(ActivityFunnel *funnel, const ArrayType *signals, int nsteps)
{
	const int32 *value = (const int32 *) ARR_DATA_PTR(signals);
	int			i;
	int			j;

	if (ARR_HASNULL(signals) && array_contains_nulls(unconstify(ArrayType *, signals)))
		leadscore_funnel_null("a signal", "Look up signal_id in the table signal; a name that is not there gives NULL.");
	if (nsteps == funnel->spec.nsteps && memcmp(value, funnel->signals, nsteps * sizeof(int32)) == 0)
		return;
	funnel->spec.nsteps = nsteps;
	memcpy(funnel->signals, value, nsteps * sizeof(int32));
	funnel->repeats = false;
	for (i = 0; i < nsteps; i++)
		for (j = 0; j < i; j++)
			funnel->repeats |= value[i] == value[j];
}

/* The question of a call, with the room of its call site */
static ActivityFunnel *
read_call(FunctionCallInfo fcinfo)
{
	ActivityFunnel *funnel = fcinfo->flinfo->fn_extra;
	const Interval *within = PG_GETARG_INTERVAL_P(1);
	const ArrayType *signals = PG_GETARG_ARRAYTYPE_P(2);
	int			nsteps;

	if (funnel == NULL)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);

		funnel = palloc0(sizeof(ActivityFunnel));
		lead_activity_init(&funnel->activity, GRAIN_DAY, 64);
		funnel->spec.mode = FUNNEL_ORDERED;
		MemoryContextSwitchTo(oldcontext);
		fcinfo->flinfo->fn_extra = funnel;
	}
	if (funnel->spec.within == 0 || within->time != funnel->within.time ||
		within->day != funnel->within.day || within->month != funnel->within.month)
	{
		funnel->spec.within = 0;	/* not to be used if there is an error now */
		funnel->spec.within = leadscore_funnel_within(within);
		funnel->within = *within;
	}
	nsteps = leadscore_funnel_steps(signals, "signals in an array");
	read_signals(funnel, signals, nsteps);
	return funnel;
}

/*
 * The items of a signal, from *first to *end.  False if they are not in the order
 * of time because the signal has values.
 */
static inline bool
find_signal(const ActivityList *activity, int32 signal, int *first, int *end)
{
	const ActivityItem *items = activity->items;
	int			i = 0;

	while (i < activity->nitems && items[i].signal < signal)
		i++;
	*first = i;
	while (i < activity->nitems && items[i].signal == signal)
		i++;
	*end = i;
	return i == *first || items[i - 1].value == 0;
}

/* Is an item the count of an event that has a time? */
static inline bool
is_event(const ActivityItem *item)
{
	return item->bucket != BUCKET_TIMELESS && item->count > 0;
}

/*
 * Steps that are different signals.  A chain of k + 1 steps that ends in a bucket
 * continues one of k that ends there or before, of these the one that started
 * last: it has most of its window left.  What ends later never started earlier
 * if the best is taken, so one pass along both lists does.  -1 if a signal has
 * values.
 */
static int
match_signals(ActivityFunnel *funnel)
{
	const ActivityList *activity = &funnel->activity;
	const ActivityItem *items = activity->items;
	int64		width = bucket_start(1, activity->grain);
	int64		buckets = funnel->spec.within / width;
	int			nends = 0;
	int			level;

	for (level = 0; level < funnel->spec.nsteps; level++)
	{
		const ChainEnd *before = funnel->ends[(level + 1) % 2];
		ChainEnd   *ends = funnel->ends[level % 2];
		int			nbefore = nends;
		int			first;
		int			end;
		int			i;
		int			b = 0;

		if (!find_signal(activity, funnel->signals[level], &first, &end))
			return -1;
		nends = 0;
		for (i = first; i < end; i++)
		{
			int32		bucket = items[i].bucket;

			if (!is_event(&items[i]))
				continue;
			if (level == 0)
			{
				ends[nends++] = (ChainEnd)
				{
					bucket, bucket
				};
				continue;
			}
			while (b < nbefore && before[b].end <= bucket)
				b++;
			if (b > 0 && (int64) bucket - before[b - 1].start <= buckets)
				ends[nends++] = (ChainEnd)
			{
				bucket, before[b - 1].start
			};
		}
		if (nends == 0)
			break;
	}
	return level;
}

/*
 * Any steps: the counts become events, for the algorithm of window_funnel.  More
 * events of a signal in one bucket than there are steps change nothing.
 */
static int
match_events(const ActivityFunnel *funnel)
{
	const ActivityList *activity = &funnel->activity;
	int			nsteps = Min(funnel->spec.nsteps, FUNNEL_MAX_STEPS);	/* for the compiler */
	FunnelEvent *events = MemoryContextAllocHuge(CurrentMemoryContext,
												 ((Size) activity->nitems * nsteps + 1) * sizeof(FunnelEvent));
	int64		nevents = 0;
	int			i;

	for (i = 0; i < activity->nitems; i++)
	{
		const ActivityItem *item = &activity->items[i];
		uint32		steps = 0;
		int64		n;
		int			step;

		if (!is_event(item))
			continue;
		for (step = 0; step < nsteps; step++)
			steps |= (uint32) (funnel->signals[step] == item->signal) << step;
		if (steps == 0)
			continue;
		for (n = Min(item->count, nsteps); n > 0; n--)
			events[nevents++] = (FunnelEvent)
		{
			bucket_start(item->bucket, activity->grain), steps, false
		};
	}
	if (nevents > PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a funnel cannot have more than %d events of a lead", PG_INT32_MAX)));
	leadscore_funnel_sort(events, (int32) nevents);
	return leadscore_funnel_match(&funnel->spec, events, (int32) nevents, NULL);
}

/*
 * activity_funnel(activity, within, signals): the level; NULL if there is no
 * activity
 */
Datum
leadscore_activity_funnel(PG_FUNCTION_ARGS)
{
	ActivityFunnel *funnel;
	LeadActivity *activity;
	int			level = -1;

	if (PG_ARGISNULL(1))
		leadscore_funnel_null("within", "Pass an interval such as '14 days'.");
	if (PG_ARGISNULL(2))
		leadscore_funnel_null("signals", "Pass the signal_id of each step in an array.");
	funnel = read_call(fcinfo);
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	activity = PG_GETARG_LEAD_ACTIVITY_PP(0);
	leadscore_activity_decode(activity, &funnel->activity);
	PG_FREE_IF_COPY(activity, 0);
	if (!funnel->repeats)
	{
		if (funnel->room < funnel->activity.nitems)
		{
			int			i;

			funnel->room = 0;
			for (i = 0; i < 2; i++)
			{
				if (funnel->ends[i])
					pfree(funnel->ends[i]);
				funnel->ends[i] = NULL;
				funnel->ends[i] = MemoryContextAllocHuge(fcinfo->flinfo->fn_mcxt,
														 funnel->activity.capacity * sizeof(ChainEnd));
			}
			funnel->room = funnel->activity.capacity;
		}
		level = match_signals(funnel);
	}
	if (level < 0)
		level = match_events(funnel);
	PG_RETURN_INT32(level);
}
