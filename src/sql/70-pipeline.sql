/* leadscore: pipelines, schemas of ordinary tables that their creator owns */

-- Helpers of the functions in pipelines

CREATE FUNCTION leadscore_internal.refuse(condition text, message text, hint text)
	RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RAISE EXCEPTION USING ERRCODE = condition, MESSAGE = message, HINT = hint;
END
$$;
COMMENT ON FUNCTION leadscore_internal.refuse(text, text, text) IS
	'raises an error, from an expression; condition is its name or SQLSTATE';

CREATE FUNCTION leadscore_internal.require_text(argument text, value text) RETURNS text
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF value IS NULL OR value = '' THEN
		RAISE EXCEPTION '% must not be %', argument, CASE WHEN value IS NULL THEN 'null' ELSE 'empty' END
			USING ERRCODE = CASE WHEN value IS NULL THEN 'null_value_not_allowed' ELSE 'invalid_parameter_value' END,
				HINT = pg_catalog.format('Pass a value for %s.', argument);
	END IF;
	RETURN value;
END
$$;
COMMENT ON FUNCTION leadscore_internal.require_text(text, text) IS
	'the value, or an error that names the argument if it is null or empty';

-- Sums of such an instant and the delays of sequences are instants, too.
CREATE FUNCTION leadscore_internal.require_instant(argument text, value timestamptz) RETURNS timestamptz
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF value IS NULL THEN
		RAISE EXCEPTION '% must not be null', argument
			USING ERRCODE = 'null_value_not_allowed', HINT = pg_catalog.format(CASE argument WHEN 'split' THEN 'Leave %s out if the default is meant.' ELSE 'Leave %s out if now is meant.' END, argument);
	ELSIF value < '0001-01-01 00:00+00' OR value >= '10000-01-01 00:00+00' THEN
		RAISE EXCEPTION '% must be an instant of the years 1 to 9999', argument
			USING ERRCODE = 'invalid_parameter_value', HINT = pg_catalog.format(CASE argument WHEN 'split' THEN 'Leave %s out if the default is meant.' ELSE 'Leave %s out if now is meant.' END, argument);
	END IF;
	RETURN value;
END
$$;
COMMENT ON FUNCTION leadscore_internal.require_instant(text, timestamptz) IS
	'the value, or an error that names the argument if it is null, infinite or out of reach';

CREATE FUNCTION leadscore_internal.require_role(role text) RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = leadscore_internal.require_text('role', role)) THEN
		RAISE EXCEPTION 'role "%" does not exist', role
			USING ERRCODE = 'undefined_object',
				HINT = CASE WHEN role IN ('public', 'none') THEN 'Pass the name of one role; grant that role to others.'
					ELSE pg_catalog.format('Create it with CREATE ROLE %I.', role) END;
	END IF;
	RETURN role;
END
$$;
COMMENT ON FUNCTION leadscore_internal.require_role(text) IS
	'the role of this name, or an error that says how to create it';

-- The embedded DDL

CREATE FUNCTION leadscore_internal.check_version() RETURNS text
	LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_check_version';
COMMENT ON FUNCTION leadscore_internal.check_version() IS
	'the version of the library, or an error if the extension in this database has another one';

CREATE FUNCTION leadscore_internal.ddl_files() RETURNS SETOF text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 20 AS 'MODULE_PATHNAME', 'leadscore_ddl_files';
COMMENT ON FUNCTION leadscore_internal.ddl_files() IS
	'names of the files that make up a pipeline, in their order; src/sql/pipeline/ of the source holds them';

CREATE FUNCTION leadscore_internal.ddl_views(file text) RETURNS SETOF text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 10 SET standard_conforming_strings = on
	AS 'MODULE_PATHNAME', 'leadscore_ddl_views';
COMMENT ON FUNCTION leadscore_internal.ddl_views(text) IS 'names of the views that a file creates';

CREATE FUNCTION leadscore_internal.run_ddl(pipeline text, file text) RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_run_ddl';
COMMENT ON FUNCTION leadscore_internal.run_ddl(text, text) IS
	'runs the statements of a file in a pipeline; the objects that it creates belong to the caller';

CREATE FUNCTION leadscore_internal.reports_schema(pipeline text) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_reports_schema';
COMMENT ON FUNCTION leadscore_internal.reports_schema(text) IS
	'name of the schema that the reports of a pipeline are in';

CREATE FUNCTION leadscore_internal.known_pipeline(pipeline text) RETURNS regnamespace
	LANGUAGE c STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'leadscore_known_pipeline';
COMMENT ON FUNCTION leadscore_internal.known_pipeline(text) IS
	'the schema of a pipeline that belongs to the caller, or an error: no such schema, no pipeline, or another owner';

CREATE FUNCTION leadscore_internal.pipeline_schema(name text) RETURNS regnamespace
	LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_pipeline_schema';
COMMENT ON FUNCTION leadscore_internal.pipeline_schema(text) IS
	'called first by every function that names its pipeline: the schema, or an error if the pipeline was renamed since';

