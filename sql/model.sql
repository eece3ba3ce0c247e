-- lead_model: JSON and binary form, and every mistake that compiling refuses

\set SHOW_CONTEXT errors
SET search_path = public, leadscore;

-- A model that uses every feature, in two grains
CREATE TABLE example (name text PRIMARY KEY, j jsonb);
INSERT INTO example VALUES ('day', '{
	"model": "every feature", "grain": "1 day", "min_score": -100, "max_score": 250.125, "gates_required": false, "allow_demotion": true, "demotion_margin": 2.5, "note": "dropped",
	"signals": [{"signal": "visit", "signal_id": 7}, {"signal": "lead_created", "signal_id": 0, "source": "event"}, {"signal": "has \"budget\"", "signal_id": 32767, "source": "profile"}, {"signal": "größer 日本", "signal_id": 3, "source": "profile"}, {"signal": "recycled", "signal_id": 4, "note": {"any": ["thing"]}}],
	"dimensions": [{"dimension": "engagement", "min_points": -50, "max_points": 100, "weight": 0.333, "reset_signals": ["recycled", "visit"]}, {"dimension": "fit"}, {"dimension": "shown", "weight": 0, "min_points": null, "max_points": 0, "reset_signals": []}],
	"rules": [
		{"rule": "z sum", "dimension": "engagement", "signal": "visit", "points": 1.005, "limit_count": 3, "limit_period": "day", "decay": "half_life", "decay_period": "30 days", "max_points": 20, "only_if": ["has \"budget\"", "größer 日本"], "unless": ["recycled"]},
		{"rule": "a last", "dimension": "fit", "signal": "visit", "points": -3, "aggregate": "last", "decay": "linear", "decay_period": "2 weeks", "max_points": -2.5},
		{"rule": "first", "dimension": "engagement", "signal": "visit", "points": 1e3, "aggregate": "first_n", "first_n": 5, "decay": "step", "decay_period": "1 day", "decay_percent": 12.5, "note": null},
		{"rule": "days", "dimension": "engagement", "signal": "visit", "points": 0, "aggregate": "days", "decay": "window", "decay_period": "48 hours", "limit_count": 1, "limit_period": "week"},
		{"rule": "tier", "dimension": "engagement", "signal": "visit", "points": null, "aggregate": "tier", "tiers": {"10": 15, "3": 5, "100": 15.5}, "within": "7 days"},
		{"rule": "tier down", "dimension": "engagement", "signal": "visit", "points": -2, "aggregate": "tier", "tiers": {"1": 0, "2": 1}, "max_points": -1},
		{"rule": "idle", "dimension": "engagement", "signal": "visit", "points": -10, "aggregate": "idle", "after": "30 days", "repeat": true, "max_points": -100},
		{"rule": "linear", "dimension": "engagement", "signal": "visit", "points": 2, "decay": "linear", "decay_period": "30 days", "decay_percent": 0.001, "limit_count": 2147483647, "limit_period": "month"},
		{"rule": "quarter", "dimension": "engagement", "signal": "visit", "points": 2, "limit_count": 1, "limit_period": "quarter"}, {"rule": "year", "dimension": "engagement", "signal": "visit", "points": 2, "limit_count": 1, "limit_period": "year"},
		{"rule": "ever", "dimension": "engagement", "signal": "visit", "points": -1000000000, "limit_count": 1, "limit_period": "ever"},
		{"rule": "periods", "dimension": "engagement", "signal": "visit", "points": 20, "aggregate": "periods", "min_count": 2, "period": "4 months", "limit_count": 1, "limit_period": "2 months", "decay": "window", "decay_period": "30 days", "max_points": 60},
		{"rule": "quiet by score", "dimension": "shown", "signal": "visit", "points": null, "aggregate": "idle", "after": "30 days", "tiers": {"71": -30, "31.0": -15, "100.001": -50, "-0.5": 0}, "max_points": -40},
		{"rule": "quiet by fit", "dimension": "fit", "signal": "visit", "points": -0.5, "aggregate": "idle", "after": "30 days", "repeat": true, "tiers": {"0": 3, "40": 1}, "of_dimension": "fit", "max_points": -10}],
	"stage_rules": [{"stage": "sql", "min_score": 71, "sla": "1 hour", "entry_signals": ["visit"]}, {"stage": "mql", "min_score": 31}, {"stage": "mql", "only_if": "recycled", "min_score": 20.001}, {"stage": "mql", "only_if": "größer 日本"}, {"stage": "IQL", "only_if": ""}, {"stage": "lost", "entry_signals": ["recycled", "visit"]}, {"stage": "Opportunity", "sla": "2 weeks"}],
	"stage_gates": [{"stage": "mql", "gate": "solution", "signal": "visit", "min_count": 2, "within": "30 days"}, {"stage": "mql", "gate": "solution", "signal": "visit"}, {"stage": "iql", "gate": "consent", "signal": "has \"budget\""}, {"stage": "mql", "gate": "fits", "dimension": "fit", "min_points": -0.5}, {"stage": "mql", "gate": "fits", "signal": "recycled", "negate": true}, {"stage": "mql", "gate": "fits", "dimension": "engagement", "min_points": 5}, {"stage": "mql", "gate": "fits", "dimension": "engagement", "min_points": 4}, {"stage": "mql", "gate": "solution", "signal": "visit", "min_count": 3}, {"stage": "mql", "gate": "solution", "min_points": 60.5}, {"stage": "mql", "gate": "solution", "min_points": 60.5, "negate": true}],
	"grades": [{"dimension": "fit", "grade": "B", "min_points": 10}, {"dimension": "fit", "grade": "A", "min_points": 30}, {"dimension": "fit", "grade": "C", "min_points": -1000000000000}, {"dimension": "engagement", "grade": "1", "min_points": 0}]}');
