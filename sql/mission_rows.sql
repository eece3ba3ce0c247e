--
-- Questions that marketing asks, each with an answer that was found by hand
--
SELECT leadscore.create_pipeline('crm') \g /dev/null
SET search_path = crm, crm_reports, leadscore, leadscore_internal;
SET timezone = 'UTC';

-- "Show me everything that happened with Ann." On one day she looks at a
-- product (15 points), takes a case study (10), opens a message (5) and leaves a
-- cart (-5): the points after each are 15, 25, 30 and 25.
SELECT upsert_lead('ann', 'ann@mail.example', consent => true, owner => 'kim', persona => 'planner', at => '2025-03-01 09:00Z') AS ann \gset
SELECT stage FROM track('ann', 'product_page_view', '{"page": "https://www.shop.example/Machine/?mail=ann@mail.example"}', '2025-03-03 10:00Z', channel => 'seo');
SELECT stage FROM track('ann', 'case_study_download', '{"content": "how Acme saved"}', '2025-03-03 11:00Z');
SELECT stage FROM track('ann', 'email_open', '{"message": "march letter"}', '2025-03-03 12:00Z');
SELECT stage FROM track('ann', 'cart_abandoned', NULL, '2025-03-03 13:00Z');
SELECT stage FROM track('ann', 'form_submit', '{"form": "call me", "fields": 3}', '2025-03-04 10:00Z');
SELECT stage FROM track('ann', 'outreach', '{"outcome": "not reached", "by": "kim"}', '2025-03-04 15:00Z');
SELECT stage FROM track('ann', 'lost', '{"reason": "too expensive", "by": "kim"}', '2025-03-05 10:00Z');
SELECT stage FROM track('ann', 'purchase', NULL, '2025-03-06 10:00Z', value => 120);
SELECT happened_at::timestamp(0), what, name, content, page, form, outcome, reason, value, who, score_after
    FROM lead_timeline WHERE lead_id = :ann AND happened_at > '2025-03-01 10:00Z' ORDER BY entry;
-- the score after each is the score of a lead to which nothing else ever happened
SELECT upsert_lead('twin', 'twin@mail.example', consent => true, at => '2025-03-01 09:00Z') AS twin \gset
CREATE TEMP TABLE twin_score (n bigserial, score numeric);
DO $$
DECLARE
    e record;
BEGIN
    FOR e IN SELECT v.* FROM crm.event v WHERE v.lead_id = crm.lead_id('ann') ORDER BY v.occurred_at LOOP
        PERFORM crm.track('twin', e.kind, e.properties, e.occurred_at, value => e.value);
        INSERT INTO twin_score (score) VALUES (crm.score('twin', e.occurred_at));
    END LOOP;
END $$;
SELECT count(*) AS compared, bool_and(a.score_after = t.score) AS same
    FROM (SELECT row_number() OVER (ORDER BY entry) AS n, score_after FROM lead_timeline WHERE lead_id = :ann AND what = 'event') a JOIN twin_score t USING (n);

-- "And who dealt with her?" Kim, then Lee, then nobody; she became another
-- persona, wanted no more messages, and was merged with a visitor.
SELECT assign_lead('ann', 'lee') AS before;
SELECT assign_lead('ann', NULL) AS before;
SELECT upsert_lead('ann', persona => 'owner') = :ann AS ann;
SELECT withdraw_consent('ann', 'marketing', 'email');
SELECT count(*) FROM track('visitor 7', 'page_view', '{"page": "/"}', '2025-02-01 10:00Z');
SELECT identify('visitor 7', 'ann') = :ann AS ann;
SELECT what, name, cause, channel, who = current_user AS by_me FROM lead_timeline
    WHERE lead_id = :ann AND what IN ('owner', 'persona', 'consent', 'suppression', 'merge') ORDER BY what, entry;
