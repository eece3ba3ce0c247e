/*-------------------------------------------------------------------------
 *
 * activity_type.c
 *		The SQL type lead_activity: input and output, operators, aggregates.
 *
 * What comes from outside is checked here, by activity.c; what is stored has been
 * checked, and is decoded again wherever it is used.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "funcapi.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"

#include "leadscore.h"

PG_FUNCTION_INFO_V1(lead_activity_in);
PG_FUNCTION_INFO_V1(lead_activity_out);
PG_FUNCTION_INFO_V1(lead_activity_recv);
PG_FUNCTION_INFO_V1(lead_activity_send);
PG_FUNCTION_INFO_V1(lead_activity_construct);
PG_FUNCTION_INFO_V1(lead_activity_add);
PG_FUNCTION_INFO_V1(lead_activity_subtract);
PG_FUNCTION_INFO_V1(lead_activity_negate);
PG_FUNCTION_INFO_V1(lead_activity_eq);
PG_FUNCTION_INFO_V1(lead_activity_ne);
PG_FUNCTION_INFO_V1(lead_activity_lt);
PG_FUNCTION_INFO_V1(lead_activity_le);
PG_FUNCTION_INFO_V1(lead_activity_gt);
PG_FUNCTION_INFO_V1(lead_activity_ge);
PG_FUNCTION_INFO_V1(lead_activity_cmp);
PG_FUNCTION_INFO_V1(lead_activity_hash);
PG_FUNCTION_INFO_V1(lead_activity_hash_extended);
PG_FUNCTION_INFO_V1(lead_activity_unnest);
PG_FUNCTION_INFO_V1(lead_activity_agg_transfn);
PG_FUNCTION_INFO_V1(lead_activity_sum_transfn);
PG_FUNCTION_INFO_V1(lead_activity_combinefn);
PG_FUNCTION_INFO_V1(lead_activity_finalfn);

/*
 * State of the aggregates: a bytea that holds items as they come, with room
 * to spare.  Being a plain bytea it travels between parallel workers and
 * nodes without a serial function.  Anyone can call the support functions
 * with bytes of his own, so whatever is read from a state is checked.
 */
typedef struct ActivityState
{
	int32		vl_len_;
	uint32		magic;
	int32		nitems;
	int32		grain;
	ActivityItem items[FLEXIBLE_ARRAY_MEMBER];
} ActivityState;

#define STATE_MAGIC		0x6c736132	/* "lsa2" */
#define STATE_HEADER	offsetof(ActivityState, items)
#define STATE_ITEMS		16		/* room at the start */
#define STATE_MAX_ITEMS	((int) ((MaxAllocSize - STATE_HEADER) / sizeof(ActivityItem)))

/* Grain of an interval of one day or one hour */
LeadGrain
leadscore_grain(const Interval *interval)
{
	if (interval->month == 0 && interval->day == 1 && interval->time == 0)
		return GRAIN_DAY;
	if (interval->month == 0 && interval->day == 0 &&
		interval->time == USECS_PER_HOUR)
		return GRAIN_HOUR;
	if (interval->month == 0 && interval->day == 0 &&
		interval->time == USECS_PER_DAY)
		return GRAIN_DAY;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid grain"),
			 errhint("A grain is \"1 day\" or \"1 hour\".")));
}

/* Decode a value into an initialized list. */
void
leadscore_activity_decode(const LeadActivity *value, ActivityList *list)
{
	if (!lead_activity_decode((const unsigned char *) VARDATA_ANY(value),
							  VARSIZE_ANY_EXHDR(value), list))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("invalid lead_activity value")));
}

/* Decode a value into a new list. */
void
leadscore_activity_read(const LeadActivity *value, ActivityList *list)
{
	lead_activity_init(list, GRAIN_DAY, (int) Min(VARSIZE_ANY_EXHDR(value) / 2, 4096));
	leadscore_activity_decode(value, list);
}

/* Encode a normalized list as a value. */
LeadActivity *
leadscore_activity_make(const ActivityList *list)
{
	LeadActivity *result = palloc(VARHDRSZ + lead_activity_encoded_bound(list));
	size_t		len;

	len = lead_activity_encode(list, (unsigned char *) VARDATA(result));
	SET_VARSIZE(result, VARHDRSZ + len);
	return result;
}

