--
-- Preset inbound: the story of the coffee machine, the bands and the gates
--
SELECT * FROM leadscore.create_pipeline('crm');
SET search_path = crm, crm_reports, leadscore, leadscore_internal, public;

-- Looking at a product, taking a case study, opening an e-mail, leaving a full
-- cart: 15 + 10 + 5 - 5 = 25, an iql. All on one day, so nothing fades.
SELECT stage, stage_changed FROM track('maria', 'product_page_view', '{"page": "/espresso"}', '2025-03-01 09:00Z',
    profile => '{"email": "maria@mail.example", "consent": true}');
SELECT stage, stage_changed FROM track('maria', 'case_study_download', '{"content": "office"}', '2025-03-01 09:10Z');
SELECT stage, stage_changed FROM track('maria', 'email_open', '{"message": "m1"}', '2025-03-01 12:00Z');
SELECT stage, stage_changed FROM track('maria', 'cart_abandoned', occurred_at => '2025-03-01 12:30Z');
SELECT score('maria', timestamptz '2025-03-01 13:00Z');
SELECT dimension, rule, events, points FROM explain('maria', timestamptz '2025-03-01 13:00Z') ORDER BY points DESC;
SELECT sum(points) = score('maria', timestamptz '2025-03-01 13:00Z') AS adds_up FROM explain('maria', timestamptz '2025-03-01 13:00Z');
SELECT stage_at('maria', '2025-03-01 13:00Z');
SELECT from_stage, to_stage, effective_at, cause, score FROM stage_history WHERE lead_id = lead_id('maria') ORDER BY seq;
-- points fade, halved after 30 days
SELECT d, score('maria', '2025-03-01 13:00Z'::timestamptz + d * interval '1 day') FROM unnest('{1,30,60,365}'::int[]) d;

-- By points alone
SELECT p AS points, stage_by_points(p, m.compiled)
FROM model m, unnest('{-5,0,30,30.5,30.999,31,70.5,70.999,71,1000}'::numeric[]) p
WHERE m.status = 'active';

-- With gates. 80 points and solution content, but no BANT: mql
SELECT stage FROM track('ann', 'case_study_download', profile => '{"email": "ann@mail.example", "consent": true}');
SELECT stage, stage_changed FROM track('ann', 'points_added', value => 70);
SELECT score('ann');
SELECT stage, gate, met, missing FROM next_steps('ann');
-- 80 or 40 points without solution content: iql
SELECT stage FROM track('bob', 'points_added', value => 40, profile => '{"email": "bob@mail.example", "consent": true}');
SELECT stage FROM track('bob', 'points_added', value => 40);
SELECT score('bob');
SELECT stage, gate, met, missing FROM next_steps('bob');
-- solution content of another kind
SELECT stage FROM track('bob', 'content_download', '{"content": "guide", "intent": "educational"}');
SELECT stage FROM track('bob', 'content_download', '{"content": "plan", "intent": "solution"}');
-- budget, authority, need, timeline, one after the other: sql with the last
SELECT stage, stage_changed FROM track('ann', 'outreach', profile => '{"budget": true}');
SELECT stage, stage_changed FROM track('ann', 'outreach', profile => '{"authority": true, "need": true, "timeline": "soon"}');
SELECT gate, met, missing FROM next_steps('ann');
SELECT stage, stage_changed FROM track('ann', 'outreach', profile => '{"timeline": true}');
SELECT gate, met, missing FROM next_steps('ann');
-- a sales contact makes an sql a prospect, a purchase a customer
SELECT stage FROM track('ann', 'sales_contact');
SELECT stage FROM track('ann', 'purchase', value => 499);
SELECT stage FROM track('ann', 'recycled');
SELECT stage FROM track('ann', 'disqualified');
-- but a customer that is lost has churned
BEGIN;
SELECT stage FROM track('ann', 'lost', '{"reason": "price"}');
SELECT stage, entered, lost, open FROM funnel WHERE stage = 'customer';
ROLLBACK;
-- no iql becomes a prospect
SELECT stage FROM track('maria', 'sales_contact', occurred_at => '2025-03-02');

-- Without consent, or without contact data, a contact is no lead
SELECT stage FROM track('carl', 'case_study_download', profile => '{"email": "carl@mail.example"}');
SELECT stage FROM track('carl', 'points_added', value => 100);
SELECT gate, met, missing FROM next_steps('carl');
SELECT stage, stage_changed FROM track('carl', 'page_view', profile => '{"consent": true}');
SELECT stage, stage_changed FROM track('carl', 'page_view', profile => '{"consent": false}');
SELECT stage FROM track('dora', 'page_view', profile => '{"consent": true, "email": "none"}');
SELECT stage, stage_changed FROM track('dora', 'page_view', profile => '{"phone": ""}');
SELECT stage, stage_changed FROM track('dora', 'page_view', profile => '{"phone": "+43 1 1234"}');
SELECT stage, stage_changed FROM track('dora', 'page_view', profile => '{"phone": " "}');
SELECT gate, met FROM next_steps('dora');

