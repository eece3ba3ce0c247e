/*-------------------------------------------------------------------------
 *
 * model_json.h
 *		The JSON form of a lead_model: compiling it, and writing it.
 *
 * model_compile.c reads it, model_json.c writes it and has the words of both.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_MODEL_JSON_H
#define LEADSCORE_MODEL_JSON_H

#include "lib/stringinfo.h"
#include "nodes/nodes.h"
#include "utils/jsonb.h"

#include "model.h"

/* words of the JSON form, by the numbers that stand for them in the datum */
extern const char *const lead_model_aggregate_names[];
extern const char *const lead_model_decay_names[];
extern const char *const lead_model_period_names[];
extern const char *const lead_model_source_names[];

extern LeadModel *lead_model_compile(Jsonb *json, Node *escontext);
extern void lead_model_write(const LeadModel *model, StringInfo out);

#endif							/* LEADSCORE_MODEL_JSON_H */
