/*-------------------------------------------------------------------------
 *
 * report_support.c
 *		Functions that the views of a pipeline call, for which SQL would be too
 *		slow or the planner knows too little.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "parser/scansup.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "leadscore.h"
#include "lookup.h"
#include "shard.h"

PG_FUNCTION_INFO_V1(leadscore_dated);
PG_FUNCTION_INFO_V1(leadscore_dimension_points);
PG_FUNCTION_INFO_V1(leadscore_last_activity);
PG_FUNCTION_INFO_V1(leadscore_has_signal);
PG_FUNCTION_INFO_V1(leadscore_kinds_of);
PG_FUNCTION_INFO_V1(leadscore_iso_instant);
PG_FUNCTION_INFO_V1(leadscore_month_start);
PG_FUNCTION_INFO_V1(leadscore_page_name);
PG_FUNCTION_INFO_V1(leadscore_require_time_zone);
PG_FUNCTION_INFO_V1(leadscore_shows_all);
PG_FUNCTION_INFO_V1(leadscore_caller);

/* The years 1 to 9999, in every time zone: see is_dated() */
#define FIRST_DATED ((date2j(1, 1, 3) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY)
#define END_DATED	((date2j(9999, 12, 30) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY)

/* dated(at): an instant of the years 1 to 9999; NULL for any other */
Datum
leadscore_dated(PG_FUNCTION_ARGS)
{
	TimestampTz at = PG_GETARG_TIMESTAMPTZ(0);

	if (at < FIRST_DATED || at >= END_DATED)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(at);
}

/*
 * Values of an activity, one a row.  The same could be had from
 * dimension_scores() and unnest(), at the price of a set of rows for each lead
 * and of a join for the planner.
 */

/* The activity of an argument, read into memory of this call */
static void
read_activity(Datum value, ActivityList *list)
{
	leadscore_activity_read(DatumGetLeadActivityPP(value), list);
}

/*
 * dimension_points(activity, model, dimension, at): points of one dimension,
 * NULL if the model has none of this name
 */
Datum
leadscore_dimension_points(PG_FUNCTION_ARGS)
{
	ScorerCache *site = leadscore_scorer_cache(fcinfo, PG_GETARG_DATUM(1));
	LeadActivity *activity = PG_GETARG_LEAD_ACTIVITY_PP(0);
	text	   *name = PG_GETARG_TEXT_PP(2);
	const LeadModel *model = site->scorer->model;
	const ModelDimension *dimensions = model_dimensions(model);
	int			i;

	for (i = 0; i < model->dimensions.n; i++)
	{
		const char *dimension = MODEL_STRING(model, dimensions[i].name);

		if (strlen(dimension) == VARSIZE_ANY_EXHDR(name) &&
			memcmp(dimension, VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name)) == 0)
			break;
	}
	if (i == model->dimensions.n)
		PG_RETURN_NULL();
	site = leadscore_scorer_cache_score(site, activity, PG_GETARG_TIMESTAMPTZ(3));
	PG_FREE_IF_COPY(activity, 0);
	PG_RETURN_FLOAT8(site->evaluation->dimensions[i] / 1000.0);
}

/* Is a signal one of an array of int4 without nulls? */
static bool
is_one_of(ArrayType *signals, int32 signal)
{
	const int32 *items = (const int32 *) ARR_DATA_PTR(signals);
	int			n = ArrayGetNItems(ARR_NDIM(signals), ARR_DIMS(signals));
	int			i;

	for (i = 0; i < n; i++)
		if (items[i] == signal)
			return true;
	return false;
}

/*
 * last_activity(activity, at, besides): the start of the newest bucket up to at
 * with an event that counts, NULL if there is none.  Signals of besides are what
 * we did, and signal 0 is counted by the engine.
 */
