--
-- Extreme instants: whatever an app sends, no view and no function that readers
-- call fails, in any time zone. Instants outside the years 1 to 9999 are NULL,
-- or count for no day and no month.
--
SELECT leadscore.create_pipeline('crm') \g /dev/null
-- segments: of counts at any time, in a window, and of what is not
INSERT INTO crm.segment (segment, persona) VALUES ('extreme_buyers', true), ('extreme_viewers', false), ('extreme_others', false);
INSERT INTO crm.segment_condition (segment, condition, signal, within, negate) VALUES
    ('extreme_buyers', 'bought', 'purchase', NULL, false), ('extreme_viewers', 'saw', 'page_view', '30 days', false), ('extreme_others', 'bought', 'purchase', NULL, true);
SELECT crm.activate_segment('extreme_buyers'), crm.activate_segment('extreme_viewers'), crm.activate_segment('extreme_others');

-- Leads of each instant, with events of that instant, of today, and leads of
-- today with events of each instant
CREATE TEMP TABLE extreme (n int, at timestamptz);
INSERT INTO extreme VALUES (1, '-infinity'), (2, '4714-11-24 00:00:00+00 BC'), (3, '4713-01-01 00:00:00+00 BC'), (4, '0001-01-01 00:00:00+00'),
    (5, '0001-01-03 00:00:00+00'), (6, '9999-12-29 23:59:59.999999+00'), (7, '9999-12-31 23:59:59.999999+00'), (8, '294276-12-31 23:59:59.999999+00'), (9, 'infinity');
INSERT INTO crm.campaign (campaign, channel, direction, sourcing) VALUES ('spring', 'seo', NULL, 'internal');
INSERT INTO crm.lead (lead_id, external_id, email, organization, market, channel, campaign, owner, profile, consented_at, created_at, updated_at)
    SELECT n, 'extreme ' || n, 'a@mail.example', 'firm', 'b2b', 'seo', 'spring', 'kim', '{"budget": true, "authority": true, "need": true, "timeline": true}', at, at, at FROM extreme;
INSERT INTO crm.lead (lead_id, external_id, email, consented_at, created_at) SELECT 10 + n, 'today ' || n, 'a@mail.example', now() - interval '40 days', now() - interval '40 days' FROM extreme;
INSERT INTO crm.event (lead_id, kind, occurred_at, recorded_at, value, channel, campaign, properties)
    SELECT l.lead_id, k.kind, CASE WHEN l.lead_id = e.n OR l.lead_id = 10 + e.n THEN e.at ELSE now() - interval '3 days' END, e.at,
        50, 'seo', 'spring', '{"page": "/a", "form": "f", "fields": 3, "message": "m", "variant": "v", "content": "c", "topic": "t", "outcome": "no"}'
    FROM crm.lead l, extreme e, unnest('{page_view,form_view,form_submit,content_download,webinar_attended,pricing_view,case_study_download,email_sent,email_open,email_click,email_reply,demo_request,quote_request,outreach,sales_contact,purchase,lost,recycled,unheard of}'::text[]) AS k (kind)
    WHERE l.lead_id % 10 = e.n;
INSERT INTO crm.cost (day_from, day_to, channel, campaign, amount) VALUES
    ('4714-11-24 BC', '4714-11-25 BC', 'seo', 'spring', 10), ('4714-11-24 BC', '5874897-12-31', 'seo', NULL, 10), ('5874897-12-30', '5874897-12-31', NULL, NULL, 10),
    ('2025-01-01', '2025-01-31', 'seo', 'spring', 31);
UPDATE crm.setting SET mature_after = '170000000 years', first_response_within = '170000000 years';
UPDATE crm.benchmark SET high = 'infinity' WHERE metric = 'quiet_days';

-- And in every column of every table that holds an instant, what the engine
-- keeps included
SET session_replication_role = replica;
DO $$
DECLARE
    c record;
BEGIN
    FOR c IN
        SELECT a.attrelid::regclass AS relation, a.attname FROM pg_attribute a JOIN pg_class r ON r.oid = a.attrelid
        WHERE r.relnamespace = 'crm'::regnamespace AND r.relkind = 'r' AND a.atttypid = 'timestamptz'::regtype AND a.attgenerated = '' AND NOT a.attisdropped
            AND EXISTS (SELECT FROM pg_attribute l WHERE l.attrelid = r.oid AND l.attname = 'lead_id')
            AND (r.relname, a.attname) NOT IN (('event', 'occurred_at'), ('stage_log', 'superseded_at'), ('segment_log', 'superseded_at'))
    LOOP
        EXECUTE format('UPDATE %s t SET %I = e.at FROM extreme e WHERE t.lead_id = e.n', c.relation, c.attname);
    END LOOP;
