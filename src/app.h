/*-------------------------------------------------------------------------
 *
 * app.h
 *		The functions of a pipeline that apps call.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_APP_H
#define LEADSCORE_APP_H

#include "commands/trigger.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "utils/snapshot.h"

#include "lookup.h"

/* Statements whose plans stay with the pipeline */
typedef enum AppStatement
{
	READ_LEAD,
	READ_EXTERNAL_ID,
	READ_NAME,
	READ_ALIAS,
	READ_STATE,
	READ_SCORED,
	SEE_LEAD,
	SEE_STATE,
	SEE_STAGES,
	PROFILE_SINCE,
	ACTIVE_MODEL,
	MODEL_OF_THEN,
	STAGE_AT,
	STAGE_AS_KNOWN_AT,
	FIND_SEGMENT,
	LIST_SEGMENTS,
	IN_SEGMENT_AT,
	CREATE_LEADS,
	CREATE_LEAD,
	CREATE_NUMBERED_LEAD,
	LOCK_LEADS,
	LOCK_STATES,
	LOCK_LEAD,
	LOCK_STATE,
	LOCK_ADDRESSES,
	IS_FORGOTTEN,
	LEAVE_OUT_FORGOTTEN,
	DELETE_LEAD,
	MAY_CONTACT,
	MAY_CONTACT_THERE,
	MERGE_PROFILES,
	MERGE_PROFILE,
	ADD_EVENT,
	ADD_EVENT_ONCE,
	FIND_EVENT,
	ADD_EVENTS,
	ADD_EVENTS_ONCE,
	COUNT_KNOWN,
	FIND_KNOWN,
	FIND_TWICE,
	FIND_PURGED,
	NEWEST_STAGE_SET,
	LOCK_EVENTS,
	REMOVE_EVENTS,
	PUT_EVENTS,
	READ_TRACKED,
	NOTE_SKIPPED,
	NAME_LEADS,
	FORGET_LEADS,
	SAID_BEFORE,
	N_STATEMENTS
} AppStatement;

/* Cache of these functions for a pipeline; freed with it */
typedef struct AppCache
{
	SPIPlanPtr	plans[N_STATEMENTS];
	TupleDesc	tracked;		/* result of track() */
	TupleDesc	counted;		/* result of track_many() */
	bool		plain;			/* leads and states are found by an index */
	Oid			lead_key;		/* their indexes */
	Oid			state_key;
	Oid			external_id_key;	/* InvalidOid: not unique */
	Oid			alias_key;
	AttrNumber	alias_lead_id;
	bool		source_id_unique;	/* is there an index that says so? */
	bool		own_code;		/* does an INSERT into event run code of
								 * users? */
	ScorerCache *active;		/* the active model that was last asked for */
	AttrNumber	lead_id;		/* columns of lead */
	AttrNumber	created_at;
	MemoryContextCallback forget;
} AppCache;

/* A call of such a function; what its call site keeps */
typedef struct AppCall
{
	const struct AppFunction *function;
	Oid			schema;
	Oid			owner;			/* of the function */
	ScorerCache *then;			/* the model of another time */
	bool		active;			/* the active one is known: as seen by ... */
	SnapshotData seen;			/* ... this, of which no pointer holds ... */
	uint64		hash;			/* ... it has this hash */
} AppCall;

/* A call that writes, as the owner of the pipeline */
typedef struct AppWrite
{
	Pipeline   *pipeline;
	AppCache   *cache;
	MemoryContext caller;		/* for what is returned */
	UserSwitch	saved;
	int			guc_level;		/* 0: search_path is as it was */
} AppWrite;

/* What the engine says of an event that track() inserts */
typedef struct AppWatch
{
	Oid			event;			/* the table */
	int64		lead_id;
	bool		scored;			/* does it match a signal? */
	uint8		from_stage;		/* before it moved the lead; 0: it did not */
} AppWatch;

/* A function: how it is declared, and what it does */
typedef struct AppFunction
{
	const char *name;
	const char *arguments;		/* a letter for each, see type_of() */
	const char *results;
	bool		set;
	Datum		(*read) (FunctionCallInfo fcinfo);
	Datum		(*write) (FunctionCallInfo fcinfo, AppWrite *call);
} AppFunction;

/* What is to be done to a lead */
typedef struct LeadInput
{
	Datum		external_id;	/* text */
	Jsonb	   *document;		/* checked; NULL: nothing is known of it */
	TimestampTz at;				/* of the document */
	TimestampTz created_at;		/* if it is new */
	Datum		channel;		/* if it is new; 0: unknown */
	Datum		campaign;
	int64		lead_id;		/* 0: not found yet */
	bool		forgotten;		/* it makes no lead */
	bool		refuses;		/* an event of it says something against
								 * messages */
	bool		created;
	bool		locked;
	uint8		stage;			/* before, once locked; 0: no state */
} LeadInput;

