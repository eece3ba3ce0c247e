/* leadscore: pipelines that Citus distributes */

-- The catalogs of Citus are asked by text: without it they are not there.
CREATE FUNCTION leadscore_internal.distributed_tables(pipeline regnamespace)
	RETURNS TABLE (table_name text, of_lead boolean, distributed boolean)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	citus CONSTANT boolean := pg_catalog.to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL;
BEGIN
	RETURN QUERY EXECUTE pg_catalog.format(
		$query$
		SELECT c.relname::text,
			-- the key of what belongs to one lead begins with it
			EXISTS (
				SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
				WHERE i.indrelid = c.oid AND i.indisprimary AND a.attname = 'lead_id'),
			%s
		FROM pg_catalog.pg_class c
		WHERE c.relnamespace = $1 AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND NOT %s
		ORDER BY (
			-- tables that others refer to come first
			WITH RECURSIVE refers (oid, steps) AS (
				SELECT c.oid, 0
				UNION
				SELECT k.confrelid, r.steps + 1
				FROM refers r JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid AND k.contype = 'f' AND k.confrelid <> k.conrelid
				WHERE r.steps < 100
			)
			SELECT max(r.steps) FROM refers r), c.oid
		$query$,
		CASE WHEN citus THEN 'EXISTS (SELECT FROM pg_catalog.pg_dist_partition d WHERE d.logicalrelid = c.oid)' ELSE 'false' END,
		CASE WHEN citus THEN 'EXISTS (SELECT FROM pg_catalog.pg_dist_shard s JOIN pg_catalog.pg_class l ON l.oid = s.logicalrelid'
			' WHERE l.relnamespace = c.relnamespace AND c.relname = l.relname || ''_'' || s.shardid)' ELSE 'false' END)
	USING pipeline::oid;
END
$$;
COMMENT ON FUNCTION leadscore_internal.distributed_tables(regnamespace) IS
	'the tables of a pipeline, those that others refer to first, without shards: whether each row of a table belongs to one lead, and whether Citus distributes it';

CREATE FUNCTION leadscore_internal.require_one_layout(pipeline regnamespace) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	missing text;
BEGIN
	SELECT pg_catalog.string_agg(t.table_name, ', ' ORDER BY t.table_name) INTO missing
	FROM leadscore_internal.distributed_tables(pipeline) t
	WHERE NOT t.distributed;
	IF missing IS NOT NULL AND EXISTS (SELECT FROM leadscore_internal.distributed_tables(pipeline) t WHERE t.distributed) THEN
		RAISE EXCEPTION 'pipeline % is distributed in part', pipeline
			USING ERRCODE = 'object_not_in_prerequisite_state',
				DETAIL = pg_catalog.format('Not distributed: %s.', missing),
				HINT = pg_catalog.format('Make its tables local again with undistribute_table(), then call leadscore.distribute_pipeline(%L).', pipeline::text);
	END IF;
END
$$;
COMMENT ON FUNCTION leadscore_internal.require_one_layout(regnamespace) IS
	'an error if some tables of a pipeline are distributed and others are not';

CREATE FUNCTION leadscore_internal.is_distributed(pipeline regnamespace) RETURNS boolean
	LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_pipeline_is_distributed';
COMMENT ON FUNCTION leadscore_internal.is_distributed(regnamespace) IS
	'whether Citus distributes a pipeline, by lead or by schema';

CREATE FUNCTION leadscore_internal.forbid_distributed(pipeline regnamespace, call text) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF leadscore_internal.is_distributed(pipeline) THEN
		RAISE EXCEPTION '% does not work in pipeline %, which is distributed', call, pipeline
			USING ERRCODE = 'feature_not_supported', HINT = 'Load rows with its triggers on, by COPY or INSERT, or before the pipeline is distributed.';
	END IF;
END
$$;
COMMENT ON FUNCTION leadscore_internal.forbid_distributed(regnamespace, text) IS
	'an error if Citus distributes a pipeline, for calls that need all of it in one transaction';

