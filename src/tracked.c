/*-------------------------------------------------------------------------
 *
 * tracked.c
 *		Rows of an app's table read as events or as leads.
 *
 * A definition names columns and holds no SQL.  Its columns are looked up in
 * the table each time, so that one that was dropped, renamed or given another
 * type is noticed.  Only types whose output is C code are read: nothing that
 * the owner of the table wrote runs here, where the pipeline's owner acts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "pgtime.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/datum.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "tracked.h"

/* Is the output function of a type one that only a superuser can have made? */
static bool
has_safe_output(Oid type)
{
	Oid			output;
	bool		varlena;
	HeapTuple	tuple;
	Oid			language;

	getTypeOutputInfo(type, &output, &varlena);
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(output));
	if (!HeapTupleIsValid(tuple))
		return false;
	language = ((Form_pg_proc) GETSTRUCT(tuple))->prolang;
	ReleaseSysCache(tuple);
	return language == INTERNALlanguageId || language == ClanguageId;
}

/* What can be made of a type */
static ColumnFamily
family_of(Oid type)
{
	switch (type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case NUMERICOID:
		case FLOAT4OID:
		case FLOAT8OID:
			return FAMILY_NUMBER;
		case BOOLOID:
			return FAMILY_BOOLEAN;
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return FAMILY_TIME;
		case JSONOID:
		case JSONBOID:
			return FAMILY_JSON;
		case UUIDOID:
			return FAMILY_TEXT;
	}
	if (OidIsValid(get_element_type(type)))
		return FAMILY_ARRAY;
	if (get_typtype(type) == TYPTYPE_ENUM)
		return FAMILY_TEXT;
	if (get_typtype(type) == TYPTYPE_BASE)
	{
		char		category;
		bool		preferred;

		get_type_category_preferred(type, &category, &preferred);
		if (category == TYPCATEGORY_STRING && has_safe_output(type))
			return FAMILY_TEXT;
	}
	return FAMILY_NONE;
}

/* Prepare a column of a type. */
static void
bind_type(TrackedColumn *column, Oid type)
{
	Oid			output;
	bool		varlena;

	column->type = getBaseType(type);
	column->family = family_of(column->type);
	if (column->family == FAMILY_NONE)
		return;
	getTypeOutputInfo(column->type, &output, &varlena);
	fmgr_info(output, &column->output);
	if (column->family == FAMILY_ARRAY)
	{
		column->element = palloc0(sizeof(TrackedColumn));
		column->element->name = column->name;
		bind_type(column->element, get_element_type(column->type));
		if (column->element->family == FAMILY_NONE || column->element->family == FAMILY_ARRAY)
			column->family = FAMILY_NONE;
	}
}

/* Note a problem of a definition, unless there is one already. */
static void
note_problem(TrackedTable *table, char *problem)
{
	if (table->problem == NULL)
		table->problem = problem;
}

#define FAMILY_BIT(family)	(1 << (family))
#define ANY_TEXT	(FAMILY_BIT(FAMILY_TEXT))
#define ANY_NAME	(FAMILY_BIT(FAMILY_TEXT) | FAMILY_BIT(FAMILY_NUMBER))
#define ANY_TIME	(FAMILY_BIT(FAMILY_TIME))
#define ANY_NUMBER	(FAMILY_BIT(FAMILY_NUMBER))
#define ANY_SCALAR	(ANY_NAME | ANY_TIME | FAMILY_BIT(FAMILY_BOOLEAN))
#define ANY_VALUE	(ANY_SCALAR | FAMILY_BIT(FAMILY_JSON) | FAMILY_BIT(FAMILY_ARRAY))

/* Find a column of the table, whose type must be of some families. */
static void
bind_column(TrackedTable *table, TrackedColumn *column, char *name, const RowType *rel, int families,
			const char *wanted)
{
	TupleDesc	desc = rel->desc;
	int			i;

	memset(column, 0, sizeof(TrackedColumn));
	if (name == NULL)
		return;
	column->name = name;
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped || strcmp(NameStr(att->attname), name) != 0)
			continue;
		column->attnum = att->attnum;
		bind_type(column, att->atttypid);
		if ((FAMILY_BIT(column->family) & families) == 0)
			note_problem(table, psprintf("column \"%s\" of table \"%s\" has type %s, which is not %s", name,
										 rel->name, format_type_be(att->atttypid), wanted));
		return;
	}
	note_problem(table, psprintf("column \"%s\" of table \"%s\" does not exist", name,
								 rel->name));
}

