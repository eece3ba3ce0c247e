-- An online shop for tea: 400 days, many small orders, several markets.
--
-- Another shape than the demo. Every kind of event that counts here is the
-- shop's own and is known by its role alone; the model is the shop's own too,
-- and leads fall back when their points fade. Months are those of Rome, and not
-- of UTC. People buy without consent, skip stages, are parked and come back,
-- leave and return; events come late, are corrected and deleted.
--
-- Everything is drawn from md5, so it is the same whenever it is run on one day.
\set QUIET on
SET timezone = 'UTC';
SET client_min_messages = 'warning';

CREATE EXTENSION leadscore;
SELECT leadscore.create_pipeline('crm', preset => 'empty') \g /dev/null
UPDATE crm.setting SET time_zone = 'Europe/Rome', currency = 'CHF', mature_after = '60 days', first_response_within = '4 hours';

-- a number from 0 up to 1 that belongs to a lead and a question
CREATE FUNCTION pg_temp.draw(lead bigint, question text) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ('x' || left(md5(lead::text || question), 7))::bit(28)::int / 268435456.0::double precision;

CREATE FUNCTION pg_temp.pick(lead bigint, question text, VARIADIC answers text[]) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN answers[1 + floor(pg_temp.draw(lead, question) * cardinality(answers))];

-- the last midnight
SELECT date_trunc('day', now(), 'UTC') AS today \gset

-- What the shop calls what happens. gift_wrapped has a role that no report asks
-- for, and old_shop_ping is not known at all. What has no signal below scores
-- nothing. Signals ask for a kind, for several, or for a role.
INSERT INTO crm.event_role (role, note) VALUES ('gift', 'bought for somebody else');
INSERT INTO crm.event_kind (kind, role, note) VALUES
    ('shelf_view', 'visit', 'looked at a shelf (page)'),
    ('tea_view', 'visit', 'looked at a tea (page)'),
    ('club_joined', 'capture', 'joined the club'),
    ('sample_wanted', 'request', 'asked for samples'),
    ('recipe_taken', 'download', 'took a recipe (content)'),
    ('tasting', 'webinar', 'was at a tasting (content)'),
    ('ring', 'outreach', 'we rang them (outcome)'),
    ('chat', 'sales_contact', 'we spoke with them (outcome)'),
    ('tea_date', 'meeting_booked', 'will come for tea (meeting_at)'),
    ('came_for_tea', 'meeting_held', 'came for tea (outcome)'),
    ('stood_us_up', 'meeting_no_show', 'did not come for tea'),
    ('date_off', 'meeting_cancelled', 'will not come for tea'),
    ('tea_order', 'purchase', 'ordered tea (value: amount)'),
    ('tea_parcel', 'purchase', 'paid for the parcel of the month (value: amount)'),
    ('tea_back', 'refund', 'got money back (value: amount; purchase: name of the order)'),
    ('gone', 'lost', 'will not buy (reason)'),
    ('shelved', 'recycled', 'back to marketing'),
    ('hoax', 'disqualified', 'never was a lead'),
    ('gift_wrapped', 'gift', 'wanted it as a gift');

INSERT INTO crm.signal (signal, event_kinds, event_role, condition) VALUES
    ('view', '{shelf_view,tea_view}', NULL, NULL),
    ('club', '{club_joined}', NULL, NULL),
    ('sample', '{sample_wanted}', NULL, NULL),
    ('recipe', NULL, 'download', NULL),
    ('tasting', '{tasting}', NULL, NULL),
    ('click', NULL, 'email_click', NULL),
    ('contact', NULL, 'sales_contact', NULL),
    ('bought', NULL, 'purchase', '!($value < 0)'),
    ('large_order', '{tea_order}', NULL, '$value >= 200'),
    ('gone', '{gone}', NULL, NULL),
    ('shelved', NULL, 'recycled', NULL),
    ('hoax', NULL, 'disqualified', NULL);
INSERT INTO crm.signal (signal, source, condition) VALUES
    ('consented', 'profile', '$consented == true'),
    ('contactable', 'profile', '$email like_regex "@"'),
    ('taste', 'profile', '$.taste == true'),
    ('private', 'profile', '$market == "b2c"');

INSERT INTO crm.model (model, allow_demotion, demotion_margin) VALUES ('shop', true, 5);
INSERT INTO crm.dimension (model, dimension, position, max_points, reset_signals) VALUES ('shop', 'engagement', 1, 120, '{shelved}'), ('shop', 'fit', 2, NULL, '{}');
INSERT INTO crm.rule (model, rule, dimension, signal, points, limit_count, limit_period, decay, decay_period) VALUES
    ('shop', 'looked', 'engagement', 'view', 2, 3, 'day', 'window', '30 days'),
    ('shop', 'joined the club', 'engagement', 'club', 5, 1, 'ever', 'none', NULL),
    ('shop', 'asked for samples', 'engagement', 'sample', 25, NULL, NULL, 'window', '60 days'),
    ('shop', 'took a recipe', 'engagement', 'recipe', 10, NULL, NULL, 'half_life', '45 days'),
    ('shop', 'was at a tasting', 'engagement', 'tasting', 15, NULL, NULL, 'linear', '90 days'),
    ('shop', 'followed a link', 'engagement', 'click', 3, 2, 'day', 'half_life', '30 days'),
    ('shop', 'knows what it likes', 'fit', 'taste', 10, NULL, NULL, 'none', NULL);