/* Refuse to put activities of two grains together. */
static void
check_same_grain(LeadGrain a, LeadGrain b)
{
	if (a != b)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("cannot mix lead activities of grain \"%s\" and \"%s\"",
						lead_activity_grain_name(a), lead_activity_grain_name(b)),
				 errhint("Combine only activities of pipelines that have the same grain.")));
}

/* lead_activity_in(cstring): see activity.c for the text form */
Datum
lead_activity_in(PG_FUNCTION_ARGS)
{
	char	   *text = PG_GETARG_CSTRING(0);
	ActivityList list;
	const char *problem = NULL;

	lead_activity_init(&list, GRAIN_DAY, 0);
	if (!lead_activity_parse(text, &list, &problem))
		ereturn(fcinfo->context, (Datum) 0,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid input syntax for type %s: \"%s\"",
						"lead_activity", text),
				 errdetail("%s", problem),
				 errhint("Write it as day{7@2025-03-01:2,9@*:1}: signal, bucket, count.")));
	PG_RETURN_POINTER(leadscore_activity_make(&list));
}

/* lead_activity_out(lead_activity) */
Datum
lead_activity_out(PG_FUNCTION_ARGS)
{
	ActivityList list;
	char	   *result;

	leadscore_activity_read(PG_GETARG_LEAD_ACTIVITY_PP(0), &list);
	result = palloc(lead_activity_formatted_bound(&list));
	lead_activity_format(&list, result);
	PG_RETURN_CSTRING(result);
}

/* lead_activity_recv(internal): the canonical bytes, checked */
Datum
lead_activity_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int			len = buf->len - buf->cursor;
	const char *data = pq_getmsgbytes(buf, len);
	ActivityList list;

	lead_activity_init(&list, GRAIN_DAY, 0);
	if (!lead_activity_decode((const unsigned char *) data, len, &list))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid binary form of type %s", "lead_activity"),
				 errhint("Send the bytes that a binary read of the type gave.")));
	PG_RETURN_POINTER(leadscore_activity_make(&list));
}

/* lead_activity_send(lead_activity): the bytes as they are stored */
Datum
lead_activity_send(PG_FUNCTION_ARGS)
{
	LeadActivity *value = PG_GETARG_LEAD_ACTIVITY_PP(0);
	StringInfoData buf;

	pq_begintypsend(&buf);
	pq_sendbytes(&buf, VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

/* The id of a signal, from an argument */
static int32
checked_signal(int32 signal)
{
	if (signal < 0 || signal > PG_INT16_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("signal %d is out of range", signal),
				 errhint("A signal is a number from 0 to 32767.")));
	return signal;
}

/* counts of 64 bits but for the one that has no negative */
static int64
checked_count(int64 count)
{
	return Max(count, -PG_INT64_MAX);
}

/*
 * lead_activity(signal_id int, at timestamptz, count bigint, grain interval):
 * one count.  at NULL is the timeless bucket.
 */
Datum
lead_activity_construct(PG_FUNCTION_ARGS)
{
	ActivityList list;
	LeadGrain	grain;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(2) || PG_ARGISNULL(3))
		PG_RETURN_NULL();
	grain = leadscore_grain(PG_GETARG_INTERVAL_P(3));
	lead_activity_init(&list, grain, 0);
	lead_activity_count(&list, checked_signal(PG_GETARG_INT32(0)), 0,
						PG_ARGISNULL(1) ? BUCKET_TIMELESS :
						bucket_of(PG_GETARG_TIMESTAMPTZ(1), grain),
						checked_count(PG_GETARG_INT64(2)));
	PG_RETURN_POINTER(leadscore_activity_make(&list));
}

/* a + sign * b */
static LeadActivity *
combine(const LeadActivity *a, const LeadActivity *b, int sign)
{
	ActivityList left;
	ActivityList right;
	ActivityList result;

	leadscore_activity_read(a, &left);
	leadscore_activity_read(b, &right);
	check_same_grain(left.grain, right.grain);
	lead_activity_init(&result, left.grain, left.nitems + right.nitems);
	lead_activity_merge(&left, &right, sign, &result);
	return leadscore_activity_make(&result);
}

