--
-- Refunds: which purchase each belongs to, and that no report takes one for a
-- purchase. All by hand.
--
SET timezone = 'UTC';
SELECT leadscore.create_pipeline('hand') \g /dev/null
SET search_path = hand, hand_reports, leadscore, leadscore_internal;
INSERT INTO lead (lead_id, email, consented_at, created_at) SELECT n, CASE n WHEN 2 THEN 'a@b' END, CASE n WHEN 2 THEN timestamptz '2025-01-01 12:00Z' END, '2025-01-01 12:00Z' FROM generate_series(1, 10) n;

-- 1: one purchase of 500 that seo brought, taken back after a touch of social
INSERT INTO event (event_id, lead_id, kind, occurred_at, channel, value) VALUES
    (11, 1, 'page_view', '2025-01-05 12:00Z', 'seo', NULL),
    (12, 1, 'purchase', '2025-01-10 12:00Z', NULL, 500),
    (13, 1, 'page_view', '2025-01-20 12:00Z', 'social', NULL),
    (14, 1, 'purchase', '2025-02-01 12:00Z', 'social', -500);
SELECT lead_id, event_id, purchase_month, purchase_amount, refund_amount, net_amount FROM purchases;
SELECT event_id, refunded_at, refund_month, refund_amount, status, purchase_event_id, purchased_at, purchase_month, purchase_amount FROM refunds;
SELECT cohort_month, customers, purchases, revenue_amount, lifetime_value_amount, repeat_customers, repeat_rate, buying_days FROM customer_lifetime_value;
SELECT model, lead_id, purchase_event_id, touch_event_id, channel, micro_credits, purchase_amount, net_amount, revenue_amount FROM attribution_credit ORDER BY 1;
SELECT channel, credited_purchases, revenue_amount FROM roas WHERE model = 'last' AND channel IN ('seo', 'social') ORDER BY 1;
SELECT calendar_month, customers, buyers, retention_rate, revenue_amount FROM customer_retention WHERE calendar_month < '2025-03-01' ORDER BY 1;
-- bought once, and stays a customer
SELECT to_stage, effective_at FROM stage_history WHERE lead_id = 1 AND to_stage = 'customer';
-- before the refund nobody knew of it
SELECT DISTINCT customer_amount FROM pipeline_forecast_at('2025-01-31 12:00Z');
SELECT DISTINCT customer_amount FROM pipeline_forecast_at('2025-02-01 12:00Z');
SELECT DISTINCT customer_amount FROM pipeline_forecast;

-- 2: refunds that name their purchase by source_id, or by event_id, as a number
-- or a text; or not at all. What they name decides, not when they came.
INSERT INTO event (event_id, lead_id, kind, occurred_at, value, source_id, properties) VALUES
    (21, 2, 'purchase', '2025-01-10 12:00Z', 100, 'order 1', NULL),
    (22, 2, 'purchase', '2025-03-10 12:00Z', 200, '21', NULL),
    (23, 2, 'refund', '2025-04-01 12:00Z', 30, NULL, '{"purchase": "order 1"}'),
    (24, 2, 'refund', '2025-04-02 12:00Z', -20, NULL, '{"purchase": 22}'),
    -- a source_id goes before an event_id
    (25, 2, 'purchase', '2025-04-03 12:00Z', -5, NULL, '{"purchase": "21"}'),
    (26, 2, 'refund', '2025-02-01 12:00Z', 2.50, NULL, '{"purchase": ""}'),
    (27, 2, 'refund', '2025-05-01 12:00Z', 0.25, NULL, '{"reason": "late"}'),
    -- bought later than it is refunded: the clocks of two machines
    (28, 2, 'refund', '2025-03-10 11:59Z', 4, NULL, '{"purchase": "22"}');
SELECT event_id, refund_amount, status, purchase_event_id FROM refunds WHERE lead_id = 2 ORDER BY 1;
SELECT event_id, purchase_amount, refund_amount, net_amount FROM purchases WHERE lead_id = 2 ORDER BY 1;

