--
-- Pipelines: their life, their shape, and the functions of their own
--

-- Refused arguments
SELECT * FROM leadscore.create_pipeline(NULL);
SELECT * FROM leadscore.create_pipeline('');
SELECT * FROM leadscore.create_pipeline(repeat('x', 41));
SELECT * FROM leadscore.create_pipeline('pg_leads');
SELECT * FROM leadscore.create_pipeline('information_schema');
SELECT * FROM leadscore.create_pipeline('leadscore');
SELECT * FROM leadscore.create_pipeline('public');
SELECT * FROM leadscore.create_pipeline('p', 'inbond');
SELECT * FROM leadscore.create_pipeline('p', NULL);
SELECT * FROM leadscore.create_pipeline('p', grain => '1 week');
SELECT * FROM leadscore.create_pipeline('p', grain => NULL);
SELECT * FROM leadscore.create_pipeline('p', attach => NULL);
\set VERBOSITY terse
SELECT leadscore.attach_pipeline('p');
SELECT leadscore.attach_pipeline('public');
SELECT leadscore.detach_pipeline(NULL);
SELECT leadscore.upgrade_pipeline('p');
SELECT leadscore.grant_app('p', 'nobody');
SELECT leadscore.grant_reader('p', 'nobody');
\set VERBOSITY default

-- Life
SET search_path = pg_catalog;
SELECT * FROM leadscore.create_pipeline('p');
SHOW search_path;
SELECT * FROM leadscore.create_pipeline('p');
SELECT * FROM leadscore.create_pipeline('Odd "name"', 'inbound', '24 hours', attach => false);
SELECT * FROM leadscore.create_pipeline('p_hour', 'empty', '60 minutes');
SELECT layout_version, grain, time_zone, currency, mature_after, first_response_within FROM p.setting;
SELECT grain FROM "Odd ""name""".setting;
SELECT grain FROM p_hour.setting;
SELECT leadscore.grant_app('p', 'nobody');

-- Attaching and detaching, once and twice
SELECT leadscore.attach_pipeline('Odd "name"'), leadscore.attach_pipeline('Odd "name"');
SELECT leadscore.detach_pipeline('Odd "name"'), leadscore.detach_pipeline('Odd "name"');
SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger
    WHERE tgrelid IN ('p.event'::regclass, 'p.lead'::regclass, '"Odd ""name""".event'::regclass, '"Odd ""name""".lead'::regclass)
        AND NOT tgisinternal
    ORDER BY 1, 2;
DROP SCHEMA "Odd ""name""", "Odd ""name""_reports" CASCADE;

-- From nothing to a score: a signal, a model, by the hour
INSERT INTO p_hour.signal (signal, event_kinds, condition) VALUES ('ping', '{ping}', '$.loud == true');
INSERT INTO p_hour.model (model) VALUES ('first');
INSERT INTO p_hour.dimension (model, dimension) VALUES ('first', 'noise');
INSERT INTO p_hour.rule (model, rule, dimension, signal, points, decay, decay_period) VALUES ('first', 'pinged', 'noise', 'ping', 10, 'linear', '4 hours');
INSERT INTO p_hour.stage_rule (model, stage, min_score) VALUES ('first', 'mql', 15);
SELECT stage, score FROM p_hour.track('x', 'ping', '{"loud": true}', '2025-03-01 10:59Z');
SELECT p_hour.activate_model('first', wait => true);
SELECT stage FROM p_hour.track('x', 'ping', '{"loud": true}', '2025-03-01 11:00Z');
SELECT stage FROM p_hour.track('x', 'ping', '{"loud": "yes"}', '2025-03-01 11:00Z');
SELECT h, p_hour.score('x', '2025-03-01 10:00Z'::timestamptz + h * interval '1 hour') FROM generate_series(-1, 6) h;
SELECT to_stage, effective_at, cause, model, score FROM p_hour.stage_history ORDER BY seq;
SELECT external_id, stage, engagement, fit, grade, last_activity_at FROM p_hour.lead_score;
SELECT kind, reason FROM p_hour.unscored_events;
SELECT * FROM p_hour.verify();
DROP SCHEMA p_hour, p_hour_reports CASCADE;

