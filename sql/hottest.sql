--
-- The hottest leads by their stored level against the scores of all leads:
-- random events, profiles, models, corrections, merges and purges, and instants
-- to come. The level of a lead must never be below that of any later score.
--
SET timezone = 'UTC';
SELECT leadscore.create_pipeline('crm', 'empty', reports => false) \g /dev/null
SET search_path = crm, leadscore, public;

INSERT INTO signal (signal, event_kinds, distinct_on) SELECT k, ARRAY[k], CASE k WHEN 'e' THEN '$.page'::jsonpath END FROM unnest('{a,b,c,d,e,f}'::text[]) k;
INSERT INTO signal (signal, source, condition) VALUES ('rich', 'profile', '$.budget == true'), ('boss', 'profile', '$.boss == true');
INSERT INTO event_kind (kind, role) VALUES ('a', 'request'), ('call', 'outreach'), ('talk', 'sales_contact');
-- no signal counts talks yet
INSERT INTO signal (signal, event_role) VALUES ('call', 'outreach');
UPDATE setting SET first_response_within = '2 days';

-- points that fade in all ways, and some that are taken away and come back
INSERT INTO model (model, allow_demotion) VALUES ('fading', true);
INSERT INTO dimension (model, dimension, weight) VALUES ('fading', 'x', 1), ('fading', 'y', 0.5);
INSERT INTO rule (model, rule, dimension, signal, points, aggregate, tiers, within, limit_count, limit_period, decay, decay_period, decay_percent, max_points) VALUES
    ('fading', 'half', 'x', 'a', 12, 'sum', NULL, NULL, 2, 'day', 'half_life', '7 days', NULL, 90),
    ('fading', 'line', 'x', 'b', 9, 'sum', NULL, NULL, NULL, NULL, 'linear', '10 days', 20, NULL),
    ('fading', 'step', 'y', 'c', 20, 'sum', NULL, NULL, NULL, NULL, 'step', '5 days', 30, NULL),
    ('fading', 'window', 'y', 'd', 15, 'last', NULL, NULL, NULL, NULL, 'window', '12 days', NULL, NULL),
    ('fading', 'tier', 'x', 'e', NULL, 'tier', '{"1": 3, "2": 30, "4": 60}', '20 days', NULL, NULL, 'none', NULL, NULL, NULL),
    ('fading', 'minus', 'x', 'f', -25, 'sum', NULL, NULL, NULL, NULL, 'half_life', '3 days', NULL, -60),
    ('fading', 'rich', 'y', 'rich', 16, 'sum', NULL, NULL, NULL, NULL, 'none', NULL, NULL, NULL),
    ('fading', 'boss', 'x', 'boss', -8, 'sum', NULL, NULL, NULL, NULL, 'none', NULL, NULL, NULL);
INSERT INTO stage_rule (model, stage, min_score, sla) VALUES ('fading', 'iql', 0, NULL), ('fading', 'mql', 5, '30 hours'), ('fading', 'sql', 12, NULL);

-- points for quiet time, and by what a lead has
INSERT INTO model (model, min_score, max_score) VALUES ('rising', -10, 500);
INSERT INTO dimension (model, dimension, min_points, max_points, reset_signals) VALUES ('rising', 'x', NULL, 200, '{f}'), ('rising', 'y', -20, NULL, '{}');
INSERT INTO rule (model, rule, dimension, signal, points, aggregate, after, repeat, tiers, of_dimension, first_n, min_count, period, decay, decay_period, max_points, only_if, unless) VALUES
    ('rising', 'rest', 'x', 'a', 4, 'idle', '3 days', true, NULL, NULL, NULL, NULL, NULL, 'none', NULL, 40, '{a}', '{}'),
    ('rising', 'rest more', 'y', 'b', 1, 'idle', '9 days', false, '{"5": 10, "20": 40}', 'x', NULL, NULL, NULL, 'none', NULL, NULL, '{}', '{d}'),
    ('rising', 'first', 'x', 'c', 11, 'first_n', NULL, false, NULL, NULL, 3, NULL, NULL, 'half_life', '20 days', NULL, '{}', '{boss}'),
    ('rising', 'days', 'y', 'd', 6, 'days', NULL, false, NULL, NULL, NULL, NULL, NULL, 'none', NULL, 30, '{rich}', '{}'),
    ('rising', 'weeks', 'y', 'c', 13, 'periods', NULL, false, NULL, NULL, NULL, 2, 'week', 'window', '30 days', NULL, '{}', '{}'),
    ('rising', 'tired', 'x', 'd', -5, 'idle', '6 days', true, NULL, NULL, NULL, NULL, NULL, 'none', NULL, -15, '{}', '{}');
