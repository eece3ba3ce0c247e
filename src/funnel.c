/*-------------------------------------------------------------------------
 *
 * funnel.c
 *		The aggregates window_funnel, window_funnel_except, funnel_times,
 *		funnel_attempts and funnel_attempt_ends.
 *
 * They collect the events of a lead that satisfy a step; funnel_match.c works
 * out the result at the end.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "funnel.h"

PG_FUNCTION_INFO_V1(leadscore_window_funnel_transfn);
PG_FUNCTION_INFO_V1(leadscore_window_funnel_except_transfn);
PG_FUNCTION_INFO_V1(leadscore_window_funnel_combinefn);
PG_FUNCTION_INFO_V1(leadscore_window_funnel_finalfn);
PG_FUNCTION_INFO_V1(leadscore_funnel_times_finalfn);
PG_FUNCTION_INFO_V1(leadscore_funnel_attempts_finalfn);
PG_FUNCTION_INFO_V1(leadscore_funnel_attempt_ends_finalfn);

/* What is asked: the same for all rows of a group */
typedef struct FunnelQuestion
{
	uint8		mode;
	uint8		nsteps;
	uint8		from_step;		/* 0: no exclusion */
	uint8		to_step;
} FunnelQuestion;

/*
 * State of the aggregates: a bytea that holds events as they come, with room
 * to spare.  Being a plain bytea it travels between parallel workers and
 * nodes without a serial function.  Anyone can call the support functions
 * with bytes of his own, so whatever is read from a state is checked.
 *
 * An event is its time and then, least significant byte first, as many bytes
 * as a bit for every step, and one for the exclusion if there is one, need.
 * With up to 8 steps that is 9 bytes: 11 events fit the 128 bytes at the start.
 */
typedef struct FunnelState
{
	int32		vl_len_;
	uint32		magic;
	int32		nevents;
	FunnelQuestion question;
	int64		within;			/* microseconds */
	unsigned char events[FLEXIBLE_ARRAY_MEMBER];
} FunnelState;

#define STATE_MAGIC		0x6c736631	/* "lsf1" */
#define STATE_HEADER	offsetof(FunnelState, events)
#define STATE_EMPTY		32		/* bytes while nothing matched */
#define STATE_START		128		/* bytes for the first events */

/* Arguments of the transition functions */
#define ARG_STATE		0
#define ARG_AT			1
#define ARG_WITHIN		2
#define ARG_MODE		3
#define ARG_STEPS		4
#define ARG_EXCLUDE		4		/* with an exclusion */
#define ARG_FROM		5
#define ARG_TO			6
#define ARG_EXCEPT_STEPS	7

/* The arguments of the last row and what they mean, kept at the call site */
typedef struct FunnelCall
{
	FunnelQuestion question;
	int64		within;
	Interval	interval;
	int32		from_step;
	int32		to_step;
	int			mode_len;
	char		mode[16];
} FunnelCall;

static const char *const mode_names[FUNNEL_MODES] =
{
	"ordered", "increase", "strict", "any"
};

/* The name of a mode */
const char *
leadscore_funnel_mode_name(FunnelMode mode)
{
	return mode_names[mode];
}

/* An argument that says what is asked is null. */
void
leadscore_funnel_null(const char *name, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("%s of a funnel must not be null", name),
			 errhint("%s", hint)));
}

/* Length of the window in microseconds */
int64
leadscore_funnel_within(const Interval *within)
{
	const char *text = DatumGetCString(DirectFunctionCall1(interval_out,
														   IntervalPGetDatum(within)));
	double		length;

	if (within->month != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("window of a funnel must have a fixed length: \"%s\"", text),
				 errdetail("Months differ in length."),
				 errhint("Use days (of 24 hours), hours or smaller units, such as '30 days'.")));
	/* values that a double cannot tell apart are far from these bounds */
	length = (double) within->day * USECS_PER_DAY + within->time;
	if (fabs(length) > (double) PG_INT64_MAX / 2)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("window of a funnel is out of range: \"%s\"", text),
				 errhint("Use less than 100000 years.")));
	if ((int64) within->day * USECS_PER_DAY + within->time <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("window of a funnel must be greater than zero: \"%s\"", text),
				 errhint("Pass an interval such as '14 days'.")));
	return (int64) within->day * USECS_PER_DAY + within->time;
}

