/*-------------------------------------------------------------------------
 *
 * purge.h
 *		Taking old events out of the log of leads.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_PURGE_H
#define LEADSCORE_PURGE_H

#include "catalog.h"
#include "utils/tuplestore.h"

extern void leadscore_draw_common_line(PipelinePart part, int64 lead_id, int64 other);
extern bool leadscore_purge_deletes(Relation rel, Tuplestorestate *rows);

#endif							/* LEADSCORE_PURGE_H */
