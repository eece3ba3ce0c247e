/*-------------------------------------------------------------------------
 *
 * settle.h
 *		How the recorded stage of a lead moves: through events, milestones and
 *		the passing of time, in event-time order.
 *
 * Like scoring this is a pure function of its input; what it decides is
 * handed to a callback.  So live inserts, a COPY of years and a rebuild run
 * the same code.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_SETTLE_H
#define LEADSCORE_SETTLE_H

#include "score.h"

/* Why a stage changed */
typedef enum StageCause
{
	CAUSE_CREATED,
	CAUSE_POINTS,
	CAUSE_DECAY,
	CAUSE_MILESTONE,
	CAUSE_SET,
	CAUSE_PROFILE,
	CAUSE_ACTIVATION,
	CAUSE_REBUILD
} StageCause;

/* A stage change; instants are microseconds since 2000-01-01 UTC */
typedef struct StageChange
{
	uint8		from_stage;		/* 0 for the first of a lead */
	uint8		to_stage;
	StageCause	cause;
	int32		cycle;
	int64		effective_at;
	int64		from_since;		/* when from_stage began, if there is one */
	int64		score;			/* milli-points */
} StageChange;

typedef void (*StageChanged) (void *context, const StageChange *change);

/* The recorded stage of one lead while it moves */
typedef struct LeadCourse
{
	Scorer	   *scorer;			/* NULL without an active model */
	Evaluation *evaluation;		/* room for one */
	ActivityList *activity;
	LeadStanding standing;
	int32		cycle;
	int64		stage_since;
	int64		settled_at;		/* all that was due up to then is applied */
	StageChanged changed;
	void	   *context;
} LeadCourse;

/* One count of a signal */
typedef struct SignalCount
{
	int64		count;
	int32		signal;			/* id */
	int32		unused;
} SignalCount;

/* What an event does: counts of signals, and a stage that it sets */
typedef struct LeadStep
{
	int64		at;
	const SignalCount *counts;
	int			ncounts;
	int			sign;			/* -1 takes an event back */
	uint8		set_stage;		/* 0: none */
	bool		milestones;		/* do its signals act as milestones? */
	bool		timeless;		/* a change of the profile */
	bool		counted;		/* the activity has its counts already */
} LeadStep;

extern const char *leadscore_cause_name(StageCause cause);
extern void leadscore_course_begin(LeadCourse *course, int64 created_at);
extern void leadscore_course_step(LeadCourse *course, const LeadStep *step, int64 now);
extern void leadscore_course_steps(LeadCourse *course, const LeadStep *steps,
								   int64 nsteps, int64 now);
extern void leadscore_course_catch_up(LeadCourse *course, int64 until);
extern void leadscore_course_review(LeadCourse *course, int64 at, StageCause cause);
extern int64 leadscore_course_next_review(const LeadCourse *course);

#define NEVER	PG_INT64_MAX

#endif							/* LEADSCORE_SETTLE_H */