/* lead_activity + lead_activity */
Datum
lead_activity_add(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(combine(PG_GETARG_LEAD_ACTIVITY_PP(0),
							  PG_GETARG_LEAD_ACTIVITY_PP(1), 1));
}

/* lead_activity - lead_activity */
Datum
lead_activity_subtract(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(combine(PG_GETARG_LEAD_ACTIVITY_PP(0),
							  PG_GETARG_LEAD_ACTIVITY_PP(1), -1));
}

/* the inverse under + */
Datum
lead_activity_negate(PG_FUNCTION_ARGS)
{
	ActivityList list;
	int			i;

	leadscore_activity_read(PG_GETARG_LEAD_ACTIVITY_PP(0), &list);
	for (i = 0; i < list.nitems; i++)
		list.items[i].count = -list.items[i].count;
	PG_RETURN_POINTER(leadscore_activity_make(&list));
}

/*
 * A total order over the bytes.  It means nothing to a person, but DISTINCT,
 * GROUP BY and merge joins need one.
 */
static int
compare(FunctionCallInfo fcinfo)
{
	LeadActivity *a = PG_GETARG_LEAD_ACTIVITY_PP(0);
	LeadActivity *b = PG_GETARG_LEAD_ACTIVITY_PP(1);
	size_t		alen = VARSIZE_ANY_EXHDR(a);
	size_t		blen = VARSIZE_ANY_EXHDR(b);
	int			cmp = memcmp(VARDATA_ANY(a), VARDATA_ANY(b), Min(alen, blen));

	if (cmp == 0)
		cmp = alen < blen ? -1 : (alen > blen ? 1 : 0);
	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	return cmp;
}

/* lead_activity = lead_activity */
Datum
lead_activity_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) == 0);
}

/* lead_activity <> lead_activity */
Datum
lead_activity_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) != 0);
}

/* lead_activity < lead_activity */
Datum
lead_activity_lt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) < 0);
}

/* lead_activity <= lead_activity */
Datum
lead_activity_le(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) <= 0);
}

/* lead_activity > lead_activity */
Datum
lead_activity_gt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) > 0);
}

/* lead_activity >= lead_activity */
Datum
lead_activity_ge(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) >= 0);
}

/* lead_activity_cmp(lead_activity, lead_activity): for btree */
Datum
lead_activity_cmp(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(compare(fcinfo));
}

/* lead_activity_hash(lead_activity): for hash */
Datum
lead_activity_hash(PG_FUNCTION_ARGS)
{
	LeadActivity *value = PG_GETARG_LEAD_ACTIVITY_PP(0);
	uint32		hash = hash_bytes((const unsigned char *) VARDATA_ANY(value),
								  VARSIZE_ANY_EXHDR(value));

	PG_FREE_IF_COPY(value, 0);
	PG_RETURN_UINT32(hash);
}

/*
 * lead_activity_hash_extended(lead_activity, bigint): for hash, with a seed
 */
Datum
lead_activity_hash_extended(PG_FUNCTION_ARGS)
{
	LeadActivity *value = PG_GETARG_LEAD_ACTIVITY_PP(0);
	uint64		hash = hash_bytes_extended((const unsigned char *) VARDATA_ANY(value),
										   VARSIZE_ANY_EXHDR(value),
										   (uint64) PG_GETARG_INT64(1));

	PG_FREE_IF_COPY(value, 0);
	PG_RETURN_UINT64(hash);
}

/*
 * unnest(lead_activity): rows (signal_id, start of the bucket or NULL, count,
 * value or NULL)
 */