CREATE FUNCTION leadscore_internal.pipeline_of_lead(name text, lead_id bigint) RETURNS regnamespace
	LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_pipeline_of_lead';
COMMENT ON FUNCTION leadscore_internal.pipeline_of_lead(text, bigint) IS
	'called first instead of pipeline_schema() by functions about one lead that a view calls for each row';

CREATE FUNCTION leadscore_internal.require_model(pipeline regnamespace, model text) RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	schema_name CONSTANT name := (SELECT n.nspname FROM pg_catalog.pg_namespace n WHERE n.oid = pipeline);
	known text;
	models text;
BEGIN
	EXECUTE pg_catalog.format('SELECT m.model FROM %I.model m WHERE m.model = $1', schema_name) INTO known USING model;
	IF known IS NULL THEN
		EXECUTE pg_catalog.format('SELECT pg_catalog.string_agg(m.model, '', '' ORDER BY m.model) FROM %I.model m', schema_name) INTO models;
		RAISE EXCEPTION USING ERRCODE = CASE WHEN model IS NULL THEN 'null_value_not_allowed' ELSE 'undefined_object' END,
				MESSAGE = CASE WHEN model IS NULL THEN 'model must not be null' ELSE pg_catalog.format('model "%s" does not exist', model) END,
				HINT = 'Models of this pipeline: ' || coalesce(models, 'none') || '.';
	END IF;
	RETURN known;
END
$$;
COMMENT ON FUNCTION leadscore_internal.require_model(regnamespace, text) IS
	'the model of this name, or an error that lists the models of the pipeline';

CREATE FUNCTION leadscore_internal.pipeline_figure(pipeline regnamespace, figure text) RETURNS text
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_pipeline_figure';
COMMENT ON FUNCTION leadscore_internal.pipeline_figure(regnamespace, text) IS
	'a column of the view leadscore.pipelines; NULL if the schema is not a pipeline or the caller may not read all of the table';

-- Changes that an upgrade must make to the tables of a pipeline are in files
-- layout/2-..., layout/3-... and so on, each run once.
CREATE FUNCTION leadscore_internal.layout_of(file text) RETURNS integer
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN pg_catalog.substring(file, '^layout/([0-9]+)')::integer;
COMMENT ON FUNCTION leadscore_internal.layout_of(text) IS
	'the layout version that a file of the DDL leads to; NULL if it changes no table';

CREATE FUNCTION leadscore_internal.newest_layout() RETURNS integer
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT coalesce(max(leadscore_internal.layout_of(f)), 1) FROM leadscore_internal.ddl_files() f;
END;
COMMENT ON FUNCTION leadscore_internal.newest_layout() IS 'the layout version of a new pipeline';

CREATE FUNCTION leadscore_internal.report_part(file text) RETURNS text
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN pg_catalog.substring(file, '^reports/(?:[0-9]+-)?(.*)$');
COMMENT ON FUNCTION leadscore_internal.report_part(text) IS
	'the part of the reports that a file of the DDL makes; base is made with any of them; NULL if it makes no reports';

CREATE FUNCTION leadscore_internal.is_attached(pipeline regnamespace) RETURNS boolean
	LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT EXISTS (
		SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_trigger t ON t.tgrelid = c.oid
		WHERE c.relnamespace = is_attached.pipeline::oid AND c.relname = 'event'
			AND t.tgname = 'leadscore_inserted' AND NOT t.tgisinternal);
END;
COMMENT ON FUNCTION leadscore_internal.is_attached(regnamespace) IS
	'whether the events of a pipeline are counted when they are inserted';


-- Functions for users

CREATE FUNCTION leadscore.version() RETURNS text
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_version';
COMMENT ON FUNCTION leadscore.version() IS 'version of the library that this session uses';

CREATE FUNCTION leadscore.create_pipeline(name text, preset text DEFAULT 'inbound', grain interval DEFAULT '1 day', attach boolean DEFAULT true, reports boolean DEFAULT true)
	RETURNS TABLE (pipeline text, active_model text, next_step text)
	LANGUAGE plpgsql VOLATILE ROWS 1 SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
	version CONSTANT text := leadscore_internal.check_version();
	presets text[];
	taken text;
	file text;
