-- Event funnels: window_funnel, funnel_times, window_funnel_except

SET intervalstyle = 'postgres';

-- A case is a list of rows "time:steps", steps written as digits; x is an
-- excluded row. Times are hours.
CREATE FUNCTION funnel_rows(spec text)
	RETURNS TABLE (at timestamptz, steps text, excluded boolean)
	LANGUAGE sql AS $$
	SELECT timestamptz '2025-03-01 00:00+00' + split_part(w, ':', 1)::int * interval '1 hour',
	       split_part(w, ':', 2), split_part(w, ':', 2) LIKE '%x%'
	FROM unnest(string_to_array(spec, ' ')) w WHERE w <> ''
$$;
CREATE FUNCTION funnel(mode text, hours int, nsteps int, spec text, OUT level int, OUT hours_of_steps int[])
	LANGUAGE sql AS $$
	SELECT leadscore.window_funnel(at, hours * interval '1 hour', mode, VARIADIC hit),
	       ARRAY(SELECT extract(epoch FROM t - '2025-03-01 00:00+00')::int / 3600
	             FROM unnest(leadscore.funnel_times(at, hours * interval '1 hour', mode, VARIADIC hit)) t)
	FROM (SELECT at, ARRAY(SELECT steps LIKE '%' || i || '%' FROM generate_series(1, nsteps) i) FROM funnel_rows(spec)) r(at, hit)
$$;
CREATE FUNCTION funnel_except(mode text, hours int, from_step int, to_step int, nsteps int, spec text) RETURNS int
	LANGUAGE sql AS $$
	SELECT leadscore.window_funnel_except(at, hours * interval '1 hour', mode, excluded, from_step, to_step, VARIADIC hit)
	FROM (SELECT at, excluded, ARRAY(SELECT steps LIKE '%' || i || '%' FROM generate_series(1, nsteps) i) FROM funnel_rows(spec))
		r(at, excluded, hit)
$$;

-- Rows of a lead, as one writes it
SELECT leadscore.window_funnel(at, '14 days', 'ordered', kind = 'visit', kind = 'form', kind = 'demo') AS level,
       leadscore.funnel_times(at, '14 days', 'ordered', kind = 'visit', kind = 'form', kind = 'demo') AS times,
       leadscore.window_funnel_except(at, '14 days', 'ordered', kind = 'unsubscribe', 1, 2,
                                      kind = 'visit', kind = 'form', kind = 'demo') AS except
FROM (VALUES ('2025-03-01 10:00+00'::timestamptz, 'visit'), ('2025-03-02 10:00+00', 'unsubscribe'), ('2025-03-03 10:00+00', 'form'),
             ('2025-03-20 10:00+00', 'demo')) e(at, kind);

-- Each mode by hand
SELECT c.*, f.* FROM (VALUES
	-- ordered: order of time, not of rows; the best attempt counts
	('ordered', 10, 3, '1:1 2:2 3:3'),
	('ordered', 10, 3, '3:3 2:2 1:1'),
	('ordered', 10, 3, '1:2 2:1 3:3'),
	('ordered', 10, 3, '1:1 2:3 3:2'),
	('ordered', 10, 3, '1:2 2:3'),
	('ordered', 10, 3, '1: 2: 3:'),
	('ordered', 10, 3, '1:1 5:1 6:2 14:3'),
	-- the window is inclusive and opens at the first step
	('ordered', 10, 3, '0:1 10:2'),
	('ordered', 10, 3, '0:1 11:2'),
	('ordered', 10, 3, '0:1 6:2 12:3'),
	('ordered', 10, 3, '0:1 6:2 10:3'),
	('ordered', 10, 2, '0:1 20:1 30:2'),
	-- equal instants may be taken in any order
	('ordered', 10, 3, '1:3 1:2 1:1'),
	('ordered', 10, 3, '1:1 2:3 2:2'),
	('increase', 10, 3, '1:3 1:2 1:1'),
	('increase', 10, 3, '1:1 2:3 2:2 3:3'),
	('increase', 10, 3, '1:1 1:2 2:2 2:1 3:3'),
	-- a row fills one step
	('ordered', 10, 2, '1:12'),
	('ordered', 10, 2, '1:12 1:12'),
	('ordered', 10, 3, '1:12 1:13 1:23'),
	('ordered', 10, 3, '1:123 1:1 1:1'),
	('ordered', 10, 3, '1:12 2:12 2:1 3:3'),
	('ordered', 10, 4, '1:1 2:234 2:2 2:23'),
	-- a step listed twice needs two rows (steps 1 and 2, 3 and 4 are the same)
	('ordered', 10, 4, '1:12 2:34'),
	('ordered', 10, 4, '1:12 2:12 3:34 3:34'),
	-- strict: nothing between
	('strict', 10, 3, '1:1 2:2 3:3'),
	('strict', 10, 3, '1:1 2: 3:2 4:3'),
	('strict', 10, 3, '1:1 2:2 3: 4:3'),
	('strict', 10, 3, '1:1 2: 3:1 4:2'),
	('strict', 10, 3, '1:1 2:1 3:2 4:3'),
	('strict', 10, 3, '1:1 1: 2:2 2: 2:3'),
	('strict', 10, 3, '1:1 2:2 2: 3:3'),
	('strict', 10, 3, '1:1 1:2 2:2 3:3'),
	('strict', 10, 3, '1:1 2:2 12:3'),
	-- any: whatever order
	('any', 10, 3, '1:3 2:2 3:1'),
	('any', 10, 3, '1:3 2:3 3:3'),
	('any', 10, 3, '1:123 2:1'),
	('any', 10, 3, '1:3 2:2 12:1'),
	('any', 10, 3, '0:1 1:2 11:1 11:3'),
	('any', 10, 3, '0:12 1:1 10:3 11:23 12:2')
) c(mode, hours, nsteps, rows), LATERAL funnel(c.mode, c.hours, c.nsteps, c.rows) f;

