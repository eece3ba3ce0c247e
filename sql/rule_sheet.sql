--
-- A rule sheet as people write it: points for periods that have enough, a stage
-- by one of several ways, and quiet time that takes by what a lead has. All
-- numbers are worked out by hand.
--

SELECT pipeline FROM leadscore.create_pipeline('s', 'empty');
SET search_path = s, s_reports, leadscore, public;
INSERT INTO signal (signal, event_kinds) VALUES ('page', '{page_view}'), ('webinar', '{webinar_attended}'), ('demo', '{demo_request}'), ('download', '{content_download}');
INSERT INTO signal (signal, source, condition) VALUES ('consent', 'profile', '$consented == true'), ('budget', 'profile', '$.budget == true');
INSERT INTO model (model, allow_demotion) VALUES ('sheet', true);
INSERT INTO dimension (model, dimension, position) VALUES ('sheet', 'interest', 1), ('sheet', 'quiet', 2);
INSERT INTO rule (model, rule, dimension, signal, points, aggregate, min_count, period) VALUES
    ('sheet', 'page', 'interest', 'page', 1, 'sum', NULL, NULL),
    ('sheet', 'three pages in a day', 'interest', 'page', 15, 'periods', 3, 'day'),
    ('sheet', 'webinar', 'interest', 'webinar', 10, 'sum', NULL, NULL),
    ('sheet', 'two webinars in four months', 'interest', 'webinar', 20, 'periods', 2, '4 months');
INSERT INTO rule (model, rule, dimension, signal, aggregate, after, tiers, of_dimension, max_points) VALUES
    ('sheet', 'quiet month', 'quiet', 'page', 'idle', '30 days', '{"31": -15, "71": -30, "100.001": -50}', 'interest', -40);
INSERT INTO stage_rule (model, stage, min_score) VALUES ('sheet', 'iql', NULL), ('sheet', 'mql', NULL), ('sheet', 'sql', NULL);
INSERT INTO stage_gate (model, stage, gate, signal, min_count, min_points, negate) VALUES
    ('sheet', 'iql', 'consent', 'consent', NULL, NULL, false),
    ('sheet', 'mql', 'way in', 'demo', NULL, NULL, false),
    ('sheet', 'mql', 'way in', 'download', 3, NULL, false),
    ('sheet', 'mql', 'way in', NULL, NULL, 65, false),
    ('sheet', 'sql', 'points', NULL, NULL, 80, false),
    ('sheet', 'sql', 'not too good to be true', NULL, NULL, 500, true),
    ('sheet', 'sql', 'budget', 'budget', NULL, NULL, false);
SELECT activate_model('sheet');

-- A copy is the same, as a document too, and follows new names
SELECT clone_model('sheet', 'copy');
SELECT model_definition('copy') - 'model' = model_definition('sheet') - 'model' AS same, compiled_model('copy')::text::lead_model = compiled_model('copy') AS text_too;
UPDATE dimension SET dimension = 'keen' WHERE model = 'copy' AND dimension = 'interest';
UPDATE model SET model = 'second' WHERE model = 'copy';
SELECT rule, dimension, tiers, of_dimension, min_count, period FROM rule WHERE model = 'second' AND aggregate <> 'sum' ORDER BY rule;
\set VERBOSITY terse
DELETE FROM dimension WHERE model = 'second' AND dimension = 'keen';
\set VERBOSITY default
-- a cap of tiers has their sign, whatever the factor
UPDATE rule SET points = 1 WHERE model = 'second' AND rule = 'quiet month';
UPDATE rule SET points = -1 WHERE model = 'second' AND rule = 'quiet month';
SELECT compiled_model('second') IS NULL;
UPDATE rule SET points = 2, tiers = '{"31": -5, "71": -10}' WHERE model = 'second' AND rule = 'quiet month';

INSERT INTO lead (lead_id, external_id, created_at, consented_at, updated_at)
    SELECT i, 'lead ' || i, '2025-02-01 UTC', '2025-02-01 UTC', '2025-02-01 UTC' FROM generate_series(1, 4) i;
