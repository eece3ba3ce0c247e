--
-- Every way to write events and leads, each followed by verify(), which
-- computes all from the log anew: stored values must be equal to that
--

SELECT pipeline FROM leadscore.create_pipeline('w', 'empty');
SET search_path = w, leadscore, public;
INSERT INTO value_list VALUES ('good', 'x'), ('good', 'y');
INSERT INTO signal (signal, event_kinds, condition, quantity) VALUES
    ('act', '{act}', NULL, NULL),
    ('amount', '{amount}', NULL, '$value'),
    ('nested', '{odd}', '$.a.b[*].c == 1', NULL),
    ('listed', '{odd}', '$good[*] == $.item', NULL),
    ('any_x', NULL, '$channel == "x"', NULL),
    ('zoned', '{odd}', '$.at.datetime() < "2025-01-01T00:00:00+00:00".datetime()', NULL),
    ('divided', '{odd}', '100 / $.zero > 1', NULL),
    ('counted', '{odd}', NULL, '$.n'),
    ('deep', '{odd}', '$.**.needle == 7', NULL),
    ('win', '{win}', NULL, NULL),
    ('out', '{out}', NULL, NULL);
INSERT INTO signal (signal, source, condition) VALUES
    ('fit', 'profile', '$.fit == true'),
    ('mail', 'profile', '$email like_regex "@"');
INSERT INTO model (model, allow_demotion) VALUES ('m', true);
INSERT INTO dimension (model, dimension) VALUES ('m', 'd');
INSERT INTO rule (model, dimension, rule, signal, points) VALUES
    ('m', 'd', 'act', 'act', 10),
    ('m', 'd', 'amount', 'amount', 0.001),
    ('m', 'd', 'fit', 'fit', 5);
INSERT INTO stage_rule (model, stage, min_score, entry_signals) VALUES
    ('m', 'iql', 10, '{}'), ('m', 'mql', 20, '{}'), ('m', 'sql', 30, '{}'),
    ('m', 'customer', NULL, '{win}'), ('m', 'lost', NULL, '{out}');
SELECT activate_model('m', wait => true);
CREATE VIEW digest AS
    SELECT s.lead_id, s.activity, s.stage, (SELECT count(*) FROM event e WHERE e.lead_id = s.lead_id) AS events,
        (SELECT string_agg(h.to_stage::text, ' ' ORDER BY h.seq) FROM stage_history h WHERE h.lead_id = s.lead_id) AS stages
    FROM lead_state s
    ORDER BY 1;
\set check 'SELECT * FROM verify(); TABLE digest;'

-- INSERT of leads: none, one, several
INSERT INTO lead (lead_id, created_at, updated_at) SELECT 1, '2025-01-01', '2025-01-01' WHERE false;
INSERT INTO lead (lead_id, created_at, updated_at) VALUES (1, '2025-01-01', '2025-01-01');
INSERT INTO lead (lead_id, email, profile, created_at, updated_at) VALUES
    (3, 'c@example.com', '{}', '2025-01-01', '2025-01-01'),
    (2, NULL, '{"fit": true}', '2025-01-01', '2025-01-01');
:check

-- INSERT of events: none, one, several, from a query
INSERT INTO event (lead_id, kind, occurred_at) SELECT 1, 'act', '2025-01-02' WHERE false;
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'act', '2025-01-02');
INSERT INTO event (lead_id, event_id, kind, occurred_at) VALUES
    (3, 1001, 'act', '2025-01-03'), (1, 1002, 'act', '2025-01-03'), (3, 1003, 'act', '2025-01-03 23:59:59.999999');
INSERT INTO event (lead_id, kind, occurred_at, value)
    SELECT i % 3 + 1, 'amount', '2025-02-01'::timestamptz + i * interval '1 day', i FROM generate_series(1, 6) i;
:check

-- COPY
COPY event (lead_id, kind, occurred_at, value, properties) FROM STDIN;
2	act	2025-01-05 00:00:00	\N	\N
1	act	2025-01-06 00:00:00	12.5	{"a": 1}
2	unknown	2025-01-07 00:00:00	\N	[]
\.
COPY lead (lead_id, profile, created_at, updated_at) FROM STDIN;
5	{"fit": true}	2025-01-01 00:00:00	2025-01-01 00:00:00
4	{"fit": "yes"}	2025-01-01 00:00:00	2025-01-01 00:00:00
\.
:check

-- ON CONFLICT: nothing, update, and the mix of both with new rows
INSERT INTO event (lead_id, event_id, kind, occurred_at, source_id) VALUES (4, 2001, 'act', '2025-01-02', 'a'), (4, 2002, 'act', '2025-01-03', 'b');
INSERT INTO event (lead_id, kind, occurred_at, source_id) VALUES (4, 'act', '2025-01-02', 'a'), (4, 'act', '2025-01-02', 'c'), (5, 'act', '2025-01-02', 'a')
    ON CONFLICT DO NOTHING;