-- Which chain is reported: complete first, of those started last, every step as early as it can be
SELECT c.*, f.* FROM (VALUES
	('ordered', 10, 3, '1:1 2:1 3:2 4:2 5:3 6:1 7:2 8:3'),
	('ordered', 10, 3, '1:1 3:2 4:2 5:1 6:3 6:2'),
	('ordered', 10, 2, '1:1 12:1 13:1 14:2'),
	('increase', 10, 3, '1:1 2:12 3:2 3:3 4:3'),
	('strict', 10, 3, '1:12 2:12 3:23 4:3'),
	('any', 10, 2, '1:2 2:2 3:1 4:2')
) c(mode, hours, nsteps, rows), LATERAL funnel(c.mode, c.hours, c.nsteps, c.rows) f;

-- Exclusion
SELECT c.*, funnel_except(c.mode, c.hours, c.from_step, c.to_step, c.nsteps, c.rows) AS level FROM (VALUES
	('ordered', 10, 1, 2, 3, '1:1 2:2 3:3'),
	('ordered', 10, 1, 2, 3, '1:1 2:x 3:2 4:3'),
	('ordered', 10, 1, 2, 3, '1:1 2:x 3:1 4:2'),
	('ordered', 10, 1, 2, 3, '1:1 3:2 4:x 5:3'),
	('ordered', 10, 2, 3, 3, '1:1 3:2 4:x 5:3'),
	('ordered', 10, 2, 3, 3, '1:1 3:2 4:x'),
	('ordered', 10, 2, 3, 3, '1:1 3:2 4:x 5:2 6:3'),
	('ordered', 10, 2, 3, 3, '1:1 3:2 4:x 5:3 6:1'),
	('ordered', 10, 2, 3, 3, '1:1 2:x 3:2 4:3'),
	('ordered', 10, 2, 3, 3, '1:1 2:x'),
	-- at the same instant it can be put outside
	('ordered', 10, 1, 2, 2, '1:1 1:x 3:x 3:2'),
	-- an unfinished attempt: up to the end of its window
	('ordered', 10, 1, 2, 2, '1:1 11:x'),
	('ordered', 10, 1, 2, 2, '1:1 12:x'),
	-- an excluded row may be a step; between the two it excludes all the same
	('ordered', 10, 1, 2, 3, '1:1x 2:2x 3:3'),
	('ordered', 10, 1, 3, 3, '1:1 2:2x 3:3'),
	('increase', 10, 1, 2, 3, '1:1 1:2 2:x 3:2'),
	('strict', 10, 1, 2, 3, '1:1 2:x 3:1 4:2'),
	('strict', 10, 1, 3, 3, '1:1 2:2x 3:3'),
	('any', 10, 1, 3, 3, '1:3 2:1 3:2 4:x'),
	('any', 10, 1, 3, 3, '1:3 2:1 3:x 4:2'),
	('any', 10, 1, 3, 3, '1:3 2:1 3:x 4:2 5:1')
) c(mode, hours, from_step, to_step, nsteps, rows);

-- Attempts: levels, and ends in hours
CREATE FUNCTION attempts(mode text, hours int, nsteps int, spec text, OUT levels int[], OUT ends int[])
	LANGUAGE sql AS $$
	SELECT leadscore.funnel_attempts(at, hours * interval '1 hour', mode, VARIADIC hit),
	       ARRAY(SELECT extract(epoch FROM t - '2025-03-01 00:00+00')::int / 3600
	             FROM unnest(leadscore.funnel_attempt_ends(at, hours * interval '1 hour', mode, VARIADIC hit)) t)
	FROM (SELECT at, ARRAY(SELECT steps LIKE '%' || i || '%' FROM generate_series(1, nsteps) i) FROM funnel_rows(spec)) r(at, hit)
