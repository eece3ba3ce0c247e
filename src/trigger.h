/*-------------------------------------------------------------------------
 *
 * trigger.h
 *		What the triggers on `event` and `lead` share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_TRIGGER_H
#define LEADSCORE_TRIGGER_H

#include "commands/trigger.h"
#include "fmgr.h"

extern TriggerData *leadscore_check_trigger(FunctionCallInfo fcinfo, const char *function,
											bool before, bool row);
extern void leadscore_check_transition_tables(const TriggerData *trigdata, const char *function);
extern void leadscore_read_from_start(Tuplestorestate *rows);
extern void leadscore_refuse_truncate(Relation rel);

#endif							/* LEADSCORE_TRIGGER_H */
