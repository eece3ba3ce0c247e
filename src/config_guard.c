/*-------------------------------------------------------------------------
 *
 * config_guard.c
 *		Changes of the configuration: the triggers that refuse some of them,
 *		keep writers out meanwhile and tell every backend's cache.
 *
 * A change that would make the past unexplainable is refused: edits of a model
 * that was active, another number for a signal.  Work that depends on the
 * number of leads is not done under the lock: leads are brought up to date
 * later, at their next write or by a sweep, because each knows the
 * configuration that it was brought up to date with.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "app.h"
#include "classify.h"
#include "condition.h"
#include "config_guard.h"
#include "guard.h"
#include "shard.h"

PG_FUNCTION_INFO_V1(leadscore_config_changing);
PG_FUNCTION_INFO_V1(leadscore_config_changed);
PG_FUNCTION_INFO_V1(leadscore_signals_changed);
PG_FUNCTION_INFO_V1(leadscore_content_changed);
PG_FUNCTION_INFO_V1(leadscore_lock_pipeline);

/* Columns of model that its activation writes, and the note */
static const char *const free_columns[] = {
	"status", "compiled", "note", "activated_by", "activated_at", NULL
};

/* A column of a row as text; NULL if there is no such column, or no row */
char *
leadscore_text_column(HeapTuple tuple, TupleDesc desc, const char *name)
{
	int			number = SPI_fnumber(desc, name);

	return number > 0 && tuple ? SPI_getvalue(tuple, desc, number) : NULL;
}

/* Are two texts equal, or both null? */
static bool
same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/*
 * Is a model frozen as of now?  It is if it is not a draft; but a row that it
 * was activated with may be put back, for a restore or a subscription may
 * bring the model first.
 */
static bool
is_frozen(Oid model_table, const char *model, const char *row)
{
	Oid			types[2] = {TEXTOID, TEXTOID};
	Datum		values[2];
	bool		frozen;
	UserSwitch	saved;
	char	   *sql = psprintf("SELECT FROM %s WHERE model OPERATOR(pg_catalog.=) $1"
							   " AND status OPERATOR(pg_catalog.<>) 'draft' AND ($2 IS NULL OR NOT"
							   " compiled::pg_catalog.text::pg_catalog.jsonb OPERATOR(pg_catalog.@>) $2::pg_catalog.jsonb)",
							   leadscore_table_name(model_table));

	values[0] = CStringGetTextDatum(model);
	values[1] = row ? CStringGetTextDatum(row) : (Datum) 0;
	leadscore_run_as(leadscore_table_owner(model_table), false, &saved);
	PushActiveSnapshot(GetLatestSnapshot());
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args(sql, 2, types, values, row ? NULL : " n", true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read a model: %s", sql);
	frozen = SPI_processed == 1;
	SPI_finish();
	PopActiveSnapshot();
	leadscore_run_back(&saved);
	return frozen;
}

/* The names in a row of a definition, as in the document of its model */
static char *
row_document(const char *table, TupleDesc desc, HeapTuple row)
{
	static const char *const names[] = {"dimension", "rule", "stage", "gate", "grade"};
	StringInfoData json;
	const char *separator = "";
	int			i;

	initStringInfo(&json);
	appendStringInfo(&json, "{\"%ss\": [{", table);
	for (i = 0; i < (int) lengthof(names); i++)
	{
		char	   *value = leadscore_text_column(row, desc, names[i]);

		if (value == NULL)
			continue;
		appendStringInfo(&json, "%s\"%s\": ", separator, names[i]);
		escape_json(&json, value);
		separator = ", ";
	}
	appendStringInfoString(&json, "}]}");
	return json.data;
}

/* Refuse to edit a model that is not a draft. */
static void
refuse_edit(const char *model)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("model \"%s\" is not a draft and cannot be edited", model),
			 errdetail("It explains stages of the past."),
			 errhint("Copy it with clone_model(), edit the copy, compare both with compare_models(), then call activate_model().")));
}

