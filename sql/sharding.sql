--
-- What lets a pipeline be spread over machines: leads and all that is theirs
-- by lead_id, the rest on each of them. Each query finds what breaks a rule.
--
SELECT leadscore.create_pipeline('crm') \g /dev/null

-- Where leads stand is read in another way when they are spread over nodes: of leads
-- that are up to date, due by time, behind the model and behind the signals
SELECT stage FROM crm.track('behind', 'case_study_download', profile => '{"budget": true}');
SELECT stage FROM crm.track('behind too', 'cart_abandoned', occurred_at => now() - interval '100 days');
INSERT INTO crm.signal (signal, event_kinds) VALUES ('late_one', '{cart_abandoned}');
SELECT stage FROM crm.track('behind the model', 'demo_request');
INSERT INTO crm.model (model) VALUES ('other');
INSERT INTO crm.dimension (model, dimension) VALUES ('other', 'engagement');
INSERT INTO crm.rule (model, dimension, rule, signal, points) VALUES ('other', 'engagement', 'late one', 'late_one', 40);
INSERT INTO crm.stage_rule (model, stage, min_score) VALUES ('other', 'iql', 30);
SELECT crm.activate_model('other') \g /dev/null
SELECT stage FROM crm.track('up to date', 'page_view');
SELECT stage FROM crm.track('due', 'page_view');
SET session_replication_role = replica;
UPDATE crm.lead_state SET next_review_at = now() - interval '1 hour' WHERE lead_id = crm.lead_id('due');
RESET session_replication_role;
SELECT external_id, due, l.stage, score FROM crm.lead_score l JOIN crm._lead_now n USING (lead_id) ORDER BY external_id COLLATE "C";
BEGIN;
CREATE TEMP TABLE here AS SELECT n::text AS lead FROM crm._lead_now n;
SELECT leadscore_internal.run_ddl('crm', 'distributed/lead_now');
SELECT count(*) FROM here FULL JOIN (SELECT n::text AS lead FROM crm._lead_now n) spread USING (lead) WHERE here IS NULL OR spread IS NULL;
SELECT count(*) FROM here JOIN (SELECT n::text AS lead FROM crm._lead_now n) spread USING (lead);
ROLLBACK;
-- what follows is about the views of nodes
SELECT leadscore_internal.run_ddl('crm', 'distributed/' || form) FROM unnest('{lead_now,stay,hot_leads,work_list}'::text[]) form \g /dev/null

-- The extension is code, which is on every node; it has nothing to distribute
SELECT c.oid::regclass, c.relkind FROM pg_depend d JOIN pg_class c ON c.oid = d.objid
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
        AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'leadscore') AND c.relkind <> 'v';

-- Tables with a lead_id, and the others, of which every node has a copy
CREATE TEMP VIEW tables AS
    SELECT c.oid, c.relname, a.attnum AS lead_id, a.atttypid = 'bigint'::regtype AND a.attnotnull AS good
    FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'lead_id'
    WHERE c.relnamespace = 'crm'::regnamespace AND c.relkind IN ('r', 'p');
SELECT relname FROM tables WHERE lead_id IS NOT NULL ORDER BY 1;
SELECT relname FROM tables WHERE NOT good;
SELECT relname FROM tables t WHERE NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.oid AND i.indisprimary);
-- unique keys contain lead_id, or they cannot be checked on one node. Three
-- exceptions: names of leads in the app, other names, of which every node has a
-- copy, and numbers of events. Before leads are distributed the keys of lead and
-- event are dropped; names stay unique as lead_id is computed
-- from them, and numbers by their sequence.
SELECT t.relname, i.indexrelid::regclass AS index FROM tables t JOIN pg_index i ON i.indrelid = t.oid
    WHERE t.lead_id IS NOT NULL AND i.indisunique AND i.indkey[0] <> t.lead_id ORDER BY i.indexrelid::regclass::text COLLATE "C";
-- foreign keys of leads' tables lead to the same lead, or to what every node has;
-- that of the lead that recommended another one is dropped as well
SELECT t.relname, k.conname FROM tables t JOIN pg_constraint k ON k.conrelid = t.oid JOIN tables f ON f.oid = k.confrelid
    WHERE f.lead_id IS NOT NULL AND (t.lead_id IS NULL OR k.conkey[1] <> t.lead_id OR k.confkey[1] <> f.lead_id);
