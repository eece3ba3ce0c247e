-- lead_stage: text and binary form, order, indexes, what BI tools send

\set SHOW_CONTEXT errors
-- Without a search_path every name is qualified
SELECT * FROM leadscore.stages();
SELECT s.stage, leadscore.funnel_position(s.stage), leadscore.temperature(s.stage), leadscore.is_open(s.stage)
FROM leadscore.stages() s;
SELECT 'iql'::leadscore.lead_stage < 'mql',
       max(s.stage), min(s.stage), lower(max(s.stage))
FROM leadscore.stages() s;

-- Labels and ranks sort like stages
SELECT bool_and((a.stage < b.stage) = (a.stage_label < b.stage_label COLLATE "C")
       AND (a.stage < b.stage) = (a.stage_rank < b.stage_rank))
FROM leadscore.stages() a, leadscore.stages() b;

-- One byte, by value
SELECT typlen, typbyval, typalign, typstorage, typcategory, typispreferred FROM pg_type WHERE oid = 'leadscore.lead_stage'::regtype;

-- Every label is read back, in any case and between blanks
SELECT bool_and(t.name::leadscore.lead_stage = s.stage)
FROM leadscore.stages() s,
     LATERAL (VALUES (leadscore.text(s.stage)), (upper(s.stage)), (E' \t\n' || initcap(leadscore.text(s.stage)) || E'\r ')) t(name);

-- Synonyms
SELECT name, name::leadscore.lead_stage AS stage
FROM (VALUES ('lead'), ('Lead'), ('tofu'), ('TOFU'), ('information qualified lead'), ('Information Qualified Lead'),
             ('information_qualified_lead'),
             ('mofu'), ('marketing qualified lead'), ('Marketing-Qualified Lead'), ('MARKETING_QUALIFIED_LEAD'),
             ('bofu'), ('sales qualified lead'), ('sales-qualified lead'), ('Sales-Qualified-Lead'), ('sales  -  qualified __ lead'),
             ('opportunity'), ('Opportunity'), ('evangelist'), (' EVANGELIST ')) v(name);

-- Bad input: the hint lists the labels
SELECT 'hot lead'::leadscore.lead_stage;
\echo :SQLSTATE
SELECT ''::leadscore.lead_stage;
SELECT leadscore.lead_stage('warm'::text);
\echo :SQLSTATE
SELECT 'warm'::varchar::leadscore.lead_stage;
CREATE TABLE stage_bad (stage leadscore.lead_stage);
INSERT INTO stage_bad VALUES ('warm');
COPY stage_bad FROM stdin;
warm
\.
DROP TABLE stage_bad;

