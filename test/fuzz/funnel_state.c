/*-------------------------------------------------------------------------
 *
 * funnel_state.c
 *		Any bytes as a state of the funnel aggregates are refused, or amount to
 *		a level that grows with the events.
 *
 * The first byte says where the input is cut into two states.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "../../src/funnel_match.h"
#include "state.h"

extern Datum leadscore_window_funnel_combinefn(PG_FUNCTION_ARGS);
extern Datum leadscore_window_funnel_finalfn(PG_FUNCTION_ARGS);
extern Datum leadscore_funnel_times_finalfn(PG_FUNCTION_ARGS);
extern Datum leadscore_funnel_attempts_finalfn(PG_FUNCTION_ARGS);
extern Datum leadscore_funnel_attempt_ends_finalfn(PG_FUNCTION_ARGS);

/* Level that a state amounts to; false if it is refused */
static bool
finalize(Datum state, int *level)
{
	Datum		value;

	if (!call(leadscore_window_funnel_finalfn, 1, state, 0, &value))
		return false;
	*level = DatumGetInt32(value);
	CHECK(*level >= 0 && *level <= FUNNEL_MAX_STEPS);
	(void) call(leadscore_funnel_times_finalfn, 1, state, 0, &value);
	(void) call(leadscore_funnel_attempts_finalfn, 1, state, 0, &value);
	(void) call(leadscore_funnel_attempt_ends_finalfn, 1, state, 0, &value);
	return true;
}

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	size_t		cut;
	Datum		a;
	Datum		b;
	Datum		both;
	int			x;
	int			y;
	int			level;

	if (size < 1)
		return 0;
	cut = 1 + data[0] % size;
	a = state_of(data + 1, cut - 1);
	b = state_of(data + cut, size - cut);
	if (finalize(a, &x) && finalize(b, &y) &&
		call(leadscore_window_funnel_combinefn, 2, a, b, &both))
	{
		const unsigned char *question = (unsigned char *) VARDATA(a) + 8;

		CHECK(finalize(both, &level));
		/* more events may be in the way in mode strict and with an exclusion */
		if (question[0] != FUNNEL_STRICT && question[2] == 0)
			CHECK(level >= Max(x, y));
		CHECK(call(leadscore_window_funnel_combinefn, 2, b, a, &both));
		CHECK(finalize(both, &x));
		CHECK(x == level);
	}
	fuzz_free_all();
	return 0;
}
