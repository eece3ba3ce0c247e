/*-------------------------------------------------------------------------
 *
 * history.c
 *		Appending rows to stage_log, segment_log and profile_change, and
 *		superseding rows of a corrected history.
 *
 * Rows of stage_log and segment_log are inserted once; only superseded_at is set, once.  A
 * correction supersedes all valid rows from the first difference on and
 * appends the rows that take their place.  So among valid rows the order of
 * seq is that of event time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "guard.h"
#include "history.h"
#include "stage.h"

/* Run a statement of the engine's on a table of a pipeline. */
static void
run_plan(Pipeline *pipeline, PipelinePlan number, const char *sql, int nargs, Oid *types,
		 Datum *values, Snapshot snapshot)
{
	if (pipeline->plans[number] == NULL)
		pipeline->plans[number] = leadscore_keep_plan(sql, nargs, types);
	if (snapshot != InvalidSnapshot)
		leadscore_engine_execute(pipeline->plans[number], values, snapshot, InvalidSnapshot, true);
	else
	{
		/* see the rows that the transaction has written so far */
		CommandCounterIncrement();
		leadscore_engine_execute(pipeline->plans[number], values, GetLatestSnapshot(),
								 IsolationUsesXactSnapshot() ? GetTransactionSnapshot() : InvalidSnapshot,
								 false);
	}
}

/* An empty buffer whose rows live in a context */
void
leadscore_history_init(HistoryBuffer *buffer, MemoryContext context)
{
	memset(buffer, 0, sizeof(HistoryBuffer));
	buffer->context = context;
}

/* Make room for one more item of a growing array. */
static void *
grow(void *items, int n, int *capacity, size_t size, MemoryContext context)
{
	if (n < *capacity)
		return items;
	*capacity = Max(16, *capacity * 2);
	if (items == NULL)
		return MemoryContextAlloc(context, *capacity * size);
	return repalloc_huge(items, *capacity * size);
}

/* The callback of a lifecycle: remember a stage change. */
void
leadscore_stage_changed(void *buffer, const StageChange *change)
{
	HistoryBuffer *history = buffer;
	StageRow   *row;

	history->rows = grow(history->rows, history->n, &history->capacity, sizeof(StageRow),
						 history->context);
	row = &history->rows[history->n++];
	row->lead_id = history->lead_id;
	row->change = *change;
	row->model = history->model;
}

/* The same for a segment; its name must stay. */
void
leadscore_segment_changed(void *buffer, const SegmentChange *change)
{
	HistoryBuffer *history = buffer;
	SegmentRow *row;

	history->segments = grow(history->segments, history->nsegments, &history->segments_capacity,
							 sizeof(SegmentRow), history->context);
	row = &history->segments[history->nsegments++];
	row->lead_id = history->lead_id;
	row->seq = ++history->segments_seq;
	row->recorded_at = history->recorded_at;
	row->change = *change;
}

/* Put all changes of another buffer, of one lead, behind those of a buffer. */
void
leadscore_history_append(HistoryBuffer *to, const HistoryBuffer *from)
{
	int			i;

	for (i = 0; i < from->n; i++)
	{
		to->lead_id = from->rows[i].lead_id;
		to->model = from->rows[i].model;
		leadscore_stage_changed(to, &from->rows[i].change);
	}
	for (i = 0; i < from->nsegments; i++)
	{
		to->lead_id = from->segments[i].lead_id;
		leadscore_segment_changed(to, &from->segments[i].change);
	}
}

/* Remember a change of a profile; the name of the signal must stay. */
void
leadscore_profiles_add(ProfileBuffer *buffer, int64 lead_id, const char *signal,
					   int64 changed_at, int count)
{
	ProfileRow *row;

	Assert(count == 1 || count == -1);
	buffer->rows = grow(buffer->rows, buffer->n, &buffer->capacity, sizeof(ProfileRow),
						buffer->context);
	row = &buffer->rows[buffer->n++];
	row->lead_id = lead_id;
	row->signal = signal;
	row->changed_at = changed_at;
	row->count = (int16) count;
}

