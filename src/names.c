/*-------------------------------------------------------------------------
 *
 * names.c
 *		Names of leads: how they are written, other names, and those of people
 *		that were forgotten.
 *
 * A name that is an e-mail address is kept in lower case and without blanks
 * around it, so that Bob@acme.example and bob@acme.example are one lead.  A
 * name is either that of a row of lead or in lead_alias.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "app.h"
#include "condition.h"
#include "consent.h"
#include "trigger.h"

PG_FUNCTION_INFO_V1(leadscore_fold_name);
PG_FUNCTION_INFO_V1(leadscore_lead_number);

/* A blank, as the C locale has it */
static bool
is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* A text without blanks around it, which a line end of a file leaves, say */
static Datum
trimmed(Datum value)
{
	text	   *string = DatumGetTextPP(value);
	const char *begin = VARDATA_ANY(string);
	const char *end = begin + VARSIZE_ANY_EXHDR(string);

	while (begin < end && is_blank(*begin))
		begin++;
	while (begin < end && is_blank(end[-1]))
		end--;
	if (end - begin == VARSIZE_ANY_EXHDR(string))
		return value;
	return PointerGetDatum(cstring_to_text_with_len(begin, end - begin));
}

/*
 * The name of a lead as it is kept.  One that is an e-mail address, some text
 * before an @ and a dot after it without blanks, loses blanks around it and
 * capital letters of ASCII; any other stays.
 */
Datum
leadscore_folded_name(Datum name)
{
	text	   *string = DatumGetTextPP(name);
	text	   *inner = DatumGetTextPP(trimmed(name));
	const char *begin = VARDATA_ANY(inner);
	const char *end = begin + VARSIZE_ANY_EXHDR(inner);
	const char *at = NULL;
	bool		dot = false;
	const char *c;

	for (c = begin; c < end; c++)
	{
		if (is_blank(*c) || (*c == '@' && at))
			return PointerGetDatum(string);
		if (*c == '@')
			at = c;
		dot |= *c == '.' && at && c > at + 1 && c + 1 < end;
	}
	if (at == NULL || at == begin || !dot)
		return PointerGetDatum(string);
	return PointerGetDatum(cstring_to_text(asc_tolower(begin, end - begin)));
}

/* fold_name(name): the name of a lead as it is kept */
Datum
leadscore_fold_name(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(leadscore_folded_name(PG_GETARG_DATUM(0)));
}

/*
 * The number of a lead that is spread over nodes, which follows from its name:
 * so every node knows it, and two nodes that create the lead create one.
 */
int64
leadscore_number_of_name(Datum name)
{
	text	   *folded = DatumGetTextPP(leadscore_folded_name(name));

	return (int64) (leadscore_text_hash(VARDATA_ANY(folded), VARSIZE_ANY_EXHDR(folded)) >> 1);
}

/* lead_number(external_id): the same */
Datum
leadscore_lead_number(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(leadscore_number_of_name(PG_GETARG_DATUM(0)));
}

/* Find the lead that has a name besides its own. */
bool
leadscore_find_alias(Pipeline *pipeline, Datum name, Snapshot snapshot, int64 *lead_id)
{
	AppCache   *cache = leadscore_app_cache(pipeline);
	Lookup		lookup;
	bool		found;
	bool		isnull;

	if (!OidIsValid(cache->alias_key) || !leadscore_ever_filled(pipeline->alias))
		return false;
	leadscore_lookup_open(&lookup, pipeline->alias, cache->alias_key);
	found = leadscore_lookup_text(&lookup, name, snapshot);
	if (found)
		*lead_id = DatumGetInt64(slot_getattr(lookup.slot, cache->alias_lead_id, &isnull));
	leadscore_lookup_close(&lookup);
	return found;
}

/*
 * Is any of these that of a person that was forgotten?  The values may be null.
 * Needs an SPI connection.
 */
