/*-------------------------------------------------------------------------
 *
 * lead_state.c
 *		Rows of lead_state, and the writer that brings them up to date.
 *
 * A Writer is the work of one statement on a pipeline: it is its owner meanwhile,
 * and has the open tables and the history that is still to be appended.  A
 * LeadRecord is one lead that is worked on: its row of lead_state, decoded.  A
 * reader is a Writer that locks and writes nothing: a query computes with it
 * what a writer would write.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "lead_state.h"
#include "level.h"
#include "replay.h"
#include "stage.h"

/* history rows that are kept before they are appended */
#define LARGE_HISTORY	5000

/* Make a writer without open tables. */
static void
init_writer(Writer *writer, Pipeline *pipeline)
{
	memset(writer, 0, sizeof(Writer));
	writer->pipeline = pipeline;
	writer->context = CurrentMemoryContext;
	writer->lead_context = AllocSetContextCreate(CurrentMemoryContext, "leadscore lead",
												 ALLOCSET_DEFAULT_SIZES);
	writer->now = nearest_instant(GetCurrentTimestamp());
	leadscore_history_init(&writer->appended, writer->context);
	writer->history = &writer->appended;
	writer->profiles.context = writer->context;
	writer->snapshot = InvalidSnapshot;
}

/*
 * Begin to compute, for a query, the record that a writer would write, as the
 * owner: by the snapshot of the query, without a lock, perhaps in a parallel
 * worker.
 */
void
leadscore_reader_begin(Writer *reader, PipelinePart part)
{
	init_writer(reader, leadscore_pipeline_as_seen(part));
	reader->snapshot = GetActiveSnapshot();
	leadscore_run_as(reader->pipeline->owner, true, &reader->saved);
	leadscore_table_open(&reader->state, reader->pipeline->state, AccessShareLock, ACL_SELECT);
	leadscore_table_open(&reader->lead, reader->pipeline->lead, AccessShareLock, ACL_SELECT);
	leadscore_lead_columns(RelationGetDescr(reader->lead.rel),
						   RelationGetRelationName(reader->lead.rel), &reader->lead_columns);
}

/* Forget the computed record, and be the caller again. */
void
leadscore_reader_end(Writer *reader)
{
	leadscore_table_close(&reader->checkpoint);
	leadscore_table_close(&reader->lead);
	leadscore_table_close(&reader->state);
	leadscore_run_back(&reader->saved);
	MemoryContextDelete(reader->lead_context);
}

/*
 * Begin the work of a statement on a pipeline, as its owner.  Maintenance is
 * restricted, as REINDEX is: code of the owner's own, such as deferred
 * triggers, cannot run as a superuser that called us.
 */
void
leadscore_writer_begin(Writer *writer, PipelinePart part, bool restricted)
{
	init_writer(writer, leadscore_pipeline_for_write(part));
	leadscore_run_as(writer->pipeline->owner, restricted, &writer->saved);
	if (writer->pipeline->own_code)
		writer->guc_level = leadscore_fix_path();

	/* see the rows that this command has written, and later our own writes */
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	leadscore_table_open(&writer->state, writer->pipeline->state, RowExclusiveLock,
						 ACL_SELECT | ACL_INSERT | ACL_UPDATE);
}

/* Write all buffered rows, and be the caller again. */
void
leadscore_writer_end(Writer *writer)
{
	leadscore_table_close(&writer->checkpoint);
	leadscore_table_close(&writer->lead);
	leadscore_writer_flush(writer, false);
	leadscore_table_close(&writer->state);
	PopActiveSnapshot();
	if (writer->guc_level > 0)
		AtEOXact_GUC(true, writer->guc_level);
	leadscore_run_back(&writer->saved);
	MemoryContextDelete(writer->lead_context);
}

/* Append history, if asked only when there is so much that it needs memory. */
void
leadscore_writer_flush(Writer *writer, bool if_large)
{
	if (!if_large || writer->appended.n + writer->appended.nsegments >= LARGE_HISTORY || writer->profiles.n >= LARGE_HISTORY)
		leadscore_history_flush(writer->pipeline, &writer->appended, &writer->profiles);
}

/* Open the table lead, if it is not open yet. */
void
leadscore_lead_open(Writer *writer)
{
	MemoryContext oldcontext;

	if (writer->lead.rel != NULL)
		return;
	oldcontext = MemoryContextSwitchTo(writer->context);
	leadscore_table_open(&writer->lead, writer->pipeline->lead, RowShareLock,
						 ACL_SELECT | ACL_UPDATE);
	leadscore_lead_columns(RelationGetDescr(writer->lead.rel),
						   RelationGetRelationName(writer->lead.rel),
						   &writer->lead_columns);
	MemoryContextSwitchTo(oldcontext);
}

