-- Pairs of queries that give the same rows: a view, and SQL by hand. By hand,
-- kinds of events are written out instead of looked up by their role, and only
-- what the figure needs is read. Events at infinity are left out by both.
-- Purchases and their refunds by hand are the view hand.sold of load.sql.

-- conversion_rates
SELECT step_from, step_to, market, numerator, denominator FROM conversion_rates;
-- by hand
WITH r AS (SELECT lead_id, cycle, min(seq) FILTER (WHERE to_stage = 'visitor') AS visitor, min(seq) FILTER (WHERE is_lead AND to_stage >= 'iql') AS lead, min(seq) FILTER (WHERE to_stage = 'iql') AS iql,
        min(seq) FILTER (WHERE to_stage = 'mql') AS mql, min(seq) FILTER (WHERE to_stage = 'sql') AS sql, max(seq) FILTER (WHERE to_stage >= 'iql') AS lead_last, max(seq) FILTER (WHERE to_stage >= 'mql') AS mql_last,
        max(seq) FILTER (WHERE to_stage >= 'sql') AS sql_last, max(seq) FILTER (WHERE to_stage >= 'customer') AS customer_last FROM stage_history GROUP BY 1, 2
        -- a customer who never was a lead is in no rate
        HAVING coalesce(max(to_stage) < 'customer' OR bool_or(is_lead AND to_stage >= 'iql'), true)),
t AS (SELECT coalesce(market, 'none') AS market, count(visitor) AS visitor, count(lead) AS lead, count(iql) AS iql, count(mql) AS mql, count(sql) AS sql, count(*) FILTER (WHERE lead_last > visitor) AS visitor_lead, count(*) FILTER (WHERE mql_last > iql) AS iql_mql,
        count(*) FILTER (WHERE sql_last > iql) AS iql_sql, count(*) FILTER (WHERE sql_last > mql) AS mql_sql, count(*) FILTER (WHERE customer_last > mql) AS mql_customer,
        count(*) FILTER (WHERE customer_last > sql) AS sql_customer, count(*) FILTER (WHERE customer_last >= lead) AS lead_customer FROM r JOIN lead USING (lead_id) GROUP BY 1)
SELECT v.a, v.b, coalesce(t.market, 'all'), sum(v.n), sum(v.d) FROM t, LATERAL (VALUES ('visitor', 'lead', visitor_lead, visitor), ('iql', 'mql', iql_mql, iql), ('iql', 'sql', iql_sql, iql), ('mql', 'sql', mql_sql, mql),
    ('mql', 'customer', mql_customer, mql), ('sql', 'customer', sql_customer, sql), ('lead', 'customer', lead_customer, lead)) v (a, b, n, d) GROUP BY v.a, v.b, ROLLUP (t.market) HAVING coalesce(t.market, 'all') <> 'none';

-- cost_per_lead
SELECT calendar_month, channel, campaign, leads, mqls, sqls, customers, cost_amount FROM cost_per_lead WHERE leads + mqls + sqls + customers > 0 OR cost_amount > 0;
-- by hand
WITH first AS (SELECT lead_id, min(effective_at) FILTER (WHERE is_lead) AS lead_at, min(effective_at) FILTER (WHERE to_stage >= 'mql' AND is_lead) AS mql_at, min(effective_at) FILTER (WHERE to_stage >= 'sql' AND is_lead) AS sql_at,
        min(effective_at) FILTER (WHERE to_stage >= 'customer') AS customer_at FROM stage_history WHERE to_stage >= 'iql' GROUP BY 1),
sliced AS (SELECT f.*, coalesce(l.channel, c.channel, '(none)') AS channel, coalesce(l.campaign, '(none)') AS campaign FROM first f JOIN lead l USING (lead_id) LEFT JOIN campaign c USING (campaign)),
a AS (SELECT date_trunc('month', lead_at AT TIME ZONE 'UTC')::date AS month, channel, campaign, count(*) AS leads FROM sliced WHERE lead_at IS NOT NULL GROUP BY 1, 2, 3),
b AS (SELECT date_trunc('month', mql_at AT TIME ZONE 'UTC')::date AS month, channel, campaign, count(*) AS mqls FROM sliced WHERE mql_at IS NOT NULL GROUP BY 1, 2, 3),
c AS (SELECT date_trunc('month', sql_at AT TIME ZONE 'UTC')::date AS month, channel, campaign, count(*) AS sqls FROM sliced WHERE sql_at IS NOT NULL GROUP BY 1, 2, 3),
d AS (SELECT date_trunc('month', customer_at AT TIME ZONE 'UTC')::date AS month, channel, campaign, count(*) AS customers FROM sliced WHERE customer_at IS NOT NULL GROUP BY 1, 2, 3),
e AS (SELECT m::date AS month, p.channel, c.campaign, sum(round(c.amount * least((m + interval '1 month')::date - day_from, day_to - day_from + 1) / (day_to - day_from + 1), 2) - round(c.amount * greatest(m::date - day_from, 0) / (day_to - day_from + 1), 2)) AS amount
    FROM cost c JOIN campaign p USING (campaign), generate_series(date_trunc('month', c.day_from::timestamp), c.day_to::timestamp, '1 month') m GROUP BY 1, 2, 3)
SELECT month, channel, campaign, coalesce(leads, 0), coalesce(mqls, 0), coalesce(sqls, 0), coalesce(customers, 0), coalesce(amount, 0.00)
FROM a FULL JOIN b USING (month, channel, campaign) FULL JOIN c USING (month, channel, campaign) FULL JOIN d USING (month, channel, campaign) FULL JOIN e USING (month, channel, campaign);

-- attribution_credit
SELECT channel, campaign, sum(micro_credits), sum(revenue_amount) FROM attribution_credit WHERE model = 'linear' GROUP BY 1, 2;
-- by hand
WITH p AS MATERIALIZED (SELECT lead_id, event_id, occurred_at, value FROM hand.sold),
t AS MATERIALIZED (SELECT lead_id, event_id, occurred_at, channel, campaign FROM event WHERE (channel IS NOT NULL OR campaign IS NOT NULL)
        AND kind NOT IN ('purchase', 'refund', 'lost', 'disqualified', 'recycled', 'points_added', 'points_removed', 'stage_set', 'unsubscribe', 'email_sent') AND isfinite(occurred_at) AND lead_id IN (SELECT lead_id FROM p)),
