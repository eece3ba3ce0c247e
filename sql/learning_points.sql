--
-- Points that are learned: what is looked at, what is left out, and what comes of it
--
\getenv srcdir PG_ABS_SRCDIR
\set history :srcdir '/test/bench/learn/history.sql'
SET timezone = 'Asia/Kathmandu';
SELECT leadscore.create_pipeline('crm', attach => false) \g /dev/null
SET search_path = crm, crm_reports, leadscore, leadscore_internal, public;
SET client_min_messages = 'warning';

-- An empty pipeline, and refused arguments
SELECT count(*) FROM suggest_points('inbound', at => '2025-01-01 00:00Z');
SELECT calibrate_model(at => '2025-01-01 00:00Z');
SELECT count(*) FROM suggest_points('outbound');
SELECT count(*) FROM suggest_points('inbound', target => 'iql');
SELECT count(*) FROM suggest_points('inbound', target => 'buyer');
SELECT count(*) FROM suggest_points('inbound', horizon => '-1 day');
SELECT count(*) FROM suggest_points('inbound', decimals => 4);
SELECT count(*) FROM suggest_points('inbound', exclude => NULL);
SELECT count(*) FROM suggest_points('inbound', include => '{page_view}', exclude => '{page viewed,page vewed}');
SELECT count(*) FROM suggest_points('inbound', at => 'infinity');
SELECT count(*) FROM suggest_points('inbound', at => now() + interval '1 microsecond');

\set leads 5000
\set seed 1
\set ECHO none
\set QUIET on
\i :history
\set QUIET off
\set ECHO all
-- a signal that comes with the sale, and one that only somebody can know who knows the outcome
INSERT INTO signal (signal, event_kinds) VALUES ('contract signed', '{contract}'), ('omen', '{omen}'), ('never', '{never}');
INSERT INTO event (lead_id, kind, occurred_at) SELECT lead_id, 'contract', occurred_at - interval '2 hours' FROM event WHERE kind = 'purchase';
SELECT attach_pipeline('crm');
CREATE TEMP VIEW month AS SELECT _months('2023-01-01 00:00Z', '2024-12-31 00:00Z') AS months;
CREATE TEMP TABLE seen AS SELECT p.* FROM month, _past_leads(compiled_model('guess'), 'customer', '25 days', months, false) p;

-- What is looked at, from the log: the first month, drawn by the hash, at whose
-- beginning a lead was known and had not bought; its events before it; whether it
-- bought within 25 days after it
CREATE TEMP TABLE by_hand AS
SELECT l.lead_id, c.at, b.bought_at, coalesce(b.bought_at <= c.at + interval '25 days', false) AS converted,
	array(SELECT (SELECT count(*) FROM event e WHERE e.lead_id = l.lead_id AND e.kind = w.kind AND e.occurred_at < c.at)::float8 FROM weight w ORDER BY w.place) AS counts
FROM lead l
	LEFT JOIN LATERAL (SELECT min(occurred_at) AS bought_at FROM event e WHERE e.lead_id = l.lead_id AND e.kind = 'purchase') b ON true
	CROSS JOIN LATERAL (SELECT m.at FROM month, unnest(months) WITH ORDINALITY AS m (at, n)
		WHERE m.at > l.created_at AND (m.at < b.bought_at OR b.bought_at IS NULL) AND get_byte(sha256(convert_to(l.lead_id || ':' || extract(epoch FROM m.at)::bigint, 'UTF8')), 7) % 2 = 0 ORDER BY m.n LIMIT 1) c;
SELECT count(*), count(*) FILTER (WHERE converted) AS converted FROM by_hand;
SELECT count(*) AS different FROM (SELECT lead_id, at, reached_at, converted, rule_values[1:10] FROM seen) s FULL JOIN (SELECT * FROM by_hand) h USING (lead_id)
WHERE (s.at, s.converted, s.rule_values, s.reached_at) IS DISTINCT FROM (h.at, h.converted, h.counts, h.bought_at);
-- the score is last
SELECT count(*) AS different FROM seen JOIN lead_state USING (lead_id) WHERE rule_values[11] <> score(activity, compiled_model('guess'), at - interval '1 microsecond');

