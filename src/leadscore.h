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
typedef struct CallSite
{
	MemoryContext context;		/* of the scorer; reset with the model */
	bool		toasted;
	Oid			toast_relation;
	Oid			toast_value;
	Scorer	   *scorer;
	ActivityList activity;
	Evaluation *evaluation;
} CallSite;

/* stage.c */
extern PGDLLEXPORT Datum lead_stage_in(PG_FUNCTION_ARGS);

/* callsite.c */
extern const LeadModel *leadscore_model_read(Datum value);
extern CallSite *leadscore_call_site_for(CallSite **place, MemoryContext context,
										 Datum value);
extern CallSite *leadscore_call_site(FunctionCallInfo fcinfo, Datum model);
extern void leadscore_check_grain(const CallSite *site, const ActivityList *activity);
extern void leadscore_call_site_activity(CallSite *site, const LeadActivity *activity);
extern CallSite *leadscore_call_site_evaluate(FunctionCallInfo fcinfo);
extern Datum leadscore_milli_numeric(int64 milli);

#endif							/* LEADSCORE_H */
