--
-- Money: costs, attribution, value, forecast; an empty pipeline; against plain SQL
--
\getenv srcdir PG_ABS_SRCDIR
\set data :srcdir '/test/oracle/metrics.sql'
SET timezone = 'Asia/Kathmandu';
SELECT leadscore.create_pipeline('empty') \g /dev/null
SET search_path = empty, empty_reports, leadscore, leadscore_internal;

-- An empty pipeline has its rows, no rates, and no division by zero
SELECT channel, direction, campaign, cost_amount, leads, customers, cost_per_lead_amount, cost_per_customer_amount FROM cost_per_lead ORDER BY 1;
SELECT model, count(*), sum(revenue_amount) AS revenue, sum(cost_amount) AS cost, count(roas) AS rates FROM roas GROUP BY 1 ORDER BY 1;
SELECT count(*), count(profit_amount), count(roi) FROM roas;
SELECT stage, stage_rank, leads, customers, customer_rate, revenue_amount, value_per_lead_amount, ratio_to_iql, benchmark_low, benchmark_high, benchmark_status FROM value_by_stage ORDER BY stage_rank;
SELECT stage, entered, matured, converted, customer_rate, low_rate, high_rate, leads_now FROM stage_to_customer ORDER BY stage_rank;
SELECT stage, stage_rank, leads_now, customer_rate, expected_customers, low_customers, high_customers, customer_amount, forecast_amount, low_amount, high_amount FROM pipeline_forecast ORDER BY stage_rank;
SELECT * FROM required_leads(10);
SELECT comparison, segment, cost_amount, leads, cost_per_lead_amount, lead_to_sql_rate, revenue_amount, roi FROM sourcing_comparison ORDER BY place;
SELECT (SELECT count(*) FROM purchases), (SELECT count(*) FROM cost_by_month), (SELECT count(*) FROM customer_lifetime_value), (SELECT count(*) FROM customer_retention), (SELECT count(*) FROM attribution('last'));
-- refused arguments
SELECT * FROM attribution('u_shaped');
SELECT * FROM attribution(NULL);
SELECT * FROM required_leads(-1);
SELECT * FROM required_leads(NULL);
-- a cost without leads, and a lead without a cost
INSERT INTO cost (day_from, day_to, channel, amount) VALUES ('2025-01-31', '2025-02-01', 'seo', 0.01), ('2025-01-01', '2025-01-31', 'seo', 0);
INSERT INTO lead (email, channel, consented_at, created_at) VALUES ('a@b', 'radio', '2025-01-15', '2025-01-15');
SELECT calendar_month, channel, cost_amount, leads, cost_per_lead_amount FROM cost_per_lead WHERE channel IN ('seo', 'radio') ORDER BY 1, 2;
SELECT channel, roas, cost_amount FROM roas WHERE model = 'first' AND channel IN ('seo', 'radio') ORDER BY 1;
-- odd amounts count as unknown
INSERT INTO event (lead_id, kind, occurred_at, value) SELECT lead_id, 'purchase', timestamptz '2025-02-01 00:00Z', v
    FROM lead, unnest('{NaN,Infinity,-Infinity,1e30,1e12,999999999999.99,999999999999.99,NULL,-5}'::numeric[]) v;
INSERT INTO event (lead_id, kind, occurred_at, value) SELECT lead_id, 'purchase', 'infinity', 7 FROM lead;
SELECT purchase_amount, count(*) FROM purchases GROUP BY 1 ORDER BY 1;
SELECT customers, purchases, revenue_amount, lifetime_value_amount FROM customer_lifetime_value;
SELECT stage, revenue_amount FROM value_by_stage WHERE leads > 0 ORDER BY stage_rank;
SELECT forecast_amount, low_amount, high_amount FROM pipeline_forecast ORDER BY stage_rank;
SELECT sum(revenue_amount) FROM roas WHERE model = 'linear' AND revenue_amount IS NOT NULL;
DROP SCHEMA empty, empty_reports CASCADE;

-- Attribution by hand: touches 28, 14 and 7 days before and on the day of a
-- purchase of 100.01; one touch; two touches; none but the origin; none at all
SELECT create_pipeline('hand') \g /dev/null
SET search_path = hand, hand_reports, leadscore, leadscore_internal;
INSERT INTO campaign (campaign, channel) VALUES ('spring', 'seo');
INSERT INTO lead (lead_id, channel, created_at) VALUES (1, 'social', '2025-01-01 12:00Z'), (2, 'radio', '2025-01-01 12:00Z'), (3, 'social', '2025-01-01 12:00Z'),
    (4, 'press', '2025-01-01 12:00Z'), (5, NULL, '2025-01-01 12:00Z'), (6, NULL, '2025-01-01 12:00Z');
