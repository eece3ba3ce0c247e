--
-- Segments that cannot be, and what must not be done to those that are: errors
-- that say what to do, and nothing half done
--

SELECT pipeline FROM leadscore.create_pipeline('s', 'empty', reports => false);
SET search_path = s, leadscore, public;
INSERT INTO signal (signal, event_kinds) VALUES ('view', '{view}'), ('buy', '{buy}');
INSERT INTO signal (signal, source, condition) VALUES ('known', 'profile', '$.known == true');
INSERT INTO model (model) VALUES ('m');
INSERT INTO dimension (model, dimension) VALUES ('m', 'interest'), ('m', 'fit');
INSERT INTO rule (model, dimension, rule, signal, points) VALUES ('m', 'interest', 'view', 'view', 10);
-- keys and values of rows that fail are the role's own to see
\set VERBOSITY terse

-- What names nothing, or nothing that is there
INSERT INTO segment (segment) VALUES ('');
INSERT INTO segment (segment) VALUES (NULL);
INSERT INTO segment_condition (segment, condition, signal) VALUES ('x', 'c', 'view');
INSERT INTO segment (segment) VALUES ('x'), ('y'), ('z');
INSERT INTO segment (segment) VALUES ('x');
INSERT INTO segment (segment, segment_id) SELECT 'w', segment_id FROM segment WHERE segment = 'x';
INSERT INTO segment (segment, segment_id) VALUES ('w', 0);
INSERT INTO segment_condition (segment, condition, signal) VALUES ('x', '', 'view');
INSERT INTO segment_condition (segment, condition, signal) VALUES ('x', NULL, 'view');
INSERT INTO segment_condition (segment, condition, signal) VALUES (NULL, 'c', 'view');
INSERT INTO segment_condition (segment, condition, signal) VALUES ('x', 'c', 'no_signal');
INSERT INTO segment_condition (segment, condition, in_segment) VALUES ('x', 'c', 'no_segment');
\set VERBOSITY default
INSERT INTO segment_condition (segment, condition, dimension, min_points) VALUES ('x', 'c', 'no_dimension', 1);
INSERT INTO segment_condition (segment, condition, lead_condition) VALUES ('x', 'c', '$no_column == 1');
INSERT INTO segment_condition (segment, condition, lead_condition) VALUES ('x', 'c', '$.');
\set VERBOSITY terse

-- One thing in a row, and all of it
INSERT INTO segment_condition (segment, condition) VALUES ('x', 'c');
INSERT INTO segment_condition (segment, condition, signal, min_points) VALUES ('x', 'c', 'view', 3);
INSERT INTO segment_condition (segment, condition, signal, stage_from) VALUES ('x', 'c', 'view', 'iql');
INSERT INTO segment_condition (segment, condition, signal, in_segment) VALUES ('x', 'c', 'view', 'y');
INSERT INTO segment_condition (segment, condition, in_segment, min_points) VALUES ('x', 'c', 'y', 3);
INSERT INTO segment_condition (segment, condition, lead_condition, stage_to) VALUES ('x', 'c', '$.a == 1', 'iql');
INSERT INTO segment_condition (segment, condition, dimension) VALUES ('x', 'c', 'fit');
INSERT INTO segment_condition (segment, condition, min_count) VALUES ('x', 'c', 3);
INSERT INTO segment_condition (segment, condition, lead_condition, min_count) VALUES ('x', 'c', '$.a == 1', 3);
INSERT INTO segment_condition (segment, condition, stage_from, within) VALUES ('x', 'c', 'iql', '3 days');
-- the same alternative twice
INSERT INTO segment_condition (segment, condition, signal) VALUES ('x', 'c', 'view'), ('x', 'c', 'view');

