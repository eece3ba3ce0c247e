/*-------------------------------------------------------------------------
 *
 * track.c
 *		track() and track_many(), by which apps record events.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "consent.h"
#include "explain.h"
#include "stage.h"
#include "track.h"

/* Where a lead stands, as this transaction sees it */
void
leadscore_read_standing(AppWrite *call, int64 lead_id, bool score, Standing *standing)
{
	Pipeline   *pipeline = call->pipeline;
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	ActivityList activity;

	memset(standing, 0, sizeof(Standing));
	standing->known = leadscore_find_state(pipeline, lead_id, snapshot,
										   score ? &activity : NULL, &standing->stage);
	UnregisterSnapshot(snapshot);
	standing->scored = standing->known && score && pipeline->nperiods > 0;
	if (standing->scored)
	{
		ModelPeriod *period = leadscore_period_now(pipeline);

		leadscore_evaluate(period->scorer, &activity,
						   bucket_of(GetCurrentTransactionStartTimestamp(), pipeline->grain),
						   period->evaluation);
		standing->score = period->evaluation->total;
	}
}

/* Does an event match a signal?  The node that has it says so. */
static bool
is_scored(AppWrite *call, int64 lead_id, int64 event_id)
{
	Datum		values[2];

	values[0] = Int64GetDatum(lead_id);
	values[1] = Int64GetDatum(event_id);
	return leadscore_app_run(call->pipeline, READ_SCORED, values, NULL, NULL) > 0;
}

/* Take an argument of a function as a column of an event. */
static void
take_argument(FunctionCallInfo fcinfo, int argument, EventInput *event, int column)
{
	event->values[column] = PG_GETARG_DATUM(argument);
	event->nulls[column] = PG_ARGISNULL(argument) ? 'n' : ' ';
}

/* What track() returns of a person that was forgotten: nothing is stored. */
static Datum
skipped(AppWrite *call)
{
	Datum		values[7] = {0};
	bool		nulls[7] = {true, true, true, true, false, false, false};
	MemoryContext oldcontext = MemoryContextSwitchTo(call->caller);
	HeapTuple	tuple = heap_form_tuple(call->cache->tracked, values, nulls);

	MemoryContextSwitchTo(oldcontext);
	return HeapTupleGetDatum(tuple);
}

/*
 * track(external_id, kind, properties, occurred_at, value, channel, campaign,
 * source_id, profile): record an event, tell where the lead stands then.
 */