u AS (SELECT * FROM t UNION ALL SELECT lead_id, 0, created_at, channel, campaign FROM lead l WHERE lead_id IN (SELECT lead_id FROM p) AND (channel IS NOT NULL OR campaign IS NOT NULL) AND NOT EXISTS (SELECT FROM t WHERE t.lead_id = l.lead_id AND t.occurred_at <= l.created_at)),
w AS (SELECT p.event_id, p.value, u.channel, u.campaign, row_number() OVER (x ORDER BY u.occurred_at, u.event_id) AS i, 1000000.0::float8 / count(*) OVER x AS share FROM p LEFT JOIN u ON u.lead_id = p.lead_id AND u.occurred_at <= p.occurred_at WINDOW x AS (PARTITION BY p.event_id)),
r AS (SELECT w.*, 1000000 - sum(floor(share)) OVER (PARTITION BY event_id) AS rest, row_number() OVER (PARTITION BY event_id ORDER BY share - floor(share) DESC, i) AS turn FROM w),
g AS (SELECT r.*, floor(share)::bigint + (turn <= rest)::int AS credit, sum(floor(share)::bigint + (turn <= rest)::int) OVER (PARTITION BY event_id ORDER BY i) AS upto FROM r)
SELECT coalesce(g.channel, c.channel, '(none)'), coalesce(g.campaign, '(none)'), sum(credit), sum(round(g.value * g.upto / 1000000, 2) - round(g.value * (g.upto - g.credit) / 1000000, 2)) FROM g LEFT JOIN campaign c USING (campaign) GROUP BY 1, 2;

-- roas
SELECT model, channel, campaign, credited_purchases, revenue_amount FROM roas WHERE credited_purchases > 0;
-- by hand
WITH p AS MATERIALIZED (SELECT lead_id, event_id, occurred_at, value FROM hand.sold),
t AS MATERIALIZED (SELECT lead_id, event_id, occurred_at, channel, campaign FROM event WHERE (channel IS NOT NULL OR campaign IS NOT NULL)
        AND kind NOT IN ('purchase', 'refund', 'lost', 'disqualified', 'recycled', 'points_added', 'points_removed', 'stage_set', 'unsubscribe', 'email_sent') AND isfinite(occurred_at) AND lead_id IN (SELECT lead_id FROM p)),
u AS (SELECT * FROM t UNION ALL SELECT lead_id, 0, created_at, channel, campaign FROM lead l WHERE lead_id IN (SELECT lead_id FROM p) AND (channel IS NOT NULL OR campaign IS NOT NULL) AND NOT EXISTS (SELECT FROM t WHERE t.lead_id = l.lead_id AND t.occurred_at <= l.created_at)),
w AS (SELECT p.event_id, p.value, u.channel, u.campaign, count(*) OVER x AS n, row_number() OVER (x ORDER BY u.occurred_at, u.event_id) AS i, coalesce(extract(epoch FROM max(u.occurred_at) OVER x - u.occurred_at)::float8 / 86400, 0) AS age
    FROM p LEFT JOIN u ON u.lead_id = p.lead_id AND u.occurred_at <= p.occurred_at WINDOW x AS (PARTITION BY p.event_id)),
k AS (SELECT k.model, w.*, CASE k.model WHEN 'first' THEN (i = 1)::int WHEN 'last' THEN (i = n)::int WHEN 'linear' THEN 1.0::float8 WHEN 'position' THEN CASE WHEN n > 2 AND i IN (1, n) THEN 2 * (n - 2) ELSE 1 END
    ELSE power(2::float8, - age / 7) END AS weight FROM w, (VALUES ('first'), ('last'), ('linear'), ('position'), ('time_decay')) k (model)),
m AS (SELECT k.*, 1000000 * weight / sum(weight) OVER (PARTITION BY model, event_id) AS share FROM k),
r AS (SELECT m.*, 1000000 - sum(floor(share)) OVER (PARTITION BY model, event_id) AS rest, row_number() OVER (PARTITION BY model, event_id ORDER BY share - floor(share) DESC, i) AS turn FROM m),
g AS (SELECT r.*, floor(share)::bigint + (turn <= rest)::int AS credit, sum(floor(share)::bigint + (turn <= rest)::int) OVER (PARTITION BY model, event_id ORDER BY i) AS upto FROM r)
SELECT g.model, coalesce(g.channel, c.channel, '(none)'), coalesce(g.campaign, '(none)'), sum(g.credit) / 1000000::float8, sum(round(g.value * g.upto / 1000000, 2) - round(g.value * (g.upto - g.credit) / 1000000, 2))
FROM g LEFT JOIN campaign c USING (campaign) GROUP BY 1, 2, 3 HAVING sum(g.credit) > 0;

-- refunds
SELECT status, count(*), count(DISTINCT purchase_event_id), sum(refund_amount) FROM refunds GROUP BY 1;
-- by hand
SELECT 'refunded', (SELECT count(*) FROM event WHERE (kind = 'refund' OR kind = 'purchase' AND value < 0) AND isfinite(occurred_at)), count(*) FILTER (WHERE value < price), sum(price - value)::numeric(14,2) FROM hand.sold;

-- cost_overlaps
SELECT cost_id, other_cost_id, overlap_days, cost_amount, other_cost_amount FROM cost_overlaps;
-- by hand
SELECT a.cost_id, b.cost_id, (SELECT count(*) FROM generate_series(a.day_from, a.day_to, '1 day') d WHERE d BETWEEN b.day_from AND b.day_to), a.amount, b.amount FROM cost a, cost b WHERE a.cost_id < b.cost_id AND a.campaign = b.campaign AND a.category = b.category AND a.channel IS NOT DISTINCT FROM b.channel AND a.source_id IS NOT DISTINCT FROM b.source_id AND daterange(a.day_from, a.day_to, '[]') && daterange(b.day_from, b.day_to, '[]');

-- customer_lifetime_value
SELECT cohort_month, channel, campaign, customers, purchases, revenue_amount, lifetime_value_amount, repeat_customers, buying_days::numeric(12,3) FROM customer_lifetime_value;
-- by hand
SELECT date_trunc('month', first AT TIME ZONE 'UTC')::date, coalesce(l.channel, p.channel, '(none)'), coalesce(l.campaign, '(none)'), count(*), sum(n), sum(value)::numeric(14,2), (sum(value) / count(*))::numeric(14,2), count(*) FILTER (WHERE n > 1), (extract(epoch FROM avg(last - first)) / 86400)::numeric(12,3)
FROM (SELECT lead_id, min(occurred_at) AS first, max(occurred_at) AS last, count(*) AS n, sum(value) AS value FROM hand.sold GROUP BY 1) c JOIN lead l USING (lead_id) LEFT JOIN campaign p USING (campaign) GROUP BY 1, 2, 3;

-- value_by_stage
SELECT stage, leads, customers, revenue_amount FROM value_by_stage WHERE leads > 0;
-- by hand
WITH e AS (SELECT lead_id, to_stage, min(effective_at) AS at FROM stage_history GROUP BY 1, 2)
SELECT e.to_stage, count(DISTINCT e.lead_id), count(DISTINCT p.lead_id), coalesce(sum(p.value), 0)::numeric(14,2) FROM e LEFT JOIN hand.sold p ON p.lead_id = e.lead_id AND p.occurred_at >= e.at WHERE e.to_stage >= 'visitor' GROUP BY 1;