-- Values that cannot be
INSERT INTO segment_condition (segment, condition, signal, min_count) VALUES ('x', 'c', 'view', 0);
INSERT INTO segment_condition (segment, condition, signal, min_count) VALUES ('x', 'c', 'view', 3000000000);
INSERT INTO segment_condition (segment, condition, signal, within) VALUES ('x', 'c', 'view', '90 seconds'), ('x', 'd', 'view', '1 month');
INSERT INTO segment_condition (segment, condition, signal, within) VALUES ('x', 'c', 'view', '1 month');
INSERT INTO segment_condition (segment, condition, signal, within) VALUES ('x', 'c', 'view', '0');
INSERT INTO segment_condition (segment, condition, signal, within) VALUES ('x', 'c', 'view', '-3 days');
INSERT INTO segment_condition (segment, condition, min_points) VALUES ('x', 'c', 1e10);
INSERT INTO segment_condition (segment, condition, min_points) VALUES ('x', 'c', 'NaN');
INSERT INTO segment_condition (segment, condition, min_points) VALUES ('x', 'c', 0.0001);
INSERT INTO segment_condition (segment, condition, stage_from, stage_to) VALUES ('x', 'c', 'sql', 'iql');
INSERT INTO segment_condition (segment, condition, stage_from) VALUES ('x', 'c', 'nonsense');
INSERT INTO segment_condition (segment, condition, signal, weight) VALUES ('x', 'c', 'view', 0);
INSERT INTO segment_condition (segment, condition, signal, weight) VALUES ('x', 'c', 'view', -1);
INSERT INTO segment_condition (segment, condition, signal, weight) VALUES ('x', 'c', 'view', 'NaN');
INSERT INTO segment_condition (segment, condition, signal, weight) VALUES ('x', 'c', 'view', 1000.001);
INSERT INTO segment_condition (segment, condition, signal, weight) VALUES ('x', 'c', 'view', 0.0001);
UPDATE segment SET min_match_share = 0;
UPDATE segment SET min_match_share = 1.001;
UPDATE segment SET min_match_share = 'NaN';
UPDATE segment SET ideal_customer = true;
UPDATE segment SET status = 'nonsense' WHERE segment = 'x';
UPDATE segment SET status = NULL WHERE segment = 'x';
SELECT count(*) AS rows FROM segment_condition;
\set VERBOSITY default

-- Activation: before any model, of nothing, of what does not fit
SELECT activate_segment('x');
SELECT segment_preview('x');
INSERT INTO segment_condition (segment, condition, signal) VALUES ('x', 'c', 'view');
SELECT activate_segment('x');
SELECT activate_model('m');
INSERT INTO lead (lead_id, external_id, country, profile, created_at, updated_at) VALUES (1, 'one', 'ES', '{"secret": "s3cret"}', '2025-01-01', '2025-01-01');
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'view', '2025-01-02');
SELECT activate_segment(NULL);
SELECT activate_segment('x', NULL, NULL);
SELECT activate_segment('');
SELECT activate_segment('no_segment');
SELECT activate_segment('no_segment', wait => true);
SELECT retire_segment(NULL);
SELECT retire_segment('x', NULL);
SELECT retire_segment('no_segment');
SELECT retire_segment('x');
SELECT segment_preview(NULL);
SELECT segment_preview('no_segment');
SELECT segment_preview('x', 'no_segment');
SELECT segment_preview('y');
SELECT segment_definition(NULL);
SELECT segment_definition('no_segment');
SELECT clone_segment('no_segment', 'w');
SELECT clone_segment(NULL, 'w');
SELECT clone_segment('x', NULL);
SELECT clone_segment('x', '');
SELECT in_segment('one', 'no_segment'), 1 AS never;
SELECT explain_segment('one', 'no_segment');
SELECT in_segment('one', ''), 1 AS never;
UPDATE segment_condition SET within = '1 hour';
SELECT activate_segment('x');
SELECT segment_preview('x');
UPDATE segment_condition SET within = '100000000 days';
SELECT activate_segment('x');
UPDATE segment_condition SET within = NULL;
INSERT INTO segment_condition (segment, condition, signal, weight) VALUES ('x', 'c', 'buy', 2);
SELECT activate_segment('x');
SELECT segment_preview('x');
DELETE FROM segment_condition WHERE segment = 'x' AND signal = 'buy';
SELECT segment, status, activated_at FROM segment ORDER BY 1;
SELECT count(*) AS activations, (SELECT count(*) FROM segment_log) AS log, (SELECT segments FROM lead_state) AS segments FROM segment_activation;

