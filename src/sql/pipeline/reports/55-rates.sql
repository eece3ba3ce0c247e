-- Rates: what share goes on, how sure that is, and how it compares with goals.

-- Goals are data of the user. They are put in once, when the views come: rows
-- that were changed or removed since stay so at every upgrade. Before the
-- view below, as its absence tells that this is the first time.
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
WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.relname = 'conversion_rates' AND c.relnamespace = pipeline()::oid)
ON CONFLICT DO NOTHING;

CREATE OR REPLACE FUNCTION compared(figure double precision, low double precision, high double precision) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE
        WHEN compared.figure < compared.low THEN 'below'
        WHEN compared.figure > compared.high THEN 'above'
        WHEN compared.figure IS NOT NULL AND (compared.low IS NOT NULL OR compared.high IS NOT NULL) THEN 'within'
    END;
END;
COMMENT ON FUNCTION compared(double precision, double precision, double precision) IS
    'below, within or above a goal; NULL if there is no figure or no goal';

-- A day is 24 hours here, whatever the session's time zone does.
CREATE OR REPLACE FUNCTION fixed_period(period interval) RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT date_part('epoch', fixed_period.period) * interval '1 second';
END;
COMMENT ON FUNCTION fixed_period(interval) IS 'the same period in seconds: added to an instant it gives the same in every time zone';

-- First times, one row a lead. Reached: in this stage or a higher one, so that
-- leads >= mqls >= sqls >= customers whatever stages were skipped.
CREATE OR REPLACE VIEW lead_milestone WITH (security_invoker = true) AS
SELECT
    l.lead_id,
    coalesce(l.channel, c.channel, '(none)') AS channel,
    coalesce(c.direction, h.direction, '(none)') AS direction,
    coalesce(l.campaign, '(none)') AS campaign,
    coalesce(c.sourcing, '(none)') AS sourcing,
    coalesce(l.market, '(none)') AS market,
    coalesce(l.country, '(none)') AS country,
    coalesce(l.owner, '(none)') AS owner,
    coalesce(l.persona, '(none)') AS persona,
    CASE WHEN isfinite(l.created_at) THEN l.created_at END AS created_at,
    m.lead_at,
    m.mql_at,
    m.sql_at,
    m.customer_at
FROM lead l
    LEFT JOIN campaign c ON c.campaign = l.campaign
    LEFT JOIN channel h ON h.channel = coalesce(l.channel, c.channel)
    LEFT JOIN (
        SELECT
            s.lead_id,
            min(s.effective_at) AS lead_at,
            min(s.effective_at) FILTER (WHERE s.to_stage >= 'mql') AS mql_at,
            min(s.effective_at) FILTER (WHERE s.to_stage >= 'sql') AS sql_at,
            min(s.effective_at) FILTER (WHERE s.to_stage >= 'customer') AS customer_at
        FROM stage_history s
        WHERE s.to_stage >= 'iql'
        GROUP BY s.lead_id
    ) m ON m.lead_id = l.lead_id;
COMMENT ON VIEW lead_milestone IS 'one row a lead: when it first was in each stage or a higher one';
COMMENT ON COLUMN lead_milestone.lead_id IS 'the lead';
COMMENT ON COLUMN lead_milestone.channel IS 'channel that the lead came by, or that of its campaign; (none): not known';
COMMENT ON COLUMN lead_milestone.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN lead_milestone.campaign IS 'campaign that the lead came by; (none): not known';
COMMENT ON COLUMN lead_milestone.sourcing IS 'internal or outsourced, of the campaign; (none): not known';
COMMENT ON COLUMN lead_milestone.market IS 'b2b or b2c; (none): not known';
COMMENT ON COLUMN lead_milestone.country IS 'country; (none): not known';
COMMENT ON COLUMN lead_milestone.owner IS 'who looks after the lead; (none): nobody';
COMMENT ON COLUMN lead_milestone.persona IS 'buyer persona; (none): not known';
COMMENT ON COLUMN lead_milestone.created_at IS 'when the lead was first heard of';
COMMENT ON COLUMN lead_milestone.lead_at IS 'when it first was iql or higher';
COMMENT ON COLUMN lead_milestone.mql_at IS 'when it first was mql or higher';
COMMENT ON COLUMN lead_milestone.sql_at IS 'when it first was sql or higher';
COMMENT ON COLUMN lead_milestone.customer_at IS 'when it first was customer or higher';

