/*-------------------------------------------------------------------------
 *
 * lead_table.c
 *		Tables with one row a lead: its row is found, locked, inserted and
 *		updated through the executor's own calls.
 *
 * One descent of the primary key finds a lead, and the update is HOT as a
 * rule.  The newest committed version counts, because counts are added to it;
 * above READ COMMITTED a version that the transaction cannot see is a
 * serialization failure, as it is for any UPDATE.
 *
 * RelationFindReplTupleByIndex() does nearly the same, but begins an index
 * scan for each row, and locks the row always: the scan here serves a whole
 * statement, and update_row() finds out by itself that another session was
 * faster.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "parser/parse_relation.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "lead_table.h"
#include "pipeline.h"

/* Is a trigger the one that keeps other writers out?  Shards add to its name. */
static bool
is_guard(const Trigger *trigger)
{
	char	   *function;

	if (strncmp(trigger->tgname, "guarded", strlen("guarded")) != 0)
		return false;
	function = get_func_name(trigger->tgfoid);
	return function && strcmp(function, "guard_engine_table") == 0;
}

/*
 * Refuse triggers of the owner's that a write would not fire: rows are written
 * one by one, so there is no statement.
 */
static void
refuse_statement_triggers(Relation rel)
{
	TriggerDesc *triggers = rel->trigdesc;
	int			i;

	for (i = 0; triggers && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (trigger->tgenabled == TRIGGER_DISABLED ||
			!(TRIGGER_FOR_INSERT(trigger->tgtype) || TRIGGER_FOR_UPDATE(trigger->tgtype)) ||
			(TRIGGER_FOR_ROW(trigger->tgtype) && !trigger->tgoldtable && !trigger->tgnewtable) ||
			is_guard(trigger))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("trigger \"%s\" on table \"%s\" cannot be fired",
						trigger->tgname, RelationGetRelationName(rel)),
				 errdetail("leadscore writes the table row by row, without statements and transition tables."),
				 errhint("Make it a trigger FOR EACH ROW without transition tables, or put it on stage_log.")));
	}
}

/* Open a table for finding rows by lead_id, as the owner of the pipeline. */
void
leadscore_table_open(LeadTable *table, Oid relid, LOCKMODE lockmode, AclMode privileges)
{
	Relation	rel = table_open(relid, lockmode);
	const char *name = RelationGetRelationName(rel);
	AttrNumber	lead_id = leadscore_column(RelationGetDescr(rel), "lead_id", INT8OID, name);

	table->rel = rel;
	table->context = CurrentMemoryContext;
	if (pg_class_aclmask(relid, GetUserId(), privileges, ACLMASK_ALL) != privileges)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, name);
	if (privileges & ACL_INSERT)
		refuse_statement_triggers(rel);
	list_free(RelationGetIndexList(rel));
	if (rel->rd_rel->relkind == RELKIND_RELATION && OidIsValid(rel->rd_pkindex))
		table->index = index_open(rel->rd_pkindex, lockmode);
	if (table->index == NULL || table->index->rd_index->indnkeyatts != 1 ||
		table->index->rd_index->indkey.values[0] != lead_id)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("table \"%s\" has no primary key (lead_id)", name),
				 errhint("Add it again, to a table that is not partitioned.")));
	InitDirtySnapshot(table->dirty);
	table->scan = leadscore_index_beginscan(rel, table->index, &table->dirty, 1);
	table->slot = table_slot_create(rel, NULL);
	table->changed = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsVirtual);
}

/*
 * Set up the executor for inserts, new index entries and triggers.  A HOT
 * update of a table without triggers does not need it.
 */
static void
need_executor(LeadTable *table)
{
	MemoryContext oldcontext;
	RangeTblEntry *rte;

	if (table->estate)
		return;
	oldcontext = MemoryContextSwitchTo(table->context);
	table->estate = CreateExecutorState();
	rte = makeNode(RangeTblEntry);
	rte->rtekind = RTE_RELATION;
	rte->relid = RelationGetRelid(table->rel);
	rte->relkind = table->rel->rd_rel->relkind;
	rte->rellockmode = RowExclusiveLock;
	leadscore_init_range_table(table->estate, rte);
	table->result = makeNode(ResultRelInfo);
	InitResultRelInfo(table->result, table->rel, 1, NULL, 0);
	table->estate->es_output_cid = GetCurrentCommandId(true);
	table->estate->es_snapshot = GetActiveSnapshot();
	ExecOpenIndices(table->result, false);
	leadscore_epq_init(&table->epq, table->estate);
	AfterTriggerBeginQuery();
	MemoryContextSwitchTo(oldcontext);
}

/* Close a table after its triggers have run. */
void
leadscore_table_close(LeadTable *table)
{
	if (table->rel == NULL)
		return;
	if (table->estate)
		AfterTriggerEndQuery(table->estate);
	index_endscan(table->scan);
	ExecDropSingleTupleTableSlot(table->slot);
	ExecDropSingleTupleTableSlot(table->changed);
	if (table->estate)
	{
		EvalPlanQualEnd(&table->epq);
		ExecCloseIndices(table->result);
		/* tables that the row triggers have opened */
		ExecCloseResultRelations(table->estate);
		ExecResetTupleTable(table->estate->es_tupleTable, false);
		FreeExecutorState(table->estate);
	}
	index_close(table->index, NoLock);
	table_close(table->rel, NoLock);
	table->rel = NULL;
}

