--
-- The funnel: hand-computed, then compared with a slow and plain computation
--
SET timezone = 'Asia/Kathmandu';
SELECT leadscore.create_pipeline('crm', 'empty') \g /dev/null
SET search_path = crm, crm_reports, leadscore, leadscore_internal;

-- An empty pipeline has all its rows, without rates
SELECT stage, stage_rank, stage_label, leads_now, entered, entered_directly, converted, lost, open, step_rate, cumulative_rate, reached,
    resolved, matured, matured_converted, resolved_rate, matured_rate, step_low_rate, step_high_rate FROM funnel;
SELECT count(*), count(DISTINCT entered_month), sum(entered), count(step_rate) FROM funnel_cohort;
SELECT count(*), sum(entered), count(period_rate) FROM funnel_cohort;
SELECT slice_by, slice, count(*), sum(entered), count(step_rate) FROM funnel_by GROUP BY 1, 2 ORDER BY 1;
SELECT count(*), sum(entered), count(step_rate) FROM funnel_between('2025-01-01', '2025-12-31');
SELECT count(*), sum(leads) FROM stage_daily;
SELECT count(*) FROM stage_entry;
SELECT stage, reached, chart FROM funnel;

-- Seven runs: a goes up to customer and skips prospect; b is an mql at once;
-- c is lost and comes back as an iql; d falls back and rises again; e stays;
-- f comes half an hour before February in UTC; all but d only rise.
SELECT stage FROM track('a', 'page_view', NULL, '2025-01-05 12:00Z', channel => 'seo', profile => '{"market": "b2b"}');
SELECT stage FROM track('a', 'stage_set', '{"stage": "iql"}', '2025-01-10 12:00Z');
SELECT stage FROM track('a', 'stage_set', '{"stage": "mql"}', '2025-02-10 12:00Z');
SELECT stage FROM track('a', 'stage_set', '{"stage": "sql"}', '2025-03-10 12:00Z');
SELECT stage FROM track('a', 'stage_set', '{"stage": "customer"}', '2025-04-10 12:00Z');
SELECT stage FROM track('b', 'stage_set', '{"stage": "mql"}', '2025-01-20 12:00Z', channel => 'content');
SELECT stage FROM track('c', 'page_view', NULL, '2025-01-15 12:00Z', channel => 'seo', profile => '{"market": "b2b"}');
SELECT stage FROM track('c', 'stage_set', '{"stage": "iql"}', '2025-01-16 12:00Z');
SELECT stage FROM track('c', 'stage_set', '{"stage": "lost"}', '2025-02-01 12:00Z');
SELECT stage FROM track('c', 'stage_set', '{"stage": "iql"}', '2025-03-01 12:00Z');
SELECT stage FROM track('c', 'stage_set', '{"stage": "mql"}', '2025-03-05 12:00Z');
SELECT stage FROM track('d', 'page_view', NULL, '2025-02-01 12:00Z', profile => '{"market": "b2c", "owner": "eve"}');
SELECT stage FROM track('d', 'stage_set', '{"stage": "iql"}', '2025-02-02 12:00Z');
SELECT stage FROM track('d', 'stage_set', '{"stage": "mql"}', '2025-02-10 12:00Z');
SELECT stage FROM track('d', 'stage_set', '{"stage": "iql"}', '2025-02-20 12:00Z');
SELECT stage FROM track('d', 'stage_set', '{"stage": "mql"}', '2025-03-01 12:00Z');
SELECT stage FROM track('d', 'stage_set', '{"stage": "sql"}', '2025-03-20 12:00Z');
SELECT stage FROM track('e', 'page_view', NULL, '2025-02-05 12:00Z');
SELECT stage FROM track('f', 'page_view', NULL, '2025-01-31 23:30Z');

-- entered = converted + lost + open; direct entries push no rate over 1
SELECT stage, leads_now, entered, entered_directly, converted, lost, open, step_rate, round(cumulative_rate::numeric, 4) AS cumulative_rate, reached FROM funnel;
-- all are old enough; lost leads, and rates of resolved entries
SELECT stage, entered, resolved, matured, matured_converted, resolved_rate, matured_rate, round(step_low_rate::numeric, 4) AS low, round(step_high_rate::numeric, 4) AS high FROM funnel;
-- a conversion counts in the month of the entry: a's iql of January converted in February
SELECT entered_month, stage, entered, entered_directly, converted, lost, open, step_rate FROM funnel_cohort WHERE entered > 0;
-- March: two sqls, one mql; these are not the same leads, so the rate is 2
SELECT entered_month, stage, entered, previous_stage, previous_entered, period_rate FROM funnel_cohort WHERE entered > 0 OR previous_entered > 0;
SELECT slice AS channel, stage, entered, converted, lost, open, step_rate FROM funnel_by WHERE slice_by = 'channel' AND entered > 0;
SELECT slice_by, slice, count(*) FROM funnel_by GROUP BY 1, 2 ORDER BY 1, 2;
SELECT slice AS market, stage, entered, converted, lost, open FROM funnel_by WHERE slice_by = 'market' AND entered > 0;
SELECT slice AS owner, stage, entered, converted FROM funnel_by WHERE slice_by = 'owner' AND entered > 0;
SELECT slice_by, slice, sum(entered) FROM funnel_by WHERE slice_by IN ('campaign', 'persona', 'country') GROUP BY 1, 2 ORDER BY 1;

