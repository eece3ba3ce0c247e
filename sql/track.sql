--
-- What apps call: track, track_many, upsert_lead, set_stage, score, explain,
-- next_steps, stage_at, lead_id; as an app role, with nothing in search_path
--
CREATE ROLE leadscore_owner;
CREATE ROLE leadscore_app;
DO $$BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO leadscore_owner', current_database()); END$$;
SET ROLE leadscore_owner;
SELECT pipeline FROM leadscore.create_pipeline('crm');
SELECT leadscore.grant_app('crm', 'leadscore_app');
-- what a call says: its result or its error, with all that an app sees of it
CREATE SCHEMA try;
GRANT USAGE ON SCHEMA try TO leadscore_app;
CREATE FUNCTION try.try(statement text) RETURNS TABLE (result text, detail text, hint text) LANGUAGE plpgsql AS $$
DECLARE
    context text;
BEGIN
    EXECUTE statement INTO result;
    RETURN NEXT;
EXCEPTION
    WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS result = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
        result := SQLSTATE || ' ' || result;
        IF context ~ 'SQL statement "(INSERT|UPDATE)' THEN
            result := result || ' IN ' || context;
        END IF;
        RETURN NEXT;
END
$$;

-- Functions find the pipeline by their own schema, and are what they say
SELECT p.proname, p.prosecdef, p.provolatile, p.proparallel, has_function_privilege('public', p.oid, 'EXECUTE') AS public
    FROM pg_proc p WHERE p.pronamespace = 'crm'::regnamespace AND p.prolang = (SELECT oid FROM pg_language WHERE lanname = 'leadscore') ORDER BY 1;
SELECT * FROM try.try($$CREATE FUNCTION crm.track2(text) RETURNS text LANGUAGE leadscore AS 'track'$$);
SELECT * FROM try.try($$CREATE FUNCTION crm.track2(text) RETURNS bigint LANGUAGE leadscore AS 'no such'$$);
SELECT * FROM try.try($$CREATE FUNCTION crm.track2() RETURNS trigger LANGUAGE leadscore AS 'lead_id'$$);
SELECT * FROM try.try($$DO LANGUAGE leadscore 'track'$$);
-- past the validator too
SET check_function_bodies = off;
SELECT * FROM try.try($$CREATE FUNCTION try.lead_id(bigint) RETURNS bigint LANGUAGE leadscore AS 'lead_id'$$);
RESET check_function_bodies;
CREATE FUNCTION try.lead_id(text) RETURNS bigint LANGUAGE leadscore AS 'lead_id';
SELECT * FROM try.try($$SELECT try.lead_id('x')$$);
RESET ROLE;
ALTER FUNCTION try.lead_id(text) RENAME TO other_id;
ALTER FUNCTION try.other_id(text) OWNER TO leadscore_app;
ALTER FUNCTION try.other_id(text) SET SCHEMA crm;
SELECT * FROM try.try($$SELECT crm.other_id('x')$$);
DROP FUNCTION crm.other_id(text);

-- Values are what an app means: any number, as 15 digits
SET ROLE leadscore_app;
SET search_path = '';
SELECT stage, score, stage_changed, duplicate, scored FROM crm.track('v', 'points_added', value => 0.1::float8 + 0.2::float8);
SELECT stage, score, scored FROM crm.track('v', 'points_added', value => 1.0 / 3);
SELECT stage, score, scored FROM crm.track('v', 'points_added', value => 7::smallint);
SELECT stage, score, scored FROM crm.track('v', 'no such kind', value => 1e20);
SELECT * FROM try.try($$SELECT crm.track('v', 'purchase', value => 'NaN')$$);
SELECT * FROM try.try($$SELECT crm.track('v', 'purchase', value => '-Infinity')$$);
SELECT * FROM try.try($$SELECT crm.track_many('[{"external_id": "v", "kind": "purchase", "value": "NaN"}]')$$);
SELECT * FROM try.try($$SELECT crm.track_many('[{"external_id": "v", "kind": "purchase", "value": 1e400}]')$$);
RESET ROLE;
SELECT kind, value FROM crm.event ORDER BY event_id;
SET ROLE leadscore_app;

