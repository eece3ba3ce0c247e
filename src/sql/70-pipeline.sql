/* leadscore: pipelines, schemas of ordinary tables that their creator owns */

-- Helpers of the functions in pipelines

CREATE FUNCTION leadscore.refuse(condition text, message text, detail text DEFAULT NULL, hint text DEFAULT NULL)
	RETURNS text
	LANGUAGE plpgsql VOLATILE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF detail IS NOT NULL AND hint IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = condition, MESSAGE = message, DETAIL = detail, HINT = hint;
	ELSIF detail IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = condition, MESSAGE = message, DETAIL = detail;
	ELSIF hint IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = condition, MESSAGE = message, HINT = hint;
	ELSE
		RAISE EXCEPTION USING ERRCODE = condition, MESSAGE = message;
	END IF;
END
$$;
COMMENT ON FUNCTION leadscore.refuse(text, text, text, text) IS
	'raises an error, from an expression; condition is its name or SQLSTATE';

CREATE FUNCTION leadscore.require_text(argument text, value text) RETURNS text
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
COMMENT ON FUNCTION leadscore.require_text(text, text) IS
	'the value, or an error that names the argument if it is null or empty';

-- The schema of this name if it is a pipeline of a layout that we know
CREATE FUNCTION leadscore.known_pipeline(pipeline text) RETURNS regnamespace
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	schema_oid oid := (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = pipeline);
	pipelines text;
	owner name;
	layout integer;
BEGIN
	PERFORM leadscore.require_text('pipeline', pipeline);
	IF NOT EXISTS (
		SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
		WHERE c.relnamespace = schema_oid AND c.relname = 'setting' AND c.relkind = 'r' AND a.attname = 'layout_version')
	THEN
		SELECT pg_catalog.string_agg(n.nspname, ', ' ORDER BY n.nspname) INTO pipelines
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
			JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relname = 'setting' AND c.relkind = 'r' AND a.attname = 'layout_version';
		RAISE EXCEPTION 'schema "%" is not a pipeline', pipeline
			USING ERRCODE = CASE WHEN schema_oid IS NULL THEN 'invalid_schema_name' ELSE 'wrong_object_type' END,
				HINT = CASE WHEN pipelines IS NULL
					THEN pg_catalog.format('Create one with SELECT * FROM leadscore.create_pipeline(%L).', pipeline)
					ELSE pg_catalog.format('Pipelines of this database: %s.', pipelines) END;
	END IF;
	-- What we do to a pipeline runs what is in it: only its owner may trust that,
	-- not even a superuser. And what we make in it is to belong to its owner.
	SELECT pg_catalog.pg_get_userbyid(o.owner) INTO owner
	FROM (
		SELECT n.nspowner AS owner FROM pg_catalog.pg_namespace n WHERE n.oid = schema_oid
		UNION ALL
		SELECT c.relowner FROM pg_catalog.pg_class c WHERE c.relnamespace = schema_oid AND c.relname = 'setting'
	) o
	WHERE pg_catalog.pg_get_userbyid(o.owner) <> current_user;
	IF FOUND THEN
		RAISE EXCEPTION 'must be owner of pipeline "%"', pipeline
			USING ERRCODE = 'insufficient_privilege',
				HINT = pg_catalog.format('Call it as its owner, after SET ROLE %I.', owner);
	END IF;
	EXECUTE pg_catalog.format('SELECT layout_version FROM %I.setting', pipeline) INTO layout;
	IF layout > 1 THEN
		RAISE EXCEPTION 'pipeline "%" has layout version %, which this version of leadscore does not know', pipeline, layout
			USING ERRCODE = 'feature_not_supported',
				HINT = 'Install the newer leadscore and run ALTER EXTENSION leadscore UPDATE.';
	END IF;
	RETURN schema_oid;
END
$$;
COMMENT ON FUNCTION leadscore.known_pipeline(text) IS
	'the schema of a pipeline, or an error that lists the pipelines there are';

CREATE FUNCTION leadscore.is_attached(pipeline regnamespace) RETURNS boolean
	LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT EXISTS (
		SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_trigger t ON t.tgrelid = c.oid
		WHERE c.relnamespace = is_attached.pipeline::oid AND c.relname = 'event'
			AND t.tgname = 'leadscore_inserted');
END;
COMMENT ON FUNCTION leadscore.is_attached(regnamespace) IS
	'whether the events of a pipeline are counted when they are inserted';

-- Run the statements of one topic in a pipeline. Bare names are looked up in
-- pg_catalog first, as it is not listed, then in the pipeline, then in ours.
CREATE FUNCTION leadscore.run_topic(pipeline text, topic text) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET client_min_messages = 'warning'
	SET check_function_bodies = 'on'
AS $$
BEGIN
	PERFORM pg_catalog.set_config('search_path', pg_catalog.quote_ident(pipeline) || ', leadscore, pg_temp', true);
	EXECUTE (SELECT d.ddl FROM leadscore.pipeline_ddl() d WHERE d.topic = run_topic.topic);