INSERT INTO event (lead_id, kind, occurred_at) VALUES
    (1, 'page_view', '2025-03-01 08:00 UTC'), (1, 'page_view', '2025-03-01 09:00 UTC'), (1, 'page_view', '2025-03-01 23:59 UTC'),
    (1, 'page_view', '2025-03-02 00:00 UTC'), (1, 'page_view', '2025-03-02 00:01 UTC'), (1, 'page_view', '2025-03-02 00:02 UTC'), (1, 'page_view', '2025-03-02 00:03 UTC'),
    (1, 'page_view', '2025-03-03 10:00 UTC'), (1, 'page_view', '2025-03-03 11:00 UTC'),
    (1, 'webinar_attended', '2025-04-30 15:00 UTC'), (1, 'webinar_attended', '2025-05-01 15:00 UTC'), (1, 'webinar_attended', '2025-05-02 15:00 UTC'),
    (1, 'page_view', '2025-05-03 10:00 UTC'),
    (2, 'demo_request', '2025-03-01 08:00 UTC'),
    (3, 'content_download', '2025-03-01 08:00 UTC'), (3, 'content_download', '2025-03-02 08:00 UTC'), (3, 'content_download', '2025-03-03 08:00 UTC');
-- pages 3, 4 and 2: 9 points and twice 15; quiet since 3 March: 15 less from 2 April
-- on. Webinars of 30 April and 1 May are of two periods, that of 2 May is the
-- second one of May to August: 39 + 30 + 20 points, 30 less. A page on 3 May ends
-- the quiet time until 2 June.
SELECT day, score('lead 1', day), (SELECT string_agg(points::text, ' ' ORDER BY dimension, rule) FROM explain('lead 1', day)) AS explained
    FROM unnest('{2025-03-01,2025-03-02,2025-03-03,2025-04-01,2025-04-02,2025-04-30,2025-05-01,2025-05-02,2025-05-03,2025-06-01,2025-06-02}'::date[]) d (date), LATERAL (SELECT (date || ' 23:59:59 UTC')::timestamptz) t (day);
SELECT dimension, rule, events, points, note FROM s.explain('lead 1', '2025-06-02 UTC');
-- it had 65 points for a month only, and has passed the gate
SELECT lead_id, from_stage, to_stage, effective_at, cause, score FROM stage_history ORDER BY lead_id, seq;
SELECT s.* FROM generate_series(1, 4) i, next_steps('lead ' || i) s;
SELECT gate, leads, met, missing, only_missing FROM bant_gaps WHERE stage = 'mql' ORDER BY gate;
-- by points alone; and how the other model differs: it takes 20 where this one takes 30
SELECT p AS points, stage_by_points(p, compiled_model('sheet')) FROM unnest('{64.999,65,79.999,80,499.999,500}'::numeric[]) p;
SELECT stage_a, stage_b, leads, difference FROM compare_models('sheet', 'second') WHERE level = 'stage' ORDER BY 1, 2;
SELECT lead_id, score_a, score_b FROM compare_models('sheet', 'second') WHERE level = 'lead';
SELECT * FROM verify();

-- A correction: without the page of 3 May the lead has never had 65 points
DELETE FROM event WHERE lead_id = 1 AND occurred_at = '2025-05-03 10:00 UTC';
SELECT from_stage, to_stage, effective_at FROM stage_history WHERE lead_id = 1 ORDER BY seq;
SELECT stage, gate, missing FROM next_steps('lead 1') WHERE NOT met;
SELECT * FROM verify();

-- Points in a gate of iql hold all the time: two leads of no points are none any more
SELECT clone_model('sheet', 'third');
INSERT INTO stage_gate (model, stage, gate, min_points) VALUES ('third', 'iql', 'known', 20);
SELECT activate_model('third', wait => true);
INSERT INTO event (lead_id, kind, occurred_at) SELECT 2, 'webinar_attended', '2025-06-01 UTC' FROM generate_series(1, 2);
SELECT lead_id, stage FROM lead_score ORDER BY lead_id;
SELECT * FROM verify();
DROP SCHEMA s, s_reports CASCADE;
