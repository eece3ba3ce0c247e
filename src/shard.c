/*-------------------------------------------------------------------------
 *
 * shard.c
 *		Which tables belong together when Citus distributes a pipeline.
 *
 * A distributed table has no rows of its own.  They are in its shards, tables
 * named <table>_<number> in its schema on one node or another, and there the
 * triggers fire.  The engine then works in the shards that go with that one,
 * as plain tables of this node: distributed queries inside a trigger are
 * refused or slow, and the table of the bare name is empty here.  This holds
 * for the configuration too, reference tables with one shard on every node: the
 * engine reads and locks the tables on which their triggers fire.
 *
 * All of it comes from the catalogs pg_dist_partition and pg_dist_shard.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "guard.h"
#include "shard.h"

PG_FUNCTION_INFO_V1(leadscore_has_other_nodes);
PG_FUNCTION_INFO_V1(leadscore_forbid_transaction_block);
PG_FUNCTION_INFO_V1(leadscore_pipeline_is_distributed);
PG_FUNCTION_INFO_V1(leadscore_is_by_lead);
PG_FUNCTION_INFO_V1(leadscore_require_here);

/* operators are found whatever search_path says */
#define EQ " OPERATOR(pg_catalog.=) "

/* of a shard s: it is on this node, and has not been moved away */
#define ON_THIS_NODE \
	" JOIN pg_catalog.pg_dist_placement p ON p.shardid" EQ "s.shardid AND p.shardstate" EQ "1" \
	" JOIN pg_catalog.pg_dist_local_group g ON g.groupid" EQ "p.groupid"

/* Split a name of the form <table>_<number>. */
static bool
split_name(const char *name, int *length, int64 *number)
{
	const char *digits = name ? strrchr(name, '_') : NULL;
	char	   *end;

	if (digits == NULL || digits[1] < '0' || digits[1] > '9')
		return false;
	*length = (int) (digits - name);
	errno = 0;
	*number = strtoi64(digits + 1, &end, 10);
	return *end == '\0' && errno == 0;
}

/* The plan of a query of this file, of the catalogs of Citus, made when it is first needed */
static SPIPlanPtr
catalog_plan(const char *sql)
{
	static struct
	{
		const char *sql;
		SPIPlanPtr	plan;
	}			kept[16];
	Oid			types[2] = {INT8OID, OIDOID};
	int			i = 0;

	while (kept[i].sql != NULL && kept[i].sql != sql)
		i++;
	Assert(i < lengthof(kept) - 1);
	if (kept[i].sql == NULL)
	{
		kept[i].plan = leadscore_keep_plan(sql, 2, types);
		kept[i].sql = sql;
	}
	leadscore_renew_plan(kept[i].plan);
	return kept[i].plan;
}

/*
 * Ask the catalogs of Citus for shards, as a snapshot sees them.  $1 is the number
 * of a shard, $2 a distributed table.  Returns the numbers found, none without Citus.
 */
static int64 *
find_shards_in(Snapshot snapshot, const char *sql, int64 shard, Oid table, int *n)
{
	MemoryContext context = CurrentMemoryContext;
	Datum		values[2];
	int64	   *found;
	int			i;

	*n = 0;
	if (!OidIsValid(get_relname_relid("pg_dist_partition", PG_CATALOG_NAMESPACE)) ||
		!OidIsValid(get_relname_relid("pg_dist_shard", PG_CATALOG_NAMESPACE)))
		return NULL;
	values[0] = Int64GetDatum(shard);
	values[1] = ObjectIdGetDatum(table);
	PushActiveSnapshot(snapshot);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_plan(catalog_plan(sql), values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not look up shards: %s", sql);
	*n = (int) SPI_processed;
	found = MemoryContextAlloc(context, sizeof(int64) * (*n + 1));
	for (i = 0; i < *n; i++)
	{
		bool		isnull;

		found[i] = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc,
											   1, &isnull));
	}
	SPI_finish();
	PopActiveSnapshot();
	return found;
}

/* The newest snapshot, but for parallel queries, which cannot take one */
static Snapshot
newest_snapshot(void)
{
	return IsInParallelMode() ? GetActiveSnapshot() : GetLatestSnapshot();
}

/* The same as of now */
static int64 *
find_shards(const char *sql, int64 shard, Oid table, int *n)
{
	return find_shards_in(newest_snapshot(), sql, shard, table, n);
}

/* A pipeline was moved while the transaction ran. */
static void
moved_error(Oid schema, const char *where)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access due to the move of pipeline \"%s\" %s",
					get_namespace_name(schema), where),
			 errhint("The transaction might succeed if retried.")));
}

