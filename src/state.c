/*-------------------------------------------------------------------------
 *
 * state.c
 *		Rows of lead_state, and what is appended to the history tables.
 *
 * Rows are found, locked and written through the executor's own calls: one
 * descent of the primary key for a lead, and a HOT update as a rule.  The
 * newest committed version counts, because counts are added to it; above
 * READ COMMITTED a version that the transaction cannot see is a serialization
 * failure, as it is for any UPDATE.  Every statement takes its locks in the
 * order of lead_id.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "parser/parse_relation.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "stage.h"
#include "state.h"

/* Open a table for finding rows by lead_id, as the owner of the pipeline. */
static void
open_table(LeadTable *table, Oid relid, LOCKMODE lockmode, AclMode privileges)
{
	Relation	rel = table_open(relid, lockmode);
	const char *name = RelationGetRelationName(rel);
	AttrNumber	lead_id = leadscore_column(RelationGetDescr(rel), "lead_id", INT8OID, name);

	table->rel = rel;
	table->context = CurrentMemoryContext;
	if (pg_class_aclmask(relid, GetUserId(), privileges, ACLMASK_ALL) != privileges)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, name);
	list_free(RelationGetIndexList(rel));
	if (rel->rd_rel->relkind == RELKIND_RELATION && OidIsValid(rel->rd_pkindex))
		table->index = index_open(rel->rd_pkindex, lockmode);
	if (table->index == NULL || table->index->rd_index->indnkeyatts != 1 ||
		table->index->rd_index->indkey.values[0] != lead_id)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("table \"%s\" has no primary key (lead_id)", name),
				 errhint("Add it again, to a table that is not partitioned.")));
	InitDirtySnapshot(table->dirty);
	table->scan = leadscore_index_beginscan(rel, table->index, &table->dirty, 1);
	table->slot = table_slot_create(rel, NULL);
}

/*
 * Set up what inserts, new index entries and triggers need.  A HOT update of
 * a table without triggers does without.
 */
static void
need_executor(Work *work)
{
	LeadTable  *table = &work->state;
	MemoryContext oldcontext;
	RangeTblEntry *rte;

	if (table->estate)
		return;
	oldcontext = MemoryContextSwitchTo(work->context);
	table->estate = CreateExecutorState();
	rte = makeNode(RangeTblEntry);
	rte->rtekind = RTE_RELATION;
	rte->relid = RelationGetRelid(table->rel);
	rte->relkind = table->rel->rd_rel->relkind;
	rte->rellockmode = RowExclusiveLock;
	leadscore_init_range_table(table->estate, rte);
	table->result = makeNode(ResultRelInfo);
	InitResultRelInfo(table->result, table->rel, 1, NULL, 0);
	table->estate->es_output_cid = GetCurrentCommandId(true);
	table->estate->es_snapshot = GetActiveSnapshot();
	ExecOpenIndices(table->result, false);
	leadscore_epq_init(&table->epq, table->estate);
	AfterTriggerBeginQuery();
	MemoryContextSwitchTo(oldcontext);
}

static void
close_table(LeadTable *table)
{
	if (table->rel == NULL)
		return;
	index_endscan(table->scan);
	ExecDropSingleTupleTableSlot(table->slot);
	if (table->changed)
		ExecDropSingleTupleTableSlot(table->changed);
	if (table->estate)
	{
		EvalPlanQualEnd(&table->epq);
		ExecCloseIndices(table->result);
		ExecResetTupleTable(table->estate->es_tupleTable, false);
		FreeExecutorState(table->estate);
	}
	index_close(table->index, NoLock);
	table_close(table->rel, NoLock);
	table->rel = NULL;
}

/* Refuse a version that a transaction above READ COMMITTED cannot see. */
static void
check_visible(LeadTable *table)
{
	if (IsolationUsesXactSnapshot() &&
		!table_tuple_satisfies_snapshot(table->rel, table->slot, GetTransactionSnapshot()))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent update")));
}