Datum
leadscore_last_activity(PG_FUNCTION_ARGS)
{
	LeadActivity *activity = PG_GETARG_LEAD_ACTIVITY_PP(0);
	const ActivityList *list = leadscore_scorer_cache_known(activity);
	ActivityList decoded;
	ArrayType  *besides = PG_GETARG_ARRAYTYPE_P(2);
	int32		newest = BUCKET_TIMELESS;
	int32		limit;
	int			i;

	if (array_contains_nulls(besides))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("signals must not be null"),
				 errhint("Leave them out of the array.")));
	if (list == NULL)
	{
		leadscore_activity_read(activity, &decoded);
		list = &decoded;
	}
	limit = bucket_of(PG_GETARG_TIMESTAMPTZ(1), list->grain);
	for (i = 0; i < list->nitems; i++)
	{
		const ActivityItem *item = &list->items[i];

		if (item->signal > 0 && item->count > 0 && item->bucket != BUCKET_TIMELESS &&
			item->bucket <= limit && (newest == BUCKET_TIMELESS || item->bucket > newest) &&
			!is_one_of(besides, item->signal))
			newest = item->bucket;
	}
	if (newest == BUCKET_TIMELESS)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(bucket_start(newest, list->grain));
}

/* has_signal(activity, signal_id): was it counted, in whatever bucket? */
Datum
leadscore_has_signal(PG_FUNCTION_ARGS)
{
	ActivityList list;
	int32		signal = PG_GETARG_INT32(1);
	int			i;

	read_activity(PG_GETARG_DATUM(0), &list);
	for (i = 0; i < list.nitems; i++)
	{
		if (list.items[i].signal == signal && list.items[i].count > 0)
			PG_RETURN_BOOL(true);
	}
	PG_RETURN_BOOL(false);
}

/*
 * The kinds of events that have a role, as a constant for the planner.
 *
 * Metrics views look for events by their role.  A subquery for the kinds would
 * do, but the planner knows nothing of its result and takes half of all events
 * for purchases.  It computes a stable function of constants beforehand,
 * though, and so has the statistics of just these kinds.  While the query runs
 * the kinds are read once; of a distributed pipeline from the copy on this
 * node, for queries inside of distributed ones are refused.
 */
Datum
leadscore_read_kinds(Oid event_kind, Datum roles, MemoryContext context)
{
	Oid			copy = leadscore_reference_copy(event_kind);
	Oid			table = OidIsValid(copy) ? copy : event_kind;
	char	   *schema = get_namespace_name(get_rel_namespace(table));
	char	   *name = get_rel_name(table);
	const char *sql;
	Oid			type = TEXTARRAYOID;
	Datum		kinds;
	bool		isnull;

	if (name == NULL || schema == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", event_kind)));
	sql = psprintf("SELECT coalesce(pg_catalog.array_agg(kind::pg_catalog.text), '{}') FROM %s"
				   " WHERE role OPERATOR(pg_catalog.=) ANY ($1)",
				   quote_qualified_identifier(schema, name));
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args(sql, 1, &type, &roles, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read \"%s\"", name);
	kinds = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	MemoryContextSwitchTo(context);
	kinds = PointerGetDatum(PG_DETOAST_DATUM_COPY(kinds));
	SPI_finish();
	return kinds;
}

/*
 * What the call site of a function knows of some roles.  It is what the present
 * snapshot sees: in PL/pgSQL a call site is used again by later statements, with
 * other values of variables, and sees what was written meanwhile.
 */
RolesSite *
leadscore_roles_site(FunctionCallInfo fcinfo, Oid object, ArrayType *roles)
{
	RolesSite  *site = fcinfo->flinfo->fn_extra;
	Snapshot	snapshot = GetActiveSnapshot();
	MemoryContext oldcontext;

	if (site == NULL)
	{
		site = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(RolesSite));
		site->context = AllocSetContextCreate(fcinfo->flinfo->fn_mcxt, "leadscore roles",
											  ALLOCSET_SMALL_SIZES);
		fcinfo->flinfo->fn_extra = site;
	}
	if (site->answer != NULL && site->object == object && VARSIZE(site->roles) == VARSIZE(roles) &&
		memcmp(site->roles, roles, VARSIZE(roles)) == 0 && leadscore_same_view(&site->seen, snapshot))
		return site;
	/* this may fail, and code that catches the error may call again */
	site->answer = NULL;
	MemoryContextReset(site->context);
	oldcontext = MemoryContextSwitchTo(site->context);
	site->object = object;
	site->roles = (ArrayType *) PG_DETOAST_DATUM_COPY(PointerGetDatum(roles));
	site->seen = *snapshot;
	MemoryContextSwitchTo(oldcontext);
	return site;
}