/* A mode by its name */
FunnelMode
leadscore_funnel_mode(const char *name, int len)
{
	int			mode;

	for (mode = 0; mode < FUNNEL_MODES; mode++)
		if (strlen(mode_names[mode]) == len &&
			memcmp(mode_names[mode], name, len) == 0)
			return (FunnelMode) mode;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown funnel mode \"%s\"", pnstrdup(name, len)),
			 errhint("Modes are \"%s\", \"%s\", \"%s\" and \"%s\".",
					 mode_names[0], mode_names[1], mode_names[2], mode_names[3])));
}

/*
 * Steps are a list, passed as conditions after VARIADIC or in one array;
 * returns their number.
 */
int
leadscore_funnel_steps(const ArrayType *steps, const char *passed)
{
	int			nsteps = ARR_NDIM(steps) == 1 ? ARR_DIMS(steps)[0] : 0;
	bool		conditions = strcmp(passed, FUNNEL_CONDITIONS) == 0;

	if (ARR_NDIM(steps) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("steps of a funnel must be a list"),
				 errhint("Pass an array of one dimension%s.",
						 conditions ? " after VARIADIC" : "")));
	if (nsteps == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a funnel needs at least one step"),
				 errhint("Pass 1 to %d %s.", FUNNEL_MAX_STEPS, passed)));
	if (nsteps > FUNNEL_MAX_STEPS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a funnel cannot have more than %d steps", FUNNEL_MAX_STEPS),
				 errdetail("There are %d.", nsteps),
				 errhint("Leave steps out%s.", conditions ? ", or join some by OR" : "")));
	return nsteps;
}

/*
 * Refuse steps of an exclusion that do not exist, or are in the wrong order.
 */
static void
check_exclusion(int32 from_step, int32 to_step, int nsteps, FunnelMode mode)
{
	if (from_step < 1 || to_step > nsteps)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a funnel of %d steps has no steps from %d to %d",
						nsteps, from_step, to_step),
				 errhint("Steps are counted from 1.")));
	if (from_step >= to_step)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("from_step must be less than to_step"),
				 errdetail("They are %d and %d.", from_step, to_step),
				 errhint("Events are excluded between two steps of the funnel.")));
	if (mode == FUNNEL_ANY && (from_step > 1 || to_step < nsteps))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("funnel mode \"%s\" cannot exclude events from step %d to %d",
						mode_names[mode], from_step, to_step),
				 errdetail("Steps have no order in this mode."),
				 errhint("Exclude from the first to the last step (1 to %d), or choose another mode.",
						 nsteps)));
}

/*
 * Read and check what is asked.  It hardly ever changes from row to row, so
 * the answer is kept.
 */
static const FunnelCall *
read_call(FunctionCallInfo fcinfo, bool except, const ArrayType *steps)
{
	FunnelCall *call = fcinfo->flinfo->fn_extra;
	const Interval *within;
	const text *mode;
	const char *mode_name;
	int			mode_len;
	int32		from_step = 0;
	int32		to_step = 0;

	if (PG_ARGISNULL(ARG_WITHIN))
		leadscore_funnel_null("within", "Pass an interval such as '14 days'.");
	if (PG_ARGISNULL(ARG_MODE))
		leadscore_funnel_null("mode", "The usual mode is \"ordered\".");
	within = PG_GETARG_INTERVAL_P(ARG_WITHIN);
	mode = PG_GETARG_TEXT_PP(ARG_MODE);
	mode_name = VARDATA_ANY(mode);
	mode_len = VARSIZE_ANY_EXHDR(mode);
	if (except)
	{
		if (PG_ARGISNULL(ARG_FROM) || PG_ARGISNULL(ARG_TO))
			leadscore_funnel_null(PG_ARGISNULL(ARG_FROM) ? "from_step" : "to_step",
								  "Give the number of a step, counted from 1.");
		from_step = PG_GETARG_INT32(ARG_FROM);
		to_step = PG_GETARG_INT32(ARG_TO);
	}

	if (call != NULL &&
		ARR_NDIM(steps) == 1 && ARR_DIMS(steps)[0] == call->question.nsteps &&
		within->time == call->interval.time &&
		within->day == call->interval.day &&
		within->month == call->interval.month &&
		from_step == call->from_step && to_step == call->to_step &&
		mode_len == call->mode_len &&
		memcmp(mode_name, call->mode, mode_len) == 0)
		return call;

	if (call == NULL)
	{
		call = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(FunnelCall));
		fcinfo->flinfo->fn_extra = call;
	}
	call->mode_len = -1;		/* not to be used if there is an error now */
	call->within = leadscore_funnel_within(within);
	call->question.mode = (uint8) leadscore_funnel_mode(mode_name, mode_len);
	call->question.nsteps = (uint8) leadscore_funnel_steps(steps, FUNNEL_CONDITIONS);
	if (except)
		check_exclusion(from_step, to_step, call->question.nsteps,
						(FunnelMode) call->question.mode);
	call->question.from_step = (uint8) from_step;
	call->question.to_step = (uint8) to_step;
	call->interval = *within;
	call->from_step = from_step;
	call->to_step = to_step;
	memcpy(call->mode, mode_name, mode_len);
	call->mode_len = mode_len;
	return call;
}