INSERT INTO example SELECT 'hour', replace(replace(replace(j::text, '1 day"', '1 hour"'), '30 days', '36 hours'), '1 hour", "decay_percent"', '3 hours", "decay_percent"')::jsonb FROM example;
INSERT INTO example VALUES ('empty', '{}'), ('least', '{"model": "least", "signals": [], "dimensions": null}');
SELECT name, lead_model(j)::jsonb - 'rules' FROM example ORDER BY name;
SELECT name, jsonb_array_elements(lead_model(j)::jsonb -> 'rules') FROM example WHERE name = 'day';
-- The text is complete: it compiles to the same model, whose text is the same
SELECT name, m::text::lead_model = m AS text, m::text::lead_model::text = m::text AS again, lead_model(m::jsonb) = m AS json, m::jsonb::text::lead_model = m AS text_of_json, m::text::jsonb = m::jsonb AS alike, m = lead_model(j || '{"note": 1}') AS note, m <> lead_model(j || '{"min_score": 1}') AS other
FROM example, LATERAL (SELECT lead_model(j)) c(m) ORDER BY name;
-- Rows in another order are the same model, but for rules and dimensions
SELECT lead_model(j) = lead_model(jsonb_set(jsonb_set(jsonb_set(jsonb_set(j, '{signals}', (SELECT jsonb_agg(e ORDER BY e) FROM jsonb_array_elements(j -> 'signals') e)),
	'{stage_rules}', (SELECT jsonb_agg(e ORDER BY e) FROM jsonb_array_elements(j -> 'stage_rules') e)), '{stage_gates}', (SELECT jsonb_agg(e ORDER BY e) FROM jsonb_array_elements(j -> 'stage_gates') e)),
	'{grades}', (SELECT jsonb_agg(e ORDER BY e) FROM jsonb_array_elements(j -> 'grades') e))) AS same FROM example WHERE name = 'day';
-- Periods that are too long to write in the same unit
SELECT m, m::text::lead_model = m AS same FROM lead_model('{"grain": "1 hour", "signals": [{"signal": "a", "signal_id": 1}], "stage_rules": [{"stage": "mql", "sla": "10000 days"}], "stage_gates": [{"stage": "mql", "gate": "a", "signal": "a", "within": "2900000 days"}]}') m;
SELECT '{"stage_rules": [{"stage": "mql", "sla": "3000 days"}]}'::lead_model::jsonb -> 'stage_rules' -> 0 ->> 'sla' AS sla;

