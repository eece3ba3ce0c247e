/*-------------------------------------------------------------------------
 *
 * pipeline_cache.c
 *		The per-backend cache of a pipeline's configuration.
 *
 * Row triggers on the configuration tables invalidate the relcache entry of
 * `model`, and so do changes of any table of the pipeline.  The callback only
 * marks the entry; it is read again at the next use, after the locks that
 * keep the configuration still are held, and with a fresh snapshot.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "guard.h"
#include "pipeline_read.h"
#include "shard.h"

typedef struct PipelineEntry
{
	PipelinePart part;			/* hash key */
	bool		stale;
	Pipeline   *pipeline;
	Pipeline   *seen;			/* as a snapshot sees it; NULL: none */
	bool		seen_stale;		/* while it is read */
} PipelineEntry;

static HTAB *pipelines = NULL;

/* A relation changed: forget pipelines read from it.  No catalog access here. */
static void
relation_changed(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS status;
	PipelineEntry *entry;

	hash_seq_init(&status, pipelines);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		const Pipeline *p = entry->pipeline;

		if (p == NULL || !OidIsValid(relid) || list_member_oid(p->watched, relid))
			entry->stale = true;
		if (entry->seen == NULL || !OidIsValid(relid) || list_member_oid(entry->seen->watched, relid))
		{
			entry->seen = NULL;
			entry->seen_stale = true;
		}
	}
}