/* Read a lead, by the writer's snapshot, into writer->lead.slot. */
bool
leadscore_lead_read(Writer *writer, int64 lead_id)
{
	leadscore_lead_open(writer);
	return leadscore_row_read(&writer->lead, lead_id, writer->snapshot);
}

/* Wait for a session that is inserting, changing or deleting a lead. */
void
leadscore_lead_await(Writer *writer, int64 lead_id)
{
	leadscore_lead_open(writer);
	leadscore_row_await(&writer->lead, lead_id);
}

/* Find and lock a lead itself; it is then in writer->lead.slot. */
bool
leadscore_lead_lock(Writer *writer, int64 lead_id, LockTupleMode mode)
{
	leadscore_lead_open(writer);
	return leadscore_row_lock(&writer->lead, lead_id, mode);
}

/* An instant of the lead that was read, now if it is null */
static int64
lead_instant(const Writer *writer, AttrNumber column)
{
	bool		isnull;
	Datum		value = slot_getattr(writer->lead.slot, column, &isnull);

	return isnull ? writer->now : nearest_instant(DatumGetTimestampTz(value));
}

/* When the lead that was read was created */
int64
leadscore_lead_created_at(const Writer *writer)
{
	return lead_instant(writer, writer->lead_columns.created_at);
}

/* When the profile of the lead that was read was last changed */
int64
leadscore_lead_updated_at(const Writer *writer)
{
	return lead_instant(writer, writer->lead_columns.updated_at);
}

/* An empty record of a lead, with a lifecycle that writes to the writer's buffer */
void
leadscore_record_init(Writer *writer, LeadRecord *record, int64 lead_id)
{
	memset(record, 0, sizeof(LeadRecord));
	record->lead_id = lead_id;
	record->next_review = NEVER;
	lead_activity_init(&record->activity, writer->pipeline->grain, 64);
	record->lifecycle.activity = &record->activity;
	record->lifecycle.milestone_at = NEVER;
	record->lifecycle.pending_at = NEVER;
	record->lifecycle.quiet_until = PG_INT64_MIN;
	record->lifecycle.segments_since = NEVER;
	record->lifecycle.changed = leadscore_stage_changed;
	record->lifecycle.segment_changed = leadscore_segment_changed;
	record->lifecycle.context = writer->history;
	writer->history->lead_id = lead_id;
}

/* A timestamp column of the row that was found, NEVER for NULL */
static int64
read_instant(const TupleTableSlot *slot, AttrNumber column)
{
	return slot->tts_isnull[column - 1] ? NEVER :
		DatumGetTimestampTz(slot->tts_values[column - 1]);
}

/*
 * Set the segments that a lead is in from an array of their ids, by the numbers
 * of the scorer that it was brought up to date with.
 */
void
leadscore_segments_read(Datum segments, LeadLifecycle *lifecycle)
{
	Datum	   *ids;
	bool	   *nulls;
	int			n;
	int			i;

	if (lifecycle->scorer == NULL)
		return;
	deconstruct_array(DatumGetArrayTypeP(segments), INT4OID, sizeof(int32), true,
					  TYPALIGN_INT, &ids, &nulls, &n);
	for (i = 0; i < n; i++)
	{
		int			number = nulls[i] ? NO_INDEX :
			leadscore_segment_index(lifecycle->scorer->segments, DatumGetInt32(ids[i]));

		if (number != NO_INDEX)
			segment_set_member(&lifecycle->standing.segments, number);
	}
}

