/*-------------------------------------------------------------------------
 *
 * event_funnel.c
 *		The aggregate event_funnel: window_funnel for steps that are kinds.
 *
 * window_funnel has every step evaluated for every row, and its state, a bytea,
 * is checked with every row.  Here a row brings its kind, which is looked up
 * once, and the state is a pointer into the memory of the aggregate.  What is
 * asked is read once if its arguments cannot change in a query.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tupmacs.h"
#include "catalog/pg_type_d.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "nodes/primnodes.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "funnel.h"

PG_FUNCTION_INFO_V1(leadscore_event_funnel_transfn);
PG_FUNCTION_INFO_V1(leadscore_event_funnel_combinefn);
PG_FUNCTION_INFO_V1(leadscore_event_funnel_serialfn);
PG_FUNCTION_INFO_V1(leadscore_event_funnel_deserialfn);
PG_FUNCTION_INFO_V1(leadscore_event_funnel_finalfn);

/*
 * A kind that is a step.  No two kinds have the same length, head and tail, so
 * no byte is looked at that these do not hold, but of kinds that match.
 */
typedef struct StepKind
{
	uint64		head;			/* see head_of() */
	int32		len;
	int32		first;			/* index of the first step of this kind */
	const char *name;
} StepKind;

/*
 * The question in the bytes of a state on its way between processes.  The kinds
 * themselves stay behind: a hash says whether two states ask for the same ones.
 */
typedef struct QuestionHeader
{
	uint32		magic;
	uint8		mode;
	uint8		nsteps;
	uint8		unused[2];
	int64		within;
	uint64		hash;
	uint8		first[FUNNEL_MAX_STEPS];	/* first step of the same kind */
} QuestionHeader;

#define HEADER_MAGIC	0x6c736533	/* "lse3" */
#define HEADER_SIZE(nsteps)	(offsetof(QuestionHeader, first) + (nsteps))

/* What is asked */
typedef struct EventFunnelQuestion
{
	FunnelSpec	spec;
	bool		shared;			/* lives as long as the query */
	QuestionHeader header;
	uint32		steps_of[FUNNEL_MAX_STEPS + 1]; /* by the first step of a
												 * kind; 0 for no kind */
	/* not in questions that came from another process */
	Interval	within;
	const ArrayType *steps;
	int			nkinds;
	StepKind	kinds[FLEXIBLE_ARRAY_MEMBER];
} EventFunnelQuestion;

/*
 * State of the aggregate.  An event is its time and one byte, the first step
 * of its kind, or NO_STEP.
 */
typedef struct EventFunnelState
{
	const EventFunnelQuestion *question;
	int32		nevents;
	int32		capacity;
	unsigned char events[FLEXIBLE_ARRAY_MEMBER];
} EventFunnelState;

#define EVENT_WIDTH		(sizeof(int64) + 1)
#define NO_STEP			FUNNEL_MAX_STEPS
#define STATE_HEADER	offsetof(EventFunnelState, events)
#define STATE_START		128		/* bytes for the first events */
#define MAX_EVENTS		((int32) ((MaxAllocSize - sizeof(QuestionHeader) - VARHDRSZ - STATE_HEADER) / EVENT_WIDTH))

/* Arguments of the transition function */
#define ARG_STATE		0
#define ARG_KIND		1
#define ARG_AT			2
#define ARG_WITHIN		3
#define ARG_MODE		4
#define ARG_STEPS		5

/* What a call site of the transition function knows */
typedef struct TransitionSite
{
	bool		stable;			/* what is asked cannot change */
	EventFunnelQuestion *question;	/* if so, once it was read */
} TransitionSite;

/*
 * Up to eight bytes of a string as a number, from which they can be told if the
 * length is known.
 */
static inline uint64
head_of(const char *s, int len)
{
	uint64		head = 0;
	uint32		low;
	uint32		high;

	if (likely(len >= 8))
		memcpy(&head, s, 8);
	else if (len >= 4)
	{
		memcpy(&low, s, 4);
		memcpy(&high, s + len - 4, 4);
		head = (uint64) high << 32 | low;
	}
	else if (len > 0)
		head = (uint64) (unsigned char) s[0] << 16 |
			(uint64) (unsigned char) s[len / 2] << 8 | (unsigned char) s[len - 1];
	return head;
}

