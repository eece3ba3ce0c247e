-- Loaded leads are counted range by range, in transactions of their own, while
-- writers go on.
CREATE EXTENSION IF NOT EXISTS leadscore;
SET client_min_messages = warning;
SELECT leadscore.create_pipeline('crm', reports => false, attach => false) \g /dev/null
INSERT INTO crm.lead (lead_id, external_id, created_at) SELECT n, 'lead' || n, '2024-01-01 00:00Z' FROM generate_series(1, 7) n;
INSERT INTO crm.event (lead_id, kind, occurred_at, properties) SELECT n, 'content_download', timestamptz '2024-02-01 00:00Z' + n * interval '1 hour', '{"intent": "solution"}' FROM generate_series(1, 7) n;

SELECT leadscore.attach_pipeline('crm', NULL);
SELECT leadscore.attach_pipeline('crm', rebuild => false);
SELECT first_lead_id, last_lead_id, finished_at, leads_changed FROM crm.rebuild_range ORDER BY 1;
SELECT crm.start_rebuild(0);
SELECT crm.start_rebuild(NULL);
SELECT crm.start_rebuild(3);
SELECT first_lead_id, last_lead_id, finished_at, leads_changed FROM crm.rebuild_range ORDER BY 1;
SELECT problem, detail, advice FROM leadscore.doctor('crm') WHERE problem LIKE '%rebuild%';

-- No range has reached these leads. What is written about one counts beside what
-- was loaded: two downloads of lead 5, three days apart, and the profile of lead 6.
SELECT count(*) FROM crm.lead_state;
INSERT INTO crm.event (lead_id, kind, occurred_at, properties) VALUES (5, 'content_download', '2024-02-04 05:00Z', '{"intent": "solution"}');
UPDATE crm.lead SET profile = '{"employees": 100}', updated_at = '2024-02-10 00:00Z' WHERE lead_id = 6;
DELETE FROM crm.event WHERE lead_id = 7;
SELECT s.lead_id, (SELECT sum(u.count) FROM leadscore.unnest(s.activity) u JOIN crm.signal g ON g.signal_id = u.signal_id AND g.signal = 'content_download') AS downloads, s.stage
FROM crm.lead_state s ORDER BY s.lead_id;
SELECT lead_id, count(*) FROM crm.profile_change GROUP BY lead_id ORDER BY 1;
-- these are right; the four others have no state
SELECT lead_id, problem FROM crm.verify() ORDER BY 1;

-- One range, and the others
SELECT crm._rebuild_range();
SELECT first_lead_id, last_lead_id, finished_at <= clock_timestamp() AS finished, leads_changed FROM crm.rebuild_range ORDER BY 1;
BEGIN;
CALL crm.continue_rebuild();
ROLLBACK;
CALL crm.continue_rebuild();
SELECT first_lead_id, last_lead_id, finished_at <= clock_timestamp() AS finished, leads_changed FROM crm.rebuild_range ORDER BY 1;
SELECT * FROM crm.verify();
SELECT count(*) FROM crm.lead_state;
SELECT problem FROM leadscore.doctor('crm') WHERE problem LIKE '%rebuild%';
CALL crm.continue_rebuild();

-- Rows without a lead are found too, whatever their number.
BEGIN;
SET LOCAL session_replication_role = replica;
DELETE FROM crm.lead WHERE lead_id IN (2, 7);
COMMIT;
SELECT lead_id, problem FROM crm.verify() ORDER BY 1, 2;
SELECT crm.start_rebuild();
CALL crm.continue_rebuild();
SELECT lead_id, problem FROM crm.verify() ORDER BY 1, 2;

-- The least and the greatest number
INSERT INTO crm.lead (lead_id, external_id) VALUES (-9223372036854775808, 'least'), (9223372036854775807, 'greatest');
SELECT crm.start_rebuild(1);
SELECT first_lead_id, last_lead_id FROM crm.rebuild_range ORDER BY 1;
DELETE FROM crm.lead;
SELECT crm.start_rebuild(1);
CALL crm.continue_rebuild();

