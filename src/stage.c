/*-------------------------------------------------------------------------
 *
 * stage.c
 *		The type lead_stage: its text form, order, and what it tells of a lead.
 *
 * The first part (table, label, parse) needs no server; the rest is the SQL
 * interface.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_collation_d.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/sortsupport.h"

#include "compat.h"
#include "stage.h"

/* Properties of a stage; NULL where it has no such property */
typedef struct StageInfo
{
	uint8		code;
	const char *label;
	const char *title;
	const char *funnel_position;
	const char *temperature;
} StageInfo;

/* All stages, in order */
static const StageInfo stages[] = {
	{LEAD_STAGE_DISQUALIFIED, "disqualified", "Disqualified", NULL, NULL},
	{LEAD_STAGE_LOST, "lost", "Lost", NULL, NULL},
	{LEAD_STAGE_RECYCLED, "recycled", "Recycled", NULL, NULL},
	{LEAD_STAGE_VISITOR, "visitor", "Visitor", NULL, NULL},
	{LEAD_STAGE_IQL, "iql", "Information Qualified Lead", "TOFU", "cold"},
	{LEAD_STAGE_MQL, "mql", "Marketing Qualified Lead", "MOFU", "warm"},
	{LEAD_STAGE_SQL, "sql", "Sales Qualified Lead", "BOFU", "hot"},
	{LEAD_STAGE_PROSPECT, "prospect", "Prospect", NULL, NULL},
	{LEAD_STAGE_CUSTOMER, "customer", "Customer", NULL, NULL},
	{LEAD_STAGE_ADVOCATE, "advocate", "Advocate", NULL, NULL}
};

/* Other names that are read, with one blank between words */
static const struct
{
	const char *name;
	uint8		code;
}			synonyms[] = {
	{"lead", LEAD_STAGE_IQL},
	{"tofu", LEAD_STAGE_IQL},
	{"information qualified lead", LEAD_STAGE_IQL},
	{"mofu", LEAD_STAGE_MQL},
	{"marketing qualified lead", LEAD_STAGE_MQL},
	{"bofu", LEAD_STAGE_SQL},
	{"sales qualified lead", LEAD_STAGE_SQL},
	{"opportunity", LEAD_STAGE_PROSPECT},
	{"evangelist", LEAD_STAGE_ADVOCATE}
};

/* Room for the longest name and the terminating zero */
#define MAX_STAGE_NAME	sizeof("information qualified lead")

/* Find the properties of a code; NULL if there is no such stage. */
static const StageInfo *
find_stage(uint8 code)
{
	for (size_t i = 0; i < lengthof(stages); i++)
	{
		if (stages[i].code == code)
			return &stages[i];
	}
	return NULL;
}

/* The lower-case label of a code, or NULL if there is no such stage. */
const char *
lead_stage_label(uint8 code)
{
	const StageInfo *stage = find_stage(code);

	return stage ? stage->label : NULL;
}

/* Is this white space around a name?  (isspace() would ask the locale.) */
static inline bool
is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* May this stand between the words of a name? */
static inline bool
is_separator(char c)
{
	return c == ' ' || c == '_' || c == '-';
}

/*
 * Read a label or synonym.  Case is ignored (ASCII only, the locale has no
 * say), as are surrounding white space and how words are separated.
 */
bool
lead_stage_parse(const char *s, size_t len, uint8 *code)
{
	char		name[MAX_STAGE_NAME];
	size_t		n = 0;

	while (len > 0 && is_blank(s[0]))
	{
		s++;
		len--;
	}
	while (len > 0 && is_blank(s[len - 1]))
		len--;

	for (size_t i = 0; i < len; i++)
	{
		char		c = s[i];

		if (c >= 'A' && c <= 'Z')
			c += 'a' - 'A';
		else if (is_separator(c))
		{
			if (i > 0 && is_separator(s[i - 1]))
				continue;
			c = ' ';
		}
		else if (c == '\0')
			return false;
		if (n >= sizeof(name) - 1)
			return false;
		name[n++] = c;
	}
	name[n] = '\0';

	for (size_t i = 0; i < lengthof(stages); i++)
	{
		if (strcmp(name, stages[i].label) == 0)
		{
			*code = stages[i].code;
			return true;
		}
	}
	for (size_t i = 0; i < lengthof(synonyms); i++)
	{
		if (strcmp(name, synonyms[i].name) == 0)
		{
			*code = synonyms[i].code;
			return true;
		}
	}
	return false;
}

/* ----------
 * SQL interface
 * ----------
 */

/* The properties of the stage in argument 0 */
static const StageInfo *
get_stage(FunctionCallInfo fcinfo)
{
	uint8		code = PG_GETARG_LEAD_STAGE(0);
	const StageInfo *stage = find_stage(code);

	if (stage == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("unexpected code of a lead_stage: %u", code)));
	return stage;
}