/* An array of n items of a type; nulls may be NULL */
Datum
leadscore_build_array(const Datum *items, const bool *nulls, int n, Oid type)
{
	int16		typlen;
	bool		typbyval;
	char		typalign;
	int			lower = 1;

	get_typlenbyvalalign(type, &typlen, &typbyval, &typalign);
	return PointerGetDatum(construct_md_array(unconstify(Datum *, items), unconstify(bool *, nulls),
											  1, &n, &lower, type, typlen, typbyval, typalign));
}

/* Numbers of leads as an array for a query */
Datum
leadscore_lead_ids_array(const int64 *lead_ids, int64 n)
{
	Datum	   *items = palloc_extended(sizeof(Datum) * (n + 1), MCXT_ALLOC_HUGE);
	int64		i;

	for (i = 0; i < n; i++)
		items[i] = Int64GetDatum(lead_ids[i]);
	return leadscore_build_array(items, NULL, (int) n, INT8OID);
}

/*
 * Has no lead of a range of numbers a row in a log?  Then rows of leads that are
 * new are numbered without a look at each of them.  Serializable transactions do
 * not ask: leads of others may be in the range.  Needs an SPI connection.
 */
static bool
none_between(Pipeline *pipeline, PipelinePlan plan, Oid log, int64 first, int64 last)
{
	Oid			types[2] = {INT8OID, INT8OID};
	Datum		values[2] = {Int64GetDatum(first), Int64GetDatum(last)};

	if (IsolationIsSerializable())
		return false;
	run_plan(pipeline, plan,
			 psprintf("SELECT 1 FROM %s WHERE lead_id OPERATOR(pg_catalog.>=) $1"
					  " AND lead_id OPERATOR(pg_catalog.<=) $2 ORDER BY lead_id LIMIT 1", leadscore_table_name(log)),
			 2, types, values, InvalidSnapshot);
	return SPI_processed == 0;
}

#define STAGE_COLUMNS	11
#define STAGES_UNNESTED "SELECT pg_catalog.unnest($1) AS lead_id, pg_catalog.unnest($2) AS n, pg_catalog.unnest($3) AS cycle," \
	" pg_catalog.unnest($4) AS from_stage, pg_catalog.unnest($5) AS to_stage, pg_catalog.unnest($6) AS effective_at," \
	" pg_catalog.unnest($7) AS cause, pg_catalog.unnest($8) AS model, pg_catalog.unnest($9) AS score," \
	" pg_catalog.unnest($10) AS from_since, pg_catalog.unnest($11) AS is_lead"

/*
 * Append stage changes, numbered after the rows that each lead has.  The lock
 * on the state keeps other sessions from numbering the same lead.
 */
