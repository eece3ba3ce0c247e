/*-------------------------------------------------------------------------
 *
 * score_parts.h
 *		Steps of the score that several files take.
 *
 * score.c computes the points that a rule gives, bounds.c the points that it may
 * give; both weigh counts, round, cap and clamp by these functions.  They are
 * inline since scoring spends its time in them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_SCORE_PARTS_H
#define LEADSCORE_SCORE_PARTS_H

#include "score.h"

#define WEIGHT_BITS		31
#define WEIGHT_ONE		(INT64CONST(1) << WEIGHT_BITS)

/* more counts than this make no difference to a saturated score */
#define MAX_QUANTITY	((int128) 1 << 85)

/* decay.c */
extern void leadscore_decay_begin(const ModelRule *rule, RuleWeights *w);
extern void leadscore_extend_weights(Scorer *scorer, const ModelRule *rule, RuleWeights *w,
									 int32 age);

/* evaluation.c */
extern void leadscore_look_at(const Scorer *scorer, const ActivityList *activity, int32 last,
							  Evaluation *result);
extern void leadscore_look_beside(const Scorer *scorer, const Evaluation *other, Evaluation *result);

/* score.c */
extern void leadscore_evaluate_beside(Scorer *scorer, const Evaluation *other, const int16 *twins,
									  Evaluation *result);
extern int64 leadscore_counted_points(Scorer *scorer, const Evaluation *e, int rule);

/* The weight of something age buckets old */
static inline uint32
weight_at(Scorer *scorer, const ModelRule *rule, RuleWeights *w, int32 age)
{
	Assert(age >= 0);
	if (age >= w->horizon)
		return 0;
	if (rule->decay == DECAY_NONE || rule->decay == DECAY_WINDOW)
		return (uint32) WEIGHT_ONE;
	if (unlikely(age >= w->n))
		leadscore_extend_weights(scorer, rule, w, age);
	return w->weights[age];
}

/* The newest bucket of a signal up to now, or PG_INT32_MIN */
static inline int32
newest_bucket(const Evaluation *e, int signal)
{
	const SignalSpan *span = &e->signals[signal];
	const ActivityItem *item;

	for (item = span->end; item > span->first; item--)
		if (item[-1].count > 0)
			return item[-1].bucket;
	return PG_INT32_MIN;
}

/* The first item of a rule's signal that the dimension's reset leaves */
static inline const ActivityItem *
first_item(const Evaluation *e, const ModelRule *rule)
{
	const SignalSpan *span = &e->signals[rule->signal];
	int32		reset = e->resets[rule->dimension];
	const ActivityItem *item = span->first;

	while (item < span->end && item->bucket <= reset)
		item++;
	return item;
}

/* The signal that says when a lead was created, NO_INDEX if there is none */
static inline int
created_signal(const Scorer *scorer)
{
	return scorer->max_signal_id >= 0 ? scorer->signal_index[0] : NO_INDEX;
}

/* v / 2^bits, rounded half away from zero */
static inline int128
round_shift(int128 v, int bits)
{
	int128		half = (int128) 1 << (bits - 1);

	return v >= 0 ? (v + half) >> bits : -((-v + half) >> bits);
}

/* v / 1000, rounded half away from zero */
static inline int128
round_milli(int128 v)
{
	return v >= 0 ? (v + 500) / 1000 : -((-v + 500) / 1000);
}

/* Points that no score goes beyond */
static inline int64
saturate(int128 points)
{
	if (points > MAX_SCORE_MILLI)
		return MAX_SCORE_MILLI;
	if (points < -MAX_SCORE_MILLI)
		return -MAX_SCORE_MILLI;
	return (int64) points;
}

/* Points between two limits, of which either may be absent */
static inline int64
clamp(int64 points, int64 min, int64 max)
{
	if (min != NO_POINTS && points < min)
		return min;
	if (max != NO_POINTS && points > max)
		return max;
	return points;
}

/* No more points than the cap of a rule, which has their sign or is 0 */
static inline int64
cap_points(const ModelRule *rule, int64 points)
{
	if (rule->max_points != NO_POINTS &&
		(points > 0 ? points > rule->max_points : points < Min(rule->max_points, 0)))
		return rule->max_points;
	return points;
}

/* The points of a quantity in units of 2^-31 */
static inline int64
quantity_points(const ModelRule *r, int128 quantity)
{
	quantity = Min(quantity, MAX_QUANTITY);
	return cap_points(r, saturate(round_shift(quantity * r->points, WEIGHT_BITS)));
}

/* The last of a rule's tiers that begins at or before a count, or points */
static inline const ModelTier *
tier_reached(const LeadModel *model, const ModelRule *r, int128 have)
{
	const ModelTier *tiers = MODEL_ITEMS(model, ModelTier, r->tiers);
	const ModelTier *reached = NULL;
	int			i;

	for (i = 0; i < r->tiers.n && tiers[i].from <= have; i++)
		reached = &tiers[i];
	return reached;
}

/* The points of some quiet times by a tier, before the cap; NULL: no tier */
static inline int64
tier_points(const ModelRule *r, const ModelTier *tier, int64 times)
{
	return tier ? saturate(round_milli((int128) times * tier->points * r->points)) : 0;
}

/* How many quiet times have passed at a bucket since another one */
static inline int64
quiet_times(const ModelRule *r, int32 at, int32 since)
{
	int64		quiet = (int64) at - since;

	if (quiet < r->after)
		return 0;
	return r->repeat ? quiet / r->after : 1;
}

#endif							/* LEADSCORE_SCORE_PARTS_H */
