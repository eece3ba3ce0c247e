/*-------------------------------------------------------------------------
 *
 * track.h
 *		Events that are to be written, and their leads.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_TRACK_H
#define LEADSCORE_TRACK_H

#include "app.h"

/* Columns of an event that is to be inserted, as ADD_EVENT takes them */
enum
{
	EVENT_LEAD_ID,
	EVENT_KIND,
	EVENT_PROPERTIES,
	EVENT_OCCURRED_AT,
	EVENT_VALUE,
	EVENT_CHANNEL,
	EVENT_CAMPAIGN,
	EVENT_SOURCE_ID,
	EVENT_COLUMNS
};

#define EXAMPLE_PROPERTIES	"{\"page\": \"/pricing\"}"

/* An event to be inserted */
typedef struct EventInput
{
	int			position;		/* in the array of the app, from 1 */
	Datum		external_id;
	Jsonb	   *profile;
	Datum		values[EVENT_COLUMNS];
	char		nulls[EVENT_COLUMNS];	/* as SPI wants them */
	LeadInput  *lead;
} EventInput;

/* Where a lead stands after a call */
typedef struct Standing
{
	bool		known;			/* has it a state? */
	uint8		stage;
	bool		scored;			/* is there an active model? */
	int64		score;
} Standing;

/* track.c */
extern void leadscore_read_standing(AppWrite *call, int64 lead_id, bool score, Standing *standing);

/* by_hand.c */
extern void leadscore_say_who(EventInput *event);

/* event_json.c */
extern void leadscore_push_member(JsonbParseState **state, const char *name, const char *string);
extern EventInput *leadscore_read_events(FunctionCallInfo fcinfo, int *n);

/* event_write.c */
extern Datum leadscore_stored_value(double value, const char *element);
extern TimestampTz leadscore_first_heard(TimestampTz occurred_at);
extern int64 leadscore_add_event(AppWrite *call, EventInput *event, AppWatch *watch,
								 bool *duplicate);
extern int	leadscore_text_cmp(Datum a, Datum b);
extern int	leadscore_event_cmp(const void *a, const void *b);
extern LeadInput *leadscore_events_leads(const Pipeline *pipeline, EventInput *events, int nevents,
										 int *nleads);
extern int64 leadscore_drop_forgotten(EventInput *events, int *n);
extern void leadscore_add_events(AppWrite *call, EventInput *events, int n, int64 *inserted,
								 int64 *duplicates);
extern void leadscore_exchange_events(AppWrite *call, EventInput *gone, int ngone, EventInput *put,
									  int nput, bool all_new);

#endif							/* LEADSCORE_TRACK_H */
