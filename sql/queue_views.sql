--
-- The views on the queue, the sequences of the presets, follow-ups and grants.
--
SET timezone = 'UTC';
SELECT leadscore.create_pipeline('crm') \g /dev/null
SET search_path = crm, crm_reports, leadscore;

-- The presets: drafts that can all be activated, once their segments are
CREATE TEMP TABLE preset (preset text);
INSERT INTO preset VALUES ('enterprise'), ('multidimensional');
SELECT count(*) FROM preset, leadscore.create_pipeline(preset, preset);
SELECT sequence, status, starts_on, start_name, goal_stage, goal_signals, stay_in_segment, again_after, priority FROM sequence ORDER BY 1;
SELECT sequence, step, position, delay, business_time, kind, channel, content, unless FROM sequence_step ORDER BY sequence, position;
SELECT channel, period, max_count FROM contact_limit ORDER BY 2;
SELECT * FROM contact_hours ORDER BY 1;
SELECT count(*) FILTER (WHERE b.action IS NULL) AS missing, count(*) FROM stage_action a LEFT JOIN enterprise.stage_action b USING (stage, position, action);
DO $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT p, q.sequence, q.start_name FROM unnest('{crm,enterprise,multidimensional}'::text[]) p, crm.sequence q ORDER BY 1, 2 LOOP
        IF r.start_name IN ('cold', 'quiet_customers') THEN
            EXECUTE format('SELECT %I.activate_segment(%L)', r.p, r.start_name);
        END IF;
        EXECUTE format('SELECT %I.activate_sequence(%L)', r.p, r.sequence);
    END LOOP;
END
$$;
SELECT p.preset, count(*) FILTER (WHERE q.status = 'active') AS active, count(*) FROM (SELECT 'inbound' AS preset, status FROM crm.sequence UNION ALL
    SELECT 'enterprise', status FROM enterprise.sequence UNION ALL SELECT 'multidimensional', status FROM multidimensional.sequence) q JOIN (TABLE preset UNION SELECT 'inbound') p USING (preset) GROUP BY 1 ORDER BY 1;
SELECT leadscore.drop_pipeline('enterprise'), leadscore.drop_pipeline('multidimensional') \g /dev/null

-- Who begins is cold at the end of the statement. A lead that is born with a look
-- at the prices is cold for no time; one that only subscribes is cold.
INSERT INTO lead (lead_id, external_id, email, consented_at) VALUES (1, 'looks', 'looks@mail.example', now()), (2, 'reads', 'reads@mail.example', now());
SELECT setval('lead_lead_id_seq', 100) \g /dev/null
SELECT sequence, lead_id FROM enrollment WHERE sequence = 're_engagement' ORDER BY 2;
SELECT inserted FROM track_many('[
    {"external_id": "looks too", "kind": "pricing_view", "profile": {"email": "too@mail.example", "consent": true}},
    {"external_id": "reads too", "kind": "newsletter_signup", "profile": {"email": "reads2@mail.example", "consent": true}}]');
SELECT external_id, 'cold' = ANY (ARRAY(SELECT m.segment FROM segment_members m WHERE m.lead_id = l.lead_id)) AS cold,
    ARRAY(SELECT e.sequence FROM enrollment e WHERE e.lead_id = l.lead_id AND e.ended_at IS NULL ORDER BY 1) AS runs
    FROM lead l ORDER BY lead_id;
SELECT count(*) AS begun_and_not_cold FROM enrollment e WHERE e.sequence = 're_engagement' AND NOT EXISTS (SELECT FROM segment_members m WHERE m.segment = 'cold' AND m.lead_id = e.lead_id);
-- its first letter waits for a month; whoever looks at a solution before is not cold any more
SELECT sequence, step, status, reason, round(extract(epoch FROM due_at - created_at) / 86400) BETWEEN 30 AND 33 AS in_a_month FROM action_log WHERE external_id = 'reads' AND sequence = 're_engagement';
SELECT stage FROM track('reads', 'pricing_view');
SELECT sequence, step, status, reason FROM action_log WHERE external_id = 'reads' AND sequence = 're_engagement';
SELECT sequence, ended_at IS NULL AS open, end_reason FROM enrollment JOIN lead USING (lead_id) WHERE external_id = 'reads' ORDER BY 1;
DELETE FROM lead;

