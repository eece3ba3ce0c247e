/*-------------------------------------------------------------------------
 *
 * segment.h
 *		Segments: named conditions that a lead meets or does not.
 *
 * A segment belongs to no model: it asks for signals, points, the stage and
 * other segments by name.  A Scorer holds the segments that are active
 * beside its model, with these names resolved.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_SEGMENT_H
#define LEADSCORE_SEGMENT_H

#include "model.h"

/* so many segments can be active at a time */
#define MAX_SEGMENTS	512
#define SEGMENT_WORDS	(MAX_SEGMENTS / 64)

/* what a definition may hold, in thousandths; sums of weights must not overflow */
#define MAX_SEGMENT_WEIGHT	INT64CONST(1000000)
#define WHOLE_SHARE			INT64CONST(1000)

/* A set of segments, by their index in a SegmentSet */
typedef struct SegmentBits
{
	uint64		words[SEGMENT_WORDS];
} SegmentBits;

/* What a condition asks for */
typedef enum SegmentTest
{
	TEST_SIGNAL,				/* counts of a signal */
	TEST_DIMENSION,				/* points of a dimension */
	TEST_SCORE,					/* points of the score */
	TEST_STAGE,					/* a stage from one to another */
	TEST_SEGMENT				/* that the lead is in another segment */
} SegmentTest;

/* One row of a segment; rows of one name stand together and are alternatives */
typedef struct SegmentCondition
{
	const char *name;
	SegmentTest test;
	bool		negate;
	bool		goes_on;		/* has the next row the same name? */
	bool		distinct;		/* does the signal count different values? */
	uint8		stage_from;
	uint8		stage_to;
	int16		signal;			/* index in a scorer, NO_INDEX if it has none */
	int16		dimension;		/* index in a model, NO_INDEX if it has none */
	int16		segment;		/* index in a set, NO_INDEX if it is not there */
	int32		signal_id;
	int32		segment_id;
	int32		within;			/* buckets; 0: all */
	const char *signal_name;
	const char *lead_condition; /* path that a draft's signal is to have */
	const char *dimension_name;
	const char *segment_name;
	int64		min_count;
	int64		min_points;
	int64		weight;			/* of its name */
} SegmentCondition;

typedef struct Segment
{
	int32		id;
	const char *name;
	bool		persona;
	bool		ideal_customer;
	int64		min_share;		/* of the weights that must hold, in
								 * thousandths */
	int64		weight;			/* of all names */
	bool		by_points;		/* does it ask for points, or a segment that
								 * it names? */
	int			n;
	SegmentCondition *conditions;
} Segment;

/* Segments in an order in which each comes after those that it names */
typedef struct SegmentSet
{
	int			n;
	Segment    *segments;
} SegmentSet;

static inline bool
segment_is_member(const SegmentBits *bits, int i)
{
	return (bits->words[i / 64] >> (i % 64)) & 1;
}

static inline void
segment_set_member(SegmentBits *bits, int i)
{
	bits->words[i / 64] |= UINT64CONST(1) << (i % 64);
}

/* segment_set.c */
extern SegmentSet *leadscore_segment_set(const Segment *segments, int n);
extern int	leadscore_segment_index(const SegmentSet *set, int32 id);

#endif							/* LEADSCORE_SEGMENT_H */