SELECT attribute, old_value, new_value FROM lead_change WHERE lead_id = :ann ORDER BY change_id;
-- an update that leaves both as they are records nothing
UPDATE lead SET owner = owner, country = 'ES' WHERE lead_id = :ann;
UPDATE lead SET owner = 'kim' WHERE lead_id = -1;
SELECT count(*) FROM lead_change;
-- segments that she entered and left, and steps of sequences
SELECT activate_segment('ready_to_buy') IS NOT NULL AS active;
INSERT INTO sequence (sequence, starts_on, start_name) VALUES ('talk', 'by_hand', NULL);
INSERT INTO sequence_step (sequence, step, position, channel, content) VALUES ('talk', 'mail', 1, 'email', 'hello');
INSERT INTO sequence_step (sequence, step, position, delay, channel, kind, content) VALUES ('talk', 'tell', 2, '0', 'chat', 'alert', 'ann is back');
SELECT activate_sequence('talk') >= 0 AS active;
SELECT enroll_lead('ann', 'talk') AS begun;
SELECT count(*) AS sent FROM claim_actions('email');
SELECT complete_action(lead_id, action_id, attempt, 'seen') AS done FROM claim_actions('chat', worker => 'lee');
SELECT what, name, cause, channel, content, outcome, reason, who FROM lead_timeline WHERE lead_id = :ann AND what IN ('action', 'sequence') ORDER BY entry;
SELECT retire_sequence('talk') >= 0 AS retired;

-- "For what did we capture them?" A campaign or a form has an objective; what
-- is said of the lead itself counts first.
INSERT INTO campaign (campaign, channel, objective, sourcing) VALUES ('spring letter', 'email', 'newsletter', 'internal'), ('fair', 'physical_event', 'demo', 'outsourced');
SELECT count(track('o' || n, 'form_submit', '{"form": "f"}', '2025-01-02 10:00Z', campaign => CASE WHEN n <= 3 THEN 'spring letter' WHEN n = 4 THEN 'fair' END,
    profile => jsonb_build_object('email', 'o' || n || '@mail.example', 'consent', true) || CASE WHEN n = 3 THEN '{"objective": "quote"}'::jsonb ELSE '{}' END)) AS captured FROM generate_series(1, 5) n;
SELECT set_stage('o1', 'mql');
SELECT slice AS objective, entered AS iqls, converted AS mqls FROM funnel_by
    WHERE slice_by = 'objective' AND stage = 'iql' AND slice <> '(none)' ORDER BY 1;
SELECT external_id, objective FROM lead_dim WHERE external_id ~ '^o[1-5]$' ORDER BY 1;

-- "Do they get what they asked for, and no more than that?" O1 wants product
-- news by e-mail only, and one message a week.
SELECT give_consent('o' || n, 'marketing', evidence => '{"form": "f"}', occurred_at => '2025-01-03Z') FROM generate_series(1, 2) n;
SELECT set_preferences('o1', topics => '{Product, product}', channels => '{Email}', max_messages => 1, period => 'week') AS new;
SELECT set_preferences('o1', topics => '{product}', channels => '{email}', max_messages => 1, period => 'week') AS new;
SELECT topics, channels, max_messages, period FROM preferences('o1');
SELECT count(*) FROM preferences('o2');
-- 2025-06-02 is a Monday. Nobody gets more than two messages a day.
SELECT count(add_action(l, channel, content, '2025-06-02 10:00Z', topic => topic, expires_after => '30 days'))
    FROM unnest('{o1,o2}'::text[]) l, (VALUES ('email', 'news', 'product'), ('email', 'more news', 'product'), ('email', 'party', 'events'), ('sms', 'text', 'product'), ('email', 'no topic', NULL)) v (channel, content, topic);