-- One row a run through the funnel (lead and cycle): where it was, and whether
-- it came farther afterwards. Who was never in the first stage of a step is in
-- neither number of its rate, so none exceeds 1.
CREATE OR REPLACE VIEW conversion_rates WITH (security_invoker = true) AS
WITH run AS (
    SELECT
        h.lead_id,
        h.cycle,
        min(h.seq) FILTER (WHERE h.to_stage = 'visitor') AS visitor_in,
        min(h.seq) FILTER (WHERE h.to_stage >= 'iql' AND h.to_stage <= 'prospect') AS lead_in,
        min(h.seq) FILTER (WHERE h.to_stage = 'iql') AS iql_in,
        min(h.seq) FILTER (WHERE h.to_stage = 'mql') AS mql_in,
        min(h.seq) FILTER (WHERE h.to_stage = 'sql') AS sql_in,
        max(h.seq) FILTER (WHERE h.to_stage >= 'iql') AS lead_last,
        max(h.seq) FILTER (WHERE h.to_stage >= 'mql') AS mql_last,
        max(h.seq) FILTER (WHERE h.to_stage >= 'sql') AS sql_last,
        max(h.seq) FILTER (WHERE h.to_stage >= 'customer') AS customer_last
    FROM stage_history h
    GROUP BY h.lead_id, h.cycle
), total AS (
    SELECT
        l.market,
        count(r.visitor_in) AS visitors,
        count(r.lead_in) AS leads,
        count(r.iql_in) AS iqls,
        count(r.mql_in) AS mqls,
        count(r.sql_in) AS sqls,
        count(*) FILTER (WHERE r.lead_last > r.visitor_in) AS visitor_lead,
        count(*) FILTER (WHERE r.mql_last > r.visitor_in) AS visitor_mql,
        count(*) FILTER (WHERE r.sql_last > r.visitor_in) AS visitor_sql,
        count(*) FILTER (WHERE r.customer_last > r.visitor_in) AS visitor_customer,
        count(*) FILTER (WHERE r.mql_last > r.lead_in) AS lead_mql,
        count(*) FILTER (WHERE r.sql_last > r.lead_in) AS lead_sql,
        count(*) FILTER (WHERE r.customer_last > r.lead_in) AS lead_customer,
        count(*) FILTER (WHERE r.mql_last > r.iql_in) AS iql_mql,
        count(*) FILTER (WHERE r.sql_last > r.iql_in) AS iql_sql,
        count(*) FILTER (WHERE r.customer_last > r.iql_in) AS iql_customer,
        count(*) FILTER (WHERE r.sql_last > r.mql_in) AS mql_sql,
        count(*) FILTER (WHERE r.customer_last > r.mql_in) AS mql_customer,
        count(*) FILTER (WHERE r.customer_last > r.sql_in) AS sql_customer
    FROM run r
        JOIN lead l USING (lead_id)
    GROUP BY l.market
), part AS (
    SELECT t.market, p.step_from, p.step_to, p.numerator, p.denominator
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
    SELECT p.market, p.step_from, p.step_to, p.numerator, p.denominator
    FROM part p
    WHERE p.market IS NOT NULL
    UNION ALL
    SELECT 'all', p.step_from, p.step_to, sum(p.numerator)::bigint, sum(p.denominator)::bigint
    FROM part p
    GROUP BY p.step_from, p.step_to
)
SELECT
    k.metric,
    k.place,
    g.market,
    k.step_from,
    k.step_to,
    coalesce(p.numerator, 0) AS numerator,
    coalesce(p.denominator, 0) AS denominator,
    p.numerator::double precision / nullif(p.denominator, 0) AS conversion_rate,
    rate_low(p.numerator, p.denominator) AS low_rate,
    rate_high(p.numerator, p.denominator) AS high_rate,
    b.low AS benchmark_low_rate,
    b.high AS benchmark_high_rate,
    coalesce(b.denominator, k.step_from) AS benchmark_denominator,
    b.source AS benchmark_source,
    q.numerator::double precision / nullif(q.denominator, 0) AS benchmark_rate,
    compared(q.numerator::double precision / nullif(q.denominator, 0), b.low, b.high) AS benchmark_status
