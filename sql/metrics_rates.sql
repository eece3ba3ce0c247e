--
-- Rates: intervals, benchmarks, steps; an empty pipeline; against plain SQL
--
\getenv srcdir PG_ABS_SRCDIR
\set data :srcdir '/test/oracle/metrics.sql'
SET timezone = 'Asia/Kathmandu';
SELECT leadscore.create_pipeline('empty') \g /dev/null
SET search_path = empty, empty_reports, leadscore, leadscore_internal;

-- An empty pipeline has all its rows, and no rates
SELECT metric, market, numerator, denominator, conversion_rate, low_rate, high_rate, benchmark_low_rate, benchmark_high_rate,
    benchmark_denominator, benchmark_rate, benchmark_status
    FROM conversion_rates ORDER BY market, place;
SELECT metric, market, conversions, mean_days, median_days, p90_days, benchmark_low_days, benchmark_high_days, benchmark_status
    FROM conversion_times ORDER BY market, place;
SELECT count(*) FROM lead_dim;

-- Goals are data. Rows that were changed or removed stay so when the pipeline is upgraded
UPDATE benchmark SET low = 0.5, high = 0.6, source = 'us' WHERE metric = 'mql_to_sql';
DELETE FROM benchmark WHERE metric = 'visitor_to_lead';
INSERT INTO benchmark VALUES ('mql_to_sql', 'b2c', 0.7, 0.8, NULL, 'us, b2c');
SELECT upgrade_pipeline('empty') > 0 AS upgraded;
SELECT market, benchmark_low_rate, benchmark_high_rate, benchmark_source FROM conversion_rates WHERE metric = 'mql_to_sql' ORDER BY 1;
SELECT count(*) FROM benchmark WHERE metric = 'visitor_to_lead';
SELECT DISTINCT benchmark_status, benchmark_source FROM conversion_rates WHERE metric = 'visitor_to_lead';
-- a pipeline from before there were such views gets the goals, and keeps its own
DROP VIEW purchases CASCADE;
DELETE FROM benchmark WHERE metric <> 'mql_to_sql';
SELECT upgrade_pipeline('empty') > 0 AS upgraded;
SELECT metric, segment, low, high, denominator, source FROM benchmark WHERE metric IN ('mql_to_sql', 'visitor_to_lead', 'lead_to_customer') ORDER BY 1, 2;
SELECT count(*) FROM benchmark;
DROP SCHEMA empty, empty_reports CASCADE;

\set ECHO none
\i :data
\set ECHO all

-- Twelve leads by hand, in a pipeline of their own. Of ten leads that entered
-- as iql and b2b: six became mql (one by way of sql directly), three of these
-- sql, one a customer. One is an mql at once, one a customer at once.
SELECT create_pipeline('hand') \g /dev/null
SET search_path = hand, hand_reports, leadscore, leadscore_internal;
INSERT INTO lead (lead_id, email, market, consented_at, created_at)
    SELECT n, 'a@b', CASE WHEN n <= 10 THEN 'b2b' END, CASE WHEN n <= 10 THEN timestamptz '2025-01-01 12:00Z' END, '2025-01-01 12:00Z'
    FROM generate_series(1, 12) n;
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES
    (1, 'stage_set', '2025-01-11 12:00Z', '{"stage": "mql"}'),
    (2, 'stage_set', '2025-01-11 12:00Z', '{"stage": "mql"}'),
    (3, 'stage_set', '2025-01-31 12:00Z', '{"stage": "mql"}'),
    (4, 'stage_set', '2025-01-21 12:00Z', '{"stage": "mql"}'),
    (5, 'stage_set', '2025-01-21 12:00Z', '{"stage": "mql"}'),
    (6, 'stage_set', '2025-01-21 12:00Z', '{"stage": "sql"}'),
    (1, 'stage_set', '2025-04-01 12:00Z', '{"stage": "sql"}'),
    (2, 'stage_set', '2025-04-11 12:00Z', '{"stage": "sql"}'),
    (1, 'purchase', '2025-05-01 12:00Z', NULL),
    (7, 'lost', '2025-02-01 12:00Z', NULL),
    (11, 'stage_set', '2025-02-01 12:00Z', '{"stage": "mql"}'),
    (12, 'purchase', '2025-02-01 12:00Z', NULL);
