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

-- Refunds may name their purchase in a property, which readers of views must
-- not see. The keys come as arrays, so that there is one call and no second scan
-- of the events; without refunds they are NULL, and nothing is done. A role that
-- row security prevents from seeing every lead gets no row: its refunds belong
-- to the last purchase before them.
CREATE OR REPLACE FUNCTION _refund_names(lead_ids bigint[], event_ids bigint[])
    RETURNS TABLE (lead_id bigint, event_id bigint, purchase_event_id bigint)
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    kinds text[];
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF NOT @pipeline@._shows_all_leads() THEN
        RETURN;
    END IF;
    kinds := leadscore_internal.kinds_of($table$@pipeline@.event_kind$table$, 'purchase');
    RETURN QUERY
        WITH refund AS MATERIALIZED (
            SELECT e.lead_id, e.event_id, e.properties ->> 'purchase' AS name
            FROM unnest(lead_ids, event_ids) AS k (lead_id, event_id)
                JOIN @pipeline@.event e USING (lead_id, event_id)
            WHERE e.properties ->> 'purchase' <> ''
        )
        SELECT r.lead_id, r.event_id, coalesce(s.event_id, n.event_id)
        FROM refund r
            LEFT JOIN @pipeline@.event s ON s.lead_id = r.lead_id AND s.source_id = r.name
                AND s.kind = ANY (kinds) AND NOT leadscore_internal.takes_back(s.value) AND leadscore_internal.is_dated(s.occurred_at) AND s.occurred_at <= pg_catalog.now()
            LEFT JOIN @pipeline@.event n ON n.lead_id = r.lead_id
                AND n.event_id = CASE WHEN r.name ~ '^[0-9]{1,18}$' THEN r.name::bigint END
                AND n.kind = ANY (kinds) AND NOT leadscore_internal.takes_back(n.value) AND leadscore_internal.is_dated(n.occurred_at) AND n.occurred_at <= pg_catalog.now();
END
$$;
REVOKE EXECUTE ON FUNCTION _refund_names(bigint[], bigint[]) FROM PUBLIC;
COMMENT ON FUNCTION _refund_names(bigint[], bigint[]) IS
    'of these refunds those that name a purchase, and the purchase; NULL: there is no such purchase of the lead';