-- The old mql date of a run does not count in the next, nor does a second mql of the same run
SELECT external_id, entry_seq, cycle, stage, entered_date, next_stage, days_in_stage, entered, entered_directly, converted, lost, open, matured, converted_at AT TIME ZONE 'UTC' AS converted_utc, lost_at AT TIME ZONE 'UTC' AS lost_utc
    FROM stage_entry ORDER BY external_id, entry_seq;
SELECT count(*) = 6 FROM stage_entry WHERE open_days > 0 AND left_at IS NULL AND days_in_stage IS NULL;

-- Nothing is matured yet
UPDATE setting SET mature_after = '100 years';
SELECT stage, matured, matured_converted, matured_rate, resolved_rate FROM funnel WHERE entered > 0;
UPDATE setting SET mature_after = '90 days';

-- The month is that of the pipeline's time zone, not of the session's
SELECT entered_month, entered_date FROM stage_entry WHERE external_id = 'f';
UPDATE setting SET time_zone = 'Europe/Berlin';
SELECT entered_month, entered_date FROM stage_entry WHERE external_id = 'f';
SELECT entered_month, entered FROM funnel_cohort WHERE stage = 'visitor' AND entered > 0;
UPDATE setting SET time_zone = 'UTC';

-- Leads at the end of each day
SELECT day_date, string_agg(stage || ' ' || leads, ', ' ORDER BY stage_rank) FILTER (WHERE leads > 0)
    FROM stage_daily WHERE day_date IN ('2025-01-05', '2025-01-31', '2025-02-01', '2025-02-20', '2025-04-10') GROUP BY 1 ORDER BY 1;
SELECT min(day_date), max(day_date) = (now() AT TIME ZONE 'UTC')::date AS to_today, count(*) = 10 * count(DISTINCT day_date) AS all_stages FROM stage_daily;
SELECT d.stage, d.leads, f.leads_now FROM stage_daily d LEFT JOIN funnel f USING (stage) WHERE d.day_date = (now() AT TIME ZONE 'UTC')::date AND d.leads IS DISTINCT FROM coalesce(f.leads_now, 0);

-- A range: both days are in it, by the clock of the zone
SELECT stage, entered, converted, open FROM funnel_between('2025-01-31', '2025-02-05') WHERE entered > 0;
SELECT stage, entered FROM funnel_between('2025-02-01', '2025-02-05', 'Europe/Berlin') WHERE entered > 0;
SELECT stage, entered FROM funnel_between('2025-01-31', '2025-01-31') WHERE entered > 0;
SELECT stage, entered FROM funnel_between('2025-01-31', '2025-01-31', 'Asia/Tokyo') WHERE entered > 0;
-- the same beside a parallel plan
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT f.stage, f.entered, f.converted, f.open FROM funnel_between('2025-01-31', '2025-02-05') f, (SELECT count(*) AS events FROM event) e WHERE f.entered > 0 AND e.events > 0;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
SELECT * FROM funnel_between('2025-02-05', '2025-01-31');
SELECT * FROM funnel_between('2025-01-31', '2025-02-05', 'Mars/Olympus');
SELECT * FROM funnel_between(NULL, '2025-02-05');
SELECT * FROM funnel_between('2025-02-05', NULL);
SELECT * FROM funnel_between('-infinity', '2025-02-05');
SELECT * FROM funnel_between('2025-01-31', 'infinity');

SELECT stage, reached, to_char(100 * step_rate, 'FM990.0') || ' %' AS step_percent, chart FROM funnel;

-- The engine writes what the ledger needs
SELECT count(*) FROM (SELECT from_since, lag(effective_at) OVER (PARTITION BY lead_id ORDER BY seq) AS expected FROM stage_history) h WHERE from_since IS DISTINCT FROM expected;
SELECT rebuild();
SELECT count(*) FROM (SELECT from_since, lag(effective_at) OVER (PARTITION BY lead_id ORDER BY seq) AS expected FROM stage_history) h WHERE from_since IS DISTINCT FROM expected;
SELECT * FROM verify();

