/*-------------------------------------------------------------------------
 *
 * leadscore.c
 *		Module definition and initialization.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "compat.h"
#include "edge.h"
#include "guard.h"
#include "shard.h"

PG_MODULE_MAGIC_EXT(.name = "leadscore",.version = LEADSCORE_VERSION);

/* fmgr.h declares it from 16 on */
extern PGDLLEXPORT void _PG_init(void);

/*
 * Called when the module is loaded.  Scores and stages depend on the data
 * alone: the only setting is for sessions that load events of the past.
 */
void
_PG_init(void)
{
	leadscore_define_parameters();
	leadscore_shard_plan_init();
	leadscore_guard_init();
}
