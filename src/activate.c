/*-------------------------------------------------------------------------
 *
 * activate.c
 *		The activation of models, and what it shares with that of segments.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "config_guard.h"
#include "guard.h"
#include "progress.h"
#include "shard.h"
#include "sweep.h"

PG_FUNCTION_INFO_V1(leadscore_activate_model);

/*
 * The number that the configuration gets by an activation, and the instant of
 * that, which is no earlier than those before: a transaction that waited for the
 * lock may be older.  Under the pipeline's lock, with an SPI connection.
 */
int64
leadscore_next_activation(const char *schema, TimestampTz *at)
{
	char	   *sql = psprintf("SELECT GREATEST(s.configuration, pg_catalog.max(a.activation_id)) OPERATOR(pg_catalog.+) 1,"
							   " GREATEST(pg_catalog.now(), pg_catalog.max(a.activated_at)) FROM %s.setting s LEFT JOIN"
							   " (SELECT activation_id, activated_at FROM %s.model_activation"
							   " UNION ALL SELECT activation_id, activated_at FROM %s.segment_activation) a ON true"
							   " GROUP BY s.configuration", schema, schema, schema);
	bool		isnull;

	CommandCounterIncrement();
	PushActiveSnapshot(GetLatestSnapshot());
	if (SPI_execute(sql, true, 1) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not read the configuration: %s", sql);
	PopActiveSnapshot();
	*at = DatumGetTimestampTz(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull));
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

/* Has a pipeline a lead?  Needs an SPI connection. */
bool
leadscore_has_leads(const char *schema)
{
	char	   *sql = psprintf("SELECT 1 FROM %s.lead LIMIT 1", schema);

	CommandCounterIncrement();
	PushActiveSnapshot(GetLatestSnapshot());
	if (SPI_execute(sql, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look for leads: %s", sql);
	PopActiveSnapshot();
	return SPI_processed > 0;
}

/* The newest status of a model; an error that lists the models if it is not there */
static char *
model_status(Oid model_table, Datum model)
{
	Oid			type = TEXTOID;
	char	   *sql = psprintf("SELECT status, (SELECT pg_catalog.string_agg(n.model, ', ' ORDER BY n.model) FROM %s n)"
							   " FROM (SELECT) one LEFT JOIN %s m ON m.model OPERATOR(pg_catalog.=) $1",
							   leadscore_table_name(model_table), leadscore_table_name(model_table));
	char	   *status;

	PushActiveSnapshot(GetLatestSnapshot());
	if (SPI_execute_with_args(sql, 1, &type, &model, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read a model: %s", sql);
	PopActiveSnapshot();
	status = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	if (status == NULL)
	{
		char	   *names = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2);

		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("model \"%s\" does not exist", TextDatumGetCString(model)),
				 errhint("Models of this pipeline: %s.", names ? names : "none")));
	}
	return status;
}

/* A model with all its rows as one document, as text */
static Datum
model_document(const char *schema, Datum model)
{
	Oid			type = TEXTOID;
	char	   *sql = psprintf("SELECT %s.model_definition($1)::pg_catalog.text", schema);

	CommandCounterIncrement();
	PushActiveSnapshot(GetLatestSnapshot());
	if (SPI_execute_with_args(sql, 1, &type, &model, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read a model: %s", sql);
	PopActiveSnapshot();
	return CStringGetTextDatum(SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1));
}

/*
 * Leads on other nodes cannot follow in this transaction: they wait for its
 * locks.
 */
void
leadscore_refuse_wait(Oid schema, bool wait)
{
	if (wait && leadscore_is_distributed(leadscore_table(schema, "event")))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("leads of a distributed pipeline cannot be waited for"),
				 errhint("Leave out wait, and call sweep() afterwards until it returns 0.")));
}

/* How many leads a pipeline has, for other sessions that look on. */
static int64
count_leads(Oid schema)
{
	Oid			state = leadscore_table(schema, "lead_state");
	char	   *sql = psprintf("SELECT pg_catalog.count(*) FROM %s", leadscore_table_name(state));
	UserSwitch	saved;
	bool		isnull;
	int64		n;

	leadscore_run_as(leadscore_table_owner(state), true, &saved);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute(sql, true, 0) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not count leads: %s", sql);
	n = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	leadscore_run_back(&saved);
	return n;
}

/* Bring all leads of a pipeline up to the configuration; returns how many it did. */
int64
leadscore_follow(Oid schema)
{
	int64		followed = 0;
	ListCell   *lc;

	leadscore_progress_phase(PHASE_FOLLOW, count_leads(schema));
	foreach(lc, leadscore_parts(schema, NOTICE))
	{
		int64		n;

		while ((n = leadscore_sweep_part(*(PipelinePart *) lfirst(lc), 10000)) > 0)
			followed += n;
	}
	return followed;
}

static Datum
activate_model(PG_FUNCTION_ARGS)
{
	PipelinePart whole = {PG_GETARG_OID(0), InvalidOid};
	Datum		model = PG_GETARG_DATUM(1);
	bool		wait = PG_GETARG_BOOL(2);
	Oid			model_table = leadscore_table(whole.schema, "model");
	char	   *name = leadscore_table_name(model_table);
	char	   *schema = pstrdup(quote_identifier(get_namespace_name(whole.schema)));
	char	   *activation = leadscore_table_name(leadscore_table(whole.schema, "model_activation"));
	Oid			types[3] = {TEXTOID, TEXTOID, TEXTOID};
	Datum		values[3];
	int64		number;
	TimestampTz at;
	int64		followed = 0;
	bool		outermost;
	UserSwitch	saved;
	int			nestlevel;

	leadscore_check_maintainer(whole.schema, "model", ACL_UPDATE);
	leadscore_refuse_wait(whole.schema, wait);
	outermost = leadscore_progress_begin(whole.schema, TASK_ACTIVATE_MODEL, PHASE_WAIT);
	values[0] = model;
	values[1] = PointerGetDatum(leadscore_caller_name());
	leadscore_run_as(leadscore_table_owner(leadscore_table(whole.schema, "event")), true, &saved);
	nestlevel = leadscore_fix_path();
	leadscore_prepare_citus(true);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	(void) model_status(model_table, model);
	leadscore_pipeline_line_up(whole);
	leadscore_pipeline_lock(whole);
	if (strcmp(model_status(model_table, model), "active") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("model \"%s\" is active already", TextDatumGetCString(model)),
				 errhint("To change it, copy it with clone_model(), edit the copy, then activate the copy.")));
	leadscore_check_dimensions(schema, model);
	leadscore_write_configuration(psprintf("UPDATE %s SET status = 'retired' WHERE status OPERATOR(pg_catalog.=) 'active'", name),
								  0, NULL, NULL);
	values[2] = model_document(schema, model);
	leadscore_write_configuration(psprintf("UPDATE %s SET status = 'active', compiled = $3::leadscore.lead_model,"
										   " activated_by = $2, activated_at = pg_catalog.now()"
										   " WHERE model OPERATOR(pg_catalog.=) $1", name),
								  3, types, values);
	/* models that were active before there was a lead have judged nothing */
	if (!leadscore_has_leads(schema))
		leadscore_write_configuration(psprintf("DELETE FROM %s", activation), 0, NULL, NULL);
	number = leadscore_next_activation(schema, &at);
	types[1] = INT8OID;
	values[1] = Int64GetDatum(number);
	types[2] = TIMESTAMPTZOID;
	values[2] = TimestampTzGetDatum(at);
	leadscore_write_configuration(psprintf("INSERT INTO %s (model, activation_id, activated_at) VALUES ($1, $2, $3)", activation),
								  3, types, values);
	leadscore_write_configuration(psprintf("UPDATE %s.setting SET configuration = $1", schema), 1, &types[1], &values[1]);
	SPI_finish();
	AtEOXact_GUC(true, nestlevel);
	leadscore_run_back(&saved);
	CommandCounterIncrement();
	if (wait)
		followed = leadscore_follow(whole.schema);
	leadscore_progress_end(outermost);
	PG_RETURN_INT64(followed);
}

/*
 * activate_model(pipeline, model, wait): makes a model the one that scores.
 * Leads follow at their next write or by sweep(); with wait all of them before
 * this returns, and writers are kept out so long.  Returns how many followed.
 */
Datum
leadscore_activate_model(PG_FUNCTION_ARGS)
{
	return leadscore_call_discreetly(activate_model, fcinfo);
}
