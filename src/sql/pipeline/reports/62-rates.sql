-- Rates: the share of leads that goes on, its interval, the time it takes, and
-- goals to compare with.

-- Per cycle of a lead: where it was, and whether it came farther afterwards.
-- Cycles that never were in the first stage of a step are in neither number of
-- its rate, so no rate exceeds 1. A visitor has no market yet: of the visitors
-- whose market is known nearly all went on. So a market has no rate of a step
-- that many cycles of an unknown market began. What a sale to b2b is like is
-- said by lead.complexity, or else for all by setting.complexity.
CREATE OR REPLACE VIEW conversion_rates WITH (security_invoker = true) AS
WITH run AS (
    -- customers that never were leads are in no rate
    SELECT r.lead_id, r.visitor_seq, r.lead_seq, r.iql_seq, r.mql_seq, r.sql_seq, r.lead_last, r.mql_last, r.sql_last, r.customer_last
    FROM _run r
    WHERE r.lead_seq IS NOT NULL OR r.customer_last IS NULL
), total AS (
    SELECT
        l.market,
        CASE WHEN l.market = 'b2b' THEN coalesce(l.complexity, z.complexity) END AS complexity,
        count(r.visitor_seq) AS visitors,
        count(r.lead_seq) AS leads,
        count(r.iql_seq) AS iqls,
        count(r.mql_seq) AS mqls,
        count(r.sql_seq) AS sqls,
        count(*) FILTER (WHERE r.lead_last > r.visitor_seq) AS visitor_lead,
        count(*) FILTER (WHERE r.mql_last > r.visitor_seq) AS visitor_mql,
        count(*) FILTER (WHERE r.sql_last > r.visitor_seq) AS visitor_sql,
        count(*) FILTER (WHERE r.customer_last > r.visitor_seq) AS visitor_customer,
        count(*) FILTER (WHERE r.mql_last > r.lead_seq) AS lead_mql,
        count(*) FILTER (WHERE r.sql_last > r.lead_seq) AS lead_sql,
        count(*) FILTER (WHERE r.customer_last >= r.lead_seq) AS lead_customer,
        count(*) FILTER (WHERE r.mql_last > r.iql_seq) AS iql_mql,
        count(*) FILTER (WHERE r.sql_last > r.iql_seq) AS iql_sql,
        count(*) FILTER (WHERE r.customer_last > r.iql_seq) AS iql_customer,
        count(*) FILTER (WHERE r.sql_last > r.mql_seq) AS mql_sql,
        count(*) FILTER (WHERE r.customer_last > r.mql_seq) AS mql_customer,
        count(*) FILTER (WHERE r.customer_last > r.sql_seq) AS sql_customer
    FROM run r
        JOIN lead l USING (lead_id)
        CROSS JOIN setting z
    GROUP BY 1, 2
), part AS (
    SELECT t.market, t.complexity, p.step_from, p.step_to, p.numerator, p.denominator
    FROM total t
        CROSS JOIN LATERAL (VALUES
            ('visitor', 'lead', t.visitor_lead, t.visitors),
            ('visitor', 'mql', t.visitor_mql, t.visitors),
            ('visitor', 'sql', t.visitor_sql, t.visitors),
            ('visitor', 'customer', t.visitor_customer, t.visitors),
            ('lead', 'mql', t.lead_mql, t.leads),
            ('lead', 'sql', t.lead_sql, t.leads),
            ('lead', 'customer', t.lead_customer, t.leads),
            ('iql', 'mql', t.iql_mql, t.iqls),
            ('iql', 'sql', t.iql_sql, t.iqls),
            ('iql', 'customer', t.iql_customer, t.iqls),
            ('mql', 'sql', t.mql_sql, t.mqls),
            ('mql', 'customer', t.mql_customer, t.mqls),
            ('sql', 'customer', t.sql_customer, t.sqls)
        ) AS p (step_from, step_to, numerator, denominator)
), pair AS (
    SELECT g.market, p.step_from, p.step_to, sum(p.numerator)::bigint AS numerator, sum(p.denominator)::bigint AS denominator
    FROM part p
        CROSS JOIN LATERAL (VALUES ('all'), (p.market), ('b2b_' || p.complexity)) AS g (market)
    WHERE g.market IS NOT NULL
    GROUP BY g.market, p.step_from, p.step_to
), missing AS (
    SELECT g.market, p.step_from, p.step_to, sum(p.denominator)::bigint AS denominator
    FROM part p
        JOIN (VALUES ('all'), ('b2b'), ('b2c'), ('b2b_simple'), ('b2b_complex')) AS g (market)
            ON p.market IS NULL OR p.market = 'b2b' AND p.complexity IS NULL AND g.market IN ('b2b_simple', 'b2b_complex')
    GROUP BY g.market, p.step_from, p.step_to
), rate AS (
    SELECT p.market, p.step_from, p.step_to, p.numerator, p.denominator,
        p.market = 'all' OR few_unknown(u.denominator, a.denominator) AS known
    FROM pair p
        JOIN pair a ON a.market = 'all' AND a.step_from = p.step_from AND a.step_to = p.step_to
        LEFT JOIN missing u ON u.market = p.market AND u.step_from = p.step_from AND u.step_to = p.step_to
), figure AS (
    SELECT r.market, r.step_from, r.step_to, r.numerator, r.denominator,
        CASE WHEN r.known THEN r.numerator::double precision / nullif(r.denominator, 0) END AS conversion_rate,
        CASE WHEN r.known THEN rate_low(r.numerator, r.denominator) END AS low_rate,
        CASE WHEN r.known THEN rate_high(r.numerator, r.denominator) END AS high_rate
    FROM rate r
)
SELECT
    k.metric,
    k.place,
    g.market,
    k.step_from,
    k.step_to,
    coalesce(p.numerator, 0) AS numerator,
    coalesce(p.denominator, 0) AS denominator,
    p.conversion_rate,
    p.low_rate,
    p.high_rate,
    b.low AS benchmark_low_rate,
    b.high AS benchmark_high_rate,
    coalesce(b.denominator, k.step_from) AS benchmark_denominator,
    b.source AS benchmark_source,
    q.conversion_rate AS benchmark_rate,
    compared(q.conversion_rate, q.low_rate, q.high_rate, b.low, b.high) AS benchmark_status,
    coalesce(u.denominator, 0) AS market_unknown
