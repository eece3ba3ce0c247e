/*-------------------------------------------------------------------------
 *
 * segment_config.c
 *		The configuration of segments: which edits are refused, and how a
 *		segment comes into use and goes out of it.
 *
 * An activation writes the definition to segment_activation, with a number of
 * the order in which models are activated too.  So the history of segments can
 * be replayed, and each lead knows by lead_state.configuration whether it has
 * followed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "classify.h"
#include "config_guard.h"
#include "guard.h"
#include "progress.h"
#include "segment_compile.h"
#include "shard.h"

PG_FUNCTION_INFO_V1(leadscore_activate_segment);
PG_FUNCTION_INFO_V1(leadscore_retire_segment);

#define EQ " OPERATOR(pg_catalog.=) "

/* What is no part of a segment's definition: the note, and the status, of which another error tells */
static const char *const free_columns[] = {"note", "enrolls", "status", NULL};
static const char *const note[] = {"note", "enrolls", NULL};

/* Columns of segment_condition that tell drafts and active segments apart no more */
static const char *const no_columns[] = {NULL};

/*
 * Read a text with the newest snapshot; NULL if there is no row.  The statement
 * takes up to two texts.  Needs an SPI connection.
 */
static char *
read_text(const char *sql, Datum one, Datum two)
{
	Oid			types[2] = {TEXTOID, TEXTOID};
	Datum		values[2];
	char	   *result;

	values[0] = one;
	values[1] = two;
	CommandCounterIncrement();
	PushActiveSnapshot(GetLatestSnapshot());
	if (SPI_execute_with_args(sql, two ? 2 : 1, types, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read segments: %s", sql);
	PopActiveSnapshot();
	result = SPI_processed == 0 ? NULL : SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	return result;
}

/*
 * A column of the first row of a table that a condition on a text finds, as its
 * owner sees it; NULL if there is none.
 */
static char *
read_as_owner(PipelinePart part, const char *table, const char *column, const char *condition,
			  const char *text)
{
	MemoryContext context = CurrentMemoryContext;
	Oid			relid = leadscore_sibling(part, table);
	UserSwitch	saved;
	char	   *result;

	leadscore_run_as(leadscore_table_owner(relid), false, &saved);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	result = read_text(psprintf("SELECT %s FROM %s WHERE %s LIMIT 1", column, leadscore_table_name(relid), condition),
					   CStringGetTextDatum(text), (Datum) 0);
	if (result)
		result = MemoryContextStrdup(context, result);
	SPI_finish();
	leadscore_run_back(&saved);
	return result;
}

/* Refuse to edit a segment that is not a draft. */
static void
refuse_edit(const char *segment)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("segment \"%s\" is not a draft and cannot be edited", segment),
			 errdetail("It explains which leads were in it."),
			 errhint("Copy it with clone_segment(), edit the copy, look at segment_preview(), then call activate_segment() with the old name as replaces.")));
}

/* Is a row of segment a draft? */
static bool
is_draft(HeapTuple row, TupleDesc desc)
{
	char	   *status = leadscore_text_column(row, desc, "status");

	return status && strcmp(status, "draft") == 0;
}

/* A row of segment: once active, only activation may change it. */
void
leadscore_check_segment(PipelinePart part, TupleDesc desc, HeapTuple old, HeapTuple new)
{
	bool		frozen = old && !is_draft(old, desc);

	if (leadscore_engine_is_writing() || leadscore_is_loading(part))
		return;
	if (frozen && (new == NULL || !leadscore_columns_kept(desc, old, new, free_columns)))
		refuse_edit(leadscore_text_column(old, desc, "segment"));
	if (new && (frozen ? !leadscore_columns_kept(desc, old, new, note) : !is_draft(new, desc)))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the status of segment \"%s\" cannot be changed by hand",
						leadscore_text_column(new, desc, "segment")),
				 errhint("Call activate_segment() or retire_segment().")));
}

