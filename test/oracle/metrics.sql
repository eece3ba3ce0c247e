-- A pipeline crm with 300 leads that did all kinds of things in 2025, for the
-- tests of metrics views. Drawn from md5: the same everywhere.
SET client_min_messages = 'warning';
SELECT leadscore.create_pipeline('crm') \g /dev/null
SET search_path = crm, crm_reports, leadscore, leadscore_internal, public;

CREATE FUNCTION public.draw(n bigint, question text) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ('x' || left(md5(n::text || question), 6))::bit(24)::int;

INSERT INTO campaign (campaign, channel, direction, sourcing) VALUES
    ('spring', 'seo', NULL, 'internal'),
    ('fair', 'physical_event', NULL, 'outsourced'),
    ('letters', 'email', 'inbound', 'outsourced'),
    ('adrift', NULL, NULL, NULL);

INSERT INTO lead (lead_id, external_id, email, market, channel, campaign, owner, consented_at, created_at)
    SELECT n, 'lead-' || n, 'l' || n || '@mail.example',
        ('{b2b,b2c,NULL}'::text[])[1 + draw(n, 'market') % 3],
        ('{seo,social,NULL,radio}'::text[])[1 + draw(n, 'channel') % 4],
        ('{spring,fair,NULL,adrift,unheard}'::text[])[1 + draw(n, 'campaign') % 5],
        ('{kim,lena,NULL}'::text[])[1 + draw(n, 'owner') % 3],
        CASE WHEN draw(n, 'consent') % 4 > 0 THEN c.at END, c.at
    FROM generate_series(1, 300) n,
        LATERAL (SELECT timestamptz '2025-01-01 00:30Z' + draw(n, 'created') % 200 * interval '1 day') AS c (at);

-- Up to 12 events each, at most 150 days after the lead came
INSERT INTO event (lead_id, kind, occurred_at, value, channel, campaign, properties)
    SELECT l.lead_id, k.kind,
        l.created_at + draw(l.lead_id, 'minute' || i) % 216000 * interval '1 minute',
        CASE k.kind WHEN 'purchase' THEN (draw(l.lead_id, 'value' || i) % 100000)::numeric / 100 END,
        ('{seo,social,NULL,NULL,NULL}'::text[])[1 + draw(l.lead_id, 'event channel' || i) % 5],
        ('{spring,letters,NULL,NULL,NULL,NULL}'::text[])[1 + draw(l.lead_id, 'event campaign' || i) % 6],
        CASE k.kind
            WHEN 'stage_set' THEN jsonb_build_object('stage', ('{visitor,iql,iql,mql,mql,sql,prospect,lost,recycled}'::text[])[1 + draw(l.lead_id, 'stage' || i) % 9])
            WHEN 'outreach' THEN jsonb_build_object('outcome', ('{no,No,later,yes}'::text[])[1 + draw(l.lead_id, 'outcome' || i) % 4])
            WHEN 'page_view' THEN jsonb_build_object('page', ('{/,/a?x=1,/a,/b#top}'::text[])[1 + draw(l.lead_id, 'page' || i) % 4])
            WHEN 'form_view' THEN jsonb_build_object('form', 'f' || draw(l.lead_id, 'form' || i) % 2, 'variant', 'v' || draw(l.lead_id, 'variant' || i) % 2)
            WHEN 'form_submit' THEN jsonb_build_object('form', 'f' || draw(l.lead_id, 'form' || i) % 2, 'fields', 3 + draw(l.lead_id, 'form' || i) % 2 * 2)
            WHEN 'content_download' THEN jsonb_build_object('content', 'c' || draw(l.lead_id, 'content' || i) % 3)
            WHEN 'page_view' THEN NULL
            ELSE jsonb_build_object('message', 'm' || draw(l.lead_id, 'message' || i) % 2, 'variant', ('{generic,named}'::text[])[1 + l.lead_id % 2])
        END
    FROM lead l, generate_series(1, 12) i,
        LATERAL (SELECT ('{stage_set,stage_set,stage_set,purchase,outreach,outreach,sales_contact,page_view,page_view,form_view,form_submit,content_download,email_sent,email_open,email_click,email_reply,demo_request,unknown}'::text[])
            [1 + draw(l.lead_id, 'kind' || i) % 18]) AS k (kind)
    WHERE draw(l.lead_id, 'any' || i) % 10 < 8;

INSERT INTO cost (day_from, day_to, channel, campaign, category, amount) VALUES
    ('2025-01-15', '2025-03-10', 'seo', 'spring', 'media', 1000),
    ('2025-02-01', '2025-02-28', NULL, 'fair', 'media', 333.33),
    ('2025-01-01', '2025-12-31', 'seo', NULL, 'wages', 10000.01),
    ('2025-01-01', '2025-12-31', NULL, NULL, 'tools', 99.99),
    ('2025-06-30', '2025-06-30', 'telemarketing', NULL, NULL, 5);
ANALYZE;