-- pipeline_forecast
SELECT stage, leads_now, round(expected_customers::numeric, 9), forecast_amount FROM pipeline_forecast WHERE stage <> 'all' AND leads_now > 0;
-- by hand
WITH s AS MATERIALIZED (SELECT lead_id, cycle, to_stage, effective_at AS at, coalesce(lead(effective_at) OVER (PARTITION BY lead_id ORDER BY seq), 'infinity') AS left_at, min(effective_at) FILTER (WHERE to_stage >= 'customer') OVER (PARTITION BY lead_id, cycle) AS won_at FROM stage_history),
g AS (SELECT make_interval(days => d) AS age FROM unnest('{0,1,2,4,7,14,30,60,90,120,180,270,365}'::int[]) d),
p AS MATERIALIZED (SELECT to_stage, age, count(*)::float8 AS n, count(*) FILTER (WHERE won_at > at + age AND won_at <= at + age + interval '90 days') AS won FROM s, g WHERE at + age + interval '90 days' <= now() AND left_at > at + age GROUP BY 1, 2),
n AS MATERIALIZED (SELECT s.to_stage, max(g.age) AS age, count(*) OVER () AS all_rows FROM s, g WHERE left_at = 'infinity' AND to_stage BETWEEN 'iql' AND 'prospect' AND at + g.age <= now() GROUP BY s.lead_id, s.to_stage)
SELECT n.to_stage, count(*), round(sum(q.won / q.n)::numeric, 9), (sum(q.won / q.n) * (SELECT avg(v)::float8 FROM (SELECT sum(value) AS v FROM hand.sold GROUP BY lead_id) b))::numeric(14,2)
FROM n, LATERAL (SELECT won, p.n FROM p WHERE p.to_stage = n.to_stage AND p.age <= n.age AND (p.n >= 10 OR p.age = '0') ORDER BY p.age DESC LIMIT 1) q GROUP BY 1;

-- sourcing_comparison
SELECT comparison, segment, leads, mqls, sqls, customers, revenue_amount FROM sourcing_comparison WHERE leads > 0;
-- by hand
WITH g AS (SELECT p.sourcing, coalesce(p.direction, h.direction) AS direction, count(s.lead_at) AS leads, count(s.mql_at) AS mqls, count(s.sql_at) AS sqls, count(s.customer_at) AS customers, sum(b.value) AS value
FROM (SELECT lead_id, min(effective_at) FILTER (WHERE is_lead) AS lead_at, min(effective_at) FILTER (WHERE to_stage >= 'mql' AND is_lead) AS mql_at, min(effective_at) FILTER (WHERE to_stage >= 'sql' AND is_lead) AS sql_at, min(effective_at) FILTER (WHERE to_stage >= 'customer') AS customer_at FROM stage_history WHERE to_stage >= 'iql' GROUP BY 1) s
    RIGHT JOIN lead l USING (lead_id) LEFT JOIN campaign p USING (campaign) LEFT JOIN channel h ON h.channel = coalesce(l.channel, p.channel)
    LEFT JOIN (SELECT lead_id, sum(value) AS value FROM hand.sold GROUP BY 1) b USING (lead_id) GROUP BY 1, 2)
SELECT 'sourcing', sourcing, sum(leads), sum(mqls), sum(sqls), sum(customers), sum(value)::numeric(14,2) FROM g GROUP BY 2 UNION ALL SELECT 'direction', direction, sum(leads), sum(mqls), sum(sqls), sum(customers), sum(value)::numeric(14,2) FROM g GROUP BY 2;

-- sla_status
SELECT status, count(*) FROM sla_status GROUP BY 1;
-- by hand
SELECT CASE WHEN b.at IS NOT NULL OR c.at <= h.effective_at + interval '1 hour' THEN 'kept' WHEN h.left_at <= h.effective_at + interval '1 hour' THEN 'left' ELSE 'breached' END, count(*)
FROM (SELECT lead_id, to_stage, effective_at, lead(effective_at) OVER (PARTITION BY lead_id ORDER BY seq) AS left_at, min(effective_at) OVER (PARTITION BY lead_id, cycle) AS began_at FROM stage_history) h
    LEFT JOIN LATERAL (SELECT max(e.occurred_at) AS at FROM event e WHERE e.lead_id = h.lead_id AND e.kind IN ('outreach', 'sales_contact', 'meeting_held') AND e.occurred_at < h.effective_at AND e.occurred_at >= greatest(h.effective_at - interval '1 hour', h.began_at)) b ON true
    LEFT JOIN LATERAL (SELECT min(e.occurred_at) AS at FROM event e WHERE e.lead_id = h.lead_id AND e.kind IN ('outreach', 'sales_contact', 'meeting_held') AND isfinite(e.occurred_at) AND e.occurred_at >= h.effective_at AND e.occurred_at <= coalesce(h.left_at, 'infinity')) c ON true
WHERE h.to_stage = 'sql' GROUP BY 1;

-- response_time_effect
SELECT response, enquiries, customers FROM response_time_effect WHERE clock = 'request' AND enquiries > 0;
-- by hand
WITH c AS (SELECT lead_id, array_agg(effective_at) AS closed, array_agg(effective_at) FILTER (WHERE to_stage >= 'customer') AS won FROM stage_history WHERE to_stage < 'visitor' OR to_stage >= 'customer' GROUP BY 1),
k AS (SELECT lead_id, array_agg(occurred_at) AS contacts FROM event WHERE kind IN ('outreach', 'sales_contact', 'meeting_held') AND isfinite(occurred_at) GROUP BY 1),
n AS (SELECT r.lead_id, r.occurred_at AS at, c.won, (SELECT min(x) FROM unnest(k.contacts) x WHERE x >= r.occurred_at) AS answered, (SELECT min(x) FROM unnest(c.closed) x WHERE x >= r.occurred_at) AS closed,
        c.won IS NOT NULL AND coalesce((SELECT h.to_stage FROM stage_history h WHERE h.lead_id = r.lead_id AND h.effective_at < r.occurred_at ORDER BY h.seq DESC LIMIT 1), 'visitor') >= 'customer' AS customer
    FROM event r LEFT JOIN k USING (lead_id) LEFT JOIN c USING (lead_id)
    WHERE r.kind IN ('demo_request', 'personal_demo_request', 'quote_request') AND isfinite(r.occurred_at)),
