/*-------------------------------------------------------------------------
 *
 * replay.h
 *		Running the lifecycle of a lead: steps and activations of models in
 *		event-time order, new ones or those of the log.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_REPLAY_H
#define LEADSCORE_REPLAY_H

#include "apply.h"
#include "row_stream.h"

/* Reads the log of leads one after the other */
typedef struct LogReader
{
	Writer	   *writer;
	MemoryContext context;		/* of one lead's log */
	MemoryContext scratch;		/* of classifying one event */
	bool		all;			/* reads the logs of a range of leads, in
								 * order */
	bool		loaded;			/* the lead at hand was loaded: nothing is
								 * written about it yet */
	struct RowStream *events;	/* open if so */
	struct RowStream *profiles;
} LogReader;

/* Where a replay is looked at on its way, for a purge */
typedef struct ReplayCut
{
	int64		at;				/* the line: where a bucket begins */
	bool		reached;		/* false: the lead is younger */
	LeadRecord	record;			/* as of the line; without its activity */
	ActivityList baseline;		/* counts of all events before it */
	int			nstages;		/* rows of the history up to it */
	int			nsegments;
} ReplayCut;

extern void leadscore_period_begin(Writer *writer, LeadRecord *record);
extern void leadscore_run_begin(Writer *writer, LeadRecord *record, int64 birth);
extern void leadscore_run(Writer *writer, LeadRecord *record, const LeadStep *steps, int64 n);
extern bool leadscore_configuration_is_late(const Writer *writer, const LeadRecord *record);

extern void leadscore_log_open(LogReader *reader, Writer *writer, const LeadRange *range);
extern void leadscore_log_close(LogReader *reader);
extern void leadscore_replay(LogReader *reader, LeadRecord *record, HistoryBuffer *history,
							 ReplayCut *cut);
extern void leadscore_replay_one(Writer *writer, LeadRecord *record, HistoryBuffer *history,
								 ReplayCut *cut);
extern void leadscore_replay_deltas(Writer *writer, LeadRecord *record, const DeltaList *deltas,
									int64 begin, int64 end);

#endif							/* LEADSCORE_REPLAY_H */
