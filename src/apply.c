/*-------------------------------------------------------------------------
 *
 * apply.c
 *		Applying the changes of a statement to events, lead by lead.
 *
 * An event that is later than all events that a lead has applied is a step of
 * its lifecycle.  An event that is late, corrected or removed mostly changes
 * no stage: the activity, which knows every bucket, tells.  Else the lead is
 * replayed from its log.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "checkpoint.h"
#include "late.h"
#include "loaded.h"
#include "lookup.h"
#include "progress.h"
#include "replayed.h"
#include "stage.h"

/* No such lead: say so in the words of a foreign key. */
static void
report_missing_lead(const Writer *writer, int64 lead_id, const char *table)
{
	int64		winner = leadscore_merged_into(writer->pipeline->part, lead_id);

	ereport(ERROR,
			(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
			 errmsg("insert or update on table \"%s\" violates foreign key constraint \"%s\"",
					table, "event_lead_id_fkey"),
			 errdetail("Key (lead_id)=(" INT64_FORMAT ") is not present in table \"%s\".",
					   lead_id, RelationGetRelationName(writer->lead.rel)),
			 winner ? errhint("Lead " INT64_FORMAT " was merged into lead " INT64_FORMAT ".", lead_id, winner) :
			 errhint("Insert the lead first, or call track(), which does.")));
}

/* Compare an instant with that of an event, for a search. */
static int
instant_cmp(const void *key, const void *delta)
{
	int64		x = *(const int64 *) key;
	int64		y = ((const EventDelta *) delta)->at;

	return x < y ? -1 : (x > y ? 1 : 0);
}

/* Did a change happen in the instant of an event of the statement? */
static bool
is_of_events(int64 at, const EventDelta *events, int64 n)
{
	return n > 0 && bsearch(&at, events, n, sizeof(EventDelta), instant_cmp) != NULL;
}

/*
 * Create the state of the lead in writer->lead.slot from its log, of which parts
 * may have been loaded.  Sequences are told of what the lead did by events of the
 * statement, which are in the order of time: what was loaded begins none, and
 * ends none.
 */
static void
create_state(Writer *writer, LeadRecord *record, const EventDelta *events, int64 n)
{
	EdgeList   *edges = writer->appended.edges;
	HistoryBuffer replayed;
	LogReader	log;
	int			i;

	leadscore_writer_flush(writer, false);
	leadscore_state_none(writer);
	ExecStoreAllNullTuple(writer->state.slot);
	leadscore_log_open(&log, writer, NULL);
	log.loaded = true;
	leadscore_replay(&log, record, &replayed, NULL);
	leadscore_log_close(&log);
	writer->appended.edges = NULL;
	leadscore_correct_history(writer, &replayed);
	writer->appended.edges = edges;
	for (i = 0; i < replayed.n; i++)
		if (is_of_events(replayed.rows[i].change.effective_at, events, n))
			leadscore_edges_add_stages(edges, &replayed.rows[i], 1);
	for (i = 0; i < replayed.nsegments; i++)
		if (is_of_events(replayed.segments[i].change.effective_at, events, n))
			leadscore_edges_add_segments(edges, &replayed.segments[i], 1);
	leadscore_state_insert(writer, record);
	leadscore_replayed_note(writer, record->lead_id);
}

/*
 * Find the state of a lead, locked if asked, or create it, with all that its log
 * has, and set *created.  Then what it did by n events that are new is told to
 * sequences.  False if the lead is not there.
 *
 * The work on other leads holds their states already, and leads are locked
 * before states.  So a lead is locked only if it surely has no state; a lead
 * that another session inserts has one when that session has committed.
 */