/* The first step of a kind; NO_STEP if there is none */
static inline int
find_step(const EventFunnelQuestion *question, const char *name, int len)
{
	uint64		head = head_of(name, len);
	int			i;

	for (i = 0; i < question->nkinds; i++)
	{
		const StepKind *kind = &question->kinds[i];

		if (kind->head == head && kind->len == len &&
			(len <= 8 || memcmp(kind->name + 8, name + 8, len - 8) == 0))
			return kind->first;
	}
	return NO_STEP;
}

/* Steps by the first step of their kind, from the header */
static void
index_steps(EventFunnelQuestion *question)
{
	int			i;

	memset(question->steps_of, 0, sizeof(question->steps_of));
	for (i = 0; i < question->spec.nsteps; i++)
		question->steps_of[question->header.first[i]] |= (uint32) 1 << i;
}

/* Read the kinds of a question from its copy of the array. */
static void
read_kinds(EventFunnelQuestion *question)
{
	const ArrayType *steps = question->steps;
	const char *value = ARR_DATA_PTR(steps);
	uint64		hash = 0;
	int			i;

	if (ARR_HASNULL(steps) && array_contains_nulls(unconstify(ArrayType *, steps)))
		leadscore_funnel_null("a step", "Pass kinds only.");
	for (i = 0; i < question->spec.nsteps; i++)
	{
		const char *name = VARDATA_ANY(value);
		int			len = VARSIZE_ANY_EXHDR(value);
		int			first = find_step(question, name, len);

		if (first == NO_STEP)
		{
			StepKind   *kind = &question->kinds[question->nkinds++];

			kind->head = head_of(name, len);
			kind->len = len;
			kind->first = first = i;
			kind->name = name;
		}
		question->header.first[i] = (uint8) first;
		hash = hash_bytes_extended((const unsigned char *) name, len, hash + len);
		value = att_addlength_pointer(value, -1, value);
		value = (const char *) att_align_nominal(value, TYPALIGN_INT);
	}
	question->header.hash = hash;
}

/* A new question from the arguments of a row */
static EventFunnelQuestion *
read_question(FunctionCallInfo fcinfo, MemoryContext context)
{
	const text *mode;
	const ArrayType *steps;
	ArrayType  *copy;
	EventFunnelQuestion *question;
	int			nsteps;

	if (PG_ARGISNULL(ARG_WITHIN))
		leadscore_funnel_null("within", "Pass an interval such as '14 days'.");
	if (PG_ARGISNULL(ARG_MODE))
		leadscore_funnel_null("mode", "The usual mode is \"ordered\".");
	if (PG_ARGISNULL(ARG_STEPS))
		leadscore_funnel_null("steps", "Pass the kinds of the steps in an array.");
	mode = PG_GETARG_TEXT_PP(ARG_MODE);
	steps = PG_GETARG_ARRAYTYPE_P(ARG_STEPS);
	nsteps = leadscore_funnel_steps(steps, "kinds in an array");

	copy = MemoryContextAlloc(context, VARSIZE(steps));
	memcpy(copy, steps, VARSIZE(steps));
	question = MemoryContextAllocZero(context, offsetof(EventFunnelQuestion, kinds) +
									  nsteps * sizeof(StepKind));
	question->steps = copy;
	question->within = *PG_GETARG_INTERVAL_P(ARG_WITHIN);
	question->spec.within = leadscore_funnel_within(&question->within);
	question->spec.mode = leadscore_funnel_mode(VARDATA_ANY(mode), VARSIZE_ANY_EXHDR(mode));
	question->spec.nsteps = nsteps;
	question->header.magic = HEADER_MAGIC;
	question->header.mode = (uint8) question->spec.mode;
	question->header.nsteps = (uint8) nsteps;
	question->header.within = question->spec.within;
	read_kinds(question);
	index_steps(question);
	return question;
}

