/*-------------------------------------------------------------------------
 *
 * lead_write.c
 *		Creating leads, and merging documents about them.
 *
 * A document about a lead is merged into its profile, except keys that are
 * columns of lead: these go there.  So does the key consent, true or false,
 * which sets or clears consented_at.  All is checked first, so that no
 * constraint has to refuse it.
 *
 * Leads are locked before states, both in the order of lead_id, as the engine
 * locks them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "app.h"
#include "consent.h"
#include "stage.h"

/* length that an index can hold, with room for the lead's number */
#define MAX_NAME_BYTES	2000

/* how often a lead that vanishes again and again is looked for */
#define MAX_ATTEMPTS	100

/* How a value of a document is to be read */
typedef enum FieldType
{
	FIELD_TEXT,
	FIELD_ADDRESS,				/* a text that an index must hold */
	FIELD_KIND,
	FIELD_MARKET,
	FIELD_COMPLEXITY,
	FIELD_BOOLEAN,
	FIELD_INSTANT,
	FIELD_NUMBER
} FieldType;

static const struct
{
	const char *name;
	FieldType	type;
}			fields[] = {
	{"kind", FIELD_KIND},
	{"email", FIELD_ADDRESS},
	{"phone", FIELD_ADDRESS},
	{"organization", FIELD_TEXT},
	{"market", FIELD_MARKET},
	{"country", FIELD_TEXT},
	{"language", FIELD_TEXT},
	{"time_zone", FIELD_TEXT},
	{"channel", FIELD_TEXT},
	{"campaign", FIELD_TEXT},
	{"owner", FIELD_TEXT},
	{"persona", FIELD_TEXT},
	{"consent", FIELD_BOOLEAN},
	{"consented_at", FIELD_INSTANT},
	{"contact_allowed", FIELD_BOOLEAN},
	{"referred_by", FIELD_NUMBER},
	{"objective", FIELD_TEXT},
	{"complexity", FIELD_COMPLEXITY}
};

/* Refuse a text of so many bytes, which no index can hold. */
static void
check_size(const char *name, Size size)
{
	if (size > MAX_NAME_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_STRING_DATA_RIGHT_TRUNCATION),
				 errmsg("%s is too long", name),
				 errdetail("It has %zu bytes.", size),
				 errhint("Pass at most %d bytes.", MAX_NAME_BYTES)));
}

/* Refuse a name that no index can hold. */
void
leadscore_check_length(const char *name, Datum value)
{
	check_size(name, toast_raw_datum_size(value) - VARHDRSZ);
}

/* A text argument that must be there */
Datum
leadscore_required_text(FunctionCallInfo fcinfo, int argument, const char *name)
{
	const char *hint = strcmp(name, "external_id") == 0 ?
		"Pass the name of the lead in your application, say the number of its account or of its visitor cookie." :
		strcmp(name, "kind") == 0 ?
		"Pass the kind of the event, such as page_view; those in use are in the table event_kind." :
		"Pass a stage, such as lost.";

	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name), errhint("%s", hint)));
	if (VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(argument)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be empty", name), errhint("%s", hint)));
	leadscore_check_length(name, PG_GETARG_DATUM(argument));
	return PG_GETARG_DATUM(argument);
}

/* Is a text one that a type reads? */
static bool
is_readable(PGFunction input, char *text)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool valid = true;

	PG_TRY();
	{
		(void) DirectFunctionCall3(input, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid),
								   Int32GetDatum(-1));
	}
	PG_CATCH();
	{
		/*
		 * an input function of these touches nothing, so nothing is left
		 * behind
		 */
		if (ERRCODE_TO_CATEGORY(geterrcode()) != ERRCODE_TO_CATEGORY(ERRCODE_DATA_EXCEPTION))
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
		valid = false;
	}
	PG_END_TRY();
	return valid;
}