INSERT INTO event (event_id, lead_id, kind, occurred_at, channel, campaign, value) VALUES
    (11, 1, 'page_view', '2025-01-01 12:00Z', 'social', NULL, NULL),
    (12, 1, 'page_view', '2025-01-15 12:00Z', NULL, 'spring', NULL),
    (13, 1, 'email_sent', '2025-01-16 12:00Z', 'email', NULL, NULL),
    (14, 1, 'page_view', '2025-01-17 12:00Z', NULL, NULL, NULL),
    (15, 1, 'email_click', '2025-01-22 12:00Z', 'email', NULL, NULL),
    (16, 1, 'never heard of', '2025-01-29 12:00Z', 'seo', NULL, NULL),
    (17, 1, 'purchase', '2025-01-29 12:00Z', 'website', NULL, 100.01),
    (18, 1, 'page_view', '2025-01-30 12:00Z', 'content', NULL, NULL),
    (21, 2, 'purchase', '2025-01-02 12:00Z', NULL, NULL, 10),
    (31, 3, 'page_view', '2025-01-08 12:00Z', 'seo', NULL, NULL),
    (32, 3, 'purchase', '2025-01-09 12:00Z', NULL, NULL, 10),
    (41, 4, 'page_view', '2025-01-01 11:00Z', 'seo', NULL, NULL),
    (42, 4, 'purchase', '2025-01-09 12:00Z', NULL, NULL, 10),
    (51, 5, 'purchase', '2025-01-09 12:00Z', NULL, NULL, 10),
    (61, 6, 'page_view', '2025-01-01 12:00Z', 'seo', NULL, NULL),
    (62, 6, 'page_view', '2025-01-01 12:00Z', 'seo', NULL, NULL),
    (63, 6, 'page_view', '2025-01-01 12:00Z', 'seo', NULL, NULL),
    (64, 6, 'purchase', '2025-01-09 12:00Z', NULL, NULL, 0.01);
SELECT m AS model, a.lead_id AS lead, a.touch_event_id AS touch, a.channel, a.campaign, a.place, a.micro_credits, a.revenue_amount
    FROM unnest('{first,last,linear,position,time_decay}'::text[]) WITH ORDINALITY m (m, n), attribution(m) a
    WHERE a.lead_id IN (1, 3, 6) ORDER BY m.n, 2, a.place;
SELECT a.lead_id AS lead, a.purchase_event_id, a.touch_event_id AS touch, a.channel, a.direction, a.touches, a.micro_credits, a.credit, a.revenue_amount FROM attribution('linear') a WHERE a.lead_id IN (2, 4, 5) ORDER BY 1;
-- golden: U-shaped 0.4, 0.2 shared, 0.4; of one 1; of two 1/2 each. Decay: halved every 7 days
SELECT n, array_agg(touch_weight('position', p, n, 0) / (SELECT sum(touch_weight('position', q, n, 0)) FROM generate_series(1, n) q) ORDER BY p) AS shares
    FROM generate_series(1, 4) n, generate_series(1, n) p GROUP BY n ORDER BY n;
SELECT touch_weight('time_decay', 1, 2, 7), touch_weight('time_decay', 1, 2, 14), touch_weight('time_decay', 1, 2, 0), touch_weight('time_decay', 1, 2, 1e9), touch_weight('u', 1, 1, 0);

-- Costs: 31 + 28 days of 5.90 are 3.10 and 2.80; a campaign has its channel's; wages and tools stay apart
INSERT INTO cost (day_from, day_to, channel, campaign, category, amount) VALUES
    ('2025-01-01', '2025-02-28', NULL, 'spring', 'media', 5.90),
    ('2025-01-01', '2025-01-31', 'seo', NULL, 'wages', 10),
    ('2025-01-10', '2025-01-10', NULL, NULL, 'tools', 1);
SELECT calendar_month, channel, direction, campaign, category, cost_amount FROM cost_by_month ORDER BY 1, 2, 4, 5;
-- roas of seo: its own 10, and that of the campaign
SELECT channel, campaign, credited_purchases, revenue_amount, cost_amount, round(roas::numeric, 4) AS roas FROM roas
    WHERE model = 'linear' AND (revenue_amount <> 0 OR cost_amount <> 0) ORDER BY 1, 2;
SELECT channel, campaign, profit_amount, round(roi::numeric, 4) AS roi FROM roas WHERE model = 'linear' AND (revenue_amount <> 0 OR cost_amount <> 0) ORDER BY 1, 2;
-- a credit note of more than spring cost: 5.90 - 10 is nothing that was spent, and
-- no loss
BEGIN;
INSERT INTO cost (day_from, day_to, campaign, category, amount) VALUES ('2025-02-01', '2025-02-01', 'spring', 'credit', -10);
UPDATE campaign SET sourcing = 'outsourced' WHERE campaign = 'spring';
SELECT channel, campaign, revenue_amount, cost_amount, roas, profit_amount, roi FROM roas WHERE model = 'linear' AND campaign = 'spring';
SELECT segment, cost_amount, roi FROM sourcing_comparison WHERE segment = 'outsourced';
ROLLBACK;
SELECT cohort_month, channel, customers, purchases, revenue_amount, lifetime_value_amount, repeat_rate, buying_days FROM customer_lifetime_value ORDER BY 1, 2;
-- the same booking again is refused, or replaces it; another booking has a name
INSERT INTO cost (day_from, day_to, channel, category, amount) VALUES ('2025-01-01', '2025-01-31', 'seo', 'wages', 11);
INSERT INTO cost (day_from, day_to, amount, category) VALUES ('2025-01-10', '2025-01-10', 2, 'tools'), ('2025-01-11', '2025-01-11', 3, 'tools'), ('2025-01-11', '2025-01-11', 4, NULL)
    ON CONFLICT ON CONSTRAINT cost_booking_key DO UPDATE SET amount = excluded.amount;