/* Do the arguments of a row ask this, to the byte? */
static bool
asks_the_same(FunctionCallInfo fcinfo, const EventFunnelQuestion *question)
{
	const Interval *within;
	const text *mode;
	const char *name = leadscore_funnel_mode_name(question->spec.mode);
	const ArrayType *steps;

	if (PG_ARGISNULL(ARG_WITHIN) || PG_ARGISNULL(ARG_MODE) || PG_ARGISNULL(ARG_STEPS))
		return false;
	within = PG_GETARG_INTERVAL_P(ARG_WITHIN);
	mode = PG_GETARG_TEXT_PP(ARG_MODE);
	if (within->time != question->within.time || within->day != question->within.day ||
		within->month != question->within.month ||
		strlen(name) != VARSIZE_ANY_EXHDR(mode) ||
		memcmp(name, VARDATA_ANY(mode), strlen(name)) != 0)
		return false;
	steps = PG_GETARG_ARRAYTYPE_P(ARG_STEPS);
	return VARSIZE(steps) == VARSIZE(question->steps) &&
		memcmp(steps, question->steps, VARSIZE(steps)) == 0;
}

/* What is asked may not change within a group. */
static inline void
check_same(const EventFunnelQuestion *a, const EventFunnelQuestion *b)
{
	if (likely(a == b))
		return;
	if (a->spec.within != b->spec.within)
		leadscore_funnel_differs("within");
	if (a->spec.mode != b->spec.mode)
		leadscore_funnel_differs("mode");
	if (memcmp(&a->header, &b->header, sizeof(QuestionHeader)) != 0)
		leadscore_funnel_differs("steps");
}

/* Can an argument of the aggregate change within a query? */
static bool
argument_is_stable(const Aggref *aggref, int n)
{
	const Node *argument = (const Node *) list_nth_node(TargetEntry, aggref->args, n - 1)->expr;

	return IsA(argument, Const) ||
		(IsA(argument, Param) && ((const Param *) argument)->paramkind == PARAM_EXTERN);
}

/* What is known at the call site of the transition function */
static TransitionSite *
transition_site(FunctionCallInfo fcinfo)
{
	TransitionSite *site = fcinfo->flinfo->fn_extra;
	const Aggref *aggref;

	if (likely(site != NULL))
		return site;
	/* there is no Aggref in a window */
	aggref = AggGetAggref(fcinfo);
	site = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(TransitionSite));
	site->stable = aggref != NULL && list_length(aggref->args) >= ARG_STEPS &&
		argument_is_stable(aggref, ARG_WITHIN) &&
		argument_is_stable(aggref, ARG_MODE) && argument_is_stable(aggref, ARG_STEPS);
	fcinfo->flinfo->fn_extra = site;
	return site;
}

/* The memory that the states of the present groups are in */
static MemoryContext
state_context(FunctionCallInfo fcinfo)
{
	MemoryContext context;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "support function of event_funnel called outside of an aggregate");
	return context;
}

/* Bytes of a state with room for some events: a power of two, as chunks are */
static Size
state_size(int64 nevents)
{
	Size		size = STATE_START;

	while ((int64) ((size - STATE_HEADER) / EVENT_WIDTH) < nevents)
		size *= 2;
	return Min(size, MaxAllocSize);
}

/* A state without events, with room for some */
static EventFunnelState *
state_create(MemoryContext context, const EventFunnelQuestion *question, int32 nevents)
{
	Size		size = state_size(nevents);
	EventFunnelState *state = MemoryContextAlloc(context, size);

	state->question = question;
	state->nevents = 0;
	state->capacity = (int32) ((size - STATE_HEADER) / EVENT_WIDTH);
	return state;
}

/* A state with room for more events; it may move. */
static EventFunnelState *
state_with_room(EventFunnelState *state, int32 more)
{
	int64		needed = (int64) state->nevents + more;
	Size		size;

	if (likely(needed <= state->capacity))
		return state;
	if (needed > MAX_EVENTS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a funnel cannot have more than %d events in a group", MAX_EVENTS),
				 errhint("Group by lead, or leave out events before they are aggregated.")));
	size = state_size(needed);
	state = repalloc(state, size);
	state->capacity = (int32) ((size - STATE_HEADER) / EVENT_WIDTH);
	return state;
}