END
$$;
UPDATE crm.model SET created_at = 'infinity', activated_at = '-infinity' WHERE status = 'draft';
UPDATE crm.model_activation SET activated_at = '294276-12-31 23:59:59.999999+00';
UPDATE crm.segment_activation SET activated_at = '294276-12-31 23:59:59.999999+00';
UPDATE crm.segment SET created_at = '-infinity', activated_at = 'infinity';
RESET session_replication_role;
SELECT count(*) AS events, count(*) FILTER (WHERE NOT leadscore_internal.is_dated(occurred_at)) AS extreme, (SELECT count(*) FROM crm.lead) AS leads,
    (SELECT count(*) FROM crm.stage_history WHERE NOT leadscore_internal.is_dated(effective_at)) > 10 AS changes,
    (SELECT count(*) FROM crm.segment_history WHERE NOT leadscore_internal.is_dated(effective_at)) > 10 AS segment_changes FROM crm.event;
SELECT a.attrelid::regclass AS relation, a.attname FROM pg_attribute a JOIN pg_class r ON r.oid = a.attrelid
    WHERE r.relnamespace = 'crm'::regnamespace AND r.relkind = 'r' AND a.atttypid IN ('timestamptz'::regtype, 'date'::regtype, 'timestamp'::regtype) AND NOT a.attisdropped
    ORDER BY a.attrelid::regclass::text, a.attnum;

CREATE FUNCTION pg_temp.read_all() RETURNS TABLE (object text, problem text) LANGUAGE plpgsql AS $$
DECLARE
    columns text;
BEGIN
    FOR object, columns IN
        SELECT c.oid::regclass::text, string_agg(format('NOT isfinite(v.%I)', a.attname), ' OR ') FILTER (WHERE a.atttypid IN ('timestamptz'::regtype, 'date'::regtype))
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
        WHERE c.relnamespace IN ('crm'::regnamespace, 'crm_reports'::regnamespace) AND c.relkind = 'v'
        GROUP BY c.oid
    LOOP
        BEGIN
            EXECUTE format('SELECT count(v::text) FROM %s v', object);
            IF columns IS NOT NULL AND object NOT IN ('crm.stage_history', 'crm.segment_history') THEN
                EXECUTE format('SELECT ''infinity'' FROM %s v WHERE %s LIMIT 1', object, columns) INTO problem;
            END IF;
        EXCEPTION WHEN OTHERS THEN
            problem := SQLSTATE || ' ' || SQLERRM;
        END;
        IF problem IS NOT NULL THEN
            RETURN NEXT;
        END IF;
    END LOOP;
    FOREACH object IN ARRAY ARRAY['crm.funnel_between(''0001-01-10'', ''9999-12-20'')', 'crm_reports.required_leads(10)', 'crm_reports.attribution(''time_decay'')',
        'crm_reports.model_quality(''inbound'')', 'crm_reports.pipeline_forecast_at(''infinity'')', 'crm_reports.pipeline_forecast_at(''294276-12-31 00:00Z'')', 'crm_reports.pipeline_forecast_at(''4714-11-24 00:00Z BC'')', 'crm_reports.sla_status_at(now())', 'crm_reports.sla_status_at(''infinity'')', 'crm_reports.sla_status_at(''294276-12-31 00:00Z'')', 'crm_reports.sla_status_at(''4714-11-24 00:00Z BC'')']
    LOOP
        BEGIN
            EXECUTE format('SELECT count(v::text) FROM %s v', object);
        EXCEPTION WHEN OTHERS THEN
            problem := SQLSTATE || ' ' || SQLERRM;
            RETURN NEXT;
        END;
    END LOOP;
END
$$;
UPDATE crm.setting SET time_zone = 'Etc/GMT+12';
SET timezone = 'Etc/GMT-14';
SELECT * FROM pg_temp.read_all();
SET timezone = 'Etc/GMT+12';
SELECT * FROM pg_temp.read_all();
UPDATE crm.setting SET time_zone = 'UTC';
SET timezone = 'UTC';
SELECT * FROM pg_temp.read_all();
UPDATE crm.setting SET time_zone = 'Etc/GMT-14';
SET timezone = 'Etc/GMT+12';
SELECT * FROM pg_temp.read_all();
SET timezone = 'Etc/GMT-14';
SELECT * FROM pg_temp.read_all();
UPDATE crm.setting SET mature_after = '0', first_response_within = '1 microsecond';
SELECT * FROM pg_temp.read_all();

-- Instants in the years 1 to 9999 are shown, and no others
SET timezone = 'UTC';
SELECT e.n, s.created_at, d.created_date, d.created_month FROM extreme e LEFT JOIN crm.lead_score s ON s.lead_id = e.n LEFT JOIN crm_reports.lead_dim d ON d.lead_id = e.n ORDER BY 1;
SELECT n, leadscore_internal.dated(at) AS dated, leadscore_internal.date_of(at, 'Etc/GMT-14') AS east, leadscore_internal.date_of(at, 'Etc/GMT+12') AS west,
    leadscore_internal.month_start(at, 'Etc/GMT-14') AS month FROM extreme ORDER BY 1;
