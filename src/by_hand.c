/*-------------------------------------------------------------------------
 *
 * by_hand.c
 *		Stages and points that people give by hand.
 *
 * They are events too.  Each says who gave it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "explain.h"
#include "stage.h"
#include "track.h"

/*
 * A stage or points by hand say who gave them: the property by is the caller,
 * unless the app names a person.
 */
void
leadscore_say_who(EventInput *event)
{
	static const char *const kinds[] = {"stage_set", "points_added", "points_removed"};
	text	   *kind = DatumGetTextPP(event->values[EVENT_KIND]);
	JsonbParseState *state = NULL;
	Jsonb	   *by;
	int			i;

	for (i = 0; i < lengthof(kinds); i++)
		if (VARSIZE_ANY_EXHDR(kind) == strlen(kinds[i]) &&
			memcmp(VARDATA_ANY(kind), kinds[i], strlen(kinds[i])) == 0)
			break;
	if (i == lengthof(kinds))
		return;
	if (event->nulls[EVENT_PROPERTIES] != 'n')
	{
		Jsonb	   *properties = DatumGetJsonbP(event->values[EVENT_PROPERTIES]);
		JsonbValue	buffer;
		JsonbValue *said;

		if (!JB_ROOT_IS_OBJECT(properties))
			return;
		said = getKeyJsonValueFromContainer(&properties->root, "by", 2, &buffer);
		if (said && said->type != jbvNull)
			return;
	}
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	leadscore_push_member(&state, "by", text_to_cstring(leadscore_caller_name()));
	by = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	event->values[EVENT_PROPERTIES] = event->nulls[EVENT_PROPERTIES] == 'n' ? JsonbPGetDatum(by) :
		DirectFunctionCall2(jsonb_concat, event->values[EVENT_PROPERTIES], JsonbPGetDatum(by));
	event->nulls[EVENT_PROPERTIES] = ' ';
}

/*
 * Refuse to make a lead of a contact that fails the gates of iql: one without
 * consent or an address, say.
 */
static void
check_is_lead(AppWrite *call, int64 lead_id, uint8 stage)
{
	Standing	standing;
	ModelPeriod *period;
	char	   *missing;

	if (stage < LEAD_STAGE_IQL || stage > LEAD_STAGE_PROSPECT)
		return;
	leadscore_read_standing(call, lead_id, true, &standing);
	if (!standing.scored)
		return;
	period = leadscore_period_now(call->pipeline);
	missing = leadscore_missing_gates(period->scorer, period->evaluation, LEAD_STAGE_IQL);
	if (missing)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot set lead " INT64_FORMAT " to stage %s because it fails the gates of stage iql",
						lead_id, lead_stage_label(stage)),
				 errdetail("Missing: %s.", missing),
				 errhint("Record the missing facts with upsert_lead() first.")));
}

/* The instant of a stage by hand: now, but after the one before */
static TimestampTz
stage_set_at(AppWrite *call, int64 lead_id)
{
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	Datum		value = Int64GetDatum(lead_id);
	Datum		newest;
	bool		isnull;

	leadscore_app_run(call->pipeline, NEWEST_STAGE_SET, &value, NULL, NULL);
	newest = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	return isnull || DatumGetTimestampTz(newest) < now ? now : DatumGetTimestampTz(newest) + 1;
}

