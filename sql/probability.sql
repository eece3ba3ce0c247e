--
-- Chances: what they are learned from, what they say, and whether they hold, beside the same in plain SQL
--
\getenv srcdir PG_ABS_SRCDIR
\set history :srcdir '/test/bench/learn/history.sql'
SET timezone = 'Asia/Kathmandu';
SELECT leadscore.create_pipeline('crm', 'empty', attach => false) \g /dev/null
SET search_path = crm, crm_reports, leadscore, leadscore_internal, public;
SET client_min_messages = 'warning';

-- An empty pipeline, without and with a model
SELECT calibrate_model();
BEGIN;
INSERT INTO model (model) VALUES ('none');
INSERT INTO dimension (model, dimension) VALUES ('none', 'all');
SELECT activate_model('none');
SELECT calibrate_model(at => '2025-01-01 00:00Z');
ROLLBACK;
SELECT count(*) FROM calibration;
SELECT count(*) FROM model_drift;
SELECT count(*) FROM conversion_probability('nobody');

\set leads 1500
\set seed 3
\set ECHO none
\set QUIET on
\i :history
\set QUIET off
\set ECHO all
-- milestones: 'known' makes a lead, a purchase makes a customer; what follows between is by points
INSERT INTO signal (signal, event_kinds) VALUES ('known', '{known}'), ('bought', '{purchase}');
INSERT INTO stage_rule (model, stage, entry_signals) VALUES ('guess', 'iql', '{known}'), ('guess', 'customer', '{bought}');
INSERT INTO event (lead_id, kind, occurred_at) SELECT lead_id, 'known', created_at FROM lead;
SELECT calibrate_model('guess');
SELECT attach_pipeline('crm');
SELECT activate_model('guess', wait => true) \g /dev/null
SELECT stage, count(*) FROM lead_state GROUP BY 1 ORDER BY 1;
SELECT * FROM conversion_probability('lead-1', '2024-01-01 00:00Z');

-- Refused arguments
SELECT calibrate_model('outbound');
SELECT calibrate_model(target => 'iql');
SELECT calibrate_model(target => NULL);
SELECT calibrate_model(horizon => '-1 day');
SELECT calibrate_model(at => 'infinity');
SELECT calibrate_model(at => now() + interval '1 microsecond');
SELECT calibrate_model(split => '-infinity');

-- All leads at the beginnings of months, from the log
CREATE TEMP TABLE stood AS
SELECT l.lead_id, m.at, p.score, stage_at_by_id(l.lead_id, m.at - interval '1 microsecond') AS stage,
	coalesce(b.bought_at <= m.at + interval '25 days', false) AS converted
FROM lead l
	LEFT JOIN LATERAL (SELECT min(occurred_at) AS bought_at FROM event e WHERE e.lead_id = l.lead_id AND e.kind = 'purchase') b ON true
	CROSS JOIN LATERAL (SELECT least(60, coalesce(sum(CASE WHEN w.weight < 0 THEN -5 ELSE 5 END), 0))::float8 AS score FROM event e JOIN weight w USING (kind) WHERE e.lead_id = l.lead_id) p
	JOIN LATERAL (SELECT timestamptz '2023-01-01 00:00Z' + n * interval '1 month' AS at FROM generate_series(0, 200) n) m ON m.at > l.created_at AND (m.at < b.bought_at OR b.bought_at IS NULL)
WHERE m.at <= now() - interval '25 days';
SELECT stage, count(*) FROM stood WHERE at < '2025-01-01' GROUP BY 1 ORDER BY 1;
SELECT count(*) AS different FROM (SELECT at, stage, score, converted, count(*) FROM stood WHERE at < '2024-06-01' GROUP BY 1, 2, 3, 4) s
	FULL JOIN (SELECT at, stage::text AS stage, score, converted, count(*) FROM _leads_at(compiled_model('guess'), 'customer', '25 days', (SELECT array_agg(DISTINCT at) FROM stood WHERE at < '2024-06-01')) GROUP BY 1, 2, 3, 4) l
	USING (at, stage, score, converted, count) WHERE s.at IS NULL OR l.at IS NULL;