/*
 * Find the newest version of a lead's row that is committed or our own, after
 * waiting for whoever is changing it.
 *
 * False may be wrong: this judges one version after the other, and a row that
 * is updated meanwhile can show us its old version when that is no longer
 * valid, without its new one, whose index entry we have passed.
 */
static bool
find_row(LeadTable *table, int64 lead_id)
{
	ScanKeyData key;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(lead_id));
	for (;;)
	{
		/* what the scan remembers has to live as long as the scan */
		MemoryContext oldcontext = MemoryContextSwitchTo(table->context);
		TransactionId xwait;
		bool		found;

		index_rescan(table->scan, &key, 1, NULL, 0);
		found = index_getnext_slot(table->scan, ForwardScanDirection, table->slot);
		MemoryContextSwitchTo(oldcontext);
		if (!found)
			return false;
		xwait = TransactionIdIsValid(table->dirty.xmin) ?
			table->dirty.xmin : table->dirty.xmax;
		if (!TransactionIdIsValid(xwait))
			return true;
		ExecClearTuple(table->slot);
		XactLockTableWait(xwait, NULL, NULL, XLTW_None);
	}
}

/* Read the newest committed version of a lead's row, without waiting. */
static bool
read_row(LeadTable *table, int64 lead_id)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	IndexScanDesc scan;
	ScanKeyData key;
	bool		found;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(lead_id));
	scan = leadscore_index_beginscan(table->rel, table->index, snapshot, 1);
	index_rescan(scan, &key, 1, NULL, 0);
	found = index_getnext_slot(scan, ForwardScanDirection, table->slot);
	if (found)
		ExecMaterializeSlot(table->slot);
	index_endscan(scan);
	UnregisterSnapshot(snapshot);
	return found;
}

/* Find a lead's row like find_row(), but for certain, and lock it. */
static bool
lock_row(LeadTable *table, int64 lead_id, LockTupleMode mode)
{
	while (find_row(table, lead_id) || read_row(table, lead_id))
	{
		TM_FailureData tmfd;
		TM_Result	result;

		ExecMaterializeSlot(table->slot);
		result = table_tuple_lock(table->rel, &table->slot->tts_tid, GetLatestSnapshot(),
								  table->slot, GetCurrentCommandId(false), mode,
								  LockWaitBlock, 0, &tmfd);
		if (result == TM_Ok)
			return true;
		if (result != TM_Updated && result != TM_Deleted)
			elog(ERROR, "unexpected result %d of locking a row of \"%s\"",
				 (int) result, RelationGetRelationName(table->rel));
		CHECK_FOR_INTERRUPTS();
	}
	return false;
}

/* Begin the work of a statement on a pipeline. */
void
leadscore_work_begin(Work *work, PipelinePart part)
{
	memset(work, 0, sizeof(Work));
	work->pipeline = leadscore_pipeline_for_write(part);
	work->context = CurrentMemoryContext;
	work->row_context = AllocSetContextCreate(CurrentMemoryContext, "leadscore lead",
											  ALLOCSET_DEFAULT_SIZES);
	work->now = GetCurrentTimestamp();
	work->model_name = work->pipeline->model_name;
	lead_activity_init(&work->activity, work->pipeline->grain, 64);
	leadscore_run_as(work->pipeline->owner, &work->saved);

	/*
	 * what this command has written so far is to be seen, and its own writes
	 * later
	 */
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	open_table(&work->state, work->pipeline->state, RowExclusiveLock,
			   ACL_SELECT | ACL_INSERT | ACL_UPDATE);
	work->state.changed = MakeSingleTupleTableSlot(RelationGetDescr(work->state.rel),
												   &TTSOpsVirtual);
}

void
leadscore_work_end(Work *work)
{
	close_table(&work->lead);
	leadscore_work_flush(work);
	if (work->state.estate)
		AfterTriggerEndQuery(work->state.estate);
	close_table(&work->state);
	PopActiveSnapshot();
	leadscore_run_back(&work->saved);
	MemoryContextDelete(work->row_context);
}

