--
-- The signal report: what counts, when, for which stays, and what is said of it
--
SET timezone = 'Asia/Kathmandu';
SELECT leadscore.create_pipeline('crm') \g /dev/null
SET search_path = crm, crm_reports, leadscore, leadscore_internal;
SET client_min_messages = 'warning';

-- An empty pipeline has no rates
SELECT count(*) > 0 AS rows, sum(leads_with + leads_without), count(as_of_days), count(with_rate), count(lift), count(lift_low), string_agg(DISTINCT finding, ',') FROM signal_report;

-- The ratio of two rates. The expected ones are by hand: the logarithm of
-- (a + 1/2) / (n + 1/2) over (b + 1/2) / (m + 1/2), plus and minus 1.96 times the
-- root of 1 / (a + 1/2) - 1 / (n + 1/2) + 1 / (b + 1/2) - 1 / (m + 1/2)
SELECT round(ratio_low(15, 25, 5, 35)::numeric, 6) AS low, round(ratio_high(15, 25, 5, 35)::numeric, 6) AS high,
    round(exp(ln(15.5 / 25.5 / (5.5 / 35.5)) - 1.959964 * sqrt(1 / 15.5 - 1 / 25.5 + 1 / 5.5 - 1 / 35.5)), 6) AS low_by_hand, round(exp(ln(15.5 / 25.5 / (5.5 / 35.5)) + 1.959964 * sqrt(1 / 15.5 - 1 / 25.5 + 1 / 5.5 - 1 / 35.5)), 6) AS high_by_hand;
-- nothing of one is an answer if 5 could be expected: 0 at least, and no bound
SELECT ratio_low(0, 50, 50, 100), round(ratio_high(0, 50, 50, 100)::numeric, 6) AS high, round(exp(ln(0.5 / 50.5 / (50.5 / 100.5)) + 1.959964 * sqrt(1 / 0.5 - 1 / 100.5)), 6) AS high_by_hand, round(ratio_low(50, 100, 0, 50)::numeric, 6) AS low, ratio_high(50, 100, 0, 50);
-- 4.99 is less than 5, in each of the four cells
SELECT ratio_error(10, 50, 0, 50) IS NOT NULL AS five, ratio_error(9, 50, 0, 50) AS less, ratio_error(40, 50, 50, 50) IS NOT NULL AS five_not, ratio_error(41, 50, 50, 50) AS less_not, ratio_error(5, 9, 50, 100) AS few, ratio_error(0, 0, 0, 0), ratio_error(5, 0, 9, 0), ratio_error(NULL, 1, 1, 1);
-- swapped sides give the inverse
SELECT round(ratio_low(15, 25, 5, 35)::numeric, 9) = round((1 / ratio_high(5, 35, 15, 25))::numeric, 9) AS inverse;
SELECT ratio_error(9000000000000000, 9100000000000000, 100, 9100000000000000) > 0 AS large;

-- 60 mql of 2 March. 20 become sql four days later, so all are looked at after
-- two days, on the 4th at 10:00. Events of that instant count, later ones do not.
INSERT INTO signal (signal, event_kinds) VALUES ('late', '{late}'), ('just', '{just}'), ('before', '{before}'), ('unused', '{unused}'), ('parted', '{unused}');
UPDATE signal SET condition = '$.part == 2' WHERE signal = 'parted';
INSERT INTO lead (lead_id, email, consented_at, created_at, updated_at) SELECT n, 'a@b', '2025-03-01 09:00Z', '2025-03-01 09:00Z', '2025-03-01 09:00Z' FROM generate_series(1, 63) n;
INSERT INTO event (lead_id, kind, occurred_at, properties) SELECT n, 'stage_set', timestamptz '2025-03-02 10:00Z', '{"stage": "mql"}' FROM generate_series(1, 63) n;
INSERT INTO event (lead_id, kind, occurred_at, properties) SELECT n, 'stage_set', timestamptz '2025-03-06 10:00Z', '{"stage": "sql"}' FROM generate_series(1, 20) n;
INSERT INTO event (lead_id, kind, occurred_at, properties)
    SELECT n, 'late', timestamptz '2025-03-04 10:00:00.000001Z', '{}'::jsonb FROM generate_series(1, 30) n
    UNION ALL SELECT n, 'just', '2025-03-04 10:00Z', '{}' FROM generate_series(1, 30) n
    UNION ALL SELECT n, 'before', '2025-03-01 12:00Z', '{}' FROM generate_series(1, 30) n
    UNION ALL SELECT n, 'unused', '2025-03-03 12:00Z', jsonb_build_object('part', 1 + n % 2) FROM generate_series(6, 30) n
    UNION ALL SELECT n, 'pricing_view', '2025-03-03 12:00Z', '{}' FROM generate_series(16, 45) n
    UNION ALL SELECT n, 'trial_started', '2025-03-03 12:00Z', '{}' FROM generate_series(6, 30) n
    UNION ALL SELECT n, 'points_added', '2025-03-03 12:00Z', '{"points": 1}' FROM generate_series(1, 20) n
    UNION ALL SELECT n, 'outreach', '2025-03-03 12:00Z', '{}' FROM generate_series(1, 20) n;
