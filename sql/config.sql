--
-- The configuration: what can be edited and what not, and what follows
--

SELECT pipeline FROM leadscore.create_pipeline('c', 'inbound');
SET search_path = c, leadscore, public;
INSERT INTO lead (lead_id, email, consented_at, profile, created_at, updated_at)
    SELECT i, 'a@example.com', '2025-01-01', jsonb_build_object('employees', i * 40), '2025-01-01', '2025-01-01' FROM generate_series(1, 4) i;
INSERT INTO event (lead_id, kind, occurred_at, value, channel)
    SELECT i % 4 + 1, (ARRAY['pricing_view', 'page_view', 'social_interaction', 'special'])[i % 3 + 1], '2025-01-02'::timestamptz + i * interval '1 hour', i, 'x'
    FROM generate_series(1, 24) i;
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'special', '2025-01-03');
SELECT * FROM verify();

-- An active model cannot be edited, in none of its tables
UPDATE rule SET points = 2 WHERE model = 'inbound' AND rule = 'page viewed';
INSERT INTO rule (model, dimension, rule, signal, points) VALUES ('inbound', 'fit', 'new', 'purchase', 1);
DELETE FROM rule WHERE model = 'inbound';
\set VERBOSITY terse
UPDATE dimension SET max_points = 10 WHERE model = 'inbound' AND dimension = 'fit';
INSERT INTO dimension (model, dimension) VALUES ('inbound', 'new');
DELETE FROM grade WHERE model = 'inbound';
UPDATE grade SET min_points = 0 WHERE model = 'inbound' AND grade = 'A';
INSERT INTO stage_rule (model, stage, min_score) VALUES ('inbound', 'advocate', 1000);
UPDATE stage_rule SET min_score = 30 WHERE model = 'inbound' AND stage = 'mql';
DELETE FROM stage_gate WHERE model = 'inbound' AND stage = 'mql';
UPDATE stage_gate SET negate = true WHERE model = 'inbound' AND stage = 'mql';
UPDATE model SET max_score = 10 WHERE model = 'inbound';
UPDATE model SET gates_required = false, allow_demotion = true WHERE model = 'inbound';
UPDATE model SET model = 'other' WHERE model = 'inbound';
DELETE FROM model WHERE model = 'inbound';
-- nor can a draft's row be moved into it
SELECT clone_model('inbound', 'draft');
UPDATE rule SET model = 'inbound', rule = 'moved' WHERE model = 'draft' AND rule = 'page viewed';
UPDATE rule SET model = 'draft', rule = 'moved' WHERE model = 'inbound' AND rule = 'page viewed';
-- nor in replica mode, nor by the owner's tricks with upserts
SET session_replication_role = replica;
UPDATE rule SET points = 2 WHERE model = 'inbound' AND rule = 'page viewed';
RESET session_replication_role;
INSERT INTO rule (model, dimension, rule, signal, points) VALUES ('inbound', 'engagement', 'page viewed', 'page_view', 100)
    ON CONFLICT (model, rule) DO UPDATE SET points = excluded.points;
\set VERBOSITY default
-- what it was activated with can be put back, as by a restore, and no more
BEGIN;
ALTER TABLE rule DISABLE TRIGGER config_changed;
CREATE TEMP TABLE gone AS SELECT * FROM rule WHERE model = 'inbound' AND rule = 'page viewed';
DELETE FROM rule WHERE model = 'inbound' AND rule = 'page viewed';
ALTER TABLE rule ENABLE ALWAYS TRIGGER config_changed;
INSERT INTO rule SELECT * FROM gone;
UPDATE gone SET rule = 'more pages viewed';
INSERT INTO rule SELECT * FROM gone;
ROLLBACK;
-- the note is free
UPDATE model SET note = 'the first' WHERE model = 'inbound';
SELECT model, status, note FROM model ORDER BY 1;
SELECT * FROM verify();

-- Kept by the engine, and not to be emptied
UPDATE model_activation SET activated_at = '2020-01-01';
DELETE FROM model_activation;
TRUNCATE rule;
TRUNCATE setting;
TRUNCATE signal CASCADE;
TRUNCATE model CASCADE;
TRUNCATE model_activation;