-- An argument that is missing or of the wrong kind is an error before anything is written
SELECT * FROM unnest(ARRAY[
    $$SELECT crm.track(NULL, 'page_view')$$, $$SELECT crm.track('x', '')$$, $$SELECT crm.track(repeat('x', 2001), 'page_view')$$,
    $$SELECT crm.track('x', 'page_view', source_id => repeat('x', 2001))$$, $$SELECT crm.track('x', 'page_view', profile => '[]')$$,
    $$SELECT crm.track('x', 'page_view', profile => 'null')$$, $$SELECT crm.track('x', 'page_view', '[]')$$,
    $$SELECT crm.track_many('[{"external_id": "x", "kind": "a", "properties": {}}, {"external_id": "x", "kind": "a", "properties": [1]}]')$$,
    $$SELECT crm.upsert_lead('x', market => 'b2g')$$, $$SELECT crm.upsert_lead('x', kind => 'robot')$$,
    $$SELECT crm.upsert_lead('x', profile => '{"market": 1}')$$, $$SELECT crm.upsert_lead('x', profile => '{"email": {"a": 1}}')$$,
    $$SELECT crm.upsert_lead('x', profile => '{"consent": "perhaps"}')$$, $$SELECT crm.upsert_lead('x', profile => '{"contact_allowed": []}')$$,
    $$SELECT crm.upsert_lead('x', profile => '{"consented_at": "soon"}')$$, $$SELECT crm.upsert_lead('x', profile => '{"referred_by": 1.5}')$$,
    $$SELECT crm.upsert_lead('x', profile => '{"referred_by": 1e30}')$$,
    $$SELECT crm.track_many('[{"external_id": "x", "kind": "a"}, {"external_id": "x", "kind": "a", "profile": {"market": "b2g"}}]')$$,
    $$SELECT crm.track_many('{"external_id": "x"}')$$, $$SELECT crm.track_many('"x"')$$,
    $$SELECT crm.track('x', repeat('k', 2001))$$, $$SELECT crm.track_many(jsonb_build_array(jsonb_build_object('external_id', 'x', 'kind', repeat('k', 2001))))$$,
    $$SELECT crm.set_stage(NULL, 'lost')$$, $$SELECT crm.set_stage('x', 'lost')$$, $$SELECT crm.set_stage('v', NULL)$$, $$SELECT crm.set_stage('v', 'boss')$$,
    $$SELECT crm.set_stage_by_id(NULL, 'lost')$$, $$SELECT crm.set_stage_by_id(0, 'lost')$$
    ]) AS s (statement), try.try(s.statement);
-- questions about no lead have no answer
SELECT crm.lead_id('x'), crm.lead_id(NULL), crm.score('x'), crm.score(NULL), crm.score_by_id(NULL), crm.score_by_id(0), crm.stage_at('x'), crm.stage_at(NULL), crm.stage_at_by_id(0);
SELECT count(*) FROM crm.explain('x') UNION ALL SELECT count(*) FROM crm.explain(NULL) UNION ALL SELECT count(*) FROM crm.next_steps('x') UNION ALL SELECT count(*) FROM crm.next_steps_by_id(NULL);