-- A pipeline is right wherever it stands, and whatever it is called
ALTER SCHEMA p RENAME TO q;
SELECT lead_id, event_id, score, stage, stage_changed, duplicate FROM q.track('renamed', 'page_view');
SELECT leadscore.upgrade_pipeline('q');
SELECT * FROM q.verify();
DELETE FROM q.lead;
ALTER SCHEMA q RENAME TO p;
SELECT leadscore.upgrade_pipeline('p');

-- An upgrade to the same version changes nothing
SELECT leadscore.upgrade_pipeline('p') \g /dev/null
CREATE TEMP TABLE before AS
    SELECT p.oid::regprocedure::text AS object, pg_get_functiondef(p.oid) AS definition, p.proacl::text AS acl
    FROM pg_proc p WHERE p.pronamespace = 'p'::regnamespace
    UNION ALL
    SELECT c.oid::regclass::text, pg_get_viewdef(c.oid), c.reloptions::text
    FROM pg_class c WHERE c.relnamespace = 'p'::regnamespace AND c.relkind = 'v'
    UNION ALL
    SELECT t.tgrelid::regclass || '.' || t.tgname, pg_get_triggerdef(t.oid), t.tgenabled::text
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE c.relnamespace = 'p'::regnamespace AND NOT t.tgisinternal;
SELECT leadscore.upgrade_pipeline('p');
SELECT object FROM (
    SELECT p.oid::regprocedure::text AS object, pg_get_functiondef(p.oid) AS definition, p.proacl::text AS acl
    FROM pg_proc p WHERE p.pronamespace = 'p'::regnamespace
    UNION ALL
    SELECT c.oid::regclass::text, pg_get_viewdef(c.oid), c.reloptions::text
    FROM pg_class c WHERE c.relnamespace = 'p'::regnamespace AND c.relkind = 'v'
    UNION ALL
    SELECT t.tgrelid::regclass || '.' || t.tgname, pg_get_triggerdef(t.oid), t.tgenabled::text
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE c.relnamespace = 'p'::regnamespace AND NOT t.tgisinternal
    EXCEPT TABLE before) x;

-- A dump is written without search_path: what it says must be understood so
BEGIN;
SET LOCAL search_path = '';
DO $$
DECLARE
    definition text;
BEGIN
    FOR definition IN
        SELECT pg_get_functiondef(p.oid) FROM pg_proc p WHERE p.pronamespace = 'p'::regnamespace
        UNION ALL
        SELECT format('CREATE OR REPLACE VIEW %s WITH (security_invoker) AS %s', c.oid::regclass, pg_get_viewdef(c.oid))
        FROM pg_class c WHERE c.relnamespace = 'p'::regnamespace AND c.relkind = 'v'
    LOOP
        EXECUTE definition;
    END LOOP;
END
$$;
ROLLBACK;

-- Shape: each query finds what breaks a promise, and must find nothing.
-- Everything has a comment,
SELECT c.relname, a.attname
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'p'::regnamespace AND c.relkind IN ('r', 'v') AND a.attnum > 0 AND NOT a.attisdropped AND c.relname !~ '^_'
        AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid, 'pg_class') IS NULL);
SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'p'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL;
-- views have plain columns, respect the reader's rights, and show the stage with its rank,
SELECT c.relname, a.attname, a.atttypid::regtype
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'p'::regnamespace AND c.relkind = 'v' AND a.attnum > 0 AND c.relname !~ '^(_|stage_history$)'
        AND format_type(a.atttypid, a.atttypmod) NOT IN
            ('text', 'boolean', 'integer', 'bigint', 'double precision', 'numeric(14,2)', 'date', 'timestamp with time zone');
SELECT c.relname FROM pg_class c
    WHERE c.relnamespace = 'p'::regnamespace AND c.relkind = 'v' AND c.reloptions IS DISTINCT FROM '{security_invoker=true}';
SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'p'::regnamespace AND c.relkind = 'v' AND c.relname !~ '^_' AND a.attname IN ('stage', 'stage_rank')
    GROUP BY c.relname HAVING count(*) <> 2;
SELECT c.relname, a.attname
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'p'::regnamespace AND c.relkind = 'v' AND a.attnum > 0 AND c.relname !~ '^(_|stage_history$)'
        AND CASE a.atttypid WHEN 'timestamptz'::regtype THEN a.attname !~ '_at$' WHEN 'date'::regtype THEN a.attname !~ '_(date|month)$' END;
