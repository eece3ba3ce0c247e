/*-------------------------------------------------------------------------
 *
 * track_table.c
 *		Tables of an app whose rows make events or leads.
 *
 * A statement trigger on the app's table reads the rows before and after, nets
 * them by their key, as rows of transition tables have no pairs, and writes what
 * differs.  An event has the definition and the key as its source_id, so that
 * it is there exactly while its row asks for it.  Odd data are left out and
 * counted: the statement of the app does not fail for them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "guard.h"
#include "track_table.h"
#include "trigger.h"

PG_FUNCTION_INFO_V1(leadscore_tracking_problem);

static const char *const skip_names[SKIP_REASONS] = {NULL, "no lead", "too long", "forgotten",
"unfit value", "name of another lead", "broken definition"};

/* Note how many rows were left out, and why. */
void
leadscore_note_skipped(AppWrite *call, const TrackedTable *table, const int64 *skipped)
{
	int			i;

	for (i = 1; i < SKIP_REASONS; i++)
	{
		Datum		values[3];

		if (skipped[i] == 0)
			continue;
		values[0] = CStringGetTextDatum(table->definition);
		values[1] = CStringGetTextDatum(skip_names[i]);
		values[2] = Int64GetDatum(skipped[i]);
		leadscore_app_run(call->pipeline, NOTE_SKIPPED, values, NULL, NULL);
	}
}

/* Find the leads of events that are to go; drops events whose lead is unknown. */
static int
find_gone(AppWrite *call, EventInput *gone, int n)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	int			kept = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		int64		lead_id;

		if (!leadscore_find_lead(call->pipeline, gone[i].external_id, snapshot, &lead_id))
			continue;
		gone[i].values[EVENT_LEAD_ID] = Int64GetDatum(lead_id);
		gone[kept++] = gone[i];
	}
	UnregisterSnapshot(snapshot);
	return kept;
}

/* Write what differs between the rows before and after. */
void
leadscore_write_events(AppWrite *call, const TrackedTable *table, TrackedRows *old, TrackedRows *new,
					   bool deleted, int64 *skipped)
{
	EventInput *gone = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(EventInput) * (old->n + 1));
	EventInput *put = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(EventInput) * (new->n + 1));
	LeadInput  *leads;
	int			ngone = 0;
	int			nput = 0;
	int			nleads;
	int			i = 0;
	int			j = 0;

	while (i < old->n || j < new->n)
	{
		int			cmp = i == old->n ? 1 : j == new->n ? -1 : 0;
		TrackedRow *before;
		TrackedRow *after;

		if (cmp == 0)
		{
			int			position = old->rows[i].event.position;

			/* by key alone */
			old->rows[i].event.position = new->rows[j].event.position;
			cmp = leadscore_tracked_key_cmp(&old->rows[i], &new->rows[j]);
			old->rows[i].event.position = position;
		}
		before = cmp <= 0 ? &old->rows[i++] : NULL;
		after = cmp >= 0 ? &new->rows[j++] : NULL;
		if (after && after->reason && (before == NULL || before->reason != after->reason))
			skipped[after->reason]++;
		if (before && before->present &&
			(after == NULL ? !(deleted && table->keeps) : !after->present || !leadscore_same_lead(before, after)))
			gone[ngone++] = before->event;
		if (after && after->present &&
			(before == NULL || !before->present || !leadscore_same_event(before, after)))
			put[nput++] = after->event;
	}
	if (nput > 0)
	{
		qsort(put, nput, sizeof(EventInput), leadscore_event_cmp);
		leads = leadscore_events_leads(call->pipeline, put, nput, &nleads);
		leadscore_leads_touch(call, leads, nleads);
		skipped[SKIP_FORGOTTEN] += leadscore_drop_forgotten(put, &nput);
	}
	ngone = find_gone(call, gone, ngone);
	leadscore_exchange_events(call, gone, ngone, put, nput, old->n == 0);
}

/* The definition of a table; NULL if it is not tracked any more */
TrackedTable *
leadscore_find_definition(AppWrite *call, Datum definition, const RowType *rel)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	uint64		n = leadscore_app_run(call->pipeline, READ_TRACKED, &definition, NULL, snapshot);
	TrackedTable *table = NULL;

	if (n > 0)
		table = leadscore_tracked_read(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, rel);
	UnregisterSnapshot(snapshot);
	return table;
}

