--
-- What marketing and sales may do, and what not
--
CREATE ROLE leadscore_owner;
CREATE ROLE leadscore_marketing;
CREATE ROLE leadscore_sales;
CREATE ROLE leadscore_reader;
DO $$BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO leadscore_owner', current_database()); END$$;
SET ROLE leadscore_owner;
SELECT pipeline FROM leadscore.create_pipeline('crm');
SELECT leadscore.grant_marketing('crm', 'leadscore_marketing'), leadscore.grant_sales('crm', 'leadscore_sales');
-- again is no error, and there must be such a role
SELECT leadscore.grant_marketing('crm', 'leadscore_marketing'), leadscore.grant_sales('crm', 'leadscore_sales');
SELECT leadscore.grant_marketing('crm', 'leadscore_nobody');
SELECT leadscore.grant_sales('crm', NULL);
SELECT stage FROM crm.track('ann', 'case_study_download', '{"content": "mills"}', profile => '{"email": "ann@mail.example", "phone": "+34 600", "consent": true, "employees": 80}');
SELECT stage FROM crm.track('ann', 'points_added', value => 40);
SELECT crm.give_consent('ann', 'policy', evidence => '{"form": "secret"}');

-- All that the two may besides what a reader may
SELECT leadscore.grant_reader('crm', 'leadscore_reader');
RESET ROLE;
\pset format unaligned
WITH privilege AS (
    SELECT pg_get_userbyid(a.grantee)::text AS who, o.kind, o.name, a.privilege_type AS privilege, o.attname
    FROM (
            SELECT 'table' AS kind, c.relname::text AS name, NULL::name AS attname, c.relacl AS acl
            FROM pg_class c WHERE c.relnamespace IN ('crm'::regnamespace, 'crm_reports'::regnamespace)
            UNION ALL
            SELECT 'columns', c.relname, a.attname, a.attacl
            FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relnamespace = 'crm'::regnamespace AND c.relkind = 'r'
            UNION ALL
            SELECT 'function', p.proname, NULL, p.proacl FROM pg_proc p WHERE p.pronamespace IN ('crm'::regnamespace, 'crm_reports'::regnamespace)
            UNION ALL
            SELECT 'schema', n.nspname, NULL, n.nspacl FROM pg_namespace n WHERE n.nspname IN ('crm', 'crm_reports')
        ) o, aclexplode(o.acl) a)
SELECT replace(p.who, 'leadscore_', '') AS who, p.kind, p.privilege, string_agg(DISTINCT p.name COLLATE "C", ', ' ORDER BY p.name COLLATE "C") AS names, columns
FROM (SELECT p.who, p.kind, p.name, p.privilege, string_agg(p.attname, ', ' ORDER BY p.attname) AS columns FROM privilege p
    WHERE p.who IN ('leadscore_marketing', 'leadscore_sales')
        AND NOT EXISTS (SELECT FROM privilege r WHERE r.who = 'leadscore_reader' AND r.kind = p.kind AND r.name = p.name AND r.privilege = p.privilege AND r.attname IS NOT DISTINCT FROM p.attname)
    GROUP BY 1, 2, 3, 4) p
GROUP BY 1, 2, 3, 5 ORDER BY 1, 2, 3, 4;
\pset format aligned
-- and they may all that the reader may
SELECT count(*) AS missing
FROM (SELECT c.oid, a.attnum FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relnamespace IN ('crm'::regnamespace, 'crm_reports'::regnamespace) AND c.relkind IN ('r', 'v') AND a.attnum > 0) c,
    unnest('{leadscore_marketing,leadscore_sales}'::text[]) r
WHERE has_column_privilege('leadscore_reader', c.oid, c.attnum, 'SELECT') AND NOT has_column_privilege(r, c.oid, c.attnum, 'SELECT');

