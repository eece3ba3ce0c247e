/*-------------------------------------------------------------------------
 *
 * shard.h
 *		Which tables belong together when Citus distributes a pipeline.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_SHARD_H
#define LEADSCORE_SHARD_H

#include "nodes/pg_list.h"

#include "catalog.h"

extern bool leadscore_is_shard(Oid table);
extern bool leadscore_is_distributed(Oid table);
extern bool leadscore_is_spread(Oid table);
extern PipelinePart leadscore_part_of_lead(Oid schema, int64 lead_id);
extern char *leadscore_logical_name(PipelinePart part, Oid table);
extern Oid	leadscore_sibling(PipelinePart part, const char *name);
extern Oid	leadscore_reference_copy(Oid table);
extern Oid	leadscore_whole_here(Oid table);
extern PipelinePart leadscore_whole_part(Oid schema);
extern List *leadscore_parts(Oid schema, int elevel);
extern void leadscore_hold_shard(PipelinePart part);
extern void leadscore_prepare_citus(bool distributed);
extern void leadscore_use_one_connection(void);

/* shard_plan.c */
extern void leadscore_check_columns(Oid table, Oid shard);
extern PipelinePart leadscore_enter_shard(PipelinePart part);
extern void leadscore_leave_shard(PipelinePart before);
extern void leadscore_plan_for_values(void);
extern void leadscore_function_begins(Oid setting);
extern void leadscore_function_of_lead_begins(Oid setting, int64 lead_id);
extern void leadscore_define_part(void);
extern void leadscore_shard_plan_init(void);
extern bool leadscore_in_task(void);

#endif							/* LEADSCORE_SHARD_H */
