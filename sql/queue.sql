--
-- The queue: what claim_actions() hands out and when, and what became of it
--
SELECT leadscore.create_pipeline('crm') \g /dev/null
UPDATE crm.setting SET time_zone = 'Europe/Madrid';
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
CREATE VIEW try.queue AS
    SELECT l.external_id AS lead, coalesce(a.content, a.step) AS what, a.status, a.reason, a.attempt, a.due_at AT TIME ZONE 'Europe/Madrid' AS due_in_madrid FROM crm.action a JOIN crm.lead l USING (lead_id);
CREATE FUNCTION try.lead(name text, zone text DEFAULT NULL, consent boolean DEFAULT true) RETURNS bigint LANGUAGE sql AS
    $$SELECT crm.upsert_lead(name, name || '@mail.example', consent => consent, contact_allowed => consent, time_zone => zone, at => '2026-01-01')$$;
-- an action that never expires unless it is said
CREATE FUNCTION try.add(lead text, what text, at timestamptz, priority integer DEFAULT 100, channel text DEFAULT 'email', topic text DEFAULT NULL, transactional boolean DEFAULT false, expires interval DEFAULT NULL, kind text DEFAULT 'message') RETURNS boolean LANGUAGE sql AS
    $$SELECT crm.add_action(lead, channel, what, at, priority => priority, topic => topic, transactional => transactional, expires_after => expires, kind => kind) > 0$$;
-- ends what is claimed
CREATE FUNCTION try.done(at timestamptz) RETURNS bigint LANGUAGE sql AS
    $$SELECT count(*) FILTER (WHERE crm.complete_action(a.lead_id, a.action_id, a.attempt, at => done.at)) FROM crm.action a WHERE a.status = 'claimed'$$;
CREATE FUNCTION try.failed(what text, at timestamptz, error text DEFAULT 'no') RETURNS boolean LANGUAGE sql AS
    $$SELECT crm.fail_action(a.lead_id, a.action_id, a.attempt, failed.error, at => failed.at) FROM crm.action a WHERE a.content = what$$;

-- Empty
SELECT count(*) FROM crm.claim_actions('email');
SELECT crm.complete_actions('[]'), crm.complete_action(1, 1, 1), crm.fail_action(1, 1, 1), crm.extend_action(1, 1, 1), crm.cancel_action(1, 1, 1), crm.action_wanted(1, 1, 1), crm.complete_action(NULL, NULL, NULL), crm.fail_action(NULL, NULL, NULL), crm.action_wanted(NULL, NULL, NULL);

-- What is refused
SELECT t.* FROM unnest(ARRAY[$$SELECT * FROM crm.claim_actions(NULL)$$, $$SELECT * FROM crm.claim_actions('email', NULL)$$, $$SELECT * FROM crm.claim_actions('email', lease => NULL)$$, $$SELECT * FROM crm.claim_actions('email', at => NULL)$$,
    $$SELECT * FROM crm.claim_actions('email', 0)$$, $$SELECT * FROM crm.claim_actions('email', 10001)$$, $$SELECT * FROM crm.claim_actions('email', lease => '0')$$, $$SELECT * FROM crm.claim_actions('email', lease => '31 days')$$, $$SELECT * FROM crm.claim_actions('email', lease => '-1 s')$$,
    $$SELECT * FROM crm.claim_actions('email', at => 'infinity')$$, $$SELECT * FROM crm.claim_actions('email', at => '-infinity')$$, $$SELECT * FROM crm.claim_actions('email', at => '0001-12-31 BC')$$,
    $$SELECT crm.complete_action(1, 1, 1, at => NULL)$$, $$SELECT crm.complete_action(1, 1, 1, at => 'infinity')$$, $$SELECT crm.complete_action(1, 1, 1, properties => NULL)$$, $$SELECT crm.complete_action(1, 1, 1, properties => '[]')$$,
    $$SELECT crm.complete_actions(NULL)$$, $$SELECT crm.complete_actions('{}')$$, $$SELECT crm.complete_actions('[1]')$$, $$SELECT crm.complete_actions('[{"lead_id": "x"}]')$$, $$SELECT crm.complete_actions('[{"attempt": 2147483648}]')$$, $$SELECT crm.complete_actions('[]', at => NULL)$$, $$SELECT crm.fail_action(1, 1, 1, at => NULL)$$, $$SELECT crm.fail_action(1, 1, 1, at => '-infinity')$$,
    $$SELECT crm.extend_action(1, 1, 1, NULL)$$, $$SELECT crm.extend_action(1, 1, 1, '0')$$, $$SELECT crm.extend_action(1, 1, 1, '31 days')$$, $$SELECT crm.extend_action(1, 1, 1, at => NULL)$$, $$SELECT crm.cancel_action(1, 1, 1, at => NULL)$$]) s, try.try(s) t;
SELECT try.lead('ann') > 0 AS ann;
SELECT t.* FROM unnest(ARRAY[$$'nobody', 'email', 'x'$$, $$NULL, 'email', 'x'$$, $$'ann', NULL, 'x'$$, $$'ann', ' ', 'x'$$, $$'ann', 'email', 'x', due_at => NULL$$, $$'ann', 'email', 'x', due_at => 'infinity'$$, $$'ann', 'email', 'x', dedup_key => ''$$, $$'ann', 'email', 'x', kind => 'letter'$$, $$'ann', 'email', 'x', kind => NULL$$,
    $$'ann', 'email', 'x', transactional => NULL$$, $$'ann', 'email', 'x', transactional => true, topic => 'tea'$$, $$'ann', 'email', 'x', transactional => true, kind => 'task'$$, $$'ann', 'email', 'x', priority => 32768$$, $$'ann', 'email', 'x', priority => NULL$$, $$'ann', 'email', 'x', properties => '[]'$$, $$'ann', 'email', 'x', properties => NULL$$,
    $$'ann', repeat('x', 201), 'x'$$, $$'ann', 'email', 'x', topic => repeat('x', 201)$$, $$'ann', 'email', 'x', dedup_key => repeat('x', 2001)$$,
    $$'ann', 'email', 'x', expires_after => '0'$$, $$'ann', 'email', 'x', expires_after => '101 years'$$]) s, try.try('SELECT crm.add_action(' || s || ')') t;
SELECT t.* FROM try.try($$SELECT crm.add_action_by_id(-1, 'email', 'x')$$) t;
-- arrays of other dimensions are lists, too
SELECT crm.set_preferences('ann', '{{tea,news},{offers,tea}}', '{Email}') AS new;
SELECT topics, channels FROM crm.preferences('ann');
SELECT crm.set_preferences('ann') AS taken_back;
-- where it may not be called: above READ COMMITTED, and after a write
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM crm.claim_actions('email');
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT * FROM crm.claim_actions('email');
ROLLBACK;
BEGIN;
SELECT event_id > 0 AS written FROM crm.track('ann', 'page_view');
SELECT * FROM crm.claim_actions('email');
ROLLBACK;