/* Put a lead into a stage by hand, as an event; returns the stage it is in then. */
static Datum
set_stage(FunctionCallInfo fcinfo, AppWrite *call, int64 lead_id, Datum label)
{
	JsonbParseState *state = NULL;
	EventInput	event = {0};
	Standing	after;
	uint8		stage = DatumGetLeadStage(DirectFunctionCall1(lead_stage_in,
															  CStringGetDatum(TextDatumGetCString(label))));
	bool		duplicate;
	MemoryContext oldcontext;
	Datum		result;

	/* nobody may change the judgement; an uncounted contact has no state */
	leadscore_lock_states(call->pipeline, &lead_id, 1);
	check_is_lead(call, lead_id, stage);
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	leadscore_push_member(&state, "stage", lead_stage_label(stage));
	if (!PG_ARGISNULL(2))
		leadscore_push_member(&state, "reason", text_to_cstring(PG_GETARG_TEXT_PP(2)));
	if (!PG_ARGISNULL(3))
		leadscore_push_member(&state, "by", text_to_cstring(PG_GETARG_TEXT_PP(3)));
	memset(event.nulls, 'n', sizeof(event.nulls));
	event.values[EVENT_LEAD_ID] = Int64GetDatum(lead_id);
	event.values[EVENT_KIND] = CStringGetTextDatum("stage_set");
	event.values[EVENT_PROPERTIES] = JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
	event.values[EVENT_OCCURRED_AT] = TimestampTzGetDatum(stage_set_at(call, lead_id));
	event.nulls[EVENT_LEAD_ID] = event.nulls[EVENT_KIND] = ' ';
	event.nulls[EVENT_PROPERTIES] = event.nulls[EVENT_OCCURRED_AT] = ' ';
	leadscore_say_who(&event);
	leadscore_add_event(call, &event, NULL, &duplicate);
	leadscore_read_standing(call, lead_id, false, &after);
	if (!after.known)
		PG_RETURN_NULL();
	oldcontext = MemoryContextSwitchTo(call->caller);
	result = CStringGetTextDatum(lead_stage_label(after.stage));
	MemoryContextSwitchTo(oldcontext);
	return result;
}

/* set_stage(external_id, stage, reason, by) */
Datum
leadscore_set_stage(FunctionCallInfo fcinfo, AppWrite *call)
{
	Datum		external_id = leadscore_required_text(fcinfo, 0, "external_id");
	Datum		label = leadscore_required_text(fcinfo, 1, "stage");
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	int64		lead_id;
	bool		found = leadscore_find_lead(call->pipeline, external_id, snapshot, &lead_id);

	UnregisterSnapshot(snapshot);
	if (!found)
	{
		Datum		values[3] = {external_id};
		bool		nulls[3] = {false, true, true};

		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("there is no lead \"%s\"", TextDatumGetCString(external_id)),
				 leadscore_is_forgotten(call->pipeline, values, nulls) ?
				 errhint("The person was forgotten. Only give_consent() with evidence and an address brings it back.") :
				 errhint("Create it with upsert_lead() or track() first.")));
	}
	return set_stage(fcinfo, call, lead_id, label);
}

/* set_stage_by_id(lead_id, stage, reason, by) */
Datum
leadscore_set_stage_by_id(FunctionCallInfo fcinfo, AppWrite *call)
{
	Datum		label = leadscore_required_text(fcinfo, 1, "stage");
	Lookup		lookup;
	Snapshot	snapshot;
	bool		found;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("lead_id must not be null"),
				 errhint("Pass the number of a lead, as track() returns it.")));
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	if (call->pipeline->distributed)
	{
		Datum		value = PG_GETARG_DATUM(0);

		found = leadscore_app_run(call->pipeline, SEE_LEAD, &value, NULL, snapshot) > 0;
	}
	else
	{
		leadscore_lookup_open(&lookup, call->pipeline->lead, call->cache->lead_key);
		found = leadscore_lookup_number(&lookup, PG_GETARG_INT64(0), snapshot);
		leadscore_lookup_close(&lookup);
	}
	UnregisterSnapshot(snapshot);
	if (!found)
	{
		int64		winner = leadscore_merged_into(call->pipeline->part, PG_GETARG_INT64(0));

		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("there is no lead " INT64_FORMAT, PG_GETARG_INT64(0)),
				 winner ? errhint("Lead " INT64_FORMAT " was merged into lead " INT64_FORMAT ".",
								  PG_GETARG_INT64(0), winner) :
				 errhint("Use the lead_id that upsert_lead() or track() has returned.")));
	}
	return set_stage(fcinfo, call, PG_GETARG_INT64(0), label);
}