-- Citus sends a SET LOCAL to the nodes that take part in a transaction if it
-- is made by a function.
CREATE FUNCTION leadscore_internal.tell_nodes(writes boolean) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF writes THEN
		SET LOCAL leadscore.engine_writes = on;
	ELSE
		SET LOCAL leadscore.engine_writes = off;
	END IF;
END
$$;
COMMENT ON FUNCTION leadscore_internal.tell_nodes(boolean) IS
	'tells other nodes that what comes is written by the engine, or no more';

CREATE FUNCTION leadscore_internal.may_contact(pipeline regnamespace, lead_id bigint, channel text, topic text, at timestamptz, transactional boolean) RETURNS boolean
	LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'leadscore_may_contact_here';
COMMENT ON FUNCTION leadscore_internal.may_contact(regnamespace, bigint, text, text, timestamptz, boolean) IS
	'may_contact() of a lead of a distributed pipeline, on the node that has the lead';

CREATE FUNCTION leadscore_internal.is_by_lead(pipeline regnamespace) RETURNS boolean
	LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_is_by_lead';
COMMENT ON FUNCTION leadscore_internal.is_by_lead(regnamespace) IS
	'whether the leads of a pipeline are spread over nodes';

-- Called first by functions that look at leads of several nodes at once, or
-- that write what every node has.
CREATE FUNCTION leadscore_internal.pipeline_on_one_node(name text) RETURNS regnamespace
	LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	pipeline CONSTANT regnamespace := leadscore_internal.pipeline_schema(name);
BEGIN
	IF leadscore_internal.is_by_lead(pipeline) THEN
		RAISE EXCEPTION 'this function does not work in pipeline "%", which is distributed by lead', name
			USING ERRCODE = 'feature_not_supported', HINT = 'Distribute the pipeline by schema to use it; doc/citus.md says which functions work.';
	END IF;
	RETURN pipeline;
END
$$;
COMMENT ON FUNCTION leadscore_internal.pipeline_on_one_node(text) IS
	'pipeline_schema(), or an error if the leads are spread over nodes';

CREATE FUNCTION leadscore_internal.has_other_nodes(pipeline regnamespace) RETURNS boolean
	LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_has_other_nodes';
COMMENT ON FUNCTION leadscore_internal.has_other_nodes(regnamespace) IS
	'whether leads of a pipeline are on other nodes';

CREATE FUNCTION leadscore_internal.require_here(pipeline regnamespace) RETURNS void
	LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_require_here';
COMMENT ON FUNCTION leadscore_internal.require_here(regnamespace) IS
	'an error if a pipeline that is distributed by schema is on another node';

-- Called first by functions with statements that Citus does not take.
CREATE FUNCTION leadscore_internal.pipeline_on_this_node(name text) RETURNS regnamespace
	LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	pipeline CONSTANT regnamespace := leadscore_internal.pipeline_on_one_node(name);
BEGIN
	PERFORM leadscore_internal.require_here(pipeline);
	RETURN pipeline;
END
$$;
COMMENT ON FUNCTION leadscore_internal.pipeline_on_this_node(text) IS
	'pipeline_on_one_node(), or an error if that is another node';

CREATE FUNCTION leadscore_internal.forbid_ranges_on_nodes(pipeline regnamespace) RETURNS void
	LANGUAGE plpgsql STABLE STRICT SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT leadscore_internal.is_by_lead(pipeline) THEN
		PERFORM leadscore_internal.require_here(pipeline);
	ELSIF leadscore_internal.has_other_nodes(pipeline) THEN
		RAISE EXCEPTION 'leads of a pipeline that is distributed by lead cannot be rebuilt by ranges'
			USING ERRCODE = 'feature_not_supported', HINT = 'Call rebuild(), which works on all nodes at once.';
	END IF;