-- Isotonic: logistic regression on score and stage orders the leads, and rates that never fall are fitted to groups of them
SELECT calibrate_model(horizon => '25 days', at => '2025-03-01 00:00Z', split => '2024-06-01 00:00Z');
SELECT model, target, horizon, method, known_until AT TIME ZONE 'UTC' AS known_until, fit_from AT TIME ZONE 'UTC' AS fit_from, test_from AT TIME ZONE 'UTC' AS test_from, leads, converted, stage_leads FROM model_calibration;
CREATE TEMP TABLE used AS SELECT * FROM stood WHERE at <= timestamptz '2024-06-01 00:00Z' - interval '25 days';
SELECT count(*), count(*) FILTER (WHERE converted) AS converted FROM used;
CREATE TEMP TABLE by_hand AS SELECT (f).intercept, (f).coefficients AS b FROM (SELECT logistic_fit(converted, ARRAY[score, (stage = 'mql')::int, (stage = 'sql')::int, (stage = 'prospect')::int], 1) AS f FROM used) f;
SELECT abs(c.intercept - h.intercept) < 1e-9 AS intercept, abs(c.points_coefficient - b[1]) < 1e-9 AS points, abs(c.stage_coefficients[2] - b[2]) < 1e-9 AS mql, abs(c.stage_coefficients[3] - b[3]) < 1e-9 AS sql,
	c.stage_coefficients[1] AS iql, c.stage_coefficients[4] AS prospect FROM model_calibration c, by_hand h;
CREATE TEMP VIEW odds AS SELECT intercept + b[1] * score + CASE stage WHEN 'iql' THEN 0 WHEN 'mql' THEN b[2] WHEN 'sql' THEN b[3] END AS log_odds, u.* FROM by_hand, used u;
-- groups of leads with close odds, equal odds together; each gets one lead with the mean outcome
CREATE TEMP TABLE grouped AS
SELECT row_number() OVER (ORDER BY min(log_odds))::int AS n, min(log_odds) AS low, max(log_odds) AS high, count(*) AS leads, count(*) FILTER (WHERE converted) AS converted,
	count(*) + 1 AS w, count(*) FILTER (WHERE converted) + (SELECT avg(converted::int) FROM used)::float8 AS y
FROM (SELECT *, floor((rank() OVER (ORDER BY log_odds) - 1 + count(*) OVER (PARTITION BY log_odds) / 2.0) * 50 / count(*) OVER ()) AS part FROM odds) o GROUP BY part;
SELECT count(*) BETWEEN 10 AND 50 AS groups FROM grouped;
-- isotonic regression as a formula: of group n the greatest, over all beginnings, of the least mean over all ends
CREATE TEMP TABLE isotonic AS
SELECT g.n, max(lowest) AS rate FROM grouped g CROSS JOIN LATERAL (
	SELECT min((SELECT sum(y) / sum(w) FROM grouped m WHERE m.n BETWEEN a.n AND e.n)) AS lowest
	FROM grouped a JOIN grouped e ON e.n >= g.n WHERE a.n <= g.n GROUP BY a.n) x GROUP BY g.n;
SELECT count(DISTINCT round(rate::numeric, 9)) = (SELECT cardinality(bin_rates) FROM model_calibration) AS bins, bool_and(abs(rate - chance) < 1e-9) AS same
FROM isotonic JOIN grouped g USING (n) CROSS JOIN LATERAL (SELECT c.bin_rates[1 + (SELECT count(*) FROM unnest(c.bin_edges) e WHERE e <= (g.low + g.high) / 2)] AS chance FROM model_calibration c) c;
SELECT sum(n) AS leads, sum(k) AS converted FROM model_calibration c, unnest(c.bin_leads, c.bin_converted) u (n, k);