-- Marketing: drafts a model from its signals to its gates, tries and activates it
SET ROLE leadscore_marketing;
SET search_path = '';
INSERT INTO crm.event_role (role) VALUES ('quiz');
INSERT INTO crm.event_kind (kind, role) VALUES ('quiz_won', 'quiz');
INSERT INTO crm.signal (signal, event_role) VALUES ('quiz', 'quiz');
INSERT INTO crm.value_list VALUES ('towns', 'Vigo');
SELECT crm.clone_model('inbound', 'spring');
INSERT INTO crm.rule (model, rule, dimension, signal, points) VALUES ('spring', 'quiz won', 'engagement', 'quiz', 7);
UPDATE crm.stage_rule SET min_score = 30 WHERE model = 'spring' AND stage = 'mql';
INSERT INTO crm.stage_gate (model, stage, gate, signal) VALUES ('spring', 'mql', 'solution content', 'quiz');
DELETE FROM crm.grade WHERE model = 'spring' AND grade = 'D';
INSERT INTO crm.model (model, note) VALUES ('of our own', 'blank');
INSERT INTO crm.dimension (model, dimension) VALUES ('of our own', 'engagement');
UPDATE crm.model SET note = 'new' WHERE model = 'of our own';
INSERT INTO crm.business_hours (weekday, opens_at, closes_at) VALUES (1, '09:00', '17:00');
INSERT INTO crm.assignment (owner) VALUES ('sue');
DELETE FROM crm.business_hours;
DELETE FROM crm.assignment;
SELECT count(*) AS differ FROM crm.compare_models('inbound', 'spring') WHERE level = 'lead';
SELECT count(*) > 0 AS judged FROM crm_reports.model_quality('inbound');
SELECT crm.activate_model('spring', wait => true);
DELETE FROM crm.model WHERE model = 'of our own';
INSERT INTO crm.segment (segment, note) VALUES ('mills', 'our own');
INSERT INTO crm.segment_condition (segment, condition, signal) VALUES ('mills', 'case study', 'case_study_download');
SELECT would_enter FROM crm.segment_preview('mills');
SELECT count(*) FROM crm.segment_preview_leads('mills');
SELECT crm.activate_segment('mills', wait => true);
SELECT crm.clone_segment('mills', 'mills 2'), crm.retire_segment('mills');
SELECT length(crm.segment_definition('mills')::text) > 9 AS defined, length(crm.model_definition('spring')::text) > 9 AS modelled;
INSERT INTO crm.channel (channel, direction) VALUES ('podcast', 'inbound');
INSERT INTO crm.campaign (campaign, channel) VALUES ('voices', 'podcast');
INSERT INTO crm.cost (day_from, day_to, campaign, amount) VALUES ('2026-01-01', '2026-01-31', 'voices', 100);
UPDATE crm.benchmark SET low = 0.5 WHERE metric = 'mql_to_sql' AND segment = 'all';
UPDATE crm.setting SET mature_after = '60 days', attribution_scope = 'account';
SELECT external_id, stage FROM crm.hot_leads;
SELECT created_by, activated_by FROM crm.model WHERE model = 'spring';
SELECT DISTINCT activated_by FROM crm.segment_activation;
-- but no personal data, no lead, nothing that was, and no names of others
\set VERBOSITY sqlstate
SELECT email FROM crm.lead;
SELECT profile FROM crm.lead;
SELECT properties FROM crm.event;
SELECT evidence FROM crm.consent;
SELECT * FROM crm.lead_alias;
SELECT * FROM crm.suppression;
SELECT * FROM crm.erasure;
INSERT INTO crm.lead (external_id) VALUES ('x');
INSERT INTO crm.event (lead_id, kind) VALUES (1, 'page_view');
UPDATE crm.lead SET owner = 'me';
DELETE FROM crm.event;
UPDATE crm.lead_state SET stage = 'customer';
DELETE FROM crm.stage_log;
UPDATE crm.model SET status = 'draft' WHERE model = 'inbound';
UPDATE crm.model SET created_by = 'somebody';
INSERT INTO crm.model (model, created_by) VALUES ('x', 'somebody');
INSERT INTO crm.model (model, status) VALUES ('x', 'active');
INSERT INTO crm.segment (segment, status) VALUES ('x', 'active');
UPDATE crm.segment SET segment_id = 7 WHERE segment = 'mills 2';
INSERT INTO crm.segment_activation (segment) VALUES ('mills');
DELETE FROM crm.model_activation;
UPDATE crm.setting SET currency = 'USD';
UPDATE crm.setting SET configuration = 7;
TRUNCATE crm.rule;
SELECT crm.explain('ann');
SELECT crm.track('x', 'page_view');
SELECT crm.upsert_lead('x');
SELECT crm.set_stage('ann', 'lost');
SELECT crm.give_consent('ann', 'policy');
SELECT crm.merge_leads('ann', 'x');
SELECT crm.forget_lead('ann');
SELECT crm.export_lead('ann');
SELECT crm.suppress('ann@mail.example');
SELECT crm.sweep();
SELECT crm.rebuild();
SELECT leadscore.grant_sales('crm', 'leadscore_marketing');
SELECT leadscore.drop_pipeline('crm');
-- an active model is not edited by a grant
UPDATE crm.rule SET points = 1 WHERE model = 'spring';
\set VERBOSITY default