/* The segments that a lead is in as an array of their ids, in order; NULL if it is in none */
Datum
leadscore_segments_array(const LeadLifecycle *lifecycle, bool *isnull)
{
	const SegmentSet *set = lifecycle->scorer ? lifecycle->scorer->segments : NULL;
	Datum		ids[MAX_SEGMENTS];
	int			n = 0;
	int			i;
	int			j;

	for (i = 0; set && i < set->n; i++)
		if (segment_is_member(&lifecycle->standing.segments, i))
		{
			for (j = n++; j > 0 && DatumGetInt32(ids[j - 1]) > set->segments[i].id; j--)
				ids[j] = ids[j - 1];
			ids[j] = Int32GetDatum(set->segments[i].id);
		}
	*isnull = n == 0;
	return n == 0 ? (Datum) 0 :
		PointerGetDatum(construct_array(ids, n, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

/* Refuse a state that the engine cannot have written. */
static void
report_invalid_state(const LeadRecord *record, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("invalid %s of lead " INT64_FORMAT, what, record->lead_id),
			 errhint("Run rebuild_by_id() of the pipeline for this lead.")));
}

/*
 * Decode the state that was found into a record.  One that the engine cannot
 * have written is an error; a writer that repairs takes it with valid = false.
 */
void
leadscore_state_decode(Writer *writer, LeadRecord *record)
{
	const StateColumns *c = &writer->pipeline->columns;
	const AttrNumber required[] = {c->activity, c->stage, c->level, c->promotion_blocked, c->cycle,
	c->stage_since, c->processed_until, c->configuration};
	LeadGrain	grain = writer->pipeline->grain;
	LeadLifecycle *lifecycle = &record->lifecycle;
	TupleTableSlot *slot = writer->state.slot;
	bool		valid = true;
	int			i;

	slot_getallattrs(slot);
	for (i = 0; i < (int) lengthof(required); i++)
		valid &= !slot->tts_isnull[required[i] - 1];
	if (!valid && !writer->repair)
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("state of lead " INT64_FORMAT " contains an unexpected null", record->lead_id),
				 errhint("Run rebuild_by_id() of the pipeline for this lead.")));
	if (valid)
	{
		LeadActivity *activity = DatumGetLeadActivityPP(slot->tts_values[c->activity - 1]);

		valid = lead_activity_decode((const unsigned char *) VARDATA_ANY(activity),
									 VARSIZE_ANY_EXHDR(activity), &record->activity);
		if (!valid && !writer->repair)
			report_invalid_state(record, "activity");
	}
	if (valid && record->activity.grain != grain)
	{
		if (!writer->repair)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("activity of lead " INT64_FORMAT " has another grain than the pipeline",
							record->lead_id),
					 errhint("Run rebuild() of the pipeline.")));
		valid = false;
	}
	if (!valid)
	{
		record->activity.nitems = 0;
		record->activity.grain = grain;
	}
	lifecycle->standing.stage = DatumGetLeadStage(slot->tts_values[c->stage - 1]);
	lifecycle->standing.suspended = slot->tts_isnull[c->suspended_stage - 1] ? 0 :
		DatumGetLeadStage(slot->tts_values[c->suspended_stage - 1]);
	lifecycle->standing.promotion_blocked = DatumGetBool(slot->tts_values[c->promotion_blocked - 1]);
	lifecycle->cycle = DatumGetInt32(slot->tts_values[c->cycle - 1]);
	lifecycle->stage_since = DatumGetTimestampTz(slot->tts_values[c->stage_since - 1]);
	lifecycle->processed_until = DatumGetTimestampTz(slot->tts_values[c->processed_until - 1]);
	if (valid && !leadscore_lifecycle_valid(lifecycle))
	{
		if (!writer->repair)
			report_invalid_state(record, "stage");
		valid = false;
	}
	record->valid = valid;
	lifecycle->profile_at = read_instant(slot, c->profile_at);
	lifecycle->milestone_at = read_instant(slot, c->milestone_at);
	lifecycle->pending_at = read_instant(slot, c->pending_at);
	lifecycle->segments_since = read_instant(slot, c->segments_since);
	writer->appended.segments_seq = slot->tts_isnull[c->segments_seq - 1] ? 0 :
		DatumGetInt32(slot->tts_values[c->segments_seq - 1]);
	writer->appended.recorded_at = read_instant(slot, c->updated_at);
	if (writer->appended.recorded_at == NEVER)
		writer->appended.recorded_at = writer->now;
	record->next_review = read_instant(slot, c->next_review_at);
	lifecycle->quiet_until = record->next_review;
	record->configuration = DatumGetInt64(slot->tts_values[c->configuration - 1]);
	/* by another model the score may be anything */
	if (record->configuration == writer->pipeline->configuration)
		record->level = DatumGetInt16(slot->tts_values[c->level - 1]);
	/* a lead that is created in time to come has applied nothing of that time */
	writer->counts_until = Max(writer->now, Min(lifecycle->processed_until, writer->appended.recorded_at));
	writer->moves_until = writer->now;
	if (lifecycle->milestone_at != NEVER)
		writer->moves_until = Max(writer->now, lifecycle->milestone_at);
	leadscore_period_begin(writer, record);
	if (!slot->tts_isnull[c->segments - 1])
		leadscore_segments_read(slot->tts_values[c->segments - 1], lifecycle);
	writer->baseline = NULL;
}