INSERT INTO crm.grade (model, dimension, grade, min_points) VALUES ('shop', 'fit', 'A', 10), ('shop', 'fit', 'B', 0);
INSERT INTO crm.stage_rule (model, stage, only_if, min_score, entry_signals, sla) VALUES
    ('shop', 'iql', '', NULL, '{}', NULL),
    ('shop', 'mql', '', 20, '{}', NULL),
    ('shop', 'mql', 'private', 15, '{}', NULL),
    ('shop', 'sql', '', 40, '{}', '4 hours'),
    ('shop', 'prospect', '', NULL, '{contact}', NULL),
    ('shop', 'customer', '', NULL, '{bought}', NULL),
    ('shop', 'lost', '', NULL, '{gone}', NULL),
    ('shop', 'recycled', '', NULL, '{shelved}', NULL),
    ('shop', 'disqualified', '', NULL, '{hoax}', NULL);
INSERT INTO crm.stage_gate (model, stage, gate, signal) VALUES
    ('shop', 'iql', 'consent', 'consented'),
    ('shop', 'iql', 'contact', 'contactable'),
    ('shop', 'sql', 'taste', 'taste'),
    ('shop', 'sql', 'asked', 'sample'),
    ('shop', 'sql', 'asked', 'tasting');
SELECT crm.activate_model('shop') \g /dev/null

-- Segments, from the beginning: leads that want samples and have ordered
-- nothing, and a persona that few leads are all of.
INSERT INTO crm.segment (segment, persona, min_match_share, note) VALUES ('waits', false, 1, 'asked for samples, ordered nothing'), ('host', true, 0.6, 'has guests');
INSERT INTO crm.segment_condition (segment, condition, signal, within, negate, weight) VALUES
    ('waits', 'asked', 'sample', '30 days', false, 1), ('waits', 'no order', 'bought', NULL, true, 1), ('host', 'taste', 'taste', NULL, false, 1);
INSERT INTO crm.segment_condition (segment, condition, lead_condition, weight) VALUES ('host', 'inn', '$market == "b2b"', 2);
SELECT crm.activate_segment('waits'), crm.activate_segment('host') \g /dev/null

-- Sources: a campaign without a channel, one that goes the other way than its
-- channel, and one that nobody sourced. Leads name others that are in no table.
INSERT INTO crm.channel (channel, direction) VALUES ('marketplace', NULL);
INSERT INTO crm.campaign (campaign, channel, direction, sourcing) VALUES
    ('tea-search', 'seo', NULL, 'internal'),
    ('tea-stars', 'social', 'outbound', 'outsourced'),
    ('milan-fair', 'physical_event', NULL, 'outsourced'),
    ('tea-letter', 'email', 'inbound', 'internal'),
    ('friends-of-tea', 'referral', NULL, NULL),
    ('whispers', NULL, NULL, 'internal');

-- Costs: of a campaign, of a channel alone, of neither; of several months; a
-- cent; a credit note; one of a campaign on another channel than its own; and
-- perhaps one that was booked twice.
INSERT INTO crm.cost (day_from, day_to, channel, campaign, category, amount)
    SELECT d.day, d.day + 30, NULL, c.campaign, 'media', c.amount + m
    FROM (VALUES ('tea-search', 310.10), ('tea-stars', 199.99), ('tea-letter', 45)) c (campaign, amount),
        generate_series(0, 12) m, LATERAL (SELECT :'today'::date - 400 + 31 * m) AS d (day);
INSERT INTO crm.cost (day_from, day_to, channel, campaign, category, amount) VALUES
    (:'today'::date - 330, :'today'::date - 325, NULL, 'milan-fair', 'media', 4000),
    (:'today'::date - 300, :'today'::date - 61, 'seo', NULL, 'tools', 777.77),
    (:'today'::date - 200, :'today'::date - 100, 'email', 'tea-stars', 'media', 100),
    (:'today'::date - 100, :'today'::date - 20, NULL, NULL, NULL, 0.01),
    (:'today'::date - 90, :'today'::date - 90, NULL, 'milan-fair', 'media', -250),
    (:'today'::date - 400, :'today'::date - 1, NULL, NULL, 'wages', 36000),
    (:'today'::date - 40, :'today'::date - 40, 'radio', NULL, 'media', 120),
    (:'today'::date - 45, :'today'::date - 38, 'radio', NULL, 'media', 30);

