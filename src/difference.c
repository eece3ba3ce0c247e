/*-------------------------------------------------------------------------
 *
 * difference.c
 *		What of a stored lead differs from a replay of its log.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/timestamp.h"

#include "difference.h"
#include "stage.h"

/* The stage of a record in words */
static char *
describe_stage(const LeadLifecycle *lifecycle)
{
	const LeadStanding *standing = &lifecycle->standing;

	return psprintf("%s since %s, cycle %d%s%s%s", lead_stage_label(standing->stage),
					timestamptz_to_str(lifecycle->stage_since), lifecycle->cycle,
					standing->suspended ? ", suspended " : "",
					standing->suspended ? lead_stage_label(standing->suspended) : "",
					standing->promotion_blocked ? ", promotion blocked" : "");
}

/*
 * Do two lifecycles stand at the same stage, since the same time and in the
 * same way?
 */
static bool
same_stage(const LeadLifecycle *a, const LeadLifecycle *b)
{
	return a->standing.stage == b->standing.stage &&
		a->standing.suspended == b->standing.suspended &&
		a->standing.promotion_blocked == b->standing.promotion_blocked &&
		a->stage_since == b->stage_since && a->cycle == b->cycle;
}

/*
 * Do the instants of a stored lifecycle, by which a later write decides if it may
 * do without the log, tell what a replay says?  What was processed once may be
 * gone from the log; to take more than it has for processed is right.
 */
static bool
same_instants(const LeadLifecycle *stored, const LeadLifecycle *right)
{
	return stored->milestone_at == right->milestone_at && stored->profile_at == right->profile_at &&
		stored->processed_until >= right->processed_until;
}

/* An instant in words, NULL if there is none */
static char *
describe_instant(int64 at)
{
	return at == NEVER ? NULL : pstrdup(timestamptz_to_str(at));
}

/* Put into a difference which of these instants does not. */
static void
describe_instants(const LeadLifecycle *stored, const LeadLifecycle *right, Difference *difference)
{
	int64		was = stored->processed_until;
	int64		is = right->processed_until;

	difference->problem = "processed_until is too early";
	if (stored->milestone_at != right->milestone_at)
	{
		difference->problem = "milestone_at differs from the events";
		was = stored->milestone_at;
		is = right->milestone_at;
	}
	else if (stored->profile_at != right->profile_at)
	{
		difference->problem = "profile_at differs from profile_change";
		was = stored->profile_at;
		is = right->profile_at;
	}
	difference->stored = describe_instant(was);
	difference->expected = describe_instant(is);
}

/* The segments of a record in words */
static char *
describe_segments(const LeadLifecycle *lifecycle)
{
	const SegmentSet *set = lifecycle->scorer ? lifecycle->scorer->segments : NULL;
	StringInfoData text;
	int			i;

	initStringInfo(&text);
	for (i = 0; set && i < set->n; i++)
		if (segment_is_member(&lifecycle->standing.segments, i))
			appendStringInfo(&text, "%s%s", text.len > 0 ? ", " : "", set->segments[i].name);
	if (lifecycle->segments_since != NEVER)
		appendStringInfo(&text, "%ssince %s", text.len > 0 ? " " : "none ",
						 timestamptz_to_str(lifecycle->segments_since));
	return text.data;
}

/*
 * Does the row in the writer's slot list these segments?  A number that is of no
 * active segment, or comes twice, is in no LeadLifecycle.
 */
static bool
lists_segments(const Writer *writer, const LeadLifecycle *lifecycle, Difference *difference)
{
	TupleTableSlot *slot = writer->state.slot;
	int			column = writer->pipeline->columns.segments - 1;
	bool		isnull;
	Datum		segments = leadscore_segments_array(lifecycle, &isnull);

	if (isnull ? slot->tts_isnull[column] :
		!slot->tts_isnull[column] && datum_image_eq(slot->tts_values[column], segments, false, -1))
		return true;
	difference->stored = slot->tts_isnull[column] ? NULL :
		OidOutputFunctionCall(F_ARRAY_OUT, slot->tts_values[column]);
	difference->expected = isnull ? NULL : OidOutputFunctionCall(F_ARRAY_OUT, segments);
	return false;
}

/* The text form of an activity */
static char *
activity_text(const ActivityList *activity)
{
	char	   *text = palloc(lead_activity_formatted_bound(activity) + 1);

	lead_activity_format(activity, text);
	return text;
}

/*
 * Would a sweep that reads no log bring a lead to where its replay has?  It would
 * not if what was loaded changes no count, but a stage.
 */