-- What later writes go by is told and repaired too, though stage and counts are
-- right: a stage that was set in March, and refused for want of consent, is given
-- when that is known since February.
DELETE FROM crm.lead;
INSERT INTO crm.lead (lead_id, external_id, created_at, updated_at) SELECT n, 'set' || n, '2024-01-01 00:00Z', '2024-01-01 00:00Z' FROM generate_series(1, 3) n;
INSERT INTO crm.event (lead_id, kind, occurred_at, properties) VALUES (2, 'stage_set', '2024-03-01 00:00Z', '{"stage": "mql"}');
SELECT leadscore.detach_pipeline('crm') \g /dev/null
INSERT INTO crm.event (lead_id, kind, occurred_at, properties) VALUES (1, 'stage_set', '2024-03-01 00:00Z', '{"stage": "mql"}');
DELETE FROM crm.event WHERE lead_id = 2;
SELECT leadscore.attach_pipeline('crm', rebuild => false) \g /dev/null
SELECT lead_id, problem FROM crm.verify() ORDER BY 1;
CALL crm.continue_rebuild();
SELECT sum(leads_changed) FROM crm.rebuild_range;
SELECT lead_id, milestone_at AT TIME ZONE 'UTC' AS milestone FROM crm.lead_state ORDER BY 1;
UPDATE crm.lead SET email = external_id || '@mail.example', consented_at = '2024-02-01 00:00Z', updated_at = '2024-02-01 00:00Z';
SELECT lead_id, to_stage, effective_at AT TIME ZONE 'UTC' AS since FROM crm.stage_history ORDER BY 1, 3;
SELECT * FROM crm.verify();
TRUNCATE crm.event;
SELECT lead_id, stage, milestone_at FROM crm.lead_state ORDER BY 1;
SELECT * FROM crm.verify();
DELETE FROM crm.lead;

-- Leads that a change of the model left behind
INSERT INTO crm.lead (external_id) SELECT 'many' || n FROM generate_series(1, 2500) n;
SELECT crm.clone_model('inbound', 'other') \g /dev/null
SELECT crm.activate_model('other') \g /dev/null
SELECT count(*) FROM crm.lead_state s, crm.setting g WHERE s.configuration < g.configuration;
CALL crm.sweep_all();
SELECT count(*) FROM crm.lead_state s, crm.setting g WHERE s.configuration < g.configuration;

-- What was loaded begins no sequence, though it is of today, nor does it when
-- something else is written about the lead, of whatever time; what comes then does.
DELETE FROM crm.lead;
SELECT crm.activate_sequence('solution') \g /dev/null
SELECT leadscore.detach_pipeline('crm') \g /dev/null
INSERT INTO crm.lead (lead_id, external_id, email, created_at, consented_at) SELECT n, 'old' || n, 'old' || n || '@mail.example', '2024-01-01 00:00Z', '2024-01-01 00:00Z' FROM generate_series(1, 5) n;
INSERT INTO crm.event (lead_id, kind, properties) SELECT n, 'stage_set', '{"stage": "mql"}' FROM unnest(ARRAY[1, 3, 4, 5]) n;
SELECT leadscore.attach_pipeline('crm', rebuild => false) \g /dev/null
INSERT INTO crm.event (lead_id, kind, properties) VALUES (1, 'page_view', '{}'), (2, 'stage_set', '{"stage": "mql"}');
SELECT stage, stage_changed FROM crm.track('old2', 'page_view');
INSERT INTO crm.event (lead_id, kind, occurred_at) VALUES (4, 'page_view', '2024-05-01 00:00Z');
UPDATE crm.event SET channel = 'web' WHERE lead_id = 5;
CALL crm.continue_rebuild();
SELECT lead_id, stage, (SELECT string_agg(e.sequence, ' ') FROM crm.enrollment e WHERE e.lead_id = s.lead_id) AS sequences FROM crm.lead_state s ORDER BY 1;
SELECT * FROM crm.verify();