-- there are no materialized views, no identity columns, no tables without primary key,
SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'p'::regnamespace AND c.relkind = 'm';
SELECT a.attrelid::regclass, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'p'::regnamespace AND a.attidentity <> '';
SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'p'::regnamespace AND c.relkind = 'r'
    AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary);
-- tables about leads have lead_id first in keys, but for external_id and event_id,
SELECT i.indexrelid::regclass
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'lead_id' JOIN pg_index i ON i.indrelid = c.oid
    WHERE c.relnamespace = 'p'::regnamespace AND i.indisunique AND i.indkey[0] <> a.attnum
    ORDER BY i.indexrelid::regclass::text COLLATE "C";
-- sequences belong to columns, defaults need no schema in search_path,
SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'p'::regnamespace AND c.relkind = 'S'
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'a');
-- lead and event use no type of the extension,
SELECT a.attrelid::regclass, a.attname FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid IN ('p.lead'::regclass, 'p.event'::regclass) AND a.attnum > 0 AND t.typnamespace = 'leadscore'::regnamespace;
-- functions have texts that trust no search_path, and those with the owner's rights are not for PUBLIC,
SELECT p.proname FROM pg_proc p WHERE p.pronamespace IN ('p'::regnamespace, 'p_reports'::regnamespace) AND p.prosqlbody IS NULL
    AND p.prokind <> 'p' AND p.prolang <> (SELECT l.oid FROM pg_language l WHERE l.lanname = 'leadscore')
    AND ('search_path=pg_catalog, pg_temp' = ANY (p.proconfig)) IS NOT TRUE;
-- what plans without scans of whole tables is not compiled for the cost of one that is left,
SELECT p.proname FROM pg_proc p WHERE p.pronamespace IN ('p'::regnamespace, 'p_reports'::regnamespace)
    AND 'enable_seqscan=off' = ANY (p.proconfig) AND NOT 'jit=off' = ANY (p.proconfig);
SELECT p.proname FROM pg_proc p
    WHERE p.pronamespace IN ('p'::regnamespace, 'p_reports'::regnamespace)
        AND (p.prosecdef OR p.prolang = (SELECT l.oid FROM pg_language l WHERE l.lanname = 'leadscore')) AND has_function_privilege('public', p.oid, 'EXECUTE');
-- nor do they, or views that they use, sort or group by stages: pg_upgrade restores operator classes after them,
WITH RECURSIVE body (classid, objid, object, definition) AS (
    SELECT 'pg_proc'::regclass::oid, p.oid, p.oid::regproc::text, p.prosqlbody::text
    FROM pg_proc p WHERE p.pronamespace IN ('p'::regnamespace, 'leadscore'::regnamespace, 'leadscore_internal'::regnamespace) AND p.prosqlbody IS NOT NULL
    UNION
    SELECT 'pg_rewrite'::regclass::oid, r.oid, r.ev_class::regclass::text, r.ev_action::text
    FROM body b
        JOIN pg_depend d ON d.classid = b.classid AND d.objid = b.objid AND d.refclassid = 'pg_class'::regclass
        JOIN pg_rewrite r ON r.ev_class = d.refobjid
)
SELECT DISTINCT b.object, o.oid::regoperator
    FROM body b, regexp_matches(b.definition, ':(?:sortop|eqop) (\d+)', 'g') AS m JOIN pg_operator o ON o.oid = m[1]::oid
        JOIN pg_proc f ON f.oid = o.oprcode
    WHERE f.pronamespace = 'leadscore'::regnamespace;
-- names leave room for the numbers of shards,
SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'p'::regnamespace AND length(c.relname) > 50;
-- nothing but the schema's objects is in the schema.
SELECT d.deptype, count(*) FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid
    WHERE e.extname = 'leadscore' AND d.classid = 'pg_class'::regclass AND d.deptype = 'e' AND d.objid NOT IN ('leadscore.pipelines'::regclass, 'leadscore.progress'::regclass) GROUP BY 1;

