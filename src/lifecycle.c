/*-------------------------------------------------------------------------
 *
 * lifecycle.c
 *		How the recorded stage of a lead moves, and how it enters and leaves
 *		segments.
 *
 * A lead is promoted as soon as its qualified stage is higher than its stage,
 * and demoted only as the model allows.  Milestones move it whatever its
 * points.  After an exit or a step back its promotion is blocked: points
 * promote it again only after a later positive event.  A lead that loses
 * consent is a visitor, and its stage is suspended until consent is given
 * again.
 *
 * All events of one instant are one step, so that the order of arrival never
 * matters: first all its counts, of the profile and of events; then promotions
 * by these; then stages set by hand and milestones, up the funnel and exits
 * last; then points and gates again.  Segments are looked at once all that is
 * done, since they may ask for the stage.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lifecycle.h"

#include "segment_match.h"
#include "stage.h"

/* fewer steps than this are looked at one by one */
#define LEAST_LEAP	4

static const char *const cause_names[] = {
	"created", "points", "decay", "milestone", "set", "profile", "activation"
};

static const char *const segment_cause_names[] = {
	"created", "event", "profile", "time", "definition", "activation"
};

/* The word for a cause in stage_log */
const char *
leadscore_cause_name(StageCause cause)
{
	return cause_names[cause];
}

/* The word for a cause in segment_log */
const char *
leadscore_segment_cause_name(SegmentCause cause)
{
	return segment_cause_names[cause];
}

/* The width of the buckets that a lifecycle counts in */
static inline LeadGrain
lifecycle_grain(const LeadLifecycle *lifecycle)
{
	return lifecycle->activity->grain;
}

/* Is a stage outside of the funnel: lost, recycled, disqualified? */
static inline bool
is_exit(uint8 stage)
{
	return stage < LEAD_STAGE_VISITOR;
}

/* Stages that only a lead can be in */
static inline bool
is_for_leads(uint8 stage)
{
	return stage > LEAD_STAGE_VISITOR && stage < LEAD_STAGE_CUSTOMER;
}

/* Do the invariants hold that must hold between two calls? */
bool
leadscore_lifecycle_valid(const LeadLifecycle *lifecycle)
{
	return lead_stage_label(lifecycle->standing.stage) != NULL &&
		(lifecycle->standing.suspended == 0 ||
		 (lifecycle->standing.stage == LEAD_STAGE_VISITOR &&
		  is_for_leads(lifecycle->standing.suspended))) &&
		lifecycle->cycle >= 1 && lifecycle->stage_since <= lifecycle->processed_until &&
		(lifecycle->segments_since == NEVER || lifecycle->segments_since <= lifecycle->processed_until);
}

/* Score the lead at an instant. */
static void
evaluate(LeadLifecycle *lifecycle, int64 at)
{
	if (lifecycle->scorer)
		leadscore_evaluate(lifecycle->scorer, lifecycle->activity,
						   bucket_of(at, lifecycle_grain(lifecycle)), lifecycle->evaluation);
	lifecycle->is_evaluated = lifecycle->scorer != NULL;
}

/* Is the contact a lead as of the evaluation? */
static bool
is_lead(const LeadLifecycle *lifecycle)
{
	return lifecycle->scorer == NULL ||
		leadscore_is_lead(lifecycle->scorer, lifecycle->evaluation);
}

/* Hand a change of stage to the callback; the evaluation is that of the instant. */
static void
report(LeadLifecycle *lifecycle, uint8 from, int64 from_since, StageCause cause)
{
	StageChange change = {0};

	change.from_stage = from;
	change.to_stage = lifecycle->standing.stage;
	change.cause = cause;
	change.is_lead = is_lead(lifecycle);
	change.cycle = lifecycle->cycle;
	change.effective_at = lifecycle->stage_since;
	change.from_since = from_since;
	change.score = lifecycle->scorer ? lifecycle->evaluation->total : 0;
	lifecycle->changed(lifecycle->context, &change);
}

