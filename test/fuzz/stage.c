/*-------------------------------------------------------------------------
 *
 * stage.c
 *		Any text is refused, or names a stage whose label names it too.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "../../src/stage.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	uint8		code = 255;
	uint8		again = 255;
	const char *label;

	if (lead_stage_parse((const char *) data, size, &code))
	{
		label = lead_stage_label(code);
		CHECK(label != NULL);
		CHECK(lead_stage_parse(label, strlen(label), &again));
		CHECK(code == again);
	}
	else
		CHECK(code == 255);
	return 0;
}