-- What tables refuse
\set VERBOSITY terse
INSERT INTO p.lead (kind) VALUES ('robot');
INSERT INTO p.lead (market) VALUES ('b2g');
INSERT INTO p.lead (profile) VALUES ('[]');
INSERT INTO p.setting DEFAULT VALUES;
UPDATE p.setting SET time_zone = 'Mars/Olympus';
UPDATE p.setting SET currency = 'euro';
INSERT INTO p.signal (signal, source, condition) VALUES ('s', 'profile', NULL);
INSERT INTO p.signal (signal, event_kinds) VALUES ('s', '{}');
INSERT INTO p.value_list VALUES ('no list', 'x');
INSERT INTO p.model (model, min_score, max_score) VALUES ('m', 5, 4);
INSERT INTO p.model (model, demotion_margin) VALUES ('m', 0.0001);
INSERT INTO p.model (model, status) VALUES ('m', 'active');
INSERT INTO p.benchmark (metric, low, high) VALUES ('m', 2, 1);
INSERT INTO p.cost (day_from, day_to, amount) VALUES ('2025-02-01', '2025-01-31', 1);
BEGIN;
INSERT INTO p.model (model) VALUES ('m');
INSERT INTO p.dimension (model, dimension) VALUES ('m', 'd');
SAVEPOINT s;
INSERT INTO p.rule (model, rule, dimension, signal, points) VALUES ('m', 'r', 'd', 'nothing', 1);
ROLLBACK TO s;
INSERT INTO p.rule (model, rule, dimension, signal, points) VALUES ('m', 'r', 'd', 'page_view', 0.0005);
ROLLBACK TO s;
INSERT INTO p.rule (model, rule, dimension, signal, points, max_points) VALUES ('m', 'r', 'd', 'page_view', 1, -1);
ROLLBACK TO s;
INSERT INTO p.rule (model, rule, dimension, signal, points, decay) VALUES ('m', 'r', 'd', 'page_view', 1, 'half_life');
ROLLBACK TO s;
INSERT INTO p.rule (model, rule, dimension, signal, points, decay, decay_period) VALUES ('m', 'r', 'd', 'page_view', 1, 'half_life', '1 month');
ROLLBACK TO s;
INSERT INTO p.rule (model, rule, dimension, signal, points, limit_count) VALUES ('m', 'r', 'd', 'page_view', 1, 3);
ROLLBACK TO s;
INSERT INTO p.rule (model, rule, dimension, signal, points, aggregate) VALUES ('m', 'r', 'd', 'page_view', 1, 'idle');
ROLLBACK TO s;
INSERT INTO p.rule (model, rule, dimension, signal, points, aggregate) VALUES ('m', 'r', 'd', 'page_view', 1, 'tier');
ROLLBACK TO s;
INSERT INTO p.stage_gate (model, stage, gate) VALUES ('m', 'mql', 'g');
ROLLBACK TO s;
INSERT INTO p.stage_gate (model, stage, gate, dimension) VALUES ('m', 'mql', 'g', 'd');
ROLLBACK TO s;
INSERT INTO p.stage_rule (model, stage, sla) VALUES ('m', 'mql', '90 seconds');
ROLLBACK;
\set VERBOSITY default

-- Periods: what IntervalStyle says does not matter
BEGIN;
SET LOCAL intervalstyle = 'iso_8601';
SELECT i, p.period_text(i) FROM unnest('{1 day,24 hours,36 hours,90 min,90 s,1 month,1 year,0,-1 day,7 days}'::interval[]) i;
ROLLBACK;

-- Tracking
SELECT lead_id > 0 AS lead_id, event_id > 0 AS event_id, stage, stage_changed, duplicate
    FROM p.track('t1', 'page_view', '{"page": "/"}', '2025-03-01 10:00Z', channel => 'seo', source_id => 'e1',
        profile => '{"email": "t1@mail.example", "consent": true, "employees": 10}');
SELECT external_id, kind, email, channel, profile, consented_at, contact_allowed, created_at, updated_at FROM p.lead WHERE external_id = 't1';
-- the same event again: nothing but the profile is taken
SELECT stage, stage_changed, duplicate, event_id = (SELECT event_id FROM p.event WHERE source_id = 'e1') AS same_event
    FROM p.track('t1', 'page_view', '{"page": "/"}', '2025-03-02 10:00Z', channel => 'email', source_id => 'e1',
        profile => '{"employees": null, "job_title": "clerk", "owner": "ann", "contact_allowed": true}');
