/*-------------------------------------------------------------------------
 *
 * replay.c
 *		Running the lifecycle of a lead.
 *
 * The valid history of a lead is the one that its events, the changes of its
 * profile and the activations of models give in the order of event time, from
 * its birth on.  Live statements run the same code on new events, and read the
 * log only where new events cannot be enough.  The log of a lead that was purged
 * begins at a line, and with it where the lead stood there (checkpoint.c).
 *
 * A lead is born when it was created, or at its first event or change of the
 * profile if that is earlier.  Events before the first activation are judged
 * by the first model.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "checkpoint.h"
#include "replay.h"
#include "row_stream.h"

/* The last period that a configuration knows of; -1 if there is none */
static int
period_of_configuration(const Pipeline *pipeline, int64 configuration)
{
	int			i = pipeline->nperiods - 1;

	while (i >= 0 && pipeline->periods[i].configuration > configuration)
		i--;
	return i;
}

/* Put the model of a period in charge (-1: none). */
static void
use_period(Writer *writer, LeadRecord *record, int period)
{
	LeadLifecycle *lifecycle = &record->lifecycle;

	lifecycle->scorer = NULL;
	lifecycle->evaluation = NULL;
	lifecycle->is_evaluated = false;
	writer->history->model = NULL;
	if (period < 0)
		return;
	leadscore_period_load(writer->pipeline, period);
	lifecycle->scorer = writer->pipeline->periods[period].scorer;
	lifecycle->evaluation = writer->pipeline->periods[period].evaluation;
	writer->history->model = writer->pipeline->periods[period].name;
}

/* Put the model in charge that a record was brought up to date with. */
void
leadscore_period_begin(Writer *writer, LeadRecord *record)
{
	use_period(writer, record, period_of_configuration(writer->pipeline, record->configuration));
}

/* The period of an instant, the first one for what was before it; -1 if there is none */
static int
period_at(const Pipeline *pipeline, int64 at)
{
	int			period = pipeline->nperiods - 1;

	while (period > 0 && pipeline->periods[period].activated_at > at)
		period--;
	return period;
}

/* Begin the lifecycle of a record; its activity holds the counts at birth. */
void
leadscore_run_begin(Writer *writer, LeadRecord *record, int64 birth)
{
	const Pipeline *pipeline = writer->pipeline;
	int			period = period_at(pipeline, birth);

	use_period(writer, record, period);
	record->configuration = period < 0 ? 0 : pipeline->periods[period].configuration;
	leadscore_lifecycle_begin(&record->lifecycle, birth);
}

/* Activate the models that came into use up to an instant, one after the other. */
static void
activate_until(Writer *writer, LeadRecord *record, int64 until)
{
	const Pipeline *pipeline = writer->pipeline;
	int			period = period_of_configuration(pipeline, record->configuration) + 1;

	for (; period < pipeline->nperiods && pipeline->periods[period].activated_at <= until; period++)
	{
		/* of several activations of one instant the last one counts */
		if (period + 1 < pipeline->nperiods &&
			pipeline->periods[period + 1].activated_at == pipeline->periods[period].activated_at)
			continue;
		leadscore_lifecycle_advance(&record->lifecycle, pipeline->periods[period].activated_at);
		leadscore_period_load(writer->pipeline, period);
		writer->history->model = pipeline->periods[period].name;
		leadscore_lifecycle_activate(&record->lifecycle, pipeline->periods[period].activated_at,
									 pipeline->periods[period].scorer,
									 pipeline->periods[period].evaluation);
		record->configuration = pipeline->periods[period].configuration;
	}
}

/*
 * Has the configuration changed since a record was brought up to date, in a way
 * that only its log can tell what that changes?  So it is if signals were
 * defined anew, if the first model came, and if a model came into use before
 * something that the record has applied, or in the instant of the activation that
 * it has applied last.
 */
bool
leadscore_configuration_is_late(const Writer *writer, const LeadRecord *record)
{
	const Pipeline *pipeline = writer->pipeline;
	int			period = period_of_configuration(pipeline, record->configuration);

	if (record->configuration < pipeline->signals_configuration)
		return true;
	if (period + 1 >= pipeline->nperiods)
		return false;
	if (period < 0 ||
		pipeline->periods[period + 1].activated_at < record->lifecycle.processed_until)
		return true;
	/* of one instant only the last activation counts, and another was applied */
	return pipeline->periods[period + 1].activated_at == pipeline->periods[period].activated_at;
}

