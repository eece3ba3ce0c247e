-- Upkeep: sweeps, checks and repair.

CREATE OR REPLACE FUNCTION sweep(max_leads integer DEFAULT 1000) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF max_leads IS NULL OR max_leads < 0 THEN
        RAISE EXCEPTION 'max_leads must not be %', CASE WHEN max_leads IS NULL THEN 'null' ELSE 'negative' END
            USING ERRCODE = CASE WHEN max_leads IS NULL THEN 'null_value_not_allowed' ELSE 'invalid_parameter_value' END,
                HINT = 'Pass the greatest number of leads to bring up to date, such as 1000.';
    END IF;
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@), @pipeline@._assign_left();
    RETURN leadscore_internal.sweep(leadscore_internal.pipeline_schema(@pipeline_name@), max_leads);
END
$$;
REVOKE EXECUTE ON FUNCTION sweep(integer) FROM PUBLIC;
COMMENT ON FUNCTION sweep(integer) IS
    'brings up to date at most so many leads: leads whose stage or segments may have changed because time passed, and leads that are behind a change of models, signals or segments; returns how many. Call it every ten minutes or so, again while it returns more than 0. Several sweeps at a time share the work';

CREATE OR REPLACE FUNCTION rebuild() RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN leadscore_internal.rebuild(leadscore_internal.pipeline_schema(@pipeline_name@), NULL);
END
$$;
REVOKE EXECUTE ON FUNCTION rebuild() FROM PUBLIC;
COMMENT ON FUNCTION rebuild() IS
    'repairs every lead that verify() would list, by a replay of its events, its profile and the models, whatever row security says; returns how many there were';

CREATE OR REPLACE FUNCTION rebuild_by_id(lead_id bigint) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF lead_id IS NULL THEN
        RAISE EXCEPTION 'lead_id must not be null'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Call rebuild() to repair all leads.';
    END IF;
    RETURN leadscore_internal.rebuild(leadscore_internal.pipeline_schema(@pipeline_name@), lead_id);
END
$$;
REVOKE EXECUTE ON FUNCTION rebuild_by_id(bigint) FROM PUBLIC;
COMMENT ON FUNCTION rebuild_by_id(bigint) IS
    'repairs one lead by a replay of its events, its profile and the models; returns 1, or 0 if there is no such lead';

CREATE OR REPLACE FUNCTION verify()
    RETURNS TABLE (lead_id bigint, problem text, stored text, expected text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT * FROM leadscore_internal.verify(leadscore_internal.pipeline_schema(@pipeline_name@));
END
$$;
REVOKE EXECUTE ON FUNCTION verify() FROM PUBLIC;
COMMENT ON FUNCTION verify() IS
    'stored values that differ from a replay of the log: no rows, ever. Of leads that are due, or behind a change of models, signals or segments, only the counts are compared';

-- How long things are kept.

CREATE OR REPLACE FUNCTION _purge_line(before timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF before IS NULL THEN
        RAISE EXCEPTION 'before must not be null'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Pass the instant from which on events are to stay.';
    ELSIF before > now() THEN
        RAISE EXCEPTION 'before must not be in the future'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass the instant from which on events are to stay.';
    END IF;
    RETURN (SELECT date_bin(s.grain, before, timestamptz '2000-01-01 00:00:00+00') FROM @pipeline@.setting s);
END
$$;
COMMENT ON FUNCTION _purge_line(timestamptz) IS 'the beginning of the bucket of an instant, which must be past';

CREATE OR REPLACE FUNCTION purge(before timestamptz, max_leads integer DEFAULT NULL, delete_events boolean DEFAULT true)
    RETURNS TABLE (table_name text, rows_removed bigint, leads_left bigint, complete_since timestamptz)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    pipeline CONSTANT regnamespace := leadscore_internal.pipeline_schema(@pipeline_name@);
    line CONSTANT timestamptz := @pipeline@._purge_line(before);
    removed bigint;
BEGIN
    IF max_leads < 0 THEN
        RAISE EXCEPTION 'max_leads must not be negative'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass the greatest number of leads to purge, such as 1000, or NULL for all.';
    ELSIF delete_events IS NULL THEN
        RAISE EXCEPTION 'delete_events must not be null'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Pass false if the partitions of the events are going to be dropped.';
    END IF;
    removed := leadscore_internal.purge(pipeline, line, coalesce(max_leads, 9223372036854775807), delete_events);
    RETURN QUERY
        SELECT 'event', removed, count(DISTINCT e.lead_id), line
        FROM @pipeline@.event e
        WHERE e.occurred_at < line
            AND (delete_events OR NOT EXISTS (
                SELECT FROM @pipeline@.lead_checkpoint c WHERE c.lead_id = e.lead_id AND c.purged_before >= line));
END
$$;
REVOKE EXECUTE ON FUNCTION purge(timestamptz, integer, boolean) FROM PUBLIC;
COMMENT ON FUNCTION purge(timestamptz, integer, boolean) IS
    'takes events dated before an instant out of the log of at most so many leads, and deletes them';
