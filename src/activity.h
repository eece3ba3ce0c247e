/*-------------------------------------------------------------------------
 *
 * activity.h
 *		lead_activity: a multiset of (signal, value, bucket), as counts.
 *
 * Most signals have no values: an event counts, and no more.  A signal with
 * distinct_on counts each value of a path apart, such as each page, so that
 * rules can count different values (evaluation.c).  The activity holds 64 bits of a
 * hash of the value (classify.c), never the value; 0 is no value.
 *
 * On disk a lead_activity is a varlena of
 *
 *		byte 0	format version (high nibble) and grain (low nibble)
 *		then for every signal, ascending:
 *				varint	signal - previous signal - 1 (previous is -1 at first)
 *				varint	dated buckets * 2 + (1 if a timeless count follows)
 *				zigzag	the timeless count, if there is one
 *				zigzag	first bucket - first bucket of the signal before (0 at first)
 *				zigzag	its count
 *				then for every further bucket, ascending:
 *				varint	bucket - previous bucket - 1
 *				zigzag	its count
 *
 * Dated buckets * 2 + the timeless one are never 0.  Where 0 stands there, the
 * signal has values, and there follow
 *
 *				varint	number of values
 *				then for every value, ascending:
 *				8 bytes	the value, the most significant first
 *				and from the number of buckets on as above
 *
 * Hashes do not grow shorter by a varint, so values have a fixed width.  A
 * signal has no such list of values if its only one is 0.
 *
 * Varints have seven bits a byte, least significant first, and no needless
 * byte.  No count is zero.  So there is exactly one encoding of a multiset,
 * and equality is byte equality.
 *
 * In memory it is a list of items sorted by (signal, value, bucket); the
 * timeless bucket sorts first.  All values of a signal are one range of it.
 * This header and activity.c need no catalog, no SPI and
 * no fmgr, so that they can be read and fuzzed alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_ACTIVITY_H
#define LEADSCORE_ACTIVITY_H

#include "calendar.h"

#define ACTIVITY_FORMAT		1

typedef struct ActivityItem
{
	int32		bucket;
	int32		signal;
	uint64		value;			/* hash of a distinct value, 0: none */
	int64		count;
} ActivityItem;

typedef struct ActivityList
{
	LeadGrain	grain;
	int			nitems;
	int			capacity;
	ActivityItem *items;
} ActivityList;

/* The end of the items of the signal whose range begins at one of them */
static inline int
lead_activity_signal_end(const ActivityList *list, int first)
{
	int			end = first + 1;

	while (end < list->nitems && list->items[end].signal == list->items[first].signal)
		end++;
	return end;
}

extern const char *lead_activity_grain_name(LeadGrain grain);
extern void lead_activity_init(ActivityList *list, LeadGrain grain, int capacity);
extern void lead_activity_reserve(ActivityList *list, int nitems);
extern bool lead_activity_decode(const unsigned char *data, size_t len,
								 ActivityList *list);
extern size_t lead_activity_encoded_bound(const ActivityList *list);
extern size_t lead_activity_encode(const ActivityList *list, unsigned char *out);
extern bool lead_activity_parse(const char *text, ActivityList *list,
								const char **problem);
extern size_t lead_activity_formatted_bound(const ActivityList *list);
extern size_t lead_activity_format(const ActivityList *list, char *out);
extern void lead_activity_copy(const ActivityList *from, ActivityList *to);
extern bool lead_activity_equal(const ActivityList *a, const ActivityList *b);
extern void lead_activity_append(ActivityList *list, int32 signal, uint64 value,
								 int32 bucket, int64 count);
extern void lead_activity_normalize(ActivityList *list);
extern void lead_activity_count(ActivityList *list, int32 signal, uint64 value,
								int32 bucket, int64 count);
extern void lead_activity_merge(const ActivityList *a, const ActivityList *b,
								int sign, ActivityList *result);

#endif							/* LEADSCORE_ACTIVITY_H */
