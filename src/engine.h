/*-------------------------------------------------------------------------
 *
 * engine.h
 *		Applying events to leads: the triggers' work, and that of maintenance.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_ENGINE_H
#define LEADSCORE_ENGINE_H

#include "state.h"

/* One event, classified */
typedef struct EventRecord
{
	int64		lead_id;
	int64		occurred_at;
	int64		event_id;
	int32		first_count;	/* in the pool */
	uint16		ncounts;
	uint8		set_stage;		/* of a stage_set event, else 0 */
	bool		removed;
} EventRecord;

/* Events of one statement */
typedef struct EventBatch
{
	MemoryContext scratch;		/* for classifying one */
	EventRecord *records;
	int64		n;
	int64		capacity;
	CountPool	pool;
	const KindSignals *last_kind;	/* plain kinds share their counts */
	int32		last_first;
} EventBatch;

/* batch.c */
extern void leadscore_batch_init(EventBatch *batch, MemoryContext scratch);
extern void leadscore_batch_add(EventBatch *batch, const Pipeline *pipeline,
								const EventColumns *columns, TupleTableSlot *slot,
								bool removed);
extern void leadscore_batch_sort(EventBatch *batch);
extern void leadscore_batch_apply(EventBatch *batch, Work *work, const char *table);
extern void leadscore_batch_step(const EventBatch *batch, const EventRecord *record,
								 LeadStep *step);
extern void leadscore_lead_refresh(Work *work, int64 lead_id);
extern void leadscore_work_flush_if_large(Work *work);

/* app.c */
extern void leadscore_app_tell(const EventBatch *batch, Oid event, const StageChange *first);

/* source_id.c */
extern void leadscore_check_source_ids(const EventBatch *batch, Relation event,
									   Tuplestorestate *rows, Pipeline *pipeline);

/* maintain.c */
extern int64 leadscore_rebuild_leads(PipelinePart part, Datum lead_ids, bool history);

#endif							/* LEADSCORE_ENGINE_H */