/* Bytes of an event */
static inline Size
event_width(FunnelQuestion question)
{
	return sizeof(int64) + (question.nsteps + (question.from_step > 0) + 7) / 8;
}

/* How many events a state has room for */
static inline int64
state_capacity(const FunnelState *state)
{
	return (VARSIZE(state) - STATE_HEADER) / event_width(state->question);
}

/* A state without events, of so many bytes */
static FunnelState *
state_create(FunnelQuestion question, int64 within, Size size)
{
	FunnelState *state = palloc0(size);

	SET_VARSIZE(state, size);
	state->magic = STATE_MAGIC;
	state->question = question;
	state->within = within;
	return state;
}

/* Read argument n as a state and check it. */
static FunnelState *
state_arg(FunctionCallInfo fcinfo, int n)
{
	FunnelState *state = (FunnelState *) PG_GETARG_BYTEA_P(n);

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
		state->question.mode >= FUNNEL_MODES ||
		state->question.nsteps < 1 || state->question.nsteps > FUNNEL_MAX_STEPS ||
		state->question.to_step > state->question.nsteps ||
		(state->question.from_step > 0 ?
		 state->question.from_step >= state->question.to_step :
		 state->question.to_step > 0) ||
		(state->question.mode == FUNNEL_ANY && state->question.from_step > 0 &&
		 (state->question.from_step > 1 || state->question.to_step < state->question.nsteps)) ||
		state->within <= 0 ||
		state->nevents < 0 || state->nevents > state_capacity(state))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid aggregate state of a funnel"),
				 errhint("Call the aggregate, not its support function.")));
	return state;
}

/* What is asked may not change within a group. */
void
leadscore_funnel_differs(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s of a funnel must be the same for all rows of a group", what),
			 errhint("Use constants, or columns that are in GROUP BY.")));
}

/* Refuse a row that asks for something else than its group. */
static void
check_same(const FunnelState *state, FunnelQuestion question, int64 within)
{
	const char *what;

	if (state->within == within &&
		memcmp(&state->question, &question, sizeof(question)) == 0)
		return;
	if (state->within != within)
		what = "within";
	else if (state->question.mode != question.mode)
		what = "mode";
	else if (state->question.nsteps != question.nsteps)
		what = "number of steps";
	else
		what = "from_step and to_step";
	leadscore_funnel_differs(what);
}

/* A state with room for more events: this one or one at least twice as large. */
static FunnelState *
state_with_room(FunnelState *state, int32 more)
{
	Size		needed;
	Size		size = VARSIZE(state);
	FunnelState *grown;

	if (state->nevents + (int64) more <= state_capacity(state))
		return state;

	needed = STATE_HEADER +
		(state->nevents + (Size) more) * event_width(state->question);
	if (needed > MaxAllocSize)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a funnel cannot have more than %d events in a group",
						(int) ((MaxAllocSize - STATE_HEADER) / event_width(state->question))),
				 errhint("Group by lead, or leave out events before they are aggregated.")));
	size = Max(size, STATE_START / 2);
	do
		size *= 2;
	while (size < needed);
	grown = state_create(state->question, state->within, Min(size, MaxAllocSize));
	memcpy(grown->events, state->events,
		   state->nevents * event_width(state->question));
	grown->nevents = state->nevents;
	return grown;
}

/* The steps that a row satisfies, as bits */
static inline uint32
read_steps(const ArrayType *steps, int nsteps)
{
	const char *value = ARR_DATA_PTR(steps);
	const bits8 *present = ARR_NULLBITMAP(steps);
	uint32		result = 0;
	int			i;

	if (likely(present == NULL))
	{
		for (i = 0; i < nsteps; i++)
			result |= (uint32) (value[i] != 0) << i;
		return result;
	}
	for (i = 0; i < nsteps; i++)
		if (present[i / 8] & (1 << (i % 8)))
			result |= (uint32) (*value++ != 0) << i;
	return result;
}

