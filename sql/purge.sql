--
-- Purges: old events go, and nothing of the time after them changes
--

SELECT pipeline FROM leadscore.create_pipeline('g', 'empty', reports => false);
SET search_path = g, leadscore, public;
SET timezone = 'UTC';
SELECT * FROM purge('2025-02-01');
INSERT INTO signal (signal, event_kinds) VALUES ('view', '{view}'), ('demo', '{demo}'), ('buy', '{buy}'), ('complain', '{complain}');
INSERT INTO signal (signal, source, condition) VALUES ('fit', 'profile', '$.fit == true');
INSERT INTO model (model, allow_demotion) VALUES ('m', true);
INSERT INTO dimension (model, dimension) VALUES ('m', 'd');
INSERT INTO rule (model, dimension, rule, signal, points, decay, decay_period) VALUES ('m', 'd', 'view', 'view', 10, 'none', NULL),
    ('m', 'd', 'demo', 'demo', 30, 'window', '20 days'), ('m', 'd', 'complain', 'complain', -25, 'none', NULL), ('m', 'd', 'fit', 'fit', 5, 'none', NULL);
INSERT INTO stage_rule (model, stage, min_score, entry_signals) VALUES ('m', 'iql', 10, '{}'), ('m', 'mql', 30, '{}'), ('m', 'sql', 60, '{}'), ('m', 'customer', NULL, '{buy}');
SELECT activate_model('m', wait => true);
INSERT INTO segment (segment) VALUES ('keen'), ('recent');
INSERT INTO segment_condition (segment, condition, signal, min_count, within) VALUES ('keen', 'views', 'view', 2, NULL), ('recent', 'demo', 'demo', NULL, '20 days');
SELECT activate_segment('keen'), activate_segment('recent');

CREATE VIEW course AS
    SELECT s.lead_id, s.activity, (
            SELECT string_agg(concat_ws(' ', h.to_stage::text, CASE h.cause WHEN 'activation' THEN 'now' ELSE to_char(h.effective_at, 'MM-DD') END, h.cause), ', ' ORDER BY h.seq) FROM stage_history h WHERE h.lead_id = s.lead_id) AS stages, (
            SELECT string_agg(concat_ws(' ', CASE WHEN h.is_member THEN 'in' ELSE 'out of' END, h.segment, to_char(h.effective_at, 'MM-DD'), h.cause), ', ' ORDER BY h.seq)
            FROM segment_history h WHERE h.lead_id = s.lead_id) AS segments
    FROM lead_state s;
CREATE VIEW told AS
    SELECT l.lead_id, d::date AS day, score_by_id(l.lead_id, d), stage_at_by_id(l.lead_id, d), in_segment_by_id(l.lead_id, 'keen', d) AS keen, in_segment_by_id(l.lead_id, 'recent', d) AS recent
    FROM lead l, unnest('{2025-01-03,2025-01-10,2025-01-31 23:00,2025-02-01,2025-02-15}'::timestamptz[]) d
    WHERE l.lead_id <= 2;

-- Lead 1 has 10 points on 2 January, 40 on the 5th, and 20 when the demo is
-- twenty days old, on the 25th: it steps back, and its promotion is blocked until
-- an event of 10 February. Lead 2 has 10 points, lead 3 buys. Lead 4 does what
-- nobody counts, and lead 5 is younger than the line.
INSERT INTO lead (lead_id, external_id, created_at, updated_at) SELECT i, 'l' || i, '2025-01-01', '2025-01-01' FROM generate_series(1, 4) i;
INSERT INTO lead (lead_id, external_id, created_at, updated_at) VALUES (5, 'l5', '2025-02-03', '2025-02-03');
INSERT INTO event (lead_id, kind, occurred_at, source_id) VALUES
    (1, 'view', '2025-01-02 10:00', 'a'), (1, 'demo', '2025-01-05 10:00', 'b'), (1, 'view', '2025-01-20 10:00', NULL), (1, 'view', '2025-02-10 10:00', 'c'),
    (2, 'view', '2025-01-02 10:00', 'a'), (3, 'view', '2025-01-03 10:00', NULL), (3, 'buy', '2025-01-04 10:00', NULL), (3, 'view', '2025-02-05 10:00', NULL),
    (4, 'nothing', '2025-01-06 10:00', NULL), (5, 'view', '2025-02-04 10:00', NULL);
