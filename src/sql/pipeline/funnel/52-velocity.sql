-- How long it takes: in stages, from stage to stage, to the sale.

-- Stays that have ended and stays that go on are rows of their own: a mean over
-- both would be too short, and one over ended stays alone hides slow leads.
CREATE OR REPLACE VIEW stage_velocity WITH (security_invoker = true) AS
WITH period AS (
    SELECT
        stage_rank(h.from_stage) AS stage_rank,
        h.to_stage AS next_stage,
        date_part('epoch', h.effective_at - h.from_since) / 86400 AS days
    FROM _history h
    WHERE h.from_stage >= 'visitor'
), measured AS (
    SELECT 'left' AS outcome, p.stage_rank, NULL::lead_stage AS next_stage, count(*) AS periods, avg(p.days) AS mean_days,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY p.days) AS median_days,
        percentile_cont(0.9) WITHIN GROUP (ORDER BY p.days) AS p90_days
    FROM period p
    GROUP BY p.stage_rank
    UNION ALL
    SELECT 'step' AS outcome, p.stage_rank, p.next_stage, count(*) AS periods, avg(p.days) AS mean_days,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY p.days) AS median_days,
        percentile_cont(0.9) WITHIN GROUP (ORDER BY p.days) AS p90_days
    FROM period p
    GROUP BY p.stage_rank, p.next_stage
    UNION ALL
    SELECT 'open' AS outcome, o.stage_rank, NULL::lead_stage AS next_stage, count(*) AS periods, avg(o.days) AS mean_days,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY o.days) AS median_days,
        percentile_cont(0.9) WITHIN GROUP (ORDER BY o.days) AS p90_days
    FROM (
            SELECT s.stage_rank, CASE WHEN s.stage_since_at > s.at THEN 0 ELSE date_part('epoch', s.at - s.stage_since_at) / 86400 END AS days
            FROM _lead_now s
            WHERE s.stage >= 'visitor'
        ) o
    GROUP BY o.stage_rank
)
SELECT
    t.stage::text AS stage,
    t.stage_rank,
    t.stage_label,
    k.outcome,
    m.next_stage::text AS next_stage,
    stage_rank(m.next_stage) AS next_stage_rank,
    coalesce(m.periods, 0) AS periods,
    m.mean_days,
    m.median_days,
    m.p90_days
FROM stages() t
    CROSS JOIN (VALUES (1, 'left'), (2, 'step'), (3, 'open')) AS k (place, outcome)
    LEFT JOIN measured m ON m.outcome = k.outcome AND m.stage_rank = t.stage_rank
WHERE t.stage >= 'visitor' AND (k.outcome <> 'step' OR m.periods > 0)
ORDER BY t.stage_rank, k.place, next_stage_rank;
COMMENT ON VIEW stage_velocity IS 'how long leads stay in a stage: for each stage a row for all leads that left it, a row for each stage that they left it for, and a row for leads that are still in it';
COMMENT ON COLUMN stage_velocity.stage IS 'the stage';
COMMENT ON COLUMN stage_velocity.stage_rank IS 'rank of the stage to sort by: visitor 40 to advocate 100, exits 10 to 30';
COMMENT ON COLUMN stage_velocity.stage_label IS 'the stage with a number in front, for tools that sort by name';
COMMENT ON COLUMN stage_velocity.outcome IS 'left: all leads that left the stage; step: leads that went on to next_stage; open: leads that are still in it, with the days so far';
COMMENT ON COLUMN stage_velocity.next_stage IS 'stage that the leads went to; only in rows of outcome step';
COMMENT ON COLUMN stage_velocity.next_stage_rank IS 'rank of the stage to sort by: visitor 40 to advocate 100, exits 10 to 30';
COMMENT ON COLUMN stage_velocity.periods IS 'number of stays in the stage';
COMMENT ON COLUMN stage_velocity.mean_days IS 'mean of the days in the stage';
COMMENT ON COLUMN stage_velocity.median_days IS 'median of the days in the stage';
COMMENT ON COLUMN stage_velocity.p90_days IS 'days that nine of ten cycles did not exceed';

