/*-------------------------------------------------------------------------
 *
 * segment_compile.h
 *		A segment from its JSON form.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_SEGMENT_COMPILE_H
#define LEADSCORE_SEGMENT_COMPILE_H

#include "utils/jsonb.h"

#include "segment.h"

extern void leadscore_segment_compile(Jsonb *definition, LeadGrain grain, bool draft, Segment *segment);

#endif							/* LEADSCORE_SEGMENT_COMPILE_H */