-- costs of days outside 1900 to 2199 are left out
SELECT calendar_month, channel, campaign, cost_amount FROM crm_reports.cost_by_month;
-- a lead of which nothing has a date counts in the funnel, and in no month
SELECT (SELECT sum(entered) FROM crm.funnel) >= (SELECT sum(entered) FROM crm.funnel_cohort) AS all_in_funnel, count(*) FILTER (WHERE entered_month IS NULL) AS without_month FROM crm.funnel_cohort;
DROP SCHEMA crm, crm_reports CASCADE;

-- No sentinel is a value that a column can hold: models that are active from
-- the beginning or the end of time, and events there, by a role that may only
-- create schemas. A day that is no day of the calendar counts as the nearest
-- one that is.
CREATE ROLE leadscore_nobody;
DO $$BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO leadscore_nobody', current_database()); END$$;
SET ROLE leadscore_nobody;
SELECT active_model FROM leadscore.create_pipeline('mine');
SELECT mine.clone_model('inbound', 'other');
UPDATE mine.rule SET points = 2 WHERE model = 'other' AND rule = 'page viewed';
INSERT INTO mine.lead (lead_id, email, consented_at, created_at, updated_at) VALUES (1, 'a@mail.example', '2025-01-01', '2025-01-01', '2025-01-01');
INSERT INTO mine.event (lead_id, kind, occurred_at) VALUES (1, 'page_view', '2025-01-02');
INSERT INTO mine.model_activation (activation_id, model, activated_at) SELECT greatest(configuration, (SELECT max(activation_id) FROM mine.model_activation)) + 1, 'inbound', 'infinity' FROM mine.setting;
SELECT mine.activate_model('other'), mine.activate_model('inbound');
INSERT INTO mine.segment (segment) VALUES ('viewers'), ('lately');
INSERT INTO mine.segment_condition (segment, condition, signal, within) VALUES ('viewers', 'saw', 'pricing_view', NULL), ('lately', 'saw', 'pricing_view', '7 days');
SELECT mine.activate_segment('viewers'), mine.activate_segment('lately');
CREATE VIEW mine.told AS
    SELECT s.activity, s.stage, (SELECT string_agg(h.to_stage || ' ' || h.effective_at, ', ' ORDER BY h.seq) FROM mine.stage_history h) AS stages,
        (SELECT string_agg(CASE WHEN h.is_member THEN '+' ELSE '-' END || h.segment || CASE WHEN h.cause <> 'definition' THEN ' ' || h.effective_at ELSE '' END, ', ' ORDER BY h.seq) FROM mine.segment_history h) AS segments
    FROM mine.lead_state s;
-- models
SELECT leadscore.detach_pipeline('mine');
INSERT INTO mine.model_activation (activation_id, model, activated_at) SELECT greatest(configuration, (SELECT max(activation_id) FROM mine.model_activation)) + 1, 'inbound', 'infinity' FROM mine.setting;
SELECT leadscore.attach_pipeline('mine');
SELECT mine.rebuild();
SELECT mine.sweep() <= 1 AS swept, mine.score_by_id(1, '2025-01-02') AS score, mine.score_by_id(1, 'infinity', true) AS at_the_end;
SELECT * FROM mine.verify();
SELECT leadscore.detach_pipeline('mine');
INSERT INTO mine.model_activation (activation_id, model, activated_at) SELECT greatest(configuration, (SELECT max(activation_id) FROM mine.model_activation)) + 1, 'other', '-infinity' FROM mine.setting;
SELECT leadscore.attach_pipeline('mine');
SELECT mine.rebuild();
SELECT mine.score_by_id(1, '2025-01-02', true) AS score, mine.score_by_id(1, '-infinity', true) AS at_the_start, mine.stage_at_by_id(1, 'infinity'), mine.stage_at_by_id(1, '-infinity');
SELECT * FROM mine.verify();
TABLE mine.told;
-- events
INSERT INTO mine.event (lead_id, event_id, kind, occurred_at) VALUES (1, 11, 'pricing_view', 'infinity'), (1, 12, 'pricing_view', '-infinity'), (1, 13, 'purchase', 'infinity'), (1, 14, 'stage_set', '-infinity');
SELECT * FROM mine.verify();
SELECT mine.rebuild();
TABLE mine.told;
UPDATE mine.event SET occurred_at = CASE WHEN occurred_at = 'infinity' THEN '-infinity'::timestamptz ELSE 'infinity' END WHERE event_id > 10;
SELECT * FROM mine.verify();
SELECT mine.rebuild();
TABLE mine.told;
UPDATE mine.event SET kind = 'form_submit' WHERE event_id IN (11, 12);
SELECT * FROM mine.verify();
DELETE FROM mine.event WHERE event_id > 11;
SELECT * FROM mine.verify();
SELECT mine.rebuild();
TABLE mine.told;
DELETE FROM mine.event WHERE event_id = 11;
SELECT * FROM mine.verify();
TABLE mine.told;
SELECT mine.rebuild();
RESET ROLE;
DROP SCHEMA mine, mine_reports CASCADE;
DO $$BEGIN EXECUTE format('REVOKE CREATE ON DATABASE %I FROM leadscore_nobody', current_database()); END$$;
DROP ROLE leadscore_nobody;
