--
-- Is the scoring any good: scores of the past against outcomes after it
--
\getenv srcdir PG_ABS_SRCDIR
\set data :srcdir '/test/oracle/metrics.sql'
SET timezone = 'Asia/Kathmandu';
SELECT leadscore.create_pipeline('crm') \g /dev/null
SET search_path = crm, crm_reports, leadscore, leadscore_internal;

-- An empty pipeline, and refused arguments
SELECT level, place, stage, score_from, score_to, leads, converted, converted_rate, lift, captured_rate, true_positives, auc, auc_low, auc_high FROM model_quality('inbound');
SELECT period, leads, sqls, sql_rate, customer_rate, revenue_per_lead_amount, sales, median_sale_days, sql_change FROM period_comparison WHERE period = 'half year' ORDER BY from_date;
SELECT * FROM model_quality('outbound');
SELECT * FROM model_quality('inbound', horizon => '0');
SELECT * FROM model_quality('inbound', at => '294276-12-31');
SELECT * FROM model_quality('inbound', at => now() - interval '2160 hours' + interval '1 minute');
SELECT * FROM model_quality('inbound', at => now() - interval '48 hours' + interval '1 minute', horizon => '2 days');
SELECT count(*) > 0 AS over FROM model_quality('inbound', at => now() - interval '48 hours', horizon => '2 days');

-- Ten leads with 10, 20 ... 100 points on 1 March; those with 50, 80, 90 and
-- 100 buy within 30 days, that with 10 later. What comes after does not change
-- scores: on 2 March all get 1000 points, and the one with 100 a budget, say
INSERT INTO lead (lead_id, email, consented_at, created_at) SELECT n, 'a@b', '2025-02-01 12:00Z', '2025-02-01 12:00Z' FROM generate_series(1, 10) n;
INSERT INTO event (lead_id, kind, occurred_at, value) SELECT n, 'points_added', timestamptz '2025-02-28 12:00Z', 10 * n FROM generate_series(1, 10) n;
INSERT INTO event (lead_id, kind, occurred_at, value) SELECT n, 'points_added', timestamptz '2025-03-02 12:00Z', 1000 FROM generate_series(1, 10) n;
INSERT INTO event (lead_id, kind, occurred_at, value) SELECT n, 'purchase', timestamptz '2025-03-20 12:00Z', 5 FROM unnest('{5,8,9,10}'::bigint[]) n;
INSERT INTO event (lead_id, kind, occurred_at, value) VALUES (1, 'purchase', '2025-04-20 12:00Z', 5);
UPDATE lead SET profile = '{"job_title": "CEO", "employees": 500}', updated_at = '2025-03-05 12:00Z' WHERE lead_id IN (1, 10);
-- and these are no leads of that time: a customer already, lost already, one of later, one without consent
INSERT INTO lead (lead_id, email, consented_at, created_at) SELECT n, 'a@b', c.at, coalesce(c.at, '2025-02-01 12:00Z')
    FROM (VALUES (11, timestamptz '2025-02-01 12:00Z'), (12, '2025-02-01 12:00Z'), (13, '2025-03-01 12:00Z'), (14, NULL)) c (n, at);
INSERT INTO event (lead_id, kind, occurred_at) VALUES (11, 'purchase', '2025-02-02 12:00Z'), (12, 'lost', '2025-02-02 12:00Z'), (13, 'purchase', '2025-03-02 12:00Z');
-- Mann-Whitney by hand: of 4 * 6 pairs 22 are right (50 beats 4 of 6, 80, 90 and 100 all): (4 + 6 + 6 + 6) / 24
SELECT level, place, stage, score_from, score_to, leads, converted, converted_rate, round(lift::numeric, 4) AS lift, captured_rate, round(auc::numeric, 6) AS auc, round(auc_low::numeric, 6) AS low, round(auc_high::numeric, 6) AS high
    FROM model_quality('inbound', '2025-03-01 15:00Z', '30 days');
