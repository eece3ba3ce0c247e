--
-- The history of stages: the same events give the same history, whether they
-- come one by one, in one statement, in no order and wrong at first, or are
-- replayed by rebuild(); and invariants of states over random histories. Random
-- is made of md5(), so it is the same everywhere.
--
SET jit = off;
CREATE SCHEMA history;
SET search_path = history, leadscore, leadscore_internal, public;

-- A number from 0 to below n, the same for the same words
CREATE FUNCTION pick(n bigint, VARIADIC words text[]) RETURNS int LANGUAGE sql IMMUTABLE AS $$
    SELECT (('x' || substr(md5(array_to_string(words, ' ')), 1, 8))::bit(32)::bigint % n)::int
$$;

CREATE TABLE leads AS
    SELECT i AS lead_id, '2024-01-01'::timestamptz + pick(200000, 'created', i::text) * interval '1 minute' AS created_at,
        CASE pick(4, 'mail', i::text) WHEN 0 THEN NULL WHEN 1 THEN 'x@gmail.com' WHEN 2 THEN 'x@competitor.example' ELSE 'x@example.com' END AS email,
        pick(5, 'consent', i::text) > 0 AS consented,
        jsonb_build_object('budget', true, 'authority', pick(5, 'a', i::text) > 0, 'need', true, 'timeline', pick(5, 't', i::text) > 0,
            'job_title', (ARRAY['CEO', 'head of sales', 'student', 'engineer'])[1 + pick(4, 'job', i::text)],
            'employees', pick(3000, 'size', i::text), 'industry', (ARRAY['software', 'farming'])[1 + pick(2, 'ind', i::text)], 'fit', i % 2 = 0) AS profile
    FROM generate_series(1, 60) i;

-- 30 events each, at instants of their own, all after the lead's creation
CREATE TABLE events AS
    SELECT l.lead_id, l.lead_id * 1000 + row_number() OVER (PARTITION BY l.lead_id ORDER BY e.at) AS event_id, e.at,
        (ARRAY['page_view', 'product_page_view', 'product_page_view', 'pricing_view', 'case_study_download', 'content_download', 'webinar_attended',
            'email_open', 'email_click', 'email_reply', 'cart_abandoned', 'demo_request', 'personal_demo_request', 'quote_request', 'trial_started',
            'sales_contact', 'sales_contact', 'purchase', 'lost', 'recycled', 'unsubscribe', 'points_added', 'points_removed', 'stage_set', 'unknown'])[1 + pick(25, 'kind', e.word)] AS kind,
        pick(40, 'value', e.word) AS value,
        jsonb_build_object('intent', (ARRAY['solution', 'educational'])[1 + pick(2, 'intent', e.word)],
            'stage', (ARRAY['iql', 'mql', 'sql', 'prospect', 'lost', 'recycled', 'visitor', 'nonsense'])[1 + pick(8, 'stage', e.word)]) AS properties,
        pick(100, 'batch', e.word) AS batch, pick(20, 'wrong', e.word) AS wrong
    FROM leads l,
        LATERAL (SELECT l.lead_id || ' ' || n AS word, l.created_at + pick(400 * 1440, 'at', l.lead_id::text, n::text) * interval '1 minute' + n * interval '1 microsecond' AS at
            FROM generate_series(1, 30) n) e;

-- The profiles of leads from 41 on change, ten days apart
CREATE TABLE changes AS
    SELECT l.lead_id, l.created_at + n * interval '10 days' + interval '7 microseconds' AS at,
        CASE pick(4, 'what', l.lead_id::text, n::text)
            WHEN 0 THEN '{"budget": false}' WHEN 1 THEN '{"budget": true, "fit": true}' WHEN 2 THEN '{"job_title": "CEO"}' ELSE '{"fit": false, "timeline": true}' END::jsonb AS profile,
        pick(3, 'consented', l.lead_id::text, n::text) > 0 AS consented
    FROM leads l, generate_series(1, 8) n
    WHERE l.lead_id > 40;

