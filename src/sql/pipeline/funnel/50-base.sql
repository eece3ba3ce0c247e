-- Base views of the funnel and the reports. Internal, as all names that begin
-- with an underscore.

-- Entries up to this instant are mature. One row; grouped, so that it is
-- computed once. Join it ON m.id = (h.lead_id IS NOT NULL), an equality that
-- always holds, so that the planner can do it in parallel.
CREATE OR REPLACE VIEW _maturity WITH (security_invoker = true) AS
SELECT
    z.id,
    min(z.time_zone) AS time_zone,
    min((now() AT TIME ZONE z.time_zone - least(z.mature_after, interval '1000 years')) AT TIME ZONE z.time_zone) AS before,
    min(fixed_period(z.mature_after)) AS mature_after
FROM setting z
GROUP BY z.id;
COMMENT ON VIEW _maturity IS 'one row: the instant that is setting.mature_after ago, and the time zone of the pipeline';

-- One row a run through the funnel, that is a lead and cycle. …_seq: the first
-- entry into this stage; …_last: the last entry into this stage or a higher one,
-- of customers the last time that the lead became one (an advocate has been one);
-- …_at: the first entry into this stage, …_reached_at: or a higher one.
-- A customer that was lost and buys again is won back: no lead was won in that
-- cycle, so it has no lead_…. Nor has a lead that was lost and is a customer at once
-- when it comes back: the way to the sale was in the cycle before.
-- Columns that a query does not use cost nothing.
CREATE OR REPLACE VIEW _run WITH (security_invoker = true) AS
SELECT
    h.lead_id,
    h.cycle,
    min(h.seq) FILTER (WHERE h.to_stage = 'visitor') AS visitor_seq,
    min(h.seq) FILTER (WHERE h.is_lead AND (h.cycle = 1 OR h.to_stage < 'customer')) AS lead_seq,
    min(h.seq) FILTER (WHERE h.to_stage = 'iql') AS iql_seq,
    min(h.seq) FILTER (WHERE h.to_stage = 'mql') AS mql_seq,
    min(h.seq) FILTER (WHERE h.to_stage = 'sql') AS sql_seq,
    min(h.seq) FILTER (WHERE h.to_stage = 'prospect') AS prospect_seq,
    max(h.seq) FILTER (WHERE h.is_lead AND (h.cycle = 1 OR h.to_stage < 'customer')) AS lead_last,
    max(h.seq) FILTER (WHERE h.to_stage >= 'mql') AS mql_last,
    max(h.seq) FILTER (WHERE h.to_stage >= 'sql') AS sql_last,
    max(h.seq) FILTER (WHERE h.to_stage >= 'customer' AND (h.from_stage >= 'customer') IS NOT TRUE) AS customer_last,
    min(h.effective_at) FILTER (WHERE h.to_stage >= 'visitor') AS started_at,
    min(h.effective_at) FILTER (WHERE h.to_stage = 'visitor') AS visitor_at,
    min(h.effective_at) FILTER (WHERE h.is_lead AND (h.cycle = 1 OR h.to_stage < 'customer')) AS lead_at,
    min(h.effective_at) FILTER (WHERE h.to_stage = 'iql') AS iql_at,
    min(h.effective_at) FILTER (WHERE h.to_stage = 'mql') AS mql_at,
    min(h.effective_at) FILTER (WHERE h.to_stage = 'sql') AS sql_at,
    min(h.effective_at) FILTER (WHERE h.to_stage = 'prospect') AS prospect_at,
    min(h.effective_at) FILTER (WHERE h.to_stage >= 'mql') AS mql_reached_at,
    min(h.effective_at) FILTER (WHERE h.to_stage >= 'sql') AS sql_reached_at,
    min(h.effective_at) FILTER (WHERE h.to_stage >= 'prospect') AS prospect_reached_at,
    min(h.effective_at) FILTER (WHERE h.to_stage >= 'customer') AS customer_at,
    min(h.effective_at) FILTER (WHERE h.to_stage < 'visitor') AS ended_at
FROM _history h
GROUP BY h.lead_id, h.cycle;
COMMENT ON VIEW _run IS 'one row a lead and cycle: the stages that it entered, in which order and when';

-- Reached: in this stage or a higher one, so that leads >= mqls >= sqls,
-- even if stages were skipped. Customers that never were leads have only a
-- customer_at.
CREATE OR REPLACE VIEW _milestone WITH (security_invoker = true) AS
SELECT
    h.lead_id,
    min(h.effective_at) FILTER (WHERE h.is_lead) AS lead_at,
    CASE WHEN bool_or(h.is_lead) THEN min(h.effective_at) FILTER (WHERE h.to_stage >= 'mql') END AS mql_at,
    CASE WHEN bool_or(h.is_lead) THEN min(h.effective_at) FILTER (WHERE h.to_stage >= 'sql') END AS sql_at,
    min(h.effective_at) FILTER (WHERE h.to_stage >= 'customer') AS customer_at
FROM _history h
WHERE h.to_stage >= 'iql'
GROUP BY h.lead_id;
COMMENT ON VIEW _milestone IS 'one row a lead or customer: when it first was in each stage or a higher one';

