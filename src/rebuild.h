/*-------------------------------------------------------------------------
 *
 * rebuild.h
 *		Computing leads again from the log of events.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_REBUILD_H
#define LEADSCORE_REBUILD_H

#include "catalog.h"

extern int64 leadscore_rebuild_part(PipelinePart part);
extern int64 leadscore_rebuild_lead(PipelinePart part, int64 lead_id);

#endif							/* LEADSCORE_REBUILD_H */
