/*-------------------------------------------------------------------------
 *
 * funnel_match.c
 *		How far a lead got in any small funnel, and its attempts, against a
 *		search of all chains.
 *
 * The first bytes of the input choose the question, each byte after them is
 * an event.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "../../src/funnel_match.h"
#include "fuzz.h"

#define MAX_EVENTS	7
#define MAX_STEPS	4

/* A search: the events in hand, and what was found */
typedef struct Search
{
	FunnelSpec	spec;
	FunnelEvent events[MAX_EVENTS];
	int			nevents;
	int			chain[MAX_STEPS];	/* event of each step, -1: none */
	uint32		used;			/* events in it */

	/* by the first event at the instant that an attempt begins at */
	int			longest[MAX_EVENTS];	/* chain */
	int			counted[MAX_EVENTS];	/* that got to from_step, not void */

	/* of the longest chains those that are complete first, then start last */
	int			best;
	int64		last;
	int64		first;
	int64		times[MAX_STEPS];	/* as early as in any of them */
} Search;

static bool
in_window(const Search *s, int64 start, int64 at)
{
	if (start == PG_INT64_MIN || at == PG_INT64_MAX)
		return at == start;
	return at - start <= s->spec.within;
}

/* Is a chain void that got to from_step? */
static bool
is_void(const Search *s, int length, const int64 *times)
{
	bool		any = s->spec.mode == FUNNEL_ANY;
	int64		from = times[any ? 0 : s->spec.from_step - 1];
	int			i;

	for (i = 0; i < s->nevents; i++)
	{
		int64		at = s->events[i].at;

		if (s->events[i].excluded && at > from &&
			(length < s->spec.to_step ? in_window(s, times[0], at) :
			 at < times[any ? length - 1 : s->spec.to_step - 1]))
			return true;
	}
	return false;
}

/* Weigh a chain of some length with sorted times. */
static void
weigh_chain(Search *s, int length, const int64 *times)
{
	int			attempt = 0;
	int			i;

	if (length == 0 || !in_window(s, times[0], times[length - 1]))
		return;
	if (s->spec.mode == FUNNEL_STRICT)
		for (i = 0; i < s->nevents; i++)
			if (s->events[i].at > times[0] && s->events[i].at < times[length - 1] &&
				(s->used >> i & 1) == 0)
				return;

	while (s->events[attempt].at != times[0])
		attempt++;
	s->longest[attempt] = Max(s->longest[attempt], length);
	if (s->spec.from_step > 0)
	{
		if (length >= s->spec.from_step && !is_void(s, length, times))
			s->counted[attempt] = Max(s->counted[attempt], length);
	}
	else if (length > s->best ||
			 (length == s->best && (times[length - 1] < s->last ||
									(times[length - 1] == s->last && times[0] > s->first))))
	{
		s->best = length;
		s->last = times[length - 1];
		s->first = times[0];
		memcpy(s->times, times, length * sizeof(int64));
	}
	else if (length == s->best && times[length - 1] == s->last && times[0] == s->first)
		for (i = 0; i < length; i++)
			s->times[i] = Min(s->times[i], times[i]);
}

/* Try every event for a step, and all steps after it. */
static void
search_step(Search *s, int step)
{
	int64		times[MAX_STEPS];
	int			length = 0;
	int			i;

	for (i = 0; i < step; i++)
		if (s->chain[i] >= 0)
		{
			int64		at = s->events[s->chain[i]].at;
			int			j = length++;

			/* in any order they came */
			for (; s->spec.mode == FUNNEL_ANY && j > 0 && times[j - 1] > at; j--)
				times[j] = times[j - 1];
			times[j] = at;
		}
	weigh_chain(s, length, times);
	if (step == s->spec.nsteps)
		return;
	for (i = 0; i < s->nevents; i++)
	{
		if ((s->events[i].steps >> step & 1) == 0 || (s->used >> i & 1) != 0)
			continue;
		if (length > 0 && s->spec.mode != FUNNEL_ANY &&
			(s->spec.mode == FUNNEL_INCREASE ? s->events[i].at <= times[length - 1] :
			 s->events[i].at < times[length - 1]))
			continue;
		s->chain[step] = i;
		s->used |= 1 << i;
		search_step(s, step + 1);
		s->used &= ~(1 << i);
		s->chain[step] = -1;
	}
	if (s->spec.mode == FUNNEL_ANY)
		search_step(s, step + 1);
}

