/*-------------------------------------------------------------------------
 *
 * maintain.c
 *		What keeps a pipeline right besides its triggers: reviews of leads
 *		whose time has come or whose model is new, and rebuilding from the log.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#include "engine.h"
#include "stage.h"

PG_FUNCTION_INFO_V1(leadscore_event_signals);
PG_FUNCTION_INFO_V1(leadscore_profile_signals);
PG_FUNCTION_INFO_V1(leadscore_lock_pipeline);
PG_FUNCTION_INFO_V1(leadscore_review);
PG_FUNCTION_INFO_V1(leadscore_rebuild);

#define FETCH_ROWS	1000

/* Rows of a query in the order of lead_id, read through a cursor */
typedef struct RowStream
{
	Portal		portal;
	SPITupleTable *rows;
	uint64		nrows;
	uint64		at;
	AttrNumber	lead_id;
} RowStream;

/* What event_signals() and profile_signals() keep from row to row */
typedef struct RowClassifier
{
	Oid			type;
	int32		typmod;
	TupleDesc	desc;
	const Pipeline *pipeline;
	TupleTableSlot *slot;
	EventColumns event;
	LeadColumns lead;
} RowClassifier;

/* Begin to read the rows of some leads (NULL: of all) from a table. */
static void
stream_open(RowStream *stream, const char *columns, Oid relid, const char *order,
			Datum lead_ids)
{
	Oid			type = INT8ARRAYOID;
	char	   *sql = psprintf("SELECT %s FROM %s%s ORDER BY %s", columns,
							   leadscore_table_name(relid),
							   lead_ids ? " WHERE lead_id OPERATOR(pg_catalog.=) ANY ($1)" : "",
							   order);

	memset(stream, 0, sizeof(RowStream));

	/*
	 * what was committed before writers were locked out, whatever the
	 * transaction sees
	 */
	PushActiveSnapshot(GetLatestSnapshot());
	stream->portal = SPI_cursor_open_with_args(NULL, sql, lead_ids ? 1 : 0, &type,
											   &lead_ids, NULL, true,
											   CURSOR_OPT_NO_SCROLL);
	PopActiveSnapshot();
	stream->lead_id = leadscore_column(stream->portal->tupDesc, "lead_id", INT8OID,
									   get_rel_name(relid));
}

/* The lead_id of the row at hand; false at the end */
static bool
stream_peek(RowStream *stream, int64 *lead_id)
{
	bool		isnull;

	if (stream->portal == NULL)
		return false;
	if (stream->at >= stream->nrows)
	{
		if (stream->rows)
			SPI_freetuptable(stream->rows);
		SPI_cursor_fetch(stream->portal, true, FETCH_ROWS);
		stream->rows = SPI_tuptable;
		stream->nrows = SPI_processed;
		stream->at = 0;
		if (stream->nrows == 0)
		{
			SPI_cursor_close(stream->portal);
			stream->portal = NULL;
			return false;
		}
	}
	*lead_id = DatumGetInt64(SPI_getbinval(stream->rows->vals[stream->at],
										   stream->rows->tupdesc, stream->lead_id, &isnull));
	return true;
}

/* Take the row at hand if it is of a lead; rows of leads before it are skipped. */
static HeapTuple
stream_take(RowStream *stream, int64 lead_id)
{
	int64		row_lead;

	while (stream_peek(stream, &row_lead) && row_lead < lead_id)
		stream->at++;
	if (stream->portal == NULL || row_lead != lead_id)
		return NULL;
	return stream->rows->vals[stream->at++];
}

static void
stream_close(RowStream *stream)
{
	if (stream->portal)
		SPI_cursor_close(stream->portal);
	stream->portal = NULL;
}

/* Only who may do it himself may have the owner's work done. */
static void
check_permission(Oid schema, const char *table, AclMode mode)
{
	if (pg_class_aclcheck(leadscore_table(schema, table), GetUserId(), mode) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, table);
}

