/*-------------------------------------------------------------------------
 *
 * model_row.c
 *		The values of one row of a model's JSON form.
 *
 * Each reader checks the type and the range of one value.  A mistake is a soft
 * error that names the row: the reader returns false, and its caller passes that
 * on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "compat.h"
#include "model_row.h"

/* Report a mistake in a row.  Returns false, for the caller to pass on. */
bool
lead_model_fail(ModelRow *row, const char *hint, const char *format,...)
{
	StringInfoData message;

	initStringInfo(&message);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, format);
		needed = appendStringInfoVA(&message, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&message, needed);
	}
	ereturn(row->escontext, false,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 row->name ?
			 errmsg("%s \"%s\": %s", row->kind, row->name, message.data) :
			 row->number > 0 ?
			 errmsg("%s, row %d: %s", row->kind, row->number, message.data) :
			 errmsg("%s: %s", row->kind, message.data),
			 errhint("%s", hint)));
}

/* "a, b, c" of a list of names, empty ones left out */
static char *
name_list(const char *const *names)
{
	StringInfoData list;

	initStringInfo(&list);
	for (; *names; names++)
		if (**names)
			appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "", *names);
	return list.data;
}

/* Find a key; absent and null are the same. */
JsonbValue *
lead_model_find(ModelRow *row, const char *key, JsonbValue *value)
{
	if (getKeyJsonValueFromContainer(row->object, key, strlen(key), value) == NULL ||
		value->type == jbvNull)
		return NULL;
	return value;
}

/* A string value, zero-terminated */
char *
lead_model_string(const JsonbValue *value)
{
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/* Refuse keys that mean nothing: they are slips of the pen. */
bool
lead_model_check_keys(ModelRow *row, const char *const *allowed)
{
	JsonbIterator *it = JsonbIteratorInit(row->object);
	JsonbValue	value;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		const char *const *key;
		char	   *name;

		if (token != WJB_KEY)
			continue;
		name = lead_model_string(&value);
		for (key = allowed; *key && strcmp(*key, name) != 0; key++)
			;
		if (*key == NULL)
			return lead_model_fail(row, psprintf("The keys are %s.", name_list(allowed)),
								   "unknown key \"%s\"", name);
	}
	return true;
}

/* Read a text, NULL if it is absent. */
bool
lead_model_read_text(ModelRow *row, const char *key, char **text)
{
	JsonbValue	buffer;
	JsonbValue *value = lead_model_find(row, key, &buffer);

	*text = NULL;
	if (value == NULL)
		return true;
	if (value->type != jbvString)
		return lead_model_fail(row, "Write it as a JSON string.", "\"%s\" must be a string", key);
	*text = lead_model_string(value);
	return true;
}

/* A name that must be there; it becomes the row's name in messages. */
bool
lead_model_read_name(ModelRow *row, const char *key, char **name)
{
	if (!lead_model_read_text(row, key, name))
		return false;
	if (*name == NULL || **name == '\0')
	{
		lead_model_fail(row, psprintf("Give every %s a name.", row->kind),
						"\"%s\" is missing or empty", key);
		return false;
	}
	row->name = *name;
	return true;
}

/* Read a boolean. */
bool
lead_model_read_bool(ModelRow *row, const char *key, bool dflt, uint8 *result)
{
	JsonbValue	buffer;
	JsonbValue *value = lead_model_find(row, key, &buffer);

	*result = dflt;
	if (value == NULL)
		return true;
	if (value->type != jbvBool)
		return lead_model_fail(row, "Write true or false.", "\"%s\" is not a boolean", key);
	*result = value->val.boolean;
	return true;
}

/*
 * A decimal number as thousandths, exactly; false if it has more than three
 * decimals or is larger than limit.
 */
bool
lead_model_parse_milli(const char *text, int64 limit, int64 *result)
{
	const char *s = text;
	bool		negative = *s == '-';
	int64		value = 0;
	int			decimals = -1;	/* digits after the point so far */

	if (negative)
		s++;
	for (; *s; s++)
	{
		if (*s == '.' && decimals < 0)
		{
			decimals = 0;
			continue;
		}
		if (*s < '0' || *s > '9')
			return false;
		if (decimals >= 3)
		{
			if (*s != '0')
				return false;
			continue;
		}
		value = value * 10 + (*s - '0');
		if (value > limit)
			return false;
		if (decimals >= 0)
			decimals++;
	}
	for (decimals = Max(decimals, 0); decimals < 3; decimals++)
	{
		value *= 10;
		if (value > limit)
			return false;
	}
	*result = negative ? -value : value;
	return true;
}

/* A number as thousandths; dflt if absent */
bool
lead_model_read_milli(ModelRow *row, const char *key, int64 dflt, int64 limit, int64 *result)
{
	JsonbValue	buffer;
	JsonbValue *value = lead_model_find(row, key, &buffer);
	char	   *text;

	*result = dflt;
	if (value == NULL)
		return true;
	if (value->type != jbvNumeric)
		return lead_model_fail(row, POINTS_HINT, "\"%s\" is not a number", key);
	text = DatumGetCString(DirectFunctionCall1(numeric_out,
											   NumericGetDatum(value->val.numeric)));

	if (!lead_model_parse_milli(text, limit, result))
		return lead_model_fail(row, POINTS_HINT,
							   "\"%s\" is out of range or has more than three decimals: %s",
							   key, text);
	return true;
}

