/*-------------------------------------------------------------------------
 *
 * pipeline_cache.c
 *		The per-backend cache of a pipeline's configuration.
 *
 * Row triggers on the configuration tables invalidate the relcache entry of
 * `model`, and so do changes of any table of the pipeline.  The callback only
 * marks the entry; it is read again at the next use, after the locks that
 * keep the configuration still are held, and with a fresh snapshot.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "condition.h"
#include "guard.h"
#include "lifecycle.h"
#include "pipeline.h"
#include "segment_compile.h"
#include "shard.h"

/* Variables of conditions on events, in the order of ContentColumn */
const char *const leadscore_content_variables[CONTENT_COLUMNS] = {
	"content_kind", "content_topic", "content_intent", "content_stage", "content_persona"
};

typedef struct PipelineEntry
{
	PipelinePart part;			/* hash key */
	bool		stale;
	Pipeline   *pipeline;
	Pipeline   *seen;			/* as a snapshot sees it; NULL: none */
	bool		seen_stale;		/* while it is read */
} PipelineEntry;

static HTAB *pipelines = NULL;

/* A relation changed: forget pipelines read from it.  No catalog access here. */
static void
relation_changed(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS status;
	PipelineEntry *entry;

	hash_seq_init(&status, pipelines);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		const Pipeline *p = entry->pipeline;

		if (p == NULL || !OidIsValid(relid) || list_member_oid(p->watched, relid))
			entry->stale = true;
		if (entry->seen == NULL || !OidIsValid(relid) || list_member_oid(entry->seen->watched, relid))
		{
			entry->seen = NULL;
			entry->seen_stale = true;
		}
	}
}

