/*-------------------------------------------------------------------------
 *
 * model_compile.c
 *		A model from its JSON form: check, and lay out.
 *
 * The keys are the columns of the configuration tables.  Everything that a
 * definition can get wrong is found here, and the message names the row; so
 * scoring never has to check.  References by name become indexes of the arrays
 * of the datum, strings and short lists go to a pool behind its head.
 *
 * Values are read by model_row.c.  A mistake is a soft error: what finds it
 * returns false, and its caller passes that on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "compat.h"
#include "model_json.h"
#include "model_row.h"
#include "stage.h"

static const char *const model_keys[] = {
	"model", "grain", "min_score", "max_score", "gates_required",
	"allow_demotion", "demotion_margin", "signals", "dimensions", "rules",
	"stage_rules", "stage_gates", "grades", "note", NULL
};
static const char *const signal_keys[] = {
	"signal", "signal_id", "source", "distinct", "note", NULL
};
static const char *const dimension_keys[] = {
	"model", "dimension", "min_points", "max_points", "weight",
	"reset_signals", "note", NULL
};
static const char *const rule_keys[] = {
	"model", "rule", "dimension", "signal", "points", "aggregate", "first_n",
	"tiers", "of_dimension", "min_count", "period", "within", "after", "repeat",
	"limit_count", "limit_period", "decay", "decay_period", "decay_percent", "max_points", "only_if",
	"unless", "note", NULL
};
static const char *const stage_rule_keys[] = {
	"model", "stage", "only_if", "min_score", "entry_signals", "sla", "note",
	NULL
};
static const char *const gate_keys[] = {
	"model", "stage", "gate", "signal", "dimension", "min_count",
	"min_points", "within", "negate", "note", NULL
};
static const char *const grade_keys[] = {
	"model", "dimension", "grade", "min_points", "note", NULL
};

/* A model while it is being compiled */
typedef struct Compiler
{
	LeadModel	head;
	StringInfoData pool;		/* strings, lists and tiers, after the head */
	ModelSignal *signals;
	ModelDimension *dimensions;
	ModelRule  *rules;
	ModelStageRule *stage_rules;
	ModelGate  *gates;
	ModelGrade *grades;
} Compiler;

/* Minutes in a bucket of the model's grain */
static int32
bucket_minutes(ModelRow *row)
{
	return row->grain == GRAIN_DAY ? 1440 : 60;
}

/* Put bytes into the pool; returns their offset in the datum to be. */
static int32
pool_add(Compiler *c, const void *bytes, int len, int align)
{
	static const char zeros[8] = {0};
	int			at = TYPEALIGN(align, c->pool.len);

	appendBinaryStringInfo(&c->pool, zeros, at - c->pool.len);
	appendBinaryStringInfo(&c->pool, bytes, len);
	return (int32) sizeof(LeadModel) + at;
}

/* Put a string into the pool; returns its offset. */
static int32
pool_string(Compiler *c, const char *string)
{
	return pool_add(c, string, strlen(string) + 1, 1);
}

/* While compiling, strings are still in the pool. */
static const char *
pool_get(Compiler *c, int32 offset)
{
	return c->pool.data + offset - sizeof(LeadModel);
}

/* Find a signal by its name. */
static bool
find_signal(ModelRow *row, const char *key, const char *name, int16 *index)
{
	Compiler   *c = row->c;
	int			i;

	for (i = 0; i < c->head.signals.n; i++)
		if (strcmp(pool_get(c, c->signals[i].name), name) == 0)
		{
			*index = (int16) i;
			return true;
		}
	return lead_model_fail(row, "Define the signal first, or correct its name.",
						   "\"%s\" names an unknown signal \"%s\"", key, name);
}

/* Find a dimension by its name. */
static bool
find_dimension(ModelRow *row, const char *name, int16 *index)
{
	Compiler   *c = row->c;
	int			i;

	for (i = 0; i < c->head.dimensions.n; i++)
		if (strcmp(pool_get(c, c->dimensions[i].name), name) == 0)
		{
			*index = (int16) i;
			return true;
		}
	return lead_model_fail(row, "Define the dimension in this model, or correct its name.",
						   "unknown dimension \"%s\"", name);
}

