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
 * backfill reads the rows that were there before the trigger, under locks, so
 * that it writes nothing of a row that a session changes meanwhile.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

#include "guard.h"
#include "progress.h"
#include "track.h"
#include "tracked.h"
#include "trigger.h"

PG_FUNCTION_INFO_V1(leadscore_tracking_problem);

/* a name or source_id longer than this fits no index */
#define MAX_BYTES	2000

/* Why a row makes nothing though it should */
typedef enum SkipReason
{
	SKIP_NONE,
	SKIP_NO_LEAD,
	SKIP_TOO_LONG,
	SKIP_FORGOTTEN,
	SKIP_VALUE,
	SKIP_ALIAS,
	SKIP_BROKEN,
	SKIP_REASONS				/* number of them */
} SkipReason;

static const char *const skip_names[SKIP_REASONS] = {NULL, "no lead", "too long", "forgotten",
"unfit value", "name of another lead", "broken definition"};

/* What a row of the app's table makes */
typedef struct TrackedRow
{
	EventInput	event;			/* of leads: its name, source_id and profile */
	bool		present;		/* it makes something */
	SkipReason	reason;
	text	  **aliases;		/* of leads; items may be NULL */
} TrackedRow;

/* The rows of a table before a statement, or after it */
typedef struct TrackedRows
{
	TrackedRow *rows;
	int			n;
} TrackedRows;

/* Are two values of variable length, or none, the same bytes? */
static bool
same_varlena(Datum a, bool a_null, Datum b, bool b_null)
{
	if (a_null || b_null)
		return a_null == b_null;
	return datumIsEqual(PointerGetDatum(PG_DETOAST_DATUM_PACKED(a)),
						PointerGetDatum(PG_DETOAST_DATUM_PACKED(b)), false, -1);
}

/* Set a column of an event to a text, which may be NULL. */
static void
set_text(EventInput *event, int column, text *value)
{
	event->values[column] = PointerGetDatum(value);
	event->nulls[column] = value ? ' ' : 'n';
}

/* Is a text nothing but blanks? */
static bool
is_blank(const text *value)
{
	int			i;

	for (i = 0; i < VARSIZE_ANY_EXHDR(value); i++)
		if (VARDATA_ANY(value)[i] != ' ')
			return false;
	return true;
}

/* Read a row that makes an event. */
static void
read_event_row(const TrackedTable *table, TupleTableSlot *slot, TrackedRow *row)
{
	EventInput *event = &row->event;
	text	   *kind = table->kind ? table->kind : leadscore_tracked_text(&table->kind_column, slot);
	text	   *lead;
	TimestampTz occurred_at;
	int			i;

	if (kind == NULL || VARSIZE_ANY_EXHDR(kind) == 0 ||
		!leadscore_tracked_instant(table, &table->occurred_at, slot, &occurred_at) ||
		!leadscore_tracked_holds(table, slot))
		return;
	lead = leadscore_tracked_text(&table->lead, slot);
	if (lead == NULL || is_blank(lead))
	{
		row->reason = SKIP_NO_LEAD;
		return;
	}
	if (VARSIZE_ANY_EXHDR(lead) > MAX_BYTES || VARSIZE_ANY_EXHDR(kind) > MAX_BYTES ||
		VARSIZE_ANY_EXHDR(DatumGetPointer(event->values[EVENT_SOURCE_ID])) > MAX_BYTES)
	{
		row->reason = SKIP_TOO_LONG;
		return;
	}
	row->present = true;
	event->external_id = leadscore_folded_name(PointerGetDatum(lead));
	set_text(event, EVENT_KIND, kind);
	event->values[EVENT_OCCURRED_AT] = TimestampTzGetDatum(occurred_at);
	event->nulls[EVENT_OCCURRED_AT] = event->nulls[EVENT_LEAD_ID] = ' ';
	if (leadscore_tracked_number(&table->value, slot, &event->values[EVENT_VALUE]))
		event->nulls[EVENT_VALUE] = ' ';
	set_text(event, EVENT_CHANNEL, leadscore_tracked_text(&table->channel, slot));
	set_text(event, EVENT_CAMPAIGN, leadscore_tracked_text(&table->campaign, slot));
	if (table->nproperties > 0)
	{
		JsonbParseState *state = NULL;
		Jsonb	   *properties;

		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		for (i = 0; i < table->nproperties; i++)
			leadscore_tracked_push(table, &table->properties[i], slot, &state);
		properties = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
		if (JB_ROOT_COUNT(properties) > 0)
		{
			event->values[EVENT_PROPERTIES] = JsonbPGetDatum(properties);
			event->nulls[EVENT_PROPERTIES] = ' ';
		}
	}
	leadscore_say_who(event);
}

