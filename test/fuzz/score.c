/*-------------------------------------------------------------------------
 *
 * score.c
 *		Any model, segments and activity: no undefined behaviour, the future
 *		changes nothing, segments are what their conditions say, and the
 *		searches for the next change are exact.
 *
 * The input is read as choices of what a compiled model may hold, and the
 * definitions of segments.  Time ends some hundred days after the events, at the
 * end of the calendar, so that searches can be compared with a look at every
 * day.  Who is in a segment is said here a second time, from its definition and
 * the counts alone; points are those of the evaluation.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "../../src/segment_match.h"
#include "../../src/stage.h"
#include "../../src/stage_search.h"
#include "fuzz.h"

#define MAX_OF_A_KIND	8
#define MAX_IN_SEGMENT	5
#define DAYS			400		/* from the first event to the end of time */

/* A model datum, laid out by hand */
typedef struct FuzzModel
{
	LeadModel	head;
	ModelSignal signals[MAX_OF_A_KIND];
	ModelDimension dimensions[MAX_OF_A_KIND];
	ModelRule	rules[MAX_OF_A_KIND];
	ModelStageRule stage_rules[MAX_OF_A_KIND];
	ModelGate	gates[MAX_OF_A_KIND];
	ModelTier	tiers[MAX_OF_A_KIND][2];
	int16		indexes[MAX_OF_A_KIND * 4];
	char		names[4];		/* "", "a", "b", by their ends */
	char		dimension_names[MAX_OF_A_KIND][2];
} FuzzModel;

/* Definitions of segments, in no order */
typedef struct FuzzSegments
{
	int			n;
	bool		in[MAX_OF_A_KIND];	/* by id: is the lead in it? */
	Segment		segments[MAX_OF_A_KIND];
	SegmentCondition conditions[MAX_OF_A_KIND][MAX_IN_SEGMENT];
} FuzzSegments;

static const unsigned char *input;
static size_t left;

/* The next choice among n; the first when the input is used up */
static int
pick(int n)
{
	if (left == 0)
		return 0;
	left--;
	return *input++ % n;
}

/* Points of any size, most of them small */
static int64
pick_points(void)
{
	static const int64 sizes[] = {1, 500, 1000, 2500, 10000, 31000, 999, MAX_POINTS_MILLI};
	int64		points = sizes[pick(lengthof(sizes))] * (pick(4) == 3 ? 0 : 1);

	return pick(3) == 2 ? -points : points;
}

static int64
pick_limit(void)
{
	return pick(3) == 2 ? pick_points() : NO_POINTS;
}

/* Are different values of this signal counted? */
static bool
is_distinct(int signal)
{
	return signal % 3 == 1;
}

static ModelArray
at_offset(const FuzzModel *model, const void *items, int n)
{
	return (ModelArray) {(int32) ((const char *) items - (const char *) model), n};
}

/* A list of no or one signal, or all of them */
static ModelArray
pick_signals(FuzzModel *model, int16 *list)
{
	switch (pick(6))
	{
		case 0:
			*list = (int16) pick(model->head.signals.n);
			return at_offset(model, list, 1);
		case 1:
			list[0] = 0;
			list[1] = (int16) (model->head.signals.n - 1);
			return at_offset(model, list, model->head.signals.n > 1 ? 2 : 1);
		default:
			return (ModelArray) {0, 0};
	}
}

