/*-------------------------------------------------------------------------
 *
 * catalog.c
 *		Tables, columns and owners of a pipeline, and acting for an owner.
 *
 * The ground floor of what knows tables: nothing here reads a row of a pipeline
 * or keeps anything.  Anybody can make a schema that looks like a pipeline, so
 * nothing in one is taken on trust: each table and column is looked up by name,
 * and must be what it should be.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "catalog.h"

/* A table of a pipeline, which must be there, and be a table and no view */
Oid
leadscore_table(Oid schema, const char *name)
{
	Oid			relid = get_relname_relid(name, schema);
	char		relkind = OidIsValid(relid) ? get_rel_relkind(relid) : '\0';

	if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE)
	{
		char	   *schema_name = get_namespace_name(schema);

		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("schema \"%s\" is not a complete pipeline: table \"%s\" is missing",
						schema_name ? schema_name : "?", name),
				 errhint("Create pipelines with leadscore.create_pipeline(), and do not rename or move their tables.")));
	}
	return relid;
}

/* The quoted name of a table with its schema */
char *
leadscore_table_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

/* The owner of a table */
Oid
leadscore_table_owner(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * Do the owner's work as the owner, whatever row security says.  Restricted,
 * code of the owner's own cannot do anything as the caller later, which may be
 * a superuser.
 */
void
leadscore_run_as(Oid owner, bool restricted, UserSwitch *saved)
{
	GetUserIdAndSecContext(&saved->userid, &saved->sec_context);
	SetUserIdAndSecContext(owner, saved->sec_context |
						   SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS |
						   (restricted ? SECURITY_RESTRICTED_OPERATION : 0));
}

/* Be again who one was before leadscore_run_as(). */
void
leadscore_run_back(const UserSwitch *saved)
{
	SetUserIdAndSecContext(saved->userid, saved->sec_context);
}

/*
 * Who is at work: the role of SET ROLE, or else the one that logged in.  Not the
 * current role, which in the functions of a pipeline is its owner; and not the
 * role that logged in alone, which behind a pooler is the same for all.
 */
text *
leadscore_caller_name(void)
{
	return cstring_to_text(GetUserNameFromId(GetOuterUserId(), false));
}

/*
 * The engine does the work of the owner of event, so only the triggers of a
 * role that may act for that owner may run it.
 */
void
leadscore_check_owner(Relation rel)
{
	Oid			owner = leadscore_table_owner(leadscore_table(RelationGetNamespace(rel), "event"));

	if (!has_privs_of_role(rel->rd_rel->relowner, owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("table \"%s\" does not belong to the owner of pipeline \"%s\"",
						RelationGetRelationName(rel),
						get_namespace_name(RelationGetNamespace(rel))),
				 errhint("Give the tables of a pipeline one owner, and drop triggers of leadscore on other tables.")));
}

/* The caller must have the right on a table that the work needs. */
void
leadscore_check_maintainer(Oid schema, const char *table, AclMode mode)
{
	if (pg_class_aclcheck(leadscore_table(schema, table), GetUserId(), mode) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, table);
}

/* Was there ever a row in a table?  Cheap: mostly there was none. */
bool
leadscore_ever_filled(Oid table)
{
	Relation	rel = table_open(table, AccessShareLock);
	bool		filled = RelationGetNumberOfBlocks(rel) > 0;

	table_close(rel, AccessShareLock);
	return filled;
}

/* A type of ours */
Oid
leadscore_type(const char *name)
{
	return GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum(name),
						   ObjectIdGetDatum(get_namespace_oid("leadscore", false)));
}

/* Find a column by name and check its type. */
AttrNumber
leadscore_column(TupleDesc desc, const char *name, Oid type, const char *table)
{
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped || strcmp(NameStr(att->attname), name) != 0)
			continue;
		if (att->atttypid != type)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("column \"%s\" of table \"%s\" has type %s, not %s",
							name, table, format_type_be(att->atttypid),
							format_type_be(type)),
					 errhint("Give the column its type back; leadscore relies on it.")));
		return att->attnum;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("table \"%s\" has no column \"%s\"", table, name),
			 errhint("Give the column its name back; leadscore relies on it.")));
}

/* The table setting of a schema that is a pipeline, else InvalidOid */
Oid
leadscore_setting_table(Oid schema)
{
	Oid			relid = OidIsValid(schema) ? get_relname_relid("setting", schema) : InvalidOid;

	if (!OidIsValid(relid) || get_rel_relkind(relid) != RELKIND_RELATION ||
		get_attnum(relid, "layout_version") == InvalidAttrNumber)
		return InvalidOid;
	return relid;
}
