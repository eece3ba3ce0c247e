--
-- More questions of marketing and sales, each with an answer that was found by hand
--
SELECT leadscore.create_pipeline('crm') \g /dev/null
SET search_path = crm, crm_reports, leadscore, leadscore_internal;
SET timezone = 'UTC';

-- "Who is a lead?" A contact that left an e-mail address, a number or a social profile,
-- and accepted the policy. A blank is no number, and a word is no address.
SELECT n AS contact, (track(n, 'page_view', profile => p::jsonb || '{"consent": true}')).stage
    FROM (VALUES ('mail', '{"email": "ann@mail.example"}'), ('phone', '{"phone": "+34 555 1"}'), ('social', '{"social": {"network": "@ann"}}'), ('blank', '{"phone": " ", "social": {"network": ""}}'), ('word', '{"email": "none"}'), ('nothing', '{}')) v (n, p);
SELECT (track('silent', 'quote_request', profile => '{"email": "silent@mail.example"}')).stage AS without_policy;
-- "Since when, and by which policy?" Granted in January, taken back in February,
-- granted again in March: a lead but for February. The record keeps all three.
SELECT upsert_lead('pia', 'pia@mail.example', at => '2025-01-01Z') > 0 AS pia;
SELECT give_consent('pia', 'policy', policy_version => 'of 2024', evidence => '{"form": "guide"}', occurred_at => '2025-01-01 10:00Z') AS january;
SELECT withdraw_consent('pia', 'policy', occurred_at => '2025-02-01 10:00Z') AS february;
SELECT give_consent('pia', 'policy', policy_version => 'of 2025', evidence => '{"form": "trial"}', occurred_at => '2025-03-01 10:00Z') AS march;
SELECT day, stage_at('pia', day::timestamptz) FROM unnest('{2025-01-15,2025-02-15,2025-03-15}'::date[]) day;
SELECT status, policy_version, occurred_at::date FROM consent WHERE lead_id = lead_id('pia') ORDER BY occurred_at;
-- "May we write?" To the newsletter she said yes, to offers nothing; later she left all.
SELECT give_consent('pia', 'marketing', 'email', 'newsletter', evidence => '{"form": "trial"}', occurred_at => '2025-03-01 10:00Z') AS granted;
SELECT count(track('pia', 'unsubscribe', '{}', '2025-04-01 10:00Z')) AS left;
SELECT day, may_contact('pia', 'email', 'newsletter', day::timestamptz) AS newsletter, may_contact('pia', 'email', 'offers', day::timestamptz) AS offers, may_contact('pia', 'email', 'receipt', day::timestamptz, transactional => true) AS receipt
    FROM unnest('{2025-02-15,2025-03-15,2025-04-02}'::date[]) day;

-- "Do we answer a form at once?" A receipt needs no permission and goes to everybody
-- that sends the form, each time. The welcome goes only to Rosa: she allows letters.
INSERT INTO sequence (sequence, starts_on, start_name, again_after) VALUES ('receipt', 'event', 'form_submit', '0');
INSERT INTO sequence_step (sequence, step, position, delay, channel, content, transactional) VALUES ('receipt', 'thanks', 1, '0', 'email', 'we have your request', true);
SELECT activate_sequence('receipt') + activate_sequence('welcome') AS begun;
SELECT give_consent(n, 'policy', email => n || '@mail.example') AND n = 'rosa' AND give_consent(n, 'marketing', evidence => '{"form": "guide"}') AS letters FROM unnest('{rosa,tom}'::text[]) n;
SELECT (track(n, 'form_submit', '{"form": "guide"}')).stage FROM unnest('{rosa,tom}'::text[]) n;
SELECT external_id, content, email FROM claim_actions('email') ORDER BY 1, 2;
SELECT complete_actions(jsonb_agg(jsonb_build_object('lead_id', lead_id, 'action_id', action_id, 'attempt', attempt))) AS sent FROM action WHERE status = 'claimed';
SELECT external_id, content, status, reason FROM action_log WHERE external_id ~ 'rosa|tom' ORDER BY 1, action_id;