SELECT metric, market, numerator, denominator, conversion_rate, benchmark_denominator, benchmark_rate, benchmark_status
    FROM conversion_rates WHERE denominator > 0 ORDER BY market, place;
-- the goal says leads and means mqls; with leads as denominator another rate is compared
UPDATE benchmark SET denominator = 'lead' WHERE metric = 'lead_to_customer';
SELECT market, round(conversion_rate::numeric, 4) AS rate, benchmark_denominator, round(benchmark_rate::numeric, 4) AS compared, benchmark_status
    FROM conversion_rates WHERE metric = 'lead_to_customer' ORDER BY 1;
SELECT metric, conversions, mean_days, median_days, p90_days, benchmark_low_days, benchmark_high_days, benchmark_status
    FROM conversion_times WHERE market = 'b2b' ORDER BY place;
-- reached: this stage or a higher one
SELECT count(lead_at) AS leads, count(mql_at) AS mqls, count(sql_at) AS sqls, count(customer_at) AS customers FROM lead_dim;

-- Wilson's interval. Golden: 8 of 10 and 0 of 10 as R's binom.wilson says
SELECT round(rate_low(8, 10)::numeric, 6) AS low, round(rate_high(8, 10)::numeric, 6) AS high, rate_low(0, 10) AS none, round(rate_high(0, 10)::numeric, 6) AS none_high;
-- its ends are where the rate is 1.96 standard errors off
SELECT count(*), count(*) FILTER (WHERE
    abs(abs(r.rate - c.low_rate) - 1.959964 * sqrt(c.low_rate * (1 - c.low_rate) / c.denominator)) < 1e-6
    AND abs(abs(r.rate - c.high_rate) - 1.959964 * sqrt(c.high_rate * (1 - c.high_rate) / c.denominator)) < 1e-6) AS right
    FROM conversion_rates c, LATERAL (SELECT c.numerator::float8 / c.denominator) AS r (rate) WHERE c.denominator > 0;

-- Every rate and time of the drawn leads, computed with joins instead
SET search_path = crm, crm_reports, leadscore, leadscore_internal, public;
CREATE TEMP VIEW step AS
    SELECT m.market, s.f, s.t, x.lead_id, x.cycle, x.at AS from_at, min(y.effective_at) AS to_at
    FROM (VALUES ('all'), ('b2b'), ('b2c')) m (market)
        CROSS JOIN (VALUES ('visitor', 'visitor', 'visitor', 'lead', 'iql'), ('iql', 'iql', 'iql', 'mql', 'mql'), ('mql', 'mql', 'mql', 'sql', 'sql'),
            ('iql', 'iql', 'iql', 'sql', 'sql'), ('sql', 'sql', 'sql', 'customer', 'customer'), ('mql', 'mql', 'mql', 'customer', 'customer'),
            ('lead', 'iql', 'prospect', 'customer', 'customer')) s (f, low, high, t, goal)
        CROSS JOIN LATERAL (
            SELECT DISTINCT ON (h.lead_id, h.cycle) h.lead_id, h.cycle, h.seq, h.effective_at AS at
            FROM stage_history h JOIN lead l USING (lead_id)
            WHERE CASE s.f WHEN 'lead' THEN h.to_stage >= 'iql' AND h.is_lead AND (h.cycle = 1 OR h.to_stage < 'customer') ELSE h.to_stage::text = s.low END AND (m.market = 'all' OR l.market = m.market)
                -- a customer that never was a lead, or was won back, is in no rate
                AND NOT (EXISTS (SELECT FROM stage_history c WHERE c.lead_id = h.lead_id AND c.cycle = h.cycle AND c.to_stage >= 'customer')
                    AND NOT EXISTS (SELECT FROM stage_history c WHERE c.lead_id = h.lead_id AND c.cycle = h.cycle AND c.to_stage >= 'iql' AND c.is_lead AND (c.cycle = 1 OR c.to_stage < 'customer')))
            ORDER BY h.lead_id, h.cycle, h.seq
        ) x
        LEFT JOIN stage_history y ON y.lead_id = x.lead_id AND y.cycle = x.cycle AND (y.seq > x.seq OR y.seq = x.seq AND s.f = 'lead')
            AND y.to_stage >= s.goal::lead_stage AND (s.goal <> 'iql' OR y.is_lead)
    GROUP BY 1, 2, 3, 4, 5, 6;