INSERT INTO cost (day_from, day_to, amount, category, source_id) VALUES ('2025-01-10', '2025-01-10', 5, 'tools', 'invoice 7');
SELECT day_from, day_to, channel, campaign, category, source_id, amount FROM cost ORDER BY 1, 2, 3, 4, 5, 6;
SELECT count(*) FROM cost_overlaps;
-- a month whole and by days; days that only touch; another name, category, campaign
INSERT INTO cost (cost_id, day_from, day_to, channel, campaign, category, source_id, amount) VALUES
    (101, '2025-03-01', '2025-03-31', NULL, 'spring', 'media', 'ads', 31),
    (102, '2025-03-31', '2025-04-02', NULL, 'spring', 'media', 'ads', 3),
    (103, '2025-03-05', '2025-03-05', NULL, 'spring', 'media', 'ads', 1),
    (104, '2025-04-03', '2025-04-03', NULL, 'spring', 'media', 'ads', 1),
    (105, '2025-03-01', '2025-03-31', NULL, 'spring', 'media', 'print', 9),
    (106, '2025-03-01', '2025-03-31', NULL, 'spring', NULL, 'ads', 9),
    (107, '2025-03-01', '2025-03-31', 'seo', NULL, NULL, NULL, 9),
    (108, '2025-03-30', '2025-04-01', 'seo', NULL, NULL, NULL, 9);
SELECT * FROM cost_overlaps ORDER BY 1, 2;
-- a booking that names the channel of its campaign is of the same source as one
-- that leaves it out, and its key another; spring has no channel, summer has
INSERT INTO campaign (campaign, channel) VALUES ('summer', 'radio');
INSERT INTO cost (cost_id, day_from, day_to, channel, campaign, category, amount) VALUES
    (201, '2025-06-01', '2025-06-30', NULL, 'summer', 'media', 60),
    (202, '2025-06-01', '2025-06-30', 'radio', 'summer', 'media', 60),
    (203, '2025-06-01', '2025-06-30', 'radio', NULL, 'media', 60),
    (204, '2025-06-01', '2025-06-30', 'seo', 'summer', 'media', 60);
SELECT channel, campaign, cost_amount FROM cost_by_month WHERE calendar_month = '2025-06-01' ORDER BY 1, 2;
SELECT cost_id, other_cost_id, channel, campaign, overlap_days FROM cost_overlaps WHERE cost_id > 200 ORDER BY 1, 2;
DROP SCHEMA hand, hand_reports CASCADE;

-- Touches of an account by hand: 1, 2 and the organization itself, 8, are of
-- acme; 3 of another; 4 and 5, 6 and 7 of none
SELECT create_pipeline('hand') \g /dev/null
SET search_path = hand, hand_reports, leadscore, leadscore_internal;
INSERT INTO lead (lead_id, kind, organization, channel, created_at) VALUES
    (1, 'person', 'acme', 'seo', '2025-01-01 12:00Z'), (2, 'person', 'acme', 'social', '2025-01-01 12:00Z'), (3, 'person', 'other', 'radio', '2025-01-01 12:00Z'),
    (4, 'person', NULL, 'press', '2025-01-01 12:00Z'), (5, 'person', NULL, 'radio', '2025-01-01 12:00Z'),
    (6, 'person', '', 'press', '2025-01-01 12:00Z'), (7, 'person', '', 'radio', '2025-01-01 12:00Z'), (8, 'organization', 'acme', NULL, '2025-01-01 12:00Z');
INSERT INTO event (event_id, lead_id, kind, occurred_at, channel, value) VALUES
    (11, 1, 'purchase', '2025-01-10 12:00Z', NULL, 100),
    (21, 2, 'page_view', '2025-01-05 12:00Z', 'email', NULL),
    (22, 2, 'page_view', '2025-01-15 12:00Z', 'website', NULL),
    (31, 3, 'page_view', '2025-01-05 12:00Z', 'radio', NULL),
    (41, 4, 'purchase', '2025-01-10 12:00Z', NULL, 10),
    (61, 6, 'purchase', '2025-01-10 12:00Z', NULL, 10),
    (81, 8, 'purchase', '2025-01-20 12:00Z', NULL, 60),
    (82, 8, 'refund', '2025-01-30 12:00Z', NULL, 20);
SELECT purchase_event_id, touch_lead_id, touch_event_id, channel, place, touches, micro_credits, net_amount, revenue_amount FROM attribution('linear');
UPDATE setting SET attribution_scope = 'account';
SELECT purchase_event_id, touch_lead_id, touch_event_id, channel, place, touches, micro_credits, net_amount, revenue_amount FROM attribution('linear');
SELECT purchase_event_id, touch_lead_id, channel FROM attribution('first');
SELECT channel, credited_purchases, revenue_amount FROM roas WHERE model = 'last' AND credited_purchases > 0 ORDER BY 1;
-- what is as old as the window counts, what is older does not
UPDATE setting SET attribution_window = '5 days';
SELECT purchase_event_id, touch_lead_id, touch_event_id, channel, place, touches, micro_credits, revenue_amount FROM attribution('position');
UPDATE setting SET attribution_window = '4 days 23:59:59';
SELECT purchase_event_id, touch_lead_id, channel, touches, micro_credits, revenue_amount FROM attribution('position');
UPDATE setting SET attribution_scope = 'lead', attribution_window = '9 days';
SELECT purchase_event_id, touch_lead_id, touch_event_id, channel, touches, revenue_amount FROM attribution('time_decay');
UPDATE setting SET attribution_window = '1000000 years';
SELECT count(*) FROM attribution('linear') WHERE channel <> '(none)';
UPDATE setting SET attribution_window = '0';
UPDATE setting SET attribution_window = '-1 day';
UPDATE setting SET attribution_scope = 'organization';
UPDATE setting SET attribution_scope = NULL;
-- a role that sees some leads only gets the touches of these
CREATE ROLE money_some;
SELECT grant_reader('hand', 'money_some') \g /dev/null
UPDATE setting SET attribution_scope = 'account', attribution_window = NULL;
ALTER TABLE lead ENABLE ROW LEVEL SECURITY;
ALTER TABLE event ENABLE ROW LEVEL SECURITY;
CREATE POLICY one ON lead TO money_some USING (lead_id <> 2);
CREATE POLICY one ON event TO money_some USING (lead_id <> 2);
SET ROLE money_some;
SELECT purchase_event_id, touch_lead_id, channel, touches, micro_credits, revenue_amount FROM attribution('linear');
RESET ROLE;
DROP OWNED BY money_some;
DROP ROLE money_some;
DROP SCHEMA hand, hand_reports CASCADE;