-- No error shows a row, whatever constraints the owner adds
SELECT crm.upsert_lead('secret', 'ann@secret.example', '{"iban": "DE89"}') > 0;
SELECT event_id > 0 FROM crm.track('secret', 'purchase', '{"card": "4111"}', source_id => 'order 1');
SET ROLE leadscore_owner;
ALTER TABLE crm.lead ADD CONSTRAINT own_check CHECK (country <> 'XX');
ALTER TABLE crm.lead ADD CONSTRAINT own_unique UNIQUE (email);
ALTER TABLE crm.lead ADD CONSTRAINT own_exclusion EXCLUDE USING btree (persona WITH OPERATOR(pg_catalog.=));
ALTER TABLE crm.lead ADD COLUMN own text DEFAULT '';
ALTER TABLE crm.event ADD CONSTRAINT own_check CHECK (value <> 5000);
ALTER TABLE crm.event ADD CONSTRAINT own_reference FOREIGN KEY (channel) REFERENCES crm.channel;
ALTER TABLE crm.event ADD CONSTRAINT own_kind CHECK (kind <> 'bad');
CREATE UNIQUE INDEX own_order ON crm.event ((properties ->> 'order'), lead_id);
ALTER TABLE crm.lead_state ADD CONSTRAINT own_state CHECK (stage::text <> 'advocate');
CREATE FUNCTION crm.own_null() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.own := NULL; RETURN NEW; END$$;
CREATE TRIGGER own_null BEFORE UPDATE ON crm.lead FOR EACH ROW WHEN (NEW.country = 'NN') EXECUTE FUNCTION crm.own_null();
ALTER TABLE crm.lead ALTER COLUMN own SET NOT NULL;
SET ROLE leadscore_app;
SELECT crm.upsert_lead('secret', persona => 'p', consent => true) > 0;
SELECT event_id > 0 FROM crm.track('secret', 'purchase', '{"order": "1"}');
SELECT * FROM unnest(ARRAY[
    $$SELECT crm.upsert_lead('secret', country => 'XX')$$, $$SELECT crm.upsert_lead('secret', country => 'NN')$$,
    $$SELECT crm.upsert_lead('x', email => 'ann@secret.example')$$, $$SELECT crm.upsert_lead('x', persona => 'p')$$,
    $$SELECT crm.upsert_lead('secret', referred_by => 999)$$,
    $$SELECT crm.track('secret', 'purchase', value => 5000)$$, $$SELECT crm.track('secret', 'purchase', channel => 'none')$$,
    $$SELECT crm.track('secret', 'bad')$$, $$SELECT crm.track('secret', 'purchase', '{"order": "1"}')$$,
    $$SELECT crm.track('x', 'page_view', profile => '{"country": "XX"}')$$,
    $$SELECT crm.track_many('[{"external_id": "secret", "kind": "bad"}]')$$,
    $$SELECT crm.track_many('[{"external_id": "x", "kind": "page_view", "profile": {"country": "XX"}}]')$$,
    $$SELECT crm.set_stage('secret', 'advocate')$$
    ]) AS s (statement), try.try(s.statement);
SET ROLE leadscore_owner;
ALTER TABLE crm.lead_state DROP CONSTRAINT own_state;
ALTER TABLE crm.event DROP CONSTRAINT own_check;
ALTER TABLE crm.event DROP CONSTRAINT own_reference;

-- Code of the owner's on the tables finds nothing that the caller chose
CREATE TABLE crm.seen (who text, path text);
CREATE FUNCTION crm.look() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO crm.seen VALUES (current_user, current_setting('search_path')); RETURN NULL; END$$;
CREATE TRIGGER look AFTER INSERT ON crm.event FOR EACH STATEMENT EXECUTE FUNCTION crm.look();
SET ROLE leadscore_app;
SET search_path = 'try';
SELECT stage FROM crm.track('v', 'page_view');
SELECT crm.track_many('[{"external_id": "v", "kind": "page_view"}]');
SELECT crm.set_stage('v', 'lost');
SHOW search_path;
SELECT current_user;
SET search_path = '';
RESET ROLE;
SELECT DISTINCT * FROM crm.seen;
DROP FUNCTION crm.look() CASCADE;

