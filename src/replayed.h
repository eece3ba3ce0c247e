/*-------------------------------------------------------------------------
 *
 * replayed.h
 *		Leads that triggers of a statement have replayed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_REPLAYED_H
#define LEADSCORE_REPLAYED_H

#include "lead_state.h"

extern void leadscore_replayed_note(const Writer *writer, int64 lead_id);
extern bool leadscore_replayed_before(const Writer *writer, int64 lead_id);

#endif							/* LEADSCORE_REPLAYED_H */