/*
 * table_changed(definition): AFTER INSERT, UPDATE or DELETE on a table of the
 * app's, FOR EACH STATEMENT, with transition tables.
 */
Datum
leadscore_table_changed(FunctionCallInfo fcinfo, AppWrite *call)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Relation	rel = trigdata->tg_relation;
	RowType		type = {RelationGetDescr(rel), RelationGetRelationName(rel)};
	int64		skipped[SKIP_REASONS] = {0};
	TrackedTable *table;
	TrackedRows old;
	TrackedRows new;

	if (!TRIGGER_FIRED_AFTER(trigdata->tg_event) || !TRIGGER_FIRED_FOR_STATEMENT(trigdata->tg_event) ||
		trigdata->tg_trigger->tgnargs != 1)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("table_changed: must be fired AFTER, for each statement, with the name of a definition"),
				 errhint("Use leadscore.track_table().")));
	leadscore_check_transition_tables(trigdata, "table_changed");
	table = leadscore_find_definition(call, CStringGetTextDatum(trigdata->tg_trigger->tgargs[0]), &type);
	if (table == NULL)
		return PointerGetDatum(NULL);
	if (table->problem)
	{
		ereport(WARNING,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rows of table \"%s\" are not tracked as \"%s\" any more",
						RelationGetRelationName(rel), table->definition),
				 errdetail("%s", psprintf("%c%s.", pg_toupper(table->problem[0]), table->problem + 1)),
				 errhint("Track the table anew, by leadscore.untrack_table() and leadscore.track_table().")));
		skipped[SKIP_BROKEN] = trigdata->tg_newtable ? tuplestore_tuple_count(trigdata->tg_newtable) :
			tuplestore_tuple_count(trigdata->tg_oldtable);
		leadscore_note_skipped(call, table, skipped);
		return PointerGetDatum(NULL);
	}
	leadscore_app_fix_path(call);
	old = leadscore_tracked_rows(table, rel, TRIGGER_FIRED_BY_INSERT(trigdata->tg_event) ? NULL : trigdata->tg_oldtable);
	new = leadscore_tracked_rows(table, rel, TRIGGER_FIRED_BY_DELETE(trigdata->tg_event) ? NULL : trigdata->tg_newtable);
	leadscore_tracked_sort(&old);
	leadscore_tracked_sort(&new);
	if (!table->makes_leads)
		leadscore_write_events(call, table, &old, &new, TRIGGER_FIRED_BY_DELETE(trigdata->tg_event), skipped);
	else
	{
		leadscore_write_leads(call, table, &old, &new, false, skipped);
		/* a row whose key is changed is there still */
		if (!table->keeps && TRIGGER_FIRED_BY_DELETE(trigdata->tg_event))
			leadscore_forget_leads(call, &old);
	}
	leadscore_note_skipped(call, table, skipped);
	return PointerGetDatum(NULL);
}

/* Open a table that an argument names. */
Relation
leadscore_open_table(Oid relid)
{
	Relation	rel = try_table_open(relid, AccessShareLock);

	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid),
				 errhint("Pass the name of a table.")));
	return rel;
}

/*
 * tracking_problem(pipeline, definition, table): what keeps a definition from
 * reading a table; NULL if nothing does.
 */
Datum
leadscore_tracking_problem(PG_FUNCTION_ARGS)
{
	MemoryContext context = CurrentMemoryContext;
	Oid			schema = PG_GETARG_OID(0);
	Datum		definition = PG_GETARG_DATUM(1);
	char	   *schema_name = get_namespace_name(schema);
	Relation	rel = leadscore_open_table(PG_GETARG_OID(2));
	RowType		type = {RelationGetDescr(rel), RelationGetRelationName(rel)};
	Oid			text_type = TEXTOID;
	char	   *problem = NULL;

	if (schema_name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_SCHEMA),
				 errmsg("schema with OID %u does not exist", schema),
				 errhint("Pass the schema of a pipeline.")));
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args(psprintf("SELECT " TRACKED_COLUMNS " FROM %s.tracked_table"
									   " WHERE definition OPERATOR(pg_catalog.=) $1",
									   quote_identifier(schema_name)),
							  1, &text_type, &definition, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read definition");
	if (SPI_processed > 0)
		problem = leadscore_tracked_read(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, &type)->problem;
	if (problem)
		problem = MemoryContextStrdup(context, problem);
	SPI_finish();
	table_close(rel, AccessShareLock);
	if (problem == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(problem));
}