-- The truth lies in the intervals
SELECT w.kind, w.weight, abs(c - w.weight) < 1.96 * e AS in_interval, e < 0.13 AS narrow
FROM (SELECT logistic_fit(converted, rule_values[1:10], 1) AS f FROM seen) f, unnest((f).coefficients, (f).errors) WITH ORDINALITY AS u (c, e, n) JOIN weight w ON w.place = n ORDER BY w.place;

-- Points; the expected ones are those of the true weights on the scale that keeps the chance at 20 points
CREATE TEMP TABLE result AS SELECT row_number() OVER () AS n, * FROM suggest_points('guess', horizon => '25 days', at => '2025-03-01 00:00Z', draft => 'learned');
SELECT level, name, leads, converted, auc > 0.5 AS tells, note FROM result WHERE level = 'model' ORDER BY n;
SELECT name, points_now, points_suggested, note FROM result WHERE level = 'threshold' ORDER BY n;
SELECT name, points_now, points_suggested, sign(points_suggested) = sign(w.weight) AS right_sign, round(lift::numeric, 2) AS lift, note FROM result JOIN weight w ON name = 'rule ' || w.kind WHERE level = 'rule' ORDER BY n;
SELECT (SELECT auc FROM result WHERE name = 'learned') > (SELECT auc FROM result WHERE name = 'now') + 0.03 AS better,
	abs((SELECT auc FROM result WHERE name = 'learned') - (SELECT auc FROM result WHERE name = 'rounded')) < 0.005 AS rounding_costs_little;
-- lift and leads by hand
SELECT bool_and(r.leads = h.leads AND r.converted = h.converted AND abs(r.lift - h.lift) < 1e-9) AS same
FROM result r JOIN weight w ON name = 'rule ' || w.kind
	CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE counts[w.place] > 0) AS leads, count(*) FILTER (WHERE counts[w.place] > 0 AND converted) AS converted,
		avg(converted::int::float8) FILTER (WHERE counts[w.place] > 0) / avg(converted::int::float8) FILTER (WHERE counts[w.place] = 0) AS lift
		FROM by_hand WHERE at < (SELECT test_from FROM learned_model)) h;

-- The draft is a model as any
SELECT model, source_model, target, horizon, known_until AT TIME ZONE 'UTC' AS known_until, test_from AT TIME ZONE 'UTC' AS test_from, leads, converted FROM learned_model;
SELECT model, status, note FROM model WHERE model = 'learned';
SELECT count(*) AS different FROM rule r JOIN result s ON s.level = 'rule' AND s.name = r.rule WHERE r.model = 'learned' AND r.points <> s.points_suggested;
SELECT dimension, max_points FROM dimension WHERE model = 'learned';
SELECT (SELECT auc FROM model_quality('learned', '2024-09-01 00:00Z', '25 days') WHERE level = 'summary') > (SELECT auc FROM model_quality('guess', '2024-09-01 00:00Z', '25 days') WHERE level = 'summary') AS better;
SELECT count(*) > 0 AS compared FROM compare_models('guess', 'learned');
SELECT count(*) FROM suggest_points('guess', horizon => '25 days', at => '2025-03-01 00:00Z', draft => 'learned');
-- a stage that no points reach
BEGIN;
UPDATE stage_rule SET min_score = 1000000 WHERE model = 'guess' AND stage = 'sql';
SELECT name, points_now, points_suggested > 1000 AS far, note FROM suggest_points('guess', horizon => '25 days', at => '2025-03-01 00:00Z') WHERE level = 'threshold';
ROLLBACK;
-- tenths
SELECT count(*) FILTER (WHERE points_suggested <> round(points_suggested)) > 5 AS tenths, bool_and(points_suggested = round(points_suggested, 1)) AS no_more FROM suggest_points('guess', horizon => '25 days', at => '2025-03-01 00:00Z', decimals => 1);