-- A segment that names itself: directly, in a circle of two and of three, and
-- through what it replaces; or what is not active
INSERT INTO segment_condition (segment, condition, in_segment) VALUES ('y', 'c', 'y');
INSERT INTO segment_condition (segment, condition, in_segment) VALUES ('y', 'c', 'z'), ('z', 'c', 'y');
SELECT activate_segment('y');
INSERT INTO segment_condition (segment, condition, in_segment) VALUES ('x', 'd', 'y');
UPDATE segment_condition SET in_segment = 'x' WHERE segment = 'z';
SELECT activate_segment('x');
SELECT activate_segment('z');
UPDATE segment_condition SET in_segment = NULL, signal = 'view' WHERE segment = 'z';
SELECT activate_segment('x');
SELECT activate_segment('y');
SELECT activate_segment('z'), activate_segment('y'), activate_segment('x');
SELECT clone_segment('z', 'z2');
INSERT INTO segment_condition (segment, condition, in_segment) VALUES ('z2', 'd', 'z');
SELECT activate_segment('z2', 'z');
UPDATE segment_condition SET in_segment = 'y' WHERE segment = 'z2' AND condition = 'd';
SELECT activate_segment('z2', 'z');
UPDATE segment_condition SET in_segment = 'x' WHERE segment = 'z2' AND condition = 'd';
SELECT activate_segment('z2', 'z');
SELECT count(*) AS z2_is_there, (SELECT count(*) FROM segment_condition WHERE segment = 'z') AS conditions_of_z FROM segment WHERE segment = 'z2' AND status = 'draft';
-- in use by another
SELECT retire_segment('z');
SELECT segment, status FROM segment ORDER BY 1;

-- What is active stays as it is
SELECT activate_segment('x');
SELECT activate_segment('x', 'x');
SELECT activate_segment('x', 'y');
SELECT activate_segment('z2', 'z2');
SELECT activate_segment('z2', 'no_segment');
UPDATE segment SET status = 'draft' WHERE segment = 'x';
UPDATE segment SET status = 'retired' WHERE segment = 'x';
UPDATE segment SET status = 'active', activated_by = 'me', activated_at = now() WHERE segment = 'z2';
INSERT INTO segment (segment, status, activated_by, activated_at) VALUES ('u', 'active', 'me', now());
UPDATE segment SET persona = true WHERE segment = 'x';
UPDATE segment SET min_match_share = 0.5 WHERE segment = 'x';
UPDATE segment SET segment = 'w' WHERE segment = 'x';
UPDATE segment SET segment_id = 100 WHERE segment = 'x';
UPDATE segment SET activated_at = now() WHERE segment = 'x';
UPDATE segment SET activated_by = 'somebody' WHERE segment = 'x';
DELETE FROM segment WHERE segment = 'x';
DELETE FROM segment_condition WHERE segment = 'x';
UPDATE segment_condition SET min_count = 2 WHERE segment = 'x' AND condition = 'c';
UPDATE segment_condition SET segment = 'z2', condition = 'e' WHERE segment = 'x' AND condition = 'c';
UPDATE segment_condition SET segment = 'x' WHERE segment = 'z2' AND condition = 'd';
INSERT INTO segment_condition (segment, condition, signal) VALUES ('x', 'e', 'buy');
TRUNCATE segment CASCADE;
TRUNCATE segment_condition;
TRUNCATE segment_activation;
TRUNCATE segment_log;
DELETE FROM segment_activation;
UPDATE segment_activation SET definition = NULL;
INSERT INTO segment_activation (segment, segment_id) VALUES ('x', 1);
DELETE FROM segment_log;
UPDATE segment_log SET cause = 'event';
INSERT INTO segment_log (lead_id, seq, segment, entered, effective_at, cause) VALUES (1, 1, 'x', true, now(), 'event');
\set VERBOSITY terse
DELETE FROM signal WHERE signal = 'view';
\set VERBOSITY default
-- but for the note, and for nothing at all
UPDATE segment SET note = 'a note' WHERE segment = 'x';
UPDATE segment SET status = status, persona = persona, activated_at = activated_at;
UPDATE segment_condition SET weight = weight;
-- what is retired is so, too
INSERT INTO segment (segment) VALUES ('w');
INSERT INTO segment_condition (segment, condition, signal) VALUES ('w', 'c', 'view');
SELECT activate_segment('w');
SELECT retire_segment('w');
SELECT retire_segment('w');
UPDATE segment SET persona = true WHERE segment = 'w';
DELETE FROM segment WHERE segment = 'w';
DELETE FROM segment_condition WHERE segment = 'w';
SELECT activate_segment('z2', 'w');
SELECT activate_segment('w', 'x');
INSERT INTO segment (segment) VALUES ('v');
INSERT INTO segment_condition (segment, condition, in_segment) VALUES ('v', 'c', 'w');
SELECT activate_segment('v');
-- a draft may be renamed and deleted, if no other names it
UPDATE segment SET segment = 'v2' WHERE segment = 'v';
SELECT segment, in_segment FROM segment_condition WHERE segment LIKE 'v%';
DELETE FROM segment WHERE segment = 'v2';
SELECT count(*) FROM segment_condition WHERE segment LIKE 'v%';

