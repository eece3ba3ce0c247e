/*-------------------------------------------------------------------------
 *
 * lead_table.h
 *		Tables with one row a lead.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_LEAD_TABLE_H
#define LEADSCORE_LEAD_TABLE_H

#include "access/genam.h"
#include "nodes/execnodes.h"

#include "pipeline.h"

/* A table whose rows are found by lead_id, and perhaps written */
typedef struct LeadTable
{
	Relation	rel;			/* NULL: not open */
	MemoryContext context;		/* as long as the table is open */
	Relation	index;			/* its primary key */
	IndexScanDesc scan;
	SnapshotData dirty;
	TupleTableSlot *slot;		/* the row that was found */
	TupleTableSlot *changed;	/* the row to be written */
	EState	   *estate;			/* with what follows made when first needed */
	ResultRelInfo *result;
	EPQState	epq;
} LeadTable;

extern void leadscore_table_open(LeadTable *table, Oid relid, LOCKMODE lockmode,
								 AclMode privileges);
extern void leadscore_table_close(LeadTable *table);
extern void leadscore_row_check_visible(LeadTable *table);
extern bool leadscore_row_find(LeadTable *table, int64 lead_id);
extern bool leadscore_row_read(LeadTable *table, int64 lead_id, Snapshot snapshot);
extern void leadscore_row_await(LeadTable *table, int64 lead_id);
extern bool leadscore_row_lock(LeadTable *table, int64 lead_id, LockTupleMode mode);
extern TupleTableSlot *leadscore_row_begin(LeadTable *table, bool found);
extern bool leadscore_row_update(LeadTable *table);
extern void leadscore_row_insert(LeadTable *table);

#endif							/* LEADSCORE_LEAD_TABLE_H */