-- 61 was lost before, 62 became sql before, and 63 that long after that it is none
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES (61, 'lost', '2025-03-03 10:00Z', NULL), (62, 'stage_set', '2025-03-03 10:00Z', '{"stage": "sql"}'), (63, 'stage_set', '2025-07-06 10:00Z', '{"stage": "sql"}');
SELECT signal, as_of_days, leads_with, converted_with, leads_without, converted_without, round(lift::numeric, 4) AS lift, round(lift_low::numeric, 4) AS low, round(lift_high::numeric, 4) AS high, rules, gates, finding
    FROM signal_report WHERE stage = 'mql' AND signal IN ('late', 'just', 'before', 'unused', 'parted', 'pricing_view', 'trial_started', 'webinar_attended') ORDER BY signal COLLATE "C";
SELECT count(*) FROM signal_report WHERE signal IN ('points_added', 'points_removed', 'outreach', 'sales_contact', 'purchase', 'lost', 'stage_set', 'lead_created');
-- rates, and all stays with the signal or without
SELECT bool_and(with_rate = converted_with::float8 / leads_with) AS with_rate, bool_and(without_rate = converted_without::float8 / leads_without) AS without_rate, bool_and(leads_with + leads_without = 61) AS all_stays FROM signal_report WHERE stage = 'mql' AND leads_with > 0;

-- What comes later changes nothing
BEGIN;
CREATE TEMP TABLE known AS SELECT signal, stage, leads_with, converted_with, leads_without, converted_without FROM signal_report;
INSERT INTO event (lead_id, kind, occurred_at) SELECT n, k, timestamptz '2025-03-04 11:00Z' FROM generate_series(1, 60) n, unnest('{late,just,before,unused,pricing_view,email_open}'::text[]) k;
SELECT count(*) AS different FROM (SELECT signal, stage, leads_with, converted_with, leads_without, converted_without FROM signal_report WHERE stage = 'mql') s FULL JOIN (SELECT * FROM known WHERE stage = 'mql') k USING (signal, stage)
WHERE (s.leads_with, s.converted_with, s.leads_without, s.converted_without) IS DISTINCT FROM (k.leads_with, k.converted_with, k.leads_without, k.converted_without);
ROLLBACK;

-- A rule makes another finding, and points of the wrong sign yet another
BEGIN;
SELECT clone_model('inbound', 'mine') \g /dev/null
INSERT INTO rule (model, dimension, rule, signal, points) SELECT 'mine', min(dimension), 'unused things', 'unused', -3 FROM dimension WHERE model = 'mine';
SELECT activate_model('mine') \g /dev/null
SELECT signal, rules, finding FROM signal_report WHERE stage = 'mql' AND signal IN ('unused', 'parted', 'trial_started') ORDER BY signal COLLATE "C";
ROLLBACK;
-- Stays that had less time than mature_after are left out
BEGIN;
UPDATE setting SET mature_after = '2000 days';
SELECT count(*) FILTER (WHERE leads_with + leads_without > 0) AS immature FROM signal_report;
ROLLBACK;

