-- Whether chances hold: of leads that were not learned from, how many reached
-- the target, beside how many should have. And whether they still do, by month.

-- Chances of the active model as of instants, by every calibration that it has.
CREATE OR REPLACE FUNCTION _tested_leads(monthly boolean)
    RETURNS TABLE (target text, horizon interval, at timestamptz, rate double precision, converted boolean)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    calibration record;
    instants timestamptz[];
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    FOR calibration IN
        SELECT c.target, c.horizon, c.test_from, leadscore_internal.fixed_period(c.horizon) AS period, m.compiled,
            leadscore_internal.calibration_curve(c.intercept, c.points_coefficient, c.stage_coefficients, c.bin_edges, c.bin_rates) AS curve,
            -- the first model judges what was before it, too
            CASE WHEN EXISTS (SELECT FROM @pipeline@.model_activation a WHERE a.model <> m.model)
                THEN (SELECT a.activated_at FROM @pipeline@.model_activation a ORDER BY a.activation_id DESC LIMIT 1)
                ELSE timestamptz '-infinity' END AS active_since
        FROM @pipeline@.model m
            JOIN @pipeline@.model_calibration c ON c.model = m.model
        WHERE m.status = 'active'
        ORDER BY c.target, c.horizon
    LOOP
        instants := CASE WHEN _tested_leads.monthly
            THEN @pipeline@._months(greatest(calibration.test_from, calibration.active_since), now() - calibration.period)
            ELSE @pipeline@._instants_apart(calibration.test_from, now() - calibration.period, calibration.period) END;
        RETURN QUERY
            SELECT l.*
            FROM (
                SELECT calibration.target::text, calibration.horizon, p.at,
                    leadscore_internal.calibrated_chance(calibration.curve, p.score, leadscore.stage_rank(p.stage)) AS rate, p.converted
                FROM @pipeline@._leads_at(calibration.compiled, calibration.target, calibration.period, instants) p
            ) l
            WHERE l.rate IS NOT NULL;
    END LOOP;
END
$$;
REVOKE EXECUTE ON FUNCTION _tested_leads(boolean) FROM PUBLIC;
COMMENT ON FUNCTION _tested_leads(boolean) IS
    'leads that were not calibrated with, their chances by the active model, and what became of them: as of instants a horizon apart, or of each month since the model became active';

-- Tenths of the leads by their chances. Leads with the same chance are together,
-- so that no figure depends on their numbers.
CREATE OR REPLACE FUNCTION _calibration()
    RETURNS TABLE (model text, target text, horizon interval, level text, place integer, from_at timestamptz, to_at timestamptz, leads bigint, converted bigint,
        predicted_rate double precision, lift double precision, predicted_error double precision,
        calibration_error double precision, brier_score double precision, log_loss double precision, auc double precision, auc_low double precision, auc_high double precision)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF NOT @pipeline@._shows_all_leads() THEN
        RETURN;
    END IF;
    RETURN QUERY
        WITH lead AS MATERIALIZED (
            SELECT t.*,
                ceil((rank() OVER w + (count(*) OVER (PARTITION BY t.target, t.horizon, t.rate) - 1) / 2.0) * 10 / count(*) OVER (PARTITION BY t.target, t.horizon))::integer AS decile
            FROM @reports@._tested_leads(false) t
            WINDOW w AS (PARTITION BY t.target, t.horizon ORDER BY t.rate DESC)
        ), total AS (
            SELECT l.target, l.horizon, min(l.at) AS from_at, max(l.at) AS to_at, count(*) AS leads, count(*) FILTER (WHERE l.converted) AS converted,
                avg(l.rate) AS predicted_rate, sum(l.rate * (1 - l.rate)) AS variance,
                avg(power(l.rate - l.converted::integer, 2)) AS brier_score,
                -avg(ln(greatest(CASE WHEN l.converted THEN l.rate ELSE 1 - l.rate END, 1e-16))) AS log_loss,
                leadscore_internal.logistic_sample(l.converted, ARRAY[l.rate]) AS sample
            FROM lead l
            GROUP BY l.target, l.horizon
        ), part AS (
            SELECT l.target, l.horizon, l.decile, min(l.at) AS from_at, max(l.at) AS to_at, count(*) AS leads, count(*) FILTER (WHERE l.converted) AS converted,
                avg(l.rate) AS predicted_rate, sum(l.rate * (1 - l.rate)) AS variance
            FROM lead l
            GROUP BY l.target, l.horizon, l.decile
        )
        SELECT c.model, c.target::text, c.horizon, 'summary', 0, t.from_at, t.to_at, coalesce(t.leads, 0), coalesce(t.converted, 0),
            t.predicted_rate, NULL::double precision, sqrt(t.variance) / t.leads,
            (SELECT sum(abs(p.converted - p.leads * p.predicted_rate)) / t.leads FROM part p WHERE p.target = t.target AND p.horizon = t.horizon),
            t.brier_score, t.log_loss, a.auc, a.auc_low, a.auc_high
        FROM @pipeline@.model m
            JOIN @pipeline@.model_calibration c ON c.model = m.model
            LEFT JOIN total t ON t.target = c.target::text AND t.horizon = c.horizon
            LEFT JOIN LATERAL leadscore_internal.logistic_auc(t.sample, '{1}') a ON true
        WHERE m.status = 'active'
        UNION ALL
        SELECT m.model, t.target, t.horizon, 'decile', p.decile, p.from_at, p.to_at, p.leads, p.converted,
            p.predicted_rate, p.converted::double precision / p.leads / nullif(t.converted::double precision / t.leads, 0), sqrt(p.variance) / p.leads,
            NULL::double precision, NULL::double precision, NULL::double precision, NULL::double precision, NULL::double precision, NULL::double precision
        FROM part p
            JOIN total t ON t.target = p.target AND t.horizon = p.horizon
            JOIN @pipeline@.model m ON m.status = 'active';
