/*-------------------------------------------------------------------------
 *
 * activity_state.c
 *		Any bytes as a state of the aggregates of lead_activity are refused, or
 *		amount to an activity.
 *
 * The first byte says where the input is cut into two states.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "activity.h"
#include "state.h"

extern Datum lead_activity_combinefn(PG_FUNCTION_ARGS);
extern Datum lead_activity_finalfn(PG_FUNCTION_ARGS);
extern Datum lead_activity_sum_transfn(PG_FUNCTION_ARGS);

/* What a state amounts to; false if it is refused */
static bool
finalize(Datum state, ActivityList *list)
{
	Datum		value;

	lead_activity_init(list, GRAIN_DAY, 0);
	if (!call(lead_activity_finalfn, 1, state, 0, &value))
		return false;
	CHECK(lead_activity_decode((unsigned char *) VARDATA(value),
							   VARSIZE(value) - VARHDRSZ, list));
	check_list(list);
	return true;
}

/* Are all counts far from the ends of their range, where sums stay? */
static bool
is_small(Datum state)
{
	const ActivityItem *item = (ActivityItem *) (VARDATA(state) + 12);
	const ActivityItem *end = item + (VARSIZE(state) - VARHDRSZ - 12) / sizeof(ActivityItem);

	for (; item < end; item++)
		if (item->count > PG_INT32_MAX || item->count < PG_INT32_MIN)
			return false;
	return true;
}

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	size_t		cut;
	Datum		a;
	Datum		b;
	Datum		both;
	Datum		value;
	ActivityList x;
	ActivityList y;
	ActivityList sum;
	ActivityList combined;

	if (size < 1)
		return 0;
	cut = 1 + data[0] % size;
	a = state_of(data + 1, cut - 1);
	b = state_of(data + cut, size - cut);
	if (finalize(a, &x) && finalize(b, &y))
	{
		/* the whole is the sum of the parts, whichever way it came about */
		CHECK(call(lead_activity_combinefn, 2, a, b, &both) == (x.grain == y.grain));
		if (x.grain == y.grain)
		{
			bool		small = is_small(a) && is_small(b);

			lead_activity_init(&sum, x.grain, 0);
			lead_activity_merge(&x, &y, 1, &sum);
			CHECK(finalize(both, &combined));
			CHECK(!small || same_list(&sum, &combined));
			CHECK(call(lead_activity_finalfn, 1, b, 0, &value));
			CHECK(call(lead_activity_sum_transfn, 2, a, value, &both));
			CHECK(finalize(both, &combined));
			CHECK(!small || same_list(&sum, &combined));
		}
	}
	fuzz_free_all();
	return 0;
}
