-- From points to chances: how likely a lead is to reach a stage in time.
--
-- The past tells what a score and a stage were worth: of leads that stood like
-- this one, how many reached the target within the horizon. Leads are looked at
-- as of past instants, a horizon apart. So the chance is that of the leads that
-- there are at some time, old ones too, and no success is counted twice: what
-- happens to a lead in one horizon and in the next are two trials.

-- Months that are at least a period apart. The last one is always one of them: the
-- newest leads are the most, and the most like those of now.
CREATE OR REPLACE FUNCTION _instants_apart(from_at timestamptz, until_at timestamptz, period interval) RETURNS timestamptz[]
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    months timestamptz[];
    chosen timestamptz[] := '{}';
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    months := @pipeline@._months(from_at, until_at);
    FOR i IN REVERSE cardinality(months) .. 1 LOOP
        IF cardinality(chosen) = 0 OR months[i] <= chosen[1] - period THEN
            chosen := months[i] || chosen;
        END IF;
    END LOOP;
    RETURN chosen;
END
$$;
REVOKE EXECUTE ON FUNCTION _instants_apart(timestamptz, timestamptz, interval) FROM PUBLIC;
COMMENT ON FUNCTION _instants_apart(timestamptz, timestamptz, interval) IS
    'midnights (UTC) on the first of months, the last one and each earlier one that is a period before';

-- Every lead as of each of the instants. Of one instant _past_leads() takes all
-- leads. The last number that it returns is the score.
CREATE OR REPLACE FUNCTION _leads_at(compiled lead_model, target lead_stage, horizon interval, instants timestamptz[])
    RETURNS TABLE (at timestamptz, stage lead_stage, score double precision, converted boolean)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    FOR i IN 1 .. cardinality(_leads_at.instants) LOOP
        RETURN QUERY
            SELECT p.at, p.stage, p.rule_values[cardinality(p.rule_values)], p.converted
            FROM @pipeline@._past_leads(_leads_at.compiled, _leads_at.target, _leads_at.horizon, _leads_at.instants[i:i], false) p;
    END LOOP;
END
$$;
REVOKE EXECUTE ON FUNCTION _leads_at(leadscore.lead_model, leadscore.lead_stage, interval, timestamptz[]) FROM PUBLIC;
COMMENT ON FUNCTION _leads_at(lead_model, lead_stage, interval, timestamptz[]) IS
    'leads below the target as of each of these instants: stage, score, and whether they reached the target within horizon after';

-- Neighbours are pooled as long as the higher one has the lower rate. One lead
-- with the mean outcome is added to each group, so that no chance is 0 or 1.
CREATE OR REPLACE FUNCTION _pool_adjacent_violators(lows double precision[], highs double precision[], leads bigint[], converted bigint[],
        OUT bin_edges double precision[], OUT bin_leads bigint[], OUT bin_converted bigint[], OUT bin_rates double precision[])
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    mean CONSTANT double precision := (SELECT sum(c)::double precision FROM unnest(converted) c) / (SELECT sum(n) FROM unnest(leads) n);
    groups bigint[] := '{}';
    n integer := 0;
BEGIN
    bin_edges := '{}';
    bin_leads := '{}';
    bin_converted := '{}';
    bin_rates := '{}';
    FOR i IN 1 .. cardinality(leads) LOOP
        -- the edge before the first bin is dropped at the end
        bin_edges := bin_edges || (CASE WHEN i = 1 THEN lows[1] ELSE (highs[i - 1] + lows[i]) / 2 END);
        bin_leads := bin_leads || leads[i];
        bin_converted := bin_converted || converted[i];
        groups := groups || 1::bigint;
        n := n + 1;
        LOOP
            bin_rates[n] := (bin_converted[n] + groups[n] * mean) / (bin_leads[n] + groups[n]);
            EXIT WHEN n = 1 OR bin_rates[n - 1] < bin_rates[n];
            bin_leads[n - 1] := bin_leads[n - 1] + bin_leads[n];
            bin_converted[n - 1] := bin_converted[n - 1] + bin_converted[n];
            groups[n - 1] := groups[n - 1] + groups[n];
            n := n - 1;
            bin_edges := bin_edges[:n];
            bin_leads := bin_leads[:n];
            bin_converted := bin_converted[:n];
            bin_rates := bin_rates[:n];
            groups := groups[:n];
        END LOOP;
    END LOOP;
    bin_edges := bin_edges[2:];
