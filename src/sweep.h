/*-------------------------------------------------------------------------
 *
 * sweep.h
 *		Bringing leads up to now that no event has brought up.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_SWEEP_H
#define LEADSCORE_SWEEP_H

#include "lifecycle.h"
#include "pipeline.h"

/* A lead as of an instant, if nothing happens until then */
typedef struct LeadForecast
{
	ActivityList activity;
	uint8		stage;
	int64		stage_since;
	Datum		segments;		/* array of their numbers; 0: none */
	int64		told_from;		/* changes are the whole history from here on;
								 * NEVER: they follow the stored one */
	SegmentChange *changes;		/* of segments */
	int			nchanges;
} LeadForecast;

extern int64 leadscore_sweep_part(PipelinePart part, int64 max_leads);
extern LeadForecast *leadscore_forecast(PipelinePart part, int64 lead_id, int64 at);

#endif							/* LEADSCORE_SWEEP_H */