bool
leadscore_find_or_create(Writer *writer, LeadRecord *record, bool lock, LockTupleMode mode,
						 const EventDelta *events, int64 n, bool *created)
{
	int64		lead_id = record->lead_id;

	*created = false;
	if (!lock && leadscore_row_find(&writer->state, lead_id))
		return true;
	if (leadscore_state_lock(writer, lead_id, mode))
		return true;
	leadscore_lead_await(writer, lead_id);
	if (leadscore_state_lock(writer, lead_id, mode))
		return true;
	/* another session that creates it waits here */
	if (!leadscore_lead_lock(writer, lead_id, LockTupleNoKeyExclusive))
		return false;
	if (!leadscore_state_lock(writer, lead_id, LockTupleNoKeyExclusive))
	{
		/* the profile that a lead was loaded with counts too */
		if (writer->before != InvalidSnapshot &&
			!leadscore_row_read(&writer->lead, lead_id, writer->before))
			(void) leadscore_lead_read(writer, lead_id);
		create_state(writer, record, events, n);
		*created = true;
		CommandCounterIncrement();
		if (!leadscore_state_lock(writer, lead_id, LockTupleNoKeyExclusive))
			elog(ERROR, "state of lead " INT64_FORMAT " vanished", lead_id);
	}
	return true;
}

/* Has a lead done nothing yet?  Time may have passed, and models changed. */
static bool
is_newborn(const LeadRecord *record)
{
	const LeadLifecycle *lifecycle = &record->lifecycle;
	int			i;

	if (lifecycle->milestone_at != NEVER || lifecycle->pending_at != NEVER ||
		lifecycle->profile_at != NEVER)
		return false;
	for (i = 0; i < record->activity.nitems; i++)
		if (record->activity.items[i].bucket != BUCKET_TIMELESS &&
			record->activity.items[i].signal != 0)
			return false;
	return true;
}

/*
 * Can a step of the instant up to which all is processed be applied after the
 * others of that instant?  It can if these have changed nothing, and if no
 * milestone waits among them for points.
 */
static bool
joins_instant(const LeadRecord *record)
{
	const LeadLifecycle *lifecycle = &record->lifecycle;

	return is_newborn(record) ||
		(lifecycle->stage_since < lifecycle->processed_until &&
		 (lifecycle->segments_since == NEVER || lifecycle->segments_since < lifecycle->processed_until) &&
		 (lifecycle->milestone_at == NEVER ||
		  lifecycle->milestone_at < lifecycle->processed_until));
}

/* Must a lead be brought up to date from its log before anything else? */
static bool
needs_log(const Writer *writer, const LeadRecord *record)
{
	return record->lifecycle.pending_at <= writer->now ||
		leadscore_configuration_is_late(writer, record);
}

/* Has a lead left a segment at an instant, by rows from one on? */
static bool
has_left(const HistoryBuffer *history, int from, int64 at)
{
	int			i;

	for (i = from; i < history->nsegments; i++)
		if (!history->segments[i].change.entered && history->segments[i].change.effective_at == at)
			return true;
	return false;
}

/*
 * Apply the deltas of one lead to its record without reading its log.  False
 * if that cannot be, or not unless the state is locked: the record is spoilt
 * then.
 */
