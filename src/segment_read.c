/*-------------------------------------------------------------------------
 *
 * segment_read.c
 *		The functions by which apps ask for the segments of a lead.
 *
 * The past is what segment_history says, the time to come what a sweep would
 * write if nothing happened until then.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "app.h"
#include "segment_match.h"
#include "stage.h"
#include "sweep.h"

/* A segment must be defined; so a slip of the pen is not taken for "no". */
static void
check_segment(Pipeline *pipeline, Datum segment, Snapshot snapshot)
{
	char	   *names;

	if (leadscore_app_run(pipeline, FIND_SEGMENT, &segment, NULL, snapshot) > 0)
		return;
	leadscore_app_run(pipeline, LIST_SEGMENTS, NULL, NULL, snapshot);
	names = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("segment \"%s\" does not exist", TextDatumGetCString(segment)),
			 errhint("Segments of this pipeline: %s.", names ? names : "none")));
}

/* States are found by an index: so not in a pipeline that is distributed. */
static void
check_states(Pipeline *pipeline)
{
	if (!leadscore_app_cache(pipeline)->plain)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("segments of single leads cannot be read in pipeline \"%s\"",
						get_namespace_name(pipeline->part.schema)),
				 errdetail("Its leads are distributed, or table \"lead_state\" has no primary key (lead_id)."),
				 errhint("Query the views segment_members and segment_history.")));
}