/*
 * Find the state of a lead without locking it: leadscore_state_write() tells
 * if somebody else was faster.  False may be wrong, as that of find_row().
 */
bool
leadscore_state_find(Work *work, int64 lead_id)
{
	work->lead_id = lead_id;
	if (!find_row(&work->state, lead_id))
		return false;
	check_visible(&work->state);
	return true;
}

/* Find and lock the state of a lead. */
bool
leadscore_state_lock(Work *work, int64 lead_id, LockTupleMode mode)
{
	work->lead_id = lead_id;
	if (!lock_row(&work->state, lead_id, mode))
		return false;
	check_visible(&work->state);
	return true;
}

static void
need_lead(Work *work)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(work->context);

	if (work->lead.rel == NULL)
	{
		open_table(&work->lead, work->pipeline->lead, RowShareLock,
				   ACL_SELECT | ACL_UPDATE);
		leadscore_lead_columns(RelationGetDescr(work->lead.rel),
							   RelationGetRelationName(work->lead.rel),
							   &work->lead_columns);
	}
	MemoryContextSwitchTo(oldcontext);
}

/*
 * Read the newest committed version of a lead, without waiting for whoever is
 * changing it: for who has locked the pipeline.  They bring the state up to
 * what they have written as soon as they may.
 */
bool
leadscore_lead_read(Work *work, int64 lead_id)
{
	need_lead(work);
	return read_row(&work->lead, lead_id);
}

/* Find and lock a lead itself; it is then in work->lead.slot. */
bool
leadscore_lead_lock(Work *work, int64 lead_id, LockTupleMode mode)
{
	need_lead(work);
	return lock_row(&work->lead, lead_id, mode);
}

/* The callback of a course: remember a stage change. */
static void
stage_changed(void *context, const StageChange *change)
{
	Work	   *work = context;
	HistoryRow *row;

	if (work->nhistory == work->history_capacity)
	{
		work->history_capacity = Max(16, work->history_capacity * 2);
		if (work->history == NULL)
			work->history = MemoryContextAlloc(work->context,
											   work->history_capacity * sizeof(HistoryRow));
		else
			work->history = repalloc(work->history,
									 work->history_capacity * sizeof(HistoryRow));
	}
	row = &work->history[work->nhistory++];
	row->lead_id = work->lead_id;
	row->change = *change;
	row->model = work->model_name;
	work->nchanges++;
}

/* Prepare the course of the lead that is worked on. */
static void
begin_course(Work *work)
{
	work->course.scorer = work->pipeline->scorer;
	work->course.evaluation = work->pipeline->evaluation;
	work->course.activity = &work->activity;
	work->course.changed = stage_changed;
	work->course.context = work;
}

/* Read the state that was found into the work. */
void
leadscore_state_read(Work *work)
{
	const StateColumns *c = &work->pipeline->columns;
	TupleTableSlot *slot = work->state.slot;
	LeadActivity *activity;
	bool		valid;
	bool		isnull;
	Datum		value;

	slot_getallattrs(slot);
	if (slot->tts_isnull[c->activity - 1] || slot->tts_isnull[c->stage - 1])
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("activity or stage of lead " INT64_FORMAT " is null", work->lead_id),
				 errhint("Delete the row of lead_state, and run rebuild() of the pipeline.")));
	activity = DatumGetLeadActivityPP(slot->tts_values[c->activity - 1]);
	valid = lead_activity_decode((const unsigned char *) VARDATA_ANY(activity),
								 VARSIZE_ANY_EXHDR(activity), &work->activity);
	if (work->repair && (!valid || work->activity.grain != work->pipeline->grain))
	{
		work->activity.nitems = 0;
		work->activity.grain = work->pipeline->grain;
	}
	else if (!valid)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("invalid activity of lead " INT64_FORMAT, work->lead_id),
				 errhint("Run rebuild() of the pipeline.")));
	else if (work->activity.grain != work->pipeline->grain)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("activity of lead " INT64_FORMAT " has another grain than the pipeline",
						work->lead_id),
				 errhint("Run rebuild() of the pipeline.")));
	begin_course(work);
	work->course.standing.stage = DatumGetLeadStage(slot->tts_values[c->stage - 1]);
	work->course.standing.held = DatumGetBool(slot->tts_values[c->held - 1]);
	work->course.cycle = DatumGetInt32(slot->tts_values[c->cycle - 1]);
	work->course.stage_since = DatumGetTimestampTz(slot->tts_values[c->stage_since - 1]);
	work->course.settled_at = DatumGetTimestampTz(slot->tts_values[c->settled_at - 1]);
	value = slot_getattr(slot, c->next_review_at, &isnull);
	work->next_review = isnull ? NEVER : DatumGetTimestampTz(value);
}

