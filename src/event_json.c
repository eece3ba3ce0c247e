/*-------------------------------------------------------------------------
 *
 * event_json.c
 *		Events as JSON: the argument of track_many().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "track.h"

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

/* Push a member of an object that is a string, or null if there is none. */
void
leadscore_push_member(JsonbParseState **state, const char *name, const char *string)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, name);
	value.val.string.len = strlen(name);
	pushJsonbValue(state, WJB_KEY, &value);
	if (string == NULL)
		value.type = jbvNull;
	else
	{
		value.val.string.val = unconstify(char *, string);
		value.val.string.len = strlen(string);
	}
	pushJsonbValue(state, WJB_VALUE, &value);
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
	leadscore_check_length("kind", PointerGetDatum(text_value));
	event->values[EVENT_KIND] = PointerGetDatum(text_value);
	event->nulls[EVENT_LEAD_ID] = event->nulls[EVENT_KIND] = event->nulls[EVENT_OCCURRED_AT] = ' ';
	properties = item_jsonb(container, "properties");
	if (properties)
	{
		leadscore_check_object(properties, "properties", EXAMPLE_PROPERTIES, psprintf("element %d of events", position));
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
		event->values[EVENT_VALUE] = leadscore_stored_value(DatumGetFloat8(number),
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
EventInput *
leadscore_read_events(FunctionCallInfo fcinfo, int *n)
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
