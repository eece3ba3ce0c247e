/*-------------------------------------------------------------------------
 *
 * condition.c
 *		Conditions, quantities and values: what a jsonpath says of a document.
 *
 * A condition holds if the path gives the single value true, or a non-empty
 * result that is not one boolean or null.  Odd data does not hold; it never
 * fails the statement that brought it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "executor/executor.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "condition.h"

/* Is a path a predicate, which gives one boolean, or null for unknown? */
static bool
is_predicate(JsonPath *path)
{
	JsonPathItem root;

	jspInit(&root, path);
	switch (root.type)
	{
		case jpiAnd:
		case jpiOr:
		case jpiNot:
		case jpiIsUnknown:
		case jpiEqual:
		case jpiNotEqual:
		case jpiLess:
		case jpiGreater:
		case jpiLessOrEqual:
		case jpiGreaterOrEqual:
		case jpiExists:
		case jpiStartsWith:
		case jpiLikeRegex:
			/* as a step of a longer path it is a value like any other */
			return !jspHasNext(&root);
		default:
			return false;
	}
}

/* Set the arguments that every function of a path has; it is to hide errors. */
static void
set_arguments(FunctionCallInfo fcinfo, JsonPath *path, Jsonb *doc, Jsonb *vars)
{
	fcinfo->args[0].value = JsonbPGetDatum(doc);
	fcinfo->args[1].value = PointerGetDatum(path);
	fcinfo->args[2].value = JsonbPGetDatum(vars);
	fcinfo->args[3].value = BoolGetDatum(true);
	fcinfo->args[0].isnull = fcinfo->args[1].isnull = false;
	fcinfo->args[2].isnull = fcinfo->args[3].isnull = false;
}

/* What a predicate gives, without the set and the document that a path's items need */
static void
match(JsonPath *path, Jsonb *doc, Jsonb *vars, JsonbValue *result)
{
	LOCAL_FCINFO(fcinfo, 4);
	Datum		holds;

	InitFunctionCallInfoData(*fcinfo, NULL, 4, InvalidOid, NULL, NULL);
	set_arguments(fcinfo, path, doc, vars);
	holds = jsonb_path_match(fcinfo);
	result->type = fcinfo->isnull ? jbvNull : jbvBool;
	result->val.boolean = !fcinfo->isnull && DatumGetBool(holds);
}

/* How many items a path gives: 0, 1 or more than that; and the first of them */
static int
first_item(JsonPath *path, Jsonb *doc, Jsonb *vars, JsonbValue *first)
{
	LOCAL_FCINFO(fcinfo, 4);
	FmgrInfo	flinfo;
	ReturnSetInfo rsinfo = {0};
	int			n = 0;

	if (is_predicate(path))
	{
		match(path, doc, vars, first);
		return 1;
	}
	fmgr_info_cxt(F_JSONB_PATH_QUERY, &flinfo, CurrentMemoryContext);
	rsinfo.type = T_ReturnSetInfo;
	rsinfo.econtext = CreateStandaloneExprContext();
	rsinfo.allowedModes = SFRM_ValuePerCall;
	rsinfo.returnMode = SFRM_ValuePerCall;
	InitFunctionCallInfoData(*fcinfo, &flinfo, 4, InvalidOid, NULL, (Node *) &rsinfo);
	set_arguments(fcinfo, path, doc, vars);
	for (; n < 2; n++)
	{
		Datum		item;

		fcinfo->isnull = false;
		item = FunctionCallInvoke(fcinfo);
		if (rsinfo.isDone != ExprMultipleResult)
			break;
		if (n == 0 && !JsonbExtractScalar(&DatumGetJsonbP(item)->root, first))
			first->type = jbvBinary;
	}
	FreeExprContext(rsinfo.econtext, true);
	return n;
}

/*
 * The same; 0 if the path fails, as for a path that finds nothing.  Silent mode
 * hides most errors of data, but not all: casts that ask for a time zone, for
 * example, or a document too deep for the stack.  jsonpath touches no catalog
 * and takes no lock, so catching an error here leaves nothing behind.
 *
 * Only two items are asked for, as all of them may be much larger than the
 * document: $.** of one that is deep gives every part of it.
 */
static int
run_path(JsonPath *path, Jsonb *doc, Jsonb *vars, JsonbValue *first)
{
	MemoryContext context = CurrentMemoryContext;
	volatile int n = 0;

	PG_TRY();
	{
		n = first_item(path, doc, vars, first);
	}
	PG_CATCH();
	{
		int			category = ERRCODE_TO_CATEGORY(geterrcode());

		if (category != ERRCODE_DATA_EXCEPTION &&
			category != ERRCODE_FEATURE_NOT_SUPPORTED &&
			category != ERRCODE_PROGRAM_LIMIT_EXCEEDED &&
			category != ERRCODE_TO_CATEGORY(ERRCODE_UNDEFINED_OBJECT))
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
	return n;
}

/*
 * What a condition says of a document, with these variables.  A comparison of
 * values of different types gives null, and so does what is built on it.
 */
ConditionResult
leadscore_condition(JsonPath *path, Jsonb *doc, Jsonb *vars)
{
	JsonbValue	item;
	int			n = run_path(path, doc, vars, &item);

	if (n == 1 && item.type == jbvNull)
		return CONDITION_UNKNOWN;
	if (n == 1 && item.type == jbvBool)
		return item.val.boolean ? CONDITION_HOLDS : CONDITION_FAILS;
	return n > 0 ? CONDITION_HOLDS : CONDITION_FAILS;
}

/* Does a condition hold for a document, with these variables? */
bool
leadscore_condition_holds(JsonPath *path, Jsonb *doc, Jsonb *vars)
{
	return leadscore_condition(path, doc, vars) == CONDITION_HOLDS;
}

/* Does a path give a number, and nothing else, as a quantity is to? */
bool
leadscore_is_number(JsonPath *path, Jsonb *doc, Jsonb *vars)
{
	JsonbValue	item;

	return run_path(path, doc, vars, &item) == 1 && item.type == jbvNumeric;
}

/* The count that a quantity gives: a whole number from 0 to MAX_COUNT */
int64
leadscore_quantity(JsonPath *path, Jsonb *doc, Jsonb *vars)
{
	JsonbValue	item;
	Datum		limit;
	Datum		number;

	if (run_path(path, doc, vars, &item) != 1 || item.type != jbvNumeric)
		return 0;
	limit = NumericGetDatum(int64_to_numeric(MAX_COUNT));
	number = NumericGetDatum(item.val.numeric);
	number = DirectFunctionCall2(numeric_smaller, number, limit);
	number = DirectFunctionCall2(numeric_larger, number,
								 NumericGetDatum(int64_to_numeric(0)));
	/* numeric_int8 rounds to nearest, halves away from zero */
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, number));
}

