--
-- Rights of roles: an owner that is no superuser, an app, a reader, a stranger
--
CREATE ROLE leadscore_owner;
CREATE ROLE leadscore_app;
CREATE ROLE leadscore_reader;
CREATE ROLE leadscore_stranger;
DO $$BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO leadscore_owner', current_database()); END$$;

-- A role that may create a schema may create a pipeline, and owns all of it
SET ROLE leadscore_stranger;
\set VERBOSITY sqlstate
SELECT * FROM leadscore.create_pipeline('crm');
\set VERBOSITY default
SET ROLE leadscore_owner;
SELECT * FROM leadscore.create_pipeline('crm');
SELECT relowner::regrole, count(*) > 50 FROM pg_class WHERE relnamespace = 'crm'::regnamespace GROUP BY 1;
SELECT proowner::regrole, count(*) > 20 FROM pg_proc WHERE pronamespace = 'crm'::regnamespace GROUP BY 1;
SELECT leadscore.grant_app('crm', 'leadscore_app'), leadscore.grant_reader('crm', 'leadscore_reader');
-- a role that can be made, and one that cannot
SELECT leadscore.grant_reader('crm', 'leadscore_Missing');
SELECT leadscore.grant_reader('crm', 'public');
INSERT INTO crm.segment (segment, persona) VALUES ('readers', true), ('draft', false);
INSERT INTO crm.segment_condition (segment, condition, signal) VALUES ('readers', 'saw', 'product_page_view'), ('draft', 'saw', 'product_page_view');
SELECT crm.activate_segment('readers');
SELECT stage FROM crm.track('o1', 'case_study_download', profile => '{"email": "o1@mail.example", "consent": true, "budget": true, "authority": true, "need": true, "timeline": true}');
SELECT stage FROM crm.track('o1', 'points_added', value => 80);
SELECT stage FROM crm.track('o1', 'no such kind');

-- The app: records, and asks where a lead stands, with nothing in search_path
SET ROLE leadscore_app;
SET search_path = '';
SELECT stage, score FROM crm.track('a1', 'product_page_view', profile => '{"email": "a1@mail.example", "consent": true}');
SELECT inserted, duplicates FROM crm.track_many('[{"external_id": "a1", "kind": "email_open", "source_id": "1"}, {"external_id": "a1", "kind": "email_open", "source_id": "1"}]');
SELECT crm.upsert_lead('a2', 'a2@mail.example', consent => true) > 0;
SELECT crm.lead_id('a2') > 0;
INSERT INTO crm.event (lead_id, kind, source_id) VALUES (crm.lead_id('a2'), 'email_click', '7');
INSERT INTO crm.event (lead_id, kind, source_id) VALUES (crm.lead_id('a2'), 'email_click', '7')
    ON CONFLICT (lead_id, source_id) WHERE source_id IS NOT NULL DO NOTHING RETURNING event_id;
SELECT crm.score('a1'), crm.stage_at('a1', now()), crm.set_stage('a2', 'mql', 'by hand');
SELECT rule, points FROM crm.explain('a1') ORDER BY points DESC;
SELECT gate, met, missing FROM crm.next_steps('a1');
SELECT crm.in_segment('a1', 'readers') AS reads, (SELECT count(*) FROM crm.persona_match('a1')) AS personas, (SELECT count(*) FROM crm.explain_segment('a1', 'readers')) AS conditions;
-- but no more
SELECT crm.segment_preview('draft');
SELECT crm.segment_preview_leads('draft');
SELECT crm.activate_segment('draft');
SELECT crm.retire_segment('readers');
SELECT crm.clone_segment('readers', 'mine');
SELECT crm.segment_definition('readers');
SELECT * FROM crm.segment;
SELECT * FROM crm.segment_members;
SELECT * FROM crm.segment_history;
INSERT INTO crm.segment (segment) VALUES ('mine');
SELECT leadscore_internal.activate_segment('crm', 'draft', NULL, false);
SELECT leadscore_internal.retire_segment('crm', 'readers', false);
SELECT email FROM crm.lead;
SELECT properties FROM crm.event;
UPDATE crm.lead_state SET stage = 'customer';
DELETE FROM crm.event;
SELECT crm.sweep();
SELECT crm.rebuild();
SELECT crm.activate_model('inbound', wait => true);
SELECT crm.clone_model('inbound', 'mine');
SELECT * FROM crm.lead_score;
INSERT INTO crm.signal (signal, event_kinds) VALUES ('s', '{s}');
SELECT leadscore.detach_pipeline('crm');
SELECT leadscore.grant_app('crm', 'leadscore_stranger');

-- The reader: all views, and no personal data
SET ROLE leadscore_reader;
SELECT n.nspname, c.relname, has_table_privilege(c.oid, 'SELECT') FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname IN ('crm', 'crm_reports') AND c.relkind = 'v' ORDER BY 1, 2;
SELECT external_id, stage, score FROM crm.lead_score ORDER BY 1;
SELECT dimension, count(*) FROM crm.lead_dimension GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM crm.account_score;
SELECT external_id, stage, why FROM crm.hot_leads;
SELECT kind, reason FROM crm.unscored_events;
SELECT stage, entered FROM crm.funnel;
SELECT a.attrelid::regclass, a.attname FROM pg_catalog.pg_attribute a
    WHERE a.attrelid IN ('crm.lead'::regclass, 'crm.event'::regclass, 'crm.lead_state'::regclass) AND a.attnum > 0
        AND NOT has_column_privilege(a.attrelid, a.attnum, 'SELECT') ORDER BY 1, a.attnum;