INSERT INTO event (lead_id, kind, occurred_at, source_id) VALUES (4, 'act', '2025-01-02', 'a') ON CONFLICT DO NOTHING;
INSERT INTO event (lead_id, kind, occurred_at, source_id) VALUES (4, 'act', '2025-01-02', 'a');
INSERT INTO event (lead_id, kind, occurred_at, value, source_id) VALUES (4, 'amount', '2025-01-09', 77, 'b'), (4, 'act', '2025-01-10', NULL, 'd')
    ON CONFLICT (lead_id, source_id) WHERE source_id IS NOT NULL
    DO UPDATE SET kind = excluded.kind, occurred_at = excluded.occurred_at, value = excluded.value;
INSERT INTO lead (lead_id, external_id, created_at, updated_at) VALUES (1, 'one', '2025-01-01', '2025-01-02'), (6, 'six', '2025-01-01', '2025-01-01')
    ON CONFLICT (lead_id) DO UPDATE SET external_id = excluded.external_id, profile = '{"fit": true}', updated_at = excluded.updated_at;
INSERT INTO lead (lead_id, created_at) VALUES (1, '2020-01-01') ON CONFLICT DO NOTHING;
:check

-- MERGE: insert, update, delete in one
MERGE INTO event e
    USING (VALUES (4, 'a', 'delete'), (4, 'c', 'update'), (6, 'z', 'insert'), (6, 'y', 'insert')) AS v (lead_id, source_id, what)
    ON e.lead_id = v.lead_id AND e.source_id = v.source_id
    WHEN MATCHED AND v.what = 'delete' THEN DELETE
    WHEN MATCHED THEN UPDATE SET occurred_at = '2025-01-20'
    WHEN NOT MATCHED THEN INSERT (lead_id, source_id, kind, occurred_at) VALUES (v.lead_id, v.source_id, 'act', '2025-01-21');
MERGE INTO lead l
    USING (VALUES (3, 'delete'), (5, 'update'), (7, 'insert')) AS v (lead_id, what)
    ON l.lead_id = v.lead_id
    WHEN MATCHED AND v.what = 'delete' THEN DELETE
    WHEN MATCHED THEN UPDATE SET profile = '{"fit": false}', updated_at = '2025-01-20'
    WHEN NOT MATCHED THEN INSERT (lead_id, created_at, updated_at) VALUES (v.lead_id, '2025-01-21', '2025-01-21');
:check
MERGE INTO event e USING (VALUES (99, 'q')) AS v (lead_id, source_id) ON e.lead_id = v.lead_id
    WHEN NOT MATCHED THEN INSERT (lead_id, source_id, kind, occurred_at) VALUES (v.lead_id, v.source_id, 'act', '2025-01-21');

-- UPDATE of each column of event
UPDATE event SET lead_id = 7 WHERE lead_id = 6;
UPDATE event SET lead_id = 99 WHERE lead_id = 7;
UPDATE event SET event_id = event_id + 100000 WHERE lead_id = 7;
UPDATE event SET kind = 'unknown' WHERE event_id = 1002;
UPDATE event SET kind = 'act' WHERE event_id = 1002;
UPDATE event SET occurred_at = occurred_at - interval '1 day', recorded_at = '2025-03-01' WHERE lead_id = 4;
UPDATE event SET value = value * 1000 WHERE kind = 'amount' AND lead_id <= 2;
UPDATE event SET channel = 'x', campaign = 'c' WHERE lead_id = 4;
UPDATE event SET properties = '{"b": 2}', source_id = NULL WHERE lead_id = 4;
UPDATE event SET kind = kind;
UPDATE event SET lead_id = lead_id WHERE false;
:check

-- UPDATE of each column of lead
UPDATE lead SET external_id = 'e' || lead_id, kind = 'organization', email = 'a@example.com', organization = 'o', market = 'b2b',
    country = 'DE', channel = 'x', campaign = 'c', owner = 'w', persona = 'p', profile = '{"fit": true}', consented_at = '2025-01-01',
    contact_allowed = true, referred_by = 1, updated_at = '2025-02-01'
    WHERE lead_id IN (4, 5);
UPDATE lead SET created_at = '2024-12-25', updated_at = '2025-02-02' WHERE lead_id = 4;
UPDATE lead SET lead_id = 44 WHERE lead_id = 4;
UPDATE lead SET lead_id = CASE lead_id WHEN 4 THEN 5 ELSE 4 END WHERE lead_id IN (4, 5);
UPDATE lead SET email = NULL, profile = '{}', updated_at = '2025-02-03' WHERE lead_id = 5;
:check
SELECT lead_id, seq, signal, count, changed_at FROM profile_change ORDER BY 1, 2;

