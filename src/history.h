/*-------------------------------------------------------------------------
 *
 * history.h
 *		Rows to be appended to stage_log, segment_log and profile_change.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_HISTORY_H
#define LEADSCORE_HISTORY_H

#include "utils/snapshot.h"

#include "lifecycle.h"
#include "pipeline.h"

/* A stage change that is still to be appended */
typedef struct StageRow
{
	int64		lead_id;
	StageChange change;
	const char *model;			/* NULL: none was active */
} StageRow;

/* The same for a segment that was entered or left */
typedef struct SegmentRow
{
	int64		lead_id;
	int32		seq;			/* 0: not known yet */
	int64		recorded_at;
	SegmentChange change;
} SegmentRow;

/* What has happened to a lead that a sequence waits for */
typedef struct Edge
{
	int64		lead_id;
	EdgeKind	kind;
	bool		entered;		/* of a segment; else true */
	const char *name;
	int64		at;
	const char *cause;
} Edge;

/* The edges of a statement */
typedef struct EdgeList
{
	MemoryContext context;
	const Pipeline *pipeline;
	Edge	   *edges;
	int			n;
	int			capacity;
} EdgeList;

/* Changes of stages and segments, in order; all of one lead stand together */
typedef struct HistoryBuffer
{
	MemoryContext context;
	StageRow   *rows;
	int			n;
	int			capacity;
	SegmentRow *segments;
	int			nsegments;
	int			segments_capacity;
	int32		segments_seq;	/* number of the lead's newest row of
								 * segment_log */
	int64		recorded_at;	/* of its rows to come, or later */
	int64		lead_id;		/* of the rows to come */
	const char *model;
	int32		kept_stages;	/* numbers of the last rows that a purge has
								 * closed; 0: none */
	int32		kept_segments;
	EdgeList   *edges;			/* where to put what sequences wait for, or
								 * NULL */
} HistoryBuffer;

/* A change of a profile that is still to be appended */
typedef struct ProfileRow
{
	int64		lead_id;
	const char *signal;
	int64		changed_at;
	int16		count;			/* 1: began to match, -1: ceased to */
} ProfileRow;

typedef struct ProfileBuffer
{
	MemoryContext context;
	ProfileRow *rows;
	int			n;
	int			capacity;
} ProfileBuffer;

/* A valid row of stage_log */
typedef struct LoggedStage
{
	int32		seq;
	int32		cycle;
	uint8		from_stage;		/* 0: none */
	uint8		to_stage;
	int64		effective_at;
	int64		recorded_at;
	char	   *model;			/* NULL: none */
	bool		is_lead;		/* false for NULL: without a model */
} LoggedStage;

/* Where a stored history differs from the right one */
typedef struct HistoryDifference
{
	const char *table;
	char	   *stored;			/* NULL: no row */
	char	   *expected;
} HistoryDifference;

extern void leadscore_history_init(HistoryBuffer *buffer, MemoryContext context);
extern void leadscore_stage_changed(void *buffer, const StageChange *change);
extern void leadscore_history_append(HistoryBuffer *to, const HistoryBuffer *from);
extern void leadscore_segment_changed(void *buffer, const SegmentChange *change);
extern void leadscore_profiles_add(ProfileBuffer *buffer, int64 lead_id, const char *signal,
								   int64 changed_at, int count);
extern Datum leadscore_build_array(const Datum *items, const bool *nulls, int n, Oid type);
extern Datum leadscore_lead_ids_array(const int64 *lead_ids, int64 n);
extern int32 leadscore_stage_number(Pipeline *pipeline, int64 lead_id, int32 after, int n);
extern int32 leadscore_segment_number(Pipeline *pipeline, int64 lead_id, int32 after, int n);
extern void leadscore_history_flush(Pipeline *pipeline, HistoryBuffer *history,
									ProfileBuffer *profiles);
extern LoggedStage *leadscore_history_stages(Pipeline *pipeline, int64 lead_id, int *n);
extern bool leadscore_history_correct(Pipeline *pipeline, HistoryBuffer *replayed,
									  Snapshot snapshot, HistoryDifference *difference);

/* edge.c */
extern void leadscore_edges_add_stages(EdgeList *list, const StageRow *rows, int n);
extern void leadscore_edges_add_segments(EdgeList *list, const SegmentRow *rows, int n);
extern void leadscore_edges_add_correction(EdgeList *list, int64 lead_id);

#endif							/* LEADSCORE_HISTORY_H */
