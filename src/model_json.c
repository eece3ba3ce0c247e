/*-------------------------------------------------------------------------
 *
 * model_json.c
 *		The JSON form of a model: its words, and writing it from the datum.
 *
 * What applies, with the defaults of no consequence left out; compiling the
 * text gives an equal model.  The order of rows is that of the datum, so equal
 * definitions have equal text.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/json.h"

#include "model_json.h"
#include "stage.h"

const char *const lead_model_aggregate_names[] = {
	"sum", "last", "first_n", "days", "tier", "idle", "periods", NULL
};
const char *const lead_model_decay_names[] = {
	"none", "half_life", "linear", "step", "window", NULL
};
const char *const lead_model_period_names[] = {
	"", "day", "week", "month", "2 months", "quarter", "4 months", "6 months", "year",
	"ever", NULL
};
const char *const lead_model_source_names[] = {"event", "profile", NULL};

/* The name of a calendar period, empty if there is none */
const char *
lead_model_period_name(int period)
{
	return lead_model_period_names[period];
}

/* The name of a source of signals */
const char *
lead_model_source_name(int source)
{
	return lead_model_source_names[source];
}

/* Begin a member of an object. */
static void
put_key(StringInfo out, const char *key)
{
	char		last = out->len > 0 ? out->data[out->len - 1] : '{';

	if (last != '{' && last != '[')
		appendStringInfoString(out, ", ");
	escape_json(out, key);
	appendStringInfoString(out, ": ");
}

/* A member that is a string */
static void
put_text(StringInfo out, const char *key, const char *text)
{
	put_key(out, key);
	escape_json(out, text);
}

/* Thousandths as a decimal number without needless zeros */
static void
put_milli_value(StringInfo out, int64 milli)
{
	uint64		absolute = milli < 0 ? -(uint64) milli : (uint64) milli;

	appendStringInfo(out, "%s" UINT64_FORMAT, milli < 0 ? "-" : "", absolute / 1000);
	if (absolute % 1000 != 0)
	{
		appendStringInfo(out, ".%03d", (int) (absolute % 1000));
		while (out->data[out->len - 1] == '0')
			out->data[--out->len] = '\0';
	}
}

/* A member that is a number of milli-points; none if there is none */
static void
put_milli(StringInfo out, const char *key, int64 milli)
{
	if (milli == NO_POINTS)
		return;
	put_key(out, key);
	put_milli_value(out, milli);
}

/* A member that is a count; none if it is 0 */
static void
put_count(StringInfo out, const char *key, int64 count)
{
	if (count == 0)
		return;
	put_key(out, key);
	appendStringInfo(out, INT64_FORMAT, count);
}

/* A member that is a boolean */
static void
put_bool(StringInfo out, const char *key, bool value)
{
	put_key(out, key);
	appendStringInfoString(out, value ? "true" : "false");
}

/* A member that is a period in text, such as 14 days; none if it is 0 */
static void
put_period(StringInfo out, const char *key, const char *unit, int32 n)
{
	if (n == 0)
		return;
	put_key(out, key);
	appendStringInfo(out, "\"%d %s\"", n, unit);
}

/* A member that is a list of the names of signals; none if it is empty */
static void
put_signals(StringInfo out, const LeadModel *model, const char *key, ModelArray array)
{
	const int16 *indexes = MODEL_ITEMS(model, int16, array);
	int			i;

	if (array.n == 0)
		return;
	put_key(out, key);
	appendStringInfoChar(out, '[');
	for (i = 0; i < array.n; i++)
	{
		if (i > 0)
			appendStringInfoString(out, ", ");
		escape_json(out, model_signal_name(model, indexes[i]));
	}
	appendStringInfoChar(out, ']');
}

/* A member that is the tiers of a rule, by counts or by milli-points */
static void
put_tiers(StringInfo out, const LeadModel *model, const ModelRule *rule)
{
	const ModelTier *tiers = MODEL_ITEMS(model, ModelTier, rule->tiers);
	StringInfoData key;
	int			i;

	initStringInfo(&key);
	put_key(out, "tiers");
	appendStringInfoChar(out, '{');
	for (i = 0; i < rule->tiers.n; i++)
	{
		resetStringInfo(&key);
		if (rule->aggregate == AGGREGATE_IDLE)
			put_milli_value(&key, tiers[i].from);
		else
			appendStringInfo(&key, INT64_FORMAT, tiers[i].from);
		put_milli(out, key.data, tiers[i].points);
	}
	appendStringInfoChar(out, '}');
	pfree(key.data);
}

/* Begin a member that is a list. */
static void
begin_list(StringInfo out, const char *key)
{
	put_key(out, key);
	appendStringInfoChar(out, '[');
}

/* Begin an object in a list. */
static void
begin_object(StringInfo out)
{
	if (out->data[out->len - 1] == '}')
		appendStringInfoString(out, ", ");
	appendStringInfoChar(out, '{');
}

