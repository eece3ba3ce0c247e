/*-------------------------------------------------------------------------
 *
 * funnel_match.c
 *		How far a lead got in a funnel: see funnel_match.h for the definition.
 *
 * The events are read once, in time order, one instant after the other.  The
 * level of a chain is the number of steps that it has done.
 *
 * Within an instant.  Events of one instant may be taken in any order, but each
 * for one step only.  From level a an instant leads to level b if each of the
 * steps a + 1 .. b can be given an event of its own: a bipartite matching.  If
 * a run of steps can be matched, so can every part of it.  Hence one number per
 * start level is enough, the furthest level that can be reached: these numbers
 * are the "runs" of the instant.  Most instants have one event, and then the
 * bits of its steps say the same.
 *
 * Between instants.  All that matters of a chain is its level and when it
 * started.  Take two chains of one level: an event that continues the chain that
 * started earlier also continues the one that started later, and that one has
 * more of its window left.  Hence only the latest start of each level is kept.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funnel_match.h"

#include "miscadmin.h"
#include "port/pg_bitutils.h"

/* What happened at one instant */
typedef struct Instant
{
	int64		at;
	const uint8 *runs;			/* furthest level from every level; NULL:
								 * steps says it, one level up */
	uint32		steps;			/* satisfied by some event */
	uint8		nevents;		/* more than FUNNEL_MAX_STEPS count as one
								 * more */
	bool		excluded;		/* there is an excluded event */
} Instant;

/* Latest start of a chain by its length, as the index of an instant, or -1 */
typedef int32 Starts[FUNNEL_MAX_STEPS + 1];

/* By time */
static inline int
compare_events(const FunnelEvent *a, const FunnelEvent *b)
{
	return a->at < b->at ? -1 : (a->at > b->at ? 1 : 0);
}

#define ST_SORT sort_events
#define ST_ELEMENT_TYPE FunnelEvent
#define ST_COMPARE(a, b) compare_events(a, b)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* Sort events by time. */
void
leadscore_funnel_sort(FunnelEvent *events, int32 nevents)
{
	sort_events(events, nevents);
}

/* Room for so many items: more than 1 GB of events may be in one group */
static void *
allocate(int64 number, Size size)
{
	return MemoryContextAllocHuge(CurrentMemoryContext, number * size);
}

/* Is an instant, not before start, in the window that opens there? */
static inline bool
in_window(const FunnelSpec *spec, int64 start, int64 at)
{
	/* nothing but itself is near infinity */
	if (start == PG_INT64_MIN || at == PG_INT64_MAX)
		return start == at;
	return (uint64) at - (uint64) start <= (uint64) spec->within;
}

/*
 * The events of an instant and the steps they are given to.  There are at
 * most 32 steps to fill, so 32 events that satisfy a step are as good as all.
 */
typedef struct Matching
{
	int			nevents;
	int			ncandidates[FUNNEL_MAX_STEPS];	/* of a step */
	uint16		candidates[FUNNEL_MAX_STEPS][FUNNEL_MAX_STEPS];
	int8		step_of[FUNNEL_MAX_STEPS * FUNNEL_MAX_STEPS];	/* -1: free */
} Matching;

/* the analyzer cannot see that what is counted in ncandidates was set */
/* NOLINTBEGIN(clang-analyzer-core.uninitialized.*) */

/* Find an event for a step; others may have to take another event for it. */
static bool
match_step(Matching *m, int step, uint32 *visited)
{
	int			i;

	*visited |= (uint32) 1 << step;
	for (i = 0; i < m->ncandidates[step]; i++)
	{
		int			event = m->candidates[step][i];

		if (m->step_of[event] < 0)
		{
			m->step_of[event] = (int8) step;
			return true;
		}
	}
	for (i = 0; i < m->ncandidates[step]; i++)
	{
		int			event = m->candidates[step][i];
		int			other = m->step_of[event];

		if ((*visited >> other & 1) == 0 && match_step(m, other, visited))
		{
			m->step_of[event] = (int8) step;
			return true;
		}
	}
	return false;
}

/*
 * Compute runs[a], the furthest level from level a, for the events of one
 * instant.  The matching of the steps a + 1 .. b grows at b while it can, then
 * gives up its first step.
 */
