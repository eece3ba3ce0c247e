/*-------------------------------------------------------------------------
 *
 * state.h
 *		Rows of lead_state, and what is appended to the history tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_STATE_H
#define LEADSCORE_STATE_H

#include "access/genam.h"
#include "nodes/execnodes.h"

#include "classify.h"

/* A table whose rows are found by lead_id, and perhaps changed */
typedef struct LeadTable
{
	Relation	rel;
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

/* Rows that are still to be appended */
typedef struct HistoryRow
{
	int64		lead_id;
	StageChange change;
	const char *model;
} HistoryRow;

typedef struct ProfileRow
{
	int64		lead_id;
	const char *signal;
	int64		changed_at;
	int16		count;
} ProfileRow;

/* One statement's work on the leads of a pipeline */
typedef struct Work
{
	Pipeline   *pipeline;
	UserSwitch	saved;
	MemoryContext context;		/* of the work */
	MemoryContext row_context;	/* of one lead */
	LeadTable	state;
	LeadTable	lead;			/* opened when first needed */
	LeadColumns lead_columns;
	int64		now;
	HistoryRow *history;
	int			nhistory;
	int			history_capacity;
	ProfileRow *profiles;
	int			nprofiles;
	int			profiles_capacity;
	int64		nchanges;		/* stage changes in all */
	bool		repair;			/* an activity that cannot be read is empty */

	/* the lead that is worked on */
	int64		lead_id;
	ActivityList activity;
	LeadCourse	course;
	int64		next_review;	/* as stored, NEVER for NULL */
	const char *model_name;
} Work;

extern void leadscore_work_begin(Work *work, PipelinePart part);
extern void leadscore_work_end(Work *work);
extern void leadscore_work_flush(Work *work);
extern bool leadscore_state_find(Work *work, int64 lead_id);
extern bool leadscore_state_lock(Work *work, int64 lead_id, LockTupleMode mode);
extern bool leadscore_lead_read(Work *work, int64 lead_id);
extern bool leadscore_lead_lock(Work *work, int64 lead_id, LockTupleMode mode);
extern void leadscore_state_read(Work *work);
extern bool leadscore_state_write(Work *work, bool review_exact);
extern void leadscore_state_create(Work *work, TupleTableSlot *lead);
extern void leadscore_profile_step(Work *work, TupleTableSlot *lead, int64 at);
extern void leadscore_profile_begin(Work *work, TupleTableSlot *lead, int64 at);
extern void leadscore_work_forget(Work *work);
extern uint64 leadscore_delete_now(const char *sql);
extern void leadscore_lock_events(Work *work, Datum lead_ids);
extern uint64 leadscore_delete_leads(Oid table, Datum lead_ids);

#endif							/* LEADSCORE_STATE_H */
