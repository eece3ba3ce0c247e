--
-- Rules that keep others out of what we run: for the extension and for a
-- pipeline. Each rule finds what breaks it, which must be nothing of ours, and
-- finds it in a schema where each is broken once.
--
SELECT leadscore.create_pipeline('crm') \g /dev/null

CREATE TEMP VIEW function AS
    SELECT p.oid, p.pronamespace::regnamespace AS schema, p.oid::regprocedure AS signature, p.prosrc, l.lanname AS language, p.prosecdef, p.proacl, p.proowner, p.proleakproof, p.provolatile,
        l.lanname IN ('sql', 'plpgsql') AND p.prosqlbody IS NULL AS text_body,
        p.prokind = 'p' AND p.prosrc ~ 'COMMIT' AS commits,
        (SELECT regexp_replace(c, '^search_path=', '') FROM unnest(p.proconfig) c WHERE c LIKE 'search_path=%') AS path
    FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang;
-- The queries of views and of functions with a parsed body, each as the server
-- prints its tree; and of those the subqueries in a FROM clause.
CREATE TEMP VIEW query AS
    SELECT c.relnamespace::regnamespace AS schema, c.oid::regclass::text AS object, w.ev_action::text AS tree
    FROM pg_rewrite w JOIN pg_class c ON c.oid = w.ev_class
    UNION ALL
    SELECT pronamespace::regnamespace, oid::regprocedure::text, prosqlbody::text
    FROM pg_proc WHERE prosqlbody IS NOT NULL;