SELECT * FROM course ORDER BY 1;
CREATE TABLE course_before AS SELECT * FROM course;
CREATE TABLE told_before AS SELECT * FROM told;
SELECT * FROM told ORDER BY 1, 2;

-- In two batches. The line is where a bucket begins
SELECT * FROM purge('2025-02-01 14:00', 2);
SELECT * FROM purge('2025-02-01 14:00', 2);
SELECT lead_id, kind, occurred_at FROM event ORDER BY 1, 3;
SELECT lead_id, purged_before, stage_seq, segments_seq, stage, promotion_blocked, cycle, stage_since, milestone_at, segments IS NOT NULL AS in_segments, segments_since, cardinality(source_ids) AS source_ids
    FROM lead_checkpoint ORDER BY 1;
SELECT lead_id, baseline FROM lead_state ORDER BY 1;
SELECT * FROM course EXCEPT SELECT * FROM course_before;
SELECT * FROM told EXCEPT SELECT * FROM told_before;
SELECT count(*) FROM told_before;
SELECT * FROM verify();
SELECT rebuild(), sweep();
-- the same again finds nothing, nor does an older line
SELECT * FROM purge('2025-02-01');
SELECT * FROM purge('2025-01-04');
-- it names the same views while names are shown in quotes
SELECT string_agg(table_name, ' ' ORDER BY table_name) AS names FROM purge('2025-02-01') \gset
SET quote_all_identifiers = on;
SELECT string_agg(table_name, ' ' ORDER BY table_name) = :'names' AS same, count(*) FROM purge('2025-02-01');
RESET quote_all_identifiers;
-- what is kept by the engine, and what cannot be asked
DELETE FROM lead_checkpoint;
UPDATE lead_checkpoint SET stage = 'customer';
TRUNCATE lead_checkpoint;
SELECT * FROM purge(NULL);
SELECT * FROM purge('infinity');
SELECT * FROM purge('2025-02-01', -1);
SELECT * FROM purge('2025-02-01', delete_events => NULL);
SELECT * FROM purge('-infinity');

