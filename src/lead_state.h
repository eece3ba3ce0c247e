/*-------------------------------------------------------------------------
 *
 * lead_state.h
 *		Rows of lead_state, and the writer that brings them up to date.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_LEAD_STATE_H
#define LEADSCORE_LEAD_STATE_H

#include "classify.h"
#include "history.h"
#include "lead_table.h"

/* What is known of one lead: its row of lead_state, decoded */
typedef struct LeadRecord
{
	int64		lead_id;
	ActivityList activity;
	LeadLifecycle lifecycle;
	int64		next_review;	/* as stored, NEVER for NULL */
	int64		configuration;	/* number of the newest one that it knows */
	int16		level;			/* as stored; 0 if it is of another
								 * configuration */
	bool		valid;			/* could the engine have written it? */
} LeadRecord;

/* Which trigger acts: that of a kind of writes to event, or that of lead */
typedef enum TriggerKind
{
	FIRED_BY_NONE = 0,
	FIRED_BY_INSERT,
	FIRED_BY_UPDATE,
	FIRED_BY_DELETE,
	FIRED_BY_LEAD
} TriggerKind;

/* One statement's work on the leads of a pipeline */
typedef struct Writer
{
	Pipeline   *pipeline;
	UserSwitch	saved;
	int			guc_level;		/* 0: search_path is the caller's */
	MemoryContext context;		/* of the writer */
	MemoryContext lead_context; /* of one lead */
	int64		now;
	int64		counts_until;	/* now, or later if the lead's state is: a
								 * clock may go back, a lead does not */
	int64		moves_until;	/* the same for milestones */
	LeadTable	state;
	LeadTable	lead;			/* opened when first needed */
	LeadColumns lead_columns;
	LeadTable	checkpoint;		/* likewise */
	const ActivityList *baseline;	/* to be written for the lead; NULL: stays */
	HistoryBuffer appended;		/* changes that are to be appended */
	HistoryBuffer *history;		/* where a lifecycle reports to */
	ProfileBuffer profiles;
	EdgeList	edges;			/* what sequences wait for */
	uint8		from_stage;		/* of the first lead, before; 0: none yet */
	int64	   *held;			/* leads whose states are locked, each in its
								 * turn, while events are applied, in order */
	int64		nheld;
	int64	   *refused;		/* those of them that events of the statement
								 * refuse messages to */
	int64		nrefused;
	TriggerKind trigger;		/* that acts */
	bool		repair;			/* take states that are not valid */
	Snapshot	snapshot;		/* to read logs by; InvalidSnapshot: the
								 * newest */
	Snapshot	before;			/* sees leads as they were before the
								 * statement that acts, or InvalidSnapshot */
	bool		may_lag;		/* states may lag behind the rows of that time */
} Writer;

extern void leadscore_writer_begin(Writer *writer, PipelinePart part, bool restricted);
extern void leadscore_reader_begin(Writer *reader, PipelinePart part);
extern void leadscore_reader_end(Writer *reader);
extern void leadscore_writer_end(Writer *writer);
extern void leadscore_writer_flush(Writer *writer, bool if_large);
extern void leadscore_lead_open(Writer *writer);
extern bool leadscore_lead_read(Writer *writer, int64 lead_id);
extern void leadscore_lead_await(Writer *writer, int64 lead_id);
extern bool leadscore_lead_lock(Writer *writer, int64 lead_id, LockTupleMode mode);
extern int64 leadscore_lead_created_at(const Writer *writer);
extern int64 leadscore_lead_updated_at(const Writer *writer);

extern void leadscore_record_init(Writer *writer, LeadRecord *record, int64 lead_id);
extern void leadscore_state_decode(Writer *writer, LeadRecord *record);
extern void leadscore_segments_read(Datum segments, LeadLifecycle *lifecycle);
extern Datum leadscore_segments_array(const LeadLifecycle *lifecycle, bool *isnull);
extern bool leadscore_state_lock(Writer *writer, int64 lead_id, LockTupleMode mode);
extern bool leadscore_state_write(Writer *writer, LeadRecord *record, bool exact);
extern int16 leadscore_record_level(const Writer *writer, const LeadRecord *record, int16 enough);
extern void leadscore_state_none(Writer *writer);
extern void leadscore_state_insert(Writer *writer, LeadRecord *record);
extern void leadscore_state_create(Writer *writer, LeadRecord *record);
extern void leadscore_profile_difference(Writer *writer, const ActivityList *activity,
										 CountPool *difference);
extern void leadscore_profile_log(Writer *writer, int64 lead_id, const CountPool *difference,
								  int64 at);

#endif							/* LEADSCORE_LEAD_STATE_H */