-- 3: none found: too early, an unknown name, that of another lead's purchase, of
-- another event, of a refund, an object. They lower no revenue, and are listed.
INSERT INTO event (event_id, lead_id, kind, occurred_at, value, source_id, properties) VALUES
    (31, 3, 'refund', '2025-01-10 11:59:59Z', 1, 'refund 1', NULL),
    (32, 3, 'purchase', '2025-01-10 12:00Z', 10, 'order 3', NULL),
    (33, 3, 'refund', '2025-02-01 12:00Z', 1, NULL, '{"purchase": "order 4"}'),
    (34, 3, 'refund', '2025-02-02 12:00Z', 1, NULL, '{"purchase": "order 1"}'),
    (35, 3, 'refund', '2025-02-03 12:00Z', 1, NULL, '{"purchase": 21}'),
    (36, 3, 'refund', '2025-02-04 12:00Z', 1, NULL, '{"purchase": "refund 1"}'),
    (37, 3, 'refund', '2025-02-05 12:00Z', NULL, NULL, '{"purchase": {"id": 32}}'),
    (38, 3, 'refund', '2025-02-06 12:00Z', 1, NULL, '{"purchase": "99999999999999999999"}');
SELECT event_id, refund_amount, status, purchase_event_id, purchase_month, purchase_amount FROM refunds WHERE lead_id = 3 ORDER BY 1;
SELECT event_id, refund_amount, net_amount FROM purchases WHERE lead_id = 3;

-- 4: without a value all that is left is refunded; once; more than was paid
INSERT INTO event (event_id, lead_id, kind, occurred_at, value) VALUES
    (41, 4, 'purchase', '2025-01-10 12:00Z', 80),
    (42, 4, 'refund', '2025-01-11 12:00Z', 30),
    (43, 4, 'refund', '2025-01-12 12:00Z', NULL),
    (44, 4, 'refund', '2025-01-13 12:00Z', NULL),
    (45, 4, 'refund', '2025-01-14 12:00Z', 10);
SELECT event_id, refund_amount, status FROM refunds WHERE lead_id = 4 ORDER BY 1;
SELECT event_id, purchase_amount, refund_amount, net_amount FROM purchases WHERE lead_id = 4;

-- 5: amounts that are not known: of the purchase; of the refund
INSERT INTO event (event_id, lead_id, kind, occurred_at, value) VALUES
    (51, 5, 'purchase', '2025-01-10 12:00Z', NULL),
    (52, 5, 'refund', '2025-01-11 12:00Z', 5),
    (53, 5, 'refund', '2025-01-12 12:00Z', NULL),
    (54, 5, 'purchase', '2025-02-10 12:00Z', 40),
    (55, 5, 'refund', '2025-02-11 12:00Z', 'NaN'),
    (56, 5, 'purchase', '2025-02-12 12:00Z', -1e12),
    (57, 5, 'refund', '2025-02-13 12:00Z', 15),
    -- no number, and so no refund
    (58, 5, 'purchase', '2025-02-14 12:00Z', '-Infinity'),
    (59, 5, 'refund', 'infinity', 7);
SELECT event_id, refund_amount, status, purchase_event_id FROM refunds WHERE lead_id = 5 ORDER BY 1;
SELECT event_id, purchase_amount, refund_amount, net_amount FROM purchases WHERE lead_id = 5 ORDER BY 1;

-- 6: in one instant the purchase is first, whatever the numbers; of two the last
INSERT INTO event (event_id, lead_id, kind, occurred_at, value) VALUES
    (61, 6, 'refund', '2025-01-10 12:00Z', 1),
    (62, 6, 'purchase', '2025-01-10 12:00Z', 10),
    (63, 6, 'purchase', '2025-01-10 12:00Z', 20);
SELECT event_id, purchase_event_id FROM refunds WHERE lead_id = 6;