/* A list of signal names as a list of indexes in the pool */
static bool
read_signals(ModelRow *row, const char *key, ModelArray *array)
{
	JsonbValue	buffer;
	JsonbValue *value = lead_model_find(row, key, &buffer);
	uint32		n;
	uint32		i;
	int16	   *indexes;

	*array = (ModelArray)
	{
		0, 0
	};
	if (value == NULL)
		return true;
	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
		return lead_model_fail(row, "Write a list of signal names.", "\"%s\" is not a list", key);
	n = JsonContainerSize(value->val.binary.data);
	indexes = palloc(sizeof(int16) * (n + 1));
	for (i = 0; i < n; i++)
	{
		JsonbValue *item = getIthJsonbValueFromContainer(value->val.binary.data, i);
		uint32		j;

		/* long lists of many rules take minutes */
		CHECK_FOR_INTERRUPTS();
		if (item->type != jbvString)
			return lead_model_fail(row, "Write a list of signal names.",
								   "\"%s\" contains a value that is not a name", key);
		if (!find_signal(row, key, lead_model_string(item), &indexes[i]))
			return false;
		for (j = 0; j < i; j++)
			if (indexes[j] == indexes[i])
				return lead_model_fail(row, "Name each signal once.",
									   "\"%s\" names signal \"%s\" twice", key, lead_model_string(item));
	}
	if (n > 0)
		array->offset = pool_add(row->c, indexes, n * sizeof(int16), sizeof(int16));
	array->n = n;
	return true;
}

/* By the count, or the points, that a tier begins with */
static int
tier_cmp(const void *a, const void *b)
{
	int64		x = ((const ModelTier *) a)->from;
	int64		y = ((const ModelTier *) b)->from;

	return x < y ? -1 : (x > y ? 1 : 0);
}

/* Where a tier begins: with a count, or for quiet time with points */
static bool
parse_tier(const char *key, bool by_points, int64 *from)
{
	if (by_points)
		return strpbrk(key, "0123456789") != NULL && lead_model_parse_milli(key, MAX_SCORE_MILLI, from);
	if (!lead_model_parse_milli(key, INT64CONST(1000) * PG_INT32_MAX, from) || *from < 1000 || *from % 1000 != 0)
		return false;
	*from /= 1000;
	return true;
}

/*
 * {"3": 5, "10": 15}: from 3 on 5 points, from 10 on 15.  By counts the points
 * must not fall back, as counts are lost by the passing of time.
 */
static bool
read_tiers(ModelRow *row, bool by_points, ModelArray *array)
{
	const char *hint = by_points ?
		"Write tiers as {\"31\": -15, \"71\": -30}: from these points on, points of one sign." :
		"Write tiers as {\"3\": 5, \"10\": 15}: counts that rise, points of one sign that do not fall back.";
	JsonbValue	buffer;
	JsonbValue *value = lead_model_find(row, "tiers", &buffer);
	JsonbIterator *it;
	JsonbValue	token_value;
	JsonbIteratorToken token;
	ModelRow	inner = *row;
	ModelTier  *tiers;
	int64		least = 0;
	int64		most = 0;
	int			n = 0;
	int			i;

	*array = (ModelArray)
	{
		0, 0
	};
	if (value == NULL)
		return true;
	if (value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data) ||
		JsonContainerSize(value->val.binary.data) == 0)
		return lead_model_fail(row, hint, "\"tiers\" is not a list of tiers");
	inner.object = value->val.binary.data;
	tiers = palloc0(JsonContainerSize(inner.object) * sizeof(ModelTier));
	it = JsonbIteratorInit(inner.object);
	while ((token = JsonbIteratorNext(&it, &token_value, true)) != WJB_DONE)
	{
		char	   *key;

		if (token != WJB_KEY)
			continue;
		key = lead_model_string(&token_value);
		if (!parse_tier(key, by_points, &tiers[n].from))
			return lead_model_fail(row, hint, "\"%s\" is not a valid %s of a tier", key,
								   by_points ? "number of points" : "count");
		if (!lead_model_read_milli(&inner, key, NO_POINTS, MAX_POINTS_MILLI, &tiers[n].points))
			return false;
		if (tiers[n].points == NO_POINTS)
			return lead_model_fail(row, hint, "tier \"%s\" has no points", key);
		n++;
	}
	qsort(tiers, n, sizeof(ModelTier), tier_cmp);
	for (i = 1; i < n; i++)
	{
		int64		lower = tiers[i - 1].points;
		int64		higher = tiers[i].points;

		if (tiers[i].from == tiers[i - 1].from)
			return by_points ? lead_model_fail(row, hint, "two tiers begin with the same points") :
				lead_model_fail(row, hint, "two tiers for a count of " INT64_FORMAT, tiers[i].from);
		if (by_points)
		{
			least = Min(least, Min(lower, higher));
			most = Max(most, Max(lower, higher));
			if (least < 0 && most > 0)
				return lead_model_fail(row, hint, "points of tiers have both signs");
		}
		else if ((lower > 0 && higher < lower) || (lower < 0 && higher > lower))
			return lead_model_fail(row, hint, "points of the tier at " INT64_FORMAT " fall back",
								   tiers[i].from);
	}
	array->offset = pool_add(row->c, tiers, n * sizeof(ModelTier), 8);
	array->n = n;
	return true;
}

