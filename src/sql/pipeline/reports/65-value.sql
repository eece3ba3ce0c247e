-- Value: revenue from customers, value of leads, and forecasts.

CREATE OR REPLACE VIEW customer_lifetime_value WITH (security_invoker = true) AS
WITH customer AS (
    SELECT p.lead_id, min(p.purchase_month) AS cohort_month, count(*) AS purchases, coalesce(sum(p.net_amount), 0) AS revenue_amount,
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
COMMENT ON COLUMN customer_lifetime_value.purchases IS 'number of their purchases, refunded ones too';
COMMENT ON COLUMN customer_lifetime_value.revenue_amount IS 'sum of purchases, less refunds';
COMMENT ON COLUMN customer_lifetime_value.lifetime_value_amount IS 'revenue_amount / customers';
COMMENT ON COLUMN customer_lifetime_value.revenue_per_purchase_amount IS 'revenue_amount / purchases';
COMMENT ON COLUMN customer_lifetime_value.repeat_customers IS 'customers that bought more than once';
COMMENT ON COLUMN customer_lifetime_value.repeat_rate IS 'repeat_customers / customers';
COMMENT ON COLUMN customer_lifetime_value.buying_days IS 'mean days from the first purchase to the last so far';

-- Months are counted from that of the first purchase, up to this one.
CREATE OR REPLACE VIEW customer_retention WITH (security_invoker = true) AS
WITH bought AS (
    SELECT p.purchase_month, min(p.purchase_month) OVER (PARTITION BY p.lead_id) AS cohort_month, sum(p.net_amount) AS amount
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
COMMENT ON COLUMN customer_retention.revenue_amount IS 'amount of their purchases in calendar_month, less refunds of these purchases, whenever they came';

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
), spent AS (
    SELECT e.to_stage, e.lead_id, sum(p.net_amount) AS amount
    FROM purchases p
        JOIN entry e ON e.lead_id = p.lead_id AND e.entered_at <= p.purchased_at
    GROUP BY e.to_stage, e.lead_id
), bought AS (
    SELECT stage_rank(b.to_stage) AS stage_rank, count(*) AS customers, sum(b.amount) AS revenue_amount,
        sum(power(b.amount::double precision, 2)) AS squares
    FROM spent b
    GROUP BY b.to_stage
), figure AS (
    SELECT t.stage::text AS stage, t.stage_rank, t.stage_label,
        coalesce(n.leads, 0) AS leads,
        coalesce(b.customers, 0) AS customers,
        coalesce(b.revenue_amount, 0) AS revenue_amount,
        coalesce(b.revenue_amount, 0) / nullif(n.leads, 0) AS value,
        -- square of the relative standard error of value
        (b.squares / nullif(power(b.revenue_amount::double precision, 2), 0) * n.leads - 1) / nullif(n.leads - 1, 0) AS error
    FROM stages() t
        LEFT JOIN entered n USING (stage_rank)
        LEFT JOIN bought b USING (stage_rank)
    WHERE t.stage >= 'visitor'
), compared_figure AS (
    -- The interval is that of the logarithm of a ratio of two means (delta
    -- method). It is too wide rather than too narrow, as the purchases of an sql
    -- that was an iql are in both.
    SELECT f.stage, f.stage_rank, f.stage_label, f.leads, f.customers, f.revenue_amount, f.value,
        f.value::double precision / nullif(i.value, 0)::double precision AS ratio,
        CASE WHEN f.stage_rank = i.stage_rank THEN 1
            WHEN f.value > 0 AND i.value > 0 THEN exp(1.959964 * sqrt(greatest(f.error + i.error, 0))) END AS factor
    FROM figure f
        LEFT JOIN figure i ON i.stage_rank = stage_rank('iql')
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
    f.ratio AS ratio_to_iql,
    b.low AS benchmark_low,
    b.high AS benchmark_high,
    b.source AS benchmark_source,
    compared(f.ratio, f.ratio / f.factor, f.ratio * f.factor, b.low, b.high) AS benchmark_status,
    f.ratio / f.factor AS ratio_low,
    f.ratio * f.factor AS ratio_high
FROM compared_figure f
    LEFT JOIN benchmark b ON b.metric = f.stage || '_value_ratio' AND b.segment = 'all';
COMMENT ON VIEW value_by_stage IS 'one row a stage: what a lead that was in it has brought on average since it came in, and how that compares with an iql';
COMMENT ON COLUMN value_by_stage.stage IS 'the stage';
COMMENT ON COLUMN value_by_stage.stage_rank IS 'rank of the stage to sort by: visitor 40 to advocate 100, exits 10 to 30';
COMMENT ON COLUMN value_by_stage.stage_label IS 'the stage with a number in front, for tools that sort by name';
COMMENT ON COLUMN value_by_stage.leads IS 'leads that ever were in the stage';
COMMENT ON COLUMN value_by_stage.customers IS 'of leads, those that bought afterwards';
COMMENT ON COLUMN value_by_stage.customer_rate IS 'customers / leads';
COMMENT ON COLUMN value_by_stage.revenue_amount IS 'amount of their purchases afterwards, less refunds of these purchases';
COMMENT ON COLUMN value_by_stage.value_per_lead_amount IS 'revenue_amount / leads';
COMMENT ON COLUMN value_by_stage.ratio_to_iql IS 'value_per_lead_amount / value_per_lead_amount of iql';
COMMENT ON COLUMN value_by_stage.benchmark_low IS 'lower end of the goal for ratio_to_iql';
COMMENT ON COLUMN value_by_stage.benchmark_high IS 'upper end of the goal for ratio_to_iql';
COMMENT ON COLUMN value_by_stage.benchmark_source IS 'origin of the goal';
COMMENT ON COLUMN value_by_stage.benchmark_status IS 'below or above: the whole 95 % interval lies outside of the goal; within: ratio_to_iql lies inside; unclear: outside, but too few leads bought to tell; NULL: nothing to compare';
COMMENT ON COLUMN value_by_stage.ratio_low IS 'lower end of the 95 % interval of ratio_to_iql; NULL: nobody bought, or there is one lead only';
COMMENT ON COLUMN value_by_stage.ratio_high IS 'upper end of the 95 % interval of ratio_to_iql; NULL: nobody bought, or there is one lead only';

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

-- The chance that a lead has left: of the past leads that were in the stage for
-- as long as this lead has been, the share that became customers within
-- mature_after. (Landmarking: H. C. van Houwelingen, Scandinavian Journal of
-- Statistics 34, 2007.) Leads are compared at the ages in days below, each lead
-- at the greatest age that it has reached and that ten past leads or more have
-- reached too, so that no share is made of two or three. A lead that left the
-- stage before that age says nothing about a lead that is still there.
-- A stage whose event is dated later today, or outside the calendar, is the
-- stage of now for every view (points count from the start of their day): so it
-- has begun now, and the stage before it has ended.
CREATE OR REPLACE FUNCTION _chance_left(at timestamptz)
    RETURNS TABLE (stage_rank integer, age_days integer, leads bigint, past_leads bigint, past_customers bigint)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    ages constant integer[] := '{0,1,2,4,7,14,30,60,90,120,180,270,365}';
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    RETURN QUERY
        WITH limits AS MATERIALIZED (
            SELECT leadscore_internal.dated(_chance_left.at) AS at, least(m.mature_after, interval '365000 days') AS mature_after
            FROM @pipeline@._maturity m
        ), won AS MATERIALIZED (
            SELECT h.lead_id, h.cycle, min(h.effective_at) AS won_at
            FROM @pipeline@._history h
            WHERE h.to_stage >= 'customer'
            GROUP BY h.lead_id, h.cycle
        ), due AS MATERIALIZED (
            -- stages that no sweep has recorded yet
            SELECT s.lead_id, s.cycle, s.stage, least(s.stage_since_at, now()) AS stage_since_at
            FROM @pipeline@._lead_now s
            WHERE s.due AND s.stage <> s.recorded_stage
        ), recorded AS (
            SELECT h.lead_id, h.cycle, h.to_stage AS stage, least(h.effective_at, now()) AS entered_at,
                lead(least(h.effective_at, now())) OVER (PARTITION BY h.lead_id ORDER BY h.seq) AS left_at
            FROM @pipeline@._history h
        ), stay AS MATERIALIZED (
            SELECT leadscore.stage_rank(y.stage) AS stage_rank, y.entered_at, coalesce(y.left_at, 'infinity') AS left_at, w.won_at
            FROM (
                    SELECT r.lead_id, r.cycle, r.stage, r.entered_at, coalesce(r.left_at, d.stage_since_at) AS left_at
                    FROM recorded r
                        LEFT JOIN due d ON d.lead_id = r.lead_id AND r.left_at IS NULL
                    UNION ALL
                    SELECT d.lead_id, d.cycle, d.stage, d.stage_since_at, NULL
                    FROM due d
                ) y
                LEFT JOIN won w USING (lead_id, cycle)
            WHERE y.stage BETWEEN 'visitor' AND 'prospect'
        ), past AS MATERIALIZED (
            SELECT s.stage_rank, a.place, count(*) AS leads,
                count(*) FILTER (WHERE s.won_at > s.entered_at + a.age AND s.won_at <= s.entered_at + a.age + l.mature_after) AS customers
            FROM stay s
                CROSS JOIN limits l
                CROSS JOIN LATERAL (
                    SELECT d.place, d.days * interval '24 hours' AS age
                    FROM unnest(ages) WITH ORDINALITY AS d (days, place)
                ) a
            WHERE s.entered_at + a.age < s.left_at AND s.entered_at + a.age + l.mature_after <= l.at
            GROUP BY s.stage_rank, a.place
        ), present AS MATERIALIZED (
            SELECT s.stage_rank, width_bucket(date_part('epoch', l.at - s.entered_at) / 86400, ages::double precision[]) AS place, count(*) AS leads
            FROM stay s
                CROSS JOIN limits l
            WHERE s.entered_at <= l.at AND s.left_at > l.at
            GROUP BY 1, 2
        )
        SELECT n.stage_rank, ages[p.place], sum(n.leads)::bigint, p.leads, p.customers
        FROM present n
            LEFT JOIN LATERAL (
                SELECT p.*
                FROM past p
                WHERE p.stage_rank = n.stage_rank AND p.place <= n.place AND (p.leads >= 10 OR p.place = 1)
                ORDER BY p.place DESC
                LIMIT 1
            ) p ON true
        GROUP BY n.stage_rank, p.place, p.leads, p.customers;
END
$$;
COMMENT ON FUNCTION _chance_left(timestamptz) IS
    'one row a stage and age: leads that were there at an instant, and how many of so many past leads of that age became customers within mature_after';

CREATE OR REPLACE FUNCTION required_leads(target_customers bigint)
    RETURNS TABLE (stage text, stage_rank integer, customer_rate double precision, required bigint, required_low bigint, required_high bigint,
        leads_now bigint, expected_customers double precision, missing bigint)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF target_customers IS NULL OR target_customers < 0 THEN
        RAISE EXCEPTION 'target_customers must not be %', CASE WHEN target_customers IS NULL THEN 'null' ELSE 'negative' END
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass a number of customers, such as 20.';
    END IF;
    RETURN QUERY
        SELECT r.stage, r.stage_rank, r.customer_rate,
            n.required::bigint, n.low::bigint, n.high::bigint, r.leads_now, c.customers::double precision,
            CASE WHEN c.customers >= target_customers THEN 0 ELSE n.missing END::bigint
        FROM @reports@.stage_to_customer r
            LEFT JOIN (
                SELECT l.stage_rank, CASE WHEN bool_and(coalesce(l.past_leads, 0) > 0) THEN sum(l.leads * l.past_customers::numeric / nullif(l.past_leads, 0)) END
                FROM @reports@._chance_left(now()) l
                GROUP BY l.stage_rank
            ) w (stage_rank, customers) ON w.stage_rank = r.stage_rank
            CROSS JOIN LATERAL (SELECT CASE WHEN r.leads_now = 0 THEN 0 ELSE w.customers END) AS c (customers)
            CROSS JOIN LATERAL (SELECT
                -- numeric, so that 20 of 1/5 is 100 and not one more
                ceil(target_customers * r.matured / nullif(r.converted, 0)::numeric),
                ceil(target_customers / nullif(r.high_rate, 0)),
                CASE WHEN r.low_rate > 1e-9 THEN ceil(target_customers / r.low_rate) END,
                ceil(round((target_customers - c.customers) * r.matured / nullif(r.converted, 0)::numeric, 9))
            ) AS n (required, low, high, missing)
        ORDER BY r.stage_rank;
END
$$;
COMMENT ON FUNCTION required_leads(bigint) IS
    'how many leads each stage must have for this many customers, by the rates so far, with the numbers for the ends of their intervals; expected_customers: what the leads there now still bring within mature_after; missing: new leads for the rest';

-- The forecast is for mature_after from the instant on, and knows nothing that
-- came later. N leads of which a share p buys for m on average; its interval
-- (95 %) is made of what chance does to N leads, N p (1 - p), and of not knowing
-- p well, N2 p (1 - p) / n, which is the same error for all leads of a stage;
-- in money of N p s2, and of not knowing m well, (N p)2 s2 / customers, too.
-- For the interval p has two successes and two failures more: none in ten is
-- not never.
CREATE OR REPLACE FUNCTION pipeline_forecast_at(at timestamptz)
    RETURNS TABLE (stage text, stage_rank integer, leads_now bigint, customer_rate double precision, expected_customers double precision,
        low_customers double precision, high_customers double precision, customer_amount numeric(14,2), forecast_amount numeric(14,2),
        low_amount numeric(14,2), high_amount numeric(14,2))
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    RETURN QUERY
        WITH buyer AS (
            -- an amount that is not known counts for nothing, as in customer_lifetime_value
            SELECT count(*) AS customers, avg(b.amount) AS mean, coalesce(var_samp(b.amount), 0) AS variance
            FROM (
                    -- refunds that came later are not known yet
                    SELECT coalesce(sum(CASE WHEN NOT d.is_refund THEN d.amount WHEN d.purchase_amount IS NOT NULL THEN - d.refund_amount END), 0)::double precision AS amount
                    FROM @reports@._deal d
                    WHERE d.occurred_at <= pipeline_forecast_at.at AND (d.purchased_at <= pipeline_forecast_at.at OR NOT d.is_refund)
                    GROUP BY d.lead_id
                ) b
        ), part AS (
            SELECT t.stage::text AS stage, t.stage_rank,
                coalesce(sum(c.leads), 0)::bigint AS leads,
                -- a share that is not known leaves the sum unknown
                CASE WHEN bool_and(c.leads IS NULL OR coalesce(c.past_leads, 0) > 0) THEN coalesce(sum(c.leads * (c.past_customers::double precision / c.past_leads)), 0) END AS customers,
                sum(c.leads * q.p * (1 - q.p)) + power(sum(c.leads * sqrt(q.p * (1 - q.p) / c.past_leads)), 2) AS variance
            FROM leadscore.stages() t
                LEFT JOIN @reports@._chance_left(pipeline_forecast_at.at) c USING (stage_rank)
                CROSS JOIN LATERAL (SELECT (c.past_customers + 1.9207294103470494) / (c.past_leads + 3.841458820694124)) AS q (p)
            WHERE t.stage BETWEEN 'iql' AND 'prospect'
            GROUP BY t.stage, t.stage_rank
        ), line AS (
            SELECT p.stage, p.stage_rank, p.leads, p.customers, coalesce(p.variance, 0) AS variance
            FROM part p
            UNION ALL
            SELECT 'all', 0, sum(p.leads)::bigint, CASE WHEN bool_and(p.customers IS NOT NULL) THEN sum(p.customers) END, coalesce(sum(p.variance), 0)
            FROM part p
        )
        SELECT
            n.stage,
            n.stage_rank,
            n.leads,
            n.customers / nullif(n.leads, 0),
            n.customers,
            CASE WHEN n.customers > m.customers THEN n.customers - m.customers WHEN n.customers IS NOT NULL THEN 0 END,
            CASE WHEN n.customers + m.customers > n.leads THEN n.leads ELSE n.customers + m.customers END,
            leadscore_internal.as_amount(b.mean::numeric)::numeric(14,2),
            leadscore_internal.as_amount((n.customers * b.mean)::numeric)::numeric(14,2),
            -- customers that got back more than they paid bring less than nothing
            leadscore_internal.as_amount(CASE WHEN n.customers * b.mean > m.amount OR n.customers * b.mean < 0 THEN n.customers * b.mean - m.amount WHEN m.amount IS NOT NULL THEN 0 END::numeric)::numeric(14,2),
            leadscore_internal.as_amount((n.customers * b.mean + m.amount)::numeric)::numeric(14,2)
        FROM line n
            CROSS JOIN buyer b
            CROSS JOIN LATERAL (SELECT
                1.959963984540054 * sqrt(n.variance) AS customers,
                1.959963984540054 * sqrt(n.customers * b.variance + n.variance * b.mean * b.mean + power(n.customers, 2) * b.variance / nullif(b.customers, 0)) AS amount
            ) m;
END
$$;
COMMENT ON FUNCTION pipeline_forecast_at(timestamptz) IS
    'pipeline_forecast as it was at an instant, by what had happened until then; to compare with what came';

CREATE OR REPLACE VIEW pipeline_forecast WITH (security_invoker = true) AS
SELECT f.stage, f.stage_rank, f.leads_now, f.customer_rate, f.expected_customers, f.low_customers, f.high_customers,
    f.customer_amount::numeric(14,2), f.forecast_amount::numeric(14,2), f.low_amount::numeric(14,2), f.high_amount::numeric(14,2)
FROM pipeline_forecast_at(now()) f;
COMMENT ON VIEW pipeline_forecast IS
    'one row a stage from iql to prospect, and one for all: how many of the leads there now become customers within mature_after, by what past leads did that had been in the stage for as long, and what they bring';
COMMENT ON COLUMN pipeline_forecast.stage IS 'the stage; all: their sum';
COMMENT ON COLUMN pipeline_forecast.stage_rank IS 'order of the stages; 0: all';
COMMENT ON COLUMN pipeline_forecast.leads_now IS 'leads in it now';
COMMENT ON COLUMN pipeline_forecast.customer_rate IS 'expected_customers / leads_now';
COMMENT ON COLUMN pipeline_forecast.expected_customers IS 'leads that become customers within mature_after from now; NULL if no past lead of the stage has had that time';
COMMENT ON COLUMN pipeline_forecast.low_customers IS 'lower end of its 95 % interval';
COMMENT ON COLUMN pipeline_forecast.high_customers IS 'upper end of its 95 % interval';
COMMENT ON COLUMN pipeline_forecast.customer_amount IS 'what a customer has brought so far, all purchases less refunds, on average';
COMMENT ON COLUMN pipeline_forecast.forecast_amount IS 'expected_customers * customer_amount';
COMMENT ON COLUMN pipeline_forecast.low_amount IS 'lower end of its 95 % interval';
COMMENT ON COLUMN pipeline_forecast.high_amount IS 'upper end of its 95 % interval';

-- Referrals. A chain is followed up to 100 leads: so a circle of leads that
-- recommend each other ends too. The pairs are read once, and the recursion is
-- over arrays, as engines that distribute tables run none over tables.
CREATE OR REPLACE FUNCTION _referrals() RETURNS TABLE (lead_id bigint, referrer_id bigint, steps integer)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    lead_ids bigint[];
    referrer_ids bigint[];
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    SELECT array_agg(l.lead_id), array_agg(l.referred_by) INTO lead_ids, referrer_ids
    FROM @pipeline@.lead l
    WHERE l.referred_by IS NOT NULL;
    RETURN QUERY
        WITH RECURSIVE edge AS MATERIALIZED (
            SELECT u.lead_id, u.referrer_id FROM unnest(lead_ids, referrer_ids) AS u (lead_id, referrer_id)
        ), link AS (
            SELECT e.lead_id, e.referrer_id, 1 AS steps
            FROM edge e
            UNION ALL
            SELECT k.lead_id, e.referrer_id, k.steps + 1
            FROM link k
                JOIN edge e ON e.lead_id = k.referrer_id
            WHERE e.referrer_id <> k.lead_id AND k.steps < 100
        )
        SELECT k.lead_id, k.referrer_id, min(k.steps)
        FROM link k
        GROUP BY k.lead_id, k.referrer_id;
END
$$;
COMMENT ON FUNCTION _referrals() IS 'each lead that was referred, with each lead above it and how many steps that is away';

CREATE OR REPLACE VIEW referral_tree WITH (security_invoker = true) AS
WITH pair AS MATERIALIZED (
    SELECT r.lead_id, r.referrer_id, r.steps
    FROM _referrals() r
), above AS (
    SELECT p.lead_id, count(*) AS depth, max(p.referrer_id) FILTER (WHERE l.referred_by IS NULL) AS top_id
    FROM pair p
        JOIN lead l ON l.lead_id = p.referrer_id
    GROUP BY p.lead_id
), below AS (
    SELECT p.referrer_id, count(*) AS referrals, count(*) FILTER (WHERE p.steps = 1) AS direct_referrals, max(p.steps) AS levels,
        count(m.lead_at) AS leads, count(m.customer_at) AS customers, coalesce(sum(r.revenue_amount), 0) AS revenue_amount,
        coalesce(sum(r.revenue_amount) FILTER (WHERE p.steps = 1), 0) AS direct_amount
    FROM pair p
        LEFT JOIN _milestone m ON m.lead_id = p.lead_id
        LEFT JOIN _revenue r ON r.lead_id = p.lead_id
    GROUP BY p.referrer_id
)
SELECT
    b.referrer_id AS lead_id,
    l.external_id,
    l.referred_by,
    CASE WHEN a.lead_id IS NULL THEN b.referrer_id ELSE a.top_id END AS top_id,
    coalesce(a.depth, 0) AS depth,
    b.levels,
    b.direct_referrals,
    b.referrals,
    b.leads,
    b.customers,
    b.customers::double precision / nullif(b.referrals, 0) AS customer_rate,
    rate_low(b.customers, b.referrals) AS customer_low_rate,
    rate_high(b.customers, b.referrals) AS customer_high_rate,
    as_amount(b.direct_amount)::numeric(14,2) AS direct_revenue_amount,
    as_amount(b.revenue_amount)::numeric(14,2) AS revenue_amount,
    as_amount(b.revenue_amount / nullif(b.referrals, 0))::numeric(14,2) AS revenue_per_lead_amount
FROM below b
    JOIN lead l ON l.lead_id = b.referrer_id
    LEFT JOIN above a ON a.lead_id = b.referrer_id;
COMMENT ON VIEW referral_tree IS 'one row a lead that recommended us: the leads that came by it, directly or by one of these, and what they brought';
COMMENT ON COLUMN referral_tree.lead_id IS 'number of the lead that recommended us, see the table lead';
COMMENT ON COLUMN referral_tree.external_id IS 'name of the lead in the app';
COMMENT ON COLUMN referral_tree.referred_by IS 'lead that recommended us to this one; NULL: none';
COMMENT ON COLUMN referral_tree.top_id IS 'lead at the top of its tree, which may be itself; NULL: there is none, as leads recommended each other in a circle, or it is more than 100 leads above';
COMMENT ON COLUMN referral_tree.depth IS 'number of leads above it, at most 100; 0: it is the top';
COMMENT ON COLUMN referral_tree.levels IS 'number of levels below it';
COMMENT ON COLUMN referral_tree.direct_referrals IS 'leads to which it recommended us';
COMMENT ON COLUMN referral_tree.referrals IS 'these, and leads to which they recommended us, and so on; chains of more than 100 leads are cut there';
COMMENT ON COLUMN referral_tree.leads IS 'of referrals, contacts that became iql or higher';
COMMENT ON COLUMN referral_tree.customers IS 'of referrals, contacts that became customers';
COMMENT ON COLUMN referral_tree.customer_rate IS 'customers / referrals';
COMMENT ON COLUMN referral_tree.customer_low_rate IS 'lower end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN referral_tree.customer_high_rate IS 'upper end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN referral_tree.direct_revenue_amount IS 'revenue of the leads that it referred directly, less refunds';
COMMENT ON COLUMN referral_tree.revenue_amount IS 'revenue of all that are counted in referrals, less refunds; of several referrers above each other each has all of it';
COMMENT ON COLUMN referral_tree.revenue_per_lead_amount IS 'revenue_amount / referrals';

-- Subscriptions. How long an amount is for, and which subscription, is said by
-- properties, which readers of views must not see.
CREATE OR REPLACE FUNCTION _subscription_events()
    RETURNS TABLE (lead_id bigint, event_id bigint, occurred_at timestamptz, subscription text, months integer, cancels boolean)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF NOT @pipeline@._shows_all_leads() THEN
        RETURN;
    END IF;
    RETURN QUERY
        SELECT e.lead_id, e.event_id, e.occurred_at,
            CASE WHEN jsonb_typeof(e.properties -> 'subscription') IN ('string', 'number') THEN e.properties ->> 'subscription' END,
            CASE WHEN jsonb_typeof(e.properties -> 'months') IN ('string', 'number') AND e.properties ->> 'months' ~ '^[1-9][0-9]{0,2}$'
                THEN least((e.properties ->> 'months')::integer, 120) ELSE 1 END,
            k.role = 'cancellation'
        FROM @pipeline@.event e
            JOIN @pipeline@.event_kind k USING (kind)
        WHERE leadscore_internal.is_dated(e.occurred_at) AND e.occurred_at <= now()
            AND (k.role = 'cancellation' OR k.role = 'purchase' AND NOT leadscore_internal.takes_back(e.value)
                AND (e.kind IN ('subscription_started', 'subscription_renewed') OR e.properties ? 'months'));
END
$$;
REVOKE EXECUTE ON FUNCTION _subscription_events() FROM PUBLIC;
COMMENT ON FUNCTION _subscription_events() IS
    'payments for subscriptions up to now, with the months that they are for, and cancellations; subscription is NULL if it has no name: a cancellation without one ends all of its lead';

-- From a payment until the next one, a cancellation, or a week after the time
-- that was paid for. Stays that follow each other make one subscription.
CREATE OR REPLACE VIEW _subscription WITH (security_invoker = true) AS
WITH item AS MATERIALIZED (
    SELECT i.lead_id, i.event_id, i.occurred_at, i.subscription, i.months, i.cancels
    FROM _subscription_events() i
), paid AS (
    SELECT i.lead_id, coalesce(i.subscription, '') AS subscription, i.event_id, i.occurred_at AS paid_at,
        ((i.occurred_at AT TIME ZONE z.time_zone + make_interval(months => i.months)) AT TIME ZONE z.time_zone) + interval '168 hours' AS expires_at,
        coalesce(p.net_amount, 0) / i.months AS monthly,
        lead(i.occurred_at) OVER (PARTITION BY i.lead_id, coalesce(i.subscription, '') ORDER BY i.occurred_at, i.event_id) AS next_at
    FROM item i
        CROSS JOIN setting z
        LEFT JOIN purchases p USING (lead_id, event_id)
    WHERE NOT i.cancels
), ended AS (
    SELECT p.lead_id, p.event_id, min(c.occurred_at) AS cancelled_at
    FROM paid p
        JOIN item c ON c.cancels AND c.lead_id = p.lead_id AND (c.subscription IS NULL OR c.subscription = p.subscription) AND c.occurred_at > p.paid_at
    GROUP BY p.lead_id, p.event_id
), stay AS (
    SELECT p.lead_id, p.subscription, p.event_id, p.paid_at, p.monthly, least(p.next_at, e.cancelled_at, p.expires_at) AS until_at,
        coalesce(e.cancelled_at <= least(p.next_at, p.expires_at), false) AS cancelled
    FROM paid p
        LEFT JOIN ended e USING (lead_id, event_id)
), linked AS (
    SELECT s.*,
        (lag(s.until_at) OVER course = s.paid_at AND NOT lag(s.cancelled) OVER course) IS NOT TRUE AS is_start,
        (lead(s.paid_at) OVER course = s.until_at AND NOT s.cancelled) IS NOT TRUE AS is_end
    FROM stay s
    WINDOW course AS (PARTITION BY s.lead_id, s.subscription ORDER BY s.paid_at, s.event_id)
)
SELECT
    k.lead_id,
    k.event_id,
    k.paid_at,
    k.until_at,
    k.monthly AS monthly_amount,
    k.is_start,
    k.is_end,
    k.is_end AND k.cancelled AS cancelled,
    max(k.paid_at) FILTER (WHERE k.is_start) OVER (PARTITION BY k.lead_id, k.subscription ORDER BY k.paid_at, k.event_id ROWS UNBOUNDED PRECEDING) AS started_at
FROM linked k;
COMMENT ON VIEW _subscription IS 'one row a payment for a subscription: how long it lasts, and whether the subscription begins or ends with it';

CREATE OR REPLACE VIEW subscription_months WITH (security_invoker = true) AS
WITH change AS (
    SELECT month_start(d.at, z.time_zone) AS calendar_month, sum(d.started) AS started, sum(d.renewed) AS renewals, sum(d.ended) AS ended,
        sum(d.cancelled) AS cancelled, sum(d.ended) FILTER (WHERE month_start(s.started_at, z.time_zone) < month_start(d.at, z.time_zone)) AS churned,
        sum(d.amount) AS amount, sum(d.amount) FILTER (WHERE d.started = 1) AS started_amount, -sum(d.amount) FILTER (WHERE d.ended = 1) AS ended_amount
    FROM _subscription s
        CROSS JOIN setting z
        CROSS JOIN LATERAL (VALUES
            (s.paid_at, s.is_start::integer, (NOT s.is_start)::integer, 0, 0, s.monthly_amount),
            (s.until_at, 0, 0, s.is_end::integer, s.cancelled::integer, -s.monthly_amount)
        ) AS d (at, started, renewed, ended, cancelled, amount)
    WHERE d.at <= now()
    GROUP BY 1
), month AS (
    SELECT m.calendar_month::date AS calendar_month, coalesce(c.started, 0) AS started, coalesce(c.renewals, 0) AS renewals, coalesce(c.ended, 0) AS ended,
        coalesce(c.cancelled, 0) AS cancelled, coalesce(c.churned, 0) AS churned, coalesce(c.started_amount, 0) AS started_amount, coalesce(c.ended_amount, 0) AS ended_amount,
        sum(c.started - c.ended) OVER so_far AS active, sum(c.amount) OVER so_far AS amount
    FROM setting z
        CROSS JOIN (SELECT min(c.calendar_month) AS first_month FROM change c) f
        CROSS JOIN LATERAL generate_series(f.first_month::timestamp, month_start(now(), z.time_zone)::timestamp, interval '1 month') AS m (calendar_month)
        LEFT JOIN change c ON c.calendar_month = m.calendar_month::date
    WINDOW so_far AS (ORDER BY m.calendar_month)
)
SELECT
    m.calendar_month,
    (m.active - m.started + m.ended)::bigint AS active_before,
    m.started::bigint AS started,
    m.renewals::bigint AS renewals,
    m.ended::bigint AS ended,
    m.cancelled::bigint AS cancelled,
    m.churned::bigint AS churned,
    m.active::bigint AS active,
    m.churned::double precision / nullif(m.active - m.started + m.ended, 0) AS churn_rate,
    rate_low(m.churned::bigint, (m.active - m.started + m.ended)::bigint) AS churn_low_rate,
    rate_high(m.churned::bigint, (m.active - m.started + m.ended)::bigint) AS churn_high_rate,
    as_amount(m.amount)::numeric(14,2) AS monthly_revenue_amount,
    as_amount(m.started_amount)::numeric(14,2) AS started_amount,
    as_amount(m.ended_amount)::numeric(14,2) AS ended_amount
FROM month m
ORDER BY m.calendar_month;
COMMENT ON VIEW subscription_months IS 'one row a month from the first subscription on: subscriptions that began, ended and run, and monthly recurring revenue';
COMMENT ON COLUMN subscription_months.calendar_month IS 'first day of the month';
COMMENT ON COLUMN subscription_months.active_before IS 'subscriptions that ran when the month began';
COMMENT ON COLUMN subscription_months.started IS 'subscriptions that began in the month, or began again';
COMMENT ON COLUMN subscription_months.renewals IS 'payments in the month that kept a subscription running';
COMMENT ON COLUMN subscription_months.ended IS 'subscriptions that ended in the month: they were cancelled, or not paid for until a week after the time that was paid for';
COMMENT ON COLUMN subscription_months.cancelled IS 'of ended, those that were cancelled';
COMMENT ON COLUMN subscription_months.churned IS 'of ended, those that had begun before the month';
COMMENT ON COLUMN subscription_months.active IS 'active_before + started - ended: subscriptions that run at the end of the month, or now';
COMMENT ON COLUMN subscription_months.churn_rate IS 'churned / active_before';
COMMENT ON COLUMN subscription_months.churn_low_rate IS 'lower end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN subscription_months.churn_high_rate IS 'upper end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN subscription_months.monthly_revenue_amount IS 'monthly recurring revenue (MRR) at the end of the month, or now: of each subscription that runs its last payment, less refunds, divided by the months that it is for';
COMMENT ON COLUMN subscription_months.started_amount IS 'monthly amounts of the subscriptions that began in the month';
COMMENT ON COLUMN subscription_months.ended_amount IS 'monthly amounts of the subscriptions that ended in the month';
