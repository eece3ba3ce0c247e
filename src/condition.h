/*-------------------------------------------------------------------------
 *
 * condition.h
 *		Conditions and quantities: what a jsonpath says of a document.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_CONDITION_H
#define LEADSCORE_CONDITION_H

#include "nodes/pg_list.h"
#include "utils/jsonb.h"
#include "utils/jsonpath.h"

/* a quantity larger than this counts as this much */
#define MAX_COUNT	INT64CONST(1000000000)

extern bool leadscore_condition_holds(JsonPath *path, Jsonb *doc, Jsonb *vars);
extern int64 leadscore_quantity(JsonPath *path, Jsonb *doc, Jsonb *vars);
extern List *leadscore_path_variables(JsonPath *path);

#endif							/* LEADSCORE_CONDITION_H */