-- The people, what becomes of them, and when.
CREATE TEMP TABLE person AS
    SELECT n AS lead_id, f.fate, s.channel, s.campaign,
        -- every hour of the day, so that days and months of Rome are not those of UTC
        :'today'::timestamptz - interval '400 days' + interval '1 day' * floor(399 * n / 2400.0)
            + interval '1 second' * floor(86400 * pg_temp.draw(n, 'hour')) AS came_at,
        CASE WHEN m.drawn < 0.2 THEN NULL WHEN m.drawn < 0.5 THEN 'b2b' ELSE 'b2c' END AS market
    FROM generate_series(1, 2400) n,
        LATERAL (SELECT pg_temp.draw(n, 'market')) AS m (drawn),
        LATERAL (SELECT pg_temp.draw(n, 'fate')) AS d (drawn),
        LATERAL (SELECT CASE
            WHEN d.drawn < 0.36 THEN 'passer-by' WHEN d.drawn < 0.40 THEN 'silent'
            WHEN d.drawn < 0.58 THEN 'reader' WHEN d.drawn < 0.70 THEN 'taster'
            WHEN d.drawn < 0.80 THEN 'asker' WHEN d.drawn < 0.92 THEN 'buyer'
            WHEN d.drawn < 0.95 THEN 'stranger' ELSE 'quick' END) AS f (fate),
        LATERAL (SELECT pg_temp.draw(n, 'source')) AS o (drawn),
        LATERAL (SELECT
            CASE WHEN o.drawn < 0.15 THEN 'seo' WHEN o.drawn < 0.22 THEN 'marketplace' WHEN o.drawn < 0.27 THEN 'parrot' WHEN o.drawn < 0.32 THEN 'social' END,
            CASE WHEN o.drawn BETWEEN 0.10 AND 0.15 THEN 'tea-search' WHEN o.drawn < 0.27 THEN NULL
                WHEN o.drawn < 0.50 THEN 'tea-search' WHEN o.drawn < 0.65 THEN 'tea-stars' WHEN o.drawn < 0.70 THEN 'milan-fair'
                WHEN o.drawn < 0.78 THEN 'friends-of-tea' WHEN o.drawn < 0.83 THEN 'whispers' WHEN o.drawn < 0.86 THEN 'a blog' END
        ) AS s (channel, campaign);
-- consent, warm, hot, contact, first order
ALTER TABLE person ADD born_at timestamptz, ADD warm_at timestamptz, ADD hot_at timestamptz, ADD contact_at timestamptz, ADD order_at timestamptz;
UPDATE person SET born_at = came_at + interval '1 minute' * floor(10 * 1440 * power(pg_temp.draw(lead_id, 'born'), 3));
UPDATE person SET warm_at = born_at + interval '1 minute' * floor(12 * 1440 * pg_temp.draw(lead_id, 'warm'));
UPDATE person SET hot_at = warm_at + interval '1 minute' * floor(15 * 1440 * pg_temp.draw(lead_id, 'hot'));
UPDATE person SET contact_at = hot_at + interval '1 minute' * floor(1 + 1440 * power(pg_temp.draw(lead_id, 'contact'), 3));
UPDATE person SET order_at = CASE fate WHEN 'buyer' THEN contact_at + interval '1 minute' * floor(30 * 1440 * pg_temp.draw(lead_id, 'order'))
    ELSE born_at + interval '1 minute' END;
ANALYZE person;

-- Leads as they were at first, and consent, address and taste when they came.
INSERT INTO crm.lead (lead_id, external_id, kind, email, organization, market, country, channel, campaign, owner, persona, consented_at, referred_by, created_at, updated_at)
    SELECT p.lead_id, CASE WHEN p.lead_id % 7 > 0 THEN 'guest-' || p.lead_id END,
        CASE WHEN p.market = 'b2b' AND p.lead_id % 11 = 0 THEN 'organization' ELSE 'person' END,
        -- the silent were taken over from a list, half of them with consent
        CASE WHEN p.fate = 'silent' THEN 'old' || p.lead_id || '@list.example' END,
        CASE WHEN p.market = 'b2b' THEN 'Inn ' || (p.lead_id * 13) % 90 END,
        p.market, ('{IT,IT,IT,ES,ES,DE,FR,NULL}'::text[])[1 + p.lead_id * 5 % 8], p.channel, p.campaign,
        CASE WHEN p.lead_id % 3 > 0 THEN 'seller ' || p.lead_id % 4 END,
        CASE WHEN p.lead_id % 5 > 0 THEN pg_temp.pick(p.lead_id, 'persona', 'gourmet', 'innkeeper', 'giver') END,
        CASE WHEN p.fate = 'silent' AND p.lead_id % 2 = 0 THEN p.came_at END,
        CASE WHEN p.campaign = 'friends-of-tea' THEN nullif(1 + p.lead_id / 2, p.lead_id) END, p.came_at, p.came_at
    FROM person p
    ORDER BY p.lead_id;
UPDATE crm.lead l SET email = 'guest' || l.lead_id || '@tea.example', consented_at = p.born_at, updated_at = p.born_at,
        contact_allowed = pg_temp.draw(l.lead_id, 'letters') < 0.8
    FROM person p
    WHERE p.lead_id = l.lead_id AND p.fate IN ('reader', 'taster', 'asker', 'buyer', 'quick') AND p.born_at < :'today';
