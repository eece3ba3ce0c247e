--
-- Conditions and quantities that fail, take too long or give too much, and
-- documents that make them so: they never make an app's insert fail
--
SELECT active_model FROM leadscore.create_pipeline('crm', 'empty');
SET search_path = crm, crm_reports, leadscore, leadscore_internal;
INSERT INTO lead (lead_id, external_id, created_at) VALUES (1, 'one', '2025-01-01');

-- Each condition is tried with each document; what the path gives in silent
-- mode is not always what counts: an error is just no match
CREATE TABLE tried (id serial PRIMARY KEY, path jsonpath);
INSERT INTO tried (path) VALUES
    ('$.a / $.b == 1'), ('$.a / 0 > 1'), ('$.a % $.b'), ('-$.a'), ('$.a.abs() > 0'),
    ('strict $.missing.x == 1'), ('strict $.a[5]'), ('$.a[last + 1000000000000]'), ('$.a[$.b to $.c]'),
    ('$.a.double() > 1'), ('$.a.keyvalue().key == "x"'), ('$.a.size() > 1'), ('$.a.type() == "string"'),
    ('$.a.datetime() > "2025-01-01".datetime()'), ('$.a.datetime() < "2025-01-01T00:00:00+01:00".datetime()'),
    ('$.a.datetime("nonsense") == $.b'), ('$.a.datetime("HH24:MI TZH") == $.b'),
    ('$.a like_regex "^(a+)+$"'), ('$.a like_regex "x" flag "q"'), ('$.a starts with $kind'),
    ('$value / 0 == 1'), ('$value.double() > 1'), ('$occurred_at.datetime() < "2025-01-01".datetime()'), ('$channel.datetime() == $campaign.datetime()'),
    ('$.**'), ('$.** ? (@ == 1)'), ('$.a.**.b'), ('$.*'), ('$'), ('null'), ('false'), ('(1 / 0 == 1) is unknown'), ('!exists($.a)');
CREATE TABLE document (doc jsonb);
INSERT INTO document VALUES
    (NULL), ('null'), ('1'), ('"x"'), ('[]'), ('{}'), ('[[[1, 2], {"a": 3}]]'), ('{"a": null}'), ('{"a": true}'), ('{"a": {"b": {"b": null}}}'),
    ('{"a": 0, "b": 0}'), ('{"a": 1, "b": 0, "c": -1}'), ('{"a": -1e131000, "b": 1e-16000}'), ('{"a": "1e400", "b": "x"}'), ('{"a": "NaN"}'), ('{"a": "infinity"}'),
    ('{"a": "2025-02-30"}'), ('{"a": "2025-02-03"}'), ('{"a": "2025-02-03 12:00:00", "b": "12:00"}'), ('{"a": "12:30 +99"}'), ('{"a": "294277-01-01T00:00:00Z"}'),
    (jsonb_build_object('a', repeat('a', 100000))), ((repeat('{"a":', 3000) || '[1, 1]' || repeat('}', 3000))::jsonb),
    ((SELECT jsonb_build_object('a', jsonb_agg(i), 'b', 0, 'c', 1e9) FROM generate_series(1, 10000) i));
INSERT INTO signal (signal, event_kinds, condition) SELECT 'condition ' || id, '{k}', path FROM tried;
INSERT INTO signal (signal, event_kinds, quantity) SELECT 'quantity ' || id, '{k}', path FROM tried;
INSERT INTO event (lead_id, kind, occurred_at, value, properties, channel) SELECT 1, 'k', '2025-02-01', v, doc, c
    FROM document, unnest('{1,NaN,-infinity,1e130000,NULL}'::numeric[]) v, unnest('{NULL,x}'::text[]) c;
INSERT INTO signal (signal, source, condition) SELECT 'profile ' || id, 'profile', replace(path::text, '$"value"', '$"lead_id"')::jsonpath FROM tried
    WHERE path::text !~ '\$"(kind|occurred_at)"';
