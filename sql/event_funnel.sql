-- Funnels whose steps are kinds or signals: event_funnel, activity_funnel

SET intervalstyle = 'postgres';

-- Rows of a lead, as one writes it: the two aggregates and the counts say the same
CREATE TABLE small (at timestamptz, kind text);
INSERT INTO small VALUES ('2025-03-01 10:00+00', 'visit'), ('2025-03-02 10:00+00', 'form'), ('2025-03-02 09:00+00', 'demo'),
    ('2025-03-20 10:00+00', 'demo'), (NULL, 'demo'), ('2025-03-03 10:00+00', NULL), ('2025-03-03 10:00+00', 'other');
SELECT mode, leadscore.event_funnel(kind, at, '14 days', mode, '{visit,form,demo}') AS event_funnel,
       leadscore.window_funnel(at, '14 days', mode, kind = 'visit', kind = 'form', kind = 'demo') AS window_funnel
FROM small, unnest('{ordered,increase,strict,any}'::text[]) mode GROUP BY mode ORDER BY mode;
-- by days, form and demo are one day after the visit: within a day, and not within less
SELECT leadscore.activity_funnel(a, '14 days', '{1,2,3}') AS days, leadscore.activity_funnel(a, '1 day', '{1,2,3}') AS one,
       leadscore.activity_funnel(a, '23:59:59.999999', '{1,2,3}') AS less, leadscore.activity_funnel(a, '1 day', '{2,3}') AS from_form
FROM (SELECT leadscore.lead_activity_agg(CASE kind WHEN 'visit' THEN 1 WHEN 'form' THEN 2 WHEN 'demo' THEN 3 END, at, 1, '1 day') AS a FROM small) s;
SELECT leadscore.activity_funnel('hour{1@2025-03-01T10:1,2@2025-03-01T12:1,3@2025-03-01T11:1}', '2 hours', '{1,2,3}') AS in_order,
       leadscore.activity_funnel('hour{1@2025-03-01T10:1,2@2025-03-01T12:1,3@2025-03-01T11:1}', '2 hours', '{1,3,2}') AS other_order,
       leadscore.activity_funnel('hour{1@2025-03-01T10:1,2@2025-03-01T12:1,3@2025-03-01T11:1}', '119 minutes', '{1,3,2}') AS too_late;
-- counts without a time, negative ones, counts of different values; a step twice needs two
SELECT leadscore.activity_funnel('day{1@*:5,2@2025-03-01:1}', '1 day', '{1,2}') AS timeless, leadscore.activity_funnel('day{1@2025-03-01:-1,2@2025-03-01:1}', '1 day', '{1,2}') AS negative,
       leadscore.activity_funnel('day{1#0000000000000001@2025-03-05:1,1#0000000000000002@2025-03-01:1,2@2025-03-02:1}', '1 day', '{1,2}') AS "values",
       leadscore.activity_funnel('day{1@2025-03-01:1}', '1 day', '{1,1}') AS once, leadscore.activity_funnel('day{1@2025-03-01:2}', '1 day', '{1,1}') AS twice,
       leadscore.activity_funnel('day{1@2025-03-01:9000000000000000000}', '1 day', array_fill(1, '{32}')) AS often,
       leadscore.activity_funnel('day{}', '1 day', '{1}') AS empty, leadscore.activity_funnel(NULL, '1 day', '{1}') AS none;

-- No rows, no time, no kind
SELECT leadscore.event_funnel(kind, at, '1 day', 'ordered', '{visit}') FROM small WHERE false;
SELECT leadscore.event_funnel(kind, at, '1 day', 'ordered', '{visit}') FROM small WHERE at IS NULL OR kind IS NULL;
-- kinds are compared by bytes: empty, long, alike in length and beginning, of several bytes
CREATE TABLE names (n serial, name text);
INSERT INTO names (name) VALUES (''), ('a'), ('b'), ('ab'), ('ba'), ('aba'), ('abb'), ('bba'), ('abcd'), ('abce'), ('abcdefg'), ('abcxefg'), ('abcdefgh'), ('abcdefgi'), ('abcdefghi'), ('abcdefghj'),
    ('abcdefghjabcdefghj'), ('abcdefghjabcdefghk'), ('A'), ('ä'), ('ö'), ('a '), (E'a\n'), (repeat('x', 300)), (repeat('x', 301)), (repeat('x', 300) || 'y');