END
$$;
REVOKE EXECUTE ON FUNCTION _calibration() FROM PUBLIC;
COMMENT ON FUNCTION _calibration() IS 'the figures of the view calibration';

CREATE OR REPLACE VIEW calibration WITH (security_invoker = true) AS
SELECT
    c.model,
    c.target,
    date_part('epoch', c.horizon) / 86400 AS horizon_days,
    c.level,
    c.place,
    c.leads,
    c.converted,
    c.predicted_rate,
    c.converted::double precision / nullif(c.leads, 0) AS converted_rate,
    rate_low(c.converted, c.leads) AS low_rate,
    rate_high(c.converted, c.leads) AS high_rate,
    abs(c.converted::double precision / nullif(c.leads, 0) - c.predicted_rate) <= 3 * c.predicted_error AS holds,
    c.lift,
    c.calibration_error,
    c.brier_score,
    c.log_loss,
    c.auc,
    c.auc_low,
    c.auc_high,
    c.from_at,
    c.to_at
FROM _calibration() c
ORDER BY c.target, c.horizon, c.place;
COMMENT ON VIEW calibration IS 'whether chances hold, one row a calibration of the active model and one a tenth of the leads: of leads as of instants after those that it was calibrated with, how many reached the target beside how many should have';
COMMENT ON COLUMN calibration.model IS 'the active model';
COMMENT ON COLUMN calibration.target IS 'stage that leads are to reach';
COMMENT ON COLUMN calibration.horizon_days IS 'time in which they are to reach it';
COMMENT ON COLUMN calibration.level IS 'summary: all leads; decile: a tenth of them';
COMMENT ON COLUMN calibration.place IS 'number of the tenth, 1 has the greatest chances; leads with the same chance are in one. 0: summary';
COMMENT ON COLUMN calibration.leads IS 'leads whose horizon is over; a lead at several instants is several';
COMMENT ON COLUMN calibration.converted IS 'of leads, those that reached the target in time';
COMMENT ON COLUMN calibration.predicted_rate IS 'mean chance of the leads';
COMMENT ON COLUMN calibration.converted_rate IS 'converted / leads';
COMMENT ON COLUMN calibration.low_rate IS 'lower end of the 95 % interval of converted_rate (Wilson)';
COMMENT ON COLUMN calibration.high_rate IS 'upper end of the 95 % interval of converted_rate (Wilson)';
COMMENT ON COLUMN calibration.holds IS 'whether converted_rate and predicted_rate differ by at most three standard errors; NULL: there are no leads';
COMMENT ON COLUMN calibration.lift IS 'converted_rate / that of all leads';
COMMENT ON COLUMN calibration.calibration_error IS 'mean difference of converted_rate and predicted_rate of the tenths, by their leads (expected calibration error)';
COMMENT ON COLUMN calibration.brier_score IS 'mean square of chance less outcome, which is 1 or 0';
COMMENT ON COLUMN calibration.log_loss IS 'mean of -ln of the chance that was given to what happened';
COMMENT ON COLUMN calibration.auc IS 'how often a lead that reached the target had the greater chance, ties half';
COMMENT ON COLUMN calibration.auc_low IS 'lower end of the 95 % interval of auc (Hanley and McNeil)';
COMMENT ON COLUMN calibration.auc_high IS 'upper end of the 95 % interval of auc';
COMMENT ON COLUMN calibration.from_at IS 'first instant as of which leads are looked at';
COMMENT ON COLUMN calibration.to_at IS 'last instant as of which leads are looked at';

