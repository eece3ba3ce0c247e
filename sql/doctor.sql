--
-- leadscore.doctor(): nothing when all is well, and each problem by its name
--
SET timezone = 'UTC';
SELECT leadscore.create_pipeline('crm') \g /dev/null
SELECT * FROM leadscore.doctor('crm');
SELECT * FROM crm.track('ann', 'pricing_view', profile => '{"email": "ann@mail.example", "consent": true}') \g /dev/null
SELECT * FROM leadscore.doctor('crm');
SELECT * FROM leadscore.doctor('nowhere');
SELECT * FROM leadscore.doctor(NULL);

-- What is broken
SELECT leadscore.create_pipeline('broken', 'empty') \g /dev/null
ALTER TABLE broken.event DISABLE TRIGGER leadscore_inserted;
DROP INDEX broken.lead_state_next_review_at_idx;
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken.lead_phone_idx'::regclass;
SELECT severity, problem, advice FROM leadscore.doctor('broken');
UPDATE pg_index SET indisvalid = true WHERE indexrelid = 'broken.lead_phone_idx'::regclass;
ALTER TABLE broken.event ENABLE TRIGGER leadscore_inserted;
SELECT leadscore.detach_pipeline('broken');
SELECT problem FROM leadscore.doctor('broken') WHERE problem LIKE '%trigger%';
SELECT leadscore.attach_pipeline('broken') \g /dev/null
CREATE INDEX lead_state_next_review_at_idx ON broken.lead_state (next_review_at);
DROP INDEX broken.event_content_idx;
SELECT severity, problem FROM leadscore.doctor('broken') WHERE problem LIKE '%index%';
CREATE INDEX event_content_idx ON broken.event (left(properties ->> 'content', 100) COLLATE "C") WHERE properties ? 'content';
-- a column of ours, and a table of ours; then nothing else can be asked
INSERT INTO broken.signal (signal, event_kinds, condition) VALUES ('paid', '{purchase}', '!($value < 0)');
ALTER TABLE broken.event RENAME value TO amount;
ALTER TABLE broken.lead RENAME owner TO "Owner";
SELECT * FROM leadscore.doctor('broken');
ALTER TABLE broken.event RENAME amount TO value;
ALTER TABLE broken.event RENAME TO events;
SELECT severity, problem, advice FROM leadscore.doctor('broken');
ALTER TABLE broken.events RENAME TO event;
ALTER TABLE broken.lead RENAME "Owner" TO owner;
CREATE ROLE doctor_other;
ALTER TABLE broken.event OWNER TO doctor_other;
SELECT problem, advice = format('Run ALTER TABLE broken.event OWNER TO %I.', current_user) AS advised FROM leadscore.doctor('broken');
ALTER TABLE broken.event OWNER TO CURRENT_USER;
DROP ROLE doctor_other;
-- columns of the user's, and a list, that signals ask for and that are gone
ALTER TABLE broken.event ADD COLUMN shop text;
ALTER TABLE broken.lead ADD COLUMN tier text;
INSERT INTO broken.value_list VALUES ('rivals', 'rival.example');
INSERT INTO broken.signal (signal, source, event_kinds, condition) VALUES ('rival', 'profile', NULL, '$rivals[*] == $email_domain || $tier == "a$" || "$" == $tier'),
    ('shop', 'event', '{a}', '$shop == "$value" && $content_kind == "x" && $channel == "y"');
SELECT problem FROM leadscore.doctor('broken');
ALTER TABLE broken.event DROP COLUMN shop;
ALTER TABLE broken.lead RENAME tier TO class;
DELETE FROM broken.value_list;
SELECT * FROM leadscore.doctor('broken');
-- the same in a session in which a backslash in a string is an escape
\c -
SET timezone = 'UTC';
SET standard_conforming_strings = off;
SELECT problem FROM leadscore.doctor('broken') WHERE problem LIKE 'signal %';
RESET standard_conforming_strings;
-- a table that is partitioned by time, without an index over source_id and with one
SELECT leadscore.detach_pipeline('broken');
ALTER TABLE broken.event RENAME TO event_plain;
CREATE TABLE broken.event (LIKE broken.event_plain INCLUDING DEFAULTS, CONSTRAINT event_by_time_pkey PRIMARY KEY (lead_id, event_id, occurred_at)) PARTITION BY RANGE (occurred_at);
CREATE TABLE broken.event_all PARTITION OF broken.event DEFAULT;
ALTER SEQUENCE broken.event_event_id_seq OWNED BY broken.event.event_id;
SELECT leadscore.upgrade_pipeline('broken') \g /dev/null
DROP TABLE broken.event_plain;
CREATE INDEX event_content_idx ON broken.event (left(properties ->> 'content', 100) COLLATE "C") WHERE properties ? 'content';
SELECT leadscore.attach_pipeline('broken') \g /dev/null
SELECT severity, problem FROM leadscore.doctor('broken') WHERE problem LIKE '%index%';
CREATE INDEX event_source_id_idx ON broken.event (lead_id, source_id) WHERE source_id IS NOT NULL;
SELECT severity, problem FROM leadscore.doctor('broken') WHERE problem LIKE '%index%';
SET quote_all_identifiers = on;
SELECT severity, problem FROM leadscore.doctor('broken') WHERE problem LIKE '%index%';
RESET quote_all_identifiers;
SELECT leadscore.drop_pipeline('broken') \g /dev/null

