/*-------------------------------------------------------------------------
 *
 * classify.h
 *		From rows of `event` and `lead` to signals.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_CLASSIFY_H
#define LEADSCORE_CLASSIFY_H

#include "executor/tuptable.h"

#include "pipeline.h"
#include "lifecycle.h"

/* Attribute numbers of event */
typedef struct EventColumns
{
	AttrNumber	lead_id;
	AttrNumber	event_id;
	AttrNumber	kind;
	AttrNumber	occurred_at;
	AttrNumber	properties;
} EventColumns;

/* Attribute numbers of lead */
typedef struct LeadColumns
{
	AttrNumber	lead_id;
	AttrNumber	email;
	AttrNumber	profile;
	AttrNumber	consented_at;
	AttrNumber	created_at;
	AttrNumber	updated_at;
	AttrNumber	erased_at;
} LeadColumns;

/* A growing list of counts; events hold ranges of it */
typedef struct CountPool
{
	SignalCount *counts;
	int64		n;
	int64		capacity;
} CountPool;

extern char *leadscore_event_kind(const EventColumns *columns, TupleTableSlot *slot);
extern void leadscore_event_columns(TupleDesc desc, const char *table, EventColumns *columns);
extern void leadscore_lead_columns(TupleDesc desc, const char *table, LeadColumns *columns);
extern void leadscore_pool_init(CountPool *pool);
extern void leadscore_pool_add(CountPool *pool, int signal, uint64 value, int64 count);
extern void leadscore_classify_event(const Pipeline *pipeline, const KindSignals *kind,
									 const EventColumns *columns, TupleTableSlot *slot,
									 CountPool *pool);
extern void leadscore_classify_lead(const Pipeline *pipeline, const LeadColumns *columns,
									TupleTableSlot *slot, CountPool *pool);
extern bool leadscore_lead_matches(const Pipeline *pipeline, const LeadColumns *columns,
								   TupleTableSlot *slot, JsonPath *path);
extern void leadscore_check_path(const Pipeline *pipeline, SignalSource source,
								 JsonPath *path, const char *owner, const char *column);

#endif							/* LEADSCORE_CLASSIFY_H */