SELECT add_action('o1', 'sms', 'receipt', '2025-06-02 10:00Z', transactional => true) > 0 AS receipt, upsert_lead('o1', phone => '555 1') > 0, upsert_lead('o2', phone => '555 2') > 0;
SELECT external_id, content FROM claim_actions('email', at => '2025-06-02 10:00Z') ORDER BY 1, 2;
SELECT external_id, content FROM claim_actions('sms', at => '2025-06-02 10:00Z') ORDER BY 1, 2;
SELECT l.external_id, a.channel, a.content, a.status, a.reason, a.due_at FROM action a JOIN lead l USING (lead_id) WHERE a.sequence IS NULL AND a.status <> 'claimed' ORDER BY 1, 2, 3;
-- a week later the next one may go, and the one after that waits for its wish
SELECT bool_and(complete_action(lead_id, action_id, attempt, at => '2025-06-02 10:01Z')) AS done FROM action WHERE lead_id = lead_id('o1') AND status = 'claimed';
SELECT external_id, content FROM claim_actions('email', at => '2025-06-09 00:00Z') WHERE external_id = 'o1';
SELECT content, reason, due_at FROM action WHERE lead_id = lead_id('o1') AND status = 'waiting';
-- a message that is claimed is not wanted any more once the lead says so
SELECT set_preferences('o2', channels => '{phone}');
SELECT bool_or(action_wanted(lead_id, action_id, attempt, '2025-06-02 10:01Z')) AS wanted FROM action WHERE lead_id = lead_id('o2') AND status = 'claimed';
-- no topic at all: only messages without one may go
SELECT set_preferences('o2', topics => '{}');
SELECT _unwanted(lead_id('o2'), 'email', NULL) AS without, _unwanted(lead_id('o2'), 'email', 'product') AS product;
-- a preference is no consent: O3 wants all there is, and has allowed nothing
SELECT set_preferences('o3', channels => '{email}', topics => '{product}'), may_contact('o3', 'email', 'product');
SELECT add_action('o3', 'email', 'news', '2025-06-02 10:00Z', topic => 'product') > 0 AS added;
SELECT count(*) FROM claim_actions('email', at => '2025-06-02 10:00Z') WHERE external_id = 'o3';
SELECT status, reason FROM action WHERE lead_id = lead_id('o3');
-- all of it can be taken back; a person that is forgotten has none, of two leads the newer wish stays
SELECT set_preferences('o3'), set_preferences('o3');
SELECT set_preferences('o4', topics => '{a}'), set_preferences('o5', topics => '{b}');
UPDATE lead_preference SET updated_at = updated_at - interval '1 day' WHERE lead_id = lead_id('o4');
SELECT merge_leads('o4', 'o5') = lead_id('o4') AS merged;
SELECT topics FROM preferences('o4');
SELECT export_lead('o4') -> 'preferences' ->> 'topics' AS exported, forget_lead('o4') AS forgotten;
DELETE FROM lead WHERE lead_id = lead_id('o2');
SELECT lead_id = lead_id('o1') AS o1 FROM lead_preference;
SELECT problem FROM verify() WHERE problem ~ 'preferences|owner';
-- what cannot be meant
SELECT set_preferences('o1', max_messages => 0, period => 'week');
SELECT set_preferences('o1', max_messages => 1);
SELECT set_preferences('o1', max_messages => 1, period => 'year');
SELECT set_preferences('o1', topics => '{" "}');
SELECT set_preferences('nobody', topics => '{a}');
SELECT leadscore.drop_pipeline('crm');

-- "Do inbound and outbound together work best?" Eight leads become iql on
-- 1 January. While they are it, 1 and 2 are touched in both ways, and 2 of 2
-- become mql, after 4 and 8 days; 3 to 5 come by themselves, 1 of 3 goes on;
-- 6 is only written to, and does not; 7 and 8 have no touch, and 1 goes on.
SELECT leadscore.create_pipeline('crm') \g /dev/null
SELECT count(upsert_lead('s' || n, 's' || n || '@mail.example', consent => true, at => '2025-01-01Z')) FROM generate_series(1, 8) n;
INSERT INTO event (lead_id, kind, channel, occurred_at)
    SELECT lead_id('s' || n), CASE direction WHEN 'in' THEN 'page_view' ELSE 'outreach' END, CASE direction WHEN 'in' THEN 'seo' END, '2025-01-03Z'
    FROM (VALUES (1, 'in'), (1, 'out'), (2, 'in'), (2, 'out'), (3, 'in'), (4, 'in'), (5, 'in'), (6, 'out')) v (n, direction);
INSERT INTO event (lead_id, kind, properties, occurred_at)
    SELECT lead_id('s' || n), 'stage_set', '{"stage": "mql"}', '2025-01-01Z'::timestamptz + d * interval '1 day' FROM (VALUES (1, 4), (2, 8), (3, 10), (7, 30)) v (n, d);