/* Push a member of an object that is a string, or null if there is none. */
static void
push_member(JsonbParseState **state, const char *name, const char *string)
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

/* Push what a column of consent says: a date, or whether it was given. */
static void
push_consent(const TrackedTable *table, TupleTableSlot *slot, JsonbParseState **state)
{
	TimestampTz at;
	bool		isnull;
	Datum		value;

	if (table->consent.family == FAMILY_BOOLEAN)
	{
		value = slot_getattr(slot, table->consent.attnum, &isnull);
		push_member(state, "consent", !isnull && DatumGetBool(value) ? "true" : "false");
	}
	else if (leadscore_tracked_instant(table, &table->consent, slot, &at))
	{
		char		buffer[MAXDATELEN + 1];
		int			utc = 0;

		JsonEncodeDateTime(buffer, TimestampTzGetDatum(at), TIMESTAMPTZOID, &utc);
		push_member(state, "consented_at", buffer);
	}
	else
		push_member(state, "consented_at", NULL);
}

/* Read a row that makes a lead. */
static void
read_lead_row(const TrackedTable *table, TupleTableSlot *slot, TrackedRow *row)
{
	EventInput *event = &row->event;
	text	   *name = leadscore_tracked_text(&table->lead, slot);
	text	   *email;
	JsonbParseState *state = NULL;
	TimestampTz at;
	int			i;

	if (!leadscore_tracked_holds(table, slot))
		return;
	if (name == NULL || is_blank(name))
	{
		row->reason = SKIP_NO_LEAD;
		return;
	}
	if (VARSIZE_ANY_EXHDR(name) > MAX_BYTES)
	{
		row->reason = SKIP_TOO_LONG;
		return;
	}
	row->present = true;
	event->external_id = leadscore_folded_name(PointerGetDatum(name));
	if (leadscore_tracked_instant(table, &table->created_at, slot, &at) &&
		at < GetCurrentTransactionStartTimestamp())
		event->values[EVENT_OCCURRED_AT] = TimestampTzGetDatum(at);
	else
		event->values[EVENT_OCCURRED_AT] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (i = 0; i < table->nproperties; i++)
		leadscore_tracked_push(table, &table->properties[i], slot, &state);
	if (table->email.name)
	{
		email = leadscore_tracked_text(&table->email, slot);
		push_member(&state, "email", email ? text_to_cstring(email) : NULL);
	}
	if (table->consent.name)
		push_consent(table, slot, &state);
	event->profile = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	row->aliases = palloc0(sizeof(text *) * (table->naliases + 1));
	for (i = 0; i < table->naliases; i++)
	{
		text	   *alias = leadscore_tracked_text(&table->aliases[i], slot);

		if (alias && !is_blank(alias) && VARSIZE_ANY_EXHDR(alias) <= MAX_BYTES)
			row->aliases[i] = DatumGetTextPP(leadscore_folded_name(PointerGetDatum(alias)));
	}
}

/* Read a row. */
static void
read_row(const TrackedTable *table, TupleTableSlot *slot, int position, TrackedRow *row)
{
	memset(row, 0, sizeof(TrackedRow));
	memset(row->event.nulls, 'n', sizeof(row->event.nulls));
	row->event.position = position;
	set_text(&row->event, EVENT_SOURCE_ID, leadscore_tracked_key(table, slot));
	if (table->makes_leads)
		read_lead_row(table, slot, row);
	else
		read_event_row(table, slot, row);
}

/* Read a transition table. */
static TrackedRows
read_rows(const TrackedTable *table, Relation rel, Tuplestorestate *store)
{
	TrackedRows result = {NULL, 0};
	TupleTableSlot *slot;

	if (store == NULL)
		return result;
	slot = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsMinimalTuple);
	result.rows = MemoryContextAllocHuge(CurrentMemoryContext,
										 sizeof(TrackedRow) * (tuplestore_tuple_count(store) + 1));
	leadscore_read_from_start(store);
	while (tuplestore_gettupleslot(store, true, false, slot))
	{
		CHECK_FOR_INTERRUPTS();
		read_row(table, slot, result.n, &result.rows[result.n]);
		result.n++;
	}
	ExecDropSingleTupleTableSlot(slot);
	return result;
}