$$;
SELECT c.*, f.* FROM (VALUES
	('ordered', 10, 3, ''),
	('ordered', 10, 3, '1:2 2:3'),
	('ordered', 10, 3, '1:1'),
	-- complete, and again; what follows is a third one
	('ordered', 10, 3, '1:1 2:2 3:3 4:1 5:2 6:3 7:3 8:2 9:1'),
	-- given up, then done: the window of the first is over
	('ordered', 10, 3, '1:1 2:2 20:1 21:2 22:3'),
	-- a start in an open window is part of the attempt, and opens another window
	('ordered', 10, 3, '0:1 9:1 12:2 18:3'),
	('ordered', 10, 3, '0:1 9:1 12:2 20:3'),
	('ordered', 10, 3, '0:1 10:1 20:1 31:1'),
	-- all rows of the instant of completion belong to the attempt
	('ordered', 10, 2, '1:1 2:2 2:1 3:2'),
	('ordered', 10, 2, '1:1 2:2 3:1 3:2'),
	('ordered', 10, 1, '1:1 1:1 2:1'),
	('increase', 10, 2, '1:1 1:2 2:2 2:1 3:2'),
	('strict', 10, 2, '1:1 2: 3:2 4:1 5:2'),
	('any', 10, 2, '1:2 2:1 3:1 14:2')
) c(mode, hours, nsteps, rows), LATERAL attempts(c.mode, c.hours, c.nsteps, c.rows) f;
-- no rows; infinity; ends that no time can hold
SELECT leadscore.funnel_attempts(at, '1 day', 'ordered', true), leadscore.funnel_attempt_ends(at, '1 day', 'ordered', true) FROM (SELECT now() WHERE false) e(at);
SELECT leadscore.funnel_attempts(at, '1 day', 'ordered', true, false), leadscore.funnel_attempt_ends(at, '1 day', 'ordered', true, false)
FROM (VALUES ('-infinity'::timestamptz), ('4714-11-24 00:00:00+00 BC'), ('294276-12-31 23:00:00+00'), ('infinity'), (NULL)) e(at);
-- many attempts one after the other, and one that goes on for long
SELECT cardinality(leadscore.funnel_attempts(at, '365 days', 'ordered', n % 3 = 0, n % 3 = 1, n % 3 = 2)) AS complete, cardinality(leadscore.funnel_attempts(at, '2 minutes', 'ordered', n % 3 = 0, n % 3 = 1, n % 3 = 2, false)) AS given_up,
       leadscore.funnel_attempts(at, '3 minutes', 'ordered', n % 3 = 0, n % 3 = 1, n % 3 = 2, false) AS long
FROM (SELECT n, timestamptz '2025-03-01' + n * interval '1 minute' FROM generate_series(0, 299999) n) e(n, at);

-- No rows: level 0, no times. Rows without a time are passed over; a step that is NULL is not satisfied
SELECT leadscore.window_funnel(at, '1 day', 'ordered', true), leadscore.funnel_times(at, '1 day', 'ordered', true),
       leadscore.window_funnel_except(at, '1 day', 'ordered', false, 1, 2, true, true)
FROM (SELECT now() WHERE false) e(at);
SELECT leadscore.window_funnel(at, '1 day', 'strict', a, b), leadscore.funnel_times(at, '1 day', 'strict', a, b)
FROM (VALUES ('2025-03-01 10:00+00'::timestamptz, true, NULL), (NULL, true, true), ('2025-03-01 11:00+00', NULL, true)) e(at, a, b);
SELECT leadscore.window_funnel_except(at, '1 day', 'ordered', x, 1, 2, a, b)
FROM (VALUES ('2025-03-01 10:00+00'::timestamptz, NULL, true, NULL), (NULL, true, true, true), ('2025-03-01 11:00+00', true, NULL, true)) e(at, x, a, b);
SELECT leadscore.window_funnel(at, '1 day', 'ordered', a) FILTER (WHERE a) FROM (VALUES (now(), NULL::boolean)) e(at, a);

-- Infinity is near nothing but itself
SELECT leadscore.window_funnel(at, '1 day', 'ordered', a, b, c), leadscore.funnel_times(at, '1 day', 'ordered', a, b, c)
FROM (VALUES ('-infinity'::timestamptz, true, false, false), ('4714-11-24 00:00:00+00 BC', false, true, false), ('294276-12-31 23:00:00+00', true, false, false),
             ('294276-12-31 23:00:00.000001+00', false, true, false), ('infinity', false, false, true)) e(at, a, b, c);
SELECT mode, leadscore.window_funnel(at, '36500000 days', mode, a, b), leadscore.funnel_times(at, '36500000 days', mode, a, b)
FROM (VALUES ('-infinity'::timestamptz, true, false), ('2025-03-01 10:00+00', false, true), ('2025-03-01 11:00+00', true, false), ('infinity', false, true)) e(at, a, b),
     unnest('{ordered,increase,strict,any}'::text[]) mode GROUP BY mode ORDER BY mode;
SELECT leadscore.window_funnel(at, '1 microsecond', 'ordered', a, b)
FROM (VALUES ('infinity'::timestamptz, true, false), ('infinity', false, true), ('-infinity', true, false), ('-infinity', false, true)) e(at, a, b);

-- A day is 24 hours, whatever the clocks do
SET timezone = 'Europe/Madrid';
SELECT leadscore.window_funnel(at, '1 day', 'ordered', a, NOT a), leadscore.window_funnel(at, '25 hours', 'ordered', a, NOT a),
       leadscore.window_funnel(at, '1 day 1 hour', 'ordered', a, NOT a), leadscore.window_funnel(at, '2 days -23 hours', 'ordered', a, NOT a)
FROM (VALUES ('2025-10-25 12:00'::timestamptz, true), ('2025-10-26 12:00', false)) e(at, a);
SET timezone = 'UTC';