FROM (VALUES
        ('visitor_to_lead', 1, 'visitor', 'lead'),
        ('iql_to_mql', 2, 'iql', 'mql'),
        ('mql_to_sql', 3, 'mql', 'sql'),
        ('iql_to_sql', 4, 'iql', 'sql'),
        ('sql_to_customer', 5, 'sql', 'customer'),
        ('mql_to_customer', 6, 'mql', 'customer'),
        ('lead_to_customer', 7, 'lead', 'customer')
    ) AS k (metric, place, step_from, step_to)
    CROSS JOIN (VALUES ('all', 'all'), ('b2b', 'b2b'), ('b2c', 'b2c'), ('b2b_simple', 'b2b'), ('b2b_complex', 'b2b')) AS g (market, wider)
    LEFT JOIN figure p ON p.market = g.market AND p.step_from = k.step_from AND p.step_to = k.step_to
    LEFT JOIN missing u ON u.market = g.market AND u.step_from = k.step_from AND u.step_to = k.step_to
    LEFT JOIN LATERAL (
        SELECT b.low, b.high, b.denominator, b.source
        FROM benchmark b
        WHERE b.metric = k.metric AND b.segment IN (g.market, g.wider, 'all')
        ORDER BY b.segment = 'all', b.segment <> g.market
        LIMIT 1
    ) b ON true
    LEFT JOIN figure q ON q.market = g.market AND q.step_from = coalesce(b.denominator, k.step_from) AND q.step_to = k.step_to