static void
compute_runs(int nsteps, const FunnelEvent *events, int32 nevents, uint8 *runs)
{
	Matching	m;
	uint32		wanting = PG_UINT32_MAX >> (32 - nsteps);	/* room for candidates */
	int32		i;
	int			a;
	int			b = 0;

	m.nevents = 0;
	memset(m.ncandidates, 0, sizeof(m.ncandidates));
	for (i = 0; i < nevents && wanting != 0; i++)
	{
		uint32		steps = events[i].steps & wanting;

		if (steps == 0)
			continue;
		m.step_of[m.nevents] = -1;
		do
		{
			int			step = pg_rightmost_one_pos32(steps);

			steps &= steps - 1;
			m.candidates[step][m.ncandidates[step]++] = (uint16) m.nevents;
			if (m.ncandidates[step] == nsteps)
				wanting &= ~((uint32) 1 << step);
		} while (steps != 0);
		m.nevents++;
	}

	for (a = 0; a < nsteps; a++)
	{
		uint32		visited = 0;

		b = Max(b, a);
		while (b < nsteps && match_step(&m, b, &visited))
		{
			b++;
			visited = 0;
		}
		runs[a] = (uint8) b;
		for (i = 0; i < m.ncandidates[a]; i++)
			if (m.step_of[m.candidates[a][i]] == a)
				m.step_of[m.candidates[a][i]] = -1;
	}
}

/* NOLINTEND(clang-analyzer-core.uninitialized.*) */

/* Put sorted events together by instant; returns the number of instants. */
static int32
make_instants(const FunnelSpec *spec, const FunnelEvent *events, int32 nevents,
			  Instant *instants)
{
	int32		ninstants = 0;
	int32		i = 0;

	while (i < nevents)
	{
		Instant    *instant = &instants[ninstants++];
		int32		first = i;
		int32		count = 0;
		uint32		steps = 0;
		bool		excluded = false;

		CHECK_FOR_INTERRUPTS();
		do
		{
			steps |= events[i].steps;
			excluded |= events[i].excluded;
			/* an event that satisfies nothing matters in strict mode only */
			count += events[i].steps != 0 || spec->mode == FUNNEL_STRICT;
			i++;
		} while (i < nevents && events[i].at == events[first].at);
		instant->at = events[first].at;
		instant->runs = NULL;
		instant->steps = steps;
		instant->nevents = (uint8) Min(count, FUNNEL_MAX_STEPS + 1);
		instant->excluded = excluded;
		if (count > 1 && spec->mode != FUNNEL_INCREASE)
		{
			uint8	   *runs = allocate(spec->nsteps, 1);

			compute_runs(spec->nsteps, events + first, i - first, runs);
			instant->runs = runs;
		}
	}
	return ninstants;
}

/* The furthest level that an instant leads to */
static inline int
furthest(const FunnelSpec *spec, const Instant *instant, int level)
{
	if (level == spec->nsteps)
		return level;
	if (instant->runs)
		return instant->runs[level];
	return level + (instant->steps >> level & 1);
}

/*
 * Continue chains by the events of an instant.  starts[0] is where a new chain
 * starts: the instant itself, or -1 if none may start.  From the top down, as
 * no event may serve twice.
 */
static inline void
advance(const FunnelSpec *spec, const Instant *instant, int32 *starts)
{
	int			a;
	int			b;

	if (instant->runs == NULL)
	{
		uint32		steps = instant->steps;

		while (steps != 0)
		{
			a = pg_leftmost_one_pos32(steps);
			steps ^= (uint32) 1 << a;
			starts[a + 1] = Max(starts[a + 1], starts[a]);
		}
		return;
	}
	for (b = spec->nsteps; b > 0; b--)
		for (a = b - 1; a >= 0 && instant->runs[a] >= b; a--)
			starts[b] = Max(starts[b], starts[a]);
}

/*
 * Highest level above the one given, and not below lowest, that has a chain in
 * the window that holds the instant i; else the level given.
 */
static inline int
raise_level(const FunnelSpec *spec, const Instant *instants, int32 i,
			const int32 *starts, int lowest, int level)
{
	int			k;

	for (k = spec->nsteps; k > level && k >= lowest; k--)
		if (starts[k] >= 0 &&
			in_window(spec, instants[starts[k]].at, instants[i].at))
			return k;
	return level;
}