-- One ideal customer profile
INSERT INTO segment (segment, persona, ideal_customer) VALUES ('ideal', true, true), ('ideal2', true, true);
INSERT INTO segment_condition (segment, condition, signal) VALUES ('ideal', 'c', 'view'), ('ideal2', 'c', 'buy');
SELECT activate_segment('ideal');
SELECT activate_segment('ideal2');
SELECT activate_segment('ideal2', 'x');
SELECT activate_segment('ideal2', 'ideal');
SELECT segment, ideal_customer, status FROM segment WHERE persona ORDER BY 1;
SELECT retire_segment('ideal');

-- Two alternatives that become the same when a draft takes another's place
INSERT INTO segment (segment) VALUES ('base'), ('base2'), ('user');
INSERT INTO segment_condition (segment, condition, signal) VALUES ('base', 'c', 'view'), ('base2', 'c', 'buy');
INSERT INTO segment_condition (segment, condition, in_segment) VALUES ('user', 'either', 'base'), ('user', 'either', 'base2');
SELECT activate_segment('base');
SELECT activate_segment('base2', 'base');
SELECT segment, status FROM segment WHERE segment LIKE 'base%' ORDER BY 1;

-- A model that lacks a dimension which is asked for
INSERT INTO segment (segment) VALUES ('fits');
INSERT INTO segment_condition (segment, condition, dimension, min_points) VALUES ('fits', 'c', 'fit', 0);
SELECT activate_segment('fits');
SELECT clone_model('m', 'n');
DELETE FROM dimension WHERE model = 'n' AND dimension = 'fit';
SELECT activate_model('n');
SELECT model, status FROM model ORDER BY 1;
SELECT retire_segment('fits');
SELECT activate_model('n');
SELECT activate_segment('fits');
SELECT segment, status FROM segment WHERE segment = 'fits';
SELECT segment_preview('fits');
SELECT * FROM verify();