/* Add a row to a state. */
static Datum
add_row(FunctionCallInfo fcinfo, bool except)
{
	int			steps_arg = except ? ARG_EXCEPT_STEPS : ARG_STEPS;
	const ArrayType *steps;
	const FunnelCall *call;
	FunnelState *state;
	uint64		bits;
	unsigned char *out;
	int64		at;
	int			i;

	if (PG_ARGISNULL(steps_arg))
		leadscore_funnel_null("steps", "Give conditions as last arguments, or an array after VARIADIC.");
	steps = PG_GETARG_ARRAYTYPE_P(steps_arg);
	call = read_call(fcinfo, except, steps);
	if (PG_ARGISNULL(ARG_STATE))
		state = NULL;
	else
	{
		state = state_arg(fcinfo, ARG_STATE);
		check_same(state, call->question, call->within);
	}

	bits = read_steps(steps, call->question.nsteps);
	if (except && !PG_ARGISNULL(ARG_EXCLUDE) && PG_GETARG_BOOL(ARG_EXCLUDE))
		bits |= UINT64CONST(1) << call->question.nsteps;

	/* an event that matches nothing matters only if steps must be consecutive */
	if (PG_ARGISNULL(ARG_AT) ||
		(bits == 0 && call->question.mode != FUNNEL_STRICT))
	{
		if (state == NULL)
			state = state_create(call->question, call->within, STATE_EMPTY);
		PG_RETURN_POINTER(state);
	}

	if (state == NULL)
		state = state_create(call->question, call->within, STATE_START);
	else
		state = state_with_room(state, 1);
	at = PG_GETARG_TIMESTAMPTZ(ARG_AT);
	out = state->events + state->nevents * event_width(state->question);
	memcpy(out, &at, sizeof(at));
	out += sizeof(at);
	*out++ = (unsigned char) bits;
	for (i = 8; i < call->question.nsteps + (except ? 1 : 0); i += 8)
		*out++ = (unsigned char) (bits >> i);
	state->nevents++;
	PG_RETURN_POINTER(state);
}

/* Those without an exclusion: (state, at, within, mode, VARIADIC steps) */
Datum
leadscore_window_funnel_transfn(PG_FUNCTION_ARGS)
{
	return add_row(fcinfo, false);
}

/*
 * window_funnel_except: (state, at, within, mode, exclude, from_step, to_step,
 * VARIADIC steps)
 */
Datum
leadscore_window_funnel_except_transfn(PG_FUNCTION_ARGS)
{
	return add_row(fcinfo, true);
}

/* All of them: the events of one state after those of the other.  Strict. */
Datum
leadscore_window_funnel_combinefn(PG_FUNCTION_ARGS)
{
	FunnelState *left = state_arg(fcinfo, 0);
	FunnelState *right = state_arg(fcinfo, 1);
	Size		width = event_width(left->question);

	check_same(left, right->question, right->within);
	left = state_with_room(left, right->nevents);
	memcpy(left->events + left->nevents * width, right->events,
		   right->nevents * width);
	left->nevents += right->nevents;
	PG_RETURN_POINTER(left);
}

/* Room for the events of most groups */
typedef FunnelEvent FewEvents[32];

/*
 * The question and the sorted events of the state in argument 0; except says
 * whether an exclusion may be asked.  The state stays as it is: it may be
 * finalized more than once.
 */
static FunnelEvent *
read_state(FunctionCallInfo fcinfo, bool except, FunnelSpec *spec, FewEvents few,
		   int32 *nevents)
{
	FunnelState *state = state_arg(fcinfo, 0);
	FunnelEvent *events = few;
	Size		width = event_width(state->question);
	int			nbytes = (int) (width - sizeof(int64));
	uint32		all = PG_UINT32_MAX >> (32 - state->question.nsteps);
	const unsigned char *in = state->events;
	bool		sorted = true;
	int32		i;

	if (!except && state->question.from_step > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid aggregate state of a funnel"),
				 errhint("Call the aggregate, not its support function.")));
	spec->within = state->within;
	spec->mode = (FunnelMode) state->question.mode;
	spec->nsteps = state->question.nsteps;
	spec->from_step = state->question.from_step;
	spec->to_step = state->question.to_step;

	if (state->nevents > (int32) (sizeof(FewEvents) / sizeof(FunnelEvent)))
		events = MemoryContextAllocHuge(CurrentMemoryContext,
										state->nevents * sizeof(FunnelEvent));
	for (i = 0; i < state->nevents; i++)
	{
		uint64		bits = in[sizeof(int64)];
		int			byte;

		for (byte = 1; byte < nbytes; byte++)
			bits |= (uint64) in[sizeof(int64) + byte] << (8 * byte);
		memcpy(&events[i].at, in, sizeof(int64));
		events[i].steps = (uint32) bits & all;
		events[i].excluded = spec->from_step > 0 && (bits >> spec->nsteps & 1) != 0;
		if (i > 0 && events[i].at < events[i - 1].at)
			sorted = false;
		in += width;
	}
	if (!sorted)
		leadscore_funnel_sort(events, state->nevents);
	*nevents = state->nevents;
	return events;
}

