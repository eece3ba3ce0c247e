-- The figures of a dashboard: one JSON document, from the views of a pipeline.
--
--   psql -XAtq -v pipeline=crm -f dashboard/figures.sql > figures.json
--
-- The role needs leadscore.grant_reader(). Each figure has columns (name, label,
-- kind, and what to say for NULL), rows with the values in this order, facts
-- (label, kind, value, and what to say for NULL) and the number of things that
-- it counts. The page shows NULL as "not enough data" if nothing else is said.
\set ON_ERROR_STOP on
\set QUIET on
\set SHOW_CONTEXT never
\encoding UTF8
-- one snapshot, so that the figures agree; views that are read once are not worth compiling
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL jit = off;
SET LOCAL extra_float_digits = 1;
SET LOCAL datestyle = 'ISO';
SET LOCAL intervalstyle = 'postgres_verbose';

SELECT leadscore_internal.reports_schema(:'pipeline') AS reports,
    EXISTS (SELECT FROM leadscore.pipelines p WHERE p.pipeline = :'pipeline') AS is_readable,
    EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.nspname = leadscore_internal.reports_schema(:'pipeline')) AS has_reports \gset
\if :is_readable
\else
    -- an error ends psql, an \echo does not
    DO $$ BEGIN RAISE 'there is no such pipeline, or this role may not read it'
        USING HINT = 'SELECT pipeline FROM leadscore.pipelines lists pipelines; SELECT leadscore.grant_reader(''crm'', ''role'') lets a role read the pipeline crm.'; END $$;
\endif
\if :has_reports
\else
    DO $$ BEGIN RAISE 'this pipeline has no reports' USING HINT = 'SELECT leadscore.add_reports(''crm'') adds those of the pipeline crm.'; END $$;
\endif
SET LOCAL search_path = pg_catalog, :"pipeline", :"reports";
-- days begin where the pipeline is
SELECT set_config('timezone', time_zone, true) FROM setting \g /dev/null

-- Who is called is shown to a role that may see it in other views, too.
SELECT CASE WHEN has_table_privilege('lead_score', 'SELECT') THEN 'h.external_id' ELSE 'NULL::text' END AS external_id \gset

