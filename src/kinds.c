/*-------------------------------------------------------------------------
 *
 * kinds.c
 *		The kinds of events that have a role, as a constant for the planner.
 *
 * Metrics views look for events by their role.  A subquery for the kinds would
 * do, but the planner knows nothing of its result and takes half of all events
 * for purchases.  It computes a stable function of constants beforehand,
 * though, and so has the statistics of just these kinds.  While the query runs
 * the kinds are read once; of a distributed pipeline from the copy on this
 * node, for queries inside of distributed ones are refused.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "pipeline.h"

PG_FUNCTION_INFO_V1(leadscore_kinds_of);

static Datum
read_kinds(Oid event_kind, Datum roles, MemoryContext context)
{
	Oid			copy = leadscore_reference_copy(event_kind);
	Oid			table = OidIsValid(copy) ? copy : event_kind;
	char	   *schema = get_namespace_name(get_rel_namespace(table));
	char	   *name = get_rel_name(table);
	const char *sql;
	Oid			type = TEXTARRAYOID;
	Datum		kinds;
	bool		isnull;

	if (name == NULL || schema == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", event_kind)));
	sql = psprintf("SELECT coalesce(pg_catalog.array_agg(kind::pg_catalog.text), '{}') FROM %s"
				   " WHERE role OPERATOR(pg_catalog.=) ANY ($1)",
				   quote_qualified_identifier(schema, name));
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args(sql, 1, &type, &roles, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read \"%s\"", name);
	kinds = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	MemoryContextSwitchTo(context);
	kinds = PointerGetDatum(PG_DETOAST_DATUM_COPY(kinds));
	SPI_finish();
	return kinds;
}

/*
 * kinds_of(event_kind regclass, VARIADIC roles text[]) returns text[]
 *
 * The kinds that have one of the roles, {} if there are none.  Of arguments
 * that cannot change from call to call the result is kept.
 */
Datum
leadscore_kinds_of(PG_FUNCTION_ARGS)
{
	FmgrInfo   *flinfo = fcinfo->flinfo;
	bool		stable;
	Datum		kinds;

	if (flinfo->fn_extra != NULL)
		PG_RETURN_POINTER(flinfo->fn_extra);
	stable = get_fn_expr_arg_stable(flinfo, 0) && get_fn_expr_arg_stable(flinfo, 1);
	kinds = read_kinds(PG_GETARG_OID(0), PG_GETARG_DATUM(1),
					   stable ? flinfo->fn_mcxt : CurrentMemoryContext);
	if (stable)
		flinfo->fn_extra = DatumGetPointer(kinds);
	PG_RETURN_DATUM(kinds);
}