-- A late event of before the line counts, and moves no stage before it. Lead 1
-- has 30 points at the line, but is blocked; lead 2 has 30 and becomes an mql
-- there; to lead 3 a purchase says nothing new.
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'view', '2025-01-15'), (2, 'view', '2025-01-10'), (2, 'view', '2025-01-10'), (3, 'buy', '2025-01-31');
SELECT * FROM course WHERE lead_id <= 3 ORDER BY 1;
SELECT lead_id, baseline FROM lead_state WHERE lead_id <= 3 ORDER BY 1;
SELECT lead_id, day, score_by_id, stage_at_by_id, keen FROM told ORDER BY 1, 2;
SELECT * FROM verify();
-- ... a milestone of before the line is none, and a stage that is set neither
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES (2, 'buy', '2025-01-12', NULL), (2, 'stage_set', '2025-01-13', '{"stage": "lost"}');
SELECT stages FROM course WHERE lead_id = 2;
SELECT * FROM verify();
-- Late events can be corrected, and be deleted: what they did at the line is taken back
UPDATE event SET kind = 'demo' WHERE lead_id = 2 AND occurred_at = '2025-01-10' AND kind = 'view';
SELECT activity, stages, segments FROM course WHERE lead_id = 2;
UPDATE event SET occurred_at = '2025-02-02' WHERE lead_id = 2 AND kind = 'demo';
SELECT activity, stages, segments FROM course WHERE lead_id = 2;
DELETE FROM event WHERE lead_id = 2;
SELECT activity, stages, segments FROM course WHERE lead_id = 2;
SELECT * FROM verify();
DELETE FROM event WHERE lead_id = 1 AND occurred_at = '2025-01-15';
SELECT * FROM course WHERE lead_id <> 3 EXCEPT SELECT * FROM course_before WHERE lead_id <> 3;
-- A correction after the line goes back to the line and no further
DELETE FROM event WHERE lead_id = 1 AND occurred_at > '2025-02-01';
SELECT stages, segments FROM course WHERE lead_id = 1;
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'complain', '2025-02-03');
SELECT stages, segments FROM course WHERE lead_id = 1;
SELECT * FROM verify();
-- at the very instant of the line, too
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'buy', '2025-02-01'), (3, 'demo', '2025-02-01');
SELECT lead_id, stages FROM course WHERE lead_id IN (1, 3) ORDER BY 1;
DELETE FROM event WHERE occurred_at = '2025-02-01';
-- A profile of before the line counts from the line on
UPDATE lead SET profile = '{"fit": true}', updated_at = '2025-01-10' WHERE lead_id = 2;
INSERT INTO event (lead_id, kind, occurred_at) VALUES (2, 'view', '2025-02-08'), (2, 'view', '2025-02-09');
SELECT activity, stages FROM course WHERE lead_id = 2;
-- and so does another creation
UPDATE lead SET created_at = '2025-01-08' WHERE lead_id = 2;
UPDATE lead SET created_at = '2025-01-08' WHERE lead_id = 4;
SELECT activity, stages FROM course WHERE lead_id IN (2, 4) ORDER BY lead_id;
SELECT * FROM verify();

-- An event that was purged does not come twice
SELECT duplicate, event_id FROM track('l1', 'view', occurred_at => '2025-01-02 10:00', source_id => 'a');
SELECT * FROM track_many('[{"external_id": "l1", "kind": "view", "occurred_at": "2025-01-05", "source_id": "b"}, {"external_id": "l1", "kind": "view", "occurred_at": "2025-01-05", "source_id": "new"},
    {"external_id": "l2", "kind": "view", "occurred_at": "2025-01-02", "source_id": "b"}, {"external_id": "l3", "kind": "view", "occurred_at": "2025-02-12", "source_id": "a"}]');
INSERT INTO event (lead_id, kind, occurred_at, source_id) VALUES (2, 'view', '2025-01-02 10:00', 'a');
INSERT INTO event (lead_id, kind, occurred_at, source_id) VALUES (2, 'view', '2025-02-11', 'a');
UPDATE event SET value = 1 WHERE source_id = 'b';
SELECT * FROM verify();

-- A later line. Another model of old signals sees the purged events, a new signal does not
SELECT table_name, rows_removed, leads_left FROM purge('2025-03-01');
SELECT count(*) FROM event WHERE occurred_at < '2025-03-01';
SELECT lead_id, stage_seq, segments_seq, stage, promotion_blocked FROM lead_checkpoint ORDER BY 1;
SELECT * FROM verify();
SELECT clone_model('m', 'n');
UPDATE rule SET points = 25 WHERE model = 'n' AND rule = 'view';
SELECT activate_model('n', wait => true);
SELECT lead_id, stage, activity FROM lead_state ORDER BY 1;
SELECT lead_id, to_stage, cause, model FROM stage_history h WHERE cause = 'activation' ORDER BY 1;
SELECT * FROM verify();
INSERT INTO signal (signal, event_kinds) VALUES ('seen', '{view}');
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'view', '2025-03-02');
SELECT sweep() > 0;
SELECT activity FROM lead_state WHERE lead_id = 1;
SELECT * FROM verify();
SELECT rebuild();