INSERT INTO stage_rule (model, stage, min_score, sla) VALUES ('rising', 'iql', NULL, NULL), ('rising', 'sql', 20, '5 days');

-- no threshold, and points of the score in a gate
INSERT INTO model (model) VALUES ('gated'), ('bare');
INSERT INTO dimension (model, dimension) VALUES ('gated', 'x'), ('bare', 'x');
INSERT INTO rule (model, rule, dimension, signal, points, decay, decay_period) SELECT m, s, 'x', s, 7, 'half_life', '30 days' FROM unnest('{gated,bare}'::text[]) m, unnest('{a,b,c,d,e}'::text[]) s;
INSERT INTO stage_rule (model, stage) SELECT m, s FROM unnest('{gated,bare}'::text[]) m, unnest('{iql,mql,sql}'::leadscore.lead_stage[]) s;
INSERT INTO stage_gate (model, stage, gate, signal) SELECT m, s, 'any', 'a' FROM unnest('{gated,bare}'::text[]) m, unnest('{iql,mql}'::leadscore.lead_stage[]) s;
INSERT INTO stage_gate (model, stage, gate, min_points) VALUES ('gated', 'sql', 'points', 25);

CREATE FUNCTION pg_temp.draw(what text, below int) RETURNS int LANGUAGE sql AS
    $$ SELECT ('x' || left(md5(what), 7))::bit(28)::int % below $$;

-- What is wrong, if anything is
CREATE FUNCTION pg_temp.wrong() RETURNS TABLE (what text, n bigint) LANGUAGE plpgsql AS $$
DECLARE
    k int;
BEGIN
    RETURN QUERY
    SELECT format('level too low %s days ahead', d), count(*)
    FROM lead_state s, setting g, model m, unnest('{0,1,2,3,4,5,6,7,9,11,13,16,20,25,31,40,60,100,200,500,3000}'::int[]) d
    WHERE m.status = 'active' AND s.configuration = g.configuration
        AND s.level < leadscore_internal.level_of(score_milli(s.activity, m.compiled, now() + interval '1 day' * d), m.compiled)
    GROUP BY d;
    FOREACH k IN ARRAY ARRAY[1, 2, 5, 20, 60, 1000] LOOP
        RETURN QUERY
        SELECT format('hottest(%s)', k), count(*)
        FROM (
                SELECT row_number() OVER (ORDER BY l.score DESC, l.lead_id) AS place, l.lead_id, l.score
                FROM lead_score l ORDER BY l.score DESC, l.lead_id LIMIT k
            ) l FULL JOIN hottest(k) h USING (place, lead_id, score)
        WHERE l IS NULL OR h IS NULL
        HAVING count(*) > 0;
    END LOOP;
    FOREACH k IN ARRAY ARRAY[1, 3, 10, 1000] LOOP
        RETURN QUERY
        SELECT format('hot_leads(%s)', k), count(*)
        FROM (SELECT v::text AS row FROM hot_leads v WHERE v.call_order <= k) v FULL JOIN (SELECT h::text AS row FROM hot_leads(k) h) h USING (row)
        WHERE v.row IS NULL OR h.row IS NULL
        HAVING count(*) > 0;
    END LOOP;
    -- what hot_leads says of a lead: the rules by explain(), the contacts by the log
    RETURN QUERY
    SELECT 'hot_leads', count(*)
    FROM hot_leads h
        JOIN _lead_now n USING (lead_id)
        LEFT JOIN LATERAL (
            SELECT r.sla FROM model m JOIN stage_rule r USING (model) WHERE m.status = 'active' AND r.stage = n.stage
        ) r ON true
        CROSS JOIN LATERAL (
            SELECT string_agg(t.rule || ' +' || t.points, ', ' ORDER BY t.points DESC, t.rule COLLATE "C") AS why
            FROM (
                SELECT e.rule, trim_scale(sum(e.points)) AS points
                FROM explain_by_id(h.lead_id) e
                WHERE e.rule IS NOT NULL
                GROUP BY e.rule
                HAVING sum(e.points) > 0
                ORDER BY sum(e.points) DESC, e.rule COLLATE "C"
                LIMIT 3
            ) t
        ) w
        CROSS JOIN LATERAL (
            SELECT min(e.occurred_at) FILTER (WHERE e.occurred_at >= h.stage_since_at) AS since,
                max(e.occurred_at) FILTER (WHERE e.occurred_at < h.stage_since_at AND e.occurred_at >= h.stage_since_at - coalesce(r.sla, interval '2 days')
                    AND e.occurred_at >= (SELECT min(g.effective_at) FROM stage_history g WHERE g.lead_id = h.lead_id AND g.cycle = n.cycle)) AS before
            FROM event e
            WHERE e.lead_id = h.lead_id AND e.kind IN ('call', 'talk') AND e.occurred_at <= now()
        ) c
    WHERE (h.why, h.due_at, h.contacted_at, h.contacted, h.breached) IS DISTINCT FROM
        (w.why, h.stage_since_at + r.sla, coalesce(c.before, c.since), coalesce(c.before, c.since) IS NOT NULL, coalesce(c.before, c.since, now()) > h.stage_since_at + r.sla)
    HAVING count(*) > 0;
    RETURN QUERY SELECT v.problem, count(*) FROM verify() v GROUP BY 1;
