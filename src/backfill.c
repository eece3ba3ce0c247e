/*-------------------------------------------------------------------------
 *
 * backfill.c
 *		Rows that an app's table held before it was tracked.
 *
 * They are read under locks, so that nothing is written of a row that a session
 * changes meanwhile.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"

#include "progress.h"
#include "track_table.h"

/* The columns of the key, as a list */
static char *
key_list(const TrackedTable *table)
{
	StringInfoData text;
	int			i;

	initStringInfo(&text);
	for (i = 0; i < table->nkeys; i++)
		appendStringInfo(&text, "%st.%s", i > 0 ? ", " : "", quote_identifier(table->keys[i].name));
	return text.data;
}

/* A condition of rows after, or up to, a position in the order of the key */
static char *
key_condition(const TrackedTable *table, const char *operator, int parameter)
{
	StringInfoData text;
	int			i;

	initStringInfo(&text);
	appendStringInfo(&text, "ROW(%s) OPERATOR(pg_catalog.%s) ROW(", key_list(table), operator);
	for (i = 0; i < table->nkeys; i++)
		appendStringInfo(&text, "%s($%d)[%d]::%s", i > 0 ? ", " : "", parameter, i + 1,
						 format_type_extended(table->keys[i].type, -1, FORMAT_TYPE_FORCE_QUALIFY));
	appendStringInfoChar(&text, ')');
	return text.data;
}

/*
 * A condition of rows that have a key, which is all of its columns.  These could not
 * be null when the table was bound, but its owner may have changed that: such a row
 * has no position.
 */
static char *
keyed_condition(const TrackedTable *table)
{
	return psprintf("ROW(%s) IS NOT NULL", key_list(table));
}

/* Run a query of the table with two positions, of which each may be NULL. */
static uint64
query_table(const char *sql, Datum from, Datum upto)
{
	Oid			types[2] = {TEXTARRAYOID, TEXTARRAYOID};
	Datum		values[2];
	char		nulls[2];

	values[0] = from;
	values[1] = upto;
	nulls[0] = from == (Datum) 0 ? 'n' : ' ';
	nulls[1] = upto == (Datum) 0 ? 'n' : ' ';
	if (SPI_execute_with_args(sql, 2, types, values, nulls, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read: %s", sql);
	return SPI_processed;
}

/* Where a backfill stands; 0: at the start.  In *done whether it is complete. */
static Datum
read_position(AppWrite *call, Datum definition, bool *done)
{
	Oid			type = TEXTOID;
	char	   *sql = psprintf("SELECT backfilled_to, backfilled_at IS NOT NULL FROM %s.tracked_table"
							   " WHERE definition OPERATOR(pg_catalog.=) $1 FOR UPDATE",
							   quote_identifier(get_namespace_name(call->pipeline->part.schema)));
	bool		isnull;
	Datum		position;

	if (SPI_execute_with_args(sql, 1, &type, &definition, NULL, false, 0) != SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "could not read: %s", sql);
	*done = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull));
	position = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	return isnull ? (Datum) 0 : position;
}

/* Write down where a backfill stands. */
static void
write_position(AppWrite *call, Datum definition, Datum position, int64 rows)
{
	Oid			types[3] = {TEXTOID, TEXTARRAYOID, INT8OID};
	Datum		values[3];
	char		nulls[3] = {' ', ' ', ' '};
	char	   *sql = psprintf("UPDATE %s.tracked_table SET backfilled_to = $2,"
							   " backfilled_rows = backfilled_rows OPERATOR(pg_catalog.+) $3,"
							   " backfilled_at = CASE WHEN $2 IS NULL THEN pg_catalog.now() END"
							   " WHERE definition OPERATOR(pg_catalog.=) $1",
							   quote_identifier(get_namespace_name(call->pipeline->part.schema)));

	values[0] = definition;
	values[1] = position;
	values[2] = Int64GetDatum(rows);
	if (position == (Datum) 0)
		nulls[1] = 'n';
	if (SPI_execute_with_args(sql, 3, types, values, nulls, false, 0) != SPI_OK_UPDATE)
		elog(ERROR, "could not write: %s", sql);
}

/* The key of the last of so many rows after a position; 0: there are fewer */
static Datum
find_end(const TrackedTable *table, const char *name, Datum from, int64 max_rows)
{
	TupleTableSlot *slot;
	Datum		result;

	if (query_table(psprintf("SELECT %s FROM %s t WHERE $2::pg_catalog.text[] IS NULL AND %s AND %s ORDER BY %s LIMIT 1 OFFSET " INT64_FORMAT,
							 key_list(table), name, keyed_condition(table),
							 from == (Datum) 0 ? "$1::pg_catalog.text[] IS NULL" : key_condition(table, ">", 1),
							 key_list(table), max_rows - 1), from, (Datum) 0) == 0)
		return (Datum) 0;
	slot = MakeSingleTupleTableSlot(SPI_tuptable->tupdesc, &TTSOpsHeapTuple);
	ExecStoreHeapTuple(SPI_tuptable->vals[0], slot, false);
	result = leadscore_tracked_position(table, slot);
	ExecDropSingleTupleTableSlot(slot);
	return result;
}