END
$$;
COMMENT ON FUNCTION _pool_adjacent_violators(double precision[], double precision[], bigint[], bigint[]) IS
    'isotonic regression: the rates, which never fall, that are nearest to those of groups in order; lows and highs are the ends of the groups';

CREATE OR REPLACE FUNCTION calibrate_model(model text DEFAULT NULL, target text DEFAULT 'customer', horizon interval DEFAULT NULL, at timestamptz DEFAULT now(), split timestamptz DEFAULT NULL)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    pipeline CONSTANT regnamespace := leadscore_internal.pipeline_on_one_node(@pipeline_name@);
    min_converted CONSTANT integer := 50;
    min_stage_leads CONSTANT integer := 20;
    source text;
    compiled leadscore.lead_model;
    goal leadscore.lead_stage;
    period interval;
    period_words text;
    first_at timestamptz;
    instants timestamptz[];
    test_from timestamptz;
    sample bytea;
    in_stage bigint[];
    counts record;
    fit leadscore.logistic_model;
    effects double precision[];
    area record;
    groups record;
    bins record;
    many boolean;
BEGIN
    IF NOT @pipeline@._shows_all_leads() THEN
        RAISE EXCEPTION 'row security hides leads from the role %', leadscore_internal.caller()
            USING ERRCODE = 'insufficient_privilege', HINT = 'Chances can be learned only from all leads.';
    END IF;
    IF calibrate_model.model IS NULL THEN
        source := (SELECT m.model FROM @pipeline@.model m WHERE m.status = 'active');
        IF source IS NULL THEN
            RAISE EXCEPTION 'no model is active'
                USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Activate a model, or name one that was active.';
        END IF;
    ELSE
        source := leadscore_internal.require_model(pipeline, calibrate_model.model);
        IF (SELECT m.status FROM @pipeline@.model m WHERE m.model = source) = 'draft' THEN
            RAISE EXCEPTION 'model "%" is a draft and may change', source
                USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Activate it first.';
        END IF;
    END IF;
    goal := leadscore_internal.require_text('target', calibrate_model.target)::leadscore.lead_stage;
    IF goal < 'mql' THEN
        RAISE EXCEPTION 'target must be mql or a higher stage'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass the stage that leads are to reach, such as customer.';
    END IF;
    PERFORM leadscore_internal.require_instant('at', calibrate_model.at);
    IF calibrate_model.split IS NOT NULL THEN
        PERFORM leadscore_internal.require_instant('split', calibrate_model.split);
    END IF;
    SELECT leadscore_internal.fixed_period(coalesce(calibrate_model.horizon, z.mature_after)) INTO period FROM @pipeline@.setting z;
    IF NOT period > interval '0' THEN
        RAISE EXCEPTION 'horizon must be greater than zero'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass the time in which leads are to reach the target, such as 90 days.';
    END IF;
    period_words := coalesce(@pipeline@.period_text(period), period::text);
    compiled := @pipeline@.compiled_model(source);

    -- A model that was learned tells better about the leads that it was learned
    -- from than about others: so it is calibrated with later ones.
    first_at := greatest(
        (SELECT min(h.effective_at) FROM @pipeline@.stage_history h WHERE h.to_stage >= 'iql' AND h.to_stage < goal),
        (SELECT l.test_from FROM @pipeline@.learned_model l WHERE l.model = source));
    instants := @pipeline@._instants_apart(first_at, least(calibrate_model.split, calibrate_model.at) - period, period);
    IF calibrate_model.split IS NULL THEN
        -- a part is left for the test
        instants := instants[:greatest(1, floor(cardinality(instants) * 0.7))::integer];
    END IF;
    IF coalesce(cardinality(instants), 0) = 0 THEN
        RAISE EXCEPTION 'the history of leads is too short to calibrate with'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                DETAIL = format('Leads as of the beginning of a month are looked at if they had %s up to %s. %s',
                    period_words, (least(calibrate_model.split, calibrate_model.at) AT TIME ZONE 'UTC')::date,
                    coalesce('There are leads to look at from ' || (first_at AT TIME ZONE 'UTC')::date || ' on.', 'There are no leads yet.')),
                HINT = 'Use a shorter horizon, or wait.';
    END IF;
    test_from := coalesce(calibrate_model.split, instants[cardinality(instants)] + period);

    WITH seen AS MATERIALIZED (
        SELECT l.score, (leadscore.stage_rank(l.stage) - 40) / 10 AS place, l.converted
        FROM @pipeline@._leads_at(compiled, goal, period, instants) l
    ), stage AS (
        SELECT n AS place, (SELECT count(*) FROM seen s WHERE s.place = n) AS leads
        FROM generate_series(1, 4) n
    ), usable AS (
        SELECT s.score, s.place, count(*) AS leads, count(*) FILTER (WHERE s.converted) AS converted
        FROM seen s
            JOIN stage t ON t.place = s.place AND t.leads >= min_stage_leads
        GROUP BY s.score, s.place
    )
    SELECT (SELECT array_agg(t.leads ORDER BY t.place) FROM stage t) AS stage_leads,
        coalesce(sum(u.leads), 0)::bigint AS leads, coalesce(sum(u.converted), 0)::bigint AS converted,
        array_agg(u.score) AS scores, array_agg(u.place) AS places, array_agg(u.leads) AS each, array_agg(u.converted) AS each_converted
    INTO counts
    FROM usable u;
    IF least(counts.converted, counts.leads - counts.converted) < min_converted THEN
        RAISE EXCEPTION 'too few leads % stage % to calibrate with: % of at least %',
                CASE WHEN counts.converted < min_converted THEN 'reached' ELSE 'did not reach' END, goal, least(counts.converted, counts.leads - counts.converted), min_converted
            USING ERRCODE = 'object_not_in_prerequisite_state',
                DETAIL = format('Of %s leads as of the beginnings of months from %s to %s, in stages of at least %s leads, %s reached it within %s.', counts.leads,
                    (instants[1] AT TIME ZONE 'UTC')::date, (instants[cardinality(instants)] AT TIME ZONE 'UTC')::date, min_stage_leads, counts.converted, period_words),
                HINT = 'Use a stage that more leads reach, a longer horizon, or wait.';
    END IF;

    -- The penalty keeps a stage that nobody, or everybody, left in time from
    -- having no coefficient.
    SELECT leadscore_internal.logistic_sample(r.n <= c.converted, ARRAY[c.score, (c.place = 2)::integer, (c.place = 3)::integer, (c.place = 4)::integer])
    INTO sample
    FROM unnest(counts.scores, counts.places, counts.each, counts.each_converted) AS c (score, place, leads, converted)
        CROSS JOIN LATERAL generate_series(1, c.leads) AS r (n);
    fit := leadscore_internal.logistic_fit_sample(sample, '{t,t,t,t}', 1);
    area := leadscore_internal.logistic_auc(sample, fit.coefficients);
    IF (area.auc_low > 0.5) IS NOT TRUE THEN
        RAISE EXCEPTION 'the scores do not tell which leads reach stage %', goal
            USING ERRCODE = 'object_not_in_prerequisite_state',
                DETAIL = format('Of %s leads, %s reached it. The area under the curve is %s (95 %% interval %s to %s), and 0.5 is chance.',
                    area.leads, area.converted, round(area.auc::numeric, 3), round(area.auc_low::numeric, 3), round(area.auc_high::numeric, 3)),
                HINT = 'See suggest_points() for points that would have told.';
    END IF;
    effects := ARRAY(SELECT CASE WHEN counts.stage_leads[n] >= min_stage_leads THEN CASE n WHEN 1 THEN 0 ELSE fit.coefficients[n] END END FROM generate_series(1, 4) n);

    -- Bins of about as many leads each; leads with equal odds are in one bin.
    many := counts.leads >= 1000;
    WITH lead AS (
        SELECT fit.intercept + fit.coefficients[1] * c.score + effects[c.place] AS log_odds, sum(c.leads) AS leads, sum(c.converted) AS converted
        FROM unnest(counts.scores, counts.places, counts.each, counts.each_converted) AS c (score, place, leads, converted)
        GROUP BY 1
    ), placed AS (
        SELECT l.*, floor((sum(l.leads) OVER (ORDER BY l.log_odds) - l.leads / 2.0) * CASE WHEN many THEN least(50, counts.leads / 20) ELSE 10 END / counts.leads) AS bin
        FROM lead l
    ), bin AS (
        SELECT min(p.log_odds) AS low, max(p.log_odds) AS high, sum(p.leads)::bigint AS leads, sum(p.converted)::bigint AS converted
        FROM placed p
        GROUP BY p.bin
    )
    SELECT array_agg(b.low ORDER BY b.low) AS lows, array_agg(b.high ORDER BY b.low) AS highs,
        array_agg(b.leads ORDER BY b.low) AS leads, array_agg(b.converted ORDER BY b.low) AS converted
    INTO groups
    FROM bin b;
    IF many THEN
        bins := @pipeline@._pool_adjacent_violators(groups.lows, groups.highs, groups.leads, groups.converted);
    ELSE
        SELECT ARRAY(SELECT (groups.highs[n] + groups.lows[n + 1]) / 2 FROM generate_series(1, cardinality(groups.lows) - 1) n) AS bin_edges,
            groups.leads AS bin_leads, groups.converted AS bin_converted, NULL::double precision[] AS bin_rates
        INTO bins;
    END IF;
    INSERT INTO @pipeline@.model_calibration AS c (model, target, horizon, method, calibrated_at, known_until, fit_from, test_from, leads, converted, auc, auc_low, auc_high,
            intercept, points_coefficient, stage_coefficients, stage_leads, bin_edges, bin_leads, bin_converted, bin_rates)
        VALUES (source, goal, justify_hours(period), CASE WHEN many THEN 'isotonic' ELSE 'platt' END, now(), calibrate_model.at, instants[1], test_from,
            counts.leads, counts.converted, area.auc, area.auc_low, area.auc_high, fit.intercept, fit.coefficients[1], effects, counts.stage_leads,
            bins.bin_edges, bins.bin_leads, bins.bin_converted, bins.bin_rates)
        ON CONFLICT (model, target, horizon) DO UPDATE
        SET (method, calibrated_at, known_until, fit_from, test_from, leads, converted, auc, auc_low, auc_high,
                intercept, points_coefficient, stage_coefficients, stage_leads, bin_edges, bin_leads, bin_converted, bin_rates)
            = ROW (excluded.method, excluded.calibrated_at, excluded.known_until, excluded.fit_from, excluded.test_from, excluded.leads, excluded.converted, excluded.auc, excluded.auc_low, excluded.auc_high,
                excluded.intercept, excluded.points_coefficient, excluded.stage_coefficients, excluded.stage_leads, excluded.bin_edges, excluded.bin_leads, excluded.bin_converted, excluded.bin_rates);
    RETURN counts.leads;