-- 32 steps
SELECT leadscore.window_funnel(at, '1 day', 'ordered', VARIADIC steps), cardinality(leadscore.funnel_times(at, '1 day', 'ordered', VARIADIC steps)),
       leadscore.window_funnel(at, '1 day', 'increase', VARIADIC steps), leadscore.window_funnel(at, '1 day', 'strict', VARIADIC steps),
       leadscore.window_funnel(at, '1 day', 'any', VARIADIC steps), leadscore.window_funnel_except(at, '1 day', 'any', n = 33, 1, 32, VARIADIC steps),
       leadscore.window_funnel_except(at, '1 day', 'ordered', n = 33, 31, 32, VARIADIC steps),
       leadscore.window_funnel_except(at, '1 day', 'ordered', n = 31, 31, 32, VARIADIC steps)
FROM (SELECT n, timestamptz '2025-03-01' + n / 3 * interval '1 minute', ARRAY(SELECT i = n OR i = n + 1 FROM generate_series(1, 32) i)
      FROM generate_series(1, 33) n) e(n, at, steps);
-- all rows at one instant, every row satisfies every step
SELECT m.mode, n.rows, leadscore.window_funnel(timestamptz '2025-03-01', '1 day', m.mode, VARIADIC array_fill(true, '{32}'))
FROM unnest('{ordered,increase,strict,any}'::text[]) m(mode), (VALUES (31), (32), (40), (50000)) n(rows), LATERAL generate_series(1, n.rows)
GROUP BY m.mode, n.rows ORDER BY m.mode, n.rows;

-- Bad input
\set VERBOSITY default
CREATE TABLE funnel_bad (at timestamptz DEFAULT '2025-03-01', g int DEFAULT 0, within interval DEFAULT '1 day', mode text DEFAULT 'ordered', a boolean DEFAULT true, x int DEFAULT 1, y int DEFAULT 2);
INSERT INTO funnel_bad DEFAULT VALUES;
SELECT leadscore.window_funnel(at, '0', 'ordered', a) FROM funnel_bad;
\echo :SQLSTATE
SELECT leadscore.window_funnel(at, '-1 day', 'ordered', a) FROM funnel_bad;
SELECT leadscore.funnel_times(at, '1 day -25 hours', 'ordered', a) FROM funnel_bad;
SELECT leadscore.window_funnel(at, '1 month', 'ordered', a) FROM funnel_bad;
\echo :SQLSTATE
SELECT leadscore.window_funnel(at, '1 month -30 days', 'ordered', a) FROM funnel_bad;
SELECT leadscore.window_funnel(at, '2000000000 days', 'ordered', a) FROM funnel_bad;
\echo :SQLSTATE
SELECT leadscore.window_funnel(at, NULL, 'ordered', a) FROM funnel_bad;
\echo :SQLSTATE
SELECT leadscore.window_funnel(at, '1 day', NULL, a) FROM funnel_bad;
SELECT leadscore.window_funnel(at, '1 day', 'Ordered', a) FROM funnel_bad;
\echo :SQLSTATE
SELECT leadscore.window_funnel(at, '1 day', '', a) FROM funnel_bad;
SELECT leadscore.window_funnel(at, '1 day', 'ordered'||repeat('x', 20), a) FROM funnel_bad;
SELECT leadscore.window_funnel(at, '1 day', 'ordered') FROM funnel_bad;
SELECT leadscore.window_funnel(at, '1 day', 'ordered', VARIADIC '{}') FROM funnel_bad;
\echo :SQLSTATE
SELECT leadscore.window_funnel(at, '1 day', 'ordered', VARIADIC NULL) FROM funnel_bad;
SELECT leadscore.window_funnel(at, '1 day', 'ordered', VARIADIC '{{t,f},{t,t}}') FROM funnel_bad;
SELECT leadscore.window_funnel(at, '1 day', 'ordered', VARIADIC array_fill(true, '{33}')) FROM funnel_bad;
\echo :SQLSTATE
SELECT leadscore.window_funnel_except(at, '1 day', 'ordered', a, 0, 1, a, a) FROM funnel_bad;
\echo :SQLSTATE
SELECT leadscore.window_funnel_except(at, '1 day', 'ordered', a, 1, 3, a, a) FROM funnel_bad;
SELECT leadscore.window_funnel_except(at, '1 day', 'ordered', a, 2, 2, a, a) FROM funnel_bad;
SELECT leadscore.window_funnel_except(at, '1 day', 'ordered', a, 2, 1, a, a) FROM funnel_bad;
SELECT leadscore.window_funnel_except(at, '1 day', 'ordered', a, NULL, 1, a, a) FROM funnel_bad;
SELECT leadscore.window_funnel_except(at, '1 day', 'ordered', a, 1, NULL, a, a) FROM funnel_bad;
SELECT leadscore.window_funnel_except(at, '1 day', 'any', a, 1, 2, a, a, a) FROM funnel_bad;
-- what differs inside a group, also on rows that match nothing or have no time
INSERT INTO funnel_bad (at, a, within, mode, x, y) VALUES (NULL, false, '2 days', 'any', 2, 3);
SELECT leadscore.window_funnel(at, within, 'ordered', a) FROM funnel_bad;
\echo :SQLSTATE
SELECT leadscore.window_funnel(at, '1 day', mode, a) FROM funnel_bad;
SELECT leadscore.window_funnel(at, '1 day', 'ordered', VARIADIC array_fill(a, ARRAY[x])) FROM funnel_bad;
SELECT leadscore.window_funnel_except(at, '1 day', 'ordered', a, x, y, a, a, a) FROM funnel_bad;
SELECT mode, leadscore.window_funnel(at, within, mode, a) FROM funnel_bad GROUP BY mode ORDER BY mode;
-- a call that failed leaves nothing behind
DO $$
DECLARE
	i int;
