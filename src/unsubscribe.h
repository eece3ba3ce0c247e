/*-------------------------------------------------------------------------
 *
 * unsubscribe.h
 *		Leads that want no more messages.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_UNSUBSCRIBE_H
#define LEADSCORE_UNSUBSCRIBE_H

#include "executor/tuptable.h"

#include "apply.h"

typedef struct Unsubscribe
{
	int64		lead_id;
	int64		event_id;
	TimestampTz at;
	bool		removed;		/* as the event was before an update */
} Unsubscribe;

/* Events of a statement that take back the permission to send messages */
typedef struct UnsubscribeList
{
	int64		n;
	int64		capacity;
	Unsubscribe *items;
} UnsubscribeList;

extern bool leadscore_is_unsubscribe(const Pipeline *pipeline, Datum kind);
extern void leadscore_unsubscribes_init(UnsubscribeList *list);
extern void leadscore_unsubscribes_add(UnsubscribeList *list, const Pipeline *pipeline,
									   const EventColumns *columns, TupleTableSlot *slot,
									   bool removed);
extern void leadscore_unsubscribes_apply(UnsubscribeList *list, const DeltaList *deltas,
										 Pipeline *pipeline);

#endif							/* LEADSCORE_UNSUBSCRIBE_H */
