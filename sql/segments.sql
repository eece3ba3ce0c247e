--
-- Segments: who is in them, from which instant on and why
--

SELECT pipeline FROM leadscore.create_pipeline('s', 'empty', reports => false);
SET search_path = s, leadscore, public;
INSERT INTO signal (signal, event_kinds) VALUES ('view', '{view}'), ('buy', '{buy}');
INSERT INTO model (model, allow_demotion) VALUES ('m', true);
INSERT INTO dimension (model, dimension) VALUES ('m', 'interest');
INSERT INTO rule (model, dimension, rule, signal, points, decay, decay_period) VALUES ('m', 'interest', 'view', 'view', 10, 'half_life', '10 days');
INSERT INTO stage_rule (model, stage, min_score, entry_signals) VALUES ('m', 'iql', 10, '{}'), ('m', 'mql', 20, '{}'), ('m', 'customer', NULL, '{buy}');
SELECT activate_model('m');

-- One segment of each kind, and what is made of them. They are activated before
-- there is a lead: so they hold for all the past.
INSERT INTO segment (segment) VALUES ('viewer'), ('keen'), ('warm'), ('hot'), ('middle'), ('spanish'), ('quiet'), ('keen_spanish'), ('only_keen');
INSERT INTO segment (segment, persona, ideal_customer, min_match_share) VALUES ('buyer', true, true, 0.6), ('browser', true, false, 0.5);
INSERT INTO segment_condition (segment, condition, signal, min_count, within) VALUES
    ('viewer', 'views', 'view', NULL, NULL), ('keen', 'views', 'view', 3, '7 days');
INSERT INTO segment_condition (segment, condition, dimension, min_points) VALUES ('warm', 'interest', 'interest', 5), ('hot', 'score', NULL, 15);
INSERT INTO segment_condition (segment, condition, stage_from, stage_to) VALUES ('middle', 'stage', 'iql', 'mql');
INSERT INTO segment_condition (segment, condition, lead_condition) VALUES ('spanish', 'firm', '$country == "ES" && $.employees > 50');
INSERT INTO segment_condition (segment, condition, signal, within, negate) VALUES ('quiet', 'no view', 'view', '14 days', true);
INSERT INTO segment_condition (segment, condition, in_segment, negate) VALUES
    ('keen_spanish', 'keen', 'keen', false), ('keen_spanish', 'spanish', 'spanish', false), ('only_keen', 'keen', 'keen', false), ('only_keen', 'not spanish', 'spanish', true);
-- 'engaged' is met by either of its two rows; weights 3, 2 and 5 of 10, so 6 are needed
INSERT INTO segment_condition (segment, condition, lead_condition, signal, min_count, within, stage_from, weight) VALUES
    ('buyer', 'firm', '$country == "ES"', NULL, NULL, NULL, NULL, 3),
    ('buyer', 'engaged', NULL, 'view', 3, '7 days', NULL, 2), ('buyer', 'engaged', NULL, 'buy', NULL, NULL, NULL, 2),
    ('buyer', 'stage', NULL, NULL, NULL, NULL, 'mql', 5),
    -- 1 of 3 is 0.333, and 2 of 3 more than half
    ('browser', 'a', NULL, 'view', NULL, NULL, NULL, 1), ('browser', 'b', NULL, 'view', 2, NULL, NULL, 1), ('browser', 'c', NULL, 'view', 9, NULL, NULL, 1);
-- what others name comes first
SELECT activate_segment('keen_spanish');
SELECT count(activate_segment(s)) FROM unnest('{viewer,keen,warm,hot,middle,spanish,quiet,keen_spanish,only_keen,buyer,browser}'::text[]) WITH ORDINALITY AS u (s, n);
SELECT segment, status, activated_by = session_user AS by_me, activated_at = (SELECT a.activated_at FROM segment_activation a WHERE a.segment = s.segment) AS at FROM segment s ORDER BY segment_id;
-- conditions on the lead have become profile signals; the same condition is the same signal
SELECT c.segment, c.condition, c.signal, g.source, g.condition FROM segment_condition c JOIN signal g USING (signal) WHERE c.lead_condition IS NOT NULL ORDER BY 1, 2;