/*
 * Level that a state amounts to, and the times of its chain if times is not
 * NULL
 */
static int
state_level(FunctionCallInfo fcinfo, int64 *times)
{
	FewEvents	few;
	FunnelSpec	spec;
	int32		nevents;
	FunnelEvent *events = read_state(fcinfo, times == NULL, &spec, few, &nevents);

	return leadscore_funnel_match(&spec, events, nevents, times);
}

/* The attempts that a state amounts to; none if there was no row */
static int32
state_attempts(FunctionCallInfo fcinfo, FunnelAttempt **attempts)
{
	FewEvents	few;
	FunnelSpec	spec;
	int32		nevents;
	FunnelEvent *events;

	if (PG_ARGISNULL(0))
		return 0;
	events = read_state(fcinfo, false, &spec, few, &nevents);
	return leadscore_funnel_attempts(&spec, events, nevents, attempts);
}

/* The level; 0 if there was no row */
Datum
leadscore_window_funnel_finalfn(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_INT32(0);
	PG_RETURN_INT32(state_level(fcinfo, NULL));
}

/* The times of the chain; an empty array if there is none */
Datum
leadscore_funnel_times_finalfn(PG_FUNCTION_ARGS)
{
	int64		times[FUNNEL_MAX_STEPS];
	Datum		values[FUNNEL_MAX_STEPS];
	int			level = 0;
	int			i;

	if (!PG_ARGISNULL(0))
		level = state_level(fcinfo, times);
	if (level == 0)
		PG_RETURN_ARRAYTYPE_P(construct_empty_array(TIMESTAMPTZOID));
	for (i = 0; i < level; i++)
		values[i] = TimestampTzGetDatum(times[i]);
	PG_RETURN_ARRAYTYPE_P(construct_array(values, level, TIMESTAMPTZOID,
										  sizeof(TimestampTz), FLOAT8PASSBYVAL,
										  TYPALIGN_DOUBLE));
}

/* The levels of the attempts, in the order of time */
Datum
leadscore_funnel_attempts_finalfn(PG_FUNCTION_ARGS)
{
	FunnelAttempt *attempts;
	int32		count = state_attempts(fcinfo, &attempts);
	Datum	   *values;
	int32		i;

	if (count == 0)
		PG_RETURN_ARRAYTYPE_P(construct_empty_array(INT4OID));
	values = MemoryContextAllocHuge(CurrentMemoryContext, count * sizeof(Datum));
	for (i = 0; i < count; i++)
		values[i] = Int32GetDatum(attempts[i].level);
	PG_RETURN_ARRAYTYPE_P(construct_array(values, count, INT4OID,
										  sizeof(int32), true, TYPALIGN_INT));
}

/* When each of them was complete, or its last window is over */
Datum
leadscore_funnel_attempt_ends_finalfn(PG_FUNCTION_ARGS)
{
	FunnelAttempt *attempts;
	int32		count = state_attempts(fcinfo, &attempts);
	Datum	   *values;
	int32		i;

	if (count == 0)
		PG_RETURN_ARRAYTYPE_P(construct_empty_array(TIMESTAMPTZOID));
	values = MemoryContextAllocHuge(CurrentMemoryContext, count * sizeof(Datum));
	for (i = 0; i < count; i++)
	{
		TimestampTz end = attempts[i].end;

		/* a window may end after all times that there are */
		if (end >= END_TIMESTAMP)
			end = DT_NOEND;
		values[i] = TimestampTzGetDatum(end);
	}
	PG_RETURN_ARRAYTYPE_P(construct_array(values, count, TIMESTAMPTZOID,
										  sizeof(TimestampTz), FLOAT8PASSBYVAL,
										  TYPALIGN_DOUBLE));
}