-- Each change of a stage counts an entry, and the outcome of the entry before
-- it. For leads that only rise this is complete.
CREATE OR REPLACE VIEW _funnel_delta WITH (security_invoker = true) AS
SELECT
    h.lead_id,
    h.to_stage::text AS stage,
    stage_rank(h.to_stage) AS stage_rank,
    h.effective_at AS entered_at,
    month_start(h.effective_at, m.time_zone) AS entered_month,
    h.effective_at <= m.before AS mature,
    1 AS entered,
    CASE WHEN stage_rank(h.from_stage) = stage_rank(h.to_stage) - 10 AND h.from_stage >= 'visitor' THEN 0 ELSE 1 END AS entered_directly,
    0 AS converted,
    0 AS lost,
    1 AS furthest
FROM _history h
    JOIN _maturity m ON m.id = (h.lead_id IS NOT NULL)
WHERE h.to_stage >= 'visitor'
UNION ALL
SELECT
    h.lead_id,
    h.from_stage::text AS stage,
    stage_rank(h.from_stage) AS stage_rank,
    h.from_since AS entered_at,
    month_start(h.from_since, m.time_zone) AS entered_month,
    h.from_since <= m.before AS mature,
    0 AS entered,
    0 AS entered_directly,
    CASE WHEN h.to_stage > h.from_stage THEN 1 ELSE 0 END AS converted,
    CASE WHEN h.to_stage > h.from_stage THEN 0 ELSE 1 END AS lost,
    CASE WHEN h.to_stage > h.from_stage THEN -1 ELSE 0 END AS furthest
FROM _history h
    JOIN _maturity m ON m.id = (h.lead_id IS NOT NULL)
WHERE h.from_stage >= 'visitor' AND NOT h.stepped_back;
COMMENT ON VIEW _funnel_delta IS 'what the funnels add up, together with _funnel_regression: entries, and what became of them; single rows mean nothing';

-- For leads that ever fell back all entries are looked at, and the errors of
-- _funnel_delta are corrected.
CREATE OR REPLACE VIEW _funnel_regression WITH (security_invoker = true) AS
SELECT
    h.lead_id,
    h.stage,
    h.stage_rank,
    h.entered_at,
    month_start(h.entered_at, m.time_zone) AS entered_month,
    h.entered_at <= m.before AS mature,
    h.entered::integer - 1 AS entered,
    (h.entered AND h.earlier & (h.bit >> 1) = 0)::integer - h.booked_directly::integer AS entered_directly,
    (h.entered AND h.later >= h.bit << 1)::integer - (h.next_rank > h.stage_rank)::integer AS converted,
    (h.entered AND h.later < h.bit << 1 AND h.later & 14 <> 0)::integer - (h.next_rank < 40)::integer AS lost,
    (h.entered AND h.later < h.bit << 1 AND h.earlier < h.bit)::integer - (h.next_rank <= h.stage_rank)::integer AS furthest
FROM (
        SELECT
            p.lead_id,
            p.to_stage::text AS stage,
            p.stage_rank,
            p.bit,
            p.effective_at AS entered_at,
            p.earlier & p.bit = 0 AS entered,
            p.earlier,
            p.later,
            coalesce(p.next_rank, p.stage_rank) AS next_rank,
            p.from_stage IS NULL OR p.from_stage < 'visitor' OR stage_rank(p.from_stage) <> p.stage_rank - 10 AS booked_directly
        FROM (
                SELECT
                    b.lead_id,
                    b.from_stage,
                    b.to_stage,
                    b.stage_rank,
                    b.bit,
                    b.effective_at,
                    lead(b.stage_rank) OVER (run ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS next_rank,
                    coalesce(bit_or(b.bit) OVER (run ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS earlier,
                    coalesce(bit_or(b.bit) OVER (run ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING), 0) AS later
                FROM (
                        SELECT h.*, stage_rank(h.to_stage) AS stage_rank, 1 << stage_rank(h.to_stage) / 10 AS bit
                        FROM _history h
                        WHERE h.lead_id IN (SELECT k.lead_id FROM _history k WHERE k.stepped_back)
                    ) b
                WINDOW run AS (PARTITION BY b.lead_id, b.cycle ORDER BY b.seq)
            ) p
        WHERE p.stage_rank >= 40
    ) h
    JOIN _maturity m ON m.id = (h.lead_id IS NOT NULL);
COMMENT ON VIEW _funnel_regression IS 'corrections to add to _funnel_delta because leads fell back; only sums have a meaning';

-- When leads were in segments, as far as it is recorded.
CREATE OR REPLACE VIEW _segment_stay WITH (security_invoker = true) AS
SELECT y.lead_id, y.segment, dated(y.effective_at) AS entered_at, dated(y.left_at) AS left_at
FROM (
        SELECT h.lead_id, h.segment, h.is_member, h.effective_at,
            lead(h.effective_at) OVER (PARTITION BY h.lead_id, h.segment ORDER BY h.seq) AS left_at
        FROM segment_history h
    ) y
WHERE y.is_member;
COMMENT ON VIEW _segment_stay IS 'one row for each time that a lead was in a segment; left_at is NULL while it is in it';