-- updated_at is set unless the statement sets it
UPDATE lead SET owner = 'v' WHERE lead_id = 7;
SELECT updated_at > '2025-02-03' AS touched FROM lead WHERE lead_id = 7;
-- ... or changes nothing: then nothing is logged and nothing scores otherwise
BEGIN;
INSERT INTO lead (lead_id, profile, created_at, updated_at) VALUES (90, '{}', '2025-01-01', '2025-01-01');
UPDATE lead SET updated_at = '2025-02-04' WHERE lead_id = 90;
CREATE TEMP TABLE untouched AS SELECT l.*, s.updated_at AS state_at, s.ctid AS place FROM lead l JOIN lead_state s USING (lead_id) WHERE lead_id = 90;
UPDATE lead SET updated_at = updated_at WHERE lead_id = 90;
UPDATE lead SET profile = '{}', owner = NULL WHERE lead_id = 90;
SELECT count(*) AS same FROM (TABLE untouched INTERSECT SELECT l.*, s.updated_at, s.ctid FROM lead l JOIN lead_state s USING (lead_id)) s;
SELECT count(*) AS logged FROM profile_change WHERE lead_id = 90;
-- a change of the profile counts from the time that the statement gives, though
-- the row has a later one, but not before the change before it, and at the
-- latest from now on
UPDATE lead SET profile = '{"fit": true}', updated_at = '2025-02-02' WHERE lead_id = 90;
SELECT score_by_id(90, '2025-02-01') AS before, score_by_id(90, '2025-02-02') AS after;
UPDATE lead SET profile = '{}', updated_at = '2025-01-20' WHERE lead_id = 90;
UPDATE lead SET profile = '{"fit": true}', updated_at = '2025-02-06' WHERE lead_id = 90;
UPDATE lead SET profile = '{}', updated_at = now() + interval '10 days' WHERE lead_id = 90;
SELECT seq, signal, count, CASE WHEN changed_at < '2025-03-01' THEN changed_at END AS changed_at, changed_at <= clock_timestamp() AS past FROM profile_change WHERE lead_id = 90 ORDER BY seq;
SELECT score_by_id(90, '2025-02-03') AS taken_back, score_by_id(90, '2025-02-07') AS again, score_by_id(90) AS now;
-- a time that is ahead does not hold up the next change
UPDATE lead SET profile = '{"fit": true}' WHERE lead_id = 90;
SELECT score_by_id(90) AS now;
SELECT * FROM verify();
ROLLBACK;

-- An update takes back what it replaces before anything is decided: no event
-- counts twice on its way, and none is missing
INSERT INTO lead (lead_id, created_at, updated_at) SELECT i, '2025-01-01', '2025-01-01' FROM generate_series(11, 12) i;
INSERT INTO event (lead_id, event_id, kind, occurred_at) VALUES (11, 3001, 'act', '2025-01-05'), (12, 3002, 'act', '2025-01-05'), (12, 3003, 'act', '2025-01-05');
UPDATE event SET occurred_at = '2025-01-03' WHERE event_id = 3001;
UPDATE event SET occurred_at = '2025-01-03 12:00' WHERE event_id = 3001;
UPDATE event SET occurred_at = '2025-01-03 09:00' WHERE event_id = 3001;
UPDATE event SET occurred_at = occurred_at - interval '1 hour' WHERE lead_id = 12;
UPDATE event SET occurred_at = occurred_at + interval '1 day' WHERE lead_id = 12;
SELECT * FROM digest WHERE lead_id > 10;
DELETE FROM event WHERE lead_id = 12;
SELECT lead_id, seq, cycle, from_stage, to_stage, effective_at, cause FROM stage_history WHERE lead_id > 10 ORDER BY 1, 2;
SELECT * FROM verify();

-- DELETE of events and leads
DELETE FROM event WHERE event_id % 3 = 0;
DELETE FROM event WHERE false;
DELETE FROM lead WHERE lead_id IN (5, 12, 2);
:check
SELECT count(*) FROM stage_history WHERE lead_id NOT IN (SELECT lead_id FROM lead);
SELECT count(*) FROM profile_change WHERE lead_id NOT IN (SELECT lead_id FROM lead);

-- Data-modifying WITH: lead and event in one statement, moved and deleted at once
WITH l AS (
    INSERT INTO lead (lead_id, created_at, updated_at) VALUES (21, '2025-01-01', '2025-01-01'), (20, '2025-01-01', '2025-01-01') RETURNING lead_id
)
INSERT INTO event (lead_id, event_id, kind, occurred_at) SELECT lead_id, 4000 + lead_id, 'act', '2025-01-02' FROM l;
WITH e AS (
    INSERT INTO event (lead_id, kind, occurred_at) VALUES (22, 'act', '2025-01-02'), (20, 'act', '2025-01-02') RETURNING lead_id
)
INSERT INTO lead (lead_id, created_at, updated_at) SELECT 22, '2025-01-01', '2025-01-01' FROM e WHERE lead_id = 22;
WITH gone AS (DELETE FROM event WHERE event_id = 4020 RETURNING *)
INSERT INTO event (lead_id, kind, occurred_at) SELECT 21, kind, occurred_at FROM gone;
WITH a AS (UPDATE event SET occurred_at = '2025-01-09' WHERE event_id = 4021),
    b AS (INSERT INTO event (lead_id, kind, occurred_at) VALUES (21, 'win', '2025-01-10')),
    c AS (DELETE FROM lead WHERE lead_id = 20)
INSERT INTO lead (lead_id, created_at, updated_at) VALUES (23, '2025-01-01', '2025-01-01');
WITH l AS (DELETE FROM lead WHERE lead_id = 23)
INSERT INTO event (lead_id, kind, occurred_at) VALUES (23, 'act', '2025-01-02');
:check