-- Clone, edit, compare, activate
UPDATE rule SET points = 30 WHERE model = 'draft' AND rule = 'prices viewed';
UPDATE rule SET decay = 'none', decay_period = NULL, max_points = NULL WHERE model = 'draft';
UPDATE model SET note = 'a trial' WHERE model = 'draft';
SELECT * FROM compare_models('inbound', 'draft', '2025-01-03');
SELECT * FROM compare_models('draft', 'draft', '2025-01-03') WHERE level = 'lead';
CREATE TEMP TABLE before AS SELECT lead_id, activity, stage FROM lead_state;
SELECT activate_model('draft', wait => true);
SELECT model, status, compiled IS NOT NULL AS compiled, activated_by = session_user AS by_me FROM model ORDER BY 1;
SELECT lead_id, s.stage, s.activity = b.activity AS same FROM lead_state s JOIN before b USING (lead_id) ORDER BY 1;
SELECT rebuild();
SELECT * FROM verify();
SELECT activate_model('draft', wait => true);
SELECT activate_model('nothing', wait => true);
SELECT clone_model('nothing', 'x');
SELECT clone_model('draft', 'inbound');
SELECT * FROM compare_models('draft', 'nothing');
SELECT clone_model(NULL, 'x');
SELECT model_definition(NULL);
-- a retired one is as frozen, and can come back
UPDATE rule SET points = 2 WHERE model = 'inbound' AND rule = 'page viewed';
SELECT activate_model('inbound', wait => true);
SELECT model, status FROM model ORDER BY 1;
SELECT * FROM verify();
-- the model as a document is all there is to it
SELECT compiled = compiled::text::lead_model AS same, compiled = model_definition(model)::lead_model AS defined FROM model ORDER BY model;
-- a draft can be thrown away
SELECT clone_model('inbound', 'waste');
DELETE FROM model WHERE model = 'waste';
SELECT count(*) FROM rule WHERE model = 'waste';

-- Signals: an edit counts every lead again, by sweep() or at its next write
CREATE VIEW counted AS SELECT l.lead_id, (SELECT sum(u.count) FROM unnest(l.activity) u JOIN signal g USING (signal_id) WHERE g.signal = 'special') AS special FROM _lead_now l ORDER BY 1;
INSERT INTO signal (signal, event_kinds) VALUES ('special', '{special}');
SELECT * FROM verify();
-- queries know at once
TABLE counted;
SELECT sweep();
TABLE counted;
SELECT * FROM verify();
UPDATE signal SET event_kinds = '{special,page_view}', condition = '$channel == "x"' WHERE signal = 'special';
SELECT * FROM verify();
UPDATE signal SET event_kinds = NULL, quantity = '$value' WHERE signal = 'special';
SELECT * FROM verify();
-- queries know at once
TABLE counted;
SELECT sweep();
TABLE counted;
SELECT * FROM verify();
UPDATE signal SET source = 'profile', event_kinds = NULL, quantity = NULL, condition = '$.employees > 100' WHERE signal = 'special';
-- a write follows too, from what the row was before it
UPDATE lead SET profile = profile || '{"employees": 7}', updated_at = '2025-02-01' WHERE lead_id = 3;
SELECT sweep();
SELECT * FROM verify();
SELECT lead_id, signal, count FROM profile_change WHERE signal = 'special' ORDER BY 1, seq;
UPDATE signal SET condition = '$.employees > 10' WHERE signal = 'company_size';
SELECT sweep();
SELECT * FROM verify();
BEGIN;
DELETE FROM signal WHERE signal = 'special';
SELECT sweep();
SELECT * FROM verify();
ROLLBACK;
SELECT * FROM verify();
DELETE FROM signal WHERE signal = 'special';
SELECT sweep();
SELECT * FROM verify();
-- several in one statement; a name that is used by models stays
UPDATE signal SET event_kinds = event_kinds || '{special}'::text[] WHERE signal IN ('page_view', 'pricing_view');
SELECT * FROM verify();
DELETE FROM signal WHERE signal = 'page_view';
UPDATE signal SET signal = 'page' WHERE signal = 'page_view';
-- a name that no model uses can change; a history that knows the old name can still be replayed
INSERT INTO signal (signal, source, condition) VALUES ('large', 'profile', '$.employees > 100');
SELECT sweep();
UPDATE signal SET signal = 'big' WHERE signal = 'large';
SELECT * FROM verify();
SELECT sweep(), rebuild();
SELECT * FROM verify();

