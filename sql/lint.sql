--
-- Rules that keep others out of what we run: for the extension and for a
-- pipeline. Each rule finds what breaks it, which must be nothing of ours, and
-- finds it in a schema where each is broken once.
--
SET client_min_messages = 'warning';
SELECT leadscore.create_pipeline('crm') \g /dev/null

CREATE TEMP VIEW function AS
    SELECT p.oid, p.pronamespace::regnamespace AS schema, p.oid::regprocedure AS signature, p.prosrc, p.prosecdef, p.proacl, p.proowner, p.proleakproof, p.provolatile,
        l.lanname IN ('sql', 'plpgsql') AND p.prosqlbody IS NULL AS text_body,
        (SELECT regexp_replace(c, '^search_path=', '') FROM unnest(p.proconfig) c WHERE c LIKE 'search_path=%') AS path
    FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang;
CREATE TEMP VIEW finding AS
    -- Names in a text are looked up when it runs. An empty path is not enough:
    -- types and tables in pg_temp come first unless it is listed.
    SELECT schema, 'text body without search_path = pg_catalog, pg_temp' AS finding, signature::text AS object
    FROM function WHERE text_body AND path IS DISTINCT FROM 'pg_catalog, pg_temp'
    UNION ALL
    SELECT schema, 'security definer without a search_path', signature::text
    FROM function WHERE prosecdef AND coalesce(path, '') NOT IN ('""', 'pg_catalog, pg_temp')
    UNION ALL
    SELECT schema, 'security definer open to PUBLIC', signature::text
    FROM function WHERE prosecdef AND EXISTS (SELECT FROM aclexplode(coalesce(proacl, acldefault('f', proowner))) a WHERE a.grantee = 0)
    UNION ALL
    SELECT schema, 'leakproof, but more than a comparison of bytes', signature::text
    FROM function WHERE proleakproof AND signature::text !~ '^leadscore\.lead_stage_(eq|ne|lt|le|gt|ge|cmp)\('
    UNION ALL
    SELECT c.relnamespace::regnamespace, 'view with the rights of its owner', c.oid::regclass::text
    FROM pg_class c WHERE c.relkind IN ('v', 'm') AND NOT coalesce(c.reloptions @> '{security_invoker=true}', false)
    UNION ALL
    SELECT n.oid::regnamespace, 'privilege for PUBLIC', 'schema ' || n.oid::regnamespace || ': ' || a.privilege_type
    FROM pg_namespace n, aclexplode(n.nspacl) a WHERE a.grantee = 0 AND (n.nspname, a.privilege_type) NOT IN (('leadscore', 'USAGE'), ('leadscore_internal', 'USAGE'))
    UNION ALL
    SELECT c.relnamespace::regnamespace, 'privilege for PUBLIC', c.oid::regclass || ': ' || a.privilege_type
    FROM pg_class c, aclexplode(c.relacl) a WHERE a.grantee = 0 AND c.oid <> 'leadscore.pipelines'::regclass
    UNION ALL
    -- bound to what somebody else made: operators, functions, types, tables
    SELECT o.schema::regnamespace, 'uses something of another schema', o.object || ': ' || r.identity
    FROM (
            SELECT d.classid, d.objid, d.refclassid, d.refobjid, d.refobjsubid,
                coalesce(p.pronamespace, c.relnamespace, v.relnamespace, k.connamespace, f.relnamespace, t.relnamespace) AS schema,
                pg_describe_object(d.classid, d.objid, d.objsubid) AS object
            FROM pg_depend d
                LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
                LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
                LEFT JOIN pg_rewrite w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid
                LEFT JOIN pg_class v ON v.oid = w.ev_class
                LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
                LEFT JOIN pg_attrdef e ON d.classid = 'pg_attrdef'::regclass AND e.oid = d.objid
                LEFT JOIN pg_class f ON f.oid = e.adrelid
                LEFT JOIN pg_trigger g ON d.classid = 'pg_trigger'::regclass AND g.oid = d.objid
                LEFT JOIN pg_class t ON t.oid = g.tgrelid
            WHERE d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_type'::regclass, 'pg_class'::regclass, 'pg_cast'::regclass)
        ) o,
        LATERAL pg_identify_object(o.refclassid, o.refobjid, o.refobjsubid) r
    WHERE r.schema NOT IN ('pg_catalog', 'leadscore', 'leadscore_internal', o.schema::regnamespace::text)
        AND NOT (o.schema::regnamespace::text = 'crm_reports' AND r.schema = 'crm');

