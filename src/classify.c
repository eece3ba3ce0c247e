/*-------------------------------------------------------------------------
 *
 * classify.c
 *		From rows of `event` and `lead` to signals.
 *
 * A condition is a jsonpath over the row's properties or profile (condition.c).
 * Its variables are put together here: the columns of the row, the value lists,
 * and a few that follow from columns.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/formatting.h"
#include "utils/lsyscache.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"
#include "utils/typcache.h"

#include "classify.h"
#include "condition.h"

PG_FUNCTION_INFO_V1(leadscore_event_signals);
PG_FUNCTION_INFO_V1(leadscore_profile_signals);
PG_FUNCTION_INFO_V1(leadscore_event_mistypes);
PG_FUNCTION_INFO_V1(leadscore_profile_mistypes);
PG_FUNCTION_INFO_V1(leadscore_may_have_event);

/* Find the columns of event that the engine reads. */
void
leadscore_event_columns(TupleDesc desc, const char *table, EventColumns *columns)
{
	columns->lead_id = leadscore_column(desc, "lead_id", INT8OID, table);
	columns->event_id = leadscore_column(desc, "event_id", INT8OID, table);
	columns->kind = leadscore_column(desc, "kind", TEXTOID, table);
	columns->occurred_at = leadscore_column(desc, "occurred_at", TIMESTAMPTZOID, table);
	columns->properties = leadscore_column(desc, "properties", JSONBOID, table);
}

/* The kind of an event: empty, which no signal is of, if it is null */
char *
leadscore_event_kind(const EventColumns *columns, TupleTableSlot *slot)
{
	bool		isnull;
	Datum		kind = slot_getattr(slot, columns->kind, &isnull);

	return isnull ? pstrdup("") : TextDatumGetCString(kind);
}

/* Find the columns of lead that the engine reads. */
void
leadscore_lead_columns(TupleDesc desc, const char *table, LeadColumns *columns)
{
	columns->lead_id = leadscore_column(desc, "lead_id", INT8OID, table);
	columns->profile = leadscore_column(desc, "profile", JSONBOID, table);
	columns->created_at = leadscore_column(desc, "created_at", TIMESTAMPTZOID, table);
	columns->updated_at = leadscore_column(desc, "updated_at", TIMESTAMPTZOID, table);
	columns->email = leadscore_column(desc, "email", TEXTOID, table);
	columns->consented_at = leadscore_column(desc, "consented_at", TIMESTAMPTZOID, table);
	columns->erased_at = leadscore_column(desc, "erased_at", TIMESTAMPTZOID, table);
}

/* Make an empty pool. */
void
leadscore_pool_init(CountPool *pool)
{
	pool->n = 0;
	pool->capacity = 64;
	pool->counts = palloc(pool->capacity * sizeof(SignalCount));
}

/* Append a count to a pool. */
void
leadscore_pool_add(CountPool *pool, int signal, uint64 value, int64 count)
{
	if (pool->n == pool->capacity)
	{
		pool->capacity *= 2;
		pool->counts = repalloc_huge(pool->counts, pool->capacity * sizeof(SignalCount));
	}
	pool->counts[pool->n].signal = signal;
	pool->counts[pool->n].value = value;
	pool->counts[pool->n].unused = 0;
	pool->counts[pool->n++].count = count;
}

/* Push the name of a variable. */
static void
push_key(JsonbParseState **state, const char *name)
{
	JsonbValue	key;

	key.type = jbvString;
	key.val.string.val = unconstify(char *, name);
	key.val.string.len = strlen(name);
	pushJsonbValue(state, WJB_KEY, &key);
}

/* Push a variable that is a string, or null if there is none. */
static void
push_string(JsonbParseState **state, const char *name, char *text, int len)
{
	JsonbValue	value;

	push_key(state, name);
	value.type = text ? jbvString : jbvNull;
	value.val.string.val = text;

	value.val.string.len = len;
	pushJsonbValue(state, WJB_VALUE, &value);
}

/* Push a variable that is null. */
static void
push_null(JsonbParseState **state, const char *name)
{
	push_string(state, name, NULL, 0);
}