static void
set_column(TupleTableSlot *slot, AttrNumber attnum, Datum value, bool isnull)
{
	slot->tts_values[attnum - 1] = value;
	slot->tts_isnull[attnum - 1] = isnull;
}

/* Put what is in the work into the row to be written. */
static void
fill_row(Work *work, TupleTableSlot *row)
{
	const StateColumns *c = &work->pipeline->columns;
	const LeadCourse *course = &work->course;

	set_column(row, c->activity,
			   PointerGetDatum(leadscore_activity_make(&work->activity)), false);
	set_column(row, c->stage, LeadStageGetDatum(course->standing.stage), false);
	set_column(row, c->held, BoolGetDatum(course->standing.held), false);
	set_column(row, c->cycle, Int32GetDatum(course->cycle), false);
	set_column(row, c->stage_since, TimestampTzGetDatum(course->stage_since), false);
	set_column(row, c->settled_at, TimestampTzGetDatum(course->settled_at), false);
	set_column(row, c->next_review_at, TimestampTzGetDatum(work->next_review),
			   work->next_review == NEVER);
	set_column(row, c->updated_at, TimestampTzGetDatum(work->now), false);
	ExecStoreVirtualTuple(row);
}

/*
 * Update the row that was found.  False if somebody else changed it since.
 * What is the owner's own on the table (triggers, checks) is honoured by way
 * of the executor, which needs the row to be locked.
 */
static bool
update_row(Work *work, TupleTableSlot *row)
{
	LeadTable  *table = &work->state;
	TupleConstr *constr = RelationGetDescr(table->rel)->constr;
	TM_FailureData tmfd;
	LockTupleMode lockmode;
	TM_Result	result;
	leadscore_update_indexes indexes;

	if (table->rel->trigdesc != NULL ||
		(constr && (constr->num_check > 0 || constr->has_generated_stored)))
	{
		need_executor(work);
		result = table_tuple_lock(table->rel, &table->slot->tts_tid, GetLatestSnapshot(),
								  table->slot, GetCurrentCommandId(false),
								  LockTupleNoKeyExclusive, LockWaitBlock, 0, &tmfd);
		if (result == TM_Ok)
			ExecSimpleRelationUpdate(table->result, table->estate, &table->epq,
									 table->slot, row);
	}
	else
	{
		row->tts_tableOid = RelationGetRelid(table->rel);
		result = table_tuple_update(table->rel, &table->slot->tts_tid, row,
									GetCurrentCommandId(true), InvalidSnapshot,
									InvalidSnapshot, true, &tmfd, &lockmode, &indexes);
		if (result == TM_Ok && indexes)
		{
			need_executor(work);
			leadscore_insert_index_tuples(table->result, row, table->estate, indexes);
		}
	}
	if (table->estate)
		ResetPerTupleExprContext(table->estate);
	if (result == TM_Ok)
		return true;
	if (result != TM_Updated && result != TM_Deleted)
		elog(ERROR, "unexpected result %d of updating a row of \"%s\"",
			 (int) result, RelationGetRelationName(table->rel));
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent update")));
	return false;
}