-- an app that sends what the signal taste cannot compare
UPDATE crm.lead SET profile = '{"taste": "sweet"}' WHERE lead_id % 60 = 7;
UPDATE crm.lead l SET profile = '{"taste": true}', updated_at = p.hot_at
    FROM person p
    WHERE p.lead_id = l.lead_id AND p.hot_at < :'today' AND (p.fate = 'asker' OR p.fate = 'buyer' AND p.lead_id % 4 > 0);
SELECT setval('crm.lead_lead_id_seq', 2400) \g /dev/null

-- What they did: one in ten of these events, and some orders, are told later.
CREATE TEMP TABLE deed AS
    SELECT e.*, row_number() OVER (ORDER BY e.lead_id, e.at, e.kind, e.n) AS deed
    FROM (
        SELECT p.lead_id, pg_temp.pick(p.lead_id, 'look' || k, 'shelf_view', 'shelf_view', 'tea_view', 'page_view') AS kind,
            p.came_at + interval '7 minutes' * k AS at, k AS n, NULL::numeric AS value,
            CASE WHEN k = 0 AND p.lead_id % 4 > 0 THEN p.channel END AS channel, CASE WHEN k = 0 THEN p.campaign END AS campaign,
            ('[{"page": "/green?from=mail"}, {"page": "/black"}, {"page": "/black#oolong", "topic": "oolong"}, {}, {"page": "/"}]'::jsonb) -> ((p.lead_id + k) % 5)::int
                || CASE WHEN (p.lead_id + k) % 5 = 4 THEN jsonb_build_object('variant', CASE WHEN p.lead_id % 2 = 0 THEN 'new' ELSE 'control' END) ELSE '{}' END AS properties
        FROM person p, generate_series(0, p.lead_id % 4) k
        WHERE p.fate <> 'silent' AND p.lead_id % 13 > 0
        UNION ALL
        -- touches in between, of several sources
        SELECT p.lead_id, pg_temp.pick(p.lead_id, 'touch' || k, 'shelf_view', 'social_interaction', 'old_shop_ping', 'gift_wrapped'),
            p.came_at + interval '1 hour' * floor(60 * 24 * pg_temp.draw(p.lead_id, 'touch at' || k)), k, NULL,
            pg_temp.pick(p.lead_id, 'touch by' || k, 'social', 'seo', 'email', 'marketplace', NULL, 'parrot'),
            pg_temp.pick(p.lead_id, 'touch for' || k, 'tea-stars', 'tea-search', 'whispers', NULL, NULL, 'a blog'), NULL
        FROM person p, generate_series(1, 5) k
        WHERE pg_temp.draw(p.lead_id, 'touched' || k) < 0.35
        UNION ALL
        -- forms: two variants of one, of which half do not say the variant
        SELECT p.lead_id, f.kind, p.born_at - f.before, 0, NULL, NULL, NULL, f.properties
        FROM person p, LATERAL (VALUES
            ('form_view', interval '4 minutes', jsonb_build_object('form', 'club', 'variant', CASE WHEN p.lead_id % 2 = 0 THEN 'short' ELSE 'long' END)),
            ('form_submit', interval '0', jsonb_build_object('form', 'club', 'fields', 2 + 3 * (p.lead_id % 2))
                || CASE WHEN p.lead_id % 3 = 0 THEN jsonb_build_object('variant', CASE WHEN p.lead_id % 2 = 0 THEN 'short' ELSE 'long' END) ELSE '{}' END),
            ('club_joined', interval '-1 minute', NULL)) AS f (kind, before, properties)
        WHERE p.fate IN ('reader', 'taster', 'asker', 'buyer') AND (f.kind <> 'form_submit' OR p.lead_id % 5 > 0)
            OR p.fate = 'passer-by' AND p.lead_id % 6 = 0 AND f.kind = 'form_view'
        UNION ALL
        -- letters, each to two groups
        SELECT p.lead_id, m.kind, p.born_at + interval '9 days' * k + m.after, k, NULL,
            CASE m.kind WHEN 'email_click' THEN 'email' END, CASE m.kind WHEN 'email_click' THEN 'tea-letter' END,
            jsonb_build_object('message', 'letter ' || k, 'variant', CASE WHEN p.lead_id % 3 = 0 THEN 'control' ELSE 'haiku' END)
        FROM person p, generate_series(1, 6) k, (VALUES ('email_sent', interval '0', 1.0), ('email_open', interval '2 hours', 0.4),
            ('email_click', interval '3 hours', 0.15), ('email_reply', interval '5 hours', 0.03)) AS m (kind, after, chance)
        WHERE p.fate IN ('reader', 'taster', 'asker', 'buyer') AND pg_temp.draw(p.lead_id, m.kind || k) < m.chance
        UNION ALL
        -- they warm up, and some ask
        SELECT p.lead_id, w.kind, p.warm_at + w.after, 0, NULL, NULL, NULL, w.properties
        FROM person p, (VALUES ('tea_view', interval '0', '{"page": "/green/sencha"}'::jsonb), ('recipe_taken', interval '10 minutes', '{"content": "iced tea"}'),
            ('recipe_taken', interval '11 minutes', '{"content": "chai"}'), ('tasting', interval '1 day', NULL)) AS w (kind, after, properties)
        WHERE p.fate IN ('taster', 'asker', 'buyer') AND (w.kind <> 'tasting' OR p.lead_id % 3 = 0)
        UNION ALL
        SELECT p.lead_id, 'sample_wanted', p.hot_at + interval '1 minute' * k, k, NULL, NULL, NULL, '{"form": "samples"}'
        FROM person p, generate_series(0, p.lead_id % 2) k
        WHERE p.fate IN ('asker', 'buyer')
        UNION ALL
        -- sales rings, some before the lead is hot, and speaks with many
        SELECT p.lead_id, 'ring', p.hot_at + interval '1 minute' * (floor(600 * pg_temp.draw(p.lead_id, 'ring' || k)) - 120), k, NULL, NULL, NULL,
            jsonb_build_object('outcome', pg_temp.pick(p.lead_id, 'said' || k, 'no', 'No', 'later', 'nobody there'))
        FROM person p, generate_series(1, p.lead_id % 8) k
        WHERE p.fate IN ('asker', 'buyer') OR p.fate = 'taster' AND p.lead_id % 9 = 0
        UNION ALL
        -- and some when they have joined the club
        SELECT p.lead_id, 'ring', p.born_at + interval '1 minute' * (1 + floor(700 * pg_temp.draw(p.lead_id, 'welcome'))), 70, NULL, NULL, NULL, '{"outcome": "later"}'
        FROM person p
        WHERE p.fate IN ('reader', 'taster', 'asker', 'buyer') AND p.lead_id % 6 = 2
        UNION ALL
        SELECT p.lead_id, 'chat', p.contact_at, 0, NULL, NULL, NULL, NULL
        FROM person p
        WHERE p.fate IN ('asker', 'buyer') AND p.lead_id % 5 > 0
        UNION ALL
        -- orders, mostly small and often again; of some the amount is not known
        SELECT p.lead_id, 'tea_order', p.order_at + interval '1 minute' * floor(k * (8000 + 40000 * pg_temp.draw(p.lead_id, 'pace'))), k,
            CASE WHEN pg_temp.draw(p.lead_id, 'paid' || k) >= 0.03
                THEN round((12 + 60 * pg_temp.draw(p.lead_id, 'basket' || k) + CASE WHEN p.market = 'b2b' THEN 250 * pg_temp.draw(p.lead_id, 'bulk') ELSE 0 END)::numeric, 2) END,
            CASE WHEN p.lead_id % 6 = 0 THEN 'marketplace' END, NULL, NULL
        FROM person p, generate_series(0, 12) k
        WHERE p.fate IN ('buyer', 'stranger', 'quick') AND k <= floor(14 * power(pg_temp.draw(p.lead_id, 'loyal'), 2))
        UNION ALL
        SELECT p.lead_id, 'tea_parcel', p.order_at + interval '30 days' * k, k, 19.90, NULL, NULL, '{"months": 1}'
        FROM person p, generate_series(1, 6) k
        WHERE p.fate = 'buyer' AND p.lead_id % 4 = 0
        UNION ALL
        -- some customers leave, by themselves or by hand, and half of them come back
        SELECT p.lead_id, CASE WHEN p.lead_id % 3 = 0 THEN 'stage_set' ELSE 'gone' END, p.order_at + interval '70 days', 0, NULL, NULL, NULL, '{"stage": "lost", "reason": "left"}'
        FROM person p
        WHERE p.fate IN ('buyer', 'quick', 'stranger') AND p.lead_id % 4 = 1
        UNION ALL
        SELECT p.lead_id, 'tea_order', p.order_at + interval '110 days', 99, 21, 'email', 'tea-letter', NULL
        FROM person p
        WHERE p.fate IN ('buyer', 'quick', 'stranger') AND p.lead_id % 8 = 1
        UNION ALL
        -- some recommend the shop, even such as never were leads
        SELECT p.lead_id, 'stage_set', p.order_at + interval '40 days', 1, NULL, NULL, NULL, '{"stage": "advocate"}'
        FROM person p
        WHERE p.fate IN ('buyer', 'stranger', 'quick') AND p.lead_id % 10 = 3
        UNION ALL
        -- how it ends for others
        SELECT p.lead_id, x.kind, p.contact_at + interval '1 day' * x.days, 0, NULL, NULL, NULL, '{"reason": "price"}'
        FROM person p, (VALUES ('asker', 'gone', 12, 3, 0), ('taster', 'shelved', 20, 3, 1), ('asker', 'shelved', 9, 3, 1), ('reader', 'hoax', 30, 20, 0),
            ('taster', 'gone', 50, 7, 2)) AS x (fate, kind, days, every, rest)
        WHERE x.fate = p.fate AND p.lead_id % x.every = x.rest
        UNION ALL
        -- of the shelved many come back, and some are shelved again and come back again
        SELECT p.lead_id, b.kind, p.contact_at + interval '1 day' * b.days, 50 + b.days, NULL, b.channel, NULL, NULL
        FROM person p, (VALUES ('tasting', 45, 'physical_event', 2), ('sample_wanted', 46, NULL, 2), ('shelved', 80, NULL, 4), ('sample_wanted', 100, 'seo', 4),
            ('sample_wanted', 200, NULL, 2)) AS b (kind, days, channel, every)
        WHERE p.fate IN ('taster', 'asker') AND p.lead_id % 3 = 1 AND p.lead_id % b.every = 0
        UNION ALL
        -- points have faded since, and here is a new beginning without an exit
        SELECT p.lead_id, b.kind, p.hot_at + interval '1 day' * b.days, 60 + b.days, NULL, NULL, 'tea-letter', NULL
        FROM person p, (VALUES ('taster', 'sample_wanted', 130, 3), ('asker', 'sample_wanted', 90, 7), ('asker', 'tasting', 91, 7)) AS b (fate, kind, days, every)
        WHERE b.fate = p.fate AND p.lead_id % b.every = 0
        UNION ALL
        -- stages by hand: an asker that sales takes for an mql only
        SELECT p.lead_id, 'stage_set', p.hot_at + interval '2 days', 2, NULL, NULL, NULL, '{"stage": "mql"}'
        FROM person p
        WHERE p.fate = 'asker' AND p.lead_id % 15 = 2
    ) e
    WHERE e.at < :'today';