-- a touch after the step is one of the next stage: 1 is an mql with a touch
INSERT INTO event (lead_id, kind, channel, occurred_at) VALUES (lead_id('s1'), 'webinar_attended', 'virtual_event', '2025-01-06Z');
SELECT step_from, step_to, direction, entered, converted, round(conversion_rate::numeric, 3) AS rate, median_days, round(ratio_to_single::numeric, 3) AS ratio
    FROM step_direction WHERE entered > 0;
-- by hand: singles are 4 leads of which 1 went on, 0.25; both 1.00 is 4 times that, and none 0.5 twice
-- points count from the start of their day: this lead is an mql already, by
-- requests of the end of the day, and has been one for no time
BEGIN;
SELECT inserted FROM track_many((SELECT jsonb_agg(jsonb_build_object('external_id', 's9', 'kind', k, 'occurred_at', date_trunc('day', now(), 'UTC') + interval '24 hours' - interval '1 microsecond', 'profile', '{"email": "s9@mail.example", "consent": true}'::jsonb))
    FROM unnest('{demo_request,quote_request,pricing_view}'::text[]) k));
SELECT stage, stage_since_at > now() AS later FROM lead_score WHERE external_id = 's9';
DELETE FROM lead WHERE external_id <> 's9';
SELECT step_from, entered, mean_days FROM step_direction WHERE entered > 0 AND step_from = 'mql';
ROLLBACK;

-- "Who recommends us, and what is it worth?" Eve brought Fay and Gil, Fay
-- brought Hal; Gil paid 50 and Hal 100. Ian and Jo recommended each other.
INSERT INTO lead (lead_id, external_id, created_at, updated_at, referred_by) VALUES (101, 'eve', '2025-01-01Z', '2025-01-01Z', NULL), (102, 'fay', '2025-01-02Z', '2025-01-02Z', 101),
    (103, 'gil', '2025-01-02Z', '2025-01-02Z', 101), (104, 'hal', '2025-01-03Z', '2025-01-03Z', 102), (105, 'ian', '2025-01-01Z', '2025-01-01Z', NULL), (106, 'jo', '2025-01-01Z', '2025-01-01Z', 105);
UPDATE lead SET referred_by = 106 WHERE lead_id = 105;
INSERT INTO event (lead_id, kind, value, occurred_at) VALUES (103, 'purchase', 50, '2025-02-01Z'), (104, 'purchase', 100, '2025-02-02Z');
SELECT external_id, top_id, depth, levels, direct_referrals AS directly, referrals, customers, direct_revenue_amount AS direct, revenue_amount AS revenue, revenue_per_lead_amount AS per_lead
    FROM referral_tree ORDER BY lead_id;
-- a chain of 150: the first lead has the 100 below it
INSERT INTO lead (lead_id, created_at, updated_at, referred_by) SELECT n, '2025-01-01Z', '2025-01-01Z', CASE WHEN n > 1001 THEN n - 1 END FROM generate_series(1001, 1150) n;
SELECT lead_id, depth, referrals, top_id FROM referral_tree WHERE lead_id IN (1001, 1100, 1149) ORDER BY 1;

-- "How long do simple and complex sales take?" From iql to sql six complex
-- leads take 150 days, six simple ones 100: the goals are 120 to 180 and 60 to 90
-- days. One lead says nothing: it goes by the setting.
INSERT INTO lead (lead_id, email, consented_at, market, complexity, created_at, updated_at)
    SELECT n, n || '@mail.example', '2024-01-01Z', 'b2b', CASE WHEN n BETWEEN 2002 AND 2006 THEN 'complex' WHEN n > 2006 THEN 'simple' END, '2024-01-01Z', '2024-01-01Z' FROM generate_series(2001, 2013) n;
INSERT INTO event (lead_id, kind, properties, occurred_at)
    SELECT n, 'stage_set', '{"stage": "sql"}', '2024-01-01Z'::timestamptz + CASE WHEN n <= 2006 THEN 150 ELSE 100 END * interval '1 day' FROM generate_series(2001, 2012) n;
