/*-------------------------------------------------------------------------
 *
 * fuzz.h
 *		What the harnesses share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_FUZZ_H
#define LEADSCORE_FUZZ_H

#define CHECK(condition) \
	do { \
		if (!(condition)) \
			fuzz_fail(#condition, __FILE__, __LINE__); \
	} while (0)

extern void fuzz_fail(const char *condition, const char *file, int line) pg_attribute_noreturn();
extern void fuzz_free_all(void);
extern int	LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

#endif							/* LEADSCORE_FUZZ_H */
