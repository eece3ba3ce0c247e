/*-------------------------------------------------------------------------
 *
 * activity_bytes.c
 *		Any bytes are refused, or are the one encoding of an activity.
 *
 * The first byte says where the input is cut into two activities.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "activity.h"

/* Decode a block of exactly its size. */
static bool
decode(const unsigned char *data, size_t size, ActivityList *list)
{
	unsigned char *block = palloc(size);
	unsigned char *encoded;
	bool		valid;

	memcpy(block, data, size);
	lead_activity_init(list, GRAIN_DAY, 0);
	valid = lead_activity_decode(block, size, list);
	if (valid)
	{
		check_list(list);
		CHECK(check_round_trips(list, &encoded) == size);
		CHECK(memcmp(encoded, block, size) == 0);
		pfree(encoded);
	}
	pfree(block);
	return valid;
}

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	ActivityList a;
	ActivityList b;
	size_t		cut;
	bool		valid;

	if (size < 1)
		return 0;
	cut = 1 + data[0] % size;
	valid = decode(data + 1, cut - 1, &a);
	if (decode(data + cut, size - cut, &b) && valid && a.grain == b.grain)
		check_algebra(&a, &b);
	pfree(a.items);
	pfree(b.items);
	return 0;
}