q AS (SELECT lead_id, min(at) AS at, CASE WHEN answered <= closed OR closed IS NULL THEN answered END AS answered, won, (array_agg(customer ORDER BY at))[1] AS customer FROM n GROUP BY lead_id, n.answered, closed, won),
p AS (SELECT q.*, lead(at) OVER (PARTITION BY lead_id ORDER BY at) AS next FROM q)
SELECT CASE WHEN answered IS NULL AND at + interval '1 hour' >= now() THEN 'waiting' WHEN answered IS NULL THEN 'never' WHEN answered <= at + interval '1 hour' THEN 'in time' WHEN answered <= at + interval '1 day' THEN 'within a day' WHEN answered <= at + interval '7 days' THEN 'within a week' ELSE 'later' END,
    count(*), count(*) FILTER (WHERE EXISTS (SELECT FROM unnest(p.won) x WHERE x >= coalesce(p.answered, p.at) AND (p.next IS NULL OR x < p.next))) FROM p WHERE NOT customer GROUP BY 1;

-- followup_summary
SELECT leads, contacts, sales, mean_contacts_until_won::numeric(12,6), won_with_five, said_no, gave_up_after_first_no, won_after_no FROM followup_summary;
-- by hand
WITH c AS (SELECT lead_id, occurred_at, min(occurred_at) FILTER (WHERE lower(properties ->> 'outcome') = 'no') OVER (PARTITION BY lead_id) AS no_at FROM event WHERE kind IN ('outreach', 'sales_contact', 'meeting_held') AND isfinite(occurred_at)),
w AS (SELECT lead_id, min(effective_at) AS at FROM stage_history WHERE to_stage >= 'customer' GROUP BY 1),
n AS (SELECT lead_id, w.at, count(c.occurred_at) AS contacts, count(*) FILTER (WHERE c.occurred_at <= w.at) AS until_won, min(c.no_at) AS no_at, count(*) FILTER (WHERE c.occurred_at > c.no_at) AS after_no FROM c FULL JOIN w USING (lead_id) GROUP BY 1, 2)
SELECT count(*), sum(contacts), count(at), (avg(until_won) FILTER (WHERE at IS NOT NULL))::numeric(12,6), count(*) FILTER (WHERE at IS NOT NULL AND until_won >= 5), count(no_at), count(*) FILTER (WHERE no_at IS NOT NULL AND after_no = 0 AND at IS NULL AND NOT (no_at > now() - interval '720 hours' AND coalesce((SELECT h.to_stage >= 'visitor' FROM stage_history h WHERE h.lead_id = n.lead_id ORDER BY h.seq DESC LIMIT 1), true))),
    count(*) FILTER (WHERE at > no_at) FROM n;

-- lead_cooling, of leads that are cold
SELECT stage, count(*) FROM lead_cooling WHERE cold GROUP BY 1;
-- by hand
SELECT n.stage, count(*) FROM lead_state s JOIN lead l USING (lead_id) CROSS JOIN model m, LATERAL (SELECT max(u.bucket) AS at FROM unnest(s.activity) u WHERE u.signal_id > 0 AND u.count > 0 AND u.bucket <= now()) a,
    LATERAL (SELECT CASE WHEN s.next_review_at <= now() THEN leadscore_internal.current_stage('crm', s.lead_id) ELSE s.stage END) n (stage)
WHERE m.status = 'active' AND n.stage BETWEEN 'iql' AND 'prospect' AND (coalesce(a.at, l.created_at) <= now() - interval '30 days' OR n.stage IN ('mql', 'sql') AND qualified_stage(s.activity, m.compiled, now()) < n.stage) GROUP BY 1;

-- bant_gaps
SELECT gate, stage, leads, met FROM bant_gaps WHERE leads > 0;
-- by hand
SELECT g.gate, n.stage, count(*), count(*) FILTER (WHERE g.met) FROM lead_state s CROSS JOIN model m, LATERAL stage_gates(s.activity, m.compiled, now()) g,
    LATERAL (SELECT CASE WHEN s.next_review_at <= now() THEN leadscore_internal.current_stage('crm', s.lead_id) ELSE s.stage END) n (stage)
WHERE m.status = 'active' AND n.stage BETWEEN 'iql' AND 'prospect' AND g.stage = 'sql' AND g.gate IN ('budget', 'authority', 'need', 'timeline') GROUP BY 1, 2;

-- landing_pages
SELECT page, views, visitors, landed, form_viewed, form_submitted, leads, customers FROM landing_pages;
-- by hand
WITH v AS MATERIALIZED (SELECT lead_id, coalesce(regexp_replace(lower(split_part(properties ->> 'page', '?', 1)), '^https://|/$', '', 'g'), '(none)') AS page, occurred_at FROM event WHERE kind IN ('page_view', 'product_page_view', 'pricing_view') AND isfinite(occurred_at)),
p AS (SELECT page, count(*) AS views, count(DISTINCT lead_id) AS visitors FROM v GROUP BY 1),
l AS (SELECT DISTINCT ON (lead_id) * FROM v ORDER BY lead_id, occurred_at, page),
f AS (SELECT lead_id, max(occurred_at) FILTER (WHERE kind = 'form_view') AS viewed, max(occurred_at) FILTER (WHERE kind = 'form_submit') AS sent FROM event WHERE kind IN ('form_view', 'form_submit') AND isfinite(occurred_at) GROUP BY 1),
s AS (SELECT lead_id, min(effective_at) FILTER (WHERE is_lead) AS lead_at, min(effective_at) FILTER (WHERE to_stage >= 'customer') AS customer_at FROM stage_history WHERE to_stage >= 'iql' GROUP BY 1)
SELECT page, min(p.views), min(p.visitors), count(l.lead_id), count(*) FILTER (WHERE f.viewed >= l.occurred_at), count(*) FILTER (WHERE f.sent >= l.occurred_at),
    count(*) FILTER (WHERE s.lead_at >= l.occurred_at), count(*) FILTER (WHERE s.customer_at >= l.occurred_at) FROM p LEFT JOIN l USING (page) LEFT JOIN f USING (lead_id) LEFT JOIN s USING (lead_id) GROUP BY 1;

-- landing_page_variants
SELECT page, variant, baseline, landed, form_submitted, leads, customers FROM landing_page_variants;
-- by hand
WITH l AS (SELECT DISTINCT ON (lead_id) lead_id, coalesce(regexp_replace(lower(split_part(properties ->> 'page', '?', 1)), '^https://|/$', '', 'g'), '(none)') AS page, coalesce(properties ->> 'variant', '(none)') AS variant, occurred_at
    FROM event WHERE kind IN ('page_view', 'product_page_view', 'pricing_view') AND isfinite(occurred_at) ORDER BY lead_id, occurred_at, 2, 3),