-- The app's own: one for a key; channel and topic in lower case; who gets a task
SELECT crm.add_action('ann', ' Email ', 'receipt', '2026-05-01', dedup_key => 'order 42', transactional => true) = crm.add_action('ann', 'email', 'receipt again', dedup_key => 'order 42') AS one, crm.add_action('ann', 'email', 'a', '2026-05-01') <> crm.add_action('ann', 'email', 'a', '2026-05-01', topic => ' Tea ', properties => '{"n": 1}') AS two;
SELECT channel, topic, content, dedup_key ~ '^app/' AS made_up, dedup_key = 'app:order 42' AS given, transactional, properties, expires_at - due_at AS expires_after, created_by = current_user AS mine FROM crm.action ORDER BY action_id;
SELECT external_id, email, topic, content, properties, transactional, attempt FROM crm.claim_actions(' EMAIL ', at => '2026-05-01 09:00+02');
SELECT try.done('2026-05-01 09:00+02');
SELECT kind, occurred_at AT TIME ZONE 'UTC' AS utc, source_id ~ '^action:\d+$' AS by_number, properties FROM crm.event WHERE kind = 'email_sent' ORDER BY event_id;

-- Order (R7): by priority, by when it is due, by number
SELECT try.lead('bob') > 0, try.add('bob', '3 news', '2026-05-04 08:00+02', 200), try.add('ann', '2 later', '2026-05-04 09:00+02', 100), try.add('bob', '1 sql', '2026-05-04 10:00+02', 10), try.add('bob', '2 first', '2026-05-04 08:30+02', 100), try.add('ann', '4 not yet', '2026-05-04 10:00:00.000001+02', -5), try.add('ann', '0 phone', '2026-05-04 08:00+02', 1, 'phone');
SELECT external_id, content FROM crm.claim_actions('email', 2, at => '2026-05-04 10:00+02');
SELECT external_id, content FROM crm.claim_actions('email', 2, at => '2026-05-04 10:00+02');
SELECT external_id, content FROM crm.claim_actions('email', 2, at => '2026-05-04 10:00+02');
SELECT try.done('2026-05-04 10:00+02');
SELECT crm.cancel_action(lead_id, action_id, attempt) AS cancelled, crm.cancel_action(lead_id, action_id, attempt, 'twice') AS again FROM crm.action WHERE status = 'waiting' AND content = '4 not yet';
SELECT what, status, reason FROM try.queue WHERE what = '4 not yet' OR what = '0 phone' ORDER BY 1;

-- Limits (R6), by the calendar of the lead. One mail a day: mail on Monday 11 May
-- at 17:00; the next one is due at 19:00, and goes on Tuesday, at 8:00 when the hours
-- of the channel begin.
INSERT INTO crm.contact_limit VALUES ('email', 'day', 1);
INSERT INTO crm.contact_hours VALUES ('email', '8:00', '21:00');
SELECT try.lead('cap') > 0, try.add('cap', 'm1', '2026-05-11 17:00+02'), try.add('cap', 'm2', '2026-05-11 19:00+02'), try.add('cap', 'r1', '2026-05-11 19:30+02', transactional => true), try.add('cap', 't1', '2026-05-11 19:00+02', kind => 'task');
SELECT content FROM crm.claim_actions('email', at => '2026-05-11 17:00+02');
SELECT content FROM crm.claim_actions('email', at => '2026-05-11 19:30+02');
SELECT * FROM try.queue WHERE lead = 'cap' ORDER BY 2;
-- what was claimed counts as what was done: it is not over before Tuesday either way
SELECT content FROM crm.claim_actions('email', at => '2026-05-11 20:59:59+02', lease => '1 s');
SELECT try.done('2026-05-11 21:00+02');
SELECT content FROM crm.claim_actions('email', at => '2026-05-12 07:59:59.999999+02');
SELECT content FROM crm.claim_actions('email', at => '2026-05-12 08:00+02');
SELECT try.done('2026-05-12 08:00+02');
-- two due at once: the more urgent one goes; one claim takes no more than the limit leaves
SELECT try.add('cap', 'low', '2026-05-13 09:00+02', 200), try.add('cap', 'high', '2026-05-13 10:00+02', 10), try.add('cap', 'mid', '2026-05-13 08:00+02', 100);
SELECT content FROM crm.claim_actions('email', at => '2026-05-13 10:00+02');
SELECT what, status, reason, due_in_madrid FROM try.queue WHERE what IN ('low', 'high', 'mid') ORDER BY 1;
-- what failed does not count, and is tried again; what is retried does not count twice
SELECT try.failed('high', '2026-05-13 10:00+02');
SELECT content FROM crm.claim_actions('email', at => '2026-05-13 10:01+02');
SELECT crm.cancel_action(lead_id, action_id, attempt) FROM crm.action WHERE content IN ('low', 'mid');
SELECT try.done('2026-05-13 10:01+02');
-- weeks from Monday, months, and all channels together: each must have room
UPDATE crm.contact_limit SET max_count = 2 WHERE channel = 'email';
INSERT INTO crm.contact_limit VALUES ('email', 'week', 3), (NULL, 'month', 4);
SELECT t.code FROM unnest(ARRAY[$$('email', 'day', 5)$$, $$(NULL, 'month', 5)$$, $$('email', 'year', 5)$$, $$('sms', 'day', 0)$$, $$('SMS', 'day', 1)$$]) s, try.try('INSERT INTO crm.contact_limit VALUES ' || s) t;
SELECT try.lead('week') > 0 AS made;
SELECT bool_and(try.add('week', 'w' || i, '2026-07-27 09:00+02', i)) FROM generate_series(1, 6) i;
-- Monday 27 July: two. Tuesday: one more fills the week; the next Monday is 3 August, and a new month
SELECT content FROM crm.claim_actions('email', at => '2026-07-27 10:00+02');
SELECT what, status, due_in_madrid FROM try.queue WHERE lead = 'week' ORDER BY 1;
SELECT try.done('2026-07-27 10:00+02');
SELECT content FROM crm.claim_actions('email', at => '2026-07-28 08:00+02');
SELECT what, status, reason, due_in_madrid FROM try.queue WHERE lead = 'week' AND status <> 'done' ORDER BY 1;
SELECT try.done('2026-07-28 08:00+02');
-- of another channel the month has one left, and then August
SELECT try.add('week', 's1', '2026-07-29 09:00+02', 1, 'chat'), try.add('week', 's2', '2026-07-29 09:00+02', 2, 'chat');
SELECT content FROM crm.claim_actions('chat', at => '2026-07-29 09:00+02');
SELECT what, status, reason, due_in_madrid FROM try.queue WHERE what IN ('s1', 's2') ORDER BY 1;
SELECT try.done('2026-07-29 09:00+02');
SELECT content FROM crm.claim_actions('email', at => '2026-08-03 08:00+02');
SELECT try.done('2026-08-03 08:00+02');
-- the day is the lead's own: 23:30 in Los Angeles, where a day ends at 9:00 in Madrid
DELETE FROM crm.contact_limit;
DELETE FROM crm.contact_hours;
INSERT INTO crm.contact_limit VALUES ('email', 'day', 1);
SELECT try.lead('la', 'America/Los_Angeles') > 0, try.add('la', 'la 1', '2026-06-02 06:30+00'), try.add('la', 'la 2', '2026-06-02 06:45+00');
SELECT content FROM crm.claim_actions('email', at => '2026-06-02 06:45+00');
SELECT what, reason, due_in_madrid FROM try.queue WHERE what = 'la 2';
SELECT try.done('2026-06-02 06:45+00');
SELECT content FROM crm.claim_actions('email', at => '2026-06-02 06:59:59.999999+00');
SELECT content FROM crm.claim_actions('email', at => '2026-06-02 07:00+00');
SELECT try.done('2026-06-02 07:00+00');
-- on a day of 25 hours, 25 October, there is one, too
SELECT try.lead('dst') > 0, try.add('dst', 'dst 1', '2026-10-24 22:00+00'), try.add('dst', 'dst 2', '2026-10-24 22:30+00');
SELECT content FROM crm.claim_actions('email', at => '2026-10-24 22:30+00');
SELECT try.done('2026-10-24 22:30+00');
SELECT what, reason, due_in_madrid, (SELECT due_at AT TIME ZONE 'UTC' FROM crm.action WHERE content = 'dst 2') AS utc FROM try.queue WHERE what = 'dst 2';
DELETE FROM crm.contact_limit;

