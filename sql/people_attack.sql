--
-- Consent, merges and erasures under odd input
--
\set SHOW_CONTEXT errors
SET timezone = 'UTC';
SET client_min_messages = warning;
SELECT pipeline FROM leadscore.create_pipeline('crm');
CREATE FUNCTION granted(name text, email text) RETURNS boolean LANGUAGE sql AS $$
    SELECT crm.upsert_lead(name, email, at => '2026-01-01') > 0
        AND crm.give_consent(name, 'policy', evidence => '{"form": "a"}', occurred_at => '2026-01-01')
        AND crm.give_consent(name, 'marketing', evidence => '{"form": "a"}', occurred_at => '2026-01-01')
$$;

-- The last arguments are stored; a telephone number may come as a number
SELECT crm.upsert_lead('p1', phone => '+34 600', language => 'es', time_zone => 'Europe/Madrid') > 0;
SELECT phone, language, time_zone FROM crm.lead WHERE external_id = 'p1';
SELECT crm.upsert_lead('p2', profile => '{"phone": 34600111222}') > 0, crm.forget_lead('p2');
SELECT crm.upsert_lead('p3', profile => '{"phone": 34600111222}');
SELECT * FROM crm.track_many('[{"external_id": "p4", "kind": "page_view", "profile": {"phone": 34600111222}}, {"external_id": "p5", "kind": "page_view"}]');

-- A channel is one however it is written, and what is no word narrows nothing
SELECT bool_and(granted('c' || i, 'c' || i || '@x.example')) FROM generate_series(1, 5) i;
SELECT crm.withdraw_consent('c1', 'marketing', ' Email ', occurred_at => '2026-02-01');
SELECT count(t.event_id) FROM (VALUES ('c2', jsonb '{"channel": "EMAIL"}'), ('c3', '{"channel": ["email"]}'), ('c4', '{"channel": " ", "topic": {}}')) v (name, properties),
    LATERAL crm.track(v.name, 'unsubscribe', v.properties) t;
SELECT crm.suppress('c5@x.example', 'Email', 'unsubscribed');
SELECT string_agg(name || ' ' || crm.may_contact(name, 'email') || ' ' || crm.may_contact(name, 'phone'), ', ' ORDER BY name)
FROM unnest('{c1,c2,c3,c4,c5}'::text[]) name;

-- An empty object proves nothing
SELECT crm.give_consent('c1', 'marketing', 'email', evidence => '{}'), crm.give_consent('c1', 'marketing', 'EMAIL', evidence => '{"form": "b"}');

-- nor does one that is inserted, or loaded without triggers
SELECT granted('e1', 'e1@x.example'), granted('e2', 'e2@x.example');
SELECT crm.withdraw_consent(n, 'marketing', 'email', occurred_at => '2026-02-01') FROM unnest('{e1,e2}'::text[]) n;
INSERT INTO crm.consent (lead_id, purpose, channel, status, evidence, occurred_at) VALUES (crm.lead_id('e1'), 'marketing', 'email', 'granted', '{}', '2026-03-01');
SELECT leadscore.detach_pipeline('crm');
INSERT INTO crm.consent (lead_id, purpose, channel, status, evidence, occurred_at) VALUES (crm.lead_id('e2'), 'marketing', 'email', 'granted', '{}', '2026-03-01');
SELECT leadscore.attach_pipeline('crm');
SELECT crm.may_contact('e1', 'email') AS inserted, crm.may_contact('e2', 'email') AS loaded, (SELECT count(*) FROM crm.consent WHERE evidence = '{}') AS empty;
INSERT INTO crm.consent (lead_id, purpose, channel, status, evidence, occurred_at) VALUES (crm.lead_id('e1'), 'marketing', 'email', 'granted', '{"form": "b"}', '2026-03-02');
SELECT crm.may_contact('e1', 'email');

-- What no index can hold is refused with words
CREATE FUNCTION refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    code text;
    message text;
    hint text;
BEGIN
    EXECUTE statement;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' | ', code, message, hint);
END
$$;
CREATE TABLE long AS SELECT string_agg(md5(i::text), '') AS long FROM generate_series(1, 1000) i;
SELECT refusal(format('SELECT %s FROM long', f))
FROM unnest(ARRAY['crm.identify(long, ''c1'')', 'crm.identify(''c1'', long, true)', 'crm.suppress(''c1@x.example'', long)', 'crm.upsert_lead(''c1'', email => long)', 'crm.upsert_lead(''c1'', phone => long)',
    'crm.give_consent(''c1'', ''policy'', email => long)', 'crm.track(''c1'', ''page_view'', profile => jsonb_build_object(''email'', long))',
    'crm.track_many(jsonb_build_array(jsonb_build_object(''external_id'', ''c1'', ''kind'', ''page_view'', ''profile'', jsonb_build_object(''phone'', long))))']) f;

-- Evidence that names an event does not swallow the withdrawal of that event
SELECT granted('z1', NULL);
SELECT crm.give_consent('z1', 'marketing', evidence => jsonb_build_object('event_id', (SELECT last_value + 1 FROM crm.event_event_id_seq)));
SELECT event_id > 0 FROM crm.track('z1', 'unsubscribe');
SELECT crm.may_contact('z1', 'email');