f AS (SELECT lead_id, max(occurred_at) AS sent FROM event WHERE kind = 'form_submit' AND isfinite(occurred_at) GROUP BY 1),
s AS (SELECT lead_id, min(effective_at) FILTER (WHERE is_lead) AS lead_at, min(effective_at) FILTER (WHERE to_stage >= 'customer') AS customer_at FROM stage_history WHERE to_stage >= 'iql' GROUP BY 1)
SELECT page, variant, coalesce(min(nullif(variant, '(none)')) OVER (PARTITION BY page), '(none)'), count(*), count(*) FILTER (WHERE f.sent >= l.occurred_at), count(*) FILTER (WHERE s.lead_at >= l.occurred_at), count(*) FILTER (WHERE s.customer_at >= l.occurred_at)
    FROM l LEFT JOIN f USING (lead_id) LEFT JOIN s USING (lead_id) GROUP BY page, variant;

-- form_conversion, by form
SELECT form, variant, fields, viewed, submitted, submitted_unseen FROM form_conversion WHERE level = 'form';
-- by hand
WITH e AS MATERIALIZED (SELECT lead_id, kind, occurred_at, coalesce(properties ->> 'form', '(none)') AS form, properties ->> 'variant' AS variant, (properties ->> 'fields')::int AS fields FROM event WHERE kind IN ('form_view', 'form_submit') AND isfinite(occurred_at)),
v AS (SELECT lead_id, form, coalesce(variant, '(none)') AS variant, min(occurred_at) AS at, max(fields) AS fields FROM e WHERE kind = 'form_view' GROUP BY 1, 2, 3),
s AS (SELECT DISTINCT ON (x.lead_id, x.form, x.occurred_at) x.lead_id, x.form, x.occurred_at, x.fields, coalesce(x.variant, n.variant, '(none)') AS variant
    FROM e x LEFT JOIN e n ON n.lead_id = x.lead_id AND n.form = x.form AND n.kind = 'form_view' AND n.occurred_at <= x.occurred_at WHERE x.kind = 'form_submit' ORDER BY 1, 2, 3, n.occurred_at DESC NULLS LAST, n.variant DESC),
t AS (SELECT lead_id, form, variant, max(occurred_at) AS at, max(fields) AS fields FROM s GROUP BY 1, 2, 3)
SELECT form, variant, mode() WITHIN GROUP (ORDER BY coalesce(t.fields, v.fields)), count(v.lead_id), count(*) FILTER (WHERE t.at >= v.at), count(*) FILTER (WHERE t.lead_id IS NOT NULL AND (t.at >= v.at) IS NOT TRUE) FROM v FULL JOIN t USING (lead_id, form, variant) GROUP BY 1, 2;

-- lead_offers
SELECT lead_id, channel, campaign, offers, first_offer, last_offer, all_offers FROM lead_offers;
-- by hand
SELECT lead_id, coalesce(l.channel, p.channel, '(none)'), coalesce(l.campaign, '(none)'), o.n, o.first, o.last, o.whole FROM (SELECT lead_id, count(*) AS n, (array_agg(offer ORDER BY at, offer))[1] AS first, (array_agg(offer ORDER BY last_at DESC, offer))[1] AS last, string_agg(offer, ', ' ORDER BY at, offer) AS whole
    FROM (SELECT lead_id, coalesce(properties ->> 'content', kind) AS offer, min(occurred_at) AS at, max(occurred_at) AS last_at FROM event WHERE kind IN ('content_download', 'case_study_download', 'webinar_attended') AND isfinite(occurred_at) GROUP BY 1, 2) o GROUP BY 1) o JOIN lead l USING (lead_id) LEFT JOIN campaign p USING (campaign);

-- email_engagement
SELECT message, sent, opened, clicked, replied, unmatched FROM email_engagement;
-- by hand
WITH e AS MATERIALIZED (SELECT lead_id, kind, occurred_at, properties ->> 'message' AS message FROM event WHERE kind IN ('email_sent', 'email_open', 'email_click', 'email_reply') AND isfinite(occurred_at) AND occurred_at <= now()),
r AS (SELECT DISTINCT ON (x.lead_id, x.kind, x.message, x.occurred_at) x.lead_id, x.kind, coalesce(x.message, l.message, '(none)') AS message, l.lead_id IS NOT NULL AS matched
    FROM e x LEFT JOIN e l ON l.lead_id = x.lead_id AND l.kind = 'email_sent' AND l.occurred_at <= x.occurred_at AND (x.message IS NULL OR x.message = l.message) WHERE x.kind <> 'email_sent' ORDER BY 1, 2, x.message, x.occurred_at, l.occurred_at DESC NULLS LAST),
k AS (SELECT message, lead_id, true AS sent, NULL AS kind, NULL::boolean AS matched FROM e WHERE kind = 'email_sent' UNION ALL SELECT message, lead_id, NULL, kind, matched FROM r)
SELECT message, count(DISTINCT lead_id) FILTER (WHERE sent), count(DISTINCT lead_id) FILTER (WHERE matched AND kind = 'email_open'), count(DISTINCT lead_id) FILTER (WHERE matched AND kind = 'email_click'),
    count(DISTINCT lead_id) FILTER (WHERE matched AND kind = 'email_reply'), count(DISTINCT lead_id) FILTER (WHERE NOT matched) FROM k GROUP BY 1;

-- message_response
SELECT message, variant, sent, responded FROM message_response;
-- by hand
WITH e AS MATERIALIZED (SELECT lead_id, kind, occurred_at, properties ->> 'message' AS message, properties ->> 'variant' AS variant FROM event WHERE kind IN ('email_sent', 'email_click', 'email_reply') AND isfinite(occurred_at) AND occurred_at <= now()),
l AS (SELECT lead_id, message, variant, occurred_at FROM e WHERE kind = 'email_sent'),
b AS (SELECT lead_id, array_agg(message ORDER BY occurred_at DESC) AS messages, array_agg(occurred_at ORDER BY occurred_at DESC) AS ats FROM l GROUP BY 1),
m AS (SELECT x.lead_id, x.occurred_at, x.variant, coalesce(x.message, (SELECT s.message FROM unnest(b.messages, b.ats) WITH ORDINALITY s (message, at, n) WHERE s.at <= x.occurred_at ORDER BY n LIMIT 1)) AS message FROM e x LEFT JOIN b USING (lead_id) WHERE x.kind <> 'email_sent'),
r AS (SELECT DISTINCT ON (m.lead_id, m.message, m.variant, m.occurred_at) m.lead_id, l.message, l.variant FROM m JOIN l ON l.lead_id = m.lead_id AND l.message = m.message AND l.occurred_at <= m.occurred_at
    ORDER BY m.lead_id, m.message, m.variant, m.occurred_at, coalesce(l.variant = m.variant, false) DESC, l.occurred_at DESC)
SELECT message, variant, count(DISTINCT lead_id), count(DISTINCT lead_id) FILTER (WHERE responded) FROM (SELECT lead_id, message, variant, false AS responded FROM l UNION ALL SELECT lead_id, message, variant, true FROM r) z GROUP BY 1, 2;