bool
leadscore_is_forgotten(Pipeline *pipeline, const Datum *values, const bool *nulls)
{
	char		flags[3];
	Datum		copy[3];
	bool		isnull;
	int			i;

	for (i = 0; i < 3; i++)
	{
		flags[i] = nulls[i] ? 'n' : ' ';
		copy[i] = nulls[i] ? (Datum) 0 : values[i];
	}
	leadscore_app_run(pipeline, IS_FORGOTTEN, copy, flags, NULL);
	return DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

/* Has a lead this name besides its own? */
static bool
is_alias(Pipeline *pipeline, Datum name)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	int64		lead_id;
	bool		found = leadscore_find_alias(pipeline, name, snapshot, &lead_id);

	UnregisterSnapshot(snapshot);
	return found;
}

/* Refuse a name that a lead has besides its own. */
static void
refuse_alias(Pipeline *pipeline, Relation rel, Datum name)
{
	/* no values: the caller may not be allowed to see that lead */
	if (is_alias(pipeline, name))
		ereport(ERROR,
				(errcode(ERRCODE_UNIQUE_VIOLATION),
				 errmsg("duplicate key value violates unique constraint \"%s\"", "lead_external_id_key"),
				 errdetail("The name is that of a lead, see table lead_alias."),
				 errhint("Call upsert_lead(), which finds the lead by any of its names."),
				 errtableconstraint(rel, "lead_external_id_key")));
}

/*
 * Where the number of a lead decides which node has it, a name must give this
 * number: else the lead would not be found, and would be created again.
 */
static void
check_number(const Pipeline *pipeline, Relation rel, HeapTuple tuple, Datum name)
{
	TupleDesc	desc = RelationGetDescr(rel);
	bool		isnull;
	int64		lead_id;

	if (!pipeline->by_lead || !OidIsValid(pipeline->part.shard))
		return;
	lead_id = DatumGetInt64(heap_getattr(tuple, leadscore_column(desc, "lead_id", INT8OID, RelationGetRelationName(rel)),
										 desc, &isnull));
	if (lead_id != leadscore_number_of_name(name))
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("lead " INT64_FORMAT " cannot have this name in a pipeline that is distributed by lead", lead_id),
				 errhint("Insert it with the lead_id that leadscore.lead_number() gives for the name, or without external_id."),
				 errtableconstraint(rel, "lead_external_id_key")));
}

/* Does a function for apps insert leads, which looks for aliases itself? */
static bool expects_aliases = false;

/* Let the caller look for aliases; returns whether one did so before. */
bool
leadscore_expect_aliases(bool expect)
{
	bool		before = expects_aliases;

	expects_aliases = expect;
	return before;
}

/*
 * A lead with this name was inserted, and may have waited for a session that
 * gave it to another lead: look again.
 */
void
leadscore_check_name(Pipeline *pipeline, Relation rel, Datum name)
{
	if (!expects_aliases)
		refuse_alias(pipeline, rel, name);
}

/* A new version of a row, with its name and addresses as they were */
static HeapTuple
with_old_names(HeapTuple new, HeapTuple old, TupleDesc desc, int *columns)
{
	Datum		values[3];
	bool		nulls[3];
	int			i;

	for (i = 0; i < 3; i++)
		values[i] = heap_getattr(old, columns[i], desc, &nulls[i]);
	return heap_modify_tuple_by_cols(new, desc, 3, columns, values, nulls);
}

/*
 * A row of lead is to be inserted (old is NULL) or updated: fold its name, trim
 * its e-mail address, and leave out what tells of a person that was forgotten.  NULL if that is all,
 * or if a function for apps inserts a lead whose name is an alias by now.
 */