-- A name with capital letters, a blank and quotes
SELECT leadscore.create_pipeline('Odd "one"', 'empty', attach => false) \g /dev/null
SELECT DISTINCT severity, advice FROM leadscore.doctor('Odd "one"') ORDER BY advice;
SELECT leadscore.attach_pipeline('Odd "one"');
DROP INDEX "Odd ""one""".lead_phone_idx;
SELECT severity, problem, advice FROM leadscore.doctor('Odd "one"');
SELECT leadscore.drop_pipeline('Odd "one"') \g /dev/null

-- What is late. A review was due for two hours and nobody swept; a message waits
-- for three hours; of two that ended one failed.
SET session_replication_role = replica;
UPDATE crm.lead_state SET next_review_at = now() - interval '2 hours';
RESET session_replication_role;
INSERT INTO crm.action (lead_id, dedup_key, channel, due_at) SELECT lead_id, 'app:1', 'email', now() - interval '3 hours' FROM crm.lead;
INSERT INTO crm.action (lead_id, dedup_key, channel, due_at, status, error, ended_at)
    SELECT lead_id, 'app:' || s, 'sms', now(), s, CASE s WHEN 'failed' THEN 'no route' END, now() FROM crm.lead, unnest('{done,failed}'::text[]) s;
SELECT * FROM leadscore.doctor('crm');
SELECT crm.sweep() AS swept;
DELETE FROM crm.action;
SELECT * FROM leadscore.doctor('crm');

-- What counts for nothing
DELETE FROM crm.lead;
SELECT * FROM crm.track('bob', 'pricing_veiw') \g /dev/null
SELECT * FROM crm.track('bob', 'points_added', properties => '{}', value => NULL) \g /dev/null
SELECT * FROM crm.track('bob', 'page_view', occurred_at => now() + interval '3 days', profile => '{"budget": "yes"}') \g /dev/null
SELECT severity, problem, CASE WHEN problem <> 'events are dated ahead' THEN detail END AS detail, advice FROM leadscore.doctor('crm');

-- A table of the app whose column is gone; events that should have been purged
CREATE SCHEMA app;
CREATE TABLE app.bill (id int PRIMARY KEY, email text, paid_at timestamptz);
SELECT leadscore.track_table('crm', 'app.bill', lead => 'email', kind => 'purchase', occurred_at => 'paid_at') IS NOT NULL AS tracked;
SELECT severity, problem, advice FROM leadscore.doctor('crm') WHERE problem LIKE '%tracked%';
SELECT leadscore.backfill_table('crm', 'bill');
SELECT severity, problem, advice FROM leadscore.doctor('crm') WHERE problem LIKE '%tracked%';
ALTER TABLE app.bill DROP COLUMN paid_at;
SELECT severity, problem, advice FROM leadscore.doctor('crm') WHERE problem LIKE '%tracked%';
SELECT leadscore.untrack_table('crm', 'bill');
DROP SCHEMA app CASCADE;
SELECT count(*) FROM crm.track('bob', 'page_view', occurred_at => '2024-01-01');
UPDATE crm.retention SET keep_for = '100 days' WHERE table_name = 'event';
SELECT problem, detail FROM leadscore.doctor('crm') WHERE problem LIKE '%retention%';
UPDATE crm.retention SET keep_for = NULL;

-- For the owner alone
CREATE ROLE leadscore_reader;
SET standard_conforming_strings = off;
SELECT leadscore.grant_reader('crm', 'leadscore_reader');
RESET standard_conforming_strings;
SET ROLE leadscore_reader;
DO $$ BEGIN PERFORM leadscore.doctor('crm'); EXCEPTION WHEN insufficient_privilege THEN RAISE NOTICE '%', SQLERRM; END $$;
RESET ROLE;
DROP OWNED BY leadscore_reader;
DROP ROLE leadscore_reader;

-- Sequences without a limit; a pipeline that is older
UPDATE crm.lead SET consented_at = now();
SELECT crm.activate_sequence('welcome');
DELETE FROM crm.contact_limit;
SELECT severity, problem, advice FROM leadscore.doctor('crm') WHERE severity = 'hint';
DROP FUNCTION crm._problems();
SELECT severity, problem, advice FROM leadscore.doctor('crm');
SELECT leadscore.upgrade_pipeline('crm') > 0 AS upgraded;
SELECT severity, problem FROM leadscore.doctor('crm') WHERE severity <> 'warning';
SELECT leadscore.drop_pipeline('crm') \g /dev/null
