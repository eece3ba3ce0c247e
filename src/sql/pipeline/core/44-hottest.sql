-- The hottest leads, without scoring all.
--
-- lead_state.level says how high the score of a lead can become from the time
-- that it was written on, if nothing happens. So the leads with the highest
-- levels are scored first, and then all whose level is not below that of the
-- score which the last of them must have. Levels of leads that are behind a
-- change of the configuration say nothing; these leads are scored, too.
--
-- To plan these queries takes longer than to run them, so each session plans
-- them once. To ask whether configurations are equal tells the planner that
-- they are.

-- For the grants of readers: what the functions below read of lead_state.
CREATE OR REPLACE VIEW _level WITH (security_invoker = true) AS
SELECT s.lead_id, s.stage, s.level, s.configuration, dated(s.next_review_at) AS next_review_at, s.activity
FROM lead_state s;
COMMENT ON VIEW _level IS 'one row a lead: how high its score can become if nothing happens, as stored';

CREATE OR REPLACE FUNCTION _levels_hold() RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    -- a lead may have been written in a later bucket than that of a transaction
    -- which began before it, and then its level says nothing about that time
    RETURN (
        SELECT date_bin(z.grain, now(), timestamptz '2000-01-01 00:00:00+00') = date_bin(z.grain, clock_timestamp(), timestamptz '2000-01-01 00:00:00+00')
        FROM @pipeline@.setting z);
END
$$;
COMMENT ON FUNCTION _levels_hold() IS
    'whether the stored levels of leads hold at now(): not if the transaction began in another bucket of time';

CREATE OR REPLACE FUNCTION _require_leads(n integer) RETURNS integer
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF n IS NULL OR n < 0 THEN
        RAISE EXCEPTION 'n must not be %', CASE WHEN n IS NULL THEN 'null' ELSE 'negative' END
            USING ERRCODE = CASE WHEN n IS NULL THEN 'null_value_not_allowed' ELSE 'invalid_parameter_value' END,
                HINT = 'Pass the greatest number of leads to return, such as 100.';
    END IF;
    RETURN n;
END
$$;
COMMENT ON FUNCTION _require_leads(integer) IS 'a number of leads to return, or an error';

CREATE OR REPLACE FUNCTION hottest(n integer DEFAULT 100)
    RETURNS TABLE (place bigint, lead_id bigint, score double precision)
    LANGUAGE plpgsql STABLE ROWS 100 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    wanted CONSTANT bigint := @pipeline@._require_leads(n);
    newest bigint;
    of_signals bigint;
    model leadscore.lead_model;
    least bigint;
    bound smallint;
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    SELECT z.configuration, z.signals_configuration, m.compiled INTO newest, of_signals, model
    FROM @pipeline@.setting z LEFT JOIN @pipeline@.model m ON m.status = 'active';
    IF model IS NULL OR wanted = 0 THEN
        RETURN;
    END IF;
    IF @pipeline@._levels_hold() THEN
        -- any leads would do: the higher they are, the fewer are left to score
        SELECT f.milli INTO least
        FROM (
            SELECT leadscore.score_milli(s.activity, model, now()) AS milli
            FROM (
                SELECT l.activity
                FROM @pipeline@.lead_state l
                WHERE l.level > 0 AND l.configuration = newest
                ORDER BY l.level DESC
                LIMIT wanted * 2
            ) s
        ) f
        ORDER BY f.milli DESC
        OFFSET wanted - 1 LIMIT 1;
        bound := leadscore_internal.level_of(least, model);
    END IF;
    IF bound > 0 THEN
        RETURN QUERY
        SELECT row_number() OVER (ORDER BY t.milli DESC, t.lead_id), t.lead_id, t.milli / 1000.0::double precision
        FROM (
            SELECT s.lead_id, leadscore.score_milli(s.activity, model, now()) AS milli
            FROM @pipeline@.lead_state s
            WHERE s.level > 0 AND s.level >= bound AND s.configuration = newest
            UNION ALL
            SELECT s.lead_id, leadscore.score_milli(CASE WHEN s.configuration < of_signals THEN leadscore_internal.current_activity($name$@pipeline@$name$::regnamespace, s.lead_id)
                    ELSE s.activity END, model, now())
            FROM @pipeline@.lead_state s
            WHERE s.configuration < newest AND s.configuration <> newest
        ) t
        ORDER BY t.milli DESC, t.lead_id
        LIMIT wanted;
        RETURN;
    END IF;
    -- too few leads are above the threshold of sql
    RETURN QUERY
    SELECT row_number() OVER (ORDER BY t.score DESC, t.lead_id), t.lead_id, t.score
    FROM (
        SELECT s.lead_id, leadscore.score_milli(s.activity, s.compiled, s.at) / 1000.0::double precision AS score
        FROM @pipeline@._lead_now s
        ORDER BY 2 DESC, 1
        LIMIT wanted
    ) t;
END
$$;
COMMENT ON FUNCTION hottest(integer) IS
    'the n leads with the highest scores now, in whatever stage, and their scores: as the view lead_score ordered by score, without scoring all leads';