-- An alert is raised once for each time that a lead rises into sql: not when it
-- falls back into it, not while it stays there.
SELECT stage_changed, stage FROM track('up', 'quote_request', profile => '{"email": "up@mail.example", "consent": true}');
SELECT set_stage('up', 'sql') \g /dev/null
SELECT sequence, step, kind, status, content FROM action_log WHERE external_id = 'up' AND sequence IN ('hot_lead', 'immediate_contact', 'sla_warning') ORDER BY 1, 2;
SELECT external_id, sequence, content, stage, stage_rank, raised_at IS NOT NULL AS raised FROM open_alerts;
SELECT stage FROM track('up', 'page_view');
SELECT count(*) FROM open_alerts;
-- the first try to reach it answers the alert, and the warning never comes
SELECT stage FROM track('up', 'outreach', properties => '{"outcome": "engaged"}');
SELECT sequence, status, reason FROM action_log WHERE external_id = 'up' AND sequence IN ('hot_lead', 'immediate_contact', 'sla_warning') ORDER BY 1;
SELECT count(*) FROM open_alerts;
-- it falls back: into mql from above, which is no crossing upwards, so the sequence of mql does not begin
SELECT set_stage('up', 'mql') \g /dev/null
SELECT sequence, run, end_reason FROM enrollment WHERE sequence IN ('solution', 'hot_lead', 'immediate_contact', 'sla_warning') ORDER BY 1, 2;
-- and rises again: that is another
SELECT set_stage('up', 'sql') \g /dev/null
SELECT sequence, run, end_reason FROM enrollment WHERE sequence IN ('solution', 'hot_lead', 'immediate_contact', 'sla_warning') ORDER BY 1, 2;
SELECT external_id, sequence, content FROM open_alerts;
-- acknowledged, with the ticket that the view shows
SELECT complete_action(lead_id, action_id, attempt + 1) AS stale, complete_action(lead_id, action_id, attempt) AS done FROM open_alerts;
SELECT count(*) FROM open_alerts;
SELECT run, end_reason FROM enrollment WHERE sequence = 'hot_lead' ORDER BY 1;
-- the warning, an hour later: that is the sla of an sql
UPDATE action SET due_at = now() WHERE sequence = 'sla_warning' AND status = 'waiting' AND due_at = created_at + interval '1 hour';
SELECT sequence, content FROM open_alerts;
SELECT pause_sequence('sla_warning');
SELECT count(*) FROM open_alerts;
DELETE FROM lead;
UPDATE sequence SET status = 'paused' WHERE status = 'active';

-- A warning follows the sla of the model that is active: 30 minutes, an hour for
-- leads of a small company, and by setting.first_response_within if there is none.
SELECT clone_model('inbound', 'faster');
INSERT INTO signal (signal, source, condition) VALUES ('small_company', 'profile', '$.employees < 10');
UPDATE stage_rule SET sla = '30 minutes' WHERE model = 'faster' AND stage = 'sql';
INSERT INTO stage_rule (model, stage, only_if, sla) VALUES ('faster', 'sql', 'small_company', '1 hour');
SELECT activate_model('faster', wait => true) \g /dev/null
SELECT activate_sequence('sla_warning');
SELECT stage FROM track('quick', 'quote_request', profile => '{"email": "quick@mail.example", "consent": true}');
SELECT stage FROM track('small', 'quote_request', profile => '{"email": "small@mail.example", "consent": true, "employees": 5}');
SELECT set_stage(n, 'sql') FROM unnest('{quick,small}'::text[]) n \g /dev/null
SELECT external_id, due_at - created_at AS after FROM action_log WHERE sequence = 'sla_warning' AND status = 'waiting' ORDER BY 1;
SELECT clone_model('faster', 'no sla');
UPDATE stage_rule SET sla = NULL WHERE model = 'no sla';
UPDATE setting SET first_response_within = '2 hours';
SELECT activate_model('no sla', wait => true) \g /dev/null
SELECT stage FROM track('free', 'quote_request', profile => '{"email": "free@mail.example", "consent": true}');
SELECT set_stage('free', 'sql') \g /dev/null
SELECT due_at - created_at AS after FROM action_log WHERE sequence = 'sla_warning' AND external_id = 'free';
UPDATE setting SET first_response_within = '1 hour';
SELECT activate_model('inbound', wait => true) \g /dev/null
DELETE FROM lead;
SELECT pause_sequence('sla_warning');
INSERT INTO sequence (sequence, starts_on) VALUES ('by itself', 'by_hand');
INSERT INTO sequence_step (sequence, step, position, delay, channel) VALUES ('by itself', 'call', 1, NULL, 'email');
SELECT activate_sequence('by itself');

