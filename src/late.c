/*-------------------------------------------------------------------------
 *
 * late.c
 *		What late and removed events do to the history of a lead, without its log.
 *
 * Most events that come late change no stage, and to replay a lead from its log
 * takes time that grows with the log.  The activity knows all counts by bucket,
 * and stage_log says where the lead stood in each.  What is not known is in which
 * order the counts of one bucket came.
 *
 * So two questions tell that a history stands.  Of a stretch in which the lead
 * stayed in its stage: does it stay there with the new counts, whatever the order
 * in each bucket?  Of a bucket in which the stage changed: do the old counts and
 * the new ones decide alike, whatever part of that bucket has come?  Then a
 * replay would find no first difference.
 *
 * And often the event is itself the instant from which the lead is in a stage that
 * it came to later.  Then one row takes the place of those after it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "checkpoint.h"
#include "late.h"
#include "stage.h"

/* with more changes after the event to look at, reading the log is cheaper */
#define MAX_CHANGES		16

/* or with more instants of late events than this, each looked at by itself */
#define MAX_INSTANTS	16

/* The model that came into use last, did it after an instant? */
static bool
model_is_newer(const Writer *writer, int64 at)
{
	const Pipeline *pipeline = writer->pipeline;

	/* events before the first activation are judged by the first model too */
	return pipeline->nperiods > 1 &&
		pipeline->periods[pipeline->nperiods - 1].activated_at >= at;
}

/* Does the buffer have changes of a lead that are not in its history yet? */
static bool
is_appended(const HistoryBuffer *appended, int64 lead_id)
{
	int			i;

	for (i = 0; i < appended->n; i++)
		if (appended->rows[i].lead_id == lead_id)
			return true;
	return false;
}

/*
 * May a promotion be blocked at first after change i?  An exit and a step back
 * block it.  A stage that was suspended comes back as blocked as it was before,
 * which the history does not say.
 */
static bool
may_begin_blocked(const LoggedStage *stages, int i)
{
	const LoggedStage *change = &stages[i];
	bool		comes_back = i > 0 && change->from_stage == LEAD_STAGE_VISITOR &&
		stages[i - 1].from_stage > LEAD_STAGE_VISITOR && !stages[i - 1].is_lead;

	return change->to_stage < LEAD_STAGE_VISITOR || change->to_stage < change->from_stage || comes_back;
}

/* Does a late event of [from, until) give points? */
static bool
any_positive(const LeadLifecycle *lifecycle, const DeltaList *list, int64 begin, int64 end,
			 int64 from, int64 until)
{
	int64		i;

	for (i = begin; i < end; i++)
	{
		LeadStep	step = leadscore_delta_step(list, &list->deltas[i]);

		if (delta_is_late(lifecycle, &list->deltas[i]) && step.at >= from && step.at < until &&
			leadscore_step_is_positive(lifecycle->scorer, &step))
			return true;
	}
	return false;
}

/* Is a late event in a bucket? */
static bool
any_in_bucket(const LeadLifecycle *lifecycle, const DeltaList *list, int64 begin, int64 end,
			  int32 bucket)
{
	int64		i;

	for (i = begin; i < end; i++)
		if (delta_is_late(lifecycle, &list->deltas[i]) &&
			bucket_of(list->deltas[i].at, lifecycle->activity->grain) == bucket)
			return true;
	return false;
}

/* The standing that a change of the past has led to, whose promotion nothing blocks */
static LeadStanding
standing_after(const LeadLifecycle *lifecycle, const LoggedStage *change)
{
	LeadStanding standing = lifecycle->standing;

	standing.stage = change->to_stage;
	standing.promotion_blocked = false;
	return standing;
}

/*
 * Do the old counts and those of now decide alike in the bucket of changes
 * `first` to `last`?  The lead stood at the stage before the first of them, and
 * then at those that they led to.
 */
static bool
changes_alike(const LeadLifecycle *lifecycle, const ActivityList *before, const LoggedStage *stages,
			  int first, int last, int32 bucket)
{
	LeadStanding *standings = palloc(sizeof(LeadStanding) * 2 * (last - first + 2));
	int			n = 0;
	int			i;
	bool		alike;

	for (i = first - 1; i <= last; i++)
	{
		standings[n++] = standing_after(lifecycle, &stages[i]);
		if (may_begin_blocked(stages, i))
		{
			standings[n] = standings[n - 1];
			standings[n++].promotion_blocked = true;
		}
	}
	alike = leadscore_standings_alike(lifecycle->scorer, before, lifecycle->activity, bucket,
									  standings, n);
	pfree(standings);
	return alike;
}