-- "A hot lead: who does what by when?" Rosa becomes an sql. Kim gets her, with an
-- alert and a first call now; within an hour somebody must have called.
INSERT INTO assignment (owner, stage) VALUES ('kim', 'sql');
SELECT activate_sequence('immediate_contact') + activate_sequence('hot_lead') AS begun;
SELECT set_stage('rosa', 'sql') AS stage;
SELECT owner, external_id, content, due_at = stage_since_at AS now, sla_due_at - stage_since_at AS within, breached FROM work_list WHERE external_id = 'rosa';
SELECT owner, external_id, content FROM open_alerts;
SELECT external_id, action, source FROM recommended_action WHERE external_id IN ('rosa', 'tom') ORDER BY 1;
-- Kim saw the alert. Rosa asks to be called again in ten days: this is the next date, and the call counts for the hour
SELECT complete_action(lead_id, action_id, attempt, 'seen') AS seen FROM open_alerts;
SELECT complete_action(lead_id, action_id, attempt, 'call back', jsonb_build_object('call_back_at', now() + interval '10 days')) AS called FROM work_list WHERE external_id = 'rosa';
SELECT count(*) AS alerts FROM open_alerts;
SELECT content, due_at BETWEEN now() + interval '239 hours' AND now() + interval '240 hours' AS in_ten_days FROM action_log WHERE external_id = 'rosa' AND kind = 'task' AND status = 'waiting' AND sequence IS NULL;
SELECT status, contacted_at IS NOT NULL AS contacted FROM sla_status WHERE lead_id = lead_id('rosa');
-- Kim speaks with her: she is a prospect, the calls of the sequence are over, and the promised one stays.
-- She buys: what to do next is what the sequence for customers says.
SELECT activate_sequence('after_sale') AS begun;
SELECT (track('rosa', 'sales_contact', '{"outcome": "interested"}')).stage;
SELECT sequence, end_reason FROM enrollment WHERE lead_id = lead_id('rosa') ORDER BY 1;
SELECT (track('rosa', 'purchase', value => 500)).stage;
SELECT sequence, step, content FROM action_log WHERE external_id = 'rosa' AND status = 'waiting' ORDER BY 1;
SELECT action FROM recommended_action WHERE external_id = 'rosa';

-- "Is an hour on Friday evening an hour?" Three become sql: wes on Wednesday at 10:00,
-- fran on Friday at 17:30, sam on Saturday at 10:00; ada asks for a quote on Saturday at
-- noon. Wes is called at 10:30; fran on Monday at 9:20, ada at 9:45, and sam at 10:01.
DELETE FROM lead;
SELECT count(upsert_lead(n, n || '@mail.example', consent => true, at => '2025-06-01Z')) AS leads FROM unnest('{wes,fran,sam,ada}'::text[]) n;
INSERT INTO event (lead_id, kind, properties, occurred_at)
    SELECT lead_id(n), k, o, at FROM (VALUES ('wes', 'stage_set', '{"stage": "sql"}'::jsonb, timestamptz '2025-06-04 10:00Z'), ('wes', 'outreach', NULL, '2025-06-04 10:30Z'),
        ('fran', 'stage_set', '{"stage": "sql"}', '2025-06-06 17:30Z'), ('fran', 'outreach', NULL, '2025-06-09 09:20Z'), ('sam', 'stage_set', '{"stage": "sql"}', '2025-06-07 10:00Z'), ('sam', 'outreach', NULL, '2025-06-09 10:01Z'),
        ('ada', 'quote_request', NULL, '2025-06-07 12:00Z'), ('ada', 'outreach', NULL, '2025-06-09 09:45Z')) v (n, k, o, at);
SELECT external_id, clock, status FROM first_response JOIN lead USING (lead_id) ORDER BY 1, 2;
-- the team works from Monday to Friday, from 9:00 to 18:00: by hand fran is due on Monday at 9:30, sam and ada at 10:00
INSERT INTO business_hours (weekday, opens_at, closes_at) SELECT d, '09:00', '18:00' FROM generate_series(1, 5) d;
SELECT external_id, due_at, status FROM sla_status JOIN lead USING (lead_id) ORDER BY 1;
SELECT external_id, clock, status, response FROM first_response JOIN lead USING (lead_id) ORDER BY 1, 2;
SELECT external_id, status FROM sla_status_at('2025-06-08 12:00Z') JOIN lead USING (lead_id) ORDER BY 1;
-- by the clock of the team: in Madrid 9:00 is 7:00 UTC
UPDATE setting SET time_zone = 'Europe/Madrid';
SELECT external_id, due_at FROM sla_status JOIN lead USING (lead_id) ORDER BY 1;
UPDATE setting SET time_zone = 'UTC';
DELETE FROM business_hours;

