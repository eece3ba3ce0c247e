/*-------------------------------------------------------------------------
 *
 * compat.h
 *		Differences between PostgreSQL 15, 16, 17 and 18, in one place.
 *
 * Include it after postgres.h and fmgr.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_COMPAT_H
#define LEADSCORE_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "leadscore needs PostgreSQL 15 or later"
#endif

/* VARDATA() and friends moved out of postgres.h in 16. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/*
 * Soft errors came in 16.  Before, an input function has no error context
 * and every error is thrown.
 */
#if PG_VERSION_NUM >= 160000
#include "nodes/miscnodes.h"
#else
#define errsave(context, ...) \
	do { \
		(void) (context); \
		ereport(ERROR, __VA_ARGS__); \
	} while (0)
#define ereturn(context, dummy_value, ...) \
	do { \
		errsave(context, __VA_ARGS__); \
		return dummy_value; \
	} while (0)
#define SOFT_ERROR_OCCURRED(context) ((void) (context), false)
#endif

/* Name and version of a loaded module are visible from 18 on. */
#ifndef PG_MODULE_MAGIC_EXT
#define PG_MODULE_MAGIC_EXT(...) PG_MODULE_MAGIC
#endif

/* Index scans can be instrumented from 18 on. */
#if PG_VERSION_NUM >= 180000
#define leadscore_index_beginscan(heap, index, snapshot, nkeys) \
	index_beginscan(heap, index, snapshot, NULL, nkeys, 0)
#else
#define leadscore_index_beginscan(heap, index, snapshot, nkeys) \
	index_beginscan(heap, index, snapshot, nkeys, 0)
#endif

/* Permissions left the range table in 16, and pruning came to it in 18. */
#if PG_VERSION_NUM >= 180000
#define leadscore_init_range_table(estate, rte) \
	do { \
		List	   *perminfos = NIL; \
		addRTEPermissionInfo(&perminfos, rte); \
		ExecInitRangeTable(estate, list_make1(rte), perminfos, bms_make_singleton(1)); \
	} while (0)
#elif PG_VERSION_NUM >= 160000
#define leadscore_init_range_table(estate, rte) \
	do { \
		List	   *perminfos = NIL; \
		addRTEPermissionInfo(&perminfos, rte); \
		ExecInitRangeTable(estate, list_make1(rte), perminfos); \
	} while (0)
#else
#define leadscore_init_range_table(estate, rte) \
	ExecInitRangeTable(estate, list_make1(rte))
#endif

/* Updates tell from 16 on whether summarizing indexes alone need entries. */
#if PG_VERSION_NUM >= 160000
#define leadscore_update_indexes	TU_UpdateIndexes
#define leadscore_insert_index_tuples(result, slot, estate, indexes) \
	list_free(ExecInsertIndexTuples(result, slot, estate, true, false, NULL, NIL, \
									(indexes) == TU_Summarizing))
#else
#define leadscore_update_indexes	bool
#define leadscore_insert_index_tuples(result, slot, estate, indexes) \
	list_free(ExecInsertIndexTuples(result, slot, estate, true, false, NULL, NIL))
#endif

#if PG_VERSION_NUM >= 160000
#define leadscore_epq_init(epq, estate)	EvalPlanQualInit(epq, estate, NULL, NIL, -1, NIL)
#else
#define leadscore_epq_init(epq, estate)	EvalPlanQualInit(epq, estate, NULL, NIL, -1)
#endif

/* One function for all kinds of objects from 16 on */
#if PG_VERSION_NUM >= 160000
#define leadscore_schema_aclcheck(schema, role) \
	object_aclcheck(NamespaceRelationId, schema, role, ACL_USAGE)
#else
#define leadscore_schema_aclcheck(schema, role) \
	pg_namespace_aclcheck(schema, role, ACL_USAGE)
#endif

/* Whether a lock that cannot be had is logged can be said from 18 on. */
#if PG_VERSION_NUM >= 180000
#define leadscore_lock_if_free(tag, mode)	LockAcquireExtended(tag, mode, false, true, false, NULL, false)
#else
#define leadscore_lock_if_free(tag, mode)	LockAcquireExtended(tag, mode, false, true, false, NULL)
#endif

#endif							/* LEADSCORE_COMPAT_H */
