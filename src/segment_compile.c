/*-------------------------------------------------------------------------
 *
 * segment_compile.c
 *		A segment from its JSON form, which segment_definition() of a pipeline
 *		makes of the configuration tables.
 *
 * Everything that a definition can get wrong without knowing other segments or
 * a model is found here, and the message names the row.  Values are read by
 * model_row.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "model_row.h"
#include "segment_compile.h"
#include "stage.h"

#define CONDITION_HINT	"Ask for a signal, for points, for a stage or for another segment."

static const char *const segment_keys[] = {
	"segment", "segment_id", "persona", "ideal_customer", "min_match_share", "conditions", NULL
};
static const char *const condition_keys[] = {
	"condition", "signal", "signal_id", "distinct", "min_count", "within", "dimension", "min_points",
	"stage_from", "stage_to", "in_segment", "in_segment_id", "lead_condition", "negate", "weight", NULL
};

/* Read a stage by its label; 0 if there is none. */
static void
read_stage(ModelRow *row, const char *key, uint8 *stage)
{
	char	   *label;

	*stage = 0;
	(void) lead_model_read_text(row, key, &label);
	if (label && !lead_stage_parse(label, strlen(label), stage))
		(void) lead_model_fail(row, "Write a stage such as iql, mql or sql.", "unknown stage");
}

/* Read one condition: it asks for one thing. */
static void
compile_condition(ModelRow *row, bool draft, SegmentCondition *c)
{
	char	   *name;
	char	   *signal;
	char	   *dimension;
	char	   *other;
	char	   *path;
	int64		signal_id;
	int64		segment_id;
	uint8		negate;
	uint8		distinct;
	int			asked;

	(void) lead_model_read_name(row, "condition", &name);
	(void) lead_model_read_text(row, "signal", &signal);
	(void) lead_model_read_text(row, "lead_condition", &path);
	(void) lead_model_read_count(row, "signal_id", -1, 0, PG_INT16_MAX, &signal_id);
	(void) lead_model_read_bool(row, "distinct", false, &distinct);
	(void) lead_model_read_count(row, "min_count", 1, 1, PG_INT32_MAX, &c->min_count);
	(void) lead_model_read_period(row, "within", row->grain == GRAIN_DAY ? 1440 : 60, &c->within);
	(void) lead_model_read_text(row, "dimension", &dimension);
	(void) lead_model_read_milli(row, "min_points", NO_POINTS, MAX_SCORE_MILLI, &c->min_points);
	read_stage(row, "stage_from", &c->stage_from);
	read_stage(row, "stage_to", &c->stage_to);
	(void) lead_model_read_text(row, "in_segment", &other);
	(void) lead_model_read_count(row, "in_segment_id", -1, 1, PG_INT32_MAX, &segment_id);
	(void) lead_model_read_bool(row, "negate", false, &negate);
	(void) lead_model_read_milli(row, "weight", 1000, MAX_SEGMENT_WEIGHT, &c->weight);

	asked = (signal_id >= 0 || path) + (c->min_points != NO_POINTS) + (c->stage_from || c->stage_to) + (segment_id > 0);
	if (asked != 1)
		(void) lead_model_fail(row, CONDITION_HINT, asked == 0 ? "asks for nothing" : "asks for several things");
	if (path && signal_id < 0 && !draft)
		(void) lead_model_fail(row, "Restore the row of table segment_activation.", "\"signal_id\" is missing");
	if (dimension && c->min_points == NO_POINTS)
		(void) lead_model_fail(row, "Set min_points with a dimension.", "dimension needs min_points");
	if (signal_id < 0 && path == NULL && c->within > 0)
		(void) lead_model_fail(row, "Set within with a signal only.", "within needs a signal");
	if (c->weight <= 0)
		(void) lead_model_fail(row, "Set a weight above 0, at most 1000.", "the weight is not positive");
	if (c->stage_to == 0)
		c->stage_to = LEAD_STAGE_ADVOCATE;
	if (c->stage_from > c->stage_to)
		(void) lead_model_fail(row, "Swap stage_from and stage_to.", "stage_from is above stage_to");
	c->name = name;
	c->negate = negate != 0;
	c->distinct = distinct != 0;
	c->signal_id = (int32) signal_id;
	c->segment_id = (int32) segment_id;
	c->signal_name = signal;
	c->dimension_name = dimension;
	c->segment_name = other;
	c->lead_condition = path;
	c->test = signal_id >= 0 || path ? TEST_SIGNAL : segment_id > 0 ? TEST_SEGMENT :
		c->min_points == NO_POINTS ? TEST_STAGE : dimension ? TEST_DIMENSION : TEST_SCORE;
}

/*
 * Compile a definition; what it needs lives in the current memory context.  A
 * draft may ask for conditions on the lead that no signal has yet.  Reports a
 * mistake as an error.
 */
void
leadscore_segment_compile(Jsonb *definition, LeadGrain grain, bool draft, Segment *segment)
{
	ModelRow	row = {0};
	JsonbContainer *rows;
	char	   *name;
	uint8		persona;
	uint8		ideal_customer;
	int64		id;
	int			i;

	row.grain = grain;
	row.kind = "segment";
	row.object = &definition->root;
	if (!JB_ROOT_IS_OBJECT(definition))
		(void) lead_model_fail(&row, "Restore the row of table segment_activation.", "is not an object");
	(void) lead_model_check_keys(&row, segment_keys);
	(void) lead_model_read_name(&row, "segment", &name);
	row.name = name;
	(void) lead_model_read_count(&row, "segment_id", -1, 1, PG_INT32_MAX, &id);
	if (id < 0)
		(void) lead_model_fail(&row, "Restore the row of table segment_activation.", "\"segment_id\" is missing");
	(void) lead_model_read_bool(&row, "persona", false, &persona);
	(void) lead_model_read_bool(&row, "ideal_customer", false, &ideal_customer);
	(void) lead_model_read_milli(&row, "min_match_share", WHOLE_SHARE, WHOLE_SHARE, &segment->min_share);
	if (segment->min_share <= 0)
		(void) lead_model_fail(&row, "Set a share above 0, at most 1.", "min_match_share is not positive");
	(void) lead_model_read_rows(&row, "conditions", &rows, &segment->n, sizeof(SegmentCondition),
								(void **) &segment->conditions);
	if (segment->n == 0)
		(void) lead_model_fail(&row, "Insert rows into segment_condition.", "has no conditions");
	segment->id = (int32) id;
	segment->name = name;
	segment->persona = persona != 0;
	segment->ideal_customer = ideal_customer != 0;
	segment->weight = 0;
	for (i = 0; i < segment->n; i++)
	{
		ModelRow	condition = {0};

		(void) lead_model_begin_row(&row, psprintf("segment \"%s\", condition", name), "condition",
									rows, i, condition_keys, &condition);
		compile_condition(&condition, draft, &segment->conditions[i]);
		if (i > 0 && strcmp(segment->conditions[i - 1].name, segment->conditions[i].name) == 0)
		{
			if (segment->conditions[i].weight != segment->conditions[i - 1].weight)
				(void) lead_model_fail(&condition, "Give rows of one name, which are alternatives, one weight.",
									   "has rows of different weights");
		}
		else
			segment->weight += segment->conditions[i].weight;
	}
}