WHERE g.market = g.wider OR EXISTS (SELECT FROM figure f WHERE f.market = g.market);
COMMENT ON VIEW conversion_rates IS 'one row a step and market: the share of cycles that takes the step, its 95 % interval, and the goal for it';
COMMENT ON COLUMN conversion_rates.metric IS 'name of the step';
COMMENT ON COLUMN conversion_rates.place IS 'number to sort the rows by';
COMMENT ON COLUMN conversion_rates.market IS 'all, b2b or b2c; b2b_simple and b2b_complex: of b2b, by lead.complexity or else setting.complexity, if any lead has one';
COMMENT ON COLUMN conversion_rates.step_from IS 'stage where the step starts; lead: any stage from iql on, as a lead';
COMMENT ON COLUMN conversion_rates.step_to IS 'stage that the step leads to: this one or a higher one; lead: iql';
COMMENT ON COLUMN conversion_rates.numerator IS 'of denominator, cycles that came to step_to or higher afterwards';
COMMENT ON COLUMN conversion_rates.denominator IS 'cycles that were in step_from; cycles of customers that never were leads are left out';
COMMENT ON COLUMN conversion_rates.conversion_rate IS 'numerator / denominator; NULL for a market if the market of more than one in twenty cycles that were in step_from is unknown';
COMMENT ON COLUMN conversion_rates.low_rate IS 'lower end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN conversion_rates.high_rate IS 'upper end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN conversion_rates.benchmark_low_rate IS 'lower end of the goal, a fraction';
COMMENT ON COLUMN conversion_rates.benchmark_high_rate IS 'upper end of the goal, a fraction';
COMMENT ON COLUMN conversion_rates.benchmark_denominator IS 'stage of the leads that the goal is a share of, if other than step_from';
COMMENT ON COLUMN conversion_rates.benchmark_source IS 'origin of the goal';
COMMENT ON COLUMN conversion_rates.benchmark_rate IS 'rate that is compared with the goal: with the denominator of the goal';
COMMENT ON COLUMN conversion_rates.benchmark_status IS 'below or above: the whole 95 % interval lies outside of the goal; within: the rate lies inside; unclear: outside, but there are too few cycles to tell; NULL: nothing to compare';
COMMENT ON COLUMN conversion_rates.market_unknown IS 'cycles of all markets that were in step_from and whose market is unknown, as that of a visitor mostly is; of b2b_simple and b2b_complex with those of b2b that say neither';

CREATE OR REPLACE VIEW conversion_times WITH (security_invoker = true) AS
WITH figure AS (
    SELECT
        g.market,
        k.metric,
        count(*) AS conversions,
        avg(t.days) AS mean_days,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY t.days) AS median_days,
        percentile_cont(0.9) WITHIN GROUP (ORDER BY t.days) AS p90_days,
        (array_agg(t.days ORDER BY t.days))[median_rank(count(*))] AS median_low,
        (array_agg(t.days ORDER BY t.days DESC))[median_rank(count(*))] AS median_high
    FROM _run r
        JOIN lead l USING (lead_id)
        CROSS JOIN LATERAL (VALUES
            ('iql_to_mql_days', 'mql'::lead_stage, r.iql_at, r.mql_reached_at, r.mql_last > r.iql_seq),
            ('mql_to_sql_days', 'sql'::lead_stage, r.mql_at, r.sql_reached_at, r.sql_last > r.mql_seq),
            ('iql_to_sql_days', 'sql'::lead_stage, r.iql_at, r.sql_reached_at, r.sql_last > r.iql_seq),
            ('sql_to_customer_days', 'customer'::lead_stage, r.sql_at, r.customer_at, r.customer_last > r.sql_seq),
            ('lead_to_customer_days', 'customer'::lead_stage, r.lead_at, r.customer_at, r.customer_last >= r.lead_seq)
        ) AS k (metric, step_to, from_at, first_at, taken)
        -- a lead that fell back into the stage took the step again
        LEFT JOIN LATERAL (
            SELECT min(h.effective_at) AS step_at
            FROM _history h
            WHERE k.taken AND k.first_at < k.from_at AND h.lead_id = r.lead_id AND h.cycle = r.cycle
                AND h.to_stage >= k.step_to AND h.effective_at >= k.from_at
        ) u ON true
        CROSS JOIN LATERAL (SELECT date_part('epoch', CASE WHEN k.first_at < k.from_at THEN u.step_at ELSE k.first_at END - k.from_at) / 86400) AS t (days)
        CROSS JOIN setting z
        CROSS JOIN LATERAL (VALUES ('all'), (l.market), (CASE WHEN l.market = 'b2b' THEN 'b2b_' || coalesce(l.complexity, z.complexity) END)) AS g (market)
    WHERE k.taken AND t.days >= 0 AND g.market IS NOT NULL
    GROUP BY g.market, k.metric
)
SELECT
    k.metric,
    k.place,
    g.market,
    coalesce(f.conversions, 0) AS conversions,
    f.mean_days,
    f.median_days,
    f.p90_days,
    b.low AS benchmark_low_days,
    b.high AS benchmark_high_days,
    b.source AS benchmark_source,
    compared(f.median_days, f.median_low, f.median_high, b.low, b.high) AS benchmark_status,
    f.median_low AS median_low_days,
    f.median_high AS median_high_days