/* A row of a model's definition: its model must be a draft, before and after. */
static void
check_definition(Oid model_table, const char *table, TupleDesc desc, HeapTuple old, HeapTuple new)
{
	char	   *model;

	/* a model that is gone takes its rows with it */
	if (old && (model = leadscore_text_column(old, desc, "model")) != NULL &&
		is_frozen(model_table, model, NULL))
		refuse_edit(model);
	if (new && (model = leadscore_text_column(new, desc, "model")) != NULL &&
		is_frozen(model_table, model, old ? NULL : row_document(table, desc, new)))
		refuse_edit(model);
}

/* Are all columns of two rows the same but some? */
bool
leadscore_columns_kept(TupleDesc desc, HeapTuple old, HeapTuple new, const char *const *except)
{
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		const char *const *name;
		bool		old_null;
		bool		new_null;
		Datum		old_value;
		Datum		new_value;

		if (att->attisdropped)
			continue;
		for (name = except; *name && strcmp(*name, NameStr(att->attname)) != 0; name++)
			;
		if (*name)
			continue;
		old_value = heap_getattr(old, att->attnum, desc, &old_null);
		new_value = heap_getattr(new, att->attnum, desc, &new_null);
		if (old_null != new_null ||
			(!old_null && !datum_image_eq(old_value, new_value, att->attbyval, att->attlen)))
			return false;
	}
	return true;
}

/* A row of model: once active, only activation may change it. */
static void
check_model(TupleDesc desc, HeapTuple old, HeapTuple new)
{
	if (old && !same_text(leadscore_text_column(old, desc, "status"), "draft") &&
		(new == NULL || !leadscore_columns_kept(desc, old, new, free_columns)))
		refuse_edit(leadscore_text_column(old, desc, "model"));
}

/*
 * Do the rows come from a subscription or a restore?  They were checked at
 * their origin, and rows that they refer to may come later.  The settings tell:
 * every pipeline that was created has them.
 */
bool
leadscore_is_loading(PipelinePart part)
{
	Oid			setting = leadscore_sibling(part, "setting");
	bool		empty;
	UserSwitch	saved;

	if (SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA)
		return true;
	leadscore_run_as(leadscore_table_owner(setting), false, &saved);
	PushActiveSnapshot(GetLatestSnapshot());
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute(psprintf("SELECT FROM %s", leadscore_table_name(setting)), true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read settings");
	empty = SPI_processed == 0;
	SPI_finish();
	PopActiveSnapshot();
	leadscore_run_back(&saved);
	return empty;
}

/* Is a column the same in two rows? */
static bool
same_column(TupleDesc desc, const char *name, HeapTuple old, HeapTuple new)
{
	return same_text(leadscore_text_column(old, desc, name), leadscore_text_column(new, desc, name));
}

/* A row of signal: its number stays, and its paths use known variables. */
static void
check_signal(PipelinePart part, TupleDesc desc, HeapTuple old, HeapTuple new)
{
	static const char *const paths[] = {"condition", "quantity", "distinct_on"};
	const char *name = leadscore_text_column(new ? new : old, desc, "signal");
	const char *source;
	const char *old_id;
	PipelinePart whole = {part.schema, InvalidOid};
	int			i;

	old_id = old ? leadscore_text_column(old, desc, "signal_id") : NULL;
	if (old && same_text(old_id, "0"))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("signal \"%s\" is built in", name),
				 errhint("Define a signal of your own.")));
	if (old && new && !same_text(old_id, leadscore_text_column(new, desc, "signal_id")))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the signal_id of signal \"%s\" cannot be changed", name),
				 errdetail("Activities refer to the signal by this number."),
				 errhint("Define a new signal instead.")));
	if (old && new && (leadscore_text_column(old, desc, "distinct_on") == NULL) !=
		(leadscore_text_column(new, desc, "distinct_on") == NULL))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("distinct_on of signal \"%s\" cannot be set or removed", name),
				 errdetail("Models and segments that know the signal count its events, or its different values."),
				 errhint("Define a new signal instead.")));
	if (new == NULL || leadscore_is_loading(part))
		return;
	if (old && !(same_column(desc, "source", old, new) && same_column(desc, "condition", old, new)))
		leadscore_check_signal_of_segments(part, leadscore_text_column(old, desc, "signal"));
	source = leadscore_text_column(new, desc, "source");
	for (i = 0; i < (int) lengthof(paths); i++)
	{
		AttrNumber	number = leadscore_column(desc, paths[i], JSONPATHOID, "signal");
		bool		isnull;
		Datum		value = heap_getattr(new, number, desc, &isnull);
		JsonPath   *path;

		if (isnull)
			continue;
		path = (JsonPath *) PG_DETOAST_DATUM(value);
		if (leadscore_path_variables(path) != NIL)
			leadscore_check_path(leadscore_pipeline(whole),
								 same_text(source, "profile") ? SOURCE_PROFILE : SOURCE_EVENT,
								 path, psprintf("signal \"%s\"", name), paths[i]);
	}
}

