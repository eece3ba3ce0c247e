/*-------------------------------------------------------------------------
 *
 * guard.h
 *		Writing the tables that the engine keeps, and what errors may tell.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_GUARD_H
#define LEADSCORE_GUARD_H

#include "executor/spi.h"
#include "fmgr.h"

extern void leadscore_engine_execute(SPIPlanPtr plan, Datum *values, Snapshot snapshot,
									 Snapshot crosscheck, bool read_only);
extern bool leadscore_engine_is_writing(void);
extern ErrorData *leadscore_constraint_error(MemoryContext context, bool even_ours);
extern Datum leadscore_call_discreetly(PGFunction function, FunctionCallInfo fcinfo);

#endif							/* LEADSCORE_GUARD_H */