/* An instant as ISO 8601 text in UTC, whatever the session's settings */
static char *
instant_text(TimestampTz at)
{
	struct pg_tm tm;
	fsec_t		fsec;
	char		buf[MAXDATELEN + 1];

	if (TIMESTAMP_NOT_FINITE(at))
	{
		EncodeSpecialTimestamp(at, buf);
		return pstrdup(buf);
	}
	if (timestamp2tm(at, NULL, &tm, &fsec, NULL, NULL) != 0)
		return pstrdup("infinity");
	EncodeDateTime(&tm, fsec, false, 0, NULL, USE_XSD_DATES, buf);
	return psprintf("%s+00:00", buf);
}

/* One column of a row as a variable */
static void
push_column(JsonbParseState **state, const char *name, TupleTableSlot *slot,
			AttrNumber attnum)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, attnum, &isnull);
	Oid			type = TupleDescAttr(slot->tts_tupleDescriptor, attnum - 1)->atttypid;
	JsonbValue	scalar;
	text	   *string;
	char	   *instant;

	if (isnull)
	{
		push_null(state, name);
		return;
	}
	switch (type)
	{
		case TEXTOID:
		case VARCHAROID:
			string = DatumGetTextPP(value);
			push_string(state, name, VARDATA_ANY(string), VARSIZE_ANY_EXHDR(string));
			return;
		case TIMESTAMPTZOID:
			instant = instant_text(DatumGetTimestampTz(value));
			push_string(state, name, instant, strlen(instant));
			return;
		case BOOLOID:
			scalar.type = jbvBool;
			scalar.val.boolean = DatumGetBool(value);
			break;
		case INT4OID:
			scalar.type = jbvNumeric;
			scalar.val.numeric = int64_to_numeric(DatumGetInt32(value));
			break;
		case INT8OID:
			scalar.type = jbvNumeric;
			scalar.val.numeric = int64_to_numeric(DatumGetInt64(value));
			break;
		case NUMERICOID:
			/* jsonb has no NaN and no infinity */
			scalar.val.numeric = DatumGetNumeric(value);
			scalar.type = numeric_is_nan(scalar.val.numeric) ||
				numeric_is_inf(scalar.val.numeric) ? jbvNull : jbvNumeric;
			break;
		default:
			push_null(state, name);
			return;
	}
	push_key(state, name);
	pushJsonbValue(state, WJB_VALUE, &scalar);
}

/* The value lists that are named, and nothing for lists that a path names but are gone */
static void
push_lists(JsonbParseState **state, const Pipeline *pipeline, const List *named)
{
	int			i;

	for (i = 0; i < pipeline->nlists; i++)
	{
		if (!leadscore_is_named(named, pipeline->list_names[i]))
			continue;
		push_key(state, pipeline->list_names[i]);
		pushJsonbValue(state, WJB_VALUE, &pipeline->lists[i]);
	}
	for (i = 0; i < pipeline->nmissing; i++)
		if (leadscore_is_named(named, pipeline->missing[i]))
			push_null(state, pipeline->missing[i]);
}

/* The columns of a row that are named, but its document */
static void
push_columns(JsonbParseState **state, TupleTableSlot *slot, AttrNumber document, const List *named)
{
	TupleDesc	desc = slot->tts_tupleDescriptor;
	int			i;

	for (i = 0; i < desc->natts && named != NIL; i++)
	{
		const char *name = NameStr(TupleDescAttr(desc, i)->attname);

		if (!TupleDescAttr(desc, i)->attisdropped && i + 1 != document && leadscore_is_named(named, name))
			push_column(state, name, slot, i + 1);
	}
}

/* The content that an event names in its properties, as they ->> 'content' has it */
static const Content *
event_content(const Pipeline *pipeline, Jsonb *doc)
{
	JsonbValue	buffer;
	JsonbValue *name;

	if (pipeline->ncontents == 0 || !JB_ROOT_IS_OBJECT(doc))
		return NULL;
	name = getKeyJsonValueFromContainer(&doc->root, "content", strlen("content"), &buffer);
	if (name == NULL)
		return NULL;
	if (name->type == jbvString)
		return leadscore_find_content(pipeline, pnstrdup(name->val.string.val, name->val.string.len));
	if (name->type == jbvNumeric)
		return leadscore_find_content(pipeline, DatumGetCString(DirectFunctionCall1(numeric_out,
																					NumericGetDatum(name->val.numeric))));
	return NULL;
}