/* A whole number from min to max; dflt if absent */
bool
lead_model_read_count(ModelRow *row, const char *key, int64 dflt, int64 min, int64 max,
					  int64 *result)
{
	int64		milli;

	if (!lead_model_read_milli(row, key, NO_POINTS, INT64CONST(1000) * PG_INT32_MAX, &milli))
		return false;
	*result = dflt;
	if (milli == NO_POINTS)
		return true;
	if (milli % 1000 != 0 || milli / 1000 < min || milli / 1000 > max)
		return lead_model_fail(row,
							   psprintf("Write a whole number from " INT64_FORMAT " to " INT64_FORMAT ".",
										min, max),
							   "\"%s\" is out of range", key);
	*result = milli / 1000;
	return true;
}

/* One of a list of names; dflt if absent */
bool
lead_model_read_choice(ModelRow *row, const char *key, const char *const *names, int dflt,
					   int *result)
{
	char	   *text;
	int			i;

	if (!lead_model_read_text(row, key, &text))
		return false;
	*result = dflt;
	if (text == NULL)
		return true;
	for (i = 0; names[i]; i++)
		if (*names[i] && strcmp(names[i], text) == 0)
		{
			*result = i;
			return true;
		}
	return lead_model_fail(row, psprintf("It is one of %s.", name_list(names)),
						   "unknown %s \"%s\"", key, text);
}

/*
 * A period such as "30 days" as a number of units of unit_minutes each; 0 if
 * absent.
 */
bool
lead_model_read_period(ModelRow *row, const char *key, int unit_minutes, int32 *result)
{
	static const struct
	{
		const char *name;
		int			minutes;
	}			units[] = {{"minute", 1}, {"hour", 60}, {"day", 1440}, {"week", 10080}};
	const char *hint = unit_minutes == 1440 ? "Write whole days, such as \"30 days\"." :
		unit_minutes == 60 ? "Write whole days or hours, such as \"36 hours\"." :
		"Write whole minutes, hours or days, such as \"60 minutes\".";
	char	   *text;
	char	   *end;
	long		number;
	int64		minutes = 0;
	int			i;

	*result = 0;
	if (!lead_model_read_text(row, key, &text))
		return false;
	if (text == NULL)
		return true;
	number = strtol(text, &end, 10);
	while (*end == ' ')
		end++;
	for (i = 0; i < (int) lengthof(units); i++)
	{
		size_t		len = strlen(units[i].name);

		if (strncmp(end, units[i].name, len) == 0 &&
			(end[len] == '\0' || strcmp(end + len, "s") == 0))
			minutes = units[i].minutes;
	}
	if (minutes == 0 || number <= 0 || number > PG_INT32_MAX)
		return lead_model_fail(row, hint, "invalid value for \"%s\": \"%s\"", key, text);
	minutes *= number;
	if (minutes % unit_minutes != 0 || minutes / unit_minutes >
		(unit_minutes == 1 ? PG_INT32_MAX : last_bucket(row->grain)))
		return lead_model_fail(row, hint, "\"%s\" does not fit the grain: \"%s\"", key, text);
	*result = (int32) (minutes / unit_minutes);
	return true;
}

/* Begin a list of rows: how many there are, and room for them */
bool
lead_model_read_rows(ModelRow *model, const char *key, JsonbContainer **rows, int *n,
					 Size size, void **array)
{
	JsonbValue	buffer;
	JsonbValue *value = lead_model_find(model, key, &buffer);

	*n = 0;
	*rows = NULL;
	*array = palloc0(size);
	if (value == NULL)
		return true;
	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
		return lead_model_fail(model, "Write a list of objects.", "\"%s\" is not a list", key);
	*rows = value->val.binary.data;
	*n = JsonContainerSize(*rows);
	if (*n > MAX_ROWS)
		return lead_model_fail(model, psprintf("A model holds at most %d of each.", MAX_ROWS),
							   "too many \"%s\"", key);
	*array = palloc0(size * (*n + 1));
	return true;
}

/* Row i of a list, which has its name at a key, and whose keys must be allowed */
bool
lead_model_begin_row(ModelRow *model, const char *kind, const char *name_key,
					 JsonbContainer *rows, int i, const char *const *allowed, ModelRow *row)
{
	JsonbValue *value = getIthJsonbValueFromContainer(rows, i);
	JsonbValue	name;

	row->c = model->c;
	row->escontext = model->escontext;
	row->grain = model->grain;
	row->kind = kind;
	row->name = NULL;
	row->number = i + 1;
	if (value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
		return lead_model_fail(row, "Write each row as an object.", "is not an object");
	row->object = value->val.binary.data;
	if (lead_model_find(row, name_key, &name) && name.type == jbvString && name.val.string.len > 0)
		row->name = lead_model_string(&name);
	return lead_model_check_keys(row, allowed);
}