END
$$;
COMMENT ON FUNCTION leadscore_internal.forbid_ranges_on_nodes(regnamespace) IS
	'an error if leads of a pipeline are on other nodes';

CREATE FUNCTION leadscore_internal.forbid_transaction_block(call text) RETURNS void
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'leadscore_forbid_transaction_block';
COMMENT ON FUNCTION leadscore_internal.forbid_transaction_block(text) IS
	'an error if the statement is in a transaction block';

-- In transactions of their own: so not beside a transaction that has locked leads.
CREATE FUNCTION leadscore_internal.on_all_nodes(call text, query text) RETURNS SETOF text
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	node record;
BEGIN
	PERFORM leadscore_internal.forbid_transaction_block(call);
	FOR node IN EXECUTE 'SELECT r.nodeid, r.success, r.result FROM pg_catalog.run_command_on_all_nodes($1) r' USING query LOOP
		IF NOT node.success THEN
			RAISE EXCEPTION '% failed on node %', call, node.nodeid
				USING ERRCODE = 'external_routine_invocation_exception', DETAIL = node.result,
					HINT = 'Correct what the message says; the other nodes may have done their work.';
		END IF;
		RETURN NEXT node.result;
	END LOOP;
END
$$;
COMMENT ON FUNCTION leadscore_internal.on_all_nodes(text, text) IS
	'runs a query of one value on every node of Citus; call: the function that asks for it';

CREATE FUNCTION leadscore.lead_number(external_id text) RETURNS bigint
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_lead_number';
COMMENT ON FUNCTION leadscore.lead_number(text) IS
	'the lead_id that a lead with this name has in a pipeline that is distributed by lead: the first 63 bits of the SHA-256 of its UTF-8';

-- Names decide which node has a lead. Leads without a name keep their number.
CREATE FUNCTION leadscore_internal.number_leads(pipeline regnamespace) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	item record;
BEGIN
	FOR item IN
		SELECT t.table_name, c.name
		FROM leadscore_internal.distributed_tables(pipeline) t
			CROSS JOIN LATERAL (
				SELECT 'lead_id' WHERE t.of_lead AND t.table_name <> 'lead' OR t.table_name = 'lead_alias'
				UNION ALL
				SELECT 'referred_by' WHERE t.table_name = 'lead'
			) c (name)
	LOOP
		EXECUTE pg_catalog.format('UPDATE %s.%I t SET %I = leadscore.lead_number(l.external_id) FROM %1$s.lead l WHERE l.lead_id = t.%3$I AND l.external_id IS NOT NULL',
			pipeline, item.table_name, item.name);
	END LOOP;
	EXECUTE pg_catalog.format('UPDATE %s.lead SET lead_id = leadscore.lead_number(external_id) WHERE external_id IS NOT NULL', pipeline);
END
$$;
COMMENT ON FUNCTION leadscore_internal.number_leads(regnamespace) IS
	'gives leads that have a name the number of lead_number(), in all tables of a pipeline; the triggers are off';

-- The whole or nothing. Citus copies the rows of a table when it distributes
-- it, which must count nothing.
CREATE FUNCTION leadscore.distribute_pipeline(pipeline text, by text DEFAULT 'lead') RETURNS integer
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	version CONSTANT text := leadscore_internal.check_version();
	schema_oid CONSTANT regnamespace := leadscore_internal.known_pipeline(pipeline);
	schemas CONSTANT oid[] := ARRAY(SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname IN (pipeline, leadscore_internal.reports_schema(pipeline)));
	settings CONSTANT text[] := '{citus.enable_unsafe_triggers,on,citus.multi_shard_modify_mode,sequential,citus.enable_ddl_propagation,on,'
		'citus.enable_local_reference_table_foreign_keys,off,client_min_messages,warning}';
	before text[] := '{}';
	tables CONSTANT text[] := ARRAY(SELECT t.table_name FROM leadscore_internal.distributed_tables(schema_oid) t);
	triggers text[];
	item record;
	missing text;