SELECT stage, score_from AS threshold, true_positives AS tp, false_positives AS fp, false_negatives AS fn, true_negatives AS tn, round(precision_rate::numeric, 4) AS precision, recall_rate FROM model_quality('inbound', '2025-03-01 15:00Z', '30 days') WHERE level = 'threshold';
-- Hanley and McNeil: A = 22/24, 4 and 6
SELECT round((1.959963984540054 * sqrt((a * (1 - a) + 3 * (a / (2 - a) - a * a) + 5 * (2 * a * a / (1 + a) - a * a)) / 24))::numeric, 6) AS margin FROM (SELECT 22.0::float8 / 24) t (a);
-- the same day, whatever the time of it; the day after everybody has 1000 more
SELECT at, auc, score_from, score_to FROM unnest('{2025-03-01 00:00Z,2025-03-01 23:59Z,2025-03-03 00:00Z}'::timestamptz[]) at, model_quality('inbound', at, '30 days') WHERE level = 'summary';
-- a longer horizon: the lead with 10 points, too
SELECT leads, converted FROM model_quality('inbound', '2025-03-01 00:00Z', '60 days') WHERE level = 'summary';
-- any rising change of the points leaves the order, and so the area
SELECT clone_model('inbound', 'triple') \g /dev/null
UPDATE rule SET points = 3 * points WHERE model = 'triple';
UPDATE dimension SET weight = 2 WHERE model = 'triple';
SELECT score_to, round(auc::numeric, 6) AS auc FROM model_quality('triple', '2025-03-01 00:00Z', '30 days') WHERE level = 'summary';
-- ties count half: all have the same
UPDATE dimension SET weight = 0 WHERE model = 'triple';
SELECT score_to, auc FROM model_quality('triple', '2025-03-01 00:00Z', '30 days') WHERE level = 'summary';
-- no lead bought, or all: no area
SELECT leads, converted, auc, auc_low FROM model_quality('inbound', '2025-03-01 00:00Z', '1 day') WHERE level = 'summary';
DELETE FROM lead WHERE lead_id NOT IN (5, 8);
SELECT leads, converted, lift, auc, auc_high FROM model_quality('inbound', '2025-03-01 00:00Z', '30 days') WHERE level = 'summary';
DELETE FROM lead WHERE lead_id = 8;
SELECT level, place, leads, converted, lift, captured_rate FROM model_quality('inbound', '2025-03-01 00:00Z', '30 days') WHERE leads > 0;
DROP SCHEMA crm, crm_reports CASCADE;

-- Half years: 4 leads before with 1 sql and no customer, 2 now with 1 sql that
-- bought for 50 within the time, and for 1000 after it
SELECT leadscore.create_pipeline('crm') \g /dev/null
UPDATE setting SET mature_after = '10 days', time_zone = 'Pacific/Auckland';
INSERT INTO lead (lead_id, email, consented_at, created_at) SELECT n, 'a@b', c.at, c.at FROM generate_series(1, 8) n, LATERAL (SELECT now() - CASE WHEN n <= 4 THEN interval '250 days' WHEN n <= 6 THEN interval '100 days' WHEN n = 7 THEN interval '3 days' ELSE interval '500 days' END) c (at);
INSERT INTO event (lead_id, kind, occurred_at, properties) SELECT l.lead_id, 'stage_set', l.created_at + interval '5 days', '{"stage": "sql"}' FROM lead l WHERE lead_id IN (1, 5, 7);
INSERT INTO event (lead_id, kind, occurred_at, properties) SELECT l.lead_id, 'stage_set', l.created_at + interval '15 days', '{"stage": "sql"}' FROM lead l WHERE lead_id = 2;
INSERT INTO event (lead_id, kind, occurred_at, value) SELECT l.lead_id, 'purchase', l.created_at + v.after, v.value FROM lead l, (VALUES (5, interval '8 days', 50), (5, interval '20 days', 1000), (3, interval '16 days', 30)) v (lead_id, after, value) WHERE l.lead_id = v.lead_id;
SELECT period, leads, sqls, customers, sql_rate, customer_rate, revenue_per_lead_amount, sales, median_sale_days, sql_change, customer_change, revenue_change, sale_days_change FROM period_comparison WHERE period = 'half year' ORDER BY from_date;
SELECT to_date = (now() AT TIME ZONE 'Pacific/Auckland')::date - 1 AS yesterday, from_date = (to_date + 1 - interval '6 months')::date AS half_a_year FROM period_comparison WHERE period = 'half year' ORDER BY from_date DESC LIMIT 1;
SELECT b.to_date + 1 = n.from_date AS adjoining FROM period_comparison b JOIN period_comparison n ON n.period = b.period AND n.from_date > b.from_date WHERE b.period = 'half year';
DROP SCHEMA crm, crm_reports CASCADE;

