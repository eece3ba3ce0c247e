/*-------------------------------------------------------------------------
 *
 * stage.h
 *		lead_stage: the stages of a lead, as one byte that sorts like them.
 *
 * Needs postgres.h before it, and fmgr.h where the fmgr macros are used.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_STAGE_H
#define LEADSCORE_STAGE_H

/*
 * Codes are stored, so a code never changes its meaning.  The gaps leave
 * room for stages to come.  Codes stay below 128: a one-byte datum is read
 * from a tuple as a signed char.
 */
typedef enum LeadStage
{
	LEAD_STAGE_DISQUALIFIED = 10,
	LEAD_STAGE_LOST = 20,
	LEAD_STAGE_RECYCLED = 30,
	LEAD_STAGE_VISITOR = 40,
	LEAD_STAGE_IQL = 50,
	LEAD_STAGE_MQL = 60,
	LEAD_STAGE_SQL = 70,
	LEAD_STAGE_PROSPECT = 80,
	LEAD_STAGE_CUSTOMER = 90,
	LEAD_STAGE_ADVOCATE = 100
} LeadStage;

#define DatumGetLeadStage(X)	DatumGetUInt8(X)
#define LeadStageGetDatum(X)	UInt8GetDatum(X)

#define PG_GETARG_LEAD_STAGE(n) DatumGetLeadStage(PG_GETARG_DATUM(n))
#define PG_RETURN_LEAD_STAGE(x) return LeadStageGetDatum(x)

/* The lower-case label of a code, or NULL if there is no such stage. */
extern const char *lead_stage_label(uint8 code);

/*
 * Read a label or synonym of len bytes, not necessarily terminated.  Returns
 * false and leaves *code alone if it names no stage.
 */
extern bool lead_stage_parse(const char *s, size_t len, uint8 *code);

#endif							/* LEADSCORE_STAGE_H */