FROM (VALUES
        ('iql_to_mql_days', 1),
        ('mql_to_sql_days', 2),
        ('iql_to_sql_days', 3),
        ('sql_to_customer_days', 4),
        ('lead_to_customer_days', 5)
    ) AS k (metric, place)
    CROSS JOIN (VALUES ('all', 'all'), ('b2b', 'b2b'), ('b2c', 'b2c'), ('b2b_simple', 'b2b'), ('b2b_complex', 'b2b')) AS g (market, wider)
    LEFT JOIN figure f ON f.metric = k.metric AND f.market = g.market
    LEFT JOIN LATERAL (
        SELECT b.low, b.high, b.source
        FROM benchmark b
        WHERE b.metric = k.metric AND b.segment IN (g.market, g.wider, 'all')
        ORDER BY b.segment = 'all', b.segment <> g.market
        LIMIT 1
    ) b ON true
WHERE g.market = g.wider OR EXISTS (SELECT FROM figure n WHERE n.market = g.market);
COMMENT ON VIEW conversion_times IS 'one row a step and market: how many days the step took, and the goal for it';
COMMENT ON COLUMN conversion_times.metric IS 'name of the step';
COMMENT ON COLUMN conversion_times.place IS 'number to sort the rows by';
COMMENT ON COLUMN conversion_times.market IS 'all, b2b or b2c; b2b_simple and b2b_complex: of b2b, by lead.complexity or else setting.complexity, if any lead has one';
COMMENT ON COLUMN conversion_times.conversions IS 'cycles that took the step';
COMMENT ON COLUMN conversion_times.mean_days IS 'mean of the days that the step took';
COMMENT ON COLUMN conversion_times.median_days IS 'median of the days that the step took';
COMMENT ON COLUMN conversion_times.p90_days IS 'days that nine of ten cycles did not exceed';
COMMENT ON COLUMN conversion_times.benchmark_low_days IS 'lower end of the goal, in days';
COMMENT ON COLUMN conversion_times.benchmark_high_days IS 'upper end of the goal, in days';
COMMENT ON COLUMN conversion_times.benchmark_source IS 'origin of the goal';
COMMENT ON COLUMN conversion_times.benchmark_status IS 'below or above: the whole 95 % interval lies outside of the goal; within: median_days lies inside; unclear: outside, but there are too few cycles to tell; NULL: nothing to compare';
COMMENT ON COLUMN conversion_times.median_low_days IS 'lower end of the 95 % interval of the median, by ranks; NULL: fewer than six cycles';
COMMENT ON COLUMN conversion_times.median_high_days IS 'upper end of the 95 % interval of the median, by ranks; NULL: fewer than six cycles';

CREATE OR REPLACE VIEW cycle_time_histogram WITH (security_invoker = true) AS
SELECT
    b.bucket,
    b.bucket_rank,
    b.from_month AS months_from,
    b.until_month AS months_until,
    count(c.lead_id) AS customers,
    count(c.lead_id)::double precision / nullif(sum(count(c.lead_id)) OVER (), 0)::double precision AS share_rate,
    (sum(count(c.lead_id)) OVER (ORDER BY b.bucket_rank))::double precision / nullif(sum(count(c.lead_id)) OVER (), 0)::double precision AS cumulative_rate,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY c.touches) AS median_touches,
    count(c.lead_id) FILTER (WHERE c.touches > 1) AS multi_touch_customers,
    count(c.lead_id) FILTER (WHERE c.touches > 1)::double precision / nullif(sum(count(c.lead_id)) OVER (), 0)::double precision AS multi_touch_share_rate