/* A row of segment_condition: of a draft, before and after, about things that are there. */
void
leadscore_check_segment_condition(PipelinePart part, TupleDesc desc, HeapTuple old, HeapTuple new)
{
	PipelinePart whole = {part.schema, InvalidOid};
	HeapTuple	rows[2] = {old, new};
	AttrNumber	number = leadscore_column(desc, "lead_condition", JSONPATHOID, "segment_condition");
	char	   *dimension = leadscore_text_column(new, desc, "dimension");
	bool		isnull = true;
	Datum		path = (Datum) 0;
	int			i;

	if (leadscore_engine_is_writing() || leadscore_is_loading(part))
		return;
	if (old && new && leadscore_columns_kept(desc, old, new, no_columns))
		return;
	for (i = 0; i < 2; i++)
	{
		char	   *segment = leadscore_text_column(rows[i], desc, "segment");
		char	   *status = segment ? read_as_owner(part, "segment", "status", "segment" EQ "$1", segment) : NULL;

		/* a segment that is gone takes its rows with it */
		if (status && strcmp(status, "draft") != 0)
			refuse_edit(segment);
	}
	if (new == NULL)
		return;
	if (dimension && !read_as_owner(part, "dimension", "dimension", "dimension" EQ "$1", dimension))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("condition \"%s\" of segment \"%s\" names an unknown dimension \"%s\"",
						leadscore_text_column(new, desc, "condition"),
						leadscore_text_column(new, desc, "segment"), dimension),
				 errhint("Define the dimension in a model first, or correct its name.")));
	path = heap_getattr(new, number, desc, &isnull);
	if (!isnull)
		leadscore_check_path(leadscore_pipeline(whole), SOURCE_PROFILE,
							 (JsonPath *) PG_DETOAST_DATUM(path),
							 psprintf("condition \"%s\" of segment \"%s\"",
									  leadscore_text_column(new, desc, "condition"),
									  leadscore_text_column(new, desc, "segment")), "lead_condition");
}

/*
 * A signal that is to match something else: not one that stands for a condition
 * on the lead, which says in the segment what it matches.
 */
void
leadscore_check_signal_of_segments(PipelinePart part, const char *signal)
{
	char	   *segment = read_as_owner(part, "segment_condition", "segment",
										"signal" EQ "$1 AND lead_condition IS NOT NULL ORDER BY condition_id", signal);

	if (segment)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("signal \"%s\" stands for a lead_condition of segment \"%s\" and cannot be edited", signal, segment),
				 errhint("Define another signal. To change the segment, copy it with clone_segment(), edit the copy, then call activate_segment() with the old name as replaces.")));
}

/* Every dimension that an active segment asks for must be in a model that is to be active. */
void
leadscore_check_dimensions(const char *schema, Datum model)
{
	char	   *found = read_text(psprintf("SELECT pg_catalog.format('segment \"%%s\" asks for dimension \"%%s\"', c.segment, c.dimension)"
										   " FROM %s.segment_condition c JOIN %s.segment s ON s.segment" EQ "c.segment"
										   " WHERE s.status" EQ "'active' AND c.dimension IS NOT NULL AND NOT EXISTS ("
										   "SELECT FROM %s.dimension d WHERE d.model" EQ "$1 AND d.dimension" EQ "c.dimension)"
										   " ORDER BY c.condition_id LIMIT 1", schema, schema, schema),
								  model, (Datum) 0);

	if (found)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s, which model \"%s\" does not have", found, TextDatumGetCString(model)),
				 errhint("Add the dimension to the model, or replace or retire the segment first.")));
}

/* An activation while it is being done, as the owner and under the pipeline's lock */
typedef struct Activation
{
	Oid			schema_oid;
	char	   *schema;			/* quoted */
	Datum		segment;		/* name of it */
	UserSwitch	saved;
	int			nestlevel;
	bool		outermost;		/* see leadscore_progress_begin() */
} Activation;

