/*-------------------------------------------------------------------------
 *
 * progress.h
 *		What other sessions see of long work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_PROGRESS_H
#define LEADSCORE_PROGRESS_H

/* Work that may take long, in the order of tasks[] in progress.c */
typedef enum ProgressTask
{
	TASK_ACTIVATE_MODEL,
	TASK_ACTIVATE_SEGMENT,
	TASK_APPLY_RETENTION,
	TASK_ATTACH,
	TASK_BACKFILL,
	TASK_COMPARE_MODELS,
	TASK_PURGE,
	TASK_REBUILD,
	TASK_RETIRE_SEGMENT,
	TASK_SUGGEST_POINTS,
	TASK_SWEEP,
	TASK_VERIFY
} ProgressTask;

/* What it does at a time, in the order of phases[] in progress.c */
typedef enum ProgressPhase
{
	PHASE_WAIT,
	PHASE_CONSENT,
	PHASE_TRIGGERS,
	PHASE_COMPLETE,
	PHASE_COMPARE,
	PHASE_ORPHANS,
	PHASE_REPAIR,
	PHASE_FOLLOW,
	PHASE_PICK,
	PHASE_SWEEP,
	PHASE_LINE,
	PHASE_SOURCE_IDS,
	PHASE_DELETE,
	PHASE_SUPERSEDED,
	PHASE_ACTIONS,
	PHASE_READ_ROWS,
	PHASE_LEADS,
	PHASE_EVENTS,
	PHASE_PAST,
	PHASE_LEARN,
	PHASE_TEST,
	PHASE_DRAFT,
	PHASE_MODELS
} ProgressPhase;

#define PROGRESS_UNKNOWN	(-1)

extern bool leadscore_progress_begin(Oid schema, ProgressTask task, ProgressPhase phase);
extern bool leadscore_progress_shown(void);
extern void leadscore_progress_phase(ProgressPhase phase, int64 total);
extern void leadscore_progress_count(int64 n);
extern void leadscore_progress_end(bool outermost);

#endif							/* LEADSCORE_PROGRESS_H */