/*
 * Find and lock the state of a lead.  False is certain only if the lead itself
 * is locked, or gone.
 */
bool
leadscore_state_lock(Writer *writer, int64 lead_id, LockTupleMode mode)
{
	if (!leadscore_row_lock(&writer->state, lead_id, mode))
		return false;
	leadscore_row_check_visible(&writer->state);
	return true;
}

/* Set a column of the row to be written. */
static void
set_column(TupleTableSlot *slot, AttrNumber column, Datum value, bool isnull)
{
	slot->tts_values[column - 1] = value;
	slot->tts_isnull[column - 1] = isnull;
}

/* Set a timestamp column, to NULL for NEVER. */
static void
set_instant(TupleTableSlot *slot, AttrNumber column, int64 at)
{
	set_column(slot, column, TimestampTzGetDatum(at), at == NEVER);
}

/* Put a record into the row to be written. */
static void
fill_row(const Writer *writer, const LeadRecord *record, TupleTableSlot *row)
{
	const StateColumns *c = &writer->pipeline->columns;
	const LeadLifecycle *lifecycle = &record->lifecycle;
	const LeadStanding *standing = &lifecycle->standing;
	Datum		segments;
	bool		isnull;

	set_column(row, c->activity, PointerGetDatum(leadscore_activity_make(&record->activity)), false);
	if (writer->baseline)
		set_column(row, c->baseline, PointerGetDatum(leadscore_activity_make(writer->baseline)), false);
	set_column(row, c->stage, LeadStageGetDatum(standing->stage), false);
	set_column(row, c->level, Int16GetDatum(record->level), false);
	set_column(row, c->suspended_stage, LeadStageGetDatum(standing->suspended),
			   standing->suspended == 0);
	set_column(row, c->promotion_blocked, BoolGetDatum(standing->promotion_blocked), false);
	set_column(row, c->cycle, Int32GetDatum(lifecycle->cycle), false);
	set_instant(row, c->stage_since, lifecycle->stage_since);
	set_instant(row, c->processed_until, lifecycle->processed_until);
	set_instant(row, c->profile_at, lifecycle->profile_at);
	set_instant(row, c->milestone_at, lifecycle->milestone_at);
	set_instant(row, c->pending_at, lifecycle->pending_at);
	set_instant(row, c->segments_since, lifecycle->segments_since);
	segments = leadscore_segments_array(lifecycle, &isnull);
	set_column(row, c->segments, segments, isnull);
	set_column(row, c->segments_seq, Int32GetDatum(writer->appended.segments_seq), false);
	set_instant(row, c->next_review_at, record->next_review);
	set_column(row, c->configuration, Int64GetDatum(record->configuration), false);
	set_column(row, c->updated_at, TimestampTzGetDatum(writer->counts_until), false);
}

/*
 * The level of a record from now on, 0 without an active model; or `enough` if
 * it is seen at once that the level is not above that.
 */
int16
leadscore_record_level(const Writer *writer, const LeadRecord *record, int16 enough)
{
	const LeadLifecycle *lifecycle = &record->lifecycle;
	const Evaluation *e = lifecycle->evaluation;
	int32		now = bucket_of(writer->now, record->activity.grain);

	if (lifecycle->scorer == NULL)
		return 0;

	/*
	 * The lead was just evaluated, most of the time.  The room for that is
	 * shared, so another lead may be in it.
	 */
	if (lifecycle->is_evaluated && e->activity == &record->activity && e->at <= now &&
		leadscore_level_within(lifecycle->scorer, &record->activity, e, enough))
	{
		Assert(leadscore_level(lifecycle->scorer, &record->activity, now) <= enough);
		return enough;
	}
	return leadscore_level(lifecycle->scorer, &record->activity, now);
}

/*
 * Write a record over the state that was found; false if it was found without
 * a lock and another session changed it since, so that the work on the lead
 * must begin again.
 *
 * The stored review may come too early but never too late, and the level may be
 * too high but never too low; so unless they are to be exact, an event that only
 * puts the review off, or lowers the level, leaves the indexed columns alone and
 * the update stays HOT.
 */
