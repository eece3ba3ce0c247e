/*-------------------------------------------------------------------------
 *
 * pipeline_files.h
 *		The DDL of a pipeline: the files of src/sql/pipeline/, which the
 *		build embeds in the library.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADSCORE_PIPELINE_FILES_H
#define LEADSCORE_PIPELINE_FILES_H

typedef struct PipelineFile
{
	const char *name;			/* such as core/10-tables */
	const char *text;
} PipelineFile;

/* In the order of their names; the last one has no name. */
extern const PipelineFile leadscore_pipeline_files[];

#endif							/* LEADSCORE_PIPELINE_FILES_H */
