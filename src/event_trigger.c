/*-------------------------------------------------------------------------
 *
 * event_trigger.c
 *		The triggers on `event` that keep every lead's state right.
 *
 * A statement's rows are read once from its transition tables and sorted by
 * lead; then each lead is brought up to date and written, in the order of
 * lead_id.  So statements never wait for each other in a circle.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "app.h"
#include "edge.h"
#include "exposure.h"
#include "guard.h"
#include "purge.h"
#include "rebuild.h"
#include "replay.h"
#include "trigger.h"
#include "consent.h"

PG_FUNCTION_INFO_V1(leadscore_event_changed);
PG_FUNCTION_INFO_V1(leadscore_event_truncated);

/* Classify all rows of a transition table, and find events that unsubscribe, or show variants. */
static void
gather_events(DeltaList *list, RefusalList *refusals, ExposureList *exposures,
			  const Pipeline *pipeline, Relation rel, Tuplestorestate *rows, bool removed)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(rel),
													&TTSOpsMinimalTuple);
	EventColumns columns;

	leadscore_event_columns(RelationGetDescr(rel), RelationGetRelationName(rel), &columns);
	leadscore_read_from_start(rows);
	while (tuplestore_gettupleslot(rows, true, false, slot))
	{
		CHECK_FOR_INTERRUPTS();
		leadscore_deltas_add(list, pipeline, &columns, slot, removed);
		if (refusals)
			leadscore_refusals_add(refusals, pipeline, &columns, slot, removed);
		if (exposures)
			leadscore_exposures_add(exposures, pipeline, &columns, slot);
	}
	ExecDropSingleTupleTableSlot(slot);
}

static Datum
event_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = leadscore_check_trigger(fcinfo, "event_changed", false, false);
	Relation	rel = trigdata->tg_relation;
	MemoryContext context;
	MemoryContext oldcontext;
	MemoryContext scratch;
	DeltaList	deltas;
	RefusalList refusals;
	ExposureList exposures;

	/* of the statement, which may update leads too */
	Snapshot	before = GetActiveSnapshot();
	Writer		writer;

	leadscore_check_transition_tables(trigdata, "event_changed");
	if ((trigdata->tg_oldtable == NULL || tuplestore_tuple_count(trigdata->tg_oldtable) == 0) &&
		(trigdata->tg_newtable == NULL || tuplestore_tuple_count(trigdata->tg_newtable) == 0))
		return PointerGetDatum(NULL);
	if (TRIGGER_FIRED_BY_DELETE(trigdata->tg_event) && leadscore_purge_deletes(rel, trigdata->tg_oldtable))
		return PointerGetDatum(NULL);

	context = AllocSetContextCreate(CurrentMemoryContext, "leadscore events",
									ALLOCSET_DEFAULT_SIZES);
	oldcontext = MemoryContextSwitchTo(context);
	leadscore_writer_begin(&writer, leadscore_part(RelationGetRelid(rel)), false);
	writer.before = before;
	writer.trigger = TRIGGER_FIRED_BY_INSERT(trigdata->tg_event) ? FIRED_BY_INSERT :
		TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ? FIRED_BY_UPDATE : FIRED_BY_DELETE;
	scratch = AllocSetContextCreate(context, "leadscore event", ALLOCSET_DEFAULT_SIZES);
	leadscore_deltas_init(&deltas, scratch);
	leadscore_refusals_init(&refusals);
	leadscore_exposures_init(&exposures);
	if (!TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
		gather_events(&deltas, TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ? &refusals : NULL,
					  NULL, writer.pipeline, rel, trigdata->tg_oldtable, true);
	if (!TRIGGER_FIRED_BY_DELETE(trigdata->tg_event))
		gather_events(&deltas, &refusals, &exposures, writer.pipeline, rel,
					  trigdata->tg_newtable, false);
	leadscore_edges_watch(&writer);
	leadscore_edges_add_events(&writer, &deltas);
	leadscore_refusals_lock(&refusals, &writer);
	leadscore_exposures_hold(&exposures, &writer);
	/* without a unique index the locks tell events of one source_id apart */
	leadscore_deltas_prepare(&deltas, &writer, !leadscore_app_cache(writer.pipeline)->source_id_unique);
	if (trigdata->tg_newtable)
		leadscore_check_source_ids(&deltas, rel, trigdata->tg_newtable, &writer);
	leadscore_deltas_apply(&deltas, &writer, RelationGetRelationName(rel));
	leadscore_refusals_record(&refusals, &writer);
	leadscore_deltas_apply_refused(&deltas, &writer, RelationGetRelationName(rel));
	leadscore_edges_apply(&writer);
	leadscore_exposures_apply(&exposures, &writer);
	leadscore_app_tell(&deltas, writer.pipeline->event, writer.from_stage);
	leadscore_writer_end(&writer);
	MemoryContextSwitchTo(oldcontext);
	MemoryContextDelete(context);
	return PointerGetDatum(NULL);
}

/*
 * event_changed(): AFTER INSERT, UPDATE or DELETE on event, FOR EACH
 * STATEMENT, with transition tables.
 */
Datum
leadscore_event_changed(PG_FUNCTION_ARGS)
{
	return leadscore_call_discreetly(event_changed, fcinfo);
}

static Datum
event_truncated(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = leadscore_check_trigger(fcinfo, "event_truncated", false, false);

	leadscore_refuse_truncate(trigdata->tg_relation);
	leadscore_rebuild_part(leadscore_part(RelationGetRelid(trigdata->tg_relation)));
	return PointerGetDatum(NULL);
}

/* event_truncated(): AFTER TRUNCATE on event, FOR EACH STATEMENT */
Datum
leadscore_event_truncated(PG_FUNCTION_ARGS)
{
	return leadscore_call_discreetly(event_truncated, fcinfo);
}