SELECT t.relname, k.conname FROM tables t JOIN pg_constraint k ON k.conrelid = t.oid WHERE k.contype = 'x';
-- identity cannot be redistributed; numbers that a node gives need 8 bytes
SELECT t.relname, a.attname FROM tables t JOIN pg_attribute a ON a.attrelid = t.oid WHERE a.attidentity <> '';
SELECT t.relname, a.attname FROM tables t JOIN pg_attribute a ON a.attrelid = t.oid JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = a.attnum
    WHERE t.lead_id IS NOT NULL AND pg_get_expr(d.adbin, d.adrelid) ~ '^nextval' AND a.atttypid <> 'bigint'::regtype;
-- an OID is another one elsewhere
SELECT t.relname, a.attname FROM tables t JOIN pg_attribute a ON a.attrelid = t.oid JOIN pg_type y ON y.oid = a.atttypid
    WHERE a.attnum > 0 AND (y.typname ~ '^_?(oid|reg[a-z]+)$');

-- Functions: what would forbid two-phase commit. That C functions keep to it,
-- too, a test with prepared transactions shows.
SELECT p.oid::regprocedure FROM pg_proc p
    WHERE p.pronamespace IN ('leadscore'::regnamespace, 'leadscore_internal'::regnamespace, 'crm'::regnamespace) AND p.prolang <> (SELECT oid FROM pg_language WHERE lanname = 'c') AND p.prokind = 'f'
        AND pg_get_functiondef(p.oid) ~* '\m(NOTIFY|UNLISTEN|LISTEN|pg_notify|CREATE\s+(GLOBAL\s+|LOCAL\s+)?TEMP(ORARY)?|INTO\s+TEMP(ORARY)?|pg_(try_)?advisory_lock(_shared)?|WITH\s+HOLD)\M';

-- Citus copies an object after all that it depends on, and takes for a dependency
-- of a table every function that is named by what names the table: a rule, a
-- default, a constraint, a trigger. A table that depends on itself is refused. So a
-- function that reads tables has its body as a string, which records nothing.
WITH RECURSIVE named AS (
    SELECT DISTINCT d.refobjid AS table, f.refobjid AS function
    FROM pg_depend d JOIN tables t ON t.oid = d.refobjid AND d.refclassid = 'pg_class'::regclass
        JOIN pg_depend f ON f.classid = d.classid AND f.objid = d.objid AND f.refclassid = 'pg_proc'::regclass
        JOIN pg_proc p ON p.oid = f.refobjid AND p.pronamespace IN ('crm'::regnamespace, 'crm_reports'::regnamespace)
    WHERE d.deptype = 'n' OR d.deptype = 'a' AND d.refobjsubid <> 0
), edge AS (
    SELECT n.table AS from_oid, n.function AS to_oid FROM named n
    UNION
    SELECT d.objid, d.refobjid FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid AND p.pronamespace IN ('crm'::regnamespace, 'crm_reports'::regnamespace)
    WHERE d.classid = 'pg_proc'::regclass AND d.refclassid IN ('pg_proc'::regclass, 'pg_class'::regclass)
    UNION
    SELECT k.conrelid, k.confrelid FROM pg_constraint k JOIN tables t ON t.oid = k.conrelid WHERE k.contype = 'f' AND k.conrelid <> k.confrelid
), reached AS (
    SELECT e.from_oid, e.to_oid FROM edge e JOIN tables t ON t.oid = e.from_oid
    UNION
    SELECT r.from_oid, e.to_oid FROM reached r JOIN edge e ON e.from_oid = r.to_oid
)
SELECT r.from_oid::regclass AS circular FROM reached r WHERE r.from_oid = r.to_oid ORDER BY 1;
SELECT DISTINCT p.oid::regprocedure AS bound FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_class'::regclass
    WHERE p.pronamespace IN ('crm'::regnamespace, 'crm_reports'::regnamespace);
-- parameters of a function in SQL are unknown when its queries are planned
SELECT p.oid::regprocedure AS in_sql FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang AND l.lanname = 'sql'
    WHERE p.pronamespace IN ('crm'::regnamespace, 'crm_reports'::regnamespace) AND p.pronargs > 0 AND p.prosqlbody IS NULL;
-- a trigger that also fires on TRUNCATE would be on no shard
SELECT g.tgrelid::regclass, g.tgname FROM pg_trigger g WHERE NOT g.tgisinternal AND g.tgtype & 32 <> 0 AND g.tgtype & 28 <> 0;
-- ON CONFLICT goes by columns
SELECT p.oid::regprocedure AS by_constraint FROM pg_proc p WHERE p.pronamespace = 'crm'::regnamespace AND p.prosrc ~* 'ON\s+CONFLICT\s+ON\s+CONSTRAINT';

