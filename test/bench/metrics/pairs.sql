-- Pairs of queries: a view, and the same figure by hand.

-- conversion_rates
SELECT * FROM conversion_rates;
-- by hand
WITH mql AS (SELECT lead_id, cycle, min(seq) AS seq FROM stage_history WHERE to_stage = 'mql' GROUP BY 1, 2),
sql AS (SELECT lead_id, cycle, max(seq) AS seq FROM stage_history WHERE to_stage >= 'sql' GROUP BY 1, 2),
iql AS (SELECT lead_id, cycle, min(seq) AS seq FROM stage_history WHERE to_stage = 'iql' GROUP BY 1, 2),
visitor AS (SELECT lead_id, cycle, min(seq) AS seq FROM stage_history WHERE to_stage = 'visitor' GROUP BY 1, 2),
lead AS (SELECT lead_id, cycle, min(seq) AS seq FROM stage_history WHERE to_stage BETWEEN 'iql' AND 'prospect' GROUP BY 1, 2),
any_lead AS (SELECT lead_id, cycle, max(seq) AS seq FROM stage_history WHERE to_stage >= 'iql' GROUP BY 1, 2),
any_mql AS (SELECT lead_id, cycle, max(seq) AS seq FROM stage_history WHERE to_stage >= 'mql' GROUP BY 1, 2),
customer AS (SELECT lead_id, cycle, max(seq) AS seq FROM stage_history WHERE to_stage >= 'customer' GROUP BY 1, 2),
only_sql AS (SELECT lead_id, cycle, min(seq) AS seq FROM stage_history WHERE to_stage = 'sql' GROUP BY 1, 2)
SELECT 'v', market, count(*), count(*) FILTER (WHERE b.seq > a.seq) FROM visitor a LEFT JOIN any_lead b USING (lead_id, cycle) JOIN crm.lead l USING (lead_id) GROUP BY ROLLUP (market)
UNION ALL SELECT 'im', market, count(*), count(*) FILTER (WHERE b.seq > a.seq) FROM iql a LEFT JOIN any_mql b USING (lead_id, cycle) JOIN crm.lead l USING (lead_id) GROUP BY ROLLUP (market)
UNION ALL SELECT 'ms', market, count(*), count(*) FILTER (WHERE b.seq > a.seq) FROM mql a LEFT JOIN sql b USING (lead_id, cycle) JOIN crm.lead l USING (lead_id) GROUP BY ROLLUP (market)
UNION ALL SELECT 'is', market, count(*), count(*) FILTER (WHERE b.seq > a.seq) FROM iql a LEFT JOIN sql b USING (lead_id, cycle) JOIN crm.lead l USING (lead_id) GROUP BY ROLLUP (market)
UNION ALL SELECT 'sc', market, count(*), count(*) FILTER (WHERE b.seq > a.seq) FROM only_sql a LEFT JOIN customer b USING (lead_id, cycle) JOIN crm.lead l USING (lead_id) GROUP BY ROLLUP (market)
UNION ALL SELECT 'lc', market, count(*), count(*) FILTER (WHERE b.seq > a.seq) FROM lead a LEFT JOIN customer b USING (lead_id, cycle) JOIN crm.lead l USING (lead_id) GROUP BY ROLLUP (market);

-- cost_per_lead
SELECT * FROM cost_per_lead;
-- by hand
WITH first AS (SELECT lead_id, min(effective_at) AS lead_at, min(effective_at) FILTER (WHERE to_stage >= 'mql') AS mql_at, min(effective_at) FILTER (WHERE to_stage >= 'sql') AS sql_at,
        min(effective_at) FILTER (WHERE to_stage >= 'customer') AS customer_at FROM stage_history WHERE to_stage >= 'iql' GROUP BY 1),
