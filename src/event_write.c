/*-------------------------------------------------------------------------
 *
 * event_write.c
 *		Events of apps, and their leads, written to the tables.
 *
 * An event of a lead that is there takes one statement, the INSERT; the engine
 * counts it in its trigger.  The state is not locked before: an INSERT by
 * somebody else, of the same source_id, would wait for that lock while this
 * one waits for its row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "consent.h"
#include "loaded.h"
#include "track.h"

static const Oid event_types[EVENT_COLUMNS] = {INT8OID, TEXTOID, JSONBOID, TIMESTAMPTZOID,
NUMERICOID, TEXTOID, TEXTOID, TEXTOID};

/* A value as it is stored: a number of 15 digits, or NULL with its problem */
Datum
leadscore_stored_value(double value, const char *element)
{
	if (isnan(value) || isinf(value))
	{
		if (element)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s is not valid", element),
					 errdetail("Its value is not a number that can be stored."),
					 errhint("Pass null if there is none.")));
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("value must be a number, neither NaN nor infinity"),
				 errhint("Pass null if there is none.")));
	}
	return DirectFunctionCall1(float8_numeric, Float8GetDatum(value));
}

/* A lead is created when it is first heard of, or now if that is to come. */
TimestampTz
leadscore_first_heard(TimestampTz occurred_at)
{
	return Min(occurred_at, GetCurrentTransactionStartTimestamp());
}

/* The event of a lead with a source_id; 0 if there is none */
static int64
find_event(AppWrite *call, Datum lead_id, Datum source_id)
{
	Datum		values[2];
	bool		isnull;

	values[0] = lead_id;
	values[1] = source_id;
	if (leadscore_app_run(call->pipeline, FIND_EVENT, values, NULL, NULL) == 0)
		return 0;
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

/*
 * Lock the states of leads to which events are to be added.  Those that refuse
 * messages change their leads, and all with the same addresses: these are locked
 * before, and their states with the others.  Both in the order of lead_id.
 */
static void
lock_for_events(AppWrite *call, const int64 *lead_ids, int n, const Datum *refusing, int nrefusing)
{
	int64	   *all;
	uint64		nlocked = 0;
	uint64		row;

	if (nrefusing > 0)
	{
		Datum		value = leadscore_build_array(refusing, NULL, nrefusing, INT8OID);

		nlocked = leadscore_app_run(call->pipeline, LOCK_ADDRESSES, &value, NULL, NULL);
	}
	all = MemoryContextAllocHuge(CurrentMemoryContext, (n + nlocked) * sizeof(int64));
	memcpy(all, lead_ids, n * sizeof(int64));
	for (row = 0; row < nlocked; row++)
	{
		bool		isnull;

		all[n + row] = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
												   1, &isnull));
	}
	/* these have no state to lock yet */
	if (leadscore_ranges_left(call->pipeline))
		leadscore_lock_loaded(call->pipeline, lead_ids, n);
	leadscore_lock_states(call->pipeline, all, n + (int) nlocked);
}

/* Without an index that tells events apart, a distributed pipeline cannot do it. */
static void
refuse_without_index(AppWrite *call)
{
	if (call->pipeline->distributed)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"event\" has no unique index on (lead_id, source_id)"),
				 errhint("Add it again, or pass no source_id.")));
}

/* A column of events as an array */
static Datum
column_array(const EventInput *events, int n, int column)
{
	Datum	   *items = palloc(sizeof(Datum) * n);
	bool	   *nulls = palloc(sizeof(bool) * n);
	int			i;

	for (i = 0; i < n; i++)
	{
		items[i] = events[i].values[column];
		nulls[i] = events[i].nulls[column] == 'n';
	}
	return leadscore_build_array(items, nulls, n, event_types[column]);
}

/*
 * Leave out the events that were there and were purged; returns how many are
 * left.  Of what happened today none was.
 */
static int
drop_purged(AppWrite *call, EventInput *events, int n)
{
	LeadGrain	grain = call->pipeline->grain;
	int64		today = bucket_start(bucket_of(GetCurrentTransactionStartTimestamp(), grain), grain);
	bool	   *purged;
	Datum		values[3];
	int			kept = 0;
	bool		any = false;
	uint64		row;
	int			i;

	for (i = 0; i < n; i++)
		any |= events[i].nulls[EVENT_SOURCE_ID] != 'n' &&
			DatumGetTimestampTz(events[i].values[EVENT_OCCURRED_AT]) < today;
	if (!any || (!call->pipeline->distributed && !leadscore_ever_filled(call->pipeline->checkpoint)))
		return n;
	purged = palloc0(sizeof(bool) * n);
	values[0] = column_array(events, n, EVENT_LEAD_ID);
	values[1] = column_array(events, n, EVENT_SOURCE_ID);
	values[2] = column_array(events, n, EVENT_OCCURRED_AT);
	leadscore_app_run(call->pipeline, FIND_PURGED, values, NULL, NULL);
	for (row = 0; row < SPI_processed; row++)
	{
		bool		isnull;

		purged[DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 1, &isnull)) - 1] = true;
	}
	for (i = 0; i < n; i++)
		if (!purged[i])
			events[kept++] = events[i];
	return kept;
}