-- Retention by hand: of three customers of January one buys again in January,
-- two in March, none in February; one of March does not; one buys in 30 years
SELECT create_pipeline('hand') \g /dev/null
SET search_path = hand, hand_reports, leadscore, leadscore_internal;
INSERT INTO lead (lead_id, created_at) SELECT n, '2024-01-01' FROM generate_series(1, 5) n;
INSERT INTO event (lead_id, kind, occurred_at, value) VALUES (1, 'purchase', '2024-01-02 12:00Z', 10), (1, 'purchase', '2024-01-30 12:00Z', 1),
    (2, 'purchase', '2024-01-31 23:59:59Z', 20), (3, 'purchase', '2024-01-05 12:00Z', NULL),
    (1, 'purchase', '2024-03-01 00:00Z', 5), (3, 'purchase', '2024-03-31 12:00Z', 7.5), (4, 'purchase', '2024-03-31 12:00Z', 2), (5, 'purchase', now() + interval '30 years', 1);
SELECT * FROM customer_retention WHERE calendar_month < '2024-05-01' ORDER BY 1, 2;
-- every month up to this one, and none after it: the order of lead 5 is to come
SELECT count(*) = (SELECT 12 * (date_part('year', now() AT TIME ZONE 'UTC') - 2024) + date_part('month', now() AT TIME ZONE 'UTC') FROM setting) AS all_months
    FROM customer_retention WHERE cohort_month = '2024-01-01';
SELECT count(*) FROM customer_retention WHERE cohort_month > now();
SELECT count(*) FROM purchases WHERE lead_id = 5;
DROP SCHEMA hand, hand_reports CASCADE;

-- Value, forecast and how many are needed, by hand: ten iql, all matured; five
-- become mql, four sql, two customers that buy for 100 and 300, one of them twice
SELECT create_pipeline('hand') \g /dev/null
SET search_path = hand, hand_reports, leadscore, leadscore_internal;
INSERT INTO lead (lead_id, email, consented_at, created_at) SELECT n, 'a@b', '2025-01-01 12:00Z', '2025-01-01 12:00Z' FROM generate_series(1, 10) n;
INSERT INTO event (lead_id, kind, occurred_at, properties) SELECT n, 'stage_set', timestamptz '2025-01-02 12:00Z', '{"stage": "mql"}' FROM generate_series(1, 5) n;
INSERT INTO event (lead_id, kind, occurred_at, properties) SELECT n, 'stage_set', timestamptz '2025-01-03 12:00Z', '{"stage": "sql"}' FROM generate_series(1, 4) n;
INSERT INTO event (lead_id, kind, occurred_at, value) VALUES (1, 'purchase', '2025-01-04 12:00Z', 100), (2, 'purchase', '2025-01-04 12:00Z', 300), (2, 'purchase', '2025-01-05 12:00Z', 200);
SELECT stage, leads, customers, customer_rate, revenue_amount, value_per_lead_amount, ratio_to_iql, benchmark_status FROM value_by_stage WHERE leads > 0 ORDER BY stage_rank;
SELECT stage, matured, converted, customer_rate, round(low_rate::numeric, 4) AS low, round(high_rate::numeric, 4) AS high, leads_now FROM stage_to_customer ORDER BY stage_rank;
-- fewer than ten of each, so all are compared with those that came in:
-- 5 * 2/10 + 1 * 2/5 + 2 * 2/4 = 2.4 customers of (100 + 500) / 2 each
SELECT stage, leads_now, customer_rate, expected_customers, round(low_customers::numeric, 6) AS low_customers, round(high_customers::numeric, 6) AS high_customers, customer_amount, forecast_amount, low_amount, high_amount FROM pipeline_forecast ORDER BY stage_rank;
-- the margins of sql again, from their formulas: 2 leads, 2 of 4; two customers, mean 300, variance 80000
SELECT round((1 + 1.959963984540054 * sqrt(v))::numeric, 6) AS high_customers, round((300 + 1.959963984540054 * sqrt(1 * 80000 + v * 90000 + 80000 / 2.0))::numeric, 2) AS high_amount
    FROM (SELECT 2 * p * (1 - p) + 4 * p * (1 - p) / 4 FROM (SELECT (2 + 1.9207294103470494) / (4 + 3.841458820694124)) f (p)) g (v);