/* lock_pipeline(pipeline): writers wait until the transaction ends */
Datum
leadscore_lock_pipeline(PG_FUNCTION_ARGS)
{
	Oid			schema = PG_GETARG_OID(0);
	ListCell   *lc;

	check_permission(schema, "lead_state", ACL_UPDATE);
	foreach(lc, leadscore_parts(schema, DEBUG1))
		leadscore_pipeline_lock(*(PipelinePart *) lfirst(lc));
	PG_RETURN_VOID();
}

/* Review one lead; true if its stage changed or its review was moved. */
static void
review_lead(Work *work, int64 lead_id, int64 at, StageCause cause)
{
	if (!leadscore_state_lock(work, lead_id, LockTupleNoKeyExclusive))
		return;
	leadscore_state_read(work);
	if (cause == CAUSE_DECAY)
	{
		/* somebody else may have been here first */
		if (work->next_review > at)
			return;
		leadscore_course_catch_up(&work->course, at);
	}
	else
		leadscore_course_review(&work->course, at, cause);
	leadscore_state_write(work, true);
}

/* Review some leads (NULL: all) of a part; returns how often a stage changed. */
static int64
review_leads(PipelinePart part, Datum lead_ids, int64 at, StageCause cause)
{
	RowStream	stream;
	Work		work;
	int64		lead_id;

	leadscore_work_begin(&work, part);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	stream_open(&stream, "lead_id", work.pipeline->state, "lead_id", lead_ids);
	while (stream_peek(&stream, &lead_id))
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(work.row_context);

		CHECK_FOR_INTERRUPTS();
		stream.at++;
		review_lead(&work, lead_id, at, cause);
		MemoryContextSwitchTo(oldcontext);
		MemoryContextReset(work.row_context);
		leadscore_work_flush_if_large(&work);
	}
	stream_close(&stream);
	SPI_finish();
	leadscore_work_end(&work);
	return work.nchanges;
}

/*
 * review(pipeline, lead_ids, at, cause): applies to these leads (NULL: all)
 * what is due up to at; returns how often a stage changed.  cause `decay`
 * looks only at leads whose review is due; `activation` looks at each anew.
 */
Datum
leadscore_review(PG_FUNCTION_ARGS)
{
	Oid			schema;
	Datum		lead_ids;
	int64		at;
	char	   *cause_name;
	StageCause	cause;
	int64		changes = 0;
	ListCell   *lc;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(2) || PG_ARGISNULL(3))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("pipeline, instant and cause must not be null"),
				 errhint("Call sweep() or activate_model() of the pipeline.")));
	schema = PG_GETARG_OID(0);
	lead_ids = PG_ARGISNULL(1) ? (Datum) 0 : PG_GETARG_DATUM(1);
	at = PG_GETARG_TIMESTAMPTZ(2);
	cause_name = text_to_cstring(PG_GETARG_TEXT_PP(3));
	if (strcmp(cause_name, "decay") == 0)
		cause = CAUSE_DECAY;
	else if (strcmp(cause_name, "activation") == 0)
		cause = CAUSE_ACTIVATION;
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown cause \"%s\"", cause_name),
				 errhint("It is decay or activation.")));
	check_permission(schema, "lead_state", ACL_UPDATE);
	foreach(lc, leadscore_parts(schema, NOTICE))
		changes += review_leads(*(PipelinePart *) lfirst(lc), lead_ids, at, cause);
	PG_RETURN_INT64(changes);
}

/* One rebuild: what is read, and the models of the past */
typedef struct Rebuild
{
	Work		work;
	RowStream	leads;
	RowStream	events;
	RowStream	profiles;
	EventColumns event_columns;
	TupleTableSlot *event_slot;
	MemoryContext event_context;	/* of the events of one lead */
	ModelPeriod *periods;
	int			nperiods;
	Evaluation **evaluations;
} Rebuild;