/* What is wrong with a value of a document; NULL if it is right */
static const char *
field_problem(FieldType type, const JsonbValue *value)
{
	char	   *text;
	bool		boolean;

	if (value->type == jbvNull)
		return NULL;
	if (value->type == jbvBinary)
		return "a single value";
	if (value->type == jbvString)
		text = pnstrdup(value->val.string.val, value->val.string.len);

	else if (value->type == jbvBool)
		text = pstrdup(value->val.boolean ? "true" : "false");

	else
		text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));

	switch (type)
	{
		case FIELD_TEXT:
		case FIELD_ADDRESS:
			return NULL;
		case FIELD_KIND:
			return strcmp(text, "person") == 0 || strcmp(text, "organization") == 0 ?
				NULL : "person or organization";
		case FIELD_MARKET:
			return strcmp(text, "b2b") == 0 || strcmp(text, "b2c") == 0 ? NULL : "b2b or b2c";
		case FIELD_COMPLEXITY:
			return strcmp(text, "simple") == 0 || strcmp(text, "complex") == 0 ? NULL : "simple or complex";
		case FIELD_BOOLEAN:
			return parse_bool(text, &boolean) ? NULL : "true or false";
		case FIELD_INSTANT:
			return is_readable(timestamptz_in, text) ? NULL : "a date and time";
		case FIELD_NUMBER:
			return is_readable(int8in, text) ? NULL : "the lead_id of a lead";
	}
	return NULL;
}

/*
 * What is wrong with a member of a document, as above; also of one that refers
 * to a lead, or that an index cannot hold, if the document comes from a table of
 * the app's, whose statement must not fail for it.
 */
const char *
leadscore_member_problem(const char *name, int length, const JsonbValue *value)
{
	int			i;

	for (i = 0; i < lengthof(fields); i++)
		if (strlen(fields[i].name) == length && memcmp(fields[i].name, name, length) == 0)
			break;
	if (i == lengthof(fields))
		return NULL;
	if (fields[i].type == FIELD_NUMBER)
		return "left out";
	if (value->type == jbvString && value->val.string.len > MAX_NAME_BYTES)
		return "shorter";
	return field_problem(fields[i].type, value);
}

/*
 * Refuse a document that is no object: `name` is what it is, and `example` one that
 * would do.  Of an element of track_many(), the error names that.
 */
void
leadscore_check_object(Jsonb *document, const char *name, const char *example, const char *element)
{
	JsonbValue	value;

	if (JB_ROOT_IS_OBJECT(document))
		return;
	if (element)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is not valid", element),
				 errdetail("Its %s must be a JSON object.", name),
				 errhint("Pass something like %s.", example)));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s must be a JSON object, not %s", name,
					JsonbExtractScalar(&document->root, &value) ? JsonbTypeName(&value) : "array"),
			 errhint("Pass something like %s.", example)));
}

/*
 * A document about a lead that can be merged, or an error; of an element of
 * track_many(), it names that.
 */
Jsonb *
leadscore_check_document(Jsonb *document, const char *element)
{
	JsonbValue	value;
	int			i;

	leadscore_check_object(document, "profile", "{\"job_title\": \"head of sales\", \"employees\": 50}", element);
	for (i = 0; i < lengthof(fields); i++)
	{
		const char *problem;

		if (getKeyJsonValueFromContainer(&document->root, fields[i].name,
										 strlen(fields[i].name), &value) == NULL)
			continue;
		problem = field_problem(fields[i].type, &value);
		if (problem == NULL)
		{
			if (fields[i].type == FIELD_ADDRESS && value.type == jbvString)
				check_size(fields[i].name, value.val.string.len);
			continue;
		}
		if (element)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s is not valid", element),
					 errdetail("In its profile, %s must be %s.", fields[i].name, problem),
					 errhint("Pass null if it is not known.")));
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be %s", fields[i].name, problem),
				 errhint("Pass null if it is not known.")));
	}
	return document;
}

/* By number; of names of one lead first the one that was heard of first, or else that sorts first */
static int
lead_input_cmp(const void *a, const void *b)
{
	const LeadInput *x = *(LeadInput *const *) a;
	const LeadInput *y = *(LeadInput *const *) b;

	if (x->lead_id != y->lead_id)
		return x->lead_id < y->lead_id ? -1 : 1;
	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return x < y ? -1 : (x > y ? 1 : 0);
}