/* Read a stage by its label; the row is named by it from then on. */
static bool
read_stage(ModelRow *row, uint8 *stage)
{
	char	   *label;

	if (!lead_model_read_name(row, "stage", &label))
		return false;
	if (!lead_stage_parse(label, strlen(label), stage))
		return lead_model_fail(row, "Write a stage such as iql, mql or sql.", "unknown stage");
	row->name = lead_stage_label(*stage);
	return true;
}

/* By id */
static int
signal_cmp(const void *a, const void *b)
{
	return (int) ((const ModelSignal *) a)->id - (int) ((const ModelSignal *) b)->id;
}

/* Read the signals: each id and name once. */
static bool
compile_signals(ModelRow *model)
{
	Compiler   *c = model->c;
	JsonbContainer *rows;
	int			n;
	int			i;
	int			j;

	if (!lead_model_read_rows(model, "signals", &rows, &n, sizeof(ModelSignal),
							  (void **) &c->signals))
		return false;
	for (i = 0; i < n; i++)
	{
		ModelSignal *signal = &c->signals[i];
		ModelRow	row;
		char	   *name;
		int64		id;
		int			source;

		if (!lead_model_begin_row(model, "signal", "signal", rows, i, signal_keys, &row) ||
			!lead_model_read_name(&row, "signal", &name) ||
			!lead_model_read_count(&row, "signal_id", -1, 0, PG_INT16_MAX, &id) ||
			!lead_model_read_choice(&row, "source", lead_model_source_names, SOURCE_EVENT, &source) ||
			!lead_model_read_bool(&row, "distinct", false, &signal->distinct))
			return false;
		if (id < 0)
			return lead_model_fail(&row, "Write the signal_id that activities refer to.",
								   "\"signal_id\" is missing");
		signal->name = pool_string(c, name);
		signal->id = (int16) id;
		signal->source = (uint8) source;
		if (signal->distinct && source != SOURCE_EVENT)
			return lead_model_fail(&row, "Only events have different values to count.",
								   "a signal of the profile cannot be distinct");
		for (j = 0; j < i; j++)
		{
			if (strcmp(pool_get(c, c->signals[j].name), name) == 0)
				return lead_model_fail(&row, "Give every signal a name of its own.", "defined more than once");
			if (c->signals[j].id == id)
				return lead_model_fail(&row, "Give every signal a number of its own.",
									   "has the signal_id of signal \"%s\"",
									   pool_get(c, c->signals[j].name));
		}
	}
	qsort(c->signals, n, sizeof(ModelSignal), signal_cmp);
	c->head.signals.n = n;
	return true;
}

/* Read the dimensions, in their order. */
static bool
compile_dimensions(ModelRow *model)
{
	Compiler   *c = model->c;
	JsonbContainer *rows;
	int			n;
	int			i;
	int			j;

	if (!lead_model_read_rows(model, "dimensions", &rows, &n, sizeof(ModelDimension),
							  (void **) &c->dimensions))
		return false;
	for (i = 0; i < n; i++)
	{
		ModelDimension *dimension = &c->dimensions[i];
		ModelRow	row;
		char	   *name;

		if (!lead_model_begin_row(model, "dimension", "dimension", rows, i, dimension_keys, &row) ||
			!lead_model_read_name(&row, "dimension", &name) ||
			!lead_model_read_milli(&row, "min_points", NO_POINTS, MAX_SCORE_MILLI, &dimension->min_points) ||
			!lead_model_read_milli(&row, "max_points", NO_POINTS, MAX_SCORE_MILLI, &dimension->max_points) ||
			!lead_model_read_milli(&row, "weight", 1000, MAX_WEIGHT_MILLI, &dimension->weight) ||
			!read_signals(&row, "reset_signals", &dimension->resets))
			return false;
		if (dimension->weight < 0)
			return lead_model_fail(&row, "Use negative points in its rules instead.",
								   "the weight is negative");
		if (dimension->min_points != NO_POINTS && dimension->max_points != NO_POINTS &&
			dimension->min_points > dimension->max_points)
			return lead_model_fail(&row, "Swap min_points and max_points.", "min_points is above max_points");
		for (j = 0; j < i; j++)
			if (strcmp(pool_get(c, c->dimensions[j].name), name) == 0)
				return lead_model_fail(&row, "Give every dimension a name of its own.", "defined more than once");
		dimension->name = pool_string(c, name);
	}
	c->head.dimensions.n = n;
	return true;
}

