/*-------------------------------------------------------------------------
 *
 * score_pair.h
 *		Two models over one activity.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_SCORE_PAIR_H
#define LEADSCORE_SCORE_PAIR_H

#include "score.h"

/* Two models made ready, and what they have in common */
typedef struct ScorerPair
{
	Scorer	   *scorers[2];
	Evaluation *evaluations[2];
	uint8		stages[2];		/* the qualified ones */
	bool		same_signals;	/* do both see the same in an activity? */
	bool		same_stages;	/* do the same points give the same stage? */
	int16	   *twins;			/* by rule of the second: the rule of the
								 * first with the same points, or NO_INDEX */
} ScorerPair;

extern ScorerPair *leadscore_pair_create(Scorer *a, Scorer *b);
extern void leadscore_pair_evaluate(ScorerPair *pair, const ActivityList *activity, int32 at);

#endif							/* LEADSCORE_SCORE_PAIR_H */