-- What comes later changes nothing that was looked at, nor which instant is chosen
BEGIN;
INSERT INTO event (lead_id, kind, occurred_at) SELECT lead_id, w.kind, s.at + interval '1 day' FROM seen s, weight w WHERE NOT s.converted AND lead_id % 4 = 0;
INSERT INTO event (lead_id, kind, occurred_at, value) SELECT lead_id, 'purchase', s.at + interval '26 days', 9 FROM seen s WHERE NOT s.converted AND lead_id % 4 = 1;
UPDATE lead SET profile = '{"job_title": "CEO"}' WHERE lead_id % 4 = 2;
SELECT count(*) AS different FROM (SELECT p.lead_id, p.at, p.converted, p.rule_values FROM month, _past_leads(compiled_model('guess'), 'customer', '25 days', months, false) p) p
	FULL JOIN seen s USING (lead_id) WHERE (p.at, p.converted, p.rule_values) IS DISTINCT FROM (s.at, s.converted, s.rule_values);
ROLLBACK;

-- A profile counts from when it was recorded
BEGIN;
INSERT INTO rule (model, dimension, rule, signal, points) VALUES ('guess', 'all', 'boss', 'decision_maker', 5);
UPDATE lead SET profile = '{"job_title": "CEO"}', updated_at = created_at + interval '1 hour' WHERE lead_id <= 1000;
SELECT trust, sum(p.rule_values[1]) AS bosses FROM (VALUES (false), (true)) AS t (trust), month, _past_leads(compiled_model('guess'), 'customer', '25 days', months, trust) p GROUP BY trust ORDER BY trust;
SELECT count(*) AS leads FROM seen WHERE lead_id <= 1000;
SELECT name, points_suggested, note FROM suggest_points('guess', horizon => '25 days', at => '2025-03-01 00:00Z') WHERE name = 'boss';
-- people that were forgotten or merged are left out
SELECT forget_lead('lead-1'), forget_lead('lead-2') \g /dev/null
SELECT merge_leads('lead-3', 'lead-4') \g /dev/null
SELECT count(*) FROM month, _past_leads(compiled_model('guess'), 'customer', '25 days', months, false) p WHERE lead_id <= 4;
SELECT count(*) FROM seen WHERE lead_id <= 4;
ROLLBACK;
-- so are instants of a lead before the line up to which its events were purged
BEGIN;
SELECT count(*) FROM purge('2024-01-01 00:00Z') \g /dev/null
SELECT count(*) AS different FROM (SELECT p.lead_id, p.at, p.converted, p.rule_values FROM month, _past_leads(compiled_model('guess'), 'customer', '25 days', months, false) p) p
	FULL JOIN (SELECT s.* FROM seen s LEFT JOIN lead_checkpoint c USING (lead_id) WHERE (s.at < c.purged_before) IS NOT TRUE) s USING (lead_id) WHERE (p.at, p.converted, p.rule_values) IS DISTINCT FROM (s.at, s.converted, s.rule_values);
SELECT count(*) > 1000 AS purged, bool_or(s.at < c.purged_before) AS before, bool_or(s.at >= c.purged_before) AS after FROM seen s JOIN lead_checkpoint c USING (lead_id);
ROLLBACK;

-- Planted leaks are named
BEGIN;
INSERT INTO event (lead_id, kind, occurred_at) SELECT lead_id, 'omen', at - interval '1 hour' FROM seen WHERE converted;
INSERT INTO rule (model, dimension, rule, signal, points) VALUES ('guess', 'all', 'signature', 'contract signed', 50), ('guess', 'all', 'good omen', 'omen', 30), ('guess', 'all', 'nothing', 'never', 1),
	('guess', 'all', 'call', 'sales_contact', 5), ('guess', 'all', 'sale', 'purchase', 5), ('guess', 'all', 'no points', 'points_added', 0);
