/*-------------------------------------------------------------------------
 *
 * state.h
 *		Calling the support functions of aggregates with any bytes as a state.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_FUZZ_STATE_H
#define LEADSCORE_FUZZ_STATE_H

#include "fmgr.h"

#include "fuzz.h"

/* Bytes as a bytea of exactly their size */
static inline Datum
state_of(const unsigned char *data, size_t size)
{
	char	   *state = palloc(VARHDRSZ + size);

	SET_VARSIZE(state, VARHDRSZ + size);
	memcpy(VARDATA(state), data, size);
	return PointerGetDatum(state);
}

/* Call an SQL function of one or two arguments; false if it raised an error. */
static inline bool
call(PGFunction function, int nargs, Datum a, Datum b, Datum *result)
{
	LOCAL_FCINFO(fcinfo, 2);

	InitFunctionCallInfoData(*fcinfo, NULL, nargs, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = a;
	fcinfo->args[0].isnull = false;
	fcinfo->args[1].value = b;
	fcinfo->args[1].isnull = false;
	if (sigsetjmp(fuzz_error, 0) != 0)
		return false;
	*result = function(fcinfo);
	return true;
}

#endif							/* LEADSCORE_FUZZ_STATE_H */