-- Casts: jsonb becomes a model by assignment, a model jsonb on demand
CREATE TABLE stored (name text, m lead_model);
INSERT INTO stored SELECT name, j FROM example;
SELECT castsource::regtype, casttarget::regtype, castcontext FROM pg_cast WHERE 'lead_model'::regtype IN (castsource, casttarget) ORDER BY castcontext;
SELECT bool_and(m = lead_model(j)) FROM stored JOIN example USING (name);
SELECT count(*) FILTER (WHERE m IS NULL) AS null, lead_model(NULL::jsonb) IS NULL AS from_null FROM stored;

-- The binary form: a version byte and the JSON text
SELECT name, substr(lead_model_send(m), 1, 1) AS version, substr(lead_model_send(m), 2) = convert_to(m::text, 'UTF8') AS json FROM stored ORDER BY name;
\getenv abs_builddir PG_ABS_BUILDDIR
\cd :abs_builddir
CREATE TABLE copied (m lead_model);
COPY (SELECT m FROM stored) TO STDOUT (FORMAT binary) \g results/model.data
\copy copied from 'results/model.data' (format binary)
SELECT count(*), bool_and(EXISTS (SELECT FROM stored s WHERE s.m = c.m)) AS same FROM copied c;
COPY (VALUES (''::bytea)) TO STDOUT (FORMAT binary) \g results/model.data
\copy copied from 'results/model.data' (format binary)
COPY (VALUES ('\x02'::bytea || '{}')) TO STDOUT (FORMAT binary) \g results/model.data
\copy copied from 'results/model.data' (format binary)
COPY (VALUES ('\x01'::bytea || '{"model": 1}')) TO STDOUT (FORMAT binary) \g results/model.data
\copy copied from 'results/model.data' (format binary)
COPY (VALUES ('\x017b'::bytea)) TO STDOUT (FORMAT binary) \g results/model.data
\copy copied from 'results/model.data' (format binary)
COPY (VALUES ('\x017bff7d'::bytea)) TO STDOUT (FORMAT binary) \g results/model.data
\copy copied from 'results/model.data' (format binary)
DROP TABLE copied, stored;

-- Mistakes. Each is one change of a small model.
INSERT INTO example VALUES ('small', '{
	"model": "small", "signals": [{"signal": "a", "signal_id": 1}, {"signal": "b", "signal_id": 2}], "dimensions": [{"dimension": "d"}],
	"rules": [{"rule": "r", "dimension": "d", "signal": "a", "points": 1}], "stage_rules": [{"stage": "mql", "min_score": 31}],
	"stage_gates": [{"stage": "mql", "gate": "g", "signal": "a"}], "grades": [{"dimension": "d", "grade": "A", "min_points": 1}]}');
SELECT lead_model(j) IS NOT NULL AS small FROM example WHERE name = 'small';
-- one as an app sees it
SELECT lead_model(jsonb_set(j, '{rules,0,signal}', '"c"')) FROM example WHERE name = 'small';
\echo :SQLSTATE
SELECT '{"grain": "1 week"}'::lead_model;
SELECT '[]'::lead_model;
SELECT '{'::lead_model;
\echo :SQLSTATE
CREATE FUNCTION mistake(j jsonb) RETURNS TABLE (state text, message text, hint text) LANGUAGE plpgsql AS $$
BEGIN
	message := 'accepted: ' || lead_model(j)::text;
	RETURN NEXT;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
	-- softly as well, where the server knows soft errors
	IF current_setting('server_version_num')::int >= 160000 THEN
		ASSERT (SELECT (e.sql_error_code, e.message, e.hint) = (mistake.state, mistake.message, mistake.hint) FROM pg_input_error_info(j::text, 'leadscore.lead_model') e);
	END IF;
	RETURN NEXT;
END $$;
-- part: the list whose first row the change goes into; "+list" adds a row to it
CREATE FUNCTION small(part text, change jsonb) RETURNS jsonb LANGUAGE sql AS $$
	SELECT CASE WHEN part = '' THEN j || change
		WHEN part LIKE '+%' THEN jsonb_set(j, ARRAY[substr(part, 2)], (j -> substr(part, 2)) || change)
		ELSE jsonb_set(j, ARRAY[part, '0'], (j -> part -> 0) || change) END
	FROM example WHERE name = 'small' $$;
\x on
\pset format unaligned
SELECT change, e.* FROM (VALUES
	('1'::jsonb), ('"{}"'), ('[{}]'), ('null')) v(change), mistake(change) e;