static bool
apply_without_log(Writer *writer, LeadRecord *record, const DeltaList *list, int64 begin,
				  int64 end, bool locked)
{
	LeadLifecycle *lifecycle = &record->lifecycle;
	LeadStep   *steps;
	int64		n = 0;
	int64		i;
	int			nsegments = writer->history->nsegments;
	uint8		stage = lifecycle->standing.stage;
	int64		stage_since = lifecycle->stage_since;
	bool		late = false;
	bool		corrected;
	bool		may_undo;

	if (needs_log(writer, record))
		return false;
	for (i = begin; i < end; i++)
		late |= delta_is_late(lifecycle, &list->deltas[i]);

	/*
	 * apply_as_log() takes the history of a lead that was only born for its
	 * birth: so nothing is written to it here
	 */
	if (late && !leadscore_count_late(writer, record, list, begin, end, locked && !is_newborn(record)))
		return false;
	corrected = lifecycle->standing.stage != stage || lifecycle->stage_since != stage_since;
	steps = MemoryContextAllocHuge(CurrentMemoryContext, (end - begin + 1) * sizeof(LeadStep));
	for (i = begin; i < end; i++)
		if (!delta_is_late(lifecycle, &list->deltas[i]))
			steps[n++] = leadscore_delta_step(list, &list->deltas[i]);
	if (n > 0 && steps[0].at == lifecycle->processed_until && !joins_instant(record))
		return false;
	may_undo = n > 0 && steps[0].at == lifecycle->segments_since;
	leadscore_run(writer, record, steps, n);
	/* a stage that time has taken back begins no sequence */
	if (corrected)
		leadscore_lifecycle_advance(lifecycle, writer->counts_until);

	/* what a lead leaves in the instant of its birth it has never entered */
	if (may_undo && has_left(writer->history, nsegments, steps[0].at))
		return false;
	pfree(steps);
	return true;
}

/*
 * Do the first rows of a replay say that a lead was born in the segments that
 * its state has, and has neither left one nor entered one since?
 */
static bool
born_in_same_segments(const LeadLifecycle *born, const HistoryBuffer *replayed)
{
	const SegmentSet *set = born->scorer ? born->scorer->segments : NULL;
	SegmentBits members = {0};
	int			i;
	int			j;

	if (born->segments_since != NEVER && born->segments_since != born->stage_since)
		return false;
	for (i = 0; i < replayed->nsegments && replayed->segments[i].change.cause == SEGMENT_CREATED; i++)
		for (j = 0; set && j < set->n; j++)
			if (strcmp(set->segments[j].name, replayed->segments[i].change.segment) == 0)
				segment_set_member(&members, j);
	return memcmp(&members, &born->standing.segments, sizeof(members)) == 0;
}

/* Make the history of a lead equal to a replayed one, after which its next rows are numbered. */
void
leadscore_correct_history(Writer *writer, HistoryBuffer *replayed)
{
	replayed->edges = writer->appended.edges;
	if (leadscore_history_correct(writer->pipeline, replayed, InvalidSnapshot, NULL))
		leadscore_edges_add_correction(replayed->edges, replayed->lead_id);
	writer->appended.segments_seq = replayed->segments_seq;
}

/*
 * The lead was only born, so these deltas are all that its log has: replay
 * them.  False if that cannot be told.
 */
static bool
apply_as_log(Writer *writer, LeadRecord *record, const DeltaList *list, int64 begin, int64 end)
{
	HistoryBuffer replayed;
	int64		born_at = record->lifecycle.stage_since;
	uint8		born_as = record->lifecycle.standing.stage;
	int64		configuration = record->configuration;
	const char *model = writer->history->model;
	LeadLifecycle born = record->lifecycle;
	const StageRow *first;
	int			i;

	if (!is_newborn(record) || record->configuration < writer->pipeline->signals_configuration ||
		leadscore_has_baseline(writer))
		return false;
	for (i = begin; i < end; i++)
		if (list->deltas[i].removed)
			return false;
	if (!leadscore_lead_read(writer, record->lead_id) ||
		leadscore_lead_created_at(writer) != born_at)
		return false;
	leadscore_history_init(&replayed, CurrentMemoryContext);
	writer->history = &replayed;
	leadscore_replay_deltas(writer, record, list, begin, end);
	writer->history = &writer->appended;
	first = &replayed.rows[0];
	if (configuration == writer->pipeline->configuration &&
		first->change.effective_at == born_at && first->change.to_stage == born_as &&
		(first->model == NULL ? model == NULL : model && strcmp(first->model, model) == 0) &&
		born_in_same_segments(&born, &replayed))
	{
		/* its birth stands: the rest is new */
		for (i = 0; i < replayed.nsegments; i++)
			if (replayed.segments[i].change.cause != SEGMENT_CREATED)
				leadscore_segment_changed(writer->history, &replayed.segments[i].change);
		for (i = 1; i < replayed.n; i++)
		{
			writer->history->lead_id = replayed.rows[i].lead_id;
			writer->history->model = replayed.rows[i].model;
			leadscore_stage_changed(writer->history, &replayed.rows[i].change);
		}
		return true;
	}
	leadscore_writer_flush(writer, false);
	leadscore_correct_history(writer, &replayed);
	return true;
}