SELECT external_id, email, channel, owner, profile, consented_at, contact_allowed, created_at, updated_at FROM p.lead WHERE external_id = 't1';
-- consent taken back
SELECT stage, stage_changed FROM p.track('t1', 'page_view', occurred_at => '2025-03-03 10:00Z', profile => '{"consent": false, "email": null}');
SELECT email, consented_at, updated_at FROM p.lead WHERE external_id = 't1';
SELECT seq, cycle, from_stage, to_stage, effective_at, cause FROM p.stage_history WHERE lead_id = p.lead_id('t1') ORDER BY seq;
-- refused arguments
SELECT * FROM p.track(NULL, 'page_view');
SELECT * FROM p.track('t1', NULL);
SELECT * FROM p.track('', 'page_view');
SELECT * FROM p.track('t1', 'page_view', profile => '"x"');
SELECT * FROM p.track('t1', 'page_view', profile => '{"consent": "perhaps"}');
\set VERBOSITY terse
SELECT * FROM p.track('t1', 'page_view', profile => '{"market": "b2g"}');
\set VERBOSITY default
SELECT count(*) FROM p.event;

-- Leads without events
SELECT p.upsert_lead('t2', 'T2@mail.example', '{"phone": "1"}', organization => 'ACME', market => 'b2b', consent => true, at => '2025-03-01') > 0;
SELECT p.upsert_lead('t2', profile => '{"phone": null}', country => 'DE', at => '2025-03-02') = p.lead_id('t2');
SELECT email, organization, market, country, profile, consented_at, created_at, updated_at FROM p.lead WHERE external_id = 't2';
SELECT p.lead_id('nobody');

-- Many at once; a failure names the element
SELECT * FROM p.track_many('[
    {"external_id": "m1", "kind": "page_view", "occurred_at": "2025-03-02T12:00:00Z", "source_id": "1", "profile": {"email": "m1@mail.example", "a": 2}},
    {"external_id": "m1", "kind": "product_page_view", "occurred_at": "2025-03-01T12:00:00Z", "source_id": "2", "channel": "seo", "profile": {"consent": true, "a": 1, "b": 1}},
    {"external_id": "m2", "kind": "purchase", "occurred_at": "2025-03-01T12:00:00Z", "value": 99.90, "properties": {"order": 1}},
    {"external_id": "m1", "kind": "page_view", "occurred_at": "2025-03-02T12:00:00Z", "source_id": "1"},
    {"external_id": "t1", "kind": "page_view", "occurred_at": "2025-03-01T10:00:00Z", "source_id": "e1"}]');
SELECT external_id, email, channel, profile, consented_at, created_at FROM p.lead WHERE external_id LIKE 'm%' ORDER BY 1;
SELECT l.external_id, e.kind, e.occurred_at, e.value, e.channel, e.properties, e.source_id
    FROM p.event e JOIN p.lead l USING (lead_id) WHERE l.external_id LIKE 'm%' ORDER BY 1, 3, 2;
SELECT * FROM p.track_many('[]');
SELECT * FROM p.track_many(NULL);
SELECT * FROM p.track_many('{}');
SELECT * FROM p.track_many('[{"external_id": "m3", "kind": "page_view"}, 1]');
SELECT * FROM p.track_many('[{"external_id": "m3", "kind": "page_view"}, {"external_id": "m3"}]');
SELECT * FROM p.track_many('[{"external_id": "m3", "kind": "page_view"}, {"kind": "page_view"}]');
SELECT * FROM p.track_many('[{"external_id": "m3", "kind": "page_view"}, {"external_id": "m3", "kind": "page_view", "occured_at": "now"}]');
SELECT * FROM p.track_many('[{"external_id": "m3", "kind": "page_view"}, {"external_id": "m3", "kind": "page_view", "occurred_at": "soon"}]');
SELECT * FROM p.track_many('[{"external_id": "m3", "kind": "page_view"}, {"external_id": "m3", "kind": "page_view", "value": "much"}]');
SELECT * FROM p.track_many('[{"external_id": "m3", "kind": "page_view"}, {"external_id": "m3", "kind": "page_view", "profile": []}]');
SELECT p.lead_id('m3');
SELECT * FROM p.verify();

-- Stages by hand
SELECT p.set_stage('m2', 'Evangelist', 'told others');
SELECT kind, properties - 'by' AS properties, properties ->> 'by' = current_user AS by_me FROM p.event WHERE kind = 'stage_set';
SELECT p.set_stage('m2', 'boss');
SELECT p.set_stage_by_id(0, 'mql');
SELECT p.stage_at('m2', '2025-02-28'), p.stage_at('m2', '2025-03-02'), p.stage_at('m2', 'infinity');

