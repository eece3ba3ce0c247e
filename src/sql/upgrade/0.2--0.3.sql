/* leadscore 0.2 -> 0.3: the metrics views, which are part of pipelines, and attaching what is right */

-- complain if the script is sourced in psql, rather than via ALTER EXTENSION
\echo Use "ALTER EXTENSION leadscore UPDATE TO '0.3'" to load this file. \quit

SET LOCAL search_path TO pg_catalog, pg_temp;

-- The planner computes it beforehand, for its statistics.
CREATE FUNCTION leadscore.kinds_of(event_kind regclass, VARIADIC roles text[]) RETURNS text[]
	AS 'MODULE_PATHNAME', 'leadscore_kinds_of'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION leadscore.kinds_of(regclass, text[]) IS
	'kinds of events that have one of the roles, by a pipeline''s table event_kind; {} if there are none';

CREATE OR REPLACE FUNCTION leadscore.attach_pipeline(name text) RETURNS bigint
	LANGUAGE plpgsql VOLATILE SET search_path = ''
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