/* A list of columns */
static TrackedColumn *
bind_columns(TrackedTable *table, Datum names, bool isnull, const RowType *rel, int families,
			 const char *wanted, int *n)
{
	Datum	   *items;
	bool	   *nulls;
	TrackedColumn *columns;
	int			i;

	*n = 0;
	if (isnull)
		return NULL;
	deconstruct_array(DatumGetArrayTypeP(names), TEXTOID, -1, false, TYPALIGN_INT, &items, &nulls, n);
	columns = palloc0(sizeof(TrackedColumn) * (*n + 1));
	for (i = 0; i < *n; i++)
		bind_column(table, &columns[i], nulls[i] ? pstrdup("") : TextDatumGetCString(items[i]),
					rel, families, wanted);
	return columns;
}

/* Is a value of only_if one that the column can have? */
static bool
fits(const TrackedColumn *column, const JsonbValue *value)
{
	if (value->type == jbvNull)
		return true;
	switch (column->family)
	{
		case FAMILY_NUMBER:
			return value->type == jbvNumeric;
		case FAMILY_BOOLEAN:
			return value->type == jbvBool;
		default:
			return value->type == jbvString;
	}
}

/* Read only_if: an object of columns, each with a value or an array of them. */
static void
bind_conditions(TrackedTable *table, Jsonb *only_if, const RowType *rel)
{
	JsonbIterator *iterator = JsonbIteratorInit(&only_if->root);
	TrackedCondition *condition = NULL;
	JsonbIteratorToken token;
	JsonbValue	value;
	int			depth = 0;

	table->conditions = palloc0(sizeof(TrackedCondition) * (JB_ROOT_COUNT(only_if) + 1));
	while ((token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
	{
		if (token == WJB_BEGIN_OBJECT || token == WJB_BEGIN_ARRAY)
			depth++;
		if (token == WJB_END_OBJECT || token == WJB_END_ARRAY)
			depth--;
		if (depth > 2 || (depth == 2 && token == WJB_BEGIN_OBJECT) || (depth == 1 && token == WJB_BEGIN_ARRAY))
		{
			note_problem(table, pstrdup("only_if is not an object of columns, each with a value or an array of values"));
			return;
		}
		if (token == WJB_KEY)
		{
			condition = &table->conditions[table->nconditions++];
			condition->values = palloc0(sizeof(Jsonb *) * (JB_ROOT_COUNT(only_if) + 1));
			bind_column(table, &condition->column, pnstrdup(value.val.string.val, value.val.string.len),
						rel, ANY_SCALAR, "one that can be compared with a value of JSON");
		}
		else if (condition && (token == WJB_VALUE || token == WJB_ELEM))
		{
			condition->values = repalloc(condition->values, sizeof(Jsonb *) * (condition->n + 1));
			condition->values[condition->n++] = JsonbValueToJsonb(&value);
			if (!fits(&condition->column, &value))
				note_problem(table, psprintf("a value of only_if for column \"%s\" is not of its type",
											 condition->column.name));
		}
	}
}

/*
 * Read a row of tracked_table, of which SPI has the columns TRACKED_COLUMNS,
 * for a table.
 */
TrackedTable *
leadscore_tracked_read(HeapTuple tuple, TupleDesc desc, const RowType *rel)
{
	TrackedTable *table = palloc0(sizeof(TrackedTable));
	char	   *strings[18];
	Datum		value;
	bool		isnull;
	int			i;

	for (i = 0; i < lengthof(strings); i++)
		strings[i] = SPI_getvalue(tuple, desc, i + 1);
	table->definition = strings[0];
	table->makes_leads = strcmp(strings[1], "leads") == 0;
	bind_column(table, &table->lead, strings[2], rel, ANY_NAME, "a text, a number or a uuid");
	if (strings[3])
		table->kind = cstring_to_text(strings[3]);
	bind_column(table, &table->kind_column, strings[4], rel, ANY_TEXT, "a text");
	bind_column(table, &table->occurred_at, strings[5], rel, ANY_TIME, "a date or a time");
	bind_column(table, &table->value, strings[6], rel, ANY_NUMBER, "a number");
	bind_column(table, &table->channel, strings[7], rel, ANY_TEXT, "a text");
	bind_column(table, &table->campaign, strings[8], rel, ANY_TEXT, "a text");
	bind_column(table, &table->email, strings[9], rel, ANY_TEXT, "a text");
	bind_column(table, &table->consent, strings[10], rel, ANY_TIME | FAMILY_BIT(FAMILY_BOOLEAN),
				"a boolean, a date or a time");
	bind_column(table, &table->created_at, strings[11], rel, ANY_TIME, "a date or a time");
	value = SPI_getbinval(tuple, desc, 13, &isnull);
	table->keys = bind_columns(table, value, isnull, rel, ANY_SCALAR, "one that names a row", &table->nkeys);
	for (i = 0; i < table->nkeys; i++)
		if (table->keys[i].type == FLOAT4OID || table->keys[i].type == FLOAT8OID)
			note_problem(table, psprintf("column \"%s\" of table \"%s\" cannot name a row because its numbers are not exact",
										 table->keys[i].name, rel->name));
	value = SPI_getbinval(tuple, desc, 14, &isnull);
	table->properties = bind_columns(table, value, isnull, rel, ANY_VALUE,
									 "one that can be read as JSON", &table->nproperties);
	value = SPI_getbinval(tuple, desc, 15, &isnull);
	table->aliases = bind_columns(table, value, isnull, rel, ANY_NAME,
								  "a text, a number or a uuid", &table->naliases);
	value = SPI_getbinval(tuple, desc, 16, &isnull);
	if (!isnull)
		bind_conditions(table, DatumGetJsonbP(value), rel);
	table->keeps = strcmp(strings[16], "keep") == 0;
	table->zone = pg_tzset(strings[17]);
	if (table->zone == NULL)
		note_problem(table, psprintf("time zone \"%s\" is not known", strings[17]));
	return table;
}

/* A datum as a string, by its type's output; a number whatever extra_float_digits is */
static char *
output(const TrackedColumn *column, Datum value)
{
	char		buffer[DOUBLE_SHORTEST_DECIMAL_LEN];

	StaticAssertStmt(FLOAT_SHORTEST_DECIMAL_LEN <= DOUBLE_SHORTEST_DECIMAL_LEN, "a buffer for both");
	switch (column->type)
	{
		case FLOAT4OID:
			float_to_shortest_decimal_buf(DatumGetFloat4(value), buffer);
			return pstrdup(buffer);
		case FLOAT8OID:
			double_to_shortest_decimal_buf(DatumGetFloat8(value), buffer);
			return pstrdup(buffer);
		default:
			return OutputFunctionCall(unconstify(FmgrInfo *, &column->output), value);
	}
}

/* A time as JSON has it, whatever DateStyle and the zone of the session */
static char *
time_string(const TrackedColumn *column, Datum value)
{
	char		buffer[MAXDATELEN + 1];
	int			utc = 0;

	JsonEncodeDateTime(buffer, value, column->type, column->type == TIMESTAMPTZOID ? &utc : NULL);
	return pstrdup(buffer);
}

/* A number for numeric; false if it is none, as NaN */
static bool
number_of(Oid type, Datum value, Datum *number)
{
	switch (type)
	{
		case INT2OID:
			*number = DirectFunctionCall1(int2_numeric, value);
			return true;
		case INT4OID:
			*number = DirectFunctionCall1(int4_numeric, value);
			return true;
		case INT8OID:
			*number = DirectFunctionCall1(int8_numeric, value);
			return true;
		case FLOAT4OID:
			*number = DirectFunctionCall1(float4_numeric, value);
			break;
		case FLOAT8OID:
			*number = DirectFunctionCall1(float8_numeric, value);
			break;
		default:
			*number = PointerGetDatum(PG_DETOAST_DATUM(value));
			break;
	}
	return !numeric_is_nan(DatumGetNumeric(*number)) && !numeric_is_inf(DatumGetNumeric(*number));
}

/* The value of a column as a number; false if there is none */
bool
leadscore_tracked_number(const TrackedColumn *column, TupleTableSlot *slot, Datum *number)
{
	bool		isnull;
	Datum		value;

	if (column->name == NULL)
		return false;
	value = slot_getattr(slot, column->attnum, &isnull);
	if (isnull || !number_of(column->type, value, number))
		return false;
	if (column->type == NUMERICOID)
		*number = datumCopy(*number, false, -1);
	return true;
}

/* The value of a column as text; NULL if there is none */
text *
leadscore_tracked_text(const TrackedColumn *column, TupleTableSlot *slot)
{
	bool		isnull;
	Datum		value;

	if (column->name == NULL)
		return NULL;
	value = slot_getattr(slot, column->attnum, &isnull);
	if (isnull)
		return NULL;
	/* the row is gone when the next one is read */
	if (column->type == TEXTOID || column->type == VARCHAROID)
		return DatumGetTextPCopy(value);
	return cstring_to_text(output(column, value));
}

/* The value of a column as an instant; false if there is none */
bool
leadscore_tracked_instant(const TrackedTable *table, const TrackedColumn *column,
						  TupleTableSlot *slot, TimestampTz *instant)
{
	Timestamp	local;
	bool		isnull;
	Datum		value;
	struct pg_tm tm;
	fsec_t		fsec;
	int			zone;
	int			overflow = 0;

	if (column->name == NULL)
		return false;
	value = slot_getattr(slot, column->attnum, &isnull);
	if (isnull)
		return false;
	if (column->type == TIMESTAMPTZOID)
	{
		*instant = DatumGetTimestampTz(value);
		return true;
	}
	local = column->type == DATEOID ? date2timestamp_opt_overflow(DatumGetDateADT(value), &overflow) :
		DatumGetTimestamp(value);
	if (overflow != 0)
		return false;
	if (TIMESTAMP_NOT_FINITE(local))
	{
		*instant = local;
		return true;
	}
	if (timestamp2tm(local, NULL, &tm, &fsec, NULL, table->zone) != 0)
		return false;
	zone = DetermineTimeZoneOffset(&tm, table->zone);
	return tm2timestamp(&tm, fsec, &zone, instant) == 0 && IS_VALID_TIMESTAMP(*instant);
}

/* Read a document of type json; false if jsonb cannot hold it. */
static bool
read_json(char *string, Jsonb **result)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool valid = true;

	PG_TRY();
	{
		*result = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(string)));
	}
	PG_CATCH();
	{
		/* the input of jsonb touches nothing, so nothing is left behind */
		if (ERRCODE_TO_CATEGORY(geterrcode()) != ERRCODE_TO_CATEGORY(ERRCODE_DATA_EXCEPTION) &&
			ERRCODE_TO_CATEGORY(geterrcode()) != ERRCODE_TO_CATEGORY(ERRCODE_PROGRAM_LIMIT_EXCEEDED))
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
		valid = false;
	}
	PG_END_TRY();
	return valid;
}

