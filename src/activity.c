/*-------------------------------------------------------------------------
 *
 * activity.c
 *		Encoding, text form and algebra of lead_activity.
 *
 * Every function takes and gives lists in the one normal form: sorted by signal,
 * value and bucket, nothing twice, no zero.  Adding and subtracting are merges of two
 * such lists, and equal multisets have equal bytes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "activity.h"

#include "common/int.h"

/* the longest varint of a 64-bit number */
#define MAX_VARINT	10

/* A place in a byte string that is being read */
typedef struct Reader
{
	const unsigned char *at;
	const unsigned char *end;
} Reader;

/* By signal, by value, and by bucket */
static inline int
compare_items(const ActivityItem *a, const ActivityItem *b)
{
	if (a->signal != b->signal)
		return a->signal < b->signal ? -1 : 1;
	if (unlikely(a->value != b->value))
		return a->value < b->value ? -1 : 1;
	if (a->bucket != b->bucket)
		return a->bucket < b->bucket ? -1 : 1;
	return 0;
}

#ifdef USE_ASSERT_CHECKING
/* Is a list normalized: sorted, nothing twice, no zero, all in range? */
static bool
is_normal(const ActivityList *list)
{
	int			i;

	for (i = 0; i < list->nitems; i++)
	{
		const ActivityItem *item = &list->items[i];

		if (item->count == 0 || item->count == PG_INT64_MIN ||
			item->signal < 0 || item->signal > PG_INT16_MAX ||
			!bucket_is_valid(item->bucket, list->grain) ||
			(i > 0 && compare_items(item - 1, item) >= 0))
			return false;
	}
	return list->nitems <= list->capacity;
}
#endif

/* The name of a grain, as the text form has it */
const char *
lead_activity_grain_name(LeadGrain grain)
{
	return grain == GRAIN_DAY ? "day" : "hour";
}

/* Make an empty list, with room for some items. */
void
lead_activity_init(ActivityList *list, LeadGrain grain, int capacity)
{
	list->grain = grain;
	list->nitems = 0;
	list->capacity = Max(capacity, 8);
	list->items = palloc(list->capacity * sizeof(ActivityItem));
}

/* Make room for nitems items in all, by doubling. */
void
lead_activity_reserve(ActivityList *list, int nitems)
{
	int			capacity = Max(nitems, list->capacity * 2);

	if (nitems <= list->capacity)
		return;
	/* this may fail, and code that catches the error may call again */
	list->items = repalloc(list->items, (Size) capacity * sizeof(ActivityItem));
	list->capacity = capacity;
}

/* Make an initialized list hold what another does. */
void
lead_activity_copy(const ActivityList *from, ActivityList *to)
{
	lead_activity_reserve(to, from->nitems);
	memcpy(to->items, from->items, from->nitems * sizeof(ActivityItem));
	to->nitems = from->nitems;
	to->grain = from->grain;
}

/* Do two normalized lists hold the same? */
bool
lead_activity_equal(const ActivityList *a, const ActivityList *b)
{
	Assert(is_normal(a) && is_normal(b));
	/* items have no padding */
	return a->grain == b->grain && a->nitems == b->nitems &&
		memcmp(a->items, b->items, a->nitems * sizeof(ActivityItem)) == 0;
}

/* A number with its sign in the lowest bit, so that small ones stay small */
static inline uint64
zigzag(int64 value)
{
	return ((uint64) value << 1) ^ -(uint64) (value < 0);
}

/* The inverse of zigzag() */
static inline int64
unzigzag(uint64 value)
{
	return (int64) (value >> 1) ^ -(int64) (value & 1);
}

/* Write a varint; returns where the next byte goes. */
static inline unsigned char *
put_varint(unsigned char *out, uint64 value)
{
	while (value >= 0x80)
	{
		*out++ = (unsigned char) (value | 0x80);
		value >>= 7;
	}
	*out++ = (unsigned char) value;
	return out;
}

/* Read a varint; false if it is cut off, too long or not the shortest form. */
static inline bool
get_varint(Reader *r, uint64 *value)
{
	uint64		result;
	int			shift = 7;

	if (unlikely(r->at >= r->end))
		return false;
	result = *r->at++;
	if (likely(result < 0x80))
	{
		*value = result;
		return true;
	}
	result &= 0x7f;
	for (;;)
	{
		uint64		byte;

		if (r->at >= r->end || shift > 63)
			return false;
		byte = *r->at++;
		if (shift == 63 && byte > 1)
			return false;
		result |= (byte & 0x7f) << shift;
		if (byte < 0x80)
		{
			*value = result;
			return byte != 0;
		}
		shift += 7;
	}
}