INSERT INTO names (name) SELECT string_agg(md5(i::text), '') FROM generate_series(1, 400) i;
SELECT count(*) AS steps, count(*) FILTER (WHERE f.found = 1) AS found, count(*) FILTER (WHERE f.others > 0) AS others
FROM names s, LATERAL (SELECT leadscore.event_funnel(k.name, '2025-03-01', '1 day', 'ordered', ARRAY[s.name]) FILTER (WHERE k.n = s.n) AS found,
    leadscore.event_funnel(k.name, '2025-03-01', '1 day', 'ordered', ARRAY[s.name]) FILTER (WHERE k.n <> s.n) AS others FROM names k) f;
SELECT leadscore.event_funnel(name, timestamptz '2025-03-01' + n * interval '1 minute', '1 day', 'strict', (SELECT array_agg(name ORDER BY n) FROM names)) AS all_of_27 FROM names;
-- one kind is several steps; 32 steps; many rows, in any order
SELECT leadscore.event_funnel('a', '2025-03-01', '1 day', 'ordered', array_fill('a'::text, '{32}')), leadscore.event_funnel('a', '2025-03-01', '1 day', 'increase', array_fill('a'::text, '{32}')) FROM generate_series(1, 40);
SELECT leadscore.event_funnel('k' || n % 32, timestamptz '2025-03-01' + n * interval '1 minute', '1 day', 'strict', (SELECT array_agg('k' || i ORDER BY i) FROM generate_series(0, 31) i)) AS forward,
       leadscore.event_funnel('k' || n % 32, timestamptz '2025-03-01' - n * interval '1 minute', '1 day', 'any', (SELECT array_agg('k' || i ORDER BY i) FROM generate_series(0, 31) i)) AS "any",
       leadscore.event_funnel('k' || n % 32, timestamptz '2025-03-01' - n * interval '1 minute', '30 minutes', 'ordered', (SELECT array_agg('k' || 31 - i ORDER BY i) FROM generate_series(0, 31) i)) AS backward
FROM generate_series(0, 99999) n;
SELECT leadscore.event_funnel(kind, at, '1 day', 'ordered', '{a,b,c}') FROM (VALUES ('a', '-infinity'::timestamptz), ('b', '-infinity'), ('c', 'infinity'), ('a', 'infinity')) e(kind, at);