/* Is there a document to be merged into a lead that was there? */
static bool
has_document(const LeadInput *lead)
{
	return lead->document && !lead->created && !lead->forgotten;
}

/* By the number that the name gives */
static int
name_number_cmp(const void *a, const void *b)
{
	int64		x = leadscore_number_of_name((*(LeadInput *const *) a)->external_id);
	int64		y = leadscore_number_of_name((*(LeadInput *const *) b)->external_id);

	return x < y ? -1 : (x > y ? 1 : 0);
}

/* What a document says of consented_at; in *null 'n' if that is nothing */
static Datum
consented_at(const LeadInput *lead, char *null)
{
	text	   *value = lead->document ? leadscore_item_text(&lead->document->root, "consented_at") : NULL;

	*null = value == NULL ? 'n' : ' ';
	return value == NULL ? (Datum) 0 :
		DirectFunctionCall3(timestamptz_in, CStringGetDatum(text_to_cstring(value)),
							ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

/* Find the leads that are not found yet; returns how many are missing. */
static int
find_leads(AppWrite *call, LeadInput *leads, int n)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	int			missing = 0;
	int			i;

	for (i = 0; i < n; i++)
		if (leads[i].lead_id == 0 && !leads[i].forgotten &&
			!leadscore_find_lead(call->pipeline, leads[i].external_id, snapshot, &leads[i].lead_id))
			missing++;
	UnregisterSnapshot(snapshot);
	return missing;
}

/* Is a lead a person that was forgotten? */
static bool
is_forgotten(AppWrite *call, const LeadInput *lead)
{
	Datum		values[3];
	bool		nulls[3] = {false};
	int			i;

	values[0] = lead->external_id;
	for (i = 1; i < 3; i++)
	{
		text	   *address = lead->document == NULL ? NULL :
			leadscore_item_text(&lead->document->root, i == 1 ? "email" : "phone");

		values[i] = PointerGetDatum(address);
		nulls[i] = address == NULL;
	}
	return leadscore_is_forgotten(call->pipeline, values, nulls);
}

/* Mark the missing leads that are people that were forgotten. */
static void
find_forgotten(AppWrite *call, LeadInput *leads, int n)
{
	int			i;

	for (i = 0; i < n; i++)
		if (leads[i].lead_id == 0 && !leads[i].forgotten)
			leads[i].forgotten = is_forgotten(call, &leads[i]);
}

/* The lead of a name, in an array that is in order of names */
static LeadInput *
input_of(LeadInput *leads, int n, Datum external_id)
{
	text	   *name = DatumGetTextPP(external_id);
	int			i;

	for (i = 0; i < n; i++)
	{
		text	   *other = DatumGetTextPP(leads[i].external_id);

		if (VARSIZE_ANY_EXHDR(name) == VARSIZE_ANY_EXHDR(other) &&
			memcmp(VARDATA_ANY(name), VARDATA_ANY(other), VARSIZE_ANY_EXHDR(name)) == 0)
			return &leads[i];
	}
	return NULL;
}

/* Create the leads that are missing, unless somebody else just has. */
static void
create_leads(AppWrite *call, LeadInput *leads, int n)
{
	Datum	   *columns[5];
	bool	   *nulls[5];
	static const Oid types[5] = {TEXTOID, JSONBOID, TIMESTAMPTZOID, TEXTOID, TEXTOID};
	Datum		values[5];
	LeadInput **missing = palloc(sizeof(LeadInput *) * n);
	int			nmissing = 0;
	int			next = 0;
	bool		before;
	uint64		row;
	int			i;

	for (i = 0; i < 5; i++)
	{
		columns[i] = palloc0(sizeof(Datum) * n);
		nulls[i] = palloc0(sizeof(bool) * n);
	}
	for (i = 0; i < n; i++)
	{
		LeadInput  *lead = &leads[i];

		if (lead->lead_id != 0 || lead->forgotten)
			continue;
		columns[0][nmissing] = lead->external_id;
		columns[1][nmissing] = lead->document ? JsonbPGetDatum(lead->document) :
			DirectFunctionCall1(jsonb_in, CStringGetDatum("{}"));
		columns[2][nmissing] = TimestampTzGetDatum(lead->created_at);
		columns[3][nmissing] = lead->channel;
		nulls[3][nmissing] = lead->channel == (Datum) 0;
		columns[4][nmissing] = lead->campaign;
		nulls[4][nmissing] = lead->campaign == (Datum) 0;
		missing[nmissing++] = lead;
	}
	for (i = 0; i < 5; i++)
		values[i] = leadscore_build_array(columns[i], nulls[i], nmissing, types[i]);
	before = leadscore_expect_aliases(true);
	PG_TRY();
	{
		leadscore_app_run(call->pipeline, CREATE_LEADS, values, NULL, NULL);
	}
	PG_FINALLY();
	{
		leadscore_expect_aliases(before);
	}
	PG_END_TRY();
	for (row = 0; row < SPI_processed; row++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[row];
		bool		isnull;
		Datum		name = SPI_getbinval(tuple, SPI_tuptable->tupdesc, 1, &isnull);
		LeadInput  *lead = NULL;

		/* they come back in order; some may be left out */
		while (!isnull && lead == NULL && next < nmissing)
			lead = input_of(missing[next++], 1, name);
		if (lead == NULL)
			break;
		lead->lead_id = DatumGetInt64(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 2, &isnull));
		lead->created = true;
	}
}