/* By source_id, and then by place */
static int
row_cmp(const void *a, const void *b)
{
	const TrackedRow *x = a;
	const TrackedRow *y = b;
	text	   *s = DatumGetTextPP(x->event.values[EVENT_SOURCE_ID]);
	text	   *t = DatumGetTextPP(y->event.values[EVENT_SOURCE_ID]);
	int			ns = VARSIZE_ANY_EXHDR(s);
	int			nt = VARSIZE_ANY_EXHDR(t);
	int			cmp = memcmp(VARDATA_ANY(s), VARDATA_ANY(t), Min(ns, nt));

	if (cmp != 0 || ns != nt)
		return cmp != 0 ? cmp : ns - nt;
	return x->event.position - y->event.position;
}

/* Sort rows by their key; of rows of one key the last one counts. */
static void
sort_rows(TrackedRows *rows)
{
	int			kept = 0;
	int			i;

	if (rows->n == 0)
		return;
	qsort(rows->rows, rows->n, sizeof(TrackedRow), row_cmp);
	for (i = 0; i < rows->n; i++)
	{
		if (kept > 0 && same_varlena(rows->rows[kept - 1].event.values[EVENT_SOURCE_ID], false,
									 rows->rows[i].event.values[EVENT_SOURCE_ID], false))
			kept--;
		rows->rows[kept++] = rows->rows[i];
	}
	rows->n = kept;
}

/* Is a lead named the same by two rows? */
static bool
same_lead(const TrackedRow *a, const TrackedRow *b)
{
	return same_varlena(a->event.external_id, false, b->event.external_id, false);
}

/* Do two rows make the same event? */
static bool
same_event(const TrackedRow *a, const TrackedRow *b)
{
	static const int columns[] = {EVENT_KIND, EVENT_PROPERTIES, EVENT_VALUE, EVENT_CHANNEL, EVENT_CAMPAIGN};
	int			i;

	if (!same_lead(a, b) ||
		DatumGetTimestampTz(a->event.values[EVENT_OCCURRED_AT]) != DatumGetTimestampTz(b->event.values[EVENT_OCCURRED_AT]))
		return false;
	for (i = 0; i < lengthof(columns); i++)
		if (!same_varlena(a->event.values[columns[i]], a->event.nulls[columns[i]] == 'n',
						  b->event.values[columns[i]], b->event.nulls[columns[i]] == 'n'))
			return false;
	return true;
}

/* Note how many rows were left out, and why. */
static void
note_skipped(AppWrite *call, const TrackedTable *table, const int64 *skipped)
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
static void
write_events(AppWrite *call, const TrackedTable *table, TrackedRows *old, TrackedRows *new,
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
			cmp = row_cmp(&old->rows[i], &new->rows[j]);
			old->rows[i].event.position = position;
		}
		before = cmp <= 0 ? &old->rows[i++] : NULL;
		after = cmp >= 0 ? &new->rows[j++] : NULL;
		if (after && after->reason && (before == NULL || before->reason != after->reason))
			skipped[after->reason]++;
		if (before && before->present &&
			(after == NULL ? !(deleted && table->keeps) : !after->present || !same_lead(before, after)))
			gone[ngone++] = before->event;
		if (after && after->present &&
			(before == NULL || !before->present || !same_event(before, after)))
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

/* The bytes of a value of JSON */
static Jsonb *
value_bytes(JsonbValue *value)
{
	return JsonbValueToJsonb(value);
}

/*
 * What is new in a document: the members that differ from those of another, or
 * of which something is known if there is no other.  Members that cannot be
 * merged are left out and counted.  NULL if nothing is left.
 */