/*
 * Make history and record of a lead equal to a replay of its log, with its row as
 * a snapshot sees it.  The state must be locked.  False if the lead is not there.
 */
static bool
correct_as_seen(Writer *writer, LeadRecord *record, Snapshot snapshot)
{
	HistoryBuffer replayed;

	/* rows that wait to be appended are part of the history to correct */
	leadscore_writer_flush(writer, false);
	leadscore_lead_open(writer);
	if (!leadscore_row_read(&writer->lead, record->lead_id, snapshot))
		return false;
	leadscore_replay_one(writer, record, &replayed, NULL);
	leadscore_correct_history(writer, &replayed);
	leadscore_replayed_note(writer, record->lead_id);
	return true;
}

/* The same with its row as it is now */
bool
leadscore_correct(Writer *writer, LeadRecord *record)
{
	return correct_as_seen(writer, record, writer->snapshot);
}

#ifdef USE_ASSERT_CHECKING
/*
 * Does a record equal a replay of its lead's log?  It has been written; here it
 * is brought up to now, as a sweep would do.
 */
static void
check_record(Writer *writer, LeadRecord *record)
{
	HistoryBuffer replayed;
	LeadRecord	right;
	int64		nevents = 0;
	int			i;

	/* reads of a mere check must not make a transaction fail */
	if (IsolationIsSerializable())
		return;
	/* a table that nothing guards may hold anything */
	if (writer->state.rel->trigdesc == NULL)
		return;
	/* a stage that was loaded changes no count, and is for a rebuild to find */
	if (leadscore_ranges_left(writer->pipeline))
		return;
	for (i = 0; i < record->activity.nitems; i++)
		nevents += record->activity.items[i].count;
	/* of a long log once in a while is enough */
	if ((nevents > 100 && random() % 100 != 0) ||
		!leadscore_lead_read(writer, record->lead_id))
		return;
	leadscore_history_flush(writer->pipeline, NULL, &writer->profiles);
	right.lead_id = record->lead_id;
	leadscore_replay_one(writer, &right, &replayed, NULL);
	writer->profiles.n = 0;
	record->lifecycle.context = &replayed;
	leadscore_lifecycle_advance(&record->lifecycle, writer->counts_until);
	/* a log that was changed without triggers is for verify() to tell */
	if (lead_activity_equal(&right.activity, &record->activity))
	{
		Assert(right.lifecycle.standing.stage == record->lifecycle.standing.stage);
		Assert(right.lifecycle.standing.suspended == record->lifecycle.standing.suspended);
		Assert(right.lifecycle.standing.promotion_blocked == record->lifecycle.standing.promotion_blocked);
		Assert(right.lifecycle.stage_since == record->lifecycle.stage_since);
		Assert(right.lifecycle.cycle == record->lifecycle.cycle);
		Assert(right.lifecycle.segments_since == record->lifecycle.segments_since);
		Assert(memcmp(&right.lifecycle.standing.segments, &record->lifecycle.standing.segments,
					  sizeof(SegmentBits)) == 0);
	}
}
#endif

/* Order numbers of leads. */
int
leadscore_lead_id_cmp(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return x < y ? -1 : (x > y ? 1 : 0);
}

