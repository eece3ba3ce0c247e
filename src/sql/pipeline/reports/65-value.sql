-- Value: revenue from customers, value of leads, and forecasts.

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
COMMENT ON VIEW customer_lifetime_value IS 'one row a month of first purchase and source: the revenue of these customers so far';
COMMENT ON COLUMN customer_lifetime_value.cohort_month IS 'first day of the month of the first purchase';
COMMENT ON COLUMN customer_lifetime_value.channel IS 'channel that the lead came by, or that of its campaign; (none): not known';
COMMENT ON COLUMN customer_lifetime_value.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN customer_lifetime_value.campaign IS 'campaign that the lead came by; (none): not known';
COMMENT ON COLUMN customer_lifetime_value.customers IS 'leads that bought';
COMMENT ON COLUMN customer_lifetime_value.purchases IS 'number of their purchases';
COMMENT ON COLUMN customer_lifetime_value.revenue_amount IS 'sum of purchases';
COMMENT ON COLUMN customer_lifetime_value.lifetime_value_amount IS 'revenue_amount / customers';
COMMENT ON COLUMN customer_lifetime_value.revenue_per_purchase_amount IS 'revenue_amount / purchases';
COMMENT ON COLUMN customer_lifetime_value.repeat_customers IS 'customers that bought more than once';
COMMENT ON COLUMN customer_lifetime_value.repeat_rate IS 'repeat_customers / customers';
COMMENT ON COLUMN customer_lifetime_value.buying_days IS 'mean days from the first purchase to the last so far';

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
COMMENT ON VIEW customer_retention IS 'one row a month of first purchase and month since then: how many of the customers of the first month bought in the second';
COMMENT ON COLUMN customer_retention.cohort_month IS 'first day of the month of the first purchase';
COMMENT ON COLUMN customer_retention.calendar_month IS 'first day of the month looked at';
COMMENT ON COLUMN customer_retention.months_since IS 'months from cohort_month to calendar_month; 0: the month of the first purchase';
COMMENT ON COLUMN customer_retention.customers IS 'leads that first bought in cohort_month';
COMMENT ON COLUMN customer_retention.buyers IS 'of customers, those that bought in calendar_month';
COMMENT ON COLUMN customer_retention.retention_rate IS 'buyers / customers';
COMMENT ON COLUMN customer_retention.revenue_amount IS 'amount of their purchases in calendar_month';