-- Two leads that become one. The past of the one that came further holds
INSERT INTO lead (lead_id, external_id, created_at, updated_at) SELECT i, 'm' || i, '2025-01-01', '2025-01-01' FROM generate_series(11, 16) i;
INSERT INTO event (lead_id, kind, occurred_at, source_id) SELECT i, 'view', '2025-01-02'::timestamptz + i * interval '1 day', 's' || i FROM generate_series(11, 16) i;
INSERT INTO event (lead_id, kind, occurred_at) VALUES (12, 'buy', '2025-01-20'), (14, 'buy', '2025-01-21'), (16, 'view', '2025-03-04'), (16, 'view', '2025-03-05');
SELECT table_name, rows_removed, leads_left FROM purge('2025-02-01', 2) WHERE table_name = 'event';
SELECT table_name, rows_removed, leads_left FROM purge('2025-02-05', 2) WHERE table_name = 'event';
-- both purged, at two lines; the loser came further
SELECT merge_leads_by_id(11, 14);
SELECT * FROM course WHERE lead_id = 11;
SELECT purged_before, stage_seq, segments_seq, stage, cardinality(source_ids) AS source_ids FROM lead_checkpoint WHERE lead_id = 11;
-- the winner came further; its loser was never purged
SELECT merge_leads_by_id(12, 15);
SELECT * FROM course WHERE lead_id = 12;
-- the loser was purged, the winner not; they are equal
SELECT merge_leads_by_id(16, 13);
SELECT * FROM course WHERE lead_id = 16;
SELECT merge_leads_by_id(5, 16);
SELECT * FROM course WHERE lead_id = 5;
-- the winner is younger than the line
INSERT INTO lead (lead_id, external_id, created_at, updated_at) VALUES (17, 'm17', '2025-03-03', '2025-03-03');
INSERT INTO event (lead_id, kind, occurred_at) VALUES (17, 'nothing', '2025-02-07'), (17, 'demo', '2025-03-03');
SELECT stages FROM course WHERE lead_id = 17;
SELECT merge_leads_by_id(17, 5);
SELECT * FROM course WHERE lead_id = 17;
SELECT lead_id, purged_before FROM lead_checkpoint WHERE lead_id > 4 ORDER BY 1;
SELECT duplicate FROM track('l5', 'view', occurred_at => '2025-01-15', source_id => 's13');
SELECT * FROM verify();
SELECT rebuild();
-- forgotten, exported, deleted
SELECT forget_lead('l1');
SELECT export_lead('l2') -> 'checkpoint' ->> 'stage' AS exported;
SELECT * FROM verify();
DELETE FROM lead WHERE lead_id = 3;
SELECT count(*) FROM lead_checkpoint WHERE lead_id = 3;
SELECT * FROM verify();

-- Partitions by time: the purge is announced, then the partition is dropped
SELECT leadscore.detach_pipeline('g');
ALTER TABLE event RENAME TO event_plain;
ALTER TABLE event_plain RENAME CONSTRAINT event_pkey TO event_plain_pkey;
CREATE TABLE event (LIKE event_plain INCLUDING DEFAULTS INCLUDING COMMENTS,
    CONSTRAINT event_pkey PRIMARY KEY (lead_id, event_id, occurred_at)) PARTITION BY RANGE (occurred_at);
