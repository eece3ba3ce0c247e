--
-- Rules that BI tools rely on: for all views, and for the roles that may read them.
-- Each query finds what breaks a rule, and must find nothing.
--
SELECT leadscore.create_pipeline('crm') \g /dev/null
CREATE TEMP VIEW view_column AS
    SELECT c.oid, c.relnamespace::regnamespace AS schema, c.relname AS view, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnum
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace IN ('crm'::regnamespace, 'crm_reports'::regnamespace) AND c.relkind = 'v' AND c.relname !~ '^_' AND a.attnum > 0
        -- it stands for a table, of which it has the types
        AND c.relname <> 'stage_history';
-- all of them; and, internal, the base views
SELECT schema, view, string_agg(name, ', ' ORDER BY attnum) AS columns FROM view_column GROUP BY 1, 2 ORDER BY schema::text, view COLLATE "C";
SELECT schema, count(DISTINCT view) AS views, count(*) AS columns FROM view_column GROUP BY 1 ORDER BY schema::text;
SELECT relnamespace::regnamespace AS schema, relname FROM pg_class WHERE relnamespace IN ('crm'::regnamespace, 'crm_reports'::regnamespace) AND relkind = 'v' AND relname ~ '^_' ORDER BY relnamespace::regnamespace::text COLLATE "C", relname;
SELECT p.oid::regprocedure AS function FROM pg_proc p WHERE p.pronamespace = 'crm_reports'::regnamespace OR p.pronamespace = 'crm'::regnamespace AND p.proname ~ '^(_|funnel)' ORDER BY p.oid::regprocedure::text COLLATE "C";

-- Types that every tool knows; the name says what it is
SELECT view, name, type FROM view_column
    WHERE type NOT IN ('text', 'boolean', 'integer', 'bigint', 'double precision', 'numeric(14,2)', 'date', 'timestamp with time zone');
SELECT view, name, type FROM view_column
    WHERE (name ~ '_rate$' AND type <> 'double precision')
        OR (name ~ '_amount$') <> (type = 'numeric(14,2)')
        OR (name ~ '_days$' AND type NOT IN ('double precision', 'integer'))
        OR (name ~ '_at$') <> (type = 'timestamp with time zone')
        OR (name ~ '_(date|month)$') <> (type = 'date')
        OR (name ~ '_rank$' AND type <> 'integer')
        OR (name ~ '_id$' AND type NOT IN ('bigint', 'text'));
-- a stage as text, its order beside it
SELECT s.view, s.name FROM view_column s
    WHERE (s.name = 'stage' OR s.name ~ '^(next|previous|from|to)_stage$')
        AND (s.type <> 'text' OR NOT EXISTS (SELECT FROM view_column r WHERE r.view = s.view AND r.name = s.name || '_rank'));
SELECT r.view, r.name FROM view_column r
    WHERE r.name ~ 'stage_rank$' AND NOT EXISTS (SELECT FROM view_column s WHERE s.view = r.view AND s.name || '_rank' = r.name);
-- one name, one type; sums of integers are bigint
SELECT name, string_agg(DISTINCT type, ', ' ORDER BY type) AS types FROM view_column GROUP BY name
    HAVING count(DISTINCT type) > 1 AND string_agg(DISTINCT type, ', ' ORDER BY type) <> 'bigint, integer';
-- names that need no quotes
SELECT view, name FROM view_column WHERE name !~ '^[a-z][a-z0-9_]*$' OR view !~ '^[a-z][a-z0-9_]*$';
-- comments on all
SELECT view, name FROM view_column WHERE coalesce(col_description(oid, attnum), '') = '' OR coalesce(obj_description(oid, 'pg_class'), '') = '';
-- the reader's rights, not the owner's
SELECT relname, reloptions FROM pg_class WHERE relnamespace IN ('crm'::regnamespace, 'crm_reports'::regnamespace) AND relkind = 'v' AND reloptions IS DISTINCT FROM '{security_invoker=true}';
SELECT relname FROM pg_class WHERE relnamespace IN ('crm'::regnamespace, 'crm_reports'::regnamespace) AND (relkind = 'm' OR relkind = 'v' AND obj_description(oid, 'pg_class') IS NULL);
-- ranks of stages that follow each other differ by 10: views count on it
SELECT stage_rank FROM leadscore.stages() WHERE stage_rank % 10 <> 0 OR stage_rank NOT BETWEEN 10 AND 100;
SELECT count(DISTINCT stage_rank) FROM leadscore.stages();