CREATE VIEW told AS
    SELECT lead_id, segment, string_agg(CASE WHEN is_member THEN '+' ELSE '-' END || CASE WHEN cause NOT IN ('definition', 'activation') THEN to_char(effective_at, 'MM-DD HH24:MI') || ' ' ELSE '' END || cause, ', ' ORDER BY seq) AS course
    FROM segment_history GROUP BY 1, 2 ORDER BY 1, segment COLLATE "C";
\set check 'SELECT * FROM verify();'

-- A lead, worked by hand. Points of a view on day d: 10 * 2^(-age / 10).
--   01-02 10:00  10.00
--   01-03 00:00  9.33, below the 10 of iql
--   01-03 11:00  10 + 9.33 = 19.33
--   01-05 12:00  10 + 8.71 + 8.12 = 26.83, and 26.83 * 2^(-n / 10) after n days:
--                below 20 for n > 4.2: mql to iql on 01-10; below 15 for n > 8.4: on 01-14;
--                below 10 for n > 14.2: iql to visitor on 01-20; below 5 for n > 24.2: on 01-30
-- 3 views within 7 days: from 01-05 12:00 until 01-02 is 7 days ago, on 01-09.
-- No view for 14 days: at first, until 01-02 10:00, and from 01-19 on.
-- Weights of buyer: 3 (Spain) at first, 3 + 2 + 5 from 01-05 12:00, 3 + 5 from 01-09, 3 from 01-10.
INSERT INTO lead (lead_id, country, profile, created_at, updated_at) VALUES (1, 'ES', '{"employees": 100}', '2025-01-01', '2025-01-01');
SELECT * FROM told;
INSERT INTO event (lead_id, event_id, kind, occurred_at) VALUES (1, 101, 'view', '2025-01-02 10:00'), (1, 102, 'view', '2025-01-03 11:00'), (1, 103, 'view', '2025-01-05 12:00');
-- what time changed later nobody has recorded yet, but each query knows it
SELECT * FROM told WHERE segment IN ('keen', 'quiet');
CREATE TEMP VIEW asked AS
    SELECT l.lead_id, g.segment, d.at, in_segment_by_id(l.lead_id, g.segment, d.at) AS is_member
    FROM lead l, segment g, generate_series(timestamptz '2024-12-30', '2025-02-10', '6 hours') AS d (at);
CREATE TEMP TABLE before AS TABLE asked;
SELECT segment, lead_id, entered_at FROM segment_members ORDER BY segment COLLATE "C";
SELECT sweep();
SELECT * FROM told;
SELECT segment, lead_id, is_persona, is_ideal_customer, entered_at FROM segment_members ORDER BY segment COLLATE "C";
SELECT count(*) > 1000 AS many, count(*) FILTER (WHERE is_member) > 200 AS some FROM before;
TABLE before EXCEPT TABLE asked;
-- to the instant: it enters with the event, and leaves with the day
SELECT at, in_segment_by_id(1, 'keen', at) AS keen, in_segment_by_id(1, 'quiet', at) AS quiet
    FROM unnest('{2025-01-02 09:59:59.999999,2025-01-02 10:00,2025-01-05 11:59:59.999999,2025-01-05 12:00,2025-01-08 23:59:59.999999,2025-01-09,2025-01-18 23:59:59.999999,2025-01-19}'::timestamptz[]) AS at;
SELECT segments = ARRAY(SELECT segment_id FROM segment WHERE segment IN ('viewer', 'spanish', 'quiet', 'browser') ORDER BY 1) AS ids, segments_since FROM lead_state;
:check

-- The same in any other way: all at once, in the other order, by COPY, as a batch with the lead
INSERT INTO lead (lead_id, country, profile, created_at, updated_at) SELECT i, 'ES', '{"employees": 100}', '2025-01-01', '2025-01-01' FROM generate_series(2, 3) i;
INSERT INTO event (lead_id, kind, occurred_at) VALUES (2, 'view', '2025-01-05 12:00');
INSERT INTO event (lead_id, kind, occurred_at) VALUES (2, 'view', '2025-01-02 10:00');
INSERT INTO event (lead_id, kind, occurred_at) VALUES (2, 'view', '2025-01-03 11:00');
COPY event (lead_id, kind, occurred_at) FROM STDIN;
3	view	2025-01-03 11:00:00
3	view	2025-01-02 10:00:00
3	view	2025-01-05 12:00:00
\.
WITH l AS (INSERT INTO lead (lead_id, country, profile, created_at, updated_at) VALUES (4, 'ES', '{"employees": 100}', '2025-01-01', '2025-01-01') RETURNING lead_id)
    INSERT INTO event (lead_id, kind, occurred_at) SELECT lead_id, 'view', at::timestamptz FROM l, unnest('{2025-01-05 12:00,2025-01-03 11:00,2025-01-02 10:00}'::text[]) at;