FROM (VALUES
        ('visitor_to_lead', 1, 'visitor', 'lead'),
        ('iql_to_mql', 2, 'iql', 'mql'),
        ('mql_to_sql', 3, 'mql', 'sql'),
        ('iql_to_sql', 4, 'iql', 'sql'),
        ('sql_to_customer', 5, 'sql', 'customer'),
        ('mql_to_customer', 6, 'mql', 'customer'),
        ('lead_to_customer', 7, 'lead', 'customer')
    ) AS k (metric, place, step_from, step_to)
    CROSS JOIN (VALUES ('all'), ('b2b'), ('b2c')) AS g (market)
    LEFT JOIN pair p ON p.market = g.market AND p.step_from = k.step_from AND p.step_to = k.step_to
    LEFT JOIN LATERAL (
        SELECT b.low, b.high, b.denominator, b.source
        FROM benchmark b
        WHERE b.metric = k.metric AND b.segment IN (g.market, 'all')
        ORDER BY b.segment = 'all'
        LIMIT 1
    ) b ON true
    LEFT JOIN pair q ON q.market = g.market AND q.step_from = coalesce(b.denominator, k.step_from) AND q.step_to = k.step_to;
COMMENT ON VIEW conversion_rates IS 'one row a step and market: the share that goes on, its 95 % interval, and the goal for it';
COMMENT ON COLUMN conversion_rates.metric IS 'the step';
COMMENT ON COLUMN conversion_rates.place IS 'order of the rows';
COMMENT ON COLUMN conversion_rates.market IS 'all, b2b or b2c';
COMMENT ON COLUMN conversion_rates.step_from IS 'where it starts; lead: iql to prospect';
COMMENT ON COLUMN conversion_rates.step_to IS 'where it goes: this stage or a higher one; lead: iql';
COMMENT ON COLUMN conversion_rates.numerator IS 'of the denominator, those that came to step_to or higher afterwards';
COMMENT ON COLUMN conversion_rates.denominator IS 'runs through the funnel that were in step_from';
COMMENT ON COLUMN conversion_rates.conversion_rate IS 'numerator / denominator';
COMMENT ON COLUMN conversion_rates.low_rate IS 'lower end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN conversion_rates.high_rate IS 'upper end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN conversion_rates.benchmark_low_rate IS 'lower end of the goal';
COMMENT ON COLUMN conversion_rates.benchmark_high_rate IS 'upper end of the goal';
COMMENT ON COLUMN conversion_rates.benchmark_denominator IS 'what the goal is a share of, if other than step_from';
COMMENT ON COLUMN conversion_rates.benchmark_source IS 'where the goal comes from';
COMMENT ON COLUMN conversion_rates.benchmark_rate IS 'the rate with the denominator of the goal: what is compared with it';
COMMENT ON COLUMN conversion_rates.benchmark_status IS 'below, within or above the goal; NULL: nothing to compare';