sliced AS (SELECT f.*, coalesce(l.channel, c.channel) AS channel, l.campaign FROM first f JOIN lead l USING (lead_id) LEFT JOIN campaign c USING (campaign)),
a AS (SELECT date_trunc('month', lead_at AT TIME ZONE 'UTC') AS month, channel, campaign, count(*) AS leads FROM sliced GROUP BY 1, 2, 3),
b AS (SELECT date_trunc('month', mql_at AT TIME ZONE 'UTC') AS month, channel, campaign, count(*) AS mqls FROM sliced WHERE mql_at IS NOT NULL GROUP BY 1, 2, 3),
c AS (SELECT date_trunc('month', sql_at AT TIME ZONE 'UTC') AS month, channel, campaign, count(*) AS sqls FROM sliced WHERE sql_at IS NOT NULL GROUP BY 1, 2, 3),
d AS (SELECT date_trunc('month', customer_at AT TIME ZONE 'UTC') AS month, channel, campaign, count(*) AS customers FROM sliced WHERE customer_at IS NOT NULL GROUP BY 1, 2, 3),
e AS (SELECT date_trunc('month', d) AS month, p.channel, c.campaign, sum(c.amount / (c.day_to - c.day_from + 1)) AS amount
    FROM cost c JOIN campaign p USING (campaign), generate_series(c.day_from::timestamp, c.day_to::timestamp, '1 day') d GROUP BY 1, 2, 3)
SELECT *, amount / nullif(leads, 0), amount / nullif(mqls, 0), amount / nullif(sqls, 0), amount / nullif(customers, 0)
FROM a FULL JOIN b USING (month, channel, campaign) FULL JOIN c USING (month, channel, campaign) FULL JOIN d USING (month, channel, campaign) FULL JOIN e USING (month, channel, campaign);

-- attribution_credit
SELECT model, channel, campaign, sum(revenue_amount) FROM attribution_credit WHERE model = 'linear' GROUP BY 1, 2, 3;
-- by hand
WITH p AS MATERIALIZED (SELECT lead_id, event_id, occurred_at, value FROM event WHERE kind = 'purchase'),
t AS (SELECT lead_id, event_id, occurred_at, channel, campaign FROM event WHERE (channel IS NOT NULL OR campaign IS NOT NULL)
        AND kind NOT IN ('purchase', 'lost', 'disqualified', 'recycled', 'points_added', 'points_removed', 'stage_set', 'unsubscribe', 'email_sent') AND lead_id IN (SELECT lead_id FROM p)
    UNION ALL SELECT lead_id, NULL, created_at, channel, campaign FROM lead WHERE lead_id IN (SELECT lead_id FROM p) AND (channel IS NOT NULL OR campaign IS NOT NULL)),
w AS (SELECT p.event_id, p.value, t.channel, t.campaign, t.occurred_at, 1000000.0::float8 / count(*) OVER (PARTITION BY p.lead_id, p.event_id) AS share FROM p LEFT JOIN t ON t.lead_id = p.lead_id AND t.occurred_at <= p.occurred_at),
r AS (SELECT w.*, 1000000 - sum(floor(share)) OVER (PARTITION BY event_id) AS rest, row_number() OVER (PARTITION BY event_id ORDER BY share - floor(share) DESC, occurred_at) AS turn FROM w),
g AS (SELECT r.*, floor(share)::bigint + (turn <= rest)::int AS credit, sum(floor(share)::bigint + (turn <= rest)::int) OVER (PARTITION BY event_id ORDER BY occurred_at) AS upto FROM r)
SELECT coalesce(g.channel, c.channel), g.campaign, sum(round(g.value * g.upto / 1000000, 2) - round(g.value * (g.upto - g.credit) / 1000000, 2)) FROM g LEFT JOIN campaign c USING (campaign) GROUP BY 1, 2;

-- roas
SELECT * FROM roas;
-- by hand
WITH p AS MATERIALIZED (SELECT lead_id, event_id, occurred_at, value FROM event WHERE kind = 'purchase'),
t AS (SELECT lead_id, event_id, occurred_at, channel, campaign FROM event WHERE (channel IS NOT NULL OR campaign IS NOT NULL)
        AND kind NOT IN ('purchase', 'lost', 'disqualified', 'recycled', 'points_added', 'points_removed', 'stage_set', 'unsubscribe', 'email_sent') AND lead_id IN (SELECT lead_id FROM p)
    UNION ALL SELECT lead_id, NULL, created_at, channel, campaign FROM lead WHERE lead_id IN (SELECT lead_id FROM p) AND (channel IS NOT NULL OR campaign IS NOT NULL)),