-- Chances of leads: the bin's, at any instant
CREATE TEMP VIEW hand_rate AS SELECT s.*, x.log_odds, g.rate, g.leads, g.bin_converted
FROM stood s CROSS JOIN by_hand CROSS JOIN LATERAL (SELECT intercept + b[1] * score + CASE stage WHEN 'iql' THEN 0 WHEN 'mql' THEN b[2] WHEN 'sql' THEN b[3] END AS log_odds) x
	CROSS JOIN LATERAL (SELECT round(i.rate::numeric, 12)::float8 AS rate, sum(g.leads) OVER w AS leads, sum(g.converted) OVER w AS bin_converted, g.n,
		(g.high + lead(g.low) OVER (ORDER BY g.n)) / 2 AS edge FROM grouped g JOIN isotonic i USING (n) WINDOW w AS (PARTITION BY round(i.rate::numeric, 12))) g
WHERE x.log_odds < g.edge IS NOT FALSE AND NOT EXISTS (SELECT FROM grouped g2 JOIN grouped g3 ON g3.n = g2.n + 1 WHERE g2.n < g.n AND x.log_odds < (g2.high + g3.low) / 2);
SELECT count(*), count(*) FILTER (WHERE abs(p.probability - h.rate) > 1e-9 OR p.leads <> h.leads OR p.converted <> h.bin_converted OR p.model <> 'guess' OR p.within <> '25 days' OR p.reason IS NOT NULL
	OR p.probability_low <> rate_low(p.converted, p.leads) OR p.probability_high <> rate_high(p.converted, p.leads)) AS different
FROM hand_rate h CROSS JOIN LATERAL conversion_probability_by_id(h.lead_id, h.at - interval '1 microsecond') p WHERE h.lead_id % 50 = 0 AND h.at < '2025-01-01';
SELECT round(probability::numeric, 3) AS probability, round(probability_low::numeric, 3) AS low, round(probability_high::numeric, 3) AS high, leads, converted, model, target_stage, within, reason, why FROM conversion_probability('lead-7', '2024-06-15 12:00Z');
SELECT count(*) AS leads, count(*) FILTER (WHERE s.conversion_probability IS DISTINCT FROM p.probability) AS different, count(p.probability) AS chances
FROM lead_score s CROSS JOIN LATERAL conversion_probability_by_id(s.lead_id) p WHERE s.lead_id % 10 = 0;

-- The report, beside the log; chances of leads that were not calibrated with
CREATE TEMP TABLE tested AS SELECT * FROM hand_rate WHERE at >= '2024-06-01 00:00Z';
CREATE TEMP TABLE report AS SELECT * FROM calibration;
SELECT r.model, r.target, r.horizon_days, r.leads = h.leads AS leads, r.converted = h.converted AS converted, abs(r.predicted_rate - h.rate) < 1e-9 AS predicted, abs(r.brier_score - h.brier) < 1e-9 AS brier, abs(r.log_loss - h.loss) < 1e-9 AS loss, abs(r.auc - a.auc) < 1e-9 AS auc, r.from_at AT TIME ZONE 'UTC' AS from_at
FROM report r, (SELECT count(*) AS leads, count(*) FILTER (WHERE converted) AS converted, avg(rate) AS rate, avg((rate - converted::int) ^ 2) AS brier, avg(-ln(CASE WHEN converted THEN rate ELSE 1 - rate END)) AS loss FROM tested) h,
	-- all pairs of a lead that bought and one that did not
	(SELECT sum(p.n * q.n * CASE WHEN p.rate > q.rate THEN 1 WHEN p.rate = q.rate THEN 0.5 ELSE 0 END) / sum(p.n * q.n) AS auc
		FROM (SELECT rate, count(*) AS n FROM tested WHERE converted GROUP BY 1) p, (SELECT rate, count(*) AS n FROM tested WHERE NOT converted GROUP BY 1) q) a