/* Move to another stage at an instant that was evaluated. */
static void
move(LeadLifecycle *lifecycle, uint8 stage, int64 at, StageCause cause)
{
	LeadStanding *standing = &lifecycle->standing;
	uint8		from = standing->stage;
	int64		from_since = lifecycle->stage_since;

	Assert(from != stage);
	Assert(at >= from_since);
	if (stage == LEAD_STAGE_VISITOR && cause != CAUSE_SET &&
		is_for_leads(from) && !is_lead(lifecycle))
	{
		/* the stage comes back when consent is given again */
		standing->suspended = from;
	}
	else
	{
		if (from != LEAD_STAGE_VISITOR || standing->suspended == 0 || is_exit(stage))
			standing->promotion_blocked = is_exit(stage) || stage < from;
		standing->suspended = 0;
	}
	if (is_exit(from) && !is_exit(stage))
		lifecycle->cycle++;
	standing->stage = stage;
	lifecycle->stage_since = at;
	report(lifecycle, from, from_since, cause);
}

/*
 * Move as the points and gates of an instant say; only up if a milestone of the
 * same instant is still to decide.
 */
static void
reconsider(LeadLifecycle *lifecycle, int64 at, StageCause cause, bool only_up)
{
	uint8		stage;

	evaluate(lifecycle, at);
	if (lifecycle->scorer == NULL)
		return;
	stage = leadscore_next_stage(lifecycle->scorer, lifecycle->evaluation,
								 &lifecycle->standing);
	if (stage > lifecycle->standing.stage ||
		(stage < lifecycle->standing.stage && !only_up))
		move(lifecycle, stage, at, cause);
}

/* Hand a segment that a lead entered or left to the callback. */
static void
report_segment(LeadLifecycle *lifecycle, const Segment *segment, bool entered, int64 at,
			   SegmentCause cause)
{
	SegmentChange change = {0};

	change.segment = segment->name;
	change.entered = entered;
	change.cause = cause;
	change.effective_at = at;
	lifecycle->segments_since = at;
	lifecycle->segment_changed(lifecycle->context, &change);
}

/*
 * Hand over the segments that a lead was born in.  This waits until all of the
 * instant of birth is done: what its events take away the lead was never in.
 */
void
leadscore_lifecycle_settle(LeadLifecycle *lifecycle)
{
	const SegmentSet *set = lifecycle->scorer ? lifecycle->scorer->segments : NULL;
	int			i;

	if (!lifecycle->is_being_born)
		return;
	lifecycle->is_being_born = false;
	for (i = 0; set && i < set->n; i++)
		if (segment_is_member(&lifecycle->standing.segments, i))
			report_segment(lifecycle, &set->segments[i], true, lifecycle->processed_until, SEGMENT_CREATED);
}

/* Enter and leave segments as an instant says that was evaluated. */
static void
review_segments(LeadLifecycle *lifecycle, int64 at, SegmentCause cause)
{
	const SegmentSet *set = lifecycle->scorer ? lifecycle->scorer->segments : NULL;
	SegmentBits *members = &lifecycle->standing.segments;
	SegmentBits now;
	int			i;

	if (set == NULL)
		return;
	leadscore_segments_at(lifecycle->scorer, lifecycle->evaluation, lifecycle->standing.stage, &now);
	if (lifecycle->is_being_born)
	{
		for (i = 0; i < (int) lengthof(now.words); i++)
			members->words[i] &= now.words[i];
		leadscore_lifecycle_settle(lifecycle);
	}
	if (memcmp(&now, members, sizeof(now)) == 0)
		return;
	for (i = 0; i < set->n; i++)
		if (segment_is_member(&now, i) != segment_is_member(members, i))
			report_segment(lifecycle, &set->segments[i], segment_is_member(&now, i), at, cause);
	*members = now;
}

/*
 * Number the segments of a lead as another scorer does: those that are active
 * no more are left.
 */
