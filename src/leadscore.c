/*-------------------------------------------------------------------------
 *
 * leadscore.c
 *		Module definition and initialization.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/guc.h"

#include "compat.h"

PG_MODULE_MAGIC_EXT(.name = "leadscore",.version = LEADSCORE_VERSION);

/* fmgr.h declares it from 16 on */
extern PGDLLEXPORT void _PG_init(void);

/*
 * Called when the module is loaded.  There are no settings: results depend on
 * the data alone, so a setting under our name is somebody's mistake.
 */
void
_PG_init(void)
{
	MarkGUCPrefixReserved("leadscore");
}
