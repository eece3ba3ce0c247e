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
