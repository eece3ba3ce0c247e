--
-- A schema that only looks like a pipeline: any role can make one, so the
-- engine trusts nothing that it finds there
--
CREATE ROLE leadscore_forger;
DO $$BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO leadscore_forger', current_database()); END$$;
SET ROLE leadscore_forger;

-- The tables of a pipeline, with its triggers and what these call: it works
SELECT active_model FROM leadscore.create_pipeline('crm');
CREATE SCHEMA fake;
DO $$
DECLARE
    t text;
BEGIN
    FOR t IN SELECT relname FROM pg_class WHERE relnamespace = 'crm'::regnamespace AND relkind = 'r' LOOP
        -- a vacuum could be in the way of a change of the configuration
        EXECUTE format('CREATE TABLE fake.%1$I (LIKE crm.%1$I INCLUDING DEFAULTS) WITH (autovacuum_enabled = off)', t);
        EXECUTE format('INSERT INTO fake.%1$I SELECT * FROM crm.%1$I', t);
    END LOOP;
    FOR t IN SELECT DISTINCT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'config_changed' LOOP
        EXECUTE format('CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION leadscore_internal.config_changed()',
            replace(t, 'crm.', 'fake.'));
    END LOOP;
END
$$;
ALTER TABLE fake.lead ADD PRIMARY KEY (lead_id);
ALTER TABLE fake.lead_state ADD PRIMARY KEY (lead_id);
DO $$BEGIN EXECUTE 'CREATE VIEW fake._watched AS ' || replace(pg_get_viewdef('crm._watched'), 'crm.', 'fake.'); END$$;
CREATE FUNCTION fake._edges_written(bigint[], text[], text[], timestamptz[], text[]) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION fake._columns_written(bigint[], boolean[], boolean[], boolean) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION fake._columns_corrected(bigint[], boolean) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION fake.consent_checked() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION fake.consent_recorded() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE FUNCTION fake.consent_kept() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
SELECT leadscore_internal.run_ddl('fake', 'triggers/attach');
CREATE FUNCTION fake.segment_definition(segment text) RETURNS jsonb LANGUAGE sql AS
    $$SELECT jsonb_build_object('segment', s.segment, 'segment_id', s.segment_id, 'conditions', (SELECT jsonb_agg(jsonb_build_object('condition', c.condition, 'signal_id', g.signal_id)) FROM fake.segment_condition c JOIN fake.signal g USING (signal) WHERE c.segment = s.segment)) FROM fake.segment s WHERE s.segment = $1$$;
CREATE FUNCTION fake.in_segment_by_id(lead_id bigint, segment text, at timestamptz DEFAULT now()) RETURNS boolean LANGUAGE leadscore STABLE AS 'in_segment_by_id';
CREATE FUNCTION fake.persona_match_by_id(lead_id bigint) RETURNS TABLE (persona text, match_share numeric, is_member boolean, is_ideal_customer boolean) LANGUAGE leadscore STABLE AS 'persona_match_by_id';
CREATE FUNCTION fake.explain_segment_by_id(lead_id bigint, segment text) RETURNS TABLE (condition text, asks text, has text, met boolean, weight numeric) LANGUAGE leadscore STABLE AS 'explain_segment_by_id';
INSERT INTO fake.segment (segment, segment_id, persona) VALUES ('s', 1, true), ('d', 2, false);
INSERT INTO fake.segment_condition (condition_id, segment, condition, signal) VALUES (1, 's', 'c', 'page_view'), (2, 'd', 'c', 'pricing_view');
SELECT leadscore_internal.activate_segment('fake', 's', NULL, false);
-- what nothing guards may hold anything
DO $$
BEGIN
    EXECUTE (SELECT string_agg(format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass), ';') FROM pg_trigger
        WHERE tgfoid = 'leadscore_internal.guard_engine_table'::regproc AND tgrelid::regclass::text LIKE 'fake.%');
END
$$;
INSERT INTO fake.lead (lead_id, email, consented_at) VALUES (1, 'a@mail.example', now());
INSERT INTO fake.event (lead_id, kind, properties) VALUES (1, 'content_download', '{"intent": "solution"}'), (1, 'points_added', '{}');
SELECT stage, leadscore.score(s.activity, m.compiled) FROM fake.lead_state s, fake.model m;

