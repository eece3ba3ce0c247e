/*-------------------------------------------------------------------------
 *
 * trigger.c
 *		The triggers on `event` and `lead` that keep every lead's state right.
 *
 * A statement's rows are read once from its transition tables and sorted by
 * lead; then each lead is locked, brought up to date and written, in the
 * order of lead_id.  So statements never wait for each other in a circle.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "engine.h"
#include "stage.h"

PG_FUNCTION_INFO_V1(leadscore_event_changed);
PG_FUNCTION_INFO_V1(leadscore_event_truncated);
PG_FUNCTION_INFO_V1(leadscore_lead_changed);
PG_FUNCTION_INFO_V1(leadscore_lead_truncated);
PG_FUNCTION_INFO_V1(leadscore_lead_touched);

/* number of the tables whose rows go with a lead */
#define LEAD_TABLES	4

/* Check that a function is called as the trigger that it is, by who may. */
static TriggerData *
check_trigger(FunctionCallInfo fcinfo, const char *function, bool before, bool row)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("%s: must be called as a trigger", function),
				 errhint("Use leadscore.attach_pipeline().")));
	if (!before != (TRIGGER_FIRED_AFTER(trigdata->tg_event) != 0))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("%s: must be fired %s", function, before ? "BEFORE" : "AFTER"),
				 errhint("Use leadscore.attach_pipeline().")));
	if (!row != (TRIGGER_FIRED_FOR_STATEMENT(trigdata->tg_event) != 0))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("%s: must be fired for each %s", function, row ? "row" : "statement"),
				 errhint("Use leadscore.attach_pipeline().")));
	/* row triggers do nothing in the owner's name */
	if (!row)
		leadscore_check_owner(trigdata->tg_relation);
	return trigdata;
}

/* The transition tables that an operation needs must be there. */
static void
check_transition_tables(const TriggerData *trigdata, const char *function)
{
	bool		needs_old = !TRIGGER_FIRED_BY_INSERT(trigdata->tg_event);
	bool		needs_new = !TRIGGER_FIRED_BY_DELETE(trigdata->tg_event);

	if ((needs_old && trigdata->tg_oldtable == NULL) ||
		(needs_new && trigdata->tg_newtable == NULL))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("%s: needs transition tables", function),
				 errhint("Use leadscore.attach_pipeline().")));
}

/* Read a transition table from its start, at a place of our own: others may too. */
static void
read_from_start(Tuplestorestate *rows)
{
	tuplestore_select_read_pointer(rows,
								   tuplestore_alloc_read_pointer(rows, EXEC_FLAG_REWIND));
	tuplestore_rescan(rows);
}

/* Classify all rows of a transition table. */
static void
gather_events(EventBatch *batch, const Pipeline *pipeline, Relation rel,
			  Tuplestorestate *rows, bool removed)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(rel),
													&TTSOpsMinimalTuple);
	EventColumns columns;

	leadscore_event_columns(RelationGetDescr(rel), RelationGetRelationName(rel), &columns);
	read_from_start(rows);
	while (tuplestore_gettupleslot(rows, true, false, slot))
		leadscore_batch_add(batch, pipeline, &columns, slot, removed);
	ExecDropSingleTupleTableSlot(slot);
}

/*
 * event_changed(): AFTER INSERT, UPDATE or DELETE on event, FOR EACH
 * STATEMENT, with transition tables.
 */
Datum
leadscore_event_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = check_trigger(fcinfo, "event_changed", false, false);
	Relation	rel = trigdata->tg_relation;
	MemoryContext context;
	MemoryContext oldcontext;
	EventBatch	batch;
	Work		work;

	check_transition_tables(trigdata, "event_changed");
	if ((trigdata->tg_oldtable == NULL || tuplestore_tuple_count(trigdata->tg_oldtable) == 0) &&
		(trigdata->tg_newtable == NULL || tuplestore_tuple_count(trigdata->tg_newtable) == 0))
		return PointerGetDatum(NULL);

	context = AllocSetContextCreate(CurrentMemoryContext, "leadscore events",
									ALLOCSET_DEFAULT_SIZES);
	oldcontext = MemoryContextSwitchTo(context);
	leadscore_work_begin(&work, leadscore_part(RelationGetRelid(rel)));
	leadscore_batch_init(&batch, work.row_context);
	if (!TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
		gather_events(&batch, work.pipeline, rel, trigdata->tg_oldtable, true);
	if (!TRIGGER_FIRED_BY_DELETE(trigdata->tg_event))
		gather_events(&batch, work.pipeline, rel, trigdata->tg_newtable, false);
	if (trigdata->tg_newtable)
		leadscore_check_source_ids(&batch, rel, trigdata->tg_newtable, work.pipeline);
	leadscore_batch_apply(&batch, &work, RelationGetRelationName(rel));
	leadscore_app_tell(&batch, work.pipeline->event,
					   work.nhistory > 0 ? &work.history[0].change : NULL);
	leadscore_work_end(&work);
	MemoryContextSwitchTo(oldcontext);
	MemoryContextDelete(context);
	return PointerGetDatum(NULL);
}