BEGIN
	FOR i IN 1..4 LOOP
		BEGIN
			RAISE NOTICE '%', (SELECT leadscore.window_funnel(at, '1 day', CASE WHEN i % 2 = 0 THEN 'no' ELSE 'any' END, a) FROM funnel_bad WHERE a);
		EXCEPTION WHEN invalid_parameter_value THEN
			RAISE NOTICE '%', SQLERRM;
		END;
	END LOOP;
END $$;
DROP TABLE funnel_bad;

-- Support functions by hand: a state is a bytea; other bytes are refused
SELECT leadscore.window_funnel_finalfn(NULL), leadscore.funnel_times_finalfn(NULL), leadscore.window_funnel_combinefn(NULL, NULL);
SELECT leadscore.window_funnel_finalfn('');
\echo :SQLSTATE
SELECT leadscore.window_funnel_finalfn(decode(repeat('00', 100), 'hex'));
SELECT leadscore.window_funnel_transfn('\x00', now(), '1 day', 'any', true);
CREATE AGGREGATE funnel_state(at timestamptz, within interval, mode text, VARIADIC steps boolean[])
	(SFUNC = leadscore.window_funnel_transfn, STYPE = bytea, COMBINEFUNC = leadscore.window_funnel_combinefn, PARALLEL = SAFE);
CREATE AGGREGATE funnel_state_except(at timestamptz, within interval, mode text, exclude boolean, from_step int, to_step int, VARIADIC steps boolean[])
	(SFUNC = leadscore.window_funnel_except_transfn, STYPE = bytea, COMBINEFUNC = leadscore.window_funnel_combinefn, PARALLEL = SAFE);
CREATE AGGREGATE funnel_merge(bytea)
	(SFUNC = leadscore.window_funnel_combinefn, STYPE = bytea, FINALFUNC = leadscore.window_funnel_finalfn);
CREATE AGGREGATE funnel_times_merge(bytea)
	(SFUNC = leadscore.window_funnel_combinefn, STYPE = bytea, FINALFUNC = leadscore.funnel_times_finalfn);
-- small: 9 bytes an event, 24 before
SELECT n, length(funnel_state(timestamptz '2025-03-01', '1 day', 'any', true)) FROM (VALUES (1), (4), (5), (11), (12), (1000)) v(n), LATERAL generate_series(1, n) GROUP BY n ORDER BY n;
SELECT length(funnel_state(timestamptz '2025-03-01', '1 day', 'any', false));
-- every changed byte is refused or read as something else
CREATE FUNCTION try_state(state bytea) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN leadscore.window_funnel_finalfn(leadscore.window_funnel_combinefn(state, state));
EXCEPTION WHEN invalid_parameter_value THEN
	RETURN 'refused';
END $$;
SELECT result IN ('0', '1', '2', 'refused') AS expected, count(*) > 0
FROM (SELECT funnel_state_except('2025-03-01', '1 day', 'ordered', true, 1, 2, true, true) AS s) s, generate_series(0, 23) i, (VALUES (0), (1), (32), (127), (255)) v(b),
     LATERAL (SELECT try_state(set_byte(s, i, b)) AS result WHERE i < length(s)) c
GROUP BY 1;
SELECT try_state(substr(s, 1, n)), count(*) FROM (SELECT funnel_state('2025-03-01', '1 day', 'ordered', true) AS s) s, generate_series(0, 60) n GROUP BY 1 ORDER BY 1;
SELECT leadscore.funnel_times_finalfn(funnel_state_except('2025-03-01', '1 day', 'ordered', true, 1, 2, true, true));
SELECT leadscore.funnel_attempts_finalfn(funnel_state_except('2025-03-01', '1 day', 'ordered', true, 1, 2, true, true));
SELECT leadscore.funnel_attempts_finalfn(NULL), leadscore.funnel_attempt_ends_finalfn(NULL);
SELECT leadscore.window_funnel_combinefn(funnel_state('2025-03-01', '1 day', 'ordered', true), funnel_state('2025-03-01', '2 days', 'ordered', true));
-- a state given by hand is not changed in place
WITH s AS MATERIALIZED (SELECT funnel_state('2025-03-01', '1 day', 'ordered', true, false) AS s)
SELECT leadscore.window_funnel_finalfn(leadscore.window_funnel_transfn(s, '2025-03-02', '1 day', 'ordered', false, true)), leadscore.window_funnel_finalfn(s) FROM s;
SELECT DISTINCT provolatile, proparallel, proisstrict, prokind FROM pg_proc
WHERE pronamespace = 'leadscore'::regnamespace AND proname LIKE ANY ('{%funnel_times%,funnel_attempt%,window_funnel%}') ORDER BY 1, 2, 3, 4;

