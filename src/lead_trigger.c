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
#include "common/hashfn.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "app.h"
#include "consent.h"
#include "edge.h"
#include "guard.h"
#include "loaded.h"
#include "replay.h"
#include "trigger.h"

PG_FUNCTION_INFO_V1(leadscore_lead_changed);
PG_FUNCTION_INFO_V1(leadscore_lead_truncated);
PG_FUNCTION_INFO_V1(leadscore_lead_touched);

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

/* Run a query on the events or states of some leads that returns one number. */
static int64
count_rows(const char *sql, Datum lead_ids)
{
	Oid			type = INT8ARRAYOID;
	bool		isnull;

	if (SPI_execute_with_args(sql, 1, &type, &lead_ids, NULL, false, 0) != SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "could not lock: %s", sql);
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

/*
 * The leads of a statement that deletes them, and those that they had referred:
 * these were updated by the foreign key, and their triggers fire later.
 */
static Datum
with_referred(const Writer *writer, Datum lead_ids)
{
	Oid			type = INT8ARRAYOID;
	char	   *table = leadscore_table_name(writer->pipeline->lead);
	SPIPlanPtr	plan = SPI_prepare(psprintf("SELECT pg_catalog.array_agg(i.i) FROM (SELECT pg_catalog.unnest($1)"
											" UNION SELECT l.lead_id FROM %s l WHERE l.referred_by OPERATOR(pg_catalog.=) ANY ($1)) i (i)",
											table), 1, &type);
	bool		isnull;

	if (plan == NULL)
		elog(ERROR, "could not prepare: leads that were referred");
	leadscore_engine_execute(plan, &lead_ids, writer->before, InvalidSnapshot, true);
	return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
}

/*
 * Lock the events of some leads, waiting for sessions that change them, and
 * then the states of these and others.  False if there are more events by then, which were written
 * while we waited for the states, and which others change already: these wait
 * for the states, so we must not wait for them.
 */
static bool
lock_rows(const Pipeline *pipeline, Datum lead_ids, Datum state_ids)
{
	const char *events = leadscore_table_name(pipeline->event);

	(void) count_rows(psprintf("SELECT pg_catalog.count(*) FROM (SELECT FROM %s"
							   " WHERE lead_id OPERATOR(pg_catalog.=) ANY ($1) FOR UPDATE) e", events),
					  lead_ids);
	(void) count_rows(psprintf("SELECT pg_catalog.count(*) FROM (SELECT FROM %s"
							   " WHERE lead_id OPERATOR(pg_catalog.=) ANY ($1) ORDER BY lead_id FOR UPDATE) s",
							   leadscore_table_name(pipeline->state)), state_ids);
	return count_rows(psprintf("SELECT (SELECT pg_catalog.count(*) FROM %s WHERE lead_id OPERATOR(pg_catalog.=) ANY ($1))"
							   " OPERATOR(pg_catalog.-) pg_catalog.count(*) FROM (SELECT FROM %s"
							   " WHERE lead_id OPERATOR(pg_catalog.=) ANY ($1) FOR UPDATE SKIP LOCKED) e",
							   events, events), lead_ids) == 0;
}

/*
 * The same, until all events are locked: a subtransaction gives up the locks
 * that came too early.
 */
static void
lock_events_and_states(const Pipeline *pipeline, Datum lead_ids, Datum state_ids)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool locked = false;

	while (!locked)
	{
		CHECK_FOR_INTERRUPTS();
		BeginInternalSubTransaction(NULL);
		MemoryContextSwitchTo(context);
		PG_TRY();
		{
			locked = lock_rows(pipeline, lead_ids, state_ids);
			MemoryContextSwitchTo(context);
			if (locked)
				ReleaseCurrentSubTransaction();
			else
				RollbackAndReleaseCurrentSubTransaction();
		}
		PG_CATCH();
		{
			ErrorData  *error;

			MemoryContextSwitchTo(context);
			error = CopyErrorData();
			FlushErrorState();
			RollbackAndReleaseCurrentSubTransaction();
			MemoryContextSwitchTo(context);
			CurrentResourceOwner = owner;
			ReThrowError(error);
		}
		PG_END_TRY();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
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

/* A row of a transition table of lead */
typedef struct LeadRow
{
	int64		lead_id;
	int64		created_at;		/* NEVER for NULL */
	int64		consented_at;	/* likewise */
	int			contact_allowed;	/* -1 for NULL */
	uint32		address;		/* hash of its addresses; 0: it has none */
	Datum		attributes[2];	/* of an update the owner and the persona; 0
								 * for NULL */
} LeadRow;

/* columns whose changes are kept in lead_change */
static const char *const kept_columns[2] = {"owner", "persona"};

/* Order rows by lead_id. */
static int
lead_row_cmp(const void *a, const void *b)
{
	const LeadRow *x = a;
	const LeadRow *y = b;

	return x->lead_id < y->lead_id ? -1 : (x->lead_id > y->lead_id ? 1 : 0);
}

/* The rows of a transition table of lead, sorted by lead_id; attributes: theirs too */
static LeadRow *
gather_leads(Relation rel, Tuplestorestate *rows, bool attributes, int *n)
{
	TupleDesc	desc = RelationGetDescr(rel);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	AttrNumber	id_column = leadscore_column(desc, "lead_id", INT8OID,
											 RelationGetRelationName(rel));
	AttrNumber	created_column = leadscore_column(desc, "created_at", TIMESTAMPTZOID,
												  RelationGetRelationName(rel));
	AttrNumber	consented_column = leadscore_column(desc, "consented_at", TIMESTAMPTZOID,
													RelationGetRelationName(rel));
	AttrNumber	allowed_column = leadscore_column(desc, "contact_allowed", BOOLOID,
												  RelationGetRelationName(rel));
	AttrNumber	email_column = leadscore_column(desc, "email", TEXTOID, RelationGetRelationName(rel));
	AttrNumber	phone_column = leadscore_column(desc, "phone", TEXTOID, RelationGetRelationName(rel));
	AttrNumber	kept[2];
	LeadRow    *leads;
	int			i;

	for (i = 0; i < 2; i++)
		kept[i] = leadscore_column(desc, kept_columns[i], TEXTOID, RelationGetRelationName(rel));
	*n = 0;
	leads = MemoryContextAllocHuge(CurrentMemoryContext,
								   (tuplestore_tuple_count(rows) + 1) * sizeof(LeadRow));
	leadscore_read_from_start(rows);
	while (tuplestore_gettupleslot(rows, true, false, slot))
	{
		LeadRow    *lead = &leads[(*n)++];
		bool		isnull;
		Datum		created_at = slot_getattr(slot, created_column, &isnull);

		Datum		value;

		CHECK_FOR_INTERRUPTS();
		lead->created_at = isnull ? NEVER : DatumGetTimestampTz(created_at);
		value = slot_getattr(slot, consented_column, &isnull);
		lead->consented_at = isnull ? NEVER : DatumGetTimestampTz(value);
		value = slot_getattr(slot, allowed_column, &isnull);
		lead->contact_allowed = isnull ? -1 : (int) DatumGetBool(value);
		lead->address = 0;
		for (i = 0; i < 2; i++)
		{
			value = slot_getattr(slot, i == 0 ? email_column : phone_column, &isnull);
			if (!isnull)
				lead->address = hash_combine(lead->address,
											 DatumGetUInt32(hash_any((unsigned char *) VARDATA_ANY(DatumGetTextPP(value)),
																	 VARSIZE_ANY_EXHDR(DatumGetTextPP(value)))));
		}
		for (i = 0; i < 2; i++)
		{
			lead->attributes[i] = (Datum) 0;
			if (!attributes)
				continue;
			value = slot_getattr(slot, kept[i], &isnull);
			if (!isnull)
				lead->attributes[i] = PointerGetDatum(DatumGetTextPCopy(value));
		}
		lead->lead_id = DatumGetInt64(slot_getattr(slot, id_column, &isnull));
	}
	ExecDropSingleTupleTableSlot(slot);
	qsort(leads, *n, sizeof(LeadRow), lead_row_cmp);
	return leads;
}

/* Are these rows of the same leads? */
static bool
same_leads(const LeadRow *a, int na, const LeadRow *b, int nb)
{
	int			i;

	for (i = 0; i < na && i < nb; i++)
		if (a[i].lead_id != b[i].lead_id)
			return false;
	return na == nb;
}

/* The ids of leads, as an array for a query */
static Datum
id_array(const LeadRow *leads, int n)
{
	Datum	   *items = palloc(sizeof(Datum) * (n + 1));
	int			i;

	for (i = 0; i < n; i++)
		items[i] = Int64GetDatum(leads[i].lead_id);
	return PointerGetDatum(construct_array(items, n, INT8OID, sizeof(int64),
										   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/*
 * Delete states, events and histories of leads that are gone.  A session that
 * updates or deletes events locks them before the state: so do we.
 */
static void
delete_leads(Writer *writer, const LeadRow *leads, int n)
{
	Datum		lead_ids = id_array(leads, n);
	Oid			tables[LEAD_TABLES];
	int			nestlevel = leadscore_fix_path();
	int			i;

	leadscore_lead_tables(writer->pipeline, tables);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	lock_events_and_states(writer->pipeline, lead_ids, with_referred(writer, lead_ids));
	for (i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		leadscore_state_lock(writer, leads[i].lead_id, LockTupleExclusive);
	}
	for (i = 0; i < LEAD_TABLES; i++)
		delete_rows(tables[i], lead_ids);
	SPI_finish();
	AtEOXact_GUC(true, nestlevel);
}

/*
 * What the row trigger found of the names of new leads may be late: an insert
 * waits for a session that takes a name from another lead.
 */
static void
check_names(Pipeline *pipeline, Relation rel, Tuplestorestate *rows, const LeadRow *leads, int n)
{
	if (leadscore_ever_filled(pipeline->alias))
	{
		TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsMinimalTuple);
		AttrNumber	column = leadscore_column(RelationGetDescr(rel), "external_id", TEXTOID,
											  RelationGetRelationName(rel));

		leadscore_read_from_start(rows);
		while (tuplestore_gettupleslot(rows, true, false, slot))
		{
			bool		isnull;
			Datum		name = slot_getattr(slot, column, &isnull);

			CHECK_FOR_INTERRUPTS();
			if (!isnull)
				leadscore_check_name(pipeline, rel, name);
		}
		ExecDropSingleTupleTableSlot(slot);
	}
	if (leadscore_any_suppressed(pipeline))
		leadscore_leave_out_forgotten(pipeline, id_array(leads, n));
}

/*
 * Record the consent of leads whose columns about it were written.  A lead that
 * has an address may be one that is suppressed, but a new address says nothing.
 */
static void
record_consent(Writer *writer, const LeadRow *old_leads, const LeadRow *leads, int n)
{
	const Pipeline *pipeline = writer->pipeline;
	LeadRow    *changed = palloc(sizeof(LeadRow) * n);
	Datum	   *consented = palloc(sizeof(Datum) * n);
	Datum	   *allowed = palloc(sizeof(Datum) * n);
	bool		any_suppressed = leadscore_any_suppressed(pipeline);
	bool		is_stated = old_leads == NULL || !leadscore_follows_consent(pipeline);
	int			nchanged = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		bool		is_addressed = any_suppressed &&
			leads[i].address != (old_leads == NULL ? 0 : old_leads[i].address);
		bool		is_consented = old_leads == NULL ? leads[i].consented_at != NEVER :
			leads[i].consented_at != old_leads[i].consented_at;
		bool		is_allowed = old_leads == NULL ? leads[i].contact_allowed >= 0 :
			leads[i].contact_allowed != old_leads[i].contact_allowed;

		if (!is_addressed && !(is_stated && (is_consented || is_allowed)))
			continue;
		changed[nchanged] = leads[i];
		consented[nchanged] = BoolGetDatum(is_consented);
		allowed[nchanged++] = BoolGetDatum(is_allowed);
	}
	/* the columns that follow from it are written in a statement of their own */
	for (i = 0; i < nchanged && old_leads; i++)
	{
		CHECK_FOR_INTERRUPTS();
		leadscore_lead_catch_up(writer, changed[i].lead_id);
	}
	if (nchanged > 0)
		leadscore_columns_written(pipeline, id_array(changed, nchanged),
								  leadscore_build_array(consented, NULL, nchanged, BOOLOID),
								  leadscore_build_array(allowed, NULL, nchanged, BOOLOID), old_leads == NULL);
}

/* Are two texts, or no texts, the same bytes? */
static bool
same_text(Datum a, Datum b)
{
	if (a == (Datum) 0 || b == (Datum) 0)
		return a == b;
	return datum_image_eq(a, b, false, -1);
}

/* Record which leads got another owner or persona. */
static void
record_attributes(const Pipeline *pipeline, const LeadRow *old_leads, const LeadRow *leads, int n)
{
	Oid			types[4] = {INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID};
	Datum		values[4];
	Datum	   *columns[4];
	bool	   *nulls[4];
	int64		changes = 0;
	int64		size = 0;
	int			nestlevel;
	int			i;
	int			k;

	for (i = 0; i < n; i++)
		for (k = 0; k < 2; k++)
			if (!same_text(old_leads[i].attributes[k], leads[i].attributes[k]))
				size++;
	if (size == 0)
		return;
	for (k = 0; k < 4; k++)
	{
		columns[k] = MemoryContextAllocHuge(CurrentMemoryContext, size * sizeof(Datum));
		nulls[k] = MemoryContextAllocExtended(CurrentMemoryContext, size * sizeof(bool),
											  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	}
	for (i = 0; i < n; i++)
		for (k = 0; k < 2; k++)
		{
			if (same_text(old_leads[i].attributes[k], leads[i].attributes[k]))
				continue;
			columns[0][changes] = Int64GetDatum(leads[i].lead_id);
			columns[1][changes] = CStringGetTextDatum(kept_columns[k]);
			columns[2][changes] = old_leads[i].attributes[k];
			nulls[2][changes] = old_leads[i].attributes[k] == (Datum) 0;
			columns[3][changes] = leads[i].attributes[k];
			nulls[3][changes++] = leads[i].attributes[k] == (Datum) 0;
		}
	for (k = 0; k < 4; k++)
		values[k] = leadscore_build_array(columns[k], nulls[k], (int) changes, k == 0 ? INT8OID : TEXTOID);
	nestlevel = leadscore_fix_path();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	leadscore_call_function(pipeline->part, "_attributes_written", 4, types, values, NULL, false);
	SPI_finish();
	AtEOXact_GUC(true, nestlevel);
}

/* Give new leads a state, if an event has not done so already. */
static void
insert_leads(Writer *writer, const LeadRow *leads, int n)
{
	int			i;

	for (i = 0; i < n; i++)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(writer->lead_context);
		LeadRecord	record;

		CHECK_FOR_INTERRUPTS();
		record.lead_id = leads[i].lead_id;
		if (!leadscore_row_find(&writer->state, record.lead_id) &&
			leadscore_lead_lock(writer, record.lead_id, LockTupleNoKeyExclusive))
			leadscore_state_create(writer, &record);
		MemoryContextSwitchTo(oldcontext);
		MemoryContextReset(writer->lead_context);
		leadscore_writer_flush(writer, true);
	}
}

/* Bring the states of changed leads up to their rows, from what these were before. */
static void
update_leads(Writer *writer, const LeadRow *old_leads, const LeadRow *leads, int n)
{
	int			i;

	for (i = 0; i < n; i++)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(writer->lead_context);

		CHECK_FOR_INTERRUPTS();
		leadscore_lead_refresh(writer, leads[i].lead_id,
							   leads[i].created_at != old_leads[i].created_at);
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
	LeadRow    *old_leads = NULL;
	LeadRow    *new_leads = NULL;
	int			nold = 0;
	int			nnew = 0;

	/* of the statement: it sees the rows as they were before */
	Snapshot	before = GetActiveSnapshot();
	Writer		writer;

	leadscore_check_transition_tables(trigdata, "lead_changed");
	context = AllocSetContextCreate(CurrentMemoryContext, "leadscore leads",
									ALLOCSET_DEFAULT_SIZES);
	oldcontext = MemoryContextSwitchTo(context);
	if (!TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
		old_leads = gather_leads(rel, trigdata->tg_oldtable, TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event), &nold);
	if (!TRIGGER_FIRED_BY_DELETE(trigdata->tg_event))
		new_leads = gather_leads(rel, trigdata->tg_newtable, TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event), &nnew);
	if (nold + nnew > 0)
	{
		if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) &&
			!same_leads(old_leads, nold, new_leads, nnew))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("the lead_id of a lead cannot be changed"),
					 errhint("Insert a new lead, update the lead_id of its events, and delete the old one.")));
		leadscore_writer_begin(&writer, leadscore_part(RelationGetRelid(rel)), false);
		writer.trigger = FIRED_BY_LEAD;
		writer.before = before;
		leadscore_edges_watch(&writer);
		if (TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
		{
			insert_leads(&writer, new_leads, nnew);
			leadscore_writer_flush(&writer, false);
			check_names(writer.pipeline, rel, trigdata->tg_newtable, new_leads, nnew);
			record_consent(&writer, NULL, new_leads, nnew);
		}
		else if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
		{
			writer.may_lag = leadscore_ranges_left(writer.pipeline);
			record_attributes(writer.pipeline, old_leads, new_leads, nnew);
			record_consent(&writer, old_leads, new_leads, nnew);
			update_leads(&writer, old_leads, new_leads, nnew);
		}
		else
			delete_leads(&writer, old_leads, nold);
		leadscore_edges_apply(&writer);
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
	leadscore_lead_tables(pipeline, tables);
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
 * lead_touched(): BEFORE INSERT or UPDATE on lead, FOR EACH ROW.  Folds the
 * name, leaves out people that were forgotten, keeps the first name of a lead
 * that gets another one, and on UPDATE sets updated_at to
 * now() unless the statement sets it, as a load of history does that says when
 * a profile changed, or changes nothing.
 */
Datum
leadscore_lead_touched(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = leadscore_check_trigger(fcinfo, "lead_touched", true, true);
	TupleDesc	desc = RelationGetDescr(trigdata->tg_relation);
	HeapTuple	new;
	AttrNumber	column;
	Datum		old_value;
	Datum		new_value;
	bool		old_null;
	bool		new_null;
	int			attnum;

	if (!TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
		return PointerGetDatum(TRIGGER_FIRED_BY_INSERT(trigdata->tg_event) ?
							   leadscore_lead_named(trigdata, NULL, trigdata->tg_trigtuple) :
							   trigdata->tg_trigtuple);
	new = leadscore_lead_named(trigdata, trigdata->tg_trigtuple, trigdata->tg_newtuple);
	new = leadscore_with_first_name(trigdata->tg_relation, trigdata->tg_trigtuple, new);
	column = leadscore_column(desc, "updated_at", TIMESTAMPTZOID,
							  RelationGetRelationName(trigdata->tg_relation));
	old_value = heap_getattr(trigdata->tg_trigtuple, column, desc, &old_null);
	new_value = heap_getattr(new, column, desc, &new_null);
	if ((!new_null && (old_null || old_value != new_value)) || leadscore_corrects_columns() ||
		same_row(desc, trigdata->tg_trigtuple, new))
		return PointerGetDatum(new);
	attnum = column;
	new_value = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
	new_null = false;
	return PointerGetDatum(heap_modify_tuple_by_cols(new, desc, 1,
													 &attnum, &new_value, &new_null));
}