/* Refuse a version that a transaction above READ COMMITTED cannot see. */
void
leadscore_row_check_visible(LeadTable *table)
{
	if (IsolationUsesXactSnapshot() &&
		!table_tuple_satisfies_snapshot(table->rel, table->slot, GetTransactionSnapshot()))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent update")));
}

/*
 * Put the version that an index entry leads to into table->slot; false if there
 * is none.  The page is pruned only when it has little room left.
 *
 * index_fetch_heap() does the same, but prunes a page whenever less of it is free
 * than the fillfactor leaves.  That is so as soon as rows have grown a little, and
 * then each visit would prune the page for the one version that the last has left.
 */
static bool
fetch_version(LeadTable *table, ItemPointerData entry)
{
	BufferHeapTupleTableSlot *row = (BufferHeapTupleTableSlot *) table->slot;
	HeapTuple	tuple = &row->base.tupdata;
	Buffer		buffer = ReadBuffer(table->rel, ItemPointerGetBlockNumber(&entry));
	Page		page = BufferGetPage(buffer);
	bool		pruned = false;
	bool		found;
	bool		all_dead;

	Assert(TTS_EMPTY(table->slot));
	for (;;)
	{
		ItemPointerData tid = entry;
		Size		room = BLCKSZ / 10;
		TransactionId prune_xid;
		bool		scarce;

		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		found = heap_hot_search_buffer(&tid, table->rel, buffer, &table->dirty, tuple, &all_dead, true);
		if (found)
			room = Max(room, 2 * MAXALIGN(tuple->t_len));
		prune_xid = ((PageHeader) page)->pd_prune_xid;
		/* what this transaction has left cannot be pruned yet */
		scarce = PageGetHeapFreeSpace(page) < room && TransactionIdIsValid(prune_xid) &&
			!TransactionIdIsCurrentTransactionId(prune_xid);
		LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
		if (pruned || !scarce)
			break;
		/* this moves tuples */
		heap_page_prune_opt(table->rel, buffer);
		pruned = true;
	}
	if (found)
	{
		table->slot->tts_tableOid = RelationGetRelid(table->rel);
		ExecStorePinnedBufferHeapTuple(tuple, table->slot, buffer);
		pgstat_count_heap_fetch(table->rel);
	}
	else
		ReleaseBuffer(buffer);
	/* as index_fetch_heap() has it: the next step of the scan marks the entry */
	table->scan->kill_prior_tuple = all_dead && !table->scan->xactStartedInRecovery;
	return found;
}

/* Put the next version that the scan finds into table->slot; false if there is none. */
static bool
next_version(LeadTable *table)
{
	ItemPointer entry;

	if (table->rel->rd_rel->relam != HEAP_TABLE_AM_OID)
		return index_getnext_slot(table->scan, ForwardScanDirection, table->slot);
	ExecClearTuple(table->slot);
	while ((entry = index_getnext_tid(table->scan, ForwardScanDirection)) != NULL)
		if (fetch_version(table, *entry))
			return true;
	return false;
}

/*
 * Find the newest version of a lead's row that is committed or our own, after
 * waiting for a session that is changing it.
 *
 * May miss a row that is concurrently updated: the scan judges one version
 * after the other, and can see the old version as dead after it has passed the
 * new version's index entry.  Callers that must know use leadscore_row_lock().
 */
static bool
find_row(LeadTable *table, int64 lead_id)
{
	ScanKeyData key;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(lead_id));
	for (;;)
	{
		/* memory of the scan has to live as long as the scan */
		MemoryContext oldcontext = MemoryContextSwitchTo(table->context);
		TransactionId xwait;
		ItemPointerData tid;
		bool		found;

		index_rescan(table->scan, &key, 1, NULL, 0);
		found = next_version(table);
		MemoryContextSwitchTo(oldcontext);
		if (!found)
			return false;
		xwait = TransactionIdIsValid(table->dirty.xmin) ?
			table->dirty.xmin : table->dirty.xmax;
		if (!TransactionIdIsValid(xwait))
			return true;
		/* the row is named in the context of errors and of waits in the log */
		tid = table->slot->tts_tid;
		ExecClearTuple(table->slot);
		XactLockTableWait(xwait, table->rel, &tid, XLTW_Lock);
	}
}

/*
 * Read a lead's row by a snapshot, InvalidSnapshot for the newest version that
 * is committed, without waiting.
 */
