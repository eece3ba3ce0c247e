/*-------------------------------------------------------------------------
 *
 * guard.c
 *		Keeps other writers from the tables that the engine keeps, and rows of
 *		the owner's out of errors.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "executor/spi_priv.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/syscache.h"

#include "guard.h"
#include "shard.h"

PG_FUNCTION_INFO_V1(leadscore_guard_engine_table);

/* depth of calls in which the engine writes its tables through SPI */
static int	engine_depth = 0;

/*
 * leadscore.engine_writes: does the engine of another node do so, by a statement
 * that Citus sends here?  Only in such a task does it mean anything.
 */
static bool engine_writes = false;

/* Define the parameter; called when the library is loaded. */
void
leadscore_define_engine_writes(void)
{
	DefineCustomBoolVariable("leadscore.engine_writes",
							 "Tells other nodes of Citus that the engine writes.",
							 NULL, &engine_writes, false, PGC_USERSET, GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE,
							 NULL, NULL, NULL);
}

/* Tell other nodes that what comes is written by the engine, or no more. */
static void
tell_nodes(bool writes)
{
	int			nestlevel;

	if (leadscore_in_task() || GetConfigOption("citus.propagate_set_commands", true, false) == NULL)
		return;
	nestlevel = NewGUCNestLevel();
	(void) set_config_option("citus.propagate_set_commands", "local", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	if (SPI_execute(writes ? "SELECT leadscore_internal.tell_nodes(true)" : "SELECT leadscore_internal.tell_nodes(false)",
					false, 0) < 0)
		elog(ERROR, "could not set leadscore.engine_writes");
	AtEOXact_GUC(true, nestlevel);
}

/* Run a statement of the engine's on tables that may be on other nodes. */
void
leadscore_engine_execute_everywhere(SPIPlanPtr plan, Datum *values, Snapshot snapshot)
{
	tell_nodes(true);
	leadscore_engine_execute(plan, values, snapshot, InvalidSnapshot, false);
	tell_nodes(false);
}

/*
 * guard_engine_table(): BEFORE INSERT, UPDATE, DELETE or TRUNCATE on tables
 * that the engine keeps, FOR EACH STATEMENT.  Refuses every other writer.
 * Logical replication and restores with disabled triggers do not fire it.
 */
Datum
leadscore_guard_engine_table(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_STATEMENT(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("guard_engine_table: must be called as a BEFORE trigger, for each statement"),
				 errhint("Use leadscore.attach_pipeline().")));
	if (!leadscore_engine_is_writing())
	{
		const char *table = RelationGetRelationName(trigdata->tg_relation);

		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is kept by leadscore and cannot be changed by hand", table),
				 strncmp(table, "model_activation", strlen("model_activation")) == 0 ?
				 errhint("Call activate_model(), which writes to it.") :
				 strncmp(table, "segment_activation", strlen("segment_activation")) == 0 ?
				 errhint("Call activate_segment() or retire_segment(), which write to it.") :
				 errhint("Change the events and the lead that its rows follow from. To repair a lead, call rebuild_by_id(). To load a copy of the table, call leadscore.detach_pipeline() before it and leadscore.attach_pipeline() after it.")));
	}
	return PointerGetDatum(NULL);
}

/* Is the engine writing tables that it keeps? */
bool
leadscore_engine_is_writing(void)
{
	return engine_depth > 0 || (engine_writes && leadscore_in_task());
}

/*
 * Plan a statement of a few leads by indexes.  One that was planned while a table
 * was empty would read it whole for each lead once it is full.  A scan that is
 * left makes its cost so high that the server would compile it each time.
 */
