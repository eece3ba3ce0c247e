--
-- Row security on the tables of a pipeline: a role that may see some leads only
-- sees neither others nor figures made of them, and the engine stays right
--
-- tables are small, whatever the planner expects
SET jit = off;
CREATE ROLE leadscore_owner;
CREATE ROLE leadscore_app;
CREATE ROLE leadscore_tenant;
CREATE ROLE leadscore_auditor BYPASSRLS;
DO $$BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO leadscore_owner', current_database()); END$$;
SET ROLE leadscore_owner;
-- all in one transaction, so that all is recorded, and looked at, at one time
BEGIN;

-- Two pipelines: crm has the leads of two tenants, alone has the leads of one
DO $$
DECLARE
    p text;
BEGIN
    FOREACH p IN ARRAY '{crm,alone}'::text[] LOOP
        PERFORM leadscore.create_pipeline(p);
        PERFORM leadscore.grant_reader(p, 'leadscore_tenant'), leadscore.grant_reader(p, 'leadscore_auditor'), leadscore.grant_app(p, 'leadscore_app');
        EXECUTE format($q$
            INSERT INTO %1$I.segment (segment, persona) VALUES ('buyers', true), ('lately', false), ('draft', false);
            INSERT INTO %1$I.segment_condition (segment, condition, signal, within, lead_condition) VALUES ('buyers', 'bought', 'purchase', NULL, NULL),
                ('lately', 'saw', 'page_view', '20 days', NULL), ('draft', 'market', NULL, NULL, '$market == "b2c"');
            SELECT %1$I.activate_segment('buyers'), %1$I.activate_segment('lately');
            INSERT INTO %1$I.lead (lead_id, external_id, email, organization, market, channel, campaign, owner, persona, profile, consented_at, created_at, updated_at)
                SELECT i, 'lead' || i, 'lead' || i || '@mail.example', 'org' || i / 4, CASE WHEN i %% 2 = 0 THEN 'b2b' ELSE 'b2c' END, (ARRAY['content', 'seo', 'email'])[i %% 3 + 1],
                    'c' || i %% 5, 'kim' || i %% 2, 'owner', '{"budget": true, "authority": true, "need": true, "timeline": true}',
                    d, d, d
                FROM generate_series(1, 24) i, LATERAL (SELECT timestamptz '2025-01-01' + i * interval '3 days') AS t (d)
                WHERE %2$L = 'crm' OR i %% 2 = 0;
            INSERT INTO %1$I.event (lead_id, event_id, kind, occurred_at, value, channel, properties)
                SELECT i, i * 100 + k.n, k.kind, timestamptz '2025-01-01' + i * interval '3 days' + k.n * interval '1 day', 100 * i, 'content',
                    '{"page": "/prices", "form": "f", "fields": 3, "message": "m", "variant": "v", "content": "guide", "topic": "tea", "outcome": "no"}'
                FROM generate_series(1, 24) i,
                    unnest('{page_view,form_view,form_submit,email_sent,email_open,email_click,case_study_download,pricing_view,demo_request,quote_request,outreach,sales_contact,purchase,nothing known,refund}'::text[])
                        WITH ORDINALITY AS k (kind, n)
                WHERE k.n <= i + 3 AND (%2$L = 'crm' OR i %% 2 = 0) OR k.n = 14 AND i %% 2 = 1 AND %2$L = 'crm';
            INSERT INTO %1$I.cost (day_from, day_to, channel, amount) VALUES ('2025-01-01', '2025-03-31', 'content', 1000);
        $q$, p, p);
        EXECUTE format('ANALYZE %1$I.lead, %1$I.event, %1$I.lead_state, %1$I.stage_log, %1$I.segment_log, %1$I.profile_change', p);
    END LOOP;
END
$$;

ALTER TABLE crm.lead ENABLE ROW LEVEL SECURITY;
ALTER TABLE crm.event ENABLE ROW LEVEL SECURITY;
ALTER TABLE crm.lead_state ENABLE ROW LEVEL SECURITY;
ALTER TABLE crm.stage_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE crm.segment_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE crm.profile_change ENABLE ROW LEVEL SECURITY;
CREATE POLICY b2b ON crm.lead FOR SELECT TO leadscore_tenant USING (market = 'b2b');
CREATE POLICY b2b ON crm.event FOR SELECT TO leadscore_tenant USING (lead_id IN (SELECT lead_id FROM crm.lead));
CREATE POLICY b2b ON crm.lead_state FOR SELECT TO leadscore_tenant USING (lead_id IN (SELECT lead_id FROM crm.lead));
CREATE POLICY b2b ON crm.stage_log FOR SELECT TO leadscore_tenant USING (lead_id IN (SELECT lead_id FROM crm.lead));
CREATE POLICY b2b ON crm.segment_log FOR SELECT TO leadscore_tenant USING (lead_id IN (SELECT lead_id FROM crm.lead));
CREATE POLICY b2b ON crm.profile_change FOR SELECT TO leadscore_tenant USING (lead_id IN (SELECT lead_id FROM crm.lead));

