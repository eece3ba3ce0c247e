--
-- Events that come late: most leave the history of stages as it is, and many of
-- the others promote the lead themselves. Neither reads the log. The histories are
-- worked out by hand: act gives 10 points, look 1; iql from 10, mql from 30.
--
SELECT leadscore.create_pipeline('m', 'empty', reports => false) \g /dev/null
SET search_path = m, leadscore, public; SET timezone = 'UTC'; SET datestyle = 'ISO';
INSERT INTO signal (signal, event_kinds) VALUES ('act', '{act}'), ('look', '{look}'), ('lost', '{lost}');
INSERT INTO model (model) VALUES ('m');
INSERT INTO dimension (model, dimension) VALUES ('m', 'd');
INSERT INTO rule (model, dimension, rule, signal, points, decay) VALUES ('m', 'd', 'act', 'act', 10, 'none'), ('m', 'd', 'look', 'look', 1, 'none');
INSERT INTO stage_rule (model, stage, min_score, entry_signals) VALUES ('m', 'iql', 10, '{}'), ('m', 'mql', 30, '{}'), ('m', 'lost', NULL, '{lost}');
SELECT activate_model('m', wait => true) \g /dev/null
INSERT INTO lead (lead_id, created_at) SELECT i, '2025-01-01' FROM generate_series(1, 6) i;
-- How often a statement reads the log. A build with assertions reads it to check
-- each lead that was written, but not in a serializable transaction.
SET default_transaction_isolation = 'serializable';
CREATE FUNCTION reads() RETURNS bigint LANGUAGE sql VOLATILE BEGIN ATOMIC SELECT seq_scan + idx_scan FROM pg_stat_xact_user_tables WHERE relid = 'event'::regclass; END;
CREATE FUNCTION reads_of(statement text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    before CONSTANT bigint := reads();
BEGIN
    EXECUTE statement;
    RETURN reads() - before;
END
$$;
CREATE FUNCTION comes(VARIADIC events text[]) RETURNS text LANGUAGE sql AS $$
    SELECT 'INSERT INTO event (lead_id, kind, occurred_at) VALUES ' || string_agg(format('(%s, %L, %L)', split_part(e, ' ', 1), split_part(e, ' ', 2), split_part(e, ' ', 3)), ', ') FROM unnest(events) e
$$;
CREATE FUNCTION history(lead bigint) RETURNS TABLE (stage lead_stage, since timestamptz, score numeric, cycle int) LANGUAGE sql
    BEGIN ATOMIC SELECT to_stage, effective_at, h.score, h.cycle FROM stage_history h WHERE lead_id = lead ORDER BY seq; END;

-- 10, 20, and 30 points on 03-10
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'act', '2025-03-01 12:00'), (1, 'act', '2025-03-05 12:00'), (1, 'act', '2025-03-10 12:00');
SELECT * FROM history(1);
-- 21 and 31 change nothing
SELECT reads_of(comes('1 look 2025-03-03'));
SELECT stage, since FROM history(1);
-- 31 points three days earlier
SELECT reads_of(comes('1 act 2025-03-07T08:00'));
SELECT * FROM history(1);
-- in one statement: 22 points, and 32 a day earlier
SELECT reads_of(comes('1 act 2025-03-06T09:00', '1 look 2025-03-04'));
SELECT * FROM history(1);
-- with this one the act of 03-05 makes 32, and only the log knows its time
SELECT reads_of(comes('1 act 2025-03-02'));
SELECT * FROM history(1);
-- before all of it, and before the lead was created: born with 10 points
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'act', '2024-12-24');
SELECT stage, since FROM history(1);

-- of two acts of one day the second makes 30; a look before leaves it so, an act does not
INSERT INTO event (lead_id, kind, occurred_at) VALUES (2, 'act', '2025-03-01'), (2, 'act', '2025-03-10 08:00'), (2, 'act', '2025-03-10 16:00');
SELECT reads_of(comes('2 look 2025-03-05'));
SELECT stage, since FROM history(2);
SELECT reads_of(comes('2 act 2025-03-05'));
SELECT stage, since FROM history(2);
-- a late look of the day of the change
INSERT INTO event (lead_id, kind, occurred_at) VALUES (2, 'look', '2025-03-10 07:00');
SELECT stage, since FROM history(2);

-- lost with 30 points, and back by an act; a look before that brings it back earlier
INSERT INTO event (lead_id, kind, occurred_at) VALUES (3, 'act', '2025-03-01 01:00'), (3, 'act', '2025-03-01 02:00'), (3, 'act', '2025-03-01 03:00'),
    (3, 'lost', '2025-03-05'), (3, 'act', '2025-03-20');
SELECT * FROM history(3);
-- one before it was lost changes nothing; the log is asked, as 31 points may bring it back
SELECT reads_of(comes('3 look 2025-03-03'));
SELECT stage, since, cycle FROM history(3);
INSERT INTO event (lead_id, kind, occurred_at) VALUES (3, 'look', '2025-03-15');
SELECT stage, since, cycle FROM history(3);