static void
renumber_segments(LeadLifecycle *lifecycle, const Scorer *scorer, int64 at)
{
	const SegmentSet *old = lifecycle->scorer ? lifecycle->scorer->segments : NULL;
	SegmentBits members = {0};
	int			i;

	for (i = 0; old && i < old->n; i++)
	{
		int			number;

		if (!segment_is_member(&lifecycle->standing.segments, i))
			continue;
		number = leadscore_segment_index(scorer->segments, old->segments[i].id);
		if (number == NO_INDEX)
			report_segment(lifecycle, &old->segments[i], false, at, SEGMENT_DEFINITION);
		else
			segment_set_member(&members, number);
	}
	lifecycle->standing.segments = members;
}

/* Does a milestone of a stage move a lead from where it is? */
static bool
milestone_applies(uint8 stage, uint8 target)
{
	/* a customer can be lost, but was a lead, and is no matter of marketing */
	if (is_exit(target))
		return stage != target && (stage < LEAD_STAGE_CUSTOMER || target == LEAD_STAGE_LOST);
	/* a prospect is an sql that sales has contacted */
	if (target == LEAD_STAGE_PROSPECT)
		return stage == LEAD_STAGE_SQL;
	return target > stage;
}

/* The stage that a signal is a milestone of, 0 if of none */
static uint8
milestone_of(const Scorer *scorer, int signal)
{
	int			index = scorer ? lead_model_signal_index(scorer->model, signal) : NO_INDEX;

	return index == NO_INDEX ? 0 : scorer->entry_stage[index];
}

/* Does a step move a stage by itself, and not by points? */
bool
leadscore_step_moves(const Scorer *scorer, const LeadStep *step)
{
	int			i;

	if (step->set_stage != 0)
		return true;
	for (i = 0; i < step->ncounts; i++)
		if (step->counts[i].count > 0 && milestone_of(scorer, step->counts[i].signal) != 0)
			return true;
	return false;
}

/*
 * Does a step give points?  That is a reason to promote a lead again if it is
 * an event: a profile says who a lead is, not that it has come back.
 */
bool
leadscore_step_is_positive(const Scorer *scorer, const LeadStep *step)
{
	int			i;

	for (i = 0; i < step->ncounts && scorer; i++)
	{
		int			index = lead_model_signal_index(scorer->model, step->counts[i].signal);

		if (index != NO_INDEX && scorer->positive[index] && step->counts[i].count > 0)
			return true;
	}
	return false;
}

/* Move to one stage of an instant, if that is allowed. */
static void
move_to(LeadLifecycle *lifecycle, uint8 target, bool set, bool milestone, int64 at)
{
	uint8		stage = lifecycle->standing.stage;

	if (is_for_leads(target) && !is_lead(lifecycle))
		return;
	if (set && stage != target)
		move(lifecycle, target, at, CAUSE_SET);
	else if (milestone && milestone_applies(stage, target))
		move(lifecycle, target, at, CAUSE_MILESTONE);
}

/*
 * Apply the milestones of an instant and the stages set by hand: up the
 * funnel, then exits, the gravest last.
 */
static void
apply_moves(LeadLifecycle *lifecycle, int64 at, const LeadStep *steps, int nsteps)
{
	bool		set[LEAD_STAGE_ADVOCATE + 1] = {false};
	bool		milestone[LEAD_STAGE_ADVOCATE + 1] = {false};
	int			stage;
	int			i;
	int			j;

	for (i = 0; i < nsteps; i++)
	{
		set[steps[i].set_stage] = true;
		for (j = 0; j < steps[i].ncounts; j++)
			if (steps[i].counts[j].count > 0)
				milestone[milestone_of(lifecycle->scorer, steps[i].counts[j].signal)] = true;
	}
	for (stage = LEAD_STAGE_VISITOR; stage <= LEAD_STAGE_ADVOCATE; stage++)
		move_to(lifecycle, stage, set[stage], milestone[stage], at);
	for (stage = LEAD_STAGE_VISITOR - 1; stage > 0; stage--)
		move_to(lifecycle, stage, set[stage], milestone[stage], at);
}

