/* leadscore: schema of the extension */

\echo Use "CREATE EXTENSION leadscore" to load this file. \quit

-- Created here, not by the control file: so the schema is a member of the
-- extension, and nobody can have put objects into it before.
CREATE SCHEMA leadscore;

COMMENT ON SCHEMA leadscore IS
	'lead scoring: types, functions and aggregates of the extension leadscore';

GRANT USAGE ON SCHEMA leadscore TO PUBLIC;
-- lead_stage: the stages of a lead as a one-byte type

CREATE TYPE leadscore.lead_stage;

CREATE FUNCTION leadscore.lead_stage_in(cstring) RETURNS leadscore.lead_stage
	AS 'MODULE_PATHNAME', 'lead_stage_in'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.lead_stage_in(cstring) IS 'input of lead_stage: a label or synonym';

CREATE FUNCTION leadscore.lead_stage_out(leadscore.lead_stage) RETURNS cstring
	AS 'MODULE_PATHNAME', 'lead_stage_out'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.lead_stage_out(leadscore.lead_stage) IS 'output of lead_stage: the label';

CREATE FUNCTION leadscore.lead_stage_recv(internal) RETURNS leadscore.lead_stage
	AS 'MODULE_PATHNAME', 'lead_stage_recv'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.lead_stage_recv(internal) IS 'binary input of lead_stage: the same text as its input';

CREATE FUNCTION leadscore.lead_stage_send(leadscore.lead_stage) RETURNS bytea
	AS 'MODULE_PATHNAME', 'lead_stage_send'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.lead_stage_send(leadscore.lead_stage) IS 'binary output of lead_stage: the label as text';

CREATE TYPE leadscore.lead_stage (
	INPUT = leadscore.lead_stage_in,
	OUTPUT = leadscore.lead_stage_out,
	RECEIVE = leadscore.lead_stage_recv,
	SEND = leadscore.lead_stage_send,
	INTERNALLENGTH = 1,
	PASSEDBYVALUE,
	ALIGNMENT = char,
	STORAGE = plain
);
COMMENT ON TYPE leadscore.lead_stage IS
	'stage of a lead: disqualified < lost < recycled < visitor < iql < mql < sql < prospect < customer < advocate';

-- Casts. Towards text only on assignment: implicit, comparisons with text
-- would silently be alphabetical.

CREATE FUNCTION leadscore.lead_stage(text) RETURNS leadscore.lead_stage
	AS 'MODULE_PATHNAME', 'lead_stage_from_text'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.lead_stage(text) IS 'the stage with this label or synonym';

CREATE FUNCTION leadscore.text(leadscore.lead_stage) RETURNS text
	AS 'MODULE_PATHNAME', 'lead_stage_to_text'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.text(leadscore.lead_stage) IS 'label of a stage';

CREATE CAST (text AS leadscore.lead_stage)
	WITH FUNCTION leadscore.lead_stage(text) AS IMPLICIT;
COMMENT ON CAST (text AS leadscore.lead_stage) IS 'a label or synonym read as a stage';

CREATE CAST (varchar AS leadscore.lead_stage)
	WITH FUNCTION leadscore.lead_stage(text) AS IMPLICIT;
COMMENT ON CAST (varchar AS leadscore.lead_stage) IS 'a label or synonym read as a stage';

CREATE CAST (leadscore.lead_stage AS text)
	WITH FUNCTION leadscore.text(leadscore.lead_stage) AS ASSIGNMENT;
COMMENT ON CAST (leadscore.lead_stage AS text) IS 'label of a stage';

CREATE CAST (leadscore.lead_stage AS varchar)
	WITH FUNCTION leadscore.text(leadscore.lead_stage) AS ASSIGNMENT;
COMMENT ON CAST (leadscore.lead_stage AS varchar) IS 'label of a stage';

-- Comparisons. They only compare bytes, so they leak nothing, and a filter on
-- a stage may use an index below row-level security.

CREATE FUNCTION leadscore.lead_stage_eq(leadscore.lead_stage, leadscore.lead_stage) RETURNS boolean
	AS 'MODULE_PATHNAME', 'lead_stage_eq'
	LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.lead_stage_eq(leadscore.lead_stage, leadscore.lead_stage) IS 'implementation of = operator';

CREATE FUNCTION leadscore.lead_stage_ne(leadscore.lead_stage, leadscore.lead_stage) RETURNS boolean
	AS 'MODULE_PATHNAME', 'lead_stage_ne'
	LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.lead_stage_ne(leadscore.lead_stage, leadscore.lead_stage) IS 'implementation of <> operator';

CREATE FUNCTION leadscore.lead_stage_lt(leadscore.lead_stage, leadscore.lead_stage) RETURNS boolean
	AS 'MODULE_PATHNAME', 'lead_stage_lt'
	LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.lead_stage_lt(leadscore.lead_stage, leadscore.lead_stage) IS 'implementation of < operator';

CREATE FUNCTION leadscore.lead_stage_le(leadscore.lead_stage, leadscore.lead_stage) RETURNS boolean
	AS 'MODULE_PATHNAME', 'lead_stage_le'
	LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.lead_stage_le(leadscore.lead_stage, leadscore.lead_stage) IS 'implementation of <= operator';

CREATE FUNCTION leadscore.lead_stage_gt(leadscore.lead_stage, leadscore.lead_stage) RETURNS boolean
	AS 'MODULE_PATHNAME', 'lead_stage_gt'
	LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.lead_stage_gt(leadscore.lead_stage, leadscore.lead_stage) IS 'implementation of > operator';

CREATE FUNCTION leadscore.lead_stage_ge(leadscore.lead_stage, leadscore.lead_stage) RETURNS boolean
	AS 'MODULE_PATHNAME', 'lead_stage_ge'
	LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.lead_stage_ge(leadscore.lead_stage, leadscore.lead_stage) IS 'implementation of >= operator';

CREATE OPERATOR leadscore.= (
	LEFTARG = leadscore.lead_stage, RIGHTARG = leadscore.lead_stage,
	FUNCTION = leadscore.lead_stage_eq,
	COMMUTATOR = OPERATOR(leadscore.=), NEGATOR = OPERATOR(leadscore.<>),
	RESTRICT = eqsel, JOIN = eqjoinsel,
	HASHES, MERGES
);
COMMENT ON OPERATOR leadscore.= (leadscore.lead_stage, leadscore.lead_stage) IS 'same stage';

CREATE OPERATOR leadscore.<> (
	LEFTARG = leadscore.lead_stage, RIGHTARG = leadscore.lead_stage,
	FUNCTION = leadscore.lead_stage_ne,
	COMMUTATOR = OPERATOR(leadscore.<>), NEGATOR = OPERATOR(leadscore.=),
	RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR leadscore.<> (leadscore.lead_stage, leadscore.lead_stage) IS 'not the same stage';

CREATE OPERATOR leadscore.< (
	LEFTARG = leadscore.lead_stage, RIGHTARG = leadscore.lead_stage,
	FUNCTION = leadscore.lead_stage_lt,
	COMMUTATOR = OPERATOR(leadscore.>), NEGATOR = OPERATOR(leadscore.>=),
	RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
COMMENT ON OPERATOR leadscore.< (leadscore.lead_stage, leadscore.lead_stage) IS 'earlier stage';

CREATE OPERATOR leadscore.<= (
	LEFTARG = leadscore.lead_stage, RIGHTARG = leadscore.lead_stage,
	FUNCTION = leadscore.lead_stage_le,
	COMMUTATOR = OPERATOR(leadscore.>=), NEGATOR = OPERATOR(leadscore.>),
	RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
COMMENT ON OPERATOR leadscore.<= (leadscore.lead_stage, leadscore.lead_stage) IS 'earlier or same stage';

CREATE OPERATOR leadscore.> (
	LEFTARG = leadscore.lead_stage, RIGHTARG = leadscore.lead_stage,
	FUNCTION = leadscore.lead_stage_gt,
	COMMUTATOR = OPERATOR(leadscore.<), NEGATOR = OPERATOR(leadscore.<=),
	RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR leadscore.> (leadscore.lead_stage, leadscore.lead_stage) IS 'later stage';

CREATE OPERATOR leadscore.>= (
	LEFTARG = leadscore.lead_stage, RIGHTARG = leadscore.lead_stage,
	FUNCTION = leadscore.lead_stage_ge,
	COMMUTATOR = OPERATOR(leadscore.<=), NEGATOR = OPERATOR(leadscore.<),
	RESTRICT = scalargesel, JOIN = scalargejoinsel
);
COMMENT ON OPERATOR leadscore.>= (leadscore.lead_stage, leadscore.lead_stage) IS 'later or same stage';

-- Operator classes

CREATE FUNCTION leadscore.lead_stage_cmp(leadscore.lead_stage, leadscore.lead_stage) RETURNS int
	AS 'MODULE_PATHNAME', 'lead_stage_cmp'
	LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.lead_stage_cmp(leadscore.lead_stage, leadscore.lead_stage) IS 'less-equal-greater of two stages';

CREATE FUNCTION leadscore.lead_stage_sortsupport(internal) RETURNS void
	AS 'MODULE_PATHNAME', 'lead_stage_sortsupport'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.lead_stage_sortsupport(internal) IS 'sort support of lead_stage';

CREATE FUNCTION leadscore.lead_stage_hash(leadscore.lead_stage) RETURNS int
	AS 'MODULE_PATHNAME', 'lead_stage_hash'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.lead_stage_hash(leadscore.lead_stage) IS 'hash of a stage';

CREATE FUNCTION leadscore.lead_stage_hash_extended(leadscore.lead_stage, bigint) RETURNS bigint
	AS 'MODULE_PATHNAME', 'lead_stage_hash_extended'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.lead_stage_hash_extended(leadscore.lead_stage, bigint) IS 'hash of a stage with a seed';

CREATE OPERATOR FAMILY leadscore.lead_stage_ops USING btree;
COMMENT ON OPERATOR FAMILY leadscore.lead_stage_ops USING btree IS 'order of stages';

CREATE OPERATOR CLASS leadscore.lead_stage_ops
	DEFAULT FOR TYPE leadscore.lead_stage USING btree FAMILY leadscore.lead_stage_ops AS
	OPERATOR 1 leadscore.<,
	OPERATOR 2 leadscore.<=,
	OPERATOR 3 leadscore.=,
	OPERATOR 4 leadscore.>=,
	OPERATOR 5 leadscore.>,
	FUNCTION 1 leadscore.lead_stage_cmp(leadscore.lead_stage, leadscore.lead_stage),
	FUNCTION 2 leadscore.lead_stage_sortsupport(internal),
	FUNCTION 4 btequalimage(oid);
COMMENT ON OPERATOR CLASS leadscore.lead_stage_ops USING btree IS 'order of stages';

CREATE OPERATOR FAMILY leadscore.lead_stage_ops USING hash;
COMMENT ON OPERATOR FAMILY leadscore.lead_stage_ops USING hash IS 'equality of stages';

CREATE OPERATOR CLASS leadscore.lead_stage_ops
	DEFAULT FOR TYPE leadscore.lead_stage USING hash FAMILY leadscore.lead_stage_ops AS
	OPERATOR 1 leadscore.=,
	FUNCTION 1 leadscore.lead_stage_hash(leadscore.lead_stage),
	FUNCTION 2 leadscore.lead_stage_hash_extended(leadscore.lead_stage, bigint);
COMMENT ON OPERATOR CLASS leadscore.lead_stage_ops USING hash IS 'equality of stages';

-- Aggregates

CREATE FUNCTION leadscore.lead_stage_smaller(leadscore.lead_stage, leadscore.lead_stage) RETURNS leadscore.lead_stage
	AS 'MODULE_PATHNAME', 'lead_stage_smaller'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.lead_stage_smaller(leadscore.lead_stage, leadscore.lead_stage) IS 'the earlier of two stages';

CREATE FUNCTION leadscore.lead_stage_larger(leadscore.lead_stage, leadscore.lead_stage) RETURNS leadscore.lead_stage
	AS 'MODULE_PATHNAME', 'lead_stage_larger'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.lead_stage_larger(leadscore.lead_stage, leadscore.lead_stage) IS 'the later of two stages';

CREATE AGGREGATE leadscore.min(leadscore.lead_stage) (
	SFUNC = leadscore.lead_stage_smaller,
	STYPE = leadscore.lead_stage,
	COMBINEFUNC = leadscore.lead_stage_smaller,
	SORTOP = OPERATOR(leadscore.<),
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE leadscore.min(leadscore.lead_stage) IS 'earliest stage';

CREATE AGGREGATE leadscore.max(leadscore.lead_stage) (
	SFUNC = leadscore.lead_stage_larger,
	STYPE = leadscore.lead_stage,
	COMBINEFUNC = leadscore.lead_stage_larger,
	SORTOP = OPERATOR(leadscore.>),
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE leadscore.max(leadscore.lead_stage) IS 'latest stage';

-- What BI tools generate for a column that they show as text

CREATE FUNCTION leadscore.lead_stage_like(leadscore.lead_stage, text) RETURNS boolean
	AS 'MODULE_PATHNAME', 'lead_stage_like'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.lead_stage_like(leadscore.lead_stage, text) IS 'implementation of ~~ operator';

CREATE FUNCTION leadscore.lead_stage_not_like(leadscore.lead_stage, text) RETURNS boolean
	AS 'MODULE_PATHNAME', 'lead_stage_not_like'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.lead_stage_not_like(leadscore.lead_stage, text) IS 'implementation of !~~ operator';

CREATE FUNCTION leadscore.lead_stage_ilike(leadscore.lead_stage, text) RETURNS boolean
	AS 'MODULE_PATHNAME', 'lead_stage_ilike'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.lead_stage_ilike(leadscore.lead_stage, text) IS 'implementation of ~~* operator';

CREATE FUNCTION leadscore.lead_stage_not_ilike(leadscore.lead_stage, text) RETURNS boolean
	AS 'MODULE_PATHNAME', 'lead_stage_not_ilike'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.lead_stage_not_ilike(leadscore.lead_stage, text) IS 'implementation of !~~* operator';

CREATE OPERATOR leadscore.~~ (
	LEFTARG = leadscore.lead_stage, RIGHTARG = text,
	FUNCTION = leadscore.lead_stage_like,
	NEGATOR = OPERATOR(leadscore.!~~),
	RESTRICT = matchingsel, JOIN = matchingjoinsel
);
COMMENT ON OPERATOR leadscore.~~ (leadscore.lead_stage, text) IS 'label matches LIKE expression';

CREATE OPERATOR leadscore.!~~ (
	LEFTARG = leadscore.lead_stage, RIGHTARG = text,
	FUNCTION = leadscore.lead_stage_not_like,
	NEGATOR = OPERATOR(leadscore.~~),
	RESTRICT = matchingsel, JOIN = matchingjoinsel
);
COMMENT ON OPERATOR leadscore.!~~ (leadscore.lead_stage, text) IS 'label does not match LIKE expression';

CREATE OPERATOR leadscore.~~* (
	LEFTARG = leadscore.lead_stage, RIGHTARG = text,
	FUNCTION = leadscore.lead_stage_ilike,
	NEGATOR = OPERATOR(leadscore.!~~*),
	RESTRICT = matchingsel, JOIN = matchingjoinsel
);
COMMENT ON OPERATOR leadscore.~~* (leadscore.lead_stage, text) IS 'label matches LIKE expression, case-insensitive';

CREATE OPERATOR leadscore.!~~* (
	LEFTARG = leadscore.lead_stage, RIGHTARG = text,
	FUNCTION = leadscore.lead_stage_not_ilike,
	NEGATOR = OPERATOR(leadscore.~~*),
	RESTRICT = matchingsel, JOIN = matchingjoinsel
);
COMMENT ON OPERATOR leadscore.!~~* (leadscore.lead_stage, text) IS 'label does not match LIKE expression, case-insensitive';

CREATE FUNCTION leadscore.lower(leadscore.lead_stage) RETURNS text
	AS 'MODULE_PATHNAME', 'lead_stage_to_text'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.lower(leadscore.lead_stage) IS 'label of a stage in lower case';

CREATE FUNCTION leadscore.upper(leadscore.lead_stage) RETURNS text
	AS 'MODULE_PATHNAME', 'lead_stage_upper'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.upper(leadscore.lead_stage) IS 'label of a stage in upper case';

-- What a stage tells

CREATE FUNCTION leadscore.stage_title(leadscore.lead_stage) RETURNS text
	AS 'MODULE_PATHNAME', 'lead_stage_title'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.stage_title(leadscore.lead_stage) IS 'name of a stage as people write it: Marketing Qualified Lead';

CREATE FUNCTION leadscore.stage_rank(leadscore.lead_stage) RETURNS int
	AS 'MODULE_PATHNAME', 'lead_stage_rank'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.stage_rank(leadscore.lead_stage) IS 'number that sorts like the stages: 10 disqualified to 100 advocate';

CREATE FUNCTION leadscore.stage_label(leadscore.lead_stage) RETURNS text
	AS 'MODULE_PATHNAME', 'lead_stage_sort_label'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.stage_label(leadscore.lead_stage) IS 'label that also sorts right alphabetically: 06 mql';

CREATE FUNCTION leadscore.funnel_position(leadscore.lead_stage) RETURNS text
	AS 'MODULE_PATHNAME', 'lead_stage_funnel_position'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.funnel_position(leadscore.lead_stage) IS 'TOFU for iql, MOFU for mql, BOFU for sql, else NULL';

CREATE FUNCTION leadscore.temperature(leadscore.lead_stage) RETURNS text
	AS 'MODULE_PATHNAME', 'lead_stage_temperature'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.temperature(leadscore.lead_stage) IS 'cold for iql, warm for mql, hot for sql, else NULL';

CREATE FUNCTION leadscore.is_open(leadscore.lead_stage) RETURNS boolean
	AS 'MODULE_PATHNAME', 'lead_stage_is_open'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.is_open(leadscore.lead_stage) IS 'is the lead in work (visitor to prospect), neither out nor won?';

-- Not STRICT: without arguments it means nothing, and it would keep the
-- function from being inlined.
CREATE FUNCTION leadscore.stages()
	RETURNS TABLE (stage leadscore.lead_stage, stage_rank int, stage_label text, stage_title text)
	LANGUAGE sql IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE ROWS 10
BEGIN ATOMIC
	SELECT s.stage,
		   leadscore.stage_rank(s.stage),
		   leadscore.stage_label(s.stage),
		   leadscore.stage_title(s.stage)
	FROM (VALUES ('disqualified'::leadscore.lead_stage), ('lost'), ('recycled'), ('visitor'), ('iql'),
				 ('mql'), ('sql'), ('prospect'), ('customer'), ('advocate')) AS s(stage);
END;
COMMENT ON FUNCTION leadscore.stages() IS 'all stages, in order';
/* lead_activity: the multiset of (signal, bucket) that a lead's score is a function of */

CREATE TYPE leadscore.lead_activity;

CREATE FUNCTION leadscore.lead_activity_in(cstring) RETURNS leadscore.lead_activity
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION leadscore.lead_activity_out(leadscore.lead_activity) RETURNS cstring
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION leadscore.lead_activity_recv(internal) RETURNS leadscore.lead_activity
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION leadscore.lead_activity_send(leadscore.lead_activity) RETURNS bytea
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';

CREATE TYPE leadscore.lead_activity (
	INPUT = leadscore.lead_activity_in,
	OUTPUT = leadscore.lead_activity_out,
	RECEIVE = leadscore.lead_activity_recv,
	SEND = leadscore.lead_activity_send,
	INTERNALLENGTH = variable,
	ALIGNMENT = int4,
	STORAGE = extended
);
COMMENT ON TYPE leadscore.lead_activity IS
	'what a lead has done and is: counts by signal and bucket (UTC day or hour, or * for what has no time), written day{7@2025-03-01:2,9@*:1}';

CREATE FUNCTION leadscore.lead_activity(signal_id int, at timestamptz, count bigint, grain interval)
	RETURNS leadscore.lead_activity
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'lead_activity_construct';
COMMENT ON FUNCTION leadscore.lead_activity(int, timestamptz, bigint, interval) IS
	'one count of a signal in the bucket of an instant (NULL: timeless); grain is 1 day or 1 hour';

CREATE FUNCTION leadscore.lead_activity_add(leadscore.lead_activity, leadscore.lead_activity)
	RETURNS leadscore.lead_activity
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION leadscore.lead_activity_subtract(leadscore.lead_activity, leadscore.lead_activity)
	RETURNS leadscore.lead_activity
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION leadscore.lead_activity_negate(leadscore.lead_activity)
	RETURNS leadscore.lead_activity
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION leadscore.lead_activity_eq(leadscore.lead_activity, leadscore.lead_activity) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION leadscore.lead_activity_ne(leadscore.lead_activity, leadscore.lead_activity) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION leadscore.lead_activity_lt(leadscore.lead_activity, leadscore.lead_activity) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION leadscore.lead_activity_le(leadscore.lead_activity, leadscore.lead_activity) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION leadscore.lead_activity_gt(leadscore.lead_activity, leadscore.lead_activity) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION leadscore.lead_activity_ge(leadscore.lead_activity, leadscore.lead_activity) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION leadscore.lead_activity_cmp(leadscore.lead_activity, leadscore.lead_activity) RETURNS int
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION leadscore.lead_activity_hash(leadscore.lead_activity) RETURNS int
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION leadscore.lead_activity_hash_extended(leadscore.lead_activity, bigint) RETURNS bigint
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';

CREATE OPERATOR leadscore.+ (
	LEFTARG = leadscore.lead_activity, RIGHTARG = leadscore.lead_activity,
	FUNCTION = leadscore.lead_activity_add, COMMUTATOR = OPERATOR(leadscore.+)
);
COMMENT ON OPERATOR leadscore.+ (leadscore.lead_activity, leadscore.lead_activity) IS
	'counts of both: merges leads, batches and partial rebuilds';
CREATE OPERATOR leadscore.- (
	LEFTARG = leadscore.lead_activity, RIGHTARG = leadscore.lead_activity,
	FUNCTION = leadscore.lead_activity_subtract
);
COMMENT ON OPERATOR leadscore.- (leadscore.lead_activity, leadscore.lead_activity) IS
	'counts of the left less those of the right';
CREATE OPERATOR leadscore.- (
	RIGHTARG = leadscore.lead_activity, FUNCTION = leadscore.lead_activity_negate
);
COMMENT ON OPERATOR leadscore.- (NONE, leadscore.lead_activity) IS
	'the activity that takes this one back';
CREATE OPERATOR leadscore.= (
	LEFTARG = leadscore.lead_activity, RIGHTARG = leadscore.lead_activity,
	FUNCTION = leadscore.lead_activity_eq, COMMUTATOR = OPERATOR(leadscore.=),
	NEGATOR = OPERATOR(leadscore.<>), RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES
);
CREATE OPERATOR leadscore.<> (
	LEFTARG = leadscore.lead_activity, RIGHTARG = leadscore.lead_activity,
	FUNCTION = leadscore.lead_activity_ne, COMMUTATOR = OPERATOR(leadscore.<>),
	NEGATOR = OPERATOR(leadscore.=), RESTRICT = neqsel, JOIN = neqjoinsel
);
CREATE OPERATOR leadscore.< (
	LEFTARG = leadscore.lead_activity, RIGHTARG = leadscore.lead_activity,
	FUNCTION = leadscore.lead_activity_lt, COMMUTATOR = OPERATOR(leadscore.>),
	NEGATOR = OPERATOR(leadscore.>=), RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
CREATE OPERATOR leadscore.<= (
	LEFTARG = leadscore.lead_activity, RIGHTARG = leadscore.lead_activity,
	FUNCTION = leadscore.lead_activity_le, COMMUTATOR = OPERATOR(leadscore.>=),
	NEGATOR = OPERATOR(leadscore.>), RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
CREATE OPERATOR leadscore.> (
	LEFTARG = leadscore.lead_activity, RIGHTARG = leadscore.lead_activity,
	FUNCTION = leadscore.lead_activity_gt, COMMUTATOR = OPERATOR(leadscore.<),
	NEGATOR = OPERATOR(leadscore.<=), RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
CREATE OPERATOR leadscore.>= (
	LEFTARG = leadscore.lead_activity, RIGHTARG = leadscore.lead_activity,
	FUNCTION = leadscore.lead_activity_ge, COMMUTATOR = OPERATOR(leadscore.<=),
	NEGATOR = OPERATOR(leadscore.<), RESTRICT = scalargesel, JOIN = scalargejoinsel
);

CREATE OPERATOR CLASS leadscore.lead_activity_ops DEFAULT FOR TYPE leadscore.lead_activity USING btree AS
	OPERATOR 1 leadscore.<, OPERATOR 2 leadscore.<=, OPERATOR 3 leadscore.=,
	OPERATOR 4 leadscore.>=, OPERATOR 5 leadscore.>,
	FUNCTION 1 leadscore.lead_activity_cmp(leadscore.lead_activity, leadscore.lead_activity),
	FUNCTION 4 pg_catalog.btequalimage(oid);
CREATE OPERATOR CLASS leadscore.lead_activity_ops DEFAULT FOR TYPE leadscore.lead_activity USING hash AS
	OPERATOR 1 leadscore.=,
	FUNCTION 1 leadscore.lead_activity_hash(leadscore.lead_activity),
	FUNCTION 2 leadscore.lead_activity_hash_extended(leadscore.lead_activity, bigint);

CREATE FUNCTION leadscore.unnest(activity leadscore.lead_activity)
	RETURNS TABLE (signal_id smallint, bucket timestamptz, count bigint)
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 30 AS 'MODULE_PATHNAME', 'lead_activity_unnest';
COMMENT ON FUNCTION leadscore.unnest(leadscore.lead_activity) IS
	'the counts as rows; bucket is its first instant (UTC), NULL for what has no time';

CREATE FUNCTION leadscore.lead_activity_agg_transfn(bytea, int, timestamptz, bigint, interval) RETURNS bytea
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION leadscore.lead_activity_sum_transfn(bytea, leadscore.lead_activity) RETURNS bytea
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION leadscore.lead_activity_combinefn(bytea, bytea) RETURNS bytea
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION leadscore.lead_activity_finalfn(bytea) RETURNS leadscore.lead_activity
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME';

CREATE AGGREGATE leadscore.lead_activity_agg(signal_id int, at timestamptz, count bigint, grain interval) (
	SFUNC = leadscore.lead_activity_agg_transfn, STYPE = bytea,
	COMBINEFUNC = leadscore.lead_activity_combinefn,
	FINALFUNC = leadscore.lead_activity_finalfn, PARALLEL = SAFE
);
COMMENT ON AGGREGATE leadscore.lead_activity_agg(int, timestamptz, bigint, interval) IS
	'builds an activity from rows of signal, instant (NULL: timeless) and count; grain is 1 day or 1 hour';
CREATE AGGREGATE leadscore.sum(leadscore.lead_activity) (
	SFUNC = leadscore.lead_activity_sum_transfn, STYPE = bytea,
	COMBINEFUNC = leadscore.lead_activity_combinefn,
	FINALFUNC = leadscore.lead_activity_finalfn, PARALLEL = SAFE
);
COMMENT ON AGGREGATE leadscore.sum(leadscore.lead_activity) IS
	'activities added up: contacts of an organization, for example';
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
CREATE OPERATOR leadscore.= (
	LEFTARG = leadscore.lead_model, RIGHTARG = leadscore.lead_model,
	FUNCTION = leadscore.lead_model_eq, COMMUTATOR = OPERATOR(leadscore.=),
	NEGATOR = OPERATOR(leadscore.<>), RESTRICT = eqsel, JOIN = eqjoinsel
);
CREATE OPERATOR leadscore.<> (
	LEFTARG = leadscore.lead_model, RIGHTARG = leadscore.lead_model,
	FUNCTION = leadscore.lead_model_ne, COMMUTATOR = OPERATOR(leadscore.<>),
	NEGATOR = OPERATOR(leadscore.=), RESTRICT = neqsel, JOIN = neqjoinsel
);
/* Scores and stages: pure functions of an activity, a model and an instant */

CREATE FUNCTION leadscore.score(activity leadscore.lead_activity, model leadscore.lead_model, at timestamptz DEFAULT now())
	RETURNS numeric
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'leadscore_score';
COMMENT ON FUNCTION leadscore.score(leadscore.lead_activity, leadscore.lead_model, timestamptz) IS
	'points of an activity under a model at an instant, exact to a thousandth';

CREATE FUNCTION leadscore.score_milli(activity leadscore.lead_activity, model leadscore.lead_model, at timestamptz DEFAULT now())
	RETURNS bigint
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'leadscore_score_milli';
COMMENT ON FUNCTION leadscore.score_milli(leadscore.lead_activity, leadscore.lead_model, timestamptz) IS
	'the score in milli-points: as exact as score and faster to sum and sort';

CREATE FUNCTION leadscore.qualified_stage(activity leadscore.lead_activity, model leadscore.lead_model, at timestamptz DEFAULT now())
	RETURNS leadscore.lead_stage
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'leadscore_qualified_stage_sql';
COMMENT ON FUNCTION leadscore.qualified_stage(leadscore.lead_activity, leadscore.lead_model, timestamptz) IS
	'the highest stage whose score and gates hold at an instant; visitor if none does';

CREATE FUNCTION leadscore.stage_by_points(activity leadscore.lead_activity, model leadscore.lead_model, at timestamptz DEFAULT now())
	RETURNS leadscore.lead_stage
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'leadscore_stage_by_activity';
COMMENT ON FUNCTION leadscore.stage_by_points(leadscore.lead_activity, leadscore.lead_model, timestamptz) IS
	'the stage that the points alone say, gates left aside';

CREATE FUNCTION leadscore.stage_by_points(points numeric, model leadscore.lead_model)
	RETURNS leadscore.lead_stage
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_stage_by_score';
COMMENT ON FUNCTION leadscore.stage_by_points(numeric, leadscore.lead_model) IS
	'the stage that a number of points alone says';

CREATE FUNCTION leadscore.next_change(activity leadscore.lead_activity, model leadscore.lead_model, at timestamptz DEFAULT now())
	RETURNS timestamptz
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50 AS 'MODULE_PATHNAME', 'leadscore_next_change';
COMMENT ON FUNCTION leadscore.next_change(leadscore.lead_activity, leadscore.lead_model, timestamptz) IS
	'the first instant after at when the qualified stage changes if nothing happens; NULL if it never does';

CREATE FUNCTION leadscore.grade(activity leadscore.lead_activity, model leadscore.lead_model, at timestamptz DEFAULT now())
	RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'leadscore_grade_text';
COMMENT ON FUNCTION leadscore.grade(leadscore.lead_activity, leadscore.lead_model, timestamptz) IS
	'the grades of the graded dimensions in their order, such as A2; NULL if there is none';

CREATE FUNCTION leadscore.dimension_scores(activity leadscore.lead_activity, model leadscore.lead_model, at timestamptz DEFAULT now())
	RETURNS TABLE (dimension text, points numeric, weight numeric, grade text)
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20 ROWS 3 AS 'MODULE_PATHNAME', 'leadscore_dimension_scores';
COMMENT ON FUNCTION leadscore.dimension_scores(leadscore.lead_activity, leadscore.lead_model, timestamptz) IS
	'points of each dimension after its limits and before its weight, and the grade they earn';

CREATE FUNCTION leadscore.explain(activity leadscore.lead_activity, model leadscore.lead_model, at timestamptz DEFAULT now())
	RETURNS TABLE (dimension text, rule text, signal text, source text, events bigint,
				   last_at timestamptz, points numeric, note text)
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50 ROWS 10 AS 'MODULE_PATHNAME', 'leadscore_explain';
COMMENT ON FUNCTION leadscore.explain(leadscore.lead_activity, leadscore.lead_model, timestamptz) IS
	'rows whose points add up to the score exactly: rules, then what limits, caps, weights and clamps change';

CREATE FUNCTION leadscore.stage_gates(activity leadscore.lead_activity, model leadscore.lead_model, at timestamptz DEFAULT now())
	RETURNS TABLE (stage leadscore.lead_stage, gate text, met boolean, missing text)
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50 ROWS 10 AS 'MODULE_PATHNAME', 'leadscore_stage_gates';
COMMENT ON FUNCTION leadscore.stage_gates(leadscore.lead_activity, leadscore.lead_model, timestamptz) IS
	'what each stage asks for, whether it is met, and what is missing; the gate named score is the threshold';
/* leadscore: helpers of the views of pipelines */

-- As immutable as timezone(), which looks things up in the same files.
CREATE FUNCTION leadscore.month_start(at timestamptz, time_zone text) RETURNS date
	AS 'MODULE_PATHNAME', 'leadscore_month_start'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.month_start(timestamptz, text) IS
	'first day of the month in which an instant falls in a time zone, fast; NULL for infinity';

-- The planner computes it beforehand, for its statistics.
CREATE FUNCTION leadscore.kinds_of(event_kind regclass, VARIADIC roles text[]) RETURNS text[]
	AS 'MODULE_PATHNAME', 'leadscore_kinds_of'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.kinds_of(regclass, text[]) IS
	'kinds of events that have one of the roles, by a pipeline''s table event_kind; {} if there are none';

CREATE FUNCTION leadscore.require_time_zone(time_zone text) RETURNS text
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM pg_catalog.timezone(time_zone, timestamptz '2000-01-01 00:00+00');
	RETURN time_zone;
EXCEPTION
	WHEN invalid_parameter_value THEN
		RAISE EXCEPTION 'time zone "%" not recognized', time_zone
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Pass a name from pg_timezone_names, such as UTC, Europe/Berlin or America/New_York.';
END
$$;
COMMENT ON FUNCTION leadscore.require_time_zone(text) IS
	'the time zone, or an error that says which ones there are';

CREATE FUNCTION leadscore.require_range("from" date, "to" date) RETURNS boolean
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF "from" IS NULL OR "to" IS NULL THEN
		RAISE EXCEPTION '% must not be null', CASE WHEN "from" IS NULL THEN 'from' ELSE 'to' END
			USING ERRCODE = 'null_value_not_allowed',
				HINT = 'Pass the first and the last day, such as ''2025-01-01'' and ''2025-03-31''.';
	END IF;
	IF NOT pg_catalog.isfinite("from") OR NOT pg_catalog.isfinite("to") THEN
		RAISE EXCEPTION '% must be a day, not infinity', CASE WHEN pg_catalog.isfinite("from") THEN 'to' ELSE 'from' END
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Pass the first and the last day, such as ''2025-01-01'' and ''2025-03-31''.';
	END IF;
	IF "from" > "to" THEN
		RAISE EXCEPTION 'from (%) is after to (%)', "from", "to"
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Pass the first day first. Both days are included, so from may be equal to to.';
	END IF;
	RETURN true;
END
$$;
COMMENT ON FUNCTION leadscore.require_range(date, date) IS
	'true, or an error if from is after to';

-- Not exp(sum(ln())), which fails at 0.
CREATE AGGREGATE leadscore.product(double precision) (
	SFUNC = pg_catalog.float8mul,
	STYPE = double precision,
	INITCOND = '1',
	COMBINEFUNC = pg_catalog.float8mul,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE leadscore.product(double precision) IS 'product of all values; 1 of none';

-- Wilson's interval: unlike the usual one it is right for few leads and for
-- rates near 0 and 1.
CREATE FUNCTION leadscore.rate_low(part bigint, whole bigint) RETURNS double precision
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN rate_low.part = 0 AND rate_low.whole > 0 THEN 0
		WHEN rate_low.whole > 0 THEN
			(rate_low.part + 1.920729 - 1.959964 * sqrt(rate_low.part * (rate_low.whole - rate_low.part) / rate_low.whole::double precision + 0.9603647))
			/ (rate_low.whole + 3.841459)
	END;
END;
COMMENT ON FUNCTION leadscore.rate_low(bigint, bigint) IS
	'lower end of the 95 % interval of the rate part / whole (Wilson); NULL if whole is 0';

CREATE FUNCTION leadscore.rate_high(part bigint, whole bigint) RETURNS double precision
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN rate_high.part = rate_high.whole AND rate_high.whole > 0 THEN 1
		WHEN rate_high.whole > 0 THEN
			(rate_high.part + 1.920729 + 1.959964 * sqrt(rate_high.part * (rate_high.whole - rate_high.part) / rate_high.whole::double precision + 0.9603647))
			/ (rate_high.whole + 3.841459)
	END;
END;
COMMENT ON FUNCTION leadscore.rate_high(bigint, bigint) IS
	'upper end of the 95 % interval of the rate part / whole (Wilson); NULL if whole is 0';
/* Event funnels: how far a lead got through steps, from its events */

CREATE FUNCTION leadscore.window_funnel_transfn(bytea, timestamptz, interval, text, VARIADIC boolean[]) RETURNS bytea
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_window_funnel_transfn';
COMMENT ON FUNCTION leadscore.window_funnel_transfn(bytea, timestamptz, interval, text, boolean[]) IS
	'support function of window_funnel and funnel_times: adds a row';
CREATE FUNCTION leadscore.window_funnel_except_transfn(bytea, timestamptz, interval, text, boolean, int, int, VARIADIC boolean[]) RETURNS bytea
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_window_funnel_except_transfn';
COMMENT ON FUNCTION leadscore.window_funnel_except_transfn(bytea, timestamptz, interval, text, boolean, int, int, boolean[]) IS
	'support function of window_funnel_except: adds a row';
CREATE FUNCTION leadscore.window_funnel_combinefn(bytea, bytea) RETURNS bytea
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_window_funnel_combinefn';
COMMENT ON FUNCTION leadscore.window_funnel_combinefn(bytea, bytea) IS
	'support function of the funnel aggregates: joins two states';
CREATE FUNCTION leadscore.window_funnel_finalfn(bytea) RETURNS int
	LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'leadscore_window_funnel_finalfn';
COMMENT ON FUNCTION leadscore.window_funnel_finalfn(bytea) IS
	'support function of window_funnel and window_funnel_except: the level';
CREATE FUNCTION leadscore.funnel_times_finalfn(bytea) RETURNS timestamptz[]
	LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'leadscore_funnel_times_finalfn';
COMMENT ON FUNCTION leadscore.funnel_times_finalfn(bytea) IS
	'support function of funnel_times: the times of the chain';

CREATE AGGREGATE leadscore.window_funnel(at timestamptz, within interval, mode text, VARIADIC steps boolean[]) (
	SFUNC = leadscore.window_funnel_transfn, STYPE = bytea, SSPACE = 128,
	COMBINEFUNC = leadscore.window_funnel_combinefn,
	FINALFUNC = leadscore.window_funnel_finalfn, PARALLEL = SAFE
);
COMMENT ON AGGREGATE leadscore.window_funnel(timestamptz, interval, text, boolean[]) IS
	'the largest k such that there are distinct rows e1 .. ek, row ei satisfying step i, each not before the one before, the last at most within after the first. Rows at one instant may be taken in any order; the best attempt counts; 0 if nothing satisfies step 1 (mode any: no step) or there are no rows. Mode ordered: just that; increase: each later than the one before; strict: no other row of the group between them; any: the largest number of different steps satisfied by distinct rows, in whatever order, within one window. A step that is NULL is not satisfied; a row whose time is NULL is passed over. within is fixed: days are 24 hours, months are refused';

CREATE AGGREGATE leadscore.funnel_times(at timestamptz, within interval, mode text, VARIADIC steps boolean[]) (
	SFUNC = leadscore.window_funnel_transfn, STYPE = bytea, SSPACE = 128,
	COMBINEFUNC = leadscore.window_funnel_combinefn,
	FINALFUNC = leadscore.funnel_times_finalfn, PARALLEL = SAFE
);
COMMENT ON AGGREGATE leadscore.funnel_times(timestamptz, interval, text, boolean[]) IS
	'the times of the steps that window_funnel counts, as many as it says, ascending (in mode any whatever steps they are of). Of all chains of that length it is the one that is complete first, of those the one that started last, and then every step as early as it can be. An empty array if there is none';

CREATE AGGREGATE leadscore.window_funnel_except(at timestamptz, within interval, mode text, exclude boolean, from_step int, to_step int, VARIADIC steps boolean[]) (
	SFUNC = leadscore.window_funnel_except_transfn, STYPE = bytea, SSPACE = 128,
	COMBINEFUNC = leadscore.window_funnel_combinefn,
	FINALFUNC = leadscore.window_funnel_finalfn, PARALLEL = SAFE
);
COMMENT ON AGGREGATE leadscore.window_funnel_except(timestamptz, interval, text, boolean, int, int, boolean[]) IS
	'window_funnel without what has an excluded row between two steps. All chains that begin at one instant are one attempt. A chain that got to from_step is void if an excluded row lies after its from_step and before its to_step, or, if it did not get to to_step, after its from_step and within its window; both strictly, as rows at one instant may be taken in any order. An attempt that got to from_step counts for the longest chain that got there and is not void, for nothing if all are void; the best attempt counts. Mode any allows an exclusion from the first to the last step only';
/* The engine: triggers of a pipeline, and what maintains it */

CREATE FUNCTION leadscore.settled_stage(activity leadscore.lead_activity, model leadscore.lead_model,
	stage leadscore.lead_stage, held boolean, settled_at timestamptz, at timestamptz DEFAULT now())
	RETURNS leadscore.lead_stage
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50 AS 'MODULE_PATHNAME', 'leadscore_settled_stage';
COMMENT ON FUNCTION leadscore.settled_stage(leadscore.lead_activity, leadscore.lead_model, leadscore.lead_stage, boolean, timestamptz, timestamptz) IS
	'the stage that a recorded state comes to by at through the passing of time: what the next sweep records';

CREATE FUNCTION leadscore.event_signals(event anyelement)
	RETURNS TABLE (signal_id smallint, quantity bigint)
	LANGUAGE c STABLE STRICT PARALLEL SAFE COST 10 ROWS 1 AS 'MODULE_PATHNAME', 'leadscore_event_signals';
COMMENT ON FUNCTION leadscore.event_signals(anyelement) IS
	'the signals that a row of a pipeline''s table event counts for, and how often';

CREATE FUNCTION leadscore.profile_signals(lead anyelement)
	RETURNS TABLE (signal_id smallint)
	LANGUAGE c STABLE STRICT PARALLEL SAFE COST 20 ROWS 5 AS 'MODULE_PATHNAME', 'leadscore_profile_signals';
COMMENT ON FUNCTION leadscore.profile_signals(anyelement) IS
	'the profile signals that a row of a pipeline''s table lead matches';

CREATE FUNCTION leadscore.shows_all(relation regclass) RETURNS boolean
	LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_shows_all';
COMMENT ON FUNCTION leadscore.shows_all(regclass) IS
	'whether row security leaves all rows of a table to the role that the session runs as; unlike row_security_active() also in a function that runs as somebody else';

CREATE FUNCTION leadscore.lock_pipeline(pipeline regnamespace) RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_lock_pipeline';
COMMENT ON FUNCTION leadscore.lock_pipeline(regnamespace) IS
	'makes writers of events wait until the end of the transaction; readers pass';

CREATE FUNCTION leadscore.review(pipeline regnamespace, lead_ids bigint[], at timestamptz, cause text) RETURNS bigint
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_review';
COMMENT ON FUNCTION leadscore.review(regnamespace, bigint[], timestamptz, text) IS
	'applies to these leads (NULL: all) what is due up to at; cause is decay or activation; returns the number of stage changes';

CREATE FUNCTION leadscore.rebuild(pipeline regnamespace, lead_ids bigint[], history boolean) RETURNS bigint
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_rebuild';
COMMENT ON FUNCTION leadscore.rebuild(regnamespace, bigint[], boolean) IS
	'counts these leads (NULL: all) again from the log, and replays their stage history if asked; returns the number of leads that changed';

CREATE FUNCTION leadscore.compare_leads(pipeline regnamespace, a leadscore.lead_model, b leadscore.lead_model, at timestamptz DEFAULT now())
	RETURNS TABLE (lead_id bigint, leads bigint, stage_a leadscore.lead_stage, stage_b leadscore.lead_stage,
				   score_milli_a bigint, score_milli_b bigint)
	LANGUAGE c STABLE STRICT PARALLEL UNSAFE COST 100000 ROWS 1000 AS 'MODULE_PATHNAME', 'leadscore_compare_leads';
COMMENT ON FUNCTION leadscore.compare_leads(regnamespace, leadscore.lead_model, leadscore.lead_model, timestamptz) IS
	'every lead that two models judge differently, and with lead_id NULL every pair of qualified stages with its leads and the sums of their milli-points; see compare_models() of a pipeline';

CREATE FUNCTION leadscore.event_changed() RETURNS trigger
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_event_changed';
COMMENT ON FUNCTION leadscore.event_changed() IS
	'trigger on event, AFTER INSERT, UPDATE or DELETE, for each statement, with transition tables';
CREATE FUNCTION leadscore.event_truncated() RETURNS trigger
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_event_truncated';
COMMENT ON FUNCTION leadscore.event_truncated() IS
	'trigger on event, AFTER TRUNCATE, for each statement';
CREATE FUNCTION leadscore.lead_changed() RETURNS trigger
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_lead_changed';
COMMENT ON FUNCTION leadscore.lead_changed() IS
	'trigger on lead, AFTER INSERT, UPDATE or DELETE, for each statement, with transition tables';
CREATE FUNCTION leadscore.lead_truncated() RETURNS trigger
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_lead_truncated';
COMMENT ON FUNCTION leadscore.lead_truncated() IS
	'trigger on lead, AFTER TRUNCATE, for each statement';
CREATE FUNCTION leadscore.lead_touched() RETURNS trigger
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_lead_touched';
COMMENT ON FUNCTION leadscore.lead_touched() IS
	'trigger on lead, BEFORE UPDATE, for each row: sets updated_at unless the statement does';
CREATE FUNCTION leadscore.config_changed() RETURNS trigger
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_config_changed';
COMMENT ON FUNCTION leadscore.config_changed() IS
	'trigger on configuration tables, AFTER, for each row, and for each statement on TRUNCATE';
CREATE FUNCTION leadscore.pipeline_ddl()
	RETURNS TABLE (topic text, ddl text)
	LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 10 SET search_path = pg_catalog, pg_temp
AS $pipeline_ddl_body$
VALUES
('10-tables', $pipeline_ddl$-- The tables of a pipeline.
--
-- Plain tables of whoever creates the pipeline. No schema names: what is made
-- here goes where search_path says. lead and event use no type of the
-- extension, so that they outlive it. Every table about leads has lead_id
-- first in its keys, so that it can be partitioned or distributed by it.

-- Periods are written in whole days, hours or minutes. A month has no fixed
-- number of days, so it is no period. Used by checks below.
CREATE FUNCTION period_text(period interval) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE
        WHEN extract(year FROM period_text.period) <> 0
            OR extract(month FROM period_text.period) <> 0
            OR extract(epoch FROM period_text.period) <= 0 THEN NULL
        WHEN extract(epoch FROM period_text.period) % 86400 = 0
            THEN div(extract(epoch FROM period_text.period), 86400) || ' days'
        WHEN extract(epoch FROM period_text.period) % 3600 = 0
            THEN div(extract(epoch FROM period_text.period), 3600) || ' hours'
        WHEN extract(epoch FROM period_text.period) % 60 = 0
            THEN div(extract(epoch FROM period_text.period), 60) || ' minutes'
    END;
END;
COMMENT ON FUNCTION period_text(interval) IS
    'a period in whole days, hours or minutes, whatever IntervalStyle; NULL if it is none';

-- What the pipeline is.

CREATE TABLE setting (
    id boolean NOT NULL DEFAULT true,
    layout_version integer NOT NULL DEFAULT 1,
    grain interval NOT NULL DEFAULT '1 day',
    time_zone text NOT NULL DEFAULT 'UTC',
    currency text NOT NULL DEFAULT 'EUR',
    mature_after interval NOT NULL DEFAULT '90 days',
    first_response_within interval NOT NULL DEFAULT '1 hour',
    CONSTRAINT setting_pkey PRIMARY KEY (id),
    CONSTRAINT setting_one_row CHECK (id),
    CONSTRAINT setting_grain_check CHECK (period_text(grain) IN ('1 days', '1 hours')),
    -- fails where it is written, not in every view, if there is no such zone
    CONSTRAINT setting_time_zone_check CHECK (timestamptz '2000-01-01 00:00+00' AT TIME ZONE time_zone IS NOT NULL),
    CONSTRAINT setting_currency_check CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT setting_mature_after_check CHECK (mature_after >= interval '0'),
    CONSTRAINT setting_first_response_within_check CHECK (first_response_within > interval '0')
);
COMMENT ON TABLE setting IS 'settings of this pipeline: one row';
COMMENT ON COLUMN setting.id IS 'always true: there is one row';
COMMENT ON COLUMN setting.layout_version IS 'version of the tables, raised by leadscore.upgrade_pipeline';
COMMENT ON COLUMN setting.grain IS 'width of the buckets that events are counted in, 1 day or 1 hour; fixed when the pipeline is created';
COMMENT ON COLUMN setting.time_zone IS 'time zone of the dates in the views';
COMMENT ON COLUMN setting.currency IS 'currency of all amounts, ISO 4217';
COMMENT ON COLUMN setting.mature_after IS 'a lead this old is expected to have converted if it ever does';
COMMENT ON COLUMN setting.first_response_within IS 'the time in which a new enquiry should be answered';

-- Leads and what they do.

CREATE TABLE lead (
    lead_id bigserial,
    external_id text,
    kind text NOT NULL DEFAULT 'person',
    email text,
    organization text,
    market text,
    country text,
    channel text,
    campaign text,
    owner text,
    persona text,
    profile jsonb NOT NULL DEFAULT '{}',
    consented_at timestamptz,
    contact_allowed boolean,
    referred_by bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT lead_pkey PRIMARY KEY (lead_id),
    CONSTRAINT lead_external_id_key UNIQUE (external_id),
    CONSTRAINT lead_kind_check CHECK (kind IN ('person', 'organization')),
    CONSTRAINT lead_market_check CHECK (market IN ('b2b', 'b2c')),
    CONSTRAINT lead_profile_check CHECK (jsonb_typeof(profile) = 'object')
);
COMMENT ON TABLE lead IS 'everybody who left contact data, or may yet: one row each';
COMMENT ON COLUMN lead.lead_id IS 'number of the lead, never reused';
COMMENT ON COLUMN lead.external_id IS 'name of the lead in the app that sends the events';
COMMENT ON COLUMN lead.kind IS 'person or organization';
COMMENT ON COLUMN lead.email IS 'e-mail address; personal data, in no view';
COMMENT ON COLUMN lead.organization IS 'organization that the person belongs to; contacts of one organization add up in account_score';
COMMENT ON COLUMN lead.market IS 'b2b or b2c';
COMMENT ON COLUMN lead.country IS 'country, best as ISO 3166 code';
COMMENT ON COLUMN lead.channel IS 'channel that the lead came by';
COMMENT ON COLUMN lead.campaign IS 'campaign that the lead came by';
COMMENT ON COLUMN lead.owner IS 'who looks after the lead';
COMMENT ON COLUMN lead.persona IS 'buyer persona that the lead stands for';
COMMENT ON COLUMN lead.profile IS 'what else is known about the lead; profile signals are conditions on it. Personal data, in no view';
COMMENT ON COLUMN lead.consented_at IS 'when the data protection policy was accepted; NULL: not accepted, or taken back';
COMMENT ON COLUMN lead.contact_allowed IS 'whether messages may be sent; NULL: not asked';
COMMENT ON COLUMN lead.referred_by IS 'lead_id of the lead that recommended us';
COMMENT ON COLUMN lead.created_at IS 'when the lead was first heard of';
COMMENT ON COLUMN lead.updated_at IS 'time of the last change of this row';

-- No foreign key to lead: it would more than halve the rate of inserts. The
-- statement that counts an event checks that the lead is there.
CREATE TABLE event (
    lead_id bigint NOT NULL,
    event_id bigserial,
    kind text NOT NULL,
    occurred_at timestamptz NOT NULL DEFAULT now(),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    value numeric,
    channel text,
    campaign text,
    properties jsonb,
    source_id text,
    CONSTRAINT event_pkey PRIMARY KEY (lead_id, event_id)
);
CREATE UNIQUE INDEX event_source_id_key ON event (lead_id, source_id) WHERE source_id IS NOT NULL;
COMMENT ON TABLE event IS 'everything that happened to leads: one row each; insert here and score and stage are right at commit';
COMMENT ON COLUMN event.lead_id IS 'the lead that did it, or that it was done to';
COMMENT ON COLUMN event.event_id IS 'number of the event; not an order in time';
COMMENT ON COLUMN event.kind IS 'what happened, see event_kind; other kinds are kept and count for nothing';
COMMENT ON COLUMN event.occurred_at IS 'when it happened';
COMMENT ON COLUMN event.recorded_at IS 'when it was recorded here';
COMMENT ON COLUMN event.value IS 'amount of a purchase, number of points, or the like';
COMMENT ON COLUMN event.channel IS 'channel that it came by';
COMMENT ON COLUMN event.campaign IS 'campaign that it came by';
COMMENT ON COLUMN event.properties IS 'what else is known about it; signals are conditions on it';
COMMENT ON COLUMN event.source_id IS 'name of the event where it comes from; a second one of the same name for the same lead is refused';

-- How events and profiles are classified.

CREATE TABLE signal (
    signal text,
    signal_id smallserial,
    source text NOT NULL DEFAULT 'event',
    event_kinds text[],
    condition jsonpath,
    quantity jsonpath,
    note text,
    CONSTRAINT signal_pkey PRIMARY KEY (signal),
    CONSTRAINT signal_signal_id_key UNIQUE (signal_id),
    CONSTRAINT signal_signal_check CHECK (signal <> ''),
    CONSTRAINT signal_signal_id_check CHECK (signal_id >= 0),
    CONSTRAINT signal_source_check CHECK (source IN ('event', 'profile')),
    CONSTRAINT signal_profile_check CHECK (source = 'event'
        OR (condition IS NOT NULL AND event_kinds IS NULL AND quantity IS NULL)),
    -- no kind at all: counted by the engine, not by events
    CONSTRAINT signal_event_kinds_check CHECK (array_position(event_kinds, NULL) IS NULL
        AND (cardinality(event_kinds) > 0 OR signal_id = 0))
);
COMMENT ON TABLE signal IS 'what events and profiles are classified as when they are written; models give points to signals';
COMMENT ON COLUMN signal.signal IS 'name of the signal';
COMMENT ON COLUMN signal.signal_id IS 'number of the signal in lead_state.activity; never change or reuse it';
COMMENT ON COLUMN signal.source IS 'event: counted for every event that matches; profile: present while the lead''s profile matches';
COMMENT ON COLUMN signal.event_kinds IS 'kinds of events that match; NULL: any kind';
COMMENT ON COLUMN signal.condition IS 'what must hold besides, on event.properties or lead.profile; columns and value lists are variables, as in $value > 100';
COMMENT ON COLUMN signal.quantity IS 'how often an event counts, a number; NULL: once';
COMMENT ON COLUMN signal.note IS 'what it is for';

CREATE TABLE value_list (
    list text,
    item text,
    CONSTRAINT value_list_pkey PRIMARY KEY (list, item),
    CONSTRAINT value_list_list_check CHECK (list ~ '^[A-Za-z_][A-Za-z0-9_]*$')
);
COMMENT ON TABLE value_list IS 'lists for the conditions of signals: the list competitors is the variable $competitors';
COMMENT ON COLUMN value_list.list IS 'name of the list';
COMMENT ON COLUMN value_list.item IS 'one item of the list';

-- Models: what signals are worth, and what makes a stage. Numbers have at
-- most three decimals, so that scores are exact.

CREATE TABLE model (
    model text,
    status text NOT NULL DEFAULT 'draft',
    min_score numeric,
    max_score numeric,
    gates_required boolean NOT NULL DEFAULT true,
    allow_demotion boolean NOT NULL DEFAULT false,
    demotion_margin numeric NOT NULL DEFAULT 0,
    note text,
    compiled lead_model,
    created_by text NOT NULL DEFAULT session_user,
    created_at timestamptz NOT NULL DEFAULT now(),
    activated_by text,
    activated_at timestamptz,
    CONSTRAINT model_pkey PRIMARY KEY (model),
    CONSTRAINT model_model_check CHECK (model <> ''),
    CONSTRAINT model_status_check CHECK (status IN ('draft', 'active', 'retired')),
    CONSTRAINT model_active_check CHECK (status = 'draft'
        OR (compiled IS NOT NULL AND activated_by IS NOT NULL AND activated_at IS NOT NULL)),
    CONSTRAINT model_min_score_check CHECK (abs(min_score) <= 1e9 AND min_score = round(min_score, 3)),
    CONSTRAINT model_max_score_check CHECK (abs(max_score) <= 1e9 AND max_score = round(max_score, 3) AND max_score >= min_score),
    CONSTRAINT model_demotion_margin_check CHECK (demotion_margin >= 0 AND demotion_margin <= 1e9 AND demotion_margin = round(demotion_margin, 3))
);
CREATE UNIQUE INDEX model_one_active_key ON model (status) WHERE status = 'active';
COMMENT ON TABLE model IS 'scoring models; a draft can be edited, the active one scores, a retired one explains the past';
COMMENT ON COLUMN model.model IS 'name of the model';
COMMENT ON COLUMN model.status IS 'draft, active (one) or retired; set by activate_model()';
COMMENT ON COLUMN model.min_score IS 'no score is lower; NULL: no limit';
COMMENT ON COLUMN model.max_score IS 'no score is higher; NULL: no limit';
COMMENT ON COLUMN model.gates_required IS 'false: points alone make an mql or sql; gates of iql always hold';
COMMENT ON COLUMN model.allow_demotion IS 'whether an iql, mql or sql falls back when its points do';
COMMENT ON COLUMN model.demotion_margin IS 'points below the threshold before it does';
COMMENT ON COLUMN model.note IS 'what it is for';
COMMENT ON COLUMN model.compiled IS 'the model as it was activated; model::text exports it';
COMMENT ON COLUMN model.created_by IS 'who created it';
COMMENT ON COLUMN model.created_at IS 'when it was created';
COMMENT ON COLUMN model.activated_by IS 'who activated it last';
COMMENT ON COLUMN model.activated_at IS 'when it was activated last';

CREATE TABLE model_activation (
    activation_id bigserial,
    model text NOT NULL,
    activated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT model_activation_pkey PRIMARY KEY (activation_id),
    CONSTRAINT model_activation_model_fkey FOREIGN KEY (model) REFERENCES model
);
COMMENT ON TABLE model_activation IS 'which model was active since when; append-only, so that the history of stages can be replayed';
COMMENT ON COLUMN model_activation.activation_id IS 'order of the activations';
COMMENT ON COLUMN model_activation.model IS 'the model that became active';
COMMENT ON COLUMN model_activation.activated_at IS 'since when; what happened before the first activation is judged by the first model';

CREATE TABLE dimension (
    model text,
    dimension text,
    position integer NOT NULL DEFAULT 1,
    min_points numeric,
    max_points numeric,
    weight numeric NOT NULL DEFAULT 1,
    reset_signals text[] NOT NULL DEFAULT '{}',
    CONSTRAINT dimension_pkey PRIMARY KEY (model, dimension),
    CONSTRAINT dimension_model_fkey FOREIGN KEY (model) REFERENCES model ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT dimension_dimension_check CHECK (dimension <> ''),
    CONSTRAINT dimension_min_points_check CHECK (abs(min_points) <= 1e9 AND min_points = round(min_points, 3)),
    CONSTRAINT dimension_max_points_check CHECK (abs(max_points) <= 1e9 AND max_points = round(max_points, 3) AND max_points >= min_points),
    CONSTRAINT dimension_weight_check CHECK (abs(weight) <= 1e6 AND weight = round(weight, 3)),
    CONSTRAINT dimension_reset_signals_check CHECK (array_position(reset_signals, NULL) IS NULL)
);
COMMENT ON TABLE dimension IS 'what a model measures apart, such as engagement and fit; the score is their weighted sum';
COMMENT ON COLUMN dimension.model IS 'the model';
COMMENT ON COLUMN dimension.dimension IS 'name of the dimension';
COMMENT ON COLUMN dimension.position IS 'place in lists and in grades such as A1';
COMMENT ON COLUMN dimension.min_points IS 'it never has fewer points; NULL: no limit';
COMMENT ON COLUMN dimension.max_points IS 'it never has more points; NULL: no limit';
COMMENT ON COLUMN dimension.weight IS 'factor in the score; 0: shown, but not in the score';
COMMENT ON COLUMN dimension.reset_signals IS 'only what came after the last of these counts';

CREATE TABLE rule (
    model text,
    rule text,
    dimension text NOT NULL,
    signal text NOT NULL,
    points numeric,
    aggregate text NOT NULL DEFAULT 'sum',
    first_n integer,
    tiers jsonb,
    within interval,
    after interval,
    repeat boolean NOT NULL DEFAULT false,
    limit_count integer,
    limit_period text,
    decay text NOT NULL DEFAULT 'none',
    decay_period interval,
    decay_percent numeric,
    max_points numeric,
    only_if text[] NOT NULL DEFAULT '{}',
    unless text[] NOT NULL DEFAULT '{}',
    note text,
    CONSTRAINT rule_pkey PRIMARY KEY (model, rule),
    CONSTRAINT rule_model_fkey FOREIGN KEY (model) REFERENCES model ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT rule_dimension_fkey FOREIGN KEY (model, dimension) REFERENCES dimension ON UPDATE CASCADE,
    CONSTRAINT rule_signal_fkey FOREIGN KEY (signal) REFERENCES signal,
    CONSTRAINT rule_rule_check CHECK (rule <> ''),
    CONSTRAINT rule_points_check CHECK (abs(points) <= 1e9 AND points = round(points, 3) AND (points IS NOT NULL OR aggregate = 'tier')),
    CONSTRAINT rule_aggregate_check CHECK (aggregate IN ('sum', 'last', 'first_n', 'days', 'tier', 'idle')),
    CONSTRAINT rule_first_n_check CHECK ((aggregate = 'first_n') = (first_n IS NOT NULL) AND first_n > 0),
    CONSTRAINT rule_tiers_check CHECK ((aggregate = 'tier') = (tiers IS NOT NULL) AND jsonb_typeof(tiers) = 'object'),
    CONSTRAINT rule_within_check CHECK (within IS NULL OR (aggregate = 'tier' AND period_text(within) ~ '(days|hours)$')),
    CONSTRAINT rule_after_check CHECK (CASE aggregate WHEN 'idle' THEN period_text(after) ~ '(days|hours)$' ELSE after IS NULL END IS TRUE),
    CONSTRAINT rule_repeat_check CHECK (aggregate = 'idle' OR NOT repeat),
    CONSTRAINT rule_limit_check CHECK ((limit_count IS NULL) = (limit_period IS NULL) AND (limit_count IS NULL OR aggregate <> 'idle')),
    CONSTRAINT rule_limit_count_check CHECK (limit_count > 0),
    CONSTRAINT rule_limit_period_check CHECK (limit_period IN ('day', 'week', 'month', 'quarter', 'year', 'ever')),
    CONSTRAINT rule_decay_check CHECK (decay IN ('none', 'half_life', 'linear', 'step', 'window')
        AND (decay = 'none' OR aggregate NOT IN ('tier', 'idle'))),
    CONSTRAINT rule_decay_period_check CHECK (CASE decay WHEN 'none' THEN decay_period IS NULL
        ELSE period_text(decay_period) ~ '(days|hours)$' END IS TRUE),
    CONSTRAINT rule_decay_percent_check CHECK (CASE decay WHEN 'step' THEN decay_percent IS NOT NULL
        WHEN 'linear' THEN true ELSE decay_percent IS NULL END
        AND decay_percent > 0 AND decay_percent <= 100 AND decay_percent = round(decay_percent, 3)),
    CONSTRAINT rule_max_points_check CHECK (abs(max_points) <= 1e9 AND max_points = round(max_points, 3) AND max_points * points >= 0),
    CONSTRAINT rule_only_if_check CHECK (array_position(only_if, NULL) IS NULL),
    CONSTRAINT rule_unless_check CHECK (array_position(unless, NULL) IS NULL)
);
COMMENT ON TABLE rule IS 'points of a model for a signal';
COMMENT ON COLUMN rule.model IS 'the model';
COMMENT ON COLUMN rule.rule IS 'name of the rule, as explain() shows it';
COMMENT ON COLUMN rule.dimension IS 'dimension that the points go to';
COMMENT ON COLUMN rule.signal IS 'signal that the points are for';
COMMENT ON COLUMN rule.points IS 'points, positive or negative, for each count, or for what aggregate makes of the counts';
COMMENT ON COLUMN rule.aggregate IS 'sum: every count; last: the newest; first_n: the first ones; days: every day; tier: points by number; idle: quiet times';
COMMENT ON COLUMN rule.first_n IS 'for aggregate first_n: how many counts';
COMMENT ON COLUMN rule.tiers IS 'for aggregate tier: points by number reached, as in {"3": 5, "10": 15}';
COMMENT ON COLUMN rule.within IS 'for aggregate tier: only counts younger than this; NULL: all';
COMMENT ON COLUMN rule.after IS 'for aggregate idle: the time without the signal';
COMMENT ON COLUMN rule.repeat IS 'for aggregate idle: again each time it has passed';
COMMENT ON COLUMN rule.limit_count IS 'at most this many counts in limit_period, the earliest ones';
COMMENT ON COLUMN rule.limit_period IS 'day, week, month, quarter, year (UTC calendar) or ever';
COMMENT ON COLUMN rule.decay IS 'how points fade: none, half_life, linear, step or window';
COMMENT ON COLUMN rule.decay_period IS 'time in which they halve, lose decay_percent, or end';
COMMENT ON COLUMN rule.decay_percent IS 'for decay linear (100 if NULL) and step: percent lost in decay_period';
COMMENT ON COLUMN rule.max_points IS 'at most this many points in all, of the same sign as points; NULL: no limit';
COMMENT ON COLUMN rule.only_if IS 'signals that must all be present';
COMMENT ON COLUMN rule.unless IS 'signals of which none may be present';
COMMENT ON COLUMN rule.note IS 'what it is for';

CREATE TABLE stage_rule (
    model text,
    stage lead_stage,
    only_if text DEFAULT '',
    min_score numeric,
    entry_signals text[] NOT NULL DEFAULT '{}',
    sla interval,
    note text,
    CONSTRAINT stage_rule_pkey PRIMARY KEY (model, stage, only_if),
    CONSTRAINT stage_rule_model_fkey FOREIGN KEY (model) REFERENCES model ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT stage_rule_min_score_check CHECK (abs(min_score) <= 1e9 AND min_score = round(min_score, 3)),
    CONSTRAINT stage_rule_entry_signals_check CHECK (array_position(entry_signals, NULL) IS NULL),
    CONSTRAINT stage_rule_sla_check CHECK (sla IS NULL OR period_text(sla) IS NOT NULL)
);
COMMENT ON TABLE stage_rule IS 'what makes a stage: points, gates (see stage_gate) or a milestone';
COMMENT ON COLUMN stage_rule.model IS 'the model';
COMMENT ON COLUMN stage_rule.stage IS 'the stage';
COMMENT ON COLUMN stage_rule.only_if IS 'profile signal that this row is for, say B2C; empty: everybody else';
COMMENT ON COLUMN stage_rule.min_score IS 'score needed; NULL: gates alone decide, or milestones';
COMMENT ON COLUMN stage_rule.entry_signals IS 'milestones: one of these puts a lead into the stage';
COMMENT ON COLUMN stage_rule.sla IS 'time in which a lead in this stage should be contacted';
COMMENT ON COLUMN stage_rule.note IS 'what it is for';

CREATE TABLE stage_gate (
    gate_id bigserial,
    model text NOT NULL,
    stage lead_stage NOT NULL,
    gate text NOT NULL,
    signal text,
    dimension text,
    min_count bigint,
    min_points numeric,
    within interval,
    negate boolean NOT NULL DEFAULT false,
    CONSTRAINT stage_gate_pkey PRIMARY KEY (gate_id),
    CONSTRAINT stage_gate_alternative_key UNIQUE NULLS NOT DISTINCT
        (model, stage, gate, signal, dimension, min_count, min_points, within, negate),
    CONSTRAINT stage_gate_model_fkey FOREIGN KEY (model) REFERENCES model ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT stage_gate_signal_fkey FOREIGN KEY (signal) REFERENCES signal,
    CONSTRAINT stage_gate_dimension_fkey FOREIGN KEY (model, dimension) REFERENCES dimension ON UPDATE CASCADE,
    CONSTRAINT stage_gate_gate_check CHECK (gate <> ''),
    CONSTRAINT stage_gate_kind_check CHECK (num_nonnulls(signal, dimension) = 1
        AND (dimension IS NULL) = (min_points IS NULL)
        AND (signal IS NOT NULL OR (min_count IS NULL AND within IS NULL))),
    CONSTRAINT stage_gate_min_count_check CHECK (min_count > 0),
    CONSTRAINT stage_gate_min_points_check CHECK (abs(min_points) <= 1e9 AND min_points = round(min_points, 3)),
    CONSTRAINT stage_gate_within_check CHECK (within IS NULL OR period_text(within) ~ '(days|hours)$')
);
COMMENT ON TABLE stage_gate IS 'what a stage needs besides points; rows with one gate name are alternatives, different gates must all hold';
COMMENT ON COLUMN stage_gate.gate_id IS 'number of the row';
COMMENT ON COLUMN stage_gate.model IS 'the model';
COMMENT ON COLUMN stage_gate.stage IS 'the stage';
COMMENT ON COLUMN stage_gate.gate IS 'name of the gate, as next_steps() shows it';
COMMENT ON COLUMN stage_gate.signal IS 'signal that must be there';
COMMENT ON COLUMN stage_gate.dimension IS 'or dimension that must have points';
COMMENT ON COLUMN stage_gate.min_count IS 'how often the signal must be there; NULL: once';
COMMENT ON COLUMN stage_gate.min_points IS 'how many points the dimension must have';
COMMENT ON COLUMN stage_gate.within IS 'only signals younger than this; NULL: all';
COMMENT ON COLUMN stage_gate.negate IS 'true: it must not be so';

CREATE TABLE grade (
    model text,
    dimension text,
    grade text,
    min_points numeric NOT NULL,
    CONSTRAINT grade_pkey PRIMARY KEY (model, dimension, grade),
    CONSTRAINT grade_min_points_key UNIQUE (model, dimension, min_points),
    CONSTRAINT grade_dimension_fkey FOREIGN KEY (model, dimension) REFERENCES dimension ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT grade_grade_check CHECK (grade <> ''),
    CONSTRAINT grade_min_points_check CHECK (abs(min_points) <= 1e9 AND min_points = round(min_points, 3))
);
COMMENT ON TABLE grade IS 'grades of a dimension, such as A to D for fit';
COMMENT ON COLUMN grade.model IS 'the model';
COMMENT ON COLUMN grade.dimension IS 'the dimension';
COMMENT ON COLUMN grade.grade IS 'the grade';
COMMENT ON COLUMN grade.min_points IS 'points from which it is given';

-- What the engine keeps. Written by its triggers only, which also follow when
-- a lead is deleted: foreign keys would cost a check for every event.

CREATE TABLE lead_state (
    -- what seldom changes first: WAL of an update leaves out the common start
    lead_id bigint,
    stage_since timestamptz NOT NULL,
    next_review_at timestamptz,
    cycle integer NOT NULL,
    stage lead_stage NOT NULL,
    held boolean NOT NULL,
    settled_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    activity lead_activity NOT NULL,
    baseline lead_activity,
    CONSTRAINT lead_state_pkey PRIMARY KEY (lead_id)
) WITH (fillfactor = 70);
-- An event changes no indexed column unless the stage moves: the update is HOT.
CREATE INDEX lead_state_stage_idx ON lead_state (stage);
CREATE INDEX lead_state_next_review_at_idx ON lead_state (next_review_at) WHERE next_review_at IS NOT NULL;
COMMENT ON TABLE lead_state IS 'what a lead''s score and stage are computed from; kept by the engine, see verify() and rebuild()';
COMMENT ON COLUMN lead_state.lead_id IS 'the lead';
COMMENT ON COLUMN lead_state.activity IS 'how often each signal was seen, by day or hour';
COMMENT ON COLUMN lead_state.baseline IS 'the part of activity whose events were purged from the log';
COMMENT ON COLUMN lead_state.stage IS 'the stage';
COMMENT ON COLUMN lead_state.stage_since IS 'when the stage began, in event time';
COMMENT ON COLUMN lead_state.cycle IS 'number of the run through the funnel; a new one begins when a lost or recycled lead comes back';
COMMENT ON COLUMN lead_state.held IS 'true after an exit or a step back: points promote again only after another event';
COMMENT ON COLUMN lead_state.settled_at IS 'event time up to which the history of stages is settled';
COMMENT ON COLUMN lead_state.next_review_at IS 'when the stage may change though nothing happens; sweep() looks then';
COMMENT ON COLUMN lead_state.updated_at IS 'time of the last change of this row';

CREATE TABLE stage_history (
    lead_id bigint,
    seq integer,
    cycle integer NOT NULL,
    from_stage lead_stage,
    to_stage lead_stage NOT NULL,
    effective_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    cause text NOT NULL,
    model text,
    score numeric,
    CONSTRAINT stage_history_pkey PRIMARY KEY (lead_id, seq)
);
COMMENT ON TABLE stage_history IS 'every stage that a lead was in; append-only, written by the engine';
COMMENT ON COLUMN stage_history.lead_id IS 'the lead';
COMMENT ON COLUMN stage_history.seq IS 'number of the change of this lead';
COMMENT ON COLUMN stage_history.cycle IS 'number of the run through the funnel';
COMMENT ON COLUMN stage_history.from_stage IS 'the stage before; NULL: the lead was new';
COMMENT ON COLUMN stage_history.to_stage IS 'the stage from then on';
COMMENT ON COLUMN stage_history.effective_at IS 'when it began, in event time';
COMMENT ON COLUMN stage_history.recorded_at IS 'when it was recorded';
COMMENT ON COLUMN stage_history.cause IS 'created, points, decay, milestone, set, profile, activation or rebuild';
COMMENT ON COLUMN stage_history.model IS 'the model that decided';
COMMENT ON COLUMN stage_history.score IS 'the score at that time';

CREATE TABLE profile_change (
    lead_id bigint,
    seq integer,
    signal text NOT NULL,
    count smallint NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT profile_change_pkey PRIMARY KEY (lead_id, seq),
    CONSTRAINT profile_change_count_check CHECK (count IN (-1, 1))
);
COMMENT ON TABLE profile_change IS 'when a profile began or ceased to match a signal; append-only, so that the history of stages can be replayed';
COMMENT ON COLUMN profile_change.lead_id IS 'the lead';
COMMENT ON COLUMN profile_change.seq IS 'number of the change of this lead';
COMMENT ON COLUMN profile_change.signal IS 'the profile signal';
COMMENT ON COLUMN profile_change.count IS '1: began to match, -1: ceased to match';
COMMENT ON COLUMN profile_change.changed_at IS 'when, in event time';

-- What the metrics views look things up in. No foreign keys from leads and
-- events: an unknown kind or channel must not stop an app.

CREATE TABLE event_kind (
    kind text,
    role text NOT NULL,
    note text,
    CONSTRAINT event_kind_pkey PRIMARY KEY (kind)
);
COMMENT ON TABLE event_kind IS 'kinds of events that are known, and what the metrics views take them for';
COMMENT ON COLUMN event_kind.kind IS 'the kind';
COMMENT ON COLUMN event_kind.role IS 'what the metrics views take it for: visit, form_view, form_submit, capture, email_open, outreach, sales_contact, purchase ...';
COMMENT ON COLUMN event_kind.note IS 'what it means, and its properties';

CREATE TABLE channel (
    channel text,
    direction text,
    CONSTRAINT channel_pkey PRIMARY KEY (channel),
    CONSTRAINT channel_direction_check CHECK (direction IN ('inbound', 'outbound'))
);
COMMENT ON TABLE channel IS 'ways that leads come by';
COMMENT ON COLUMN channel.channel IS 'the channel';
COMMENT ON COLUMN channel.direction IS 'inbound: they find us; outbound: we go to them';

CREATE TABLE campaign (
    campaign text,
    channel text,
    direction text,
    sourcing text,
    CONSTRAINT campaign_pkey PRIMARY KEY (campaign),
    CONSTRAINT campaign_channel_fkey FOREIGN KEY (channel) REFERENCES channel ON UPDATE CASCADE,
    CONSTRAINT campaign_direction_check CHECK (direction IN ('inbound', 'outbound')),
    CONSTRAINT campaign_sourcing_check CHECK (sourcing IN ('internal', 'outsourced'))
);
COMMENT ON TABLE campaign IS 'campaigns';
COMMENT ON COLUMN campaign.campaign IS 'the campaign';
COMMENT ON COLUMN campaign.channel IS 'its channel';
COMMENT ON COLUMN campaign.direction IS 'inbound or outbound, if other than its channel; e-mail may be both';
COMMENT ON COLUMN campaign.sourcing IS 'internal or outsourced: who generates the leads';

CREATE TABLE cost (
    cost_id bigserial,
    day_from date NOT NULL,
    day_to date NOT NULL,
    channel text,
    campaign text,
    category text,
    amount numeric(14,2) NOT NULL,
    CONSTRAINT cost_pkey PRIMARY KEY (cost_id),
    CONSTRAINT cost_channel_fkey FOREIGN KEY (channel) REFERENCES channel ON UPDATE CASCADE,
    CONSTRAINT cost_campaign_fkey FOREIGN KEY (campaign) REFERENCES campaign ON UPDATE CASCADE,
    CONSTRAINT cost_day_check CHECK (isfinite(day_from) AND isfinite(day_to) AND day_to >= day_from),
    CONSTRAINT cost_amount_check CHECK (amount <> 'NaN')
);
COMMENT ON TABLE cost IS 'what marketing and sales cost';
COMMENT ON COLUMN cost.cost_id IS 'number of the cost';
COMMENT ON COLUMN cost.day_from IS 'first day that it is for';
COMMENT ON COLUMN cost.day_to IS 'last day that it is for';
COMMENT ON COLUMN cost.channel IS 'channel that it is for; NULL: see campaign, or all';
COMMENT ON COLUMN cost.campaign IS 'campaign that it is for; NULL: all';
COMMENT ON COLUMN cost.category IS 'what it was spent on: media, wages, technology, training ...';
COMMENT ON COLUMN cost.amount IS 'amount in the currency of the pipeline';

CREATE TABLE benchmark (
    metric text,
    segment text DEFAULT 'all',
    low double precision,
    high double precision,
    denominator text,
    source text,
    CONSTRAINT benchmark_pkey PRIMARY KEY (metric, segment),
    CONSTRAINT benchmark_range_check CHECK (high >= low)
);
COMMENT ON TABLE benchmark IS 'goals that the metrics views compare with; goals, not laws: edit them';
COMMENT ON COLUMN benchmark.metric IS 'what is measured';
COMMENT ON COLUMN benchmark.segment IS 'for whom; all: everybody';
COMMENT ON COLUMN benchmark.low IS 'lower end of the goal';
COMMENT ON COLUMN benchmark.high IS 'upper end of the goal';
COMMENT ON COLUMN benchmark.denominator IS 'what a rate is a share of';
COMMENT ON COLUMN benchmark.source IS 'where the goal comes from';
$pipeline_ddl$),
('20-config', $pipeline_ddl$-- Triggers of the configuration, and what every pipeline starts with.

-- The engine caches the configuration. Plain DML tells caches nothing, so
-- these triggers do. They also refuse what would break the past: edits of a
-- model that was active, another number for a signal. ALWAYS: a replica or a
-- bulk load must not escape them.

CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON setting
    FOR EACH ROW EXECUTE FUNCTION config_changed();
CREATE TRIGGER config_truncated AFTER TRUNCATE ON setting
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
ALTER TABLE setting
    ENABLE ALWAYS TRIGGER config_changed, ENABLE ALWAYS TRIGGER config_truncated;

CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON signal
    FOR EACH ROW EXECUTE FUNCTION config_changed();
CREATE TRIGGER config_truncated AFTER TRUNCATE ON signal
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
ALTER TABLE signal
    ENABLE ALWAYS TRIGGER config_changed, ENABLE ALWAYS TRIGGER config_truncated;

CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON value_list
    FOR EACH ROW EXECUTE FUNCTION config_changed();
CREATE TRIGGER config_truncated AFTER TRUNCATE ON value_list
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
ALTER TABLE value_list
    ENABLE ALWAYS TRIGGER config_changed, ENABLE ALWAYS TRIGGER config_truncated;

CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON model
    FOR EACH ROW EXECUTE FUNCTION config_changed();
CREATE TRIGGER config_truncated AFTER TRUNCATE ON model
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
ALTER TABLE model
    ENABLE ALWAYS TRIGGER config_changed, ENABLE ALWAYS TRIGGER config_truncated;

CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON model_activation
    FOR EACH ROW EXECUTE FUNCTION config_changed();
CREATE TRIGGER config_truncated AFTER TRUNCATE ON model_activation
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
ALTER TABLE model_activation
    ENABLE ALWAYS TRIGGER config_changed, ENABLE ALWAYS TRIGGER config_truncated;

CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON dimension
    FOR EACH ROW EXECUTE FUNCTION config_changed();
CREATE TRIGGER config_truncated AFTER TRUNCATE ON dimension
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
ALTER TABLE dimension
    ENABLE ALWAYS TRIGGER config_changed, ENABLE ALWAYS TRIGGER config_truncated;

CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON rule
    FOR EACH ROW EXECUTE FUNCTION config_changed();
CREATE TRIGGER config_truncated AFTER TRUNCATE ON rule
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
ALTER TABLE rule
    ENABLE ALWAYS TRIGGER config_changed, ENABLE ALWAYS TRIGGER config_truncated;

CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON stage_rule
    FOR EACH ROW EXECUTE FUNCTION config_changed();
CREATE TRIGGER config_truncated AFTER TRUNCATE ON stage_rule
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
ALTER TABLE stage_rule
    ENABLE ALWAYS TRIGGER config_changed, ENABLE ALWAYS TRIGGER config_truncated;

CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON stage_gate
    FOR EACH ROW EXECUTE FUNCTION config_changed();
CREATE TRIGGER config_truncated AFTER TRUNCATE ON stage_gate
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
ALTER TABLE stage_gate
    ENABLE ALWAYS TRIGGER config_changed, ENABLE ALWAYS TRIGGER config_truncated;

CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON grade
    FOR EACH ROW EXECUTE FUNCTION config_changed();
CREATE TRIGGER config_truncated AFTER TRUNCATE ON grade
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
ALTER TABLE grade
    ENABLE ALWAYS TRIGGER config_changed, ENABLE ALWAYS TRIGGER config_truncated;

-- Counts follow from signals: if these change, all events and profiles are
-- counted again, once for the statement. So change many signals in one
-- statement, or before there are events.
CREATE TRIGGER signals_changed
    AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF source, event_kinds, condition, quantity ON signal
    FOR EACH STATEMENT EXECUTE FUNCTION signals_changed();
CREATE TRIGGER signals_changed
    AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE ON value_list
    FOR EACH STATEMENT EXECUTE FUNCTION signals_changed();

INSERT INTO signal (signal, signal_id, event_kinds, note) VALUES
    ('lead_created', 0, '{}', 'counted by the engine when a lead begins, so that quiet times have a start');

INSERT INTO event_kind (kind, role, note) VALUES
    ('page_view', 'visit', 'looked at a page (page)'),
    ('product_page_view', 'visit', 'looked at a product or its features (page)'),
    ('pricing_view', 'visit', 'looked at the prices'),
    ('case_study_download', 'download', 'took a case study (content)'),
    ('content_download', 'download', 'took a guide, checklist, template ... (content, intent: educational or solution)'),
    ('webinar_attended', 'webinar', 'attended a webinar (content)'),
    ('form_view', 'form_view', 'saw a form (form, variant)'),
    ('form_submit', 'form_submit', 'sent a form (form, fields)'),
    ('email_sent', 'email_sent', 'was sent an e-mail (message, variant)'),
    ('email_open', 'email_open', 'opened it (message, variant)'),
    ('email_click', 'email_click', 'followed a link in it (message, variant)'),
    ('email_reply', 'email_reply', 'answered it (message, variant)'),
    ('newsletter_signup', 'capture', 'subscribed to the newsletter'),
    ('unsubscribe', 'unsubscribe', 'wants no more messages'),
    ('social_interaction', 'social', 'reacted on a social network (network)'),
    ('cart_abandoned', 'cart', 'left a full cart'),
    ('demo_request', 'request', 'asked to see it'),
    ('personal_demo_request', 'request', 'asked for a demonstration of their own'),
    ('quote_request', 'request', 'asked for a quote'),
    ('trial_started', 'trial', 'began to try it'),
    ('outreach', 'outreach', 'sales tried to reach them (outcome, by)'),
    ('sales_contact', 'sales_contact', 'sales spoke with them (by)'),
    ('purchase', 'purchase', 'bought (value: amount)'),
    ('lost', 'lost', 'will not buy (reason)'),
    ('disqualified', 'disqualified', 'never was a lead (reason)'),
    ('recycled', 'recycled', 'back to marketing'),
    ('points_added', 'points', 'points by hand (value)'),
    ('points_removed', 'points', 'points by hand, taken (value)'),
    ('stage_set', 'stage', 'stage by hand (stage, reason), see set_stage()');

INSERT INTO channel (channel, direction) VALUES
    ('content', 'inbound'),
    ('seo', 'inbound'),
    ('social', 'inbound'),
    ('referral', 'inbound'),
    ('website', 'inbound'),
    ('direct_mail', 'outbound'),
    ('press', 'outbound'),
    ('radio', 'outbound'),
    ('telemarketing', 'outbound'),
    ('email', 'outbound'),
    ('virtual_event', 'outbound'),
    ('physical_event', 'outbound');
$pipeline_ddl$),
('30-functions', $pipeline_ddl$-- The functions of a pipeline.
--
-- CREATE OR REPLACE throughout: leadscore.upgrade_pipeline runs this again.
-- Bodies are bound when they are created (BEGIN ATOMIC), so they work under
-- any search_path and follow renames. They sort and group by ranks of stages,
-- not by stages: pg_upgrade restores them before the operator classes of our
-- types. A parameter is always written function.parameter: a bare name is a
-- column. What writes more than events runs with the rights of the pipeline's
-- owner and is closed to PUBLIC.

CREATE OR REPLACE FUNCTION pipeline() RETURNS regnamespace
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT c.relnamespace::regnamespace FROM pg_class c WHERE c.oid = 'lead'::regclass;
END;
COMMENT ON FUNCTION pipeline() IS 'the schema of this pipeline';

-- Functions that views need to look into what their readers may not see run as
-- the owner, whom row security does not stop. They give nothing to whom it
-- hides a lead: they cannot know which, and would count it in.
CREATE OR REPLACE FUNCTION shows_all_leads() RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT shows_all('lead'::regclass) AND shows_all('event'::regclass)
        AND shows_all('lead_state'::regclass) AND shows_all('stage_history'::regclass);
END;
COMMENT ON FUNCTION shows_all_leads() IS
    'internal: whether row security hides no lead, nor what it did, from the role that the session runs as';

-- Models

CREATE OR REPLACE FUNCTION known_model(model text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN EXISTS (SELECT FROM model m WHERE m.model = known_model.model)
        THEN known_model.model
        ELSE refuse('undefined_object',
            format('model "%s" does not exist', known_model.model),
            hint => 'Models of this pipeline: '
                || coalesce((SELECT string_agg(m.model, ', ' ORDER BY m.model) FROM model m), 'none') || '.')
    END;
END;
COMMENT ON FUNCTION known_model(text) IS 'the model of this name, or an error that lists those there are';

CREATE OR REPLACE FUNCTION model_definition(model text) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT known_model(model_definition.model);
    SELECT jsonb_build_object(
        'model', m.model,
        'grain', CASE period_text(s.grain) WHEN '1 hours' THEN '1 hour' ELSE '1 day' END,
        'min_score', m.min_score,
        'max_score', m.max_score,
        'gates_required', m.gates_required,
        'allow_demotion', m.allow_demotion,
        'demotion_margin', m.demotion_margin,
        'signals', coalesce((
            SELECT jsonb_agg(jsonb_build_object(
                'signal', g.signal, 'signal_id', g.signal_id, 'source', g.source)
                ORDER BY g.signal_id)
            FROM signal g), '[]'),
        'dimensions', coalesce((
            SELECT jsonb_agg(jsonb_build_object(
                'dimension', d.dimension, 'min_points', d.min_points, 'max_points', d.max_points,
                'weight', d.weight, 'reset_signals', d.reset_signals)
                ORDER BY d.position, d.dimension COLLATE "C")
            FROM dimension d WHERE d.model = m.model), '[]'),
        'rules', coalesce((
            SELECT jsonb_agg(jsonb_build_object(
                'rule', r.rule, 'dimension', r.dimension, 'signal', r.signal, 'points', r.points,
                'aggregate', r.aggregate, 'first_n', r.first_n, 'tiers', r.tiers,
                'within', period_text(r.within), 'after', period_text(r.after), 'repeat', r.repeat,
                'limit_count', r.limit_count, 'limit_period', r.limit_period,
                'decay', r.decay, 'decay_period', period_text(r.decay_period),
                'decay_percent', r.decay_percent, 'max_points', r.max_points,
                'only_if', r.only_if, 'unless', r.unless)
                ORDER BY d.position, r.dimension COLLATE "C", r.rule COLLATE "C")
            FROM rule r JOIN dimension d USING (model, dimension) WHERE r.model = m.model), '[]'),
        'stage_rules', coalesce((
            SELECT jsonb_agg(jsonb_build_object(
                'stage', r.stage::text, 'only_if', r.only_if, 'min_score', r.min_score,
                'entry_signals', r.entry_signals, 'sla', period_text(r.sla))
                ORDER BY stage_rank(r.stage), r.only_if COLLATE "C")
            FROM stage_rule r WHERE r.model = m.model), '[]'),
        'stage_gates', coalesce((
            SELECT jsonb_agg(jsonb_build_object(
                'stage', t.stage::text, 'gate', t.gate, 'signal', t.signal, 'dimension', t.dimension,
                'min_count', t.min_count, 'min_points', t.min_points,
                'within', period_text(t.within), 'negate', t.negate)
                ORDER BY stage_rank(t.stage), t.gate COLLATE "C", t.gate_id)
            FROM stage_gate t WHERE t.model = m.model), '[]'),
        'grades', coalesce((
            SELECT jsonb_agg(jsonb_build_object(
                'dimension', g.dimension, 'grade', g.grade, 'min_points', g.min_points)
                ORDER BY d.position, g.dimension COLLATE "C", g.min_points DESC)
            FROM grade g JOIN dimension d USING (model, dimension) WHERE g.model = m.model), '[]'))
    FROM model m, setting s
    WHERE m.model = model_definition.model;
END;
COMMENT ON FUNCTION model_definition(text) IS 'a model with all its rows as one document, which the type lead_model reads';

CREATE OR REPLACE FUNCTION compiled_model(model text) RETURNS lead_model
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT known_model(compiled_model.model);
    -- a draft may have changed since
    SELECT CASE WHEN m.status = 'draft' THEN model_definition(m.model)::lead_model ELSE m.compiled END
    FROM model m
    WHERE m.model = compiled_model.model;
END;
COMMENT ON FUNCTION compiled_model(text) IS 'a model as it scores, or would score';

CREATE OR REPLACE FUNCTION clone_model("from" text, "to" text) RETURNS text
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    SELECT known_model(clone_model."from");
    INSERT INTO model (model, min_score, max_score, gates_required, allow_demotion, demotion_margin, note)
        SELECT clone_model."to", m.min_score, m.max_score, m.gates_required, m.allow_demotion, m.demotion_margin, m.note
        FROM model m WHERE m.model = clone_model."from";
    INSERT INTO dimension (model, dimension, position, min_points, max_points, weight, reset_signals)
        SELECT clone_model."to", d.dimension, d.position, d.min_points, d.max_points, d.weight, d.reset_signals
        FROM dimension d WHERE d.model = clone_model."from";
    INSERT INTO rule (model, rule, dimension, signal, points, aggregate, first_n, tiers, within, after, repeat,
            limit_count, limit_period, decay, decay_period, decay_percent, max_points, only_if, unless, note)
        SELECT clone_model."to", r.rule, r.dimension, r.signal, r.points, r.aggregate, r.first_n, r.tiers, r.within, r.after, r.repeat,
            r.limit_count, r.limit_period, r.decay, r.decay_period, r.decay_percent, r.max_points, r.only_if, r.unless, r.note
        FROM rule r WHERE r.model = clone_model."from";
    INSERT INTO stage_rule (model, stage, only_if, min_score, entry_signals, sla, note)
        SELECT clone_model."to", r.stage, r.only_if, r.min_score, r.entry_signals, r.sla, r.note
        FROM stage_rule r WHERE r.model = clone_model."from";
    INSERT INTO stage_gate (model, stage, gate, signal, dimension, min_count, min_points, within, negate)
        SELECT clone_model."to", t.stage, t.gate, t.signal, t.dimension, t.min_count, t.min_points, t.within, t.negate
        FROM stage_gate t WHERE t.model = clone_model."from" ORDER BY t.gate_id;
    INSERT INTO grade (model, dimension, grade, min_points)
        SELECT clone_model."to", g.dimension, g.grade, g.min_points
        FROM grade g WHERE g.model = clone_model."from";
    SELECT clone_model."to";
END;
REVOKE EXECUTE ON FUNCTION clone_model(text, text) FROM PUBLIC;
COMMENT ON FUNCTION clone_model(text, text) IS 'copies a model to a draft that can be edited, and returns its name';

CREATE OR REPLACE FUNCTION review_all(cause text) RETURNS bigint
    LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT review(pipeline(), NULL, now(), review_all.cause);
END;
REVOKE EXECUTE ON FUNCTION review_all(text) FROM PUBLIC;
COMMENT ON FUNCTION review_all(text) IS 'internal: reviews the stage of every lead, returns the number of changes';

CREATE OR REPLACE FUNCTION switch_model(model text) RETURNS bigint
    LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT known_model(switch_model.model);
    SELECT refuse('object_not_in_prerequisite_state', format('model "%s" is active already', m.model),
            hint => 'To change it, call clone_model(), edit the copy, look at compare_models() and activate the copy.')
        FROM model m WHERE m.model = switch_model.model AND m.status = 'active';
    -- what is due until now is the old model's work
    SELECT review(pipeline(), coalesce(array_agg(s.lead_id ORDER BY s.lead_id), '{}'), now(), 'decay')
        FROM lead_state s WHERE s.next_review_at <= now();
    UPDATE model SET status = 'retired' WHERE status = 'active';
    UPDATE model m SET
        status = 'active',
        compiled = model_definition(m.model)::lead_model,
        activated_by = session_user,
        activated_at = now()
        WHERE m.model = switch_model.model;
    INSERT INTO model_activation (model) VALUES (switch_model.model);
    SELECT review_all('activation');
END;
REVOKE EXECUTE ON FUNCTION switch_model(text) FROM PUBLIC;
COMMENT ON FUNCTION switch_model(text) IS 'internal: activates a model, for who has locked the pipeline';

-- Who writes events waits from here on; who reads does not. A function locks
-- the tables of all its statements as it begins: so the update of model is in
-- another, or two activations would wait for each other.
CREATE OR REPLACE FUNCTION activate_model(model text) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    SELECT lock_pipeline(pipeline());
    SELECT switch_model(activate_model.model);
END;
REVOKE EXECUTE ON FUNCTION activate_model(text) FROM PUBLIC;
COMMENT ON FUNCTION activate_model(text) IS 'makes a draft (or a retired model) the one that scores, reviews all leads, whatever row security says, returns how many stages changed';

CREATE OR REPLACE FUNCTION compare_models(a text, b text, at timestamptz DEFAULT now())
    RETURNS TABLE (level text, lead_id bigint, leads bigint, stage_a lead_stage, stage_b lead_stage,
        score_a numeric, score_b numeric, difference numeric)
    LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT CASE WHEN c.lead_id IS NULL THEN 'stage' ELSE 'lead' END AS level,
        c.lead_id, c.leads, c.stage_a, c.stage_b,
        trim_scale(round(c.score_milli_a / 1000.0 / c.leads, 3)) AS score_a,
        trim_scale(round(c.score_milli_b / 1000.0 / c.leads, 3)) AS score_b,
        trim_scale(round((c.score_milli_b - c.score_milli_a) / 1000.0 / c.leads, 3)) AS difference
    FROM compare_leads(pipeline(), compiled_model(compare_models.a), compiled_model(compare_models.b), compare_models.at) c
    ORDER BY c.lead_id IS NOT NULL, stage_rank(c.stage_a) DESC, stage_rank(c.stage_b) DESC, c.lead_id;
END;
COMMENT ON FUNCTION compare_models(text, text, timestamptz) IS
    'two models side by side, nothing is changed: level stage = how many leads each pair of qualified stages has (scores are means), level lead = every lead that differs';

-- One lead

CREATE OR REPLACE FUNCTION lead_id(external_id text) RETURNS bigint
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT l.lead_id FROM lead l WHERE l.external_id = lead_id.external_id;
END;
COMMENT ON FUNCTION lead_id(text) IS 'the lead that the app calls so; NULL if there is none';

CREATE OR REPLACE FUNCTION score(lead_id bigint, at timestamptz DEFAULT now()) RETURNS numeric
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT score(s.activity, m.compiled, score.at)
    FROM lead_state s, model m
    WHERE s.lead_id = score.lead_id AND m.status = 'active';
END;
COMMENT ON FUNCTION score(bigint, timestamptz) IS 'score of a lead at an instant, by the active model';

CREATE OR REPLACE FUNCTION explain(lead_id bigint, at timestamptz DEFAULT now())
    RETURNS TABLE (dimension text, rule text, signal text, source text, events bigint, last_at timestamptz, points numeric, note text)
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT e.dimension, e.rule, e.signal, e.source, e.events, e.last_at, e.points, e.note
    FROM lead_state s, model m, explain(s.activity, m.compiled, explain.at) e
    WHERE s.lead_id = explain.lead_id AND m.status = 'active';
END;
COMMENT ON FUNCTION explain(bigint, timestamptz) IS 'where the score of a lead comes from: the points add up to the score exactly';

CREATE OR REPLACE FUNCTION next_steps(lead_id bigint)
    RETURNS TABLE (stage lead_stage, gate text, met boolean, missing text)
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH step AS (
        SELECT s.stage AS stage_now, g.stage, g.gate, g.met, g.missing
        FROM lead_state s, model m, stage_gates(s.activity, m.compiled, now()) g
        WHERE s.lead_id = next_steps.lead_id AND m.status = 'active'
        UNION ALL
        SELECT s.stage AS stage_now, r.stage, 'milestone' AS gate, false AS met,
            'one of: ' || array_to_string(r.entry_signals, ', ') AS missing
        FROM lead_state s, model m, stage_rule r
        WHERE s.lead_id = next_steps.lead_id AND m.status = 'active' AND r.model = m.model
            AND cardinality(r.entry_signals) > 0
    )
    SELECT t.stage, t.gate, t.met, t.missing
    FROM step t
    WHERE t.stage = (SELECT min(u.stage) FROM step u WHERE u.stage > u.stage_now AND u.stage > 'visitor')
    ORDER BY t.met, t.gate;
END;
COMMENT ON FUNCTION next_steps(bigint) IS 'what the next stage of a lead needs, and what of it is missing';

CREATE OR REPLACE FUNCTION stage_at(lead_id bigint, at timestamptz) RETURNS lead_stage
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT h.to_stage
    FROM stage_history h
    WHERE h.lead_id = stage_at.lead_id AND h.effective_at <= stage_at.at
    ORDER BY h.seq DESC
    LIMIT 1;
END;
COMMENT ON FUNCTION stage_at(bigint, timestamptz) IS 'stage of a lead at an instant; NULL before its creation';

-- Statements in functions see what earlier ones did only if they are run by
-- a VOLATILE function: so this reads the state behind the engine's trigger.
CREATE OR REPLACE FUNCTION standing(lead_id bigint, event_id bigint, OUT score numeric, OUT stage lead_stage)
    LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT (SELECT score(s.activity, m.compiled, now()) FROM model m WHERE m.status = 'active'), s.stage
    FROM lead_state s
    WHERE s.lead_id = standing.lead_id;
END;
COMMENT ON FUNCTION standing(bigint, bigint) IS 'internal: score and stage of a lead now, behind the event that was inserted';

CREATE OR REPLACE FUNCTION add_event(lead_id bigint, kind text, properties jsonb, occurred_at timestamptz,
        value numeric, channel text, campaign text, source_id text) RETURNS bigint
    LANGUAGE sql VOLATILE SET search_path = ''
BEGIN ATOMIC
    INSERT INTO event (lead_id, kind, properties, occurred_at, value, channel, campaign, source_id)
        VALUES (add_event.lead_id, add_event.kind, add_event.properties, coalesce(add_event.occurred_at, now()),
            add_event.value, add_event.channel, add_event.campaign, add_event.source_id)
        ON CONFLICT DO NOTHING
        RETURNING event_id;
END;
COMMENT ON FUNCTION add_event(bigint, text, jsonb, timestamptz, numeric, text, text, text) IS
    'internal: inserts an event, returns its event_id, or NULL if its source_id is there already';

CREATE OR REPLACE FUNCTION set_stage(lead_id bigint, stage lead_stage, reason text DEFAULT NULL) RETURNS lead_stage
    LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT s.stage
    FROM add_event(set_stage.lead_id, 'stage_set',
            jsonb_strip_nulls(jsonb_build_object('stage', set_stage.stage::text, 'reason', set_stage.reason)),
            NULL, NULL, NULL, NULL, NULL) AS e (event_id),
        standing(set_stage.lead_id, e.event_id) s;
END;
COMMENT ON FUNCTION set_stage(bigint, lead_stage, text) IS 'puts a lead into a stage by hand, as an event of kind stage_set; returns the stage it is in then';

-- What apps send. A document about a lead is merged into its profile, except
-- keys that are columns of lead: these go there. So does the key consent, true
-- or false, which sets or clears consented_at.

CREATE OR REPLACE FUNCTION lead_document(document jsonb)
    RETURNS TABLE (kind text, email text, organization text, market text, country text, channel text, campaign text,
        owner text, persona text, consent boolean, consented_at timestamptz, contact_allowed boolean, referred_by bigint,
        rest jsonb)
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT d.kind, d.email, d.organization, d.market, d.country, d.channel, d.campaign,
        d.owner, d.persona, d.consent, d.consented_at, d.contact_allowed, d.referred_by,
        coalesce(lead_document.document, '{}') - '{kind,email,organization,market,country,channel,campaign,owner,persona,consent,consented_at,contact_allowed,referred_by}'::text[]
    FROM jsonb_to_record(coalesce(lead_document.document, '{}')) AS d
        (kind text, email text, organization text, market text, country text, channel text, campaign text,
        owner text, persona text, consent boolean, consented_at timestamptz, contact_allowed boolean, referred_by bigint);
END;
COMMENT ON FUNCTION lead_document(jsonb) IS 'internal: splits a document about a lead into columns and the rest';

-- Whoever locks leads or states first says that it writes, with the weak lock
-- of the engine: otherwise activate_model() could wait for it and it for
-- activate_model(). No row is locked, the table is.
CREATE OR REPLACE FUNCTION begin_write() RETURNS void
    LANGUAGE sql VOLATILE SET search_path = ''
BEGIN ATOMIC
    SELECT FROM model WHERE false FOR KEY SHARE;
END;
COMMENT ON FUNCTION begin_write() IS 'internal: keeps the configuration as it is until the end of the transaction';

-- The engine locks leads before states, both by lead_id: so do these. Most
-- calls need only one or two of them, and a statement costs most when it is
-- planned: so there are several. The SET clauses keep the planner from reading
-- the bodies of functions that are not called.
CREATE OR REPLACE FUNCTION lock_leads(external_ids text[]) RETURNS bigint
    LANGUAGE sql VOLATILE SET search_path = ''
BEGIN ATOMIC
    SELECT FROM lead l
    WHERE l.external_id = ANY (lock_leads.external_ids)
    ORDER BY l.lead_id
    FOR NO KEY UPDATE;
    -- all states before any is changed: changes of profiles come first, then
    -- events of other leads, and whoever inserts events locks by lead_id
    SELECT count(*)
    FROM (
        SELECT FROM lead_state s
        WHERE s.lead_id IN (SELECT l.lead_id FROM lead l WHERE l.external_id = ANY (lock_leads.external_ids))
        ORDER BY s.lead_id
        FOR NO KEY UPDATE
    ) n;
END;
COMMENT ON FUNCTION lock_leads(text[]) IS 'internal: locks leads that are about to be changed, returns how many';

CREATE OR REPLACE FUNCTION open_leads(external_ids text[], documents jsonb[], ats timestamptz[], channels text[], campaigns text[])
    RETURNS bigint
    LANGUAGE sql VOLATILE SET search_path = ''
BEGIN ATOMIC
    WITH made AS (
        INSERT INTO lead (external_id, kind, email, organization, market, country, channel, campaign, owner, persona,
                profile, consented_at, contact_allowed, referred_by, created_at, updated_at)
            SELECT n.external_id, coalesce(d.kind, 'person'), d.email, d.organization, d.market, d.country,
                coalesce(d.channel, n.channel), coalesce(d.campaign, n.campaign), d.owner, d.persona, d.rest,
                CASE WHEN d.consent IS NOT FALSE THEN coalesce(d.consented_at, CASE WHEN d.consent THEN n.at END) END,
                d.contact_allowed, d.referred_by, n.at, n.at
            FROM unnest(open_leads.external_ids, open_leads.documents, open_leads.ats, open_leads.channels, open_leads.campaigns)
                    AS n (external_id, document, at, channel, campaign),
                lead_document(n.document) d
            -- a conflict would use up a number
            WHERE NOT EXISTS (SELECT FROM lead l WHERE l.external_id = n.external_id)
            ORDER BY n.external_id
            ON CONFLICT DO NOTHING
            RETURNING 1
    )
    SELECT count(*) FROM made;
END;
COMMENT ON FUNCTION open_leads(text[], jsonb[], timestamptz[], text[], text[]) IS
    'internal: creates those of these leads that are missing, returns how many';

CREATE OR REPLACE FUNCTION merge_leads(external_ids text[], documents jsonb[], ats timestamptz[])
    RETURNS bigint
    LANGUAGE sql VOLATILE SET search_path = ''
BEGIN ATOMIC
    WITH merged AS (
        UPDATE lead l SET
            kind = n.kind, email = n.email, organization = n.organization, market = n.market, country = n.country,
            channel = n.channel, campaign = n.campaign, owner = n.owner, persona = n.persona, profile = n.profile,
            consented_at = n.consented_at, contact_allowed = n.contact_allowed, referred_by = n.referred_by,
            -- always later than before: so the change has its own time
            updated_at = greatest(l.updated_at + interval '1 microsecond', n.at)
        FROM (
            SELECT o.lead_id, g.at,
                coalesce(d.kind, o.kind) AS kind,
                CASE WHEN g.document ? 'email' THEN d.email ELSE o.email END AS email,
                CASE WHEN g.document ? 'organization' THEN d.organization ELSE o.organization END AS organization,
                CASE WHEN g.document ? 'market' THEN d.market ELSE o.market END AS market,
                CASE WHEN g.document ? 'country' THEN d.country ELSE o.country END AS country,
                CASE WHEN g.document ? 'channel' THEN d.channel ELSE o.channel END AS channel,
                CASE WHEN g.document ? 'campaign' THEN d.campaign ELSE o.campaign END AS campaign,
                CASE WHEN g.document ? 'owner' THEN d.owner ELSE o.owner END AS owner,
                CASE WHEN g.document ? 'persona' THEN d.persona ELSE o.persona END AS persona,
                o.profile || d.rest AS profile,
                CASE
                    WHEN NOT d.consent THEN NULL
                    WHEN g.document ? 'consented_at' THEN d.consented_at
                    WHEN d.consent THEN coalesce(o.consented_at, g.at)
                    ELSE o.consented_at
                END AS consented_at,
                CASE WHEN g.document ? 'contact_allowed' THEN d.contact_allowed ELSE o.contact_allowed END AS contact_allowed,
                CASE WHEN g.document ? 'referred_by' THEN d.referred_by ELSE o.referred_by END AS referred_by
            FROM unnest(merge_leads.external_ids, merge_leads.documents, merge_leads.ats) AS g (external_id, document, at)
                JOIN lead o ON o.external_id = g.external_id,
                lead_document(g.document) d
            WHERE g.document IS NOT NULL
        ) n
        WHERE l.lead_id = n.lead_id
            AND (l.kind, l.email, l.organization, l.market, l.country, l.channel, l.campaign, l.owner, l.persona,
                l.profile, l.consented_at, l.contact_allowed, l.referred_by)
            IS DISTINCT FROM (n.kind, n.email, n.organization, n.market, n.country, n.channel, n.campaign, n.owner, n.persona,
                n.profile, n.consented_at, n.contact_allowed, n.referred_by)
        RETURNING 1
    )
    SELECT count(*) FROM merged;
END;
COMMENT ON FUNCTION merge_leads(text[], jsonb[], timestamptz[]) IS
    'internal: merges documents into existing leads, returns how many changed';

-- The state is locked, so that two calls at a time never both report the same
-- change of stage.
CREATE OR REPLACE FUNCTION hold_lead(external_id text, created boolean, OUT lead_id bigint, OUT stage lead_stage)
    LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT l.lead_id,
        CASE WHEN NOT hold_lead.created
            THEN (SELECT s.stage FROM lead_state s WHERE s.lead_id = l.lead_id FOR NO KEY UPDATE) END
    FROM lead l
    WHERE l.external_id = hold_lead.external_id;
END;
COMMENT ON FUNCTION hold_lead(text, boolean) IS 'internal: locks the state of a lead, returns its stage before the change, NULL if it is new';

CREATE OR REPLACE FUNCTION touch_lead(external_id text, document jsonb, at timestamptz, channel text, campaign text,
        OUT lead_id bigint, OUT stage lead_stage)
    LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT CASE WHEN h.lead_id IS NULL
            THEN refuse('object_in_use', format('lead "%s" could not be created', touch_lead.external_id),
                detail => 'Its new lead_id is taken already, or somebody deleted the lead meanwhile.',
                hint => 'After loading leads with a lead_id of their own, set the sequence of lead.lead_id past them with setval(). Otherwise try again.')::bigint
            ELSE h.lead_id END, h.stage
    FROM (
            SELECT CASE
                WHEN CASE WHEN NOT EXISTS (SELECT FROM lead l WHERE l.external_id = touch_lead.external_id)
                    THEN open_leads(ARRAY[touch_lead.external_id], ARRAY[touch_lead.document], ARRAY[touch_lead.at],
                        ARRAY[touch_lead.channel], ARRAY[touch_lead.campaign]) = 1 END
                    THEN true
                -- it was there, or somebody else has just created it
                WHEN touch_lead.document IS NOT NULL
                    THEN lock_leads(ARRAY[touch_lead.external_id]) IS NULL
                ELSE false END AS created
            OFFSET 0
        ) o,
        hold_lead(touch_lead.external_id, o.created) h,
        LATERAL (
            SELECT CASE WHEN h.lead_id IS NOT NULL AND touch_lead.document IS NOT NULL AND NOT o.created
                THEN merge_leads(ARRAY[touch_lead.external_id], ARRAY[touch_lead.document], ARRAY[touch_lead.at]) END AS merged
            OFFSET 0
        ) m
    WHERE m.merged IS NULL OR m.merged >= 0;
END;
COMMENT ON FUNCTION touch_lead(text, jsonb, timestamptz, text, text) IS
    'internal: creates or merges a lead, returns its number and the stage it had before';

CREATE OR REPLACE FUNCTION known_event(lead_id bigint, source_id text) RETURNS bigint
    LANGUAGE sql VOLATILE SET search_path = ''
BEGIN ATOMIC
    SELECT e.event_id FROM event e WHERE e.lead_id = known_event.lead_id AND e.source_id = known_event.source_id;
END;
COMMENT ON FUNCTION known_event(bigint, text) IS 'internal: the event of a lead with this source_id';

CREATE OR REPLACE FUNCTION track(external_id text, kind text, properties jsonb DEFAULT NULL, occurred_at timestamptz DEFAULT now(),
        value numeric DEFAULT NULL, channel text DEFAULT NULL, campaign text DEFAULT NULL, source_id text DEFAULT NULL,
        profile jsonb DEFAULT NULL,
        OUT lead_id bigint, OUT event_id bigint, OUT score numeric, OUT stage text, OUT stage_changed boolean, OUT duplicate boolean)
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    SELECT begin_write();
    SELECT t.lead_id,
        CASE WHEN e.event_id IS NULL THEN known_event(t.lead_id, track.source_id) ELSE e.event_id END,
        s.score, s.stage::text, s.stage <> coalesce(t.stage, 'visitor'), e.event_id IS NULL
    FROM touch_lead(require_text('external_id', track.external_id), require_object('profile', track.profile),
            coalesce(track.occurred_at, now()), track.channel, track.campaign) t,
        add_event(t.lead_id, require_text('kind', track.kind), track.properties, track.occurred_at,
            track.value, track.channel, track.campaign, track.source_id) AS e (event_id),
        standing(t.lead_id, e.event_id) s;
END;
REVOKE EXECUTE ON FUNCTION track(text, text, jsonb, timestamptz, numeric, text, text, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION track(text, text, jsonb, timestamptz, numeric, text, text, text, jsonb) IS
    'records an event of a lead, which is created if new, merges profile into the lead, returns where the lead stands then; a second event of the same source_id is a duplicate and changes nothing; works with the rights of the pipeline''s owner, so row security holds for it as for the owner';

-- Leads are created at the time of their first event in the batch. Profiles
-- of one lead are put together in the order of events, and count from the time
-- of the first one.
CREATE OR REPLACE FUNCTION track_many(events jsonb, OUT inserted bigint, OUT duplicates bigint)
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    SELECT begin_write();
    SELECT merge_leads(b.external_ids, b.documents, b.profile_ats)
    FROM (
            SELECT array_agg(n.external_id) AS external_ids, array_agg(n.document) AS documents,
                array_agg(n.created_at) AS created_ats, array_agg(n.profile_at) AS profile_ats,
                array_agg(n.channel) AS channels, array_agg(n.campaign) AS campaigns
            FROM (
                SELECT i.external_id, min(i.occurred_at) AS created_at,
                    min(i.occurred_at) FILTER (WHERE i.profile IS NOT NULL) AS profile_at,
                    (array_agg(i.channel ORDER BY i.occurred_at, i.position))[1] AS channel,
                    (array_agg(i.campaign ORDER BY i.occurred_at, i.position))[1] AS campaign,
                    (SELECT jsonb_object_agg(k.key, k.value ORDER BY p.place)
                        FROM unnest(array_agg(i.profile ORDER BY i.occurred_at, i.position)) WITH ORDINALITY AS p (profile, place),
                            jsonb_each(p.profile) k) AS document
                FROM track_items(track_many.events) i
                GROUP BY i.external_id
            ) n
        ) b,
        -- new leads first: who waits for somebody else's holds no lock yet
        LATERAL (
            SELECT open_leads(b.external_ids, b.documents, b.created_ats, b.channels, b.campaigns) AS created
            OFFSET 0
        ) o,
        LATERAL (SELECT CASE WHEN o.created >= 0 THEN lock_leads(b.external_ids) END AS locked OFFSET 0) k
    WHERE k.locked >= 0;
    WITH added AS (
        INSERT INTO event (lead_id, kind, properties, occurred_at, value, channel, campaign, source_id)
            SELECT l.lead_id, i.kind, i.properties, i.occurred_at, i.value, i.channel, i.campaign, i.source_id
            FROM track_items(track_many.events) i JOIN lead l USING (external_id)
            ORDER BY i.occurred_at, i.position
            ON CONFLICT DO NOTHING
            RETURNING 1
    )
    SELECT count(*), jsonb_array_length(track_many.events) - count(*) FROM added;
END;
REVOKE EXECUTE ON FUNCTION track_many(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION track_many(jsonb) IS
    'records many events at once: an array of objects with the arguments of track() as keys; returns how many were inserted and how many were there already; works with the rights of the pipeline''s owner, so row security holds for it as for the owner';

CREATE OR REPLACE FUNCTION upsert_lead(external_id text, email text DEFAULT NULL, profile jsonb DEFAULT NULL,
        kind text DEFAULT NULL, organization text DEFAULT NULL, market text DEFAULT NULL, country text DEFAULT NULL,
        channel text DEFAULT NULL, campaign text DEFAULT NULL, owner text DEFAULT NULL, persona text DEFAULT NULL,
        consent boolean DEFAULT NULL, contact_allowed boolean DEFAULT NULL, referred_by bigint DEFAULT NULL,
        at timestamptz DEFAULT now()) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    SELECT begin_write();
    SELECT t.lead_id
    FROM touch_lead(require_text('external_id', upsert_lead.external_id),
        coalesce(require_object('profile', upsert_lead.profile), '{}') || jsonb_strip_nulls(jsonb_build_object(
            'email', upsert_lead.email, 'kind', upsert_lead.kind, 'organization', upsert_lead.organization,
            'market', upsert_lead.market, 'country', upsert_lead.country, 'channel', upsert_lead.channel,
            'campaign', upsert_lead.campaign, 'owner', upsert_lead.owner, 'persona', upsert_lead.persona,
            'consent', upsert_lead.consent, 'contact_allowed', upsert_lead.contact_allowed,
            'referred_by', upsert_lead.referred_by)),
        coalesce(upsert_lead.at, now()), NULL, NULL) t;
END;
REVOKE EXECUTE ON FUNCTION upsert_lead(text, text, jsonb, text, text, text, text, text, text, text, text, boolean, boolean, bigint, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION upsert_lead(text, text, jsonb, text, text, text, text, text, text, text, text, boolean, boolean, bigint, timestamptz) IS
    'creates a lead or updates it: profile is merged, of the other arguments NULL leaves the column as it is; returns lead_id; works with the rights of the pipeline''s owner, so row security holds for it as for the owner';

REVOKE EXECUTE ON FUNCTION begin_write() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION lock_leads(text[]) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION open_leads(text[], jsonb[], timestamptz[], text[], text[]) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION merge_leads(text[], jsonb[], timestamptz[]) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION hold_lead(text, boolean) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION touch_lead(text, jsonb, timestamptz, text, text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION known_event(bigint, text) FROM PUBLIC;

-- Upkeep

CREATE OR REPLACE FUNCTION sweep(max_leads integer DEFAULT 1000) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    SELECT begin_write();
    -- Several sweeps at a time share the work: none waits for a lead.
    SELECT coalesce(cardinality(d.lead_ids), 0)
    FROM (
            SELECT array_agg(n.lead_id ORDER BY n.lead_id) AS lead_ids
            FROM (
                SELECT s.lead_id
                FROM lead_state s
                WHERE s.next_review_at <= now()
                ORDER BY s.next_review_at
                LIMIT sweep.max_leads
                FOR NO KEY UPDATE SKIP LOCKED
            ) n
        ) d,
        LATERAL (SELECT CASE WHEN d.lead_ids IS NOT NULL THEN review(pipeline(), d.lead_ids, now(), 'decay') END AS changes OFFSET 0) r
    WHERE r.changes IS NULL OR r.changes >= 0;
END;
REVOKE EXECUTE ON FUNCTION sweep(integer) FROM PUBLIC;
COMMENT ON FUNCTION sweep(integer) IS
    'moves the stages that are due because time passed, returns how many leads it looked at; call it now and then until it returns 0; under row security that is forced, the owner needs a policy';

CREATE OR REPLACE FUNCTION rebuild(history boolean DEFAULT false) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    SELECT lock_pipeline(pipeline());
    SELECT rebuild(pipeline(), NULL, rebuild.history);
END;
REVOKE EXECUTE ON FUNCTION rebuild(boolean) FROM PUBLIC;
COMMENT ON FUNCTION rebuild(boolean) IS
    'counts all events and profiles again, whatever row security says, and with history replays all stages; returns how many leads were not right, with history how many were replayed';

CREATE OR REPLACE FUNCTION verify()
    RETURNS TABLE (lead_id bigint, problem text, stored text, expected text)
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH counted AS (
        SELECT l.lead_id, 0 AS signal_id, l.created_at AS at, 1::bigint AS count
        FROM lead l
        UNION ALL
        SELECT l.lead_id, p.signal_id, NULL, 1
        FROM lead l, profile_signals(l) p
        UNION ALL
        SELECT e.lead_id, p.signal_id, e.occurred_at, p.quantity
        FROM event e, event_signals(e) p
    ), expected AS (
        SELECT c.lead_id, lead_activity_agg(c.signal_id, c.at, c.count, s.grain) AS activity
        FROM counted c, setting s
        GROUP BY c.lead_id
    ), newest AS (
        SELECT DISTINCT ON (h.lead_id) h.lead_id, h.to_stage, h.cycle
        FROM stage_history h
        ORDER BY h.lead_id, h.seq DESC
    )
    SELECT l.lead_id, 'lead without a state' AS problem, NULL::text AS stored, NULL::text AS expected
    FROM lead l
    WHERE NOT EXISTS (SELECT FROM lead_state s WHERE s.lead_id = l.lead_id)
    UNION ALL
    SELECT s.lead_id, 'state without a lead' AS problem, s.activity::text AS stored, NULL::text AS expected
    FROM lead_state s
    WHERE NOT EXISTS (SELECT FROM lead l WHERE l.lead_id = s.lead_id)
    UNION ALL
    SELECT e.lead_id, 'events without a lead' AS problem, count(*)::text AS stored, NULL::text AS expected
    FROM event e
    WHERE NOT EXISTS (SELECT FROM lead l WHERE l.lead_id = e.lead_id)
    GROUP BY e.lead_id
    UNION ALL
    SELECT h.lead_id, 'history without a lead' AS problem, h.to_stage::text AS stored, NULL::text AS expected
    FROM newest h
    WHERE NOT EXISTS (SELECT FROM lead l WHERE l.lead_id = h.lead_id)
    UNION ALL
    SELECT s.lead_id, 'activity differs from the events and the profile' AS problem,
        s.activity::text AS stored, x.activity::text AS expected
    FROM lead l
        JOIN lead_state s USING (lead_id)
        JOIN expected w USING (lead_id),
        LATERAL (SELECT CASE WHEN s.baseline IS NULL THEN w.activity ELSE s.baseline + w.activity END) AS x (activity)
    WHERE s.activity <> x.activity
    UNION ALL
    SELECT s.lead_id, 'stage differs from the newest in stage_history' AS problem,
        s.stage::text || ', cycle ' || s.cycle AS stored, h.to_stage::text || ', cycle ' || h.cycle AS expected
    FROM lead_state s
        LEFT JOIN newest h USING (lead_id)
        -- of ranks: IS DISTINCT FROM on our types could not be restored from a dump
    WHERE (stage_rank(s.stage), s.cycle) IS DISTINCT FROM (stage_rank(h.to_stage), h.cycle)
    UNION ALL
    -- a stage by hand leaves no trace in the counts
    SELECT s.lead_id, 'stage_set was not applied' AS problem, s.stage::text AS stored, g.stage::text AS expected
    FROM event e
        JOIN lead_state s USING (lead_id)
        JOIN stages() g ON g.stage::text = lower(e.properties ->> 'stage')
    WHERE e.kind = 'stage_set' AND g.stage <> s.stage
        AND e.occurred_at > s.settled_at AND e.occurred_at > s.stage_since AND e.occurred_at <= now()
    UNION ALL
    -- what is due is the sweep's work; what is not due must not be different
    SELECT s.lead_id, 'stage is behind what points and gates say' AS problem, s.stage::text AS stored, q.stage::text AS expected
    FROM lead_state s,
        model m,
        LATERAL (SELECT qualified_stage(s.activity, m.compiled, now())) AS q (stage)
    WHERE m.status = 'active'
        AND is_open(s.stage) AND NOT s.held
        AND (s.next_review_at IS NULL OR s.next_review_at > now())
        AND q.stage > s.stage
    UNION ALL
    SELECT s.lead_id, 'next_review_at is too late' AS problem, s.next_review_at::text AS stored, q.stage::text AS expected
    FROM lead_state s,
        model m,
        LATERAL (SELECT settled_stage(s.activity, m.compiled, s.stage, s.held, s.settled_at, now())) AS q (stage)
    WHERE m.status = 'active'
        AND (s.next_review_at IS NULL OR s.next_review_at > now())
        AND q.stage <> s.stage;
END;
COMMENT ON FUNCTION verify() IS 'what is stored but wrong, compared with a computation from all events: no rows, ever';

CREATE OR REPLACE FUNCTION unscored() RETURNS TABLE (lead_id bigint, event_id bigint)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    SELECT e.lead_id, e.event_id
    FROM event e
    WHERE shows_all_leads()
        AND NOT EXISTS (SELECT FROM event_signals(e) s)
        AND NOT (
            -- known, and not meant to count
            EXISTS (SELECT FROM event_kind k WHERE k.kind = e.kind)
            AND NOT EXISTS (SELECT FROM signal g WHERE g.event_kinds @> ARRAY[e.kind])
        );
END;
REVOKE EXECUTE ON FUNCTION unscored() FROM PUBLIC;
COMMENT ON FUNCTION unscored() IS
    'keys of the events behind the view unscored_events: signals are conditions on properties, which readers of the view must not see; nothing for whom row security hides some leads';
$pipeline_ddl$),
('35-history', $pipeline_ddl$-- Layout 2: what stage_history needs so that funnels are one pass over it.
--
-- Run for new pipelines too. The engine fills from_since where there is such
-- a column; rows of before get it here, once.

ALTER TABLE stage_history ADD COLUMN IF NOT EXISTS from_since timestamptz;
COMMENT ON COLUMN stage_history.from_since IS 'when the stage before had begun; NULL: the lead was new';
UPDATE stage_history h SET from_since = p.since
    FROM (
        SELECT b.lead_id, b.seq, lag(b.effective_at) OVER (PARTITION BY b.lead_id ORDER BY b.seq) AS since
        FROM stage_history b
    ) p, setting s
    WHERE s.layout_version < 2 AND p.lead_id = h.lead_id AND p.seq = h.seq AND h.from_stage IS NOT NULL;

-- A column and not only a condition of the index: so the planner knows how
-- few they are.
ALTER TABLE stage_history ADD COLUMN IF NOT EXISTS stepped_back boolean
    GENERATED ALWAYS AS (from_stage IS NOT NULL AND to_stage < from_stage AND to_stage >= 'visitor') STORED;
COMMENT ON COLUMN stage_history.stepped_back IS 'whether the lead went to a lower stage without leaving the funnel';
CREATE INDEX IF NOT EXISTS stage_history_stepped_back_idx ON stage_history (lead_id) WHERE stepped_back;

UPDATE setting SET layout_version = 2 WHERE layout_version < 2;
$pipeline_ddl$),
('40-views', $pipeline_ddl$-- The views: for sales, for reports, for BI tools.
--
-- CREATE OR REPLACE throughout, columns are only appended, security_invoker is
-- restated. Plain types only; dates in the time zone of the pipeline; stage as
-- text, with stage_rank to sort by. No personal data: leadscore.grant_reader
-- grants what views read.

-- The stage as of now, though no sweep has recorded yet what is due because
-- time passed. An expression, not a lookup: the planner puts it in place.
CREATE OR REPLACE FUNCTION stage_now(activity lead_activity, compiled lead_model, stage lead_stage, held boolean,
        settled_at timestamptz, next_review_at timestamptz) RETURNS lead_stage
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN stage_now.next_review_at <= now() AND stage_now.compiled IS NOT NULL
        THEN settled_stage(stage_now.activity, stage_now.compiled, stage_now.stage, stage_now.held, stage_now.settled_at, now())
        ELSE stage_now.stage END;
END;
COMMENT ON FUNCTION stage_now(lead_activity, lead_model, lead_stage, boolean, timestamptz, timestamptz) IS
    'internal: the stage of a row of lead_state as of now, for views';

CREATE OR REPLACE VIEW lead_score WITH (security_invoker = true) AS
SELECT
    l.lead_id,
    l.external_id,
    l.kind,
    l.organization,
    l.market,
    l.country,
    coalesce(l.channel, c.channel) AS channel,
    coalesce(c.direction, h.direction) AS direction,
    l.campaign,
    l.owner,
    l.persona,
    n.stage::text AS stage,
    stage_rank(n.stage) AS stage_rank,
    temperature(n.stage) AS temperature,
    score_milli(s.activity, m.compiled, now()) / 1000.0::double precision AS score,
    d.engagement,
    d.fit,
    grade(s.activity, m.compiled, now()) AS grade,
    a.last_activity_at,
    CASE WHEN n.stage = s.stage THEN s.stage_since ELSE s.next_review_at END AS stage_since_at,
    s.next_review_at,
    s.cycle,
    l.consented_at IS NOT NULL AS consented,
    l.contact_allowed,
    CASE WHEN isfinite(l.created_at) THEN l.created_at END AS created_at
FROM lead l
    LEFT JOIN lead_state s USING (lead_id)
    LEFT JOIN model m ON m.status = 'active'
    LEFT JOIN campaign c ON c.campaign = l.campaign
    LEFT JOIN channel h ON h.channel = coalesce(l.channel, c.channel)
    LEFT JOIN LATERAL (SELECT stage_now(s.activity, m.compiled, s.stage, s.held, s.settled_at, s.next_review_at)) AS n (stage) ON true
    LEFT JOIN LATERAL (
        SELECT max(p.points) FILTER (WHERE p.dimension = 'engagement')::double precision AS engagement,
            max(p.points) FILTER (WHERE p.dimension = 'fit')::double precision AS fit
        FROM dimension_scores(s.activity, m.compiled, now()) p
    ) d ON true
    LEFT JOIN LATERAL (
        SELECT max(u.bucket) AS last_activity_at
        FROM unnest(s.activity) u
        WHERE u.signal_id > 0 AND u.count > 0 AND u.bucket <= now()
    ) a ON true;
COMMENT ON VIEW lead_score IS 'one row a lead: where it stands now';
COMMENT ON COLUMN lead_score.lead_id IS 'the lead';
COMMENT ON COLUMN lead_score.external_id IS 'name of the lead in the app';
COMMENT ON COLUMN lead_score.kind IS 'person or organization';
COMMENT ON COLUMN lead_score.organization IS 'organization that the person belongs to';
COMMENT ON COLUMN lead_score.market IS 'b2b or b2c';
COMMENT ON COLUMN lead_score.country IS 'country';
COMMENT ON COLUMN lead_score.channel IS 'channel that the lead came by';
COMMENT ON COLUMN lead_score.direction IS 'inbound or outbound, of the campaign or else of the channel';
COMMENT ON COLUMN lead_score.campaign IS 'campaign that the lead came by';
COMMENT ON COLUMN lead_score.owner IS 'who looks after the lead';
COMMENT ON COLUMN lead_score.persona IS 'buyer persona';
COMMENT ON COLUMN lead_score.stage IS 'stage: visitor, iql, mql, sql, prospect, customer, advocate; recycled, lost, disqualified';
COMMENT ON COLUMN lead_score.stage_rank IS 'order of the stages: visitor 40 to advocate 100, exits below';
COMMENT ON COLUMN lead_score.temperature IS 'cold (iql), warm (mql), hot (sql)';
COMMENT ON COLUMN lead_score.score IS 'score now, by the active model';
COMMENT ON COLUMN lead_score.engagement IS 'points of the dimension engagement, if the model has one';
COMMENT ON COLUMN lead_score.fit IS 'points of the dimension fit, if the model has one';
COMMENT ON COLUMN lead_score.grade IS 'grades of the graded dimensions, such as A or A1';
COMMENT ON COLUMN lead_score.last_activity_at IS 'beginning of the UTC day (or hour, by the grain) of the newest event that counts';
COMMENT ON COLUMN lead_score.stage_since_at IS 'since when the lead is in its stage';
COMMENT ON COLUMN lead_score.next_review_at IS 'when the stage may change though nothing happens';
COMMENT ON COLUMN lead_score.cycle IS 'number of the run through the funnel';
COMMENT ON COLUMN lead_score.consented IS 'whether the data protection policy is accepted';
COMMENT ON COLUMN lead_score.contact_allowed IS 'whether messages may be sent; NULL: not asked';
COMMENT ON COLUMN lead_score.created_at IS 'when the lead was first heard of';

CREATE OR REPLACE VIEW lead_dimension WITH (security_invoker = true) AS
SELECT
    s.lead_id,
    d.dimension,
    d.points::double precision AS points,
    d.weight::double precision AS weight,
    d.grade,
    n.stage::text AS stage,
    stage_rank(n.stage) AS stage_rank
FROM lead_state s
    JOIN model m ON m.status = 'active'
    CROSS JOIN LATERAL (SELECT stage_now(s.activity, m.compiled, s.stage, s.held, s.settled_at, s.next_review_at)) AS n (stage)
    CROSS JOIN LATERAL dimension_scores(s.activity, m.compiled, now()) d;
COMMENT ON VIEW lead_dimension IS 'one row a lead and dimension: what the score is made of';
COMMENT ON COLUMN lead_dimension.lead_id IS 'the lead';
COMMENT ON COLUMN lead_dimension.dimension IS 'the dimension';
COMMENT ON COLUMN lead_dimension.points IS 'points now, by the active model';
COMMENT ON COLUMN lead_dimension.weight IS 'factor in the score';
COMMENT ON COLUMN lead_dimension.grade IS 'grade, if the dimension has grades';
COMMENT ON COLUMN lead_dimension.stage IS 'stage of the lead';
COMMENT ON COLUMN lead_dimension.stage_rank IS 'order of the stages';

CREATE OR REPLACE VIEW account_score WITH (security_invoker = true) AS
SELECT
    o.organization,
    o.leads,
    o.people,
    o.stage::text AS stage,
    stage_rank(o.stage) AS stage_rank,
    score_milli(o.activity, m.compiled, now()) / 1000.0::double precision AS score,
    d.engagement,
    d.fit,
    grade(o.activity, m.compiled, now()) AS grade,
    o.customers,
    o.created_at
FROM (
        SELECT
            l.organization,
            count(*) AS leads,
            count(*) FILTER (WHERE l.kind = 'person') AS people,
            max(n.stage) AS stage,
            count(*) FILTER (WHERE n.stage >= 'customer') AS customers,
            min(l.created_at) FILTER (WHERE isfinite(l.created_at)) AS created_at,
            sum(s.activity) AS activity
        FROM lead l
            JOIN lead_state s USING (lead_id)
            LEFT JOIN model m ON m.status = 'active'
            CROSS JOIN LATERAL (SELECT stage_now(s.activity, m.compiled, s.stage, s.held, s.settled_at, s.next_review_at)) AS n (stage)
        WHERE l.organization IS NOT NULL
        GROUP BY l.organization
    ) o
    LEFT JOIN model m ON m.status = 'active'
    LEFT JOIN LATERAL (
        SELECT max(p.points) FILTER (WHERE p.dimension = 'engagement')::double precision AS engagement,
            max(p.points) FILTER (WHERE p.dimension = 'fit')::double precision AS fit
        FROM dimension_scores(o.activity, m.compiled, now()) p
    ) d ON true;
COMMENT ON VIEW account_score IS 'one row an organization: all its contacts together, scored as if they were one lead';
COMMENT ON COLUMN account_score.organization IS 'the organization';
COMMENT ON COLUMN account_score.leads IS 'number of its leads';
COMMENT ON COLUMN account_score.people IS 'number of those that are persons';
COMMENT ON COLUMN account_score.stage IS 'highest stage of its leads';
COMMENT ON COLUMN account_score.stage_rank IS 'order of the stages';
COMMENT ON COLUMN account_score.score IS 'score of what all of them did and are, with the caps and limits of one lead';
COMMENT ON COLUMN account_score.engagement IS 'points of the dimension engagement, if the model has one';
COMMENT ON COLUMN account_score.fit IS 'points of the dimension fit, if the model has one';
COMMENT ON COLUMN account_score.grade IS 'grades of the graded dimensions';
COMMENT ON COLUMN account_score.customers IS 'number of its leads that are customers';
COMMENT ON COLUMN account_score.created_at IS 'when the first of its leads was heard of';

CREATE OR REPLACE VIEW hot_leads WITH (security_invoker = true) AS
SELECT
    q.call_order,
    q.lead_id,
    q.external_id,
    q.organization,
    q.owner,
    q.channel,
    q.campaign,
    q.stage,
    q.stage_rank,
    q.score,
    w.why,
    q.stage_since_at,
    q.due_at,
    k.contacted_at IS NOT NULL AS contacted,
    k.contacted_at,
    coalesce(k.contacted_at, now()) > q.due_at AS breached,
    q.contact_allowed
FROM (
        SELECT
            row_number() OVER (ORDER BY h.stage_rank DESC, h.score DESC, h.stage_since_at, h.lead_id) AS call_order,
            h.*
        FROM (
                SELECT
                    s.lead_id,
                    l.external_id,
                    l.organization,
                    l.owner,
                    l.channel,
                    l.campaign,
                    l.contact_allowed,
                    n.stage::text AS stage,
                    stage_rank(n.stage) AS stage_rank,
                    score_milli(s.activity, m.compiled, now()) / 1000.0::double precision AS score,
                    t.since AS stage_since_at,
                    t.since + r.sla AS due_at,
                    s.activity,
                    m.compiled
                FROM lead_state s
                    JOIN lead l USING (lead_id)
                    JOIN model m ON m.status = 'active'
                    CROSS JOIN LATERAL (SELECT stage_now(s.activity, m.compiled, s.stage, s.held, s.settled_at, s.next_review_at)) AS n (stage)
                    CROSS JOIN LATERAL (SELECT CASE WHEN n.stage = s.stage THEN s.stage_since ELSE s.next_review_at END) AS t (since)
                    -- the row of stage_rule that the engine goes by
                    LEFT JOIN LATERAL (
                        SELECT r.sla
                        FROM stage_rule r
                        WHERE r.model = m.model AND r.stage = n.stage
                            AND (r.only_if = '' OR EXISTS (
                                SELECT FROM signal g, unnest(s.activity) u
                                WHERE g.signal = r.only_if AND u.signal_id = g.signal_id AND u.count > 0))
                        ORDER BY r.only_if = '', r.only_if COLLATE "C"
                        LIMIT 1
                    ) r ON true
                WHERE (s.stage IN ('mql', 'sql') OR s.next_review_at <= now())
                    AND n.stage IN ('mql', 'sql')
            ) h
    ) q
    LEFT JOIN LATERAL (
        SELECT string_agg(t.rule || ' +' || t.points, ', ' ORDER BY t.points DESC, t.rule) AS why
        FROM (
            -- limits and caps of a rule are rows of their own
            SELECT e.rule, trim_scale(sum(e.points)) AS points
            FROM explain(q.activity, q.compiled, now()) e
            WHERE e.rule IS NOT NULL
            GROUP BY e.rule
            HAVING sum(e.points) > 0
            ORDER BY sum(e.points) DESC, e.rule
            LIMIT 3
        ) t
    ) w ON true
    LEFT JOIN LATERAL (
        SELECT min(e.occurred_at) AS contacted_at
        FROM event e
            JOIN event_kind t USING (kind)
        WHERE e.lead_id = q.lead_id AND e.occurred_at >= q.stage_since_at AND t.role IN ('outreach', 'sales_contact')
    ) k ON true
-- as call_order, and so that LIMIT need not explain all
ORDER BY q.stage_rank DESC, q.score DESC, q.stage_since_at, q.lead_id;
COMMENT ON VIEW hot_leads IS 'whom to call: leads that are sql or mql, the hottest first';
COMMENT ON COLUMN hot_leads.call_order IS '1: call first; sql before mql, then by score';
COMMENT ON COLUMN hot_leads.lead_id IS 'the lead';
COMMENT ON COLUMN hot_leads.external_id IS 'name of the lead in the app';
COMMENT ON COLUMN hot_leads.organization IS 'organization that the person belongs to';
COMMENT ON COLUMN hot_leads.owner IS 'who looks after the lead';
COMMENT ON COLUMN hot_leads.channel IS 'channel that the lead came by';
COMMENT ON COLUMN hot_leads.campaign IS 'campaign that the lead came by';
COMMENT ON COLUMN hot_leads.stage IS 'stage: sql or mql';
COMMENT ON COLUMN hot_leads.stage_rank IS 'order of the stages';
COMMENT ON COLUMN hot_leads.score IS 'score now, by the active model';
COMMENT ON COLUMN hot_leads.why IS 'the three rules that give most points';
COMMENT ON COLUMN hot_leads.stage_since_at IS 'since when the lead is in its stage';
COMMENT ON COLUMN hot_leads.due_at IS 'by when it should be contacted; NULL: no such time is set for the stage';
COMMENT ON COLUMN hot_leads.contacted IS 'whether sales tried to reach the lead since then';
COMMENT ON COLUMN hot_leads.contacted_at IS 'when first';
COMMENT ON COLUMN hot_leads.breached IS 'whether that was, or is already, too late';
COMMENT ON COLUMN hot_leads.contact_allowed IS 'whether messages may be sent; NULL: not asked';

CREATE OR REPLACE VIEW unscored_events WITH (security_invoker = true) AS
SELECT
    e.lead_id,
    e.event_id,
    e.kind,
    CASE WHEN k.kind IS NULL THEN 'unknown kind' ELSE 'no signal matches' END AS reason,
    CASE WHEN isfinite(e.occurred_at) THEN e.occurred_at END AS occurred_at,
    e.recorded_at,
    e.channel,
    e.campaign
FROM unscored() u
    JOIN event e USING (lead_id, event_id)
    LEFT JOIN (SELECT kind FROM event_kind UNION SELECT unnest(event_kinds) FROM signal) k ON k.kind = e.kind;
COMMENT ON VIEW unscored_events IS 'events that count for nothing though they should: of a kind that nobody knows, or matching no signal of their kind';
COMMENT ON COLUMN unscored_events.lead_id IS 'the lead';
COMMENT ON COLUMN unscored_events.event_id IS 'the event';
COMMENT ON COLUMN unscored_events.kind IS 'its kind';
COMMENT ON COLUMN unscored_events.reason IS 'unknown kind: neither in event_kind nor of any signal; no signal matches: signals of this kind have conditions that do not hold';
COMMENT ON COLUMN unscored_events.occurred_at IS 'when it happened';
COMMENT ON COLUMN unscored_events.recorded_at IS 'when it was recorded';
COMMENT ON COLUMN unscored_events.channel IS 'channel that it came by';
COMMENT ON COLUMN unscored_events.campaign IS 'campaign that it came by';
$pipeline_ddl$),
('50-funnel-views', $pipeline_ddl$-- The funnel: who entered a stage, and who went on.
--
-- All is counted per lead and run (cycle): who comes back after an exit runs
-- through the funnel again. In a run the first entry into a stage counts, and
-- all that follows counts where and when it was entered: so whoever converted
-- was counted as entered before, and no rate of entries exceeds 1, though
-- leads skip stages, fall back and begin anywhere.
--
-- stage_entry says so for each entry. The funnels do not read it, as windows
-- over millions of rows take seconds: they add up funnel_ledger (those of all
-- leads book moves that are alike together), and a test compares the two.
-- Ranks of stages that follow each other differ by 10, and 1 << rank / 10 is a
-- stage as a bit.

CREATE OR REPLACE VIEW lead_dim WITH (security_invoker = true) AS
SELECT
    l.lead_id,
    l.external_id,
    l.kind,
    l.organization,
    coalesce(l.market, '(none)') AS market,
    coalesce(l.country, '(none)') AS country,
    coalesce(l.channel, c.channel, '(none)') AS channel,
    coalesce(c.direction, h.direction, '(none)') AS direction,
    coalesce(l.campaign, '(none)') AS campaign,
    coalesce(c.sourcing, '(none)') AS sourcing,
    coalesce(l.owner, '(none)') AS owner,
    coalesce(l.persona, '(none)') AS persona,
    n.stage::text AS stage,
    stage_rank(n.stage) AS stage_rank,
    temperature(n.stage) AS temperature,
    n.stage >= 'sql' AND n.stage < 'customer' AS ready_to_buy,
    CASE WHEN n.stage = s.stage THEN s.stage_since ELSE s.next_review_at END AS stage_since_at,
    s.cycle,
    l.consented_at IS NOT NULL AS consented,
    l.contact_allowed,
    l.referred_by IS NOT NULL AS referred,
    CASE WHEN isfinite(l.created_at) THEN l.created_at END AS created_at,
    CASE WHEN isfinite(l.created_at) THEN (l.created_at AT TIME ZONE z.time_zone)::date END AS created_date,
    month_start(l.created_at, z.time_zone) AS created_month
FROM lead l
    CROSS JOIN setting z
    LEFT JOIN lead_state s USING (lead_id)
    LEFT JOIN model m ON m.status = 'active'
    LEFT JOIN campaign c ON c.campaign = l.campaign
    LEFT JOIN channel h ON h.channel = coalesce(l.channel, c.channel)
    LEFT JOIN LATERAL (SELECT stage_now(s.activity, m.compiled, s.stage, s.held, s.settled_at, s.next_review_at)) AS n (stage) ON true;
COMMENT ON VIEW lead_dim IS 'one row a lead: what reports are sliced by; join it by lead_id. No personal data';
COMMENT ON COLUMN lead_dim.lead_id IS 'the lead';
COMMENT ON COLUMN lead_dim.external_id IS 'name of the lead in the app';
COMMENT ON COLUMN lead_dim.kind IS 'person or organization';
COMMENT ON COLUMN lead_dim.organization IS 'organization that the person belongs to';
COMMENT ON COLUMN lead_dim.market IS 'b2b or b2c; (none): not known';
COMMENT ON COLUMN lead_dim.country IS 'country; (none): not known';
COMMENT ON COLUMN lead_dim.channel IS 'channel that the lead came by, or that of its campaign; (none): not known';
COMMENT ON COLUMN lead_dim.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN lead_dim.campaign IS 'campaign that the lead came by; (none): not known';
COMMENT ON COLUMN lead_dim.sourcing IS 'internal or outsourced, of the campaign; (none): not known';
COMMENT ON COLUMN lead_dim.owner IS 'who looks after the lead; (none): nobody';
COMMENT ON COLUMN lead_dim.persona IS 'buyer persona; (none): not known';
COMMENT ON COLUMN lead_dim.stage IS 'stage of the lead now';
COMMENT ON COLUMN lead_dim.stage_rank IS 'order of the stages';
COMMENT ON COLUMN lead_dim.temperature IS 'cold (iql), warm (mql), hot (sql)';
COMMENT ON COLUMN lead_dim.ready_to_buy IS 'true: sql or prospect; false: all others, such as the curious';
COMMENT ON COLUMN lead_dim.stage_since_at IS 'since when the lead is in its stage';
COMMENT ON COLUMN lead_dim.cycle IS 'number of the run through the funnel';
COMMENT ON COLUMN lead_dim.consented IS 'whether the data protection policy is accepted';
COMMENT ON COLUMN lead_dim.contact_allowed IS 'whether messages may be sent; NULL: not asked';
COMMENT ON COLUMN lead_dim.referred IS 'whether another lead recommended us';
COMMENT ON COLUMN lead_dim.created_at IS 'when the lead was first heard of';
COMMENT ON COLUMN lead_dim.created_date IS 'the day of that';
COMMENT ON COLUMN lead_dim.created_month IS 'first day of the month of that';

CREATE OR REPLACE VIEW stage_entry WITH (security_invoker = true) AS
SELECT
    e.lead_id,
    e.seq AS entry_seq,
    e.cycle,
    e.stage,
    e.stage_rank,
    e.entered_at,
    (e.entered_at AT TIME ZONE z.time_zone)::date AS entered_date,
    month_start(e.entered_at, z.time_zone) AS entered_month,
    e.left_at,
    e.next_stage,
    e.next_stage_rank,
    date_part('epoch', e.left_at - e.entered_at) / 86400 AS days_in_stage,
    CASE WHEN e.left_at IS NULL THEN date_part('epoch', now() - e.entered_at) / 86400 END AS open_days,
    e.cause,
    e.entered::integer AS entered,
    e.directly::integer AS entered_directly,
    e.converted::integer AS converted,
    (e.entered AND NOT e.converted AND e.gone)::integer AS lost,
    (e.entered AND NOT e.converted AND NOT e.gone)::integer AS open,
    (e.entered AND e.mature)::integer AS matured,
    (e.converted AND e.mature)::integer AS matured_converted,
    CASE WHEN NOT e.converted THEN NULL WHEN e.next_stage_rank > e.stage_rank THEN e.left_at ELSE c.converted_at END AS converted_at,
    CASE WHEN e.entered AND NOT e.converted THEN e.gone_at END AS lost_at,
    d.external_id,
    coalesce(d.channel, '(none)') AS channel,
    coalesce(d.direction, '(none)') AS direction,
    coalesce(d.campaign, '(none)') AS campaign,
    coalesce(d.market, '(none)') AS market,
    coalesce(d.country, '(none)') AS country,
    coalesce(d.owner, '(none)') AS owner,
    coalesce(d.persona, '(none)') AS persona
FROM (
        SELECT
            p.lead_id,
            p.seq,
            p.cycle,
            p.to_stage::text AS stage,
            p.stage_rank,
            p.effective_at AS entered_at,
            p.left_at,
            p.next_stage::text AS next_stage,
            stage_rank(p.next_stage) AS next_stage_rank,
            p.cause,
            p.funnel AND p.earlier & p.bit = 0 AS entered,
            p.funnel AND p.earlier & (p.bit | (p.bit >> 1)) = 0 AS directly,
            p.funnel AND p.earlier & p.bit = 0 AND p.later >= p.bit << 1 AS converted,
            p.gone_at IS NOT NULL AS gone,
            p.gone_at,
            p.effective_at <= m.before AS mature
        FROM (
                SELECT
                    b.lead_id,
                    b.seq,
                    b.cycle,
                    b.to_stage,
                    b.stage_rank,
                    b.bit,
                    b.stage_rank >= 40 AS funnel,
                    b.effective_at,
                    b.cause,
                    lead(b.effective_at) OVER course AS left_at,
                    lead(b.to_stage) OVER course AS next_stage,
                    coalesce(bit_or(b.bit) OVER (run ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS earlier,
                    coalesce(bit_or(b.bit) OVER (run ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING), 0) AS later,
                    min(b.effective_at) FILTER (WHERE b.stage_rank < 40) OVER (PARTITION BY b.lead_id, b.cycle) AS gone_at
                FROM (
                        SELECT h.*, stage_rank(h.to_stage) AS stage_rank, 1 << stage_rank(h.to_stage) / 10 AS bit
                        FROM stage_history h
                    ) b
                WINDOW course AS (PARTITION BY b.lead_id ORDER BY b.seq),
                    run AS (PARTITION BY b.lead_id, b.cycle ORDER BY b.seq)
            ) p
            CROSS JOIN (SELECT (now() AT TIME ZONE s.time_zone - s.mature_after) AT TIME ZONE s.time_zone AS before, s.time_zone FROM setting s) m
    ) e
    CROSS JOIN setting z
    LEFT JOIN lead_dim d USING (lead_id)
    -- who fell back first converted later than when the stage was left
    LEFT JOIN LATERAL (
        SELECT min(h.effective_at) AS converted_at
        FROM stage_history h
        WHERE e.converted AND e.next_stage_rank < e.stage_rank
            AND h.lead_id = e.lead_id AND h.cycle = e.cycle AND h.seq > e.seq AND stage_rank(h.to_stage) > e.stage_rank
    ) c ON true;
COMMENT ON VIEW stage_entry IS 'one row for each time that a lead was in a stage: sums of the 0/1 columns, grouped by anything, are funnels; rows of exits (recycled, lost, disqualified) have 0 in all of them';
COMMENT ON COLUMN stage_entry.lead_id IS 'the lead';
COMMENT ON COLUMN stage_entry.entry_seq IS 'number of the stage of this lead';
COMMENT ON COLUMN stage_entry.cycle IS 'number of the run through the funnel';
COMMENT ON COLUMN stage_entry.stage IS 'the stage';
COMMENT ON COLUMN stage_entry.stage_rank IS 'order of the stages';
COMMENT ON COLUMN stage_entry.entered_at IS 'when it began';
COMMENT ON COLUMN stage_entry.entered_date IS 'the day of that';
COMMENT ON COLUMN stage_entry.entered_month IS 'first day of the month of that';
COMMENT ON COLUMN stage_entry.left_at IS 'when it ended; NULL: the lead is still there';
COMMENT ON COLUMN stage_entry.next_stage IS 'the stage after it; NULL: the lead is still there';
COMMENT ON COLUMN stage_entry.next_stage_rank IS 'order of the stages';
COMMENT ON COLUMN stage_entry.days_in_stage IS 'how long it lasted; NULL: the lead is still there';
COMMENT ON COLUMN stage_entry.open_days IS 'how long it lasts so far; NULL: the lead has left';
COMMENT ON COLUMN stage_entry.cause IS 'how it was entered: created, points, decay, milestone, set, profile, activation or rebuild';
COMMENT ON COLUMN stage_entry.entered IS '1: first entry into this stage in this run; 0: came back to it, or an exit';
COMMENT ON COLUMN stage_entry.entered_directly IS '1: of these, the lead had not been in the stage before it in this run';
COMMENT ON COLUMN stage_entry.converted IS '1: of those entered, the lead reached a higher stage later in this run';
COMMENT ON COLUMN stage_entry.lost IS '1: of those entered, it did not, and the run ended in an exit';
COMMENT ON COLUMN stage_entry.open IS '1: of those entered, neither so far';
COMMENT ON COLUMN stage_entry.matured IS '1: of those entered, at least setting.mature_after ago';
COMMENT ON COLUMN stage_entry.matured_converted IS '1: matured and converted';
COMMENT ON COLUMN stage_entry.converted_at IS 'when the higher stage was reached';
COMMENT ON COLUMN stage_entry.lost_at IS 'when the run ended';
COMMENT ON COLUMN stage_entry.external_id IS 'name of the lead in the app';
COMMENT ON COLUMN stage_entry.channel IS 'channel that the lead came by, or that of its campaign; (none): not known';
COMMENT ON COLUMN stage_entry.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN stage_entry.campaign IS 'campaign that the lead came by; (none): not known';
COMMENT ON COLUMN stage_entry.market IS 'b2b or b2c; (none): not known';
COMMENT ON COLUMN stage_entry.country IS 'country; (none): not known';
COMMENT ON COLUMN stage_entry.owner IS 'who looks after the lead; (none): nobody';
COMMENT ON COLUMN stage_entry.persona IS 'buyer persona; (none): not known';

-- Each change of a stage books an entry and what became of the entry before
-- it. Where leads only rise, that is all.
CREATE OR REPLACE VIEW funnel_ledger WITH (security_invoker = true) AS
SELECT
    h.lead_id,
    h.to_stage::text AS stage,
    stage_rank(h.to_stage) AS stage_rank,
    h.effective_at AS entered_at,
    month_start(h.effective_at, m.time_zone) AS entered_month,
    h.effective_at <= m.before AS mature,
    1 AS entered,
    CASE WHEN stage_rank(h.from_stage) = stage_rank(h.to_stage) - 10 AND h.from_stage >= 'visitor' THEN 0 ELSE 1 END AS entered_directly,
    0 AS converted,
    0 AS lost,
    1 AS furthest
FROM stage_history h
    JOIN (
        -- grouped, so that it is computed once; joined by an equality that
        -- always holds, so that the planner can do it in parallel
        SELECT z.id, min(z.time_zone) AS time_zone, min((now() AT TIME ZONE z.time_zone - z.mature_after) AT TIME ZONE z.time_zone) AS before
        FROM setting z
        GROUP BY z.id
    ) m ON m.id = (h.lead_id IS NOT NULL)
WHERE h.to_stage >= 'visitor'
UNION ALL
SELECT
    h.lead_id,
    h.from_stage::text AS stage,
    stage_rank(h.from_stage) AS stage_rank,
    h.from_since AS entered_at,
    month_start(h.from_since, m.time_zone) AS entered_month,
    h.from_since <= m.before AS mature,
    0 AS entered,
    0 AS entered_directly,
    CASE WHEN h.to_stage > h.from_stage THEN 1 ELSE 0 END AS converted,
    CASE WHEN h.to_stage > h.from_stage THEN 0 ELSE 1 END AS lost,
    CASE WHEN h.to_stage > h.from_stage THEN -1 ELSE 0 END AS furthest
FROM stage_history h
    JOIN (
        -- grouped, so that it is computed once; joined by an equality that
        -- always holds, so that the planner can do it in parallel
        SELECT z.id, min(z.time_zone) AS time_zone, min((now() AT TIME ZONE z.time_zone - z.mature_after) AT TIME ZONE z.time_zone) AS before
        FROM setting z
        GROUP BY z.id
    ) m ON m.id = (h.lead_id IS NOT NULL)
WHERE h.from_stage >= 'visitor' AND NOT h.stepped_back;
COMMENT ON VIEW funnel_ledger IS 'what the funnels add up, together with funnel_correction: bookings of entries and of what became of them; single rows mean nothing';
COMMENT ON COLUMN funnel_ledger.lead_id IS 'the lead';
COMMENT ON COLUMN funnel_ledger.stage IS 'the stage';
COMMENT ON COLUMN funnel_ledger.stage_rank IS 'order of the stages';
COMMENT ON COLUMN funnel_ledger.entered_at IS 'when the lead entered the stage';
COMMENT ON COLUMN funnel_ledger.entered_month IS 'first day of the month of that';
COMMENT ON COLUMN funnel_ledger.mature IS 'whether that was at least setting.mature_after ago';
COMMENT ON COLUMN funnel_ledger.entered IS 'entries';
COMMENT ON COLUMN funnel_ledger.entered_directly IS 'of these, entries of leads that had not been in the stage before it in this run';
COMMENT ON COLUMN funnel_ledger.converted IS 'of these, entries of leads that reached a higher stage afterwards';
COMMENT ON COLUMN funnel_ledger.lost IS 'of these, entries of leads that did not, and left the funnel';
COMMENT ON COLUMN funnel_ledger.furthest IS 'runs that got to this stage and no farther';

-- Of leads that ever fell back all entries are looked at, and what the ledger
-- has booked wrongly is corrected.
CREATE OR REPLACE VIEW funnel_correction WITH (security_invoker = true) AS
SELECT
    h.lead_id,
    h.stage,
    h.stage_rank,
    h.entered_at,
    month_start(h.entered_at, m.time_zone) AS entered_month,
    h.entered_at <= m.before AS mature,
    h.entered::integer - 1 AS entered,
    (h.entered AND h.earlier & (h.bit >> 1) = 0)::integer - h.booked_directly::integer AS entered_directly,
    (h.entered AND h.later >= h.bit << 1)::integer - (h.next_rank > h.stage_rank)::integer AS converted,
    (h.entered AND h.later < h.bit << 1 AND h.later & 14 <> 0)::integer - (h.next_rank < 40)::integer AS lost,
    (h.entered AND h.later < h.bit << 1 AND h.earlier < h.bit)::integer - (h.next_rank <= h.stage_rank)::integer AS furthest
FROM (
        SELECT
            p.lead_id,
            p.to_stage::text AS stage,
            p.stage_rank,
            p.bit,
            p.effective_at AS entered_at,
            p.earlier & p.bit = 0 AS entered,
            p.earlier,
            p.later,
            coalesce(p.next_rank, p.stage_rank) AS next_rank,
            p.from_stage IS NULL OR p.from_stage < 'visitor' OR stage_rank(p.from_stage) <> p.stage_rank - 10 AS booked_directly
        FROM (
                SELECT
                    b.lead_id,
                    b.from_stage,
                    b.to_stage,
                    b.stage_rank,
                    b.bit,
                    b.effective_at,
                    lead(b.stage_rank) OVER (run ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS next_rank,
                    coalesce(bit_or(b.bit) OVER (run ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS earlier,
                    coalesce(bit_or(b.bit) OVER (run ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING), 0) AS later
                FROM (
                        SELECT h.*, stage_rank(h.to_stage) AS stage_rank, 1 << stage_rank(h.to_stage) / 10 AS bit
                        FROM stage_history h
                        WHERE h.lead_id IN (SELECT k.lead_id FROM stage_history k WHERE k.stepped_back)
                    ) b
                WINDOW run AS (PARTITION BY b.lead_id, b.cycle ORDER BY b.seq)
            ) p
        WHERE p.stage_rank >= 40
    ) h
    JOIN (
        -- grouped, so that it is computed once; joined by an equality that
        -- always holds, so that the planner can do it in parallel
        SELECT z.id, min(z.time_zone) AS time_zone, min((now() AT TIME ZONE z.time_zone - z.mature_after) AT TIME ZONE z.time_zone) AS before
        FROM setting z
        GROUP BY z.id
    ) m ON m.id = (h.lead_id IS NOT NULL);
COMMENT ON VIEW funnel_correction IS 'what is added to funnel_ledger because leads fell back; single rows mean nothing';
COMMENT ON COLUMN funnel_correction.lead_id IS 'the lead';
COMMENT ON COLUMN funnel_correction.stage IS 'the stage';
COMMENT ON COLUMN funnel_correction.stage_rank IS 'order of the stages';
COMMENT ON COLUMN funnel_correction.entered_at IS 'when the lead entered the stage';
COMMENT ON COLUMN funnel_correction.entered_month IS 'first day of the month of that';
COMMENT ON COLUMN funnel_correction.mature IS 'whether that was at least setting.mature_after ago';
COMMENT ON COLUMN funnel_correction.entered IS 'entries';
COMMENT ON COLUMN funnel_correction.entered_directly IS 'of these, entries of leads that had not been in the stage before it in this run';
COMMENT ON COLUMN funnel_correction.converted IS 'of these, entries of leads that reached a higher stage afterwards';
COMMENT ON COLUMN funnel_correction.lost IS 'of these, entries of leads that did not, and left the funnel';
COMMENT ON COLUMN funnel_correction.furthest IS 'runs that got to this stage and no farther';

CREATE OR REPLACE VIEW funnel WITH (security_invoker = true) AS
WITH moved AS (
    -- moves that book alike, counted in one pass
    SELECT
        h.from_stage,
        h.to_stage,
        count(*) AS moves,
        count(*) FILTER (WHERE h.effective_at <= m.before) AS matured,
        count(*) FILTER (WHERE h.from_since <= m.before) AS from_matured
    FROM stage_history h
        JOIN (
            SELECT z.id, min(z.time_zone) AS time_zone, min((now() AT TIME ZONE z.time_zone - z.mature_after) AT TIME ZONE z.time_zone) AS before
            FROM setting z
            GROUP BY z.id
        ) m ON m.id = (h.lead_id IS NOT NULL)
    GROUP BY h.from_stage, h.to_stage
), booked AS (
    SELECT
        stage_rank(v.to_stage) AS stage_rank,
        v.moves AS entered,
        CASE WHEN stage_rank(v.from_stage) = stage_rank(v.to_stage) - 10 AND v.from_stage >= 'visitor' THEN 0 ELSE v.moves END AS entered_directly,
        0 AS converted,
        0 AS lost,
        v.matured,
        0 AS matured_converted,
        v.moves AS runs
    FROM moved v
    WHERE v.to_stage >= 'visitor'
    UNION ALL
    SELECT
        stage_rank(v.from_stage) AS stage_rank,
        0 AS entered,
        0 AS entered_directly,
        CASE WHEN v.to_stage > v.from_stage THEN v.moves ELSE 0 END AS converted,
        CASE WHEN v.to_stage > v.from_stage THEN 0 ELSE v.moves END AS lost,
        0 AS matured,
        CASE WHEN v.to_stage > v.from_stage THEN v.from_matured ELSE 0 END AS matured_converted,
        CASE WHEN v.to_stage > v.from_stage THEN -v.moves ELSE 0 END AS runs
    FROM moved v
    WHERE v.from_stage >= 'visitor' AND (v.to_stage > v.from_stage OR v.to_stage < 'visitor')
    UNION ALL
    SELECT
        g.stage_rank,
        sum(g.entered) AS entered,
        sum(g.entered_directly) AS entered_directly,
        sum(g.converted) AS converted,
        sum(g.lost) AS lost,
        sum(g.entered) FILTER (WHERE g.mature) AS matured,
        sum(g.converted) FILTER (WHERE g.mature) AS matured_converted,
        sum(g.furthest) AS runs
    FROM funnel_correction g
    GROUP BY g.stage_rank
), entry AS (
    SELECT
        b.stage_rank,
        sum(b.entered)::bigint AS entered,
        sum(b.entered_directly)::bigint AS entered_directly,
        sum(b.converted)::bigint AS converted,
        sum(b.lost)::bigint AS lost,
        sum(b.matured)::bigint AS matured,
        sum(b.matured_converted)::bigint AS matured_converted,
        sum(b.runs) AS runs
    FROM booked b
    GROUP BY b.stage_rank
), present AS (
    -- few are due, and only of them the stage must be computed
    SELECT n.stage_rank, sum(n.leads)::bigint AS leads
    FROM (
            SELECT stage_rank(k.stage) AS stage_rank, k.leads
            FROM (
                    SELECT s.stage, count(*) AS leads
                    FROM lead_state s
                    WHERE s.next_review_at > now() OR s.next_review_at IS NULL
                    GROUP BY s.stage
                ) k
            UNION ALL
            SELECT stage_rank(stage_now(s.activity, m.compiled, s.stage, s.held, s.settled_at, s.next_review_at)) AS stage_rank, 1 AS leads
            FROM lead_state s
                LEFT JOIN model m ON m.status = 'active'
            WHERE s.next_review_at <= now()
        ) n
    GROUP BY n.stage_rank
), counted AS (
    SELECT
        t.stage,
        t.stage_rank,
        t.stage_label,
        coalesce(p.leads, 0) AS leads_now,
        coalesce(e.entered, 0) AS entered,
        coalesce(e.entered_directly, 0) AS entered_directly,
        coalesce(e.converted, 0) AS converted,
        coalesce(e.lost, 0) AS lost,
        coalesce(e.matured, 0) AS matured,
        coalesce(e.matured_converted, 0) AS matured_converted,
        coalesce(sum(e.runs) OVER (ORDER BY t.stage_rank DESC), 0)::bigint AS reached,
        (sum(e.runs) OVER ())::bigint AS runs
    FROM stages() t
        LEFT JOIN entry e USING (stage_rank)
        LEFT JOIN present p USING (stage_rank)
    WHERE t.stage >= 'visitor'
)
SELECT
    c.stage::text AS stage,
    c.stage_rank,
    c.stage_label,
    c.leads_now,
    c.entered,
    c.entered_directly,
    c.converted,
    c.lost,
    c.entered - c.converted - c.lost AS open,
    c.converted::double precision / nullif(c.entered, 0) AS step_rate,
    c.reached::double precision / nullif(c.runs, 0) AS cumulative_rate,
    c.reached,
    c.converted + c.lost AS resolved,
    c.matured,
    c.matured_converted,
    c.converted::double precision / nullif(c.converted + c.lost, 0) AS resolved_rate,
    c.matured_converted::double precision / nullif(c.matured, 0) AS matured_rate,
    rate_low(c.converted, c.entered) AS step_low_rate,
    rate_high(c.converted, c.entered) AS step_high_rate
FROM counted c
ORDER BY c.stage_rank;
COMMENT ON VIEW funnel IS 'one row a stage, from visitor to advocate: how many leads came in and how many went on; a lead that was lost and came back counts again';
COMMENT ON COLUMN funnel.stage IS 'the stage';
COMMENT ON COLUMN funnel.stage_rank IS 'order of the stages';
COMMENT ON COLUMN funnel.stage_label IS 'the stage with a number in front, for tools that sort by name';
COMMENT ON COLUMN funnel.leads_now IS 'leads in this stage now';
COMMENT ON COLUMN funnel.entered IS 'leads that ever were in this stage: converted, lost and open together';
COMMENT ON COLUMN funnel.entered_directly IS 'of these, those that had not been in the stage before it in this run';
COMMENT ON COLUMN funnel.converted IS 'of those that entered, those that reached a higher stage afterwards';
COMMENT ON COLUMN funnel.lost IS 'of those that entered, those that did not, and are recycled, lost or disqualified';
COMMENT ON COLUMN funnel.open IS 'of those that entered, those of whom neither is known yet';
COMMENT ON COLUMN funnel.step_rate IS 'converted / entered; too low for young entries, which had little time';
COMMENT ON COLUMN funnel.cumulative_rate IS 'reached / all leads of the funnel';
COMMENT ON COLUMN funnel.reached IS 'leads that got this far or farther, whether or not they were in this very stage';
COMMENT ON COLUMN funnel.resolved IS 'converted + lost';
COMMENT ON COLUMN funnel.matured IS 'of those that entered, those that did so at least setting.mature_after ago';
COMMENT ON COLUMN funnel.matured_converted IS 'of these, those that reached a higher stage afterwards';
COMMENT ON COLUMN funnel.resolved_rate IS 'converted / resolved; too high for young entries, as winners are known first';
COMMENT ON COLUMN funnel.matured_rate IS 'matured_converted / matured; right for every age, but silent about the young ones';
COMMENT ON COLUMN funnel.step_low_rate IS 'lower end of the 95 % interval of step_rate (Wilson): wide means few leads';
COMMENT ON COLUMN funnel.step_high_rate IS 'upper end of it';

CREATE OR REPLACE VIEW funnel_cohort WITH (security_invoker = true) AS
WITH moved AS (
    -- moves that book alike, counted in one pass
    SELECT
        h.from_stage,
        h.to_stage,
        month_start(h.effective_at, m.time_zone) AS entered_month,
        month_start(h.from_since, m.time_zone) AS from_month,
        count(*) AS moves,
        count(*) FILTER (WHERE h.effective_at <= m.before) AS matured,
        count(*) FILTER (WHERE h.from_since <= m.before) AS from_matured
    FROM stage_history h
        JOIN (
            SELECT z.id, min(z.time_zone) AS time_zone, min((now() AT TIME ZONE z.time_zone - z.mature_after) AT TIME ZONE z.time_zone) AS before
            FROM setting z
            GROUP BY z.id
        ) m ON m.id = (h.lead_id IS NOT NULL)
    GROUP BY h.from_stage, h.to_stage, entered_month, from_month
), booked AS (
    SELECT
        v.entered_month,
        stage_rank(v.to_stage) AS stage_rank,
        v.moves AS entered,
        CASE WHEN stage_rank(v.from_stage) = stage_rank(v.to_stage) - 10 AND v.from_stage >= 'visitor' THEN 0 ELSE v.moves END AS entered_directly,
        0 AS converted,
        0 AS lost,
        v.matured,
        0 AS matured_converted
    FROM moved v
    WHERE v.to_stage >= 'visitor'
    UNION ALL
    SELECT
        v.from_month AS entered_month,
        stage_rank(v.from_stage) AS stage_rank,
        0 AS entered,
        0 AS entered_directly,
        CASE WHEN v.to_stage > v.from_stage THEN v.moves ELSE 0 END AS converted,
        CASE WHEN v.to_stage > v.from_stage THEN 0 ELSE v.moves END AS lost,
        0 AS matured,
        CASE WHEN v.to_stage > v.from_stage THEN v.from_matured ELSE 0 END AS matured_converted
    FROM moved v
    WHERE v.from_stage >= 'visitor' AND (v.to_stage > v.from_stage OR v.to_stage < 'visitor')
    UNION ALL
    SELECT
        g.entered_month,
        g.stage_rank,
        sum(g.entered) AS entered,
        sum(g.entered_directly) AS entered_directly,
        sum(g.converted) AS converted,
        sum(g.lost) AS lost,
        sum(g.entered) FILTER (WHERE g.mature) AS matured,
        sum(g.converted) FILTER (WHERE g.mature) AS matured_converted
    FROM funnel_correction g
    GROUP BY g.entered_month, g.stage_rank
), entry AS (
    SELECT
        b.entered_month,
        b.stage_rank,
        sum(b.entered)::bigint AS entered,
        sum(b.entered_directly)::bigint AS entered_directly,
        sum(b.converted)::bigint AS converted,
        sum(b.lost)::bigint AS lost,
        sum(b.matured)::bigint AS matured,
        sum(b.matured_converted)::bigint AS matured_converted
    FROM booked b
    GROUP BY b.entered_month, b.stage_rank
), counted AS (
    SELECT
        k.entered_month,
        t.stage,
        t.stage_rank,
        t.stage_label,
        coalesce(e.entered, 0) AS entered,
        coalesce(e.entered_directly, 0) AS entered_directly,
        coalesce(e.converted, 0) AS converted,
        coalesce(e.lost, 0) AS lost,
        coalesce(e.matured, 0) AS matured,
        coalesce(e.matured_converted, 0) AS matured_converted
    FROM (
            SELECT n.entered_month FROM entry n WHERE n.entered > 0
            UNION
            SELECT month_start(now(), s.time_zone) AS entered_month FROM setting s
        ) k
        CROSS JOIN stages() t
        LEFT JOIN entry e ON e.entered_month = k.entered_month AND e.stage_rank = t.stage_rank
    WHERE t.stage >= 'visitor'
)
SELECT
    c.entered_month,
    c.stage::text AS stage,
    c.stage_rank,
    c.stage_label,
    c.entered,
    c.entered_directly,
    c.converted,
    c.lost,
    c.entered - c.converted - c.lost AS open,
    c.converted::double precision / nullif(c.entered, 0) AS step_rate,
    c.converted + c.lost AS resolved,
    c.matured,
    c.matured_converted,
    c.converted::double precision / nullif(c.converted + c.lost, 0) AS resolved_rate,
    c.matured_converted::double precision / nullif(c.matured, 0) AS matured_rate,
    rate_low(c.converted, c.entered) AS step_low_rate,
    rate_high(c.converted, c.entered) AS step_high_rate
FROM counted c
ORDER BY c.entered_month, c.stage_rank;
COMMENT ON VIEW funnel_cohort IS 'one row a month and stage: what became, whenever, of the leads that entered the stage in that month; months without entries are left out, but for this one';
COMMENT ON COLUMN funnel_cohort.entered_month IS 'first day of the month of entry';
COMMENT ON COLUMN funnel_cohort.stage IS 'the stage';
COMMENT ON COLUMN funnel_cohort.stage_rank IS 'order of the stages';
COMMENT ON COLUMN funnel_cohort.stage_label IS 'the stage with a number in front, for tools that sort by name';
COMMENT ON COLUMN funnel_cohort.entered IS 'leads that entered the stage: converted, lost and open together';
COMMENT ON COLUMN funnel_cohort.entered_directly IS 'of these, those that had not been in the stage before it in this run';
COMMENT ON COLUMN funnel_cohort.converted IS 'of those that entered, those that reached a higher stage afterwards';
COMMENT ON COLUMN funnel_cohort.lost IS 'of those that entered, those that did not, and are recycled, lost or disqualified';
COMMENT ON COLUMN funnel_cohort.open IS 'of those that entered, those of whom neither is known yet';
COMMENT ON COLUMN funnel_cohort.step_rate IS 'converted / entered; too low for young entries, which had little time';
COMMENT ON COLUMN funnel_cohort.resolved IS 'converted + lost';
COMMENT ON COLUMN funnel_cohort.matured IS 'of those that entered, those that did so at least setting.mature_after ago';
COMMENT ON COLUMN funnel_cohort.matured_converted IS 'of these, those that reached a higher stage afterwards';
COMMENT ON COLUMN funnel_cohort.resolved_rate IS 'converted / resolved; too high for young entries, as winners are known first';
COMMENT ON COLUMN funnel_cohort.matured_rate IS 'matured_converted / matured; right for every age, but silent about the young ones';
COMMENT ON COLUMN funnel_cohort.step_low_rate IS 'lower end of the 95 % interval of step_rate (Wilson): wide means few leads';
COMMENT ON COLUMN funnel_cohort.step_high_rate IS 'upper end of it';

CREATE OR REPLACE VIEW funnel_period WITH (security_invoker = true) AS
SELECT
    p.entered_month,
    p.stage,
    p.stage_rank,
    p.stage_label,
    p.entered,
    p.entered_directly,
    p.previous_stage,
    p.previous_stage_rank,
    p.previous_entered,
    p.entered::double precision / nullif(p.previous_entered, 0) AS period_rate
FROM (
        SELECT
            c.entered_month,
            c.stage,
            c.stage_rank,
            c.stage_label,
            c.entered,
            c.entered_directly,
            lag(c.stage) OVER same_month AS previous_stage,
            lag(c.stage_rank) OVER same_month AS previous_stage_rank,
            lag(c.entered) OVER same_month AS previous_entered
        FROM funnel_cohort c
        WINDOW same_month AS (PARTITION BY c.entered_month ORDER BY c.stage_rank)
    ) p
ORDER BY p.entered_month, p.stage_rank;
COMMENT ON VIEW funnel_period IS 'one row a month and stage: entries into the stage beside entries into the stage before in the same month, mostly of other leads; for the share of leads that go on see funnel_cohort';
COMMENT ON COLUMN funnel_period.entered_month IS 'first day of the month';
COMMENT ON COLUMN funnel_period.stage IS 'the stage';
COMMENT ON COLUMN funnel_period.stage_rank IS 'order of the stages';
COMMENT ON COLUMN funnel_period.stage_label IS 'the stage with a number in front, for tools that sort by name';
COMMENT ON COLUMN funnel_period.entered IS 'leads that entered the stage in the month';
COMMENT ON COLUMN funnel_period.entered_directly IS 'of these, those that had not been in the stage before it in this run';
COMMENT ON COLUMN funnel_period.previous_stage IS 'the stage before; NULL: there is none';
COMMENT ON COLUMN funnel_period.previous_stage_rank IS 'order of the stages';
COMMENT ON COLUMN funnel_period.previous_entered IS 'leads that entered that in the month';
COMMENT ON COLUMN funnel_period.period_rate IS 'entered / previous_entered; may exceed 1, as these are not the same leads';

CREATE OR REPLACE VIEW funnel_by_channel WITH (security_invoker = true) AS
WITH booked AS (
    SELECT
        coalesce(d.channel, '(none)') AS channel,
        g.stage_rank,
        sum(g.entered) AS entered,
        sum(g.entered_directly) AS entered_directly,
        sum(g.converted) AS converted,
        sum(g.lost) AS lost,
        sum(g.entered) FILTER (WHERE g.mature) AS matured,
        sum(g.converted) FILTER (WHERE g.mature) AS matured_converted
    FROM funnel_ledger g
        LEFT JOIN lead_dim d USING (lead_id)
    GROUP BY coalesce(d.channel, '(none)'), g.stage_rank
    UNION ALL
    SELECT
        coalesce(d.channel, '(none)') AS channel,
        g.stage_rank,
        sum(g.entered) AS entered,
        sum(g.entered_directly) AS entered_directly,
        sum(g.converted) AS converted,
        sum(g.lost) AS lost,
        sum(g.entered) FILTER (WHERE g.mature) AS matured,
        sum(g.converted) FILTER (WHERE g.mature) AS matured_converted
    FROM funnel_correction g
        LEFT JOIN lead_dim d USING (lead_id)
    GROUP BY coalesce(d.channel, '(none)'), g.stage_rank
), entry AS (
    SELECT
        b.channel,
        b.stage_rank,
        sum(b.entered)::bigint AS entered,
        sum(b.entered_directly)::bigint AS entered_directly,
        sum(b.converted)::bigint AS converted,
        sum(b.lost)::bigint AS lost,
        sum(b.matured)::bigint AS matured,
        sum(b.matured_converted)::bigint AS matured_converted
    FROM booked b
    GROUP BY b.channel, b.stage_rank
), counted AS (
    SELECT
        k.channel,
        t.stage,
        t.stage_rank,
        t.stage_label,
        coalesce(e.entered, 0) AS entered,
        coalesce(e.entered_directly, 0) AS entered_directly,
        coalesce(e.converted, 0) AS converted,
        coalesce(e.lost, 0) AS lost,
        coalesce(e.matured, 0) AS matured,
        coalesce(e.matured_converted, 0) AS matured_converted
    FROM (
            SELECT n.channel FROM entry n
            UNION
            SELECT '(none)' AS channel
        ) k
        CROSS JOIN stages() t
        LEFT JOIN entry e ON e.channel = k.channel AND e.stage_rank = t.stage_rank
    WHERE t.stage >= 'visitor'
)
SELECT
    c.channel,
    c.stage::text AS stage,
    c.stage_rank,
    c.stage_label,
    c.entered,
    c.entered_directly,
    c.converted,
    c.lost,
    c.entered - c.converted - c.lost AS open,
    c.converted::double precision / nullif(c.entered, 0) AS step_rate,
    c.converted + c.lost AS resolved,
    c.matured,
    c.matured_converted,
    c.converted::double precision / nullif(c.converted + c.lost, 0) AS resolved_rate,
    c.matured_converted::double precision / nullif(c.matured, 0) AS matured_rate,
    rate_low(c.converted, c.entered) AS step_low_rate,
    rate_high(c.converted, c.entered) AS step_high_rate
FROM counted c
ORDER BY c.channel, c.stage_rank;
COMMENT ON VIEW funnel_by_channel IS 'one row a channel and stage: the funnel of its leads; (none): leads without';
COMMENT ON COLUMN funnel_by_channel.channel IS 'channel that the lead came by, or that of its campaign; (none): not known';
COMMENT ON COLUMN funnel_by_channel.stage IS 'the stage';
COMMENT ON COLUMN funnel_by_channel.stage_rank IS 'order of the stages';
COMMENT ON COLUMN funnel_by_channel.stage_label IS 'the stage with a number in front, for tools that sort by name';
COMMENT ON COLUMN funnel_by_channel.entered IS 'leads that entered the stage: converted, lost and open together';
COMMENT ON COLUMN funnel_by_channel.entered_directly IS 'of these, those that had not been in the stage before it in this run';
COMMENT ON COLUMN funnel_by_channel.converted IS 'of those that entered, those that reached a higher stage afterwards';
COMMENT ON COLUMN funnel_by_channel.lost IS 'of those that entered, those that did not, and are recycled, lost or disqualified';
COMMENT ON COLUMN funnel_by_channel.open IS 'of those that entered, those of whom neither is known yet';
COMMENT ON COLUMN funnel_by_channel.step_rate IS 'converted / entered; too low for young entries, which had little time';
COMMENT ON COLUMN funnel_by_channel.resolved IS 'converted + lost';
COMMENT ON COLUMN funnel_by_channel.matured IS 'of those that entered, those that did so at least setting.mature_after ago';
COMMENT ON COLUMN funnel_by_channel.matured_converted IS 'of these, those that reached a higher stage afterwards';
COMMENT ON COLUMN funnel_by_channel.resolved_rate IS 'converted / resolved; too high for young entries, as winners are known first';
COMMENT ON COLUMN funnel_by_channel.matured_rate IS 'matured_converted / matured; right for every age, but silent about the young ones';
COMMENT ON COLUMN funnel_by_channel.step_low_rate IS 'lower end of the 95 % interval of step_rate (Wilson): wide means few leads';
COMMENT ON COLUMN funnel_by_channel.step_high_rate IS 'upper end of it';

CREATE OR REPLACE VIEW funnel_by_campaign WITH (security_invoker = true) AS
WITH booked AS (
    SELECT
        coalesce(d.campaign, '(none)') AS campaign,
        g.stage_rank,
        sum(g.entered) AS entered,
        sum(g.entered_directly) AS entered_directly,
        sum(g.converted) AS converted,
        sum(g.lost) AS lost,
        sum(g.entered) FILTER (WHERE g.mature) AS matured,
        sum(g.converted) FILTER (WHERE g.mature) AS matured_converted
    FROM funnel_ledger g
        LEFT JOIN lead_dim d USING (lead_id)
    GROUP BY coalesce(d.campaign, '(none)'), g.stage_rank
    UNION ALL
    SELECT
        coalesce(d.campaign, '(none)') AS campaign,
        g.stage_rank,
        sum(g.entered) AS entered,
        sum(g.entered_directly) AS entered_directly,
        sum(g.converted) AS converted,
        sum(g.lost) AS lost,
        sum(g.entered) FILTER (WHERE g.mature) AS matured,
        sum(g.converted) FILTER (WHERE g.mature) AS matured_converted
    FROM funnel_correction g
        LEFT JOIN lead_dim d USING (lead_id)
    GROUP BY coalesce(d.campaign, '(none)'), g.stage_rank
), entry AS (
    SELECT
        b.campaign,
        b.stage_rank,
        sum(b.entered)::bigint AS entered,
        sum(b.entered_directly)::bigint AS entered_directly,
        sum(b.converted)::bigint AS converted,
        sum(b.lost)::bigint AS lost,
        sum(b.matured)::bigint AS matured,
        sum(b.matured_converted)::bigint AS matured_converted
    FROM booked b
    GROUP BY b.campaign, b.stage_rank
), counted AS (
    SELECT
        k.campaign,
        t.stage,
        t.stage_rank,
        t.stage_label,
        coalesce(e.entered, 0) AS entered,
        coalesce(e.entered_directly, 0) AS entered_directly,
        coalesce(e.converted, 0) AS converted,
        coalesce(e.lost, 0) AS lost,
        coalesce(e.matured, 0) AS matured,
        coalesce(e.matured_converted, 0) AS matured_converted
    FROM (
            SELECT n.campaign FROM entry n
            UNION
            SELECT '(none)' AS campaign
        ) k
        CROSS JOIN stages() t
        LEFT JOIN entry e ON e.campaign = k.campaign AND e.stage_rank = t.stage_rank
    WHERE t.stage >= 'visitor'
)
SELECT
    c.campaign,
    c.stage::text AS stage,
    c.stage_rank,
    c.stage_label,
    c.entered,
    c.entered_directly,
    c.converted,
    c.lost,
    c.entered - c.converted - c.lost AS open,
    c.converted::double precision / nullif(c.entered, 0) AS step_rate,
    c.converted + c.lost AS resolved,
    c.matured,
    c.matured_converted,
    c.converted::double precision / nullif(c.converted + c.lost, 0) AS resolved_rate,
    c.matured_converted::double precision / nullif(c.matured, 0) AS matured_rate,
    rate_low(c.converted, c.entered) AS step_low_rate,
    rate_high(c.converted, c.entered) AS step_high_rate
FROM counted c
ORDER BY c.campaign, c.stage_rank;
COMMENT ON VIEW funnel_by_campaign IS 'one row a campaign and stage: the funnel of its leads; (none): leads without';
COMMENT ON COLUMN funnel_by_campaign.campaign IS 'campaign that the lead came by; (none): not known';
COMMENT ON COLUMN funnel_by_campaign.stage IS 'the stage';
COMMENT ON COLUMN funnel_by_campaign.stage_rank IS 'order of the stages';
COMMENT ON COLUMN funnel_by_campaign.stage_label IS 'the stage with a number in front, for tools that sort by name';
COMMENT ON COLUMN funnel_by_campaign.entered IS 'leads that entered the stage: converted, lost and open together';
COMMENT ON COLUMN funnel_by_campaign.entered_directly IS 'of these, those that had not been in the stage before it in this run';
COMMENT ON COLUMN funnel_by_campaign.converted IS 'of those that entered, those that reached a higher stage afterwards';
COMMENT ON COLUMN funnel_by_campaign.lost IS 'of those that entered, those that did not, and are recycled, lost or disqualified';
COMMENT ON COLUMN funnel_by_campaign.open IS 'of those that entered, those of whom neither is known yet';
COMMENT ON COLUMN funnel_by_campaign.step_rate IS 'converted / entered; too low for young entries, which had little time';
COMMENT ON COLUMN funnel_by_campaign.resolved IS 'converted + lost';
COMMENT ON COLUMN funnel_by_campaign.matured IS 'of those that entered, those that did so at least setting.mature_after ago';
COMMENT ON COLUMN funnel_by_campaign.matured_converted IS 'of these, those that reached a higher stage afterwards';
COMMENT ON COLUMN funnel_by_campaign.resolved_rate IS 'converted / resolved; too high for young entries, as winners are known first';
COMMENT ON COLUMN funnel_by_campaign.matured_rate IS 'matured_converted / matured; right for every age, but silent about the young ones';
COMMENT ON COLUMN funnel_by_campaign.step_low_rate IS 'lower end of the 95 % interval of step_rate (Wilson): wide means few leads';
COMMENT ON COLUMN funnel_by_campaign.step_high_rate IS 'upper end of it';

CREATE OR REPLACE VIEW funnel_by_market WITH (security_invoker = true) AS
WITH booked AS (
    SELECT
        coalesce(d.market, '(none)') AS market,
        g.stage_rank,
        sum(g.entered) AS entered,
        sum(g.entered_directly) AS entered_directly,
        sum(g.converted) AS converted,
        sum(g.lost) AS lost,
        sum(g.entered) FILTER (WHERE g.mature) AS matured,
        sum(g.converted) FILTER (WHERE g.mature) AS matured_converted
    FROM funnel_ledger g
        LEFT JOIN lead_dim d USING (lead_id)
    GROUP BY coalesce(d.market, '(none)'), g.stage_rank
    UNION ALL
    SELECT
        coalesce(d.market, '(none)') AS market,
        g.stage_rank,
        sum(g.entered) AS entered,
        sum(g.entered_directly) AS entered_directly,
        sum(g.converted) AS converted,
        sum(g.lost) AS lost,
        sum(g.entered) FILTER (WHERE g.mature) AS matured,
        sum(g.converted) FILTER (WHERE g.mature) AS matured_converted
    FROM funnel_correction g
        LEFT JOIN lead_dim d USING (lead_id)
    GROUP BY coalesce(d.market, '(none)'), g.stage_rank
), entry AS (
    SELECT
        b.market,
        b.stage_rank,
        sum(b.entered)::bigint AS entered,
        sum(b.entered_directly)::bigint AS entered_directly,
        sum(b.converted)::bigint AS converted,
        sum(b.lost)::bigint AS lost,
        sum(b.matured)::bigint AS matured,
        sum(b.matured_converted)::bigint AS matured_converted
    FROM booked b
    GROUP BY b.market, b.stage_rank
), counted AS (
    SELECT
        k.market,
        t.stage,
        t.stage_rank,
        t.stage_label,
        coalesce(e.entered, 0) AS entered,
        coalesce(e.entered_directly, 0) AS entered_directly,
        coalesce(e.converted, 0) AS converted,
        coalesce(e.lost, 0) AS lost,
        coalesce(e.matured, 0) AS matured,
        coalesce(e.matured_converted, 0) AS matured_converted
    FROM (
            SELECT n.market FROM entry n
            UNION
            SELECT '(none)' AS market
        ) k
        CROSS JOIN stages() t
        LEFT JOIN entry e ON e.market = k.market AND e.stage_rank = t.stage_rank
    WHERE t.stage >= 'visitor'
)
SELECT
    c.market,
    c.stage::text AS stage,
    c.stage_rank,
    c.stage_label,
    c.entered,
    c.entered_directly,
    c.converted,
    c.lost,
    c.entered - c.converted - c.lost AS open,
    c.converted::double precision / nullif(c.entered, 0) AS step_rate,
    c.converted + c.lost AS resolved,
    c.matured,
    c.matured_converted,
    c.converted::double precision / nullif(c.converted + c.lost, 0) AS resolved_rate,
    c.matured_converted::double precision / nullif(c.matured, 0) AS matured_rate,
    rate_low(c.converted, c.entered) AS step_low_rate,
    rate_high(c.converted, c.entered) AS step_high_rate
FROM counted c
ORDER BY c.market, c.stage_rank;
COMMENT ON VIEW funnel_by_market IS 'one row a market and stage: the funnel of its leads; (none): leads without';
COMMENT ON COLUMN funnel_by_market.market IS 'b2b or b2c; (none): not known';
COMMENT ON COLUMN funnel_by_market.stage IS 'the stage';
COMMENT ON COLUMN funnel_by_market.stage_rank IS 'order of the stages';
COMMENT ON COLUMN funnel_by_market.stage_label IS 'the stage with a number in front, for tools that sort by name';
COMMENT ON COLUMN funnel_by_market.entered IS 'leads that entered the stage: converted, lost and open together';
COMMENT ON COLUMN funnel_by_market.entered_directly IS 'of these, those that had not been in the stage before it in this run';
COMMENT ON COLUMN funnel_by_market.converted IS 'of those that entered, those that reached a higher stage afterwards';
COMMENT ON COLUMN funnel_by_market.lost IS 'of those that entered, those that did not, and are recycled, lost or disqualified';
COMMENT ON COLUMN funnel_by_market.open IS 'of those that entered, those of whom neither is known yet';
COMMENT ON COLUMN funnel_by_market.step_rate IS 'converted / entered; too low for young entries, which had little time';
COMMENT ON COLUMN funnel_by_market.resolved IS 'converted + lost';
COMMENT ON COLUMN funnel_by_market.matured IS 'of those that entered, those that did so at least setting.mature_after ago';
COMMENT ON COLUMN funnel_by_market.matured_converted IS 'of these, those that reached a higher stage afterwards';
COMMENT ON COLUMN funnel_by_market.resolved_rate IS 'converted / resolved; too high for young entries, as winners are known first';
COMMENT ON COLUMN funnel_by_market.matured_rate IS 'matured_converted / matured; right for every age, but silent about the young ones';
COMMENT ON COLUMN funnel_by_market.step_low_rate IS 'lower end of the 95 % interval of step_rate (Wilson): wide means few leads';
COMMENT ON COLUMN funnel_by_market.step_high_rate IS 'upper end of it';

CREATE OR REPLACE VIEW funnel_by_owner WITH (security_invoker = true) AS
WITH booked AS (
    SELECT
        coalesce(d.owner, '(none)') AS owner,
        g.stage_rank,
        sum(g.entered) AS entered,
        sum(g.entered_directly) AS entered_directly,
        sum(g.converted) AS converted,
        sum(g.lost) AS lost,
        sum(g.entered) FILTER (WHERE g.mature) AS matured,
        sum(g.converted) FILTER (WHERE g.mature) AS matured_converted
    FROM funnel_ledger g
        LEFT JOIN lead_dim d USING (lead_id)
    GROUP BY coalesce(d.owner, '(none)'), g.stage_rank
    UNION ALL
    SELECT
        coalesce(d.owner, '(none)') AS owner,
        g.stage_rank,
        sum(g.entered) AS entered,
        sum(g.entered_directly) AS entered_directly,
        sum(g.converted) AS converted,
        sum(g.lost) AS lost,
        sum(g.entered) FILTER (WHERE g.mature) AS matured,
        sum(g.converted) FILTER (WHERE g.mature) AS matured_converted
    FROM funnel_correction g
        LEFT JOIN lead_dim d USING (lead_id)
    GROUP BY coalesce(d.owner, '(none)'), g.stage_rank
), entry AS (
    SELECT
        b.owner,
        b.stage_rank,
        sum(b.entered)::bigint AS entered,
        sum(b.entered_directly)::bigint AS entered_directly,
        sum(b.converted)::bigint AS converted,
        sum(b.lost)::bigint AS lost,
        sum(b.matured)::bigint AS matured,
        sum(b.matured_converted)::bigint AS matured_converted
    FROM booked b
    GROUP BY b.owner, b.stage_rank
), counted AS (
    SELECT
        k.owner,
        t.stage,
        t.stage_rank,
        t.stage_label,
        coalesce(e.entered, 0) AS entered,
        coalesce(e.entered_directly, 0) AS entered_directly,
        coalesce(e.converted, 0) AS converted,
        coalesce(e.lost, 0) AS lost,
        coalesce(e.matured, 0) AS matured,
        coalesce(e.matured_converted, 0) AS matured_converted
    FROM (
            SELECT n.owner FROM entry n
            UNION
            SELECT '(none)' AS owner
        ) k
        CROSS JOIN stages() t
        LEFT JOIN entry e ON e.owner = k.owner AND e.stage_rank = t.stage_rank
    WHERE t.stage >= 'visitor'
)
SELECT
    c.owner,
    c.stage::text AS stage,
    c.stage_rank,
    c.stage_label,
    c.entered,
    c.entered_directly,
    c.converted,
    c.lost,
    c.entered - c.converted - c.lost AS open,
    c.converted::double precision / nullif(c.entered, 0) AS step_rate,
    c.converted + c.lost AS resolved,
    c.matured,
    c.matured_converted,
    c.converted::double precision / nullif(c.converted + c.lost, 0) AS resolved_rate,
    c.matured_converted::double precision / nullif(c.matured, 0) AS matured_rate,
    rate_low(c.converted, c.entered) AS step_low_rate,
    rate_high(c.converted, c.entered) AS step_high_rate
FROM counted c
ORDER BY c.owner, c.stage_rank;
COMMENT ON VIEW funnel_by_owner IS 'one row an owner and stage: the funnel of its leads; (none): leads without';
COMMENT ON COLUMN funnel_by_owner.owner IS 'who looks after the lead; (none): nobody';
COMMENT ON COLUMN funnel_by_owner.stage IS 'the stage';
COMMENT ON COLUMN funnel_by_owner.stage_rank IS 'order of the stages';
COMMENT ON COLUMN funnel_by_owner.stage_label IS 'the stage with a number in front, for tools that sort by name';
COMMENT ON COLUMN funnel_by_owner.entered IS 'leads that entered the stage: converted, lost and open together';
COMMENT ON COLUMN funnel_by_owner.entered_directly IS 'of these, those that had not been in the stage before it in this run';
COMMENT ON COLUMN funnel_by_owner.converted IS 'of those that entered, those that reached a higher stage afterwards';
COMMENT ON COLUMN funnel_by_owner.lost IS 'of those that entered, those that did not, and are recycled, lost or disqualified';
COMMENT ON COLUMN funnel_by_owner.open IS 'of those that entered, those of whom neither is known yet';
COMMENT ON COLUMN funnel_by_owner.step_rate IS 'converted / entered; too low for young entries, which had little time';
COMMENT ON COLUMN funnel_by_owner.resolved IS 'converted + lost';
COMMENT ON COLUMN funnel_by_owner.matured IS 'of those that entered, those that did so at least setting.mature_after ago';
COMMENT ON COLUMN funnel_by_owner.matured_converted IS 'of these, those that reached a higher stage afterwards';
COMMENT ON COLUMN funnel_by_owner.resolved_rate IS 'converted / resolved; too high for young entries, as winners are known first';
COMMENT ON COLUMN funnel_by_owner.matured_rate IS 'matured_converted / matured; right for every age, but silent about the young ones';
COMMENT ON COLUMN funnel_by_owner.step_low_rate IS 'lower end of the 95 % interval of step_rate (Wilson): wide means few leads';
COMMENT ON COLUMN funnel_by_owner.step_high_rate IS 'upper end of it';

CREATE OR REPLACE FUNCTION funnel_between("from" date, "to" date, time_zone text DEFAULT NULL)
    RETURNS TABLE (stage text, stage_rank integer, stage_label text, entered bigint, entered_directly bigint, converted bigint,
        lost bigint, open bigint, step_rate double precision, resolved bigint, matured bigint, matured_converted bigint,
        resolved_rate double precision, matured_rate double precision, step_low_rate double precision, step_high_rate double precision)
    LANGUAGE sql STABLE PARALLEL SAFE ROWS 7
BEGIN ATOMIC
    WITH range AS MATERIALIZED (
        SELECT
            require_range(funnel_between."from", funnel_between."to") AS checked,
            funnel_between."from"::timestamp AT TIME ZONE z.time_zone AS since,
            (funnel_between."to" + 1)::timestamp AT TIME ZONE z.time_zone AS until
        FROM setting s
            CROSS JOIN LATERAL (SELECT require_time_zone(coalesce(funnel_between.time_zone, s.time_zone)) OFFSET 0) AS z (time_zone)
    ), booked AS (
        SELECT
            g.stage_rank,
            sum(g.entered) AS entered,
            sum(g.entered_directly) AS entered_directly,
            sum(g.converted) AS converted,
            sum(g.lost) AS lost,
            sum(g.entered) FILTER (WHERE g.mature) AS matured,
            sum(g.converted) FILTER (WHERE g.mature) AS matured_converted
        FROM funnel_ledger g
            CROSS JOIN range r
        WHERE r.checked AND g.entered_at >= r.since AND g.entered_at < r.until
        GROUP BY g.stage_rank
        UNION ALL
        SELECT
            g.stage_rank,
            sum(g.entered) AS entered,
            sum(g.entered_directly) AS entered_directly,
            sum(g.converted) AS converted,
            sum(g.lost) AS lost,
            sum(g.entered) FILTER (WHERE g.mature) AS matured,
            sum(g.converted) FILTER (WHERE g.mature) AS matured_converted
        FROM funnel_correction g
            CROSS JOIN range r
        WHERE r.checked AND g.entered_at >= r.since AND g.entered_at < r.until
        GROUP BY g.stage_rank
    ), entry AS (
        SELECT
            b.stage_rank,
            sum(b.entered)::bigint AS entered,
            sum(b.entered_directly)::bigint AS entered_directly,
            sum(b.converted)::bigint AS converted,
            sum(b.lost)::bigint AS lost,
            sum(b.matured)::bigint AS matured,
            sum(b.matured_converted)::bigint AS matured_converted
        FROM booked b
        GROUP BY b.stage_rank
    ), counted AS (
        SELECT
            t.stage,
            t.stage_rank,
            t.stage_label,
            coalesce(e.entered, 0) AS entered,
            coalesce(e.entered_directly, 0) AS entered_directly,
            coalesce(e.converted, 0) AS converted,
            coalesce(e.lost, 0) AS lost,
            coalesce(e.matured, 0) AS matured,
            coalesce(e.matured_converted, 0) AS matured_converted
        FROM range r
            JOIN stages() t ON r.checked AND t.stage >= 'visitor'
            LEFT JOIN entry e USING (stage_rank)
    )
    SELECT
        c.stage::text AS stage,
        c.stage_rank,
        c.stage_label,
        c.entered,
        c.entered_directly,
        c.converted,
        c.lost,
        c.entered - c.converted - c.lost AS open,
        c.converted::double precision / nullif(c.entered, 0) AS step_rate,
        c.converted + c.lost AS resolved,
        c.matured,
        c.matured_converted,
        c.converted::double precision / nullif(c.converted + c.lost, 0) AS resolved_rate,
        c.matured_converted::double precision / nullif(c.matured, 0) AS matured_rate,
        rate_low(c.converted, c.entered) AS step_low_rate,
        rate_high(c.converted, c.entered) AS step_high_rate
    FROM counted c
    ORDER BY c.stage_rank;
END;
COMMENT ON FUNCTION funnel_between(date, date, text) IS
    'the funnel of the leads that entered stages from one day to another, both included; time_zone: that of the pipeline if not given';

-- A row of every day on which a lead changed, and sums up to it.
CREATE OR REPLACE VIEW stage_daily WITH (security_invoker = true) AS
WITH moved AS (
    -- what is older than 50 years counts from then on: one wrong date must
    -- not make the view endless
    SELECT greatest(v.day_date, (now() AT TIME ZONE 'UTC')::date - 18262) AS day_date, v.stage_rank, sum(v.leads) AS leads
    FROM (
            SELECT (h.effective_at AT TIME ZONE z.time_zone)::date AS day_date, stage_rank(h.to_stage) AS stage_rank, 1 AS leads
            FROM stage_history h CROSS JOIN setting z
            UNION ALL
            SELECT (h.effective_at AT TIME ZONE z.time_zone)::date AS day_date, stage_rank(h.from_stage) AS stage_rank, -1 AS leads
            FROM stage_history h CROSS JOIN setting z
            WHERE h.from_stage IS NOT NULL
        ) v
    GROUP BY greatest(v.day_date, (now() AT TIME ZONE 'UTC')::date - 18262), v.stage_rank
)
SELECT
    d.day_date,
    t.stage::text AS stage,
    t.stage_rank,
    t.stage_label,
    (coalesce(sum(v.leads) OVER (PARTITION BY t.stage_rank ORDER BY d.day_date), 0))::bigint AS leads
FROM (
        SELECT b.first_date + n AS day_date
        FROM (
                SELECT least(f.first_date, (now() AT TIME ZONE z.time_zone)::date) AS first_date, (now() AT TIME ZONE z.time_zone)::date AS today
                FROM setting z
                    CROSS JOIN (SELECT min(w.day_date) AS first_date FROM moved w) f
            ) b
            CROSS JOIN LATERAL generate_series(0, b.today - b.first_date) n
    ) d
    CROSS JOIN stages() t
    LEFT JOIN moved v ON v.day_date = d.day_date AND v.stage_rank = t.stage_rank
ORDER BY d.day_date, t.stage_rank;
COMMENT ON VIEW stage_daily IS 'one row a day and stage: how many leads were in the stage at the end of the day; exits too';
COMMENT ON COLUMN stage_daily.day_date IS 'the day, in the time zone of the pipeline; the last is today so far';
COMMENT ON COLUMN stage_daily.stage IS 'the stage';
COMMENT ON COLUMN stage_daily.stage_rank IS 'order of the stages';
COMMENT ON COLUMN stage_daily.stage_label IS 'the stage with a number in front, for tools that sort by name';
COMMENT ON COLUMN stage_daily.leads IS 'leads in this stage as the day ended';

-- Only characters that every encoding has.
CREATE OR REPLACE VIEW funnel_chart WITH (security_invoker = true) AS
SELECT
    f.stage,
    f.stage_rank,
    f.stage_label,
    f.reached,
    f.step_rate,
    to_char(100 * f.step_rate, 'FM990.0') || ' %' AS step_percent,
    repeat('#', CASE WHEN f.reached > 0 THEN greatest(1, round(40 * f.cumulative_rate)::integer) ELSE 0 END) AS chart
FROM funnel f
ORDER BY f.stage_rank;
COMMENT ON VIEW funnel_chart IS 'the funnel as a picture, for psql';
COMMENT ON COLUMN funnel_chart.stage IS 'the stage';
COMMENT ON COLUMN funnel_chart.stage_rank IS 'order of the stages';
COMMENT ON COLUMN funnel_chart.stage_label IS 'the stage with a number in front, for tools that sort by name';
COMMENT ON COLUMN funnel_chart.reached IS 'leads that got this far or farther';
COMMENT ON COLUMN funnel_chart.step_rate IS 'converted / entered; too low for young entries, which had little time';
COMMENT ON COLUMN funnel_chart.step_percent IS 'step_rate in words, of the leads that entered this stage';
COMMENT ON COLUMN funnel_chart.chart IS 'reached as a bar; 40 characters are all leads of the funnel';
$pipeline_ddl$),
('51-velocity', $pipeline_ddl$-- How long it takes: in stages, from stage to stage, to the sale.

-- What has ended and what goes on are rows of their own: a mean over both
-- would be too short, and one over what has ended alone hides the slow ones.
CREATE OR REPLACE VIEW stage_velocity WITH (security_invoker = true) AS
WITH period AS (
    SELECT
        stage_rank(h.from_stage) AS stage_rank,
        h.to_stage AS next_stage,
        date_part('epoch', h.effective_at - h.from_since) / 86400 AS days
    FROM stage_history h
    WHERE h.from_stage >= 'visitor'
), measured AS (
    SELECT 'left' AS outcome, p.stage_rank, NULL::lead_stage AS next_stage, count(*) AS periods, avg(p.days) AS mean_days,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY p.days) AS median_days,
        percentile_cont(0.9) WITHIN GROUP (ORDER BY p.days) AS p90_days
    FROM period p
    GROUP BY p.stage_rank
    UNION ALL
    SELECT 'step' AS outcome, p.stage_rank, p.next_stage, count(*) AS periods, avg(p.days) AS mean_days,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY p.days) AS median_days,
        percentile_cont(0.9) WITHIN GROUP (ORDER BY p.days) AS p90_days
    FROM period p
    GROUP BY p.stage_rank, p.next_stage
    UNION ALL
    SELECT 'open' AS outcome, o.stage_rank, NULL::lead_stage AS next_stage, count(*) AS periods, avg(o.days) AS mean_days,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY o.days) AS median_days,
        percentile_cont(0.9) WITHIN GROUP (ORDER BY o.days) AS p90_days
    FROM (
            SELECT stage_rank(s.stage) AS stage_rank, date_part('epoch', now() - s.stage_since) / 86400 AS days
            FROM lead_state s
            WHERE s.stage >= 'visitor'
        ) o
    GROUP BY o.stage_rank
)
SELECT
    t.stage::text AS stage,
    t.stage_rank,
    t.stage_label,
    k.outcome,
    m.next_stage::text AS next_stage,
    stage_rank(m.next_stage) AS next_stage_rank,
    coalesce(m.periods, 0) AS periods,
    m.mean_days,
    m.median_days,
    m.p90_days
FROM stages() t
    CROSS JOIN (VALUES (1, 'left'), (2, 'step'), (3, 'open')) AS k (place, outcome)
    LEFT JOIN measured m ON m.outcome = k.outcome AND m.stage_rank = t.stage_rank
WHERE t.stage >= 'visitor' AND (k.outcome <> 'step' OR m.periods > 0)
ORDER BY t.stage_rank, k.place, next_stage_rank;
COMMENT ON VIEW stage_velocity IS 'how long leads stay in a stage: for each stage a row for all who left it, a row for each stage they left it for, and a row for those still there';
COMMENT ON COLUMN stage_velocity.stage IS 'the stage';
COMMENT ON COLUMN stage_velocity.stage_rank IS 'order of the stages';
COMMENT ON COLUMN stage_velocity.stage_label IS 'the stage with a number in front, for tools that sort by name';
COMMENT ON COLUMN stage_velocity.outcome IS 'left: all who left the stage; step: those who went to next_stage; open: those still there, with the days so far';
COMMENT ON COLUMN stage_velocity.next_stage IS 'stage that they went to, of the rows step';
COMMENT ON COLUMN stage_velocity.next_stage_rank IS 'order of the stages';
COMMENT ON COLUMN stage_velocity.periods IS 'how often';
COMMENT ON COLUMN stage_velocity.mean_days IS 'mean of the days in the stage';
COMMENT ON COLUMN stage_velocity.median_days IS 'half took no longer';
COMMENT ON COLUMN stage_velocity.p90_days IS 'nine of ten took no longer';

-- Aalen-Johansen: of those still in the running on a day, a share converts and
-- a share is lost; who is younger than that day is not counted there, rather
-- than counted as a failure. Lost leads are an outcome of their own: taken for
-- merely unknown (Kaplan-Meier alone) they would make conversion look better.
CREATE OR REPLACE VIEW conversion_curve WITH (security_invoker = true) AS
WITH entry AS (
    SELECT
        e.stage_rank,
        floor(date_part('epoch', coalesce(e.converted_at, e.lost_at, now()) - e.entered_at) / 86400)::integer AS after_days,
        e.converted,
        e.lost,
        e.open
    FROM stage_entry e
    WHERE e.entered = 1
), day AS (
    SELECT
        e.stage_rank,
        greatest(e.after_days, 0) AS after_days,
        sum(e.converted) AS converted,
        sum(e.lost) AS lost,
        sum(e.open) AS open,
        count(*) AS leads
    FROM entry e
    GROUP BY e.stage_rank, greatest(e.after_days, 0)
), risk AS (
    SELECT
        d.*,
        (sum(d.leads) OVER (PARTITION BY d.stage_rank ORDER BY d.after_days DESC))::bigint AS at_risk
    FROM day d
), survival AS (
    SELECT
        r.*,
        coalesce(product(1 - (r.converted + r.lost)::double precision / r.at_risk) OVER earlier, 1) AS open_before
    FROM risk r
    WINDOW earlier AS (PARTITION BY r.stage_rank ORDER BY r.after_days ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
)
SELECT
    t.stage::text AS stage,
    t.stage_rank,
    t.stage_label,
    s.after_days,
    coalesce(s.at_risk, 0) AS at_risk,
    coalesce(s.converted, 0) AS converted,
    coalesce(s.lost, 0) AS lost,
    coalesce(s.open, 0) AS open,
    sum(s.open_before * s.converted / s.at_risk) OVER so_far AS converted_rate,
    sum(s.open_before * s.lost / s.at_risk) OVER so_far AS lost_rate,
    s.open_before * (1 - (s.converted + s.lost)::double precision / s.at_risk) AS open_rate
FROM stages() t
    LEFT JOIN survival s USING (stage_rank)
WHERE t.stage >= 'visitor'
WINDOW so_far AS (PARTITION BY t.stage_rank ORDER BY s.after_days)
ORDER BY t.stage_rank, s.after_days;
COMMENT ON VIEW conversion_curve IS 'one row a stage and number of days on which something happened: the share of leads that has reached a higher stage so many days after it entered, with young leads counted for the days they have had (Kaplan-Meier, with lost as an outcome of its own)';
COMMENT ON COLUMN conversion_curve.stage IS 'the stage';
COMMENT ON COLUMN conversion_curve.stage_rank IS 'order of the stages';
COMMENT ON COLUMN conversion_curve.stage_label IS 'the stage with a number in front, for tools that sort by name';
COMMENT ON COLUMN conversion_curve.after_days IS 'full days since the entry; NULL: nobody entered the stage';
COMMENT ON COLUMN conversion_curve.at_risk IS 'entries that were in the running for so many days';
COMMENT ON COLUMN conversion_curve.converted IS 'of these, those that reached a higher stage on that day';
COMMENT ON COLUMN conversion_curve.lost IS 'of these, those that were lost on that day';
COMMENT ON COLUMN conversion_curve.open IS 'of these, those that are just so old and still open';
COMMENT ON COLUMN conversion_curve.converted_rate IS 'share that has converted up to that day';
COMMENT ON COLUMN conversion_curve.lost_rate IS 'share that was lost up to that day';
COMMENT ON COLUMN conversion_curve.open_rate IS 'share that is neither: the three add up to 1';

CREATE OR REPLACE VIEW cycle_time WITH (security_invoker = true) AS
SELECT
    r.lead_id,
    r.cycle,
    r.started_at,
    r.iql_at,
    r.mql_at,
    r.sql_at,
    r.customer_at,
    r.ended_at,
    CASE WHEN r.customer_at IS NOT NULL THEN 'won' WHEN r.ended_at IS NOT NULL THEN 'lost' ELSE 'open' END AS outcome,
    date_part('epoch', r.customer_at - r.started_at) / 86400 AS total_days,
    CASE WHEN r.sql_at >= r.iql_at THEN date_part('epoch', r.sql_at - r.iql_at) / 86400 END AS iql_to_sql_days,
    CASE WHEN r.customer_at >= r.sql_at THEN date_part('epoch', r.customer_at - r.sql_at) / 86400 END AS sql_to_customer_days,
    -- calendar months, by the clock of the pipeline
    (extract(year FROM age(r.customer_at AT TIME ZONE z.time_zone, r.started_at AT TIME ZONE z.time_zone)) * 12
        + extract(month FROM age(r.customer_at AT TIME ZONE z.time_zone, r.started_at AT TIME ZONE z.time_zone)))::integer AS full_months,
    month_start(r.started_at, z.time_zone) AS started_month,
    month_start(r.customer_at, z.time_zone) AS customer_month,
    coalesce(d.market, '(none)') AS market,
    coalesce(d.channel, '(none)') AS channel,
    coalesce(d.owner, '(none)') AS owner
FROM (
        SELECT
            h.lead_id,
            h.cycle,
            min(h.effective_at) FILTER (WHERE h.to_stage >= 'visitor') AS started_at,
            min(h.effective_at) FILTER (WHERE h.to_stage = 'iql'::lead_stage) AS iql_at,
            min(h.effective_at) FILTER (WHERE h.to_stage = 'mql'::lead_stage) AS mql_at,
            min(h.effective_at) FILTER (WHERE h.to_stage = 'sql'::lead_stage) AS sql_at,
            min(h.effective_at) FILTER (WHERE h.to_stage >= 'customer') AS customer_at,
            min(h.effective_at) FILTER (WHERE h.to_stage < 'visitor') AS ended_at
        FROM stage_history h
        GROUP BY h.lead_id, h.cycle
    ) r
    CROSS JOIN setting z
    LEFT JOIN lead_dim d USING (lead_id)
WHERE r.started_at IS NOT NULL;
COMMENT ON VIEW cycle_time IS 'one row a lead and run through the funnel: when it got where, and how long it took to become a customer';
COMMENT ON COLUMN cycle_time.lead_id IS 'the lead';
COMMENT ON COLUMN cycle_time.cycle IS 'number of the run through the funnel';
COMMENT ON COLUMN cycle_time.started_at IS 'when the run began';
COMMENT ON COLUMN cycle_time.iql_at IS 'first became an iql in this run; NULL: never was one';
COMMENT ON COLUMN cycle_time.mql_at IS 'first became an mql';
COMMENT ON COLUMN cycle_time.sql_at IS 'first became an sql';
COMMENT ON COLUMN cycle_time.customer_at IS 'became a customer or advocate';
COMMENT ON COLUMN cycle_time.ended_at IS 'was recycled, lost or disqualified';
COMMENT ON COLUMN cycle_time.outcome IS 'won: became a customer; lost: left the funnel before; open: neither so far';
COMMENT ON COLUMN cycle_time.total_days IS 'from the beginning of the run to the customer';
COMMENT ON COLUMN cycle_time.iql_to_sql_days IS 'from iql to sql; NULL also if it was an sql first';
COMMENT ON COLUMN cycle_time.sql_to_customer_days IS 'from sql to customer';
COMMENT ON COLUMN cycle_time.full_months IS 'full calendar months from the beginning of the run to the customer';
COMMENT ON COLUMN cycle_time.started_month IS 'first day of the month in which the run began';
COMMENT ON COLUMN cycle_time.customer_month IS 'first day of the month in which the lead became a customer';
COMMENT ON COLUMN cycle_time.market IS 'b2b or b2c; (none): not known';
COMMENT ON COLUMN cycle_time.channel IS 'channel that the lead came by, or that of its campaign; (none): not known';
COMMENT ON COLUMN cycle_time.owner IS 'who looks after the lead; (none): nobody';

CREATE OR REPLACE VIEW cycle_time_histogram WITH (security_invoker = true) AS
SELECT
    b.bucket,
    b.bucket_rank,
    b.from_month AS months_from,
    b.until_month AS months_until,
    count(c.lead_id) AS customers,
    count(c.lead_id)::double precision / nullif(sum(count(c.lead_id)) OVER (), 0)::double precision AS share_rate,
    (sum(count(c.lead_id)) OVER (ORDER BY b.bucket_rank))::double precision / nullif(sum(count(c.lead_id)) OVER (), 0)::double precision AS cumulative_rate
FROM (VALUES
        (1, '0-1 months', 0, 1),
        (2, '1-2 months', 1, 2),
        (3, '2-3 months', 2, 3),
        (4, '3-6 months', 3, 6),
        (5, '6-12 months', 6, 12),
        (6, '12-18 months', 12, 18),
        (7, '18-24 months', 18, 24),
        (8, '24 months and more', 24, NULL)
    ) AS b (bucket_rank, bucket, from_month, until_month)
    LEFT JOIN cycle_time c ON c.full_months >= b.from_month AND (c.full_months < b.until_month OR b.until_month IS NULL)
GROUP BY b.bucket, b.bucket_rank, b.from_month, b.until_month
ORDER BY b.bucket_rank;
COMMENT ON VIEW cycle_time_histogram IS 'how many customers took how many calendar months from the beginning of their run; all buckets are there';
COMMENT ON COLUMN cycle_time_histogram.bucket IS 'from so many full months to fewer than so many';
COMMENT ON COLUMN cycle_time_histogram.bucket_rank IS 'order of the buckets';
COMMENT ON COLUMN cycle_time_histogram.months_from IS 'full months from';
COMMENT ON COLUMN cycle_time_histogram.months_until IS 'fewer than; NULL: no end';
COMMENT ON COLUMN cycle_time_histogram.customers IS 'runs that ended in a customer';
COMMENT ON COLUMN cycle_time_histogram.share_rate IS 'share of all of them';
COMMENT ON COLUMN cycle_time_histogram.cumulative_rate IS 'share of this and the shorter ones';
$pipeline_ddl$),
('52-lead-page', $pipeline_ddl$-- The page of one lead: what happened, where it came from, what it wants.
--
-- Ask for one lead by lead_id: WHERE lead_id = lead_id('visitor-1'). No
-- personal data and no properties but the names of contents.

CREATE OR REPLACE FUNCTION content_name(lead_id bigint, event_id bigint) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    SELECT e.properties ->> 'content'
    FROM event e
    WHERE shows_all_leads() AND e.lead_id = content_name.lead_id AND e.event_id = content_name.event_id AND jsonb_typeof(e.properties -> 'content') = 'string';
END;
REVOKE EXECUTE ON FUNCTION content_name(bigint, bigint) FROM PUBLIC;
COMMENT ON FUNCTION content_name(bigint, bigint) IS
    'internal: what an event is about, the property content; readers of views may see this but no other property';

CREATE OR REPLACE VIEW lead_timeline WITH (security_invoker = true) AS
SELECT
    t.lead_id,
    row_number() OVER (PARTITION BY t.lead_id ORDER BY t.happened_at, t.place, t.number) AS entry,
    t.happened_at,
    t.what,
    t.name,
    t.stage,
    t.stage_rank,
    t.cause,
    t.score,
    t.channel,
    t.campaign,
    t.recorded_at
FROM (
        SELECT
            e.lead_id,
            CASE WHEN isfinite(e.occurred_at) THEN e.occurred_at END AS happened_at,
            2 AS place,
            e.event_id AS number,
            'event' AS what,
            e.kind AS name,
            NULL::text AS stage,
            NULL::integer AS stage_rank,
            NULL::text AS cause,
            NULL::double precision AS score,
            e.channel,
            e.campaign,
            CASE WHEN isfinite(e.recorded_at) THEN e.recorded_at END AS recorded_at
        FROM event e
        UNION ALL
        SELECT
            h.lead_id,
            h.effective_at AS happened_at,
            -- a lead is created before anything happens, and moves after it
            CASE WHEN h.from_stage IS NULL THEN 0 ELSE 3 END AS place,
            h.seq AS number,
            'stage' AS what,
            CASE WHEN h.from_stage IS NULL THEN '' ELSE h.from_stage::text || ' -> ' END || h.to_stage::text AS name,
            h.to_stage::text AS stage,
            stage_rank(h.to_stage) AS stage_rank,
            h.cause,
            h.score::double precision AS score,
            NULL::text AS channel,
            NULL::text AS campaign,
            h.recorded_at
        FROM stage_history h
        UNION ALL
        SELECT
            p.lead_id,
            p.changed_at AS happened_at,
            1 AS place,
            p.seq AS number,
            'profile' AS what,
            CASE WHEN p.count > 0 THEN '+ ' ELSE '- ' END || p.signal AS name,
            NULL::text AS stage,
            NULL::integer AS stage_rank,
            NULL::text AS cause,
            NULL::double precision AS score,
            NULL::text AS channel,
            NULL::text AS campaign,
            NULL::timestamptz AS recorded_at
        FROM profile_change p
    ) t;
COMMENT ON VIEW lead_timeline IS 'all that happened to a lead, in one order: events, changes of its profile, changes of its stage';
COMMENT ON COLUMN lead_timeline.lead_id IS 'the lead';
COMMENT ON COLUMN lead_timeline.entry IS 'number of the entry of this lead, in the order in which things happened';
COMMENT ON COLUMN lead_timeline.happened_at IS 'when';
COMMENT ON COLUMN lead_timeline.what IS 'event, profile or stage';
COMMENT ON COLUMN lead_timeline.name IS 'event: its kind; profile: the signal that began (+) or ceased (-) to match; stage: from where to where';
COMMENT ON COLUMN lead_timeline.stage IS 'stage from then on, of the rows stage';
COMMENT ON COLUMN lead_timeline.stage_rank IS 'order of the stages';
COMMENT ON COLUMN lead_timeline.cause IS 'why the stage changed';
COMMENT ON COLUMN lead_timeline.score IS 'score at that change';
COMMENT ON COLUMN lead_timeline.channel IS 'channel of the event';
COMMENT ON COLUMN lead_timeline.campaign IS 'campaign of the event';
COMMENT ON COLUMN lead_timeline.recorded_at IS 'when it was recorded; later than happened_at if it came late';

CREATE OR REPLACE VIEW lead_origin WITH (security_invoker = true) AS
SELECT
    l.lead_id,
    l.external_id,
    d.created_at,
    f.kind AS first_kind,
    f.occurred_at AS first_at,
    coalesce(f.channel, fc.channel) AS first_channel,
    f.campaign AS first_campaign,
    i.kind AS interest_kind,
    i.occurred_at AS interest_at,
    content_name(i.lead_id, i.event_id) AS interest_content,
    b.lead_at,
    d.channel,
    d.direction,
    d.campaign,
    l.referred_by
FROM lead l
    JOIN lead_dim d USING (lead_id)
    LEFT JOIN LATERAL (
        SELECT e.kind, e.occurred_at, e.channel, e.campaign
        FROM event e
        WHERE e.lead_id = l.lead_id AND isfinite(e.occurred_at)
        ORDER BY e.occurred_at, e.event_id
        LIMIT 1
    ) f ON true
    LEFT JOIN campaign fc ON fc.campaign = f.campaign
    LEFT JOIN LATERAL (
        SELECT e.lead_id, e.event_id, e.kind, e.occurred_at
        FROM event e
            JOIN event_kind k USING (kind)
        WHERE e.lead_id = l.lead_id AND isfinite(e.occurred_at)
            AND k.role IN ('capture', 'form_submit', 'download', 'webinar', 'request', 'trial', 'purchase')
        ORDER BY e.occurred_at, e.event_id
        LIMIT 1
    ) i ON true
    LEFT JOIN LATERAL (
        SELECT min(h.effective_at) AS lead_at
        FROM stage_history h
        WHERE h.lead_id = l.lead_id AND h.to_stage >= 'iql'
    ) b ON true;
COMMENT ON VIEW lead_origin IS 'one row a lead: where it came from, and the action by which it first showed interest';
COMMENT ON COLUMN lead_origin.lead_id IS 'the lead';
COMMENT ON COLUMN lead_origin.external_id IS 'name of the lead in the app';
COMMENT ON COLUMN lead_origin.created_at IS 'when the lead was first heard of';
COMMENT ON COLUMN lead_origin.first_kind IS 'kind of its first event';
COMMENT ON COLUMN lead_origin.first_at IS 'when that was';
COMMENT ON COLUMN lead_origin.first_channel IS 'channel of that event, or of its campaign';
COMMENT ON COLUMN lead_origin.first_campaign IS 'campaign of that event';
COMMENT ON COLUMN lead_origin.interest_kind IS 'kind of the first event that shows interest: a form sent, a download, a request, a trial, a purchase ...';
COMMENT ON COLUMN lead_origin.interest_at IS 'when that was';
COMMENT ON COLUMN lead_origin.interest_content IS 'what it was about';
COMMENT ON COLUMN lead_origin.lead_at IS 'when it became a lead, that is iql or higher';
COMMENT ON COLUMN lead_origin.channel IS 'channel that the lead came by, or that of its campaign; (none): not known';
COMMENT ON COLUMN lead_origin.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN lead_origin.campaign IS 'campaign that the lead came by; (none): not known';
COMMENT ON COLUMN lead_origin.referred_by IS 'the lead that recommended us';

CREATE OR REPLACE VIEW lead_profile WITH (security_invoker = true) AS
SELECT
    l.lead_id,
    l.external_id,
    coalesce(l.persona, '(none)') AS persona,
    o.offers_taken,
    a.other_actions,
    coalesce(o.offers, 0) AS offers,
    o.first_offer,
    o.last_offer,
    o.last_offer_at,
    coalesce(a.actions, 0) AS actions,
    a.last_action_at
FROM lead l
    LEFT JOIN LATERAL (
        SELECT
            string_agg(DISTINCT n.offer, ', ' ORDER BY n.offer) AS offers_taken,
            count(*) AS offers,
            (array_agg(n.offer ORDER BY n.occurred_at, n.event_id))[1] AS first_offer,
            (array_agg(n.offer ORDER BY n.occurred_at DESC, n.event_id DESC))[1] AS last_offer,
            max(n.occurred_at) AS last_offer_at
        FROM (
                SELECT e.event_id, e.occurred_at, coalesce(content_name(e.lead_id, e.event_id), e.kind) AS offer
                FROM event e
                    JOIN event_kind k USING (kind)
                WHERE e.lead_id = l.lead_id AND isfinite(e.occurred_at) AND k.role IN ('download', 'webinar')
            ) n
    ) o ON true
    LEFT JOIN LATERAL (
        SELECT
            string_agg(n.kind || ' ' || n.times, ', ' ORDER BY n.times DESC, n.kind) AS other_actions,
            sum(n.times)::bigint AS actions,
            max(n.last_at) AS last_action_at
        FROM (
                SELECT e.kind, count(*) AS times, max(e.occurred_at) AS last_at
                FROM event e
                    LEFT JOIN event_kind k USING (kind)
                WHERE e.lead_id = l.lead_id AND isfinite(e.occurred_at)
                    -- not what we do, and not what is entered by hand
                    AND coalesce(k.role, '') NOT IN ('download', 'webinar', 'email_sent', 'outreach', 'points', 'stage', 'lost', 'disqualified', 'recycled')
                GROUP BY e.kind
            ) n
    ) a ON true;
COMMENT ON VIEW lead_profile IS 'one row a lead, three questions: which persona, which offers did it take, what else did it do';
COMMENT ON COLUMN lead_profile.lead_id IS 'the lead';
COMMENT ON COLUMN lead_profile.external_id IS 'name of the lead in the app';
COMMENT ON COLUMN lead_profile.persona IS 'buyer persona; (none): not known';
COMMENT ON COLUMN lead_profile.offers_taken IS 'contents that it took or attended, or the kind of event if that has no content; NULL: none';
COMMENT ON COLUMN lead_profile.other_actions IS 'what else it did and how often, most often first; NULL: nothing';
COMMENT ON COLUMN lead_profile.offers IS 'how many offers it took, repeated ones too';
COMMENT ON COLUMN lead_profile.first_offer IS 'the first one';
COMMENT ON COLUMN lead_profile.last_offer IS 'the newest one';
COMMENT ON COLUMN lead_profile.last_offer_at IS 'when that was';
COMMENT ON COLUMN lead_profile.actions IS 'how many other actions';
COMMENT ON COLUMN lead_profile.last_action_at IS 'when the newest was';

CREATE OR REPLACE VIEW lead_path WITH (security_invoker = true) AS
SELECT
    r.lead_id,
    l.external_id,
    r.cycle,
    r.path,
    r.stages,
    r.step_backs,
    k.skipped_stages,
    r.started_at,
    r.ended_at,
    r.stage,
    r.stage_rank,
    date_part('epoch', coalesce(r.ended_at, now()) - r.started_at) / 86400 AS total_days
FROM (
        SELECT
            h.lead_id,
            h.cycle,
            string_agg(h.to_stage::text, ' > ' ORDER BY h.seq) AS path,
            count(DISTINCT stage_rank(h.to_stage)) FILTER (WHERE h.to_stage >= 'visitor') AS stages,
            count(*) FILTER (WHERE h.stepped_back) AS step_backs,
            min(stage_rank(h.to_stage)) FILTER (WHERE h.to_stage >= 'visitor') AS lowest_rank,
            max(stage_rank(h.to_stage)) AS highest_rank,
            array_agg(stage_rank(h.to_stage)) AS ranks,
            min(h.effective_at) AS started_at,
            min(h.effective_at) FILTER (WHERE h.to_stage < 'visitor') AS ended_at,
            (array_agg(h.to_stage::text ORDER BY h.seq DESC))[1] AS stage,
            (array_agg(stage_rank(h.to_stage) ORDER BY h.seq DESC))[1] AS stage_rank
        FROM stage_history h
        GROUP BY h.lead_id, h.cycle
    ) r
    LEFT JOIN lead l USING (lead_id)
    LEFT JOIN LATERAL (
        SELECT string_agg(t.stage::text, ', ' ORDER BY t.stage_rank) AS skipped_stages
        FROM stages() t
        WHERE t.stage_rank > r.lowest_rank AND t.stage_rank < r.highest_rank AND t.stage_rank <> ALL (r.ranks)
    ) k ON true;
COMMENT ON VIEW lead_path IS 'one row a lead and run through the funnel: the way it went';
COMMENT ON COLUMN lead_path.lead_id IS 'the lead';
COMMENT ON COLUMN lead_path.external_id IS 'name of the lead in the app';
COMMENT ON COLUMN lead_path.cycle IS 'number of the run through the funnel';
COMMENT ON COLUMN lead_path.path IS 'its stages, in order';
COMMENT ON COLUMN lead_path.stages IS 'number of different stages, without exits';
COMMENT ON COLUMN lead_path.step_backs IS 'how often it fell back to a lower stage';
COMMENT ON COLUMN lead_path.skipped_stages IS 'stages between its lowest and its highest that it never was in; NULL: none';
COMMENT ON COLUMN lead_path.started_at IS 'when the run began';
COMMENT ON COLUMN lead_path.ended_at IS 'when it was recycled, lost or disqualified; NULL: it was not';
COMMENT ON COLUMN lead_path.stage IS 'the last stage of the run';
COMMENT ON COLUMN lead_path.stage_rank IS 'order of the stages';
COMMENT ON COLUMN lead_path.total_days IS 'how long the run lasted, or lasts so far';

CREATE OR REPLACE VIEW touchpoints WITH (security_invoker = true) AS
SELECT
    t.lead_id,
    t.event_id,
    row_number() OVER (PARTITION BY t.lead_id ORDER BY t.touched_at, t.event_id) AS touch,
    count(*) OVER (PARTITION BY t.lead_id) AS touches,
    t.touched_at,
    t.kind,
    t.role,
    coalesce(t.channel, c.channel, '(none)') AS channel,
    coalesce(c.direction, h.direction, '(none)') AS direction,
    coalesce(t.campaign, '(none)') AS campaign,
    t.customer_at IS NOT NULL AS won,
    t.customer_at,
    date_part('epoch', t.customer_at - t.touched_at) / 86400 AS before_days
FROM (
        SELECT e.lead_id, e.event_id, e.occurred_at AS touched_at, e.kind, k.role, e.channel, e.campaign, w.customer_at
        FROM event e
            JOIN event_kind k USING (kind)
            LEFT JOIN (
                SELECT h.lead_id, min(h.effective_at) AS customer_at
                FROM stage_history h
                WHERE h.to_stage >= 'customer'
                GROUP BY h.lead_id
            ) w USING (lead_id)
        WHERE isfinite(e.occurred_at)
            AND k.role NOT IN ('purchase', 'points', 'stage', 'lost', 'disqualified', 'recycled', 'unsubscribe')
            AND (e.occurred_at <= w.customer_at OR w.customer_at IS NULL)
    ) t
    LEFT JOIN campaign c ON c.campaign = t.campaign
    LEFT JOIN channel h ON h.channel = coalesce(t.channel, c.channel);
COMMENT ON VIEW touchpoints IS 'one row a contact between a lead and us, up to its becoming a customer or up to now: events of a known kind, but for purchases and what is entered by hand';
COMMENT ON COLUMN touchpoints.lead_id IS 'the lead';
COMMENT ON COLUMN touchpoints.event_id IS 'the event';
COMMENT ON COLUMN touchpoints.touch IS 'number of the contact of this lead';
COMMENT ON COLUMN touchpoints.touches IS 'how many contacts the lead has here';
COMMENT ON COLUMN touchpoints.touched_at IS 'when';
COMMENT ON COLUMN touchpoints.kind IS 'kind of the event';
COMMENT ON COLUMN touchpoints.role IS 'what the kind is taken for, see event_kind';
COMMENT ON COLUMN touchpoints.channel IS 'channel of the event, or of its campaign; (none): not known';
COMMENT ON COLUMN touchpoints.direction IS 'inbound or outbound, of the campaign or else of the channel';
COMMENT ON COLUMN touchpoints.campaign IS 'campaign of the event; (none): not known';
COMMENT ON COLUMN touchpoints.won IS 'whether the lead became a customer';
COMMENT ON COLUMN touchpoints.customer_at IS 'when it first did';
COMMENT ON COLUMN touchpoints.before_days IS 'days from the contact to that';
$pipeline_ddl$),
('53-bi', $pipeline_ddl$-- For star schemas of BI tools: a calendar, and what months compare by.

CREATE OR REPLACE VIEW calendar WITH (security_invoker = true) AS
SELECT
    d.day_date,
    date_trunc('month', d.day)::date AS day_month,
    extract(year FROM d.day)::integer AS year,
    extract(quarter FROM d.day)::integer AS quarter,
    extract(month FROM d.day)::integer AS month_number,
    extract(day FROM d.day)::integer AS month_day,
    extract(isoyear FROM d.day)::integer AS iso_year,
    extract(week FROM d.day)::integer AS iso_week,
    extract(isodow FROM d.day)::integer AS weekday,
    extract(isodow FROM d.day) >= 6 AS weekend,
    to_char(d.day, 'YYYY-MM') AS month_label,
    to_char(d.day, 'YYYY"-Q"Q') AS quarter_label,
    d.today - d.day_date AS days_ago,
    d.day_date > d.today AS future
FROM (
        SELECT b.first_date + n AS day_date, (b.first_date + n)::timestamp AS day, b.today
        FROM (
                SELECT
                    -- no further back, so that one wrong date does not make it endless
                    greatest(least((least(e.first_at, l.first_at) AT TIME ZONE z.time_zone)::date, (now() AT TIME ZONE z.time_zone)::date),
                        (now() AT TIME ZONE z.time_zone - interval '50 years')::date) AS first_date,
                    (now() AT TIME ZONE z.time_zone)::date AS today,
                    ((now() AT TIME ZONE z.time_zone) + interval '1 year')::date AS last_date
                FROM setting z
                    CROSS JOIN (SELECT min(v.occurred_at) AS first_at FROM event v WHERE isfinite(v.occurred_at)) e
                    CROSS JOIN (SELECT min(v.created_at) AS first_at FROM lead v WHERE isfinite(v.created_at)) l
            ) b
            CROSS JOIN LATERAL generate_series(0, b.last_date - b.first_date) n
    ) d
ORDER BY d.day_date;
COMMENT ON VIEW calendar IS 'one row a day, from the first event (at most 50 years ago) to a year from today: the dimension of time';
COMMENT ON COLUMN calendar.day_date IS 'the day; join entered_date, created_date or another date to it';
COMMENT ON COLUMN calendar.day_month IS 'first day of its month';
COMMENT ON COLUMN calendar.year IS 'year';
COMMENT ON COLUMN calendar.quarter IS '1 to 4';
COMMENT ON COLUMN calendar.month_number IS '1 to 12';
COMMENT ON COLUMN calendar.month_day IS '1 to 31';
COMMENT ON COLUMN calendar.iso_year IS 'year that the ISO week belongs to';
COMMENT ON COLUMN calendar.iso_week IS 'ISO week, 1 to 53';
COMMENT ON COLUMN calendar.weekday IS '1 Monday to 7 Sunday';
COMMENT ON COLUMN calendar.weekend IS 'Saturday or Sunday';
COMMENT ON COLUMN calendar.month_label IS 'such as 2025-03';
COMMENT ON COLUMN calendar.quarter_label IS 'such as 2025-Q1';
COMMENT ON COLUMN calendar.days_ago IS 'days between it and today, in the time zone of the pipeline; negative: days to come';
COMMENT ON COLUMN calendar.future IS 'whether it is yet to come';

-- Quality up, time down, revenue up: the three numbers that tell whether it
-- gets better. Leads count in the month in which they became leads.
CREATE OR REPLACE VIEW period_comparison WITH (security_invoker = true) AS
WITH run AS (
    SELECT
        month_start(r.lead_at, z.time_zone) AS lead_month,
        r.sql_at,
        r.customer_at,
        date_part('epoch', r.customer_at - r.lead_at) / 86400 AS days
    FROM (
            SELECT
                h.lead_id,
                h.cycle,
                min(h.effective_at) FILTER (WHERE h.to_stage >= 'iql') AS lead_at,
                min(h.effective_at) FILTER (WHERE h.to_stage >= 'sql') AS sql_at,
                min(h.effective_at) FILTER (WHERE h.to_stage >= 'customer') AS customer_at
            FROM stage_history h
            GROUP BY h.lead_id, h.cycle
        ) r
        CROSS JOIN setting z
    WHERE r.lead_at IS NOT NULL
), leads AS (
    SELECT
        r.lead_month,
        count(*) AS leads,
        count(r.sql_at) AS sqls,
        count(r.customer_at) AS customers,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY r.days) AS median_days
    FROM run r
    GROUP BY r.lead_month
), revenue AS (
    SELECT month_start(f.lead_at, z.time_zone) AS lead_month, sum(p.amount) AS amount
    FROM (
            SELECT h.lead_id, min(h.effective_at) AS lead_at
            FROM stage_history h
            WHERE h.to_stage >= 'iql'
            GROUP BY h.lead_id
        ) f
        JOIN (
            SELECT e.lead_id, sum(least(greatest(e.value, -1e11), 1e11)) AS amount
            FROM event e
                JOIN event_kind k USING (kind)
            WHERE k.role = 'purchase' AND e.value <> 'NaN'
            GROUP BY e.lead_id
        ) p USING (lead_id)
        CROSS JOIN setting z
    GROUP BY month_start(f.lead_at, z.time_zone)
)
SELECT
    m.lead_month,
    coalesce(l.leads, 0) AS leads,
    coalesce(l.sqls, 0) AS sqls,
    coalesce(l.customers, 0) AS customers,
    l.sqls::double precision / nullif(l.leads, 0) AS quality_rate,
    l.median_days AS median_sale_days,
    least(greatest(coalesce(r.amount, 0), -999999999999), 999999999999)::numeric(14,2) AS revenue_amount,
    least(greatest(coalesce(r.amount, 0) / nullif(l.leads, 0), -999999999999), 999999999999)::numeric(14,2) AS revenue_per_lead_amount
FROM (
        SELECT k.lead_month FROM leads k
        UNION
        SELECT month_start(now(), z.time_zone) AS lead_month FROM setting z
    ) m
    LEFT JOIN leads l USING (lead_month)
    LEFT JOIN revenue r USING (lead_month)
ORDER BY m.lead_month;
COMMENT ON VIEW period_comparison IS 'one row a month: of the leads that became leads then, how good they were, how long the sale took, and what they brought, up to now';
COMMENT ON COLUMN period_comparison.lead_month IS 'first day of the month in which they became iql or higher; who came back counts again';
COMMENT ON COLUMN period_comparison.leads IS 'how many did';
COMMENT ON COLUMN period_comparison.sqls IS 'of these, those that reached sql or higher';
COMMENT ON COLUMN period_comparison.customers IS 'of these, those that became customers';
COMMENT ON COLUMN period_comparison.quality_rate IS 'sqls / leads';
COMMENT ON COLUMN period_comparison.median_sale_days IS 'half of the customers took no longer from lead to customer';
COMMENT ON COLUMN period_comparison.revenue_amount IS 'purchases of those who first became leads in that month, whenever they bought';
COMMENT ON COLUMN period_comparison.revenue_per_lead_amount IS 'revenue_amount / leads';
$pipeline_ddl$),
('55-rates', $pipeline_ddl$-- Rates: what share goes on, how sure that is, and how it compares with goals.

-- Goals are data of the user. They are put in once, when the views come: rows
-- that were changed or removed since stay so at every upgrade. Before the
-- view below, as its absence tells that this is the first time.
INSERT INTO benchmark (metric, segment, low, high, denominator, source)
SELECT b.metric, b.segment, b.low, b.high, b.denominator, b.source
FROM (VALUES
    ('visitor_to_lead', 'all', 0.02, 0.05, 'visitor', 'common goal of marketing'),
    ('iql_to_mql', 'all', 0.25, 0.625, 'iql', 'derived: iql to sql divided by mql to sql, 15 % / 60 % and 25 % / 40 %'),
    ('iql_to_sql', 'all', 0.15, 0.25, 'iql', 'common goal of marketing'),
    ('mql_to_sql', 'all', 0.40, 0.60, 'mql', 'common goal of marketing'),
    ('sql_to_customer', 'all', 0.20, 0.30, 'sql', 'common goal of marketing'),
    ('lead_to_customer', 'all', 0.10, 0.20, 'mql', 'common goal of marketing; says "leads", but agrees with the goals for the steps only if these are mql'),
    ('mql_to_customer', 'all', 0.08, 0.18, 'mql', 'derived: mql to sql times sql to customer'),
    ('iql_to_sql_days', 'all', 60, 180, 'iql', 'two to six months'),
    ('iql_to_sql_days', 'b2b', 60, 180, 'iql', 'two to six months: simple b2b two to three, complex b2b four to six'),
    ('iql_to_sql_days', 'b2b_simple', 60, 90, 'iql', 'two to three months'),
    ('iql_to_sql_days', 'b2b_complex', 120, 180, 'iql', 'four to six months'),
    ('iql_to_sql_days', 'b2c', 14, 56, 'iql', 'two to eight weeks'),
    ('sql_value_ratio', 'all', 10, 50, 'iql', 'common claim: an sql is worth 10 to 50 iql; the goals for the rates imply 4 to 7'),
    ('quiet_days', 'all', 0, 30, NULL, 'a lead without an event for longer is cold')
) AS b (metric, segment, low, high, denominator, source)
WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.relname = 'conversion_rates' AND c.relnamespace = pipeline()::oid)
ON CONFLICT DO NOTHING;

CREATE OR REPLACE FUNCTION compared(figure double precision, low double precision, high double precision) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE
        WHEN compared.figure < compared.low THEN 'below'
        WHEN compared.figure > compared.high THEN 'above'
        WHEN compared.figure IS NOT NULL AND (compared.low IS NOT NULL OR compared.high IS NOT NULL) THEN 'within'
    END;
END;
COMMENT ON FUNCTION compared(double precision, double precision, double precision) IS
    'below, within or above a goal; NULL if there is no figure or no goal';

-- A day is 24 hours here, whatever the session's time zone does.
CREATE OR REPLACE FUNCTION fixed_period(period interval) RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT date_part('epoch', fixed_period.period) * interval '1 second';
END;
COMMENT ON FUNCTION fixed_period(interval) IS 'the same period in seconds: added to an instant it gives the same in every time zone';

-- First times, one row a lead. Reached: in this stage or a higher one, so that
-- leads >= mqls >= sqls >= customers whatever stages were skipped.
CREATE OR REPLACE VIEW lead_milestone WITH (security_invoker = true) AS
SELECT
    l.lead_id,
    coalesce(l.channel, c.channel, '(none)') AS channel,
    coalesce(c.direction, h.direction, '(none)') AS direction,
    coalesce(l.campaign, '(none)') AS campaign,
    coalesce(c.sourcing, '(none)') AS sourcing,
    coalesce(l.market, '(none)') AS market,
    coalesce(l.country, '(none)') AS country,
    coalesce(l.owner, '(none)') AS owner,
    coalesce(l.persona, '(none)') AS persona,
    CASE WHEN isfinite(l.created_at) THEN l.created_at END AS created_at,
    m.lead_at,
    m.mql_at,
    m.sql_at,
    m.customer_at
FROM lead l
    LEFT JOIN campaign c ON c.campaign = l.campaign
    LEFT JOIN channel h ON h.channel = coalesce(l.channel, c.channel)
    LEFT JOIN (
        SELECT
            s.lead_id,
            min(s.effective_at) AS lead_at,
            min(s.effective_at) FILTER (WHERE s.to_stage >= 'mql') AS mql_at,
            min(s.effective_at) FILTER (WHERE s.to_stage >= 'sql') AS sql_at,
            min(s.effective_at) FILTER (WHERE s.to_stage >= 'customer') AS customer_at
        FROM stage_history s
        WHERE s.to_stage >= 'iql'
        GROUP BY s.lead_id
    ) m ON m.lead_id = l.lead_id;
COMMENT ON VIEW lead_milestone IS 'one row a lead: when it first was in each stage or a higher one';
COMMENT ON COLUMN lead_milestone.lead_id IS 'the lead';
COMMENT ON COLUMN lead_milestone.channel IS 'channel that the lead came by, or that of its campaign; (none): not known';
COMMENT ON COLUMN lead_milestone.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN lead_milestone.campaign IS 'campaign that the lead came by; (none): not known';
COMMENT ON COLUMN lead_milestone.sourcing IS 'internal or outsourced, of the campaign; (none): not known';
COMMENT ON COLUMN lead_milestone.market IS 'b2b or b2c; (none): not known';
COMMENT ON COLUMN lead_milestone.country IS 'country; (none): not known';
COMMENT ON COLUMN lead_milestone.owner IS 'who looks after the lead; (none): nobody';
COMMENT ON COLUMN lead_milestone.persona IS 'buyer persona; (none): not known';
COMMENT ON COLUMN lead_milestone.created_at IS 'when the lead was first heard of';
COMMENT ON COLUMN lead_milestone.lead_at IS 'when it first was iql or higher';
COMMENT ON COLUMN lead_milestone.mql_at IS 'when it first was mql or higher';
COMMENT ON COLUMN lead_milestone.sql_at IS 'when it first was sql or higher';
COMMENT ON COLUMN lead_milestone.customer_at IS 'when it first was customer or higher';

-- One row a run through the funnel (lead and cycle): where it was, and whether
-- it came farther afterwards. Who was never in the first stage of a step is in
-- neither number of its rate, so none exceeds 1.
CREATE OR REPLACE VIEW conversion_rates WITH (security_invoker = true) AS
WITH run AS (
    SELECT
        h.lead_id,
        h.cycle,
        min(h.seq) FILTER (WHERE h.to_stage = 'visitor') AS visitor_in,
        min(h.seq) FILTER (WHERE h.to_stage >= 'iql' AND h.to_stage <= 'prospect') AS lead_in,
        min(h.seq) FILTER (WHERE h.to_stage = 'iql') AS iql_in,
        min(h.seq) FILTER (WHERE h.to_stage = 'mql') AS mql_in,
        min(h.seq) FILTER (WHERE h.to_stage = 'sql') AS sql_in,
        max(h.seq) FILTER (WHERE h.to_stage >= 'iql') AS lead_last,
        max(h.seq) FILTER (WHERE h.to_stage >= 'mql') AS mql_last,
        max(h.seq) FILTER (WHERE h.to_stage >= 'sql') AS sql_last,
        max(h.seq) FILTER (WHERE h.to_stage >= 'customer') AS customer_last
    FROM stage_history h
    GROUP BY h.lead_id, h.cycle
), total AS (
    SELECT
        l.market,
        count(r.visitor_in) AS visitors,
        count(r.lead_in) AS leads,
        count(r.iql_in) AS iqls,
        count(r.mql_in) AS mqls,
        count(r.sql_in) AS sqls,
        count(*) FILTER (WHERE r.lead_last > r.visitor_in) AS visitor_lead,
        count(*) FILTER (WHERE r.mql_last > r.visitor_in) AS visitor_mql,
        count(*) FILTER (WHERE r.sql_last > r.visitor_in) AS visitor_sql,
        count(*) FILTER (WHERE r.customer_last > r.visitor_in) AS visitor_customer,
        count(*) FILTER (WHERE r.mql_last > r.lead_in) AS lead_mql,
        count(*) FILTER (WHERE r.sql_last > r.lead_in) AS lead_sql,
        count(*) FILTER (WHERE r.customer_last > r.lead_in) AS lead_customer,
        count(*) FILTER (WHERE r.mql_last > r.iql_in) AS iql_mql,
        count(*) FILTER (WHERE r.sql_last > r.iql_in) AS iql_sql,
        count(*) FILTER (WHERE r.customer_last > r.iql_in) AS iql_customer,
        count(*) FILTER (WHERE r.sql_last > r.mql_in) AS mql_sql,
        count(*) FILTER (WHERE r.customer_last > r.mql_in) AS mql_customer,
        count(*) FILTER (WHERE r.customer_last > r.sql_in) AS sql_customer
    FROM run r
        JOIN lead l USING (lead_id)
    GROUP BY l.market
), part AS (
    SELECT t.market, p.step_from, p.step_to, p.numerator, p.denominator
    FROM total t
        CROSS JOIN LATERAL (VALUES
            ('visitor', 'lead', t.visitor_lead, t.visitors),
            ('visitor', 'mql', t.visitor_mql, t.visitors),
            ('visitor', 'sql', t.visitor_sql, t.visitors),
            ('visitor', 'customer', t.visitor_customer, t.visitors),
            ('lead', 'mql', t.lead_mql, t.leads),
            ('lead', 'sql', t.lead_sql, t.leads),
            ('lead', 'customer', t.lead_customer, t.leads),
            ('iql', 'mql', t.iql_mql, t.iqls),
            ('iql', 'sql', t.iql_sql, t.iqls),
            ('iql', 'customer', t.iql_customer, t.iqls),
            ('mql', 'sql', t.mql_sql, t.mqls),
            ('mql', 'customer', t.mql_customer, t.mqls),
            ('sql', 'customer', t.sql_customer, t.sqls)
        ) AS p (step_from, step_to, numerator, denominator)
), pair AS (
    SELECT p.market, p.step_from, p.step_to, p.numerator, p.denominator
    FROM part p
    WHERE p.market IS NOT NULL
    UNION ALL
    SELECT 'all', p.step_from, p.step_to, sum(p.numerator)::bigint, sum(p.denominator)::bigint
    FROM part p
    GROUP BY p.step_from, p.step_to
)
SELECT
    k.metric,
    k.place,
    g.market,
    k.step_from,
    k.step_to,
    coalesce(p.numerator, 0) AS numerator,
    coalesce(p.denominator, 0) AS denominator,
    p.numerator::double precision / nullif(p.denominator, 0) AS conversion_rate,
    rate_low(p.numerator, p.denominator) AS low_rate,
    rate_high(p.numerator, p.denominator) AS high_rate,
    b.low AS benchmark_low_rate,
    b.high AS benchmark_high_rate,
    coalesce(b.denominator, k.step_from) AS benchmark_denominator,
    b.source AS benchmark_source,
    q.numerator::double precision / nullif(q.denominator, 0) AS benchmark_rate,
    compared(q.numerator::double precision / nullif(q.denominator, 0), b.low, b.high) AS benchmark_status
FROM (VALUES
        ('visitor_to_lead', 1, 'visitor', 'lead'),
        ('iql_to_mql', 2, 'iql', 'mql'),
        ('mql_to_sql', 3, 'mql', 'sql'),
        ('iql_to_sql', 4, 'iql', 'sql'),
        ('sql_to_customer', 5, 'sql', 'customer'),
        ('mql_to_customer', 6, 'mql', 'customer'),
        ('lead_to_customer', 7, 'lead', 'customer')
    ) AS k (metric, place, step_from, step_to)
    CROSS JOIN (VALUES ('all'), ('b2b'), ('b2c')) AS g (market)
    LEFT JOIN pair p ON p.market = g.market AND p.step_from = k.step_from AND p.step_to = k.step_to
    LEFT JOIN LATERAL (
        SELECT b.low, b.high, b.denominator, b.source
        FROM benchmark b
        WHERE b.metric = k.metric AND b.segment IN (g.market, 'all')
        ORDER BY b.segment = 'all'
        LIMIT 1
    ) b ON true
    LEFT JOIN pair q ON q.market = g.market AND q.step_from = coalesce(b.denominator, k.step_from) AND q.step_to = k.step_to;
COMMENT ON VIEW conversion_rates IS 'one row a step and market: the share that goes on, its 95 % interval, and the goal for it';
COMMENT ON COLUMN conversion_rates.metric IS 'the step';
COMMENT ON COLUMN conversion_rates.place IS 'order of the rows';
COMMENT ON COLUMN conversion_rates.market IS 'all, b2b or b2c';
COMMENT ON COLUMN conversion_rates.step_from IS 'where it starts; lead: iql to prospect';
COMMENT ON COLUMN conversion_rates.step_to IS 'where it goes: this stage or a higher one; lead: iql';
COMMENT ON COLUMN conversion_rates.numerator IS 'of the denominator, those that came to step_to or higher afterwards';
COMMENT ON COLUMN conversion_rates.denominator IS 'runs through the funnel that were in step_from';
COMMENT ON COLUMN conversion_rates.conversion_rate IS 'numerator / denominator';
COMMENT ON COLUMN conversion_rates.low_rate IS 'lower end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN conversion_rates.high_rate IS 'upper end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN conversion_rates.benchmark_low_rate IS 'lower end of the goal';
COMMENT ON COLUMN conversion_rates.benchmark_high_rate IS 'upper end of the goal';
COMMENT ON COLUMN conversion_rates.benchmark_denominator IS 'what the goal is a share of, if other than step_from';
COMMENT ON COLUMN conversion_rates.benchmark_source IS 'where the goal comes from';
COMMENT ON COLUMN conversion_rates.benchmark_rate IS 'the rate with the denominator of the goal: what is compared with it';
COMMENT ON COLUMN conversion_rates.benchmark_status IS 'below, within or above the goal; NULL: nothing to compare';

CREATE OR REPLACE VIEW conversion_times WITH (security_invoker = true) AS
WITH run AS (
    SELECT
        h.lead_id,
        h.cycle,
        min(h.effective_at) FILTER (WHERE h.to_stage >= 'iql' AND h.to_stage <= 'prospect') AS lead_at,
        min(h.effective_at) FILTER (WHERE h.to_stage = 'iql') AS iql_at,
        min(h.effective_at) FILTER (WHERE h.to_stage = 'mql') AS mql_at,
        min(h.effective_at) FILTER (WHERE h.to_stage = 'sql') AS sql_at,
        min(h.effective_at) FILTER (WHERE h.to_stage >= 'mql') AS mql_reached_at,
        min(h.effective_at) FILTER (WHERE h.to_stage >= 'sql') AS sql_reached_at,
        min(h.effective_at) FILTER (WHERE h.to_stage >= 'customer') AS customer_at
    FROM stage_history h
    WHERE h.to_stage >= 'iql'
    GROUP BY h.lead_id, h.cycle
    HAVING count(*) > 1
), figure AS (
    SELECT
        g.market,
        t.metric,
        count(*) AS conversions,
        avg(t.days) AS mean_days,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY t.days) AS median_days,
        percentile_cont(0.9) WITHIN GROUP (ORDER BY t.days) AS p90_days
    FROM run r
        JOIN lead l USING (lead_id)
        CROSS JOIN LATERAL (VALUES
            ('iql_to_mql_days', date_part('epoch', r.mql_reached_at - r.iql_at) / 86400),
            ('mql_to_sql_days', date_part('epoch', r.sql_reached_at - r.mql_at) / 86400),
            ('iql_to_sql_days', date_part('epoch', r.sql_reached_at - r.iql_at) / 86400),
            ('sql_to_customer_days', date_part('epoch', r.customer_at - r.sql_at) / 86400),
            ('lead_to_customer_days', date_part('epoch', r.customer_at - r.lead_at) / 86400)
        ) AS t (metric, days)
        CROSS JOIN LATERAL (SELECT 'all' UNION ALL SELECT l.market WHERE l.market IS NOT NULL) AS g (market)
    WHERE t.days >= 0
    GROUP BY g.market, t.metric
)
SELECT
    k.metric,
    k.place,
    g.market,
    coalesce(f.conversions, 0) AS conversions,
    f.mean_days,
    f.median_days,
    f.p90_days,
    b.low AS benchmark_low_days,
    b.high AS benchmark_high_days,
    b.source AS benchmark_source,
    compared(f.median_days, b.low, b.high) AS benchmark_status
FROM (VALUES
        ('iql_to_mql_days', 1),
        ('mql_to_sql_days', 2),
        ('iql_to_sql_days', 3),
        ('sql_to_customer_days', 4),
        ('lead_to_customer_days', 5)
    ) AS k (metric, place)
    CROSS JOIN (VALUES ('all'), ('b2b'), ('b2c')) AS g (market)
    LEFT JOIN figure f ON f.metric = k.metric AND f.market = g.market
    LEFT JOIN LATERAL (
        SELECT b.low, b.high, b.source
        FROM benchmark b
        WHERE b.metric = k.metric AND b.segment IN (g.market, 'all')
        ORDER BY b.segment = 'all'
        LIMIT 1
    ) b ON true;
COMMENT ON VIEW conversion_times IS 'one row a step and market: how long it took those that went on, and the goal for it';
COMMENT ON COLUMN conversion_times.metric IS 'the step';
COMMENT ON COLUMN conversion_times.place IS 'order of the rows';
COMMENT ON COLUMN conversion_times.market IS 'all, b2b or b2c';
COMMENT ON COLUMN conversion_times.conversions IS 'runs through the funnel that took the step';
COMMENT ON COLUMN conversion_times.mean_days IS 'mean time';
COMMENT ON COLUMN conversion_times.median_days IS 'half of them took no longer';
COMMENT ON COLUMN conversion_times.p90_days IS 'nine of ten took no longer';
COMMENT ON COLUMN conversion_times.benchmark_low_days IS 'lower end of the goal';
COMMENT ON COLUMN conversion_times.benchmark_high_days IS 'upper end of the goal';
COMMENT ON COLUMN conversion_times.benchmark_source IS 'where the goal comes from';
COMMENT ON COLUMN conversion_times.benchmark_status IS 'whether median_days is below, within or above the goal; NULL: nothing to compare';
$pipeline_ddl$),
('56-money', $pipeline_ddl$-- Money: what leads cost, what they bring, and what will come.

-- Amounts come from apps: a view must not fail because one of them is odd.
CREATE OR REPLACE FUNCTION as_amount(value numeric) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN abs(round(as_amount.value, 2)) < 1000000000000 THEN round(as_amount.value, 2) END;
END;
COMMENT ON FUNCTION as_amount(numeric) IS 'an amount in hundredths; NULL if it is no number, infinite, or a million millions and more';

CREATE OR REPLACE VIEW purchases WITH (security_invoker = true) AS
SELECT
    e.lead_id,
    e.event_id,
    e.occurred_at AS purchased_at,
    month_start(e.occurred_at, s.time_zone) AS purchase_month,
    as_amount(e.value)::numeric(14,2) AS purchase_amount,
    e.channel,
    e.campaign
FROM event e
    CROSS JOIN setting s
WHERE e.kind = ANY (kinds_of('event_kind', 'purchase'))
    AND isfinite(e.occurred_at);
COMMENT ON VIEW purchases IS 'one row a purchase: events of role purchase';
COMMENT ON COLUMN purchases.lead_id IS 'the lead';
COMMENT ON COLUMN purchases.event_id IS 'the event';
COMMENT ON COLUMN purchases.purchased_at IS 'when it was bought';
COMMENT ON COLUMN purchases.purchase_month IS 'first day of the month of that';
COMMENT ON COLUMN purchases.purchase_amount IS 'amount of the purchase; NULL: not known';
COMMENT ON COLUMN purchases.channel IS 'channel that the purchase came by, if the event says so';
COMMENT ON COLUMN purchases.campaign IS 'campaign that the purchase came by, if the event says so';

-- A cost of several months is split by days, rounded so that the parts add up
-- to it.
CREATE OR REPLACE VIEW cost_by_month WITH (security_invoker = true) AS
SELECT
    m.month::date AS calendar_month,
    coalesce(c.channel, p.channel, '(none)') AS channel,
    coalesce(p.direction, h.direction, '(none)') AS direction,
    coalesce(c.campaign, '(none)') AS campaign,
    coalesce(p.sourcing, '(none)') AS sourcing,
    coalesce(c.category, '(none)') AS category,
    as_amount(sum(round(c.amount * d.upto / d.days, 2) - round(c.amount * d.before / d.days, 2)))::numeric(14,2) AS cost_amount
FROM cost c
    LEFT JOIN campaign p ON p.campaign = c.campaign
    LEFT JOIN channel h ON h.channel = coalesce(c.channel, p.channel)
    CROSS JOIN LATERAL generate_series(date_trunc('month', c.day_from::timestamp), c.day_to::timestamp, interval '1 month') AS m (month)
    CROSS JOIN LATERAL (SELECT
        c.day_to - c.day_from + 1,
        greatest(m.month::date - c.day_from, 0),
        least((m.month + interval '1 month')::date - c.day_from, c.day_to - c.day_from + 1)
    ) AS d (days, before, upto)
GROUP BY 1, 2, 3, 4, 5, 6;
COMMENT ON VIEW cost_by_month IS 'one row a month, source and category: costs, those of several months split by days';
COMMENT ON COLUMN cost_by_month.calendar_month IS 'first day of the month';
COMMENT ON COLUMN cost_by_month.channel IS 'channel of the cost, or of its campaign; (none): all';
COMMENT ON COLUMN cost_by_month.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN cost_by_month.campaign IS 'campaign of the cost; (none): all';
COMMENT ON COLUMN cost_by_month.sourcing IS 'internal or outsourced, of the campaign; (none): not known';
COMMENT ON COLUMN cost_by_month.category IS 'what it was spent on; (none): not said';
COMMENT ON COLUMN cost_by_month.cost_amount IS 'amount';

-- The pairs of channel and campaign that are known, so that reports have a row
-- for each though nothing came of it.
CREATE OR REPLACE VIEW source_list WITH (security_invoker = true) AS
SELECT n.channel, coalesce(p.direction, h.direction, '(none)') AS direction, n.campaign, coalesce(p.sourcing, '(none)') AS sourcing
FROM (
        SELECT h.channel, '(none)' AS campaign FROM channel h
        UNION
        SELECT coalesce(p.channel, '(none)') AS channel, p.campaign FROM campaign p
        UNION
        SELECT coalesce(c.channel, p.channel, '(none)') AS channel, coalesce(c.campaign, '(none)') AS campaign
        FROM cost c LEFT JOIN campaign p ON p.campaign = c.campaign
        UNION
        SELECT '(none)', '(none)'
    ) n
    LEFT JOIN campaign p ON p.campaign = n.campaign
    LEFT JOIN channel h ON h.channel = n.channel;
COMMENT ON VIEW source_list IS 'one row a source: every channel by itself, and the pairs of channel and campaign of campaigns and costs';
COMMENT ON COLUMN source_list.channel IS 'the channel';
COMMENT ON COLUMN source_list.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN source_list.campaign IS 'the campaign; (none): the channel by itself';
COMMENT ON COLUMN source_list.sourcing IS 'internal or outsourced, of the campaign; (none): not known';

CREATE OR REPLACE VIEW cost_per_lead WITH (security_invoker = true) AS
WITH reached AS (
    SELECT m.channel, m.campaign,
        month_start(m.lead_at, s.time_zone) AS lead_month,
        month_start(m.mql_at, s.time_zone) AS mql_month,
        month_start(m.sql_at, s.time_zone) AS sql_month,
        month_start(m.customer_at, s.time_zone) AS customer_month,
        count(*) AS leads
    FROM lead_milestone m
        CROSS JOIN setting s
    WHERE m.lead_at IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5, 6
), part AS (
    SELECT t.month AS calendar_month, r.channel, r.campaign,
        sum(r.leads) FILTER (WHERE t.stage = 1) AS leads,
        sum(r.leads) FILTER (WHERE t.stage = 2) AS mqls,
        sum(r.leads) FILTER (WHERE t.stage = 3) AS sqls,
        sum(r.leads) FILTER (WHERE t.stage = 4) AS customers,
        0::numeric AS cost_amount
    FROM reached r
        CROSS JOIN LATERAL (VALUES (1, r.lead_month), (2, r.mql_month), (3, r.sql_month), (4, r.customer_month)) AS t (stage, month)
    WHERE t.month IS NOT NULL
    GROUP BY 1, 2, 3
    UNION ALL
    SELECT c.calendar_month, c.channel, c.campaign, 0, 0, 0, 0, sum(c.cost_amount) AS cost_amount
    FROM cost_by_month c
    GROUP BY 1, 2, 3
), filled AS (
    SELECT p.calendar_month, p.channel, p.campaign, p.leads, p.mqls, p.sqls, p.customers, p.cost_amount
    FROM part p
    UNION ALL
    -- a source of which there is nothing has one row, in this month
    SELECT month_start(now(), s.time_zone) AS calendar_month, n.channel, n.campaign, 0, 0, 0, 0, 0
    FROM source_list n
        CROSS JOIN setting s
    WHERE NOT EXISTS (SELECT FROM part p WHERE p.channel = n.channel AND p.campaign = n.campaign)
), total AS (
    SELECT f.calendar_month, f.channel, f.campaign,
        coalesce(sum(f.leads), 0)::bigint AS leads,
        coalesce(sum(f.mqls), 0)::bigint AS mqls,
        coalesce(sum(f.sqls), 0)::bigint AS sqls,
        coalesce(sum(f.customers), 0)::bigint AS customers,
        sum(f.cost_amount) AS cost_amount
    FROM filled f
    GROUP BY 1, 2, 3
)
SELECT
    t.calendar_month,
    t.channel,
    coalesce(p.direction, h.direction, '(none)') AS direction,
    t.campaign,
    as_amount(t.cost_amount)::numeric(14,2) AS cost_amount,
    t.leads,
    t.mqls,
    t.sqls,
    t.customers,
    as_amount(t.cost_amount / nullif(t.leads, 0))::numeric(14,2) AS cost_per_lead_amount,
    as_amount(t.cost_amount / nullif(t.mqls, 0))::numeric(14,2) AS cost_per_mql_amount,
    as_amount(t.cost_amount / nullif(t.sqls, 0))::numeric(14,2) AS cost_per_sql_amount,
    as_amount(t.cost_amount / nullif(t.customers, 0))::numeric(14,2) AS cost_per_customer_amount
FROM total t
    LEFT JOIN campaign p ON p.campaign = t.campaign
    LEFT JOIN channel h ON h.channel = t.channel;
COMMENT ON VIEW cost_per_lead IS 'one row a month and source: what was spent in the month, who was new in it, and what one cost';
COMMENT ON COLUMN cost_per_lead.calendar_month IS 'first day of the month';
COMMENT ON COLUMN cost_per_lead.channel IS 'channel that the lead came by, or that of its campaign; (none): not known';
COMMENT ON COLUMN cost_per_lead.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN cost_per_lead.campaign IS 'campaign that the lead came by; (none): not known';
COMMENT ON COLUMN cost_per_lead.cost_amount IS 'what was spent on the source in the month; costs without a campaign or a channel have rows of their own, (none)';
COMMENT ON COLUMN cost_per_lead.leads IS 'leads that first were iql or higher in the month';
COMMENT ON COLUMN cost_per_lead.mqls IS 'leads that first were mql or higher in the month';
COMMENT ON COLUMN cost_per_lead.sqls IS 'leads that first were sql or higher in the month';
COMMENT ON COLUMN cost_per_lead.customers IS 'leads that first became customers in the month';
COMMENT ON COLUMN cost_per_lead.cost_per_lead_amount IS 'cost_amount / leads';
COMMENT ON COLUMN cost_per_lead.cost_per_mql_amount IS 'cost_amount / mqls';
COMMENT ON COLUMN cost_per_lead.cost_per_sql_amount IS 'cost_amount / sqls';
COMMENT ON COLUMN cost_per_lead.cost_per_customer_amount IS 'cost_amount / customers';

-- Attribution

CREATE OR REPLACE FUNCTION known_attribution(model text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN known_attribution.model IN ('first', 'last', 'linear', 'position', 'time_decay')
        THEN known_attribution.model
        ELSE refuse('invalid_parameter_value',
            CASE WHEN known_attribution.model IS NULL THEN 'attribution model must not be null'
                ELSE format('unknown attribution model "%s"', known_attribution.model) END,
            hint => 'Attribution models are first, last, linear, position and time_decay.')
    END;
END;
COMMENT ON FUNCTION known_attribution(text) IS 'the attribution model of this name, or an error that lists those there are';

CREATE OR REPLACE FUNCTION touch_weight(model text, place bigint, touches bigint, age_days double precision) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE touch_weight.model
        WHEN 'first' THEN CASE WHEN touch_weight.place = 1 THEN 1 ELSE 0 END
        WHEN 'last' THEN CASE WHEN touch_weight.place = touch_weight.touches THEN 1 ELSE 0 END
        WHEN 'linear' THEN 1
        -- 2/5 for the first and the last, 1/5 for those between; of two 1/2 each
        WHEN 'position' THEN CASE WHEN touch_weight.touches > 2 AND touch_weight.place IN (1, touch_weight.touches)
            THEN 2 * (touch_weight.touches - 2) ELSE 1 END
        -- halved every 7 days before the last touch; what is older than 7000
        -- days has no weight, and would underflow
        WHEN 'time_decay' THEN CASE WHEN touch_weight.age_days < 7000 THEN power(2::double precision, - touch_weight.age_days / 7) ELSE 0 END
    END;
END;
COMMENT ON FUNCTION touch_weight(text, bigint, bigint, double precision) IS
    'weight of a touch among those of a purchase: place counts from 1, age_days is the time before the last touch';

-- A touch is an event that names a channel or a campaign and that the lead did
-- or took part in. The lead's own origin is one too, unless an event tells it.
-- Who has none at all came by (none). Credits are millionths, given out by
-- largest remainder: so those of a purchase add up to one million exactly.
CREATE OR REPLACE VIEW attribution_credit WITH (security_invoker = true) AS
WITH buyer AS MATERIALIZED (
    SELECT p.lead_id, p.event_id, p.purchased_at, p.purchase_month, p.purchase_amount
    FROM purchases p
), touch AS MATERIALIZED (
    SELECT e.lead_id, e.event_id, e.occurred_at AS touched_at, e.channel, e.campaign
    FROM event e
    WHERE (e.channel IS NOT NULL OR e.campaign IS NOT NULL)
        AND isfinite(e.occurred_at)
        AND e.kind <> ALL (kinds_of('event_kind', 'purchase', 'lost', 'disqualified', 'recycled', 'points', 'stage', 'unsubscribe', 'email_sent'))
        AND EXISTS (SELECT FROM buyer b WHERE b.lead_id = e.lead_id)
), every_touch AS (
    SELECT t.lead_id, t.event_id, t.touched_at, t.channel, t.campaign
    FROM touch t
    UNION ALL
    SELECT l.lead_id, NULL::bigint AS event_id, l.created_at AS touched_at, l.channel, l.campaign
    FROM lead l
    WHERE (l.channel IS NOT NULL OR l.campaign IS NOT NULL)
        AND isfinite(l.created_at)
        AND EXISTS (SELECT FROM buyer b WHERE b.lead_id = l.lead_id)
        AND NOT EXISTS (SELECT FROM touch t WHERE t.lead_id = l.lead_id AND t.touched_at <= l.created_at)
), placed AS (
    SELECT b.lead_id, b.event_id AS purchase_event_id, b.purchased_at, b.purchase_month, b.purchase_amount,
        t.event_id AS touch_event_id, t.touched_at, t.channel, t.campaign,
        row_number() OVER path AS place,
        count(*) OVER run AS touches,
        date_part('epoch', max(t.touched_at) OVER run - t.touched_at) / 86400 AS age_days
    FROM buyer b
        LEFT JOIN every_touch t ON t.lead_id = b.lead_id AND t.touched_at <= b.purchased_at
    WINDOW run AS (PARTITION BY b.lead_id, b.event_id),
        path AS (PARTITION BY b.lead_id, b.event_id ORDER BY t.touched_at, t.event_id NULLS FIRST)
), shared AS (
    SELECT m.model, p.lead_id, p.purchase_event_id, p.purchased_at, p.purchase_month, p.purchase_amount,
        p.touch_event_id, p.touched_at, p.channel, p.campaign, p.place, p.touches,
        1000000 * w.weight / sum(w.weight) OVER (PARTITION BY p.lead_id, p.purchase_event_id, m.model) AS share
    FROM placed p
        CROSS JOIN (VALUES ('first'), ('last'), ('linear'), ('position'), ('time_decay')) AS m (model)
        CROSS JOIN LATERAL (SELECT touch_weight(m.model, p.place, p.touches, coalesce(p.age_days, 0))) AS w (weight)
), ranked AS (
    SELECT s.model, s.lead_id, s.purchase_event_id, s.purchased_at, s.purchase_month, s.purchase_amount,
        s.touch_event_id, s.touched_at, s.channel, s.campaign, s.place, s.touches,
        floor(s.share)::bigint AS whole,
        1000000 - sum(floor(s.share)::bigint) OVER (PARTITION BY s.lead_id, s.purchase_event_id, s.model) AS rest,
        row_number() OVER (PARTITION BY s.lead_id, s.purchase_event_id, s.model ORDER BY s.share - floor(s.share) DESC, s.place) AS turn
    FROM shared s
), given AS (
    SELECT r.model, r.lead_id, r.purchase_event_id, r.purchased_at, r.purchase_month, r.purchase_amount,
        r.touch_event_id, r.touched_at, r.channel, r.campaign, r.place, r.touches,
        r.whole + CASE WHEN r.turn <= r.rest THEN 1 ELSE 0 END AS micro_credits,
        sum(r.whole + CASE WHEN r.turn <= r.rest THEN 1 ELSE 0 END)
            OVER (PARTITION BY r.lead_id, r.purchase_event_id, r.model ORDER BY r.place) AS upto
    FROM ranked r
)
SELECT
    g.model,
    g.lead_id,
    g.purchase_event_id,
    g.purchased_at,
    g.purchase_month,
    g.purchase_amount,
    g.touch_event_id,
    g.touched_at,
    coalesce(g.channel, c.channel, '(none)') AS channel,
    coalesce(c.direction, h.direction, '(none)') AS direction,
    coalesce(g.campaign, '(none)') AS campaign,
    g.place,
    g.touches,
    g.micro_credits,
    g.micro_credits / 1000000::double precision AS credit,
    -- rounded so that the parts add up to the amount
    (round(g.purchase_amount * g.upto / 1000000, 2) - round(g.purchase_amount * (g.upto - g.micro_credits) / 1000000, 2))::numeric(14,2) AS revenue_amount
FROM given g
    LEFT JOIN campaign c ON c.campaign = g.campaign
    LEFT JOIN channel h ON h.channel = coalesce(g.channel, c.channel);
COMMENT ON VIEW attribution_credit IS 'one row a purchase, touch before it, and attribution model: what share of the purchase the touch is given';
COMMENT ON COLUMN attribution_credit.model IS 'attribution model: first, last, linear, position or time_decay';
COMMENT ON COLUMN attribution_credit.lead_id IS 'the lead';
COMMENT ON COLUMN attribution_credit.purchase_event_id IS 'event of the purchase';
COMMENT ON COLUMN attribution_credit.purchased_at IS 'when it was bought';
COMMENT ON COLUMN attribution_credit.purchase_month IS 'first day of the month of that';
COMMENT ON COLUMN attribution_credit.purchase_amount IS 'amount of the purchase; NULL: not known';
COMMENT ON COLUMN attribution_credit.touch_event_id IS 'event of the touch; NULL: the origin of the lead';
COMMENT ON COLUMN attribution_credit.touched_at IS 'when it was';
COMMENT ON COLUMN attribution_credit.channel IS 'channel of the touch, or of its campaign; (none): not known';
COMMENT ON COLUMN attribution_credit.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN attribution_credit.campaign IS 'campaign of the touch; (none): not known';
COMMENT ON COLUMN attribution_credit.place IS 'number of the touch';
COMMENT ON COLUMN attribution_credit.touches IS 'number of touches before the purchase';
COMMENT ON COLUMN attribution_credit.micro_credits IS 'share of the purchase in millionths; those of a purchase and model add up to 1000000';
COMMENT ON COLUMN attribution_credit.credit IS 'the share as a fraction';
COMMENT ON COLUMN attribution_credit.revenue_amount IS 'share of the amount; those of a purchase and model add up to it';

CREATE OR REPLACE FUNCTION attribution(model text)
    RETURNS TABLE (lead_id bigint, purchase_event_id bigint, purchased_at timestamptz, purchase_amount numeric, touch_event_id bigint,
        touched_at timestamptz, channel text, direction text, campaign text, place bigint, touches bigint, micro_credits bigint,
        credit double precision, revenue_amount numeric)
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT known_attribution(attribution.model);
    SELECT a.lead_id, a.purchase_event_id, a.purchased_at, a.purchase_amount, a.touch_event_id,
        a.touched_at, a.channel, a.direction, a.campaign, a.place, a.touches, a.micro_credits, a.credit, a.revenue_amount
    FROM attribution_credit a
    WHERE a.model = attribution.model
    ORDER BY a.purchased_at, a.lead_id, a.purchase_event_id, a.place;
END;
COMMENT ON FUNCTION attribution(text) IS
    'what each touch before a purchase is given of it: first, last, linear, position (2/5, 1/5, 2/5) or time_decay (halved every 7 days); micro_credits of a purchase add up to 1000000';

CREATE OR REPLACE VIEW roas WITH (security_invoker = true) AS
WITH revenue AS (
    SELECT a.model, a.channel, a.campaign, sum(a.micro_credits) AS micro_credits, sum(a.revenue_amount) AS revenue_amount
    FROM attribution_credit a
    GROUP BY a.model, a.channel, a.campaign
), spent AS (
    SELECT c.channel, c.campaign, sum(c.cost_amount) AS cost_amount
    FROM cost_by_month c
    GROUP BY c.channel, c.campaign
), line AS (
    SELECT m.model, n.channel, n.campaign
    FROM (VALUES ('first'), ('last'), ('linear'), ('position'), ('time_decay')) AS m (model)
        CROSS JOIN source_list n
    UNION
    SELECT r.model, r.channel, r.campaign FROM revenue r
)
SELECT
    n.model,
    n.channel,
    coalesce(p.direction, h.direction, '(none)') AS direction,
    n.campaign,
    coalesce(r.micro_credits, 0) / 1000000::double precision AS credited_purchases,
    as_amount(coalesce(r.revenue_amount, 0))::numeric(14,2) AS revenue_amount,
    as_amount(coalesce(s.cost_amount, 0))::numeric(14,2) AS cost_amount,
    coalesce(r.revenue_amount, 0)::double precision / nullif(s.cost_amount, 0)::double precision AS roas
FROM line n
    LEFT JOIN revenue r USING (model, channel, campaign)
    LEFT JOIN spent s USING (channel, campaign)
    LEFT JOIN campaign p ON p.campaign = n.campaign
    LEFT JOIN channel h ON h.channel = n.channel;
COMMENT ON VIEW roas IS 'one row an attribution model and source: revenue credited to it for each unit of money spent on it';
COMMENT ON COLUMN roas.model IS 'attribution model: first, last, linear, position or time_decay';
COMMENT ON COLUMN roas.channel IS 'the channel';
COMMENT ON COLUMN roas.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN roas.campaign IS 'the campaign';
COMMENT ON COLUMN roas.credited_purchases IS 'purchases, shared ones in part';
COMMENT ON COLUMN roas.revenue_amount IS 'revenue credited to the source';
COMMENT ON COLUMN roas.cost_amount IS 'what was spent on the source';
COMMENT ON COLUMN roas.roas IS 'revenue_amount / cost_amount';

CREATE OR REPLACE VIEW roi WITH (security_invoker = true) AS
SELECT
    r.model,
    r.channel,
    r.direction,
    r.campaign,
    r.revenue_amount,
    r.cost_amount,
    as_amount(r.revenue_amount - r.cost_amount)::numeric(14,2) AS profit_amount,
    (r.revenue_amount - r.cost_amount)::double precision / nullif(r.cost_amount, 0)::double precision AS roi
FROM roas r;
COMMENT ON VIEW roi IS 'one row an attribution model and source: profit for each unit of money spent on it';
COMMENT ON COLUMN roi.model IS 'attribution model: first, last, linear, position or time_decay';
COMMENT ON COLUMN roi.channel IS 'the channel';
COMMENT ON COLUMN roi.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN roi.campaign IS 'the campaign';
COMMENT ON COLUMN roi.revenue_amount IS 'revenue credited to the source';
COMMENT ON COLUMN roi.cost_amount IS 'what was spent on the source';
COMMENT ON COLUMN roi.profit_amount IS 'revenue_amount - cost_amount';
COMMENT ON COLUMN roi.roi IS '(revenue_amount - cost_amount) / cost_amount';

CREATE OR REPLACE VIEW customer_lifetime_value WITH (security_invoker = true) AS
WITH customer AS (
    SELECT p.lead_id, min(p.purchase_month) AS cohort_month, count(*) AS purchases, coalesce(sum(p.purchase_amount), 0) AS revenue_amount,
        date_part('epoch', max(p.purchased_at) - min(p.purchased_at)) / 86400 AS days
    FROM purchases p
    GROUP BY p.lead_id
)
SELECT
    c.cohort_month,
    coalesce(l.channel, p.channel, '(none)') AS channel,
    coalesce(p.direction, h.direction, '(none)') AS direction,
    coalesce(l.campaign, '(none)') AS campaign,
    count(*) AS customers,
    sum(c.purchases)::bigint AS purchases,
    as_amount(sum(c.revenue_amount))::numeric(14,2) AS revenue_amount,
    as_amount(sum(c.revenue_amount) / nullif(count(*), 0))::numeric(14,2) AS lifetime_value_amount,
    as_amount(sum(c.revenue_amount) / nullif(sum(c.purchases), 0))::numeric(14,2) AS revenue_per_purchase_amount,
    count(*) FILTER (WHERE c.purchases > 1) AS repeat_customers,
    count(*) FILTER (WHERE c.purchases > 1)::double precision / nullif(count(*), 0) AS repeat_rate,
    avg(c.days) AS buying_days
FROM customer c
    JOIN lead l USING (lead_id)
    LEFT JOIN campaign p ON p.campaign = l.campaign
    LEFT JOIN channel h ON h.channel = coalesce(l.channel, p.channel)
GROUP BY 1, 2, 3, 4;
COMMENT ON VIEW customer_lifetime_value IS 'one row a month of first purchase and source: what those customers have brought so far';
COMMENT ON COLUMN customer_lifetime_value.cohort_month IS 'first day of the month of the first purchase';
COMMENT ON COLUMN customer_lifetime_value.channel IS 'channel that the lead came by, or that of its campaign; (none): not known';
COMMENT ON COLUMN customer_lifetime_value.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN customer_lifetime_value.campaign IS 'campaign that the lead came by; (none): not known';
COMMENT ON COLUMN customer_lifetime_value.customers IS 'leads that bought';
COMMENT ON COLUMN customer_lifetime_value.purchases IS 'what they bought, in number';
COMMENT ON COLUMN customer_lifetime_value.revenue_amount IS 'sum of purchases';
COMMENT ON COLUMN customer_lifetime_value.lifetime_value_amount IS 'revenue_amount / customers';
COMMENT ON COLUMN customer_lifetime_value.revenue_per_purchase_amount IS 'revenue_amount / purchases';
COMMENT ON COLUMN customer_lifetime_value.repeat_customers IS 'customers that bought more than once';
COMMENT ON COLUMN customer_lifetime_value.repeat_rate IS 'repeat_customers / customers';
COMMENT ON COLUMN customer_lifetime_value.buying_days IS 'mean time from the first purchase to the last so far';

-- Months are counted from that of the first purchase, up to this one.
CREATE OR REPLACE VIEW customer_retention WITH (security_invoker = true) AS
WITH bought AS (
    SELECT p.purchase_month, min(p.purchase_month) OVER (PARTITION BY p.lead_id) AS cohort_month, sum(p.purchase_amount) AS amount
    FROM purchases p
    GROUP BY p.lead_id, p.purchase_month
), month AS (
    SELECT b.cohort_month, b.purchase_month, count(*) AS buyers, sum(b.amount) AS amount
    FROM bought b
    GROUP BY b.cohort_month, b.purchase_month
)
SELECT
    c.cohort_month,
    m.calendar_month::date AS calendar_month,
    12 * (date_part('year', m.calendar_month) - date_part('year', c.cohort_month))::integer
        + (date_part('month', m.calendar_month) - date_part('month', c.cohort_month))::integer AS months_since,
    c.buyers AS customers,
    coalesce(b.buyers, 0) AS buyers,
    coalesce(b.buyers, 0)::double precision / c.buyers AS retention_rate,
    as_amount(coalesce(b.amount, 0))::numeric(14,2) AS revenue_amount
FROM month c
    CROSS JOIN setting s
    CROSS JOIN LATERAL generate_series(c.cohort_month::timestamp,
        greatest(c.cohort_month, month_start(now(), s.time_zone))::timestamp, interval '1 month') AS m (calendar_month)
    LEFT JOIN month b ON b.cohort_month = c.cohort_month AND b.purchase_month = m.calendar_month::date
WHERE c.purchase_month = c.cohort_month;
COMMENT ON VIEW customer_retention IS 'one row a month of first purchase and month since then: how many of those customers bought again in it';
COMMENT ON COLUMN customer_retention.cohort_month IS 'first day of the month of the first purchase';
COMMENT ON COLUMN customer_retention.calendar_month IS 'first day of the month looked at';
COMMENT ON COLUMN customer_retention.months_since IS 'months from the one to the other; 0: the month of the first purchase';
COMMENT ON COLUMN customer_retention.customers IS 'leads that first bought in cohort_month';
COMMENT ON COLUMN customer_retention.buyers IS 'of these, those that bought in calendar_month';
COMMENT ON COLUMN customer_retention.retention_rate IS 'buyers / customers';
COMMENT ON COLUMN customer_retention.revenue_amount IS 'what they bought in calendar_month';

CREATE OR REPLACE VIEW value_by_stage WITH (security_invoker = true) AS
WITH entry AS (
    SELECT h.lead_id, h.to_stage, min(h.effective_at) AS entered_at
    FROM stage_history h
    WHERE h.to_stage >= 'visitor'
    GROUP BY h.lead_id, h.to_stage
), entered AS (
    SELECT stage_rank(e.to_stage) AS stage_rank, count(*) AS leads
    FROM entry e
    GROUP BY e.to_stage
), bought AS (
    SELECT stage_rank(e.to_stage) AS stage_rank, count(DISTINCT e.lead_id) AS customers, sum(p.purchase_amount) AS revenue_amount
    FROM purchases p
        JOIN entry e ON e.lead_id = p.lead_id AND e.entered_at <= p.purchased_at
    GROUP BY e.to_stage
), figure AS (
    SELECT t.stage::text AS stage, t.stage_rank, t.stage_label,
        coalesce(n.leads, 0) AS leads,
        coalesce(b.customers, 0) AS customers,
        coalesce(b.revenue_amount, 0) AS revenue_amount,
        coalesce(b.revenue_amount, 0) / nullif(n.leads, 0) AS value
    FROM stages() t
        LEFT JOIN entered n USING (stage_rank)
        LEFT JOIN bought b USING (stage_rank)
    WHERE t.stage >= 'visitor'
)
SELECT
    f.stage,
    f.stage_rank,
    f.stage_label,
    f.leads,
    f.customers,
    f.customers::double precision / nullif(f.leads, 0) AS customer_rate,
    as_amount(f.revenue_amount)::numeric(14,2) AS revenue_amount,
    as_amount(f.value)::numeric(14,2) AS value_per_lead_amount,
    f.value::double precision / nullif(i.value, 0)::double precision AS ratio_to_iql,
    b.low AS benchmark_low,
    b.high AS benchmark_high,
    b.source AS benchmark_source,
    compared(f.value::double precision / nullif(i.value, 0)::double precision, b.low, b.high) AS benchmark_status
FROM figure f
    LEFT JOIN figure i ON i.stage_rank = stage_rank('iql')
    LEFT JOIN benchmark b ON b.metric = f.stage || '_value_ratio' AND b.segment = 'all';
COMMENT ON VIEW value_by_stage IS 'one row a stage: what a lead that was in it has brought on average since it came in, and how that compares with an iql';
COMMENT ON COLUMN value_by_stage.stage IS 'the stage';
COMMENT ON COLUMN value_by_stage.stage_rank IS 'order of the stages';
COMMENT ON COLUMN value_by_stage.stage_label IS 'the stage with a number in front, for tools that sort by name';
COMMENT ON COLUMN value_by_stage.leads IS 'leads that ever were in it';
COMMENT ON COLUMN value_by_stage.customers IS 'of these, those that bought afterwards';
COMMENT ON COLUMN value_by_stage.customer_rate IS 'customers / leads';
COMMENT ON COLUMN value_by_stage.revenue_amount IS 'what they bought for afterwards';
COMMENT ON COLUMN value_by_stage.value_per_lead_amount IS 'revenue_amount / leads';
COMMENT ON COLUMN value_by_stage.ratio_to_iql IS 'value of a lead here / value of an iql';
COMMENT ON COLUMN value_by_stage.benchmark_low IS 'lower end of the goal for ratio_to_iql';
COMMENT ON COLUMN value_by_stage.benchmark_high IS 'upper end of the goal for ratio_to_iql';
COMMENT ON COLUMN value_by_stage.benchmark_source IS 'where the goal comes from';
COMMENT ON COLUMN value_by_stage.benchmark_status IS 'below, within or above the goal; NULL: nothing to compare';

-- How many of a stage become customers. Leads younger than mature_after are
-- left out: they had less time. Leaving out open ones instead would overstate
-- it, as customers are settled sooner.
CREATE OR REPLACE VIEW stage_to_customer WITH (security_invoker = true) AS
WITH run AS (
    SELECT
        h.lead_id,
        h.cycle,
        min(h.seq) FILTER (WHERE h.to_stage = 'visitor') AS visitor_in,
        min(h.seq) FILTER (WHERE h.to_stage = 'visitor' AND h.effective_at <= t.before) AS visitor_matured,
        min(h.seq) FILTER (WHERE h.to_stage = 'iql') AS iql_in,
        min(h.seq) FILTER (WHERE h.to_stage = 'iql' AND h.effective_at <= t.before) AS iql_matured,
        min(h.seq) FILTER (WHERE h.to_stage = 'mql') AS mql_in,
        min(h.seq) FILTER (WHERE h.to_stage = 'mql' AND h.effective_at <= t.before) AS mql_matured,
        min(h.seq) FILTER (WHERE h.to_stage = 'sql') AS sql_in,
        min(h.seq) FILTER (WHERE h.to_stage = 'sql' AND h.effective_at <= t.before) AS sql_matured,
        min(h.seq) FILTER (WHERE h.to_stage = 'prospect') AS prospect_in,
        min(h.seq) FILTER (WHERE h.to_stage = 'prospect' AND h.effective_at <= t.before) AS prospect_matured,
        max(h.seq) FILTER (WHERE h.to_stage >= 'customer') AS customer_last
    FROM stage_history h
        CROSS JOIN (SELECT now() - fixed_period(s.mature_after) AS before FROM setting s) t
    GROUP BY h.lead_id, h.cycle
), total AS (
    SELECT
        count(r.visitor_in) AS visitors,
        count(r.visitor_matured) AS visitors_matured,
        count(*) FILTER (WHERE r.customer_last > r.visitor_matured) AS visitors_won,
        count(r.iql_in) AS iqls,
        count(r.iql_matured) AS iqls_matured,
        count(*) FILTER (WHERE r.customer_last > r.iql_matured) AS iqls_won,
        count(r.mql_in) AS mqls,
        count(r.mql_matured) AS mqls_matured,
        count(*) FILTER (WHERE r.customer_last > r.mql_matured) AS mqls_won,
        count(r.sql_in) AS sqls,
        count(r.sql_matured) AS sqls_matured,
        count(*) FILTER (WHERE r.customer_last > r.sql_matured) AS sqls_won,
        count(r.prospect_in) AS prospects,
        count(r.prospect_matured) AS prospects_matured,
        count(*) FILTER (WHERE r.customer_last > r.prospect_matured) AS prospects_won
    FROM run r
), present AS (
    SELECT stage_rank(n.stage) AS stage_rank, count(*) AS leads
    FROM lead_state s
        LEFT JOIN model m ON m.status = 'active'
        CROSS JOIN LATERAL (SELECT stage_now(s.activity, m.compiled, s.stage, s.held, s.settled_at, s.next_review_at)) AS n (stage)
    GROUP BY stage_rank(n.stage)
)
SELECT
    v.stage,
    stage_rank(v.stage::lead_stage) AS stage_rank,
    v.entered,
    v.matured,
    v.converted,
    v.converted::double precision / nullif(v.matured, 0) AS customer_rate,
    rate_low(v.converted, v.matured) AS low_rate,
    rate_high(v.converted, v.matured) AS high_rate,
    coalesce(p.leads, 0) AS leads_now
FROM total t
    CROSS JOIN LATERAL (VALUES
        ('visitor', t.visitors, t.visitors_matured, t.visitors_won),
        ('iql', t.iqls, t.iqls_matured, t.iqls_won),
        ('mql', t.mqls, t.mqls_matured, t.mqls_won),
        ('sql', t.sqls, t.sqls_matured, t.sqls_won),
        ('prospect', t.prospects, t.prospects_matured, t.prospects_won)
    ) AS v (stage, entered, matured, converted)
    LEFT JOIN present p ON p.stage_rank = stage_rank(v.stage::lead_stage);
COMMENT ON VIEW stage_to_customer IS 'one row an open stage: the share of those in it that become customers; only of those in it for mature_after';
COMMENT ON COLUMN stage_to_customer.stage IS 'the stage';
COMMENT ON COLUMN stage_to_customer.stage_rank IS 'order of the stages';
COMMENT ON COLUMN stage_to_customer.entered IS 'runs through the funnel that were in it';
COMMENT ON COLUMN stage_to_customer.matured IS 'of these, those that came in before mature_after';
COMMENT ON COLUMN stage_to_customer.converted IS 'of the matured, those that became customers afterwards';
COMMENT ON COLUMN stage_to_customer.customer_rate IS 'converted / matured';
COMMENT ON COLUMN stage_to_customer.low_rate IS 'lower end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN stage_to_customer.high_rate IS 'upper end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN stage_to_customer.leads_now IS 'leads in it now';

-- N leads of which a share p buys for m on average. The interval (95 %) is made
-- of what chance does to N leads, N (p s2 + p (1 - p) m2), of not knowing p
-- well, (N m)2 p (1 - p) / n, and of not knowing m well, (N p)2 s2 / purchases.
-- The row all has the sum; its interval is narrower than the sum of intervals.
CREATE OR REPLACE VIEW pipeline_forecast WITH (security_invoker = true) AS
WITH deal AS (
    SELECT count(p.purchase_amount) AS purchases,
        avg(p.purchase_amount)::double precision AS mean,
        coalesce(var_samp(p.purchase_amount), 0)::double precision AS variance
    FROM purchases p
), part AS (
    SELECT r.stage, r.stage_rank, r.leads_now AS leads, r.customer_rate, d.mean, d.variance, d.purchases,
        r.leads_now * r.customer_rate AS customers,
        -- p with two successes and two failures more: none in ten is not never
        r.leads_now * q.p * d.variance + r.leads_now * q.p * (1 - q.p) * d.mean * d.mean
            + power(r.leads_now * d.mean, 2) * q.p * (1 - q.p) / nullif(r.matured, 0) AS own_variance
    FROM stage_to_customer r
        CROSS JOIN deal d
        CROSS JOIN LATERAL (SELECT (r.converted + 1.9207294103470494) / (r.matured + 3.841458820694124)) AS q (p)
    WHERE r.stage_rank >= stage_rank('iql')
), line AS (
    SELECT p.stage, p.stage_rank, p.leads, p.customer_rate, p.mean, p.customers, p.customers * p.mean AS forecast,
        1.959963984540054 * sqrt(p.own_variance + power(p.customers, 2) * p.variance / nullif(p.purchases, 0)) AS margin
    FROM part p
    UNION ALL
    -- a stage of nobody needs no rate
    SELECT 'all', 0, sum(p.leads)::bigint,
        CASE WHEN bool_and(p.leads = 0 OR p.customers IS NOT NULL) THEN sum(p.customers) / nullif(sum(p.leads), 0)::double precision END,
        min(p.mean),
        CASE WHEN bool_and(p.leads = 0 OR p.customers IS NOT NULL) THEN sum(p.customers) END,
        CASE WHEN bool_and(p.leads = 0 OR p.customers IS NOT NULL) THEN sum(p.customers) * min(p.mean) END,
        CASE WHEN bool_and(p.leads = 0 OR p.customers IS NOT NULL)
            THEN 1.959963984540054 * sqrt(sum(p.own_variance) + power(sum(p.customers), 2) * min(p.variance) / nullif(min(p.purchases), 0)) END
    FROM part p
)
SELECT
    n.stage,
    n.stage_rank,
    n.leads AS leads_now,
    n.customer_rate,
    n.customers AS expected_customers,
    as_amount(n.mean::numeric)::numeric(14,2) AS purchase_amount,
    as_amount(n.forecast::numeric)::numeric(14,2) AS forecast_amount,
    as_amount(CASE WHEN n.forecast > n.margin THEN n.forecast - n.margin WHEN n.margin IS NOT NULL THEN 0 END::numeric)::numeric(14,2) AS low_amount,
    as_amount((n.forecast + n.margin)::numeric)::numeric(14,2) AS high_amount
FROM line n;
COMMENT ON VIEW pipeline_forecast IS 'one row a stage from iql to prospect, and one for all: leads there now, times the share that becomes customers, times the mean purchase';
COMMENT ON COLUMN pipeline_forecast.stage IS 'the stage; all: their sum';
COMMENT ON COLUMN pipeline_forecast.stage_rank IS 'order of the stages; 0: all';
COMMENT ON COLUMN pipeline_forecast.leads_now IS 'leads in it now';
COMMENT ON COLUMN pipeline_forecast.customer_rate IS 'share that becomes customers, from stage_to_customer';
COMMENT ON COLUMN pipeline_forecast.expected_customers IS 'leads_now * customer_rate';
COMMENT ON COLUMN pipeline_forecast.purchase_amount IS 'mean purchase so far';
COMMENT ON COLUMN pipeline_forecast.forecast_amount IS 'expected_customers * purchase_amount';
COMMENT ON COLUMN pipeline_forecast.low_amount IS 'lower end of its 95 % interval';
COMMENT ON COLUMN pipeline_forecast.high_amount IS 'upper end of its 95 % interval';

CREATE OR REPLACE FUNCTION required_leads(target_customers bigint)
    RETURNS TABLE (stage text, stage_rank integer, customer_rate double precision, required bigint, required_low bigint, required_high bigint,
        leads_now bigint, missing bigint)
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN required_leads.target_customers IS NULL OR required_leads.target_customers < 0
        THEN refuse('invalid_parameter_value',
            'target_customers must not be ' || CASE WHEN required_leads.target_customers IS NULL THEN 'null' ELSE 'negative' END,
            hint => 'Pass how many customers are wanted, such as 20.')
        END;
    SELECT r.stage, r.stage_rank, r.customer_rate,
        n.required::bigint, n.low::bigint, n.high::bigint, r.leads_now, greatest(n.required - r.leads_now, 0)::bigint
    FROM stage_to_customer r,
        LATERAL (SELECT
            -- numeric, so that 20 of 1/5 is 100 and not one more
            ceil(required_leads.target_customers * r.matured / nullif(r.converted, 0)::numeric),
            ceil(required_leads.target_customers / nullif(r.high_rate, 0)),
            CASE WHEN r.low_rate > 1e-9 THEN ceil(required_leads.target_customers / r.low_rate) END
        ) AS n (required, low, high)
    ORDER BY r.stage_rank;
END;
COMMENT ON FUNCTION required_leads(bigint) IS
    'how many leads each stage must have for this many customers, by the rates so far, with the numbers for the ends of their intervals; missing: beyond those there now';

CREATE OR REPLACE VIEW sourcing_comparison WITH (security_invoker = true) AS
WITH revenue AS (
    SELECT p.lead_id, sum(p.purchase_amount) AS revenue_amount
    FROM purchases p
    GROUP BY p.lead_id
), reached AS (
    SELECT m.sourcing, m.direction,
        count(m.lead_at) AS leads, count(m.mql_at) AS mqls, count(m.sql_at) AS sqls, count(m.customer_at) AS customers,
        sum(r.revenue_amount) AS revenue_amount, 0::numeric AS cost_amount
    FROM lead_milestone m
        LEFT JOIN revenue r USING (lead_id)
    GROUP BY m.sourcing, m.direction
    UNION ALL
    SELECT c.sourcing, c.direction, 0, 0, 0, 0, 0, sum(c.cost_amount) AS cost_amount
    FROM cost_by_month c
    GROUP BY c.sourcing, c.direction
), total AS (
    SELECT k.comparison, k.place, k.segment,
        coalesce(sum(r.leads), 0)::bigint AS leads,
        coalesce(sum(r.mqls), 0)::bigint AS mqls,
        coalesce(sum(r.sqls), 0)::bigint AS sqls,
        coalesce(sum(r.customers), 0)::bigint AS customers,
        coalesce(sum(r.revenue_amount), 0) AS revenue_amount,
        coalesce(sum(r.cost_amount), 0) AS cost_amount
    FROM (VALUES
            ('sourcing', 1, 'internal'),
            ('sourcing', 2, 'outsourced'),
            ('sourcing', 3, '(none)'),
            ('direction', 4, 'inbound'),
            ('direction', 5, 'outbound'),
            ('direction', 6, '(none)')
        ) AS k (comparison, place, segment)
        LEFT JOIN reached r ON k.segment = CASE k.comparison WHEN 'sourcing' THEN r.sourcing ELSE r.direction END
    GROUP BY k.comparison, k.place, k.segment
)
SELECT
    t.comparison,
    t.place,
    t.segment,
    as_amount(t.cost_amount)::numeric(14,2) AS cost_amount,
    t.leads,
    t.mqls,
    t.sqls,
    t.customers,
    as_amount(t.cost_amount / nullif(t.leads, 0))::numeric(14,2) AS cost_per_lead_amount,
    as_amount(t.cost_amount / nullif(t.sqls, 0))::numeric(14,2) AS cost_per_sql_amount,
    as_amount(t.cost_amount / nullif(t.customers, 0))::numeric(14,2) AS cost_per_customer_amount,
    t.sqls::double precision / nullif(t.leads, 0) AS lead_to_sql_rate,
    t.customers::double precision / nullif(t.leads, 0) AS lead_to_customer_rate,
    as_amount(t.revenue_amount)::numeric(14,2) AS revenue_amount,
    as_amount(t.revenue_amount / nullif(t.leads, 0))::numeric(14,2) AS revenue_per_lead_amount,
    (t.revenue_amount - t.cost_amount)::double precision / nullif(t.cost_amount, 0)::double precision AS roi
FROM total t;
COMMENT ON VIEW sourcing_comparison IS 'internal against outsourced and inbound against outbound: what was spent, what came of it';
COMMENT ON COLUMN sourcing_comparison.comparison IS 'sourcing or direction';
COMMENT ON COLUMN sourcing_comparison.place IS 'order of the rows';
COMMENT ON COLUMN sourcing_comparison.segment IS 'internal or outsourced, inbound or outbound; (none): costs and leads of no campaign or channel that says so';
COMMENT ON COLUMN sourcing_comparison.cost_amount IS 'all costs, wages and tools too';
COMMENT ON COLUMN sourcing_comparison.leads IS 'contacts that reached iql or higher';
COMMENT ON COLUMN sourcing_comparison.mqls IS 'those that reached mql or higher';
COMMENT ON COLUMN sourcing_comparison.sqls IS 'those that reached sql or higher';
COMMENT ON COLUMN sourcing_comparison.customers IS 'those that became customers';
COMMENT ON COLUMN sourcing_comparison.cost_per_lead_amount IS 'cost_amount / leads';
COMMENT ON COLUMN sourcing_comparison.cost_per_sql_amount IS 'cost_amount / sqls';
COMMENT ON COLUMN sourcing_comparison.cost_per_customer_amount IS 'cost_amount / customers';
COMMENT ON COLUMN sourcing_comparison.lead_to_sql_rate IS 'sqls / leads';
COMMENT ON COLUMN sourcing_comparison.lead_to_customer_rate IS 'customers / leads';
COMMENT ON COLUMN sourcing_comparison.revenue_amount IS 'sum of purchases';
COMMENT ON COLUMN sourcing_comparison.revenue_per_lead_amount IS 'revenue_amount / leads';
COMMENT ON COLUMN sourcing_comparison.roi IS '(revenue_amount - cost_amount) / cost_amount';
$pipeline_ddl$),
('57-sales', $pipeline_ddl$-- Sales discipline: who was contacted when, how often, and who is left to cool.

-- Contacts are what sales does: events of role outreach (tried to reach) and
-- sales_contact (spoke with).

-- One row for each time that a lead was in a stage which the active model gives
-- a time for (stage_rule.sla). The clock starts with the stage.
CREATE OR REPLACE VIEW sla_clock WITH (security_invoker = true) AS
SELECT
    h.lead_id,
    h.seq,
    h.cycle,
    h.to_stage::text AS stage,
    stage_rank(h.to_stage) AS stage_rank,
    h.effective_at AS entered_at,
    h.effective_at + fixed_period(r.sla) AS due_at,
    min(e.occurred_at) AS contacted_at,
    n.effective_at AS left_at
FROM model m
    JOIN stage_history h ON h.to_stage = ANY (ARRAY(
        SELECT r.stage FROM stage_rule r JOIN model m ON m.model = r.model WHERE m.status = 'active' AND r.sla IS NOT NULL))
    LEFT JOIN LATERAL (
        SELECT n.effective_at
        FROM stage_history n
        WHERE n.lead_id = h.lead_id AND n.seq > h.seq
        ORDER BY n.seq
        LIMIT 1
    ) n ON true
    -- of several rows for a stage the one that the engine takes
    JOIN LATERAL (
        SELECT r.sla
        FROM stage_rule r
        WHERE r.model = m.model AND r.stage = h.to_stage
            AND (r.only_if = '' OR EXISTS (
                SELECT FROM lead_state s, signal g, unnest(s.activity) u
                WHERE s.lead_id = h.lead_id AND g.signal = r.only_if AND u.signal_id = g.signal_id AND u.count > 0))
        ORDER BY r.only_if = '', r.only_if COLLATE "C"
        LIMIT 1
    ) r ON r.sla IS NOT NULL
    LEFT JOIN event e ON e.lead_id = h.lead_id
        AND e.kind = ANY (kinds_of('event_kind', 'outreach', 'sales_contact'))
        AND isfinite(e.occurred_at) AND e.occurred_at >= h.effective_at AND (e.occurred_at <= n.effective_at OR n.effective_at IS NULL)
WHERE m.status = 'active'
GROUP BY h.lead_id, h.seq, h.cycle, h.to_stage::text, stage_rank(h.to_stage), h.effective_at, r.sla, n.effective_at;
COMMENT ON VIEW sla_clock IS 'one row a stay in a stage with a time for a first contact: what sla_status is computed from';
COMMENT ON COLUMN sla_clock.lead_id IS 'the lead';
COMMENT ON COLUMN sla_clock.seq IS 'number of the change of stage by which it came in';
COMMENT ON COLUMN sla_clock.cycle IS 'number of the run through the funnel';
COMMENT ON COLUMN sla_clock.stage IS 'the stage';
COMMENT ON COLUMN sla_clock.stage_rank IS 'order of the stages';
COMMENT ON COLUMN sla_clock.entered_at IS 'when it came into the stage';
COMMENT ON COLUMN sla_clock.due_at IS 'when it should have been contacted';
COMMENT ON COLUMN sla_clock.contacted_at IS 'first outreach or sales_contact in the stage';
COMMENT ON COLUMN sla_clock.left_at IS 'when it left the stage; NULL: it is in it';

CREATE OR REPLACE FUNCTION sla_state(due_at timestamptz, contacted_at timestamptz, left_at timestamptz, at timestamptz) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE
        WHEN sla_state.contacted_at <= least(sla_state.due_at, sla_state.at) THEN 'kept'
        WHEN sla_state.left_at <= least(sla_state.due_at, sla_state.at) THEN 'left'
        WHEN sla_state.at > sla_state.due_at THEN 'breached'
        ELSE 'due'
    END;
END;
COMMENT ON FUNCTION sla_state(timestamptz, timestamptz, timestamptz, timestamptz) IS
    'kept: contacted in time; left: left the stage in time, without a contact; breached: neither, and the time is over; due: the time runs';

CREATE OR REPLACE VIEW sla_status WITH (security_invoker = true) AS
SELECT
    c.lead_id,
    c.seq,
    c.cycle,
    c.stage,
    c.stage_rank,
    coalesce(l.channel, p.channel, '(none)') AS channel,
    coalesce(l.campaign, '(none)') AS campaign,
    coalesce(l.owner, '(none)') AS owner,
    c.entered_at,
    c.due_at,
    c.contacted_at,
    c.left_at,
    sla_state(c.due_at, c.contacted_at, c.left_at, now()) AS status,
    CASE WHEN sla_state(c.due_at, c.contacted_at, c.left_at, now()) = 'due' OR c.contacted_at IS NULL AND c.left_at IS NULL
        THEN date_part('epoch', c.due_at - now()) / 86400 END AS remaining_days,
    date_part('epoch', c.contacted_at - c.entered_at) / 86400 AS response_days
FROM sla_clock c
    JOIN lead l USING (lead_id)
    LEFT JOIN campaign p ON p.campaign = l.campaign
WHERE c.entered_at <= now();
COMMENT ON VIEW sla_status IS 'one row a stay in a stage with a time for a first contact: whether sales kept it';
COMMENT ON COLUMN sla_status.lead_id IS 'the lead';
COMMENT ON COLUMN sla_status.seq IS 'number of the change of stage by which it came in';
COMMENT ON COLUMN sla_status.cycle IS 'number of the run through the funnel';
COMMENT ON COLUMN sla_status.stage IS 'the stage';
COMMENT ON COLUMN sla_status.stage_rank IS 'order of the stages';
COMMENT ON COLUMN sla_status.channel IS 'channel that the lead came by, or that of its campaign; (none): not known';
COMMENT ON COLUMN sla_status.campaign IS 'campaign that the lead came by; (none): not known';
COMMENT ON COLUMN sla_status.owner IS 'who looks after the lead; (none): nobody';
COMMENT ON COLUMN sla_status.entered_at IS 'when it came into the stage';
COMMENT ON COLUMN sla_status.due_at IS 'when it should have been contacted';
COMMENT ON COLUMN sla_status.contacted_at IS 'first outreach or sales_contact in the stage';
COMMENT ON COLUMN sla_status.left_at IS 'when it left the stage; NULL: it is in it';
COMMENT ON COLUMN sla_status.status IS 'kept: contacted in time; due: the time runs; breached: it is over; left: left the stage in time without a contact';
COMMENT ON COLUMN sla_status.remaining_days IS 'time left for leads not contacted that are still in the stage; negative: overdue';
COMMENT ON COLUMN sla_status.response_days IS 'from entered_at to contacted_at';

CREATE OR REPLACE FUNCTION sla_status_at(at timestamptz)
    RETURNS TABLE (lead_id bigint, seq integer, stage text, stage_rank integer, entered_at timestamptz, due_at timestamptz,
        contacted_at timestamptz, status text, remaining interval)
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT c.lead_id, c.seq, c.stage, c.stage_rank, c.entered_at, c.due_at,
        CASE WHEN c.contacted_at <= sla_status_at.at THEN c.contacted_at END,
        sla_state(c.due_at, c.contacted_at, c.left_at, sla_status_at.at),
        CASE WHEN (c.contacted_at IS NULL OR c.contacted_at > sla_status_at.at) AND (c.left_at IS NULL OR c.left_at > sla_status_at.at)
            THEN c.due_at - sla_status_at.at END
    FROM sla_clock c
    WHERE c.entered_at <= sla_status_at.at
    ORDER BY c.due_at, c.lead_id, c.seq;
END;
COMMENT ON FUNCTION sla_status_at(timestamptz) IS 'sla_status as it was or will be at an instant, if nothing is added';

-- An enquiry: the first time that a lead asked for something, sent a form or
-- subscribed.
CREATE OR REPLACE VIEW first_response WITH (security_invoker = true) AS
WITH enquiry AS (
    SELECT e.lead_id, min(e.occurred_at) AS enquired_at
    FROM event e
    WHERE e.kind = ANY (kinds_of('event_kind', 'request', 'form_submit', 'capture')) AND isfinite(e.occurred_at)
    GROUP BY e.lead_id
), answered AS (
    SELECT q.lead_id, q.enquired_at, min(e.occurred_at) AS responded_at
    FROM enquiry q
        LEFT JOIN event e ON e.lead_id = q.lead_id AND e.kind = ANY (kinds_of('event_kind', 'outreach', 'sales_contact'))
            AND isfinite(e.occurred_at) AND e.occurred_at >= q.enquired_at
    GROUP BY q.lead_id, q.enquired_at
)
SELECT
    a.lead_id,
    m.channel,
    m.direction,
    m.campaign,
    m.market,
    m.owner,
    a.enquired_at,
    a.responded_at,
    date_part('epoch', a.responded_at - a.enquired_at) / 86400 AS response_days,
    a.responded_at <= a.enquired_at + s.within AS in_time,
    CASE
        WHEN a.responded_at IS NULL THEN 'never'
        WHEN a.responded_at <= a.enquired_at + s.within THEN 'in time'
        WHEN a.responded_at <= a.enquired_at + interval '24 hours' THEN 'within a day'
        WHEN a.responded_at <= a.enquired_at + interval '168 hours' THEN 'within a week'
        ELSE 'later'
    END AS response,
    m.sql_at,
    m.customer_at
FROM answered a
    JOIN lead_milestone m USING (lead_id)
    -- OFFSET: once, not for each lead
    CROSS JOIN (SELECT fixed_period(s.first_response_within) AS within FROM setting s OFFSET 0) s;
COMMENT ON VIEW first_response IS 'one row a lead that enquired: how long it took to answer it';
COMMENT ON COLUMN first_response.lead_id IS 'the lead';
COMMENT ON COLUMN first_response.channel IS 'channel that the lead came by, or that of its campaign; (none): not known';
COMMENT ON COLUMN first_response.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN first_response.campaign IS 'campaign that the lead came by; (none): not known';
COMMENT ON COLUMN first_response.market IS 'b2b or b2c; (none): not known';
COMMENT ON COLUMN first_response.owner IS 'who looks after the lead; (none): nobody';
COMMENT ON COLUMN first_response.enquired_at IS 'first event of role request, form_submit or capture';
COMMENT ON COLUMN first_response.responded_at IS 'first outreach or sales_contact since';
COMMENT ON COLUMN first_response.response_days IS 'time between';
COMMENT ON COLUMN first_response.in_time IS 'whether that is within the setting first_response_within';
COMMENT ON COLUMN first_response.response IS 'in time, within a day, within a week, later or never';
COMMENT ON COLUMN first_response.sql_at IS 'when it first was sql or higher';
COMMENT ON COLUMN first_response.customer_at IS 'when it first was customer or higher';

-- Qualified counts only after the answer: sales likes to answer those who are
-- qualified already, which would look as if the answer had done it.
CREATE OR REPLACE VIEW response_time_effect WITH (security_invoker = true) AS
WITH figure AS (
    SELECT k.place, k.response,
        count(f.lead_id) AS leads,
        count(f.lead_id) FILTER (WHERE f.sql_at IS NULL OR f.sql_at >= coalesce(f.responded_at, f.enquired_at)) AS unqualified,
        count(f.lead_id) FILTER (WHERE f.sql_at >= coalesce(f.responded_at, f.enquired_at)) AS qualified,
        count(f.customer_at) FILTER (WHERE f.customer_at >= coalesce(f.responded_at, f.enquired_at)) AS customers
    FROM (VALUES (1, 'in time'), (2, 'within a day'), (3, 'within a week'), (4, 'later'), (5, 'never')) AS k (place, response)
        LEFT JOIN first_response f USING (response)
    GROUP BY k.place, k.response
), late AS (
    SELECT sum(f.qualified)::double precision / nullif(sum(f.unqualified), 0)::double precision AS qualified_rate,
        sum(f.customers)::double precision / nullif(sum(f.leads), 0)::double precision AS customer_rate
    FROM figure f
    WHERE f.place IN (2, 3, 4)
)
SELECT
    f.response,
    f.place,
    f.leads,
    f.unqualified,
    f.qualified,
    f.qualified::double precision / nullif(f.unqualified, 0) AS qualified_rate,
    rate_low(f.qualified, f.unqualified) AS qualified_low_rate,
    rate_high(f.qualified, f.unqualified) AS qualified_high_rate,
    f.customers,
    f.customers::double precision / nullif(f.leads, 0) AS customer_rate,
    f.qualified::double precision / nullif(f.unqualified, 0) / nullif(l.qualified_rate, 0) AS qualified_ratio_to_late,
    f.customers::double precision / nullif(f.leads, 0) / nullif(l.customer_rate, 0) AS customer_ratio_to_late
FROM figure f
    CROSS JOIN late l;
COMMENT ON VIEW response_time_effect IS 'one row a speed of answer: what became of those enquiries';
COMMENT ON COLUMN response_time_effect.response IS 'how fast: in time (setting first_response_within), within a day, within a week, later, never';
COMMENT ON COLUMN response_time_effect.place IS 'order of the rows';
COMMENT ON COLUMN response_time_effect.leads IS 'leads that enquired';
COMMENT ON COLUMN response_time_effect.unqualified IS 'of these, those that were not sql or higher before the answer';
COMMENT ON COLUMN response_time_effect.qualified IS 'of the unqualified, those that reached sql or higher then';
COMMENT ON COLUMN response_time_effect.qualified_rate IS 'qualified / unqualified';
COMMENT ON COLUMN response_time_effect.qualified_low_rate IS 'lower end of its 95 % interval';
COMMENT ON COLUMN response_time_effect.qualified_high_rate IS 'upper end of its 95 % interval';
COMMENT ON COLUMN response_time_effect.customers IS 'those that became customers';
COMMENT ON COLUMN response_time_effect.customer_rate IS 'customers / leads';
COMMENT ON COLUMN response_time_effect.qualified_ratio_to_late IS 'qualified_rate / that of all that were answered late';
COMMENT ON COLUMN response_time_effect.customer_ratio_to_late IS 'customer_rate / that of all that were answered late';

-- What a contact came to is a property of the event, which readers of views
-- must not see: so this is counted with the rights of the pipeline's owner.
CREATE OR REPLACE FUNCTION contacts_by_lead()
    RETURNS TABLE (lead_id bigint, won_at timestamptz, contacts bigint, contacts_until_won bigint,
        first_contact_at timestamptz, last_contact_at timestamptz, first_no_at timestamptz, contacts_after_no bigint, last_no boolean)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    -- contacts and, before those of each lead, when it became a customer
    WITH step AS (
        SELECT e.lead_id, e.event_id, e.occurred_at, lower(e.properties ->> 'outcome') = 'no' AS said_no, NULL::timestamptz AS won_at
        FROM event e
        WHERE e.kind = ANY (kinds_of('event_kind', 'outreach', 'sales_contact')) AND isfinite(e.occurred_at)
        UNION ALL
        SELECT h.lead_id, NULL::bigint AS event_id, NULL::timestamptz AS occurred_at, NULL::boolean AS said_no, h.effective_at AS won_at
        FROM stage_history h
        WHERE h.to_stage >= 'customer'
    ), placed AS (
        SELECT s.lead_id, s.occurred_at, s.said_no,
            min(s.won_at) OVER path AS won_at,
            min(s.occurred_at) FILTER (WHERE s.said_no) OVER path AS first_no_at,
            lead(s.event_id) OVER path IS NULL AS latest
        FROM step s
        WINDOW path AS (PARTITION BY s.lead_id ORDER BY s.occurred_at NULLS FIRST, s.event_id)
    )
    SELECT p.lead_id, min(p.won_at),
        count(p.occurred_at),
        CASE WHEN min(p.won_at) IS NOT NULL THEN count(*) FILTER (WHERE p.occurred_at <= p.won_at) END,
        min(p.occurred_at),
        max(p.occurred_at),
        min(p.first_no_at),
        count(*) FILTER (WHERE p.occurred_at > p.first_no_at),
        coalesce(bool_or(p.latest AND p.said_no), false)
    FROM placed p
    WHERE shows_all_leads()
    GROUP BY p.lead_id;
END;
REVOKE EXECUTE ON FUNCTION contacts_by_lead() FROM PUBLIC;
COMMENT ON FUNCTION contacts_by_lead() IS
    'internal: how often sales contacted each lead and when it said no, for the views on follow-up; nothing for whom row security hides some leads';

CREATE OR REPLACE VIEW followups WITH (security_invoker = true) AS
SELECT
    c.lead_id,
    coalesce(l.channel, p.channel, '(none)') AS channel,
    coalesce(l.campaign, '(none)') AS campaign,
    coalesce(l.owner, '(none)') AS owner,
    n.stage::text AS stage,
    stage_rank(n.stage) AS stage_rank,
    c.contacts,
    c.first_contact_at,
    c.last_contact_at,
    c.won_at,
    c.contacts_until_won,
    c.first_no_at,
    c.contacts_after_no,
    -- after a no as the last word, and before the fifth contact
    c.won_at IS NULL AND c.last_no AND c.contacts < 5 AS given_up,
    c.won_at IS NULL AND c.first_no_at IS NOT NULL AND c.contacts_after_no = 0 AS given_up_after_first_no
FROM contacts_by_lead() c
    JOIN lead l USING (lead_id)
    JOIN lead_state s USING (lead_id)
    LEFT JOIN model m ON m.status = 'active'
    LEFT JOIN campaign p ON p.campaign = l.campaign
    CROSS JOIN LATERAL (SELECT stage_now(s.activity, m.compiled, s.stage, s.held, s.settled_at, s.next_review_at)) AS n (stage);
COMMENT ON VIEW followups IS 'one row a lead that sales contacted or that bought: how often it was contacted';
COMMENT ON COLUMN followups.lead_id IS 'the lead';
COMMENT ON COLUMN followups.channel IS 'channel that the lead came by, or that of its campaign; (none): not known';
COMMENT ON COLUMN followups.campaign IS 'campaign that the lead came by; (none): not known';
COMMENT ON COLUMN followups.owner IS 'who looks after the lead; (none): nobody';
COMMENT ON COLUMN followups.stage IS 'stage of the lead now';
COMMENT ON COLUMN followups.stage_rank IS 'order of the stages';
COMMENT ON COLUMN followups.contacts IS 'events of role outreach or sales_contact';
COMMENT ON COLUMN followups.first_contact_at IS 'the first contact';
COMMENT ON COLUMN followups.last_contact_at IS 'the last contact';
COMMENT ON COLUMN followups.won_at IS 'when it first became a customer';
COMMENT ON COLUMN followups.contacts_until_won IS 'contacts up to then; NULL: not won';
COMMENT ON COLUMN followups.first_no_at IS 'first contact with outcome no';
COMMENT ON COLUMN followups.contacts_after_no IS 'contacts after that';
COMMENT ON COLUMN followups.given_up IS 'not won, the last outcome is no, and there were fewer than five contacts';
COMMENT ON COLUMN followups.given_up_after_first_no IS 'not won, and no contact after the first no';

CREATE OR REPLACE VIEW followup_summary WITH (security_invoker = true) AS
SELECT
    count(*) AS leads,
    coalesce(sum(c.contacts), 0)::bigint AS contacts,
    count(c.won_at) AS sales,
    avg(c.contacts_until_won)::double precision AS mean_contacts_until_won,
    count(*) FILTER (WHERE c.contacts_until_won >= 5) AS won_with_five,
    count(*) FILTER (WHERE c.contacts_until_won >= 5)::double precision / nullif(count(c.won_at), 0) AS won_with_five_rate,
    count(c.first_no_at) AS said_no,
    count(*) FILTER (WHERE c.won_at IS NULL AND c.first_no_at IS NOT NULL AND c.contacts_after_no = 0) AS gave_up_after_first_no,
    count(*) FILTER (WHERE c.won_at IS NULL AND c.first_no_at IS NOT NULL AND c.contacts_after_no = 0)::double precision
        / nullif(count(c.first_no_at), 0) AS gave_up_after_first_no_rate,
    count(*) FILTER (WHERE c.won_at > c.first_no_at) AS won_after_no
FROM contacts_by_lead() c;
COMMENT ON VIEW followup_summary IS 'one row: how many contacts a sale takes, and how often sales gave up after a no';
COMMENT ON COLUMN followup_summary.leads IS 'leads that sales contacted or that bought';
COMMENT ON COLUMN followup_summary.contacts IS 'events of role outreach or sales_contact';
COMMENT ON COLUMN followup_summary.sales IS 'sales, each lead once';
COMMENT ON COLUMN followup_summary.mean_contacts_until_won IS 'mean number of contacts of a sale';
COMMENT ON COLUMN followup_summary.won_with_five IS 'sales that took five or more';
COMMENT ON COLUMN followup_summary.won_with_five_rate IS 'won_with_five / sales';
COMMENT ON COLUMN followup_summary.said_no IS 'leads that said no at least once';
COMMENT ON COLUMN followup_summary.gave_up_after_first_no IS 'of these, those not won and not contacted again';
COMMENT ON COLUMN followup_summary.gave_up_after_first_no_rate IS 'gave_up_after_first_no / said_no';
COMMENT ON COLUMN followup_summary.won_after_no IS 'sales to leads that had said no before';

CREATE OR REPLACE VIEW won_by_contact_number WITH (security_invoker = true) AS
SELECT
    k.contact_number,
    CASE k.contact_number WHEN 0 THEN 'none' WHEN 10 THEN '10 or more' ELSE k.contact_number::text END AS contact_label,
    count(c.lead_id) AS sales,
    count(c.lead_id)::double precision / nullif(sum(count(c.lead_id)) OVER (), 0)::double precision AS won_rate,
    (sum(count(c.lead_id)) OVER (ORDER BY k.contact_number))::double precision
        / nullif(sum(count(c.lead_id)) OVER (), 0)::double precision AS cumulative_rate
FROM generate_series(0, 10) AS k (contact_number)
    LEFT JOIN (
        SELECT c.lead_id, least(c.contacts_until_won, 10) AS contact_number
        FROM contacts_by_lead() c
        WHERE c.won_at IS NOT NULL
    ) c ON c.contact_number = k.contact_number
GROUP BY k.contact_number;
COMMENT ON VIEW won_by_contact_number IS 'one row a number of contacts: sales that took that many';
COMMENT ON COLUMN won_by_contact_number.contact_number IS 'contacts up to the sale; 10: ten or more';
COMMENT ON COLUMN won_by_contact_number.contact_label IS 'the same in words';
COMMENT ON COLUMN won_by_contact_number.sales IS 'sales, each lead once';
COMMENT ON COLUMN won_by_contact_number.won_rate IS 'share of all sales';
COMMENT ON COLUMN won_by_contact_number.cumulative_rate IS 'share of sales with so many contacts or fewer';

-- An open lead cools when its points no longer carry its stage (mql or sql; a
-- prospect is in the hands of sales), or when it has been quiet for too long
-- (benchmark quiet_days), whichever comes first.
CREATE OR REPLACE VIEW lead_cooling WITH (security_invoker = true) AS
SELECT
    s.lead_id,
    coalesce(l.channel, p.channel, '(none)') AS channel,
    coalesce(l.campaign, '(none)') AS campaign,
    coalesce(l.owner, '(none)') AS owner,
    n.stage::text AS stage,
    stage_rank(n.stage) AS stage_rank,
    score_milli(s.activity, m.compiled, now()) / 1000.0::double precision AS score,
    a.last_activity_at,
    date_part('epoch', now() - coalesce(a.last_activity_at, CASE WHEN isfinite(l.created_at) THEN l.created_at END)) / 86400 AS quiet_days,
    f.faded,
    t.fades_at,
    t.quiet_at,
    least(t.fades_at, t.quiet_at) AS cools_at,
    t.quiet_at <= now() OR f.faded AS cold
FROM lead_state s
    JOIN lead l USING (lead_id)
    JOIN model m ON m.status = 'active'
    LEFT JOIN campaign p ON p.campaign = l.campaign
    CROSS JOIN LATERAL (SELECT stage_now(s.activity, m.compiled, s.stage, s.held, s.settled_at, s.next_review_at)) AS n (stage)
    CROSS JOIN LATERAL (SELECT qualified_stage(s.activity, m.compiled, now()), next_change(s.activity, m.compiled, now())) AS q (stage, change_at)
    CROSS JOIN LATERAL (SELECT n.stage >= 'mql' AND n.stage <= 'sql' AND q.stage < n.stage) AS f (faded)
    LEFT JOIN LATERAL (
        SELECT max(u.bucket) AS last_activity_at
        FROM unnest(s.activity) u
        WHERE u.signal_id > 0 AND u.count > 0 AND u.bucket <= now()
    ) a ON true
    LEFT JOIN benchmark b ON b.metric = 'quiet_days' AND b.segment = 'all'
    CROSS JOIN LATERAL (SELECT
        CASE WHEN n.stage >= 'mql' AND n.stage <= 'sql' AND NOT f.faded AND qualified_stage(s.activity, m.compiled, q.change_at) < n.stage
            THEN q.change_at END,
        coalesce(a.last_activity_at, CASE WHEN isfinite(l.created_at) THEN l.created_at END) + coalesce(b.high, 30) * interval '24 hours'
    ) AS t (fades_at, quiet_at)
WHERE s.stage >= 'iql' AND s.stage <= 'prospect' AND n.stage >= 'iql' AND n.stage <= 'prospect';
COMMENT ON VIEW lead_cooling IS 'one row an open lead: when its interest will have faded if nothing happens';
COMMENT ON COLUMN lead_cooling.lead_id IS 'the lead';
COMMENT ON COLUMN lead_cooling.channel IS 'channel that the lead came by, or that of its campaign; (none): not known';
COMMENT ON COLUMN lead_cooling.campaign IS 'campaign that the lead came by; (none): not known';
COMMENT ON COLUMN lead_cooling.owner IS 'who looks after the lead; (none): nobody';
COMMENT ON COLUMN lead_cooling.stage IS 'stage of the lead now';
COMMENT ON COLUMN lead_cooling.stage_rank IS 'order of the stages';
COMMENT ON COLUMN lead_cooling.score IS 'score now, by the active model';
COMMENT ON COLUMN lead_cooling.last_activity_at IS 'beginning of the UTC day (or hour, by the grain) of the newest event that counts';
COMMENT ON COLUMN lead_cooling.quiet_days IS 'time since then';
COMMENT ON COLUMN lead_cooling.faded IS 'whether it is an mql or sql and its points no longer carry that';
COMMENT ON COLUMN lead_cooling.fades_at IS 'when they will cease to; NULL: they have, or never will';
COMMENT ON COLUMN lead_cooling.quiet_at IS 'when it will have been quiet for longer than the benchmark quiet_days says';
COMMENT ON COLUMN lead_cooling.cools_at IS 'the earlier of both';
COMMENT ON COLUMN lead_cooling.cold IS 'whether either is so already';

CREATE OR REPLACE VIEW cold_leads WITH (security_invoker = true) AS
SELECT
    c.lead_id,
    c.channel,
    c.campaign,
    c.owner,
    c.stage,
    c.stage_rank,
    c.score,
    c.last_activity_at,
    c.quiet_days,
    CASE WHEN c.faded AND c.quiet_at <= now() THEN 'faded and quiet' WHEN c.faded THEN 'faded' ELSE 'quiet' END AS reason
FROM lead_cooling c
WHERE c.cold;
COMMENT ON VIEW cold_leads IS 'one row an open lead whose points no longer carry its stage, or that was quiet for longer than the benchmark quiet_days says';
COMMENT ON COLUMN cold_leads.lead_id IS 'the lead';
COMMENT ON COLUMN cold_leads.channel IS 'channel that the lead came by, or that of its campaign; (none): not known';
COMMENT ON COLUMN cold_leads.campaign IS 'campaign that the lead came by; (none): not known';
COMMENT ON COLUMN cold_leads.owner IS 'who looks after the lead; (none): nobody';
COMMENT ON COLUMN cold_leads.stage IS 'stage of the lead now';
COMMENT ON COLUMN cold_leads.stage_rank IS 'order of the stages';
COMMENT ON COLUMN cold_leads.score IS 'score now, by the active model';
COMMENT ON COLUMN cold_leads.last_activity_at IS 'beginning of the UTC day (or hour, by the grain) of the newest event that counts';
COMMENT ON COLUMN cold_leads.quiet_days IS 'time since then';
COMMENT ON COLUMN cold_leads.reason IS 'faded, quiet, or faded and quiet';

-- Gates of the stage sql in the active model, which are budget, authority,
-- need and timeline in the preset.
CREATE OR REPLACE VIEW bant_gaps WITH (security_invoker = true) AS
WITH pattern AS (
    SELECT stage_rank(n.stage) AS stage_rank, g.missing, count(*) AS leads
    FROM lead_state s
        JOIN model m ON m.status = 'active'
        CROSS JOIN LATERAL (SELECT stage_now(s.activity, m.compiled, s.stage, s.held, s.settled_at, s.next_review_at)) AS n (stage)
        CROSS JOIN LATERAL (
            SELECT array_agg(g.gate) FILTER (WHERE NOT g.met) AS missing
            FROM stage_gates(s.activity, m.compiled, now()) g
            WHERE g.stage = 'sql' AND g.gate <> 'score'
        ) g
    WHERE s.stage >= 'iql' AND s.stage <= 'prospect' AND n.stage >= 'iql' AND n.stage <= 'prospect'
    GROUP BY n.stage, g.missing
), gap AS (
    SELECT k.gate, t.stage::text AS stage, t.stage_rank,
        coalesce(sum(p.leads), 0)::bigint AS leads,
        coalesce(sum(p.leads) FILTER (WHERE k.gate = ANY (p.missing)), 0)::bigint AS missing,
        coalesce(sum(p.leads) FILTER (WHERE p.missing = ARRAY[k.gate]), 0)::bigint AS only_missing
    FROM (SELECT DISTINCT t.gate FROM stage_gate t JOIN model m ON m.model = t.model AND m.status = 'active' WHERE t.stage = 'sql') k
        CROSS JOIN stages() t
        LEFT JOIN pattern p USING (stage_rank)
    WHERE t.stage >= 'iql' AND t.stage <= 'prospect'
    GROUP BY k.gate, t.stage, t.stage_rank
)
SELECT
    g.gate,
    g.stage,
    g.stage_rank,
    g.leads,
    g.leads - g.missing AS met,
    g.missing,
    g.missing::double precision / nullif(g.leads, 0) AS missing_rate,
    g.only_missing
FROM gap g;
COMMENT ON VIEW bant_gaps IS 'one row a gate of the stage sql and stage: how many open leads fail it; in the presets the gates are budget, authority, need and timeline';
COMMENT ON COLUMN bant_gaps.gate IS 'the gate';
COMMENT ON COLUMN bant_gaps.stage IS 'stage of the leads: iql, mql, sql or prospect';
COMMENT ON COLUMN bant_gaps.stage_rank IS 'order of the stages';
COMMENT ON COLUMN bant_gaps.leads IS 'open leads in that stage';
COMMENT ON COLUMN bant_gaps.met IS 'of these, those that meet the gate';
COMMENT ON COLUMN bant_gaps.missing IS 'of these, those that do not';
COMMENT ON COLUMN bant_gaps.missing_rate IS 'missing / leads';
COMMENT ON COLUMN bant_gaps.only_missing IS 'of the missing, those that lack no other gate of sql';
$pipeline_ddl$),
('58-content', $pipeline_ddl$-- Content and forms: which pages, forms, messages and offers bring leads on.

-- Properties of events may hold anything, so readers of views cannot see them.
-- Functions with the rights of the pipeline's owner count by those properties
-- that name pages, forms, messages and contents, and give out the counts only,
-- and nothing to whom row security hides some leads.

-- An address without its query, which may hold anything
CREATE OR REPLACE FUNCTION page_name(page text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT coalesce(nullif(split_part(split_part(page_name.page, '?', 1), '#', 1), ''), '(none)');
END;
COMMENT ON FUNCTION page_name(text) IS 'the address of a page without what follows ? or #; (none) if there is nothing';

CREATE OR REPLACE FUNCTION field_count(fields jsonb) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE jsonb_typeof(field_count.fields)
        WHEN 'number' THEN CASE WHEN field_count.fields::numeric >= 0 AND field_count.fields::numeric < 1000 THEN field_count.fields::integer END
        WHEN 'string' THEN CASE WHEN field_count.fields #>> '{}' ~ '^[0-9]{1,3}$' THEN (field_count.fields #>> '{}')::integer END
        WHEN 'array' THEN jsonb_array_length(field_count.fields)
        WHEN 'object' THEN jsonb_array_length(jsonb_path_query_array(field_count.fields, '$.keyvalue()'))
    END;
END;
COMMENT ON FUNCTION field_count(jsonb) IS 'number of fields of a form: a number, or the length of a list or the number of keys of an object; NULL otherwise';

-- Landing: the first visit of a lead. What it did afterwards counts for that page.
CREATE OR REPLACE FUNCTION landing_page_counts()
    RETURNS TABLE (page text, views bigint, visitors bigint, landed bigint, form_viewed bigint, form_submitted bigint, leads bigint, customers bigint)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    WITH visit AS MATERIALIZED (
        SELECT e.lead_id, page_name(e.properties ->> 'page') COLLATE "C" AS page, e.occurred_at
        FROM event e
        WHERE e.kind = ANY (kinds_of('event_kind', 'visit')) AND isfinite(e.occurred_at)
    ), seen AS (
        SELECT v.page, count(*) AS views, count(DISTINCT v.lead_id) AS visitors
        FROM visit v
        GROUP BY v.page
    ), landing AS (
        SELECT DISTINCT ON (v.lead_id) v.lead_id, v.page, v.occurred_at AS landed_at
        FROM visit v
        ORDER BY v.lead_id, v.occurred_at, v.page
    ), act AS (
        SELECT e.lead_id,
            max(e.occurred_at) FILTER (WHERE e.kind = ANY (kinds_of('event_kind', 'form_view'))) AS form_viewed_at,
            max(e.occurred_at) FILTER (WHERE e.kind = ANY (kinds_of('event_kind', 'form_submit'))) AS form_submitted_at
        FROM event e
        WHERE e.kind = ANY (kinds_of('event_kind', 'form_view', 'form_submit')) AND isfinite(e.occurred_at)
        GROUP BY e.lead_id
    ), reached AS (
        SELECT h.lead_id, min(h.effective_at) AS lead_at, min(h.effective_at) FILTER (WHERE h.to_stage >= 'customer') AS customer_at
        FROM stage_history h
        WHERE h.to_stage >= 'iql'
        GROUP BY h.lead_id
    ), landed AS (
        SELECT l.page, count(*) AS landed,
            count(*) FILTER (WHERE a.form_viewed_at >= l.landed_at) AS form_viewed,
            count(*) FILTER (WHERE a.form_submitted_at >= l.landed_at) AS form_submitted,
            count(*) FILTER (WHERE r.lead_at >= l.landed_at) AS leads,
            count(*) FILTER (WHERE r.customer_at >= l.landed_at) AS customers
        FROM landing l
            LEFT JOIN act a USING (lead_id)
            LEFT JOIN reached r USING (lead_id)
        GROUP BY l.page
    )
    SELECT n.page, n.views, n.visitors, coalesce(d.landed, 0), coalesce(d.form_viewed, 0), coalesce(d.form_submitted, 0),
        coalesce(d.leads, 0), coalesce(d.customers, 0)
    FROM seen n
        LEFT JOIN landed d USING (page)
    WHERE shows_all_leads();
END;
REVOKE EXECUTE ON FUNCTION landing_page_counts() FROM PUBLIC;
COMMENT ON FUNCTION landing_page_counts() IS 'internal: the counts of the view landing_pages';

CREATE OR REPLACE VIEW landing_pages WITH (security_invoker = true) AS
SELECT
    c.page,
    c.views,
    c.visitors,
    c.landed,
    c.form_viewed,
    c.form_submitted,
    c.leads,
    c.customers,
    c.form_viewed::double precision / nullif(c.landed, 0) AS form_view_rate,
    c.form_submitted::double precision / nullif(c.landed, 0) AS form_submit_rate,
    c.leads::double precision / nullif(c.landed, 0) AS lead_rate,
    rate_low(c.leads, c.landed) AS lead_low_rate,
    rate_high(c.leads, c.landed) AS lead_high_rate,
    c.customers::double precision / nullif(c.landed, 0) AS customer_rate,
    (c.leads::double precision / nullif(c.landed, 0))
        / nullif((sum(c.leads) OVER ())::double precision / nullif(sum(c.landed) OVER (), 0)::double precision, 0) AS ratio_to_all
FROM landing_page_counts() c;
COMMENT ON VIEW landing_pages IS 'one row a page: who came in there, and what became of them';
COMMENT ON COLUMN landing_pages.page IS 'the page, without what follows ? or #';
COMMENT ON COLUMN landing_pages.views IS 'visits to it';
COMMENT ON COLUMN landing_pages.visitors IS 'leads and visitors that saw it';
COMMENT ON COLUMN landing_pages.landed IS 'of these, those whose first visit it was';
COMMENT ON COLUMN landing_pages.form_viewed IS 'of the landed, those that saw a form afterwards';
COMMENT ON COLUMN landing_pages.form_submitted IS 'of the landed, those that sent one afterwards';
COMMENT ON COLUMN landing_pages.leads IS 'of the landed, those that became iql or higher afterwards';
COMMENT ON COLUMN landing_pages.customers IS 'of the landed, those that became customers afterwards';
COMMENT ON COLUMN landing_pages.form_view_rate IS 'form_viewed / landed';
COMMENT ON COLUMN landing_pages.form_submit_rate IS 'form_submitted / landed';
COMMENT ON COLUMN landing_pages.lead_rate IS 'leads / landed';
COMMENT ON COLUMN landing_pages.lead_low_rate IS 'lower end of its 95 % interval';
COMMENT ON COLUMN landing_pages.lead_high_rate IS 'upper end of its 95 % interval';
COMMENT ON COLUMN landing_pages.customer_rate IS 'customers / landed';
COMMENT ON COLUMN landing_pages.ratio_to_all IS 'lead_rate / that of all pages together';

-- A form that was sent without saying which variant counts for the variant
-- that the lead saw last.
CREATE OR REPLACE FUNCTION form_counts()
    RETURNS TABLE (form text, variant text, fields integer, viewed bigint, submitted bigint, submitted_unseen bigint)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    WITH act AS MATERIALIZED (
        SELECT e.lead_id, e.occurred_at, e.kind = ANY (kinds_of('event_kind', 'form_submit')) AS submitted,
            coalesce(e.properties ->> 'form', '(none)') AS form, e.properties ->> 'variant' AS variant, e.properties -> 'fields' AS fields
        FROM event e
        WHERE e.kind = ANY (kinds_of('event_kind', 'form_view', 'form_submit')) AND isfinite(e.occurred_at)
    ), seen AS (
        SELECT a.lead_id, a.form, coalesce(a.variant, '(none)') AS variant,
            min(a.occurred_at) AS first_at, max(a.occurred_at) AS last_at, max(field_count(a.fields)) AS fields
        FROM act a
        WHERE NOT a.submitted
        GROUP BY 1, 2, 3
    ), latest AS (
        SELECT DISTINCT ON (s.lead_id, s.form) s.lead_id, s.form, s.variant
        FROM seen s
        ORDER BY s.lead_id, s.form, s.last_at DESC, s.variant COLLATE "C"
    ), sent AS (
        SELECT a.lead_id, a.form, coalesce(a.variant, n.variant, '(none)') AS variant,
            max(a.occurred_at) AS last_at, max(field_count(a.fields)) AS fields
        FROM act a
            LEFT JOIN latest n ON n.lead_id = a.lead_id AND n.form = a.form
        WHERE a.submitted
        GROUP BY 1, 2, 3
    )
    SELECT form, variant,
        mode() WITHIN GROUP (ORDER BY coalesce(t.fields, s.fields)),
        count(s.lead_id),
        count(*) FILTER (WHERE t.last_at >= s.first_at),
        count(*) FILTER (WHERE t.lead_id IS NOT NULL AND (s.lead_id IS NULL OR t.last_at < s.first_at))
    FROM seen s
        FULL JOIN sent t USING (lead_id, form, variant)
    WHERE shows_all_leads()
    GROUP BY form, variant;
END;
REVOKE EXECUTE ON FUNCTION form_counts() FROM PUBLIC;
COMMENT ON FUNCTION form_counts() IS 'internal: the counts of the views form_funnel and form_conversion';

CREATE OR REPLACE VIEW form_funnel WITH (security_invoker = true) AS
SELECT
    c.form,
    c.variant,
    c.fields,
    c.viewed,
    c.submitted,
    c.submitted_unseen,
    c.submitted::double precision / nullif(c.viewed, 0) AS submit_rate,
    rate_low(c.submitted, c.viewed) AS low_rate,
    rate_high(c.submitted, c.viewed) AS high_rate
FROM form_counts() c;
COMMENT ON VIEW form_funnel IS 'one row a form and variant: who saw it, and who sent it';
COMMENT ON COLUMN form_funnel.form IS 'name of the form; (none): without';
COMMENT ON COLUMN form_funnel.variant IS 'name of the variant; (none): without';
COMMENT ON COLUMN form_funnel.fields IS 'number of fields that it was sent with most often; NULL: not known';
COMMENT ON COLUMN form_funnel.viewed IS 'leads that saw it';
COMMENT ON COLUMN form_funnel.submitted IS 'of these, leads that sent it afterwards';
COMMENT ON COLUMN form_funnel.submitted_unseen IS 'leads that sent it without having seen it as far as is known';
COMMENT ON COLUMN form_funnel.submit_rate IS 'submitted / viewed';
COMMENT ON COLUMN form_funnel.low_rate IS 'lower end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN form_funnel.high_rate IS 'upper end of the 95 % interval of the rate (Wilson)';

CREATE OR REPLACE VIEW form_conversion WITH (security_invoker = true) AS
WITH figure AS (
    SELECT c.fields, count(*) AS forms, sum(c.viewed)::bigint AS viewed, sum(c.submitted)::bigint AS submitted,
        sum(c.submitted)::double precision / nullif(sum(c.viewed), 0)::double precision AS submit_rate
    FROM form_counts() c
    GROUP BY c.fields
)
SELECT
    f.fields,
    f.forms,
    f.viewed,
    f.submitted,
    f.submit_rate,
    rate_low(f.submitted, f.viewed) AS low_rate,
    rate_high(f.submitted, f.viewed) AS high_rate,
    CASE WHEN f.fields > lag(f.fields) OVER fewer AND lag(f.submit_rate) OVER fewer > 0
        THEN 1 - power(f.submit_rate / lag(f.submit_rate) OVER fewer, 1.0::double precision / (f.fields - lag(f.fields) OVER fewer))
        END AS drop_per_field_rate
FROM figure f
WINDOW fewer AS (ORDER BY f.fields NULLS LAST);
COMMENT ON VIEW form_conversion IS 'one row a number of fields: how many of those who saw forms with so many sent them';
COMMENT ON COLUMN form_conversion.fields IS 'number of fields; NULL: not known';
COMMENT ON COLUMN form_conversion.forms IS 'forms and variants with so many';
COMMENT ON COLUMN form_conversion.viewed IS 'leads that saw it';
COMMENT ON COLUMN form_conversion.submitted IS 'of these, leads that sent it afterwards';
COMMENT ON COLUMN form_conversion.submit_rate IS 'submitted / viewed';
COMMENT ON COLUMN form_conversion.low_rate IS 'lower end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN form_conversion.high_rate IS 'upper end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN form_conversion.drop_per_field_rate IS 'share of senders lost with each field more, against the row with fewer fields';

CREATE OR REPLACE FUNCTION offers_by_lead()
    RETURNS TABLE (lead_id bigint, offers bigint, first_offer text, first_offer_at timestamptz, last_offer text, last_offer_at timestamptz, all_offers text)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    WITH offer AS (
        SELECT e.lead_id, coalesce(e.properties ->> 'content', e.kind) AS offer,
            min(e.occurred_at) AS first_at, max(e.occurred_at) AS last_at
        FROM event e
        WHERE e.kind = ANY (kinds_of('event_kind', 'download', 'webinar')) AND isfinite(e.occurred_at)
        GROUP BY 1, 2
    )
    SELECT o.lead_id, count(*),
        (array_agg(o.offer ORDER BY o.first_at, o.offer COLLATE "C"))[1], min(o.first_at),
        (array_agg(o.offer ORDER BY o.last_at DESC, o.offer COLLATE "C"))[1], max(o.last_at),
        string_agg(o.offer, ', ' ORDER BY o.first_at, o.offer COLLATE "C")
    FROM offer o
    WHERE shows_all_leads()
    GROUP BY o.lead_id;
END;
REVOKE EXECUTE ON FUNCTION offers_by_lead() FROM PUBLIC;
COMMENT ON FUNCTION offers_by_lead() IS 'internal: the offers of the view lead_offers';

CREATE OR REPLACE VIEW lead_offers WITH (security_invoker = true) AS
SELECT
    o.lead_id,
    coalesce(l.channel, p.channel, '(none)') AS channel,
    coalesce(l.campaign, '(none)') AS campaign,
    coalesce(l.persona, '(none)') AS persona,
    o.offers,
    o.first_offer,
    o.first_offer_at,
    o.last_offer,
    o.last_offer_at,
    o.all_offers
FROM offers_by_lead() o
    JOIN lead l USING (lead_id)
    LEFT JOIN campaign p ON p.campaign = l.campaign;
COMMENT ON VIEW lead_offers IS 'one row a lead: the downloads and webinars it took';
COMMENT ON COLUMN lead_offers.lead_id IS 'the lead';
COMMENT ON COLUMN lead_offers.channel IS 'channel that the lead came by, or that of its campaign; (none): not known';
COMMENT ON COLUMN lead_offers.campaign IS 'campaign that the lead came by; (none): not known';
COMMENT ON COLUMN lead_offers.persona IS 'buyer persona; (none): not known';
COMMENT ON COLUMN lead_offers.offers IS 'number of different ones';
COMMENT ON COLUMN lead_offers.first_offer IS 'the first';
COMMENT ON COLUMN lead_offers.first_offer_at IS 'when it was taken';
COMMENT ON COLUMN lead_offers.last_offer IS 'the last';
COMMENT ON COLUMN lead_offers.last_offer_at IS 'when it was taken';
COMMENT ON COLUMN lead_offers.all_offers IS 'all of them, in the order of the first time';

-- Of those that a message was sent to: what they did with it then.
CREATE OR REPLACE FUNCTION message_counts()
    RETURNS TABLE (message text, sent bigint, opened bigint, clicked bigint, replied bigint, first_sent_at timestamptz, last_sent_at timestamptz)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    WITH letter AS (
        SELECT e.lead_id, coalesce(e.properties ->> 'message', '(none)') AS message, e.properties ->> 'variant' AS variant,
            min(e.occurred_at) FILTER (WHERE e.kind = ANY (kinds_of('event_kind', 'email_sent'))) AS sent_at,
            max(e.occurred_at) FILTER (WHERE e.kind = ANY (kinds_of('event_kind', 'email_open'))) AS opened_at,
            max(e.occurred_at) FILTER (WHERE e.kind = ANY (kinds_of('event_kind', 'email_click'))) AS clicked_at,
            max(e.occurred_at) FILTER (WHERE e.kind = ANY (kinds_of('event_kind', 'email_reply'))) AS replied_at
        FROM event e
        WHERE e.kind = ANY (kinds_of('event_kind', 'email_sent', 'email_open', 'email_click', 'email_reply')) AND isfinite(e.occurred_at)
        GROUP BY 1, 2, 3
    )
    SELECT t.message,
        count(t.sent_at),
        count(*) FILTER (WHERE t.opened_at >= t.sent_at),
        count(*) FILTER (WHERE t.clicked_at >= t.sent_at),
        count(*) FILTER (WHERE t.replied_at >= t.sent_at),
        min(t.sent_at), max(t.sent_at)
    FROM letter t
    WHERE shows_all_leads()
    GROUP BY t.message;
END;
REVOKE EXECUTE ON FUNCTION message_counts() FROM PUBLIC;
COMMENT ON FUNCTION message_counts() IS 'internal: the counts of the view email_engagement';

-- A response is a click or a reply; openings, of which there are many, are
-- none.
CREATE OR REPLACE FUNCTION response_counts() RETURNS TABLE (message text, variant text, sent bigint, responded bigint)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    WITH letter AS (
        SELECT e.lead_id, coalesce(e.properties ->> 'message', '(none)') AS message, coalesce(e.properties ->> 'variant', '(none)') AS variant,
            min(e.occurred_at) FILTER (WHERE e.kind = ANY (kinds_of('event_kind', 'email_sent'))) AS sent_at,
            max(e.occurred_at) FILTER (WHERE e.kind <> ALL (kinds_of('event_kind', 'email_sent'))) AS responded_at
        FROM event e
        WHERE e.kind = ANY (kinds_of('event_kind', 'email_sent', 'email_click', 'email_reply')) AND isfinite(e.occurred_at)
        GROUP BY 1, 2, 3
    )
    SELECT t.message, t.variant, count(t.sent_at), count(*) FILTER (WHERE t.responded_at >= t.sent_at)
    FROM letter t
    WHERE shows_all_leads()
    GROUP BY t.message, t.variant;
END;
REVOKE EXECUTE ON FUNCTION response_counts() FROM PUBLIC;
COMMENT ON FUNCTION response_counts() IS 'internal: the counts of the view message_response';

CREATE OR REPLACE VIEW email_engagement WITH (security_invoker = true) AS
SELECT
    c.message,
    c.first_sent_at,
    c.last_sent_at,
    c.sent,
    c.opened,
    c.clicked,
    c.replied,
    c.opened::double precision / nullif(c.sent, 0) AS open_rate,
    c.clicked::double precision / nullif(c.sent, 0) AS click_rate,
    c.replied::double precision / nullif(c.sent, 0) AS reply_rate
FROM message_counts() c;
COMMENT ON VIEW email_engagement IS 'one row a message: what those did with it that it was sent to';
COMMENT ON COLUMN email_engagement.message IS 'name of the message; (none): without';
COMMENT ON COLUMN email_engagement.first_sent_at IS 'when it was first sent';
COMMENT ON COLUMN email_engagement.last_sent_at IS 'when it was last sent to somebody new';
COMMENT ON COLUMN email_engagement.sent IS 'leads that it was sent to';
COMMENT ON COLUMN email_engagement.opened IS 'of these, those that opened it';
COMMENT ON COLUMN email_engagement.clicked IS 'of these, those that followed a link';
COMMENT ON COLUMN email_engagement.replied IS 'of these, those that answered';
COMMENT ON COLUMN email_engagement.open_rate IS 'opened / sent';
COMMENT ON COLUMN email_engagement.click_rate IS 'clicked / sent';
COMMENT ON COLUMN email_engagement.reply_rate IS 'replied / sent';

-- Compared with the variant called generic or control, or else the first by
-- name. The interval of the difference is Newcombe's, from Wilson's of both.
CREATE OR REPLACE VIEW message_response WITH (security_invoker = true) AS
WITH variant AS (
    SELECT c.message, c.variant, c.sent, c.responded,
        c.responded::double precision / nullif(c.sent, 0) AS rate,
        rate_low(c.responded, c.sent) AS low,
        rate_high(c.responded, c.sent) AS high,
        first_value(c.variant) OVER (PARTITION BY c.message
            ORDER BY c.variant = 'generic' DESC, c.variant = 'control' DESC, c.variant COLLATE "C") AS baseline
    FROM response_counts() c
)
SELECT
    v.message,
    v.variant,
    v.baseline,
    v.sent,
    v.responded,
    v.rate AS response_rate,
    v.low AS low_rate,
    v.high AS high_rate,
    v.rate / nullif(b.rate, 0) AS ratio_to_baseline,
    v.rate - b.rate AS difference_rate,
    CASE WHEN v.variant <> v.baseline THEN v.rate - b.rate - sqrt(power(v.rate - v.low, 2) + power(b.high - b.rate, 2)) END AS difference_low_rate,
    CASE WHEN v.variant <> v.baseline THEN v.rate - b.rate + sqrt(power(v.high - v.rate, 2) + power(b.rate - b.low, 2)) END AS difference_high_rate,
    CASE WHEN v.variant <> v.baseline THEN (v.rate - b.rate) / nullif(sqrt(t.share * (1 - t.share)
        * (1.0::double precision / nullif(v.sent, 0) + 1.0::double precision / nullif(b.sent, 0))), 0) END AS z_score
FROM variant v
    JOIN variant b ON b.message = v.message AND b.variant = v.baseline
    CROSS JOIN LATERAL (SELECT (v.responded + b.responded)::double precision / nullif(v.sent + b.sent, 0)) AS t (share);
COMMENT ON VIEW message_response IS 'one row a message and variant: how many clicked or replied, against the baseline variant';
COMMENT ON COLUMN message_response.message IS 'name of the message; (none): without';
COMMENT ON COLUMN message_response.variant IS 'name of the variant; (none): without';
COMMENT ON COLUMN message_response.baseline IS 'the variant compared with: generic, control, or the first by name';
COMMENT ON COLUMN message_response.sent IS 'leads that it was sent to';
COMMENT ON COLUMN message_response.responded IS 'of these, those that followed a link or answered';
COMMENT ON COLUMN message_response.response_rate IS 'responded / sent';
COMMENT ON COLUMN message_response.low_rate IS 'lower end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN message_response.high_rate IS 'upper end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN message_response.ratio_to_baseline IS 'response_rate / that of the baseline';
COMMENT ON COLUMN message_response.difference_rate IS 'response_rate - that of the baseline';
COMMENT ON COLUMN message_response.difference_low_rate IS 'lower end of its 95 % interval (Newcombe)';
COMMENT ON COLUMN message_response.difference_high_rate IS 'upper end of its 95 % interval (Newcombe)';
COMMENT ON COLUMN message_response.z_score IS 'difference in standard errors, pooled; beyond 1.96 chance alone is unlikely (p < 0.05)';

-- A lead is with an event if it came while the lead was in the stage, up to
-- the step to a higher one: what came afterwards cannot have helped. Kinds of
-- events that are the step themselves (milestones) are left out.
CREATE OR REPLACE VIEW stage_lift_by_event WITH (security_invoker = true) AS
WITH run AS (
    SELECT
        h.lead_id,
        h.cycle,
        min(h.effective_at) FILTER (WHERE h.to_stage = 'iql') AS iql_at,
        min(h.effective_at) FILTER (WHERE h.to_stage = 'mql') AS mql_at,
        min(h.effective_at) FILTER (WHERE h.to_stage = 'sql') AS sql_at,
        min(h.effective_at) FILTER (WHERE h.to_stage = 'prospect') AS prospect_at,
        min(h.effective_at) FILTER (WHERE h.to_stage >= 'mql') AS from_mql_at,
        min(h.effective_at) FILTER (WHERE h.to_stage >= 'sql') AS from_sql_at,
        min(h.effective_at) FILTER (WHERE h.to_stage >= 'prospect') AS from_prospect_at,
        min(h.effective_at) FILTER (WHERE h.to_stage >= 'customer') AS from_customer_at,
        min(h.effective_at) FILTER (WHERE h.to_stage < 'visitor') AS gone_at
    FROM stage_history h
    GROUP BY h.lead_id, h.cycle
), stay AS (
    SELECT r.lead_id, r.cycle, t.stage_rank, t.entered_at,
        t.step_at >= t.entered_at AS converted,
        CASE WHEN t.step_at >= t.entered_at THEN t.step_at ELSE coalesce(r.gone_at, now()) END AS until_at
    FROM run r
        CROSS JOIN LATERAL (VALUES
            (50, r.iql_at, r.from_mql_at),
            (60, r.mql_at, r.from_sql_at),
            (70, r.sql_at, r.from_prospect_at),
            (80, r.prospect_at, r.from_customer_at)
        ) AS t (stage_rank, entered_at, step_at)
    WHERE t.entered_at IS NOT NULL
), total AS (
    SELECT s.stage_rank, count(*) AS leads, count(*) FILTER (WHERE s.converted) AS converted
    FROM stay s
    GROUP BY s.stage_rank
), helper AS (
    SELECT k.kind
    FROM event_kind k
    WHERE k.role NOT IN ('points', 'stage', 'purchase', 'lost', 'disqualified', 'recycled')
        AND NOT EXISTS (
            SELECT FROM signal g
                JOIN stage_rule r ON r.entry_signals @> ARRAY[g.signal]
                JOIN model m ON m.model = r.model
            WHERE m.status = 'active' AND g.event_kinds @> ARRAY[k.kind])
), helped AS (
    SELECT d.stage_rank, d.kind, count(*) AS leads, count(*) FILTER (WHERE d.converted) AS converted
    FROM (
        SELECT DISTINCT s.lead_id, s.cycle, s.stage_rank, e.kind, s.converted
        FROM stay s
            JOIN event e ON e.lead_id = s.lead_id AND e.occurred_at >= s.entered_at AND e.occurred_at <= s.until_at
        WHERE e.kind = ANY (ARRAY(SELECT k.kind FROM helper k)) AND isfinite(e.occurred_at)
    ) d
    GROUP BY d.stage_rank, d.kind
)
SELECT
    t.stage::text AS stage,
    t.stage_rank,
    k.kind,
    coalesce(h.leads, 0) AS leads_with,
    coalesce(h.converted, 0) AS converted_with,
    h.converted::double precision / nullif(h.leads, 0) AS with_rate,
    rate_low(h.converted, h.leads) AS with_low_rate,
    rate_high(h.converted, h.leads) AS with_high_rate,
    coalesce(n.leads, 0) - coalesce(h.leads, 0) AS leads_without,
    coalesce(n.converted, 0) - coalesce(h.converted, 0) AS converted_without,
    w.rate AS without_rate,
    h.converted::double precision / nullif(h.leads, 0) / nullif(w.rate, 0) AS lift
FROM stages() t
    CROSS JOIN helper k
    LEFT JOIN total n USING (stage_rank)
    LEFT JOIN helped h ON h.stage_rank = t.stage_rank AND h.kind = k.kind
    CROSS JOIN LATERAL (SELECT (coalesce(n.converted, 0) - coalesce(h.converted, 0))::double precision
        / nullif(coalesce(n.leads, 0) - coalesce(h.leads, 0), 0)) AS w (rate)
WHERE t.stage >= 'iql' AND t.stage <= 'prospect';
COMMENT ON VIEW stage_lift_by_event IS 'one row a stage and kind of event: the share that goes on to a higher stage, with such an event in the stage before the step and without';
COMMENT ON COLUMN stage_lift_by_event.stage IS 'the stage';
COMMENT ON COLUMN stage_lift_by_event.stage_rank IS 'order of the stages';
COMMENT ON COLUMN stage_lift_by_event.kind IS 'kind of event';
COMMENT ON COLUMN stage_lift_by_event.leads_with IS 'stays in the stage with such an event';
COMMENT ON COLUMN stage_lift_by_event.converted_with IS 'of these, those that ended with a step up';
COMMENT ON COLUMN stage_lift_by_event.with_rate IS 'converted_with / leads_with';
COMMENT ON COLUMN stage_lift_by_event.with_low_rate IS 'lower end of its 95 % interval';
COMMENT ON COLUMN stage_lift_by_event.with_high_rate IS 'upper end of its 95 % interval';
COMMENT ON COLUMN stage_lift_by_event.leads_without IS 'stays in the stage without such an event';
COMMENT ON COLUMN stage_lift_by_event.converted_without IS 'of these, those that ended with a step up';
COMMENT ON COLUMN stage_lift_by_event.without_rate IS 'converted_without / leads_without';
COMMENT ON COLUMN stage_lift_by_event.lift IS 'with_rate / without_rate; not a proof of cause';

CREATE OR REPLACE VIEW lead_quality WITH (security_invoker = true) AS
WITH revenue AS (
    SELECT p.lead_id, sum(p.purchase_amount) AS revenue_amount
    FROM purchases p
    GROUP BY p.lead_id
), figure AS (
    SELECT m.channel, m.campaign, count(*) AS contacts,
        count(m.lead_at) AS leads, count(m.mql_at) AS mqls, count(m.sql_at) AS sqls, count(m.customer_at) AS customers,
        coalesce(sum(r.revenue_amount) FILTER (WHERE m.lead_at IS NOT NULL), 0) AS revenue_amount
    FROM lead_milestone m
        LEFT JOIN revenue r USING (lead_id)
    GROUP BY m.channel, m.campaign
)
SELECT
    n.channel,
    coalesce(p.direction, h.direction, '(none)') AS direction,
    n.campaign,
    coalesce(f.contacts, 0) AS contacts,
    coalesce(f.leads, 0) AS leads,
    coalesce(f.mqls, 0) AS mqls,
    coalesce(f.sqls, 0) AS sqls,
    coalesce(f.customers, 0) AS customers,
    f.leads::double precision / nullif(f.contacts, 0) AS lead_rate,
    f.mqls::double precision / nullif(f.leads, 0) AS mql_rate,
    f.sqls::double precision / nullif(f.leads, 0) AS sql_rate,
    rate_low(f.sqls, f.leads) AS sql_low_rate,
    rate_high(f.sqls, f.leads) AS sql_high_rate,
    f.customers::double precision / nullif(f.leads, 0) AS customer_rate,
    as_amount(coalesce(f.revenue_amount, 0))::numeric(14,2) AS revenue_amount,
    as_amount(f.revenue_amount / nullif(f.leads, 0))::numeric(14,2) AS value_per_lead_amount
FROM (
        SELECT k.channel, k.campaign FROM source_list k
        UNION
        SELECT k.channel, k.campaign FROM figure k
    ) n
    LEFT JOIN figure f USING (channel, campaign)
    LEFT JOIN campaign p ON p.campaign = n.campaign
    LEFT JOIN channel h ON h.channel = n.channel;
COMMENT ON VIEW lead_quality IS 'one row a source: how good its leads are and what they bring';
COMMENT ON COLUMN lead_quality.channel IS 'the channel';
COMMENT ON COLUMN lead_quality.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN lead_quality.campaign IS 'the campaign';
COMMENT ON COLUMN lead_quality.contacts IS 'all that came by the source, visitors too';
COMMENT ON COLUMN lead_quality.leads IS 'of these, those that reached iql or higher';
COMMENT ON COLUMN lead_quality.mqls IS 'those that reached mql or higher';
COMMENT ON COLUMN lead_quality.sqls IS 'those that reached sql or higher';
COMMENT ON COLUMN lead_quality.customers IS 'those that became customers';
COMMENT ON COLUMN lead_quality.lead_rate IS 'leads / contacts';
COMMENT ON COLUMN lead_quality.mql_rate IS 'mqls / leads';
COMMENT ON COLUMN lead_quality.sql_rate IS 'sqls / leads';
COMMENT ON COLUMN lead_quality.sql_low_rate IS 'lower end of its 95 % interval';
COMMENT ON COLUMN lead_quality.sql_high_rate IS 'upper end of its 95 % interval';
COMMENT ON COLUMN lead_quality.customer_rate IS 'customers / leads';
COMMENT ON COLUMN lead_quality.revenue_amount IS 'what the leads bought for';
COMMENT ON COLUMN lead_quality.value_per_lead_amount IS 'revenue_amount / leads';

CREATE OR REPLACE FUNCTION topic_counts()
    RETURNS TABLE (topic text, events bigint, leads bigint, leads_lately bigint, mqls bigint, customers bigint)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    WITH interest AS (
        SELECT e.lead_id, coalesce(e.properties ->> 'topic', e.properties ->> 'content', nullif(page_name(e.properties ->> 'page'), '(none)'), e.kind) AS topic,
            count(*) AS events, min(e.occurred_at) AS first_at, max(e.occurred_at) AS last_at
        FROM event e
        WHERE e.kind = ANY (kinds_of('event_kind', 'visit', 'download', 'webinar')) AND isfinite(e.occurred_at)
        GROUP BY 1, 2
    ), reached AS (
        SELECT h.lead_id, min(h.effective_at) AS mql_at, min(h.effective_at) FILTER (WHERE h.to_stage >= 'customer') AS customer_at
        FROM stage_history h
        WHERE h.to_stage >= 'mql'
        GROUP BY h.lead_id
    )
    SELECT i.topic, sum(i.events)::bigint, count(*),
        count(*) FILTER (WHERE i.last_at > now() - interval '720 hours' AND i.last_at <= now()),
        count(*) FILTER (WHERE r.mql_at >= i.first_at),
        count(*) FILTER (WHERE r.customer_at >= i.first_at)
    FROM interest i
        LEFT JOIN reached r USING (lead_id)
    WHERE shows_all_leads()
    GROUP BY i.topic;
END;
REVOKE EXECUTE ON FUNCTION topic_counts() FROM PUBLIC;
COMMENT ON FUNCTION topic_counts() IS 'internal: the counts of the view interest_by_topic';

CREATE OR REPLACE VIEW interest_by_topic WITH (security_invoker = true) AS
SELECT
    c.topic,
    c.events,
    c.leads,
    c.leads_lately,
    c.mqls,
    c.customers,
    c.mqls::double precision / nullif(c.leads, 0) AS mql_rate,
    c.customers::double precision / nullif(c.leads, 0) AS customer_rate
FROM topic_counts() c;
COMMENT ON VIEW interest_by_topic IS 'one row a topic: who looked at it or took it, and what became of them';
COMMENT ON COLUMN interest_by_topic.topic IS 'the property topic of the event, or else content, page or kind';
COMMENT ON COLUMN interest_by_topic.events IS 'events of role visit, download or webinar';
COMMENT ON COLUMN interest_by_topic.leads IS 'leads and visitors that did them';
COMMENT ON COLUMN interest_by_topic.leads_lately IS 'of these, those with one in the last 30 days';
COMMENT ON COLUMN interest_by_topic.mqls IS 'of these, those that became mql or higher afterwards';
COMMENT ON COLUMN interest_by_topic.customers IS 'of these, those that became customers afterwards';
COMMENT ON COLUMN interest_by_topic.mql_rate IS 'mqls / leads';
COMMENT ON COLUMN interest_by_topic.customer_rate IS 'customers / leads';

-- The usual gap is the mean time between captures: five times as long happens
-- to a source that goes on as before in one of 150 cases. Nights and holidays
-- are gaps too: so it must also be longer than any before.
CREATE OR REPLACE FUNCTION capture_times()
    RETURNS TABLE (source_kind text, source text, captures bigint, first_capture_at timestamptz, last_capture_at timestamptz, longest_gap interval)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    WITH capture AS (
        SELECT coalesce(e.channel, p.channel, l.channel, '(none)') AS channel, e.properties ->> 'form' AS form, e.occurred_at
        FROM event e
            JOIN lead l USING (lead_id)
            LEFT JOIN campaign p ON p.campaign = e.campaign
        WHERE e.kind = ANY (kinds_of('event_kind', 'capture', 'form_submit', 'request')) AND isfinite(e.occurred_at)
            AND e.occurred_at <= now()
    ), gap AS (
        SELECT 'channel' AS source_kind, c.channel AS source, c.occurred_at,
            c.occurred_at - lag(c.occurred_at) OVER (PARTITION BY c.channel ORDER BY c.occurred_at) AS gap
        FROM capture c
        UNION ALL
        SELECT 'form', c.form, c.occurred_at,
            c.occurred_at - lag(c.occurred_at) OVER (PARTITION BY c.form ORDER BY c.occurred_at) AS gap
        FROM capture c
        WHERE c.form IS NOT NULL
    )
    SELECT g.source_kind, g.source, count(*), min(g.occurred_at), max(g.occurred_at), max(g.gap)
    FROM gap g
    WHERE shows_all_leads()
    GROUP BY g.source_kind, g.source;
END;
REVOKE EXECUTE ON FUNCTION capture_times() FROM PUBLIC;
COMMENT ON FUNCTION capture_times() IS 'internal: the times of the view capture_gaps';

CREATE OR REPLACE VIEW capture_gaps WITH (security_invoker = true) AS
WITH captured AS (
    SELECT c.source_kind, c.source, c.captures, c.first_capture_at, c.last_capture_at,
        date_part('epoch', c.longest_gap) / 86400 AS longest_gap_days,
        date_part('epoch', c.last_capture_at - c.first_capture_at) / 86400 / nullif(c.captures - 1, 0) AS usual_gap_days,
        date_part('epoch', now() - c.last_capture_at) / 86400 AS quiet_days
    FROM capture_times() c
)
SELECT
    k.source_kind,
    k.source,
    coalesce(c.captures, 0) AS captures,
    c.first_capture_at,
    c.last_capture_at,
    c.usual_gap_days,
    c.longest_gap_days,
    c.quiet_days,
    c.quiet_days / nullif(c.usual_gap_days, 0) AS quiet_ratio,
    CASE WHEN c.captures >= 3 THEN c.quiet_days > greatest(5 * c.usual_gap_days, c.longest_gap_days) END AS gone_quiet
FROM (
        SELECT 'channel' AS source_kind, h.channel AS source FROM channel h
        UNION
        SELECT c.source_kind, c.source FROM captured c
    ) k
    LEFT JOIN captured c USING (source_kind, source);
COMMENT ON VIEW capture_gaps IS 'one row a channel and one a form: when it last brought an enquiry, and whether it has gone quiet';
COMMENT ON COLUMN capture_gaps.source_kind IS 'channel or form';
COMMENT ON COLUMN capture_gaps.source IS 'the channel or form';
COMMENT ON COLUMN capture_gaps.captures IS 'events of role capture, form_submit or request';
COMMENT ON COLUMN capture_gaps.first_capture_at IS 'the first';
COMMENT ON COLUMN capture_gaps.last_capture_at IS 'the last';
COMMENT ON COLUMN capture_gaps.usual_gap_days IS 'mean time between two';
COMMENT ON COLUMN capture_gaps.longest_gap_days IS 'longest time between two';
COMMENT ON COLUMN capture_gaps.quiet_days IS 'time since the last';
COMMENT ON COLUMN capture_gaps.quiet_ratio IS 'quiet_days / usual_gap_days';
COMMENT ON COLUMN capture_gaps.gone_quiet IS 'whether quiet_days is more than five usual gaps, and than any before; NULL: fewer than three captures';
$pipeline_ddl$),
('59-quality', $pipeline_ddl$-- Is the scoring any good, and is it getting better?

-- Leads are scored as they were at an instant of the past, by what was known
-- then: only events up to it count, and profiles are put back to what they
-- were. The instant is the end of a bucket (day or hour), as a score counts the
-- whole of its bucket. Outcomes are customers won after it, within horizon.
CREATE OR REPLACE FUNCTION scored_leads(compiled lead_model, at timestamptz, horizon interval)
    RETURNS TABLE (lead_id bigint, milli bigint, band lead_stage, won boolean)
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH instant AS (
        SELECT s.grain, date_trunc(CASE period_text(s.grain) WHEN '1 hours' THEN 'hour' ELSE 'day' END,
            coalesce(scored_leads.at, now() - fixed_period(coalesce(scored_leads.horizon, s.mature_after))), 'UTC') AS at,
            fixed_period(coalesce(scored_leads.horizon, s.mature_after)) AS horizon
        FROM setting s
    ), history AS MATERIALIZED (
        -- the newest stage before the instant: of seq and rank in one number the
        -- greatest. Materialized, or the planner takes the leads for few
        SELECT h.lead_id,
            (max(h.seq::bigint << 8 | stage_rank(h.to_stage)) FILTER (WHERE h.effective_at < i.at) & 255)
                BETWEEN stage_rank('iql') AND stage_rank('prospect') AS scored,
            coalesce(bool_or(h.to_stage >= 'customer' AND h.effective_at >= i.at AND h.effective_at < i.at + i.horizon), false) AS won
        FROM stage_history h
            CROSS JOIN instant i
        GROUP BY h.lead_id
    ), profile AS (
        SELECT c.lead_id, lead_activity_agg(g.signal_id, NULL::timestamptz, c.count::bigint, i.grain) AS later
        FROM profile_change c
            JOIN signal g USING (signal)
            CROSS JOIN instant i
        WHERE c.changed_at >= i.at
        GROUP BY c.lead_id
    )
    SELECT s.lead_id,
        score_milli(a.activity, scored_leads.compiled, i.at - interval '1 microsecond'),
        stage_by_points(a.activity, scored_leads.compiled, i.at - interval '1 microsecond'),
        h.won
    FROM history h
        JOIN lead_state s ON s.lead_id = h.lead_id
        LEFT JOIN profile p ON p.lead_id = h.lead_id
        CROSS JOIN instant i
        CROSS JOIN LATERAL (SELECT CASE WHEN p.later IS NULL THEN s.activity ELSE s.activity - p.later END) AS a (activity)
    WHERE h.scored;
END;
COMMENT ON FUNCTION scored_leads(lead_model, timestamptz, interval) IS
    'internal: leads (iql to prospect) of an instant, their points as of then in thousandths, and whether they became customers within horizon';

CREATE OR REPLACE FUNCTION model_quality(model text, at timestamptz DEFAULT NULL, horizon interval DEFAULT NULL)
    RETURNS TABLE (level text, place integer, stage text, score_from numeric, score_to numeric, leads bigint, converted bigint,
        converted_rate double precision, low_rate double precision, high_rate double precision, lift double precision, captured_rate double precision,
        true_positives bigint, false_positives bigint, false_negatives bigint, true_negatives bigint,
        precision_rate double precision, recall_rate double precision, auc double precision, auc_low double precision, auc_high double precision)
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT known_model(model_quality.model);
    SELECT refuse('invalid_parameter_value', 'horizon must be greater than zero', hint => 'Pass the time in which leads should have become customers, such as 90 days.')
        WHERE model_quality.horizon <= interval '0';
    WITH definition AS MATERIALIZED (
        SELECT compiled_model(model_quality.model) AS compiled
    ), scored AS MATERIALIZED (
        SELECT l.lead_id, l.milli, l.band, l.won,
            rank() OVER (ORDER BY l.milli) + (count(*) OVER (PARTITION BY l.milli) - 1) / 2.0::double precision AS mid_rank,
            ntile(10) OVER (ORDER BY l.milli DESC, l.lead_id) AS decile
        FROM definition d, scored_leads(d.compiled, model_quality.at, model_quality.horizon) l
    ), total AS (
        SELECT count(*) AS leads, count(*) FILTER (WHERE s.won) AS won,
            -- Mann and Whitney: how often a customer had more points than somebody else, ties half
            (sum(s.mid_rank) FILTER (WHERE s.won) - count(*) FILTER (WHERE s.won)::double precision * (count(*) FILTER (WHERE s.won) + 1) / 2)
                / nullif(count(*) FILTER (WHERE s.won)::double precision * count(*) FILTER (WHERE NOT s.won), 0) AS auc,
            min(s.milli) AS low, max(s.milli) AS high
        FROM scored s
    ), area AS (
        -- Hanley and McNeil
        SELECT t.auc, 1.959963984540054 * sqrt((t.auc * (1 - t.auc)
            + (t.won - 1) * (t.auc / (2 - t.auc) - t.auc * t.auc)
            + (t.leads - t.won - 1) * (2 * t.auc * t.auc / (1 + t.auc) - t.auc * t.auc))
            / nullif(t.won::double precision * (t.leads - t.won), 0)) AS margin
        FROM total t
    ), line AS (
        SELECT 1 AS part, 'summary' AS level, 1 AS place, NULL::text AS stage, t.low, t.high, t.leads, t.won,
            NULL::bigint AS upto, NULL::bigint AS true_positives, NULL::bigint AS false_positives
        FROM total t
        UNION ALL
        SELECT 2, 'band', n.stage_rank, n.stage::text, min(s.milli), max(s.milli), count(s.lead_id), count(*) FILTER (WHERE s.won),
            NULL::bigint, NULL::bigint, NULL::bigint
        FROM stages() n
            LEFT JOIN scored s ON s.band = n.stage
        WHERE n.stage >= 'iql' AND n.stage <= 'sql'
        GROUP BY n.stage_rank, n.stage::text
        UNION ALL
        SELECT 3, 'decile', d.decile, NULL::text, min(s.milli), max(s.milli), count(s.lead_id), count(*) FILTER (WHERE s.won),
            sum(count(*) FILTER (WHERE s.won)) OVER (ORDER BY d.decile)::bigint, NULL::bigint, NULL::bigint
        FROM generate_series(1, 10) AS d (decile)
            LEFT JOIN scored s USING (decile)
        GROUP BY d.decile
        UNION ALL
        SELECT 4, 'threshold', stage_rank(r.stage), r.stage::text, (r.min_score * 1000)::bigint, NULL::bigint,
            count(s.lead_id), count(*) FILTER (WHERE s.won), NULL::bigint,
            count(*) FILTER (WHERE s.won AND s.milli >= r.min_score * 1000),
            count(*) FILTER (WHERE NOT s.won AND s.milli >= r.min_score * 1000)
        FROM stage_rule r
            LEFT JOIN scored s ON true
        WHERE r.model = model_quality.model AND r.only_if = '' AND r.min_score IS NOT NULL
        GROUP BY stage_rank(r.stage), r.stage::text, r.min_score
    )
    SELECT n.level, n.place, n.stage, trim_scale(n.low / 1000.0), trim_scale(n.high / 1000.0), n.leads, n.won,
        n.won::double precision / nullif(n.leads, 0),
        rate_low(n.won, n.leads), rate_high(n.won, n.leads),
        CASE WHEN n.part <= 3 THEN n.won::double precision / nullif(n.leads, 0) / nullif(t.won::double precision / nullif(t.leads, 0), 0) END,
        n.upto::double precision / nullif(t.won, 0),
        n.true_positives, n.false_positives, n.won - n.true_positives, n.leads - n.won - n.false_positives,
        n.true_positives::double precision / nullif(n.true_positives + n.false_positives, 0),
        n.true_positives::double precision / nullif(n.won, 0),
        CASE WHEN n.part = 1 THEN a.auc END,
        CASE WHEN n.part = 1 AND a.auc IS NOT NULL THEN greatest(0, a.auc - a.margin) END,
        CASE WHEN n.part = 1 AND a.auc IS NOT NULL THEN least(1, a.auc + a.margin) END
    FROM line n
        CROSS JOIN total t
        CROSS JOIN area a
    ORDER BY n.part, n.place;
END;
COMMENT ON FUNCTION model_quality(text, timestamptz, interval) IS
    'how well the scores of at (default: horizon ago) told who became a customer within horizon (default: mature_after): summary with AUC, bands of points, tenths of leads, thresholds';

-- Half a year and the half before, ending with yesterday. Quality and revenue
-- are those of leads that were new in the half year, within mature_after of
-- each lead, and both halves are moved back by that time: so no lead had less
-- time than another. Sales time is of those who bought in it.
CREATE OR REPLACE VIEW half_year_comparison WITH (security_invoker = true) AS
WITH half AS (
    SELECT k.place, k.period,
        d.day_from, d.day_to,
        d.day_from::timestamp AT TIME ZONE s.time_zone AS from_at,
        d.day_to::timestamp AT TIME ZONE s.time_zone AS to_at,
        fixed_period(s.mature_after) AS mature_after
    FROM setting s
        CROSS JOIN (VALUES (1, 'before', 12, 6), (2, 'now', 6, 0)) AS k (place, period, months_from, months_to)
        CROSS JOIN LATERAL (SELECT
            (date_trunc('day', now() AT TIME ZONE s.time_zone) - make_interval(months => k.months_from))::date,
            (date_trunc('day', now() AT TIME ZONE s.time_zone) - make_interval(months => k.months_to))::date
        ) AS d (day_from, day_to)
), first AS MATERIALIZED (
    SELECT s.lead_id,
        min(s.effective_at) AS lead_at,
        min(s.effective_at) FILTER (WHERE s.to_stage >= 'sql') AS sql_at,
        min(s.effective_at) FILTER (WHERE s.to_stage >= 'customer') AS customer_at
    FROM stage_history s
    WHERE s.to_stage >= 'iql'
    GROUP BY s.lead_id
), bought AS MATERIALIZED (
    -- one pass over all events, not one for each lead
    SELECT p.lead_id, p.purchased_at, p.purchase_amount
    FROM purchases p
), cohort AS (
    SELECT f.place, count(*) AS leads,
        count(*) FILTER (WHERE m.sql_at <= m.lead_at + f.mature_after) AS sqls,
        count(*) FILTER (WHERE m.customer_at <= m.lead_at + f.mature_after) AS customers
    FROM half f
        JOIN first m ON m.lead_at >= f.from_at - f.mature_after AND m.lead_at < f.to_at - f.mature_after
    GROUP BY f.place
), revenue AS (
    SELECT f.place, sum(p.purchase_amount) AS revenue_amount
    FROM bought p
        JOIN first m ON m.lead_id = p.lead_id
        JOIN half f ON m.lead_at >= f.from_at - f.mature_after AND m.lead_at < f.to_at - f.mature_after
    WHERE p.purchased_at >= m.lead_at AND p.purchased_at <= m.lead_at + f.mature_after
    GROUP BY f.place
), won AS (
    SELECT f.place, count(*) AS sales,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY date_part('epoch', m.customer_at - m.lead_at) / 86400) AS median_days
    FROM half f
        JOIN first m ON m.customer_at >= f.from_at AND m.customer_at < f.to_at
    GROUP BY f.place
), figure AS (
    SELECT f.place, f.period, f.day_from, f.day_to - 1 AS day_to,
        coalesce(c.leads, 0) AS leads,
        coalesce(c.sqls, 0) AS sqls,
        coalesce(c.customers, 0) AS customers,
        c.sqls::double precision / nullif(c.leads, 0) AS sql_rate,
        c.customers::double precision / nullif(c.leads, 0) AS customer_rate,
        coalesce(r.revenue_amount, 0) / nullif(c.leads, 0) AS revenue_per_lead,
        coalesce(w.sales, 0) AS sales,
        w.median_days
    FROM half f
        LEFT JOIN cohort c USING (place)
        LEFT JOIN revenue r USING (place)
        LEFT JOIN won w USING (place)
)
SELECT
    f.period,
    f.place,
    f.day_from AS from_date,
    f.day_to AS to_date,
    f.leads,
    f.sqls,
    f.customers,
    f.sql_rate,
    f.customer_rate,
    as_amount(f.revenue_per_lead)::numeric(14,2) AS revenue_per_lead_amount,
    f.sales,
    f.median_days AS cycle_days,
    f.sql_rate / nullif(lag(f.sql_rate) OVER run, 0) - 1 AS sql_change,
    f.customer_rate / nullif(lag(f.customer_rate) OVER run, 0) - 1 AS customer_change,
    (f.revenue_per_lead / nullif(lag(f.revenue_per_lead) OVER run, 0) - 1)::double precision AS revenue_change,
    f.median_days / nullif(lag(f.median_days) OVER run, 0) - 1 AS cycle_change
FROM figure f
WINDOW run AS (ORDER BY f.place);
COMMENT ON VIEW half_year_comparison IS 'one row for the last six months and one for the six before: quality of leads, sales time, revenue per lead';
COMMENT ON COLUMN half_year_comparison.period IS 'before or now';
COMMENT ON COLUMN half_year_comparison.place IS 'order of the rows';
COMMENT ON COLUMN half_year_comparison.from_date IS 'first day of the half year';
COMMENT ON COLUMN half_year_comparison.to_date IS 'last day of the half year';
COMMENT ON COLUMN half_year_comparison.leads IS 'leads that became iql or higher mature_after before the half year';
COMMENT ON COLUMN half_year_comparison.sqls IS 'of these, those that reached sql or higher within mature_after';
COMMENT ON COLUMN half_year_comparison.customers IS 'of these, those that became customers within mature_after';
COMMENT ON COLUMN half_year_comparison.sql_rate IS 'sqls / leads';
COMMENT ON COLUMN half_year_comparison.customer_rate IS 'customers / leads';
COMMENT ON COLUMN half_year_comparison.revenue_per_lead_amount IS 'what these leads bought for within mature_after / leads';
COMMENT ON COLUMN half_year_comparison.sales IS 'leads that became customers in the half year';
COMMENT ON COLUMN half_year_comparison.cycle_days IS 'median time of these from lead to customer';
COMMENT ON COLUMN half_year_comparison.sql_change IS 'change of sql_rate against the half year before, as a fraction';
COMMENT ON COLUMN half_year_comparison.customer_change IS 'change of customer_rate';
COMMENT ON COLUMN half_year_comparison.revenue_change IS 'change of revenue_per_lead_amount';
COMMENT ON COLUMN half_year_comparison.cycle_change IS 'change of cycle_days';
$pipeline_ddl$),
('60-attach', $pipeline_ddl$-- The triggers that keep states right. Run by leadscore.attach_pipeline().
-- Statement triggers with transition tables: one for each operation.

CREATE OR REPLACE TRIGGER leadscore_inserted AFTER INSERT ON event
    REFERENCING NEW TABLE AS new_event
    FOR EACH STATEMENT EXECUTE FUNCTION event_changed();
CREATE OR REPLACE TRIGGER leadscore_updated AFTER UPDATE ON event
    REFERENCING OLD TABLE AS old_event NEW TABLE AS new_event
    FOR EACH STATEMENT EXECUTE FUNCTION event_changed();
CREATE OR REPLACE TRIGGER leadscore_deleted AFTER DELETE ON event
    REFERENCING OLD TABLE AS old_event
    FOR EACH STATEMENT EXECUTE FUNCTION event_changed();
CREATE OR REPLACE TRIGGER leadscore_truncated AFTER TRUNCATE ON event
    FOR EACH STATEMENT EXECUTE FUNCTION event_truncated();

CREATE OR REPLACE TRIGGER leadscore_touched BEFORE UPDATE ON lead
    FOR EACH ROW EXECUTE FUNCTION lead_touched();
CREATE OR REPLACE TRIGGER leadscore_inserted AFTER INSERT ON lead
    REFERENCING NEW TABLE AS new_lead
    FOR EACH STATEMENT EXECUTE FUNCTION lead_changed();
CREATE OR REPLACE TRIGGER leadscore_updated AFTER UPDATE ON lead
    REFERENCING OLD TABLE AS old_lead NEW TABLE AS new_lead
    FOR EACH STATEMENT EXECUTE FUNCTION lead_changed();
CREATE OR REPLACE TRIGGER leadscore_deleted AFTER DELETE ON lead
    REFERENCING OLD TABLE AS old_lead
    FOR EACH STATEMENT EXECUTE FUNCTION lead_changed();
CREATE OR REPLACE TRIGGER leadscore_truncated AFTER TRUNCATE ON lead
    FOR EACH STATEMENT EXECUTE FUNCTION lead_truncated();
$pipeline_ddl$),
('61-detach', $pipeline_ddl$-- The opposite of 60-attach. Run by leadscore.detach_pipeline().

DROP TRIGGER IF EXISTS leadscore_inserted ON event;
DROP TRIGGER IF EXISTS leadscore_updated ON event;
DROP TRIGGER IF EXISTS leadscore_deleted ON event;
DROP TRIGGER IF EXISTS leadscore_truncated ON event;

DROP TRIGGER IF EXISTS leadscore_touched ON lead;
DROP TRIGGER IF EXISTS leadscore_inserted ON lead;
DROP TRIGGER IF EXISTS leadscore_updated ON lead;
DROP TRIGGER IF EXISTS leadscore_deleted ON lead;
DROP TRIGGER IF EXISTS leadscore_truncated ON lead;
$pipeline_ddl$),
('80-preset-inbound', $pipeline_ddl$-- Preset inbound: people find us, read, ask, and buy.
--
-- Points come from what they do (engagement) and who they are (fit). From 31
-- points and a look at solution content a lead is an mql; from 71 points and
-- with budget, authority, need and timeline confirmed it is an sql.

INSERT INTO signal (signal, event_kinds, condition, quantity, note) VALUES
    ('page_view', '{page_view}', NULL, NULL, NULL),
    ('product_page_view', '{product_page_view}', NULL, NULL, NULL),
    ('pricing_view', '{pricing_view}', NULL, NULL, NULL),
    ('case_study_download', '{case_study_download}', NULL, NULL, NULL),
    ('content_download', '{content_download}', NULL, NULL, NULL),
    ('solution_content', '{content_download}', '$.intent == "solution"', NULL, 'content about solutions, not about problems'),
    ('webinar_attended', '{webinar_attended}', NULL, NULL, NULL),
    ('form_submit', '{form_submit}', NULL, NULL, NULL),
    ('email_open', '{email_open}', NULL, NULL, NULL),
    ('email_click', '{email_click}', NULL, NULL, NULL),
    ('email_reply', '{email_reply}', NULL, NULL, NULL),
    ('newsletter_signup', '{newsletter_signup}', NULL, NULL, NULL),
    ('unsubscribe', '{unsubscribe}', NULL, NULL, NULL),
    ('social_interaction', '{social_interaction}', NULL, NULL, NULL),
    ('cart_abandoned', '{cart_abandoned}', NULL, NULL, NULL),
    ('demo_request', '{demo_request}', NULL, NULL, NULL),
    ('personal_demo_request', '{personal_demo_request}', NULL, NULL, NULL),
    ('quote_request', '{quote_request}', NULL, NULL, NULL),
    ('trial_started', '{trial_started}', NULL, NULL, NULL),
    ('sales_contact', '{sales_contact}', NULL, NULL, NULL),
    ('purchase', '{purchase}', NULL, NULL, NULL),
    ('lost', '{lost}', NULL, NULL, NULL),
    ('disqualified', '{disqualified}', NULL, NULL, NULL),
    ('recycled', '{recycled}', NULL, NULL, NULL),
    ('points_added', '{points_added}', NULL, '$value * 1000', 'counted in thousandths of a point'),
    ('points_removed', '{points_removed}', NULL, '$value * 1000', 'counted in thousandths of a point');

INSERT INTO signal (signal, source, condition, note) VALUES
    ('consented', 'profile', '$consented == true', 'accepted the data protection policy'),
    ('contactable', 'profile', '$email like_regex "@" || $.phone != null || $.social != null', 'left contact data'),
    ('budget_confirmed', 'profile', '$.budget == true', NULL),
    ('authority_confirmed', 'profile', '$.authority == true', NULL),
    ('need_confirmed', 'profile', '$.need == true', NULL),
    ('timeline_confirmed', 'profile', '$.timeline == true', NULL),
    ('decision_maker', 'profile',
        '$.job_title like_regex "(^|[^a-z])(owner|founder|chief|ceo|cfo|cio|cmo|coo|cto|president|vp|director|head)([^a-z]|$)" flag "i"', NULL),
    ('company_size', 'profile', '$.employees >= 50', 'fifty people or more'),
    ('student', 'profile', '$.job_title like_regex "(^|[^a-z])(student|pupil|intern|trainee)([^a-z]|$)" flag "i"', NULL);

INSERT INTO model (model, note) VALUES
    ('inbound', 'iql from 0 points, mql from 31 with solution content, sql from 71 with BANT');

INSERT INTO dimension (model, dimension, position, reset_signals) VALUES
    ('inbound', 'engagement', 1, '{recycled,unsubscribe}'),
    ('inbound', 'fit', 2, '{}'),
    ('inbound', 'manual', 3, '{}');

INSERT INTO rule (model, dimension, rule, signal, points, limit_count, limit_period, decay, decay_period, max_points) VALUES
    ('inbound', 'engagement', 'page viewed', 'page_view', 1, 3, 'day', 'half_life', '30 days', 10),
    ('inbound', 'engagement', 'product page viewed', 'product_page_view', 15, 3, 'day', 'half_life', '30 days', 60),
    ('inbound', 'engagement', 'prices viewed', 'pricing_view', 10, 1, 'day', 'half_life', '30 days', 30),
    ('inbound', 'engagement', 'case study downloaded', 'case_study_download', 10, 3, 'week', 'half_life', '60 days', 40),
    ('inbound', 'engagement', 'content downloaded', 'content_download', 5, 3, 'week', 'half_life', '60 days', 20),
    ('inbound', 'engagement', 'solution content downloaded', 'solution_content', 5, 3, 'week', 'half_life', '60 days', 20),
    ('inbound', 'engagement', 'webinar attended', 'webinar_attended', 15, 1, 'week', 'half_life', '60 days', 45),
    ('inbound', 'engagement', 'form sent', 'form_submit', 5, 1, 'day', 'half_life', '60 days', 15),
    ('inbound', 'engagement', 'e-mail opened', 'email_open', 5, 1, 'day', 'half_life', '30 days', 20),
    ('inbound', 'engagement', 'e-mail link followed', 'email_click', 5, 2, 'day', 'half_life', '30 days', 20),
    ('inbound', 'engagement', 'e-mail answered', 'email_reply', 10, 1, 'day', 'half_life', '60 days', 30),
    ('inbound', 'engagement', 'newsletter subscribed', 'newsletter_signup', 5, 1, 'ever', 'half_life', '180 days', NULL),
    ('inbound', 'engagement', 'social interaction', 'social_interaction', 2, 3, 'day', 'half_life', '30 days', 10),
    ('inbound', 'engagement', 'cart abandoned', 'cart_abandoned', -5, 1, 'day', 'half_life', '30 days', -15),
    ('inbound', 'engagement', 'demo requested', 'demo_request', 15, 1, 'month', 'half_life', '60 days', 30),
    ('inbound', 'engagement', 'personal demo requested', 'personal_demo_request', 25, 1, 'month', 'half_life', '60 days', 50),
    ('inbound', 'engagement', 'quote requested', 'quote_request', 25, 1, 'month', 'half_life', '60 days', 50),
    ('inbound', 'engagement', 'trial started', 'trial_started', 20, 1, 'month', 'half_life', '60 days', 40);

-- last: once, also for an account with several such people
INSERT INTO rule (model, dimension, rule, signal, points, aggregate) VALUES
    ('inbound', 'fit', 'decision maker', 'decision_maker', 10, 'last'),
    ('inbound', 'fit', 'company of 50 or more', 'company_size', 10, 'last'),
    ('inbound', 'fit', 'student', 'student', -10, 'last');

INSERT INTO rule (model, dimension, rule, signal, points) VALUES
    ('inbound', 'manual', 'points added', 'points_added', 0.001),
    ('inbound', 'manual', 'points removed', 'points_removed', -0.001);

INSERT INTO grade (model, dimension, grade, min_points) VALUES
    ('inbound', 'fit', 'A', 20),
    ('inbound', 'fit', 'B', 10),
    ('inbound', 'fit', 'C', 0),
    ('inbound', 'fit', 'D', -10);

INSERT INTO stage_rule (model, stage, min_score, entry_signals, sla, note) VALUES
    ('inbound', 'iql', NULL, '{}', NULL, 'a contact that may be kept and can be reached'),
    ('inbound', 'mql', 31, '{}', NULL, 'interested in a solution'),
    ('inbound', 'sql', 71, '{}', '1 hour', 'ready to talk about buying'),
    ('inbound', 'prospect', NULL, '{sales_contact}', NULL, 'sales is in touch'),
    ('inbound', 'customer', NULL, '{purchase}', NULL, NULL),
    ('inbound', 'lost', NULL, '{lost}', NULL, NULL),
    ('inbound', 'disqualified', NULL, '{disqualified}', NULL, NULL),
    ('inbound', 'recycled', NULL, '{recycled}', NULL, NULL);

INSERT INTO stage_gate (model, stage, gate, signal) VALUES
    ('inbound', 'iql', 'consent', 'consented'),
    ('inbound', 'iql', 'contact', 'contactable'),
    ('inbound', 'mql', 'solution content', 'case_study_download'),
    ('inbound', 'mql', 'solution content', 'solution_content'),
    ('inbound', 'mql', 'solution content', 'webinar_attended'),
    ('inbound', 'mql', 'solution content', 'pricing_view'),
    ('inbound', 'mql', 'solution content', 'demo_request'),
    ('inbound', 'mql', 'solution content', 'personal_demo_request'),
    ('inbound', 'mql', 'solution content', 'quote_request'),
    ('inbound', 'mql', 'solution content', 'trial_started'),
    ('inbound', 'sql', 'budget', 'budget_confirmed'),
    ('inbound', 'sql', 'authority', 'authority_confirmed'),
    ('inbound', 'sql', 'need', 'need_confirmed'),
    ('inbound', 'sql', 'timeline', 'timeline_confirmed');
$pipeline_ddl$),
('81-preset-enterprise', $pipeline_ddl$-- Preset enterprise: few large accounts, strict rules.
--
-- 100 points make an mql: behaviour (engagement) plus demographic points (fit,
-- at most 70), and a matrix of fit A to D and engagement 1 to 4 decides.
-- Every rule has its own frequency limit, quiet months cost points,
-- competitors, students and our own people are excluded.

INSERT INTO value_list (list, item) VALUES
    ('competitor_domains', 'competitor.example'),
    ('own_domains', 'ours.example'),
    ('free_domains', 'gmail.com'),
    ('free_domains', 'googlemail.com'),
    ('free_domains', 'gmx.net'),
    ('free_domains', 'hotmail.com'),
    ('free_domains', 'icloud.com'),
    ('free_domains', 'outlook.com'),
    ('free_domains', 'proton.me'),
    ('free_domains', 'yahoo.com'),
    ('target_industries', 'finance'),
    ('target_industries', 'manufacturing'),
    ('target_industries', 'software'),
    ('target_industries', 'telecommunications'),
    ('unfit_functions', 'facilities'),
    ('unfit_functions', 'legal'),
    ('unfit_functions', 'recruiting');

INSERT INTO event_kind (kind, role, note) VALUES
    ('email_bounced', 'email_bounce', 'the address does not exist (message)');

INSERT INTO signal (signal, event_kinds, condition, quantity, note) VALUES
    ('interest', '{page_view,product_page_view,pricing_view,case_study_download,content_download,webinar_attended,form_submit,email_open,email_click,email_reply,newsletter_signup,social_interaction,demo_request,personal_demo_request,quote_request,trial_started}',
        NULL, NULL, 'whatever shows that they are still there'),
    ('page_view', '{page_view}', NULL, NULL, NULL),
    ('careers_view', '{page_view}', '$.page like_regex "career|jobs" flag "i"', NULL, 'looks for work, not for us'),
    ('product_page_view', '{product_page_view}', NULL, NULL, NULL),
    ('pricing_view', '{pricing_view}', NULL, NULL, NULL),
    ('case_study_download', '{case_study_download}', NULL, NULL, NULL),
    ('content_download', '{content_download}', NULL, NULL, NULL),
    ('webinar_attended', '{webinar_attended}', NULL, NULL, NULL),
    ('form_submit', '{form_submit}', NULL, NULL, NULL),
    ('email_open', '{email_open}', NULL, NULL, NULL),
    ('email_click', '{email_click}', NULL, NULL, NULL),
    ('email_reply', '{email_reply}', NULL, NULL, NULL),
    ('email_bounced', '{email_bounced}', NULL, NULL, NULL),
    ('newsletter_signup', '{newsletter_signup}', NULL, NULL, NULL),
    ('unsubscribe', '{unsubscribe}', NULL, NULL, NULL),
    ('social_interaction', '{social_interaction}', NULL, NULL, NULL),
    ('cart_abandoned', '{cart_abandoned}', NULL, NULL, NULL),
    ('demo_request', '{demo_request}', NULL, NULL, NULL),
    ('personal_demo_request', '{personal_demo_request}', NULL, NULL, NULL),
    ('quote_request', '{quote_request}', NULL, NULL, NULL),
    ('trial_started', '{trial_started}', NULL, NULL, NULL),
    ('sales_contact', '{sales_contact}', NULL, NULL, NULL),
    ('purchase', '{purchase}', NULL, NULL, NULL),
    ('lost', '{lost}', NULL, NULL, NULL),
    ('disqualified', '{disqualified}', NULL, NULL, NULL),
    ('recycled', '{recycled}', NULL, NULL, NULL),
    ('points_added', '{points_added}', NULL, '$value * 1000', 'counted in thousandths of a point'),
    ('points_removed', '{points_removed}', NULL, '$value * 1000', 'counted in thousandths of a point');

INSERT INTO signal (signal, source, condition, note) VALUES
    ('consented', 'profile', '$consented == true', 'accepted the data protection policy'),
    ('contactable', 'profile', '$email like_regex "@" || $.phone != null || $.social != null', 'left contact data'),
    ('competitor', 'profile', '$competitor_domains[*] == $email_domain', NULL),
    ('own_people', 'profile', '$own_domains[*] == $email_domain', NULL),
    ('free_address', 'profile', '$free_domains[*] == $email_domain', 'an address that anybody can have'),
    ('student', 'profile', '$.job_title like_regex "(^|[^a-z])(student|pupil|intern|trainee)([^a-z]|$)" flag "i"', NULL),
    ('budget_confirmed', 'profile', '$.budget == true', NULL),
    ('authority_confirmed', 'profile', '$.authority == true', NULL),
    ('need_confirmed', 'profile', '$.need == true', NULL),
    ('timeline_confirmed', 'profile', '$.timeline == true', NULL),
    ('executive', 'profile', '$.job_title like_regex "(^|[^a-z])(owner|founder|chief|ceo|cfo|cio|cmo|coo|cto|president|vp)([^a-z]|$)" flag "i"', NULL),
    ('manager', 'profile', '$.job_title like_regex "(^|[^a-z])(director|head|manager|lead)([^a-z]|$)" flag "i"', NULL),
    ('unfit_function', 'profile', '$unfit_functions[*] == $.job_function', NULL),
    ('target_industry', 'profile', '$target_industries[*] == $.industry', NULL),
    ('large_company', 'profile', '$.employees >= 1000', NULL),
    ('medium_company', 'profile', '$.employees >= 100 && $.employees < 1000', NULL);

INSERT INTO model (model, note) VALUES
    ('enterprise', '100 points of behaviour and demographic make an mql, a matrix of both decides');

-- position: so that grades read A1, fit first
INSERT INTO dimension (model, dimension, position, min_points, max_points, reset_signals) VALUES
    ('enterprise', 'fit', 1, NULL, 70, '{}'),
    ('enterprise', 'engagement', 2, 0, 300, '{recycled,unsubscribe}');

INSERT INTO rule (model, dimension, rule, signal, points, limit_count, limit_period) VALUES
    ('enterprise', 'engagement', 'page viewed', 'page_view', 1, 5, 'day'),
    ('enterprise', 'engagement', 'careers page viewed', 'careers_view', -10, 1, 'day'),
    ('enterprise', 'engagement', 'product page viewed', 'product_page_view', 5, 1, 'day'),
    ('enterprise', 'engagement', 'prices viewed', 'pricing_view', 10, 1, 'week'),
    ('enterprise', 'engagement', 'case study downloaded', 'case_study_download', 15, 3, 'month'),
    ('enterprise', 'engagement', 'content downloaded', 'content_download', 10, 3, 'month'),
    ('enterprise', 'engagement', 'webinar attended', 'webinar_attended', 20, 2, 'month'),
    ('enterprise', 'engagement', 'form sent', 'form_submit', 10, 1, 'day'),
    ('enterprise', 'engagement', 'e-mail opened', 'email_open', 1, 1, 'day'),
    ('enterprise', 'engagement', 'e-mail link followed', 'email_click', 5, 1, 'day'),
    ('enterprise', 'engagement', 'e-mail answered', 'email_reply', 15, 1, 'week'),
    ('enterprise', 'engagement', 'e-mail bounced', 'email_bounced', -20, 1, 'month'),
    ('enterprise', 'engagement', 'newsletter subscribed', 'newsletter_signup', 5, 1, 'ever'),
    ('enterprise', 'engagement', 'social interaction', 'social_interaction', 2, 1, 'day'),
    ('enterprise', 'engagement', 'cart abandoned', 'cart_abandoned', -5, 1, 'week'),
    ('enterprise', 'engagement', 'demo requested', 'demo_request', 40, 1, 'quarter'),
    ('enterprise', 'engagement', 'personal demo requested', 'personal_demo_request', 60, 1, 'quarter'),
    ('enterprise', 'engagement', 'quote requested', 'quote_request', 60, 1, 'quarter'),
    ('enterprise', 'engagement', 'trial started', 'trial_started', 50, 1, 'year'),
    ('enterprise', 'engagement', 'points added', 'points_added', 0.001, NULL, NULL),
    ('enterprise', 'engagement', 'points removed', 'points_removed', -0.001, NULL, NULL);

INSERT INTO rule (model, dimension, rule, signal, points, aggregate, after, repeat) VALUES
    ('enterprise', 'engagement', '30 quiet days', 'interest', -10, 'idle', '30 days', true);

-- last: once, also for an account with several such people
INSERT INTO rule (model, dimension, rule, signal, points, aggregate, unless) VALUES
    ('enterprise', 'fit', 'executive', 'executive', 30, 'last', '{}'),
    ('enterprise', 'fit', 'manager', 'manager', 15, 'last', '{executive}'),
    ('enterprise', 'fit', 'company of 1000 or more', 'large_company', 30, 'last', '{}'),
    ('enterprise', 'fit', 'company of 100 or more', 'medium_company', 20, 'last', '{large_company}'),
    ('enterprise', 'fit', 'target industry', 'target_industry', 20, 'last', '{}'),
    ('enterprise', 'fit', 'free e-mail address', 'free_address', -10, 'last', '{}'),
    ('enterprise', 'fit', 'function that never buys', 'unfit_function', -20, 'last', '{}');

INSERT INTO grade (model, dimension, grade, min_points) VALUES
    ('enterprise', 'fit', 'A', 50),
    ('enterprise', 'fit', 'B', 30),
    ('enterprise', 'fit', 'C', 10),
    ('enterprise', 'fit', 'D', -1000),
    ('enterprise', 'engagement', '1', 80),
    ('enterprise', 'engagement', '2', 50),
    ('enterprise', 'engagement', '3', 20),
    ('enterprise', 'engagement', '4', 0);

INSERT INTO stage_rule (model, stage, min_score, entry_signals, sla, note) VALUES
    ('enterprise', 'iql', NULL, '{}', NULL, 'a contact that may be kept, can be reached and is not excluded'),
    ('enterprise', 'mql', 100, '{}', '1 day', 'matrix: A1 A2 A3 B1 B2 C1'),
    ('enterprise', 'sql', 120, '{}', '1 hour', 'matrix: A1 A2 A3 B1 B2'),
    ('enterprise', 'prospect', NULL, '{sales_contact}', NULL, 'sales is in touch'),
    ('enterprise', 'customer', NULL, '{purchase}', NULL, NULL),
    ('enterprise', 'lost', NULL, '{lost}', NULL, NULL),
    ('enterprise', 'disqualified', NULL, '{disqualified}', NULL, NULL),
    ('enterprise', 'recycled', NULL, '{recycled}', NULL, NULL);

INSERT INTO stage_gate (model, stage, gate, signal, negate) VALUES
    ('enterprise', 'iql', 'consent', 'consented', false),
    ('enterprise', 'iql', 'contact', 'contactable', false),
    ('enterprise', 'iql', 'no competitor', 'competitor', true),
    ('enterprise', 'iql', 'none of us', 'own_people', true),
    ('enterprise', 'iql', 'no student', 'student', true),
    ('enterprise', 'sql', 'budget', 'budget_confirmed', false),
    ('enterprise', 'sql', 'authority', 'authority_confirmed', false),
    ('enterprise', 'sql', 'need', 'need_confirmed', false),
    ('enterprise', 'sql', 'timeline', 'timeline_confirmed', false);

-- The matrix. The cells that qualify are a staircase, and a staircase is a set
-- of conditions that must all hold, each with alternatives: going down one
-- grade of fit needs one more of engagement.
INSERT INTO stage_gate (model, stage, gate, dimension, min_points) VALUES
    ('enterprise', 'mql', 'matrix: at least C', 'fit', 10),
    ('enterprise', 'mql', 'matrix: at least B, or 1', 'fit', 30),
    ('enterprise', 'mql', 'matrix: at least B, or 1', 'engagement', 80),
    ('enterprise', 'mql', 'matrix: A, or at least 2', 'fit', 50),
    ('enterprise', 'mql', 'matrix: A, or at least 2', 'engagement', 50),
    ('enterprise', 'mql', 'matrix: at least 3', 'engagement', 20),
    ('enterprise', 'sql', 'matrix: at least B', 'fit', 30),
    ('enterprise', 'sql', 'matrix: A, or at least 2', 'fit', 50),
    ('enterprise', 'sql', 'matrix: A, or at least 2', 'engagement', 50),
    ('enterprise', 'sql', 'matrix: at least 3', 'engagement', 20);
$pipeline_ddl$)
$pipeline_ddl_body$;

COMMENT ON FUNCTION leadscore.pipeline_ddl() IS
	'the statements that make up a pipeline schema, by topic, in order';

/* leadscore: pipelines, schemas of ordinary tables that their creator owns */

-- Helpers of the functions in pipelines

CREATE FUNCTION leadscore.refuse(condition text, message text, detail text DEFAULT NULL, hint text DEFAULT NULL)
	RETURNS text
	LANGUAGE plpgsql VOLATILE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF detail IS NOT NULL AND hint IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = condition, MESSAGE = message, DETAIL = detail, HINT = hint;
	ELSIF detail IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = condition, MESSAGE = message, DETAIL = detail;
	ELSIF hint IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = condition, MESSAGE = message, HINT = hint;
	ELSE
		RAISE EXCEPTION USING ERRCODE = condition, MESSAGE = message;
	END IF;
END
$$;
COMMENT ON FUNCTION leadscore.refuse(text, text, text, text) IS
	'raises an error, from an expression; condition is its name or SQLSTATE';

CREATE FUNCTION leadscore.require_text(argument text, value text) RETURNS text
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF value IS NULL OR value = '' THEN
		RAISE EXCEPTION '% must not be %', argument, CASE WHEN value IS NULL THEN 'null' ELSE 'empty' END
			USING ERRCODE = CASE WHEN value IS NULL THEN 'null_value_not_allowed' ELSE 'invalid_parameter_value' END,
				HINT = CASE argument
					WHEN 'external_id' THEN 'Pass the name of the lead in your application, say the number of its account or of its visitor cookie.'
					WHEN 'kind' THEN 'Pass the kind of the event, such as page_view; those in use are in the table event_kind.'
					ELSE pg_catalog.format('Pass a value for %s.', argument)
				END;
	END IF;
	RETURN value;
END
$$;
COMMENT ON FUNCTION leadscore.require_text(text, text) IS
	'the value, or an error that names the argument if it is null or empty';

CREATE FUNCTION leadscore.require_object(argument text, value jsonb) RETURNS jsonb
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF pg_catalog.jsonb_typeof(value) <> 'object' THEN
		RAISE EXCEPTION '% must be a JSON object, not %', argument, pg_catalog.jsonb_typeof(value)
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Pass something like {"job_title": "head of sales", "employees": 50}.';
	END IF;
	RETURN value;
END
$$;
COMMENT ON FUNCTION leadscore.require_object(text, jsonb) IS
	'the value, or an error that names the argument if it is no JSON object';

-- One bad element spoils the whole, so that nothing is half done; but which
-- one it is must be said. Only then elements are looked at one by one.
CREATE FUNCTION leadscore.track_items(events jsonb)
	RETURNS TABLE ("position" bigint, external_id text, kind text, properties jsonb, occurred_at timestamptz,
		value numeric, channel text, campaign text, source_id text, profile jsonb)
	LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	item record;
	unknown text;
	reason text;
BEGIN
	IF events IS NULL OR pg_catalog.jsonb_typeof(events) <> 'array' THEN
		RAISE EXCEPTION 'events must be a JSON array of objects'
			USING ERRCODE = CASE WHEN events IS NULL THEN 'null_value_not_allowed' ELSE 'invalid_parameter_value' END,
				HINT = 'Pass something like [{"external_id": "a1", "kind": "page_view", "occurred_at": "2025-03-01T10:00:00Z"}].';
	END IF;

	FOR item IN
		SELECT e.ordinality, e.value, pg_catalog.jsonb_typeof(e.value) AS type
		FROM pg_catalog.jsonb_array_elements(events) WITH ORDINALITY AS e
		WHERE pg_catalog.jsonb_typeof(e.value) <> 'object'
			OR coalesce(e.value ->> 'external_id', '') = ''
			OR coalesce(e.value ->> 'kind', '') = ''
			OR pg_catalog.jsonb_typeof(e.value -> 'profile') NOT IN ('object', 'null')
			OR e.value - '{external_id,kind,properties,occurred_at,value,channel,campaign,source_id,profile}'::text[] <> '{}'
		LIMIT 1
	LOOP
		IF item.type = 'object' THEN
			SELECT pg_catalog.min(k) INTO unknown
			FROM pg_catalog.jsonb_object_keys(item.value) AS k
			WHERE k <> ALL ('{external_id,kind,properties,occurred_at,value,channel,campaign,source_id,profile}'::text[]);
		END IF;
		reason := CASE
			WHEN item.type <> 'object' THEN 'It is not an object but ' || item.type || '.'
			WHEN unknown IS NOT NULL THEN pg_catalog.format('It has the unknown key "%s".', unknown)
			WHEN coalesce(item.value ->> 'external_id', '') = '' THEN 'It has no external_id.'
			WHEN coalesce(item.value ->> 'kind', '') = '' THEN 'It has no kind.'
			ELSE 'Its profile is not an object.'
		END;
		RAISE EXCEPTION 'element % of events is not valid', item.ordinality
			USING ERRCODE = 'invalid_parameter_value', DETAIL = reason,
				HINT = 'Keys are external_id and kind, and if wanted properties, occurred_at, value, channel, campaign, source_id and profile.';
	END LOOP;

	BEGIN
		RETURN QUERY
			SELECT e.place, e.external_id, e.kind, nullif(e.properties, 'null'), coalesce(e.occurred_at, pg_catalog.now()),
				e.value, e.channel, e.campaign, e.source_id, nullif(e.profile, 'null')
			FROM ROWS FROM (pg_catalog.jsonb_to_recordset(events) AS (external_id text, kind text, properties jsonb,
				occurred_at timestamptz, value numeric, channel text, campaign text, source_id text, profile jsonb))
				WITH ORDINALITY AS e (external_id, kind, properties, occurred_at, value, channel, campaign, source_id, profile, place);
	EXCEPTION
		WHEN data_exception THEN
			FOR item IN
				SELECT e.ordinality, e.value FROM pg_catalog.jsonb_array_elements(events) WITH ORDINALITY AS e
			LOOP
				BEGIN
					PERFORM FROM pg_catalog.jsonb_to_record(item.value) AS e (occurred_at timestamptz, value numeric);
				EXCEPTION
					WHEN data_exception THEN
						GET STACKED DIAGNOSTICS reason = MESSAGE_TEXT;
						RAISE EXCEPTION 'element % of events is not valid', item.ordinality
							USING ERRCODE = 'invalid_parameter_value', DETAIL = 'It has ' || reason || '.';
				END;
			END LOOP;
			RAISE;
	END;
END
$$;
COMMENT ON FUNCTION leadscore.track_items(jsonb) IS
	'the events of track_many() as rows, or an error that says which element is wrong';

-- The schema of this name if it is a pipeline of a layout that we know
CREATE FUNCTION leadscore.known_pipeline(pipeline text) RETURNS regnamespace
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	schema_oid oid := (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = pipeline);
	pipelines text;
	owner name;
	layout integer;
BEGIN
	PERFORM leadscore.require_text('pipeline', pipeline);
	IF NOT EXISTS (
		SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
		WHERE c.relnamespace = schema_oid AND c.relname = 'setting' AND c.relkind = 'r' AND a.attname = 'layout_version')
	THEN
		SELECT pg_catalog.string_agg(n.nspname, ', ' ORDER BY n.nspname) INTO pipelines
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
			JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relname = 'setting' AND c.relkind = 'r' AND a.attname = 'layout_version';
		RAISE EXCEPTION 'schema "%" is not a pipeline', pipeline
			USING ERRCODE = CASE WHEN schema_oid IS NULL THEN 'invalid_schema_name' ELSE 'wrong_object_type' END,
				HINT = CASE WHEN pipelines IS NULL
					THEN pg_catalog.format('Create one with SELECT * FROM leadscore.create_pipeline(%L).', pipeline)
					ELSE pg_catalog.format('Pipelines of this database: %s.', pipelines) END;
	END IF;
	-- What we do to a pipeline runs what is in it: only its owner may trust that,
	-- not even a superuser. And what we make in it is to belong to its owner.
	SELECT pg_catalog.pg_get_userbyid(o.owner) INTO owner
	FROM (
		SELECT n.nspowner AS owner FROM pg_catalog.pg_namespace n WHERE n.oid = schema_oid
		UNION ALL
		SELECT c.relowner FROM pg_catalog.pg_class c WHERE c.relnamespace = schema_oid AND c.relname = 'setting'
	) o
	WHERE pg_catalog.pg_get_userbyid(o.owner) <> current_user;
	IF FOUND THEN
		RAISE EXCEPTION 'must be owner of pipeline "%"', pipeline
			USING ERRCODE = 'insufficient_privilege',
				HINT = pg_catalog.format('Call it as its owner, after SET ROLE %I.', owner);
	END IF;
	EXECUTE pg_catalog.format('SELECT layout_version FROM %I.setting', pipeline) INTO layout;
	IF layout > 2 THEN
		RAISE EXCEPTION 'pipeline "%" has layout version %, which this version of leadscore does not know', pipeline, layout
			USING ERRCODE = 'feature_not_supported',
				HINT = 'Install the newer leadscore and run ALTER EXTENSION leadscore UPDATE.';
	END IF;
	RETURN schema_oid;
END
$$;
COMMENT ON FUNCTION leadscore.known_pipeline(text) IS
	'the schema of a pipeline, or an error that lists the pipelines there are';

CREATE FUNCTION leadscore.is_attached(pipeline regnamespace) RETURNS boolean
	LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT EXISTS (
		SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_trigger t ON t.tgrelid = c.oid
		WHERE c.relnamespace = is_attached.pipeline::oid AND c.relname = 'event'
			AND t.tgname = 'leadscore_inserted');
END;
COMMENT ON FUNCTION leadscore.is_attached(regnamespace) IS
	'whether the events of a pipeline are counted when they are inserted';

-- Run the statements of one topic in a pipeline. Bare names are looked up in
-- pg_catalog first, as it is not listed, then in the pipeline, then in ours.
CREATE FUNCTION leadscore.run_topic(pipeline text, topic text) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET client_min_messages = 'warning'
	SET check_function_bodies = 'on'
AS $$
BEGIN
	PERFORM pg_catalog.set_config('search_path', pg_catalog.quote_ident(pipeline) || ', leadscore, pg_temp', true);
	EXECUTE (SELECT d.ddl FROM leadscore.pipeline_ddl() d WHERE d.topic = run_topic.topic);
END
$$;
COMMENT ON FUNCTION leadscore.run_topic(text, text) IS
	'runs one part of the statements that make up a pipeline, see pipeline_ddl()';

-- Trigger function of the tables that classify: what events and profiles are
-- counted as has changed, so count them all again. A pipeline that is not
-- attached is counted when it is.
CREATE FUNCTION leadscore.signals_changed() RETURNS trigger
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	-- not from pg_class, where shards are hidden from some sessions
	pipeline regnamespace := pg_catalog.quote_ident(TG_TABLE_SCHEMA)::regnamespace;
BEGIN
	IF leadscore.is_attached(pipeline) THEN
		PERFORM leadscore.lock_pipeline(pipeline);
		PERFORM leadscore.rebuild(pipeline, NULL, false);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION leadscore.signals_changed() IS
	'trigger of the tables signal and value_list of a pipeline: counts all events and profiles again';

-- What users call

CREATE FUNCTION leadscore.create_pipeline(name text, preset text DEFAULT 'inbound', grain interval DEFAULT '1 day', attach boolean DEFAULT true)
	RETURNS TABLE (pipeline text, active_model text, next_step text)
	LANGUAGE plpgsql VOLATILE ROWS 1 SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	presets text[];
	topics record;
BEGIN
	PERFORM leadscore.require_text('name', name);
	IF pg_catalog.octet_length(name) > 40 THEN
		RAISE EXCEPTION 'pipeline name "%" is too long', name
			USING ERRCODE = 'name_too_long',
				HINT = 'Use at most 40 bytes.';
	END IF;
	IF pg_catalog.starts_with(name, 'pg_') OR name IN ('information_schema', 'leadscore', 'public') THEN
		RAISE EXCEPTION 'pipeline name "%" is reserved', name
			USING ERRCODE = 'reserved_name',
				HINT = 'A pipeline is a schema of its own. Choose another name, such as crm.';
	END IF;
	IF EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.nspname = name) THEN
		RAISE EXCEPTION 'schema "%" already exists', name
			USING ERRCODE = 'duplicate_schema',
				HINT = 'A pipeline is a schema of its own. Choose another name, or drop the schema with all it holds.';
	END IF;

	SELECT pg_catalog.array_agg(p.preset ORDER BY p.preset) INTO presets
	FROM (
		SELECT pg_catalog.substring(d.topic, '^[0-9]+-preset-(.*)$') AS preset FROM leadscore.pipeline_ddl() d
		UNION ALL
		SELECT 'empty'
	) p
	WHERE p.preset IS NOT NULL;
	IF preset IS NULL OR preset <> ALL (presets) THEN
		RAISE EXCEPTION 'unknown preset "%"', preset
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Presets are ' || pg_catalog.array_to_string(presets, ', ') || '.';
	END IF;
	-- 24 hours are equal to a day, but not the same
	grain := CASE grain WHEN interval '1 day' THEN interval '1 day' WHEN interval '1 hour' THEN interval '1 hour' END;
	IF grain IS NULL THEN
		RAISE EXCEPTION 'grain must be 1 day or 1 hour'
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'The grain is the width of the buckets in which events are counted and fade.';
	END IF;
	IF attach IS NULL THEN
		RAISE EXCEPTION 'attach must not be null'
			USING ERRCODE = 'null_value_not_allowed',
				HINT = 'Pass true, or false to load data first and call attach_pipeline() then.';
	END IF;

	EXECUTE pg_catalog.format('CREATE SCHEMA %I', name);
	FOR topics IN
		SELECT d.topic FROM leadscore.pipeline_ddl() d
		WHERE d.topic COLLATE "C" < '6' OR d.topic LIKE '%-preset-' || preset
		ORDER BY d.topic COLLATE "C"
	LOOP
		PERFORM leadscore.run_topic(name, topics.topic);
		IF topics.topic = '10-tables' THEN
			EXECUTE pg_catalog.format('INSERT INTO %I.setting (grain) VALUES ($1)', name) USING grain;
		END IF;
	END LOOP;
	EXECUTE pg_catalog.format('COMMENT ON SCHEMA %I IS %L', name, 'leadscore pipeline: leads, events, scoring models and funnel');
	EXECUTE pg_catalog.format('SELECT %I.activate_model(m.model) FROM %1$I.model m WHERE m.model = $1', name) USING preset;
	IF attach THEN
		PERFORM leadscore.attach_pipeline(name);
	END IF;

	pipeline := name;
	active_model := nullif(preset, 'empty');
	next_step := CASE
		WHEN NOT attach THEN pg_catalog.format('Load %1$I.lead and %1$I.event, then SELECT leadscore.attach_pipeline(%2$L).', name, name)
		WHEN active_model IS NULL THEN pg_catalog.format('Fill %1$I.signal, %1$I.model and %1$I.rule, then SELECT %1$I.activate_model(...).', name)
		ELSE pg_catalog.format('SELECT * FROM %I.track(''visitor-1'', ''page_view'');', name)
	END;
	RETURN NEXT;
END
$$;
COMMENT ON FUNCTION leadscore.create_pipeline(text, text, interval, boolean) IS
	'creates a schema with the tables, functions and views of a lead pipeline, owned by the caller; preset: inbound, enterprise or empty; grain: 1 day or 1 hour';

CREATE FUNCTION leadscore.attach_pipeline(name text) RETURNS bigint
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	pipeline regnamespace := leadscore.known_pipeline(name);
	has_states boolean;
	wrong bigint[];
	changed bigint := 0;
BEGIN
	IF NOT leadscore.is_attached(pipeline) THEN
		PERFORM leadscore.lock_pipeline(pipeline);
		PERFORM leadscore.run_topic(name, '60-attach');
		-- Leads that are right keep their history. A transaction that does not
		-- see what is newest cannot tell.
		EXECUTE pg_catalog.format('SELECT EXISTS (SELECT FROM %I.lead_state)', name) INTO has_states;
		IF has_states AND pg_catalog.current_setting('transaction_isolation') = 'read committed' THEN
			EXECUTE pg_catalog.format('SELECT coalesce(pg_catalog.array_agg(DISTINCT v.lead_id), ''{}'') FROM %I.verify() v', name) INTO wrong;
		END IF;
		changed := leadscore.rebuild(pipeline, wrong, true);
	END IF;
	RETURN changed;
END
$$;
COMMENT ON FUNCTION leadscore.attach_pipeline(text) IS
	'creates the triggers that keep scores and stages right, counts what was loaded without them, returns how many leads changed';

CREATE FUNCTION leadscore.detach_pipeline(name text) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF leadscore.is_attached(leadscore.known_pipeline(name)) THEN
		PERFORM leadscore.run_topic(name, '61-detach');
	END IF;
END
$$;
COMMENT ON FUNCTION leadscore.detach_pipeline(text) IS
	'drops these triggers, to load much data or to distribute the tables; scores stand still until attach_pipeline()';

CREATE FUNCTION leadscore.upgrade_pipeline(name text) RETURNS integer
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	pipeline regnamespace := leadscore.known_pipeline(name);
	topics record;
	layout integer;
BEGIN
	PERFORM leadscore.lock_pipeline(pipeline);
	-- 1x and 2x are run once; 3x to 5x replace what is there; 6x and more are
	-- run when asked for
	FOR topics IN
		SELECT d.topic FROM leadscore.pipeline_ddl() d
		WHERE d.topic >= '3' AND d.topic COLLATE "C" < '6' OR d.topic = '60-attach' AND leadscore.is_attached(pipeline)
		ORDER BY d.topic COLLATE "C"
	LOOP
		PERFORM leadscore.run_topic(name, topics.topic);
	END LOOP;
	EXECUTE pg_catalog.format('SELECT layout_version FROM %I.setting', name) INTO layout;
	RETURN layout;
END
$$;
COMMENT ON FUNCTION leadscore.upgrade_pipeline(text) IS
	'brings a pipeline to this version of the extension, after ALTER EXTENSION leadscore UPDATE; returns its layout version';

CREATE FUNCTION leadscore.grant_app(pipeline text, role text) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	pipeline_oid regnamespace := leadscore.known_pipeline(pipeline);
	functions record;
BEGIN
	EXECUTE pg_catalog.format('GRANT USAGE ON SCHEMA %I TO %I', pipeline, role);
	EXECUTE pg_catalog.format('GRANT INSERT, SELECT (lead_id, event_id, source_id) ON %I.event TO %I', pipeline, role);
	EXECUTE pg_catalog.format('GRANT USAGE ON SEQUENCE %I.event_event_id_seq TO %I', pipeline, role);
	-- what the functions below read that run with the caller's rights
	EXECUTE pg_catalog.format('GRANT SELECT (lead_id, external_id) ON %I.lead TO %I', pipeline, role);
	EXECUTE pg_catalog.format('GRANT SELECT (lead_id, activity, stage) ON %I.lead_state TO %I', pipeline, role);
	EXECUTE pg_catalog.format('GRANT SELECT (lead_id, seq, to_stage, effective_at) ON %I.stage_history TO %I', pipeline, role);
	EXECUTE pg_catalog.format('GRANT SELECT (model, status, compiled) ON %I.model TO %I', pipeline, role);
	EXECUTE pg_catalog.format('GRANT SELECT (model, stage, entry_signals) ON %I.stage_rule TO %I', pipeline, role);
	FOR functions IN
		SELECT p.oid::regprocedure AS signature
		FROM pg_catalog.pg_proc p
		WHERE p.pronamespace = pipeline_oid
			AND p.proname IN ('track', 'track_many', 'upsert_lead', 'lead_id', 'score', 'explain', 'next_steps', 'stage_at', 'set_stage')
	LOOP
		EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO %I', functions.signature, role);
	END LOOP;
END
$$;
COMMENT ON FUNCTION leadscore.grant_app(text, text) IS
	'lets a role do what an application needs: record events and leads, ask where a lead stands';

-- Our views only, not those a user may have added. What they read is in the
-- catalog, so that the two cannot disagree.
CREATE FUNCTION leadscore.grant_reader(pipeline text, role text) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	pipeline_oid regnamespace := leadscore.known_pipeline(pipeline);
	objects record;
BEGIN
	EXECUTE pg_catalog.format('GRANT USAGE ON SCHEMA %I TO %I', pipeline, role);
	FOR objects IN
		WITH ours AS (
			SELECT c.oid, c.relname, r.oid AS rule
			FROM leadscore.pipeline_ddl() d,
				pg_catalog.regexp_matches(d.ddl, '^CREATE OR REPLACE VIEW ([a-z_]+)', 'gn') AS m
				JOIN pg_catalog.pg_class c ON c.relname = m[1] AND c.relkind = 'v'
				JOIN pg_catalog.pg_rewrite r ON r.ev_class = c.oid
			WHERE c.relnamespace = pipeline_oid
		)
		SELECT pg_catalog.format('SELECT ON %I.%I', pipeline, o.relname) AS privilege
		FROM ours o
		UNION
		SELECT pg_catalog.format('SELECT (%s) ON %I.%I',
			pg_catalog.string_agg(DISTINCT pg_catalog.quote_ident(a.attname), ', '), pipeline, c.relname)
		FROM ours o
			JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = o.rule
				AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjsubid > 0
			JOIN pg_catalog.pg_class c ON c.oid = d.refobjid AND c.relkind IN ('r', 'p')
			JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
		GROUP BY c.relname
		UNION
		SELECT pg_catalog.format('EXECUTE ON FUNCTION %s', p.oid::regprocedure)
		FROM ours o
			JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = o.rule
				AND d.refclassid = 'pg_catalog.pg_proc'::regclass
			JOIN pg_catalog.pg_proc p ON p.oid = d.refobjid AND p.pronamespace = pipeline_oid
	LOOP
		EXECUTE pg_catalog.format('GRANT %s TO %I', objects.privilege, role);
	END LOOP;
END
$$;
COMMENT ON FUNCTION leadscore.grant_reader(text, text) IS
	'lets a role read the views of a pipeline, and no personal data: for reports and BI tools';
