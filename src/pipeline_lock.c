/*-------------------------------------------------------------------------
 *
 * pipeline_lock.c
 *		Keeping writers out while the configuration of a pipeline changes.
 *
 * A session that waits for the lock makes all writers wait behind it.  So it
 * waits in short attempts, and pauses between them; conditional locking alone
 * would never get the lock under load.
 *
 * Sessions that change the configuration stand in a line before, which keeps no
 * writer out: the one that is first locks rows, waits for them if it must, and
 * keeps writers out when it has them all.  Two that locked rows as they find
 * them would wait for each other, by rows of one table found in different
 * orders, or by the row of setting, which every change of the signals updates.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "pipeline.h"
#include "shard.h"

#define LOCK_ATTEMPTS	20
#define ATTEMPT_TIMEOUT	"50ms"
#define PAUSE_MS		200
#define LINE_TIMEOUT	"5s"

/* Wait for a lock for some time; false if that was not enough, or in vain. */
static bool
attempt(Oid relid, LOCKMODE mode, const char *timeout)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool locked = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		int			level = NewGUCNestLevel();

		(void) set_config_option("lock_timeout", timeout, PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
		LockRelationOid(relid, mode);
		AtEOXact_GUC(true, level);
		ReleaseCurrentSubTransaction();
		locked = true;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE &&
			error->sqlerrcode != ERRCODE_T_R_DEADLOCK_DETECTED)
			ReThrowError(error);
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return locked;
}

/* Let writers that queued behind the last attempt go on. */
static void
pause_attempts(void)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, PAUSE_MS,
					 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* The sessions that hold a lock on a table which ours waits for, in words */
static char *
describe_holders(Oid relid)
{
	Oid			type = OIDOID;
	Datum		value = ObjectIdGetDatum(relid);
	MemoryContext context = CurrentMemoryContext;
	char	   *holders = NULL;

	/* a prepared transaction has no pid: its name is found by its transaction */
	static const char sql[] =
		"SELECT pg_catalog.string_agg(h.holder, ', ' ORDER BY h.holder) FROM (SELECT DISTINCT CASE"
		"  WHEN l.pid IS NOT NULL THEN pg_catalog.format('session %s (%s)', l.pid, COALESCE(a.state, 'of another user'))"
		"  ELSE pg_catalog.format('prepared transaction %L', x.gid) END AS holder"
		" FROM pg_catalog.pg_locks l"
		"  LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid OPERATOR(pg_catalog.=) l.pid"
		"  LEFT JOIN pg_catalog.pg_locks t ON l.pid IS NULL AND t.pid IS NULL"
		"   AND t.virtualtransaction OPERATOR(pg_catalog.=) l.virtualtransaction"
		"   AND t.locktype OPERATOR(pg_catalog.=) 'transactionid'"
		"  LEFT JOIN pg_catalog.pg_prepared_xacts x ON x.transaction OPERATOR(pg_catalog.=) t.transactionid"
		" WHERE l.locktype OPERATOR(pg_catalog.=) 'relation' AND l.relation OPERATOR(pg_catalog.=) $1 AND l.granted"
		"  AND l.database OPERATOR(pg_catalog.=) (SELECT d.oid FROM pg_catalog.pg_database d"
		"   WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())"
		"  AND l.mode OPERATOR(pg_catalog.<>) 'AccessShareLock'"
		"  AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()) h";

	PushActiveSnapshot(GetLatestSnapshot());
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args(sql, 1, &type, &value, NULL, true, 0) == SPI_OK_SELECT &&
		SPI_processed == 1)
	{
		char	   *text = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);

		if (text)
			holders = MemoryContextStrdup(context, text);
	}
	SPI_finish();
	PopActiveSnapshot();
	return holders;
}

/*
 * Stand in the line of sessions that change the configuration, until the
 * transaction ends.  The first in it may wait for a row that this
 * transaction has locked before: then go on without the line.
 */
void
leadscore_pipeline_line_up(PipelinePart part)
{
	Oid			relid = leadscore_sibling(part, "setting");

	if (!ConditionalLockRelationOid(relid, ShareUpdateExclusiveLock))
		(void) attempt(relid, ShareUpdateExclusiveLock, LINE_TIMEOUT);
}

/* Does this transaction keep writers out? */
bool
leadscore_pipeline_is_locked(PipelinePart part)
{
	Relation	rel = table_open(leadscore_sibling(part, "model"), AccessShareLock);
	bool		locked = CheckRelationLockedByMe(rel, ExclusiveLock, true);

	table_close(rel, AccessShareLock);
	return locked;
}

/*
 * Keep writers out until the transaction ends.  One lock, and not on a table
 * that users edit: two sessions that edit signals hold a lock on that table
 * already, and would wait for each other.  An error if writers do not end
 * within some seconds.
 */
void
leadscore_pipeline_lock(PipelinePart part)
{
	Oid			relid = leadscore_sibling(part, "model");
	char	   *holders;
	int			i;

	if (ConditionalLockRelationOid(relid, ExclusiveLock))
		return;
	for (i = 0; i < LOCK_ATTEMPTS; i++)
	{
		if (attempt(relid, ExclusiveLock, ATTEMPT_TIMEOUT))
			return;
		pause_attempts();
	}
	holders = describe_holders(relid);
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("could not change the configuration of pipeline \"%s\" while other transactions write to it",
					get_namespace_name(part.schema)),
			 holders ? errdetail("In the way: %s.", holders) : 0,
			 errhint("End these transactions, or try again when they have ended.")));
}
