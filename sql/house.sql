--
-- What makes, lists, changes and drops pipelines.
--
CREATE ROLE house_owner;
CREATE ROLE house_reader;
CREATE ROLE house_nobody;
GRANT CREATE, TEMP ON DATABASE :"DBNAME" TO house_owner;
SET timezone = 'UTC';

SELECT leadscore.version() = extversion AS same FROM pg_extension WHERE extname = 'leadscore';

-- Create: the asked parts and no more
SET ROLE house_owner;
SELECT * FROM leadscore.create_pipeline('small', 'empty', '1 hour', attach => false, reports => false);
SELECT * FROM leadscore.create_pipeline('crm');
SELECT n.nspname, count(*) FILTER (WHERE c.relkind = 'r') > 10 AS tables, count(*) FILTER (WHERE c.relkind = 'v') > 10 AS views
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'small' GROUP BY 1;
SELECT count(*) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE c.relnamespace = 'small'::regnamespace AND t.tgname LIKE 'leadscore%';
SELECT * FROM leadscore.create_pipeline('crm');
SELECT * FROM leadscore.create_pipeline('leadscore_internal');
SELECT * FROM leadscore.create_pipeline(NULL);
SELECT * FROM leadscore.create_pipeline('a$$b');
SELECT * FROM leadscore.create_pipeline('a$table$b');
SELECT * FROM leadscore.create_pipeline('x', reports => NULL);
SELECT * FROM leadscore.create_pipeline('x', preset => 'attach');

-- Reports: by part, all, and again; what there is of them is upgraded, no more
SELECT leadscore.add_reports('small', '{rates,nothing}');
SELECT leadscore.add_reports('small', '{rates,NULL}');
SELECT leadscore.add_reports('small', '{rates}') = count(*) AS all_of_the_part
    FROM leadscore_internal.ddl_files() f, leadscore_internal.ddl_views(f) WHERE leadscore_internal.report_part(f) IN ('rates', 'base');
CREATE TEMP VIEW report AS
    SELECT p.pipeline, leadscore_internal.report_part(f) AS part, count(*) AS views, count(c.oid) AS made
    FROM (VALUES ('small'), ('crm')) AS p (pipeline)
        CROSS JOIN leadscore_internal.ddl_files() f
        CROSS JOIN leadscore_internal.ddl_views(f) v
        LEFT JOIN (pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace)
            ON c.relname = v AND n.nspname = leadscore_internal.reports_schema(p.pipeline)
    WHERE leadscore_internal.report_part(f) IS NOT NULL
    GROUP BY 1, 2;
SELECT pipeline, count(*) FILTER (WHERE made = views AND made > 0) AS whole, count(*) FILTER (WHERE made = 0) = count(*) - 1 AS others_missing
    FROM report WHERE part <> 'base' AND pipeline = 'small' GROUP BY 1;
SELECT leadscore.upgrade_pipeline('small');
SELECT pipeline, count(*) FILTER (WHERE made = views AND made > 0) AS whole, count(*) FILTER (WHERE made = 0) = count(*) - 1 AS others_missing
    FROM report WHERE part <> 'base' AND pipeline = 'small' GROUP BY 1;
SELECT leadscore.add_reports('small') > 0 AS made, leadscore.add_reports('small') > 0 AS made_again;
SELECT * FROM report WHERE made <> views;
DROP VIEW report;

-- The list: what a role may read, and nothing that only looks like a pipeline
INSERT INTO crm.lead (external_id, created_at) SELECT 'lead ' || i, '2025-01-01' FROM generate_series(1, 3) i;
INSERT INTO crm.event (lead_id, kind, occurred_at) SELECT 1 + i % 3, 'page_view', '2025-01-02' FROM generate_series(1, 7) i;
ALTER TABLE crm.lead_state DISABLE TRIGGER USER;
UPDATE crm.lead_state SET next_review_at = CASE WHEN lead_id = 1 THEN 'infinity' ELSE timestamptz '2025-01-01' END;
ALTER TABLE crm.lead_state ENABLE TRIGGER USER;
SELECT * FROM leadscore.pipelines ORDER BY 1;
CREATE SCHEMA fake1
    CREATE TABLE setting (id integer, layout_version integer)
    CREATE TABLE lead (lead_id integer)
    CREATE VIEW event AS SELECT 1 / 0 AS lead_id;
CREATE SCHEMA fake2
    CREATE VIEW setting AS SELECT 1 AS layout_version, interval '1 day' AS grain;
CREATE SCHEMA fake3
    CREATE TABLE setting (layout_version text, grain text);
CREATE SCHEMA fake4
    CREATE TABLE setting (layout_version integer, grain interval);