-- What makes the engine read and write its tables; returns the states of the
-- errors, which must be decent ones
CREATE FUNCTION fake.use_all() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    action text;
BEGIN
    FOREACH action IN ARRAY ARRAY[
        'UPDATE fake.setting SET id = id',
        'UPDATE fake.signal SET note = ''x'' WHERE signal = ''page_view''',
        'UPDATE fake.signal SET condition = condition WHERE signal = ''solution_content''',
        'UPDATE fake.model SET note = ''x''',
        'INSERT INTO fake.model SELECT (json_populate_record(m, ''{"model": "m", "status": "draft"}'')).* FROM fake.model m',
        'INSERT INTO fake.rule SELECT (json_populate_record(r, ''{"model": "m"}'')).* FROM fake.rule r LIMIT 1',
        'INSERT INTO fake.model_activation SELECT * FROM fake.model_activation',
        'INSERT INTO fake.segment (segment) VALUES (''e'')',
        'UPDATE fake.segment SET note = ''x''',
        'UPDATE fake.segment SET status = ''active'' WHERE segment = ''d''',
        'UPDATE fake.segment_condition SET condition = ''e''',
        'INSERT INTO fake.segment_condition (segment, condition, lead_condition, dimension, min_points) VALUES (''d'', ''e'', ''$.a == 1'', ''fit'', 5)',
        'INSERT INTO fake.segment_condition SELECT * FROM fake.segment_condition',
        'INSERT INTO fake.segment_activation SELECT * FROM fake.segment_activation',
        'SELECT leadscore_internal.activate_segment(''fake'', ''d'', NULL, true)',
        'SELECT leadscore_internal.activate_segment(''fake'', ''d'', ''s'', true)',
        'SELECT leadscore_internal.retire_segment(''fake'', ''s'', true)',
        'SELECT leadscore_internal.would_be_in(l, ''day{1@2025-01-01:1}'', ''mql'', fake.segment_definition(''d'')) FROM fake.lead l',
        'SELECT fake.in_segment_by_id(1, ''s''), fake.in_segment_by_id(1, ''s'', ''2025-01-01''), fake.in_segment_by_id(1, ''s'', ''2100-01-01'')',
        'SELECT * FROM fake.persona_match_by_id(1)',
        'SELECT * FROM fake.explain_segment_by_id(1, ''s'')',
        'INSERT INTO fake.lead (lead_id) VALUES (2)',
        'UPDATE fake.lead SET profile = ''{"need": true}''',
        'INSERT INTO fake.event (lead_id, kind) VALUES (1, ''demo_request''), (1, ''page_view'')',
        'INSERT INTO fake.event (lead_id, kind, occurred_at) VALUES (1, ''page_view'', ''2020-01-01'')',
        'INSERT INTO fake.event SELECT * FROM fake.event',
        'UPDATE fake.event SET event_id = event_id + 10',
        'DELETE FROM fake.event',
        'DELETE FROM fake.lead',
        'SELECT leadscore_internal.sweep(''fake'', 10)',
        'SELECT leadscore_internal.rebuild(''fake'', NULL)',
        'SELECT leadscore_internal.rebuild(''fake'', 1)',
        'SELECT leadscore_internal.verify(''fake'')',
        'SELECT leadscore_internal.verify_share(''fake'', 2, 3)',
        'SELECT leadscore_internal.current_stage(''fake'', 1), leadscore_internal.current_activity(''fake'', 1), leadscore_internal.current_segments(''fake'', 1)',
        'SELECT leadscore_internal.activate_model(''fake'', ''inbound'', true)',
        'SELECT leadscore_internal.compare_leads(''fake'', m.compiled, m.compiled) FROM crm.model m',
        'SELECT leadscore_internal.event_signals(e) FROM fake.event e',
        'SELECT leadscore_internal.kinds_of(''fake.event_kind'', ''visit'', ''purchase'')',
        'SELECT leadscore_internal.profile_signals(l) FROM fake.lead l']
    LOOP
        BEGIN
            EXECUTE action;
            -- undo it
            RAISE SQLSTATE 'P0000';
        EXCEPTION
            WHEN OTHERS THEN
                IF SQLSTATE <> 'P0000' THEN
                    RETURN NEXT SQLSTATE || CASE WHEN SQLSTATE < 'XX' THEN '' ELSE ' ' || SQLERRM || ': ' || action END;
                END IF;
        END;
    END LOOP;
