-- The pipeline of test/bench/read, with ten events a lead over a year.
-- Variables: leads.
\set ON_ERROR_STOP on
\set QUIET on
SELECT setseed(0.5) \g /dev/null
SET maintenance_work_mem = '512MB';
SET work_mem = '256MB';
CREATE EXTENSION leadscore;
SELECT leadscore.create_pipeline('crm', attach => false) \g /dev/null

INSERT INTO crm.lead (lead_id, external_id, email, consented_at, country, channel, organization, profile, created_at)
    SELECT n, 'user-' || n,
        CASE WHEN n % 10 < 6 THEN 'user' || n || '@example.com' END,
        CASE WHEN n % 10 < 6 THEN now() - interval '365 days' END,
        'DE', 'seo', 'Company ' || n % 50000,
        jsonb_build_object('job_title', CASE WHEN n % 20 = 0 THEN 'Head of Sales' ELSE 'Engineer' END,
            'budget', n % 7 = 0, 'authority', n % 5 = 0, 'need', n % 3 = 0, 'timeline', n % 2 = 0),
        now() - interval '365 days'
    FROM generate_series(1, :leads) n;

CREATE TEMP TABLE kinds AS
    SELECT array_agg(k.kind) AS kinds
    FROM (VALUES
        ('page_view', 45), ('email_sent', 10), ('email_open', 14), ('product_page_view', 4), ('pricing_view', 3),
        ('email_click', 5), ('social_interaction', 6), ('content_download', 3), ('form_submit', 2),
        ('newsletter_signup', 1), ('case_study_download', 2), ('webinar_attended', 1), ('cart_abandoned', 1),
        ('demo_request', 1), ('quote_request', 1), ('trial_started', 1)) AS k (kind, share),
        generate_series(1, k.share);
ALTER TABLE crm.event DROP CONSTRAINT event_pkey;
-- a log is in the order of time, a lead's events are all over it
INSERT INTO crm.event (lead_id, kind, occurred_at, recorded_at, channel, properties)
    SELECT 1 + floor(random() * :leads)::bigint, kinds[1 + floor(random() * cardinality(kinds))::int],
        t.at, t.at, 'seo', '{"page": "/pricing", "intent": "solution"}'
    FROM kinds, generate_series(1, :leads * 10) AS n,
        LATERAL (SELECT now() - interval '360 days' + interval '359 days' * (n / (:leads * 10.0))) AS t (at);
ALTER TABLE crm.event ADD CONSTRAINT event_pkey PRIMARY KEY (lead_id, event_id);
SELECT leadscore.attach_pipeline('crm') \g /dev/null

-- The question: how would scores be with other points for prices?
SELECT crm.clone_model('inbound', 'other') \g /dev/null
UPDATE crm.rule SET points = 20, max_points = 60 WHERE model = 'other' AND rule = 'prices viewed';

-- As many rows, as wide, on as many pages as lead_state
VACUUM FULL crm.lead_state;
VACUUM ANALYZE crm.lead_state, crm.event, crm.lead;
CREATE TABLE plain (lead_id bigint PRIMARY KEY, points numeric, filler text) WITH (fillfactor = 70);
ALTER TABLE plain ALTER filler SET STORAGE PLAIN;
INSERT INTO plain
    SELECT lead_id, round(random()::numeric * 100, 1),
        repeat('x', (SELECT round(avg(pg_column_size(s.*)) - 24 - 8 - 8)::int FROM (SELECT * FROM crm.lead_state LIMIT 10000) s))
    FROM crm.lead_state;
VACUUM ANALYZE plain;

-- The rules of both models, for SQL over the event log
CREATE TABLE signal_points AS
    SELECT a.rule, k.kind, s.condition, a.points::float8 AS points_a, b.points::float8 AS points_b,
        coalesce(a.max_points, 1e9 * sign(a.points))::float8 AS max_a, coalesce(b.max_points, 1e9 * sign(b.points))::float8 AS max_b,
        coalesce(a.limit_count, 1000000) AS limit_count,
        coalesce(extract(epoch FROM a.decay_period) / 86400, 1e6)::float8 AS half_life,
        EXISTS (SELECT FROM crm.stage_gate g WHERE g.signal = a.signal AND g.stage::text = 'mql') AS solution
    FROM crm.rule a JOIN crm.rule b USING (rule, signal) JOIN crm.signal s USING (signal), unnest(s.event_kinds) AS k (kind)
    WHERE a.model = 'inbound' AND b.model = 'other';
ANALYZE signal_points;
