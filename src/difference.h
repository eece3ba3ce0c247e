/*-------------------------------------------------------------------------
 *
 * difference.h
 *		What of a stored lead differs from a replay of its log.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_DIFFERENCE_H
#define LEADSCORE_DIFFERENCE_H

#include "replay.h"

/* A lead that is not as its log says */
typedef struct Difference
{
	int64		lead_id;
	const char *problem;
	char	   *stored;			/* NULL: nothing */
	char	   *expected;
} Difference;

extern bool leadscore_lead_differs(LogReader *log, LeadRecord *stored, bool repairs, Difference *difference);

#endif							/* LEADSCORE_DIFFERENCE_H */
