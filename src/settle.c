/*-------------------------------------------------------------------------
 *
 * settle.c
 *		How the recorded stage of a lead moves.
 *
 * A lead is promoted as soon as its qualified stage is higher than its stage,
 * and demoted only as the model allows.  Milestones move it whatever its
 * points.  After an exit or a step back it is held: points promote it again
 * only after a later positive event.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "settle.h"

#include "stage.h"

static const char *const cause_names[] = {
	"created", "points", "decay", "milestone", "set", "profile", "activation",
	"rebuild"
};

const char *
leadscore_cause_name(StageCause cause)
{
	return cause_names[cause];
}

static inline LeadGrain
course_grain(const LeadCourse *course)
{
	return course->activity->grain;
}

static bool
is_exit(uint8 stage)
{
	return stage < LEAD_STAGE_VISITOR;
}

/* A history has no infinity, nor what is so far off that it cannot be shown. */
static int64
nearest_instant(int64 at)
{
	return Min(Max(at, bucket_start(FIRST_DAY, GRAIN_DAY)), bucket_start(LAST_DAY, GRAIN_DAY));
}

static void
evaluate(LeadCourse *course, int64 at)
{
	if (course->scorer)
		leadscore_evaluate(course->scorer, course->activity,
						   bucket_of(at, course_grain(course)), course->evaluation);
}

/* Move to a stage; the evaluation must be that of the instant. */
static void
move(LeadCourse *course, uint8 stage, int64 at, StageCause cause)
{
	uint8		from = course->standing.stage;
	StageChange change;

	if (from == stage)
		return;
	/* a history is in order, whatever arrives late */
	at = Max(nearest_instant(at), course->stage_since);
	if (is_exit(from) && !is_exit(stage))
		course->cycle++;
	course->standing.stage = stage;
	course->standing.held = is_exit(stage) || stage < from;
	change.from_since = course->stage_since;
	course->stage_since = at;

	change.from_stage = from;
	change.to_stage = stage;
	change.cause = cause;
	change.cycle = course->cycle;
	change.effective_at = at;
	change.score = course->scorer ? course->evaluation->total : 0;
	course->changed(course->context, &change);
}

/* Move as the points and gates of an instant say. */
static void
reconsider(LeadCourse *course, int64 at, StageCause cause)
{
	evaluate(course, at);
	if (course->scorer)
		move(course, leadscore_next_stage(course->scorer, course->evaluation,
										  course->standing), at, cause);
}

/* Does a milestone of a stage move a lead from where it is? */
static bool
milestone_applies(uint8 stage, uint8 target)
{
	if (is_exit(target))
		return stage < LEAD_STAGE_CUSTOMER && stage != target;
	/* a prospect is an sql that sales has contacted */
	if (target == LEAD_STAGE_PROSPECT)
		return stage == LEAD_STAGE_SQL;
	return target > stage;
}

/* Apply what the passing of time changes, bucket by bucket. */
static void
pass_time(LeadCourse *course, int64 from, int64 until)
{
	LeadGrain	grain = course_grain(course);
	int32		bucket = bucket_of(from, grain);
	int32		last = bucket_of(until, grain);

	if (course->scorer == NULL)
		return;
	while (bucket < last)
	{
		bucket = leadscore_standing_change(course->scorer, course->activity,
										   bucket, last, course->standing);
		if (bucket == BUCKET_NEVER)
			break;
		reconsider(course, bucket_start(bucket, grain), CAUSE_DECAY);
	}
}

/* The first stage of a lead: what it qualifies for as it is created */
void
leadscore_course_begin(LeadCourse *course, int64 created_at)
{
	StageChange change;

	course->standing.stage = LEAD_STAGE_VISITOR;
	course->standing.held = false;
	course->cycle = 1;
	created_at = nearest_instant(created_at);
	course->stage_since = created_at;
	course->settled_at = created_at;
	evaluate(course, created_at);
	if (course->scorer)
		course->standing.stage = leadscore_next_stage(course->scorer, course->evaluation,
													  course->standing);
	change.from_stage = 0;
	change.from_since = 0;
	change.to_stage = course->standing.stage;
	change.cause = CAUSE_CREATED;
	change.cycle = course->cycle;
	change.effective_at = created_at;
	change.score = course->scorer ? course->evaluation->total : 0;
	course->changed(course->context, &change);
}

/*
 * Apply all that was due up to an instant because time passed.  Settles no
 * further than to the last change, so that events of the time since then,
 * which may still be on their way, are not late.
 */
void
leadscore_course_catch_up(LeadCourse *course, int64 until)
{
	uint8		stage = course->standing.stage;

	if (until <= course->settled_at)
		return;
	pass_time(course, course->settled_at, until);
	if (course->standing.stage != stage)
		course->settled_at = Max(course->settled_at, course->stage_since);
}

/* The stage that a step is a milestone of; 0 if of none that applies */
static uint8
milestone_of(const LeadCourse *course, const LeadStep *step)
{
	uint8		target = 0;
	int			i;

	if (course->scorer == NULL || !step->milestones)
		return 0;
	for (i = 0; i < step->ncounts; i++)
	{
		int			index = lead_model_signal_index(course->scorer->model,
													step->counts[i].signal);
		uint8		stage = index == NO_INDEX ? 0 : course->scorer->entry_stage[index];

		if (stage > target && milestone_applies(course->standing.stage, stage))
			target = stage;
	}
	return target;
}

