/*-------------------------------------------------------------------------
 *
 * shard_plan.c
 *		Functions in SQL that the engine calls for leads of a shard.
 *
 * They name the tables of the pipeline.  Of a distributed pipeline these are
 * empty on a worker: the rows are in shards, and Citus refuses queries of the
 * whole in a trigger.  But all that the engine asks of such a function is about
 * leads that are in one set of colocated shards.  So while it runs, queries are
 * planned for the shards of that set, as if they named these.
 *
 * A function may also be called by a task that Citus has sent to this node.
 * What it reads of tables that this node has as a whole, the configuration and
 * all of a pipeline that is distributed by schema, it reads here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/planner.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/guc.h"
#include "utils/plancache.h"
#include "utils/rel.h"

#include "shard.h"

/* The shard whose set queries are planned for; invalid: they are planned as they are */
static PipelinePart local = {InvalidOid, InvalidOid};

static planner_hook_type previous_planner = NULL;

/* Check that a shard has the columns of its table at the same places. */
static void
check_columns(Oid table, Oid shard)
{
	Relation	whole = table_open(table, NoLock);
	Relation	part = table_open(shard, NoLock);
	TupleDesc	a = RelationGetDescr(whole);
	TupleDesc	b = RelationGetDescr(part);
	bool		same = a->natts == b->natts;
	int			i;

	for (i = 0; same && i < a->natts; i++)
		same = TupleDescAttr(a, i)->attisdropped == TupleDescAttr(b, i)->attisdropped &&
			(TupleDescAttr(a, i)->attisdropped ||
			 strcmp(NameStr(TupleDescAttr(a, i)->attname), NameStr(TupleDescAttr(b, i)->attname)) == 0);
	table_close(part, NoLock);
	table_close(whole, NoLock);
	if (!same)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("columns of table \"%s\" are not at the same places as those of its shard \"%s\"",
						get_rel_name(table), get_rel_name(shard)),
				 errhint("A column was dropped before the table was distributed. Call undistribute_table(), and distribute it again.")));
}

/* Do we run a task that Citus has sent to this node? */
bool
leadscore_in_task(void)
{
	static const char prefix[] = "citus_internal ";

	return application_name != NULL && strncmp(application_name, prefix, strlen(prefix)) == 0;
}

/*
 * The table to plan for in place of one that a query names: a shard, or the
 * table itself.
 */
static Oid
local_table(Oid table, bool is_result)
{
	char		relkind = get_rel_relkind(table);
	Oid			schema = get_rel_namespace(table);
	bool		by_lead;
	Oid			copy;

	if ((relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE) ||
		(OidIsValid(local.shard) ? schema != local.schema : !OidIsValid(leadscore_setting_table(schema))) ||
		!leadscore_is_distributed(table))
		return table;
	by_lead = leadscore_is_spread(leadscore_table(schema, "lead"));
	copy = leadscore_reference_copy(table);
	/* every node has a copy, of which ours must not differ from the others */
	if (OidIsValid(local.shard) && OidIsValid(copy) && is_result && by_lead)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table \"%s\" cannot be written by a statement on leads of a pipeline that is distributed by lead",
						get_rel_name(table)),
				 errhint("Distribute the pipeline by schema to use what writes it.")));
	if (OidIsValid(local.shard))
		return leadscore_sibling(local, get_rel_name(table));
	/* in a task only what is whole on this node is known to be meant */
	return OidIsValid(copy) && !(is_result && by_lead) ? copy : table;
}

/* Put the shards into a query, and into all queries in it. */
static bool
use_shards(Node *node, void *context)
{
	Query	   *query;
	ListCell   *lc;

	if (node == NULL)
		return false;
	if (!IsA(node, Query))
		return expression_tree_walker(node, use_shards, context);
	query = (Query *) node;
	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);
		Oid			shard;

		if (rte->rtekind != RTE_RELATION)
			continue;
		shard = local_table(rte->relid, foreach_current_index(lc) + 1 == query->resultRelation);
		if (shard == rte->relid)
			continue;
		LockRelationOid(shard, rte->rellockmode);
		check_columns(rte->relid, shard);
#if PG_VERSION_NUM >= 160000
		if (rte->perminfoindex != 0)
			getRTEPermissionInfo(query->rteperminfos, rte)->relid = shard;
#endif
		rte->relid = shard;
	}
	return query_tree_walker(query, use_shards, context, 0);
}

/* The planner, for shards where these are meant */
static PlannedStmt *
plan_for_shard(Query *query, const char *text, int options, ParamListInfo params)
{
	if (OidIsValid(local.shard) || leadscore_in_task())
		(void) use_shards((Node *) query, NULL);
	return previous_planner ? previous_planner(query, text, options, params) :
		standard_planner(query, text, options, params);
}

/*
 * Plan queries for a part of a pipeline from here on, if it is in shards, until
 * leadscore_leave_shard(), which is given what this returns.  No plan that was
 * made before is good then, and none that is made meanwhile is good later.
 */
PipelinePart
leadscore_enter_shard(PipelinePart part)
{
	PipelinePart before = local;

	/* a function that one calls is about leads of the same set */
	if (OidIsValid(part.shard) && !OidIsValid(local.shard))
	{
		local = part;
		ResetPlanCache();
	}
	return before;
}

/* Plan queries as before again. */
void
leadscore_leave_shard(PipelinePart before)
{
	if (OidIsValid(local.shard) && !OidIsValid(before.shard))
		ResetPlanCache();
	local = before;
}

/* Called when the module is loaded */
void
leadscore_shard_plan_init(void)
{
	previous_planner = planner_hook;
	planner_hook = plan_for_shard;
}
