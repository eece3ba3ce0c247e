--
-- Tables of people that make leads: names, consent, erasure; and what begins no sequence.
--
SET timezone = 'UTC';
SELECT pipeline FROM leadscore.create_pipeline('crm');
CREATE TABLE users (id int PRIMARY KEY, email text, plan text, market text, employees int, accepted_at timestamptz, signed_up date);
CREATE TABLE orders (id int PRIMARY KEY, email text, paid_at timestamptz, amount numeric);
SELECT tracked_as FROM leadscore.track_table('crm', 'orders', lead => 'email', kind => 'purchase', occurred_at => 'paid_at', value => 'amount');
SELECT tracked_as FROM leadscore.track_lead_table('crm', 'users', external_id => 'id', email => 'email', aliases => '{email}',
    profile => '{plan,market,employees}', consent => 'accepted_at', created_at => 'signed_up', on_delete => 'forget');
CREATE VIEW who AS
    SELECT l.external_id, l.email, l.market, l.profile, l.consented_at, l.created_at::date AS since,
        ARRAY(SELECT a.external_id FROM crm.lead_alias a WHERE a.lead_id = l.lead_id ORDER BY 1) AS names,
        ARRAY(SELECT e.source_id FROM crm.event e WHERE e.lead_id = l.lead_id ORDER BY 1) AS events
    FROM crm.lead l ORDER BY l.lead_id;

-- An order comes before its user, then another from her new address
INSERT INTO orders VALUES (1, 'ann@acme.example', '2025-02-01 10:00', 10);
INSERT INTO users VALUES (1, 'Ann@acme.example', 'pro', 'b2b', 10, '2025-02-02 09:00', '2025-01-15');
UPDATE users SET email = 'ann@tea.example' WHERE id = 1;
INSERT INTO orders VALUES (2, 'ann@tea.example', '2025-06-05 10:00', 20), (3, 'ANN@acme.example', '2025-06-06 10:00', 30);
SELECT * FROM who;

-- Only what a statement changes is written: what the lead was given elsewhere stays
SELECT crm.upsert_lead('1', profile => '{"plan": "gold", "market": "b2c"}') IS NOT NULL AS done;
UPDATE users SET employees = 11 WHERE id = 1;
SELECT profile, market FROM who;
-- emptied; and a value that its column does not take, beside one that is right
UPDATE users SET plan = NULL WHERE id = 1;
UPDATE users SET market = 'moon', employees = 12 WHERE id = 1;
SELECT profile, market FROM who;

-- A name of somebody else, a key that changes
INSERT INTO users VALUES (2, 'ann@tea.example', 'free', NULL, NULL, NULL, '2025-01-16'), (3, NULL, 'free', NULL, NULL, NULL, '2025-01-17');
UPDATE users SET id = 4, email = 'cid@acme.example' WHERE id = 3;
SELECT external_id, email, since, names, events FROM who;
SELECT count(*) FROM crm.lead WHERE erased_at IS NOT NULL;
SELECT definition, skipped_why FROM crm.tracked_tables ORDER BY 1;

-- Consent: granted at its date, taken back, given again later; a withdrawal elsewhere is not undone by the row
CREATE VIEW said AS
    SELECT l.external_id, c.status, c.evidence, CASE WHEN c.occurred_at < now() - interval '1 hour' THEN c.occurred_at END AS at
    FROM crm.consent c JOIN crm.lead l USING (lead_id) WHERE c.purpose = 'policy' ORDER BY c.consent_id;
INSERT INTO users VALUES (5, 'eve@acme.example', 'free', NULL, NULL, NULL, '2025-01-18');
UPDATE users SET accepted_at = '2025-03-01 10:00' WHERE id = 5;
UPDATE users SET plan = 'pro' WHERE id = 5;
UPDATE users SET accepted_at = NULL WHERE id = 5;
SELECT * FROM said WHERE external_id = '5';
SELECT consented_at FROM who WHERE external_id = '5';
SELECT crm.withdraw_consent('1', 'policy') IS NOT NULL AS withdrawn;
UPDATE users SET plan = 'max' WHERE id = 1;
SELECT leadscore.backfill_table('crm', 'users') AS rows;
SELECT * FROM said WHERE external_id = '1';
SELECT consented_at FROM who WHERE external_id = '1';
-- a column that is true or false, of old rows: it proves nothing
CREATE TABLE members (id text PRIMARY KEY, agreed boolean);
INSERT INTO members VALUES ('m1', true), ('m2', false), ('m3', NULL);
SELECT tracked_as FROM leadscore.track_lead_table('crm', 'members', external_id => 'id', consent => 'agreed');
INSERT INTO members VALUES ('m4', true);
SELECT leadscore.backfill_table('crm', 'members') AS rows;
UPDATE members SET agreed = NOT agreed WHERE id IN ('m2', 'm4');
SELECT external_id, status, evidence FROM said WHERE external_id LIKE 'm%' ORDER BY external_id, status;

-- A row that goes: the person is forgotten, its lead and events stay, and what comes later is left out
DELETE FROM users WHERE id = 1;
SELECT count(*) FILTER (WHERE erased_at IS NOT NULL) AS forgotten, count(*) AS leads FROM crm.lead;
SELECT count(*), sum(value) FROM crm.event;
INSERT INTO orders VALUES (9, 'ann@tea.example', '2025-07-01 10:00', 30);
UPDATE orders SET amount = 31 WHERE id = 1;
DELETE FROM orders WHERE id = 2;
INSERT INTO users VALUES (1, 'ann@tea.example', 'pro', NULL, NULL, NULL, NULL);
SELECT count(*), sum(value) FROM crm.event;
SELECT definition, skipped_why FROM crm.tracked_tables ORDER BY 1;
SELECT * FROM crm.verify();

-- What is fresh begins a sequence if a trigger writes it, and none if it was there before
INSERT INTO crm.sequence (sequence, starts_on, start_name, exit_stages) VALUES ('thanks', 'event', 'purchase', '{}');
INSERT INTO crm.sequence_step (sequence, step, position, channel, content) VALUES ('thanks', 'mail', 1, 'email', 'thanks');
SELECT crm.activate_sequence('thanks') IS NOT NULL AS active;
CREATE TABLE old_orders (id int PRIMARY KEY, email text, paid_at timestamptz);
INSERT INTO old_orders VALUES (1, 'old@acme.example', now());
SELECT tracked_as FROM leadscore.track_table('crm', 'old_orders', lead => 'email', kind => 'purchase', occurred_at => 'paid_at');
INSERT INTO old_orders VALUES (2, 'new@acme.example', now());
SELECT leadscore.backfill_table('crm', 'old_orders') AS rows;
SELECT l.external_id, n.sequence FROM crm.enrollment n JOIN crm.lead l USING (lead_id);
SHOW leadscore.enroll;
SELECT external_id, events FROM who WHERE external_id IN ('old@acme.example', 'new@acme.example');

DROP VIEW who, said;
DROP TABLE users, orders, members, old_orders;
SELECT definition, table_name, problem FROM crm.tracked_tables ORDER BY 1;
SELECT leadscore.drop_pipeline('crm');
