/*-------------------------------------------------------------------------
 *
 * row_stream.c
 *		Rows of a table in the order of lead_id, read through a cursor.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "guard.h"
#include "row_stream.h"

#define FETCH_ROWS	1000

struct RowStream
{
	Portal		portal;			/* NULL at the end */
	TupleDesc	desc;
	SPITupleTable *rows;
	uint64		nrows;
	uint64		at;
	AttrNumber	lead_id;
};

/* A stream over a portal */
static RowStream *
make_stream(Portal portal, Oid relid)
{
	RowStream  *stream = palloc0(sizeof(RowStream));

	stream->portal = portal;
	stream->desc = CreateTupleDescCopy(portal->tupDesc);
	stream->lead_id = leadscore_column(stream->desc, "lead_id", INT8OID, get_rel_name(relid));
	return stream;
}

/*
 * Push the snapshot to read by.  InvalidSnapshot stands for the newest one: all
 * that is committed, or written by this transaction, now.
 */
static void
push_snapshot(Snapshot snapshot)
{
	if (snapshot == InvalidSnapshot)
	{
		CommandCounterIncrement();
		snapshot = GetLatestSnapshot();
	}
	PushActiveSnapshot(snapshot);
}

/*
 * Begin to read the rows of a range of leads.  Rows of a lead that lie scattered
 * over the table are read in the order of the table and sorted: by an index each
 * would be looked for in a page of its own, however many there are.  Needs an SPI
 * connection.
 */
RowStream *
leadscore_stream_open(const char *columns, Oid relid, const char *order, bool scattered,
					  const LeadRange *range, Snapshot snapshot)
{
	MemoryContext context = CurrentMemoryContext;
	int			nestlevel = NewGUCNestLevel();
	char	   *where = "";
	char	   *sql;
	Portal		portal;

	/* the plan for a whole table must not look like one for a part of it */
	if (range->first > PG_INT64_MIN || range->last < PG_INT64_MAX)
		where = psprintf(" WHERE lead_id OPERATOR(pg_catalog.>=) '" INT64_FORMAT "'::pg_catalog.int8"
						 " AND lead_id OPERATOR(pg_catalog.<=) '" INT64_FORMAT "'::pg_catalog.int8",
						 range->first, range->last);
	sql = psprintf("SELECT %s FROM %s%s ORDER BY %s", columns, leadscore_table_name(relid),
				   where, order);

	if (scattered)
		(void) set_config_option("enable_indexscan", "off", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	push_snapshot(snapshot);
	portal = SPI_cursor_open_with_args(NULL, sql, 0, NULL, NULL, NULL, true, CURSOR_OPT_NO_SCROLL);
	PopActiveSnapshot();
	AtEOXact_GUC(true, nestlevel);
	MemoryContextSwitchTo(context);
	return make_stream(portal, relid);
}

/* Begin to read the rows of one lead, by a plan that stays with the pipeline. */
RowStream *
leadscore_stream_open_lead(Pipeline *pipeline, PipelinePlan number, const char *columns,
						   Oid relid, int64 lead_id, Snapshot snapshot)
{
	MemoryContext context = CurrentMemoryContext;
	Datum		value = Int64GetDatum(lead_id);
	Portal		portal;

	if (pipeline->plans[number] == NULL)
	{
		Oid			type = INT8OID;

		pipeline->plans[number] =
			leadscore_keep_plan(psprintf("SELECT %s FROM %s WHERE lead_id OPERATOR(pg_catalog.=) $1",
										 columns, leadscore_table_name(relid)), 1, &type);
	}
	leadscore_renew_plan(pipeline->plans[number]);
	push_snapshot(snapshot);
	portal = SPI_cursor_open(NULL, pipeline->plans[number], &value, NULL, true);
	PopActiveSnapshot();
	MemoryContextSwitchTo(context);
	return make_stream(portal, relid);
}

/* What the rows look like */
TupleDesc
leadscore_stream_desc(const RowStream *stream)
{
	return stream->desc;
}

/* The lead_id of the row at hand; false at the end */
bool
leadscore_stream_peek(RowStream *stream, int64 *lead_id)
{
	bool		isnull;

	if (stream->portal == NULL)
		return false;
	if (stream->at >= stream->nrows)
	{
		MemoryContext context = CurrentMemoryContext;

		if (stream->rows)
			SPI_freetuptable(stream->rows);
		/* leaves us in a context of its own */
		SPI_cursor_fetch(stream->portal, true, FETCH_ROWS);
		MemoryContextSwitchTo(context);
		stream->rows = SPI_tuptable;
		stream->nrows = SPI_processed;
		stream->at = 0;
		if (stream->nrows == 0)
		{
			leadscore_stream_close(stream);
			return false;
		}
	}
	*lead_id = DatumGetInt64(SPI_getbinval(stream->rows->vals[stream->at], stream->desc,
										   stream->lead_id, &isnull));
	return true;
}

/* Is the row at hand of a lead?  Rows of leads before it are skipped. */
bool
leadscore_stream_has(RowStream *stream, int64 lead_id)
{
	int64		row_lead;

	while (leadscore_stream_peek(stream, &row_lead) && row_lead < lead_id)
		stream->at++;
	return stream->portal != NULL && row_lead == lead_id;
}

/* Take the row at hand if it is of a lead. */
HeapTuple
leadscore_stream_take(RowStream *stream, int64 lead_id)
{
	return leadscore_stream_has(stream, lead_id) ? stream->rows->vals[stream->at++] : NULL;
}

/* Close the cursor, if it is not closed yet. */
void
leadscore_stream_close(RowStream *stream)
{
	if (stream->portal)
		SPI_cursor_close(stream->portal);
	stream->portal = NULL;
}