/* Apply changes by the passing of time, bucket by bucket. */
static void
pass_time(LeadLifecycle *lifecycle, int64 from, int64 until)
{
	LeadGrain	grain = lifecycle_grain(lifecycle);
	int32		bucket = bucket_of(from, grain);
	int32		last = bucket_of(until, grain);

	while (lifecycle->scorer && bucket < last)
	{
		bucket = leadscore_standing_change(lifecycle->scorer, lifecycle->activity,
										   bucket, last, &lifecycle->standing, true);
		if (bucket == BUCKET_NEVER)
			break;
		reconsider(lifecycle, bucket_start(bucket, grain), CAUSE_DECAY, false);
		review_segments(lifecycle, bucket_start(bucket, grain), SEGMENT_TIME);
	}
}

/*
 * Begin a lead's lifecycle: its first stage is the one that it qualifies for by
 * the counts that the activity holds already.  Its segments are handed over
 * later, by leadscore_lifecycle_settle().
 */
void
leadscore_lifecycle_begin(LeadLifecycle *lifecycle, int64 birth)
{
	Assert(birth == nearest_instant(birth));
	lifecycle->standing.stage = LEAD_STAGE_VISITOR;
	lifecycle->standing.suspended = 0;
	lifecycle->standing.promotion_blocked = false;
	lifecycle->cycle = 1;
	lifecycle->stage_since = birth;
	lifecycle->processed_until = birth;
	lifecycle->milestone_at = NEVER;
	lifecycle->profile_at = NEVER;
	lifecycle->pending_at = NEVER;
	lifecycle->quiet_until = PG_INT64_MIN;
	lifecycle->segments_since = NEVER;
	memset(&lifecycle->standing.segments, 0, sizeof(SegmentBits));
	evaluate(lifecycle, birth);
	if (lifecycle->scorer)
		lifecycle->standing.stage = leadscore_next_stage(lifecycle->scorer,
														 lifecycle->evaluation,
														 &lifecycle->standing);
	report(lifecycle, 0, 0, CAUSE_CREATED);
	if (lifecycle->scorer && lifecycle->scorer->segments)
		leadscore_segments_at(lifecycle->scorer, lifecycle->evaluation, lifecycle->standing.stage,
							  &lifecycle->standing.segments);
	lifecycle->is_being_born = true;
	Assert(leadscore_lifecycle_valid(lifecycle));
}

/*
 * Go on from where a lead stood at an instant, after what time changed in it.
 * Its activity may hold more by now than it did then; if it does not, nothing
 * changes.
 */
void
leadscore_lifecycle_resume(LeadLifecycle *lifecycle, int64 at)
{
	lifecycle->processed_until = at;
	lifecycle->quiet_until = PG_INT64_MIN;
	lifecycle->is_being_born = false;
	reconsider(lifecycle, at, CAUSE_POINTS, false);
	review_segments(lifecycle, at, SEGMENT_EVENT);
	Assert(leadscore_lifecycle_valid(lifecycle));
}

/*
 * Apply all that was due up to an instant because time passed.  An event that
 * comes after a change, but is dated before it, is late; so no more is taken
 * for processed than up to the last change.
 */
void
leadscore_lifecycle_advance(LeadLifecycle *lifecycle, int64 until)
{
	if (until <= lifecycle->processed_until)
		return;
	leadscore_lifecycle_settle(lifecycle);
	if (until >= lifecycle->quiet_until)
	{
		LeadGrain	grain = lifecycle_grain(lifecycle);
		int32		bucket = bucket_of(until, grain);

		pass_time(lifecycle, lifecycle->processed_until, until);
		lifecycle->quiet_until = bucket < last_bucket(grain) ? bucket_start(bucket + 1, grain) : NEVER;
	}
	lifecycle->processed_until = Max(lifecycle->processed_until, lifecycle->stage_since);
	if (lifecycle->segments_since != NEVER)
		lifecycle->processed_until = Max(lifecycle->processed_until, lifecycle->segments_since);
}

/* Something is dated ahead: look again at an instant. */
void
leadscore_lifecycle_expect(LeadLifecycle *lifecycle, int64 at)
{
	lifecycle->pending_at = Min(lifecycle->pending_at, at);
}