/* Text in UTF-8, so that it is the same in every database; as it is if it has no UTF-8 */
static void
text_as_utf8(char **text, int *len)
{
	int			encoding = GetDatabaseEncoding();
	Oid			conversion;
	Size		room = (Size) *len * MAX_CONVERSION_GROWTH + 1;
	char	   *converted;

	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII)
		return;
	conversion = FindDefaultConversionProc(encoding, PG_UTF8);
	if (!OidIsValid(conversion))
		return;
	converted = palloc(room);
	if (pg_do_encoding_conversion_buf(conversion, encoding, PG_UTF8, (unsigned char *) *text, *len,
									  (unsigned char *) converted, room, true) == *len)
	{
		*text = converted;
		*len = strlen(converted);
	}
}

/*
 * 64 bits of the SHA-256 of a text.  Values are told apart by them, so that an
 * activity holds no text: of a million values two are the same with a
 * probability of 1 to 37 million.  Every machine and version has this hash, and
 * SQL too: the first 8 bytes of sha256(convert_to(text, 'UTF8')).  0 is no value.
 */
uint64
leadscore_text_hash(char *text, int len)
{
	bytea	   *bytes;
	bytea	   *digest;
	uint64		hash = 0;
	int			i;

	text_as_utf8(&text, &len);
	bytes = (bytea *) cstring_to_text_with_len(text, len);
	digest = DatumGetByteaPP(DirectFunctionCall1(sha256_bytea, PointerGetDatum(bytes)));
	for (i = 0; i < 8; i++)
		hash = hash << 8 | (unsigned char) VARDATA_ANY(digest)[i];
	return hash == 0 ? 1 : hash;
}

/*
 * The value that a path gives, as the hash of its text; 0 unless it gives one
 * string, number or boolean.  Numbers that are equal are one value.
 */
uint64
leadscore_distinct_value(JsonPath *path, Jsonb *doc, Jsonb *vars)
{
	JsonbValue	item;
	char	   *number;

	if (run_path(path, doc, vars, &item) != 1)
		return 0;
	switch (item.type)
	{
		case jbvString:
			return leadscore_text_hash(item.val.string.val, item.val.string.len);
		case jbvNumeric:
			number = numeric_normalize(item.val.numeric);
			return leadscore_text_hash(number, strlen(number));
		case jbvBool:
			return item.val.boolean ? leadscore_text_hash("true", 4) : leadscore_text_hash("false", 5);
		default:
			return 0;
	}
}

/* Gather the variables of a path from an item on, and of what is inside. */
static void
walk_path(JsonPathItem *item, List **names)
{
	JsonPathItem part;
	JsonPathItem to;
	char	   *name;
	int32		length;
	int			i;

	check_stack_depth();
	switch (item->type)
	{
		case jpiVariable:
			name = jspGetString(item, &length);
			*names = lappend(*names, pnstrdup(name, length));
			break;
		case jpiAnd:
		case jpiOr:
		case jpiEqual:
		case jpiNotEqual:
		case jpiLess:
		case jpiGreater:
		case jpiLessOrEqual:
		case jpiGreaterOrEqual:
		case jpiAdd:
		case jpiSub:
		case jpiMul:
		case jpiDiv:
		case jpiMod:
		case jpiStartsWith:
			jspGetLeftArg(item, &part);
			walk_path(&part, names);
			jspGetRightArg(item, &part);
			walk_path(&part, names);
			break;
		case jpiNot:
		case jpiIsUnknown:
		case jpiExists:
		case jpiFilter:
		case jpiPlus:
		case jpiMinus:
			jspGetArg(item, &part);
			walk_path(&part, names);
			break;
		case jpiLikeRegex:
			jspInitByBuffer(&part, item->base, item->content.like_regex.expr);
			walk_path(&part, names);
			break;
		case jpiIndexArray:
			for (i = 0; i < item->content.array.nelems; i++)
			{
				bool		range = jspGetArraySubscript(item, &part, &to, i);

				walk_path(&part, names);
				if (range)
					walk_path(&to, names);
			}
			break;
		default:
			/* the others have no argument, or literals */
			break;
	}
	if (jspGetNext(item, &part))
		walk_path(&part, names);
}

/* The variables that a path names, some perhaps more than once */
List *
leadscore_path_variables(JsonPath *path)
{
	JsonPathItem root;
	List	   *names = NIL;

	jspInit(&root, path);
	walk_path(&root, &names);
	return names;
}

/* Is a name among some? */
bool
leadscore_is_named(const List *names, const char *name)
{
	ListCell   *lc;

	foreach(lc, names)
		if (strcmp(lfirst(lc), name) == 0)
		return true;
	return false;
}
