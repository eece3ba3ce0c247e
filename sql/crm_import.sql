--
-- Exports of CRMs: files with the headers that they have, test/crm/*.csv, and
-- what becomes of their rows. Expected values are read off the files by hand.
--
\getenv srcdir PG_ABS_SRCDIR
SELECT leadscore.create_pipeline('crm') \g /dev/null
SET timezone = 'UTC';
CREATE TEMP VIEW told AS
    SELECT l.external_id, p.seq, p.to_stage AS stage, p.effective_at
    FROM crm.stage_history p JOIN crm.lead l USING (lead_id);
CREATE TEMP VIEW said AS
    SELECT l.external_id, c.purpose, c.channel, c.topic, c.status, c.basis, c.evidence IS NOT NULL AS proven, c.occurred_at
    FROM crm.consent c JOIN crm.lead l USING (lead_id) ORDER BY 1, consent_id;

-- HubSpot
\set file :srcdir '/test/crm/hubspot.csv'
\set header `head -n 1 "$PG_ABS_SRCDIR/test/crm/hubspot.csv"`
SELECT crm.create_import_table('hubspot_contacts', :'header');
COPY hubspot_contacts FROM :'file' WITH (FORMAT csv, HEADER MATCH);
SELECT * FROM crm.import_problems('hubspot_contacts', 'hubspot', time_zone => 'Europe/Madrid');
SELECT * FROM crm.import_crm('hubspot_contacts', 'hubspot', time_zone => 'Europe/Madrid');
SELECT * FROM crm.import_crm('hubspot_contacts', 'hubspot', basis => 'contract', time_zone => 'Europe/Madrid', exported_at => '2025-09-01Z');
SELECT external_id, email, phone, organization, country, channel, owner, time_zone, profile, created_at FROM crm.lead ORDER BY 1;
SELECT a.external_id AS other_name, l.external_id FROM crm.lead_alias a JOIN crm.lead l USING (lead_id) ORDER BY 1;
SELECT * FROM said;
SELECT * FROM told ORDER BY 1, 2;
SELECT l.external_id, s.channel, s.reason, s.since FROM crm.suppression s LEFT JOIN crm.lead l ON crm.address_hash(l.email) = s.address_hash ORDER BY 1, 2;
SELECT name, crm.may_contact(name, 'email') AS email, crm.may_contact(name, 'email', 'newsletter') AS newsletter FROM unnest('{ann@acme.example,bob@acme.example,hubspot:103,hubspot:104,hubspot:107}'::text[]) AS name;
-- Fay's row is rejected, but not what she refuses
SELECT since FROM crm.suppression WHERE address_hash = crm.address_hash('fay@acme.example');
SELECT * FROM crm.verify();

-- the same file again changes nothing, and a newer one what is different in it
SELECT * FROM crm.import_crm('hubspot_contacts', 'hubspot', basis => 'contract', time_zone => 'Europe/Madrid');
DELETE FROM hubspot_contacts WHERE "Last Name" = 'Twin';
UPDATE hubspot_contacts SET "Email" = 'ann@new.example', "Job Title" = 'Chief', "Phone Number" = '', "Became a Customer Date" = '', "Became a Lead Date" = '2025-01-12 09:00',
    "Unsubscribed from all email" = 'TRUE', "Legal basis for processing contact's data" = 'Freely given consent from contact' WHERE "First Name" = 'Ann' AND "Last Name" = 'Lee';
SELECT changed, stages, consents, opt_outs FROM crm.import_crm('hubspot_contacts', 'hubspot', basis => 'contract', time_zone => 'Europe/Madrid', exported_at => '2025-10-01Z');
SELECT email, phone, profile ->> 'job_title' AS job_title, crm.lead_id('ann@acme.example') = lead_id AS old_name, crm.lead_id('ann@new.example') = lead_id AS new_name FROM crm.lead WHERE external_id = 'hubspot:101';
SELECT * FROM told WHERE external_id = 'hubspot:101' ORDER BY 2;
SELECT * FROM said WHERE external_id = 'hubspot:101';
SELECT * FROM crm.verify();
-- she comes back by herself: the older file does not take it from her, a newer one does
SELECT crm.give_consent('hubspot:101', 'marketing', 'email', evidence => '{"form": "footer"}', occurred_at => '2025-11-01Z');
SELECT consents, opt_outs FROM crm.import_crm('hubspot_contacts', 'hubspot', basis => 'contract', exported_at => '2025-10-02Z', time_zone => 'Europe/Madrid');
SELECT crm.may_contact('hubspot:101', 'email');
SELECT consents, opt_outs FROM crm.import_crm('hubspot_contacts', 'hubspot', basis => 'contract', exported_at => '2025-11-02Z', time_zone => 'Europe/Madrid');
SELECT crm.may_contact('hubspot:101', 'email');
SELECT consents, opt_outs FROM crm.import_crm('hubspot_contacts', 'hubspot', basis => 'contract', time_zone => 'Europe/Madrid');
-- a forgotten person stays forgotten
SELECT crm.forget_lead('hubspot:104');
SELECT created, matched, forgotten FROM crm.import_crm('hubspot_contacts', 'hubspot', basis => 'contract', time_zone => 'Europe/Madrid');
SELECT count(*) FROM crm.lead WHERE email LIKE 'dan@%' OR external_id LIKE '%104%';

-- Salesforce: dates of the United States; Ida is known by her address and is the same lead
SELECT crm.upsert_lead('ida', email => 'Ida@Globex.example', profile => '{"city": "Hull"}', at => '2024-12-01Z') IS NOT NULL AS made;
\set file :srcdir '/test/crm/salesforce.csv'
\set header `head -n 1 "$PG_ABS_SRCDIR/test/crm/salesforce.csv"`
SELECT crm.create_import_table('public.salesforce_leads', :'header');
COPY salesforce_leads FROM :'file' WITH (FORMAT csv, HEADER MATCH);
SELECT * FROM crm.import_problems('salesforce_leads', 'salesforce');
SELECT * FROM crm.import_problems('salesforce_leads', 'salesforce', 'America/New_York', 'mdy');
SELECT * FROM crm.import_crm('salesforce_leads', 'Salesforce', time_zone => 'America/New_York', date_order => 'mdy');
SELECT * FROM crm.import_crm('salesforce_leads', 'Salesforce', basis => 'legitimate_interest', marketing_basis => 'legitimate_interest', time_zone => 'America/New_York', date_order => 'mdy', exported_at => '2025-09-01Z', stage_at => '2025-09-01Z');
SELECT l.external_id, crm.lead_id('salesforce:00Q5g00000AbCdE') = lead_id AS ida, organization, owner, profile, created_at FROM crm.lead l WHERE email ~ '(globex|initech)' ORDER BY 1;
SELECT * FROM told WHERE external_id ~ 'ida|salesforce' ORDER BY 1, 2;
SELECT * FROM said WHERE external_id ~ 'ida|salesforce';
SELECT name, crm.may_contact(name, 'email') AS email, crm.may_contact(name, 'phone') AS phone FROM unnest('{ida,jon@globex.example,kit@initech.example}'::text[]) AS name;
SELECT count(*) FROM crm.suppression WHERE address_hash = crm.address_hash('moe@initech.example');
-- an ID of 18 characters is the one of 15
UPDATE salesforce_leads SET "Lead ID" = "Lead ID" || 'AAQ', "Email" = NULL WHERE "Lead ID" <> '';
SELECT created, matched, changed, stages, consents, opt_outs FROM crm.import_crm('salesforce_leads', 'salesforce', basis => 'legitimate_interest', time_zone => 'America/New_York', date_order => 'mdy', exported_at => '2025-09-01Z', stage_at => '2025-09-01Z');

-- Pipedrive, Zoho, Dynamics
\set file :srcdir '/test/crm/pipedrive.csv'
\set header `head -n 1 "$PG_ABS_SRCDIR/test/crm/pipedrive.csv"`
SELECT crm.create_import_table('pipedrive_people', :'header') \g /dev/null
COPY pipedrive_people FROM :'file' WITH (FORMAT csv, HEADER MATCH);
SELECT * FROM crm.import_crm('pipedrive_people', 'pipedrive', basis => 'contract', exported_at => '2025-09-01Z');
SELECT l.external_id, l.email, l.created_at, crm.may_contact(l.external_id, 'email') FROM crm.lead l WHERE external_id ~ '^pipedrive' ORDER BY 1;
SELECT * FROM said WHERE external_id ~ '^pipedrive' AND purpose = 'marketing';
\set file :srcdir '/test/crm/zoho.csv'
\set header `head -n 1 "$PG_ABS_SRCDIR/test/crm/zoho.csv"`
SELECT crm.create_import_table('zoho_leads', :'header') \g /dev/null
COPY zoho_leads FROM :'file' WITH (FORMAT csv, HEADER MATCH);
SELECT * FROM crm.import_problems('zoho_leads', 'zoho');
SELECT * FROM crm.import_crm('zoho_leads', 'zoho', basis => 'none', time_zone => 'Asia/Kolkata', stage_at => '2025-08-01Z', exported_at => '2025-09-01Z');
SELECT * FROM told WHERE external_id ~ '^zoho' ORDER BY 1, 2;
SELECT * FROM said WHERE external_id ~ '^zoho';
\set file :srcdir '/test/crm/dynamics.csv'
\set header `head -n 1 "$PG_ABS_SRCDIR/test/crm/dynamics.csv"`
SELECT crm.create_import_table('dynamics_leads', :'header') \g /dev/null
COPY dynamics_leads FROM :'file' WITH (FORMAT csv, HEADER MATCH);
SELECT * FROM crm.import_problems('dynamics_leads', 'dynamics', date_order => 'dmy');
SELECT * FROM crm.import_crm('dynamics_leads', 'dynamics', basis => 'contract', date_order => 'dmy', stage_at => '2025-08-01Z', exported_at => '2025-09-01Z');
SELECT * FROM told WHERE external_id ~ '^dynamics' ORDER BY 1, 2;
SELECT * FROM said WHERE external_id ~ '^dynamics' AND purpose = 'marketing';
SELECT * FROM crm.verify();

-- A sequence waits for leads: those of a file do not begin it, though they became leads an hour ago
INSERT INTO crm.sequence (sequence, starts_on, start_name) VALUES ('greet', 'stage', 'iql');
INSERT INTO crm.sequence_step (sequence, step, position, channel) VALUES ('greet', 'hello', 1, 'email');
SELECT crm.activate_sequence('greet') \g /dev/null
CREATE TABLE fresh AS SELECT '1' AS "Record ID", 'fresh@x.example' AS "Email", to_char(now() - interval '1 hour', 'YYYY-MM-DD HH24:MI:SS"Z"') AS "Became a Lead Date";
SELECT rejected, created, stages FROM crm.import_crm('fresh', 'fresh', basis => 'contract', mapping => crm.import_mapping('hubspot'));
SELECT external_id, crm.stage_at(external_id) AS stage FROM crm.lead WHERE email = 'fresh@x.example';
SELECT count(*) FROM crm.enrollment;
SHOW leadscore.enroll;
SELECT stage FROM crm.track('live', 'page_view', profile => '{"email": "live@x.example", "consent": true}');
SELECT l.external_id, e.sequence FROM crm.enrollment e JOIN crm.lead l USING (lead_id);
SELECT crm.retire_sequence('greet') \g /dev/null

-- Dates: what each means in Madrid, by the order of its numbers
SELECT v AS value, o AS date_order, crm._import_instant(v, 'Europe/Madrid', o) AT TIME ZONE 'UTC' AS utc
FROM (VALUES ('2025-03-30 02:30', NULL), ('2025-10-26 02:30', NULL), ('2025-07-01', NULL), ('2025-07-01T10:00:00Z', NULL), ('2025-07-01T10:00:00.123456+05:30', NULL), ('2025-07-01 10:00:00 -0230', NULL),
    ('2025/7/1', NULL), ('2024-02-29', NULL), ('2025-02-29', NULL), ('2025-13-01', NULL), ('2025-00-10', NULL), ('2025-04-31 10:00', NULL), ('2025-07-01 24:00', NULL), ('2025-07-01 10:60', NULL), ('1899-12-31', NULL),
    ('3/4/2025', NULL), ('3/4/2025', 'mdy'), ('3/4/2025', 'dmy'), ('3/4/2025', 'ymd'), ('13/4/2025', NULL), ('4/13/2025', NULL), ('13/4/2025', 'mdy'), ('5/5/2025', NULL), ('31.12.2024 23:59:59', 'dmy'),
    ('12/31/2024 12:00 AM', 'mdy'), ('12/31/2024, 12:00 p.m.', 'mdy'), ('12/31/2024 13:00 PM', 'mdy'), ('12/31/2024 0:30 AM', 'mdy'), ('3/4/25', 'mdy'),
    ('Mar 1, 2025 10:00 AM', NULL), ('1 March 2025', NULL), ('01-Mar-2025', NULL), ('Mai 1, 2025', NULL), ('1740819600000', NULL), ('45000', NULL), ('yesterday', NULL), ('now', NULL), ('infinity', NULL), ('', NULL), (NULL, NULL)) AS t (v, o);

-- Hostile files, and tables
CREATE TABLE odd ("record_id" text, "E M A I L" text, "create.date" text, "lifecyclestage" text, "Became a lead date" text, "company""; DROP TABLE odd; --" text, "Opted out of email: It's ""new"" %s" text, companyname varchar(40));
INSERT INTO odd VALUES ('1', '''; DROP TABLE odd; --@x.example', '2025-01-01', 'marketingqualifiedlead', '2025-01-02', 'x', 'true', '"%s"'),
    ('2', 'two@odd.example', '2025-01-01', 'lead', '2025-01-02', 'x', 'true', E'a\tb'), ('3', 'three@odd.example', '9999-01-01', NULL, '2999-01-01', NULL, NULL, NULL),
    ('4', repeat('a', 400) || '@odd.example', NULL, NULL, NULL, NULL, NULL, NULL), (repeat('9', 300), NULL, NULL, NULL, NULL, NULL, NULL, NULL), ('  ', NULL, NULL, NULL, NULL, NULL, NULL, NULL), (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    ('6', 'TWO@odd.example ', '2025-01-01', NULL, NULL, NULL, NULL, NULL), ('me@odd.example', NULL, NULL, NULL, NULL, NULL, NULL, NULL);
SELECT row, left(record_id, 20) AS record_id, rejected, problem FROM crm.import_problems('odd', 'hubspot');
SELECT * FROM crm.import_crm('odd', 'hubspot', basis => 'consent', exported_at => '2025-09-01Z');
SELECT external_id, email, organization FROM crm.lead WHERE external_id ~ '^hubspot:[0-9me]*(@|$)' AND lead_id > crm.lead_id('dynamics:5f0c1f0a-0000-4000-8000-000000000002') ORDER BY 1;
SELECT crm.lead_id('hubspot:6') = crm.lead_id('hubspot:2') AS same_person;
SELECT topic FROM said WHERE external_id = 'hubspot:2' AND topic IS NOT NULL;
SELECT * FROM crm.import_crm(NULL, 'hubspot');
SELECT * FROM crm.import_crm('odd', NULL);
SELECT * FROM crm.import_crm('odd', 'excel');
SELECT * FROM crm.import_crm('odd', 'a:b');
SELECT * FROM crm.import_crm('odd', 'zoho', time_zone => 'Mars/Base');
SELECT * FROM crm.import_crm('odd', 'hubspot', date_order => 'ydm');
SELECT * FROM crm.import_crm('odd', 'hubspot', basis => 'because');
SELECT * FROM crm.import_crm('odd', 'hubspot', basis => 'contract', exported_at => 'infinity');
SELECT * FROM crm.import_crm('odd', 'salesforce', basis => 'contract');
SELECT crm.create_import_table('semicolons', 'Record ID;Email') \g /dev/null
SELECT * FROM crm.import_crm('semicolons', 'hubspot', basis => 'contract');
DROP TABLE semicolons;
SELECT * FROM crm.import_crm('crm.lead_score', 'hubspot', basis => 'contract');
CREATE TYPE evil AS (a text);
ALTER TABLE odd ADD e evil;
SELECT * FROM crm.import_crm('odd', 'hubspot', basis => 'contract');
ALTER TABLE odd DROP e, ENABLE ROW LEVEL SECURITY;
SELECT * FROM crm.import_crm('odd', 'hubspot', basis => 'contract');
ALTER TABLE odd DISABLE ROW LEVEL SECURITY;
-- mappings of one's own
CREATE FUNCTION pg_temp.problem(mapping jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM crm.import_problems('odd', 'other', mapping => $1);
    RETURN 'none';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END$$;
SELECT m.name, pg_temp.problem(m.mapping) FROM (VALUES ('no object', '[]'::jsonb), ('no id', '{}'), ('key', '{"record_id": ["a"], "x": 1}'), ('shape', '{"record_id": ["a"], "email": "b"}'), ('headers', '{"record_id": ["a"], "columns": {"owner": "x"}}'),
    ('column', '{"record_id": ["a"], "columns": {"lead_id": ["x"]}}'), ('stage', '{"record_id": ["a"], "stages": {"won": ["x"]}}'), ('value', '{"record_id": ["a"], "stage": {"headers": ["x"], "values": {"x": "won"}}}'),
    ('basis', '{"record_id": ["a"], "basis_values": {"x": "whim"}}'), ('opt-out', '{"record_id": ["a"], "opt_outs": [{"headers": ["x"]}]}'), ('opt-in', '{"record_id": ["a"], "opt_ins": [{"headers": ["x"], "channel": "email"}]}'), ('length', '{"record_id": ["a"], "record_id_length": -1}')) AS m (name, mapping);
CREATE TABLE other_crm (num int, mail text, won date, "who says no" text, market text);
INSERT INTO other_crm VALUES (1, 'one@other.example', '2025-02-01', 'no mail', 'b2b'), (2, 'other@other.example', NULL, 'fine', 'b2x');
SELECT * FROM crm.import_problems('other_crm', 'other', mapping => '{"record_id": ["num"], "email": ["mail"], "columns": {"market": ["market"]}, "stages": {"customer": ["won"]},
    "opt_outs": [{"headers": ["who says no"], "channel": "email", "values": ["no mail"]}]}');
SELECT * FROM crm.import_crm('other_crm', 'other', basis => 'contract', exported_at => '2025-09-01Z', mapping => '{"record_id": ["num"], "email": ["mail"], "columns": {"market": ["market"]}, "stages": {"customer": ["won"]},
    "opt_outs": [{"headers": ["who says no"], "channel": "email", "values": ["no mail"]}]}');
SELECT external_id, market, contact_allowed, created_at FROM crm.lead WHERE external_id ~ '^other' ORDER BY 1;
SELECT * FROM told WHERE external_id ~ '^other' ORDER BY 1, 2;
-- a date of a column of type date is that day, however the session writes dates, and a number the same number
SET datestyle = 'SQL, DMY';
SET extra_float_digits = -10;
ALTER TABLE other_crm ALTER num TYPE double precision;
INSERT INTO other_crm VALUES (1234567, 'three@other.example', '2025-03-04', NULL, NULL);
SELECT rows_read, rejected, created FROM crm.import_crm('other_crm', 'other', basis => 'contract', date_order => 'mdy', exported_at => '2025-09-01Z',
    mapping => '{"record_id": ["num"], "email": ["mail"], "stages": {"customer": ["won"]}}');
SELECT * FROM crm.import_problems('other_crm', 'other', date_order => 'mdy', mapping => '{"record_id": ["num"], "email": ["mail"], "stages": {"customer": ["won"]}}');
RESET extra_float_digits;
RESET datestyle;
SELECT external_id, stage, effective_at FROM told WHERE external_id ~ '^other:1.' ORDER BY 1, seq;

-- Tables for files
SELECT crm.create_import_table('public."Odd name"', 'a,"b ""q"" , c",,a,' || repeat('x', 80) || ',' || repeat('x', 80) || ',"d"' || E'\r\n');
SELECT attname FROM pg_attribute WHERE attrelid = 'public."Odd name"'::regclass AND attnum > 0 ORDER BY attnum;
SELECT crm.create_import_table('semi', 'a;b', ';');
SELECT crm.create_import_table('a.b.c', 'a');
SELECT crm.create_import_table('semi2', 'a', '');

-- Roles: the table is read with the rights of the caller, who needs a grant of his own
CREATE ROLE crm_importer;
CREATE ROLE crm_stranger;
GRANT USAGE ON SCHEMA crm TO crm_importer, crm_stranger;
GRANT EXECUTE ON FUNCTION crm.import_crm, crm.import_problems, crm._import_check, crm._import_write TO crm_importer;
SET ROLE crm_stranger;
SELECT * FROM crm.import_crm('other_crm', 'zoho');
RESET ROLE;
SET ROLE crm_importer;
SELECT * FROM crm.import_crm('other_crm', 'other', basis => 'contract', mapping => '{"record_id": ["num"], "email": ["mail"]}');
RESET ROLE;
GRANT SELECT ON other_crm TO crm_importer;
SET ROLE crm_importer;
SELECT rows_read, matched, changed, stages FROM crm.import_crm('other_crm', 'other', basis => 'contract', mapping => '{"record_id": ["num"], "email": ["mail"]}');
SELECT count(*) FROM crm.lead;
RESET ROLE;

-- 2,500 rows are three batches; the address of the last one is that of the first
CREATE TABLE many AS SELECT i::text AS id, 'm' || i % 2499 || '@many.example' AS email, '2025-01-01 10:00' AS "Created Time", '2025-02-01' AS "Converted Date Time" FROM generate_series(0, 2499) i;
SELECT * FROM crm.import_crm('many', 'zoho', basis => 'contract', exported_at => '2025-09-01Z');
SELECT crm.lead_id('zoho:2499') = crm.lead_id('zoho:0') AS same_person;
SELECT created, matched, changed, stages FROM crm.import_crm('many', 'zoho', basis => 'contract', exported_at => '2025-09-01Z', match_email => false);
-- stages that were purged since stay as they were, and one that is new is added
SELECT leads_left FROM crm.purge('2025-03-01') WHERE table_name = 'event';
UPDATE many SET "Converted Date Time" = '2025-04-01' WHERE id = '7';
SELECT created, changed, stages FROM crm.import_crm('many', 'zoho', basis => 'contract', exported_at => '2025-09-01Z');
SELECT * FROM crm.verify();

DROP VIEW told, said;
SELECT leadscore.drop_pipeline('crm');
DROP TABLE fresh, hubspot_contacts, salesforce_leads, pipedrive_people, zoho_leads, dynamics_leads, odd, other_crm, many, "Odd name", semi;
DROP TYPE evil;
DROP ROLE crm_importer, crm_stranger;