/* What is named of the content that an event names */
static void
push_content(JsonbParseState **state, const Pipeline *pipeline, const List *named, Jsonb *doc)
{
	const Content *content = NULL;
	bool		found = false;
	int			i;

	for (i = 0; i < CONTENT_COLUMNS; i++)
	{
		const char *variable = leadscore_content_variables[i];
		char	   *value;

		if (!leadscore_is_named(named, variable))
			continue;
		if (!found)
			content = event_content(pipeline, doc);
		found = true;
		value = content ? content->values[i] : NULL;
		push_string(state, variable, value, value ? strlen(value) : 0);
	}
}

/* The variables over a row of event that are named */
static Jsonb *
event_vars(const Pipeline *pipeline, const EventColumns *columns, TupleTableSlot *slot, Jsonb *doc,
		   const List *named)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_lists(&state, pipeline, named);
	push_content(&state, pipeline, named, doc);
	push_columns(&state, slot, columns->properties, named);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* The domain of an address in lower case; NULL if there is none */
static void
push_email_domain(JsonbParseState **state, TupleTableSlot *slot, AttrNumber attnum)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, attnum, &isnull);
	char	   *domain = isnull ? NULL : strrchr(TextDatumGetCString(value), '@');

	if (domain != NULL)
		domain = str_tolower(domain + 1, strlen(domain + 1), C_COLLATION_OID);
	push_string(state, "email_domain", domain, domain ? strlen(domain) : 0);
}

/* The variables over a row of lead that are named */
static Jsonb *
lead_vars(const Pipeline *pipeline, const LeadColumns *columns, TupleTableSlot *slot,
		  const List *named)
{
	JsonbParseState *state = NULL;
	JsonbValue	consented;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_lists(&state, pipeline, named);
	push_columns(&state, slot, columns->profile, named);
	if (leadscore_is_named(named, "email_domain"))
		push_email_domain(&state, slot, columns->email);
	if (leadscore_is_named(named, "consented"))
	{
		consented.type = jbvBool;
		consented.val.boolean = !slot_attisnull(slot, columns->consented_at);
		push_key(&state, "consented");
		pushJsonbValue(&state, WJB_VALUE, &consented);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* The document of a path: a jsonb column, or an empty object */
static Jsonb *
document(TupleTableSlot *slot, AttrNumber attnum)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, attnum, &isnull);
	JsonbParseState *state = NULL;

	if (!isnull)
		return DatumGetJsonbP(value);
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* Add the signals of an event to the pool. */
void
leadscore_classify_event(const Pipeline *pipeline, const KindSignals *kind,
						 const EventColumns *columns, TupleTableSlot *slot,
						 CountPool *pool)
{
	Jsonb	   *doc = NULL;
	Jsonb	   *vars = NULL;
	int			i;

	if (!kind->plain)
	{
		doc = document(slot, columns->properties);
		vars = event_vars(pipeline, columns, slot, doc, kind->variables);
	}
	for (i = 0; i < kind->nsignals; i++)
	{
		const SignalRule *signal = kind->signals[i];
		uint64		value = 0;
		int64		count = 1;

		if (signal->condition && !leadscore_condition_holds(signal->condition, doc, vars))
			continue;
		if (signal->quantity)
			count = leadscore_quantity(signal->quantity, doc, vars);
		/* an event that brings no value is no different one */
		if (signal->distinct_on)
		{
			value = leadscore_distinct_value(signal->distinct_on, doc, vars);
			if (value == 0)
				continue;
		}
		if (count > 0)
			leadscore_pool_add(pool, signal->id, value, count);
	}
}

/* Add the signals of a profile to the pool, in signal order. */
void
leadscore_classify_lead(const Pipeline *pipeline, const LeadColumns *columns,
						TupleTableSlot *slot, CountPool *pool)
{
	Jsonb	   *doc;
	Jsonb	   *vars;
	int			i;

	if (pipeline->nprofile == 0)
		return;
	doc = document(slot, columns->profile);
	vars = lead_vars(pipeline, columns, slot, pipeline->profile_variables);
	for (i = 0; i < pipeline->nprofile; i++)
	{
		const SignalRule *signal = pipeline->profile[i];

		if (signal->condition == NULL || leadscore_condition_holds(signal->condition, doc, vars))
			leadscore_pool_add(pool, signal->id, 0, 1);
	}
}

/* Does a row of lead match a path? */
bool
leadscore_lead_matches(const Pipeline *pipeline, const LeadColumns *columns, TupleTableSlot *slot,
					   JsonPath *path)
{
	return leadscore_condition_holds(path, document(slot, columns->profile),
									 lead_vars(pipeline, columns, slot, leadscore_path_variables(path)));
}

/* Refuse a path that names a variable nobody knows; the owner is what has it. */
void
leadscore_check_path(const Pipeline *pipeline, SignalSource source,
					 JsonPath *path, const char *owner, const char *column)
{
	ListCell   *lc;

	foreach(lc, leadscore_path_variables(path))
	{
		const char *name = lfirst(lc);

		if (!leadscore_is_variable(pipeline, source, name))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("%s: the %s uses an unknown variable \"$%s\"", owner, column, name),
					 source == SOURCE_EVENT ?
					 errhint("Use a column of event, such as $value, a column of the content that it names, such as $content_kind, or a list of value_list.") :
					 errhint("Use a column of lead, $consented, $email_domain or a list of value_list.")));
	}
}