-- Hours (R5): 10:00 UTC is 2:00 in Los Angeles in November, so 8:00 there, 16:00 UTC.
-- A task and a receipt know no hours; windows may pass midnight; half-open.
INSERT INTO crm.contact_hours VALUES ('email', '8:00', '21:00', NULL), ('sms', '20:00', '2:00', '{5,6}');
SELECT t.code FROM unnest(ARRAY[$$('SMS', '8:00', '9:00')$$, $$('x', '8:00', '9:00', '{}')$$, $$('x', '8:00', '9:00', '{8}')$$]) s, try.try('INSERT INTO crm.contact_hours VALUES ' || s) t;
SELECT try.add('la', 'h1', '2026-11-10 10:00+00'), try.add('la', 'h2', '2026-11-10 10:00+00', transactional => true), try.add('la', 'h3', '2026-11-10 10:00+00', kind => 'task');
SELECT content FROM crm.claim_actions('email', at => '2026-11-10 10:00+00') WHERE external_id = 'la';
SELECT what, status, reason, (SELECT due_at AT TIME ZONE 'UTC' FROM crm.action WHERE content = what) AS utc FROM try.queue WHERE what IN ('h1', 'h2', 'h3') ORDER BY 1;
SELECT content FROM crm.claim_actions('email', at => '2026-11-10 15:59:59.999999+00') WHERE external_id = 'la';
SELECT content FROM crm.claim_actions('email', at => '2026-11-10 16:00+00') WHERE external_id = 'la';
SELECT try.done('2026-11-10 16:00+00');
-- Friday and Saturday nights: 1:59 on Sunday is still Saturday's
SELECT crm.upsert_lead('night', phone => '+34 600', consent => true, contact_allowed => true, at => '2026-01-01') > 0, try.add('night', 'n1', '2026-05-17 01:59:59+02', 100, 'sms'), try.add('night', 'n2', '2026-05-17 02:00+02', 100, 'sms');
SELECT content FROM crm.claim_actions('sms', at => '2026-05-17 01:59:59.999+02');
SELECT content FROM crm.claim_actions('sms', at => '2026-05-17 02:00+02');
SELECT what, status, reason, due_in_madrid FROM try.queue WHERE lead = 'night' ORDER BY 1;
-- hours that a step does not meet any more: never out of them, and it expires
INSERT INTO crm.sequence (sequence, starts_on) VALUES ('early', 'by_hand');
INSERT INTO crm.sequence_step (sequence, step, position, channel, not_before, not_after) VALUES ('early', 'bird', 1, 'fax', '5:00', '7:00');
SELECT crm.activate_sequence('early'), try.lead('early') > 0 AS made, crm.enroll_lead('early', 'early', '2026-05-18 05:00+02') AS began;
INSERT INTO crm.contact_hours VALUES ('fax', '9:00', '17:00');
SELECT step FROM crm.claim_actions('fax', at => '2026-05-18 06:00+02');
SELECT what, status, reason, due_in_madrid FROM try.queue WHERE lead = 'early';
SELECT step FROM crm.claim_actions('fax', at => '2026-05-20 10:00+02');
SELECT q.what, q.status, q.reason, e.end_reason FROM try.queue q, crm.enrollment e WHERE lead = 'early' AND e.sequence = 'early';
DELETE FROM crm.contact_hours;
SELECT try.done('2026-05-20 10:00+02') >= 0 AS done;

-- Late: what is not done so long after it was due is skipped, to the microsecond; the sequence goes on
INSERT INTO crm.sequence (sequence, starts_on, late_after) VALUES ('late', 'by_hand', '2 hours');
INSERT INTO crm.sequence_step (sequence, step, position, channel, delay) VALUES ('late', 'one', 1, 'email', '0'), ('late', 'two', 2, 'email', '1 hour');
SELECT crm.activate_sequence('late'), try.lead('slow') > 0 AS made, crm.enroll_lead('slow', 'late', '2026-05-18 10:00+02') AS began;
SELECT step FROM crm.claim_actions('email', at => '2026-05-18 12:00+02');
SELECT * FROM try.queue WHERE lead = 'slow' ORDER BY due_in_madrid;
SELECT step FROM crm.claim_actions('email', at => '2026-05-18 14:59:59.999999+02');
SELECT try.done('2026-05-18 15:00+02');
SELECT end_reason, ended_at AT TIME ZONE 'Europe/Madrid' AS ended FROM crm.enrollment WHERE sequence = 'late';

