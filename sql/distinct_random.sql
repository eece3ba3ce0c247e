--
-- Different values against plain SQL over the log: points, gates and segments of
-- 60 leads on each of 80 days, in whatever order their events came and went.
--
SET timezone = 'UTC';
SELECT leadscore.create_pipeline('crm', 'empty', reports => false) \g /dev/null
SET search_path = crm, leadscore, public;
INSERT INTO signal (signal, event_kinds, distinct_on) VALUES ('pages', '{view}', '$.page');
INSERT INTO signal (signal, event_kinds) VALUES ('views', '{view}');
INSERT INTO model (model, allow_demotion) VALUES ('m', true);
INSERT INTO dimension (model, dimension) VALUES ('m', 'd');
INSERT INTO rule (model, rule, dimension, signal, aggregate, points, tiers, within, decay, decay_period, decay_percent, max_points) VALUES
    ('m', 'each', 'd', 'pages', 'sum', 10, NULL, NULL, 'none', NULL, NULL, NULL),
    ('m', 'fresh', 'd', 'pages', 'sum', 7, NULL, NULL, 'window', '9 days', NULL, 20),
    ('m', 'fading', 'd', 'pages', 'sum', 100, NULL, NULL, 'step', '5 days', 50, NULL),
    ('m', 'several', 'd', 'pages', 'tier', NULL, '{"2": 5, "4": 11}', '6 days', 'none', NULL, NULL, NULL);
INSERT INTO stage_rule (model, stage, min_score) VALUES ('m', 'iql', 0), ('m', 'mql', 1);
INSERT INTO stage_gate (model, stage, gate, signal, min_count, within) VALUES ('m', 'iql', 'any', 'pages', 1, NULL), ('m', 'mql', 'three', 'pages', 3, '8 days');
INSERT INTO segment (segment) VALUES ('broad'), ('narrow');
INSERT INTO segment_condition (segment, condition, signal, min_count, within, negate) VALUES ('broad', 'c', 'pages', 4, '12 days', false),
    ('narrow', 'c', 'pages', 2, NULL, true), ('narrow', 'v', 'views', 2, NULL, false);
SELECT activate_model('m') \g /dev/null
SELECT activate_segment('broad'), activate_segment('narrow') \g /dev/null

-- Of each lead up to 24 events with one of six pages, or a page that is no value,
-- on 60 days, in random order; some are moved, some get another page, some go.
CREATE TEMP TABLE draw AS
    SELECT lead_id, n, ('x' || left(md5(lead_id || ' at ' || n), 7))::bit(28)::int % 60 AS day, ('x' || left(md5(lead_id || ' page ' || n), 7))::bit(28)::int % 8 AS page,
        ('x' || left(md5(lead_id || ' fate ' || n), 7))::bit(28)::int % 10 AS fate
    FROM generate_series(1, 60) lead_id, generate_series(1, 24) n WHERE n <= lead_id % 25;
CREATE FUNCTION pg_temp.page(page int) RETURNS jsonb LANGUAGE sql AS
    $$ SELECT CASE page WHEN 6 THEN '{"page": null}' WHEN 7 THEN '{"page": [1, 2]}' WHEN 5 THEN '{"page": 5}' ELSE jsonb_build_object('page', '/' || page) END $$;
INSERT INTO lead (lead_id, external_id, email, consented_at, created_at) SELECT n, 'lead ' || n, n || '@mail.example', '2025-01-01', '2025-01-01' FROM generate_series(1, 60) n;
INSERT INTO event (lead_id, kind, occurred_at, properties, source_id)
    SELECT lead_id, 'view', '2025-01-02'::timestamptz + interval '1 day' * day + interval '1 minute' * n, pg_temp.page(page), n FROM draw WHERE n % 2 = 0 ORDER BY md5(lead_id || ' ' || n);
DO $$
DECLARE
    d record;
BEGIN
    FOR d IN SELECT * FROM draw WHERE n % 2 = 1 ORDER BY md5(lead_id || ' order ' || n) LOOP
        INSERT INTO event (lead_id, kind, occurred_at, properties, source_id)
            VALUES (d.lead_id, 'view', '2025-01-02'::timestamptz + interval '1 day' * d.day + interval '1 minute' * d.n, pg_temp.page(d.page), d.n);
    END LOOP;
END
$$;
UPDATE event e SET occurred_at = e.occurred_at - interval '3 days' FROM draw d WHERE d.lead_id = e.lead_id AND d.n::text = e.source_id AND d.fate = 0 AND d.day > 3;
UPDATE event e SET properties = pg_temp.page(d.page / 2) FROM draw d WHERE d.lead_id = e.lead_id AND d.n::text = e.source_id AND d.fate = 1;
DELETE FROM event e USING draw d WHERE d.lead_id = e.lead_id AND d.n::text = e.source_id AND d.fate = 2;
SELECT sweep() > 0 AS swept;
SELECT * FROM verify();

