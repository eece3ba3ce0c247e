-- Money: what leads cost, what they bring, and what will come.

-- Amounts come from apps: a view must not fail because one of them is odd.
CREATE OR REPLACE FUNCTION as_amount(value numeric) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN abs(round(as_amount.value, 2)) < 1000000000000 THEN round(as_amount.value, 2) END;
END;
COMMENT ON FUNCTION as_amount(numeric) IS 'an amount in hundredths; NULL if it is no number, infinite, or a million millions and more';

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
    AND isfinite(e.occurred_at);
COMMENT ON VIEW purchases IS 'one row a purchase: events of role purchase';
COMMENT ON COLUMN purchases.lead_id IS 'the lead';
COMMENT ON COLUMN purchases.event_id IS 'the event';
COMMENT ON COLUMN purchases.purchased_at IS 'when it was bought';
COMMENT ON COLUMN purchases.purchase_month IS 'first day of the month of that';
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
GROUP BY 1, 2, 3, 4, 5, 6;
COMMENT ON VIEW cost_by_month IS 'one row a month, source and category: costs, those of several months split by days';
COMMENT ON COLUMN cost_by_month.calendar_month IS 'first day of the month';
COMMENT ON COLUMN cost_by_month.channel IS 'channel of the cost, or of its campaign; (none): all';
COMMENT ON COLUMN cost_by_month.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN cost_by_month.campaign IS 'campaign of the cost; (none): all';
COMMENT ON COLUMN cost_by_month.sourcing IS 'internal or outsourced, of the campaign; (none): not known';
COMMENT ON COLUMN cost_by_month.category IS 'what it was spent on; (none): not said';
COMMENT ON COLUMN cost_by_month.cost_amount IS 'amount';

-- The pairs of channel and campaign that are known, so that reports have a row
-- for each though nothing came of it.
CREATE OR REPLACE VIEW source_list WITH (security_invoker = true) AS
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
COMMENT ON VIEW source_list IS 'one row a source: every channel by itself, and the pairs of channel and campaign of campaigns and costs';
COMMENT ON COLUMN source_list.channel IS 'the channel';
COMMENT ON COLUMN source_list.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN source_list.campaign IS 'the campaign; (none): the channel by itself';
COMMENT ON COLUMN source_list.sourcing IS 'internal or outsourced, of the campaign; (none): not known';

CREATE OR REPLACE VIEW cost_per_lead WITH (security_invoker = true) AS
WITH reached AS (
    SELECT m.channel, m.campaign,
        month_start(m.lead_at, s.time_zone) AS lead_month,
        month_start(m.mql_at, s.time_zone) AS mql_month,
        month_start(m.sql_at, s.time_zone) AS sql_month,
        month_start(m.customer_at, s.time_zone) AS customer_month,
        count(*) AS leads
    FROM lead_milestone m
        CROSS JOIN setting s
    WHERE m.lead_at IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5, 6
), part AS (
    SELECT t.month AS calendar_month, r.channel, r.campaign,
        sum(r.leads) FILTER (WHERE t.stage = 1) AS leads,
        sum(r.leads) FILTER (WHERE t.stage = 2) AS mqls,
        sum(r.leads) FILTER (WHERE t.stage = 3) AS sqls,
        sum(r.leads) FILTER (WHERE t.stage = 4) AS customers,
        0::numeric AS cost_amount
    FROM reached r
        CROSS JOIN LATERAL (VALUES (1, r.lead_month), (2, r.mql_month), (3, r.sql_month), (4, r.customer_month)) AS t (stage, month)
    WHERE t.month IS NOT NULL
    GROUP BY 1, 2, 3
    UNION ALL
    SELECT c.calendar_month, c.channel, c.campaign, 0, 0, 0, 0, sum(c.cost_amount) AS cost_amount
    FROM cost_by_month c
    GROUP BY 1, 2, 3
), filled AS (
    SELECT p.calendar_month, p.channel, p.campaign, p.leads, p.mqls, p.sqls, p.customers, p.cost_amount
    FROM part p
    UNION ALL
    -- a source of which there is nothing has one row, in this month
    SELECT month_start(now(), s.time_zone) AS calendar_month, n.channel, n.campaign, 0, 0, 0, 0, 0
    FROM source_list n
        CROSS JOIN setting s
    WHERE NOT EXISTS (SELECT FROM part p WHERE p.channel = n.channel AND p.campaign = n.campaign)
), total AS (
    SELECT f.calendar_month, f.channel, f.campaign,
        coalesce(sum(f.leads), 0)::bigint AS leads,
        coalesce(sum(f.mqls), 0)::bigint AS mqls,
        coalesce(sum(f.sqls), 0)::bigint AS sqls,
        coalesce(sum(f.customers), 0)::bigint AS customers,
        sum(f.cost_amount) AS cost_amount
    FROM filled f
    GROUP BY 1, 2, 3
)
SELECT
    t.calendar_month,
    t.channel,
    coalesce(p.direction, h.direction, '(none)') AS direction,
    t.campaign,
    as_amount(t.cost_amount)::numeric(14,2) AS cost_amount,
    t.leads,
    t.mqls,
    t.sqls,
    t.customers,
    as_amount(t.cost_amount / nullif(t.leads, 0))::numeric(14,2) AS cost_per_lead_amount,
    as_amount(t.cost_amount / nullif(t.mqls, 0))::numeric(14,2) AS cost_per_mql_amount,
    as_amount(t.cost_amount / nullif(t.sqls, 0))::numeric(14,2) AS cost_per_sql_amount,
    as_amount(t.cost_amount / nullif(t.customers, 0))::numeric(14,2) AS cost_per_customer_amount
