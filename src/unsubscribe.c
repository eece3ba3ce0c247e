/*-------------------------------------------------------------------------
 *
 * unsubscribe.c
 *		Leads that want no more messages.
 *
 * An event of a kind with the role unsubscribe clears contact_allowed of its
 * lead when it is inserted.  A session that changes a lead locks it before its
 * state; so leads are locked first, then the states of the whole statement, both
 * in the order of lead_id.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/rel.h"

#include "app.h"
#include "unsubscribe.h"

/* An empty list */
void
leadscore_unsubscribes_init(UnsubscribeList *list)
{
	memset(list, 0, sizeof(UnsubscribeList));
}

/* Does a kind of event take back the permission to send messages? */
bool
leadscore_is_unsubscribe(const Pipeline *pipeline, Datum kind)
{
	text	   *name = DatumGetTextPP(kind);
	int			i;

	for (i = 0; i < pipeline->nunsubscribes; i++)
	{
		const text *other = pipeline->unsubscribes[i];

		if (VARSIZE_ANY_EXHDR(name) == VARSIZE_ANY_EXHDR(other) &&
			memcmp(VARDATA_ANY(name), VARDATA_ANY(other), VARSIZE_ANY_EXHDR(other)) == 0)
			return true;
	}
	return false;
}

/* Add the event in a slot if it is one; removed: as it was before an update. */
void
leadscore_unsubscribes_add(UnsubscribeList *list, const Pipeline *pipeline,
						   const EventColumns *columns, TupleTableSlot *slot, bool removed)
{
	Unsubscribe *item;
	bool		isnull;
	Datum		kind = slot_getattr(slot, columns->kind, &isnull);

	if (isnull || !leadscore_is_unsubscribe(pipeline, kind))
		return;
	if (list->n == list->capacity)
	{
		list->capacity = Max(16, list->capacity * 2);
		list->items = list->items == NULL ? palloc(list->capacity * sizeof(Unsubscribe)) :
			repalloc_huge(list->items, list->capacity * sizeof(Unsubscribe));
	}
	item = &list->items[list->n++];
	item->lead_id = DatumGetInt64(slot_getattr(slot, columns->lead_id, &isnull));
	item->event_id = DatumGetInt64(slot_getattr(slot, columns->event_id, &isnull));
	item->at = DatumGetTimestampTz(slot_getattr(slot, columns->occurred_at, &isnull));
	item->removed = removed;
}

/* By lead, and of one event what it was before an update comes first. */
static int
unsubscribe_cmp(const void *a, const void *b)
{
	const Unsubscribe *x = a;
	const Unsubscribe *y = b;

	if (x->lead_id != y->lead_id)
		return x->lead_id < y->lead_id ? -1 : 1;
	if (x->event_id != y->event_id)
		return x->event_id < y->event_id ? -1 : 1;
	return (int) y->removed - (int) x->removed;
}

/*
 * Clear contact_allowed of the leads of a list, in the order of lead_id.  An
 * event that an update only edits was there before.  Consent that was given
 * after the event stays.
 */
void
leadscore_unsubscribes_apply(UnsubscribeList *list, const DeltaList *deltas, Pipeline *pipeline)
{
	Oid			types[2] = {INT8ARRAYOID, TIMESTAMPTZARRAYOID};
	Datum	   *columns[2];
	Datum		values[2];
	char	   *sql;
	int			nestlevel;
	int64		n = 0;
	int64		i;

	if (list->n == 0)
		return;
	qsort(list->items, list->n, sizeof(Unsubscribe), unsubscribe_cmp);
	for (i = 0; i < 2; i++)
		columns[i] = MemoryContextAllocHuge(CurrentMemoryContext, list->n * sizeof(Datum));
	for (i = 0; i < list->n; i++)
	{
		const Unsubscribe *item = &list->items[i];

		if (item->removed || (i > 0 && item[-1].removed && item[-1].lead_id == item->lead_id &&
							  item[-1].event_id == item->event_id))
			continue;
		columns[0][n] = Int64GetDatum(item->lead_id);
		columns[1][n++] = TimestampTzGetDatum(item->at);
	}
	if (n == 0)
		return;
	values[0] = leadscore_app_array(columns[0], NULL, (int) n, INT8OID);
	values[1] = leadscore_app_array(columns[1], NULL, (int) n, TIMESTAMPTZOID);

	/*
	 * The change has a time of its own, as one by track() has.  It is not
	 * that of the event: an app that sends a profile with that time sets it.
	 */
	sql = psprintf("UPDATE %s l SET contact_allowed = false,"
				   " updated_at = CASE WHEN l.updated_at OPERATOR(pg_catalog.>) pg_catalog.now() THEN pg_catalog.clock_timestamp()"
				   "  ELSE GREATEST(l.updated_at, LEAST(u.at, pg_catalog.now()))"
				   "   OPERATOR(pg_catalog.+) '1 microsecond'::pg_catalog.interval END"
				   " FROM (SELECT u.lead_id, pg_catalog.max(u.at) AS at"
				   "  FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS u(lead_id, at) GROUP BY u.lead_id) u"
				   " WHERE l.lead_id OPERATOR(pg_catalog.=) u.lead_id AND l.contact_allowed IS DISTINCT FROM false"
				   "  AND (l.consented_at OPERATOR(pg_catalog.>) u.at) IS NOT TRUE",
				   leadscore_table_name(pipeline->lead));

	/* triggers of the owner's on lead find nothing that the caller chose */
	nestlevel = leadscore_fix_path();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	leadscore_app_run(pipeline, LOCK_LEADS, values, NULL, NULL);
	leadscore_lock_deltas(deltas, pipeline);
	if (SPI_execute_with_args(sql, 2, types, values, NULL, false, 0) < 0)
		elog(ERROR, "could not execute: %s", sql);
	SPI_finish();
	AtEOXact_GUC(true, nestlevel);
	CommandCounterIncrement();
}