/* What the history says of a lead and a segment at an instant */
static bool
in_segment_log(Pipeline *pipeline, int64 lead_id, Datum segment, TimestampTz at, Snapshot snapshot)
{
	Datum		values[3];
	bool		isnull;

	values[0] = Int64GetDatum(lead_id);
	values[1] = segment;
	values[2] = TimestampTzGetDatum(at);
	return leadscore_app_run(pipeline, IN_SEGMENT_AT, values, NULL, snapshot) > 0 &&
		DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

/* in_segment(external_id, segment, at), in_segment_by_id(lead_id, segment, at) */
Datum
leadscore_in_segment(FunctionCallInfo fcinfo)
{
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	TimestampTz at = PG_ARGISNULL(2) ? now : PG_GETARG_TIMESTAMPTZ(2);
	Snapshot	snapshot = GetActiveSnapshot();
	UserSwitch	caller;
	Pipeline   *pipeline;
	int64		lead_id;
	bool		found = false;
	bool		result = false;

	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();
	pipeline = leadscore_read_begin(fcinfo, &caller);
	check_states(pipeline);
	check_segment(pipeline, PG_GETARG_DATUM(1), snapshot);
	if (leadscore_find_argument(fcinfo, pipeline, snapshot, &caller, &lead_id))
	{
		LeadForecast *forecast = NULL;
		bool		current = at <= now && leadscore_state_is_current(pipeline, lead_id, snapshot, &found);
		bool		told = false;

		if (!current)
			forecast = leadscore_forecast(pipeline->part, lead_id, nearest_instant(at));
		if (forecast)
		{
			char	   *segment = TextDatumGetCString(PG_GETARG_DATUM(1));
			int			i;

			found = true;
			told = forecast->told_from <= nearest_instant(at);
			for (i = 0; i < forecast->nchanges && forecast->changes[i].effective_at <= at; i++)
				if (strcmp(forecast->changes[i].segment, segment) == 0)
				{
					result = forecast->changes[i].entered;
					told = true;
				}
		}
		if (found && !told)
			result = in_segment_log(pipeline, lead_id, PG_GETARG_DATUM(1), at, snapshot);
	}
	leadscore_read_end(&caller);
	if (!found)
		PG_RETURN_NULL();
	PG_RETURN_BOOL(result);
}

/* A lead as segments look at it now */
typedef struct LeadNow
{
	Scorer	   *scorer;
	Evaluation *evaluation;
	ActivityList activity;		/* which the evaluation looks at */
	uint8		stage;
	SegmentBits members;
} LeadNow;

/* Evaluate the lead of the first argument; false if there is none, or no segment. */
static bool
evaluate_argument(FunctionCallInfo fcinfo, Pipeline *pipeline, const UserSwitch *caller,
				  LeadNow *lead)
{
	Snapshot	snapshot = GetActiveSnapshot();
	ModelPeriod *period;
	int64		lead_id;

	check_states(pipeline);
	if (pipeline->nperiods == 0 ||
		!leadscore_find_argument(fcinfo, pipeline, snapshot, caller, &lead_id) ||
		!leadscore_find_state(pipeline, lead_id, snapshot, &lead->activity, &lead->stage))
		return false;
	period = leadscore_period_now(pipeline);
	lead->scorer = period->scorer;
	lead->evaluation = period->evaluation;
	if (lead->scorer->segments == NULL)
		return false;
	leadscore_evaluate(lead->scorer, &lead->activity,
					   bucket_of(GetCurrentTransactionStartTimestamp(), pipeline->grain), lead->evaluation);
	leadscore_segments_at(lead->scorer, lead->evaluation, lead->stage, &lead->members);
	return true;
}

/* A persona, and how much of it a lead has */
typedef struct Match
{
	const Segment *segment;
	int64		share;			/* in thousandths */
	bool		member;
} Match;

/* The best match first, then by name */
static int
match_cmp(const void *a, const void *b)
{
	const Match *x = a;
	const Match *y = b;

	if (x->share != y->share)
		return x->share > y->share ? -1 : 1;
	return strcmp(x->segment->name, y->segment->name);
}

/* persona_match(external_id), persona_match_by_id(lead_id) */
Datum
leadscore_persona_match(FunctionCallInfo fcinfo)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	UserSwitch	caller;
	Pipeline   *pipeline;
	LeadNow		lead;
	Match		matches[MAX_SEGMENTS];
	int			n = 0;
	int			i;

	InitMaterializedSRF(fcinfo, 0);
	pipeline = leadscore_read_begin(fcinfo, &caller);
	if (evaluate_argument(fcinfo, pipeline, &caller, &lead))
		for (i = 0; i < lead.scorer->segments->n; i++)
		{
			const Segment *segment = &lead.scorer->segments->segments[i];

			if (!segment->persona)
				continue;
			matches[n].segment = segment;
			/* rounded down, so that 1 is all of it */
			matches[n].share = leadscore_match_weight(lead.scorer, lead.evaluation, lead.stage,
													  &lead.members, segment) * WHOLE_SHARE / segment->weight;
			matches[n++].member = segment_is_member(&lead.members, i);
		}
	if (n > 1)
		qsort(matches, n, sizeof(Match), match_cmp);
	for (i = 0; i < n; i++)
	{
		Datum		values[4];
		bool		nulls[4] = {false, false, false, false};

		values[0] = CStringGetTextDatum(matches[i].segment->name);
		values[1] = leadscore_milli_numeric(matches[i].share);
		values[2] = BoolGetDatum(matches[i].member);
		values[3] = BoolGetDatum(matches[i].segment->ideal_customer);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	leadscore_read_end(&caller);
	return (Datum) 0;
}

/* Points in words */
static char *
points_text(int64 milli)
{
	return DatumGetCString(DirectFunctionCall1(numeric_out, leadscore_milli_numeric(milli)));
}

/* What a condition asks for, in words, and what the lead has of it */
static void
describe_condition(const LeadNow *lead, const SegmentCondition *c, char **asks, char **has)
{
	const char *unit = lead->scorer->model->grain == GRAIN_DAY ? "days" : "hours";

	switch (c->test)
	{
		case TEST_SIGNAL:
			if (c->lead_condition)
			{
				*asks = pstrdup(c->lead_condition);
				*has = leadscore_signal_count(lead->evaluation, c->signal, 0) >= c->min_count ? "true" : "false";
				break;
			}
			*asks = psprintf("signal %s", c->signal_name ? c->signal_name : "");
			if (c->min_count > 1)
				*asks = psprintf("%s, " INT64_FORMAT " times", *asks, c->min_count);
			if (c->within > 0)
				*asks = psprintf("%s within %d %s", *asks, c->within, unit);
			*has = psprintf(INT64_FORMAT, leadscore_signal_count(lead->evaluation, c->signal, c->within));
			break;
		case TEST_DIMENSION:
			*asks = psprintf("%s points of dimension %s", points_text(c->min_points), c->dimension_name);
			*has = points_text(c->dimension == NO_INDEX ? 0 : lead->evaluation->dimensions[c->dimension]);
			break;
		case TEST_SCORE:
			*asks = psprintf("a score of %s", points_text(c->min_points));
			*has = points_text(lead->evaluation->total);
			break;
		case TEST_STAGE:
			if (c->stage_from == 0)
				*asks = psprintf("stage up to %s", lead_stage_label(c->stage_to));
			else if (c->stage_from == c->stage_to)
				*asks = psprintf("stage %s", lead_stage_label(c->stage_from));
			else
				*asks = psprintf("stage from %s to %s", lead_stage_label(c->stage_from),
								 lead_stage_label(c->stage_to));
			*has = pstrdup(lead_stage_label(lead->stage));
			break;
		case TEST_SEGMENT:
			*asks = psprintf("segment %s", c->segment_name ? c->segment_name : "");
			*has = c->segment != NO_INDEX && segment_is_member(&lead->members, c->segment) ? "in it" : "not in it";
			break;
	}
	if (c->negate)
		*asks = psprintf("not: %s", *asks);
}

/* explain_segment(external_id, segment), explain_segment_by_id(lead_id, segment) */
Datum
leadscore_explain_segment(FunctionCallInfo fcinfo)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	UserSwitch	caller;
	Pipeline   *pipeline;
	LeadNow		lead;
	char	   *name;
	int			i;
	int			j;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(1))
		return (Datum) 0;
	name = TextDatumGetCString(PG_GETARG_DATUM(1));
	pipeline = leadscore_read_begin(fcinfo, &caller);
	check_segment(pipeline, PG_GETARG_DATUM(1), GetActiveSnapshot());
	if (evaluate_argument(fcinfo, pipeline, &caller, &lead))
		for (i = 0; i < lead.scorer->segments->n; i++)
		{
			const Segment *segment = &lead.scorer->segments->segments[i];

			if (strcmp(segment->name, name) != 0)
				continue;
			for (j = 0; j < segment->n; j++)
			{
				const SegmentCondition *c = &segment->conditions[j];
				Datum		values[5];
				bool		nulls[5] = {false, false, false, false, false};
				char	   *asks = NULL;
				char	   *has = NULL;

				describe_condition(&lead, c, &asks, &has);
				values[0] = CStringGetTextDatum(c->name);
				values[1] = CStringGetTextDatum(asks);
				values[2] = CStringGetTextDatum(has);
				values[3] = BoolGetDatum(leadscore_condition_met(lead.scorer, lead.evaluation, lead.stage,
																 &lead.members, c));
				values[4] = leadscore_milli_numeric(c->weight);
				tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
			}
		}
	leadscore_read_end(&caller);
	return (Datum) 0;
}