-- Purchases and refunds. All events are read once, as they are many; what comes
-- after that looks only at leads that have refunds.
CREATE OR REPLACE VIEW _deal WITH (security_invoker = true) AS
WITH deal AS MATERIALIZED (
    SELECT e.lead_id, e.event_id, e.occurred_at, e.value, as_amount(abs(e.value)) AS amount, e.channel, e.campaign,
        takes_back(e.value) OR e.kind = ANY (kinds_of('event_kind', 'refund')) AS is_refund
    FROM event e
    WHERE e.kind = ANY (kinds_of('event_kind', 'purchase', 'refund'))
        -- what is dated ahead is no revenue yet, and its lead no customer
        AND is_dated(e.occurred_at) AND e.occurred_at <= now()
), named AS MATERIALIZED (
    SELECT n.lead_id, n.event_id, n.purchase_event_id
    FROM (
            SELECT array_agg(d.lead_id ORDER BY d.lead_id, d.event_id) AS lead_ids, array_agg(d.event_id ORDER BY d.lead_id, d.event_id) AS event_ids
            FROM deal d
            WHERE d.is_refund
        ) k
        CROSS JOIN LATERAL _refund_names(k.lead_ids, k.event_ids) n
), counted AS (
    SELECT d.lead_id, d.event_id, d.occurred_at, d.value, d.amount, d.is_refund, n.event_id IS NOT NULL AS names, n.purchase_event_id,
        count(*) FILTER (WHERE NOT d.is_refund) OVER (PARTITION BY d.lead_id ORDER BY d.occurred_at, d.is_refund, d.event_id) AS nth
    FROM deal d
        -- before anything is sorted by lead_id, or both would be merged by that
        -- alone, which takes for ever if one lead has most of the events
        LEFT JOIN named n USING (lead_id, event_id)
    WHERE d.lead_id IN (SELECT r.lead_id FROM deal r WHERE r.is_refund)
), linked AS (
    SELECT c.lead_id, c.event_id, c.occurred_at, c.value, c.amount, c.is_refund,
        CASE
            WHEN c.names THEN c.purchase_event_id
            -- of those after the nth purchase and before the next one the purchase is the first
            WHEN c.nth > 0 THEN first_value(c.event_id) OVER (PARTITION BY c.lead_id, c.nth ORDER BY c.is_refund, c.occurred_at, c.event_id)
        END AS purchase_event_id
    FROM counted c
), preceded AS (
    SELECT l.lead_id, l.event_id, l.occurred_at, l.value, l.amount, l.is_refund, l.purchase_event_id,
        min(l.occurred_at) FILTER (WHERE NOT l.is_refund) OVER same AS purchased_at,
        min(l.amount) FILTER (WHERE NOT l.is_refund) OVER same AS purchase_amount,
        coalesce(sum(l.amount) FILTER (WHERE l.is_refund) OVER before, 0) AS amount_before,
        coalesce(bool_or(l.is_refund AND l.value IS NULL) OVER before, false) AS whole_before
    FROM linked l
    WINDOW same AS (PARTITION BY l.lead_id, l.purchase_event_id),
        before AS (PARTITION BY l.lead_id, l.purchase_event_id ORDER BY l.is_refund, l.occurred_at, l.event_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
), given AS (
    SELECT p.lead_id, p.event_id, p.is_refund, p.purchase_event_id, p.purchased_at, p.purchase_amount,
        CASE
            WHEN NOT p.is_refund THEN NULL
            WHEN p.value IS NOT NULL THEN p.amount
            WHEN p.purchase_amount IS NULL THEN NULL
            WHEN p.whole_before THEN 0
            -- without a value: all that is left of the purchase
            ELSE greatest(p.purchase_amount - p.amount_before, 0)
        END AS refund_amount
    FROM preceded p
), summed AS MATERIALIZED (
    SELECT g.lead_id, g.event_id, g.purchase_event_id, g.purchased_at, g.purchase_amount, g.refund_amount,
        coalesce(sum(g.refund_amount) OVER (PARTITION BY g.lead_id, g.purchase_event_id), 0) AS refunded_amount
    FROM given g
)
SELECT
    d.lead_id,
    d.event_id,
    d.occurred_at,
    d.is_refund,
    d.amount,
    d.channel,
    d.campaign,
    s.purchase_event_id,
    s.purchased_at,
    s.purchase_amount,
    s.refund_amount,
    coalesce(s.refunded_amount, 0) AS refunded_amount
FROM deal d
    LEFT JOIN summed s USING (lead_id, event_id);
COMMENT ON VIEW _deal IS
    'one row a purchase or refund; of a purchase the sum of its refunds, of a refund its purchase and amount';

-- Revenue is the sum of net_amount everywhere. A refund belongs to its purchase:
-- it counts where and when the purchase counts.
CREATE OR REPLACE VIEW purchases WITH (security_invoker = true) AS
SELECT
    d.lead_id,
    d.event_id,
    d.occurred_at AS purchased_at,
    month_start(d.occurred_at, s.time_zone) AS purchase_month,
    d.amount::numeric(14,2) AS purchase_amount,
    d.channel,
    d.campaign,
    as_amount(d.refunded_amount)::numeric(14,2) AS refund_amount,
    as_amount(d.amount - d.refunded_amount)::numeric(14,2) AS net_amount
FROM _deal d
    CROSS JOIN setting s
WHERE NOT d.is_refund;
COMMENT ON VIEW purchases IS 'one row a purchase up to now: events of role purchase whose value is not negative';
COMMENT ON COLUMN purchases.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN purchases.event_id IS 'number of the event, see the table event';
COMMENT ON COLUMN purchases.purchased_at IS 'when it was bought';
COMMENT ON COLUMN purchases.purchase_month IS 'first day of the month of purchased_at';
COMMENT ON COLUMN purchases.purchase_amount IS 'amount of the purchase, without regard to refunds; NULL: not known';
COMMENT ON COLUMN purchases.channel IS 'channel that the purchase came by, if the event says so';
COMMENT ON COLUMN purchases.campaign IS 'campaign that the purchase came by, if the event says so';
COMMENT ON COLUMN purchases.refund_amount IS 'sum of its refunds so far, whenever they came; 0: none';
COMMENT ON COLUMN purchases.net_amount IS 'purchase_amount - refund_amount, the revenue; negative if more was refunded than paid; NULL: purchase_amount is not known';

CREATE OR REPLACE VIEW refunds WITH (security_invoker = true) AS
SELECT
    d.lead_id,
    d.event_id,
    d.occurred_at AS refunded_at,
    month_start(d.occurred_at, s.time_zone) AS refund_month,
    as_amount(d.refund_amount)::numeric(14,2) AS refund_amount,
    CASE
        WHEN d.purchase_event_id IS NULL THEN 'no purchase'
        WHEN d.refund_amount IS NULL OR d.purchase_amount IS NULL THEN 'no amount'
        ELSE 'refunded'
    END AS status,
    d.purchase_event_id,
    d.purchased_at,
    month_start(d.purchased_at, s.time_zone) AS purchase_month,
    d.purchase_amount::numeric(14,2) AS purchase_amount
FROM _deal d
    CROSS JOIN setting s
WHERE d.is_refund;
COMMENT ON VIEW refunds IS 'one row a refund up to now: events of role refund, and of role purchase with a negative value; each belongs to the purchase that it names, or else to the last one before it';
COMMENT ON COLUMN refunds.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN refunds.event_id IS 'number of the event of the refund, see the table event';
COMMENT ON COLUMN refunds.refunded_at IS 'when it was refunded';
COMMENT ON COLUMN refunds.refund_month IS 'first day of the month of refunded_at; reports count the refund in purchase_month';
COMMENT ON COLUMN refunds.refund_amount IS 'amount that was paid back, positive; of an event without a value what earlier refunds left of the purchase; NULL: not known';
COMMENT ON COLUMN refunds.status IS 'refunded: it lowers the net_amount of its purchase; no purchase: the lead has no such purchase, or none up to then, and no revenue is lowered; no amount: the amount of the refund or of the purchase is not known, and no revenue is lowered';
COMMENT ON COLUMN refunds.purchase_event_id IS 'event of the purchase that it belongs to; NULL: none';
COMMENT ON COLUMN refunds.purchased_at IS 'when that purchase was';
COMMENT ON COLUMN refunds.purchase_month IS 'first day of the month of purchased_at';
COMMENT ON COLUMN refunds.purchase_amount IS 'amount of that purchase; NULL: not known, or no purchase';

-- A cost of several months is split by days, rounded so that the parts add up
-- to it. Days to come have cost nothing yet: a tool that is paid for a year would
-- else be compared with the leads and the revenue of the months so far.
CREATE OR REPLACE VIEW cost_by_month WITH (security_invoker = true) AS
SELECT
    m.month::date AS calendar_month,
    coalesce(c.channel, p.channel, '(none)') AS channel,
    coalesce(p.direction, h.direction, '(none)') AS direction,
    coalesce(c.campaign, '(none)') AS campaign,
    coalesce(p.sourcing, '(none)') AS sourcing,
    coalesce(c.category, '(none)') AS category,
    as_amount(sum(round(c.amount * d.spent / d.days, 2) - round(c.amount * d.before / d.days, 2)))::numeric(14,2) AS cost_amount,
    as_amount(sum(round(c.amount * d.upto / d.days, 2) - round(c.amount * d.spent / d.days, 2)))::numeric(14,2) AS planned_amount
FROM cost c
    CROSS JOIN (SELECT date_of(now(), z.time_zone) AS today FROM setting z) s
    LEFT JOIN campaign p ON p.campaign = c.campaign
    LEFT JOIN channel h ON h.channel = coalesce(c.channel, p.channel)
    CROSS JOIN LATERAL generate_series(date_trunc('month', c.day_from::timestamp), c.day_to::timestamp, interval '1 month') AS m (month)
    CROSS JOIN LATERAL (SELECT
        c.day_to - c.day_from + 1,
        greatest(m.month::date - c.day_from, 0),
        least((m.month + interval '1 month')::date - c.day_from, c.day_to - c.day_from + 1),
        s.today - c.day_from + 1
    ) AS e (days, before, upto, gone)
    CROSS JOIN LATERAL (SELECT e.days, e.before, e.upto, least(greatest(e.gone, e.before), e.upto)) AS d (days, before, upto, spent)
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
COMMENT ON COLUMN cost_by_month.cost_amount IS 'cost in the month, of days up to today';
COMMENT ON COLUMN cost_by_month.planned_amount IS 'cost in the month, of days to come, which no other report counts yet';

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
SELECT d.lead_id, d.channel, d.direction, d.campaign, d.sourcing, d.market, d.owner, m.lead_at, m.mql_at, m.sql_at, m.customer_at, d.created_at
FROM _source d
    LEFT JOIN _milestone m ON m.lead_id = d.lead_id;
COMMENT ON VIEW _lead_milestone IS 'one row a lead: its source, and when it first was in each stage or a higher one';

CREATE OR REPLACE VIEW _revenue WITH (security_invoker = true) AS
SELECT p.lead_id, sum(p.net_amount) AS revenue_amount
FROM purchases p
GROUP BY p.lead_id;
COMMENT ON VIEW _revenue IS 'one row a lead that bought: the sum of its purchases less refunds';