/* Add the counts of a step to the activity, or with sign -1 take them out. */
void
leadscore_lifecycle_count(LeadLifecycle *lifecycle, const LeadStep *step, int sign)
{
	int32		bucket = step->profile ? BUCKET_TIMELESS :
		bucket_of(step->at, lifecycle_grain(lifecycle));
	int			i;

	lifecycle->quiet_until = PG_INT64_MIN;
	lifecycle->is_evaluated = false;
	for (i = 0; i < step->ncounts; i++)
		lead_activity_count(lifecycle->activity, step->counts[i].signal, step->counts[i].value,
							bucket, sign * step->counts[i].count);
}

/* Does a step do no more than count, to a lead that stays in its stage? */
static bool
only_counts(const LeadLifecycle *lifecycle, const LeadStep *step)
{
	return !step->profile && !leadscore_step_moves(lifecycle->scorer, step) &&
		!(lifecycle->standing.promotion_blocked &&
		  leadscore_step_is_positive(lifecycle->scorer, step));
}

/* An activity with the counts of some steps; the result is reset. */
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
			lead_activity_append(&added, steps[i].counts[j].signal, steps[i].counts[j].value,
								 bucket_of(steps[i].at, activity->grain),
								 steps[i].counts[j].count);
	lead_activity_normalize(&added);
	lead_activity_merge(activity, &added, 1, result);
	pfree(added.items);
}

/*
 * Apply as many of some steps before an instant at once as certainly move no
 * stage; returns how many.  To look at each of many steps of a lead takes time
 * that grows with the square of their number.  In *stride is how many are tried
 * at first, and then how many to try next.
 */
int64
leadscore_lifecycle_leap(LeadLifecycle *lifecycle, const LeadStep *steps, int64 nsteps,
						 int64 end, int64 *stride)
{
	LeadGrain	grain = lifecycle_grain(lifecycle);
	int32		from = bucket_of(lifecycle->processed_until, grain);
	bool		leapt = false;
	int64		n = 0;
	ActivityList most;

	while (n < Min(*stride, nsteps) && steps[n].at < end && only_counts(lifecycle, &steps[n]))
		n++;
	if (n < LEAST_LEAP)
	{
		*stride = LEAST_LEAP;
		return 0;
	}
	lead_activity_init(&most, grain, lifecycle->activity->nitems);
	while (n >= LEAST_LEAP && !leapt)
	{
		int64		until;

		/* an instant is not divided */
		while (n > 0 && n < nsteps && steps[n].at == steps[n - 1].at)
			n--;
		if (n == 0)
			break;
		until = steps[n - 1].at;
		add_counts(lifecycle->activity, steps, n, &most);
		if (lifecycle->scorer == NULL ||
			leadscore_standing_stays(lifecycle->scorer, lifecycle->activity, from, &most,
									 from, bucket_of(until, grain), &lifecycle->standing))
		{
			leadscore_lifecycle_settle(lifecycle);
			lead_activity_copy(&most, lifecycle->activity);
			lifecycle->is_evaluated = false;
			lifecycle->quiet_until = PG_INT64_MIN;
			lifecycle->processed_until = until;
			leapt = true;
		}
		else
			n /= 2;
	}
	pfree(most.items);
	Assert(leadscore_lifecycle_valid(lifecycle));
	if (!leapt)
		n = 0;
	*stride = Max(2 * n, LEAST_LEAP);
	return n;
}

/*
 * Apply all that happens in one instant, which must not be before
 * processed_until.  Points count from the beginning of their bucket, so the
 * instant may be later in the bucket of now; a milestone waits for its time.
 */