-- Models: clone, edit, compare, activate
SELECT p.clone_model('inbound', 'strict');
SELECT p.model_definition('strict') = p.model_definition('inbound') || '{"model": "strict"}' AS same;
SELECT p.clone_model('inbound', 'strict');
SELECT p.clone_model('nothing', 'other');
SELECT p.activate_model('nothing', wait => true);
SELECT p.activate_model('inbound', wait => true);
SELECT * FROM p.compare_models('inbound', 'nothing');
UPDATE p.rule SET points = 5 WHERE model = 'inbound' AND rule = 'product page viewed';
UPDATE p.rule SET points = 5 WHERE model = 'strict' AND rule = 'product page viewed';
SELECT level, (SELECT external_id FROM p.lead l WHERE l.lead_id = c.lead_id), leads, stage_a, stage_b, score_a, score_b, difference
    FROM p.compare_models('inbound', 'strict', '2025-03-02 12:00Z') c;
CREATE TEMP TABLE activities AS SELECT lead_id, activity FROM p.lead_state;
SELECT p.activate_model('strict', wait => true);
SELECT model, status, compiled IS NOT NULL AS compiled, activated_by = session_user AS activated_by FROM p.model ORDER BY model;
SELECT model FROM p.model_activation ORDER BY activation_id;
SELECT count(*) FROM p.lead_state s JOIN activities a USING (lead_id) WHERE s.activity <> a.activity;
SELECT p.activate_model('inbound', wait => true);
DELETE FROM p.model WHERE model = 'strict';
INSERT INTO p.model (model) VALUES ('draft');
INSERT INTO p.dimension (model, dimension) VALUES ('draft', 'd');
INSERT INTO p.rule (model, rule, dimension, signal, points, only_if) VALUES ('draft', 'r', 'd', 'page_view', 1, '{no_such_signal}');
SELECT p.activate_model('draft', wait => true);
DELETE FROM p.model WHERE model = 'draft';
SELECT * FROM p.verify();

-- Signals may change under way: everything is counted again
INSERT INTO p.signal (signal, event_kinds, condition) VALUES ('home', '{page_view}', '$.page == "/"');
SELECT p.sweep();
SELECT u.signal_id = (SELECT signal_id FROM p.signal WHERE signal = 'home') AS home, u.bucket, u.count
    FROM p.lead_state s, leadscore.unnest(s.activity) u
    WHERE s.lead_id = p.lead_id('t1') AND u.signal_id > (SELECT signal_id FROM p.signal WHERE signal = 'student') ORDER BY 2;
SELECT * FROM p.verify();
UPDATE p.signal SET condition = '$.page == "/other"' WHERE signal = 'home';
SELECT * FROM p.verify();
DELETE FROM p.signal WHERE signal = 'home';
SELECT p.sweep();
SELECT * FROM p.verify();
UPDATE p.signal SET signal_id = 1000 WHERE signal = 'page_view';
\set VERBOSITY terse
INSERT INTO p.signal (signal, source, condition) VALUES ('rival', 'profile', '$rivals[*] == $organization');
\set VERBOSITY default
INSERT INTO p.value_list VALUES ('rivals', 'Other Inc.');
INSERT INTO p.signal (signal, source, condition) VALUES ('rival', 'profile', '$rivals[*] == $organization');
SELECT * FROM p.verify();
INSERT INTO p.value_list VALUES ('rivals', 'ACME');
SELECT p.sweep();
SELECT l.external_id FROM p.lead l JOIN p.lead_state s USING (lead_id), leadscore.unnest(s.activity) u
    WHERE u.signal_id = (SELECT signal_id FROM p.signal WHERE signal = 'rival');
SELECT * FROM p.verify();

