--
-- The page of one lead
--
SELECT leadscore.create_pipeline('crm') \g /dev/null
SET search_path = crm, crm_reports, leadscore, leadscore_internal;
SELECT count(*) FROM lead_timeline;
SELECT count(*) FROM lead_origin;
SELECT count(*) FROM lead_profile;
SELECT count(*) FROM lead_path;
SELECT count(*) FROM touchpoints;

INSERT INTO campaign (campaign, channel, direction) VALUES ('fair', 'physical_event', 'outbound');
SELECT stage FROM track('ann', 'page_view', '{"page": "/secret?email=ann@mail.example"}', '2025-03-01 09:00Z', channel => 'seo');
SELECT stage FROM track('ann', 'page_view', NULL, '2025-03-01 09:05Z', channel => 'seo');
SELECT stage FROM track('ann', 'content_download', '{"content": "guide", "intent": "solution"}', '2025-03-02 10:00Z', campaign => 'fair',
    profile => '{"email": "ann@mail.example", "consent": true, "persona": "owner"}');
SELECT stage FROM track('ann', 'email_sent', NULL, '2025-03-03 10:00Z', channel => 'email');
SELECT stage FROM track('ann', 'case_study_download', '{"content": "case"}', '2025-03-04 10:00Z');
SELECT stage FROM track('ann', 'webinar_attended', '{"content": {"odd": "name"}}', '2025-03-05 10:00Z');
SELECT stage FROM track('ann', 'no such kind', NULL, '2025-03-05 11:00Z');
SELECT stage FROM track('ann', 'purchase', NULL, '2025-03-20 10:00Z', value => 50);
SELECT stage FROM track('ann', 'page_view', NULL, '2025-03-21 10:00Z', channel => 'seo');
SELECT stage FROM track('bob', 'page_view', NULL, '2025-03-01 09:00Z');
INSERT INTO lead (external_id, created_at) VALUES ('imported', '2025-02-01 00:00Z');

SELECT entry, happened_at, what, name, stage, stage_rank, cause, channel, campaign FROM lead_timeline WHERE lead_id = lead_id('ann') ORDER BY entry;
SELECT external_id, created_at, first_kind, first_at, first_channel, first_campaign, interest_kind, interest_at, interest_content, lead_at, channel, direction, campaign FROM lead_origin ORDER BY lead_id;
SELECT external_id, persona, offers_taken, other_actions FROM lead_profile ORDER BY lead_id;
SELECT external_id, offers, first_offer, last_offer, last_offer_at, actions, last_action_at FROM lead_profile ORDER BY lead_id;
SELECT external_id, cycle, path, stages, step_backs, skipped_stages, started_at, ended_at, stage, stage_rank FROM lead_path ORDER BY lead_id;
SELECT lead_id('ann') = lead_id AS ann, touch, touches, touched_at, kind, role, channel, direction, campaign, won, before_days FROM touchpoints ORDER BY lead_id, touch;
-- a lead that comes back has a path a run
SELECT upsert_lead('bob', 'bob@mail.example', consent => true) = lead_id('bob') AS bob, set_stage('bob', 'lost'), set_stage('bob', 'prospect');
SELECT cycle, path, stages, skipped_stages, ended_at IS NOT NULL AS ended, stage FROM lead_path WHERE external_id = 'bob' ORDER BY cycle;
-- what is dated ahead is nothing yet: one visit, no offer and no interest
BEGIN;
SELECT stage FROM track('dee', 'page_view', NULL, '2025-03-01 09:00Z');
SELECT stage FROM track('dee', 'webinar_attended', '{"content": "next year"}', now() + interval '40 days');
SELECT stage FROM track('dee', 'page_view', NULL, now() + interval '40 days');
SELECT touch, touches, kind FROM touchpoints WHERE lead_id = lead_id('dee');
SELECT offers, offers_taken, other_actions FROM lead_profile WHERE external_id = 'dee';
SELECT first_kind, interest_kind FROM lead_origin WHERE external_id = 'dee';
-- of two offers of one instant both views take the same
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES (lead_id('dee'), 'content_download', '2025-03-02 09:00Z', '{"content": "second by name"}'), (lead_id('dee'), 'content_download', '2025-03-02 09:00Z', '{"content": "first by name"}');
SELECT p.first_offer, p.last_offer, o.first_offer, o.last_offer FROM lead_profile p JOIN lead_offers o USING (lead_id) WHERE p.external_id = 'dee';
-- a number is a name, and an object is none
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES (lead_id('dee'), 'content_download', '2025-03-01 09:00Z', '{"content": 42}'), (lead_id('dee'), 'webinar_attended', '2025-03-03 09:00Z', '{"content": {"mail": "dee@mail.example"}}');
SELECT p.first_offer, p.last_offer, o.first_offer, o.last_offer FROM lead_profile p JOIN lead_offers o USING (lead_id) WHERE p.external_id = 'dee';
SELECT name, content FROM lead_timeline WHERE lead_id = lead_id('dee') AND what = 'event' AND happened_at IN ('2025-03-01 09:00Z', '2025-03-03 09:00Z') ORDER BY happened_at;
-- a cycle that begins later has lasted for no time
INSERT INTO lead (external_id, consented_at, email, created_at) VALUES ('later', now(), 'later@mail.example', date_trunc('day', now(), 'UTC') + interval '24 hours' - interval '1 microsecond');
SELECT path, total_days >= 0 AS forward FROM lead_path WHERE external_id = 'later';
SELECT quiet_days FROM lead_cooling WHERE lead_id = lead_id('later');
ROLLBACK;

-- One lead is looked up, not all
SET enable_seqscan = off;
SET enable_bitmapscan = off;
CREATE FUNCTION pg_temp.scans(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        IF line ~ '(Seq|Index( Only)?) Scan.* (on|using) (event|event_pkey|stage_history|stage_history_pkey|profile_change|profile_change_pkey)\y' AND line !~ 'using .*_pkey' THEN
            RETURN NEXT trim(line);
        END IF;
    END LOOP;
END
$$;
SELECT * FROM pg_temp.scans('SELECT * FROM crm.lead_timeline WHERE lead_id = 1');
SELECT * FROM pg_temp.scans('SELECT * FROM crm.lead_profile WHERE lead_id = 1');
SELECT * FROM pg_temp.scans('SELECT * FROM crm.lead_origin WHERE lead_id = 1');
SELECT * FROM pg_temp.scans('SELECT * FROM crm.lead_path WHERE lead_id = 1');
SELECT * FROM pg_temp.scans('SELECT * FROM crm.stage_entry WHERE lead_id = 1');
RESET enable_seqscan;
RESET enable_bitmapscan;
RESET search_path;
DROP SCHEMA crm, crm_reports CASCADE;