-- Only a known source_id is a duplicate. A sequence that is behind its column
-- is an error, and nothing is lost in silence
SELECT setval('crm.event_event_id_seq', 1, false), setval('crm.lead_lead_id_seq', 1, false);
SET ROLE leadscore_app;
SELECT * FROM try.try($$SELECT crm.track('v', 'purchase', value => 5000)$$);
SELECT * FROM try.try($$SELECT crm.track('v', 'purchase', value => 5000, source_id => 'order 2')$$);
SELECT * FROM try.try($$SELECT crm.set_stage('v', 'disqualified')$$);
SELECT * FROM try.try($$SELECT crm.upsert_lead('fresh')$$);
SELECT * FROM try.try($$SELECT crm.track_many('[{"external_id": "fresh", "kind": "purchase"}]')$$);
RESET ROLE;
SELECT setval('crm.event_event_id_seq', 1000), setval('crm.lead_lead_id_seq', 1000);
SET ROLE leadscore_app;
SELECT inserted, duplicates FROM crm.track_many('[
    {"external_id": "m", "kind": "page_view", "source_id": "1"}, {"external_id": "m", "kind": "page_view", "source_id": "1"},
    {"external_id": "m", "kind": "page_view"}, {"external_id": "m", "kind": "page_view"},
    {"external_id": "n", "kind": "page_view", "source_id": "1"}, {"external_id": "secret", "kind": "page_view", "source_id": "order 1"}]');
SELECT inserted, duplicates FROM crm.track_many('[{"external_id": "m", "kind": "page_view", "source_id": "1"}, {"external_id": "o", "kind": "page_view", "source_id": "1"}]');
SELECT a.event_id = b.event_id AS same, b.duplicate, b.scored FROM crm.track('m', 'page_view', source_id => '2') a, LATERAL (SELECT * FROM crm.track('m', CASE WHEN a.event_id > 0 THEN 'purchase' END, source_id => '2')) b;
-- an event that a trigger of the owner's drops is neither stored nor a duplicate
SET ROLE leadscore_owner;
CREATE FUNCTION crm.own_drop() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;
CREATE TRIGGER own_drop BEFORE INSERT ON crm.event FOR EACH ROW WHEN (NEW.kind = 'drop') EXECUTE FUNCTION crm.own_drop();
SET ROLE leadscore_app;
SELECT event_id, stage, duplicate, scored FROM crm.track('m', 'drop');
SELECT event_id, stage, duplicate, scored FROM crm.track('m', 'drop', source_id => '3');
SELECT inserted, duplicates FROM crm.track_many('[{"external_id": "m", "kind": "drop"}, {"external_id": "m", "kind": "drop", "source_id": "4"},
    {"external_id": "m", "kind": "page_view", "source_id": "2"}, {"external_id": "m", "kind": "page_view", "source_id": "5"}]');
RESET ROLE;
SELECT count(*), count(DISTINCT (lead_id, source_id)) FILTER (WHERE source_id IS NOT NULL) AS named FROM crm.event WHERE lead_id IN (crm.lead_id('m'), crm.lead_id('n'), crm.lead_id('o'));
SELECT * FROM crm.verify();

-- The same where event is partitioned by time, as doc/operations.md says
SET ROLE leadscore_owner;
SELECT leadscore.detach_pipeline('crm');
ALTER TABLE crm.event RENAME TO event_plain;
ALTER TABLE crm.event_plain RENAME CONSTRAINT event_pkey TO event_plain_pkey;
ALTER INDEX crm.event_source_id_key RENAME TO event_plain_source_id_key;
CREATE TABLE crm.event (LIKE crm.event_plain INCLUDING DEFAULTS INCLUDING COMMENTS,
    CONSTRAINT event_pkey PRIMARY KEY (lead_id, event_id, occurred_at)) PARTITION BY RANGE (occurred_at);