-- stage_lift_by_event
SELECT stage, kind, leads_with, converted_with, leads_without, converted_without FROM stage_lift_by_event WHERE leads_with > 0;
-- by hand
WITH s AS (SELECT lead_id, cycle, to_stage, min(effective_at) AS at, min(seq) AS seq FROM stage_history WHERE to_stage BETWEEN 'iql' AND 'prospect' GROUP BY 1, 2, 3),
u AS (SELECT s.*, min(h.effective_at) FILTER (WHERE h.to_stage > s.to_stage AND h.seq > s.seq) AS up, min(h.effective_at) FILTER (WHERE h.to_stage < 'visitor') AS gone FROM s JOIN stage_history h USING (lead_id, cycle) GROUP BY 1, 2, 3, 4, 5),
w AS (SELECT u.to_stage, e.kind, u.lead_id, u.cycle, coalesce(u.up >= u.at, false) AS converted FROM u JOIN event e ON e.lead_id = u.lead_id AND e.occurred_at >= u.at AND e.occurred_at <= CASE WHEN u.up >= u.at THEN u.up ELSE coalesce(u.gone, now()) END
    WHERE e.kind NOT IN ('purchase', 'refund', 'lost', 'disqualified', 'recycled', 'points_added', 'points_removed', 'stage_set', 'sales_contact', 'meeting_held') AND isfinite(e.occurred_at) GROUP BY 1, 2, 3, 4, 5)
SELECT w.to_stage, w.kind, count(*), count(*) FILTER (WHERE w.converted), t.n - count(*), t.converted - count(*) FILTER (WHERE w.converted)
FROM w JOIN (SELECT to_stage, count(*) AS n, count(*) FILTER (WHERE up >= at) AS converted FROM u GROUP BY 1) t USING (to_stage) GROUP BY w.to_stage, w.kind, t.n, t.converted;

-- signal_report
SELECT signal, stage, leads_with, converted_with, leads_without, converted_without, round(lift::numeric, 6) FROM signal_report WHERE signal IN ('email_open', 'pricing_view', 'webinar_attended') AND leads_with + leads_without > 0;
-- by hand
WITH s AS (SELECT lead_id, cycle, to_stage, min(effective_at) AS at, min(seq) AS seq FROM stage_history WHERE to_stage BETWEEN 'iql' AND 'prospect' GROUP BY 1, 2, 3 HAVING min(effective_at) <= now() - interval '90 days'),
u AS (SELECT s.*, min(h.effective_at) FILTER (WHERE h.to_stage > s.to_stage AND h.seq > s.seq AND h.effective_at <= s.at + interval '90 days') AS up, min(h.effective_at) FILTER (WHERE h.to_stage < 'visitor' AND h.seq > s.seq) AS gone FROM s JOIN stage_history h USING (lead_id, cycle) GROUP BY 1, 2, 3, 4, 5),
m AS (SELECT DISTINCT ON (to_stage) to_stage, (up - at) / 2 AS age FROM (SELECT u.*, row_number() OVER w AS i, count(*) OVER (PARTITION BY to_stage) AS n FROM u WHERE up IS NOT NULL WINDOW w AS (PARTITION BY to_stage ORDER BY up - at)) r WHERE 2 * i >= n ORDER BY to_stage, i),
k AS (SELECT u.*, at + age AS look FROM u JOIN m USING (to_stage) WHERE coalesce(up > at + age, true) AND coalesce(gone > at + age, true)),
w AS (SELECT k.*, x.kind, EXISTS (SELECT FROM event e WHERE e.lead_id = k.lead_id AND e.kind = x.kind AND e.occurred_at <= k.look) AS had FROM k, (VALUES ('email_open'), ('pricing_view'), ('webinar_attended')) AS x (kind)),
c AS (SELECT kind, to_stage, count(*) FILTER (WHERE had) AS a, count(*) FILTER (WHERE had AND up IS NOT NULL) AS b, count(*) FILTER (WHERE NOT had) AS c, count(*) FILTER (WHERE NOT had AND up IS NOT NULL) AS d FROM w GROUP BY 1, 2)
SELECT c.*, CASE WHEN least(a * (b + d), c * (b + d), a * (a + c - b - d), c * (a + c - b - d)) >= 5 * (a + c) THEN round((b / a::float8 / (nullif(d, 0) / c::float8))::numeric, 6) END FROM c;

-- lead_quality
SELECT channel, campaign, contacts, leads, mqls, sqls, customers, revenue_amount FROM lead_quality WHERE contacts > 0;
-- by hand
SELECT coalesce(l.channel, p.channel, '(none)'), coalesce(l.campaign, '(none)'), count(*), count(s.lead_at), count(s.mql_at), count(s.sql_at), count(s.customer_at), coalesce(sum(b.value) FILTER (WHERE s.lead_at IS NOT NULL OR s.customer_at IS NOT NULL), 0)::numeric(14,2)
FROM lead l LEFT JOIN campaign p USING (campaign)
    LEFT JOIN (SELECT lead_id, min(effective_at) FILTER (WHERE is_lead) AS lead_at, min(effective_at) FILTER (WHERE to_stage >= 'mql' AND is_lead) AS mql_at, min(effective_at) FILTER (WHERE to_stage >= 'sql' AND is_lead) AS sql_at, min(effective_at) FILTER (WHERE to_stage >= 'customer') AS customer_at FROM stage_history WHERE to_stage >= 'iql' GROUP BY 1) s USING (lead_id)
    LEFT JOIN (SELECT lead_id, sum(value) AS value FROM hand.sold GROUP BY 1) b USING (lead_id) GROUP BY 1, 2;

-- content_suggestions
SELECT lead_id, position, content, of_interest FROM content_suggestions;
-- by hand
SELECT l.lead_id, s.n, s.content, s.looked FROM lead l JOIN (SELECT lead_id, CASE WHEN next_review_at <= now() THEN leadscore_internal.current_stage('crm', lead_id) ELSE stage END AS stage FROM lead_state) z USING (lead_id),
    LATERAL (SELECT c.content, i.n > 0 AS looked, row_number() OVER (ORDER BY i.n DESC, c.stage, c.content COLLATE "C") AS n
        FROM content c, LATERAL (SELECT count(*) FILTER (WHERE c.topic IN (e.properties ->> 'topic', o.topic)) AS n FROM event e LEFT JOIN content o ON o.content = e.properties ->> 'content'
            WHERE e.lead_id = l.lead_id AND e.kind IN ('page_view', 'product_page_view', 'pricing_view', 'content_download', 'case_study_download', 'webinar_attended') AND e.occurred_at <= now()) i
        WHERE (c.stage = z.stage OR c.stage IS NULL AND z.stage NOT IN ('lost', 'disqualified')) AND NOT EXISTS (SELECT FROM event e WHERE e.lead_id = l.lead_id AND e.properties ->> 'content' = c.content AND e.occurred_at <= now())
            AND NOT EXISTS (SELECT FROM action a WHERE a.lead_id = l.lead_id AND a.content = c.content AND a.status IN ('waiting', 'claimed', 'done'))) s
