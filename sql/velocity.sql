--
-- How long it takes
--
SELECT leadscore.create_pipeline('crm', 'empty', attach => false) \g /dev/null
SET search_path = crm, crm_reports, leadscore, leadscore_internal;

-- Nothing there: rows without figures
SELECT stage, outcome, next_stage, periods, mean_days, median_days, p90_days FROM stage_velocity;
SELECT stage, after_days, at_risk, converted_rate, lost_rate, open_rate FROM conversion_curve;
SELECT count(*) FROM cycle_time;
SELECT bucket, customers, share_rate FROM cycle_time_histogram;

-- visitor: left for iql after 1, 2 and 9 days, for lost after 4; two are
-- there for 10 and 20 days
CREATE PROCEDURE pg_temp.course(lead bigint, began timestamptz, VARIADIC steps text[]) LANGUAGE sql AS $$
    -- steps: stage, days, stage, days ..., stage
    SET LOCAL session_replication_role = replica;
    INSERT INTO crm.lead (lead_id, created_at) VALUES (lead, began);
    INSERT INTO crm.stage_log (lead_id, seq, cycle, from_stage, to_stage, effective_at, cause, from_since)
        SELECT lead, s.seq, 1, lag(s.stage) OVER (ORDER BY s.seq), s.stage, s.at, 'set', lag(s.at) OVER (ORDER BY s.seq)
        FROM (
            SELECT n AS seq, leadscore.lead_stage(steps[2 * n - 1]) AS stage,
                began + interval '1 day' * coalesce((SELECT sum(steps[2 * k]::numeric) FROM generate_series(1, n - 1) k), 0)::double precision AS at
            FROM generate_series(1, (cardinality(steps) + 1) / 2) n) s;
    INSERT INTO crm.lead_state (lead_id, stage_since, cycle, stage, promotion_blocked, processed_until, activity, configuration)
        SELECT lead, h.effective_at, h.cycle, h.to_stage, false, h.effective_at, 'day{}', g.configuration
        FROM crm.stage_history h, crm.setting g WHERE h.lead_id = lead ORDER BY h.seq DESC LIMIT 1;
    SET LOCAL session_replication_role = DEFAULT;
$$;
BEGIN;
CALL pg_temp.course(1, '2025-01-01', 'visitor', '1', 'iql');
CALL pg_temp.course(2, '2025-01-01', 'visitor', '2', 'iql');
CALL pg_temp.course(3, '2025-01-01', 'visitor', '9', 'iql');
CALL pg_temp.course(4, '2025-01-01', 'visitor', '4', 'lost');
CALL pg_temp.course(5, now() - interval '10 days', 'visitor');
CALL pg_temp.course(6, now() - interval '20 days', 'visitor');
SELECT stage, outcome, next_stage, periods, round(mean_days::numeric, 3) AS mean_days, round(median_days::numeric, 3) AS median_days, round(p90_days::numeric, 3) AS p90_days
    FROM stage_velocity WHERE stage = 'visitor';
ROLLBACK;

-- Converted after 1, 2, 3, 5, 6 and 9 days; still open at 2, 6, 8 and 10:
-- S = .9, .8, .6857, .5714, .4571, .2286
BEGIN;
CALL pg_temp.course(1, '2025-01-01', 'visitor', '1', 'iql');
CALL pg_temp.course(2, '2025-01-01', 'visitor', '2', 'iql');
CALL pg_temp.course(3, now() - interval '2 days', 'visitor');
CALL pg_temp.course(4, '2025-01-01', 'visitor', '3', 'iql');
CALL pg_temp.course(5, '2025-01-01', 'visitor', '5', 'iql');
CALL pg_temp.course(6, now() - interval '6 days', 'visitor');
CALL pg_temp.course(7, '2025-01-01', 'visitor', '6', 'iql');
CALL pg_temp.course(8, now() - interval '8 days', 'visitor');
CALL pg_temp.course(9, '2025-01-01', 'visitor', '9', 'iql');
CALL pg_temp.course(10, now() - interval '10 days', 'visitor');
SELECT after_days, at_risk, converted, lost, open, round(open_rate::numeric, 10) AS open_rate, round(converted_rate::numeric, 10) AS converted_rate, lost_rate
    FROM conversion_curve WHERE stage = 'visitor';
ROLLBACK;

-- Four leads: one converts on day 1, one is lost on day 2, one converts on
-- day 3, one is open on day 4. Converted 1/4, then 1/4 of all again. Lost
-- taken for unknown would give 1 - 3/4 * 1/2 = 0.625.
BEGIN;
CALL pg_temp.course(1, '2025-01-01', 'visitor', '1.5', 'iql');
CALL pg_temp.course(2, '2025-01-01', 'visitor', '2.5', 'lost');
CALL pg_temp.course(3, '2025-01-01', 'visitor', '3.5', 'mql');
CALL pg_temp.course(4, now() - interval '4.5 days', 'visitor');
SELECT stage, after_days, at_risk, converted, lost, open, round(converted_rate::numeric, 10) AS converted_rate, round(lost_rate::numeric, 10) AS lost_rate, round(open_rate::numeric, 10) AS open_rate
    FROM conversion_curve WHERE stage = 'visitor';
-- a lead that falls back and then rises converted when it rose
CALL pg_temp.course(5, '2025-01-01', 'mql', '2', 'iql', '5', 'mql', '3', 'sql');
SELECT stage, after_days, at_risk, converted FROM conversion_curve WHERE stage IN ('mql', 'iql') AND converted > 0;
ROLLBACK;

-- Customers: after 20 days; exactly 12 months; 18 months less a day; 18 months
BEGIN;
CALL pg_temp.course(1, '2023-01-01', 'visitor', '5', 'iql', '5', 'sql', '10', 'customer');
CALL pg_temp.course(2, '2023-01-31', 'visitor', '365', 'customer');
CALL pg_temp.course(3, '2023-01-01', 'iql', '546', 'customer');
CALL pg_temp.course(4, '2023-01-01', 'iql', '547', 'customer', '30', 'advocate');
CALL pg_temp.course(5, '2023-01-01', 'iql', '3', 'sql', '4', 'lost');
CALL pg_temp.course(6, '2023-01-01', 'iql');
SELECT lead_id, outcome, round(total_days) AS total, full_months, round(iql_to_sql_days) AS iql_to_sql, round(sql_to_customer_days) AS sql_to_customer, started_month, customer_month, market
    FROM cycle_time ORDER BY 1;
SELECT bucket, bucket_rank, months_from, months_until, customers, share_rate, cumulative_rate FROM cycle_time_histogram;
ROLLBACK;

SELECT leadscore_internal.product(x) FROM (VALUES (2::double precision), (0), (3)) v (x);
SELECT leadscore_internal.product(x) FROM (VALUES (2::double precision), (0.5), (NULL), (3)) v (x);
SELECT leadscore_internal.product(x) FROM (SELECT 1::double precision WHERE false) v (x);
RESET search_path;
DROP SCHEMA crm, crm_reports CASCADE;