/*
 * Does a lead keep the stages that it has had since an instant, before which
 * change `first` of n was the last?  `before` is its activity without the late
 * events, the earliest of which is of that instant.
 */
static bool
history_stands(const LeadLifecycle *lifecycle, const ActivityList *before, const LoggedStage *stages,
			   int n, int first, const DeltaList *list, int64 begin, int64 end, int64 from)
{
	LeadGrain	grain = lifecycle->activity->grain;
	int			i;

	for (i = first; i < n - 1; i++)
		if (may_begin_blocked(stages, i) &&
			any_positive(lifecycle, list, begin, end, stages[i].effective_at, stages[i + 1].effective_at))
			return false;
	for (i = first + 1; i < n; i++)
	{
		int			last = i;
		int32		bucket = bucket_of(stages[i].effective_at, grain);

		while (last + 1 < n && bucket_of(stages[last + 1].effective_at, grain) == bucket)
			last++;
		if (any_in_bucket(lifecycle, list, begin, end, bucket) ||
			!changes_alike(lifecycle, before, stages, i, last, bucket))
			return false;
		i = last;
	}
	for (i = first; i < n; i++)
	{
		int32		start = i == first ? bucket_of(from, grain) : bucket_of(stages[i].effective_at, grain) + 1;
		int32		last = i == n - 1 ? bucket_of(lifecycle->processed_until, grain) :
			bucket_of(stages[i + 1].effective_at, grain) - 1;
		LeadStanding standing = i == n - 1 ? lifecycle->standing : standing_after(lifecycle, &stages[i]);

		if (start <= last &&
			!leadscore_standing_keeps(lifecycle->scorer, lifecycle->activity, start, last, &standing))
			return false;
	}
	return true;
}

/*
 * Do the late events of an instant promote a lead to a stage in which it stays?
 * Then the history after change `last` is that promotion, and is corrected so.
 */
static bool
promote_late(Writer *writer, LeadRecord *record, const ActivityList *before, const LoggedStage *stages,
			 int last, const DeltaList *list, int64 begin, int64 end, int64 at)
{
	LeadLifecycle *lifecycle = &record->lifecycle;
	LeadGrain	grain = writer->pipeline->grain;
	int32		bucket = bucket_of(at, grain);
	int32		until = bucket_of(lifecycle->processed_until, grain);
	LeadStanding standing = standing_after(lifecycle, &stages[last]);
	StageChange change = {.from_stage = standing.stage,.cause = CAUSE_POINTS,.is_lead = true,
		.cycle = stages[last].cycle,.effective_at = at,.from_since = stages[last].effective_at
	};
	ActivityList counts;
	HistoryBuffer history;
	int64		i;
	int			j;

	/*
	 * an exit, a milestone and a promotion that is blocked have rules of
	 * their own
	 */
	if (may_begin_blocked(stages, last) || writer->pipeline->nsegment_activations > 0 ||
		(lifecycle->milestone_at != NEVER && lifecycle->milestone_at >= at))
		return false;
	lead_activity_init(&counts, grain, 16);
	for (i = begin; i < end; i++)
	{
		LeadStep	step = leadscore_delta_step(list, &list->deltas[i]);

		for (j = 0; j < step.ncounts; j++)
			lead_activity_count(&counts, step.counts[j].signal, step.counts[j].value, bucket, step.counts[j].count);
	}
	if (!leadscore_counts_promote(lifecycle->scorer, before, &counts, bucket, &standing,
								  &change.to_stage, &change.score))
		return false;
	standing.stage = change.to_stage;
	if (bucket < until &&
		!leadscore_standing_keeps(lifecycle->scorer, lifecycle->activity, bucket + 1, until, &standing))
		return false;

	leadscore_history_init(&history, CurrentMemoryContext);
	history.lead_id = record->lead_id;
	history.model = writer->history->model;
	history.kept_stages = stages[last].seq;
	leadscore_stage_changed(&history, &change);
	leadscore_correct_history(writer, &history);
	lifecycle->standing = standing;
	lifecycle->stage_since = at;
	Assert(leadscore_lifecycle_valid(lifecycle));
	return true;
}

/*
 * Bring the history of a lead, whose state is locked, up to date with late events
 * that are counted already, the earliest of which is of an instant.  `before` is
 * the activity without them.  `stays`: no change of the history is younger, and
 * there may have to be one.  False if only the log can tell, or if it is to be
 * asked of one instant after the other.
 */
