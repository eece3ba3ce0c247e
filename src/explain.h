/*-------------------------------------------------------------------------
 *
 * explain.h
 *		Why a score is what it is, and what a stage asks for.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_EXPLAIN_H
#define LEADSCORE_EXPLAIN_H

#include "funcapi.h"

#include "leadscore.h"

/* One thing that a stage asks for */
typedef struct GateLine
{
	uint8		stage;
	bool		threshold;		/* a number of points, not a gate */
	bool		met;
	const char *gate;
	const char *missing;		/* NULL: nothing */
} GateLine;

extern void leadscore_explain_rows(ReturnSetInfo *rsinfo, Scorer *scorer, const Evaluation *e);
extern List *leadscore_gate_lines(Scorer *scorer, const Evaluation *e);
extern List *leadscore_milestone_lines(const Scorer *scorer);
extern char *leadscore_missing_gates(Scorer *scorer, const Evaluation *e, uint8 stage);

#endif							/* LEADSCORE_EXPLAIN_H */