Datum
leadscore_track(FunctionCallInfo fcinfo, AppWrite *call)
{
	EventInput	event = {0};
	LeadInput	lead = {0};
	AppWatch	watch = {0};
	Standing	after;
	uint8		before;
	int64		event_id;
	bool		duplicate;
	Snapshot	snapshot;
	bool		found;
	Datum		values[7];
	bool		nulls[7] = {false};
	MemoryContext oldcontext;
	HeapTuple	tuple;

	lead.external_id = leadscore_folded_name(leadscore_required_text(fcinfo, 0, "external_id"));
	event.values[EVENT_KIND] = leadscore_required_text(fcinfo, 1, "kind");
	event.nulls[EVENT_LEAD_ID] = event.nulls[EVENT_KIND] = ' ';
	take_argument(fcinfo, 2, &event, EVENT_PROPERTIES);
	if (!PG_ARGISNULL(2))
		leadscore_check_object(PG_GETARG_JSONB_P(2), "properties", EXAMPLE_PROPERTIES, NULL);
	leadscore_say_who(&event);
	take_argument(fcinfo, 3, &event, EVENT_OCCURRED_AT);
	if (PG_ARGISNULL(3))
		event.values[EVENT_OCCURRED_AT] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
	event.nulls[EVENT_OCCURRED_AT] = ' ';
	event.nulls[EVENT_VALUE] = PG_ARGISNULL(4) ? 'n' : ' ';
	if (!PG_ARGISNULL(4))
		event.values[EVENT_VALUE] = leadscore_stored_value(PG_GETARG_FLOAT8(4), NULL);
	take_argument(fcinfo, 5, &event, EVENT_CHANNEL);
	take_argument(fcinfo, 6, &event, EVENT_CAMPAIGN);
	take_argument(fcinfo, 7, &event, EVENT_SOURCE_ID);
	if (!PG_ARGISNULL(7))
		leadscore_check_length("source_id", PG_GETARG_DATUM(7));
	if (!PG_ARGISNULL(8))
		lead.document = leadscore_check_document(PG_GETARG_JSONB_P(8), NULL);
	lead.created_at = leadscore_first_heard(DatumGetTimestampTz(event.values[EVENT_OCCURRED_AT]));
	lead.at = lead.created_at;
	lead.channel = PG_ARGISNULL(5) ? (Datum) 0 : PG_GETARG_DATUM(5);
	lead.campaign = PG_ARGISNULL(6) ? (Datum) 0 : PG_GETARG_DATUM(6);
	lead.refuses = leadscore_is_refusal(call->pipeline, event.values[EVENT_KIND]);

	snapshot = RegisterSnapshot(GetLatestSnapshot());
	found = (call->pipeline->distributed || OidIsValid(call->cache->external_id_key)) &&
		leadscore_find_lead(call->pipeline, lead.external_id, snapshot, &lead.lead_id);
	UnregisterSnapshot(snapshot);
	if (!found || lead.document)
		leadscore_leads_touch(call, &lead, 1);
	if (lead.forgotten)
		return skipped(call);
	event.values[EVENT_LEAD_ID] = Int64GetDatum(lead.lead_id);
	watch.event = call->pipeline->event;
	watch.lead_id = lead.lead_id;
	/* the engine is on another node, and tells nothing */
	if (call->pipeline->distributed && !lead.created && !lead.locked)
	{
		leadscore_read_standing(call, lead.lead_id, false, &after);
		watch.from_stage = after.stage;
	}
	event_id = leadscore_add_event(call, &event, &watch, &duplicate);
	if (call->pipeline->distributed && event_id != 0 && !duplicate)
		watch.scored = is_scored(call, lead.lead_id, event_id);
	leadscore_read_standing(call, lead.lead_id, true, &after);
	/* of two calls at a time only the one that moves a lead is to say so */
	before = lead.created ? LEAD_STAGE_VISITOR : lead.locked ? lead.stage :
		watch.from_stage ? watch.from_stage : after.stage;

	oldcontext = MemoryContextSwitchTo(call->caller);
	values[0] = Int64GetDatum(lead.lead_id);
	values[1] = Int64GetDatum(event_id);
	nulls[1] = event_id == 0;
	nulls[2] = !after.scored;
	values[2] = after.scored ? leadscore_milli_numeric(after.score) : (Datum) 0;
	nulls[3] = !after.known;
	values[3] = after.known ? CStringGetTextDatum(lead_stage_label(after.stage)) : (Datum) 0;
	values[4] = BoolGetDatum(after.known && after.stage != (before ? before : LEAD_STAGE_VISITOR));
	values[5] = BoolGetDatum(duplicate);
	values[6] = BoolGetDatum(watch.scored);
	tuple = heap_form_tuple(call->cache->tracked, values, nulls);
	MemoryContextSwitchTo(oldcontext);
	return HeapTupleGetDatum(tuple);
}

/* track_many(events): record many events at once */
Datum
leadscore_track_many(FunctionCallInfo fcinfo, AppWrite *call)
{
	EventInput *events;
	LeadInput  *leads;
	int			nevents;
	int			nleads;
	int64		inserted = 0;
	int64		duplicates = 0;
	int64		skipped = 0;
	Datum		values[3];
	bool		nulls[3] = {false, false, false};
	MemoryContext oldcontext;
	HeapTuple	tuple;

	events = leadscore_read_events(fcinfo, &nevents);
	if (nevents > 0)
	{
		qsort(events, nevents, sizeof(EventInput), leadscore_event_cmp);
		leads = leadscore_events_leads(call->pipeline, events, nevents, &nleads);
		leadscore_leads_touch(call, leads, nleads);
		skipped = leadscore_drop_forgotten(events, &nevents);
		if (nevents > 0)
			leadscore_add_events(call, events, nevents, &inserted, &duplicates);
	}
	oldcontext = MemoryContextSwitchTo(call->caller);
	values[0] = Int64GetDatum(inserted);
	values[1] = Int64GetDatum(duplicates);
	values[2] = Int64GetDatum(skipped);
	tuple = heap_form_tuple(call->cache->counted, values, nulls);
	MemoryContextSwitchTo(oldcontext);
	return HeapTupleGetDatum(tuple);
}