-- A task whose condition does not hold is in no list: a worker would skip it.
UPDATE sequence_step SET delay = '0', kind = 'task', channel = 'phone', unless = '{demo_request}' WHERE sequence = 'by itself';
INSERT INTO sequence_step (sequence, step, position, kind, channel, only_if) VALUES ('by itself', 'alert', 2, 'alert', 'team', '{small_company}');
SELECT activate_sequence('by itself');
SELECT upsert_lead(n, profile => '{"email": "asks@mail.example", "consent": true, "employees": 5}') > 0 AS made FROM unnest('{asks,silent}'::text[]) n;
SELECT count(*) FROM unnest('{asks,silent}'::text[]) n, enroll_lead(n, 'by itself') e WHERE e;
SELECT external_id, step FROM work_list ORDER BY 1;
SELECT stage FROM track('asks', 'demo_request');
SELECT external_id, step FROM work_list ORDER BY 1;
SELECT complete_action(lead_id, action_id, attempt) FROM work_list WHERE external_id = 'silent';
SELECT count(*) FROM claim_actions('phone');
SELECT external_id, step, status, reason FROM action_log WHERE sequence = 'by itself' ORDER BY external_id, action_id;
CREATE ROLE leadscore_list_reader;
SELECT leadscore.grant_reader('crm', 'leadscore_list_reader');
SET ROLE leadscore_list_reader;
SELECT external_id, step FROM open_alerts ORDER BY 1;
RESET ROLE;
SELECT upsert_lead('silent', profile => '{"employees": 50}') > 0 AS grown;
SELECT external_id, step FROM open_alerts ORDER BY 1;
DROP OWNED BY leadscore_list_reader;
DROP ROLE leadscore_list_reader;
DELETE FROM lead;
UPDATE sequence SET status = 'paused' WHERE status = 'active';

-- A day of sales. The first call of "new" is due in its hour; "late" should have
-- been called by now; "again" waits for its second call today, and "plain" is an sql of which
-- nothing is planned; "tomorrow" is planned, "refuses" wants no calls.
SELECT activate_sequence('immediate_contact');
INSERT INTO lead (lead_id, external_id, email, phone, owner, consented_at, contact_allowed, created_at)
    SELECT n, name, name || '@mail.example', '+49 30 ' || n, 'sue', now() - interval '2 days', CASE WHEN name <> 'refuses' THEN true END, now() - interval '2 days'
    FROM unnest('{new,late,again,plain,tomorrow,refuses,customer}'::text[]) WITH ORDINALITY AS u (name, n);
SELECT set_stage('new', 'sql') \g /dev/null
SELECT stage FROM track('late', 'stage_set', occurred_at => now() - interval '2 hours', properties => '{"stage": "sql"}');
-- that was before the sequence was activated
SELECT lead_id FROM enrollment ORDER BY 1;
SELECT enroll_lead('late', 'immediate_contact');
UPDATE action SET due_at = now() - interval '2 hours' WHERE lead_id = 2;
INSERT INTO event (lead_id, kind, occurred_at, properties)
    SELECT n, 'stage_set', now() - interval '10 minutes', '{"stage": "sql"}' FROM generate_series(3, 6) n;