-- A profile that a lead was loaded with counts from its creation, also if it is
-- changed, given up, merged or erased before a range has reached the lead; and if
-- the statement that changes it writes an event too.
DELETE FROM crm.lead;
SELECT leadscore.detach_pipeline('crm') \g /dev/null
INSERT INTO crm.lead (lead_id, external_id, email, profile, created_at, updated_at)
SELECT n, 'loaded' || n, 'loaded' || n || '@mail.example', profile::jsonb, '2024-01-01 00:00Z', '2024-01-01 00:00Z'
FROM (VALUES (1, '{"job_title": "Head of Sales"}'), (2, '{"job_title": "Head of Sales"}'), (3, '{"authority": true}'), (4, '{"budget": true}'), (5, '{}'), (6, '{"budget": true}'), (7, '{"budget": true}')) AS l (n, profile);
SELECT leadscore.attach_pipeline('crm', rebuild => false) \g /dev/null
UPDATE crm.lead SET profile = '{"employees": 100}', updated_at = '2024-02-10 00:00Z' WHERE lead_id = 1;
SELECT crm.forget_lead('loaded2');
SELECT crm.merge_leads('loaded3', 'loaded4');
SELECT crm.give_consent('loaded5', 'policy') \g /dev/null
UPDATE crm.lead SET contact_allowed = false, profile = '{"need": true}', updated_at = '2024-02-10 00:00Z' WHERE lead_id = 6;
WITH e AS (INSERT INTO crm.event (lead_id, kind, occurred_at) VALUES (7, 'demo_request', '2024-02-10 00:00Z') RETURNING lead_id)
UPDATE crm.lead l SET profile = '{"need": true}', updated_at = '2024-02-10 00:00Z' FROM e WHERE l.lead_id = e.lead_id;
CALL crm.continue_rebuild();
SELECT lead_id, signal, count, CASE WHEN changed_at < now() - interval '1 day' THEN (changed_at AT TIME ZONE 'UTC')::date::text ELSE 'now' END AS changed
FROM crm.profile_change WHERE signal <> 'contactable' ORDER BY lead_id, changed_at, signal;
SELECT * FROM crm.verify();

-- So does a profile that was written to a lead with a state while the pipeline was
-- detached: from its own day, in February, also if it is changed, given up, merged,
-- erased, or followed by an event that changes the row, before a range has reached
-- the lead.
DELETE FROM crm.lead;
INSERT INTO crm.lead (lead_id, external_id, email, created_at, updated_at)
SELECT n, 'stale' || n, 'stale' || n || '@mail.example', '2024-01-01 00:00Z', '2024-01-01 00:00Z' FROM generate_series(11, 16) n;
SELECT leadscore.detach_pipeline('crm') \g /dev/null
UPDATE crm.lead SET profile = '{"budget": true}', updated_at = '2024-02-01 00:00Z';
SELECT leadscore.attach_pipeline('crm', rebuild => false) \g /dev/null
BEGIN;
UPDATE crm.lead SET profile = '{"authority": true}', updated_at = '2024-02-10 00:00Z' WHERE lead_id = 11;
UPDATE crm.lead SET profile = '{"authority": true, "need": true}', updated_at = '2024-02-11 00:00Z' WHERE lead_id = 11;
COMMIT;
UPDATE crm.lead SET profile = '{}', updated_at = '2024-02-10 00:00Z' WHERE lead_id = 12;
SELECT crm.merge_leads('stale13', 'stale14');
SELECT crm.forget_lead('stale15');
INSERT INTO crm.event (lead_id, kind, occurred_at) VALUES (16, 'unsubscribe', '2024-01-15 00:00Z');
CALL crm.continue_rebuild();
SELECT lead_id, signal, count, (changed_at AT TIME ZONE 'UTC')::date AS changed
FROM crm.profile_change WHERE signal <> 'contactable' ORDER BY lead_id, changed_at, signal;
SELECT * FROM crm.verify();

