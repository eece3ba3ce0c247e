--
-- With any arguments a function gives an answer or a decent error, never a crash
-- or an internal error
--
SELECT leadscore.create_pipeline('crm') \g /dev/null
SELECT stage FROM crm.track('one', 'demo_request', occurred_at => '2025-01-01', profile => '{"email": "a@mail.example", "consent": true}');
CREATE SCHEMA hostile;

-- Expressions by type, the first one harmless
CREATE TABLE hostile.value (id serial, type regtype, expression text);
INSERT INTO hostile.value (type, expression)
    SELECT t::regtype, format('%L::%s', v, t) FROM (VALUES
        ('bool', '{t,f}'::text[]),
        ('int2', '{1,0,-1,32767,-32768}'), ('int4', '{1,0,-1,33,2147483647,-2147483648}'), ('int8', '{1,0,-1,9223372036854775807,-9223372036854775808}'),
        ('numeric', '{1,0,-1,NaN,Infinity,-Infinity,1e130000,-1e-16000,0.0005}'), ('float8', '{1,0,NaN,Infinity,-Infinity,1e308,-1e-320}'),
        ('timestamptz', '{2025-01-01,infinity,-infinity,4714-11-24 00:00:00+00 BC,294276-12-31 23:59:59.999999+00,0001-01-01 00:00:00+00 BC}'),
        ('date', '{2025-01-01,infinity,-infinity,4714-11-24 BC,5874897-12-31}'),
        ('interval', '{1 day,1 hour,0,-1 day,1 mon,-178000000 years,178000000 years,-2147483648 mons,2147483647 days -9223372036854775808 us}'),
        ('text', '{crm,"",inbound,x,%s%n%1$s,"quote'' \"double\" ; --",äöü€😀,"line\nbreak\t\u0001",2025-01-01,9223372036854775808,NaN,"{","day{1@*:1",pg_catalog}'),
        ('varchar', '{mql}'), ('cstring', '{mql,"",äöü€😀,"day{1@2025-01-01:9223372036854775808}","day{1@*:1,1@*:-1}","{}","{\"model\":1}",null}'),
        ('jsonb', '{"{}",null,1,"[]","\"\"","[null,[],{}]","[{\"external_id\":1,\"kind\":{}}]","[{\"external_id\":\"x\",\"kind\":\"k\",\"occurred_at\":\"infinity\",\"value\":\"NaN\"}]"}'),
        ('leadscore.lead_stage', '{mql,disqualified,advocate,visitor}'),
        ('leadscore.lead_activity', '{"day{1@2025-01-01:1}","day{}","hour{1@2025-01-01T00:1}","day{0@0001-01-01:9223372036854775807,32767@9999-12-31:-9223372036854775807,5@*:1}","hour{1@0001-01-01T00:-9223372036854775807}"}'),
        ('numeric[]', '{"{1,NaN,Infinity,NULL}","{}","{{1,2},{3,4}}"}'), ('float8[]', '{"{1,0}","{}","{NULL}","{NaN,Infinity}","{{1,2},{3,4}}","[-5:-4]={1,1e308}"}'),
        ('bool[]', '{"{t,f}","{}","{NULL}","{{t,f},{f,t}}","[-5:-4]={t,t}"}'), ('int8[]', '{"{1}","{}","{NULL,0,-1}","{{1,2},{3,4}}"}'),
        ('text[]', '{"{one}","{}","{NULL,\"\"}","{{a,b},{c,d}}"}'), ('jsonb[]', '{"{\"{}\"}","{}","{NULL,null,1}"}'), ('timestamptz[]', '{"{2025-01-01}","{infinity,NULL}"}'), ('leadscore.lead_stage[]', '{"{mql}","{}","{NULL,customer}","{{iql,mql},{lost,sql}}"}'),
        ('int4[]', '{"{1}","{}","{NULL}","{{1,2},{3,4}}","{2147483647}","[-5:-4]={1,7}"}'), ('time', '{09:00,00:00,24:00}'), ('time[]', '{"{24:00}","{}","{NULL}","{{00:00,09:00},{10:00,11:00}}","[-5:-4]={00:00,24:00}"}'),
        ('timestamp', '{2025-01-01,infinity,-infinity,4714-11-24 00:00:00 BC,294276-12-31 23:59:59.999999}'),
        ('bytea', '{"\\\\x","\\\\x00","\\\\xffffffffffffffffffffffffffffffffffffffff"}'),
        ('regclass', '{crm.lead,0,4294967295,pg_class,crm.lead_score}'), ('oid', '{0,4294967295,2200}'), ('regnamespace', '{crm,0,4294967295,pg_catalog,hostile}')
    ) AS t (t, vs), unnest(vs) WITH ORDINALITY AS v (v, n) ORDER BY t, n;
