/*-------------------------------------------------------------------------
 *
 * score.h
 *		The score of a lead: a pure function of its activity, a model and a
 *		bucket of time.
 *
 * All arithmetic is on integers, so that a score is the same on every machine
 * and at any time.  This header, and the files that it lists, need no catalog and no SPI.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_SCORE_H
#define LEADSCORE_SCORE_H

#include "activity.h"
#include "model.h"
#include "segment.h"

#ifndef HAVE_INT128
#error "leadscore needs a compiler with 128-bit integers"
#endif

/* Weights of rules by age, in units of 2^-31, computed as far as asked for */
typedef struct RuleWeights
{
	int32		horizon;		/* what is this old or older weighs nothing */
	int32		n;				/* ages computed so far */
	int32		capacity;
	uint32	   *weights;
	uint128		factor;			/* weight of the next age, units of 2^-127 */
	uint128		ratio;			/* from one age (or step) to the next */
} RuleWeights;

/* One stage that points can reach */
typedef struct StageGates
{
	uint8		stage;
	int			first_rule;
	int			nrules;
	int			first_gate;
	int			ngates;
} StageGates;

/* A model made ready for scoring */
typedef struct Scorer
{
	const LeadModel *model;
	MemoryContext context;
	SegmentSet *segments;		/* that are active beside the model; NULL:
								 * none */
	int			nsignals;		/* of the model, and then of segments alone */
	int			max_signal_id;
	int16	   *signal_index;	/* by id; NO_INDEX if none needs it */
	bool	   *distinct;		/* by signal: are its different values
								 * counted? */
	RuleWeights **weights;		/* by rule; rules of one decay have the same */
	int32	   *first_rule;		/* by signal: where its rules begin in ... */
	int16	   *signal_rules;	/* ... rules by signal, but those of idle time */
	int			nidle;
	int16	   *idle_rules;		/* they count without an event */
	int			ntiered;
	int16	   *tiered_rules;	/* of idle time too, by the points of the lead */
	int16	   *gate_end;		/* by gate: where the rows of its name end */
	int			nstages;
	StageGates *stages;			/* highest first */
	uint8	   *entry_stage;	/* by signal: the stage it is a milestone of,
								 * or 0 */
	bool	   *positive;		/* by signal: does some rule give points for
								 * it? */
	int64		floor;			/* points up to which a level is 0; 0: not yet
								 * looked for, see level.c */
	bool		only_fades;		/* no rule gives points because time passes */
	int64	   *given;			/* room for points by dimension */
	int32		quiet_after;	/* nothing changes by itself this long after
								 * the last bucket; -1 if there is no such age */
} Scorer;

/*
 * The items of one signal up to a bucket, by bucket, and its timeless count.
 * Of a signal that counts different values each value is here once, in its
 * newest bucket.
 */
typedef struct SignalSpan
{
	const ActivityItem *first;
	const ActivityItem *end;
	int64		timeless;
} SignalSpan;

/* What a lead is worth at one bucket */
typedef struct Evaluation
{
	int32		at;
	const ActivityList *activity;
	MemoryContext context;
	ActivityItem *values;		/* room for items of signals with values */
	int			max_values;
	int64		total;
	SignalSpan *signals;		/* by signal index */
	int			npresent;
	int16	   *present;		/* indexes of signals that have items or
								 * counts */
	int32	   *resets;			/* by dimension: newest reset or PG_INT32_MIN */
	int64	   *rules;			/* by rule: points after the cap */
	int64	   *dimensions;		/* by dimension: points after the clamp */
	int64	   *gross;			/* the same without tiered_rules, if there are
								 * such rules ... */
	int64		gross_total;	/* ... and the score without them */
} Evaluation;

/* The index of a signal by its id, NO_INDEX if a scorer does not look at it */
static inline int
scorer_signal(const Scorer *scorer, int32 id)
{
	return id <= scorer->max_signal_id ? scorer->signal_index[id] : NO_INDEX;
}

/* scorer.c */
extern Scorer *leadscore_scorer_create(const LeadModel *model, const SegmentSet *segments);

/* evaluation.c */
extern Evaluation *leadscore_evaluation_create(const Scorer *scorer);
extern void leadscore_evaluation_free(Evaluation *e);
extern void leadscore_see_values(ActivityList *list, const ActivityItem *item,
								 const ActivityItem *end, bool distinct, int32 last);
extern bool leadscore_signal_present(const Evaluation *e, int signal);

/* score.c */
extern void leadscore_evaluate(Scorer *scorer, const ActivityList *activity,
							   int32 at, Evaluation *result);
extern int64 leadscore_weighted(int64 points, int64 weight);
extern int	leadscore_grade(const LeadModel *model, int dimension, int64 points);

/* parts of an evaluation, for explanations */
extern int64 leadscore_rule_points(Scorer *scorer, const Evaluation *e, int rule,
								   bool limited, bool capped);
extern int64 leadscore_quiet_times(const Scorer *scorer, const Evaluation *e, int rule);
extern int64 leadscore_gross_points(const Evaluation *e, const ModelRule *rule);
extern int64 leadscore_rule_events(const Scorer *scorer, const Evaluation *e,
								   int rule, int32 *newest);
extern int64 leadscore_rule_values(const Scorer *scorer, const Evaluation *e, int rule);
extern int	leadscore_rule_blocker(const Scorer *scorer, const Evaluation *e,
								   int rule, bool *missing);

#endif							/* LEADSCORE_SCORE_H */
