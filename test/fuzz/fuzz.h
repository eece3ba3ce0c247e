/*-------------------------------------------------------------------------
 *
 * fuzz.h
 *		What the harnesses share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_FUZZ_H
#define LEADSCORE_FUZZ_H

#include <setjmp.h>

#define CHECK(condition) \
	do { \
		if (!(condition)) \
			fuzz_fail(#condition, __FILE__, __LINE__); \
	} while (0)

extern sigjmp_buf fuzz_error;	/* where ereport(ERROR) goes */
extern void fuzz_fail(const char *condition, const char *file, int line) pg_attribute_noreturn();
extern void fuzz_free_all(void);
extern int	LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

#endif							/* LEADSCORE_FUZZ_H */