-- A stage that was loaded changes no count. A lead that a model left behind, and
-- one that is due, have it after the rebuild, as a sweep reads no events.
DELETE FROM crm.lead;
INSERT INTO crm.lead (lead_id, external_id, created_at) SELECT n, 'early' || n, '2024-01-01 00:00Z' FROM generate_series(1, 3) n;
SELECT leadscore.detach_pipeline('crm') \g /dev/null
INSERT INTO crm.event (lead_id, kind, occurred_at, properties) SELECT n, 'stage_set', '2024-03-01 00:00Z', '{"stage": "lost"}' FROM generate_series(1, 2) n;
SELECT leadscore.attach_pipeline('crm', rebuild => false) \g /dev/null
INSERT INTO crm.event (lead_id, kind, occurred_at) VALUES (1, 'page_view', '2024-04-01 00:00Z');
SELECT crm.clone_model('inbound', 'third') \g /dev/null
SELECT crm.activate_model('third') \g /dev/null
CALL crm.continue_rebuild();
CALL crm.sweep_all();
SELECT lead_id, stage, stage_since AT TIME ZONE 'UTC' AS since FROM crm.lead_state ORDER BY 1;
SELECT sum(leads_changed) FROM crm.rebuild_range;
SELECT * FROM crm.verify();
SELECT leadscore.detach_pipeline('crm') \g /dev/null
INSERT INTO crm.event (lead_id, kind, occurred_at, properties) VALUES (3, 'stage_set', '2024-03-02 00:00Z', '{"stage": "lost"}');
ALTER TABLE crm.lead_state DISABLE TRIGGER USER;
UPDATE crm.lead_state SET next_review_at = '2024-04-01 00:00Z';
ALTER TABLE crm.lead_state ENABLE TRIGGER USER;
SELECT leadscore.attach_pipeline('crm');
CALL crm.sweep_all();
SELECT stage, stage_since AT TIME ZONE 'UTC' AS since FROM crm.lead_state WHERE lead_id = 3;
SELECT * FROM crm.verify();

-- Events that are not counted yet are not announced as purged: two leads are left.
DELETE FROM crm.lead;
SELECT leadscore.detach_pipeline('crm') \g /dev/null
INSERT INTO crm.lead (lead_id, external_id, created_at) SELECT n, 'old' || n, '2024-01-01 00:00Z' FROM generate_series(1, 3) n;
INSERT INTO crm.event (lead_id, kind, occurred_at) SELECT n, 'demo_request', '2024-02-01 00:00Z' FROM generate_series(1, 3) n;
SELECT leadscore.attach_pipeline('crm', rebuild => false) \g /dev/null
SELECT crm.track('old1', 'page_view') \g /dev/null
SELECT leads_left FROM crm.purge('2024-03-01 00:00Z', delete_events => false) WHERE table_name = 'event';
CALL crm.continue_rebuild();
SELECT leads_left FROM crm.purge('2024-03-01 00:00Z', delete_events => false) WHERE table_name = 'event';
SELECT * FROM crm.verify();

-- Only the owner, and those that it lets
CREATE ROLE leadscore_stranger;
GRANT USAGE ON SCHEMA crm TO leadscore_stranger;
SET ROLE leadscore_stranger;
SELECT crm.start_rebuild();
CALL crm.continue_rebuild();
CALL crm.sweep_all();
RESET ROLE;
-- with nothing but the procedure, what it calls is refused
GRANT EXECUTE ON PROCEDURE crm.continue_rebuild(), crm.sweep_all() TO leadscore_stranger;
SET ROLE leadscore_stranger;
CALL crm.continue_rebuild();
CALL crm.sweep_all();
RESET ROLE;
SELECT leadscore.drop_pipeline('crm') \g /dev/null
DROP ROLE leadscore_stranger;
