/*-------------------------------------------------------------------------
 *
 * loaded.h
 *		Leads that were loaded without triggers and wait for a rebuild.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_LOADED_H
#define LEADSCORE_LOADED_H

#include "pipeline.h"
#include "row_stream.h"

extern bool leadscore_ranges_left(Pipeline *pipeline);
extern void leadscore_lock_loaded(const Pipeline *pipeline, const int64 *lead_ids, int64 n);
extern void leadscore_lock_loaded_range(const Pipeline *pipeline, const LeadRange *range);

#endif							/* LEADSCORE_LOADED_H */