/*
 * A distributed table is truncated as a whole, and the triggers of its shards
 * need not fire.
 */
static void
refuse_distributed(Relation rel)
{
	if (leadscore_is_distributed(RelationGetRelid(rel)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table \"%s\" is distributed and cannot be truncated",
						RelationGetRelationName(rel)),
				 errhint("Use DELETE.")));
}

/* event_truncated(): AFTER TRUNCATE on event, FOR EACH STATEMENT */
Datum
leadscore_event_truncated(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = check_trigger(fcinfo, "event_truncated", false, false);

	refuse_distributed(trigdata->tg_relation);
	leadscore_rebuild_leads(leadscore_part(RelationGetRelid(trigdata->tg_relation)),
							(Datum) 0, false);
	return PointerGetDatum(NULL);
}

static int
int64_cmp(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return x < y ? -1 : (x > y ? 1 : 0);
}

/* The lead_ids of a transition table of lead, sorted */
static int64 *
gather_leads(Relation rel, Tuplestorestate *rows, int *n)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(rel),
													&TTSOpsMinimalTuple);
	AttrNumber	column = leadscore_column(RelationGetDescr(rel), "lead_id", INT8OID,
										  RelationGetRelationName(rel));
	int64	   *ids;

	*n = 0;
	ids = MemoryContextAllocHuge(CurrentMemoryContext,
								 (tuplestore_tuple_count(rows) + 1) * sizeof(int64));
	read_from_start(rows);
	while (tuplestore_gettupleslot(rows, true, false, slot))
	{
		bool		isnull;

		ids[(*n)++] = DatumGetInt64(slot_getattr(slot, column, &isnull));
	}
	ExecDropSingleTupleTableSlot(slot);
	qsort(ids, *n, sizeof(int64), int64_cmp);
	return ids;
}