SAVEPOINT omen;
SELECT count(*) FROM suggest_points('guess', horizon => '25 days', at => '2025-03-01 00:00Z');
ROLLBACK TO omen;
UPDATE rule SET points = 1 WHERE rule = 'good omen';
SELECT name, points_now, points_suggested, leads, note FROM suggest_points('guess', horizon => '25 days', at => '2025-03-01 00:00Z', exclude => '{rule a,counts d}') WHERE level = 'rule' AND note LIKE 'left out%' ORDER BY name COLLATE "C";
SELECT name, points_suggested IS NOT NULL AS learned, note FROM suggest_points('guess', horizon => '25 days', at => '2025-03-01 00:00Z', include => '{omen}') WHERE name = 'good omen';
ROLLBACK;

-- Points by chance are refused: each sale is given to the next lead of the same month
BEGIN;
CREATE TEMP TABLE shuffled AS SELECT l.lead_id AS from_lead, coalesce(lead(l.lead_id) OVER w, first_value(l.lead_id) OVER w) AS to_lead FROM lead l WINDOW w AS (PARTITION BY l.created_at ORDER BY l.lead_id);
CREATE TEMP TABLE bought AS SELECT * FROM event WHERE kind = 'purchase';
DELETE FROM event WHERE kind IN ('purchase', 'contract');
INSERT INTO event (lead_id, kind, occurred_at, value) SELECT s.to_lead, 'purchase', b.occurred_at, 100 FROM bought b JOIN shuffled s ON s.from_lead = b.lead_id;
\set VERBOSITY terse
SELECT count(*) FROM suggest_points('guess', horizon => '25 days', at => '2025-03-01 00:00Z');
\set VERBOSITY default
ROLLBACK;
-- there is no area under a curve if nobody reached it in the test. The months of 2023-02 to
-- 2024-05 are learned from and those of 2024-06 to 2025-02 tested with, by the first that the hash draws
BEGIN;
DELETE FROM event WHERE kind IN ('purchase', 'contract') AND occurred_at >= '2024-06-01 00:00Z';
SELECT count(*) AS leads FROM lead l
	LEFT JOIN LATERAL (SELECT min(occurred_at) AS bought_at FROM event e WHERE e.lead_id = l.lead_id AND e.kind = 'purchase') b ON true
	CROSS JOIN LATERAL (SELECT min(m.at) AS at FROM (SELECT timestamptz '2023-02-01 00:00Z' + n * interval '1 month' FROM generate_series(0, 24) n) AS m (at)
		WHERE m.at > l.created_at AND (m.at < b.bought_at OR b.bought_at IS NULL) AND get_byte(sha256(convert_to(l.lead_id || ':' || extract(epoch FROM m.at)::bigint, 'UTF8')), 7) % 2 = 0) c
WHERE c.at >= '2024-06-01 00:00Z';
SELECT count(*) FROM suggest_points('guess', horizon => '25 days', at => '2025-03-01 00:00Z', split => '2024-06-01 00:00Z');
ROLLBACK;

