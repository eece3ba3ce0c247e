--
-- Whom we may write to
--
CREATE ROLE leadscore_app;
CREATE ROLE leadscore_reader;
SET timezone = 'Europe/Madrid';
SELECT leadscore.create_pipeline('crm') \g /dev/null
SELECT leadscore.grant_app('crm', 'leadscore_app'), leadscore.grant_reader('crm', 'leadscore_reader');
CREATE SCHEMA try;
GRANT USAGE ON SCHEMA try TO PUBLIC;
CREATE FUNCTION try.try(sql text, OUT code text, OUT message text, OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE sql;
    code := 'none';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
END
$$;
-- answers as letters, so that they can be read off the rules
CREATE FUNCTION try.answers(name text, channel text, topic text, at timestamptz[]) RETURNS text LANGUAGE sql
    RETURN (SELECT string_agg(left(crm.may_contact(name, channel, topic, a)::text, 1), ' ' ORDER BY n) FROM unnest(at) WITH ORDINALITY AS u (a, n));

-- A history: all of it on 1 January, no e-mail on 1 February, but the newsletter
-- by e-mail on 1 March; no offers on 1 April; all again on 1 May; e-mail again
-- asked for on 1 June, and confirmed on 2 June. It is recorded out of order.
SELECT crm.upsert_lead('ann', 'ann@acme.example', at => '2024-12-01 09:00') > 0 AS made;
INSERT INTO crm.consent (lead_id, purpose, channel, topic, status, evidence, occurred_at)
SELECT crm.lead_id('ann'), purpose, channel, topic, status, '{"form": "f"}', at::timestamptz
FROM (VALUES ('marketing', 'email', NULL, 'granted', '2025-06-02 11:20'), ('marketing', NULL, 'offers', 'withdrawn', '2025-04-01 11:30'),
    ('policy', NULL, NULL, 'granted', '2025-01-01 11:30'), ('marketing', NULL, NULL, 'granted', '2025-05-01 11:30'), ('marketing', 'email', NULL, 'requested', '2025-06-01 11:30'),
    ('marketing', 'email', NULL, 'withdrawn', '2025-02-01 11:30'), ('marketing', NULL, NULL, 'granted', '2025-01-01 11:30'),
    ('marketing', 'email', 'newsletter', 'granted', '2025-03-01 11:30')) AS v (purpose, channel, topic, status, at);
\set days '''{2024-12-31 12:00,2025-01-15 12:00,2025-02-15 12:00,2025-03-15 12:00,2025-04-15 12:00,2025-05-15 12:00,2025-06-01 12:00,2025-06-15 12:00}'''
SELECT s.channel, s.topic, try.answers('ann', s.channel, s.topic, :days) AS answers
FROM (VALUES ('email', 'newsletter'), ('email', 'offers'), ('email', NULL), ('phone', NULL), ('phone', 'offers'), (NULL, NULL)) AS s (channel, topic);
-- to the second
SELECT try.answers('ann', 'email', 'offers', '{2025-01-01 11:29:59,2025-01-01 11:30:00,2025-02-01 11:29:59,2025-02-01 11:30:00}');
SELECT consented_at, contact_allowed, updated_at > '2025-06-01' AS changed FROM crm.lead;

-- Every order of three rows says the same: a grant after a withdrawal needs
-- evidence, a grant before it changes nothing
DO $$
DECLARE
    o record;
BEGIN
    FOR o IN SELECT a, b, c, format('%s%s%s', a, b, c) AS name FROM generate_series(1, 3) a, generate_series(1, 3) b, generate_series(1, 3) c WHERE a <> b AND b <> c AND a <> c LOOP
        PERFORM crm.upsert_lead('order ' || o.name, at => '2025-01-01');
        INSERT INTO crm.consent (lead_id, purpose, status, evidence, occurred_at)
        SELECT crm.lead_id('order ' || o.name), v.purpose, v.status, v.evidence, v.at
        FROM (VALUES (1, 'policy', 'granted', jsonb '{"form": "f"}', timestamptz '2025-01-02'), (1, 'marketing', 'granted', '{"form": "f"}', '2025-01-02'), (2, 'marketing', 'withdrawn', NULL, '2025-02-02'),
            (3, 'marketing', 'granted', NULL, '2025-03-02')) AS v (n, purpose, status, evidence, at)
        ORDER BY array_position(ARRAY[o.a, o.b, o.c], v.n);
    END LOOP;
END
$$;
SELECT try.answers(external_id, 'email', NULL, '{2025-01-15,2025-02-15,2025-03-15}') AS answers, contact_allowed, count(*) FROM crm.lead WHERE external_id LIKE 'order%' GROUP BY 1, 2;
SELECT crm.give_consent('order 123', 'marketing', occurred_at => '2025-01-30', evidence => '{"list": 7}') AS older, crm.give_consent('order 132', 'marketing') AS unproven,
    crm.give_consent('order 213', 'marketing', evidence => '{"form": "f"}') AS proven, crm.give_consent('order 231', 'marketing', 'email', evidence => '{"form": "f"}') AS narrow;
SELECT external_id, contact_allowed, crm.may_contact(external_id, 'email') AS by_email, crm.may_contact(external_id, 'phone') AS by_phone
FROM crm.lead WHERE external_id IN ('order 123', 'order 132', 'order 213', 'order 231') ORDER BY 1;

-- Double opt-in; a request takes nothing away; what needs no consent goes out
SELECT crm.give_consent('bob', 'policy', email => 'bob@acme.example', evidence => '{"form": "f"}') AS policy,
    crm.give_consent('bob', 'marketing', 'email', status => 'requested') AS requested;
SELECT crm.may_contact('bob', 'email') AS message, crm.may_contact('bob', 'email', transactional => true) AS confirmation, contact_allowed FROM crm.lead WHERE external_id = 'bob';
SELECT crm.give_consent('bob', 'marketing', 'email', evidence => '{"link": 1, "ip": "203.0.113.7"}') AS confirmed, crm.give_consent('bob', 'marketing', 'email', status => 'requested') AS asked_again;
SELECT crm.may_contact('bob', 'email') AS message, contact_allowed FROM crm.lead WHERE external_id = 'bob';
SELECT crm.withdraw_consent('bob', 'policy') AS granted;
SELECT crm.may_contact('bob', 'email') AS message;
SELECT consented_at, contact_allowed, stage FROM crm.lead JOIN crm.lead_state USING (lead_id) WHERE external_id = 'bob';

-- A page of preferences takes all back and grants one topic, in one transaction
BEGIN;
SELECT crm.withdraw_consent('ann', 'marketing', evidence => '{"page": "preferences"}') AS granted, crm.give_consent('ann', 'marketing', 'email', 'newsletter', evidence => '{"page": "preferences"}') AS newsletter;
COMMIT;
SELECT crm.may_contact('ann', 'email', 'newsletter') AS newsletter, crm.may_contact('ann', 'email', 'offers') AS offers, crm.may_contact('ann', 'phone') AS phone;
SELECT crm.give_consent('ann', 'marketing', evidence => '{"page": "preferences"}') AS granted;

-- Bad input changes nothing
SELECT count(*) AS rows FROM crm.consent \gset
SELECT t.* FROM unnest(ARRAY[
    $$SELECT crm.give_consent('ann', 'mail')$$, $$SELECT crm.give_consent('ann', NULL)$$, $$SELECT crm.give_consent('ann', 'marketing', status => 'maybe')$$,
    $$SELECT crm.give_consent('ann', 'marketing', basis => 'whim')$$, $$SELECT crm.give_consent('ann', 'policy', 'email')$$, $$SELECT crm.give_consent('ann', 'marketing', '')$$, $$SELECT crm.give_consent('ann', 'marketing', repeat('x', 201))$$,
    $$SELECT crm.give_consent('ann', 'marketing', evidence => '[]')$$, $$SELECT crm.give_consent('ann', 'marketing', occurred_at => now() + interval '1 day')$$,
    $$SELECT crm.give_consent('ann', 'marketing', occurred_at => 'infinity')$$, $$SELECT crm.give_consent('nobody', 'marketing')$$, $$SELECT crm.give_consent(NULL, 'marketing')$$,
    $$SELECT crm.give_consent_by_id(99, 'policy')$$, $$SELECT crm.withdraw_consent('nobody', 'marketing')$$, $$SELECT crm.suppress('nobody')$$, $$SELECT crm.suppress('a@b.example', reason => 'forgotten')$$,
    $$SELECT crm.suppress('a@b.example', since => now() + interval '1 day')$$, $$SELECT crm.suppress(NULL)$$,
    $$INSERT INTO crm.consent (lead_id, purpose, status, occurred_at) VALUES (1, 'policy', 'granted', 'infinity')$$, $$INSERT INTO crm.consent (lead_id, purpose, status) VALUES (99, 'policy', 'granted')$$,
    $$UPDATE crm.consent SET status = 'granted'$$, $$UPDATE crm.consent SET evidence = '{}'$$, $$DELETE FROM crm.consent$$]) s, try.try(s) t;
SELECT count(*) = :rows AS unchanged FROM crm.consent;
SELECT crm.may_contact('nobody', 'email'), crm.may_contact(NULL, 'email'), crm.may_contact_by_id(99);

-- The columns of lead say the same, whichever was written
INSERT INTO crm.lead (external_id, email, consented_at, contact_allowed, created_at, updated_at) VALUES ('cid', 'cid@acme.example', '2025-01-01', true, '2025-01-01', '2025-01-01');
UPDATE crm.lead SET contact_allowed = false, updated_at = '2025-02-01' WHERE external_id = 'cid';
UPDATE crm.lead SET contact_allowed = true, updated_at = '2025-03-01' WHERE external_id = 'cid';
UPDATE crm.lead SET consented_at = NULL, updated_at = '2025-04-01' WHERE external_id = 'cid';
SELECT consented_at, contact_allowed FROM crm.lead WHERE external_id = 'cid';
UPDATE crm.lead SET consented_at = '2025-01-01', updated_at = '2025-04-02' WHERE external_id = 'cid';
SELECT consented_at AS an_old_date FROM crm.lead WHERE external_id = 'cid';
UPDATE crm.lead SET consented_at = '2025-05-01', updated_at = '2025-05-01' WHERE external_id = 'cid';
SELECT consented_at, contact_allowed FROM crm.lead WHERE external_id = 'cid';
SELECT purpose, status, evidence, occurred_at FROM crm.consent WHERE lead_id = crm.lead_id('cid') ORDER BY consent_id;
SELECT signal, count, changed_at FROM crm.profile_change WHERE lead_id = crm.lead_id('cid') AND signal = 'consented' ORDER BY seq;

-- What events say: a topic, a channel, everything; bounces; complaints
SELECT crm.upsert_lead('e' || i, 'e' || i || '@acme.example', phone => '+34 600 00' || i, consent => true, at => '2025-01-01') > 0 AS made,
    crm.give_consent('e' || i, 'marketing', evidence => '{"form": "f"}', occurred_at => '2025-01-01') FROM generate_series(1, 7) i;
SELECT crm.upsert_lead('twin ' || i, E'\tE' || i || E'@ACME.example \r', consent => true, contact_allowed => true, at => '2025-01-01') > 0 AS made FROM generate_series(1, 7) i;
INSERT INTO crm.event (lead_id, kind, occurred_at, properties) VALUES
    (crm.lead_id('e1'), 'unsubscribe', '2025-02-01', '{"topic": "offers"}'), (crm.lead_id('e2'), 'unsubscribe', '2025-02-01', '{"channel": "email"}'), (crm.lead_id('e3'), 'unsubscribe', '2025-02-01', NULL),
    (crm.lead_id('e4'), 'email_bounced', '2025-02-01', '{"type": "soft"}'), (crm.lead_id('e5'), 'email_bounced', '2025-02-01', '{"type": "hard"}'), (crm.lead_id('e6'), 'email_complained', '2025-02-01', NULL),
    (crm.lead_id('e7'), 'email_bounced', '2025-02-01', NULL);
SELECT external_id, crm.may_contact(external_id, 'email', 'offers') AS offers, crm.may_contact(external_id, 'email', 'news') AS news, crm.may_contact(external_id, 'phone') AS phone,
    crm.may_contact(external_id, 'email', at => '2025-01-15') AS before, crm.may_contact(external_id, 'email', transactional => true) AS receipt, contact_allowed
FROM crm.lead WHERE external_id ~ '^(e|twin )\d' ORDER BY 1;
SELECT channel, reason, since, count(*) FROM crm.suppression WHERE since = '2025-02-01' GROUP BY 1, 2, 3 ORDER BY 2, 1;
-- with evidence e3 comes back, its twin does not; e5 comes back with its address
SELECT crm.give_consent('e3', 'marketing', evidence => '{"form": "f"}'), crm.give_consent('e5', 'marketing', 'email', status => 'requested') AS requested;
SELECT external_id, crm.may_contact(external_id, 'email') AS email, crm.may_contact(external_id, 'email', transactional => true) AS receipt FROM crm.lead WHERE external_id IN ('e3', 'e5', 'twin 3') ORDER BY 1;
-- an import of an address that is refused
INSERT INTO crm.lead (external_id, email, consented_at, contact_allowed) VALUES ('import', 'e3@acme.example', now(), true);
SELECT crm.upsert_lead('import 2', 'E3@acme.example', consent => true, contact_allowed => true) > 0 AS made;
SELECT external_id, contact_allowed, crm.may_contact(external_id, 'email') AS email FROM crm.lead WHERE external_id LIKE 'import%' ORDER BY 1;

-- By hand: for leads that are there and leads to come, by any writing of a number
SELECT crm.suppress(E'E1@acme.example\r\n'), crm.suppress('+34-600-007', 'phone') AS by_number;
SELECT crm.may_contact('e1', 'email', 'news') AS blocked, crm.may_contact('e1', 'email', transactional => true) AS receipt, crm.may_contact('e7', 'email') AS email, crm.may_contact('e7', 'phone') AS phone;
SELECT contact_allowed FROM crm.lead WHERE external_id IN ('e1', 'twin 1');
SELECT crm.give_consent('e1', 'marketing', evidence => '{"form": "f"}') AS granted;
SELECT crm.may_contact('e1', 'email', 'news') AS but_blocked;
SELECT crm.unsuppress('e1@acme.example') AS lifted, crm.unsuppress('e2@acme.example') AS not_by_hand;
SELECT crm.may_contact('e1', 'email', 'news'), crm.may_contact('e1', 'email', 'news', now() - interval '1 hour') AS an_hour_ago;
SELECT contact_allowed FROM crm.lead WHERE external_id IN ('e1', 'twin 1') ORDER BY external_id;

-- Another address is no statement: the columns follow, and nothing is recorded
INSERT INTO crm.lead (external_id, email) VALUES ('moved 1', 'refused@acme.example'), ('moved 2', 'fine@acme.example'), ('moved 3', 'refused@acme.example'), ('moved 4', 'four@acme.example');
SELECT crm.suppress('refused@acme.example', reason => 'unsubscribed', since => '2025-06-01') AS leads;
SELECT crm.give_consent(name, 'marketing', 'email', occurred_at => '2025-05-01', evidence => '{"form": "f"}') FROM unnest(ARRAY['moved 2', 'moved 4']) name;
UPDATE crm.lead SET email = 'free@acme.example' WHERE external_id = 'moved 1';
UPDATE crm.lead SET email = 'Refused@acme.example' WHERE external_id = 'moved 2';
UPDATE crm.lead SET email = NULL WHERE external_id = 'moved 3';
-- but what is written in the same statement is one
UPDATE crm.lead SET email = 'refused@acme.example', consented_at = '2025-05-02' WHERE external_id = 'moved 4';
SELECT external_id, email, contact_allowed, crm.may_contact(external_id, 'email') AS email FROM crm.lead WHERE external_id LIKE 'moved%' ORDER BY 1;
SELECT l.external_id, c.purpose, c.channel, c.status, c.occurred_at FROM crm.consent c JOIN crm.lead l USING (lead_id) WHERE l.external_id LIKE 'moved%' ORDER BY c.consent_id;

-- The list of people to call obeys: a lead that wants no messages is not on it,
-- unless it has asked for something since
SELECT crm.upsert_lead('hot ' || i, 'hot' || i || '@acme.example', consent => true, profile => '{"budget": true, "authority": true, "need": true, "timeline": true}', at => '2025-01-01') > 0 FROM generate_series(1, 3) i;
SELECT crm.set_stage('hot ' || i, 'sql') FROM generate_series(1, 3) i;
SELECT event_id > 0 FROM crm.track('hot 2', 'unsubscribe', occurred_at => '2025-02-01'), crm.track('hot 3', 'demo_request', occurred_at => '2025-03-01') d (a, b), crm.track('hot 3', 'unsubscribe', occurred_at => '2025-02-01') u (a, b);
SELECT external_id, contact_allowed FROM crm.hot_leads WHERE external_id LIKE 'hot%' ORDER BY 1;
-- a request that is dated ahead has not been made
SELECT event_id > 0 FROM crm.track('hot 2', 'demo_request', occurred_at => now() + interval '40 days');
SELECT external_id, contact_allowed FROM crm.hot_leads WHERE external_id LIKE 'hot%' ORDER BY 1;
SELECT sum(leads) = (SELECT count(*) FROM crm.lead) AS all_leads, sum(allowed + refused + not_asked) = sum(leads) AS each_once FROM crm_reports.consent_by_stage;

-- An app may record consent; it may not read it, nor suppress, nor write rows
SET ROLE leadscore_app;
SELECT crm.give_consent('app', 'marketing', evidence => '{"form": "f"}', email => 'app@acme.example') AS given, crm.withdraw_consent('app', 'marketing', 'email') AS granted;
SELECT crm.may_contact('app', 'phone') AS without_policy;
SELECT t.code, t.message FROM unnest(ARRAY['TABLE crm.consent', 'TABLE crm.suppression', 'TABLE crm.suppression_key', 'INSERT INTO crm.consent (lead_id, purpose, status) VALUES (1, ''policy'', ''granted'')',
    'SELECT crm.suppress(''a@b.example'')', 'SELECT crm.address_hash(''a@b.example'')', 'SELECT crm._granted(''{1}'', NULL, NULL, true, now())', 'SELECT crm.forget_lead(''ann'')', 'SELECT crm.export_lead(''ann'')', 'SELECT crm.merge_leads(''ann'', ''bob'')']) s, try.try(s) t;
SET ROLE leadscore_reader;
SELECT t.code, t.message FROM unnest(ARRAY['SELECT evidence FROM crm.consent', 'SELECT address_hash FROM crm.suppression', 'TABLE crm.suppression_key', 'SELECT crm.may_contact(''ann'')']) s, try.try(s) t;
SELECT count(*) > 0 AS read FROM crm_reports.consent_by_stage;
RESET ROLE;
-- a lead that is hidden from the caller is not there
ALTER TABLE crm.lead ENABLE ROW LEVEL SECURITY;
CREATE POLICY visible ON crm.lead TO leadscore_app USING (external_id <> 'ann');
GRANT SELECT (lead_id, external_id) ON crm.lead TO leadscore_app;
SET ROLE leadscore_app;
SELECT crm.may_contact('ann', 'phone') AS hidden, crm.may_contact('e1', 'phone') AS shown;
RESET ROLE;
ALTER TABLE crm.lead DISABLE ROW LEVEL SECURITY;

-- What is said of messages in the instant in which a profile changes puts the stage off by
-- nothing, in whatever order they come: visitor when it was created, iql with its consent
CREATE FUNCTION try.say(name text, what text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE what
        WHEN 'profile' THEN crm.upsert_lead(name, consent => true, profile => '{"job_title": "CEO"}', at => '2025-06-02 10:00Z')::text
        WHEN 'track' THEN crm.track(name, 'page_view', occurred_at => '2025-06-02 10:00Z', profile => '{"consent": true}')::text
        WHEN 'policy' THEN crm.give_consent(name, 'policy', evidence => '{"form": "f"}', occurred_at => '2025-06-02 10:00Z')::text
        WHEN 'grant' THEN crm.give_consent(name, 'marketing', 'email', 'offers', evidence => '{"form": "f"}', occurred_at => '2025-06-02 10:00Z')::text
        WHEN 'refusal' THEN crm.track(name, 'unsubscribe', occurred_at => '2025-06-02 10:00Z')::text END $$;
CREATE FUNCTION try.say_all(said text[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    name CONSTANT text := array_to_string(said, ' ');
BEGIN
    PERFORM crm.upsert_lead(name, said[1] || said[2] || '@order.example', at => '2025-06-01 10:00Z');
    PERFORM try.say(name, s) FROM unnest(said) s;
    RETURN crm.lead_id(name);
END
$$;
CREATE TABLE try.said AS
    SELECT ARRAY[a, b] AS said, try.say_all(ARRAY[a, b]) AS lead_id
    FROM unnest('{profile,track,policy}'::text[]) p, unnest('{grant,refusal}'::text[]) m, LATERAL (VALUES (p, m), (m, p)) AS o (a, b);
SELECT array_to_string(said, ' ') AS said, string_agg(to_stage || to_char(effective_at AT TIME ZONE 'UTC', ' MM-DD HH24:MI:SS.US'), ', ' ORDER BY seq) AS stages
FROM try.said JOIN crm.stage_history USING (lead_id) GROUP BY said ORDER BY said COLLATE "C";
-- the first instant that there is has none before it
INSERT INTO crm.lead (external_id, created_at, updated_at) SELECT 'first ' || i, t, t FROM unnest('{-infinity,4714-11-24 00:00:00+00 BC,2025-06-01}'::timestamptz[]) WITH ORDINALITY AS u (t, i);
INSERT INTO crm.event (lead_id, kind, occurred_at) SELECT lead_id, 'unsubscribe', '4714-11-24 00:00:00+00 BC' FROM crm.lead WHERE external_id ~ '^first ';
SELECT external_id, contact_allowed FROM crm.lead WHERE external_id ~ '^first ' ORDER BY 1;
-- but a signal that goes by what is said has it not before the event
INSERT INTO crm.signal (signal, source, condition) VALUES ('mute', 'profile', '$contact_allowed == false');
SELECT count(try.say_all(s::text[])) FROM unnest('{"{refusal,mute}","{mute,refusal}"}'::text[]) s;
SELECT external_id, count, changed_at = '2025-06-02 10:00:00.000001Z' AS just_after FROM crm.profile_change JOIN crm.lead USING (lead_id) WHERE signal = 'mute' AND external_id ~ 'mute' ORDER BY 1;
SELECT * FROM crm.verify();

-- Of refusals in one statement each changes its own leads, and when it was said
SELECT crm.upsert_lead(name, email, contact_allowed => true, at => '2025-01-01') > 0 FROM (VALUES ('d1', 'd1@acme.example'), ('d1 too', 'D1@acme.example '), ('d5', 'd5@acme.example'), ('d5 too', 'D5@acme.example '), ('d9', 'd9@acme.example')) AS v (name, email);
INSERT INTO crm.event (lead_id, kind, properties, occurred_at)
SELECT crm.lead_id('d' || d), kind, properties, make_timestamptz(2025, 7, d, 12, 0, 0)
FROM (VALUES (1, 'unsubscribe', NULL), (5, 'unsubscribe', NULL), (9, 'email_bounced', '{"type": "soft"}'::jsonb)) AS v (d, kind, properties);
SELECT external_id, contact_allowed, updated_at::date FROM crm.lead WHERE external_id ~ '^d[159]' ORDER BY 1;
-- A trigger of the user's that writes meanwhile is checked and followed as any other session
SELECT crm.upsert_lead(name, contact_allowed => true, at => '2025-01-01') > 0 FROM unnest('{u1,u2,u3}'::text[]) name;
CREATE FUNCTION try.also() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'consent' THEN
        INSERT INTO crm.consent (lead_id, purpose, channel, status, evidence) VALUES (crm.lead_id('u2'), 'marketing', ' Email', 'withdrawn', '{}');
    ELSE
        UPDATE crm.lead SET contact_allowed = false WHERE external_id = 'u3';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER also AFTER INSERT ON crm.consent FOR EACH ROW WHEN (NEW.evidence ? 'event_id') EXECUTE FUNCTION try.also();
CREATE TRIGGER also AFTER UPDATE ON crm.lead FOR EACH ROW WHEN (NEW.external_id = 'u1') EXECUTE FUNCTION try.also();
INSERT INTO crm.event (lead_id, kind) VALUES (crm.lead_id('u1'), 'unsubscribe');
SELECT external_id, contact_allowed, string_agg(concat_ws(' ', status, c.channel, evidence - 'event_id'), ', ' ORDER BY consent_id) AS said
FROM crm.lead JOIN crm.consent c USING (lead_id) WHERE external_id ~ '^u[123]$' GROUP BY lead_id ORDER BY 1;
DROP TRIGGER also ON crm.consent;
DROP TRIGGER also ON crm.lead;

-- What comes into a detached pipeline is recorded when it is attached, once, and
-- what an event said of an old address does not hold for the new one
SELECT event_id > 0 FROM crm.track('e4', 'email_bounced', '{"type": "hard"}', '2025-05-01');
SELECT crm.upsert_lead('e4', 'new@acme.example') > 0;
SELECT leadscore.detach_pipeline('crm');
INSERT INTO crm.lead (external_id, email, created_at, updated_at) VALUES ('late', 'late@acme.example', '2025-01-01', '2025-01-01');
INSERT INTO crm.lead (external_id, email, consented_at, contact_allowed, created_at, updated_at) VALUES (' Late@X.example', 'late@x.example', '2025-01-01', true, '2025-01-01', '2025-01-01');
INSERT INTO crm.consent (lead_id, purpose, status, occurred_at) SELECT lead_id, p, 'granted', '2025-02-01' FROM crm.lead, unnest('{policy,marketing}'::text[]) p WHERE external_id = 'late';
INSERT INTO crm.event (lead_id, kind, occurred_at) SELECT lead_id, 'unsubscribe', '2025-03-01' FROM crm.lead WHERE external_id = 'late';
-- a grant that names the event is not the withdrawal that the event makes
INSERT INTO crm.consent (lead_id, purpose, status, evidence, occurred_at) SELECT lead_id, 'marketing', 'granted', jsonb_build_object('event_id', event_id), '2025-02-15' FROM crm.event JOIN crm.lead USING (lead_id) WHERE external_id = 'late';
SELECT leadscore.attach_pipeline('crm') > 0 AS attached;
SELECT external_id, consented_at, contact_allowed, crm.may_contact(external_id, 'email') AS email FROM crm.lead WHERE external_id IN ('e4', 'late', 'late@x.example') ORDER BY 1;
SELECT purpose, status, occurred_at FROM crm.consent WHERE lead_id IN (crm.lead_id('late'), crm.lead_id('late@x.example')) ORDER BY lead_id, consent_id;

-- Twice attached, upgraded, renamed: nothing is recorded again
SELECT count(*) AS rows FROM crm.consent \gset
SELECT leadscore.detach_pipeline('crm'), leadscore.attach_pipeline('crm');
SELECT leadscore.upgrade_pipeline('crm') > 0 AS upgraded;
SELECT count(*) = :rows AS unchanged FROM crm.consent;
ALTER SCHEMA crm RENAME TO other;
SELECT (try.try($$SELECT other.may_contact('ann', 'phone')$$)).*;
SELECT (try.try($$SELECT other.give_consent('ann', 'marketing')$$)).*;
SELECT leadscore.upgrade_pipeline('other') > 0 AS upgraded;
SELECT other.may_contact('ann', 'phone') AS phone, other.give_consent('ann', 'marketing', 'email', 'offers', evidence => '{"form": "f"}');
SELECT * FROM other.verify();

DROP SCHEMA other, crm_reports, try CASCADE;
DROP ROLE leadscore_app;
DROP ROLE leadscore_reader;
