/*-------------------------------------------------------------------------
 *
 * history.h
 *		Rows to be appended to stage_log and profile_change.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_HISTORY_H
#define LEADSCORE_HISTORY_H

#include "utils/snapshot.h"

#include "lifecycle.h"
#include "pipeline.h"

/* A stage change that is still to be appended */
typedef struct StageRow
{
	int64		lead_id;
	StageChange change;
	const char *model;			/* NULL: none was active */
} StageRow;

/* Stage changes, in order; all of one lead stand together */
typedef struct StageBuffer
{
	MemoryContext context;
	StageRow   *rows;
	int			n;
	int			capacity;
	int64		lead_id;		/* of the rows to come */
	const char *model;
} StageBuffer;

/* A change of a profile that is still to be appended */
typedef struct ProfileRow
{
	int64		lead_id;
	const char *signal;
	int64		changed_at;
	int16		count;			/* 1: began to match, -1: ceased to */
} ProfileRow;

typedef struct ProfileBuffer
{
	MemoryContext context;
	ProfileRow *rows;
	int			n;
	int			capacity;
} ProfileBuffer;

extern void leadscore_stages_init(StageBuffer *buffer, MemoryContext context);
extern void leadscore_stage_changed(void *buffer, const StageChange *change);
extern void leadscore_profiles_add(ProfileBuffer *buffer, int64 lead_id, const char *signal,
								   int64 changed_at, int count);
extern void leadscore_history_flush(Pipeline *pipeline, StageBuffer *stages,
									ProfileBuffer *profiles);
extern bool leadscore_history_correct(Pipeline *pipeline, const StageBuffer *replayed,
									  Snapshot snapshot, char **difference);

#endif							/* LEADSCORE_HISTORY_H */