CREATE INDEX event_source_id_idx ON crm.event (lead_id, source_id) WHERE source_id IS NOT NULL;
CREATE TABLE crm.event_old PARTITION OF crm.event FOR VALUES FROM (MINVALUE) TO ('2025-01-01');
CREATE TABLE crm.event_new PARTITION OF crm.event FOR VALUES FROM ('2025-01-01') TO (MAXVALUE);
ALTER SEQUENCE crm.event_event_id_seq OWNED BY crm.event.event_id;
INSERT INTO crm.event TABLE crm.event_plain;
SELECT leadscore.upgrade_pipeline('crm') > 0;
DROP TABLE crm.event_plain;
SELECT leadscore.attach_pipeline('crm') >= 0;
SELECT leadscore.grant_app('crm', 'leadscore_app');
SET ROLE leadscore_app;
SELECT duplicate, scored FROM crm.track('m', 'page_view', occurred_at => '2024-06-01', source_id => '5');
SELECT duplicate, scored FROM crm.track('m', 'page_view', occurred_at => '2024-06-01', source_id => '6');
SELECT duplicate, scored FROM crm.track('m', 'page_view', occurred_at => '2025-06-01', source_id => '6');
SELECT duplicate, scored FROM crm.track('n', 'page_view', source_id => '6');
SELECT inserted, duplicates FROM crm.track_many('[
    {"external_id": "m", "kind": "page_view", "source_id": "7"}, {"external_id": "m", "kind": "page_view", "source_id": "7", "occurred_at": "2024-06-01"},
    {"external_id": "p", "kind": "page_view", "source_id": "7"}, {"external_id": "m", "kind": "page_view", "source_id": "6"}, {"external_id": "m", "kind": "page_view"}]');
INSERT INTO crm.event (lead_id, kind, source_id) VALUES (crm.lead_id('m'), 'page_view', '7');
INSERT INTO crm.event (lead_id, kind, source_id) VALUES (crm.lead_id('m'), 'page_view', '8'), (crm.lead_id('m'), 'page_view', '8');
INSERT INTO crm.event (lead_id, kind, source_id) VALUES (crm.lead_id('m'), 'page_view', '8'), (crm.lead_id('n'), 'page_view', '8') RETURNING source_id;
RESET ROLE;
UPDATE crm.event SET lead_id = crm.lead_id('m') WHERE lead_id = crm.lead_id('n') AND source_id = '8';
UPDATE crm.event SET source_id = '7' WHERE lead_id = crm.lead_id('m') AND source_id = '8';
SELECT count(*), count(DISTINCT (lead_id, source_id)) FROM crm.event WHERE source_id IS NOT NULL;
SELECT * FROM crm.verify();
-- and where the key of events does not hold event_id alone: by hash of lead_id
SET ROLE leadscore_owner;
SELECT leadscore.detach_pipeline('crm');
ALTER TABLE crm.event RENAME TO event_plain;
ALTER TABLE crm.event_plain RENAME CONSTRAINT event_pkey TO event_plain_pkey;
CREATE TABLE crm.event (LIKE crm.event_plain INCLUDING DEFAULTS INCLUDING COMMENTS,
    CONSTRAINT event_pkey PRIMARY KEY (lead_id, event_id)) PARTITION BY HASH (lead_id);
CREATE UNIQUE INDEX event_source_id_key ON crm.event (lead_id, source_id) WHERE source_id IS NOT NULL;
CREATE TABLE crm.event_0 PARTITION OF crm.event FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE crm.event_1 PARTITION OF crm.event FOR VALUES WITH (MODULUS 2, REMAINDER 1);
ALTER SEQUENCE crm.event_event_id_seq OWNED BY crm.event.event_id;
INSERT INTO crm.event TABLE crm.event_plain;
SELECT leadscore.upgrade_pipeline('crm') > 0;
DROP TABLE crm.event_plain;
SELECT leadscore.attach_pipeline('crm') >= 0;
SELECT leadscore.grant_app('crm', 'leadscore_app');
SET ROLE leadscore_app;
SELECT duplicate, scored FROM crm.track('m', 'page_view', occurred_at => '2024-06-01', source_id => '8');
SELECT duplicate, scored FROM crm.track('m', 'page_view', occurred_at => '2024-06-01', source_id => '9');
SELECT inserted, duplicates FROM crm.track_many('[{"external_id": "m", "kind": "page_view", "source_id": "9"}, {"external_id": "p", "kind": "page_view", "source_id": "9"}, {"external_id": "p", "kind": "page_view", "source_id": "9"}]');
RESET ROLE;
SELECT setval('crm.event_event_id_seq', (SELECT max(event_id) FROM crm.event WHERE lead_id = crm.lead_id('m')), false) > 0;
SELECT * FROM try.try($$SELECT crm.track('m', 'page_view')$$);
SELECT setval('crm.event_event_id_seq', 2000, false);
SELECT * FROM crm.verify();
DROP SCHEMA crm, crm_reports CASCADE;

