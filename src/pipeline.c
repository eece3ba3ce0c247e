/*-------------------------------------------------------------------------
 *
 * pipeline.c
 *		What is looked up in a pipeline that was read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/lsyscache.h"

#include "pipeline.h"

/* Variables of conditions on events, in the order of ContentColumn */
const char *const leadscore_content_variables[CONTENT_COLUMNS] = {
	"content_kind", "content_topic", "content_intent", "content_stage", "content_persona"
};

/* Is a kind of event one of these? */
bool
leadscore_is_kind(text *const *kinds, int nkinds, Datum kind)
{
	text	   *name = DatumGetTextPP(kind);
	int			i;

	for (i = 0; i < nkinds; i++)
		if (VARSIZE_ANY_EXHDR(name) == VARSIZE_ANY_EXHDR(kinds[i]) &&
			memcmp(VARDATA_ANY(name), VARDATA_ANY(kinds[i]), VARSIZE_ANY_EXHDR(kinds[i])) == 0)
			return true;
	return false;
}

/* May a path over rows of a source use a variable of this name? */
bool
leadscore_is_variable(const Pipeline *pipeline, SignalSource source, const char *name)
{
	Oid			relid = source == SOURCE_EVENT ? pipeline->event : pipeline->lead;
	int			i;

	if (get_attnum(relid, name) > 0)
		return true;
	if (source == SOURCE_PROFILE &&
		(strcmp(name, "consented") == 0 || strcmp(name, "email_domain") == 0))
		return true;
	for (i = 0; source == SOURCE_EVENT && i < CONTENT_COLUMNS; i++)
		if (strcmp(leadscore_content_variables[i], name) == 0)
			return true;
	for (i = 0; i < pipeline->nlists; i++)
		if (strcmp(pipeline->list_names[i], name) == 0)
			return true;
	return false;
}

/* Compare the name of a kind with that of an entry. */
static int
kind_cmp(const void *kind, const void *entry)
{
	return strcmp(kind, ((const KindSignals *) entry)->kind);
}

/* The signals that a kind of event may match */
const KindSignals *
leadscore_kind_signals(const Pipeline *pipeline, const char *kind)
{
	const KindSignals *found = bsearch(kind, pipeline->kinds, pipeline->nkinds,
									   sizeof(KindSignals), kind_cmp);

	return found ? found : &pipeline->other;
}

/* Compare a name with that of a content. */
static int
content_name_cmp(const void *name, const void *content)
{
	return strcmp(name, ((const Content *) content)->name);
}

/* The content of a name, or NULL */
const Content *
leadscore_find_content(const Pipeline *pipeline, const char *name)
{
	return pipeline->ncontents == 0 ? NULL :
		bsearch(name, pipeline->contents, pipeline->ncontents, sizeof(Content), content_name_cmp);
}

/* Compare an id with that of a signal. */
static int
signal_id_cmp(const void *id, const void *signal)
{
	return *(const int *) id - ((const SignalRule *) signal)->id;
}

/* The signal with an id, or NULL */
const SignalRule *
leadscore_signal_rule(const Pipeline *pipeline, int id)
{
	return bsearch(&id, pipeline->signals, pipeline->nsignals, sizeof(SignalRule),
				   signal_id_cmp);
}

/*
 * The tables whose rows are of one lead each; the states first: where rows are
 * deleted, their locks keep new events away.
 */
void
leadscore_lead_tables(const Pipeline *pipeline, Oid *tables)
{
	tables[0] = pipeline->state;
	tables[1] = pipeline->event;
	tables[2] = pipeline->stage_log;
	tables[3] = pipeline->profile_change;
	tables[4] = pipeline->consent;
	tables[5] = pipeline->alias;
	tables[6] = pipeline->segment_log;
	tables[7] = pipeline->enrollment;
	tables[8] = pipeline->action;
	tables[9] = pipeline->exposure;
	tables[10] = pipeline->lead_change;
	tables[11] = pipeline->preference;
	tables[12] = pipeline->checkpoint;
}
