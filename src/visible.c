/*-------------------------------------------------------------------------
 *
 * visible.c
 *		What row security hides from whoever asks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/rls.h"

PG_FUNCTION_INFO_V1(leadscore_shows_all);

/*
 * shows_all(relation): does row security leave all rows of a table to the role
 * that the session runs as?  row_security_active() speaks of the role that the
 * function which asks runs as; functions of a pipeline's owner must know who
 * their figures are for.
 */
Datum
leadscore_shows_all(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(check_enable_rls(PG_GETARG_OID(0), GetOuterUserId(), true) != RLS_ENABLED);
}