SELECT sweep();
SELECT lead_id, count(*) FROM told GROUP BY 1 ORDER BY 1;
SELECT segment, course FROM told WHERE lead_id > 1 EXCEPT SELECT segment, course FROM told WHERE lead_id = 1;
:check
DELETE FROM lead WHERE lead_id > 1;
SELECT count(*) AS left_over FROM segment_log WHERE lead_id > 1;

-- A lead whose first view has the instant of its birth was never quiet, in whatever way they are written.
-- Points are 10, then 9.33 on 01-02 (below the 10 of iql), 5.0 on 01-11, and 4.67 on 01-12; no view for 14 days on 01-15.
\set born '''2025-01-01 08:00'''
INSERT INTO lead (lead_id, created_at, updated_at) SELECT i, :born, :born FROM unnest('{21,22,23,24,25,28}'::int[]) i;
-- one statement after the other
INSERT INTO event (lead_id, event_id, kind, occurred_at) VALUES (21, 2101, 'view', :born);
SELECT lead_id, segment, course FROM told WHERE lead_id BETWEEN 21 AND 22;
-- late, after another event, which is deleted then, and after a sweep; twice, of which one is deleted; later first, and moved
INSERT INTO event (lead_id, event_id, kind, occurred_at) VALUES (22, 2201, 'view', '2025-01-03');
SELECT sweep() > 0 AS swept;
INSERT INTO event (lead_id, event_id, kind, occurred_at) VALUES (22, 2202, 'view', :born), (23, 2301, 'view', '2025-01-03');
INSERT INTO event (lead_id, event_id, kind, occurred_at) VALUES (23, 2302, 'view', :born), (24, 2401, 'view', :born);
INSERT INTO event (lead_id, event_id, kind, occurred_at) VALUES (24, 2402, 'view', :born), (25, 2501, 'view', '2025-01-03');
DELETE FROM event WHERE event_id IN (2201, 2301, 2402);
UPDATE event SET occurred_at = :born WHERE event_id = 2501;
-- with the lead: in one statement, by a call, by COPY
WITH l AS (INSERT INTO lead (lead_id, created_at, updated_at) VALUES (26, :born, :born) RETURNING lead_id)
    INSERT INTO event (lead_id, kind, occurred_at) SELECT lead_id, 'view', :born FROM l;
SELECT setval('lead_lead_id_seq', 26) \g /dev/null
SELECT lead_id FROM track('born', 'view', occurred_at => :born);
COPY event (lead_id, event_id, kind, occurred_at) FROM STDIN;
28	2801	view	2025-01-01 08:00:00
\.
-- a lead that is younger than its first event, as it was created later
INSERT INTO lead (lead_id, created_at, updated_at) VALUES (29, '2025-01-07', '2025-01-07');
INSERT INTO event (lead_id, event_id, kind, occurred_at) VALUES (29, 2901, 'view', :born);
SELECT count(sweep()) AS swept;
SELECT segment, course, string_agg(lead_id::text, ',' ORDER BY lead_id) AS leads FROM told WHERE lead_id BETWEEN 21 AND 29 GROUP BY 1, 2 ORDER BY segment COLLATE "C";
:check
-- who is asked about it says the same; of what was wrong meanwhile the log tells, but not what one transaction took back
SELECT bool_or(in_segment_by_id(i, 'quiet', :born)) AS born, bool_and(in_segment_by_id(i, 'quiet', '2025-01-15')) AS later FROM generate_series(21, 29) i;
SELECT lead_id, entered, cause, superseded_at IS NULL AS valid FROM segment_log WHERE segment = 'quiet' AND lead_id IN (21, 26, 27) ORDER BY lead_id, seq;
BEGIN;
INSERT INTO lead (lead_id, created_at, updated_at) VALUES (30, :born, :born);
SELECT course FROM told WHERE lead_id = 30;
INSERT INTO event (lead_id, event_id, kind, occurred_at) VALUES (30, 3001, 'view', :born);
COMMIT;
SELECT seq > 0 AS numbered, entered, cause, superseded_at IS NULL AS valid FROM segment_log WHERE lead_id = 30 AND segment = 'quiet';
-- it was a mistake: it was quiet all the time
DELETE FROM event WHERE event_id IN (2101, 3001);
SELECT lead_id, segment, course FROM told WHERE lead_id IN (21, 30);
:check
-- from the log: nothing differs
CREATE TEMP TABLE told_before AS TABLE told;
SELECT rebuild();
(TABLE told EXCEPT TABLE told_before) UNION ALL (TABLE told_before EXCEPT TABLE told);
DELETE FROM lead WHERE lead_id > 1;