SELECT c.metric, c.market, c.numerator, c.denominator, s.numerator, s.denominator
FROM conversion_rates c
    FULL JOIN (SELECT s.market, s.f, s.t, count(s.to_at) AS numerator, count(*) AS denominator FROM step s GROUP BY 1, 2, 3) s
        ON s.market = c.market AND s.f = c.step_from AND s.t = c.step_to
WHERE (c.numerator, c.denominator) IS DISTINCT FROM (s.numerator, s.denominator);
SELECT count(*) > 300 AS enough, bool_and(to_at >= from_at) AS forward FROM step WHERE market = 'all';
SELECT market, metric, numerator <= denominator AS inside, low_rate <= conversion_rate AND conversion_rate <= high_rate AS between
    FROM conversion_rates WHERE NOT (numerator <= denominator AND low_rate <= conversion_rate AND conversion_rate <= high_rate);
DROP VIEW step;

-- First times, from lists
SELECT count(*) FROM lead_dim m
WHERE (m.lead_at, m.mql_at, m.sql_at, m.customer_at) IS DISTINCT FROM (
    (SELECT h.effective_at FROM stage_history h WHERE h.lead_id = m.lead_id AND h.to_stage >= 'iql' AND h.is_lead ORDER BY 1 LIMIT 1),
    (SELECT h.effective_at FROM stage_history h WHERE h.lead_id = m.lead_id AND h.to_stage >= 'mql' AND m.lead_at IS NOT NULL ORDER BY 1 LIMIT 1),
    (SELECT h.effective_at FROM stage_history h WHERE h.lead_id = m.lead_id AND h.to_stage >= 'sql' AND m.lead_at IS NOT NULL ORDER BY 1 LIMIT 1),
    (SELECT h.effective_at FROM stage_history h WHERE h.lead_id = m.lead_id AND h.to_stage >= 'customer' ORDER BY 1 LIMIT 1));
SELECT * FROM verify();

-- Views keep to the rules: plain types, comments, rights of the caller
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) AS type
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace IN ('crm'::regnamespace, 'crm_reports'::regnamespace) AND c.relkind = 'v' AND c.relname !~ '^_'
    AND (format_type(a.atttypid, a.atttypmod) NOT IN ('text', 'boolean', 'integer', 'bigint', 'double precision', 'numeric(14,2)', 'date', 'timestamp with time zone')
        OR a.attname ~ '_rate$' AND a.atttypid <> 'float8'::regtype
        OR a.attname ~ '_amount$' AND format_type(a.atttypid, a.atttypmod) <> 'numeric(14,2)'
        OR a.attname ~ '_days$' AND a.atttypid NOT IN ('float8'::regtype, 'integer'::regtype)
        OR a.attname ~ '_at$' AND a.atttypid <> 'timestamptz'::regtype
        OR a.attname ~ '_(date|month)$' AND a.atttypid <> 'date'::regtype
        OR col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid, 'pg_class') IS NULL
        OR NOT coalesce(c.reloptions @> '{security_invoker=true}', false)
        OR a.attname = 'stage' AND NOT EXISTS (SELECT FROM pg_attribute r WHERE r.attrelid = c.oid AND r.attname = 'stage_rank'));