/* Classify the events of a lead, in event-time order. */
static void
read_events(Rebuild *rebuild, int64 lead_id, EventBatch *batch)
{
	HeapTuple	tuple;

	leadscore_batch_init(batch, rebuild->work.row_context);
	while ((tuple = stream_take(&rebuild->events, lead_id)) != NULL)
	{
		if (rebuild->event_slot == NULL)
		{
			TupleDesc	desc = rebuild->events.rows->tupdesc;
			MemoryContext oldcontext = MemoryContextSwitchTo(rebuild->work.context);

			rebuild->event_slot = MakeSingleTupleTableSlot(CreateTupleDescCopy(desc),
														   &TTSOpsHeapTuple);
			leadscore_event_columns(desc, "event", &rebuild->event_columns);
			MemoryContextSwitchTo(oldcontext);
		}
		ExecStoreHeapTuple(tuple, rebuild->event_slot, false);
		leadscore_batch_add(batch, rebuild->work.pipeline, &rebuild->event_columns,
							rebuild->event_slot, false);
		ExecClearTuple(rebuild->event_slot);
	}
}

/* Start an activity with what the log no longer has. */
static void
read_baseline(Work *work, ActivityList *activity)
{
	bool		isnull;
	Datum		value = slot_getattr(work->state.slot, work->pipeline->columns.baseline, &isnull);

	activity->nitems = 0;
	activity->grain = work->pipeline->grain;
	if (isnull)
		return;
	leadscore_activity_decode(DatumGetLeadActivityPP(value), activity);
	if (activity->grain != work->pipeline->grain)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("baseline of lead " INT64_FORMAT " has another grain than the pipeline",
						work->lead_id),
				 errhint("Set baseline to NULL or to an activity of the pipeline's grain.")));
}

/* Take the profile's part from one activity to another. */
static void
copy_timeless(const ActivityList *from, ActivityList *to)
{
	int			i;

	for (i = 0; i < from->nitems; i++)
		if (from->items[i].bucket == BUCKET_TIMELESS)
			lead_activity_count(to, from->items[i].signal, BUCKET_TIMELESS,
								from->items[i].count);
}

static int64
lead_instant(Work *work, AttrNumber column, int64 otherwise)
{
	bool		isnull;
	Datum		value = slot_getattr(work->lead.slot, column, &isnull);

	return isnull ? otherwise : DatumGetTimestampTz(value);
}

/* Count some events of a lead, or with sign -1 take them out. */
static void
count_events(ActivityList *activity, const EventBatch *batch, int64 begin, int64 end, int sign)
{
	int64		i;
	int			j;

	for (i = begin; i < end; i++)
	{
		const EventRecord *record = &batch->records[i];

		for (j = 0; j < record->ncounts; j++)
		{
			const SignalCount *count = &batch->pool.counts[record->first_count + j];

			lead_activity_count(activity, count->signal,
								bucket_of(record->occurred_at, activity->grain),
								sign * count->count);
		}
	}
}

/* Apply some events of a lead as if they came now. */
static void
apply_events(Work *work, const EventBatch *batch, int64 begin, int64 end)
{
	LeadStep	step;
	int64		i;

	for (i = begin; i < end; i++)
	{
		leadscore_batch_step(batch, &batch->records[i], &step);
		leadscore_course_step(&work->course, &step, work->now);
	}
}

/*
 * Count one lead again.  Its history goes on from where it is settled: if the
 * lead is wrong, the events of the time since then are applied now, as they
 * would have been when they came; those of a new state are so all.
 */