-- A late event: keen from 01-04 09:00 on, as views of 01-02, 01-03 and 01-04
-- are three; on 01-09 three are left, on 01-10 two. 10 + 18.04 = 28.04 points on
-- 01-04, 10 + 26.16 = 36.16 on 01-05: below 20 for n > 8.5, on 01-14; 15: n > 12.7,
-- 01-18; 10: n > 18.5, 01-24; 5: n > 28.5, 02-03.
INSERT INTO event (lead_id, event_id, kind, occurred_at) VALUES (1, 104, 'view', '2025-01-04 09:00');
SELECT * FROM told;
:check
-- it stays on record what was valid before
SELECT count(*) FILTER (WHERE superseded_at IS NULL) AS valid, count(*) FILTER (WHERE superseded_at IS NOT NULL) > 5 AS superseded, bool_and(changed_at >= recorded_at) AS ordered FROM segment_log;
-- it is moved to another day, and is gone: all is as before
UPDATE event SET occurred_at = '2025-01-09 08:00' WHERE event_id = 104;
-- on 01-09 before 08:00 the views of 01-03 and 01-05 are two; then three, until 01-03 is 7 days ago
SELECT * FROM told WHERE segment IN ('keen', 'quiet');
:check
DELETE FROM event WHERE event_id = 104;
SELECT sweep();
SELECT * FROM told;
TABLE before EXCEPT TABLE asked;
:check

-- By profile: Spanish on 01-10, not with employees that are no number on 01-12
INSERT INTO lead (lead_id, created_at, updated_at) VALUES (5, '2025-01-01', '2025-01-01');
UPDATE lead SET country = 'ES', profile = '{"employees": 60}', updated_at = '2025-01-10 15:00' WHERE lead_id = 5;
UPDATE lead SET profile = '{"employees": "many"}', updated_at = '2025-01-12 15:00' WHERE lead_id = 5;
SELECT * FROM told WHERE lead_id = 5;
-- an event late, but before the profile changed: the order of causes stays
INSERT INTO event (lead_id, kind, occurred_at) VALUES (5, 'view', '2025-01-11 10:00'), (5, 'view', '2025-01-11 10:00'), (5, 'view', '2025-01-11 10:00');
SELECT sweep();
-- 30 points: mql at once, until 5.8 days later (01-17), iql for 15.8 (01-27); hot for 10 (15.0 on 01-21 is enough, 01-22 not); warm for 25.8 (02-06)
-- keen 01-11 to 01-18; keen_spanish until 01-12 15:00, only_keen from then on
SELECT * FROM told WHERE lead_id = 5;
:check

-- Personas: shares of weights, rounded down; explained row by row
SELECT lead_id, p.* FROM lead, persona_match_by_id(lead_id) p ORDER BY 1, match_share DESC;
SELECT * FROM explain_segment_by_id(1, 'buyer');
SELECT * FROM explain_segment_by_id(1, 'warm');
SELECT * FROM explain_segment_by_id(5, 'only_keen');
SELECT * FROM explain_segment_by_id(5, 'quiet');
SELECT * FROM explain_segment_by_id(5, 'middle');
-- the other alternative
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'buy', '2025-02-01 10:00');
SELECT * FROM explain_segment_by_id(1, 'buyer');
SELECT * FROM persona_match_by_id(1);
SELECT course FROM told WHERE lead_id = 1 AND segment IN ('buyer', 'middle');
SELECT in_segment_by_id(6, 'keen') AS no_lead, in_segment_by_id(1, NULL) AS no_segment, in_segment_by_id(1, 'buyer', NULL) AS now, in_segment_by_id(1, 'buyer', '-infinity') AS first, in_segment_by_id(1, 'buyer', 'infinity') AS last;
SELECT * FROM persona_match_by_id(6);
SELECT * FROM explain_segment_by_id(6, 'buyer');
:check

