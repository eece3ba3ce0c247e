/*-------------------------------------------------------------------------
 *
 * batch.c
 *		The events of one statement: classified, sorted, and applied lead by
 *		lead.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "engine.h"
#include "stage.h"

/* history rows that are kept before they are appended */
#define LARGE_HISTORY	5000

void
leadscore_batch_init(EventBatch *batch, MemoryContext scratch)
{
	memset(batch, 0, sizeof(EventBatch));
	batch->scratch = scratch;
	batch->capacity = 16;
	batch->records = palloc(batch->capacity * sizeof(EventRecord));
	leadscore_pool_init(&batch->pool);
}

/* The stage that an event of kind stage_set names; 0 if none */
static uint8
stage_to_set(const EventColumns *columns, TupleTableSlot *slot)
{
	bool		isnull;
	Datum		properties = slot_getattr(slot, columns->properties, &isnull);
	Jsonb	   *json;
	JsonbValue	value;
	uint8		stage = 0;

	if (isnull)
		return 0;
	json = DatumGetJsonbP(properties);
	if (!JB_ROOT_IS_OBJECT(json) ||
		getKeyJsonValueFromContainer(&json->root, "stage", 5, &value) == NULL ||
		value.type != jbvString)
		return 0;
	if (!lead_stage_parse(value.val.string.val, value.val.string.len, &stage))
		return 0;
	return stage;
}

/* Classify the event in a slot and add it. */
void
leadscore_batch_add(EventBatch *batch, const Pipeline *pipeline,
					const EventColumns *columns, TupleTableSlot *slot, bool removed)
{
	EventRecord *record;
	const KindSignals *kind;
	MemoryContext oldcontext;
	char	   *name;
	int64		first;
	bool		isnull;

	if (batch->n == batch->capacity)
	{
		batch->capacity *= 2;
		batch->records = repalloc_huge(batch->records, batch->capacity * sizeof(EventRecord));
	}
	record = &batch->records[batch->n++];
	oldcontext = MemoryContextSwitchTo(batch->scratch);
	record->lead_id = DatumGetInt64(slot_getattr(slot, columns->lead_id, &isnull));
	record->event_id = DatumGetInt64(slot_getattr(slot, columns->event_id, &isnull));
	record->occurred_at = DatumGetTimestampTz(slot_getattr(slot, columns->occurred_at, &isnull));
	record->removed = removed;
	name = leadscore_event_kind(columns, slot);
	record->set_stage = strcmp(name, "stage_set") == 0 ? stage_to_set(columns, slot) : 0;
	kind = leadscore_kind_signals(pipeline, name);
	first = batch->pool.n;
	if (kind->plain && kind == batch->last_kind)
		first = batch->last_first;
	else
	{
		leadscore_classify_event(pipeline, kind, columns, slot, &batch->pool);
		batch->last_kind = kind;
		batch->last_first = (int32) first;
	}
	if (batch->pool.n > PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many signals in one statement"),
				 errhint("Write the events in several statements.")));
	record->first_count = (int32) first;
	record->ncounts = (uint16) (kind->plain ? kind->nsignals : batch->pool.n - first);
	MemoryContextSwitchTo(oldcontext);
	MemoryContextReset(batch->scratch);
}

static int
record_cmp(const void *a, const void *b)
{
	const EventRecord *x = a;
	const EventRecord *y = b;

	if (x->lead_id != y->lead_id)
		return x->lead_id < y->lead_id ? -1 : 1;
	if (x->occurred_at != y->occurred_at)
		return x->occurred_at < y->occurred_at ? -1 : 1;
	if (x->event_id != y->event_id)
		return x->event_id < y->event_id ? -1 : 1;
	return (int) y->removed - (int) x->removed;
}

/* Sort by lead and event time; of one event what is removed comes first. */
void
leadscore_batch_sort(EventBatch *batch)
{
	qsort(batch->records, batch->n, sizeof(EventRecord), record_cmp);
}

/* A record as a step of its lead's course */
void
leadscore_batch_step(const EventBatch *batch, const EventRecord *record, LeadStep *step)
{
	memset(step, 0, sizeof(LeadStep));
	step->at = record->occurred_at;
	step->counts = &batch->pool.counts[record->first_count];
	step->ncounts = record->ncounts;
	step->sign = record->removed ? -1 : 1;
	step->set_stage = record->removed ? 0 : record->set_stage;
	step->milestones = !record->removed;
}