END
$$;
REVOKE EXECUTE ON FUNCTION calibrate_model(text, text, interval, timestamptz, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION calibrate_model(text, text, interval, timestamptz, timestamptz) IS
    'learns what the scores of a model (default: the active one) mean as chances to reach target within horizon (default: setting.mature_after), for conversion_probability(), and replaces what was learned before. Leads are looked at as of months that are a horizon apart, up to the split; later ones test it, see the report calibration. From 1000 leads on by isotonic regression, else by a logistic curve (Platt). Returns how many leads it learned from. Error 55000, with what is missing, if there is too little data';

CREATE OR REPLACE FUNCTION conversion_probability_by_id(lead_id bigint, at timestamptz DEFAULT now(), target text DEFAULT 'customer', horizon interval DEFAULT NULL)
    RETURNS TABLE (probability double precision, probability_low double precision, probability_high double precision, leads bigint, converted bigint,
        model text, target_stage text, within interval, reason text, why text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    goal leadscore.lead_stage;
    stood text;
    rank integer;
    points double precision;
    calibration record;
    log_odds double precision;
    bin integer;
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@), leadscore_internal.require_instant('at', conversion_probability_by_id.at);
    goal := leadscore_internal.require_text('target', conversion_probability_by_id.target)::leadscore.lead_stage;
    stood := @pipeline@.stage_at_by_id(conversion_probability_by_id.lead_id, conversion_probability_by_id.at);
    IF stood IS NULL THEN
        RETURN;
    END IF;
    target_stage := goal::text;
    -- events before the first activation are judged by the first model
    SELECT a.model INTO model
    FROM @pipeline@.model_activation a
    ORDER BY a.activated_at <= conversion_probability_by_id.at DESC,
        CASE WHEN a.activated_at <= conversion_probability_by_id.at THEN -a.activation_id ELSE a.activation_id END
    LIMIT 1;
    rank := leadscore.stage_rank(stood::leadscore.lead_stage);
    SELECT c.* INTO calibration
    FROM @pipeline@.model_calibration c
    WHERE c.model = conversion_probability_by_id.model AND c.target = goal
        AND (c.horizon = conversion_probability_by_id.horizon OR conversion_probability_by_id.horizon IS NULL)
    ORDER BY c.calibrated_at DESC, c.horizon
    LIMIT 1;
    within := calibration.horizon;
    reason := CASE
        WHEN model IS NULL THEN 'no model is active'
        WHEN stood::leadscore.lead_stage < 'iql' THEN format('a lead in stage %s has no chance of its own', stood)
        WHEN stood::leadscore.lead_stage >= goal THEN format('it has reached stage %s', stood)
        WHEN calibration.model IS NULL THEN format('not calibrated for model %s', model)
            || CASE WHEN EXISTS (SELECT FROM @pipeline@.model_calibration c WHERE c.model = conversion_probability_by_id.model)
                THEN format(', stage %s%s', goal, coalesce(' within ' || @pipeline@.period_text(conversion_probability_by_id.horizon), '')) ELSE '' END
        WHEN calibration.stage_coefficients[(rank - 40) / 10] IS NULL
            THEN format('too few leads in stage %s to calibrate with: %s of at least 20', stood, calibration.stage_leads[(rank - 40) / 10])
    END;
    IF reason IS NULL THEN
        points := @pipeline@.score_by_id(conversion_probability_by_id.lead_id, conversion_probability_by_id.at, true);
        log_odds := calibration.intercept + calibration.points_coefficient * points + calibration.stage_coefficients[(rank - 40) / 10];
        bin := width_bucket(log_odds, calibration.bin_edges) + 1;
        probability := CASE WHEN calibration.bin_rates IS NULL THEN leadscore_internal.chance_of(log_odds) ELSE calibration.bin_rates[bin] END;
        leads := calibration.bin_leads[bin];
        converted := calibration.bin_converted[bin];
        probability_low := leadscore_internal.rate_low(converted, leads);
        probability_high := leadscore_internal.rate_high(converted, leads);
        why := format('stage %s, %s points%s; of %s such leads %s reached stage %s within %s', stood, trim_scale(points::numeric),
            coalesce(': ' || (
                SELECT string_agg(t.rule || CASE WHEN t.points > 0 THEN ' +' ELSE ' ' END || t.points, ', ' ORDER BY abs(t.points) DESC, t.rule COLLATE "C")
                FROM (
                    -- limits and caps of a rule are rows of their own
                    SELECT e.rule, trim_scale(sum(e.points)) AS points
                    FROM @pipeline@.explain_by_id(conversion_probability_by_id.lead_id, conversion_probability_by_id.at, true) e
                    WHERE e.rule IS NOT NULL
                    GROUP BY e.rule
                    HAVING sum(e.points) <> 0
                    ORDER BY abs(sum(e.points)) DESC, e.rule COLLATE "C"
                    LIMIT 3
                ) t), ''),
            leads, converted, goal, coalesce(@pipeline@.period_text(within), within::text));
    END IF;
    RETURN NEXT;
END
$$;
REVOKE EXECUTE ON FUNCTION conversion_probability_by_id(bigint, timestamptz, text, interval) FROM PUBLIC;
COMMENT ON FUNCTION conversion_probability_by_id(bigint, timestamptz, text, interval) IS 'conversion_probability() of the lead with this number';

CREATE OR REPLACE FUNCTION conversion_probability(external_id text, at timestamptz DEFAULT now(), target text DEFAULT 'customer', horizon interval DEFAULT NULL)
    RETURNS TABLE (probability double precision, probability_low double precision, probability_high double precision, leads bigint, converted bigint,
        model text, target_stage text, within interval, reason text, why text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    RETURN QUERY
    SELECT p.* FROM @pipeline@.conversion_probability_by_id(@pipeline@.lead_id(external_id), at, target, horizon) p;
END
$$;
REVOKE EXECUTE ON FUNCTION conversion_probability(text, timestamptz, text, interval) FROM PUBLIC;
COMMENT ON FUNCTION conversion_probability(text, timestamptz, text, interval) IS
    'how likely a lead is to reach target within horizon (default: that of the newest calibration) after an instant, by its score and stage of then and the model that was active then, as calibrate_model() learned it: with the 95 % interval of leads that stood alike, how many there were, and how many of them reached it. probability is NULL, and reason says why, if the model is not calibrated or the lead is at the target, out of the funnel or no lead. No row if there is no such lead';
