/*-------------------------------------------------------------------------
 *
 * exposure.h
 *		Events that show a variant of an experiment to a lead.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_EXPOSURE_H
#define LEADSCORE_EXPOSURE_H

#include "executor/tuptable.h"

#include "apply.h"

/* Events of a statement that may be exposures; the datums are numbers */
typedef struct ExposureList
{
	int			n;
	int			capacity;
	Datum	   *lead_ids;
	Datum	   *event_ids;
} ExposureList;

extern void leadscore_exposures_init(ExposureList *list);
extern void leadscore_exposures_add(ExposureList *list, const Pipeline *pipeline,
									const EventColumns *columns, TupleTableSlot *slot);
extern void leadscore_exposures_hold(const ExposureList *list, Writer *writer);
extern void leadscore_exposures_apply(ExposureList *list, Writer *writer);

#endif							/* LEADSCORE_EXPOSURE_H */
