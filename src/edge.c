/*-------------------------------------------------------------------------
 *
 * edge.c
 *		Telling sequences what a statement has done to leads.
 *
 * A sequence waits for edges: a stage that begins, a segment that is entered or
 * left, an event that counts for a signal.  The pipeline knows which of them
 * any sequence waits for.  While a statement's history is appended these are
 * put aside; when all of its leads are written, one call of a function in SQL
 * begins and ends the runs of sequences.  Only live writes do that: no rebuild,
 * no merge, no activation of a model.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "edge.h"
#include "guard.h"
#include "pipeline_read.h"
#include "shard.h"
#include "stage.h"

#define EDGE_COLUMNS	5

/*
 * leadscore.enroll: do this session's writes begin runs of sequences?  They end
 * them in any case.  The function that begins them asks for it.
 */
static bool enroll = true;

/* Define the parameter; called when the library is loaded. */
void
leadscore_define_parameters(void)
{
	DefineCustomBoolVariable("leadscore.enroll",
							 "Lets what leads do begin sequences.",
							 "Turn it off in a session that loads events of the past.",
							 &enroll, true, PGC_USERSET, 0, NULL, NULL, NULL);
	leadscore_define_engine_writes();
	leadscore_define_part();
	MarkGUCPrefixReserved("leadscore");
}

/* Let a writer put edges aside, if sequences wait for any. */
void
leadscore_edges_watch(Writer *writer)
{
	if (writer->pipeline->nwatched < 0)
		leadscore_read_watched(writer->pipeline);
	if (writer->pipeline->nwatched == 0)
		return;
	writer->edges.context = writer->context;
	writer->edges.pipeline = writer->pipeline;
	writer->appended.edges = &writer->edges;
}

/* Does a sequence wait for this?  The name must stay. */
static bool
is_watched(const Pipeline *pipeline, EdgeKind kind, const char *name)
{
	int			i;

	for (i = 0; i < pipeline->nwatched; i++)
		if (pipeline->watched_edges[i].kind == kind &&
			strcmp(pipeline->watched_edges[i].name, name) == 0)
			return true;
	return false;
}

/* Put an edge aside. */
static void
add(EdgeList *list, int64 lead_id, EdgeKind kind, bool entered, const char *name, int64 at,
	const char *cause)
{
	Edge	   *edge;

	if (list->n == list->capacity)
	{
		list->capacity = Max(16, list->capacity * 2);
		list->edges = list->edges == NULL ?
			MemoryContextAlloc(list->context, list->capacity * sizeof(Edge)) :
			repalloc_huge(list->edges, list->capacity * sizeof(Edge));
	}
	edge = &list->edges[list->n++];
	edge->lead_id = lead_id;
	edge->kind = kind;
	edge->entered = entered;
	edge->name = name;
	edge->at = at;
	edge->cause = cause;
}

/* Put changes of stages aside that are being appended; list may be NULL. */
void
leadscore_edges_add_stages(EdgeList *list, const StageRow *rows, int n)
{
	int			i;

	for (i = 0; list && i < n; i++)
	{
		const StageChange *change = &rows[i].change;
		const char *name = lead_stage_label(change->to_stage);

		/* a lead rises into a stage, or falls back into it */
		if (is_watched(list->pipeline, EDGE_STAGE, name))
			add(list, rows[i].lead_id, EDGE_STAGE, change->from_stage < change->to_stage, name,
				change->effective_at, leadscore_cause_name(change->cause));
	}
}

/* The same for segments that are entered and left */
void
leadscore_edges_add_segments(EdgeList *list, const SegmentRow *rows, int n)
{
	int			i;

	for (i = 0; list && i < n; i++)
	{
		const SegmentChange *change = &rows[i].change;

		/* the name is that of the pipeline's definition, which stays */
		if (is_watched(list->pipeline, EDGE_SEGMENT, change->segment))
			add(list, rows[i].lead_id, EDGE_SEGMENT, change->entered, change->segment,
				change->effective_at, leadscore_segment_cause_name(change->cause));
	}
}

/* The history of a lead is corrected: what let it stay may be gone. */
void
leadscore_edges_add_correction(EdgeList *list, int64 lead_id)
{
	if (list && is_watched(list->pipeline, EDGE_CORRECTION, ""))
		add(list, lead_id, EDGE_CORRECTION, true, "", 0, "event");
}

/* Put the events of a statement aside that count for signals that are waited for. */
void
leadscore_edges_add_events(Writer *writer, const DeltaList *deltas)
{
	const Pipeline *pipeline = writer->pipeline;
	int64		i;
	int			j;
	int			k;

	if (writer->appended.edges == NULL)
		return;
	for (i = 0; i < deltas->n; i++)
	{
		const EventDelta *delta = &deltas->deltas[i];

		if (delta->removed)
			continue;
		for (j = 0; j < delta->ncounts; j++)
			for (k = 0; k < pipeline->nwatched; k++)
				if (pipeline->watched_edges[k].kind == EDGE_SIGNAL &&
					pipeline->watched_edges[k].signal == deltas->pool.counts[delta->first_count + j].signal)
					add(&writer->edges, delta->lead_id, EDGE_SIGNAL, true,
						pipeline->watched_edges[k].name, delta->at, "event");
	}
}

/*
 * Hand the edges over to the pipeline's function _edges_written().  The leads
 * are written and their states locked; the session acts as the owner.
 */
void
leadscore_edges_apply(Writer *writer)
{
	static const char *const kinds[][2] = {{"stage", "stage_back"},
	{"segment_entered", "segment_left"}, {"signal", "signal"}, {"correction", "correction"}};
	static const Oid items[EDGE_COLUMNS] = {INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TEXTOID};
	EdgeList   *list = &writer->edges;
	Oid			types[EDGE_COLUMNS];
	Datum	   *columns[EDGE_COLUMNS];
	Datum		values[EDGE_COLUMNS];
	int			nestlevel;
	int			i;

	if (writer->appended.edges == NULL)
		return;
	leadscore_writer_flush(writer, false);
	if (list->n == 0)
		return;
	for (i = 0; i < EDGE_COLUMNS; i++)
		columns[i] = palloc_extended(sizeof(Datum) * list->n, MCXT_ALLOC_HUGE);
	for (i = 0; i < list->n; i++)
	{
		const Edge *edge = &list->edges[i];
		const char *kind = edge->entered ? kinds[edge->kind][0] : kinds[edge->kind][1];

		columns[0][i] = Int64GetDatum(edge->lead_id);
		columns[1][i] = CStringGetTextDatum(kind);
		columns[2][i] = CStringGetTextDatum(edge->name);
		columns[3][i] = TimestampTzGetDatum(edge->at);
		columns[4][i] = CStringGetTextDatum(edge->cause);
	}
	for (i = 0; i < EDGE_COLUMNS; i++)
	{
		types[i] = get_array_type(items[i]);
		values[i] = leadscore_build_array(columns[i], NULL, list->n, items[i]);
	}
	list->n = 0;
	CommandCounterIncrement();
	nestlevel = leadscore_fix_path();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	leadscore_call_function(writer->pipeline->part, "_edges_written", EDGE_COLUMNS, types, values, NULL, false);
	SPI_finish();
	AtEOXact_GUC(true, nestlevel);
}
