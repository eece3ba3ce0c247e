/*-------------------------------------------------------------------------
 *
 * track.c
 *		The functions by which apps record events.
 *
 * An event of a lead that is there takes one statement, the INSERT; the engine
 * counts it in its trigger.  The state is not locked before: an INSERT by
 * somebody else, of the same source_id, would wait for that lock while this
 * one waits for its row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "app.h"
#include "explain.h"
#include "stage.h"
#include "consent.h"
#include "track.h"

static const Oid event_types[EVENT_COLUMNS] = {INT8OID, TEXTOID, JSONBOID, TIMESTAMPTZOID,
NUMERICOID, TEXTOID, TEXTOID, TEXTOID};

/* Where a lead stands after a call */
typedef struct Standing
{
	bool		known;			/* has it a state? */
	uint8		stage;
	bool		scored;			/* is there an active model? */
	int64		score;
} Standing;

/* A value as it is stored: a number of 15 digits, or NULL with its problem */
static Datum
stored_value(double value, const char *element)
{
	if (isnan(value) || isinf(value))
	{
		if (element)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s is not valid", element),
					 errdetail("Its value is not a number that can be stored."),
					 errhint("Pass null if there is none.")));
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("value must be a number, neither NaN nor infinity"),
				 errhint("Pass null if there is none.")));
	}
	return DirectFunctionCall1(float8_numeric, Float8GetDatum(value));
}

/* Push a member of an object that is a string. */
static void
push_pair(JsonbParseState **state, const char *name, text *string)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, name);
	value.val.string.len = strlen(name);
	pushJsonbValue(state, WJB_KEY, &value);
	value.val.string.val = VARDATA_ANY(string);
	value.val.string.len = VARSIZE_ANY_EXHDR(string);
	pushJsonbValue(state, WJB_VALUE, &value);
}

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
	push_pair(&state, "by", leadscore_caller_name());
	by = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	event->values[EVENT_PROPERTIES] = event->nulls[EVENT_PROPERTIES] == 'n' ? JsonbPGetDatum(by) :
		DirectFunctionCall2(jsonb_concat, event->values[EVENT_PROPERTIES], JsonbPGetDatum(by));
	event->nulls[EVENT_PROPERTIES] = ' ';
}

/* A lead is created when it is first heard of, or now if that is to come. */
static TimestampTz
creation(TimestampTz occurred_at)
{
	return Min(occurred_at, GetCurrentTransactionStartTimestamp());
}

/* The event of a lead with a source_id; 0 if there is none */
static int64
find_event(AppWrite *call, Datum lead_id, Datum source_id)
{
	Datum		values[2];
	bool		isnull;

	values[0] = lead_id;
	values[1] = source_id;
	if (leadscore_app_run(call->pipeline, FIND_EVENT, values, NULL, NULL) == 0)
		return 0;
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

/*
 * Lock the states of leads to which events are to be added.  Those that refuse
 * messages change their leads, and all with the same addresses: these are locked
 * before, and their states with the others.  Both in the order of lead_id.
 */
static void
lock_for_events(AppWrite *call, const int64 *lead_ids, int n, const Datum *refusing, int nrefusing)
{
	int64	   *all;
	uint64		nlocked = 0;
	uint64		row;

	if (nrefusing > 0)
	{
		Datum		value = leadscore_app_array(refusing, NULL, nrefusing, INT8OID);

		nlocked = leadscore_app_run(call->pipeline, LOCK_ADDRESSES, &value, NULL, NULL);
	}
	all = MemoryContextAllocHuge(CurrentMemoryContext, (n + nlocked) * sizeof(int64));
	memcpy(all, lead_ids, n * sizeof(int64));
	for (row = 0; row < nlocked; row++)
	{
		bool		isnull;

		all[n + row] = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
												   1, &isnull));
	}
	leadscore_lock_states(call->pipeline, all, n + (int) nlocked);
}

/* Without an index that tells events apart, a distributed pipeline cannot do it. */
static void
refuse_without_index(AppWrite *call)
{
	if (call->pipeline->distributed)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"event\" has no unique index on (lead_id, source_id)"),
				 errhint("Add it again, or pass no source_id.")));
}