WHERE r.level = 'summary';
CREATE TEMP TABLE decile AS SELECT ceil((count(*) FILTER (WHERE true) OVER (ORDER BY rate DESC) - (count(*) OVER (PARTITION BY rate) - 1) / 2.0) * 10 / count(*) OVER ()) AS place, * FROM tested;
SELECT count(*) = (SELECT count(*) FROM report WHERE level = 'decile') AS places, bool_and(r.leads = d.leads AND r.converted = d.converted AND abs(r.predicted_rate - d.rate) < 1e-9 AND abs(r.lift - d.lift) < 1e-9
	AND r.holds = (abs(r.converted_rate - d.rate) <= 3 * sqrt(d.variance) / d.leads)) AS same,
	abs(sum(d.leads * abs(d.converted::float8 / d.leads - d.rate)) / sum(d.leads) - (SELECT calibration_error FROM report WHERE level = 'summary')) < 1e-9 AS calibration_error
FROM report r JOIN (SELECT place, count(*) AS leads, count(*) FILTER (WHERE converted) AS converted, avg(rate) AS rate, sum(rate * (1 - rate)) AS variance,
	avg(converted::int::float8) / (SELECT avg(converted::int::float8) FROM tested) AS lift FROM decile GROUP BY place) d ON d.place = r.place WHERE r.level = 'decile';
-- while sales last, chances hold
CREATE TEMP TABLE drift AS SELECT * FROM model_drift;
SELECT month_date, metric, leads, converted, alert FROM drift WHERE month_date < '2025-06-01';
SELECT count(*) AS different FROM drift r JOIN (SELECT (at AT TIME ZONE 'UTC')::date AS month_date, count(*) AS leads, count(*) FILTER (WHERE converted) AS converted, avg(rate) AS rate, avg(rate * (1 - rate)) AS variance FROM tested GROUP BY 1) h USING (month_date)
WHERE r.metric = 'converted_rate' AND (r.leads <> h.leads OR r.converted <> h.converted OR abs(r.expected - h.rate) > 1e-9 OR abs(r.seen - h.converted::float8 / h.leads) > 1e-9
	OR abs(r.expected_high - h.rate - 3 * sqrt(h.variance / h.leads + h.variance / (SELECT leads FROM model_calibration))) > 1e-9 OR abs(r.expected_high + r.expected_low - 2 * h.rate) > 1e-9);
SELECT count(*) FROM drift r, tested t WHERE r.metric = 'auc' AND month_date = '2024-10-01' AND t.at = '2024-10-01 00:00Z' HAVING abs(min(r.seen) - (SELECT avg(CASE WHEN p.rate > q.rate THEN 1 WHEN p.rate = q.rate THEN 0.5 ELSE 0 END) FROM tested p, tested q
	WHERE p.at = '2024-10-01 00:00Z' AND q.at = p.at AND p.converted AND NOT q.converted)) > 1e-9;

-- Platt: with fewer than 1000 leads the logistic curve itself
BEGIN;
SELECT calibrate_model(horizon => '25 days', at => '2023-07-01 00:00Z', split => '2023-07-01 00:00Z') < 1000 AS few;
SELECT method, leads, converted, cardinality(bin_leads) AS bins, bin_rates FROM model_calibration;
SELECT count(*), count(*) FILTER (WHERE abs(p.probability - 1 / (1 + exp(-((f).intercept + (f).coefficients[1] * score + CASE stage WHEN 'iql' THEN 0 WHEN 'mql' THEN (f).coefficients[2] ELSE (f).coefficients[3] END)))) > 1e-9) AS different,
	count(*) FILTER (WHERE p.probability BETWEEN p.probability_low AND p.probability_high) > count(*) * 0.7 AS mostly_in_interval
FROM (SELECT logistic_fit(converted, ARRAY[score, (stage = 'mql')::int, (stage = 'sql')::int, 0], 1) AS f FROM stood WHERE at <= timestamptz '2023-07-01 00:00Z' - interval '25 days') f,
	(SELECT * FROM stood WHERE at = '2023-07-01 00:00Z') s CROSS JOIN LATERAL conversion_probability_by_id(s.lead_id, s.at - interval '1 microsecond') p;
