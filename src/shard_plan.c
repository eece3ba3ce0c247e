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
 * A function may also be called by a task, be it that Citus has sent it to this
 * node, be it that a session runs it itself because the shard is here.  What the
 * function reads of tables that this node has as a whole, the configuration, it
 * reads here.
 *
 * A pipeline that is distributed by schema is on one node as a whole.  On that
 * node no query of it needs Citus, which takes fewer statements than PostgreSQL,
 * so it is planned for the shards.  A statement that writes them keeps Citus from
 * moving them.
 *
 * Citus looks for tables in a query before PostgreSQL puts functions of users into
 * it, and so do we: so we put them in first.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
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
static ExecutorStart_hook_type previous_start = NULL;

/*
 * Where Citus keeps the number of the shard whose task a session runs itself, 0 if
 * it runs none; NULL without Citus
 */
static const uint64 *own_task = NULL;

static bool has_citus = false;

/*
 * What the plans that functions keep were made for: a shard or none, in a task or
 * not; mixed: some were made for something else since
 */
static struct
{
	Oid			shard;
	bool		task;
	bool		mixed;
}			plans = {InvalidOid, false, false};

/* leadscore.part: the schema and the shard that a function works in until it ends */
static char *part_setting = NULL;

/* Which tables a query is planned for in place of those that it names */
typedef struct ShardUse
{
	List	   *tables;			/* that the query names */
	bool		names_constraint;	/* for ON CONFLICT */
	List	   *shards;			/* of tables, as shards_here() found them */
	Oid			(*choose) (Oid table, bool is_result);	/* or what chooses */
	List	   *replaced;		/* of tables */
} ShardUse;

/* Does a shard have the columns of its table at the same places? */
static bool
has_same_columns(Oid table, Oid shard)
{
	Relation	whole = table_open(table, AccessShareLock);
	Relation	part = table_open(shard, AccessShareLock);
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
	return same;
}

/* Refuse to plan for a shard instead of its table, if that is not possible. */
void
leadscore_check_columns(Oid table, Oid shard)
{
	if (!has_same_columns(table, shard))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("columns of table \"%s\" are not at the same places as those of its shard \"%s\"",
						get_rel_name(table), get_rel_name(shard)),
				 errhint("A column was dropped before the table was distributed, or before the shard was moved. Call undistribute_table(), and distribute it again.")));
}

/* Does Citus, on another node, run a task in this session? */
bool
leadscore_in_task(void)
{
	static const char prefix[] = "citus_internal ";

	return application_name != NULL && strncmp(application_name, prefix, strlen(prefix)) == 0;
}

/* Does this session run a task, for itself or for another node? */
static bool
runs_task(void)
{
	return (own_task != NULL && *own_task != 0) || leadscore_in_task();
}

/* Is a table one of a pipeline? */
static bool
is_of_pipeline(Oid table)
{
	char		relkind = get_rel_relkind(table);

	return (relkind == RELKIND_RELATION || relkind == RELKIND_PARTITIONED_TABLE) &&
		OidIsValid(leadscore_setting_table(get_rel_namespace(table)));
}

/* The table to plan for while the engine works in a shard */
static Oid
table_of_part(Oid table, bool is_result)
{
	if (get_rel_namespace(table) != local.schema || !is_of_pipeline(table) || !leadscore_is_distributed(table))
		return table;
	/* every node has a copy, of which ours must not differ from the others */
	if (is_result && OidIsValid(leadscore_reference_copy(table)) &&
		leadscore_is_spread(leadscore_table(local.schema, "lead")))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table \"%s\" cannot be written by a statement on leads of a pipeline that is distributed by lead",
						get_rel_name(table)),
				 errhint("Distribute the pipeline by schema to use what writes it.")));
	return leadscore_sibling(local, get_rel_name(table));
}

/* The table to plan for where Citus is not needed: all of the pipeline is on this node */
static Oid
table_here(Oid table)
{
	Oid			shard = is_of_pipeline(table) ? leadscore_whole_here(table) : InvalidOid;

	return OidIsValid(shard) && has_same_columns(table, shard) ? shard : table;
}

/* The table to plan for in a task: only what is whole on this node is known to be meant */
static Oid
table_of_task(Oid table, bool is_result)
{
	Oid			shard = table_here(table);

	if (shard == table && !is_result && is_of_pipeline(table))
		shard = leadscore_reference_copy(table);
	return OidIsValid(shard) ? shard : table;
}

/* Collect what a query names, in a ShardUse. */
static bool
collect_names(Node *node, void *context)
{
	ShardUse   *use = context;
	Query	   *query;
	ListCell   *lc;

	if (node == NULL)
		return false;
	if (!IsA(node, Query))
		return expression_tree_walker(node, collect_names, context);
	query = (Query *) node;
	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->rtekind == RTE_RELATION)
			use->tables = list_append_unique_oid(use->tables, rte->relid);
	}
	if (query->onConflict && OidIsValid(query->onConflict->constraint))
		use->names_constraint = true;
	return query_tree_walker(query, collect_names, context, 0);
}