static void
plan_by_index(SPIPlanPtr plan)
{
	int			nestlevel = NewGUCNestLevel();
	CachedPlan *cached;

	(void) set_config_option("enable_seqscan", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("jit", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	cached = SPI_plan_get_cached_plan(plan);
	if (cached)
		ReleaseCachedPlan(cached, plan->saved ? CurrentResourceOwner : NULL);
	AtEOXact_GUC(true, nestlevel);
}

/*
 * Prepare a statement of ours, and keep its plan: to plan it costs many times
 * what it costs to run it.  It is no parallel plan, as a query may run it for
 * each lead, and would start workers each time.
 */
SPIPlanPtr
leadscore_keep_plan(const char *sql, int nargs, Oid *types)
{
	SPIPlanPtr	plan = SPI_prepare_cursor(sql, nargs, types, CURSOR_OPT_GENERIC_PLAN | CURSOR_OPT_NO_SCROLL);

	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "could not prepare: %s", sql);
	plan_by_index(plan);
	return plan;
}

/* Plan a statement that is kept anew, if it has to be, before it is run. */
void
leadscore_renew_plan(SPIPlanPtr plan)
{
	if (!SPI_plan_is_valid(plan))
		plan_by_index(plan);
}

/*
 * Call a function of a pipeline, which leaves its result in SPI_tuptable; nulls may
 * be NULL.  Triggers of the owner's find nothing that the caller chose, if it has
 * fixed the path.  Needs an SPI connection.
 */
void
leadscore_call_function(PipelinePart part, const char *function, int nargs, const Oid *types,
						Datum *values, const char *nulls, bool read_only)
{
	PipelinePart before;
	StringInfoData sql;
	int			i;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT %s.%s(", quote_identifier(get_namespace_name(part.schema)), function);
	for (i = 1; i <= nargs; i++)
		appendStringInfo(&sql, "%s$%d", i > 1 ? ", " : "", i);
	appendStringInfoChar(&sql, ')');
	before = leadscore_enter_shard(part);
	PG_TRY();
	{
		if (SPI_execute_with_args(sql.data, nargs, unconstify(Oid *, types), values, nulls, read_only, 0) < 0)
			elog(ERROR, "could not execute: %s", sql.data);
	}
	PG_FINALLY();
	{
		leadscore_leave_shard(before);
	}
	PG_END_TRY();
}

/* Run a plan; nulls may be NULL. */
static void
execute(SPIPlanPtr plan, Datum *values, const char *nulls, Snapshot snapshot, Snapshot crosscheck,
		bool read_only)
{
	int			result;

	leadscore_renew_plan(plan);
	engine_depth++;
	PG_TRY();
	{
		/*
		 * without a limit of rows: with one, statement triggers would not
		 * fire
		 */
		result = SPI_execute_snapshot(plan, values, nulls, snapshot, crosscheck, read_only, true, 0);
	}
	PG_FINALLY();
	{
		engine_depth--;
	}
	PG_END_TRY();
	if (result < 0)
		elog(ERROR, "SPI_execute_snapshot failed: %s", SPI_result_code_string(result));
}

/* Run a plan that writes tables of the engine, or reads them. */
void
leadscore_engine_execute(SPIPlanPtr plan, Datum *values, Snapshot snapshot,
						 Snapshot crosscheck, bool read_only)
{
	execute(plan, values, NULL, snapshot, crosscheck, read_only);
}

/* The same for one that writes, with values of which some are null ('n') */
void
leadscore_engine_execute_nulls(SPIPlanPtr plan, Datum *values, const char *nulls,
							   Snapshot snapshot, Snapshot crosscheck)
{
	execute(plan, values, nulls, snapshot, crosscheck, false);
}

/* Is the error that is being handled about a constraint? */
static bool
is_about_constraint(void)
{
	int			category = ERRCODE_TO_CATEGORY(geterrcode());

	return category == ERRCODE_TO_CATEGORY(ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION) ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_WITH_CHECK_OPTION_VIOLATION);
}

/*
 * Take the error that is being handled if it is about a constraint, without the
 * row that it shows and without the statement of ours that failed: the caller
 * may have no right to see them.  The server's log shows the row.  Any other
 * error is thrown again.  So is one that names no table, unless even_ours: we
 * raise it in the words of a constraint, about what the caller sent.  For a
 * PG_CATCH block.
 */
ErrorData *
leadscore_constraint_error(MemoryContext context, bool even_ours)
{
	ErrorData  *error;

	if (!is_about_constraint())
		PG_RE_THROW();
	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	if (!even_ours && error->table_name == NULL &&
		ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_TO_CATEGORY(ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION))
		PG_RE_THROW();
	FlushErrorState();
	if (error->detail_log == NULL)
		error->detail_log = error->detail;
	error->detail = NULL;
	error->context = NULL;
	return error;
}

/*
 * Call a function that writes in the name of the pipeline's owner, for somebody
 * who may not be allowed to read what it writes.
 */
Datum
leadscore_call_discreetly(PGFunction function, FunctionCallInfo fcinfo)
{
	MemoryContext context = CurrentMemoryContext;
	Datum volatile result = (Datum) 0;

	PG_TRY();
	{
		result = function(fcinfo);
	}
	PG_CATCH();
	{
		ReThrowError(leadscore_constraint_error(context, false));
	}
	PG_END_TRY();
	return result;
}

/* the hook of another module's */
static fmgr_hook_type other_call_hook = NULL;

/* Is a function one of a pipeline's that does the work of its owner for others? */
static bool
is_of_pipeline(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	bool		found = false;

	if (!HeapTupleIsValid(tuple))
		return false;
	if (((Form_pg_proc) GETSTRUCT(tuple))->prosecdef)
	{
		bool		isnull;
		Datum		source = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosrc, &isnull);

		/* each of them asks for its pipeline first */
		found = !isnull && strstr(TextDatumGetCString(source), "leadscore_internal.pipeline_") != NULL;
	}
	ReleaseSysCache(tuple);
	return found;
}

/*
 * Is an error about a name that the configuration has already?  A table without
 * leads has no other keys.
 */
static bool
is_of_configuration(const ErrorData *error)
{
	Oid			table = InvalidOid;

	if (error->sqlerrcode == ERRCODE_UNIQUE_VIOLATION && error->schema_name && error->table_name)
		table = get_relname_relid(error->table_name, get_namespace_oid(error->schema_name, true));
	return OidIsValid(table) && get_attnum(table, "lead_id") == InvalidAttrNumber;
}

/*
 * PostgreSQL calls this before and after functions that run as their owner, and
 * when one of them has failed, in a PG_CATCH block.  An error about a constraint
 * leaves such a function in PL/pgSQL without the row, as it leaves those in C: to
 * catch it there would take a subtransaction.
 */
static void
call_hook(FmgrHookEventType event, FmgrInfo *flinfo, Datum *arg)
{
	if (other_call_hook)
		other_call_hook(event, flinfo, arg);
	if (event == FHET_ABORT && is_about_constraint() && is_of_pipeline(flinfo->fn_oid))
	{
		ErrorData  *error = leadscore_constraint_error(flinfo->fn_mcxt, false);

		if (is_of_configuration(error))
			error->detail = error->detail_log;
		ReThrowError(error);
	}
}

/* Have the hook called; called when the library is loaded. */
void
leadscore_guard_init(void)
{
	other_call_hook = fmgr_hook;
	fmgr_hook = call_hook;
}