-- month_start is date_trunc
SELECT count(*) FROM generate_series('1999-12-25 00:00Z'::timestamptz, '2000-03-05', '37 minutes') t, unnest('{UTC,Asia/Kathmandu,Pacific/Kiritimati,America/Adak}'::text[]) z
    WHERE leadscore_internal.month_start(t, z) <> date_trunc('month', t AT TIME ZONE z)::date;
SELECT leadscore_internal.month_start('infinity', 'UTC'), leadscore_internal.month_start('4713-01-01 00:00Z BC', 'Asia/Tokyo'), leadscore_internal.month_start('9999-12-31 23:30Z', 'Asia/Tokyo');
SELECT round(leadscore_internal.rate_low(8, 10)::numeric, 4), round(leadscore_internal.rate_high(8, 10)::numeric, 4), leadscore_internal.rate_low(0, 5), leadscore_internal.rate_high(5, 5), leadscore_internal.rate_low(0, 0);
RESET search_path;
DROP SCHEMA crm, crm_reports CASCADE;

-- Random histories: stages are entered, left, skipped, fallen back from and
-- come back to in any way. Each row of stage_entry is compared with one that is
-- looked up by itself; the funnels with sums of stage_entry.
SELECT leadscore.create_pipeline('crm', attach => false) \g /dev/null
SET search_path = crm, crm_reports, leadscore, leadscore_internal;
UPDATE setting SET time_zone = 'America/New_York', mature_after = '6 months';
ALTER TABLE stage_log DISABLE TRIGGER USER;
INSERT INTO lead (lead_id, channel, owner) SELECT n, (ARRAY['seo', 'content', NULL])[1 + n % 3], (ARRAY['x', NULL])[1 + n % 2] FROM generate_series(1, 500) n;
WITH step AS (
    SELECT l.lead_id, n AS seq, (ARRAY['disqualified', 'lost', 'recycled', 'visitor', 'iql', 'mql', 'sql', 'prospect', 'customer', 'advocate'])
            [1 + (hashint8extended(l.lead_id, n) & 1048575) % 10]::leadscore.lead_stage AS stage
    FROM lead l, generate_series(1, 12) n
    WHERE n <= 1 + l.lead_id % 12
), moved AS (
    -- without rows that are no change, numbered anew
    SELECT m.lead_id, m.stage, row_number() OVER (PARTITION BY m.lead_id ORDER BY m.seq) AS seq
    FROM (SELECT s.*, lag(leadscore.stage_rank(s.stage)) OVER (PARTITION BY s.lead_id ORDER BY s.seq) AS before FROM step s) m
    WHERE m.before IS DISTINCT FROM leadscore.stage_rank(m.stage)
), course AS (
    SELECT m.lead_id, m.seq, m.stage, lag(m.stage) OVER course AS from_stage,
        now() - interval '1 hour' * (12000 + m.lead_id - 1000 * m.seq) AS at
    FROM moved m WINDOW course AS (PARTITION BY m.lead_id ORDER BY m.seq)
)
INSERT INTO stage_log (lead_id, seq, cycle, from_stage, to_stage, effective_at, cause, from_since)
    SELECT c.lead_id, c.seq, 1 + count(*) FILTER (WHERE c.from_stage < 'visitor' AND c.stage >= 'visitor') OVER (PARTITION BY c.lead_id ORDER BY c.seq),
        c.from_stage, c.stage, c.at, 'points', lag(c.at) OVER (PARTITION BY c.lead_id ORDER BY c.seq)
    FROM course c;
