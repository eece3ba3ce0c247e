/*-------------------------------------------------------------------------
 *
 * shim.c
 *		What the server gives to the code that is fuzzed without one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#undef fprintf
#undef vsprintf
#undef qsort

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"

/* Memory of the server comes back zeroed or not at all, and never as NULL. */
void *
palloc(Size size)
{
	void	   *result = malloc(size > 0 ? size : 1);

	if (result == NULL)
		abort();
	return result;
}

void *
repalloc(void *pointer, Size size)
{
	void	   *result = realloc(pointer, size > 0 ? size : 1);

	if (result == NULL)
		abort();
	return result;
}

void
pfree(void *pointer)
{
	free(pointer);
}

int
pg_sprintf(char *str, const char *fmt,...)
{
	va_list		args;
	int			result;

	va_start(args, fmt);
	result = vsprintf(str, fmt, args);
	va_end(args);
	return result;
}

void
pg_qsort(void *base, size_t n, size_t size, int (*cmp) (const void *, const void *))
{
	qsort(base, n, size, cmp);
}

/* A property that must hold does not. */
void
fuzz_fail(const char *condition, const char *file, int line)
{
	fprintf(stderr, "%s:%d: not true: %s\n", file, line, condition);
	abort();
}
