/*-------------------------------------------------------------------------
 *
 * signal_read.c
 *		The signals of a pipeline, read with what their conditions name: value
 *		lists and contents.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "condition.h"
#include "pipeline_read.h"

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
	entry->variables = NIL;
	while (i < nown || j < any->nsignals)
	{
		const SignalRule *signal = j == any->nsignals ||
			(i < nown && own[i].signal < any->signals[j]) ? own[i++].signal : any->signals[j++];

		if (entry->nsignals > 0 && entry->signals[entry->nsignals - 1] == signal)
			continue;
		entry->signals[entry->nsignals++] = signal;
		if (signal->condition || signal->quantity || signal->distinct_on)
			entry->plain = false;
		entry->variables = list_concat(entry->variables, signal->variables);
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

/* The variables that the paths of a signal name */
static List *
signal_variables(const SignalRule *signal)
{
	List	   *names = NIL;

	if (signal->condition)
		names = leadscore_path_variables(signal->condition);
	if (signal->quantity)
		names = list_concat(names, leadscore_path_variables(signal->quantity));
	if (signal->distinct_on)
		names = list_concat(names, leadscore_path_variables(signal->distinct_on));
	return names;
}

/* Read the signals, and which of them are for which kind of event. */
static void
read_signals(Pipeline *p)
{
	/* a role stands for the kinds of events that have it */
	uint64		n = leadscore_read_rows(psprintf("SELECT signal, signal_id, source, CASE WHEN event_role IS NULL THEN event_kinds"
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
		int			j;

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

			deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT,
							  &items, &nulls, &nkinds[i]);
			kinds[i] = palloc0(sizeof(char *) * (nkinds[i] + 1));
			for (j = 0; j < nkinds[i]; j++)
				kinds[i][j] = nulls[j] ? pstrdup("") : TextDatumGetCString(items[j]);
		}
		signal->condition = (JsonPath *) DatumGetPointer(leadscore_read_copy(tuple, desc, 5, &isnull));
		signal->quantity = (JsonPath *) DatumGetPointer(leadscore_read_copy(tuple, desc, 6, &isnull));
		signal->distinct_on = (JsonPath *) DatumGetPointer(leadscore_read_copy(tuple, desc, 7, &isnull));
		signal->variables = signal_variables(signal);
		if (signal->source == SOURCE_PROFILE)
		{
			p->profile[p->nprofile++] = signal;
			p->profile_variables = list_concat(p->profile_variables, signal->variables);
		}
		for (j = 0; signal->source == SOURCE_EVENT && j < CONTENT_COLUMNS; j++)
			if (leadscore_is_named(signal->variables, leadscore_content_variables[j]))
				p->content_used |= 1 << j;
	}
	index_kinds(p, kinds, nkinds);
	MemoryContextSwitchTo(oldcontext);
}

/* Value lists become variables: arrays of strings in one jsonb object each */
static void
read_lists(Pipeline *p)
{
	uint64		n = leadscore_read_table("SELECT list, pg_catalog.jsonb_agg(item ORDER BY item) FROM %s"
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
	n = leadscore_read_table("SELECT content::pg_catalog.text, kind::pg_catalog.text, topic::pg_catalog.text, intent::pg_catalog.text,"
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

		foreach(lc, signal->variables)
			if (!leadscore_is_variable(p, signal->source, lfirst(lc)))
			missing = lappend(missing, lfirst(lc));
	}
	p->missing = MemoryContextAlloc(p->context, sizeof(char *) * (list_length(missing) + 1));
	foreach(lc, missing)
		p->missing[p->nmissing++] = MemoryContextStrdup(p->context, lfirst(lc));
}

/* Read the signals, and what their conditions name. */
void
leadscore_read_signals(Pipeline *p)
{
	read_signals(p);
	read_lists(p);
	read_contents(p);
	find_missing(p);
}