INSERT INTO lead (lead_id, profile, created_at) SELECT 100 + row_number() OVER (), doc, '2025-01-01' FROM document WHERE jsonb_typeof(doc) = 'object';
SELECT count(*) FROM event;
SELECT * FROM verify();
-- a condition holds as the manual says: the one value true, or something that is
-- neither one boolean nor null
SELECT t.path, count(*) AS matched, count(*) FILTER (WHERE doc IS NULL) AS without_document
    FROM tried t, event e, leadscore_internal.event_signals(e) s, signal g, LATERAL (SELECT e.properties) AS d (doc)
    WHERE s.signal_id = g.signal_id AND g.signal = 'condition ' || t.id GROUP BY t.id ORDER BY t.id;
CREATE FUNCTION holds(path jsonpath, doc jsonb, vars jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    items jsonb;
BEGIN
    items := jsonb_path_query_array(doc, path, vars, true);
    RETURN CASE jsonb_array_length(items) WHEN 0 THEN false WHEN 1 THEN coalesce((items -> 0)::text NOT IN ('false', 'null'), false) ELSE true END;
EXCEPTION
    WHEN OTHERS THEN RETURN false;
END
$$;
-- (not of the deepest, which PostgreSQL takes seconds to make an array of)
SELECT t.path, e.properties FROM tried t, event e
    WHERE e.value = 1 AND e.channel = 'x' AND length(e.properties::text) < 10000 AND t.path::text !~ 'occurred_at'
        AND holds(t.path, coalesce(e.properties, '{}'), '{"value": 1, "kind": "k", "channel": "x", "campaign": null}')
            <> EXISTS (SELECT FROM leadscore_internal.event_signals(e) s JOIN signal g USING (signal_id) WHERE g.signal = 'condition ' || t.id);

-- A document that is deep gives as many parts as it has levels; and one too
-- deep for the stack when it is looked at, though not when it was made
DELETE FROM event;
CREATE TABLE deep AS SELECT (repeat('{"a":', 6000) || '1' || repeat('}', 6000))::jsonb AS doc;
INSERT INTO event (lead_id, kind, properties) SELECT 1, 'k', doc FROM deep;
SET max_stack_depth = '100kB';
INSERT INTO event (lead_id, kind, properties) SELECT 1, 'k', doc FROM deep;
RESET max_stack_depth;
SELECT count(*) FROM event;
DELETE FROM event;

-- What takes too long can be cancelled, and leaves nothing behind
INSERT INTO signal (signal, event_kinds, condition) VALUES
    ('slow expression', '{slow}', '$.a like_regex "^(a*)(a*)(a*)(a*)(a*)(a*)\\6\\5\\4\\3\\2\\1b$"'),
    ('slow search', '{slower}', '$.a[*] ? (@ == $.a[*] + $.a[*] + 0.5)');
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'k', '2025-02-01');
CREATE TABLE before AS SELECT * FROM lead_state;
CREATE FUNCTION try(doc jsonb, event_kind text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES (1, 'k', '2025-02-01', '{}'), (1, event_kind, '2025-02-02', doc);
    RETURN 'inserted';
EXCEPTION
    WHEN query_canceled THEN RETURN 'cancelled';
END
$$;
CREATE TABLE slow (event_kind text, doc jsonb);
INSERT INTO slow VALUES ('slow', jsonb_build_object('a', repeat('a', 201) || 'b')),
    ('slower', (SELECT jsonb_build_object('a', jsonb_agg(i)) FROM generate_series(1, 5000) i));
SET statement_timeout = '200ms';
SELECT try(doc, event_kind) FROM slow WHERE event_kind = 'slow';
SELECT try(doc, event_kind) FROM slow WHERE event_kind = 'slower';
BEGIN;
SAVEPOINT a;
INSERT INTO event (lead_id, kind, properties) VALUES (1, 'slow', jsonb_build_object('a', repeat('a', 201) || 'b'));
ROLLBACK TO a;
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'slow', '2025-02-01');
COMMIT;
-- so can what goes over all events
SET session_replication_role = replica;
INSERT INTO event (lead_id, event_id, kind, properties) VALUES (1, -1, 'slow', jsonb_build_object('a', repeat('a', 201) || 'b'));
RESET session_replication_role;
SELECT rebuild();
SELECT * FROM verify();
SELECT count(*) FROM leadscore_internal.event_signals((SELECT e FROM event e WHERE event_id = -1));
SET session_replication_role = replica;
DELETE FROM event WHERE event_id = -1;
RESET session_replication_role;
RESET statement_timeout;
SELECT kind, count(*) FROM event GROUP BY 1 ORDER BY 1;
SELECT s.activity = b.activity AS same, s.stage = b.stage AS same_stage FROM lead_state s JOIN before b USING (lead_id) WHERE lead_id = 1;
SELECT * FROM verify();

