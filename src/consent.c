/*-------------------------------------------------------------------------
 *
 * consent.c
 *		What events and columns of lead say about messages.
 *
 * Events of the roles unsubscribe, email_bounce and complaint withdraw consent
 * and suppress addresses when they are inserted; a value that is written to
 * consented_at or contact_allowed of a lead becomes a row of consent.  The
 * rules stand in core/34-consent.sql.
 *
 * A session that changes a lead locks it before its state; so leads are locked
 * first, then the states of the whole statement, both in the order of lead_id.
 * What an address is refused holds for all leads with it: they are locked too.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "app.h"
#include "consent.h"
#include "guard.h"

PG_FUNCTION_INFO_V1(leadscore_records_consent);
PG_FUNCTION_INFO_V1(leadscore_write_consent);

/* An empty list */
void
leadscore_refusals_init(RefusalList *list)
{
	memset(list, 0, sizeof(RefusalList));
}

/* Does a kind of event say something against messages? */
bool
leadscore_is_refusal(const Pipeline *pipeline, Datum kind)
{
	return leadscore_is_kind(pipeline->refusals, pipeline->nrefusals, kind);
}

/* Add the event in a slot if it is one; removed: as it was before an update. */
void
leadscore_refusals_add(RefusalList *list, const Pipeline *pipeline,
					   const EventColumns *columns, TupleTableSlot *slot, bool removed)
{
	Refusal    *item;
	bool		isnull;
	Datum		kind = slot_getattr(slot, columns->kind, &isnull);

	if (isnull || !leadscore_is_refusal(pipeline, kind))
		return;
	if (list->n == list->capacity)
	{
		list->capacity = Max(16, list->capacity * 2);
		list->items = list->items == NULL ? palloc(list->capacity * sizeof(Refusal)) :
			repalloc_huge(list->items, list->capacity * sizeof(Refusal));
	}
	item = &list->items[list->n++];
	item->lead_id = DatumGetInt64(slot_getattr(slot, columns->lead_id, &isnull));
	item->event_id = DatumGetInt64(slot_getattr(slot, columns->event_id, &isnull));
	item->removed = removed;
}

/* By lead, and of one event what it was before an update comes first. */
static int
refusal_cmp(const void *a, const void *b)
{
	const Refusal *x = a;
	const Refusal *y = b;

	if (x->lead_id != y->lead_id)
		return x->lead_id < y->lead_id ? -1 : 1;
	if (x->event_id != y->event_id)
		return x->event_id < y->event_id ? -1 : 1;
	return (int) y->removed - (int) x->removed;
}

/*
 * Lock the leads that what the events of a list say against messages may change,
 * and let the writer hold their states.  An event that an update only edits was
 * there before.
 */
void
leadscore_refusals_lock(RefusalList *list, Writer *writer)
{
	Datum	   *columns[2];
	int64	   *lead_ids;
	int			nestlevel;
	int64		n = 0;
	uint64		nlocked;
	uint64		row;
	int64		i;

	if (list->n == 0)
		return;
	qsort(list->items, list->n, sizeof(Refusal), refusal_cmp);
	for (i = 0; i < 2; i++)
		columns[i] = MemoryContextAllocHuge(CurrentMemoryContext, list->n * sizeof(Datum));
	for (i = 0; i < list->n; i++)
	{
		const Refusal *item = &list->items[i];

		if (item->removed || (i > 0 && item[-1].removed && item[-1].lead_id == item->lead_id &&
							  item[-1].event_id == item->event_id))
			continue;
		columns[0][n] = Int64GetDatum(item->lead_id);
		columns[1][n++] = Int64GetDatum(item->event_id);
	}
	list->n = n;
	if (n == 0)
		return;
	for (i = 0; i < 2; i++)
		list->values[i] = leadscore_build_array(columns[i], NULL, (int) n, INT8OID);

	nestlevel = leadscore_fix_path();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	nlocked = leadscore_app_run(writer->pipeline, LOCK_ADDRESSES, list->values, NULL, NULL);
	lead_ids = palloc(sizeof(int64) * (nlocked + 1));
	for (row = 0; row < nlocked; row++)
	{
		bool		isnull;

		lead_ids[row] = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
													1, &isnull));
	}
	leadscore_hold_refused(writer, lead_ids, (int64) nlocked);
	SPI_finish();
	AtEOXact_GUC(true, nestlevel);
}

/* In how many triggers a function runs that records consent; -1: none does */
static int	recording_depth = -1;

/* Are columns of lead corrected as a part of the change that is being made? */
static bool corrects_columns = false;

/* pg_trigger_depth() */
static int
trigger_depth(void)
{
	return DatumGetInt32(OidFunctionCall0(F_PG_TRIGGER_DEPTH));
}

/*
 * records_consent(): so the triggers on consent have nothing to do.  A statement
 * of a user's trigger is deeper.
 */