/* The labels of all stages, for a hint */
static char *
list_labels(void)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (size_t i = 0; i < lengthof(stages); i++)
	{
		if (i > 0)
			appendStringInfoString(&buf, i + 1 < lengthof(stages) ? ", " : " or ");
		appendStringInfoString(&buf, stages[i].label);
	}
	return buf.data;
}

/* Return a constant string, or NULL, as text. */
static Datum
return_text(FunctionCallInfo fcinfo, const char *s)
{
	if (s == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(s));
}

/* Turn a name of len bytes into a stage, or report that it is none. */
static Datum
read_stage(const char *s, size_t len, Node *escontext)
{
	uint8		code;

	if (!lead_stage_parse(s, len, &code))
		ereturn(escontext, (Datum) 0,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid input syntax for type %s: \"%.*s\"",
						"lead_stage", (int) len, s),
				 errhint("Use one of %s.", list_labels())));
	PG_RETURN_LEAD_STAGE(code);
}

PG_FUNCTION_INFO_V1(lead_stage_in);
PG_FUNCTION_INFO_V1(lead_stage_out);
PG_FUNCTION_INFO_V1(lead_stage_recv);
PG_FUNCTION_INFO_V1(lead_stage_send);
PG_FUNCTION_INFO_V1(lead_stage_from_text);
PG_FUNCTION_INFO_V1(lead_stage_to_text);
PG_FUNCTION_INFO_V1(lead_stage_eq);
PG_FUNCTION_INFO_V1(lead_stage_ne);
PG_FUNCTION_INFO_V1(lead_stage_lt);
PG_FUNCTION_INFO_V1(lead_stage_le);
PG_FUNCTION_INFO_V1(lead_stage_gt);
PG_FUNCTION_INFO_V1(lead_stage_ge);
PG_FUNCTION_INFO_V1(lead_stage_cmp);
PG_FUNCTION_INFO_V1(lead_stage_sortsupport);
PG_FUNCTION_INFO_V1(lead_stage_hash);
PG_FUNCTION_INFO_V1(lead_stage_hash_extended);
PG_FUNCTION_INFO_V1(lead_stage_smaller);
PG_FUNCTION_INFO_V1(lead_stage_larger);
PG_FUNCTION_INFO_V1(lead_stage_like);
PG_FUNCTION_INFO_V1(lead_stage_not_like);
PG_FUNCTION_INFO_V1(lead_stage_ilike);
PG_FUNCTION_INFO_V1(lead_stage_not_ilike);
PG_FUNCTION_INFO_V1(lead_stage_upper);
PG_FUNCTION_INFO_V1(lead_stage_title);
PG_FUNCTION_INFO_V1(lead_stage_rank);
PG_FUNCTION_INFO_V1(lead_stage_sort_label);
PG_FUNCTION_INFO_V1(lead_stage_funnel_position);
PG_FUNCTION_INFO_V1(lead_stage_temperature);
PG_FUNCTION_INFO_V1(lead_stage_is_open);

/* Text input */
Datum
lead_stage_in(PG_FUNCTION_ARGS)
{
	char	   *s = PG_GETARG_CSTRING(0);

	return read_stage(s, strlen(s), fcinfo->context);
}

/* Text output: the label */
Datum
lead_stage_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(pstrdup(get_stage(fcinfo)->label));
}

/* Binary input: the same text, converted from the client's encoding */
Datum
lead_stage_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	char	   *s;
	int			len;

	s = pq_getmsgtext(buf, buf->len - buf->cursor, &len);
	return read_stage(s, len, fcinfo->context);
}

/* Binary output: the label too, as clients show these bytes as they are */
Datum
lead_stage_send(PG_FUNCTION_ARGS)
{
	const char *label = get_stage(fcinfo)->label;
	StringInfoData buf;

	pq_begintypsend(&buf);
	pq_sendtext(&buf, label, strlen(label));
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

/* Cast from text and varchar */
Datum
lead_stage_from_text(PG_FUNCTION_ARGS)
{
	text	   *t = PG_GETARG_TEXT_PP(0);

	return read_stage(VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t), fcinfo->context);
}

/* Cast to text and varchar; as labels are lower-case, also lower() */
Datum
lead_stage_to_text(PG_FUNCTION_ARGS)
{
	return return_text(fcinfo, get_stage(fcinfo)->label);
}

/* = */
Datum
lead_stage_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(PG_GETARG_LEAD_STAGE(0) == PG_GETARG_LEAD_STAGE(1));
}

/* <> */
Datum
lead_stage_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(PG_GETARG_LEAD_STAGE(0) != PG_GETARG_LEAD_STAGE(1));
}

/* < */
Datum
lead_stage_lt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(PG_GETARG_LEAD_STAGE(0) < PG_GETARG_LEAD_STAGE(1));
}