static bool
recount_lead(Rebuild *rebuild, const EventBatch *batch, bool created)
{
	Work	   *work = &rebuild->work;
	LeadCourse *course = &work->course;
	LeadGrain	grain = work->pipeline->grain;
	int64		created_at = lead_instant(work, work->lead_columns.created_at, work->now);
	int64		updated_at = lead_instant(work, work->lead_columns.updated_at, work->now);
	ActivityList fresh;
	ActivityList old;
	bool		wrong;
	int64		first = 0;
	int64		middle;
	int64		end;

	lead_activity_init(&fresh, grain, 64);
	read_baseline(work, &fresh);
	lead_activity_count(&fresh, 0, bucket_of(created_at, grain), 1);
	count_events(&fresh, batch, 0, batch->n, 1);
	lead_activity_init(&old, grain, work->activity.nitems);
	lead_activity_copy(&work->activity, &old);
	/* the profile's part is brought up to date by a step, which logs it */
	copy_timeless(&old, &fresh);
	wrong = created || !lead_activity_equal(&old, &fresh);

	while (!created && first < batch->n &&
		   batch->records[first].occurred_at <= course->settled_at)
		first++;
	for (end = first; end < batch->n; end++)
	{
		const EventRecord *record = &batch->records[end];

		if (bucket_of(record->occurred_at, grain) > bucket_of(work->now, grain))
			break;
		/* a stage by hand leaves no trace in the counts */
		if (record->set_stage != 0 && record->set_stage != course->standing.stage &&
			record->occurred_at > course->stage_since)
			wrong = true;
	}
	if (wrong)
		count_events(&fresh, batch, first, end, -1);
	else
		first = end;
	lead_activity_copy(&fresh, &work->activity);
	if (wrong)
		leadscore_course_review(course, course->settled_at, CAUSE_REBUILD);
	middle = first;
	while (middle < end && batch->records[middle].occurred_at < updated_at)
		middle++;
	apply_events(work, batch, first, middle);
	leadscore_profile_step(work, work->lead.slot, updated_at);
	apply_events(work, batch, middle, end);
	if (!wrong && lead_activity_equal(&old, &work->activity))
		return false;
	leadscore_state_write(work, true);
	return true;
}

/* Put the model of a period in charge. */
static void
use_period(Rebuild *rebuild, int period)
{
	Work	   *work = &rebuild->work;

	if (rebuild->nperiods == 0)
		return;
	work->model_name = rebuild->periods[period].name;
	work->course.scorer = rebuild->periods[period].scorer;
	work->course.evaluation = rebuild->evaluations[period];
}

/* A change of a profile, as the log has it */
typedef struct LoggedChange
{
	int64		changed_at;
	SignalCount count;
} LoggedChange;

static int
read_profile_log(Rebuild *rebuild, int64 lead_id, LoggedChange **changes)
{
	Work	   *work = &rebuild->work;
	HeapTuple	tuple;
	int			n = 0;
	int			capacity = 16;

	*changes = palloc(capacity * sizeof(LoggedChange));
	while ((tuple = stream_take(&rebuild->profiles, lead_id)) != NULL)
	{
		TupleDesc	desc = rebuild->profiles.rows->tupdesc;
		char	   *name = SPI_getvalue(tuple, desc, 2);
		bool		isnull;
		int			i;

		if (name == NULL)
			continue;
		if (n == capacity)
		{
			capacity *= 2;
			*changes = repalloc(*changes, capacity * sizeof(LoggedChange));
		}
		for (i = 0; i < work->pipeline->nprofile; i++)
			if (strcmp(work->pipeline->profile[i]->name, name) == 0)
			{
				LoggedChange *change = &(*changes)[n++];

				change->count.signal = work->pipeline->profile[i]->id;
				change->count.unused = 0;
				change->count.count = DatumGetInt16(SPI_getbinval(tuple, desc, 3, &isnull));
				change->changed_at = DatumGetTimestampTz(SPI_getbinval(tuple, desc, 4, &isnull));
				break;
			}
	}
	return n;
}

/*
 * Replay the history of one lead: its creation, the changes of its profile,
 * its events and the activations of models, in the order of event time.
 */