WITH figure (place, id, source, counted, facts, columns, rows) AS (
    -- news: the last 30 full days and today, beside the same number of days before
    SELECT 1, 'recent', 'funnel_between, pipeline_forecast', sum(n.entered) FILTER (WHERE n.stage <> 'visitor'),
        (SELECT json_build_array(
                json_build_array('Leads in the funnel now', 'count', f.leads_now),
                json_build_array('of which will buy within ' || (SELECT ltrim(s.mature_after::text, '@ ') FROM setting s), 'number', f.expected_customers),
                json_build_array('Revenue to expect from them', 'money', f.forecast_amount),
                json_build_array('Revenue: at least', 'money', f.low_amount),
                json_build_array('Revenue: at most', 'money', f.high_amount))
            FROM pipeline_forecast f WHERE f.stage = 'all'),
        '[["stage", "Stage", "stage"], ["entered", "New in the last 30 days", "count"], ["before", "New in the 30 days before", "count"],
            ["change", "Change", "change", "none before"], ["leads_now", "In it now", "count"]]'::json,
        json_agg(json_build_array(n.stage, n.entered, b.entered, 1.0 * n.entered / nullif(b.entered, 0) - 1, f.leads_now) ORDER BY n.stage_rank)
    FROM funnel_between(current_date - 29, current_date) n
        JOIN funnel_between(current_date - 59, current_date - 30) b USING (stage)
        JOIN funnel f USING (stage)
    UNION ALL
    SELECT 2, 'funnel', 'funnel', max(f.reached), NULL,
        '[["stage", "Stage", "stage"], ["reached", "Came so far or farther", "count"], ["cumulative_rate", "of all", "rate"], ["entered", "Were in the stage", "count"],
            ["converted", "Went higher", "count"], ["step_rate", "of these", "rate"], ["lost", "Were lost", "count"], ["open", "Still open", "count"], ["leads_now", "In it now", "count"]]',
        json_agg(json_build_array(f.stage, f.reached, f.cumulative_rate, f.entered, f.converted, f.step_rate, f.lost, f.open, f.leads_now) ORDER BY f.stage_rank)
    FROM funnel f
    UNION ALL
    SELECT 3, 'goals', 'conversion_rates', max(r.denominator), NULL,
        '[["step", "Step", "step"], ["numerator", "Took it", "count"], ["denominator", "of", "count"], ["rate", "Share", "rate"], ["low", "95 %: from", "rate"], ["high", "to", "rate"],
            ["goal_low", "Goal: from", "rate", "no goal"], ["goal_high", "to", "rate", "no goal"], ["goal_rate", "Share that the goal is about", "rate"],
            ["status", "Beside the goal", "text", "no goal"], ["source", "Where the goal is from", "text", "no goal"]]',
        json_agg(json_build_array(r.metric, r.numerator, r.denominator, r.conversion_rate, r.low_rate, r.high_rate, r.benchmark_low_rate, r.benchmark_high_rate,
            -- without a goal the share itself
            CASE WHEN r.benchmark_low_rate IS NULL THEN r.conversion_rate ELSE r.benchmark_rate END,
            CASE WHEN r.benchmark_low_rate IS NOT NULL THEN coalesce(r.benchmark_status, 'not enough data') END,
            r.benchmark_source || CASE WHEN r.benchmark_denominator <> r.step_from THEN ' (share of ' || r.benchmark_denominator || ')' ELSE '' END) ORDER BY r.place)
    FROM conversion_rates r WHERE r.market = 'all'
    UNION ALL
    SELECT 4, 'steps', 'conversion_times', max(t.conversions), NULL,
        '[["step", "Step", "step"], ["conversions", "Took it", "count"], ["median", "Half within", "days"], ["low", "95 %: from", "days"], ["high", "to", "days"], ["p90", "Nine of ten within", "days"],
            ["goal_low", "Goal: from", "days", "no goal"], ["goal_high", "to", "days", "no goal"], ["status", "Beside the goal", "text", "no goal"], ["source", "Where the goal is from", "text", "no goal"]]',
        json_agg(json_build_array(t.metric, t.conversions, t.median_days, t.median_low_days, t.median_high_days, t.p90_days,
            t.benchmark_low_days, t.benchmark_high_days,
            CASE WHEN t.benchmark_low_days IS NOT NULL THEN coalesce(t.benchmark_status, 'not enough data') END, t.benchmark_source) ORDER BY t.place)
    FROM conversion_times t WHERE t.market = 'all'
    UNION ALL
    SELECT 5, 'stages', 'stage_daily', max(d.iql + d.mql + d.sql + d.prospect + d.customer + d.advocate), NULL,
        '[["day", "Evening of", "text"], ["visitor", "Visitor", "count"], ["iql", "IQL", "count"], ["mql", "MQL", "count"], ["sql", "SQL", "count"], ["prospect", "Prospect", "count"],
            ["customer", "Customer", "count"], ["advocate", "Advocate", "count"], ["gone", "Lost or put back", "count"]]',
        json_agg(json_build_array(d.day_date, d.visitor, d.iql, d.mql, d.sql, d.prospect, d.customer, d.advocate, d.gone) ORDER BY d.day_date)
    FROM (SELECT d.day_date, sum(d.leads) FILTER (WHERE d.stage = 'visitor') AS visitor, sum(d.leads) FILTER (WHERE d.stage = 'iql') AS iql,
                sum(d.leads) FILTER (WHERE d.stage = 'mql') AS mql, sum(d.leads) FILTER (WHERE d.stage = 'sql') AS sql,
                sum(d.leads) FILTER (WHERE d.stage = 'prospect') AS prospect, sum(d.leads) FILTER (WHERE d.stage = 'customer') AS customer,
                sum(d.leads) FILTER (WHERE d.stage = 'advocate') AS advocate, sum(d.leads) FILTER (WHERE d.stage IN ('lost', 'recycled', 'disqualified')) AS gone
            FROM stage_daily d WHERE d.day_date >= current_date - 364 AND (current_date - d.day_date) % 14 = 0 GROUP BY d.day_date) d
    UNION ALL
    SELECT 6, 'months', 'cost_per_lead', sum(m.leads), NULL,
        '[["month", "Month", "text"], ["leads", "New leads", "count"], ["cost", "Cost", "money", "no cost booked"], ["cost_per_lead", "Cost per lead", "money", "no cost or no lead"]]',
        json_agg(json_build_array(to_char(m.calendar_month, 'YYYY-MM'), m.leads, m.cost, round(m.cost / nullif(m.leads, 0), 2)) ORDER BY m.calendar_month)
    FROM (SELECT c.calendar_month, sum(c.leads) AS leads, nullif(sum(c.cost_amount), 0) AS cost
            FROM cost_per_lead c WHERE c.calendar_month BETWEEN date_trunc('month', current_date) - interval '12 months' AND current_date GROUP BY c.calendar_month) m
    UNION ALL
    -- what is spent without a channel is for the leads of all
    SELECT 7, 'cost', 'cost_per_lead', sum(c.leads),
        json_build_array(json_build_array('Cost of all', 'money', nullif(sum(c.cost), 0), 'no cost booked'),
            json_build_array('Cost of all per lead', 'money', round(nullif(sum(c.cost), 0) / nullif(sum(c.leads), 0), 2), 'no cost or no lead'),
            json_build_array('Cost of all per customer', 'money', round(nullif(sum(c.cost), 0) / nullif(sum(c.customers), 0), 2), 'no cost or no customer')),
        '[["channel", "Channel", "channel"], ["cost", "Cost", "money", "no cost booked"], ["leads", "New leads", "count"], ["cost_per_lead", "Cost per lead", "money", "no cost or no lead"],
            ["customers", "Customers", "count"], ["cost_per_customer", "Cost per customer", "money", "no cost or no customer"]]',
        json_agg(json_build_array(c.channel, c.cost, c.leads, CASE WHEN c.channel <> '(none)' THEN round(c.cost / nullif(c.leads, 0), 2) END,
            c.customers, CASE WHEN c.channel <> '(none)' THEN round(c.cost / nullif(c.customers, 0), 2) END) ORDER BY c.channel = '(none)', c.cost / nullif(c.leads, 0), c.leads DESC, c.channel)
    FROM (SELECT c.channel, nullif(sum(c.cost_amount), 0) AS cost, sum(c.leads) AS leads, sum(c.customers) AS customers
            FROM cost_per_lead c GROUP BY c.channel HAVING sum(c.cost_amount) > 0 OR sum(c.leads) > 0) c
    UNION ALL
    SELECT 8, 'roas', 'roas', round(sum(r.purchases)),
        json_build_array(json_build_array('Revenue of all', 'money', sum(r.revenue)), json_build_array('Cost of all', 'money', nullif(sum(r.cost), 0), 'no cost booked'),
            json_build_array('Revenue for 1 spent', 'factor', round(sum(r.revenue) / nullif(sum(r.cost), 0), 4), 'no cost booked')),
        '[["channel", "Channel", "channel"], ["revenue", "Revenue credited to it", "money"], ["cost", "Cost", "money", "no cost booked"], ["roas", "Revenue for 1 spent", "factor", "no cost booked"],
            ["profit", "Revenue less cost", "money"]]',
        json_agg(json_build_array(r.channel, r.revenue, nullif(r.cost, 0), CASE WHEN r.channel <> '(none)' THEN round(r.revenue / nullif(r.cost, 0), 4) END, r.revenue - r.cost)
            ORDER BY r.channel = '(none)', r.revenue / nullif(r.cost, 0) DESC NULLS LAST, r.revenue DESC, r.channel)
    FROM (SELECT r.channel, sum(r.credited_purchases) AS purchases, sum(r.revenue_amount) AS revenue, sum(r.cost_amount) AS cost
            FROM roas r WHERE r.model = 'linear' GROUP BY r.channel HAVING sum(r.cost_amount) > 0 OR sum(r.revenue_amount) <> 0) r
    UNION ALL
    SELECT 9, 'time', 'stage_velocity', sum(v.periods), NULL,
        '[["stage", "Stage", "stage"], ["periods", "Left it", "count"], ["median", "Half within", "days"], ["p90", "Nine of ten within", "days"], ["mean", "On average", "days"],
            ["open", "Are still in it", "count"], ["open_median", "Half of these for more than", "days"]]',
        json_agg(json_build_array(v.stage, v.periods, v.median_days, v.p90_days, v.mean_days, o.periods, o.median_days) ORDER BY v.stage_rank)
    FROM stage_velocity v JOIN stage_velocity o ON o.stage = v.stage AND o.outcome = 'open'
    WHERE v.outcome = 'left'
    UNION ALL
    SELECT 10, 'quality', 'model_quality', max(q.leads) FILTER (WHERE q.level = 'summary'),
        json_build_array(json_build_array('Model', 'text', max(q.model), 'no model is active'),
            json_build_array('A customer had more points than another lead (AUC)', 'rate', max(q.auc)),
            json_build_array('AUC, 95 %: from', 'rate', max(q.auc_low)), json_build_array('AUC, 95 %: to', 'rate', max(q.auc_high))),
        '[["tenth", "Leads by score", "tenth"], ["score_from", "Points from", "number"], ["leads", "Leads", "count"], ["converted", "Bought", "count"], ["rate", "of these", "rate"],
            ["low", "95 %: from", "rate"], ["high", "to", "rate"], ["captured", "This tenth and those above have of all customers", "rate"]]',
        json_agg(json_build_array(q.place, q.score_from, q.leads, q.converted, q.converted_rate, q.low_rate, q.high_rate, q.captured_rate) ORDER BY q.place)
            FILTER (WHERE q.level = 'decile' AND q.leads > 0)
    FROM (SELECT m.model, q.* FROM model m, model_quality(m.model) q WHERE m.status = 'active') q
    UNION ALL
    SELECT 11, 'sla', 'first_response', sum(a.asked) FILTER (WHERE a.clock = 'request'), NULL,
        '[["clock", "Who waited", "clock"], ["asked", "Leads", "count"], ["kept", "Answered in time", "count"], ["breached", "Late or never", "count"], ["left", "Gone before", "count"], ["due", "Time still runs", "count"],
            ["in_time_rate", "In time, of the first two", "rate"], ["median_hours", "Half answered within", "hours"], ["p90_hours", "Nine of ten within", "hours"]]',
        json_agg(json_build_array(coalesce(a.stage, 'request'), a.asked, a.kept, a.breached, a.gone, a.due, a.kept / nullif(a.kept + a.breached, 0)::double precision, a.median_hours, a.p90_hours) ORDER BY a.clock, a.stage_rank)
    FROM (SELECT r.clock, r.stage, r.stage_rank, count(*) AS asked, count(*) FILTER (WHERE r.status = 'kept') AS kept, count(*) FILTER (WHERE r.status = 'breached') AS breached,
                count(*) FILTER (WHERE r.status = 'left') AS gone, count(*) FILTER (WHERE r.status = 'due') AS due,
                24 * percentile_cont(0.5) WITHIN GROUP (ORDER BY r.response_days) AS median_hours, 24 * percentile_cont(0.9) WITHIN GROUP (ORDER BY r.response_days) AS p90_hours
            FROM first_response r GROUP BY r.clock, r.stage, r.stage_rank) a
    UNION ALL
    SELECT 12, 'hot', 'hot_leads', max(h.leads),
        json_build_array(json_build_array('Leads to call', 'count', coalesce(max(h.leads), 0)), json_build_array('not called yet', 'count', coalesce(max(h.not_called), 0)),
            json_build_array('too late', 'count', coalesce(max(h.breached), 0))),
        '[["call_order", "Order", "count"], ["external_id", "Lead", "text", "not shown"], ["stage", "Stage", "stage"], ["score", "Score", "number"], ["why", "Why", "text", "no rule"],
            ["due_at", "Call by", "text", "no time set"], ["contacted", "Called", "text"], ["breached", "In time", "text", "no time set"]]',
        json_agg(json_build_array(h.call_order, h.external_id, h.stage, h.score, h.why, to_char(h.due_at, 'YYYY-MM-DD HH24:MI'), h.contacted, h.in_time) ORDER BY h.call_order)
    FROM (SELECT h.call_order, :external_id AS external_id, h.stage, h.score, h.why, h.due_at, CASE WHEN h.contacted THEN 'yes' ELSE 'not yet' END AS contacted,
                CASE WHEN h.due_at IS NOT NULL THEN CASE WHEN h.breached THEN 'too late' WHEN h.contacted THEN 'in time' ELSE 'time left' END END AS in_time,
                count(*) OVER () AS leads, count(*) FILTER (WHERE NOT h.contacted) OVER () AS not_called, count(*) FILTER (WHERE h.breached) OVER () AS breached
            FROM hot_leads h ORDER BY h.call_order LIMIT 15) h
)
SELECT json_build_object(
    'pipeline', :'pipeline',
    'made_at', to_char(now(), 'YYYY-MM-DD HH24:MI'),
    'time_zone', s.time_zone,
    'currency', s.currency,
    'mature_after', ltrim(s.mature_after::text, '@ '),
    'answer_within', ltrim(s.first_response_within::text, '@ '),
    -- row security may hide leads from this role
    'all_leads', (SELECT p.leads IS NOT NULL FROM leadscore.pipelines p WHERE p.pipeline = :'pipeline'),
    'stages', (SELECT json_object_agg(g.stage, g.stage_title) FROM leadscore.stages() g),
    'figures', (SELECT json_agg(json_build_object('id', f.id, 'source', f.source, 'counted', coalesce(f.counted, 0), 'facts', coalesce(f.facts, '[]'),
        'columns', f.columns, 'rows', coalesce(f.rows, '[]')) ORDER BY f.place) FROM figure f))
FROM setting s;
COMMIT;