static Jsonb *
new_members(Jsonb *after, Jsonb *before, bool keep_consent, int64 *skipped)
{
	JsonbIterator *iterator = JsonbIteratorInit(&after->root);
	JsonbParseState *state = NULL;
	JsonbValue	key;
	JsonbValue	value;
	Jsonb	   *result;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	(void) JsonbIteratorNext(&iterator, &key, true);
	while (JsonbIteratorNext(&iterator, &key, true) == WJB_KEY)
	{
		JsonbValue	buffer;
		JsonbValue *was = before == NULL ? NULL :
			getKeyJsonValueFromContainer(&before->root, key.val.string.val, key.val.string.len, &buffer);

		(void) JsonbIteratorNext(&iterator, &value, true);
		if (before == NULL ? value.type == jbvNull :
			was && datumIsEqual(JsonbPGetDatum(value_bytes(was)), JsonbPGetDatum(value_bytes(&value)), false, -1))
			continue;
		if (!keep_consent && key.val.string.len >= 7 && memcmp(key.val.string.val, "consent", 7) == 0)
			continue;
		if (leadscore_member_problem(key.val.string.val, key.val.string.len, &value))
		{
			skipped[SKIP_VALUE]++;
			continue;
		}
		pushJsonbValue(&state, WJB_KEY, &key);
		pushJsonbValue(&state, WJB_VALUE, &value);
	}
	result = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	return JB_ROOT_COUNT(result) == 0 ? NULL : result;
}

/* Call a function of the pipeline with arrays of names; returns its number. */
static int64
call_with_names(AppWrite *call, AppStatement statement, Datum *first, Datum *second, int n)
{
	Datum		values[2];
	bool		isnull;
	Datum		result;

	values[0] = leadscore_app_array(first, NULL, n, TEXTOID);
	values[1] = second ? leadscore_app_array(second, NULL, n, TEXTOID) : (Datum) 0;
	leadscore_app_run(call->pipeline, statement, values, NULL, NULL);
	result = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	return isnull ? 0 : DatumGetInt64(result);
}

/* Has the lead of a name said before what becomes of its data? */
static bool
has_said(AppWrite *call, Datum name)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	int64		lead_id;
	bool		found = leadscore_find_lead(call->pipeline, name, snapshot, &lead_id);
	Datum		value;

	UnregisterSnapshot(snapshot);
	if (!found)
		return false;
	value = Int64GetDatum(lead_id);
	value = leadscore_app_array(&value, NULL, 1, INT8OID);
	return leadscore_app_run(call->pipeline, SAID_BEFORE, &value, NULL, NULL) > 0;
}

/* By name, and then by place */
static int
name_cmp(const void *a, const void *b)
{
	const TrackedRow *x = *(TrackedRow *const *) a;
	const TrackedRow *y = *(TrackedRow *const *) b;
	text	   *s = DatumGetTextPP(x->event.external_id);
	text	   *t = DatumGetTextPP(y->event.external_id);
	int			ns = VARSIZE_ANY_EXHDR(s);
	int			nt = VARSIZE_ANY_EXHDR(t);
	int			cmp = memcmp(VARDATA_ANY(s), VARDATA_ANY(t), Min(ns, nt));

	if (cmp != 0 || ns != nt)
		return cmp != 0 ? cmp : ns - nt;
	return x->event.position - y->event.position;
}

