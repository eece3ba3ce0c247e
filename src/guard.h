/*-------------------------------------------------------------------------
 *
 * guard.h
 *		Writing the tables that the engine keeps.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_GUARD_H
#define LEADSCORE_GUARD_H

#include "executor/spi.h"

extern void leadscore_engine_execute(SPIPlanPtr plan, Datum *values, Snapshot snapshot,
									 Snapshot crosscheck, bool read_only);
extern bool leadscore_engine_is_writing(void);

#endif							/* LEADSCORE_GUARD_H */