-- What a signal must not be
UPDATE signal SET signal_id = 1000 WHERE signal = 'big';
UPDATE signal SET event_kinds = '{page_view}' WHERE signal = 'lead_created';
DELETE FROM signal WHERE signal = 'lead_created';
INSERT INTO signal (signal, event_kinds, condition) VALUES ('bad', '{a}', '$.a ==');
INSERT INTO signal (signal, event_kinds, condition) VALUES ('bad', '{a}', '$.a == $nobody');
INSERT INTO signal (signal, event_kinds, condition) VALUES ('bad', '{a}', '$email == "a"');
INSERT INTO signal (signal, event_kinds, quantity) VALUES ('bad', '{a}', '$amount');
INSERT INTO signal (signal, source, condition) VALUES ('bad', 'profile', '$value > 1');
INSERT INTO signal (signal, source, condition) VALUES ('fine', 'profile', '$.text == "$nobody" || $."$value" == 1');
-- wherever in a path the variable is
CREATE FUNCTION pg_temp.refusal(path text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    refusal text;
BEGIN
    INSERT INTO signal (signal, signal_id, event_kinds, condition) VALUES ('bad', 999, '{a}', path::jsonpath);
    RAISE 'taken';
EXCEPTION WHEN undefined_object OR raise_exception THEN
    GET STACKED DIAGNOSTICS refusal = MESSAGE_TEXT;
    RETURN refusal;
END $$;
SELECT pg_temp.refusal(path) AS refusal, count(*), array_agg(path ORDER BY n) AS paths
FROM unnest(ARRAY['$nobody', '$nobody.a[*]', '$.a ? (@.b > 1).c ? (@ == $nobody)', '$.a[$nobody]', '$.a[0, 1 to $nobody].b',
    '$.a[last - $nobody to 2]', '-$nobody > 1', '!($.a == $nobody)', '($.a == $nobody) is unknown', 'exists($.a ? (@ < $nobody))',
    '$nobody like_regex "a"', '$.a starts with $nobody', '$.a + 1 * $nobody == 2', '($.a + $nobody).b',
    '$.a > 1 && ($.b == 2 || $.c % $nobody == 0)', '$.size() == $nobody.size()', '$.a.keyvalue() ? (@.key == $nobody)',
    '$.a.** ? (@ == $nobody)',
    '$.a == "$nobody"', '$."$nobody" == 1', '$.a like_regex "$nobody"', '$."a\"$nobody" == $value', '$.a[$value]'])
    WITH ORDINALITY AS p(path, n)
GROUP BY 1 ORDER BY 1;
-- the name of a column may hold what a path has to escape
ALTER TABLE event ADD COLUMN "the ""big"" one" text;
SELECT pg_temp.refusal('$"the \"big\" one" == "x"'), pg_temp.refusal('$"the big one" == "x"');
ALTER TABLE event DROP COLUMN "the ""big"" one";
\set VERBOSITY terse
INSERT INTO signal (signal, event_kinds) VALUES ('bad', '{}');
INSERT INTO signal (signal, event_kinds) VALUES ('bad', '{a,NULL}');
INSERT INTO signal (signal, source) VALUES ('bad', 'profile');
INSERT INTO signal (signal, source, event_kinds, condition) VALUES ('bad', 'profile', '{a}', '$.a');
INSERT INTO signal (signal, source, event_kinds) VALUES ('bad', 'both', '{a}');
INSERT INTO signal (signal, event_kinds) VALUES ('', '{a}');
INSERT INTO signal (signal, signal_id, event_kinds) VALUES ('bad', -1, '{a}');
INSERT INTO signal (signal, signal_id, event_kinds) VALUES ('bad', 1, '{a}');
\set VERBOSITY default
SELECT * FROM verify();

-- Value lists are variables
INSERT INTO value_list VALUES ('rivals', 'rival.example');
INSERT INTO signal (signal, source, condition) VALUES ('rival', 'profile', '$rivals[*] == $.employer');
UPDATE lead SET profile = '{"employer": "other.example"}', updated_at = '2025-02-01' WHERE lead_id = 2;
CREATE VIEW rivals AS SELECT s.lead_id FROM _lead_now s, unnest(s.activity) u JOIN signal g USING (signal_id) WHERE g.signal = 'rival';
TABLE rivals;
INSERT INTO value_list VALUES ('rivals', 'other.example');
TABLE rivals;
UPDATE value_list SET item = 'third.example' WHERE item = 'other.example';
TABLE rivals;
UPDATE value_list SET item = 'other.example' WHERE item = 'third.example';
TABLE rivals;
SELECT sweep();
SELECT * FROM verify();
TRUNCATE value_list;
TABLE rivals;
SELECT * FROM verify();
INSERT INTO value_list VALUES ('rivals; drop', 'x');
INSERT INTO value_list VALUES ('competitors', 'x'), ('value', 'x'), ('email', 'x');
SELECT * FROM verify();
DELETE FROM value_list;
SELECT sweep();
SELECT * FROM verify();

-- The row of settings; the grain is fixed
UPDATE setting SET grain = '1 week';
UPDATE setting SET time_zone = 'Nowhere/Town';
UPDATE setting SET time_zone = 'Europe/Berlin', currency = 'USD', mature_after = '30 days';
INSERT INTO setting (id) VALUES (true);
UPDATE setting SET grain = '1 hour';
UPDATE setting SET grain = '24 hours';
DELETE FROM setting;
UPDATE setting SET configuration = 0;
UPDATE setting SET signals_configuration = signals_configuration + 1;

-- What the engine keeps
UPDATE lead_state SET stage = 'customer' WHERE lead_id = 1;
DELETE FROM stage_log;
DELETE FROM profile_change;
TRUNCATE lead_state;
-- ... and what it finds if that is disabled
SET session_replication_role = replica;
UPDATE lead_state SET activity = 'hour{0@2025-01-01T00:1}' WHERE lead_id = 1;
RESET session_replication_role;
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'page_view', '2025-03-01');
SELECT rebuild();
SELECT * FROM verify();
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE lead_state SET baseline = 'hour{1@2025-01-01T00:1}' WHERE lead_id = 1;
SET LOCAL session_replication_role = DEFAULT;
SELECT rebuild();
ROLLBACK;
SELECT lead_activity(1, '2025-01-01', 1, '1 day') + lead_activity(1, '2025-01-01', 1, '1 hour');
SELECT score(lead_activity(1, '2025-01-01', 1, '1 hour'), compiled, '2025-01-01') FROM model WHERE status = 'active';
SELECT * FROM verify();

