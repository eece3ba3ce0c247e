-- Is the scoring any good, and is it getting better?

-- Leads are scored as they were at an instant of the past, by what was known
-- then: only events up to it count, and profiles are put back to what they
-- were. The instant is the end of a bucket (day or hour), as a score counts the
-- whole of its bucket. Outcomes are customers won after it, within horizon.
CREATE OR REPLACE FUNCTION scored_leads(compiled lead_model, at timestamptz, horizon interval)
    RETURNS TABLE (lead_id bigint, milli bigint, band lead_stage, won boolean)
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH instant AS (
        SELECT s.grain, date_trunc(CASE period_text(s.grain) WHEN '1 hours' THEN 'hour' ELSE 'day' END,
            coalesce(scored_leads.at, now() - fixed_period(coalesce(scored_leads.horizon, s.mature_after))), 'UTC') AS at,
            fixed_period(coalesce(scored_leads.horizon, s.mature_after)) AS horizon
        FROM setting s
    ), history AS MATERIALIZED (
        -- the newest stage before the instant: of seq and rank in one number the
        -- greatest. Materialized, or the planner takes the leads for few
        SELECT h.lead_id,
            (max(h.seq::bigint << 8 | stage_rank(h.to_stage)) FILTER (WHERE h.effective_at < i.at) & 255)
                BETWEEN stage_rank('iql') AND stage_rank('prospect') AS scored,
            coalesce(bool_or(h.to_stage >= 'customer' AND h.effective_at >= i.at AND h.effective_at < i.at + i.horizon), false) AS won
        FROM stage_history h
            CROSS JOIN instant i
        GROUP BY h.lead_id
    ), profile AS (
        SELECT c.lead_id, lead_activity_agg(g.signal_id, NULL::timestamptz, c.count::bigint, i.grain) AS later
        FROM profile_change c
            JOIN signal g USING (signal)
            CROSS JOIN instant i
        WHERE c.changed_at >= i.at
        GROUP BY c.lead_id
    )
    SELECT s.lead_id,
        score_milli(a.activity, scored_leads.compiled, i.at - interval '1 microsecond'),
        stage_by_points(a.activity, scored_leads.compiled, i.at - interval '1 microsecond'),
        h.won
    FROM history h
        JOIN lead_state s ON s.lead_id = h.lead_id
        LEFT JOIN profile p ON p.lead_id = h.lead_id
        CROSS JOIN instant i
        CROSS JOIN LATERAL (SELECT CASE WHEN p.later IS NULL THEN s.activity ELSE s.activity - p.later END) AS a (activity)
    WHERE h.scored;
END;
COMMENT ON FUNCTION scored_leads(lead_model, timestamptz, interval) IS
    'internal: leads (iql to prospect) of an instant, their points as of then in thousandths, and whether they became customers within horizon';

