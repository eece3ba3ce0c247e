\pset footer off
\pset pager off
\pset null ''
SET timezone = 'UTC';

\echo
\echo
\echo '== 5b. Were the points good guesses? What the past says:'
\echo '      SELECT * FROM crm.suggest_points(''inbound'', ''sql'', ''120 days'', draft => ''learned'', exclude => ''{page viewed}'');'
\echo

CREATE TEMP TABLE learned AS
    SELECT row_number() OVER () AS line, * FROM crm.suggest_points('inbound', 'sql', '120 days', draft => 'learned', exclude => '{page viewed}');
SELECT name, leads, converted, round(auc::numeric, 3) AS auc, round(auc_low::numeric, 3) AS auc_low, round(auc_high::numeric, 3) AS auc_high, note
FROM learned WHERE level = 'model' ORDER BY line;

-- Both models score the same leads, so their areas are compared lead by lead
-- (E. R. DeLong and others, Biometrics 44, 1988).
CREATE TEMP TABLE tested AS
    SELECT p.lead_id, p.converted, p.rule_values[cardinality(p.rule_values)] AS old, q.rule_values[cardinality(q.rule_values)] AS new
    FROM crm.learned_model m,
        LATERAL (SELECT crm._months(crm._leads_since(m.target, m.known_until), m.known_until - leadscore_internal.fixed_period(m.horizon)) AS all_months) a,
        LATERAL (SELECT array_agg(i ORDER BY i) AS months FROM unnest(a.all_months) i
            WHERE i <= m.test_from - leadscore_internal.fixed_period(m.horizon) OR i >= m.test_from) b,
        LATERAL crm._past_leads(crm.compiled_model('inbound'), m.target, m.horizon, b.months, false) p
        JOIN crm._past_leads(crm.compiled_model('learned'), m.target, m.horizon, b.months, false) q USING (lead_id)
    WHERE m.model = 'learned' AND p.at >= m.test_from;
CREATE TEMP TABLE gain AS
    WITH pair AS (
        SELECT p.lead_id AS winner, n.lead_id AS other,
            (CASE WHEN p.new > n.new THEN 1 WHEN p.new = n.new THEN 0.5 ELSE 0 END)::double precision AS new,
            (CASE WHEN p.old > n.old THEN 1 WHEN p.old = n.old THEN 0.5 ELSE 0 END)::double precision AS old
        FROM tested p, tested n
        WHERE p.converted AND NOT n.converted
    ), total AS (
        SELECT avg(new) AS new, avg(old) AS old FROM pair
    ), winners AS (
        SELECT var_samp(d) / count(*) AS variance FROM (SELECT avg(new - old) AS d FROM pair GROUP BY winner) w
    ), others AS (
        SELECT var_samp(d) / count(*) AS variance FROM (SELECT avg(new - old) AS d FROM pair GROUP BY other) o
    )
    SELECT t.old, t.new, t.new - t.old AS gain, 1.96 * sqrt(w.variance + o.variance) AS margin FROM total t, winners w, others o;

\echo
\echo '      On the same later leads, compared lead by lead (DeLong):'
\echo
SELECT round(old::numeric, 3) AS "AUC of the guess", round(new::numeric, 3) AS "AUC of what is learned", round(gain::numeric, 3) AS gain,
    round((gain - margin)::numeric, 3) || ' to ' || round((gain + margin)::numeric, 3) AS "95 % interval" FROM gain;

\echo
\echo '      What is a score worth? SELECT crm.calibrate_model(''inbound''); then each lead has its chance to become a customer in 90 days,'
\echo '      and the report calibration says what became of later leads:'
\echo

-- too few visitors are too few to learn from
SELECT count(*) >= 50000 AS many FROM crm.lead \gset
\if :many
SELECT crm.calibrate_model('inbound', horizon => '90 days') \g /dev/null
SELECT external_id, stage, score, round(conversion_probability::numeric, 3) AS "chance"
FROM crm.lead_score WHERE conversion_probability IS NOT NULL ORDER BY conversion_probability DESC, score DESC, lead_id LIMIT 4;
SELECT leads, converted, round(100 * converted_rate::numeric, 2) || ' %' AS "became customers", round(100 * predicted_rate::numeric, 2) || ' %' AS "were told to", round(calibration_error::numeric, 4) AS "error", round(auc::numeric, 3) AS auc
FROM crm_reports.calibration WHERE level = 'summary';
\endif