/* The row of settings stays, and so does the grain: activities have it. */
static void
check_setting(TupleDesc desc, HeapTuple old, HeapTuple new)
{
	AttrNumber	number = leadscore_column(desc, "grain", INTERVALOID, "setting");
	Datum		grains[2];
	bool		nulls[2];

	if (old == NULL)
		return;
	if (new == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the settings of a pipeline cannot be deleted"),
				 errhint("Update the row.")));
	if (!leadscore_engine_is_writing() &&
		SessionReplicationRole != SESSION_REPLICATION_ROLE_REPLICA &&
		(!same_column(desc, "configuration", old, new) ||
		 !same_column(desc, "signals_configuration", old, new)))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the number of a pipeline's configuration cannot be changed by hand"),
				 errhint("It changes when a model is activated or signals are edited.")));
	grains[0] = heap_getattr(old, number, desc, &nulls[0]);
	grains[1] = heap_getattr(new, number, desc, &nulls[1]);
	if (nulls[0] || nulls[1] ||
		!DatumGetBool(DirectFunctionCall2(interval_eq, grains[0], grains[1])))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the grain of a pipeline cannot be changed"),
				 errdetail("The events of all leads are counted in buckets of this width."),
				 errhint("Create another pipeline of that grain, and copy leads and events.")));
}

/* Run a statement that changes the configuration; needs an SPI connection. */
void
leadscore_write_configuration(const char *sql, int nargs, Oid *types, Datum *values)
{
	SPIPlanPtr	plan = SPI_prepare(sql, nargs, types);

	if (plan == NULL)
		elog(ERROR, "could not prepare: %s", sql);
	CommandCounterIncrement();
	leadscore_engine_execute_everywhere(plan, values, GetLatestSnapshot());
}

/*
 * Put every lead behind: a writer, or a sweep, counts it again from its log.
 * The table that changed tells which shard of the settings goes with it.
 */
static void
count_again(PipelinePart part, Oid changed)
{
	UserSwitch	saved;
	int			nestlevel;

	leadscore_pipeline_lock(part);
	/* a copy of the signals goes with no shard of leads in particular */
	leadscore_run_as(leadscore_table_owner(changed), false, &saved);
	nestlevel = leadscore_fix_path();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	/* every node that has a copy finds the same number */
	leadscore_write_configuration(psprintf("UPDATE %s SET (configuration, signals_configuration) ="
										   " (configuration OPERATOR(pg_catalog.+) 1, configuration OPERATOR(pg_catalog.+) 1)",
										   leadscore_table_name(leadscore_sibling(part, "setting"))),
								  0, NULL, NULL);
	SPI_finish();
	AtEOXact_GUC(true, nestlevel);
	leadscore_run_back(&saved);
}