/* Write the leads whose rows differ before and after. */
static void
write_leads(AppWrite *call, const TrackedTable *table, TrackedRows *old, TrackedRows *new,
			bool backfill, int64 *skipped)
{
	TrackedRow **changed = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(TrackedRow *) * (new->n + 1));
	LeadInput  *leads = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(LeadInput) * (new->n + 1));
	Datum	   *names = palloc(sizeof(Datum) * ((int64) new->n * table->naliases + old->n + 1));
	Datum	   *aliases = palloc(sizeof(Datum) * ((int64) new->n * table->naliases + 1));
	int			nchanged = 0;
	int			nleads = 0;
	int			nnames = 0;
	int			i;
	int			j;
	int			k;

	for (i = 0, j = 0; j < new->n; j++)
	{
		TrackedRow *after = &new->rows[j];
		TrackedRow *before = NULL;
		bool		named = false;

		while (i < old->n)
		{
			TrackedRow	same = old->rows[i];
			int			cmp;

			same.event.position = after->event.position;
			cmp = row_cmp(&same, after);
			if (cmp > 0)
				break;
			i++;
			if (cmp == 0)
				before = &old->rows[i - 1];
		}
		if (after->reason && (before == NULL || before->reason != after->reason))
			skipped[after->reason]++;
		if (!after->present)
			continue;
		if (before && (!before->present || !same_lead(before, after)))
			before = NULL;
		after->event.profile = new_members(after->event.profile, before ? before->event.profile : NULL,
										   !backfill || !has_said(call, after->event.external_id), skipped);
		for (k = 0; k < table->naliases; k++)
		{
			if (after->aliases[k] == NULL ||
				(before && before->aliases[k] &&
				 same_varlena(PointerGetDatum(before->aliases[k]), false, PointerGetDatum(after->aliases[k]), false)))
				continue;
			names[nnames] = after->event.external_id;
			aliases[nnames++] = PointerGetDatum(after->aliases[k]);
			named = true;
		}
		if (before == NULL || after->event.profile || named)
			changed[nchanged++] = after;
	}
	qsort(changed, nchanged, sizeof(TrackedRow *), name_cmp);
	for (i = 0; i < nchanged; i++)
	{
		EventInput *event = &changed[i]->event;
		LeadInput  *lead = nleads > 0 ? &leads[nleads - 1] : NULL;

		if (lead == NULL || !same_varlena(lead->external_id, false, event->external_id, false))
		{
			lead = &leads[nleads++];
			memset(lead, 0, sizeof(LeadInput));
			lead->external_id = event->external_id;
			lead->created_at = DatumGetTimestampTz(event->values[EVENT_OCCURRED_AT]);
			lead->at = backfill ? lead->created_at : GetCurrentTransactionStartTimestamp();
		}
		if (event->profile)
			lead->document = lead->document == NULL ? event->profile :
				DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(lead->document),
												   JsonbPGetDatum(event->profile)));
	}
	if (nleads > 0)
		leadscore_leads_touch(call, leads, nleads);
	for (i = 0; i < nleads; i++)
		skipped[SKIP_FORGOTTEN] += leads[i].forgotten;
	if (nnames > 0)
		skipped[SKIP_ALIAS] += call_with_names(call, NAME_LEADS, names, aliases, nnames);
}

/* Forget the people whose rows were deleted. */
static void
forget_leads(AppWrite *call, TrackedRows *old)
{
	Datum	   *names = palloc(sizeof(Datum) * (old->n + 1));
	int			n = 0;
	int			i;

	for (i = 0; i < old->n; i++)
		if (old->rows[i].present)
			names[n++] = old->rows[i].event.external_id;
	if (n > 0)
		(void) call_with_names(call, FORGET_LEADS, names, NULL, n);
}

/* The definition of a table; NULL if it is not tracked any more */
static TrackedTable *
find_definition(AppWrite *call, Datum definition, const RowType *rel)
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
	table = find_definition(call, CStringGetTextDatum(trigdata->tg_trigger->tgargs[0]), &type);
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
		note_skipped(call, table, skipped);
		return PointerGetDatum(NULL);
	}
	leadscore_app_fix_path(call);
	old = read_rows(table, rel, TRIGGER_FIRED_BY_INSERT(trigdata->tg_event) ? NULL : trigdata->tg_oldtable);
	new = read_rows(table, rel, TRIGGER_FIRED_BY_DELETE(trigdata->tg_event) ? NULL : trigdata->tg_newtable);
	sort_rows(&old);
	sort_rows(&new);
	if (!table->makes_leads)
		write_events(call, table, &old, &new, TRIGGER_FIRED_BY_DELETE(trigdata->tg_event), skipped);
	else
	{
		write_leads(call, table, &old, &new, false, skipped);
		/* a row whose key is changed is there still */
		if (!table->keeps && TRIGGER_FIRED_BY_DELETE(trigdata->tg_event))
			forget_leads(call, &old);
	}
	note_skipped(call, table, skipped);
	return PointerGetDatum(NULL);
}

/* Open a table that an argument names. */
static Relation
open_table(Oid relid)
{
	Relation	rel = try_table_open(relid, AccessShareLock);

	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid),
				 errhint("Pass the name of a table.")));
	return rel;
}

