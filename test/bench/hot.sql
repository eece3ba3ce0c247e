-- The pipeline of test/bench/hot: most leads did little, few did much.
-- Variables: leads.
\set ON_ERROR_STOP on
\set QUIET on
SELECT setseed(0.5) \g /dev/null
SET maintenance_work_mem = '512MB';
SET work_mem = '256MB';
CREATE EXTENSION IF NOT EXISTS leadscore;
SELECT leadscore.create_pipeline('crm', attach => false) \g /dev/null

INSERT INTO crm.lead (lead_id, external_id, email, consented_at, country, channel, organization, profile, created_at)
    SELECT n, 'user-' || n,
        CASE WHEN n % 10 < 6 THEN 'user' || n || '@example.com' END,
        CASE WHEN n % 10 < 6 THEN now() - interval '365 days' END,
        'DE', 'seo', 'Company ' || n % 50000,
        jsonb_build_object('job_title', CASE WHEN n % 20 = 0 THEN 'Head of Sales' ELSE 'Engineer' END,
            'budget', n % 7 > 0, 'authority', n % 5 > 0, 'need', n % 3 > 0, 'timeline', true),
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
-- half of the events are of one in twenty leads, and a seventh of one in two
-- hundred; these are all over the table
INSERT INTO crm.event (lead_id, kind, occurred_at, recorded_at, channel, properties)
    SELECT 1 + (floor(:leads * t.share * random())::bigint * 7919) % :leads, kinds[1 + floor(random() * cardinality(kinds))::int],
        t.at, t.at, 'seo', '{"page": "/pricing", "intent": "solution"}'
    FROM kinds, generate_series(1, :leads * 5) AS n,
        LATERAL (SELECT now() - interval '360 days' + interval '359 days' * (n / (:leads * 5.0)),
            CASE WHEN n % 20 < 10 THEN 1 WHEN n % 20 < 17 THEN 0.05 ELSE 0.005 END) AS t (at, share);
ALTER TABLE crm.event ADD CONSTRAINT event_pkey PRIMARY KEY (lead_id, event_id);
SELECT leadscore.attach_pipeline('crm') \g /dev/null
VACUUM FULL crm.lead_state;
VACUUM ANALYZE crm.lead_state, crm.event, crm.lead;

-- What an application would store: the score as of now, and the stage
CREATE TABLE stored AS SELECT lead_id, score, stage FROM crm.lead_score;
ALTER TABLE stored ADD PRIMARY KEY (lead_id);
CREATE INDEX stored_score_idx ON stored (score DESC);
CREATE INDEX stored_stage_idx ON stored (stage);
VACUUM ANALYZE stored;

-- Milliseconds of a call, and those of the processor
CREATE FUNCTION took(query text, OUT elapsed double precision, OUT processor double precision) LANGUAGE plpgsql AS $$
DECLARE
    began_at timestamptz;
    calls integer := 0;
    nanoseconds CONSTANT text := 'SELECT split_part(pg_read_file(''/proc/self/schedstat''), '' '', 1)::double precision';
    used double precision;
BEGIN
    EXECUTE query;
    EXECUTE query;
    EXECUTE nanoseconds INTO used;
    began_at := clock_timestamp();
    WHILE calls < 2 OR clock_timestamp() < began_at + interval '0.2 seconds' LOOP
        EXECUTE query;
        calls := calls + 1;
    END LOOP;
    elapsed := extract(epoch FROM clock_timestamp() - began_at) * 1000 / calls;
    EXECUTE nanoseconds INTO processor;
    processor := (processor - used) / 1e6 / calls;
END
$$;
