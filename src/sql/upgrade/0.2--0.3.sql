/* leadscore 0.2 -> 0.3: the metrics views, which are part of pipelines, and a stricter search_path */

-- complain if the script is sourced in psql, rather than via ALTER EXTENSION
\echo Use "ALTER EXTENSION leadscore UPDATE TO '0.3'" to load this file. \quit

SET LOCAL search_path TO pg_catalog, pg_temp;

-- The planner computes it beforehand, for its statistics.
CREATE FUNCTION leadscore.kinds_of(event_kind regclass, VARIADIC roles text[]) RETURNS text[]
	AS 'MODULE_PATHNAME', 'leadscore_kinds_of'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.kinds_of(regclass, text[]) IS
	'kinds of events that have one of the roles, by a pipeline''s table event_kind; {} if there are none';

-- types too are looked up in pg_temp first unless it is listed
ALTER FUNCTION leadscore.require_time_zone(text) SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION leadscore.require_range(date, date) SET search_path = pg_catalog, pg_temp;

CREATE FUNCTION leadscore.shows_all(relation regclass) RETURNS boolean
	LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_shows_all';
COMMENT ON FUNCTION leadscore.shows_all(regclass) IS
	'whether row security leaves all rows of a table to the role that the session runs as; unlike row_security_active() also in a function that runs as somebody else';
