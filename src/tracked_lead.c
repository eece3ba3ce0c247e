/*-------------------------------------------------------------------------
 *
 * tracked_lead.c
 *		Leads that rows of an app's table make.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "history.h"
#include "track_table.h"

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

	values[0] = leadscore_build_array(first, NULL, n, TEXTOID);
	values[1] = second ? leadscore_build_array(second, NULL, n, TEXTOID) : (Datum) 0;
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
	value = leadscore_build_array(&value, NULL, 1, INT8OID);
	return leadscore_app_run(call->pipeline, SAID_BEFORE, &value, NULL, NULL) > 0;
}

/* By name, and then by place */
static int
name_cmp(const void *a, const void *b)
{
	const TrackedRow *x = *(TrackedRow *const *) a;
	const TrackedRow *y = *(TrackedRow *const *) b;
	int			cmp = leadscore_text_cmp(x->event.external_id, y->event.external_id);

	return cmp != 0 ? cmp : x->event.position - y->event.position;
}

/* Write the leads whose rows differ before and after. */
void
leadscore_write_leads(AppWrite *call, const TrackedTable *table, TrackedRows *old, TrackedRows *new,
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
			cmp = leadscore_tracked_key_cmp(&same, after);
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
		if (before && (!before->present || !leadscore_same_lead(before, after)))
			before = NULL;
		after->event.profile = new_members(after->event.profile, before ? before->event.profile : NULL,
										   !backfill || !has_said(call, after->event.external_id), skipped);
		for (k = 0; k < table->naliases; k++)
		{
			if (after->aliases[k] == NULL ||
				(before && before->aliases[k] &&
				 leadscore_same_varlena(PointerGetDatum(before->aliases[k]), false, PointerGetDatum(after->aliases[k]), false)))
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

		if (lead == NULL || !leadscore_same_varlena(lead->external_id, false, event->external_id, false))
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
void
leadscore_forget_leads(AppWrite *call, TrackedRows *old)
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
