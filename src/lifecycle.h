/*-------------------------------------------------------------------------
 *
 * lifecycle.h
 *		How the recorded stage of a lead moves, and how it enters and leaves
 *		segments: through events, milestones and the passing of time, in
 *		event-time order.
 *
 * Like scoring this is a pure function of its input; each change is handed
 * to a callback.  So live inserts, a COPY of years and a replay of the
 * log run the same code.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_LIFECYCLE_H
#define LEADSCORE_LIFECYCLE_H

#include "stage_search.h"

/*
 * No instant.  Nothing that a column can hold: instants of leads are brought
 * into the range of the buckets first, by nearest_instant().
 */
#define NEVER	PG_INT64_MAX

/* Why a stage changed */
typedef enum StageCause
{
	CAUSE_CREATED,
	CAUSE_POINTS,
	CAUSE_DECAY,
	CAUSE_MILESTONE,
	CAUSE_SET,
	CAUSE_PROFILE,
	CAUSE_ACTIVATION
} StageCause;

/* A stage change; instants are microseconds since 2000-01-01 UTC */
typedef struct StageChange
{
	uint8		from_stage;		/* 0 for the first of a lead */
	uint8		to_stage;
	StageCause	cause;
	bool		is_lead;		/* consent and contact data were there */
	int32		cycle;
	int64		effective_at;
	int64		from_since;		/* when from_stage began, if there is one */
	int64		score;			/* milli-points */
} StageChange;

typedef void (*StageChanged) (void *context, const StageChange *change);

/* Why a lead entered a segment or left it */
typedef enum SegmentCause
{
	SEGMENT_CREATED,
	SEGMENT_EVENT,
	SEGMENT_PROFILE,
	SEGMENT_TIME,
	SEGMENT_DEFINITION,			/* the segment was defined, or defined anew */
	SEGMENT_ACTIVATION			/* another model came into use */
} SegmentCause;

/* A segment that a lead entered or left */
typedef struct SegmentChange
{
	const char *segment;
	bool		entered;
	SegmentCause cause;
	int64		effective_at;
} SegmentChange;

typedef void (*SegmentChanged) (void *context, const SegmentChange *change);

/* The recorded stage of one lead, and its segments, while it moves */
typedef struct LeadLifecycle
{
	Scorer	   *scorer;			/* NULL without an active model */
	Evaluation *evaluation;		/* room for one */
	ActivityList *activity;
	LeadStanding standing;
	int32		cycle;
	int64		stage_since;
	int64		processed_until;	/* event time up to which all is applied */
	int64		milestone_at;	/* newest instant with a milestone or a stage
								 * set by hand, NEVER if there is none */
	int64		profile_at;		/* newest change of the profile since birth,
								 * NEVER if there is none */
	int64		pending_at;		/* when something dated ahead acts next */
	int64		quiet_until;	/* time alone changes nothing before this */
	int64		segments_since; /* when a segment was entered or left last,
								 * NEVER if none was */
	bool		is_evaluated;	/* the evaluation has all of the activity up
								 * to its bucket */
	bool		is_being_born;	/* events of the instant of birth may come */
	StageChanged changed;
	SegmentChanged segment_changed;
	void	   *context;
} LeadLifecycle;

/* One count of a signal */
typedef struct SignalCount
{
	int64		count;
	uint64		value;			/* hash of a distinct value, 0: none */
	int32		signal;			/* id */
	int32		unused;
} SignalCount;

/* What an event or a change of the profile does */
typedef struct LeadStep
{
	int64		at;				/* a nearest_instant() */
	const SignalCount *counts;
	int			ncounts;
	uint8		set_stage;		/* a stage set by hand, 0: none */
	bool		profile;		/* a change of the profile */
} LeadStep;

/* Bring an instant into the range that buckets have: so no infinity is left. */
static inline int64
nearest_instant(int64 at)
{
	int64		last = bucket_start(LAST_DAY, GRAIN_DAY);

	return Min(Max(at, bucket_start(FIRST_DAY, GRAIN_DAY)), last);
}

extern const char *leadscore_cause_name(StageCause cause);
extern const char *leadscore_segment_cause_name(SegmentCause cause);
extern bool leadscore_step_moves(const Scorer *scorer, const LeadStep *step);
extern bool leadscore_step_is_positive(const Scorer *scorer, const LeadStep *step);
extern bool leadscore_lifecycle_valid(const LeadLifecycle *lifecycle);
extern void leadscore_lifecycle_begin(LeadLifecycle *lifecycle, int64 birth);
extern void leadscore_lifecycle_settle(LeadLifecycle *lifecycle);
extern void leadscore_lifecycle_resume(LeadLifecycle *lifecycle, int64 at);
extern void leadscore_lifecycle_step(LeadLifecycle *lifecycle, const LeadStep *steps,
									 int nsteps, int64 now);
extern void leadscore_lifecycle_count(LeadLifecycle *lifecycle, const LeadStep *step,
									  int sign);
extern int64 leadscore_lifecycle_leap(LeadLifecycle *lifecycle, const LeadStep *steps,
									  int64 nsteps, int64 end, int64 *stride);
extern void leadscore_lifecycle_advance(LeadLifecycle *lifecycle, int64 until);
extern void leadscore_lifecycle_activate(LeadLifecycle *lifecycle, int64 at,
										 Scorer *scorer, Evaluation *evaluation);
extern void leadscore_lifecycle_expect(LeadLifecycle *lifecycle, int64 at);
extern bool leadscore_lifecycle_keeps(const LeadLifecycle *lifecycle, int64 from);
extern int64 leadscore_lifecycle_next_review(const LeadLifecycle *lifecycle, int64 known,
											 bool exact);

#endif							/* LEADSCORE_LIFECYCLE_H */