/* The shard of this number, InvalidOid if it is on another node */
static Oid
shard_table(Oid schema, const char *name, int64 number)
{
	Oid			relid = get_relname_relid(psprintf("%s_" INT64_FORMAT, name, number), schema);
	char		relkind = OidIsValid(relid) ? get_rel_relkind(relid) : '\0';

	return relkind == RELKIND_RELATION || relkind == RELKIND_PARTITIONED_TABLE ? relid : InvalidOid;
}

/* Is a table a shard? */
bool
leadscore_is_shard(Oid table)
{
	char	   *name = get_rel_name(table);
	int			length;
	int64		number;
	int			n;

	if (!split_name(name, &length, &number))
		return false;
	name[length] = '\0';
	find_shards("SELECT shardid FROM pg_catalog.pg_dist_shard"
				" WHERE shardid" EQ "$1 AND logicalrelid" EQ "$2",
				number, get_relname_relid(name, get_rel_namespace(table)), &n);
	return n > 0;
}

/* Are a table's rows in shards? */
bool
leadscore_is_distributed(Oid table)
{
	int			n;

	find_shards("SELECT 0::pg_catalog.int8 FROM pg_catalog.pg_dist_partition"
				" WHERE logicalrelid" EQ "$2", 0, table, &n);
	return n > 0;
}

/* Are a table's rows in several shards, by lead_id? */
bool
leadscore_is_spread(Oid table)
{
	int			n;

	find_shards("SELECT 0::pg_catalog.int8 FROM pg_catalog.pg_dist_partition"
				" WHERE logicalrelid" EQ "$2 AND partmethod" EQ "'h'", 0, table, &n);
	return n > 0;
}

/* The part of a pipeline that has a lead, which must be on this node. */
PipelinePart
leadscore_part_of_lead(Oid schema, int64 lead_id)
{
	PipelinePart part = {schema, InvalidOid};
	Oid			lead = leadscore_table(schema, "lead");
	int64	   *found;
	int			n;

	if (!leadscore_is_distributed(lead))
		return part;
	found = find_shards("SELECT pg_catalog.get_shard_id_for_distribution_column($2::pg_catalog.regclass, $1)",
						lead_id, lead, &n);
	part.shard = n == 1 ? shard_table(schema, "lead", found[0]) : InvalidOid;
	if (!OidIsValid(part.shard))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("lead " INT64_FORMAT " is not on this node", lead_id),
				 errhint("Ask a view of pipeline \"%s\", which finds the node.", get_namespace_name(schema))));
	return part;
}

/* The name of a table of a pipeline, without the number if it is a shard */
char *
leadscore_logical_name(PipelinePart part, Oid table)
{
	char	   *name = get_rel_name(table);
	int			length;
	int64		number;

	if (OidIsValid(part.shard) && split_name(name, &length, &number))
		name[length] = '\0';
	return name;
}

/*
 * The copy of a reference table that is on this node, InvalidOid if it is no
 * reference table
 */
Oid
leadscore_reference_copy(Oid table)
{
	int			n;
	int64	   *found = find_shards("SELECT s.shardid FROM pg_catalog.pg_dist_partition p"
									" JOIN pg_catalog.pg_dist_shard s ON s.logicalrelid" EQ "p.logicalrelid"
									" WHERE p.logicalrelid" EQ "$2 AND p.partmethod" EQ "'n'",
									0, table, &n);

	if (n != 1)
		return InvalidOid;
	return shard_table(get_rel_namespace(table), get_rel_name(table), found[0]);
}

/* Reference tables have no key either, but copies that are written in two phases ('t') */
static const char whole_here_sql[] =
"SELECT s.shardid FROM pg_catalog.pg_dist_partition d"
" JOIN pg_catalog.pg_dist_shard s ON s.logicalrelid" EQ "d.logicalrelid"
ON_THIS_NODE
" WHERE d.logicalrelid" EQ "$2 AND d.partmethod" EQ "'n'"
" AND d.repmodel" EQ "'s' AND d.colocationid OPERATOR(pg_catalog.<>) 0";

/*
 * Does Citus read shards of this node in this session?  If not, it reads them in
 * another, which does not see what this one has written.
 */
static bool
reads_shards_itself(void)
{
	const char *setting = GetConfigOption("citus.enable_local_execution", true, false);

	/* a task is run by the session that it was sent to */
	return setting == NULL || strcmp(setting, "off") != 0 || leadscore_in_task();
}

/*
 * Refuse to read shards that were moved to this node after the snapshot of the
 * statement, which sees none of their rows.
 */
static void
check_snapshot(Oid table)
{
	SnapshotData newest = *newest_snapshot();
	Snapshot	active;
	int			n;

	if (!ActiveSnapshotSet())
		return;
	active = GetActiveSnapshot();
	if (active->xmin == newest.xmin && active->xmax == newest.xmax && active->xcnt == newest.xcnt)
		return;
	find_shards_in(active, whole_here_sql, 0, table, &n);
	if (n == 0)
		moved_error(get_rel_namespace(table), "to this node");
}

