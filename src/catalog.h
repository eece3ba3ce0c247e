/*-------------------------------------------------------------------------
 *
 * catalog.h
 *		Tables, columns and owners of a pipeline, and acting for an owner.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_CATALOG_H
#define LEADSCORE_CATALOG_H

#include "access/attnum.h"
#include "access/tupdesc.h"
#include "nodes/parsenodes.h"
#include "utils/relcache.h"

/*
 * Which pipeline: its schema, or of a distributed one the part that is in one
 * shard of each table
 */
typedef struct PipelinePart
{
	Oid			schema;
	Oid			shard;			/* one of them, if there are any */
} PipelinePart;

/* Who one was before running as somebody else */
typedef struct UserSwitch
{
	Oid			userid;
	int			sec_context;
} UserSwitch;

extern Oid	leadscore_setting_table(Oid schema);
extern Oid	leadscore_table(Oid schema, const char *name);
extern char *leadscore_table_name(Oid relid);
extern Oid	leadscore_table_owner(Oid relid);
extern void leadscore_run_as(Oid owner, bool restricted, UserSwitch *saved);
extern void leadscore_run_back(const UserSwitch *saved);
extern text *leadscore_caller_name(void);
extern void leadscore_check_owner(Relation rel);
extern void leadscore_check_maintainer(Oid schema, const char *table, AclMode mode);
extern bool leadscore_ever_filled(Oid table);
extern Oid	leadscore_type(const char *name);
extern AttrNumber leadscore_column(TupleDesc desc, const char *name, Oid type,
								   const char *table);

#endif							/* LEADSCORE_CATALOG_H */