/* The cache entry of a part, made if it is new */
static PipelineEntry *
find_entry(PipelinePart part)
{
	PipelineEntry *entry;
	bool		found;

	if (pipelines == NULL)
	{
		HASHCTL		ctl = {0};

		ctl.keysize = sizeof(PipelinePart);
		ctl.entrysize = sizeof(PipelineEntry);
		ctl.hcxt = CacheMemoryContext;
		pipelines = hash_create("leadscore pipelines", 4, &ctl,
								HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
		CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	}
	entry = hash_search(pipelines, &part, HASH_ENTER, &found);
	if (!found)
	{
		entry->pipeline = NULL;
		entry->seen = NULL;
		entry->stale = true;
	}
	return entry;
}

/* The part of a pipeline that a table belongs to */
PipelinePart
leadscore_part(Oid table)
{
	PipelinePart part;
	PipelineEntry *entry = NULL;

	part.schema = get_rel_namespace(table);
	part.shard = table;
	/* a shard that is known need not be looked up again */
	if (pipelines)
		entry = hash_search(pipelines, &part, HASH_FIND, NULL);
	if ((entry == NULL || entry->stale) && !leadscore_is_shard(table))
		part.shard = InvalidOid;
	return part;
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

/* Column n of a row that SPI returned, copied into the current context */
static Datum
spi_copy(HeapTuple tuple, TupleDesc desc, int n, bool *isnull)
{
	Datum		value = SPI_getbinval(tuple, desc, n, isnull);

	if (*isnull)
		return (Datum) 0;
	return PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
}

/* That a signal is of a kind */
typedef struct KindOfSignal
{
	const char *kind;
	const SignalRule *signal;
} KindOfSignal;

/* By kind, and signals of one kind in their order */
static int
kind_of_signal_cmp(const void *a, const void *b)
{
	const KindOfSignal *x = a;
	const KindOfSignal *y = b;
	int			cmp = strcmp(x->kind, y->kind);

	if (cmp != 0)
		return cmp;
	return x->signal < y->signal ? -1 : (x->signal > y->signal ? 1 : 0);
}

/*
 * Make the entry of a kind: its own signals, which are sorted and may be there
 * twice, and those of any kind, in signal order.
 */
static void
fill_kind(KindSignals *entry, const char *kind, const KindOfSignal *own, int nown,
		  const KindSignals *any)
{
	int			i = 0;
	int			j = 0;

	entry->kind = kind ? pstrdup(kind) : NULL;
	entry->signals = palloc(sizeof(SignalRule *) * (nown + any->nsignals + 1));
	entry->nsignals = 0;
	entry->plain = true;
	entry->content = 0;
	while (i < nown || j < any->nsignals)
	{
		const SignalRule *signal = j == any->nsignals ||
			(i < nown && own[i].signal < any->signals[j]) ? own[i++].signal : any->signals[j++];

		if (entry->nsignals > 0 && entry->signals[entry->nsignals - 1] == signal)
			continue;
		entry->signals[entry->nsignals++] = signal;
		if (signal->condition || signal->quantity || signal->distinct_on)
			entry->plain = false;
		entry->content |= signal->content;
	}
}

/* Which signals may match which kind; in signal order */
static void
index_kinds(Pipeline *p, char ***signal_kinds, int *signal_nkinds)
{
	KindSignals any = {0};
	KindOfSignal *pairs;
	Size		n = 0;
	Size		i;
	Size		end;
	int			j;
	int			k;

	any.signals = palloc(sizeof(SignalRule *) * (p->nsignals + 1));
	for (k = 0; k < p->nsignals; k++)
		n += Max(signal_nkinds[k], 0);
	pairs = palloc_extended(sizeof(KindOfSignal) * (n + 1), MCXT_ALLOC_HUGE);
	n = 0;
	for (k = 0; k < p->nsignals; k++)
	{
		const SignalRule *signal = &p->signals[k];

		/* lead_created is counted by the engine itself */
		if (signal->source != SOURCE_EVENT || signal->id == 0)
			continue;
		if (signal_nkinds[k] < 0)
			any.signals[any.nsignals++] = signal;
		for (j = 0; j < signal_nkinds[k]; j++)
			pairs[n++] = (KindOfSignal)
		{
			signal_kinds[k][j], signal
		};
	}
	qsort(pairs, n, sizeof(KindOfSignal), kind_of_signal_cmp);
	p->nkinds = 0;
	for (i = 0; i < n; i++)
		if (i == 0 || strcmp(pairs[i].kind, pairs[i - 1].kind) != 0)
			p->nkinds++;
	p->kinds = palloc_extended(sizeof(KindSignals) * (p->nkinds + 1), MCXT_ALLOC_HUGE);
	k = 0;
	for (i = 0; i < n; i = end)
	{
		for (end = i + 1; end < n && strcmp(pairs[i].kind, pairs[end].kind) == 0; end++)
			;
		fill_kind(&p->kinds[k++], pairs[i].kind, &pairs[i], (int) (end - i), &any);
	}
	fill_kind(&p->other, NULL, pairs, 0, &any);
	pfree(pairs);
	pfree(any.signals);
}

/* Read the rows of a query, as the owner, with the snapshot pushed. */
static uint64
run_query(const char *sql)
{
	if (SPI_execute(sql, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read configuration: %s", sql);
	return SPI_processed;
}

/* The same for a query of one table */
static uint64
query(const char *format, Oid relid)
{
	return run_query(psprintf(format, leadscore_table_name(relid)));
}

/* Which columns of content a path names, as bits */
static int
content_named(JsonPath *path)
{
	int			named = 0;
	ListCell   *lc;
	int			i;

	if (path == NULL)
		return 0;
	foreach(lc, leadscore_path_variables(path))
		for (i = 0; i < CONTENT_COLUMNS; i++)
		if (strcmp(leadscore_content_variables[i], lfirst(lc)) == 0)
			named |= 1 << i;
	return named;
}

/* Read the signals, and which of them are for which kind of event. */
static void
read_signals(Pipeline *p)
{
	/* a role stands for the kinds of events that have it */
	uint64		n = run_query(psprintf("SELECT signal, signal_id, source, CASE WHEN event_role IS NULL THEN event_kinds"
									   " ELSE ARRAY(SELECT k.kind::pg_catalog.text FROM %s k WHERE k.kind IS NOT NULL"
									   " AND k.role::pg_catalog.text OPERATOR(pg_catalog.=) s.event_role::pg_catalog.text) END"
									   " AS event_kinds, condition, quantity, distinct_on FROM %s s"
									   " WHERE signal IS NOT NULL AND source IS NOT NULL"
									   " AND signal_id OPERATOR(pg_catalog.>=) 0 ORDER BY signal_id",
									   leadscore_table_name(p->event_kind), leadscore_table_name(p->signal)));
	TupleDesc	desc = SPI_tuptable->tupdesc;
	char	 ***kinds = palloc0(sizeof(char **) * (n + 1));
	int		   *nkinds = palloc0(sizeof(int) * (n + 1));
	MemoryContext oldcontext = MemoryContextSwitchTo(p->context);
	uint64		i;

	leadscore_column(desc, "signal_id", INT2OID, "signal");
	leadscore_column(desc, "event_kinds", TEXTARRAYOID, "signal");
	leadscore_column(desc, "condition", JSONPATHOID, "signal");
	leadscore_column(desc, "quantity", JSONPATHOID, "signal");
	leadscore_column(desc, "distinct_on", JSONPATHOID, "signal");
	p->signals = palloc0(sizeof(SignalRule) * (n + 1));
	p->profile = palloc(sizeof(SignalRule *) * (n + 1));
	p->nsignals = (int) n;
	for (i = 0; i < n; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		SignalRule *signal = &p->signals[i];
		bool		isnull;
		Datum		value;

		signal->name = pstrdup(SPI_getvalue(tuple, desc, 1));
		signal->id = DatumGetInt16(SPI_getbinval(tuple, desc, 2, &isnull));
		signal->source = strcmp(SPI_getvalue(tuple, desc, 3), "profile") == 0 ?
			SOURCE_PROFILE : SOURCE_EVENT;
		value = SPI_getbinval(tuple, desc, 4, &isnull);
		nkinds[i] = -1;
		if (!isnull)
		{
			Datum	   *items;
			bool	   *nulls;
			int			j;

			deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT,
							  &items, &nulls, &nkinds[i]);
			kinds[i] = palloc0(sizeof(char *) * (nkinds[i] + 1));
			for (j = 0; j < nkinds[i]; j++)
				kinds[i][j] = nulls[j] ? pstrdup("") : TextDatumGetCString(items[j]);
		}
		signal->condition = (JsonPath *) DatumGetPointer(spi_copy(tuple, desc, 5, &isnull));
		signal->quantity = (JsonPath *) DatumGetPointer(spi_copy(tuple, desc, 6, &isnull));
		signal->distinct_on = (JsonPath *) DatumGetPointer(spi_copy(tuple, desc, 7, &isnull));
		if (signal->source == SOURCE_EVENT)
			signal->content = content_named(signal->condition) | content_named(signal->quantity) |
				content_named(signal->distinct_on);
		p->content_used |= signal->content;
		if (signal->source == SOURCE_PROFILE)
			p->profile[p->nprofile++] = signal;
	}
	index_kinds(p, kinds, nkinds);
	MemoryContextSwitchTo(oldcontext);
}

/* Value lists become variables: arrays of strings in one jsonb object each */
static void
read_lists(Pipeline *p)
{
	uint64		n = query("SELECT list, pg_catalog.jsonb_agg(item ORDER BY item) FROM %s"
						  " WHERE list IS NOT NULL AND item IS NOT NULL GROUP BY list ORDER BY list",
						  p->value_list);
	MemoryContext oldcontext = MemoryContextSwitchTo(p->context);
	uint64		i;

	p->lists = palloc0(sizeof(JsonbValue) * (n + 1));
	p->list_names = palloc0(sizeof(char *) * (n + 1));
	p->nlists = (int) n;
	for (i = 0; i < n; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		bool		isnull;
		Jsonb	   *items = DatumGetJsonbPCopy(SPI_getbinval(tuple, SPI_tuptable->tupdesc,
															 2, &isnull));

		p->list_names[i] = pstrdup(SPI_getvalue(tuple, SPI_tuptable->tupdesc, 1));
		p->lists[i].type = jbvBinary;
		p->lists[i].val.binary.data = &items->root;
		p->lists[i].val.binary.len = VARSIZE(items) - VARHDRSZ;
	}
	MemoryContextSwitchTo(oldcontext);
}

/* By name */
static int
content_cmp(const void *a, const void *b)
{
	return strcmp(((const Content *) a)->name, ((const Content *) b)->name);
}

/* What the pipeline knows of contents, if a signal asks for any of it */
static void
read_contents(Pipeline *p)
{
	MemoryContext oldcontext;
	uint64		n;
	uint64		i;
	int			j;

	if (p->content_used == 0)
		return;
	n = query("SELECT content::pg_catalog.text, kind::pg_catalog.text, topic::pg_catalog.text, intent::pg_catalog.text,"
			  " stage::pg_catalog.text, persona::pg_catalog.text FROM %s WHERE content IS NOT NULL", p->content);
	oldcontext = MemoryContextSwitchTo(p->context);
	p->contents = palloc_extended(sizeof(Content) * (n + 1), MCXT_ALLOC_HUGE);
	p->ncontents = (int) n;
	for (i = 0; i < n; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		Content    *content = &p->contents[i];

		content->name = SPI_getvalue(tuple, desc, 1);
		for (j = 0; j < CONTENT_COLUMNS; j++)
			content->values[j] = SPI_getvalue(tuple, desc, 2 + j);
	}
	MemoryContextSwitchTo(oldcontext);
	qsort(p->contents, n, sizeof(Content), content_cmp);
}

/* The kinds of events whose role is one of a list of literals */
static int
read_kinds(Pipeline *p, const char *roles, text ***kinds)
{
	uint64		n = run_query(psprintf("SELECT kind::pg_catalog.text FROM %s"
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
	if (query("SELECT 1 FROM %s WHERE status OPERATOR(pg_catalog.=) 'running' LIMIT 1",
			  p->experiment) > 0)
		p->nexposing = read_kinds(p, "'visit', 'form_view', 'email_sent'", &p->exposing);
}

/* Is a kind of event one of these? */
bool
leadscore_is_kind(text *const *kinds, int nkinds, Datum kind)
{
	text	   *name = DatumGetTextPP(kind);
	int			i;

	for (i = 0; i < nkinds; i++)
		if (VARSIZE_ANY_EXHDR(name) == VARSIZE_ANY_EXHDR(kinds[i]) &&
			memcmp(VARDATA_ANY(name), VARDATA_ANY(kinds[i]), VARSIZE_ANY_EXHDR(kinds[i])) == 0)
			return true;
	return false;
}

/* What sequences and assignments wait for */
static void
read_watched(Pipeline *p)
{
	static const char *const kinds[] = {"stage", "segment", "signal", "correction"};
	uint64		n = run_query(psprintf("SELECT kind, awaited FROM %s._watched"
									   " WHERE kind IS NOT NULL AND awaited IS NOT NULL",
									   quote_identifier(get_namespace_name(p->part.schema))));
	MemoryContext oldcontext = MemoryContextSwitchTo(p->context);
	uint64		i;
	int			j;

	p->watched_edges = palloc0(sizeof(WatchedEdge) * (n + 1));
	for (i = 0; i < n; i++)
	{
		WatchedEdge *edge = &p->watched_edges[p->nwatched];
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
		p->nwatched++;
	}
	MemoryContextSwitchTo(oldcontext);
}

/* May a path over rows of a source use a variable of this name? */
bool
leadscore_is_variable(const Pipeline *pipeline, SignalSource source, const char *name)
{
	Oid			relid = source == SOURCE_EVENT ? pipeline->event : pipeline->lead;
	int			i;

	if (get_attnum(relid, name) > 0)
		return true;
	if (source == SOURCE_PROFILE &&
		(strcmp(name, "consented") == 0 || strcmp(name, "email_domain") == 0))
		return true;
	for (i = 0; source == SOURCE_EVENT && i < CONTENT_COLUMNS; i++)
		if (strcmp(leadscore_content_variables[i], name) == 0)
			return true;
	for (i = 0; i < pipeline->nlists; i++)
		if (strcmp(pipeline->list_names[i], name) == 0)
			return true;
	return false;
}

/* Variables that a path of ours names although their list is gone: null */
static void
find_missing(Pipeline *p)
{
	List	   *missing = NIL;
	ListCell   *lc;
	int			i;

	for (i = 0; i < p->nsignals; i++)
	{
		const SignalRule *signal = &p->signals[i];
		List	   *names = NIL;

		if (signal->condition)
			names = leadscore_path_variables(signal->condition);
		if (signal->quantity)
			names = list_concat(names, leadscore_path_variables(signal->quantity));
		if (signal->distinct_on)
			names = list_concat(names, leadscore_path_variables(signal->distinct_on));
		foreach(lc, names)
			if (!leadscore_is_variable(p, signal->source, lfirst(lc)))
			missing = lappend(missing, lfirst(lc));
	}
	p->missing = MemoryContextAlloc(p->context, sizeof(char *) * (list_length(missing) + 1));
	foreach(lc, missing)
		p->missing[p->nmissing++] = MemoryContextStrdup(p->context, lfirst(lc));
}

/* A scorer of a compiled model, with the segments beside it, in the current context */
static Scorer *
make_scorer(const Pipeline *p, Datum compiled, const char *name, const SegmentSet *segments)
{
	const LeadModel *model = leadscore_model_read(compiled);
	LeadModel  *copy = palloc(VARSIZE(model));

	memcpy(copy, model, VARSIZE(model));
	if (copy->grain != p->grain)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("model \"%s\" was compiled for another grain than the pipeline's", name),
				 errhint("Compile it with the grain of table setting.")));
	return leadscore_scorer_create(copy, segments);
}

/* The segments that were active once so many activations were done */
static SegmentSet *
active_segments(const Pipeline *p, int nactivations)
{
	SegmentSet *active = palloc0(sizeof(SegmentSet));
	int			i;

	active->segments = palloc(sizeof(Segment) * MAX_SEGMENTS);
	for (i = 0; i < nactivations; i++)
	{
		const Segment *segment = &p->segment_activations[i];
		int			number = leadscore_segment_index(active, segment->id);

		if (segment->conditions == NULL)
		{
			if (number == NO_INDEX)
				continue;
			active->n--;
			memmove(&active->segments[number], &active->segments[number + 1],
					sizeof(Segment) * (active->n - number));
			continue;
		}
		if (number == NO_INDEX)
		{
			if (active->n == MAX_SEGMENTS)
				ereport(ERROR,
						(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						 errmsg("more than %d segments are active", MAX_SEGMENTS),
						 errhint("Retire segments that are not needed.")));
			number = active->n++;
		}
		active->segments[number] = *segment;
	}
	return active;
}

/*
 * Which models were in use when, and which segments beside them.  Models are
 * compiled when they are needed.  What was activated before the first model
 * counts from then on.
 */
static void
read_periods(Pipeline *p)
{
	uint64		n = run_query(psprintf("SELECT activation_id, activated_at, model, NULL AS segment_id, NULL AS definition"
									   " FROM %s WHERE model IS NOT NULL AND activated_at IS NOT NULL"
									   " UNION ALL SELECT activation_id, activated_at, NULL, segment_id, definition"
									   " FROM %s WHERE segment_id IS NOT NULL AND activated_at IS NOT NULL"
									   " ORDER BY activation_id", leadscore_table_name(p->activation),
									   leadscore_table_name(p->segment_activation)));
	TupleDesc	desc = SPI_tuptable->tupdesc;
	SPITupleTable *rows = SPI_tuptable;
	MemoryContext oldcontext = MemoryContextSwitchTo(p->context);
	char	   *model = NULL;
	uint64		i;

	leadscore_column(desc, "activation_id", INT8OID, "model_activation");
	leadscore_column(desc, "activated_at", TIMESTAMPTZOID, "model_activation");
	leadscore_column(desc, "segment_id", INT4OID, "segment_activation");
	leadscore_column(desc, "definition", JSONBOID, "segment_activation");
	p->periods = palloc0(sizeof(ModelPeriod) * (n + 1));
	p->segment_activations = palloc0(sizeof(Segment) * (n + 1));
	for (i = 0; i < n; i++)
	{
		HeapTuple	tuple = rows->vals[i];
		ModelPeriod *period = &p->periods[p->nperiods];
		char	   *name = SPI_getvalue(tuple, desc, 3);
		bool		isnull;

		if (name)
			model = name;
		else
		{
			Segment    *segment = &p->segment_activations[p->nsegment_activations++];
			Datum		definition = spi_copy(tuple, desc, 5, &isnull);

			/* without conditions: it was retired */
			if (!isnull)
				leadscore_segment_compile((Jsonb *) DatumGetPointer(definition), p->grain, false, segment);
			segment->id = DatumGetInt32(SPI_getbinval(tuple, desc, 4, &isnull));
			if (model == NULL)
				continue;
		}
		period->configuration = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
		period->activated_at = nearest_instant(DatumGetTimestampTz(SPI_getbinval(tuple, desc, 2, &isnull)));
		if (p->nperiods > 0)
			period->activated_at = Max(period->activated_at, period[-1].activated_at);
		period->name = model;
		period->nsegment_activations = p->nsegment_activations;
		p->nperiods++;
	}
	MemoryContextSwitchTo(oldcontext);
}

/* Make the model of a period ready for scoring, if it is not yet. */
void
leadscore_period_load(Pipeline *pipeline, int number)
{
	ModelPeriod *period = &pipeline->periods[number];
	MemoryContext oldcontext;
	Datum		name = CStringGetTextDatum(period->name);
	Oid			type = TEXTOID;
	char	   *sql;
	UserSwitch	saved;
	bool		isnull = true;
	int			i;

	if (period->scorer)
		return;
	for (i = 0; i < pipeline->nperiods; i++)
		if (pipeline->periods[i].scorer && pipeline->periods[i].nsegment_activations == period->nsegment_activations &&
			strcmp(pipeline->periods[i].name, period->name) == 0)
		{
			period->scorer = pipeline->periods[i].scorer;
			period->evaluation = pipeline->periods[i].evaluation;
			return;
		}
	sql = psprintf("SELECT compiled FROM %s WHERE model OPERATOR(pg_catalog.=) $1",
				   leadscore_table_name(pipeline->model));
	leadscore_run_as(pipeline->owner, false, &saved);
	PushActiveSnapshot(IsInParallelMode() ? GetActiveSnapshot() : GetLatestSnapshot());
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args(sql, 1, &type, &name, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read a model: %s", sql);
	if (SPI_processed == 1)
	{
		Datum		compiled;

		leadscore_column(SPI_tuptable->tupdesc, "compiled", leadscore_type("lead_model"), "model");
		compiled = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
		if (!isnull)
		{
			SegmentSet *segments = active_segments(pipeline, period->nsegment_activations);

			oldcontext = MemoryContextSwitchTo(pipeline->context);
			period->scorer = make_scorer(pipeline, compiled, period->name, segments);
			period->evaluation = leadscore_evaluation_create(period->scorer);
			MemoryContextSwitchTo(oldcontext);
		}
	}
	SPI_finish();
	PopActiveSnapshot();
	leadscore_run_back(&saved);
	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("model \"%s\" was active but is not compiled", period->name),
				 errhint("Restore the row of table model, or activate another model.")));
}

/* The period of the active model, ready for scoring; there must be one. */
ModelPeriod *
leadscore_period_now(Pipeline *pipeline)
{
	Assert(pipeline->nperiods > 0);
	leadscore_period_load(pipeline, pipeline->nperiods - 1);
	return &pipeline->periods[pipeline->nperiods - 1];
}

/* Read the row of settings. */
static void
read_settings(Pipeline *p)
{
	bool		isnull;
	Datum		grain;

	if (query("SELECT grain, configuration, signals_configuration FROM %s", p->setting) != 1)
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

/* A pipeline goes, and with it saved plans, which live in contexts of their own. */
static void
forget(void *arg)
{
	Pipeline   *p = arg;
	PipelineEntry *entry = hash_search(pipelines, &p->part, HASH_FIND, NULL);
	int			i;

	if (entry && entry->seen == p)
		entry->seen = NULL;
	for (i = 0; i < PIPELINE_PLANS; i++)
		if (p->plans[i])
			SPI_freeplan(p->plans[i]);
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

/* Does a write of a table run code of users? */
static bool
runs_own_code(Oid table)
{
	Relation	rel = table_open(table, AccessShareLock);
	bool		own = leadscore_runs_own_code(rel);

	table_close(rel, AccessShareLock);
	return own;
}

/* Read a pipeline anew, as of a snapshot. */
static Pipeline *
load(PipelinePart part, Snapshot snapshot)
{
	MemoryContext context;
	Pipeline   *p;
	UserSwitch	saved;

	context = AllocSetContextCreate(CurrentMemoryContext, "leadscore pipeline",
									ALLOCSET_DEFAULT_SIZES);
	p = MemoryContextAllocZero(context, sizeof(Pipeline));
	p->part = part;
	p->context = context;
	p->forget.func = forget;
	p->forget.arg = p;
	MemoryContextRegisterResetCallback(context, &p->forget);

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

	leadscore_run_as(p->owner, false, &saved);
	PushActiveSnapshot(snapshot);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	read_settings(p);
	read_signals(p);
	read_lists(p);
	read_contents(p);
	find_missing(p);
	/* kinds that say something against messages */
	p->nrefusals = read_kinds(p, "'unsubscribe', 'email_bounce', 'complaint'", &p->refusals);
	read_exposing(p);
	read_watched(p);
	read_periods(p);
	SPI_finish();
	PopActiveSnapshot();
	leadscore_run_back(&saved);
	return p;
}

/* A pipeline's configuration as of now */
Pipeline *
leadscore_pipeline(PipelinePart part)
{
	PipelineEntry *entry = find_entry(part);

	while (entry->stale)
	{
		Pipeline   *p;

		/* may become stale again while it is read */
		entry->stale = false;
		PG_TRY();
		{
			p = load(part, GetLatestSnapshot());
		}
		PG_CATCH();
		{
			entry->stale = true;
			PG_RE_THROW();
		}
		PG_END_TRY();
		if (entry->pipeline)
			MemoryContextSetParent(entry->pipeline->context, TopTransactionContext);
		MemoryContextSetParent(p->context, CacheMemoryContext);
		entry->pipeline = p;
		/* a debugging aid makes everything stale all the time */
		if (debug_discard_caches > 0)
			break;
	}
	return entry->pipeline;
}

/* Is a pipeline's configuration the one that the active snapshot sees? */
static bool
is_as_seen(Pipeline *p)
{
	UserSwitch	saved;
	bool		same = false;
	bool		isnull;

	leadscore_run_as(p->owner, false, &saved);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (p->plans[PLAN_READ_CONFIGURATION] == NULL)
		p->plans[PLAN_READ_CONFIGURATION] =
			leadscore_keep_plan(psprintf("SELECT configuration FROM %s", leadscore_table_name(p->setting)), 0, NULL);
	if (SPI_execute_plan(p->plans[PLAN_READ_CONFIGURATION], NULL, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the configuration of pipeline %u", p->part.schema);
	if (SPI_processed == 1)
		same = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
										   &isnull)) == p->configuration;
	SPI_finish();
	leadscore_run_back(&saved);
	return same;
}

/*
 * A pipeline as the active snapshot sees it.  It is kept until the transaction
 * ends, beside the newest one: a query asks for it once for each lead.
 */
static Pipeline *
load_as_seen(PipelinePart part)
{
	PipelineEntry *entry = find_entry(part);
	Pipeline   *p = entry->seen;

	if (p && is_as_seen(p))
		return p;
	entry->seen = NULL;
	entry->seen_stale = false;
	p = load(part, GetActiveSnapshot());
	MemoryContextSetParent(p->context, TopTransactionContext);
	if (!entry->seen_stale)
		entry->seen = p;
	return p;
}

/*
 * The same for a query, which may run in parallel: no newer snapshot than the
 * query's can be taken then.
 */
Pipeline *
leadscore_pipeline_for_query(PipelinePart part)
{
	if (IsInParallelMode() && find_entry(part)->stale)
		return load_as_seen(part);
	return leadscore_pipeline(part);
}

/*
 * The same for a query that replays logs, which it sees by its snapshot: with
 * the configuration that this snapshot sees, even if a newer one is known.
 */
Pipeline *
leadscore_pipeline_as_seen(PipelinePart part)
{
	Pipeline   *p = leadscore_pipeline_for_query(part);

	return is_as_seen(p) ? p : load_as_seen(part);
}

/*
 * The same for a writer: its configuration, and the columns of lead_state,
 * stay as they are until the end of the transaction.  A session that changes
 * the configuration waits for the writers, and readers wait for nobody.
 */
Pipeline *
leadscore_pipeline_for_write(PipelinePart part)
{
	Pipeline   *p = find_entry(part)->pipeline;

	if (p == NULL)
		p = leadscore_pipeline(part);
	for (;;)
	{
		Oid			model = p->model;
		Oid			state = p->state;

		LockRelationOid(model, RowShareLock);
		LockRelationOid(state, RowExclusiveLock);
		p = leadscore_pipeline(part);
		if (p->model == model && p->state == state)
			break;
	}
	/* rows written into these tables would never be found */
	if (p->distributed)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("leads of pipeline \"%s\" can be written in their shards only",
						get_namespace_name(part.schema)),
				 errhint("Distribute all tables that have a lead_id by it, colocated with each other.")));
	return p;
}

/*
 * The same for a function that writes by statements of its own: those of a
 * distributed pipeline go to its shards, where triggers take these locks.
 */
Pipeline *
leadscore_pipeline_for_app(PipelinePart part)
{
	Pipeline   *p = leadscore_pipeline(part);

	return p->distributed ? p : leadscore_pipeline_for_write(part);
}

/* Compare the name of a kind with that of an entry. */
static int
kind_cmp(const void *kind, const void *entry)
{
	return strcmp(kind, ((const KindSignals *) entry)->kind);
}

/* The signals that a kind of event may match */
const KindSignals *
leadscore_kind_signals(const Pipeline *pipeline, const char *kind)
{
	const KindSignals *found = bsearch(kind, pipeline->kinds, pipeline->nkinds,
									   sizeof(KindSignals), kind_cmp);

	return found ? found : &pipeline->other;
}

/* Compare a name with that of a content. */
static int
content_name_cmp(const void *name, const void *content)
{
	return strcmp(name, ((const Content *) content)->name);
}

/* The content of a name, or NULL */
const Content *
leadscore_find_content(const Pipeline *pipeline, const char *name)
{
	return pipeline->ncontents == 0 ? NULL :
		bsearch(name, pipeline->contents, pipeline->ncontents, sizeof(Content), content_name_cmp);
}

/* Compare an id with that of a signal. */
static int
signal_id_cmp(const void *id, const void *signal)
{
	return *(const int *) id - ((const SignalRule *) signal)->id;
}

/* The signal with an id, or NULL */
const SignalRule *
leadscore_signal_rule(const Pipeline *pipeline, int id)
{
	return bsearch(&id, pipeline->signals, pipeline->nsignals, sizeof(SignalRule),
				   signal_id_cmp);
}

/*
 * The tables whose rows are of one lead each; the states first: where rows are
 * deleted, their locks keep new events away.
 */
void
leadscore_lead_tables(const Pipeline *pipeline, Oid *tables)
{
	tables[0] = pipeline->state;
	tables[1] = pipeline->event;
	tables[2] = pipeline->stage_log;
	tables[3] = pipeline->profile_change;
	tables[4] = pipeline->consent;
	tables[5] = pipeline->alias;
	tables[6] = pipeline->segment_log;
	tables[7] = pipeline->enrollment;
	tables[8] = pipeline->action;
	tables[9] = pipeline->exposure;
	tables[10] = pipeline->lead_change;
	tables[11] = pipeline->preference;
	tables[12] = pipeline->checkpoint;
}
