/*-------------------------------------------------------------------------
 *
 * qualify.h
 *		The stage that a score, and what is present, qualify a lead for.
 *
 * Pure functions of an evaluation, or of a range of them; see qualify.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_QUALIFY_H
#define LEADSCORE_QUALIFY_H

#include "score.h"

/* a stage that cannot be told */
#define STAGE_UNKNOWN	(-1)

/* The recorded stage of a lead, as far as it decides what comes next */
typedef struct LeadStanding
{
	uint8		stage;
	uint8		suspended;		/* of a visitor that is no lead any more: the
								 * stage that it comes back to; 0 if none */
	bool		promotion_blocked;	/* until a positive event */
	SegmentBits segments;		/* that it is in */
} LeadStanding;

typedef enum Answer
{
	ANSWER_NO = 0,
	ANSWER_YES,
	ANSWER_UNKNOWN
} Answer;

/*
 * What is known of all buckets from one evaluation to another, when nothing
 * new happens in between: every rule is monotone there, so its values lie
 * between those at the ends, and sums and clamps keep that.  Points of quiet
 * time that go by what a lead has are bounded by the bounds of that.
 */
typedef struct Range
{
	const Evaluation *from;
	const Evaluation *to;
	int64		low;
	int64		high;
	int64	   *dimension_low;
	int64	   *dimension_high;
	int64	   *gross_low;		/* the same without tiered_rules, once they
								 * are added */
	int64	   *gross_high;
	int64		gross_total_low;
	int64		gross_total_high;
	bool		ever;			/* all buckets there are, and any points ... */
	const ActivityList *counts; /* ... so that only these are known */
} Range;

/* A range of one bucket, where every answer is known */
static inline void
range_of_one(const Evaluation *e, Range *range)
{
	range->from = e;
	range->to = e;
	range->ever = false;
	range->low = e->total;
	range->high = e->total;
	range->dimension_low = e->dimensions;
	range->dimension_high = e->dimensions;
}

/* Is low..high at least min? */
static inline Answer
at_least(int64 low, int64 high, int64 min)
{
	return low >= min ? ANSWER_YES : (high < min ? ANSWER_NO : ANSWER_UNKNOWN);
}

/* at one bucket */
extern int64 leadscore_signal_count(const Evaluation *e, int signal, int32 within);
extern uint8 leadscore_qualified_stage(Scorer *scorer, const Evaluation *e);
extern uint8 leadscore_stage_by_points(const Scorer *scorer, const Evaluation *e,
									   int64 points);
extern bool leadscore_is_lead(const Scorer *scorer, const Evaluation *e);
extern bool leadscore_lead_by_profile(const Scorer *scorer, const ActivityList *activity);
extern uint8 leadscore_next_stage(Scorer *scorer, const Evaluation *e,
								  const LeadStanding *standing);

/* parts of it, for explanations */
extern int64 leadscore_gate_count(const Scorer *scorer, const Evaluation *e, int gate);
extern bool leadscore_gate_met(const Scorer *scorer, const Evaluation *e, int gate);
extern const ModelStageRule *leadscore_stage_rule(const Scorer *scorer,
												  const Evaluation *e,
												  const StageGates *stage);

/* over a range */
extern void leadscore_range_create(const Scorer *scorer, Range *range);
extern void leadscore_range_free(Range *range);
extern void leadscore_range_begin(const Scorer *scorer, const Evaluation *from,
								  const Evaluation *to, Range *range);
extern void leadscore_range_gross(const Scorer *scorer, Range *range);
extern void leadscore_range_add_tiered(const Scorer *scorer, int rule, int64 least_times,
									   int64 most_times, Range *range);
extern void leadscore_range_add_up(const Scorer *scorer, Range *range);
extern void leadscore_range_set(const Scorer *scorer, const Evaluation *from,
								const Evaluation *to, Range *range);
extern int	leadscore_qualified_over(const Scorer *scorer, const Range *range);
extern bool leadscore_standing_is_fixed(const Scorer *scorer, const ActivityList *activity,
										const LeadStanding *standing);
extern int	leadscore_standing_over(const Scorer *scorer, const Range *range,
									const LeadStanding *standing);

#endif							/* LEADSCORE_QUALIFY_H */
