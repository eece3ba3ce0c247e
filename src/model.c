/*-------------------------------------------------------------------------
 *
 * model.c
 *		The SQL type lead_model: its forms, its equality, and lookups in it.
 *
 * The text and binary forms are JSON with the columns of the configuration
 * tables as keys.  The datum itself is used as it lies (model.h), and never
 * read from outside: every way in compiles JSON.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "leadscore.h"
#include "model_json.h"

PG_FUNCTION_INFO_V1(lead_model_in);
PG_FUNCTION_INFO_V1(lead_model_out);
PG_FUNCTION_INFO_V1(lead_model_recv);
PG_FUNCTION_INFO_V1(lead_model_send);
PG_FUNCTION_INFO_V1(lead_model_from_jsonb);
PG_FUNCTION_INFO_V1(lead_model_to_jsonb);
PG_FUNCTION_INFO_V1(lead_model_eq);
PG_FUNCTION_INFO_V1(lead_model_ne);

#define MODEL_WIRE_FORMAT	1

/* A model from a datum, whole and aligned, of a format that we know */
const LeadModel *
leadscore_model_read(Datum value)
{
	const LeadModel *model = (const LeadModel *) PG_DETOAST_DATUM(value);

	if (VARSIZE(model) < sizeof(LeadModel) || model->format != MODEL_FORMAT)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("unsupported format %d of a lead_model", model->format),
				 errhint("Install the version of leadscore that wrote it, or compile the model again.")));
	return model;
}

/* Parse JSON text; NULL after a soft error. */
static Jsonb *
parse_json(char *text, Node *escontext)
{
#if PG_VERSION_NUM >= 160000
	Datum		json;

	if (!DirectInputFunctionCallSafe(jsonb_in, text, InvalidOid, -1, escontext, &json))
		return NULL;
	return DatumGetJsonbP(json);
#else
	(void) escontext;
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
#endif
}

/* lead_model_in(cstring): compiles the JSON form */
Datum
lead_model_in(PG_FUNCTION_ARGS)
{
	Jsonb	   *json = parse_json(PG_GETARG_CSTRING(0), fcinfo->context);
	LeadModel  *model;

	if (json == NULL)
		PG_RETURN_NULL();
	model = lead_model_compile(json, fcinfo->context);
	if (model == NULL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(model);
}

/* lead_model(jsonb): the same from jsonb */
Datum
lead_model_from_jsonb(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(lead_model_compile(PG_GETARG_JSONB_P(0), NULL));
}

/* lead_model_out(lead_model): the JSON form */
Datum
lead_model_out(PG_FUNCTION_ARGS)
{
	StringInfoData out;

	initStringInfo(&out);
	lead_model_write(DatumGetLeadModel(PG_GETARG_DATUM(0)), &out);
	PG_RETURN_CSTRING(out.data);
}

/* lead_model -> jsonb */
Datum
lead_model_to_jsonb(PG_FUNCTION_ARGS)
{
	StringInfoData out;

	initStringInfo(&out);
	lead_model_write(DatumGetLeadModel(PG_GETARG_DATUM(0)), &out);
	PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(out.data)));
}

/* lead_model_recv(internal): a format byte and the JSON form */
Datum
lead_model_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int			format = pq_getmsgbyte(buf);
	int			nbytes;
	char	   *text;

	if (format != MODEL_WIRE_FORMAT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("unsupported binary format %d of type %s", format, "lead_model"),
				 errhint("Send the bytes that a binary read of the type gave.")));
	text = pq_getmsgtext(buf, buf->len - buf->cursor, &nbytes);

	PG_RETURN_POINTER(lead_model_compile(parse_json(text, NULL), NULL));
}

/* lead_model_send(lead_model): a format byte and the JSON form */
Datum
lead_model_send(PG_FUNCTION_ARGS)
{
	StringInfoData json;
	StringInfoData buf;

	initStringInfo(&json);
	lead_model_write(DatumGetLeadModel(PG_GETARG_DATUM(0)), &json);
	pq_begintypsend(&buf);
	pq_sendint8(&buf, MODEL_WIRE_FORMAT);
	pq_sendtext(&buf, json.data, json.len);
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

/* Equal definitions: bytes also depend on the order in which rows were given. */
static bool
models_equal(FunctionCallInfo fcinfo)
{
	const LeadModel *a = DatumGetLeadModel(PG_GETARG_DATUM(0));
	const LeadModel *b = DatumGetLeadModel(PG_GETARG_DATUM(1));
	StringInfoData x;
	StringInfoData y;

	if (VARSIZE(a) == VARSIZE(b) && memcmp(a, b, VARSIZE(a)) == 0)
		return true;
	initStringInfo(&x);
	initStringInfo(&y);
	lead_model_write(a, &x);
	lead_model_write(b, &y);
	return strcmp(x.data, y.data) == 0;
}

/* lead_model = lead_model */
Datum
lead_model_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(models_equal(fcinfo));
}

/* lead_model <> lead_model */
Datum
lead_model_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(!models_equal(fcinfo));
}

/* Milli-points as points, printed with no needless decimals */
Datum
leadscore_milli_numeric(int64 milli)
{
	if (milli % 1000 == 0)
		return NumericGetDatum(int64_to_numeric(milli / 1000));
	if (milli % 100 == 0)
		return NumericGetDatum(int64_div_fast_to_numeric(milli / 100, 1));
	if (milli % 10 == 0)
		return NumericGetDatum(int64_div_fast_to_numeric(milli / 10, 2));
	return NumericGetDatum(int64_div_fast_to_numeric(milli, 3));
}