-- Bad input
\set VERBOSITY default
SELECT leadscore.event_funnel('a', at, '0', 'ordered', '{a}') FROM small;
\echo :SQLSTATE
SELECT leadscore.event_funnel('a', at, '-1 day', 'ordered', '{a}') FROM small;
SELECT leadscore.event_funnel('a', at, '1 month', 'ordered', '{a}') FROM small;
SELECT leadscore.event_funnel('a', at, '2000000000 days', 'ordered', '{a}') FROM small;
\echo :SQLSTATE
SELECT leadscore.event_funnel('a', at, NULL, 'ordered', '{a}') FROM small;
\echo :SQLSTATE
SELECT leadscore.event_funnel('a', at, '1 day', NULL, '{a}') FROM small;
SELECT leadscore.event_funnel('a', at, '1 day', 'ordered', NULL) FROM small;
SELECT leadscore.event_funnel('a', at, '1 day', 'ordered', '{a,NULL}') FROM small;
\echo :SQLSTATE
SELECT leadscore.event_funnel('a', at, '1 day', 'Ordered', '{a}') FROM small;
\echo :SQLSTATE
SELECT leadscore.event_funnel('a', at, '1 day', 'ordered', '{}') FROM small;
\echo :SQLSTATE
SELECT leadscore.event_funnel('a', at, '1 day', 'ordered', '{{a,b},{c,d}}') FROM small;
\echo :SQLSTATE
SELECT leadscore.event_funnel('a', at, '1 day', 'ordered', array_fill('a'::text, '{33}')) FROM small;
\echo :SQLSTATE
SELECT leadscore.event_funnel('a', at, CASE kind WHEN 'form' THEN '2 days' ELSE '1 day' END::interval, 'ordered', '{a}') FROM small;
\echo :SQLSTATE
SELECT leadscore.event_funnel('a', at, '1 day', CASE kind WHEN 'form' THEN 'any' ELSE 'strict' END, '{a}') FROM small;
SELECT leadscore.event_funnel('a', at, '1 day', 'ordered', CASE WHEN at IS NULL THEN ARRAY['a', 'b'] ELSE ARRAY['a', 'c'] END) FROM small;
SELECT leadscore.event_funnel('a', at, '1 day', 'ordered', CASE WHEN at IS NULL THEN NULL ELSE ARRAY['a', 'c'] END) FROM small;
SELECT leadscore.activity_funnel('day{}', '0', '{1}');
\echo :SQLSTATE
SELECT leadscore.activity_funnel('day{}', '1 month', '{1}');
SELECT leadscore.activity_funnel('day{}', NULL, '{1}');
\echo :SQLSTATE
SELECT leadscore.activity_funnel('day{}', '1 day', NULL);
SELECT leadscore.activity_funnel(NULL, '1 day', '{1,NULL}');
SELECT leadscore.activity_funnel('day{}', '1 day', '{}');
SELECT leadscore.activity_funnel('day{}', '1 day', '{{1},{2}}');
SELECT leadscore.activity_funnel('day{}', '1 day', array_fill(1, '{33}'));
SELECT leadscore.activity_funnel('day{}', '1 day', '{-1}'), leadscore.activity_funnel('day{}', '1 day', '{100000,2147483647}');
-- the support functions take states only from an aggregate
SELECT leadscore_internal.event_funnel_finalfn(NULL);
SELECT leadscore_internal.event_funnel_deserialfn('\x00', NULL);
-- a call that failed leaves nothing behind
DO $$
DECLARE
	i int;
BEGIN
	FOR i IN 1..4 LOOP
		BEGIN
			RAISE WARNING '%', (SELECT leadscore.event_funnel(kind, at, '30 days', CASE WHEN i % 2 = 0 THEN 'no' ELSE 'any' END, '{visit,demo}') FROM small);
		EXCEPTION WHEN invalid_parameter_value THEN
			RAISE WARNING '%', SQLERRM;
		END;
		BEGIN
			RAISE WARNING '%', leadscore.activity_funnel('day{1@2025-03-01:1}', i % 2 * interval '1 day', '{1}');
		EXCEPTION WHEN invalid_parameter_value THEN
			RAISE WARNING '%', SQLERRM;
		END;
	END LOOP;
END $$;

-- Random cases, few instants (many ties), kinds that are several steps or none.
-- More or larger ones: psql -v funnel_cases=100000 -v funnel_rows=6
\if :{?funnel_cases}
\else
\set funnel_cases 12000
\endif
\if :{?funnel_rows}
\else
\set funnel_rows 5
\endif
CREATE TABLE random_case AS
SELECT c AS id, (ARRAY['ordered','increase','strict','any'])[1 + c % 4] AS mode,
       ARRAY(SELECT (ARRAY['visit', 'form', 'a long kind of event', 'a long kind of thing'])[1 + get_byte(h, 6 + i) % 4] FROM generate_series(1, 1 + get_byte(h, 1) % 4) i) AS steps,
       1 + get_byte(h, 2) % :funnel_rows AS nrows, 1 + get_byte(h, 3) % 6 AS span, 1 + get_byte(h, 4) % 5 AS within