-- As a window function
SELECT n, leadscore.window_funnel(at, '1 day', 'ordered', n = 1, n = 2, n = 4) OVER (ORDER BY n) FROM (SELECT n, timestamptz '2025-03-01' + n * interval '1 hour' FROM generate_series(1, 5) n) e(n, at);

-- Random cases: few instants (many ties), rows that satisfy several steps, rows that satisfy none.
-- More or larger ones: psql -v funnel_cases=200000 -v funnel_rows=6
\if :{?funnel_cases}
\else
\set funnel_cases 40000
\endif
\if :{?funnel_rows}
\else
\set funnel_rows 5
\endif
CREATE TABLE random_case AS
SELECT c AS id, (ARRAY['ordered','increase','strict','any'])[1 + c % 4] AS mode,
       2 + get_byte(h, 1) % 3 AS nsteps, 1 + get_byte(h, 2) % :funnel_rows AS nrows,
       1 + get_byte(h, 3) % 6 AS span, 1 + get_byte(h, 4) % 5 AS within, 50 + get_byte(h, 5) % 120 AS density,
       get_byte(h, 6) % 4 AS sparse, get_byte(h, 7) AS r1, get_byte(h, 8) AS r2
FROM generate_series(1, :funnel_cases) c, LATERAL decode(md5('case ' || c), 'hex') h;
ALTER TABLE random_case ADD from_step int, ADD to_step int;
UPDATE random_case SET from_step = CASE mode WHEN 'any' THEN 1 ELSE 1 + r1 % (nsteps - 1) END;
UPDATE random_case SET to_step = CASE mode WHEN 'any' THEN nsteps ELSE from_step + 1 + r2 % (nsteps - from_step) END;
-- with sparse = 0 a row satisfies one step, as is usual
CREATE TABLE random_row AS
SELECT c.id, n, get_byte(h, 0) % c.span AS t, get_byte(h, 1) < 50 AS x,
       ARRAY(SELECT CASE WHEN c.sparse = 0 THEN i = 1 + get_byte(h, 8) % c.nsteps
                         ELSE CASE WHEN get_byte(h, 1 + i) < c.density THEN true WHEN get_byte(h, 1 + i) < 250 THEN false END END
             FROM generate_series(1, c.nsteps) i) AS steps
FROM random_case c, LATERAL generate_series(1, c.nrows) n, LATERAL decode(md5(c.id || ' row ' || n), 'hex') h;
ALTER TABLE random_case ADD PRIMARY KEY (id);
CREATE INDEX ON random_row (id);
VACUUM ANALYZE random_case, random_row;

-- The definition, to the letter: every list of distinct rows, one for a step
CREATE TABLE random_chain AS
WITH RECURSIVE chain(id, mode, within, nsteps, k, rows, times) AS (
	SELECT id, mode, within, nsteps, 0, '{}'::int[], '{}'::int[] FROM random_case WHERE mode IN ('ordered', 'increase')
	UNION ALL
	SELECT c.id, c.mode, c.within, c.nsteps, c.k + 1, c.rows || r.n, c.times || r.t
	FROM chain c JOIN random_row r USING (id)
	WHERE c.k < c.nsteps AND r.steps[c.k + 1] AND r.n <> ALL (c.rows)
	  AND (c.k = 0 OR (r.t >= c.times[c.k] AND r.t <= c.times[1] + c.within))
	  AND (c.k = 0 OR c.mode = 'ordered' OR r.t > c.times[c.k])
)
SELECT id, k, times FROM chain WHERE k > 0;
-- strict: every order that the rows can be taken in, every place to begin and to end there
CREATE TABLE random_line AS
WITH RECURSIVE line(id, within, nsteps, nrows, rows, times, hits) AS (
	SELECT id, within, nsteps, nrows, '{}'::int[], '{}'::int[], '{}'::text[] FROM random_case WHERE mode = 'strict'
	UNION ALL
	SELECT l.id, l.within, l.nsteps, l.nrows, l.rows || r.n, l.times || r.t, l.hits || array_to_string(r.steps, '', '-')
	FROM line l, LATERAL (SELECT * FROM random_row r WHERE r.id = l.id AND r.n <> ALL (l.rows) OFFSET 0) r
	WHERE cardinality(l.rows) = 0 OR r.t >= l.times[cardinality(l.rows)]
)
SELECT * FROM line WHERE cardinality(rows) = nrows;
INSERT INTO random_chain
SELECT l.id, k, l.times[s:s + k - 1]
FROM random_line l, LATERAL generate_series(1, l.nrows) s, LATERAL generate_series(1, least(l.nsteps, l.nrows - s + 1)) k
WHERE l.times[s + k - 1] <= l.times[s] + l.within
  AND (SELECT bool_and(substr(l.hits[s + i - 1], i, 1) = 't') FROM generate_series(1, k) i);