INSERT INTO fake1.setting VALUES (1, 1), (2, 2);
INSERT INTO fake3.setting VALUES ('1', '1 day');
-- code in a schema runs as its owner, if at all
CREATE FUNCTION fake4.spy() RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE WARNING 'run as %', current_user; RETURN true; END$$;
INSERT INTO fake4.setting VALUES (7, '1 day');
CREATE TABLE fake4.lead (lead_id bigint);
INSERT INTO fake4.lead VALUES (1);
ALTER TABLE fake4.lead ENABLE ROW LEVEL SECURITY;
CREATE POLICY spy ON fake4.lead USING (fake4.spy());
GRANT USAGE ON SCHEMA fake4 TO PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA fake4 TO PUBLIC;
SELECT * FROM leadscore.pipelines ORDER BY 1;
RESET ROLE;
SELECT * FROM leadscore.pipelines ORDER BY 1;
SET ROLE house_nobody;
SELECT * FROM leadscore.pipelines ORDER BY 1;
RESET ROLE;
DROP SCHEMA fake1, fake2, fake3, fake4 CASCADE;
GRANT USAGE ON SCHEMA crm TO house_reader;
GRANT SELECT (layout_version) ON crm.setting TO house_reader;
GRANT SELECT ON crm.event TO house_reader;
SET ROLE house_reader;
SELECT * FROM leadscore.pipelines ORDER BY 1;
RESET ROLE;

-- Grants
SET ROLE house_owner;
SELECT leadscore.grant_app('crm', 'house_missing');
SELECT leadscore.grant_reader('crm', 'house_missing');
SELECT leadscore.grant_reader('crm', 'house_reader');
SET ROLE house_reader;
SELECT pipeline, leads IS NOT NULL AS leads FROM leadscore.pipelines;
SELECT count(*) FROM crm.lead_score;
RESET ROLE;

-- A pipeline that was renamed: what names it waits for upgrade_pipeline(),
-- and no other may take the name meanwhile
SET ROLE house_owner;
SELECT crm.clone_model('inbound', 'before') AS clone;
ALTER SCHEMA crm RENAME TO "Sales ""1"" it's";
ALTER SCHEMA crm_reports RENAME TO "Sales ""1"" it's_reports";
SELECT "Sales ""1"" it's".clone_model('inbound', 'between');
SELECT * FROM leadscore.create_pipeline('crm');
SELECT leadscore.upgrade_pipeline('Sales "1" it''s');
SELECT "Sales ""1"" it's".clone_model('inbound', 'after') AS clone;
SELECT model, status FROM "Sales ""1"" it's".model ORDER BY model;
SELECT * FROM "Sales ""1"" it's".verify();
SELECT pipeline, active_model FROM leadscore.create_pipeline('crm');
SELECT pipeline, leads FROM leadscore.pipelines ORDER BY pipeline COLLATE "C";

-- Drop: the owner's, with nothing that others need
SELECT leadscore.drop_pipeline('crm');
SELECT leadscore.drop_pipeline('crm');
RESET ROLE;
SELECT leadscore.drop_pipeline('small');
CREATE SCHEMA house;
CREATE VIEW house.leads AS SELECT lead_id FROM small.lead;
CREATE TABLE house.note (lead_id bigint REFERENCES small.lead);
CREATE FUNCTION house.scores() RETURNS bigint LANGUAGE sql RETURN (SELECT count(*) FROM small.lead_score);
CREATE TABLE house.whole (l small.lead);
SET ROLE house_owner;
SELECT leadscore.drop_pipeline('small');
RESET ROLE;
DROP SCHEMA house CASCADE;
SET ROLE house_owner;
SELECT leadscore.drop_pipeline('small'), leadscore.drop_pipeline('Sales "1" it''s');
SELECT * FROM leadscore.pipelines;
RESET ROLE;
SELECT nspname FROM pg_namespace WHERE nspowner = 'house_owner'::regrole;

-- The library's version is that of the extension, or nothing is made
CREATE FUNCTION try_all() RETURNS TABLE (message text, hint text) LANGUAGE plpgsql AS $$
DECLARE
    statement text;
BEGIN
    FOREACH statement IN ARRAY '{create_pipeline(''crm''),upgrade_pipeline(''crm''),add_reports(''crm''),version()}'::text[] LOOP
        BEGIN
            EXECUTE 'SELECT leadscore.' || statement;
            message := 'no error';
            hint := NULL;
        EXCEPTION
            WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
                message := replace(SQLERRM, leadscore.version(), '<library>');
        END;
        RETURN NEXT;
    END LOOP;
END
$$;
UPDATE pg_extension SET extversion = '0.8' WHERE extname = 'leadscore';
SELECT * FROM try_all();
UPDATE pg_extension SET extversion = '99.10' WHERE extname = 'leadscore';
SELECT * FROM try_all();
UPDATE pg_extension SET extversion = leadscore.version() WHERE extname = 'leadscore';
DROP FUNCTION try_all();

REVOKE CREATE, TEMP ON DATABASE :"DBNAME" FROM house_owner;
DROP ROLE house_owner, house_reader, house_nobody;