/* Is there a signal that asks for one of two roles, or for any role at all? */
static bool
role_is_signal(PipelinePart part, const char *one, const char *other)
{
	Oid			signal = leadscore_sibling(part, "signal");
	Oid			types[2] = {TEXTOID, TEXTOID};
	Datum		values[2];
	char		nulls[2];
	bool		found;
	UserSwitch	saved;
	const char *sql = psprintf("SELECT FROM %s WHERE event_role IS NOT NULL AND ($1 IS NULL AND $2 IS NULL"
							   " OR event_role OPERATOR(pg_catalog.=) $1 OR event_role OPERATOR(pg_catalog.=) $2)",
							   leadscore_table_name(signal));

	values[0] = one ? CStringGetTextDatum(one) : (Datum) 0;
	values[1] = other ? CStringGetTextDatum(other) : (Datum) 0;
	nulls[0] = one ? ' ' : 'n';
	nulls[1] = other ? ' ' : 'n';
	leadscore_run_as(leadscore_table_owner(signal), false, &saved);
	PushActiveSnapshot(GetLatestSnapshot());
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args(sql, 2, types, values, nulls, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read signals: %s", sql);
	found = SPI_processed == 1;
	SPI_finish();
	PopActiveSnapshot();
	leadscore_run_back(&saved);
	return found;
}

/*
 * A row of event_kind, or all rows: if signals ask for a role of it, events
 * that are in the log already may count for them, or no longer.
 */
static void
follow_kind(PipelinePart part, Relation rel, HeapTuple old, HeapTuple new)
{
	TupleDesc	desc = RelationGetDescr(rel);

	if (leadscore_is_loading(part))
		return;
	if (old && new && same_column(desc, "kind", old, new) && same_column(desc, "role", old, new))
		return;
	/* a signal that is being defined meanwhile is to be seen */
	leadscore_pipeline_lock(part);
	if (role_is_signal(part, leadscore_text_column(old, desc, "role"), leadscore_text_column(new, desc, "role")))
		count_again(part, RelationGetRelid(rel));
}

/* Is a row of content the same in all that conditions may ask for? */
static bool
same_content(TupleDesc desc, HeapTuple old, HeapTuple new)
{
	static const char *const columns[] = {"content", "kind", "topic", "intent", "stage", "persona"};
	int			i;

	for (i = 0; i < (int) lengthof(columns); i++)
		if (!same_column(desc, columns[i], old, new))
			return false;
	return true;
}

/*
 * config_changing(): BEFORE INSERT, UPDATE or DELETE FOR EACH STATEMENT, on the
 * configuration tables whose changes keep writers out.
 */
Datum
leadscore_config_changing(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_STATEMENT(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("config_changing: must be called as a BEFORE trigger, for each statement"),
				 errhint("Use leadscore.create_pipeline().")));
	leadscore_check_owner(trigdata->tg_relation);
	leadscore_pipeline_line_up(leadscore_part(RelationGetRelid(trigdata->tg_relation)));
	return PointerGetDatum(NULL);
}

/*
 * config_changed(): AFTER INSERT, UPDATE or DELETE FOR EACH ROW, and AFTER
 * TRUNCATE FOR EACH STATEMENT, on every configuration table.
 */
Datum
leadscore_config_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Relation	rel;
	const char *table;
	PipelinePart part;
	Oid			model_table;
	HeapTuple	old = NULL;
	HeapTuple	new = NULL;
	bool		locks;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigdata->tg_event) ||
		!TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event) != (TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) != 0))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("config_changed: must be called as an AFTER trigger, for each row but on TRUNCATE"),
				 errhint("Use leadscore.create_pipeline().")));
	rel = trigdata->tg_relation;
	leadscore_check_owner(rel);
	part = leadscore_part(RelationGetRelid(rel));
	table = leadscore_logical_name(part, RelationGetRelid(rel));
	model_table = leadscore_sibling(part, "model");
	/* the tables on which writers of events depend */
	locks = strcmp(table, "signal") == 0 || strcmp(table, "value_list") == 0 ||
		strcmp(table, "content") == 0 || strcmp(table, "setting") == 0;

	if (TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event))
	{
		if (strcmp(table, "value_list") != 0 && strcmp(table, "content") != 0 &&
			strcmp(table, "event_kind") != 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("configuration table \"%s\" cannot be truncated", table),
					 errhint("Delete the rows that are not needed, such as those of a draft.")));
		if (strcmp(table, "event_kind") == 0)
			follow_kind(part, rel, NULL, NULL);
	}
	else
	{
		TupleDesc	desc = RelationGetDescr(rel);

		if (TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
			new = trigdata->tg_trigtuple;
		else
			old = trigdata->tg_trigtuple;
		if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
			new = trigdata->tg_newtuple;

		/* nothing that the engine reads follows from a title */
		if (strcmp(table, "content") == 0 && old && new && same_content(desc, old, new))
			return PointerGetDatum(NULL);

		/*
		 * A draft stays one while its rows are edited, and its activation
		 * waits: else it would be compiled without them.
		 */
		if (!locks && SessionReplicationRole != SESSION_REPLICATION_ROLE_REPLICA &&
			!leadscore_engine_is_writing())
			LockRelationOid(model_table, RowShareLock);
		if (strcmp(table, "setting") == 0)
			check_setting(desc, old, new);
		else if (strcmp(table, "signal") == 0)
			check_signal(part, desc, old, new);
		else if (strcmp(table, "event_kind") == 0)
			follow_kind(part, rel, old, new);
		else if (strcmp(table, "model") == 0)
		{
			check_model(desc, old, new);

			/*
			 * Nothing that writers read follows from a note.  Two sessions
			 * that edit it hold a lock on this table already, and would wait
			 * for each other.
			 */
			if (!old || !new || !same_column(desc, "status", old, new) ||
				!same_column(desc, "compiled", old, new))
				locks |= (old && !same_text(leadscore_text_column(old, desc, "status"), "draft")) ||
					(new && !same_text(leadscore_text_column(new, desc, "status"), "draft"));
		}
		else if (strcmp(table, "segment") == 0)
			leadscore_check_segment(part, desc, old, new);
		else if (strcmp(table, "segment_condition") == 0)
			leadscore_check_segment_condition(part, desc, old, new);
		else if (strcmp(table, "model_activation") == 0 || strcmp(table, "segment_activation") == 0)
		{
			/* kept by the engine, see guard.c */
		}
		else if (SPI_fnumber(desc, "model") > 0)
			check_definition(model_table, table, desc, old, new);
	}
	/* a subscription fills its tables side by side: none waits for another */
	if (locks && !(TRIGGER_FIRED_BY_INSERT(trigdata->tg_event) &&
				   SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA))
		leadscore_pipeline_lock(part);
	/* for the engine, and for queries of the whole of a distributed pipeline */
	CacheInvalidateRelcacheByRelid(model_table);
	CacheInvalidateRelcacheByRelid(leadscore_table(part.schema, "model"));
	return PointerGetDatum(NULL);
}