INSERT INTO crm.event (lead_id, kind, occurred_at, recorded_at, value, channel, campaign, properties, source_id)
    SELECT d.lead_id, d.kind, d.at, d.at, d.value, d.channel, d.campaign, d.properties, 'deed-' || d.deed
    FROM deed d
    WHERE pg_temp.draw(d.deed, 'late') >= 0.1
    ORDER BY md5(d.deed::text);
INSERT INTO crm.event (lead_id, kind, occurred_at, recorded_at, value, channel, campaign, properties, source_id)
    SELECT d.lead_id, d.kind, d.at, d.at + interval '3 days', d.value, d.channel, d.campaign, d.properties, 'deed-' || d.deed
    FROM deed d
    WHERE pg_temp.draw(d.deed, 'late') < 0.1;

-- Corrections. Amounts and days of orders, over the ends of months; orders that
-- were none; orders, visits and requests that are taken back; a lead that asks to
-- be forgotten; consent that is taken back and, by some, given again.
UPDATE crm.event SET value = value + 5 WHERE kind = 'tea_order' AND event_id % 17 = 0;
UPDATE crm.event SET occurred_at = occurred_at - interval '20 days' WHERE kind = 'tea_order' AND event_id % 19 = 0;
UPDATE crm.event SET kind = 'gift_wrapped', value = NULL WHERE kind = 'tea_order' AND event_id % 23 = 0;
DELETE FROM crm.event WHERE kind IN ('tea_order', 'shelf_view', 'sample_wanted', 'chat') AND event_id % 29 = 0;
DELETE FROM crm.lead WHERE lead_id % 97 = 5;
UPDATE crm.lead SET consented_at = NULL, updated_at = :'today'::timestamptz - interval '30 days' WHERE consented_at < :'today'::timestamptz - interval '45 days' AND lead_id % 41 = 0;
UPDATE crm.lead SET consented_at = :'today'::timestamptz - interval '10 days', updated_at = :'today'::timestamptz - interval '10 days' WHERE email IS NOT NULL AND consented_at IS NULL AND lead_id % 82 = 0;
-- strangers that consent at last, months after their first order
UPDATE crm.lead l SET consented_at = p.order_at + interval '20 days', email = 'late' || l.lead_id || '@tea.example', updated_at = p.order_at + interval '20 days'
    FROM person p WHERE p.lead_id = l.lead_id AND p.fate = 'stranger' AND p.lead_id % 2 = 1 AND p.order_at + interval '20 days' < :'today';
