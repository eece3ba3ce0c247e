/*-------------------------------------------------------------------------
 *
 * track_table.h
 *		Rows of an app's table, and what is written of them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_TRACK_TABLE_H
#define LEADSCORE_TRACK_TABLE_H

#include "track.h"
#include "tracked.h"

/* Why a row makes nothing though it should */
typedef enum SkipReason
{
	SKIP_NONE,
	SKIP_NO_LEAD,
	SKIP_TOO_LONG,
	SKIP_FORGOTTEN,
	SKIP_VALUE,
	SKIP_ALIAS,
	SKIP_BROKEN,
	SKIP_REASONS				/* number of them */
} SkipReason;

/* What a row of the app's table makes */
typedef struct TrackedRow
{
	EventInput	event;			/* of leads: its name, source_id and profile */
	bool		present;		/* it makes something */
	SkipReason	reason;
	text	  **aliases;		/* of leads; items may be NULL */
} TrackedRow;

/* The rows of a table before a statement, or after it */
typedef struct TrackedRows
{
	TrackedRow *rows;
	int			n;
} TrackedRows;

/* tracked_row.c */
extern bool leadscore_same_varlena(Datum a, bool a_null, Datum b, bool b_null);
extern void leadscore_tracked_row(const TrackedTable *table, TupleTableSlot *slot, int position,
								  TrackedRow *row);
extern TrackedRows leadscore_tracked_rows(const TrackedTable *table, Relation rel,
										  Tuplestorestate *store);
extern int	leadscore_tracked_key_cmp(const void *a, const void *b);
extern void leadscore_tracked_sort(TrackedRows *rows);
extern bool leadscore_same_lead(const TrackedRow *a, const TrackedRow *b);
extern bool leadscore_same_event(const TrackedRow *a, const TrackedRow *b);

/* tracked_lead.c */
extern void leadscore_write_leads(AppWrite *call, const TrackedTable *table, TrackedRows *old,
								  TrackedRows *new, bool backfill, int64 *skipped);
extern void leadscore_forget_leads(AppWrite *call, TrackedRows *old);

/* track_table.c */
extern void leadscore_write_events(AppWrite *call, const TrackedTable *table, TrackedRows *old,
								   TrackedRows *new, bool deleted, int64 *skipped);
extern void leadscore_note_skipped(AppWrite *call, const TrackedTable *table,
								   const int64 *skipped);
extern TrackedTable *leadscore_find_definition(AppWrite *call, Datum definition,
											   const RowType *rel);
extern Relation leadscore_open_table(Oid relid);

#endif							/* LEADSCORE_TRACK_TABLE_H */
