/*-------------------------------------------------------------------------
 *
 * tracked_row.c
 *		Rows of an app's table, read as the events or leads that they make.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/datum.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "track_table.h"
#include "trigger.h"

/* a name or source_id longer than this fits no index */
#define MAX_BYTES	2000

/* Are two values of variable length, or none, the same bytes? */
bool
leadscore_same_varlena(Datum a, bool a_null, Datum b, bool b_null)
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
		leadscore_push_member(state, "consent", !isnull && DatumGetBool(value) ? "true" : "false");
	}
	else if (leadscore_tracked_instant(table, &table->consent, slot, &at))
	{
		char		buffer[MAXDATELEN + 1];
		int			utc = 0;

		JsonEncodeDateTime(buffer, TimestampTzGetDatum(at), TIMESTAMPTZOID, &utc);
		leadscore_push_member(state, "consented_at", buffer);
	}
	else
		leadscore_push_member(state, "consented_at", NULL);
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
		leadscore_push_member(&state, "email", email ? text_to_cstring(email) : NULL);
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
void
leadscore_tracked_row(const TrackedTable *table, TupleTableSlot *slot, int position, TrackedRow *row)
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
TrackedRows
leadscore_tracked_rows(const TrackedTable *table, Relation rel, Tuplestorestate *store)
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
		leadscore_tracked_row(table, slot, result.n, &result.rows[result.n]);
		result.n++;
	}
	ExecDropSingleTupleTableSlot(slot);
	return result;
}

/* By source_id, and then by place */
int
leadscore_tracked_key_cmp(const void *a, const void *b)
{
	const TrackedRow *x = a;
	const TrackedRow *y = b;
	int			cmp = leadscore_text_cmp(x->event.values[EVENT_SOURCE_ID], y->event.values[EVENT_SOURCE_ID]);

	return cmp != 0 ? cmp : x->event.position - y->event.position;
}

/* Sort rows by their key; of rows of one key the last one counts. */
void
leadscore_tracked_sort(TrackedRows *rows)
{
	int			kept = 0;
	int			i;

	if (rows->n == 0)
		return;
	qsort(rows->rows, rows->n, sizeof(TrackedRow), leadscore_tracked_key_cmp);
	for (i = 0; i < rows->n; i++)
	{
		if (kept > 0 && leadscore_same_varlena(rows->rows[kept - 1].event.values[EVENT_SOURCE_ID], false,
											   rows->rows[i].event.values[EVENT_SOURCE_ID], false))
			kept--;
		rows->rows[kept++] = rows->rows[i];
	}
	rows->n = kept;
}

/* Is a lead named the same by two rows? */
bool
leadscore_same_lead(const TrackedRow *a, const TrackedRow *b)
{
	return leadscore_same_varlena(a->event.external_id, false, b->event.external_id, false);
}

/* Do two rows make the same event? */
bool
leadscore_same_event(const TrackedRow *a, const TrackedRow *b)
{
	static const int columns[] = {EVENT_KIND, EVENT_PROPERTIES, EVENT_VALUE, EVENT_CHANNEL, EVENT_CAMPAIGN};
	int			i;

	if (!leadscore_same_lead(a, b) ||
		DatumGetTimestampTz(a->event.values[EVENT_OCCURRED_AT]) != DatumGetTimestampTz(b->event.values[EVENT_OCCURRED_AT]))
		return false;
	for (i = 0; i < lengthof(columns); i++)
		if (!leadscore_same_varlena(a->event.values[columns[i]], a->event.nulls[columns[i]] == 'n',
									b->event.values[columns[i]], b->event.nulls[columns[i]] == 'n'))
			return false;
	return true;
}