-- A baseline: counts of events that were purged from the log
SET session_replication_role = replica;
UPDATE lead_state SET baseline = lead_activity(1, '2024-12-01', 5, '1 day') WHERE lead_id = 3;
RESET session_replication_role;
SELECT lead_id, problem FROM verify();
SELECT rebuild();
SELECT * FROM verify();
SELECT score_by_id(3, '2025-01-02');
DELETE FROM event WHERE lead_id = 3;
INSERT INTO event (lead_id, kind, occurred_at) VALUES (3, 'page_view', '2025-01-05');
SELECT * FROM verify();
SELECT rebuild();
SELECT * FROM verify();
-- ... of leads before others with more events than the baseline has counts
BEGIN;
INSERT INTO lead (lead_id, created_at, updated_at) SELECT i, '2025-01-01', '2025-01-01' FROM generate_series(11, 14) i;
INSERT INTO event (lead_id, kind, occurred_at)
    SELECT l, 'page_view', '2025-01-02'::timestamptz + i * interval '1 day' FROM generate_series(11, 14) l, generate_series(1, l * 10) i;
SET LOCAL session_replication_role = replica;
UPDATE lead_state SET baseline = lead_activity(1, '2024-12-01', 5, '1 day') WHERE lead_id >= 11;
SET LOCAL session_replication_role = DEFAULT;
SELECT rebuild();
SELECT * FROM verify();
ROLLBACK;