-- 7: three touches share 66.67; the parts add up to the cent, below 0 too
INSERT INTO event (event_id, lead_id, kind, occurred_at, channel, value) VALUES
    (71, 7, 'page_view', '2025-01-02 12:00Z', 'seo', NULL),
    (72, 7, 'page_view', '2025-01-03 12:00Z', 'social', NULL),
    (73, 7, 'page_view', '2025-01-04 12:00Z', 'email', NULL),
    (74, 7, 'purchase', '2025-01-10 12:00Z', NULL, 100.01),
    (75, 7, 'refund', '2025-01-20 12:00Z', 'radio', 33.34);
SELECT channel, micro_credits, revenue_amount FROM attribution('linear') WHERE lead_id = 7;
UPDATE event SET value = 200.02 WHERE event_id = 75;
SELECT channel, micro_credits, revenue_amount FROM attribution('linear') WHERE lead_id = 7;
UPDATE event SET value = 33.34 WHERE event_id = 75;

-- 8 and 9: nothing but a refund makes no customer, no interest, no touch
INSERT INTO event (event_id, lead_id, kind, occurred_at, channel, value) VALUES
    (81, 8, 'purchase', '2025-01-10 12:00Z', 'seo', -3),
    (91, 9, 'refund', '2025-01-10 12:00Z', 'seo', 3);
SELECT event_id, refund_amount, status FROM refunds WHERE lead_id IN (8, 9) ORDER BY 1;
SELECT lead_id, stage FROM lead_state WHERE lead_id IN (8, 9) ORDER BY 1;
SELECT count(*) FROM purchases WHERE lead_id IN (8, 9);
SELECT lead_id, interest_kind FROM lead_origin WHERE lead_id IN (7, 8, 9) ORDER BY 1;
SELECT lead_id, other_actions, actions FROM lead_profile WHERE lead_id IN (1, 7, 8, 9) ORDER BY 1;
SELECT lead_id, count(*) FROM touchpoints WHERE lead_id IN (7, 8, 9) GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM attribution_credit WHERE channel = 'radio';
SELECT kind FROM stage_lift_by_event WHERE kind IN ('purchase', 'refund');
-- and counts as what it is
SELECT * FROM unscored_events WHERE lead_id IN (1, 8, 9);
SELECT lead_id, has_signal(activity, s.signal_id) OR has_signal(activity, n.signal_id) AS refund, has_signal(activity, p.signal_id) AS purchase
    FROM lead_state, signal s, signal n, signal p WHERE s.signal = 'refund' AND n.signal = 'negative_purchase' AND p.signal = 'purchase' AND lead_id IN (1, 2, 8, 9, 10) ORDER BY 1;

-- 10: a value that is not known is a purchase all the same
INSERT INTO event (event_id, lead_id, kind, occurred_at) VALUES (101, 10, 'purchase', '2025-01-10 12:00Z');
SELECT stage FROM lead_state WHERE lead_id = 10;

-- Nothing is counted twice or lost: the net amounts are the revenue of every report
SELECT sum(purchase_amount) AS bought, sum(refund_amount) FILTER (WHERE purchase_amount IS NOT NULL) AS refunded, sum(net_amount) AS net FROM purchases;
SELECT status, count(*), sum(refund_amount) FROM refunds GROUP BY 1 ORDER BY 1;
SELECT 'customer_lifetime_value' AS report, sum(revenue_amount), sum(purchases) AS purchases FROM customer_lifetime_value
    UNION ALL SELECT 'customer_retention', sum(revenue_amount), NULL FROM customer_retention
    UNION ALL SELECT 'value_by_stage', sum(revenue_amount), NULL FROM value_by_stage WHERE stage = 'visitor'
    UNION ALL SELECT 'sourcing_comparison', sum(revenue_amount), NULL FROM sourcing_comparison WHERE comparison = 'sourcing'
    UNION ALL SELECT 'lead_quality', sum(revenue_amount), NULL FROM lead_quality
    UNION ALL SELECT 'attribution_credit', sum(revenue_amount), sum(micro_credits) / 1000000 FROM attribution_credit WHERE model = 'time_decay'
    UNION ALL SELECT 'roas', sum(revenue_amount), sum(credited_purchases)::numeric FROM roas WHERE model = 'position';