/*
 * Modes ordered and increase.  The chain reported is, of the longest, the one
 * that is complete first, of those the one that started last, and every step
 * between as early as it can be: from a given start, to do as much as one can
 * at every instant is earliest for all steps at once.
 */
static int
match_ordered(const FunnelSpec *spec, const Instant *instants, int32 ninstants,
			  int64 *times)
{
	Starts		starts;
	int32		first = 0;
	int32		i;
	int			level = 0;
	int			done;

	memset(starts, -1, sizeof(starts));
	for (i = 0; i < ninstants && level < spec->nsteps; i++)
	{
		bool		raised = false;

		starts[0] = i;
		advance(spec, &instants[i], starts);
		/* a part of a chain is a chain, so levels are reached one by one */
		while (level < spec->nsteps && starts[level + 1] >= 0 &&
			   in_window(spec, instants[starts[level + 1]].at, instants[i].at))
		{
			level++;
			raised = true;
		}
		if (raised)
			first = starts[level];
	}
	if (times)
		for (i = first, done = 0; done < level; i++)
		{
			int			next = furthest(spec, &instants[i], done);

			while (done < Min(next, level))
				times[done++] = instants[i].at;
		}
	return level;
}

/* For every instant the next one with an excluded event, or ninstants */
static int32 *
next_exclusions(const Instant *instants, int32 ninstants)
{
	int32	   *next = allocate(ninstants, sizeof(int32));
	int32		after = ninstants;
	int32		i;

	for (i = ninstants - 1; i >= 0; i--)
	{
		next[i] = after;
		if (instants[i].excluded)
			after = i;
	}
	return next;
}

/*
 * Modes ordered and increase with an exclusion.  Let attempts be known by
 * their start.  Three kinds of chains count:
 *
 * - chains that got to to_step: valid[] keeps the latest start as ever, but at
 *   an excluded event chains between from_step and to_step end, unless they got
 *   to from_step at that very instant;
 *
 * - chains that got to from_step after the last excluded event of their window:
 *   late[] keeps their latest start.  Between two excluded events only starts
 *   whose window ends before the next one may be used.  Had chains of
 *   the levels below from_step a later start, they can be had with an earlier
 *   one too: replace the first event.
 *
 * - those of attempts that never got to from_step, if nothing better is found:
 *   by the same argument attempts get to a level in the order of their starts,
 *   so one pointer tells which ones did in time.
 */
static int
match_except(const FunnelSpec *spec, const Instant *instants, int32 ninstants)
{
	Starts		whole;			/* exclusions left aside */
	Starts		valid;
	Starts		late;
	bool	   *arrives = allocate(ninstants, sizeof(bool));
	int32	   *next = next_exclusions(instants, ninstants);
	int32		marked = 0;		/* arrives[] is known up to here */
	int32		last = -1;		/* windows from here on meet the next
								 * exclusion */
	int32		last_start = -1;	/* last start up to there */
	int32		i;
	int			level = 0;
	int			from = spec->from_step;
	int			to = spec->to_step;
	int			a;

	memset(whole, -1, sizeof(whole));
	memset(valid, -1, sizeof(valid));
	memset(late, -1, sizeof(late));

	for (i = 0; i < ninstants && level < spec->nsteps; i++)
	{
		const Instant *instant = &instants[i];

		/* from_step done, no exclusion after it in the window */
		while (last < i &&
			   (next[i] == ninstants ||
				!in_window(spec, instants[last + 1].at, instants[next[i]].at)))
		{
			last++;
			if (instants[last].steps & 1)
				last_start = last;
		}
		if (instant->excluded)
			for (a = from; a <= spec->nsteps; a++)
				late[a] = -1;
		late[0] = i <= last ? i : -1;
		for (a = 1; a < from; a++)
			late[a] = whole[a] <= last ? whole[a] : last_start;
		advance(spec, instant, late);
		level = raise_level(spec, instants, i, late, from, level);

		/* to_step done, no exclusion between */
		valid[0] = i;
		if (instant->excluded)
		{
			Starts		fresh;

			memcpy(fresh, valid, sizeof(valid));
			for (a = from; a < to; a++)
				fresh[a] = -1;
			advance(spec, instant, fresh);
			advance(spec, instant, valid);
			for (a = from; a < to; a++)
				valid[a] = fresh[a];
		}
		else
			advance(spec, instant, valid);
		level = raise_level(spec, instants, i, valid, to, level);

		/* which attempts got to from_step */
		whole[0] = i;
		advance(spec, instant, whole);
		Assert(whole[from] <= i);
		for (; marked <= whole[from]; marked++)
			arrives[marked] = in_window(spec, instants[marked].at, instant->at);
	}
	if (level > 0)
		return level;

	for (; marked < ninstants; marked++)
		arrives[marked] = false;
	memset(whole, -1, sizeof(whole));
	for (i = 0; i < ninstants; i++)
	{
		whole[0] = arrives[i] ? -1 : i;
		advance(spec, &instants[i], whole);
		level = raise_level(spec, instants, i, whole, 1, level);
	}
	return level;
}

