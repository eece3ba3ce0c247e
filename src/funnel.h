/*-------------------------------------------------------------------------
 *
 * funnel.h
 *		How the arguments of funnels are read and refused.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_FUNNEL_H
#define LEADSCORE_FUNNEL_H

#include "utils/array.h"
#include "utils/timestamp.h"

#include "funnel_match.h"

/* how the steps of a funnel are passed, for hints */
#define FUNNEL_CONDITIONS	"conditions as last arguments"

extern const char *leadscore_funnel_mode_name(FunnelMode mode);
extern FunnelMode leadscore_funnel_mode(const char *name, int len);
extern void leadscore_funnel_null(const char *name, const char *hint);
extern int64 leadscore_funnel_within(const Interval *within);
extern int	leadscore_funnel_steps(const ArrayType *steps, const char *passed);
extern void leadscore_funnel_differs(const char *what);

#endif							/* LEADSCORE_FUNNEL_H */