/* Events that were purged stay counted as they were: say of how many leads. */
static void
tell_of_purged(PipelinePart part)
{
	Oid			checkpoint = leadscore_table(part.schema, "lead_checkpoint");
	char	   *sql;
	UserSwitch	saved;
	bool		isnull;
	int64		n = 0;

	if (!leadscore_ever_filled(checkpoint))
		return;
	sql = psprintf("SELECT pg_catalog.count(*) FROM %s", leadscore_table_name(checkpoint));
	leadscore_run_as(leadscore_table_owner(checkpoint), false, &saved);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute(sql, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not execute: %s", sql);
	n = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	leadscore_run_back(&saved);
	if (n > 0)
		ereport(NOTICE,
				(errmsg_plural("events of " INT64_FORMAT " lead were purged and stay counted as signals were defined then",
							   "events of " INT64_FORMAT " leads were purged and stay counted as signals were defined then",
							   (unsigned long) n, n)));
}

static Datum
signals_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	PipelinePart part;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_STATEMENT(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("signals_changed: must be called as an AFTER trigger, for each statement"),
				 errhint("Use leadscore.create_pipeline().")));
	leadscore_check_owner(trigdata->tg_relation);
	part = leadscore_part(RelationGetRelid(trigdata->tg_relation));
	if (leadscore_is_loading(part))
		return PointerGetDatum(NULL);
	count_again(part, RelationGetRelid(trigdata->tg_relation));
	tell_of_purged(part);
	return PointerGetDatum(NULL);
}

/*
 * signals_changed(): AFTER INSERT, UPDATE, DELETE or TRUNCATE on signal and
 * value_list, FOR EACH STATEMENT.  Counts follow from signals, so from here on
 * every lead is behind: it is counted again from its log.
 */
Datum
leadscore_signals_changed(PG_FUNCTION_ARGS)
{
	return leadscore_call_discreetly(signals_changed, fcinfo);
}

/*
 * Did a statement change some columns of a content, and, if asked so, one that an
 * event names?  An event may name it and count for no signal that asks for it.
 */