/*
 * kinds_of(event_kind regclass, VARIADIC roles text[]) returns text[]
 *
 * The kinds that have one of the roles, {} if there are none.
 */
Datum
leadscore_kinds_of(PG_FUNCTION_ARGS)
{
	ArrayType  *roles = PG_GETARG_ARRAYTYPE_P(1);
	RolesSite  *site = leadscore_roles_site(fcinfo, PG_GETARG_OID(0), roles);

	if (site->answer == NULL)
		site->answer = DatumGetPointer(leadscore_read_kinds(site->object, PointerGetDatum(roles), site->context));
	/* of arguments that change, the next row may free the answer */
	if (get_fn_expr_arg_stable(fcinfo->flinfo, 0) && get_fn_expr_arg_stable(fcinfo->flinfo, 1))
		PG_RETURN_POINTER(site->answer);
	PG_RETURN_POINTER(PG_DETOAST_DATUM_COPY(PointerGetDatum(site->answer)));
}

/* The date of a timestamp, and the day's number in its month */
static void
split_timestamp(Timestamp at, int *year, int *month, int *day)
{
	int64		days = at / USECS_PER_DAY;

	if (at < days * USECS_PER_DAY)
		days--;
	j2date((int) days + POSTGRES_EPOCH_JDATE, year, month, day);
}

/*
 * month_start(at, time_zone): views group millions of instants by month.
 * date_trunc() takes most of the time then, as it looks at the rules of the
 * zone each time, but only near the ends of a month do these matter.
 *
 * The first day of the month in which an instant falls; NULL outside the years
 * 1 to 9999, where adding a time zone or a month could leave the range of dates.
 * No zone is farther than 16 hours from UTC, so from the 3rd to the 26th the
 * month is the same everywhere.
 */
Datum
leadscore_month_start(PG_FUNCTION_ARGS)
{
	TimestampTz at = PG_GETARG_TIMESTAMPTZ(0);
	int			year;
	int			month;
	int			day;

	if (at < FIRST_DATED || at >= END_DATED)
		PG_RETURN_NULL();
	split_timestamp(at, &year, &month, &day);
	if (day < 3 || day > 26)
		split_timestamp(DatumGetTimestamp(DirectFunctionCall2(timestamptz_zone,
															  PG_GETARG_DATUM(1),
															  TimestampTzGetDatum(at))),
						&year, &month, &day);
	PG_RETURN_DATEADT(date2j(year, month, 1) - POSTGRES_EPOCH_JDATE);
}

/* require_time_zone(time_zone): the time zone, or an error that says where to find names */
Datum
leadscore_require_time_zone(PG_FUNCTION_ARGS)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool known = true;

	PG_TRY();
	{
		(void) DirectFunctionCall2(timestamptz_zone, PG_GETARG_DATUM(0), TimestampTzGetDatum(0));
	}
	PG_CATCH();
	{
		/* looking for a time zone touches nothing, so nothing is left behind */
		if (geterrcode() != ERRCODE_INVALID_PARAMETER_VALUE)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
		known = false;
	}
	PG_END_TRY();
	if (!known)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" not recognized", TextDatumGetCString(PG_GETARG_DATUM(0))),
				 errhint("Pass a name from pg_timezone_names, such as UTC, Europe/Berlin or America/New_York.")));
	PG_RETURN_DATUM(PG_GETARG_DATUM(0));
}

