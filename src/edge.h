/*-------------------------------------------------------------------------
 *
 * edge.h
 *		What a statement has done to leads that sequences wait for.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_EDGE_H
#define LEADSCORE_EDGE_H

#include "apply.h"

extern void leadscore_define_parameters(void);
extern void leadscore_edges_watch(Writer *writer);
extern void leadscore_edges_add_events(Writer *writer, const DeltaList *deltas);
extern void leadscore_edges_apply(Writer *writer);

#endif							/* LEADSCORE_EDGE_H */