static void
replay_lead(Rebuild *rebuild, const EventBatch *batch)
{
	Work	   *work = &rebuild->work;
	LeadGrain	grain = work->pipeline->grain;
	int64		created_at = lead_instant(work, work->lead_columns.created_at, work->now);
	LoggedChange *changes;
	int			nchanges = read_profile_log(rebuild, work->lead_id, &changes);
	SignalCount *counts = palloc(sizeof(SignalCount) * (nchanges + 1));
	int			change = 0;
	int			period = 0;
	int64		event = 0;

	read_baseline(work, &work->activity);
	lead_activity_count(&work->activity, 0, bucket_of(created_at, grain), 1);
	for (; change < nchanges && changes[change].changed_at <= created_at; change++)
		lead_activity_count(&work->activity, changes[change].count.signal, BUCKET_TIMELESS,
							changes[change].count.count);
	if (nchanges == 0)
	{
		/* nothing logged, as after a load without triggers: so it always was */
		leadscore_profile_begin(work, work->lead.slot, created_at);
	}
	while (period + 1 < rebuild->nperiods &&
		   rebuild->periods[period + 1].activated_at <= created_at)
		period++;
	use_period(rebuild, period);
	leadscore_course_begin(&work->course, created_at);

	while (change < nchanges || event < batch->n || period + 1 < rebuild->nperiods)
	{
		int64		activation_at = period + 1 < rebuild->nperiods ?
			rebuild->periods[period + 1].activated_at : NEVER;
		int64		change_at = change < nchanges ? changes[change].changed_at : NEVER;
		int64		event_at = event < batch->n ? batch->records[event].occurred_at : NEVER;
		LeadStep	step = {0};

		if (activation_at != NEVER && activation_at <= change_at && activation_at <= event_at)
		{
			leadscore_course_catch_up(&work->course, activation_at);
			use_period(rebuild, ++period);
			leadscore_course_review(&work->course, activation_at, CAUSE_ACTIVATION);
			continue;
		}
		if (change < nchanges && change_at <= event_at)
		{
			/* what changed in one statement is one step */
			step.at = change_at;
			step.counts = counts;
			for (; change < nchanges && changes[change].changed_at == change_at; change++)
				counts[step.ncounts++] = changes[change].count;
			step.sign = 1;
			step.timeless = true;
			step.milestones = true;
		}
		else
			leadscore_batch_step(batch, &batch->records[event++], &step);
		leadscore_course_step(&work->course, &step, work->now);
	}
	/* what the log does not say the row does */
	leadscore_profile_step(work, work->lead.slot,
						   lead_instant(work, work->lead_columns.updated_at, work->now));
	leadscore_course_catch_up(&work->course, work->now);
	leadscore_state_write(work, true);
}

/* Forget the stage history of some leads (NULL: of all). */
static void
delete_history(Work *work, Datum lead_ids)
{
	if (lead_ids)
		leadscore_delete_leads(work->pipeline->history, lead_ids);
	else
		leadscore_delete_now(psprintf("DELETE FROM %s",
									  leadscore_table_name(work->pipeline->history)));
}

/*
 * Delete what we keep of leads that are gone, as after deletes in replica
 * mode.  Events are not ours to delete.  Returns the number of leads.
 */
static uint64
delete_orphans(Work *work)
{
	Oid			tables[3];
	uint64		deleted = 0;
	int			i;

	tables[0] = work->pipeline->history;
	tables[1] = work->pipeline->profile_change;
	tables[2] = work->pipeline->state;
	for (i = 0; i < (int) lengthof(tables); i++)
		deleted = leadscore_delete_now(psprintf("DELETE FROM %s t WHERE NOT EXISTS (SELECT FROM %s l"
												" WHERE l.lead_id OPERATOR(pg_catalog.=) t.lead_id)",
												leadscore_table_name(tables[i]),
												leadscore_table_name(work->pipeline->lead)));
	return deleted;
}

/*
 * Rebuild the states of some leads (NULL: of all) from the log, and their
 * stage history too if asked.  Writers wait.  Returns how many leads changed.
 */