BEGIN
	name := leadscore_internal.require_text('name', name);
	IF pg_catalog.octet_length(name) > 40 THEN
		RAISE EXCEPTION 'pipeline name "%" is too long', name
			USING ERRCODE = 'name_too_long',
				HINT = 'Use at most 40 bytes.';
	END IF;
	IF pg_catalog.starts_with(name, 'pg_') OR name IN ('information_schema', 'leadscore', 'leadscore_internal', 'public') THEN
		RAISE EXCEPTION 'pipeline name "%" is reserved', name
			USING ERRCODE = 'reserved_name',
				HINT = 'A pipeline is a schema of its own. Choose another name, such as crm.';
	END IF;
	IF pg_catalog.strpos(name, '$$') > 0 THEN
		RAISE EXCEPTION 'pipeline name "%" contains "$$"', name
			USING ERRCODE = 'invalid_name',
				HINT = 'Choose another name, such as crm.';
	END IF;
	SELECT n.nspname INTO taken
	FROM pg_catalog.pg_namespace n
	WHERE n.nspname IN (name, CASE WHEN reports THEN leadscore_internal.reports_schema(name) END)
	ORDER BY n.nspname
	LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'schema "%" already exists', taken
			USING ERRCODE = 'duplicate_schema',
				HINT = 'Choose another name, or drop the schema; leadscore.drop_pipeline() drops a pipeline with all its data.';
	END IF;
	-- its functions would work on this one
	SELECT n.nspname INTO taken
	FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
	WHERE pg_catalog.strpos(p.prosrc, 'leadscore_internal.pipeline_schema(' || pg_catalog.quote_literal(name) || ')') > 0
		-- not the schema of its reports
		AND EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid AND c.relname = 'setting')
	LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'pipeline "%" was named "%" before, and its functions still use that name', taken, name
			USING ERRCODE = 'object_not_in_prerequisite_state',
				HINT = pg_catalog.format('First run SELECT leadscore.upgrade_pipeline(%L).', taken);
	END IF;

	SELECT pg_catalog.array_agg(p.preset ORDER BY p.preset) INTO presets
	FROM (
		SELECT pg_catalog.substring(f, '^preset/(.*)$') AS preset FROM leadscore_internal.ddl_files() f
		UNION ALL
		SELECT 'empty'
	) p
	WHERE p.preset IS NOT NULL;
	IF preset IS NULL OR preset <> ALL (presets) THEN
		RAISE EXCEPTION 'unknown preset "%"', preset
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Presets are ' || pg_catalog.array_to_string(presets, ', ') || '.';
	END IF;
	-- 24 hours are equal to a day, but not the same
	grain := CASE grain WHEN interval '1 day' THEN interval '1 day' WHEN interval '1 hour' THEN interval '1 hour' END;
	IF grain IS NULL THEN
		RAISE EXCEPTION 'grain must be 1 day or 1 hour'
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'The grain is the width of the buckets in which events are counted and fade.';
	END IF;
	IF attach IS NULL THEN
		RAISE EXCEPTION 'attach must not be null'
			USING ERRCODE = 'null_value_not_allowed',
				HINT = 'Pass true, or false to load data first and then call attach_pipeline().';
	END IF;
	IF reports IS NULL THEN
		RAISE EXCEPTION 'reports must not be null'
			USING ERRCODE = 'null_value_not_allowed',
				HINT = 'Pass true, or false to leave out the views for reports; add_reports() makes them later.';
	END IF;

	EXECUTE pg_catalog.format('CREATE SCHEMA %I', name);
	EXECUTE pg_catalog.format('COMMENT ON SCHEMA %I IS %L', name, 'leadscore pipeline: leads, events, scoring models and funnel');
	FOR file IN SELECT f FROM leadscore_internal.ddl_files() f WHERE f LIKE 'core/%' LOOP
		PERFORM leadscore_internal.run_ddl(name, file);
	END LOOP;
	EXECUTE pg_catalog.format('INSERT INTO %I.setting (grain, layout_version) VALUES ($1, $2)', name)
		USING grain, leadscore_internal.newest_layout();
	FOR file IN SELECT f FROM leadscore_internal.ddl_files() f WHERE f LIKE 'funnel/%' OR f = 'preset/' || preset LOOP
		PERFORM leadscore_internal.run_ddl(name, file);
	END LOOP;
	IF preset <> 'empty' THEN
		PERFORM leadscore_internal.run_ddl(name, 'starter/segments'), leadscore_internal.run_ddl(name, 'starter/sequences');
	END IF;
	IF reports THEN
		PERFORM leadscore.add_reports(name);
	END IF;
	EXECUTE pg_catalog.format('SELECT %I.activate_model(m.model) FROM %1$I.model m WHERE m.model = $1', name) USING preset;
	IF attach THEN
		PERFORM leadscore.attach_pipeline(name);
	END IF;

	pipeline := name;
	active_model := nullif(preset, 'empty');
	next_step := CASE
		WHEN NOT attach THEN pg_catalog.format('Load %1$I.lead and %1$I.event, then SELECT leadscore.attach_pipeline(%2$L).', name, name)
		WHEN active_model IS NULL THEN pg_catalog.format('Fill %1$I.signal, %1$I.model and %1$I.rule, then SELECT %1$I.activate_model(...).', name)
		ELSE pg_catalog.format('SELECT * FROM %I.track(''visitor-1'', ''page_view'');', name)
	END;
	RETURN NEXT;
END
$body$;
COMMENT ON FUNCTION leadscore.create_pipeline(text, text, interval, boolean, boolean) IS
	'creates a schema with the tables, functions and views of a lead pipeline, owned by the caller; preset: inbound, enterprise, multidimensional or empty; grain: 1 day or 1 hour; attach => false leaves out the triggers, reports => false the views of add_reports()';

CREATE FUNCTION leadscore.add_reports(pipeline text, parts text[] DEFAULT NULL) RETURNS integer
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	version CONSTANT text := leadscore_internal.check_version();
	schema_oid CONSTANT oid := leadscore_internal.known_pipeline(pipeline);
	reports CONSTANT text := leadscore_internal.reports_schema(pipeline);
	known text[];
	unknown text;
	file text;
	made integer := 0;