static void
append_stages(Pipeline *pipeline, EdgeList *edges, const StageRow *rows, int n)
{
	Oid			items[STAGE_COLUMNS] = {INT8OID, INT4OID, INT4OID, TEXTOID, TEXTOID,
	TIMESTAMPTZOID, TEXTOID, TEXTOID, NUMERICOID, TIMESTAMPTZOID, BOOLOID};
	Oid			types[STAGE_COLUMNS];
	Datum		values[STAGE_COLUMNS];

	/* column after column */
	Datum	   *cells = palloc(sizeof(Datum) * STAGE_COLUMNS * n);
	bool	   *nulls = palloc(sizeof(bool) * STAGE_COLUMNS * n);
	char	   *name = leadscore_table_name(pipeline->stage_log);
	bool		all_new = true;
	int64		first = PG_INT64_MAX;
	int64		last = PG_INT64_MIN;
	int			number = 0;
	int			i;
	int			j;

	for (i = 0; i < n; i++)
	{
		const StageRow *row = &rows[i];
		bool		born = row->change.from_stage == 0;
		Datum		cell[STAGE_COLUMNS] = {0};
		bool		null[STAGE_COLUMNS] = {0};

		Assert(row->change.to_stage != row->change.from_stage);
		number = i > 0 && rows[i - 1].lead_id == row->lead_id ? number + 1 : 1;
		all_new &= number > 1 || born;
		first = Min(first, row->lead_id);
		last = Max(last, row->lead_id);
		cell[0] = Int64GetDatum(row->lead_id);
		cell[1] = Int32GetDatum(number);
		cell[2] = Int32GetDatum(row->change.cycle);
		null[3] = born;
		if (!born)
			cell[3] = CStringGetTextDatum(lead_stage_label(row->change.from_stage));
		cell[4] = CStringGetTextDatum(lead_stage_label(row->change.to_stage));
		cell[5] = TimestampTzGetDatum(row->change.effective_at);
		cell[6] = CStringGetTextDatum(leadscore_cause_name(row->change.cause));
		null[7] = row->model == NULL;
		if (row->model)
			cell[7] = CStringGetTextDatum(row->model);
		cell[8] = leadscore_milli_numeric(row->change.score);
		null[9] = born;
		cell[9] = TimestampTzGetDatum(row->change.from_since);
		null[10] = row->model == NULL;
		cell[10] = BoolGetDatum(row->change.is_lead);
		for (j = 0; j < STAGE_COLUMNS; j++)
		{
			cells[j * n + i] = cell[j];
			nulls[j * n + i] = null[j];
		}
	}
	for (j = 0; j < STAGE_COLUMNS; j++)
	{
		types[j] = get_array_type(items[j]);
		values[j] = leadscore_build_array(&cells[j * n], &nulls[j * n], n, items[j]);
	}

	if (all_new && none_between(pipeline, PLAN_FIND_STAGES, pipeline->stage_log, first, last))
		run_plan(pipeline, PLAN_APPEND_FIRST_STAGES,
				 psprintf("INSERT INTO %s (lead_id, seq, cycle, from_stage, to_stage, effective_at,"
						  "  recorded_at, cause, model, score, from_since, is_lead)"
						  " SELECT u.lead_id, u.n, u.cycle, leadscore.lead_stage(u.from_stage), leadscore.lead_stage(u.to_stage),"
						  "  u.effective_at, pg_catalog.now(), u.cause, u.model, u.score, u.from_since, u.is_lead"
						  " FROM (" STAGES_UNNESTED ") u", name),
				 STAGE_COLUMNS, types, values, InvalidSnapshot);
	else

		/*
		 * The newest row is looked up once for each lead, not for each row:
		 * rows that the statement has inserted lie in the way of later
		 * lookups.  No row is recorded before another of its lead, whatever
		 * clocks say.
		 */
		run_plan(pipeline, PLAN_APPEND_STAGES,
				 psprintf("INSERT INTO %s (lead_id, seq, cycle, from_stage, to_stage, effective_at,"
						  "  recorded_at, cause, model, score, from_since, is_lead)"
						  " SELECT u.lead_id, COALESCE(pg_catalog.max(m.seq) OVER w, 0) OPERATOR(pg_catalog.+) u.n, u.cycle,"
						  "  leadscore.lead_stage(u.from_stage), leadscore.lead_stage(u.to_stage), u.effective_at,"
						  "  GREATEST(pg_catalog.now(), pg_catalog.max(m.recorded_at) OVER w), u.cause, u.model, u.score, u.from_since, u.is_lead"
						  " FROM (" STAGES_UNNESTED ") u"
						  " LEFT JOIN LATERAL (SELECT pg_catalog.max(h.seq) AS seq, pg_catalog.max(h.recorded_at) AS recorded_at"
						  "  FROM %s h WHERE u.n OPERATOR(pg_catalog.=) 1 AND h.lead_id OPERATOR(pg_catalog.=) u.lead_id) m ON true"
						  " WINDOW w AS (PARTITION BY u.lead_id ORDER BY u.n)",
						  name, name),
				 STAGE_COLUMNS, types, values, InvalidSnapshot);
	leadscore_edges_add_stages(edges, rows, n);
}

#define SEGMENT_COLUMNS	7

/*
 * Append segments that were entered and left.  They are numbered already, since
 * each state knows the newest number of its lead: most events that enter a
 * segment would else pay for looking it up.
 */