CREATE INDEX event_source_id_idx ON event (lead_id, source_id) WHERE source_id IS NOT NULL;
CREATE TABLE event_old PARTITION OF event FOR VALUES FROM (MINVALUE) TO ('2025-05-01');
CREATE TABLE event_new PARTITION OF event FOR VALUES FROM ('2025-05-01') TO (MAXVALUE);
ALTER SEQUENCE event_event_id_seq OWNED BY event.event_id;
INSERT INTO event TABLE event_plain;
SELECT leadscore.upgrade_pipeline('g') > 0;
DROP TABLE event_plain CASCADE;
SELECT leadscore.attach_pipeline('g') >= 0;
INSERT INTO lead (lead_id, external_id, created_at, updated_at) SELECT i, 'p' || i, '2025-04-01', '2025-04-01' FROM generate_series(21, 23) i;
INSERT INTO event (lead_id, kind, occurred_at, source_id) VALUES (21, 'view', '2025-04-02', 'x'), (21, 'demo', '2025-04-20', NULL), (21, 'view', '2025-05-20', NULL), (22, 'buy', '2025-04-03', NULL), (23, 'view', '2025-05-02', NULL);
DROP TABLE course_before;
CREATE TABLE course_before AS SELECT * FROM course;
SELECT table_name, rows_removed, leads_left FROM purge('2025-05-01', delete_events => false);
SELECT tableoid::regclass, count(*) FROM event WHERE lead_id > 20 GROUP BY 1 ORDER BY 1;
SELECT * FROM course EXCEPT SELECT * FROM course_before;
SELECT * FROM verify();
-- while the rows are there they can be corrected
UPDATE event SET kind = 'view' WHERE kind = 'demo' AND lead_id = 21;
INSERT INTO event (lead_id, kind, occurred_at) VALUES (22, 'view', '2025-04-05');
DELETE FROM event WHERE lead_id = 21 AND occurred_at = '2025-04-02';
SELECT * FROM course WHERE lead_id IN (21, 22) ORDER BY 1;
SELECT * FROM verify();
TRUNCATE course_before;
INSERT INTO course_before SELECT * FROM course;
ALTER TABLE event DETACH PARTITION event_old;
SELECT * FROM verify();
DROP TABLE event_old;
SELECT rebuild(), sweep();
SELECT * FROM course EXCEPT SELECT * FROM course_before;
SELECT * FROM verify();
CREATE TABLE event_old PARTITION OF event FOR VALUES FROM (MINVALUE) TO ('2025-05-01');
SELECT duplicate FROM track('p21', 'view', occurred_at => '2025-04-02', source_id => 'x');
SELECT * FROM verify();
SELECT table_name, rows_removed, leads_left FROM purge('2025-05-10');
SELECT * FROM verify();

-- How long things are kept
TABLE retention;
INSERT INTO retention (table_name, keep_for) VALUES ('lead', '1 year');
UPDATE retention SET keep_for = '0' WHERE table_name = 'event';
SELECT * FROM apply_retention();
UPDATE retention SET keep_for = '1 day' WHERE table_name = 'action';
UPDATE retention SET keep_for = '1 day' WHERE table_name <> 'action';
SELECT * FROM apply_retention(NULL);
SELECT * FROM apply_retention(-1);
SELECT table_name, rows_removed FROM apply_retention();
SELECT count(*) FROM stage_log WHERE superseded_at IS NOT NULL;
ALTER TABLE stage_log DISABLE TRIGGER USER;
UPDATE stage_log SET superseded_at = superseded_at - interval '2 years' WHERE superseded_at IS NOT NULL;
ALTER TABLE stage_log ENABLE TRIGGER USER;
CREATE TABLE expected AS SELECT count(*) AS rows FROM stage_log h
    WHERE superseded_at IS NOT NULL AND EXISTS (SELECT FROM stage_log n WHERE n.lead_id = h.lead_id AND n.seq > h.seq);
SELECT rows_removed = rows AND rows > 0 AS all_of_them FROM apply_retention(), expected WHERE table_name = 'stage_log';
SELECT * FROM verify();
-- actions that ended long ago, but of a run that is open
CREATE TEMP TABLE acting AS SELECT min(lead_id) AS lead_id FROM lead_state;
INSERT INTO enrollment (lead_id, sequence, run, started_at, started_by, ended_at, end_reason)
    SELECT lead_id, 's', run, '2025-01-01', 'iql', e, CASE WHEN e IS NOT NULL THEN 'goal' END FROM acting, (VALUES (1, '2025-01-02'::timestamptz), (2, NULL)) v (run, e);