BEGIN
	SELECT pg_catalog.array_agg(leadscore_internal.report_part(f)) INTO known
	FROM leadscore_internal.ddl_files() f
	WHERE leadscore_internal.report_part(f) <> 'base';
	parts := coalesce(parts, known);
	SELECT p INTO unknown FROM pg_catalog.unnest(parts) p WHERE p IS NULL OR p <> ALL (known);
	IF FOUND THEN
		RAISE EXCEPTION 'unknown part "%" of the reports', unknown
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Parts are ' || pg_catalog.array_to_string(known, ', ') || '.';
	END IF;
	PERFORM FROM pg_catalog.pg_namespace n
		WHERE n.nspname = reports AND (n.oid = schema_oid
			OR pg_catalog.pg_get_userbyid(n.nspowner) = current_user
				AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid AND c.relname = 'setting'));
	IF NOT FOUND THEN
		EXECUTE pg_catalog.format('CREATE SCHEMA %I', reports);
		EXECUTE pg_catalog.format('COMMENT ON SCHEMA %I IS %L', reports,
			pg_catalog.format('reports of the leadscore pipeline %I, for BI tools', pipeline));
	END IF;
	FOR file IN
		SELECT f FROM leadscore_internal.ddl_files() f
		WHERE leadscore_internal.report_part(f) = ANY (parts || 'base'::text)
	LOOP
		PERFORM leadscore_internal.run_ddl(pipeline, file);
		made := made + (SELECT pg_catalog.count(*) FROM leadscore_internal.ddl_views(file));
	END LOOP;
	RETURN made;
END
$$;
COMMENT ON FUNCTION leadscore.add_reports(text, text[]) IS
	'creates the views for reports, or some parts of them, or makes them new if they are there; returns how many views';

CREATE FUNCTION leadscore.attach_pipeline(pipeline text, rebuild boolean DEFAULT true) RETURNS bigint
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	schema_oid CONSTANT regnamespace := leadscore_internal.known_pipeline(pipeline);
	changed bigint := 0;
	consent_loaded boolean;
	outermost boolean;
BEGIN
	IF rebuild IS NULL THEN
		RAISE EXCEPTION 'rebuild must not be null'
			USING ERRCODE = 'null_value_not_allowed',
				HINT = 'Pass true, or false to count what was loaded by continue_rebuild() of the pipeline.';
	END IF;
	IF NOT leadscore_internal.is_attached(schema_oid) THEN
		PERFORM leadscore_internal.require_one_layout(schema_oid);
		PERFORM leadscore_internal.forbid_distributed(schema_oid, 'attach_pipeline()');
		outermost := leadscore_internal.progress_begin(schema_oid, 'attach_pipeline', 'waiting for sessions that write');
		PERFORM leadscore_internal.lock_pipeline(schema_oid);
		-- a session that began without triggers may write these yet; triggers need the same locks
		EXECUTE pg_catalog.format('LOCK TABLE %1$I.event, %1$I.lead, %1$I.consent IN SHARE ROW EXCLUSIVE MODE', pipeline);
		PERFORM leadscore_internal.progress_next('recording consent that was loaded');
		EXECUTE pg_catalog.format('SELECT %I._columns_loaded()', pipeline) INTO consent_loaded;
		PERFORM leadscore_internal.progress_next('creating triggers');
		PERFORM leadscore_internal.run_ddl(pipeline, 'triggers/attach');
		PERFORM leadscore_internal.progress_next('completing leads that were loaded');
		EXECUTE pg_catalog.format('SELECT %I._leads_loaded($1)', pipeline) USING consent_loaded;
		IF rebuild THEN
			-- leads that are right keep their history
			changed := leadscore_internal.rebuild(schema_oid, NULL);
		ELSE
			EXECUTE pg_catalog.format('SELECT %I.start_rebuild()', pipeline);
		END IF;
		PERFORM leadscore_internal.progress_end(outermost);
	END IF;
	RETURN changed;
END
$$;
COMMENT ON FUNCTION leadscore.attach_pipeline(text, boolean) IS
	'creates the triggers that keep scores and stages right, counts events that were loaded without them, returns how many leads changed. With rebuild => false it starts a rebuild that continue_rebuild() of the pipeline does, in several sessions if you like: until then a lead that was loaded has no score, unless something is written about it, and one that was there has the score that it had';

CREATE FUNCTION leadscore.detach_pipeline(pipeline text) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	schema_oid CONSTANT regnamespace := leadscore_internal.known_pipeline(pipeline);
BEGIN
	IF leadscore_internal.is_attached(schema_oid) THEN
		PERFORM leadscore_internal.forbid_distributed(schema_oid, 'detach_pipeline()');
		PERFORM leadscore_internal.run_ddl(pipeline, 'triggers/detach');
	END IF;