/* Add leads to some that are in order. */
static void
add_leads(Writer *writer, int64 **leads, int64 *nleads, const int64 *lead_ids, int64 n)
{
	int64	   *all = MemoryContextAllocHuge(writer->context, sizeof(int64) * (*nleads + n + 1));
	int64		kept = 0;
	int64		i;

	if (*nleads > 0)
		memcpy(all, *leads, sizeof(int64) * *nleads);
	memcpy(all + *nleads, lead_ids, sizeof(int64) * n);
	n += *nleads;
	qsort(all, n, sizeof(int64), leadscore_lead_id_cmp);
	for (i = 0; i < n; i++)
		if (kept == 0 || all[kept - 1] != all[i])
			all[kept++] = all[i];
	*leads = all;
	*nleads = kept;
}

/*
 * Have the states of leads locked when events are applied, in the order of
 * lead_id with those that have events.
 */
void
leadscore_hold_leads(Writer *writer, const int64 *lead_ids, int64 n)
{
	add_leads(writer, &writer->held, &writer->nheld, lead_ids, n);
}

/*
 * The same for leads whose rows may be written because of the statement's
 * events, which may replay them from a log that has the events.  Their events are
 * applied after that, by leadscore_deltas_apply_refused().
 */
void
leadscore_hold_refused(Writer *writer, const int64 *lead_ids, int64 n)
{
	leadscore_hold_leads(writer, lead_ids, n);
	add_leads(writer, &writer->refused, &writer->nrefused, lead_ids, n);
}

/* Do events of the statement refuse messages to a lead? */
static bool
is_refused(const Writer *writer, int64 lead_id)
{
	return writer->nrefused > 0 &&
		bsearch(&lead_id, writer->refused, writer->nrefused, sizeof(int64), leadscore_lead_id_cmp) != NULL;
}

/* Is an event that was added not one that was updated? */
static bool
is_new(const DeltaList *list, int64 begin, int64 end, int64 added)
{
	int64		i;

	for (i = begin; i < end; i++)
		if (list->deltas[i].removed && list->deltas[i].event_id == list->deltas[added].event_id)
			return false;
	return true;
}

/*
 * The log of a lead that was purged begins at a line.  Events before it are not
 * read again: what they count goes into the baseline at once.
 */
static void
count_before_line(Writer *writer, const LeadRecord *record, const DeltaList *list, int64 begin,
				  int64 end)
{
	LeadGrain	grain = writer->pipeline->grain;
	Checkpoint	checkpoint;
	ActivityList stored;
	ActivityList added;
	ActivityList *baseline;
	Datum	   *news;
	int			nnews = 0;
	bool		late = false;
	bool		isnull;
	Datum		value;
	int64		i;
	int			j;

	/* no line is later than what is processed */
	for (i = begin; i < end; i++)
		late |= list->deltas[i].at < record->lifecycle.processed_until;
	if (!late || !leadscore_checkpoint_read(writer, record->lead_id, &checkpoint))
		return;
	lead_activity_init(&added, grain, 16);
	news = palloc(sizeof(Datum) * (end - begin));
	for (i = begin; i < end; i++)
	{
		const EventDelta *delta = &list->deltas[i];

		if (!delta->removed && delta->at < checkpoint.purged_before && is_new(list, begin, end, i))
			news[nnews++] = Int64GetDatum(delta->event_id);
		for (j = 0; delta->at < checkpoint.purged_before && j < delta->ncounts; j++)
			lead_activity_append(&added, list->pool.counts[delta->first_count + j].signal,
								 list->pool.counts[delta->first_count + j].value,
								 bucket_of(delta->at, grain),
								 (delta->removed ? -1 : 1) * list->pool.counts[delta->first_count + j].count);
	}
	if (checkpoint.named && nnews > 0)
		leadscore_check_purged_ids(writer, record->lead_id, news, nnews);
	lead_activity_normalize(&added);
	if (added.nitems == 0)
		return;
	value = slot_getattr(writer->state.slot, writer->pipeline->columns.baseline, &isnull);
	lead_activity_init(&stored, grain, 64);
	leadscore_activity_decode(DatumGetLeadActivityPP(value), &stored);
	baseline = palloc(sizeof(ActivityList));
	lead_activity_init(baseline, grain, stored.nitems + added.nitems);
	lead_activity_merge(&stored, &added, 1, baseline);
	writer->baseline = baseline;
}