/*
 * Insert an event; returns its number, or that of the one that is there
 * already, or 0 if a trigger of the owner's drops it.
 */
int64
leadscore_add_event(AppWrite *call, EventInput *event, AppWatch *watch, bool *duplicate)
{
	bool		named = event->nulls[EVENT_SOURCE_ID] != 'n';
	Datum		lead_id = event->values[EVENT_LEAD_ID];
	AppWatch   *before;
	uint64		n;
	bool		isnull;

	*duplicate = named && drop_purged(call, event, 1) == 0;
	if (*duplicate)
		return 0;
	if (named && (!call->cache->source_id_unique || !call->pipeline->distributed))
	{
		bool		unique = call->cache->source_id_unique;
		int64		number = DatumGetInt64(lead_id);
		int64		event_id;

		/*
		 * A call that has merged a profile, or a merge of leads, holds the
		 * state before the source_id comes into the index: so do all.  But
		 * who changes the event that is there waits for the state.
		 */
		event_id = unique ? find_event(call, lead_id, event->values[EVENT_SOURCE_ID]) : 0;
		if (event_id == 0)
		{
			if (!unique)
				refuse_without_index(call);
			if (leadscore_is_refusal(call->pipeline, event->values[EVENT_KIND]))
				lock_for_events(call, &number, 1, &lead_id, 1);
			else if (leadscore_ranges_left(call->pipeline))
				lock_for_events(call, &number, 1, NULL, 0);
			else
				leadscore_app_run(call->pipeline, LOCK_STATE, &lead_id, NULL, NULL);
			/* no index tells: the lock keeps others from adding it */
			if (!unique)
				event_id = find_event(call, lead_id, event->values[EVENT_SOURCE_ID]);
		}
		*duplicate = event_id != 0;
		if (*duplicate)
			return event_id;
	}
	before = leadscore_app_watch(watch);
	n = leadscore_app_run(call->pipeline,
						  named && call->cache->source_id_unique ? ADD_EVENT_ONCE : ADD_EVENT,
						  event->values, event->nulls, NULL);
	leadscore_app_watch(before);
	if (n > 0)
		return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	if (named)
	{
		int64		event_id = find_event(call, lead_id, event->values[EVENT_SOURCE_ID]);

		*duplicate = event_id != 0;
		return event_id;
	}
	return 0;
}

/* By bytes */
int
leadscore_text_cmp(Datum a, Datum b)
{
	text	   *x = DatumGetTextPP(a);
	text	   *y = DatumGetTextPP(b);
	int			nx = VARSIZE_ANY_EXHDR(x);
	int			ny = VARSIZE_ANY_EXHDR(y);
	int			cmp = memcmp(VARDATA_ANY(x), VARDATA_ANY(y), Min(nx, ny));

	return cmp != 0 ? cmp : nx - ny;
}

/* By time, and then as they were sent */
int
leadscore_event_cmp(const void *a, const void *b)
{
	const EventInput *x = a;
	const EventInput *y = b;
	TimestampTz tx = DatumGetTimestampTz(x->values[EVENT_OCCURRED_AT]);
	TimestampTz ty = DatumGetTimestampTz(y->values[EVENT_OCCURRED_AT]);

	if (tx != ty)
		return tx < ty ? -1 : 1;
	return x->position - y->position;
}

/* By lead, and then by place */
static int
lead_cmp(const void *a, const void *b)
{
	EventInput *x = *(EventInput *const *) a;
	EventInput *y = *(EventInput *const *) b;
	int			cmp = leadscore_text_cmp(x->external_id, y->external_id);

	return cmp != 0 ? cmp : (x < y ? -1 : (x > y ? 1 : 0));
}

/*
 * The leads of events, which are in order of time, in order of external_id.  A
 * lead is created at the time of its first event.  Its profiles are put
 * together in the order of events, and count from the time of the first one.
 */