static bool
sweeps_right(Writer *writer, LeadRecord *stored, const LeadRecord *right, HistoryBuffer *replayed)
{
	HistoryBuffer swept;
	HistoryDifference history;
	int			i;

	leadscore_history_init(&swept, CurrentMemoryContext);
	swept.lead_id = stored->lead_id;
	writer->history = &swept;
	stored->lifecycle.context = &swept;
	leadscore_period_begin(writer, stored);
	leadscore_run(writer, stored, NULL, 0);
	leadscore_lifecycle_advance(&stored->lifecycle, writer->counts_until);
	writer->history = &writer->appended;
	/* its birth, at least, is stored or closed by a purge */
	if (swept.n + (replayed->kept_stages > 0 ? 0 : 1) > replayed->n ||
		swept.nsegments > replayed->nsegments)
		return false;
	replayed->n -= swept.n;
	replayed->nsegments -= swept.nsegments;
	for (i = 0; i < swept.n; i++)
		if (swept.rows[i].change.to_stage != replayed->rows[replayed->n + i].change.to_stage ||
			swept.rows[i].change.effective_at != replayed->rows[replayed->n + i].change.effective_at)
			return false;
	return same_stage(&stored->lifecycle, &right->lifecycle) &&
		same_instants(&stored->lifecycle, &right->lifecycle) &&
		memcmp(&stored->lifecycle.standing.segments, &right->lifecycle.standing.segments,
			   sizeof(SegmentBits)) == 0 &&
		!leadscore_history_correct(writer->pipeline, replayed, writer->snapshot, &history);
}

/*
 * Compare the lead and the state in the writer's slots with the log.  The stage
 * of a lead that is behind the configuration, or due to be looked at, is the
 * next write's or sweep's work; a rebuild looks if a sweep would get it right.
 * False if nothing differs.
 */
bool
leadscore_lead_differs(LogReader *log, LeadRecord *stored, bool repairs, Difference *difference)
{
	Writer	   *writer = log->writer;
	HistoryBuffer replayed;
	LeadRecord	right;
	HistoryDifference history;
	int32		segments_seq = writer->appended.segments_seq;
	int64		review;
	int16		level;
	bool		is_behind;

	difference->lead_id = stored->lead_id;
	right.lead_id = stored->lead_id;
	leadscore_replay(log, &right, &replayed, NULL);
	if (!stored->valid)
	{
		difference->problem = "state is not valid";
		return true;
	}
	if (stored->configuration >= writer->pipeline->signals_configuration &&
		!lead_activity_equal(&stored->activity, &right.activity))
	{
		difference->problem = "activity differs from the events and the profile";
		difference->stored = activity_text(&stored->activity);
		difference->expected = activity_text(&right.activity);
		return true;
	}
	is_behind = stored->configuration < writer->pipeline->configuration;
	/* a level that is too high is right, and the next sweep lowers it */
	level = is_behind ? 0 : leadscore_record_level(writer, stored, 0);
	if (!is_behind && stored->level < level)
	{
		difference->problem = "level is too low";
		difference->stored = psprintf("%d", stored->level);
		difference->expected = psprintf("%d", level);
		return true;
	}
	if (is_behind || stored->next_review <= writer->now)
	{
		/* a sweep reads the log of some */
		if (!repairs || stored->lifecycle.pending_at <= writer->now ||
			leadscore_configuration_is_late(writer, stored) ||
			sweeps_right(writer, stored, &right, &replayed))
			return false;
		difference->problem = "stage differs from the events";
		return true;
	}
	if (writer->profiles.n > 0)
	{
		difference->problem = "profile_change differs from the profile";
		difference->stored = NULL;
		difference->expected = pstrdup(writer->profiles.rows[0].signal);
		return true;
	}
	if (leadscore_history_correct(writer->pipeline, &replayed, writer->snapshot, &history))
	{
		difference->problem = psprintf("%s differs from the events", history.table);
		difference->stored = history.stored;
		difference->expected = history.expected;
		return true;
	}
	/* rows that were deleted may have left gaps */
	if (segments_seq < replayed.segments_seq)
	{
		difference->problem = "segments_seq is too low";
		difference->stored = psprintf("%d", segments_seq);
		difference->expected = psprintf("%d", replayed.segments_seq);
		return true;
	}
	if (!same_stage(&stored->lifecycle, &right.lifecycle))
	{
		difference->problem = "stage differs from the events";
		difference->stored = describe_stage(&stored->lifecycle);
		difference->expected = describe_stage(&right.lifecycle);
		return true;
	}
	if (memcmp(&stored->lifecycle.standing.segments, &right.lifecycle.standing.segments,
			   sizeof(SegmentBits)) != 0 ||
		stored->lifecycle.segments_since != right.lifecycle.segments_since)
	{
		difference->problem = "segments differ from the events";
		difference->stored = describe_segments(&stored->lifecycle);
		difference->expected = describe_segments(&right.lifecycle);
		return true;
	}
	if (!lists_segments(writer, &right.lifecycle, difference))
	{
		difference->problem = "segments are not listed in order, once each";
		return true;
	}
	if (!same_instants(&stored->lifecycle, &right.lifecycle))
	{
		describe_instants(&stored->lifecycle, &right.lifecycle, difference);
		return true;
	}
	/* it may come too early, but never too late */
	review = leadscore_lifecycle_next_review(&right.lifecycle, NEVER, true);
	if (stored->next_review > review || stored->lifecycle.pending_at > right.lifecycle.pending_at)
	{
		difference->problem = "next_review_at is too late";
		difference->stored = describe_instant(stored->next_review);
		difference->expected = describe_instant(review);
		return true;
	}
	return false;
}