/* Is a chain of mode strict void?  from and to are instants, or -1. */
static inline bool
strict_void(const FunnelSpec *spec, const Instant *instants, int32 ninstants,
			const int32 *next, int32 start, int32 from, int32 to)
{
	int32		excluded;

	if (from < 0)
		return false;
	excluded = next[from];
	if (excluded == ninstants)
		return false;
	if (to >= 0)
		return excluded < to;
	return in_window(spec, instants[start].at, instants[excluded].at);
}

/*
 * Mode strict.  A chain takes some events of its first instant, all events of
 * those between, some of its last.  So it is told by its start and the number
 * of events it takes there, and there is nothing to choose but where to stop.
 * It holds at most 32 events, so following them all costs no more than a
 * constant for each start.
 *
 * Chains are preferred as in match_ordered(): longest, complete first, started
 * last, most events of the first instant.
 */
static int
match_strict(const FunnelSpec *spec, const Instant *instants, int32 ninstants,
			 int64 *times)
{
	int32	   *next = NULL;
	int32		best_start = 0;
	int32		best_end = 0;
	int			best_taken = 0;
	int			level = 0;
	int32		start;

	if (spec->from_step > 0)
		next = next_exclusions(instants, ninstants);

	for (start = 0; start < ninstants; start++)
	{
		int			most = furthest(spec, &instants[start], 0);
		int			reached = 0;
		int			counted = 0;	/* not void, with from_step */
		int			taken;

		CHECK_FOR_INTERRUPTS();
		for (taken = most; taken > 0; taken--)
		{
			int32		from = -1;
			int32		to = -1;
			int32		i = start;
			int			done = 0;
			int			far = taken;

			for (;;)
			{
				int			k;

				/* the chains that end here have done + 1 .. far steps */
				reached = Max(reached, far);
				if (spec->from_step == 0)
				{
					if (far > level ||
						(far == level && far > done &&
						 (i < best_end || (i == best_end && start > best_start))))
					{
						level = far;
						best_start = start;
						best_end = i;
						best_taken = taken;
					}
				}
				else
					for (k = far; k > Max(done, counted) && k >= spec->from_step; k--)
						if (!strict_void(spec, instants, ninstants, next, start,
										 done >= spec->from_step ? from : i,
										 k < spec->to_step ? -1 :
										 done >= spec->to_step ? to : i))
							counted = k;

				/* to go on it must have taken all there is, but at its start */
				if (i > start && far - done < instants[i].nevents)
					break;
				if (done < spec->from_step && far >= spec->from_step)
					from = i;
				if (done < spec->to_step && far >= spec->to_step)
					to = i;
				done = far;
				i++;
				if (i == ninstants || done == spec->nsteps ||
					!in_window(spec, instants[start].at, instants[i].at))
					break;
				far = furthest(spec, &instants[i], done);
			}
		}
		if (spec->from_step > 0)
			level = Max(level, reached < spec->from_step ? reached : counted);
	}

	if (times && level > 0)
	{
		int			done = 0;
		int			far = best_taken;
		int32		i = best_start;

		for (;;)
		{
			while (done < far)
				times[done++] = instants[i].at;
			if (done == level)
				break;
			i++;
			far = Min(level, furthest(spec, &instants[i], done));
		}
	}
	return level;
}

/*
 * Events given to distinct steps, for mode any.  Sets of events that can be
 * given to distinct steps are the independent sets of a matroid, so taking
 * every event that fits, and letting go of the oldest that makes room for a
 * newer one, keeps the newest possible set: for every instant s, as many of
 * its events lie at s or later as can be matched of all events since s.
 */