-- What is blank is no contact data, wherever it stands
SELECT lead, EXISTS (SELECT FROM leadscore_internal.profile_signals(jsonb_populate_record(NULL::lead, lead)) s JOIN signal USING (signal_id) WHERE signal = 'contactable') AS contact
FROM unnest(ARRAY['{}', '{"email": ""}', '{"email": " @ "}', '{"email": "a@b.example"}', '{"email": "\"Ann B\"@b.example"}',
    '{"profile": {"phone": ""}}', '{"profile": {"phone": " \t\n"}}', '{"profile": {"phone": null}}', '{"profile": {"phone": []}}', '{"profile": {"phone": [null, "", [" "]]}}',
    '{"profile": {"phone": {}}}', '{"profile": {"phone": {"home": ""}}}', '{"profile": {"phone": false}}', '{"profile": {"phone": "-"}}', '{"profile": {"social": ""}}', '{"profile": {"social": [" "]}}',
    '{"profile": {"phone": "+43 1 1234"}}', '{"profile": {"phone": 4311234}}', '{"profile": {"phone": ["", "1234"]}}', '{"profile": {"phone": {"home": "", "work": "1234"}}}',
    '{"profile": {"social": "@ann"}}', '{"profile": {"social": [{"network": "x", "name": "ann"}]}}', '{"email": "", "profile": {"phone": "", "social": "@ann"}}']::jsonb[]) WITH ORDINALITY AS v (lead, n)
ORDER BY n;

-- Out and in again: a new cycle. Recycling resets engagement
SELECT stage FROM track('bob', 'lost', '{"reason": "budget"}');
SELECT stage FROM track('bob', 'recycled');
SELECT stage, cycle, promotion_blocked FROM lead_state WHERE lead_id = lead_id('bob');
SELECT dimension, points FROM lead_dimension WHERE lead_id = lead_id('bob');
SELECT stage FROM track('bob', 'points_removed', value => 79.5);
SELECT stage, stage_changed FROM track('bob', 'points_added', value => 0.5);
SELECT cycle, from_stage, to_stage, cause FROM stage_history WHERE lead_id = lead_id('bob') ORDER BY seq;

-- Points by hand count exactly, odd ones not at all
SELECT stage FROM track('eve', 'points_added', value => 0.125);
SELECT stage FROM track('eve', 'points_added', value => -7);
SELECT stage FROM track('eve', 'points_added');
SELECT stage FROM track('eve', 'points_removed', value => 1.5);
SELECT stage FROM track('eve', 'points_added', value => 'NaN');
INSERT INTO event (lead_id, kind, value) VALUES (lead_id('eve'), 'points_added', 'NaN');
SELECT score('eve');
SELECT stage FROM track('eve', 'sneezed');
SELECT stage FROM track('eve', 'email_sent');
SELECT kind, reason FROM unscored_events ORDER BY event_id;

-- Frequency limits, and fit
SELECT inserted FROM track_many((SELECT jsonb_agg(jsonb_build_object('external_id', 'fan', 'kind', 'email_open', 'occurred_at', '2025-03-01T10:00Z'::timestamptz + i * interval '1 minute')) FROM generate_series(1, 50) i));
SELECT score('fan', timestamptz '2025-03-01 12:00Z');
SELECT count(upsert_lead(job, profile => jsonb_build_object('job_title', job, 'employees', 50)))
    FROM unnest('{Head of Sales,CTO,Doctor,Chief Barista,International Buyer,Student,Intern}'::text[]) AS job;
SELECT external_id, grade, fit FROM lead_score WHERE fit <> 0 ORDER BY external_id COLLATE "C";

-- Time passes. A lead that will be mql when an abandoned cart is forgotten
BEGIN;
SELECT stage FROM track('ida', 'cart_abandoned', profile => '{"email": "ida@mail.example", "consent": true}');
SELECT stage FROM track('ida', 'case_study_download', occurred_at => now() - interval '10 years');
SELECT stage FROM track('ida', 'points_added', value => 33);
SELECT stage, next_review_at::date - (now() AT TIME ZONE 'UTC')::date AS in_days FROM lead_score WHERE external_id = 'ida';
-- so let all of that be 50 days ago
CREATE FUNCTION pg_temp.days_before(a leadscore.lead_activity, days int) RETURNS leadscore.lead_activity LANGUAGE sql
    AS 'SELECT leadscore.lead_activity_agg(u.signal_id, u.bucket - days * interval ''1 day'', u.count, ''1 day'') FROM leadscore.unnest(a) u';
SET LOCAL session_replication_role = replica;
UPDATE lead SET created_at = created_at - interval '50 days', updated_at = updated_at - interval '50 days' WHERE external_id = 'ida';
UPDATE event SET occurred_at = occurred_at - interval '50 days' WHERE lead_id = lead_id('ida');
UPDATE profile_change SET changed_at = changed_at - interval '50 days' WHERE lead_id = lead_id('ida');
UPDATE stage_log SET effective_at = effective_at - interval '50 days' WHERE lead_id = lead_id('ida');
UPDATE lead_state SET activity = pg_temp.days_before(activity, 50), stage_since = stage_since - interval '50 days',
    profile_at = profile_at - interval '50 days', milestone_at = milestone_at - interval '50 days',
    processed_until = processed_until - interval '50 days', next_review_at = next_review_at - interval '50 days'
    WHERE lead_id = lead_id('ida');