void
leadscore_lifecycle_step(LeadLifecycle *lifecycle, const LeadStep *steps, int nsteps,
						 int64 now)
{
	int64		at = steps[0].at;
	bool		events = false;
	bool		positive = false;
	bool		moves = false;
	int			i;

	Assert(at == nearest_instant(at));
	Assert(at >= lifecycle->processed_until);
	leadscore_lifecycle_advance(lifecycle, at);
	for (i = 0; i < nsteps; i++)
	{
		Assert(steps[i].at == at);
		leadscore_lifecycle_count(lifecycle, &steps[i], 1);
		moves |= leadscore_step_moves(lifecycle->scorer, &steps[i]);
		if (steps[i].profile)
			lifecycle->profile_at = at;
		else
		{
			events = true;
			positive |= leadscore_step_is_positive(lifecycle->scorer, &steps[i]);
		}
	}
	lifecycle->processed_until = at;
	if (positive && at > lifecycle->stage_since)
		lifecycle->standing.promotion_blocked = false;
	if (moves && at > now)
	{
		leadscore_lifecycle_expect(lifecycle, at);
		moves = false;
	}
	reconsider(lifecycle, at, events ? CAUSE_POINTS : CAUSE_PROFILE, moves);
	if (moves)
	{
		lifecycle->milestone_at = at;
		apply_moves(lifecycle, at, steps, nsteps);
		reconsider(lifecycle, at, CAUSE_POINTS, false);
	}
	review_segments(lifecycle, at, events ? SEGMENT_EVENT : SEGMENT_PROFILE);
	Assert(leadscore_lifecycle_valid(lifecycle));
}

/* Go on under another model, or with other segments, from an instant on. */
void
leadscore_lifecycle_activate(LeadLifecycle *lifecycle, int64 at, Scorer *scorer,
							 Evaluation *evaluation)
{
	SegmentCause cause = lifecycle->scorer && lifecycle->scorer->model->hash == scorer->model->hash ?
		SEGMENT_DEFINITION : SEGMENT_ACTIVATION;

	Assert(at >= lifecycle->processed_until);
	leadscore_lifecycle_advance(lifecycle, at);
	leadscore_lifecycle_settle(lifecycle);
	renumber_segments(lifecycle, scorer, at);
	lifecycle->scorer = scorer;
	lifecycle->evaluation = evaluation;
	lifecycle->is_evaluated = false;
	lifecycle->quiet_until = PG_INT64_MIN;
	lifecycle->processed_until = at;
	reconsider(lifecycle, at, CAUSE_ACTIVATION, false);
	review_segments(lifecycle, at, cause);
	Assert(leadscore_lifecycle_valid(lifecycle));
}

/*
 * Does the activity as it is give the stage of now, all the time from an instant
 * up to processed_until?  True is certain.  Only for a time in which the
 * profile and the model were those of now.
 */
bool
leadscore_lifecycle_keeps(const LeadLifecycle *lifecycle, int64 from)
{
	LeadGrain	grain = lifecycle_grain(lifecycle);

	if (lifecycle->scorer == NULL)
		return true;

	/*
	 * A promotion that is blocked was so all the time.  One that is not may
	 * have been: then less would have moved it.
	 */
	return leadscore_standing_keeps(lifecycle->scorer, lifecycle->activity,
									bucket_of(from, grain),
									bucket_of(lifecycle->processed_until, grain),
									&lifecycle->standing);
}

/*
 * The instant when the stage or a segment must be looked at next, NEVER if there
 * is none; unless it is to be exact, it may be too early.  Of an instant that is
 * known only an earlier one is looked for.
 */
int64
leadscore_lifecycle_next_review(const LeadLifecycle *lifecycle, int64 known, bool exact)
{
	LeadGrain	grain = lifecycle_grain(lifecycle);
	int32		after = bucket_of(lifecycle->processed_until, grain);
	int32		bucket;

	if (lifecycle->scorer == NULL || lifecycle->quiet_until == NEVER)
		return lifecycle->pending_at;
	/* a bucket that was looked at already may look like one of a change */
	if (lifecycle->quiet_until > lifecycle->processed_until)
		after = Max(after, bucket_of(lifecycle->quiet_until - 1, grain));
	bucket = leadscore_standing_change(lifecycle->scorer, lifecycle->activity, after,
									   known == NEVER ? last_bucket(grain) : bucket_of(known, grain) - 1,
									   &lifecycle->standing, exact);
	if (bucket == BUCKET_NEVER)
		return Min(lifecycle->pending_at, known);
	return Min(lifecycle->pending_at, bucket_start(bucket, grain));
}