static void
pick_rule(FuzzModel *model, int i)
{
	ModelRule  *rule = &model->rules[i];

	rule->name = at_offset(model, model->names, 1).offset;
	rule->dimension = (int16) pick(model->head.dimensions.n);
	rule->signal = (int16) pick(model->head.signals.n);
	rule->points = pick_points();
	rule->of_dimension = NO_INDEX;
	rule->aggregate = (uint8) pick(7);
	if (is_distinct(rule->signal))
		rule->aggregate = pick(2) ? AGGREGATE_SUM : AGGREGATE_TIER;
	rule->only_if = pick_signals(model, &model->indexes[4 * i]);
	if (pick(4) == 0)
		rule->unless = pick_signals(model, &model->indexes[4 * i + 2]);
	if (rule->aggregate == AGGREGATE_FIRST_N)
		rule->first_n = 1 + pick(5);
	if (rule->aggregate == AGGREGATE_PERIODS)
	{
		rule->min_count = 1 + pick(4);
		rule->period = (uint8) (PERIOD_DAY + pick(PERIOD_EVER));
	}
	if (rule->aggregate == AGGREGATE_TIER)
	{
		int64		lower = pick_points();
		int64		higher = lower < 0 ? lower - pick(9) * 1000 : lower + pick(9) * 1000;

		model->tiers[i][0] = (ModelTier) {1 + pick(3), lower};
		model->tiers[i][1] = (ModelTier) {5 + pick(9), higher};
		rule->tiers = at_offset(model, model->tiers[i], 1 + pick(2));
		rule->within = pick(30);
	}
	else if (rule->aggregate == AGGREGATE_IDLE)
	{
		rule->after = 1 + pick(30);
		rule->repeat = (uint8) pick(2);
		if (pick(2))
		{
			int64		from = pick_points();
			int64		points = pick_points();

			/* of one sign, rising or falling */
			model->tiers[i][0] = (ModelTier) {from, points};
			model->tiers[i][1] = (ModelTier) {from + 1 + pick(9) * 999, points / (1 + pick(3))};
			rule->tiers = at_offset(model, model->tiers[i], 1 + pick(2));
			rule->of_dimension = (int16) (pick(model->head.dimensions.n + 1) + NO_INDEX);
		}
	}
	else
	{
		rule->decay = (uint8) pick(5);
		if (rule->decay != DECAY_NONE)
			rule->decay_period = 1 + pick(20);
		if (rule->decay == DECAY_STEP)
			rule->decay_percent = 100 + pick(256) * 391;
		if (rule->decay == DECAY_LINEAR)
			rule->decay_percent = 1 + pick(256) * 392;
		if (rule->decay_percent > 100000)
			rule->decay_percent = 100000;
	}
	if (rule->aggregate != AGGREGATE_IDLE && !is_distinct(rule->signal) && pick(3) == 0)
	{
		rule->limit_count = 1 + pick(3);
		rule->limit_period = (uint8) (PERIOD_DAY + pick(PERIOD_EVER));
	}
	rule->max_points = NO_POINTS;
	if (pick(3) == 0)
	{
		int64		sign = rule->points;

		if (rule->tiers.n > 0 && model->tiers[i][rule->tiers.n - 1].points < 0)
			sign = -sign;
		rule->max_points = (sign < 0 ? -1 : 1) * pick(60) * INT64CONST(1000);
	}
}

static void
pick_stages(FuzzModel *model)
{
	static const uint8 stages[] = {LEAD_STAGE_IQL, LEAD_STAGE_MQL, LEAD_STAGE_SQL, LEAD_STAGE_PROSPECT};
	int64		threshold = pick(20) * INT64CONST(1000) - 5000;
	int			nrules = 0;
	int			ngates = 0;
	int			i;

	for (i = 0; i < (int) lengthof(stages); i++)
	{
		int			general = pick(4);
		int			name = 0;

		threshold += 1 + pick(30) * INT64CONST(500);
		if (general == 0)
			continue;
		if (general == 1)
			model->stage_rules[nrules++] = (ModelStageRule)
			{
				.min_score = threshold + 100, .stage = stages[i], .only_if = (int16) pick(model->head.signals.n)
			};
		model->stage_rules[nrules++] = (ModelStageRule)
		{
			.min_score = pick(4) == 0 ? NO_POINTS : threshold, .stage = stages[i], .only_if = NO_INDEX
		};
		while (name < 3 && ngates < MAX_OF_A_KIND)
		{
			ModelGate  *gate = &model->gates[ngates];

			name += pick(3);
			if (name >= 3)
				break;
			*gate = (ModelGate)
			{
				.min_count = 1, .min_points = NO_POINTS, .signal = NO_INDEX, .dimension = NO_INDEX,
					.stage = stages[i], .negate = (uint8) (pick(4) == 0),
					.name = at_offset(model, &model->names[name], 1).offset
			};
			if (pick(4) == 0)
				gate->min_points = pick_points();
			else if (pick(2))
			{
				gate->signal = (int16) pick(model->head.signals.n);
				gate->min_count = 1 + pick(3);
				gate->within = pick(40);
			}
			else
			{
				gate->dimension = (int16) pick(model->head.dimensions.n);
				gate->min_points = pick_points();
			}
			ngates++;
		}
	}
	model->head.stage_rules = at_offset(model, model->stage_rules, nrules);
	model->head.gates = at_offset(model, model->gates, ngates);
}