/* Read a count; false if it is one that no activity holds. */
static inline bool
get_count(Reader *r, int64 *count)
{
	uint64		raw;

	if (!get_varint(r, &raw))
		return false;
	*count = unzigzag(raw);
	return *count != 0 && *count != PG_INT64_MIN;
}

/* Read eight bytes, the most significant first; false if they are cut off. */
static bool
get_value(Reader *r, uint64 *value)
{
	int			i;

	if (r->end - r->at < 8)
		return false;
	*value = 0;
	for (i = 0; i < 8; i++)
		*value = *value << 8 | *r->at++;
	return true;
}

/* The same to write them */
static unsigned char *
put_value(unsigned char *out, uint64 value)
{
	int			shift;

	for (shift = 56; shift >= 0; shift -= 8)
		*out++ = (unsigned char) (value >> shift);
	return out;
}

/* Decode the buckets of a signal, or of one of its values, and their counts. */
static inline bool
get_buckets(Reader *r, ActivityList *list, int32 signal, uint64 value, uint64 dated,
			int64 *previous_first)
{
	const int64 last = last_bucket(list->grain);
	int64		bucket = 0;
	int64		count;
	uint64		raw;
	bool		first = true;

	/* every dated bucket takes two bytes at least */
	if (dated >> 1 > (uint64) (r->end - r->at) / 2)
		return false;
	Assert(list->nitems + (int) (dated >> 1) < list->capacity);

	if (dated & 1)
	{
		if (!get_count(r, &count))
			return false;
		list->items[list->nitems++] = (ActivityItem)
		{
			BUCKET_TIMELESS, signal, value, count
		};
	}
	for (dated >>= 1; dated > 0; dated--)
	{
		if (!get_varint(r, &raw))
			return false;
		if (first)
		{
			int64		delta = unzigzag(raw);

			if (delta < -2 * last || delta > 2 * last)
				return false;
			bucket = *previous_first + delta;
			*previous_first = bucket;
			first = false;
		}
		else
		{
			if (raw > (uint64) (2 * last))
				return false;
			bucket += (int64) raw + 1;
		}
		if (bucket < first_bucket(list->grain) || bucket > last)
			return false;
		if (!get_count(r, &count))
			return false;
		list->items[list->nitems++] = (ActivityItem)
		{
			(int32) bucket, signal, value, count
		};
	}
	return true;
}

/* Decode the values of a signal that has some. */
static bool
get_values(Reader *r, ActivityList *list, int32 signal, int64 *previous_first)
{
	uint64		previous = 0;
	uint64		nvalues;
	uint64		i;

	if (!get_varint(r, &nvalues) || nvalues == 0)
		return false;
	for (i = 0; i < nvalues; i++)
	{
		uint64		value;
		uint64		dated;

		if (!get_value(r, &value) || (i > 0 && value <= previous) ||
			(nvalues == 1 && value == 0) || !get_varint(r, &dated) || dated == 0 ||
			!get_buckets(r, list, signal, value, dated, previous_first))
			return false;
		previous = value;
	}
	return true;
}

/*
 * Decode and check the bytes of a lead_activity into an initialized list.
 * False if they are not the canonical encoding of anything.
 */
bool
lead_activity_decode(const unsigned char *data, size_t len, ActivityList *list)
{
	Reader		r = {data, data + len};
	int64		signal = -1;
	int64		previous_first = 0;

	list->nitems = 0;
	if (len < 1 || data[0] >> 4 != ACTIVITY_FORMAT ||
		(data[0] & 0x0f) > GRAIN_HOUR)
		return false;
	list->grain = (LeadGrain) (data[0] & 0x0f);
	r.at++;
	/* an item takes two bytes at least */
	lead_activity_reserve(list, (int) (len / 2) + 1);

	while (r.at < r.end)
	{
		uint64		raw;
		uint64		dated;

		if (!get_varint(&r, &raw) || raw > PG_INT16_MAX)
			return false;
		signal += (int64) raw + 1;
		if (signal > PG_INT16_MAX)
			return false;
		if (!get_varint(&r, &dated))
			return false;
		if (likely(dated > 0) ?
			!get_buckets(&r, list, (int32) signal, 0, dated, &previous_first) :
			!get_values(&r, list, (int32) signal, &previous_first))
			return false;
	}
	Assert(is_normal(list));
	return true;
}

/*
 * An upper bound for the bytes that lead_activity_encode() writes: a signal, a
 * value, a bucket and a count have 37 bytes at most
 */