SELECT part, change, message, hint FROM (VALUES
	-- the model
	(1, '', '{"modle": "x"}'::jsonb), (2, '', '{"model": 1}'), (3, '', '{"grain": "week"}'), (4, '', '{"grain": 1}'), (5, '', '{"min_score": "1"}'), (6, '', '{"min_score": 0.0001}'), (7, '', '{"max_score": 1000000000000.001}'),
	(8, '', '{"max_score": 1e300}'), (9, '', '{"min_score": 2, "max_score": 1.999}'), (10, '', '{"gates_required": "yes"}'), (11, '', '{"allow_demotion": 1}'), (12, '', '{"demotion_margin": -1}'), (13, '', '{"demotion_margin": true}'),
	(14, '', '{"signals": {}}'), (15, '', '{"rules": 1}'), (16, '', '{"rules": "x"}'), (17, '', '{"dimensions": [1]}'), (18, '', '{"grades": [null]}'), (19, '', '{"stage_rules": [[]]}'),
	-- signals
	(20, 'signals', '{"signal": null}'), (21, 'signals', '{"signal": ""}'), (22, 'signals', '{"signal": 1}'), (23, 'signals', '{"signal_id": null}'), (24, 'signals', '{"signal_id": -1}'), (25, 'signals', '{"signal_id": 32768}'), (26, 'signals', '{"signal_id": 1.5}'),
	(27, 'signals', '{"signal_id": "1"}'), (28, 'signals', '{"source": "crm"}'), (29, 'signals', '{"source": []}'), (30, 'signals', '{"id": 1}'), (31, '+signals', '{"signal": "a", "signal_id": 3}'), (32, '+signals', '{"signal": "c", "signal_id": 2}'),
	-- dimensions
	(40, 'dimensions', '{"dimension": {}}'), (41, 'dimensions', '{"min_points": 1, "max_points": 0}'), (42, 'dimensions', '{"min_points": [1]}'), (43, 'dimensions', '{"weight": -0.001}'), (44, 'dimensions', '{"weight": 1000000.001}'), (45, 'dimensions', '{"weight": 0.3333}'),
	(46, 'dimensions', '{"reset_signals": "a"}'), (47, 'dimensions', '{"reset_signals": {"a": 1}}'), (48, 'dimensions', '{"reset_signals": [1]}'), (49, 'dimensions', '{"reset_signals": [null]}'), (50, 'dimensions', '{"reset_signals": ["c"]}'), (51, 'dimensions', '{"reset_signals": ["a", "b", "a"]}'),
	(52, 'dimensions', '{"points": 1}'), (53, '+dimensions', '{"dimension": "d"}'), (54, '+dimensions', '{}'),
	-- stage rules
	(60, 'stage_rules', '{"stage": "warm"}'), (61, 'stage_rules', '{"stage": null}'), (62, 'stage_rules', '{"stage": 60}'), (63, 'stage_rules', '{"only_if": "c"}'), (64, 'stage_rules', '{"min_score": "31"}'), (65, 'stage_rules', '{"entry_signals": ["c"]}'), (66, 'stage_rules', '{"sla": "soon"}'),
	(67, 'stage_rules', '{"sla": "0 hours"}'), (68, 'stage_rules', '{"sla": 60}'), (69, 'stage_rules', '{"sla": "2147483647 weeks"}'), (70, 'stage_rules', '{"stage": "visitor"}'), (71, '+stage_rules', '{"stage": "lost", "min_score": 1}'), (72, '+stage_rules', '{"stage": "mql", "min_score": 32}'),
	(73, '+stage_rules', '{"stage": "marketing qualified lead"}'), (74, '+stage_rules', '{"stage": "sql", "min_score": 31}'), (75, '+stage_rules', '{"stage": "sql", "min_score": 30.999}'), (76, '+stage_rules', '{"stage": "iql", "min_score": 31.001}'), (77, '+stage_rules', '{"stage": "sql", "threshold": 71}'),
	(79, '+stage_rules', '{"stage": "iql", "min_score": 31}'), (78, '+stage_rules', '[{"stage": "mql", "only_if": "a", "min_score": 50}, {"stage": "sql", "only_if": "a", "min_score": 40}]'),
	-- gates
	(80, 'stage_gates', '{"gate": null}'), (81, 'stage_gates', '{"signal": null}'), (82, 'stage_gates', '{"dimension": "d", "min_points": 1}'), (83, 'stage_gates', '{"signal": null, "dimension": "d"}'), (84, 'stage_gates', '{"min_points": 1}'), (85, 'stage_gates', '{"signal": "c"}'),
	(86, 'stage_gates', '{"signal": null, "dimension": "e", "min_points": 1}'), (87, 'stage_gates', '{"signal": null, "dimension": "d", "min_points": 1, "within": "1 day"}'), (88, 'stage_gates', '{"min_count": 0}'), (89, 'stage_gates', '{"min_count": 2147483648}'), (90, 'stage_gates', '{"within": "1 hour"}'),
	(91, 'stage_gates', '{"within": "3000000 days"}'), (92, 'stage_gates', '{"negate": "no"}'), (93, 'stage_gates', '{"stage": "sql"}'), (94, 'stage_gates', '{"stage": "visitor"}'), (95, '+stage_gates', '{"stage": "mql", "gate": "g", "signal": "a", "min_count": 1}'), (96, 'stage_gates', '{"stage": "hot"}'), (97, 'stage_gates', '{"count": 1}'),
	(98, 'stage_gates', '{"gate": "score"}'), (99, '+stage_gates', '{"stage": "mql", "gate": "g", "min_points": 5, "within": "1 day"}'), (107, '+stage_gates', '[{"stage": "mql", "gate": "g", "min_points": 5}, {"stage": "mql", "gate": "g", "min_points": 5.0}]'),
	-- grades
	(100, 'grades', '{"grade": ""}'), (101, 'grades', '{"dimension": null}'), (102, 'grades', '{"dimension": "e"}'), (103, 'grades', '{"min_points": null}'), (104, '+grades', '{"dimension": "d", "grade": "A", "min_points": 2}'), (105, '+grades', '{"dimension": "d", "grade": "B", "min_points": 1.000}'), (106, 'grades', '{"max_points": 1}')
	) v(n, part, change), mistake(small(part, change)) e ORDER BY n;