/* A column of events as an array */
static Datum
column_array(const EventInput *events, int n, int column)
{
	Datum	   *items = palloc(sizeof(Datum) * n);
	bool	   *nulls = palloc(sizeof(bool) * n);
	int			i;

	for (i = 0; i < n; i++)
	{
		items[i] = events[i].values[column];
		nulls[i] = events[i].nulls[column] == 'n';
	}
	return leadscore_app_array(items, nulls, n, event_types[column]);
}

/*
 * Leave out the events that were there and were purged; returns how many are
 * left.  Of what happened today none was.
 */
static int
drop_purged(AppWrite *call, EventInput *events, int n)
{
	LeadGrain	grain = call->pipeline->grain;
	int64		today = bucket_start(bucket_of(GetCurrentTransactionStartTimestamp(), grain), grain);
	bool	   *purged;
	Datum		values[3];
	int			kept = 0;
	bool		any = false;
	uint64		row;
	int			i;

	for (i = 0; i < n; i++)
		any |= events[i].nulls[EVENT_SOURCE_ID] != 'n' &&
			DatumGetTimestampTz(events[i].values[EVENT_OCCURRED_AT]) < today;
	if (!any || (!call->pipeline->distributed && !leadscore_ever_filled(call->pipeline->checkpoint)))
		return n;
	purged = palloc0(sizeof(bool) * n);
	values[0] = column_array(events, n, EVENT_LEAD_ID);
	values[1] = column_array(events, n, EVENT_SOURCE_ID);
	values[2] = column_array(events, n, EVENT_OCCURRED_AT);
	leadscore_app_run(call->pipeline, FIND_PURGED, values, NULL, NULL);
	for (row = 0; row < SPI_processed; row++)
	{
		bool		isnull;

		purged[DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 1, &isnull)) - 1] = true;
	}
	for (i = 0; i < n; i++)
		if (!purged[i])
			events[kept++] = events[i];
	return kept;
}

/*
 * Insert an event; returns its number, or that of the one that is there
 * already, or 0 if a trigger of the owner's drops it.
 */
static int64
add_event(AppWrite *call, EventInput *event, AppWatch *watch, bool *duplicate)
{
	bool		named = event->nulls[EVENT_SOURCE_ID] != 'n';
	Datum		lead_id = event->values[EVENT_LEAD_ID];
	AppWatch   *before;
	uint64		n;
	bool		isnull;

	*duplicate = named && drop_purged(call, event, 1) == 0;
	if (*duplicate)
		return 0;
	if (named && !call->cache->source_id_unique)
	{

		int64		number = DatumGetInt64(lead_id);
		int64		event_id;

		refuse_without_index(call);
		/* no index tells: the lock keeps others from adding it */
		lock_for_events(call, &number, 1, &lead_id,
						leadscore_is_refusal(call->pipeline, event->values[EVENT_KIND]) ? 1 : 0);
		event_id = find_event(call, lead_id, event->values[EVENT_SOURCE_ID]);
		*duplicate = event_id != 0;
		if (*duplicate)
			return event_id;
	}
	before = leadscore_app_watch(watch);
	n = leadscore_app_run(call->pipeline,
						  named && call->cache->source_id_unique ? ADD_EVENT_ONCE : ADD_EVENT,
						  event->values, event->nulls, NULL);
	leadscore_app_watch(before);
	if (n > 0)
		return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	if (named)
	{
		int64		event_id = find_event(call, lead_id, event->values[EVENT_SOURCE_ID]);

		*duplicate = event_id != 0;
		return event_id;
	}
	return 0;
}

