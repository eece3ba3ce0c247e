/*-------------------------------------------------------------------------
 *
 * bounds.h
 *		Bounds of a score while it is not known which events will come.
 *
 * Pure functions of two evaluations; see bounds.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_BOUNDS_H
#define LEADSCORE_BOUNDS_H

#include "qualify.h"

/*
 * What an activity amounts to at any bucket from `least->at` to
 * `most->at` (which are the other way round: `most` is taken as old as it can
 * be young), if it holds at least what `least` has found and at most what
 * `most` has.  Counts can only raise a quantity and age can only lower it; so
 * all that can be lies between the oldest least and the youngest most.
 */
typedef struct Bounds
{
	Evaluation *least;			/* its `at` is the last bucket of the range */
	Evaluation *most;			/* its `at` is the first bucket of the range */
} Bounds;

extern bool leadscore_range_bounds(Scorer *scorer, const Bounds *b, Range *range);

#endif							/* LEADSCORE_BOUNDS_H */