static FuzzModel *
pick_model(void)
{
	FuzzModel  *model = palloc0(sizeof(FuzzModel));
	int			n;
	int			i;

	model->head.format = MODEL_FORMAT;
	model->head.grain = GRAIN_DAY;
	model->head.gates_required = (uint8) pick(2);
	model->head.allow_demotion = (uint8) pick(2);
	model->head.min_score = NO_POINTS;
	model->head.max_score = pick(5) == 4 ? 20000 : NO_POINTS;
	model->head.demotion_margin = pick(3) * INT64CONST(1000);
	model->names[1] = 'a';
	model->names[3] = '\0';

	n = 1 + pick(6);
	model->head.signals = at_offset(model, model->signals, n);
	for (i = 0; i < n; i++)
		model->signals[i] = (ModelSignal) {.name = model->head.signals.offset, .id = (int16) i, .distinct = is_distinct(i)};
	n = 1 + pick(3);
	model->head.dimensions = at_offset(model, model->dimensions, n);
	for (i = 0; i < n; i++)
	{
		static const int64 weights[] = {1000, 0, 333, 2500, MAX_WEIGHT_MILLI};
		ModelDimension *d = &model->dimensions[i];

		model->dimension_names[i][0] = (char) ('a' + i);
		d->name = at_offset(model, model->dimension_names[i], 1).offset;
		d->min_points = pick_limit();
		d->max_points = pick_limit();
		if (d->min_points != NO_POINTS && d->max_points < d->min_points)
			d->max_points = NO_POINTS;
		d->weight = weights[pick(lengthof(weights))];
		d->resets = pick_signals(model, &model->indexes[4 * MAX_OF_A_KIND - 2]);
	}
	n = pick(MAX_OF_A_KIND);
	model->head.rules = at_offset(model, model->rules, n);
	for (i = 0; i < n; i++)
		pick_rule(model, i);
	pick_stages(model);
	return model;
}

/* What a condition asks for: of its kind alone, as a compiled one */
static void
pick_condition(SegmentCondition *c, int32 segment_id)
{
	static const char *const dimensions[] = {"a", "b", "c", "none"};

	c->test = (SegmentTest) pick(TEST_SEGMENT + 1);
	c->negate = pick(4) == 3;
	c->signal = c->dimension = c->segment = NO_INDEX;
	c->signal_id = c->segment_id = -1;
	c->min_count = 1;
	c->min_points = NO_POINTS;
	c->stage_to = LEAD_STAGE_ADVOCATE;
	switch (c->test)
	{
		case TEST_SIGNAL:
			/* the last one no model knows */
			c->signal_id = pick(8);
			c->distinct = is_distinct(c->signal_id);
			c->min_count = pick(9) == 8 ? PG_INT32_MAX : 1 + pick(4);
			c->within = pick(3) == 0 ? 0 : 1 + pick(pick(2) ? 60 : 250);
			break;
		case TEST_DIMENSION:
			c->dimension_name = dimensions[pick(lengthof(dimensions))];
			c->min_points = pick_points();
			break;
		case TEST_SCORE:
			c->min_points = pick_points();
			break;
		case TEST_STAGE:
			c->stage_from = (uint8) pick(LEAD_STAGE_ADVOCATE + 1);
			c->stage_to = (uint8) (Max(c->stage_from, 1) + pick(LEAD_STAGE_ADVOCATE + 1 - Max(c->stage_from, 1)));
			break;
		case TEST_SEGMENT:
			/* of those with a lower id; of the first one there is none */
			c->segment_id = pick(segment_id);
			break;
	}
}