-- 1000 of 100 are refunded: -900 and 500, mean -200, variance 980000. The margin
-- of sql is 1.96 * sqrt(980000 + 0.75 * 40000 + 980000 / 2) = 2400.46 on each side
BEGIN;
INSERT INTO event (lead_id, kind, occurred_at, value) VALUES (1, 'refund', '2025-01-06 12:00Z', 1000);
SELECT customer_amount, forecast_amount, low_amount, high_amount FROM pipeline_forecast WHERE stage = 'sql';
ROLLBACK;
SELECT * FROM required_leads(20);
SELECT stage, required, required_low, required_high, missing FROM required_leads(0);
-- cycles that are too young do not count, but are there
UPDATE setting SET mature_after = '100 years';
SELECT stage, entered, matured, converted, customer_rate, leads_now FROM stage_to_customer WHERE entered > 0 ORDER BY stage_rank;
SELECT stage, forecast_amount FROM pipeline_forecast ORDER BY stage_rank;
DROP SCHEMA hand, hand_reports CASCADE;

-- A lead is compared with past leads that were in the stage for as long. Of 40,
-- 20 bought after 3 days, 3 after 100, 17 never; ten more are there for 95
-- days. Of the 20 that were there for 90 days 3 bought in the 90 days after:
-- 10 * 3/20 = 1.5. Of the 17 that were there for a year none did: 17 * 0/17.
SELECT create_pipeline('hand') \g /dev/null
SET search_path = hand, hand_reports, leadscore, leadscore_internal;
INSERT INTO lead (lead_id, email, consented_at, created_at) SELECT n, 'a@b', at, at
    FROM generate_series(1, 50) n, LATERAL (SELECT CASE WHEN n <= 40 THEN timestamptz '2025-01-01 12:00Z' ELSE now() - interval '95 days' END) c (at);
INSERT INTO event (lead_id, kind, occurred_at, value)
    SELECT n, 'purchase', timestamptz '2025-01-01 12:00Z' + interval '1 day' * CASE WHEN n <= 20 THEN 3 ELSE 100 END, 100 FROM generate_series(1, 23) n;
SELECT stage, leads_now, expected_customers, forecast_amount FROM pipeline_forecast ORDER BY stage_rank;
-- by those that come in, 23 of 50 buy: 22 for ten customers, and 1.5 are on their way
SELECT stage, customer_rate, required, leads_now, expected_customers, missing FROM required_leads(10) WHERE stage = 'iql';
SELECT missing FROM required_leads(1) WHERE stage = 'iql';
-- as it was after 60 days, nobody had been there for 90 days more; after 95, of
-- the 20 that were there for 4 days none had bought in the 90 after them
SELECT leads_now, expected_customers, forecast_amount FROM pipeline_forecast_at('2025-03-02 12:00Z') WHERE stage = 'iql';
SELECT leads_now, expected_customers, customer_amount FROM pipeline_forecast_at('2025-04-06 12:00Z') WHERE stage = 'iql';
SELECT count(*), sum(leads_now) FROM pipeline_forecast_at('infinity');
SELECT count(*), sum(leads_now) FROM pipeline_forecast_at(NULL);
DROP SCHEMA hand, hand_reports CASCADE;

-- A day has 24 hours in every session. Of 24 leads 12 bought after 20 days, and 12
-- were lost half an hour before they had been there for 30 days, in which the
-- clocks of Berlin lost an hour. So none was there for 30 days, and a lead that is
-- there for 45 is compared with those of 14 days: 12/24.
SELECT create_pipeline('hand') \g /dev/null
SET search_path = hand, hand_reports, leadscore, leadscore_internal;
INSERT INTO lead (lead_id, email, consented_at, created_at) SELECT n, 'a@b', at, at
    FROM generate_series(1, 25) n, LATERAL (SELECT CASE WHEN n <= 24 THEN timestamptz '2025-03-20 12:00Z' ELSE now() - interval '1080 hours' END) c (at);
INSERT INTO event (lead_id, kind, occurred_at) SELECT n, CASE WHEN n <= 12 THEN 'purchase' ELSE 'lost' END, CASE WHEN n <= 12 THEN timestamptz '2025-04-09 12:00Z' ELSE '2025-04-19 11:30Z' END FROM generate_series(1, 24) n;
SET timezone = 'UTC';
SELECT leads_now, expected_customers FROM pipeline_forecast WHERE stage = 'iql';
SET timezone = 'Europe/Berlin';
SELECT leads_now, expected_customers FROM pipeline_forecast WHERE stage = 'iql';
SET timezone = 'Asia/Kathmandu';
DROP SCHEMA hand, hand_reports CASCADE;

-- Drawn leads
\set ECHO none
\i :data
\set ECHO all
-- credits of a purchase are one million, and its revenue is its amount
SELECT model, count(*) AS purchases, count(*) FILTER (WHERE micro_credits = 1000000 AND revenue = amount AND places = touches) AS whole, max(touches) AS most_touches
FROM (SELECT model, purchase_event_id, sum(micro_credits) AS micro_credits, sum(revenue_amount) AS revenue, min(purchase_amount) AS amount, count(*) AS places, max(touches) AS touches
    FROM attribution_credit GROUP BY 1, 2) p GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM attribution_credit WHERE micro_credits < 0 OR channel IS NULL OR campaign IS NULL OR touched_at > purchased_at;
