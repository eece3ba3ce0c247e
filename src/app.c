/*-------------------------------------------------------------------------
 *
 * app.c
 *		The functions of a pipeline that apps call: how they are found, run as
 *		the owner, and kept from saying too much.
 *
 * A function finds its pipeline by its own schema, so it has to be in C; but
 * only a superuser may create (and restore from a dump) a function of LANGUAGE
 * c.  So the extension brings a trusted language, leadscore, whose functions
 * name one of those below in their body: CREATE FUNCTION crm.track(...)
 * LANGUAGE leadscore AS 'track'.  Anybody may use it, in any schema.  So
 * nothing of such a function is taken on trust: it must be declared as it is
 * below, and its owner must be able to act for the owner of the pipeline.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/event_trigger.h"
#include "commands/trigger.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "app.h"
#include "apply.h"
#include "guard.h"
#include "shard.h"
#include "stage.h"
#include "tracked.h"

PG_FUNCTION_INFO_V1(leadscore_call_handler);
PG_FUNCTION_INFO_V1(leadscore_validator);


static const AppFunction functions[] = {
	{"_backfill", "rti", "i", false, NULL, leadscore_backfill},
	{"explain", "tzb", "ttttiznt", true, leadscore_lead_explain, NULL},
	{"explain_by_id", "izb", "ttttiznt", true, leadscore_lead_explain, NULL},
	{"explain_segment", "tt", "tttbn", true, leadscore_explain_segment, NULL},
	{"explain_segment_by_id", "it", "tttbn", true, leadscore_explain_segment, NULL},
	{"in_segment", "ttz", "b", false, leadscore_in_segment, NULL},
	{"in_segment_by_id", "itz", "b", false, leadscore_in_segment, NULL},
	{"lead_id", "t", "i", false, leadscore_lead_id, NULL},
	{"may_contact", "tttzb", "b", false, leadscore_may_contact, NULL},
	{"may_contact_by_id", "ittzb", "b", false, leadscore_may_contact, NULL},
	{"next_steps", "t", "ttbt", true, leadscore_lead_next_steps, NULL},
	{"next_steps_by_id", "i", "ttbt", true, leadscore_lead_next_steps, NULL},
	{"persona_match", "t", "tnbb", true, leadscore_persona_match, NULL},
	{"persona_match_by_id", "i", "tnbb", true, leadscore_persona_match, NULL},
	{"score", "tzb", "n", false, leadscore_lead_score, NULL},
	{"score_by_id", "izb", "n", false, leadscore_lead_score, NULL},
	{"set_stage", "tttt", "t", false, NULL, leadscore_set_stage},
	{"set_stage_by_id", "ittt", "t", false, NULL, leadscore_set_stage_by_id},
	{"stage_at", "tzz", "t", false, leadscore_lead_stage_at, NULL},
	{"stage_at_by_id", "izz", "t", false, leadscore_lead_stage_at, NULL},
	{"table_changed", "", "g", false, NULL, leadscore_table_changed},
	{"track", "ttjzftttj", "iintbbb", false, NULL, leadscore_track},
	{"track_many", "j", "iii", false, NULL, leadscore_track_many},
	{"upsert_lead", "ttjttttttttbbitttz", "i", false, NULL, leadscore_upsert_lead}
};

/* What a statement is and what it takes; {name} stands for a table, {pipeline} for the schema */
typedef struct StatementText
{
	const char *sql;
	int			ntypes;
	Oid			types[10];
} StatementText;

#define EQ " OPERATOR(pg_catalog.=) "

/* Columns of lead, with their types, that have what a document about it says */
#define LEAD_COLUMNS(X) \
	X("email", "text") X("phone", "text") X("organization", "text") X("market", "text") X("country", "text") \
	X("language", "text") X("time_zone", "text") X("owner", "text") X("persona", "text") \
	X("contact_allowed", "bool") X("referred_by", "int8") X("objective", "text") X("complexity", "text")
/* and those that a new lead else has from its first event */
#define SOURCE_COLUMNS(X)	X("channel", "text") X("campaign", "text")
#define ALL_COLUMNS(X)		LEAD_COLUMNS(X) SOURCE_COLUMNS(X)

/* What stands for a column in a list */
#define NAME(column, type)		column ", "
#define KEY(column, type)		column ","
#define DECLARED(column, type)	column " pg_catalog." type ", "
#define OF_LEAD(column, type)	"l." column ", "
#define OF_DOCUMENT(column, type)	"d." column ", "
#define OF_MERGED(column, type)	"n." column ", "
#define SET_MERGED(column, type)	column " = n." column ", "
#define MERGED(column, type) \
	" CASE WHEN g.document OPERATOR(pg_catalog.?) '" column "' THEN d." column " ELSE o." column " END AS " column ","
/* the same of one lead, whose document is $2 */
#define FIELD(column, type)		"($2 OPERATOR(pg_catalog.->>) '" column "')::pg_catalog." type
#define FIELD_ITEM(column, type)	FIELD(column, type) ", "
#define MERGED_FIELD(column, type) \
	"CASE WHEN $2 OPERATOR(pg_catalog.?) '" column "' THEN " FIELD(column, type) " ELSE l." column " END, "
#define SET_FIELD(column, type)	column " = " MERGED_FIELD(column, type)

#define DOCUMENT_COLUMNS \
	"(" ALL_COLUMNS(DECLARED) "kind pg_catalog.text, consent pg_catalog.bool, consented_at pg_catalog.timestamptz)"