static void
pick_segments(FuzzSegments *set)
{
	static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g"};
	int			i;

	set->n = pick(MAX_OF_A_KIND);
	for (i = 0; i < set->n; i++)
	{
		Segment    *segment = &set->segments[i];
		int			name = 0;
		int			j;

		segment->id = i + 1;
		segment->name = names[i];
		segment->persona = pick(2) == 1;
		segment->min_share = pick(2) ? WHOLE_SHARE : 1 + pick(250) * 4;
		segment->n = 1 + pick(MAX_IN_SEGMENT);
		segment->conditions = set->conditions[i];
		for (j = 0; j < segment->n; j++)
		{
			static const int64 weights[] = {1000, 1000, 2000, 333, 1, MAX_SEGMENT_WEIGHT};
			SegmentCondition *c = &segment->conditions[j];

			pick_condition(c, segment->id);
			/* rows of one name stand together and have one weight */
			if (j > 0 && pick(3) == 0)
				c->weight = c[-1].weight;
			else
			{
				c->weight = weights[pick(lengthof(weights))];
				segment->weight += c->weight;
				name += j > 0;
			}
			c->name = names[name];
		}
	}
	/* any of them may have been activated first */
	for (i = set->n - 1; i > 0; i--)
	{
		int			j = pick(i + 1);
		Segment		saved = set->segments[i];

		set->segments[i] = set->segments[j];
		set->segments[j] = saved;
	}
}

/* How often a condition finds its signal at a bucket */
static int128
count_of(const ActivityList *activity, const SegmentCondition *c, int32 at)
{
	int128		count = 0;
	uint32		seen = 0;
	int			i;

	for (i = 0; i < activity->nitems; i++)
	{
		const ActivityItem *item = &activity->items[i];

		if (item->signal != c->signal_id || item->count <= 0 ||
			(item->bucket != BUCKET_TIMELESS &&
			 (item->bucket > at || (c->within > 0 && (int64) at - item->bucket >= c->within))))
			continue;
		if (!c->distinct)
			count += item->count;
		/* each value once */
		else if (item->value != 0 && (seen & (1U << item->value)) == 0)
		{
			seen |= 1U << item->value;
			count++;
		}
	}
	return count;
}

/* Does a condition hold at the bucket of an evaluation? */
static bool
holds(const FuzzSegments *set, const SegmentCondition *c, const FuzzModel *model,
	  const Evaluation *e, uint8 stage)
{
	int64		points = 0;
	bool		result = false;
	int			i;

	switch (c->test)
	{
		case TEST_SIGNAL:
			result = count_of(e->activity, c, e->at) >= c->min_count;
			break;
		case TEST_DIMENSION:
			for (i = 0; i < model->head.dimensions.n; i++)
				if (strcmp(model->dimension_names[i], c->dimension_name) == 0)
					points = e->dimensions[i];
			result = points >= c->min_points;
			break;
		case TEST_SCORE:
			result = e->total >= c->min_points;
			break;
		case TEST_STAGE:
			result = stage >= c->stage_from && stage <= c->stage_to;
			break;
		case TEST_SEGMENT:
			result = set->in[c->segment_id];
			break;
	}
	return result != c->negate;
}

/* The weight of the names of a segment of which some row holds */
static int64
weight_of(const FuzzSegments *set, const Segment *segment, const FuzzModel *model,
		  const Evaluation *e, uint8 stage)
{
	int64		weight = 0;
	int			i;
	int			j;

	for (i = 0; i < segment->n; i++)
	{
		const SegmentCondition *c = &segment->conditions[i];
		bool		any = false;

		if (i > 0 && strcmp(c[-1].name, c->name) == 0)
			continue;
		for (j = 0; j < segment->n; j++)
			any |= strcmp(segment->conditions[j].name, c->name) == 0 &&
				holds(set, &segment->conditions[j], model, e, stage);
		if (any)
			weight += c->weight;
	}
	return weight;
}