-- Events that are dated ahead: by day
INSERT INTO lead (lead_id, external_id, created_at, updated_at) VALUES (7, 'seven', '2025-01-01', '2025-01-01');
INSERT INTO event (lead_id, event_id, kind, occurred_at) SELECT 7, 700 + i, 'view', now() + interval '3 days' FROM generate_series(1, 3) i;
SELECT at - date_trunc('day', now()) AS after, in_segment('seven', 'keen', at) AS keen, in_segment('seven', 'quiet', at) AS quiet, in_segment('seven', 'only_keen', at) AS only_keen, in_segment('seven', 'middle', at) AS middle
    FROM unnest('{0,2,3,9,10,16,17}'::int[]) AS d (n), LATERAL (SELECT date_trunc('day', now(), 'UTC') + n * interval '1 day' AS at) a;
SELECT segment FROM segment_members WHERE lead_id = 7 ORDER BY 1;
SELECT next_review_at = date_trunc('day', now() + interval '3 days', 'UTC') AS due FROM lead_state WHERE lead_id = 7;
:check
DELETE FROM event WHERE event_id BETWEEN 701 AND 703;
SELECT in_segment('seven', 'keen', now() + interval '4 days') AS keen, next_review_at FROM lead_state WHERE lead_id = 7;
:check
-- a purchase that is dated ahead waits for its time
INSERT INTO event (lead_id, event_id, kind, occurred_at) VALUES (7, 704, 'buy', now() + interval '1 hour');
SELECT in_segment('seven', 'buyer', now()) AS now, in_segment('seven', 'buyer', now() + interval '59 minutes') AS before, in_segment('seven', 'buyer', now() + interval '1 hour') AS then;
:check
DELETE FROM lead WHERE lead_id = 7;

-- A segment that is activated later: members enter it then, by definition
INSERT INTO segment (segment) VALUES ('late');
INSERT INTO segment_condition (segment, condition, signal) VALUES ('late', 'views', 'view');
SELECT * FROM segment_preview('late');
SELECT * FROM segment_preview_leads('late');
SELECT activate_segment('late', wait => true);
SELECT lead_id, is_member, cause, effective_at = (SELECT activated_at FROM segment_activation WHERE segment = 'late') AS at_activation FROM segment_history WHERE segment = 'late' ORDER BY 1;
SELECT in_segment_by_id(1, 'late', '2025-06-01') AS past, in_segment_by_id(1, 'late') AS now;
:check
-- an event of the past changes nothing in its history: those of then were not asked
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'view', '2025-01-06 12:00');
SELECT lead_id, is_member, cause FROM segment_history WHERE segment = 'late' ORDER BY 1;
DELETE FROM event WHERE lead_id = 1 AND occurred_at = '2025-01-06 12:00';
-- it takes another definition from a copy: who leaves and who enters
INSERT INTO lead (lead_id, country, created_at, updated_at) SELECT i, 'FR', '2025-03-01', '2025-03-01' FROM generate_series(11, 13) i;
INSERT INTO event (lead_id, kind, occurred_at) VALUES (11, 'view', '2025-03-02');
SELECT clone_segment('late', 'draft');
SELECT * FROM segment_preview('draft', 'late');
INSERT INTO segment_condition (segment, condition, lead_condition) VALUES ('draft', 'views', '$country == "FR"');
UPDATE segment_condition SET min_count = 3 WHERE segment = 'draft' AND signal = 'view';
SELECT * FROM segment_preview('draft', 'late');
SELECT * FROM segment_preview_leads('draft', 'late');
SELECT activate_segment('draft', 'late', wait => true);
SELECT segment_id = (SELECT a.segment_id FROM segment_activation a WHERE a.segment = 'late' LIMIT 1) AS same_number, status, (SELECT count(*) FROM segment WHERE segment = 'draft') AS drafts, (SELECT count(*) FROM segment_activation WHERE segment = 'late') AS activations FROM segment WHERE segment = 'late';
SELECT count(*) FILTER (WHERE is_member) AS entered, count(*) FILTER (WHERE NOT is_member) AS left_it FROM segment_history h
    WHERE segment = 'late' AND cause = 'definition' AND effective_at = (SELECT max(activated_at) FROM segment_activation);