/*
 * The shard of a table of a pipeline that is distributed by schema, if it is on
 * this node and read in this session, InvalidOid for any other table
 */
Oid
leadscore_whole_here(Oid table)
{
	int			n;
	int64	   *found = find_shards(whole_here_sql, 0, table, &n);

	if (n != 1 || !reads_shards_itself())
		return InvalidOid;
	check_snapshot(table);
	return shard_table(get_rel_namespace(table), get_rel_name(table), found[0]);
}

/* All of a pipeline, in its shards if it is distributed by schema and on this node */
PipelinePart
leadscore_whole_part(Oid schema)
{
	PipelinePart part = {schema, leadscore_whole_here(leadscore_table(schema, "lead"))};

	return part;
}

/*
 * A table of a pipeline by its name: for a part, the shard that goes with the
 * part's own.  Tables of leads are in the same colocation group and cut at the
 * same places (0: in no group, but all of one shard); the configuration is
 * whole on every node.
 */
Oid
leadscore_sibling(PipelinePart part, const char *name)
{
	Oid			table = leadscore_table(part.schema, name);
	bool		of_leads;
	int			length;
	int64		number = 0;
	int64	   *found;
	int			n;

	if (!OidIsValid(part.shard))
		return table;
	split_name(get_rel_name(part.shard), &length, &number);
	/* names of leads are looked for on every node */
	of_leads = get_attnum(table, "lead_id") != InvalidAttrNumber &&
		(strcmp(name, "lead_alias") != 0 || !OidIsValid(leadscore_reference_copy(table)));
	if (!of_leads)
		table = leadscore_reference_copy(table);
	else
	{
		found = find_shards("SELECT s.shardid FROM pg_catalog.pg_dist_shard own"
							" JOIN pg_catalog.pg_dist_partition o ON o.logicalrelid" EQ "own.logicalrelid"
							" JOIN pg_catalog.pg_dist_partition p ON p.colocationid" EQ "o.colocationid"
							" JOIN pg_catalog.pg_dist_shard s ON s.logicalrelid" EQ "p.logicalrelid"
							" WHERE own.shardid" EQ "$1 AND p.logicalrelid" EQ "$2"
							" AND (p.colocationid OPERATOR(pg_catalog.<>) 0 OR p.partmethod" EQ "'n')"
							" AND (s.shardminvalue" EQ "own.shardminvalue"
							"  OR s.shardminvalue IS NULL AND own.shardminvalue IS NULL)",
							number, table, &n);
		table = n == 1 ? shard_table(part.schema, name, found[0]) : InvalidOid;
	}
	if (!OidIsValid(table))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no shard of table \"%s\" is colocated with \"%s\"",
						name, get_rel_name(part.shard)),
				 of_leads ?
				 errhint("Distribute all tables that have a lead_id by it, colocated with each other.") :
				 errhint("Make it a reference table.")));
	return table;
}

/*
 * Keep Citus from moving a part away until the transaction ends, as it does for
 * statements of its own: what is written to a shard that is being moved would be
 * lost.  Citus lets the owner of the shard do so.
 */
void
leadscore_hold_shard(PipelinePart part)
{
	static const Oid types[2] = {INT4OID, INT8ARRAYOID};
	int			length;
	int64		number;
	int			n;
	UserSwitch	caller;

	if (!OidIsValid(part.shard) || !split_name(get_rel_name(part.shard), &length, &number) ||
	/* a catalog like that of Citus, without it */
		!SearchSysCacheExists3(PROCNAMEARGSNSP, CStringGetDatum("lock_shard_metadata"),
							   PointerGetDatum(buildoidvector(types, 2)),
							   ObjectIdGetDatum(PG_CATALOG_NAMESPACE)))
		return;
	leadscore_run_as(leadscore_table_owner(part.shard), false, &caller);
	find_shards("SELECT 0::pg_catalog.int8 FROM pg_catalog.lock_shard_metadata(5, ARRAY[$1])",
				number, InvalidOid, &n);
	leadscore_run_back(&caller);
	find_shards("SELECT s.shardid FROM pg_catalog.pg_dist_shard s" ON_THIS_NODE " WHERE s.shardid" EQ "$1",
				number, InvalidOid, &n);
	if (n == 0)
		moved_error(part.schema, "to another node");
}

/* has_other_nodes(pipeline): are leads of a pipeline on other nodes? */
Datum
leadscore_has_other_nodes(PG_FUNCTION_ARGS)
{
	Oid			event = leadscore_table(PG_GETARG_OID(0), "event");
	int			n = 0;

	if (leadscore_is_distributed(event))
		find_shards("SELECT shardid FROM pg_catalog.pg_dist_shard WHERE logicalrelid" EQ "$2", 0, event, &n);
	PG_RETURN_BOOL(n > 0 && list_length(leadscore_parts(PG_GETARG_OID(0), DEBUG1)) < n);
}