/* Look which segments a lead is in at the bucket of an evaluation. */
static void
look(FuzzSegments *set, const FuzzModel *model, const Evaluation *e, uint8 stage)
{
	int			id;
	int			i;

	memset(set->in, 0, sizeof(set->in));
	/* each names others with lower ids */
	for (id = 1; id <= set->n; id++)
		for (i = 0; i < set->n; i++)
			if (set->segments[i].id == id)
				set->in[id] = (int128) weight_of(set, &set->segments[i], model, e, stage) * 1000 >=
					(int128) set->segments[i].weight * set->segments[i].min_share;
}

/* Is a lead at the bucket of an evaluation in these segments of a scorer, and in no other? */
static bool
same_segments(FuzzSegments *set, const Scorer *scorer, const FuzzModel *model,
			  const Evaluation *e, uint8 stage, const SegmentBits *members)
{
	int			i;

	look(set, model, e, stage);
	for (i = 0; scorer->segments && i < scorer->segments->n; i++)
		if (segment_is_member(members, i) != set->in[scorer->segments->segments[i].id])
			return false;
	return true;
}

/* Are the segments of an evaluation, and their parts, what the definitions say? */
static void
check_segments(FuzzSegments *set, const Scorer *scorer, const FuzzModel *model,
			   const Evaluation *e, uint8 stage, SegmentBits *members)
{
	int			i;
	int			j;

	leadscore_segments_at(scorer, e, stage, members);
	CHECK((scorer->segments ? scorer->segments->n : 0) == set->n);
	CHECK(same_segments(set, scorer, model, e, stage, members));
	for (i = 0; i < set->n; i++)
	{
		const Segment *segment = &scorer->segments->segments[i];

		CHECK(leadscore_match_weight(scorer, e, stage, members, segment) ==
			  weight_of(set, segment, model, e, stage));
		for (j = 0; j < segment->n; j++)
		{
			const SegmentCondition *c = &segment->conditions[j];

			CHECK(leadscore_condition_met(scorer, e, stage, members, c) ==
				  holds(set, c, model, e, stage));
			/* what is named comes before */
			CHECK(c->segment < i);
			CHECK(c->test != TEST_SEGMENT ||
				  c->segment == leadscore_segment_index(scorer->segments, c->segment_id));
		}
	}
}

static void
pick_activity(ActivityList *list)
{
	int			n = pick(20);

	lead_activity_init(list, GRAIN_DAY, n);
	while (n-- > 0)
	{
		static const int64 counts[] = {1, 1, 2, 3, 9, -1, 1000000000, PG_INT64_MAX};
		int			day = pick(64);

		list->items[list->nitems].signal = pick(7);
		/* events without a value count for nothing */
		list->items[list->nitems].value = is_distinct(list->items[list->nitems].signal) ? pick(4) : 0;
		list->items[list->nitems].bucket = day == 63 ? BUCKET_TIMELESS : LAST_DAY - DAYS + day * 2;
		list->items[list->nitems++].count = counts[pick(lengthof(counts))];
	}
	lead_activity_normalize(list);
}

/* Is the score at a bucket that of what was up to it? */
static void
check_time_travel(Scorer *scorer, const ActivityList *activity, const Evaluation *e)
{
	ActivityList past;
	Evaluation *again = leadscore_evaluation_create(scorer);
	int			i;

	lead_activity_init(&past, GRAIN_DAY, activity->nitems);
	for (i = 0; i < activity->nitems; i++)
		if (activity->items[i].bucket <= e->at)
			past.items[past.nitems++] = activity->items[i];
	leadscore_evaluate(scorer, &past, e->at, again);
	CHECK(again->total == e->total);
	CHECK(leadscore_qualified_stage(scorer, again) == leadscore_qualified_stage(scorer, e));
	CHECK(e->total <= MAX_SCORE_MILLI && e->total >= -MAX_SCORE_MILLI);
}