-- A value that a signal cannot compare scores nothing, and is listed, with its key
DROP SCHEMA crm, crm_reports CASCADE;
SELECT leadscore.create_pipeline('crm') \g /dev/null
SET search_path = crm, leadscore;
INSERT INTO value_list (list, item) VALUES ('rivals', 'rival.example');
INSERT INTO signal (signal, event_kinds, condition, quantity) VALUES
    ('large', '{purchase}', '$.amount > 100', NULL), ('large too', '{purchase}', '$.amount > 1000', NULL),
    ('votes', '{poll}', NULL, '$.votes'), ('double votes', '{poll}', '$.net == "x"', '$.votes * 2');
INSERT INTO signal (signal, source, condition) VALUES ('rival', 'profile', '$rivals[*] == $email_domain'),
    ('both', 'profile', '$.size > 10 && $.budget == true'), ('deep', 'profile', '$.a.b > 1'), ('present', 'profile', '$.employees');
-- 1: four values of the wrong type, one of which two signals ask for; 2: the
-- right types; 3: nothing, null, and an array, of which each item is compared;
-- 4: unknown because of what it lacks; 5: a value within another one
INSERT INTO lead (lead_id, external_id, email, profile) VALUES
    (1, 'a', 'a@b.example', '{"budget": "yes", "employees": "120", "job_title": 7, "authority": 1, "other": "x"}'),
    (2, 'b', 'b@rival.example', '{"budget": true, "employees": 120, "phone": "1", "job_title": "CEO", "authority": false, "size": 11}'),
    (3, 'c', NULL, '{"budget": null, "employees": [7, 200]}'), (4, 'd', NULL, '{}'), (5, 'e', NULL, '{"a": {"b": "2"}, "size": "x"}');
SELECT lead_id, external_id, signal, property, value_type FROM unscored_profiles ORDER BY lead_id, signal COLLATE "C", property;
INSERT INTO event (event_id, lead_id, kind, properties) VALUES
    (1, 1, 'purchase', '{"amount": "200"}'), (2, 1, 'purchase', '{"amount": 200}'), (3, 1, 'purchase', '{"amount": null}'), (4, 1, 'purchase', NULL),
    (5, 1, 'poll', '{"votes": "3"}'), (6, 1, 'poll', '{"votes": 3, "net": "x"}'), (7, 1, 'poll', '{"votes": "3", "net": "x"}'), (8, 1, 'poll', '{"votes": 1, "net": 4}'),
    (9, 1, 'what', '{"votes": "x"}'), (10, 1, 'poll', '{"net": "x"}'), (11, 1, 'poll', '[1]'), (12, 1, 'poll', '"x"');
SELECT event_id, kind, reason, signal, property FROM unscored_events ORDER BY 1;
SELECT count(*) FROM verify();
-- a role that row security keeps leads from sees none of it
ALTER TABLE lead ENABLE ROW LEVEL SECURITY;
CREATE ROLE conditions_reader;
SELECT grant_reader('crm', 'conditions_reader') \g /dev/null
SET ROLE conditions_reader;
SELECT (SELECT count(*) FROM unscored_profiles) AS profiles, (SELECT count(*) FROM unscored_events) AS events;
RESET ROLE;
DROP OWNED BY conditions_reader;
DROP ROLE conditions_reader;

DROP SCHEMA crm, crm_reports CASCADE;