typedef struct Holding
{
	uint32		used;			/* steps that have an event */
	const FunnelEvent *event[FUNNEL_MAX_STEPS];
} Holding;

/*
 * Take an event.  If there is no room and exchange is set, it takes the place
 * of the oldest that it can replace.  Returns whether the set grew.
 */
static bool
hold(Holding *h, const FunnelEvent *event, bool exchange)
{
	uint32		visited = event->steps;
	uint32		waiting = visited;
	int8		parent[FUNNEL_MAX_STEPS];	/* step whose event moves here */
	int			step = -1;
	uint32		steps;
	bool		grew = true;

	for (steps = event->steps; steps != 0; steps &= steps - 1)
		parent[pg_rightmost_one_pos32(steps)] = -1;
	while (waiting != 0)
	{
		uint32		more;
		int			at;

		if (waiting & ~h->used)
		{
			step = pg_rightmost_one_pos32(waiting & ~h->used);
			break;
		}
		at = pg_rightmost_one_pos32(waiting);
		waiting &= waiting - 1;
		more = h->event[at]->steps & ~visited;
		visited |= more;
		waiting |= more;
		for (; more != 0; more &= more - 1)
			parent[pg_rightmost_one_pos32(more)] = (int8) at;
	}
	if (step < 0)
	{
		grew = false;
		if (!exchange || visited == 0)
			return false;
		for (steps = visited; steps != 0; steps &= steps - 1)
		{
			int			at = pg_rightmost_one_pos32(steps);

			if (step < 0 || h->event[at]->at < h->event[step]->at)
				step = at;
		}
	}
	h->used |= (uint32) 1 << step;
	for (; parent[step] >= 0; step = parent[step])
		h->event[step] = h->event[parent[step]];
	h->event[step] = event;
	return grew;
}

/* Number of events held that are not before an instant */
static int
held_since(const Holding *h, int64 at)
{
	uint32		steps;
	int			count = 0;

	for (steps = h->used; steps != 0; steps &= steps - 1)
		count += h->event[pg_rightmost_one_pos32(steps)]->at >= at;
	return count;
}

/* Mode any.  The chain reported is chosen as in match_ordered(). */
static int
match_any(const FunnelSpec *spec, const FunnelEvent *events, int32 nevents,
		  int64 *times)
{
	Holding		h;
	int64		first = 0;
	int64		last = 0;
	int32		i = 0;
	int			level = 0;

	h.used = 0;
	while (i < nevents && level < spec->nsteps)
	{
		int64		at = events[i].at;
		int64		oldest = at;
		uint32		steps;
		int			count = 0;

		CHECK_FOR_INTERRUPTS();
		for (; i < nevents && events[i].at == at; i++)
			hold(&h, &events[i], true);
		for (steps = h.used; steps != 0; steps &= steps - 1)
		{
			const FunnelEvent *event = h.event[pg_rightmost_one_pos32(steps)];

			if (in_window(spec, event->at, at))
			{
				count++;
				oldest = Min(oldest, event->at);
			}
		}
		if (count > level)
		{
			level = count;
			first = oldest;
			last = at;
		}
	}
	if (times && level > 0)
	{
		int			done = 0;

		h.used = 0;
		for (i = 0; i < nevents && events[i].at <= last; i++)
			if (events[i].at >= first && hold(&h, &events[i], false))
				times[done++] = events[i].at;
	}
	return level;
}

/*
 * Mode any with an exclusion from the first to the last step: an attempt
 * counts if it did all steps before the next excluded event, or if its window
 * has none.
 */
static int
match_any_except(const FunnelSpec *spec, const FunnelEvent *events, int32 nevents)
{
	Holding		h;
	int32		i = 0;
	int32		start = 0;		/* windows from here on are still open */
	int32		next = 0;		/* excluded event after start */
	int32		before = -1;	/* last excluded event before i */
	int			level = 0;

	h.used = 0;
	for (;;)
	{
		int64		at;
		int64		since;
		int32		first = i;

		CHECK_FOR_INTERRUPTS();
		/* windows that end before this instant */
		for (; start < i && (i == nevents || !in_window(spec, events[start].at, events[i].at)); start++)
		{
			while (next < nevents &&
				   (!events[next].excluded || events[next].at <= events[start].at))
				next++;
			if (events[start].steps != 0 &&
				(next == nevents || !in_window(spec, events[start].at, events[next].at)))
				level = Max(level, held_since(&h, events[start].at));
		}
		if (i == nevents || level == spec->nsteps)
			return level;

		at = events[i].at;
		for (; i < nevents && events[i].at == at; i++)
			hold(&h, &events[i], true);
		/* start is the first event in the window that ends here */
		since = events[start].at;
		if (before >= 0)
			since = Max(since, events[before].at);
		if (held_since(&h, since) == spec->nsteps)
			return spec->nsteps;
		for (; first < i; first++)
			if (events[first].excluded)
				before = first;
	}
}