/* A condition of rows after, or up to, a position in the order of the key */
static char *
key_condition(const TrackedTable *table, const char *operator, int parameter)
{
	StringInfoData text;
	int			i;

	initStringInfo(&text);
	appendStringInfoString(&text, "ROW(");
	for (i = 0; i < table->nkeys; i++)
		appendStringInfo(&text, "%st.%s", i > 0 ? ", " : "", quote_identifier(table->keys[i].name));
	appendStringInfo(&text, ") OPERATOR(pg_catalog.%s) ROW(", operator);
	for (i = 0; i < table->nkeys; i++)
		appendStringInfo(&text, "%s($%d)[%d]::%s", i > 0 ? ", " : "", parameter, i + 1,
						 format_type_extended(table->keys[i].type, -1, FORMAT_TYPE_FORCE_QUALIFY));
	appendStringInfoChar(&text, ')');
	return text.data;
}

/* The columns of the key, as a list */
static char *
key_list(const TrackedTable *table)
{
	StringInfoData text;
	int			i;

	initStringInfo(&text);
	for (i = 0; i < table->nkeys; i++)
		appendStringInfo(&text, "%st.%s", i > 0 ? ", " : "", quote_identifier(table->keys[i].name));
	return text.data;
}

/* Run a query of the table with two positions, of which each may be NULL. */
static uint64
query_table(const char *sql, Datum from, Datum upto)
{
	Oid			types[2] = {TEXTARRAYOID, TEXTARRAYOID};
	Datum		values[2];
	char		nulls[2];

	values[0] = from;
	values[1] = upto;
	nulls[0] = from == (Datum) 0 ? 'n' : ' ';
	nulls[1] = upto == (Datum) 0 ? 'n' : ' ';
	if (SPI_execute_with_args(sql, 2, types, values, nulls, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read: %s", sql);
	return SPI_processed;
}

/* Where a backfill stands; 0: at the start.  In *done whether it is complete. */
static Datum
read_position(AppWrite *call, Datum definition, bool *done)
{
	Oid			type = TEXTOID;
	char	   *sql = psprintf("SELECT backfilled_to, backfilled_at IS NOT NULL FROM %s.tracked_table"
							   " WHERE definition OPERATOR(pg_catalog.=) $1 FOR UPDATE",
							   quote_identifier(get_namespace_name(call->pipeline->part.schema)));
	bool		isnull;
	Datum		position;

	if (SPI_execute_with_args(sql, 1, &type, &definition, NULL, false, 0) != SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "could not read: %s", sql);
	*done = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull));
	position = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	return isnull ? (Datum) 0 : position;
}

/* Write down where a backfill stands. */
static void
write_position(AppWrite *call, Datum definition, Datum position, int64 rows)
{
	Oid			types[3] = {TEXTOID, TEXTARRAYOID, INT8OID};
	Datum		values[3];
	char		nulls[3] = {' ', ' ', ' '};
	char	   *sql = psprintf("UPDATE %s.tracked_table SET backfilled_to = $2,"
							   " backfilled_rows = backfilled_rows OPERATOR(pg_catalog.+) $3,"
							   " backfilled_at = CASE WHEN $2 IS NULL THEN pg_catalog.now() END"
							   " WHERE definition OPERATOR(pg_catalog.=) $1",
							   quote_identifier(get_namespace_name(call->pipeline->part.schema)));

	values[0] = definition;
	values[1] = position;
	values[2] = Int64GetDatum(rows);
	if (position == (Datum) 0)
		nulls[1] = 'n';
	if (SPI_execute_with_args(sql, 3, types, values, nulls, false, 0) != SPI_OK_UPDATE)
		elog(ERROR, "could not write: %s", sql);
}

/* The key of the last of so many rows after a position; 0: there are fewer */
static Datum
find_end(const TrackedTable *table, const char *name, Datum from, int64 max_rows)
{
	TupleTableSlot *slot;
	Datum		result;

	if (query_table(psprintf("SELECT %s FROM %s t WHERE $2::pg_catalog.text[] IS NULL AND %s ORDER BY %s LIMIT 1 OFFSET " INT64_FORMAT,
							 key_list(table), name,
							 from == (Datum) 0 ? "$1::pg_catalog.text[] IS NULL" : key_condition(table, ">", 1),
							 key_list(table), max_rows - 1), from, (Datum) 0) == 0)
		return (Datum) 0;
	slot = MakeSingleTupleTableSlot(SPI_tuptable->tupdesc, &TTSOpsHeapTuple);
	ExecStoreHeapTuple(SPI_tuptable->vals[0], slot, false);
	result = leadscore_tracked_position(table, slot);
	ExecDropSingleTupleTableSlot(slot);
	return result;
}