static void
append_segments(Pipeline *pipeline, EdgeList *edges, const SegmentRow *rows, int n)
{
	static const Oid items[SEGMENT_COLUMNS] = {INT8OID, INT4OID, TEXTOID, BOOLOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID};
	Oid			types[SEGMENT_COLUMNS];
	Datum	   *columns[SEGMENT_COLUMNS];
	Datum		values[SEGMENT_COLUMNS];
	int64		now = GetCurrentTransactionStartTimestamp();
	int			i;
	int			j;

	for (j = 0; j < SEGMENT_COLUMNS; j++)
		columns[j] = palloc_extended(sizeof(Datum) * n, MCXT_ALLOC_HUGE);
	for (i = 0; i < n; i++)
	{
		const SegmentRow *row = &rows[i];

		Assert(row->seq > 0);
		columns[0][i] = Int64GetDatum(row->lead_id);
		columns[1][i] = Int32GetDatum(row->seq);
		columns[2][i] = CStringGetTextDatum(row->change.segment);
		columns[3][i] = BoolGetDatum(row->change.entered);
		columns[4][i] = TimestampTzGetDatum(row->change.effective_at);
		/* no row is recorded before another of its lead, whatever clocks say */
		columns[5][i] = TimestampTzGetDatum(Max(now, row->recorded_at));
		columns[6][i] = CStringGetTextDatum(leadscore_segment_cause_name(row->change.cause));
	}
	for (j = 0; j < SEGMENT_COLUMNS; j++)
	{
		types[j] = get_array_type(items[j]);
		values[j] = leadscore_build_array(columns[j], NULL, n, items[j]);
	}
	run_plan(pipeline, PLAN_APPEND_SEGMENTS,
			 psprintf("INSERT INTO %s (lead_id, seq, segment, entered, effective_at, recorded_at, cause)"
					  " SELECT pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3),"
					  " pg_catalog.unnest($4), pg_catalog.unnest($5), pg_catalog.unnest($6), pg_catalog.unnest($7)",
					  leadscore_table_name(pipeline->segment_log)),
			 SEGMENT_COLUMNS, types, values, InvalidSnapshot);
	leadscore_edges_add_segments(edges, rows, n);
}

#define PROFILE_COLUMNS	5
#define PROFILES_UNNESTED "SELECT pg_catalog.unnest($1) AS lead_id, pg_catalog.unnest($2) AS n, pg_catalog.unnest($3) AS signal," \
	" pg_catalog.unnest($4) AS count, pg_catalog.unnest($5) AS changed_at"

/* Append changes of profiles, numbered likewise. */
static void
append_profiles(Pipeline *pipeline, const ProfileRow *rows, int n)
{
	Oid			types[PROFILE_COLUMNS] = {INT8ARRAYOID, INT4ARRAYOID, TEXTARRAYOID, INT2ARRAYOID, TIMESTAMPTZARRAYOID};
	Oid			items[PROFILE_COLUMNS] = {INT8OID, INT4OID, TEXTOID, INT2OID, TIMESTAMPTZOID};
	Datum	   *columns[PROFILE_COLUMNS];
	Datum		values[PROFILE_COLUMNS];
	int64		first = PG_INT64_MAX;
	int64		last = PG_INT64_MIN;
	char	   *name = leadscore_table_name(pipeline->profile_change);
	int			i;
	int			j;

	for (j = 0; j < PROFILE_COLUMNS; j++)
		columns[j] = palloc0(sizeof(Datum) * n);
	for (i = 0; i < n; i++)
	{
		const ProfileRow *row = &rows[i];
		int			number = 1;

		if (i > 0 && rows[i - 1].lead_id == row->lead_id)
			number = DatumGetInt32(columns[1][i - 1]) + 1;
		columns[0][i] = Int64GetDatum(row->lead_id);
		columns[1][i] = Int32GetDatum(number);
		columns[2][i] = CStringGetTextDatum(row->signal);
		columns[3][i] = Int16GetDatum(row->count);
		columns[4][i] = TimestampTzGetDatum(row->changed_at);
		first = Min(first, row->lead_id);
		last = Max(last, row->lead_id);
	}
	for (j = 0; j < PROFILE_COLUMNS; j++)
		values[j] = leadscore_build_array(columns[j], NULL, n, items[j]);
	if (none_between(pipeline, PLAN_FIND_PROFILES, pipeline->profile_change, first, last))
		run_plan(pipeline, PLAN_APPEND_FIRST_PROFILES,
				 psprintf("INSERT INTO %s (lead_id, seq, signal, count, changed_at) " PROFILES_UNNESTED, name),
				 PROFILE_COLUMNS, types, values, InvalidSnapshot);
	else
		run_plan(pipeline, PLAN_APPEND_PROFILES,
				 psprintf("INSERT INTO %s (lead_id, seq, signal, count, changed_at)"
						  " SELECT u.lead_id, COALESCE(pg_catalog.max(CASE WHEN u.n OPERATOR(pg_catalog.=) 1 THEN"
						  "   (SELECT pg_catalog.max(p.seq) FROM %s p WHERE p.lead_id OPERATOR(pg_catalog.=) u.lead_id)"
						  "  END) OVER (PARTITION BY u.lead_id ORDER BY u.n), 0) OPERATOR(pg_catalog.+) u.n,"
						  "  u.signal, u.count, u.changed_at"
						  " FROM (" PROFILES_UNNESTED ") u", name, name),
				 PROFILE_COLUMNS, types, values, InvalidSnapshot);
}

