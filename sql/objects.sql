-- Everything that the extension consists of, and what all of it keeps to

SET search_path = pg_catalog;

-- The members. Anything new here is public from its first release on.
SELECT object FROM (SELECT pg_describe_object(classid, objid, 0) COLLATE "C" AS object FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'leadscore') AND deptype = 'e'
	AND NOT (classid = 'pg_type'::regclass AND EXISTS (SELECT FROM pg_type WHERE oid = objid AND (typelem <> 0 OR typrelid <> 0)))) o
ORDER BY object;

-- Functions are immutable and parallel safe, but for these
CREATE TEMP VIEW member AS
SELECT p.*, p.oid::regprocedure::text AS signature, obj_description(p.oid, 'pg_proc') AS comment, l.lanname
FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid JOIN pg_language l ON l.oid = p.prolang
WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'leadscore') AND d.deptype = 'e';
SELECT signature, CASE provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END AS volatility,
       CASE proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted' ELSE 'unsafe' END AS parallel, proisstrict AS strict FROM member WHERE provolatile <> 'i' OR proparallel <> 's' ORDER BY signature COLLATE "C";
-- Immutable functions are strict, but for constructors, aggregates and their parts
SELECT signature FROM member WHERE provolatile = 'i' AND prokind = 'f' AND NOT proisstrict AND pronargs > 0 ORDER BY signature COLLATE "C";

-- Objects for people have a comment; support functions of a type or an aggregate need none
SELECT signature FROM member WHERE comment IS NULL AND proname !~ '^lead_(activity|model)_|fn$' ORDER BY signature COLLATE "C";
SELECT pg_describe_object(d.classid, d.objid, 0) AS without_comment FROM pg_depend d
WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'leadscore') AND d.deptype = 'e' AND d.classid IN ('pg_type'::regclass, 'pg_namespace'::regclass)
	AND obj_description(d.objid, d.classid::regclass::name) IS NULL AND NOT (d.classid = 'pg_type'::regclass AND EXISTS (SELECT FROM pg_type WHERE oid = d.objid AND (typelem <> 0 OR typrelid <> 0))) ORDER BY 1;
SELECT signature, comment FROM member WHERE comment ~ '^[A-Z][a-z]' OR comment ~ '\.$' OR length(comment) > 800 ORDER BY signature COLLATE "C";

-- Aggregates combine, run in parallel, and have a state that travels
SELECT aggfnoid::regprocedure::text COLLATE "C" AS aggregate, aggtranstype::regtype AS state, aggcombinefn <> 0 AS combines, aggserialfn = 0 AS as_it_is, proparallel = 's' AS parallel, agginitval
FROM pg_aggregate JOIN member ON member.oid = aggfnoid ORDER BY 1;

-- Nothing asks for an internal argument but what only the server can call
SELECT signature FROM member WHERE 'internal'::regtype = ANY (proargtypes) AND prorettype <> 'internal'::regtype AND proname !~ '_recv$' ORDER BY signature COLLATE "C";
-- C functions come from our library, and none runs with another's rights
SELECT signature, lanname FROM member WHERE lanname = 'c' AND probin <> 'leadscore' OR prosecdef ORDER BY signature COLLATE "C";
-- The others bind names when they are created or set their search_path
SELECT signature FROM member WHERE lanname NOT IN ('c', 'internal') AND prokind = 'f' AND prosqlbody IS NULL AND NOT coalesce(array_to_string(proconfig, ',') LIKE '%search_path=%', false) ORDER BY signature COLLATE "C";

-- Every role may use the schemas and none may add to them; functions that not every role may call
SELECT nspname, array(SELECT CASE grantee WHEN 0 THEN 'public' ELSE 'owner' END || ' ' || privilege_type FROM aclexplode(nspacl) ORDER BY 1) AS privileges FROM pg_namespace WHERE nspname LIKE 'leadscore%' ORDER BY 1;
SELECT signature FROM member WHERE NOT has_function_privilege('public', oid, 'EXECUTE') ORDER BY signature COLLATE "C";

-- All members but casts and the like are in the schemas or are over our types, and all of the schemas are members
SELECT pg_describe_object(classid, objid, 0) AS elsewhere
FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'leadscore') AND deptype = 'e'
	AND pg_describe_object(classid, objid, 0) !~ '(leadscore(_internal)?\.|^schema leadscore(_internal)?$|^language leadscore$|^cast )' ORDER BY 1;
SELECT p.oid::regprocedure FROM pg_proc p WHERE pronamespace IN ('leadscore'::regnamespace, 'leadscore_internal'::regnamespace) AND NOT EXISTS (SELECT FROM member WHERE member.oid = p.oid);
-- Every operator has its commutator and negator inside, and estimates what it selects
SELECT oprname, oprleft::regtype, oprright::regtype FROM pg_operator WHERE oprcode IN (SELECT oid FROM member) AND oprresult = 'bool'::regtype AND (oprrest = 0 OR oprjoin = 0 OR oprnegate = 0) ORDER BY oprname, oprleft::regtype::text COLLATE "C", oprright::regtype::text COLLATE "C";

DROP VIEW member;