END
$$;
COMMENT ON FUNCTION leadscore.run_topic(text, text) IS
	'runs one part of the statements that make up a pipeline, see pipeline_ddl()';

-- Trigger function of the tables that classify: what events and profiles are
-- counted as has changed, so count them all again. A pipeline that is not
-- attached is counted when it is.
CREATE FUNCTION leadscore.signals_changed() RETURNS trigger
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	-- not from pg_class, where shards are hidden from some sessions
	pipeline regnamespace := pg_catalog.quote_ident(TG_TABLE_SCHEMA)::regnamespace;
BEGIN
	IF leadscore.is_attached(pipeline) THEN
		PERFORM leadscore.lock_pipeline(pipeline);
		PERFORM leadscore.rebuild(pipeline, NULL, false);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION leadscore.signals_changed() IS
	'trigger of the tables signal and value_list of a pipeline: counts all events and profiles again';

-- What users call

CREATE FUNCTION leadscore.create_pipeline(name text, preset text DEFAULT 'inbound', grain interval DEFAULT '1 day', attach boolean DEFAULT true)
	RETURNS TABLE (pipeline text, active_model text, next_step text)
	LANGUAGE plpgsql VOLATILE ROWS 1 SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	presets text[];
	topics record;
BEGIN
	PERFORM leadscore.require_text('name', name);
	IF pg_catalog.octet_length(name) > 40 THEN
		RAISE EXCEPTION 'pipeline name "%" is too long', name
			USING ERRCODE = 'name_too_long',
				HINT = 'Use at most 40 bytes.';
	END IF;
	IF pg_catalog.starts_with(name, 'pg_') OR name IN ('information_schema', 'leadscore', 'public') THEN
		RAISE EXCEPTION 'pipeline name "%" is reserved', name
			USING ERRCODE = 'reserved_name',
				HINT = 'A pipeline is a schema of its own. Choose another name, such as crm.';
	END IF;
	IF EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.nspname = name) THEN
		RAISE EXCEPTION 'schema "%" already exists', name
			USING ERRCODE = 'duplicate_schema',
				HINT = 'A pipeline is a schema of its own. Choose another name, or drop the schema with all it holds.';
	END IF;

	SELECT pg_catalog.array_agg(p.preset ORDER BY p.preset) INTO presets
	FROM (
		SELECT pg_catalog.substring(d.topic, '^[0-9]+-preset-(.*)$') AS preset FROM leadscore.pipeline_ddl() d
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
				HINT = 'Pass true, or false to load data first and call attach_pipeline() then.';
	END IF;

	EXECUTE pg_catalog.format('CREATE SCHEMA %I', name);
	FOR topics IN
		SELECT d.topic FROM leadscore.pipeline_ddl() d
		WHERE d.topic COLLATE "C" < '6' OR d.topic LIKE '%-preset-' || preset
		ORDER BY d.topic COLLATE "C"
	LOOP
		PERFORM leadscore.run_topic(name, topics.topic);
		IF topics.topic = '10-tables' THEN
			EXECUTE pg_catalog.format('INSERT INTO %I.setting (grain) VALUES ($1)', name) USING grain;
		END IF;
	END LOOP;
	EXECUTE pg_catalog.format('COMMENT ON SCHEMA %I IS %L', name, 'leadscore pipeline: leads, events, scoring models and funnel');
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
$$;
COMMENT ON FUNCTION leadscore.create_pipeline(text, text, interval, boolean) IS
	'creates a schema with the tables, functions and views of a lead pipeline, owned by the caller; preset: inbound, enterprise or empty; grain: 1 day or 1 hour';

CREATE FUNCTION leadscore.attach_pipeline(name text) RETURNS bigint
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	pipeline regnamespace := leadscore.known_pipeline(name);
	has_states boolean;
	wrong bigint[];
	changed bigint := 0;
BEGIN
	IF NOT leadscore.is_attached(pipeline) THEN
		PERFORM leadscore.lock_pipeline(pipeline);
		PERFORM leadscore.run_topic(name, '60-attach');
		-- Leads that are right keep their history. A transaction that does not
		-- see what is newest cannot tell.
		EXECUTE pg_catalog.format('SELECT EXISTS (SELECT FROM %I.lead_state)', name) INTO has_states;
		IF has_states AND pg_catalog.current_setting('transaction_isolation') = 'read committed' THEN
			EXECUTE pg_catalog.format('SELECT coalesce(pg_catalog.array_agg(DISTINCT v.lead_id), ''{}'') FROM %I.verify() v', name) INTO wrong;
		END IF;
		changed := leadscore.rebuild(pipeline, wrong, true);
	END IF;
	RETURN changed;
END
$$;
COMMENT ON FUNCTION leadscore.attach_pipeline(text) IS
	'creates the triggers that keep scores and stages right, counts what was loaded without them, returns how many leads changed';

CREATE FUNCTION leadscore.detach_pipeline(name text) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF leadscore.is_attached(leadscore.known_pipeline(name)) THEN
		PERFORM leadscore.run_topic(name, '61-detach');
	END IF;
END
$$;
COMMENT ON FUNCTION leadscore.detach_pipeline(text) IS
	'drops these triggers, to load much data or to distribute the tables; scores stand still until attach_pipeline()';

CREATE FUNCTION leadscore.upgrade_pipeline(name text) RETURNS integer
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	pipeline regnamespace := leadscore.known_pipeline(name);
	topics record;
	layout integer;
BEGIN
	PERFORM leadscore.lock_pipeline(pipeline);
	-- 1x and 2x are run once; 3x to 5x replace what is there; 6x and more are
	-- run when asked for
	FOR topics IN
		SELECT d.topic FROM leadscore.pipeline_ddl() d
		WHERE d.topic >= '3' AND d.topic COLLATE "C" < '6' OR d.topic = '60-attach' AND leadscore.is_attached(pipeline)
		ORDER BY d.topic COLLATE "C"
	LOOP
		PERFORM leadscore.run_topic(name, topics.topic);
	END LOOP;
	EXECUTE pg_catalog.format('SELECT layout_version FROM %I.setting', name) INTO layout;
	RETURN layout;
END
$$;
COMMENT ON FUNCTION leadscore.upgrade_pipeline(text) IS
	'brings a pipeline to this version of the extension, after ALTER EXTENSION leadscore UPDATE; returns its layout version';

CREATE FUNCTION leadscore.grant_app(pipeline text, role text) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	pipeline_oid regnamespace := leadscore.known_pipeline(pipeline);
	functions record;
BEGIN
	EXECUTE pg_catalog.format('GRANT USAGE ON SCHEMA %I TO %I', pipeline, role);
	EXECUTE pg_catalog.format('GRANT INSERT ON %I.event TO %I', pipeline, role);
	-- for RETURNING event_id and for ON CONFLICT
	EXECUTE pg_catalog.format('GRANT SELECT (lead_id, event_id, source_id) ON %I.event TO %I', pipeline, role);
	EXECUTE pg_catalog.format('GRANT USAGE ON SEQUENCE %I.event_event_id_seq TO %I', pipeline, role);
	FOR functions IN
		SELECT p.oid::regprocedure AS signature
		FROM pg_catalog.pg_proc p
		WHERE p.pronamespace = pipeline_oid
			AND p.prolang = (SELECT l.oid FROM pg_catalog.pg_language l WHERE l.lanname = 'leadscore')
	LOOP
		EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO %I', functions.signature, role);
	END LOOP;
END
$$;
COMMENT ON FUNCTION leadscore.grant_app(text, text) IS
	'lets a role do what an application needs: record events and leads, ask where a lead stands';

-- Our views only, not those a user may have added. What they read is in the
-- catalog, so that the two cannot disagree.
CREATE FUNCTION leadscore.grant_reader(pipeline text, role text) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	pipeline_oid regnamespace := leadscore.known_pipeline(pipeline);
	objects record;
BEGIN
	EXECUTE pg_catalog.format('GRANT USAGE ON SCHEMA %I TO %I', pipeline, role);
	FOR objects IN
		WITH ours AS (
			SELECT c.oid, c.relname, r.oid AS rule
			FROM leadscore.pipeline_ddl() d,
				pg_catalog.regexp_matches(d.ddl, '^CREATE OR REPLACE VIEW ([a-z_]+)', 'gn') AS m
				JOIN pg_catalog.pg_class c ON c.relname = m[1] AND c.relkind = 'v'
				JOIN pg_catalog.pg_rewrite r ON r.ev_class = c.oid
			WHERE c.relnamespace = pipeline_oid
		)
		SELECT pg_catalog.format('SELECT ON %I.%I', pipeline, o.relname) AS privilege
		FROM ours o
		UNION
		SELECT pg_catalog.format('SELECT (%s) ON %I.%I',
			pg_catalog.string_agg(DISTINCT pg_catalog.quote_ident(a.attname), ', '), pipeline, c.relname)
		FROM ours o
			JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = o.rule
				AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjsubid > 0
			JOIN pg_catalog.pg_class c ON c.oid = d.refobjid AND c.relkind IN ('r', 'p')
			JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
		GROUP BY c.relname
		UNION
		SELECT pg_catalog.format('EXECUTE ON FUNCTION %s', p.oid::regprocedure)
		FROM ours o
			JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = o.rule
				AND d.refclassid = 'pg_catalog.pg_proc'::regclass
			JOIN pg_catalog.pg_proc p ON p.oid = d.refobjid AND p.pronamespace = pipeline_oid
	LOOP
		EXECUTE pg_catalog.format('GRANT %s TO %I', objects.privilege, role);
	END LOOP;
END
$$;
COMMENT ON FUNCTION leadscore.grant_reader(text, text) IS
	'lets a role read the views of a pipeline, and no personal data: for reports and BI tools';
