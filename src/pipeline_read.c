/*-------------------------------------------------------------------------
 *
 * pipeline_read.c
 *		A pipeline's configuration, read from its tables.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "pipeline_read.h"
#include "shard.h"

/* Read the rows of a query, as the owner, with the snapshot pushed. */
uint64
leadscore_read_rows(const char *sql)
{
	if (SPI_execute(sql, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read configuration: %s", sql);
	return SPI_processed;
}

/* The same for a query of one table */
uint64
leadscore_read_table(const char *format, Oid relid)
{
	return leadscore_read_rows(psprintf(format, leadscore_table_name(relid)));
}

/* Column n of a row that SPI returned, copied into the current context */
Datum
leadscore_read_copy(HeapTuple tuple, TupleDesc desc, int n, bool *isnull)
{
	Datum		value = SPI_getbinval(tuple, desc, n, isnull);

	if (*isnull)
		return (Datum) 0;
	return PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
}

/* Read as the owner, as of a snapshot, until the end. */
static void
begin_reading(const Pipeline *p, Snapshot snapshot, UserSwitch *saved)
{
	leadscore_run_as(p->owner, false, saved);
	PushActiveSnapshot(snapshot);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

static void
end_reading(UserSwitch *saved)
{
	SPI_finish();
	PopActiveSnapshot();
	leadscore_run_back(saved);
}

/* A table of the pipeline, to be watched: of a shard, its whole too. */
static Oid
find_table(Pipeline *p, const char *name)
{
	Oid			table = leadscore_sibling(p->part, name);
	MemoryContext oldcontext = MemoryContextSwitchTo(p->context);

	p->watched = lappend_oid(p->watched, table);
	if (OidIsValid(p->part.shard))
		p->watched = lappend_oid(p->watched, leadscore_table(p->part.schema, name));
	MemoryContextSwitchTo(oldcontext);
	return table;
}

/* Look up lead_state's columns; other versions may have more of them. */
static void
read_columns(Pipeline *p)
{
	Relation	rel = table_open(p->state, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	const char *table = RelationGetRelationName(rel);
	StateColumns *c = &p->columns;

	c->lead_id = leadscore_column(desc, "lead_id", INT8OID, table);
	c->activity = leadscore_column(desc, "activity", leadscore_type("lead_activity"), table);
	c->baseline = leadscore_column(desc, "baseline", leadscore_type("lead_activity"), table);
	c->stage = leadscore_column(desc, "stage", leadscore_type("lead_stage"), table);
	c->level = leadscore_column(desc, "level", INT2OID, table);
	c->suspended_stage = leadscore_column(desc, "suspended_stage", leadscore_type("lead_stage"), table);
	c->promotion_blocked = leadscore_column(desc, "promotion_blocked", BOOLOID, table);
	c->cycle = leadscore_column(desc, "cycle", INT4OID, table);
	c->stage_since = leadscore_column(desc, "stage_since", TIMESTAMPTZOID, table);
	c->processed_until = leadscore_column(desc, "processed_until", TIMESTAMPTZOID, table);
	c->profile_at = leadscore_column(desc, "profile_at", TIMESTAMPTZOID, table);
	c->milestone_at = leadscore_column(desc, "milestone_at", TIMESTAMPTZOID, table);
	c->pending_at = leadscore_column(desc, "pending_at", TIMESTAMPTZOID, table);
	c->segments = leadscore_column(desc, "segments", INT4ARRAYOID, table);
	c->segments_since = leadscore_column(desc, "segments_since", TIMESTAMPTZOID, table);
	c->segments_seq = leadscore_column(desc, "segments_seq", INT4OID, table);
	c->next_review_at = leadscore_column(desc, "next_review_at", TIMESTAMPTZOID, table);
	c->configuration = leadscore_column(desc, "configuration", INT8OID, table);
	c->updated_at = leadscore_column(desc, "updated_at", TIMESTAMPTZOID, table);
	table_close(rel, AccessShareLock);
}

/* Does a write of a table run code of users? */
static bool
runs_own_code(Oid table)
{
	Relation	rel = table_open(table, AccessShareLock);
	bool		own = leadscore_runs_own_code(rel);

	table_close(rel, AccessShareLock);
	return own;
}

/* Read the row of settings. */
static void
read_settings(Pipeline *p)
{
	bool		isnull;
	Datum		grain;

	if (leadscore_read_table("SELECT grain, configuration, signals_configuration FROM %s", p->setting) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pipeline \"%s\" has no settings", get_namespace_name(p->part.schema)),
				 errhint("Restore the row of table setting.")));
	leadscore_column(SPI_tuptable->tupdesc, "grain", INTERVALOID, "setting");
	grain = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (!isnull)
		p->grain = leadscore_grain(DatumGetIntervalP(grain));
	leadscore_column(SPI_tuptable->tupdesc, "configuration", INT8OID, "setting");
	leadscore_column(SPI_tuptable->tupdesc, "signals_configuration", INT8OID, "setting");
	p->configuration = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull));
	p->signals_configuration = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 3, &isnull));
}

/* The kinds of events whose role is one of a list of literals */
static int
read_kinds(Pipeline *p, const char *roles, text ***kinds)
{
	uint64		n = leadscore_read_rows(psprintf("SELECT kind::pg_catalog.text FROM %s"
												 " WHERE role OPERATOR(pg_catalog.=) ANY (ARRAY[%s])"
												 " AND kind IS NOT NULL",
												 leadscore_table_name(p->event_kind), roles));
	MemoryContext oldcontext = MemoryContextSwitchTo(p->context);
	uint64		i;

	*kinds = palloc0(sizeof(text *) * (n + 1));
	for (i = 0; i < n; i++)
		(*kinds)[i] = cstring_to_text(SPI_getvalue(SPI_tuptable->vals[i],
												   SPI_tuptable->tupdesc, 1));
	MemoryContextSwitchTo(oldcontext);
	return (int) n;
}