/* A rule, with what its aggregate and decay need */
static void
put_rule(StringInfo out, const LeadModel *model, const ModelRule *rule,
		 const char *unit)
{
	const ModelDimension *dimension = &model_dimensions(model)[rule->dimension];

	begin_object(out);
	put_text(out, "rule", MODEL_STRING(model, rule->name));
	put_text(out, "dimension", MODEL_STRING(model, dimension->name));
	put_text(out, "signal", model_signal_name(model, rule->signal));
	put_milli(out, "points", rule->points);
	put_text(out, "aggregate", lead_model_aggregate_names[rule->aggregate]);
	put_count(out, "first_n", rule->first_n);
	if (rule->tiers.n > 0)
		put_tiers(out, model, rule);
	if (rule->of_dimension != NO_INDEX)
		put_text(out, "of_dimension",
				 MODEL_STRING(model, model_dimensions(model)[rule->of_dimension].name));
	put_count(out, "min_count", rule->min_count);
	if (rule->period != PERIOD_NONE)
		put_text(out, "period", lead_model_period_names[rule->period]);
	put_period(out, "within", unit, rule->within);
	put_period(out, "after", unit, rule->after);
	if (rule->repeat)
		put_bool(out, "repeat", true);
	put_count(out, "limit_count", rule->limit_count);
	if (rule->limit_period != PERIOD_NONE)
		put_text(out, "limit_period", lead_model_period_names[rule->limit_period]);
	put_text(out, "decay", lead_model_decay_names[rule->decay]);
	put_period(out, "decay_period", unit, rule->decay_period);
	if (rule->decay_percent > 0)
		put_milli(out, "decay_percent", rule->decay_percent);
	put_milli(out, "max_points", rule->max_points);
	put_signals(out, model, "only_if", rule->only_if);
	put_signals(out, model, "unless", rule->unless);
	appendStringInfoChar(out, '}');
}

/* The JSON form: what applies, with the defaults of no consequence left out */
void
lead_model_write(const LeadModel *model, StringInfo out)
{
	const char *unit = model->grain == GRAIN_DAY ? "days" : "hours";
	int			i;

	appendStringInfoChar(out, '{');
	put_text(out, "model", MODEL_STRING(model, model->name));
	put_text(out, "grain", model->grain == GRAIN_DAY ? "1 day" : "1 hour");
	put_milli(out, "min_score", model->min_score);
	put_milli(out, "max_score", model->max_score);
	put_bool(out, "gates_required", model->gates_required);
	put_bool(out, "allow_demotion", model->allow_demotion);
	put_milli(out, "demotion_margin", model->demotion_margin);

	begin_list(out, "signals");
	for (i = 0; i < model->signals.n; i++)
	{
		const ModelSignal *signal = &model_signals(model)[i];

		begin_object(out);
		put_text(out, "signal", MODEL_STRING(model, signal->name));
		put_milli(out, "signal_id", INT64CONST(1000) * signal->id);
		put_text(out, "source", lead_model_source_names[signal->source]);
		if (signal->distinct)
			put_bool(out, "distinct", true);
		appendStringInfoChar(out, '}');
	}
	appendStringInfoChar(out, ']');

	begin_list(out, "dimensions");
	for (i = 0; i < model->dimensions.n; i++)
	{
		const ModelDimension *dimension = &model_dimensions(model)[i];

		begin_object(out);
		put_text(out, "dimension", MODEL_STRING(model, dimension->name));
		put_milli(out, "min_points", dimension->min_points);
		put_milli(out, "max_points", dimension->max_points);
		put_milli(out, "weight", dimension->weight);
		put_signals(out, model, "reset_signals", dimension->resets);
		appendStringInfoChar(out, '}');
	}
	appendStringInfoChar(out, ']');

	begin_list(out, "rules");
	for (i = 0; i < model->rules.n; i++)
		put_rule(out, model, &model_rules(model)[i], unit);
	appendStringInfoChar(out, ']');

	begin_list(out, "stage_rules");
	for (i = 0; i < model->stage_rules.n; i++)
	{
		const ModelStageRule *rule = &model_stage_rules(model)[i];

		begin_object(out);
		put_text(out, "stage", lead_stage_label(rule->stage));
		if (rule->only_if != NO_INDEX)
			put_text(out, "only_if", model_signal_name(model, rule->only_if));
		put_milli(out, "min_score", rule->min_score);
		put_signals(out, model, "entry_signals", rule->entry_signals);
		put_period(out, "sla", "minutes", rule->sla_minutes);
		appendStringInfoChar(out, '}');
	}
	appendStringInfoChar(out, ']');

	begin_list(out, "stage_gates");
	for (i = 0; i < model->gates.n; i++)
	{
		const ModelGate *gate = &model_gates(model)[i];

		begin_object(out);
		put_text(out, "stage", lead_stage_label(gate->stage));
		put_text(out, "gate", MODEL_STRING(model, gate->name));
		if (gate->signal != NO_INDEX)
		{
			put_text(out, "signal", model_signal_name(model, gate->signal));
			put_count(out, "min_count", gate->min_count);
			put_period(out, "within", unit, gate->within);
		}
		else if (gate->dimension != NO_INDEX)
			put_text(out, "dimension",
					 MODEL_STRING(model, model_dimensions(model)[gate->dimension].name));
		put_milli(out, "min_points", gate->min_points);
		if (gate->negate)
			put_bool(out, "negate", true);
		appendStringInfoChar(out, '}');
	}
	appendStringInfoChar(out, ']');

	begin_list(out, "grades");
	for (i = 0; i < model->grades.n; i++)
	{
		const ModelGrade *grade = &model_grades(model)[i];

		begin_object(out);
		put_text(out, "dimension",
				 MODEL_STRING(model, model_dimensions(model)[grade->dimension].name));
		put_text(out, "grade", MODEL_STRING(model, grade->name));
		put_milli(out, "min_points", grade->min_points);
		appendStringInfoChar(out, '}');
	}
	appendStringInfoString(out, "]}");
}