/* An activity of what two others have, some of the counts that only one has */
static void
pick_between(const ActivityList *least, int32 least_last, const ActivityList *most,
			 uint32 *seed, ActivityList *between)
{
	int			i;
	int			j = 0;

	lead_activity_init(between, GRAIN_DAY, most->nitems);
	for (i = 0; i < most->nitems; i++)
	{
		ActivityItem item = most->items[i];
		int64		low = 0;

		for (; j < least->nitems && (least->items[j].signal < item.signal ||
									 (least->items[j].signal == item.signal &&
									  (least->items[j].value < item.value ||
									   (least->items[j].value == item.value &&
										least->items[j].bucket < item.bucket)))); j++)
			;
		if (j < least->nitems && least->items[j].signal == item.signal &&
			least->items[j].value == item.value && least->items[j].bucket == item.bucket && item.bucket <= least_last)
			low = least->items[j].count;
		low = Min(low, item.count);
		*seed = *seed * 1664525 + 1013904223;
		switch (*seed >> 30)
		{
			case 0:
				item.count = low;
				break;
			case 1:
				item.count = low / 2 + item.count / 2;
				item.count = Max(item.count, low);
				break;
			default:
				break;
		}
		if (item.count != 0)
			between->items[between->nitems++] = item;
	}
}

/*
 * Does a lead stay where it is at every bucket, though of the counts of that
 * bucket only some have come yet?
 */
static void
check_within(Scorer *scorer, FuzzSegments *set, const FuzzModel *model,
			 const ActivityList *activity, int32 from, int32 until, const LeadStanding *standing)
{
	Evaluation *e = leadscore_evaluation_create(scorer);
	ActivityList some;
	int32		at;
	int			i;
	int			j;

	lead_activity_init(&some, GRAIN_DAY, activity->nitems);
	for (at = from; at <= until; at++)
		for (i = 0; i <= activity->nitems; i++)
		{
			/* without the first i, by signal, of this bucket, or with its rest alone */
			if (i < activity->nitems && activity->items[i].bucket != at)
				continue;
			some.nitems = 0;
			for (j = 0; j < activity->nitems; j++)
				if (activity->items[j].bucket != at || (i % 2 == 0 ? j > i : j <= i))
					some.items[some.nitems++] = activity->items[j];
			leadscore_evaluate(scorer, &some, at, e);
			CHECK(leadscore_next_stage(scorer, e, standing) == standing->stage);
			CHECK(same_segments(set, scorer, model, e, standing->stage, &standing->segments));
		}
}

/* Does a lead stay in its stage and segments where bounds say so, whatever happens? */
static void
check_bounds(Scorer *scorer, FuzzSegments *set, const FuzzModel *model,
			 const ActivityList *least, const LeadStanding *standing)
{
	ActivityList added;
	ActivityList most;
	ActivityList between;
	Evaluation *e = leadscore_evaluation_create(scorer);
	int32		from = LAST_DAY - DAYS + pick(200);
	int32		until = Min(from + pick(30) * pick(5), LAST_DAY);
	int32		last = from - pick(2);
	int32		at;
	uint32		seed = 1;
	int			i;

	pick_activity(&added);
	for (i = 0; i < added.nitems; i++)
		if (added.items[i].count < 0 || added.items[i].bucket == BUCKET_TIMELESS)
			added.items[i].count = 1, added.items[i].bucket = from;
	lead_activity_normalize(&added);
	lead_activity_init(&most, GRAIN_DAY, 0);
	lead_activity_merge(least, &added, 1, &most);
	if (leadscore_standing_keeps(scorer, &most, from, until, standing))
		check_within(scorer, set, model, &most, from, until, standing);
	if (!leadscore_standing_stays(scorer, least, last, &most, from, until, standing))
		return;
	for (i = 0; i < 4; i++)
	{
		pick_between(least, last, &most, &seed, &between);
		for (at = from; at <= until; at++)
		{
			leadscore_evaluate(scorer, &between, at, e);
			CHECK(leadscore_next_stage(scorer, e, standing) == standing->stage);
			CHECK(same_segments(set, scorer, model, e, standing->stage, &standing->segments));
		}
	}
}

