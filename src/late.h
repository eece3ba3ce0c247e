/*-------------------------------------------------------------------------
 *
 * late.h
 *		What late and removed events do to the history of a lead, without its log.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_LATE_H
#define LEADSCORE_LATE_H

#include "apply.h"

/* Is an event of a statement one that comes late or is removed? */
static inline bool
delta_is_late(const LeadLifecycle *lifecycle, const EventDelta *delta)
{
	return delta->removed || delta->at < lifecycle->processed_until;
}

extern bool leadscore_count_late(Writer *writer, LeadRecord *record, const DeltaList *list,
								 int64 begin, int64 end, bool locked);

#endif							/* LEADSCORE_LATE_H */
