-- A script of psql that shows all views of a pipeline as HTML, for
-- dashboard/reports: parameters pipeline and rows.
\set QUIET on
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SELECT set_config('search_path', 'pg_catalog', false) \g /dev/null

-- text as HTML, and any text as one quoted argument of psql, which is one line
CREATE FUNCTION pg_temp.html(words text) RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN replace(replace(replace(words, '&', '&amp;'), '<', '&lt;'), '>', '&gt;');
CREATE FUNCTION pg_temp.say(words text) RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN '\qecho ' || '''' || replace(replace(replace(words, '\', '\\'), '''', ''''''), E'\n', '\n') || '''';

CREATE TEMP TABLE report AS
    SELECT c.oid, n.nspname, c.relname, row_number() OVER (ORDER BY n.nspname, c.relname COLLATE "C") AS n
    FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname IN (:'pipeline', :'pipeline' || '_reports') AND c.relkind = 'v' AND c.relname !~ '^_' AND has_table_privilege(c.oid, 'SELECT');

SELECT NOT EXISTS (SELECT FROM report) AS nothing \gset
\if :nothing
    -- an error ends psql, an \echo does not
    DO $$ BEGIN RAISE 'there is no such pipeline, or this role may not read it'
        USING HINT = 'SELECT pipeline FROM leadscore.pipelines lists pipelines; SELECT leadscore.grant_reader(''crm'', ''role'') lets a role read the pipeline crm.'; END $$;
\endif

\qecho '\\pset footer off'
\qecho '\\pset null \'\''
\qecho 'SET search_path = pg_catalog;'
SELECT format('SELECT set_config(''timezone'', time_zone, false) FROM %I.setting \g /dev/null', :'pipeline');
\qecho 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;'
SELECT pg_temp.say('<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src ''none''; style-src ''unsafe-inline''">
<title>Reports of ' || pg_temp.html(:'pipeline') || '</title>
<style>
body { font: 15px/1.4 system-ui, sans-serif; max-width: 1200px; margin: auto; padding: 1em; }
section > table, details > table { display: block; overflow-x: auto; border-collapse: collapse; border: 0; font-size: 13px; }
td, th { border: 1px solid #8886; padding: 2px 6px; white-space: nowrap; }
nav { columns: 14em; }
</style></head><body>
<h1>Reports of ' || pg_temp.html(:'pipeline') || '</h1>
<p>The views of the pipeline, what each says, and its first ' || :'rows' || ' rows, on ' || to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC.</p>
<nav>' || (SELECT string_agg(format('<a href="#v%s">%s</a><br>', n, pg_temp.html(relname)), ' ' ORDER BY n) FROM report) || '</nav>');
SELECT concat_ws(E'\n',
    pg_temp.say(format('<section id="v%s"><h2>%s</h2><p>%s</p>', n, pg_temp.html(nspname || '.' || relname), pg_temp.html(obj_description(oid, 'pg_class')))),
    format('SELECT * FROM %I.%I LIMIT %s;', nspname, relname, :'rows'::int),
    pg_temp.say('<details><summary>Columns</summary>'),
    format('SELECT attname AS "column", col_description(attrelid, attnum) AS meaning FROM pg_attribute WHERE attrelid = %s AND attnum > 0 ORDER BY attnum;', oid),
    pg_temp.say('</details></section>'))
FROM report
ORDER BY n;
SELECT pg_temp.say('</body></html>');
\qecho 'COMMIT;'
