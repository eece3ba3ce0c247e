/*-------------------------------------------------------------------------
 *
 * own_code.c
 *		Code of users that writing a table runs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "pipeline.h"

/* Is a schema the extension's? */
static bool
is_our_schema(Oid schema)
{
	return schema == get_namespace_oid("leadscore", true) ||
		schema == get_namespace_oid("leadscore_internal", true);
}

static bool
is_own_function(Oid function, void *context)
{
	return function >= FirstNormalObjectId && !is_our_schema(get_func_namespace(function));
}

/* Does an expression call a function that is neither PostgreSQL's nor ours? */
static bool
has_own_function(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (check_functions_in_node(node, is_own_function, NULL))
		return true;
	return expression_tree_walker(node, has_own_function, context);
}

/* Does an index compare by functions that are neither PostgreSQL's nor ours? */
static bool
has_own_family(Relation index)
{
	int			i;

	for (i = 0; i < index->rd_index->indnkeyatts; i++)
	{
		HeapTuple	tuple;
		bool		own;

		if (index->rd_opfamily[i] < FirstNormalObjectId)
			continue;
		tuple = SearchSysCache1(OPFAMILYOID, ObjectIdGetDatum(index->rd_opfamily[i]));
		own = !HeapTupleIsValid(tuple) ||
			!is_our_schema(((Form_pg_opfamily) GETSTRUCT(tuple))->opfnamespace);
		if (HeapTupleIsValid(tuple))
			ReleaseSysCache(tuple);
		if (own)
			return true;
	}
	return false;
}

/*
 * May a write run code of users: triggers, defaults, checks, indexes, domains?
 * It would run as the owner, so under a search_path that the caller has not
 * chosen.  To set one takes longer than to look up a lead.
 */
bool
leadscore_runs_own_code(Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	List	   *indexes = RelationGetIndexList(rel);
	ListCell   *lc;
	int			i;

	if (rel->rd_rel->relkind != RELKIND_RELATION || rel->rd_rel->relispartition)
		return true;
	/* those of foreign keys too: they may write tables that have others */
	for (i = 0; rel->trigdesc && i < rel->trigdesc->numtriggers; i++)
		if (!is_our_schema(get_func_namespace(rel->trigdesc->triggers[i].tgfoid)))
			return true;
	for (i = 0; desc->constr && i < desc->constr->num_check; i++)
		if (has_own_function(stringToNode(desc->constr->check[i].ccbin), NULL))
			return true;
	/* what is generated is among the defaults */
	for (i = 0; desc->constr && i < desc->constr->num_defval; i++)
		if (has_own_function(stringToNode(desc->constr->defval[i].adbin), NULL))
			return true;
	for (i = 0; i < desc->natts; i++)
		if (get_typtype(TupleDescAttr(desc, i)->atttypid) == TYPTYPE_DOMAIN)
			return true;
	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		bool		own = has_own_function((Node *) RelationGetIndexExpressions(index), NULL) ||
			has_own_function((Node *) RelationGetIndexPredicate(index), NULL) ||
			has_own_family(index);

		index_close(index, AccessShareLock);
		if (own)
			return true;
	}
	return false;
}

/*
 * Let code of users find nothing of the caller's, until AtEOXact_GUC() with the
 * level that is returned.  Plans are kept, and a plan that was made while a table
 * was empty would read it whole for each lead once it is full.
 */
int
leadscore_fix_path(void)
{
	int			level = NewGUCNestLevel();

	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("enable_seqscan", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	return level;
}