END
$$;
COMMENT ON FUNCTION leadscore.detach_pipeline(text) IS
	'drops the triggers of attach_pipeline(), to load much data; scores stand still until it is called again. Error 0A000 if Citus distributes the pipeline, as in attach_pipeline()';

-- The files core/1... and core/2... make tables and rows and are run once; the
-- others replace functions and views. Reports are replaced if there are any.
CREATE FUNCTION leadscore.upgrade_pipeline(pipeline text) RETURNS integer
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	version CONSTANT text := leadscore_internal.check_version();
	schema_oid CONSTANT regnamespace := leadscore_internal.known_pipeline(pipeline);
	newest CONSTANT integer := leadscore_internal.newest_layout();
	layout integer;
	file text;
BEGIN
	PERFORM leadscore_internal.lock_pipeline(schema_oid);
	EXECUTE pg_catalog.format('SELECT layout_version FROM %I.setting', pipeline) INTO layout;
	FOR file IN
		SELECT f FROM leadscore_internal.ddl_files() f
		WHERE leadscore_internal.layout_of(f) > layout
		ORDER BY leadscore_internal.layout_of(f)
	LOOP
		PERFORM leadscore_internal.run_ddl(pipeline, file);
	END LOOP;
	IF layout < newest THEN
		EXECUTE pg_catalog.format('UPDATE %I.setting SET layout_version = $1', pipeline) USING newest;
	END IF;
	FOR file IN
		SELECT f FROM leadscore_internal.ddl_files() f
		WHERE f ~ '^(core/[^12]|funnel/)'
			OR leadscore_internal.report_part(f) IS NOT NULL AND EXISTS (
				SELECT FROM leadscore_internal.ddl_views(f) v
					JOIN pg_catalog.pg_class c ON c.relname = v
					JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
				WHERE n.nspname = leadscore_internal.reports_schema(pipeline))
			OR f LIKE 'distributed/%' AND leadscore_internal.is_by_lead(schema_oid)
			OR f = 'triggers/attach' AND leadscore_internal.is_attached(schema_oid)
	LOOP
		PERFORM leadscore_internal.run_ddl(pipeline, file);
	END LOOP;
	RETURN newest;
END
$$;
COMMENT ON FUNCTION leadscore.upgrade_pipeline(text) IS
	'brings a pipeline to this version of the extension, after ALTER EXTENSION leadscore UPDATE or ALTER SCHEMA ... RENAME; returns its layout version';

-- CASCADE must drop the objects of the two schemas and no others: so objects of
-- other schemas that depend on them are looked for before.
CREATE FUNCTION leadscore.drop_pipeline(pipeline text) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET client_min_messages = 'warning'
AS $$
DECLARE
	schemas oid[] := ARRAY[leadscore_internal.known_pipeline(pipeline)::oid];
	dependents text;
	schema_name text;
BEGIN
	SELECT schemas || pg_catalog.array_agg(n.oid) INTO schemas
	FROM pg_catalog.pg_namespace n
	WHERE n.nspname = leadscore_internal.reports_schema(pipeline) AND n.oid <> ALL (schemas)
		AND pg_catalog.pg_get_userbyid(n.nspowner) = current_user;

	SELECT pg_catalog.string_agg(DISTINCT d.object COLLATE "C", ', ' ORDER BY d.object COLLATE "C") INTO dependents
	FROM (
		SELECT pg_catalog.pg_describe_object(
				CASE WHEN d.classid = 'pg_catalog.pg_rewrite'::regclass THEN 'pg_catalog.pg_class'::regclass ELSE d.classid END,
				CASE WHEN d.classid = 'pg_catalog.pg_rewrite'::regclass THEN w.ev_class ELSE d.objid END,
				CASE WHEN d.classid = 'pg_catalog.pg_rewrite'::regclass THEN 0 ELSE d.objsubid END) AS object,
			coalesce(c.relnamespace, p.pronamespace, y.typnamespace, k.connamespace, r.relnamespace) AS schema_oid,
			t.tgfoid IN (SELECT o.oid FROM pg_catalog.pg_proc o WHERE o.pronamespace = ANY (schemas) AND o.proname = 'table_changed') AS tracks
		FROM pg_catalog.pg_depend d
			LEFT JOIN pg_catalog.pg_rewrite w ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND w.oid = d.objid
			LEFT JOIN pg_catalog.pg_trigger t ON d.classid = 'pg_catalog.pg_trigger'::regclass AND t.oid = d.objid
			LEFT JOIN pg_catalog.pg_attrdef e ON d.classid = 'pg_catalog.pg_attrdef'::regclass AND e.oid = d.objid
			LEFT JOIN pg_catalog.pg_policy l ON d.classid = 'pg_catalog.pg_policy'::regclass AND l.oid = d.objid
			LEFT JOIN pg_catalog.pg_class r ON r.oid = coalesce(w.ev_class, t.tgrelid, e.adrelid, l.polrelid)
			LEFT JOIN pg_catalog.pg_class c ON d.classid = 'pg_catalog.pg_class'::regclass AND c.oid = d.objid
			LEFT JOIN pg_catalog.pg_proc p ON d.classid = 'pg_catalog.pg_proc'::regclass AND p.oid = d.objid
			LEFT JOIN pg_catalog.pg_type y ON d.classid = 'pg_catalog.pg_type'::regclass AND y.oid = d.objid
			LEFT JOIN pg_catalog.pg_constraint k ON d.classid = 'pg_catalog.pg_constraint'::regclass AND k.oid = d.objid
		WHERE d.deptype = 'n' AND (d.refclassid, d.refobjid) IN (
			SELECT 'pg_catalog.pg_class'::regclass::oid, o.oid FROM pg_catalog.pg_class o WHERE o.relnamespace = ANY (schemas)
			UNION ALL
			SELECT 'pg_catalog.pg_proc'::regclass, o.oid FROM pg_catalog.pg_proc o WHERE o.pronamespace = ANY (schemas)
			UNION ALL
			SELECT 'pg_catalog.pg_type'::regclass, o.oid FROM pg_catalog.pg_type o WHERE o.typnamespace = ANY (schemas)
			UNION ALL
			SELECT 'pg_catalog.pg_constraint'::regclass, o.oid FROM pg_catalog.pg_constraint o WHERE o.connamespace = ANY (schemas)
		)
	) d
	WHERE (d.schema_oid IS NULL OR d.schema_oid <> ALL (schemas))
		-- tables that are tracked lose their triggers
		AND d.tracks IS NOT TRUE;
	IF dependents IS NOT NULL THEN
		RAISE EXCEPTION 'cannot drop pipeline "%" because other objects depend on it', pipeline
			USING ERRCODE = 'dependent_objects_still_exist',
				DETAIL = pg_catalog.format('Objects of other schemas depend on it: %s.', dependents),
				HINT = 'Drop these objects first.';
	END IF;
	FOR schema_name IN SELECT n.nspname FROM pg_catalog.pg_namespace n WHERE n.oid = ANY (schemas) LOOP
		EXECUTE pg_catalog.format('DROP SCHEMA %I CASCADE', schema_name);
	END LOOP;
