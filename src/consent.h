/*-------------------------------------------------------------------------
 *
 * consent.h
 *		What events and columns of lead say about messages.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_CONSENT_H
#define LEADSCORE_CONSENT_H

#include "executor/tuptable.h"

#include "apply.h"

typedef struct Refusal
{
	int64		lead_id;
	int64		event_id;
	bool		removed;		/* as the event was before an update */
} Refusal;

/* Events of a statement that say something against messages */
typedef struct RefusalList
{
	int64		n;
	int64		capacity;
	Refusal    *items;
	Datum		values[2];		/* once their leads are locked: leads and
								 * events, as arrays */
} RefusalList;

extern bool leadscore_is_refusal(const Pipeline *pipeline, Datum kind);
extern void leadscore_refusals_init(RefusalList *list);
extern void leadscore_refusals_add(RefusalList *list, const Pipeline *pipeline,
								   const EventColumns *columns, TupleTableSlot *slot,
								   bool removed);
extern void leadscore_refusals_lock(RefusalList *list, Writer *writer);
extern void leadscore_refusals_record(const RefusalList *list, Writer *writer);
extern bool leadscore_corrects_columns(void);
extern bool leadscore_follows_consent(const Pipeline *pipeline);
extern void leadscore_columns_written(const Pipeline *pipeline, Datum lead_ids, Datum consented,
									  Datum allowed, bool inserted);
extern void leadscore_leave_out_forgotten(Pipeline *pipeline, Datum lead_ids);
extern bool leadscore_any_suppressed(const Pipeline *pipeline);

#endif							/* LEADSCORE_CONSENT_H */