-- No infinity, whatever is sent
INSERT INTO crm.lead (external_id, created_at) VALUES ('i', '-infinity'), ('j', 'infinity');
INSERT INTO crm.event (lead_id, kind, occurred_at) SELECT lead_id, 'page_view', t FROM crm.lead, unnest('{-infinity,infinity}'::timestamptz[]) t;
CREATE FUNCTION pg_temp.infinite() RETURNS TABLE (schema regnamespace, view name, name name, rows bigint) LANGUAGE plpgsql AS $$
BEGIN
    FOR schema, view, name IN SELECT c.schema, c.view, c.name FROM view_column c
            WHERE (c.type = 'date' OR c.type = 'timestamp with time zone')  LOOP
        EXECUTE format('SELECT count(*) FROM %s.%I WHERE NOT isfinite(%I)', schema, view, name) INTO rows;
        IF rows > 0 THEN
            RETURN NEXT;
        END IF;
    END LOOP;
END
$$;
SELECT * FROM pg_temp.infinite();
SELECT count(*) FROM (SELECT v.*::text FROM crm.stage_entry v) x;
SELECT count(*) FROM (SELECT v.*::text FROM crm.stage_velocity v) x;
DELETE FROM crm.lead;

-- Time: no gaps
SELECT track.stage FROM crm.track('a', 'page_view', NULL, '2024-02-28 23:30Z');
UPDATE crm.setting SET time_zone = 'Europe/Berlin';
SELECT day_date, day_month, year, quarter, month_number, month_day, iso_year, iso_week, weekday, weekend, month_label, quarter_label, future FROM crm_reports.calendar LIMIT 3;
SELECT count(*) = max(day_date) - min(day_date) + 1 AS no_gaps, max(day_date) = ((now() AT TIME ZONE 'Europe/Berlin') + interval '1 year')::date AS a_year_on,
    count(*) FILTER (WHERE days_ago = 0) AS today FROM crm_reports.calendar;
SELECT external_id, channel, stage, stage_rank, ready_to_buy, created_date, created_month, referred FROM crm_reports.lead_dim;
SELECT from_date, leads, sqls, customers, sql_rate, median_sale_days, revenue_amount, revenue_per_lead_amount FROM crm_reports.period_comparison WHERE period = 'month' AND (leads > 0 OR revenue_amount > 0);
SELECT track.stage FROM crm.track('a', 'purchase', NULL, '2024-03-10 12:00Z', value => 99.5);
SELECT track.stage FROM crm.track('b', 'newsletter_signup', NULL, '2024-03-12 12:00Z', profile => '{"email": "b@mail.example", "consent": true}');
SELECT from_date, to_date, leads, sqls, customers, sql_rate, round(median_sale_days::numeric, 2) AS median_sale_days, revenue_amount, revenue_per_lead_amount FROM crm_reports.period_comparison WHERE period = 'month' AND leads > 0;

-- A reader sees all views but work_list, which shows addresses, and nothing personal
CREATE ROLE leadscore_bi;
SELECT leadscore.grant_reader('crm', 'leadscore_bi');
SET ROLE leadscore_bi;
SET search_path = '';
CREATE FUNCTION pg_temp.read_all() RETURNS TABLE (view name, problem text) LANGUAGE plpgsql AS $$
BEGIN
    FOR view IN SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname IN ('crm', 'crm_reports') AND c.relkind = 'v' LOOP
        BEGIN
            EXECUTE pg_catalog.format('SELECT v.*::text FROM %s v', view);
        EXCEPTION WHEN insufficient_privilege THEN
            problem := SQLERRM;
            RETURN NEXT;
        END;
    END LOOP;
END
$$;
SELECT * FROM pg_temp.read_all();
SELECT stage, entered FROM crm.funnel_between('2024-01-01', '2024-12-31') WHERE entered > 0;
SELECT a.attrelid::pg_catalog.regclass, a.attname FROM pg_catalog.pg_attribute a
    WHERE (a.attrelid, a.attname) IN (('crm.lead'::regclass, 'email'), ('crm.lead'::regclass, 'profile'), ('crm.event'::regclass, 'properties'), ('crm.lead_state'::regclass, 'baseline'))
        AND pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT');
SELECT email FROM crm.lead;
RESET ROLE;
RESET search_path;
DROP OWNED BY leadscore_bi;
DROP ROLE leadscore_bi;
SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace IN ('crm'::regnamespace, 'crm_reports'::regnamespace) AND c.relkind = 'v' AND a.attname IN ('email', 'profile', 'properties', 'phone', 'name') AND c.relname NOT IN ('lead_timeline', '_watched');

DROP SCHEMA crm, crm_reports CASCADE;