/* is_distributed(pipeline): does Citus distribute a pipeline, by lead or by schema? */
Datum
leadscore_pipeline_is_distributed(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(leadscore_is_distributed(leadscore_table(PG_GETARG_OID(0), "lead")));
}

/* is_by_lead(pipeline): are the leads of a pipeline spread over nodes? */
Datum
leadscore_is_by_lead(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(leadscore_is_spread(leadscore_table(PG_GETARG_OID(0), "lead")));
}

/* require_here(pipeline): an error if a pipeline that is distributed by schema is on another node */
Datum
leadscore_require_here(PG_FUNCTION_ARGS)
{
	static const char *const altered[] = {"lead", "event"};
	int			i;

	for (i = 0; i < lengthof(altered); i++)
	{
		Oid			table = leadscore_table(PG_GETARG_OID(0), altered[i]);
		Oid			shard = leadscore_whole_here(table);

		if (OidIsValid(shard))
			leadscore_check_columns(table, shard);
		else if (!leadscore_is_distributed(table))
			continue;
		else if (!reads_shards_itself())
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("this function of pipeline \"%s\" needs citus.enable_local_execution", get_namespace_name(PG_GETARG_OID(0))),
					 errhint("Set citus.enable_local_execution to on.")));
		else
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("pipeline \"%s\" is on another node", get_namespace_name(PG_GETARG_OID(0))),
					 errhint("Connect to the node of its tables, which the view citus_shards names, and call the function there.")));
	}
	PG_RETURN_VOID();
}

/* forbid_transaction_block(call): an error if the statement is in one */
Datum
leadscore_forbid_transaction_block(PG_FUNCTION_ARGS)
{
	PreventInTransactionBlock(true, psprintf("%s of a distributed pipeline", text_to_cstring(PG_GETARG_TEXT_PP(0))));
	PG_RETURN_VOID();
}

/*
 * The parts of a pipeline that are on this node; the whole, if it is not
 * distributed.  Parts elsewhere are reported at elevel.  A shard that was moved
 * away leaves its tables here until Citus drops them, one by one.
 */
List *
leadscore_parts(Oid schema, int elevel)
{
	Oid			event = leadscore_table(schema, "event");
	bool		distributed = leadscore_is_distributed(event);
	List	   *parts = NIL;
	int64	   *found = NULL;
	int			total = 1;
	int			n = 1;
	int			i;

	if (distributed)
	{
		find_shards("SELECT shardid FROM pg_catalog.pg_dist_shard WHERE logicalrelid" EQ "$2", 0, event, &total);
		found = find_shards("SELECT s.shardid FROM pg_catalog.pg_dist_shard s" ON_THIS_NODE
							" WHERE s.logicalrelid" EQ "$2 ORDER BY 1", 0, event, &n);
	}
	for (i = 0; i < n; i++)
	{
		PipelinePart *part = palloc(sizeof(PipelinePart));

		part->schema = schema;
		part->shard = distributed ? shard_table(schema, "event", found[i]) : InvalidOid;
		if (!distributed || OidIsValid(part->shard))
			parts = lappend(parts, part);
	}
	if (list_length(parts) < total)
		ereport(elevel,
				(errmsg("%d of %d shards of pipeline \"%s\" are not on this node and were not processed",
						total - list_length(parts), total, get_namespace_name(schema)),
				 errhint("Do the same on the other nodes.")));
	return parts;
}

/*
 * Have Citus, if it is there, run the DDL of a pipeline as it must be run, until
 * the nesting level of settings ends.  That of a pipeline which is not
 * distributed stays on this node.  Our triggers do not leave theirs, so they are
 * safe; and a transaction that changes configuration, which is on every node,
 * must not open several connections to one.
 */
void
leadscore_prepare_citus(bool distributed)
{
	static const struct
	{
		const char *name;
		const char *value;
		bool		distributed;
	}			settings[] = {
		{"citus.enable_ddl_propagation", "off", false},
		{"citus.enable_unsafe_triggers", "on", true},
		{"citus.multi_shard_modify_mode", "sequential", true}
	};
	int			i;

	for (i = 0; i < lengthof(settings); i++)
		if (settings[i].distributed == distributed &&
			GetConfigOption(settings[i].name, true, false) != NULL)
			(void) set_config_option(settings[i].name, settings[i].value, PGC_USERSET, PGC_S_SESSION,
									 GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Have Citus work through one connection to a node until the transaction ends, as
 * GRANT needs it on tables of both kinds.
 */
void
leadscore_use_one_connection(void)
{
	static const char name[] = "citus.multi_shard_modify_mode";

	if (GetConfigOption(name, true, false) != NULL)
		(void) set_config_option(name, "sequential", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}
