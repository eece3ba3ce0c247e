--
-- Who did it: the role that is at work, not the one that owns the functions,
-- and not the one that logged in
--
CREATE ROLE leadscore_owner;
CREATE ROLE leadscore_pooler;
CREATE ROLE leadscore_ann;
CREATE ROLE leadscore_bob;
GRANT leadscore_ann, leadscore_bob TO leadscore_pooler;
DO $$BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO leadscore_owner', current_database()); END$$;

SET ROLE leadscore_owner;
SELECT pipeline FROM leadscore.create_pipeline('crm');
SELECT created_by, activated_by FROM crm.model;
SELECT DISTINCT created_by, activated_by FROM crm.segment;
SELECT leadscore.grant_app('crm', r) FROM unnest('{leadscore_pooler,leadscore_ann,leadscore_bob}'::text[]) r;
GRANT SELECT (model), INSERT (model) ON crm.model TO leadscore_ann;
GRANT EXECUTE ON FUNCTION crm.activate_model(text, boolean), crm.activate_segment(text, text, boolean, boolean), crm.retire_segment(text, boolean),
    crm.clone_model(text, text), crm.clone_segment(text, text), crm.suppress(text, text, text, timestamptz),
    crm.merge_leads(text, text, text), crm.forget_lead(text, timestamptz) TO leadscore_ann;
-- a function of somebody's own that runs as the owner is no person
CREATE FUNCTION crm.desk(lead text) RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = '' AS $$SELECT crm.set_stage(lead, 'recycled')$$;
GRANT EXECUTE ON FUNCTION crm.desk(text) TO leadscore_ann;
RESET ROLE;

-- Without SET ROLE it is the role that logged in
SET SESSION AUTHORIZATION leadscore_pooler;
SELECT stage FROM crm.track('w1', 'points_added', value => 1, profile => '{"email": "w1@mail.example"}');
-- With it, the role that was set; also for one transaction
SET ROLE leadscore_ann;
SELECT stage FROM crm.track('w1', 'points_added', value => 2);
SELECT inserted FROM crm.track_many('[{"external_id": "w1", "kind": "points_removed", "value": 3},
    {"external_id": "w1", "kind": "points_added", "value": 4, "properties": {"by": "zoe"}},
    {"external_id": "w1", "kind": "points_added", "value": 5, "properties": {"by": null, "why": "met at the fair"}},
    {"external_id": "w1", "kind": "page_view", "properties": {"page": "/"}},
    {"external_id": "w1", "kind": "pricing_view"}]');
SELECT crm.set_stage('w1', 'lost');
RESET ROLE;
BEGIN;
SET LOCAL ROLE leadscore_bob;
SELECT crm.set_stage('w1', 'recycled', 'called again');
COMMIT;
SELECT crm.set_stage_by_id(crm.lead_id('w1'), 'lost', by => 'yann');
SELECT crm.set_stage('w1', 'lost', by => NULL, reason => NULL);
SET ROLE leadscore_ann;
SELECT crm.desk('w1');
SELECT stage FROM crm.track('w1', 'stage_set', '{"stage": "lost"}');
-- what is no object stays as it is, and sets nothing
INSERT INTO crm.event (lead_id, kind, properties) VALUES (crm.lead_id('w1'), 'stage_set', '["recycled"]');
-- what the app inserts itself is what it says
INSERT INTO crm.event (lead_id, kind, value) VALUES (crm.lead_id('w1'), 'points_added', 6);
RESET SESSION AUTHORIZATION;
SELECT kind, value, properties FROM crm.event ORDER BY event_id;
SELECT * FROM crm.verify();
-- an erasure leaves who did it, and no remark
BEGIN;
SELECT crm.forget_lead('w1');
SELECT kind, value, properties FROM crm.event WHERE kind IN ('stage_set', 'points_added') AND properties <> '{}' ORDER BY event_id;
ROLLBACK;

-- Models, segments, consent, people
SET SESSION AUTHORIZATION leadscore_pooler;
SET ROLE leadscore_ann;
INSERT INTO crm.model (model) VALUES ('anns');
SELECT crm.clone_model('inbound', 'anns copy');
SELECT crm.activate_model('anns copy');
SELECT crm.clone_segment('cold', 'anns');
SELECT crm.activate_segment('anns');
SELECT crm.retire_segment('anns');
SELECT crm.give_consent('w1', 'policy');
SELECT crm.suppress('w9@mail.example');
SELECT stage FROM crm.track('w2', 'unsubscribe', profile => '{"email": "w2@mail.example", "contact_allowed": true}');
SELECT crm.merge_leads('w1', 'w2');
SELECT crm.forget_lead('w1');
RESET SESSION AUTHORIZATION;
SELECT model, created_by, activated_by FROM crm.model ORDER BY 1;
SELECT segment, created_by, activated_by FROM crm.segment WHERE segment = 'anns';
SELECT DISTINCT activated_by FROM crm.segment_activation;
SELECT DISTINCT recorded_by FROM crm.consent;
SELECT DISTINCT recorded_by FROM crm.suppression;
SELECT merged_by FROM crm.lead_merge;
SELECT erased_by FROM crm.erasure;

DROP SCHEMA crm, crm_reports CASCADE;
DO $$BEGIN EXECUTE format('REVOKE CREATE ON DATABASE %I FROM leadscore_owner', current_database()); END$$;
DROP ROLE leadscore_owner, leadscore_pooler, leadscore_ann, leadscore_bob;
