-- Base views of the reports, made with every part.

-- Goals are data of the user. They are inserted once, when the views are made:
-- rows that were changed or removed since stay so at every upgrade. This comes
-- before the view below, whose absence tells that it is the first time.
INSERT INTO benchmark (metric, segment, low, high, denominator, source)
SELECT b.metric, b.segment, b.low, b.high, b.denominator, b.source
FROM (VALUES
    ('visitor_to_lead', 'all', 0.02, 0.05, 'visitor', 'common goal of marketing'),
    ('iql_to_mql', 'all', 0.25, 0.625, 'iql', 'derived: iql to sql divided by mql to sql, 15 % / 60 % and 25 % / 40 %'),
    ('iql_to_sql', 'all', 0.15, 0.25, 'iql', 'common goal of marketing'),
    ('mql_to_sql', 'all', 0.40, 0.60, 'mql', 'common goal of marketing'),
    ('sql_to_customer', 'all', 0.20, 0.30, 'sql', 'common goal of marketing'),
    ('lead_to_customer', 'all', 0.10, 0.20, 'mql', 'common goal of marketing; says "leads", but agrees with the goals for the steps only if these are mql'),
    ('mql_to_customer', 'all', 0.08, 0.18, 'mql', 'derived: mql to sql times sql to customer'),
    ('iql_to_sql_days', 'all', 60, 180, 'iql', 'two to six months'),
    ('iql_to_sql_days', 'b2b', 60, 180, 'iql', 'two to six months: simple b2b two to three, complex b2b four to six'),
    ('iql_to_sql_days', 'b2b_simple', 60, 90, 'iql', 'two to three months'),
    ('iql_to_sql_days', 'b2b_complex', 120, 180, 'iql', 'four to six months'),
    ('iql_to_sql_days', 'b2c', 14, 56, 'iql', 'two to eight weeks'),
    ('sql_value_ratio', 'all', 10, 50, 'iql', 'common claim: an sql is worth 10 to 50 iql; the goals for the rates imply 4 to 7'),
    ('quiet_days', 'all', 0, 30, NULL, 'a lead without an event for longer is cold')
) AS b (metric, segment, low, high, denominator, source)
WHERE NOT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = 'purchases' AND n.nspname = current_schema())
ON CONFLICT DO NOTHING;

CREATE OR REPLACE VIEW purchases WITH (security_invoker = true) AS
SELECT
    e.lead_id,
    e.event_id,
    e.occurred_at AS purchased_at,
    month_start(e.occurred_at, s.time_zone) AS purchase_month,
    as_amount(e.value)::numeric(14,2) AS purchase_amount,
    e.channel,
    e.campaign
FROM event e
    CROSS JOIN setting s
WHERE e.kind = ANY (kinds_of('event_kind', 'purchase'))
    -- what is dated ahead is no revenue yet, and its lead no customer
    AND is_dated(e.occurred_at) AND e.occurred_at <= now();
COMMENT ON VIEW purchases IS 'one row a purchase up to now: events of role purchase';
COMMENT ON COLUMN purchases.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN purchases.event_id IS 'number of the event, see the table event';
COMMENT ON COLUMN purchases.purchased_at IS 'when it was bought';
COMMENT ON COLUMN purchases.purchase_month IS 'first day of the month of purchased_at';
COMMENT ON COLUMN purchases.purchase_amount IS 'amount of the purchase; NULL: not known';
COMMENT ON COLUMN purchases.channel IS 'channel that the purchase came by, if the event says so';
COMMENT ON COLUMN purchases.campaign IS 'campaign that the purchase came by, if the event says so';