#define DOCUMENT_KEYS	"'{" ALL_COLUMNS(KEY) "kind,consent,consented_at}'::pg_catalog.text[]"
#define NEW_COLUMNS		ALL_COLUMNS(NAME) "kind, profile, consented_at, created_at, updated_at"
#define MERGED_KIND		"COALESCE(" FIELD("kind", "text") ", l.kind)"
#define MERGED_PROFILE	"l.profile OPERATOR(pg_catalog.||) ($2 OPERATOR(pg_catalog.-) " DOCUMENT_KEYS ")"
#define MERGED_CONSENTED_AT \
	"CASE WHEN NOT " FIELD("consent", "bool") " THEN NULL WHEN $2 OPERATOR(pg_catalog.?) 'consented_at' THEN $5" \
	" WHEN " FIELD("consent", "bool") " THEN COALESCE(l.consented_at, $3) ELSE l.consented_at END"

/* One lead, $1 by its name or number, and its document $2 */
#define CREATE_ONE(column, value, key) \
	"INSERT INTO {lead} (" column "external_id, " NEW_COLUMNS ")" \
	" VALUES (" value "$1, " LEAD_COLUMNS(FIELD_ITEM) \
	"COALESCE(" FIELD("channel", "text") ", $4), COALESCE(" FIELD("campaign", "text") ", $5), " \
	"COALESCE(" FIELD("kind", "text") ", 'person'), $2 OPERATOR(pg_catalog.-) " DOCUMENT_KEYS "," \
	" CASE WHEN " FIELD("consent", "bool") " IS NOT FALSE THEN COALESCE($6, CASE WHEN " FIELD("consent", "bool") " THEN $3 END) END," \
	" $3, $3) ON CONFLICT (" key ") DO NOTHING RETURNING lead_id"
#define EVENT_ROWS \
	"INSERT INTO {event} (lead_id, kind, properties, occurred_at, value, channel, campaign, source_id)" \
	" SELECT * FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3), pg_catalog.unnest($4)," \
	" pg_catalog.unnest($5), pg_catalog.unnest($6), pg_catalog.unnest($7), pg_catalog.unnest($8)) e"
#define ONCE	" ON CONFLICT (lead_id, source_id) WHERE source_id IS NOT NULL DO NOTHING"
#define EVENT_TYPES	INT8OID, TEXTOID, JSONBOID, TIMESTAMPTZOID, NUMERICOID, TEXTOID, TEXTOID, TEXTOID
#define EVENT_ARRAYS	INT8ARRAYOID, TEXTARRAYOID, JSONBARRAYOID, TIMESTAMPTZARRAYOID, NUMERICARRAYOID, \
	TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID

static const StatementText statements[N_STATEMENTS] = {
	/* a lead where no index can be used: in shards, say */
	[READ_LEAD] = {"SELECT l.created_at, s.activity, s.stage::pg_catalog.text FROM {lead} l JOIN {lead_state} s"
	" ON s.lead_id" EQ "l.lead_id WHERE l.lead_id" EQ "$1", 1, {INT8OID}},
	[READ_EXTERNAL_ID] = {"SELECT lead_id FROM {lead} WHERE external_id" EQ "$1", 1, {TEXTOID}},

	/*
	 * the same where the number of a lead follows from its name, and for
	 * other names
	 */
	[READ_NAME] = {"SELECT external_id FROM {lead} WHERE lead_id" EQ "$1", 1, {INT8OID}},
	[READ_ALIAS] = {"SELECT lead_id FROM {pipeline}.lead_alias WHERE external_id" EQ "$1", 1, {TEXTOID}},
	/* as of now, on the node that has the lead */
	[READ_STATE] = {"SELECT CASE WHEN d.due THEN leadscore_internal.current_activity({pipeline_oid}, s.lead_id) ELSE s.activity END,"
		" (CASE WHEN d.due THEN leadscore_internal.current_stage({pipeline_oid}, s.lead_id) ELSE s.stage END)::pg_catalog.text"
		" FROM {lead_state} s, {pipeline}.setting z,"
		" LATERAL (VALUES (s.next_review_at OPERATOR(pg_catalog.<=) pg_catalog.now() OR s.configuration OPERATOR(pg_catalog.<) z.configuration)) d (due)"
	" WHERE s.lead_id" EQ "$1", 1, {INT8OID}},
	[READ_SCORED] = {"SELECT 1 FROM {event} e WHERE e.lead_id" EQ "$1 AND e.event_id" EQ "$2"
	" AND EXISTS (SELECT FROM leadscore_internal.event_signals(e))", 2, {INT8OID, INT8OID}},
	/* does row security show a lead to the caller? */
	[SEE_LEAD] = {"SELECT 1 FROM {lead} WHERE lead_id" EQ "$1", 1, {INT8OID}},
	[SEE_STATE] = {"SELECT 1 FROM {lead_state} WHERE lead_id" EQ "$1", 1, {INT8OID}},
	[SEE_STAGES] = {"SELECT 1 FROM {stage_log} WHERE lead_id" EQ "$1 LIMIT 1", 1, {INT8OID}},
	/* signals that the profile has begun or ceased to match since */
	[PROFILE_SINCE] = {"SELECT g.signal_id::pg_catalog.int2, pg_catalog.sum(c.count)::pg_catalog.int8 FROM {profile_change} c JOIN {signal} g"
		" ON g.signal" EQ "c.signal WHERE c.lead_id" EQ "$1 AND c.changed_at OPERATOR(pg_catalog.>) $2"
	" GROUP BY g.signal_id", 2, {INT8OID, TIMESTAMPTZOID}},
	[ACTIVE_MODEL] = {"SELECT compiled FROM {model} WHERE status" EQ "'active' AND compiled IS NOT NULL", 0, {0}},
	/* the newest activation up to then, else the first of all */
	[MODEL_OF_THEN] = {"SELECT m.compiled FROM {model_activation} a JOIN {model} m ON m.model" EQ "a.model"
		" WHERE m.compiled IS NOT NULL"
		" ORDER BY a.activated_at OPERATOR(pg_catalog.<=) $1 DESC,"
		" CASE WHEN a.activated_at OPERATOR(pg_catalog.<=) $1 THEN a.activated_at END DESC,"
		" CASE WHEN a.activated_at OPERATOR(pg_catalog.<=) $1 THEN a.activation_id END DESC,"
	" a.activated_at, a.activation_id LIMIT 1", 1, {TIMESTAMPTZOID}},
	[STAGE_AT] = {"SELECT to_stage::pg_catalog.text FROM {stage_log} WHERE lead_id" EQ "$1"
		" AND effective_at OPERATOR(pg_catalog.<=) $2 AND superseded_at IS NULL ORDER BY seq DESC LIMIT 1",
	2, {INT8OID, TIMESTAMPTZOID}},
	[STAGE_AS_KNOWN_AT] = {"SELECT to_stage::pg_catalog.text FROM {stage_log} WHERE lead_id" EQ "$1"
		" AND effective_at OPERATOR(pg_catalog.<=) $2 AND recorded_at OPERATOR(pg_catalog.<=) $3"
		" AND (superseded_at IS NULL OR superseded_at OPERATOR(pg_catalog.>) $3)"
	" ORDER BY seq DESC LIMIT 1", 3, {INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID}},

	[FIND_SEGMENT] = {"SELECT 1 FROM {segment} WHERE segment" EQ "$1", 1, {TEXTOID}},
	[LIST_SEGMENTS] = {"SELECT pg_catalog.string_agg(segment, ', ' ORDER BY segment) FROM {segment}", 0, {0}},
	[IN_SEGMENT_AT] = {"SELECT entered FROM {segment_log} WHERE lead_id" EQ "$1 AND segment" EQ "$2"
		" AND effective_at OPERATOR(pg_catalog.<=) $3 AND superseded_at IS NULL ORDER BY seq DESC LIMIT 1",
	3, {INT8OID, TEXTOID, TIMESTAMPTZOID}},

	[CREATE_LEADS] = {"INSERT INTO {lead} (external_id, " NEW_COLUMNS ")"
		" SELECT n.external_id, " LEAD_COLUMNS(OF_DOCUMENT) "COALESCE(d.channel, n.channel), COALESCE(d.campaign, n.campaign),"
		" COALESCE(d.kind, 'person'), n.document OPERATOR(pg_catalog.-) " DOCUMENT_KEYS ","
		" CASE WHEN d.consent IS NOT FALSE THEN COALESCE(d.consented_at, CASE WHEN d.consent THEN n.at END) END, n.at, n.at"
		" FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3), pg_catalog.unnest($4),"
		" pg_catalog.unnest($5)) AS n(external_id, document, at, channel, campaign),"
		" LATERAL pg_catalog.jsonb_to_record(n.document) AS d " DOCUMENT_COLUMNS
		" ON CONFLICT (external_id) DO NOTHING RETURNING external_id, lead_id",
	5, {TEXTARRAYOID, JSONBARRAYOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID, TEXTARRAYOID}},
	/* one lead: Citus sends this to the node that has it */
	[CREATE_LEAD] = {CREATE_ONE("", "", "external_id"), 6, {TEXTOID, JSONBOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TIMESTAMPTZOID}},
	[CREATE_NUMBERED_LEAD] = {CREATE_ONE("lead_id, ", "$7, ", "lead_id"),
	7, {TEXTOID, JSONBOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, INT8OID}},
	[LOCK_LEAD] = {"SELECT updated_at FROM {lead} WHERE lead_id" EQ "$1 AND erased_at IS NULL FOR NO KEY UPDATE", 1, {INT8OID}},
	[LOCK_STATE] = {"SELECT stage::pg_catalog.text FROM {lead_state} WHERE lead_id" EQ "$1 FOR NO KEY UPDATE", 1, {INT8OID}},
	/* one that was forgotten meanwhile has its name no more */
	[LOCK_LEADS] = {"SELECT lead_id FROM {lead} WHERE lead_id" EQ "ANY ($1) AND erased_at IS NULL"
	" ORDER BY lead_id FOR NO KEY UPDATE", 1, {INT8ARRAYOID}},
	[LOCK_STATES] = {"SELECT lead_id, stage::pg_catalog.text FROM {lead_state} WHERE lead_id" EQ "ANY ($1)"
	" ORDER BY lead_id FOR NO KEY UPDATE", 1, {INT8ARRAYOID}},

	/* leads, and all others with an address of theirs */
	[LOCK_ADDRESSES] = {"SELECT lead_id FROM {lead} WHERE lead_id" EQ "ANY (ARRAY(SELECT pg_catalog.unnest($1)"
		" UNION SELECT o.lead_id FROM pg_catalog.unnest($1) u,"
		" LATERAL (SELECT l.email FROM {lead} l WHERE l.lead_id" EQ "u OFFSET 0) l, LATERAL (SELECT s.lead_id FROM {lead} s"
		" WHERE pg_catalog.lower(pg_catalog.btrim(s.email) COLLATE pg_catalog.\"C\")"
		EQ "pg_catalog.lower(pg_catalog.btrim(l.email) COLLATE pg_catalog.\"C\") OFFSET 0) o"
		" WHERE l.email OPERATOR(pg_catalog.~) '[^[:space:]]'"
		" UNION SELECT o.lead_id FROM pg_catalog.unnest($1) u,"
		" LATERAL (SELECT l.phone FROM {lead} l WHERE l.lead_id" EQ "u OFFSET 0) l,"
		" LATERAL (SELECT s.lead_id FROM {lead} s WHERE s.phone IS NOT NULL"
		" AND pg_catalog.regexp_replace(s.phone, '[^0-9]', '', 'g')"
		EQ "pg_catalog.regexp_replace(l.phone, '[^0-9]', '', 'g') OFFSET 0) o"
		" WHERE l.phone OPERATOR(pg_catalog.~) '[0-9]'))"
	" ORDER BY lead_id FOR NO KEY UPDATE", 1, {INT8ARRAYOID}},
	[IS_FORGOTTEN] = {"SELECT {pipeline}._is_forgotten($1, $2, $3)", 3, {TEXTOID, TEXTOID, TEXTOID}},
	[LEAVE_OUT_FORGOTTEN] = {"SELECT {pipeline}._leave_out_forgotten($1)", 1, {INT8ARRAYOID}},
	[DELETE_LEAD] = {"DELETE FROM {lead} WHERE lead_id" EQ "$1", 1, {INT8OID}},
	[MAY_CONTACT] = {"SELECT {pipeline}._may_contact($1, $2, $3, $4, $5)",
	5, {INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID, BOOLOID}},
	/* the same on the node that has the lead */
	[MAY_CONTACT_THERE] = {"SELECT leadscore_internal.may_contact({pipeline_oid}, l.lead_id, $2, $3, $4, $5) FROM {lead} l WHERE l.lead_id" EQ "$1",
	5, {INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID, BOOLOID}},

	/*
	 * The change has a time of its own, later than the one before, but never
	 * one to come: it would act only then.
	 */
	[MERGE_PROFILES] = {"UPDATE {lead} l SET " ALL_COLUMNS(SET_MERGED) "kind = n.kind, profile = n.profile, consented_at = n.consented_at,"
		" updated_at = CASE WHEN l.updated_at OPERATOR(pg_catalog.>) pg_catalog.now() THEN pg_catalog.clock_timestamp()"
		" ELSE GREATEST(l.updated_at OPERATOR(pg_catalog.+) '1 microsecond'::pg_catalog.interval, n.at) END"
		" FROM (SELECT o.lead_id, g.at," ALL_COLUMNS(MERGED) " COALESCE(d.kind, o.kind) AS kind,"
		" o.profile OPERATOR(pg_catalog.||) (g.document OPERATOR(pg_catalog.-) " DOCUMENT_KEYS ") AS profile,"
		" CASE WHEN NOT d.consent THEN NULL"
		" WHEN g.document OPERATOR(pg_catalog.?) 'consented_at' THEN d.consented_at"
		" WHEN d.consent THEN COALESCE(o.consented_at, g.at) ELSE o.consented_at END AS consented_at"
		" FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3)) AS g(lead_id, document, at)"
		" JOIN {lead} o ON o.lead_id" EQ "g.lead_id,"
		" LATERAL pg_catalog.jsonb_to_record(g.document) AS d " DOCUMENT_COLUMNS ") n"
		" WHERE l.lead_id" EQ "n.lead_id AND pg_catalog.record_image_ne("
		"ROW(" ALL_COLUMNS(OF_LEAD) "l.kind, l.profile, l.consented_at), ROW(" ALL_COLUMNS(OF_MERGED) "n.kind, n.profile, n.consented_at))",
	3, {INT8ARRAYOID, JSONBARRAYOID, TIMESTAMPTZARRAYOID}},

	/*
	 * $3 is when the document was true, $4 when it was written, $5 its
	 * consented_at
	 */
	[MERGE_PROFILE] = {"UPDATE {lead} l SET " ALL_COLUMNS(SET_FIELD) "kind = " MERGED_KIND ", profile = " MERGED_PROFILE ","
		" consented_at = " MERGED_CONSENTED_AT ", updated_at = $4"
		" WHERE l.lead_id" EQ "$1 AND pg_catalog.record_image_ne(ROW(" ALL_COLUMNS(OF_LEAD) "l.kind, l.profile, l.consented_at),"
		" ROW(" ALL_COLUMNS(MERGED_FIELD) MERGED_KIND ", " MERGED_PROFILE ", " MERGED_CONSENTED_AT "))",
	5, {INT8OID, JSONBOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID}},

	[ADD_EVENT] = {"INSERT INTO {event} (lead_id, kind, properties, occurred_at, value, channel, campaign, source_id)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING event_id", 8, {EVENT_TYPES}},
	[ADD_EVENT_ONCE] = {"INSERT INTO {event} (lead_id, kind, properties, occurred_at, value, channel, campaign, source_id)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8)" ONCE " RETURNING event_id", 8, {EVENT_TYPES}},
	[FIND_EVENT] = {"SELECT event_id FROM {event} WHERE lead_id" EQ "$1 AND source_id" EQ "$2 ORDER BY event_id LIMIT 1",
	2, {INT8OID, TEXTOID}},
	[ADD_EVENTS] = {"WITH added AS (" EVENT_ROWS " RETURNING source_id)"
	" SELECT pg_catalog.count(*), pg_catalog.count(source_id) FROM added", 8, {EVENT_ARRAYS}},
	[ADD_EVENTS_ONCE] = {"WITH added AS (" EVENT_ROWS ONCE " RETURNING source_id)"
	" SELECT pg_catalog.count(*), pg_catalog.count(source_id) FROM added", 8, {EVENT_ARRAYS}},

	/*
	 * how many of these name an event that is there, where one index keeps
	 * them apart
	 */
	[COUNT_KNOWN] = {"SELECT pg_catalog.count(*) FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS u(lead_id, source_id)"
	" JOIN {event} e ON e.lead_id" EQ "u.lead_id AND e.source_id" EQ "u.source_id", 2, {INT8ARRAYOID, TEXTARRAYOID}},
	/* and which of them do so, or say the same as one before */
	[FIND_KNOWN] = {"SELECT u.n::pg_catalog.int4 FROM (SELECT u.lead_id, u.source_id, u.n, pg_catalog.row_number() OVER"
		" (PARTITION BY u.lead_id, u.source_id ORDER BY u.n) AS nth"
		" FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) WITH ORDINALITY AS u(lead_id, source_id, n)"
		" WHERE u.source_id IS NOT NULL) u"
		" WHERE u.nth OPERATOR(pg_catalog.>) 1 OR EXISTS (SELECT FROM {event} e WHERE e.lead_id" EQ "u.lead_id"
	" AND e.source_id" EQ "u.source_id)", 2, {INT8ARRAYOID, TEXTARRAYOID}},
	/* is any of them there twice? */
	[FIND_TWICE] = {"SELECT 1 FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS u(lead_id, source_id)"
		" WHERE (SELECT pg_catalog.count(*) FROM {event} e WHERE e.lead_id" EQ "u.lead_id"
	" AND e.source_id" EQ "u.source_id) OPERATOR(pg_catalog.>) 1 LIMIT 1", 2, {INT8ARRAYOID, TEXTARRAYOID}},
	/* which of them were purged? */
	[FIND_PURGED] = {"SELECT u.n::pg_catalog.int4 FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3))"
		" WITH ORDINALITY AS u(lead_id, source_id, occurred_at, n) JOIN {lead_checkpoint} c ON c.lead_id" EQ "u.lead_id"
		" WHERE u.occurred_at OPERATOR(pg_catalog.<) c.purged_before AND " SOURCE_ID_HASH("u.source_id")
	" OPERATOR(pg_catalog.=) ANY (c.source_ids)", 3, {INT8ARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID}},
	[LOCK_EVENTS] = {"SELECT 1 FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS u(lead_id, source_id),"
		" LATERAL (SELECT 1 FROM {event} e WHERE e.lead_id" EQ "u.lead_id AND e.source_id" EQ "u.source_id"
	" OFFSET 0 FOR UPDATE) s", 2, {INT8ARRAYOID, TEXTARRAYOID}},
	[REMOVE_EVENTS] = {"DELETE FROM {event} e USING ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS u(lead_id, source_id)"
	" WHERE e.lead_id" EQ "u.lead_id AND e.source_id" EQ "u.source_id", 2, {INT8ARRAYOID, TEXTARRAYOID}},
	[PUT_EVENTS] = {"INSERT INTO {event} AS o (lead_id, kind, properties, occurred_at, value, channel, campaign, source_id)"
		" SELECT * FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3), pg_catalog.unnest($4),"
		" pg_catalog.unnest($5), pg_catalog.unnest($6), pg_catalog.unnest($7), pg_catalog.unnest($8)) e"
		" ON CONFLICT (lead_id, source_id) WHERE source_id IS NOT NULL DO UPDATE SET kind = excluded.kind,"
		" properties = excluded.properties, occurred_at = excluded.occurred_at, value = excluded.value,"
		" channel = excluded.channel, campaign = excluded.campaign"
		" WHERE pg_catalog.record_image_ne(ROW(o.kind, o.properties, o.occurred_at, o.value, o.channel, o.campaign),"
		" ROW(excluded.kind, excluded.properties, excluded.occurred_at, excluded.value, excluded.channel, excluded.campaign))",
	8, {EVENT_ARRAYS}},
	[READ_TRACKED] = {"SELECT " TRACKED_COLUMNS " FROM {pipeline}.tracked_table WHERE definition" EQ "$1", 1, {TEXTOID}},
	[NOTE_SKIPPED] = {"INSERT INTO {pipeline}.tracked_skip (definition, reason, skipped) VALUES ($1, $2, $3)",
	3, {TEXTOID, TEXTOID, INT8OID}},
	[NAME_LEADS] = {"SELECT {pipeline}._name_leads($1, $2)", 2, {TEXTARRAYOID, TEXTARRAYOID}},
	[FORGET_LEADS] = {"SELECT {pipeline}._forget_leads($1)", 1, {TEXTARRAYOID}},
	/* which of these leads have said something of their data? */
	[SAID_BEFORE] = {"SELECT DISTINCT lead_id FROM {pipeline}.consent WHERE lead_id" EQ "ANY ($1) AND purpose" EQ "'policy' ORDER BY lead_id",
	1, {INT8ARRAYOID}},
	[NEWEST_STAGE_SET] = {"SELECT pg_catalog.max(occurred_at) FROM {event} WHERE lead_id" EQ "$1 AND kind" EQ "'stage_set'"
	" AND occurred_at OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp()", 1, {INT8OID}}
};