/* Does a query read rows of a function of users? */
static bool
reads_function(Node *node, void *context)
{
	ListCell   *lc;

	if (node == NULL)
		return false;
	if (!IsA(node, Query))
		return expression_tree_walker(node, reads_function, context);
	foreach(lc, ((Query *) node)->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);
		Node	   *call = rte->rtekind == RTE_FUNCTION && list_length(rte->functions) == 1 ?
			linitial_node(RangeTblFunction, rte->functions)->funcexpr : NULL;

		if (call && IsA(call, FuncExpr) && ((FuncExpr *) call)->funcid >= FirstNormalObjectId)
			return true;
	}
	return query_tree_walker((Query *) node, reads_function, context, 0);
}

/* Put functions in SQL into a query where PostgreSQL would do so later. */
static bool
put_functions(Node *node, void *context)
{
	PlannerInfo *root = context;
	ListCell   *lc;

	if (node == NULL)
		return false;
	if (!IsA(node, Query))
		return expression_tree_walker(node, put_functions, context);
	root->parse = (Query *) node;
	foreach(lc, root->parse->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);
		Query	   *body = NULL;

		if (rte->rtekind == RTE_FUNCTION)
		{
			rte->functions = (List *) eval_const_expressions(root, (Node *) rte->functions);
			body = inline_set_returning_function(root, rte);
		}
		if (body)
		{
			rte->rtekind = RTE_SUBQUERY;
			rte->subquery = body;
			rte->security_barrier = false;
			rte->functions = NIL;
			rte->funcordinality = false;
			/* Citus calls its columns by their names */
			rte->alias = copyObject(rte->eref);
		}
	}
	return query_tree_walker((Query *) node, put_functions, context, 0);
}

/* Does a list of tables have one of a pipeline? */
static bool
is_about_pipeline(List *tables)
{
	ListCell   *lc;

	foreach(lc, tables)
	{
		if (is_of_pipeline(lfirst_oid(lc)))
			return true;
	}
	return false;
}

/*
 * What to plan for in place of each of some tables, if those of them that Citus
 * distributes are of pipelines which are on this node as a whole; else NIL
 */
static List *
shards_here(List *tables)
{
	List	   *shards = NIL;
	ListCell   *lc;

	foreach(lc, tables)
	{
		Oid			table = lfirst_oid(lc);
		Oid			shard = table_here(table);

		if (shard == table && leadscore_is_distributed(table))
			return NIL;
		shards = lappend_oid(shards, shard);
	}
	return shards;
}

/* The table to plan for in place of one that a query names */
static Oid
table_to_use(ShardUse *use, Oid table, bool is_result)
{
	ListCell   *named;
	ListCell   *shard;

	if (use->choose)
		return use->choose(table, is_result);
	forboth(named, use->tables, shard, use->shards)
	{
		if (lfirst_oid(named) == table)
			return lfirst_oid(shard);
	}
	return table;
}

/* Put the shards into a query, and into all queries in it. */
static bool
use_shards(Node *node, void *context)
{
	ShardUse   *use = context;
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
		shard = table_to_use(use, rte->relid, foreach_current_index(lc) + 1 == query->resultRelation);
		if (shard == rte->relid)
			continue;
		LockRelationOid(shard, rte->rellockmode);
		leadscore_check_columns(rte->relid, shard);
#if PG_VERSION_NUM >= 160000
		if (rte->perminfoindex != 0)
			getRTEPermissionInfo(query->rteperminfos, rte)->relid = shard;
#endif
		use->replaced = list_append_unique_oid(use->replaced, rte->relid);
		rte->relid = shard;
	}
	return query_tree_walker(query, use_shards, context, 0);
}

/* The planner, for shards where these are meant */
static PlannedStmt *
plan_for_shard(Query *query, const char *text, int options, ParamListInfo params)
{
	ShardUse	use = {0};
	PlannerInfo *functions = NULL;
	PlannedStmt *plan;

	if (has_citus && reads_function((Node *) query, NULL))
	{
		Query	   *whole = copyObject(query);

		functions = makeNode(PlannerInfo);
		functions->glob = makeNode(PlannerGlobal);
		functions->glob->boundParams = params;
		(void) put_functions((Node *) whole, functions);
		(void) collect_names((Node *) whole, &use);
		if (is_about_pipeline(use.tables))
			query = whole;
		else
			functions = NULL;
	}
	else if (has_citus || OidIsValid(local.shard))
		(void) collect_names((Node *) query, &use);
	/* what we ask of the catalogs of Citus is a query too */
	if (is_about_pipeline(use.tables))
	{
		bool		task = runs_task();

		plans.mixed = plans.mixed || plans.shard != local.shard || plans.task != task;
		if (OidIsValid(local.shard))
			use.choose = table_of_part;
		else if (task)
			use.choose = table_of_task;
		else if (!use.names_constraint) /* the shard has another */
			use.shards = shards_here(use.tables);
		if (use.choose || use.shards)
			(void) use_shards((Node *) query, &use);
	}
	plan = previous_planner ? previous_planner(query, text, options, params) :
		standard_planner(query, text, options, params);
	/* Citus says so of the table when a shard of it moves */
	plan->relationOids = list_concat_unique_oid(plan->relationOids, use.replaced);
	if (functions)
	{
		plan->invalItems = list_concat(plan->invalItems, functions->glob->invalItems);
		plan->dependsOnRole = plan->dependsOnRole || functions->glob->dependsOnRole;
	}
	return plan;
}