/* The level by the definition in funnel_match.h */
static int
search_level(Search *s)
{
	int			level = 0;
	int			i;

	memset(s->chain, -1, sizeof(s->chain));
	search_step(s, 0);
	for (i = 0; i < s->nevents; i++)
		level = Max(level, s->spec.from_step == 0 || s->longest[i] < s->spec.from_step ?
					s->longest[i] : s->counted[i]);
	return level;
}

/*
 * The next attempt after an instant by the definition, in s; its rows are those
 * since its beginning.  False if there is none.
 */
static bool
search_attempt(const Search *all, const int64 *after, FunnelAttempt *attempt)
{
	uint32		opening = all->spec.mode == FUNNEL_ANY ? PG_UINT32_MAX : 1;
	Search		s = {0};
	bool		open = false;
	int64		begin = 0;
	int64		newest = 0;
	int			i;

	for (i = 0; i < all->nevents && !open; i++)
		if ((all->events[i].steps & opening) && (after == NULL || all->events[i].at > *after))
		{
			open = true;
			begin = newest = all->events[i].at;
		}
	if (!open)
		return false;
	s.spec = all->spec;
	for (i = 0; i < all->nevents; i++)
	{
		int64		at = all->events[i].at;

		if (at < begin || !in_window(all, newest, at))
			continue;
		if (all->events[i].steps & opening)
			newest = at;
		s.events[s.nevents++] = all->events[i];
	}
	attempt->level = search_level(&s);
	attempt->end = attempt->level == s.spec.nsteps ? s.last :
		newest == PG_INT64_MIN || newest == PG_INT64_MAX ? newest : newest + s.spec.within;
	return true;
}

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	static const int64 instants[] = {PG_INT64_MIN, 0, 1, 2, 3, 5, 8, PG_INT64_MAX};
	Search		s = {0};
	int64		times[FUNNEL_MAX_STEPS];
	FunnelAttempt *attempts;
	FunnelAttempt attempt;
	int			nattempts;
	int			best = 0;
	int			level;
	int			i;

	if (size < 2)
		return 0;
	s.spec.mode = (FunnelMode) (data[0] & 3);
	s.spec.nsteps = 1 + (data[0] >> 2 & 3);
	s.spec.within = 1 + (data[0] >> 4 & 7);
	s.spec.from_step = s.spec.mode == FUNNEL_ANY ? data[1] & 1 : data[1] & 3;
	s.spec.to_step = s.spec.mode == FUNNEL_ANY ? s.spec.nsteps : s.spec.from_step + 1 + (data[1] >> 2 & 1);
	if (s.spec.from_step == 0 || s.spec.to_step > s.spec.nsteps || s.spec.from_step == s.spec.to_step)
		s.spec.from_step = s.spec.to_step = 0;
	s.nevents = (int) Min(size - 2, MAX_EVENTS);
	for (i = 0; i < s.nevents; i++)
	{
		unsigned char byte = data[2 + i];

		s.events[i].at = instants[byte & 7];
		s.events[i].steps = byte >> 3 & ((1 << s.spec.nsteps) - 1);
		s.events[i].excluded = s.spec.from_step > 0 && byte >> 7;
	}
	leadscore_funnel_sort(s.events, s.nevents);

	level = search_level(&s);
	CHECK(leadscore_funnel_match(&s.spec, s.events, s.nevents, NULL) == level);
	if (s.spec.from_step == 0)
	{
		CHECK(leadscore_funnel_match(&s.spec, s.events, s.nevents, times) == level);
		for (i = 0; i < level; i++)
			CHECK(times[i] == s.times[i]);

		nattempts = leadscore_funnel_attempts(&s.spec, s.events, s.nevents, &attempts);
		for (i = 0; search_attempt(&s, i > 0 ? &attempts[i - 1].end : NULL, &attempt); i++)
		{
			CHECK(i < nattempts);
			CHECK(attempts[i].level == attempt.level && attempts[i].end == attempt.end);
			best = Max(best, attempt.level);
		}
		CHECK(i == nattempts);
		CHECK(best == level);
	}
	fuzz_free_all();
	return 0;
}