LeadInput *
leadscore_events_leads(const Pipeline *pipeline, EventInput *events, int nevents, int *nleads)
{
	EventInput **by_lead = palloc(sizeof(EventInput *) * nevents);
	LeadInput  *leads = palloc0(sizeof(LeadInput) * nevents);
	LeadInput  *lead = NULL;
	int			i;

	*nleads = 0;
	for (i = 0; i < nevents; i++)
		by_lead[i] = &events[i];
	qsort(by_lead, nevents, sizeof(EventInput *), lead_cmp);
	for (i = 0; i < nevents; i++)
	{
		EventInput *event = by_lead[i];
		TimestampTz at = leadscore_first_heard(DatumGetTimestampTz(event->values[EVENT_OCCURRED_AT]));

		if (lead == NULL || leadscore_text_cmp(lead->external_id, event->external_id) != 0)
		{
			lead = &leads[(*nleads)++];
			lead->external_id = event->external_id;
			lead->created_at = at;
			lead->channel = event->nulls[EVENT_CHANNEL] == 'n' ? (Datum) 0 : event->values[EVENT_CHANNEL];
			lead->campaign = event->nulls[EVENT_CAMPAIGN] == 'n' ? (Datum) 0 : event->values[EVENT_CAMPAIGN];
		}
		event->lead = lead;
		lead->refuses |= leadscore_is_refusal(pipeline, event->values[EVENT_KIND]);
		if (event->profile == NULL)
			continue;
		if (lead->document == NULL)
			lead->at = at;
		lead->document = lead->document == NULL ? event->profile :
			DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(lead->document),
											   JsonbPGetDatum(event->profile)));
	}
	return leads;
}

/* Lock the states of the leads of events, which are to be added or removed. */
static void
lock_leads_of(AppWrite *call, const EventInput *events, int n)
{
	int64	   *lead_ids = palloc(sizeof(int64) * n);
	Datum	   *refused = palloc(sizeof(Datum) * n);
	int			nleads = 0;
	int			nrefused = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		lead_ids[i] = DatumGetInt64(events[i].values[EVENT_LEAD_ID]);
		if (events[i].nulls[EVENT_KIND] != 'n' &&
			leadscore_is_refusal(call->pipeline, events[i].values[EVENT_KIND]))
			refused[nrefused++] = events[i].values[EVENT_LEAD_ID];
	}
	qsort(lead_ids, n, sizeof(int64), leadscore_lead_id_cmp);
	for (i = 0; i < n; i++)
		if (nleads == 0 || lead_ids[nleads - 1] != lead_ids[i])
			lead_ids[nleads++] = lead_ids[i];
	lock_for_events(call, lead_ids, nleads, refused, nrefused);
}

/*
 * Leave out the events that are there already, or twice in the batch: of all of
 * them if the leads' states are locked.  Returns how many are left.
 */
static int
drop_known(AppWrite *call, EventInput *events, int n)
{
	bool	   *known = palloc0(sizeof(bool) * n);
	Datum		values[2];
	int			kept = 0;
	uint64		row;
	int			i;

	values[0] = column_array(events, n, EVENT_LEAD_ID);
	values[1] = column_array(events, n, EVENT_SOURCE_ID);
	leadscore_app_run(call->pipeline, FIND_KNOWN, values, NULL, NULL);
	for (row = 0; row < SPI_processed; row++)
	{
		bool		isnull;

		known[DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
										  1, &isnull)) - 1] = true;
	}
	for (i = 0; i < n; i++)
		if (!known[i])
			events[kept++] = events[i];
	return kept;
}

/* By lead_id, and then by source_id */
static int
place_cmp(const void *a, const void *b)
{
	const EventInput *x = a;
	const EventInput *y = b;
	int64		left = DatumGetInt64(x->values[EVENT_LEAD_ID]);
	int64		right = DatumGetInt64(y->values[EVENT_LEAD_ID]);

	if (left != right)
		return left < right ? -1 : 1;
	return leadscore_text_cmp(x->values[EVENT_SOURCE_ID], y->values[EVENT_SOURCE_ID]);
}

/* Insert events; false if some are there already, and others than these are inserted. */
static bool
add_all_once(AppWrite *call, EventInput *events, int n)
{
	Datum		values[EVENT_COLUMNS];
	bool		isnull;
	int			i;

	if (n == 1)
		return leadscore_app_run(call->pipeline, ADD_EVENT_ONCE, events->values, events->nulls, NULL) > 0;
	for (i = 0; i < EVENT_COLUMNS; i++)
		values[i] = column_array(events, n, i);
	leadscore_app_run(call->pipeline, ADD_EVENTS_ONCE, values, NULL, NULL);
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull)) == n;
}