/* What goes with an aggregate, a decay and a limit, and what does not */
static bool
check_rule(ModelRow *row, const ModelRule *rule)
{
	const char *aggregate = lead_model_aggregate_names[rule->aggregate];
	const char *decay = lead_model_decay_names[rule->decay];
	bool		tier = rule->aggregate == AGGREGATE_TIER;
	bool		idle = rule->aggregate == AGGREGATE_IDLE;
	int64		sign = rule->points;

	if ((rule->aggregate == AGGREGATE_FIRST_N) != (rule->first_n > 0))
		return lead_model_fail(row, "Set first_n with aggregate first_n, and only with it.",
							   "aggregate %s and first_n do not go together", aggregate);
	if (tier ? rule->tiers.n == 0 : !idle && rule->tiers.n > 0)
		return lead_model_fail(row, "Set tiers with aggregate tier, or with aggregate idle to go by points.",
							   tier ? "aggregate %s needs tiers" :
							   "aggregate %s and tiers do not go together", aggregate);
	if (rule->of_dimension != NO_INDEX && !rule_is_tiered_idle(rule))
		return lead_model_fail(row, "Set of_dimension with aggregate idle and tiers only.",
							   "of_dimension needs tiers of quiet time");
	if ((rule->aggregate == AGGREGATE_PERIODS) != (rule->min_count > 0))
		return lead_model_fail(row, "Set min_count with aggregate periods, and only with it.",
							   "aggregate %s and min_count do not go together", aggregate);
	if ((rule->aggregate == AGGREGATE_PERIODS) != (rule->period != PERIOD_NONE))
		return lead_model_fail(row, "Set period, such as day or month, with aggregate periods, and only with it.",
							   "aggregate %s and period do not go together", aggregate);
	if (idle != (rule->after > 0))
		return lead_model_fail(row, "Set after with aggregate idle, and only with it.",
							   "aggregate %s and after do not go together", aggregate);
	if (rule->repeat && !idle)
		return lead_model_fail(row, "Set repeat with aggregate idle only.",
							   "aggregate %s and repeat do not go together", aggregate);
	if (rule->within > 0 && !tier)
		return lead_model_fail(row, "Use decay window to count only what is recent.",
							   "aggregate %s and within do not go together", aggregate);
	if (rule->decay != DECAY_NONE && (tier || idle))
		return lead_model_fail(row, "Set decay none, and within for tiers.",
							   "aggregate %s does not decay", aggregate);
	if ((rule->decay != DECAY_NONE) != (rule->decay_period > 0))
		return lead_model_fail(row, "Set decay_period with every decay but none.",
							   rule->decay == DECAY_NONE ? "decay %s takes no decay_period" :
							   "decay %s needs a decay_period", decay);
	if (rule->decay_percent > 0 && rule->decay != DECAY_LINEAR && rule->decay != DECAY_STEP)
		return lead_model_fail(row, "Set decay_percent with decay linear or step only.",
							   "decay %s takes no decay_percent", decay);
	if (rule->decay == DECAY_STEP && rule->decay_percent < 100)
		return lead_model_fail(row, "Set decay_percent to 0.1 or more: the share lost at each step.",
							   "decay step needs a decay_percent");
	if ((rule->limit_count > 0) != (rule->limit_period != PERIOD_NONE))
		return lead_model_fail(row, "Set both, such as 3 and day, or neither.",
							   "limit_count and limit_period go together");
	if (rule->limit_count > 0 && idle)
		return lead_model_fail(row, "Use max_points to limit the points of idle time.",
							   "aggregate idle takes no limit");
	if (row->c->signals[rule->signal].distinct)
	{
		/* the days on which a value came before its newest one do not count */
		if (rule->aggregate != AGGREGATE_SUM && !tier)
			return lead_model_fail(row, "Use sum or tier, or a signal without distinct_on.",
								   "aggregate %s does not go with a signal that counts different values",
								   aggregate);
		if (rule->limit_count > 0)
			return lead_model_fail(row, "Use max_points, or a signal without distinct_on.",
								   "a signal that counts different values takes no limit");
	}
	if (rule->tiers.n > 0)
	{
		const ModelTier *tiers = (const ModelTier *)
			(row->c->pool.data + rule->tiers.offset - sizeof(LeadModel));
		int			i = rule->tiers.n - 1;

		/* those that are not 0 have one sign */
		while (i > 0 && tiers[i].points == 0)
			i--;
		sign = (tiers[i].points > 0 ? 1 : (tiers[i].points < 0 ? -1 : 0)) *
			(rule->points > 0 ? 1 : (rule->points < 0 ? -1 : 0));
	}
	if (rule->max_points != NO_POINTS &&
		((sign > 0 && rule->max_points < 0) || (sign < 0 && rule->max_points > 0)))
		return lead_model_fail(row, "A cap has the sign of the points: -20 limits a rule of -5 points.",
							   "max_points must have the same sign as points");
	return true;
}