/* Run a statement, which takes the name of the segment and another text. */
static void
run(const Activation *a, const char *sql, Datum other)
{
	Oid			types[2] = {TEXTOID, TEXTOID};
	Datum		values[2];

	values[0] = a->segment;
	values[1] = other;
	leadscore_write_configuration(sql, other ? 2 : 1, types, values);
}

/* The status of a segment; an error that lists the segments if it is not there */
static char *
require_status(const Activation *a, Datum segment)
{
	char	   *status = read_text(psprintf("SELECT status FROM %s.segment WHERE segment" EQ "$1", a->schema),
								   segment, (Datum) 0);

	if (status == NULL)
	{
		char	   *names = read_text(psprintf("SELECT pg_catalog.string_agg(segment, ', ' ORDER BY segment) FROM %s.segment"
											   " WHERE $1 IS NOT NULL", a->schema), segment, (Datum) 0);

		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("segment \"%s\" does not exist", TextDatumGetCString(segment)),
				 errhint("Segments of this pipeline: %s.", names ? names : "none")));
	}
	return status;
}

/* Begin to change the segments of a pipeline. */
static void
begin(Activation *a, Oid schema, Datum segment, ProgressTask task)
{
	PipelinePart whole = {schema, InvalidOid};

	leadscore_check_maintainer(schema, "segment", ACL_UPDATE);
	a->outermost = leadscore_progress_begin(schema, task, PHASE_WAIT);
	a->schema_oid = schema;
	a->schema = pstrdup(quote_identifier(get_namespace_name(schema)));
	a->segment = segment;
	leadscore_run_as(leadscore_table_owner(leadscore_table(schema, "event")), true, &a->saved);
	a->nestlevel = leadscore_fix_path();
	leadscore_prepare_citus(true);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	(void) require_status(a, segment);
	leadscore_pipeline_line_up(whole);
	leadscore_pipeline_lock(whole);
}

/* Give the activations of models numbers after this one, in their order; returns how many. */
static int64
move_activations(const Activation *a, int64 number)
{
	Oid			type = INT8OID;
	Datum		value = Int64GetDatum(number);
	int64		n;

	CommandCounterIncrement();
	PushActiveSnapshot(GetLatestSnapshot());
	if (SPI_execute(psprintf("SELECT activation_id FROM %s.model_activation", a->schema), true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read activations");
	PopActiveSnapshot();
	n = (int64) SPI_processed;
	if (n > 0)
		leadscore_write_configuration(psprintf("UPDATE %s.model_activation a SET activation_id = $1 OPERATOR(pg_catalog.+) o.place"
											   " FROM (SELECT activation_id, pg_catalog.row_number() OVER (ORDER BY activation_id) AS place"
											   " FROM %s.model_activation) o WHERE o.activation_id" EQ "a.activation_id",
											   a->schema, a->schema), 1, &type, &value);
	return n;
}

/*
 * Append a row to segment_activation: from now on the configuration has its
 * number.  Without a definition the segment is retired.
 */
static void
append(const Activation *a, const char *definition)
{
	TimestampTz at;
	Oid			types[5] = {TEXTOID, TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID};
	Datum		values[5];
	int64		number = leadscore_next_activation(a->schema, &at);
	bool		has_leads = leadscore_has_leads(a->schema);

	values[0] = a->segment;
	values[1] = PointerGetDatum(leadscore_caller_name());
	values[2] = CStringGetTextDatum(definition ? definition : "");
	values[3] = Int64GetDatum(number);
	values[4] = TimestampTzGetDatum(at);
	leadscore_write_configuration(psprintf("INSERT INTO %s.segment_activation (segment, segment_id, definition, activation_id, activated_at, activated_by)"
										   " SELECT s.segment, s.segment_id, %s, $4, $5, $2 FROM %s.segment s WHERE s.segment" EQ "$1",
										   a->schema, definition ? "$3::pg_catalog.jsonb" : "NULL::pg_catalog.jsonb", a->schema),
								  5, types, values);

	/*
	 * Before there is a lead the active model has judged nothing yet: let it
	 * begin after the segment, which then holds for all the past.
	 */
	if (!has_leads)
		number += move_activations(a, number);
	values[3] = Int64GetDatum(number);
	leadscore_write_configuration(psprintf("UPDATE %s.setting SET configuration = $1", a->schema), 1, &types[3], &values[3]);
}

/* End it; with wait bring all leads up to date.  Returns how many followed. */
static int64
end(Activation *a, bool wait)
{
	int64		followed;

	SPI_finish();
	AtEOXact_GUC(true, a->nestlevel);
	leadscore_run_back(&a->saved);
	CommandCounterIncrement();
	followed = wait ? leadscore_follow(a->schema_oid) : 0;
	leadscore_progress_end(a->outermost);
	return followed;
}

/* Refuse a second ideal customer profile beside an active one that is not replaced. */
static void
check_ideal_customer(const Activation *a, Datum replaces)
{
	char	   *found = read_text(psprintf("SELECT o.segment FROM %s.segment s JOIN %s.segment o ON o.ideal_customer"
										   " AND o.status" EQ "'active' AND o.segment OPERATOR(pg_catalog.<>) $2"
										   " WHERE s.segment" EQ "$1 AND s.ideal_customer LIMIT 1", a->schema, a->schema),
								  a->segment, replaces);

	if (found)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("segment \"%s\" is the ideal customer profile already", found),
				 errhint("Replace that one, or retire it first.")));
}