SELECT change, message, hint FROM (VALUES
	(1, '{"rule": null}'::jsonb), (2, '{"rule": ""}'), (3, '{"rule": 5}'), (4, '{"dimension": null}'), (5, '{"signal": null}'), (6, '{"dimension": "e"}'), (7, '{"signal": "c"}'), (8, '{"points": null}'), (9, '{"points": "1"}'), (10, '{"points": 0.0005}'), (11, '{"points": 1000000000.001}'), (12, '{"points": -1e10}'),
	(13, '{"aggregate": "avg"}'), (14, '{"aggregate": null, "first_n": 3}'), (15, '{"aggregate": "first_n"}'), (16, '{"aggregate": "first_n", "first_n": 0}'), (17, '{"aggregate": "first_n", "first_n": 1.5}'), (18, '{"aggregate": "tier"}'), (19, '{"tiers": {"1": 1}}'), (20, '{"aggregate": "tier", "tiers": {}}'),
	(21, '{"aggregate": "tier", "tiers": [1]}'), (22, '{"aggregate": "tier", "tiers": 1}'), (23, '{"aggregate": "tier", "tiers": {"0": 1}}'), (24, '{"aggregate": "tier", "tiers": {"-1": 1}}'), (25, '{"aggregate": "tier", "tiers": {"1.5": 1}}'), (26, '{"aggregate": "tier", "tiers": {"one": 1}}'), (27, '{"aggregate": "tier", "tiers": {"": 1}}'),
	(28, '{"aggregate": "tier", "tiers": {"1.2.000": 1}}'), (29, '{"aggregate": "tier", "tiers": {"2147483648": 1}}'), (30, '{"aggregate": "tier", "tiers": {"1": null}}'), (31, '{"aggregate": "tier", "tiers": {"1": "x"}}'), (32, '{"aggregate": "tier", "tiers": {"1": 0.0001}}'), (33, '{"aggregate": "tier", "tiers": {"3": 1, "03": 2}}'),
	(34, '{"aggregate": "tier", "tiers": {"3": 5, "10": 4}}'), (35, '{"aggregate": "tier", "tiers": {"3": -5, "10": -4}}'), (36, '{"aggregate": "tier", "tiers": {"3": -5, "10": 4}}'), (37, '{"aggregate": "tier", "tiers": {"1": 1}, "decay": "window", "decay_period": "1 day"}'),
	(38, '{"aggregate": "idle"}'), (39, '{"after": "1 day"}'), (40, '{"repeat": true}'), (41, '{"repeat": "x"}'), (42, '{"within": "1 day"}'), (43, '{"aggregate": "idle", "after": "1 day", "decay": "step", "decay_period": "1 day", "decay_percent": 10}'), (44, '{"aggregate": "idle", "after": "1 day", "limit_count": 1, "limit_period": "day"}'),
	(83, '{"aggregate": "periods", "period": "day"}'), (84, '{"aggregate": "periods", "min_count": 3}'), (85, '{"aggregate": "periods", "period": "day", "min_count": 0}'), (86, '{"aggregate": "periods", "period": "3 months", "min_count": 3}'), (87, '{"period": "day"}'), (88, '{"min_count": 1}'), (89, '{"aggregate": "periods", "period": "day", "min_count": 3, "within": "1 day"}'),
	(90, '{"aggregate": "idle", "after": "1 day", "points": null}'), (91, '{"aggregate": "idle", "after": "1 day", "tiers": {}}'), (92, '{"aggregate": "idle", "after": "1 day", "tiers": {"": -1}}'), (93, '{"aggregate": "idle", "after": "1 day", "tiers": {"-": -1}}'), (94, '{"aggregate": "idle", "after": "1 day", "tiers": {"0.0005": -1}}'),
	(95, '{"aggregate": "idle", "after": "1 day", "tiers": {"31": -1, "31.0": -2}}'), (96, '{"aggregate": "idle", "after": "1 day", "tiers": {"31": -1, "40": 0, "50": 2}}'), (97, '{"aggregate": "idle", "after": "1 day", "tiers": {"1000000000000.001": -1}}'), (98, '{"aggregate": "idle", "after": "1 day", "tiers": {"1": -1}, "of_dimension": "e"}'),
	(99, '{"aggregate": "idle", "after": "1 day", "of_dimension": "d"}'), (100, '{"aggregate": "tier", "tiers": {"1": 1}, "of_dimension": "d"}'), (101, '{"of_dimension": "d"}'), (102, '{"aggregate": "idle", "after": "1 day", "tiers": {"1": -1}, "max_points": 5}'), (103, '{"aggregate": "idle", "after": "1 day", "tiers": {"1": -1, "9": 0}, "points": -1, "max_points": -5}'),
	(104, '{"tiers": {"1": 1}, "aggregate": "periods", "period": "day", "min_count": 1}'), (105, '{"aggregate": "idle", "tiers": {"1": 1}}'), (106, '{"aggregate": "idle", "after": "1 day", "tiers": {"1": -1}, "of_dimension": 1}'),
	(45, '{"decay": "exponential"}'), (46, '{"decay": "half_life"}'), (47, '{"decay_period": "1 day"}'), (48, '{"decay": "none", "decay_period": "1 day"}'), (49, '{"decay": "half_life", "decay_period": "1 day", "decay_percent": 10}'), (50, '{"decay_percent": 10}'), (51, '{"decay": "step", "decay_period": "1 day"}'),
	(52, '{"decay": "step", "decay_period": "1 day", "decay_percent": 0.099}'), (53, '{"decay": "step", "decay_period": "1 day", "decay_percent": 100.001}'), (54, '{"decay": "linear", "decay_period": "1 day", "decay_percent": -1}'), (55, '{"decay": "window", "decay_period": "12 hours"}'), (56, '{"decay": "window", "decay_period": "0 days"}'),
	(57, '{"decay": "window", "decay_period": "-1 days"}'), (58, '{"decay": "window", "decay_period": "1.5 days"}'), (59, '{"decay": "window", "decay_period": "1 month"}'), (60, '{"decay": "window", "decay_period": "day"}'), (61, '{"decay": "window", "decay_period": "1"}'), (62, '{"decay": "window", "decay_period": ""}'), (63, '{"decay": "window", "decay_period": 1}'),
	(64, '{"decay": "window", "decay_period": "1 days x"}'), (65, '{"decay": "window", "decay_period": "99999999999999999999 days"}'), (66, '{"limit_count": 1}'), (67, '{"limit_period": "day"}'), (68, '{"limit_count": 0, "limit_period": "day"}'), (69, '{"limit_count": 1, "limit_period": "hour"}'), (70, '{"limit_count": 1, "limit_period": ""}'),
	(71, '{"max_points": -1}'), (72, '{"points": -1, "max_points": 1}'), (73, '{"aggregate": "tier", "tiers": {"1": -1}, "max_points": 1}'), (74, '{"aggregate": "tier", "points": -1, "tiers": {"1": -1}, "max_points": -1}'), (75, '{"max_points": "x"}'),
	(76, '{"only_if": "a"}'), (77, '{"only_if": ["c"]}'), (78, '{"only_if": ["a", "a"]}'), (79, '{"unless": [[]]}'), (80, '{"unless": ["c"]}'), (81, '{"max_point": 1}'), (82, '{"rule": "r %s %n \"q\"", "points": "x"}')
	) v(n, change), mistake(small('rules', change)) e ORDER BY n;