int64
leadscore_rebuild_leads(PipelinePart part, Datum lead_ids, bool history)
{
	Rebuild		rebuild = {0};
	Work	   *work = &rebuild.work;
	MemoryContext context;
	MemoryContext oldcontext;
	int64		lead_id;
	int64		changed = 0;
	int			i;

	context = AllocSetContextCreate(CurrentMemoryContext, "leadscore rebuild",
									ALLOCSET_DEFAULT_SIZES);
	oldcontext = MemoryContextSwitchTo(context);
	leadscore_pipeline_lock(part);
	leadscore_work_begin(work, part);
	work->repair = true;
	rebuild.event_context = AllocSetContextCreate(context, "leadscore lead events",
												  ALLOCSET_DEFAULT_SIZES);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	changed += delete_orphans(work);
	if (history)
	{
		MemoryContextSwitchTo(context);
		rebuild.periods = leadscore_model_periods(work->pipeline, &rebuild.nperiods);
		rebuild.evaluations = palloc(sizeof(Evaluation *) * (rebuild.nperiods + 1));
		for (i = 0; i < rebuild.nperiods; i++)
			rebuild.evaluations[i] = leadscore_evaluation_create(rebuild.periods[i].scorer);
		delete_history(work, lead_ids);
		stream_open(&rebuild.profiles, "lead_id, signal, count, changed_at",
					work->pipeline->profile_change, "lead_id, changed_at, seq", lead_ids);
		leadscore_column(rebuild.profiles.portal->tupDesc, "count", INT2OID, "profile_change");
		leadscore_column(rebuild.profiles.portal->tupDesc, "changed_at", TIMESTAMPTZOID, "profile_change");
	}
	stream_open(&rebuild.leads, "lead_id", work->pipeline->lead, "lead_id", lead_ids);
	stream_open(&rebuild.events, "*", work->pipeline->event, "lead_id, occurred_at, event_id", lead_ids);

	while (stream_peek(&rebuild.leads, &lead_id))
	{
		EventBatch	batch;

		CHECK_FOR_INTERRUPTS();
		rebuild.leads.at++;
		MemoryContextSwitchTo(rebuild.event_context);
		read_events(&rebuild, lead_id, &batch);
		MemoryContextSwitchTo(work->row_context);
		if (leadscore_lead_read(work, lead_id))
		{
			bool		created = false;

			if (!leadscore_state_lock(work, lead_id, LockTupleNoKeyExclusive))
			{
				leadscore_state_create(work, work->lead.slot);
				/* a replay tells its beginning itself */
				if (history)
					leadscore_work_forget(work);
				CommandCounterIncrement();
				created = leadscore_state_lock(work, lead_id, LockTupleNoKeyExclusive);
			}
			leadscore_state_read(work);
			if (history)
			{
				replay_lead(&rebuild, &batch);
				changed++;
			}
			else if (recount_lead(&rebuild, &batch, created))
				changed++;
		}
		MemoryContextReset(work->row_context);
		MemoryContextReset(rebuild.event_context);
		MemoryContextSwitchTo(context);
		leadscore_work_flush_if_large(work);
	}
	stream_close(&rebuild.leads);
	stream_close(&rebuild.events);
	stream_close(&rebuild.profiles);
	SPI_finish();
	MemoryContextSwitchTo(context);
	leadscore_work_end(work);
	MemoryContextSwitchTo(oldcontext);
	MemoryContextDelete(context);
	return changed;
}

/* rebuild(pipeline, lead_ids, history): see leadscore_rebuild_leads() */
Datum
leadscore_rebuild(PG_FUNCTION_ARGS)
{
	Datum		lead_ids = PG_ARGISNULL(1) ? (Datum) 0 : PG_GETARG_DATUM(1);
	int64		changed = 0;
	ListCell   *lc;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("pipeline and history must not be null"),
				 errhint("Call rebuild() of the pipeline.")));
	check_permission(PG_GETARG_OID(0), "lead_state", ACL_UPDATE);
	foreach(lc, leadscore_parts(PG_GETARG_OID(0), NOTICE))
		changed += leadscore_rebuild_leads(*(PipelinePart *) lfirst(lc), lead_ids,
										   PG_GETARG_BOOL(2));
	PG_RETURN_INT64(changed);
}

