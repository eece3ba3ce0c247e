/*-------------------------------------------------------------------------
 *
 * stage_search.h
 *		When does the stage of a lead change, or a segment that it is in, if
 *		nothing happens?
 *
 * Pure functions of an activity and a model; see stage_search.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_STAGE_SEARCH_H
#define LEADSCORE_STAGE_SEARCH_H

#include "qualify.h"

/* a bucket that is never */
#define BUCKET_NEVER	PG_INT32_MAX

extern int32 leadscore_qualified_change(Scorer *scorer, const ActivityList *activity,
										int32 after, uint8 stage);
extern int32 leadscore_standing_change(Scorer *scorer, const ActivityList *activity,
									   int32 after, int32 until, const LeadStanding *standing,
									   bool exact);
extern bool leadscore_standing_stays(Scorer *scorer, const ActivityList *least,
									 int32 least_last, const ActivityList *most,
									 int32 from, int32 until, const LeadStanding *standing);
extern bool leadscore_standing_keeps(Scorer *scorer, const ActivityList *activity,
									 int32 from, int32 until, const LeadStanding *standing);
extern bool leadscore_standings_alike(Scorer *scorer, const ActivityList *a, const ActivityList *b,
									  int32 bucket, const LeadStanding *standings, int n);
extern bool leadscore_counts_promote(Scorer *scorer, const ActivityList *activity, const ActivityList *counts,
									 int32 bucket, const LeadStanding *standing, uint8 *stage,
									 int64 *score);

#endif							/* LEADSCORE_STAGE_SEARCH_H */
