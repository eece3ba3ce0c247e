/*-------------------------------------------------------------------------
 *
 * visible.c
 *		Does row security hide rows of a table from the session?
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
 * that the session runs as?  row_security_active() judges by the current role,
 * which in functions that run as the pipeline's owner is the owner; but the
 * caller is to see their figures.
 */
Datum
leadscore_shows_all(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(check_enable_rls(PG_GETARG_OID(0), GetOuterUserId(), true) != RLS_ENABLED);
}