/*
 * How far a lead got: see funnel_match.h.  Events are sorted by time, and
 * satisfy no steps but those of the funnel; those that satisfy nothing and are
 * not excluded matter in mode strict only.  If times is not NULL, the times of
 * the chain are put there (not with an exclusion): of the longest chains the
 * one that is complete first, of those the one that started last, every step
 * between as early as it can be.
 */
int
leadscore_funnel_match(const FunnelSpec *spec, const FunnelEvent *events,
					   int32 nevents, int64 *times)
{
	Instant		few[32];
	Instant    *instants = few;
	int32		ninstants;

	Assert(times == NULL || spec->from_step == 0);

	if (nevents == 0)
		return 0;
	if (spec->mode == FUNNEL_ANY)
	{
		if (spec->from_step > 0)
			return match_any_except(spec, events, nevents);
		return match_any(spec, events, nevents, times);
	}

	if (nevents > (int32) lengthof(few))
		instants = allocate(nevents, sizeof(Instant));
	ninstants = make_instants(spec, events, nevents, instants);
	if (spec->mode == FUNNEL_STRICT)
		return match_strict(spec, instants, ninstants, times);
	if (spec->from_step > 0)
		return match_except(spec, instants, ninstants);
	return match_ordered(spec, instants, ninstants, times);
}

/* The end of the window that opens at an instant; infinity if it is too far */
static int64
window_end(const FunnelSpec *spec, int64 start)
{
	if (start == PG_INT64_MIN || start == PG_INT64_MAX)
		return start;
	if (start > PG_INT64_MAX - spec->within)
		return PG_INT64_MAX;
	return start + spec->within;
}

/*
 * The attempts of a lead in the order of time: see funnel_match.h.  Events are
 * as for leadscore_funnel_match(), without an exclusion.  Returns their number.
 *
 * The events of an attempt that are complete soon may be followed by many more,
 * as long as windows stay open.  So they are looked at in parts that double:
 * what is looked at is at most three times what the attempt takes, or little.
 */
int32
leadscore_funnel_attempts(const FunnelSpec *spec, const FunnelEvent *events,
						  int32 nevents, FunnelAttempt **attempts)
{
	uint32		opening = spec->mode == FUNNEL_ANY ? PG_UINT32_MAX : 1;
	int32		count = 0;
	int32		first = 0;

	Assert(spec->from_step == 0);

	*attempts = allocate(Max(nevents, 1), sizeof(FunnelAttempt));
	for (;;)
	{
		int64		times[FUNNEL_MAX_STEPS] = {0};
		int64		newest;
		int64		part = 16;
		int32		end;
		bool		over = false;
		int			level;

		while (first < nevents && (events[first].steps & opening) == 0)
			first++;
		if (first == nevents)
			return count;
		/* all of its instant, which may be taken in any order */
		while (first > 0 && events[first - 1].at == events[first].at)
			first--;

		newest = events[first].at;
		end = first;
		for (;;)
		{
			/* whole instants */
			while (end < nevents &&
				   (end - first < part || events[end].at == events[end - 1].at))
			{
				if (!in_window(spec, newest, events[end].at))
				{
					over = true;
					break;
				}
				if (events[end].steps & opening)
					newest = events[end].at;
				end++;
			}
			level = leadscore_funnel_match(spec, events + first, end - first, times);
			if (level == spec->nsteps || over || end == nevents)
				break;
			part *= 2;
		}
		(*attempts)[count].level = level;
		if (level == spec->nsteps)
		{
			int64		complete = times[level - 1];

			(*attempts)[count].end = complete;
			while (first < nevents && events[first].at <= complete)
				first++;
		}
		else
		{
			(*attempts)[count].end = window_end(spec, newest);
			first = end;
		}
		count++;
	}
}