END
$$;
COMMENT ON FUNCTION leadscore.drop_pipeline(text) IS
	'drops a pipeline with its leads and events, its reports, and all else in its schemas; refused if objects of other schemas depend on it';

CREATE FUNCTION leadscore_internal.grant_all(privileges text[], role text) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	privilege text;
BEGIN
	role := leadscore_internal.require_role(role);
	FOREACH privilege IN ARRAY privileges LOOP
		EXECUTE pg_catalog.format('GRANT %s TO %I', privilege, role);
	END LOOP;
END
$$;
COMMENT ON FUNCTION leadscore_internal.grant_all(text[], text) IS
	'grants a role privileges, each as GRANT wants it';

CREATE FUNCTION leadscore.grant_app(pipeline text, role text) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	schema_oid CONSTANT regnamespace := leadscore_internal.known_pipeline(pipeline);
BEGIN
	PERFORM leadscore_internal.grant_all(ARRAY(
		SELECT pg_catalog.format(t.privilege, pipeline)
		FROM (VALUES ('USAGE ON SCHEMA %I'), ('INSERT ON %I.event'), ('USAGE ON SEQUENCE %I.event_event_id_seq'),
			-- for RETURNING event_id and for ON CONFLICT
			('SELECT (lead_id, event_id, source_id) ON %I.event')) AS t (privilege)
		UNION ALL
		SELECT pg_catalog.format('EXECUTE ON FUNCTION %s', p.oid::regprocedure)
		FROM pg_catalog.pg_proc p
		WHERE p.pronamespace = schema_oid
			-- to bind a table to the pipeline is for its owner
			AND (p.prolang = (SELECT l.oid FROM pg_catalog.pg_language l WHERE l.lanname = 'leadscore') AND p.proname NOT IN ('_backfill', 'table_changed')
				OR pg_catalog.regexp_replace(p.proname, '_by_id$', '') IN ('conversion_probability', 'give_consent', 'withdraw_consent', 'identify',
					'suggested_content', 'next_fields', 'enroll_lead', 'unenroll', 'add_action', 'claim_actions', 'action_wanted', 'complete_action', 'complete_actions',
					'fail_action', 'extend_action', 'cancel_action', 'variant', 'expose', 'set_preferences', 'preferences'))
		), role);
END
$$;
COMMENT ON FUNCTION leadscore.grant_app(text, text) IS
	'lets a role do the work of an app and its workers: record events, leads, consent and preferences, identify visitors, ask for scores and stages, and which leads it may contact; let leads begin and end sequences, add actions, claim them with addresses, and say what became of them; ask for variants of experiments, and say which were shown';

-- Our views only, not views that a user may have added. The catalog tells which
-- columns they read, so that grants and views cannot disagree. work_list shows
-- addresses: it is for people that work with leads.
CREATE FUNCTION leadscore_internal.view_privileges(pipeline text, personal boolean) RETURNS SETOF text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	schema_oid CONSTANT regnamespace := leadscore_internal.known_pipeline(pipeline);
	reports CONSTANT text := leadscore_internal.reports_schema(pipeline);