FROM (VALUES
        (1, '0-1 months', 0, 1),
        (2, '1-2 months', 1, 2),
        (3, '2-3 months', 2, 3),
        (4, '3-6 months', 3, 6),
        (5, '6-12 months', 6, 12),
        (6, '12-18 months', 12, 18),
        (7, '18-24 months', 18, 24),
        (8, '24 months and more', 24, NULL)
    ) AS b (bucket_rank, bucket, from_month, until_month)
    LEFT JOIN (
        SELECT n.lead_id, n.full_months, t.touches
        FROM cycle_time n
            CROSS JOIN LATERAL (
                -- as in touchpoints
                SELECT count(*) AS touches
                FROM event e
                    JOIN event_kind k USING (kind)
                WHERE e.lead_id = n.lead_id AND e.occurred_at >= n.started_at AND e.occurred_at <= n.customer_at
                    AND k.role NOT IN ('purchase', 'refund', 'cancellation', 'points', 'stage', 'lost', 'disqualified', 'recycled', 'unsubscribe')
            ) t
        WHERE n.full_months IS NOT NULL
    ) c ON c.full_months >= b.from_month AND (c.full_months < b.until_month OR b.until_month IS NULL)
GROUP BY b.bucket, b.bucket_rank, b.from_month, b.until_month
ORDER BY b.bucket_rank;
COMMENT ON VIEW cycle_time_histogram IS 'one row a range of calendar months: how many customers took so long from the beginning of their cycle; ranges without customers too';
COMMENT ON COLUMN cycle_time_histogram.bucket IS 'range of full months, from so many to fewer than so many';
COMMENT ON COLUMN cycle_time_histogram.bucket_rank IS 'number to sort the ranges by';
COMMENT ON COLUMN cycle_time_histogram.months_from IS 'lower end of the range, in full months';
COMMENT ON COLUMN cycle_time_histogram.months_until IS 'upper end of the range, itself not included; NULL: no end';
COMMENT ON COLUMN cycle_time_histogram.customers IS 'cycles that ended in a customer';
COMMENT ON COLUMN cycle_time_histogram.share_rate IS 'share of all customers';
COMMENT ON COLUMN cycle_time_histogram.cumulative_rate IS 'share of all customers that took so many months or fewer';
COMMENT ON COLUMN cycle_time_histogram.median_touches IS 'median of the contacts between a customer and us in its cycle before it became one, see touchpoints';
COMMENT ON COLUMN cycle_time_histogram.multi_touch_customers IS 'of customers, those with two contacts or more';
COMMENT ON COLUMN cycle_time_histogram.multi_touch_share_rate IS 'multi_touch_customers as a share of all customers, of all ranges';