/* The instant before which no model comes into use and all buckets have begun */
static int64
leap_end(const Writer *writer, const LeadRecord *record)
{
	const Pipeline *pipeline = writer->pipeline;
	LeadGrain	grain = pipeline->grain;
	int			period = period_of_configuration(pipeline, record->configuration) + 1;
	int64		end = bucket_start(bucket_of(writer->counts_until, grain) + 1, grain);

	return period < pipeline->nperiods ? Min(end, pipeline->periods[period].activated_at) : end;
}

/*
 * Apply steps, in the order of event time and none before processed_until, and
 * the activations between them and up to now.
 */
void
leadscore_run(Writer *writer, LeadRecord *record, const LeadStep *steps, int64 n)
{
	LeadGrain	grain = writer->pipeline->grain;
	int32		today = bucket_of(writer->counts_until, grain);
	int64		stride = n;
	int64		i = 0;

	while (i < n && bucket_of(steps[i].at, grain) <= today)
	{
		int64		end = i + 1;
		int64		leap;

		CHECK_FOR_INTERRUPTS();
		activate_until(writer, record, Min(steps[i].at, writer->counts_until));
		leap = leadscore_lifecycle_leap(&record->lifecycle, &steps[i], n - i,
										leap_end(writer, record), &stride);
		if (leap > 0)
		{
			i += leap;
			continue;
		}
		while (end < n && steps[end].at == steps[i].at)
			end++;
		leadscore_lifecycle_step(&record->lifecycle, &steps[i], (int) (end - i), writer->moves_until);
		i = end;
	}

	/*
	 * an event that is dated ahead is counted, and acts when its bucket
	 * begins
	 */
	for (; i < n; i++)
	{
		leadscore_lifecycle_count(&record->lifecycle, &steps[i], 1);
		leadscore_lifecycle_expect(&record->lifecycle,
								   bucket_start(bucket_of(steps[i].at, grain), grain));
	}
	leadscore_lifecycle_settle(&record->lifecycle);
	activate_until(writer, record, writer->counts_until);
	record->configuration = writer->pipeline->configuration;
}

/* Start an activity with the counts of events that were purged from the log. */
static void
read_baseline(Writer *writer, LeadRecord *record)
{
	ActivityList *activity = &record->activity;
	bool		isnull;
	Datum		value = slot_getattr(writer->state.slot, writer->pipeline->columns.baseline, &isnull);

	activity->nitems = 0;
	activity->grain = writer->pipeline->grain;
	if (writer->baseline)
	{
		lead_activity_copy(writer->baseline, activity);
		return;
	}
	if (isnull)
		return;
	leadscore_activity_decode(DatumGetLeadActivityPP(value), activity);
	if (activity->grain != writer->pipeline->grain)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("baseline of lead " INT64_FORMAT " has another grain than the pipeline",
						record->lead_id),
				 errhint("Set baseline to NULL or to an activity of the pipeline's grain.")));
}

/* The columns of both logs, and the order in which all of them are read */
#define EVENT_COLUMNS	"*"
#define EVENT_ORDER		"lead_id"
#define PROFILE_COLUMNS	"lead_id, signal, count, changed_at"
#define PROFILE_ORDER	"lead_id, seq"

/*
 * Begin to read the logs of leads: of all, in the order of lead_id, or of
 * single ones.  Needs an SPI connection until it is closed if of all.
 */
void
leadscore_log_open(LogReader *reader, Writer *writer, const LeadRange *range)
{
	const Pipeline *pipeline = writer->pipeline;

	reader->writer = writer;
	reader->all = range != NULL;
	reader->loaded = false;
	reader->context = AllocSetContextCreate(writer->context, "leadscore log",
											ALLOCSET_DEFAULT_SIZES);
	reader->scratch = AllocSetContextCreate(writer->context, "leadscore event",
											ALLOCSET_DEFAULT_SIZES);
	reader->events = NULL;
	reader->profiles = NULL;
	if (range == NULL)
		return;
	reader->events = leadscore_stream_open(EVENT_COLUMNS, pipeline->event, EVENT_ORDER, true, range, writer->snapshot);
	reader->profiles = leadscore_stream_open(PROFILE_COLUMNS, pipeline->profile_change,
											 PROFILE_ORDER, false, range, writer->snapshot);
}

/* End the reading of logs. */
void
leadscore_log_close(LogReader *reader)
{
	if (reader->events)
		leadscore_stream_close(reader->events);
	if (reader->profiles)
		leadscore_stream_close(reader->profiles);
	MemoryContextDelete(reader->context);
	MemoryContextDelete(reader->scratch);
}