-- another computation of the credits: shares in numeric, sorted by hand in arrays
WITH touch AS (
    SELECT p.event_id AS purchase, e.event_id AS touch, e.occurred_at AS at FROM event p JOIN event e USING (lead_id)
    WHERE p.kind = 'purchase' AND e.occurred_at <= p.occurred_at AND (e.channel IS NOT NULL OR e.campaign IS NOT NULL)
        AND e.kind NOT IN ('purchase', 'stage_set', 'email_sent')
    UNION ALL
    SELECT p.event_id, 0, l.created_at FROM event p JOIN lead l USING (lead_id)
    WHERE p.kind = 'purchase' AND (l.channel IS NOT NULL OR l.campaign IS NOT NULL)
        AND NOT EXISTS (SELECT FROM event e WHERE e.lead_id = l.lead_id AND e.occurred_at <= l.created_at AND (e.channel IS NOT NULL OR e.campaign IS NOT NULL) AND e.kind NOT IN ('purchase', 'stage_set', 'email_sent'))
), path AS (
    SELECT purchase, array_agg(touch ORDER BY at, touch) AS touches, array_agg(at ORDER BY at, touch) AS ats FROM touch GROUP BY 1
), share AS (
    SELECT m.model, p.purchase, p.touches[i] AS touch, i, cardinality(touches) AS n,
        CASE m.model
            WHEN 'first' THEN (i = 1)::int::numeric
            WHEN 'last' THEN (i = cardinality(touches))::int::numeric
            WHEN 'linear' THEN 1.0 / cardinality(touches)
            WHEN 'position' THEN CASE WHEN cardinality(touches) <= 2 THEN 1.0 / cardinality(touches) WHEN i IN (1, cardinality(touches)) THEN 0.4 ELSE 0.2 / (cardinality(touches) - 2) END
            WHEN 'time_decay' THEN power(0.5, extract(epoch FROM ats[cardinality(ats)] - ats[i]) / 604800)
                / (SELECT sum(power(0.5, extract(epoch FROM ats[cardinality(ats)] - a) / 604800)) FROM unnest(ats) a)
        END AS share
    FROM path p, generate_subscripts(touches, 1) i, (VALUES ('first'), ('last'), ('linear'), ('position'), ('time_decay')) m (model)
)
SELECT s.model, count(*) AS touches, count(a.model) AS found, count(*) FILTER (WHERE a.place = s.i AND a.touches = s.n AND abs(a.micro_credits - 1000000 * s.share) < 1) AS right
FROM share s LEFT JOIN attribution_credit a ON a.model = s.model AND a.purchase_event_id = s.purchase AND coalesce(a.touch_event_id, 0) = s.touch
GROUP BY 1 ORDER BY 1;

-- accounts, and a window: the pairs of a purchase and a touch from plain SQL
UPDATE lead SET organization = 'org ' || lead_id % 40 WHERE lead_id % 7 > 0;
UPDATE setting SET attribution_scope = 'account', attribution_window = '60 days';
SELECT model, count(*) AS purchases, count(*) FILTER (WHERE micro_credits = 1000000 AND revenue = amount AND places = touches) AS whole, max(touches) AS most_touches
FROM (SELECT model, purchase_event_id, sum(micro_credits) AS micro_credits, sum(revenue_amount) AS revenue, min(net_amount) AS amount, count(*) AS places, max(touches) AS touches
    FROM attribution_credit GROUP BY 1, 2) p GROUP BY 1 ORDER BY 1;
WITH member AS (
    SELECT b.lead_id AS buyer, l.lead_id FROM lead b JOIN lead l ON l.lead_id = b.lead_id OR l.organization = b.organization
), touch AS (
    SELECT lead_id, event_id, occurred_at AS at FROM event WHERE (channel IS NOT NULL OR campaign IS NOT NULL) AND kind NOT IN ('purchase', 'stage_set', 'email_sent')
), every_touch AS (
    SELECT lead_id, event_id, at FROM touch
    UNION ALL
    SELECT lead_id, NULL, created_at FROM lead l WHERE (channel IS NOT NULL OR campaign IS NOT NULL) AND NOT EXISTS (SELECT FROM touch t WHERE t.lead_id = l.lead_id AND t.at <= l.created_at)
), pair AS (
    SELECT p.event_id AS purchase_event_id, t.lead_id AS touch_lead_id, t.event_id AS touch_event_id
    FROM event p JOIN member m ON m.buyer = p.lead_id JOIN every_touch t ON t.lead_id = m.lead_id AND t.at BETWEEN p.occurred_at - interval '60 days' AND p.occurred_at
    WHERE p.kind = 'purchase'
), seen AS (
    SELECT purchase_event_id, touch_lead_id, touch_event_id FROM attribution('linear') WHERE touched_at IS NOT NULL
)
SELECT (SELECT count(*) FROM seen) AS pairs, (SELECT count(*) FROM seen JOIN event e ON e.event_id = purchase_event_id WHERE e.lead_id <> touch_lead_id) AS of_others,
    (SELECT count(*) FROM (TABLE pair EXCEPT ALL TABLE seen) x) AS missing, (SELECT count(*) FROM (TABLE seen EXCEPT ALL TABLE pair) x) AS too_many;
UPDATE setting SET attribution_scope = 'lead', attribution_window = NULL;

-- costs, leads and purchases all are in the reports, once
SELECT (SELECT sum(amount) FROM cost) = (SELECT sum(cost_amount) FROM cost_by_month) AS by_month,
    (SELECT sum(amount) FROM cost) = (SELECT sum(cost_amount) FROM cost_per_lead) AS per_lead,
    (SELECT 5 * sum(amount) FROM cost) = (SELECT sum(cost_amount) FROM roas) AS in_roas,
    (SELECT sum(amount) FROM cost) = (SELECT sum(cost_amount) FROM sourcing_comparison WHERE comparison = 'sourcing') AS sourcing,
    (SELECT sum(amount) FROM cost) = (SELECT sum(cost_amount) FROM sourcing_comparison WHERE comparison = 'direction') AS direction;
