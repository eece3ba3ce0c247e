-- A shop for coffee machines: 18 months of visitors, leads and customers.
--
-- Everything is drawn from md5, so it is the same whenever it is run on one
-- day. Rates are near what marketing takes for good: 2 to 5 % of visitors
-- become leads, 25 to 60 % of these mql, 40 to 60 % of these sql, 20 to 30 %
-- of these buy; and it takes businesses months, private people weeks.
\set QUIET on
\pset footer off
\pset pager off
SET timezone = 'UTC';
SET client_min_messages = 'warning';

-- fewer of them for tests
\if :{?visitors}
\else
\set visitors 100000
\endif

\echo
\echo '== Load:' :visitors 'visitors and what they did in 18 months (takes some seconds)'
\echo

CREATE EXTENSION leadscore;
SELECT leadscore.create_pipeline('crm') \g /dev/null
-- segments of the preset, before there are leads: so they hold for all 18 months
SELECT count(crm.activate_segment(s)) FROM unnest('{ready_to_buy,quiet_customers,ideal_customer}'::text[]) s \g /dev/null
\set began `date +%s`

-- a number from 0 up to 1 that belongs to a lead and a question
CREATE FUNCTION pg_temp.draw(lead bigint, question text) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ('x' || left(md5(lead::text || question), 7))::bit(28)::int / 268435456.0::double precision;

CREATE FUNCTION pg_temp.pick(lead bigint, question text, VARIADIC answers text[]) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN answers[1 + floor(pg_temp.draw(lead, question) * cardinality(answers))];

-- the last midnight
SELECT date_trunc('day', now(), 'UTC') AS today \gset

INSERT INTO crm.campaign (campaign, channel, direction, sourcing) VALUES
    ('brewing-guides', 'content', 'inbound', 'internal'),
    ('search', 'seo', 'inbound', 'internal'),
    ('latte-art', 'social', 'inbound', 'outsourced'),
    ('friends', 'referral', 'inbound', 'internal'),
    ('tasting', 'virtual_event', 'outbound', 'internal'),
    ('trade-fair', 'physical_event', 'outbound', 'outsourced'),
    ('call-centre', 'telemarketing', 'outbound', 'outsourced');

-- What is offered, and what the form for it asks, a little more each time.
INSERT INTO crm.content (content, title, kind, topic, intent, stage, persona) VALUES
    ('brewing guide', 'Brewing at home', 'ebook', 'brewing', 'educational', 'iql', NULL),
    ('coffee for 50', 'Coffee for fifty people', 'checklist', 'office coffee', 'solution', 'mql', NULL),
    ('cost of a cup', 'What a cup costs', 'calculator', 'office coffee', 'solution', 'mql', 'office manager'),
    ('hotel breakfast', 'Coffee at breakfast', 'case_study', 'hotels', 'solution', 'mql', 'hotel buyer'),
    ('latte art', 'Latte art in ten minutes', 'video', 'brewing', 'educational', NULL, NULL),
    ('beans to taste', 'Three bags of beans', 'sample', 'beans', 'solution', 'sql', NULL),
    ('first machine', 'A tenth off the first machine', 'discount', NULL, 'solution', 'sql', NULL);
INSERT INTO crm.form_field (form, field, position, required, profile_key, ask_after, ask_from, question) VALUES
    ('guide', 'name', 1, true, 'name', 0, NULL, 'Your name'),
    ('guide', 'email', 2, true, 'email', 0, NULL, 'Your e-mail address'),
    ('guide', 'company', 3, false, 'organization', 1, NULL, 'Where do you work?'),
    ('guide', 'role', 4, false, 'job_title', 1, NULL, 'What do you do there?'),
    ('guide', 'people', 5, false, 'employees', 1, NULL, 'How many of you drink coffee?'),
    ('guide', 'budget', 6, false, 'budget', 1, 'mql', 'Is there a budget?');

