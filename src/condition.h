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

typedef enum ConditionResult
{
	CONDITION_FAILS,
	CONDITION_HOLDS,
	CONDITION_UNKNOWN			/* it compares values of different types */
} ConditionResult;

extern ConditionResult leadscore_condition(JsonPath *path, Jsonb *doc, Jsonb *vars);
extern bool leadscore_is_number(JsonPath *path, Jsonb *doc, Jsonb *vars);
extern bool leadscore_condition_holds(JsonPath *path, Jsonb *doc, Jsonb *vars);
extern int64 leadscore_quantity(JsonPath *path, Jsonb *doc, Jsonb *vars);
extern uint64 leadscore_text_hash(char *text, int len);
extern uint64 leadscore_distinct_value(JsonPath *path, Jsonb *doc, Jsonb *vars);
extern List *leadscore_path_variables(JsonPath *path);
extern bool leadscore_is_named(const List *names, const char *name);

#endif							/* LEADSCORE_CONDITION_H */