-- What the owner adds: views, foreign keys, triggers that change rows
CREATE VIEW act AS SELECT lead_id, kind, occurred_at FROM event WHERE kind = 'act';
INSERT INTO act VALUES (22, 'act', '2025-01-03');
DELETE FROM act WHERE lead_id = 22 AND occurred_at = '2025-01-02';
CREATE TABLE account (account_id int PRIMARY KEY);
ALTER TABLE lead ADD account_id int REFERENCES account ON DELETE CASCADE;
INSERT INTO account VALUES (1), (2);
INSERT INTO lead (lead_id, account_id, created_at, updated_at) VALUES (25, 1, '2025-01-01', '2025-01-01'), (24, 2, '2025-01-01', '2025-01-01');
INSERT INTO event (lead_id, kind, occurred_at) VALUES (24, 'act', '2025-01-02'), (25, 'act', '2025-01-02');
DELETE FROM account WHERE account_id = 1;
CREATE FUNCTION tidy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.kind := lower(NEW.kind);
    RETURN CASE WHEN NEW.kind <> 'spam' THEN NEW END;
END $$;
CREATE TRIGGER tidy BEFORE INSERT ON event FOR EACH ROW EXECUTE FUNCTION tidy();
INSERT INTO event (lead_id, kind, occurred_at) VALUES (24, 'Spam', '2025-01-03'), (24, 'ACT', '2025-01-03');
DROP FUNCTION tidy CASCADE;
:check
DELETE FROM lead WHERE lead_id = 24;
ALTER TABLE lead DROP account_id;

-- Leads that are not there; kinds that count for nothing are no exception
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'act', '2025-01-02'), (98, 'act', '2025-01-02');
INSERT INTO event (lead_id, kind, occurred_at) VALUES (98, 'unknown', '2025-01-02');
\set VERBOSITY terse
INSERT INTO event (lead_id, kind, occurred_at) VALUES (NULL, 'act', '2025-01-02');
\set VERBOSITY default

-- Savepoints
BEGIN;
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'act', '2025-01-11');
SAVEPOINT a;
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'act', '2025-01-12'), (4, 'act', '2025-01-12');
SAVEPOINT b;
DELETE FROM lead WHERE lead_id = 4;
ROLLBACK TO b;
INSERT INTO event (lead_id, kind, occurred_at) VALUES (4, 'win', '2025-01-13');
ROLLBACK TO a;
INSERT INTO event (lead_id, kind, occurred_at) VALUES (4, 'act', '2025-01-14');
RELEASE a;
COMMIT;
DO $$
BEGIN
    FOR i IN 1..5 LOOP
        BEGIN
            INSERT INTO event (lead_id, kind, occurred_at) VALUES (4, 'act', '2025-01-15');
            IF i % 2 = 0 THEN
                RAISE EXCEPTION 'no';
            END IF;
        EXCEPTION WHEN raise_exception THEN
            NULL;
        END;
    END LOOP;
END $$;
BEGIN;
DELETE FROM lead;
ROLLBACK;
:check

-- Late events: before the lead was created, before its stage began
INSERT INTO event (lead_id, kind, occurred_at) VALUES (7, 'act', '2024-12-01'), (7, 'act', '2025-01-22'), (7, 'out', '2025-01-10');
INSERT INTO event (lead_id, kind, occurred_at) VALUES (7, 'act', '2025-01-01');
SELECT lead_id, seq, cycle, from_stage, to_stage, effective_at, cause FROM stage_history WHERE lead_id = 7 ORDER BY 1, 2;
:check

-- Future events count from the start of their day
INSERT INTO lead (lead_id, created_at, updated_at) VALUES (31, '2025-01-01', '2025-01-01');
INSERT INTO event (lead_id, event_id, kind, occurred_at) VALUES (31, 5001, 'act', now() + interval '3 days'), (31, 5002, 'act', now() + interval '3 days');
SELECT stage, score_by_id(31), score_by_id(31, now() + interval '3 days') AS later, next_review_at = date_trunc('day', now() + interval '3 days', 'UTC') AS due FROM lead_state WHERE lead_id = 31;
UPDATE event SET occurred_at = '2025-01-02' WHERE event_id = 5001;
SELECT stage, score_by_id(31), score_by_id(31, now() + interval '3 days') AS later FROM lead_state WHERE lead_id = 31;
DELETE FROM event WHERE lead_id = 31 AND occurred_at > now();
SELECT * FROM verify();
SELECT stage, activity FROM lead_state WHERE lead_id = 31;

-- Instants at the ends of time
INSERT INTO lead (lead_id, created_at, updated_at) VALUES (41, '-infinity', '-infinity'), (42, 'infinity', 'infinity'), (43, '4000-01-01 BC', '2025-01-01'), (45, '294276-12-31', '2025-01-01');
INSERT INTO event (lead_id, kind, occurred_at, channel)
    SELECT l, 'act', t::timestamptz, 'x'
    FROM generate_series(41, 45) l, unnest('{-infinity,4713-01-01 BC,0001-01-01,1999-12-31 23:59:59.999999,2000-01-01,2025-01-02,9999-12-31 23:59,10000-01-01,294276-12-31,infinity}'::text[]) t
    WHERE l <> 44;
