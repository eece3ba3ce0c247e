-- The marketing report: one screen from the metrics views.
\set QUIET on
\pset footer off
\pset pager off
\pset null ''
SET timezone = 'UTC';
SET client_min_messages = 'warning';

\echo
\echo
\echo '== 6. The marketing report, from the metrics views (doc/views.md)'
\echo

-- costs: each campaign every month, and wages and tools for all
INSERT INTO crm.cost (day_from, day_to, campaign, category, amount)
    SELECT m, (m + interval '1 month')::date - 1, c.campaign, 'media', c.amount
    FROM (VALUES ('brewing-guides', 1200), ('search', 2500), ('latte-art', 900), ('friends', 300), ('tasting', 1500), ('trade-fair', 2200), ('call-centre', 1800)) c (campaign, amount),
        generate_series(date_trunc('month', current_date - interval '17 months'), current_date, '1 month') AS g (at),
        LATERAL (SELECT g.at::date) AS d (m)
    WHERE NOT EXISTS (SELECT FROM crm.cost);
INSERT INTO crm.cost (day_from, day_to, category, amount)
    SELECT current_date - 547, current_date - 1, c.category, c.amount FROM (VALUES ('wages', 180000), ('tools', 9000)) c (category, amount)
    WHERE NOT EXISTS (SELECT FROM crm.cost w WHERE w.category = 'wages');

SELECT metric, numerator || ' of ' || denominator AS leads, to_char(100 * conversion_rate, '990.9 %') AS rate,
    to_char(100 * low_rate, '990.9') || ' -' || to_char(100 * high_rate, '990.9') AS "95 %",
    to_char(100 * benchmark_low_rate, '990.9') || ' -' || to_char(100 * benchmark_high_rate, '990.9')
        || CASE WHEN benchmark_denominator <> step_from THEN ' of ' || benchmark_denominator || ' (' || round(100 * benchmark_rate::numeric, 1) || ')' ELSE '' END AS "goal, %", benchmark_status AS status
FROM crm_reports.conversion_rates WHERE market = 'all' ORDER BY place;
\echo
-- wages and tools, without a campaign, are for all leads
SELECT r.campaign, r.cost_amount AS spent, q.leads, CASE WHEN r.roas IS NOT NULL THEN round(r.cost_amount / nullif(q.leads, 0), 2) END AS "per lead",
    CASE WHEN r.roas IS NOT NULL THEN round(r.cost_amount / nullif(q.customers, 0)) END AS "per customer",
    to_char(100 * q.sql_rate, '990.9 %') AS "to sql", r.revenue_amount AS revenue, round(r.roas::numeric, 2) AS roas
FROM crm_reports.roas r JOIN crm_reports.lead_quality q USING (channel, campaign)
WHERE r.model = 'linear' AND (r.cost_amount > 0 OR r.revenue_amount > 0) ORDER BY r.roas DESC NULLS LAST;
\echo
SELECT f.stage, f.leads_now AS "leads now", round(f.expected_customers::numeric, 1) AS "will buy in 90 days", f.forecast_amount AS forecast, f.low_amount AS low, f.high_amount AS high,
    v.value_per_lead_amount AS "worth", round(v.ratio_to_iql::numeric, 1) AS "times an iql"
FROM crm_reports.pipeline_forecast f LEFT JOIN crm_reports.value_by_stage v USING (stage) ORDER BY f.stage_rank = 0, f.stage_rank;
\echo
SELECT s.kept, s.breached, to_char(100.0 * s.kept / nullif(s.kept + s.breached, 0), '990.9 %') AS "sql within the hour", f.sales, round(f.mean_contacts_until_won::numeric, 1) AS "contacts to win",
    c.cold || ' of ' || c.leads AS "leads gone cold", to_char(100 * b.missing_rate, '990.9 %') AS "mql without budget", round(m.auc::numeric, 3) AS "AUC of the score"
FROM (SELECT count(*) FILTER (WHERE status = 'kept') AS kept, count(*) FILTER (WHERE status = 'breached') AS breached FROM crm_reports.sla_status) s, crm_reports.followup_summary f,
    (SELECT count(*) FILTER (WHERE cold) AS cold, count(*) AS leads FROM crm_reports.lead_cooling) c, crm_reports.bant_gaps b, crm_reports.model_quality('inbound') m
WHERE b.gate = 'budget' AND b.stage = 'mql' AND m.level = 'summary';
\echo
SELECT e.variant AS "headline", e.exposed AS "saw it", e.open_leads AS "time runs", e.converted AS "became leads in time", to_char(100 * e.goal_rate, '990.9 %') AS "of those", to_char(100 * e.always_valid_low_rate, '990.9') || ' to ' || to_char(100 * e.always_valid_high_rate, '990.9 %') AS "difference, however often you look",
    e.ratio_alarm AS "alarm"
FROM crm_reports.experiment_result e WHERE e.experiment = 'headline' AND e.level = 'all' ORDER BY e.position;