w AS (SELECT p.event_id, p.value, t.channel, t.campaign, count(*) OVER x AS n, row_number() OVER (x ORDER BY t.occurred_at) AS i, extract(epoch FROM max(t.occurred_at) OVER x - t.occurred_at)::float8 / 604800 AS age
    FROM p LEFT JOIN t ON t.lead_id = p.lead_id AND t.occurred_at <= p.occurred_at WINDOW x AS (PARTITION BY p.lead_id, p.event_id)),
m AS (SELECT k.model, w.*, 1000000 * CASE k.model WHEN 1 THEN (i = 1)::int WHEN 2 THEN (i = n)::int WHEN 3 THEN 1.0::float8 / n WHEN 4 THEN CASE WHEN n < 3 THEN 1.0::float8 / n WHEN i IN (1, n) THEN 0.4 ELSE 0.2 / (n - 2) END
    ELSE power(0.5, age) / sum(power(0.5, age)) OVER (PARTITION BY k.model, event_id) END AS share FROM w, generate_series(1, 5) k (model)),
r AS (SELECT m.*, 1000000 - sum(floor(share)) OVER (PARTITION BY model, event_id) AS rest, row_number() OVER (PARTITION BY model, event_id ORDER BY share - floor(share) DESC, i) AS turn FROM m),
g AS (SELECT r.*, floor(share)::bigint + (turn <= rest)::int AS credit, sum(floor(share)::bigint + (turn <= rest)::int) OVER (PARTITION BY model, event_id ORDER BY i) AS upto FROM r)
SELECT g.model, coalesce(g.channel, c.channel), g.campaign, sum(g.credit), sum(round(g.value * g.upto / 1000000, 2) - round(g.value * (g.upto - g.credit) / 1000000, 2)) FROM g LEFT JOIN campaign c USING (campaign) GROUP BY 1, 2, 3;

-- customer_lifetime_value
SELECT * FROM customer_lifetime_value;
-- by hand
SELECT date_trunc('month', first AT TIME ZONE 'UTC'), coalesce(l.channel, p.channel), l.campaign, count(*), sum(n), sum(value), sum(value) / count(*), count(*) FILTER (WHERE n > 1), avg(last - first)
FROM (SELECT lead_id, min(occurred_at) AS first, max(occurred_at) AS last, count(*) AS n, sum(value) AS value FROM event WHERE kind = 'purchase' GROUP BY 1) c JOIN lead l USING (lead_id) LEFT JOIN campaign p USING (campaign) GROUP BY 1, 2, 3;

-- value_by_stage
SELECT * FROM value_by_stage;
-- by hand
WITH e AS (SELECT lead_id, to_stage, min(effective_at) AS at FROM stage_history GROUP BY 1, 2)
SELECT e.to_stage, count(DISTINCT e.lead_id), sum(p.value) FROM e LEFT JOIN event p ON p.lead_id = e.lead_id AND p.kind = 'purchase' AND p.occurred_at >= e.at GROUP BY 1;

-- pipeline_forecast
SELECT * FROM pipeline_forecast;
-- by hand
WITH e AS (SELECT lead_id, cycle, to_stage, min(seq) AS seq, min(effective_at) AS at FROM stage_history GROUP BY 1, 2, 3),
c AS (SELECT lead_id, cycle, max(seq) AS seq FROM stage_history WHERE to_stage >= 'customer' GROUP BY 1, 2),
r AS (SELECT e.to_stage, count(*) FILTER (WHERE c.seq > e.seq)::float8 / count(*) AS rate FROM e LEFT JOIN c USING (lead_id, cycle) WHERE e.at <= now() - interval '90 days' GROUP BY 1),
n AS (SELECT CASE WHEN s.next_review_at <= now() THEN settled_stage(s.activity, m.compiled, s.stage, s.held, s.settled_at, now()) ELSE s.stage END AS stage, count(*) AS leads FROM lead_state s, model m WHERE m.status = 'active' GROUP BY 1)
SELECT n.stage, n.leads, r.rate, n.leads * r.rate * (SELECT avg(value) FROM event WHERE kind = 'purchase') FROM n JOIN r ON r.to_stage = n.stage;

