/*-------------------------------------------------------------------------
 *
 * config_guard.h
 *		Helpers of the triggers that guard the configuration.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_CONFIG_GUARD_H
#define LEADSCORE_CONFIG_GUARD_H

#include "access/htup.h"
#include "access/tupdesc.h"

#include "pipeline.h"

/* config_guard.c */
extern char *leadscore_text_column(HeapTuple tuple, TupleDesc desc, const char *name);
extern bool leadscore_columns_kept(TupleDesc desc, HeapTuple old, HeapTuple new,
								   const char *const *except);
extern bool leadscore_is_loading(PipelinePart part);
extern void leadscore_write_configuration(const char *sql, int nargs, Oid *types, Datum *values);

/* activate.c */
extern int64 leadscore_next_activation(const char *schema, TimestampTz *at);
extern bool leadscore_has_leads(const char *schema);
extern void leadscore_refuse_wait(Oid schema, bool wait);
extern int64 leadscore_follow(Oid schema);

/* segment_config.c */
extern void leadscore_check_segment(PipelinePart part, TupleDesc desc, HeapTuple old, HeapTuple new);
extern void leadscore_check_segment_condition(PipelinePart part, TupleDesc desc, HeapTuple old,
											  HeapTuple new);
extern void leadscore_check_signal_of_segments(PipelinePart part, const char *signal);
extern void leadscore_check_dimensions(const char *schema, Datum model);

#endif							/* LEADSCORE_CONFIG_GUARD_H */
