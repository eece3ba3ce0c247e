/*-------------------------------------------------------------------------
 *
 * funnel_match.h
 *		How far a lead got in a funnel of steps.
 *
 * An event satisfies any number of steps.  A chain is a list of distinct
 * events e1 .. ek, e_i satisfying step i, with
 *
 *		t1 <= t2 <= ... <= tk <= t1 + within
 *
 * The answer is the length of the longest chain.  Modes:
 *
 *		ordered		just that; equal instants may be taken in any order
 *		increase	t1 < t2 < ... < tk
 *		strict		no other event lies between two of the chain, for one of the
 *					orders that equal instants may be taken in
 *		any			the steps in whatever order: distinct events, each for a step
 *					of its own, the last at most within after the first
 *
 * With an exclusion, all chains that begin at one instant make an attempt.  A
 * chain that got to from_step is void if an excluded event lies after its
 * from_step and before its to_step, or, when it did not get to to_step, after
 * its from_step and up to the end of the window.  After and before are strict:
 * events at the same instant may be taken first or last.  An attempt
 * that got to from_step counts for the longest of its chains that got there
 * and are not void; if all are, it reached nothing.  In mode any the first
 * event counts as from_step and the last as to_step.
 *
 * Attempts divide what a lead did.  An attempt begins with an event that opens
 * a window (it satisfies step 1; in mode any, some step) while no attempt is
 * open.  Such events in it open windows of their own in the same attempt.  It
 * ends at the first instant at which a chain of all steps in it is complete, and
 * takes in all events of that instant; else when its last window is over.  Its
 * level is the length of its longest chain.  So the greatest level is the answer
 * above, and no event serves two attempts.
 *
 * This header and funnel_match.c need no catalog, no SPI and no fmgr.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_FUNNEL_MATCH_H
#define LEADSCORE_FUNNEL_MATCH_H

#define FUNNEL_MAX_STEPS	32

typedef enum FunnelMode
{
	FUNNEL_ORDERED,
	FUNNEL_INCREASE,
	FUNNEL_STRICT,
	FUNNEL_ANY
} FunnelMode;

#define FUNNEL_MODES		(FUNNEL_ANY + 1)

typedef struct FunnelSpec
{
	int64		within;			/* microseconds */
	FunnelMode	mode;
	int			nsteps;
	int			from_step;		/* 0: no exclusion */
	int			to_step;
} FunnelSpec;

typedef struct FunnelEvent
{
	int64		at;
	uint32		steps;			/* bit i: satisfies step i + 1 */
	bool		excluded;
} FunnelEvent;

typedef struct FunnelAttempt
{
	int			level;
	int64		end;			/* complete, or the end of the last window */
} FunnelAttempt;

extern void leadscore_funnel_sort(FunnelEvent *events, int32 nevents);
extern int	leadscore_funnel_match(const FunnelSpec *spec,
								   const FunnelEvent *events, int32 nevents,
								   int64 *times);
extern int32 leadscore_funnel_attempts(const FunnelSpec *spec,
									   const FunnelEvent *events, int32 nevents,
									   FunnelAttempt **attempts);

#endif							/* LEADSCORE_FUNNEL_MATCH_H */