static Datum
id_array(int64 *ids, int n)
{
	Datum	   *items = palloc(sizeof(Datum) * (n + 1));
	int			i;

	for (i = 0; i < n; i++)
		items[i] = Int64GetDatum(ids[i]);
	return PointerGetDatum(construct_array(items, n, INT8OID, sizeof(int64),
										   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* What goes with a lead; the states first, for their locks keep new events away */
static void
list_tables(const Pipeline *pipeline, Oid *tables)
{
	tables[0] = pipeline->state;
	tables[1] = pipeline->event;
	tables[2] = pipeline->history;
	tables[3] = pipeline->profile_change;
}

/*
 * Leads are gone: so are their states, events and histories.  Who updates or
 * deletes events has locked them before it locks the state: so do we.
 */
static void
delete_leads(Work *work, int64 *ids, int n)
{
	Datum		lead_ids = id_array(ids, n);
	Oid			tables[LEAD_TABLES];
	int			i;

	list_tables(work->pipeline, tables);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	leadscore_lock_events(work, lead_ids);
	for (i = 0; i < n; i++)
		leadscore_state_lock(work, ids[i], LockTupleExclusive);
	for (i = 0; i < LEAD_TABLES; i++)
		leadscore_delete_leads(tables[i], lead_ids);
	SPI_finish();
}

/* Give new leads a state, if an event has not done so already. */
static void
insert_leads(Work *work, const int64 *ids, int n)
{
	int			i;

	for (i = 0; i < n; i++)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(work->row_context);

		if (!leadscore_state_find(work, ids[i]) &&
			leadscore_lead_lock(work, ids[i], LockTupleNoKeyExclusive))
			leadscore_state_create(work, work->lead.slot);
		MemoryContextSwitchTo(oldcontext);
		MemoryContextReset(work->row_context);
		leadscore_work_flush_if_large(work);
	}
}

/* Bring the states of changed leads up to their rows. */
static void
update_leads(Work *work, const int64 *ids, int n)
{
	int			i;

	for (i = 0; i < n; i++)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(work->row_context);

		leadscore_lead_refresh(work, ids[i]);
		MemoryContextSwitchTo(oldcontext);
		MemoryContextReset(work->row_context);
		leadscore_work_flush_if_large(work);
	}
}

/*
 * lead_changed(): AFTER INSERT, UPDATE or DELETE on lead, FOR EACH STATEMENT,
 * with transition tables.
 */
Datum
leadscore_lead_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = check_trigger(fcinfo, "lead_changed", false, false);
	Relation	rel = trigdata->tg_relation;
	MemoryContext context;
	MemoryContext oldcontext;
	int64	   *old_ids = NULL;
	int64	   *new_ids = NULL;
	int			nold = 0;
	int			nnew = 0;
	Work		work;

	check_transition_tables(trigdata, "lead_changed");
	context = AllocSetContextCreate(CurrentMemoryContext, "leadscore leads",
									ALLOCSET_DEFAULT_SIZES);
	oldcontext = MemoryContextSwitchTo(context);
	if (!TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
		old_ids = gather_leads(rel, trigdata->tg_oldtable, &nold);
	if (!TRIGGER_FIRED_BY_DELETE(trigdata->tg_event))
		new_ids = gather_leads(rel, trigdata->tg_newtable, &nnew);
	if (nold + nnew > 0)
	{
		if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) &&
			(nold != nnew || memcmp(old_ids, new_ids, nold * sizeof(int64)) != 0))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("the lead_id of a lead cannot be changed"),
					 errhint("Insert a new lead, update the lead_id of its events, and delete the old one.")));
		leadscore_work_begin(&work, leadscore_part(RelationGetRelid(rel)));
		if (TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
			insert_leads(&work, new_ids, nnew);
		else if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
			update_leads(&work, new_ids, nnew);
		else
			delete_leads(&work, old_ids, nold);
		leadscore_work_end(&work);
	}
	MemoryContextSwitchTo(oldcontext);
	MemoryContextDelete(context);
	return PointerGetDatum(NULL);
}

/* lead_truncated(): AFTER TRUNCATE on lead, FOR EACH STATEMENT */
Datum
leadscore_lead_truncated(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = check_trigger(fcinfo, "lead_truncated", false, false);
	Oid			tables[LEAD_TABLES];
	Pipeline   *pipeline;
	UserSwitch	saved;
	int			i;

	refuse_distributed(trigdata->tg_relation);
	pipeline = leadscore_pipeline_for_write(leadscore_part(RelationGetRelid(trigdata->tg_relation)));
	list_tables(pipeline, tables);
	leadscore_run_as(pipeline->owner, &saved);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	for (i = 0; i < LEAD_TABLES; i++)
		leadscore_delete_now(psprintf("DELETE FROM %s", leadscore_table_name(tables[i])));
	SPI_finish();
	leadscore_run_back(&saved);
	return PointerGetDatum(NULL);
}

/*
 * lead_touched(): BEFORE UPDATE on lead, FOR EACH ROW.  Sets updated_at to
 * now() unless the statement sets it: a load of history says when a profile
 * changed.
 */
Datum
leadscore_lead_touched(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = check_trigger(fcinfo, "lead_touched", true, true);
	TupleDesc	desc = RelationGetDescr(trigdata->tg_relation);
	AttrNumber	column;
	Datum		old_value;
	Datum		new_value;
	bool		old_null;
	bool		new_null;
	int			attnum;

	if (!TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
		return PointerGetDatum(trigdata->tg_trigtuple);
	column = leadscore_column(desc, "updated_at", TIMESTAMPTZOID,
							  RelationGetRelationName(trigdata->tg_relation));
	old_value = heap_getattr(trigdata->tg_trigtuple, column, desc, &old_null);
	new_value = heap_getattr(trigdata->tg_newtuple, column, desc, &new_null);
	if (!new_null && (old_null || old_value != new_value))
		return PointerGetDatum(trigdata->tg_newtuple);
	attnum = column;
	new_value = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
	new_null = false;
	return PointerGetDatum(heap_modify_tuple_by_cols(trigdata->tg_newtuple, desc, 1,
													 &attnum, &new_value, &new_null));
}