/* Keep shards that a statement writes without Citus on this node. */
static void
hold_shards(PlannedStmt *plan)
{
	Oid			held = InvalidOid;
	ListCell   *lc;

	foreach(lc, plan->resultRelations)
	{
		PipelinePart part;

		part.shard = rt_fetch(lfirst_int(lc), plan->rtable)->relid;
		part.schema = get_rel_namespace(part.shard);
		/* those of a pipeline move together */
		if (part.schema == held || !OidIsValid(leadscore_setting_table(part.schema)) || !leadscore_is_shard(part.shard))
			continue;
		/* a function in a task may write more than Citus holds */
		if (leadscore_in_task() &&
			!list_member_oid(plan->relationOids, get_relname_relid(leadscore_logical_name(part, part.shard), part.schema)))
			continue;
		leadscore_hold_shard(part);
		held = part.schema;
	}
}

/* A statement begins. */
static void
start_on_shard(QueryDesc *query, int eflags)
{
	if (!OidIsValid(local.shard) && !(eflags & EXEC_FLAG_EXPLAIN_ONLY))
		hold_shards(query->plannedstmt);
	if (previous_start)
		previous_start(query, eflags);
	else
		standard_ExecutorStart(query, eflags);
}

/*
 * Plan queries for a part of a pipeline from here on, if it is in shards, until
 * leadscore_leave_shard(), which is given what this returns.
 */
PipelinePart
leadscore_enter_shard(PipelinePart part)
{
	PipelinePart before = local;

	/* a function that one calls is about leads of the same set */
	if (OidIsValid(part.shard) && !OidIsValid(local.shard))
		local = part;
	return before;
}

/* Plan queries as before again. */
void
leadscore_leave_shard(PipelinePart before)
{
	local = before;
}

/* leadscore.part was set, or is again what it was. */
static void
assign_part(const char *newval, void *extra)
{
	char	   *end = NULL;

	(void) extra;
	local.schema = newval ? strtoul(newval, &end, 10) : InvalidOid;
	local.shard = newval ? strtoul(end, NULL, 10) : InvalidOid;
}

/*
 * Have queries planned for the values that they are run with, until the nesting
 * level of settings ends: by these Citus finds the node of a row.
 */
void
leadscore_plan_for_values(void)
{
	if (plan_cache_mode == PLAN_CACHE_MODE_FORCE_GENERIC_PLAN)
		(void) set_config_option("plan_cache_mode", "force_custom_plan", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
}

/*
 * A function in SQL begins, which names tables of a pipeline.  Its plans name them
 * or their shards, and may not be those that are meant now.  What Citus plans it
 * plans for the values that the query is run with: a function that asks for plans
 * which hold for all values gets others until it ends.
 */
void
leadscore_function_begins(Oid setting)
{
	bool		task = runs_task();

	if (plans.mixed || plans.shard != local.shard || plans.task != task)
	{
		plans.shard = local.shard;
		plans.task = task;
		plans.mixed = false;
		ResetPlanCache();
	}
	if (has_citus && plan_cache_mode == PLAN_CACHE_MODE_FORCE_GENERIC_PLAN && !OidIsValid(plans.shard) && !plans.task &&
		leadscore_is_distributed(setting) && !OidIsValid(leadscore_whole_here(setting)))
		leadscore_plan_for_values();
}

/*
 * The same for a function about one lead.  In a task it reads the shards that have
 * the lead, until it ends, whose settings are what they were then.
 */
void
leadscore_function_of_lead_begins(Oid setting, int64 lead_id)
{
	if (!OidIsValid(local.shard) && runs_task() && leadscore_is_spread(leadscore_table(get_rel_namespace(setting), "lead")))
	{
		PipelinePart part = leadscore_part_of_lead(get_rel_namespace(setting), lead_id);

		(void) set_config_option("leadscore.part", psprintf("%u %u", part.schema, part.shard), PGC_INTERNAL, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	}
	leadscore_function_begins(setting);
}

/* Define leadscore.part.  The module reserves its prefix later. */
void
leadscore_define_part(void)
{
	DefineCustomStringVariable("leadscore.part", "Schema and shard that a function works in.", NULL, &part_setting, NULL,
							   PGC_INTERNAL, GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE,
							   NULL, assign_part, NULL);
}

/* Called when the module is loaded, which Citus is before */
void
leadscore_shard_plan_init(void)
{
	has_citus = GetConfigOption("citus.shard_count", true, false) != NULL;
	if (has_citus)
	{
		own_task = (const uint64 *) load_external_function("$libdir/citus", "LocalExecutorShardId", false, NULL);
		previous_start = ExecutorStart_hook;
		ExecutorStart_hook = start_on_shard;
	}
	previous_planner = planner_hook;
	planner_hook = plan_for_shard;
}