/* Read the rules, in their order. */
static bool
compile_rules(ModelRow *model)
{
	Compiler   *c = model->c;
	JsonbContainer *rows;
	int			n;
	int			i;
	int			j;

	if (!lead_model_read_rows(model, "rules", &rows, &n, sizeof(ModelRule), (void **) &c->rules))
		return false;
	for (i = 0; i < n; i++)
	{
		ModelRule  *rule = &c->rules[i];
		ModelRow	row;
		char	   *name;
		char	   *dimension;
		char	   *signal;
		char	   *of_dimension;
		int			aggregate;
		int			decay;
		int			period;
		int			limit_period;
		int64		percent;
		int			unit;

		if (!lead_model_begin_row(model, "rule", "rule", rows, i, rule_keys, &row) ||
			!lead_model_read_name(&row, "rule", &name) ||
			!lead_model_read_text(&row, "dimension", &dimension) ||
			!lead_model_read_text(&row, "signal", &signal))
			return false;
		for (j = 0; j < i; j++)
			if (strcmp(pool_get(c, c->rules[j].name), name) == 0)
				return lead_model_fail(&row, "Give every rule a name of its own.", "defined more than once");
		if (dimension == NULL || signal == NULL)
			return lead_model_fail(&row, "A rule gives points to a signal inside a dimension.",
								   "has no %s", dimension == NULL ? "dimension" : "signal");
		unit = bucket_minutes(&row);
		if (!find_dimension(&row, dimension, &rule->dimension) ||
			!find_signal(&row, "signal", signal, &rule->signal) ||
			!lead_model_read_milli(&row, "points", NO_POINTS, MAX_POINTS_MILLI, &rule->points) ||
			!lead_model_read_choice(&row, "aggregate", lead_model_aggregate_names, AGGREGATE_SUM, &aggregate) ||
			!lead_model_read_count(&row, "first_n", 0, 1, PG_INT32_MAX, &rule->first_n) ||
			!read_tiers(&row, aggregate == AGGREGATE_IDLE, &rule->tiers) ||
			!lead_model_read_text(&row, "of_dimension", &of_dimension) ||
			!lead_model_read_count(&row, "min_count", 0, 1, PG_INT32_MAX, &rule->min_count) ||
			!lead_model_read_choice(&row, "period", lead_model_period_names, PERIOD_NONE, &period) ||
			!lead_model_read_period(&row, "within", unit, &rule->within) ||
			!lead_model_read_period(&row, "after", unit, &rule->after) ||
			!lead_model_read_bool(&row, "repeat", false, &rule->repeat) ||
			!lead_model_read_count(&row, "limit_count", 0, 1, PG_INT32_MAX, &rule->limit_count) ||
			!lead_model_read_choice(&row, "limit_period", lead_model_period_names, PERIOD_NONE, &limit_period) ||
			!lead_model_read_choice(&row, "decay", lead_model_decay_names, DECAY_NONE, &decay) ||
			!lead_model_read_period(&row, "decay_period", unit, &rule->decay_period) ||
			!lead_model_read_milli(&row, "decay_percent", 0, INT64CONST(100000), &percent) ||
			!lead_model_read_milli(&row, "max_points", NO_POINTS, MAX_POINTS_MILLI, &rule->max_points) ||
			!read_signals(&row, "only_if", &rule->only_if) ||
			!read_signals(&row, "unless", &rule->unless))
			return false;
		if (percent < 0)
			return lead_model_fail(&row, "Set a percentage above 0 and up to 100.",
								   "decay_percent is negative");
		if (rule->points == NO_POINTS)
		{
			if (rule->tiers.n == 0)
				return lead_model_fail(&row, POINTS_HINT, "has no points");
			rule->points = 1000;
		}
		rule->of_dimension = NO_INDEX;
		if (of_dimension != NULL && !find_dimension(&row, of_dimension, &rule->of_dimension))
			return false;
		rule->aggregate = (uint8) aggregate;
		rule->decay = (uint8) decay;
		rule->period = (uint8) period;
		rule->limit_period = (uint8) limit_period;
		rule->decay_percent = (int32) percent;
		if (!check_rule(&row, rule))
			return false;
		if (decay == DECAY_LINEAR && percent == 0)
			rule->decay_percent = 100000;
		rule->name = pool_string(c, name);
	}
	c->head.rules.n = n;
	return true;
}