/*
 * A lead that was created may have waited for a session that gave its name to
 * another lead, or that forgot its person.
 */
static void
check_created(AppWrite *call, LeadInput *leads, int n)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	int			i;

	for (i = 0; i < n; i++)
	{
		int64		lead_id;

		if (!leads[i].created)
			continue;
		if (leadscore_find_alias(call->pipeline, leads[i].external_id, snapshot, &lead_id))
		{
			Datum		value = Int64GetDatum(leads[i].lead_id);

			leadscore_app_run(call->pipeline, DELETE_LEAD, &value, NULL, NULL);
			leads[i].lead_id = lead_id;
			leads[i].created = false;
		}
	}
	UnregisterSnapshot(snapshot);
	if (!leadscore_any_suppressed(call->pipeline))
		return;
	for (i = 0; i < n; i++)
	{
		/* the trigger on lead has deleted it */
		if (leads[i].created && is_forgotten(call, &leads[i]))
		{
			leads[i].lead_id = 0;
			leads[i].created = false;
			leads[i].forgotten = true;
		}
	}
}

/*
 * A lead has vanished.  One that was to come alone is looked for again; but a
 * call that holds leads already, by locks or by their new names, would wait for
 * names and leads out of order.
 */
static void
refuse_retry(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access due to concurrent delete of a lead"),
			 errdetail("A lead was deleted, merged or forgotten meanwhile, or a trigger of table \"lead\" keeps it out."),
			 errhint("Run the transaction again.")));
}

/*
 * Lock the leads whose documents are to be merged, then the states of all:
 * the events of the others come later.  False if a lead has vanished.
 */