/* What event_signals() and profile_signals() keep from row to row */
typedef struct RowClassifier
{
	Oid			type;
	int32		typmod;
	TupleDesc	desc;
	const Pipeline *pipeline;
	TupleTableSlot *slot;
	EventColumns event;
	LeadColumns lead;
} RowClassifier;

/* The argument is no row of the table that it must be of. */
static void
report_other_row(bool event)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("argument is not a row of table \"%s\"", event ? "event" : "lead"),
			 errhint("Pass the row of the table itself, not a part of it.")));
}

/* The classifier of the rows that are handed to this call site */
static RowClassifier *
row_classifier(FunctionCallInfo fcinfo, HeapTupleHeader row, bool event)
{
	RowClassifier *c = fcinfo->flinfo->fn_extra;
	Oid			type = HeapTupleHeaderGetTypeId(row);
	int32		typmod = HeapTupleHeaderGetTypMod(row);
	MemoryContext oldcontext;
	TupleDesc	desc;
	Oid			relid;

	if (c != NULL && c->type == type && c->typmod == typmod)
		return c;
	relid = get_typ_typrelid(type);
	if (!OidIsValid(relid))
		report_other_row(event);
	leadscore_check_maintainer(get_rel_namespace(relid), "signal", ACL_SELECT);
	oldcontext = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	c = palloc0(sizeof(RowClassifier));
	desc = lookup_rowtype_tupdesc(type, typmod);
	c->desc = CreateTupleDescCopy(desc);
	ReleaseTupleDesc(desc);
	c->type = type;
	c->typmod = typmod;
	c->pipeline = leadscore_pipeline_for_query(leadscore_part(relid));
	c->slot = MakeSingleTupleTableSlot(c->desc, &TTSOpsHeapTuple);
	if (event)
		leadscore_event_columns(c->desc, get_rel_name(relid), &c->event);
	else
		leadscore_lead_columns(c->desc, get_rel_name(relid), &c->lead);
	MemoryContextSwitchTo(oldcontext);
	fcinfo->flinfo->fn_extra = c;
	return c;
}

/* Begin a result of rows: the classifier, with the argument in its slot */
static RowClassifier *
begin_rows(FunctionCallInfo fcinfo, HeapTuple tuple, bool event, bool one_column)
{
	HeapTupleHeader row;
	RowClassifier *c;

	/* anyelement may be anything */
	if (!type_is_rowtype(get_fn_expr_argtype(fcinfo->flinfo, 0)))
		report_other_row(event);
	row = PG_GETARG_HEAPTUPLEHEADER(0);
	InitMaterializedSRF(fcinfo, one_column ? MAT_SRF_USE_EXPECTED_DESC : 0);
	c = row_classifier(fcinfo, row, event);
	tuple->t_len = HeapTupleHeaderGetDatumLength(row);
	tuple->t_data = row;
	ExecStoreHeapTuple(tuple, c->slot, false);
	return c;
}

/* Classify a row and return its signals, with quantities for events. */
static Datum
row_signals(FunctionCallInfo fcinfo, bool event)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	HeapTupleData tuple = {0};
	RowClassifier *c = begin_rows(fcinfo, &tuple, event, !event);
	CountPool	pool;
	int64		i;

	leadscore_pool_init(&pool);
	if (event)
		leadscore_classify_event(c->pipeline,
								 leadscore_kind_signals(c->pipeline, leadscore_event_kind(&c->event, c->slot)),
								 &c->event, c->slot, &pool);
	else
		leadscore_classify_lead(c->pipeline, &c->lead, c->slot, &pool);
	for (i = 0; i < pool.n; i++)
	{
		Datum		values[3];
		bool		nulls[3] = {false, false, pool.counts[i].value == 0};

		values[0] = Int16GetDatum((int16) pool.counts[i].signal);
		values[1] = Int64GetDatum(pool.counts[i].count);
		values[2] = Int64GetDatum((int64) pool.counts[i].value);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	ExecClearTuple(c->slot);
	return (Datum) 0;
}