/* Rows of one stage: those with only_if first, by name; the general row last */
static int
stage_rule_cmp(const void *a, const void *b, void *arg)
{
	const ModelStageRule *x = a;
	const ModelStageRule *y = b;
	Compiler   *c = arg;

	if (x->stage != y->stage)
		return (int) x->stage - (int) y->stage;
	if (x->only_if == NO_INDEX || y->only_if == NO_INDEX)
		return (x->only_if == NO_INDEX) - (y->only_if == NO_INDEX);
	return strcmp(pool_get(c, c->signals[x->only_if].name),
				  pool_get(c, c->signals[y->only_if].name));
}

/* Read the stage rules; of one only_if the thresholds rise with the stage. */
static bool
compile_stage_rules(ModelRow *model)
{
	Compiler   *c = model->c;
	JsonbContainer *rows;
	int			n;
	int			i;
	int			j;

	if (!lead_model_read_rows(model, "stage_rules", &rows, &n, sizeof(ModelStageRule),
							  (void **) &c->stage_rules))
		return false;
	for (i = 0; i < n; i++)
	{
		ModelStageRule *rule = &c->stage_rules[i];
		ModelRow	row;
		char	   *only_if;

		if (!lead_model_begin_row(model, "stage_rule", "stage", rows, i, stage_rule_keys, &row) ||
			!read_stage(&row, &rule->stage) ||
			!lead_model_read_text(&row, "only_if", &only_if) ||
			!lead_model_read_milli(&row, "min_score", NO_POINTS, MAX_SCORE_MILLI, &rule->min_score) ||
			!read_signals(&row, "entry_signals", &rule->entry_signals) ||
			!lead_model_read_period(&row, "sla", 1, &rule->sla_minutes))
			return false;
		rule->only_if = NO_INDEX;
		if (only_if != NULL && *only_if != '\0' &&
			!find_signal(&row, "only_if", only_if, &rule->only_if))
			return false;
		if (rule->stage <= LEAD_STAGE_VISITOR && rule->min_score != NO_POINTS)
			return lead_model_fail(&row, "Set thresholds from iql on.", "takes no min_score");
		for (j = 0; j < i; j++)
		{
			const ModelStageRule *other = &c->stage_rules[j];

			if (other->only_if != rule->only_if)
				continue;
			if (other->stage == rule->stage)
				return lead_model_fail(&row, "Give a stage one row for each only_if.", "defined more than once");
			if (rule->min_score != NO_POINTS && other->min_score != NO_POINTS &&
				(rule->stage > other->stage) != (rule->min_score > other->min_score))
				return lead_model_fail(&row, "Give a higher stage a higher min_score.",
									   "min_score must be %s than that of stage \"%s\"",
									   rule->stage > other->stage ? "greater" : "less",
									   lead_stage_label(other->stage));
			if (rule->min_score != NO_POINTS && rule->min_score == other->min_score)
				return lead_model_fail(&row, "Give a higher stage a higher min_score.",
									   "has the threshold of stage \"%s\"",
									   lead_stage_label(other->stage));
		}
	}
	qsort_arg(c->stage_rules, n, sizeof(ModelStageRule), stage_rule_cmp, c);
	c->head.stage_rules.n = n;
	return true;
}

/*
 * By stage and name, so that alternatives are together; then by all the rest,
 * so that equal models have equal bytes
 */
static int
gate_cmp(const void *a, const void *b, void *arg)
{
	const ModelGate *x = a;
	const ModelGate *y = b;
	int			cmp;

	if (x->stage != y->stage)
		return (int) x->stage - (int) y->stage;
	cmp = strcmp(pool_get(arg, x->name), pool_get(arg, y->name));
	if (cmp != 0)
		return cmp;
	if (x->signal != y->signal)
		return (int) x->signal - (int) y->signal;
	if (x->dimension != y->dimension)
		return (int) x->dimension - (int) y->dimension;
	if (x->negate != y->negate)
		return (int) x->negate - (int) y->negate;
	if (x->within != y->within)
		return x->within < y->within ? -1 : 1;
	if (x->min_count != y->min_count)
		return x->min_count < y->min_count ? -1 : 1;
	return x->min_points < y->min_points ? -1 : (x->min_points > y->min_points ? 1 : 0);
}

