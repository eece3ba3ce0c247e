/*-------------------------------------------------------------------------
 *
 * segment_set.c
 *		Segments that are active together, in the order of their references.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "segment.h"

/* The index of the segment with an id, NO_INDEX if it is not there */
int
leadscore_segment_index(const SegmentSet *set, int32 id)
{
	int			i;

	for (i = 0; set && i < set->n; i++)
		if (set->segments[i].id == id)
			return i;
	return NO_INDEX;
}

/* Is each segment that one names either in a set already or not to come at all? */
static bool
is_ready(const SegmentSet *set, const Segment *segment, const Segment *all, int n)
{
	int			i;
	int			j;

	for (i = 0; i < segment->n; i++)
	{
		const SegmentCondition *c = &segment->conditions[i];

		if (c->test != TEST_SEGMENT || leadscore_segment_index(set, c->segment_id) != NO_INDEX)
			continue;
		for (j = 0; j < n; j++)
			if (all[j].id == c->segment_id)
				return false;
	}
	return true;
}

/* Add a copy of a segment to a set, with what it names of the set resolved. */
static void
add(SegmentSet *set, const Segment *segment)
{
	Segment    *copy = &set->segments[set->n];
	int			i;

	*copy = *segment;
	copy->conditions = palloc(sizeof(SegmentCondition) * segment->n + 1);
	memcpy(copy->conditions, segment->conditions, sizeof(SegmentCondition) * segment->n);
	copy->by_points = false;
	for (i = 0; i < copy->n; i++)
	{
		SegmentCondition *c = &copy->conditions[i];

		c->goes_on = i + 1 < copy->n && strcmp(c->name, c[1].name) == 0;
		if (c->test == TEST_SEGMENT)
			c->segment = (int16) leadscore_segment_index(set, c->segment_id);
		if (c->test == TEST_DIMENSION || c->test == TEST_SCORE ||
			(c->test == TEST_SEGMENT && c->segment != NO_INDEX && set->segments[c->segment].by_points))
			copy->by_points = true;
	}
	set->n++;
}

/*
 * Put segments in order; lives in the current memory context, strings stay
 * where they are.  Activation refuses circles.  Should there be one, its
 * segments come last, and each takes those behind it for segments that nobody is
 * in.
 */
SegmentSet *
leadscore_segment_set(const Segment *segments, int n)
{
	SegmentSet *set = palloc0(sizeof(SegmentSet));
	int			before;
	int			i;

	Assert(n <= MAX_SEGMENTS);
	set->segments = palloc(sizeof(Segment) * n + 1);
	do
	{
		before = set->n;
		for (i = 0; i < n; i++)
			if (leadscore_segment_index(set, segments[i].id) == NO_INDEX &&
				is_ready(set, &segments[i], segments, n))
				add(set, &segments[i]);
	} while (set->n > before);
	for (i = 0; i < n; i++)
		if (leadscore_segment_index(set, segments[i].id) == NO_INDEX)
			add(set, &segments[i]);
	Assert(set->n == n);
	return set;
}