-- any: for every step a row or none
INSERT INTO random_chain
WITH RECURSIVE choice(id, within, nsteps, done, rows, times) AS (
	SELECT id, within, nsteps, 0, '{}'::int[], '{}'::int[] FROM random_case WHERE mode = 'any'
	UNION ALL
	SELECT c.id, c.within, c.nsteps, c.done + 1, c.rows || r.n, c.times || r.t
	FROM choice c, LATERAL (SELECT '{}'::int[] AS n, '{}'::int[] AS t
	                        UNION ALL
	                        SELECT ARRAY[r.n], ARRAY[r.t] FROM random_row r WHERE r.id = c.id AND r.steps[c.done + 1] AND r.n <> ALL (c.rows)) r
	WHERE c.done < c.nsteps
)
SELECT id, cardinality(times), ARRAY(SELECT t FROM unnest(times) t ORDER BY t)
FROM choice
WHERE done = nsteps AND cardinality(times) > 0
  AND (SELECT max(t) - min(t) FROM unnest(times) t) <= within;

CREATE TABLE random_expected AS
WITH longest AS (
	-- complete first, started last, every step as early as it can be
	SELECT DISTINCT ON (id) id, k AS level, times FROM random_chain ORDER BY id, k DESC, times[k], times[1] DESC, times
), judged AS (
	SELECT h.id, h.k, h.times[1] AS start, c.from_step,
	       h.k >= c.from_step AND EXISTS (SELECT FROM random_row x WHERE x.id = h.id AND x.x AND x.t > h.times[c.from_step]
	                                      AND CASE WHEN h.k >= c.to_step THEN x.t < h.times[c.to_step] ELSE x.t <= h.times[1] + c.within END) AS void
	FROM random_chain h JOIN random_case c USING (id)
), attempt AS (
	SELECT id, CASE WHEN max(k) < from_step THEN max(k) ELSE coalesce(max(k) FILTER (WHERE k >= from_step AND NOT void), 0) END AS level
	FROM judged GROUP BY id, start, from_step
)
SELECT id, coalesce(l.level, 0) AS level, coalesce(l.times, '{}') AS times, coalesce(max(a.level), 0) AS level_except
FROM random_case LEFT JOIN longest l USING (id) LEFT JOIN attempt a USING (id)
GROUP BY id, l.level, l.times;

-- Attempts, from all chains: one begins with the first row that opens a window after
-- the one before; it ends with the first chain of all steps, or when no window is left
CREATE TABLE random_opening AS
SELECT DISTINCT r.id, r.t, c.within FROM random_row r JOIN random_case c USING (id)
WHERE CASE c.mode WHEN 'any' THEN true = ANY (r.steps) ELSE r.steps[1] END;
CREATE INDEX ON random_opening (id);
CREATE INDEX ON random_chain (id);
VACUUM ANALYZE random_opening, random_chain;
CREATE TABLE random_attempt AS
WITH RECURSIVE attempt(id, n, level, ends) AS (
	SELECT id, 0, 0, -1 FROM random_case
	UNION ALL
	SELECT p.id, p.n + 1, CASE WHEN f.at <= o.at THEN c.nsteps ELSE b.k END, least(f.at, o.at)
	FROM attempt p JOIN random_case c USING (id),
	     LATERAL (SELECT min(t) FROM random_opening s WHERE s.id = p.id AND s.t > p.ends) s(t),
	     -- the first window after which no other is open
	     LATERAL (SELECT min(a.t + a.within) FROM random_opening a WHERE a.id = p.id AND a.t >= s.t
	              AND NOT EXISTS (SELECT FROM random_opening n WHERE n.id = a.id AND n.t > a.t AND n.t <= a.t + a.within)) o(at),
	     LATERAL (SELECT min(h.times[h.k]) FROM random_chain h WHERE h.id = p.id AND h.k = c.nsteps AND h.times[1] > p.ends) f(at),
	     LATERAL (SELECT max(h.k) FROM random_chain h WHERE h.id = p.id AND h.times[1] BETWEEN s.t AND o.at) b(k)
	WHERE s.t IS NOT NULL
)
SELECT id, coalesce(array_agg(level ORDER BY n) FILTER (WHERE n > 0), '{}') AS levels, coalesce(array_agg(ends ORDER BY n) FILTER (WHERE n > 0), '{}') AS ends
FROM attempt GROUP BY id;

-- All rows at once, in any order of rows
CREATE VIEW random_result AS
SELECT id, c.mode, leadscore.window_funnel(at, c.window, c.mode, VARIADIC steps) AS level,
       ARRAY(SELECT extract(epoch FROM t)::int FROM unnest(leadscore.funnel_times(at, c.window, c.mode, VARIADIC steps)) t) AS times,
       leadscore.window_funnel_except(at, c.window, c.mode, x, c.from_step, c.to_step, VARIADIC steps) AS level_except,
       leadscore.funnel_attempts(at, c.window, c.mode, VARIADIC steps) AS levels,
       ARRAY(SELECT extract(epoch FROM t)::int FROM unnest(leadscore.funnel_attempt_ends(at, c.window, c.mode, VARIADIC steps)) t) AS ends
FROM (SELECT id, mode, within * interval '1 second' AS window, from_step, to_step FROM random_case) c
JOIN (SELECT id, to_timestamp(t) AS at, x, steps FROM random_row) r USING (id)
GROUP BY id, c.mode;
SELECT mode, count(*) AS cases, count(*) FILTER (WHERE r.level <> e.level) AS wrong_level, count(*) FILTER (WHERE r.times <> e.times) AS wrong_times,
       count(*) FILTER (WHERE r.level_except <> e.level_except) AS wrong_except,
       count(*) FILTER (WHERE r.levels <> a.levels OR r.ends <> a.ends) AS wrong_attempts,
       count(*) FILTER (WHERE coalesce((SELECT max(l) FROM unnest(r.levels) l), 0) <> r.level) AS not_the_best