SELECT message, hint FROM mistake(small('+rules', '{"rule": "r", "dimension": "d", "signal": "b", "points": 2}'));
SELECT message, hint FROM mistake(small('', '{"grain": "1 hour"}') || jsonb_build_object('stage_gates', '[{"stage": "mql", "gate": "g", "signal": "a", "within": "90 minutes"}]'::jsonb));
SELECT message, hint FROM mistake(jsonb_build_object('signals', (SELECT jsonb_agg(jsonb_build_object('signal', 's' || i, 'signal_id', i)) FROM generate_series(1, 8193) i)));
SELECT left(message, 30) AS message, length(message), hint LIKE 'The keys are %' AS hint FROM mistake(jsonb_build_object(repeat('x', 5000), 1));
\x off
\pset format aligned
-- No mistakes
SELECT (e).message LIKE 'accepted%' AS accepted, part, change FROM (VALUES
	('', '{"note": [1, {"a": 2}]}'::jsonb), ('', '{"min_score": 5, "max_score": 5.000}'), ('', '{"min_score": -1000000000000, "max_score": 1e12}'), ('rules', '{"points": -0.0}'), ('rules', '{"points": 1.2300000000}'), ('rules', '{"decay": "window", "decay_period": "1day"}'), ('rules', '{"decay": "window", "decay_period": "24 hours"}'),
	('rules', '{"decay": "window", "decay_period": "1440 minutes"}'), ('rules', '{"max_points": 0}'), ('rules', '{"points": 0, "max_points": -5}'), ('rules', '{"points": -1, "max_points": 0}'), ('rules', '{"only_if": ["a"], "unless": ["a"]}'), ('rules', '{"aggregate": "tier", "points": null, "tiers": {"2": -0.5, "1": 0}}'),
	('rules', '{"model": "another", "limit_count": null, "limit_period": null, "tiers": null, "repeat": null, "within": null}'), ('+stage_rules', '{"stage": "sql"}'), ('+stage_rules', '{"stage": "mql", "only_if": "a", "min_score": 31}'), ('+stage_rules', '{"stage": "visitor", "entry_signals": ["a"]}'),
	('+stage_gates', '{"stage": "mql", "gate": "g", "signal": "a", "negate": true}'), ('+grades', '{"dimension": "d", "grade": "a", "min_points": 0}')) v(part, change), mistake(small(part, change)) e;

