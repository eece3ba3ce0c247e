/*-------------------------------------------------------------------------
 *
 * deltas.c
 *		The changes of a statement to events, in the order of leads and time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "apply.h"
#include "stage.h"

PG_FUNCTION_INFO_V1(leadscore_stage_to_set);

/* An empty list; events are classified in scratch, which must be its own. */
void
leadscore_deltas_init(DeltaList *list, MemoryContext scratch)
{
	memset(list, 0, sizeof(DeltaList));
	list->scratch = scratch;
	list->capacity = 16;
	list->deltas = palloc(list->capacity * sizeof(EventDelta));
	leadscore_pool_init(&list->pool);
}

/* The stage that the properties of an event of kind stage_set name; 0 if none */
static uint8
named_stage(Jsonb *properties)
{
	JsonbValue	value;
	uint8		stage = 0;

	if (!JB_ROOT_IS_OBJECT(properties) ||
		getKeyJsonValueFromContainer(&properties->root, "stage", 5, &value) == NULL ||
		value.type != jbvString ||
		!lead_stage_parse(value.val.string.val, value.val.string.len, &stage))
		return 0;
	return stage;
}

/* stage_to_set(properties): the same; NULL if none */
Datum
leadscore_stage_to_set(PG_FUNCTION_ARGS)
{
	uint8		stage = named_stage(PG_GETARG_JSONB_P(0));

	if (stage == 0)
		PG_RETURN_NULL();
	return LeadStageGetDatum(stage);
}

/* The stage that an event of kind stage_set is to set; 0 if none */
static uint8
stage_to_set(const EventColumns *columns, TupleTableSlot *slot)
{
	bool		isnull;
	Datum		properties = slot_getattr(slot, columns->properties, &isnull);

	return isnull ? 0 : named_stage(DatumGetJsonbP(properties));
}

/* Classify the event in a slot and add it. */
void
leadscore_deltas_add(DeltaList *list, const Pipeline *pipeline,
					 const EventColumns *columns, TupleTableSlot *slot, bool removed)
{
	EventDelta *delta;
	const KindSignals *kind;
	MemoryContext oldcontext;
	char	   *name;
	int64		first;
	bool		isnull;

	if (list->n == list->capacity)
	{
		list->capacity *= 2;
		list->deltas = repalloc_huge(list->deltas, list->capacity * sizeof(EventDelta));
	}
	delta = &list->deltas[list->n++];
	oldcontext = MemoryContextSwitchTo(list->scratch);
	delta->lead_id = DatumGetInt64(slot_getattr(slot, columns->lead_id, &isnull));
	delta->event_id = DatumGetInt64(slot_getattr(slot, columns->event_id, &isnull));
	delta->at = nearest_instant(DatumGetTimestampTz(slot_getattr(slot, columns->occurred_at, &isnull)));
	delta->removed = removed;
	name = leadscore_event_kind(columns, slot);
	delta->set_stage = strcmp(name, "stage_set") == 0 ? stage_to_set(columns, slot) : 0;
	kind = leadscore_kind_signals(pipeline, name);
	first = list->pool.n;
	if (kind->plain && kind == list->last_kind)
		first = list->last_first;
	else
	{
		leadscore_classify_event(pipeline, kind, columns, slot, &list->pool);
		list->last_kind = kind;
		list->last_first = (int32) first;
	}
	if (list->pool.n > PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many signals in one statement"),
				 errhint("Write the events in several statements.")));
	delta->first_count = (int32) first;
	delta->ncounts = (uint16) (kind->plain ? kind->nsignals : list->pool.n - first);
	MemoryContextSwitchTo(oldcontext);
	MemoryContextReset(list->scratch);
}

/*
 * Order deltas by lead, then by time, then by event_id, so that ties come out
 * the same in any order of arrival.
 */
static int
delta_cmp(const void *a, const void *b)
{
	const EventDelta *x = a;
	const EventDelta *y = b;

	if (x->lead_id != y->lead_id)
		return x->lead_id < y->lead_id ? -1 : 1;
	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	if (x->event_id != y->event_id)
		return x->event_id < y->event_id ? -1 : 1;
	return (int) y->removed - (int) x->removed;
}

/* Sort by lead and event time; of one event the removal comes first. */
void
leadscore_deltas_sort(DeltaList *list)
{
	qsort(list->deltas, list->n, sizeof(EventDelta), delta_cmp);
}

/* A delta as a step of its lead's lifecycle */
LeadStep
leadscore_delta_step(const DeltaList *list, const EventDelta *delta)
{
	LeadStep	step = {0};

	step.at = delta->at;
	step.counts = &list->pool.counts[delta->first_count];
	step.ncounts = delta->ncounts;
	step.set_stage = delta->set_stage;
	return step;
}

/* Do two deltas of one event say the same? */
static bool
same_step(const DeltaList *list, const EventDelta *a, const EventDelta *b)
{
	int			i;

	if (a->event_id != b->event_id || a->at != b->at ||
		a->ncounts != b->ncounts || a->set_stage != b->set_stage)
		return false;
	for (i = 0; i < a->ncounts; i++)
	{
		const SignalCount *x = &list->pool.counts[a->first_count + i];
		const SignalCount *y = &list->pool.counts[b->first_count + i];

		if (x->signal != y->signal || x->value != y->value || x->count != y->count)
			return false;
	}
	return true;
}

/*
 * Drop deltas that change nothing, of one lead, and return where they end: counts that an update removes and puts back,
 * and events that match no signal.  An event that keeps its time and its stage
 * is not a milestone again.
 */
int64
leadscore_deltas_drop_unchanged(DeltaList *list, int64 begin, int64 end)
{
	int64		n = begin;
	int64		i;

	for (i = begin; i < end; i++)
	{
		EventDelta *delta = &list->deltas[i];

		if (delta->removed && i + 1 < end && !delta[1].removed &&
			same_step(list, delta, &delta[1]))
		{
			i++;
			continue;
		}
		if (delta->ncounts > 0 || delta->set_stage != 0)
			list->deltas[n++] = *delta;
	}
	return n;
}