END
$$;

-- What hot_leads says must be what it says when a sweep has recorded it.
CREATE FUNCTION pg_temp.changed_by_sweep() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    answer bigint;
BEGIN
    CREATE TEMP TABLE unswept AS SELECT * FROM hot_leads;
    PERFORM sweep(1000);
    answer := (SELECT count(*) FROM unswept u FULL JOIN hot_leads h USING (lead_id) WHERE u::text IS DISTINCT FROM h::text);
    DROP TABLE unswept;
    RETURN answer;
END
$$;

-- A round of whatever may happen to 200 leads
CREATE FUNCTION pg_temp.go_on(round int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- late, live, and dated ahead
    INSERT INTO event (lead_id, kind, occurred_at, properties)
        SELECT 21 + pg_temp.draw(round || ' lead ' || n, 170 - n % 3 * 50), (ARRAY['a', 'b', 'c', 'd', 'e', 'f', 'call', 'talk'])[1 + pg_temp.draw(round || ' kind ' || n, 8)],
            now() + CASE n % 5 WHEN 0 THEN interval '0' WHEN 1 THEN interval '1 day' * pg_temp.draw(round || ' ahead ' || n, 20) ELSE interval '-1 hour' * pg_temp.draw(round || ' at ' || n, 1500) END,
            jsonb_build_object('page', pg_temp.draw(round || ' page ' || n, 5))
        FROM generate_series(1, 200) n;
    UPDATE event SET occurred_at = occurred_at - interval '3 days' WHERE pg_temp.draw(round || ' move ' || event_id, 20) = 0 AND lead_id < 190;
    UPDATE event SET kind = 'c' WHERE pg_temp.draw(round || ' change ' || event_id, 25) = 0 AND lead_id < 190;
    DELETE FROM event WHERE pg_temp.draw(round || ' delete ' || event_id, 15) = 0 AND lead_id < 190;
    UPDATE lead SET profile = jsonb_build_object('budget', pg_temp.draw(round || ' budget ' || lead_id, 2) = 0, 'boss', pg_temp.draw(round || ' boss ' || lead_id, 3) = 0)
        WHERE pg_temp.draw(round || ' profile ' || lead_id, 6) = 0 AND lead_id < 190;
    UPDATE lead SET contact_allowed = false WHERE pg_temp.draw(round || ' stop ' || lead_id, 40) = 0 AND lead_id < 190;
END
$$;

INSERT INTO lead (lead_id, external_id, email, consented_at, created_at)
    SELECT n, 'lead ' || n, CASE WHEN n % 9 > 0 THEN n || '@mail.example' END, CASE WHEN n % 8 > 0 THEN now() - interval '70 days' END, now() - interval '70 days' FROM generate_series(1, 200) n;
SELECT * FROM hottest();
SELECT activate_model('fading', wait => true) \g /dev/null
SELECT pg_temp.go_on(n) FROM generate_series(1, 4) n \g /dev/null
SELECT * FROM pg_temp.wrong();
SELECT min(level) = 0 AS some_low, max(level) > 1 AS some_high, count(*) FILTER (WHERE level > 0) BETWEEN 20 AND 180 AS between FROM lead_state;

-- another model: nobody knows it yet, then half of the leads do, then all
SELECT activate_model('rising');
SELECT * FROM pg_temp.wrong();
SELECT pg_temp.go_on(5) \g /dev/null
SELECT * FROM pg_temp.wrong();
SELECT sweep(60) > 0 AS swept, count(*) > 0 AS behind FROM lead_state s, setting g WHERE s.configuration < g.configuration;
SELECT * FROM pg_temp.wrong();
SELECT count(sweep(1000)) FROM generate_series(1, 2);
SELECT pg_temp.go_on(n) FROM generate_series(6, 7) n \g /dev/null
SELECT * FROM pg_temp.wrong();

-- signals change, then merges, a purge, and leads that go
UPDATE signal SET event_kinds = '{a,b}' WHERE signal = 'a';
INSERT INTO signal (signal, event_role) VALUES ('talk', 'sales_contact');
SELECT * FROM pg_temp.wrong();
SELECT pg_temp.changed_by_sweep();
SELECT * FROM pg_temp.wrong();
SELECT pg_temp.go_on(8) \g /dev/null
SELECT * FROM pg_temp.wrong();
SELECT count(merge_leads_by_id(n, n + 10)) FROM generate_series(1, 10) n;
SELECT * FROM pg_temp.wrong();
SELECT leads_left FROM purge(now() - interval '20 days') WHERE table_name = 'event';
-- not every talk is counted any more
UPDATE signal SET condition = '$.page > 2' WHERE signal = 'talk';
SELECT pg_temp.go_on(9) \g /dev/null
SELECT * FROM pg_temp.wrong();
DELETE FROM lead WHERE lead_id > 195;
SELECT activate_model('gated') \g /dev/null
SELECT pg_temp.go_on(10) \g /dev/null
SELECT * FROM pg_temp.wrong();
SELECT activate_model('bare', wait => true) \g /dev/null
SELECT pg_temp.go_on(11) \g /dev/null
SELECT * FROM pg_temp.wrong();
SELECT activate_model('fading', wait => true) \g /dev/null
SELECT * FROM pg_temp.wrong();

-- a level that is too low is found and repaired; one that is not known, or too
-- high, is right, and a sweep makes it exact
ALTER TABLE lead_state DISABLE TRIGGER USER;
CREATE TEMP TABLE right_level AS SELECT lead_id, leadscore_internal.level(s.activity, m.compiled, now()) AS level FROM lead_state s, model m WHERE m.status = 'active';
UPDATE lead_state SET level = 0 WHERE lead_id = (SELECT lead_id FROM right_level ORDER BY level DESC, lead_id LIMIT 1);
SELECT problem, stored, expected::int > 0 AS more FROM verify();
SELECT rebuild();
UPDATE lead_state SET level = CASE lead_id % 2 WHEN 0 THEN 32767 ELSE level + 1 END, updated_at = updated_at - interval '2 days';
ALTER TABLE lead_state ENABLE TRIGGER USER;
SELECT * FROM pg_temp.wrong();
SELECT sweep(1000);
SELECT count(*) AS not_exact FROM lead_state JOIN right_level r USING (lead_id) WHERE lead_state.level <> r.level;
SELECT * FROM pg_temp.wrong();

-- where levels say nothing, all leads are scored
BEGIN;
CREATE OR REPLACE FUNCTION _levels_hold() RETURNS boolean LANGUAGE sql STABLE AS 'SELECT false';
SELECT _hot_candidates(5) IS NULL AS all_of_them;
SELECT * FROM pg_temp.wrong();
ROLLBACK;

-- What is asked for
SELECT count(*) FROM hottest(0);
SELECT count(*) FROM hot_leads(0);
SELECT hottest(NULL);
SELECT hot_leads(-1);
SELECT count(*) = (SELECT count(*) FROM lead) AS every_lead FROM hottest(100000);

-- A reader sees what the views show, and row security holds.
CREATE ROLE hottest_reader;
SELECT leadscore.grant_reader('crm', 'hottest_reader') \g /dev/null
CREATE TEMP TABLE top AS SELECT * FROM hottest(5);
GRANT SELECT ON top TO hottest_reader;
SET ROLE hottest_reader;
SELECT count(*) FROM hottest(5) JOIN top USING (place, lead_id, score);
SELECT count(*) = (SELECT count(*) FROM hot_leads WHERE call_order <= 5) AS same FROM hot_leads(5);
RESET ROLE;
ALTER TABLE lead_state ENABLE ROW LEVEL SECURITY;
CREATE POLICY odd ON lead_state TO hottest_reader USING (lead_id % 2 = 1);
SET ROLE hottest_reader;
SELECT bool_and(lead_id % 2 = 1) AS odd, count(*) FROM hottest(5);
SELECT count(*) FROM ((SELECT lead_id, score FROM lead_score WHERE score IS NOT NULL ORDER BY score DESC, lead_id LIMIT 5) EXCEPT SELECT lead_id, score FROM hottest(5)) d;
RESET ROLE;
SELECT leadscore.drop_pipeline('crm') \g /dev/null
DROP OWNED BY hottest_reader;
DROP ROLE hottest_reader;
