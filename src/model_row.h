/*-------------------------------------------------------------------------
 *
 * model_row.h
 *		The values of one row of a model's JSON form.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_MODEL_ROW_H
#define LEADSCORE_MODEL_ROW_H

#include "nodes/nodes.h"
#include "utils/jsonb.h"

#include "model.h"

/* what a number of points is told to be */
#define POINTS_HINT	"Write a number with at most three decimals, such as 15 or -2.5."

/* One JSON object that is being read */
typedef struct ModelRow
{
	struct Compiler *c;			/* of the model */
	Node	   *escontext;		/* for soft errors */
	LeadGrain	grain;			/* of the model */
	const char *kind;			/* rule, dimension, ... */
	const char *name;			/* which one, for messages */
	int			number;			/* the same of a row without a name, or 0 */
	JsonbContainer *object;
} ModelRow;

extern bool lead_model_fail(ModelRow *row, const char *hint,
							const char *format,...) pg_attribute_printf(3, 4);
extern JsonbValue *lead_model_find(ModelRow *row, const char *key, JsonbValue *value);
extern char *lead_model_string(const JsonbValue *value);
extern bool lead_model_check_keys(ModelRow *row, const char *const *allowed);
extern bool lead_model_read_text(ModelRow *row, const char *key, char **text);
extern bool lead_model_read_name(ModelRow *row, const char *key, char **name);
extern bool lead_model_read_bool(ModelRow *row, const char *key, bool dflt,
								 uint8 *result);
extern bool lead_model_parse_milli(const char *text, int64 limit, int64 *result);
extern bool lead_model_read_milli(ModelRow *row, const char *key, int64 dflt,
								  int64 limit, int64 *result);
extern bool lead_model_read_count(ModelRow *row, const char *key, int64 dflt,
								  int64 min, int64 max, int64 *result);
extern bool lead_model_read_choice(ModelRow *row, const char *key,
								   const char *const *names, int dflt,
								   int *result);
extern bool lead_model_read_period(ModelRow *row, const char *key,
								   int unit_minutes, int32 *result);
extern bool lead_model_read_rows(ModelRow *model, const char *key,
								 JsonbContainer **rows, int *n, Size size,
								 void **array);
extern bool lead_model_begin_row(ModelRow *model, const char *kind,
								 const char *name_key, JsonbContainer *rows,
								 int i, const char *const *allowed,
								 ModelRow *row);

#endif							/* LEADSCORE_MODEL_ROW_H */