-- Aggregates: partial results of nodes can be combined; a fit needs all rows in one
-- place, and a funnel those of one lead, which are
SELECT a.aggfnoid::regprocedure FROM pg_aggregate a JOIN pg_proc p ON p.oid = a.aggfnoid
    WHERE p.pronamespace IN ('leadscore'::regnamespace, 'leadscore_internal'::regnamespace, 'crm'::regnamespace) AND (a.aggtranstype = 'internal'::regtype OR a.aggcombinefn = 0) AND p.proname !~ '^(logistic|event_funnel$)';

-- Views
CREATE TEMP VIEW views AS
    SELECT c.oid, c.relname, r.ev_action::text AS tree
    FROM pg_class c JOIN pg_rewrite r ON r.ev_class = c.oid
    WHERE c.relnamespace IN ('crm'::regnamespace, 'crm_reports'::regnamespace) AND c.relkind = 'v';
SELECT DISTINCT v.relname, p.oid::regprocedure
    FROM views v CROSS JOIN LATERAL regexp_matches(v.tree, ':(?:funcid|opfuncid|aggfnoid|winfnoid) (\d+)', 'g') AS f (id) JOIN pg_proc p ON p.oid = f.id[1]::oid
    WHERE p.provolatile = 'v';
-- no function that reads leads is called for rows, where it would be a query
-- inside of a distributed one. Exceptions, which are for one lead at a time:
-- _content_name() shows of an event what readers of lead_origin and lead_profile
-- may not look at themselves, _event_text(), _score_after() and _suppressed() what
-- readers of lead_timeline may not, where _done_kind() reads nothing at all,
-- _deadline_at() of a profile what readers of hot_leads and lead_dim may not, and
-- _last_outcome() of an event what readers of work_list may not;
-- _step_holds() reads signals and segments alone, which are on every node;
-- pipeline_forecast calls its function once, for all of its rows, and so do
-- purchases and refunds, with the keys of all refunds.
SELECT DISTINCT p.oid::regprocedure
    FROM views v CROSS JOIN LATERAL regexp_matches(v.tree, ':funcid (\d+)', 'g') AS f (id) JOIN pg_proc p ON p.oid = f.id[1]::oid
    WHERE p.pronargs > 0 AND p.pronamespace IN ('crm'::regnamespace, 'crm_reports'::regnamespace);
SELECT relname FROM views WHERE pg_get_viewdef(oid) ~* '\m(GROUPING SETS|ROLLUP|CUBE|RECURSIVE)\M';
-- no subquery in a select list: between the brackets that follow it in the tree
WITH token AS MATERIALIZED (
    SELECT v.relname, t.place, t.m[1] AS token,
        sum(CASE WHEN t.m[1] IN ('(', '{') THEN 1 WHEN t.m[1] IN (')', '}') THEN -1 ELSE 0 END) OVER (PARTITION BY v.oid ORDER BY t.place) AS depth
    FROM views v CROSS JOIN LATERAL regexp_matches(v.tree, '(\\.|[(){}]|:targetList|SUBLINK)', 'g') WITH ORDINALITY AS t (m, place)
    WHERE v.tree ~ '\{SUBLINK'
)
SELECT DISTINCT l.relname FROM token l JOIN token s USING (relname)
    WHERE l.token = ':targetList' AND s.token = 'SUBLINK' AND s.place > l.place
        AND NOT EXISTS (SELECT FROM token e WHERE e.relname = l.relname AND e.place > l.place AND e.place < s.place AND e.depth <= l.depth);
-- Aggregates in views that nodes cannot combine: medians and lists of texts
-- need all rows in one place. The others that have an internal state are sums
-- and means of numbers, and arrays, which every distributing engine takes apart
-- itself.
SELECT DISTINCT p.proname
    FROM views v CROSS JOIN LATERAL regexp_matches(v.tree, ':aggfnoid (\d+)', 'g') AS f (id)
        JOIN pg_aggregate a ON a.aggfnoid = f.id[1]::oid JOIN pg_proc p ON p.oid = a.aggfnoid
    WHERE (a.aggtranstype = 'internal'::regtype OR a.aggcombinefn = 0) AND p.proname NOT IN ('sum', 'avg', 'array_agg')
    ORDER BY 1;

DROP SCHEMA crm, crm_reports CASCADE;