/*
 * Write the state back; false if it was found without a lock and somebody
 * else changed it since, so that the work on the lead must begin again.
 *
 * The stored review may come too early but never too late; so unless it is to
 * be exact, an event that only puts it off leaves the indexed column alone and
 * the update stays HOT.
 */
bool
leadscore_state_write(Work *work, bool review_exact)
{
	LeadTable  *table = &work->state;
	TupleTableSlot *row = table->changed;
	int			natts = RelationGetDescr(table->rel)->natts;
	int64		review = leadscore_course_next_review(&work->course);

	if (review_exact || review < work->next_review)
		work->next_review = review;
	slot_getallattrs(table->slot);
	ExecClearTuple(row);
	memcpy(row->tts_values, table->slot->tts_values, sizeof(Datum) * natts);
	memcpy(row->tts_isnull, table->slot->tts_isnull, sizeof(bool) * natts);
	fill_row(work, row);
	return update_row(work, row);
}

/* Remember a change of a profile, to be appended. */
static void
log_profile(Work *work, const char *signal, int64 changed_at, int count)
{
	ProfileRow *row;

	if (work->nprofiles == work->profiles_capacity)
	{
		work->profiles_capacity = Max(16, work->profiles_capacity * 2);
		if (work->profiles == NULL)
			work->profiles = MemoryContextAlloc(work->context,
												work->profiles_capacity * sizeof(ProfileRow));
		else
			work->profiles = repalloc(work->profiles,
									  work->profiles_capacity * sizeof(ProfileRow));
	}
	row = &work->profiles[work->nprofiles++];
	row->lead_id = work->lead_id;
	row->signal = signal;
	row->changed_at = changed_at;
	row->count = (int16) count;
}

/*
 * The signals of a profile that began or ceased to match, as counts in a
 * pool; each is logged.
 */
static void
profile_difference(Work *work, TupleTableSlot *lead, int64 at, CountPool *difference)
{
	CountPool	now;
	int			i;
	int64		j;

	leadscore_pool_init(&now);
	leadscore_classify_lead(work->pipeline, &work->lead_columns, lead, &now);
	for (i = 0; i < work->activity.nitems; i++)
	{
		const ActivityItem *item = &work->activity.items[i];

		if (item->bucket != BUCKET_TIMELESS)
			continue;
		for (j = 0; j < now.n && now.counts[j].signal != item->signal; j++)
			;
		if (j < now.n)
			now.counts[j].count -= item->count;
		else
			leadscore_pool_add(difference, item->signal, -item->count);
	}
	for (j = 0; j < now.n; j++)
		if (now.counts[j].count != 0)
			leadscore_pool_add(difference, now.counts[j].signal, now.counts[j].count);
	for (j = 0; j < difference->n; j++)
	{
		const SignalRule *signal = leadscore_signal_rule(work->pipeline,
														 difference->counts[j].signal);

		if (signal)
			log_profile(work, signal->name, at,
						difference->counts[j].count > 0 ? 1 : -1);
	}
}

/* Count and log what the lead's profile matches, before its course begins. */
void
leadscore_profile_begin(Work *work, TupleTableSlot *lead, int64 at)
{
	CountPool	profile;
	int64		i;

	leadscore_pool_init(&profile);
	profile_difference(work, lead, at, &profile);
	for (i = 0; i < profile.n; i++)
		lead_activity_count(&work->activity, profile.counts[i].signal, BUCKET_TIMELESS,
							profile.counts[i].count);
}

/* Bring the profile signals of the lead up to its row, as of an instant. */
void
leadscore_profile_step(Work *work, TupleTableSlot *lead, int64 at)
{
	CountPool	difference;
	LeadStep	step = {0};

	leadscore_pool_init(&difference);
	profile_difference(work, lead, at, &difference);
	if (difference.n == 0)
		return;
	step.at = at;
	step.counts = difference.counts;
	step.ncounts = (int) difference.n;
	step.sign = 1;
	step.timeless = true;
	step.milestones = true;
	leadscore_course_step(&work->course, &step, work->now);
}