/* Classify the events of a lead from an instant on; they come in no order. */
static void
read_events(LogReader *reader, RowStream *stream, int64 lead_id, int64 from, DeltaList *deltas)
{
	Writer	   *writer = reader->writer;
	TupleTableSlot *slot = NULL;
	EventColumns columns;
	HeapTuple	tuple;

	leadscore_deltas_init(deltas, reader->scratch);
	while ((tuple = leadscore_stream_take(stream, lead_id)) != NULL)
	{
		if (slot == NULL)
		{
			TupleDesc	desc = leadscore_stream_desc(stream);

			slot = MakeSingleTupleTableSlot(desc, &TTSOpsHeapTuple);
			leadscore_event_columns(desc, "event", &columns);
		}
		CHECK_FOR_INTERRUPTS();
		ExecStoreHeapTuple(tuple, slot, false);
		leadscore_deltas_add(deltas, writer->pipeline, &columns, slot, false);
		ExecClearTuple(slot);
		/* nor is an event that matches nothing part of a lifecycle */
		if (deltas->deltas[deltas->n - 1].at < from ||
			(deltas->deltas[deltas->n - 1].ncounts == 0 &&
			 deltas->deltas[deltas->n - 1].set_stage == 0))
			deltas->n--;
	}
	if (slot)
		ExecDropSingleTupleTableSlot(slot);
	leadscore_deltas_sort(deltas);
}

/* The changes of a lead's profile, as steps in the order of time */
typedef struct ProfileLog
{
	LeadStep   *steps;
	SignalCount *counts;		/* one for each step */
	int			n;
	int			capacity;
} ProfileLog;

/* Order steps by time. */
static int
step_cmp(const void *a, const void *b)
{
	const LeadStep *x = a;
	const LeadStep *y = b;

	return x->at < y->at ? -1 : (x->at > y->at ? 1 : 0);
}

/* The id of a profile signal by its name, -1 if it is none any more */
static int
profile_signal(const Pipeline *pipeline, const char *name)
{
	int			i;

	for (i = 0; i < pipeline->nprofile; i++)
		if (strcmp(pipeline->profile[i]->name, name) == 0)
			return pipeline->profile[i]->id;
	return -1;
}

/*
 * Read the changes of a lead's profile.  No change can be known before it
 * happens, so none is later than counts_until.
 */
static void
read_profile_log(Writer *writer, RowStream *stream, int64 lead_id, ProfileLog *log)
{
	HeapTuple	tuple;
	int			i;

	memset(log, 0, sizeof(ProfileLog));
	while ((tuple = leadscore_stream_take(stream, lead_id)) != NULL)
	{
		TupleDesc	desc = leadscore_stream_desc(stream);
		char	   *name = SPI_getvalue(tuple, desc, 2);
		int			signal = name ? profile_signal(writer->pipeline, name) : -1;
		bool		isnull;

		if (signal < 0)
			continue;
		if (log->n == log->capacity)
		{
			log->capacity = Max(16, log->capacity * 2);
			log->steps = log->steps ? repalloc(log->steps, log->capacity * sizeof(LeadStep)) :
				palloc(log->capacity * sizeof(LeadStep));
			log->counts = log->counts ? repalloc(log->counts, log->capacity * sizeof(SignalCount)) :
				palloc(log->capacity * sizeof(SignalCount));
		}
		memset(&log->steps[log->n], 0, sizeof(LeadStep));
		memset(&log->counts[log->n], 0, sizeof(SignalCount));
		log->counts[log->n].signal = signal;
		log->counts[log->n].count = DatumGetInt16(SPI_getbinval(tuple, desc, 3, &isnull));
		log->steps[log->n].at = nearest_instant(DatumGetTimestampTz(SPI_getbinval(tuple, desc, 4, &isnull)));
		log->steps[log->n].at = Min(log->steps[log->n].at, writer->counts_until);
		log->steps[log->n].ncounts = 1;
		log->steps[log->n].profile = true;
		log->n++;
	}
	/* the counts have stopped moving */
	for (i = 0; i < log->n; i++)
		log->steps[i].counts = &log->counts[i];
	if (log->n > 1)
		qsort(log->steps, log->n, sizeof(LeadStep), step_cmp);
}

/*
 * Apply the steps before a cut, and note where the lead stands there, after what
 * time changes in that instant.  Returns how many they are.
 */