/* Read the gates of stages. */
static bool
compile_gates(ModelRow *model)
{
	Compiler   *c = model->c;
	JsonbContainer *rows;
	int			n;
	int			i;
	int			j;

	if (!lead_model_read_rows(model, "stage_gates", &rows, &n, sizeof(ModelGate), (void **) &c->gates))
		return false;
	for (i = 0; i < n; i++)
	{
		ModelGate  *gate = &c->gates[i];
		ModelRow	row;
		char	   *name;
		char	   *signal;
		char	   *dimension;
		bool		has_stage = false;

		if (!lead_model_begin_row(model, "stage_gate", "gate", rows, i, gate_keys, &row) ||
			!read_stage(&row, &gate->stage) ||
			!lead_model_read_name(&row, "gate", &name) ||
			!lead_model_read_text(&row, "signal", &signal) ||
			!lead_model_read_text(&row, "dimension", &dimension) ||
			!lead_model_read_count(&row, "min_count", 1, 1, PG_INT32_MAX, &gate->min_count) ||
			!lead_model_read_milli(&row, "min_points", NO_POINTS, MAX_SCORE_MILLI, &gate->min_points) ||
			!lead_model_read_period(&row, "within", bucket_minutes(&row), &gate->within) ||
			!lead_model_read_bool(&row, "negate", false, &gate->negate))
			return false;
		gate->signal = NO_INDEX;
		gate->dimension = NO_INDEX;
		if (strcmp(name, "score") == 0)
			return lead_model_fail(&row, "Choose another name, such as \"points\".",
								   "min_score of a stage is shown by this name");
		if ((signal != NULL && dimension != NULL) ||
			(signal == NULL && dimension == NULL && gate->min_points == NO_POINTS))
			return lead_model_fail(&row, "A row of a gate asks for a signal, for points of a dimension, or for points of the score.",
								   "needs a signal, a dimension, or min_points alone");
		if ((signal == NULL) != (gate->min_points != NO_POINTS))
			return lead_model_fail(&row, "Set min_points with a dimension, alone for the score, and not with a signal.",
								   signal == NULL ? "dimension and min_points go together" :
								   "signal and min_points do not go together");
		if (signal == NULL && gate->within > 0)
			return lead_model_fail(&row, "Set within with a signal only.",
								   "points and within do not go together");
		if (signal != NULL && !find_signal(&row, "signal", signal, &gate->signal))
			return false;
		if (dimension != NULL && !find_dimension(&row, dimension, &gate->dimension))
			return false;
		for (j = 0; j < c->head.stage_rules.n; j++)
			has_stage |= c->stage_rules[j].stage == gate->stage;
		if (!has_stage || gate->stage <= LEAD_STAGE_VISITOR)
			return lead_model_fail(&row, "Add a stage_rule from iql on, or remove the gate.",
								   "belongs to stage \"%s\", which the model cannot reach by points",
								   lead_stage_label(gate->stage));
		gate->name = pool_string(c, name);
		for (j = 0; j < i; j++)
			if (gate_cmp(gate, &c->gates[j], c) == 0)
				return lead_model_fail(&row, "Remove one of the two rows.",
									   "stage \"%s\" has the same row twice",
									   lead_stage_label(gate->stage));
	}
	qsort_arg(c->gates, n, sizeof(ModelGate), gate_cmp, c);
	c->head.gates.n = n;
	return true;
}

/* By dimension, and the highest threshold first */
static int
grade_cmp(const void *a, const void *b)
{
	const ModelGrade *x = a;
	const ModelGrade *y = b;

	if (x->dimension != y->dimension)
		return (int) x->dimension - (int) y->dimension;
	return x->min_points > y->min_points ? -1 : (x->min_points < y->min_points ? 1 : 0);
}

/* Read the grades of dimensions. */
static bool
compile_grades(ModelRow *model)
{
	Compiler   *c = model->c;
	JsonbContainer *rows;
	int			n;
	int			i;
	int			j;

	if (!lead_model_read_rows(model, "grades", &rows, &n, sizeof(ModelGrade), (void **) &c->grades))
		return false;
	for (i = 0; i < n; i++)
	{
		ModelGrade *grade = &c->grades[i];
		ModelRow	row;
		char	   *name;
		char	   *dimension;

		if (!lead_model_begin_row(model, "grade", "grade", rows, i, grade_keys, &row) ||
			!lead_model_read_name(&row, "grade", &name) ||
			!lead_model_read_text(&row, "dimension", &dimension) ||
			!lead_model_read_milli(&row, "min_points", NO_POINTS, MAX_SCORE_MILLI, &grade->min_points))
			return false;
		if (dimension == NULL || grade->min_points == NO_POINTS)
			return lead_model_fail(&row, "A grade stands for the points of a dimension from min_points on.",
								   "needs a dimension and min_points");
		if (!find_dimension(&row, dimension, &grade->dimension))
			return false;
		for (j = 0; j < i; j++)
			if (c->grades[j].dimension == grade->dimension &&
				(c->grades[j].min_points == grade->min_points ||
				 strcmp(pool_get(c, c->grades[j].name), name) == 0))
				return lead_model_fail(&row, "Give every grade of a dimension a name and points of its own.",
									   "dimension \"%s\" has two rows for it", dimension);
		grade->name = pool_string(c, name);
	}
	qsort(c->grades, n, sizeof(ModelGrade), grade_cmp);
	c->head.grades.n = n;
	return true;
}