/* Apply the deltas of one lead. */
static void
apply_lead(DeltaList *list, Writer *writer, int64 begin, int64 end, const char *table)
{
	LeadRecord	record;
	bool		must_exist = false;
	bool		counts;
	bool		locked = false;
	bool		created;
	bool		replayed;
	int64		i;

	record.lead_id = list->deltas[begin].lead_id;
	replayed = leadscore_replayed_before(writer, record.lead_id);
	for (i = begin; i < end; i++)
		must_exist |= !list->deltas[i].removed;
	end = leadscore_deltas_drop_unchanged(list, begin, end);
	counts = end > begin;
	for (;;)
	{
		int			nstages;
		int			nsegments;
		bool		exact = false;

		/* an event that scores nothing still needs its lead, until it commits */
		if (!leadscore_find_or_create(writer, &record, locked || !counts,
									  counts ? LockTupleNoKeyExclusive : LockTupleKeyShare,
									  &list->deltas[begin],
									  writer->trigger == FIRED_BY_INSERT ? end - begin : 0, &created))
		{
			if (must_exist)
				report_missing_lead(writer, record.lead_id, table);
			return;
		}
		if (created && begin == 0)
			writer->from_stage = LEAD_STAGE_VISITOR;
		if (!counts || created)
			return;
		nstages = writer->appended.n;
		nsegments = writer->appended.nsegments;
		leadscore_record_init(writer, &record, record.lead_id);
		leadscore_state_decode(writer, &record);
		if (begin == 0)
			writer->from_stage = record.lifecycle.standing.stage;
		count_before_line(writer, &record, list, begin, end);
		/* the state of one that was replayed may have counted these already */
		if (replayed || !apply_without_log(writer, &record, list, begin, end, locked))
		{
			writer->appended.n = nstages;
			writer->appended.nsegments = nsegments;
			if (!locked)
			{
				/* begin again, with the state as it is once it is locked */
				locked = true;
				continue;
			}
			leadscore_record_init(writer, &record, record.lead_id);
			leadscore_state_decode(writer, &record);
			count_before_line(writer, &record, list, begin, end);
			if ((replayed || !apply_as_log(writer, &record, list, begin, end)) &&
				!leadscore_correct(writer, &record))
				return;
			exact = true;
		}
		if (leadscore_state_write(writer, &record, exact))
		{
#ifdef USE_ASSERT_CHECKING
			if (!exact)
				check_record(writer, &record);
#endif
			return;
		}
		/* another session was faster: begin again with its state */
		writer->appended.n = nstages;
		writer->appended.nsegments = nsegments;
	}
}

/* Apply sorted deltas of the leads that are refused messages, or of all others. */
static void
apply_leads(DeltaList *list, Writer *writer, const char *table, bool refused)
{
	int64		held = 0;
	int64		begin = 0;
	int64		end;

	for (; begin < list->n; begin = end)
	{
		int64		lead_id = list->deltas[begin].lead_id;
		MemoryContext oldcontext;

		CHECK_FOR_INTERRUPTS();
		for (end = begin + 1; end < list->n && list->deltas[end].lead_id == lead_id; end++)
			;
		for (; !refused && held < writer->nheld && writer->held[held] <= lead_id; held++)
			leadscore_state_lock(writer, writer->held[held], LockTupleNoKeyExclusive);
		if (is_refused(writer, lead_id) != refused)
			continue;
		oldcontext = MemoryContextSwitchTo(writer->lead_context);
		apply_lead(list, writer, begin, end, table);
		MemoryContextSwitchTo(oldcontext);
		MemoryContextReset(writer->lead_context);
		leadscore_writer_flush(writer, true);
		leadscore_progress_count(end - begin);
	}
	for (; !refused && held < writer->nheld; held++)
		leadscore_state_lock(writer, writer->held[held], LockTupleNoKeyExclusive);
}

