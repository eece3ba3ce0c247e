/*-------------------------------------------------------------------------
 *
 * score_pair.c
 *		Two models over one activity, where both are mostly alike.
 *
 * A draft is a copy of the active model with a few changes.  So the second
 * model looks at the counts that the first has found, takes the points of the
 * rules that both have from it, and its stage too if neither the points nor
 * what makes a stage differ.  What comes out is what each model gives by itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "score_pair.h"

#include "qualify.h"
#include "score_parts.h"

/* Do two arrays of models hold the same bytes? */
static bool
same_items(const LeadModel *a, ModelArray x, const LeadModel *b, ModelArray y, Size item_size)
{
	return x.n == y.n &&
		memcmp(MODEL_ITEMS(a, char, x), MODEL_ITEMS(b, char, y), x.n * item_size) == 0;
}

/* Do both models know the same signals, by the same indexes? */
static bool
same_signals(const LeadModel *a, const LeadModel *b)
{
	const ModelSignal *x = model_signals(a);
	const ModelSignal *y = model_signals(b);
	int			i;

	if (a->grain != b->grain || a->signals.n != b->signals.n)
		return false;
	for (i = 0; i < a->signals.n; i++)
		if (x[i].id != y[i].id || x[i].distinct != y[i].distinct)
			return false;
	return true;
}

/* Do two rules give the same points, if the signals of the models are the same? */
static bool
same_rule(const LeadModel *a, const ModelRule *x, const LeadModel *b, const ModelRule *y)
{
	/* what lies elsewhere is compared there */
	ModelRule	u = *x;
	ModelRule	v = *y;

	u.tiers = v.tiers;
	u.only_if = v.only_if;
	u.unless = v.unless;
	u.name = v.name;
	u.dimension = v.dimension;
	return memcmp(&u, &v, sizeof(ModelRule)) == 0 &&
		same_items(a, x->tiers, b, y->tiers, sizeof(ModelTier)) &&
		same_items(a, x->only_if, b, y->only_if, sizeof(int16)) &&
		same_items(a, x->unless, b, y->unless, sizeof(int16)) &&
		same_items(a, model_dimensions(a)[x->dimension].resets,
				   b, model_dimensions(b)[y->dimension].resets, sizeof(int16));
}

/* Does the stage follow from the signals and the points of dimensions in the same way? */
static bool
same_stages(const Scorer *scorer_a, const Scorer *scorer_b)
{
	const LeadModel *a = scorer_a->model;
	const LeadModel *b = scorer_b->model;
	int			i;

	if (a->dimensions.n != b->dimensions.n || a->stage_rules.n != b->stage_rules.n ||
		a->gates.n != b->gates.n || a->gates_required != b->gates_required)
		return false;
	for (i = 0; i < a->stage_rules.n; i++)
	{
		const ModelStageRule *x = &model_stage_rules(a)[i];
		const ModelStageRule *y = &model_stage_rules(b)[i];

		if (x->stage != y->stage || x->min_score != y->min_score || x->only_if != y->only_if)
			return false;
	}
	for (i = 0; i < a->gates.n; i++)
	{
		ModelGate	x = model_gates(a)[i];

		/* names only say which rows are alternatives */
		x.name = model_gates(b)[i].name;
		if (memcmp(&x, &model_gates(b)[i], sizeof(ModelGate)) != 0 ||
			scorer_a->gate_end[i] != scorer_b->gate_end[i])
			return false;
	}
	return true;
}

/* Find what two models have in common; lives in the current memory context. */
ScorerPair *
leadscore_pair_create(Scorer *a, Scorer *b)
{
	ScorerPair *pair = palloc0(sizeof(ScorerPair));
	const ModelRule *x = model_rules(a->model);
	const ModelRule *y = model_rules(b->model);
	int			i;
	int			j;

	pair->scorers[0] = a;
	pair->scorers[1] = b;
	pair->evaluations[0] = leadscore_evaluation_create(a);
	pair->evaluations[1] = leadscore_evaluation_create(b);
	pair->same_signals = a->segments == NULL && b->segments == NULL && same_signals(a->model, b->model);
	pair->same_stages = pair->same_signals && same_stages(a, b);
	pair->twins = palloc(sizeof(int16) * b->model->rules.n + 1);
	for (i = 0; i < b->model->rules.n; i++)
	{
		pair->twins[i] = NO_INDEX;
		/* what depends on other points, or on time alone, is computed anew */
		if (y[i].aggregate == AGGREGATE_IDLE || !pair->same_signals)
			continue;
		for (j = 0; j < a->model->rules.n && pair->twins[i] == NO_INDEX; j++)
			if (same_rule(a->model, &x[j], b->model, &y[i]))
				pair->twins[i] = (int16) j;
	}
	return pair;
}

/* Score an activity at a bucket by both models, and find the stages. */
void
leadscore_pair_evaluate(ScorerPair *pair, const ActivityList *activity, int32 at)
{
	Evaluation *a = pair->evaluations[0];
	Evaluation *b = pair->evaluations[1];

	leadscore_evaluate(pair->scorers[0], activity, at, a);
	if (pair->same_signals)
		leadscore_evaluate_beside(pair->scorers[1], a, pair->twins, b);
	else
		leadscore_evaluate(pair->scorers[1], activity, at, b);
	pair->stages[0] = leadscore_qualified_stage(pair->scorers[0], a);
	if (pair->same_stages && a->total == b->total &&
		memcmp(a->dimensions, b->dimensions,
			   sizeof(int64) * pair->scorers[0]->model->dimensions.n) == 0)
		pair->stages[1] = pair->stages[0];
	else
		pair->stages[1] = leadscore_qualified_stage(pair->scorers[1], b);
}