/* Copy an array to its place in the datum. */
static void
lay_out(ModelArray *array, const void *items, Size size, char *datum, Size *at)
{
	array->offset = (int32) *at;
	memcpy(datum + *at, items, array->n * size);
	*at += array->n * size;
}

/* Put the parts together. */
static LeadModel *
assemble(Compiler *c)
{
	Size		at = sizeof(LeadModel) + MAXALIGN(c->pool.len);
	Size		size = at +
		c->head.signals.n * sizeof(ModelSignal) +
		c->head.dimensions.n * sizeof(ModelDimension) +
		c->head.rules.n * sizeof(ModelRule) +
		c->head.stage_rules.n * sizeof(ModelStageRule) +
		c->head.gates.n * sizeof(ModelGate) +
		c->head.grades.n * sizeof(ModelGrade);
	char	   *datum = palloc0(size);
	LeadModel  *model = (LeadModel *) datum;

	memcpy(datum + sizeof(LeadModel), c->pool.data, c->pool.len);
	/* records of eight-byte alignment first */
	lay_out(&c->head.dimensions, c->dimensions, sizeof(ModelDimension), datum, &at);
	lay_out(&c->head.rules, c->rules, sizeof(ModelRule), datum, &at);
	lay_out(&c->head.stage_rules, c->stage_rules, sizeof(ModelStageRule), datum, &at);
	lay_out(&c->head.gates, c->gates, sizeof(ModelGate), datum, &at);
	lay_out(&c->head.grades, c->grades, sizeof(ModelGrade), datum, &at);
	lay_out(&c->head.signals, c->signals, sizeof(ModelSignal), datum, &at);
	/* check_order() in scorer.c says what else holds */
	Assert(at == size);

	c->head.format = MODEL_FORMAT;
	memcpy(model, &c->head, sizeof(LeadModel));
	SET_VARSIZE(model, size);
	model->hash = hash_bytes_extended((unsigned char *) datum + offsetof(LeadModel, min_score),
									  size - offsetof(LeadModel, min_score),
									  model->grain | model->gates_required << 1 |
									  model->allow_demotion << 2);
	return model;
}

/* Compile the JSON form; NULL after a soft error. */
LeadModel *
lead_model_compile(Jsonb *json, Node *escontext)
{
	static const char *const grain_names[] = {"1 day", "1 hour", NULL};
	Compiler	c;
	ModelRow	row;
	char	   *name;
	int			grain;

	memset(&c, 0, sizeof(c));
	initStringInfo(&c.pool);
	row.c = &c;
	row.escontext = escontext;
	row.grain = GRAIN_DAY;
	row.kind = "model";
	row.name = NULL;
	row.number = 0;
	row.object = &json->root;
	if (!JB_ROOT_IS_OBJECT(json))
	{
		lead_model_fail(&row, "Write a model as a JSON object.", "is not an object");
		return NULL;
	}
	if (!lead_model_check_keys(&row, model_keys) ||
		!lead_model_read_text(&row, "model", &name))
		return NULL;
	row.name = name;
	c.head.name = pool_string(&c, name ? name : "");
	if (!lead_model_read_choice(&row, "grain", grain_names, GRAIN_DAY, &grain))
		return NULL;
	c.head.grain = (uint8) grain;
	row.grain = (LeadGrain) grain;
	if (!lead_model_read_milli(&row, "min_score", NO_POINTS, MAX_SCORE_MILLI, &c.head.min_score) ||
		!lead_model_read_milli(&row, "max_score", NO_POINTS, MAX_SCORE_MILLI, &c.head.max_score) ||
		!lead_model_read_bool(&row, "gates_required", true, &c.head.gates_required) ||
		!lead_model_read_bool(&row, "allow_demotion", false, &c.head.allow_demotion) ||
		!lead_model_read_milli(&row, "demotion_margin", 0, MAX_SCORE_MILLI, &c.head.demotion_margin))
		return NULL;
	if (c.head.min_score != NO_POINTS && c.head.max_score != NO_POINTS &&
		c.head.min_score > c.head.max_score)
	{
		lead_model_fail(&row, "Swap min_score and max_score.", "min_score is above max_score");
		return NULL;
	}
	if (c.head.demotion_margin < 0)
	{
		lead_model_fail(&row, "Set 0 or more: points below the threshold that are still tolerated.",
						"demotion_margin is negative");
		return NULL;
	}
	if (!compile_signals(&row) || !compile_dimensions(&row) || !compile_rules(&row) ||
		!compile_stage_rules(&row) || !compile_gates(&row) || !compile_grades(&row))
		return NULL;
	return assemble(&c);
}