/* The text of a statement, with the pipeline's tables in it */
static char *
statement_sql(const Pipeline *p, const char *sql)
{
	static const char *const names[] = {"lead", "event", "lead_state", "stage_log",
	"profile_change", "signal", "model", "model_activation", "segment", "segment_log", "lead_checkpoint"};
	const Oid	tables[] = {p->lead, p->event, p->state, p->stage_log,
	p->profile_change, p->signal, p->model, p->activation, p->segment, p->segment_log, p->checkpoint};
	StringInfoData text;

	initStringInfo(&text);
	while (*sql)
	{
		int			i = lengthof(names);

		if (strncmp(sql, "{pipeline_oid}", strlen("{pipeline_oid}")) == 0)
		{
			appendStringInfo(&text, "%s::pg_catalog.regnamespace",
							 quote_literal_cstr(quote_identifier(get_namespace_name(p->part.schema))));
			sql += strlen("{pipeline_oid}");
			continue;
		}
		if (strncmp(sql, "{pipeline}", strlen("{pipeline}")) == 0)
		{
			appendStringInfoString(&text, quote_identifier(get_namespace_name(p->part.schema)));
			sql += strlen("{pipeline}");
			continue;
		}
		if (*sql == '{')
			for (i = 0; i < lengthof(names); i++)
				if (strncmp(sql + 1, names[i], strlen(names[i])) == 0 &&
					sql[1 + strlen(names[i])] == '}')
					break;
		if (i == lengthof(names))
			appendStringInfoChar(&text, *sql++);
		else
		{
			Oid			table = tables[i];

			/* shards have no defaults; those of leads are not all here */
			if (OidIsValid(p->part.shard) && !leadscore_is_spread(leadscore_table(p->part.schema, "lead")))
				table = leadscore_table(p->part.schema, leadscore_logical_name(p->part, table));
			appendStringInfoString(&text, leadscore_table_name(table));
			sql += strlen(names[i]) + 2;
		}
	}
	return text.data;
}

