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

/* the level of a lead of which nothing is known: above all others */
#define LEVEL_UNKNOWN	PG_INT16_MAX

extern int16 leadscore_level_of(const Scorer *scorer, int64 points);
extern int16 leadscore_level(Scorer *scorer, const ActivityList *activity, int32 from);

#endif							/* LEADSCORE_LEVEL_H */