/* The kinds of events that may show a variant, if any experiment runs */
static void
read_exposing(Pipeline *p)
{
	if (leadscore_read_table("SELECT 1 FROM %s WHERE status OPERATOR(pg_catalog.=) 'running' LIMIT 1",
							 p->experiment) > 0)
		p->nexposing = read_kinds(p, "'visit', 'form_view', 'email_sent'", &p->exposing);
}

/*
 * What sequences and assignments wait for.  A writer asks for it when it has locked
 * the configuration, and no reader does: Citus forbids a query of this view inside
 * of its query on a shard, unless a trigger makes it.
 */
void
leadscore_read_watched(Pipeline *p)
{
	static const char *const kinds[] = {"stage", "segment", "signal", "correction"};
	MemoryContext oldcontext;
	UserSwitch	saved;
	uint64		n;
	uint64		i;
	int			nwatched = 0;
	int			j;

	begin_reading(p, GetLatestSnapshot(), &saved);
	n = leadscore_read_rows(psprintf("SELECT kind, awaited FROM %s._watched"
									 " WHERE kind IS NOT NULL AND awaited IS NOT NULL",
									 quote_identifier(get_namespace_name(p->part.schema))));
	oldcontext = MemoryContextSwitchTo(p->context);
	p->watched_edges = palloc0(sizeof(WatchedEdge) * (n + 1));
	for (i = 0; i < n; i++)
	{
		WatchedEdge *edge = &p->watched_edges[nwatched];
		char	   *kind = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);

		for (j = 0; j < (int) lengthof(kinds) && strcmp(kinds[j], kind) != 0; j++)
			;
		if (j == (int) lengthof(kinds))
			continue;
		edge->kind = (EdgeKind) j;
		edge->name = pstrdup(SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2));
		edge->signal = -1;
		for (j = 0; edge->kind == EDGE_SIGNAL && j < p->nsignals; j++)
			if (strcmp(p->signals[j].name, edge->name) == 0)
				edge->signal = p->signals[j].id;
		nwatched++;
	}
	p->nwatched = nwatched;
	MemoryContextSwitchTo(oldcontext);
	end_reading(&saved);
}

/*
 * Read a pipeline anew, as of a snapshot.  It has a memory context of its own,
 * below the current one.
 */
Pipeline *
leadscore_read_pipeline(PipelinePart part, Snapshot snapshot)
{
	MemoryContext context;
	Pipeline   *p;
	UserSwitch	saved;

	context = AllocSetContextCreate(CurrentMemoryContext, "leadscore pipeline",
									ALLOCSET_DEFAULT_SIZES);
	p = MemoryContextAllocZero(context, sizeof(Pipeline));
	p->part = part;
	p->context = context;

	p->lead = find_table(p, "lead");
	p->event = find_table(p, "event");
	p->state = find_table(p, "lead_state");
	p->stage_log = find_table(p, "stage_log");
	p->segment_log = find_table(p, "segment_log");
	p->profile_change = find_table(p, "profile_change");
	p->signal = find_table(p, "signal");
	p->model = find_table(p, "model");
	p->value_list = find_table(p, "value_list");
	p->content = find_table(p, "content");
	p->setting = find_table(p, "setting");
	p->activation = find_table(p, "model_activation");
	p->segment = find_table(p, "segment");
	p->segment_activation = find_table(p, "segment_activation");
	p->event_kind = find_table(p, "event_kind");
	p->checkpoint = leadscore_sibling(part, "lead_checkpoint");
	p->rebuild_range = OidIsValid(part.shard) ? InvalidOid : leadscore_table(part.schema, "rebuild_range");
	p->consent = leadscore_sibling(part, "consent");
	p->suppression = leadscore_sibling(part, "suppression");
	p->alias = leadscore_sibling(part, "lead_alias");
	p->sequence = leadscore_sibling(part, "sequence");
	p->assignment = leadscore_sibling(part, "assignment");
	p->enrollment = leadscore_sibling(part, "enrollment");
	p->action = leadscore_sibling(part, "action");
	p->experiment = leadscore_sibling(part, "experiment");
	p->exposure = leadscore_sibling(part, "exposure");
	p->lead_change = leadscore_sibling(part, "lead_change");
	p->preference = leadscore_sibling(part, "lead_preference");
	p->distributed = !OidIsValid(part.shard) &&
		(leadscore_is_distributed(p->lead) || leadscore_is_distributed(p->event) ||
		 leadscore_is_distributed(p->state) || leadscore_is_distributed(p->stage_log) ||
		 leadscore_is_distributed(p->segment_log) ||
		 leadscore_is_distributed(p->profile_change));
	p->by_lead = leadscore_is_spread(leadscore_table(part.schema, "lead"));
	p->owner = leadscore_table_owner(p->event);
	p->own_code = runs_own_code(p->state) || runs_own_code(p->stage_log) ||
		runs_own_code(p->segment_log) || runs_own_code(p->profile_change);
	read_columns(p);

	p->nwatched = -1;
	begin_reading(p, snapshot, &saved);
	read_settings(p);
	leadscore_read_signals(p);
	/* kinds that say something against messages */
	p->nrefusals = read_kinds(p, "'unsubscribe', 'email_bounce', 'complaint'", &p->refusals);
	read_exposing(p);
	leadscore_read_periods(p);
	end_reading(&saved);
	return p;
}