-- no change is younger than the event, which is one itself
INSERT INTO event (lead_id, kind, occurred_at) VALUES (4, 'act', '2025-03-01'), (4, 'act', '2025-03-02'), (4, 'look', '2025-04-01');
SELECT reads_of(comes('4 act 2025-03-20T10:00'));
SELECT * FROM history(4);
-- two of one instant
INSERT INTO event (lead_id, kind, occurred_at) VALUES (5, 'act', '2025-03-01'), (5, 'look', '2025-04-01');
SELECT reads_of(comes('5 act 2025-03-20T10:00', '5 act 2025-03-20T10:00'));
SELECT * FROM history(5);
-- 21 points by two of one instant, and 31 by a third
INSERT INTO event (lead_id, kind, occurred_at) VALUES (6, 'look', '2025-03-01'), (6, 'look', '2025-04-01');
SELECT reads_of(comes('6 act 2025-03-05T10:00', '6 act 2025-03-06', '6 act 2025-03-05T10:00'));
SELECT * FROM history(6);

SELECT lead_id, stage, stage_since, activity FROM lead_state ORDER BY 1;
SELECT * FROM verify();
SELECT leadscore.drop_pipeline('m');

-- An act gives 10 points, and 30 more to a lead that has a key; a bad takes 10.
-- iql from 10 with the profile, mql from 25.
SELECT leadscore.create_pipeline('m', 'empty', reports => false) \g /dev/null
INSERT INTO signal (signal, event_kinds) VALUES ('act', '{act}'), ('bad', '{bad}'), ('key', '{key}');
INSERT INTO signal (signal, source, condition) VALUES ('ok', 'profile', '$.ok == true');
INSERT INTO model (model) VALUES ('m');
INSERT INTO dimension (model, dimension) VALUES ('m', 'd');
INSERT INTO rule (model, dimension, rule, signal, points, only_if) VALUES ('m', 'd', 'act', 'act', 10, '{}'), ('m', 'd', 'bad', 'bad', -10, '{}'), ('m', 'd', 'more', 'act', 30, '{key}');
INSERT INTO stage_rule (model, stage, min_score) VALUES ('m', 'iql', 10), ('m', 'mql', 25);
INSERT INTO stage_gate (model, stage, gate, signal) VALUES ('m', 'iql', 'ok', 'ok');
SELECT activate_model('m', wait => true) \g /dev/null
INSERT INTO lead (lead_id, profile, created_at, updated_at) SELECT i, '{"ok": true}', '2025-01-01', '2025-01-01' FROM generate_series(1, 3) i;
CREATE FUNCTION rows(lead bigint) RETURNS TABLE (stage lead_stage, since timestamptz, superseded boolean) LANGUAGE sql
    BEGIN ATOMIC SELECT to_stage, effective_at, superseded_at IS NOT NULL FROM stage_log WHERE lead_id = lead ORDER BY seq; END;

-- set back to iql, which blocks a promotion, also after a time in which the stage
-- was suspended: 40 points by a late key promote the lead only with the act that follows
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES (1, 'act', '2025-02-01', NULL), (1, 'stage_set', '2025-02-02', '{"stage": "mql"}'), (1, 'stage_set', '2025-02-03', '{"stage": "iql"}');
UPDATE lead SET profile = '{}', updated_at = '2025-02-04' WHERE lead_id = 1;
UPDATE lead SET profile = '{"ok": true}', updated_at = '2025-02-05' WHERE lead_id = 1;
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'act', '2025-03-10');
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'key', '2025-02-20');
SELECT * FROM rows(1);

-- what two events of one instant do together is nothing, and so corrects nothing
INSERT INTO event (lead_id, kind, occurred_at) VALUES (2, 'act', '2025-03-01'), (2, 'act', '2025-03-05'), (2, 'act', '2025-03-10');
INSERT INTO event (lead_id, kind, occurred_at) VALUES (2, 'act', '2025-03-07'), (2, 'bad', '2025-03-07');
SELECT * FROM rows(2);

-- a lead whose only event is gone is as it was born, but later events are late
INSERT INTO event (lead_id, kind, occurred_at) VALUES (3, 'key', '2025-03-10');
DELETE FROM event WHERE lead_id = 3;
INSERT INTO event (lead_id, kind, occurred_at) VALUES (3, 'act', '2025-03-05 08:00'), (3, 'act', '2025-03-05 16:00'), (3, 'act', '2025-03-05 17:00');
SELECT * FROM rows(3);
SELECT * FROM verify();
SELECT leadscore.drop_pipeline('m');

-- A stage that a late event leads to, and that time has taken back, begins no
-- sequence: the lead is brought up to now. A hot gives 20 points for five days; with
-- that of 03-10 there are 30, and from 03-15 on there are 20.
SELECT leadscore.create_pipeline('m', 'empty', reports => false) \g /dev/null
INSERT INTO signal (signal, event_kinds) VALUES ('act', '{act}'), ('hot', '{hot}');
INSERT INTO model (model, allow_demotion) VALUES ('m', true);
INSERT INTO dimension (model, dimension) VALUES ('m', 'd');
INSERT INTO rule (model, dimension, rule, signal, points, decay, decay_period) VALUES ('m', 'd', 'act', 'act', 10, 'none', NULL), ('m', 'd', 'hot', 'hot', 20, 'window', '5 days');
INSERT INTO stage_rule (model, stage, min_score) VALUES ('m', 'iql', 10), ('m', 'mql', 25);
SELECT activate_model('m', wait => true) \g /dev/null
INSERT INTO lead (lead_id, created_at) VALUES (1, '2025-01-01');
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'act', '2025-03-01'), (1, 'act', '2025-03-12');
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'hot', '2025-03-10');
SELECT to_stage, effective_at, cause FROM stage_history ORDER BY seq;
SELECT stage, stage_since FROM lead_state;
SELECT * FROM verify();
SELECT leadscore.drop_pipeline('m');