/* Do two records of one event say the same? */
static bool
same_step(const EventBatch *batch, const EventRecord *a, const EventRecord *b)
{
	int			i;

	if (a->event_id != b->event_id || a->occurred_at != b->occurred_at ||
		a->ncounts != b->ncounts || a->set_stage != b->set_stage)
		return false;
	for (i = 0; i < a->ncounts; i++)
	{
		const SignalCount *x = &batch->pool.counts[a->first_count + i];
		const SignalCount *y = &batch->pool.counts[b->first_count + i];

		if (x->signal != y->signal || x->count != y->count)
			return false;
	}
	return true;
}

/*
 * Drop records that change nothing: what an update removes and puts back.  An
 * event that keeps its time and its stage is no milestone anew.
 */
static int64
drop_unchanged(EventBatch *batch, int64 begin, int64 end)
{
	int64		n = begin;
	int64		i;

	for (i = begin; i < end; i++)
	{
		EventRecord *record = &batch->records[i];

		if (record->removed && i + 1 < end && !record[1].removed &&
			same_step(batch, record, &record[1]))
		{
			i++;
			continue;
		}
		batch->records[n++] = *record;
	}
	return n;
}

/* No such lead: say so in the words of a foreign key. */
static void
report_missing_lead(const Work *work, int64 lead_id, const char *table)
{
	ereport(ERROR,
			(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
			 errmsg("insert or update on table \"%s\" violates foreign key constraint \"%s\"",
					table, "event_lead_id_fkey"),
			 errdetail("Key (lead_id)=(" INT64_FORMAT ") is not present in table \"%s\".",
					   lead_id, RelationGetRelationName(work->lead.rel)),
			 errhint("Insert the lead first, or call track(), which does.")));
}

/*
 * Find the state of a lead, locked if asked, or create it.  False if the lead
 * is not there, which is an error unless only removals are left to do.
 */
static bool
find_or_create(Work *work, int64 lead_id, bool lock, LockTupleMode mode,
			   bool must_exist, const char *table, bool *created)
{
	*created = false;
	if (lock ? leadscore_state_lock(work, lead_id, mode) : leadscore_state_find(work, lead_id))
		return true;
	/* whoever else creates it waits here */
	if (leadscore_lead_lock(work, lead_id, LockTupleNoKeyExclusive))
	{
		if (!leadscore_state_lock(work, lead_id, LockTupleNoKeyExclusive))
		{
			leadscore_state_create(work, work->lead.slot);
			*created = true;
			CommandCounterIncrement();
			if (!leadscore_state_lock(work, lead_id, LockTupleNoKeyExclusive))
				elog(ERROR, "state of lead " INT64_FORMAT " vanished", lead_id);
		}
		return true;
	}
	if (must_exist)
		report_missing_lead(work, lead_id, table);
	return false;
}

/*
 * Take the records of one lead through its course.  What is taken back never
 * was, and what comes in its place is there at once: so an update never counts
 * an event twice, or not at all, on its way.
 */
static void
run_course(EventBatch *batch, Work *work, int64 begin, int64 end)
{
	LeadCourse *course = &work->course;
	int64		settled_at = course->settled_at;
	int64		removed_at = NEVER;
	LeadStep   *steps;
	int64		nsteps = 0;
	int64		i;
	int			j;

	for (i = begin; i < end; i++)
		if (batch->records[i].removed)
			removed_at = Min(removed_at, batch->records[i].occurred_at);
	for (i = begin; i < end && removed_at != NEVER; i++)
	{
		const EventRecord *record = &batch->records[i];

		if (!record->removed && record->occurred_at > settled_at)
			continue;
		for (j = 0; j < record->ncounts; j++)
		{
			const SignalCount *count = &batch->pool.counts[record->first_count + j];

			lead_activity_count(course->activity, count->signal,
								bucket_of(record->occurred_at, work->pipeline->grain),
								record->removed ? -count->count : count->count);
		}
	}
	steps = MemoryContextAllocHuge(CurrentMemoryContext, (end - begin) * sizeof(LeadStep));
	for (i = begin; i < end; i++)
	{
		LeadStep   *step = &steps[nsteps];

		if (batch->records[i].removed)
			continue;
		leadscore_batch_step(batch, &batch->records[i], step);
		step->counted = removed_at != NEVER && step->at <= settled_at;
		nsteps++;
	}
	leadscore_course_steps(course, steps, nsteps, work->now);
	pfree(steps);
	if (removed_at != NEVER)
	{
		LeadStep	step = {0};

		step.at = removed_at;
		step.sign = -1;
		leadscore_course_step(course, &step, work->now);
	}
}