/*
 * Create the state of a lead from its row: its creation and its profile, and
 * the stage it begins with.
 */
void
leadscore_state_create(Work *work, TupleTableSlot *lead)
{
	const StateColumns *c = &work->pipeline->columns;
	LeadTable  *table = &work->state;
	TupleTableSlot *row = table->changed;
	int			natts = RelationGetDescr(table->rel)->natts;
	bool		isnull;
	int64		created_at;

	created_at = DatumGetTimestampTz(slot_getattr(lead, work->lead_columns.created_at, &isnull));
	if (isnull)
		created_at = work->now;
	work->activity.nitems = 0;
	work->activity.grain = work->pipeline->grain;
	begin_course(work);
	lead_activity_count(&work->activity, 0, bucket_of(created_at, work->pipeline->grain), 1);
	leadscore_profile_begin(work, lead, created_at);
	leadscore_course_begin(&work->course, created_at);
	work->next_review = leadscore_course_next_review(&work->course);

	ExecClearTuple(row);
	memset(row->tts_values, 0, sizeof(Datum) * natts);
	memset(row->tts_isnull, true, sizeof(bool) * natts);
	set_column(row, c->lead_id, Int64GetDatum(work->lead_id), false);
	fill_row(work, row);
	need_executor(work);
	ExecSimpleRelationInsert(table->result, table->estate, row);
	ResetPerTupleExprContext(table->estate);
}

static Datum
build_array(Datum *items, bool *nulls, int n, Oid type)
{
	int16		typlen;
	bool		typbyval;
	char		typalign;
	int			lower = 1;

	get_typlenbyvalalign(type, &typlen, &typbyval, &typalign);
	return PointerGetDatum(construct_md_array(items, nulls, 1, &n, &lower, type,
											  typlen, typbyval, typalign));
}

/*
 * Run an insert into a history table.  Its plan stays with the pipeline: to
 * plan it costs many times what it costs to run it for one lead.
 */