/* Where a lead stands, as this transaction sees it */
static void
read_standing(AppWrite *call, int64 lead_id, bool score, Standing *standing)
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
	leadscore_say_who(&event);
	take_argument(fcinfo, 3, &event, EVENT_OCCURRED_AT);
	if (PG_ARGISNULL(3))
		event.values[EVENT_OCCURRED_AT] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
	event.nulls[EVENT_OCCURRED_AT] = ' ';
	event.nulls[EVENT_VALUE] = PG_ARGISNULL(4) ? 'n' : ' ';
	if (!PG_ARGISNULL(4))
		event.values[EVENT_VALUE] = stored_value(PG_GETARG_FLOAT8(4), NULL);
	take_argument(fcinfo, 5, &event, EVENT_CHANNEL);
	take_argument(fcinfo, 6, &event, EVENT_CAMPAIGN);
	take_argument(fcinfo, 7, &event, EVENT_SOURCE_ID);
	if (!PG_ARGISNULL(7))
		leadscore_check_length("source_id", PG_GETARG_DATUM(7));
	if (!PG_ARGISNULL(8))
		lead.document = leadscore_check_document(PG_GETARG_JSONB_P(8), NULL);
	lead.created_at = creation(DatumGetTimestampTz(event.values[EVENT_OCCURRED_AT]));
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
		read_standing(call, lead.lead_id, false, &after);
		watch.from_stage = after.stage;
	}
	event_id = add_event(call, &event, &watch, &duplicate);
	if (call->pipeline->distributed && event_id != 0 && !duplicate)
		watch.scored = is_scored(call, lead.lead_id, event_id);
	read_standing(call, lead.lead_id, true, &after);
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

static const char *const item_keys[] = {"external_id", "kind", "properties", "occurred_at", "value",
"channel", "campaign", "source_id", "profile"};

/* Refuse an element, and say why. */
static void
invalid_item(int position, const char *problem)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("element %d of events is not valid", position),
			 errdetail("%s", problem),
			 errhint("Required keys are external_id and kind; optional keys are properties, occurred_at, value, channel, campaign, source_id and profile.")));
}

/* A value of an element as text; NULL if it is not there or null */
text *
leadscore_item_text(JsonbContainer *item, const char *key)
{
	JsonbValue	buffer;
	JsonbValue *value = getKeyJsonValueFromContainer(item, key, strlen(key), &buffer);

	if (value == NULL || value->type == jbvNull)
		return NULL;
	switch (value->type)
	{
		case jbvString:
			return cstring_to_text_with_len(value->val.string.val, value->val.string.len);
		case jbvBool:
			return cstring_to_text(value->val.boolean ? "true" : "false");
		case jbvNumeric:
			return cstring_to_text(DatumGetCString(DirectFunctionCall1(numeric_out,
																	   NumericGetDatum(value->val.numeric))));
		default:
			return cstring_to_text(JsonbToCString(NULL, value->val.binary.data,
												  value->val.binary.len));
	}
}

/* A value of an element as jsonb; NULL if it is not there or null */
static Jsonb *
item_jsonb(JsonbContainer *item, const char *key)
{
	JsonbValue	buffer;
	JsonbValue *value = getKeyJsonValueFromContainer(item, key, strlen(key), &buffer);

	return value == NULL || value->type == jbvNull ? NULL : JsonbValueToJsonb(value);
}

/* Read a text by an input function; an error names the element. */
static Datum
read_item(PGFunction input, text *value, int position)
{
	MemoryContext context = CurrentMemoryContext;
	volatile Datum result = (Datum) 0;

	PG_TRY();
	{
		result = DirectFunctionCall3(input, CStringGetDatum(text_to_cstring(value)),
									 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	}
	PG_CATCH();
	{
		ErrorData  *error;

		if (ERRCODE_TO_CATEGORY(geterrcode()) != ERRCODE_TO_CATEGORY(ERRCODE_DATA_EXCEPTION))
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		invalid_item(position, psprintf("It has %s.", error->message));
	}
	PG_END_TRY();
	return result;
}

/* Refuse keys that nobody knows. */
static void
check_keys(JsonbContainer *item, int position)
{
	JsonbIterator *iterator = JsonbIteratorInit(item);
	JsonbIteratorToken token;
	JsonbValue	key;

	(void) JsonbIteratorNext(&iterator, &key, true);
	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		int			i;

		if (token != WJB_KEY)
			continue;
		for (i = 0; i < lengthof(item_keys); i++)
			if (strlen(item_keys[i]) == key.val.string.len &&
				strncmp(item_keys[i], key.val.string.val, key.val.string.len) == 0)
				break;
		if (i == lengthof(item_keys))
			invalid_item(position, psprintf("It has the unknown key \"%.*s\".",
											key.val.string.len, key.val.string.val));
	}
}

