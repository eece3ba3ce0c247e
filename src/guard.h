/*-------------------------------------------------------------------------
 *
 * guard.h
 *		Plans of the engine's statements, writing the tables that it keeps, and
 *		what errors may tell.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_GUARD_H
#define LEADSCORE_GUARD_H

#include "executor/spi.h"
#include "fmgr.h"

#include "catalog.h"

extern SPIPlanPtr leadscore_keep_plan(const char *sql, int nargs, Oid *types);
extern void leadscore_renew_plan(SPIPlanPtr plan);
extern void leadscore_call_function(PipelinePart part, const char *function, int nargs, const Oid *types,
									Datum *values, const char *nulls, bool read_only);
extern void leadscore_engine_execute(SPIPlanPtr plan, Datum *values, Snapshot snapshot,
									 Snapshot crosscheck, bool read_only);
extern void leadscore_engine_execute_nulls(SPIPlanPtr plan, Datum *values, const char *nulls,
										   Snapshot snapshot, Snapshot crosscheck);
extern bool leadscore_engine_is_writing(void);
extern void leadscore_engine_execute_everywhere(SPIPlanPtr plan, Datum *values, Snapshot snapshot);
extern void leadscore_define_engine_writes(void);
extern ErrorData *leadscore_constraint_error(MemoryContext context, bool even_ours);
extern void leadscore_guard_init(void);
extern Datum leadscore_call_discreetly(PGFunction function, FunctionCallInfo fcinfo);

#endif							/* LEADSCORE_GUARD_H */