SELECT lead_id FROM segment_members WHERE segment = 'late' ORDER BY 1;
:check
-- out of use: its members leave it, its history stays
SELECT retire_segment('late');
SELECT lead_id FROM segment_members WHERE segment = 'late';
SELECT in_segment_by_id(12, 'late') AS now, in_segment_by_id(12, 'late', (SELECT max(effective_at) FROM segment_history WHERE segment = 'late' AND is_member)) AS then;
SELECT sweep() > 0 AS swept;
SELECT lead_id, string_agg(CASE WHEN is_member THEN '+' ELSE '-' END || cause, ' ' ORDER BY seq) AS course FROM segment_history WHERE segment = 'late' GROUP BY 1 ORDER BY 1;
SELECT * FROM explain_segment_by_id(12, 'late');
:check
-- and in use again
SELECT * FROM segment_preview('late');
SELECT activate_segment('late', wait => true);
SELECT lead_id, string_agg(CASE WHEN is_member THEN '+' ELSE '-' END || cause, ' ' ORDER BY seq) AS course FROM segment_history WHERE segment = 'late' GROUP BY 1 ORDER BY 1;
:check

-- Another model: what asks for points and stages follows it from then on
SELECT clone_model('m', 'n');
UPDATE rule SET points = 3, decay = 'none', decay_period = NULL WHERE model = 'n';
SELECT activate_model('n', wait => true);
-- 9 points of lead 1 and lead 5, 3 of lead 11: enough to be warm, without decay
SELECT lead_id, segment, is_member, cause, effective_at = (SELECT activated_at FROM model WHERE model = 'n') AS at_activation FROM segment_history WHERE cause = 'activation' ORDER BY lead_id, segment COLLATE "C";
:check
SELECT clone_model('n', 'o');
DELETE FROM rule WHERE model = 'o';
DELETE FROM dimension WHERE model = 'o';
SELECT activate_model('o');
SELECT model FROM model WHERE status = 'active';

-- People: merged, forgotten, deleted
INSERT INTO lead (lead_id, external_id, created_at, updated_at) VALUES (21, 'ann', '2025-04-01', '2025-04-01'), (22, 'ann2', '2025-04-01', '2025-04-01');
INSERT INTO event (lead_id, kind, occurred_at) VALUES (21, 'view', '2025-04-02'), (21, 'view', '2025-04-03'), (22, 'view', '2025-04-04');
-- three views in three days are those of both
SELECT merge_leads('ann', 'ann2') IS NOT NULL AS merged;
SELECT * FROM told WHERE lead_id IN (21, 22) AND segment IN ('viewer', 'keen');
SELECT in_segment('ann2', 'keen', '2025-04-05') AS by_other_name;
:check
CREATE TEMP TABLE kept AS SELECT * FROM segment_history WHERE lead_id = 21;
SELECT forget_lead('ann') IS NOT NULL AS forgotten;
TABLE kept EXCEPT SELECT * FROM segment_history;
:check
DELETE FROM lead WHERE lead_id = 21;
SELECT count(*) FROM segment_log WHERE lead_id IN (21, 22);
:check

-- What is damaged is found, and repaired
SET session_replication_role = replica;
UPDATE lead_state SET segments = '{1}' WHERE lead_id = 5;
UPDATE lead_state SET segments_since = '2025-01-01' WHERE lead_id = 11;
DELETE FROM segment_log WHERE lead_id = 1 AND seq = (SELECT max(seq) FROM segment_log WHERE lead_id = 1 AND superseded_at IS NULL AND segment = 'keen');
UPDATE segment_log SET cause = 'time' WHERE lead_id = 12 AND cause = 'created';
INSERT INTO segment_log (lead_id, seq, segment, entered, effective_at, cause) VALUES (13, 1000, 'keen', true, now(), 'event'), (99, 1, 'keen', true, now(), 'event');
RESET session_replication_role;
SELECT lead_id, problem, regexp_replace(stored, '20(2[6-9]|[3-9]).*', '...') AS stored, regexp_replace(expected, '20(2[6-9]|[3-9]).*', '...') AS expected FROM verify() ORDER BY 1, 2;
SELECT rebuild();
:check
SELECT rebuild();
SELECT * FROM told WHERE lead_id = 1;
-- numbers that are of no segment, of one twice, or nothing
SET session_replication_role = replica;
UPDATE lead_state SET segments = segments || '{NULL,-1,2147483647}' || segments WHERE lead_id = 1;
UPDATE lead_state SET segments = segments || segments WHERE lead_id = 5;
RESET session_replication_role;
:check
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'view', '2025-06-01');
SELECT segments FROM lead_state WHERE lead_id = 1;
SELECT rebuild();
SELECT lead_id, segments FROM lead_state WHERE lead_id IN (1, 5) ORDER BY 1;
:check