-- and a reader of them sees no properties, profiles or addresses
CREATE ROLE metrics_reader;
SELECT grant_reader('crm', 'metrics_reader');
SELECT has_column_privilege('metrics_reader', 'event', 'properties', 'SELECT') AS properties,
    has_column_privilege('metrics_reader', 'lead', 'profile', 'SELECT') AS profile, has_column_privilege('metrics_reader', 'lead', 'email', 'SELECT') AS email;
SET ROLE metrics_reader;
DO $$
DECLARE
    view name;
    readable text[];
BEGIN
    FOR view IN
        SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'crm_reports'::regnamespace AND c.relkind = 'v'
            AND c.relname ~ '^(conversion_|cost_|roas|roi|attribution|customer_|value_|stage_to|pipeline_|sourcing|sla_|first_|response|followup|won_|cold|lead_cool|bant|landing|form_|lead_offers|email|message|stage_lift|lead_quality|interest|capture|half)'
        ORDER BY c.relname COLLATE "C"
    LOOP
        EXECUTE format('SELECT count(*) FROM crm_reports.%I', view);
        readable := readable || view::text;
    END LOOP;
    RAISE INFO '%', array_to_string(readable, ' ');
END $$;
SELECT count(*) FROM attribution('linear');
SELECT count(*) FROM required_leads(1);
SELECT count(*) FROM sla_status_at(now());
RESET ROLE;
-- A visitor has no market: of those whose market is known all went on. 40
-- visitors, 2 of which became leads and said then that they are b2b
SELECT create_pipeline('visit') \g /dev/null
SET search_path = visit, visit_reports, leadscore, leadscore_internal;
INSERT INTO lead (lead_id, created_at, updated_at) SELECT i, '2025-01-01Z', '2025-01-01Z' FROM generate_series(1, 40) i;
UPDATE lead SET email = 'a@b', consented_at = '2025-01-02Z', updated_at = '2025-01-02Z', market = 'b2b', owner = 'ann' WHERE lead_id <= 2;
SELECT metric, market, numerator, denominator, round(conversion_rate::numeric, 3) AS rate, round(low_rate::numeric, 3) AS low, benchmark_status AS status, market_unknown
    FROM conversion_rates WHERE place <= 2 AND market <> 'b2c' ORDER BY place, market;
SELECT slice_by, slice, stage, entered, converted, step_rate, step_low_rate IS NULL AS no_interval FROM funnel_by
    WHERE entered > 0 AND slice_by IN ('market', 'owner', 'channel') ORDER BY slice_by, slice, stage_rank;
-- with two unknown of 40 there is a rate, with three there is none
UPDATE lead SET market = 'b2b', updated_at = '2025-01-03Z' WHERE lead_id BETWEEN 3 AND 37;
SELECT conversion_rate, market_unknown FROM conversion_rates WHERE metric = 'visitor_to_lead' AND market = 'b2b';
UPDATE lead SET market = 'b2b', updated_at = '2025-01-03Z' WHERE lead_id = 38;
SELECT round(conversion_rate::numeric, 4) AS rate, market_unknown FROM conversion_rates WHERE metric = 'visitor_to_lead' AND market = 'b2b';
SELECT slice, round(step_rate::numeric, 4) AS rate FROM funnel_by WHERE stage = 'visitor' AND slice_by = 'market' ORDER BY 1;
SET search_path = crm, crm_reports, leadscore, leadscore_internal;