BEGIN
	RETURN QUERY
		WITH ours AS (
			SELECT c.oid, n.nspname, c.relname, r.oid AS rule
			FROM leadscore_internal.ddl_files() f
				CROSS JOIN leadscore_internal.ddl_views(f) v
				JOIN pg_catalog.pg_namespace n ON n.nspname =
					CASE WHEN leadscore_internal.report_part(f) IS NULL THEN pipeline ELSE reports END
				JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = v AND c.relkind = 'v'
				JOIN pg_catalog.pg_rewrite r ON r.ev_class = c.oid
			WHERE personal OR v <> 'work_list'
		)
		SELECT pg_catalog.format('SELECT ON %I.%I', o.nspname, o.relname) AS privilege
		FROM ours o
		UNION
		SELECT pg_catalog.format('SELECT (%s) ON %I.%I',
			pg_catalog.string_agg(DISTINCT pg_catalog.quote_ident(a.attname), ', '), pipeline, c.relname)
		FROM ours o
			JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = o.rule
				AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjsubid > 0
			JOIN pg_catalog.pg_class c ON c.oid = d.refobjid AND c.relkind IN ('r', 'p') AND c.relnamespace = schema_oid
			JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
		GROUP BY c.relname
		UNION
		SELECT pg_catalog.format('EXECUTE ON FUNCTION %s', p.oid::regprocedure)
		FROM ours o
			JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = o.rule
				AND d.refclassid = 'pg_catalog.pg_proc'::regclass
			JOIN pg_catalog.pg_proc p ON p.oid = d.refobjid
				JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace AND n.nspname IN (pipeline, reports);
END
$$;
COMMENT ON FUNCTION leadscore_internal.view_privileges(text, boolean) IS
	'privileges that a role needs to read the views of a pipeline, as GRANT wants them; personal: also those that show addresses';

CREATE FUNCTION leadscore.grant_reader(pipeline text, role text) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	schema_oid CONSTANT regnamespace := leadscore_internal.known_pipeline(pipeline);
	reports CONSTANT text := leadscore_internal.reports_schema(pipeline);
BEGIN
	PERFORM leadscore_internal.grant_all(ARRAY(
		SELECT pg_catalog.format('USAGE ON SCHEMA %I', n.nspname)
		FROM pg_catalog.pg_namespace n
		WHERE n.nspname IN (pipeline, reports)
		UNION ALL
		SELECT v
		FROM leadscore_internal.view_privileges(pipeline, false) v
		UNION ALL
		-- what model_quality() and compare_models() read: models, and profiles as signals
		SELECT pg_catalog.format('SELECT %s ON %I.%I', t.columns, pipeline, t.name)
		FROM (VALUES ('model', ''), ('dimension', ''), ('rule', ''), ('stage_rule', ''), ('stage_gate', ''), ('grade', ''), ('setting', ''),
			('signal', '(signal, signal_id, source)'), ('profile_change', '(lead_id, signal, count, changed_at)')) AS t (name, columns)
		), role);
END
$$;
COMMENT ON FUNCTION leadscore.grant_reader(text, text) IS
	'lets a role read the views of a pipeline, and no personal data: for reports and BI tools';

-- Status and names of roles that did it are left to the functions that write them.
CREATE FUNCTION leadscore.grant_marketing(pipeline text, role text) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	schema_oid CONSTANT regnamespace := leadscore_internal.known_pipeline(pipeline);
BEGIN
	PERFORM leadscore.grant_reader(pipeline, role);
	PERFORM leadscore_internal.grant_all(ARRAY(
		SELECT pg_catalog.format('SELECT, DELETE, INSERT %s, UPDATE %s ON %I.%I', t.columns, t.columns, pipeline, t.name)
		FROM (VALUES
			('model', '(model, min_score, max_score, gates_required, allow_demotion, demotion_margin, note)'),
			('segment', '(segment, persona, ideal_customer, min_match_share, note)'),
			('sequence', '(sequence, starts_on, start_name, goal_stage, goal_signals, exit_stages, exit_signals, stay_in_segment, again_after, late_after, priority, note)'),
			('experiment', '(experiment, salt, goal_stage, goal_signals, goal_within, expected_effect, note)'), ('variant', ''),
			('sequence_step', ''), ('contact_limit', ''), ('contact_hours', ''), ('business_hours', ''), ('assignment', ''), ('stage_action', ''),
			('dimension', ''), ('rule', ''), ('stage_rule', ''), ('stage_gate', ''), ('grade', ''), ('segment_condition', ''),
			('signal', ''), ('value_list', ''), ('content', ''), ('form_field', ''), ('event_role', ''), ('event_kind', ''),
			('channel', ''), ('campaign', ''), ('cost', ''), ('benchmark', '')) AS t (name, columns)
		UNION ALL
		SELECT pg_catalog.format('UPDATE (mature_after, first_response_within, attribution_scope, attribution_window, complexity) ON %I.setting', pipeline)
		UNION ALL
		SELECT pg_catalog.format('SELECT ON %I.%I', pipeline, t.name)
		FROM (VALUES ('model_activation'), ('segment_activation')) AS t (name)
		UNION ALL
		SELECT pg_catalog.format('USAGE ON SEQUENCE %I.%I', pipeline, t.name)
		FROM (VALUES ('signal_signal_id_seq'), ('stage_gate_gate_id_seq'), ('segment_segment_id_seq'), ('segment_condition_condition_id_seq'),
			('cost_cost_id_seq'), ('contact_limit_limit_id_seq'), ('assignment_assignment_id_seq'),
			('stage_action_stage_action_id_seq')) AS t (name)
		UNION ALL
		SELECT pg_catalog.format('EXECUTE ON FUNCTION %s', p.oid::regprocedure)
		FROM pg_catalog.pg_proc p
		WHERE p.pronamespace = schema_oid
			AND p.proname IN ('activate_model', 'clone_model', 'suggest_points', 'calibrate_model', 'activate_segment', 'retire_segment', 'clone_segment', 'segment_preview', 'segment_preview_leads',
				'activate_sequence', 'pause_sequence', 'retire_sequence', 'sequence_preview', 'enroll', 'start_experiment', 'end_experiment')
		), role);