SELECT (SELECT 5 * sum(value) FROM event WHERE kind = 'purchase') = (SELECT sum(revenue_amount) FROM roas) AS in_roas,
    (SELECT sum(value) FROM event WHERE kind = 'purchase') = (SELECT sum(revenue_amount) FROM customer_lifetime_value) AS in_value,
    (SELECT sum(value) FROM event WHERE kind = 'purchase') = (SELECT sum(revenue_amount) FROM sourcing_comparison WHERE comparison = 'direction') AS in_sourcing;
SELECT sum(leads) = (SELECT count(DISTINCT lead_id) FROM stage_history WHERE to_stage >= 'iql' AND is_lead) AS leads,
    sum(mqls) = (SELECT count(DISTINCT lead_id) FROM stage_history h WHERE to_stage >= 'mql' AND EXISTS (SELECT FROM stage_history l WHERE l.lead_id = h.lead_id AND l.to_stage >= 'iql' AND l.is_lead)) AS mqls,
    sum(sqls) = (SELECT count(DISTINCT lead_id) FROM stage_history h WHERE to_stage >= 'sql' AND EXISTS (SELECT FROM stage_history l WHERE l.lead_id = h.lead_id AND l.to_stage >= 'iql' AND l.is_lead)) AS sqls,
    sum(customers) = (SELECT count(DISTINCT lead_id) FROM stage_history WHERE to_stage >= 'customer') AS customers FROM cost_per_lead;
-- month by day: each day's part of a cost
SELECT count(*) FROM cost_by_month m
    FULL JOIN (SELECT date_trunc('month', d)::date AS calendar_month, coalesce(c.channel, p.channel, '(none)') AS channel, coalesce(c.campaign, '(none)') AS campaign, coalesce(c.category, '(none)') AS category,
            sum(c.amount / (c.day_to - c.day_from + 1)) AS amount
        FROM cost c LEFT JOIN campaign p USING (campaign), generate_series(c.day_from::timestamp, c.day_to::timestamp, '1 day') d GROUP BY 1, 2, 3, 4) b
    USING (calendar_month, channel, campaign, category)
    WHERE abs(m.cost_amount - b.amount) < 0.01 IS NOT TRUE;
-- one line of cost_per_lead, lead by lead
SELECT count(*) AS lines, count(*) FILTER (WHERE c.cost_per_sql_amount = round(c.cost_amount / nullif(c.sqls, 0), 2)) AS with_sqls,
    count(*) FILTER (WHERE c.cost_per_sql_amount IS NULL AND c.sqls > 0) AS shared,
    count(*) FILTER (WHERE c.cost_per_sql_amount IS NULL AND c.sqls > 0 AND c.campaign = '(none)' AND c.cost_amount > 0
        AND EXISTS (SELECT FROM cost_per_lead o WHERE o.calendar_month = c.calendar_month AND c.channel IN (o.channel, '(none)')
            AND (o.channel, o.campaign) <> (c.channel, c.campaign) AND o.leads + o.mqls + o.sqls + o.customers > 0)) AS shared_indeed,
    count(*) FILTER (WHERE c.leads IS DISTINCT FROM coalesce(b.leads, 0)) AS wrong
FROM cost_per_lead c
    LEFT JOIN (SELECT date_trunc('month', at AT TIME ZONE 'UTC')::date AS calendar_month, coalesce(l.channel, p.channel, '(none)') AS channel, coalesce(l.campaign, '(none)') AS campaign, count(*) AS leads
        FROM (SELECT lead_id, min(effective_at) AS at FROM stage_history WHERE to_stage >= 'iql' AND is_lead GROUP BY 1) h JOIN lead l USING (lead_id) LEFT JOIN campaign p USING (campaign) GROUP BY 1, 2, 3) b
    USING (calendar_month, channel, campaign);
-- the month is the pipeline's: half past midnight in UTC is the day before in New York
UPDATE setting SET time_zone = 'America/New_York';
SELECT count(*) > 0 AS moved FROM purchases WHERE purchase_month <> date_trunc('month', purchased_at AT TIME ZONE 'UTC')::date;
UPDATE setting SET time_zone = 'UTC';
-- value of a stage, lead by lead
SELECT v.stage, v.leads, v.leads = count(*) AS leads_right, v.revenue_amount = coalesce(sum(b.bought), 0) AS revenue_right
FROM value_by_stage v
    JOIN (SELECT h.lead_id, h.to_stage::text AS stage, (SELECT sum(e.value) FROM event e WHERE e.lead_id = h.lead_id AND e.kind = 'purchase' AND e.occurred_at >= min(h.effective_at)) AS bought
        FROM stage_history h GROUP BY 1, h.to_stage) b USING (stage)
GROUP BY v.stage, v.stage_rank, v.leads, v.revenue_amount ORDER BY v.stage_rank;
-- sourcing, lead by lead
SELECT s.segment, s.leads, s.leads = count(*) FILTER (WHERE l.lead) AS leads_right, s.customers = count(*) FILTER (WHERE l.customer) AS customers_right, s.roi IS NOT DISTINCT FROM CASE WHEN s.segment <> '(none)' THEN ((sum(l.value) - s.cost_amount) / nullif(s.cost_amount, 0))::float8 END AS roi_right
FROM sourcing_comparison s
    JOIN (SELECT coalesce(p.sourcing, '(none)') AS segment, EXISTS (SELECT FROM stage_history h WHERE h.lead_id = l.lead_id AND h.to_stage >= 'iql' AND h.is_lead) AS lead,
            EXISTS (SELECT FROM stage_history h WHERE h.lead_id = l.lead_id AND h.to_stage >= 'customer') AS customer,
            (SELECT sum(e.value) FROM event e WHERE e.lead_id = l.lead_id AND e.kind = 'purchase') AS value
        FROM lead l LEFT JOIN campaign p USING (campaign)) l USING (segment)
