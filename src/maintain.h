/*-------------------------------------------------------------------------
 *
 * maintain.h
 *		What keeps a pipeline right besides its triggers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_MAINTAIN_H
#define LEADSCORE_MAINTAIN_H

#include "pipeline.h"

extern int64 leadscore_sweep_part(PipelinePart part, int64 max_leads);
extern bool leadscore_current_record(PipelinePart part, int64 lead_id, ActivityList *activity,
									 uint8 *stage, int64 *stage_since);
extern int64 leadscore_rebuild_part(PipelinePart part);
extern void leadscore_check_maintainer(Oid schema, const char *table, AclMode mode);

#endif							/* LEADSCORE_MAINTAIN_H */