-- Odd names: quoted, of formats, upper case, with spaces, and long
CREATE TEMP TABLE odd (name text);
INSERT INTO odd VALUES ('O''Neil "the" $1 %s %I \'), ('Big Spenders'), ('ünï cödé 😀'), (repeat('x', 200)), ('select'), (E'line\nbreak'), ('{"a": 1}');
INSERT INTO segment (segment, persona) SELECT name, true FROM odd;
INSERT INTO segment_condition (segment, condition, lead_condition) SELECT name, name, '$country == "ES"' FROM odd;
INSERT INTO segment_condition (segment, condition, lead_condition) SELECT name, 'own', format('$country == "ES" && $.secret != %s', to_jsonb(name))::jsonpath FROM odd;
INSERT INTO segment_condition (segment, condition, in_segment) SELECT 'user', name, name FROM odd;
SELECT count(*) FROM odd, segment_preview(name) WHERE would_enter = 1;
SELECT count(activate_segment(name, wait => true)) FROM odd;
SELECT count(*) FILTER (WHERE in_segment('one', name)) AS members, count(*) FILTER (WHERE (SELECT bool_and(met) FROM explain_segment('one', name))) AS explained,
    count(*) FILTER (WHERE EXISTS (SELECT FROM segment_members m WHERE m.segment = name)) AS listed, (SELECT count(*) FROM persona_match('one')) AS personas FROM odd;
SELECT max(length(signal)) > 200 AS long_signal FROM signal;
SELECT count(clone_segment(name, name || ' (2)')) FROM odd;
SELECT count(activate_segment(name || ' (2)', name)) FROM odd;
SELECT retire_segment((SELECT name FROM odd LIMIT 1));
DO $$BEGIN PERFORM s.activate_segment('100 %s'); EXCEPTION WHEN undefined_object THEN RAISE WARNING '%', SQLERRM; END$$;
SELECT count(*) FROM verify();

-- Conditions that err on odd data are not met, and stop no write
INSERT INTO segment (segment) VALUES ('careful');
INSERT INTO segment_condition (segment, condition, lead_condition) VALUES
    ('careful', 'divided', '100 / $.zero > 1'), ('careful', 'dated', '$.at.datetime() < "2025-01-01".datetime()'), ('careful', 'number', '$.employees > 50'),
    ('careful', 'deep', '$.**.needle == 7'), ('careful', 'strict', 'strict $.a.b[5].c == 1'), ('careful', 'text', '$country starts with "E" && $email_domain like_regex "^ma"');
UPDATE segment SET min_match_share = 0.001 WHERE segment = 'careful';
SELECT activate_segment('careful');
INSERT INTO lead (lead_id, profile, country, email, created_at, updated_at)
    SELECT 100 + n, p::jsonb, c, e, '2025-01-01', '2025-01-01' FROM (VALUES
        (1, '{}', NULL, NULL), (2, '{"a": null}', 'ES', 'a@mail.example'), (3, '{"a": []}', 'ES', '@'), (4, '{"": "text"}', '', 'a@b@c'), (5, '{"a": {}}', NULL, NULL), (6, '{"zero": 0}', NULL, NULL), (7, '{"zero": "0"}', NULL, NULL),
        (8, '{"zero": 10}', NULL, NULL), (9, '{"at": "no date"}', NULL, NULL), (10, '{"at": "2024-06-01"}', NULL, NULL), (11, '{"employees": "51"}', NULL, NULL), (12, '{"employees": [1, 51]}', NULL, NULL),
        (13, '{"employees": null}', NULL, NULL), (14, '{"employees": 1e400}', NULL, NULL), (15, repeat('{"k":', 500) || '{"needle": 7}' || repeat('}', 500), NULL, NULL),
        (16, '{"a": {"b": [1]}}', NULL, NULL), (17, format('{"big": "%s"}', repeat('x', 3000000)), NULL, NULL)) AS v (n, p, c, e);
UPDATE lead SET profile = '{"zero": {"a": []}}', updated_at = '2025-01-02' WHERE lead_id = 108;
SELECT lead_id - 100 AS lead, is_member, cause FROM segment_history WHERE segment = 'careful' AND lead_id > 100 ORDER BY lead_id, seq;
SELECT lead_id - 100 AS lead FROM segment_preview_leads('careful') WHERE lead_id > 100;
SELECT * FROM verify();

-- Other settings
SET standard_conforming_strings = off;
SET transform_null_equals = on;
SET search_path = '';
INSERT INTO s.segment (segment) VALUES (E'back\\slash');
INSERT INTO s.segment_condition (segment, condition, lead_condition, signal) VALUES (E'back\\slash', E'c\\', E'$country == "a\\\\b"', NULL), (E'back\\slash', E'c\\', NULL, 'view');
SELECT s.activate_segment(E'back\\slash');
SELECT s.in_segment('one', E'back\\slash'), (SELECT count(*) FROM s.segment_members m WHERE m.segment OPERATOR(pg_catalog.=) E'back\\slash') AS members;
DO $$BEGIN PERFORM s.activate_segment(E'no\\slash'); EXCEPTION WHEN undefined_object THEN RAISE WARNING '%', SQLERRM; END$$;
SELECT s.retire_segment(E'back\\slash', true) > 0 AS retired;
RESET standard_conforming_strings;
RESET transform_null_equals;

-- The engine counts in days, and records of one column may be rows of different types
\set definition '{"segment": "x", "segment_id": 999, "conditions": [{"condition": "c", "lead_condition": "$.a == 1"}]}'
SELECT leadscore_internal.would_be_in(l, 'hour{1@2025-01-01T05:1}', 'mql', :'definition') FROM s.lead l LIMIT 1;
CREATE FUNCTION s.row_or_record(i int) RETURNS record LANGUAGE plpgsql AS $$
DECLARE
    l s.lead := jsonb_populate_record(NULL::s.lead, '{"profile": {"a": 1}}');
    other record;
BEGIN
    IF i = 1 THEN
        RETURN l;
    END IF;
    SELECT 1::bigint, -1::bigint, -1::bigint, -1::bigint, -1::bigint, -1::bigint, -1::bigint, -1::bigint INTO other;
    RETURN other;
END $$;
SELECT leadscore_internal.would_be_in(s.row_or_record(1), 'day{}', 'mql', :'definition');
SELECT leadscore_internal.would_be_in(s.row_or_record(i), 'day{}', 'mql', :'definition') FROM generate_series(1, 2) i;
-- and a function may add the next signal between two calls
CREATE FUNCTION s.would_be_in_twice(definition jsonb) RETURNS boolean[] LANGUAGE plpgsql AS $$
DECLARE
    l s.lead := jsonb_populate_record(NULL::s.lead, '{"profile": {}}');
    id int;
    result boolean[];
BEGIN
    FOR i IN 1 .. 2 LOOP
        INSERT INTO s.signal (signal, event_kinds) VALUES ('next' || i, '{page_view}') RETURNING signal_id INTO id;
        result[i] := leadscore_internal.would_be_in(l, format('day{%s@2025-01-01:1}', id)::leadscore.lead_activity, 'mql', definition);
    END LOOP;
    RETURN result;
END $$;
SELECT s.would_be_in_twice(:'definition');
DELETE FROM s.signal WHERE signal ~ '^next[12]$';

-- Another role is told nothing about rows by messages
CREATE ROLE leadscore_nosy;
SELECT leadscore.grant_app('s', 'leadscore_nosy');
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA s TO leadscore_nosy;
SET ROLE leadscore_nosy;
SELECT s.segment_definition('x');
SELECT leadscore_internal.would_be_in(jsonb_populate_record(NULL::s.lead, '{"profile": {"secret": "s3cret"}}'), 'day{}', 'mql', '{"segment": "x", "segment_id": 1, "conditions": [{"condition": "c", "lead_condition": "$.secret == 1"}]}');
SELECT leadscore_internal.activate_segment('s', 'y', NULL, false);
RESET ROLE;
RESET search_path;
REVOKE ALL ON SCHEMA s FROM leadscore_nosy;
SET client_min_messages = error;
DROP SCHEMA s CASCADE;
DROP OWNED BY leadscore_nosy;
DROP ROLE leadscore_nosy;
