/*-------------------------------------------------------------------------
 *
 * calendar.h
 *		Buckets of time: whole UTC days or hours since 2000-01-01.
 *
 * Everything here is integer arithmetic on the proleptic Gregorian calendar,
 * so a score does not depend on a time zone, a locale or tzdata.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_CALENDAR_H
#define LEADSCORE_CALENDAR_H

typedef enum LeadGrain
{
	GRAIN_DAY = 0,
	GRAIN_HOUR = 1
} LeadGrain;

/* lead_model_period_names has their names */
typedef enum CalendarPeriod
{
	PERIOD_NONE = 0,
	PERIOD_DAY,
	PERIOD_WEEK,
	PERIOD_MONTH,
	PERIOD_TWO_MONTHS,
	PERIOD_QUARTER,
	PERIOD_FOUR_MONTHS,
	PERIOD_SIX_MONTHS,
	PERIOD_YEAR,
	PERIOD_EVER
} CalendarPeriod;

/* bucket of what has no time: profile signals */
#define BUCKET_TIMELESS	PG_INT32_MIN

/* instants outside 0001-01-01 .. 9999-12-31 count at the nearest end */
#define FIRST_DAY		(-730119)
#define LAST_DAY		2921939

#define USECS_IN_HOUR	INT64CONST(3600000000)

/* buckets in a day */
static inline int32
grain_buckets(LeadGrain grain)
{
	return grain == GRAIN_DAY ? 1 : 24;
}

/* the bucket in which the year 1 begins */
static inline int32
first_bucket(LeadGrain grain)
{
	return FIRST_DAY * grain_buckets(grain);
}

/* the bucket in which the year 9999 ends */
static inline int32
last_bucket(LeadGrain grain)
{
	return (LAST_DAY + 1) * grain_buckets(grain) - 1;
}

/* is it timeless, or in the calendar? */
static inline bool
bucket_is_valid(int32 bucket, LeadGrain grain)
{
	return bucket == BUCKET_TIMELESS ||
		(bucket >= first_bucket(grain) && bucket <= last_bucket(grain));
}

/* a / b rounded down, for b > 0 */
static inline int32
floor_div(int32 a, int32 b)
{
	return a / b - (a % b < 0 ? 1 : 0);
}

/* microseconds since 2000-01-01 UTC -> bucket; infinities are clamped too */
static inline int32
bucket_of(int64 instant, LeadGrain grain)
{
	int64		width = USECS_IN_HOUR * (grain == GRAIN_DAY ? 24 : 1);
	int64		bucket = instant / width - (instant % width < 0 ? 1 : 0);

	if (bucket < first_bucket(grain))
		return first_bucket(grain);
	if (bucket > last_bucket(grain))
		return last_bucket(grain);
	return (int32) bucket;
}

/* first instant of a bucket, microseconds since 2000-01-01 UTC */
static inline int64
bucket_start(int32 bucket, LeadGrain grain)
{
	return bucket * USECS_IN_HOUR * (grain == GRAIN_DAY ? 24 : 1);
}

/* the day that a bucket lies in */
static inline int32
day_of(int32 bucket, LeadGrain grain)
{
	return grain == GRAIN_DAY ? bucket : floor_div(bucket, 24);
}

/*
 * Civil date of a day number.  The server's j2date() and date2j() would do, but
 * the code that uses this is fuzzed without a server, and inline.
 *
 * Years are counted from March inside a 400-year
 * era, which puts the leap day last and makes the month a linear function.
 */
static inline void
civil_date(int32 day, int32 *year, int32 *month, int32 *mday)
{
	int32		z = day + 730425;	/* days since 0000-03-01 */
	int32		era = floor_div(z, 146097);
	int32		doe = z - era * 146097;
	int32		yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int32		doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int32		mp = (5 * doy + 2) / 153;

	*mday = doy - (153 * mp + 2) / 5 + 1;
	*month = mp < 10 ? mp + 3 : mp - 9;
	*year = yoe + era * 400 + (*month <= 2 ? 1 : 0);
}

/* day number of a civil date, the inverse of civil_date() */
static inline int32
civil_day(int32 year, int32 month, int32 mday)
{
	int32		y = year - (month <= 2 ? 1 : 0);
	int32		era = floor_div(y, 400);
	int32		yoe = y - era * 400;
	int32		doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + mday - 1;

	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 730425;
}

/*
 * Number of the calendar period that a bucket lies in; weeks start on Monday.
 * Scoring asks it for every bucket of a rule with a limit, and is slower by some
 * percent if that is a call.
 */
static pg_attribute_always_inline int32
period_of(int32 bucket, LeadGrain grain, CalendarPeriod period)
{
	int32		day = day_of(bucket, grain);
	int32		year;
	int32		month;
	int32		mday;

	if (period == PERIOD_DAY)
		return day;
	if (period == PERIOD_WEEK)
		return floor_div(day + 5, 7);	/* 2000-01-03 was a Monday */
	if (period == PERIOD_NONE || period == PERIOD_EVER)
		return 0;
	/* some months, of which January begins the first in a year */
	civil_date(day, &year, &month, &mday);
	month += year * 12 - 1;
	switch (period)
	{
		case PERIOD_TWO_MONTHS:
			return month / 2;
		case PERIOD_QUARTER:
			return month / 3;
		case PERIOD_FOUR_MONTHS:
			return month / 4;
		case PERIOD_SIX_MONTHS:
			return month / 6;
		case PERIOD_YEAR:
			return month / 12;
		default:
			return month;
	}
}

#endif							/* LEADSCORE_CALENDAR_H */
