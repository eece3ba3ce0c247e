--
-- Tables of the app whose rows make events or leads.
--
SET timezone = 'UTC';
CREATE ROLE track_owner;
CREATE ROLE track_app;
CREATE ROLE track_writer;
CREATE ROLE track_reader;
GRANT CREATE ON DATABASE :"DBNAME" TO track_owner;
CREATE SCHEMA shop AUTHORIZATION track_app;
GRANT USAGE ON SCHEMA shop TO PUBLIC;
SET ROLE track_app;
CREATE TABLE shop.orders (id bigint PRIMARY KEY, customer_email text, paid_at timestamptz, status text, amount numeric, sku text, tags text[], raw json);
GRANT INSERT, SELECT, UPDATE, DELETE ON shop.orders TO track_writer;
INSERT INTO shop.orders VALUES
    (1, 'Ann@Acme.example', '2025-03-03 10:00', 'paid', 10.50, 'a', '{x,y}', NULL),
    (2, NULL, '2025-03-03 11:00', 'paid', 5, 'a', NULL, NULL),
    (3, 'bob@acme.example', NULL, 'open', 7, 'b', NULL, NULL);
SET ROLE track_owner;
SELECT pipeline FROM leadscore.create_pipeline('crm');

-- The table's owner must let the pipeline's owner track it, and nobody else can
SELECT leadscore.track_table('crm', 'shop.orders', lead => 'customer_email', kind => 'purchase', occurred_at => 'paid_at');
SET ROLE track_app;
SELECT leadscore.track_table('crm', 'shop.orders', lead => 'customer_email', kind => 'purchase', occurred_at => 'paid_at');
CREATE TRIGGER stolen AFTER INSERT ON shop.orders REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION crm.table_changed('orders');
CREATE FUNCTION shop.table_changed() RETURNS trigger LANGUAGE leadscore AS 'table_changed';
CREATE TABLE shop.bait (id int PRIMARY KEY);
CREATE TRIGGER stolen AFTER INSERT ON shop.bait REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION shop.table_changed('orders');
INSERT INTO shop.bait VALUES (1);
DROP TABLE shop.bait;
DROP FUNCTION shop.table_changed();
GRANT SELECT, TRIGGER ON shop.orders TO track_owner;

