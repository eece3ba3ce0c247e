/*-------------------------------------------------------------------------
 *
 * model.h
 *		lead_model: a scoring model compiled to one flat datum.
 *
 * The datum is used as it lies: arrays of fixed-size records at offsets from
 * its start, and a pool of zero-terminated strings.  It holds definitions
 * only; decay.c derives weight tables from it once per call site.
 *
 * Points, weights and scores are milli-points (1000 = one point); percentages
 * are thousandths of a percent; periods are buckets of the model's grain.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_MODEL_H
#define LEADSCORE_MODEL_H

#include "calendar.h"

#define MODEL_FORMAT	1

/* an absent number of points or an absent count */
#define NO_POINTS		PG_INT64_MIN
#define NO_INDEX		(-1)

/* what a definition may hold; arithmetic in score.c relies on them */
#define MAX_POINTS_MILLI	INT64CONST(1000000000000)	/* 1e9 points */
#define MAX_SCORE_MILLI		INT64CONST(1000000000000000)	/* 1e12 points */
#define MAX_WEIGHT_MILLI	INT64CONST(1000000000)	/* a weight of 1e6 */
#define MAX_ROWS			8192	/* of one kind in a model */

typedef enum RuleAggregate
{
	AGGREGATE_SUM = 0,
	AGGREGATE_LAST,
	AGGREGATE_FIRST_N,
	AGGREGATE_DAYS,
	AGGREGATE_TIER,
	AGGREGATE_IDLE,
	AGGREGATE_PERIODS
} RuleAggregate;

typedef enum RuleDecay
{
	DECAY_NONE = 0,
	DECAY_HALF_LIFE,
	DECAY_LINEAR,
	DECAY_STEP,
	DECAY_WINDOW
} RuleDecay;

typedef enum SignalSource
{
	SOURCE_EVENT = 0,
	SOURCE_PROFILE
} SignalSource;

/* n records at an offset from the start of the datum */
typedef struct ModelArray
{
	int32		offset;
	int32		n;
} ModelArray;

typedef struct ModelSignal
{
	int32		name;
	int16		id;
	uint8		source;
	uint8		distinct;		/* do rules count its different values? */
} ModelSignal;

typedef struct ModelDimension
{
	int64		min_points;
	int64		max_points;
	int64		weight;
	ModelArray	resets;			/* of int16, indexes of signals */
	int32		name;
	int32		unused;
} ModelDimension;

typedef struct ModelTier
{
	int64		from;			/* counts, or milli-points for quiet time */
	int64		points;
} ModelTier;

typedef struct ModelRule
{
	int64		points;
	int64		max_points;
	int64		first_n;
	int64		limit_count;
	int64		min_count;		/* that a period needs */
	ModelArray	tiers;			/* of ModelTier */
	ModelArray	only_if;		/* of int16, indexes of signals */
	ModelArray	unless;
	int32		name;
	int32		within;			/* 0: all */
	int32		after;
	int32		decay_period;
	int32		decay_percent;
	int16		dimension;
	int16		signal;
	uint8		aggregate;
	uint8		decay;
	uint8		limit_period;
	uint8		repeat;
	uint8		period;			/* that counts are taken together in */
	uint8		unused;
	int16		of_dimension;	/* whose points choose the tier of quiet time;
								 * NO_INDEX: those of the score */
} ModelRule;

typedef struct ModelStageRule
{
	int64		min_score;
	ModelArray	entry_signals;	/* of int16 */
	int32		sla_minutes;	/* 0: none */
	int16		only_if;		/* index of a signal or NO_INDEX */
	uint8		stage;
	uint8		unused;
} ModelStageRule;

typedef struct ModelGate
{
	int64		min_count;
	int64		min_points;
	int32		name;
	int32		within;			/* 0: all */
	int16		signal;			/* or NO_INDEX */
	int16		dimension;		/* or NO_INDEX; min_points with neither are of
								 * the score */
	uint8		stage;
	uint8		negate;
	int16		unused;
} ModelGate;

typedef struct ModelGrade
{
	int64		min_points;
	int32		name;
	int16		dimension;
	int16		unused;
} ModelGrade;

typedef struct LeadModel
{
	int32		vl_len_;
	uint8		format;
	uint8		grain;
	uint8		gates_required;
	uint8		allow_demotion;
	uint64		hash;			/* of all that follows */
	int64		min_score;
	int64		max_score;
	int64		demotion_margin;
	ModelArray	signals;		/* by id */
	ModelArray	dimensions;		/* as given */
	ModelArray	rules;			/* as given */
	ModelArray	stage_rules;	/* by stage, only_if rows before the general
								 * one */
	ModelArray	gates;			/* by stage and gate */
	ModelArray	grades;			/* by dimension, falling */
	int32		name;
	int32		unused;
} LeadModel;

#define MODEL_ITEMS(model, type, array) \
	((const type *) ((const char *) (model) + (array).offset))
#define MODEL_STRING(model, offset)	((const char *) (model) + (offset))

#define model_signals(m)		MODEL_ITEMS(m, ModelSignal, (m)->signals)
#define model_dimensions(m)		MODEL_ITEMS(m, ModelDimension, (m)->dimensions)
#define model_rules(m)			MODEL_ITEMS(m, ModelRule, (m)->rules)
#define model_stage_rules(m)	MODEL_ITEMS(m, ModelStageRule, (m)->stage_rules)
#define model_gates(m)			MODEL_ITEMS(m, ModelGate, (m)->gates)
#define model_grades(m)			MODEL_ITEMS(m, ModelGrade, (m)->grades)

/* The name of a signal by its index */
static inline const char *
model_signal_name(const LeadModel *model, int signal)
{
	return MODEL_STRING(model, model_signals(model)[signal].name);
}

/* Do the points of a lead choose what a rule gives for quiet time? */
static inline bool
rule_is_tiered_idle(const ModelRule *rule)
{
	return rule->aggregate == AGGREGATE_IDLE && rule->tiers.n > 0;
}

/* Does a row of a gate ask for points of the score? */
static inline bool
gate_of_score(const ModelGate *gate)
{
	return gate->signal == NO_INDEX && gate->dimension == NO_INDEX;
}

/* Compare an id with that of a signal. */
static inline int
model_signal_id_cmp(const void *id, const void *signal)
{
	return *(const int *) id - ((const ModelSignal *) signal)->id;
}

/* Index of the signal with an id, or NO_INDEX; signals are sorted by id. */
static inline int
lead_model_signal_index(const LeadModel *model, int id)
{
	const ModelSignal *signals = model_signals(model);
	const ModelSignal *found = bsearch(&id, signals, model->signals.n, sizeof(ModelSignal),
									   model_signal_id_cmp);

	return found ? (int) (found - signals) : NO_INDEX;
}

/* model_json.c */
extern const char *lead_model_period_name(int period);
extern const char *lead_model_source_name(int source);

#endif							/* LEADSCORE_MODEL_H */
