-- Activating models, and comparing them.

CREATE OR REPLACE FUNCTION activate_model(model text, wait boolean DEFAULT false) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF model IS NULL OR wait IS NULL THEN
        RAISE EXCEPTION '% must not be null', CASE WHEN model IS NULL THEN 'model' ELSE 'wait' END
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Pass the name of a model, and true or false for wait.';
    END IF;
    RETURN leadscore_internal.activate_model(leadscore_internal.pipeline_schema(@pipeline_name@), model, wait);
END
$$;
REVOKE EXECUTE ON FUNCTION activate_model(text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION activate_model(text, boolean) IS
    'makes a draft (or a retired model) the one that scores. Queries show the new scores and stages at once; leads are brought up to date at their next write or by sweep(), with wait => true before this returns, while writers wait. Returns how many leads were brought up to date. Error 55P03 if transactions that write do not end within some seconds';

CREATE OR REPLACE FUNCTION compare_models(a text, b text, at timestamptz DEFAULT now())
    RETURNS TABLE (level text, lead_id bigint, leads bigint, stage_a text, stage_b text,
        score_a numeric, score_b numeric, difference numeric)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pipeline CONSTANT regnamespace := leadscore_internal.pipeline_schema(@pipeline_name@);
BEGIN
    RETURN QUERY SELECT * FROM leadscore_internal.compare_leads(pipeline,
        @pipeline@.compiled_model(compare_models.a), @pipeline@.compiled_model(compare_models.b), compare_models.at);
END
$$;
COMMENT ON FUNCTION compare_models(text, text, timestamptz) IS
    'two models side by side, by the events and profiles up to at; nothing is changed. Level stage: number of leads of each pair of qualified stages (scores are means); level lead: every lead that differs';