/* Read one element of the argument of track_many(). */
static void
read_event(const JsonbValue *item, int position, EventInput *event)
{
	static const char *const texts[] = {"channel", "campaign", "source_id"};
	JsonbContainer *container;
	JsonbValue	buffer;
	JsonbValue *value;
	text	   *text_value;
	Jsonb	   *properties;
	int			i;

	if (item->type != jbvBinary || !JsonContainerIsObject(item->val.binary.data))
		invalid_item(position, psprintf("It is not an object but %s.",
										item->type == jbvBinary ? "array" :
										JsonbTypeName(unconstify(JsonbValue *, item))));
	container = item->val.binary.data;
	check_keys(container, position);
	memset(event, 0, sizeof(EventInput));
	memset(event->nulls, 'n', sizeof(event->nulls));
	event->position = position;

	text_value = leadscore_item_text(container, "external_id");
	if (text_value == NULL || VARSIZE_ANY_EXHDR(text_value) == 0)
		invalid_item(position, "It has no external_id.");
	leadscore_check_length("external_id", PointerGetDatum(text_value));
	event->external_id = leadscore_folded_name(PointerGetDatum(text_value));
	text_value = leadscore_item_text(container, "kind");
	if (text_value == NULL || VARSIZE_ANY_EXHDR(text_value) == 0)
		invalid_item(position, "It has no kind.");
	event->values[EVENT_KIND] = PointerGetDatum(text_value);
	event->nulls[EVENT_LEAD_ID] = event->nulls[EVENT_KIND] = event->nulls[EVENT_OCCURRED_AT] = ' ';
	properties = item_jsonb(container, "properties");
	if (properties)
	{
		event->values[EVENT_PROPERTIES] = JsonbPGetDatum(properties);
		event->nulls[EVENT_PROPERTIES] = ' ';
	}
	leadscore_say_who(event);
	text_value = leadscore_item_text(container, "occurred_at");
	event->values[EVENT_OCCURRED_AT] = text_value ?
		read_item(timestamptz_in, text_value, position) :
		TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
	value = getKeyJsonValueFromContainer(container, "value", 5, &buffer);
	if (value && value->type != jbvNull)
	{
		Datum		number = value->type == jbvNumeric ? NumericGetDatum(value->val.numeric) :
			read_item(numeric_in, leadscore_item_text(container, "value"), position);

		number = DirectFunctionCall1(numeric_float8_no_overflow, number);
		event->values[EVENT_VALUE] = stored_value(DatumGetFloat8(number),
												  psprintf("element %d of events", position));
		event->nulls[EVENT_VALUE] = ' ';
	}
	for (i = 0; i < lengthof(texts); i++)
	{
		text_value = leadscore_item_text(container, texts[i]);
		if (text_value == NULL)
			continue;
		event->values[EVENT_CHANNEL + i] = PointerGetDatum(text_value);
		event->nulls[EVENT_CHANNEL + i] = ' ';
	}
	if (event->nulls[EVENT_SOURCE_ID] != 'n')
		leadscore_check_length("source_id", event->values[EVENT_SOURCE_ID]);
	event->profile = item_jsonb(container, "profile");
	if (event->profile)
		leadscore_check_document(event->profile, psprintf("element %d of events", position));
}

