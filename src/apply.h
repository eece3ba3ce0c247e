/*-------------------------------------------------------------------------
 *
 * apply.h
 *		Applying the changes of a statement to events, lead by lead.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_APPLY_H
#define LEADSCORE_APPLY_H

#include "lead_state.h"

/* One event that was added or removed, classified */
typedef struct EventDelta
{
	int64		lead_id;
	int64		at;				/* a nearest_instant() */
	int64		event_id;
	int32		first_count;	/* in the pool */
	uint16		ncounts;
	uint8		set_stage;		/* of a stage_set event, else 0 */
	bool		removed;
} EventDelta;

/* Events of one statement, or of one lead's log */
typedef struct DeltaList
{
	MemoryContext scratch;		/* for classifying one */
	EventDelta *deltas;
	int64		n;
	int64		capacity;
	CountPool	pool;
	const KindSignals *last_kind;	/* plain kinds share their counts */
	int32		last_first;
} DeltaList;

extern void leadscore_deltas_init(DeltaList *list, MemoryContext scratch);
extern void leadscore_deltas_add(DeltaList *list, const Pipeline *pipeline,
								 const EventColumns *columns, TupleTableSlot *slot,
								 bool removed);
extern void leadscore_deltas_sort(DeltaList *list);
extern int64 leadscore_deltas_drop_unchanged(DeltaList *list, int64 begin, int64 end);
extern LeadStep leadscore_delta_step(const DeltaList *list, const EventDelta *delta);
extern void leadscore_deltas_prepare(DeltaList *list, Writer *writer, bool even_single);
extern void leadscore_deltas_apply(DeltaList *list, Writer *writer, const char *table);
extern void leadscore_deltas_apply_refused(DeltaList *list, Writer *writer, const char *table);
extern bool leadscore_find_or_create(Writer *writer, LeadRecord *record, bool lock,
									 LockTupleMode mode, const EventDelta *events, int64 n, bool *created);
extern int	leadscore_lead_id_cmp(const void *a, const void *b);
extern void leadscore_hold_leads(Writer *writer, const int64 *lead_ids, int64 n);
extern void leadscore_hold_refused(Writer *writer, const int64 *lead_ids, int64 n);
extern void leadscore_lead_catch_up(Writer *writer, int64 lead_id);
extern void leadscore_lead_refresh(Writer *writer, int64 lead_id, bool created_moved);
extern bool leadscore_correct(Writer *writer, LeadRecord *record);
extern void leadscore_correct_history(Writer *writer, HistoryBuffer *replayed);

/* app.c */
extern void leadscore_app_tell(const DeltaList *deltas, Oid event, uint8 from_stage);

/* source_id.c */
extern void leadscore_lock_deltas(const DeltaList *deltas, const int64 *others, int64 nothers,
								  Pipeline *pipeline);
extern void leadscore_check_source_ids(const DeltaList *deltas, Relation event,
									   Tuplestorestate *rows, const Writer *writer);

#endif							/* LEADSCORE_APPLY_H */