-- Text that is no JSON is refused as softly
DO $$
BEGIN
	IF current_setting('server_version_num')::int >= 160000 THEN
		ASSERT pg_input_is_valid('{}', 'leadscore.lead_model');
		ASSERT (SELECT bool_and(sql_error_code = '22P02') FROM unnest(ARRAY['', '{', '{"model": "\ud800"}', '{} x']) t, pg_input_error_info(t, 'leadscore.lead_model'));
	END IF;
END $$;

-- Mutations of the text: a model that reads back as itself, or a clean error.
-- test/fuzz/run asks for more of them.
\set mutations 4000
\getenv mutations MUTATIONS
CREATE FUNCTION mutate_models(n int) RETURNS TABLE (state text, class text) LANGUAGE plpgsql AS $$
DECLARE
	source text[] := ARRAY(SELECT lead_model(j)::text FROM example ORDER BY name);
	word text[] := ARRAY['null', 'true', '0', '-1', '1e9', '0.001', '"a"', '"visit"', '"sum"', '"tier"', '"idle"', '"1 day"', '"36 hours"', '"fit"', '[]', '{}', '{"1": 1}', '["visit"]', '"mql"', '"week"', '99999999999999999999', '""', '[', '}', ',', '":', '"', '\', '\u0000', E'\t', 'e', '-', '.'];
	t text;
	m lead_model;
	part text[];
	k int;
	r bigint;
BEGIN
	FOR i IN 1..n LOOP
		t := source[1 + i % array_length(source, 1)];
		r := ('x' || md5('model ' || i))::bit(60)::bigint;
		IF i % 2 = 0 THEN
			-- values put in place of others
			SELECT array_agg(x[1] ORDER BY o) INTO part FROM regexp_matches(t, '("(?:[^"\\]|\\.)*": |"(?:[^"\\]|\\.)*"|-?[0-9.]+|[^"0-9.-]+)', 'g') WITH ORDINALITY q(x, o);
			FOR j IN 1..1 + i / 2 % 3 LOOP
				k := 1 + (r / (j * 977) % array_length(part, 1))::int;
				part[k] := CASE WHEN part[k] LIKE '%": ' THEN part[1 + (r / 31 % array_length(part, 1))::int] ELSE word[1 + (r / 7 % 20)::int] END;
			END LOOP;
			t := array_to_string(part, '');
		ELSE
			-- a piece cut out, put elsewhere or replaced
			k := 1 + (r % length(t))::int;
			t := overlay(t PLACING CASE i / 2 % 3 WHEN 0 THEN '' WHEN 1 THEN substr(t, 1 + (r / 1000 % length(t))::int, (r / 17 % 30)::int) ELSE word[1 + (r / 13 % array_length(word, 1))::int] END FROM k FOR (r / 100 % 5)::int);
		END IF;
		class := NULL;
		BEGIN
			m := t::lead_model;
			state := '00000';
			class := CASE WHEN m::text::lead_model = m AND lead_model(m::jsonb) = m AND score_milli(CASE WHEN m::text LIKE '%"1 hour"%' THEN 'hour{7@2025-01-01T05:3,0@*:2,3@*:1}' ELSE 'day{7@2025-01-01:3,0@*:2,3@*:1}' END::lead_activity, m, '2025-02-01 UTC') IS NOT NULL THEN 'the same' ELSE t END;
		EXCEPTION WHEN OTHERS THEN
			state := SQLSTATE;
			IF state NOT IN ('22023', '22P02', '22003', '22P05') THEN
				class := SQLERRM || ' ' || t;
			END IF;
		END;
		RETURN NEXT;
	END LOOP;
END $$;
SELECT state IN ('22023', '22P02', '22003', '22P05') AS refused, class, count(*) > 200 AS many FROM mutate_models(:mutations) GROUP BY 1, 2 ORDER BY 1, 2;

-- A model whose rules all name thousands of signals takes long to read, and can be cancelled
CREATE TABLE long_model AS SELECT format('{"model": "m", "signals": %s, "dimensions": [{"dimension": "d"}], "rules": [%s]}',
	jsonb_agg(jsonb_build_object('signal', 's' || i, 'signal_id', i)),
	(SELECT string_agg(format('{"rule": "r%s", "dimension": "d", "signal": "s1", "points": 1, "only_if": %s}', r, list), ', ') FROM generate_series(1, 30) r, (SELECT jsonb_agg('s' || i) AS list FROM generate_series(1, 8000) i) names)) AS document
FROM generate_series(1, 8000) i;
CREATE FUNCTION read_long_model() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	document text := (SELECT l.document FROM long_model l);
	m lead_model;
BEGIN
	m := document;
	RETURN 'read';
EXCEPTION WHEN query_canceled THEN
	-- it has a value if it had to be read to the end
	RETURN CASE WHEN m IS NULL THEN 'cancelled' ELSE 'cancelled late' END;
END $$;
SET statement_timeout = '200ms';
SELECT read_long_model();
RESET statement_timeout;
DROP FUNCTION read_long_model();
DROP TABLE long_model;

DROP TABLE example;
DROP FUNCTION mistake(jsonb);
DROP FUNCTION small(text, jsonb);
DROP FUNCTION mutate_models(int);
