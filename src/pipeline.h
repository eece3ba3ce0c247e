/*-------------------------------------------------------------------------
 *
 * pipeline.h
 *		What a backend knows of a pipeline: its tables, signals and models.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_PIPELINE_H
#define LEADSCORE_PIPELINE_H

#include "utils/jsonb.h"
#include "utils/jsonpath.h"

#include "catalog.h"
#include "leadscore.h"

/* What a table says of a content, and conditions may ask for */
typedef enum ContentColumn
{
	CONTENT_KIND,
	CONTENT_TOPIC,
	CONTENT_INTENT,
	CONTENT_STAGE,
	CONTENT_PERSONA,
	CONTENT_COLUMNS				/* number of them */
} ContentColumn;

/* A content that an event may name */
typedef struct Content
{
	char	   *name;
	char	   *values[CONTENT_COLUMNS];	/* NULL: not known */
} Content;

/* A signal as rows are classified by it */
typedef struct SignalRule
{
	int16		id;
	SignalSource source;
	char	   *name;
	JsonPath   *condition;		/* NULL: always holds */
	JsonPath   *quantity;		/* NULL: counts one */
	JsonPath   *distinct_on;	/* gives the value that rules tell events
								 * apart by; NULL: they do not */
	List	   *variables;		/* names of variables in these paths */
} SignalRule;

/* The signals that events of one kind may match */
typedef struct KindSignals
{
	char	   *kind;			/* NULL: every kind that has no entry */
	int			nsignals;
	const SignalRule **signals;
	bool		plain;			/* no condition, quantity, distinct_on */
	List	   *variables;		/* names of variables in their paths */
} KindSignals;

/* A model, the segments beside it, and when they came into use */
typedef struct ModelPeriod
{
	int64		configuration;	/* number of the activation */
	int64		activated_at;	/* never less than that of the one before */
	char	   *name;
	int			nsegment_activations;	/* up to it */
	Scorer	   *scorer;			/* made when first needed */
	Evaluation *evaluation;
} ModelPeriod;

/* What sequences may wait for */
typedef enum EdgeKind
{
	EDGE_STAGE,					/* a stage begins */
	EDGE_SEGMENT,				/* a segment is entered or left */
	EDGE_SIGNAL,				/* an event counts for a signal */
	EDGE_CORRECTION				/* the history of a lead is corrected */
} EdgeKind;

/* One of the stages, segments and signals that any sequence waits for */
typedef struct WatchedEdge
{
	EdgeKind	kind;
	int32		signal;			/* id, if it is one */
	char	   *name;
} WatchedEdge;

/* Statements whose plans are kept */
typedef enum PipelinePlan
{
	PLAN_APPEND_STAGES,
	PLAN_APPEND_FIRST_STAGES,
	PLAN_FIND_STAGES,
	PLAN_APPEND_PROFILES,
	PLAN_APPEND_FIRST_PROFILES,
	PLAN_FIND_PROFILES,
	PLAN_READ_STAGES,
	PLAN_DELETE_STAGES,
	PLAN_SUPERSEDE_STAGES,
	PLAN_APPEND_SEGMENTS,
	PLAN_READ_SEGMENTS,
	PLAN_DELETE_SEGMENTS,
	PLAN_SUPERSEDE_SEGMENTS,
	PLAN_READ_EVENTS,
	PLAN_READ_PROFILES,
	PLAN_READ_CONFIGURATION,
	PLAN_SEE_STATE,
	PLAN_NUMBER_STAGE,
	PLAN_NUMBER_SEGMENT,
	PLAN_WRITE_CHECKPOINT,
	PLAN_FIND_PURGED,
	PLAN_FIND_RANGE,
	PIPELINE_PLANS				/* number of them */
} PipelinePlan;

/* Attribute numbers of lead_state */
typedef struct StateColumns
{
	AttrNumber	lead_id;
	AttrNumber	activity;
	AttrNumber	baseline;
	AttrNumber	stage;
	AttrNumber	level;
	AttrNumber	suspended_stage;
	AttrNumber	promotion_blocked;
	AttrNumber	cycle;
	AttrNumber	stage_since;
	AttrNumber	processed_until;
	AttrNumber	profile_at;
	AttrNumber	milestone_at;
	AttrNumber	pending_at;
	AttrNumber	segments;
	AttrNumber	segments_since;
	AttrNumber	segments_seq;
	AttrNumber	next_review_at;
	AttrNumber	configuration;
	AttrNumber	updated_at;
} StateColumns;

/*
 * Once read it never changes; a newer one takes its place.  Until the
 * transaction ends it stays valid for code that still uses it.
 */
