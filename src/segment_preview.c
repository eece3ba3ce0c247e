/*-------------------------------------------------------------------------
 *
 * segment_preview.c
 *		Which leads a segment would hold if it were active.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/jsonpath.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#include "classify.h"
#include "leadscore.h"
#include "lifecycle.h"
#include "lookup.h"
#include "segment_compile.h"
#include "segment_match.h"
#include "stage.h"

PG_FUNCTION_INFO_V1(leadscore_would_be_in);

/* A condition on the lead for which there is no signal yet */
typedef struct OpenCondition
{
	int32		signal_id;		/* one that no signal has */
	JsonPath   *path;
} OpenCondition;

/* What a call site keeps */
typedef struct Preview
{
	Oid			type;			/* of the rows that it looks at */
	int32		typmod;
	Pipeline   *pipeline;
	TupleDesc	desc;
	TupleTableSlot *slot;
	LeadColumns columns;
	Scorer	   *scorer;
	Evaluation *evaluation;
	int			segment;		/* index of the draft */
	OpenCondition *open;
	int			nopen;
	ActivityList activity;
	Jsonb	   *definition;		/* that all this is made of */
	SnapshotData seen;			/* by which it was made */
	MemoryContext context;
} Preview;

/* Give conditions on the lead that have no signal an id of their own. */
static void
open_conditions(Preview *preview, Segment *segment)
{
	int32		id = preview->pipeline->nsignals > 0 ?
		preview->pipeline->signals[preview->pipeline->nsignals - 1].id + 1 : 0;
	int			i;

	preview->open = palloc(sizeof(OpenCondition) * segment->n + 1);
	for (i = 0; i < segment->n; i++)
	{
		SegmentCondition *c = &segment->conditions[i];
		OpenCondition *open = &preview->open[preview->nopen];

		if (c->test != TEST_SIGNAL || c->signal_id >= 0)
			continue;
		c->signal_id = open->signal_id = id++;
		open->path = DatumGetJsonPathP(DirectFunctionCall1(jsonpath_in, CStringGetDatum(c->lead_condition)));
		preview->nopen++;
	}
}

/* Make a definition ready, beside the segments that are active. */
static Preview *
make_preview(HeapTupleHeader row, Jsonb *definition)
{
	Preview    *preview = palloc0(sizeof(Preview));
	Oid			type = HeapTupleHeaderGetTypeId(row);
	Oid			relid = get_typ_typrelid(type);
	TupleDesc	desc;
	ModelPeriod *period;
	Segment    *segments;
	const SegmentSet *active;
	int			n = 0;
	int			i;

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("argument is not a row of table \"lead\""),
				 errhint("Pass the row of the table itself, not a part of it.")));
	leadscore_check_maintainer(get_rel_namespace(relid), "signal", ACL_SELECT);
	preview->type = type;
	preview->typmod = HeapTupleHeaderGetTypMod(row);
	preview->pipeline = leadscore_pipeline_for_query(leadscore_part(relid));
	desc = lookup_rowtype_tupdesc(type, preview->typmod);
	preview->desc = CreateTupleDescCopy(desc);
	ReleaseTupleDesc(desc);
	preview->slot = MakeSingleTupleTableSlot(preview->desc, &TTSOpsHeapTuple);
	leadscore_lead_columns(preview->desc, get_rel_name(relid), &preview->columns);
	if (preview->pipeline->nperiods == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no model is active"),
				 errhint("Call activate_model() first: segments are looked at together with stages.")));
	period = leadscore_period_now(preview->pipeline);
	active = period->scorer->segments;
	segments = palloc0(sizeof(Segment) * ((active ? active->n : 0) + 1));
	leadscore_segment_compile(definition, preview->pipeline->grain, true, &segments[n++]);
	open_conditions(preview, &segments[0]);
	for (i = 0; active && i < active->n && n < MAX_SEGMENTS; i++)
		if (active->segments[i].id != segments[0].id)
			segments[n++] = active->segments[i];
	preview->scorer = leadscore_scorer_create(period->scorer->model, leadscore_segment_set(segments, n));
	preview->evaluation = leadscore_evaluation_create(preview->scorer);
	preview->segment = leadscore_segment_index(preview->scorer->segments, segments[0].id);
	lead_activity_init(&preview->activity, preview->pipeline->grain, 64);
	preview->definition = definition;
	preview->seen = *GetActiveSnapshot();
	return preview;
}

/*
 * Was a preview made for rows of this type, and for this definition?  In PL/pgSQL
 * a call site is used again by later statements, when the configuration may be
 * another.
 */
static bool
fits(const Preview *preview, HeapTupleHeader row, const Jsonb *definition)
{
	return preview->type == HeapTupleHeaderGetTypeId(row) &&
		preview->typmod == HeapTupleHeaderGetTypMod(row) &&
		leadscore_same_view(&preview->seen, GetActiveSnapshot()) &&
		VARSIZE(preview->definition) == VARSIZE(definition) &&
		memcmp(preview->definition, definition, VARSIZE(definition)) == 0;
}

/*
 * would_be_in(lead, activity, stage, definition): would the lead of this row,
 * with this activity and in this stage, be in a segment of this definition now?
 */
Datum
leadscore_would_be_in(PG_FUNCTION_ARGS)
{
	HeapTupleHeader row;
	Preview    *preview = fcinfo->flinfo->fn_extra;
	Jsonb	   *definition = PG_GETARG_JSONB_P(3);
	HeapTupleData tuple = {0};
	SegmentBits members;
	int			i;

	if (!type_is_rowtype(get_fn_expr_argtype(fcinfo->flinfo, 0)))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("argument is not a row of table \"lead\""),
				 errhint("Pass the row of the table itself, not a part of it.")));
	row = PG_GETARG_HEAPTUPLEHEADER(0);
	/* of a record each row may have a type of its own */
	if (preview && !fits(preview, row, definition))
	{
		fcinfo->flinfo->fn_extra = NULL;
		MemoryContextDelete(preview->context);
		preview = NULL;
	}
	if (preview == NULL)
	{
		MemoryContext context = AllocSetContextCreate(fcinfo->flinfo->fn_mcxt, "leadscore preview",
													  ALLOCSET_DEFAULT_SIZES);
		MemoryContext oldcontext = MemoryContextSwitchTo(context);

		preview = make_preview(row, PG_GETARG_JSONB_P_COPY(3));
		preview->context = context;
		MemoryContextSwitchTo(oldcontext);
		fcinfo->flinfo->fn_extra = preview;
	}
	leadscore_activity_decode(PG_GETARG_LEAD_ACTIVITY_PP(1), &preview->activity);
	leadscore_check_grain(preview->scorer, &preview->activity);
	tuple.t_len = HeapTupleHeaderGetDatumLength(row);
	tuple.t_data = row;
	ExecStoreHeapTuple(&tuple, preview->slot, false);
	for (i = 0; i < preview->nopen; i++)
		if (leadscore_lead_matches(preview->pipeline, &preview->columns, preview->slot, preview->open[i].path))
			lead_activity_count(&preview->activity, preview->open[i].signal_id, 0, BUCKET_TIMELESS, 1);
	ExecClearTuple(preview->slot);
	leadscore_evaluate(preview->scorer, &preview->activity,
					   bucket_of(GetCurrentTransactionStartTimestamp(), preview->activity.grain),
					   preview->evaluation);
	leadscore_segments_at(preview->scorer, preview->evaluation, PG_GETARG_LEAD_STAGE(2), &members);
	PG_RETURN_BOOL(segment_is_member(&members, preview->segment));
}
