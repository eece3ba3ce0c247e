/*-------------------------------------------------------------------------
 *
 * level.h
 *		The level of a lead: how high its score can be from now on, if nothing
 *		happens.
 *
 * Pure functions of an activity and a model; see level.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_LEVEL_H
#define LEADSCORE_LEVEL_H

#include "score.h"

extern int16 leadscore_level_of(Scorer *scorer, int64 points);
extern bool leadscore_level_within(Scorer *scorer, const ActivityList *activity,
								   const Evaluation *e, int16 level);
extern int16 leadscore_level(Scorer *scorer, const ActivityList *activity, int32 from);

#endif							/* LEADSCORE_LEVEL_H */