-- Stages by hand: what makes a contact a lead is asked for
SET ROLE leadscore_owner;
SELECT pipeline FROM leadscore.create_pipeline('crm');
SELECT leadscore.grant_app('crm', 'leadscore_app');
SET ROLE leadscore_app;
SELECT stage FROM crm.track('s', 'page_view', occurred_at => '2025-01-01 10:00Z', profile => '{"email": "s@mail.example"}');
SELECT s.stage, t.result, t.detail FROM unnest('{visitor,iql,mql,sql,prospect,customer,advocate,lost,disqualified,recycled}'::text[]) AS s (stage), try.try(format('SELECT crm.set_stage(''s'', %L)', s.stage)) t;
SELECT crm.upsert_lead('s', consent => true) > 0;
SELECT crm.set_stage('s', 'Marketing Qualified Lead', 'met at the fair');
-- two in one transaction come one after the other
BEGIN;
SELECT crm.set_stage('s', 'lost'), crm.set_stage('s', 'sql'), crm.set_stage_by_id(crm.lead_id('s'), 'prospect');
COMMIT;
RESET ROLE;
SELECT properties, occurred_at - lag(occurred_at) OVER (ORDER BY event_id) < interval '5 microseconds' AS at_once, occurred_at > lag(occurred_at) OVER (ORDER BY event_id) AS later
    FROM crm.event WHERE kind = 'stage_set' ORDER BY event_id DESC LIMIT 4;
SELECT * FROM crm.verify();

-- The past is the past. By hand: product page 15 points, half of that after
-- 30 days; a decision maker 10, from 2025-03-01 12:00 on
SET ROLE leadscore_app;
SELECT stage FROM crm.track('then', 'product_page_view', occurred_at => '2025-01-01 10:00Z');
SELECT crm.upsert_lead('then', profile => '{"job_title": "director"}', at => '2025-03-01 12:00Z') > 0;
SELECT t.at, crm.score('then', t.at), crm.score_by_id(crm.lead_id('then'), t.at) = crm.score('then', t.at) AS same, t.points, (SELECT sum(e.points) FROM crm.explain('then', t.at) e) AS explained,
        (SELECT sum(e.points) FROM crm.explain_by_id(crm.lead_id('then'), t.at) e) AS explained_by_id
    FROM (VALUES (timestamptz '2025-01-01 09:59:59.999999Z', NULL), ('2025-01-01 10:00Z', 15), ('2025-01-31 00:00Z', 7.5),
        ('2025-03-01 11:59:59.999999Z', round(15 * 2 ^ (-59.0 / 30), 3)), ('2025-03-01 12:00Z', round(15 * 2 ^ (-59.0 / 30), 3) + 10), ('2025-03-02 00:00Z', 13.75), ('-infinity', NULL)) AS t (at, points);
SELECT crm.score('then', 'infinity'), crm.score('then', NULL) = crm.score('then') AS now;
-- the profile taken back
SELECT crm.upsert_lead('then', profile => '{"job_title": null}', at => '2025-04-01 12:00Z') > 0;
SELECT crm.score('then', '2025-03-02'), crm.score('then', '2025-04-30'), crm.score('then', now() + interval '1000 days');
-- the model of then
SET ROLE leadscore_owner;
SELECT crm.clone_model('inbound', 'double');
UPDATE crm.rule SET points = 30 WHERE model = 'double' AND signal = 'product_page_view';
SELECT level, score_a, score_b FROM crm.compare_models('inbound', 'double', '2025-03-02') WHERE lead_id = crm.lead_id('then');
SELECT level, score_a, score_b FROM crm.compare_models('inbound', 'double', '2025-01-31') WHERE lead_id = crm.lead_id('then');
SELECT count(*) FROM crm.compare_models('inbound', 'double', '2025-01-01 09:59:59Z');
SELECT crm.activate_model('double') >= 0;
SET ROLE leadscore_app;
SELECT crm.score('then', '2025-01-31'), crm.score('then', '2025-01-31', as_of_model => true) AS of_then, crm.score('then', '2025-03-02', true),
    (SELECT sum(points) FROM crm.explain('then', '2025-01-31', true)) AS explained, crm.score('then', now(), true) = crm.score('then') AS now;