-- A customer that is lost and buys again is won back: of nine leads one became a
-- customer, after 151 days, however often it left and came back
SELECT create_pipeline('churn') \g /dev/null
SET search_path = churn, churn_reports, leadscore, leadscore_internal;
INSERT INTO lead (lead_id, email, consented_at, created_at, updated_at) SELECT i, 'a@b', '2025-01-01Z', '2025-01-01Z', '2025-01-01Z' FROM generate_series(1, 9) i;
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'purchase', '2025-06-01Z'), (1, 'lost', '2025-07-01Z'), (1, 'purchase', '2025-08-01Z'), (1, 'lost', '2025-09-01Z'), (1, 'purchase', '2025-10-01Z');
SELECT numerator, denominator FROM conversion_rates WHERE metric = 'lead_to_customer' AND market = 'all';
SELECT conversions, median_days FROM conversion_times WHERE metric = 'lead_to_customer_days' AND market = 'all';
SELECT cycle, outcome, total_days, full_months FROM cycle_time WHERE lead_id = 1 ORDER BY 1;
SELECT bucket, customers FROM cycle_time_histogram WHERE customers > 0;
SELECT from_date, leads, customers, median_sale_days FROM period_comparison WHERE period = 'month' AND leads > 0;
SELECT stage, converted, matured FROM stage_to_customer WHERE stage = 'iql';
SELECT stage, entered, converted, lost FROM funnel WHERE stage IN ('iql', 'customer');
-- A visitor that was lost, and comes back as a customer with consent, is a lead of
-- no cycle. Its revenue has a month nevertheless
INSERT INTO lead (lead_id, created_at, updated_at) VALUES (10, '2025-02-01Z', '2025-02-01Z');
INSERT INTO event (lead_id, kind, occurred_at, value) VALUES (10, 'lost', '2025-03-01Z', NULL);
UPDATE lead SET email = 'a@b', consented_at = '2025-04-01Z', updated_at = '2025-04-01Z' WHERE lead_id = 10;
INSERT INTO event (lead_id, kind, occurred_at, value) VALUES (10, 'purchase', '2025-04-02Z', 70);
SELECT numerator, denominator FROM conversion_rates WHERE metric = 'lead_to_customer' AND market = 'all';
SELECT from_date, leads, customers, revenue_amount, revenue_per_lead_amount FROM period_comparison WHERE period = 'month' AND (leads > 0 OR revenue_amount <> 0) ORDER BY 1;
-- A customer that never was a lead is set back, becomes one, and buys again after
-- 10 days: one sale, as in conversion_times. With 151 days the median is 80.5
INSERT INTO lead (lead_id, created_at, updated_at) VALUES (11, '2025-01-01Z', '2025-01-01Z');
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES (11, 'purchase', '2025-01-02Z', NULL), (11, 'stage_set', '2025-01-03Z', '{"stage": "visitor"}'), (11, 'stage_set', '2025-01-12Z', '{"stage": "iql"}'), (11, 'purchase', '2025-01-22Z', NULL);
UPDATE lead SET email = 'a@b', consented_at = '2025-01-10Z', updated_at = '2025-01-10Z' WHERE lead_id = 11;
SELECT to_stage, is_lead FROM stage_history WHERE lead_id = 11 ORDER BY seq;
SELECT conversions, median_days FROM conversion_times WHERE metric = 'lead_to_customer_days' AND market = 'all';
SELECT from_date, leads, sales, median_sale_days FROM period_comparison WHERE period = 'month' AND leads > 0;
-- of a month in which more was taken back than was paid there is no multiple:
-- -30 in May, 60 in June, 90 in July, which is half as much again
INSERT INTO lead (lead_id, email, consented_at, created_at, updated_at)
    SELECT 20 + i, 'm' || i || '@b', t.at, t.at, t.at FROM generate_series(1, 3) i, LATERAL (SELECT timestamptz '2025-04-05Z' + i * interval '1 month') t (at);