-- Quality of leads, time to a sale, revenue: the three numbers that tell whether
-- marketing gets better.
--
-- Half years are the last one and the one before, ending with yesterday. Their
-- leads are new in the half year that lies mature_after before, and judged by
-- what they did within mature_after: so no lead had less time than another.
-- Months have all leads that became leads in them, judged by what they did up to
-- now: the newest months look worse than they are.
CREATE OR REPLACE VIEW period_comparison WITH (security_invoker = true) AS
WITH half AS (
    SELECT d.place,
        d.day_from, d.day_to,
        d.day_from::timestamp AT TIME ZONE s.time_zone AS from_at,
        d.day_to::timestamp AT TIME ZONE s.time_zone AS to_at,
        fixed_period(s.mature_after) AS mature_after
    FROM (
            SELECT k.place,
                (date_trunc('day', now() AT TIME ZONE z.time_zone) - make_interval(months => k.months_from))::date AS day_from,
                (date_trunc('day', now() AT TIME ZONE z.time_zone) - make_interval(months => k.months_to))::date AS day_to
            FROM setting z
                CROSS JOIN (VALUES (1, 12, 6), (2, 6, 0)) AS k (place, months_from, months_to)
        ) d
        CROSS JOIN setting s
), first AS MATERIALIZED (
    SELECT m.lead_id, m.lead_at, m.sql_at, m.customer_at
    FROM _milestone m
    WHERE m.lead_at IS NOT NULL
), bought AS MATERIALIZED (
    -- one pass over all events, not one for each lead
    SELECT p.lead_id, p.purchased_at, p.net_amount
    FROM purchases p
), half_cohort AS (
    SELECT f.place, count(*) AS leads,
        count(*) FILTER (WHERE m.sql_at <= m.lead_at + f.mature_after) AS sqls,
        count(*) FILTER (WHERE m.customer_at >= m.lead_at AND m.customer_at <= m.lead_at + f.mature_after) AS customers
    FROM half f
        JOIN first m ON m.lead_at >= f.from_at - f.mature_after AND m.lead_at < f.to_at - f.mature_after
    GROUP BY f.place
), half_revenue AS (
    SELECT f.place, sum(p.net_amount) AS revenue_amount
    FROM bought p
        JOIN first m ON m.lead_id = p.lead_id
        JOIN half f ON m.lead_at >= f.from_at - f.mature_after AND m.lead_at < f.to_at - f.mature_after
    WHERE p.purchased_at >= m.lead_at AND p.purchased_at <= m.lead_at + f.mature_after
    GROUP BY f.place
), won AS (
    SELECT f.place, count(*) AS sales,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY date_part('epoch', m.customer_at - m.lead_at) / 86400) AS median_days
    FROM half f
        -- a customer that became a lead afterwards was no sale to a lead
        JOIN first m ON m.customer_at >= f.from_at AND m.customer_at < f.to_at AND m.customer_at >= m.lead_at
    GROUP BY f.place
), half_figure AS (
    SELECT 'half year' AS period, f.day_from AS from_date, f.day_to - 1 AS to_date,
        coalesce(c.leads, 0) AS leads,
        coalesce(c.sqls, 0) AS sqls,
        coalesce(c.customers, 0) AS customers,
        coalesce(w.sales, 0) AS sales,
        w.median_days,
        coalesce(r.revenue_amount, 0) AS revenue
    FROM half f
        LEFT JOIN half_cohort c USING (place)
        LEFT JOIN half_revenue r USING (place)
        LEFT JOIN won w USING (place)
), run AS (
    SELECT
        month_start(r.lead_at, z.time_zone) AS lead_month,
        r.sql_reached_at,
        r.customer_last >= r.lead_seq AS won,
        date_part('epoch', CASE WHEN r.customer_at < r.lead_at THEN u.won_at ELSE r.customer_at END - r.lead_at) / 86400 AS days
    FROM _run r
        CROSS JOIN setting z
        -- a customer that became a lead afterwards may have become a customer again
        LEFT JOIN LATERAL (
            SELECT min(h.effective_at) AS won_at
            FROM _history h
            WHERE r.customer_at < r.lead_at AND r.customer_last >= r.lead_seq AND h.lead_id = r.lead_id AND h.cycle = r.cycle
                AND h.to_stage >= 'customer' AND h.effective_at >= r.lead_at
        ) u ON true
    WHERE r.lead_at IS NOT NULL
), month_cohort AS (
    SELECT
        r.lead_month,
        count(*) AS leads,
        count(r.sql_reached_at) AS sqls,
        count(*) FILTER (WHERE r.won) AS customers,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY r.days) AS median_days
    FROM run r
    GROUP BY r.lead_month
), month_revenue AS (
    SELECT month_start(f.lead_at, z.time_zone) AS lead_month, sum(p.net_amount) AS revenue
    FROM first f
        JOIN bought p USING (lead_id)
        CROSS JOIN setting z
    GROUP BY month_start(f.lead_at, z.time_zone)
), figure AS (
    SELECT h.period, h.from_date, h.to_date, h.leads, h.sqls, h.customers, h.sales, h.median_days, h.revenue
    FROM half_figure h
    UNION ALL
    SELECT 'month' AS period, m.lead_month AS from_date, (m.lead_month + interval '1 month')::date - 1 AS to_date,
        coalesce(c.leads, 0) AS leads,
        coalesce(c.sqls, 0) AS sqls,
        coalesce(c.customers, 0) AS customers,
        coalesce(c.customers, 0) AS sales,
        c.median_days,
        coalesce(r.revenue, 0) AS revenue
    FROM (
            SELECT c.lead_month FROM month_cohort c
            UNION
            -- a lead that was one only as a customer that came back is in no cycle of leads
            SELECT r.lead_month FROM month_revenue r WHERE r.lead_month IS NOT NULL
            UNION
            SELECT month_start(now(), z.time_zone) AS lead_month FROM setting z
        ) m
        LEFT JOIN month_cohort c USING (lead_month)
        LEFT JOIN month_revenue r USING (lead_month)
), rated AS (
    SELECT f.*,
        f.sqls::double precision / nullif(f.leads, 0) AS sql_rate,
        f.customers::double precision / nullif(f.leads, 0) AS customer_rate,
        f.revenue / nullif(f.leads, 0) AS revenue_per_lead
    FROM figure f
)
SELECT
    r.period,
    r.from_date,
    r.to_date,
    r.leads,
    r.sqls,
    r.customers,
    r.sql_rate,
    r.customer_rate,
    r.sales,
    r.median_days AS median_sale_days,
    as_amount(r.revenue)::numeric(14,2) AS revenue_amount,
    as_amount(r.revenue_per_lead)::numeric(14,2) AS revenue_per_lead_amount,
    r.sql_rate / nullif(lag(r.sql_rate) OVER before, 0) - 1 AS sql_change,
    r.customer_rate / nullif(lag(r.customer_rate) OVER before, 0) - 1 AS customer_change,
    -- of less than nothing there is no multiple
    (r.revenue_per_lead / CASE WHEN lag(r.revenue_per_lead) OVER before > 0 THEN lag(r.revenue_per_lead) OVER before END - 1)::double precision AS revenue_change,
    r.median_days / nullif(lag(r.median_days) OVER before, 0) - 1 AS sale_days_change