FROM generate_series(1, :funnel_cases) c, LATERAL decode(md5('case ' || c), 'hex') h;
CREATE TABLE random_row AS
SELECT c.id, n, get_byte(h, 0) % c.span AS t, (ARRAY['visit', 'form', 'a long kind of event', 'a long kind of thing', 'x'])[1 + get_byte(h, 1) % 6] AS kind, get_byte(h, 2) AS minutes
FROM random_case c, LATERAL generate_series(1, c.nrows) n, LATERAL decode(md5(c.id || ' row ' || n), 'hex') h;
ALTER TABLE random_case ADD PRIMARY KEY (id);
CREATE INDEX ON random_row (id);
VACUUM ANALYZE random_case, random_row;

-- The definition, to the letter: every list of distinct rows, one for a step
CREATE TABLE random_chain AS
WITH RECURSIVE chain(id, mode, within, steps, k, rows, times) AS (
	SELECT id, mode, within, steps, 0, '{}'::int[], '{}'::int[] FROM random_case WHERE mode IN ('ordered', 'increase')
	UNION ALL
	SELECT c.id, c.mode, c.within, c.steps, c.k + 1, c.rows || r.n, c.times || r.t
	FROM chain c JOIN random_row r USING (id)
	WHERE r.kind = c.steps[c.k + 1] AND r.n <> ALL (c.rows)
	  AND (c.k = 0 OR (r.t >= c.times[c.k] AND r.t <= c.times[1] + c.within))
	  AND (c.k = 0 OR c.mode = 'ordered' OR r.t > c.times[c.k])
)
SELECT id, k FROM chain WHERE k > 0;
-- strict: every order that the rows can be taken in, every place to begin and to end there
INSERT INTO random_chain
WITH RECURSIVE line(id, within, steps, nrows, rows, times, kinds) AS (
	SELECT id, within, steps, nrows, '{}'::int[], '{}'::int[], '{}'::text[] FROM random_case WHERE mode = 'strict'
	UNION ALL
	SELECT l.id, l.within, l.steps, l.nrows, l.rows || r.n, l.times || r.t, l.kinds || r.kind
	FROM line l, LATERAL (SELECT * FROM random_row r WHERE r.id = l.id AND r.n <> ALL (l.rows) OFFSET 0) r
	WHERE cardinality(l.rows) = 0 OR r.t >= l.times[cardinality(l.rows)]
)
SELECT l.id, k
FROM line l, LATERAL generate_series(1, l.nrows) s, LATERAL generate_series(1, least(cardinality(l.steps), l.nrows - s + 1)) k
WHERE cardinality(l.rows) = l.nrows AND l.times[s + k - 1] <= l.times[s] + l.within AND l.kinds[s:s + k - 1] = l.steps[:k];
-- any: for every step a row or none
INSERT INTO random_chain
WITH RECURSIVE choice(id, within, steps, done, rows, times) AS (
	SELECT id, within, steps, 0, '{}'::int[], '{}'::int[] FROM random_case WHERE mode = 'any'
	UNION ALL
	SELECT c.id, c.within, c.steps, c.done + 1, c.rows || r.n, c.times || r.t
	FROM choice c, LATERAL (SELECT '{}'::int[] AS n, '{}'::int[] AS t
	                        UNION ALL
	                        SELECT ARRAY[r.n], ARRAY[r.t] FROM random_row r WHERE r.id = c.id AND r.kind = c.steps[c.done + 1] AND r.n <> ALL (c.rows)) r
	WHERE c.done < cardinality(c.steps)
)
SELECT id, cardinality(times) FROM choice
WHERE done = cardinality(steps) AND cardinality(times) > 0 AND (SELECT max(t) - min(t) FROM unnest(times) t) <= within;
CREATE TABLE random_expected AS
SELECT c.id, coalesce(max(h.k), 0) AS level FROM random_case c LEFT JOIN random_chain h USING (id) GROUP BY c.id;