-- told twice
SELECT * FROM crm.track_many((SELECT jsonb_agg(jsonb_build_object('external_id', l.external_id, 'kind', e.kind, 'occurred_at', e.occurred_at, 'value', e.value, 'source_id', e.source_id))
    FROM (SELECT * FROM crm.event WHERE kind = 'tea_order' ORDER BY event_id LIMIT 20) e JOIN crm.lead l USING (lead_id) WHERE l.external_id IS NOT NULL)) \g /dev/null

-- Some come for tea: by appointment, to the day or to the minute, or without one;
-- some twice, some never; and some have yet to come.
CREATE TEMP TABLE tea_time AS
    SELECT p.lead_id, k, p.contact_at + interval '1 hour' + interval '5 days' * k AS booked_at,
        interval '1 minute' * floor(20000 * pg_temp.draw(p.lead_id, 'tea' || k)) AS ahead, pg_temp.draw(p.lead_id, 'came' || k) AS drawn
    FROM person p, generate_series(0, (p.lead_id % 7 / 3)::int) k
    WHERE p.fate IN ('asker', 'buyer') AND p.lead_id % 2 = 0 AND EXISTS (SELECT FROM crm.lead l WHERE l.lead_id = p.lead_id);
INSERT INTO crm.event (lead_id, kind, occurred_at, properties)
    SELECT t.lead_id, 'tea_date', t.booked_at, jsonb_build_object('meeting_at', CASE WHEN t.drawn < 0.1 THEN 'soon' WHEN t.drawn < 0.3 THEN to_char(t.booked_at + t.ahead + interval '1 day', 'YYYY-MM-DD')
        ELSE to_char(t.booked_at + t.ahead, 'YYYY-MM-DD"T"HH24:MI:SS"Z"') END)
    FROM tea_time t WHERE t.lead_id % 5 > 0 AND t.booked_at < :'today'
    UNION ALL
    SELECT t.lead_id, CASE WHEN t.drawn < 0.6 THEN 'came_for_tea' WHEN t.drawn < 0.75 THEN 'stood_us_up' ELSE 'date_off' END, t.booked_at + t.ahead, '{"outcome": "no"}'
    FROM tea_time t WHERE t.drawn < 0.85 AND t.booked_at + t.ahead < :'today';