SELECT * FROM verify();
SELECT * FROM digest WHERE lead_id > 40;
UPDATE event SET occurred_at = CASE WHEN occurred_at = 'infinity' THEN '-infinity' ELSE 'infinity'::timestamptz END WHERE lead_id > 40;
UPDATE lead SET created_at = '2025-01-01', updated_at = 'infinity' WHERE lead_id > 40;
UPDATE lead SET profile = '{"fit": true}' WHERE lead_id > 40;
SELECT * FROM verify();
DELETE FROM event WHERE lead_id = 41;
SELECT * FROM verify();
SELECT rebuild();
SELECT * FROM verify();
DELETE FROM lead WHERE lead_id > 30;
DELETE FROM lead WHERE lead_id BETWEEN 5 AND 20;

-- Odd properties count for nothing and stop nothing
INSERT INTO event (lead_id, event_id, kind, occurred_at, properties) VALUES
    (1, 6001, 'odd', '2025-01-02', NULL),
    (1, 6002, 'odd', '2025-01-02', 'null'),
    (1, 6003, 'odd', '2025-01-02', '[]'),
    (1, 6004, 'odd', '2025-01-02', '[{"a": {"b": [{"c": 1}]}}]'),
    (1, 6005, 'odd', '2025-01-02', '"text"'),
    (1, 6006, 'odd', '2025-01-02', '42'),
    (1, 6007, 'odd', '2025-01-02', 'true'),
    (1, 6008, 'odd', '2025-01-02', '{"a": {"b": {"c": 1}}}'),
    (1, 6009, 'odd', '2025-01-02', '{"a": {"b": [{"c": 2}, {"c": 1}]}}'),
    (1, 6010, 'odd', '2025-01-02', '{"item": "x"}'),
    (1, 6011, 'odd', '2025-01-02', '{"item": ["x", "z"]}'),
    (1, 6012, 'odd', '2025-01-02', '{"item": "z"}'),
    (1, 6013, 'odd', '2025-01-02', '{"at": "2024-06-01"}'),
    (1, 6014, 'odd', '2025-01-02', '{"at": "2024-06-01T00:00:00+02:00"}'),
    (1, 6015, 'odd', '2025-01-02', '{"at": "no date"}'),
    (1, 6016, 'odd', '2025-01-02', '{"zero": 0}'),
    (1, 6017, 'odd', '2025-01-02', '{"zero": 10}'),
    (1, 6018, 'odd', '2025-01-02', '{"zero": "0"}'),
    (1, 6019, 'odd', '2025-01-02', '{"n": -5}'),
    (1, 6020, 'odd', '2025-01-02', '{"n": 0.4}'),
    (1, 6021, 'odd', '2025-01-02', '{"n": 0.5}'),
    (1, 6022, 'odd', '2025-01-02', '{"n": 2.5}'),
    (1, 6023, 'odd', '2025-01-02', '{"n": "3"}'),
    (1, 6024, 'odd', '2025-01-02', '{"n": [3, 4]}'),
    (1, 6025, 'odd', '2025-01-02', '{"n": 1e30}'),
    (1, 6026, 'odd', '2025-01-02', ('{"n": 1' || repeat('0', 20000) || '}')::jsonb),
    (1, 6027, 'odd', '2025-01-02', ('{"n": 0.' || repeat('0', 10000) || '1}')::jsonb),
    (1, 6028, 'odd', '2025-01-02', (repeat('{"k":', 500) || '{"needle": 7}' || repeat('}', 500))::jsonb),
    (1, 6029, 'odd', '2025-01-02', (repeat('[', 500) || '7' || repeat(']', 500))::jsonb);
SELECT e.event_id - 6000 AS event, string_agg(g.signal || CASE WHEN s.quantity <> 1 THEN '*' || s.quantity ELSE '' END, ' ' ORDER BY g.signal_id) AS signals
    FROM event e, leadscore_internal.event_signals(e) s JOIN signal g USING (signal_id)
    WHERE e.event_id BETWEEN 6001 AND 6029
    GROUP BY e.event_id ORDER BY e.event_id;
SELECT * FROM verify();
SELECT * FROM digest WHERE lead_id = 1;

-- A list that is gone: its variable is null
DELETE FROM value_list;
SELECT sweep() > 0;
SELECT * FROM verify();
INSERT INTO event (lead_id, event_id, kind, occurred_at, properties) VALUES (1, 6030, 'odd', '2025-01-02', '{"item": "x"}');
INSERT INTO value_list VALUES ('good', 'x');
SELECT sweep() > 0;
SELECT * FROM verify();
SELECT s.quantity FROM event e, leadscore_internal.event_signals(e) s JOIN signal g USING (signal_id) WHERE e.event_id = 6030 AND g.signal = 'listed';

-- Quantities: negative, huge, none, no number; they are held within 0 and 1e9
INSERT INTO event (lead_id, event_id, kind, occurred_at, value)
    SELECT 4, 7000 + n, 'amount', '2025-03-01', v::numeric
    FROM unnest('{-1,0,0.5,1.4999,1000000000,1000000001,1e300,NaN,Infinity,-Infinity,NULL}'::text[]) WITH ORDINALITY AS u (v, n);