INSERT INTO hostile.value (type, expression) VALUES
    ('bool[]', 'array_fill(true, ARRAY[33])'), ('bool[]', 'array_fill(true, ARRAY[100000])'), ('text', 'repeat(''a'', 1000000)'), ('cstring', 'textin(''x'')::text::cstring'),
    ('text[]', 'array_fill(''one''::text, ARRAY[1000])'), ('int8[]', 'array_fill(1::bigint, ARRAY[10000])'), ('bytea', 'decode(repeat(''00'', 100000), ''hex'')'),
    ('jsonb', '(repeat(''[{"a":'', 2000) || ''1'' || repeat(''}]'', 2000))::jsonb'), ('jsonb', '(SELECT jsonb_agg(i) FROM generate_series(1, 10000) i)'),
    ('leadscore.lead_activity', '(SELECT leadscore.lead_activity_agg(i % 32768, timestamptz ''2025-01-01'' + i * interval ''1 day'', i, ''1 day'') FROM generate_series(1, 20000) i)'),
    ('leadscore.lead_model', '(SELECT compiled FROM crm.model WHERE model = ''inbound'')'),
    ('leadscore.lead_model', '''{"model":"m","grain":"1 hour","signals":[],"dimensions":[],"rules":[],"stage_rules":[],"stage_gates":[],"grades":[]}''::leadscore.lead_model'),
    ('anyelement', '(SELECT e FROM crm.event e LIMIT 1)'), ('anyelement', '(SELECT e FROM crm.lead e LIMIT 1)'), ('anyelement', '1'), ('anyelement', 'ROW(1, ''x''::text)'),
    ('anyelement', 'ROW()'), ('anyelement', '(SELECT c FROM pg_class c LIMIT 1)'), ('anyelement', '(SELECT m FROM crm.model m LIMIT 1)'), ('anyelement', 'ARRAY[1]'),
    ('anyelement', 'jsonb_populate_record(NULL::crm.event, ''{"lead_id": 1}'')'), ('anyelement', 'jsonb_populate_record(NULL::crm.lead, ''{}'')'),
    ('anyelement', 'jsonb_populate_record(NULL::crm.lead_score, ''{}'')');

-- Functions that can be called: all but those with an argument of type internal
CREATE TABLE hostile.function AS
    SELECT p.oid, p.pronamespace::regnamespace::text || '.' || quote_ident(p.proname) AS name, p.oid::regprocedure AS signature, p.prokind, p.provolatile, p.proargtypes::oid[]::regtype[] AS types, p.provariadic > 0 AS variadic
    FROM pg_proc p
    WHERE p.pronamespace IN ('leadscore'::regnamespace, 'leadscore_internal'::regnamespace, 'crm'::regnamespace) AND p.prorettype <> 'trigger'::regtype;
SELECT DISTINCT u.type FROM hostile.function f, unnest(f.types) AS u (type) WHERE u.type NOT IN (SELECT v.type FROM hostile.value v) ORDER BY 1;
CREATE FUNCTION hostile.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RAISE SQLSTATE 'P0000';
EXCEPTION
    WHEN OTHERS THEN
        RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
-- (42846 or, of older servers, 0A000)
SELECT signature, hostile.try(format('SELECT %s(NULL::internal)', name)) ~ '^(42846|0A000) .* internal$' AS refused FROM hostile.function WHERE 'internal'::regtype = ANY (types) ORDER BY signature::text COLLATE "C";
SELECT p.oid::regprocedure, hostile.try(format('SELECT %s', p.oid::regprocedure)) FROM pg_proc p
    WHERE p.pronamespace = 'leadscore_internal'::regnamespace AND p.prorettype = 'trigger'::regtype ORDER BY p.proname COLLATE "C";

-- Each argument in turn takes each value, the others their first; all are null;
-- and at random
SELECT setseed(0.5);
CREATE TABLE hostile.call AS
    SELECT f.oid, f.signature, a.arguments
    FROM hostile.function f
        CROSS JOIN LATERAL generate_series(-7, cardinality(f.types) * 16) AS c (n)
        CROSS JOIN LATERAL (SELECT c.n / 16 + 1 AS argument, c.n % 16 + 1 AS choice) AS t
        CROSS JOIN LATERAL (
            SELECT coalesce(string_agg(CASE WHEN f.variadic AND u.i = cardinality(f.types) THEN 'VARIADIC ' ELSE '' END || v.expression, ', ' ORDER BY u.i), '') AS arguments,
                count(v.expression) = cardinality(f.types) AS complete
            FROM unnest(f.types) WITH ORDINALITY AS u (type, i),
                LATERAL (
                    SELECT coalesce(
                        (array_agg(w.expression ORDER BY w.id))[CASE WHEN c.n <= 0 THEN 1 + floor(random() * 1.2 * count(*)) WHEN u.i = t.argument THEN t.choice ELSE 1 END],
                        -- beyond the last
                        CASE WHEN c.n <= 0 OR u.i = t.argument AND t.choice = count(*) + 1 THEN 'NULL::' || u.type END) AS expression
                    FROM hostile.value w WHERE w.type = u.type
                ) v
        ) a
    WHERE NOT 'internal'::regtype = ANY (f.types) AND a.complete AND (c.n >= 0 OR cardinality(f.types) > 0)
        -- most functions of pipelines are one statement with bound names
        AND (c.n <= 0 OR t.choice <= 6 OR f.name LIKE 'leadscore.%')
        -- makes a whole pipeline, or all of it anew, each time
        AND (c.n > 0 OR f.name NOT IN ('leadscore.create_pipeline', 'leadscore.upgrade_pipeline', 'leadscore.attach_pipeline'));
CREATE TABLE hostile.result AS
    SELECT c.signature, c.arguments, hostile.try(format('SELECT string_agg(x::text, '''') FROM (SELECT %s(%s) AS x) s', f.name, c.arguments)) AS result
    FROM hostile.call c JOIN hostile.function f USING (oid);
