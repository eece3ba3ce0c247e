/*-------------------------------------------------------------------------
 *
 * purge.h
 *		Taking old events out of the log of leads.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_PURGE_H
#define LEADSCORE_PURGE_H

#include "utils/relcache.h"
#include "utils/tuplestore.h"

extern bool leadscore_purge_deletes(Relation rel, Tuplestorestate *rows);

#endif							/* LEADSCORE_PURGE_H */
