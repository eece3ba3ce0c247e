/*-------------------------------------------------------------------------
 *
 * activity.h
 *		lead_activity: a multiset of (signal, bucket), as counts.
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
 * Varints have seven bits a byte, least significant first, and no needless
 * byte.  No count is zero.  So there is exactly one encoding of a multiset,
 * and equality is byte equality.
 *
 * In memory it is a list of items sorted by (signal, bucket); the timeless
 * bucket sorts first.  This header and activity.c need no catalog, no SPI and
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
	int64		count;
} ActivityItem;

typedef struct ActivityList
{
	LeadGrain	grain;
	int			nitems;
	int			capacity;
	ActivityItem *items;
} ActivityList;

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
extern void lead_activity_append(ActivityList *list, int32 signal, int32 bucket,
								 int64 count);
extern void lead_activity_normalize(ActivityList *list);
extern void lead_activity_count(ActivityList *list, int32 signal, int32 bucket,
								int64 count);
extern void lead_activity_merge(const ActivityList *a, const ActivityList *b,
								int sign, ActivityList *result);

#endif							/* LEADSCORE_ACTIVITY_H */