SELECT stage FROM track('customer', 'purchase', value => 10);
SELECT withdraw_consent('refuses', 'marketing', evidence => '{"by": "phone"}');
SELECT add_action('again', 'phone', 'second call', due_at => now() - interval '5 minutes', dedup_key => 'a', kind => 'task', priority => 20, assignee => 'tom') > 0 AS added;
SELECT add_action('again', 'phone', 'third call', due_at => now() + interval '3 days', dedup_key => 'b', kind => 'task') > 0 AS added;
SELECT add_action('tomorrow', 'phone', 'call', due_at => now() + interval '1 day', dedup_key => 'a', kind => 'task') > 0 AS added;
SELECT add_action('customer', 'phone', 'ask how it goes', due_at => now(), dedup_key => 'a', kind => 'task') > 0 AS added;
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES (3, 'outreach', now() - interval '1 minute', '{"outcome": "no answer"}'), (3, 'page_view', now() - interval '30 seconds', NULL),
    (3, 'page_view', now() + interval '2 days', NULL), (3, 'outreach', now() - interval '5 minutes', '{"outcome": "busy"}');
SELECT call_order, external_id, owner, email, phone, channel, content, sequence, step, stage, due_at <= now() AS due, sla_due_at IS NOT NULL AS sla, breached,
    last_kind, last_outcome, next_at > now() AS has_next, contact_allowed, action_id IS NOT NULL AS task, attempt FROM work_list;
-- of "again" the clock is answered by the outreach; the task is done with what the list shows
SELECT complete_action(lead_id, action_id, attempt, outcome => 'call back', properties => '{"call_back_at": "2031-01-07T10:00:00+01:00"}') FROM work_list WHERE external_id = 'again';
SELECT call_order, external_id, content FROM work_list;
SELECT content, channel, assignee, status, CASE WHEN due_at > '2030-01-01' THEN due_at END AS due_at FROM action_log WHERE external_id = 'again' AND (due_at > '2030-01-01' OR status = 'done') ORDER BY action_id;
SELECT kind, properties FROM event WHERE source_id LIKE 'action:%';
-- a call back, again and again
SELECT complete_action(lead_id, action_id, attempt, 'not there', jsonb_build_object('call_back_at', '2031-02-01')) FROM action WHERE due_at = '2031-01-07 09:00Z';
UPDATE lead SET time_zone = 'America/New_York' WHERE external_id = 'again';
SELECT complete_action(lead_id, action_id, attempt, 'not there', jsonb_build_object('call_back_at', '2031-02-02 08:30')) FROM action WHERE due_at = '2031-02-01 00:00Z';
SELECT content, due_at, expires_at, sequence, status FROM action JOIN lead USING (lead_id) WHERE external_id = 'again' AND due_at > '2031-01-01' ORDER BY due_at;
-- what is no date adds nothing, and fails nothing; what is over is due now
CREATE TEMP TABLE odd (n integer, said jsonb);
INSERT INTO odd SELECT n, s FROM unnest(ARRAY['"soon"', '"2031-13-01"', '"2031-02-30"', '"2031-02-02T25:00"', '"infinity"', '"9999-12-31"', '"0001-01-01"', '20310202', 'null', '{}', '"2031-02-02 10:00+99"', '"now"', '""', '"2031-02-02; DROP"', '"2020-01-01"']::jsonb[]) WITH ORDINALITY AS u (s, n);
SELECT count(add_action('plain', 'phone', 'odd ' || n, kind => 'task', dedup_key => 'odd ' || n)) FROM odd;
SELECT o.said, complete_action(a.lead_id, a.action_id, a.attempt, properties => jsonb_build_object('call_back_at', o.said)) AS done FROM odd o JOIN action a ON a.dedup_key = 'app:odd ' || o.n ORDER BY o.n;
SELECT content, due_at = created_at AS due_now FROM action WHERE dedup_key LIKE 'call back/%' AND content LIKE 'odd%';
-- a message has no follow-up, and done twice makes one
SELECT add_action('plain', 'phone', 'twice', kind => 'task', dedup_key => 'twice') AS twice \gset
SELECT complete_action(4, :twice, 0, properties => '{"call_back_at": "2031-05-05"}') AS once, complete_action(4, :twice, 0, properties => '{"call_back_at": "2031-05-06"}') AS again;
SELECT count(*), min(due_at) FROM action WHERE content = 'twice' AND status = 'waiting';
SET datestyle = 'SQL, DMY';
SET timezone = 'Asia/Tokyo';
SELECT leadscore_internal.iso_instant('2031-05-06', 'UTC') = '2031-05-06 00:00Z'::timestamptz AS same;
RESET datestyle;
SET timezone = 'UTC';