END
$$;
COMMENT ON FUNCTION leadscore.grant_marketing(text, text) IS
	'lets a role do the work of marketing: all that grant_reader() allows; edit models, rules, signals, segments, sequences, experiments, limits and hours of contacts, business hours, assignment, kinds of events, campaigns, costs and goals; try and activate models, segments and sequences, start and end experiments, and let the leads of a segment begin a sequence. No personal data, and no lead is written';

CREATE FUNCTION leadscore.grant_sales(pipeline text, role text) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	schema_oid CONSTANT regnamespace := leadscore_internal.known_pipeline(pipeline);
BEGIN
	PERFORM leadscore.grant_reader(pipeline, role);
	PERFORM leadscore_internal.grant_all(ARRAY(
		SELECT pg_catalog.format(t.privilege, pipeline)
		FROM (VALUES ('SELECT ON %I.lead'),
			-- all but the evidence
			('SELECT (lead_id, consent_id, purpose, channel, topic, status, basis, policy_version, occurred_at, recorded_at, recorded_by) ON %I.consent')) AS t (privilege)
		UNION ALL
		SELECT v
		FROM leadscore_internal.view_privileges(pipeline, true) v
		UNION ALL
		SELECT pg_catalog.format('EXECUTE ON FUNCTION %s', p.oid::regprocedure)
		FROM pg_catalog.pg_proc p
		WHERE p.pronamespace = schema_oid
			AND pg_catalog.regexp_replace(p.proname, '_by_id$', '') IN ('lead_id', 'score', 'conversion_probability', 'explain', 'next_steps', 'stage_at',
				'in_segment', 'explain_segment', 'persona_match', 'set_stage', 'may_contact', 'give_consent', 'withdraw_consent',
				'suggested_content', 'assign_lead', 'complete_action', 'set_preferences', 'preferences')
		), role);
END
$$;
COMMENT ON FUNCTION leadscore.grant_sales(text, text) IS
	'lets a role do the work of sales: all that grant_reader() allows; read leads with their addresses and consent; ask where a lead stands and why, and whether it may be written to; see the list of the day, say what came of its tasks and of alerts, give leads to others, set stages, record consent and preferences. No configuration is written';

-- A column is computed only if it is asked for.
CREATE VIEW leadscore.pipelines WITH (security_invoker = true) AS
	SELECT n.nspname::text AS pipeline,
		leadscore_internal.pipeline_figure(n.oid, 'layout_version')::integer AS layout_version,
		leadscore_internal.pipeline_figure(n.oid, 'grain') AS grain,
		leadscore_internal.pipeline_figure(n.oid, 'leads')::bigint AS leads,
		leadscore_internal.pipeline_figure(n.oid, 'events')::bigint AS events,
		leadscore_internal.pipeline_figure(n.oid, 'due_reviews')::bigint AS due_reviews
	FROM pg_catalog.pg_namespace n
		JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = 'setting'
	WHERE leadscore_internal.pipeline_figure(n.oid, 'layout_version') IS NOT NULL;
COMMENT ON VIEW leadscore.pipelines IS
	'the pipelines of this database that the current role may read';
COMMENT ON COLUMN leadscore.pipelines.pipeline IS 'name of the pipeline, which is that of its schema';
COMMENT ON COLUMN leadscore.pipelines.layout_version IS 'version of its tables, see upgrade_pipeline()';
COMMENT ON COLUMN leadscore.pipelines.grain IS 'width of the buckets that its events are counted in: 1 day or 1 hour';
COMMENT ON COLUMN leadscore.pipelines.leads IS 'number of leads, counted now; NULL if the role may not see all of them';
COMMENT ON COLUMN leadscore.pipelines.events IS 'number of events, counted now, which takes a while if there are many; NULL if the role may not see all of them';
COMMENT ON COLUMN leadscore.pipelines.due_reviews IS 'number of leads that sweep() has to look at; NULL if the role may not see all of them';

GRANT SELECT ON leadscore.pipelines TO PUBLIC;