-- "Since when is she a lead?" An old form is read in today: Vera consented on 10
-- March and left her address, and is an iql of that day and not of today.
SELECT give_consent('vera', 'policy', email => 'vera@mail.example', evidence => '{"form": "guide"}', occurred_at => '2025-03-10 09:00Z') AS granted;
SELECT created_at, consented_at FROM lead WHERE external_id = 'vera';
SELECT stage_at('vera', '2025-03-09Z') AS before, stage_at('vera', '2025-03-11Z') AS after;
-- a visitor of February is an iql from the day of the form on, whatever came first
SELECT count(track('wim', 'page_view', '{"page": "/"}', '2025-02-01 10:00Z')) AS visited, give_consent('wim', 'policy', email => 'wim@mail.example', evidence => '{"form": "guide"}', occurred_at => '2025-03-10 09:00Z') AS granted;
SELECT from_stage, to_stage, effective_at FROM stage_history WHERE lead_id = lead_id('wim') ORDER BY seq;

-- "Do we give up too early?" Five said no. Amy yesterday: she waits. Bob 40 days
-- ago, and nobody called again. Cleo as Bob, but a call is planned. Dora
-- yesterday, and she was marked as lost. Ed said no twice, 40 and 39 days ago.
DELETE FROM lead;
SELECT count(upsert_lead(n, n || '@mail.example', consent => true, at => now() - interval '90 days')) AS leads FROM unnest('{amy,bob,cleo,dora,ed}'::text[]) n;
INSERT INTO event (lead_id, kind, properties, occurred_at)
    SELECT lead_id(n), k, o, now() - d * interval '1 day' FROM (VALUES ('amy', 'outreach', '{"outcome": "no"}'::jsonb, 1), ('bob', 'outreach', '{"outcome": "No "}', 40), ('cleo', 'sales_contact', '{"outcome": "no"}', 40),
        ('dora', 'outreach', '{"outcome": "no"}', 1), ('dora', 'lost', NULL, 0), ('ed', 'outreach', '{"outcome": "no"}', 40), ('ed', 'outreach', '{"outcome": "no"}', 39)) v (n, k, o, d);
SELECT add_action('cleo', 'phone', 'call again in spring', now() + interval '90 days', kind => 'task') > 0 AS planned;
SELECT external_id, waiting, given_up, given_up_after_first_no FROM followups JOIN lead USING (lead_id) ORDER BY 1;
SELECT said_no, waiting_after_first_no AS waiting, gave_up_after_first_no AS gave_up, round(gave_up_after_first_no_rate::numeric, 3) AS rate FROM followup_summary;
-- by hand: of five two wait, and two of the other three were given up after their first no

-- "What does a lead cost so far?" A tool that is paid for 365 days costs 3650, of
-- which ten days are over: 100 for two leads are 50 each, and an order of 300 is
-- three times the cost.
BEGIN;
INSERT INTO campaign (campaign, channel, sourcing) VALUES ('year', 'seo', 'internal');
INSERT INTO cost (day_from, day_to, campaign, amount) SELECT d - 9, d + 355, 'year', 3650 FROM (SELECT (now() AT TIME ZONE 'UTC')::date) v (d);
SELECT count(upsert_lead(n, n || '@mail.example', consent => true, campaign => 'year')) AS leads FROM unnest('{kai,lou}'::text[]) n;
SELECT count(track('kai', 'purchase', value => 300)) AS bought;
SELECT sum(cost_amount) AS so_far, sum(planned_amount) AS planned, count(*) > 10 AS months FROM cost_by_month;
SELECT sum(cost_amount) AS cost, sum(leads) AS leads, round(sum(cost_amount) / sum(leads), 2) AS cost_per_lead, count(*) FILTER (WHERE calendar_month > now()) AS months_to_come FROM cost_per_lead WHERE campaign = 'year';
SELECT cost_amount, revenue_amount, roas, roi FROM roas WHERE model = 'linear' AND campaign = 'year';
SELECT cost_amount, leads, cost_per_lead_amount FROM sourcing_comparison WHERE segment = 'internal';
-- a cost that is all to come is none yet
UPDATE cost SET day_from = day_from + 10, day_to = day_to + 10;
SELECT cost_amount, revenue_amount, roas FROM roas WHERE model = 'linear' AND campaign = 'year';
COMMIT;