static bool
lock_leads(AppWrite *call, LeadInput **leads, int n)
{
	Datum	   *ids = palloc(sizeof(Datum) * n);
	Datum	   *same = NULL;
	uint64		nsame = 0;
	int			nmerged = 0;
	int			nrefusing = 0;
	int			next = 0;
	Datum		value;
	uint64		nlocked;
	uint64		row;
	int			i;

	/* what an event says against messages holds for all with the address */
	for (i = 0; i < n; i++)
		if (leads[i]->lead_id != 0)
		{
			ids[nmerged++] = Int64GetDatum(leads[i]->lead_id);
			nrefusing += leads[i]->refuses;
		}
	if (nrefusing > 0)
	{
		value = leadscore_build_array(ids, NULL, nmerged, INT8OID);
		nsame = leadscore_app_run(call->pipeline, LOCK_ADDRESSES, &value, NULL, NULL);
		same = palloc(sizeof(Datum) * (nsame + 1));
		for (row = 0; row < nsame; row++)
		{
			bool		isnull;

			same[row] = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 1, &isnull);
		}
	}
	nmerged = 0;
	for (i = 0; i < n; i++)
		if (has_document(leads[i]) &&
			(nmerged == 0 || DatumGetInt64(ids[nmerged - 1]) != leads[i]->lead_id))
			ids[nmerged++] = Int64GetDatum(leads[i]->lead_id);
	value = leadscore_build_array(ids, NULL, nmerged, INT8OID);
	nlocked = leadscore_app_run(call->pipeline, LOCK_LEADS, &value, NULL, NULL);
	if (nlocked < nmerged)
	{
		if (IsolationUsesXactSnapshot())
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("could not serialize access due to concurrent update")));
		if (nlocked + nsame > 0)
			refuse_retry();
		/* which one?  look for them all again */
		for (i = 0; i < n; i++)
		{
			if (leads[i]->created)
				refuse_retry();
			leads[i]->lead_id = 0;
		}
		return false;
	}
	ids = palloc(sizeof(Datum) * (n + nsame));
	for (i = 0; i < n; i++)
		ids[i] = Int64GetDatum(leads[i]->lead_id);
	for (row = 0; row < nsame; row++)
		ids[n + row] = same[row];
	value = leadscore_build_array(ids, NULL, n + (int) nsame, INT8OID);
	nlocked = leadscore_app_run(call->pipeline, LOCK_STATES, &value, NULL, NULL);
	for (i = 0; i < n; i++)
		leads[i]->locked = true;
	for (row = 0; row < nlocked; row++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[row];
		bool		isnull;
		int64		lead_id = DatumGetInt64(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 1, &isnull));
		char	   *stage = SPI_getvalue(tuple, SPI_tuptable->tupdesc, 2);

		while (next < n && leads[next]->lead_id < lead_id)
			next++;
		if (next < n && leads[next]->lead_id == lead_id && stage && !leads[next]->created)
			lead_stage_parse(stage, strlen(stage), &leads[next]->stage);
	}
	return true;
}

/*
 * Merge the documents of leads that were there, which are locked.  Those of several
 * names of one lead become one.
 */
static void
merge_profiles(AppWrite *call, LeadInput **leads, int n)
{
	Datum	   *columns[3];
	static const Oid types[3] = {INT8OID, JSONBOID, TIMESTAMPTZOID};
	Datum		values[3];
	int			nmerged = 0;
	int			i;

	for (i = 0; i < 3; i++)
		columns[i] = palloc(sizeof(Datum) * n);
	for (i = 0; i < n; i++)
	{
		if (!has_document(leads[i]))
			continue;
		if (nmerged > 0 && DatumGetInt64(columns[0][nmerged - 1]) == leads[i]->lead_id)
		{
			columns[1][nmerged - 1] = DirectFunctionCall2(jsonb_concat, columns[1][nmerged - 1],
														  JsonbPGetDatum(leads[i]->document));
			continue;
		}
		columns[0][nmerged] = Int64GetDatum(leads[i]->lead_id);
		columns[1][nmerged] = JsonbPGetDatum(leads[i]->document);
		columns[2][nmerged++] = TimestampTzGetDatum(leads[i]->at);
	}
	for (i = 0; i < 3; i++)
		values[i] = leadscore_build_array(columns[i], NULL, nmerged, types[i]);
	leadscore_app_run(call->pipeline, MERGE_PROFILES, values, NULL, NULL);
}