/* The plan of a statement, made when it is first needed */
static SPIPlanPtr
statement_plan(Pipeline *pipeline, AppStatement statement)
{
	const StatementText *text = &statements[statement];
	AppCache   *cache = leadscore_app_cache(pipeline);

	if (cache->plans[statement] == NULL && !pipeline->distributed)
		cache->plans[statement] =
			leadscore_keep_plan(statement_sql(pipeline, text->sql), text->ntypes,
								unconstify(Oid *, &text->types[0]));
	else if (cache->plans[statement] == NULL)
	{
		/* Citus finds the node of a row by the values */
		SPIPlanPtr	plan = SPI_prepare_cursor(statement_sql(pipeline, text->sql), text->ntypes,
											  unconstify(Oid *, &text->types[0]),
											  CURSOR_OPT_CUSTOM_PLAN | CURSOR_OPT_NO_SCROLL);

		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "could not prepare: %s", text->sql);
		cache->plans[statement] = plan;
	}
	if (!pipeline->distributed)
		leadscore_renew_plan(cache->plans[statement]);
	return cache->plans[statement];
}

/*
 * Run a statement; its plan stays with the pipeline.  Without a row limit: an
 * INSERT ... RETURNING that is stopped by one fires no AFTER STATEMENT trigger,
 * so its events would not be counted.  Needs an SPI connection.  With a
 * snapshot it reads by that one, as a STABLE function must.
 */
