/*-------------------------------------------------------------------------
 *
 * activity.h
 *		Properties of every lead_activity, however it was read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_FUZZ_ACTIVITY_H
#define LEADSCORE_FUZZ_ACTIVITY_H

#include "../../src/activity.h"
#include "fuzz.h"

static inline bool
same_list(const ActivityList *a, const ActivityList *b)
{
	int			i;

	if (a->grain != b->grain || a->nitems != b->nitems)
		return false;
	for (i = 0; i < a->nitems; i++)
		if (a->items[i].signal != b->items[i].signal ||
			a->items[i].value != b->items[i].value ||
			a->items[i].bucket != b->items[i].bucket ||
			a->items[i].count != b->items[i].count)
			return false;
	return true;
}

/* Sorted, without zeros, all in range; a day is what its date says */
static inline void
check_list(const ActivityList *list)
{
	int			i;

	for (i = 0; i < list->nitems; i++)
	{
		const ActivityItem *item = &list->items[i];

		CHECK(item->count != 0 && item->count != PG_INT64_MIN);
		CHECK(item->signal >= 0 && item->signal <= PG_INT16_MAX);
		CHECK(bucket_is_valid(item->bucket, list->grain));
		CHECK(i == 0 || item[-1].signal < item->signal ||
			  (item[-1].signal == item->signal &&
			   (item[-1].value < item->value ||
				(item[-1].value == item->value && item[-1].bucket < item->bucket))));
		if (item->bucket != BUCKET_TIMELESS)
		{
			int32		day = day_of(item->bucket, list->grain);
			int32		year;
			int32		month;
			int32		mday;

			civil_date(day, &year, &month, &mday);
			CHECK(civil_day(year, month, mday) == day);
			CHECK(bucket_of(bucket_start(item->bucket, list->grain), list->grain) == item->bucket);
		}
	}
}

/* Encoding and formatting lose nothing; the encoding goes to a block of its size */
static inline size_t
check_round_trips(const ActivityList *list, unsigned char **encoded)
{
	unsigned char *room = palloc(lead_activity_encoded_bound(list));
	char	   *text = palloc(lead_activity_formatted_bound(list));
	size_t		len = lead_activity_encode(list, room);
	const char *problem = NULL;
	ActivityList copy;

	CHECK(len <= lead_activity_encoded_bound(list));
	*encoded = palloc(len);
	memcpy(*encoded, room, len);
	lead_activity_init(&copy, GRAIN_DAY, 0);
	CHECK(lead_activity_decode(*encoded, len, &copy));
	CHECK(same_list(list, &copy));

	CHECK(lead_activity_format(list, text) == strlen(text));
	CHECK(strlen(text) < lead_activity_formatted_bound(list));
	CHECK(lead_activity_parse(text, &copy, &problem));
	CHECK(same_list(list, &copy));
	pfree(copy.items);
	pfree(text);
	pfree(room);
	return len;
}

/* a + b is the normalized heap of both, and commutes; a - a is nothing */
static inline void
check_algebra(const ActivityList *a, const ActivityList *b)
{
	ActivityList sum;
	ActivityList other;
	bool		small = true;
	int			i;

	lead_activity_init(&sum, a->grain, 0);
	lead_activity_init(&other, a->grain, 0);
	lead_activity_merge(a, a, -1, &other);
	CHECK(other.nitems == 0);

	lead_activity_merge(a, b, 1, &sum);
	check_list(&sum);
	lead_activity_merge(b, a, 1, &other);
	CHECK(same_list(&sum, &other));

	lead_activity_reserve(&other, a->nitems + b->nitems);
	memcpy(other.items, b->items, b->nitems * sizeof(ActivityItem));
	memcpy(other.items + b->nitems, a->items, a->nitems * sizeof(ActivityItem));
	other.nitems = a->nitems + b->nitems;
	lead_activity_normalize(&other);
	CHECK(same_list(&sum, &other));

	/* one count after the other gives the same */
	lead_activity_merge(a, a, -1, &other);
	for (i = 0; i < a->nitems; i++)
		lead_activity_count(&other, a->items[i].signal, a->items[i].value,
							a->items[i].bucket, a->items[i].count);
	CHECK(same_list(a, &other));
	for (i = 0; i < b->nitems; i++)
		lead_activity_count(&other, b->items[i].signal, b->items[i].value,
							b->items[i].bucket, b->items[i].count);
	CHECK(same_list(&sum, &other));

	/* a group, but where counts stay at the end of their range */
	for (i = 0; i < sum.nitems; i++)
		if (sum.items[i].count == PG_INT64_MAX || sum.items[i].count == -PG_INT64_MAX)
			small = false;
	if (small)
	{
		lead_activity_merge(&sum, b, -1, &other);
		CHECK(same_list(a, &other));
	}
	pfree(sum.items);
	pfree(other.items);
}

#endif							/* LEADSCORE_FUZZ_ACTIVITY_H */