WHERE l.consented_at IS NOT NULL AND l.contact_allowed AND s.n <= 3;

-- interest_by_topic
SELECT topic, events, leads, leads_lately, mqls, customers FROM interest_by_topic;
-- by hand
WITH i AS (SELECT lead_id, coalesce(properties ->> 'topic', (SELECT c.topic FROM content c WHERE c.content = properties ->> 'content'), properties ->> 'content', regexp_replace(lower(split_part(properties ->> 'page', '?', 1)), '^https://|/$', '', 'g'), kind) AS topic, count(*) AS n, min(occurred_at) AS at, max(occurred_at) AS last FROM event
    WHERE kind IN ('page_view', 'product_page_view', 'pricing_view', 'content_download', 'case_study_download', 'webinar_attended') AND isfinite(occurred_at) GROUP BY 1, 2),
s AS (SELECT lead_id, min(effective_at) FILTER (WHERE to_stage >= 'mql' AND is_lead) AS mql_at, min(effective_at) FILTER (WHERE to_stage >= 'customer') AS customer_at FROM stage_history WHERE to_stage >= 'mql' GROUP BY 1)
SELECT topic, sum(n), count(*), count(*) FILTER (WHERE last > now() - interval '30 days'), count(*) FILTER (WHERE mql_at >= at), count(*) FILTER (WHERE customer_at >= at) FROM i LEFT JOIN s USING (lead_id) GROUP BY 1;

-- capture_gaps
SELECT source_kind, source, captures, first_capture_at, last_capture_at, longest_gap_days FROM capture_gaps WHERE captures > 0;
-- by hand
WITH c AS (SELECT coalesce(e.channel, p.channel, l.channel, o.channel, '(none)') AS channel, e.properties ->> 'form' AS form, e.occurred_at FROM event e JOIN lead l USING (lead_id) LEFT JOIN campaign p ON p.campaign = e.campaign LEFT JOIN campaign o ON o.campaign = l.campaign WHERE e.kind IN ('form_submit', 'newsletter_signup', 'demo_request', 'personal_demo_request', 'quote_request') AND isfinite(e.occurred_at)),
g AS (SELECT channel, occurred_at, occurred_at - lag(occurred_at) OVER (PARTITION BY channel ORDER BY occurred_at) AS gap FROM c), f AS (SELECT form, occurred_at, occurred_at - lag(occurred_at) OVER (PARTITION BY form ORDER BY occurred_at) AS gap FROM c WHERE form IS NOT NULL)
SELECT 'channel', channel, count(*), min(occurred_at), max(occurred_at), extract(epoch FROM max(gap))::float8 / 86400 FROM g GROUP BY 2 UNION ALL SELECT 'form', form, count(*), min(occurred_at), max(occurred_at), extract(epoch FROM max(gap))::float8 / 86400 FROM f GROUP BY 2;

-- consent_by_stage
SELECT stage, leads, consents, allowed, refused, not_asked, reachable FROM consent_by_stage WHERE leads > 0;
-- by hand
SELECT s.stage::text, count(*), sum((l.consented_at IS NOT NULL)::int), sum((l.contact_allowed IS TRUE)::int), sum((l.contact_allowed IS FALSE)::int), sum((l.contact_allowed IS NULL)::int), sum((l.consented_at IS NOT NULL AND l.contact_allowed IS TRUE)::int) FROM lead_score s JOIN lead l USING (lead_id) WHERE l.erased_at IS NULL GROUP BY 1;

-- model_quality
SELECT level, place, leads, converted, true_positives, round(auc::numeric, 9) FROM model_quality('inbound', now() - interval '1 year') WHERE leads > 0;
-- by hand
WITH o AS (SELECT DISTINCT ON (h.lead_id) h.lead_id, h.to_stage FROM stage_history h WHERE h.effective_at < date_trunc('day', now() - interval '1 year') ORDER BY h.lead_id, h.seq DESC),
w AS (SELECT lead_id FROM stage_history WHERE to_stage >= 'customer' AND effective_at >= date_trunc('day', now() - interval '1 year') AND effective_at < date_trunc('day', now() - interval '1 year') + interval '90 days' GROUP BY 1),
p AS (SELECT lead_id, lead_activity_agg(signal_id, NULL::timestamptz, count::bigint, '1 day') AS later FROM profile_change JOIN signal USING (signal) WHERE changed_at >= date_trunc('day', now() - interval '1 year') GROUP BY 1),
s AS MATERIALIZED (SELECT o.lead_id, score(coalesce(s.activity - p.later, s.activity), m.compiled, date_trunc('day', now() - interval '1 year') - interval '1 microsecond') AS score, w.lead_id IS NOT NULL AS won
    FROM o JOIN lead_state s USING (lead_id) LEFT JOIN w USING (lead_id) LEFT JOIN p USING (lead_id), model m WHERE m.status = 'active' AND o.to_stage BETWEEN 'iql' AND 'prospect'),
r AS (SELECT *, rank() OVER (ORDER BY score) + (count(*) OVER (PARTITION BY score) - 1) / 2.0::float8 AS rank, ntile(10) OVER (ORDER BY score DESC, lead_id) AS decile FROM s)
SELECT 'summary', 1, count(*), count(*) FILTER (WHERE won), NULL::bigint, round(((sum(rank) FILTER (WHERE won) - count(*) FILTER (WHERE won)::float8 * (count(*) FILTER (WHERE won) + 1) / 2) / (count(*) FILTER (WHERE won)::float8 * count(*) FILTER (WHERE NOT won)))::numeric, 9) FROM r
UNION ALL SELECT 'band', CASE WHEN score >= 71 THEN 70 WHEN score >= 31 THEN 60 ELSE 50 END, count(*), count(*) FILTER (WHERE won), NULL, NULL FROM r GROUP BY 2
UNION ALL SELECT 'decile', decile, count(*), count(*) FILTER (WHERE won), NULL, NULL FROM r GROUP BY 2
UNION ALL SELECT 'threshold', 60, count(*), count(*) FILTER (WHERE won), count(*) FILTER (WHERE won AND score >= 31), NULL FROM r UNION ALL SELECT 'threshold', 70, count(*), count(*) FILTER (WHERE won), count(*) FILTER (WHERE won AND score >= 71), NULL FROM r;