HeapTuple
leadscore_lead_named(TriggerData *trigdata, HeapTuple old, HeapTuple new)
{
	static const char *const names[] = {"external_id", "email", "phone"};
	Relation	rel = trigdata->tg_relation;
	TupleDesc	desc = RelationGetDescr(rel);
	int			columns[3];
	Datum		values[3];
	bool		nulls[3];
	bool		changed[3];
	bool		forgotten = false;
	bool		known = false;
	Pipeline   *pipeline;
	UserSwitch	saved;
	int			i;

	for (i = 0; i < 3; i++)
	{
		Datum		before = (Datum) 0;
		bool		was_null = true;

		columns[i] = leadscore_column(desc, names[i], TEXTOID, RelationGetRelationName(rel));
		values[i] = heap_getattr(new, columns[i], desc, &nulls[i]);
		if (old)
			before = heap_getattr(old, columns[i], desc, &was_null);
		changed[i] = !nulls[i] &&
			(was_null || !DatumGetBool(DirectFunctionCall2Coll(texteq, C_COLLATION_OID, before, values[i])));
	}
	if (!changed[0] && !changed[1] && !changed[2])
		return new;
	if (old)
	{
		bool		isnull;

		/* a lead that was made anonymous stays so */
		(void) heap_getattr(old, leadscore_column(desc, "erased_at", TIMESTAMPTZOID,
												  RelationGetRelationName(rel)), desc, &isnull);
		if (!isnull)
			return with_old_names(new, old, desc, columns);
	}
	for (i = 0; i < 2; i++)
	{
		Datum		kept;

		if (!changed[i])
			continue;
		kept = i == 0 ? leadscore_folded_name(values[i]) : trimmed(values[i]);
		if (!DatumGetBool(DirectFunctionCall2Coll(texteq, C_COLLATION_OID, kept, values[i])))
			new = heap_modify_tuple_by_cols(new, desc, 1, &columns[i], &kept, &nulls[i]);
		values[i] = kept;
	}

	leadscore_check_owner(rel);
	pipeline = leadscore_pipeline_for_write(leadscore_part(RelationGetRelid(rel)));
	leadscore_run_as(pipeline->owner, false, &saved);
	if (changed[0])
	{
		check_number(pipeline, rel, new, values[0]);
		if (old == NULL && expects_aliases)
			known = is_alias(pipeline, values[0]);
		else
			refuse_alias(pipeline, rel, values[0]);
	}
	if (!known && leadscore_any_suppressed(pipeline))
	{
		int			nestlevel = leadscore_fix_path();
		MemoryContext context = CurrentMemoryContext;

		if (SPI_connect() != SPI_OK_CONNECT)
			elog(ERROR, "SPI_connect failed");
		forgotten = leadscore_is_forgotten(pipeline, values, nulls);
		SPI_finish();
		MemoryContextSwitchTo(context);
		AtEOXact_GUC(true, nestlevel);
	}
	leadscore_run_back(&saved);
	if (known)
		return NULL;
	if (!forgotten)
		return new;
	return old ? with_old_names(new, old, desc, columns) : NULL;
}

/*
 * A lead that gets another name, or none, keeps the first one: experiments go
 * by it.  One that had none is known by its number.
 */
HeapTuple
leadscore_with_first_name(Relation rel, HeapTuple old, HeapTuple new)
{
	TupleDesc	desc = RelationGetDescr(rel);
	const char *table = RelationGetRelationName(rel);
	int			column = leadscore_column(desc, "external_id", TEXTOID, table);
	bool		nulls[2];
	Datum		names[2] = {heap_getattr(old, column, desc, &nulls[0]),
	heap_getattr(new, column, desc, &nulls[1])};
	bool		isnull;

	if (nulls[0] == nulls[1] &&
		(nulls[0] || DatumGetBool(DirectFunctionCall2Coll(texteq, C_COLLATION_OID, names[0], names[1]))))
		return new;
	/* a person that was forgotten has none */
	(void) heap_getattr(new, leadscore_column(desc, "erased_at", TIMESTAMPTZOID, table), desc, &isnull);
	if (!isnull)
		return new;
	column = leadscore_column(desc, "first_external_id", TEXTOID, table);
	(void) heap_getattr(new, column, desc, &isnull);
	if (!isnull)
		return new;
	if (nulls[0])
		names[0] = CStringGetTextDatum(psprintf(INT64_FORMAT,
												DatumGetInt64(heap_getattr(old, leadscore_column(desc, "lead_id", INT8OID, table),
																		   desc, &isnull))));
	isnull = false;
	return heap_modify_tuple_by_cols(new, desc, 1, &column, &names[0], &isnull);
}