/* Create a lead in its shard, unless somebody else just has. */
static void
create_distributed(AppWrite *call, LeadInput *lead)
{
	Datum		document = lead->document ? JsonbPGetDatum(lead->document) :
		DirectFunctionCall1(jsonb_in, CStringGetDatum("{}"));
	Datum		values[7];
	char		nulls[7] = {' ', ' ', ' ', ' ', ' ', ' ', ' '};
	bool		isnull;

	values[0] = lead->external_id;
	values[1] = document;
	values[2] = TimestampTzGetDatum(lead->created_at);
	values[3] = lead->channel;
	values[4] = lead->campaign;
	values[5] = consented_at(lead, &nulls[5]);
	values[6] = Int64GetDatum(leadscore_number_of_name(lead->external_id));
	nulls[3] = lead->channel == (Datum) 0 ? 'n' : ' ';
	nulls[4] = lead->campaign == (Datum) 0 ? 'n' : ' ';
	if (leadscore_app_run(call->pipeline, call->pipeline->by_lead ? CREATE_NUMBERED_LEAD : CREATE_LEAD,
						  values, nulls, NULL) > 0)
	{
		lead->lead_id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
		lead->created = true;
	}
}

/* Merge the document of a lead in its shard; false if the lead has vanished. */
static bool
merge_distributed(AppWrite *call, LeadInput *lead)
{
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	TimestampTz updated_at;
	Datum		values[5];
	char		nulls[5] = {' ', ' ', ' ', ' ', ' '};
	char	   *stage;
	bool		isnull;

	values[0] = Int64GetDatum(lead->lead_id);
	if (leadscore_app_run(call->pipeline, LOCK_LEAD, values, NULL, NULL) == 0)
		return false;
	updated_at = DatumGetTimestampTz(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	lead->locked = true;
	if (leadscore_app_run(call->pipeline, LOCK_STATE, values, NULL, NULL) > 0)
	{
		stage = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
		lead_stage_parse(stage, strlen(stage), &lead->stage);
	}
	values[1] = JsonbPGetDatum(lead->document);
	values[2] = TimestampTzGetDatum(lead->at);
	/* as in MERGE_PROFILES */
	values[3] = TimestampTzGetDatum(!isnull && updated_at > now ? GetCurrentTimestamp() :
									isnull ? lead->at : Max(updated_at + 1, lead->at));
	values[4] = consented_at(lead, &nulls[4]);
	leadscore_app_run(call->pipeline, MERGE_PROFILE, values, nulls, NULL);
	return true;
}

/* The same in shards, lead by lead: each statement goes to one node. */
static void
touch_distributed(AppWrite *call, LeadInput *leads, int n)
{
	LeadInput **by_id = palloc(sizeof(LeadInput *) * n);
	int			attempt;
	int			i;

	for (i = 0; i < n; i++)
		by_id[i] = &leads[i];
	for (attempt = 0; attempt < MAX_ATTEMPTS; attempt++)
	{
		int			missing = 0;

		CHECK_FOR_INTERRUPTS();
		if (attempt == 0 && call->pipeline->by_lead)
			qsort(by_id, n, sizeof(LeadInput *), name_number_cmp);
		for (i = 0; i < n; i++)
		{
			LeadInput  *lead = by_id[i];

			if (lead->forgotten || lead->lead_id != 0 || find_leads(call, lead, 1) == 0)
				continue;
			lead->forgotten = is_forgotten(call, lead);
			if (!lead->forgotten)
				create_distributed(call, lead);
			missing += lead->lead_id == 0 && !lead->forgotten;
		}
		if (missing > 0)
			continue;
		qsort(by_id, n, sizeof(LeadInput *), lead_input_cmp);
		for (i = 0; i < n; i++)
			if (has_document(by_id[i]) && !by_id[i]->locked && !merge_distributed(call, by_id[i]))
			{
				by_id[i]->lead_id = 0;
				missing++;
			}
		if (missing == 0)
			return;
	}
	refuse_retry();
}

/*
 * Find these leads, which are in order of external_id, create the missing ones,
 * and merge the documents about the others.
 */
void
leadscore_leads_touch(AppWrite *call, LeadInput *leads, int n)
{
	LeadInput **by_id = palloc(sizeof(LeadInput *) * n);
	int			attempt;
	int			i;

	if (call->pipeline->distributed)
	{
		touch_distributed(call, leads, n);
		return;
	}
	if (!OidIsValid(call->cache->external_id_key))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("column \"external_id\" of table \"lead\" must be a text with a unique constraint"),
				 errhint("Add UNIQUE (external_id) again, or write to the tables lead and event directly.")));
	/* the table lead may have triggers too */
	leadscore_app_fix_path(call);
	for (attempt = 0; attempt < MAX_ATTEMPTS; attempt++)
	{
		bool		merge = false;

		CHECK_FOR_INTERRUPTS();
		if (find_leads(call, leads, n) > 0)
		{
			if (leadscore_any_suppressed(call->pipeline))
				find_forgotten(call, leads, n);
			create_leads(call, leads, n);
			check_created(call, leads, n);
			/* leads that others have created meanwhile are found now */
			if (find_leads(call, leads, n) > 0)
			{
				for (i = 0; i < n; i++)
					if (leads[i].created)
						refuse_retry();
				continue;
			}
		}
		for (i = 0; i < n; i++)
		{
			by_id[i] = &leads[i];
			merge |= has_document(&leads[i]);
		}
		if (!merge)
			return;
		qsort(by_id, n, sizeof(LeadInput *), lead_input_cmp);
		if (!lock_leads(call, by_id, n))
			continue;
		merge_profiles(call, by_id, n);
		return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not create a lead"),
			 errdetail("It was deleted at each attempt, or a trigger of table \"lead\" keeps it out."),
			 errhint("Run the transaction again.")));
}