-- A cost of several months is split by days, rounded so that the parts add up
-- to it.
CREATE OR REPLACE VIEW cost_by_month WITH (security_invoker = true) AS
SELECT
    m.month::date AS calendar_month,
    coalesce(c.channel, p.channel, '(none)') AS channel,
    coalesce(p.direction, h.direction, '(none)') AS direction,
    coalesce(c.campaign, '(none)') AS campaign,
    coalesce(p.sourcing, '(none)') AS sourcing,
    coalesce(c.category, '(none)') AS category,
    as_amount(sum(round(c.amount * d.upto / d.days, 2) - round(c.amount * d.before / d.days, 2)))::numeric(14,2) AS cost_amount
FROM cost c
    LEFT JOIN campaign p ON p.campaign = c.campaign
    LEFT JOIN channel h ON h.channel = coalesce(c.channel, p.channel)
    CROSS JOIN LATERAL generate_series(date_trunc('month', c.day_from::timestamp), c.day_to::timestamp, interval '1 month') AS m (month)
    CROSS JOIN LATERAL (SELECT
        c.day_to - c.day_from + 1,
        greatest(m.month::date - c.day_from, 0),
        least((m.month + interval '1 month')::date - c.day_from, c.day_to - c.day_from + 1)
    ) AS d (days, before, upto)
-- one wrong date must not make the view endless
WHERE c.day_from >= '1900-01-01' AND c.day_to < '2200-01-01'
GROUP BY 1, 2, 3, 4, 5, 6;
COMMENT ON VIEW cost_by_month IS 'one row a month, source and category: costs, split by days if they are for several months; costs of days before 1900 or after 2199 are left out';
COMMENT ON COLUMN cost_by_month.calendar_month IS 'first day of the month';
COMMENT ON COLUMN cost_by_month.channel IS 'channel of the cost, or of its campaign; (none): all';
COMMENT ON COLUMN cost_by_month.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN cost_by_month.campaign IS 'campaign of the cost; (none): all';
COMMENT ON COLUMN cost_by_month.sourcing IS 'internal or outsourced, of the campaign; (none): not known';
COMMENT ON COLUMN cost_by_month.category IS 'purpose of the cost: media, wages, technology, training ...; (none): not said';
COMMENT ON COLUMN cost_by_month.cost_amount IS 'cost in the month';

-- The known pairs of channel and campaign, so that reports have a row for each,
-- even if no lead came by it.
CREATE OR REPLACE VIEW _source_list WITH (security_invoker = true) AS
SELECT n.channel, coalesce(p.direction, h.direction, '(none)') AS direction, n.campaign, coalesce(p.sourcing, '(none)') AS sourcing
FROM (
        SELECT h.channel, '(none)' AS campaign FROM channel h
        UNION
        SELECT coalesce(p.channel, '(none)') AS channel, p.campaign FROM campaign p
        UNION
        SELECT coalesce(c.channel, p.channel, '(none)') AS channel, coalesce(c.campaign, '(none)') AS campaign
        FROM cost c LEFT JOIN campaign p ON p.campaign = c.campaign
        UNION
        SELECT '(none)', '(none)'
    ) n
    LEFT JOIN campaign p ON p.campaign = n.campaign
    LEFT JOIN channel h ON h.channel = n.channel;
COMMENT ON VIEW _source_list IS 'one row a source: every channel by itself, and the pairs of channel and campaign of campaigns and costs';

-- Leads by source, with the times of their milestones.
CREATE OR REPLACE VIEW _lead_milestone WITH (security_invoker = true) AS
SELECT d.lead_id, d.channel, d.direction, d.campaign, d.sourcing, d.market, d.owner, m.lead_at, m.mql_at, m.sql_at, m.customer_at
FROM _source d
    LEFT JOIN _milestone m ON m.lead_id = d.lead_id;
COMMENT ON VIEW _lead_milestone IS 'one row a lead: its source, and when it first was in each stage or a higher one';

CREATE OR REPLACE VIEW _revenue WITH (security_invoker = true) AS
SELECT p.lead_id, sum(p.purchase_amount) AS revenue_amount
FROM purchases p
GROUP BY p.lead_id;
COMMENT ON VIEW _revenue IS 'one row a lead that bought: the sum of its purchases';