size_t
lead_activity_encoded_bound(const ActivityList *list)
{
	return 1 + (size_t) list->nitems * (4 * MAX_VARINT);
}

/* Encode the buckets of a signal, or of one of its values, and their counts. */
static inline unsigned char *
put_buckets(unsigned char *out, const ActivityItem *item, const ActivityItem *end,
			int32 *previous_first)
{
	bool		timeless = item->bucket == BUCKET_TIMELESS;
	int32		bucket;

	out = put_varint(out, (uint64) (end - item - timeless) << 1 | timeless);
	if (timeless)
		out = put_varint(out, zigzag((item++)->count));
	if (item == end)
		return out;
	bucket = item->bucket;
	out = put_varint(out, zigzag((int64) bucket - *previous_first));
	out = put_varint(out, zigzag(item->count));
	*previous_first = bucket;
	for (item++; item < end; item++)
	{
		out = put_varint(out, (uint64) (item->bucket - bucket - 1));
		out = put_varint(out, zigzag(item->count));
		bucket = item->bucket;
	}
	return out;
}

/* Encode the values of a signal that has some. */
static unsigned char *
put_values(unsigned char *out, const ActivityItem *item, const ActivityItem *end,
		   int32 *previous_first)
{
	const ActivityItem *i;
	uint64		nvalues = 1;

	for (i = item + 1; i < end; i++)
		nvalues += i->value != i[-1].value;
	out = put_varint(out, 0);
	out = put_varint(out, nvalues);
	while (item < end)
	{
		for (i = item + 1; i < end && i->value == item->value; i++)
			;
		out = put_value(out, item->value);
		out = put_buckets(out, item, i, previous_first);
		item = i;
	}
	return out;
}

/* Encode a normalized list; returns the number of bytes written. */
size_t
lead_activity_encode(const ActivityList *list, unsigned char *out)
{
	unsigned char *start = out;
	int32		signal = -1;
	int32		previous_first = 0;
	int			i = 0;

	Assert(is_normal(list));
	*out++ = (unsigned char) (ACTIVITY_FORMAT << 4 | list->grain);
	while (i < list->nitems)
	{
		const ActivityItem *item = &list->items[i];
		int			end = lead_activity_signal_end(list, i);

		out = put_varint(out, (uint64) (item->signal - signal - 1));
		signal = item->signal;
		/* no value sorts before all values */
		if (likely(list->items[end - 1].value == 0))
			out = put_buckets(out, item, list->items + end, &previous_first);
		else
			out = put_values(out, item, list->items + end, &previous_first);
		i = end;
	}
	return out - start;
}

/* An upper bound for the bytes that lead_activity_format() writes */
size_t
lead_activity_formatted_bound(const ActivityList *list)
{
	/*
	 * "32767#0123456789abcdef@2025-03-01T13:-9223372036854775807," and the
	 * frame
	 */
	return 8 + (size_t) list->nitems * 59;
}

/* Write the text form, zero-terminated; returns its length. */
size_t
lead_activity_format(const ActivityList *list, char *out)
{
	char	   *start = out;
	int			i;

	out += sprintf(out, "%s{", lead_activity_grain_name(list->grain));
	for (i = 0; i < list->nitems; i++)
	{
		const ActivityItem *item = &list->items[i];

		if (i > 0)
			*out++ = ',';
		out += sprintf(out, "%d", item->signal);
		if (item->value != 0)
			out += sprintf(out, "#%08x%08x", (uint32) (item->value >> 32), (uint32) item->value);
		*out++ = '@';
		if (item->bucket == BUCKET_TIMELESS)
			*out++ = '*';
		else
		{
			int32		day = day_of(item->bucket, list->grain);
			int32		year;
			int32		month;
			int32		mday;

			civil_date(day, &year, &month, &mday);
			out += sprintf(out, "%04d-%02d-%02d", year, month, mday);
			if (list->grain == GRAIN_HOUR)
				out += sprintf(out, "T%02d", item->bucket - day * 24);
		}
		out += sprintf(out, ":" INT64_FORMAT, item->count);
	}
	*out++ = '}';
	*out = '\0';
	return out - start;
}

/* What comes after blanks */
static inline const char *
skip_blanks(const char *s)
{
	while (*s == ' ' || *s == '\t' || *s == '\n' || *s == '\r')
		s++;
	return s;
}

/* Read digits as a number of at most max; false without any or if larger. */
static bool
parse_number(const char **s, int64 max, int64 *value)
{
	const char *p = *s;
	int64		result = 0;

	if (*p < '0' || *p > '9')
		return false;
	for (; *p >= '0' && *p <= '9'; p++)
	{
		int			digit = *p - '0';

		if (result > (max - digit) / 10)
			return false;
		result = result * 10 + digit;
	}
	*s = p;
	*value = result;
	return true;
}