-- What to do next: what waits in the queue, or else the row of the stage and segment
SELECT activate_segment('ready_to_buy');
SELECT stage FROM track('mql', 'case_study_download', profile => '{"email": "mql@mail.example", "consent": true}');
SELECT set_stage('mql', 'mql') \g /dev/null
SELECT stage FROM track('iql', 'newsletter_signup', profile => '{"email": "iql@mail.example", "consent": true}');
SELECT stage FROM track('wants', 'page_view', profile => '{"email": "wants@mail.example", "consent": true}');
SELECT set_stage('wants', 'mql') \g /dev/null
SELECT stage FROM track('wants', 'quote_request');
SELECT stage FROM track('visitor', 'page_view');
SELECT external_id, stage, source, action, kind, channel, due_at <= now() AS due, segment FROM recommended_action ORDER BY lead_id;
INSERT INTO stage_action (stage, segment, position, action) VALUES ('mql', 'cold', 0, 'nobody is mql and cold');
DELETE FROM stage_action WHERE segment IS NULL AND stage = 'iql';
SELECT external_id, source, action, segment FROM recommended_action WHERE external_id IN ('wants', 'mql', 'iql') ORDER BY 1;
-- a lead that is forgotten is on no list
SELECT forget_lead('customer');
SELECT count(*) FROM recommended_action WHERE stage = 'customer';
SELECT count(*) FROM work_list WHERE stage = 'customer';
SELECT content, status, reason, external_id FROM action_log WHERE lead_id = 7 AND kind = 'task';

-- What sequences led to. Three leads, two steps, two variants of the first.
UPDATE sequence SET status = 'paused' WHERE status = 'active';
DELETE FROM lead;
DELETE FROM contact_limit;
INSERT INTO sequence (sequence, starts_on, goal_stage, again_after) VALUES ('news', 'by_hand', 'mql', '0 days');
INSERT INTO sequence_step (sequence, step, position, channel, content, variant, delay) VALUES ('news', 'one', 1, 'email', 'letter', 'a', '0'), ('news', 'two', 2, 'email', 'letter', NULL, '1 day'), ('news', 'call', 3, 'phone', 'call', NULL, '0');
UPDATE sequence_step SET kind = 'task' WHERE step = 'call';
SELECT activate_sequence('news');
INSERT INTO lead (lead_id, external_id, email, phone, consented_at, created_at)
    SELECT n, 'n' || n, CASE WHEN n <> 4 THEN 'n' || n || '@mail.example' END, n, '2026-01-01', '2026-01-01' FROM generate_series(1, 5) n;
SELECT bool_and(give_consent('n' || n, 'marketing', occurred_at => '2026-01-01')) FROM generate_series(1, 5) n;
SELECT withdraw_consent('n5', 'marketing', occurred_at => '2026-01-02');
SELECT enroll_lead('n' || n, 'news', '2026-03-02 10:00Z') FROM generate_series(1, 5) n \g /dev/null
UPDATE action SET variant = 'b' WHERE lead_id IN (2, 3);
SELECT claim_actions('email', at => '2026-03-02 10:00Z') \g /dev/null
SELECT complete_action(lead_id, action_id, attempt, at => '2026-03-02 10:01Z') FROM action WHERE status = 'claimed' ORDER BY 1 \g /dev/null
SELECT external_id, step, variant, status, reason, claimed_at, ended_at, attempt FROM action_log ORDER BY lead_id, action_id;
-- n1 opens twice and clicks, before the second letter; n2 opens without a name; n3 opens another letter of which the queue knows nothing, and leaves
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES
    (1, 'email_open', '2026-03-02 10:00:59Z', '{"message": "letter"}'),
    (1, 'email_open', '2026-03-02 10:01Z', '{"message": "letter"}'), (1, 'email_open', '2026-03-02 11:00Z', '{"message": "letter"}'), (1, 'email_click', '2026-03-02 11:00Z', '{"message": "letter"}'),
    (2, 'email_open', '2026-03-02 12:00Z', NULL), (2, 'email_reply', '2026-03-02 12:01Z', '{"message": "other"}'),
    (3, 'email_sent', '2026-03-02 13:00Z', '{"message": "letter"}'), (3, 'email_open', '2026-03-02 13:01Z', '{"message": "letter"}'), (3, 'email_click', '2026-03-02 13:01Z', NULL), (3, 'email_bounced', '2026-03-02 10:30Z', '{"message": "letter", "type": "soft"}');