/* Add an argument to a document unless it is null. */
static void
push_argument(FunctionCallInfo fcinfo, int argument, const char *name, JsonbParseState **state)
{
	JsonbValue	key;
	JsonbValue	value;

	if (PG_ARGISNULL(argument))
		return;
	key.type = jbvString;
	key.val.string.val = unconstify(char *, name);
	key.val.string.len = strlen(name);
	pushJsonbValue(state, WJB_KEY, &key);
	if (strcmp(name, "consent") == 0 || strcmp(name, "contact_allowed") == 0)
	{
		value.type = jbvBool;
		value.val.boolean = PG_GETARG_BOOL(argument);
	}
	else if (strcmp(name, "referred_by") == 0)
	{
		value.type = jbvNumeric;
		value.val.numeric = int64_to_numeric(PG_GETARG_INT64(argument));
	}
	else
	{
		text	   *string = PG_GETARG_TEXT_PP(argument);

		value.type = jbvString;
		value.val.string.val = VARDATA_ANY(string);
		value.val.string.len = VARSIZE_ANY_EXHDR(string);
	}
	pushJsonbValue(state, WJB_VALUE, &value);
}

/*
 * upsert_lead(external_id, email, profile, kind, organization, market, country,
 * channel, campaign, owner, persona, consent, contact_allowed, referred_by,
 * phone, language, time_zone, at): create a lead or update it, return its
 * number; NULL for a person that was forgotten.
 */
Datum
leadscore_upsert_lead(FunctionCallInfo fcinfo, AppWrite *call)
{
	static const char *const names[] = {NULL, "email", NULL, "kind", "organization", "market",
		"country", "channel", "campaign", "owner", "persona", "consent", "contact_allowed",
	"referred_by", "phone", "language", "time_zone"};
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	JsonbParseState *state = NULL;
	LeadInput	lead = {0};
	Jsonb	   *document;
	int			i;

	lead.external_id = leadscore_folded_name(leadscore_required_text(fcinfo, 0, "external_id"));
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (i = 0; i < lengthof(names); i++)
		if (names[i])
			push_argument(fcinfo, i, names[i], &state);
	document = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	if (!PG_ARGISNULL(2))
	{
		leadscore_check_document(PG_GETARG_JSONB_P(2), NULL);
		document = DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, PG_GETARG_DATUM(2),
													  JsonbPGetDatum(document)));
	}
	lead.document = leadscore_check_document(document, NULL);
	/* a fact that is dated ahead is known now */
	lead.at = PG_ARGISNULL(17) ? now : Min(PG_GETARG_TIMESTAMPTZ(17), now);
	lead.created_at = lead.at;
	leadscore_leads_touch(call, &lead, 1);
	if (lead.forgotten)
	{
		fcinfo->isnull = true;
		return (Datum) 0;
	}
	PG_RETURN_INT64(lead.lead_id);
}