/* Read the argument of track_many(). */
static EventInput *
read_events(FunctionCallInfo fcinfo, int *n)
{
	Jsonb	   *json = PG_ARGISNULL(0) ? NULL : PG_GETARG_JSONB_P(0);
	EventInput *events;
	JsonbIterator *iterator;
	JsonbValue	item;

	if (json == NULL || !JB_ROOT_IS_ARRAY(json) || JB_ROOT_IS_SCALAR(json))
		ereport(ERROR,
				(errcode(json ? ERRCODE_INVALID_PARAMETER_VALUE : ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("events must be a JSON array of objects"),
				 errhint("Pass something like [{\"external_id\": \"a1\", \"kind\": \"page_view\", \"occurred_at\": \"2025-03-01T10:00:00Z\"}].")));
	*n = 0;
	events = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(EventInput) * (JB_ROOT_COUNT(json) + 1));
	iterator = JsonbIteratorInit(&json->root);
	(void) JsonbIteratorNext(&iterator, &item, true);
	while (JsonbIteratorNext(&iterator, &item, true) == WJB_ELEM)
	{
		CHECK_FOR_INTERRUPTS();
		read_event(&item, *n + 1, &events[*n]);
		(*n)++;
	}
	return events;
}

/* By bytes */
static int
text_cmp(Datum a, Datum b)
{
	text	   *x = DatumGetTextPP(a);
	text	   *y = DatumGetTextPP(b);
	int			nx = VARSIZE_ANY_EXHDR(x);
	int			ny = VARSIZE_ANY_EXHDR(y);
	int			cmp = memcmp(VARDATA_ANY(x), VARDATA_ANY(y), Min(nx, ny));

	return cmp != 0 ? cmp : nx - ny;
}

/* By time, and then as they were sent */
int
leadscore_event_cmp(const void *a, const void *b)
{
	const EventInput *x = a;
	const EventInput *y = b;
	TimestampTz tx = DatumGetTimestampTz(x->values[EVENT_OCCURRED_AT]);
	TimestampTz ty = DatumGetTimestampTz(y->values[EVENT_OCCURRED_AT]);

	if (tx != ty)
		return tx < ty ? -1 : 1;
	return x->position - y->position;
}

/* By lead, and then by place */
static int
lead_cmp(const void *a, const void *b)
{
	EventInput *x = *(EventInput *const *) a;
	EventInput *y = *(EventInput *const *) b;
	int			cmp = text_cmp(x->external_id, y->external_id);

	return cmp != 0 ? cmp : (x < y ? -1 : (x > y ? 1 : 0));
}

/*
 * The leads of events, which are in order of time, in order of external_id.  A
 * lead is created at the time of its first event.  Its profiles are put
 * together in the order of events, and count from the time of the first one.
 */
LeadInput *
leadscore_events_leads(const Pipeline *pipeline, EventInput *events, int nevents, int *nleads)
{
	EventInput **by_lead = palloc(sizeof(EventInput *) * nevents);
	LeadInput  *leads = palloc0(sizeof(LeadInput) * nevents);
	LeadInput  *lead = NULL;
	int			i;

	*nleads = 0;
	for (i = 0; i < nevents; i++)
		by_lead[i] = &events[i];
	qsort(by_lead, nevents, sizeof(EventInput *), lead_cmp);
	for (i = 0; i < nevents; i++)
	{
		EventInput *event = by_lead[i];
		TimestampTz at = creation(DatumGetTimestampTz(event->values[EVENT_OCCURRED_AT]));

		if (lead == NULL || text_cmp(lead->external_id, event->external_id) != 0)
		{
			lead = &leads[(*nleads)++];
			lead->external_id = event->external_id;
			lead->created_at = at;
			lead->channel = event->nulls[EVENT_CHANNEL] == 'n' ? (Datum) 0 : event->values[EVENT_CHANNEL];
			lead->campaign = event->nulls[EVENT_CAMPAIGN] == 'n' ? (Datum) 0 : event->values[EVENT_CAMPAIGN];
		}
		event->lead = lead;
		lead->refuses |= leadscore_is_refusal(pipeline, event->values[EVENT_KIND]);
		if (event->profile == NULL)
			continue;
		if (lead->document == NULL)
			lead->at = at;
		lead->document = lead->document == NULL ? event->profile :
			DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(lead->document),
											   JsonbPGetDatum(event->profile)));
	}
	return leads;
}