SELECT claim_actions('email', at => '2026-03-03 10:05Z') \g /dev/null
SELECT complete_action(lead_id, action_id, attempt, at => '2026-03-03 10:06Z') FROM action WHERE status = 'claimed' ORDER BY 1 \g /dev/null
-- of the second letter n1 opens one, and leaves; n2 becomes mql
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES (1, 'email_open', '2026-03-03 11:00Z', '{"message": "letter"}'), (1, 'unsubscribe', '2026-03-03 12:00Z', NULL);
SELECT set_stage('n2', 'mql') \g /dev/null
SELECT step, variant, kind, channel, content, queued, open_actions AS open, done, sent, cancelled, skipped, skipped_no_address AS no_address, skipped_no_consent AS no_consent, skipped_suppressed AS suppressed, opened, clicked, replied, unsubscribed, bounced, goals
    FROM sequence_result WHERE level = 'step' AND sequence = 'news' ORDER BY step, variant;
SELECT step, variant, open_rate, click_rate, click_low_rate, click_high_rate, goal_rate, unsubscribe_rate, bounce_rate FROM sequence_result WHERE level = 'step' AND sequence = 'news' ORDER BY step, variant;
SELECT runs, open_runs, completed_runs, goal_runs, exited_runs, unsubscribed_runs, other_runs, queued, open_actions, done, sent, cancelled, skipped, opened, clicked, goals, goal_rate, round(goal_low_rate::numeric, 4) AS low, round(goal_high_rate::numeric, 4) AS high
    FROM sequence_result WHERE level = 'sequence' AND sequence = 'news';
SELECT lead_id, run, end_reason FROM enrollment WHERE sequence = 'news' ORDER BY 1;
-- a sequence that nobody has begun has rows too; a draft has none
SELECT count(*), sum(runs) FROM sequence_result WHERE level = 'sequence' AND sequence <> 'news';
INSERT INTO sequence (sequence, starts_on) VALUES ('draft', 'by_hand');
SELECT count(*) FROM sequence_result WHERE sequence = 'draft';