/* Let a draft take the place of an active segment: the name and the number stay. */
static void
replace(Activation *a, Datum replaces)
{
	char	   *other;

	if (strcmp(require_status(a, replaces), "active") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("segment \"%s\" is not active and cannot be replaced", TextDatumGetCString(replaces)),
				 errhint("Call activate_segment() with one argument.")));
	if (read_text(psprintf("SELECT condition FROM %s.segment_condition WHERE segment" EQ "$1 AND in_segment" EQ "$2",
						   a->schema), a->segment, replaces))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("segment \"%s\" would name itself", TextDatumGetCString(replaces)),
				 errhint("Remove the condition with in_segment from \"%s\".", TextDatumGetCString(a->segment))));
	other = read_text(psprintf("SELECT c.segment FROM %s.segment_condition c JOIN %s.segment_condition o ON o.segment" EQ "c.segment"
							   " AND o.condition" EQ "c.condition AND o.negate" EQ "c.negate"
							   " WHERE c.in_segment" EQ "$1 AND o.in_segment" EQ "$2 LIMIT 1", a->schema, a->schema),
					  a->segment, replaces);
	if (other)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a condition of segment \"%s\" names both \"%s\" and \"%s\"", other,
						TextDatumGetCString(a->segment), TextDatumGetCString(replaces)),
				 errhint("Delete one of the two rows: they would be the same.")));
	run(a, psprintf("UPDATE %s.segment t SET (persona, ideal_customer, min_match_share, note) ="
					" (SELECT d.persona, d.ideal_customer, d.min_match_share, d.note FROM %s.segment d WHERE d.segment" EQ "$1)"
					" WHERE t.segment" EQ "$2", a->schema, a->schema), replaces);
	run(a, psprintf("DELETE FROM %s.segment_condition WHERE $1 IS NOT NULL AND segment" EQ "$2", a->schema), replaces);
	run(a, psprintf("UPDATE %s.segment_condition SET segment = $2 WHERE segment" EQ "$1", a->schema), replaces);
	run(a, psprintf("UPDATE %s.segment_condition SET in_segment = $2 WHERE in_segment" EQ "$1", a->schema), replaces);
	run(a, psprintf("DELETE FROM %s.segment WHERE segment" EQ "$1", a->schema), (Datum) 0);
	a->segment = replaces;
}