uint64
leadscore_app_run(Pipeline *pipeline, AppStatement statement, Datum *values,
				  const char *nulls, Snapshot snapshot)
{
	const StatementText *text = &statements[statement];
	SPIPlanPtr volatile plan = statement_plan(pipeline, statement);

	/* a function of the pipeline, of which only the name is ours */
	bool		calls = strncmp(text->sql, "SELECT {pipeline}._", strlen("SELECT {pipeline}._")) == 0;
	PipelinePart part = {InvalidOid, InvalidOid};
	PipelinePart before;
	int			guc_level = 0;
	int			result = 0;

	if (calls)
		part = pipeline->part;
	if (pipeline->distributed)
	{
		guc_level = NewGUCNestLevel();
		leadscore_plan_for_values();
	}
	before = leadscore_enter_shard(part);
	PG_TRY();
	{
		if (snapshot)
			result = SPI_execute_snapshot(plan, values, nulls, snapshot, InvalidSnapshot, true, false, 0);
		else
			result = SPI_execute_plan(plan, values, nulls, false, 0);
	}
	PG_FINALLY();
	{
		leadscore_leave_shard(before);
	}
	PG_END_TRY();
	if (guc_level > 0)
		AtEOXact_GUC(true, guc_level);
	if (result < 0)
		elog(ERROR, "could not run: %s", SPI_result_code_string(result));
	return SPI_processed;
}

/* The type of row that a function returns */
static TupleDesc
make_result(int n, const char *const *names, const Oid *types)
{
	TupleDesc	desc = CreateTemplateTupleDesc(n);
	int			i;

	for (i = 0; i < n; i++)
		TupleDescInitEntry(desc, (AttrNumber) (i + 1), names[i], types[i], -1, 0);
	return BlessTupleDesc(desc);
}

/* The primary key of a plain table if it is (lead_id), else InvalidOid */
static Oid
plain_key(Relation rel)
{
	static const char *const lead_id[] = {"lead_id"};

	if (rel->rd_rel->relkind != RELKIND_RELATION)
		return InvalidOid;
	return leadscore_unique_index(rel, 1, lead_id, NULL);
}

/* The pipeline goes: so do its plans, which live in contexts of their own. */
static void
forget_statements(void *arg)
{
	AppCache   *cache = arg;
	int			i;

	for (i = 0; i < N_STATEMENTS; i++)
		if (cache->plans[i])
			SPI_freeplan(cache->plans[i]);
}

/* What is kept of a pipeline for its functions, made when first needed */
AppCache *
leadscore_app_cache(Pipeline *pipeline)
{
	static const char *const tracked[] = {"lead_id", "event_id", "score", "stage", "stage_changed", "duplicate", "scored"};
	static const Oid tracked_types[] = {INT8OID, INT8OID, NUMERICOID, TEXTOID, BOOLOID, BOOLOID, BOOLOID};
	static const char *const counted[] = {"inserted", "duplicates", "skipped"};
	static const Oid counted_types[] = {INT8OID, INT8OID, INT8OID};
	static const char *const external_id[] = {"external_id"};
	static const char *const source_id[] = {"lead_id", "source_id"};
	AppCache   *cache = pipeline->app;
	MemoryContext oldcontext;
	Relation	rel;

	if (cache)
		return cache;
	oldcontext = MemoryContextSwitchTo(pipeline->context);
	cache = palloc0(sizeof(AppCache));
	cache->tracked = make_result(lengthof(tracked), tracked, tracked_types);
	cache->counted = make_result(lengthof(counted), counted, counted_types);
	MemoryContextSwitchTo(oldcontext);

	rel = table_open(pipeline->lead, AccessShareLock);
	cache->lead_id = leadscore_column(RelationGetDescr(rel), "lead_id", INT8OID,
									  RelationGetRelationName(rel));
	cache->created_at = get_attnum(pipeline->lead, "created_at");
	cache->lead_key = plain_key(rel);
	/* the engine does without this column: so nothing fails here */
	if (rel->rd_rel->relkind == RELKIND_RELATION &&
		get_atttype(pipeline->lead, get_attnum(pipeline->lead, "external_id")) == TEXTOID)
		cache->external_id_key = leadscore_unique_index(rel, 1, external_id, NULL);
	table_close(rel, AccessShareLock);

	rel = table_open(pipeline->alias, AccessShareLock);
	cache->alias_key = leadscore_unique_index(rel, 1, external_id, NULL);
	cache->alias_lead_id = leadscore_column(RelationGetDescr(rel), "lead_id", INT8OID,
											RelationGetRelationName(rel));
	table_close(rel, AccessShareLock);

	rel = table_open(pipeline->state, AccessShareLock);
	cache->state_key = plain_key(rel);
	table_close(rel, AccessShareLock);

	rel = table_open(pipeline->event, AccessShareLock);
	cache->source_id_unique = OidIsValid(leadscore_unique_index(rel, 2, source_id, "source_id"));
	cache->own_code = leadscore_runs_own_code(rel);
	table_close(rel, AccessShareLock);

	cache->plain = !pipeline->distributed && OidIsValid(cache->lead_key) && OidIsValid(cache->state_key);
	cache->forget.func = forget_statements;
	cache->forget.arg = cache;
	MemoryContextRegisterResetCallback(pipeline->context, &cache->forget);
	pipeline->app = cache;
	return cache;
}