-- Too little data is an answer
SELECT count(*) FROM suggest_points('guess', horizon => '1 day', at => '2023-12-01 00:00Z');
SELECT count(*) FROM suggest_points('guess', horizon => '200 days', at => '2023-06-01 00:00Z');
SELECT count(*) FROM suggest_points('guess', horizon => '25 days', at => '2025-03-01 00:00Z', exclude => '{rule a,rule b,rule c,rule d,rule e,rule f,rule g,rule h,rule i,rule j}');
BEGIN;
INSERT INTO signal (signal, event_kinds, condition) SELECT 'part ' || i, '{a}', ('$value > ' || i)::jsonpath FROM generate_series(1, 30) i;
INSERT INTO rule (model, dimension, rule, signal, points) SELECT 'guess', 'all', 'part ' || i, 'part ' || i, 1 FROM generate_series(1, 30) i;
UPDATE event SET value = event_id % 31 WHERE kind = 'a';
SELECT count(*) FROM suggest_points('guess', horizon => '25 days', at => '2023-10-01 00:00Z');
ROLLBACK;
-- Few leads of long ago, as a wrong date makes them, and of no date do not move the split
BEGIN;
INSERT INTO lead (lead_id, external_id, email, consented_at, created_at) SELECT 10000 + i, 'epoch ' || i, 'a@b', '1970-01-01 00:00Z', '1970-01-01 00:00Z' FROM generate_series(1, 20) i;
INSERT INTO lead (lead_id, external_id, email, consented_at, created_at) SELECT 20000 + i, 'no date ' || i, 'a@b', '-infinity', '-infinity' FROM generate_series(1, 100) i;
SELECT count(*) FROM suggest_points('guess', horizon => '25 days', at => '2025-03-01 00:00Z', draft => 'old');
-- later leads are not looked at
SELECT _leads_since('customer', '2023-01-01 05:59Z') AT TIME ZONE 'UTC' AS before, _leads_since('customer', '2025-03-01 00:00Z') AT TIME ZONE 'UTC' AS since;
SELECT (SELECT test_from FROM learned_model WHERE model = 'old') = (SELECT test_from FROM learned_model WHERE model = 'learned') AS same_split;
ROLLBACK;
SELECT count(*) FROM suggest_points('guess', horizon => '25 days', at => '2025-03-01 00:00Z', split => 'infinity');
SELECT count(*) FROM suggest_points('guess', horizon => '25 days', at => '2025-03-01 00:00Z', split => '4714-11-24 00:00Z BC');
-- with so heavy a penalty no rule tells more than another, and none is left out
SELECT count(*) FROM suggest_points('guess', horizon => '25 days', at => '2025-03-01 00:00Z', ridge => 1e300);
-- The report promises what the draft does: a rule that is left out keeps its points,
-- so they count in the area under the curve, here of all pairs of leads of the test
BEGIN;
UPDATE rule SET points = 20 WHERE model = 'guess' AND rule = 'rule i';
CREATE TEMP TABLE kept AS SELECT * FROM suggest_points('guess', horizon => '25 days', at => '2025-03-01 00:00Z', exclude => '{rule i}', draft => 'kept');
SELECT points FROM rule WHERE model = 'kept' AND rule = 'rule i';
WITH instant AS (
	SELECT m.test_from, array(SELECT i FROM unnest(_months('2023-01-01 00:00Z', m.known_until - interval '25 days')) i WHERE i <= m.test_from - interval '25 days' OR i >= m.test_from ORDER BY i) AS months
	FROM learned_model m WHERE m.model = 'kept'
), test AS (
	SELECT p.converted, p.rule_values[11] AS score FROM instant i, _past_leads(compiled_model('kept'), 'customer', '25 days', i.months, false, 1, i.test_from) p WHERE p.at >= i.test_from
)
SELECT count(*) = m.test_converted * (m.test_leads - m.test_converted) AS all_pairs, round(m.auc::numeric, 8) = round(avg(CASE WHEN w.score > o.score THEN 1 WHEN w.score = o.score THEN 0.5 ELSE 0 END), 8) AS same,
	(SELECT auc FROM kept WHERE name = 'rounded') = m.auc AS reported, (SELECT auc FROM kept WHERE name = 'learned') > m.auc AS learned_is_better, (SELECT substring(note FROM ';.*') FROM kept WHERE name = 'rounded') AS note
FROM test w, test o, learned_model m WHERE w.converted AND NOT o.converted AND m.model = 'kept' GROUP BY m.auc, m.test_leads, m.test_converted;
ROLLBACK;
-- a cap is for points of one sign, and moves with them
BEGIN;
UPDATE rule SET max_points = 10 WHERE model = 'guess' AND rule = 'rule a';
SELECT count(*) FROM suggest_points('guess', horizon => '25 days', at => '2025-03-01 00:00Z', draft => 'capped');
SELECT max_points, round(10 * points / 5, 3) AS expected FROM rule WHERE model = 'capped' AND rule = 'rule a';
UPDATE rule SET points = -5, max_points = -10 WHERE model = 'guess' AND rule = 'rule a';
SELECT count(*) FROM suggest_points('guess', horizon => '25 days', at => '2025-03-01 00:00Z', draft => 'turned');
ROLLBACK;
SELECT activate_model('learned') \g /dev/null
SELECT model FROM model WHERE status = 'active';
SELECT count(*) FROM verify();
DROP SCHEMA crm, crm_reports CASCADE;