-- The visitors, their origin, and whether they leave an address and consent.
CREATE TEMP TABLE visitor AS
    SELECT n AS lead_id, c.campaign, c.share, c.quality,
        :'today'::timestamptz - interval '548 days'
            + interval '1 day' * floor(547 * power(n / (:visitors + 0.0), 0.85))
            + interval '1 minute' * floor(60 * (7 + 13 * pg_temp.draw(n, 'hour'))) AS came_at
    FROM (SELECT n, pg_temp.draw(n, 'campaign') AS drawn FROM generate_series(1, :visitors) n OFFSET 0) d
        JOIN (VALUES
            (0.00, 0.30, 'brewing-guides', 0.045, 1.0),
            (0.30, 0.65, 'search', 0.032, 1.0),
            (0.65, 0.85, 'latte-art', 0.022, 0.7),
            (0.85, 0.90, 'friends', 0.080, 1.4),
            (0.90, 0.94, 'tasting', 0.110, 1.2),
            (0.94, 0.97, 'trade-fair', 0.090, 1.1),
            (0.97, 1.01, 'call-centre', 0.050, 0.6)
        ) AS c (low, high, campaign, share, quality)
            ON d.drawn >= c.low AND d.drawn < c.high;

INSERT INTO crm.lead (external_id, country, channel, campaign, created_at, updated_at)
    SELECT 'visitor-' || v.lead_id,
        ('{DE,FR,US,DE,IT,FR,DE,ES,US,BR}'::text[])[1 + v.lead_id / 3 % 10],
        c.channel, v.campaign, v.came_at, v.came_at
    FROM visitor v JOIN crm.campaign c USING (campaign)
    ORDER BY v.lead_id;

-- How far those with an address are to come, and when.
CREATE TEMP TABLE journey AS
    WITH person AS (
        SELECT v.lead_id, v.quality,
            v.came_at + interval '1 day' * CASE WHEN pg_temp.draw(v.lead_id, 'at once') < 0.6 THEN 0.01
                ELSE 20 * pg_temp.draw(v.lead_id, 'wait') END AS born_at,
            pg_temp.draw(v.lead_id, 'consent') < 0.95 AS consents,
            CASE WHEN pg_temp.draw(v.lead_id, 'market') < 0.72 THEN 'b2b' ELSE 'b2c' END AS market
        FROM visitor v
        WHERE pg_temp.draw(v.lead_id, 'address') < v.share
    ), paced AS (
        SELECT p.*, interval '1 day' * CASE p.market WHEN 'b2b' THEN 1 ELSE 0.25 END AS pace
        FROM person p
    ), warm AS (
        SELECT p.*, p.born_at + p.pace * (20 + 50 * pg_temp.draw(p.lead_id, 'days to mql')) AS mql_at
        FROM paced p
    ), hot AS (
        SELECT w.*, w.mql_at + w.pace * (30 + 60 * pg_temp.draw(w.lead_id, 'days to sql')) AS sql_at
        FROM warm w
    ), contacted AS (
        SELECT h.*, h.sql_at + interval '1 minute' * CASE WHEN pg_temp.draw(h.lead_id, 'quick') < 0.55
            THEN 10 + 45 * pg_temp.draw(h.lead_id, 'minutes') ELSE 60 + 2400 * pg_temp.draw(h.lead_id, 'minutes') END AS contact_at
        FROM hot h
    ), closed AS (
        SELECT c.*, c.contact_at + c.pace * (12 + 40 * pg_temp.draw(c.lead_id, 'days to end')) AS end_at
        FROM contacted c
    )
    SELECT c.*,
        CASE
            WHEN NOT c.consents THEN 'anonymous'
            WHEN pg_temp.draw(c.lead_id, 'becomes mql') > 0.40 * c.quality THEN 'iql'
            WHEN pg_temp.draw(c.lead_id, 'becomes sql') > 0.68 THEN 'mql'
            ELSE (ARRAY['customer', 'customer', 'customer', 'customer', 'customer', 'lost', 'lost', 'lost', 'lost',
                'lost', 'lost', 'lost', 'lost', 'lost', 'recycled', 'recycled', 'recycled', 'prospect', 'prospect'])
                [1 + floor(19 * pg_temp.draw(c.lead_id, 'outcome'))]
        END AS fate
    FROM closed c;
ALTER TABLE journey
    ADD sells boolean GENERATED ALWAYS AS (fate IN ('customer', 'lost', 'recycled', 'prospect')) STORED,
    ADD gone_at timestamptz;