FROM rated r
WINDOW before AS (PARTITION BY r.period ORDER BY r.from_date)
ORDER BY r.period, r.from_date;
COMMENT ON VIEW period_comparison IS 'one row a month, and one for each of the last two half years: the quality of its leads, the time that a sale took, and the revenue';
COMMENT ON COLUMN period_comparison.period IS 'month or half year';
COMMENT ON COLUMN period_comparison.from_date IS 'first day of the period';
COMMENT ON COLUMN period_comparison.to_date IS 'last day of the period';
COMMENT ON COLUMN period_comparison.leads IS 'month: cycles that became leads in it; half year: leads that first became leads in the half year that lies setting.mature_after before it';
COMMENT ON COLUMN period_comparison.sqls IS 'leads of the period that reached sql or higher; of a half year within setting.mature_after';
COMMENT ON COLUMN period_comparison.customers IS 'leads of the period that became customers, and not before they were leads; of a half year within setting.mature_after';
COMMENT ON COLUMN period_comparison.sql_rate IS 'sqls / leads';
COMMENT ON COLUMN period_comparison.customer_rate IS 'customers / leads';
COMMENT ON COLUMN period_comparison.sales IS 'sales that median_sale_days is computed from; month: customers; half year: leads that became customers between from_date and to_date';
COMMENT ON COLUMN period_comparison.median_sale_days IS 'median of the days from lead to customer';
COMMENT ON COLUMN period_comparison.revenue_amount IS 'revenue, less refunds, from leads that first became leads in the period; of a half year from purchases within setting.mature_after';
COMMENT ON COLUMN period_comparison.revenue_per_lead_amount IS 'revenue_amount / leads';
COMMENT ON COLUMN period_comparison.sql_change IS 'change of sql_rate against the period before, as a fraction';
COMMENT ON COLUMN period_comparison.customer_change IS 'change of customer_rate against the period before, as a fraction';
COMMENT ON COLUMN period_comparison.revenue_change IS 'change of revenue_per_lead_amount against the period before, as a fraction; NULL if that brought nothing, or less';
COMMENT ON COLUMN period_comparison.sale_days_change IS 'change of median_sale_days against the period before, as a fraction';
