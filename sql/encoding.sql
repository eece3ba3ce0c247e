--
-- Databases of other encodings than UTF8
--
DROP DATABASE IF EXISTS leadscore_latin1;
DROP DATABASE IF EXISTS leadscore_ascii;
DROP DATABASE IF EXISTS leadscore_windows;
DROP DATABASE IF EXISTS leadscore_ctype;
CREATE DATABASE leadscore_latin1 TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C';
CREATE DATABASE leadscore_ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C';
SELECT current_database() AS utf8, current_setting('client_encoding') AS client \gset

-- LATIN1: whatever the client speaks is converted
\c leadscore_latin1
SET timezone = 'UTC';
SET client_min_messages = 'warning';
SELECT current_setting('server_encoding') AS server, :'client' AS client;
CREATE EXTENSION leadscore;
SELECT pipeline FROM leadscore.create_pipeline('größe');
SET search_path = "größe", leadscore, public;
INSERT INTO value_list VALUES ('orte', 'Köln'), ('orte', 'Besançon');
INSERT INTO signal (signal, event_kinds, condition) VALUES ('städtisch', '{besuch,prüfung}', '$.ort == $orte[*] || $.ort like_regex "^Å"');
SELECT clone_model('inbound', 'für später');
INSERT INTO rule (model, dimension, rule, signal, points) VALUES ('für später', 'engagement', 'große Städte', 'städtisch', 40);
SELECT activate_model('für später', wait => true);
SELECT stage FROM track('müller', 'besuch', '{"ort": "Köln"}', '2025-03-01', profile => '{"email": "jürgen@müller.example", "consent": true}');
SELECT stage FROM track('müller', 'prüfung', '{"ort": "\u00c5rhus"}', '2025-03-01');
SELECT stage FROM track('müller', 'besuch', '{"ort": "Koln"}', '2025-03-01', channel => 'élan');
SELECT stage FROM track('müller', 'case_study_download', '{"content": "Führung"}', '2025-03-01');
SELECT rule, signal, events, points FROM explain('müller', timestamptz '2025-03-01') ORDER BY points DESC;
SELECT channel, kind FROM event WHERE channel IS NOT NULL;
SELECT stage, reached, chart FROM funnel;
SELECT create_import_table('public.contacts', 'Record ID,Email,Create Date,Lifecycle Stage');
INSERT INTO public.contacts VALUES ('7', 'ann@mail.example', '2025-02-01 10:00', 'Lead');
SELECT rows_read, rejected, created FROM import_crm('public.contacts', 'hubspot', basis => 'contract', date_order => 'ymd');
SELECT _import_key('An' || chr(160) || 'É-b') AS key;
SELECT * FROM verify();
SELECT compiled::text::lead_model = compiled AS text, substr(lead_model_send(compiled), 2) = convert_to(compiled::text, 'UTF8') AS binary FROM model WHERE status = 'active';
SELECT 'größer'::lead_stage;
SELECT '{"modèle": "x"}'::lead_model;
SELECT 'day{1@é:1}'::lead_activity;
-- a person is forgotten in capitals too, which the locale does not know
SELECT stage FROM track('Möller', 'case_study_download', '{"content": "Führung für MÖLLER und Möllers Hund, Jörg"}', profile => '{"name": "JÖRG"}');
SELECT forget_lead('Möller');
SELECT properties ->> 'content' = 'Führung für  und Möllers Hund, ' OR to_regcollation('pg_catalog."und-x-icu"') IS NULL AS forgotten
    FROM event WHERE properties ->> 'content' LIKE '%Hund%';

-- SQL_ASCII: bytes are what they are
\c leadscore_ascii
SET timezone = 'UTC';
SET client_min_messages = 'warning';
CREATE EXTENSION leadscore;
SELECT pipeline FROM leadscore.create_pipeline('crm');
SET search_path = crm, crm_reports, leadscore, leadscore_internal, public;
INSERT INTO value_list VALUES ('places', E'K\366ln');
INSERT INTO signal (signal, event_kinds, condition) VALUES (E'\351lan', '{visit}', '$.place == $places[*]');
SELECT clone_model('inbound', 'm');
INSERT INTO rule (model, dimension, rule, signal, points) VALUES ('m', 'engagement', E'\351', E'\351lan', 40);
SELECT activate_model('m', wait => true);
SELECT stage FROM track(E'm\374ller', 'visit', jsonb_build_object('place', E'K\366ln'), '2025-03-01', profile => '{"email": "a@mail.example", "consent": true}');
SELECT stage FROM track(E'm\374ller', 'visit', '{"place": "Köln"}', '2025-03-01');
SELECT convert_to(rule, 'SQL_ASCII') AS rule, events, points FROM explain(E'm\374ller', timestamptz '2025-03-01');
SELECT stage, reached, chart FROM funnel;
SELECT create_import_table('public.contacts', 'Record ID,Email,Create Date,Lifecycle Stage');
INSERT INTO public.contacts VALUES ('7', 'ann@mail.example', '2025-02-01 10:00', 'Lead');
SELECT rows_read, rejected, created FROM import_crm('public.contacts', 'hubspot', basis => 'contract', date_order => 'ymd');
-- a dash, a curly apostrophe and a hard blank of a file in UTF8; another letter stays
SELECT convert_to(_import_key(E'Legal \342\200\223 \342\200\231b\302\240c\342\202\254'), 'SQL_ASCII') = 'legalbc\342\202\254' AS key;
SELECT * FROM verify();
SELECT compiled::text::lead_model = compiled AS text FROM model WHERE status = 'active';

-- A locale that knows capital letters of its own: the queue spells channels and topics as consent does
CREATE DATABASE leadscore_ctype TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8';
\c leadscore_ctype
SET client_min_messages = 'warning';
CREATE EXTENSION leadscore;
SELECT pipeline FROM leadscore.create_pipeline('crm');
SELECT crm.give_consent('ann', 'policy', email => 'ann@mail.example', evidence => '{"form": "a"}'), crm.give_consent('ann', 'marketing', evidence => '{"form": "a"}');
SELECT crm.withdraw_consent('ann', 'marketing', 'email', 'Études');
SELECT count(crm.add_action('ann', 'Email', topic, topic => topic)) FROM unnest('{Études,NEWS}'::text[]) topic;
INSERT INTO crm.sequence (sequence, starts_on) VALUES ('cours', 'by_hand');
INSERT INTO crm.sequence_step (sequence, step, position, channel, topic, content) VALUES ('cours', 'un', 1, 'email', 'Études', 'cours');
SELECT crm.activate_sequence('cours'), crm.enroll_lead('ann', 'cours');
SELECT crm.set_preferences('ann', '{Études,News}');
SELECT content FROM crm.claim_actions('EMAIL');
SELECT content, topic, status, reason FROM crm.action ORDER BY action_id;

-- Windows has dashes and apostrophes of its own
CREATE DATABASE leadscore_windows TEMPLATE template0 ENCODING 'WIN1252' LC_COLLATE 'C' LC_CTYPE 'C';
\c leadscore_windows
SET client_min_messages = 'warning';
CREATE EXTENSION leadscore;
SELECT pipeline FROM leadscore.create_pipeline('crm', reports => false);
SELECT crm._import_key('Legitimate interest – customer’s É') AS key;

\c :utf8
DROP DATABASE leadscore_windows;
DROP DATABASE leadscore_latin1;
DROP DATABASE leadscore_ascii;
DROP DATABASE leadscore_ctype;