-- Aalen-Johansen: of the entries that are open on a day, a share converts and a
-- share is lost; an entry younger than that day is not counted there, rather
-- than counted as a failure. Lost leads are an outcome of their own: taken for
-- merely unknown (Kaplan-Meier alone) they would make conversion look better.
CREATE OR REPLACE VIEW conversion_curve WITH (security_invoker = true) AS
WITH entry AS (
    SELECT
        e.stage_rank,
        floor(date_part('epoch', coalesce(e.converted_at, e.lost_at, now()) - e.entered_at) / 86400)::integer AS after_days,
        e.converted,
        e.lost,
        e.open
    FROM stage_entry e
    WHERE e.entered = 1
), day AS (
    SELECT
        e.stage_rank,
        greatest(e.after_days, 0) AS after_days,
        sum(e.converted) AS converted,
        sum(e.lost) AS lost,
        sum(e.open) AS open,
        count(*) AS leads
    FROM entry e
    GROUP BY e.stage_rank, greatest(e.after_days, 0)
), risk AS (
    SELECT
        d.*,
        (sum(d.leads) OVER (PARTITION BY d.stage_rank ORDER BY d.after_days DESC))::bigint AS at_risk
    FROM day d
), survival AS (
    SELECT
        r.*,
        coalesce(product(1 - (r.converted + r.lost)::double precision / r.at_risk) OVER earlier, 1) AS open_before
    FROM risk r
    WINDOW earlier AS (PARTITION BY r.stage_rank ORDER BY r.after_days ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
)
SELECT
    t.stage::text AS stage,
    t.stage_rank,
    t.stage_label,
    s.after_days,
    coalesce(s.at_risk, 0) AS at_risk,
    coalesce(s.converted, 0) AS converted,
    coalesce(s.lost, 0) AS lost,
    coalesce(s.open, 0) AS open,
    sum(s.open_before * s.converted / s.at_risk) OVER so_far AS converted_rate,
    sum(s.open_before * s.lost / s.at_risk) OVER so_far AS lost_rate,
    s.open_before * (1 - (s.converted + s.lost)::double precision / s.at_risk) AS open_rate
FROM stages() t
    LEFT JOIN survival s USING (stage_rank)
WHERE t.stage >= 'visitor'
WINDOW so_far AS (PARTITION BY t.stage_rank ORDER BY s.after_days)
ORDER BY t.stage_rank, s.after_days;
COMMENT ON VIEW conversion_curve IS 'one row a stage and number of days on which something happened: the share of entries that reached a higher stage within so many days; young entries count for the days that they have had (Kaplan-Meier, with lost as an outcome of its own)';
COMMENT ON COLUMN conversion_curve.stage IS 'the stage';
COMMENT ON COLUMN conversion_curve.stage_rank IS 'rank of the stage to sort by: visitor 40 to advocate 100, exits 10 to 30';
COMMENT ON COLUMN conversion_curve.stage_label IS 'the stage with a number in front, for tools that sort by name';
COMMENT ON COLUMN conversion_curve.after_days IS 'full days since the entry; NULL: no lead entered the stage';
COMMENT ON COLUMN conversion_curve.at_risk IS 'entries that were open for at least so many days';
COMMENT ON COLUMN conversion_curve.converted IS 'of at_risk, entries that reached a higher stage on that day';
COMMENT ON COLUMN conversion_curve.lost IS 'of at_risk, entries that were lost on that day';
COMMENT ON COLUMN conversion_curve.open IS 'of at_risk, entries that are exactly so old and still open';
COMMENT ON COLUMN conversion_curve.converted_rate IS 'share of entries that converted up to that day';
COMMENT ON COLUMN conversion_curve.lost_rate IS 'share of entries that were lost up to that day';
COMMENT ON COLUMN conversion_curve.open_rate IS 'share of entries that did neither: the three add up to 1';

CREATE OR REPLACE VIEW cycle_time WITH (security_invoker = true) AS
SELECT
    r.lead_id,
    r.cycle,
    r.started_at,
    r.iql_at,
    r.mql_at,
    r.sql_at,
    r.customer_at,
    r.ended_at,
    CASE WHEN r.customer_at IS NOT NULL THEN 'won' WHEN r.ended_at IS NOT NULL THEN 'lost' ELSE 'open' END AS outcome,
    -- one that comes back as a customer took no time from the beginning of its cycle
    CASE WHEN r.cycle = 1 OR r.customer_at > r.started_at THEN date_part('epoch', r.customer_at - r.started_at) / 86400 END AS total_days,
    CASE WHEN r.sql_at >= r.iql_at THEN date_part('epoch', r.sql_at - r.iql_at) / 86400 END AS iql_to_sql_days,
    CASE WHEN r.customer_at >= r.sql_at THEN date_part('epoch', r.customer_at - r.sql_at) / 86400 END AS sql_to_customer_days,
    -- calendar months, by the clock of the pipeline
    CASE WHEN r.cycle = 1 OR r.customer_at > r.started_at THEN (extract(year FROM age(r.customer_at AT TIME ZONE z.time_zone, r.started_at AT TIME ZONE z.time_zone)) * 12
        + extract(month FROM age(r.customer_at AT TIME ZONE z.time_zone, r.started_at AT TIME ZONE z.time_zone)))::integer END AS full_months,
    month_start(r.started_at, z.time_zone) AS started_month,
    month_start(r.customer_at, z.time_zone) AS customer_month,
    coalesce(d.market, '(none)') AS market,
    coalesce(d.channel, '(none)') AS channel,
    coalesce(d.owner, '(none)') AS owner
FROM _run r
    CROSS JOIN setting z
    LEFT JOIN _source d USING (lead_id)
WHERE r.started_at IS NOT NULL;
COMMENT ON VIEW cycle_time IS 'one row a lead and cycle: when it reached which stage, and how long it took to become a customer';
COMMENT ON COLUMN cycle_time.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN cycle_time.cycle IS 'number of the cycle through the funnel';
COMMENT ON COLUMN cycle_time.started_at IS 'when the cycle began';
COMMENT ON COLUMN cycle_time.iql_at IS 'when the lead first became an iql in this cycle; NULL: never';
COMMENT ON COLUMN cycle_time.mql_at IS 'when the lead first became an mql in this cycle; NULL: never';
COMMENT ON COLUMN cycle_time.sql_at IS 'when the lead first became an sql in this cycle; NULL: never';
COMMENT ON COLUMN cycle_time.customer_at IS 'when the lead became a customer or advocate; NULL: never';
COMMENT ON COLUMN cycle_time.ended_at IS 'when the lead was recycled, lost or disqualified; NULL: it was not';
COMMENT ON COLUMN cycle_time.outcome IS 'won: became a customer; lost: left the funnel before; open: neither so far';
COMMENT ON COLUMN cycle_time.total_days IS 'days from the beginning of the cycle to the customer; NULL for a lead or customer that was lost and is a customer at once when it comes back';
COMMENT ON COLUMN cycle_time.iql_to_sql_days IS 'days from iql to sql; NULL also if the lead was an sql first';
COMMENT ON COLUMN cycle_time.sql_to_customer_days IS 'days from sql to customer; NULL also if the lead was a customer first';
COMMENT ON COLUMN cycle_time.full_months IS 'full calendar months from the beginning of the cycle to the customer; NULL for a lead or customer that was lost and is a customer at once when it comes back';
COMMENT ON COLUMN cycle_time.started_month IS 'first day of the month in which the cycle began';
COMMENT ON COLUMN cycle_time.customer_month IS 'first day of the month in which the lead became a customer';
COMMENT ON COLUMN cycle_time.market IS 'market of the lead: b2b or b2c; (none): not known';
COMMENT ON COLUMN cycle_time.channel IS 'channel that the lead came by, or that of its campaign; (none): not known';
COMMENT ON COLUMN cycle_time.owner IS 'person of your company in charge of the lead; (none): nobody';