/*
 * Take away events that their lead and source_id name, and put others, which
 * have one, into the place of those that have it already.  All rows of event are
 * locked before the states, as by any session that changes events.  Events that
 * are new, as those of a statement that inserts, need no lock before.
 */
void
leadscore_exchange_events(AppWrite *call, EventInput *gone, int ngone, EventInput *put, int nput,
						  bool all_new)
{
	Datum		values[EVENT_COLUMNS];
	int			i;

	for (i = 0; i < nput; i++)
		put[i].values[EVENT_LEAD_ID] = Int64GetDatum(put[i].lead->lead_id);
	if (ngone > 0 || (nput > 0 && (!all_new || !call->cache->source_id_unique)))
	{
		EventInput *all = MemoryContextAllocHuge(CurrentMemoryContext,
												 sizeof(EventInput) * (ngone + nput));
		int			n = 0;

		for (i = 0; i < ngone; i++)
			all[n++] = gone[i];
		for (i = 0; i < nput; i++)
			all[n++] = put[i];
		qsort(all, n, sizeof(EventInput), place_cmp);
		values[0] = column_array(all, n, EVENT_LEAD_ID);
		values[1] = column_array(all, n, EVENT_SOURCE_ID);
		leadscore_app_run(call->pipeline, LOCK_EVENTS, values, NULL, NULL);
		lock_leads_of(call, all, n);
		/* without an index an event is not changed, but removed and added */
		if (call->cache->source_id_unique)
		{
			values[0] = column_array(gone, ngone, EVENT_LEAD_ID);
			values[1] = column_array(gone, ngone, EVENT_SOURCE_ID);
		}
		if (ngone > 0 || !call->cache->source_id_unique)
			leadscore_app_run(call->pipeline, REMOVE_EVENTS, values, NULL, NULL);
	}
	/* what was purged stays counted as it was */
	nput = drop_purged(call, put, nput);
	if (nput == 0 || (all_new && call->cache->source_id_unique && add_all_once(call, put, nput)))
		return;
	for (i = 0; i < EVENT_COLUMNS; i++)
		values[i] = column_array(put, nput, i);
	leadscore_app_run(call->pipeline, call->cache->source_id_unique ? PUT_EVENTS : ADD_EVENTS,
					  values, NULL, NULL);
}

/* Insert events; only events whose source_id is known are duplicates. */
void
leadscore_add_events(AppWrite *call, EventInput *events, int n, int64 *inserted, int64 *duplicates)
{
	bool		unique = call->cache->source_id_unique;
	Datum		values[EVENT_COLUMNS];
	int64		named;
	bool		isnull;
	int			kept = n;
	int			i;

	for (i = 0; i < n; i++)
		events[i].values[EVENT_LEAD_ID] = Int64GetDatum(events[i].lead->lead_id);
	if (!unique)
	{
		refuse_without_index(call);
		lock_leads_of(call, events, n);
		kept = drop_known(call, events, n);
	}
	else if (!call->pipeline->distributed)
	{
		/* as in leadscore_add_event() */
		for (i = 0; i < n && events[i].nulls[EVENT_SOURCE_ID] == 'n'; i++)
			;
		if (i < n)
		{
			kept = drop_known(call, events, n);
			lock_leads_of(call, events, kept);
		}
	}
	kept = drop_purged(call, events, kept);
	*duplicates = n - kept;
	*inserted = 0;
	if (kept == 0)
		return;
	for (i = 0; i < EVENT_COLUMNS; i++)
		values[i] = column_array(events, kept, i);
	leadscore_app_run(call->pipeline, unique ? ADD_EVENTS_ONCE : ADD_EVENTS, values, NULL, NULL);
	*inserted = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	named = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull));
	if (unique && *inserted < kept)
	{
		/* an event that is not there either was dropped by an owner's trigger */
		values[1] = values[EVENT_SOURCE_ID];
		leadscore_app_run(call->pipeline, COUNT_KNOWN, values, NULL, NULL);
		*duplicates += DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
												   1, &isnull)) - named;
	}
}

/* Leave out the events of people that were forgotten; returns how many. */
int64
leadscore_drop_forgotten(EventInput *events, int *n)
{
	int			kept = 0;
	int64		dropped;
	int			i;

	for (i = 0; i < *n; i++)
		if (!events[i].lead->forgotten)
			events[kept++] = events[i];
	dropped = *n - kept;
	*n = kept;
	return dropped;
}