CREATE OR REPLACE VIEW conversion_times WITH (security_invoker = true) AS
WITH run AS (
    SELECT
        h.lead_id,
        h.cycle,
        min(h.effective_at) FILTER (WHERE h.to_stage >= 'iql' AND h.to_stage <= 'prospect') AS lead_at,
        min(h.effective_at) FILTER (WHERE h.to_stage = 'iql') AS iql_at,
        min(h.effective_at) FILTER (WHERE h.to_stage = 'mql') AS mql_at,
        min(h.effective_at) FILTER (WHERE h.to_stage = 'sql') AS sql_at,
        min(h.effective_at) FILTER (WHERE h.to_stage >= 'mql') AS mql_reached_at,
        min(h.effective_at) FILTER (WHERE h.to_stage >= 'sql') AS sql_reached_at,
        min(h.effective_at) FILTER (WHERE h.to_stage >= 'customer') AS customer_at
    FROM stage_history h
    WHERE h.to_stage >= 'iql'
    GROUP BY h.lead_id, h.cycle
    HAVING count(*) > 1
), figure AS (
    SELECT
        g.market,
        t.metric,
        count(*) AS conversions,
        avg(t.days) AS mean_days,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY t.days) AS median_days,
        percentile_cont(0.9) WITHIN GROUP (ORDER BY t.days) AS p90_days
    FROM run r
        JOIN lead l USING (lead_id)
        CROSS JOIN LATERAL (VALUES
            ('iql_to_mql_days', date_part('epoch', r.mql_reached_at - r.iql_at) / 86400),
            ('mql_to_sql_days', date_part('epoch', r.sql_reached_at - r.mql_at) / 86400),
            ('iql_to_sql_days', date_part('epoch', r.sql_reached_at - r.iql_at) / 86400),
            ('sql_to_customer_days', date_part('epoch', r.customer_at - r.sql_at) / 86400),
            ('lead_to_customer_days', date_part('epoch', r.customer_at - r.lead_at) / 86400)
        ) AS t (metric, days)
        CROSS JOIN LATERAL (SELECT 'all' UNION ALL SELECT l.market WHERE l.market IS NOT NULL) AS g (market)
    WHERE t.days >= 0
    GROUP BY g.market, t.metric
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
    compared(f.median_days, b.low, b.high) AS benchmark_status
FROM (VALUES
        ('iql_to_mql_days', 1),
        ('mql_to_sql_days', 2),
        ('iql_to_sql_days', 3),
        ('sql_to_customer_days', 4),
        ('lead_to_customer_days', 5)
    ) AS k (metric, place)
    CROSS JOIN (VALUES ('all'), ('b2b'), ('b2c')) AS g (market)
    LEFT JOIN figure f ON f.metric = k.metric AND f.market = g.market
    LEFT JOIN LATERAL (
        SELECT b.low, b.high, b.source
        FROM benchmark b
        WHERE b.metric = k.metric AND b.segment IN (g.market, 'all')
        ORDER BY b.segment = 'all'
        LIMIT 1
    ) b ON true;
COMMENT ON VIEW conversion_times IS 'one row a step and market: how long it took those that went on, and the goal for it';
COMMENT ON COLUMN conversion_times.metric IS 'the step';
COMMENT ON COLUMN conversion_times.place IS 'order of the rows';
COMMENT ON COLUMN conversion_times.market IS 'all, b2b or b2c';
COMMENT ON COLUMN conversion_times.conversions IS 'runs through the funnel that took the step';
COMMENT ON COLUMN conversion_times.mean_days IS 'mean time';
COMMENT ON COLUMN conversion_times.median_days IS 'half of them took no longer';
COMMENT ON COLUMN conversion_times.p90_days IS 'nine of ten took no longer';
COMMENT ON COLUMN conversion_times.benchmark_low_days IS 'lower end of the goal';
COMMENT ON COLUMN conversion_times.benchmark_high_days IS 'upper end of the goal';
COMMENT ON COLUMN conversion_times.benchmark_source IS 'where the goal comes from';
COMMENT ON COLUMN conversion_times.benchmark_status IS 'whether median_days is below, within or above the goal; NULL: nothing to compare';
