/*-------------------------------------------------------------------------
 *
 * pipeline_ddl.c
 *		Running the embedded DDL that makes up a pipeline.
 *
 * Every statement runs through SPI with its own text, so that a log of
 * statements or an extension that forwards the text sees that statement and
 * not the whole file.  Names in the files have no schema: they are looked up
 * along a fixed search_path.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "parser/scansup.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/syscache.h"

#include "compat.h"
#include "pipeline.h"
#include "pipeline_files.h"
#include "shard.h"

/*
 * Whether the folder reports/ is run in a schema of its own, <name>_reports.
 * False: its views are made in the schema of the pipeline.
 */
static const bool reports_apart = true;

PG_FUNCTION_INFO_V1(leadscore_version);
PG_FUNCTION_INFO_V1(leadscore_check_version);
PG_FUNCTION_INFO_V1(leadscore_reports_schema);
PG_FUNCTION_INFO_V1(leadscore_ddl_files);
PG_FUNCTION_INFO_V1(leadscore_ddl_views);
PG_FUNCTION_INFO_V1(leadscore_run_ddl);
PG_FUNCTION_INFO_V1(leadscore_known_pipeline);
PG_FUNCTION_INFO_V1(leadscore_pipeline_schema);
PG_FUNCTION_INFO_V1(leadscore_pipeline_of_lead);
PG_FUNCTION_INFO_V1(leadscore_pipeline_figure);

/* version(): of the library, which may differ from that of the extension */
Datum
leadscore_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(LEADSCORE_VERSION));
}

/* Compare two versions such as 0.9 and 0.10, number by number. */
static int
compare_versions(const char *a, const char *b)
{
	while (*a || *b)
	{
		char	   *a_end;
		char	   *b_end;
		long		a_part = strtol(a, &a_end, 10);
		long		b_part = strtol(b, &b_end, 10);

		if (a_part != b_part)
			return a_part < b_part ? -1 : 1;
		if (a_end == a && b_end == b)
			return strcmp(a, b);
		a = a_end + (*a_end == '.');
		b = b_end + (*b_end == '.');
	}
	return 0;
}

/* The version of the extension in this database */
static char *
installed_version(void)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	char	   *version = NULL;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("leadscore"));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		value = heap_getattr(tuple, Anum_pg_extension_extversion,
										 RelationGetDescr(rel), &isnull);

		version = TextDatumGetCString(value);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	if (version == NULL)
		elog(ERROR, "extension leadscore is not installed");
	return version;
}

/*
 * check_version(): the version of the library, or an error if the extension in
 * this database has another one.  Only functions that run the library's DDL
 * ask: a package upgrade replaces the library under all databases at once, and
 * nothing else may stop working then.
 */
Datum
leadscore_check_version(PG_FUNCTION_ARGS)
{
	char	   *installed = installed_version();
	int			order = compare_versions(LEADSCORE_VERSION, installed);

	if (order != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("library of leadscore has version %s, but the extension has version %s",
						LEADSCORE_VERSION, installed),
				 order > 0 ? errhint("Run ALTER EXTENSION leadscore UPDATE.") :
				 errhint("Reconnect, so that the session loads the newer library.")));
	PG_RETURN_TEXT_P(cstring_to_text(installed));
}

/* The schema that the reports of a pipeline are in */
static char *
reports_schema(const char *pipeline)
{
	return reports_apart ? psprintf("%s_reports", pipeline) : pstrdup(pipeline);
}

/* reports_schema(pipeline) */
Datum
leadscore_reports_schema(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(reports_schema(text_to_cstring(PG_GETARG_TEXT_PP(0)))));
}

/* ddl_files(): the names of all files, in their order */
Datum
leadscore_ddl_files(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	const PipelineFile *file;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	for (file = leadscore_pipeline_files; file->name; file++)
	{
		Datum		value = CStringGetTextDatum(file->name);
		bool		isnull = false;

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &value, &isnull);
	}
	return (Datum) 0;
}

/* The file of this name */
static const PipelineFile *
find_file(const char *name)
{
	const PipelineFile *file;

	for (file = leadscore_pipeline_files; file->name; file++)
		if (strcmp(file->name, name) == 0)
			return file;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the DDL of a pipeline has no file \"%s\"", name),
			 errhint("The files are listed by leadscore_internal.ddl_files().")));
}

