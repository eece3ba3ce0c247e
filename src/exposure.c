/*-------------------------------------------------------------------------
 *
 * exposure.c
 *		Events that show a variant of an experiment to a lead.
 *
 * A page view, a view of a form or a message that was sent is an exposure if
 * its properties name an experiment that runs.  While none runs the pipeline
 * knows no kinds of events to look at, and the way of an event is as short as
 * without experiments.  What an exposure is stands in core/39-experiments.sql.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"

#include "exposure.h"
#include "guard.h"

/* An empty list */
void
leadscore_exposures_init(ExposureList *list)
{
	memset(list, 0, sizeof(ExposureList));
}

/* Do the properties of an event name an experiment? */
static bool
names_experiment(Datum properties)
{
	Jsonb	   *object = DatumGetJsonbP(properties);
	JsonbValue	key;

	if (!JB_ROOT_IS_OBJECT(object))
		return false;
	key.type = jbvString;
	key.val.string.val = "experiment";
	key.val.string.len = (int) strlen("experiment");
	return findJsonbValueFromContainer(&object->root, JB_FOBJECT, &key) != NULL;
}

/* Add the event in a slot if it may be an exposure. */
void
leadscore_exposures_add(ExposureList *list, const Pipeline *pipeline,
						const EventColumns *columns, TupleTableSlot *slot)
{
	Datum		kind;
	Datum		properties;
	bool		isnull;

	if (pipeline->nexposing == 0)
		return;
	kind = slot_getattr(slot, columns->kind, &isnull);
	if (isnull || !leadscore_is_kind(pipeline->exposing, pipeline->nexposing, kind))
		return;
	properties = slot_getattr(slot, columns->properties, &isnull);
	if (isnull || !names_experiment(properties))
		return;
	if (list->n == list->capacity)
	{
		list->capacity = Max(16, list->capacity * 2);
		if (list->lead_ids == NULL)
		{
			list->lead_ids = palloc(list->capacity * sizeof(Datum));
			list->event_ids = palloc(list->capacity * sizeof(Datum));
		}
		else
		{
			list->lead_ids = repalloc_huge(list->lead_ids, list->capacity * sizeof(Datum));
			list->event_ids = repalloc_huge(list->event_ids, list->capacity * sizeof(Datum));
		}
	}
	list->lead_ids[list->n] = slot_getattr(slot, columns->lead_id, &isnull);
	list->event_ids[list->n++] = slot_getattr(slot, columns->event_id, &isnull);
}

/*
 * Have the states of their leads locked when events are applied: an event that
 * counts for no signal does not.
 */
void
leadscore_exposures_hold(const ExposureList *list, Writer *writer)
{
	int64	   *lead_ids;
	int			i;

	if (list->n == 0)
		return;
	lead_ids = MemoryContextAllocHuge(CurrentMemoryContext, list->n * sizeof(int64));
	for (i = 0; i < list->n; i++)
		lead_ids[i] = DatumGetInt64(list->lead_ids[i]);
	leadscore_hold_leads(writer, lead_ids, list->n);
}

/*
 * Hand them over to the pipeline's function _events_exposed().  The states of
 * their leads are locked; the session acts as the owner.
 */
void
leadscore_exposures_apply(ExposureList *list, Writer *writer)
{
	Oid			types[2] = {INT8ARRAYOID, INT8ARRAYOID};
	Datum		values[2];
	int			nestlevel;

	if (list->n == 0)
		return;
	values[0] = leadscore_build_array(list->lead_ids, NULL, list->n, INT8OID);
	values[1] = leadscore_build_array(list->event_ids, NULL, list->n, INT8OID);
	CommandCounterIncrement();
	nestlevel = leadscore_fix_path();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	leadscore_call_function(writer->pipeline->part, "_events_exposed", 2, types, values, NULL, false);
	SPI_finish();
	AtEOXact_GUC(true, nestlevel);
}
