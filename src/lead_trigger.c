/*-------------------------------------------------------------------------
 *
 * lead_trigger.c
 *		The triggers on `lead` that keep every lead's state right.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "guard.h"
#include "replay.h"
#include "trigger.h"

PG_FUNCTION_INFO_V1(leadscore_lead_changed);
PG_FUNCTION_INFO_V1(leadscore_lead_truncated);
PG_FUNCTION_INFO_V1(leadscore_lead_touched);

/* number of tables whose rows are deleted with a lead */
#define LEAD_TABLES	4

/*
 * Run a DELETE on all that is committed, whatever the transaction sees: a
 * TRUNCATE, and a rebuild that keeps writers out, leave nothing behind.
 */
static void
delete_now(const char *sql)
{
	SPIPlanPtr	plan = SPI_prepare(sql, 0, NULL);

	if (plan == NULL)
		elog(ERROR, "could not prepare: %s", sql);
	CommandCounterIncrement();
	leadscore_engine_execute(plan, NULL, GetLatestSnapshot(), InvalidSnapshot, false);
}

/* Lock the events of some leads, waiting for sessions that change them. */
static void
lock_events(const Pipeline *pipeline, Datum lead_ids)
{
	Oid			type = INT8ARRAYOID;
	char	   *sql = psprintf("SELECT pg_catalog.count(*) FROM (SELECT FROM %s"
							   " WHERE lead_id OPERATOR(pg_catalog.=) ANY ($1) FOR UPDATE) e",
							   leadscore_table_name(pipeline->event));

	if (SPI_execute_with_args(sql, 1, &type, &lead_ids, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not lock: %s", sql);
}

/*
 * Delete the rows of some leads from a table of the pipeline.  Above READ
 * COMMITTED, rows that the transaction cannot see make it fail, so that none
 * is left behind.
 */
static void
delete_rows(Oid table, Datum lead_ids)
{
	Oid			type = INT8ARRAYOID;
	char	   *sql = psprintf("DELETE FROM %s WHERE lead_id OPERATOR(pg_catalog.=) ANY ($1)",
							   leadscore_table_name(table));
	SPIPlanPtr	plan = SPI_prepare(sql, 1, &type);
	bool		fixed = IsolationUsesXactSnapshot();

	if (plan == NULL)
		elog(ERROR, "could not prepare: %s", sql);
	/* see the changes of the commands before this one */
	CommandCounterIncrement();
	leadscore_engine_execute(plan, &lead_ids,
							 fixed ? GetLatestSnapshot() : InvalidSnapshot,
							 fixed ? GetTransactionSnapshot() : InvalidSnapshot, false);
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
	leadscore_read_from_start(rows);
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

/* Tables to delete from; the states first: their locks keep new events away */
static void
list_tables(const Pipeline *pipeline, Oid *tables)
{
	tables[0] = pipeline->state;
	tables[1] = pipeline->event;
	tables[2] = pipeline->stage_log;
	tables[3] = pipeline->profile_change;
}

/*
 * Delete states, events and histories of leads that are gone.  A session that
 * updates or deletes events locks them before the state: so do we.
 */
static void
delete_leads(Writer *writer, int64 *ids, int n)
{
	Datum		lead_ids = id_array(ids, n);
	Oid			tables[LEAD_TABLES];
	int			nestlevel = leadscore_fix_path();
	int			i;

	list_tables(writer->pipeline, tables);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	lock_events(writer->pipeline, lead_ids);
	for (i = 0; i < n; i++)
		leadscore_state_lock(writer, ids[i], LockTupleExclusive);
	for (i = 0; i < LEAD_TABLES; i++)
		delete_rows(tables[i], lead_ids);
	SPI_finish();
	AtEOXact_GUC(true, nestlevel);
}

/* Give new leads a state, if an event has not done so already. */
static void
insert_leads(Writer *writer, const int64 *ids, int n)
{
	int			i;

	for (i = 0; i < n; i++)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(writer->lead_context);
		LeadRecord	record;

		record.lead_id = ids[i];
		if (!leadscore_row_find(&writer->state, ids[i]) &&
			leadscore_lead_lock(writer, ids[i], LockTupleNoKeyExclusive))
			leadscore_state_create(writer, &record);
		MemoryContextSwitchTo(oldcontext);
		MemoryContextReset(writer->lead_context);
		leadscore_writer_flush(writer, true);
	}
}

/* Bring the states of changed leads up to their rows. */
static void
update_leads(Writer *writer, const int64 *ids, int n)
{
	int			i;

	for (i = 0; i < n; i++)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(writer->lead_context);

		leadscore_lead_refresh(writer, ids[i]);
		MemoryContextSwitchTo(oldcontext);
		MemoryContextReset(writer->lead_context);
		leadscore_writer_flush(writer, true);
	}
}

static Datum
lead_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = leadscore_check_trigger(fcinfo, "lead_changed", false, false);
	Relation	rel = trigdata->tg_relation;
	MemoryContext context;
	MemoryContext oldcontext;
	int64	   *old_ids = NULL;
	int64	   *new_ids = NULL;
	int			nold = 0;
	int			nnew = 0;
	Writer		writer;

	leadscore_check_transition_tables(trigdata, "lead_changed");
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
		leadscore_writer_begin(&writer, leadscore_part(RelationGetRelid(rel)), false);
		if (TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
			insert_leads(&writer, new_ids, nnew);
		else if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
			update_leads(&writer, new_ids, nnew);
		else
			delete_leads(&writer, old_ids, nold);
		leadscore_writer_end(&writer);
	}
	MemoryContextSwitchTo(oldcontext);
	MemoryContextDelete(context);
	return PointerGetDatum(NULL);
}