/*
 * Sort deltas for leadscore_deltas_apply(), and lock those of their leads that were
 * loaded and have no state yet, before the states of the others; a single lead only
 * if even_single, as applying its deltas locks it too.
 */
void
leadscore_deltas_prepare(DeltaList *list, Writer *writer, bool even_single)
{
	int64	   *lead_ids;
	int64		n = 0;
	int64		i;

	if (list->n == 0)
		return;
	leadscore_deltas_sort(list);
	if ((!even_single && list->deltas[0].lead_id == list->deltas[list->n - 1].lead_id) ||
		!leadscore_ranges_left(writer->pipeline))
		return;
	lead_ids = MemoryContextAllocHuge(CurrentMemoryContext, list->n * sizeof(int64));
	for (i = 0; i < list->n; i++)
		if (i == 0 || list->deltas[i].lead_id != list->deltas[i - 1].lead_id)
			lead_ids[n++] = list->deltas[i].lead_id;
	leadscore_lock_loaded(writer->pipeline, lead_ids, n);
	pfree(lead_ids);
}

/*
 * Apply all deltas, lead by lead in the order of lead_id, but those of leads that
 * are refused messages.  Locks the states of these and of others to be held.
 */
void
leadscore_deltas_apply(DeltaList *list, Writer *writer, const char *table)
{
	leadscore_progress_phase(PHASE_EVENTS, list->n);
	apply_leads(list, writer, table, false);
}

/* Apply the deltas that leadscore_deltas_apply() has left. */
void
leadscore_deltas_apply_refused(DeltaList *list, Writer *writer, const char *table)
{
	if (writer->nrefused > 0)
		apply_leads(list, writer, table, true);
}

/*
 * Does the state of a lead that a statement has updated, locked and decoded, lag
 * behind the row as it was before: by signals that were defined since, or by a
 * profile that was written without triggers, if a rebuild has yet to look for these?
 */
static bool
lags_behind(Writer *writer, const LeadRecord *record)
{
	CountPool	difference;
	HeapTuple	old;
	bool		isnull;
	Datum		xmin = slot_getsysattr(writer->state.slot, MinTransactionIdAttributeNumber, &isnull);

	if (record->configuration < writer->pipeline->signals_configuration)
		return true;
	if (!writer->may_lag)
		return false;
	/* the statement itself may have written the state: by a newer row */
	if (TransactionIdIsCurrentTransactionId(DatumGetTransactionId(xmin)) &&
		!table_tuple_satisfies_snapshot(writer->state.rel, writer->state.slot, writer->before))
		return false;
	leadscore_lead_open(writer);
	if (!leadscore_row_read(&writer->lead, record->lead_id, writer->before))
		return false;
	/* the statement may have updated a version that came after its snapshot */
	old = ExecFetchSlotHeapTuple(writer->lead.slot, false, NULL);
	if (!TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetUpdateXid(old->t_data)))
		return false;
	leadscore_pool_init(&difference);
	leadscore_profile_difference(writer, &record->activity, &difference);
	return difference.n > 0;
}

/*
 * Lock and decode the state of a lead that a statement has updated.  If it lags
 * behind the row as it was before, it is brought up to that first; if the lead
 * was loaded and has no state, that is created from the same row.  Else what the
 * old row matched, and the new one does not, would never have been counted, though
 * queries say so up to the statement.  False if there is no state, and will be
 * none.
 */