CREATE PROCEDURE load_leads(pipeline text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('INSERT INTO %I.lead (lead_id, email, consented_at, profile, created_at, updated_at)
        SELECT lead_id, email, CASE WHEN consented THEN created_at END, profile, created_at, created_at FROM leads', pipeline);
END $$;

CREATE PROCEDURE change_profile(pipeline text, c changes) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('UPDATE %I.lead SET profile = profile || $1, consented_at = CASE WHEN $2 THEN $3 END, updated_at = $3 WHERE lead_id = $4', pipeline)
        USING c.profile, c.consented, c.at, c.lead_id;
END $$;

-- Everything in the order in which it happened, each in its own statement
CREATE PROCEDURE load_one_by_one(pipeline text) LANGUAGE plpgsql AS $$
DECLARE
    r record;
BEGIN
    FOR r IN
        SELECT at, e, NULL::changes AS c FROM events e UNION ALL SELECT at, NULL, c FROM changes c ORDER BY 1
    LOOP
        IF r.c IS NOT NULL THEN
            CALL change_profile(pipeline, r.c);
        ELSE
            EXECUTE format('INSERT INTO %I.event (lead_id, event_id, kind, occurred_at, value, properties) SELECT $1.lead_id, $1.event_id, $1.kind, $1.at, $1.value, $1.properties', pipeline) USING r.e;
        END IF;
    END LOOP;
END $$;

CREATE PROCEDURE load_at_once(pipeline text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('INSERT INTO %I.event (lead_id, event_id, kind, occurred_at, value, properties)
        SELECT lead_id, event_id, kind, at, value, properties FROM events ORDER BY md5(event_id::text)', pipeline);
END $$;

-- In no order, a few rows at a time, and some twice or wrong at first
CREATE PROCEDURE load_in_disorder(pipeline text) LANGUAGE plpgsql AS $$
DECLARE
    c changes;
BEGIN
    FOR b IN 0..99 LOOP
        EXECUTE format('INSERT INTO %I.event (lead_id, event_id, kind, occurred_at, value, properties)
            SELECT CASE wrong WHEN 0 THEN 1 ELSE lead_id END, event_id, CASE wrong WHEN 1 THEN ''purchase'' ELSE kind END,
                CASE wrong WHEN 2 THEN at + interval ''50 days'' ELSE at END, value, properties
            FROM events WHERE batch = $1', pipeline) USING b;
        EXECUTE format('UPDATE %1$I.event e SET lead_id = o.lead_id, kind = o.kind, occurred_at = o.at
            FROM events o WHERE o.event_id = e.event_id AND o.batch = $1 AND o.wrong < 3', pipeline) USING b;
        EXECUTE format('DELETE FROM %I.event WHERE (lead_id, event_id) IN (SELECT lead_id, event_id FROM events WHERE batch = $1 AND wrong = 9)', pipeline) USING b;
    END LOOP;
    FOR c IN SELECT * FROM changes ORDER BY at LOOP
        CALL change_profile(pipeline, c);
    END LOOP;
    EXECUTE format('INSERT INTO %I.event (lead_id, event_id, kind, occurred_at, value, properties)
        SELECT lead_id, event_id, kind, at, value, properties FROM events ON CONFLICT DO NOTHING', pipeline);
END $$;

CREATE FUNCTION sweep_all(pipeline text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
BEGIN
    LOOP
        EXECUTE format('SELECT %I.sweep()', pipeline) INTO n;
        EXIT WHEN n = 0;
    END LOOP;
END $$;

-- What must be the same: the history in its order, and the standing. Causes
-- and scores are as recorded, so a late event leaves them as they were.
CREATE FUNCTION course(pipeline text) RETURNS TABLE (lead_id bigint, course text) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format('SELECT s.lead_id, (SELECT string_agg(concat_ws('' '', h.cycle, h.from_stage, h.to_stage, h.effective_at, h.model), '', '' ORDER BY h.seq)
            FROM %1$I.stage_history h WHERE h.lead_id = s.lead_id)
            || concat_ws('' '', ''; now'', s.stage, s.stage_since, s.cycle, s.promotion_blocked)
        FROM %1$I.lead_state s', pipeline);
END $$;

-- Activations of the past, in the place of the recorded ones
CREATE FUNCTION activations(models text[], ats timestamptz[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    SET LOCAL session_replication_role = replica;
    DELETE FROM model_activation;
    INSERT INTO model_activation (activation_id, model, activated_at)
        SELECT s.configuration + n, m, t FROM setting s, unnest(models, ats) WITH ORDINALITY AS a (m, t, n);
    UPDATE setting SET configuration = (SELECT max(activation_id) FROM model_activation), signals_configuration = (SELECT max(activation_id) FROM model_activation);
    SET LOCAL session_replication_role = DEFAULT;
END $$;

CREATE TABLE kept (pipeline text, lead_id bigint, course text);

-- Does everything with a pipeline of some kind; make: its model if not a preset's
CREATE PROCEDURE compare(preset text, grain interval, make text) LANGUAGE plpgsql AS $$
DECLARE
    which text;
    n bigint;
    m bigint;
BEGIN
    FOREACH which IN ARRAY '{a,b,d}'::text[] LOOP
        PERFORM leadscore.create_pipeline(which, preset, grain);
        IF make IS NOT NULL THEN
            PERFORM set_config('search_path', which || ', leadscore, pg_temp', true);
            EXECUTE make;
            PERFORM set_config('search_path', 'history, leadscore, leadscore_internal, public', true);
        END IF;
        CALL load_leads(which);
    END LOOP;
    CALL load_one_by_one('a');
    CALL load_at_once('b');
    CALL load_in_disorder('d');
    PERFORM sweep_all('a'), sweep_all('b'), sweep_all('d');

    SELECT count(*), count(DISTINCT cause) INTO n, m FROM a.stage_history;
    RAISE INFO '%: history of % kinds, % exits, % demotions', preset,
        m, (SELECT count(*) > 10 FROM a.stage_history WHERE to_stage < 'visitor'),
        (SELECT count(*) > 10 FROM a.stage_history WHERE to_stage < from_stage AND to_stage >= 'visitor');

    INSERT INTO kept SELECT 'a', * FROM course('a');
    INSERT INTO kept SELECT 'b', * FROM course('b');
    SELECT count(*) INTO n FROM kept x JOIN kept y USING (lead_id) WHERE x.pipeline = 'a' AND y.pipeline = 'b' AND x.course <> y.course AND x.lead_id <= 40;
    RAISE INFO 'one by one and at once: % differ', n;
    INSERT INTO kept SELECT 'd', * FROM course('d');
    SELECT count(*) INTO n FROM kept x JOIN kept y USING (lead_id) WHERE x.pipeline = 'a' AND y.pipeline = 'd' AND x.course <> y.course;
    RAISE INFO 'in order and in disorder: % differ', n;

    SELECT count(*) INTO n FROM a.lead_state x FULL JOIN d.lead_state y USING (lead_id) WHERE (x.activity = y.activity) IS NOT TRUE;
    RAISE INFO 'activity in order and in disorder: % differ', n;
    SELECT count(*) INTO n FROM generate_series('2024-01-01'::timestamptz, '2025-12-01', '31 days 5 hours') t, leads l
        WHERE a.score_by_id(l.lead_id, t) IS DISTINCT FROM d.score_by_id(l.lead_id, t) OR (a.score_by_id(l.lead_id, t) IS NULL) <> (t < (SELECT created_at FROM a.lead x WHERE x.lead_id = l.lead_id));
    RAISE INFO 'scores: % differ', n;

    FOREACH which IN ARRAY '{a,b,d}'::text[] LOOP
        EXECUTE format('SELECT count(*) FROM %I.verify()', which) INTO n;
        EXECUTE format('SELECT %I.rebuild()', which) INTO m;
        RAISE INFO '%: verify % rows, rebuild % changes', which, n, m;
    END LOOP;

    -- A score at T knows nothing that happens after the bucket of T
    SELECT count(*) INTO n
        FROM generate_series('2024-02-01 11:30'::timestamptz, '2025-06-01', '43 days 3 hours') t, a.model m, a.setting g,
            LATERAL (SELECT date_trunc(CASE g.grain WHEN '1 day' THEN 'day' ELSE 'hour' END, t, 'UTC') + g.grain AS ends) k,
            LATERAL (
                SELECT c.lead_id, lead_activity_agg(c.signal_id, c.at, c.count, g.grain) AS activity
                FROM (
                    SELECT l.lead_id, 0::int AS signal_id, l.created_at AS at, 1::bigint AS count FROM a.lead l WHERE l.created_at < k.ends
                    UNION ALL SELECT l.lead_id, p.signal_id, NULL, 1 FROM a.lead l, leadscore_internal.profile_signals(l) p
                    UNION ALL SELECT e.lead_id, s.signal_id, e.occurred_at, s.quantity FROM a.event e, leadscore_internal.event_signals(e) s WHERE e.occurred_at < k.ends
                ) c GROUP BY c.lead_id
            ) u JOIN a.lead_state s USING (lead_id)
        WHERE m.status = 'active' AND (score(u.activity, m.compiled, t), qualified_stage(u.activity, m.compiled, t))
            IS DISTINCT FROM (score(s.activity, m.compiled, t), qualified_stage(s.activity, m.compiled, t));
    RAISE INFO 'scores of events so far: % differ', n;

    -- explain() adds up, next_change() is the first change
    SELECT count(*) INTO n
        FROM generate_series('2024-02-01'::timestamptz, '2025-06-01', '47 days') t, a.model m, a.lead_state s
        WHERE m.status = 'active' AND score(s.activity, m.compiled, t) IS DISTINCT FROM (SELECT coalesce(sum(x.points), 0) FROM leadscore.explain(s.activity, m.compiled, t) x);
    RAISE INFO 'explanations: % do not add up', n;
    SELECT count(*) INTO n
        FROM generate_series('2024-06-01 10:00'::timestamptz, '2025-04-01', '100 days') t, a.model m, a.setting g, a.lead_state s,
            LATERAL (SELECT min(b) FROM generate_series(date_trunc(CASE g.grain WHEN '1 day' THEN 'day' ELSE 'hour' END, t, 'UTC') + g.grain, t + 40 * g.grain, g.grain) b
                WHERE qualified_stage(s.activity, m.compiled, b) <> qualified_stage(s.activity, m.compiled, t)) f (first),
            LATERAL (SELECT next_change(s.activity, m.compiled, t) AS at) c
        WHERE m.status = 'active' AND s.lead_id % 4 = 0 AND (CASE WHEN c.at <= t + 40 * g.grain THEN c.at END) IS DISTINCT FROM f.first;
    RAISE INFO 'next changes: % differ', n;

    -- Another model changes no activity
    PERFORM a.clone_model(m.model, 'other') FROM a.model m;
    UPDATE a.rule SET points = points * 2 WHERE model = 'other';
    DROP TABLE IF EXISTS before;
    CREATE TEMP TABLE before AS SELECT s.lead_id, lead_activity_send(s.activity) AS bytes FROM a.lead_state s;
    PERFORM a.activate_model('other', wait => true);
    SELECT count(*) INTO n FROM a.lead_state s JOIN before USING (lead_id) WHERE lead_activity_send(s.activity) <> bytes;
    SELECT count(*) INTO m FROM a.verify();
    RAISE INFO 'another model: % activities differ, rebuild % changes, verify % rows', n, a.rebuild(), m;

    DELETE FROM kept;
    DROP SCHEMA a, a_reports, b, b_reports, d, d_reports CASCADE;
END $$;

CALL compare('inbound', '1 day', NULL);
CALL compare('enterprise', '1 day', NULL);
CALL compare('multidimensional', '1 day', NULL);
-- Demotion, decay in days and hours, and thresholds that both cross often
CALL compare('empty', '1 hour', $$
    INSERT INTO signal (signal, event_kinds, condition, quantity) VALUES
        ('view', '{page_view,product_page_view,pricing_view}', NULL, NULL), ('ask', '{demo_request,quote_request,trial_started}', NULL, NULL),
        ('hand', '{points_added}', NULL, '$value'), ('down', '{points_removed,cart_abandoned}', NULL, NULL), ('talk', '{sales_contact}', NULL, NULL),
        ('win', '{purchase}', NULL, NULL), ('out', '{lost}', NULL, NULL), ('again', '{recycled}', NULL, NULL);
    INSERT INTO signal (signal, source, condition) VALUES ('fit', 'profile', '$.fit == true'), ('consented', 'profile', '$consented == true'), ('boss', 'profile', '$.job_title == "CEO"');
    INSERT INTO model (model, allow_demotion, demotion_margin, min_score) VALUES ('m', true, 1.5, -20);
    INSERT INTO dimension (model, dimension, max_points, weight, reset_signals) VALUES ('m', 'd', 80, 1, '{again}'), ('m', 'e', NULL, 0.5, '{}');
    INSERT INTO rule (model, dimension, rule, signal, points, aggregate, decay, decay_period, decay_percent, limit_count, limit_period, first_n, after, repeat) VALUES
        ('m', 'd', 'view', 'view', 7, 'sum', 'half_life', '100 hours', NULL, 2, 'day', NULL, NULL, false),
        ('m', 'd', 'ask', 'ask', 15.5, 'sum', 'linear', '20 days', NULL, NULL, NULL, NULL, NULL, false),
        ('m', 'd', 'hand', 'hand', 0.5, 'last', 'step', '3 days', 20, NULL, NULL, NULL, NULL, false),
        ('m', 'd', 'down', 'down', -9, 'sum', 'window', '30 hours', NULL, NULL, NULL, NULL, NULL, false),
        ('m', 'e', 'idle', 'view', -3, 'idle', 'none', NULL, NULL, NULL, NULL, NULL, '5 days', true),
        ('m', 'e', 'fit', 'fit', 20, 'last', 'none', NULL, NULL, NULL, NULL, NULL, NULL, false),
        ('m', 'e', 'talks', 'talk', 3, 'days', 'none', NULL, NULL, NULL, NULL, NULL, NULL, false),
        ('m', 'e', 'first', 'ask', 4, 'first_n', 'none', NULL, NULL, NULL, NULL, 2, NULL, false);
    INSERT INTO stage_rule (model, stage, only_if, min_score, entry_signals) VALUES
        ('m', 'iql', '', 0, '{}'), ('m', 'mql', '', 10, '{}'), ('m', 'mql', 'boss', 6, '{}'), ('m', 'sql', '', 20, '{}'), ('m', 'prospect', '', NULL, '{talk}'),
        ('m', 'customer', '', NULL, '{win}'), ('m', 'lost', '', NULL, '{out}'), ('m', 'recycled', '', NULL, '{again}');
    INSERT INTO stage_gate (model, stage, gate, signal, min_count, within, negate) VALUES
        ('m', 'iql', 'consent', 'consented', NULL, NULL, false), ('m', 'sql', 'recent', 'view', 2, '30 days', false), ('m', 'sql', 'recent', 'ask', 1, '10 days', false);
    SELECT activate_model('m', wait => true)
$$);

-- A story of one lead, step by step
SELECT pipeline FROM leadscore.create_pipeline('s', 'inbound');
SET search_path = s, leadscore, leadscore_internal, history, public;
SELECT clone_model('inbound', 'strict');
UPDATE model SET allow_demotion = true, demotion_margin = 5 WHERE model = 'strict';
SELECT activate_model('strict', wait => true);
INSERT INTO lead (lead_id, created_at, updated_at) VALUES (1, '2024-01-01 09:00', '2024-01-01 09:00');
UPDATE lead SET email = 'a@example.com', updated_at = '2024-01-02 09:00';
UPDATE lead SET consented_at = '2024-01-03 09:00', updated_at = '2024-01-03 09:00';
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'product_page_view', '2024-01-04 10:00'), (1, 'product_page_view', '2024-01-04 11:00'), (1, 'case_study_download', '2024-01-04 12:00');
-- its points fall below 31, and only later below 26
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'page_view', '2024-04-01 10:00');
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'demo_request', '2024-04-02 10:00'), (1, 'quote_request', '2024-04-02 10:00'), (1, 'personal_demo_request', '2024-04-02 10:00');
UPDATE lead SET profile = '{"budget": true, "authority": true, "need": true, "timeline": true}', updated_at = '2024-04-03 10:00';
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'sales_contact', '2024-04-04 10:00');
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES (1, 'lost', '2024-04-05 10:00', '{"reason": "price"}');
-- lost: a late event is no new sign of life, nor is a negative one; a later positive one is
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'pricing_view', '2024-04-04 11:00');
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'cart_abandoned', '2024-04-06 11:00');
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'email_reply', '2024-04-07 11:00');
-- recycled resets the engagement; so nothing is left
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'recycled', '2024-04-08 11:00'), (1, 'email_reply', '2024-04-09 11:00');
-- by hand, and back
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES (1, 'stage_set', '2024-04-10 11:00', '{"stage": "sql", "reason": "a call"}'), (1, 'sales_contact', '2024-04-11 11:00', NULL), (1, 'purchase', '2024-04-12 11:00', NULL);
-- a customer stays one, even if consent is taken back
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'disqualified', '2024-04-13 11:00');
UPDATE lead SET consented_at = NULL, updated_at = '2024-04-14 10:00';
CREATE VIEW told AS SELECT seq, cycle, from_stage, to_stage, effective_at, cause, model, score FROM stage_history WHERE lead_id = 1 ORDER BY seq;
TABLE told;
SELECT sweep();
SELECT stage, stage_since, cycle, promotion_blocked, activity FROM lead_state;
SELECT * FROM verify();
SELECT rebuild();

-- Without consent no lead is one: it falls back to visitor
INSERT INTO lead (lead_id, email, consented_at, created_at, updated_at) VALUES (2, 'b@example.com', '2024-01-01', '2024-01-01', '2024-01-01');
INSERT INTO event (lead_id, kind, occurred_at) VALUES (2, 'quote_request', '2024-01-02'), (2, 'demo_request', '2024-01-02');
UPDATE lead SET consented_at = NULL, updated_at = '2024-01-03' WHERE lead_id = 2;
INSERT INTO event (lead_id, kind, occurred_at) VALUES (2, 'quote_request', '2024-01-04');
UPDATE lead SET consented_at = '2024-01-05', updated_at = '2024-01-05' WHERE lead_id = 2;
INSERT INTO event (lead_id, kind, occurred_at) VALUES (2, 'page_view', '2024-01-06');
SELECT seq, cycle, from_stage, to_stage, effective_at, cause, score FROM stage_history WHERE lead_id = 2 ORDER BY seq;
SELECT * FROM verify();

-- Models that were active one after the other: a replay judges each event by
-- the model of its time.
DELETE FROM lead;
INSERT INTO lead (lead_id, email, consented_at, created_at, updated_at) VALUES (3, 'c@example.com', '2024-01-01', '2024-01-01', '2024-01-01');
INSERT INTO event (lead_id, kind, occurred_at) VALUES (3, 'case_study_download', '2024-01-02'), (3, 'demo_request', '2024-02-10'), (3, 'pricing_view', '2024-02-11');
SELECT clone_model('inbound', 'generous');
UPDATE rule SET points = points * 4 WHERE model = 'generous';
SELECT activate_model('generous', wait => true);
SELECT * FROM verify();
SELECT history.activations('{inbound,generous,strict,generous}', ARRAY['2024-01-01', '2024-01-20', '2024-02-05', now()]);
SELECT sweep();
SELECT seq, from_stage, to_stage, effective_at, cause, model, score FROM stage_history WHERE effective_at < '2025-01-01' ORDER BY seq;
SELECT * FROM verify();

-- A model is activated in the middle of what goes on now, and some stages are
-- due that no sweep has looked at
DROP SCHEMA s, s_reports CASCADE;
SELECT pipeline FROM leadscore.create_pipeline('s', 'inbound');
SELECT clone_model('inbound', 'strict'), clone_model('inbound', 'generous');
UPDATE model SET allow_demotion = true, demotion_margin = 5 WHERE model = 'strict';
UPDATE rule SET points = points * 4 WHERE model = 'generous';
SELECT activate_model('strict', wait => true);
SELECT history.activations('{strict}', ARRAY[now() - interval '1 year']);
INSERT INTO lead (lead_id, email, consented_at, created_at, updated_at)
    SELECT i, 'd@example.com', now() - interval '90 days', now() - interval '90 days', now() - interval '90 days' FROM generate_series(11, 20) i;
INSERT INTO event (lead_id, kind, occurred_at)
    SELECT l, (ARRAY['pricing_view', 'demo_request', 'case_study_download', 'product_page_view', 'email_open'])[1 + history.pick(5, l::text, n::text)], now() - n * interval '9 days'
    FROM generate_series(11, 20) l, generate_series(4, 9) n;
SELECT count(*) > 0 AS due FROM lead_state WHERE next_review_at < now();
SELECT activate_model('inbound') AS followed;
INSERT INTO event (lead_id, kind) SELECT l, 'email_click' FROM generate_series(11, 15) l;
SELECT activate_model('strict') AS followed;
INSERT INTO event (lead_id, kind, occurred_at) SELECT l, 'quote_request', clock_timestamp() FROM generate_series(11, 20) l;
SELECT activate_model('generous') AS followed;
INSERT INTO event (lead_id, kind, occurred_at) SELECT l, 'lost', clock_timestamp() FROM generate_series(11, 12) l;
INSERT INTO event (lead_id, kind, occurred_at) SELECT l, 'email_reply', clock_timestamp() FROM generate_series(11, 20) l;
SELECT history.sweep_all('s');
SELECT * FROM verify();
SELECT cause, count(*) > 0 AS some FROM stage_history GROUP BY 1 ORDER BY 1;
CREATE TEMP TABLE course AS SELECT * FROM history.course('s');
SELECT rebuild();
SELECT count(*) AS different FROM (SELECT * FROM history.course('s') EXCEPT TABLE course) x;
SELECT * FROM verify();

DROP SCHEMA s, s_reports CASCADE;
DROP SCHEMA history CASCADE;