/*
 * _backfill(table, definition, max_rows): read the next rows that were there
 * before the trigger; returns how many, 0 when all have been read.
 */
Datum
leadscore_backfill(FunctionCallInfo fcinfo, AppWrite *call)
{
	Oid			relid = PG_ARGISNULL(0) ? InvalidOid : PG_GETARG_OID(0);
	Datum		definition = PG_ARGISNULL(1) ? (Datum) 0 : PG_GETARG_DATUM(1);
	int64		max_rows = PG_ARGISNULL(2) ? 0 : PG_GETARG_INT64(2);
	Relation	rel;
	RowType		type;
	const char *name;
	int64		skipped[SKIP_REASONS] = {0};
	TrackedRows none = {NULL, 0};
	TrackedRows new = {NULL, 0};
	TrackedTable *table;
	SPITupleTable *tuples;
	TupleTableSlot *slot;
	Datum		from;
	Datum		upto;
	uint64		nrows;
	bool		done;
	bool		outermost;
	uint64		i;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || max_rows < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a table, a definition and a number of rows above zero must be given"),
				 errhint("Use leadscore.backfill_table().")));
	rel = open_table(relid);
	type.desc = RelationGetDescr(rel);
	type.name = RelationGetRelationName(rel);
	name = leadscore_table_name(relid);
	table = find_definition(call, definition, &type);
	if (table == NULL || table->problem)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" cannot be read as \"%s\"", type.name, text_to_cstring(DatumGetTextPP(definition))),
				 table ? errdetail("%s", psprintf("%c%s.", pg_toupper(table->problem[0]), table->problem + 1)) : 0,
				 errhint("Track the table anew, by leadscore.untrack_table() and leadscore.track_table().")));
	if (check_enable_rls(relid, call->pipeline->owner, true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("row security hides rows of table \"%s\" from the owner of the pipeline", type.name),
				 errhint("Let the owner of the table give the owner of the pipeline BYPASSRLS, or do without the old rows.")));
	from = read_position(call, definition, &done);
	if (done)
	{
		table_close(rel, NoLock);
		PG_RETURN_INT64(0);
	}
	outermost = leadscore_progress_begin(call->pipeline->part.schema, TASK_BACKFILL, PHASE_READ_ROWS);
	leadscore_app_fix_path(call);
	/* what was there before begins no sequence */
	(void) set_config_option("leadscore.enroll", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	upto = find_end(table, name, from, max_rows);

	/*
	 * a row that leaves this range meanwhile is for the trigger of that
	 * statement
	 */
	nrows = query_table(psprintf("SELECT t.* FROM %s t WHERE %s AND %s FOR SHARE OF t", name,
								 from == (Datum) 0 ? "$1::pg_catalog.text[] IS NULL" : key_condition(table, ">", 1),
								 upto == (Datum) 0 ? "$2::pg_catalog.text[] IS NULL" : key_condition(table, "<=", 2)),
						from, upto);
	tuples = SPI_tuptable;
	type.desc = tuples->tupdesc;
	table = find_definition(call, definition, &type);
	new.rows = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(TrackedRow) * (nrows + 1));
	leadscore_progress_phase(PHASE_READ_ROWS, (int64) nrows);
	slot = MakeSingleTupleTableSlot(tuples->tupdesc, &TTSOpsHeapTuple);
	for (i = 0; i < nrows; i++)
	{
		ExecStoreHeapTuple(tuples->vals[i], slot, false);
		CHECK_FOR_INTERRUPTS();
		read_row(table, slot, new.n, &new.rows[new.n]);
		new.n++;
		leadscore_progress_count(1);
	}
	ExecDropSingleTupleTableSlot(slot);
	sort_rows(&new);
	leadscore_progress_phase(PHASE_LEADS, PROGRESS_UNKNOWN);
	if (table->makes_leads)
		write_leads(call, table, &none, &new, true, skipped);
	else
		write_events(call, table, &none, &new, false, skipped);
	note_skipped(call, table, skipped);
	write_position(call, definition, upto, (int64) nrows);
	table_close(rel, NoLock);
	leadscore_progress_end(outermost);
	PG_RETURN_INT64((int64) nrows);
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
	Relation	rel = open_table(PG_GETARG_OID(2));
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