SELECT market, conversions, median_days, benchmark_low_days AS low, benchmark_high_days AS high, benchmark_status AS status FROM conversion_times WHERE metric = 'iql_to_sql_days' ORDER BY 1;
UPDATE setting SET complexity = 'complex';
SELECT market, conversions, median_days, benchmark_status AS status FROM conversion_times WHERE metric = 'iql_to_sql_days' AND market ~ '_';
SELECT market, numerator, denominator, benchmark_low_rate, benchmark_high_rate FROM conversion_rates WHERE metric = 'iql_to_sql' AND market ~ 'b2b' ORDER BY 1;
-- a goal of one's own for simple sales
INSERT INTO benchmark (metric, segment, low, high) VALUES ('iql_to_sql', 'b2b_simple', 0.5, 0.6);
SELECT market, benchmark_low_rate FROM conversion_rates WHERE metric = 'iql_to_sql' AND market ~ 'b2b' ORDER BY 1;
SELECT count(track('c', 'page_view', profile => '{"market": "b2b", "complexity": "simple"}'));
SELECT complexity FROM lead_dim WHERE external_id = 'c';
SELECT track('c', 'page_view', profile => '{"complexity": "hard"}');

-- "How many visitors become leads in b2b?" Nearly no visitor has a market yet,
-- so there is no such rate, and it is said for how many it is not known.
INSERT INTO lead (lead_id, created_at, updated_at) SELECT n, '2025-01-01Z', '2025-01-01Z' FROM generate_series(3001, 3020) n;
SELECT market, conversion_rate IS NULL AS unknown, benchmark_status, market_unknown > 20 AS many FROM conversion_rates WHERE metric = 'visitor_to_lead' AND market IN ('b2b', 'b2c') ORDER BY 1;

-- "Which sales take 12 to 18 months and many contacts?" One of four: 400 days
-- and three contacts. Two took less than a month with one contact each, one took
-- 200 days with two.
SELECT leadscore.drop_pipeline('crm');
SELECT leadscore.create_pipeline('crm') \g /dev/null
INSERT INTO lead (lead_id, email, consented_at, created_at, updated_at) SELECT n, n || '@mail.example', '2023-01-01Z', '2023-01-01Z', '2023-01-01Z' FROM generate_series(1, 4) n;
INSERT INTO event (lead_id, kind, occurred_at)
    SELECT n, k, '2023-01-01Z'::timestamptz + d * interval '1 day' FROM (VALUES (1, 'page_view', 1), (1, 'webinar_attended', 100), (1, 'sales_contact', 390), (1, 'purchase', 400),
        (2, 'page_view', 1), (2, 'purchase', 10), (3, 'page_view', 2), (3, 'purchase', 20), (4, 'page_view', 2), (4, 'page_view', 3), (4, 'purchase', 200), (2, 'page_view', 11)) v (n, k, d);
SELECT bucket, customers, share_rate, median_touches, multi_touch_customers, multi_touch_share_rate FROM cycle_time_histogram WHERE customers > 0;

-- "Who is faster, we or the agency?" Ours are known on 1 January and sql after
-- 10 and 30 days, and customer after 40 and never; the agency's after 4 days.
INSERT INTO campaign (campaign, channel, sourcing) VALUES ('own', 'seo', 'internal'), ('agency', 'telemarketing', 'outsourced');
INSERT INTO cost (day_from, day_to, campaign, amount) VALUES ('2023-12-20', '2023-12-31', 'own', 100);
INSERT INTO lead (lead_id, email, consented_at, campaign, created_at, updated_at) SELECT n, n || '@mail.example', '2024-01-01Z', CASE WHEN n = 13 THEN 'agency' ELSE 'own' END, '2024-01-01Z', '2024-01-01Z' FROM generate_series(11, 13) n;
INSERT INTO event (lead_id, kind, properties, occurred_at)
    SELECT n, 'stage_set', jsonb_build_object('stage', s), '2024-01-01Z'::timestamptz + d * interval '1 day' FROM (VALUES (11, 'sql', 10), (12, 'sql', 30), (13, 'sql', 4), (11, 'customer', 40)) v (n, s, d);