static bool
is_positive(const LeadCourse *course, const LeadStep *step)
{
	int			i;

	if (course->scorer == NULL || step->sign < 0)
		return false;
	for (i = 0; i < step->ncounts; i++)
	{
		int			index = lead_model_signal_index(course->scorer->model,
													step->counts[i].signal);

		if (index != NO_INDEX && course->scorer->positive[index] &&
			step->counts[i].count > 0)
			return true;
	}
	return false;
}

/*
 * Apply a step.  If it comes late, time is run again from the step (or from
 * where the stage began, which history does not go behind) to where it was:
 * the activity knows the score at any bucket in between.  A step of a future
 * bucket is counted; what it changes comes with its time.
 */
void
leadscore_course_step(LeadCourse *course, const LeadStep *step, int64 now)
{
	LeadGrain	grain = course_grain(course);
	int32		bucket = bucket_of(step->at, grain);
	int64		at = Min(Max(step->at, bucket_start(first_bucket(grain), grain)),
						 bucket_start(last_bucket(grain), grain));
	bool		late = at < course->settled_at;
	bool		future = bucket > bucket_of(now, grain);
	uint8		target;
	int			i;

	if (!late && !future)
	{
		leadscore_course_catch_up(course, at);
		course->settled_at = at;
	}
	for (i = 0; i < step->ncounts && !step->counted; i++)
		lead_activity_count(course->activity, step->counts[i].signal,
							step->timeless ? BUCKET_TIMELESS : bucket,
							step->sign * step->counts[i].count);

	if (at >= course->stage_since && course->standing.held && !future &&
		is_positive(course, step))
		course->standing.held = false;
	at = Max(at, course->stage_since);
	target = step->set_stage;
	if (target == 0)
		target = milestone_of(course, step);
	if (target != 0 && step->sign > 0)
	{
		evaluate(course, at);
		move(course, target, at, step->set_stage ? CAUSE_SET : CAUSE_MILESTONE);
	}
	if (future)
		return;
	reconsider(course, at, step->timeless ? CAUSE_PROFILE : CAUSE_POINTS);
	if (late)
		pass_time(course, at, course->settled_at);
}

/* Does a step do nothing but count, for a lead that stays where it is? */
static bool
only_counts(const LeadCourse *course, const LeadStep *step)
{
	int			i;

	if (step->set_stage != 0 || step->timeless || step->sign < 0 || step->counted ||
		(course->standing.held && is_positive(course, step)))
		return false;
	for (i = 0; i < step->ncounts && course->scorer; i++)
	{
		int			index = lead_model_signal_index(course->scorer->model,
													step->counts[i].signal);

		if (index != NO_INDEX && course->scorer->entry_stage[index] != 0)
			return false;
	}
	return true;
}

/* Add the counts of some steps to an activity; the result is reset. */
static void
add_counts(const ActivityList *activity, const LeadStep *steps, int64 nsteps,
		   ActivityList *result)
{
	ActivityList added;
	int64		i;
	int			j;

	lead_activity_init(&added, activity->grain, 64);
	for (i = 0; i < nsteps; i++)
		for (j = 0; j < steps[i].ncounts; j++)
			lead_activity_append(&added, steps[i].counts[j].signal,
								 bucket_of(steps[i].at, activity->grain),
								 steps[i].counts[j].count);
	lead_activity_normalize(&added);
	lead_activity_merge(activity, &added, 1, result);
	pfree(added.items);
}

/*
 * Apply steps in the order of their time.  Most do nothing but count: as many
 * of them as bounds tell of are counted at once, for to look at each of n
 * steps of a lead takes time that grows with the square of n.
 */
void
leadscore_course_steps(LeadCourse *course, const LeadStep *steps, int64 nsteps, int64 now)
{
	LeadGrain	grain = course_grain(course);
	int64		stride = nsteps;
	ActivityList most;
	int64		i = 0;

	lead_activity_init(&most, grain, course->activity->nitems);
	while (i < nsteps)
	{
		int64		n = 0;

		while (n < Min(stride, nsteps - i) && only_counts(course, &steps[i + n]) &&
			   steps[i + n].at >= course->settled_at &&
			   bucket_of(steps[i + n].at, grain) <= bucket_of(now, grain))
			n++;
		for (; n > 1; n /= 2)
		{
			int64		until = steps[i + n - 1].at;
			int32		from = bucket_of(course->settled_at, grain);

			add_counts(course->activity, &steps[i], n, &most);
			if (course->scorer == NULL ||
				leadscore_standing_stays(course->scorer, course->activity, from, &most,
										 from, bucket_of(until, grain), course->standing))
			{
				lead_activity_copy(&most, course->activity);
				course->settled_at = until;
				break;
			}
		}
		stride = Max(n * 2, 2);
		if (n < 2)
		{
			leadscore_course_step(course, &steps[i], now);
			n = 1;
		}
		i += n;
	}
	pfree(most.items);
}

/* Look at a lead again at an instant, under a model that may be new. */
void
leadscore_course_review(LeadCourse *course, int64 at, StageCause cause)
{
	course->settled_at = Max(course->settled_at, at);
	reconsider(course, course->settled_at, cause);
}

/*
 * The instant when time alone changes the stage next, NEVER if it does not.
 */
int64
leadscore_course_next_review(const LeadCourse *course)
{
	LeadGrain	grain = course_grain(course);
	int32		bucket;

	if (course->scorer == NULL)
		return NEVER;
	bucket = leadscore_standing_change(course->scorer, course->activity,
									   bucket_of(course->settled_at, grain),
									   last_bucket(grain), course->standing);
	return bucket == BUCKET_NEVER ? NEVER : bucket_start(bucket, grain);
}