-- Money back: of an order that is named, of the last one, a part or all of it,
-- twice, as an order with a negative amount, and of an order that is not there.
-- It comes days after the order, often in another month.
INSERT INTO crm.event (lead_id, kind, occurred_at, value, properties, source_id)
    SELECT e.lead_id, b.kind, e.occurred_at + b.after, round(b.part * e.value, 2), CASE WHEN b.named THEN jsonb_build_object('purchase', e.source_id) END, 'back-' || e.event_id || '-' || b.every || '-' || b.rest
    FROM crm.event e
        JOIN (VALUES ('tea_back', 0, 37, interval '9 days', 1.0, true), ('tea_back', 1, 37, '20 days', 0.25, true), ('tea_back', 2, 37, '1 day', NULL, true), ('tea_back', 2, 74, '2 days', 0.5, true),
            ('tea_back', 3, 37, '1 hour', 0.5, false), ('tea_order', 4, 37, '2 hours', -0.75, false)) AS b (kind, rest, every, after, part, named)
            ON e.event_id % b.every = b.rest
    WHERE e.kind IN ('tea_order', 'tea_parcel') AND e.occurred_at < :'today'::timestamptz - interval '25 days';
INSERT INTO crm.event (lead_id, kind, occurred_at, value, properties)
    SELECT lead_id, 'tea_back', :'today'::timestamptz - interval '2 days', 10, '{"purchase": "no such order"}' FROM crm.lead WHERE lead_id IN (100, 101, 102);

-- Odd amounts and instants, which must not count as money or days.
INSERT INTO crm.event (lead_id, kind, occurred_at, value)
    SELECT l.lead_id, 'tea_order', o.at, o.value
    FROM (SELECT lead_id, row_number() OVER (ORDER BY lead_id) AS n FROM person WHERE fate = 'stranger') l
        JOIN (VALUES (3, :'today'::timestamptz - interval '1 day', 'NaN'::numeric), (4, :'today'::timestamptz - interval '2 days', 1e15), (5, 'infinity', 50), (6, :'today'::timestamptz - interval '3 days', 0)) AS o (n, at, value) USING (n);

-- Dated ahead: an order of next week, a talk of tomorrow, some of them with sql
-- that wait for it, and what is to happen at the end of this day.
INSERT INTO crm.event (lead_id, kind, occurred_at)
    SELECT lead_id, 'chat', :'today'::timestamptz + interval '30 hours' FROM crm.lead_state WHERE stage = 'sql' AND lead_id % 2 = 0;
-- and an sql of this moment, in whose four hours the test is
UPDATE crm.lead SET consented_at = now(), email = 'now@tea.example', profile = '{"taste": true}', updated_at = now() WHERE lead_id IN (2201, 2205);
INSERT INTO crm.event (lead_id, kind, occurred_at) SELECT l.lead_id, e.kind, now() + e.after FROM crm.lead l, (VALUES ('sample_wanted', interval '0'), ('sample_wanted', interval '0'), ('chat', interval '20 hours')) AS e (kind, after) WHERE l.lead_id IN (2201, 2205);
INSERT INTO crm.event (lead_id, kind, occurred_at, value, channel)
    SELECT l.lead_id, a.kind, :'today'::timestamptz + a.ahead, a.value, 'email'
    FROM (SELECT lead_id, fate, row_number() OVER (PARTITION BY fate ORDER BY CASE fate WHEN 'buyer' THEN lead_id ELSE -lead_id END) AS n
            FROM person WHERE lead_id < 2300 AND fate IN ('reader', 'buyer', 'asker')) l
        JOIN (VALUES ('buyer', 'tea_order', interval '7 days', 33), ('asker', 'tea_order', interval '5 days', 44), ('asker', 'chat', interval '30 hours', NULL),
            ('reader', 'tasting', interval '23:59:50', NULL), ('reader', 'tea_view', interval '23:59:51', NULL), ('reader', 'recipe_taken', interval '23:59:51', NULL)) AS a (fate, kind, ahead, value) USING (fate)
    WHERE l.n <= 4;

SELECT crm.sweep() \g /dev/null
ANALYZE;