BEGIN
	IF by IS NULL OR by NOT IN ('lead', 'schema') THEN
		RAISE EXCEPTION 'unknown layout "%"', by
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Pass lead, to spread the leads over the nodes, or schema, to keep all tables on one node, which can be any.';
	END IF;
	IF pg_catalog.to_regclass('pg_catalog.pg_dist_partition') IS NULL THEN
		RAISE EXCEPTION 'extension "citus" is not installed'
			USING ERRCODE = 'undefined_object', HINT = 'Create it, and add the other nodes with citus_add_node(), first.';
	END IF;
	PERFORM leadscore_internal.require_one_layout(schema_oid);
	IF leadscore_internal.is_distributed(schema_oid) THEN
		RAISE EXCEPTION 'pipeline "%" is distributed already', pipeline
			USING ERRCODE = 'object_not_in_prerequisite_state',
				HINT = 'Its parts are in citus_shards; citus_move_shard_placement() and citus_schema_move() move them.';
	END IF;
	IF NOT leadscore_internal.is_attached(schema_oid) THEN
		RAISE EXCEPTION 'pipeline "%" has no triggers', pipeline
			USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Call leadscore.attach_pipeline() first, which does not work in a pipeline that is distributed.';
	END IF;
	EXECUTE pg_catalog.format('SELECT pg_catalog.string_agg(t.definition, '', '' ORDER BY t.definition) FROM %I.tracked_table t', pipeline) INTO missing;
	IF missing IS NOT NULL THEN
		RAISE EXCEPTION 'pipeline "%" tracks tables, and cannot be distributed', pipeline
			USING ERRCODE = 'object_not_in_prerequisite_state',
				DETAIL = pg_catalog.format('Definitions: %s.', missing),
				HINT = 'End them with untrack_table(), and call track_many() for these rows.';
	END IF;
	PERFORM leadscore_internal.lock_pipeline(schema_oid);
	FOR i IN 1 .. pg_catalog.array_length(settings, 1) BY 2 LOOP
		before := before || pg_catalog.current_setting(settings[i], true);
		IF pg_catalog.current_setting(settings[i], true) IS NOT NULL THEN
			PERFORM pg_catalog.set_config(settings[i], settings[i + 1], true);
		END IF;
	END LOOP;

	-- no trigger is to see the copy
	SELECT pg_catalog.array_agg(pg_catalog.format('ALTER TABLE %s ENABLE %s TRIGGER %I', t.tgrelid::regclass,
			CASE t.tgenabled WHEN 'A' THEN 'ALWAYS' WHEN 'R' THEN 'REPLICA' END, t.tgname) ORDER BY t.oid) INTO triggers
	FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
	WHERE c.relnamespace = schema_oid AND NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgenabled <> 'D';
	FOR i IN 1 .. pg_catalog.array_length(tables, 1) LOOP
		EXECUTE pg_catalog.format('ALTER TABLE %I.%I DISABLE TRIGGER USER', pipeline, tables[i]);
	END LOOP;

	-- Functions that tables and views need. Citus would take them along as a superuser,
	-- whose connection does not see what that of the owner has made.
	FOR item IN
		SELECT p.oid
		FROM pg_catalog.pg_proc p
		WHERE p.pronamespace = ANY (schemas)
			AND EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.refclassid = 'pg_catalog.pg_proc'::regclass AND d.refobjid = p.oid)
		ORDER BY p.oid
	LOOP
		PERFORM pg_catalog.create_distributed_function(item.oid::regprocedure);
	END LOOP;
	IF by = 'schema' THEN
		-- a schema that Citus took for a tenant before it had tables
		IF EXISTS (SELECT FROM pg_catalog.pg_dist_schema s WHERE s.schemaid = schema_oid::oid) THEN
			PERFORM pg_catalog.citus_schema_undistribute(schema_oid);
		END IF;
		PERFORM pg_catalog.citus_schema_distribute(schema_oid);
	ELSE
		-- keys of all leads cannot be kept by nodes that have some of them
		EXECUTE pg_catalog.format('ALTER TABLE %I.lead DROP CONSTRAINT IF EXISTS lead_external_id_key', pipeline);
		EXECUTE pg_catalog.format('ALTER TABLE %I.lead DROP CONSTRAINT IF EXISTS lead_referred_by_fkey', pipeline);
		EXECUTE pg_catalog.format('ALTER TABLE %I.event DROP CONSTRAINT IF EXISTS event_event_id_key', pipeline);
		EXECUTE pg_catalog.format('CREATE INDEX lead_external_id_idx ON %I.lead (external_id)', pipeline);
		PERFORM leadscore_internal.number_leads(schema_oid);
		FOR item IN
			SELECT pg_catalog.format('%I.%I', pipeline, t.table_name) AS name, t.of_lead, t.table_name = 'lead' AS first
			FROM leadscore_internal.distributed_tables(schema_oid) WITH ORDINALITY t
			ORDER BY t.of_lead, t.table_name = 'lead' DESC, t.ordinality
		LOOP
			IF item.of_lead THEN
				PERFORM pg_catalog.create_distributed_table(item.name::regclass, 'lead_id',
					colocate_with => CASE WHEN item.first THEN 'none' ELSE pg_catalog.format('%I.lead', pipeline) END);
			ELSE
				PERFORM pg_catalog.create_reference_table(item.name::regclass);
			END IF;
		END LOOP;
	END IF;

	-- the rows that were copied are on the disk of this node still
	FOR i IN REVERSE pg_catalog.array_length(tables, 1) .. 1 LOOP
		EXECUTE pg_catalog.format('SELECT pg_catalog.truncate_local_data_after_distributing_table(%L)', pg_catalog.format('%I.%I', pipeline, tables[i]));
	END LOOP;
	FOR i IN 1 .. coalesce(pg_catalog.array_length(triggers, 1), 0) LOOP
		EXECUTE triggers[i];
	END LOOP;
	-- functions and views for the other nodes
	PERFORM leadscore.upgrade_pipeline(pipeline);

	PERFORM leadscore_internal.require_one_layout(schema_oid);
	SELECT pg_catalog.string_agg(o.name, ', ' ORDER BY o.name) INTO missing
	FROM (
		SELECT 'pg_catalog.pg_proc'::regclass::oid AS class, p.oid, 'function ' || p.oid::regprocedure AS name
		FROM pg_catalog.pg_proc p WHERE p.pronamespace = ANY (schemas)
		UNION ALL
		SELECT 'pg_catalog.pg_class'::regclass, c.oid, 'view ' || c.oid::regclass
		FROM pg_catalog.pg_class c WHERE c.relnamespace = ANY (schemas) AND c.relkind = 'v'
	) o
	WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_dist_object d WHERE d.classid = o.class AND d.objid = o.oid);
	IF missing IS NOT NULL THEN
		RAISE EXCEPTION 'could not distribute all objects of pipeline "%"', pipeline
			USING ERRCODE = 'object_not_in_prerequisite_state',
				DETAIL = pg_catalog.format('Not distributed: %s.', missing),
				HINT = 'Warnings of Citus say why. An object of yours that the pipeline does not need can be dropped before.';
	END IF;
	FOR i IN 1 .. pg_catalog.array_length(before, 1) LOOP
		IF before[i] IS NOT NULL THEN
			PERFORM pg_catalog.set_config(settings[2 * i - 1], before[i], true);
		END IF;
	END LOOP;
	RETURN pg_catalog.array_length(tables, 1);
END
$$;
COMMENT ON FUNCTION leadscore.distribute_pipeline(text, text) IS
	'distributes a pipeline with Citus, with all that is in it or not at all: by => lead spreads its leads over the nodes, by => schema puts it on one node as a whole; returns how many tables. Called on the coordinator';