Datum
lead_activity_unnest(PG_FUNCTION_ARGS)
{
	FuncCallContext *funcctx;
	ActivityList *list;

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext oldcontext;
		TupleDesc	tupdesc;

		funcctx = SRF_FIRSTCALL_INIT();
		oldcontext = MemoryContextSwitchTo(funcctx->multi_call_memory_ctx);
		if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "return type must be a row type");
		funcctx->tuple_desc = BlessTupleDesc(tupdesc);
		list = palloc(sizeof(ActivityList));
		leadscore_activity_read(PG_GETARG_LEAD_ACTIVITY_PP(0), list);
		funcctx->user_fctx = list;
		MemoryContextSwitchTo(oldcontext);
	}
	funcctx = SRF_PERCALL_SETUP();
	list = funcctx->user_fctx;
	if (funcctx->call_cntr < (uint64) list->nitems)
	{
		ActivityItem *item = &list->items[funcctx->call_cntr];
		Datum		values[4];
		bool		nulls[4] = {false, false, false, item->value == 0};

		values[0] = Int16GetDatum((int16) item->signal);
		nulls[1] = item->bucket == BUCKET_TIMELESS;
		values[1] = nulls[1] ? (Datum) 0 :
			TimestampTzGetDatum(bucket_start(item->bucket, list->grain));
		values[2] = Int64GetDatum(item->count);
		values[3] = Int64GetDatum((int64) item->value);
		SRF_RETURN_NEXT(funcctx,
						HeapTupleGetDatum(heap_form_tuple(funcctx->tuple_desc,
														  values, nulls)));
	}
	SRF_RETURN_DONE(funcctx);
}

/* How many items a state has room for */
static int
state_capacity(const ActivityState *state)
{
	return (int) ((VARSIZE(state) - STATE_HEADER) / sizeof(ActivityItem));
}

/* An empty state with room for some items */
static ActivityState *
state_create(LeadGrain grain, int capacity)
{
	Size		size = STATE_HEADER + (Size) capacity * sizeof(ActivityItem);
	ActivityState *state = palloc0(size);

	SET_VARSIZE(state, size);
	state->magic = STATE_MAGIC;
	state->grain = grain;
	return state;
}

/* Read argument n as a state and check its frame. */
static ActivityState *
state_arg(FunctionCallInfo fcinfo, int n)
{
	ActivityState *state = (ActivityState *) PG_GETARG_BYTEA_P(n);

	/*
	 * Only an aggregate's own state may be changed in place, and a value
	 * inside a tuple is aligned to four bytes only.
	 */
	if (!AggCheckCallContext(fcinfo, NULL) || !PointerIsAligned(state, int64))
	{
		void	   *copy = palloc(VARSIZE(state));

		memcpy(copy, state, VARSIZE(state));
		state = copy;
	}
	if (VARSIZE(state) < STATE_HEADER || state->magic != STATE_MAGIC ||
		state->nitems < 0 || state->nitems > state_capacity(state) ||
		state->grain < GRAIN_DAY || state->grain > GRAIN_HOUR)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid aggregate state of lead_activity"),
				 errhint("Call the aggregate, not its support function.")));
	return state;
}

/* View the items of a state as a list, checked. */
static void
state_list(ActivityState *state, ActivityList *list)
{
	int			i;

	list->grain = (LeadGrain) state->grain;
	list->nitems = state->nitems;
	list->capacity = state_capacity(state);
	list->items = state->items;
	for (i = 0; i < list->nitems; i++)
		if (list->items[i].signal < 0 || list->items[i].signal > PG_INT16_MAX ||
			!bucket_is_valid(list->items[i].bucket, list->grain) ||
			list->items[i].count == PG_INT64_MIN)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid aggregate state of lead_activity"),
					 errhint("Call the aggregate, not its support function.")));
}

/*
 * A state with room for more items.  Inside an aggregate the state is ours
 * and is changed in place; the executor copies a new one into its context and
 * frees the old one, so that growing by doubling costs a constant per row.
 * Equal items are added up before the state grows.
 */