-- Conditions: signals since the day on which the run began, those of the profile now; a segment
INSERT INTO crm.segment (segment) VALUES ('b2b');
INSERT INTO crm.segment_condition (segment, condition, lead_condition) VALUES ('b2b', 'market', '$market == "b2b"');
SELECT crm.activate_segment('b2b') IS NOT NULL AS active;
INSERT INTO crm.sequence (sequence, starts_on) VALUES ('if', 'by_hand');
INSERT INTO crm.sequence_step (sequence, step, position, channel, only_if, unless, in_segment) VALUES ('if', 'a', 1, 'chat', '{page_view,need_confirmed}', '{}', NULL), ('if', 'b', 2, 'chat', '{}', '{quote_request,student}', NULL), ('if', 'c', 3, 'chat', '{}', '{}', 'b2b'), ('if', 'd', 4, 'chat', '{}', '{}', NULL);
SELECT crm.activate_sequence('if');
SELECT try.lead(n) > 0 AS made FROM unnest('{i0,i1,i2,i3}'::text[]) n;
-- i0: nothing; i1: saw a page the day before, needs; i2: saw a page that morning, needs, and asked for a quote; i3: b2b, student
SELECT count(*) FROM (VALUES ('i1', 'page_view', timestamptz '2026-05-17 23:00+00'), ('i1', 'quote_request', '2026-05-17 23:59:59+00'), ('i2', 'page_view', '2026-05-18 00:00+00'), ('i2', 'quote_request', '2026-05-18 07:00+00')) AS v (l, k, at), crm.track(l, k, occurred_at => at);
SELECT crm.upsert_lead(n, profile => p::jsonb) > 0 AS known FROM (VALUES ('i1', '{"need": true}'), ('i2', '{"need": true}'), ('i3', '{"market": "b2b", "job_title": "student"}')) AS v (n, p);
SELECT crm.enroll_lead(n, 'if', '2026-05-18 08:00+00') AS began FROM unnest('{i0,i1,i2,i3}'::text[]) n;
SELECT external_id, step FROM crm.claim_actions('chat', at => '2026-05-18 08:00+00');
SELECT try.done('2026-05-18 08:00+00');
SELECT external_id, step FROM crm.claim_actions('chat', at => '2026-05-18 08:00+00');
SELECT try.done('2026-05-18 08:00+00');
SELECT external_id, step FROM crm.claim_actions('chat', at => '2026-05-18 08:00+00');
SELECT try.done('2026-05-18 08:00+00');
SELECT l.external_id, string_agg(a.step || ' ' || a.status || coalesce(' ' || a.reason, ''), ', ' ORDER BY a.step) FROM crm.action a JOIN crm.lead l USING (lead_id) WHERE a.sequence = 'if' GROUP BY 1 ORDER BY 1;
SELECT end_reason, count(*) FROM crm.enrollment WHERE sequence = 'if' GROUP BY 1;

-- Addresses, and consent: never asked, for another topic, withdrawn, suppressed, refused by hand, bounced (R8)
SELECT crm.upsert_lead('none', consent => true, contact_allowed => true, at => '2026-01-01') > 0, crm.upsert_lead('blank', '  ', phone => 'none', consent => true, contact_allowed => true, at => '2026-01-01') > 0, try.lead('asked', consent => NULL) > 0;
SELECT try.lead(n) > 0 AS made FROM unnest('{topic,gone,stop,block,bounce,policy}'::text[]) n;
SELECT try.add(n, 'c', '2026-05-25 10:00+02') AND try.add(n, 'tea', '2026-05-25 10:00+02', topic => 'tea') AND try.add(n, 'receipt', '2026-05-25 10:00+02', transactional => true) AS added FROM unnest('{none,blank,asked,topic,gone,stop,block,bounce,policy}'::text[]) n;
SELECT try.add('blank', 'p', '2026-05-25 10:00+02', channel => 'phone'), try.add('none', 'chat', '2026-05-25 10:00+02', channel => 'chat');
SELECT crm.withdraw_consent('topic', 'marketing', 'email', 'tea', occurred_at => '2026-05-24'), crm.withdraw_consent('gone', 'marketing', 'email', occurred_at => '2026-05-24'), crm.withdraw_consent('policy', 'policy', occurred_at => '2026-05-24');
SELECT crm.suppress('stop@mail.example', 'email', reason => 'unsubscribed', since => '2026-05-24') AS stop, crm.suppress('block@mail.example', since => '2026-05-24') AS block, crm.suppress('bounce@mail.example', 'email', reason => 'bounced', since => '2026-05-24') AS bounce;
SELECT external_id, content FROM crm.claim_actions('email', at => '2026-05-25 10:00+02') ORDER BY 1, 2;
SELECT count(*) FROM crm.claim_actions('phone', at => '2026-05-25 10:00+02') WHERE external_id = 'blank';
SELECT external_id, content FROM crm.claim_actions('chat', at => '2026-05-25 10:00+02');
SELECT lead, string_agg(what || ' ' || status || coalesce(' (' || reason || ')', ''), ', ' ORDER BY what) FROM try.queue WHERE lead IN ('none', 'blank', 'asked', 'topic', 'gone', 'stop', 'block', 'bounce', 'policy') GROUP BY 1 ORDER BY 1;
SELECT try.done('2026-05-25 10:00+02') > 0 AS done;
-- withdrawn at 11:30 what waits is skipped at once, and runs of that channel and topic end; of others not
INSERT INTO crm.sequence (sequence, starts_on) VALUES ('tea', 'by_hand'), ('any', 'by_hand'), ('call', 'by_hand');
INSERT INTO crm.sequence_step (sequence, step, position, channel, topic, delay, kind) VALUES ('tea', 'one', 1, 'email', 'tea', '2 hours', 'message'), ('any', 'one', 1, 'email', 'offers', '2 hours', 'message'), ('call', 'one', 1, 'phone', NULL, '2 hours', 'task');
SELECT crm.activate_sequence(s) FROM unnest('{tea,any,call}'::text[]) s;
SELECT try.lead('r8') > 0 AS made;
SELECT bool_and(crm.enroll_lead('r8', s, '2026-05-26 10:00+02')) FROM unnest('{tea,any,call}'::text[]) s;
SELECT try.add('r8', 'receipt', '2026-05-26 12:00+02', transactional => true);
SELECT crm.withdraw_consent('r8', 'marketing', topic => 'tea', occurred_at => '2026-05-26 11:30+02');
SELECT e.sequence, e.end_reason, a.status, a.reason FROM crm.enrollment e JOIN crm.action a USING (lead_id, sequence, run) WHERE e.lead_id = crm.lead_id('r8') ORDER BY 1;
SELECT content, step FROM crm.claim_actions('email', at => '2026-05-26 12:00+02') WHERE external_id = 'r8';
-- an unsubscribe while a worker has it: it is not wanted, its run ends, and failing it cancels it
SELECT event_id > 0 AS tracked FROM crm.track('r8', 'unsubscribe', occurred_at => '2026-05-26 12:01+02');
SELECT e.sequence, e.end_reason, a.status, a.reason, crm.action_wanted(a.lead_id, a.action_id, a.attempt, '2026-05-26 12:02+02') AS wanted FROM crm.enrollment e JOIN crm.action a USING (lead_id, sequence, run) WHERE e.lead_id = crm.lead_id('r8') ORDER BY 1;
SELECT crm.fail_action(lead_id, action_id, attempt, 'not wanted', at => '2026-05-26 12:02+02') AS failed FROM crm.action WHERE lead_id = crm.lead_id('r8') AND sequence = 'any';
SELECT what, status, reason FROM try.queue WHERE lead = 'r8' ORDER BY 1, 2;
SELECT try.done('2026-05-26 12:02+02') > 0 AS done;