-- Every view shows the tenant what it would show if there were no others. Those
-- that look into properties show nothing.
CREATE TABLE alone.shown (view text, who text, rows text[]);
GRANT ALL ON alone.shown TO PUBLIC;
CREATE FUNCTION alone.look(pipeline text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    s text;
    v text;
BEGIN
    FOR s, v IN SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname IN (pipeline, pipeline || '_reports') AND c.relkind = 'v' AND c.relname !~ '^_'
                -- those of sales name people
                AND has_table_privilege(c.oid, 'SELECT') LOOP
        EXECUTE format('INSERT INTO alone.shown SELECT %L, $1 || '' '' || current_user, array_agg(r ORDER BY r COLLATE "C") FROM %I.%I v, LATERAL (SELECT (to_jsonb(v) - ''recorded_at'')::text) AS t (r)', v, s, v) USING pipeline;
    END LOOP;
END
$$;
SELECT alone.look('alone');
SET ROLE leadscore_tenant;
SELECT alone.look('crm');
SET ROLE leadscore_auditor;
SELECT alone.look('crm');
SET ROLE leadscore_owner;
SELECT count(*) > 50 AS views, count(*) FILTER (WHERE cardinality(s.rows) > 0) > 40 AS with_rows, count(*) FILTER (WHERE s.rows IS DISTINCT FROM e.rows) > 40 AS differ_for_who_sees_all
    FROM alone.shown s JOIN alone.shown e USING (view) WHERE s.who = 'alone leadscore_owner' AND e.who = 'crm leadscore_auditor';
SELECT view, cardinality(t.rows) AS rows, cardinality(s.rows) AS rows_if_alone FROM alone.shown s JOIN alone.shown t USING (view)
    WHERE s.who = 'alone leadscore_owner' AND t.who = 'crm leadscore_tenant' AND s.rows IS DISTINCT FROM t.rows ORDER BY view COLLATE "C";
COMMIT;

-- So it is with functions about segments: lead 1 bought nothing, and 22 to 24
-- did; those of an odd number are hidden from the tenant. What counts over all leads, and looks
-- into profiles, tells such a role nothing.
GRANT EXECUTE ON FUNCTION crm.in_segment(text, text, timestamptz), crm.in_segment_by_id(bigint, text, timestamptz), crm.persona_match(text), crm.explain_segment(text, text),
    crm.segment_preview(text, text), crm.segment_preview_leads(text, text) TO leadscore_tenant, leadscore_auditor;
CREATE FUNCTION alone.segments() RETURNS TABLE (lead_id bigint, by_name boolean, by_id boolean, past boolean, ahead boolean, personas bigint, conditions bigint, listed boolean, recorded boolean) LANGUAGE sql AS $$
    SELECT i, crm.in_segment('lead' || i, 'buyers'), crm.in_segment_by_id(i, 'buyers'), crm.in_segment_by_id(i, 'buyers', '2025-12-01'), crm.in_segment_by_id(i, 'buyers', now() + interval '1 day'),
        (SELECT count(*) FROM crm.persona_match('lead' || i)), (SELECT count(*) FROM crm.explain_segment('lead' || i, 'buyers')),
        EXISTS (SELECT FROM crm.segment_members m WHERE m.lead_id = i AND m.segment = 'buyers'), EXISTS (SELECT FROM crm.segment_history h WHERE h.lead_id = i)
    FROM unnest('{1,22,23,24}'::bigint[]) i $$;
SET ROLE leadscore_tenant;
SELECT * FROM alone.segments();
SELECT * FROM crm.segment_preview('draft');
SELECT * FROM crm.segment_preview_leads('buyers');
SET ROLE leadscore_auditor;
SELECT * FROM alone.segments();
SELECT * FROM crm.segment_preview('draft');
SELECT * FROM crm.segment_preview_leads('buyers') LIMIT 2;
SET ROLE leadscore_owner;
REVOKE EXECUTE ON FUNCTION crm.in_segment(text, text, timestamptz), crm.in_segment_by_id(bigint, text, timestamptz), crm.persona_match(text), crm.explain_segment(text, text),
    crm.segment_preview(text, text), crm.segment_preview_leads(text, text) FROM leadscore_tenant, leadscore_auditor;

-- Two models are compared over the leads that a role sees, also if only their table hides them
BEGIN;
ALTER TABLE crm.lead_state DISABLE ROW LEVEL SECURITY;
CREATE FUNCTION alone.compared() RETURNS TABLE (who name, leads numeric, before numeric) LANGUAGE sql AS $$
    SELECT current_user, (SELECT sum(c.leads) FROM crm.compare_models('inbound', 'inbound') c WHERE c.level = 'stage'),
        (SELECT sum(c.leads) FROM crm.compare_models('inbound', 'inbound', '2025-01-20') c WHERE c.level = 'stage') $$;
SET LOCAL ROLE leadscore_auditor;
SELECT * FROM alone.compared();
SET LOCAL ROLE leadscore_tenant;
SELECT * FROM alone.compared();
ROLLBACK;

-- Of leads that are behind the configuration each role gets those that it sees, by plans that the session keeps
BEGIN;
INSERT INTO crm.signal (signal, event_kinds) VALUES ('new', '{page_view}');
CREATE FUNCTION alone.behind() RETURNS TABLE (who name, stages bigint, since bigint, activities bigint, segments bigint) LANGUAGE sql AS $$
    SELECT current_user, count(leadscore_internal.current_stage('crm', i)), count(leadscore_internal.current_stage_since('crm', i)),
        count(leadscore_internal.current_activity('crm', i)), count(leadscore_internal.current_segments('crm', i))
    FROM generate_series(1, 24) i $$;
SET LOCAL ROLE leadscore_auditor;
SELECT * FROM alone.behind();
SET LOCAL ROLE leadscore_tenant;
SELECT * FROM alone.behind();
SET LOCAL ROLE leadscore_auditor;
SELECT * FROM alone.behind();
ROLLBACK;

-- So do functions that look into properties when a role calls them directly from
-- which row security hides leads; they serve other roles
GRANT EXECUTE ON FUNCTION crm._last_outcome(bigint) TO leadscore_tenant, leadscore_auditor;
CREATE FUNCTION alone.call() RETURNS TABLE (function text, rows bigint) LANGUAGE plpgsql AS $$
BEGIN
    FOR function IN
        SELECT p.oid::regprocedure FROM pg_proc p
        WHERE p.pronamespace IN ('crm'::regnamespace, 'crm_reports'::regnamespace) AND p.prosecdef AND p.proname ~ '^_' AND has_function_privilege('leadscore_tenant', p.oid, 'EXECUTE') ORDER BY p.proname COLLATE "C"
    LOOP
        EXECUTE format('SELECT count(t) FROM %s AS t', replace(replace(replace(replace(replace(replace(function, '(text)', '(''orders'')'), '(bigint)', '(1)'), '(bigint,bigint)', '(1, 101)'), '(bigint[],bigint[])', '(''{1}'', ''{101}'')'),
            '(bigint,bigint,text)', '(1, 101, ''content'')'), '(bigint,timestamp with time zone,bigint)', '(1, now(), NULL)')) INTO rows;
        RETURN NEXT;
    END LOOP;
END
$$;
INSERT INTO crm.event (lead_id, event_id, kind, occurred_at, properties) VALUES (1, 198, 'outreach', '2025-02-20', '{"outcome": "no"}');
UPDATE crm.event SET kind = 'content_download', properties = properties || '{"purchase": "unheard"}' WHERE event_id = 101;
UPDATE crm.lead SET profile = profile || '{"budget": "yes", "deadline": "2031-05-02"}' WHERE lead_id = 1;
INSERT INTO crm.event (lead_id, event_id, kind, occurred_at) VALUES (1, 199, 'meeting_booked', '2025-01-10');
INSERT INTO crm.enrollment (lead_id, sequence, run, started_at, started_by) VALUES (1, 'welcome', 1, '2025-01-11', 'iql');
INSERT INTO crm.action (lead_id, dedup_key, channel, sequence, run, step, due_at) VALUES (1, 'welcome/1/hello', 'email', 'welcome', 1, 'hello', '2025-01-11');
SET ROLE leadscore_tenant;
SELECT * FROM alone.call();
-- in parallel workers too
SELECT set_config(name, 'on', false) FROM pg_settings WHERE name IN ('debug_parallel_query', 'force_parallel_mode') \g /dev/null
SELECT count(*) FROM crm_reports._contacts_by_lead();
SELECT set_config(name, 'off', false) FROM pg_settings WHERE name IN ('debug_parallel_query', 'force_parallel_mode') \g /dev/null
SET ROLE leadscore_auditor;
SELECT * FROM alone.call();
-- a session that runs as a role that sees all
RESET ROLE;
SELECT sum(rows) > 40 FROM alone.call();
SET ROLE leadscore_tenant;
SELECT leadscore_internal.shows_all('crm.lead'), leadscore_internal.shows_all('crm.model'), crm._shows_all_leads(), alone._shows_all_leads();

-- A preview of a sequence counts over all leads, too
SET ROLE leadscore_owner;
GRANT EXECUTE ON FUNCTION crm.sequence_preview(text) TO leadscore_tenant, leadscore_auditor;
INSERT INTO crm.sequence (sequence, starts_on, start_name) VALUES ('buyers', 'segment_entered', 'buyers'), ('seen', 'event', 'page_view');
INSERT INTO crm.sequence_step (sequence, step, position, channel) VALUES ('buyers', 'one', 1, 'email'), ('seen', 'one', 1, 'chat');
SELECT crm.activate_sequence('seen');
SET ROLE leadscore_tenant;
SELECT * FROM crm.sequence_preview('buyers');
SET ROLE leadscore_auditor;
SELECT leads_now > 0 AS leads_now, could_begin > 0 AS could_begin FROM crm.sequence_preview('buyers');
SET ROLE leadscore_owner;
REVOKE EXECUTE ON FUNCTION crm.sequence_preview(text) FROM leadscore_tenant, leadscore_auditor;

-- The engine does the owner's work, under row security that is forced too
SET ROLE leadscore_owner;
ALTER TABLE crm.enrollment ENABLE ROW LEVEL SECURITY;
ALTER TABLE crm.enrollment FORCE ROW LEVEL SECURITY;
ALTER TABLE crm.action ENABLE ROW LEVEL SECURITY;
ALTER TABLE crm.action FORCE ROW LEVEL SECURITY;
ALTER TABLE crm.lead FORCE ROW LEVEL SECURITY;
ALTER TABLE crm.event FORCE ROW LEVEL SECURITY;
ALTER TABLE crm.lead_state FORCE ROW LEVEL SECURITY;
ALTER TABLE crm.stage_log FORCE ROW LEVEL SECURITY;
ALTER TABLE crm.segment_log FORCE ROW LEVEL SECURITY;
ALTER TABLE crm.profile_change FORCE ROW LEVEL SECURITY;
CREATE POLICY app ON crm.event FOR INSERT TO leadscore_app WITH CHECK (lead_id % 2 = 0);
SET ROLE leadscore_app;
INSERT INTO crm.event (lead_id, kind, occurred_at) VALUES (2, 'page_view', '2025-05-01'), (4, 'purchase', '2025-05-01');
INSERT INTO crm.event (lead_id, kind, occurred_at) VALUES (1, 'page_view', '2025-05-01');
-- functions of the owner are not under it, as the engine is not
SELECT stage FROM crm.track('lead2', 'page_view');
SET ROLE leadscore_owner;
SELECT count(*) FROM crm.lead_score;
SELECT crm.rebuild();
RESET ROLE;
SET session_replication_role = replica;
UPDATE crm.lead_state SET next_review_at = '2025-05-01';
RESET session_replication_role;
SET ROLE leadscore_owner;
SELECT crm.sweep();
CREATE POLICY owner ON crm.lead TO leadscore_owner USING (true);
CREATE POLICY owner ON crm.event TO leadscore_owner USING (true);
CREATE POLICY owner ON crm.lead_state TO leadscore_owner USING (true);
CREATE POLICY owner ON crm.stage_log TO leadscore_owner USING (true);
CREATE POLICY owner ON crm.segment_log TO leadscore_owner USING (true);
CREATE POLICY owner ON crm.profile_change TO leadscore_owner USING (true);
SELECT count(*) FROM crm.lead_score;
SELECT crm.sweep();
SET ROLE leadscore_app;
SELECT stage FROM crm.track('lead2', 'page_view');
SET ROLE leadscore_owner;
UPDATE crm.lead SET profile = '{}' WHERE lead_id IN (3, 4);
DELETE FROM crm.event WHERE event_id IN (301, 501, 502);
DELETE FROM crm.lead WHERE lead_id = 5;
SELECT crm.clone_model('inbound', 'other'), crm.activate_model('other', wait => true) > 0;
SELECT crm.activate_segment('draft', wait => true) > 0 AS activated;
SELECT crm.in_segment('lead1', 'draft') AS one, crm.in_segment('lead2', 'draft') AS two;
SELECT crm.retire_segment('buyers', wait => true) > 0 AS retired;
RESET ROLE;
-- what the app tracked has begun a run, as nobody else may see
SELECT l.external_id, e.sequence, a.step, a.status FROM crm.enrollment e JOIN crm.action a USING (lead_id, sequence, run) JOIN crm.lead l USING (lead_id);
SELECT * FROM crm.verify();
SELECT * FROM alone.verify();

DROP SCHEMA crm, crm_reports CASCADE;
DROP SCHEMA alone, alone_reports CASCADE;
DROP OWNED BY leadscore_owner, leadscore_app, leadscore_tenant, leadscore_auditor;
DROP ROLE leadscore_owner, leadscore_app, leadscore_tenant, leadscore_auditor;