-- Bad definitions, each with what is wrong
SET ROLE track_owner;
CREATE SCHEMA other;
CREATE TABLE other.keyless (email text, at timestamptz);
CREATE TABLE other.late (id int PRIMARY KEY DEFERRABLE, email text, at timestamptz);
CREATE TABLE other.exact (x float8 PRIMARY KEY, email text, at timestamptz, place point, d interval);
CREATE VIEW other.v AS SELECT * FROM other.keyless;
CREATE TEMP TABLE passing (id int PRIMARY KEY, email text, at timestamptz);
CREATE FUNCTION pg_temp.try(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
    hint text;
BEGIN
    EXECUTE 'SELECT leadscore.' || call;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN SQLSTATE || ' ' || SQLERRM || CASE WHEN detail <> '' THEN ' / ' || detail ELSE '' END || CASE WHEN hint = '' THEN ' NO HINT' ELSE '' END;
END
$$;
SELECT pg_temp.try(c) FROM unnest(ARRAY[
    $$track_table('crm', 'other.keyless', lead => 'email', kind => 'purchase', occurred_at => 'at')$$,
    $$track_table('crm', 'other.late', lead => 'email', kind => 'purchase', occurred_at => 'at')$$,
    $$track_table('crm', 'other.exact', lead => 'email', kind => 'purchase', occurred_at => 'at')$$,
    $$track_table('crm', 'other.v', lead => 'email', kind => 'purchase', occurred_at => 'at')$$,
    $$track_table('crm', 'passing', lead => 'email', kind => 'purchase', occurred_at => 'at')$$,
    $$track_table('crm', 'crm.event', lead => 'lead_id', kind => 'purchase', occurred_at => 'occurred_at')$$,
    $$track_table('crm', 'pg_catalog.pg_class', lead => 'relname', kind => 'purchase', occurred_at => 'relname')$$,
    $$track_table('crm', 'shop.orders', lead => 'e-mail', kind => 'purchase', occurred_at => 'paid_at')$$,
    $$track_table('crm', 'shop.orders', lead => 'tags', kind => 'purchase', occurred_at => 'paid_at')$$,
    $$track_table('crm', 'shop.orders', lead => 'customer_email', kind => 'purchase', occurred_at => 'status')$$,
    $$track_table('crm', 'shop.orders', lead => 'customer_email', kind => 'purchase', occurred_at => 'paid_at', value => 'sku')$$,
    $$track_table('crm', 'shop.orders', lead => 'customer_email', kind => 'purchase', occurred_at => 'paid_at', properties => '{sku,nothing}')$$,
    $$track_table('crm', 'shop.orders', lead => 'customer_email', kind => 'purchase', occurred_at => 'paid_at', only_if => '{"status": [1]}')$$,
    $$track_table('crm', 'shop.orders', lead => 'customer_email', kind => 'purchase', occurred_at => 'paid_at', only_if => '{"status": {"a": 1}}')$$,
    $$track_table('crm', 'shop.orders', lead => 'customer_email', kind => 'purchase', occurred_at => 'paid_at', only_if => '["status"]')$$,
    $$track_table('crm', 'shop.orders', lead => 'customer_email', kind => 'purchase', occurred_at => 'paid_at', source_id => '{sku}')$$,
    $$track_table('crm', 'shop.orders', lead => 'customer_email', kind => 'purchase', occurred_at => 'paid_at', on_delete => 'forget')$$,
    $$track_table('crm', 'shop.orders', lead => 'customer_email', kind => 'purchase', occurred_at => 'paid_at', time_zone => 'Mars/Base')$$,
    $$track_table('crm', 'shop.orders', lead => 'customer_email', kind => 'purchase', occurred_at => 'paid_at', definition => 'a:b')$$,
    $$track_table('crm', 'shop.orders', lead => 'customer_email', occurred_at => 'paid_at')$$,
    $$track_table('crm', NULL, lead => 'customer_email', kind => 'purchase', occurred_at => 'paid_at')$$,
    $$track_table('crm', 'shop.orders', lead => NULL, kind => 'purchase', occurred_at => 'paid_at')$$,
    $$track_lead_table('crm', 'shop.orders', external_id => 'customer_email', email => 'customer_email')$$,
    $$track_lead_table('crm', 'shop.orders', external_id => 'id', on_delete => 'delete')$$,
    $$backfill_table('crm', 'nothing')$$]) c;
SELECT count(*) FROM crm.tracked_table;
SET client_min_messages = warning;
DROP SCHEMA other CASCADE;
RESET client_min_messages;
-- hints that help, also if the column of the app has another type
CREATE SCHEMA texts
    CREATE TABLE texts (id int PRIMARY KEY, mail text, at timestamptz, total text, amount numeric GENERATED ALWAYS AS (total::numeric) STORED);
SELECT leadscore.track_table('crm', 'texts.texts', lead => 'mail', kind => 'purchase', occurred_at => 'at', value => '"total"');
SELECT leadscore.track_table('crm', 'texts.texts', lead => 'mail', kind => 'purchase', occurred_at => 'at', value => 'total');
SELECT leadscore.track_table('crm', 'texts.texts', lead => 'mail', kind => 'purchase', occurred_at => 'at', value => 'amount', only_if => '{"amount": "many"}');
SELECT leadscore.track_lead_table('crm', 'texts.texts', external_id => 'id', time_zone => 'Mars/Base');
BEGIN;
SELECT tracked_as FROM leadscore.track_table('crm', 'texts.texts', lead => 'mail', kind => 'purchase', occurred_at => 'at', value => 'amount');
INSERT INTO texts.texts VALUES (1, 'gen@acme.example', '2025-01-01 12:00', '12.50');
UPDATE texts.texts SET total = '7.25';
SELECT source_id, value FROM crm.event WHERE source_id LIKE 'texts%';
ROLLBACK;
DROP SCHEMA texts CASCADE;

-- A row has an event while its lead and its time are there and only_if holds
SELECT * FROM leadscore.track_table('crm', 'shop.orders', lead => 'customer_email', kind => 'purchase', occurred_at => 'paid_at', value => 'amount',
    properties => '{sku,tags,raw}', only_if => '{"status": ["paid", "shipped"]}');
SELECT pg_temp.try($$track_table('crm', 'shop.orders', lead => 'customer_email', kind => 'purchase', occurred_at => 'paid_at')$$);
CREATE VIEW crm.made AS
    SELECT e.source_id, l.external_id AS lead, e.kind, e.occurred_at, e.value, e.properties
    FROM crm.event e JOIN crm.lead l USING (lead_id) ORDER BY e.source_id COLLATE "C";
SET ROLE track_writer;
INSERT INTO shop.orders VALUES
    (4, ' Cid@acme.example ', '2025-03-04 10:00', 'paid', 'NaN', 'c', NULL, '{"gift": true, "by": "\u0000"}'),
    (5, 'dan@acme.example', NULL, 'open', 1, 'c', NULL, '[1, {"a": null}]'),
    (6, '   ', '2025-03-04 10:00', 'paid', 1, 'c', NULL, NULL),
    (7, repeat('x', 3000), '2025-03-04 10:00', 'paid', 1, 'c', NULL, NULL);
SET ROLE track_owner;
SELECT * FROM crm.made;
SET ROLE track_writer;
UPDATE shop.orders SET paid_at = '2025-03-05 09:00', status = 'paid' WHERE id = 5;
SET ROLE track_owner;
SELECT * FROM crm.made;
-- refunded; the key moves, for rows that have an event and for one that has none; the lead changes
SET ROLE track_writer;
UPDATE shop.orders SET status = 'refunded' WHERE id = 5;
UPDATE shop.orders SET id = id + 10 WHERE id IN (4, 6);
UPDATE shop.orders SET customer_email = 'eve@acme.example' WHERE id = 14;
UPDATE shop.orders SET customer_email = 'fay@acme.example' WHERE id = 16;
-- nothing that is mapped
SET ROLE track_owner;
CREATE TEMP TABLE before AS SELECT xmin::text AS version, source_id FROM crm.event;
SET ROLE track_writer;
UPDATE shop.orders SET status = 'shipped' WHERE status = 'paid';
SET ROLE track_owner;
SELECT count(*) AS rewritten FROM crm.event e WHERE (e.xmin::text, e.source_id) NOT IN (SELECT b.version, b.source_id FROM before b);
SELECT * FROM crm.made;

-- The rows that were there: rights, batches, once
SELECT pg_temp.try($$backfill_table('crm', 'orders')$$);
RESET ROLE;
GRANT UPDATE (id) ON shop.orders TO track_owner;
SET ROLE track_owner;
SELECT leadscore.backfill_table('crm', 'orders', max_rows => 2) AS first;
SELECT backfilled_to, backfilled_rows FROM crm.tracked_table;
SELECT leadscore.backfill_table('crm', 'orders', max_rows => 4) AS second, leadscore.backfill_table('crm', 'orders', max_rows => 4) AS third;
SELECT leadscore.backfill_table('crm', 'orders') AS no_more;
SELECT * FROM crm.made;
SELECT definition, table_name, events, skipped_why, backfilled_rows, backfilled, problem FROM crm.tracked_tables;

-- COPY, MERGE, ON CONFLICT, a swap of keys, rows of one statement that meet
SET ROLE track_writer;
COPY shop.orders (id, customer_email, paid_at, status, amount) FROM stdin;
20	gus@acme.example	2025-03-06 10:00+00	paid	3
21	gus@acme.example	2025-03-06 11:00+00	paid	4
\.
MERGE INTO shop.orders o USING (VALUES (20, 'paid', 30), (21, 'void', 0), (22, 'paid', 5)) AS n (id, status, amount) ON o.id = n.id
    WHEN MATCHED AND n.status = 'void' THEN DELETE
    WHEN MATCHED THEN UPDATE SET amount = n.amount
    WHEN NOT MATCHED THEN INSERT (id, customer_email, paid_at, status, amount) VALUES (n.id, 'hal@acme.example', '2025-03-07 10:00', n.status, n.amount);
INSERT INTO shop.orders (id, customer_email, paid_at, status, amount) VALUES (22, 'hal@acme.example', '2025-03-07 10:00', 'paid', 6), (23, 'hal@acme.example', '2025-03-07 11:00', 'paid', 1)
    ON CONFLICT (id) DO UPDATE SET amount = excluded.amount;
DELETE FROM shop.orders WHERE id = 1;
SET ROLE track_owner;
SELECT * FROM crm.made;
SELECT * FROM crm.verify();
BEGIN;
DELETE FROM crm.event;
ROLLBACK;

-- A deleted row whose event stays; a truncated table keeps them all
SELECT leadscore.untrack_table('crm', 'orders'), leadscore.untrack_table('crm', 'orders');
SELECT count(*) FROM crm.tracked_tables;
RESET ROLE;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'shop.orders'::regclass;
SET ROLE track_writer;
INSERT INTO shop.orders (id, customer_email, paid_at) VALUES (40, 'nobody@acme.example', '2025-03-08 10:00');
SET ROLE track_owner;
SELECT count(*) FROM crm.made WHERE lead = 'nobody@acme.example';
SELECT leadscore.track_table('crm', 'shop.orders', lead => 'customer_email', kind_column => 'status', occurred_at => 'paid_at', on_delete => 'keep', definition => 'log') IS NOT NULL AS tracked;
SET ROLE track_app;
INSERT INTO shop.orders (id, customer_email, paid_at, status) VALUES (50, 'ida@acme.example', '2025-03-08 10:00', 'page_view'), (51, 'ida@acme.example', '2025-03-08 11:00', 'quote_request');
DELETE FROM shop.orders WHERE id = 50;
TRUNCATE shop.orders;
SET ROLE track_owner;
SELECT * FROM crm.made WHERE starts_with(source_id, 'log:');
-- the same key again: the event is that of the new row
SET ROLE track_app;
INSERT INTO shop.orders (id, customer_email, paid_at, status) VALUES (50, 'ida@acme.example', '2025-03-09 10:00', 'form_view');
SET ROLE track_owner;
SELECT * FROM crm.made WHERE starts_with(source_id, 'log:');

-- Changes of the table: another name is nothing, a column that is gone is told at each write, and the row stays
SET ROLE track_app;
ALTER TABLE shop.orders RENAME TO sales;
ALTER TABLE shop.sales DROP COLUMN sku;
INSERT INTO shop.sales (id, customer_email, paid_at, status) VALUES (60, 'jon@acme.example', '2025-03-10 10:00', 'form_view');
ALTER TABLE shop.sales RENAME status TO state;
INSERT INTO shop.sales (id, customer_email, paid_at, state) VALUES (61, 'jon@acme.example', '2025-03-10 11:00', 'form_view');
SELECT id FROM shop.sales WHERE id >= 60 ORDER BY id;
SET ROLE track_owner;
SELECT definition, table_name, events, skipped_why, problem FROM crm.tracked_tables;
SELECT pg_temp.try($$backfill_table('crm', 'log')$$);
SET ROLE track_app;
ALTER TABLE shop.sales RENAME state TO status;
SET ROLE track_owner;
SELECT leadscore.backfill_table('crm', 'log', restart => true) AS rows;
SELECT source_id FROM crm.made WHERE lead = 'jon@acme.example';
SET ROLE track_app;
ALTER TABLE shop.sales DISABLE TRIGGER USER;
SET ROLE track_owner;
SELECT problem FROM crm.tracked_tables;

-- A reader sees counts
RESET ROLE;
SET ROLE track_owner;
SELECT leadscore.grant_reader('crm', 'track_reader');
SELECT leadscore.grant_app('crm', 'track_writer');
SET ROLE track_reader;
SELECT definition, events, skipped, problem FROM crm.tracked_tables;
SET ROLE track_writer;
SELECT crm._backfill('shop.sales', 'log', 1);
RESET ROLE;

-- What was left out is added up by a sweep when its rows are many
SET ROLE track_owner;
SELECT sum(skipped) AS before FROM crm.tracked_skip \gset
INSERT INTO crm.tracked_skip (definition, reason, skipped) SELECT 'log', 'no lead', 2 FROM generate_series(1, 1001);
SELECT crm.sweep(0) \g /dev/null
SELECT count(*) = count(DISTINCT (definition, reason)) AS merged, sum(skipped) - :before AS added FROM crm.tracked_skip;
RESET ROLE;

-- The event of a row was purged: it stays counted as it was, and the app's
-- statement succeeds. A row of that time that comes now is counted.
SET ROLE track_owner;
CREATE SCHEMA other;
CREATE TABLE other.bill (id int PRIMARY KEY, email text, paid_at timestamptz, amount numeric);
INSERT INTO other.bill VALUES (1, 'pam@acme.example', '2025-01-03', 10), (2, 'pam@acme.example', '2025-03-03', 20);
SELECT definition FROM leadscore.track_table('crm', 'other.bill', lead => 'email', kind => 'purchase', occurred_at => 'paid_at', value => 'amount') AS definition;
SELECT leadscore.backfill_table('crm', 'bill') \g /dev/null
SELECT sum(count) FROM crm.lead_state s JOIN crm.lead l USING (lead_id), leadscore.unnest(s.activity) c JOIN crm.signal g USING (signal_id) WHERE external_id = 'pam@acme.example' AND signal = 'purchase';
SELECT table_name, rows_removed > 0 AS removed FROM crm.purge('2025-02-01') WHERE table_name = 'event';
UPDATE other.bill SET amount = amount + 1;
INSERT INTO other.bill VALUES (3, 'pam@acme.example', '2025-01-04', 30);
DELETE FROM other.bill WHERE id = 1;
SELECT source_id, value FROM crm.event JOIN crm.lead USING (lead_id) WHERE external_id = 'pam@acme.example' ORDER BY 1;
SELECT sum(count) FROM crm.lead_state s JOIN crm.lead l USING (lead_id), leadscore.unnest(s.activity) c JOIN crm.signal g USING (signal_id) WHERE external_id = 'pam@acme.example' AND signal = 'purchase';
SELECT * FROM crm.verify();
SELECT leadscore.untrack_table('crm', 'bill') \g /dev/null

-- Rows that came to have no key since the table was bound have no place in its
-- order: of four old rows two are read.
CREATE TABLE other.note (id text PRIMARY KEY, email text, at timestamptz);
INSERT INTO other.note VALUES ('a', 'ria@acme.example', '2025-03-01'), ('b', 'ria@acme.example', '2025-03-02');
SELECT definition FROM leadscore.track_table('crm', 'other.note', lead => 'email', kind => 'page_view', occurred_at => 'at') AS definition;
ALTER TABLE other.note DROP CONSTRAINT note_pkey, ALTER id DROP NOT NULL, DISABLE TRIGGER USER;
INSERT INTO other.note VALUES (NULL, 'ria@acme.example', '2025-03-03'), (NULL, 'ria@acme.example', '2025-03-04');
SELECT leadscore.backfill_table('crm', 'note', max_rows => 3) AS rows;
SELECT source_id FROM crm.made WHERE lead = 'ria@acme.example' ORDER BY 1;
SELECT leadscore.untrack_table('crm', 'note') \g /dev/null

-- A lead that a number names has one name, however the session shows numbers
CREATE TABLE other.member (id int PRIMARY KEY, member float8, at timestamptz);
SELECT definition FROM leadscore.track_table('crm', 'other.member', lead => 'member', kind => 'page_view', occurred_at => 'at') AS definition;
INSERT INTO other.member VALUES (1, 1234567.8901, '2025-03-01');
SET extra_float_digits = -9;
INSERT INTO other.member VALUES (2, 1234567.8901, '2025-03-02');
UPDATE other.member SET at = '2025-03-03' WHERE id = 1;
RESET extra_float_digits;
SELECT source_id, lead FROM crm.made WHERE source_id LIKE 'member:%' ORDER BY 1;
SELECT leadscore.untrack_table('crm', 'member') \g /dev/null
DROP SCHEMA other CASCADE;
RESET ROLE;

-- The pipeline takes another name, and goes, with its triggers
SET ROLE track_app;
ALTER TABLE shop.sales ENABLE TRIGGER USER;
SET ROLE track_owner;
ALTER SCHEMA crm RENAME TO "c'r""m";
ALTER SCHEMA crm_reports RENAME TO "c'r""m_reports";
SELECT leadscore.upgrade_pipeline('c''r"m');
SET ROLE track_app;
INSERT INTO shop.sales (id, customer_email, paid_at, status) VALUES (70, 'kit@acme.example', '2025-03-10 10:00', 'form_view');
SET ROLE track_owner;
SELECT definition, table_name, events, problem FROM "c'r""m".tracked_tables;
SELECT leadscore.drop_pipeline('c''r"m');
RESET ROLE;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'shop.sales'::regclass;

SET client_min_messages = warning;
DISCARD TEMP;
DROP SCHEMA shop CASCADE;
REVOKE CREATE ON DATABASE :"DBNAME" FROM track_owner;
DROP ROLE track_owner, track_app, track_writer, track_reader;
