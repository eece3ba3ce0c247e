/*-------------------------------------------------------------------------
 *
 * month.c
 *		The month of an instant in a time zone.
 *
 * Views group millions of instants by month.  date_trunc() takes most of the
 * time then, as it looks at the rules of the zone each time, but only near
 * the ends of a month do these matter.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(leadscore_month_start);

/* The years 1 to 9999, in every time zone: see is_dated() */
#define FIRST_DATED ((date2j(1, 1, 3) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY)
#define END_DATED	((date2j(9999, 12, 30) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY)

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