-- A month is compared with what was seen when the model was calibrated. Both
-- have an error, and with three standard errors of the difference a month is
-- wrongly an alert in one of 370 cases.
CREATE OR REPLACE FUNCTION _model_drift()
    RETURNS TABLE (model text, target text, horizon interval, at timestamptz, metric text, leads bigint, converted bigint,
        expected double precision, seen double precision, error double precision, enough boolean)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF NOT @pipeline@._shows_all_leads() THEN
        RETURN;
    END IF;
    RETURN QUERY
        WITH month AS MATERIALIZED (
            SELECT t.target, t.horizon, t.at, count(*) AS leads, count(*) FILTER (WHERE t.converted) AS converted, avg(t.rate) AS expected_rate, avg(t.rate * (1 - t.rate)) AS variance,
                leadscore_internal.logistic_sample(t.converted, ARRAY[t.rate]) AS sample
            FROM @reports@._tested_leads(true) t
            GROUP BY t.target, t.horizon, t.at
        )
        SELECT c.model, t.target, t.horizon, t.at, k.metric, t.leads, t.converted, k.expected, k.seen, k.error,
            -- by the normal distribution, which few leads do not have
            least(t.expected_rate, 1 - t.expected_rate) * t.leads >= 5 AND k.seen IS NOT NULL
        FROM month t
            JOIN @pipeline@.model m ON m.status = 'active'
            JOIN @pipeline@.model_calibration c ON c.model = m.model AND c.target::text = t.target AND c.horizon = t.horizon
            CROSS JOIN LATERAL leadscore_internal.logistic_auc(t.sample, '{1}') a
            CROSS JOIN LATERAL (VALUES
                ('converted_rate', t.expected_rate, t.converted::double precision / t.leads, sqrt(t.variance / t.leads + t.variance / c.leads)),
                ('auc', c.auc, a.auc, sqrt(power(a.auc - a.auc_low, 2) + power(c.auc - c.auc_low, 2)) / 1.959963984540054)
            ) AS k (metric, expected, seen, error);
END
$$;
REVOKE EXECUTE ON FUNCTION _model_drift() FROM PUBLIC;
COMMENT ON FUNCTION _model_drift() IS 'the figures of the view model_drift';

CREATE OR REPLACE VIEW model_drift WITH (security_invoker = true) AS
SELECT
    d.model,
    d.target,
    date_part('epoch', d.horizon) / 86400 AS horizon_days,
    month_start(d.at, 'UTC') AS month_date,
    d.metric,
    d.leads,
    d.converted,
    d.expected,
    d.seen,
    d.expected - 3 * d.error AS expected_low,
    d.expected + 3 * d.error AS expected_high,
    CASE WHEN d.enough THEN abs(d.seen - d.expected) > 3 * d.error END AS alert
FROM _model_drift() d
ORDER BY d.target, d.horizon, d.at, d.metric DESC;
COMMENT ON VIEW model_drift IS 'one row a calibration of the active model, month since the model became active, and metric: what was expected of the leads at its beginning, and what was seen. Months whose horizon is not over are not there yet';
COMMENT ON COLUMN model_drift.model IS 'the active model';
COMMENT ON COLUMN model_drift.target IS 'stage that leads are to reach';
COMMENT ON COLUMN model_drift.horizon_days IS 'time in which they are to reach it';
COMMENT ON COLUMN model_drift.month_date IS 'first day of the month (UTC), as of which the leads are looked at';
COMMENT ON COLUMN model_drift.metric IS 'converted_rate: how many reached the target; auc: how often such a lead had the greater chance';
COMMENT ON COLUMN model_drift.leads IS 'leads at the beginning of the month';
COMMENT ON COLUMN model_drift.converted IS 'of leads, those that reached the target in time';
COMMENT ON COLUMN model_drift.expected IS 'converted_rate: mean chance of the leads; auc: that of the leads that were calibrated with';
COMMENT ON COLUMN model_drift.seen IS 'the metric of this month';
COMMENT ON COLUMN model_drift.expected_low IS 'expected less three standard errors of the difference to seen';
COMMENT ON COLUMN model_drift.expected_high IS 'expected and three standard errors of the difference to seen';
COMMENT ON COLUMN model_drift.alert IS 'whether seen lies outside of expected_low to expected_high; NULL: too few leads to tell';