/* The type that a letter stands for */
static Oid
type_of(char letter)
{
	switch (letter)
	{
		case 'b':
			return BOOLOID;
		case 'f':
			return FLOAT8OID;
		case 'g':
			return TRIGGEROID;
		case 'i':
			return INT8OID;
		case 'j':
			return JSONBOID;
		case 'n':
			return NUMERICOID;
		case 'r':
			return REGCLASSOID;
		case 't':
			return TEXTOID;
		case 'z':
			return TIMESTAMPTZOID;
	}
	elog(ERROR, "unknown type letter \"%c\"", letter);
}

/* The types of a function's results: of its OUT parameters, or the one */
static int
result_types(HeapTuple tuple, Oid **types)
{
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);
	Oid		   *all;
	char	  **names;
	char	   *modes;
	int			n = get_func_arg_info(tuple, &all, &names, &modes);
	int			nresults = 0;
	int			i;

	*types = palloc(sizeof(Oid) * (n + 1));
	for (i = 0; i < n && modes; i++)
		if (modes[i] == PROARGMODE_OUT || modes[i] == PROARGMODE_TABLE)
			(*types)[nresults++] = all[i];
	if (nresults == 0)
		(*types)[nresults++] = form->prorettype;
	return nresults;
}

/*
 * The row of pg_proc that was last found to be declared right, by function: to
 * look at it anew in every call costs more than to find it.
 */
static struct
{
	Oid			oid;
	TransactionId xmin;
	ItemPointerData tid;
}			declared[lengthof(functions)];

/* The function that a row of pg_proc names, which must be declared like it */
static const AppFunction *
find_function(HeapTuple tuple)
{
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);
	const AppFunction *function = NULL;
	bool		isnull;
	char	   *name;
	Oid		   *results;
	int			nresults;
	bool		matches;
	int			index;
	int			i;

	name = TextDatumGetCString(SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosrc, &isnull));
	for (index = 0; index < lengthof(functions); index++)
		if (strcmp(functions[index].name, name) == 0)
			break;
	if (index < lengthof(functions))
		function = &functions[index];
	if (function && declared[index].oid == form->oid &&
		declared[index].xmin == HeapTupleHeaderGetRawXmin(tuple->t_data) &&
		ItemPointerEquals(&declared[index].tid, &tuple->t_self))
		return function;
	if (function == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("there is no function \"%s\" in language leadscore", name),
				 errhint("leadscore.create_pipeline() and leadscore.upgrade_pipeline() create its functions.")));
	nresults = result_types(tuple, &results);
	matches = form->prokind == PROKIND_FUNCTION && form->proretset == function->set &&
		form->pronargs == strlen(function->arguments) && nresults == strlen(function->results);
	for (i = 0; matches && i < form->pronargs; i++)
		matches = form->proargtypes.values[i] == type_of(function->arguments[i]);
	for (i = 0; matches && i < nresults; i++)
		matches = results[i] == type_of(function->results[i]);
	if (!matches)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
				 errmsg("function \"%s\" must be declared like function \"%s\" of language leadscore",
						NameStr(form->proname), name),
				 errhint("leadscore.upgrade_pipeline() creates the functions of a pipeline anew.")));
	declared[index].oid = form->oid;
	declared[index].xmin = HeapTupleHeaderGetRawXmin(tuple->t_data);
	declared[index].tid = tuple->t_self;
	return function;
}