-- Grants: workers act through functions alone; readers see no address
CREATE ROLE queue_worker;
CREATE ROLE queue_reader;
SELECT leadscore.grant_app('crm', 'queue_worker'), leadscore.grant_reader('crm', 'queue_reader');
SET ROLE queue_worker;
SELECT add_action('n1', 'letter_post', 'card', kind => 'task', dedup_key => 'card') > 0 AS added;
SELECT enroll_lead('n3', 'news'), unenroll('n3', 'news');
SELECT external_id, phone, content, attempt FROM claim_actions('letter_post');
SELECT count(*) FROM action;
RESET ROLE;
SELECT lead_id, action_id, attempt FROM action WHERE content = 'card' \gset
SET ROLE queue_worker;
SELECT action_wanted(:lead_id, :action_id, :attempt), extend_action(:lead_id, :action_id, :attempt), fail_action(:lead_id, :action_id, :attempt, 'full');
SELECT complete_action(:lead_id, :action_id, :attempt), complete_actions(jsonb_build_array(jsonb_build_object('lead_id', :lead_id, 'action_id', :action_id, 'attempt', :attempt)));
SELECT cancel_action(:lead_id, :action_id, :attempt);
SELECT activate_sequence('news');
SET ROLE queue_reader;
SELECT external_id, content, status FROM action_log WHERE content = 'card';
SELECT count(*) > 0 AS rows FROM sequence_result;
SELECT count(*) FROM open_alerts;
SELECT count(*) > 0 AS rows FROM recommended_action;
SELECT * FROM work_list;
SELECT outcome FROM action;
SELECT _last_outcome(1);
RESET ROLE;
-- marketing plans, sales works
CREATE ROLE queue_marketing;
CREATE ROLE queue_sales;
SELECT leadscore.grant_marketing('crm', 'queue_marketing'), leadscore.grant_sales('crm', 'queue_sales');
SET ROLE queue_marketing;
INSERT INTO sequence (sequence, starts_on, note) VALUES ('offer', 'by_hand', 'for those who are ready');
INSERT INTO sequence_step (sequence, step, position, channel, content) VALUES ('offer', 'one', 1, 'email', 'the offer');
UPDATE contact_hours SET not_after = '19:00' WHERE channel = 'sms';
INSERT INTO contact_limit (channel, period, max_count) VALUES ('sms', 'week', 1);
UPDATE stage_action SET action = 'call today' WHERE stage = 'sql';
SELECT leads_now, could_begin FROM sequence_preview('offer');
SELECT activate_sequence('offer'), enroll('offer', 'ready_to_buy');
SELECT pause_sequence('offer');
SELECT retire_sequence('offer');
UPDATE sequence SET status = 'active' WHERE sequence = 'offer';
INSERT INTO action (lead_id, dedup_key, channel, due_at) VALUES (1, 'x', 'email', now());
SELECT * FROM work_list;
SET ROLE queue_sales;
SELECT external_id, email, content, owner FROM work_list ORDER BY lead_id;
SELECT assign_lead('n4', 'tom');
SELECT complete_action(lead_id, action_id, attempt, 'yes') FROM work_list WHERE external_id = 'n4';
SELECT owner, last_outcome FROM lead, _last_outcome(4) AS last_outcome WHERE lead_id = 4;
SELECT count(*) FROM open_alerts;
SELECT properties FROM event;
SELECT outcome FROM action;
SELECT add_action('n3', 'email', 'spam');
SELECT activate_sequence('offer');
RESET ROLE;
DROP OWNED BY queue_worker, queue_reader, queue_marketing, queue_sales;
DROP ROLE queue_worker, queue_reader, queue_marketing, queue_sales;

-- No odd instant gets out of the views
INSERT INTO action (lead_id, dedup_key, channel, kind, due_at, created_at) VALUES (1, 'odd', 'email', 'alert', '-infinity', '-infinity'), (1, 'odd2', 'phone', 'task', '-infinity', now());
SELECT created_at, due_at FROM action_log WHERE created_at IS NULL;
SELECT raised_at FROM open_alerts WHERE raised_at IS NULL;
SELECT due_at, external_id FROM work_list WHERE action_id IS NOT NULL AND due_at IS NULL;

-- Where Citus spreads leads over nodes, these views have another form, with the same rows
SELECT count(track('h' || i, k, occurred_at => now() - interval '2 hours', profile => jsonb_build_object('consent', true, 'email', 'h' || i || '@example.com',
        'budget', true, 'authority', true, 'need', true, 'timeline', i > 2)))
    FROM generate_series(1, 4) i, unnest('{pricing_view,demo_request,quote_request}'::text[]) k;
INSERT INTO event (lead_id, kind, occurred_at) SELECT lead_id, 'outreach', now() - interval '1 hour' FROM lead WHERE external_id IN ('n1', 'h1', 'h3');
SELECT count(add_action('h' || i, 'phone', 'task ' || j, kind => 'task', dedup_key => 'task ' || j, due_at => now() - j * interval '1 minute')) FROM generate_series(2, 3) i, generate_series(1, 2) j;
BEGIN;
CREATE TEMP VIEW shown AS
    SELECT 'hot_leads' AS view, h::text AS line FROM hot_leads h UNION ALL SELECT 'work_list', w::text FROM work_list w UNION ALL SELECT '_stay', y::text FROM _stay y;
CREATE TEMP TABLE here AS SELECT * FROM shown;
SELECT view, count(*) > 1 AS several FROM here GROUP BY view ORDER BY view COLLATE "C";
SELECT leadscore_internal.run_ddl('crm', 'distributed/' || form) FROM unnest('{lead_now,stay,hot_leads,work_list}'::text[]) form \g /dev/null
SELECT count(*) FILTER (WHERE f IS NULL OR t IS NULL) AS different, count(*) = (SELECT count(*) FROM here) AS same FROM here f FULL JOIN shown t USING (view, line);
ROLLBACK;
DROP SCHEMA crm, crm_reports CASCADE;