bool
leadscore_state_write(Writer *writer, LeadRecord *record, bool exact)
{
	int64		review = leadscore_lifecycle_next_review(&record->lifecycle,
														 exact ? NEVER : record->next_review,
														 exact);
	int16		level = leadscore_record_level(writer, record, exact ? 0 : record->level);

	Assert(record->configuration == writer->pipeline->configuration);
	Assert(record->activity.grain == writer->pipeline->grain);
	if (exact || review < record->next_review)
		record->next_review = review;
	if (exact || level > record->level)
		record->level = level;
	fill_row(writer, record, leadscore_row_begin(&writer->state, true));
	return leadscore_row_update(&writer->state);
}

/* Insert a record as the state of a lead that has none. */
void
leadscore_state_insert(Writer *writer, LeadRecord *record)
{
	TupleTableSlot *row;

	record->next_review = leadscore_lifecycle_next_review(&record->lifecycle, NEVER, true);
	record->level = leadscore_record_level(writer, record, 0);
	row = leadscore_row_begin(&writer->state, false);
	set_column(row, writer->pipeline->columns.lead_id, Int64GetDatum(record->lead_id), false);
	fill_row(writer, record, row);
	leadscore_row_insert(&writer->state);
}

/* Begin with a lead that has no state, and of which nothing was written. */
void
leadscore_state_none(Writer *writer)
{
	writer->baseline = NULL;
	writer->appended.segments_seq = 0;
	writer->appended.recorded_at = writer->now;
	writer->counts_until = writer->moves_until = writer->now;
}

/*
 * Create the state of the lead that is in writer->lead.slot: its creation and
 * its profile, and the stage it begins with.
 */
void
leadscore_state_create(Writer *writer, LeadRecord *record)
{
	int64		created_at = leadscore_lead_created_at(writer);
	int64		birth = created_at;
	CountPool	profile;
	int64		i;

	leadscore_state_none(writer);
	leadscore_record_init(writer, record, record->lead_id);
	lead_activity_count(&record->activity, 0, 0, bucket_of(created_at, writer->pipeline->grain), 1);
	leadscore_pool_init(&profile);
	leadscore_profile_difference(writer, &record->activity, &profile);
	if (profile.n > 0)
		/* a profile is known now, even if the lead is to begin later */
		birth = Min(created_at, writer->now);
	leadscore_profile_log(writer, record->lead_id, &profile, birth);
	for (i = 0; i < profile.n; i++)
		lead_activity_count(&record->activity, profile.counts[i].signal, 0, BUCKET_TIMELESS,
							profile.counts[i].count);
	leadscore_run_begin(writer, record, birth);
	leadscore_run(writer, record, NULL, 0);
	leadscore_state_insert(writer, record);
}

/*
 * The signals that the profile of the lead in writer->lead.slot began or
 * ceased to match, as counts.  Both lists are in the order of signals.  The
 * profile of a lead that was made anonymous counts for ever as it was.
 */
void
leadscore_profile_difference(Writer *writer, const ActivityList *activity, CountPool *difference)
{
	CountPool	now;
	int64		j = 0;
	int			i;

	if (!slot_attisnull(writer->lead.slot, writer->lead_columns.erased_at))
		return;
	leadscore_pool_init(&now);
	leadscore_classify_lead(writer->pipeline, &writer->lead_columns, writer->lead.slot, &now);
	for (i = 0; i < activity->nitems; i++)
	{
		const ActivityItem *item = &activity->items[i];

		if (item->bucket != BUCKET_TIMELESS)
			continue;
		for (; j < now.n && now.counts[j].signal < item->signal; j++)
			leadscore_pool_add(difference, now.counts[j].signal, 0, now.counts[j].count);
		if (j < now.n && now.counts[j].signal == item->signal)
		{
			if (now.counts[j].count != item->count)
				leadscore_pool_add(difference, item->signal, 0, now.counts[j].count - item->count);
			j++;
		}
		else
			leadscore_pool_add(difference, item->signal, 0, -item->count);
	}
	for (; j < now.n; j++)
		leadscore_pool_add(difference, now.counts[j].signal, 0, now.counts[j].count);
}

/* Buffer the signals that a profile began or ceased to match. */
void
leadscore_profile_log(Writer *writer, int64 lead_id, const CountPool *difference, int64 at)
{
	int64		j;

	for (j = 0; j < difference->n; j++)
	{
		const SignalRule *signal = leadscore_signal_rule(writer->pipeline,
														 difference->counts[j].signal);

		if (signal)
			leadscore_profiles_add(&writer->profiles, lead_id, signal->name, at,
								   difference->counts[j].count > 0 ? 1 : -1);
	}
}
