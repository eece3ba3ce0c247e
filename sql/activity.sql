-- lead_activity: text and binary form, algebra, order, aggregates

\set SHOW_CONTEXT errors
SET search_path = public, leadscore;

-- Canonical text
SELECT 'day{0@2025-03-01:1,7@2025-03-04:2,9@*:1}'::lead_activity;
SELECT 'hour{7@2025-03-04T13:2}'::lead_activity, 'day{}'::lead_activity, 'hour{}'::lead_activity;

-- It is read in any order, with blanks between tokens; equal buckets add up
SELECT text::lead_activity
FROM (VALUES (E' \t\r\nday { 9 @ * : 1 , 7 @ 2025-03-04 : 2 } \n'), ('day{7@2025-03-04:2,9@*:1,7@*:3,7@2025-03-03:1,0@*:1}'),
             ('day{7@2025-03-04:2,7@2025-03-04:3}'), ('day{7@2025-03-04:2,9@*:1,7@2025-03-04:-2}'), ('day{7@2025-03-04:0}'), ('day{7@*:-0}'),
             ('day{32767@*:9223372036854775807,0@*:-9223372036854775807}'), ('day{007@2025-03-04:0012}'),
             ('day{1@0001-01-01:1,1@0025-03-01:1,1@9999-12-31:1,2@2000-01-01:1,3@1999-12-31:1}'), ('hour{1@0001-01-01T00:1,1@9999-12-31T23:1,2@1999-12-31T23:1,2@2000-01-01T00:1}'),
             ('day{1@2024-02-29:1,1@2000-02-29:1,1@1600-02-29:1,1@0004-02-29:1}'), ('hour{1@2024-02-29T23:1,1@2024-03-01T00:1}')) v(text);

-- Beyond 64 bits a count stays at the end
SELECT 'day{1@*:9223372036854775807,1@*:1}'::lead_activity, 'day{1@*:-9223372036854775807,1@*:-1}'::lead_activity,
       'day{1@*:9223372036854775807}'::lead_activity + 'day{1@*:9223372036854775807}', 'day{1@*:-9223372036854775807}'::lead_activity - 'day{1@*:9223372036854775807}';