static bool
correct_from_history(Writer *writer, LeadRecord *record, const ActivityList *before,
					 const DeltaList *list, int64 begin, int64 end, int64 from, bool stays)
{
	LeadLifecycle *lifecycle = &record->lifecycle;
	LoggedStage *stages;
	int			n;
	int			first;
	int64		i;

	/* what is before a purge is counted elsewhere */
	if (lifecycle->scorer == NULL || leadscore_has_baseline(writer) ||
		is_appended(&writer->appended, record->lead_id))
		return false;
	/* a loss of consent suspends a stage, which the history does not say */
	if (lifecycle->standing.suspended != 0 ||
		!leadscore_lead_by_profile(lifecycle->scorer, before) ||
		!leadscore_lead_by_profile(lifecycle->scorer, lifecycle->activity))
		return false;
	stages = leadscore_history_stages(writer->pipeline, record->lead_id, &n);
	for (first = n - 1; first >= 0 && stages[first].effective_at >= from; first--)
		;
	if (first < 0 || n - 1 - first > MAX_CHANGES ||
		stages[n - 1].to_stage != lifecycle->standing.stage ||
		stages[n - 1].effective_at != lifecycle->stage_since)
		return false;
	if (!stays && history_stands(lifecycle, before, stages, n, first, list, begin, end, from))
		return true;
	for (i = begin; i < end; i++)
		if (list->deltas[i].at != from || list->deltas[i].removed)
			return false;
	return promote_late(writer, record, before, stages, first, list, begin, end, from);
}

/*
 * Count events that come late or are removed, and correct the history, if the
 * log is not needed for that: all of them must be points of a time in which the
 * profile, the segments and the model were those of now.  Which event blocks a
 * promotion, or has unblocked it, only the log can tell.  Without a lock on the
 * state nothing is read.  False if the log must be; the record is spoilt then.
 */
bool
leadscore_count_late(Writer *writer, LeadRecord *record, const DeltaList *list, int64 begin, int64 end,
					 bool locked)
{
	LeadLifecycle *lifecycle = &record->lifecycle;
	LeadGrain	grain = writer->pipeline->grain;
	int64		from = NEVER;
	ActivityList before;
	int			ninstants = 0;
	bool		stays;
	int64		next;
	int64		i;

	if (locked)
	{
		lead_activity_init(&before, grain, lifecycle->activity->nitems);
		lead_activity_copy(lifecycle->activity, &before);
	}
	for (i = begin; i < end; i++)
	{
		LeadStep	step = leadscore_delta_step(list, &list->deltas[i]);

		if (!delta_is_late(lifecycle, &list->deltas[i]))
			continue;
		if (i == begin || list->deltas[i].at != list->deltas[i - 1].at)
			ninstants++;
		if (leadscore_step_moves(lifecycle->scorer, &step) ||
			((lifecycle->standing.promotion_blocked || list->deltas[i].removed) &&
			 leadscore_step_is_positive(lifecycle->scorer, &step)))
			return false;
		leadscore_lifecycle_count(lifecycle, &step, list->deltas[i].removed ? -1 : 1);
		/* future buckets do not count yet */
		if (bucket_of(step.at, grain) <= bucket_of(writer->counts_until, grain))
			from = Min(from, step.at);
	}
	if (from == NEVER)
		return true;
	if (from > lifecycle->processed_until || model_is_newer(writer, from) ||
		(lifecycle->segments_since != NEVER && lifecycle->segments_since >= from) ||
		(lifecycle->profile_at != NEVER && lifecycle->profile_at >= from))
		return false;
	stays = lifecycle->stage_since < from &&
		(lifecycle->milestone_at == NEVER || lifecycle->milestone_at < from);
	if (stays && leadscore_lifecycle_keeps(lifecycle, from))
		return true;
	if (!locked)
		return false;
	if (correct_from_history(writer, record, &before, list, begin, end, from, stays))
		return true;
	if (ninstants > MAX_INSTANTS || list->deltas[begin].at == list->deltas[end - 1].at)
		return false;

	/*
	 * The order in which instants arrive makes no difference.  One is not
	 * divided: what a part of it would do was never so.
	 */
	lead_activity_copy(&before, lifecycle->activity);
	for (i = begin; i < end; i = next)
	{
		for (next = i + 1; next < end && list->deltas[next].at == list->deltas[i].at; next++)
			;
		if (!leadscore_count_late(writer, record, list, i, next, true))
			return false;
	}
	return true;
}
