--
-- What the owner adds to the tables that the engine keeps: constraints, whose
-- errors show no row to a role of few rights; triggers, which fire, and never as
-- a superuser
--
\set SHOW_CONTEXT always
CREATE ROLE leadscore_owner;
CREATE ROLE leadscore_app;
DO $$BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO leadscore_owner', current_database()); END$$;
SET ROLE leadscore_owner;
SELECT active_model FROM leadscore.create_pipeline('crm');
SELECT leadscore.grant_app('crm', 'leadscore_app');
GRANT SELECT (lead_id), UPDATE (profile), DELETE ON crm.lead TO leadscore_app;
GRANT SELECT (signal), UPDATE (condition) ON crm.signal TO leadscore_app;
GRANT SELECT (event_id), DELETE, TRUNCATE ON crm.event TO leadscore_app;
GRANT EXECUTE ON FUNCTION crm.sweep(integer), crm.rebuild(), crm.activate_model(text, boolean), crm.clone_model(text, text) TO leadscore_app;
INSERT INTO crm.lead (email, consented_at, profile) SELECT 'secret@mail.example', now(), '{"iban": "DE89"}' FROM generate_series(1, 3);
INSERT INTO crm.event (lead_id, kind) VALUES (3, 'page_view');

-- Constraints on what the engine writes when an app inserts an event: the error
-- names table and constraint, and shows nothing else
ALTER TABLE crm.lead_state ADD CONSTRAINT own_stage CHECK (stage::text <> 'customer');
SET ROLE leadscore_app;
INSERT INTO crm.event (lead_id, kind) VALUES (1, 'purchase');
SET ROLE leadscore_owner;
ALTER TABLE crm.lead_state DROP CONSTRAINT own_stage;
ALTER TABLE crm.stage_log ADD CONSTRAINT own_cause CHECK (cause <> 'milestone') NOT VALID;
SET ROLE leadscore_app;
INSERT INTO crm.event (lead_id, kind) VALUES (1, 'purchase');
COPY crm.event (lead_id, kind) FROM STDIN;
1	purchase
\.
SET ROLE leadscore_owner;
ALTER TABLE crm.stage_log DROP CONSTRAINT own_cause, ADD COLUMN own text NOT NULL DEFAULT '';
ALTER TABLE crm.stage_log ALTER COLUMN own DROP DEFAULT;
SET ROLE leadscore_app;
INSERT INTO crm.event (lead_id, kind) VALUES (1, 'purchase');
SET ROLE leadscore_owner;
ALTER TABLE crm.stage_log DROP COLUMN own;
CREATE UNIQUE INDEX own_entry ON crm.stage_log (to_stage) WHERE to_stage = 'customer' AND superseded_at IS NULL;
SET ROLE leadscore_app;
INSERT INTO crm.event (lead_id, event_id, kind) VALUES (1, 100, 'purchase');
INSERT INTO crm.event (lead_id, kind) VALUES (2, 'purchase');
-- corrections, which read the log again
SET ROLE leadscore_owner;
DROP INDEX crm.own_entry;
ALTER TABLE crm.stage_log ADD CONSTRAINT own_correction CHECK (superseded_at IS NULL) NOT VALID, ADD CONSTRAINT own_birth CHECK (cause <> 'created') NOT VALID;
SET ROLE leadscore_app;
DELETE FROM crm.event WHERE event_id = 100;
TRUNCATE crm.event;
-- profiles and leads that go
SET ROLE leadscore_owner;
ALTER TABLE crm.stage_log DROP CONSTRAINT own_correction, DROP CONSTRAINT own_birth;
ALTER TABLE crm.profile_change ADD CONSTRAINT own_signal CHECK (signal <> 'budget_confirmed');
CREATE TABLE crm.own (secret_id bigint CONSTRAINT own_reference REFERENCES crm.lead_state DEFAULT 2);
INSERT INTO crm.own VALUES (2);
SET ROLE leadscore_app;
UPDATE crm.lead SET profile = '{"budget": true}' WHERE lead_id = 2;
DELETE FROM crm.lead WHERE lead_id = 2;
-- an event that changes its lead
SET ROLE leadscore_owner;
ALTER TABLE crm.lead ADD CONSTRAINT own_allowed CHECK (contact_allowed IS NOT FALSE);
SET ROLE leadscore_app;
INSERT INTO crm.event (lead_id, kind) VALUES (1, 'unsubscribe');
SET ROLE leadscore_owner;
ALTER TABLE crm.lead DROP CONSTRAINT own_allowed;
-- a trigger of the owner's that writes elsewhere
SET ROLE leadscore_owner;
CREATE TABLE crm.audit (lead_id bigint, email text, CONSTRAINT own_audit CHECK (lead_id <> 2));
CREATE FUNCTION crm.audit() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO crm.audit SELECT l.lead_id, l.email FROM crm.lead l WHERE l.lead_id = NEW.lead_id; RETURN NULL; END$$;
CREATE TRIGGER audit AFTER UPDATE ON crm.lead_state FOR EACH ROW EXECUTE FUNCTION crm.audit();
SET ROLE leadscore_app;
INSERT INTO crm.event (lead_id, kind) VALUES (2, 'page_view');
SET ROLE leadscore_owner;
DROP TRIGGER audit ON crm.lead_state;
-- a constraint that is checked at the end of the transaction. That is not in any
-- function of ours: from PostgreSQL 18 on it is checked as the owner, whose key
-- values are a detail of the error; before, as the app, and they are not.
ALTER TABLE crm.lead_state ADD CONSTRAINT own_cycle UNIQUE (promotion_blocked, milestone_at) DEFERRABLE INITIALLY DEFERRED;
\set VERBOSITY terse
SET ROLE leadscore_app;
INSERT INTO crm.event (lead_id, kind, occurred_at) SELECT i, 'sales_contact', now() FROM generate_series(2, 3) i;
\set VERBOSITY default
-- functions in PL/pgSQL that apps call: consent of a lead whose columns follow, a merge, actions
SET ROLE leadscore_owner;
INSERT INTO crm.lead (external_id, profile) VALUES ('visitor', '{"iban": "DE90"}'), ('ann', '{"iban": "DE91"}');
INSERT INTO crm.event (lead_id, kind, properties) VALUES (crm.lead_id('visitor'), 'page_view', '{"page": "/secret"}');
SELECT crm.add_action('ann', 'letter', 'secret', transactional => true) > 0 AS added;
ALTER TABLE crm.lead ADD CONSTRAINT own_consent CHECK (consented_at IS NULL OR profile ->> 'iban' <> 'DE91');
ALTER TABLE crm.event ADD CONSTRAINT own_page CHECK (lead_id <> 5 OR properties ->> 'page' <> '/secret');
ALTER TABLE crm.action ADD CONSTRAINT own_status CHECK (status <> 'done');
SET ROLE leadscore_app;
SELECT crm.give_consent('ann', 'policy');
SELECT crm.identify('visitor', 'ann');
SELECT lead_id, action_id FROM crm.claim_actions('letter') \gset
SELECT crm.complete_action(:lead_id, :action_id, 1);
-- in a new session the library is loaded by the function that fails
\c
\set SHOW_CONTEXT always
SET ROLE leadscore_app;
SELECT crm.identify('visitor', 'ann');
SET ROLE leadscore_owner;
ALTER TABLE crm.lead DROP CONSTRAINT own_consent;
ALTER TABLE crm.event DROP CONSTRAINT own_page;
ALTER TABLE crm.action DROP CONSTRAINT own_status;
-- the configuration, and what the owner lets others do
SET ROLE leadscore_owner;
ALTER TABLE crm.lead_state DROP CONSTRAINT own_cycle;
ALTER TABLE crm.setting ADD CONSTRAINT own_number CHECK (configuration < 2) NOT VALID;
ALTER TABLE crm.rule ADD CONSTRAINT own_points CHECK (points <> 15) NOT VALID;
SET ROLE leadscore_app;
UPDATE crm.signal SET condition = '$.page == "x"' WHERE signal = 'page_view';
SELECT crm.clone_model('inbound', 'mine');
SET ROLE leadscore_owner;
ALTER TABLE crm.rule DROP CONSTRAINT own_points;
SELECT crm.clone_model('inbound', 'mine');
SET ROLE leadscore_app;
SELECT crm.activate_model('mine');
SET ROLE leadscore_owner;
ALTER TABLE crm.setting DROP CONSTRAINT own_number;
UPDATE crm.signal SET condition = '$.page == "x"' WHERE signal = 'page_view';
ALTER TABLE crm.lead_state ADD CONSTRAINT own_number CHECK (configuration < 2) NOT VALID;
SET ROLE leadscore_app;
SELECT crm.sweep();
SELECT crm.rebuild();
SET ROLE leadscore_owner;
ALTER TABLE crm.lead_state DROP CONSTRAINT own_number;
SELECT crm.sweep();
-- what the caller sent may be named
SET ROLE leadscore_app;
INSERT INTO crm.event (lead_id, kind) VALUES (999, 'page_view');
RESET ROLE;
SELECT * FROM crm.verify();