/* By number */
static int
int64_cmp(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return x < y ? -1 : (x > y ? 1 : 0);
}

/* Lock the states of the leads of events, which are to be added or removed. */
static void
lock_leads_of(AppWrite *call, const EventInput *events, int n)
{
	int64	   *lead_ids = palloc(sizeof(int64) * n);
	Datum	   *refused = palloc(sizeof(Datum) * n);
	int			nleads = 0;
	int			nrefused = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		lead_ids[i] = DatumGetInt64(events[i].values[EVENT_LEAD_ID]);
		if (events[i].nulls[EVENT_KIND] != 'n' &&
			leadscore_is_refusal(call->pipeline, events[i].values[EVENT_KIND]))
			refused[nrefused++] = events[i].values[EVENT_LEAD_ID];
	}
	qsort(lead_ids, n, sizeof(int64), int64_cmp);
	for (i = 0; i < n; i++)
		if (nleads == 0 || lead_ids[nleads - 1] != lead_ids[i])
			lead_ids[nleads++] = lead_ids[i];
	lock_for_events(call, lead_ids, nleads, refused, nrefused);
}

/*
 * Where no index tells: leave out the events that are there already, or twice
 * in the batch, with the leads' states locked.  Returns how many are left.
 */
static int
drop_known(AppWrite *call, EventInput *events, int n)
{
	bool	   *known = palloc0(sizeof(bool) * n);
	Datum		values[2];
	int			kept = 0;
	uint64		row;
	int			i;

	refuse_without_index(call);
	lock_leads_of(call, events, n);
	values[0] = column_array(events, n, EVENT_LEAD_ID);
	values[1] = column_array(events, n, EVENT_SOURCE_ID);
	leadscore_app_run(call->pipeline, FIND_KNOWN, values, NULL, NULL);
	for (row = 0; row < SPI_processed; row++)
	{
		bool		isnull;

		known[DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
										  1, &isnull)) - 1] = true;
	}
	for (i = 0; i < n; i++)
		if (!known[i])
			events[kept++] = events[i];
	return kept;
}

/* By lead_id, and then by source_id */
static int
place_cmp(const void *a, const void *b)
{
	const EventInput *x = a;
	const EventInput *y = b;
	int64		left = DatumGetInt64(x->values[EVENT_LEAD_ID]);
	int64		right = DatumGetInt64(y->values[EVENT_LEAD_ID]);

	if (left != right)
		return left < right ? -1 : 1;
	return text_cmp(x->values[EVENT_SOURCE_ID], y->values[EVENT_SOURCE_ID]);
}

/*
 * Take away events that their lead and source_id name, and put others, which
 * have one, into the place of those that have it already.  All rows of event are
 * locked before the states, as by any session that changes events.  Events that
 * are new, as those of a statement that inserts, need no lock before.
 */
void
leadscore_exchange_events(AppWrite *call, EventInput *gone, int ngone, EventInput *put, int nput,
						  bool all_new)
{
	Datum		values[EVENT_COLUMNS];
	int			i;

	for (i = 0; i < nput; i++)
		put[i].values[EVENT_LEAD_ID] = Int64GetDatum(put[i].lead->lead_id);
	if (ngone > 0 || (nput > 0 && (!all_new || !call->cache->source_id_unique)))
	{
		EventInput *all = MemoryContextAllocHuge(CurrentMemoryContext,
												 sizeof(EventInput) * (ngone + nput));
		int			n = 0;

		for (i = 0; i < ngone; i++)
			all[n++] = gone[i];
		for (i = 0; i < nput; i++)
			all[n++] = put[i];
		qsort(all, n, sizeof(EventInput), place_cmp);
		values[0] = column_array(all, n, EVENT_LEAD_ID);
		values[1] = column_array(all, n, EVENT_SOURCE_ID);
		leadscore_app_run(call->pipeline, LOCK_EVENTS, values, NULL, NULL);
		lock_leads_of(call, all, n);
		/* without an index an event is not changed, but removed and added */
		if (call->cache->source_id_unique)
		{
			values[0] = column_array(gone, ngone, EVENT_LEAD_ID);
			values[1] = column_array(gone, ngone, EVENT_SOURCE_ID);
		}
		if (ngone > 0 || !call->cache->source_id_unique)
			leadscore_app_run(call->pipeline, REMOVE_EVENTS, values, NULL, NULL);
	}
	/* what was purged stays counted as it was */
	nput = drop_purged(call, put, nput);
	if (nput == 0)
		return;
	for (i = 0; i < EVENT_COLUMNS; i++)
		values[i] = column_array(put, nput, i);
	leadscore_app_run(call->pipeline, call->cache->source_id_unique ? PUT_EVENTS : ADD_EVENTS,
					  values, NULL, NULL);
}