-- the text up to the brace that closes the first one
CREATE FUNCTION pg_temp.node(tree text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    depth integer := 0;
    place integer := 1;
    part text[];
BEGIN
    FOR part IN SELECT m FROM regexp_matches(tree, '((?:\\.|[^{}\\])*)([{}])', 'g') m LOOP
        place := place + length(part[1]) + 1;
        depth := depth + CASE part[2] WHEN '{' THEN 1 ELSE -1 END;
        IF depth = 0 THEN
            RETURN left(tree, place - 1);
        END IF;
    END LOOP;
    RETURN NULL;
END$$;
CREATE TEMP VIEW subquery AS
    SELECT q.schema, q.object, pg_temp.node('{QUERY' || u.tail) AS tree
    FROM query q, unnest((string_to_array(q.tree, ':rtekind 1 :subquery {QUERY'))[2:]) WITH ORDINALITY AS t (part, n),
        LATERAL (SELECT array_to_string((string_to_array(q.tree, ':rtekind 1 :subquery {QUERY'))[t.n + 1:], ':rtekind 1 :subquery {QUERY')) AS u (tail)
    WHERE t.part ~ '^ [^{]*:cteList <> :rtable <> ';
CREATE TEMP VIEW finding AS
    -- Names in a text are looked up when it runs. An empty path is not enough:
    -- types and tables in pg_temp come first unless it is listed.
    SELECT schema, 'text body without search_path = pg_catalog, pg_temp' AS finding, signature::text AS object
    FROM function WHERE text_body AND NOT commits AND path IS DISTINCT FROM 'pg_catalog, pg_temp'
    UNION ALL
    -- One that commits can have no path, so it calls what has one.
    SELECT schema, 'commits, and does more than call functions in a loop', signature::text
    FROM function WHERE commits
        AND prosrc !~ E'^\\s*BEGIN\\s+PERFORM leadscore_internal\\.pipeline_schema\\(''\\w+''\\);\\s+LOOP\\s+EXIT WHEN \\w+\\.\\w+\\(\\d*\\) (IS NULL|OPERATOR\\(pg_catalog\\.=\\) 0);\\s+COMMIT;\\s+END LOOP;\\s+END\\s*$'
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
    FROM pg_class c, aclexplode(c.relacl) a WHERE a.grantee = 0 AND c.oid NOT IN ('leadscore.pipelines'::regclass, 'leadscore.progress'::regclass)
    UNION ALL
    -- What an engine that spreads tables over machines does not run, or what
    -- makes tables wait for functions and functions for tables there.
    SELECT p.pronamespace::regnamespace, 'function that depends on a table or view', p.oid::regprocedure::text
    FROM pg_proc p
    WHERE EXISTS (
        SELECT FROM pg_depend d LEFT JOIN pg_type t ON d.refclassid = 'pg_type'::regclass AND t.oid = d.refobjid
        WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND (d.refclassid = 'pg_class'::regclass OR (t.typrelid <> 0 AND (SELECT c.relkind FROM pg_class c WHERE c.oid = t.typrelid) <> 'c')))
    UNION ALL
    SELECT schema, 'text body in SQL', signature::text
    FROM function WHERE text_body AND language = 'sql'
    UNION ALL
    SELECT DISTINCT q.schema, 'subquery in FROM without a FROM that calls ' || p.oid::regprocedure, q.object
    FROM subquery q, regexp_matches(q.tree, ':(?:funcid|opfuncid) (\d+)', 'g') m JOIN pg_proc p ON p.oid = m[1]::oid
    WHERE p.provolatile <> 'i'
    UNION ALL
    SELECT c.relnamespace::regnamespace, 'trigger on TRUNCATE and another event', t.tgname || ' on ' || c.oid::regclass
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE t.tgtype & 32 <> 0 AND t.tgtype & (4 | 8 | 16) <> 0
    UNION ALL
    -- A text body that names its schema must notice when that is renamed.
    SELECT schema, 'names its schema, but does not call pipeline_schema()', signature::text
    FROM function
    WHERE text_body AND schema::text NOT LIKE 'leadscore%' AND strpos(prosrc, schema || '.') > 0
        AND prosrc !~ format('leadscore_internal[.]pipeline_(schema|on_one_node|on_this_node|of_lead)[(]%L[,)]', regexp_replace(schema::text, '_reports$', ''))
    UNION ALL
    -- What drivers and people stumble over: an untyped argument picks one of
    -- several functions; a reserved word must be quoted in every call.
    SELECT p.pronamespace::regnamespace, 'function of a pipeline with a namesake', p.oid::regprocedure::text
    FROM pg_proc p
    WHERE p.pronamespace NOT IN ('leadscore'::regnamespace, 'leadscore_internal'::regnamespace)
        AND EXISTS (SELECT FROM pg_proc o WHERE o.pronamespace = p.pronamespace AND o.proname = p.proname AND o.oid <> p.oid)
    UNION ALL
    SELECT p.pronamespace::regnamespace, 'parameter with a reserved word for a name', p.oid::regprocedure || ': ' || a.name
    FROM pg_proc p, unnest(p.proargnames, p.proargmodes) AS a (name, mode)
        JOIN pg_get_keywords() k ON k.word = a.name
    WHERE k.catcode IN ('R', 'T') AND coalesce(a.mode, 'i') NOT IN ('t', 'o')
    UNION ALL
    SELECT p.pronamespace::regnamespace, 'returns rows of a table or view', p.oid::regprocedure::text
    FROM pg_proc p JOIN pg_type t ON t.oid = p.prorettype JOIN pg_class c ON c.oid = t.typrelid
    WHERE c.relkind <> 'c'
    UNION ALL
    -- bound to objects of another schema: operators, functions, types, tables
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
SELECT * FROM finding f
    WHERE schema::text IN ('leadscore', 'leadscore_internal', 'crm', 'crm_reports')
    ORDER BY schema::text COLLATE "C", finding COLLATE "C", object COLLATE "C";
-- text that is run and not put together by format() with %I and %L only: names
-- out of the catalog
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
CREATE PROCEDURE careless.commits() LANGUAGE plpgsql AS 'BEGIN DELETE FROM careless.t; COMMIT; END';
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
CREATE FUNCTION careless.table_bound(x integer) RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM careless.t WHERE t.x = table_bound.x; END;
CREATE FUNCTION careless.row_bound(t careless.t) RETURNS integer LANGUAGE sql RETURN t.x;
CREATE FUNCTION careless.rows() RETURNS SETOF careless.v LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS 'BEGIN END';
CREATE FUNCTION careless.text_sql() RETURNS integer LANGUAGE sql SET search_path = pg_catalog, pg_temp AS 'SELECT 1';
CREATE VIEW careless.lateral WITH (security_invoker = true) AS
    SELECT f.c, g.d, n.e FROM careless.t, LATERAL (SELECT careless.table_bound(t.x)) AS f (c), LATERAL (SELECT t.x + 1) AS g (d),
        LATERAL (SELECT h.e FROM (SELECT now() - interval '1 day' AS e) h) AS n;
CREATE FUNCTION careless.fires() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER two AFTER INSERT OR TRUNCATE ON careless.t EXECUTE FUNCTION careless.fires();
CREATE TRIGGER one AFTER TRUNCATE ON careless.t EXECUTE FUNCTION careless.fires();
CREATE FUNCTION careless.named() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS 'BEGIN PERFORM careless.open(); END';
CREATE FUNCTION careless.twice(x text) RETURNS text LANGUAGE sql RETURN x;
CREATE FUNCTION careless.twice(x integer) RETURNS integer LANGUAGE sql RETURN x;
CREATE FUNCTION careless.reserved("from" text, OUT "to" text) LANGUAGE sql RETURN "from";
SELECT finding, object FROM finding WHERE schema::text = 'careless' ORDER BY finding COLLATE "C", object COLLATE "C";
SELECT signature, statement FROM unquoted WHERE schema::text = 'careless';

DROP SCHEMA careless, elsewhere CASCADE;
DROP SCHEMA crm, crm_reports CASCADE;
