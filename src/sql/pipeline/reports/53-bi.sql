-- For star schemas of BI tools: a calendar, and what months compare by.

CREATE OR REPLACE VIEW calendar WITH (security_invoker = true) AS
SELECT
    d.day_date,
    date_trunc('month', d.day)::date AS day_month,
    extract(year FROM d.day)::integer AS year,
    extract(quarter FROM d.day)::integer AS quarter,
    extract(month FROM d.day)::integer AS month_number,
    extract(day FROM d.day)::integer AS month_day,
    extract(isoyear FROM d.day)::integer AS iso_year,
    extract(week FROM d.day)::integer AS iso_week,
    extract(isodow FROM d.day)::integer AS weekday,
    extract(isodow FROM d.day) >= 6 AS weekend,
    to_char(d.day, 'YYYY-MM') AS month_label,
    to_char(d.day, 'YYYY"-Q"Q') AS quarter_label,
    d.today - d.day_date AS days_ago,
    d.day_date > d.today AS future
FROM (
        SELECT b.first_date + n AS day_date, (b.first_date + n)::timestamp AS day, b.today
        FROM (
                SELECT
                    -- no further back, so that one wrong date does not make it endless
                    greatest(least((least(e.first_at, l.first_at) AT TIME ZONE z.time_zone)::date, (now() AT TIME ZONE z.time_zone)::date),
                        (now() AT TIME ZONE z.time_zone - interval '50 years')::date) AS first_date,
                    (now() AT TIME ZONE z.time_zone)::date AS today,
                    ((now() AT TIME ZONE z.time_zone) + interval '1 year')::date AS last_date
                FROM setting z
                    CROSS JOIN (SELECT min(v.occurred_at) AS first_at FROM event v WHERE isfinite(v.occurred_at)) e
                    CROSS JOIN (SELECT min(v.created_at) AS first_at FROM lead v WHERE isfinite(v.created_at)) l
            ) b
            CROSS JOIN LATERAL generate_series(0, b.last_date - b.first_date) n
    ) d
ORDER BY d.day_date;
COMMENT ON VIEW calendar IS 'one row a day, from the first event (at most 50 years ago) to a year from today: the dimension of time';
COMMENT ON COLUMN calendar.day_date IS 'the day; join entered_date, created_date or another date to it';
COMMENT ON COLUMN calendar.day_month IS 'first day of its month';
COMMENT ON COLUMN calendar.year IS 'year';
COMMENT ON COLUMN calendar.quarter IS '1 to 4';
COMMENT ON COLUMN calendar.month_number IS '1 to 12';
COMMENT ON COLUMN calendar.month_day IS '1 to 31';
COMMENT ON COLUMN calendar.iso_year IS 'year that the ISO week belongs to';
COMMENT ON COLUMN calendar.iso_week IS 'ISO week, 1 to 53';
COMMENT ON COLUMN calendar.weekday IS '1 Monday to 7 Sunday';
COMMENT ON COLUMN calendar.weekend IS 'Saturday or Sunday';
COMMENT ON COLUMN calendar.month_label IS 'such as 2025-03';
COMMENT ON COLUMN calendar.quarter_label IS 'such as 2025-Q1';
COMMENT ON COLUMN calendar.days_ago IS 'days between it and today, in the time zone of the pipeline; negative: days to come';
COMMENT ON COLUMN calendar.future IS 'whether it is yet to come';

-- Quality up, time down, revenue up: the three numbers that tell whether it
-- gets better. Leads count in the month in which they became leads.
CREATE OR REPLACE VIEW period_comparison WITH (security_invoker = true) AS
WITH run AS (
    SELECT
        month_start(r.lead_at, z.time_zone) AS lead_month,
        r.sql_at,
        r.customer_at,
        date_part('epoch', r.customer_at - r.lead_at) / 86400 AS days
    FROM (
            SELECT
                h.lead_id,
                h.cycle,
                min(h.effective_at) FILTER (WHERE h.to_stage >= 'iql') AS lead_at,
                min(h.effective_at) FILTER (WHERE h.to_stage >= 'sql') AS sql_at,
                min(h.effective_at) FILTER (WHERE h.to_stage >= 'customer') AS customer_at
            FROM stage_history h
            GROUP BY h.lead_id, h.cycle
        ) r
        CROSS JOIN setting z
    WHERE r.lead_at IS NOT NULL
), leads AS (
    SELECT
        r.lead_month,
        count(*) AS leads,
        count(r.sql_at) AS sqls,
        count(r.customer_at) AS customers,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY r.days) AS median_days
    FROM run r
    GROUP BY r.lead_month
), revenue AS (
    SELECT month_start(f.lead_at, z.time_zone) AS lead_month, sum(p.amount) AS amount
    FROM (
            SELECT h.lead_id, min(h.effective_at) AS lead_at
            FROM stage_history h
            WHERE h.to_stage >= 'iql'
            GROUP BY h.lead_id
        ) f
        JOIN (
            SELECT e.lead_id, sum(least(greatest(e.value, -1e11), 1e11)) AS amount
            FROM event e
                JOIN event_kind k USING (kind)
            WHERE k.role = 'purchase' AND e.value <> 'NaN'
            GROUP BY e.lead_id
        ) p USING (lead_id)
        CROSS JOIN setting z
    GROUP BY month_start(f.lead_at, z.time_zone)
)
SELECT
    m.lead_month,
    coalesce(l.leads, 0) AS leads,
    coalesce(l.sqls, 0) AS sqls,
    coalesce(l.customers, 0) AS customers,
    l.sqls::double precision / nullif(l.leads, 0) AS quality_rate,
    l.median_days AS median_sale_days,
    least(greatest(coalesce(r.amount, 0), -999999999999), 999999999999)::numeric(14,2) AS revenue_amount,
    least(greatest(coalesce(r.amount, 0) / nullif(l.leads, 0), -999999999999), 999999999999)::numeric(14,2) AS revenue_per_lead_amount
FROM (
        SELECT k.lead_month FROM leads k
        UNION
        SELECT month_start(now(), z.time_zone) AS lead_month FROM setting z
    ) m
    LEFT JOIN leads l USING (lead_month)
    LEFT JOIN revenue r USING (lead_month)
ORDER BY m.lead_month;
COMMENT ON VIEW period_comparison IS 'one row a month: of the leads that became leads then, how good they were, how long the sale took, and what they brought, up to now';
COMMENT ON COLUMN period_comparison.lead_month IS 'first day of the month in which they became iql or higher; who came back counts again';
COMMENT ON COLUMN period_comparison.leads IS 'how many did';
COMMENT ON COLUMN period_comparison.sqls IS 'of these, those that reached sql or higher';
COMMENT ON COLUMN period_comparison.customers IS 'of these, those that became customers';
COMMENT ON COLUMN period_comparison.quality_rate IS 'sqls / leads';
COMMENT ON COLUMN period_comparison.median_sale_days IS 'half of the customers took no longer from lead to customer';
COMMENT ON COLUMN period_comparison.revenue_amount IS 'purchases of those who first became leads in that month, whenever they bought';
COMMENT ON COLUMN period_comparison.revenue_per_lead_amount IS 'revenue_amount / leads';