SET LOCAL session_replication_role = DEFAULT;
-- views know at once, and since when
SELECT stage, (now() AT TIME ZONE 'UTC')::date - stage_since_at::date AS for_days FROM lead_score WHERE external_id = 'ida';
SELECT external_id FROM hot_leads WHERE external_id = 'ida';
-- the sweep records it
SELECT stage FROM lead_state WHERE lead_id = lead_id('ida');
SELECT sweep();
SELECT sweep();
SELECT stage FROM lead_state WHERE lead_id = lead_id('ida');
SELECT to_stage, cause, (now() AT TIME ZONE 'UTC')::date - effective_at::date AS days_ago FROM stage_history WHERE lead_id = lead_id('ida') ORDER BY seq DESC LIMIT 1;
SELECT * FROM verify();
ROLLBACK;

-- gates_required = false: points alone decide, but never without consent
SELECT clone_model('inbound', 'points only');
UPDATE model SET gates_required = false WHERE model = 'points only';
SELECT level, stage_a, stage_b, leads FROM compare_models('inbound', 'points only') WHERE level = 'stage' AND stage_a <> stage_b;
SELECT activate_model('points only', wait => true);
SELECT stage FROM track('finn', 'points_added', value => 71, profile => '{"email": "finn@mail.example", "consent": true}');
SELECT stage FROM track('gina', 'points_added', value => 71, profile => '{"email": "gina@mail.example"}');
SELECT activate_model('inbound', wait => true);
SELECT stage FROM track('hugo', 'points_added', value => 71, profile => '{"email": "hugo@mail.example", "consent": true}');
SELECT model FROM model_activation ORDER BY activation_id;

-- The first hour: an sql at 10:00 is inside at 11:00:00 and not at 11:00:01.
-- Clocks stand still in a transaction.
BEGIN;
SELECT upsert_lead('sla ' || n, n || '@mail.example', '{"budget": true, "authority": true, "need": true, "timeline": true}', consent => true, at => now() - interval '2 hours') > 0
    FROM unnest('{on time,late,served,served late}'::text[]) n;
INSERT INTO event (lead_id, kind, value, occurred_at)
    SELECT lead_id('sla ' || n), 'points_added', 80, now() - a
    FROM (VALUES ('on time', interval '1 hour'), ('late', '1 hour 1 second'), ('served', '1 hour 30 minutes'), ('served late', '1 hour 30 minutes')) v (n, a);
INSERT INTO event (lead_id, kind, occurred_at) VALUES
    (lead_id('sla served'), 'outreach', now() - interval '30 minutes'),
    (lead_id('sla served late'), 'outreach', now() - interval '29 minutes 59 seconds');
SELECT external_id, stage, score, why, due_at - now() AS due_in, contacted, breached FROM hot_leads WHERE external_id LIKE 'sla%' ORDER BY external_id;
SELECT array_agg(call_order ORDER BY stage_rank DESC, score DESC, stage_since_at, lead_id) = array_agg(call_order ORDER BY call_order) AS sorted FROM hot_leads;
ROLLBACK;

-- The views
SELECT external_id, stage, stage_rank, temperature, score > 0 AS positive, fit, grade, last_activity_at IS NOT NULL AS active, consented
    FROM lead_score WHERE external_id IN ('ann', 'bob', 'carl', 'eve') ORDER BY external_id;
SELECT upsert_lead(n, organization => 'ACME', profile => '{"employees": 60, "job_title": "director"}') > 0 FROM unnest('{acme1,acme2}'::text[]) n;
SELECT upsert_lead('acme', organization => 'ACME', kind => 'organization') > 0;
SELECT inserted FROM track_many('[{"external_id": "acme1", "kind": "points_added", "value": 10}, {"external_id": "acme2", "kind": "points_added", "value": 5}]');
SELECT organization, leads, people, stage, score, fit, grade, customers FROM account_score;
-- leads without a name of an organization are not of one
BEGIN;
INSERT INTO lead (external_id, organization) VALUES ('nameless 1', ''), ('nameless 2', '');
SELECT organization, leads FROM account_score;
ROLLBACK;
SELECT stage, stage_rank, stage_label, leads_now, entered, entered_directly, converted, lost, open, round(step_rate::numeric, 3) AS step_rate, round(cumulative_rate::numeric, 3) AS cumulative_rate, reached FROM funnel;
SELECT bool_and(entered = converted + lost + open AND converted <= entered AND entered_directly <= entered AND entered <= reached) AS sound,
    bool_and(entered - entered_directly <= entered_before) AS whole FROM (SELECT *, lag(entered, 1, 0::bigint) OVER (ORDER BY stage_rank) AS entered_before FROM funnel) f;

-- Stored activities equal a computation from all events
SELECT * FROM verify();
SELECT rebuild();
SELECT * FROM verify();
RESET search_path;
DROP SCHEMA crm, crm_reports CASCADE;