/* Apply the records of one lead. */
static void
apply_lead(EventBatch *batch, Work *work, int64 begin, int64 end, const char *table)
{
	int64		lead_id = batch->records[begin].lead_id;
	bool		must_exist = false;
	bool		counts = false;
	bool		created;
	int64		i;

	for (i = begin; i < end; i++)
		must_exist |= !batch->records[i].removed;
	end = drop_unchanged(batch, begin, end);
	for (i = begin; i < end; i++)
		counts |= batch->records[i].ncounts > 0 || batch->records[i].set_stage != 0;

	if (!counts)
	{
		/* an event that scores nothing still needs its lead, until it commits */
		find_or_create(work, lead_id, true, LockTupleKeyShare, must_exist, table, &created);
		return;
	}
	for (;;)
	{
		int			nhistory = work->nhistory;
		int64		nchanges = work->nchanges;

		if (!find_or_create(work, lead_id, false, LockTupleNoKeyExclusive, must_exist,
							table, &created))
			return;
		leadscore_state_read(work);
		run_course(batch, work, begin, end);
		if (leadscore_state_write(work, created))
			return;
		/* somebody else was faster: begin again with what they wrote */
		work->nhistory = nhistory;
		work->nchanges = nchanges;
	}
}

/* Append history now and then, so that a long statement needs little memory. */
void
leadscore_work_flush_if_large(Work *work)
{
	if (work->nhistory >= LARGE_HISTORY || work->nprofiles >= LARGE_HISTORY)
		leadscore_work_flush(work);
}

/* Apply all records, lead by lead in the order of lead_id. */
void
leadscore_batch_apply(EventBatch *batch, Work *work, const char *table)
{
	int64		begin = 0;

	leadscore_batch_sort(batch);
	while (begin < batch->n)
	{
		int64		end = begin + 1;
		MemoryContext oldcontext;

		CHECK_FOR_INTERRUPTS();
		while (end < batch->n && batch->records[end].lead_id == batch->records[begin].lead_id)
			end++;
		oldcontext = MemoryContextSwitchTo(work->row_context);
		apply_lead(batch, work, begin, end, table);
		MemoryContextSwitchTo(oldcontext);
		MemoryContextReset(work->row_context);
		leadscore_work_flush_if_large(work);
		begin = end;
	}
}

/*
 * Bring the state of a lead up to its row: creation and profile.  Does
 * nothing if there is no such lead any more.
 */
void
leadscore_lead_refresh(Work *work, int64 lead_id)
{
	LeadGrain	grain = work->pipeline->grain;
	ActivityItem *created = NULL;
	bool		is_new;
	bool		isnull;
	int64		created_at;
	int64		updated_at;
	int32		bucket;
	int			i;
	ActivityList before;

	if (!find_or_create(work, lead_id, true, LockTupleNoKeyExclusive, false, "", &is_new) ||
		is_new || !leadscore_lead_lock(work, lead_id, LockTupleKeyShare))
		return;
	leadscore_state_read(work);
	lead_activity_init(&before, grain, work->activity.nitems);
	lead_activity_copy(&work->activity, &before);

	created_at = DatumGetTimestampTz(slot_getattr(work->lead.slot,
												  work->lead_columns.created_at, &isnull));
	bucket = bucket_of(created_at, grain);
	for (i = 0; i < work->activity.nitems && work->activity.items[i].signal == 0; i++)
		created = &work->activity.items[i];
	if (created == NULL || created->bucket != bucket)
	{
		if (created)
			lead_activity_count(&work->activity, 0, created->bucket, -created->count);
		lead_activity_count(&work->activity, 0, bucket, 1);
	}
	updated_at = DatumGetTimestampTz(slot_getattr(work->lead.slot,
												  work->lead_columns.updated_at, &isnull));
	leadscore_profile_step(work, work->lead.slot, isnull ? work->now : updated_at);

	if (!lead_activity_equal(&before, &work->activity))
		leadscore_state_write(work, false);
}