SELECT count(*) AS different FROM lead_score s CROSS JOIN LATERAL conversion_probability_by_id(s.lead_id) p WHERE s.lead_id % 10 = 0 AND abs(s.conversion_probability - p.probability) > 1e-12;
ROLLBACK;

-- What comes later changes nothing that was looked at
BEGIN;
INSERT INTO event (lead_id, kind, occurred_at, value) SELECT lead_id, 'purchase', timestamptz '2024-05-28 00:00Z', 5 FROM stood WHERE at = '2024-05-01 00:00Z' AND lead_id % 3 = 0;
INSERT INTO event (lead_id, kind, occurred_at) SELECT lead_id, 'a', timestamptz '2024-06-02 00:00Z' FROM lead;
CREATE TEMP TABLE before AS SELECT * FROM model_calibration;
SELECT calibrate_model(horizon => '25 days', at => '2024-06-01 00:00Z', split => '2024-06-01 00:00Z');
SELECT count(*) AS different FROM before b, model_calibration c WHERE (b.leads, b.converted, b.intercept, b.points_coefficient, b.stage_coefficients, b.bin_edges, b.bin_rates)
	IS DISTINCT FROM (c.leads, c.converted, c.intercept, c.points_coefficient, c.stage_coefficients, c.bin_edges, c.bin_rates);
ROLLBACK;

-- Few leads of long ago, as a wrong date makes them, do not move the split
BEGIN;
SELECT calibrate_model(horizon => '25 days', at => '2025-03-01 00:00Z') > 0 AS calibrated;
CREATE TEMP TABLE without AS SELECT fit_from, test_from FROM model_calibration;
INSERT INTO lead (lead_id, external_id, email, consented_at, created_at) SELECT 10000 + i, 'epoch ' || i, 'a@b', '1970-01-01 00:00Z', '1970-01-01 00:00Z' FROM generate_series(1, 5) i;
INSERT INTO event (lead_id, kind, occurred_at) SELECT 10000 + i, 'known', '1970-01-01 00:00Z' FROM generate_series(1, 5) i;
SELECT count(*) FROM stage_history WHERE to_stage = 'iql' AND effective_at = '1970-01-01 00:00Z';
SELECT calibrate_model(horizon => '25 days', at => '2025-03-01 00:00Z') > 0 AS calibrated;
SELECT (c.fit_from, c.test_from) = (w.fit_from, w.test_from) AS same_split FROM model_calibration c, without w;
ROLLBACK;

-- NULL, and why
SELECT p.probability, p.reason, p.why FROM conversion_probability('lead-1', '2024-12-31 00:00Z') p;
SELECT count(*) FROM conversion_probability('lead-1', '2022-12-01 00:00Z');
SELECT p.reason FROM conversion_probability('lead-7', '2024-06-15 12:00Z', 'sql') p;
SELECT p.reason FROM conversion_probability('lead-7', '2024-06-15 12:00Z', 'customer', '60 days') p;
SELECT p.reason FROM conversion_probability('lead-7', '2024-06-15 12:00Z', 'advocate') p;
SELECT * FROM conversion_probability('lead-7', '2024-06-15 12:00Z', 'buyer');
SELECT * FROM conversion_probability('lead-7', 'infinity');
SELECT * FROM conversion_probability('lead-7', target => NULL);
BEGIN;
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES (7, 'stage_set', '2024-06-16 00:00Z', '{"stage": "lost"}'), (7, 'stage_set', '2024-06-18 00:00Z', '{"stage": "prospect"}');
SELECT reason FROM conversion_probability('lead-7', '2024-06-17 12:00Z');
SELECT reason FROM conversion_probability('lead-7', '2024-06-19 12:00Z');
INSERT INTO lead (lead_id, external_id) VALUES (99999, 'new');
SELECT reason FROM conversion_probability('new');
ROLLBACK;
-- another model active: no chance now, and the old one for the time when it was active
BEGIN;
SELECT clone_model('guess', 'other');
SELECT activate_model('other') \g /dev/null
SELECT p.model, p.probability IS NOT NULL AS known, p.reason FROM (VALUES (1, timestamptz '2024-06-15 12:00Z'), (2, now())) t (n, at) CROSS JOIN LATERAL conversion_probability('lead-7', t.at) p ORDER BY n;
SELECT count(conversion_probability) FROM lead_score;
SELECT count(*) FROM calibration;
SELECT calibrate_model('guess', horizon => '25 days', at => '2025-03-01 00:00Z') > 0 AS of_a_retired_model;
SELECT calibrate_model(horizon => '25 days', at => '2025-03-01 00:00Z', split => '2024-06-01 00:00Z') > 0 AS calibrated;
SELECT count(conversion_probability) > 0 AS known FROM lead_score;
-- months since it became active: none is over yet
SELECT count(*) FROM model_drift;
SELECT count(*) > 0 AS tested FROM calibration;
ROLLBACK;
-- a model that was learned is calibrated with what came later
BEGIN;
INSERT INTO learned_model (model, source_model, target, horizon, known_until, test_from, leads, converted, test_leads, test_converted, auc, auc_low, auc_high, points_to_double_odds)
	VALUES ('guess', 'guess', 'customer', '25 days', '2024-06-01', '2024-02-01 00:00Z', 1, 1, 1, 1, 0.6, 0.5, 0.7, 10);