-- sourcing_comparison
SELECT * FROM sourcing_comparison;
-- by hand
SELECT p.sourcing, coalesce(p.direction, h.direction), count(*), count(s.sql_at), count(s.customer_at), sum(b.value)
FROM (SELECT lead_id, min(effective_at) AS lead_at, min(effective_at) FILTER (WHERE to_stage >= 'sql') AS sql_at, min(effective_at) FILTER (WHERE to_stage >= 'customer') AS customer_at FROM stage_history WHERE to_stage >= 'iql' GROUP BY 1) s
    JOIN lead l USING (lead_id) LEFT JOIN campaign p USING (campaign) LEFT JOIN channel h ON h.channel = coalesce(l.channel, p.channel)
    LEFT JOIN (SELECT lead_id, sum(value) AS value FROM event WHERE kind = 'purchase' GROUP BY 1) b USING (lead_id) GROUP BY 1, 2;

-- sla_status
SELECT status, count(*) FROM sla_status GROUP BY 1;
-- by hand
SELECT CASE WHEN c.at <= h.effective_at + interval '1 hour' THEN 'kept' WHEN h.left_at <= h.effective_at + interval '1 hour' THEN 'left' ELSE 'breached' END, count(*)
FROM (SELECT lead_id, to_stage, effective_at, lead(effective_at) OVER (PARTITION BY lead_id ORDER BY seq) AS left_at FROM stage_history) h
    LEFT JOIN LATERAL (SELECT min(e.occurred_at) AS at FROM event e WHERE e.lead_id = h.lead_id AND e.kind IN ('outreach', 'sales_contact') AND e.occurred_at >= h.effective_at AND e.occurred_at <= coalesce(h.left_at, 'infinity')) c ON true
WHERE h.to_stage = 'sql' GROUP BY 1;

-- response_time_effect
SELECT * FROM response_time_effect;
-- by hand
WITH q AS (SELECT lead_id, min(occurred_at) AS at FROM event WHERE kind IN ('form_submit', 'newsletter_signup', 'demo_request', 'personal_demo_request', 'quote_request') GROUP BY 1),
a AS (SELECT q.lead_id, q.at, min(e.occurred_at) AS answered FROM q LEFT JOIN event e ON e.lead_id = q.lead_id AND e.kind IN ('outreach', 'sales_contact') AND e.occurred_at >= q.at GROUP BY 1, 2),
s AS (SELECT lead_id, min(effective_at) FILTER (WHERE to_stage >= 'sql') AS sql_at, min(effective_at) FILTER (WHERE to_stage >= 'customer') AS customer_at FROM stage_history GROUP BY 1)
SELECT width_bucket(extract(epoch FROM a.answered - a.at), ARRAY[3600, 86400, 604800]), count(*), count(*) FILTER (WHERE s.sql_at >= coalesce(a.answered, a.at)), count(*) FILTER (WHERE s.customer_at >= coalesce(a.answered, a.at)) FROM a JOIN s USING (lead_id) GROUP BY 1;

-- followup_summary
SELECT * FROM followup_summary;
-- by hand
WITH c AS (SELECT lead_id, occurred_at, min(occurred_at) FILTER (WHERE lower(properties ->> 'outcome') = 'no') OVER (PARTITION BY lead_id) AS no_at FROM event WHERE kind IN ('outreach', 'sales_contact')),
w AS (SELECT lead_id, min(effective_at) AS at FROM stage_history WHERE to_stage >= 'customer' GROUP BY 1),
n AS (SELECT lead_id, w.at, count(*) AS contacts, count(*) FILTER (WHERE c.occurred_at <= w.at) AS until_won, min(c.no_at) AS no_at, count(*) FILTER (WHERE c.occurred_at > c.no_at) AS after_no FROM c FULL JOIN w USING (lead_id) GROUP BY 1, 2)
SELECT count(*), count(at), avg(until_won) FILTER (WHERE at IS NOT NULL), count(*) FILTER (WHERE until_won >= 5), count(no_at), count(*) FILTER (WHERE no_at IS NOT NULL AND after_no = 0 AND at IS NULL) FROM n;