SELECT count(*) > 2500 AS calls, count(*) FILTER (WHERE result LIKE 'P0000%') > 1000 AS answers, count(*) FILTER (WHERE result NOT LIKE 'P0000%') > 500 AS errors FROM hostile.result;
SELECT signature FROM hostile.function WHERE NOT 'internal'::regtype = ANY (types) AND signature NOT IN (SELECT r.signature FROM hostile.result r);
SELECT signature, left(arguments, 300) AS arguments, left(result, 200) AS result FROM hostile.result WHERE result ~ '^(XX|58)' ORDER BY 1, 2;

-- Bytes that are no state of an aggregate: real ones, and each byte of them in
-- turn another, and cut off
CREATE TABLE hostile.state (kind text, state bytea);
INSERT INTO hostile.state VALUES
    ('activity', leadscore.lead_activity_agg_transfn(leadscore.lead_activity_agg_transfn(NULL, 1, '2025-01-01', 2, '1 day'), 3, NULL, 1, '1 day')),
    ('activity', leadscore.lead_activity_sum_transfn(NULL, 'hour{1@2025-01-01T00:1}')),
    ('funnel', leadscore.window_funnel_transfn(leadscore.window_funnel_transfn(NULL, '2025-01-01', '1 day', 'ordered', true, false), '2025-01-02', '1 day', 'ordered', false, true)),
    ('funnel', leadscore.window_funnel_transfn(NULL, '2025-01-01', '1 day', 'strict', VARIADIC array_fill(true, ARRAY[32]))),
    ('funnel', leadscore.window_funnel_except_transfn(NULL, '2025-01-01', '1 day', 'any', true, 1, 2, true, false));
