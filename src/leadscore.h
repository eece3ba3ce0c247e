/*-------------------------------------------------------------------------
 *
 * leadscore.h
 *		What the SQL-callable files share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_H
#define LEADSCORE_H

#include "fmgr.h"
#include "utils/array.h"
#include "utils/snapshot.h"
#include "utils/timestamp.h"

#include "activity.h"
#include "compat.h"
#include "model.h"
#include "stage_search.h"

typedef struct varlena LeadActivity;

#define DatumGetLeadActivityPP(d)	((LeadActivity *) PG_DETOAST_DATUM_PACKED(d))
#define PG_GETARG_LEAD_ACTIVITY_PP(n)	DatumGetLeadActivityPP(PG_GETARG_DATUM(n))

#define DatumGetLeadModel(d)	leadscore_model_read(d)

/* activity_type.c */
extern void leadscore_activity_decode(const LeadActivity *value, ActivityList *list);
extern void leadscore_activity_read(const LeadActivity *value, ActivityList *list);
extern LeadActivity *leadscore_activity_make(const ActivityList *list);
extern LeadGrain leadscore_grain(const Interval *interval);

/*
 * What a call site keeps from one row to the next: the model made ready, and
 * room for an activity and its evaluation.
 */
typedef struct ScorerCache
{
	MemoryContext context;		/* of the scorer; reset with the model */
	bool		toasted;
	Oid			toast_relation;
	Oid			toast_value;
	Scorer	   *scorer;
	ActivityList activity;
	Evaluation *evaluation;
	/* the activity that was evaluated, as it was handed over */
	char	   *evaluated;
	Size		evaluated_size;
	Size		evaluated_capacity;
	MemoryContextCallback forget;
} ScorerCache;

/*
 * What a call site has worked out of roles of kinds: of which, and as which
 * snapshot sees it.
 */
typedef struct RolesSite
{
	MemoryContext context;		/* of the roles and the answer */
	Oid			object;			/* a table or a schema */
	ArrayType  *roles;
	SnapshotData seen;
	void	   *answer;			/* NULL: to be worked out */
} RolesSite;

/* stage.c */
extern PGDLLEXPORT Datum lead_stage_in(PG_FUNCTION_ARGS);

/* model.c */
extern const LeadModel *leadscore_model_read(Datum value);
extern Datum leadscore_milli_numeric(int64 milli);

/* report_support.c */
extern RolesSite *leadscore_roles_site(FunctionCallInfo fcinfo, Oid object, ArrayType *roles);
extern Datum leadscore_read_kinds(Oid event_kind, Datum roles, MemoryContext context);

/* model_cache.c */
extern ScorerCache *leadscore_scorer_cache_at(ScorerCache **place, MemoryContext context,
											  Datum value);
extern ScorerCache *leadscore_scorer_cache(FunctionCallInfo fcinfo, Datum model);
extern void leadscore_check_grain(const Scorer *scorer, const ActivityList *activity);
extern void leadscore_scorer_cache_activity(ScorerCache *site, const LeadActivity *activity);
extern const ActivityList *leadscore_scorer_cache_known(const LeadActivity *activity);
extern ScorerCache *leadscore_scorer_cache_score(ScorerCache *site, LeadActivity *activity,
												 TimestampTz at);
extern ScorerCache *leadscore_scorer_cache_evaluate(FunctionCallInfo fcinfo);

#endif							/* LEADSCORE_H */