-- "Why has seo no cost per lead, and why is there no revenue?" Somebody writes
-- SEO, and sends the amount as a property: the reports cannot know.
SELECT count(track('fay', 'page_view', channel => 'SEO ', campaign => 'Year', profile => '{"channel": "SEO"}')) AS sent, count(track('fay', 'purchase', '{"amount": 300}')) AS bought, count(track('gus', 'page_view', channel => 'carrier pigeon')) AS new;
SELECT severity, problem, detail, advice FROM leadscore.doctor('crm') WHERE problem ~ 'channel|campaign|purchase';
INSERT INTO channel (channel, direction) VALUES ('carrier pigeon', 'outbound');
SELECT count(*) FROM leadscore.doctor('crm') WHERE problem ~ 'pigeon';

-- "What is she worth today, and what was she then?" Olga became head of a firm of 80
-- in June: 10 points each. What she is now says nothing about May.
SELECT upsert_lead('olga', 'olga@mail.example', consent => true, at => '2025-01-01Z') > 0 AS olga;
SELECT upsert_lead('olga', profile => '{"employees": 80, "job_title": "Head of sales"}', at => '2025-06-01Z') > 0 AS olga;
SELECT day, score('olga', day + time '12:00' AT TIME ZONE 'UTC') FROM unnest('{2025-05-31,2025-06-01,2025-12-01}'::date[]) day;
-- "Is she our ideal customer?" Of ten points a decision maker and a firm of fifty have
-- three each, and no student has one: seven are enough. Need and budget are not known.
SELECT activate_segment('ideal_customer') AS active;
SELECT persona, match_share, is_member, is_ideal_customer FROM persona_match('olga');
SELECT condition, weight, met FROM explain_segment('olga', 'ideal_customer');
-- "Send the discount to those that are ready." Of business leads with 20 points or more
-- those that looked at prices within 30 days: ada. Bo is private, cy has 10 points,
-- di looked 40 days ago. They move by themselves: cy looks at a product.
DELETE FROM lead;
INSERT INTO segment (segment) VALUES ('ready businesses');
INSERT INTO segment_condition (segment, condition, lead_condition) VALUES ('ready businesses', 'business', '$market == "b2b"');
INSERT INTO segment_condition (segment, condition, min_points) VALUES ('ready businesses', 'points', 20);
INSERT INTO segment_condition (segment, condition, signal, min_count, within) VALUES ('ready businesses', 'prices', 'pricing_view', 1, '30 days');
SELECT activate_segment('ready businesses') AS active;
INSERT INTO lead (lead_id, external_id, email, market, consented_at, contact_allowed, created_at, updated_at) SELECT 900 + n, name, name || '@mail.example', CASE name WHEN 'bo' THEN 'b2c' ELSE 'b2b' END, now() - interval '50 days', true, now() - interval '50 days', now() - interval '50 days' FROM unnest('{ada,bo,cy,di}'::text[]) WITH ORDINALITY AS u (name, n);
INSERT INTO event (lead_id, kind, occurred_at) SELECT lead_id(n), k, now() - d * interval '1 day' FROM (VALUES ('ada', 'pricing_view', 0), ('ada', 'product_page_view', 0), ('bo', 'pricing_view', 0), ('bo', 'product_page_view', 0), ('cy', 'pricing_view', 0), ('di', 'pricing_view', 40), ('di', 'product_page_view', 0), ('di', 'quote_request', 0)) v (n, k, d);
SELECT external_id FROM segment_members JOIN lead USING (lead_id) WHERE segment = 'ready businesses' ORDER BY 1;
SELECT count(track('cy', 'product_page_view')) AS looked;
SELECT external_id FROM segment_members JOIN lead USING (lead_id) WHERE segment = 'ready businesses' ORDER BY 1;
INSERT INTO sequence (sequence, starts_on, note) VALUES ('a tenth off', 'by_hand', NULL);
INSERT INTO sequence_step (sequence, step, position, delay, channel, content) VALUES ('a tenth off', 'mail', 1, '0', 'email', 'a tenth off');
SELECT activate_sequence('a tenth off') AS begun, enroll('a tenth off', 'ready businesses') AS enrolled, enroll('a tenth off', 'ready businesses') AS again;
SELECT external_id, content FROM claim_actions('email') ORDER BY 1;
-- offers by stage: the discount is for sql, the guide for those that begin
INSERT INTO content (content, kind, stage) VALUES ('guide', 'ebook', 'iql'), ('first machine', 'discount', 'sql');
SELECT count(set_stage('di', 'sql')) AS ready;
SELECT l.external_id, s.content, s.kind FROM content_suggestions s JOIN lead l USING (lead_id) WHERE external_id IN ('ada', 'di') ORDER BY 1, 2;