-- Double opt-in (R12): asked at 10:00, the request to confirm goes at 10:00; the step
-- due at 10:05 waits; confirmed at 11:20, it is due then
INSERT INTO crm.sequence (sequence, starts_on) VALUES ('opt in', 'by_hand');
INSERT INTO crm.sequence_step (sequence, step, position, channel, delay, transactional, topic) VALUES ('opt in', 'confirm', 1, 'email', '0', true, NULL), ('opt in', 'welcome', 2, 'email', '5 minutes', false, 'news');
SELECT crm.activate_sequence('opt in');
SELECT try.lead(n, consent => NULL) > 0 AS made, crm.give_consent(n, 'policy', occurred_at => '2026-06-01 10:00+02') AS policy, crm.give_consent(n, 'marketing', 'email', status => 'requested', occurred_at => '2026-06-01 10:00+02') AS asked, crm.enroll_lead(n, 'opt in', '2026-06-01 10:00+02') AS began FROM unnest('{yes,never}'::text[]) n;
SELECT external_id, step FROM crm.claim_actions('email', at => '2026-06-01 10:00+02');
SELECT try.done('2026-06-01 10:00+02');
SELECT external_id, step FROM crm.claim_actions('email', at => '2026-06-01 10:05+02');
SELECT * FROM try.queue WHERE lead IN ('yes', 'never') AND what = 'welcome' ORDER BY 1;
SELECT crm.give_consent('yes', 'marketing', 'email', evidence => '{"ip": "203.0.113.7"}', occurred_at => '2026-06-01 11:20+02');
SELECT * FROM try.queue WHERE lead IN ('yes', 'never') AND what = 'welcome' ORDER BY 1;
SELECT external_id, step FROM crm.claim_actions('email', at => '2026-06-01 11:19:59+02');
SELECT external_id, step FROM crm.claim_actions('email', at => '2026-06-01 11:20+02');
SELECT try.done('2026-06-01 11:20+02');
-- not confirmed: two days later it is late
SELECT external_id, step FROM crm.claim_actions('email', at => '2026-06-03 10:05+02');
SELECT lead, what, status, reason FROM try.queue WHERE lead IN ('yes', 'never') ORDER BY 1, 2;
-- asked again, a lead that had said yes has still said so; asked after a no, the step waits
SELECT try.lead('still') > 0 AS made, crm.give_consent('still', 'marketing', 'email', status => 'requested', occurred_at => '2026-06-04'), try.add('still', 'x', '2026-06-05');
SELECT external_id, content FROM crm.claim_actions('email', at => '2026-06-05 12:00+02');
SELECT try.done('2026-06-05 12:00+02');

-- Leases, attempts (R11): what is not done in time is handed out again, with another ticket
SELECT try.lead('lease') > 0, try.add('lease', 'L', '2026-06-08 10:00+02');
SELECT content, attempt, claimed_until AT TIME ZONE 'Europe/Madrid' AS until FROM crm.claim_actions('email', at => '2026-06-08 10:00+02', lease => '10 minutes', worker => 'w1');
SELECT count(*) FROM crm.claim_actions('email', at => '2026-06-08 10:09:59.999999+02');
SELECT lead_id AS l, action_id AS a FROM crm.action WHERE content = 'L' \gset
SELECT crm.action_wanted(:l, :a, 1, '2026-06-08 10:09:59+02') AS wanted, crm.action_wanted(:l, :a, 1, '2026-06-08 10:10+02') AS too_late, crm.action_wanted(:l, :a, 0, '2026-06-08 10:01+02') AS other;
SELECT crm.extend_action(:l, :a, 1, '10 minutes', '2026-06-08 10:05+02') AS extended, crm.extend_action(:l, :a, 1, '1 minute', '2026-06-08 10:05+02') AS never_shorter, crm.extend_action(:l, :a, 0) AS stale;
SELECT claimed_until AT TIME ZONE 'Europe/Madrid' AS until FROM crm.action WHERE action_id = :a;
SELECT content, attempt FROM crm.claim_actions('email', at => '2026-06-08 10:15+02', worker => 'w2');
SELECT crm.complete_action(:l, :a, 1) AS stale, crm.fail_action(:l, :a, 1) AS stale_failure, crm.cancel_action(:l, :a, 1) AS stale_cancel, crm.complete_action(:l, :a, 3) AS of_the_future;
SELECT status, attempt, claimed_by FROM crm.action WHERE action_id = :a;
SELECT crm.complete_action(:l, :a, 2, 'sent', '{"size": 3, "step": "mine"}', '2026-06-08 10:16+02') AS done, crm.complete_action(:l, :a, 2) AS twice, crm.complete_action(:l, :a, 1) AS stale, crm.fail_action(:l, :a, 2) AS too_late, crm.extend_action(:l, :a, 2) AS extended, crm.cancel_action(:l, :a, 2) AS cancelled, crm.action_wanted(:l, :a, 2) AS wanted;
SELECT status, reason, outcome, ended_at AT TIME ZONE 'Europe/Madrid' AS ended, claimed_until FROM crm.action WHERE action_id = :a;
SELECT kind, properties, channel FROM crm.event WHERE lead_id = :l;
-- retries after 1, 4, 16 and 64 minutes; then it has failed
SELECT try.add('lease', 'F', '2026-06-09 10:00+02');
SELECT attempt FROM crm.claim_actions('email', at => '2026-06-09 10:00+02');
SELECT try.failed('F', '2026-06-09 10:00+02'), (SELECT due_at FROM crm.action WHERE content = 'F') AS was_due;
SELECT status, reason, error, due_in_madrid, (SELECT claimed_until FROM crm.action WHERE content = 'F') AS until FROM try.queue NATURAL JOIN (SELECT content AS what, error FROM crm.action) e WHERE what = 'F';
SELECT attempt FROM crm.claim_actions('email', at => '2026-06-09 10:01+02');
SELECT try.failed('F', '2026-06-09 10:01+02');
SELECT attempt FROM crm.claim_actions('email', at => '2026-06-09 10:05+02');
SELECT try.failed('F', '2026-06-09 10:05+02');
SELECT attempt FROM crm.claim_actions('email', at => '2026-06-09 10:21+02');
SELECT try.failed('F', '2026-06-09 10:21+02');
SELECT status, reason, attempt, due_in_madrid FROM try.queue WHERE what = 'F';
SELECT attempt FROM crm.claim_actions('email', at => '2026-06-09 11:25+02');
SELECT try.failed('F', '2026-06-09 11:25+02', 'the last');
SELECT status, reason, attempt, (SELECT error FROM crm.action WHERE content = 'F') AS error FROM try.queue WHERE what = 'F';
-- the fifth lease that runs out fails it as well; no retry wanted; the sequence goes on after both
INSERT INTO crm.sequence (sequence, starts_on) VALUES ('fail', 'by_hand');
INSERT INTO crm.sequence_step (sequence, step, position, channel, delay) SELECT 'fail', 'f' || i, i, 'email', '1 hour' FROM generate_series(1, 3) i;
SELECT crm.activate_sequence('fail'), crm.enroll_lead('lease', 'fail', '2026-06-10 09:00+02');
UPDATE crm.action SET max_attempts = 2 WHERE step = 'f1';
SELECT step, attempt FROM crm.claim_actions('email', at => '2026-06-10 10:00+02', lease => '1 minute');
SELECT step, attempt FROM crm.claim_actions('email', at => '2026-06-10 10:01+02', lease => '1 minute');
SELECT step, attempt FROM crm.claim_actions('email', at => '2026-06-10 10:02+02', lease => '1 minute');
SELECT what, status, reason, attempt, due_in_madrid FROM try.queue WHERE what LIKE 'f_' ORDER BY 1;
SELECT step, attempt FROM crm.claim_actions('email', at => '2026-06-10 11:02+02');
SELECT crm.fail_action(lead_id, action_id, attempt, 'never', retry => false, at => '2026-06-10 11:03+02') FROM crm.action WHERE step = 'f2';
SELECT crm.cancel_action(lead_id, action_id, attempt, 'no time', '2026-06-10 11:04+02') FROM crm.action WHERE step = 'f3';
SELECT what, status, reason, attempt, due_in_madrid FROM try.queue WHERE what LIKE 'f_' ORDER BY 1;
SELECT end_reason, ended_at AT TIME ZONE 'Europe/Madrid' AS ended FROM crm.enrollment WHERE sequence = 'fail';
-- R9: the goal comes while a worker has it: failed or not done in time it is cancelled
INSERT INTO crm.sequence (sequence, starts_on, goal_signals) VALUES ('goal', 'by_hand', '{purchase}');
INSERT INTO crm.sequence_step (sequence, step, position, channel, delay) VALUES ('goal', 'g1', 1, 'email', '0'), ('goal', 'g2', 2, 'email', '0');
SELECT crm.activate_sequence('goal');
SELECT try.lead(n) > 0 AS made, crm.enroll_lead(n, 'goal', now() - interval '10 minutes') AS began FROM unnest('{done,failed,lost}'::text[]) n;
SELECT external_id, step FROM crm.claim_actions('email', at => now() - interval '10 minutes') ORDER BY 1;
SELECT event_id > 0 AS bought FROM unnest('{done,failed,lost}'::text[]) n, crm.track(n, 'purchase');
SELECT crm.complete_action(crm.lead_id('done'), action_id, attempt) FROM crm.action WHERE lead_id = crm.lead_id('done');
SELECT crm.fail_action(crm.lead_id('failed'), action_id, attempt) FROM crm.action WHERE lead_id = crm.lead_id('failed');
SELECT step FROM crm.claim_actions('email') WHERE sequence = 'goal';
SELECT lead, what, status, reason FROM try.queue WHERE lead IN ('done', 'failed', 'lost') ORDER BY 1, 2;