/* Append the rows of the buffers, either of which may be NULL. */
void
leadscore_history_flush(Pipeline *pipeline, HistoryBuffer *history, ProfileBuffer *profiles)
{
	bool		any = (history && history->n + history->nsegments > 0) || (profiles && profiles->n > 0);

	if (!any)
		return;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (profiles && profiles->n > 0)
		append_profiles(pipeline, profiles->rows, profiles->n);
	if (history && history->n > 0)
		append_stages(pipeline, history->edges, history->rows, history->n);
	if (history && history->nsegments > 0)
		append_segments(pipeline, history->edges, history->segments, history->nsegments);
	SPI_finish();
	if (history)
		history->n = history->nsegments = 0;
	if (profiles)
		profiles->n = 0;
}

/* The stage of a label that we wrote, 0 for NULL */
static uint8
stage_code(const char *label)
{
	uint8		code = 0;

	if (label != NULL && !lead_stage_parse(label, strlen(label), &code))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("table \"stage_log\" contains a value that is not a stage"),
				 errhint("Give its columns their types back; leadscore relies on them.")));
	return code;
}

/*
 * Read the valid rows of a lead, and the newest recorded_at of all its rows.
 * Needs an SPI connection; the rows live as long as that.
 */
static LoggedStage *
read_stages(Pipeline *pipeline, int64 lead_id, Snapshot snapshot, int *n, int64 *recorded_at)
{
	Oid			type = INT8OID;
	Datum		value = Int64GetDatum(lead_id);
	LoggedStage *stages;
	uint64		i;

	run_plan(pipeline, PLAN_READ_STAGES,
			 psprintf("SELECT seq, cycle, from_stage::pg_catalog.text, to_stage::pg_catalog.text,"
					  " effective_at, recorded_at, model, superseded_at IS NULL, is_lead"
					  " FROM %s WHERE lead_id OPERATOR(pg_catalog.=) $1 ORDER BY seq",
					  leadscore_table_name(pipeline->stage_log)),
			 1, &type, &value, snapshot);
	stages = palloc(sizeof(LoggedStage) * (SPI_processed + 1));
	*n = 0;
	*recorded_at = GetCurrentTransactionStartTimestamp();
	for (i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		LoggedStage *stage = &stages[*n];
		bool		isnull;

		stage->seq = DatumGetInt32(SPI_getbinval(tuple, desc, 1, &isnull));
		stage->cycle = DatumGetInt32(SPI_getbinval(tuple, desc, 2, &isnull));
		stage->from_stage = stage_code(SPI_getvalue(tuple, desc, 3));
		stage->to_stage = stage_code(SPI_getvalue(tuple, desc, 4));
		stage->effective_at = DatumGetTimestampTz(SPI_getbinval(tuple, desc, 5, &isnull));
		stage->recorded_at = DatumGetTimestampTz(SPI_getbinval(tuple, desc, 6, &isnull));
		stage->model = SPI_getvalue(tuple, desc, 7);
		stage->is_lead = DatumGetBool(SPI_getbinval(tuple, desc, 9, &isnull)) && !isnull;
		*recorded_at = Max(*recorded_at, stage->recorded_at);
		if (DatumGetBool(SPI_getbinval(tuple, desc, 8, &isnull)))
			(*n)++;
	}
	return stages;
}

