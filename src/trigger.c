/*-------------------------------------------------------------------------
 *
 * trigger.c
 *		What the triggers on `event` and `lead` share.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "utils/rel.h"

#include "pipeline.h"
#include "shard.h"
#include "trigger.h"

/*
 * Check that a function is called as the trigger that it is, on a table
 * of the pipeline's owner.
 */
TriggerData *
leadscore_check_trigger(FunctionCallInfo fcinfo, const char *function, bool before, bool row)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("%s: must be called as a trigger", function),
				 errhint("Use leadscore.attach_pipeline().")));
	if (!before != (TRIGGER_FIRED_AFTER(trigdata->tg_event) != 0))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("%s: must be fired %s", function, before ? "BEFORE" : "AFTER"),
				 errhint("Use leadscore.attach_pipeline().")));
	if (!row != (TRIGGER_FIRED_FOR_STATEMENT(trigdata->tg_event) != 0))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("%s: must be fired for each %s", function, row ? "row" : "statement"),
				 errhint("Use leadscore.attach_pipeline().")));
	/* row triggers do nothing in the owner's name */
	if (!row)
		leadscore_check_owner(trigdata->tg_relation);
	return trigdata;
}

/* The transition tables that an operation needs must be there. */
void
leadscore_check_transition_tables(const TriggerData *trigdata, const char *function)
{
	bool		needs_old = !TRIGGER_FIRED_BY_INSERT(trigdata->tg_event);
	bool		needs_new = !TRIGGER_FIRED_BY_DELETE(trigdata->tg_event);

	if ((needs_old && trigdata->tg_oldtable == NULL) ||
		(needs_new && trigdata->tg_newtable == NULL))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("%s: needs transition tables", function),
				 errhint("Use leadscore.attach_pipeline().")));
}

/* Read a transition table from its start, at a read pointer of our own. */
void
leadscore_read_from_start(Tuplestorestate *rows)
{
	tuplestore_select_read_pointer(rows,
								   tuplestore_alloc_read_pointer(rows, EXEC_FLAG_REWIND));
	tuplestore_rescan(rows);
}

/*
 * A distributed table is truncated as a whole, and the triggers of its shards
 * need not fire.
 */
void
leadscore_refuse_truncate(Relation rel)
{
	if (leadscore_is_distributed(RelationGetRelid(rel)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table \"%s\" is distributed and cannot be truncated",
						RelationGetRelationName(rel)),
				 errhint("Use DELETE.")));
}