CREATE OR REPLACE FUNCTION model_quality(model text, at timestamptz DEFAULT NULL, horizon interval DEFAULT NULL)
    RETURNS TABLE (level text, place integer, stage text, score_from numeric, score_to numeric, leads bigint, converted bigint,
        converted_rate double precision, low_rate double precision, high_rate double precision, lift double precision, captured_rate double precision,
        true_positives bigint, false_positives bigint, false_negatives bigint, true_negatives bigint,
        precision_rate double precision, recall_rate double precision, auc double precision, auc_low double precision, auc_high double precision)
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT known_model(model_quality.model);
    SELECT refuse('invalid_parameter_value', 'horizon must be greater than zero', hint => 'Pass the time in which leads should have become customers, such as 90 days.')
        WHERE model_quality.horizon <= interval '0';
    WITH definition AS MATERIALIZED (
        SELECT compiled_model(model_quality.model) AS compiled
    ), scored AS MATERIALIZED (
        SELECT l.lead_id, l.milli, l.band, l.won,
            rank() OVER (ORDER BY l.milli) + (count(*) OVER (PARTITION BY l.milli) - 1) / 2.0::double precision AS mid_rank,
            ntile(10) OVER (ORDER BY l.milli DESC, l.lead_id) AS decile
        FROM definition d, scored_leads(d.compiled, model_quality.at, model_quality.horizon) l
    ), total AS (
        SELECT count(*) AS leads, count(*) FILTER (WHERE s.won) AS won,
            -- Mann and Whitney: how often a customer had more points than somebody else, ties half
            (sum(s.mid_rank) FILTER (WHERE s.won) - count(*) FILTER (WHERE s.won)::double precision * (count(*) FILTER (WHERE s.won) + 1) / 2)
                / nullif(count(*) FILTER (WHERE s.won)::double precision * count(*) FILTER (WHERE NOT s.won), 0) AS auc,
            min(s.milli) AS low, max(s.milli) AS high
        FROM scored s
    ), area AS (
        -- Hanley and McNeil
        SELECT t.auc, 1.959963984540054 * sqrt((t.auc * (1 - t.auc)
            + (t.won - 1) * (t.auc / (2 - t.auc) - t.auc * t.auc)
            + (t.leads - t.won - 1) * (2 * t.auc * t.auc / (1 + t.auc) - t.auc * t.auc))
            / nullif(t.won::double precision * (t.leads - t.won), 0)) AS margin
        FROM total t
    ), line AS (
        SELECT 1 AS part, 'summary' AS level, 1 AS place, NULL::text AS stage, t.low, t.high, t.leads, t.won,
            NULL::bigint AS upto, NULL::bigint AS true_positives, NULL::bigint AS false_positives
        FROM total t
        UNION ALL
        SELECT 2, 'band', n.stage_rank, n.stage::text, min(s.milli), max(s.milli), count(s.lead_id), count(*) FILTER (WHERE s.won),
            NULL::bigint, NULL::bigint, NULL::bigint
        FROM stages() n
            LEFT JOIN scored s ON s.band = n.stage
        WHERE n.stage >= 'iql' AND n.stage <= 'sql'
        GROUP BY n.stage_rank, n.stage::text
        UNION ALL
        SELECT 3, 'decile', d.decile, NULL::text, min(s.milli), max(s.milli), count(s.lead_id), count(*) FILTER (WHERE s.won),
            sum(count(*) FILTER (WHERE s.won)) OVER (ORDER BY d.decile)::bigint, NULL::bigint, NULL::bigint
        FROM generate_series(1, 10) AS d (decile)
            LEFT JOIN scored s USING (decile)
        GROUP BY d.decile
        UNION ALL
        SELECT 4, 'threshold', stage_rank(r.stage), r.stage::text, (r.min_score * 1000)::bigint, NULL::bigint,
            count(s.lead_id), count(*) FILTER (WHERE s.won), NULL::bigint,
            count(*) FILTER (WHERE s.won AND s.milli >= r.min_score * 1000),
            count(*) FILTER (WHERE NOT s.won AND s.milli >= r.min_score * 1000)
        FROM stage_rule r
            LEFT JOIN scored s ON true
        WHERE r.model = model_quality.model AND r.only_if = '' AND r.min_score IS NOT NULL
        GROUP BY stage_rank(r.stage), r.stage::text, r.min_score
    )
    SELECT n.level, n.place, n.stage, trim_scale(n.low / 1000.0), trim_scale(n.high / 1000.0), n.leads, n.won,
        n.won::double precision / nullif(n.leads, 0),
        rate_low(n.won, n.leads), rate_high(n.won, n.leads),
        CASE WHEN n.part <= 3 THEN n.won::double precision / nullif(n.leads, 0) / nullif(t.won::double precision / nullif(t.leads, 0), 0) END,
        n.upto::double precision / nullif(t.won, 0),
        n.true_positives, n.false_positives, n.won - n.true_positives, n.leads - n.won - n.false_positives,
        n.true_positives::double precision / nullif(n.true_positives + n.false_positives, 0),
        n.true_positives::double precision / nullif(n.won, 0),
        CASE WHEN n.part = 1 THEN a.auc END,
        CASE WHEN n.part = 1 AND a.auc IS NOT NULL THEN greatest(0, a.auc - a.margin) END,
        CASE WHEN n.part = 1 AND a.auc IS NOT NULL THEN least(1, a.auc + a.margin) END
    FROM line n
        CROSS JOIN total t
        CROSS JOIN area a
    ORDER BY n.part, n.place;
END;
COMMENT ON FUNCTION model_quality(text, timestamptz, interval) IS
    'how well the scores of at (default: horizon ago) told who became a customer within horizon (default: mature_after): summary with AUC, bands of points, tenths of leads, thresholds';