/* Refuse a segment that asks for what is not there, or for itself; it is active already. */
static void
check_references(const Activation *a)
{
	const char *name = TextDatumGetCString(a->segment);
	char	   *found = read_text(psprintf("SELECT model FROM %s.model WHERE status" EQ "'active' AND $1 IS NOT NULL", a->schema),
								  a->segment, (Datum) 0);

	if (found == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no model is active"),
				 errhint("Call activate_model() first: segments are looked at together with stages.")));
	leadscore_check_dimensions(a->schema, CStringGetTextDatum(found));
	found = read_text(psprintf("WITH RECURSIVE named (segment) AS ("
							   "SELECT c.in_segment FROM %s.segment_condition c WHERE c.segment" EQ "$1 AND c.in_segment IS NOT NULL"
							   " UNION SELECT c.in_segment FROM named n JOIN %s.segment_condition c ON c.segment" EQ "n.segment"
							   " WHERE c.in_segment IS NOT NULL) SELECT n.segment FROM named n WHERE n.segment" EQ "$1",
							   a->schema, a->schema), a->segment, (Datum) 0);
	if (found)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("segment \"%s\" names itself, through the segments in its conditions", name),
				 errhint("Remove one of the conditions with in_segment.")));
	found = read_text(psprintf("SELECT c.in_segment FROM %s.segment_condition c JOIN %s.segment s ON s.segment" EQ "c.in_segment"
							   " WHERE c.segment" EQ "$1 AND s.status OPERATOR(pg_catalog.<>) 'active' ORDER BY c.condition_id LIMIT 1",
							   a->schema, a->schema), a->segment, (Datum) 0);
	if (found)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("segment \"%s\" names segment \"%s\", which is not active", name, found),
				 errhint("Activate that one first.")));
	found = read_text(psprintf("SELECT 'full' FROM %s.segment WHERE status" EQ "'active' AND segment OPERATOR(pg_catalog.<>) $1"
							   " HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>=) %d", a->schema, MAX_SEGMENTS),
					  a->segment, (Datum) 0);
	if (found)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("%d segments are active already", MAX_SEGMENTS),
				 errhint("Retire segments that are not needed.")));
}

/* Find the profile signals of conditions on the lead, and make those that are not there. */
static void
make_signals(const Activation *a)
{
	char	   *missing = psprintf("FROM %s.segment_condition c WHERE c.segment" EQ "$1 AND c.lead_condition IS NOT NULL"
								   " AND NOT EXISTS (SELECT FROM %s.signal g WHERE g.source" EQ "'profile'"
								   " AND g.condition::pg_catalog.text" EQ "c.lead_condition::pg_catalog.text)",
								   a->schema, a->schema);

	/* the trigger of this statement would count all leads again for nothing */
	if (read_text(psprintf("SELECT c.condition %s LIMIT 1", missing), a->segment, (Datum) 0))
		run(a, psprintf("INSERT INTO %s.signal (signal, source, condition, note)"
						" SELECT DISTINCT ON (c.lead_condition::pg_catalog.text)"
						" pg_catalog.format('%%s/%%s/%%s', c.segment, c.condition, c.condition_id),"
						" 'profile', c.lead_condition, 'made by activate_segment()' %s"
						" ORDER BY c.lead_condition::pg_catalog.text, c.condition_id", a->schema, missing), (Datum) 0);
	run(a, psprintf("UPDATE %s.segment_condition c SET signal = (SELECT g.signal FROM %s.signal g WHERE g.source" EQ "'profile'"
					" AND g.condition::pg_catalog.text" EQ "c.lead_condition::pg_catalog.text ORDER BY g.signal_id LIMIT 1)"
					" WHERE c.segment" EQ "$1 AND c.lead_condition IS NOT NULL", a->schema, a->schema), (Datum) 0);
}

/* Compile the definition of a segment, to report what is wrong with it. */
static void
check_definition(const Activation *a)
{
	PipelinePart whole = {a->schema_oid, InvalidOid};
	Pipeline   *pipeline = leadscore_pipeline(whole);
	Segment		segment = {0};
	char	   *definition = read_text(psprintf("SELECT %s.segment_definition($1)", a->schema),
									   a->segment, (Datum) 0);

	leadscore_segment_compile(DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(definition))),
							  pipeline->grain, false, &segment);
}