-- an instant in the future counts as now
SELECT stage, score FROM crm.track('ahead', 'page_view', occurred_at => now() + interval '100 days', profile => '{"email": "a@mail.example", "consent": true}');
SELECT crm.upsert_lead('ahead', profile => '{"consent": false}', at => now() + interval '100 days') > 0;
SELECT crm.stage_at('ahead');
RESET ROLE;
SELECT created_at <= now() AS created, updated_at <= clock_timestamp() AS updated FROM crm.lead WHERE external_id = 'ahead';
SELECT * FROM crm.verify();

-- An event that unsubscribes clears contact_allowed in the same transaction,
-- however it is written, until consent is given with evidence
SET ROLE leadscore_app;
SELECT count(crm.upsert_lead('u' || i, 'u' || i || '@mail.example', contact_allowed => true, at => '2025-01-01')) FROM generate_series(1, 9) i;
SELECT event_id > 0 FROM crm.track('u1', 'unsubscribe', occurred_at => '2025-02-01');
INSERT INTO crm.event (lead_id, kind, occurred_at) VALUES (crm.lead_id('u2'), 'unsubscribe', '2025-02-01');
SELECT inserted FROM crm.track_many('[{"external_id": "u4", "kind": "unsubscribe", "occurred_at": "2025-02-02"}, {"external_id": "u3", "kind": "unsubscribe", "occurred_at": "2025-02-01"},
    {"external_id": "u4", "kind": "unsubscribe", "occurred_at": "2025-02-01"}, {"external_id": "u5", "kind": "email_open", "occurred_at": "2025-02-01"},
    {"external_id": "fresh", "kind": "unsubscribe", "occurred_at": "2025-02-01", "profile": {"contact_allowed": true}}]');
-- with a profile in the same call the event is later; of kinds with the role too
SELECT event_id > 0 FROM crm.track('u6', 'unsubscribe', profile => '{"contact_allowed": true}');
RESET ROLE;
INSERT INTO crm.event_kind (kind, role) VALUES ('opt_out', 'unsubscribe');
SET ROLE leadscore_app;
SELECT event_id > 0 FROM crm.track('u7', 'opt_out');
RESET ROLE;
SELECT external_id, contact_allowed, updated_at FROM crm.lead WHERE external_id IN ('u1', 'u2', 'u3', 'u4', 'u5', 'u8', 'fresh') ORDER BY 1;
SELECT external_id, contact_allowed FROM crm.lead WHERE external_id IN ('u6', 'u7') ORDER BY 1;
SELECT external_id, contact_allowed FROM crm.lead_score WHERE external_id IN ('u1', 'u5') ORDER BY 1;
UPDATE crm.event_kind SET role = 'capture' WHERE kind = 'opt_out';
SET ROLE leadscore_app;
-- allowed again; an event that is only edited changes nothing, one that becomes
-- such does, and what is undone never was
SELECT count(crm.upsert_lead('u' || i, contact_allowed => true)) FROM unnest('{1,2,7}'::int[]) i;
SELECT crm.give_consent('u' || i, 'marketing', evidence => '{"form": "footer"}') FROM unnest('{1,2,7}'::int[]) i;
SELECT event_id > 0 FROM crm.track('u7', 'opt_out');
RESET ROLE;
UPDATE crm.event SET properties = '{"message": "spring"}', occurred_at = occurred_at + interval '1 hour' WHERE lead_id = crm.lead_id('u1');
UPDATE crm.event SET lead_id = lead_id, kind = 'unsubscribe' WHERE lead_id = crm.lead_id('u5');
BEGIN;
INSERT INTO crm.event (lead_id, kind) SELECT lead_id, 'unsubscribe' FROM crm.lead;
SELECT count(*) AS allowed FROM crm.lead WHERE contact_allowed;
ROLLBACK;
SELECT string_agg(external_id, ' ' ORDER BY external_id) AS allowed FROM crm.lead WHERE external_id LIKE 'u_' AND contact_allowed;
-- consent that was given after it stays
SET ROLE leadscore_app;
SELECT crm.give_consent('u8', 'marketing', evidence => '{"form": "footer"}', occurred_at => '2025-03-01');
SELECT a.event_id > 0, b.event_id > 0 FROM crm.track('u8', 'unsubscribe', occurred_at => '2025-02-01') a, crm.track('u9', 'unsubscribe', occurred_at => 'infinity') b;
RESET ROLE;
SELECT external_id, contact_allowed, updated_at > now() AS ahead FROM crm.lead WHERE external_id IN ('u8', 'u9') ORDER BY 1;
-- a signal on it follows at once
INSERT INTO crm.signal (signal, source, condition) VALUES ('reachable', 'profile', '$contact_allowed == true');
SELECT crm.sweep() > 0;
SELECT event_id > 0 FROM crm.track('u8', 'unsubscribe', occurred_at => '2025-04-01');
SELECT c.signal, c.count, c.changed_at FROM crm.profile_change c WHERE c.lead_id = crm.lead_id('u8') AND c.signal = 'reachable' ORDER BY seq;
SELECT * FROM crm.verify();