-- What is asked comes from the rows, and does not
SELECT mode, count(*) AS cases, count(*) FILTER (WHERE r.level <> e.level) AS wrong_level, count(*) FILTER (WHERE r.by_conditions <> e.level) AS wrong_conditions
FROM random_expected e
JOIN (SELECT id, c.mode, leadscore.event_funnel(kind, to_timestamp(t), c.within * interval '1 second', c.mode, c.steps) AS level,
             leadscore.window_funnel(to_timestamp(t), c.within * interval '1 second', c.mode, VARIADIC ARRAY(SELECT kind = s FROM unnest(c.steps) WITH ORDINALITY s(s, o) ORDER BY o)) AS by_conditions
      FROM random_case c JOIN random_row r USING (id) GROUP BY id) r USING (id)
GROUP BY mode ORDER BY mode;
DO $$
DECLARE
	c random_case;
	level int;
	wrong int := 0;
BEGIN
	FOR c IN SELECT * FROM random_case WHERE id <= 4000 LOOP
		EXECUTE format('SELECT leadscore.event_funnel(kind, to_timestamp(t), %L, %L, %L) FROM random_row WHERE id = %s', c.within || ' s', c.mode, c.steps, c.id) INTO level;
		wrong := wrong + (level <> (SELECT e.level FROM random_expected e WHERE e.id = c.id))::int;
	END LOOP;
	RAISE WARNING '% wrong', wrong;
END $$;
SELECT c.mode, e.level, count(*) > 20 AS many FROM random_expected e JOIN random_case c USING (id) GROUP BY 1, 2 ORDER BY 1, 2;
-- counts by day and by hour; a minute of the day does not matter
SELECT g.grain, count(*) > 2000 AS cases, count(*) FILTER (WHERE a.level <> e.level) AS wrong_level
FROM random_expected e, (VALUES (interval '1 day'), (interval '1 hour')) g(grain),
     LATERAL (SELECT leadscore.activity_funnel(leadscore.lead_activity_agg(k.signal, timestamptz '2025-03-01 00:00+00' + r.t * g.grain + r.minutes % 60 * interval '1 minute', 1, g.grain, CASE WHEN e.id % 3 = 0 AND k.signal = 1 THEN r.n END),
                  (SELECT c.within * g.grain + interval '1 minute' FROM random_case c WHERE c.id = e.id),
                  (SELECT array_agg(array_position('{visit,form,a long kind of event,a long kind of thing}', s) ORDER BY o) FROM random_case c, unnest(c.steps) WITH ORDINALITY s(s, o) WHERE c.id = e.id)) AS level
              FROM random_row r, LATERAL (SELECT coalesce(array_position('{visit,form,a long kind of event,a long kind of thing}', r.kind), 9)) k(signal) WHERE r.id = e.id) a
WHERE e.id % 4 = 0
GROUP BY 1 ORDER BY 1;

-- A parallel plan gives the same; so does one without enough memory, and every way to call it
CREATE TABLE funnel_event AS
SELECT get_byte(h, 0) * 4 + get_byte(h, 1) % 4 AS lead_id, timestamptz '2025-03-01' + (get_byte(h, 2) * 256 + get_byte(h, 3)) % 2000 * interval '1 minute' AS at,
       (ARRAY['visit', 'form', 'demo', 'quote', 'order', NULL])[1 + get_byte(h, 4) % 7] AS kind, (ARRAY['ordered', 'strict'])[1 + get_byte(h, 0) % 2] AS mode
FROM generate_series(1, 20000) i, LATERAL decode(md5('event ' || i), 'hex') h;
ANALYZE funnel_event;
CREATE VIEW funnel_by_lead AS
SELECT lead_id, leadscore.event_funnel(kind, at, '6 hours', 'ordered', '{visit,form,demo,quote}') AS ordered,
       leadscore.event_funnel(kind, at, '6 hours', 'increase', '{visit,form,visit,form}') AS increase,
       leadscore.event_funnel(kind, at, '6 hours', 'strict', '{visit,form,demo,quote}') AS strict,
       leadscore.event_funnel(kind, at, '6 hours', 'any', '{visit,form,form,quote}') AS any,
       leadscore.event_funnel(kind, at, '6 hours', mode, CASE mode WHEN 'strict' THEN '{visit,demo}'::text[] ELSE '{form,visit,form}' END) AS of_rows,
       leadscore.event_funnel(kind, at, '6 hours', 'ordered', '{nothing}') AS nothing