/* Read a number of so many digits that is not greater than most; false: there is none. */
static bool
read_digits(const char **at, const char *end, int digits, int most, int *number)
{
	*number = 0;
	for (; digits > 0; digits--, (*at)++)
	{
		if (*at >= end || **at < '0' || **at > '9')
			return false;
		*number = *number * 10 + (**at - '0');
	}
	return *number <= most;
}

/* Skip one of these characters; false: there is none of them. */
static bool
skip_one(const char **at, const char *end, const char *any)
{
	if (*at >= end || **at == '\0' || strchr(any, **at) == NULL)
		return false;
	(*at)++;
	return true;
}

/*
 * Read a date of ISO 8601, perhaps with a time, perhaps with an offset from
 * UTC.  All of it by hand: PostgreSQL's own parser raises errors, depends on
 * DateStyle, and knows words such as "tomorrow".
 */
static bool
read_iso_instant(const char *at, const char *end, Timestamp *instant, bool *zoned)
{
	int			year;
	int			month;
	int			day;
	int			hour = 0;
	int			minute = 0;
	int			second = 0;
	int64		micros = 0;
	int64		offset = 0;
	int			unit = (int) USECS_PER_SEC;

	*zoned = false;
	if (!read_digits(&at, end, 4, 9999, &year) || year == 0 || !skip_one(&at, end, "-") ||
		!read_digits(&at, end, 2, MONTHS_PER_YEAR, &month) || month == 0 || !skip_one(&at, end, "-") ||
		!read_digits(&at, end, 2, day_tab[isleap(year)][month - 1], &day) || day == 0)
		return false;
	if (skip_one(&at, end, "T "))
	{
		if (!read_digits(&at, end, 2, HOURS_PER_DAY - 1, &hour) || !skip_one(&at, end, ":") ||
			!read_digits(&at, end, 2, MINS_PER_HOUR - 1, &minute))
			return false;
		if (skip_one(&at, end, ":"))
		{
			if (!read_digits(&at, end, 2, SECS_PER_MINUTE - 1, &second))
				return false;
			if (skip_one(&at, end, "."))
			{
				int			digit;

				do
				{
					if (!read_digits(&at, end, 1, 9, &digit))
						return false;
					unit /= 10;
					micros += (int64) digit * unit;
				} while (at < end && *at >= '0' && *at <= '9');
			}
		}
		(void) skip_one(&at, end, " ");
		if (skip_one(&at, end, "Z"))
			*zoned = true;
		else if (at < end && (*at == '+' || *at == '-'))
		{
			int			sign = *at++ == '-' ? -1 : 1;
			int			hours;
			int			minutes = 0;

			if (!read_digits(&at, end, 2, MAX_TZDISP_HOUR, &hours))
				return false;
			if (at < end)
			{
				(void) skip_one(&at, end, ":");
				if (!read_digits(&at, end, 2, MINS_PER_HOUR - 1, &minutes))
					return false;
			}
			*zoned = true;
			offset = sign * ((int64) hours * USECS_PER_HOUR + (int64) minutes * USECS_PER_MINUTE);
		}
	}
	if (at != end)
		return false;
	*instant = (Timestamp) (date2j(year, month, day) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY +
		(int64) hour * USECS_PER_HOUR + (int64) minute * USECS_PER_MINUTE + (int64) second * USECS_PER_SEC + micros - offset;
	return true;
}

/*
 * iso_instant(value, time_zone): an instant that an app wrote into a text, NULL
 * if it is none.  Apps write anything, and a view must not fail.
 */
Datum
leadscore_iso_instant(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);
	Timestamp	instant;
	bool		zoned;

	if (!read_iso_instant(VARDATA_ANY(value), VARDATA_ANY(value) + VARSIZE_ANY_EXHDR(value), &instant, &zoned))
		PG_RETURN_NULL();
	if (!zoned)
		instant = DatumGetTimestampTz(DirectFunctionCall2(timestamp_zone, PG_GETARG_DATUM(1),
														  TimestampGetDatum(instant)));
	if (instant < FIRST_DATED || instant >= END_DATED)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(instant);
}