END
$$;
SELECT * FROM fake.use_all();

-- Change one thing and use all
CREATE FUNCTION fake.after(change text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    errors text[];
BEGIN
    BEGIN
        EXECUTE change;
        errors := ARRAY(SELECT u FROM fake.use_all() u);
        RAISE SQLSTATE 'P0000';
    EXCEPTION
        WHEN SQLSTATE 'P0000' THEN
            RETURN errors;
    END;
END
$$;
-- every column that the engine reads, as something shorter, as something of
-- other bytes, and null
CREATE TABLE fake.tried AS
    SELECT c.relname, c.attname, n.type, NULL::text[] AS errors
    FROM (
            SELECT t.relname, unnest(t.attnames) AS attname
            FROM (VALUES
                ('lead', '{lead_id,email,profile,consented_at,created_at,updated_at}'::text[]),
                ('event', '{lead_id,event_id,kind,occurred_at,properties}'),
                ('signal', '{signal,signal_id,source,event_kinds,condition,quantity}'),
                ('setting', '{grain,configuration,signals_configuration}'),
                ('value_list', '{list,item}'),
                ('content', '{content,kind,topic,intent,stage,persona}'),
                ('event_kind', '{kind,role}'),
                ('model', '{model,status,compiled}'),
                ('model_activation', '{activation_id,model,activated_at}'),
                ('lead_state', '{lead_id,activity,baseline,stage,level,suspended_stage,promotion_blocked,stage_since,cycle,processed_until,profile_at,milestone_at,pending_at,next_review_at,configuration,updated_at,segments,segments_since}'),
                ('segment', '{segment,segment_id,status,persona,ideal_customer,min_match_share,note,activated_by,activated_at}'),
                ('segment_condition', '{condition_id,segment,condition,signal,lead_condition,dimension,in_segment}'),
                ('segment_activation', '{activation_id,segment,segment_id,definition,activated_at}'),
                ('segment_log', '{lead_id,seq,segment,entered,effective_at,recorded_at,superseded_at,cause}'),
                ('stage_log', '{lead_id,seq,from_stage}'),
                ('profile_change', '{lead_id,seq,signal,count,changed_at}')) AS t (relname, attnames)
        ) c,
        (VALUES ('int DEFAULT 1'), ('bytea DEFAULT decode(repeat(''7f'', 300), ''hex'')'), ('NULL')) AS n (type)
    -- a key cannot be null
    WHERE n.type <> 'NULL' OR (c.relname, c.attname) NOT IN (('lead', 'lead_id'), ('lead_state', 'lead_id'));
UPDATE fake.tried SET errors = fake.after(CASE type
    WHEN 'NULL' THEN format('ALTER TABLE fake.%1$I DISABLE TRIGGER USER; ALTER TABLE fake.%1$I ALTER %2$I DROP NOT NULL; UPDATE fake.%1$I SET %2$I = NULL; ALTER TABLE fake.%1$I ENABLE TRIGGER USER', relname, attname)
    ELSE format('ALTER TABLE fake.%1$I DROP COLUMN %2$I; ALTER TABLE fake.%1$I ADD COLUMN %2$I %3$s', relname, attname, type) END);
SELECT count(*) AS tried, count(*) FILTER (WHERE errors <> '{}') > 60 AS refused FROM fake.tried;
SELECT relname, attname, error FROM fake.tried, unnest(errors) AS error WHERE error > 'XX';

-- Tables that are none, or have another key
SELECT relname, array_agg(DISTINCT e ORDER BY e) FROM (VALUES ('lead'), ('event'), ('lead_state'), ('signal'), ('model'), ('setting'), ('stage_log'), ('segment'), ('segment_activation'), ('segment_condition'), ('segment_log')) AS t (relname)
    CROSS JOIN LATERAL unnest(fake.after(format('ALTER TABLE fake.%1$I RENAME TO gone; CREATE VIEW fake.%1$I AS SELECT * FROM fake.gone', relname))) e GROUP BY 1 ORDER BY 1;
SELECT array_agg(DISTINCT e ORDER BY e) FROM unnest(fake.after('ALTER TABLE fake.lead_state RENAME TO gone; CREATE TABLE fake.lead_state (LIKE fake.gone INCLUDING ALL) PARTITION BY HASH (lead_id)')) e;
SELECT array_agg(DISTINCT e ORDER BY e) FROM unnest(fake.after('ALTER TABLE fake.lead_state DROP CONSTRAINT lead_state_pkey, ADD word text DEFAULT ''x'', ADD PRIMARY KEY (word)')) e;
SELECT array_agg(DISTINCT e ORDER BY e) FROM unnest(fake.after('ALTER TABLE fake.lead_state DROP CONSTRAINT lead_state_pkey, ADD PRIMARY KEY (lead_id, cycle)')) e;
-- The same signal twice, as without a key
SELECT * FROM unnest(fake.after('INSERT INTO fake.signal SELECT g.* FROM fake.signal g, generate_series(1, 50); INSERT INTO fake.profile_change SELECT p.* FROM fake.profile_change p, generate_series(1, 50)'));

-- Definitions that are none, segments of another number or of none that is
-- known, names twice, activations without order
SELECT definition, array_agg(DISTINCT e ORDER BY e) FROM (VALUES ('{}'), ('[]'), ('1'), ('{"segment": "s"}'), ('{"segment": "s", "segment_id": 1, "conditions": {}}'),
        ('{"segment": "s", "segment_id": 1, "conditions": [1]}'), ('{"segment": "s", "segment_id": 1, "conditions": [{"condition": "c"}]}'),
        ('{"segment": "s", "segment_id": 1, "conditions": [{"condition": "c", "in_segment_id": 1}]}'),
        ('{"segment": "s", "segment_id": 1, "conditions": [{"condition": "c", "lead_condition": "$.x"}]}'),
        ('{"segment": "s", "segment_id": 1, "conditions": [{"condition": "c", "signal_id": 32767, "within": "9999 days"}]}')) AS d (definition),
    LATERAL unnest(fake.after(format('ALTER TABLE fake.segment_activation DISABLE TRIGGER USER; UPDATE fake.segment_activation SET definition = %L; ALTER TABLE fake.segment_activation ENABLE TRIGGER USER', definition))) e GROUP BY 1 ORDER BY 1;
SELECT * FROM unnest(fake.after('UPDATE fake.lead_state SET segments = ''{1,1,NULL,-1,2147483647}'', segments_since = ''infinity'''));
SELECT * FROM unnest(fake.after('UPDATE fake.lead_state SET segments = ''{{1,2},{3,4}}'', segments_since = ''-infinity'''));
SELECT * FROM unnest(fake.after('INSERT INTO fake.segment_activation SELECT a.* FROM fake.segment_activation a, generate_series(1, 1000)'));
SELECT * FROM unnest(fake.after('INSERT INTO fake.segment_activation (activation_id, segment, segment_id, definition) SELECT a.activation_id + n, ''s'' || n, 100 + n, jsonb_set(definition, ''{segment_id}'', to_jsonb(100 + n)) FROM fake.segment_activation a, generate_series(1, 600) n'));
SELECT * FROM unnest(fake.after('INSERT INTO fake.segment_log (lead_id, seq, segment, entered, effective_at, cause) SELECT 1, n, ''s'', true, ''infinity'', ''x'' FROM generate_series(1, 100) n, generate_series(1, 2)'));

-- What sequences wait for: nothing that is known, no texts, very much; and what is called for it
CREATE FUNCTION fake.watch(kind text, awaited text, rest text DEFAULT '') RETURNS text LANGUAGE sql AS
    $$SELECT format('DROP VIEW fake._watched; CREATE VIEW fake._watched AS SELECT %s AS kind, %s AS awaited %s', kind, awaited, rest)$$;
SELECT w.n, array_agg(DISTINCT e ORDER BY e) FROM (VALUES (1, fake.watch('NULL::text', '''mql''::text')), (2, fake.watch('''stage''::text', 'NULL::text')), (3, fake.watch('''thing''::text', '''mql''::text')), (4, fake.watch('1', 'now()')),
        (5, fake.watch('k', 'a', 'FROM unnest(''{stage,segment,signal,correction}''::text[]) k, unnest(''{iql,mql,customer,s,d,page_view,nothing,NULL}''::text[] || ''''::text) a')), (6, fake.watch('''signal''::text', 'i::text', 'FROM generate_series(1, 100000) i')),
        (7, fake.watch('''stage''::text', 'repeat(''x'', 100000)')), (8, fake.watch('1 / 0', '1')), (9, 'DROP VIEW fake._watched'), (10, 'DROP VIEW fake._watched; CREATE TABLE fake._watched (kind int[], awaited point)')) AS w (n, change),
    LATERAL unnest(fake.after(change)) e GROUP BY 1 ORDER BY 1;
SELECT w.n, array_agg(DISTINCT e ORDER BY e) FROM (VALUES (1, 'DROP FUNCTION fake._edges_written'), (2, 'CREATE OR REPLACE FUNCTION fake._edges_written(bigint[], text[], text[], timestamptz[], text[]) RETURNS void LANGUAGE plpgsql AS ''BEGIN RAISE SQLSTATE ''''P0042''''; END'''),
        (3, 'CREATE OR REPLACE FUNCTION fake._edges_written(bigint[], text[], text[], timestamptz[], text[]) RETURNS void LANGUAGE sql AS ''DELETE FROM fake.event; DELETE FROM fake.lead'''), (4, 'CREATE OR REPLACE FUNCTION fake._edges_written(bigint[], text[], text[], timestamptz[], text[]) RETURNS void LANGUAGE sql AS ''ALTER TABLE fake.lead_state RENAME TO gone''')) AS w (n, change),
    LATERAL unnest(fake.after(change || ';' || fake.watch('k', 'a', 'FROM unnest(''{stage,segment,signal,correction}''::text[]) k, unnest(''{iql,mql,customer,s,d,page_view}''::text[] || ''''::text) a'))) e GROUP BY 1 ORDER BY 1;

-- An id that no activity can have, in what is taken back of a profile to see the past
CREATE FUNCTION fake.score_by_id(lead_id bigint, at timestamptz, model_of_then boolean) RETURNS numeric
    LANGUAGE leadscore STABLE AS 'score_by_id';
BEGIN;
UPDATE fake.lead SET created_at = '2020-01-01' WHERE lead_id = 1;
SELECT fake.score_by_id(1, '2020-01-01 12:00+00', false) AS before;
INSERT INTO fake.signal (signal, signal_id, source, condition) VALUES ('below', -32768, 'profile', 'false');
INSERT INTO fake.profile_change (lead_id, seq, signal, count, changed_at) VALUES (1, 1000, 'below', 1, now());
SELECT fake.score_by_id(1, '2020-01-01 12:00+00', false) AS after;
SELECT count(*) FROM fake.model m, leadscore_internal.compare_leads('fake', m.compiled, m.compiled, '2020-01-01 12:00+00') WHERE m.status = 'active';
ROLLBACK;

-- Every trigger function as every trigger: refused, or nothing happens
CREATE TABLE fake.tried_trigger (tgfoid regproc, timing text, error text);
CREATE VIEW fake.shown AS SELECT * FROM fake.lead;
DO $$
DECLARE
    f regproc;
    target text;
    kind text;
BEGIN
    FOR f, target, kind IN
        SELECT p.oid, r.relname, k.timing
        FROM pg_proc p,
            (VALUES ('lead'), ('event'), ('signal'), ('rule'), ('segment'), ('segment_condition'), ('shown')) AS r (relname),
            (VALUES ('BEFORE INSERT OR UPDATE OR DELETE ON fake.%s FOR EACH ROW'), ('AFTER INSERT OR UPDATE OR DELETE ON fake.%s FOR EACH ROW'),
                ('BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON fake.%s FOR EACH STATEMENT'), ('AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON fake.%s FOR EACH STATEMENT'),
                ('AFTER UPDATE ON fake.%s REFERENCING OLD TABLE AS x FOR EACH STATEMENT'), ('AFTER UPDATE ON fake.%s REFERENCING NEW TABLE AS x FOR EACH STATEMENT'),
                ('AFTER UPDATE ON fake.%s REFERENCING OLD TABLE AS o NEW TABLE AS n FOR EACH STATEMENT'), ('AFTER DELETE ON fake.%s REFERENCING OLD TABLE AS o FOR EACH STATEMENT'),
                ('INSTEAD OF INSERT OR UPDATE OR DELETE ON fake.%s FOR EACH ROW')) AS k (timing)
        WHERE p.pronamespace = 'leadscore_internal'::regnamespace AND p.prorettype = 'trigger'::regtype
            AND (r.relname = 'shown') = (k.timing LIKE 'INSTEAD%')
    LOOP
        BEGIN
            EXECUTE format('CREATE TRIGGER a_try ' || kind || ' EXECUTE FUNCTION %s()', target, f);
            EXECUTE format('UPDATE fake.%1$s SET %2$s; DELETE FROM fake.%1$s; INSERT INTO fake.%1$s DEFAULT VALUES', target,
                CASE WHEN target IN ('signal', 'rule', 'segment') THEN 'note = note' WHEN target = 'segment_condition' THEN 'condition = condition' ELSE 'lead_id = lead_id' END);
            RAISE SQLSTATE 'P0000' USING MESSAGE = 'nothing happens';
        EXCEPTION
            WHEN OTHERS THEN
                INSERT INTO fake.tried_trigger VALUES (f, kind, SQLSTATE || ' ' || SQLERRM);
        END;
    END LOOP;
END
$$;
SELECT count(*) > 200 AS tried FROM fake.tried_trigger;
SELECT * FROM fake.tried_trigger WHERE error > 'XX';
SELECT tgfoid FROM fake.tried_trigger WHERE error LIKE '39P01%' GROUP BY 1 HAVING count(*) > 10 ORDER BY tgfoid::text;

-- A role that may create tables in the schema of a pipeline must not get at its
-- leads through them: the engine works for the owner of the pipeline only
RESET ROLE;
CREATE ROLE leadscore_guest;
SET ROLE leadscore_forger;
SELECT stage FROM crm.track('one', 'demo_request');
GRANT USAGE, CREATE ON SCHEMA crm TO leadscore_guest;
SET ROLE leadscore_guest;
CREATE TABLE crm.guest (lead_id bigint, event_id bigint, kind text, occurred_at timestamptz, properties jsonb);
CREATE TRIGGER a AFTER INSERT ON crm.guest REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION leadscore_internal.event_changed();
INSERT INTO crm.guest VALUES (1, 1, 'purchase', now());
DROP TRIGGER a ON crm.guest;
INSERT INTO crm.guest VALUES (1, 1, 'purchase', now());
CREATE TRIGGER a AFTER DELETE ON crm.guest REFERENCING OLD TABLE AS o FOR EACH STATEMENT EXECUTE FUNCTION leadscore_internal.lead_changed();
DELETE FROM crm.guest;
CREATE TRIGGER b AFTER TRUNCATE ON crm.guest FOR EACH STATEMENT EXECUTE FUNCTION leadscore_internal.lead_truncated();
TRUNCATE crm.guest;
DROP TRIGGER b ON crm.guest;
CREATE TRIGGER b AFTER TRUNCATE ON crm.guest FOR EACH STATEMENT EXECUTE FUNCTION leadscore_internal.event_truncated();
TRUNCATE crm.guest;
DROP TRIGGER b ON crm.guest;
CREATE TRIGGER b AFTER TRUNCATE ON crm.guest FOR EACH STATEMENT EXECUTE FUNCTION leadscore_internal.config_changed();
TRUNCATE crm.guest;
-- nor at its signals by asking what a made-up event counts for
SELECT * FROM leadscore_internal.event_signals(jsonb_populate_record(NULL::crm.event, '{"kind": "demo_request"}'));
SELECT * FROM leadscore_internal.profile_signals(jsonb_populate_record(NULL::crm.lead, '{"profile": {"need": true}}'));
SET ROLE leadscore_forger;
SELECT * FROM leadscore_internal.event_signals(jsonb_populate_record(NULL::crm.event, '{"kind": "demo_request"}'));
SELECT stage FROM crm.lead_state;
SELECT * FROM crm.verify();

RESET ROLE;
DROP SCHEMA fake CASCADE;
DROP SCHEMA crm, crm_reports CASCADE;
DROP OWNED BY leadscore_forger;
DROP ROLE leadscore_forger, leadscore_guest;