-- cold_leads
SELECT stage, count(*) FROM cold_leads GROUP BY 1;
-- by hand
SELECT s.stage, count(*) FROM lead_state s JOIN lead l USING (lead_id), model m, LATERAL (SELECT max(u.bucket) AS at FROM unnest(s.activity) u WHERE u.signal_id > 0 AND u.count > 0 AND u.bucket <= now()) a
WHERE m.status = 'active' AND s.stage BETWEEN 'iql' AND 'prospect' AND (coalesce(a.at, l.created_at) < now() - interval '30 days' OR s.stage IN ('mql', 'sql') AND qualified_stage(s.activity, m.compiled, now()) < s.stage) GROUP BY 1;

-- bant_gaps
SELECT * FROM bant_gaps;
-- by hand
SELECT g.gate, s.stage, count(*), count(*) FILTER (WHERE g.met) FROM lead_state s, model m, stage_gates(s.activity, m.compiled, now()) g
WHERE m.status = 'active' AND s.stage BETWEEN 'iql' AND 'prospect' AND g.stage = 'sql' AND g.gate <> 'score' GROUP BY 1, 2;

-- landing_pages
SELECT * FROM landing_pages;
-- by hand
WITH v AS (SELECT lead_id, properties ->> 'page' AS page, occurred_at, row_number() OVER (PARTITION BY lead_id ORDER BY occurred_at) AS n FROM event WHERE kind IN ('page_view', 'product_page_view', 'pricing_view')),
f AS (SELECT lead_id, max(occurred_at) FILTER (WHERE kind = 'form_view') AS viewed, max(occurred_at) FILTER (WHERE kind = 'form_submit') AS sent FROM event WHERE kind IN ('form_view', 'form_submit') GROUP BY 1),
s AS (SELECT lead_id, min(effective_at) AS lead_at, min(effective_at) FILTER (WHERE to_stage >= 'customer') AS customer_at FROM stage_history WHERE to_stage >= 'iql' GROUP BY 1)
SELECT v.page, count(*), count(DISTINCT v.lead_id), count(*) FILTER (WHERE n = 1), count(*) FILTER (WHERE n = 1 AND f.viewed >= v.occurred_at), count(*) FILTER (WHERE n = 1 AND f.sent >= v.occurred_at),
    count(*) FILTER (WHERE n = 1 AND s.lead_at >= v.occurred_at), count(*) FILTER (WHERE n = 1 AND s.customer_at >= v.occurred_at) FROM v LEFT JOIN f USING (lead_id) LEFT JOIN s USING (lead_id) GROUP BY 1;

-- form_funnel
SELECT * FROM form_funnel;
-- by hand
WITH v AS (SELECT lead_id, properties ->> 'form' AS form, properties ->> 'variant' AS variant, min(occurred_at) AS at, max(occurred_at) AS last_at FROM event WHERE kind = 'form_view' GROUP BY 1, 2, 3),
l AS (SELECT DISTINCT ON (lead_id, form) lead_id, form, variant FROM v ORDER BY lead_id, form, last_at DESC),
s AS (SELECT e.lead_id, e.properties ->> 'form' AS form, coalesce(e.properties ->> 'variant', l.variant) AS variant, max(e.occurred_at) AS at, max((e.properties ->> 'fields')::int) AS fields
    FROM event e LEFT JOIN l ON l.lead_id = e.lead_id AND l.form = e.properties ->> 'form' WHERE e.kind = 'form_submit' GROUP BY 1, 2, 3)
SELECT form, variant, mode() WITHIN GROUP (ORDER BY s.fields), count(v.lead_id), count(*) FILTER (WHERE s.at >= v.at) FROM v FULL JOIN s USING (lead_id, form, variant) GROUP BY 1, 2;

-- lead_offers
SELECT * FROM lead_offers;
-- by hand
SELECT * FROM (SELECT lead_id, count(DISTINCT properties ->> 'content') AS n, (array_agg(properties ->> 'content' ORDER BY occurred_at))[1] AS first, (array_agg(properties ->> 'content' ORDER BY occurred_at DESC))[1] AS last,
    string_agg(DISTINCT properties ->> 'content', ', ') AS whole FROM event WHERE kind IN ('content_download', 'case_study_download', 'webinar_attended') GROUP BY 1) o JOIN lead l USING (lead_id);

