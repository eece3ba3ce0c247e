/*-------------------------------------------------------------------------
 *
 * segment_match.h
 *		The segments that a lead is in, at a bucket or over a range of them.
 *
 * Pure functions of an evaluation, or of a range; see segment_match.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_SEGMENT_MATCH_H
#define LEADSCORE_SEGMENT_MATCH_H

#include "qualify.h"

extern void leadscore_segments_at(const Scorer *scorer, const Evaluation *e, uint8 stage,
								  SegmentBits *members);
extern bool leadscore_segments_keep(const Scorer *scorer, const Range *range,
									const LeadStanding *standing, bool only_points);
extern int32 leadscore_segments_expiry(const Scorer *scorer, const ActivityList *activity,
									   int32 after, const LeadStanding *standing,
									   int32 before);
extern bool leadscore_condition_met(const Scorer *scorer, const Evaluation *e, uint8 stage,
									const SegmentBits *members, const SegmentCondition *condition);
extern int64 leadscore_match_weight(const Scorer *scorer, const Evaluation *e, uint8 stage,
									const SegmentBits *members, const Segment *segment);

#endif							/* LEADSCORE_SEGMENT_MATCH_H */