-- Loading first, attaching then, gives the same as events that came one by one
SELECT * FROM leadscore.create_pipeline('loaded', attach => false);
INSERT INTO loaded.lead SELECT * FROM p.lead;
INSERT INTO loaded.event SELECT * FROM p.event;
SELECT setval('loaded.event_event_id_seq', (SELECT max(event_id) FROM loaded.event)) > 0 AS set;
SELECT count(*) FROM loaded.lead_state;
SELECT leadscore.attach_pipeline('loaded') > 0;
SELECT * FROM loaded.verify();
SELECT leadscore.detach_pipeline('loaded');
INSERT INTO loaded.event (lead_id, kind) SELECT lead_id, 'page_view' FROM loaded.lead;
SELECT problem, count(*) FROM loaded.verify() GROUP BY 1;
SELECT leadscore.attach_pipeline('loaded') > 0;
SELECT * FROM loaded.verify();
-- one more page view of each lead than p has
SELECT external_id, l.count - coalesce(p.count, 0) AS more
FROM (SELECT external_id, sum(u.count) AS count FROM loaded.lead JOIN loaded.lead_state USING (lead_id), leadscore.unnest(activity) u JOIN loaded.signal USING (signal_id) WHERE signal = 'page_view' GROUP BY 1) l
    LEFT JOIN (SELECT external_id, sum(u.count) AS count FROM p.lead JOIN p.lead_state USING (lead_id), leadscore.unnest(activity) u JOIN p.signal USING (signal_id) WHERE signal = 'page_view' GROUP BY 1) p USING (external_id)
ORDER BY 1;
SELECT loaded.rebuild();
SELECT loaded.sweep(), loaded.sweep(1);
DROP SCHEMA loaded, loaded_reports CASCADE;

-- Verify finds differences, rebuild repairs them
BEGIN;
INSERT INTO p.lead (external_id, email, consented_at) SELECT 'q' || i, 'q@mail.example', now() FROM generate_series(2, 5) i;
SET LOCAL session_replication_role = replica;
UPDATE p.lead_state SET activity = activity - 'day{0@2025-03-01:1}' WHERE lead_id = p.lead_id('m1');
DELETE FROM p.lead_state WHERE lead_id = p.lead_id('m2');
UPDATE p.lead_state SET stage = 'sql' WHERE lead_id = p.lead_id('t2');
UPDATE p.lead_state SET promotion_blocked = true WHERE lead_id = p.lead_id('t1');
UPDATE p.stage_log SET effective_at = effective_at - interval '1 second' WHERE lead_id = p.lead_id('q2') AND seq = 1;
UPDATE p.lead_state SET cycle = 0 WHERE lead_id = p.lead_id('q3');
UPDATE p.lead_state SET suspended_stage = 'mql' WHERE lead_id = p.lead_id('q4');
UPDATE p.lead_state SET stage_since = processed_until + interval '1 second' WHERE lead_id = p.lead_id('q5');
SET LOCAL session_replication_role = DEFAULT;
-- nothing is computed from a state that the engine cannot have written
SAVEPOINT spoilt;
\set VERBOSITY sqlstate
INSERT INTO p.event (lead_id, kind) VALUES (p.lead_id('q3'), 'page_view');
ROLLBACK TO spoilt;
INSERT INTO p.event (lead_id, kind) VALUES (p.lead_id('q4'), 'page_view');
ROLLBACK TO spoilt;
INSERT INTO p.event (lead_id, kind) VALUES (p.lead_id('q5'), 'page_view');
ROLLBACK TO spoilt;
\set VERBOSITY default
SELECT (SELECT external_id FROM p.lead l WHERE l.lead_id = v.lead_id), problem FROM p.verify() v ORDER BY 1, 2;
-- ... and writes only that
CREATE TEMP TABLE untouched AS SELECT lead_id, updated_at FROM p.lead_state;
SELECT p.rebuild();
SELECT count(*) FILTER (WHERE b.updated_at IS DISTINCT FROM s.updated_at) AS written FROM p.lead_state s LEFT JOIN untouched b USING (lead_id);
SELECT * FROM p.verify();
SELECT p.rebuild();
SELECT p.rebuild_by_id(p.lead_id('q2')), p.rebuild_by_id(0);
ROLLBACK;
SELECT p.rebuild_by_id(NULL);
SELECT p.sweep(NULL);
SELECT p.sweep(-1);
SELECT p.activate_model(NULL);
SELECT p.activate_model('inbound', wait => NULL);

-- The extension stays while a pipeline needs it, and takes no lead away
DROP TABLE activities, before;
\set VERBOSITY terse
DROP EXTENSION leadscore;
BEGIN;
DROP EXTENSION leadscore CASCADE;
SELECT count(*) FROM p.lead;
SELECT count(*) FROM p.event;
INSERT INTO p.event (lead_id, kind) SELECT lead_id, 'page_view' FROM p.lead LIMIT 1;
ROLLBACK;
DROP SCHEMA p, p_reports CASCADE;
