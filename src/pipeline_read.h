/*-------------------------------------------------------------------------
 *
 * pipeline_read.h
 *		Reading a pipeline: what its parts share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_PIPELINE_READ_H
#define LEADSCORE_PIPELINE_READ_H

#include "access/htup_details.h"
#include "utils/snapshot.h"

#include "pipeline.h"

/* pipeline_read.c */
extern Pipeline *leadscore_read_pipeline(PipelinePart part, Snapshot snapshot);
extern void leadscore_read_watched(Pipeline *p);
extern uint64 leadscore_read_rows(const char *sql);
extern uint64 leadscore_read_table(const char *format, Oid relid);
extern Datum leadscore_read_copy(HeapTuple tuple, TupleDesc desc, int n, bool *isnull);

/* signal_read.c */
extern void leadscore_read_signals(Pipeline *p);

/* model_period.c */
extern void leadscore_read_periods(Pipeline *p);

#endif							/* LEADSCORE_PIPELINE_READ_H */