INSERT INTO action (lead_id, dedup_key, channel, sequence, run, step, due_at, status, ended_at)
    SELECT lead_id, v.* FROM acting, (VALUES ('s/1/a', 'email', 's', 1, 'a', '2025-01-01'::timestamptz, 'done', '2025-01-01'::timestamptz), ('s/2/a', 'email', 's', 2, 'a', '2025-01-01', 'done', '2025-01-01'),
        ('app:old', 'email', NULL, NULL, NULL, '2025-01-01', 'skipped', '2025-01-01'), ('app:new', 'email', NULL, NULL, NULL, '2025-01-01', 'done', now()), ('app:waits', 'email', NULL, NULL, NULL, '2025-01-01', 'waiting', NULL)) v;
UPDATE retention SET keep_for = '32 days' WHERE table_name = 'action';
SELECT rows_removed FROM apply_retention(0) WHERE table_name = 'action';
SELECT rows_removed FROM apply_retention() WHERE table_name = 'action';
SELECT dedup_key FROM action ORDER BY 1;
DELETE FROM action;
DELETE FROM enrollment;

-- What reports lose: those that read events, through whatever
SELECT pipeline FROM leadscore.create_pipeline('r');
INSERT INTO r.lead (lead_id, created_at) VALUES (1, '2025-01-01');
CREATE TABLE lost AS SELECT * FROM r.purge('2025-01-01');
SELECT count(*) > 20 AS many, bool_and(complete_since = '2025-01-01') FROM lost WHERE table_name <> 'event';
-- 'purchases' reads them itself, roas through it, email_engagement through a function; funnel and costs do not
SELECT v, EXISTS (SELECT FROM lost WHERE table_name = v) AS loses FROM unnest('{purchases,roas,email_engagement,funnel,cost_per_lead,stage_history,lead_score}'::text[]) v;
-- what the catalog knows is in it
WITH RECURSIVE reader AS (
    SELECT 'r.event'::regclass::oid AS oid
    UNION
    SELECT w.ev_class FROM reader JOIN pg_depend d ON d.refobjid = reader.oid AND d.classid = 'pg_rewrite'::regclass JOIN pg_rewrite w ON w.oid = d.objid WHERE w.ev_class <> reader.oid
)
SELECT c.relname FROM reader JOIN pg_class c USING (oid) WHERE c.relkind = 'v' AND c.relname NOT LIKE '\_%' EXCEPT SELECT table_name FROM lost;

SET search_path = g, leadscore;
-- both had one event, and that of one was purged: it counts once, whichever remains
INSERT INTO lead (lead_id, external_id, created_at, updated_at) SELECT i, 'm' || i, '2025-01-01', '2025-01-01' FROM generate_series(41, 44) i;
INSERT INTO event (lead_id, kind, occurred_at, source_id) VALUES (41, 'view', '2025-01-15', 'once'), (44, 'view', '2025-01-15', 'once');
SELECT rows_removed FROM purge('2025-03-01', 2) WHERE table_name = 'event';
INSERT INTO event (lead_id, kind, occurred_at, source_id) VALUES (42, 'view', '2025-01-15', 'once'), (42, 'view', '2025-03-02', 'twice'), (43, 'view', '2025-01-15', 'once');
SELECT merge_leads_by_id(41, 42), merge_leads_by_id(43, 44);
SELECT lead_id, (SELECT count(*) FROM event e WHERE e.lead_id = s.lead_id) AS events, activity FROM lead_state s WHERE lead_id > 40 ORDER BY 1;
SELECT * FROM verify();

-- Only the owner purges
CREATE ROLE purge_app;
SELECT leadscore.grant_app('g', 'purge_app');
SET ROLE purge_app;
SELECT * FROM g.purge('2025-02-01');
SELECT * FROM g.apply_retention();
SELECT leadscore_internal.purge('g', '2025-02-01', 1, true);
SELECT leadscore_internal.purge_superseded('g', false, '2025-02-01', 1);
SELECT leadscore_internal.merge_lines('g', 1, 2);
RESET ROLE;

DROP SCHEMA g CASCADE;
DROP SCHEMA r, r_reports CASCADE;
DROP OWNED BY purge_app;
DROP ROLE purge_app;