/* event_funnel: (state, kind, at, within, mode, steps) */
Datum
leadscore_event_funnel_transfn(PG_FUNCTION_ARGS)
{
	TransitionSite *site = transition_site(fcinfo);
	EventFunnelState *state = PG_ARGISNULL(ARG_STATE) ? NULL :
		(EventFunnelState *) PG_GETARG_POINTER(ARG_STATE);
	const EventFunnelQuestion *question = site->question;
	unsigned char *out;
	int64		at;
	int			step = NO_STEP;

	if (unlikely(question == NULL))
	{
		if (site->stable)
		{
			site->question = read_question(fcinfo, fcinfo->flinfo->fn_mcxt);
			site->question->shared = true;
			question = site->question;
		}
		else if (state != NULL)
		{
			question = state->question;
			if (!asks_the_same(fcinfo, question))
				check_same(question, read_question(fcinfo, CurrentMemoryContext));
		}
		else
		{
			MemoryContext context = state_context(fcinfo);

			question = read_question(fcinfo, context);
			state = state_create(context, question, 0);
		}
	}

	if (!PG_ARGISNULL(ARG_KIND))
	{
		const text *kind = PG_GETARG_TEXT_PP(ARG_KIND);

		step = find_step(question, VARDATA_ANY(kind), VARSIZE_ANY_EXHDR(kind));
	}
	/* an event that is no step matters only if steps must be consecutive */
	if (PG_ARGISNULL(ARG_AT) || (step == NO_STEP && question->spec.mode != FUNNEL_STRICT))
	{
		if (state == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(state);
	}

	if (state == NULL)
		state = state_create(state_context(fcinfo), question, 0);
	else
		state = state_with_room(state, 1);
	at = PG_GETARG_TIMESTAMPTZ(ARG_AT);
	out = state->events + state->nevents * EVENT_WIDTH;
	memcpy(out, &at, sizeof(at));
	out[sizeof(at)] = (unsigned char) step;
	state->nevents++;
	PG_RETURN_POINTER(state);
}

/* The events of one state after those of the other */
Datum
leadscore_event_funnel_combinefn(PG_FUNCTION_ARGS)
{
	MemoryContext context = state_context(fcinfo);
	EventFunnelState *left = PG_ARGISNULL(0) ? NULL : (EventFunnelState *) PG_GETARG_POINTER(0);
	const EventFunnelState *right = PG_ARGISNULL(1) ? NULL : (EventFunnelState *) PG_GETARG_POINTER(1);

	if (right == NULL)
	{
		if (left == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(left);
	}
	if (left == NULL)
	{
		const EventFunnelQuestion *question = right->question;

		/* the right one is not ours to keep */
		if (!question->shared)
		{
			EventFunnelQuestion *copy = MemoryContextAlloc(context, offsetof(EventFunnelQuestion, kinds));

			memcpy(copy, question, offsetof(EventFunnelQuestion, kinds));
			copy->steps = NULL;
			copy->nkinds = 0;
			question = copy;
		}
		left = state_create(context, question, right->nevents);
	}
	else
	{
		check_same(left->question, right->question);
		left = state_with_room(left, right->nevents);
	}
	memcpy(left->events + left->nevents * EVENT_WIDTH, right->events,
		   right->nevents * EVENT_WIDTH);
	left->nevents += right->nevents;
	PG_RETURN_POINTER(left);
}

/* A state as bytes: the question, then the events.  Strict. */
Datum
leadscore_event_funnel_serialfn(PG_FUNCTION_ARGS)
{
	const EventFunnelState *state;
	Size		header;
	Size		size;
	bytea	   *result;

	(void) state_context(fcinfo);
	state = (EventFunnelState *) PG_GETARG_POINTER(0);
	header = HEADER_SIZE(state->question->spec.nsteps);
	size = VARHDRSZ + header + state->nevents * EVENT_WIDTH;
	result = palloc(size);
	SET_VARSIZE(result, size);
	memcpy(VARDATA(result), &state->question->header, header);
	memcpy(VARDATA(result) + header, state->events, state->nevents * EVENT_WIDTH);
	PG_RETURN_BYTEA_P(result);
}

/* The question in the header of a state that came as bytes */
static EventFunnelQuestion *
receive_question(const char *data, Size len, MemoryContext context)
{
	EventFunnelQuestion *question = MemoryContextAllocZero(context, offsetof(EventFunnelQuestion, kinds));
	QuestionHeader *header = &question->header;
	bool		valid;
	int			i;

	memcpy(header, data, Min(len, HEADER_SIZE(0)));
	valid = header->magic == HEADER_MAGIC && header->mode < FUNNEL_MODES &&
		header->nsteps >= 1 && header->nsteps <= FUNNEL_MAX_STEPS &&
		header->within > 0 && len >= HEADER_SIZE(header->nsteps);
	if (valid)
	{
		memcpy(header->first, data + HEADER_SIZE(0), header->nsteps);
		for (i = 0; i < header->nsteps; i++)
			valid = valid && header->first[i] <= i;
	}
	if (!valid)
		elog(ERROR, "invalid state of event_funnel");
	question->spec.within = header->within;
	question->spec.mode = (FunnelMode) header->mode;
	question->spec.nsteps = header->nsteps;
	index_steps(question);
	return question;
}

/* A state from its bytes.  Strict. */
Datum
leadscore_event_funnel_deserialfn(PG_FUNCTION_ARGS)
{
	const bytea *bytes = PG_GETARG_BYTEA_PP(0);
	const char *data = VARDATA_ANY(bytes);
	Size		len = VARSIZE_ANY_EXHDR(bytes);
	EventFunnelQuestion *question = fcinfo->flinfo->fn_extra;
	EventFunnelState *state;
	Size		header;
	int32		nevents;
	int32		i;

	(void) state_context(fcinfo);
	/* states of one query ask the same, but in odd cases */
	if (question == NULL)
	{
		question = receive_question(data, len, fcinfo->flinfo->fn_mcxt);
		question->shared = true;
		fcinfo->flinfo->fn_extra = question;
	}
	else if (len < HEADER_SIZE(question->spec.nsteps) ||
			 memcmp(data, &question->header, HEADER_SIZE(question->spec.nsteps)) != 0)
		question = receive_question(data, len, CurrentMemoryContext);

	header = HEADER_SIZE(question->spec.nsteps);
	if ((len - header) % EVENT_WIDTH != 0)
		elog(ERROR, "invalid state of event_funnel");
	nevents = (int32) ((len - header) / EVENT_WIDTH);
	state = state_create(CurrentMemoryContext, question, nevents);
	memcpy(state->events, data + header, len - header);
	state->nevents = nevents;
	for (i = 0; i < nevents; i++)
		if (state->events[i * EVENT_WIDTH + sizeof(int64)] > NO_STEP)
			elog(ERROR, "invalid state of event_funnel");
	PG_RETURN_POINTER(state);
}

/* The level; 0 if there was no event.  The state stays as it is. */
Datum
leadscore_event_funnel_finalfn(PG_FUNCTION_ARGS)
{
	const EventFunnelState *state;
	const EventFunnelQuestion *question;
	FunnelEvent few[64];
	FunnelEvent *events = few;
	const unsigned char *in;
	int64		last = PG_INT64_MIN;
	bool		sorted = true;
	int32		i;

	if (PG_ARGISNULL(0))
		PG_RETURN_INT32(0);
	(void) state_context(fcinfo);
	state = (EventFunnelState *) PG_GETARG_POINTER(0);
	question = state->question;
	if (state->nevents > (int32) lengthof(few))
		events = MemoryContextAllocHuge(CurrentMemoryContext,
										state->nevents * sizeof(FunnelEvent));
	in = state->events;
	for (i = 0; i < state->nevents; i++)
	{
		memcpy(&events[i].at, in, sizeof(int64));
		events[i].steps = question->steps_of[in[sizeof(int64)]];
		events[i].excluded = false;
		sorted = sorted && events[i].at >= last;
		last = events[i].at;
		in += EVENT_WIDTH;
	}
	if (!sorted)
		leadscore_funnel_sort(events, state->nevents);
	PG_RETURN_INT32(leadscore_funnel_match(&question->spec, events, state->nevents, NULL));
}
