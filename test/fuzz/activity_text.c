/*-------------------------------------------------------------------------
 *
 * activity_text.c
 *		Any text is refused with a reason, or is an activity whose own text
 *		and bytes are read back as itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "activity.h"

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	char	   *text = palloc(size + 1);
	const char *problem = NULL;
	ActivityList list;

	memcpy(text, data, size);
	text[size] = '\0';
	lead_activity_init(&list, GRAIN_DAY, 0);
	if (lead_activity_parse(text, &list, &problem))
	{
		unsigned char *encoded;

		check_list(&list);
		check_round_trips(&list, &encoded);
		check_algebra(&list, &list);
		pfree(encoded);
	}
	else
		CHECK(problem != NULL);
	pfree(list.items);
	pfree(text);
	return 0;
}
