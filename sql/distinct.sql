-- Signals that count different values: "three different pages in a week"

SET client_min_messages = 'warning';
SET search_path = public, leadscore;

-- Text form: # and the hash of the value
SELECT 'day{5#00000000000000ff@2025-03-02:1,5#0123456789ABCDEF @ 2025-03-01:2, 5 # 00000000000000ff@2025-03-02:1}'::lead_activity;
SELECT 'day{5#ffffffffffffffff@2025-03-01:1,5#0000000000000001@*:-3,5@2025-03-01:4,6@2025-03-01:1}'::lead_activity;
DO $$
DECLARE
    t text;
    said text;
BEGIN
    FOREACH t IN ARRAY ARRAY['day{5#0123@2025-03-01:1}', 'day{5#0123456789abcdefg@2025-03-01:1}', 'day{5#0000000000000000@2025-03-01:1}', 'day{5#g123456789abcdef@2025-03-01:1}', 'day{5#', 'day{5#0123456789abcdef:1}'] LOOP
        BEGIN
            PERFORM t::lead_activity;
            RAISE WARNING '% was read', t;
        EXCEPTION WHEN invalid_text_representation THEN
            GET STACKED DIAGNOSTICS said = PG_EXCEPTION_DETAIL;
            RAISE WARNING '%: %', t, said;
        END;
    END LOOP;
END $$;

-- A group as before: values are apart, and what is taken back is gone
SELECT a + b AS sum, a + b - b = a AS back, a + b = b + a AS commutes, a - a AS none
FROM (VALUES ('day{5#00000000000000aa@2025-03-01:1,5#00000000000000bb@2025-03-02:1}'::lead_activity, 'day{5#00000000000000aa@2025-03-01:2,5@2025-03-02:1}'::lead_activity)) v(a, b);
SELECT * FROM unnest('day{5#00000000000000aa@2025-03-01:1,6@2025-03-02:1}'::lead_activity);
SELECT lead_activity_agg(signal_id, bucket, count, '1 day', value) = a AS rebuilt
FROM (VALUES ('day{5#00000000000000aa@2025-03-01:1,5#ffffffffffffffff@*:2,6@2025-03-02:1}'::lead_activity)) v(a), unnest(a) GROUP BY a;

-- Different pages within 7 days: page a on days 1, 2 and 9, b on day 3, c on
-- day 9. a counts in its newest bucket, so:
--   day 2: a = 1; day 3: a, b = 2; day 9: a (9), b (3), c = 3; day 10: b has
--   left (age 7) = 2; day 15: a, c at age 6 = 2; day 16: 0
CREATE TABLE m AS SELECT '{"model": "t", "signals": [{"signal": "pages", "signal_id": 5, "distinct": true}],
    "dimensions": [{"dimension": "d"}], "rules": [
    {"rule": "many", "dimension": "d", "signal": "pages", "aggregate": "tier", "within": "7 days", "tiers": {"2": 20, "3": 30}},
    {"rule": "each", "dimension": "d", "signal": "pages", "points": 1}]}'::lead_model AS m;
SELECT m::text::lead_model::text = m::text AS round_trip FROM m;
SELECT day, score('day{5#00000000000000aa@2025-03-01:1,5#00000000000000aa@2025-03-02:4,5#00000000000000aa@2025-03-09:1,5#00000000000000bb@2025-03-03:1,5#00000000000000cc@2025-03-09:2}', m, make_timestamptz(2025, 3, day, 12, 0, 0, 'UTC')) AS points, expected
FROM m, (VALUES (1, 1), (2, 1), (3, 22), (9, 33), (10, 23), (15, 23), (16, 3)) v(day, expected);
SELECT rule, events, points, note FROM m, explain('day{5#00000000000000aa@2025-03-01:1,5#00000000000000aa@2025-03-02:4,5#00000000000000aa@2025-03-09:1,5#00000000000000bb@2025-03-03:1,5#00000000000000cc@2025-03-09:2}', m, '2025-03-10 UTC');
-- a value that corrections have taken back, and counts without a value, are not there
SELECT score('day{5#00000000000000aa@2025-03-01:-1,5#00000000000000bb@2025-03-01:1,5@2025-03-01:9}', m, '2025-03-01 UTC') FROM m;
-- what does not go with different values
DO $$
DECLARE
    r text;
    said text;
BEGIN
    FOREACH r IN ARRAY ARRAY['"aggregate": "days"', '"aggregate": "last"', '"aggregate": "first_n", "first_n": 2', '"aggregate": "idle", "after": "7 days"', '"aggregate": "periods", "period": "month", "min_count": 2', '"limit_count": 1, "limit_period": "day"'] LOOP
        BEGIN
            PERFORM ('{"model": "t", "signals": [{"signal": "pages", "signal_id": 5, "distinct": true}], "dimensions": [{"dimension": "d"}], "rules": [{"rule": "r", "dimension": "d", "signal": "pages", "points": 1, ' || r || '}]}')::lead_model;
            RAISE WARNING '% was compiled', r;
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS said = PG_EXCEPTION_HINT;
            RAISE WARNING '% (%)', SQLERRM, said;
        END;
    END LOOP;
END $$;