/* Put a string into a value of JSON. */
static void
set_string(JsonbValue *json, char *string, int length)
{
	json->type = jbvString;
	json->val.string.val = string;
	json->val.string.len = length;
}

/* Push a datum as a value of JSON. */
static void
push_datum(const TrackedColumn *column, Datum value, bool isnull, JsonbIteratorToken token,
		   JsonbParseState **state)
{
	JsonbValue	json;
	Datum		number;
	char	   *string;

	json.type = jbvNull;
	if (isnull)
	{
		pushJsonbValue(state, token, &json);
		return;
	}
	switch (column->family)
	{
		case FAMILY_BOOLEAN:
			json.type = jbvBool;
			json.val.boolean = DatumGetBool(value);
			break;
		case FAMILY_NUMBER:
			if (number_of(column->type, value, &number))
			{
				json.type = jbvNumeric;
				json.val.numeric = DatumGetNumeric(number);
				break;
			}
			string = output(column, value);
			set_string(&json, string, strlen(string));
			break;
		case FAMILY_TIME:
			string = time_string(column, value);
			set_string(&json, string, strlen(string));
			break;
		case FAMILY_JSON:
			{
				Jsonb	   *document = NULL;

				if (column->type == JSONBOID)
					document = DatumGetJsonbP(value);
				else if (!read_json(output(column, value), &document))
					break;
				if (!JB_ROOT_IS_SCALAR(document))
				{
					json.type = jbvBinary;
					json.val.binary.data = &document->root;
					json.val.binary.len = VARSIZE_ANY_EXHDR(document);
				}
				else
					(void) JsonbExtractScalar(&document->root, &json);
				break;
			}
		case FAMILY_ARRAY:
			{
				ArrayType  *array = DatumGetArrayTypeP(value);
				int16		typlen;
				bool		typbyval;
				char		typalign;
				Datum	   *items;
				bool	   *nulls;
				int			n;
				int			i;

				get_typlenbyvalalign(ARR_ELEMTYPE(array), &typlen, &typbyval, &typalign);
				deconstruct_array(array, ARR_ELEMTYPE(array), typlen, typbyval, typalign,
								  &items, &nulls, &n);
				pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
				for (i = 0; i < n; i++)
					push_datum(column->element, items[i], nulls[i], WJB_ELEM, state);
				pushJsonbValue(state, WJB_END_ARRAY, NULL);
				return;
			}
		default:
			if (column->type == TEXTOID || column->type == VARCHAROID)
			{
				text	   *t = DatumGetTextPP(value);

				set_string(&json, VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t));
				break;
			}
			string = output(column, value);
			set_string(&json, string, strlen(string));
			break;
	}
	pushJsonbValue(state, token, &json);
}