static ActivityState *
state_with_room(FunctionCallInfo fcinfo, ActivityState *state, int more)
{
	ActivityState *grown;
	ActivityList list;
	int64		capacity = state_capacity(state);

	if (state->nitems + (int64) more <= capacity &&
		AggCheckCallContext(fcinfo, NULL))
		return state;

	state_list(state, &list);
	lead_activity_normalize(&list);
	if (list.nitems + (int64) more > STATE_MAX_ITEMS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a lead activity cannot have more than %d counts",
						STATE_MAX_ITEMS)));
	capacity = Max(capacity, STATE_ITEMS);
	while (capacity < (list.nitems + (int64) more) * 3 / 2)
		capacity *= 2;
	grown = state_create(list.grain, (int) Min(capacity, STATE_MAX_ITEMS));
	memcpy(grown->items, list.items, list.nitems * sizeof(ActivityItem));
	grown->nitems = list.nitems;
	return grown;
}

/* Append items to a state; it may move. */
static ActivityState *
state_append(FunctionCallInfo fcinfo, ActivityState *state,
			 const ActivityItem *items, int nitems)
{
	state = state_with_room(fcinfo, state, nitems);
	memcpy(&state->items[state->nitems], items, nitems * sizeof(ActivityItem));
	state->nitems += nitems;
	return state;
}

/*
 * lead_activity_agg(signal_id, at, count, grain [, value]): rows without a
 * signal, a count or a grain are passed over.
 */
Datum
lead_activity_agg_transfn(PG_FUNCTION_ARGS)
{
	ActivityState *state;
	ActivityItem item;
	LeadGrain	grain;

	if (PG_ARGISNULL(1) || PG_ARGISNULL(3) || PG_ARGISNULL(4))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}
	grain = leadscore_grain(PG_GETARG_INTERVAL_P(4));
	if (PG_ARGISNULL(0))
		state = state_create(grain, STATE_ITEMS);
	else
	{
		state = state_arg(fcinfo, 0);
		check_same_grain((LeadGrain) state->grain, grain);
	}
	item.signal = checked_signal(PG_GETARG_INT32(1));
	item.bucket = PG_ARGISNULL(2) ? BUCKET_TIMELESS :
		bucket_of(PG_GETARG_TIMESTAMPTZ(2), grain);
	/* lead_activity_agg() with values has one argument more */
	item.value = PG_NARGS() > 5 && !PG_ARGISNULL(5) ? (uint64) PG_GETARG_INT64(5) : 0;
	item.count = checked_count(PG_GETARG_INT64(3));
	PG_RETURN_POINTER(state_append(fcinfo, state, &item, 1));
}

/* sum(lead_activity) */
Datum
lead_activity_sum_transfn(PG_FUNCTION_ARGS)
{
	ActivityState *state;
	ActivityList list;

	if (PG_ARGISNULL(1))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}
	leadscore_activity_read(PG_GETARG_LEAD_ACTIVITY_PP(1), &list);
	if (PG_ARGISNULL(0))
		state = state_create(list.grain, Max(STATE_ITEMS, list.nitems));
	else
	{
		state = state_arg(fcinfo, 0);
		check_same_grain((LeadGrain) state->grain, list.grain);
	}
	PG_RETURN_POINTER(state_append(fcinfo, state, list.items, list.nitems));
}

/* Both aggregates: one state after the other */
Datum
lead_activity_combinefn(PG_FUNCTION_ARGS)
{
	ActivityState *left;
	ActivityState *right;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
	{
		if (PG_ARGISNULL(0) && PG_ARGISNULL(1))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(PG_ARGISNULL(0) ? 1 : 0));
	}
	left = state_arg(fcinfo, 0);
	right = state_arg(fcinfo, 1);
	check_same_grain((LeadGrain) left->grain, (LeadGrain) right->grain);
	PG_RETURN_POINTER(state_append(fcinfo, left, right->items, right->nitems));
}

/* Works on a copy: the state may be finalized more than once (windows). */
Datum
lead_activity_finalfn(PG_FUNCTION_ARGS)
{
	ActivityState *state;
	ActivityList list;
	ActivityList copy;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	state = state_arg(fcinfo, 0);
	state_list(state, &list);
	lead_activity_init(&copy, list.grain, list.nitems);
	memcpy(copy.items, list.items, list.nitems * sizeof(ActivityItem));
	copy.nitems = list.nitems;
	lead_activity_normalize(&copy);
	PG_RETURN_POINTER(leadscore_activity_make(&copy));
}