-- Stages at instants, as they are known, or were
SELECT crm.stage_at('s', '2024-12-31'), crm.stage_at('s', '2025-01-02'), crm.stage_at('s'), crm.stage_at('s', NULL) = crm.stage_at('s') AS now, crm.stage_at('s', now(), now() - interval '1 day') AS known_yesterday;
SELECT * FROM crm.next_steps('then');
-- a purchase by mistake, deleted: as it was known, and as it is
SELECT stage FROM crm.track('known', 'purchase', occurred_at => '2025-01-01');
SELECT clock_timestamp() AS before \gset
DELETE FROM crm.event WHERE lead_id = crm.lead_id('known');
SELECT crm.stage_at('known'), crm.stage_at('known', now(), :'before') AS known_before, crm.stage_at('known', '2025-01-02', :'before') AS known_of_then;

-- Row security: a lead that it hides from the caller is not there
SET ROLE leadscore_owner;
ALTER TABLE crm.lead ENABLE ROW LEVEL SECURITY;
SELECT * FROM try.try($$SELECT crm.score('then')$$);
SET ROLE leadscore_app;
SELECT * FROM try.try($$SELECT crm.score('then')$$);
SET ROLE leadscore_owner;
GRANT SELECT (lead_id, external_id) ON crm.lead TO leadscore_app;
CREATE POLICY own ON crm.lead FOR SELECT TO leadscore_app USING (external_id = 's');
SET ROLE leadscore_app;
SELECT crm.lead_id('then'), crm.score('then'), crm.score_by_id(2), crm.stage_at('then'), crm.lead_id('s'), crm.score('s') IS NOT NULL AS s, crm.stage_at('s');
SELECT (SELECT count(*) FROM crm.explain('then')) AS hidden, (SELECT count(*) FROM crm.next_steps('then')) AS hidden, (SELECT count(*) > 0 FROM crm.explain('s')) AS shown;
SET ROLE leadscore_owner;
ALTER TABLE crm.lead DISABLE ROW LEVEL SECURITY;
ALTER TABLE crm.stage_log ENABLE ROW LEVEL SECURITY;
GRANT SELECT (lead_id) ON crm.stage_log TO leadscore_app;
SET ROLE leadscore_app;
SELECT crm.stage_at('s'), crm.score('s') IS NOT NULL AS s;
RESET ROLE;
RESET search_path;
DROP SCHEMA crm, crm_reports CASCADE;
DROP SCHEMA try CASCADE;
DO $$BEGIN EXECUTE format('REVOKE CREATE ON DATABASE %I FROM leadscore_owner', current_database()); END$$;
DROP ROLE leadscore_owner, leadscore_app;