-- all of ours
SELECT * FROM finding WHERE schema::text IN ('leadscore', 'leadscore_internal', 'crm', 'crm_reports') ORDER BY schema::text COLLATE "C", finding COLLATE "C", object COLLATE "C";
-- of text that is run, what is not put together by format() with %I and %L
-- only: names out of the catalog
CREATE TEMP VIEW unquoted AS
    SELECT schema, signature, m[1] AS statement
    FROM function, regexp_matches(prosrc, '(?n)((?<=^|[;\s])EXECUTE\s+(?!pg_catalog\.format\(''(?:[^%'']|%(?:\d\$)?[IL])*'').*)', 'g') m
    WHERE text_body;
SELECT signature, statement FROM unquoted WHERE schema::text IN ('leadscore', 'leadscore_internal', 'crm', 'crm_reports') ORDER BY signature::text COLLATE "C", statement COLLATE "C";
SELECT schema, count(*) > 20 AS functions, count(*) FILTER (WHERE text_body) > 5 AS text_bodies, count(*) FILTER (WHERE prosecdef) > 10 AS security_definers
    FROM function WHERE schema::text IN ('leadscore', 'leadscore_internal', 'crm', 'crm_reports') GROUP BY 1 ORDER BY schema::text DESC;

-- each rule broken once
CREATE SCHEMA careless;
CREATE SCHEMA elsewhere;
GRANT USAGE ON SCHEMA careless TO PUBLIC;
CREATE TABLE careless.t (x int);
GRANT SELECT ON careless.t TO PUBLIC;
CREATE VIEW careless.v AS SELECT * FROM careless.t;
CREATE FUNCTION careless.no_path(x text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN x = ''''; END';
CREATE FUNCTION careless.empty_path(x text) RETURNS boolean LANGUAGE plpgsql SET search_path = '' AS 'BEGIN RETURN x = ''''; END';
CREATE FUNCTION careless.open() RETURNS integer LANGUAGE sql SECURITY DEFINER SET search_path = '' RETURN 1;
CREATE FUNCTION careless.definer() RETURNS integer LANGUAGE sql SECURITY DEFINER RETURN 1;
REVOKE EXECUTE ON FUNCTION careless.definer() FROM PUBLIC;
CREATE FUNCTION careless.unquoted(x text) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS
    $$BEGIN
        EXECUTE 'DROP TABLE ' || x;
        EXECUTE pg_catalog.format('DROP TABLE %s', x);
        EXECUTE pg_catalog.format('DROP TABLE %I', x);
    END$$;
CREATE FUNCTION careless.leaks(integer) RETURNS boolean LANGUAGE sql IMMUTABLE LEAKPROOF RETURN true;
CREATE FUNCTION elsewhere.now() RETURNS timestamptz LANGUAGE sql RETURN pg_catalog.now();
CREATE FUNCTION careless.bound() RETURNS timestamptz LANGUAGE sql RETURN elsewhere.now();
SELECT finding, object FROM finding WHERE schema::text = 'careless' ORDER BY finding COLLATE "C", object COLLATE "C";
SELECT signature, statement FROM unquoted WHERE schema::text = 'careless';

DROP SCHEMA careless, elsewhere CASCADE;
DROP SCHEMA crm, crm_reports CASCADE;