INSERT INTO event (lead_id, kind, occurred_at, properties) SELECT 20 + i, 'stage_set', timestamptz '2025-04-06Z' + i * interval '1 month', '{"stage": "iql"}' FROM generate_series(1, 3) i;
INSERT INTO event (lead_id, kind, occurred_at, value) VALUES (21, 'purchase', '2025-05-07Z', 20), (21, 'refund', '2025-05-08Z', 50), (22, 'purchase', '2025-06-07Z', 60), (23, 'purchase', '2025-07-07Z', 90);
SELECT from_date, leads, revenue_per_lead_amount, revenue_change FROM period_comparison WHERE period = 'month' AND from_date >= '2025-05-01' AND leads > 0 ORDER BY 1;
DROP SCHEMA churn, churn_reports CASCADE;
SET search_path = crm, crm_reports, leadscore, leadscore_internal;

-- A goal is missed or surpassed only if the whole interval says so. 3 of 4 are
-- 75 %, but may be 30 % (Wilson: 0.301 to 0.954); of 75 of 100 the interval is
-- 0.657 to 0.825
SELECT part, whole, compared(part / nullif(whole, 0)::float8, rate_low(part, whole), rate_high(part, whole), 0.25, 0.625) AS status
    FROM (VALUES (3, 4), (75, 100), (1, 4), (40, 100), (0, 4), (5, 100), (15, 100), (20, 100), (0, 0)) AS v (part, whole);
SELECT compared(1, NULL, NULL, 2, 3) AS no_interval, compared(1, 1, 1, NULL, 3) AS only_high, compared(4, 4, 4, NULL, 3) AS above_high, compared(1, 1, 1, NULL, NULL) AS no_goal;
-- ranks that enclose the median: by the binomial distribution at most one in
-- twenty medians lies outside, and the next rank would leave out more of them
CREATE FUNCTION pg_temp.outside(n integer, rank integer) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
    term numeric := 1;
    total numeric := 0;
BEGIN
    FOR i IN 0..rank - 1 LOOP
        total := total + term;
        term := term * (n - i) / (i + 1);
    END LOOP;
    RETURN 2 * total / 2::numeric ^ n;
END $$;
SELECT count(*) AS n, count(*) FILTER (WHERE pg_temp.outside(n, median_rank(n)) > 0.05) AS too_narrow, count(*) FILTER (WHERE pg_temp.outside(n, median_rank(n) + 2) <= 0.05) AS too_wide
    FROM generate_series(6, 300) n;
SELECT median_rank(0), median_rank(5), median_rank(6), median_rank(10), median_rank(100);
-- the steps took 1 to 9 days: the second and the eighth enclose the median
SELECT create_pipeline('days') \g /dev/null
SET search_path = days, days_reports, leadscore, leadscore_internal;
INSERT INTO lead (lead_id, email, consented_at, created_at, updated_at) SELECT i, 'a@b', '2025-01-01Z', '2025-01-01Z', '2025-01-01Z' FROM generate_series(1, 9) i;
INSERT INTO event (lead_id, kind, occurred_at, value) SELECT i, 'purchase', timestamptz '2025-01-01Z' + i * interval '1 day', 1 FROM generate_series(1, 9) i;
INSERT INTO benchmark (metric, segment, low, high, source) VALUES ('lead_to_customer_days', 'all', 6, 7, 'by hand');
SELECT metric, conversions, median_days, median_low_days, median_high_days, benchmark_status FROM conversion_times WHERE market = 'all' AND conversions > 0;
UPDATE benchmark SET low = 8.5, high = 10 WHERE metric = 'lead_to_customer_days';
SELECT benchmark_status FROM conversion_times WHERE market = 'all' AND conversions > 0;
DELETE FROM lead WHERE lead_id > 5;
SELECT conversions, median_days, median_low_days, median_high_days, benchmark_status FROM conversion_times WHERE market = 'all' AND conversions > 0;
SET search_path = crm, crm_reports, leadscore, leadscore_internal;
DROP SCHEMA visit, visit_reports, days, days_reports CASCADE;
DROP SCHEMA crm, crm_reports, hand, hand_reports CASCADE;
DROP OWNED BY metrics_reader;
DROP ROLE metrics_reader;
DROP FUNCTION public.draw;
