/*-------------------------------------------------------------------------
 *
 * lookup.h
 *		One row of a table by a unique index, without an executor.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_LOOKUP_H
#define LEADSCORE_LOOKUP_H

#include "access/genam.h"
#include "executor/tuptable.h"
#include "utils/snapshot.h"

#include "pipeline.h"

/* An open table and the index by which its rows are found */
typedef struct Lookup
{
	Relation	rel;
	Relation	index;
	TupleTableSlot *slot;		/* the row that was found */
} Lookup;

extern bool leadscore_same_view(const SnapshotData *a, const SnapshotData *b);
extern Oid	leadscore_unique_index(Relation rel, int ncolumns, const char *const *columns,
								   const char *not_null);
extern void leadscore_lookup_open(Lookup *lookup, Oid relid, Oid index);
extern void leadscore_lookup_close(Lookup *lookup);
extern bool leadscore_lookup_number(Lookup *lookup, int64 number, Snapshot snapshot);
extern bool leadscore_lookup_text(Lookup *lookup, Datum value, Snapshot snapshot);
extern int64 leadscore_merged_into(PipelinePart part, int64 lead_id);

#endif							/* LEADSCORE_LOOKUP_H */