/*
 * lead_changed(): AFTER INSERT, UPDATE or DELETE on lead, FOR EACH STATEMENT,
 * with transition tables.
 */
Datum
leadscore_lead_changed(PG_FUNCTION_ARGS)
{
	return leadscore_call_discreetly(lead_changed, fcinfo);
}

static Datum
lead_truncated(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = leadscore_check_trigger(fcinfo, "lead_truncated", false, false);
	Oid			tables[LEAD_TABLES];
	Pipeline   *pipeline;
	UserSwitch	saved;
	int			nestlevel;
	int			i;

	leadscore_refuse_truncate(trigdata->tg_relation);
	pipeline = leadscore_pipeline_for_write(leadscore_part(RelationGetRelid(trigdata->tg_relation)));
	list_tables(pipeline, tables);
	leadscore_run_as(pipeline->owner, false, &saved);
	nestlevel = leadscore_fix_path();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	for (i = 0; i < LEAD_TABLES; i++)
		delete_now(psprintf("DELETE FROM %s", leadscore_table_name(tables[i])));
	SPI_finish();
	AtEOXact_GUC(true, nestlevel);
	leadscore_run_back(&saved);
	return PointerGetDatum(NULL);
}

/* lead_truncated(): AFTER TRUNCATE on lead, FOR EACH STATEMENT */
Datum
leadscore_lead_truncated(PG_FUNCTION_ARGS)
{
	return leadscore_call_discreetly(lead_truncated, fcinfo);
}

/* Does an update leave a row as it was? */
static bool
same_row(TupleDesc desc, HeapTuple old, HeapTuple new)
{
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Datum		values[2];
		bool		nulls[2];

		/* what is generated follows from the rest, and is not there yet */
		if (att->attisdropped || att->attgenerated)
			continue;
		values[0] = heap_getattr(old, att->attnum, desc, &nulls[0]);
		values[1] = heap_getattr(new, att->attnum, desc, &nulls[1]);
		if (nulls[0] != nulls[1] ||
			(!nulls[0] && !datum_image_eq(values[0], values[1], att->attbyval, att->attlen)))
			return false;
	}
	return true;
}

/*
 * lead_touched(): BEFORE UPDATE on lead, FOR EACH ROW.  Sets updated_at to
 * now() unless the statement sets it, as a load of history does that says when
 * a profile changed, or changes nothing.
 */
Datum
leadscore_lead_touched(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = leadscore_check_trigger(fcinfo, "lead_touched", true, true);
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
	if ((!new_null && (old_null || old_value != new_value)) ||
		same_row(desc, trigdata->tg_trigtuple, trigdata->tg_newtuple))
		return PointerGetDatum(trigdata->tg_newtuple);
	attnum = column;
	new_value = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
	new_null = false;
	return PointerGetDatum(heap_modify_tuple_by_cols(trigdata->tg_newtuple, desc, 1,
													 &attnum, &new_value, &new_null));
}
