/*-------------------------------------------------------------------------
 *
 * lookup.c
 *		One row of a table by a unique index, without an executor.
 *
 * The functions that apps call look up one lead each.  An executor run for
 * that costs several times the index scan that it wraps.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/skey.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/primnodes.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "catalog.h"
#include "lookup.h"
#include "shard.h"

/* how many merges are followed, one after the other */
#define MAX_MERGES	1000

/*
 * Do two snapshots that one transaction has taken see the same?  If another
 * transaction ended in between, there is one less that runs, or xmax is later.
 * What the transaction itself wrote is told by the number of its command.
 *
 * snapXactCompletionCount would tell it too, but no copy of a snapshot has it.
 */
bool
leadscore_same_view(const SnapshotData *a, const SnapshotData *b)
{
	return a->curcid == b->curcid && a->xmin == b->xmin && a->xmax == b->xmax &&
		a->xcnt == b->xcnt && a->subxcnt == b->subxcnt;
}

/* Does a condition say that a column is not null, and nothing else? */
static bool
says_not_null(List *predicate, AttrNumber column)
{
	NullTest   *test;

	if (list_length(predicate) != 1 || !IsA(linitial(predicate), NullTest))
		return false;
	test = linitial(predicate);
	return test->nulltesttype == IS_NOT_NULL && IsA(test->arg, Var) &&
		((Var *) test->arg)->varattno == column;
}

/*
 * A unique index over just these columns, InvalidOid if there is none.  It may
 * leave out rows in which the column not_null is null.  A deferrable one does
 * not count: until it is checked, two rows may have one key.
 */
Oid
leadscore_unique_index(Relation rel, int ncolumns, const char *const *columns,
					   const char *not_null)
{
	List	   *indexes = RelationGetIndexList(rel);
	Oid			found = InvalidOid;
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		Form_pg_index form = index->rd_index;
		List	   *predicate = RelationGetIndexPredicate(index);
		int			matched = 0;
		int			i;
		int			j;

		for (i = 0; i < ncolumns; i++)
			for (j = 0; j < form->indnkeyatts; j++)
				if (form->indkey.values[j] != 0 &&
					form->indkey.values[j] == get_attnum(RelationGetRelid(rel), columns[i]))
					matched++;
		if (form->indisunique && form->indisvalid && form->indimmediate &&
			form->indnkeyatts == ncolumns && matched == ncolumns &&
			(predicate == NIL ||
			 (not_null && says_not_null(predicate, get_attnum(RelationGetRelid(rel), not_null)))))
			found = RelationGetRelid(index);
		index_close(index, AccessShareLock);
		if (OidIsValid(found))
			break;
	}
	list_free(indexes);
	return found;
}

/* Open a table whose rows the current role may read. */
void
leadscore_lookup_open(Lookup *lookup, Oid relid, Oid index)
{
	lookup->rel = table_open(relid, AccessShareLock);
	if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, RelationGetRelationName(lookup->rel));
	lookup->index = index_open(index, AccessShareLock);
	lookup->slot = table_slot_create(lookup->rel, NULL);
}

/* Close what leadscore_lookup_open() has opened; the locks stay. */
void
leadscore_lookup_close(Lookup *lookup)
{
	ExecDropSingleTupleTableSlot(lookup->slot);
	index_close(lookup->index, NoLock);
	table_close(lookup->rel, NoLock);
}

/* Find the row with a key that a snapshot shows; it is then in the slot. */
static bool
find(Lookup *lookup, ScanKey key, Snapshot snapshot)
{
	IndexScanDesc scan = leadscore_index_beginscan(lookup->rel, lookup->index, snapshot, 1);
	bool		found;

	index_rescan(scan, key, 1, NULL, 0);
	found = index_getnext_slot(scan, ForwardScanDirection, lookup->slot);
	if (found)
		ExecMaterializeSlot(lookup->slot);
	else
		ExecClearTuple(lookup->slot);
	index_endscan(scan);
	return found;
}

/* Find a row by a bigint. */
bool
leadscore_lookup_number(Lookup *lookup, int64 number, Snapshot snapshot)
{
	ScanKeyData key;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(number));
	return find(lookup, &key, snapshot);
}

/* Find a row by a text. */
bool
leadscore_lookup_text(Lookup *lookup, Datum value, Snapshot snapshot)
{
	ScanKeyData key;

	ScanKeyEntryInitialize(&key, 0, 1, BTEqualStrategyNumber, InvalidOid,
						   lookup->index->rd_indcollation[0], F_TEXTEQ, value);
	return find(lookup, &key, snapshot);
}

/* The lead that a lead was merged into, 0 if it was not */
int64
leadscore_merged_into(PipelinePart part, int64 lead_id)
{
	Oid			type = INT8OID;
	char	   *sql = psprintf("SELECT lead_id FROM %s WHERE loser_id OPERATOR(pg_catalog.=) $1",
							   leadscore_table_name(leadscore_sibling(part, "lead_merge")));
	int64		winner = 0;
	int			steps;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	/* rows of the owner's may say anything, even a circle */
	for (steps = 0; steps < MAX_MERGES; steps++)
	{
		Datum		value = Int64GetDatum(winner ? winner : lead_id);
		bool		isnull;

		if (SPI_execute_with_args(sql, 1, &type, &value, NULL, false, 1) != SPI_OK_SELECT)
			elog(ERROR, "could not read a merge: %s", sql);
		if (SPI_processed == 0)
			break;
		winner = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	}
	SPI_finish();
	return winner;
}