UPDATE journey SET gone_at = CASE
    WHEN fate IN ('lost', 'recycled') THEN end_at
    WHEN fate = 'iql' AND pg_temp.draw(lead_id, 'given up') < 0.04 THEN mql_at + pace * 40
    WHEN fate = 'mql' AND pg_temp.draw(lead_id, 'given up') < 0.25 THEN mql_at + pace * 40
    ELSE 'infinity' END;
ANALYZE journey;

-- They leave their address and most consent: some at once, others weeks later.
UPDATE crm.lead l SET
    email = 'lead' || j.lead_id || '@' || coalesce(translate(lower(o.name), ' ', '-'), 'mail') || '.example',
    market = j.market,
    organization = o.name,
    persona = CASE j.market WHEN 'b2c' THEN 'home barista'
        ELSE pg_temp.pick(j.lead_id, 'persona', 'office manager', 'cafe owner', 'hotel buyer') END,
    profile = CASE j.market WHEN 'b2c' THEN '{}' ELSE jsonb_build_object(
        'job_title', pg_temp.pick(j.lead_id, 'title', 'Office manager', 'Owner', 'Head of purchasing', 'Buyer', 'CEO', 'Assistant', 'Trainee'),
        'employees', round(exp(2 + 5 * pg_temp.draw(j.lead_id, 'size')))) END,
    consented_at = CASE WHEN j.consents THEN j.born_at END,
    contact_allowed = CASE WHEN j.consents THEN pg_temp.draw(j.lead_id, 'letters') < 0.8 END,
    referred_by = CASE WHEN l.campaign = 'friends' THEN nullif(1 + floor((j.lead_id - 1) * pg_temp.draw(j.lead_id, 'friend')), j.lead_id) END,
    updated_at = j.born_at
FROM journey j
    LEFT JOIN LATERAL (
        SELECT pg_temp.pick(j.lead_id, 'name 1', 'Alder', 'Birch', 'Cedar', 'Elm', 'Hazel', 'Juniper', 'Larch', 'Linden', 'Maple', 'Oak',
                'Pine', 'Rowan', 'Sorrel', 'Tulip', 'Willow', 'Yew')
            || ' ' || pg_temp.pick(j.lead_id, 'name 2', 'Books', 'Design', 'Foods', 'Garden', 'Health', 'Hotel', 'Insurance', 'Labs', 'Law',
                'Logistics', 'Media', 'Motors', 'Optics', 'Print', 'School', 'Sports', 'Steel', 'Studios', 'Textiles', 'Travel') AS name
    ) o ON j.market = 'b2b'
WHERE l.lead_id = j.lead_id AND j.born_at < :'today';

-- Budget, authority, need and timeline become known one after the other. Of
-- those that never become sql one in ten has a budget, and never all four.
UPDATE crm.lead l SET profile = l.profile || '{"need": true}', updated_at = j.mql_at + interval '1 day'
    FROM journey j
    WHERE l.lead_id = j.lead_id AND j.mql_at + interval '1 day' < :'today'
        AND (j.sells OR j.fate = 'mql' AND pg_temp.draw(j.lead_id, 'need') < 0.7);
UPDATE crm.lead l SET profile = l.profile || '{"authority": true}', updated_at = j.sql_at - j.pace * 4
    FROM journey j
    WHERE l.lead_id = j.lead_id AND j.sql_at - j.pace * 4 < :'today'
        AND (j.sells OR j.fate = 'mql' AND pg_temp.draw(j.lead_id, 'authority') < 0.4);
UPDATE crm.lead l SET profile = l.profile || '{"timeline": true}', updated_at = j.sql_at - j.pace * 2
    FROM journey j
    WHERE l.lead_id = j.lead_id AND j.sql_at - j.pace * 2 < :'today'
        AND (j.sells OR j.fate = 'mql' AND pg_temp.draw(j.lead_id, 'budget') >= 0.1 AND pg_temp.draw(j.lead_id, 'timeline') < 0.3);