-- Sales: whom to call, where, why; and says what came of it
SET ROLE leadscore_sales;
SELECT external_id, stage, contacted FROM crm.hot_leads;
SELECT external_id, email, phone, profile FROM crm.lead;
SELECT what, name FROM crm.lead_timeline WHERE lead_id = crm.lead_id('ann') ORDER BY entry;
SELECT external_id, offers_taken FROM crm.lead_profile;
SELECT rule, points FROM crm.explain('ann') ORDER BY points DESC;
SELECT count(*) > 0 AS steps FROM crm.next_steps('ann');
SELECT crm.score('ann') = crm.score_by_id(crm.lead_id('ann')) AS same, crm.stage_at('ann'), crm.in_segment('ann', 'mills 2');
SELECT crm.set_stage('ann', 'lost', 'no budget'), crm.set_stage_by_id(crm.lead_id('ann'), 'mql');
SELECT crm.give_consent('ann', 'marketing', 'email', evidence => '{"call": "today"}');
SELECT crm.may_contact('ann', 'email');
SELECT crm.withdraw_consent('ann', 'marketing', 'email');
SELECT crm.may_contact_by_id(crm.lead_id('ann'), 'email');
SELECT purpose, channel, status, recorded_by FROM crm.consent ORDER BY consent_id;
SELECT count(*) > 0 AS read FROM crm_reports.lead_quality UNION ALL SELECT count(*) >= 0 FROM crm_reports.followups;
-- but writes no configuration, and no lead by itself
\set VERBOSITY sqlstate
SELECT evidence FROM crm.consent;
SELECT properties FROM crm.event;
SELECT * FROM crm.suppression_key;
SELECT * FROM crm.lead_merge;
SELECT condition FROM crm.signal;
UPDATE crm.rule SET points = 100;
INSERT INTO crm.signal (signal, event_kinds) VALUES ('x', '{x}');
INSERT INTO crm.value_list VALUES ('x', 'x');
INSERT INTO crm.event_kind VALUES ('x', 'visit');
INSERT INTO crm.model (model) VALUES ('x');
INSERT INTO crm.segment (segment) VALUES ('x');
UPDATE crm.setting SET mature_after = '1 day';
INSERT INTO crm.cost (day_from, day_to, amount) VALUES ('2026-01-01', '2026-01-31', 100);
UPDATE crm.benchmark SET low = 0;
UPDATE crm.lead SET email = 'x@mail.example';
INSERT INTO crm.lead (external_id) VALUES ('x');
DELETE FROM crm.lead;
INSERT INTO crm.event (lead_id, kind) VALUES (1, 'page_view');
UPDATE crm.consent SET status = 'granted';
SELECT crm.track('x', 'page_view');
SELECT crm.track_many('[]');
SELECT crm.upsert_lead('x');
SELECT crm.identify('x', 'ann');
SELECT crm.clone_model('inbound', 'x');
SELECT crm.activate_model('inbound');
SELECT crm.activate_segment('cold');
SELECT crm.segment_preview('cold');
SELECT crm.merge_leads('ann', 'x');
SELECT crm.forget_lead('ann');
SELECT crm.export_lead('ann');
SELECT crm.suppress('ann@mail.example');
SELECT crm.sweep();
SELECT leadscore.grant_marketing('crm', 'leadscore_sales');
\set VERBOSITY default

RESET ROLE;
RESET search_path;
SELECT * FROM crm.verify();
SELECT properties FROM crm.event WHERE kind = 'stage_set' ORDER BY event_id;
DROP SCHEMA crm, crm_reports CASCADE;
DO $$BEGIN EXECUTE format('REVOKE CREATE ON DATABASE %I FROM leadscore_owner', current_database()); END$$;
DROP ROLE leadscore_owner, leadscore_marketing, leadscore_sales, leadscore_reader;