/* The same of a number that is written with so many digits */
static bool
parse_digits(const char **s, int digits, int64 max, int64 *value)
{
	const char *start = *s;

	return parse_number(s, max, value) && *s - start == digits;
}

/*
 * Read "2025-03-01" or "2025-03-01T13" as a bucket.  All digits must be there:
 * 25-3-1 need not mean the year 25.
 */
static bool
parse_bucket(const char **s, LeadGrain grain, int32 *bucket)
{
	int64		year;
	int64		month;
	int64		mday;
	int64		hour;
	int32		y;
	int32		m;
	int32		d;
	int32		day;

	if (!parse_digits(s, 4, 9999, &year) || year < 1 || *(*s)++ != '-' ||
		!parse_digits(s, 2, 12, &month) || month < 1 || *(*s)++ != '-' ||
		!parse_digits(s, 2, 31, &mday) || mday < 1)
		return false;
	day = civil_day((int32) year, (int32) month, (int32) mday);
	civil_date(day, &y, &m, &d);
	if (m != month || d != mday)
		return false;
	if (grain == GRAIN_DAY)
	{
		*bucket = day;
		return true;
	}
	if (*(*s)++ != 'T' || !parse_digits(s, 2, 23, &hour))
		return false;
	*bucket = day * 24 + (int32) hour;
	return true;
}

/* Read a value as 16 hexadecimal digits, which are not all 0: that is none. */
static bool
parse_value(const char **s, uint64 *value)
{
	int			i;

	*value = 0;
	for (i = 0; i < 16; i++)
	{
		char		c = *(*s)++;
		int			digit;

		if (c >= '0' && c <= '9')
			digit = c - '0';
		else if (c >= 'a' && c <= 'f')
			digit = c - 'a' + 10;
		else if (c >= 'A' && c <= 'F')
			digit = c - 'A' + 10;
		else
			return false;
		*value = *value << 4 | digit;
	}
	return *value != 0;
}

/*
 * Parse the text form into an initialized list.  Blanks are allowed between
 * tokens, items may come in any order, and equal ones add up.
 * On failure returns false and says what was expected.
 */
bool
lead_activity_parse(const char *text, ActivityList *list, const char **problem)
{
	const char *s = skip_blanks(text);

	list->nitems = 0;
	if (strncmp(s, "day", 3) == 0)
		list->grain = GRAIN_DAY;
	else if (strncmp(s, "hour", 4) == 0)
		list->grain = GRAIN_HOUR;
	else
	{
		*problem = "It must start with \"day{\" or \"hour{\".";
		return false;
	}
	s = skip_blanks(s + strlen(lead_activity_grain_name(list->grain)));
	if (*s != '{')
	{
		*problem = "The grain must be followed by \"{\".";
		return false;
	}
	s = skip_blanks(s + 1);
	while (*s != '}')
	{
		int64		signal;
		int64		count;
		uint64		value = 0;
		int32		bucket = BUCKET_TIMELESS;
		bool		negative;

		if (list->nitems > 0)
		{
			if (*s != ',')
			{
				*problem = "Items must be separated by \",\" and end with \"}\".";
				return false;
			}
			s = skip_blanks(s + 1);
		}
		if (!parse_number(&s, PG_INT16_MAX, &signal))
		{
			*problem = "A signal must be a number from 0 to 32767.";
			return false;
		}
		s = skip_blanks(s);
		if (*s == '#')
		{
			s = skip_blanks(s + 1);
			if (!parse_value(&s, &value))
			{
				*problem = "A value must have 16 hexadecimal digits, and not all of them 0.";
				return false;
			}
			s = skip_blanks(s);
		}
		if (*s != '@')
		{
			*problem = "A signal must be followed by \"@\" and its bucket.";
			return false;
		}
		s = skip_blanks(s + 1);
		if (*s == '*')
			s++;
		else if (!parse_bucket(&s, list->grain, &bucket))
		{
			*problem = list->grain == GRAIN_DAY ?
				"A bucket must be a date such as 2025-03-01, or \"*\"." :
				"A bucket must be an hour such as 2025-03-01T13, or \"*\".";
			return false;
		}
		s = skip_blanks(s);
		if (*s != ':')
		{
			*problem = "A bucket must be followed by \":\" and a count.";
			return false;
		}
		s = skip_blanks(s + 1);
		negative = *s == '-';
		if (negative)
			s++;
		if (!parse_number(&s, PG_INT64_MAX, &count))
		{
			*problem = "A count must be a whole number of 64 bits.";
			return false;
		}
		s = skip_blanks(s);
		lead_activity_reserve(list, list->nitems + 1);
		list->items[list->nitems++] = (ActivityItem)
		{
			bucket, (int32) signal, value, negative ? -count : count
		};
	}
	if (*skip_blanks(s + 1) != '\0')
	{
		*problem = "Nothing may follow the closing \"}\".";
		return false;
	}
	lead_activity_normalize(list);
	return true;
}