/* Insert events; only events whose source_id is known are duplicates. */
void
leadscore_add_events(AppWrite *call, EventInput *events, int n, int64 *inserted, int64 *duplicates)
{
	bool		unique = call->cache->source_id_unique;
	Datum		values[EVENT_COLUMNS];
	int64		named;
	bool		isnull;
	int			kept = n;
	int			i;

	for (i = 0; i < n; i++)
		events[i].values[EVENT_LEAD_ID] = Int64GetDatum(events[i].lead->lead_id);
	if (!unique)
		kept = drop_known(call, events, n);
	kept = drop_purged(call, events, kept);
	*duplicates = n - kept;
	*inserted = 0;
	if (kept == 0)
		return;
	for (i = 0; i < EVENT_COLUMNS; i++)
		values[i] = column_array(events, kept, i);
	leadscore_app_run(call->pipeline, unique ? ADD_EVENTS_ONCE : ADD_EVENTS, values, NULL, NULL);
	*inserted = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	named = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull));
	if (unique && *inserted < kept)
	{
		/* an event that is not there either was dropped by an owner's trigger */
		values[1] = values[EVENT_SOURCE_ID];
		leadscore_app_run(call->pipeline, COUNT_KNOWN, values, NULL, NULL);
		*duplicates += DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
												   1, &isnull)) - named;
	}
}

/* Leave out the events of people that were forgotten; returns how many. */
int64
leadscore_drop_forgotten(EventInput *events, int *n)
{
	int			kept = 0;
	int64		dropped;
	int			i;

	for (i = 0; i < *n; i++)
		if (!events[i].lead->forgotten)
			events[kept++] = events[i];
	dropped = *n - kept;
	*n = kept;
	return dropped;
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

	events = read_events(fcinfo, &nevents);
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
	read_standing(call, lead_id, true, &standing);
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
	push_pair(&state, "stage", cstring_to_text(lead_stage_label(stage)));
	if (!PG_ARGISNULL(2))
		push_pair(&state, "reason", PG_GETARG_TEXT_PP(2));
	if (!PG_ARGISNULL(3))
		push_pair(&state, "by", PG_GETARG_TEXT_PP(3));
	memset(event.nulls, 'n', sizeof(event.nulls));
	event.values[EVENT_LEAD_ID] = Int64GetDatum(lead_id);
	event.values[EVENT_KIND] = CStringGetTextDatum("stage_set");
	event.values[EVENT_PROPERTIES] = JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
	event.values[EVENT_OCCURRED_AT] = TimestampTzGetDatum(stage_set_at(call, lead_id));
	event.nulls[EVENT_LEAD_ID] = event.nulls[EVENT_KIND] = ' ';
	event.nulls[EVENT_PROPERTIES] = event.nulls[EVENT_OCCURRED_AT] = ' ';
	leadscore_say_who(&event);
	add_event(call, &event, NULL, &duplicate);
	read_standing(call, lead_id, false, &after);
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
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("there is no lead \"%s\"", TextDatumGetCString(external_id)),
				 errhint("Create it with upsert_lead() or track() first.")));
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
				 errhint("Create it with upsert_lead() or track() first.")));
	}
	return set_stage(fcinfo, call, PG_GETARG_INT64(0), label);
}