-- Models that cannot be compiled: activation names the row and changes nothing
SELECT clone_model('inbound', 'broken');
\set VERBOSITY terse
UPDATE rule SET points = 0.0001 WHERE model = 'broken' AND rule = 'page viewed';
UPDATE rule SET points = 'NaN' WHERE model = 'broken' AND rule = 'page viewed';
UPDATE rule SET points = NULL WHERE model = 'broken' AND rule = 'page viewed';
UPDATE rule SET aggregate = 'median' WHERE model = 'broken' AND rule = 'page viewed';
UPDATE rule SET aggregate = 'first_n' WHERE model = 'broken' AND rule = 'page viewed';
UPDATE rule SET aggregate = 'tier', tiers = '[1]', decay = 'none', decay_period = NULL WHERE model = 'broken' AND rule = 'page viewed';
UPDATE rule SET aggregate = 'periods', min_count = 3 WHERE model = 'broken' AND rule = 'page viewed';
UPDATE rule SET aggregate = 'periods', min_count = 0, period = 'day' WHERE model = 'broken' AND rule = 'page viewed';
UPDATE rule SET aggregate = 'periods', period = 'day' WHERE model = 'broken' AND rule = 'page viewed';
UPDATE rule SET period = 'day', min_count = 3 WHERE model = 'broken' AND rule = 'page viewed';
UPDATE rule SET aggregate = 'periods', period = '3 months', min_count = 3 WHERE model = 'broken' AND rule = 'page viewed';
UPDATE rule SET of_dimension = 'fit' WHERE model = 'broken' AND rule = 'page viewed';
UPDATE rule SET tiers = '{"1": 1}' WHERE model = 'broken' AND rule = 'page viewed';
INSERT INTO rule (model, rule, dimension, signal, points, aggregate, after, of_dimension) VALUES ('broken', 'quiet', 'engagement', 'page_view', -1, 'idle', '30 days', 'fit');
INSERT INTO rule (model, rule, dimension, signal, points, aggregate, after, tiers, of_dimension) VALUES ('broken', 'quiet', 'engagement', 'page_view', -1, 'idle', '30 days', '{"1": 1}', 'nothing');
INSERT INTO rule (model, rule, dimension, signal, aggregate, after) VALUES ('broken', 'quiet', 'engagement', 'page_view', 'idle', '30 days');
INSERT INTO rule (model, rule, dimension, signal, aggregate, after, tiers) VALUES ('broken', 'quiet', 'engagement', 'page_view', 'idle', '30 days', '[1]');
UPDATE rule SET limit_period = 'fortnight' WHERE model = 'broken' AND rule = 'page viewed';
UPDATE rule SET limit_period = NULL WHERE model = 'broken' AND rule = 'page viewed';
UPDATE rule SET decay_period = '1 month' WHERE model = 'broken' AND rule = 'page viewed';
UPDATE rule SET decay_period = '0' WHERE model = 'broken' AND rule = 'page viewed';
UPDATE rule SET decay = 'step' WHERE model = 'broken' AND rule = 'page viewed';
UPDATE rule SET decay_percent = 120, decay = 'linear' WHERE model = 'broken' AND rule = 'page viewed';
UPDATE rule SET max_points = -1 WHERE model = 'broken' AND rule = 'page viewed';
UPDATE rule SET signal = 'nothing' WHERE model = 'broken' AND rule = 'page viewed';
UPDATE rule SET dimension = 'nothing' WHERE model = 'broken' AND rule = 'page viewed';
UPDATE dimension SET min_points = 5, max_points = 1 WHERE model = 'broken' AND dimension = 'fit';
UPDATE model SET min_score = 5, max_score = 1 WHERE model = 'broken';
UPDATE model SET demotion_margin = -1 WHERE model = 'broken';
UPDATE model SET status = 'active' WHERE model = 'broken';
UPDATE model SET status = 'other' WHERE model = 'broken';
INSERT INTO stage_gate (model, stage, gate, signal, dimension) VALUES ('broken', 'mql', 'both', 'purchase', 'fit');
INSERT INTO stage_gate (model, stage, gate) VALUES ('broken', 'mql', 'neither');
INSERT INTO stage_gate (model, stage, gate, signal, min_points) VALUES ('broken', 'mql', 'points of a signal', 'purchase', 5);
INSERT INTO stage_gate (model, stage, gate, min_points, min_count) VALUES ('broken', 'mql', 'counts of the score', 5, 1);
INSERT INTO stage_gate (model, stage, gate, min_points, within) VALUES ('broken', 'mql', 'points in a time', 5, '1 day');
INSERT INTO stage_gate (model, stage, gate, min_points) VALUES ('broken', 'mql', 'score', 5);
INSERT INTO stage_gate (model, stage, gate, dimension) VALUES ('broken', 'mql', 'no points', 'fit');
INSERT INTO stage_gate (model, stage, gate, signal, min_count) VALUES ('broken', 'mql', 'none', 'purchase', 0);
INSERT INTO stage_gate (model, stage, gate, signal, within) VALUES ('broken', 'mql', 'minutes', 'purchase', '90 minutes');
INSERT INTO grade (model, dimension, grade, min_points) VALUES ('broken', 'fit', 'A+', 20);
\set VERBOSITY default
CREATE FUNCTION pg_temp.try(change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    m text; d text; h text;
BEGIN
    EXECUTE change;
    PERFORM c.activate_model('broken', wait => true);
    RETURN 'activated';
EXCEPTION WHEN others THEN
    GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
    RETURN SQLSTATE || ' ' || concat_ws(' | ', m, nullif(d, ''), nullif(h, ''));
END $$;
SELECT pg_temp.try(change) FROM unnest(ARRAY[
    'UPDATE rule SET only_if = ''{nothing}'' WHERE model = ''broken'' AND rule = ''page viewed''',
    'UPDATE rule SET unless = ''{nothing}'' WHERE model = ''broken'' AND rule = ''page viewed''',
    'UPDATE rule SET decay_period = ''5 hours'' WHERE model = ''broken'' AND rule = ''page viewed''',
    'UPDATE rule SET aggregate = ''tier'', tiers = ''{"x": 1}'', decay = ''none'', decay_period = NULL WHERE model = ''broken'' AND rule = ''page viewed''',
    'UPDATE rule SET aggregate = ''tier'', tiers = ''{"3": "y"}'', decay = ''none'', decay_period = NULL WHERE model = ''broken'' AND rule = ''page viewed''',
    'UPDATE dimension SET reset_signals = ''{nothing}'' WHERE model = ''broken'' AND dimension = ''fit''',
    'UPDATE stage_rule SET entry_signals = ''{nothing}'' WHERE model = ''broken'' AND stage = ''lost''',
    'INSERT INTO stage_rule (model, stage, only_if, min_score) VALUES (''broken'', ''mql'', ''nothing'', 5)',
    'INSERT INTO stage_gate (model, stage, gate, signal, within) VALUES (''broken'', ''mql'', ''hours'', ''purchase'', ''5 hours'')']) WITH ORDINALITY AS u (change, n)
    ORDER BY n;
SELECT model, status FROM model ORDER BY 1;
SELECT * FROM verify();

-- In hours, periods may be hours
SELECT pipeline FROM leadscore.create_pipeline('h', 'inbound', '1 hour');
SELECT h.clone_model('inbound', 'hours');
UPDATE h.rule SET decay_period = '36 hours' WHERE model = 'hours' AND decay = 'half_life';
SELECT h.activate_model('hours', wait => true);
-- a model of the other grain does not fit
UPDATE h.model SET compiled = (SELECT compiled FROM c.model WHERE status = 'active') WHERE model = 'hours';
INSERT INTO h.lead (lead_id, created_at, updated_at) VALUES (1, '2025-01-01', '2025-01-01');
DROP SCHEMA h, h_reports CASCADE;
DROP SCHEMA c, c_reports CASCADE;
