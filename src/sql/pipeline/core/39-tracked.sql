-- Tables of the app's whose rows make events or leads.
--
-- The trigger function is the pipeline's own, and PUBLIC may not execute it: so
-- only the owner of the pipeline can bind a table to a definition, and the
-- owner of the table must let him create triggers on it.

CREATE OR REPLACE FUNCTION table_changed() RETURNS trigger
    LANGUAGE leadscore VOLATILE PARALLEL UNSAFE AS 'table_changed';
REVOKE EXECUTE ON FUNCTION table_changed() FROM PUBLIC;
COMMENT ON FUNCTION table_changed() IS
    'trigger on tables that are tracked, AFTER INSERT, UPDATE or DELETE, for each statement, with transition tables and the name of the definition';

CREATE OR REPLACE FUNCTION _backfill(tracked regclass, definition text, max_rows bigint) RETURNS bigint
    LANGUAGE leadscore VOLATILE PARALLEL UNSAFE AS '_backfill';
REVOKE EXECUTE ON FUNCTION _backfill(regclass, text, bigint) FROM PUBLIC;
COMMENT ON FUNCTION _backfill(regclass, text, bigint) IS
    'reads the next rows of a tracked table that were there before; returns how many';

CREATE OR REPLACE FUNCTION _name_leads(names text[], aliases text[]) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pair record;
    refused bigint := 0;
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    FOR pair IN
        SELECT DISTINCT u.name, u.alias
        FROM unnest(names, aliases) AS u (name, alias)
        WHERE u.name <> u.alias
        ORDER BY u.name, u.alias
    LOOP
        CONTINUE WHEN @pipeline@.lead_id(pair.name) IS NULL OR @pipeline@.lead_id(pair.name) = @pipeline@.lead_id(pair.alias);
        BEGIN
            PERFORM @pipeline@.identify(pair.alias, pair.name);
        EXCEPTION
            -- the name is that of a lead that is somebody already
            WHEN object_not_in_prerequisite_state THEN
                refused := refused + 1;
        END;
    END LOOP;
    RETURN refused;
END
$$;
COMMENT ON FUNCTION _name_leads(text[], text[]) IS
    'gives leads other names; a lead that one of them means already becomes the same, unless it is identified. Returns how many were refused for that';

CREATE OR REPLACE FUNCTION _forget_leads(names text[]) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name text;
    forgotten bigint := 0;
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    FOR name IN SELECT DISTINCT u.name FROM unnest(names) AS u (name) ORDER BY u.name LOOP
        IF @pipeline@.forget_lead(name) THEN
            forgotten := forgotten + 1;
        END IF;
    END LOOP;
    RETURN forgotten;
END
$$;
COMMENT ON FUNCTION _forget_leads(text[]) IS 'forget_lead() of several leads; returns how many there were';

CREATE OR REPLACE FUNCTION _merge_skips() RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF EXISTS (SELECT FROM @pipeline@.tracked_skip OFFSET 1000) THEN
        WITH merged AS (
            DELETE FROM @pipeline@.tracked_skip t
            WHERE t.skip_id = ANY (ARRAY(SELECT s.skip_id FROM @pipeline@.tracked_skip s FOR UPDATE SKIP LOCKED))
            RETURNING t.definition, t.reason, t.skipped, t.recorded_at
        )
        INSERT INTO @pipeline@.tracked_skip (definition, reason, skipped, recorded_at)
            SELECT m.definition, m.reason, sum(m.skipped), max(m.recorded_at)
            FROM merged m
            GROUP BY m.definition, m.reason;
    END IF;
END
$$;
COMMENT ON FUNCTION _merge_skips() IS 'adds up the rows of tracked_skip, if there are more than 1000; called by sweep()';

CREATE OR REPLACE FUNCTION _tracked_relation(definition text) RETURNS oid
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT t.tgrelid
        FROM pg_trigger t
        WHERE t.tgfoid = $function$@pipeline@.table_changed()$function$::regprocedure AND t.tgparentid = 0
            AND t.tgargs = convert_to(_tracked_relation.definition, getdatabaseencoding()) || decode('00', 'hex')
            AND leadscore_internal.pipeline_schema(@pipeline_name@) IS NOT NULL
        ORDER BY t.oid
        LIMIT 1);