-- Tasks and alerts: no consent, hours or limits; done without a claim; by whom
INSERT INTO crm.contact_hours VALUES ('phone', '3:00', '3:01');
INSERT INTO crm.contact_limit VALUES ('phone', 'day', 1);
SELECT crm.upsert_lead('task', owner => 'kim', at => '2026-01-01') > 0 AS made, crm.add_action('task', 'phone', 'call', '2026-06-11', kind => 'task') AS t1, crm.add_action('task', 'phone', 'call back', '2026-06-11', kind => 'task', assignee => 'lee') AS t2, crm.add_action('task', 'phone', 'mind', '2026-06-11', kind => 'alert') AS t3, crm.add_action('task', 'phone', 'cold call', '2026-06-11') AS t4, crm.lead_id('task') AS t \gset
SELECT crm.complete_action(crm.lead_id('task'), :t1, 0, 'no answer', at => '2026-06-11 10:00+02') AS task, crm.complete_action(crm.lead_id('task'), :t3, 0) AS alert, crm.complete_action(crm.lead_id('task'), :t4, 0) AS message;
SELECT content, owner FROM crm.claim_actions('phone', at => '2026-06-11 11:00+02') WHERE external_id = 'task' ORDER BY 1;
SELECT crm.complete_action(crm.lead_id('task'), :t2, 0) AS unclaimed, crm.complete_action(crm.lead_id('task'), :t2, 1, 'yes', '{"minutes": 5}', '2026-06-11 11:10+02') AS claimed;
SELECT kind, properties FROM crm.event WHERE lead_id = crm.lead_id('task') ORDER BY occurred_at;
SELECT what, status, reason FROM try.queue WHERE lead = 'task' ORDER BY 1;
DELETE FROM crm.contact_limit;
DELETE FROM crm.contact_hours;

-- Many at once; those that are wrong do not count
SELECT try.lead('batch') > 0 AS made;
SELECT bool_and(try.add('batch', 'B' || i, '2026-06-12')) FROM generate_series(1, 5) i;
SELECT count(*) FROM crm.claim_actions('email', at => '2026-06-12 12:00+02');
SELECT crm.complete_actions(jsonb_agg(jsonb_build_object('lead_id', lead_id, 'action_id', action_id, 'attempt', attempt + CASE WHEN content = 'B5' THEN 1 ELSE 0 END, 'outcome', 'ok', 'properties', CASE WHEN content = 'B1' THEN '{"x": 1}'::jsonb END)) || '[{"lead_id": -1, "action_id": 1, "attempt": 1}, {"lead_id": null}, {}]', at => '2026-06-12 12:01+02') AS done FROM crm.action WHERE content LIKE 'B_';
SELECT what, status FROM try.queue WHERE lead = 'batch' ORDER BY 1;
SELECT properties ->> 'outcome' AS outcome, count(*) FROM crm.event WHERE lead_id = crm.lead_id('batch') GROUP BY 1;
SELECT try.done('2026-06-12 12:02+02');
-- an event of this number was there: it is done all the same
SELECT try.lead('same') > 0 AS made;
SELECT crm.add_action('same', 'email', 'S', '2026-06-13') AS s \gset
SELECT event_id > 0 FROM crm.track('same', 'page_view', source_id => 'action:' || :s);
SELECT content FROM crm.claim_actions('email', at => '2026-06-13 12:00+02');
SELECT try.done('2026-06-13 12:00+02'), (SELECT count(*) FROM crm.event WHERE lead_id = crm.lead_id('same')) AS events;
-- channels that are odd, a language of its own
SELECT crm.upsert_lead('odd', language => 'pt', consent => true, contact_allowed => true, at => '2026-01-01') > 0, try.add('odd', 'O', '2026-06-14', channel => E'päckchen ''"\\') AS added;
SELECT content, language, phone, email FROM crm.claim_actions(E'Päckchen ''"\\', at => '2026-06-14 12:00+02');
SELECT try.done('2026-06-14 12:00+02');
SELECT kind FROM crm.event WHERE lead_id = crm.lead_id('odd');