-- Triggers find nothing that the caller chose, whatever is written
SET ROLE leadscore_owner;
CREATE TABLE crm.seen (relation text, who text, path text);
CREATE FUNCTION crm.look() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO crm.seen VALUES (TG_TABLE_NAME, current_user, current_setting('search_path')); RETURN NULL; END$$;
CREATE FUNCTION crm.look_everywhere() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY '{lead,event,lead_state,stage_log,profile_change,setting}'::text[] LOOP
        EXECUTE format('CREATE TRIGGER look AFTER INSERT OR UPDATE OR DELETE ON crm.%I FOR EACH ROW EXECUTE FUNCTION crm.look()', t);
    END LOOP;
END
$$;
SELECT crm.look_everywhere();
GRANT TRUNCATE ON crm.lead TO leadscore_app;
GRANT SELECT, INSERT ON crm.seen TO leadscore_app;
DROP TABLE crm.own;
SET ROLE leadscore_app;
SET search_path = 'chosen';
INSERT INTO crm.event (lead_id, kind) VALUES (1, 'quote_request'), (1, 'disqualified'), (2, 'unsubscribe');
DELETE FROM crm.event WHERE lead_id = 1;
UPDATE crm.signal SET condition = '$.page == "y"' WHERE signal = 'page_view';
SELECT DISTINCT * FROM crm.seen ORDER BY 1;
BEGIN;
TRUNCATE crm.lead;
SELECT relation, who, path, count(*) > 2 AS many FROM crm.seen WHERE relation IN ('lead_state', 'stage_log') GROUP BY 1, 2, 3 ORDER BY 1;
ROLLBACK;
BEGIN;
DELETE FROM crm.lead WHERE lead_id = 3;
SELECT DISTINCT path FROM crm.seen WHERE relation IN ('event', 'lead_state') AND who = 'leadscore_owner';
ROLLBACK;
RESET ROLE;
TRUNCATE crm.seen;
SET ROLE leadscore_app;
-- (this one is the caller's own update)
UPDATE crm.lead SET profile = '{"need": true}' WHERE lead_id = 3;
SELECT crm.track('looked at', 'quote_request', profile => '{"email": "n@mail.example", "consent": true}') IS NOT NULL AS tracked;
SHOW search_path;
RESET search_path;
RESET ROLE;
SELECT DISTINCT * FROM crm.seen ORDER BY 1, 2;
DROP FUNCTION crm.look() CASCADE;
SELECT crm.sweep() > 0 AS swept;

-- Row triggers on lead_state fire, before and after, as the owner
SET ROLE leadscore_owner;
CREATE TABLE crm.fired (trigger text, event text, lead_id bigint, stage text, who text);
CREATE FUNCTION crm.fired() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO crm.fired VALUES (TG_NAME, TG_OP, NEW.lead_id, NEW.stage, current_user); RETURN NEW; END$$;
CREATE TRIGGER before_row BEFORE INSERT OR UPDATE ON crm.lead_state FOR EACH ROW EXECUTE FUNCTION crm.fired();
CREATE TRIGGER after_row AFTER INSERT OR UPDATE ON crm.lead_state FOR EACH ROW EXECUTE FUNCTION crm.fired();
SET ROLE leadscore_app;
SELECT stage FROM crm.track('new', 'pricing_view', profile => '{"email": "n@mail.example", "consent": true}');
INSERT INTO crm.event (lead_id, kind) VALUES (3, 'purchase');
RESET ROLE;
SELECT trigger, event, lead_id > 3 AS new, stage, who FROM crm.fired;
SELECT * FROM crm.verify();
-- but those of statements would not, so that the engine refuses them
SET ROLE leadscore_owner;
DROP TRIGGER before_row ON crm.lead_state;
DROP TRIGGER after_row ON crm.lead_state;
CREATE TRIGGER each_statement AFTER UPDATE ON crm.lead_state FOR EACH STATEMENT EXECUTE FUNCTION crm.fired();
SET ROLE leadscore_app;
INSERT INTO crm.event (lead_id, kind) VALUES (3, 'page_view');
SET ROLE leadscore_owner;
ALTER TABLE crm.lead_state DISABLE TRIGGER each_statement;
INSERT INTO crm.event (lead_id, kind) VALUES (3, 'page_view');
DROP TRIGGER each_statement ON crm.lead_state;
CREATE TRIGGER with_tables AFTER UPDATE ON crm.lead_state REFERENCING NEW TABLE AS n FOR EACH ROW EXECUTE FUNCTION crm.fired();
INSERT INTO crm.event (lead_id, kind) VALUES (3, 'page_view');
DROP TRIGGER with_tables ON crm.lead_state;
-- on the tables of history they fire
CREATE FUNCTION crm.count_entries() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO crm.fired SELECT TG_NAME, TG_OP, lead_id, to_stage FROM entered; RETURN NULL; END$$;
CREATE TRIGGER entries AFTER INSERT ON crm.stage_log REFERENCING NEW TABLE AS entered FOR EACH STATEMENT EXECUTE FUNCTION crm.count_entries();
TRUNCATE crm.fired;
INSERT INTO crm.event (lead_id, kind) VALUES (2, 'lost'), (4, 'purchase');
SELECT trigger, event, lead_id, stage FROM crm.fired ORDER BY lead_id;
DROP TRIGGER entries ON crm.stage_log;

-- Code of the owner's that waits for the end of the transaction, when a
-- superuser would run it: maintenance refuses to put it off
\set SHOW_CONTEXT never
CREATE TABLE crm.ran (who text, superuser boolean);
GRANT INSERT ON crm.ran TO PUBLIC;
CREATE FUNCTION crm.run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO crm.ran SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user;
    BEGIN
        EXECUTE 'ALTER ROLE leadscore_owner SUPERUSER';
    EXCEPTION WHEN insufficient_privilege THEN
    END;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER waits AFTER INSERT OR UPDATE ON crm.lead_state DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION crm.run();
CREATE CONSTRAINT TRIGGER waits AFTER INSERT OR UPDATE ON crm.stage_log DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION crm.run();
CREATE CONSTRAINT TRIGGER waits AFTER INSERT OR UPDATE ON crm.model DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION crm.run();
SELECT crm.clone_model('inbound', 'other');
RESET ROLE;
TRUNCATE crm.ran;
-- something is to be done for each of them
SET session_replication_role = replica;
INSERT INTO crm.event (lead_id, kind) VALUES (1, 'recycled');
UPDATE crm.lead_state SET next_review_at = '2025-01-01' WHERE lead_id = 2;
RESET session_replication_role;
SELECT DISTINCT lead_id FROM crm.verify();
SELECT crm.rebuild();
SELECT crm.rebuild_by_id(1);
SELECT crm.sweep();
SELECT crm.activate_model('other');
SELECT crm.activate_model('other', wait => true);
SELECT count(*) FROM crm.ran;
SELECT rolsuper FROM pg_roles WHERE rolname = 'leadscore_owner';
-- one that does not wait runs as the owner
ALTER TABLE crm.lead_state DISABLE TRIGGER waits;
ALTER TABLE crm.stage_log DISABLE TRIGGER waits;
ALTER TABLE crm.model DISABLE TRIGGER waits;
SET ROLE leadscore_owner;
CREATE TRIGGER at_once AFTER INSERT OR UPDATE ON crm.lead_state FOR EACH ROW EXECUTE FUNCTION crm.run();
CREATE TRIGGER at_once AFTER INSERT OR UPDATE ON crm.model FOR EACH ROW EXECUTE FUNCTION crm.run();
RESET ROLE;
SELECT crm.rebuild(), crm.activate_model('other', wait => true) > 0 AS followed, crm.sweep();
SELECT * FROM crm.verify();
SELECT DISTINCT * FROM crm.ran;
SELECT rolsuper FROM pg_roles WHERE rolname = 'leadscore_owner';

DROP SCHEMA crm, crm_reports CASCADE;
DO $$BEGIN EXECUTE format('REVOKE CREATE ON DATABASE %I FROM leadscore_owner', current_database()); END$$;
DROP ROLE leadscore_owner, leadscore_app;