static bool
lock_caught_up(Writer *writer, LeadRecord *record, int64 lead_id)
{
	bool		created;

	record->lead_id = lead_id;
	if (!leadscore_state_lock(writer, lead_id, LockTupleNoKeyExclusive))
	{
		/* attach_pipeline() completes loaded leads, and then counts them */
		if (leadscore_pipeline_is_locked(writer->pipeline->part) ||
			!leadscore_find_or_create(writer, record, true, LockTupleNoKeyExclusive, NULL, 0, &created))
			return false;
	}
	else
	{
		leadscore_record_init(writer, record, lead_id);
		leadscore_state_decode(writer, record);
		if (!lags_behind(writer, record))
			return true;
		if (correct_as_seen(writer, record, writer->before))
			leadscore_state_write(writer, record, true);
	}
	leadscore_writer_flush(writer, false);
	CommandCounterIncrement();
	if (!leadscore_state_lock(writer, lead_id, LockTupleNoKeyExclusive))
		elog(ERROR, "state of lead " INT64_FORMAT " vanished", lead_id);
	leadscore_record_init(writer, record, lead_id);
	leadscore_state_decode(writer, record);
	return true;
}

/* Bring a lead up to its row as it was before the statement that has updated it. */
void
leadscore_lead_catch_up(Writer *writer, int64 lead_id)
{
	LeadRecord	record;

	(void) lock_caught_up(writer, &record, lead_id);
}

/*
 * Bring the state of a lead up to its row: creation and profile.  Does
 * nothing if there is no such lead any more.  A change of the profile counts
 * from updated_at on, but not before the change before it, and at the latest
 * from now on.  The activity knows only the bucket of the creation, so the
 * caller must say if the instant has moved, and the writer must have a snapshot
 * that sees the row as it was before.
 */
void
leadscore_lead_refresh(Writer *writer, int64 lead_id, bool created_moved)
{
	LeadGrain	grain = writer->pipeline->grain;
	LeadRecord	record;
	LeadLifecycle *lifecycle = &record.lifecycle;
	const ActivityItem *created = NULL;
	CountPool	difference;
	LeadStep	step = {0};
	int			nstages;
	int			nsegments;
	bool		moved;
	bool		correct;
	int			i;

	if (!lock_caught_up(writer, &record, lead_id) ||
		!leadscore_lead_lock(writer, lead_id, LockTupleKeyShare))
		return;
	nstages = writer->appended.n;
	nsegments = writer->appended.nsegments;
	for (i = 0; i < record.activity.nitems && record.activity.items[i].signal == 0; i++)
		created = &record.activity.items[i];
	moved = created_moved || created == NULL ||
		created->bucket != bucket_of(leadscore_lead_created_at(writer), grain);
	leadscore_pool_init(&difference);
	leadscore_profile_difference(writer, &record.activity, &difference);
	if (difference.n == 0 && !moved)
		return;

	step.at = Min(leadscore_lead_updated_at(writer), writer->now);
	if (lifecycle->profile_at != NEVER)
		step.at = Max(step.at, lifecycle->profile_at);
	step.counts = difference.counts;
	step.ncounts = (int) difference.n;
	step.profile = true;
	leadscore_profile_log(writer, lead_id, &difference, step.at);
	correct = moved || needs_log(writer, &record) || step.at < lifecycle->processed_until ||
		(step.at == lifecycle->processed_until && (is_newborn(&record) || !joins_instant(&record)));
	if (!correct)
	{
		bool		joins = step.at == lifecycle->processed_until;

		leadscore_run(writer, &record, &step, 1);

		/*
		 * What a lead enters in an instant with events it enters because of
		 * these, and only the log knows if the instant has any.
		 */
		correct = joins && writer->appended.nsegments > nsegments;
		if (correct)
		{
			writer->appended.n = nstages;
			writer->appended.nsegments = nsegments;
			leadscore_record_init(writer, &record, lead_id);
			leadscore_state_decode(writer, &record);
		}
	}
	if (correct && !leadscore_correct(writer, &record))
		return;
	leadscore_state_write(writer, &record, true);
}