static void
report_other_row(bool event)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("argument is not a row of table \"%s\"", event ? "event" : "lead"),
			 errhint("Pass the row of the table itself, not a part of it.")));
}

/* The classifier of the rows that are handed to this call site */
static RowClassifier *
row_classifier(FunctionCallInfo fcinfo, HeapTupleHeader row, bool event)
{
	RowClassifier *c = fcinfo->flinfo->fn_extra;
	Oid			type = HeapTupleHeaderGetTypeId(row);
	int32		typmod = HeapTupleHeaderGetTypMod(row);
	MemoryContext oldcontext;
	TupleDesc	desc;
	Oid			relid;

	if (c != NULL && c->type == type && c->typmod == typmod)
		return c;
	relid = get_typ_typrelid(type);
	if (!OidIsValid(relid))
		report_other_row(event);
	check_permission(get_rel_namespace(relid), "signal", ACL_SELECT);
	oldcontext = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	c = palloc0(sizeof(RowClassifier));
	desc = lookup_rowtype_tupdesc(type, typmod);
	c->desc = CreateTupleDescCopy(desc);
	ReleaseTupleDesc(desc);
	c->type = type;
	c->typmod = typmod;
	c->pipeline = leadscore_pipeline_for_query(leadscore_part(relid));
	c->slot = MakeSingleTupleTableSlot(c->desc, &TTSOpsHeapTuple);
	if (event)
		leadscore_event_columns(c->desc, get_rel_name(relid), &c->event);
	else
		leadscore_lead_columns(c->desc, get_rel_name(relid), &c->lead);
	MemoryContextSwitchTo(oldcontext);
	fcinfo->flinfo->fn_extra = c;
	return c;
}

/* Classify a row and return its signals, with quantities for events. */
static Datum
row_signals(FunctionCallInfo fcinfo, bool event)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	HeapTupleHeader row;
	RowClassifier *c;
	HeapTupleData tuple = {0};
	CountPool	pool;
	int64		i;

	/* anyelement may be anything */
	if (!type_is_rowtype(get_fn_expr_argtype(fcinfo->flinfo, 0)))
		report_other_row(event);
	row = PG_GETARG_HEAPTUPLEHEADER(0);
	InitMaterializedSRF(fcinfo, event ? 0 : MAT_SRF_USE_EXPECTED_DESC);
	c = row_classifier(fcinfo, row, event);
	tuple.t_len = HeapTupleHeaderGetDatumLength(row);
	tuple.t_data = row;
	ExecStoreHeapTuple(&tuple, c->slot, false);
	leadscore_pool_init(&pool);
	if (event)
		leadscore_classify_event(c->pipeline,
								 leadscore_kind_signals(c->pipeline, leadscore_event_kind(&c->event, c->slot)),
								 &c->event, c->slot, &pool);
	else
		leadscore_classify_lead(c->pipeline, &c->lead, c->slot, &pool);
	for (i = 0; i < pool.n; i++)
	{
		Datum		values[2];
		bool		nulls[2] = {false, false};

		values[0] = Int16GetDatum((int16) pool.counts[i].signal);
		values[1] = Int64GetDatum(pool.counts[i].count);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	ExecClearTuple(c->slot);
	return (Datum) 0;
}

/* event_signals(event): the signals that a row of event counts for */
Datum
leadscore_event_signals(PG_FUNCTION_ARGS)
{
	return row_signals(fcinfo, true);
}

/* profile_signals(lead): the signals that a row of lead matches */
Datum
leadscore_profile_signals(PG_FUNCTION_ARGS)
{
	return row_signals(fcinfo, false);
}