static int64
run_to_cut(Writer *writer, LeadRecord *record, const LeadStep *steps, int64 n,
		   const ActivityList *baseline, ReplayCut *cut)
{
	const Pipeline *pipeline = writer->pipeline;
	int64		counts_until = writer->counts_until;
	int64		moves_until = writer->moves_until;
	ActivityList added;
	int64		before = 0;
	int			j;

	lead_activity_init(&added, pipeline->grain, 64);
	for (; before < n && steps[before].at < cut->at; before++)
		for (j = 0; !steps[before].profile && j < steps[before].ncounts; j++)
			lead_activity_append(&added, steps[before].counts[j].signal,
								 steps[before].counts[j].value,
								 bucket_of(steps[before].at, pipeline->grain),
								 steps[before].counts[j].count);
	lead_activity_normalize(&added);
	lead_activity_init(&cut->baseline, pipeline->grain, baseline->nitems + added.nitems);
	lead_activity_merge(baseline, &added, 1, &cut->baseline);
	pfree(added.items);

	writer->counts_until = writer->moves_until = cut->at - 1;
	leadscore_run(writer, record, steps, before);
	writer->counts_until = counts_until;
	writer->moves_until = moves_until;
	record->configuration = pipeline->periods[period_at(pipeline, cut->at - 1)].configuration;
	leadscore_lifecycle_advance(&record->lifecycle, cut->at);
	record->lifecycle.processed_until = cut->at;
	cut->reached = true;
	cut->record = *record;
	cut->nstages = writer->history->n;
	cut->nsegments = writer->history->nsegments;
	return before;
}

/*
 * Replay a lead from its birth: its creation, the changes of its profile, its
 * events and the activations of models.  Of a lead that was purged, from its
 * checkpoint on: what is dated before the line is counted there.  The lead and
 * its state must be in the writer's slots.
 */
static void
replay_log(Writer *writer, LeadRecord *record, const DeltaList *events, int64 begin, int64 end,
		   const ProfileLog *profile, const Checkpoint *checkpoint, ReplayCut *cut)
{
	int64		created_at = leadscore_lead_created_at(writer);
	int64		birth = checkpoint ? checkpoint->purged_before : created_at;
	ActivityList baseline;
	LeadStep   *steps;
	int64		n = 0;
	int64		done = 0;
	int64		i;
	int			p = 0;

	leadscore_record_init(writer, record, record->lead_id);
	read_baseline(writer, record);
	if (cut)
	{
		lead_activity_init(&baseline, record->activity.grain, record->activity.nitems);
		lead_activity_copy(&record->activity, &baseline);
	}
	lead_activity_count(&record->activity, 0, 0, bucket_of(created_at, writer->pipeline->grain), 1);
	steps = MemoryContextAllocHuge(CurrentMemoryContext,
								   (end - begin + profile->n + 1) * sizeof(LeadStep));
	if (checkpoint == NULL)
	{
		if (begin < end)
			birth = Min(birth, events->deltas[begin].at);
		if (profile->n > 0)
			birth = Min(birth, profile->steps[0].at);
	}

	/*
	 * changes up to the birth are counted at birth, and those before a line
	 * at it
	 */
	for (; p < profile->n && profile->steps[p].at < birth + (checkpoint ? 0 : 1); p++)
		leadscore_lifecycle_count(&record->lifecycle, &profile->steps[p], 1);
	for (i = begin; i < end; i++)
	{
		while (p < profile->n && profile->steps[p].at <= events->deltas[i].at)
			steps[n++] = profile->steps[p++];
		steps[n++] = leadscore_delta_step(events, &events->deltas[i]);
	}
	while (p < profile->n)
		steps[n++] = profile->steps[p++];
	if (checkpoint)
		leadscore_checkpoint_resume(writer, record, checkpoint);
	else
		leadscore_run_begin(writer, record, birth);
	if (cut && birth < cut->at)
		done = run_to_cut(writer, record, steps, n, &baseline, cut);
	leadscore_run(writer, record, steps + done, n - done);
	leadscore_lifecycle_advance(&record->lifecycle, writer->counts_until);
	pfree(steps);
}

/*
 * Add signals that the lead's row matches and its log does not have, as after an
 * update without triggers: they changed when the row was updated, after all
 * that was logged.  Of a lead that was loaded the profile was known when it was
 * created, as if it had been inserted then.
 */
static void
complete_profile_log(LogReader *reader, LeadRecord *record, ProfileLog *log)
{
	Writer	   *writer = reader->writer;
	CountPool	difference;
	ActivityList known;
	int64		at;
	int			old = log->n;
	int64		i;

	lead_activity_init(&known, writer->pipeline->grain, 16);
	for (i = 0; i < log->n; i++)
		lead_activity_count(&known, log->counts[i].signal, 0, BUCKET_TIMELESS, log->counts[i].count);
	leadscore_pool_init(&difference);
	leadscore_profile_difference(writer, &known, &difference);
	if (difference.n == 0)
		return;
	at = Min(reader->loaded ? leadscore_lead_created_at(writer) : leadscore_lead_updated_at(writer),
			 writer->now);
	if (old > 0)
		at = Max(at, log->steps[old - 1].at);
	leadscore_profile_log(writer, record->lead_id, &difference, at);
	log->n += (int) difference.n;
	log->steps = log->steps ? repalloc(log->steps, sizeof(LeadStep) * log->n) :
		palloc(sizeof(LeadStep) * log->n);
	for (i = 0; i < difference.n; i++)
	{
		LeadStep	step = {0};

		step.at = at;
		step.counts = &difference.counts[i];
		step.ncounts = 1;
		step.profile = true;
		log->steps[old + i] = step;
	}
}