-- Hours: within 3 hours are the hours 10, 11 and 12
SELECT pipeline FROM leadscore.create_pipeline('h', 'empty', '1 hour', reports => false);
SET search_path = h, leadscore, public;
INSERT INTO signal (signal, event_kinds) VALUES ('view', '{view}');
INSERT INTO model (model) VALUES ('m');
INSERT INTO dimension (model, dimension) VALUES ('m', 'd');
INSERT INTO segment (segment) VALUES ('here'), ('gone');
INSERT INTO segment_condition (segment, condition, signal, within, negate) VALUES ('here', 'c', 'view', '3 hours', false), ('gone', 'c', 'view', '1 day', true);
SELECT activate_segment('here');
SELECT activate_model('m');
SELECT activate_segment('here'), activate_segment('gone');
INSERT INTO lead (lead_id, created_at, updated_at) VALUES (1, '2025-01-01', '2025-01-01');
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'view', '2025-01-02 10:30');
SELECT sweep();
SELECT seq, segment, is_member, effective_at, cause FROM segment_history ORDER BY 1;
SELECT * FROM verify();

-- A count leaves a window, and the lead stays in the segment: by 'view' for two
-- days, which are over, and by 'buy' for 90, of which 82 are left. A sweep looks
-- once, and finds nothing more to do.
SELECT pipeline FROM leadscore.create_pipeline('w', 'empty', reports => false);
SET search_path = w, leadscore, public;
INSERT INTO signal (signal, event_kinds) VALUES ('view', '{view}'), ('buy', '{buy}');
INSERT INTO model (model) VALUES ('m');
SELECT activate_model('m');
INSERT INTO segment (segment) VALUES ('either');
INSERT INTO segment_condition (segment, condition, signal, within) VALUES ('either', 'c', 'view', '2 days'), ('either', 'c', 'buy', '90 days');
SELECT activate_segment('either');
INSERT INTO lead (lead_id, created_at, updated_at) VALUES (1, now() - interval '9 days', now() - interval '9 days');
INSERT INTO event (lead_id, kind, occurred_at) SELECT 1, kind, now() - interval '8 days' FROM unnest('{view,buy}'::text[]) kind;
SELECT sweep();
SELECT sweep();
SELECT segment, is_member, cause FROM segment_history ORDER BY seq;
SELECT next_review_at BETWEEN now() + interval '81 days' AND now() + interval '82 days' AS by_buy FROM lead_state;
SELECT * FROM verify();

-- A lead that is written before a sweep has counted a new profile signal: first
-- it enters 'es', which it was in before the write, then the two by the view
INSERT INTO lead (lead_id, country) VALUES (2, 'ES');
INSERT INTO segment (segment) VALUES ('es'), ('viewer');
INSERT INTO segment_condition (segment, condition, lead_condition) VALUES ('es', 'c', '$country == "ES"');
INSERT INTO segment_condition (segment, condition, signal) VALUES ('viewer', 'c', 'view');
SELECT activate_segment('es'), activate_segment('viewer');
UPDATE lead SET market = 'b2b' WHERE lead_id = 2;
SELECT segments_seq FROM lead_state WHERE lead_id = 2;
INSERT INTO event (lead_id, kind) VALUES (2, 'view');
SELECT seq, segment, is_member, cause FROM segment_history WHERE lead_id = 2 ORDER BY seq;
SELECT segments_seq FROM lead_state WHERE lead_id = 2;
SELECT * FROM verify();

SET client_min_messages = warning;
DROP SCHEMA s, h, w CASCADE;