/* event_signals(event): the signals that a row of event counts for */
Datum
leadscore_event_signals(PG_FUNCTION_ARGS)
{
	return row_signals(fcinfo, true);
}

/* profile_signals(lead): the signals that a row of lead matches */
Datum
leadscore_profile_signals(PG_FUNCTION_ARGS)
{
	return row_signals(fcinfo, false);
}

/* The document without a key, or with the number 1 there */
static Jsonb *
changed_document(Jsonb *doc, text *key, bool remove)
{
	Datum		without = DirectFunctionCall2(jsonb_delete, JsonbPGetDatum(doc), PointerGetDatum(key));
	JsonbParseState *state = NULL;
	JsonbValue	one;

	if (remove)
		return DatumGetJsonbP(without);
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_key(&state, text_to_cstring(key));
	one.type = jbvNumeric;
	one.val.numeric = int64_to_numeric(1);
	pushJsonbValue(&state, WJB_VALUE, &one);
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, without,
											  JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)))));
}

/* What a signal cannot make anything of in a document */
typedef enum Mistype
{
	MISTYPE_NONE,
	MISTYPE_CONDITION,			/* it cannot tell whether it holds */
	MISTYPE_QUANTITY			/* it is no number */
} Mistype;

/* Which of the two paths of a signal the document has no answer for */
static Mistype
find_mistype(const SignalRule *signal, Jsonb *doc, Jsonb *vars)
{
	ConditionResult result = signal->condition ?
		leadscore_condition(signal->condition, doc, vars) : CONDITION_HOLDS;

	if (result == CONDITION_UNKNOWN)
		return MISTYPE_CONDITION;
	if (result == CONDITION_HOLDS && signal->quantity &&
		!leadscore_is_number(signal->quantity, doc, vars))
		return MISTYPE_QUANTITY;
	return MISTYPE_NONE;
}

/*
 * Is it the value of this key?  It is if the condition could tell without the
 * key, or if the quantity were a number if the key had one.
 */
static bool
is_mistyped(const SignalRule *signal, Mistype mistype, Jsonb *doc, Jsonb *vars, text *key)
{
	Jsonb	   *changed = changed_document(doc, key, mistype == MISTYPE_CONDITION);

	return mistype == MISTYPE_CONDITION ?
		leadscore_condition(signal->condition, changed, vars) != CONDITION_UNKNOWN :
		leadscore_is_number(signal->quantity, changed, vars);
}

/* Return each key of a document that a signal finds of the wrong type. */
static void
put_mistypes(ReturnSetInfo *rsinfo, const SignalRule *signal, Jsonb *doc, Jsonb *vars)
{
	Mistype		mistype = find_mistype(signal, doc, vars);
	JsonbIterator *keys;
	JsonbIteratorToken token;
	JsonbValue	item;

	if (mistype == MISTYPE_NONE)
		return;
	keys = JsonbIteratorInit(&doc->root);
	while ((token = JsonbIteratorNext(&keys, &item, true)) != WJB_DONE)
	{
		Datum		values[2];
		bool		nulls[2] = {false, false};
		text	   *key;

		if (token != WJB_KEY)
			continue;
		key = cstring_to_text_with_len(item.val.string.val, item.val.string.len);
		(void) JsonbIteratorNext(&keys, &item, true);
		/* null is no value */
		if (item.type == jbvNull || !is_mistyped(signal, mistype, doc, vars, key))
			continue;
		values[0] = Int16GetDatum(signal->id);
		values[1] = PointerGetDatum(key);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
}

/* Return the same for all signals that may match a row. */
static Datum
row_mistypes(FunctionCallInfo fcinfo, bool event)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	HeapTupleData tuple = {0};
	RowClassifier *c = begin_rows(fcinfo, &tuple, event, false);
	const Pipeline *p = c->pipeline;
	const SignalRule **signals = p->profile;
	Jsonb	   *doc = document(c->slot, event ? c->event.properties : c->lead.profile);
	const KindSignals *kind = NULL;
	int			n = p->nprofile;
	int			i;

	if (event)
	{
		kind = leadscore_kind_signals(p, leadscore_event_kind(&c->event, c->slot));
		signals = kind->signals;
		n = kind->plain ? 0 : kind->nsignals;
	}
	if (n > 0 && JB_ROOT_IS_OBJECT(doc) && JB_ROOT_COUNT(doc) > 0)
	{
		Jsonb	   *vars = event ? event_vars(p, &c->event, c->slot, doc, kind->variables) :
			lead_vars(p, &c->lead, c->slot, p->profile_variables);

		for (i = 0; i < n; i++)
			put_mistypes(rsinfo, signals[i], doc, vars);
	}
	ExecClearTuple(c->slot);
	return (Datum) 0;
}