/* <= */
Datum
lead_stage_le(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(PG_GETARG_LEAD_STAGE(0) <= PG_GETARG_LEAD_STAGE(1));
}

/* > */
Datum
lead_stage_gt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(PG_GETARG_LEAD_STAGE(0) > PG_GETARG_LEAD_STAGE(1));
}

/* >= */
Datum
lead_stage_ge(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(PG_GETARG_LEAD_STAGE(0) >= PG_GETARG_LEAD_STAGE(1));
}

/* btree comparison */
Datum
lead_stage_cmp(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32((int32) PG_GETARG_LEAD_STAGE(0) - (int32) PG_GETARG_LEAD_STAGE(1));
}

/* The comparison that a sort calls without fmgr */
static int
compare_stages(Datum x, Datum y, SortSupport ssup)
{
	return (int) DatumGetLeadStage(x) - (int) DatumGetLeadStage(y);
}

/* btree sort support */
Datum
lead_stage_sortsupport(PG_FUNCTION_ARGS)
{
	SortSupport ssup = (SortSupport) PG_GETARG_POINTER(0);

	ssup->comparator = compare_stages;
	PG_RETURN_VOID();
}

/* 32-bit hash */
Datum
lead_stage_hash(PG_FUNCTION_ARGS)
{
	return hash_uint32(PG_GETARG_LEAD_STAGE(0));
}

/* 64-bit hash with a seed */
Datum
lead_stage_hash_extended(PG_FUNCTION_ARGS)
{
	return hash_uint32_extended(PG_GETARG_LEAD_STAGE(0), PG_GETARG_INT64(1));
}

/* The lesser stage, for min() */
Datum
lead_stage_smaller(PG_FUNCTION_ARGS)
{
	PG_RETURN_LEAD_STAGE(Min(PG_GETARG_LEAD_STAGE(0), PG_GETARG_LEAD_STAGE(1)));
}

/* The greater stage, for max() */
Datum
lead_stage_larger(PG_FUNCTION_ARGS)
{
	PG_RETURN_LEAD_STAGE(Max(PG_GETARG_LEAD_STAGE(0), PG_GETARG_LEAD_STAGE(1)));
}

/*
 * Match the label of argument 0 against the pattern in argument 1.  Labels are
 * ASCII, so the C collation decides, whatever the database's is.
 */
static bool
match_label(FunctionCallInfo fcinfo, PGFunction matcher)
{
	text	   *label = cstring_to_text(get_stage(fcinfo)->label);

	return DatumGetBool(DirectFunctionCall2Coll(matcher, C_COLLATION_OID,
												PointerGetDatum(label),
												PG_GETARG_DATUM(1)));
}

/* ~~, LIKE */
Datum
lead_stage_like(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(match_label(fcinfo, textlike));
}

/* !~~, NOT LIKE */
Datum
lead_stage_not_like(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(match_label(fcinfo, textnlike));
}

/* ~~*, ILIKE */
Datum
lead_stage_ilike(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(match_label(fcinfo, texticlike));
}

/* !~~*, NOT ILIKE */
Datum
lead_stage_not_ilike(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(match_label(fcinfo, texticnlike));
}

/* The label in upper case */
Datum
lead_stage_upper(PG_FUNCTION_ARGS)
{
	const char *label = get_stage(fcinfo)->label;

	PG_RETURN_TEXT_P(cstring_to_text(asc_toupper(label, strlen(label))));
}

/* The name as people write it */
Datum
lead_stage_title(PG_FUNCTION_ARGS)
{
	return return_text(fcinfo, get_stage(fcinfo)->title);
}

/* The code, as a number to sort by */
Datum
lead_stage_rank(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(get_stage(fcinfo)->code);
}

/*
 * The label after two digits in the order of the stages ('05 iql'), for tools
 * that can only sort alphabetically.  They come from the code, so that a new
 * stage never renumbers the others.
 */
Datum
lead_stage_sort_label(PG_FUNCTION_ARGS)
{
	const StageInfo *stage = get_stage(fcinfo);

	return return_text(fcinfo, psprintf("%02d %s", stage->code / 10, stage->label));
}

/* Top, middle or bottom of the funnel */
Datum
lead_stage_funnel_position(PG_FUNCTION_ARGS)
{
	return return_text(fcinfo, get_stage(fcinfo)->funnel_position);
}

/* How warm the lead is */
Datum
lead_stage_temperature(PG_FUNCTION_ARGS)
{
	return return_text(fcinfo, get_stage(fcinfo)->temperature);
}

/* Is the lead in work: neither out nor won? */
Datum
lead_stage_is_open(PG_FUNCTION_ARGS)
{
	uint8		code = get_stage(fcinfo)->code;

	PG_RETURN_BOOL(code >= LEAD_STAGE_VISITOR && code <= LEAD_STAGE_PROSPECT);
}