-- message_response
SELECT * FROM message_response;
-- by hand
WITH m AS (SELECT lead_id, properties ->> 'message' AS message, properties ->> 'variant' AS variant, min(occurred_at) FILTER (WHERE kind = 'email_sent') AS sent, max(occurred_at) FILTER (WHERE kind = 'email_open') AS opened,
    max(occurred_at) FILTER (WHERE kind = 'email_click') AS clicked, max(occurred_at) FILTER (WHERE kind = 'email_reply') AS replied FROM event WHERE kind IN ('email_sent', 'email_open', 'email_click', 'email_reply') GROUP BY 1, 2, 3)
SELECT message, variant, count(sent), count(*) FILTER (WHERE opened >= sent), count(*) FILTER (WHERE clicked >= sent OR replied >= sent) FROM m GROUP BY 1, 2;

-- stage_lift_by_event
SELECT * FROM stage_lift_by_event;
-- by hand
WITH s AS (SELECT lead_id, cycle, to_stage, min(effective_at) AS at FROM stage_history WHERE to_stage BETWEEN 'iql' AND 'prospect' GROUP BY 1, 2, 3),
u AS (SELECT s.*, min(h.effective_at) FILTER (WHERE h.to_stage > s.to_stage) AS up, min(h.effective_at) FILTER (WHERE h.to_stage < 'visitor') AS gone FROM s JOIN stage_history h USING (lead_id, cycle) GROUP BY 1, 2, 3, 4),
w AS (SELECT u.to_stage, e.kind, u.lead_id, u.cycle, u.up >= u.at AS converted FROM u JOIN event e ON e.lead_id = u.lead_id AND e.occurred_at >= u.at AND e.occurred_at <= coalesce(u.up, u.gone, now())
    WHERE e.kind NOT IN ('purchase', 'lost', 'disqualified', 'recycled', 'points_added', 'points_removed', 'stage_set', 'sales_contact') GROUP BY 1, 2, 3, 4, 5)
SELECT w.to_stage, w.kind, count(*), count(*) FILTER (WHERE w.converted), t.n - count(*), t.converted - count(*) FILTER (WHERE w.converted)
FROM w JOIN (SELECT to_stage, count(*) AS n, count(*) FILTER (WHERE up >= at) AS converted FROM u GROUP BY 1) t USING (to_stage) GROUP BY w.to_stage, w.kind, t.n, t.converted;

-- lead_quality
SELECT * FROM lead_quality;
-- by hand
SELECT coalesce(l.channel, p.channel), l.campaign, count(*), count(s.lead_at), count(s.mql_at), count(s.sql_at), count(s.customer_at), sum(b.value)
FROM lead l LEFT JOIN campaign p USING (campaign)
    LEFT JOIN (SELECT lead_id, min(effective_at) AS lead_at, min(effective_at) FILTER (WHERE to_stage >= 'mql') AS mql_at, min(effective_at) FILTER (WHERE to_stage >= 'sql') AS sql_at, min(effective_at) FILTER (WHERE to_stage >= 'customer') AS customer_at FROM stage_history WHERE to_stage >= 'iql' GROUP BY 1) s USING (lead_id)
    LEFT JOIN (SELECT lead_id, sum(value) AS value FROM event WHERE kind = 'purchase' GROUP BY 1) b USING (lead_id) GROUP BY 1, 2;

-- interest_by_topic
SELECT * FROM interest_by_topic;
-- by hand
WITH i AS (SELECT lead_id, coalesce(properties ->> 'topic', properties ->> 'content', properties ->> 'page', kind) AS topic, count(*) AS n, min(occurred_at) AS at, max(occurred_at) AS last FROM event
    WHERE kind IN ('page_view', 'product_page_view', 'pricing_view', 'content_download', 'case_study_download', 'webinar_attended') GROUP BY 1, 2),
s AS (SELECT lead_id, min(effective_at) FILTER (WHERE to_stage >= 'mql') AS mql_at, min(effective_at) FILTER (WHERE to_stage >= 'customer') AS customer_at FROM stage_history WHERE to_stage >= 'mql' GROUP BY 1)
SELECT topic, sum(n), count(*), count(*) FILTER (WHERE last > now() - interval '30 days'), count(*) FILTER (WHERE mql_at >= at), count(*) FILTER (WHERE customer_at >= at) FROM i LEFT JOIN s USING (lead_id) GROUP BY 1;