CREATE TABLE hostile.bytes AS
    SELECT s.kind, b.state
    FROM hostile.state s,
        LATERAL (
            SELECT s.state
            UNION ALL
            SELECT set_byte(s.state, i, v) FROM generate_series(0, least(length(s.state), 56) - 1) i, unnest('{0,1,33,127,255}'::int[]) v
            UNION ALL
            SELECT substr(s.state, 1, n) FROM generate_series(0, length(s.state), 3) n
            UNION ALL
            SELECT s.state || decode(repeat('ff', n), 'hex') FROM generate_series(1, 20) n
        ) b;
CREATE FUNCTION hostile.use(state bytea) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    call text;
    result text;
BEGIN
    FOREACH call IN ARRAY ARRAY[
        'leadscore.lead_activity_finalfn($1)', 'leadscore.lead_activity_combinefn($1, $1)', 'leadscore.lead_activity_combinefn($1, (SELECT state FROM hostile.state WHERE kind = ''activity'' LIMIT 1))',
        'leadscore.lead_activity_finalfn(leadscore.lead_activity_agg_transfn($1, 7, ''2025-02-01'', 1, ''1 day''))', 'leadscore.lead_activity_finalfn(leadscore.lead_activity_sum_transfn($1, ''hour{1@2025-01-01T00:1}''))',
        'leadscore.window_funnel_finalfn($1)', 'leadscore.funnel_times_finalfn($1)', 'leadscore.funnel_attempts_finalfn($1)', 'leadscore.funnel_attempt_ends_finalfn($1)', 'leadscore.window_funnel_finalfn(leadscore.window_funnel_combinefn($1, $1))',
        'leadscore.window_funnel_finalfn(leadscore.window_funnel_transfn($1, ''2025-01-01'', ''1 day'', ''ordered'', true, false))',
        'leadscore.window_funnel_finalfn(leadscore.window_funnel_except_transfn($1, ''2025-01-01'', ''1 day'', ''any'', true, 1, 2, true, false))']
    LOOP
        BEGIN
            EXECUTE 'SELECT ' || call USING state INTO result;
            RETURN NEXT 'answer';
        EXCEPTION
            WHEN OTHERS THEN
                RETURN NEXT SQLSTATE;
        END;
    END LOOP;