/*
 * Replay a lead whose whole log is these deltas, sorted, with no removal.  Its
 * profile must be as it was when it was created, and that must be its birth.
 */
void
leadscore_replay_deltas(Writer *writer, LeadRecord *record, const DeltaList *deltas,
						int64 begin, int64 end)
{
	ProfileLog	profile = {0};
	ActivityList old;
	int			i;

	/* the counts at birth */
	lead_activity_init(&old, writer->pipeline->grain, record->activity.nitems);
	lead_activity_copy(&record->activity, &old);
	profile.steps = palloc0(sizeof(LeadStep) * (old.nitems + 1));
	profile.counts = palloc0(sizeof(SignalCount) * (old.nitems + 1));
	for (i = 0; i < old.nitems; i++)
		if (old.items[i].bucket == BUCKET_TIMELESS)
		{
			LeadStep   *step = &profile.steps[profile.n];

			profile.counts[profile.n].signal = old.items[i].signal;
			profile.counts[profile.n].count = old.items[i].count;
			step->at = leadscore_lead_created_at(writer);
			step->counts = &profile.counts[profile.n];
			step->ncounts = 1;
			step->profile = true;
			profile.n++;
		}
	replay_log(writer, record, deltas, begin, end, &profile, NULL, NULL);
}

/*
 * Replay a lead from its log into a record.  The lead and its state must be in
 * the writer's slots, the state locked unless nothing is to be written.  The
 * rows of its history are put into a buffer; signals of the profile that its log
 * does not have, into the writer's buffer.  With a cut, it is noted where the
 * lead stands there.
 */
void
leadscore_replay(LogReader *reader, LeadRecord *record, HistoryBuffer *history, ReplayCut *cut)
{
	Writer	   *writer = reader->writer;
	RowStream  *events = reader->events;
	RowStream  *profiles = reader->profiles;
	MemoryContext oldcontext = MemoryContextSwitchTo(reader->context);
	int64		lead_id = record->lead_id;
	Checkpoint	checkpoint;
	bool		purged = leadscore_checkpoint_read(writer, lead_id, &checkpoint);
	DeltaList	deltas;
	ProfileLog	profile;

	if (!reader->all)
	{
		if (SPI_connect() != SPI_OK_CONNECT)
			elog(ERROR, "SPI_connect failed");
		MemoryContextSwitchTo(reader->context);
		events = leadscore_stream_open_lead(writer->pipeline, PLAN_READ_EVENTS, EVENT_COLUMNS,
											writer->pipeline->event, lead_id, writer->snapshot);
		profiles = leadscore_stream_open_lead(writer->pipeline, PLAN_READ_PROFILES, PROFILE_COLUMNS,
											  writer->pipeline->profile_change, lead_id,
											  writer->snapshot);
	}
	read_events(reader, events, lead_id, purged ? checkpoint.purged_before : PG_INT64_MIN, &deltas);
	read_profile_log(writer, profiles, lead_id, &profile);
	if (!reader->all)
	{
		leadscore_stream_close(events);
		leadscore_stream_close(profiles);
		SPI_finish();
		MemoryContextSwitchTo(reader->context);
	}
	complete_profile_log(reader, record, &profile);
	MemoryContextSwitchTo(oldcontext);
	leadscore_history_init(history, CurrentMemoryContext);
	if (purged)
	{
		history->kept_stages = checkpoint.stage_seq;
		history->kept_segments = checkpoint.segments_seq;
	}
	writer->history = history;
	replay_log(writer, record, &deltas, 0, deltas.n, &profile, purged ? &checkpoint : NULL, cut);
	writer->history = &writer->appended;
	MemoryContextReset(reader->context);
}

/* The same for a single lead: opens its log and closes it. */
void
leadscore_replay_one(Writer *writer, LeadRecord *record, HistoryBuffer *history, ReplayCut *cut)
{
	LogReader	reader;

	leadscore_log_open(&reader, writer, NULL);
	leadscore_replay(&reader, record, history, cut);
	leadscore_log_close(&reader);
}