-- Which names are bad input: softly as well, where the server knows soft errors
CREATE FUNCTION read_stage(name text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	m text;
	h text;
BEGIN
	RETURN name::leadscore.lead_stage;
EXCEPTION WHEN invalid_text_representation THEN
	GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, h = PG_EXCEPTION_HINT;
	IF current_setting('server_version_num')::int >= 160000 THEN
		ASSERT (SELECT (message, hint, sql_error_code) = (m, h, '22P02') FROM pg_input_error_info(name, 'leadscore.lead_stage'));
	END IF;
	RETURN 'invalid';
END $$;
SELECT left(name, 30) AS name, read_stage(name) AS stage
FROM (VALUES ('   '), ('-'), ('m q l'), ('mq'), ('mqll'), ('mql.'), ('-mql'), ('mql_'), ('_lead'), ('qualified lead'), ('information'),
             ('salesqualifiedlead'), ('sales.qualified.lead'), ('sales qualified leads'), ('sales qualified lead -'),
             ('information qualified lead '), ('information qualified leads'),
             ('60'), ('06 mql'), ('null'), ('none'), ('hot'), ('exit'), ('sales qualified lead' || repeat(' ', 1000) || 'x')) v(name);
SELECT length(leadscore.text(('sales' || repeat(' ', 100000) || 'qualified' || repeat('_', 100000) || 'lead')::leadscore.lead_stage));
SELECT read_stage(repeat('x', 1000000));
DROP FUNCTION read_stage(text);

-- NULL
SELECT NULL::leadscore.lead_stage IS NULL AS a, NULL::text::leadscore.lead_stage IS NULL AS b,
       NULL::leadscore.lead_stage = 'mql' AS c, leadscore.stage_title(NULL) AS d, leadscore.is_open(NULL) AS e;

-- From here on as most sessions would work
SET search_path = public, leadscore;

-- Is there a line with this in the plan?
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

CREATE TABLE stage_lead (lead_id int PRIMARY KEY, stage lead_stage);
INSERT INTO stage_lead
SELECT i, (ARRAY['disqualified', 'lost', 'recycled', 'visitor', 'iql', 'mql', 'sql', 'prospect', 'customer', 'advocate'])[1 + i * i / 7 % 10]::lead_stage
FROM generate_series(1, 2000) i;
INSERT INTO stage_lead SELECT i, NULL FROM generate_series(2001, 2010) i;
INSERT INTO stage_lead VALUES (2011, 'lost'), (2012, 'recycled'), (2013, 'customer'), (2014, 'prospect');
COPY stage_lead FROM stdin;
3001	Opportunity
3002	sales_qualified_lead
3003	\N
3004	 MQL
\.
SELECT lead_id, stage FROM stage_lead WHERE lead_id > 3000 ORDER BY lead_id;
ANALYZE stage_lead;
SELECT max(pg_column_size(stage)) FROM stage_lead;

-- Order and counts
SELECT stage, count(*) FROM stage_lead GROUP BY stage ORDER BY stage;
SELECT stage, count(*) FROM stage_lead GROUP BY stage ORDER BY stage DESC NULLS LAST;
SELECT count(*) FILTER (WHERE stage < 'visitor') AS exits, count(*) FILTER (WHERE stage >= 'mql') AS from_mql,
       count(*) FILTER (WHERE is_open(stage)) AS open, count(*) FILTER (WHERE stage BETWEEN 'visitor' AND 'prospect') AS same,
       count(*) FILTER (WHERE stage <> 'mql') AS other, count(*) FILTER (WHERE stage <= 'iql') AS to_iql, count(*) FILTER (WHERE stage > 'mql') AS above
FROM stage_lead;
SELECT min(stage), max(stage), min(stage) FILTER (WHERE stage > 'visitor') AS lead, max(stage) FILTER (WHERE false) AS nothing FROM stage_lead;

-- All operators agree with the rank, and each other
SELECT bool_and((a.stage = b.stage) = (a.stage_rank = b.stage_rank)
       AND (a.stage <> b.stage) = (a.stage_rank <> b.stage_rank)
       AND (a.stage < b.stage) = (a.stage_rank < b.stage_rank)
       AND (a.stage <= b.stage) = (a.stage_rank <= b.stage_rank)
       AND (a.stage > b.stage) = (a.stage_rank > b.stage_rank)
       AND (a.stage >= b.stage) = (a.stage_rank >= b.stage_rank)
       AND sign(lead_stage_cmp(a.stage, b.stage)) = sign(a.stage_rank - b.stage_rank)
       AND (lead_stage_hash(a.stage) = lead_stage_hash(b.stage)) = (a.stage = b.stage)
       AND (lead_stage_hash_extended(a.stage, 7) = lead_stage_hash_extended(b.stage, 7)) = (a.stage = b.stage))
FROM stages() a, stages() b;
-- Hash partitioning needs the low half of the extended hash, without a seed, to be the plain one
SELECT bool_and(lead_stage_hash_extended(stage, 0)::bit(32) = lead_stage_hash(stage)::bit(32)) FROM stages();
SELECT amname, amvalidate(c.oid) FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod WHERE opcintype = 'lead_stage'::regtype ORDER BY amname;
SELECT aggfnoid::regprocedure, aggcombinefn, aggsortop::regoperator FROM pg_aggregate
WHERE aggtranstype = 'lead_stage'::regtype ORDER BY aggfnoid::regprocedure::text;

-- Parameters as drivers send them: text and varchar, counted right and by the index
CREATE INDEX ON stage_lead (stage);
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SET plan_cache_mode = force_generic_plan;
PREPARE by_varchar(varchar) AS SELECT count(*) FROM stage_lead WHERE stage = $1;
EXPLAIN (COSTS OFF) EXECUTE by_varchar('mql');
EXECUTE by_varchar('mql');
EXECUTE by_varchar('Marketing Qualified Lead');
EXECUTE by_varchar('warm');
PREPARE by_text(text) AS SELECT count(*) FROM stage_lead WHERE stage > $1;
EXPLAIN (COSTS OFF) EXECUTE by_text('mql');
EXECUTE by_text('mql');
PREPARE by_array(text[]) AS SELECT count(*) FROM stage_lead WHERE stage = ANY ($1);
EXPLAIN (COSTS OFF) EXECUTE by_array('{mql,sql}');
EXECUTE by_array('{mql,SQL,NULL}');
PREPARE put(int, varchar) AS INSERT INTO stage_lead VALUES ($1, $2) RETURNING *;
EXECUTE put(4001, 'bofu');
-- a list of varchar parameters is = OR =
SET enable_bitmapscan = on;
SET enable_indexscan = off;
PREPARE by_list(varchar, varchar) AS SELECT count(*) FROM stage_lead WHERE stage IN ($1, $2);
SELECT plan_has('EXECUTE by_list(''mql'', ''sql'')', 'Index Cond: (stage = ');
EXECUTE by_list('mql', 'sql');
SET enable_bitmapscan = off;
RESET enable_indexscan;
RESET plan_cache_mode;

-- Comparison with text means stages: alphabetically it would count others
SELECT count(*) FILTER (WHERE stage > 'mql'::varchar) AS right_count, count(*) FILTER (WHERE stage::text > 'mql') AS alphabetical FROM stage_lead;
SELECT count(*) FILTER (WHERE 'mql'::text < stage) AS left_side, count(*) FILTER (WHERE stage IN ('mql'::text, 'sql'::varchar)) AS listed,
       count(*) FILTER (WHERE stage = ANY (ARRAY['mql', 'sql'])) AS array_text, count(*) FILTER (WHERE stage NOT IN ('mql', 'sql')) AS not_listed,
       count(*) FILTER (WHERE stage IN ('mql', 'sql')) AS literals
FROM stage_lead;
SELECT count(*) FROM stage_lead s JOIN (VALUES ('mql'::text), ('Sales Qualified Lead')) v(name) ON s.stage = v.name;
SELECT castsource::regtype, casttarget::regtype, castcontext FROM pg_cast
WHERE 'lead_stage'::regtype IN (castsource, casttarget) ORDER BY castcontext, castsource::regtype::text, casttarget::regtype::text;
SELECT coalesce(stage, 'none') FROM stage_lead;
SELECT coalesce(stage, 'visitor'), coalesce(stage::text, 'none'), stage || '!' FROM stage_lead WHERE lead_id IN (2001, 3001) ORDER BY lead_id;
CREATE TEMP TABLE stage_name (t text, v varchar(12), c char(12));
INSERT INTO stage_name SELECT stage, stage, stage FROM stages();
SELECT count(*), count(*) FILTER (WHERE t::lead_stage = v AND v::lead_stage = c::lead_stage) AS same FROM stage_name;
DROP TABLE stage_name;

-- LIKE, ILIKE, lower(), upper()
SELECT stage, stage LIKE '%q%' AS like, stage NOT LIKE '%q%' AS not_like, stage ILIKE '%QL' AS ilike, stage NOT ILIKE '%QL' AS not_ilike,
       lower(stage), upper(stage)
FROM stages();
SELECT count(*) FILTER (WHERE stage LIKE 'm%') AS like, count(*) FILTER (WHERE lower(stage) = 'mql') AS lower,
       count(*) FILTER (WHERE upper(stage) IN ('MQL')) AS upper, count(*) FILTER (WHERE stage ILIKE 'M_L'::varchar) AS ilike,
       count(*) FILTER (WHERE stage LIKE ANY (ARRAY['m%', 's%'])) AS like_any, count(*) FILTER (WHERE stage LIKE NULL) AS none
FROM stage_lead;
SELECT stage FROM stages() WHERE stage LIKE 'm\';

-- The planner knows how many rows a pattern matches
SELECT plan_has('SELECT FROM stage_lead WHERE stage LIKE ''cust%''', 'rows=' || count(*)) FROM stage_lead WHERE stage = 'customer';

-- Ordinary text keeps its operators and functions
SELECT 'B'::varchar > 'a'::varchar COLLATE "C" AS a, lower('ABC'::varchar) AS b, upper('abc'::char(4)) AS c, lower('ABC') AS d, max(v) AS e, min(v::name::text) AS f,
       bool_and(v LIKE 'x%') AS g, 'x'::name LIKE 'x' AS h, 'x' LIKE 'x' AS i, bool_and(v IN ('xa', 'xb')) AS j, bool_and(v = ANY (ARRAY['xa', 'xb'])) AS k,
       max('c'::char(3)) AS l, min('d') AS m
FROM (VALUES ('xa'::varchar), ('xb')) t(v);

-- min and max read one end of the index
SELECT plan_has('SELECT max(stage) FROM stage_lead', 'Index Only Scan Backward'), plan_has('SELECT min(stage) FROM stage_lead', 'Limit');
SELECT min(stage), max(stage) FROM stage_lead;
-- Equal stages share an index entry
SELECT pg_relation_size('stage_lead_stage_idx') < 40000 AS deduplicated;
RESET enable_seqscan;
RESET enable_bitmapscan;

-- DISTINCT and GROUP BY, hashed and sorted
SET enable_hashagg = off;
SET enable_indexscan = off;
SET enable_indexonlyscan = off;
SELECT plan_has('SELECT DISTINCT stage FROM stage_lead', 'Sort'), plan_has('SELECT stage FROM stage_lead GROUP BY stage', 'Sort');
SELECT count(*), array_agg(stage ORDER BY stage) FROM (SELECT DISTINCT stage FROM stage_lead) d;
RESET enable_hashagg;
SET enable_sort = off;
SELECT plan_has('SELECT DISTINCT stage FROM stage_lead', 'HashAggregate');
SELECT count(*), array_agg(stage ORDER BY stage) FROM (SELECT DISTINCT stage FROM stage_lead) d;
RESET enable_sort;

-- Joins: hash and merge find the same
CREATE FUNCTION join_count() RETURNS bigint LANGUAGE sql AS
	'SELECT count(*) FROM stage_lead a JOIN stage_lead b ON a.stage = b.stage AND b.lead_id <= 50';
SET enable_nestloop = off;
SET enable_mergejoin = off;
SELECT plan_has('SELECT FROM stage_lead a JOIN stage_lead b ON a.stage = b.stage', 'Hash Join'), join_count();
RESET enable_mergejoin;
SET enable_hashjoin = off;
SELECT plan_has('SELECT FROM stage_lead a JOIN stage_lead b ON a.stage = b.stage', 'Merge Join'), join_count();
RESET enable_hashjoin;
RESET enable_nestloop;
DROP FUNCTION join_count();

-- Parallel aggregates
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
SELECT plan_has('SELECT min(stage), max(stage), count(*) FROM stage_lead WHERE stage LIKE ''%q%''', 'Partial Aggregate');
SELECT min(stage), max(stage), count(*) FROM stage_lead WHERE stage LIKE '%q%';
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET max_parallel_workers_per_gather;
RESET enable_indexscan;
RESET enable_indexonlyscan;

-- A hash index, and partitions by hash and range
CREATE TABLE stage_part (stage lead_stage) PARTITION BY HASH (stage);
CREATE TABLE stage_part_0 PARTITION OF stage_part FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE stage_part_1 PARTITION OF stage_part FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO stage_part SELECT stage FROM stages();
SELECT s.stage FROM stages() s WHERE (SELECT count(*) FROM stage_part p WHERE p.stage = s.stage) <> 1;
DROP TABLE stage_part;
CREATE TABLE stage_part (stage lead_stage) PARTITION BY RANGE (stage);
CREATE TABLE stage_exit PARTITION OF stage_part FOR VALUES FROM (MINVALUE) TO ('visitor');
CREATE TABLE stage_kept PARTITION OF stage_part FOR VALUES FROM ('visitor') TO (MAXVALUE);
INSERT INTO stage_part SELECT stage FROM stages();
SELECT tableoid::regclass, array_agg(stage ORDER BY stage) FROM stage_part GROUP BY tableoid ORDER BY tableoid::regclass::text;
DROP TABLE stage_part;
CREATE INDEX stage_lead_hash ON stage_lead USING hash (stage);
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SET enable_indexonlyscan = off;
DROP INDEX stage_lead_stage_idx;
SELECT plan_has('SELECT FROM stage_lead WHERE stage = ''mql''', 'stage_lead_hash'), count(*) FROM stage_lead WHERE stage = 'mql';
RESET enable_seqscan;
RESET enable_bitmapscan;
RESET enable_indexonlyscan;

-- stages() is inlined
SELECT plan_has('SELECT * FROM stages()', 'Values Scan');

-- Arrays
SELECT '{mql,SQL,"sales qualified lead",NULL}'::lead_stage[], 'mql' = ANY ('{iql,mql}'::lead_stage[]) AS any,
       array_position('{iql,mql}'::lead_stage[], 'mql'), greatest('mql'::lead_stage, 'lost', 'prospect');

-- The binary form is the label
SELECT stage, lead_stage_send(stage) = convert_to(lower(stage), 'UTF8') AS same FROM stages() WHERE stage IN ('mql', 'disqualified');
-- and is read like text
\getenv abs_builddir PG_ABS_BUILDDIR
\cd :abs_builddir
CREATE TABLE stage_copy (stage lead_stage);
COPY (SELECT stage FROM stage_lead) TO STDOUT (FORMAT binary) \g results/stage.data
\copy stage_copy from 'results/stage.data' (format binary)
SELECT count(*), count(stage), min(stage), max(stage) FROM stage_copy;
SELECT stage, count(*) FROM stage_copy GROUP BY stage EXCEPT ALL SELECT stage, count(*) FROM stage_lead GROUP BY stage;
TRUNCATE stage_copy;
COPY (VALUES ('MQL'::text), (' Sales-Qualified  Lead '), (NULL)) TO STDOUT (FORMAT binary) \g results/stage.data
\copy stage_copy from 'results/stage.data' (format binary)
TABLE stage_copy;
COPY (VALUES ('warm'::text)) TO STDOUT (FORMAT binary) \g results/stage.data
\copy stage_copy from 'results/stage.data' (format binary)
COPY (VALUES (''::text)) TO STDOUT (FORMAT binary) \g results/stage.data
\copy stage_copy from 'results/stage.data' (format binary)
-- bytes that are no text
COPY (VALUES ('\x6d716cff'::bytea)) TO STDOUT (FORMAT binary) \g results/stage.data
\copy stage_copy from 'results/stage.data' (format binary)
COPY (VALUES ('\x6d716c00'::bytea)) TO STDOUT (FORMAT binary) \g results/stage.data
\copy stage_copy from 'results/stage.data' (format binary)

-- Row-level security does not keep a filter from the index
CREATE INDEX ON stage_lead (stage);
CREATE ROLE regress_stage_reader;
GRANT SELECT ON stage_lead TO regress_stage_reader;
ALTER TABLE stage_lead ENABLE ROW LEVEL SECURITY;
CREATE POLICY small ON stage_lead USING (lead_id < 1000);
SET ROLE regress_stage_reader;
SET enable_seqscan = off;
SELECT plan_has('SELECT FROM stage_lead WHERE stage >= ''customer''', 'Index Cond: (stage >= '), count(*) FROM stage_lead WHERE stage >= 'customer';
RESET enable_seqscan;
RESET ROLE;

-- Every function of the type is strict, immutable, parallel safe and has a comment
SELECT p.oid::regprocedure FROM pg_proc p
WHERE (p.prosrc ~ '^lead_stage_' OR p.oid = 'stages()'::regprocedure
       OR p.prokind = 'a' AND p.prorettype = 'lead_stage'::regtype)
  AND (p.provolatile <> 'i' OR p.proparallel <> 's' OR obj_description(p.oid, 'pg_proc') IS NULL
       OR NOT p.proisstrict AND p.pronargs > 0 AND p.prokind = 'f');
SELECT o.oid::regoperator FROM pg_operator o
WHERE o.oprleft = 'lead_stage'::regtype AND (obj_description(o.oid, 'pg_operator') IS NULL OR o.oprrest = 0 OR o.oprjoin = 0 OR o.oprnegate = 0);

DROP TABLE stage_copy, stage_lead;
DROP FUNCTION plan_has(text, text);
DROP ROLE regress_stage_reader;