SELECT l.external_id, m.segment, m.is_persona FROM crm.segment_members m JOIN crm.lead l USING (lead_id) ORDER BY 1;
SELECT count(*) > 0 AS some FROM crm.segment_history;
SELECT crm.in_segment('a1', 'readers');
SELECT crm.segment_preview('draft');
SELECT crm.activate_segment('draft');
SELECT crm.retire_segment('readers');
SELECT crm.clone_segment('readers', 'mine');
SELECT crm.segment_definition('readers');
SELECT note FROM crm.segment;
SELECT * FROM crm.segment_condition;
SELECT * FROM crm.segment_activation;
SELECT leadscore_internal.activate_segment('crm', 'draft', NULL, false);
SELECT leadscore_internal.would_be_in(l, 'day{}', 'mql', '{"segment": "x", "segment_id": 9, "conditions": [{"condition": "x", "lead_condition": "$.email == \"x\""}]}') FROM (SELECT jsonb_populate_record(NULL::crm.lead, '{}')) l (l);
SELECT crm.track('r1', 'page_view');
INSERT INTO crm.event (lead_id, kind) VALUES (1, 'page_view');
-- what its functions read, it may read
SELECT count(*) > 0 AS judged FROM crm_reports.model_quality('inbound');
SELECT count(*) > 0 AS compared FROM crm.compare_models('inbound', 'inbound');

-- A stranger: nothing
SET ROLE leadscore_stranger;
SELECT * FROM crm.lead_score;
SELECT crm.score_by_id(1);
SELECT leadscore.upgrade_pipeline('crm');

-- Nor does a superuser run by accident code that another role has put into a
-- schema, or own a part of another role's pipeline
RESET ROLE;
SELECT leadscore.upgrade_pipeline('crm');
SELECT leadscore.grant_reader('crm', 'leadscore_reader');
SET ROLE leadscore_owner;
CREATE SCHEMA bait;
CREATE FUNCTION bait.hook() RETURNS integer LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''caught %'', current_user; END';
CREATE VIEW bait.setting AS SELECT bait.hook() AS layout_version;
RESET ROLE;
SELECT * FROM bait.setting;
SELECT leadscore.attach_pipeline('bait');
DROP SCHEMA bait CASCADE;

-- All that the two may do besides reading views; what PUBLIC may, see lint.sql
SELECT pg_get_userbyid(a.grantee) AS who, o.kind, o.name, a.privilege_type AS privilege, string_agg(o.attname, ', ' ORDER BY o.attname) AS columns
    FROM (
            SELECT 'table' AS kind, c.relname::text AS name, NULL AS attname, c.relacl AS acl
            FROM pg_class c WHERE c.relnamespace = 'crm'::regnamespace AND c.relkind IN ('r', 'S')
            UNION ALL
            SELECT 'columns', c.relname, a.attname, a.attacl
            FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relnamespace = 'crm'::regnamespace AND c.relkind = 'r'
            UNION ALL
            SELECT 'function', p.proname, NULL, p.proacl
            FROM pg_proc p WHERE p.pronamespace = 'crm'::regnamespace AND (p.prosecdef OR NOT has_function_privilege('public', p.oid, 'EXECUTE') OR p.provolatile = 'v')
            UNION ALL
            SELECT 'schema', n.nspname, NULL, n.nspacl FROM pg_namespace n WHERE n.nspname = 'crm'
        ) o, aclexplode(o.acl) a
    WHERE pg_get_userbyid(a.grantee) IN ('leadscore_app', 'leadscore_reader')
    GROUP BY 1, 2, 3, 4
    ORDER BY 1, 2, o.name COLLATE "C", 4;

-- Row security: views show what the reader may see
SET ROLE leadscore_owner;
ALTER TABLE crm.lead ENABLE ROW LEVEL SECURITY;
ALTER TABLE crm.lead_state ENABLE ROW LEVEL SECURITY;
ALTER TABLE crm.stage_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE crm.event ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON crm.lead TO leadscore_reader USING (external_id LIKE 'a%');
CREATE POLICY mine ON crm.lead_state TO leadscore_reader USING (lead_id IN (SELECT lead_id FROM crm.lead));
CREATE POLICY mine ON crm.stage_log TO leadscore_reader USING (lead_id IN (SELECT lead_id FROM crm.lead));
CREATE POLICY mine ON crm.event TO leadscore_reader USING (lead_id IN (SELECT lead_id FROM crm.lead));
SET ROLE leadscore_reader;
SELECT external_id, stage FROM crm.lead_score ORDER BY 1;
SELECT count(*) FROM crm.unscored_events;
SELECT stage, leads_now, entered FROM crm.funnel WHERE entered > 0;
-- the engine does the owner's work under row security, forced or not
SET ROLE leadscore_owner;
ALTER TABLE crm.lead_state FORCE ROW LEVEL SECURITY;
CREATE POLICY app ON crm.event FOR INSERT TO leadscore_app WITH CHECK (true);
SET ROLE leadscore_app;
INSERT INTO crm.event (lead_id, kind) VALUES (1, 'page_view');
SET ROLE leadscore_owner;
ALTER TABLE crm.lead_state NO FORCE ROW LEVEL SECURITY;
SELECT * FROM crm.verify();

RESET ROLE;
RESET search_path;
DROP SCHEMA crm, crm_reports CASCADE;
DO $$BEGIN EXECUTE format('REVOKE CREATE ON DATABASE %I FROM leadscore_owner', current_database()); END$$;
DROP ROLE leadscore_owner, leadscore_app, leadscore_reader, leadscore_stranger;
