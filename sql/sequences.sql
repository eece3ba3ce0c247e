--
-- Sequences: what may be defined, what begins a run of a lead and what ends it
--
SELECT leadscore.create_pipeline('crm') \g /dev/null
-- not those of the preset
DELETE FROM crm.sequence;
DELETE FROM crm.contact_limit;
DELETE FROM crm.contact_hours;
CREATE SCHEMA try;
CREATE FUNCTION try.try(sql text, OUT code text, OUT message text, OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE sql;
    code := 'none';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
END
$$;
-- the runs of a lead, and what is in the queue for it; its last letters are its name
CREATE VIEW try.run AS
    SELECT l.external_id AS lead, e.sequence, e.run, e.started_by, e.last_position AS at_step, e.end_reason FROM crm.enrollment e JOIN crm.lead l USING (lead_id);
CREATE VIEW try.queue AS
    SELECT l.external_id AS lead, a.dedup_key, a.status, a.reason, a.due_at AT TIME ZONE 'Europe/Madrid' AS due_in_madrid, a.due_at - a.created_at AS due_after FROM crm.action a JOIN crm.lead l USING (lead_id);
CREATE FUNCTION try.lead(name text, at timestamptz DEFAULT '2026-01-01', consent boolean DEFAULT true) RETURNS bigint LANGUAGE sql AS
    $$SELECT crm.upsert_lead(name, name || '@mail.example', consent => consent, contact_allowed => consent, at => at)$$;
-- an event of a lead, that puts it into a stage if it is named so
CREATE FUNCTION try.event(lead text, what text, at timestamptz DEFAULT now()) RETURNS text LANGUAGE sql AS
    $$SELECT stage FROM crm.track(lead, CASE WHEN what IN (SELECT s.stage::text FROM leadscore.stages() s) THEN 'stage_set' ELSE what END, jsonb_build_object('stage', what), at)$$;
-- says that what was claimed of a lead was sent
CREATE FUNCTION try.done(lead text, at timestamptz) RETURNS boolean LANGUAGE sql AS
    $$SELECT crm.complete_action(a.lead_id, a.action_id, a.attempt, at => done.at) FROM crm.action a WHERE a.lead_id = crm.lead_id(done.lead) AND a.status = 'claimed'$$;

-- What a table refuses
SELECT s AS columns, t.code, t.message FROM unnest(ARRAY[$$(sequence, starts_on) VALUES ('', 'by_hand')$$, $$(sequence, starts_on) VALUES ('a/b', 'by_hand')$$, $$(sequence, starts_on) VALUES ('app:a', 'by_hand')$$,
    $$(sequence, starts_on) VALUES ('a', 'monday')$$, $$(sequence, starts_on) VALUES ('a', 'event')$$, $$(sequence, starts_on, start_name) VALUES ('a', 'by_hand', 'mql')$$,
    $$(sequence, starts_on, start_name) VALUES ('a', 'stage', 'ready')$$, $$(sequence, starts_on, stay_in_segment) VALUES ('a', 'by_hand', 'none')$$,
    $$(sequence, starts_on, late_after) VALUES ('a', 'by_hand', '0')$$, $$(sequence, starts_on, late_after) VALUES ('a', 'by_hand', '11 years')$$, $$(sequence, starts_on, again_after) VALUES ('a', 'by_hand', '-1 day')$$,
    $$(sequence, starts_on, again_after) VALUES ('a', 'by_hand', '101 years')$$, $$(sequence, starts_on, status) VALUES ('a', 'by_hand', 'on')$$, $$(sequence, starts_on, status, activated_by, activated_at) VALUES ('a', 'by_hand', 'active', 'me', now())$$,
    $$(sequence, starts_on, status) VALUES ('a', 'by_hand', 'retired')$$]) s, try.try('INSERT INTO crm.sequence ' || s) t;
INSERT INTO crm.sequence (sequence, starts_on) VALUES ('a', 'by_hand');
SELECT s AS columns, t.code, t.message FROM unnest(ARRAY[$$(sequence, step, position, channel) VALUES ('b', 's', 1, 'email')$$, $$(sequence, step, position, channel) VALUES ('a', '', 1, 'email')$$, $$(sequence, step, position, channel) VALUES ('a', 's/t', 1, 'email')$$,
    $$(sequence, step, position, channel) VALUES ('a', 's', 0, 'email')$$, $$(sequence, step, position, channel) VALUES ('a', 's', 1, 'E-Mail')$$, $$(sequence, step, position, channel, topic) VALUES ('a', 's', 1, 'email', ' tea')$$,
    $$(sequence, step, position, channel, delay) VALUES ('a', 's', 1, 'email', '-1 s')$$, $$(sequence, step, position, channel, delay) VALUES ('a', 's', 1, 'email', '11 years')$$, $$(sequence, step, position, channel, weekdays) VALUES ('a', 's', 1, 'email', '{}')$$,
    $$(sequence, step, position, channel, weekdays) VALUES ('a', 's', 1, 'email', '{0}')$$, $$(sequence, step, position, channel, kind) VALUES ('a', 's', 1, 'email', 'letter')$$, $$(sequence, step, position, channel, in_segment) VALUES ('a', 's', 1, 'email', 'none')$$,
    $$(sequence, step, position, channel, transactional, kind) VALUES ('a', 's', 1, 'email', true, 'task')$$, $$(sequence, step, position, channel, transactional, topic) VALUES ('a', 's', 1, 'email', true, 'tea')$$,
    $$(sequence, step, position, channel) VALUES ('a', 's', 1, 'email'), ('a', 't', 1, 'email')$$]) s, try.try('INSERT INTO crm.sequence_step ' || s) t;
-- a stage has one name
INSERT INTO crm.sequence (sequence, starts_on, start_name) VALUES ('stages', 'stage', 'mql') RETURNING start_name, status, again_after, late_after, priority, goal_signals, exit_stages, created_by = session_user AS mine, activated_at;

-- What activation refuses
INSERT INTO crm.segment (segment) VALUES ('readers'), ('drafts'), ('b2b');
INSERT INTO crm.segment_condition (segment, condition, signal, lead_condition) VALUES ('readers', 'saw', 'product_page_view', NULL), ('drafts', 'saw', 'page_view', NULL), ('b2b', 'market', NULL, '$market == "b2b"');
SELECT crm.activate_segment('readers') IS NOT NULL AND crm.activate_segment('b2b') IS NOT NULL AS active;
CREATE FUNCTION try.activate(columns text, vals text, step text DEFAULT $$'one', 1, 'email'$$, step_columns text DEFAULT '', OUT code text, OUT message text, OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM crm.sequence WHERE sequence = 'a';
    EXECUTE format('INSERT INTO crm.sequence (sequence, %s) VALUES (''a'', %s)', columns, vals);
    IF step <> '' THEN
        EXECUTE format('INSERT INTO crm.sequence_step (sequence, step, position, channel%s) VALUES (''a'', %s)', step_columns, step);
    END IF;
    SELECT * INTO code, message, hint FROM try.try($q$SELECT crm.activate_sequence('a')$q$);
    -- what was refused is a draft still
    ASSERT code <> 'none' AND (SELECT status = 'draft' AND activated_at IS NULL FROM crm.sequence WHERE sequence = 'a');
END
$$;
SELECT * FROM try.activate('starts_on', $$'by_hand'$$, '');
SELECT * FROM try.activate('starts_on, start_name', $$'segment_entered', 'drafts'$$);
SELECT * FROM try.activate('starts_on, start_name', $$'segment_left', 'nobody'$$);
SELECT * FROM try.activate('starts_on, stay_in_segment', $$'by_hand', 'drafts'$$);
SELECT * FROM try.activate('starts_on', $$'by_hand'$$, $$'one', 1, 'email', 'drafts'$$, ', in_segment');
SELECT * FROM try.activate('starts_on, start_name', $$'event', 'nothing'$$);
SELECT * FROM try.activate('starts_on, start_name', $$'event', 'budget_confirmed'$$);
SELECT * FROM try.activate('starts_on, goal_signals', $$'by_hand', '{purchase,need_confirmed}'$$);
SELECT * FROM try.activate('starts_on, exit_signals', $$'by_hand', '{gone}'$$);
SELECT * FROM try.activate('starts_on', $$'by_hand'$$, $$'one', 1, 'email', '{gone}'$$, ', only_if');
SELECT * FROM try.activate('starts_on', $$'by_hand'$$, $$'one', 1, 'email', '{purchase,lost love}'$$, ', unless');
SELECT * FROM try.activate('starts_on, start_name, goal_stage', $$'stage', 'customer', 'sql'$$);
SELECT * FROM try.activate('starts_on, start_name', $$'stage', 'lost'$$);
SELECT * FROM try.activate('starts_on, start_name, goal_signals', $$'event', 'purchase', '{quote_request,purchase}'$$);
SELECT * FROM try.activate('starts_on, start_name, stay_in_segment', $$'segment_left', 'readers', 'readers'$$);
-- what it does starts it again: by a kind, by a role that a kind has, and a signal of all events
INSERT INTO crm.signal (signal, event_kinds) VALUES ('sms out', '{sms_sent}'), ('anything', NULL);
SELECT * FROM try.activate('starts_on, start_name', $$'event', 'sms out'$$, $$'one', 1, 'sms'$$);
SELECT * FROM try.activate('starts_on, start_name', $$'event', 'anything'$$);
INSERT INTO crm.event_kind (kind, role) VALUES ('letter_sent', 'sales_contact');
SELECT * FROM try.activate('starts_on, start_name', $$'event', 'sales_contact'$$, $$'one', 1, 'letter'$$);
-- an alert becomes no event
BEGIN;
DELETE FROM crm.sequence WHERE sequence = 'a';
INSERT INTO crm.sequence (sequence, starts_on, start_name) VALUES ('a', 'event', 'anything');
INSERT INTO crm.sequence_step (sequence, step, position, kind, channel) VALUES ('a', 'tell', 1, 'alert', 'chat');
SELECT crm.activate_sequence('a');
ROLLBACK;
-- hours of the channel and of the step that never meet
INSERT INTO crm.contact_hours VALUES ('fax', '9:00', '12:00', '{1,2,3,4,5}');
SELECT * FROM try.activate('starts_on', $$'by_hand'$$, $$'one', 1, 'fax', '13:00'$$, ', not_before');
SELECT * FROM try.activate('starts_on', $$'by_hand'$$, $$'one', 1, 'fax', '{6,7}'$$, ', weekdays');
-- names, words and states
SELECT t.* FROM unnest(ARRAY[$$SELECT crm.activate_sequence('none')$$, $$SELECT crm.activate_sequence(NULL)$$, $$SELECT crm.activate_sequence('')$$, $$SELECT crm.activate_sequence('a', 'some')$$, $$SELECT crm.activate_sequence('a', NULL)$$, $$SELECT crm.activate_sequence('a', 'all')$$,
    $$SELECT crm.pause_sequence('none')$$, $$SELECT crm.pause_sequence('a')$$, $$SELECT crm.retire_sequence('none')$$, $$SELECT crm.retire_sequence('a')$$, $$SELECT * FROM crm.sequence_preview('none')$$, $$SELECT crm.enroll('none', 'readers')$$, $$SELECT crm.enroll('a', 'none')$$,
    $$SELECT crm.enroll('a', 'drafts')$$, $$SELECT crm.enroll('a', 'readers')$$, $$SELECT crm.enroll_lead('nobody', 'a')$$, $$SELECT crm.unenroll('nobody', 'a')$$]) s, try.try(s) t;
DELETE FROM crm.sequence WHERE sequence IN ('a', 'stages');
SELECT count(*) AS steps_left FROM crm.sequence_step;

-- A welcome in three steps (R3): the next one is due its delay after the one
-- before has ended, by the clock of the lead, in the hours of the step. Step 1 is
-- done on Friday 27 March 2026 at 18:30; two days later summer time has begun
-- (29 March), and it is Sunday: so Monday 30 March at 9:00, 7:00 UTC.
UPDATE crm.setting SET time_zone = 'Europe/Madrid';
INSERT INTO crm.sequence (sequence, starts_on, start_name, again_after, goal_stage, goal_signals, exit_signals) VALUES ('welcome', 'stage', 'mql', '90 days', 'sql', '{quote_request}', '{cart_abandoned}');
INSERT INTO crm.sequence_step (sequence, step, position, delay, not_before, not_after, weekdays, channel, content) VALUES ('welcome', 'hello', 10, '0', NULL, NULL, NULL, 'email', 'hello'),
    ('welcome', 'guide', 20, '2 days', '9:00', '18:00', '{1,2,3,4,5}', 'email', 'guide'), ('welcome', 'offer', 30, '2 days 3 hours', NULL, NULL, NULL, 'email', 'offer');
SELECT crm.activate_sequence('welcome');
SELECT status, activated_by = session_user AS mine, activated_at <= now() AS since FROM crm.sequence WHERE sequence = 'welcome';
SELECT try.lead('fri') > 0 AS fri, crm.enroll_lead('fri', 'welcome', '2026-03-27 18:00+01') AS began;
SELECT dedup_key, due_in_madrid FROM try.queue;
SELECT external_id, content, attempt, due_at, claimed_until FROM crm.claim_actions('email', at => '2026-03-27 18:29+01');
SELECT try.done('fri', '2026-03-27 18:30+01');
SELECT dedup_key, status, due_in_madrid, (SELECT due_at FROM crm.action WHERE step = 'guide') AS due_at FROM try.queue ORDER BY due_in_madrid;
-- 48 hours are 48 hours: from 30 March 9:05 to 1 April 12:05; and nothing is left then
SELECT external_id, content FROM crm.claim_actions('email', at => '2026-03-30 09:00+02');
SELECT try.done('fri', '2026-03-30 09:05+02');
SELECT external_id, content FROM crm.claim_actions('email', at => '2026-04-01 12:04:59+02');
SELECT external_id, content FROM crm.claim_actions('email', at => '2026-04-01 12:05+02');
SELECT try.done('fri', '2026-04-01 12:06+02');
SELECT * FROM try.run;
SELECT started_at, ended_at FROM crm.enrollment;
SELECT kind, occurred_at, properties FROM crm.event WHERE lead_id = crm.lead_id('fri') ORDER BY occurred_at;
-- again (R2): not before 90 days after its end, 1 April; the next run repeats every step
SELECT crm.enroll_lead('fri', 'welcome', '2026-06-22 12:00+02') AS day_82, crm.enroll_lead('fri', 'welcome', '2026-06-30 12:05:59+02') AS day_90_less, crm.enroll_lead('fri', 'welcome', '2026-06-30 12:06+02') AS day_90,
    crm.enroll_lead('fri', 'welcome', '2027-06-30') AS in_it;
SELECT dedup_key, status FROM try.queue ORDER BY 1;
-- Days are those of the lead's own clock: from 10:00 in Los Angeles to 10:00 are
-- 23 hours when the clocks are put forward, there on 8 March, in Madrid on 29
-- March. An unknown zone (R4) is as none.
INSERT INTO crm.sequence (sequence, starts_on) VALUES ('clock', 'by_hand');
INSERT INTO crm.sequence_step (sequence, step, position, delay, channel) VALUES ('clock', 'day', 1, '1 day', 'email');
SELECT crm.activate_sequence('clock');
SELECT crm.upsert_lead(n, time_zone => z) > 0 AS made, crm.enroll_lead(n, 'clock', at) AS began FROM (VALUES ('los angeles', 'America/Los_Angeles', timestamptz '2026-03-07 18:00+00'), ('madrid', NULL, '2026-03-28 18:00+00'), ('mars', 'Mars/Olympus', '2026-03-28 18:00+00')) AS v (n, z, at);
SELECT l.external_id, a.due_at AT TIME ZONE 'UTC' AS due_utc FROM crm.action a JOIN crm.lead l USING (lead_id) WHERE a.sequence = 'clock' ORDER BY 1;

-- What begins a run (R1): an edge that is written while the sequence is active,
-- that is fresh, and that holds at the end of the statement
UPDATE crm.sequence SET activated_at = '2020-01-01' WHERE sequence = 'welcome';
SELECT try.lead(n) > 0 AS made FROM unnest('{old,evening,late,edge,both,gone,back}'::text[]) n;
SELECT try.event('old', 'mql', '2026-04-08'), try.event('evening', 'mql', now() - interval '15 hours'), try.event('late', 'mql', now() - interval '3 days'), try.event('edge', 'mql', now() - interval '47 hours 59 minutes');
-- mql and lost in one statement; an mql that became sql, which is the goal, as well
INSERT INTO crm.event (lead_id, kind, occurred_at, properties) SELECT crm.lead_id('gone'), k, now() - i, '{"stage": "mql"}' FROM (VALUES ('stage_set', interval '2 hours'), ('lost', '1 hour')) AS v (k, i);
INSERT INTO crm.event (lead_id, kind, occurred_at, properties) SELECT crm.lead_id('both'), 'stage_set', now() - i, jsonb_build_object('stage', s) FROM (VALUES ('mql', interval '2 hours'), ('sql', '1 hour')) AS v (s, i);
SELECT h.to_stage, l.external_id FROM crm.stage_history h JOIN crm.lead l USING (lead_id) WHERE l.external_id IN ('gone', 'both') AND h.cause <> 'created' ORDER BY 2, h.seq;
SELECT lead, run, started_by, at_step FROM try.run WHERE sequence = 'welcome' AND lead <> 'fri' ORDER BY 1;
-- a run begins when it is written, and what began it is noted in its own time
SELECT l.external_id, now() - e.started_at < '1 minute' AS now, date_trunc('minute', e.started_at - e.edge_at + interval '30 s') AS age FROM crm.enrollment e JOIN crm.lead l USING (lead_id) WHERE l.external_id IN ('evening', 'edge') ORDER BY 1;
-- before it was activated
UPDATE crm.sequence SET activated_at = now() - interval '10 hours' WHERE sequence = 'welcome';
SELECT try.lead('before') > 0 AS made, try.event('before', 'mql', now() - interval '11 hours'), (SELECT count(*) FROM try.run WHERE lead = 'before') AS runs;
-- rebuild, a sweep and another model write no run
SELECT crm.rebuild() IS NOT NULL AS rebuilt, crm.sweep() IS NOT NULL AS swept;
SELECT crm.clone_model('inbound', 'next'), crm.activate_model('next', wait => true) IS NOT NULL AS activated;
SELECT count(*) AS runs FROM try.run WHERE sequence = 'welcome' AND lead <> 'fri';
-- one edge, one run: it is corrected, and written again
SELECT crm.unenroll('edge', 'welcome') AS ended, crm.unenroll('edge', 'welcome') AS again;
SELECT crm.pause_sequence('welcome');
UPDATE crm.sequence SET again_after = '0' WHERE sequence = 'welcome';
SELECT crm.activate_sequence('welcome');
UPDATE crm.sequence SET activated_at = now() - interval '60 hours' WHERE sequence = 'welcome';
UPDATE crm.event SET properties = properties || '{"reason": "typed again"}' WHERE lead_id = crm.lead_id('edge') AND kind = 'stage_set';
INSERT INTO crm.event (lead_id, kind, occurred_at) VALUES (crm.lead_id('edge'), 'page_view', now() - interval '47 hours 59 minutes 30 seconds');
SELECT * FROM try.run WHERE lead = 'edge';
-- another edge may begin another one
SELECT try.event('edge', 'iql'), try.event('edge', 'mql', clock_timestamp());
SELECT * FROM try.run WHERE lead = 'edge' ORDER BY run;
-- a session that loads the past (leadscore.enroll = off) begins nothing, and ends what is over
SET leadscore.enroll = off;
SELECT try.lead('import') > 0 AS made, try.event('import', 'mql');
SELECT crm.enroll_lead('import', 'clock') AS by_hand;
SELECT try.event('evening', 'quote_request');
RESET leadscore.enroll;
SELECT * FROM try.run WHERE lead IN ('import', 'evening') ORDER BY lead;
-- a merge ends that for itself only: the same transaction goes on as before
BEGIN;
SELECT try.lead('m1') > 0, try.lead('m2') > 0, crm.merge_leads('m1', 'm2') > 0 AS merged, current_setting('leadscore.enroll') AS enroll;
SELECT try.event('m1', 'mql');
SELECT count(*) AS runs FROM try.run WHERE lead = 'm1';
ROLLBACK;

-- What ends a run: the goal by a stage or a higher one and by a signal, exits by
-- stages and signals. The goal comes first. What waits is cancelled.
SELECT try.lead(n) > 0 AS made, try.event(n, 'mql') FROM unnest('{g1,g2,g3,x1,x2,both ends,before it}'::text[]) n;
SELECT try.event('g1', 'sql'), try.event('g2', 'customer'), try.event('g3', 'quote_request'), try.event('x1', 'lost'), try.event('x2', 'cart_abandoned');
INSERT INTO crm.event (lead_id, kind) SELECT crm.lead_id('both ends'), k FROM unnest('{cart_abandoned,quote_request}'::text[]) k;
-- an event of long before the run says nothing about it; of a day before it does
SELECT try.event('before it', 'quote_request', now() - interval '49 hours');
SELECT r.lead, r.end_reason, q.status, q.reason FROM try.run r JOIN try.queue q USING (lead) WHERE lead IN ('g1', 'g2', 'g3', 'x1', 'x2', 'both ends', 'before it') AND sequence = 'welcome' ORDER BY 1;
SELECT try.event('before it', 'quote_request', now() - interval '47 hours');
SELECT * FROM try.run WHERE lead = 'before it';
-- R9: what a worker has is done though the goal is reached, and nothing comes after it
SELECT try.lead('r9') > 0 AS made, crm.enroll_lead('r9', 'welcome', now()) AS began;
SELECT external_id, content FROM crm.claim_actions('email', 10) WHERE external_id = 'r9';
SELECT crm.action_wanted(lead_id, action_id, 1) AS wanted FROM crm.action WHERE lead_id = crm.lead_id('r9');
SELECT try.event('r9', 'quote_request');
SELECT crm.action_wanted(lead_id, action_id, 1) AS wanted, status FROM crm.action WHERE lead_id = crm.lead_id('r9');
SELECT try.done('r9', now()), (SELECT end_reason FROM try.run WHERE lead = 'r9');
SELECT dedup_key, status, reason FROM try.queue WHERE lead = 'r9';

-- An active sequence is not edited; a paused one is, and its leads keep their place
SELECT t.* FROM unnest(ARRAY[$$UPDATE crm.sequence SET priority = 1 WHERE sequence = 'welcome'$$, $$UPDATE crm.sequence SET sequence = 'w' WHERE sequence = 'welcome'$$, $$DELETE FROM crm.sequence WHERE sequence = 'welcome'$$, $$UPDATE crm.sequence_step SET content = 'x' WHERE sequence = 'welcome'$$,
    $$DELETE FROM crm.sequence_step WHERE sequence = 'welcome'$$, $$INSERT INTO crm.sequence_step (sequence, step, position, channel) VALUES ('welcome', 'more', 40, 'email')$$, $$UPDATE crm.sequence SET note = 'be kind' WHERE sequence = 'welcome'$$, $$SELECT crm.activate_sequence('welcome')$$,
    $$UPDATE crm.sequence SET status = 'draft' WHERE sequence = 'welcome'$$]) s, try.try(s) t;
SELECT crm.pause_sequence('welcome'), crm.pause_sequence('welcome');
SELECT t.* FROM unnest(ARRAY[$$UPDATE crm.sequence SET status = 'draft' WHERE sequence = 'welcome'$$, $$UPDATE crm.sequence SET sequence = 'w' WHERE sequence = 'welcome'$$, $$DELETE FROM crm.sequence WHERE sequence = 'welcome'$$, $$SELECT crm.enroll_lead('edge', 'welcome')$$, $$SELECT crm.enroll('welcome', 'readers')$$]) s, try.try(s) t;
-- nobody begins it while it is paused, and that is not kept for later
SELECT try.lead('paused') > 0 AS made, try.event('paused', 'mql'), (SELECT count(*) FROM try.run WHERE lead = 'paused') AS runs;
-- a step that goes further back is not done twice; one that lies before the lead's place is not done
SELECT try.lead('place') > 0 AS made;
SELECT crm.activate_sequence('welcome') AS active;
SELECT crm.enroll_lead('place', 'welcome', '2026-05-04 10:00+02') AS began;
SELECT external_id, content FROM crm.claim_actions('email', 100, at => '2026-05-04 10:00+02') WHERE external_id = 'place';
SELECT try.done('place', '2026-05-04 10:00+02');
SELECT external_id, content FROM crm.claim_actions('email', 100, at => '2026-05-06 10:00+02') WHERE external_id = 'place';
SELECT crm.pause_sequence('welcome');
UPDATE crm.sequence_step SET position = CASE step WHEN 'hello' THEN 25 WHEN 'offer' THEN 5 END WHERE sequence = 'welcome' AND step IN ('hello', 'offer');
INSERT INTO crm.sequence_step (sequence, step, position, delay, channel, content) VALUES ('welcome', 'last', 60, '1 hour', 'email', 'last');
SELECT crm.activate_sequence('welcome');
SELECT try.done('place', '2026-05-06 10:00+02');
SELECT dedup_key, status, due_in_madrid FROM try.queue WHERE lead = 'place' ORDER BY 3;
SELECT external_id, content FROM crm.claim_actions('email', 100, at => '2026-05-06 11:00+02') WHERE external_id = 'place';
-- it moves behind all: the run is completed
SELECT crm.pause_sequence('welcome');
UPDATE crm.sequence_step SET position = 70 WHERE sequence = 'welcome' AND step = 'guide';
SELECT crm.activate_sequence('welcome');
SELECT try.done('place', '2026-05-06 11:00+02');
SELECT * FROM try.run WHERE lead = 'place';
-- a step that was taken out while it waits is skipped
SELECT try.lead('taken') > 0 AS made, crm.enroll_lead('taken', 'clock', '2026-05-04 10:00+02') AS began;
SELECT crm.pause_sequence('clock');
DELETE FROM crm.sequence_step WHERE sequence = 'clock';
SELECT t.* FROM try.try($$SELECT crm.activate_sequence('clock')$$) t;
INSERT INTO crm.sequence_step (sequence, step, position, channel) VALUES ('clock', 'other', 2, 'email');
SELECT crm.activate_sequence('clock');
SELECT external_id, step FROM crm.claim_actions('email', 100, at => '2026-05-05 10:00+02') WHERE external_id = 'taken';
SELECT dedup_key, status, reason, due_in_madrid FROM try.queue WHERE lead = 'taken' ORDER BY 1;

-- Paused: what is due waits an hour, then an hour; what is too late by then is skipped
SELECT try.lead(n) > 0 AS made, crm.enroll_lead(n, 'clock', at) AS began FROM (VALUES ('wait 1', timestamptz '2026-05-11 10:00+02'), ('wait 2', '2026-05-11 11:00+02')) AS v (n, at);
SELECT crm.pause_sequence('clock');
SELECT external_id FROM crm.claim_actions('email', 100, at => '2026-05-11 10:00+02') WHERE sequence = 'clock';
SELECT lead, status, reason, due_in_madrid FROM try.queue WHERE lead LIKE 'wait%' ORDER BY 1;
SELECT crm.activate_sequence('clock');
SELECT lead, status, reason, due_in_madrid FROM try.queue WHERE lead LIKE 'wait%' ORDER BY 1;
SELECT external_id FROM crm.claim_actions('email', 100, at => '2026-05-13 11:30+02') WHERE sequence = 'clock';
SELECT lead, status, reason FROM try.queue WHERE lead LIKE 'wait%' ORDER BY 1;

-- Retired: runs end, what waits is cancelled, what was done stays; it may come back
SELECT try.lead('retire') > 0 AS made, crm.enroll_lead('retire', 'clock') AS began;
SELECT crm.retire_sequence('clock') AS were_open;
SELECT lead, end_reason FROM try.run WHERE sequence = 'clock' ORDER BY 1;
SELECT lead, status, reason FROM try.queue WHERE lead IN ('retire', 'taken') ORDER BY 1, 2;
SELECT t.* FROM unnest(ARRAY[$$SELECT crm.retire_sequence('clock')$$, $$SELECT crm.pause_sequence('clock')$$, $$SELECT crm.enroll_lead('retire', 'clock')$$, $$DELETE FROM crm.sequence WHERE sequence = 'clock'$$]) s, try.try(s) t;
SELECT crm.activate_sequence('clock'), crm.enroll_lead('retire', 'clock') AS once_for_ever, crm.retire_sequence('clock') AS were_open;

-- Whom it would take: in the stage now, may begin, came into it in 30 days, lack consent or an address
SELECT crm.retire_sequence('welcome') > 0 AS were_open;
INSERT INTO crm.sequence (sequence, starts_on, start_name) VALUES ('prospects', 'stage', 'prospect'), ('reading', 'segment_entered', 'readers'), ('news', 'by_hand', NULL);
INSERT INTO crm.sequence_step (sequence, step, position, channel, topic, kind) VALUES ('prospects', 'call', 1, 'phone', NULL, 'task'), ('prospects', 'mail', 2, 'email', NULL, 'message'), ('reading', 'text', 1, 'sms', NULL, 'message'), ('news', 'may', 1, 'email', 'newsletter', 'message');
SELECT * FROM crm.sequence_preview('prospects');
SELECT try.lead(n, now() - interval '50 days') > 0 AS made, try.event(n, 'prospect', now() - i) FROM (VALUES ('p1', interval '40 days'), ('p2', '15 days'), ('p3', '29 days'), ('p4', '1 day')) AS v (n, i);
SELECT crm.withdraw_consent('p2', 'marketing', 'email'), crm.upsert_lead('p3', profile => '{"email": null, "phone": "+34 600"}') > 0 AS without_email;
SELECT leads_now, could_begin, round(leads_a_day * 30) AS in_30_days, without_consent, without_address FROM crm.sequence_preview('prospects');
SELECT leads_now, could_begin, without_consent, without_address FROM crm.sequence_preview('news');
SELECT crm.activate_sequence('prospects', 'all') AS began;
SELECT * FROM try.run WHERE sequence = 'prospects' ORDER BY lead;
SELECT leads_now, could_begin FROM crm.sequence_preview('prospects');
SELECT crm.pause_sequence('prospects'), crm.activate_sequence('prospects', enroll => 'all') AS in_it_already;

-- A segment: who enters it, and a broadcast to those that are in it
SELECT try.lead(n, now() - interval '50 days') > 0 AS made FROM unnest('{s1,s2,s3,s4}'::text[]) n;
SELECT try.event('s1', 'product_page_view', now() - interval '1 hour');
SELECT leads_now, could_begin, round(leads_a_day * 30) AS in_30_days, without_consent, without_address FROM crm.sequence_preview('reading');
SELECT crm.activate_sequence('reading', 'all') AS began, crm.activate_sequence('news');
SELECT try.event(n, 'product_page_view') FROM unnest('{s2,s3}'::text[]) n;
SELECT lead, started_by FROM try.run WHERE sequence = 'reading' ORDER BY 1;
SELECT crm.enroll('news', 'readers') AS began, crm.enroll('news', 'readers') AS again;
-- on Tuesday at 10:00 by the clock of each: the runs begin then
INSERT INTO crm.sequence (sequence, starts_on) VALUES ('tuesday', 'by_hand');
INSERT INTO crm.sequence_step (sequence, step, position, channel, topic, weekdays, not_before) VALUES ('tuesday', 'mail', 1, 'email', 'newsletter', '{2}', '10:00');
SELECT crm.activate_sequence('tuesday'), crm.upsert_lead('s2', time_zone => 'America/Los_Angeles') > 0 AS moved, crm.enroll('tuesday', 'readers', '2027-03-01 12:00+00') AS began;
SELECT lead, a.due_at AT TIME ZONE 'UTC' AS due_utc FROM crm.action a JOIN (SELECT lead_id, external_id AS lead FROM crm.lead) l USING (lead_id) WHERE a.sequence = 'tuesday' ORDER BY 1;
SELECT t.* FROM unnest(ARRAY[$$SELECT crm.enroll('news', 'readers', NULL)$$, $$SELECT crm.enroll('news', 'readers', 'infinity')$$, $$SELECT crm.enroll_lead('s4', 'news', '-infinity')$$, $$SELECT crm.enroll_lead('s4', 'news', '10000-01-01 00:00+00')$$, $$SELECT crm.enroll_lead_by_id(-1, 'news')$$, $$SELECT crm.enroll_lead_by_id(NULL, 'news')$$,
    $$SELECT crm.unenroll('s1', 'news', 'infinity')$$, $$SELECT crm.unenroll('s1', 'none')$$]) s, try.try(s) t;
SELECT crm.enroll_lead('s4', 'news', '9999-12-31 23:59+00') AS at_the_end;
SELECT due_at FROM crm.action WHERE lead_id = crm.lead_id('s4');
-- functions by number
SELECT crm.unenroll_by_id(crm.lead_id('s4'), 'news') AS ended, crm.unenroll_by_id(crm.lead_id('s4'), 'news') AS again, crm.enroll_lead_by_id(crm.lead_id('s4'), 'news') AS once_for_ever;

-- the number of a lead that was merged ends no run: the error names the lead that has it
SELECT crm.upsert_lead('m1') AS m1, crm.upsert_lead('m2') AS m2 \gset
SELECT crm.enroll_lead_by_id(:m2, 'news') AS began, crm.merge_leads_by_id(:m1, :m2) = :m1 AS merged;
SELECT t.code, replace(replace(t.hint, :'m2', 'm2'), :'m1', 'm1') AS hint FROM unnest(ARRAY[format($$SELECT crm.unenroll_by_id(%s, 'news')$$, :m2), $$SELECT crm.unenroll_by_id(NULL, 'news')$$]) s, try.try(s) t;
SELECT crm.unenroll_by_id(:m1, 'news') AS ended;

-- What is left in a segment (R21): an event that put a lead in is deleted. Only a
-- sequence that wants it to stay ends
INSERT INTO crm.sequence (sequence, starts_on, start_name, stay_in_segment, again_after) VALUES ('stay', 'segment_entered', 'readers', 'readers', '0'), ('go on', 'segment_entered', 'readers', NULL, '0'), ('left', 'segment_left', 'readers', NULL, '0');
INSERT INTO crm.sequence_step (sequence, step, position, delay, channel) SELECT s, n, p, make_interval(days => p), 'chat' FROM unnest('{stay,go on,left}'::text[]) s, (VALUES ('one', 1), ('two', 2)) AS v (n, p);
SELECT crm.activate_sequence('stay'), crm.activate_sequence('go on'), crm.activate_sequence('left');
UPDATE crm.sequence SET activated_at = now() - interval '1 day' WHERE sequence IN ('stay', 'go on', 'left');
SELECT now() - interval '2 hours' AS edge \gset
SELECT try.lead('r21', now() - interval '50 days') > 0 AS made, try.event('r21', 'product_page_view', :'edge');
SELECT lead, sequence, end_reason FROM try.run WHERE lead = 'r21' AND sequence <> 'reading' ORDER BY 2;
DELETE FROM crm.event WHERE lead_id = crm.lead_id('r21') AND kind = 'product_page_view';
SELECT lead, sequence, started_by, end_reason FROM try.run WHERE lead = 'r21' AND sequence <> 'reading' ORDER BY 2;
SELECT dedup_key, status, reason FROM try.queue WHERE lead = 'r21' AND dedup_key NOT LIKE 'reading%' ORDER BY 1;
-- the run is not given back: the same edge again begins none, a later one does
SELECT try.event('r21', 'product_page_view', :'edge');
SELECT sequence, run, end_reason FROM try.run WHERE lead = 'r21' AND sequence = 'stay' ORDER BY 2;
DELETE FROM crm.event WHERE lead_id = crm.lead_id('r21') AND kind = 'product_page_view';
SELECT try.event('r21', 'product_page_view', now() - interval '1 hour');
SELECT sequence, run, end_reason FROM try.run WHERE lead = 'r21' AND sequence <> 'reading' ORDER BY 1, 2;
-- a profile that leaves and enters; what leaves has a time
INSERT INTO crm.sequence (sequence, starts_on, start_name) VALUES ('no b2b', 'segment_left', 'b2b'), ('b2b', 'segment_entered', 'b2b');
INSERT INTO crm.sequence_step (sequence, step, position, channel) VALUES ('no b2b', 'one', 1, 'chat'), ('b2b', 'one', 1, 'chat');
SELECT crm.activate_sequence('no b2b'), crm.activate_sequence('b2b');
SELECT crm.upsert_lead('mar', market => 'b2b') > 0 AS made;
UPDATE crm.lead SET market = 'b2c' WHERE external_id = 'mar';
SELECT lead, sequence, started_by FROM try.run WHERE lead = 'mar' ORDER BY 2;

-- R20: what a definition puts in or out begins nothing, unless it is asked to
INSERT INTO crm.segment (segment) VALUES ('buyers');
INSERT INTO crm.segment_condition (segment, condition, signal) VALUES ('buyers', 'bought', 'purchase');
SELECT crm.activate_segment('buyers') IS NOT NULL AS active;
INSERT INTO crm.sequence (sequence, starts_on, start_name) VALUES ('bought', 'segment_entered', 'buyers');
INSERT INTO crm.sequence_step (sequence, step, position, channel) VALUES ('bought', 'one', 1, 'chat');
SELECT crm.activate_sequence('bought');
SELECT try.lead(n, now() - interval '50 days') > 0 AS made, try.event(n, 'trial_started') FROM unnest('{t1,t2}'::text[]) n;
SELECT crm.clone_segment('buyers', 'buyers 2');
INSERT INTO crm.segment_condition (segment, condition, signal) VALUES ('buyers 2', 'bought', 'trial_started');
SELECT crm.activate_segment('buyers 2', replaces => 'buyers', wait => true) IS NOT NULL AS active;
SELECT m.segment, count(*) AS members, (SELECT count(*) FROM try.run WHERE sequence = 'bought') AS runs, (SELECT array_agg(DISTINCT cause) FROM crm.segment_history WHERE segment = 'buyers') AS causes FROM crm.segment_members m WHERE m.segment = 'buyers' GROUP BY 1;
SELECT crm.clone_segment('buyers', 'buyers 3');
INSERT INTO crm.segment_condition (segment, condition, signal) VALUES ('buyers 3', 'bought', 'demo_request');
SELECT try.lead('t3', now() - interval '50 days') > 0 AS made, try.event('t3', 'demo_request');
SELECT crm.activate_segment('buyers 3', replaces => 'buyers', wait => true, enroll => true) IS NOT NULL AS active;
SELECT lead, started_by FROM try.run WHERE sequence = 'bought';
SELECT t.* FROM try.try($$SELECT crm.activate_segment('drafts', enroll => NULL)$$) t;

-- What only time changes (R22) has the midnight of its day, whenever it is
-- written. The lead was in the segment for the 7 days from the event's on.
SELECT leadscore.create_pipeline('slow') \g /dev/null
INSERT INTO slow.segment (segment) VALUES ('lately');
INSERT INTO slow.segment_condition (segment, condition, signal, within) VALUES ('lately', 'saw', 'webinar_attended', '7 days');
SELECT slow.activate_segment('lately') IS NOT NULL AS active;
INSERT INTO slow.sequence (sequence, starts_on, start_name) VALUES ('cold', 'segment_left', 'lately');
INSERT INTO slow.sequence_step (sequence, step, position, delay, channel) VALUES ('cold', 'one', 1, '3 hours', 'chat');
SELECT slow.activate_sequence('cold');
-- as if both had been active for long
UPDATE slow.sequence SET activated_at = '2020-01-01' WHERE sequence = 'cold';
ALTER TABLE slow.segment_activation DISABLE TRIGGER ALL;
UPDATE slow.segment_activation SET activated_at = now() - interval '40 days' WHERE segment = 'lately';
ALTER TABLE slow.segment_activation ENABLE TRIGGER ALL;
\c -
SELECT slow.upsert_lead('cold', at => now() - interval '50 days') AS made;
SELECT stage FROM slow.track('cold', 'webinar_attended', occurred_at => date_trunc('day', now(), 'UTC') - interval '8 days' + interval '9 hours');
SELECT count(*) AS runs FROM slow.enrollment;
SELECT slow.sweep() > 0 AS swept;
SELECT e.started_by, e.edge_at = date_trunc('day', now(), 'UTC') - interval '1 day' AS at_midnight, a.due_at - e.started_at AS due_after FROM slow.enrollment e JOIN slow.action a USING (lead_id, sequence, run);
-- a sweep that is three days late begins nothing
SELECT slow.upsert_lead('colder', at => now() - interval '50 days') AS made;
SELECT stage FROM slow.track('colder', 'webinar_attended', occurred_at => date_trunc('day', now(), 'UTC') - interval '10 days' + interval '9 hours');
SELECT slow.sweep() > 0 AS swept;
SELECT is_member, (SELECT count(*) FROM slow.enrollment WHERE lead_id = 2) AS runs FROM slow.segment_history WHERE lead_id = 2 ORDER BY seq;
SELECT leadscore.drop_pipeline('slow');

-- Owners: by weight among those of the segment, else among all; not who is away;
-- the same for the same number; a lead that has one keeps it
INSERT INTO crm.assignment (owner, stage, segment, weight, active) VALUES ('ann', 'sql', NULL, 3, true), ('bob', 'sql', NULL, 1, true), ('cid', 'sql', NULL, 5, false), ('eve', 'sql', NULL, 0, true), ('dan', 'sql', 'b2b', 1, true);
SELECT t.code, t.message FROM unnest(ARRAY[$$('', 'sql', NULL, 1)$$, $$('x', 'sql', NULL, -1)$$, $$('x', 'sql', NULL, 1001)$$, $$('x', 'sql', 'none', 1)$$, $$('ann', 'sql', NULL, 1)$$]) s, try.try('INSERT INTO crm.assignment (owner, stage, segment, weight) VALUES ' || s) t;
INSERT INTO crm.lead (lead_id, external_id, email, consented_at, contact_allowed, market, owner, created_at) SELECT 10000 + i, 'o' || i, 'o' || i || '@mail.example', now(), true, CASE WHEN i > 900 THEN 'b2b' END, CASE WHEN i = 1 THEN 'zoe' END, now() FROM generate_series(1, 1000) i;
INSERT INTO crm.event (lead_id, kind, properties) SELECT 10000 + i, 'stage_set', '{"stage": "sql"}' FROM generate_series(1, 1000) i;
SELECT owner, count(*) FILTER (WHERE lead_id <= 10900) AS others, count(*) FILTER (WHERE lead_id > 10900) AS b2b FROM crm.lead WHERE lead_id > 10000 GROUP BY 1 ORDER BY 1;
-- 3 of 4, by the first 32 bits of SHA-256 of the number
SELECT count(*) FILTER (WHERE (l.owner = 'ann') <> ((('x' || left(encode(sha256(l.lead_id::text::bytea), 'hex'), 8))::bit(32)::bigint & 4294967295) % 4 < 3)) AS others FROM crm.lead l WHERE l.lead_id BETWEEN 10002 AND 10900;
-- a sweep gives owners to those that were passed by
UPDATE crm.lead SET owner = NULL WHERE lead_id BETWEEN 10101 AND 10104;
SELECT count(*) FROM crm.lead WHERE lead_id BETWEEN 10101 AND 10104 AND owner IS NULL;
SELECT crm.sweep() IS NOT NULL AS swept;
SELECT count(*) FROM crm.lead WHERE lead_id BETWEEN 10101 AND 10104 AND owner IS NULL;
SELECT crm.assign_lead('o1', 'kim') AS was, crm.assign_lead('o1', ' lee ') AS was_then, crm.assign_lead('o1', NULL) AS was_at_last;
SELECT crm.assign_lead('o1', 'zoe') AS was, crm.assign_lead_by_id(10001, '') AS was_then, (SELECT owner FROM crm.lead WHERE lead_id = 10001) AS is;
SELECT t.* FROM unnest(ARRAY[$$SELECT crm.assign_lead('nobody', 'ann')$$, $$SELECT crm.assign_lead(NULL, 'ann')$$, $$SELECT crm.assign_lead_by_id(-1, 'ann')$$, $$SELECT crm.assign_lead_by_id(NULL, 'ann')$$]) s, try.try(s) t;
DELETE FROM crm.assignment;

-- A merge (R17): of two open runs the older stays; runs are renumbered; an edge of
-- the merge begins nothing; a goal of the loser is one of the winner
INSERT INTO crm.sequence (sequence, starts_on, goal_stage) VALUES ('m', 'by_hand', 'customer'), ('n', 'by_hand', NULL);
INSERT INTO crm.sequence_step (sequence, step, position, delay, channel) SELECT s, n, p, '1 day', 'email' FROM unnest('{m,n}'::text[]) s, (VALUES ('one', 1), ('two', 2)) AS v (n, p);
SELECT crm.activate_sequence('m'), crm.activate_sequence('n');
SELECT try.lead(n) > 0 AS made FROM unnest('{w1,l1,w2,l2,w3,l3}'::text[]) n;
SELECT crm.enroll_lead('w1', 'm', '2026-05-02'), crm.enroll_lead('l1', 'm', '2026-05-01'), crm.enroll_lead('w1', 'n', '2026-05-01'), crm.enroll_lead('l1', 'n', '2026-05-02');
SELECT crm.add_action('w1', 'chat', 'x', dedup_key => 'k1') > 0, crm.add_action('l1', 'chat', 'y', dedup_key => 'k1') > 0, crm.add_action('w1', 'chat', 'z', dedup_key => 'k2', transactional => true) > 0, crm.add_action('l1', 'chat', 'z', dedup_key => 'k2', transactional => true) > 0, crm.add_action('l1', 'chat', 'u', dedup_key => 'k3') > 0;
SELECT external_id, content FROM crm.claim_actions('chat', 1000) WHERE external_id IN ('w1', 'l1') ORDER BY 1, 2;
SELECT crm.complete_action(lead_id, action_id, attempt) AS loser_got_z FROM crm.action WHERE lead_id = crm.lead_id('l1') AND content = 'z';
UPDATE crm.action SET status = 'waiting', claimed_until = NULL, attempt = 0 WHERE lead_id IN (crm.lead_id('w1'), crm.lead_id('l1')) AND status = 'claimed' AND content <> 'u';
SELECT lead_id AS l1, action_id AS u FROM crm.action WHERE content = 'u' \gset
SELECT crm.merge_leads('w1', 'l1') > 0 AS merged;
SELECT sequence, run, end_reason, started_at::date FROM crm.enrollment WHERE lead_id = crm.lead_id('w1') ORDER BY 1, 2;
SELECT regexp_replace(dedup_key, '\d+$', CASE WHEN dedup_key LIKE 'merged/%' THEN 'N' ELSE '\&' END) AS dedup_key, a.content, a.status, a.reason FROM crm.action a WHERE lead_id = crm.lead_id('w1') ORDER BY 1, 2;
-- the worker that has an action of the loser may still end it
SELECT crm.complete_action(:l1, :u, 1) AS done;
SELECT (SELECT count(*) FROM crm.event WHERE lead_id = crm.lead_id('w1') AND kind = 'chat_sent') AS sent;
SELECT crm.enroll_lead('w2', 'm', '2026-05-02'), try.event('l2', 'purchase', '2026-04-01'), crm.merge_leads('w2', 'l2') > 0 AS merged;
SELECT * FROM try.run WHERE lead = 'w2';
SELECT crm.enroll_lead('l3', 'm', '2026-05-02'), try.event('w3', 'purchase', '2026-04-01'), crm.merge_leads('w3', 'l3') > 0 AS merged;
SELECT * FROM try.run WHERE lead = 'w3';
SELECT crm.retire_sequence('stay') >= 0 AS retired;
-- an export has both
SELECT jsonb_array_length(e -> 'runs') AS runs, jsonb_array_length(e -> 'actions') AS actions, (SELECT array_agg(k ORDER BY k) FROM jsonb_object_keys(e -> 'runs' -> 0) k) AS of_a_run, (SELECT count(*) FROM jsonb_object_keys(e -> 'actions' -> 0)) AS of_an_action FROM crm.export_lead('w1') e;
SELECT crm.export_lead('s4') -> 'runs' -> 0 ->> 'sequence' AS sequence;

-- Forgotten (R18): runs end, actions are cancelled, also what a worker has; texts go
SELECT try.lead('forget me') AS f \gset
SELECT crm.enroll_lead('forget me', 'm'), crm.add_action('forget me', 'chat', 'dear forget me', dedup_key => 'mail to forget me', properties => '{"name": "forget me"}') AS c \gset
SELECT crm.add_action('forget me', 'chat', 'failed', due_at => now()) AS d \gset
SELECT count(*) FROM crm.claim_actions('chat', 1000) WHERE lead_id = :f;
SELECT crm.fail_action(:f, :d, 1, 'no such user forget me', retry => false) AS failed;
SELECT error FROM crm.action WHERE action_id = :d;
SELECT crm.forget_lead('forget me');
SELECT end_reason FROM crm.enrollment WHERE lead_id = :f;
SELECT sequence, status, reason, content, properties, error, dedup_key LIKE '%forget me%' AS named FROM crm.action WHERE lead_id = :f ORDER BY action_id;
SELECT crm.complete_action(:f, :c, 1) AS done, crm.action_wanted(:f, :c, 1) AS wanted;
SELECT t.code, replace(t.message, :'f', 'N') AS message FROM unnest(ARRAY[format('SELECT crm.add_action_by_id(%s, ''chat'', ''x'')', :f), format('SELECT crm.assign_lead_by_id(%s, ''ann'')', :f)]) s, try.try(s) t;
SELECT crm.enroll_lead_by_id(:f, 'n') AS began;
-- deleted: its rows go
SELECT lead_id AS d FROM crm.lead WHERE external_id = 'w3' \gset
DELETE FROM crm.lead WHERE lead_id = :d;
SELECT (SELECT count(*) FROM crm.enrollment WHERE lead_id = :d) AS runs, (SELECT count(*) FROM crm.action WHERE lead_id = :d) AS actions, crm.complete_action(:d, 1, 1) AS done;

-- Loaded without triggers, and attached: nothing begins
SELECT leadscore.detach_pipeline('crm');
INSERT INTO crm.lead (external_id, email, consented_at, contact_allowed, created_at) VALUES ('loaded', 'loaded@mail.example', now(), true, now() - interval '1 day');
INSERT INTO crm.event (lead_id, kind) SELECT lead_id, 'product_page_view' FROM crm.lead WHERE external_id = 'loaded';
SELECT leadscore.attach_pipeline('crm') > 0 AS changed, current_setting('leadscore.enroll') AS enroll;
SELECT count(*) AS runs, crm.in_segment('loaded', 'readers') AS in_segment FROM try.run WHERE lead = 'loaded';
SELECT try.lead('after', now() - interval '1 day') > 0 AS made, try.event('after', 'product_page_view');
SELECT count(*) AS runs FROM try.run WHERE lead = 'after';
-- many edges in one statement
INSERT INTO crm.lead (lead_id, external_id, created_at) SELECT 20000 + i, 'many' || i, now() - interval '1 day' FROM generate_series(1, 3000) i;
INSERT INTO crm.event (lead_id, kind) SELECT 20000 + i, 'product_page_view' FROM generate_series(1, 3000) i, generate_series(1, 3);
SELECT sequence, count(*) AS runs, (SELECT count(*) FROM crm.action a WHERE a.sequence = e.sequence AND a.lead_id > 20000) AS actions FROM crm.enrollment e WHERE lead_id > 20000 GROUP BY 1 ORDER BY 1;
SELECT * FROM crm.verify();
-- renamed: what names the pipeline waits for upgrade_pipeline()
DROP SCHEMA try CASCADE;
ALTER SCHEMA crm RENAME TO "C'rm";
ALTER SCHEMA crm_reports RENAME TO "C'rm_reports";
\c -
INSERT INTO "C'rm".event (lead_id, kind) VALUES (10001, 'product_page_view');
SELECT "C'rm".pause_sequence('m');
SELECT leadscore.upgrade_pipeline('C''rm') > 0 AS upgraded;
INSERT INTO "C'rm".event (lead_id, kind) VALUES (10001, 'product_page_view');
SELECT sequence FROM "C'rm".enrollment WHERE lead_id = 10001 ORDER BY 1;
SELECT "C'rm".pause_sequence('m'), "C'rm".enroll_lead('o2', 'n') AS began;
SELECT leadscore.drop_pipeline('C''rm');

-- Events of the past that come in order: what time has taken back since begins nothing.
-- A hot gives 20 points for five days, and is in the segment for five. Those of the
-- leads 1 and 3 are ten days old, those of 2 and 4 two days.
SELECT leadscore.create_pipeline('m', 'empty', reports => false) \g /dev/null
SET search_path = m, leadscore, public;
INSERT INTO signal (signal, event_kinds) VALUES ('act', '{act}'), ('hot', '{hot}');
INSERT INTO model (model, allow_demotion) VALUES ('m', true);
INSERT INTO dimension (model, dimension) VALUES ('m', 'd');
INSERT INTO rule (model, dimension, rule, signal, points, decay, decay_period) VALUES ('m', 'd', 'act', 'act', 10, 'none', NULL), ('m', 'd', 'hot', 'hot', 20, 'window', '5 days');
INSERT INTO stage_rule (model, stage, min_score) VALUES ('m', 'iql', 10), ('m', 'mql', 25);
SELECT activate_model('m', wait => true) \g /dev/null
INSERT INTO segment (segment) VALUES ('hots');
INSERT INTO segment_condition (segment, condition, signal, min_count, within) VALUES ('hots', 'hot', 'hot', 1, '5 days');
SELECT activate_segment('hots', wait => true) \g /dev/null
INSERT INTO sequence (sequence, starts_on, start_name, stay_in_segment, late_after) VALUES
    ('became mql', 'stage', 'mql', NULL, '30 days'), ('entered', 'segment_entered', 'hots', NULL, '30 days'),
    ('in segment', 'event', 'act', 'hots', '30 days'), ('left', 'segment_left', 'hots', NULL, '30 days');
INSERT INTO sequence_step (sequence, step, position, delay, kind, channel) SELECT sequence, 'call', 1, '0', 'task', 'phone' FROM sequence;
SELECT activate_sequence(sequence) FROM sequence \g /dev/null
UPDATE sequence SET activated_at = now() - interval '20 days';
INSERT INTO lead (lead_id, created_at) SELECT i, now() - interval '40 days' FROM generate_series(1, 4) i;
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'act', now() - interval '11 days'), (1, 'hot', now() - interval '10 days');
INSERT INTO event (lead_id, kind, occurred_at) VALUES (2, 'act', now() - interval '3 days'), (2, 'hot', now() - interval '2 days');
INSERT INTO event (lead_id, kind, occurred_at) VALUES (3, 'hot', now() - interval '10 days'), (3, 'act', now() - interval '9 days');
INSERT INTO event (lead_id, kind, occurred_at) VALUES (4, 'hot', now() - interval '2 days'), (4, 'act', now() - interval '1 day');
SELECT lead_id, s.stage AS recorded, c.stage AS now, in_segment_by_id(lead_id, 'hots') AS in_segment, array_agg(e.sequence ORDER BY e.sequence) AS sequences
FROM lead_state s JOIN lead_score c USING (lead_id) LEFT JOIN enrollment e USING (lead_id) GROUP BY 1, 2, 3, 4 ORDER BY 1;
-- what time did is recorded, and leads 1 and 3 left the segment five days ago
SELECT sweep() > 0 AS swept;
SELECT lead_id, array_agg(sequence ORDER BY sequence) AS sequences FROM enrollment GROUP BY 1 ORDER BY 1;
SELECT * FROM verify();
SELECT leadscore.drop_pipeline('m');