SELECT e.event_id - 7000 AS event, left(e.value::text, 12) AS value, s.quantity FROM event e LEFT JOIN leadscore_internal.event_signals(e) s ON true WHERE e.event_id BETWEEN 7001 AND 7011 ORDER BY 1;
INSERT INTO event (lead_id, kind, occurred_at, value) SELECT 4, 'amount', '2025-03-01', 1e9 FROM generate_series(1, 1000);
SELECT * FROM verify();
SELECT activity, stage, score_by_id(4, '2025-03-01') FROM lead_state WHERE lead_id = 4;
DELETE FROM event WHERE lead_id = 4 AND kind = 'amount';
:check

-- Events that count for nothing are shown
INSERT INTO event (lead_id, event_id, kind, occurred_at) VALUES (4, 8001, 'page_view', '2025-01-02'), (4, 8002, 'unknown', '2025-01-02'), (4, 8003, 'odd', '2025-01-02'), (4, 8004, '', '2025-01-02');
SELECT lead_id, event_id, kind, reason FROM unscored_events WHERE event_id > 8000 AND event_id < 9000 ORDER BY 1, 2;

-- stage_set: a stage by hand, or nothing if it names none
INSERT INTO event (lead_id, event_id, kind, occurred_at, properties) VALUES
    (21, 9001, 'stage_set', '2025-02-01', '{"stage": "nonsense"}'),
    (21, 9002, 'stage_set', '2025-02-01', '{"stage": 7}'),
    (21, 9003, 'stage_set', '2025-02-01', '["stage"]'),
    (21, 9004, 'stage_set', '2025-02-01', NULL),
    (4, 9005, 'stage_set', '2025-02-01', '{"stage": "Opportunity"}');
UPDATE event SET properties = '{"stage": "lost"}' WHERE event_id = 9005;
UPDATE event SET properties = '{"stage": "lost", "reason": "a"}' WHERE event_id = 9005;
DELETE FROM event WHERE event_id = 9005;
SELECT lead_id, seq, cycle, from_stage, to_stage, effective_at, cause FROM stage_history WHERE lead_id = 4 ORDER BY 1, 2;
SELECT * FROM verify();

-- Replica role: no trigger fires. verify() tells, rebuild() puts it right; of
-- leads that are gone only the events are left, for they are not ours.
SET session_replication_role = replica;
INSERT INTO lead (lead_id, profile, created_at, updated_at) VALUES (51, '{"fit": true}', '2025-01-01', '2025-01-01');
INSERT INTO event (lead_id, event_id, kind, occurred_at) VALUES (51, 9101, 'act', '2025-01-02'), (1, 9102, 'act', '2025-03-02'), (22, 9103, 'act', '2025-01-02');
UPDATE lead SET profile = '{}' WHERE lead_id = 1;
DELETE FROM lead WHERE lead_id = 22;
RESET session_replication_role;
SELECT lead_id, problem FROM verify() ORDER BY 1, 2;
SELECT rebuild();
SELECT lead_id, problem FROM verify() ORDER BY 1, 2;
DELETE FROM event WHERE lead_id = 22;
SELECT rebuild();
:check
-- events that were missed since the last one give the history that they would
-- have given: milestones, stages by hand, profiles and points, in their order
INSERT INTO lead (lead_id, created_at, updated_at) SELECT i, '2025-01-01', '2025-01-01' FROM generate_series(61, 65) i;
INSERT INTO event (lead_id, kind, occurred_at) SELECT i, 'act', '2025-01-02' FROM generate_series(61, 65) i;
CREATE TEMP TABLE missed AS
    SELECT lead_id, kind, occurred_at::timestamptz, properties::jsonb
    FROM (VALUES (61, 'win', '2025-01-03', NULL), (61, 'act', '2025-01-04', NULL),
        (62, 'stage_set', '2025-01-03', '{"stage": "sql"}'),
        (63, 'act', '2025-01-03', NULL), (63, 'act', '2025-01-05', NULL),
        (64, 'out', '2025-01-03', NULL), (64, 'act', '2025-01-06', NULL), (64, 'act', '2025-01-07', NULL),
        (65, 'stage_set', '2025-01-03', '{"stage": "lost"}'), (65, 'act', '2025-01-05', NULL)) AS v (lead_id, kind, occurred_at, properties);
