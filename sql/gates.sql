--
-- Gates keep a lead where it is, whatever its points, and until what they ask for is
-- counted. The histories are worked out by hand: act gives 10 points, look 1, and five
-- days without an act 30; iql is from 10, and mql from 30 with a budget or two looks, if
-- there was no rant in the last 10 days.
--
SELECT leadscore.create_pipeline('g', 'empty', reports => false) \g /dev/null
SET search_path = g, leadscore, public; SET timezone = 'UTC'; SET datestyle = 'ISO';
INSERT INTO signal (signal, event_kinds) VALUES ('act', '{act}'), ('look', '{look}'), ('rant', '{rant}');
INSERT INTO signal (signal, source, condition) VALUES ('budget', 'profile', '$.budget == true');
INSERT INTO model (model) VALUES ('m');
INSERT INTO dimension (model, dimension) VALUES ('m', 'd');
INSERT INTO rule (model, dimension, rule, signal, points, decay) VALUES ('m', 'd', 'act', 'act', 10, 'none'), ('m', 'd', 'look', 'look', 1, 'none');
INSERT INTO rule (model, dimension, rule, signal, points, aggregate, after, only_if) VALUES ('m', 'd', 'quiet', 'act', 30, 'idle', '5 days', '{act}');
INSERT INTO stage_rule (model, stage, min_score) VALUES ('m', 'iql', 10), ('m', 'mql', 30);
INSERT INTO stage_gate (model, stage, gate, signal, min_count, within, negate) VALUES
    ('m', 'mql', 'means', 'budget', NULL, NULL, false), ('m', 'mql', 'means', 'look', 2, NULL, false), ('m', 'mql', 'calm', 'rant', NULL, '10 days', true);
SELECT activate_model('m', wait => true) \g /dev/null
CREATE FUNCTION history(lead bigint) RETURNS TABLE (stage lead_stage, since timestamptz, score numeric, cause text) LANGUAGE sql
    BEGIN ATOMIC SELECT to_stage, effective_at, h.score, h.cause FROM stage_history h WHERE lead_id = lead ORDER BY seq; END;
INSERT INTO lead (lead_id, profile, created_at, updated_at) SELECT i, CASE WHEN i IN (2, 4) THEN '{"budget": true}'::jsonb ELSE '{}' END, '2025-01-01', '2025-01-01' FROM generate_series(1, 5) i;
INSERT INTO event (lead_id, kind, occurred_at) SELECT i, 'act', '2025-03-01 12:00' FROM generate_series(1, 4) i;
INSERT INTO event (lead_id, kind, occurred_at) VALUES (3, 'look', '2025-03-02'), (4, 'rant', '2025-03-02 10:00');
SELECT sweep() \g /dev/null
-- 40 points and no means: no time will change that
SELECT * FROM history(1);
SELECT stage, score_by_id(1), next_review_at FROM lead_state WHERE lead_id = 1;
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'look', '2025-02-20'), (1, 'act', '2025-03-04');
SELECT * FROM history(1);
-- with means time promotes, and an act that comes late puts it off, to 50 points
SELECT * FROM history(2);
INSERT INTO event (lead_id, kind, occurred_at) VALUES (2, 'act', '2025-03-04 08:00');
SELECT * FROM history(2);
-- a second look, which comes late
SELECT * FROM history(3);
INSERT INTO event (lead_id, kind, occurred_at) VALUES (3, 'look', '2025-03-05 09:00');
SELECT stage, next_review_at FROM lead_state WHERE lead_id = 3;
SELECT sweep() \g /dev/null
SELECT * FROM history(3);
-- the tenth day after the rant; without it the fifth after the act
SELECT * FROM history(4);
DELETE FROM event WHERE kind = 'rant';
SELECT * FROM history(4);
-- a budget at last
UPDATE lead SET profile = '{"budget": true}' WHERE lead_id = 1;
SELECT stage, cause FROM history(1);
-- points of time to come: five days without an act promote if there are means then
INSERT INTO event (lead_id, kind) VALUES (5, 'act');
SELECT stage, next_review_at FROM lead_state WHERE lead_id = 5;
INSERT INTO event (lead_id, kind) VALUES (5, 'look'), (5, 'look');
SELECT stage, next_review_at = date_trunc('day', now() + interval '5 days', 'UTC') AS due FROM lead_state WHERE lead_id = 5;
DELETE FROM event WHERE lead_id = 5 AND kind = 'look' AND event_id = (SELECT max(event_id) FROM event);
SELECT stage, next_review_at FROM lead_state WHERE lead_id = 5;
SELECT * FROM verify();
-- a model that asks for no gates
SELECT clone_model('m', 'open') \g /dev/null
UPDATE model SET gates_required = false WHERE model = 'open';
SELECT activate_model('open', wait => true) \g /dev/null
SELECT stage, next_review_at = date_trunc('day', now() + interval '5 days', 'UTC') AS due FROM lead_state WHERE lead_id = 5;
-- and one that demotes: nothing is sure while points fade
SELECT clone_model('m', 'strict') \g /dev/null
UPDATE model SET allow_demotion = true WHERE model = 'strict';
UPDATE rule SET decay = 'linear', decay_period = '20 days' WHERE model = 'strict' AND rule = 'act';
SELECT activate_model('strict', wait => true) \g /dev/null
INSERT INTO lead (lead_id, created_at, updated_at) VALUES (6, now() - interval '1 day', now() - interval '1 day');
INSERT INTO event (lead_id, kind) VALUES (6, 'act');
SELECT stage, next_review_at = date_trunc('day', now() + interval '1 day', 'UTC') AS due FROM lead_state WHERE lead_id = 6;
SELECT * FROM verify();
SELECT leadscore.drop_pipeline('g');