-- Mistakes
\set VERBOSITY default
SELECT 'week{}'::lead_activity;
\echo :SQLSTATE
SELECT ''::lead_activity;
SELECT 'day'::lead_activity;
SELECT 'days{}'::lead_activity;
SELECT 'day{'::lead_activity;
SELECT 'day{}}'::lead_activity;
SELECT 'day{} x'::lead_activity;
SELECT 'day{a@*:1}'::lead_activity;
SELECT 'day{-1@*:1}'::lead_activity;
SELECT 'day{32768@*:1}'::lead_activity;
SELECT 'day{1}'::lead_activity;
SELECT 'day{1@}'::lead_activity;
SELECT 'day{1@2025-02-29:1}'::lead_activity;
SELECT 'hour{1@2025-02-28:1}'::lead_activity;
SELECT 'day{1@*}'::lead_activity;
SELECT 'day{1@*:}'::lead_activity;
SELECT 'day{1@*:1 2@*:1}'::lead_activity;
-- Which other texts are mistakes: softly as well, where the server knows soft errors
CREATE FUNCTION read_activity(text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	m text;
	d text;
	h text;
BEGIN
	RETURN $1::lead_activity;
EXCEPTION WHEN invalid_text_representation THEN
	GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
	IF current_setting('server_version_num')::int >= 160000 THEN
		ASSERT (SELECT (message, detail, hint, sql_error_code) = (m, d, h, '22P02') FROM pg_input_error_info($1, 'leadscore.lead_activity'));
	END IF;
	RETURN d;
END $$;
SELECT text, read_activity(text)
FROM (VALUES ('DAY{}'), ('day{,}'), ('day{1@*:1,}'), ('day{,1@*:1}'), ('day{1@*:1,,1@*:1}'), ('day{1@*:+1}'), ('day{1@*:--1}'), ('day{1@*:- 1}'), ('day{1@*:1.0}'),
             ('day{1@*:9223372036854775808}'), ('day{1@*:-9223372036854775808}'), ('day{1@*:99999999999999999999999999}'),
             ('day{1@2025-00-01:1}'), ('day{1@2025-13-01:1}'), ('day{1@2025-01-00:1}'), ('day{1@2025-01-32:1}'), ('day{1@2025-04-31:1}'), ('day{1@1900-02-29:1}'),
             ('day{1@0000-12-31:1}'), ('day{1@10000-01-01:1}'), ('day{1@25-3-1:1}'), ('day{1@2025-3-01:1}'), ('day{1@2025-03-1:1}'), ('day{1@02025-03-01:1}'), ('day{1@2025-03-001:1}'), ('hour{1@2025-01-01T1:1}'), ('hour{1@2025-01-01T001:1}'), ('day{1@-001-01-01:1}'), ('day{1@2025-01-01T00:1}'), ('day{1@2025-01:1}'), ('day{1@2025:1}'), ('day{1@2025-:1}'),
             ('hour{1@2025-01-01T24:1}'), ('hour{1@2025-01-01 12:1}'), ('hour{1@2025-01-01T:1}'), ('hour{1@2025-01-01T12:00:1}'), ('day{1 1@*:1}'), ('day{1@**:1}'), ('{}'), ('day{1@*:1'),
             ('day{1@*:1}day{}'), ('day(1@*:1)'), (E'day{1@*:1}\u00a0'), (repeat('x', 40))) v(text);
DROP FUNCTION read_activity(text);

-- Constructor
SELECT lead_activity(7, '2025-03-04 13:59:59.999999 UTC', 2, '1 day') AS day, lead_activity(7, '2025-03-04 13:59:59.999999 UTC', 2, '1 hour') AS hour,
       lead_activity(7, NULL, 2, '1 day') AS timeless, lead_activity(7, '2025-03-04 UTC', 0, '1 day') AS none, lead_activity(7, NULL, -2, '24 hours') AS negative,
       lead_activity(0, NULL, '-9223372036854775808', '60 minutes') AS least;
SELECT lead_activity(NULL, now(), 2, '1 day') AS a, lead_activity(7, now(), NULL, '1 day') AS b, lead_activity(7, now(), 2, NULL) AS c;
SELECT at, lead_activity(1, at, 1, '1 day') AS day, lead_activity(1, at, 1, '1 hour') AS hour
FROM (VALUES ('infinity'::timestamptz), ('-infinity'), ('4713-01-01 00:00:00 UTC BC'), ('0001-12-31 23:59:59.999999 UTC BC'), ('0001-01-01 00:00:00 UTC'),
             ('1999-12-31 23:59:59.999999 UTC'), ('2000-01-01 UTC'), ('2024-02-29 23:59:59.999999 UTC'), ('9999-12-31 23:59:59.999999 UTC'), ('10000-01-01 UTC'), ('294276-12-31 UTC'),
             ('2025-03-04 00:30:00+05:45'), ('2025-03-04 23:30:00-08')) v(at);
SELECT lead_activity(-1, now(), 1, '1 day');
\echo :SQLSTATE
SELECT lead_activity(32768, now(), 1, '1 day');
SELECT lead_activity(1, now(), 1, '1 week');
\echo :SQLSTATE
SELECT lead_activity(1, now(), 1, '1 month');
SELECT lead_activity(1, now(), 1, '30 minutes');
SELECT lead_activity(1, now(), 1, '1 day 1 hour');

-- Rows: the constructor's inverse
SELECT * FROM unnest('day{0@2025-03-01:1,7@2025-03-04:2,9@*:1}'::lead_activity);
SELECT * FROM unnest('hour{1@0001-01-01T00:1,1@9999-12-31T23:-1,2@1999-12-31T23:1}'::lead_activity);
SELECT * FROM unnest('day{}'::lead_activity);
SELECT * FROM unnest(NULL::lead_activity);
SELECT unnest('day{1@*:1,2@*:3}'::lead_activity), unnest(ARRAY[1, 2, 3]) AS n;

-- Sum, difference, inverse
SELECT 'day{1@2025-01-01:2,2@*:1}'::lead_activity + 'day{1@2025-01-01:1,1@2025-01-02:5}' AS sum, 'day{1@2025-01-01:2,2@*:1}'::lead_activity - 'day{1@2025-01-01:2,1@2025-01-02:5}' AS difference,
       - 'day{1@2025-01-01:2,2@*:-1}'::lead_activity AS inverse, 'day{1@*:1}'::lead_activity - 'day{1@*:1}' AS nothing, 'day{1@*:1}'::lead_activity + NULL AS null;
SELECT 'day{}'::lead_activity + 'hour{}';
\echo :SQLSTATE
SELECT 'hour{1@*:1}'::lead_activity - 'day{1@*:1}';
SELECT 'day{}'::lead_activity = 'hour{}' AS same;

-- A few thousand activities of all sorts: i picks them, n is how many counts at most
CREATE FUNCTION noise(text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN ('x' || md5($1))::bit(60)::bigint;
CREATE FUNCTION some_activity(i bigint, n int, grain interval) RETURNS lead_activity LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
	SELECT coalesce(lead_activity_agg((CASE WHEN noise(i || 's' || k) % 5 = 0 THEN noise(i || 't' || k) % 32768 ELSE noise(i || 'u' || k) % 4 END)::int,
		CASE noise(i || 'b' || k) % 8 WHEN 0 THEN NULL WHEN 1 THEN '2000-01-01 UTC'::timestamptz + (noise(i || 'd' || k) % 120000000000 - 60000000000) * interval '1 second'
			ELSE '2025-01-01 UTC'::timestamptz + noise(i || 'e' || k) % 200 * interval '1 hour' END,
		CASE noise(i || 'c' || k) % 20 WHEN 0 THEN noise(i || 'f' || k) / 64 - (1::bigint << 53) WHEN 1 THEN -1 ELSE noise(i || 'g' || k) % 4 END, grain), lead_activity(0, NULL, 0, grain))
	FROM generate_series(1, noise(i || 'n') % (n + 1)) k $$;
CREATE TABLE sample AS
SELECT i, i % 3 = 0 AS hourly, some_activity(i, (ARRAY[3, 12, 40])[1 + i % 3], CASE WHEN i % 3 = 0 THEN '1 hour' ELSE '1 day' END::interval) AS a FROM generate_series(1, 3000) i;
-- their text and rows say all
SELECT count(*), count(DISTINCT a) > 2500 AS varied, bool_and(a::text::lead_activity = a) AS text,
       bool_and(a = (SELECT coalesce(lead_activity_agg(u.signal_id, u.bucket, u.count, CASE WHEN hourly THEN '1 hour' ELSE '1 day' END::interval), lead_activity(0, NULL, 0, CASE WHEN hourly THEN '1 hour' ELSE '1 day' END::interval)) FROM unnest(a) u)) AS rows
FROM sample;
SELECT bool_and(u.count <> 0) AS no_zero, bool_and(u.ordinality = 1 OR (u.signal_id, coalesce(u.bucket, '-infinity')) > (u.previous, u.previous_bucket)) AS in_order
FROM sample, LATERAL (SELECT *, lag(signal_id) OVER w AS previous, coalesce(lag(bucket) OVER w, '-infinity') AS previous_bucket FROM unnest(a) WITH ORDINALITY WINDOW w AS (ORDER BY ordinality)) u;
-- + is a group's
SELECT count(*), bool_and(x.a + y.a = y.a + x.a) AS commutes, bool_and((x.a + y.a) + z.a = x.a + (y.a + z.a)) AS associates, bool_and(x.a + y.a - y.a = x.a) AS cancels,
       bool_and(- (x.a + y.a) = (- x.a) - y.a) AS negates, bool_and(x.a - x.a = lead_activity(0, NULL, 0, CASE WHEN x.hourly THEN '1 hour' ELSE '1 day' END::interval)) AS inverts,
       bool_and(x.a + lead_activity(0, NULL, 0, CASE WHEN x.hourly THEN '1 hour' ELSE '1 day' END::interval) = x.a) AS identity, bool_and(- - x.a = x.a) AS twice
FROM sample x JOIN sample y ON y.i = x.i * 7 % 1000 * 3 + x.i % 3 JOIN sample z ON z.i = x.i * 11 % 1000 * 3 + x.i % 3;
-- the sum is the sum of the rows
SELECT bool_and(x.a + y.a = s.a)
FROM sample x JOIN sample y ON y.i = x.i + 3,
     LATERAL (SELECT coalesce(lead_activity_agg(u.signal_id, u.bucket, u.count, CASE WHEN x.hourly THEN '1 hour' ELSE '1 day' END::interval), lead_activity(0, NULL, 0, CASE WHEN x.hourly THEN '1 hour' ELSE '1 day' END::interval))
              FROM (SELECT * FROM unnest(x.a) UNION ALL SELECT * FROM unnest(y.a)) u) s(a);

-- Order: total, and equal means the same text
SELECT bool_and((x.a = y.a) = (x.a::text = y.a::text) AND (x.a <> y.a) = (x.a::text <> y.a::text) AND (x.a < y.a) = (y.a > x.a) AND (x.a <= y.a) = (NOT x.a > y.a)
       AND (x.a >= y.a) = (x.a > y.a OR x.a = y.a) AND sign(lead_activity_cmp(x.a, y.a)) = CASE WHEN x.a < y.a THEN -1 WHEN x.a = y.a THEN 0 ELSE 1 END
       AND (lead_activity_hash(x.a) = lead_activity_hash(y.a)) >= (x.a = y.a) AND (lead_activity_hash_extended(x.a, 5) = lead_activity_hash_extended(y.a, 5)) >= (x.a = y.a))
FROM sample x, sample y WHERE x.i <= 300 AND y.i % 17 = 0;
SELECT bool_and(lead_activity_hash_extended(a, 0)::bit(32) = lead_activity_hash(a)::bit(32)) FROM sample;
SELECT bool_and(a >= previous) FROM (SELECT a, lag(a) OVER (ORDER BY a) AS previous FROM sample) o;
SELECT amname, amvalidate(c.oid) FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod WHERE opcintype = 'lead_activity'::regtype ORDER BY amname;

-- DISTINCT and GROUP BY hashed and sorted, joins, indexes
CREATE FUNCTION plan_has(query text, part text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN ' || query LOOP
		IF strpos(line, part) > 0 THEN
			RETURN true;
		END IF;
	END LOOP;
	RETURN false;
END $$;
CREATE TABLE twice AS SELECT i, a FROM sample UNION ALL SELECT i, a::text::lead_activity FROM sample;
ANALYZE twice;
SET enable_hashagg = off;
SELECT plan_has('SELECT DISTINCT a FROM twice', 'Sort'), count(*) = (SELECT count(DISTINCT a::text) FROM sample) FROM (SELECT DISTINCT a FROM twice) d;
RESET enable_hashagg;
SET enable_sort = off;
SELECT plan_has('SELECT a, count(*) FROM twice GROUP BY a', 'HashAggregate'), count(*) = (SELECT count(DISTINCT a::text) FROM sample) FROM (SELECT a, count(*) FROM twice GROUP BY a) d;
RESET enable_sort;
SET enable_nestloop = off;
SET enable_mergejoin = off;
SELECT plan_has('SELECT FROM sample s JOIN twice t USING (a)', 'Hash Join'), count(*) = (SELECT sum(n * n * 2) FROM (SELECT count(*) AS n FROM sample GROUP BY a::text) c) FROM sample s JOIN twice t USING (a);
RESET enable_mergejoin;
SET enable_hashjoin = off;
SELECT plan_has('SELECT FROM sample s JOIN twice t USING (a)', 'Merge Join'), count(*) = (SELECT sum(n * n * 2) FROM (SELECT count(*) AS n FROM sample GROUP BY a::text) c) FROM sample s JOIN twice t USING (a);
RESET enable_hashjoin;
RESET enable_nestloop;
CREATE INDEX ON twice (a);
CREATE INDEX ON twice USING hash (a);
SET enable_seqscan = off;
SELECT count(*) FROM twice WHERE a = (SELECT a FROM sample WHERE i = 1000);
RESET enable_seqscan;
DROP TABLE twice;

-- Aggregates pass over rows without signal, count or grain; NULL over nothing
SELECT lead_activity_agg(s, at, n, g)
FROM (VALUES (1, '2025-01-01 UTC'::timestamptz, 1::bigint, '1 day'::interval), (1, '2025-01-01 23:00 UTC', 2, '24 hours'), (2, NULL, 1, '1 day'), (NULL, NULL, 1, '1 day'), (3, NULL, NULL, '1 day'), (4, NULL, 1, NULL), (5, NULL, 0, '1 day')) v(s, at, n, g);
SELECT lead_activity_agg(1, now(), 1, '1 day') FILTER (WHERE false) AS a, lead_activity_agg(NULL, now(), 1, '1 day') AS b, sum(NULL::lead_activity) AS c, sum(a) FILTER (WHERE false) AS d FROM sample;
SELECT sum(a) FROM (VALUES (NULL), ('day{1@*:1}'::lead_activity), ('day{1@*:2,2@*:1}'), (NULL), ('day{2@*:-1}')) v(a);
SELECT lead_activity_agg(1, now(), 1, g) FROM (VALUES ('1 day'::interval), ('1 hour')) v(g);
SELECT lead_activity_agg(32768, now(), 1, '1 day');
SELECT lead_activity_agg(1, now(), 1, '2 days');
SELECT sum(a) FROM sample;
SELECT sum(DISTINCT a), lead_activity_agg(DISTINCT 1, NULL, n, '1 day'), sum(a ORDER BY a DESC) FROM (VALUES ('day{1@*:1}'::lead_activity, 1), ('day{1@*:1}', 2), ('day{1@*:5}', 2)) v(a, n);

-- In parallel as in one process; a grain of its own in each group
CREATE TABLE count_row AS SELECT i, (noise(i || 's') % 40)::int AS signal_id, CASE WHEN i % 10 > 0 THEN '2025-01-01 UTC'::timestamptz + noise(i || 'a') % 400 * interval '1 hour' END AS at, noise(i || 'c') % 3 AS n, i % 4 AS lead FROM generate_series(1, 60000) i;
ALTER TABLE sample SET (parallel_workers = 2);
ALTER TABLE count_row SET (parallel_workers = 2);
ANALYZE sample;
ANALYZE count_row;
CREATE TABLE outcome (way text, lead int, agg lead_activity, total lead_activity);
SET max_parallel_workers_per_gather = 0;
INSERT INTO outcome SELECT 'serial', lead, lead_activity_agg(signal_id, at, n, CASE WHEN lead = 1 THEN '1 hour' ELSE '1 day' END::interval) FROM count_row GROUP BY lead;
INSERT INTO outcome SELECT 'serial', -1, NULL, sum(a) FROM sample WHERE NOT hourly;
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT plan_has('SELECT lead, lead_activity_agg(signal_id, at, n, ''1 day'') FROM count_row GROUP BY lead', 'Partial HashAggregate') AS agg,
       plan_has('SELECT sum(a) FROM sample WHERE NOT hourly', 'Partial Aggregate') AS sum, plan_has('SELECT sum(a) FROM sample WHERE NOT hourly', 'Gather') AS gather;
-- CREATE TABLE AS and SELECT may be parallel, INSERT may not
CREATE TABLE parallel_agg AS SELECT lead, lead_activity_agg(signal_id, at, n, CASE WHEN lead = 1 THEN '1 hour' ELSE '1 day' END::interval) AS agg FROM count_row GROUP BY lead;
CREATE TABLE parallel_sum AS SELECT sum(a) FROM sample WHERE NOT hourly;
SELECT lead, p.agg = o.agg AS same, (SELECT sum(u.count) FROM unnest(p.agg) u) = (SELECT sum(n) FROM count_row c WHERE c.lead = p.lead) AS complete FROM parallel_agg p JOIN outcome o USING (lead) ORDER BY lead;
SELECT p.sum = o.total FROM parallel_sum p JOIN outcome o ON lead = -1;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET max_parallel_workers_per_gather;
-- partitionwise: partial states of tuples, which are aligned to four bytes
CREATE TABLE part (k int, a lead_activity) PARTITION BY LIST (k);
CREATE TABLE part_0 PARTITION OF part FOR VALUES IN (0);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
INSERT INTO part SELECT i % 2, a FROM sample WHERE NOT hourly;
SET enable_partitionwise_aggregate = on;
SELECT plan_has('SELECT sum(a) FROM part', 'Partial Aggregate'), sum(a) = (SELECT total FROM outcome WHERE lead = -1) AS same FROM part;
RESET enable_partitionwise_aggregate;
DROP TABLE part, outcome, parallel_agg, parallel_sum;

-- Grouping sets share a pass over the rows
SELECT lead, n, (SELECT sum(u.count) FROM unnest(a) u) AS counts FROM (SELECT lead, n, lead_activity_agg(signal_id, at, 1, '1 day') AS a FROM count_row GROUP BY ROLLUP (lead, n)) g ORDER BY lead, n;

-- Window frames: a state goes on after it was looked at
SELECT i, lead_activity_agg(i, NULL, i, '1 day') OVER (ORDER BY i) AS running, sum(a) OVER (ORDER BY i ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) AS near,
       sum(a) OVER (ORDER BY i DESC) AS down, sum(a) OVER (ORDER BY i ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW EXCLUDE CURRENT ROW) AS before
FROM (SELECT i, lead_activity(i % 2, '2025-01-01 UTC'::timestamptz + i % 3 * interval '1 day', i, '1 day') AS a FROM generate_series(1, 6) i) v ORDER BY i;
SELECT bool_and(running = total) FROM (SELECT sum(a) OVER (ORDER BY i) AS running, (SELECT sum(a) FROM sample t WHERE t.i <= s.i AND t.i <= 60 AND NOT hourly) AS total FROM sample s WHERE i <= 60 AND NOT hourly) w;

-- Support functions called by hand, with anything
SELECT lead_activity_finalfn(NULL), lead_activity_combinefn(NULL, NULL), lead_activity_sum_transfn(NULL, NULL), lead_activity_agg_transfn(NULL, NULL, NULL, NULL, NULL);
SELECT lead_activity_finalfn(lead_activity_combinefn(lead_activity_sum_transfn(NULL, 'day{1@*:1}'), lead_activity_agg_transfn(lead_activity_sum_transfn(NULL, 'day{1@*:1}'), 2, NULL, 3, '1 day')));
SELECT lead_activity_finalfn(lead_activity_combinefn(lead_activity_sum_transfn(NULL, 'day{1@*:1}'), lead_activity_sum_transfn(NULL, 'hour{1@*:1}')));
SELECT lead_activity_finalfn('');
\echo :SQLSTATE
CREATE FUNCTION try_state(state bytea) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM lead_activity_finalfn(lead_activity_combinefn(state, state));
	PERFORM lead_activity_finalfn(lead_activity_sum_transfn(state, 'day{1@*:1}'));
	PERFORM lead_activity_finalfn(lead_activity_agg_transfn(state, 1, NULL, 1, '1 day'));
	RETURN lead_activity_finalfn(state);
EXCEPTION WHEN invalid_parameter_value OR datatype_mismatch THEN
	RETURN SQLERRM;
END $$;
-- a good state, cut off at every place and with every byte of its first half changed
SELECT outcome, count(*) > 0 FROM (SELECT try_state(substr(s, 1, n)) AS outcome FROM lead_activity_sum_transfn(NULL, 'day{1@*:1,3@2025-01-01:2}') s, generate_series(0, length(s) - 1) n) t GROUP BY outcome ORDER BY outcome COLLATE "C";
SELECT DISTINCT left(outcome, 3) IN ('day', 'hou', 'inv', 'can') AS clean FROM (SELECT try_state(set_byte(s, n, v)) AS outcome FROM lead_activity_sum_transfn(NULL, 'day{1@*:1,3@2025-01-01:2}') s, generate_series(0, 43) n, unnest(ARRAY[0, 1, 2, 127, 128, 255]) v) t;
SELECT DISTINCT try_state(decode(md5(i::text) || md5(i || 'x'), 'hex')) FROM generate_series(1, 500) i;
DROP FUNCTION try_state(bytea);

-- The binary form: sent values are read back; the bytes are the documented ones
SELECT lead_activity_send('day{}'), lead_activity_send('hour{}'), lead_activity_send('day{0@*:1}'), lead_activity_send('day{1@2000-01-01:1,1@2000-01-02:-1,1@2000-02-01:64,3@*:2,3@1999-12-31:1}');
\getenv abs_builddir PG_ABS_BUILDDIR
\cd :abs_builddir
CREATE TABLE copied (a lead_activity);
COPY (SELECT a FROM sample ORDER BY i) TO STDOUT (FORMAT binary) \g results/activity.data
\copy copied from 'results/activity.data' (format binary)
SELECT count(*), sum(hashtextextended(c.a::text, 0)) = (SELECT sum(hashtextextended(a::text, 0)) FROM sample) AS same FROM copied c;
TRUNCATE copied;
-- bytes that are no activity, one at a time: empty, version, grain, signal missing, buckets missing, no bucket at all, count missing, zero count, -2^63, needless byte, varint too long,
-- ... too large, signal beyond 32767 at once and in sum, bucket before and after the calendar, in the first and in a later one, more buckets than bytes, junk behind
COPY (VALUES (''::bytea)) TO STDOUT (FORMAT binary) \g results/activity.data
\copy copied from 'results/activity.data' (format binary)
COPY (VALUES ('\x2000'::bytea)) TO STDOUT (FORMAT binary) \g results/activity.data
\copy copied from 'results/activity.data' (format binary)
COPY (VALUES ('\x12'::bytea)) TO STDOUT (FORMAT binary) \g results/activity.data
\copy copied from 'results/activity.data' (format binary)
SELECT format('COPY (VALUES (%L::bytea)) TO STDOUT (FORMAT binary) \g results/activity.data', bytes) || E'\n' || '\copy copied from ''results/activity.data'' (format binary)'
FROM unnest('{1001,100100,100101,10010100,100101ffffffffffffffffff01,1001018100,100101ffffffffffffffffffff01,100101ffffffffffffffffff02,10808002000101,10ffff0101020001,10000289fabe030002,100002edd791020002,1000020000,100002808080801002,100004000202,10000400020102ffffffff0f02,1000ffffff7f0202,10000102ff}'::text[]) WITH ORDINALITY t(hex, n),
     LATERAL (SELECT '\x' || hex) b(bytes) ORDER BY n
\g (tuples_only=on format=unaligned) results/activity_bad.sql
\set ECHO none
\i results/activity_bad.sql
\set ECHO all
SELECT count(*) FROM copied;
-- Large: 100,000 counts, out of line
CREATE TABLE large AS SELECT lead_activity_agg(s % 100, '2000-01-01 UTC'::timestamptz + s / 100 * interval '1 day', s % 7 + 1, '1 day') AS a FROM generate_series(0, 99999) s;
SELECT count(*), sum(u.count), min(bucket), max(bucket) FROM large, unnest(a) u;
SELECT pg_column_size(a) < 260000 AS small, length(lead_activity_send(a)), md5(a::text), a::text::lead_activity = a AS same, a + a - a = a AS sum, a - a = 'day{}' AS nothing FROM large;
COPY (SELECT a FROM large) TO STDOUT (FORMAT binary) \g results/activity.data
\copy copied from 'results/activity.data' (format binary)
SELECT c.a = l.a FROM copied c, large l;
SELECT sum(l.a) = (SELECT lead_activity_agg(u.signal_id, u.bucket, u.count * 3, '1 day') FROM large, unnest(a) u) FROM large l, generate_series(1, 3);
-- Small: a typical lead, of 30 events of 6 signals in a quarter, and a profile
SELECT max(pg_column_size(a)) < 100 FROM (SELECT lead_activity_agg((noise(lead || 's' || k) % 6)::int + 1, CASE WHEN k > 4 THEN '2025-01-01 UTC'::timestamptz + noise(lead || 'd' || k) % 90 * interval '1 day' END, 1, '1 day') AS a
	FROM generate_series(1, 200) lead, generate_series(1, 34) k GROUP BY lead) s;

DROP TABLE sample, count_row, copied, large;
DROP FUNCTION some_activity(bigint, int, interval);
DROP FUNCTION noise(text);
DROP FUNCTION plan_has(text, text);