END
$$;
SELECT r AS result, count(*) > 100 AS often FROM hostile.bytes b, hostile.use(b.state) r GROUP BY 1 ORDER BY 1;
-- in aggregates of one's own, which begin with such a state and change it in place
CREATE FUNCTION hostile.aggregate(state bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    EXECUTE format('CREATE AGGREGATE hostile.a(int, timestamptz, bigint, interval) (SFUNC = leadscore.lead_activity_agg_transfn, STYPE = bytea, FINALFUNC = leadscore.lead_activity_finalfn, INITCOND = %1$L);
        CREATE AGGREGATE hostile.s(leadscore.lead_activity) (SFUNC = leadscore.lead_activity_sum_transfn, STYPE = bytea, FINALFUNC = leadscore.lead_activity_finalfn, INITCOND = %1$L);
        CREATE AGGREGATE hostile.c(bytea) (SFUNC = leadscore.lead_activity_combinefn, STYPE = bytea, FINALFUNC = leadscore.lead_activity_finalfn, INITCOND = %1$L);
        CREATE AGGREGATE hostile.f(timestamptz, interval, text, VARIADIC boolean[]) (SFUNC = leadscore.window_funnel_transfn, STYPE = bytea, FINALFUNC = leadscore.window_funnel_finalfn, INITCOND = %1$L);
        CREATE AGGREGATE hostile.g(bytea) (SFUNC = leadscore.window_funnel_combinefn, STYPE = bytea, FINALFUNC = leadscore.funnel_times_finalfn, INITCOND = %1$L)', state);
    result := hostile.try('SELECT hostile.a(i, timestamptz ''2025-01-01'', i, ''1 day'') FROM generate_series(1, 50) i') || hostile.try('SELECT hostile.s(''day{1@2025-01-01:1}'') OVER (ORDER BY i) FROM generate_series(1, 5) i')
        || hostile.try('SELECT hostile.c(state) FROM hostile.bytes WHERE kind = ''activity''') || hostile.try('SELECT hostile.c(state) FROM hostile.state WHERE kind = ''activity''')
        || hostile.try('SELECT hostile.f(timestamptz ''2025-01-01'' + i * interval ''1 hour'', ''1 day'', ''ordered'', i = 1, i = 2) FROM generate_series(1, 50) i') || hostile.try('SELECT hostile.g(state) FROM hostile.state WHERE kind = ''funnel''');
    DROP AGGREGATE hostile.a(int, timestamptz, bigint, interval), hostile.s(leadscore.lead_activity), hostile.c(bytea), hostile.f(timestamptz, interval, text, VARIADIC boolean[]), hostile.g(bytea);
    RETURN result;
END
$$;
SELECT count(*) > 100 AS aggregates, count(*) FILTER (WHERE result LIKE '%P0000%') > 10 AS answers FROM hostile.bytes b TABLESAMPLE BERNOULLI (7) REPEATABLE (1), hostile.aggregate(b.state) AS result WHERE result !~ 'XX';

-- Binary input: real bytes, changed, and none
CREATE TABLE hostile.received (a leadscore.lead_activity, m leadscore.lead_model, s leadscore.lead_stage);
CREATE FUNCTION hostile.receive(field text, bytes bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    file bytea := '\x5047434f50590aff0d0a00' || '\x0000000000000000'::bytea || '\x0001' || int4send(length(bytes)) || bytes || '\xffff';
    result text;
BEGIN
    RETURN hostile.try(format('COPY hostile.received (%s) FROM PROGRAM %L (FORMAT binary)', field,
        'printf ''' || (SELECT string_agg('\' || lpad(to_hex(get_byte(file, i) / 64) || to_hex(get_byte(file, i) / 8 % 8) || to_hex(get_byte(file, i) % 8), 3, '0'), '' ORDER BY i) FROM generate_series(0, length(file) - 1) i) || ''''));
END
$$;
SELECT field, left(r, 5) AS result, count(*) > 10 AS often
    FROM (
            SELECT 'a' AS field, leadscore.lead_activity_send('day{0@2025-01-01:1,7@2025-03-04:300,9@*:9223372036854775807}') AS bytes
            UNION ALL
            SELECT 'm', leadscore.lead_model_send('{"model":"m","grain":"1 hour","signals":[],"dimensions":[],"rules":[],"stage_rules":[],"stage_gates":[],"grades":[]}')
            UNION ALL
            SELECT 's', leadscore.lead_stage_send('mql')
        ) b,
        LATERAL (
            SELECT b.bytes AS changed
            UNION ALL
            SELECT set_byte(b.bytes, i, v) FROM generate_series(0, least(length(b.bytes), 20) - 1) i, unnest('{0,255,128}'::int[]) v
            UNION ALL
            SELECT substr(b.bytes, 1, n) FROM generate_series(0, 10) n
        ) c,
        hostile.receive(b.field, c.changed) r
    GROUP BY 1, 2 ORDER BY 1, 2;

DROP SCHEMA hostile CASCADE;
SELECT * FROM crm.verify();
DROP SCHEMA crm, crm_reports CASCADE;
