/*-------------------------------------------------------------------------
 *
 * replayed.c
 *		Leads that triggers of a statement have replayed.
 *
 * One command may fire several triggers: MERGE and INSERT ... ON CONFLICT DO
 * UPDATE change some events and add others, and a query may write to lead and
 * event in parts of its WITH.  The triggers fire when all of it is done.  If the
 * first of them replays a lead, the log has the events of the others already,
 * and these must not be counted once more.  So a trigger replays a lead that one
 * of another kind has replayed in the same statement of the client.  That is
 * never wrong, and seldom needless.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "replayed.h"

/* A lead of a pipeline; without padding, as it is hashed by its bytes */
typedef struct ReplayedKey
{
	int64		lead_id;
	int64		state;			/* the table lead_state */
} ReplayedKey;

typedef struct ReplayedLead
{
	ReplayedKey key;
	TriggerKind trigger;		/* which has replayed it last */
} ReplayedLead;

static HTAB *replayed = NULL;
static TimestampTz replayed_in; /* when the statement began */

/* The transaction ends, and its memory goes. */
static void
forget(void *arg)
{
	replayed = NULL;
}

/* Leads of this statement; NULL if there are none and none is wanted */
static HTAB *
leads_of_statement(bool wanted)
{
	HASHCTL		ctl;
	MemoryContextCallback *callback;

	if (replayed != NULL && replayed_in != GetCurrentStatementStartTimestamp())
	{
		hash_destroy(replayed);
		replayed = NULL;
	}
	if (replayed != NULL || !wanted)
		return replayed;
	ctl.keysize = sizeof(ReplayedKey);
	ctl.entrysize = sizeof(ReplayedLead);
	ctl.hcxt = TopTransactionContext;
	replayed = hash_create("leadscore replayed leads", 64, &ctl,
						   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	replayed_in = GetCurrentStatementStartTimestamp();
	callback = MemoryContextAllocZero(TopTransactionContext, sizeof(MemoryContextCallback));
	callback->func = forget;
	MemoryContextRegisterResetCallback(TopTransactionContext, callback);
	return replayed;
}

/* A trigger has replayed a lead. */
void
leadscore_replayed_note(const Writer *writer, int64 lead_id)
{
	ReplayedKey key = {lead_id, (int64) writer->pipeline->state};
	ReplayedLead *lead;

	if (writer->trigger == FIRED_BY_NONE)
		return;
	lead = hash_search(leads_of_statement(true), &key, HASH_ENTER, NULL);
	lead->trigger = writer->trigger;
}

/* Has a trigger of another kind replayed a lead in this statement? */
bool
leadscore_replayed_before(const Writer *writer, int64 lead_id)
{
	ReplayedKey key = {lead_id, (int64) writer->pipeline->state};
	HTAB	   *leads = leads_of_statement(false);
	ReplayedLead *lead = leads ? hash_search(leads, &key, HASH_FIND, NULL) : NULL;

	return lead != NULL && lead->trigger != writer->trigger;
}