static bool
content_differs(TriggerData *trigdata, Oid event, const char *columns, bool named)
{
	char	   *difference;
	char	   *sql;
	bool		differs;
	UserSwitch	saved;

	if (TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
		difference = psprintf("SELECT %s FROM new_content", columns);
	else if (TRIGGER_FIRED_BY_DELETE(trigdata->tg_event))
		difference = psprintf("SELECT %s FROM old_content", columns);
	else
		difference = psprintf("(SELECT %s FROM new_content EXCEPT SELECT %s FROM old_content)"
							  " UNION ALL (SELECT %s FROM old_content EXCEPT SELECT %s FROM new_content)",
							  columns, columns, columns, columns);
	sql = psprintf("SELECT FROM (%s) c", difference);
	if (named)
		sql = psprintf("%s WHERE EXISTS (SELECT FROM %s e WHERE e.properties OPERATOR(pg_catalog.?) 'content'"
					   " AND pg_catalog.left(e.properties OPERATOR(pg_catalog.->>) 'content', 100) COLLATE pg_catalog.\"C\""
					   " OPERATOR(pg_catalog.=) c.content)", sql, leadscore_table_name(event));
	leadscore_run_as(leadscore_table_owner(RelationGetRelid(trigdata->tg_relation)), false, &saved);
	PushActiveSnapshot(GetLatestSnapshot());
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_register_trigger_data(trigdata) != SPI_OK_TD_REGISTER)
		elog(ERROR, "SPI_register_trigger_data failed");
	if (SPI_execute(sql, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not compare contents: %s", sql);
	differs = SPI_processed == 1;
	SPI_finish();
	PopActiveSnapshot();
	leadscore_run_back(&saved);
	return differs;
}

static Datum
content_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Oid			relid;
	Oid			event;
	PipelinePart part;
	PipelinePart whole = {InvalidOid, InvalidOid};
	StringInfoData columns;
	int			used;
	int			i;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_STATEMENT(trigdata->tg_event) ||
		(!TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event) && !trigdata->tg_newtable && !trigdata->tg_oldtable))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("content_changed: must be called as an AFTER trigger, for each statement, with transition tables but on TRUNCATE"),
				 errhint("Use leadscore.create_pipeline().")));
	leadscore_check_owner(trigdata->tg_relation);
	relid = RelationGetRelid(trigdata->tg_relation);
	part = leadscore_part(relid);
	whole.schema = part.schema;
	event = leadscore_table(part.schema, "event");
	if (leadscore_is_loading(part))
		return PointerGetDatum(NULL);
	if (!TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event) &&
		!content_differs(trigdata, event, "content, kind, topic, intent, stage, persona", false))
		return PointerGetDatum(NULL);
	/* signals and events that are written meanwhile are to be seen */
	leadscore_pipeline_lock(part);
	used = leadscore_pipeline(whole)->content_used;
	if (used == 0)
		return PointerGetDatum(NULL);
	initStringInfo(&columns);
	appendStringInfoString(&columns, "content");
	for (i = 0; i < CONTENT_COLUMNS; i++)
		if (used & (1 << i))
			appendStringInfo(&columns, ", %s", leadscore_content_variables[i] + strlen("content_"));
	/* events of a distributed pipeline cannot be asked here */
	if (OidIsValid(part.shard) || leadscore_is_distributed(event) ||
		TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event) ||
		content_differs(trigdata, event, columns.data, true))
		count_again(part, relid);
	return PointerGetDatum(NULL);
}

/*
 * content_changed(): AFTER INSERT, UPDATE or DELETE on content, FOR EACH
 * STATEMENT, with transition tables, and AFTER TRUNCATE.  If signals ask for
 * what changed, and events name a content that changed, every lead is behind.
 */
Datum
leadscore_content_changed(PG_FUNCTION_ARGS)
{
	return leadscore_call_discreetly(content_changed, fcinfo);
}

/* lock_pipeline(pipeline): writers wait until the transaction ends */
Datum
leadscore_lock_pipeline(PG_FUNCTION_ARGS)
{
	Oid			schema = PG_GETARG_OID(0);
	ListCell   *lc;

	leadscore_check_maintainer(schema, "lead_state", ACL_UPDATE);
	foreach(lc, leadscore_parts(schema, DEBUG1))
	{
		leadscore_pipeline_line_up(*(PipelinePart *) lfirst(lc));
		leadscore_pipeline_lock(*(PipelinePart *) lfirst(lc));
	}
	PG_RETURN_VOID();
}