-- In a pipeline: insert, update, delete, late events and a merge
SELECT create_pipeline('dp', 'empty');
SET search_path = dp, public, leadscore;
INSERT INTO signal (signal, event_kinds, distinct_on) VALUES ('pages', '{page_view}', '$.page');
INSERT INTO model (model) VALUES ('m');
INSERT INTO dimension (model, dimension) VALUES ('m', 'd');
INSERT INTO rule (model, dimension, rule, signal, points, aggregate, within, tiers) VALUES ('m', 'd', 'many', 'pages', NULL, 'tier', '7 days', '{"3": 50}');
INSERT INTO stage_rule (model, stage, min_score) VALUES ('m', 'iql', 0), ('m', 'mql', 50);
INSERT INTO segment (segment) VALUES ('reader');
INSERT INTO segment_condition (segment, condition, signal, min_count, within) VALUES ('reader', 'pages', 'pages', 3, '7 days');
SELECT activate_model('m');
SELECT activate_segment('reader');
INSERT INTO lead (external_id, created_at) VALUES ('a', '2025-03-01 UTC'), ('b', '2025-03-01 UTC');
INSERT INTO event (lead_id, event_id, kind, occurred_at, properties)
    SELECT lead_id, n, 'page_view', at::timestamptz, p::jsonb FROM lead, (VALUES
        (1, '2025-03-02 10:00 UTC', '{"page": "/same"}'), (2, '2025-03-02 11:00 UTC', '{"page": "/same"}'), (3, '2025-03-03 10:00 UTC', '{"page": "/same"}'),
        (4, '2025-03-04 10:00 UTC', '{"page": null}'), (5, '2025-03-04 10:00 UTC', '{"page": ["/x"]}'), (6, '2025-03-04 10:00 UTC', '{}')) v(n, at, p)
    WHERE external_id = 'a';
-- three views of one page are one; the hash is that of SQL
SELECT score(activity, compiled, '2025-03-04 UTC') AS points, count(DISTINCT u.value) AS pages,
    bool_and(u.value = ('x' || encode(substr(sha256(convert_to('/same', 'UTF8')), 1, 8), 'hex'))::bit(64)::bigint) AS hash
FROM lead_state JOIN lead USING (lead_id), model, unnest(activity) u WHERE external_id = 'a' AND u.signal_id > 0 GROUP BY 1;
-- late, out of order: 1 and 1.0 are one value, then /c makes three from March 5 until /same leaves on March 10
INSERT INTO event (lead_id, event_id, kind, occurred_at, properties) SELECT lead_id, 8, 'page_view', '2025-03-05 10:00 UTC', '{"page": "/c"}' FROM lead WHERE external_id = 'a';
INSERT INTO event (lead_id, event_id, kind, occurred_at, properties) SELECT lead_id, 7, 'page_view', '2025-03-04 10:00 UTC', '{"page": 1}' FROM lead WHERE external_id = 'a';
INSERT INTO event (lead_id, event_id, kind, occurred_at, properties) SELECT lead_id, 9, 'page_view', '2025-03-04 09:00 UTC', '{"page": 1.0}' FROM lead WHERE external_id = 'a';
SELECT d::date AS day, score(activity, compiled, d) AS points FROM lead_state JOIN lead USING (lead_id), model, generate_series('2025-03-04 UTC'::timestamptz, '2025-03-11', '1 day') d WHERE external_id = 'a' AND d::date IN ('2025-03-04', '2025-03-05', '2025-03-09', '2025-03-10') ORDER BY 1;
SELECT to_stage, effective_at AT TIME ZONE 'UTC' AS at FROM stage_history JOIN lead USING (lead_id) WHERE external_id = 'a' ORDER BY seq;
SELECT count(*) AS wrong FROM verify();
-- corrections: /c becomes /same, and is /c again; /same goes on March 3 only
UPDATE event SET properties = '{"page": "/same"}' WHERE event_id = 8;
SELECT score(activity, compiled, '2025-03-05 UTC') AS points FROM lead_state JOIN lead USING (lead_id), model WHERE external_id = 'a';
UPDATE event SET properties = '{"page": "/c"}' WHERE event_id = 8;
DELETE FROM event WHERE event_id = 3;
SELECT d::date AS day, score(activity, compiled, d) AS points FROM lead_state JOIN lead USING (lead_id), model, generate_series('2025-03-08 UTC'::timestamptz, '2025-03-09', '1 day') d WHERE external_id = 'a' ORDER BY 1;
SELECT count(*) AS wrong FROM verify();
-- distinct_on stays or is another path, and is no quantity
UPDATE signal SET distinct_on = NULL WHERE signal = 'pages';
INSERT INTO signal (signal, event_kinds, distinct_on, quantity) VALUES ('x', '{y}', '$.a', '$.b');
INSERT INTO signal (signal, event_kinds, distinct_on) VALUES ('x', '{y}', '$nothing');
UPDATE signal SET distinct_on = '$.page.url' WHERE signal = 'pages';
SELECT count(*) FROM verify();
UPDATE signal SET distinct_on = '$.page' WHERE signal = 'pages';
DO $$ BEGIN PERFORM sweep(); END $$;
SELECT count(*) AS wrong FROM verify();
RESET search_path;
DROP SCHEMA dp, dp_reports CASCADE;
DROP TABLE m;