CREATE OR REPLACE VIEW value_by_stage WITH (security_invoker = true) AS
WITH entry AS (
    SELECT h.lead_id, h.to_stage, min(h.effective_at) AS entered_at
    FROM _history h
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
COMMENT ON COLUMN value_by_stage.stage_rank IS 'rank of the stage to sort by: visitor 40 to advocate 100, exits 10 to 30';
COMMENT ON COLUMN value_by_stage.stage_label IS 'the stage with a number in front, for tools that sort by name';
COMMENT ON COLUMN value_by_stage.leads IS 'leads that ever were in the stage';
COMMENT ON COLUMN value_by_stage.customers IS 'of leads, those that bought afterwards';
COMMENT ON COLUMN value_by_stage.customer_rate IS 'customers / leads';
COMMENT ON COLUMN value_by_stage.revenue_amount IS 'amount of their purchases afterwards';
COMMENT ON COLUMN value_by_stage.value_per_lead_amount IS 'revenue_amount / leads';
COMMENT ON COLUMN value_by_stage.ratio_to_iql IS 'value_per_lead_amount / value_per_lead_amount of iql';
COMMENT ON COLUMN value_by_stage.benchmark_low IS 'lower end of the goal for ratio_to_iql';
COMMENT ON COLUMN value_by_stage.benchmark_high IS 'upper end of the goal for ratio_to_iql';
COMMENT ON COLUMN value_by_stage.benchmark_source IS 'origin of the goal';
COMMENT ON COLUMN value_by_stage.benchmark_status IS 'whether the figure is below, within or above the goal; NULL: nothing to compare';

-- The share of leads of a stage that become customers. Leads younger than
-- mature_after are left out: they had less time. Leaving out open leads instead
-- would overstate it, as purchases are known before losses.
CREATE OR REPLACE VIEW stage_to_customer WITH (security_invoker = true) AS
WITH total AS (
    SELECT
        count(r.visitor_seq) AS visitors,
        count(r.visitor_seq) FILTER (WHERE r.visitor_at <= t.before) AS visitors_matured,
        count(*) FILTER (WHERE r.visitor_at <= t.before AND r.customer_last > r.visitor_seq) AS visitors_won,
        count(r.iql_seq) AS iqls,
        count(r.iql_seq) FILTER (WHERE r.iql_at <= t.before) AS iqls_matured,
        count(*) FILTER (WHERE r.iql_at <= t.before AND r.customer_last > r.iql_seq) AS iqls_won,
        count(r.mql_seq) AS mqls,
        count(r.mql_seq) FILTER (WHERE r.mql_at <= t.before) AS mqls_matured,
        count(*) FILTER (WHERE r.mql_at <= t.before AND r.customer_last > r.mql_seq) AS mqls_won,
        count(r.sql_seq) AS sqls,
        count(r.sql_seq) FILTER (WHERE r.sql_at <= t.before) AS sqls_matured,
        count(*) FILTER (WHERE r.sql_at <= t.before AND r.customer_last > r.sql_seq) AS sqls_won,
        count(r.prospect_seq) AS prospects,
        count(r.prospect_seq) FILTER (WHERE r.prospect_at <= t.before) AS prospects_matured,
        count(*) FILTER (WHERE r.prospect_at <= t.before AND r.customer_last > r.prospect_seq) AS prospects_won
    FROM _run r
        CROSS JOIN _maturity t
), present AS (
    SELECT s.stage_rank, count(*) AS leads
    FROM _lead_now s
    GROUP BY s.stage_rank
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
COMMENT ON VIEW stage_to_customer IS 'one row an open stage: the share of cycles in it that ended in a customer, among cycles that entered it at least setting.mature_after ago';
COMMENT ON COLUMN stage_to_customer.stage IS 'the stage';
COMMENT ON COLUMN stage_to_customer.stage_rank IS 'rank of the stage to sort by: visitor 40 to advocate 100, exits 10 to 30';
COMMENT ON COLUMN stage_to_customer.entered IS 'cycles that were in the stage';
COMMENT ON COLUMN stage_to_customer.matured IS 'of entered, cycles that entered at least setting.mature_after ago';
COMMENT ON COLUMN stage_to_customer.converted IS 'of matured, cycles that became customers afterwards';
COMMENT ON COLUMN stage_to_customer.customer_rate IS 'converted / matured';
COMMENT ON COLUMN stage_to_customer.low_rate IS 'lower end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN stage_to_customer.high_rate IS 'upper end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN stage_to_customer.leads_now IS 'leads in the stage now';

CREATE OR REPLACE FUNCTION required_leads(target_customers bigint)
    RETURNS TABLE (stage text, stage_rank integer, customer_rate double precision, required bigint, required_low bigint, required_high bigint,
        leads_now bigint, missing bigint)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF target_customers IS NULL OR target_customers < 0 THEN
        RAISE EXCEPTION 'target_customers must not be %', CASE WHEN target_customers IS NULL THEN 'null' ELSE 'negative' END
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass how many customers are wanted, such as 20.';
    END IF;
    RETURN QUERY
        SELECT r.stage, r.stage_rank, r.customer_rate,
            n.required::bigint, n.low::bigint, n.high::bigint, r.leads_now, greatest(n.required - r.leads_now, 0)::bigint
        FROM @reports@.stage_to_customer r,
            LATERAL (SELECT
                -- numeric, so that 20 of 1/5 is 100 and not one more
                ceil(target_customers * r.matured / nullif(r.converted, 0)::numeric),
                ceil(target_customers / nullif(r.high_rate, 0)),
                CASE WHEN r.low_rate > 1e-9 THEN ceil(target_customers / r.low_rate) END
            ) AS n (required, low, high)
        ORDER BY r.stage_rank;
END
$$;
COMMENT ON FUNCTION required_leads(bigint) IS
    'how many leads each stage must have for this many customers, by the rates so far, with the numbers for the ends of their intervals; missing: required less leads_now';

-- N leads of which a share p buys for m on average. The variance behind the 95 %
-- interval is the sum of that of chance among N leads, N (p s2 + p (1 - p) m2),
-- that of the estimate of p, (N m)2 p (1 - p) / n, and that of the estimate of
-- m, (N p)2 s2 / purchases. The row all has the sum; its interval is narrower
-- than the sum of intervals.
CREATE OR REPLACE VIEW pipeline_forecast WITH (security_invoker = true) AS
WITH deal AS (
    SELECT count(p.purchase_amount) AS purchases,
        avg(p.purchase_amount)::double precision AS mean,
        coalesce(var_samp(p.purchase_amount), 0)::double precision AS variance
    FROM purchases p
), part AS (
    SELECT r.stage, r.stage_rank, r.leads_now AS leads, r.customer_rate, d.mean, d.variance, d.purchases,
        r.leads_now * r.customer_rate AS customers,
        -- p with two successes and two failures more: no sale in ten is not p = 0
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
    -- a stage without leads needs no rate
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
COMMENT ON COLUMN pipeline_forecast.stage IS 'the stage; all: the sum over all stages';
COMMENT ON COLUMN pipeline_forecast.stage_rank IS 'rank of the stage to sort by; 0: all';
COMMENT ON COLUMN pipeline_forecast.leads_now IS 'leads in the stage now';
COMMENT ON COLUMN pipeline_forecast.customer_rate IS 'share of the leads of the stage that become customers, from stage_to_customer';
COMMENT ON COLUMN pipeline_forecast.expected_customers IS 'leads_now * customer_rate';
COMMENT ON COLUMN pipeline_forecast.purchase_amount IS 'mean purchase so far';
COMMENT ON COLUMN pipeline_forecast.forecast_amount IS 'expected_customers * purchase_amount';
COMMENT ON COLUMN pipeline_forecast.low_amount IS 'lower end of the 95 % interval of forecast_amount';
COMMENT ON COLUMN pipeline_forecast.high_amount IS 'upper end of the 95 % interval of forecast_amount';