-- An unsubscribe from e-mail holds for none that only has the same telephone
SELECT granted('q1', 'q1@x.example'), granted('q2', 'q2@x.example');
SELECT count(crm.upsert_lead(n, phone => '+34 910 000 000')) FROM unnest('{q1,q2}'::text[]) n;
SELECT event_id > 0 FROM crm.track('q1', 'unsubscribe', '{"channel": "email"}');
SELECT crm.may_contact('q1', 'email'), crm.may_contact('q2', 'email');

-- A merge: a dead address is not that of the winner, but what a shared address refused is kept
SELECT granted('w1', 'good@x.example'), granted('l1', 'dead@x.example'), granted('m1', 'shared@x.example'), granted('m2', 'shared@x.example'), granted('m3', 'own@x.example');
SELECT event_id > 0 FROM crm.track('l1', 'email_bounced', '{"type": "hard"}', occurred_at => '2026-03-01');
SELECT crm.merge_leads('w1', 'l1') > 0, crm.may_contact('w1', 'email', transactional => true);
SELECT crm.may_contact('w1', 'email');
SELECT event_id > 0 FROM crm.track('m1', 'unsubscribe', occurred_at => '2026-04-01');
SELECT crm.may_contact('m2', 'email'), crm.may_contact('m3', 'email');
SELECT crm.merge_leads('m3', 'm2') > 0;
SELECT crm.may_contact('m3', 'email'), crm.may_contact('m3', 'email', at => '2026-03-31'), contact_allowed FROM crm.lead WHERE external_id = 'm3';

-- Attached again, an unsubscribe that is dated ahead is not obeyed again
SELECT granted('f1', 'f1@x.example');
SELECT event_id > 0 FROM crm.track('f1', 'unsubscribe', occurred_at => '2100-01-01');
SELECT crm.give_consent('f1', 'marketing', evidence => '{"form": "b"}');
CREATE TABLE before AS SELECT (SELECT count(*) FROM crm.consent) AS consents;
SELECT leadscore.detach_pipeline('crm'), leadscore.attach_pipeline('crm');
SELECT crm.may_contact('f1', 'email'), (SELECT count(*) FROM crm.consent) - consents AS more FROM before;

-- An erasure keeps what signals look for, also inside, and the purchase of a refund
INSERT INTO crm.signal (signal, event_kinds, condition) VALUES ('nested', '{nested}', '$.product.family == "robots"'),
    ('listed', '{listed}', 'exists($.tags[*] ? (@ == "vip"))');
SELECT crm.clone_model('inbound', 'mine');
INSERT INTO crm.rule (model, dimension, rule, signal, points) VALUES ('mine', 'engagement', 'nested', 'nested', 30), ('mine', 'engagement', 'listed', 'listed', 30);
SELECT crm.activate_model('mine', wait => true);
SELECT crm.upsert_lead('1001', 'ann@acme.example', profile => '{"first_name": "Ann", "company_name": "pricing", "consent": true}') AS id \gset
SELECT count(t.event_id) FROM (VALUES ('nested', jsonb '{"product": {"family": "robots", "buyer": "Ann"}}'), ('listed', '{"tags": ["vip", "ann@acme.example"]}'),
    ('page_view', '{"page": "/pricing/10012?u=ann%40acme.example", "content": "guide"}')) v (kind, properties), LATERAL crm.track('1001', v.kind, v.properties) t;
SELECT setval('crm.event_event_id_seq', 10010);
SELECT event_id FROM crm.track('1001', 'purchase', value => 100, source_id => 'order 7');
SELECT event_id FROM crm.track('1001', 'refund', '{"purchase": "order 7", "reason": "Ann is unhappy, annually"}', value => 40);
SELECT crm.upsert_lead('1002') > 0, crm.upsert_lead('1003') > 0;
SELECT crm.merge_leads('1002', '1003', 'twin of Ann') > 0, crm.merge_leads('1001', '1002') > 0;
SELECT crm.score('1001'), crm.forget_lead('1001');
SELECT crm.score_by_id(:id);
SELECT kind, properties FROM crm.event WHERE lead_id = :id ORDER BY event_id;
SELECT count(*), count(reason) FROM crm.lead_merge WHERE lead_id IN (SELECT loser_id FROM crm.lead_merge) OR lead_id = :id;
SELECT * FROM crm.verify();

-- Whatever a session sets, an address is one
SELECT granted('u1', 'u1@x.example'), crm.suppress('u1@x.example'), crm.upsert_lead('u2', 'u2.u2@x.example') > 0, crm.upsert_lead('u3', 'u3@x.example') > 0;
SELECT crm.forget_lead('u3'), event_id > 0 FROM crm.track('u2', 'page_view', '{"page": "/?u=u2.u2@x.example"}');
SELECT crm.lead_id('u2') AS id \gset
\c
SET client_min_messages = error;
SET standard_conforming_strings = off;
SELECT crm.may_contact('u1', 'email'), crm.upsert_lead('u4', 'u3@x.example'), crm.forget_lead('u2');
SELECT properties FROM crm.event WHERE lead_id = :id;
RESET standard_conforming_strings;
SELECT leadscore.drop_pipeline('crm');
DROP FUNCTION granted(text, text), refusal(text);
DROP TABLE before, long;