SELECT segment, sqls, timed_sqls, median_sql_days, customers, median_customer_days, campaigns, median_campaign_days FROM sourcing_comparison WHERE comparison = 'sourcing' AND segment <> '(none)' ORDER BY place;
-- by hand: ours began with the cost of 20 December, 12 days before, and had the first sql on day 10

-- "How does the service that people subscribe to go?" A pays 30 a month in
-- January, February and March, and cancels on 20 March. B pays 1200 for 12
-- months on 31 January. C pays 20 once, on 5 February: a week after its month, on
-- 12 March, it is over.
SELECT leadscore.drop_pipeline('crm');
SELECT leadscore.create_pipeline('crm') \g /dev/null
SELECT count(*) FROM subscription_months;
INSERT INTO lead (lead_id, created_at, updated_at) SELECT n, '2025-01-01Z', '2025-01-01Z' FROM generate_series(1, 4) n;
INSERT INTO event (lead_id, kind, value, properties, occurred_at) VALUES
    (1, 'subscription_started', 30, '{"subscription": "basic"}', '2025-01-10Z'), (1, 'subscription_renewed', 30, '{"subscription": "basic"}', '2025-02-10Z'), (1, 'subscription_renewed', 30, '{"subscription": "basic"}', '2025-03-10Z'),
    (1, 'subscription_cancelled', NULL, NULL, '2025-03-20Z'), (2, 'subscription_started', 1200, '{"months": 12}', '2025-01-31Z'), (3, 'subscription_started', 20, '{"months": "one"}', '2025-02-05Z'),
    -- another purchase is no subscription, unless it says for how many months it is
    (4, 'purchase', 500, NULL, '2025-01-15Z');
SELECT calendar_month AS month, active_before AS before, started, renewals, ended, cancelled, churned, active, round(churn_rate::numeric, 3) AS churn, monthly_revenue_amount AS mrr, started_amount AS new, ended_amount AS gone
    FROM subscription_months WHERE calendar_month < '2025-05-01';
-- it is revenue like any other, and makes a customer
SELECT lead_id, stage FROM lead_score ORDER BY 1;
SELECT sum(revenue_amount) AS revenue, sum(customers) AS customers FROM customer_lifetime_value;
-- A comes back in May, with a contract of two months; a refund of it lowers what it brings
INSERT INTO event (lead_id, kind, value, properties, occurred_at) VALUES (1, 'purchase', 80, '{"months": 2}', '2025-05-02Z'), (1, 'refund', 20, NULL, '2025-05-03Z');
SELECT calendar_month AS month, started, ended, active, monthly_revenue_amount AS mrr FROM subscription_months WHERE calendar_month IN ('2025-04-01', '2025-05-01', '2025-06-01', '2025-07-01');
-- in every preset
SELECT p.preset, c.active_model FROM unnest('{enterprise,multidimensional}'::text[]) WITH ORDINALITY AS p (preset, n), leadscore.create_pipeline('p' || p.n, p.preset) c;
SELECT a.stage AS enterprise, b.stage AS multidimensional FROM p1.track('a', 'subscription_started', value => 10) a, p2.track('a', 'subscription_started', value => 10) b;
SELECT leadscore.drop_pipeline(p) FROM unnest('{p1,p2}'::text[]) p;