-- "Who goes cold, who is at risk?" Eli looked at a product 40 days ago, and nothing
-- since. Flo bought 70 days ago, and gave no sign for 60 days. Gia bought then, too, and
-- opened a letter yesterday. Hal looked 20 days ago, and wants no letters.
DELETE FROM lead;
SELECT activate_segment('cold') IS NOT NULL AND activate_segment('quiet_customers') IS NOT NULL AS active;
INSERT INTO lead (external_id, email, consented_at, contact_allowed, created_at, updated_at) SELECT name, name || '@mail.example', now() - interval '100 days', name <> 'hal', now() - interval '100 days', now() - interval '100 days' FROM unnest('{eli,flo,gia,hal}'::text[]) name;
INSERT INTO event (lead_id, kind, value, occurred_at) SELECT lead_id(n), k, v, now() - d * interval '1 day' FROM (VALUES ('eli', 'product_page_view', NULL, 40), ('flo', 'purchase', 10, 70), ('gia', 'purchase', 10, 70), ('gia', 'email_open', NULL, 1), ('hal', 'product_page_view', NULL, 20)) v (n, k, v, d);
SELECT external_id, segment FROM segment_members JOIN lead USING (lead_id) WHERE segment IN ('cold', 'quiet_customers') ORDER BY 1, 2;
SELECT external_id, stage, cold, reason, floor(quiet_days) AS quiet FROM lead_cooling JOIN lead USING (lead_id) ORDER BY 1;
SELECT external_id, action FROM recommended_action ORDER BY 1;
-- both get what the presets say, though no sweep has recorded yet what time did: in a month a letter to each
-- that is cold still, which hal has not allowed, and a call to flo. She buys: the call is off.
SELECT activate_sequence('re_engagement', enroll => 'all') AS cold, activate_sequence('customer_care', enroll => 'all') AS at_risk;
SELECT external_id, channel, content, due_at > now() + interval '29 days' AS in_a_month FROM action_log WHERE status = 'waiting' AND sequence IN ('re_engagement', 'customer_care') ORDER BY 1;
SELECT count(track('flo', 'purchase', value => 20)) AS bought;
SELECT end_reason FROM enrollment WHERE lead_id = lead_id('flo');

-- "Who did that?" A stage, points and an owner by hand have the name of the person.
DELETE FROM lead;
SELECT upsert_lead('ivy', 'ivy@mail.example', consent => true) > 0 AS ivy;
SELECT set_stage('ivy', 'mql', 'met at the fair', 'kim') AS stage, assign_lead('ivy', 'lee') IS NULL AS new;
SELECT count(track('ivy', 'points_added', '{"by": "kim", "reason": "asked twice"}', value => 7)) AS added;
SELECT what, name, reason, CASE who WHEN current_user THEN 'me' ELSE who END AS who FROM lead_timeline WHERE lead_id = lead_id('ivy') AND (what = 'owner' OR what = 'event') ORDER BY what, name;
SELECT rule, points FROM explain('ivy');

-- "What next for Kai?" A worker has the welcome letter in its hands when sales makes
-- Kai an mql, which ends the welcome. So nobody is told to welcome him.
DELETE FROM lead;
SELECT upsert_lead('kai', 'kai@mail.example', consent => true, contact_allowed => true) > 0 AS kai;
SELECT content FROM claim_actions('email', at => now() + interval '1 minute');
SELECT action = 'welcome' AS welcome FROM recommended_action WHERE external_id = 'kai';
SELECT set_stage('kai', 'mql') AS stage;
SELECT e.end_reason, a.status FROM enrollment e JOIN action a USING (lead_id, sequence, run) WHERE e.sequence = 'welcome' AND e.lead_id = lead_id('kai');
SELECT action = 'welcome' AS welcome FROM recommended_action WHERE external_id = 'kai';

-- "Where in the funnel is he, and what is that worth?" In the preset with four
-- dimensions an educational content is 5 points of the place in the funnel, and one
-- about solutions 15: of 20 points two fifths count.
SELECT count(*) FROM leadscore.create_pipeline('multi', 'multidimensional');
SELECT (multi.track('jon', 'content_download', '{"content": "a", "intent": "educational"}', profile => '{"email": "jon@mail.example", "consent": true}')).stage, (multi.track('jon', 'content_download', '{"content": "b", "intent": "solution"}')).stage;
SELECT dimension, points, weight FROM multi.lead_dimension WHERE points > 0;
SELECT score FROM multi.lead_score;
SELECT leadscore.drop_pipeline('multi');

RESET search_path;
SELECT leadscore.drop_pipeline('crm');