/*
 * _backfill(table, definition, max_rows): read the next rows that were there
 * before the trigger; returns how many, 0 when all have been read.
 */
Datum
leadscore_backfill(FunctionCallInfo fcinfo, AppWrite *call)
{
	Oid			relid = PG_ARGISNULL(0) ? InvalidOid : PG_GETARG_OID(0);
	Datum		definition = PG_ARGISNULL(1) ? (Datum) 0 : PG_GETARG_DATUM(1);
	int64		max_rows = PG_ARGISNULL(2) ? 0 : PG_GETARG_INT64(2);
	Relation	rel;
	RowType		type;
	const char *name;
	int64		skipped[SKIP_REASONS] = {0};
	TrackedRows none = {NULL, 0};
	TrackedRows new = {NULL, 0};
	TrackedTable *table;
	SPITupleTable *tuples;
	TupleTableSlot *slot;
	Datum		from;
	Datum		upto;
	uint64		nrows;
	bool		done;
	bool		outermost;
	uint64		i;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || max_rows < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a table, a definition and a number of rows above zero must be given"),
				 errhint("Use leadscore.backfill_table().")));
	rel = leadscore_open_table(relid);
	type.desc = RelationGetDescr(rel);
	type.name = RelationGetRelationName(rel);
	name = leadscore_table_name(relid);
	table = leadscore_find_definition(call, definition, &type);
	if (table == NULL || table->problem)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" cannot be read as \"%s\"", type.name, text_to_cstring(DatumGetTextPP(definition))),
				 table ? errdetail("%s", psprintf("%c%s.", pg_toupper(table->problem[0]), table->problem + 1)) : 0,
				 errhint("Track the table anew, by leadscore.untrack_table() and leadscore.track_table().")));
	if (check_enable_rls(relid, call->pipeline->owner, true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("row security hides rows of table \"%s\" from the owner of the pipeline", type.name),
				 errhint("Let the owner of the table give the owner of the pipeline BYPASSRLS, or do without the old rows.")));
	from = read_position(call, definition, &done);
	if (done)
	{
		table_close(rel, NoLock);
		PG_RETURN_INT64(0);
	}
	outermost = leadscore_progress_begin(call->pipeline->part.schema, TASK_BACKFILL, PHASE_READ_ROWS);
	leadscore_app_fix_path(call);
	/* what was there before begins no sequence */
	(void) set_config_option("leadscore.enroll", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	upto = find_end(table, name, from, max_rows);

	/*
	 * a row that leaves this range meanwhile is for the trigger of that
	 * statement
	 */
	nrows = query_table(psprintf("SELECT t.* FROM %s t WHERE %s AND %s AND %s FOR SHARE OF t", name,
								 keyed_condition(table),
								 from == (Datum) 0 ? "$1::pg_catalog.text[] IS NULL" : key_condition(table, ">", 1),
								 upto == (Datum) 0 ? "$2::pg_catalog.text[] IS NULL" : key_condition(table, "<=", 2)),
						from, upto);
	tuples = SPI_tuptable;
	type.desc = tuples->tupdesc;
	table = leadscore_find_definition(call, definition, &type);
	new.rows = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(TrackedRow) * (nrows + 1));
	leadscore_progress_phase(PHASE_READ_ROWS, (int64) nrows);
	slot = MakeSingleTupleTableSlot(tuples->tupdesc, &TTSOpsHeapTuple);
	for (i = 0; i < nrows; i++)
	{
		ExecStoreHeapTuple(tuples->vals[i], slot, false);
		CHECK_FOR_INTERRUPTS();
		leadscore_tracked_row(table, slot, new.n, &new.rows[new.n]);
		new.n++;
		leadscore_progress_count(1);
	}
	ExecDropSingleTupleTableSlot(slot);
	leadscore_tracked_sort(&new);
	leadscore_progress_phase(PHASE_LEADS, PROGRESS_UNKNOWN);
	if (table->makes_leads)
		leadscore_write_leads(call, table, &none, &new, true, skipped);
	else
		leadscore_write_events(call, table, &none, &new, false, skipped);
	leadscore_note_skipped(call, table, skipped);
	write_position(call, definition, upto, (int64) nrows);
	table_close(rel, NoLock);
	leadscore_progress_end(outermost);
	PG_RETURN_INT64((int64) nrows);
}