/* The same for qsort() */
static int
item_qsort_cmp(const void *a, const void *b)
{
	return compare_items((const ActivityItem *) a, (const ActivityItem *) b);
}

/* a + b, kept inside the range of a count; a group but at the very ends */
static inline int64
saturating_add(int64 a, int64 b)
{
	int64		sum;

	if (pg_add_s64_overflow(a, b, &sum) || sum == PG_INT64_MIN)
		return a < 0 ? -PG_INT64_MAX : PG_INT64_MAX;
	return sum;
}

/* Append a count to a list, to be normalized when all of them are there. */
void
lead_activity_append(ActivityList *list, int32 signal, uint64 value, int32 bucket,
					 int64 count)
{
	lead_activity_reserve(list, list->nitems + 1);
	list->items[list->nitems++] = (ActivityItem)
	{
		bucket, signal, value, count
	};
}

/* Sort the items, add up equal ones and drop counts of zero. */
void
lead_activity_normalize(ActivityList *list)
{
	int			n = 0;
	int			i;
	bool		sorted = true;

	for (i = 1; i < list->nitems && sorted; i++)
		sorted = compare_items(&list->items[i - 1], &list->items[i]) < 0;
	if (!sorted)
		qsort(list->items, list->nitems, sizeof(ActivityItem), item_qsort_cmp);
	for (i = 0; i < list->nitems;)
	{
		ActivityItem item = list->items[i];

		for (i++; i < list->nitems && compare_items(&item, &list->items[i]) == 0; i++)
			item.count = saturating_add(item.count, list->items[i].count);
		if (item.count != 0)
			list->items[n++] = item;
	}
	list->nitems = n;
	Assert(is_normal(list));
}

/*
 * Add a count to one (signal, value, bucket) of a normalized list.  bsearch() would
 * not say where a missing one belongs.
 */
void
lead_activity_count(ActivityList *list, int32 signal, uint64 value, int32 bucket,
					int64 count)
{
	ActivityItem item = {bucket, signal, value, count};
	int			low = 0;
	int			high = list->nitems;

	Assert(signal >= 0 && signal <= PG_INT16_MAX && bucket_is_valid(bucket, list->grain));
	if (count == 0)
		return;
	while (low < high)
	{
		int			middle = (low + high) / 2;
		int			cmp = compare_items(&list->items[middle], &item);

		if (cmp == 0)
		{
			ActivityItem *found = &list->items[middle];

			found->count = saturating_add(found->count, count);
			if (found->count == 0)
			{
				memmove(found, found + 1,
						(list->nitems - middle - 1) * sizeof(ActivityItem));
				list->nitems--;
			}
			return;
		}
		if (cmp < 0)
			low = middle + 1;
		else
			high = middle;
	}
	lead_activity_reserve(list, list->nitems + 1);
	memmove(&list->items[low + 1], &list->items[low],
			(list->nitems - low) * sizeof(ActivityItem));
	list->items[low] = item;
	list->nitems++;
}

/* result = a + sign * b, all normalized and of one grain; result is reset. */
void
lead_activity_merge(const ActivityList *a, const ActivityList *b, int sign,
					ActivityList *result)
{
	int			i = 0;
	int			j = 0;

	Assert(a->grain == b->grain && (sign == 1 || sign == -1));
	Assert(is_normal(a) && is_normal(b) && result != a && result != b);
	result->grain = a->grain;
	result->nitems = 0;
	lead_activity_reserve(result, a->nitems + b->nitems);
	while (i < a->nitems || j < b->nitems)
	{
		ActivityItem item;
		int			cmp;

		if (i >= a->nitems)
			cmp = 1;
		else if (j >= b->nitems)
			cmp = -1;
		else
			cmp = compare_items(&a->items[i], &b->items[j]);

		if (cmp <= 0)
			item = a->items[i++];
		else
		{
			item = b->items[j++];
			item.count *= sign;
		}
		if (cmp == 0)
			item.count = saturating_add(item.count, sign * b->items[j++].count);
		if (item.count != 0)
			result->items[result->nitems++] = item;
	}
	Assert(is_normal(result));
}