bool
leadscore_row_read(LeadTable *table, int64 lead_id, Snapshot snapshot)
{
	IndexScanDesc scan;
	ScanKeyData key;
	bool		found;

	snapshot = RegisterSnapshot(snapshot == InvalidSnapshot ? GetLatestSnapshot() : snapshot);
	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(lead_id));
	scan = leadscore_index_beginscan(table->rel, table->index, snapshot, 1);
	index_rescan(scan, &key, 1, NULL, 0);
	found = index_getnext_slot(scan, ForwardScanDirection, table->slot);
	if (found)
		ExecMaterializeSlot(table->slot);
	index_endscan(scan);
	UnregisterSnapshot(snapshot);
	return found;
}

/* Find a lead's row like find_row(), but for certain, and lock it. */
bool
leadscore_row_lock(LeadTable *table, int64 lead_id, LockTupleMode mode)
{
	while (find_row(table, lead_id) || leadscore_row_read(table, lead_id, InvalidSnapshot))
	{
		TM_FailureData tmfd;
		TM_Result	result;

		ExecMaterializeSlot(table->slot);
		result = table_tuple_lock(table->rel, &table->slot->tts_tid, GetLatestSnapshot(),
								  table->slot, GetCurrentCommandId(false), mode,
								  LockWaitBlock, 0, &tmfd);
		if (result == TM_Ok)
			return true;
		if (result != TM_Updated && result != TM_Deleted)
			elog(ERROR, "unexpected result %d of locking a row of \"%s\"",
				 (int) result, RelationGetRelationName(table->rel));
		CHECK_FOR_INTERRUPTS();
	}
	return false;
}

/*
 * Find a lead's row without locking it: leadscore_row_update() tells if another
 * session was faster.  False may be wrong, as that of find_row().
 */
bool
leadscore_row_find(LeadTable *table, int64 lead_id)
{
	if (!find_row(table, lead_id))
		return false;
	leadscore_row_check_visible(table);
	return true;
}

/* Wait for a session that is changing a lead's row, without locking it. */
void
leadscore_row_await(LeadTable *table, int64 lead_id)
{
	(void) find_row(table, lead_id);
}

/* Does a table have anything that only the executor honours in an update? */
static bool
needs_executor(Relation rel)
{
	TriggerDesc *triggers = rel->trigdesc;
	TupleConstr *constr = RelationGetDescr(rel)->constr;

	return (triggers && (triggers->trig_update_before_row || triggers->trig_update_after_row)) ||
		(constr && (constr->num_check > 0 || constr->has_generated_stored));
}

/* Begin the row to be written: that which was found, or an empty one. */
TupleTableSlot *
leadscore_row_begin(LeadTable *table, bool found)
{
	TupleTableSlot *row = table->changed;
	int			natts = RelationGetDescr(table->rel)->natts;

	ExecClearTuple(row);
	if (found)
	{
		slot_getallattrs(table->slot);
		memcpy(row->tts_values, table->slot->tts_values, sizeof(Datum) * natts);
		memcpy(row->tts_isnull, table->slot->tts_isnull, sizeof(bool) * natts);
	}
	else
	{
		memset(row->tts_values, 0, sizeof(Datum) * natts);
		memset(row->tts_isnull, true, sizeof(bool) * natts);
	}
	return row;
}

/*
 * Write the row that was begun over the one that was found.  False if another
 * session changed it since.  If the owner has added row triggers or checks to
 * the table, the executor writes, which needs the row to be locked.
 */
bool
leadscore_row_update(LeadTable *table)
{
	TupleTableSlot *row = ExecStoreVirtualTuple(table->changed);
	TM_FailureData tmfd;
	LockTupleMode lockmode;
	TM_Result	result;
	leadscore_update_indexes indexes;

	if (needs_executor(table->rel))
	{
		need_executor(table);
		result = table_tuple_lock(table->rel, &table->slot->tts_tid, GetLatestSnapshot(),
								  table->slot, GetCurrentCommandId(false),
								  LockTupleNoKeyExclusive, LockWaitBlock, 0, &tmfd);
		if (result == TM_Ok)
			ExecSimpleRelationUpdate(table->result, table->estate, &table->epq,
									 table->slot, row);
	}
	else
	{
		row->tts_tableOid = RelationGetRelid(table->rel);
		result = table_tuple_update(table->rel, &table->slot->tts_tid, row,
									GetCurrentCommandId(true), InvalidSnapshot,
									InvalidSnapshot, true, &tmfd, &lockmode, &indexes);
		if (result == TM_Ok && indexes)
		{
			need_executor(table);
			leadscore_insert_index_tuples(table->result, row, table->estate, indexes);
		}
	}
	if (table->estate)
		ResetPerTupleExprContext(table->estate);
	if (result == TM_Ok)
		return true;
	if (result != TM_Updated && result != TM_Deleted)
		elog(ERROR, "unexpected result %d of updating a row of \"%s\"",
			 (int) result, RelationGetRelationName(table->rel));
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent update")));
	return false;
}

/* Insert the row that was begun. */
void
leadscore_row_insert(LeadTable *table)
{
	TupleTableSlot *row = ExecStoreVirtualTuple(table->changed);

	need_executor(table);
	ExecSimpleRelationInsert(table->result, table->estate, row);
	ResetPerTupleExprContext(table->estate);
}