-- capture_gaps
SELECT * FROM capture_gaps;
-- by hand
WITH c AS (SELECT coalesce(e.channel, p.channel, l.channel) AS channel, e.properties ->> 'form' AS form, e.occurred_at FROM event e JOIN lead l USING (lead_id) LEFT JOIN campaign p ON p.campaign = e.campaign WHERE e.kind IN ('form_submit', 'newsletter_signup', 'demo_request', 'personal_demo_request', 'quote_request')),
g AS (SELECT channel, occurred_at, occurred_at - lag(occurred_at) OVER (PARTITION BY channel ORDER BY occurred_at) AS gap FROM c), f AS (SELECT form, occurred_at, occurred_at - lag(occurred_at) OVER (PARTITION BY form ORDER BY occurred_at) AS gap FROM c WHERE form IS NOT NULL)
SELECT channel, count(*), min(occurred_at), max(occurred_at), max(gap), avg(gap) FROM g GROUP BY 1 UNION ALL SELECT form, count(*), min(occurred_at), max(occurred_at), max(gap), avg(gap) FROM f GROUP BY 1;

-- model_quality
SELECT * FROM model_quality('inbound');
-- by hand
WITH o AS (SELECT DISTINCT ON (h.lead_id) h.lead_id, h.to_stage FROM stage_history h WHERE h.effective_at < date_trunc('day', now() - interval '90 days') ORDER BY h.lead_id, h.seq DESC),
w AS (SELECT lead_id FROM stage_history WHERE to_stage >= 'customer' AND effective_at >= date_trunc('day', now() - interval '90 days') GROUP BY 1),
s AS MATERIALIZED (SELECT o.lead_id, score(s.activity, m.compiled, date_trunc('day', now() - interval '90 days') - interval '1 microsecond') AS score, w.lead_id IS NOT NULL AS won
    FROM o JOIN lead_state s USING (lead_id) LEFT JOIN w USING (lead_id), model m WHERE m.status = 'active' AND o.to_stage BETWEEN 'iql' AND 'prospect'),
r AS (SELECT *, rank() OVER (ORDER BY score) + (count(*) OVER (PARTITION BY score) - 1) / 2.0 AS rank, ntile(10) OVER (ORDER BY score DESC) AS decile FROM s)
SELECT 0, count(*), count(*) FILTER (WHERE won), sum(rank) FILTER (WHERE won) FROM r UNION ALL SELECT decile, count(*), count(*) FILTER (WHERE won), NULL FROM r GROUP BY 1
UNION ALL SELECT 31, count(*) FILTER (WHERE score >= 31), count(*) FILTER (WHERE won AND score >= 31), NULL FROM r UNION ALL SELECT 71, count(*) FILTER (WHERE score >= 71), count(*) FILTER (WHERE won AND score >= 71), NULL FROM r;

-- half_year_comparison
SELECT * FROM half_year_comparison;
-- by hand
WITH s AS (SELECT lead_id, min(effective_at) AS lead_at, min(effective_at) FILTER (WHERE to_stage >= 'sql') AS sql_at, min(effective_at) FILTER (WHERE to_stage >= 'customer') AS customer_at FROM stage_history WHERE to_stage >= 'iql' GROUP BY 1),
p AS (SELECT s.lead_id, sum(e.value) AS value FROM s JOIN event e ON e.lead_id = s.lead_id AND e.kind = 'purchase' AND e.occurred_at BETWEEN s.lead_at AND s.lead_at + interval '90 days' GROUP BY 1)
SELECT width_bucket(extract(epoch FROM s.lead_at), ARRAY[extract(epoch FROM now() - interval '15 months'), extract(epoch FROM now() - interval '9 months'), extract(epoch FROM now() - interval '3 months')]), count(*),
    count(*) FILTER (WHERE s.sql_at <= s.lead_at + interval '90 days'), count(*) FILTER (WHERE s.customer_at <= s.lead_at + interval '90 days'), sum(p.value),
    (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY customer_at - lead_at) FROM s WHERE customer_at > now() - interval '1 year')
FROM s LEFT JOIN p USING (lead_id) GROUP BY 1;