-- Drawn leads: each score of the past is that of a pipeline which knows no more
\set ECHO none
\i :data
\set ECHO all
-- profiles change now and then
UPDATE lead SET profile = '{"job_title": "CEO"}', updated_at = created_at + interval '20 days' WHERE lead_id % 3 = 0;
UPDATE lead SET profile = '{"job_title": "student"}', updated_at = created_at + interval '90 days' WHERE lead_id % 6 = 0;
CREATE TEMP TABLE past AS SELECT l.* FROM model m, _scored_leads(m.compiled, '2025-06-15 10:00Z', '90 days') l WHERE m.status = 'active';
-- purchases
SELECT count(*) > 50 AS enough, count(*) FILTER (WHERE p.won) > 5 AS some,
    bool_and(p.won = EXISTS (SELECT FROM stage_history h WHERE h.lead_id = p.lead_id AND h.to_stage >= 'customer' AND h.effective_at >= '2025-06-15 00:00Z' AND h.effective_at < '2025-09-13 00:00Z')) AS won_right,
    bool_and(stage_at_by_id(p.lead_id, '2025-06-14 23:59:59Z')::lead_stage BETWEEN 'iql' AND 'prospect') AS open_then FROM past p;
-- the area, pair by pair
SELECT abs(q.auc - a.area) < 1e-12 AS auc_right FROM model_quality('inbound', '2025-06-15 10:00Z', '90 days') q,
    (SELECT avg(CASE WHEN x.milli > y.milli THEN 1 WHEN x.milli = y.milli THEN 0.5 ELSE 0 END)::float8 AS area FROM past x, past y WHERE x.won AND NOT y.won) a WHERE q.level = 'summary';
SELECT t.stage, t.true_positives = count(*) FILTER (WHERE p.won AND p.milli >= 1000 * t.score_from) AS tp, t.false_positives = count(*) FILTER (WHERE NOT p.won AND p.milli >= 1000 * t.score_from) AS fp,
    t.false_negatives = count(*) FILTER (WHERE p.won AND p.milli < 1000 * t.score_from) AS fn, t.true_negatives = count(*) FILTER (WHERE NOT p.won AND p.milli < 1000 * t.score_from) AS tn
FROM model_quality('inbound', '2025-06-15 10:00Z', '90 days') t, past p WHERE t.level = 'threshold' GROUP BY t.stage, t.score_from, t.true_positives, t.false_positives, t.false_negatives, t.true_negatives ORDER BY 1;
SELECT level, sum(leads) = (SELECT count(*) FROM past) AS all_leads, sum(converted) = (SELECT count(*) FROM past WHERE won) AS all_won, max(captured_rate) AS captured FROM model_quality('inbound', '2025-06-15 10:00Z', '90 days') WHERE level <> 'threshold' GROUP BY 1 ORDER BY 1;
-- go back in time for good: remove all that came later
SELECT create_pipeline('back') \g /dev/null
INSERT INTO back.lead SELECT * FROM crm.lead l WHERE l.created_at < '2025-06-15 00:00Z';
UPDATE back.lead SET profile = CASE WHEN lead_id % 6 = 0 AND created_at + interval '90 days' < '2025-06-15 00:00Z' THEN '{"job_title": "student"}'
    WHEN lead_id % 3 = 0 AND created_at + interval '20 days' < '2025-06-15 00:00Z' THEN '{"job_title": "CEO"}' ELSE '{}' END::jsonb;
INSERT INTO back.event SELECT * FROM crm.event e WHERE e.occurred_at < '2025-06-15 00:00Z';
SELECT count(*) AS leads, count(*) FILTER (WHERE p.milli = score_milli(s.activity, m.compiled, '2025-06-14 23:59:59Z')) AS right, count(DISTINCT p.milli) > 20 AS various
FROM past p JOIN back.lead_state s USING (lead_id), back.model m WHERE m.status = 'active';
SELECT count(*) > 0 AS would_leak FROM past p JOIN crm.lead_state s USING (lead_id), crm.model m WHERE m.status = 'active' AND p.milli <> score_milli(s.activity, m.compiled, '2025-06-14 23:59:59Z');
DROP SCHEMA crm, crm_reports, back, back_reports CASCADE;
DROP FUNCTION public.draw;