-- A profile counts from when it was recorded: these were typed in today
BEGIN;
UPDATE lead SET profile = '{"job_title": "CEO"}', updated_at = '2025-03-03 09:00Z' WHERE lead_id BETWEEN 6 AND 30;
SELECT signal, leads_with FROM signal_report WHERE stage = 'mql' AND signal = 'decision_maker';
SELECT detach_pipeline('crm') \g /dev/null
UPDATE profile_change SET recorded_at = changed_at WHERE signal = 'decision_maker';
SELECT signal, leads_with, converted_with, round(lift::numeric, 4) AS lift FROM signal_report WHERE stage = 'mql' AND signal = 'decision_maker';
-- and until it ceased
INSERT INTO profile_change (lead_id, seq, signal, count, changed_at, recorded_at) SELECT lead_id, 100, 'decision_maker', -1, '2025-03-03 10:00Z', '2025-03-03 10:00Z' FROM generate_series(21, 30) lead_id;
SELECT signal, leads_with, converted_with FROM signal_report WHERE stage = 'mql' AND signal = 'decision_maker';
ROLLBACK;

-- Of a lead whose events were purged stays before the line are left out, and later
-- ones know what it did before
BEGIN;
INSERT INTO event (lead_id, kind, occurred_at, properties) SELECT n, 'stage_set', timestamptz '2025-06-10 10:00Z', '{"stage": "prospect"}' FROM generate_series(1, 20) n;
INSERT INTO event (lead_id, kind, occurred_at) SELECT n, 'purchase', timestamptz '2025-06-20 10:00Z' FROM generate_series(1, 15) n;
SELECT stage, as_of_days, leads_with, converted_with, leads_without, converted_without FROM signal_report WHERE signal = 'unused' AND leads_with + leads_without > 0 ORDER BY stage_rank;
SELECT count(*) FROM purge('2025-05-01 00:00Z') \g /dev/null
SELECT (SELECT count(*) FROM lead_checkpoint) AS leads, (SELECT count(*) FROM event WHERE kind = 'unused') AS events;
SELECT stage, as_of_days, leads_with, converted_with, leads_without, converted_without FROM signal_report WHERE signal = 'unused' AND leads_with + leads_without > 0 ORDER BY stage_rank;
ROLLBACK;

-- A lead that falls back and rises again in one cycle is one stay
BEGIN;
INSERT INTO lead (lead_id, email, consented_at, created_at) VALUES (70, 'a@b', '2025-03-01 09:00Z', '2025-03-01 09:00Z');
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES (70, 'stage_set', '2025-03-02 10:00Z', '{"stage": "mql"}'), (70, 'stage_set', '2025-03-09 10:00Z', '{"stage": "iql"}'), (70, 'stage_set', '2025-03-10 10:00Z', '{"stage": "mql"}'),
    (70, 'stage_set', '2025-03-20 10:00Z', '{"stage": "sql"}');
SELECT leads_with + leads_without AS stays, converted_with + converted_without AS converted FROM signal_report WHERE stage = 'mql' AND signal = 'late';
ROLLBACK;

-- 18 days are 432 hours, whatever the time zone of the session is and whether its
-- clocks change meanwhile: a stay since 20 March, 12:00, is looked at on 7 April, 12:00
BEGIN;
INSERT INTO signal (signal, event_kinds) VALUES ('eve', '{eve}');
INSERT INTO lead (lead_id, email, consented_at, created_at) VALUES (70, 'a@b', '2025-03-01 09:00Z', '2025-03-01 09:00Z');
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES (70, 'stage_set', '2025-03-20 12:00Z', '{"stage": "sql"}'), (70, 'eve', '2025-04-07 11:30Z', '{}'), (70, 'stage_set', '2025-04-25 12:00Z', '{"stage": "prospect"}');
SELECT as_of_days, leads_with, converted_with FROM signal_report WHERE stage = 'sql' AND signal = 'eve';
SET LOCAL timezone = 'Europe/Berlin';
SELECT as_of_days, leads_with, converted_with FROM signal_report WHERE stage = 'sql' AND signal = 'eve';
ROLLBACK;
DROP SCHEMA crm, crm_reports CASCADE;