SET session_replication_role = replica;
INSERT INTO event (lead_id, kind, occurred_at, properties) TABLE missed;
UPDATE lead SET profile = '{"fit": true}', updated_at = '2025-01-04' WHERE lead_id IN (63, 64);
RESET session_replication_role;
SELECT lead_id, problem, stored, expected FROM verify() WHERE problem LIKE 'stage%';
SELECT count(DISTINCT lead_id) FROM verify();
SELECT rebuild();
SELECT rebuild();
SELECT * FROM verify();
-- their twins have it at once
INSERT INTO lead (lead_id, created_at, updated_at) SELECT i + 10, '2025-01-01', '2025-01-01' FROM generate_series(61, 65) i;
INSERT INTO event (lead_id, kind, occurred_at) SELECT i + 10, 'act', '2025-01-02' FROM generate_series(61, 65) i;
INSERT INTO event (lead_id, kind, occurred_at, properties) SELECT lead_id + 10, kind, occurred_at, properties FROM missed WHERE occurred_at < '2025-01-04';
UPDATE lead SET profile = '{"fit": true}', updated_at = '2025-01-04' WHERE lead_id IN (73, 74);
INSERT INTO event (lead_id, kind, occurred_at, properties) SELECT lead_id + 10, kind, occurred_at, properties FROM missed WHERE occurred_at >= '2025-01-04';
CREATE VIEW told AS SELECT lead_id, row_number() OVER (PARTITION BY lead_id ORDER BY seq) AS n, cycle, from_stage, to_stage, effective_at, cause FROM stage_history;
SELECT * FROM told WHERE lead_id BETWEEN 61 AND 65 ORDER BY 1, 2;
SELECT lead_id - 10, n, cycle, from_stage, to_stage, effective_at, cause FROM told WHERE lead_id > 70 EXCEPT TABLE told;
-- late events are where they belong; DELETE and TRUNCATE too
SET session_replication_role = replica;
INSERT INTO event (lead_id, kind, occurred_at) VALUES (63, 'win', '2025-01-04');
DELETE FROM event WHERE lead_id = 61 AND kind = 'act';
RESET session_replication_role;
SELECT lead_id, problem FROM verify() ORDER BY 1;
SELECT rebuild();
SELECT * FROM verify();
SELECT stage FROM lead_state WHERE lead_id = 63;
SET session_replication_role = replica;
TRUNCATE event;
RESET session_replication_role;
SELECT count(*) > 0 AS some FROM verify();
SELECT rebuild() > 0 AS some;
SELECT * FROM verify();
DELETE FROM lead WHERE lead_id > 60;
-- the same with triggers disabled
ALTER TABLE event DISABLE TRIGGER USER;
INSERT INTO event (lead_id, kind, occurred_at) VALUES (21, 'act', '2025-06-01');
ALTER TABLE event ENABLE TRIGGER USER;
SELECT lead_id, problem FROM verify();
SELECT rebuild();
SELECT * FROM verify();

-- ... and what comes first for a lead without a state makes one, profile and all
SET session_replication_role = replica;
INSERT INTO lead (lead_id, external_id, created_at, updated_at) VALUES (52, 'bare', '2025-01-01', '2025-01-01'), (53, 'barer', '2025-01-01', '2025-01-01');
RESET session_replication_role;
SELECT lead_id, score, stage FROM track('bare', 'act', NULL, '2025-01-02', profile => '{"fit": true}');
SELECT upsert_lead('barer', profile => '{"fit": true}');
SELECT l.lead_id, l.profile, s.activity FROM lead l JOIN lead_state s USING (lead_id) WHERE lead_id IN (52, 53) ORDER BY 1;
:check
DELETE FROM lead WHERE lead_id IN (52, 53);

-- In parallel: by workers, and by a leader that must read the signals again
INSERT INTO event (lead_id, kind, occurred_at, value) SELECT 1, 'amount', '2025-03-05', i FROM generate_series(1, 200) i;
SELECT count(*), sum(s.quantity) FROM event e, leadscore_internal.event_signals(e) s;
ALTER TABLE event SET (parallel_workers = 2);
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT count(*), sum(s.quantity) FROM event e, leadscore_internal.event_signals(e) s;
SELECT count(*), sum(s.quantity) FROM event e, leadscore_internal.event_signals(e) s;
SELECT * FROM verify();
SET max_parallel_workers = 0;
UPDATE signal SET note = 'changed' WHERE signal = 'act';
SELECT count(*), sum(s.quantity) FROM event e, leadscore_internal.event_signals(e) s;
SELECT * FROM verify();
RESET max_parallel_workers;
RESET max_parallel_workers_per_gather;
RESET min_parallel_table_scan_size;
RESET parallel_tuple_cost;
RESET parallel_setup_cost;
ALTER TABLE event RESET (parallel_workers);

-- TRUNCATE of events, then of leads
TRUNCATE event;
:check
INSERT INTO event (lead_id, kind, occurred_at) VALUES (21, 'act', '2025-06-02'), (4, 'act', '2025-06-02');
SELECT * FROM verify();
BEGIN;
TRUNCATE event;
ROLLBACK;
SELECT * FROM verify();
TRUNCATE lead;
:check
SELECT (SELECT count(*) FROM event) AS events, (SELECT count(*) FROM stage_history) AS history, (SELECT count(*) FROM profile_change) AS profiles;
TRUNCATE lead, event;

