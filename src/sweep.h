/*-------------------------------------------------------------------------
 *
 * sweep.h
 *		Bringing leads up to now that no event has brought up.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_SWEEP_H
#define LEADSCORE_SWEEP_H

#include "pipeline.h"

extern int64 leadscore_sweep_part(PipelinePart part, int64 max_leads);
extern bool leadscore_current_record(PipelinePart part, int64 lead_id, ActivityList *activity,
									 uint8 *stage, int64 *stage_since);

#endif							/* LEADSCORE_SWEEP_H */