static void
run_insert(SPIPlanPtr *plan, const char *sql, int nargs, Oid *types, Datum *values)
{
	if (*plan == NULL)
	{
		SPIPlanPtr	prepared = SPI_prepare_cursor(sql, nargs, types, CURSOR_OPT_GENERIC_PLAN);

		if (prepared == NULL || SPI_keepplan(prepared) != 0)
			elog(ERROR, "could not prepare: %s", sql);
		*plan = prepared;
	}
	if (SPI_execute_plan(*plan, values, NULL, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not append history: %s", sql);
}

/*
 * Append the stage changes, numbered after those that each lead has.  The
 * state's lock keeps others from numbering the same lead.
 */
static void
flush_history(Work *work)
{
	Oid			types[10] = {INT8ARRAYOID, INT4ARRAYOID, INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
	TIMESTAMPTZARRAYOID, TEXTARRAYOID, TEXTARRAYOID, NUMERICARRAYOID, TIMESTAMPTZARRAYOID};
	Oid			items[10] = {INT8OID, INT4OID, INT4OID, TEXTOID, TEXTOID,
	TIMESTAMPTZOID, TEXTOID, TEXTOID, NUMERICOID, TIMESTAMPTZOID};
	Datum	   *columns[10];
	bool	   *nulls[10];
	Datum		values[10];
	char	   *name = leadscore_table_name(work->pipeline->history);
	char	   *sql;
	int			n = work->nhistory;
	int			i;
	int			j;

	for (j = 0; j < 10; j++)
	{
		columns[j] = palloc0(sizeof(Datum) * n);
		nulls[j] = palloc0(sizeof(bool) * n);
	}
	for (i = 0; i < n; i++)
	{
		const HistoryRow *row = &work->history[i];
		int			number = 1;

		/* all changes of a lead in this statement stand together */
		if (i > 0 && work->history[i - 1].lead_id == row->lead_id)
			number = DatumGetInt32(columns[1][i - 1]) + 1;
		columns[0][i] = Int64GetDatum(row->lead_id);
		columns[1][i] = Int32GetDatum(number);
		columns[2][i] = Int32GetDatum(row->change.cycle);
		nulls[3][i] = row->change.from_stage == 0;
		if (!nulls[3][i])
			columns[3][i] = CStringGetTextDatum(lead_stage_label(row->change.from_stage));
		columns[4][i] = CStringGetTextDatum(lead_stage_label(row->change.to_stage));
		columns[5][i] = TimestampTzGetDatum(row->change.effective_at);
		columns[6][i] = CStringGetTextDatum(leadscore_cause_name(row->change.cause));
		nulls[7][i] = row->model == NULL;
		if (!nulls[7][i])
			columns[7][i] = CStringGetTextDatum(row->model);
		columns[8][i] = leadscore_milli_numeric(row->change.score);
		nulls[9][i] = row->change.from_stage == 0;
		columns[9][i] = TimestampTzGetDatum(row->change.from_since);
	}
	for (j = 0; j < 10; j++)
		values[j] = build_array(columns[j], nulls[j], n, items[j]);
	sql = psprintf("INSERT INTO %s (lead_id, seq, cycle, from_stage, to_stage, effective_at, cause, model, score, from_since)"
				   " SELECT u.lead_id, COALESCE((SELECT pg_catalog.max(h.seq) FROM %s h"
				   "  WHERE h.lead_id OPERATOR(pg_catalog.=) u.lead_id), 0) OPERATOR(pg_catalog.+) u.n,"
				   "  u.cycle, leadscore.lead_stage(u.from_stage), leadscore.lead_stage(u.to_stage),"
				   "  u.effective_at, u.cause, u.model, u.score, u.from_since"
				   " FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3),"
				   "  pg_catalog.unnest($4), pg_catalog.unnest($5), pg_catalog.unnest($6), pg_catalog.unnest($7),"
				   "  pg_catalog.unnest($8), pg_catalog.unnest($9), pg_catalog.unnest($10))"
				   " AS u(lead_id, n, cycle, from_stage, to_stage, effective_at, cause, model, score, from_since)",
				   name, name);
	run_insert(&work->pipeline->append_history, sql, 10, types, values);
}

/* Append the changes of profiles, numbered likewise. */
static void
flush_profiles(Work *work)
{
	Oid			types[5] = {INT8ARRAYOID, INT4ARRAYOID, TEXTARRAYOID, INT2ARRAYOID, TIMESTAMPTZARRAYOID};
	Oid			items[5] = {INT8OID, INT4OID, TEXTOID, INT2OID, TIMESTAMPTZOID};
	Datum	   *columns[5];
	Datum		values[5];
	char	   *name = leadscore_table_name(work->pipeline->profile_change);
	char	   *sql;
	int			n = work->nprofiles;
	int			i;
	int			j;

	for (j = 0; j < 5; j++)
		columns[j] = palloc0(sizeof(Datum) * n);
	for (i = 0; i < n; i++)
	{
		const ProfileRow *row = &work->profiles[i];
		int			number = 1;

		if (i > 0 && work->profiles[i - 1].lead_id == row->lead_id)
			number = DatumGetInt32(columns[1][i - 1]) + 1;
		columns[0][i] = Int64GetDatum(row->lead_id);
		columns[1][i] = Int32GetDatum(number);
		columns[2][i] = CStringGetTextDatum(row->signal);
		columns[3][i] = Int16GetDatum(row->count);
		columns[4][i] = TimestampTzGetDatum(row->changed_at);
	}
	for (j = 0; j < 5; j++)
		values[j] = build_array(columns[j], NULL, n, items[j]);
	sql = psprintf("INSERT INTO %s (lead_id, seq, signal, count, changed_at)"
				   " SELECT u.lead_id, COALESCE((SELECT pg_catalog.max(p.seq) FROM %s p"
				   "  WHERE p.lead_id OPERATOR(pg_catalog.=) u.lead_id), 0) OPERATOR(pg_catalog.+) u.n,"
				   "  u.signal, u.count, u.changed_at"
				   " FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3),"
				   "  pg_catalog.unnest($4), pg_catalog.unnest($5))"
				   " AS u(lead_id, n, signal, count, changed_at)", name, name);
	run_insert(&work->pipeline->append_profiles, sql, 5, types, values);
}

/* Append what has gathered. */
void
leadscore_work_flush(Work *work)
{
	if (work->nhistory == 0 && work->nprofiles == 0)
		return;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (work->nprofiles > 0)
		flush_profiles(work);
	if (work->nhistory > 0)
		flush_history(work);
	SPI_finish();
	work->nhistory = 0;
	work->nprofiles = 0;
}

/* Forget what has gathered for the lead at hand. */
void
leadscore_work_forget(Work *work)
{
	while (work->nhistory > 0 && work->history[work->nhistory - 1].lead_id == work->lead_id)
	{
		work->nhistory--;
		work->nchanges--;
	}
	while (work->nprofiles > 0 && work->profiles[work->nprofiles - 1].lead_id == work->lead_id)
		work->nprofiles--;
}

/*
 * Run a DELETE on all that is committed, whatever the transaction sees: a
 * TRUNCATE, and a rebuild that keeps writers out, leave nothing behind.
 */
uint64
leadscore_delete_now(const char *sql)
{
	SPIPlanPtr	plan = SPI_prepare(sql, 0, NULL);

	if (plan == NULL)
		elog(ERROR, "could not prepare: %s", sql);
	CommandCounterIncrement();
	if (SPI_execute_snapshot(plan, NULL, NULL, GetLatestSnapshot(), InvalidSnapshot,
							 false, true, 0) != SPI_OK_DELETE)
		elog(ERROR, "could not delete: %s", sql);
	return SPI_processed;
}

/* Lock the events of some leads, waiting for whoever changes them. */
void
leadscore_lock_events(Work *work, Datum lead_ids)
{
	Oid			type = INT8ARRAYOID;
	char	   *sql = psprintf("SELECT pg_catalog.count(*) FROM (SELECT FROM %s"
							   " WHERE lead_id OPERATOR(pg_catalog.=) ANY ($1) FOR UPDATE) e",
							   leadscore_table_name(work->pipeline->event));

	if (SPI_execute_with_args(sql, 1, &type, &lead_ids, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not lock: %s", sql);
}

/*
 * Delete the rows of some leads from a table of the pipeline.  Above READ
 * COMMITTED, rows that the transaction cannot see make it fail, so that none
 * is left behind.
 */
uint64
leadscore_delete_leads(Oid table, Datum lead_ids)
{
	Oid			type = INT8ARRAYOID;
	char	   *sql = psprintf("DELETE FROM %s WHERE lead_id OPERATOR(pg_catalog.=) ANY ($1)",
							   leadscore_table_name(table));
	SPIPlanPtr	plan = SPI_prepare(sql, 1, &type);
	bool		fixed = IsolationUsesXactSnapshot();

	if (plan == NULL)
		elog(ERROR, "could not prepare: %s", sql);
	/* what the commands before this one did is to be seen */
	CommandCounterIncrement();
	if (SPI_execute_snapshot(plan, &lead_ids, NULL,
							 fixed ? GetLatestSnapshot() : InvalidSnapshot,
							 fixed ? GetTransactionSnapshot() : InvalidSnapshot,
							 false, true, 0) != SPI_OK_DELETE)
		elog(ERROR, "could not delete: %s", sql);
	return SPI_processed;
}