UPDATE crm.lead l SET profile = l.profile || '{"budget": true}', updated_at = j.sql_at,
        owner = pg_temp.pick(j.lead_id, 'owner', 'kim', 'lena', 'omar')
    FROM journey j
    WHERE l.lead_id = j.lead_id AND j.sql_at < :'today'
        AND (j.sells OR j.fate = 'mql' AND pg_temp.draw(j.lead_id, 'budget') < 0.1);

-- What they did. All events in one statement, in no order.
INSERT INTO crm.event (lead_id, kind, occurred_at, value, properties)
    SELECT e.lead_id, e.kind, e.occurred_at, e.value, e.properties
    FROM (
        -- visitors look around
        SELECT v.lead_id, 'page_view' AS kind, v.came_at + interval '2 minutes' * k AS occurred_at, NULL::numeric AS value,
            ('[{"page": "/"}, {"page": "/beans"}, {"page": "/guides"}, {"page": "/about"}]'::jsonb) -> ((v.lead_id + k) % 4)::int
                || CASE WHEN (v.lead_id + k) % 4 = 2 THEN jsonb_build_object('variant', CASE WHEN v.lead_id / 4 % 2 = 0 THEN 'control' ELSE 'short' END) ELSE '{}' END AS properties
        FROM visitor v, generate_series(0, v.lead_id % 3) k
        UNION ALL
        -- some see the form and leave it
        SELECT v.lead_id, 'form_view', v.came_at + interval '5 minutes', NULL, '{"form": "guide", "variant": "a"}'
        FROM visitor v
        WHERE v.lead_id % 9 = 0
        UNION ALL
        -- a form for a guide or the newsletter makes the lead
        SELECT j.lead_id, f.kind, j.born_at - f.before, NULL, f.properties
        FROM journey j,
            LATERAL (VALUES
                ('form_view', interval '3 minutes', '{"form": "guide", "variant": "a"}'::jsonb),
                ('form_submit', interval '0', '{"form": "guide", "fields": 3}'),
                (pg_temp.pick(j.lead_id, 'magnet', 'newsletter_signup', 'content_download', 'content_download'), interval '-1 minute',
                    '{"content": "brewing guide", "intent": "educational"}')
            ) AS f (kind, before, properties)
        UNION ALL
        -- a letter every ten days; the interested open more of them
        SELECT j.lead_id, m.kind, j.born_at + j.pace * 10 * k + m.after, NULL, jsonb_build_object('message', 'letter ' || k)
        FROM journey j, generate_series(1, 12) k,
            LATERAL (VALUES
                ('email_sent', interval '0', 2.0),
                ('email_open', interval '3 hours', CASE j.fate WHEN 'iql' THEN 0.25 ELSE 0.45 END),
                ('email_click', interval '3 hours 1 minute', CASE j.fate WHEN 'iql' THEN 0.05 ELSE 0.15 END)
            ) AS m (kind, after, chance)
        WHERE j.consents AND j.born_at + j.pace * 10 * k + m.after < least(j.end_at, j.gone_at)
            AND pg_temp.draw(j.lead_id, 'letter' || k) < m.chance
        UNION ALL
        -- the odd visit in between
        SELECT j.lead_id, pg_temp.pick(j.lead_id, 'visit' || k, 'page_view', 'page_view', 'page_view', 'social_interaction',
                CASE j.market WHEN 'b2b' THEN 'page_view' ELSE 'cart_abandoned' END),
            j.born_at + j.pace * 120 * pg_temp.draw(j.lead_id, 'visit at' || k), NULL, '{"page": "/guides"}'
        FROM journey j, generate_series(1, 6) k
        WHERE j.born_at + j.pace * 120 * pg_temp.draw(j.lead_id, 'visit at' || k) < j.gone_at
        UNION ALL
        -- many a lead looks at a product, some even at a case study, and that was it
        SELECT j.lead_id, b.kind, j.mql_at, NULL, NULL
        FROM journey j,
            (VALUES ('product_page_view', 0.35), ('case_study_download', 0.10), ('pricing_view', 0.06)) AS b (kind, chance)
        WHERE j.fate = 'iql' AND pg_temp.draw(j.lead_id, 'glance' || b.kind) < b.chance
        UNION ALL
        -- others begin to look for a solution
        SELECT j.lead_id, b.kind, j.mql_at - b.before, NULL, b.properties
        FROM journey j,
            LATERAL (VALUES
                ('product_page_view', interval '2 hours', '{"page": "/machines/duo"}'::jsonb),
                ('product_page_view', interval '1 hour', '{"page": "/machines/uno"}'),
                (pg_temp.pick(j.lead_id, 'solution', 'case_study_download', 'case_study_download', 'content_download', 'webinar_attended', 'pricing_view'),
                    interval '0', '{"content": "coffee for 50", "intent": "solution"}')
            ) AS b (kind, before, properties)
        WHERE j.fate IN ('mql', 'customer', 'lost', 'recycled', 'prospect')
        UNION ALL
        -- and leads that will talk to sales ask for more
        SELECT j.lead_id, b.kind, j.sql_at - j.pace * b.before, NULL, NULL
        FROM journey j,
            LATERAL (VALUES
                ('case_study_download', 8.0),
                ('pricing_view', 5.0),
                ('product_page_view', 2.0),
                ('product_page_view', 1.0),
                (pg_temp.pick(j.lead_id, 'first ask', 'demo_request', 'webinar_attended', 'trial_started'), 1.0),
                (pg_temp.pick(j.lead_id, 'second ask', 'quote_request', 'personal_demo_request'), 0.01)
            ) AS b (kind, before)
        WHERE j.sells
        UNION ALL
        -- sales calls until the lead answers; a few leads never do and go back to marketing
        SELECT j.lead_id, 'outreach', j.sql_at + (j.contact_at - j.sql_at) * k / 5, NULL,
            jsonb_build_object('outcome', CASE k WHEN 4 THEN 'call back' ELSE 'no answer' END)
        FROM journey j, generate_series(1, 4) k
        WHERE j.sells AND pg_temp.draw(j.lead_id, 'calls') * 5 < k
        UNION ALL
        -- many agree on a meeting, and most come to it
        SELECT j.lead_id, m.kind, j.contact_at + m.after, NULL, jsonb_build_object('meeting_at', j.contact_at + interval '2 days')
        FROM journey j,
            LATERAL (VALUES ('meeting_booked', interval '0'),
                (CASE WHEN pg_temp.draw(j.lead_id, 'meets') < 0.8 THEN 'meeting_held' ELSE 'meeting_no_show' END, interval '2 days')) AS m (kind, after)
        WHERE j.sells AND pg_temp.draw(j.lead_id, 'answers') < 0.6 AND j.contact_at + interval '2 days' < j.end_at
        UNION ALL
        SELECT j.lead_id, 'outreach', j.end_at - interval '1 hour', NULL, '{"outcome": "no"}'
        FROM journey j
        WHERE j.fate = 'lost'
        UNION ALL
        SELECT j.lead_id, 'sales_contact', j.contact_at, NULL, NULL
        FROM journey j
        WHERE j.sells AND pg_temp.draw(j.lead_id, 'answers') < 0.97
        UNION ALL
        -- how it ends
        SELECT j.lead_id, o.kind, j.end_at, o.value, o.properties
        FROM journey j,
            LATERAL (VALUES
                ('purchase', round((CASE j.market WHEN 'b2b' THEN 900 + 9000 * power(pg_temp.draw(j.lead_id, 'value'), 2)
                    ELSE 250 + 600 * pg_temp.draw(j.lead_id, 'value') END)::numeric, 2), NULL::jsonb, 'customer'),
                ('lost', NULL, jsonb_build_object('reason', pg_temp.pick(j.lead_id, 'reason', 'price', 'price', 'competitor', 'no decision')), 'lost'),
                ('recycled', NULL, NULL, 'recycled')
            ) AS o (kind, value, properties, fate)
        WHERE o.fate = j.fate
        UNION ALL
        SELECT j.lead_id, 'recycled', j.end_at, NULL, NULL
        FROM journey j
        WHERE j.fate = 'prospect' AND pg_temp.draw(j.lead_id, 'answers') >= 0.97
        UNION ALL
        -- some buy again, and beans more often than machines
        SELECT j.lead_id, 'purchase', j.end_at + interval '45 days' * k, round((60 + 200 * pg_temp.draw(j.lead_id, 'beans' || k))::numeric, 2), NULL
        FROM journey j, generate_series(1, 6) k
        WHERE j.fate = 'customer' AND pg_temp.draw(j.lead_id, 'loyal') > k / 6.0
        UNION ALL
        -- a few send a machine back, others take beans every month
        SELECT j.lead_id, 'refund', j.end_at + interval '10 days', round((50 + 150 * pg_temp.draw(j.lead_id, 'back'))::numeric, 2), '{"reason": "broken"}'
        FROM journey j
        WHERE j.fate = 'customer' AND pg_temp.draw(j.lead_id, 'broken') < 0.05
        UNION ALL
        SELECT j.lead_id, CASE k WHEN 0 THEN 'subscription_started' ELSE 'subscription_renewed' END, j.end_at + interval '20 days' + interval '30 days' * k, 29, NULL
        FROM journey j, generate_series(0, 12) k
        WHERE j.fate = 'customer' AND pg_temp.draw(j.lead_id, 'beans every month') < 0.15 AND pg_temp.draw(j.lead_id, 'stays') * 15 > k
        UNION ALL
        SELECT j.lead_id, 'subscription_cancelled', j.end_at + interval '25 days' + interval '30 days' * ceil(pg_temp.draw(j.lead_id, 'stays') * 15 - 1), NULL, '{"reason": "moved"}'
        FROM journey j
        WHERE j.fate = 'customer' AND pg_temp.draw(j.lead_id, 'beans every month') < 0.15 AND pg_temp.draw(j.lead_id, 'stays') * 15 <= 12
        UNION ALL
        SELECT j.lead_id, 'stage_set', j.end_at + interval '60 days', NULL, '{"stage": "advocate", "reason": "recommends us"}'
        FROM journey j
        WHERE j.fate = 'customer' AND pg_temp.draw(j.lead_id, 'advocate') < 0.12
        UNION ALL
        -- of the recycled some come back
        SELECT j.lead_id, b.kind, j.end_at + interval '40 days', NULL, NULL
        FROM journey j, (VALUES ('product_page_view'), ('case_study_download'), ('pricing_view')) AS b (kind)
        WHERE j.fate = 'recycled' AND pg_temp.draw(j.lead_id, 'back') < 0.5
        UNION ALL
        -- some never were leads, some mql are lost to others
        SELECT j.lead_id, x.kind, j.gone_at, NULL, jsonb_build_object('reason', x.reason)
        FROM journey j,
            (VALUES ('iql', 'disqualified', 'no business'), ('mql', 'lost', 'competitor')) AS x (fate, kind, reason)
        WHERE j.fate = x.fate AND isfinite(j.gone_at)
    ) e
    WHERE e.occurred_at < :'today';

