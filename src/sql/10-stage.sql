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

-- Operators over our types, and the functions and aggregates that users call
-- by names that pg_catalog has too, are created in pg_catalog. There every
-- search_path finds them, the empty one of pg_dump and of careful functions
-- too: IN, CASE, NULLIF, IS DISTINCT FROM, USING and rows have no spelling that
-- names the schema of their operator, so a view with one of them could not be
-- restored from a dump otherwise. They collide with nothing, as their
-- arguments are of our types.

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

CREATE OPERATOR pg_catalog.= (
	LEFTARG = leadscore.lead_stage, RIGHTARG = leadscore.lead_stage,
	FUNCTION = leadscore.lead_stage_eq,
	COMMUTATOR = OPERATOR(pg_catalog.=), NEGATOR = OPERATOR(pg_catalog.<>),
	RESTRICT = eqsel, JOIN = eqjoinsel,
	HASHES, MERGES
);
COMMENT ON OPERATOR pg_catalog.= (leadscore.lead_stage, leadscore.lead_stage) IS 'same stage';

CREATE OPERATOR pg_catalog.<> (
	LEFTARG = leadscore.lead_stage, RIGHTARG = leadscore.lead_stage,
	FUNCTION = leadscore.lead_stage_ne,
	COMMUTATOR = OPERATOR(pg_catalog.<>), NEGATOR = OPERATOR(pg_catalog.=),
	RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR pg_catalog.<> (leadscore.lead_stage, leadscore.lead_stage) IS 'not the same stage';

CREATE OPERATOR pg_catalog.< (
	LEFTARG = leadscore.lead_stage, RIGHTARG = leadscore.lead_stage,
	FUNCTION = leadscore.lead_stage_lt,
	COMMUTATOR = OPERATOR(pg_catalog.>), NEGATOR = OPERATOR(pg_catalog.>=),
	RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
COMMENT ON OPERATOR pg_catalog.< (leadscore.lead_stage, leadscore.lead_stage) IS 'earlier stage';

CREATE OPERATOR pg_catalog.<= (
	LEFTARG = leadscore.lead_stage, RIGHTARG = leadscore.lead_stage,
	FUNCTION = leadscore.lead_stage_le,
	COMMUTATOR = OPERATOR(pg_catalog.>=), NEGATOR = OPERATOR(pg_catalog.>),
	RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
COMMENT ON OPERATOR pg_catalog.<= (leadscore.lead_stage, leadscore.lead_stage) IS 'earlier or same stage';

CREATE OPERATOR pg_catalog.> (
	LEFTARG = leadscore.lead_stage, RIGHTARG = leadscore.lead_stage,
	FUNCTION = leadscore.lead_stage_gt,
	COMMUTATOR = OPERATOR(pg_catalog.<), NEGATOR = OPERATOR(pg_catalog.<=),
	RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR pg_catalog.> (leadscore.lead_stage, leadscore.lead_stage) IS 'later stage';

CREATE OPERATOR pg_catalog.>= (
	LEFTARG = leadscore.lead_stage, RIGHTARG = leadscore.lead_stage,
	FUNCTION = leadscore.lead_stage_ge,
	COMMUTATOR = OPERATOR(pg_catalog.<=), NEGATOR = OPERATOR(pg_catalog.<),
	RESTRICT = scalargesel, JOIN = scalargejoinsel
);
COMMENT ON OPERATOR pg_catalog.>= (leadscore.lead_stage, leadscore.lead_stage) IS 'later or same stage';

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
	OPERATOR 1 pg_catalog.<,
	OPERATOR 2 pg_catalog.<=,
	OPERATOR 3 pg_catalog.=,
	OPERATOR 4 pg_catalog.>=,
	OPERATOR 5 pg_catalog.>,
	FUNCTION 1 leadscore.lead_stage_cmp(leadscore.lead_stage, leadscore.lead_stage),
	FUNCTION 2 leadscore.lead_stage_sortsupport(internal),
	FUNCTION 4 btequalimage(oid);
COMMENT ON OPERATOR CLASS leadscore.lead_stage_ops USING btree IS 'order of stages';

CREATE OPERATOR FAMILY leadscore.lead_stage_ops USING hash;
COMMENT ON OPERATOR FAMILY leadscore.lead_stage_ops USING hash IS 'equality of stages';

CREATE OPERATOR CLASS leadscore.lead_stage_ops
	DEFAULT FOR TYPE leadscore.lead_stage USING hash FAMILY leadscore.lead_stage_ops AS
	OPERATOR 1 pg_catalog.=,
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

CREATE AGGREGATE pg_catalog.min(leadscore.lead_stage) (
	SFUNC = leadscore.lead_stage_smaller,
	STYPE = leadscore.lead_stage,
	COMBINEFUNC = leadscore.lead_stage_smaller,
	SORTOP = OPERATOR(pg_catalog.<),
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE pg_catalog.min(leadscore.lead_stage) IS 'earliest stage';

CREATE AGGREGATE pg_catalog.max(leadscore.lead_stage) (
	SFUNC = leadscore.lead_stage_larger,
	STYPE = leadscore.lead_stage,
	COMBINEFUNC = leadscore.lead_stage_larger,
	SORTOP = OPERATOR(pg_catalog.>),
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE pg_catalog.max(leadscore.lead_stage) IS 'latest stage';

-- Functions and operators that BI tools use for a column that they show as text

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

CREATE OPERATOR pg_catalog.~~ (
	LEFTARG = leadscore.lead_stage, RIGHTARG = text,
	FUNCTION = leadscore.lead_stage_like,
	NEGATOR = OPERATOR(pg_catalog.!~~),
	RESTRICT = matchingsel, JOIN = matchingjoinsel
);
COMMENT ON OPERATOR pg_catalog.~~ (leadscore.lead_stage, text) IS 'label matches LIKE expression';

CREATE OPERATOR pg_catalog.!~~ (
	LEFTARG = leadscore.lead_stage, RIGHTARG = text,
	FUNCTION = leadscore.lead_stage_not_like,
	NEGATOR = OPERATOR(pg_catalog.~~),
	RESTRICT = matchingsel, JOIN = matchingjoinsel
);
COMMENT ON OPERATOR pg_catalog.!~~ (leadscore.lead_stage, text) IS 'label does not match LIKE expression';

CREATE OPERATOR pg_catalog.~~* (
	LEFTARG = leadscore.lead_stage, RIGHTARG = text,
	FUNCTION = leadscore.lead_stage_ilike,
	NEGATOR = OPERATOR(pg_catalog.!~~*),
	RESTRICT = matchingsel, JOIN = matchingjoinsel
);
COMMENT ON OPERATOR pg_catalog.~~* (leadscore.lead_stage, text) IS 'label matches LIKE expression, case-insensitive';

CREATE OPERATOR pg_catalog.!~~* (
	LEFTARG = leadscore.lead_stage, RIGHTARG = text,
	FUNCTION = leadscore.lead_stage_not_ilike,
	NEGATOR = OPERATOR(pg_catalog.~~*),
	RESTRICT = matchingsel, JOIN = matchingjoinsel
);
COMMENT ON OPERATOR pg_catalog.!~~* (leadscore.lead_stage, text) IS 'label does not match LIKE expression, case-insensitive';

CREATE FUNCTION pg_catalog.lower(leadscore.lead_stage) RETURNS text
	AS 'MODULE_PATHNAME', 'lead_stage_to_text'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION pg_catalog.lower(leadscore.lead_stage) IS 'label of a stage in lower case';

CREATE FUNCTION pg_catalog.upper(leadscore.lead_stage) RETURNS text
	AS 'MODULE_PATHNAME', 'lead_stage_upper'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION pg_catalog.upper(leadscore.lead_stage) IS 'label of a stage in upper case';

-- Properties of stages

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