-- Instants of the very past and of the far future
SELECT try.lead('epoch') > 0, try.add('epoch', 'E1', '0001-01-01 00:00+00'), try.add('epoch', 'E2', '9999-12-31 23:59:59.999999+00'), try.add('epoch', 'E3', '1970-01-01 00:00+00', expires => '1 day');
SELECT content FROM crm.claim_actions('email', at => '0001-01-01 00:00+00');
SELECT content FROM crm.claim_actions('email', at => '9999-12-31 23:59:59.999999+00', lease => '30 days') WHERE external_id = 'epoch';
SELECT what, status, reason FROM try.queue WHERE lead = 'epoch' ORDER BY 1;
SELECT try.done('2026-06-15') > 0 AS done;

-- The zone of the session says nothing: the same claims under others
INSERT INTO crm.contact_hours VALUES ('email', '8:00', '21:00', '{1,2,3,4,5}');
INSERT INTO crm.contact_limit VALUES ('email', 'day', 1), (NULL, 'week', 3), ('email', 'month', 8);
INSERT INTO crm.sequence (sequence, starts_on, late_after) VALUES ('zones', 'by_hand', '1 mon');
INSERT INTO crm.sequence_step (sequence, step, position, channel, delay, not_before, weekdays, business_time) VALUES ('zones', 'z1', 1, 'email', '1 day 2 hours', '9:00', '{2,4}', false), ('zones', 'z2', 2, 'email', '1 mon', NULL, NULL, false), ('zones', 'z3', 3, 'email', '9 hours', NULL, NULL, true);
INSERT INTO crm.business_hours SELECT d, t, t + interval '4 hours' FROM generate_series(1, 5) d, unnest('{9:00,14:00}'::time[]) t;
SELECT crm.activate_sequence('zones');
CREATE PROCEDURE try.play(prefix text) LANGUAGE plpgsql AS $$
DECLARE
    t timestamptz;
BEGIN
    PERFORM try.lead(prefix || z, z) FROM unnest('{Europe/Madrid,America/Los_Angeles,Pacific/Kiritimati,Asia/Kathmandu}'::text[]) z;
    PERFORM crm.enroll_lead(l.external_id, 'zones', '2026-10-22 20:30+00') FROM crm.lead l WHERE l.external_id LIKE prefix || '%';
    COMMIT;
    FOR t IN SELECT generate_series(timestamptz '2026-10-22 00:00+00', '2026-12-31 00:00+00', '167 minutes') LOOP
        PERFORM count(*) FROM crm.claim_actions('email', at => t);
        COMMIT;
        PERFORM try.done(t + interval '3 minutes');
        COMMIT;
    END LOOP;
END
$$;
CALL try.play('utc ');
SET timezone = 'America/St_Johns';
CALL try.play('sj ');
SET timezone = 'Pacific/Apia';
CALL try.play('apia ');
RESET timezone;
CREATE VIEW try.played AS SELECT split_part(l.external_id, ' ', 1) AS session, split_part(l.external_id, ' ', 2) AS zone, a.step, a.status, a.reason, a.attempt, a.due_at, a.expires_at, a.claimed_at, a.claimed_until, a.ended_at FROM crm.action a JOIN crm.lead l USING (lead_id) WHERE a.sequence = 'zones';
SELECT count(*) AS others FROM (SELECT zone, step, status, reason, attempt, due_at, expires_at, claimed_at, claimed_until, ended_at FROM try.played GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 HAVING count(*) <> 3) x;
SELECT zone, step, due_at AT TIME ZONE zone AS due, claimed_at AT TIME ZONE zone AS claimed FROM try.played WHERE session = 'utc' ORDER BY 1, 2;
DELETE FROM crm.contact_limit;
DELETE FROM crm.contact_hours;

-- A claim that is rolled back, to a savepoint or whole, gives all back; subtransactions
SELECT try.lead('back') > 0, try.add('back', 'R', '2026-06-20');
BEGIN;
SAVEPOINT s;
SELECT content, attempt FROM crm.claim_actions('email', at => '2026-06-20 12:00+02');
ROLLBACK TO s;
SELECT * FROM try.queue WHERE lead = 'back';
SELECT content, attempt FROM crm.claim_actions('email', at => '2026-06-20 12:00+02');
ROLLBACK;
SELECT * FROM try.queue WHERE lead = 'back';
-- claims of two channels are two transactions; events may follow a claim
BEGIN;
SELECT content, attempt FROM crm.claim_actions('email', at => '2026-06-20 12:00+02');
SELECT * FROM try.try($$SELECT * FROM crm.claim_actions('phone')$$);
SELECT event_id > 0 AS tracked FROM crm.track('back', 'page_view');
SELECT try.done('2026-06-20 12:00+02');
COMMIT;
SELECT * FROM try.queue WHERE lead = 'back';

-- A lead that is deleted, or forgotten, takes what a worker has with it
SELECT try.lead('del') > 0, try.add('del', 'D1', '2026-06-21'), try.lead('for') > 0, try.add('for', 'D2', '2026-06-21'), try.add('for', 'D3', '2027-06-21');
SELECT lead_id AS d, action_id AS da FROM crm.action WHERE content = 'D1' \gset
SELECT lead_id AS f, action_id AS fa FROM crm.action WHERE content = 'D2' \gset
SELECT content FROM crm.claim_actions('email', at => '2026-06-21 12:00+02');
DELETE FROM crm.lead WHERE external_id = 'del';
-- what the team wrote when it cancelled an action goes, too
SELECT crm.cancel_action(:f, crm.add_action('for', 'phone', 'ring him', kind => 'task'), 0, 'Mr Forrest is ill') AS cancelled;
SELECT crm.forget_lead('for');
SELECT crm.complete_action(:d, :da, 1), crm.complete_action(:f, :fa, 1), crm.fail_action(:f, :fa, 1), crm.action_wanted(:d, :da, 1), crm.action_wanted(:f, :fa, 1), crm.extend_action(:f, :fa, 1);
SELECT status, reason, content FROM crm.action WHERE lead_id = :f ORDER BY action_id;
SELECT count(*) FROM crm.claim_actions('email', at => '2027-06-21 12:00+02') WHERE lead_id IN (:d, :f);

-- Much that may not go lies in front of what may: a claim gets behind it
INSERT INTO crm.lead (lead_id, external_id, email, created_at) SELECT 50000 + i, 'no' || i, 'no' || i || '@mail.example', '2026-01-01' FROM generate_series(1, 2500) i;
INSERT INTO crm.action (lead_id, dedup_key, channel, content, due_at) SELECT 50000 + i, 'x', 'post', 'N', timestamptz '2026-06-22' + i * interval '1 s' FROM generate_series(1, 2500) i;
SELECT try.add('ann', 'behind', '2026-06-23', channel => 'post');
SELECT content FROM crm.claim_actions('post', 1, at => '2026-06-24');
SELECT status, reason, count(*) FROM crm.action WHERE channel = 'post' GROUP BY 1, 2 ORDER BY 1;
SELECT try.done('2026-06-24');