-- Half a year and the half before, ending with yesterday. Quality and revenue
-- are those of leads that were new in the half year, within mature_after of
-- each lead, and both halves are moved back by that time: so no lead had less
-- time than another. Sales time is of those who bought in it.
CREATE OR REPLACE VIEW half_year_comparison WITH (security_invoker = true) AS
WITH half AS (
    SELECT k.place, k.period,
        d.day_from, d.day_to,
        d.day_from::timestamp AT TIME ZONE s.time_zone AS from_at,
        d.day_to::timestamp AT TIME ZONE s.time_zone AS to_at,
        fixed_period(s.mature_after) AS mature_after
    FROM setting s
        CROSS JOIN (VALUES (1, 'before', 12, 6), (2, 'now', 6, 0)) AS k (place, period, months_from, months_to)
        CROSS JOIN LATERAL (SELECT
            (date_trunc('day', now() AT TIME ZONE s.time_zone) - make_interval(months => k.months_from))::date,
            (date_trunc('day', now() AT TIME ZONE s.time_zone) - make_interval(months => k.months_to))::date
        ) AS d (day_from, day_to)
), first AS MATERIALIZED (
    SELECT s.lead_id,
        min(s.effective_at) AS lead_at,
        min(s.effective_at) FILTER (WHERE s.to_stage >= 'sql') AS sql_at,
        min(s.effective_at) FILTER (WHERE s.to_stage >= 'customer') AS customer_at
    FROM stage_history s
    WHERE s.to_stage >= 'iql'
    GROUP BY s.lead_id
), bought AS MATERIALIZED (
    -- one pass over all events, not one for each lead
    SELECT p.lead_id, p.purchased_at, p.purchase_amount
    FROM purchases p
), cohort AS (
    SELECT f.place, count(*) AS leads,
        count(*) FILTER (WHERE m.sql_at <= m.lead_at + f.mature_after) AS sqls,
        count(*) FILTER (WHERE m.customer_at <= m.lead_at + f.mature_after) AS customers
    FROM half f
        JOIN first m ON m.lead_at >= f.from_at - f.mature_after AND m.lead_at < f.to_at - f.mature_after
    GROUP BY f.place
), revenue AS (
    SELECT f.place, sum(p.purchase_amount) AS revenue_amount
    FROM bought p
        JOIN first m ON m.lead_id = p.lead_id
        JOIN half f ON m.lead_at >= f.from_at - f.mature_after AND m.lead_at < f.to_at - f.mature_after
    WHERE p.purchased_at >= m.lead_at AND p.purchased_at <= m.lead_at + f.mature_after
    GROUP BY f.place
), won AS (
    SELECT f.place, count(*) AS sales,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY date_part('epoch', m.customer_at - m.lead_at) / 86400) AS median_days
    FROM half f
        JOIN first m ON m.customer_at >= f.from_at AND m.customer_at < f.to_at
    GROUP BY f.place
), figure AS (
    SELECT f.place, f.period, f.day_from, f.day_to - 1 AS day_to,
        coalesce(c.leads, 0) AS leads,
        coalesce(c.sqls, 0) AS sqls,
        coalesce(c.customers, 0) AS customers,
        c.sqls::double precision / nullif(c.leads, 0) AS sql_rate,
        c.customers::double precision / nullif(c.leads, 0) AS customer_rate,
        coalesce(r.revenue_amount, 0) / nullif(c.leads, 0) AS revenue_per_lead,
        coalesce(w.sales, 0) AS sales,
        w.median_days
    FROM half f
        LEFT JOIN cohort c USING (place)
        LEFT JOIN revenue r USING (place)
        LEFT JOIN won w USING (place)
)
SELECT
    f.period,
    f.place,
    f.day_from AS from_date,
    f.day_to AS to_date,
    f.leads,
    f.sqls,
    f.customers,
    f.sql_rate,
    f.customer_rate,
    as_amount(f.revenue_per_lead)::numeric(14,2) AS revenue_per_lead_amount,
    f.sales,
    f.median_days AS cycle_days,
    f.sql_rate / nullif(lag(f.sql_rate) OVER run, 0) - 1 AS sql_change,
    f.customer_rate / nullif(lag(f.customer_rate) OVER run, 0) - 1 AS customer_change,
    (f.revenue_per_lead / nullif(lag(f.revenue_per_lead) OVER run, 0) - 1)::double precision AS revenue_change,
    f.median_days / nullif(lag(f.median_days) OVER run, 0) - 1 AS cycle_change
FROM figure f
WINDOW run AS (ORDER BY f.place);
COMMENT ON VIEW half_year_comparison IS 'one row for the last six months and one for the six before: quality of leads, sales time, revenue per lead';
COMMENT ON COLUMN half_year_comparison.period IS 'before or now';
COMMENT ON COLUMN half_year_comparison.place IS 'order of the rows';
COMMENT ON COLUMN half_year_comparison.from_date IS 'first day of the half year';
COMMENT ON COLUMN half_year_comparison.to_date IS 'last day of the half year';
COMMENT ON COLUMN half_year_comparison.leads IS 'leads that became iql or higher mature_after before the half year';
COMMENT ON COLUMN half_year_comparison.sqls IS 'of these, those that reached sql or higher within mature_after';
COMMENT ON COLUMN half_year_comparison.customers IS 'of these, those that became customers within mature_after';
COMMENT ON COLUMN half_year_comparison.sql_rate IS 'sqls / leads';
COMMENT ON COLUMN half_year_comparison.customer_rate IS 'customers / leads';
COMMENT ON COLUMN half_year_comparison.revenue_per_lead_amount IS 'what these leads bought for within mature_after / leads';
COMMENT ON COLUMN half_year_comparison.sales IS 'leads that became customers in the half year';
COMMENT ON COLUMN half_year_comparison.cycle_days IS 'median time of these from lead to customer';
COMMENT ON COLUMN half_year_comparison.sql_change IS 'change of sql_rate against the half year before, as a fraction';
COMMENT ON COLUMN half_year_comparison.customer_change IS 'change of customer_rate';
COMMENT ON COLUMN half_year_comparison.revenue_change IS 'change of revenue_per_lead_amount';
COMMENT ON COLUMN half_year_comparison.cycle_change IS 'change of cycle_days';