-- "What goes out by which channel in the next days?" A sequence writes today,
-- calls two days later and writes again a day after that. Two leads begin it;
-- one more message waits for an app.
INSERT INTO sequence (sequence, starts_on, start_name) VALUES ('plan', 'by_hand', NULL);
INSERT INTO sequence_step (sequence, step, position, delay, channel, kind, content) VALUES ('plan', 'mail', 1, '0', 'email', 'message', 'a'), ('plan', 'call', 2, '2 days', 'phone', 'task', 'b'), ('plan', 'mail 2', 3, '1 day', 'email', 'message', 'c'), ('plan', 'late', 4, '60 days', 'email', 'message', 'd');
SELECT activate_sequence('plan') >= 0 AS active, leadscore.upgrade_pipeline('crm') > 0 AS upgraded;
SELECT enroll_lead_by_id(n, 'plan') FROM generate_series(1, 2) n;
SELECT add_action_by_id(3, 'email', 'receipt', now() + interval '12 hours') > 0 AS added;
SELECT planned_date - (now() AT TIME ZONE 'UTC')::date AS in_days, channel, kind, queued, coming, leads FROM channel_plan WHERE NOT (channel = 'email' AND queued > 0) ORDER BY 1;
SELECT sum(queued) AS queued, sum(coming) AS coming, bool_and(planned_date - (now() AT TIME ZONE 'UTC')::date BETWEEN 0 AND 1) AS soon FROM channel_plan WHERE channel = 'email' AND queued > 0;

-- "Who looks at several pages, services and features among them?" Three different
-- pages within seven days give 5 points: "browses" has them from 5 to 9 March, as
-- its first page is then a week old. "reloads" saw one page three times, and
-- "slow" was not fast enough.
INSERT INTO signal (signal, event_kinds, distinct_on) VALUES ('different_pages', '{page_view,product_page_view,pricing_view}', '$.page');
SELECT clone_model('inbound', 'pages');
INSERT INTO rule (model, rule, dimension, signal, aggregate, tiers, within) VALUES ('pages', 'several pages', 'engagement', 'different_pages', 'tier', '{"3": 5}', '7 days');
SELECT activate_model('pages', wait => true) \g /dev/null
INSERT INTO lead (lead_id, external_id, created_at) SELECT 50 + n, name, '2025-03-01' FROM unnest('{browses,reloads,slow}'::text[]) WITH ORDINALITY AS u (name, n);
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES
    (51, 'page_view', '2025-03-03 10:00Z', '{"page": "/services"}'), (51, 'page_view', '2025-03-04 10:00Z', '{"page": "/features"}'), (51, 'pricing_view', '2025-03-05 10:00Z', '{"page": "/prices"}'),
    (52, 'page_view', '2025-03-03 10:00Z', '{"page": "/services"}'), (52, 'page_view', '2025-03-04 10:00Z', '{"page": "/services"}'), (52, 'page_view', '2025-03-05 10:00Z', '{"page": "/services"}'),
    (53, 'page_view', '2025-03-03 10:00Z', '{"page": "/services"}'), (53, 'page_view', '2025-03-04 10:00Z', '{"page": "/features"}'), (53, 'page_view', '2025-03-12 10:00Z', '{"page": "/prices"}');
SELECT day, string_agg(l.external_id || ': ' || x.points, ', ' ORDER BY l.lead_id) AS with_points
    FROM unnest('{2025-03-04,2025-03-05,2025-03-09,2025-03-10,2025-03-12}'::date[]) day
        LEFT JOIN (lead l JOIN LATERAL (SELECT 1) o ON l.lead_id > 50) ON true
        LEFT JOIN LATERAL explain(l.external_id, day + time '12:00' AT TIME ZONE 'UTC') x ON x.rule = 'several pages' AND x.points > 0
    GROUP BY 1 ORDER BY 1;

-- Readers see all of it but personal data, and a role that may not see every
-- lead sees no properties and no scores
CREATE ROLE leadscore_reader;
SELECT grant_reader('crm', 'leadscore_reader');
SET ROLE leadscore_reader;
SELECT name, value, score_after IS NOT NULL AS scored FROM lead_timeline WHERE lead_id = 4 AND what = 'event';
SELECT count(*) > 0 AS some FROM subscription_months;
SELECT topics FROM lead_preference;
SELECT * FROM preferences('a');
RESET ROLE;
ALTER TABLE lead ENABLE ROW LEVEL SECURITY;
CREATE POLICY one ON lead TO leadscore_reader USING (lead_id = 4);
SET ROLE leadscore_reader;
SELECT name, value, score_after FROM lead_timeline WHERE lead_id = 4 AND what = 'event';
SELECT count(*) FROM subscription_months;
RESET ROLE;
RESET search_path;
SELECT leadscore.drop_pipeline('crm');
DROP ROLE leadscore_reader;