static Datum
activate_segment(PG_FUNCTION_ARGS)
{
	Activation	a;
	char	   *status;

	/* not strict, for it may replace nothing */
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(3))
		PG_RETURN_NULL();
	leadscore_refuse_wait(PG_GETARG_OID(0), PG_GETARG_BOOL(3));
	begin(&a, PG_GETARG_OID(0), PG_GETARG_DATUM(1), TASK_ACTIVATE_SEGMENT);
	status = require_status(&a, a.segment);
	if (strcmp(status, "active") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("segment \"%s\" is active already", TextDatumGetCString(a.segment)),
				 errhint("To change it, copy it with clone_segment(), edit the copy, then activate the copy with the old name as replaces.")));
	check_ideal_customer(&a, PG_ARGISNULL(2) ? a.segment : PG_GETARG_DATUM(2));
	if (!PG_ARGISNULL(2))
	{
		if (strcmp(status, "draft") != 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("segment \"%s\" is not a draft and cannot take the place of another",
							TextDatumGetCString(a.segment)),
					 errhint("Copy it with clone_segment() first.")));
		replace(&a, PG_GETARG_DATUM(2));
	}
	make_signals(&a);
	check_definition(&a);
	run(&a, psprintf("UPDATE %s.segment SET status = 'active', activated_by = $2, activated_at = pg_catalog.now()"
					 " WHERE segment" EQ "$1", a.schema),
		PointerGetDatum(leadscore_caller_name()));
	check_references(&a);
	append(&a, read_text(psprintf("SELECT %s.segment_definition($1)", a.schema), a.segment, (Datum) 0));
	PG_RETURN_INT64(end(&a, PG_GETARG_BOOL(3)));
}

/*
 * activate_segment(pipeline, segment, replaces, wait): from now on the engine
 * records who enters the segment and leaves it.  With replaces the definition
 * takes the place of that of an active segment.  Leads follow as they follow
 * activate_model(); returns how many did.
 */
Datum
leadscore_activate_segment(PG_FUNCTION_ARGS)
{
	return leadscore_call_discreetly(activate_segment, fcinfo);
}

static Datum
retire_segment(PG_FUNCTION_ARGS)
{
	Activation	a;
	char	   *other;

	leadscore_refuse_wait(PG_GETARG_OID(0), PG_GETARG_BOOL(2));
	begin(&a, PG_GETARG_OID(0), PG_GETARG_DATUM(1), TASK_RETIRE_SEGMENT);
	if (strcmp(require_status(&a, a.segment), "active") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("segment \"%s\" is not active", TextDatumGetCString(a.segment)),
				 errhint("Only an active segment can be retired; delete a draft.")));
	other = read_text(psprintf("SELECT s.segment FROM %s.segment_condition c JOIN %s.segment s ON s.segment" EQ "c.segment"
							   " WHERE c.in_segment" EQ "$1 AND s.status" EQ "'active' ORDER BY c.condition_id LIMIT 1",
							   a.schema, a.schema), a.segment, (Datum) 0);
	if (other)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("segment \"%s\" is named by segment \"%s\"", TextDatumGetCString(a.segment), other),
				 errhint("Replace or retire that one first.")));
	run(&a, psprintf("UPDATE %s.segment SET status = 'retired' WHERE segment" EQ "$1", a.schema), (Datum) 0);
	append(&a, NULL);
	PG_RETURN_INT64(end(&a, PG_GETARG_BOOL(2)));
}

/*
 * retire_segment(pipeline, segment, wait): from now on nobody is in the segment;
 * its history stays.  Leads follow likewise; returns how many did.
 */
Datum
leadscore_retire_segment(PG_FUNCTION_ARGS)
{
	return leadscore_call_discreetly(retire_segment, fcinfo);
}
