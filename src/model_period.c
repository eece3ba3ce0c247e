/*-------------------------------------------------------------------------
 *
 * model_period.c
 *		Which model was in use when, and which segments beside it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "guard.h"
#include "lifecycle.h"
#include "pipeline_read.h"
#include "segment_compile.h"

/*
 * Which models were in use when, and which segments beside them.  Models are
 * compiled when they are needed.  What was activated before the first model
 * counts from then on.
 */
void
leadscore_read_periods(Pipeline *p)
{
	uint64		n = leadscore_read_rows(psprintf("SELECT activation_id, activated_at, model, NULL AS segment_id, NULL AS definition"
												 " FROM %s WHERE model IS NOT NULL AND activated_at IS NOT NULL"
												 " UNION ALL SELECT activation_id, activated_at, NULL, segment_id, definition"
												 " FROM %s WHERE segment_id IS NOT NULL AND activated_at IS NOT NULL"
												 " ORDER BY activation_id", leadscore_table_name(p->activation),
												 leadscore_table_name(p->segment_activation)));
	TupleDesc	desc = SPI_tuptable->tupdesc;
	SPITupleTable *rows = SPI_tuptable;
	MemoryContext oldcontext = MemoryContextSwitchTo(p->context);
	char	   *model = NULL;
	uint64		i;

	leadscore_column(desc, "activation_id", INT8OID, "model_activation");
	leadscore_column(desc, "activated_at", TIMESTAMPTZOID, "model_activation");
	leadscore_column(desc, "segment_id", INT4OID, "segment_activation");
	leadscore_column(desc, "definition", JSONBOID, "segment_activation");
	p->periods = palloc0(sizeof(ModelPeriod) * (n + 1));
	p->segment_activations = palloc0(sizeof(Segment) * (n + 1));
	for (i = 0; i < n; i++)
	{
		HeapTuple	tuple = rows->vals[i];
		ModelPeriod *period = &p->periods[p->nperiods];
		char	   *name = SPI_getvalue(tuple, desc, 3);
		bool		isnull;

		if (name)
			model = name;
		else
		{
			Segment    *segment = &p->segment_activations[p->nsegment_activations++];
			Datum		definition = leadscore_read_copy(tuple, desc, 5, &isnull);

			/* without conditions: it was retired */
			if (!isnull)
				leadscore_segment_compile((Jsonb *) DatumGetPointer(definition), p->grain, false, segment);
			segment->id = DatumGetInt32(SPI_getbinval(tuple, desc, 4, &isnull));
			if (model == NULL)
				continue;
		}
		period->configuration = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
		period->activated_at = nearest_instant(DatumGetTimestampTz(SPI_getbinval(tuple, desc, 2, &isnull)));
		if (p->nperiods > 0)
			period->activated_at = Max(period->activated_at, period[-1].activated_at);
		period->name = model;
		period->nsegment_activations = p->nsegment_activations;
		p->nperiods++;
	}
	MemoryContextSwitchTo(oldcontext);
}

/* A scorer of a compiled model, with the segments beside it, in the current context */
static Scorer *
make_scorer(const Pipeline *p, Datum compiled, const char *name, const SegmentSet *segments)
{
	const LeadModel *model = leadscore_model_read(compiled);
	LeadModel  *copy = palloc(VARSIZE(model));

	memcpy(copy, model, VARSIZE(model));
	if (copy->grain != p->grain)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("model \"%s\" was compiled for another grain than the pipeline's", name),
				 errhint("Compile it with the grain of table setting.")));
	return leadscore_scorer_create(copy, segments);
}

/* The segments that were active once so many activations were done */
static SegmentSet *
active_segments(const Pipeline *p, int nactivations)
{
	SegmentSet *active = palloc0(sizeof(SegmentSet));
	int			i;

	active->segments = palloc(sizeof(Segment) * MAX_SEGMENTS);
	for (i = 0; i < nactivations; i++)
	{
		const Segment *segment = &p->segment_activations[i];
		int			number = leadscore_segment_index(active, segment->id);

		if (segment->conditions == NULL)
		{
			if (number == NO_INDEX)
				continue;
			active->n--;
			memmove(&active->segments[number], &active->segments[number + 1],
					sizeof(Segment) * (active->n - number));
			continue;
		}
		if (number == NO_INDEX)
		{
			if (active->n == MAX_SEGMENTS)
				ereport(ERROR,
						(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						 errmsg("more than %d segments are active", MAX_SEGMENTS),
						 errhint("Retire segments that are not needed.")));
			number = active->n++;
		}
		active->segments[number] = *segment;
	}
	return active;
}

/* Make the model of a period ready for scoring, if it is not yet. */
void
leadscore_period_load(Pipeline *pipeline, int number)
{
	ModelPeriod *period = &pipeline->periods[number];
	MemoryContext oldcontext;
	Datum		name = CStringGetTextDatum(period->name);
	Oid			type = TEXTOID;
	char	   *sql;
	UserSwitch	saved;
	bool		isnull = true;
	int			i;

	if (period->scorer)
		return;
	for (i = 0; i < pipeline->nperiods; i++)
		if (pipeline->periods[i].scorer && pipeline->periods[i].nsegment_activations == period->nsegment_activations &&
			strcmp(pipeline->periods[i].name, period->name) == 0)
		{
			period->scorer = pipeline->periods[i].scorer;
			period->evaluation = pipeline->periods[i].evaluation;
			return;
		}
	sql = psprintf("SELECT compiled FROM %s WHERE model OPERATOR(pg_catalog.=) $1",
				   leadscore_table_name(pipeline->model));
	leadscore_run_as(pipeline->owner, false, &saved);
	PushActiveSnapshot(IsInParallelMode() ? GetActiveSnapshot() : GetLatestSnapshot());
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args(sql, 1, &type, &name, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read a model: %s", sql);
	if (SPI_processed == 1)
	{
		Datum		compiled;

		leadscore_column(SPI_tuptable->tupdesc, "compiled", leadscore_type("lead_model"), "model");
		compiled = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
		if (!isnull)
		{
			SegmentSet *segments = active_segments(pipeline, period->nsegment_activations);

			oldcontext = MemoryContextSwitchTo(pipeline->context);
			period->scorer = make_scorer(pipeline, compiled, period->name, segments);
			period->evaluation = leadscore_evaluation_create(period->scorer);
			MemoryContextSwitchTo(oldcontext);
		}
	}
	SPI_finish();
	PopActiveSnapshot();
	leadscore_run_back(&saved);
	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("model \"%s\" was active but is not compiled", period->name),
				 errhint("Restore the row of table model, or activate another model.")));
}

/* The period of the active model, ready for scoring; there must be one. */
ModelPeriod *
leadscore_period_now(Pipeline *pipeline)
{
	Assert(pipeline->nperiods > 0);
	leadscore_period_load(pipeline, pipeline->nperiods - 1);
	return &pipeline->periods[pipeline->nperiods - 1];
}