/* ddl_views(file): the names of the views that a file creates */
Datum
leadscore_ddl_views(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	const PipelineFile *file = find_file(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	foreach(lc, raw_parser(file->text, RAW_PARSE_DEFAULT))
	{
		Node	   *statement = lfirst_node(RawStmt, lc)->stmt;

		if (IsA(statement, ViewStmt))
		{
			Datum		value = CStringGetTextDatum(((ViewStmt *) statement)->view->relname);
			bool		isnull = false;

			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &value, &isnull);
		}
	}
	return (Datum) 0;
}

/*
 * Fill in the names of the schemas: @pipeline@ and @reports@ as identifiers,
 * @pipeline_name@ as a string.  They stand in string bodies of functions.
 */
static char *
fill_in(const char *text, const char *pipeline, const char *reports)
{
	const struct
	{
		const char *placeholder;
		const char *value;
	}			names[] = {
		{"@pipeline@", quote_identifier(pipeline)},
		{"@reports@", quote_identifier(reports)},
		{"@pipeline_name@", quote_literal_cstr(pipeline)},
	};
	StringInfoData filled;

	initStringInfo(&filled);
	while (*text)
	{
		int			i;

		for (i = 0; i < lengthof(names); i++)
			if (strncmp(text, names[i].placeholder, strlen(names[i].placeholder)) == 0)
				break;
		if (i < lengthof(names))
		{
			appendStringInfoString(&filled, names[i].value);
			text	  +=strlen(names[i].placeholder);
		}
		else
			appendStringInfoChar(&filled, *text ++);
	}
	return filled.data;
}

/* Skip blanks and comments: they belong to no statement. */
static const char *
skip_comments(const char *text, const char *end)
{
	while (text <end)
	{
		if (scanner_isspace(*text))
			text	  ++;

		else if (end - text >=2 && text[0] == '-' && text[1] == '-')
			while (text <end && *text !='\n')
				text	  ++;

		else if (end - text >=2 && text[0] == '/' && text[1] == '*')
		{
			int			depth = 0;

			do
			{
				bool		opens = text[0] == '/' && text[1] == '*';
				bool		closes = text[0] == '*' && text[1] == '/';

				depth += opens - closes;
				text	  +=opens || closes ? 2 : 1;
			} while (depth > 0 && text <end);
		}
		else
			break;
	}
	return text;
}

/* A GUC for the time until the nesting level ends */
static void
set_guc(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/*
 * run_ddl(pipeline, file): run the statements of a file.  Bare names are
 * looked up in pg_catalog first, as it is not listed, then in the pipeline,
 * then in our schemas; new objects go to the first schema of the list.
 */
Datum
leadscore_run_ddl(PG_FUNCTION_ARGS)
{
	char	   *pipeline = text_to_cstring(PG_GETARG_TEXT_PP(0));
	const PipelineFile *file = find_file(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	char	   *reports = reports_schema(pipeline);
	Oid			setting = leadscore_setting_table(get_namespace_oid(pipeline, true));
	StringInfoData path;
	char	   *grant_path;
	char	   *text;
	int			nestlevel;
	ListCell   *lc;

	/* would end the bodies of functions, or the strings in them */
	if (strstr(pipeline, "$$") || strstr(pipeline, "$table$"))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("pipeline name \"%s\" contains \"%s\"", pipeline, strstr(pipeline, "$$") ? "$$" : "$table$"),
				 errhint("Choose another name, such as crm.")));

	initStringInfo(&path);
	if (strncmp(file->name, "reports/", strlen("reports/")) == 0 && reports_apart)
		appendStringInfo(&path, "%s, ", quote_identifier(reports));
	appendStringInfo(&path, "%s, ", quote_identifier(pipeline));
	grant_path = psprintf("%spg_temp", path.data);
	appendStringInfoString(&path, "leadscore, leadscore_internal, pg_temp");

	nestlevel = NewGUCNestLevel();
	set_guc("search_path", path.data);
	set_guc("client_min_messages", "warning");
	set_guc("check_function_bodies", "on");
	/* settings that change the meaning of a text */
	set_guc("standard_conforming_strings", "on");
	set_guc("quote_all_identifiers", "off");
	set_guc("transform_null_equals", "off");
	set_guc("array_nulls", "on");
	set_guc("datestyle", "ISO, MDY");
	set_guc("intervalstyle", "postgres");
	leadscore_prepare_citus(OidIsValid(setting) && leadscore_is_distributed(setting));
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	text = fill_in(file->text, pipeline, reports);

	foreach(lc, raw_parser(text, RAW_PARSE_DEFAULT))
	{
		RawStmt    *statement = lfirst_node(RawStmt, lc);
		const char *start = text +statement->stmt_location;
		const char *end = statement->stmt_len > 0 ? start + statement->stmt_len : start + strlen(start);
		int			result;

		start = skip_comments(start, end);

		/*
		 * Citus writes a GRANT anew for other nodes, with the types of
		 * functions as search_path has them here.
		 */
		set_guc("search_path", IsA(statement->stmt, GrantStmt) ? grant_path : path.data);
		result = SPI_execute(pnstrdup(start, end - start), false, 0);
		if (result < 0)
			elog(ERROR, "SPI_execute failed: %s", SPI_result_code_string(result));
	}
	SPI_finish();
	AtEOXact_GUC(true, nestlevel);
	PG_RETURN_VOID();
}