END
$$;
COMMENT ON FUNCTION _tracked_relation(text) IS 'the table whose triggers name a definition; NULL if there is none';

CREATE OR REPLACE FUNCTION _tracked_problem(definition text) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pipeline CONSTANT regnamespace := leadscore_internal.pipeline_schema(@pipeline_name@);
    relation CONSTANT oid := @pipeline@._tracked_relation(definition);
    live bigint;
BEGIN
    IF relation IS NULL THEN
        RETURN 'no table has its triggers';
    END IF;
    SELECT count(*) INTO live
    FROM pg_trigger t
    WHERE t.tgrelid = relation AND t.tgfoid = $function$@pipeline@.table_changed()$function$::regprocedure AND t.tgenabled IN ('O', 'A')
        AND t.tgargs = convert_to(_tracked_problem.definition, getdatabaseencoding()) || decode('00', 'hex');
    IF live < 3 THEN
        RETURN 'a trigger of the table is missing or disabled';
    END IF;
    RETURN leadscore_internal.tracking_problem(pipeline, definition, relation);
END
$$;
REVOKE EXECUTE ON FUNCTION _tracked_problem(text) FROM PUBLIC;
COMMENT ON FUNCTION _tracked_problem(text) IS 'what keeps the rows of a tracked table from being read; NULL if nothing does';

CREATE OR REPLACE FUNCTION _tracked_events(definition text) RETURNS bigint
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF NOT @pipeline@._shows_all_leads() THEN
        RETURN NULL;
    END IF;
    RETURN (SELECT count(*) FROM @pipeline@.event e WHERE starts_with(e.source_id, _tracked_events.definition || ':['));
END
$$;
REVOKE EXECUTE ON FUNCTION _tracked_events(text) FROM PUBLIC;
COMMENT ON FUNCTION _tracked_events(text) IS 'number of events that a tracked table has made; NULL if row security hides any from the caller';

CREATE OR REPLACE VIEW tracked_tables WITH (security_invoker = true) AS
WITH skips AS (
    SELECT s.definition, s.reason, sum(s.skipped)::bigint AS skipped
    FROM tracked_skip s
    GROUP BY s.definition, s.reason
), totals AS (
    SELECT k.definition, sum(k.skipped)::bigint AS skipped, string_agg(k.reason || ': ' || k.skipped, ', ' ORDER BY k.reason COLLATE "C") AS skipped_why
    FROM skips k
    GROUP BY k.definition
)
SELECT
    t.definition,
    quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS table_name,
    t.makes,
    CASE t.makes WHEN 'events' THEN _tracked_events(t.definition) END AS events,
    coalesce(k.skipped, 0) AS skipped,
    k.skipped_why,
    t.backfilled_rows,
    t.backfilled_at IS NOT NULL AS backfilled,
    _tracked_problem(t.definition) AS problem
FROM tracked_table t
    LEFT JOIN pg_class c ON c.oid = _tracked_relation(t.definition)
    LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN totals k ON k.definition = t.definition;
COMMENT ON VIEW tracked_tables IS 'tables of the app whose rows make events or leads, with what became of the rows';
COMMENT ON COLUMN tracked_tables.definition IS 'name of the definition, which begins the source_id of its events';
COMMENT ON COLUMN tracked_tables.table_name IS 'the table; NULL: it is gone, or its triggers are';
COMMENT ON COLUMN tracked_tables.makes IS 'events or leads';
COMMENT ON COLUMN tracked_tables.events IS 'number of its events, counted now, which takes a while if there are many; NULL for leads, or if the role may not see all events';
COMMENT ON COLUMN tracked_tables.skipped IS 'number of rows that were left out when they were written or read';
COMMENT ON COLUMN tracked_tables.skipped_why IS 'the same by reason: no lead, too long, forgotten, unfit value, name of another lead, broken definition';
COMMENT ON COLUMN tracked_tables.backfilled_rows IS 'number of older rows that backfill_table() has read';
COMMENT ON COLUMN tracked_tables.backfilled IS 'whether it has read all of them';
COMMENT ON COLUMN tracked_tables.problem IS 'what keeps rows from being read, such as a column that was dropped; NULL if nothing does';
