-- Cost: what a lead costs, by source.

CREATE OR REPLACE VIEW cost_per_lead WITH (security_invoker = true) AS
WITH reached AS (
    SELECT m.channel, m.campaign,
        month_start(m.lead_at, s.time_zone) AS lead_month,
        month_start(m.mql_at, s.time_zone) AS mql_month,
        month_start(m.sql_at, s.time_zone) AS sql_month,
        month_start(m.customer_at, s.time_zone) AS customer_month,
        count(*) AS leads
    FROM _lead_milestone m
        CROSS JOIN setting s
    WHERE m.lead_at IS NOT NULL OR m.customer_at IS NOT NULL
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
        CROSS JOIN setting s
    -- months to come have no leads and no costs yet
    WHERE c.calendar_month <= date_of(now(), s.time_zone)
    GROUP BY 1, 2, 3
), filled AS (
    SELECT p.calendar_month, p.channel, p.campaign, p.leads, p.mqls, p.sqls, p.customers, p.cost_amount
    FROM part p
    UNION ALL
    -- a source without costs and leads has one row, in this month
    SELECT month_start(now(), s.time_zone) AS calendar_month, n.channel, n.campaign, 0, 0, 0, 0, 0
    FROM _source_list n
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
), shared AS (
    -- A cost without a campaign is for all leads of its channel, and one without
    -- a channel for all leads: the few without a campaign did not cause it.
    SELECT t.calendar_month, t.channel, t.campaign, t.leads, t.mqls, t.sqls, t.customers, t.cost_amount,
        CASE WHEN t.cost_amount = 0 OR t.campaign <> '(none)' OR t.leads + t.mqls + t.sqls + t.customers
            = CASE t.channel WHEN '(none)' THEN sum(t.leads + t.mqls + t.sqls + t.customers) OVER (PARTITION BY t.calendar_month)
                ELSE sum(t.leads + t.mqls + t.sqls + t.customers) OVER (PARTITION BY t.calendar_month, t.channel) END
            THEN t.cost_amount END AS own_cost
    FROM total t
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
    as_amount(t.own_cost / nullif(t.leads, 0))::numeric(14,2) AS cost_per_lead_amount,
    as_amount(t.own_cost / nullif(t.mqls, 0))::numeric(14,2) AS cost_per_mql_amount,
    as_amount(t.own_cost / nullif(t.sqls, 0))::numeric(14,2) AS cost_per_sql_amount,
    as_amount(t.own_cost / nullif(t.customers, 0))::numeric(14,2) AS cost_per_customer_amount
FROM shared t
    LEFT JOIN campaign p ON p.campaign = t.campaign
    LEFT JOIN channel h ON h.channel = t.channel;
COMMENT ON VIEW cost_per_lead IS 'one row a month and source: the cost in the month, the number of leads that were new in it, and the cost of one';
COMMENT ON COLUMN cost_per_lead.calendar_month IS 'first day of the month';
COMMENT ON COLUMN cost_per_lead.channel IS 'channel that the lead came by, or that of its campaign; (none): not known';
COMMENT ON COLUMN cost_per_lead.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN cost_per_lead.campaign IS 'campaign that the lead came by; (none): not known';
COMMENT ON COLUMN cost_per_lead.cost_amount IS 'cost of the source in the month; costs without a campaign or a channel have rows of their own, (none)';
COMMENT ON COLUMN cost_per_lead.leads IS 'leads that first were iql or higher in the month';
COMMENT ON COLUMN cost_per_lead.mqls IS 'leads that first were mql or higher in the month';
COMMENT ON COLUMN cost_per_lead.sqls IS 'leads that first were sql or higher in the month';
COMMENT ON COLUMN cost_per_lead.customers IS 'leads that first became customers in the month';
COMMENT ON COLUMN cost_per_lead.cost_per_lead_amount IS 'cost_amount / leads; NULL for a cost without a campaign that is for leads of campaigns too';
COMMENT ON COLUMN cost_per_lead.cost_per_mql_amount IS 'cost_amount / mqls; NULL for a cost without a campaign that is for leads of campaigns too';
COMMENT ON COLUMN cost_per_lead.cost_per_sql_amount IS 'cost_amount / sqls; NULL for a cost without a campaign that is for leads of campaigns too';
COMMENT ON COLUMN cost_per_lead.cost_per_customer_amount IS 'cost_amount / customers; NULL for a cost without a campaign that is for leads of campaigns too';

-- The same days twice: a month that was imported whole and day by day, say. The
-- key of cost cannot tell, as the days differ, or as one booking names the channel
-- of its campaign and the other leaves it out. Arrays compare NULLs as equal, and
-- can be hashed.
CREATE OR REPLACE VIEW cost_overlaps WITH (security_invoker = true) AS
WITH booking AS (
    SELECT c.cost_id, c.day_from, c.day_to, coalesce(c.channel, p.channel) AS channel, c.campaign, c.category, c.source_id, c.amount,
        ARRAY[coalesce(c.channel, p.channel), c.campaign, c.category, c.source_id] AS key
    FROM cost c
        LEFT JOIN campaign p ON p.campaign = c.campaign
)
SELECT
    a.cost_id,
    b.cost_id AS other_cost_id,
    coalesce(a.channel, '(none)') AS channel,
    coalesce(a.campaign, '(none)') AS campaign,
    coalesce(a.category, '(none)') AS category,
    coalesce(a.source_id, '(none)') AS source_id,
    greatest(a.day_from, b.day_from) AS from_date,
    least(a.day_to, b.day_to) AS to_date,
    least(a.day_to, b.day_to) - greatest(a.day_from, b.day_from) + 1 AS overlap_days,
    as_amount(a.amount)::numeric(14,2) AS cost_amount,
    as_amount(b.amount)::numeric(14,2) AS other_cost_amount
FROM booking a
    JOIN booking b ON b.key = a.key AND b.cost_id > a.cost_id AND b.day_from <= a.day_to AND b.day_to >= a.day_from;
COMMENT ON VIEW cost_overlaps IS 'one row a pair of costs of one source, category and source_id that are for the same days: perhaps one cost that was imported twice; both are counted';
COMMENT ON COLUMN cost_overlaps.cost_id IS 'number of the cost, see the table cost';
COMMENT ON COLUMN cost_overlaps.other_cost_id IS 'number of the other cost, which was recorded later';
COMMENT ON COLUMN cost_overlaps.channel IS 'channel of both costs, or of their campaign; (none): all';
COMMENT ON COLUMN cost_overlaps.campaign IS 'campaign of both costs; (none): all';
COMMENT ON COLUMN cost_overlaps.category IS 'purpose of both costs: media, wages, technology, training ...; (none): not said';
COMMENT ON COLUMN cost_overlaps.source_id IS 'name of both bookings in the system that they come from; (none): not said';
COMMENT ON COLUMN cost_overlaps.from_date IS 'first day that both are for';
COMMENT ON COLUMN cost_overlaps.to_date IS 'last day that both are for';
COMMENT ON COLUMN cost_overlaps.overlap_days IS 'number of days that both are for';
COMMENT ON COLUMN cost_overlaps.cost_amount IS 'amount of the cost';
COMMENT ON COLUMN cost_overlaps.other_cost_amount IS 'amount of the other cost';

CREATE OR REPLACE VIEW sourcing_comparison WITH (security_invoker = true) AS
WITH reached AS (
    SELECT m.sourcing, m.direction,
        count(m.lead_at) AS leads, count(m.mql_at) AS mqls, count(m.sql_at) AS sqls, count(m.customer_at) AS customers,
        count(*) FILTER (WHERE m.lead_at <= m.customer_at) AS leads_won,
        sum(r.revenue_amount) AS revenue_amount,
        sum(r.revenue_amount) FILTER (WHERE m.lead_at IS NOT NULL) AS lead_revenue, 0::numeric AS cost_amount
    FROM _lead_milestone m
        LEFT JOIN _revenue r USING (lead_id)
    GROUP BY m.sourcing, m.direction
    UNION ALL
    SELECT c.sourcing, c.direction, 0, 0, 0, 0, 0, 0, 0, sum(c.cost_amount) AS cost_amount
    FROM cost_by_month c
    GROUP BY c.sourcing, c.direction
), total AS (
    SELECT k.comparison, k.place, k.segment,
        coalesce(sum(r.leads), 0)::bigint AS leads,
        coalesce(sum(r.mqls), 0)::bigint AS mqls,
        coalesce(sum(r.sqls), 0)::bigint AS sqls,
        coalesce(sum(r.customers), 0)::bigint AS customers,
        coalesce(sum(r.leads_won), 0)::bigint AS leads_won,
        coalesce(sum(r.revenue_amount), 0) AS revenue_amount,
        coalesce(sum(r.lead_revenue), 0) AS lead_revenue,
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
), campaign_start AS (
    -- a campaign begins with its first cost or its first lead
    SELECT b.campaign, min(b.began_at) AS began_at, min(b.sql_at) AS sql_at
    FROM (
            SELECT c.campaign, c.day_from::timestamp AT TIME ZONE z.time_zone AS began_at, NULL::timestamptz AS sql_at
            FROM cost c CROSS JOIN setting z
            WHERE c.campaign IS NOT NULL AND c.day_from >= '1900-01-01'
            UNION ALL
            SELECT m.campaign, least(m.created_at, m.lead_at), m.sql_at
            FROM _lead_milestone m
            WHERE m.campaign <> '(none)'
        ) b
    GROUP BY b.campaign
), time_taken AS (
    SELECT m.sourcing, m.direction, date_part('epoch', m.mql_at - m.created_at) / 86400 AS mql_days, date_part('epoch', m.sql_at - m.created_at) / 86400 AS sql_days,
        date_part('epoch', m.customer_at - m.created_at) / 86400 AS customer_days, NULL::double precision AS campaign_days
    FROM _lead_milestone m
    WHERE m.mql_at IS NOT NULL OR m.customer_at IS NOT NULL
    UNION ALL
    SELECT coalesce(p.sourcing, '(none)'), coalesce(p.direction, h.direction, '(none)'), NULL, NULL, NULL, date_part('epoch', s.sql_at - s.began_at) / 86400
    FROM campaign_start s
        LEFT JOIN campaign p ON p.campaign = s.campaign
        LEFT JOIN channel h ON h.channel = p.channel
    WHERE s.sql_at >= s.began_at
), timed AS (
    SELECT v.comparison, v.segment,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY t.mql_days) FILTER (WHERE t.mql_days >= 0) AS mql_days,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY t.sql_days) FILTER (WHERE t.sql_days >= 0) AS sql_days,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY t.customer_days) FILTER (WHERE t.customer_days >= 0) AS customer_days,
        count(*) FILTER (WHERE t.mql_days >= 0) AS mqls, count(*) FILTER (WHERE t.sql_days >= 0) AS sqls, count(*) FILTER (WHERE t.customer_days >= 0) AS customers,
        count(t.campaign_days) AS campaigns,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY t.campaign_days) FILTER (WHERE t.campaign_days IS NOT NULL) AS campaign_days
    FROM time_taken t
        CROSS JOIN LATERAL (VALUES ('sourcing', t.sourcing), ('direction', t.direction)) AS v (comparison, segment)
    GROUP BY v.comparison, v.segment
), shared AS (
    -- a cost that is for all leads is not that of those that came by themselves
    SELECT t.comparison, t.place, t.segment, t.leads, t.mqls, t.sqls, t.customers, t.leads_won, t.revenue_amount, t.lead_revenue, t.cost_amount,
        CASE WHEN t.cost_amount = 0 OR t.segment <> '(none)'
            OR t.leads + t.customers = sum(t.leads + t.customers) OVER (PARTITION BY t.comparison) THEN t.cost_amount END AS own_cost
    FROM total t
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
    as_amount(t.own_cost / nullif(t.leads, 0))::numeric(14,2) AS cost_per_lead_amount,
    as_amount(t.own_cost / nullif(t.sqls, 0))::numeric(14,2) AS cost_per_sql_amount,
    as_amount(t.own_cost / nullif(t.customers, 0))::numeric(14,2) AS cost_per_customer_amount,
    t.sqls::double precision / nullif(t.leads, 0) AS lead_to_sql_rate,
    t.leads_won::double precision / nullif(t.leads, 0) AS lead_to_customer_rate,
    as_amount(t.revenue_amount)::numeric(14,2) AS revenue_amount,
    as_amount(t.lead_revenue / nullif(t.leads, 0))::numeric(14,2) AS revenue_per_lead_amount,
    -- more came back than was spent: there is no profit for one unit of it
    (t.revenue_amount - t.own_cost)::double precision / CASE WHEN t.own_cost > 0 THEN t.own_cost END::double precision AS roi,
    coalesce(d.mqls, 0) AS timed_mqls,
    d.mql_days AS median_mql_days,
    coalesce(d.sqls, 0) AS timed_sqls,
    d.sql_days AS median_sql_days,
    coalesce(d.customers, 0) AS timed_customers,
    d.customer_days AS median_customer_days,
    coalesce(d.campaigns, 0) AS campaigns,
    d.campaign_days AS median_campaign_days
FROM shared t
    LEFT JOIN timed d USING (comparison, segment);
COMMENT ON VIEW sourcing_comparison IS 'internal against outsourced and inbound against outbound: cost, leads, customers, revenue and time to results of each';
COMMENT ON COLUMN sourcing_comparison.comparison IS 'sourcing or direction';
COMMENT ON COLUMN sourcing_comparison.place IS 'number to sort the rows by';
COMMENT ON COLUMN sourcing_comparison.segment IS 'internal or outsourced, inbound or outbound; (none): costs and leads whose campaign and channel do not say';
COMMENT ON COLUMN sourcing_comparison.cost_amount IS 'all costs, wages and tools too';
COMMENT ON COLUMN sourcing_comparison.leads IS 'contacts that reached iql or higher';
COMMENT ON COLUMN sourcing_comparison.mqls IS 'leads that reached mql or higher';
COMMENT ON COLUMN sourcing_comparison.sqls IS 'leads that reached sql or higher';
COMMENT ON COLUMN sourcing_comparison.customers IS 'leads that became customers';
COMMENT ON COLUMN sourcing_comparison.cost_per_lead_amount IS 'cost_amount / leads; NULL for costs that do not say if there are leads that do';
COMMENT ON COLUMN sourcing_comparison.cost_per_sql_amount IS 'cost_amount / sqls; NULL for costs that do not say if there are leads that do';
COMMENT ON COLUMN sourcing_comparison.cost_per_customer_amount IS 'cost_amount / customers; NULL for costs that do not say if there are leads that do';
COMMENT ON COLUMN sourcing_comparison.lead_to_sql_rate IS 'sqls / leads';
COMMENT ON COLUMN sourcing_comparison.lead_to_customer_rate IS 'share of the leads that became customers; customers that never were leads are left out';
COMMENT ON COLUMN sourcing_comparison.revenue_amount IS 'sum of purchases, less refunds';
COMMENT ON COLUMN sourcing_comparison.revenue_per_lead_amount IS 'revenue of the leads / leads';
COMMENT ON COLUMN sourcing_comparison.roi IS '(revenue_amount - cost_amount) / cost_amount; NULL if nothing was spent, and for costs that do not say if there are leads that do';
COMMENT ON COLUMN sourcing_comparison.timed_mqls IS 'of mqls, leads that were known before';
COMMENT ON COLUMN sourcing_comparison.median_mql_days IS 'median of the days from the creation of these leads to mql or a higher stage';
COMMENT ON COLUMN sourcing_comparison.timed_sqls IS 'of sqls, leads that were known before';
COMMENT ON COLUMN sourcing_comparison.median_sql_days IS 'median of the days from the creation of these leads to sql or a higher stage';
COMMENT ON COLUMN sourcing_comparison.timed_customers IS 'of customers, leads that were known before';
COMMENT ON COLUMN sourcing_comparison.median_customer_days IS 'median of the days from the creation of these leads to customer';
COMMENT ON COLUMN sourcing_comparison.campaigns IS 'campaigns that brought an sql';
COMMENT ON COLUMN sourcing_comparison.median_campaign_days IS 'median of the days from the start of these campaigns, which is their first cost or first lead, to their first sql';