/* Run a query that returns one value; copy its text to the caller's context. */
static char *
query_text(const char *query)
{
	MemoryContext context = CurrentMemoryContext;
	char	   *value = NULL;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute(query, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute failed");
	if (SPI_processed > 0)
	{
		value = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
		if (value)
			value = MemoryContextStrdup(context, value);
	}
	SPI_finish();
	return value;
}

/*
 * known_pipeline(name): the schema of this name, or an error if it is not a
 * pipeline of the caller with a layout that we know.  Our functions run code of
 * the pipeline, which only its owner may trust, not even a superuser; and new
 * objects are to belong to its owner.
 */
Datum
leadscore_known_pipeline(PG_FUNCTION_ARGS)
{
	char	   *name;
	Oid			schema;
	Oid			setting;
	HeapTuple	tuple;
	Oid			owner;
	const char *layout;
	const PipelineFile *file;
	int			newest = 1;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("pipeline must not be null"),
				 errhint("Pass the name of a pipeline, such as crm.")));
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	schema = get_namespace_oid(name, true);
	setting = leadscore_setting_table(schema);
	if (!OidIsValid(setting))
	{
		const char *pipelines =
			query_text("SELECT pg_catalog.string_agg(n.nspname, ', ' ORDER BY n.nspname)"
					   " FROM pg_catalog.pg_class c"
					   "  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid"
					   "  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
					   " WHERE c.relname = 'setting' AND c.relkind = 'r' AND a.attname = 'layout_version'");

		ereport(ERROR,
				(errcode(OidIsValid(schema) ? ERRCODE_WRONG_OBJECT_TYPE : ERRCODE_INVALID_SCHEMA_NAME),
				 errmsg("schema \"%s\" is not a pipeline", name),
				 pipelines ? errhint("Pipelines of this database: %s.", pipelines) :
				 errhint("Create one with SELECT * FROM leadscore.create_pipeline(%s).",
						 quote_literal_cstr(name))));
	}

	tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(schema));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for namespace %u", schema);
	owner = ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner;
	ReleaseSysCache(tuple);
	if (owner == GetUserId())
		owner = leadscore_table_owner(setting);
	if (owner != GetUserId())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of pipeline \"%s\"", name),
				 errhint("Call it as its owner, after SET ROLE %s.",
						 quote_identifier(GetUserNameFromId(owner, false)))));

	layout = query_text(psprintf("SELECT layout_version FROM %s", leadscore_table_name(setting)));
	for (file = leadscore_pipeline_files; file->name; file++)
		if (strncmp(file->name, "layout/", strlen("layout/")) == 0)
			newest = Max(newest, strtol(file->name + strlen("layout/"), NULL, 10));
	if (layout && pg_strtoint32(layout) > newest)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("pipeline \"%s\" has layout version %s, which this version of leadscore does not know",
						name, layout),
				 errhint("Install the newer leadscore and run ALTER EXTENSION leadscore UPDATE.")));
	if (leadscore_is_distributed(setting))
		leadscore_use_one_connection();
	PG_RETURN_OID(schema);
}

/* The table setting of the pipeline that a function names, by the name of the time when it was made */
static Oid
named_pipeline(text *pipeline)
{
	char	   *name = text_to_cstring(pipeline);
	Oid			setting = leadscore_setting_table(get_namespace_oid(name, true));

	if (!OidIsValid(setting))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_SCHEMA_NAME),
				 errmsg("pipeline \"%s\" was renamed or dropped", name),
				 errhint("If it was renamed, its owner must call leadscore.upgrade_pipeline() with the new name.")));
	return setting;
}