-- What is offered, to leads of which stage.
INSERT INTO crm.content (content, kind, topic, stage) VALUES ('chai', 'ebook', NULL, 'iql'), ('tea samples', 'sample', 'oolong', 'mql'), ('ten percent', 'discount', NULL, 'sql');

-- Letters 2 and 3 to leads with an even number were steps of a sequence, to some
-- of them a third one was not. What is to be done: every third sql is to be rung
-- up today, the next ones later; every fifth mql is worth a look.
INSERT INTO crm.sequence (sequence, starts_on, goal_stage) VALUES ('letters', 'by_hand', 'customer');
INSERT INTO crm.sequence_step (sequence, step, position, channel, content) SELECT 'letters', 'letter ' || i, i, 'email', 'letter ' || i FROM generate_series(2, 4) i;
SELECT crm.activate_sequence('letters'), crm.pause_sequence('letters') \g /dev/null
INSERT INTO crm.enrollment (lead_id, sequence, run, started_by, started_at, ended_at, end_reason)
    SELECT e.lead_id, 'letters', 1, 'by_hand', min(e.occurred_at), max(e.occurred_at) + interval '2 days', CASE e.lead_id % 6 WHEN 0 THEN 'goal' WHEN 2 THEN 'completed' ELSE 'exited' END
    FROM crm.event e WHERE e.kind = 'email_sent' AND e.properties ->> 'message' IN ('letter 2', 'letter 3') AND e.lead_id % 2 = 0 GROUP BY 1;
INSERT INTO crm.action (lead_id, dedup_key, channel, content, variant, sequence, run, step, due_at, status, ended_at)
    SELECT e.lead_id, 'letters/1/' || (e.properties ->> 'message'), 'email', e.properties ->> 'message', e.properties ->> 'variant', 'letters', 1, e.properties ->> 'message', e.occurred_at, 'done', e.occurred_at
    FROM crm.event e WHERE e.kind = 'email_sent' AND e.properties ->> 'message' IN ('letter 2', 'letter 3') AND e.lead_id % 2 = 0 ON CONFLICT DO NOTHING;
UPDATE crm.event e SET source_id = 'action:' || a.action_id FROM crm.action a WHERE a.lead_id = e.lead_id AND a.content = e.properties ->> 'message' AND a.ended_at = e.occurred_at AND e.kind = 'email_sent';
INSERT INTO crm.action (lead_id, dedup_key, channel, content, sequence, run, step, due_at, status, reason, ended_at)
    SELECT n.lead_id, 'letters/1/letter 4', 'email', 'letter 4', 'letters', 1, 'letter 4', n.ended_at, 'skipped', CASE WHEN n.lead_id % 4 = 0 THEN 'no consent' ELSE 'late' END, n.ended_at
    FROM crm.enrollment n WHERE n.lead_id % 10 < 5;
INSERT INTO crm.action (lead_id, dedup_key, kind, channel, content, due_at)
    SELECT s.lead_id, 'app:ring', 'task', 'phone', 'ring up', :'today'::timestamptz + CASE s.lead_id % 3 WHEN 1 THEN interval '3 days' ELSE '0' END FROM crm.lead_state s WHERE s.stage = 'sql' AND s.lead_id % 3 < 2;
INSERT INTO crm.action (lead_id, dedup_key, kind, channel, content, due_at)
    SELECT s.lead_id, 'app:look', 'alert', 'team', 'worth a look', :'today'::timestamptz + CASE s.lead_id % 2 WHEN 1 THEN interval '3 days' ELSE '0' END FROM crm.lead_state s WHERE s.stage = 'mql' AND s.lead_id % 5 = 0;
INSERT INTO crm.stage_action (stage, segment, action) VALUES ('iql', 'waits', 'ask how the samples were'), ('iql', NULL, 'send a recipe'), ('customer', NULL, 'ask how it tasted');

-- Half of the people that looked at a tea saw it on a new shelf.
INSERT INTO crm.experiment (experiment, salt, goal_stage, goal_within) VALUES ('shelf', 'shelf', 'customer', '60 days');
INSERT INTO crm.variant (experiment, variant, position) VALUES ('shelf', 'old', 1), ('shelf', 'new', 2);
SELECT crm.start_experiment('shelf', '2000-01-01') \g /dev/null
INSERT INTO crm.exposure SELECT e.lead_id, 'shelf', CASE e.lead_id % 2 WHEN 0 THEN 'new' ELSE 'old' END, min(e.occurred_at) FROM crm.event e WHERE e.kind = 'tea_view' AND e.occurred_at BETWEEN '2000-01-01' AND now() GROUP BY e.lead_id;
-- the web shop, which sells nothing yet
CREATE TABLE public.web_order (id bigint PRIMARY KEY, email text, paid_at timestamptz, amount numeric);
SELECT leadscore.track_table('crm', 'public.web_order', lead => 'email', kind => 'purchase', occurred_at => 'paid_at', value => 'amount') \g /dev/null
-- what a score was worth in the first part of the time
SELECT crm.calibrate_model(horizon => '28 days') \g /dev/null
ANALYZE;
