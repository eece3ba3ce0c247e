/*-------------------------------------------------------------------------
 *
 * checkpoint.h
 *		Where a lead stood at the line before which its events were purged.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_CHECKPOINT_H
#define LEADSCORE_CHECKPOINT_H

#include "replay.h"

/* A row of lead_checkpoint; instants are NEVER for NULL */
typedef struct Checkpoint
{
	int64		purged_before;	/* the line: where a bucket begins */
	int32		stage_seq;		/* the last rows of both logs up to it */
	int32		segments_seq;
	uint8		stage;
	uint8		suspended;
	bool		promotion_blocked;
	int32		cycle;
	int64		stage_since;
	int64		profile_at;
	int64		milestone_at;
	int64		segments_since;
	Datum		segments;		/* array of their ids; 0: none */
	bool		named;			/* events before the line had source_ids */
	int64		configuration;
} Checkpoint;

extern bool leadscore_has_baseline(const Writer *writer);
extern bool leadscore_checkpoint_read(Writer *writer, int64 lead_id, Checkpoint *checkpoint);
extern void leadscore_checkpoint_resume(Writer *writer, LeadRecord *record,
										const Checkpoint *checkpoint);
extern void leadscore_checkpoint_write(Writer *writer, int64 lead_id, const ReplayCut *cut,
									   int32 stage_seq, int32 segments_seq);

extern void leadscore_check_purged_ids(Writer *writer, int64 lead_id, Datum *event_ids, int n);

#endif							/* LEADSCORE_CHECKPOINT_H */
