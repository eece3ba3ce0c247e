/*-------------------------------------------------------------------------
 *
 * source_id.c
 *		One event for each source_id of a lead, also where no index says so.
 *
 * A table that is partitioned by time can have no unique index over (lead_id,
 * source_id).  There the trigger on event looks for an older one, and refuses
 * the second as the index would.  It holds the states of the leads then, so
 * that of two sessions one waits for the other.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "app.h"
#include "apply.h"

/*
 * Lock the states of those leads that have one, in the order of lead_id.  Needs
 * an SPI connection.
 */
void
leadscore_lock_states(Pipeline *pipeline, const int64 *lead_ids, int n)
{
	LeadTable	state = {0};
	int64	   *sorted;
	int			i;

	/* they may be on other nodes */
	if (pipeline->distributed)
	{
		Datum		ids = leadscore_lead_ids_array(lead_ids, n);

		(void) leadscore_app_run(pipeline, LOCK_STATES, &ids, NULL, NULL);
		return;
	}
	sorted = MemoryContextAllocHuge(CurrentMemoryContext, n * sizeof(int64));
	memcpy(sorted, lead_ids, n * sizeof(int64));
	qsort(sorted, n, sizeof(int64), leadscore_lead_id_cmp);
	leadscore_table_open(&state, pipeline->state, RowExclusiveLock, ACL_SELECT | ACL_UPDATE);
	for (i = 0; i < n; i++)
		if ((i == 0 || sorted[i] != sorted[i - 1]) &&
			leadscore_row_lock(&state, sorted[i], LockTupleNoKeyExclusive))
			leadscore_row_check_visible(&state);
	leadscore_table_close(&state);
	pfree(sorted);
}

/* The leads and source_ids of new rows of event that have one */
static int64
gather(Relation event, Tuplestorestate *rows, Datum **lead_ids, Datum **source_ids)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(event), &TTSOpsMinimalTuple);
	const char *name = RelationGetRelationName(event);
	AttrNumber	lead_id = leadscore_column(RelationGetDescr(event), "lead_id", INT8OID, name);
	AttrNumber	source_id = leadscore_column(RelationGetDescr(event), "source_id", TEXTOID, name);
	Size		size = sizeof(Datum) * (tuplestore_tuple_count(rows) + 1);
	int64		n = 0;

	*lead_ids = MemoryContextAllocHuge(CurrentMemoryContext, size);
	*source_ids = MemoryContextAllocHuge(CurrentMemoryContext, size);
	tuplestore_select_read_pointer(rows, tuplestore_alloc_read_pointer(rows, EXEC_FLAG_REWIND));
	tuplestore_rescan(rows);
	while (tuplestore_gettupleslot(rows, true, false, slot))
	{
		bool		isnull;
		Datum		value = slot_getattr(slot, source_id, &isnull);

		CHECK_FOR_INTERRUPTS();
		if (isnull)
			continue;
		(*source_ids)[n] = PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
		(*lead_ids)[n++] = slot_getattr(slot, lead_id, &isnull);
	}
	ExecDropSingleTupleTableSlot(slot);
	return n;
}

/*
 * Lock the states of all leads of a list, as applying it does later, and those
 * of some others.  Needs an SPI connection.
 */
void
leadscore_lock_deltas(const DeltaList *deltas, const int64 *others, int64 nothers,
					  Pipeline *pipeline)
{
	int64		nall = deltas->n + nothers;
	int64	   *lead_ids = MemoryContextAllocHuge(CurrentMemoryContext, nall * sizeof(int64));
	int64		n = 0;
	int64		i;

	for (i = 0; i < deltas->n; i++)
		lead_ids[i] = deltas->deltas[i].lead_id;
	for (i = 0; i < nothers; i++)
		lead_ids[deltas->n + i] = others[i];
	qsort(lead_ids, nall, sizeof(int64), leadscore_lead_id_cmp);
	for (i = 0; i < nall; i++)
		if (n == 0 || lead_ids[n - 1] != lead_ids[i])
			lead_ids[n++] = lead_ids[i];
	leadscore_lock_states(pipeline, lead_ids, (int) n);
}

/*
 * Refuse new rows of event whose source_id their lead has already, in this
 * statement too, if no unique index does.
 */
void
leadscore_check_source_ids(const DeltaList *deltas, Relation event,
						   Tuplestorestate *rows, const Writer *writer)
{
	Pipeline   *pipeline = writer->pipeline;
	Datum	   *lead_ids;
	Datum	   *source_ids;
	int64		n;
	Datum		values[2];
	bool		twice;

	if (leadscore_app_cache(pipeline)->source_id_unique)
		return;
	n = gather(event, rows, &lead_ids, &source_ids);
	if (n == 0)
		return;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	leadscore_lock_deltas(deltas, writer->held, writer->nheld, pipeline);
	values[0] = leadscore_build_array(lead_ids, NULL, (int) n, INT8OID);
	values[1] = leadscore_build_array(source_ids, NULL, (int) n, TEXTOID);
	twice = leadscore_app_run(pipeline, FIND_TWICE, values, NULL, GetLatestSnapshot()) > 0;
	SPI_finish();
	/* no values: they may be those of a lead that the caller cannot see */
	if (twice)
		ereport(ERROR,
				(errcode(ERRCODE_UNIQUE_VIOLATION),
				 errmsg("duplicate key value violates unique constraint \"%s\"",
						"event_source_id_key"),
				 errhint("Call track(), which reports duplicates, or look the event up first."),
				 errtableconstraint(event, "event_source_id_key")));
}
