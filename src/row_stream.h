/*-------------------------------------------------------------------------
 *
 * row_stream.h
 *		Rows of a table in the order of lead_id, read through a cursor.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_ROW_STREAM_H
#define LEADSCORE_ROW_STREAM_H

#include "utils/snapshot.h"

#include "pipeline.h"

typedef struct RowStream RowStream;

/* Leads from one to another, both included */
typedef struct LeadRange
{
	int64		first;
	int64		last;
} LeadRange;

extern RowStream *leadscore_stream_open(const char *columns, Oid relid, const char *order, bool scattered,
										const LeadRange *range, Snapshot snapshot);
extern RowStream *leadscore_stream_open_lead(Pipeline *pipeline, PipelinePlan number,
											 const char *columns, Oid relid, int64 lead_id,
											 Snapshot snapshot);
extern TupleDesc leadscore_stream_desc(const RowStream *stream);
extern bool leadscore_stream_peek(RowStream *stream, int64 *lead_id);
extern bool leadscore_stream_has(RowStream *stream, int64 lead_id);
extern HeapTuple leadscore_stream_take(RowStream *stream, int64 lead_id);
extern void leadscore_stream_close(RowStream *stream);

#endif							/* LEADSCORE_ROW_STREAM_H */
