/*-------------------------------------------------------------------------
 *
 * tracked.h
 *		Rows of an app's table read as events or as leads.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_TRACKED_H
#define LEADSCORE_TRACKED_H

#include "access/htup.h"
#include "executor/tuptable.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "pipeline.h"

/* What can be made of a column */
typedef enum ColumnFamily
{
	FAMILY_NONE,				/* nothing */
	FAMILY_TEXT,
	FAMILY_NUMBER,
	FAMILY_BOOLEAN,
	FAMILY_TIME,
	FAMILY_JSON,
	FAMILY_ARRAY
} ColumnFamily;

/* A column that a definition names */
typedef struct TrackedColumn
{
	char	   *name;			/* NULL: the definition names none */
	AttrNumber	attnum;
	Oid			type;			/* below domains */
	ColumnFamily family;
	FmgrInfo	output;
	struct TrackedColumn *element;	/* of an array */
} TrackedColumn;

/* That a column must have one of some values */
typedef struct TrackedCondition
{
	TrackedColumn column;
	int			n;
	Jsonb	  **values;
} TrackedCondition;

/* The columns of a table, or of a query of all of them */
typedef struct RowType
{
	TupleDesc	desc;
	const char *name;
} RowType;

/* A definition, bound to the columns of its table */
typedef struct TrackedTable
{
	char	   *definition;
	bool		makes_leads;	/* else events */
	bool		keeps;			/* what a deleted row has made stays */
	text	   *kind;			/* of all events, or NULL */
	struct pg_tz *zone;			/* of times without one */
	TrackedColumn lead;
	TrackedColumn kind_column;
	TrackedColumn occurred_at;
	TrackedColumn value;
	TrackedColumn channel;
	TrackedColumn campaign;
	TrackedColumn email;
	TrackedColumn consent;
	TrackedColumn created_at;
	int			nkeys;
	TrackedColumn *keys;
	int			nproperties;	/* or keys of the profile */
	TrackedColumn *properties;
	int			naliases;
	TrackedColumn *aliases;
	int			nconditions;
	TrackedCondition *conditions;
	char	   *problem;		/* NULL: it can be read */
} TrackedTable;

/* columns of tracked_table, in the order that leadscore_tracked_read() takes */
#define TRACKED_COLUMNS \
	"definition, makes, lead_column, kind, kind_column, occurred_at_column, value_column, channel_column," \
	" campaign_column, email_column, consent_column, created_at_column, key_columns, property_columns," \
	" alias_columns, only_if, on_delete, time_zone"

extern TrackedTable *leadscore_tracked_read(HeapTuple tuple, TupleDesc desc, const RowType *rel);
extern bool leadscore_tracked_holds(const TrackedTable *table, TupleTableSlot *slot);
extern text *leadscore_tracked_text(const TrackedColumn *column, TupleTableSlot *slot);
extern bool leadscore_tracked_instant(const TrackedTable *table, const TrackedColumn *column,
									  TupleTableSlot *slot, TimestampTz *instant);
extern bool leadscore_tracked_number(const TrackedColumn *column, TupleTableSlot *slot, Datum *number);
extern void leadscore_tracked_push(const TrackedTable *table, const TrackedColumn *column,
								   TupleTableSlot *slot, JsonbParseState **state);
extern Datum leadscore_tracked_position(const TrackedTable *table, TupleTableSlot *slot);
extern text *leadscore_tracked_key(const TrackedTable *table, TupleTableSlot *slot);

#endif							/* LEADSCORE_TRACKED_H */