/* Push a column as a member of an object; nothing if it is NULL. */
void
leadscore_tracked_push(const TrackedTable *table, const TrackedColumn *column,
					   TupleTableSlot *slot, JsonbParseState **state)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, column->attnum, &isnull);
	JsonbValue	key;

	if (isnull && !table->makes_leads)
		return;
	set_string(&key, column->name, strlen(column->name));
	pushJsonbValue(state, WJB_KEY, &key);
	push_datum(column, value, isnull, WJB_VALUE, state);
}

/* Does a row meet only_if? */
bool
leadscore_tracked_holds(const TrackedTable *table, TupleTableSlot *slot)
{
	int			i;
	int			j;

	for (i = 0; i < table->nconditions; i++)
	{
		const TrackedCondition *condition = &table->conditions[i];
		JsonbParseState *state = NULL;
		Jsonb	   *document;
		bool		isnull;
		Datum		value = slot_getattr(slot, condition->column.attnum, &isnull);

		pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
		push_datum(&condition->column, value, isnull, WJB_ELEM, &state);
		document = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
		for (j = 0; j < condition->n; j++)
		{
			JsonbValue *is = getIthJsonbValueFromContainer(&document->root, 0);
			JsonbValue	allowed;

			(void) JsonbExtractScalar(&condition->values[j]->root, &allowed);
			if (is->type != allowed.type)
				continue;
			if (is->type == jbvNull ||
				(is->type == jbvBool && is->val.boolean == allowed.val.boolean) ||
				(is->type == jbvNumeric &&
				 DatumGetBool(DirectFunctionCall2(numeric_eq, NumericGetDatum(is->val.numeric),
												  NumericGetDatum(allowed.val.numeric)))) ||
				(is->type == jbvString && is->val.string.len == allowed.val.string.len &&
				 memcmp(is->val.string.val, allowed.val.string.val, is->val.string.len) == 0))
				break;
		}
		if (j == condition->n)
			return false;
	}
	return true;
}