SELECT calibrate_model(horizon => '25 days', at => '2025-03-01 00:00Z', split => '2024-06-01 00:00Z') = (SELECT count(*) FROM used WHERE at >= '2024-02-01 00:00Z') AS later_ones_only;
SELECT fit_from AT TIME ZONE 'UTC' AS fit_from FROM model_calibration;
ROLLBACK;

-- Too little data is an answer
SELECT calibrate_model(horizon => '25 days', at => '2023-01-20 00:00Z');
SELECT calibrate_model(horizon => '25 days', at => '2023-03-01 00:00Z', split => '2023-03-01 00:00Z');
SELECT calibrate_model(target => 'advocate', horizon => '25 days', at => '2024-01-01 00:00Z');
BEGIN;
-- each sale is given to the next lead of the same month
CREATE TEMP TABLE shuffled AS SELECT l.lead_id AS from_lead, coalesce(lead(l.lead_id) OVER w, first_value(l.lead_id) OVER w) AS to_lead FROM lead l WINDOW w AS (PARTITION BY l.created_at ORDER BY l.lead_id);
CREATE TEMP TABLE sold AS SELECT * FROM event WHERE kind = 'purchase';
DELETE FROM event WHERE kind = 'purchase';
INSERT INTO event (lead_id, kind, occurred_at, value) SELECT s.to_lead, 'purchase', b.occurred_at, 100 FROM sold b JOIN shuffled s ON s.from_lead = b.lead_id;
\set VERBOSITY terse
SELECT calibrate_model(horizon => '25 days', at => '2024-06-01 00:00Z', split => '2024-06-01 00:00Z');
\set VERBOSITY default
ROLLBACK;
SELECT count(*) FROM verify();

-- The curve by itself
SELECT calibrated_chance('{0,0,0,1,NaN,0}', 0, r) FROM generate_series(40, 90, 10) r;
SELECT s, calibrated_chance('{0,1,0,0,0,0,-1,2,0.1,0.2,0.3}', s, 50) FROM unnest('{-5,-1,0,2,1e300}'::float8[]) s;
SELECT calibrated_chance('{0,1,0,0,0,0}', s, 50) FROM unnest('{-1e300,1e300}'::float8[]) s;
SELECT calibrated_chance('{0,1}', 0, 50);
SELECT calibrated_chance('{0,1,0,0,0,0,1,2}', 0, 50);
SELECT calibrated_chance('{0,1,0,0,0,NULL}', 0, 50);
SELECT calibrated_chance('{{0,1,0,0,0,0}}', 0, 50);
SELECT * FROM crm._pool_adjacent_violators('{1,2,3,4}', '{1,2,3,4}', '{9,9,9,9}', '{1,5,4,8}');
DROP SCHEMA crm, crm_reports CASCADE;