FROM funnel_event GROUP BY lead_id;
SET max_parallel_workers_per_gather = 0;
CREATE TABLE funnel_plain AS SELECT * FROM funnel_by_lead;
SELECT count(*), count(*) FILTER (WHERE p.ordered = c.ordered AND p.increase = c.increase AND p.strict = c.strict AND p.any = c.any AND p.of_rows = c.of_rows AND p.nothing = 0) AS equal
FROM funnel_plain p JOIN (SELECT lead_id, leadscore.window_funnel(at, '6 hours', 'ordered', kind = 'visit', kind = 'form', kind = 'demo', kind = 'quote') AS ordered,
       leadscore.window_funnel(at, '6 hours', 'increase', kind = 'visit', kind = 'form', kind = 'visit', kind = 'form') AS increase,
       leadscore.window_funnel(at, '6 hours', 'strict', kind = 'visit', kind = 'form', kind = 'demo', kind = 'quote') AS strict,
       leadscore.window_funnel(at, '6 hours', 'any', kind = 'visit', kind = 'form', kind = 'form', kind = 'quote') AS any,
       CASE min(mode) WHEN 'strict' THEN leadscore.window_funnel(at, '6 hours', 'strict', kind = 'visit', kind = 'demo') ELSE leadscore.window_funnel(at, '6 hours', 'ordered', kind = 'form', kind = 'visit', kind = 'form') END AS of_rows
      FROM funnel_event GROUP BY lead_id) c USING (lead_id);
SET work_mem = '64kB';
SELECT count(*), count(p.lead_id) FROM funnel_by_lead f LEFT JOIN funnel_plain p ON f IS NOT DISTINCT FROM p;
RESET work_mem;
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
EXPLAIN (COSTS OFF) SELECT lead_id, leadscore.event_funnel(kind, at, '6 hours', 'ordered', '{visit}') FROM funnel_event GROUP BY lead_id;
SELECT count(*), count(p.lead_id), sum(f.ordered) > 0 AS some, sum(f.of_rows) > 0 AS of_rows FROM funnel_by_lead f LEFT JOIN funnel_plain p ON f IS NOT DISTINCT FROM p;
PREPARE by_parameter (interval, text, text[]) AS SELECT count(*), count(p.lead_id) FROM
    (SELECT lead_id, leadscore.event_funnel(kind, at, $1, $2, $3) AS ordered FROM funnel_event GROUP BY lead_id) f LEFT JOIN funnel_plain p USING (lead_id, ordered);
SET plan_cache_mode = force_generic_plan;
EXECUTE by_parameter('6 hours', 'ordered', '{visit,form,demo,quote}');
RESET plan_cache_mode;
SELECT count(*), count(p.lead_id) FROM (SELECT lead_id, leadscore.event_funnel(kind, at, '6 hours', 'ordered', '{visit,form,demo,quote}' ORDER BY kind, at DESC) AS ordered FROM funnel_event GROUP BY lead_id) f
LEFT JOIN funnel_plain p USING (lead_id, ordered);
SELECT count(*), count(p.lead_id) FROM (SELECT lead_id, leadscore.event_funnel(kind, at, '6 hours', 'ordered', '{visit,form,demo,quote}') AS ordered FROM funnel_event GROUP BY GROUPING SETS ((lead_id), (lead_id, mode))) f
LEFT JOIN funnel_plain p USING (lead_id, ordered);
SELECT kind, leadscore.event_funnel(kind, at, '30 days', 'ordered', '{visit,form,demo}') OVER (ORDER BY at) AS so_far FROM small WHERE at IS NOT NULL ORDER BY at, kind;

RESET ALL;
DROP VIEW funnel_by_lead;
DROP TABLE small, names, random_case, random_row, random_chain, random_expected, funnel_event, funnel_plain;