/* app.c */
extern AppCache *leadscore_app_cache(Pipeline *pipeline);
extern Pipeline *leadscore_app_pipeline(FunctionCallInfo fcinfo);
extern uint64 leadscore_app_run(Pipeline *pipeline, AppStatement statement, Datum *values,
								const char *nulls, Snapshot snapshot);
extern void leadscore_app_fix_path(AppWrite *call);
extern AppWatch *leadscore_app_watch(AppWatch *watch);

/* lead_write.c */
extern Datum leadscore_required_text(FunctionCallInfo fcinfo, int argument, const char *name);
extern void leadscore_check_length(const char *name, Datum value);
extern const char *leadscore_member_problem(const char *name, int length, const JsonbValue *value);
extern void leadscore_check_object(Jsonb *document, const char *name, const char *example,
								   const char *element);
extern Jsonb *leadscore_check_document(Jsonb *document, const char *element);
extern void leadscore_leads_touch(AppWrite *call, LeadInput *leads, int n);
extern Datum leadscore_upsert_lead(FunctionCallInfo fcinfo, AppWrite *call);

/* event_json.c */
extern text *leadscore_item_text(JsonbContainer *item, const char *key);

/* track.c */
extern Datum leadscore_track(FunctionCallInfo fcinfo, AppWrite *call);
extern Datum leadscore_track_many(FunctionCallInfo fcinfo, AppWrite *call);

/* by_hand.c */
extern Datum leadscore_set_stage(FunctionCallInfo fcinfo, AppWrite *call);
extern Datum leadscore_set_stage_by_id(FunctionCallInfo fcinfo, AppWrite *call);

/* lead_read.c */
extern Datum leadscore_lead_id(FunctionCallInfo fcinfo);
extern Datum leadscore_lead_score(FunctionCallInfo fcinfo);
extern Datum leadscore_lead_explain(FunctionCallInfo fcinfo);
extern Datum leadscore_lead_next_steps(FunctionCallInfo fcinfo);
extern Datum leadscore_lead_stage_at(FunctionCallInfo fcinfo);
extern bool leadscore_find_lead(Pipeline *pipeline, Datum external_id, Snapshot snapshot,
								int64 *lead_id);
extern bool leadscore_find_state(Pipeline *pipeline, int64 lead_id, Snapshot snapshot,
								 ActivityList *activity, uint8 *stage);

extern bool leadscore_find_argument(FunctionCallInfo fcinfo, Pipeline *pipeline, Snapshot snapshot,
									const UserSwitch *caller, int64 *lead_id);
extern bool leadscore_state_is_current(Pipeline *pipeline, int64 lead_id, Snapshot snapshot,
									   bool *found);
extern Pipeline *leadscore_read_begin(FunctionCallInfo fcinfo, UserSwitch *caller);
extern void leadscore_read_end(const UserSwitch *caller);
extern Datum leadscore_may_contact(FunctionCallInfo fcinfo);

/* segment_read.c */
extern Datum leadscore_in_segment(FunctionCallInfo fcinfo);
extern Datum leadscore_persona_match(FunctionCallInfo fcinfo);
extern Datum leadscore_explain_segment(FunctionCallInfo fcinfo);

/* names.c */
extern Datum leadscore_folded_name(Datum name);
extern int64 leadscore_number_of_name(Datum name);
extern bool leadscore_find_alias(Pipeline *pipeline, Datum name, Snapshot snapshot, int64 *lead_id);
extern bool leadscore_is_forgotten(Pipeline *pipeline, const Datum *values, const bool *nulls);
extern HeapTuple leadscore_lead_named(TriggerData *trigdata, HeapTuple old, HeapTuple new);
extern HeapTuple leadscore_with_first_name(Relation rel, HeapTuple old, HeapTuple new);
extern void leadscore_check_name(Pipeline *pipeline, Relation rel, Datum name);
extern bool leadscore_expect_aliases(bool expect);

/* track_table.c */
extern Datum leadscore_table_changed(FunctionCallInfo fcinfo, AppWrite *call);

/* backfill.c */
extern Datum leadscore_backfill(FunctionCallInfo fcinfo, AppWrite *call);

/* source_id.c */
extern void leadscore_lock_states(Pipeline *pipeline, const int64 *lead_ids, int n);

#endif							/* LEADSCORE_APP_H */