SELECT lead_id, sum(purchase_amount) - sum(net_amount) AS refunded FROM purchases GROUP BY 1 HAVING sum(purchase_amount) <> sum(net_amount) ORDER BY 1;
-- other kinds with the roles; and a purchase that is refunded no more
INSERT INTO event_kind (kind, role) VALUES ('order', 'purchase'), ('return', 'refund');
INSERT INTO event (event_id, lead_id, kind, occurred_at, value, properties) VALUES
    (102, 10, 'order', '2025-02-10 12:00Z', 70, NULL),
    (103, 10, 'return', '2025-02-11 12:00Z', 7, '{"purchase": 102}');
SELECT event_id, refund_amount, net_amount FROM purchases WHERE lead_id = 10 ORDER BY 1;
DELETE FROM event WHERE event_id = 103;
SELECT event_id, refund_amount, net_amount FROM purchases WHERE lead_id = 10 ORDER BY 1;

-- Revenue of a period: a refund counts with its purchase, however late it is
SELECT from_date, leads, revenue_amount FROM period_comparison WHERE period = 'month' AND leads > 0;

-- A reader sees all of it, and no properties. A role that sees some leads only
-- is not told what refunds name: they belong to the last purchase before them.
CREATE ROLE refund_reader;
CREATE ROLE refund_some;
SELECT grant_reader('hand', 'refund_reader'), grant_reader('hand', 'refund_some');
CREATE TEMP TABLE seen AS SELECT * FROM refunds;
GRANT SELECT ON seen TO refund_reader;
SET ROLE refund_reader;
SELECT count(*), (SELECT count(*) FROM (TABLE refunds EXCEPT TABLE seen) e) AS other FROM refunds;
SELECT properties FROM event;
RESET ROLE;
ALTER TABLE event ENABLE ROW LEVEL SECURITY;
CREATE POLICY two ON event TO refund_some USING (lead_id = 2);
ALTER TABLE lead ENABLE ROW LEVEL SECURITY;
CREATE POLICY two ON lead TO refund_some USING (lead_id = 2);
SET ROLE refund_some;
SELECT event_id, refund_amount, status, purchase_event_id FROM refunds ORDER BY 1;
SELECT event_id, refund_amount, net_amount FROM purchases ORDER BY 1;
SELECT * FROM _refund_names('{2}', '{23}');
RESET ROLE;
SELECT * FROM _refund_names('{2,2}', '{23,27}');
DROP OWNED BY refund_reader, refund_some;
DROP ROLE refund_reader, refund_some;
DROP SCHEMA hand, hand_reports CASCADE;

-- The other preset
SELECT create_pipeline('hand', 'enterprise') \g /dev/null
SET search_path = hand, hand_reports, leadscore, leadscore_internal;
INSERT INTO lead (lead_id, created_at) SELECT n, '2025-01-01 12:00Z' FROM generate_series(1, 4) n;
INSERT INTO event (lead_id, kind, occurred_at, value) VALUES
    (1, 'purchase', '2025-01-10 12:00Z', -3), (2, 'refund', '2025-01-10 12:00Z', 3), (3, 'purchase', '2025-01-10 12:00Z', NULL), (4, 'purchase', '2025-01-10 12:00Z', 0);
SELECT lead_id, stage FROM lead_state ORDER BY 1;
-- a purchase that is dated ahead is none yet, also for a refund that names it
INSERT INTO event (event_id, lead_id, kind, occurred_at, value, source_id, properties) VALUES
    (401, 4, 'purchase', now() + interval '2 days', 50, 'ahead', NULL),
    (402, 4, 'refund', '2025-01-11 12:00Z', 5, NULL, '{"purchase": "ahead"}'),
    (403, 4, 'refund', '2025-01-12 12:00Z', NULL, NULL, '{"purchase": 401}');
SELECT event_id, refund_amount, status, purchase_event_id FROM refunds WHERE lead_id = 4 ORDER BY 1;
DROP SCHEMA hand, hand_reports CASCADE;