CREATE OR REPLACE FUNCTION _hot_candidates(n bigint) RETURNS bigint[]
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
DECLARE
    -- more of them are read faster with all others
    most CONSTANT integer := 50000;
    newest bigint;
    model leadscore.lead_model;
    of_stage leadscore.lead_stage;
    least bigint;
    bound smallint;
    ids bigint[];
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF NOT @pipeline@._levels_hold() THEN
        RETURN NULL;
    END IF;
    SELECT z.configuration, m.compiled INTO newest, model
    FROM @pipeline@.setting z LEFT JOIN @pipeline@.model m ON m.status = 'active';
    -- their stage is another one, perhaps; ORDER BY: by an index, whatever the
    -- planner takes their number for
    ids := ARRAY(
            SELECT s.lead_id FROM @pipeline@.lead_state s
            WHERE s.next_review_at <= now()
            ORDER BY s.next_review_at LIMIT most + 1)
        || ARRAY(
            SELECT s.lead_id FROM @pipeline@.lead_state s
            WHERE s.configuration < newest AND s.configuration <> newest
            ORDER BY s.configuration LIMIT most + 1);
    FOREACH of_stage IN ARRAY ARRAY['sql', 'mql']::leadscore.lead_stage[] LOOP
        EXIT WHEN least IS NOT NULL OR cardinality(ids) > most;
        -- a bound for the n-th best: of the leads with the highest levels some
        -- that may be called whatever they asked for, see _hot
        least := (
            SELECT s.milli
            FROM (
                    SELECT s.lead_id, leadscore.score_milli(s.activity, model, now()) AS milli
                    FROM @pipeline@.lead_state s
                    WHERE s.stage = of_stage AND s.configuration = newest AND (s.next_review_at > now() OR s.next_review_at IS NULL)
                    ORDER BY s.level DESC
                    LIMIT _hot_candidates.n * 2
                ) s
            -- a subquery of each, for the planner does not know how few they are
            WHERE (SELECT l.erased_at IS NULL AND l.contact_allowed IS NOT FALSE FROM @pipeline@.lead l WHERE l.lead_id = s.lead_id)
            ORDER BY s.milli DESC
            OFFSET _hot_candidates.n - 1 LIMIT 1);
        bound := coalesce(leadscore_internal.level_of(least, model), 0);
        ids := ids || ARRAY(
            SELECT s.lead_id
            FROM @pipeline@.lead_state s
            WHERE s.stage = of_stage AND s.level >= bound
            LIMIT most + 1);
    END LOOP;
    RETURN CASE WHEN cardinality(ids) <= most THEN ids END;
END
$$;
COMMENT ON FUNCTION _hot_candidates(bigint) IS
    'leads of which the first n are those of hot_leads; NULL if they are too many';

-- In the view LIMIT comes after the scores of all sql and mql.
CREATE OR REPLACE FUNCTION hot_leads(n integer)
    RETURNS TABLE (call_order bigint, lead_id bigint, external_id text, organization text, owner text, channel text, campaign text,
        stage text, stage_rank integer, score double precision, why text, stage_since_at timestamptz, due_at timestamptz, contacted boolean,
        contacted_at timestamptz, breached boolean, contact_allowed boolean, deadline_at timestamptz)
    LANGUAGE plpgsql STABLE ROWS 100 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    wanted CONSTANT bigint := @pipeline@._require_leads(n);
    by_lead CONSTANT boolean := leadscore_internal.is_by_lead(leadscore_internal.pipeline_schema(@pipeline_name@));
    candidates bigint[];
BEGIN
    IF wanted = 0 THEN
        RETURN;
    END IF;
    IF by_lead THEN
        -- candidates are asked lead by lead, which Citus refuses
        RETURN QUERY SELECT * FROM @pipeline@.hot_leads h ORDER BY h.call_order LIMIT wanted;
        RETURN;
    END IF;
    candidates := @pipeline@._hot_candidates(wanted);
    candidates := CASE
        WHEN candidates IS NULL THEN ARRAY(
            SELECT s.lead_id
            FROM @pipeline@._lead_now s
            WHERE s.stage IN ('mql', 'sql')
            ORDER BY s.stage_rank DESC, leadscore.score_milli(s.activity, s.compiled, s.at) DESC, s.stage_since_at, s.lead_id)
        ELSE ARRAY(
            SELECT s.lead_id
            FROM @pipeline@._lead_now s
            WHERE s.lead_id = ANY (candidates) AND s.stage IN ('mql', 'sql')
            ORDER BY s.stage_rank DESC, leadscore.score_milli(s.activity, s.compiled, s.at) DESC, s.stage_since_at, s.lead_id)
        END;
    -- whether a lead may be called takes longer than its place: it is asked in
    -- turn until there are enough
    RETURN QUERY
    SELECT row_number() OVER (ORDER BY q.place), c.*
    FROM (SELECT u.lead_id, u.place FROM unnest(candidates) WITH ORDINALITY AS u (lead_id, place) ORDER BY u.place OFFSET 0) q
        CROSS JOIN LATERAL (SELECT * FROM @pipeline@._hot_lead c WHERE c.lead_id = q.lead_id OFFSET 0) c
    ORDER BY q.place
    LIMIT wanted;
END
$$;
COMMENT ON FUNCTION hot_leads(integer) IS
    'the first n rows of the view hot_leads, without scoring all leads that are sql or mql';