/* The valid stages of a lead, in order; the rows live in the caller's context, without models. */
LoggedStage *
leadscore_history_stages(Pipeline *pipeline, int64 lead_id, int *n)
{
	MemoryContext context = CurrentMemoryContext;
	LoggedStage *stages;
	LoggedStage *result;
	int64		recorded_at;
	int			i;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	stages = read_stages(pipeline, lead_id, InvalidSnapshot, n, &recorded_at);
	result = MemoryContextAlloc(context, sizeof(LoggedStage) * (*n + 1));
	memcpy(result, stages, sizeof(LoggedStage) * *n);
	for (i = 0; i < *n; i++)
		result[i].model = NULL;
	SPI_finish();
	return result;
}

/* Is a row of the log equal to a replayed one? */
static bool
same_change(const LoggedStage *logged, const StageRow *row)
{
	return logged->cycle == row->change.cycle &&
		logged->from_stage == row->change.from_stage &&
		logged->to_stage == row->change.to_stage &&
		logged->effective_at == row->change.effective_at &&
		logged->is_lead == (row->model != NULL && row->change.is_lead) &&
		(logged->model && row->model ? strcmp(logged->model, row->model) == 0 :
		 logged->model == NULL && row->model == NULL);
}

/* One of the two histories at their first difference, in words */
static char *
describe(uint8 from, uint8 to, int64 at, int32 cycle, const char *lead)
{
	return psprintf("%s%s%s at %s, cycle %d%s", from ? lead_stage_label(from) : "",
					from ? " -> " : "", lead_stage_label(to), timestamptz_to_str(at), cycle, lead);
}

/*
 * Supersede the rows of a lead in a log from one on.  Rows that were recorded
 * at the very instant of the correction, as by this transaction, were never
 * valid for anybody: they are deleted.  Needs an SPI connection.
 */
static void
supersede(Pipeline *pipeline, Oid log, PipelinePlan update, PipelinePlan delete, int64 lead_id,
		  int32 seq, int64 corrected_at, bool fresh)
{
	Oid			types[3] = {INT8OID, INT4OID, TIMESTAMPTZOID};
	Datum		values[3];
	char	   *name = leadscore_table_name(log);

	values[0] = Int64GetDatum(lead_id);
	values[1] = Int32GetDatum(seq);
	values[2] = TimestampTzGetDatum(corrected_at);
	if (fresh)
		run_plan(pipeline, delete,
				 psprintf("DELETE FROM %s WHERE lead_id OPERATOR(pg_catalog.=) $1"
						  " AND seq OPERATOR(pg_catalog.>=) $2 AND superseded_at IS NULL"
						  " AND recorded_at OPERATOR(pg_catalog.>=) $3", name),
				 3, types, values, InvalidSnapshot);
	run_plan(pipeline, update,
			 psprintf("UPDATE %s SET superseded_at = $3 WHERE lead_id OPERATOR(pg_catalog.=) $1"
					  " AND seq OPERATOR(pg_catalog.>=) $2 AND superseded_at IS NULL", name),
			 3, types, values, InvalidSnapshot);
}

/*
 * Correct the stages of a lead; see leadscore_history_correct().  Needs an SPI
 * connection; differences are put into a context.
 */