-- A partitioned table takes the place of event: states and history stay
DROP SCHEMA w, w_reports CASCADE;
SELECT pipeline FROM leadscore.create_pipeline('w', 'inbound');
INSERT INTO lead (lead_id, email, consented_at, created_at, updated_at) SELECT i, 'a@example.com', '2025-01-01', '2025-01-01', '2025-01-01' FROM generate_series(1, 6) i;
INSERT INTO event (lead_id, kind, occurred_at) SELECT i % 6 + 1, 'pricing_view', '2025-01-02'::timestamptz + i * interval '1 hour' FROM generate_series(0, 23) i;
CREATE TEMP TABLE before AS SELECT s.*, h.seq, h.effective_at, h.recorded_at FROM lead_state s JOIN stage_history h USING (lead_id);
SELECT leadscore.detach_pipeline('w');
ALTER TABLE event RENAME TO event_plain;
ALTER TABLE event_plain RENAME CONSTRAINT event_pkey TO event_plain_pkey;
ALTER INDEX event_source_id_key RENAME TO event_plain_source_id_key;
CREATE TABLE event (LIKE event_plain INCLUDING DEFAULTS, CONSTRAINT event_pkey PRIMARY KEY (lead_id, event_id)) PARTITION BY HASH (lead_id);
CREATE UNIQUE INDEX event_source_id_key ON event (lead_id, source_id) WHERE source_id IS NOT NULL;
CREATE TABLE event_0 PARTITION OF event FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE event_1 (junk int, LIKE event_plain INCLUDING DEFAULTS);
ALTER TABLE event_1 DROP COLUMN junk;
ALTER TABLE event ATTACH PARTITION event_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
ALTER SEQUENCE event_event_id_seq OWNED BY event.event_id;
INSERT INTO event TABLE event_plain;
-- views that are bound to the old table are bound anew
SELECT leadscore.upgrade_pipeline('w');
DROP TABLE event_plain;
SELECT leadscore.attach_pipeline('w');
TABLE before EXCEPT SELECT s.*, h.seq, h.effective_at, h.recorded_at FROM lead_state s JOIN stage_history h USING (lead_id);
CREATE VIEW digest AS
    SELECT s.lead_id, s.activity, s.stage, (SELECT count(*) FROM event e WHERE e.lead_id = s.lead_id) AS events FROM lead_state s ORDER BY 1;

-- Partitions: the same through the table, and rows that move between them
COPY event (lead_id, kind, occurred_at) FROM STDIN;
1	page_view	2025-01-05 00:00:00
2	page_view	2025-01-05 00:00:00
\.
UPDATE event SET lead_id = lead_id % 6 + 1 WHERE kind = 'page_view';
UPDATE event SET lead_id = lead_id % 6 + 1 WHERE occurred_at < '2025-01-02 06:00';
DELETE FROM event WHERE lead_id = 3;
:check
SELECT count(DISTINCT tableoid) FROM event;
-- past the table only verify() notices
SELECT tableoid::regclass AS leaf FROM event WHERE lead_id = 5 LIMIT 1 \gset
INSERT INTO :leaf (lead_id, kind, occurred_at) VALUES (5, 'demo_request', '2025-02-05');
SELECT lead_id, problem FROM verify();
SELECT rebuild();
UPDATE :leaf SET kind = 'quote_request' WHERE kind = 'demo_request';
SELECT lead_id, problem FROM verify();
SELECT rebuild();
DELETE FROM :leaf WHERE lead_id = 5;
SELECT lead_id, problem FROM verify();
SELECT rebuild();
SELECT * FROM verify();
-- so it is when partitions come and go
BEGIN;
ALTER TABLE event DETACH PARTITION event_0;
SELECT count(*) > 0 AS some FROM verify();
SELECT rebuild() > 0 AS some;
SELECT * FROM verify();
ALTER TABLE event ATTACH PARTITION event_0 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
SELECT count(*) > 0 AS some FROM verify();
SELECT rebuild() > 0 AS some;
SELECT * FROM verify();
SAVEPOINT whole;
TRUNCATE event_0;
SELECT count(*) > 0 AS some FROM verify();
SELECT rebuild() > 0 AS some;
SELECT * FROM verify();
ROLLBACK TO whole;
DROP TABLE event_0;
SELECT count(*) > 0 AS some FROM verify();
SELECT rebuild() > 0 AS some;
SELECT * FROM verify();
ROLLBACK;
-- unless the partition has the triggers as well
CREATE TRIGGER leadscore_inserted AFTER INSERT ON :leaf
    REFERENCING NEW TABLE AS new_event FOR EACH STATEMENT EXECUTE FUNCTION leadscore_internal.event_changed();
INSERT INTO :leaf (lead_id, kind, occurred_at) VALUES (5, 'demo_request', '2025-02-05');
INSERT INTO event (lead_id, kind, occurred_at) SELECT i, 'demo_request', '2025-02-06' FROM generate_series(1, 6) i;
:check
TRUNCATE event;
:check
DROP SCHEMA w, w_reports CASCADE;

-- A lead_id that the sequence still has to give: track() says what to do
SELECT pipeline FROM leadscore.create_pipeline('taken_ids', 'empty');
INSERT INTO taken_ids.lead (lead_id) VALUES (1);
SELECT * FROM taken_ids.track('x', 'page_view');
SELECT lead_id FROM taken_ids.track('x', 'page_view');
SET client_min_messages = warning;
DROP SCHEMA taken_ids, taken_ids_reports CASCADE;
RESET client_min_messages;