FROM total t
    LEFT JOIN campaign p ON p.campaign = t.campaign
    LEFT JOIN channel h ON h.channel = t.channel;
COMMENT ON VIEW cost_per_lead IS 'one row a month and source: what was spent in the month, who was new in it, and what one cost';
COMMENT ON COLUMN cost_per_lead.calendar_month IS 'first day of the month';
COMMENT ON COLUMN cost_per_lead.channel IS 'channel that the lead came by, or that of its campaign; (none): not known';
COMMENT ON COLUMN cost_per_lead.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN cost_per_lead.campaign IS 'campaign that the lead came by; (none): not known';
COMMENT ON COLUMN cost_per_lead.cost_amount IS 'what was spent on the source in the month; costs without a campaign or a channel have rows of their own, (none)';
COMMENT ON COLUMN cost_per_lead.leads IS 'leads that first were iql or higher in the month';
COMMENT ON COLUMN cost_per_lead.mqls IS 'leads that first were mql or higher in the month';
COMMENT ON COLUMN cost_per_lead.sqls IS 'leads that first were sql or higher in the month';
COMMENT ON COLUMN cost_per_lead.customers IS 'leads that first became customers in the month';
COMMENT ON COLUMN cost_per_lead.cost_per_lead_amount IS 'cost_amount / leads';
COMMENT ON COLUMN cost_per_lead.cost_per_mql_amount IS 'cost_amount / mqls';
COMMENT ON COLUMN cost_per_lead.cost_per_sql_amount IS 'cost_amount / sqls';
COMMENT ON COLUMN cost_per_lead.cost_per_customer_amount IS 'cost_amount / customers';

-- Attribution