-- What is in the log: of each lead and page the days with a view
CREATE TEMP TABLE seen AS
    SELECT lead_id, properties ->> 'page' AS page, occurred_at::date AS day FROM event WHERE jsonb_typeof(properties -> 'page') IN ('string', 'number');
CREATE TEMP TABLE day AS SELECT d::date AS day FROM generate_series('2025-01-01'::timestamp, '2025-03-21', '1 day') d;
-- On a day a page counts by its newest view up to then.
CREATE TEMP TABLE truth AS
    SELECT l.lead_id, y.day, count(p.age) AS pages,
        count(p.age) * 10 AS each, least(count(*) FILTER (WHERE p.age < 9) * 7, 20) AS fresh,
        coalesce(sum(100 * power(0.5::numeric, floor(p.age / 5.0))), 0) AS fading,
        CASE WHEN count(*) FILTER (WHERE p.age < 6) >= 4 THEN 11 WHEN count(*) FILTER (WHERE p.age < 6) >= 2 THEN 5 ELSE 0 END AS several,
        count(*) FILTER (WHERE p.age < 8) AS in_8_days, count(*) FILTER (WHERE p.age < 12) AS in_12_days,
        (SELECT count(*) FROM event e WHERE e.lead_id = l.lead_id AND e.occurred_at::date <= y.day) AS views
    FROM lead l CROSS JOIN day y
        LEFT JOIN LATERAL (SELECT y.day - max(s.day) AS age FROM seen s WHERE s.lead_id = l.lead_id AND s.day <= y.day GROUP BY s.page) p ON true
    GROUP BY l.lead_id, y.day;
SELECT count(*) AS cases, max(pages) AS pages, count(*) FILTER (WHERE several = 11) AS high, count(*) FILTER (WHERE in_8_days >= 3) AS three, count(*) FILTER (WHERE in_12_days >= 4) AS broad,
    count(*) FILTER (WHERE pages < 2 AND views >= 2) AS narrow FROM truth;
SELECT t.lead_id, t.day, t.each, t.fresh, t.fading, t.several, x.*
    FROM truth t CROSS JOIN LATERAL (
        SELECT coalesce(sum(points) FILTER (WHERE rule = 'each'), 0) AS e, coalesce(sum(points) FILTER (WHERE rule = 'fresh'), 0) AS f,
            coalesce(sum(points) FILTER (WHERE rule = 'fading'), 0) AS g, coalesce(sum(points) FILTER (WHERE rule = 'several'), 0) AS s
        FROM explain_by_id(t.lead_id, t.day + time '23:59:59')) x
    WHERE t.day >= '2025-01-02' AND (t.each, t.fresh, round(t.fading, 3), t.several) IS DISTINCT FROM (x.e, x.f, x.g, x.s) LIMIT 5;
SELECT t.lead_id, t.day, t.in_12_days, t.pages, t.views FROM truth t
    WHERE t.day >= '2025-01-02' AND ((t.in_12_days >= 4) IS DISTINCT FROM in_segment_by_id(t.lead_id, 'broad', t.day + time '23:59:59')
        OR (t.pages < 2 AND t.views >= 2) IS DISTINCT FROM in_segment_by_id(t.lead_id, 'narrow', t.day + time '23:59:59')) LIMIT 5;
-- a lead is an mql from the first day on that has three pages in its window; gates do not let it fall back
SELECT t.lead_id, t.mql_on, h.mql_on AS recorded_on
    FROM (SELECT lead_id, min(day) FILTER (WHERE in_8_days >= 3) AS mql_on FROM truth GROUP BY lead_id) t
        LEFT JOIN (SELECT lead_id, min(effective_at)::date AS mql_on FROM stage_history WHERE to_stage = 'mql' GROUP BY lead_id) h USING (lead_id)
    WHERE t.mql_on IS DISTINCT FROM h.mql_on;
SELECT count(*) FROM stage_history WHERE to_stage = 'mql';
-- what has been merged counts the pages of both once
SELECT count(merge_leads(a.external_id, b.external_id)) FROM lead a JOIN lead b ON b.lead_id = a.lead_id + 1 WHERE a.lead_id % 4 = 1 \g /dev/null
SELECT count(*) AS differ FROM lead l JOIN lateral explain_by_id(l.lead_id, '2025-03-21 12:00') x ON x.rule = 'each'
    WHERE x.points <> 10 * (SELECT count(DISTINCT e.properties ->> 'page') FROM event e WHERE e.lead_id = l.lead_id AND jsonb_typeof(e.properties -> 'page') IN ('string', 'number'));
SELECT * FROM verify();
RESET search_path;
SELECT leadscore.drop_pipeline('crm');