/* The validator of the language */
Datum
leadscore_validator(PG_FUNCTION_ARGS)
{
	Oid			oid = PG_GETARG_OID(0);
	HeapTuple	tuple;

	if (!CheckFunctionValidatorAccess(fcinfo->flinfo->fn_oid, oid))
		PG_RETURN_VOID();
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(oid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", oid);
	find_function(tuple);
	ReleaseSysCache(tuple);
	PG_RETURN_VOID();
}

/*
 * Check that the owner of a function can act for the owner of its pipeline:
 * the function does the work of the latter.
 */
static void
check_owner(const AppCall *call, const Pipeline *pipeline)
{
	if (call->owner != pipeline->owner && !has_privs_of_role(call->owner, pipeline->owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("function \"%s\" does not belong to the owner of pipeline \"%s\"",
						call->function->name, get_namespace_name(call->schema)),
				 errhint("Give the tables and functions of a pipeline one owner.")));
}

/* The pipeline of a function that reads */
Pipeline *
leadscore_app_pipeline(FunctionCallInfo fcinfo)
{
	const AppCall *call = fcinfo->flinfo->fn_extra;
	Pipeline   *pipeline = leadscore_pipeline_for_query(leadscore_whole_part(call->schema));

	check_owner(call, pipeline);
	return pipeline;
}

static AppWatch *watched = NULL;

/* Have the engine report what it does to an event; returns the watch before. */
AppWatch *
leadscore_app_watch(AppWatch *watch)
{
	AppWatch   *before = watched;

	watched = watch;
	return before;
}

/*
 * The engine has counted a statement's events, of which from_stage is the stage
 * of the first lead before it.
 */
void
leadscore_app_tell(const DeltaList *deltas, Oid event, uint8 from_stage)
{
	int64		i;

	for (i = 0; watched && watched->event == event && i < deltas->n; i++)
	{
		const EventDelta *delta = &deltas->deltas[i];

		if (delta->lead_id != watched->lead_id || delta->removed)
			continue;
		watched->scored |= delta->ncounts > 0;
		if (watched->from_stage == 0)
			watched->from_stage = from_stage;
	}
}

/*
 * Throw the error that is being handled again, without the row that an error
 * about a constraint shows, which the caller may have no right to see, and
 * tell the caller what to do.  For a PG_CATCH block.
 */
static void
rethrow_without_row(MemoryContext context)
{
	ErrorData  *error = leadscore_constraint_error(context, true);

	if (error->sqlerrcode == ERRCODE_FOREIGN_KEY_VIOLATION && error->constraint_name == NULL &&
		strstr(error->message, "event_lead_id_fkey"))
	{
		/* the lead was there a moment ago */
		error->sqlerrcode = ERRCODE_T_R_SERIALIZATION_FAILURE;
		error->message = pstrdup("could not serialize access due to concurrent delete of the lead");
		error->hint = pstrdup("Run the transaction again.");
	}
	else if (error->sqlerrcode == ERRCODE_UNIQUE_VIOLATION && error->hint == NULL &&
			 error->constraint_name && strstr(error->constraint_name, "_pkey"))
		error->hint = psprintf("The sequence of %s is behind the table: set it past the largest number there with setval().",
							   strncmp(error->table_name, "event", 5) == 0 ? "event_id" : "lead_id");
	ReThrowError(error);
}

/* Let code of users that runs as the owner find nothing of the caller's. */
void
leadscore_app_fix_path(AppWrite *call)
{
	if (call->guc_level == 0)
		call->guc_level = leadscore_fix_path();
}

/* Does a function read rows of a table of the app's? */
static bool
is_of_tracked_table(const AppFunction *function)
{
	return function->write == leadscore_table_changed || function->write == leadscore_backfill;
}

/* Run a function that writes, as the owner of its pipeline. */
static Datum
run_writer(FunctionCallInfo fcinfo, const AppCall *call)
{
	PipelinePart part = leadscore_whole_part(call->schema);
	MemoryContext context = CurrentMemoryContext;
	AppWatch   *watch = watched;
	AppWrite	writer = {0};
	Datum volatile result = (Datum) 0;

	PreventCommandIfReadOnly(call->function->name);
	PreventCommandIfParallelMode(call->function->name);
	leadscore_hold_shard(part);
	PG_TRY();
	{
		writer.caller = context;
		writer.pipeline = leadscore_pipeline_for_app(part);
		writer.cache = leadscore_app_cache(writer.pipeline);
		check_owner(call, writer.pipeline);
		if (writer.pipeline->distributed && is_of_tracked_table(call->function))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("a pipeline that is distributed cannot track tables"),
					 errhint("Call track_many() for the rows.")));
		if (!writer.cache->plain && !writer.pipeline->distributed)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("tables \"lead\" and \"lead_state\" need a primary key (lead_id)"),
					 errhint("Add it again, to tables that are not partitioned.")));
		leadscore_run_as(writer.pipeline->owner, false, &writer.saved);
		if (writer.cache->own_code)
			leadscore_app_fix_path(&writer);
		if (SPI_connect() != SPI_OK_CONNECT)
			elog(ERROR, "SPI_connect failed");
		result = call->function->write(fcinfo, &writer);
		SPI_finish();
		if (writer.guc_level > 0)
			AtEOXact_GUC(true, writer.guc_level);
		leadscore_run_back(&writer.saved);
	}
	PG_CATCH();
	{
		watched = watch;
		rethrow_without_row(context);
	}
	PG_END_TRY();
	return result;
}

/* Is a function called by triggers only? */
static bool
is_trigger(const AppFunction *function)
{
	return function->results[0] == 'g';
}

/* Did a statement change no row? */
static bool
changed_nothing(const TriggerData *trigdata)
{
	return (trigdata->tg_oldtable == NULL || tuplestore_tuple_count(trigdata->tg_oldtable) == 0) &&
		(trigdata->tg_newtable == NULL || tuplestore_tuple_count(trigdata->tg_newtable) == 0);
}

/* The handler of the language */
Datum
leadscore_call_handler(PG_FUNCTION_ARGS)
{
	AppCall    *call = fcinfo->flinfo->fn_extra;

	if (call == NULL)
	{
		HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(fcinfo->flinfo->fn_oid));
		Form_pg_proc form;

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for function %u", fcinfo->flinfo->fn_oid);
		form = (Form_pg_proc) GETSTRUCT(tuple);
		call = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(AppCall));
		call->function = find_function(tuple);
		call->schema = form->pronamespace;
		call->owner = form->proowner;
		ReleaseSysCache(tuple);
		fcinfo->flinfo->fn_extra = call;
	}
	if (CALLED_AS_EVENT_TRIGGER(fcinfo) || (CALLED_AS_TRIGGER(fcinfo) != 0) != is_trigger(call->function))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 is_trigger(call->function) ?
				 errmsg("%s: must be called as a trigger", call->function->name) :
				 errmsg("%s: cannot be called as a trigger", call->function->name),
				 errhint("leadscore.attach_pipeline() and leadscore.track_table() create the triggers of a pipeline.")));
	if (is_trigger(call->function) && changed_nothing((TriggerData *) fcinfo->context))
		return PointerGetDatum(NULL);
	return call->function->write ? run_writer(fcinfo, call) : call->function->read(fcinfo);
}