CREATE OR REPLACE FUNCTION known_attribution(model text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN known_attribution.model IN ('first', 'last', 'linear', 'position', 'time_decay')
        THEN known_attribution.model
        ELSE refuse('invalid_parameter_value',
            CASE WHEN known_attribution.model IS NULL THEN 'attribution model must not be null'
                ELSE format('unknown attribution model "%s"', known_attribution.model) END,
            hint => 'Attribution models are first, last, linear, position and time_decay.')
    END;
END;
COMMENT ON FUNCTION known_attribution(text) IS 'the attribution model of this name, or an error that lists those there are';

CREATE OR REPLACE FUNCTION touch_weight(model text, place bigint, touches bigint, age_days double precision) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE touch_weight.model
        WHEN 'first' THEN CASE WHEN touch_weight.place = 1 THEN 1 ELSE 0 END
        WHEN 'last' THEN CASE WHEN touch_weight.place = touch_weight.touches THEN 1 ELSE 0 END
        WHEN 'linear' THEN 1
        -- 2/5 for the first and the last, 1/5 for those between; of two 1/2 each
        WHEN 'position' THEN CASE WHEN touch_weight.touches > 2 AND touch_weight.place IN (1, touch_weight.touches)
            THEN 2 * (touch_weight.touches - 2) ELSE 1 END
        -- halved every 7 days before the last touch; what is older than 7000
        -- days has no weight, and would underflow
        WHEN 'time_decay' THEN CASE WHEN touch_weight.age_days < 7000 THEN power(2::double precision, - touch_weight.age_days / 7) ELSE 0 END
    END;
END;
COMMENT ON FUNCTION touch_weight(text, bigint, bigint, double precision) IS
    'weight of a touch among those of a purchase: place counts from 1, age_days is the time before the last touch';

-- A touch is an event that names a channel or a campaign and that the lead did
-- or took part in. The lead's own origin is one too, unless an event tells it.
-- Who has none at all came by (none). Credits are millionths, given out by
-- largest remainder: so those of a purchase add up to one million exactly.
CREATE OR REPLACE VIEW attribution_credit WITH (security_invoker = true) AS
WITH buyer AS MATERIALIZED (
    SELECT p.lead_id, p.event_id, p.purchased_at, p.purchase_month, p.purchase_amount
    FROM purchases p
), touch AS MATERIALIZED (
    SELECT e.lead_id, e.event_id, e.occurred_at AS touched_at, e.channel, e.campaign
    FROM event e
    WHERE (e.channel IS NOT NULL OR e.campaign IS NOT NULL)
        AND isfinite(e.occurred_at)
        AND e.kind <> ALL (kinds_of('event_kind', 'purchase', 'lost', 'disqualified', 'recycled', 'points', 'stage', 'unsubscribe', 'email_sent'))
        AND EXISTS (SELECT FROM buyer b WHERE b.lead_id = e.lead_id)
), every_touch AS (
    SELECT t.lead_id, t.event_id, t.touched_at, t.channel, t.campaign
    FROM touch t
    UNION ALL
    SELECT l.lead_id, NULL::bigint AS event_id, l.created_at AS touched_at, l.channel, l.campaign
    FROM lead l
    WHERE (l.channel IS NOT NULL OR l.campaign IS NOT NULL)
        AND isfinite(l.created_at)
        AND EXISTS (SELECT FROM buyer b WHERE b.lead_id = l.lead_id)
        AND NOT EXISTS (SELECT FROM touch t WHERE t.lead_id = l.lead_id AND t.touched_at <= l.created_at)
), placed AS (
    SELECT b.lead_id, b.event_id AS purchase_event_id, b.purchased_at, b.purchase_month, b.purchase_amount,
        t.event_id AS touch_event_id, t.touched_at, t.channel, t.campaign,
        row_number() OVER path AS place,
        count(*) OVER run AS touches,
        date_part('epoch', max(t.touched_at) OVER run - t.touched_at) / 86400 AS age_days
    FROM buyer b
        LEFT JOIN every_touch t ON t.lead_id = b.lead_id AND t.touched_at <= b.purchased_at
    WINDOW run AS (PARTITION BY b.lead_id, b.event_id),
        path AS (PARTITION BY b.lead_id, b.event_id ORDER BY t.touched_at, t.event_id NULLS FIRST)
), shared AS (
    SELECT m.model, p.lead_id, p.purchase_event_id, p.purchased_at, p.purchase_month, p.purchase_amount,
        p.touch_event_id, p.touched_at, p.channel, p.campaign, p.place, p.touches,
        1000000 * w.weight / sum(w.weight) OVER (PARTITION BY p.lead_id, p.purchase_event_id, m.model) AS share
    FROM placed p
        CROSS JOIN (VALUES ('first'), ('last'), ('linear'), ('position'), ('time_decay')) AS m (model)
        CROSS JOIN LATERAL (SELECT touch_weight(m.model, p.place, p.touches, coalesce(p.age_days, 0))) AS w (weight)
), ranked AS (
    SELECT s.model, s.lead_id, s.purchase_event_id, s.purchased_at, s.purchase_month, s.purchase_amount,
        s.touch_event_id, s.touched_at, s.channel, s.campaign, s.place, s.touches,
        floor(s.share)::bigint AS whole,
        1000000 - sum(floor(s.share)::bigint) OVER (PARTITION BY s.lead_id, s.purchase_event_id, s.model) AS rest,
        row_number() OVER (PARTITION BY s.lead_id, s.purchase_event_id, s.model ORDER BY s.share - floor(s.share) DESC, s.place) AS turn
    FROM shared s
), given AS (
    SELECT r.model, r.lead_id, r.purchase_event_id, r.purchased_at, r.purchase_month, r.purchase_amount,
        r.touch_event_id, r.touched_at, r.channel, r.campaign, r.place, r.touches,
        r.whole + CASE WHEN r.turn <= r.rest THEN 1 ELSE 0 END AS micro_credits,
        sum(r.whole + CASE WHEN r.turn <= r.rest THEN 1 ELSE 0 END)
            OVER (PARTITION BY r.lead_id, r.purchase_event_id, r.model ORDER BY r.place) AS upto
    FROM ranked r
)
SELECT
    g.model,
    g.lead_id,
    g.purchase_event_id,
    g.purchased_at,
    g.purchase_month,
    g.purchase_amount,
    g.touch_event_id,
    g.touched_at,
    coalesce(g.channel, c.channel, '(none)') AS channel,
    coalesce(c.direction, h.direction, '(none)') AS direction,
    coalesce(g.campaign, '(none)') AS campaign,
    g.place,
    g.touches,
    g.micro_credits,
    g.micro_credits / 1000000::double precision AS credit,
    -- rounded so that the parts add up to the amount
    (round(g.purchase_amount * g.upto / 1000000, 2) - round(g.purchase_amount * (g.upto - g.micro_credits) / 1000000, 2))::numeric(14,2) AS revenue_amount
FROM given g
    LEFT JOIN campaign c ON c.campaign = g.campaign
    LEFT JOIN channel h ON h.channel = coalesce(g.channel, c.channel);
COMMENT ON VIEW attribution_credit IS 'one row a purchase, touch before it, and attribution model: what share of the purchase the touch is given';
COMMENT ON COLUMN attribution_credit.model IS 'attribution model: first, last, linear, position or time_decay';
COMMENT ON COLUMN attribution_credit.lead_id IS 'the lead';
COMMENT ON COLUMN attribution_credit.purchase_event_id IS 'event of the purchase';
COMMENT ON COLUMN attribution_credit.purchased_at IS 'when it was bought';
COMMENT ON COLUMN attribution_credit.purchase_month IS 'first day of the month of that';
COMMENT ON COLUMN attribution_credit.purchase_amount IS 'amount of the purchase; NULL: not known';
COMMENT ON COLUMN attribution_credit.touch_event_id IS 'event of the touch; NULL: the origin of the lead';
COMMENT ON COLUMN attribution_credit.touched_at IS 'when it was';
COMMENT ON COLUMN attribution_credit.channel IS 'channel of the touch, or of its campaign; (none): not known';
COMMENT ON COLUMN attribution_credit.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN attribution_credit.campaign IS 'campaign of the touch; (none): not known';
COMMENT ON COLUMN attribution_credit.place IS 'number of the touch';
COMMENT ON COLUMN attribution_credit.touches IS 'number of touches before the purchase';
COMMENT ON COLUMN attribution_credit.micro_credits IS 'share of the purchase in millionths; those of a purchase and model add up to 1000000';
COMMENT ON COLUMN attribution_credit.credit IS 'the share as a fraction';
COMMENT ON COLUMN attribution_credit.revenue_amount IS 'share of the amount; those of a purchase and model add up to it';

CREATE OR REPLACE FUNCTION attribution(model text)
    RETURNS TABLE (lead_id bigint, purchase_event_id bigint, purchased_at timestamptz, purchase_amount numeric, touch_event_id bigint,
        touched_at timestamptz, channel text, direction text, campaign text, place bigint, touches bigint, micro_credits bigint,
        credit double precision, revenue_amount numeric)
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT known_attribution(attribution.model);
    SELECT a.lead_id, a.purchase_event_id, a.purchased_at, a.purchase_amount, a.touch_event_id,
        a.touched_at, a.channel, a.direction, a.campaign, a.place, a.touches, a.micro_credits, a.credit, a.revenue_amount
    FROM attribution_credit a
    WHERE a.model = attribution.model
    ORDER BY a.purchased_at, a.lead_id, a.purchase_event_id, a.place;
END;
COMMENT ON FUNCTION attribution(text) IS
    'what each touch before a purchase is given of it: first, last, linear, position (2/5, 1/5, 2/5) or time_decay (halved every 7 days); micro_credits of a purchase add up to 1000000';

CREATE OR REPLACE VIEW roas WITH (security_invoker = true) AS
WITH revenue AS (
    SELECT a.model, a.channel, a.campaign, sum(a.micro_credits) AS micro_credits, sum(a.revenue_amount) AS revenue_amount
    FROM attribution_credit a
    GROUP BY a.model, a.channel, a.campaign
), spent AS (
    SELECT c.channel, c.campaign, sum(c.cost_amount) AS cost_amount
    FROM cost_by_month c
    GROUP BY c.channel, c.campaign
), line AS (
    SELECT m.model, n.channel, n.campaign
    FROM (VALUES ('first'), ('last'), ('linear'), ('position'), ('time_decay')) AS m (model)
        CROSS JOIN source_list n
    UNION
    SELECT r.model, r.channel, r.campaign FROM revenue r
)
SELECT
    n.model,
    n.channel,
    coalesce(p.direction, h.direction, '(none)') AS direction,
    n.campaign,
    coalesce(r.micro_credits, 0) / 1000000::double precision AS credited_purchases,
    as_amount(coalesce(r.revenue_amount, 0))::numeric(14,2) AS revenue_amount,
    as_amount(coalesce(s.cost_amount, 0))::numeric(14,2) AS cost_amount,
    coalesce(r.revenue_amount, 0)::double precision / nullif(s.cost_amount, 0)::double precision AS roas
FROM line n
    LEFT JOIN revenue r USING (model, channel, campaign)
    LEFT JOIN spent s USING (channel, campaign)
    LEFT JOIN campaign p ON p.campaign = n.campaign
    LEFT JOIN channel h ON h.channel = n.channel;
COMMENT ON VIEW roas IS 'one row an attribution model and source: revenue credited to it for each unit of money spent on it';
COMMENT ON COLUMN roas.model IS 'attribution model: first, last, linear, position or time_decay';
COMMENT ON COLUMN roas.channel IS 'the channel';
COMMENT ON COLUMN roas.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN roas.campaign IS 'the campaign';
COMMENT ON COLUMN roas.credited_purchases IS 'purchases, shared ones in part';
COMMENT ON COLUMN roas.revenue_amount IS 'revenue credited to the source';
COMMENT ON COLUMN roas.cost_amount IS 'what was spent on the source';
COMMENT ON COLUMN roas.roas IS 'revenue_amount / cost_amount';

CREATE OR REPLACE VIEW roi WITH (security_invoker = true) AS
SELECT
    r.model,
    r.channel,
    r.direction,
    r.campaign,
    r.revenue_amount,
    r.cost_amount,
    as_amount(r.revenue_amount - r.cost_amount)::numeric(14,2) AS profit_amount,
    (r.revenue_amount - r.cost_amount)::double precision / nullif(r.cost_amount, 0)::double precision AS roi
FROM roas r;
COMMENT ON VIEW roi IS 'one row an attribution model and source: profit for each unit of money spent on it';
COMMENT ON COLUMN roi.model IS 'attribution model: first, last, linear, position or time_decay';
COMMENT ON COLUMN roi.channel IS 'the channel';
COMMENT ON COLUMN roi.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN roi.campaign IS 'the campaign';
COMMENT ON COLUMN roi.revenue_amount IS 'revenue credited to the source';
COMMENT ON COLUMN roi.cost_amount IS 'what was spent on the source';
COMMENT ON COLUMN roi.profit_amount IS 'revenue_amount - cost_amount';
COMMENT ON COLUMN roi.roi IS '(revenue_amount - cost_amount) / cost_amount';

CREATE OR REPLACE VIEW customer_lifetime_value WITH (security_invoker = true) AS
WITH customer AS (
    SELECT p.lead_id, min(p.purchase_month) AS cohort_month, count(*) AS purchases, coalesce(sum(p.purchase_amount), 0) AS revenue_amount,
        date_part('epoch', max(p.purchased_at) - min(p.purchased_at)) / 86400 AS days
    FROM purchases p
    GROUP BY p.lead_id
)
SELECT
    c.cohort_month,
    coalesce(l.channel, p.channel, '(none)') AS channel,
    coalesce(p.direction, h.direction, '(none)') AS direction,
    coalesce(l.campaign, '(none)') AS campaign,
    count(*) AS customers,
    sum(c.purchases)::bigint AS purchases,
    as_amount(sum(c.revenue_amount))::numeric(14,2) AS revenue_amount,
    as_amount(sum(c.revenue_amount) / nullif(count(*), 0))::numeric(14,2) AS lifetime_value_amount,
    as_amount(sum(c.revenue_amount) / nullif(sum(c.purchases), 0))::numeric(14,2) AS revenue_per_purchase_amount,
    count(*) FILTER (WHERE c.purchases > 1) AS repeat_customers,
    count(*) FILTER (WHERE c.purchases > 1)::double precision / nullif(count(*), 0) AS repeat_rate,
    avg(c.days) AS buying_days
FROM customer c
    JOIN lead l USING (lead_id)
    LEFT JOIN campaign p ON p.campaign = l.campaign
    LEFT JOIN channel h ON h.channel = coalesce(l.channel, p.channel)
GROUP BY 1, 2, 3, 4;
COMMENT ON VIEW customer_lifetime_value IS 'one row a month of first purchase and source: what those customers have brought so far';
COMMENT ON COLUMN customer_lifetime_value.cohort_month IS 'first day of the month of the first purchase';
COMMENT ON COLUMN customer_lifetime_value.channel IS 'channel that the lead came by, or that of its campaign; (none): not known';
COMMENT ON COLUMN customer_lifetime_value.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN customer_lifetime_value.campaign IS 'campaign that the lead came by; (none): not known';
COMMENT ON COLUMN customer_lifetime_value.customers IS 'leads that bought';
COMMENT ON COLUMN customer_lifetime_value.purchases IS 'what they bought, in number';
COMMENT ON COLUMN customer_lifetime_value.revenue_amount IS 'sum of purchases';
COMMENT ON COLUMN customer_lifetime_value.lifetime_value_amount IS 'revenue_amount / customers';
COMMENT ON COLUMN customer_lifetime_value.revenue_per_purchase_amount IS 'revenue_amount / purchases';
COMMENT ON COLUMN customer_lifetime_value.repeat_customers IS 'customers that bought more than once';
COMMENT ON COLUMN customer_lifetime_value.repeat_rate IS 'repeat_customers / customers';
COMMENT ON COLUMN customer_lifetime_value.buying_days IS 'mean time from the first purchase to the last so far';

-- Months are counted from that of the first purchase, up to this one.
CREATE OR REPLACE VIEW customer_retention WITH (security_invoker = true) AS
WITH bought AS (
    SELECT p.purchase_month, min(p.purchase_month) OVER (PARTITION BY p.lead_id) AS cohort_month, sum(p.purchase_amount) AS amount
    FROM purchases p
    GROUP BY p.lead_id, p.purchase_month
), month AS (
    SELECT b.cohort_month, b.purchase_month, count(*) AS buyers, sum(b.amount) AS amount
    FROM bought b
    GROUP BY b.cohort_month, b.purchase_month
)
SELECT
    c.cohort_month,
    m.calendar_month::date AS calendar_month,
    12 * (date_part('year', m.calendar_month) - date_part('year', c.cohort_month))::integer
        + (date_part('month', m.calendar_month) - date_part('month', c.cohort_month))::integer AS months_since,
    c.buyers AS customers,
    coalesce(b.buyers, 0) AS buyers,
    coalesce(b.buyers, 0)::double precision / c.buyers AS retention_rate,
    as_amount(coalesce(b.amount, 0))::numeric(14,2) AS revenue_amount
FROM month c
    CROSS JOIN setting s
    CROSS JOIN LATERAL generate_series(c.cohort_month::timestamp,
        greatest(c.cohort_month, month_start(now(), s.time_zone))::timestamp, interval '1 month') AS m (calendar_month)
    LEFT JOIN month b ON b.cohort_month = c.cohort_month AND b.purchase_month = m.calendar_month::date
WHERE c.purchase_month = c.cohort_month;
COMMENT ON VIEW customer_retention IS 'one row a month of first purchase and month since then: how many of those customers bought again in it';
COMMENT ON COLUMN customer_retention.cohort_month IS 'first day of the month of the first purchase';
COMMENT ON COLUMN customer_retention.calendar_month IS 'first day of the month looked at';
COMMENT ON COLUMN customer_retention.months_since IS 'months from the one to the other; 0: the month of the first purchase';
COMMENT ON COLUMN customer_retention.customers IS 'leads that first bought in cohort_month';
COMMENT ON COLUMN customer_retention.buyers IS 'of these, those that bought in calendar_month';
COMMENT ON COLUMN customer_retention.retention_rate IS 'buyers / customers';
COMMENT ON COLUMN customer_retention.revenue_amount IS 'what they bought in calendar_month';

CREATE OR REPLACE VIEW value_by_stage WITH (security_invoker = true) AS
WITH entry AS (
    SELECT h.lead_id, h.to_stage, min(h.effective_at) AS entered_at
    FROM stage_history h
    WHERE h.to_stage >= 'visitor'
    GROUP BY h.lead_id, h.to_stage
), entered AS (
    SELECT stage_rank(e.to_stage) AS stage_rank, count(*) AS leads
    FROM entry e
    GROUP BY e.to_stage
), bought AS (
    SELECT stage_rank(e.to_stage) AS stage_rank, count(DISTINCT e.lead_id) AS customers, sum(p.purchase_amount) AS revenue_amount
    FROM purchases p
        JOIN entry e ON e.lead_id = p.lead_id AND e.entered_at <= p.purchased_at
    GROUP BY e.to_stage
), figure AS (
    SELECT t.stage::text AS stage, t.stage_rank, t.stage_label,
        coalesce(n.leads, 0) AS leads,
        coalesce(b.customers, 0) AS customers,
        coalesce(b.revenue_amount, 0) AS revenue_amount,
        coalesce(b.revenue_amount, 0) / nullif(n.leads, 0) AS value
    FROM stages() t
        LEFT JOIN entered n USING (stage_rank)
        LEFT JOIN bought b USING (stage_rank)
    WHERE t.stage >= 'visitor'
)
SELECT
    f.stage,
    f.stage_rank,
    f.stage_label,
    f.leads,
    f.customers,
    f.customers::double precision / nullif(f.leads, 0) AS customer_rate,
    as_amount(f.revenue_amount)::numeric(14,2) AS revenue_amount,
    as_amount(f.value)::numeric(14,2) AS value_per_lead_amount,
    f.value::double precision / nullif(i.value, 0)::double precision AS ratio_to_iql,
    b.low AS benchmark_low,
    b.high AS benchmark_high,
    b.source AS benchmark_source,
    compared(f.value::double precision / nullif(i.value, 0)::double precision, b.low, b.high) AS benchmark_status
FROM figure f
    LEFT JOIN figure i ON i.stage_rank = stage_rank('iql')
    LEFT JOIN benchmark b ON b.metric = f.stage || '_value_ratio' AND b.segment = 'all';
COMMENT ON VIEW value_by_stage IS 'one row a stage: what a lead that was in it has brought on average since it came in, and how that compares with an iql';
COMMENT ON COLUMN value_by_stage.stage IS 'the stage';
COMMENT ON COLUMN value_by_stage.stage_rank IS 'order of the stages';
COMMENT ON COLUMN value_by_stage.stage_label IS 'the stage with a number in front, for tools that sort by name';
COMMENT ON COLUMN value_by_stage.leads IS 'leads that ever were in it';
COMMENT ON COLUMN value_by_stage.customers IS 'of these, those that bought afterwards';
COMMENT ON COLUMN value_by_stage.customer_rate IS 'customers / leads';
COMMENT ON COLUMN value_by_stage.revenue_amount IS 'what they bought for afterwards';
COMMENT ON COLUMN value_by_stage.value_per_lead_amount IS 'revenue_amount / leads';
COMMENT ON COLUMN value_by_stage.ratio_to_iql IS 'value of a lead here / value of an iql';
COMMENT ON COLUMN value_by_stage.benchmark_low IS 'lower end of the goal for ratio_to_iql';
COMMENT ON COLUMN value_by_stage.benchmark_high IS 'upper end of the goal for ratio_to_iql';
COMMENT ON COLUMN value_by_stage.benchmark_source IS 'where the goal comes from';
COMMENT ON COLUMN value_by_stage.benchmark_status IS 'below, within or above the goal; NULL: nothing to compare';

-- How many of a stage become customers. Leads younger than mature_after are
-- left out: they had less time. Leaving out open ones instead would overstate
-- it, as customers are settled sooner.
CREATE OR REPLACE VIEW stage_to_customer WITH (security_invoker = true) AS
WITH run AS (
    SELECT
        h.lead_id,
        h.cycle,
        min(h.seq) FILTER (WHERE h.to_stage = 'visitor') AS visitor_in,
        min(h.seq) FILTER (WHERE h.to_stage = 'visitor' AND h.effective_at <= t.before) AS visitor_matured,
        min(h.seq) FILTER (WHERE h.to_stage = 'iql') AS iql_in,
        min(h.seq) FILTER (WHERE h.to_stage = 'iql' AND h.effective_at <= t.before) AS iql_matured,
        min(h.seq) FILTER (WHERE h.to_stage = 'mql') AS mql_in,
        min(h.seq) FILTER (WHERE h.to_stage = 'mql' AND h.effective_at <= t.before) AS mql_matured,
        min(h.seq) FILTER (WHERE h.to_stage = 'sql') AS sql_in,
        min(h.seq) FILTER (WHERE h.to_stage = 'sql' AND h.effective_at <= t.before) AS sql_matured,
        min(h.seq) FILTER (WHERE h.to_stage = 'prospect') AS prospect_in,
        min(h.seq) FILTER (WHERE h.to_stage = 'prospect' AND h.effective_at <= t.before) AS prospect_matured,
        max(h.seq) FILTER (WHERE h.to_stage >= 'customer') AS customer_last
    FROM stage_history h
        CROSS JOIN (SELECT now() - fixed_period(s.mature_after) AS before FROM setting s) t
    GROUP BY h.lead_id, h.cycle
), total AS (
    SELECT
        count(r.visitor_in) AS visitors,
        count(r.visitor_matured) AS visitors_matured,
        count(*) FILTER (WHERE r.customer_last > r.visitor_matured) AS visitors_won,
        count(r.iql_in) AS iqls,
        count(r.iql_matured) AS iqls_matured,
        count(*) FILTER (WHERE r.customer_last > r.iql_matured) AS iqls_won,
        count(r.mql_in) AS mqls,
        count(r.mql_matured) AS mqls_matured,
        count(*) FILTER (WHERE r.customer_last > r.mql_matured) AS mqls_won,
        count(r.sql_in) AS sqls,
        count(r.sql_matured) AS sqls_matured,
        count(*) FILTER (WHERE r.customer_last > r.sql_matured) AS sqls_won,
        count(r.prospect_in) AS prospects,
        count(r.prospect_matured) AS prospects_matured,
        count(*) FILTER (WHERE r.customer_last > r.prospect_matured) AS prospects_won
    FROM run r
), present AS (
    SELECT stage_rank(n.stage) AS stage_rank, count(*) AS leads
    FROM lead_state s
        LEFT JOIN model m ON m.status = 'active'
        CROSS JOIN LATERAL (SELECT CASE WHEN s.next_review_at <= now() OR s.configuration < (SELECT g.configuration FROM setting g) THEN current_stage(pipeline(), s.lead_id) ELSE s.stage END) AS n (stage)
    GROUP BY stage_rank(n.stage)
)
SELECT
    v.stage,
    stage_rank(v.stage::lead_stage) AS stage_rank,
    v.entered,
    v.matured,
    v.converted,
    v.converted::double precision / nullif(v.matured, 0) AS customer_rate,
    rate_low(v.converted, v.matured) AS low_rate,
    rate_high(v.converted, v.matured) AS high_rate,
    coalesce(p.leads, 0) AS leads_now
FROM total t
    CROSS JOIN LATERAL (VALUES
        ('visitor', t.visitors, t.visitors_matured, t.visitors_won),
        ('iql', t.iqls, t.iqls_matured, t.iqls_won),
        ('mql', t.mqls, t.mqls_matured, t.mqls_won),
        ('sql', t.sqls, t.sqls_matured, t.sqls_won),
        ('prospect', t.prospects, t.prospects_matured, t.prospects_won)
    ) AS v (stage, entered, matured, converted)
    LEFT JOIN present p ON p.stage_rank = stage_rank(v.stage::lead_stage);
COMMENT ON VIEW stage_to_customer IS 'one row an open stage: the share of those in it that become customers; only of those in it for mature_after';
COMMENT ON COLUMN stage_to_customer.stage IS 'the stage';
COMMENT ON COLUMN stage_to_customer.stage_rank IS 'order of the stages';
COMMENT ON COLUMN stage_to_customer.entered IS 'runs through the funnel that were in it';
COMMENT ON COLUMN stage_to_customer.matured IS 'of these, those that came in before mature_after';
COMMENT ON COLUMN stage_to_customer.converted IS 'of the matured, those that became customers afterwards';
COMMENT ON COLUMN stage_to_customer.customer_rate IS 'converted / matured';
COMMENT ON COLUMN stage_to_customer.low_rate IS 'lower end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN stage_to_customer.high_rate IS 'upper end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN stage_to_customer.leads_now IS 'leads in it now';

-- N leads of which a share p buys for m on average. The interval (95 %) is made
-- of what chance does to N leads, N (p s2 + p (1 - p) m2), of not knowing p
-- well, (N m)2 p (1 - p) / n, and of not knowing m well, (N p)2 s2 / purchases.
-- The row all has the sum; its interval is narrower than the sum of intervals.
CREATE OR REPLACE VIEW pipeline_forecast WITH (security_invoker = true) AS
WITH deal AS (
    SELECT count(p.purchase_amount) AS purchases,
        avg(p.purchase_amount)::double precision AS mean,
        coalesce(var_samp(p.purchase_amount), 0)::double precision AS variance
    FROM purchases p
), part AS (
    SELECT r.stage, r.stage_rank, r.leads_now AS leads, r.customer_rate, d.mean, d.variance, d.purchases,
        r.leads_now * r.customer_rate AS customers,
        -- p with two successes and two failures more: none in ten is not never
        r.leads_now * q.p * d.variance + r.leads_now * q.p * (1 - q.p) * d.mean * d.mean
            + power(r.leads_now * d.mean, 2) * q.p * (1 - q.p) / nullif(r.matured, 0) AS own_variance
    FROM stage_to_customer r
        CROSS JOIN deal d
        CROSS JOIN LATERAL (SELECT (r.converted + 1.9207294103470494) / (r.matured + 3.841458820694124)) AS q (p)
    WHERE r.stage_rank >= stage_rank('iql')
), line AS (
    SELECT p.stage, p.stage_rank, p.leads, p.customer_rate, p.mean, p.customers, p.customers * p.mean AS forecast,
        1.959963984540054 * sqrt(p.own_variance + power(p.customers, 2) * p.variance / nullif(p.purchases, 0)) AS margin
    FROM part p
    UNION ALL
    -- a stage of nobody needs no rate
    SELECT 'all', 0, sum(p.leads)::bigint,
        CASE WHEN bool_and(p.leads = 0 OR p.customers IS NOT NULL) THEN sum(p.customers) / nullif(sum(p.leads), 0)::double precision END,
        min(p.mean),
        CASE WHEN bool_and(p.leads = 0 OR p.customers IS NOT NULL) THEN sum(p.customers) END,
        CASE WHEN bool_and(p.leads = 0 OR p.customers IS NOT NULL) THEN sum(p.customers) * min(p.mean) END,
        CASE WHEN bool_and(p.leads = 0 OR p.customers IS NOT NULL)
            THEN 1.959963984540054 * sqrt(sum(p.own_variance) + power(sum(p.customers), 2) * min(p.variance) / nullif(min(p.purchases), 0)) END
    FROM part p
)
SELECT
    n.stage,
    n.stage_rank,
    n.leads AS leads_now,
    n.customer_rate,
    n.customers AS expected_customers,
    as_amount(n.mean::numeric)::numeric(14,2) AS purchase_amount,
    as_amount(n.forecast::numeric)::numeric(14,2) AS forecast_amount,
    as_amount(CASE WHEN n.forecast > n.margin THEN n.forecast - n.margin WHEN n.margin IS NOT NULL THEN 0 END::numeric)::numeric(14,2) AS low_amount,
    as_amount((n.forecast + n.margin)::numeric)::numeric(14,2) AS high_amount
FROM line n;
COMMENT ON VIEW pipeline_forecast IS 'one row a stage from iql to prospect, and one for all: leads there now, times the share that becomes customers, times the mean purchase';
COMMENT ON COLUMN pipeline_forecast.stage IS 'the stage; all: their sum';
COMMENT ON COLUMN pipeline_forecast.stage_rank IS 'order of the stages; 0: all';
COMMENT ON COLUMN pipeline_forecast.leads_now IS 'leads in it now';
COMMENT ON COLUMN pipeline_forecast.customer_rate IS 'share that becomes customers, from stage_to_customer';
COMMENT ON COLUMN pipeline_forecast.expected_customers IS 'leads_now * customer_rate';
COMMENT ON COLUMN pipeline_forecast.purchase_amount IS 'mean purchase so far';
COMMENT ON COLUMN pipeline_forecast.forecast_amount IS 'expected_customers * purchase_amount';
COMMENT ON COLUMN pipeline_forecast.low_amount IS 'lower end of its 95 % interval';
COMMENT ON COLUMN pipeline_forecast.high_amount IS 'upper end of its 95 % interval';

CREATE OR REPLACE FUNCTION required_leads(target_customers bigint)
    RETURNS TABLE (stage text, stage_rank integer, customer_rate double precision, required bigint, required_low bigint, required_high bigint,
        leads_now bigint, missing bigint)
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN required_leads.target_customers IS NULL OR required_leads.target_customers < 0
        THEN refuse('invalid_parameter_value',
            'target_customers must not be ' || CASE WHEN required_leads.target_customers IS NULL THEN 'null' ELSE 'negative' END,
            hint => 'Pass how many customers are wanted, such as 20.')
        END;
    SELECT r.stage, r.stage_rank, r.customer_rate,
        n.required::bigint, n.low::bigint, n.high::bigint, r.leads_now, greatest(n.required - r.leads_now, 0)::bigint
    FROM stage_to_customer r,
        LATERAL (SELECT
            -- numeric, so that 20 of 1/5 is 100 and not one more
            ceil(required_leads.target_customers * r.matured / nullif(r.converted, 0)::numeric),
            ceil(required_leads.target_customers / nullif(r.high_rate, 0)),
            CASE WHEN r.low_rate > 1e-9 THEN ceil(required_leads.target_customers / r.low_rate) END
        ) AS n (required, low, high)
    ORDER BY r.stage_rank;
END;
COMMENT ON FUNCTION required_leads(bigint) IS
    'how many leads each stage must have for this many customers, by the rates so far, with the numbers for the ends of their intervals; missing: beyond those there now';

CREATE OR REPLACE VIEW sourcing_comparison WITH (security_invoker = true) AS
WITH revenue AS (
    SELECT p.lead_id, sum(p.purchase_amount) AS revenue_amount
    FROM purchases p
    GROUP BY p.lead_id
), reached AS (
    SELECT m.sourcing, m.direction,
        count(m.lead_at) AS leads, count(m.mql_at) AS mqls, count(m.sql_at) AS sqls, count(m.customer_at) AS customers,
        sum(r.revenue_amount) AS revenue_amount, 0::numeric AS cost_amount
    FROM lead_milestone m
        LEFT JOIN revenue r USING (lead_id)
    GROUP BY m.sourcing, m.direction
    UNION ALL
    SELECT c.sourcing, c.direction, 0, 0, 0, 0, 0, sum(c.cost_amount) AS cost_amount
    FROM cost_by_month c
    GROUP BY c.sourcing, c.direction
), total AS (
    SELECT k.comparison, k.place, k.segment,
        coalesce(sum(r.leads), 0)::bigint AS leads,
        coalesce(sum(r.mqls), 0)::bigint AS mqls,
        coalesce(sum(r.sqls), 0)::bigint AS sqls,
        coalesce(sum(r.customers), 0)::bigint AS customers,
        coalesce(sum(r.revenue_amount), 0) AS revenue_amount,
        coalesce(sum(r.cost_amount), 0) AS cost_amount
    FROM (VALUES
            ('sourcing', 1, 'internal'),
            ('sourcing', 2, 'outsourced'),
            ('sourcing', 3, '(none)'),
            ('direction', 4, 'inbound'),
            ('direction', 5, 'outbound'),
            ('direction', 6, '(none)')
        ) AS k (comparison, place, segment)
        LEFT JOIN reached r ON k.segment = CASE k.comparison WHEN 'sourcing' THEN r.sourcing ELSE r.direction END
    GROUP BY k.comparison, k.place, k.segment
)
SELECT
    t.comparison,
    t.place,
    t.segment,
    as_amount(t.cost_amount)::numeric(14,2) AS cost_amount,
    t.leads,
    t.mqls,
    t.sqls,
    t.customers,
    as_amount(t.cost_amount / nullif(t.leads, 0))::numeric(14,2) AS cost_per_lead_amount,
    as_amount(t.cost_amount / nullif(t.sqls, 0))::numeric(14,2) AS cost_per_sql_amount,
    as_amount(t.cost_amount / nullif(t.customers, 0))::numeric(14,2) AS cost_per_customer_amount,
    t.sqls::double precision / nullif(t.leads, 0) AS lead_to_sql_rate,
    t.customers::double precision / nullif(t.leads, 0) AS lead_to_customer_rate,
    as_amount(t.revenue_amount)::numeric(14,2) AS revenue_amount,
    as_amount(t.revenue_amount / nullif(t.leads, 0))::numeric(14,2) AS revenue_per_lead_amount,
    (t.revenue_amount - t.cost_amount)::double precision / nullif(t.cost_amount, 0)::double precision AS roi
FROM total t;
COMMENT ON VIEW sourcing_comparison IS 'internal against outsourced and inbound against outbound: what was spent, what came of it';
COMMENT ON COLUMN sourcing_comparison.comparison IS 'sourcing or direction';
COMMENT ON COLUMN sourcing_comparison.place IS 'order of the rows';
COMMENT ON COLUMN sourcing_comparison.segment IS 'internal or outsourced, inbound or outbound; (none): costs and leads of no campaign or channel that says so';
COMMENT ON COLUMN sourcing_comparison.cost_amount IS 'all costs, wages and tools too';
COMMENT ON COLUMN sourcing_comparison.leads IS 'contacts that reached iql or higher';
COMMENT ON COLUMN sourcing_comparison.mqls IS 'those that reached mql or higher';
COMMENT ON COLUMN sourcing_comparison.sqls IS 'those that reached sql or higher';
COMMENT ON COLUMN sourcing_comparison.customers IS 'those that became customers';
COMMENT ON COLUMN sourcing_comparison.cost_per_lead_amount IS 'cost_amount / leads';
COMMENT ON COLUMN sourcing_comparison.cost_per_sql_amount IS 'cost_amount / sqls';
COMMENT ON COLUMN sourcing_comparison.cost_per_customer_amount IS 'cost_amount / customers';
COMMENT ON COLUMN sourcing_comparison.lead_to_sql_rate IS 'sqls / leads';
COMMENT ON COLUMN sourcing_comparison.lead_to_customer_rate IS 'customers / leads';
COMMENT ON COLUMN sourcing_comparison.revenue_amount IS 'sum of purchases';
COMMENT ON COLUMN sourcing_comparison.revenue_per_lead_amount IS 'revenue_amount / leads';
COMMENT ON COLUMN sourcing_comparison.roi IS '(revenue_amount - cost_amount) / cost_amount';