WHERE s.comparison = 'sourcing' GROUP BY s.segment, s.leads, s.customers, s.roi, s.cost_amount ORDER BY 1;

-- A cost that names no campaign is for all leads of its channel, and one that
-- names no channel for all leads: it is not what the few without one cost.
-- January: 2 leads of the campaign, 1 of the channel alone, 1 that came by itself
SELECT create_pipeline('hand') \g /dev/null
SET search_path = hand, hand_reports, leadscore, leadscore_internal;
INSERT INTO campaign (campaign, channel, sourcing) VALUES ('spring', 'seo', 'internal');
INSERT INTO lead (lead_id, email, consented_at, channel, campaign, created_at, updated_at)
    SELECT i, 'a@b', d, CASE WHEN i IN (1, 2, 3, 5, 6) THEN 'seo' END, CASE WHEN i < 3 THEN 'spring' END, d, d
    FROM generate_series(1, 7) i, LATERAL (SELECT CASE WHEN i < 5 THEN timestamptz '2025-01-10Z' WHEN i < 7 THEN '2025-02-10Z' ELSE '2025-03-10Z' END) AS t (d);
INSERT INTO cost (day_from, day_to, channel, campaign, category, amount) VALUES
    ('2025-01-01', '2025-01-31', NULL, 'spring', 'media', 300),
    ('2025-01-01', '2025-01-31', 'seo', NULL, 'agency', 500),
    ('2025-01-01', '2025-01-31', NULL, NULL, 'wages', 5355),
    -- of February all leads of the channel came without a campaign, of March all leads by no channel
    ('2025-02-01', '2025-02-28', 'seo', NULL, 'agency', 500),
    ('2025-03-01', '2025-03-31', NULL, NULL, 'wages', 100);
SELECT calendar_month, channel, campaign, cost_amount, leads, cost_per_lead_amount FROM cost_per_lead
    WHERE calendar_month < '2025-04-01' ORDER BY 1, 2, 3;
SELECT calendar_month, sum(cost_amount) AS cost, sum(leads) AS leads, round(sum(cost_amount) / sum(leads), 2) AS cost_per_lead FROM cost_per_lead
    WHERE leads > 0 OR cost_amount > 0 GROUP BY 1 ORDER BY 1;
SELECT comparison, segment, cost_amount, leads, cost_per_lead_amount, roi FROM sourcing_comparison ORDER BY place;
DROP SCHEMA hand, hand_reports CASCADE;
SET search_path = crm, crm_reports, leadscore, leadscore_internal;

-- An sql is worth so many iql. 4 iql brought 0, 0, 10 and 30, of which 2 were
-- sql: 20 / 10. Relative variances of the means: 200 / (4 * 10^2) = 0.5, and
-- 200 / (2 * 20^2) = 0.25; so the interval is 2 * exp(-+1.96 * sqrt(0.75)),
-- 0.3663 to 10.9192
SELECT create_pipeline('hand') \g /dev/null
SET search_path = hand, hand_reports, leadscore, leadscore_internal;
INSERT INTO lead (lead_id, email, consented_at, created_at, updated_at) SELECT i, 'a@b', '2025-01-01Z', '2025-01-01Z', '2025-01-01Z' FROM generate_series(1, 4) i;
INSERT INTO event (lead_id, kind, occurred_at, properties, value) VALUES (3, 'stage_set', '2025-01-02Z', '{"stage": "sql"}', NULL), (4, 'stage_set', '2025-01-02Z', '{"stage": "sql"}', NULL),
    (3, 'purchase', '2025-01-03Z', NULL, 10), (4, 'purchase', '2025-01-03Z', NULL, 20), (4, 'purchase', '2025-01-04Z', NULL, 10);
SELECT stage, leads, value_per_lead_amount, ratio_to_iql, round(ratio_low::numeric, 4) AS low, round(ratio_high::numeric, 4) AS high, benchmark_status FROM value_by_stage WHERE stage IN ('iql', 'sql') ORDER BY 1;
-- 200 such leads: the variances are 0.007538 and 0.002525, the interval 1.6430
-- to 2.4345, and all of it is below ten
INSERT INTO lead (lead_id, email, consented_at, created_at, updated_at) SELECT i, 'a@b', '2025-01-01Z', '2025-01-01Z', '2025-01-01Z' FROM generate_series(5, 200) i;
INSERT INTO event (lead_id, kind, occurred_at, properties, value)
    SELECT l.lead_id, e.kind, e.occurred_at, e.properties, e.value FROM lead l JOIN event e ON e.lead_id = 1 + (l.lead_id - 1) % 4 WHERE l.lead_id > 4;
SELECT stage, leads, ratio_to_iql, round(ratio_low::numeric, 4) AS low, round(ratio_high::numeric, 4) AS high, benchmark_status FROM value_by_stage WHERE stage = 'sql';
DROP SCHEMA hand, hand_reports CASCADE;
SET search_path = crm, crm_reports, leadscore, leadscore_internal;
DROP SCHEMA crm, crm_reports CASCADE;
DROP FUNCTION public.draw;
