/*-------------------------------------------------------------------------
 *
 * explain.c
 *		Why a score is what it is: rows that add up to it, to the milli-point.
 *
 * They come from the very functions that score.c adds up: the points of each
 * rule before its limit and cap, then what the limit, the cap, the clamp of
 * the dimension, its weight and the clamp of the score change, each in a row
 * of its own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "explain.h"
#include "score_parts.h"
#include "stage.h"

PG_FUNCTION_INFO_V1(leadscore_dimension_scores);
PG_FUNCTION_INFO_V1(leadscore_explain);
PG_FUNCTION_INFO_V1(leadscore_stage_gates);
PG_FUNCTION_INFO_V1(leadscore_top_rules);

/* top_rules() names so many */
#define TOP_RULES	3

/* Columns of explain() */
enum
{
	EXPLAIN_DIMENSION,
	EXPLAIN_RULE,
	EXPLAIN_SIGNAL,
	EXPLAIN_SOURCE,
	EXPLAIN_EVENTS,
	EXPLAIN_LAST_AT,
	EXPLAIN_POINTS,
	EXPLAIN_NOTE,
	EXPLAIN_COLUMNS
};

/* Append a row to the result. */
static void
put_row(ReturnSetInfo *rsinfo, Datum *values, bool *nulls)
{
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* dimension_scores(activity, model, at): a row for every dimension */
Datum
leadscore_dimension_scores(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ScorerCache *site;
	const LeadModel *model;
	const ModelDimension *dimensions;
	int			i;

	InitMaterializedSRF(fcinfo, 0);
	site = leadscore_scorer_cache_evaluate(fcinfo);
	model = site->scorer->model;
	dimensions = model_dimensions(model);
	for (i = 0; i < model->dimensions.n; i++)
	{
		int			grade = leadscore_grade(model, i, site->evaluation->dimensions[i]);
		Datum		values[4];
		bool		nulls[4] = {false, false, false, grade == NO_INDEX};

		values[0] = CStringGetTextDatum(MODEL_STRING(model, dimensions[i].name));
		values[1] = leadscore_milli_numeric(site->evaluation->dimensions[i]);
		values[2] = leadscore_milli_numeric(dimensions[i].weight);
		values[3] = grade == NO_INDEX ? (Datum) 0 :
			CStringGetTextDatum(MODEL_STRING(model, model_grades(model)[grade].name));
		put_row(rsinfo, values, nulls);
	}
	return (Datum) 0;
}

/*
 * Append a row about a dimension or a rule that is of no signal: points and a
 * note.
 */
static void
explain_row(ReturnSetInfo *rsinfo, const char *dimension, const char *rule,
			int64 points, const char *note)
{
	Datum		values[EXPLAIN_COLUMNS] = {0};
	bool		nulls[EXPLAIN_COLUMNS];

	memset(nulls, true, sizeof(nulls));
	if (dimension)
		values[EXPLAIN_DIMENSION] = CStringGetTextDatum(dimension);
	nulls[EXPLAIN_DIMENSION] = dimension == NULL;
	if (rule)
		values[EXPLAIN_RULE] = CStringGetTextDatum(rule);
	nulls[EXPLAIN_RULE] = rule == NULL;
	values[EXPLAIN_POINTS] = leadscore_milli_numeric(points);
	nulls[EXPLAIN_POINTS] = false;
	values[EXPLAIN_NOTE] = CStringGetTextDatum(note);
	nulls[EXPLAIN_NOTE] = false;
	put_row(rsinfo, values, nulls);
}

/* Milli-points as text, for notes */
static char *
points_text(int64 milli)
{
	return DatumGetCString(DirectFunctionCall1(numeric_out, leadscore_milli_numeric(milli)));
}

/*
 * A rule of quiet time by tiers in words: the tier that is reached, the points
 * that decide, and whose they are
 */
static void
add_tier_note(StringInfo note, const LeadModel *model, const Evaluation *e, const ModelRule *rule)
{
	int64		gross = leadscore_gross_points(e, rule);
	const ModelTier *tier = tier_reached(model, rule, gross);
	const ModelTier *first = MODEL_ITEMS(model, ModelTier, rule->tiers);

	appendStringInfo(note, tier ? ": tier from %s points" : ": no tier below %s points",
					 points_text((tier ? tier : first)->from));
	if (rule->of_dimension != NO_INDEX)
		appendStringInfo(note, " of %s", MODEL_STRING(model, model_dimensions(model)[rule->of_dimension].name));
	appendStringInfo(note, " (%s without such rules)", points_text(gross));
}

/* Milli-points as "1 point" or "2.5 points" */
static char *
points_words(int64 milli)
{
	return psprintf("%s point%s", points_text(milli), milli == 1000 || milli == -1000 ? "" : "s");
}

/* The rule in words: how its counts become points */
static char *
rule_note(const LeadModel *model, const Evaluation *e, const ModelRule *rule)
{
	int64		points = rule->points;
	const char *unit = model->grain == GRAIN_DAY ? "days" : "hours";
	StringInfoData note;

	if (rule_is_tiered_idle(rule))
		points = tier_points(rule, tier_reached(model, rule, leadscore_gross_points(e, rule)), 1);
	initStringInfo(&note);
	appendStringInfoString(&note, points_words(points));
	switch (rule->aggregate)
	{
		case AGGREGATE_SUM:
			appendStringInfoString(&note, " each");
			break;
		case AGGREGATE_LAST:
			appendStringInfoString(&note, " for the newest");
			break;
		case AGGREGATE_FIRST_N:
			appendStringInfo(&note, " for each of the first " INT64_FORMAT, rule->first_n);
			break;
		case AGGREGATE_DAYS:
			appendStringInfoString(&note, " for each active day");
			break;
		case AGGREGATE_PERIODS:
			if (rule->period == PERIOD_EVER)
				appendStringInfo(&note, " once there are " INT64_FORMAT, rule->min_count);
			else
				appendStringInfo(&note, " for each %s with at least " INT64_FORMAT,
								 lead_model_period_name(rule->period), rule->min_count);
			break;
		case AGGREGATE_TIER:
			resetStringInfo(&note);
			appendStringInfoString(&note, "points by tier");
			if (rule->within > 0)
				appendStringInfo(&note, " within %d %s", rule->within, unit);
			break;
		case AGGREGATE_IDLE:
			appendStringInfo(&note, " %s %d quiet %s", rule->repeat ? "for each" : "after",
							 rule->after, unit);
			if (rule_is_tiered_idle(rule))
				add_tier_note(&note, model, e, rule);
			break;
	}
	switch (rule->decay)
	{
		case DECAY_HALF_LIFE:
			appendStringInfo(&note, ", half-life %d %s", rule->decay_period, unit);
			break;
		case DECAY_LINEAR:
			appendStringInfo(&note, ", less %s%% of it in every %d %s",
							 points_text(rule->decay_percent), rule->decay_period, unit);
			break;
		case DECAY_STEP:
			appendStringInfo(&note, ", less %s%% of the rest after every %d %s",
							 points_text(rule->decay_percent), rule->decay_period, unit);
			break;
		case DECAY_WINDOW:
			appendStringInfo(&note, ", for %d %s", rule->decay_period, unit);
			break;
	}
	return note.data;
}

/* The rows of one rule; adds its points to the sum. */
static void
explain_rule(ReturnSetInfo *rsinfo, Scorer *scorer, const Evaluation *e,
			 int index, int64 *sum)
{
	const LeadModel *model = scorer->model;
	const ModelRule *rule = &model_rules(model)[index];
	const char *dimension = MODEL_STRING(model, model_dimensions(model)[rule->dimension].name);
	const char *name = MODEL_STRING(model, rule->name);
	int64		plain = leadscore_rule_points(scorer, e, index, false, false);
	int64		limited = leadscore_rule_points(scorer, e, index, true, false);
	int64		capped = leadscore_rule_points(scorer, e, index, true, true);
	int32		newest;
	int64		events = leadscore_rule_events(scorer, e, index, &newest);
	bool		missing;
	int			blocker;
	Datum		values[EXPLAIN_COLUMNS];
	bool		nulls[EXPLAIN_COLUMNS] = {false};
	const char *note;

	Assert(capped == e->rules[index]);
	if (events == 0 && plain == 0)
		return;
	blocker = leadscore_rule_blocker(scorer, e, index, &missing);
	if (blocker == NO_INDEX && scorer->distinct[rule->signal])
		note = psprintf("%s: " INT64_FORMAT " different of " INT64_FORMAT, rule_note(model, e, rule),
						leadscore_rule_values(scorer, e, index), events);
	else if (blocker == NO_INDEX)
		note = rule_note(model, e, rule);
	else
		note = psprintf(missing ? "counts only with signal \"%s\"" :
						"does not count with signal \"%s\"",
						model_signal_name(model, blocker));
	values[EXPLAIN_DIMENSION] = CStringGetTextDatum(dimension);
	values[EXPLAIN_RULE] = CStringGetTextDatum(name);
	values[EXPLAIN_SIGNAL] = CStringGetTextDatum(model_signal_name(model, rule->signal));
	values[EXPLAIN_SOURCE] = CStringGetTextDatum(lead_model_source_name(model_signals(model)[rule->signal].source));
	values[EXPLAIN_EVENTS] = Int64GetDatum(events);
	nulls[EXPLAIN_LAST_AT] = newest == PG_INT32_MIN;
	values[EXPLAIN_LAST_AT] = newest == PG_INT32_MIN ? (Datum) 0 :
		TimestampTzGetDatum(bucket_start(newest, (LeadGrain) model->grain));
	values[EXPLAIN_POINTS] = leadscore_milli_numeric(plain);
	values[EXPLAIN_NOTE] = CStringGetTextDatum(note);
	put_row(rsinfo, values, nulls);
	if (limited != plain)
		explain_row(rsinfo, dimension, name, limited - plain,
					psprintf("limit: the first " INT64_FORMAT " %s%s", rule->limit_count,
							 rule->limit_period == PERIOD_EVER ? "" : "of each ",
							 lead_model_period_name(rule->limit_period)));
	if (capped != limited)
		explain_row(rsinfo, dimension, name, capped - limited,
					psprintf("cap: at most %s points", points_text(rule->max_points)));
	*sum += capped;
}

/* Put the rows whose points add up to the score of an evaluation. */
void
leadscore_explain_rows(ReturnSetInfo *rsinfo, Scorer *scorer, const Evaluation *e)
{
	const LeadModel *model = scorer->model;
	const ModelDimension *dimensions = model_dimensions(model);
	const ModelRule *rules = model_rules(model);
	int64		total = 0;
	int			d;
	int			r;

	for (d = 0; d < model->dimensions.n; d++)
	{
		const char *name = MODEL_STRING(model, dimensions[d].name);
		int64		points = e->dimensions[d];
		int64		weighted = leadscore_weighted(points, dimensions[d].weight);
		int64		sum = 0;

		for (r = 0; r < model->rules.n; r++)
			if (rules[r].dimension == d)
				explain_rule(rsinfo, scorer, e, r, &sum);
		if (points != sum)
			explain_row(rsinfo, name, NULL, points - sum,
						psprintf("limit of the dimension: at %s %s points",
								 points > sum ? "least" : "most", points_text(points)));
		if (weighted != points)
			explain_row(rsinfo, name, NULL, weighted - points,
						dimensions[d].weight == 0 ? "shown, not in the score (weight 0)" :
						psprintf("weight %s", points_text(dimensions[d].weight)));
		total += weighted;
	}
	if (e->total != total)
		explain_row(rsinfo, NULL, NULL, e->total - total,
					psprintf("limit of the score: at %s %s points",
							 e->total > total ? "least" : "most", points_text(e->total)));
}

/* explain(activity, model, at): rows whose points add up to the score */
Datum
leadscore_explain(PG_FUNCTION_ARGS)
{
	ScorerCache *site;

	InitMaterializedSRF(fcinfo, 0);
	site = leadscore_scorer_cache_evaluate(fcinfo);
	leadscore_explain_rows((ReturnSetInfo *) fcinfo->resultinfo, site->scorer, site->evaluation);
	return (Datum) 0;
}

/* Does a rule come before another one among those that give most points? */
static bool
gives_more(const LeadModel *model, const Evaluation *e, int a, int b)
{
	const ModelRule *rules = model_rules(model);

	if (e->rules[a] != e->rules[b])
		return e->rules[a] > e->rules[b];
	return strcmp(MODEL_STRING(model, rules[a].name), MODEL_STRING(model, rules[b].name)) < 0;
}

/*
 * top_rules(activity, model, at): the rules that give most points, each with its
 * points after its limit and cap; NULL if none gives any.  The same could be had
 * from the rows of explain(), at the price of a set of rows for each lead.
 */
Datum
leadscore_top_rules(PG_FUNCTION_ARGS)
{
	ScorerCache *site = leadscore_scorer_cache_evaluate(fcinfo);
	const LeadModel *model = site->scorer->model;
	const Evaluation *e = site->evaluation;
	int			top[TOP_RULES + 1];
	int			n = 0;
	int			i;
	int			r;
	StringInfoData text;

	for (r = 0; r < model->rules.n; r++)
	{
		if (e->rules[r] <= 0)
			continue;
		for (i = n; i > 0 && gives_more(model, e, r, top[i - 1]); i--)
			top[i] = top[i - 1];
		top[i] = r;
		n = Min(n + 1, TOP_RULES);
	}
	if (n == 0)
		PG_RETURN_NULL();
	initStringInfo(&text);
	for (i = 0; i < n; i++)
		appendStringInfo(&text, "%s%s +%s", i > 0 ? ", " : "",
						 MODEL_STRING(model, model_rules(model)[top[i]].name), points_text(e->rules[top[i]]));
	PG_RETURN_TEXT_P(cstring_to_text_with_len(text.data, text.len));
}

/* What one row of a gate asks for, in words */
static char *
gate_text(const Scorer *scorer, const Evaluation *e, int index)
{
	const LeadModel *model = scorer->model;
	const ModelGate *gate = &model_gates(model)[index];
	StringInfoData text;

	initStringInfo(&text);
	if (gate_of_score(gate))
	{
		if (gate->negate)
			appendStringInfo(&text, "below %s points (now %s)", points_text(gate->min_points),
							 points_text(e->total));
		else
			appendStringInfo(&text, "%s (now %s of %s)",
							 points_words(gate->min_points - e->total), points_text(e->total),
							 points_text(gate->min_points));
		return text.data;
	}
	if (gate->dimension != NO_INDEX)
	{
		const char *name = MODEL_STRING(model, model_dimensions(model)[gate->dimension].name);

		appendStringInfo(&text, gate->negate ? "%s below %s points (now %s)" :
						 "%s points of %s (now %s)",
						 gate->negate ? name : points_text(gate->min_points),
						 gate->negate ? points_text(gate->min_points) : name,
						 points_text(e->dimensions[gate->dimension]));
		return text.data;
	}
	if (gate->negate)
		appendStringInfoString(&text, gate->min_count > 1 ? "fewer than " : "no ");
	if (gate->min_count > 1)
		appendStringInfo(&text, scorer->distinct[gate->signal] ? INT64_FORMAT " different " : INT64_FORMAT " ",
						 gate->min_count);
	appendStringInfoString(&text, model_signal_name(model, gate->signal));
	if (gate->within > 0)
		appendStringInfo(&text, " within %d %s", gate->within,
						 model->grain == GRAIN_DAY ? "days" : "hours");
	if (gate->min_count > 1)
		appendStringInfo(&text, " (now " INT64_FORMAT ")",
						 leadscore_gate_count(scorer, e, index));
	return text.data;
}

/* Add a line about a stage; nothing is missing if it is met. */
static List *
add_line(List *lines, uint8 stage, bool threshold, bool met, const char *gate, const char *missing)
{
	GateLine   *line = palloc(sizeof(GateLine));

	line->stage = stage;
	line->threshold = threshold;
	line->met = met;
	line->gate = gate;
	line->missing = met ? NULL : missing;
	return lappend(lines, line);
}

/* All gates of one stage: a line for each gate name */
static List *
add_gates(List *lines, const Scorer *scorer, const Evaluation *e,
		  const StageGates *stage, uint8 as_stage)
{
	const LeadModel *model = scorer->model;
	const ModelGate *gates = model_gates(model);
	int			end = stage->first_gate + stage->ngates;
	int			i = stage->first_gate;

	while (i < end)
	{
		const char *name = MODEL_STRING(model, gates[i].name);
		StringInfoData missing;
		bool		met = false;

		initStringInfo(&missing);
		for (; i < end && strcmp(MODEL_STRING(model, gates[i].name), name) == 0; i++)
		{
			met |= leadscore_gate_met(scorer, e, i);
			appendStringInfo(&missing, "%s%s", missing.len > 0 ? " or " : "",
							 gate_text(scorer, e, i));
		}
		lines = add_line(lines, as_stage, false, met, name, missing.data);
	}
	return lines;
}

/*
 * The gates of each stage: whether they are met, and what is missing.  The gate
 * "score" is the threshold.
 */
List *
leadscore_gate_lines(Scorer *scorer, const Evaluation *e)
{
	List	   *lines = NIL;
	const StageGates *iql = NULL;
	int			i;

	for (i = scorer->nstages - 1; i >= 0; i--)
	{
		const StageGates *stage = &scorer->stages[i];
		const ModelStageRule *rule = leadscore_stage_rule(scorer, e, stage);
		bool		gated = stage->ngates > 0 &&
			(scorer->model->gates_required || stage->stage == LEAD_STAGE_IQL);

		if (stage->stage == LEAD_STAGE_IQL)
			iql = stage;
		if (rule == NULL || (rule->min_score == NO_POINTS && !gated))
			continue;
		if (rule->min_score != NO_POINTS)
			lines = add_line(lines, stage->stage, true, e->total >= rule->min_score, "score",
							 points_words(rule->min_score - e->total));
		/* the gates of iql hold for every stage above it */
		if (iql != NULL && stage != iql)
			lines = add_gates(lines, scorer, e, iql, stage->stage);
		if (gated)
			lines = add_gates(lines, scorer, e, stage, stage->stage);
	}
	return lines;
}

/* Milestones, which put a lead into a stage whatever its points: a line each */
List *
leadscore_milestone_lines(const Scorer *scorer)
{
	const LeadModel *model = scorer->model;
	const ModelStageRule *rules = model_stage_rules(model);
	List	   *lines = NIL;
	int			i;
	int			j;

	for (i = 0; i < model->stage_rules.n; i++)
	{
		const int16 *signals = MODEL_ITEMS(model, int16, rules[i].entry_signals);
		StringInfoData text;

		if (rules[i].entry_signals.n == 0)
			continue;
		initStringInfo(&text);
		for (j = 0; j < rules[i].entry_signals.n; j++)
			appendStringInfo(&text, "%s%s", j == 0 ? "one of: " : ", ",
							 model_signal_name(model, signals[j]));
		lines = add_line(lines, rules[i].stage, false, false, "milestone", text.data);
	}
	return lines;
}

/* The gates of a stage that are not met, in words; NULL if all are */
char *
leadscore_missing_gates(Scorer *scorer, const Evaluation *e, uint8 stage)
{
	StringInfoData text;
	int			i;

	initStringInfo(&text);
	for (i = 0; i < scorer->nstages; i++)
	{
		ListCell   *lc;

		if (scorer->stages[i].stage != stage)
			continue;
		foreach(lc, add_gates(NIL, scorer, e, &scorer->stages[i], stage))
		{
			const GateLine *line = lfirst(lc);

			if (!line->met)
				appendStringInfo(&text, "%s%s (%s)", text.len > 0 ? ", " : "",
								 line->gate, line->missing);
		}
	}
	return text.len > 0 ? text.data : NULL;
}

/* stage_gates(activity, model, at): the gate lines as rows */
Datum
leadscore_stage_gates(PG_FUNCTION_ARGS)
{
	ScorerCache *site;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	site = leadscore_scorer_cache_evaluate(fcinfo);
	foreach(lc, leadscore_gate_lines(site->scorer, site->evaluation))
	{
		const GateLine *line = lfirst(lc);
		Datum		values[4];
		bool		nulls[4] = {false, false, false, line->met};

		values[0] = LeadStageGetDatum(line->stage);
		values[1] = CStringGetTextDatum(line->gate);
		values[2] = BoolGetDatum(line->met);
		values[3] = line->met ? (Datum) 0 : CStringGetTextDatum(line->missing);
		put_row((ReturnSetInfo *) fcinfo->resultinfo, values, nulls);
	}
	return (Datum) 0;
}