/*
 * The first bucket up to one in which the standing changes.  A search may name an
 * earlier one, where nothing is found and it is asked again, as a sweep does.
 */
static int32
change_of(Scorer *scorer, FuzzSegments *set, const FuzzModel *model, const ActivityList *activity,
		  int32 after, int32 until, const LeadStanding *standing)
{
	Evaluation *e = leadscore_evaluation_create(scorer);

	while (after < until)
	{
		int32		at = leadscore_standing_change(scorer, activity, after, until, standing, true);

		CHECK(at > after);
		if (at == BUCKET_NEVER)
			return at;
		CHECK(at <= until);
		leadscore_evaluate(scorer, activity, at, e);
		if (leadscore_next_stage(scorer, e, standing) != standing->stage ||
			!same_segments(set, scorer, model, e, standing->stage, &standing->segments))
			return at;
		after = at;
	}
	return BUCKET_NEVER;
}

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	static const uint8 stages[] = {LEAD_STAGE_VISITOR, LEAD_STAGE_LOST, LEAD_STAGE_IQL,
	LEAD_STAGE_MQL, LEAD_STAGE_SQL, LEAD_STAGE_PROSPECT, LEAD_STAGE_CUSTOMER};
	FuzzModel  *model;
	FuzzSegments *set;
	SegmentSet	definitions;
	SegmentBits members;
	Scorer	   *scorer;
	Evaluation *e;
	ActivityList activity;
	LeadStanding standing;
	int32		after;
	int32		at;
	int32		qualified_change = BUCKET_NEVER;
	int32		standing_change = BUCKET_NEVER;
	uint8		qualified;

	input = data;
	left = size;
	after = LAST_DAY - DAYS + pick(140) - 5;
	standing.stage = stages[pick(lengthof(stages))];
	standing.promotion_blocked = pick(3) == 0;
	standing.suspended = 0;
	pick_activity(&activity);
	model = pick_model();
	set = palloc0(sizeof(FuzzSegments));
	pick_segments(set);
	definitions = (SegmentSet) {set->n, set->segments};
	scorer = leadscore_scorer_create(&model->head, set->n > 0 ? &definitions : NULL);
	e = leadscore_evaluation_create(scorer);

	leadscore_evaluate(scorer, &activity, after, e);
	check_time_travel(scorer, &activity, e);
	check_segments(set, scorer, model, e, standing.stage, &standing.segments);
	qualified = leadscore_qualified_stage(scorer, e);
	(void) leadscore_stage_by_points(scorer, e, e->total);
	for (at = after + 1; at <= LAST_DAY; at++)
	{
		leadscore_evaluate(scorer, &activity, at, e);
		if (at % 50 == 0)
		{
			check_time_travel(scorer, &activity, e);
			check_segments(set, scorer, model, e, stages[at / 50 % lengthof(stages)], &members);
		}
		if (qualified_change == BUCKET_NEVER && leadscore_qualified_stage(scorer, e) != qualified)
			qualified_change = at;
		if (standing_change == BUCKET_NEVER &&
			(leadscore_next_stage(scorer, e, &standing) != standing.stage ||
			 !same_segments(set, scorer, model, e, standing.stage, &standing.segments)))
			standing_change = at;
	}
	CHECK(leadscore_qualified_change(scorer, &activity, after, qualified) == qualified_change);
	CHECK(change_of(scorer, set, model, &activity, after, LAST_DAY, &standing) == standing_change);
	if (standing_change != BUCKET_NEVER)
	{
		/* and of a search that ends there, or just before */
		CHECK(change_of(scorer, set, model, &activity, after, standing_change, &standing) == standing_change);
		CHECK(change_of(scorer, set, model, &activity, after, standing_change - 1, &standing) == BUCKET_NEVER);
	}
	check_bounds(scorer, set, model, &activity, &standing);
	fuzz_free_all();
	return 0;
}