FROM random_result r JOIN random_expected e USING (id) JOIN random_attempt a USING (id)
GROUP BY mode ORDER BY mode;
SELECT (SELECT count(*) FROM random_result) = :funnel_cases AS all_cases;
-- what the cases are worth: levels from 0 up, exclusions that matter, rows that satisfy several steps at one instant
SELECT c.mode, e.level, count(*) > 20 AS many, count(*) FILTER (WHERE e.level_except < e.level) > 2 AS excluded,
       bool_or(e.level_except NOT IN (0, e.level)) AS partly
FROM random_expected e JOIN random_case c USING (id) GROUP BY 1, 2 ORDER BY 1, 2;

SELECT c.mode, cardinality(a.levels) AS attempts, count(*) > 20 AS many, count(*) FILTER (WHERE c.nsteps = ANY (a.levels) AND c.nsteps > 1) > 20 AS complete
FROM random_attempt a JOIN random_case c USING (id) WHERE cardinality(a.levels) <= 2 GROUP BY 1, 2 ORDER BY 1, 2;

-- Split, shuffled and joined again
SELECT count(*), count(*) FILTER (WHERE m.level <> e.level) AS wrong_level,
       count(*) FILTER (WHERE m.times <> ARRAY(SELECT to_timestamp(t) FROM unnest(e.times) t)) AS wrong_times
FROM random_expected e JOIN (SELECT id, funnel_merge(s ORDER BY part DESC) AS level, funnel_times_merge(s ORDER BY part) AS times
      FROM (SELECT id, n % 3 AS part, funnel_state(to_timestamp(t), c.within * interval '1 second', c.mode, VARIADIC steps ORDER BY n DESC) AS s
            FROM random_row r JOIN random_case c USING (id) WHERE id <= 3000 GROUP BY id, part) p
      GROUP BY id) m USING (id);

-- A parallel plan gives the same
CREATE TABLE funnel_event AS
SELECT get_byte(h, 0) * 4 + get_byte(h, 1) % 4 AS lead_id, timestamptz '2025-03-01' + (get_byte(h, 2) * 256 + get_byte(h, 3)) % 2000 * interval '1 minute' AS at,
       get_byte(h, 4) % 7 AS kind
FROM generate_series(1, 20000) i, LATERAL decode(md5('event ' || i), 'hex') h;
ANALYZE funnel_event;
CREATE VIEW funnel_by_lead AS
SELECT lead_id, leadscore.window_funnel(at, '6 hours', 'ordered', kind = 0, kind = 1, kind IN (1, 2), kind = 3, kind = 4) AS ordered,
       leadscore.window_funnel(at, '6 hours', 'increase', kind = 0, kind = 1, kind IN (1, 2), kind = 3, kind = 4) AS increase,
       leadscore.window_funnel(at, '6 hours', 'strict', kind = 0, kind = 1, kind IN (1, 2), kind = 3, kind = 4) AS strict,
       leadscore.window_funnel(at, '6 hours', 'any', kind = 0, kind = 1, kind IN (1, 2), kind = 3, kind = 4) AS any,
       leadscore.window_funnel_except(at, '6 hours', 'ordered', kind = 5, 1, 2, kind = 0, kind = 1, kind IN (1, 2), kind = 3, kind = 4) AS except,
       leadscore.funnel_times(at, '6 hours', 'ordered', kind = 0, kind = 1, kind IN (1, 2), kind = 3, kind = 4) AS times,
       leadscore.funnel_attempts(at, '6 hours', 'ordered', kind = 0, kind = 1, kind IN (1, 2)) AS attempts,
       leadscore.funnel_attempt_ends(at, '6 hours', 'any', kind = 0, kind = 1, kind IN (1, 2)) AS ends
FROM funnel_event GROUP BY lead_id;
SET max_parallel_workers_per_gather = 0;
CREATE TABLE funnel_plain AS SELECT * FROM funnel_by_lead;
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
EXPLAIN (COSTS OFF) SELECT lead_id, leadscore.window_funnel(at, '6 hours', 'ordered', kind = 0) FROM funnel_event GROUP BY lead_id;
SELECT count(*), count(p.lead_id), sum(f.ordered) > 0 FROM funnel_by_lead f LEFT JOIN funnel_plain p ON f IS NOT DISTINCT FROM p;

RESET ALL;
DROP VIEW random_result, funnel_by_lead;
DROP TABLE random_case, random_row, random_line, random_chain, random_opening, random_attempt, random_expected, funnel_event, funnel_plain;
DROP AGGREGATE funnel_state(timestamptz, interval, text, boolean[]);
DROP AGGREGATE funnel_state_except(timestamptz, interval, text, boolean, int, int, boolean[]);
DROP AGGREGATE funnel_merge(bytea);
DROP AGGREGATE funnel_times_merge(bytea);
DROP FUNCTION funnel_rows(text), funnel(text, int, int, text), attempts(text, int, int, text), funnel_except(text, int, int, int, int, text), try_state(bytea);
