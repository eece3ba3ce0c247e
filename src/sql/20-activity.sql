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
	'counts of the signals of a lead by bucket: UTC day or hour, or * for counts without a time (profile signals); written day{7@2025-03-01:2,9@*:1}, and day{5#0123456789abcdef@2025-03-01:1} with the hash of a distinct value';

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

CREATE OPERATOR pg_catalog.+ (
	LEFTARG = leadscore.lead_activity, RIGHTARG = leadscore.lead_activity,
	FUNCTION = leadscore.lead_activity_add, COMMUTATOR = OPERATOR(pg_catalog.+)
);
COMMENT ON OPERATOR pg_catalog.+ (leadscore.lead_activity, leadscore.lead_activity) IS
	'counts of both: merges leads, batches and partial rebuilds';
CREATE OPERATOR pg_catalog.- (
	LEFTARG = leadscore.lead_activity, RIGHTARG = leadscore.lead_activity,
	FUNCTION = leadscore.lead_activity_subtract
);
COMMENT ON OPERATOR pg_catalog.- (leadscore.lead_activity, leadscore.lead_activity) IS
	'counts of the left less those of the right';
CREATE OPERATOR pg_catalog.- (
	RIGHTARG = leadscore.lead_activity, FUNCTION = leadscore.lead_activity_negate
);
COMMENT ON OPERATOR pg_catalog.- (NONE, leadscore.lead_activity) IS
	'the activity that takes this one back';
CREATE OPERATOR pg_catalog.= (
	LEFTARG = leadscore.lead_activity, RIGHTARG = leadscore.lead_activity,
	FUNCTION = leadscore.lead_activity_eq, COMMUTATOR = OPERATOR(pg_catalog.=),
	NEGATOR = OPERATOR(pg_catalog.<>), RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES
);
CREATE OPERATOR pg_catalog.<> (
	LEFTARG = leadscore.lead_activity, RIGHTARG = leadscore.lead_activity,
	FUNCTION = leadscore.lead_activity_ne, COMMUTATOR = OPERATOR(pg_catalog.<>),
	NEGATOR = OPERATOR(pg_catalog.=), RESTRICT = neqsel, JOIN = neqjoinsel
);
CREATE OPERATOR pg_catalog.< (
	LEFTARG = leadscore.lead_activity, RIGHTARG = leadscore.lead_activity,
	FUNCTION = leadscore.lead_activity_lt, COMMUTATOR = OPERATOR(pg_catalog.>),
	NEGATOR = OPERATOR(pg_catalog.>=), RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
CREATE OPERATOR pg_catalog.<= (
	LEFTARG = leadscore.lead_activity, RIGHTARG = leadscore.lead_activity,
	FUNCTION = leadscore.lead_activity_le, COMMUTATOR = OPERATOR(pg_catalog.>=),
	NEGATOR = OPERATOR(pg_catalog.>), RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
CREATE OPERATOR pg_catalog.> (
	LEFTARG = leadscore.lead_activity, RIGHTARG = leadscore.lead_activity,
	FUNCTION = leadscore.lead_activity_gt, COMMUTATOR = OPERATOR(pg_catalog.<),
	NEGATOR = OPERATOR(pg_catalog.<=), RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
CREATE OPERATOR pg_catalog.>= (
	LEFTARG = leadscore.lead_activity, RIGHTARG = leadscore.lead_activity,
	FUNCTION = leadscore.lead_activity_ge, COMMUTATOR = OPERATOR(pg_catalog.<=),
	NEGATOR = OPERATOR(pg_catalog.<), RESTRICT = scalargesel, JOIN = scalargejoinsel
);

CREATE OPERATOR CLASS leadscore.lead_activity_ops DEFAULT FOR TYPE leadscore.lead_activity USING btree AS
	OPERATOR 1 pg_catalog.<, OPERATOR 2 pg_catalog.<=, OPERATOR 3 pg_catalog.=,
	OPERATOR 4 pg_catalog.>=, OPERATOR 5 pg_catalog.>,
	FUNCTION 1 leadscore.lead_activity_cmp(leadscore.lead_activity, leadscore.lead_activity),
	FUNCTION 4 pg_catalog.btequalimage(oid);
CREATE OPERATOR CLASS leadscore.lead_activity_ops DEFAULT FOR TYPE leadscore.lead_activity USING hash AS
	OPERATOR 1 pg_catalog.=,
	FUNCTION 1 leadscore.lead_activity_hash(leadscore.lead_activity),
	FUNCTION 2 leadscore.lead_activity_hash_extended(leadscore.lead_activity, bigint);

CREATE FUNCTION leadscore.unnest(activity leadscore.lead_activity)
	RETURNS TABLE (signal_id smallint, bucket timestamptz, count bigint, value bigint)
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 30 AS 'MODULE_PATHNAME', 'lead_activity_unnest';
COMMENT ON FUNCTION leadscore.unnest(leadscore.lead_activity) IS
	'the counts as rows; bucket is the first instant of the UTC day or hour, NULL for a count without a time; value is the hash of a distinct value, NULL for a signal without distinct_on';

CREATE FUNCTION leadscore.lead_activity_agg_transfn(bytea, int, timestamptz, bigint, interval) RETURNS bytea
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION leadscore.lead_activity_agg_transfn(bytea, int, timestamptz, bigint, interval, bigint) RETURNS bytea
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
CREATE AGGREGATE leadscore.lead_activity_agg(signal_id int, at timestamptz, count bigint, grain interval, value bigint) (
	SFUNC = leadscore.lead_activity_agg_transfn, STYPE = bytea,
	COMBINEFUNC = leadscore.lead_activity_combinefn,
	FINALFUNC = leadscore.lead_activity_finalfn, PARALLEL = SAFE
);
COMMENT ON AGGREGATE leadscore.lead_activity_agg(int, timestamptz, bigint, interval, bigint) IS
	'the same with the hash of a distinct value, as unnest() and event_signals() give it (NULL: none)';
CREATE AGGREGATE pg_catalog.sum(leadscore.lead_activity) (
	SFUNC = leadscore.lead_activity_sum_transfn, STYPE = bytea,
	COMBINEFUNC = leadscore.lead_activity_combinefn,
	FINALFUNC = leadscore.lead_activity_finalfn, PARALLEL = SAFE
);
COMMENT ON AGGREGATE pg_catalog.sum(leadscore.lead_activity) IS
	'activities added up: contacts of an organization, for example';