/* The key of a row as an array of texts, which its types read again */
Datum
leadscore_tracked_position(const TrackedTable *table, TupleTableSlot *slot)
{
	Datum	   *items = palloc(sizeof(Datum) * table->nkeys);
	int			i;

	for (i = 0; i < table->nkeys; i++)
	{
		bool		isnull;
		Datum		value = slot_getattr(slot, i + 1, &isnull);

		items[i] = CStringGetTextDatum(table->keys[i].family == FAMILY_TIME ?
									   time_string(&table->keys[i], value) :
									   output(&table->keys[i], value));
	}
	return PointerGetDatum(construct_array(items, table->nkeys, TEXTOID, -1, false, TYPALIGN_INT));
}

/* The source_id of a row: the definition and its key as JSON, orders:[42] */
text *
leadscore_tracked_key(const TrackedTable *table, TupleTableSlot *slot)
{
	StringInfoData key;
	text	   *result;
	int			i;

	initStringInfo(&key);
	appendStringInfoString(&key, table->definition);
	appendStringInfoString(&key, ":[");
	for (i = 0; i < table->nkeys; i++)
	{
		const TrackedColumn *column = &table->keys[i];
		bool		isnull;
		Datum		value = slot_getattr(slot, column->attnum, &isnull);

		if (i > 0)
			appendStringInfoChar(&key, ',');
		if (isnull)
			appendStringInfoString(&key, "null");
		else if (column->type == INT4OID)
			appendStringInfo(&key, "%d", DatumGetInt32(value));
		else if (column->type == INT8OID)
			appendStringInfo(&key, INT64_FORMAT, DatumGetInt64(value));
		else if (column->family == FAMILY_TIME)
			escape_json(&key, time_string(column, value));
		else if (column->family == FAMILY_NUMBER)
			appendStringInfoString(&key, output(column, value));
		else if (column->family == FAMILY_BOOLEAN)
			appendStringInfoString(&key, DatumGetBool(value) ? "true" : "false");
		else
			escape_json(&key, output(column, value));
	}
	appendStringInfoChar(&key, ']');
	result = cstring_to_text_with_len(key.data, key.len);
	pfree(key.data);
	return result;
}
