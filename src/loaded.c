/*-------------------------------------------------------------------------
 *
 * loaded.c
 *		Leads that were loaded without triggers and wait for a rebuild.
 *
 * Such a lead has no state, or one that lags behind its row.  Work that creates
 * a state locks the lead itself, and leads are locked before states: so work on
 * several leads locks those without a state before it begins.  That lock also
 * takes the place of the state's where it tells events of one source_id apart.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "catalog.h"
#include "guard.h"
#include "history.h"
#include "loaded.h"

/* Are there leads that a rebuild by ranges has yet to reach? */
bool
leadscore_ranges_left(Pipeline *pipeline)
{
	bool		left;

	if (!OidIsValid(pipeline->rebuild_range) || !leadscore_ever_filled(pipeline->rebuild_range))
		return false;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (pipeline->plans[PLAN_FIND_RANGE] == NULL)
		pipeline->plans[PLAN_FIND_RANGE] =
			leadscore_keep_plan(psprintf("SELECT FROM %s WHERE finished_at IS NULL LIMIT 1",
										 leadscore_table_name(pipeline->rebuild_range)), 0, NULL);
	leadscore_engine_execute(pipeline->plans[PLAN_FIND_RANGE], NULL, GetLatestSnapshot(), InvalidSnapshot, true);
	left = SPI_processed > 0;
	SPI_finish();
	return left;
}

/* Lock leads without a state that a condition names, in the order of lead_id. */
static void
lock_leads(const Pipeline *pipeline, const char *condition, int nvalues, Oid *types, Datum *values)
{
	char	   *sql = psprintf("SELECT FROM %s l WHERE %s AND NOT EXISTS (SELECT FROM %s s"
							   " WHERE s.lead_id OPERATOR(pg_catalog.=) l.lead_id) ORDER BY l.lead_id FOR NO KEY UPDATE OF l",
							   leadscore_table_name(pipeline->lead), condition,
							   leadscore_table_name(pipeline->state));

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args(sql, nvalues, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not lock: %s", sql);
	SPI_finish();
}

/* Lock those of some leads that have no state. */
void
leadscore_lock_loaded(const Pipeline *pipeline, const int64 *lead_ids, int64 n)
{
	Oid			type = INT8ARRAYOID;
	Datum		value = leadscore_lead_ids_array(lead_ids, n);

	lock_leads(pipeline, "l.lead_id OPERATOR(pg_catalog.=) ANY ($1)", 1, &type, &value);
}

/* Lock those of a range that have no state. */
void
leadscore_lock_loaded_range(const Pipeline *pipeline, const LeadRange *range)
{
	Oid			types[2] = {INT8OID, INT8OID};
	Datum		values[2];

	values[0] = Int64GetDatum(range->first);
	values[1] = Int64GetDatum(range->last);
	lock_leads(pipeline, "l.lead_id OPERATOR(pg_catalog.>=) $1 AND l.lead_id OPERATOR(pg_catalog.<=) $2",
			   2, types, values);
}
