/* lead_model: a scoring model compiled to one datum; its text form is JSON */

CREATE TYPE leadscore.lead_model;

CREATE FUNCTION leadscore.lead_model_in(cstring) RETURNS leadscore.lead_model
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION leadscore.lead_model_out(leadscore.lead_model) RETURNS cstring
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION leadscore.lead_model_recv(internal) RETURNS leadscore.lead_model
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION leadscore.lead_model_send(leadscore.lead_model) RETURNS bytea
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';

-- stored uncompressed, so that the header can be read without a detoast
CREATE TYPE leadscore.lead_model (
	INPUT = leadscore.lead_model_in,
	OUTPUT = leadscore.lead_model_out,
	RECEIVE = leadscore.lead_model_recv,
	SEND = leadscore.lead_model_send,
	INTERNALLENGTH = variable,
	ALIGNMENT = double,
	STORAGE = external
);
COMMENT ON TYPE leadscore.lead_model IS
	'a compiled scoring model: signals, dimensions, rules, stages, gates and grades; the text form is JSON and complete';

CREATE FUNCTION leadscore.lead_model(jsonb) RETURNS leadscore.lead_model
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'lead_model_from_jsonb';
COMMENT ON FUNCTION leadscore.lead_model(jsonb) IS
	'compiles a model; a mistake is an error that names the row';
CREATE FUNCTION leadscore.jsonb(leadscore.lead_model) RETURNS jsonb
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'lead_model_to_jsonb';
COMMENT ON FUNCTION leadscore.jsonb(leadscore.lead_model) IS
	'the JSON form of a model';
CREATE CAST (jsonb AS leadscore.lead_model) WITH FUNCTION leadscore.lead_model(jsonb) AS ASSIGNMENT;
CREATE CAST (leadscore.lead_model AS jsonb) WITH FUNCTION leadscore.jsonb(leadscore.lead_model);

CREATE FUNCTION leadscore.lead_model_eq(leadscore.lead_model, leadscore.lead_model) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION leadscore.lead_model_ne(leadscore.lead_model, leadscore.lead_model) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE OPERATOR pg_catalog.= (
	LEFTARG = leadscore.lead_model, RIGHTARG = leadscore.lead_model,
	FUNCTION = leadscore.lead_model_eq, COMMUTATOR = OPERATOR(pg_catalog.=),
	NEGATOR = OPERATOR(pg_catalog.<>), RESTRICT = eqsel, JOIN = eqjoinsel
);
CREATE OPERATOR pg_catalog.<> (
	LEFTARG = leadscore.lead_model, RIGHTARG = leadscore.lead_model,
	FUNCTION = leadscore.lead_model_ne, COMMUTATOR = OPERATOR(pg_catalog.<>),
	NEGATOR = OPERATOR(pg_catalog.=), RESTRICT = neqsel, JOIN = neqjoinsel
);