SELECT count(*) > 2000 AS many, count(*) FILTER (WHERE stepped_back) > 300 AS steps_back, max(cycle) >= 3 AS cycles FROM stage_history;
SELECT count(*) FROM stage_entry e, LATERAL (
        SELECT
            leadscore.stage_rank(h.to_stage) >= 40 AND NOT EXISTS (SELECT FROM stage_history b WHERE b.lead_id = h.lead_id AND b.cycle = h.cycle AND b.seq < h.seq AND b.to_stage = h.to_stage) AS entered,
            EXISTS (SELECT FROM stage_history b WHERE b.lead_id = h.lead_id AND b.cycle = h.cycle AND b.seq < h.seq AND leadscore.stage_rank(b.to_stage) = leadscore.stage_rank(h.to_stage) - 10) AS been_before,
            (SELECT min(b.effective_at) FROM stage_history b WHERE b.lead_id = h.lead_id AND b.cycle = h.cycle AND b.seq > h.seq AND b.to_stage > h.to_stage) AS higher_at,
            (SELECT min(b.effective_at) FROM stage_history b WHERE b.lead_id = h.lead_id AND b.cycle = h.cycle AND b.to_stage < 'visitor') AS gone_at,
            (SELECT b.effective_at FROM stage_history b WHERE b.lead_id = h.lead_id AND b.seq = h.seq + 1) AS left_at
        FROM stage_history h WHERE h.lead_id = e.lead_id AND h.seq = e.entry_seq
    ) x
    WHERE (e.entered, e.entered_directly, e.converted, e.lost, e.open, e.converted_at, e.lost_at, e.left_at)
        IS DISTINCT FROM (x.entered::int, (x.entered AND NOT x.been_before)::int, (x.entered AND x.higher_at IS NOT NULL)::int,
            (x.entered AND x.higher_at IS NULL AND x.gone_at IS NOT NULL)::int, (x.entered AND x.higher_at IS NULL AND x.gone_at IS NULL)::int,
            CASE WHEN x.entered THEN x.higher_at END, CASE WHEN x.entered AND x.higher_at IS NULL THEN x.gone_at END, x.left_at);
CREATE TEMP VIEW summed AS
    SELECT stage, entered_month, channel, owner, count(*) AS rows, sum(entered) AS entered, sum(entered_directly) AS entered_directly, sum(converted) AS converted, sum(lost) AS lost,
        sum(open) AS open, sum(matured) AS matured, sum(matured_converted) AS matured_converted
    FROM stage_entry WHERE entered = 1 GROUP BY 1, 2, 3, 4;
SELECT 'funnel', count(*), sum(f.entered) FROM (SELECT stage, sum(entered) AS entered, sum(entered_directly) AS d, sum(converted) AS c, sum(lost) AS l, sum(open) AS o, sum(matured) AS m, sum(matured_converted) AS mc FROM summed GROUP BY 1) s
    JOIN funnel f USING (stage)
    WHERE (s.entered, d, c, l, o, m, mc) = (f.entered, f.entered_directly, f.converted, f.lost, f.open, f.matured, f.matured_converted);
SELECT 'cohort', count(*) FROM (SELECT stage, entered_month, sum(entered) AS entered, sum(entered_directly) AS d, sum(converted) AS c, sum(lost) AS l, sum(open) AS o, sum(matured) AS m, sum(matured_converted) AS mc FROM summed GROUP BY 1, 2) s
    FULL JOIN (SELECT * FROM funnel_cohort WHERE entered <> 0 OR converted <> 0 OR lost <> 0) f USING (stage, entered_month)
    WHERE (s.entered, d, c, l, o, m, mc) IS DISTINCT FROM (f.entered, f.entered_directly, f.converted, f.lost, f.open, f.matured, f.matured_converted);
SELECT 'channel', count(*) FROM (SELECT stage, channel, sum(entered) AS entered, sum(entered_directly) AS d, sum(converted) AS c, sum(lost) AS l, sum(open) AS o, sum(matured) AS m, sum(matured_converted) AS mc FROM summed GROUP BY 1, 2) s
    FULL JOIN (SELECT f.*, f.slice AS channel FROM funnel_by f WHERE slice_by = 'channel' AND (entered <> 0 OR converted <> 0 OR lost <> 0)) f USING (stage, channel)
    WHERE (s.entered, d, c, l, o, m, mc) IS DISTINCT FROM (f.entered, f.entered_directly, f.converted, f.lost, f.open, f.matured, f.matured_converted);
SELECT 'between', count(*) FROM (SELECT stage, sum(entered) AS entered, sum(converted) AS c, sum(lost) AS l FROM stage_entry WHERE entered_date BETWEEN current_date - 300 AND current_date - 100 GROUP BY 1) s
    JOIN funnel_between(current_date - 300, current_date - 100) f USING (stage)
    WHERE (s.entered, c, l) IS DISTINCT FROM (f.entered, f.converted, f.lost);
-- no rate exceeds 1, though nothing is in order
SELECT count(*) FROM funnel_cohort WHERE step_rate > 1 OR resolved_rate > 1 OR matured_rate > 1 OR least(entered, entered_directly, converted, lost, open, matured, matured_converted) < 0;
SELECT stage, reached = (SELECT count(*) FROM (SELECT FROM stage_history h GROUP BY lead_id, cycle HAVING max(leadscore.stage_rank(to_stage)) >= f.stage_rank) r) FROM funnel f;
RESET search_path;
DROP SCHEMA crm, crm_reports CASCADE;