/*
 * event_mistypes(event): the signals that would look at a property of an event,
 * but cannot make anything of its type
 */
Datum
leadscore_event_mistypes(PG_FUNCTION_ARGS)
{
	return row_mistypes(fcinfo, true);
}

/* profile_mistypes(lead): the same for a row of lead and its profile */
Datum
leadscore_profile_mistypes(PG_FUNCTION_ARGS)
{
	return row_mistypes(fcinfo, false);
}

/* What may_have_event() works out of roles */
typedef struct RoleSignals
{
	bool		known;			/* each event is counted by one of the signals */
	int			n;
	int16	   *signals;
} RoleSignals;

/*
 * A signal that every event of a kind counts for, or NULL.  Best is one that not
 * all other events count for, too.
 */
static const SignalRule *
plain_signal(const Pipeline *pipeline, const char *kind)
{
	const KindSignals *entry = leadscore_kind_signals(pipeline, kind);
	const SignalRule *found = NULL;
	int			i;
	int			j;

	for (i = 0; i < entry->nsignals; i++)
	{
		const SignalRule *signal = entry->signals[i];

		if (signal->condition || signal->quantity || signal->distinct_on)
			continue;
		found = signal;
		for (j = 0; j < pipeline->other.nsignals && pipeline->other.signals[j] != signal; j++)
			;
		if (j == pipeline->other.nsignals)
			break;
	}
	return found;
}

/* The signals by which events of some roles are counted */
static RoleSignals *
role_signals(Oid schema, Datum roles, MemoryContext context)
{
	PipelinePart part = {schema, InvalidOid};
	const Pipeline *pipeline = leadscore_pipeline_as_seen(part);
	ArrayType  *kinds = DatumGetArrayTypeP(leadscore_read_kinds(pipeline->event_kind, roles, CurrentMemoryContext));
	RoleSignals *found = MemoryContextAllocZero(context, sizeof(RoleSignals));
	Datum	   *kind;
	int			nkinds;
	int			i;

	deconstruct_array(kinds, TEXTOID, -1, false, TYPALIGN_INT, &kind, NULL, &nkinds);
	found->signals = MemoryContextAlloc(context, sizeof(int16) * nkinds + 1);
	found->known = true;
	for (i = 0; i < nkinds && found->known; i++)
	{
		const SignalRule *signal = plain_signal(pipeline, TextDatumGetCString(kind[i]));

		found->known = signal != NULL;
		if (signal != NULL)
			found->signals[found->n++] = signal->id;
	}
	return found;
}

/*
 * may_have_event(pipeline regnamespace, activity lead_activity, VARIADIC roles text[])
 *
 * Whether a lead with this activity may have events of kinds that have one of
 * the roles.  If each of them counts for a signal, and none was counted, there
 * are none: the log need not be asked.
 */
Datum
leadscore_may_have_event(PG_FUNCTION_ARGS)
{
	ArrayType  *roles = PG_GETARG_ARRAYTYPE_P(2);
	RolesSite  *site = leadscore_roles_site(fcinfo, PG_GETARG_OID(0), roles);
	const RoleSignals *wanted;
	ActivityList list;
	int			i;
	int			j;

	if (site->answer == NULL)
		site->answer = role_signals(site->object, PointerGetDatum(roles), site->context);
	wanted = site->answer;
	if (!wanted->known)
		PG_RETURN_BOOL(true);
	leadscore_activity_read(DatumGetLeadActivityPP(PG_GETARG_DATUM(1)), &list);
	for (i = 0; i < list.nitems; i++)
		for (j = 0; j < wanted->n; j++)
			if (list.items[i].signal == wanted->signals[j] && list.items[i].count > 0)
				PG_RETURN_BOOL(true);
	PG_RETURN_BOOL(false);
}