static bool
correct_stages(Pipeline *pipeline, const HistoryBuffer *replayed, Snapshot snapshot,
			   HistoryDifference *difference, MemoryContext context)
{
	LoggedStage *logged;
	int64		corrected_at;
	int			n;
	int			first = 0;
	int			i;
	bool		fresh = false;

	Assert(replayed->n > 0 || replayed->kept_stages > 0);
	logged = read_stages(pipeline, replayed->lead_id, snapshot, &n, &corrected_at);
	/* what a purge has closed stays */
	for (; n > 0 && logged->seq <= replayed->kept_stages; n--)
		logged++;
	while (first < n && first < replayed->n && same_change(&logged[first], &replayed->rows[first]))
		first++;
	if (first == n && first == replayed->n)
		return false;
	if (difference)
	{
		const StageChange *change = &replayed->rows[first].change;
		const char *lead[2] = {"", ""};
		MemoryContext oldcontext = MemoryContextSwitchTo(context);

		if (first < n && first < replayed->n && logged[first].is_lead != change->is_lead)
		{
			lead[logged[first].is_lead ? 0 : 1] = ", a lead";
			lead[logged[first].is_lead ? 1 : 0] = ", no lead";
		}
		difference->table = "stage_history";
		difference->stored = first == n ? NULL :
			describe(logged[first].from_stage, logged[first].to_stage, logged[first].effective_at,
					 logged[first].cycle, lead[0]);
		difference->expected = first == replayed->n ? NULL :
			describe(change->from_stage, change->to_stage, change->effective_at, change->cycle, lead[1]);
		MemoryContextSwitchTo(oldcontext);
		return true;
	}
	for (i = first; i < n; i++)
		fresh |= logged[i].recorded_at >= corrected_at;
	if (first < n)
		supersede(pipeline, pipeline->stage_log, PLAN_SUPERSEDE_STAGES, PLAN_DELETE_STAGES,
				  replayed->lead_id, logged[first].seq, corrected_at, fresh);
	if (first < replayed->n)
		append_stages(pipeline, replayed->edges, replayed->rows + first, replayed->n - first);
	return true;
}

/* A valid row of segment_log */
typedef struct LoggedSegment
{
	int32		seq;
	char	   *segment;
	char	   *cause;
	bool		entered;
	int64		effective_at;
	int64		recorded_at;
} LoggedSegment;

/* Read the valid rows of a lead as read_stages() does. */
static LoggedSegment *
read_segments(Pipeline *pipeline, int64 lead_id, Snapshot snapshot, int *n, int32 *seq,
			  int64 *recorded_at)
{
	Oid			type = INT8OID;
	Datum		value = Int64GetDatum(lead_id);
	LoggedSegment *segments;
	uint64		i;

	run_plan(pipeline, PLAN_READ_SEGMENTS,
			 psprintf("SELECT seq, segment, entered, effective_at, recorded_at, superseded_at IS NULL, cause"
					  " FROM %s WHERE lead_id OPERATOR(pg_catalog.=) $1 ORDER BY seq",
					  leadscore_table_name(pipeline->segment_log)),
			 1, &type, &value, snapshot);
	segments = palloc(sizeof(LoggedSegment) * (SPI_processed + 1));
	*n = 0;
	*seq = 0;
	*recorded_at = GetCurrentTransactionStartTimestamp();
	for (i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		LoggedSegment *segment = &segments[*n];
		bool		isnull;

		segment->seq = DatumGetInt32(SPI_getbinval(tuple, desc, 1, &isnull));
		segment->segment = SPI_getvalue(tuple, desc, 2);
		segment->entered = DatumGetBool(SPI_getbinval(tuple, desc, 3, &isnull));
		segment->effective_at = DatumGetTimestampTz(SPI_getbinval(tuple, desc, 4, &isnull));
		segment->recorded_at = DatumGetTimestampTz(SPI_getbinval(tuple, desc, 5, &isnull));
		segment->cause = SPI_getvalue(tuple, desc, 7);
		*seq = segment->seq;
		*recorded_at = Max(*recorded_at, segment->recorded_at);
		if (DatumGetBool(SPI_getbinval(tuple, desc, 6, &isnull)))
			(*n)++;
	}
	return segments;
}

/* The number of the n-th valid row of a lead in a log after one; that one if n is 0 */
static int32
nth_row(Pipeline *pipeline, Oid log, PipelinePlan plan, int64 lead_id, int32 after, int n)
{
	Oid			types[3] = {INT8OID, INT4OID, INT8OID};
	Datum		values[3];
	bool		isnull;
	int32		seq;

	if (n == 0)
		return after;
	values[0] = Int64GetDatum(lead_id);
	values[1] = Int32GetDatum(after);
	values[2] = Int64GetDatum((int64) n - 1);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	run_plan(pipeline, plan,
			 psprintf("SELECT seq FROM %s WHERE lead_id OPERATOR(pg_catalog.=) $1"
					  " AND seq OPERATOR(pg_catalog.>) $2 AND superseded_at IS NULL ORDER BY seq OFFSET $3 LIMIT 1",
					  leadscore_table_name(log)),
			 3, types, values, InvalidSnapshot);
	if (SPI_processed != 1)
		elog(ERROR, "history of lead " INT64_FORMAT " is too short", lead_id);
	seq = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	return seq;
}