Datum
leadscore_records_consent(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(recording_depth >= 0 && recording_depth == trigger_depth());
}

/* Call a function that records consent of leads that are locked; needs an SPI connection. */
static void
call_recording(PipelinePart part, const char *function, int nargs, const Oid *types, Datum *values)
{
	int			before = recording_depth;

	PG_TRY();
	{
		recording_depth = trigger_depth();
		leadscore_call_function(part, function, nargs, types, values, NULL, false);
	}
	PG_FINALLY();
	{
		recording_depth = before;
	}
	PG_END_TRY();
}

/* Record what the events say, once the states of all leads are locked. */
void
leadscore_refusals_record(const RefusalList *list, Writer *writer)
{
	Oid			types[3] = {INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID};
	Datum		values[3] = {list->values[0], list->values[1]};
	int			nestlevel;

	if (list->n == 0)
		return;
	values[2] = leadscore_lead_ids_array(writer->refused, writer->nrefused);
	leadscore_writer_flush(writer, false);
	CommandCounterIncrement();
	nestlevel = leadscore_fix_path();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	call_recording(writer->pipeline->part, "_events_refused", 3, types, values);
	SPI_finish();
	AtEOXact_GUC(true, nestlevel);
	CommandCounterIncrement();
}

/* Is a change of a lead to have the time that the row says? */
bool
leadscore_corrects_columns(void)
{
	return corrects_columns;
}

/*
 * The pipeline whose leads are being brought up to their consent, and in how many
 * triggers
 */
static Oid	following_schema = InvalidOid;
static int	following_depth;

/*
 * Does the trigger on lead that runs follow a statement of _write_consent()?  One
 * of a trigger of the user's is deeper.
 */
bool
leadscore_follows_consent(const Pipeline *pipeline)
{
	return following_schema == pipeline->part.schema &&
		following_depth + 1 == trigger_depth();
}

/*
 * write_consent(pipeline, lead_ids, instants): call _write_consent().  What it
 * writes to columns of lead is what consent says already, and is not recorded.
 */
Datum
leadscore_write_consent(PG_FUNCTION_ARGS)
{
	PipelinePart part = {PG_GETARG_OID(0), InvalidOid};
	Oid			types[2] = {INT8ARRAYOID, TIMESTAMPTZARRAYOID};
	Datum		values[2] = {PG_GETARG_DATUM(1), PG_GETARG_DATUM(2)};
	Oid			schema_before = following_schema;
	int			depth_before = following_depth;

	leadscore_check_maintainer(part.schema, "lead_state", ACL_UPDATE);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	PG_TRY();
	{
		following_schema = part.schema;
		following_depth = trigger_depth();
		leadscore_call_function(part, "_write_consent", 2, types, values, NULL, false);
	}
	PG_FINALLY();
	{
		following_schema = schema_before;
		following_depth = depth_before;
	}
	PG_END_TRY();
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * Record what consented_at and contact_allowed of some leads were set to, and
 * correct them by what else was said; consented and allowed: arrays that say
 * which of the two columns of each lead were written; inserted: the leads are new.
 */
void
leadscore_columns_written(const Pipeline *pipeline, Datum lead_ids, Datum consented, Datum allowed,
						  bool inserted)
{
	Oid			written_types[4] = {INT8ARRAYOID, BOOLARRAYOID, BOOLARRAYOID, BOOLOID};
	Datum		written[4] = {lead_ids, consented, allowed, BoolGetDatum(inserted)};
	Oid			corrected_types[2] = {INT8ARRAYOID, BOOLOID};
	Datum		corrected[2] = {lead_ids, BoolGetDatum(inserted)};
	int			nestlevel = leadscore_fix_path();
	bool		before = corrects_columns;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	PG_TRY();
	{
		corrects_columns = false;
		call_recording(pipeline->part, "_columns_written", 4, written_types, written);
		corrects_columns = true;
		leadscore_call_function(pipeline->part, "_columns_corrected", 2, corrected_types, corrected, NULL, false);
	}
	PG_FINALLY();
	{
		corrects_columns = before;
	}
	PG_END_TRY();
	SPI_finish();
	AtEOXact_GUC(true, nestlevel);
	CommandCounterIncrement();
}

/* Delete leads that were inserted while their people were being forgotten. */
void
leadscore_leave_out_forgotten(Pipeline *pipeline, Datum lead_ids)
{
	int			nestlevel = leadscore_fix_path();

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	leadscore_app_run(pipeline, LEAVE_OUT_FORGOTTEN, &lead_ids, NULL, NULL);
	SPI_finish();
	AtEOXact_GUC(true, nestlevel);
	CommandCounterIncrement();
}

/* Is any address suppressed?  Cheap, and true if any ever was. */
bool
leadscore_any_suppressed(const Pipeline *pipeline)
{
	return leadscore_ever_filled(pipeline->suppression);
}