/* The cache entry of a part, made if it is new */
static PipelineEntry *
find_entry(PipelinePart part)
{
	PipelineEntry *entry;
	bool		found;

	if (pipelines == NULL)
	{
		HASHCTL		ctl = {0};

		ctl.keysize = sizeof(PipelinePart);
		ctl.entrysize = sizeof(PipelineEntry);
		ctl.hcxt = CacheMemoryContext;
		pipelines = hash_create("leadscore pipelines", 4, &ctl,
								HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
		CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	}
	entry = hash_search(pipelines, &part, HASH_ENTER, &found);
	if (!found)
	{
		entry->pipeline = NULL;
		entry->seen = NULL;
		entry->stale = true;
	}
	return entry;
}

/* The part of a pipeline that a table belongs to */
PipelinePart
leadscore_part(Oid table)
{
	PipelinePart part;
	PipelineEntry *entry = NULL;

	part.schema = get_rel_namespace(table);
	part.shard = table;
	/* a shard that is known need not be looked up again */
	if (pipelines)
		entry = hash_search(pipelines, &part, HASH_FIND, NULL);
	if ((entry == NULL || entry->stale) && !leadscore_is_shard(table))
		part.shard = InvalidOid;
	return part;
}

/* A pipeline goes, and with it saved plans, which live in contexts of their own. */
static void
forget(void *arg)
{
	Pipeline   *p = arg;
	PipelineEntry *entry = hash_search(pipelines, &p->part, HASH_FIND, NULL);
	int			i;

	if (entry && entry->seen == p)
		entry->seen = NULL;
	for (i = 0; i < PIPELINE_PLANS; i++)
		if (p->plans[i])
			SPI_freeplan(p->plans[i]);
}

/* Read a pipeline anew, as of a snapshot. */
static Pipeline *
load(PipelinePart part, Snapshot snapshot)
{
	Pipeline   *p = leadscore_read_pipeline(part, snapshot);

	p->forget.func = forget;
	p->forget.arg = p;
	MemoryContextRegisterResetCallback(p->context, &p->forget);
	return p;
}

/* A pipeline's configuration as of now */
Pipeline *
leadscore_pipeline(PipelinePart part)
{
	PipelineEntry *entry = find_entry(part);

	while (entry->stale)
	{
		Pipeline   *p;

		/* may become stale again while it is read */
		entry->stale = false;
		PG_TRY();
		{
			p = load(part, GetLatestSnapshot());
		}
		PG_CATCH();
		{
			entry->stale = true;
			PG_RE_THROW();
		}
		PG_END_TRY();
		if (entry->pipeline)
			MemoryContextSetParent(entry->pipeline->context, TopTransactionContext);
		MemoryContextSetParent(p->context, CacheMemoryContext);
		entry->pipeline = p;
		/* a debugging aid makes everything stale all the time */
		if (debug_discard_caches > 0)
			break;
	}
	return entry->pipeline;
}

/* Is a pipeline's configuration the one that the active snapshot sees? */
static bool
is_as_seen(Pipeline *p)
{
	UserSwitch	saved;
	bool		same = false;
	bool		isnull;

	leadscore_run_as(p->owner, false, &saved);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (p->plans[PLAN_READ_CONFIGURATION] == NULL)
		p->plans[PLAN_READ_CONFIGURATION] =
			leadscore_keep_plan(psprintf("SELECT configuration FROM %s", leadscore_table_name(p->setting)), 0, NULL);
	if (SPI_execute_plan(p->plans[PLAN_READ_CONFIGURATION], NULL, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the configuration of pipeline %u", p->part.schema);
	if (SPI_processed == 1)
		same = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
										   &isnull)) == p->configuration;
	SPI_finish();
	leadscore_run_back(&saved);
	return same;
}

/*
 * A pipeline as the active snapshot sees it.  It is kept until the transaction
 * ends, beside the newest one: a query asks for it once for each lead.
 */
static Pipeline *
load_as_seen(PipelinePart part)
{
	PipelineEntry *entry = find_entry(part);
	Pipeline   *p = entry->seen;

	if (p && is_as_seen(p))
		return p;
	entry->seen = NULL;
	entry->seen_stale = false;
	p = load(part, GetActiveSnapshot());
	MemoryContextSetParent(p->context, TopTransactionContext);
	if (!entry->seen_stale)
		entry->seen = p;
	return p;
}

/*
 * The same for a query, which may run in parallel: no newer snapshot than the
 * query's can be taken then.
 */
Pipeline *
leadscore_pipeline_for_query(PipelinePart part)
{
	if (IsInParallelMode() && find_entry(part)->stale)
		return load_as_seen(part);
	return leadscore_pipeline(part);
}

/*
 * The same for a query that replays logs, which it sees by its snapshot: with
 * the configuration that this snapshot sees, even if a newer one is known.
 */
Pipeline *
leadscore_pipeline_as_seen(PipelinePart part)
{
	Pipeline   *p = leadscore_pipeline_for_query(part);

	return is_as_seen(p) ? p : load_as_seen(part);
}

/*
 * The same for a writer: its configuration, and the columns of lead_state,
 * stay as they are until the end of the transaction.  A session that changes
 * the configuration waits for the writers, and readers wait for nobody.
 */
Pipeline *
leadscore_pipeline_for_write(PipelinePart part)
{
	Pipeline   *p = find_entry(part)->pipeline;

	if (p == NULL)
		p = leadscore_pipeline(part);
	for (;;)
	{
		Oid			model = p->model;
		Oid			state = p->state;

		LockRelationOid(model, RowShareLock);
		LockRelationOid(state, RowExclusiveLock);
		p = leadscore_pipeline(part);
		if (p->model == model && p->state == state)
			break;
	}
	/* rows written into these tables would never be found */
	if (p->distributed)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("leads of pipeline \"%s\" can be written in their shards only",
						get_namespace_name(part.schema)),
				 errhint("Distribute all tables that have a lead_id by it, colocated with each other.")));
	return p;
}

/*
 * The same for a function that writes by statements of its own: those of a
 * distributed pipeline go to its shards, where triggers take these locks.
 */
Pipeline *
leadscore_pipeline_for_app(PipelinePart part)
{
	Pipeline   *p = leadscore_pipeline(part);

	return p->distributed ? p : leadscore_pipeline_for_write(part);
}