/* The same of stage_log */
int32
leadscore_stage_number(Pipeline *pipeline, int64 lead_id, int32 after, int n)
{
	return nth_row(pipeline, pipeline->stage_log, PLAN_NUMBER_STAGE, lead_id, after, n);
}

/* The same of segment_log */
int32
leadscore_segment_number(Pipeline *pipeline, int64 lead_id, int32 after, int n)
{
	return nth_row(pipeline, pipeline->segment_log, PLAN_NUMBER_SEGMENT, lead_id, after, n);
}

/* Is a row of the log equal to a replayed one? */
static bool
same_segment(const LoggedSegment *logged, const SegmentRow *row)
{
	return logged->segment && strcmp(logged->segment, row->change.segment) == 0 &&
		logged->entered == row->change.entered &&
		logged->effective_at == row->change.effective_at && logged->cause &&
		strcmp(logged->cause, leadscore_segment_cause_name(row->change.cause)) == 0;
}

/*
 * Correct the segments of a lead; see leadscore_history_correct().  The number
 * of the newest row is put into the buffer.
 */
static bool
correct_segments(Pipeline *pipeline, HistoryBuffer *replayed, Snapshot snapshot,
				 HistoryDifference *difference, MemoryContext context)
{
	SegmentRow *rows = replayed->segments;
	LoggedSegment *logged;
	int64		corrected_at;
	int			n;
	int			first = 0;
	int			i;
	bool		fresh = false;

	logged = read_segments(pipeline, replayed->lead_id, snapshot, &n, &replayed->segments_seq, &corrected_at);
	for (; n > 0 && logged->seq <= replayed->kept_segments; n--)
		logged++;
	while (first < n && first < replayed->nsegments && same_segment(&logged[first], &rows[first]))
		first++;
	if (first == n && first == replayed->nsegments)
		return false;
	if (difference)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(context);

		difference->table = "segment_history";
		difference->stored = first == n ? NULL :
			psprintf("%s %s at %s, cause %s", logged[first].entered ? "entered" : "left",
					 logged[first].segment, timestamptz_to_str(logged[first].effective_at), logged[first].cause);
		difference->expected = first == replayed->nsegments ? NULL :
			psprintf("%s %s at %s, cause %s", rows[first].change.entered ? "entered" : "left",
					 rows[first].change.segment, timestamptz_to_str(rows[first].change.effective_at),
					 leadscore_segment_cause_name(rows[first].change.cause));
		MemoryContextSwitchTo(oldcontext);
		return true;
	}
	for (i = first; i < n; i++)
		fresh |= logged[i].recorded_at >= corrected_at;
	if (first < n)
		supersede(pipeline, pipeline->segment_log, PLAN_SUPERSEDE_SEGMENTS, PLAN_DELETE_SEGMENTS,
				  replayed->lead_id, logged[first].seq, corrected_at, fresh);
	for (i = first; i < replayed->nsegments; i++)
	{
		rows[i].seq = ++replayed->segments_seq;
		rows[i].recorded_at = corrected_at;
	}
	if (first < replayed->nsegments)
		append_segments(pipeline, replayed->edges, rows + first, replayed->nsegments - first);
	return true;
}

/*
 * Make the valid history of a lead equal to a replayed one: supersede the rows
 * from the first difference on and append those of the replay.  False if
 * nothing differs.  With difference nothing is written: it is set to the stored
 * row, as the snapshot sees it, and to the right one.
 */
bool
leadscore_history_correct(Pipeline *pipeline, HistoryBuffer *replayed, Snapshot snapshot,
						  HistoryDifference *difference)
{
	MemoryContext context = CurrentMemoryContext;
	bool		differs;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	replayed->segments_seq = 0;
	differs = correct_stages(pipeline, replayed, snapshot, difference, context);
	/* the history of segments that were never defined is empty */
	if ((!differs || difference == NULL) && pipeline->nsegment_activations > 0)
		differs |= correct_segments(pipeline, replayed, snapshot, difference, context);
	SPI_finish();
	return differs;
}