-- Leads were loaded before their events. So that the history of stages is in
-- the order in which it happened, replay it once.
SELECT crm.rebuild() \g /dev/null

-- Half of the visitors saw a new headline, by the hash; the demo gives it no effect.
INSERT INTO crm.experiment (experiment, salt, goal_stage, goal_within, expected_effect) VALUES ('headline', 'headline-1', 'iql', '30 days', 0.02);
INSERT INTO crm.variant (experiment, variant, position) VALUES ('headline', 'old', 1), ('headline', 'new', 2);
SELECT crm.start_experiment('headline', '2000-01-01') \g /dev/null
INSERT INTO crm.exposure SELECT e.lead_id, 'headline', crm.variant_by_id('headline', e.lead_id), min(e.occurred_at) FROM crm.event e WHERE e.kind = 'page_view' GROUP BY e.lead_id;
ANALYZE;

SELECT to_char((SELECT count(*) FROM crm.lead), 'FM999,999') AS visitors,
    to_char((SELECT count(*) FROM crm.lead WHERE consented_at IS NOT NULL), 'FM999,999') AS leads,
    to_char((SELECT count(*) FROM crm.event), 'FM999,999') AS events,
    to_char((SELECT count(*) FROM crm.stage_history), 'FM999,999') AS stage_changes,
    (SELECT min(occurred_at)::date || ' to ' || max(occurred_at)::date FROM crm.event) AS period,
    round(extract(epoch FROM clock_timestamp()) - :began) AS seconds;