/* pipeline_schema(name): functions whose body names their pipeline call this first. */
Datum
leadscore_pipeline_schema(PG_FUNCTION_ARGS)
{
	Oid			setting = named_pipeline(PG_GETARG_TEXT_PP(0));

	leadscore_function_begins(setting);
	PG_RETURN_OID(get_rel_namespace(setting));
}

/*
 * pipeline_of_lead(name, lead_id): the same for functions about one lead that a
 * view calls for each row
 */
Datum
leadscore_pipeline_of_lead(PG_FUNCTION_ARGS)
{
	Oid			setting = named_pipeline(PG_GETARG_TEXT_PP(0));

	leadscore_function_of_lead_begins(setting, PG_GETARG_INT64(1));
	PG_RETURN_OID(get_rel_namespace(setting));
}

/*
 * pipeline_figure(pipeline, figure): a column of the view pipelines.  Anybody
 * can make a schema that looks like a pipeline, with code in it that a query
 * would run; so the query runs as the owner of the table, and only if the
 * caller may see the whole table.
 */
Datum
leadscore_pipeline_figure(PG_FUNCTION_ARGS)
{
	static const struct
	{
		const char *name;
		const char *table;
		const char *column;
		Oid			type;
		const char *query;
	}			figures[] = {
		{"layout_version", "setting", "layout_version", INT4OID, "SELECT layout_version FROM %s LIMIT 1"},
		{"grain", "setting", "grain", INTERVALOID,
		"SELECT CASE WHEN pg_catalog.date_part('day', grain) OPERATOR(pg_catalog.>) 0 THEN '1 day' ELSE '1 hour' END FROM %s LIMIT 1"},
		{"leads", "lead", "lead_id", INT8OID, "SELECT pg_catalog.count(*) FROM %s"},
		{"events", "event", "lead_id", INT8OID, "SELECT pg_catalog.count(*) FROM %s"},
		{"due_reviews", "lead_state", "next_review_at", TIMESTAMPTZOID,
		"SELECT pg_catalog.count(*) FROM %s WHERE next_review_at OPERATOR(pg_catalog.<=) pg_catalog.now()"},
	};
	Oid			schema = PG_GETARG_OID(0);
	char	   *figure = text_to_cstring(PG_GETARG_TEXT_PP(1));
	int			i;
	Oid			relid;
	AttrNumber	column;
	UserSwitch	saved;
	int			nestlevel;
	char	   *value;

	for (i = 0; i < lengthof(figures); i++)
		if (strcmp(figures[i].name, figure) == 0)
			break;
	if (i == lengthof(figures))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown figure \"%s\"", figure),
				 errhint("Read the view leadscore.pipelines.")));
	relid = get_relname_relid(figures[i].table, schema);
	if (!OidIsValid(relid) || !OidIsValid(leadscore_setting_table(schema)) ||
		(get_rel_relkind(relid) != RELKIND_RELATION && get_rel_relkind(relid) != RELKIND_PARTITIONED_TABLE))
		PG_RETURN_NULL();
	column = get_attnum(relid, figures[i].column);
	if (column == InvalidAttrNumber || get_atttype(relid, column) != figures[i].type ||
		leadscore_schema_aclcheck(schema, GetUserId()) != ACLCHECK_OK ||
		(pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK &&
		 pg_attribute_aclcheck(relid, column, GetUserId(), ACL_SELECT) != ACLCHECK_OK) ||
		check_enable_rls(relid, GetUserId(), true) == RLS_ENABLED)
		PG_RETURN_NULL();

	nestlevel = NewGUCNestLevel();
	set_guc("search_path", "pg_catalog, pg_temp");
	GetUserIdAndSecContext(&saved.userid, &saved.sec_context);
	SetUserIdAndSecContext(leadscore_table_owner(relid), saved.sec_context |
						   SECURITY_RESTRICTED_OPERATION | SECURITY_NOFORCE_RLS);
	value = query_text(psprintf(figures[i].query, leadscore_table_name(relid)));
	leadscore_run_back(&saved);
	AtEOXact_GUC(true, nestlevel);
	if (value == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(value));
}