typedef struct Pipeline
{
	MemoryContext context;		/* of this and all below */
	PipelinePart part;
	List	   *watched;		/* tables whose change makes this stale */
	bool		distributed;	/* leads are in shards, not here */
	bool		by_lead;		/* shards of it have leads by lead_id */
	bool		own_code;		/* what the engine writes runs code of users */

	Oid			lead;
	Oid			event;
	Oid			state;
	Oid			checkpoint;
	Oid			rebuild_range;	/* InvalidOid in a shard, which has no ranges */
	Oid			stage_log;
	Oid			segment_log;
	Oid			profile_change;
	Oid			signal;
	Oid			model;
	Oid			value_list;
	Oid			content;
	Oid			setting;
	Oid			activation;
	Oid			segment;
	Oid			segment_activation;
	Oid			event_kind;
	Oid			consent;
	Oid			suppression;
	Oid			alias;
	Oid			sequence;
	Oid			assignment;
	Oid			enrollment;
	Oid			action;
	Oid			experiment;
	Oid			exposure;
	Oid			lead_change;
	Oid			preference;
	Oid			owner;			/* of event; the engine runs as this role */

	StateColumns columns;
	LeadGrain	grain;
	int			nsignals;
	SignalRule *signals;
	KindSignals *kinds;			/* sorted by kind */
	int			nkinds;
	KindSignals other;			/* of all other kinds */
	int			nprofile;
	const SignalRule **profile; /* signals of the profile */
	List	   *profile_variables;	/* names of variables in their paths */
	JsonbValue *lists;			/* value lists, as variables */
	int			nlists;
	char	  **list_names;
	int			content_used;	/* bits of columns that any signal names */
	Content    *contents;		/* sorted by name; none if no signal asks */
	int			ncontents;
	int			nrefusals;		/* kinds of events that may refuse messages */
	text	  **refusals;
	int			nexposing;		/* kinds of events that may be exposures; none
								 * if no experiment runs */
	text	  **exposing;
	int			nwatched;		/* negative: not read yet */
	WatchedEdge *watched_edges; /* what sequences wait for */
	int			nmissing;		/* lists that paths name but are gone */
	char	  **missing;
	int64		configuration;	/* number of the newest change of models or
								 * signals */
	int64		signals_configuration;	/* and of signals alone */
	ModelPeriod *periods;		/* all models that were in use, in order */
	int			nperiods;
	Segment    *segment_activations;	/* definitions, in order; without
										 * conditions: the segment was retired */
	int			nsegment_activations;

	struct _SPI_plan *plans[PIPELINE_PLANS];	/* made when first needed */
	struct AppCache *app;		/* what the functions for apps keep */
	MemoryContextCallback forget;
} Pipeline;

/* number of tables whose rows are of one lead each, and go with it */
#define LEAD_TABLES		13

/*
 * What is kept of the source_id of an event that is purged: eight bytes, the
 * same on every machine and in every version
 */
#define SOURCE_ID_HASH(source_id) \
	"('x' OPERATOR(pg_catalog.||) pg_catalog.\"left\"(pg_catalog.md5(" source_id "), 16))::pg_catalog.\"bit\"(64)::pg_catalog.int8"

/* pipeline_cache.c */
extern PipelinePart leadscore_part(Oid table);
extern Pipeline *leadscore_pipeline(PipelinePart part);
extern Pipeline *leadscore_pipeline_for_query(PipelinePart part);
extern Pipeline *leadscore_pipeline_as_seen(PipelinePart part);
extern Pipeline *leadscore_pipeline_for_write(PipelinePart part);
extern Pipeline *leadscore_pipeline_for_app(PipelinePart part);

/* pipeline.c */
extern const char *const leadscore_content_variables[CONTENT_COLUMNS];
extern const KindSignals *leadscore_kind_signals(const Pipeline *pipeline, const char *kind);
extern void leadscore_lead_tables(const Pipeline *pipeline, Oid *tables);
extern bool leadscore_is_kind(text *const *kinds, int nkinds, Datum kind);
extern const Content *leadscore_find_content(const Pipeline *pipeline, const char *name);
extern const SignalRule *leadscore_signal_rule(const Pipeline *pipeline, int id);
extern bool leadscore_is_variable(const Pipeline *pipeline, SignalSource source,
								  const char *name);

/* model_period.c */
extern void leadscore_period_load(Pipeline *pipeline, int period);
extern ModelPeriod *leadscore_period_now(Pipeline *pipeline);

/* own_code.c */
extern bool leadscore_runs_own_code(Relation rel);
extern int	leadscore_fix_path(void);

/* pipeline_lock.c */
extern void leadscore_pipeline_line_up(PipelinePart part);
extern bool leadscore_pipeline_is_locked(PipelinePart part);
extern void leadscore_pipeline_lock(PipelinePart part);

#endif							/* LEADSCORE_PIPELINE_H */