-- period_comparison, of half years
SELECT CASE WHEN to_date = (now() AT TIME ZONE 'UTC')::date - 1 THEN 'now' ELSE 'before' END, leads, sqls, customers, revenue_per_lead_amount, sales, median_sale_days FROM period_comparison WHERE period = 'half year';
-- by hand
WITH p AS (SELECT k, (date_trunc('day', now() AT TIME ZONE 'UTC') - make_interval(months => a))::timestamp AT TIME ZONE 'UTC' AS from_at, (date_trunc('day', now() AT TIME ZONE 'UTC') - make_interval(months => b))::timestamp AT TIME ZONE 'UTC' AS to_at FROM (VALUES ('before', 12, 6), ('now', 6, 0)) k (k, a, b)),
s AS (SELECT lead_id, min(effective_at) AS lead_at, min(effective_at) FILTER (WHERE to_stage >= 'sql') AS sql_at, min(effective_at) FILTER (WHERE to_stage >= 'customer') AS customer_at FROM stage_history WHERE to_stage >= 'iql' AND is_lead GROUP BY 1),
n AS (SELECT p.k, s.lead_id, s.lead_at, s.sql_at, s.customer_at, sum(e.value) AS value FROM p JOIN s ON s.lead_at >= p.from_at - interval '90 days' AND s.lead_at < p.to_at - interval '90 days'
    LEFT JOIN hand.sold e ON e.lead_id = s.lead_id AND e.occurred_at BETWEEN s.lead_at AND s.lead_at + interval '90 days' GROUP BY 1, 2, 3, 4, 5),
c AS (SELECT p.k, count(*) AS sales, percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM s.customer_at - s.lead_at)::float8 / 86400) AS days FROM p JOIN s ON s.customer_at >= p.from_at AND s.customer_at < p.to_at GROUP BY 1)
SELECT n.k, count(*), count(*) FILTER (WHERE n.sql_at <= n.lead_at + interval '90 days'), count(*) FILTER (WHERE n.customer_at <= n.lead_at + interval '90 days'), (sum(n.value) / count(*))::numeric(14,2), min(c.sales), min(c.days) FROM n JOIN c USING (k) GROUP BY 1;

-- sequence_result
SELECT step, variant, queued, sent, skipped_late, skipped_no_consent, opened, clicked, replied, goals FROM sequence_result WHERE sequence = 'letters' AND level = 'step';
-- by hand
WITH done AS MATERIALIZED (SELECT a.*, e.end_reason = 'goal' AND e.ended_at >= a.ended_at AS goal FROM action a JOIN enrollment e USING (lead_id, sequence, run) WHERE sequence = 'letters'),
letter AS (SELECT lead_id, ended_at AS at, content AS message, action_id FROM done WHERE status = 'done'
        UNION ALL SELECT lead_id, occurred_at, properties ->> 'message', NULL FROM event WHERE kind = 'email_sent' AND lead_id % 3 = 0 AND occurred_at <= now()),
answer AS (SELECT lead_id, kind, (SELECT t.action_id FROM letter t WHERE t.lead_id = e.lead_id AND t.at <= e.occurred_at AND (t.message = e.properties ->> 'message' OR NOT e.properties ? 'message') ORDER BY t.at DESC LIMIT 1) AS action_id
    FROM event e WHERE kind IN ('email_open', 'email_click', 'email_reply') AND occurred_at <= now())
SELECT step, variant, count(*), count(*) FILTER (WHERE status = 'done'), count(*) FILTER (WHERE reason = 'late'), count(*) FILTER (WHERE reason = 'no consent'),
    count(*) FILTER (WHERE EXISTS (SELECT FROM answer n WHERE n.action_id = d.action_id AND kind = 'email_open')), count(*) FILTER (WHERE EXISTS (SELECT FROM answer n WHERE n.action_id = d.action_id AND kind = 'email_click')),
    count(*) FILTER (WHERE EXISTS (SELECT FROM answer n WHERE n.action_id = d.action_id AND kind = 'email_reply')), count(*) FILTER (WHERE goal AND status = 'done')
FROM done d GROUP BY 1, 2;

-- meeting_outcome
SELECT owner, meetings, booked, held, no_show, cancelled, open, overdue, round(held_rate::numeric, 9), round(no_show_rate::numeric, 9), timed, round(median_ahead_days::numeric, 6), leads_met, customers FROM meeting_outcome;
-- by hand
WITH m AS (SELECT h.*, l.owner, coalesce(h.meeting_at, CASE h.outcome WHEN 'held' THEN h.ended_at END) - h.booked_at AS ahead FROM hand.meeting h JOIN lead l USING (lead_id)),
f AS (SELECT m.owner, m.lead_id, min(m.ended_at) AS at FROM m WHERE m.outcome = 'held' GROUP BY 1, 2),
w AS (SELECT f.owner, count(*) FILTER (WHERE s.at IS NULL OR s.at >= f.at) AS met, count(*) FILTER (WHERE s.at >= f.at) AS won FROM f LEFT JOIN (SELECT lead_id, min(effective_at) AS at FROM stage_history WHERE to_stage >= 'customer' GROUP BY 1) s USING (lead_id) GROUP BY 1)
SELECT m.owner, count(*), count(m.booked_at), count(*) FILTER (WHERE m.outcome = 'held'), count(*) FILTER (WHERE m.outcome = 'no_show'), count(*) FILTER (WHERE m.outcome = 'cancelled'), count(*) FILTER (WHERE m.outcome = 'open'), count(*) FILTER (WHERE m.outcome = 'open' AND m.meeting_at < now()),
    round(avg((m.outcome = 'held')::int) FILTER (WHERE m.outcome <> 'open'), 9), round(avg((m.outcome = 'no_show')::int) FILTER (WHERE m.outcome IN ('held', 'no_show')), 9), count(*) FILTER (WHERE m.ahead >= interval '0'),
    round((percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM m.ahead)::float8) FILTER (WHERE m.ahead >= interval '0') / 86400)::numeric, 6), w.met, w.won
FROM m LEFT JOIN w USING (owner) GROUP BY m.owner, w.met, w.won;

-- experiment_result
SELECT variant, exposed, mixed, open_leads, closed, converted FROM experiment_result WHERE experiment = 'page' AND level = 'all';
-- by hand
WITH f AS (SELECT DISTINCT ON (o.lead_id) o.lead_id, o.variant, o.exposed_at AS at, o.lead_id % 17 = 0 AS mixed, o.exposed_at + interval '60 days' > now() AS open FROM exposure o WHERE o.exposed_at <= now() ORDER BY o.lead_id, o.exposed_at)
SELECT variant, count(*), count(*) FILTER (WHERE mixed), count(*) FILTER (WHERE NOT mixed AND open), count(*) FILTER (WHERE NOT mixed AND NOT open), count(*) FILTER (WHERE NOT mixed AND NOT open AND EXISTS (
    SELECT FROM stage_history h WHERE h.lead_id = f.lead_id AND h.to_stage >= 'sql' AND coalesce(h.from_stage, 'visitor') < 'sql' AND h.effective_at > f.at AND h.effective_at <= f.at + interval '60 days')) FROM f GROUP BY 1;