-- Roles: nobody may claim who was not allowed to; row security of the caller hides nothing from the owner's queue
CREATE ROLE queue_worker;
CREATE ROLE queue_nobody;
GRANT USAGE ON SCHEMA crm, try TO queue_worker, queue_nobody;
GRANT EXECUTE ON FUNCTION crm.claim_actions, crm.complete_action, crm.action_wanted TO queue_worker;
ALTER TABLE crm.lead ENABLE ROW LEVEL SECURITY;
ALTER TABLE crm.action ENABLE ROW LEVEL SECURITY;
SELECT try.add('bob', 'role', '2026-06-25');
SET ROLE queue_nobody;
SELECT f, t.code FROM unnest(ARRAY[$$SELECT crm.claim_actions('email')$$, $$SELECT crm.complete_action(1, 1, 1)$$, $$SELECT crm.complete_actions('[]')$$, $$SELECT crm.fail_action(1, 1, 1)$$, $$SELECT crm.extend_action(1, 1, 1)$$, $$SELECT crm.cancel_action(1, 1, 1)$$, $$SELECT crm.action_wanted(1, 1, 1)$$, $$SELECT crm.add_action('ann', 'email', 'x')$$, $$SELECT crm.add_action_by_id(1, 'email', 'x')$$,
    $$SELECT crm.activate_sequence('if')$$, $$SELECT crm.pause_sequence('if')$$, $$SELECT crm.retire_sequence('if')$$, $$SELECT crm.sequence_preview('if')$$, $$SELECT crm.enroll('if', 'b2b')$$, $$SELECT crm.enroll_lead('ann', 'if')$$, $$SELECT crm.enroll_lead_by_id(1, 'if')$$, $$SELECT crm.unenroll('ann', 'if')$$, $$SELECT crm.unenroll_by_id(1, 'if')$$, $$SELECT crm.assign_lead('ann', 'x')$$, $$SELECT crm.assign_lead_by_id(1, 'x')$$,
    $$SELECT * FROM crm.action$$, $$SELECT * FROM crm.enrollment$$, $$SELECT * FROM crm.sequence$$]) f, try.try(f) t;
-- helpers are anybody's to call, and do nothing with the rights of the caller
SELECT f, t.code FROM unnest(ARRAY[$$SELECT crm._begin_runs('{1}', '{if}', '{by_hand}', '{now}', now())$$, $$SELECT crm._end_runs('{1}', '{if}', '{1}', '{by_hand}', now())$$, $$SELECT crm._next_steps('{1}', '{if}', '{1}', now())$$, $$SELECT crm._edges_written('{1}', '{stage}', '{mql}', '{now}', '{event}')$$, $$SELECT crm._pick_leads('email', 1, now())$$, $$SELECT crm._decide_actions('{1}', 'email', 1, '1 s', 'x', now())$$,
    $$SELECT crm._follow_actions('{1}', now())$$, $$SELECT crm._merge_runs(1, 2)$$, $$SELECT crm._assign_left()$$, $$SELECT crm._enroll('{1}', 'if', now())$$, $$SELECT crm._lock_living(1)$$, $$SELECT crm._standing_leads('if')$$]) f, try.try(f) t;
SET ROLE queue_worker;
SELECT external_id, content, email FROM crm.claim_actions('email', at => '2026-06-25 12:00+02') WHERE external_id = 'bob';
RESET ROLE;
SELECT claimed_by, created_by = current_user AS mine FROM crm.action WHERE content = 'role';
SELECT lead_id AS b, action_id AS ba FROM crm.action WHERE content = 'role' \gset
SET ROLE queue_worker;
SELECT crm.action_wanted(:b, :ba, 1, '2026-06-25 12:00+02') AS wanted, crm.complete_action(:b, :ba, 1) AS done;
SELECT count(*) FROM crm.action;
RESET ROLE;
REVOKE ALL ON FUNCTION crm.claim_actions, crm.complete_action, crm.action_wanted FROM queue_worker;
REVOKE USAGE ON SCHEMA crm, try FROM queue_worker, queue_nobody;
DROP ROLE queue_worker, queue_nobody;
-- a pause and a merge after the claim: the worker is told, and finds its action by the old number
INSERT INTO crm.sequence (sequence, starts_on) VALUES ('told', 'by_hand');
INSERT INTO crm.sequence_step (sequence, step, position, channel, content) VALUES ('told', 'one', 1, 'letter', 'told');
SELECT crm.activate_sequence('told') AS begun, try.lead('keeper') AS keeper, try.lead('goer') AS goer \gset
SELECT crm.enroll_lead('goer', 'told', '2026-07-01 12:00+02');
SELECT action_id AS told, attempt FROM crm.claim_actions('letter', at => '2026-07-01 12:00+02') \gset
SELECT crm.pause_sequence('told');
SELECT crm.action_wanted(:goer, :told, 1, '2026-07-01 12:01+02') AS while_paused;
SELECT crm.activate_sequence('told') AS begun, crm.merge_leads('keeper', 'goer') = crm.lead_id('keeper') AS merged;
SELECT crm.action_wanted(:goer, :told, 1, '2026-07-01 12:02+02') AS by_the_old_number, crm.action_wanted(crm.lead_id('keeper'), :told, 1, '2026-07-01 12:02+02') AS by_the_new_one, crm.complete_action(:goer, :told, 1) AS done;
-- the owner may write all of it by hand, under the checks of the tables
SELECT t.code, t.message FROM unnest(ARRAY[$$UPDATE crm.action SET status = 'gone'$$, $$UPDATE crm.action SET status = 'done', ended_at = NULL$$, $$UPDATE crm.action SET status = 'claimed', claimed_at = NULL, ended_at = NULL$$, $$INSERT INTO crm.action (lead_id, dedup_key, channel, due_at, sequence) VALUES (1, 'x', 'email', now(), 'if')$$, $$INSERT INTO crm.action (lead_id, dedup_key, channel, due_at, transactional, kind) VALUES (1, 'x', 'email', now(), true, 'task')$$,
    $$INSERT INTO crm.action (lead_id, dedup_key, channel, due_at, properties) VALUES (1, 'x', 'email', now(), '[]')$$, $$UPDATE crm.action SET max_attempts = 0$$, $$INSERT INTO crm.enrollment (lead_id, sequence, run, started_by, ended_at) VALUES (1, 'if', 100, 'me', now())$$, $$INSERT INTO crm.enrollment (lead_id, sequence, run, started_by, ended_at, end_reason) VALUES (1, 'if', 100, 'me', now(), 'bored')$$,
    $$INSERT INTO crm.enrollment (lead_id, sequence, run, started_by) VALUES (1, 'if', 100, 'me'), (1, 'if', 101, 'me')$$]) s, try.try(s) t;
SELECT * FROM crm.verify();
INSERT INTO crm.action (lead_id, dedup_key, channel, due_at) VALUES (-1, 'x', 'email', now());
INSERT INTO crm.enrollment (lead_id, sequence, run, started_by) VALUES (-2, 'if', 1, 'me');
SELECT * FROM crm.verify();
DROP SCHEMA try, crm, crm_reports CASCADE;