/*
 * shows_all(relation): does row security leave all rows of a table to the role
 * that the session runs as?  row_security_active() judges by the current role,
 * which in functions that run as the pipeline's owner is the owner; but the
 * caller is to see their figures.
 */
Datum
leadscore_shows_all(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(check_enable_rls(PG_GETARG_OID(0), GetOuterUserId(), true) != RLS_ENABLED);
}

/* caller(): the role at work, for columns and properties that record it */
Datum
leadscore_caller(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(leadscore_caller_name());
}

/* Does text of some length end with a word? */
static inline bool
ends_with(const char *text, int len, const char *word)
{
	int			word_len = (int) strlen(word);

	return len >= word_len && memcmp(text +len - word_len, word, word_len) == 0;
}

/*
 * Bytes of a scheme and "//" at the beginning of an address, which a host
 * follows; 0 if there is none.  The address is in lower case.
 */
static int
scheme_length(const char *address, int len)
{
	int			i = 0;

	if (len > 0 && address[0] >= 'a' && address[0] <= 'z')
	{
		while (i < len && ((address[i] >= 'a' && address[i] <= 'z') ||
						   (address[i] >= '0' && address[i] <= '9') ||
						   strchr("+-.", address[i]) != NULL))
			i++;
		if (i == len || address[i] != ':')
			return 0;
		i++;
	}
	return len - i >= 2 && address[i] == '/' && address[i + 1] == '/' ? i + 2 : 0;
}

/*
 * page_name(page): one name for the addresses of one page, (none) if there is
 * none.  What is dropped never tells pages apart: scheme, user, "www.", usual
 * port, query, fragment, name of the index file, slashes at the end, and case.
 * Case of ASCII letters only, so that a name is the same under every locale.
 */
Datum
leadscore_page_name(PG_FUNCTION_ARGS)
{
	static const char *const index_files[] = {"index.html", "index.htm", "index.php"};
	text	   *result;
	char	   *name;
	int			len = 0;
	int			host;			/* where the host begins */
	int			path;			/* where the path begins */
	int			port;			/* bytes of a port that says nothing */
	int			i;

	if (PG_ARGISNULL(0))
		PG_RETURN_TEXT_P(cstring_to_text("(none)"));
	result = DatumGetTextPCopy(PG_GETARG_DATUM(0));
	name = VARDATA(result);
	while (len < VARSIZE(result) - VARHDRSZ && name[len] != '?' && name[len] != '#')
	{
		name[len] = (char) pg_ascii_tolower((unsigned char) name[len]);
		len++;
	}
	while (len > 0 && scanner_isspace(name[len - 1]))
		len--;
	while (len > 0 && scanner_isspace(name[0]))
	{
		name++;
		len--;
	}
	if (len == 0)
		PG_RETURN_TEXT_P(cstring_to_text("(none)"));

	host = scheme_length(name, len);
	path = host;
	if (host > 0)
	{
		while (path < len && name[path] != '/')
			path++;
		for (i = path; i > host; i--)
			if (name[i - 1] == '@')
				host = i;
		if (path - host > 4 && memcmp(name + host, "www.", 4) == 0)
			host += 4;
	}

	/* the path first, as it lies behind what is cut out of the host */
	for (i = 0; i < lengthof(index_files); i++)
		if (ends_with(name + path, len - path, index_files[i]))
		{
			int			rest = len - (int) strlen(index_files[i]);

			if (rest == path || name[rest - 1] == '/')
				len = rest;
			break;
		}
	while (len > path && name[len - 1] == '/')
		len--;
	port = ends_with(name + host, path - host, ":80") ? 3 :
		ends_with(name + host, path - host, ":443") ? 4 : 0;
	memmove(name + path - port, name + path, len - path);
	len -= port;
	if (len == host)
		PG_RETURN_TEXT_P(cstring_to_text("/"));
	PG_RETURN_TEXT_P(cstring_to_text_with_len(name + host, len - host));
}
