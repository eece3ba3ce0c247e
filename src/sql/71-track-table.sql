/* leadscore: tables of an app whose rows make events or leads */

CREATE FUNCTION leadscore_internal.tracking_problem(pipeline regnamespace, definition text, tracked regclass) RETURNS text
	LANGUAGE c STABLE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_tracking_problem';
COMMENT ON FUNCTION leadscore_internal.tracking_problem(regnamespace, text, regclass) IS
	'what keeps a definition of a pipeline from reading a table, such as a column that is not there; NULL if nothing does';

-- The primary key, or the unique key that the caller names: no expression, no
-- condition, no null, and checked at once.
CREATE FUNCTION leadscore_internal.key_columns(tracked regclass, wanted text[]) RETURNS text[]
	LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	found_key text[];
BEGIN
	SELECT k.names INTO found_key
	FROM (
		SELECT i.indisprimary, i.indexrelid, pg_catalog.array_agg(a.attname::text ORDER BY u.n) AS names, pg_catalog.bool_and(a.attnotnull) AS filled
		FROM pg_catalog.pg_index i
			CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::smallint[]) WITH ORDINALITY AS u (attnum, n)
			JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.attnum
		WHERE i.indrelid = tracked AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
			AND u.n <= i.indnkeyatts
		GROUP BY i.indisprimary, i.indexrelid
	) k
	WHERE k.filled AND CASE WHEN wanted IS NULL THEN k.indisprimary ELSE k.names @> wanted AND k.names <@ wanted END
	ORDER BY k.indisprimary DESC, k.indexrelid
	LIMIT 1;
	IF found_key IS NULL THEN
		RAISE EXCEPTION 'table "%" has no % to name its rows by', (SELECT c.relname FROM pg_catalog.pg_class c WHERE c.oid = tracked),
				CASE WHEN wanted IS NULL THEN 'primary key' ELSE pg_catalog.format('unique key (%s)', pg_catalog.array_to_string(wanted, ', ')) END
			USING ERRCODE = 'invalid_table_definition',
				HINT = 'A change and a deletion find their event by the key of the row: give the table a primary key, or name columns that are NOT NULL and have a unique constraint that is not deferrable.';
	END IF;
	RETURN found_key;
END
$$;
COMMENT ON FUNCTION leadscore_internal.key_columns(regclass, text[]) IS
	'the columns of a key that names the rows of a table: its primary key, or the unique key of these columns; or an error';

CREATE FUNCTION leadscore_internal.bind_table(pipeline text, tracked regclass, definition text) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	schema_oid CONSTANT regnamespace := leadscore_internal.known_pipeline(pipeline);
	target record;
	problem text;
	trigger_name CONSTANT text := pg_catalog.format('leadscore_%s_%s', definition, pg_catalog.left(pg_catalog.md5(pipeline), 6));
BEGIN
	SELECT c.relname, c.relkind, c.relpersistence, n.oid AS schema_oid, n.nspname INTO target
	FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	WHERE c.oid = tracked;
	problem := leadscore_internal.tracking_problem(schema_oid, definition, tracked);
	IF problem IS NOT NULL THEN
		RAISE EXCEPTION '%', problem
			USING ERRCODE = CASE WHEN problem LIKE '%does not exist' THEN 'undefined_column' ELSE 'datatype_mismatch' END,
				HINT = CASE WHEN problem LIKE '%only_if%' THEN 'Pass columns with values of their types, such as {"status": ["paid", "shipped"], "test": false}.'
					WHEN problem LIKE '%does not exist' THEN E'Name columns of the table as they are in \\d, without quotes.'
					ELSE 'Name another column; a generated one will do.' END;
	END IF;
	EXECUTE pg_catalog.format('CREATE OR REPLACE TRIGGER %I AFTER INSERT ON %I.%I REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION %I.table_changed(%L)',
		trigger_name || '_ins', target.nspname, target.relname, pipeline, definition);
	EXECUTE pg_catalog.format('CREATE OR REPLACE TRIGGER %I AFTER UPDATE ON %I.%I REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION %I.table_changed(%L)',
		trigger_name || '_upd', target.nspname, target.relname, pipeline, definition);
	EXECUTE pg_catalog.format('CREATE OR REPLACE TRIGGER %I AFTER DELETE ON %I.%I REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION %I.table_changed(%L)',
		trigger_name || '_del', target.nspname, target.relname, pipeline, definition);
END
$$;
COMMENT ON FUNCTION leadscore_internal.bind_table(text, regclass, text) IS 'creates the triggers of a definition on a table, if it can read the table';

CREATE FUNCTION leadscore_internal.check_tracked(pipeline text, tracked regclass, definition text, argument text, value text) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	schema_oid CONSTANT regnamespace := leadscore_internal.known_pipeline(pipeline);
	target record;
BEGIN
	IF tracked IS NULL THEN
		RAISE EXCEPTION 'table_name must not be null'
			USING ERRCODE = 'null_value_not_allowed', HINT = 'Pass the name of a table, such as public.orders.';
	END IF;
	PERFORM leadscore_internal.require_text(argument, value);
	SELECT c.relname, c.relkind, c.relpersistence, n.oid AS schema_oid, n.nspname INTO target
	FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	WHERE c.oid = tracked;
	IF target.relkind NOT IN ('r', 'p') OR target.relpersistence = 't' OR target.schema_oid = schema_oid OR target.nspname IN ('pg_catalog', 'information_schema')
		OR target.nspname = leadscore_internal.reports_schema(pipeline)
	THEN
		RAISE EXCEPTION '"%" cannot be tracked', target.relname
			USING ERRCODE = 'wrong_object_type',
				DETAIL = CASE
					WHEN target.relkind = 'v' THEN 'It is a view.'
					WHEN target.relkind = 'm' THEN 'It is a materialized view.'
					WHEN target.relkind = 'f' THEN 'It is a foreign table.'
					WHEN target.relkind NOT IN ('r', 'p') THEN 'It is no table.'
					WHEN target.relpersistence = 't' THEN 'It is a temporary table.'
					ELSE 'It belongs to the pipeline or to the system.' END,
				HINT = 'Track the table of the app that its rows are written to.';
	END IF;
	IF NOT (pg_catalog.has_table_privilege(tracked, 'TRIGGER') AND pg_catalog.has_table_privilege(tracked, 'SELECT')) THEN
		RAISE EXCEPTION 'permission denied for table %', target.relname
			USING ERRCODE = 'insufficient_privilege',
				HINT = pg_catalog.format('Let the owner of the table run GRANT SELECT, TRIGGER ON %I.%I TO %I.', target.nspname, target.relname, current_user);
	END IF;
	IF definition = '' OR pg_catalog.strpos(definition, ':') > 0 OR pg_catalog.octet_length(definition) > 36 THEN
		RAISE EXCEPTION 'definition name "%" is not valid', definition
			USING ERRCODE = 'invalid_name', HINT = 'Pass as definition a name of at most 36 bytes without a colon.';
	END IF;
END
$$;
COMMENT ON FUNCTION leadscore_internal.check_tracked(text, regclass, text, text, text) IS
	'an error if a relation is no table that the caller may track, or a name of a definition cannot be one';

CREATE FUNCTION leadscore.track_table(pipeline text, table_name regclass, lead text, kind text DEFAULT NULL, occurred_at text DEFAULT NULL,
		value text DEFAULT NULL, properties text[] DEFAULT '{}', source_id text[] DEFAULT NULL, kind_column text DEFAULT NULL,
		channel text DEFAULT NULL, campaign text DEFAULT NULL, only_if jsonb DEFAULT NULL, on_delete text DEFAULT 'remove',
		time_zone text DEFAULT NULL, definition text DEFAULT NULL,
		OUT tracked_as text, OUT next_step text)
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	zone text;
BEGIN
	tracked_as := coalesce(definition, (SELECT c.relname FROM pg_catalog.pg_class c WHERE c.oid = table_name));
	PERFORM leadscore_internal.check_tracked(pipeline, table_name, tracked_as, 'lead', lead);
	PERFORM leadscore_internal.require_text('occurred_at', occurred_at);
	IF pg_catalog.num_nonnulls(kind, kind_column) <> 1 OR kind = '' THEN
		RAISE EXCEPTION 'either kind or kind_column must be given'
			USING ERRCODE = 'invalid_parameter_value', HINT = 'kind is that of all events; kind_column names a column with the kind of each.';
	ELSIF on_delete IS NULL OR on_delete NOT IN ('remove', 'keep') THEN
		RAISE EXCEPTION 'on_delete must be remove or keep'
			USING ERRCODE = 'invalid_parameter_value', HINT = 'keep leaves the event when its row is deleted, say by a purge of old rows.';
	ELSIF only_if IS NOT NULL AND pg_catalog.jsonb_typeof(only_if) <> 'object' THEN
		RAISE EXCEPTION 'only_if must be a JSON object'
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass columns with values, such as {"status": ["paid", "shipped"], "test": false}.';
	END IF;
	IF time_zone IS NOT NULL THEN
		PERFORM leadscore_internal.require_time_zone(time_zone);
	END IF;
	EXECUTE pg_catalog.format('SELECT coalesce($1, s.time_zone) FROM %I.setting s', pipeline) INTO zone USING time_zone;
	BEGIN
		EXECUTE pg_catalog.format('INSERT INTO %I.tracked_table (definition, makes, lead_column, kind, kind_column, occurred_at_column, value_column, channel_column, campaign_column, property_columns, key_columns, only_if, on_delete, time_zone) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)', pipeline)
			USING tracked_as, 'events', lead, kind, kind_column, occurred_at, value, channel, campaign, coalesce(properties, '{}'),
				leadscore_internal.key_columns(table_name, source_id), only_if, on_delete, zone;
	EXCEPTION
		WHEN unique_violation THEN
			RAISE EXCEPTION 'there is a definition "%" already', tracked_as
				USING ERRCODE = 'duplicate_object', HINT = 'Pass another name as definition, or call leadscore.untrack_table() first.';
	END;
	PERFORM leadscore_internal.bind_table(pipeline, table_name, tracked_as);
	next_step := pg_catalog.format('SELECT leadscore.backfill_table(%L, %L);', pipeline, tracked_as);
END
$$;
COMMENT ON FUNCTION leadscore.track_table(text, regclass, text, text, text, text, text[], text[], text, text, text, jsonb, text, text, text) IS
	'from now on every row of a table of the app makes an event, while its lead, kind and occurred_at are there and only_if holds; arguments name columns, but kind, on_delete, time_zone and definition. Writers of the table wait until the transaction ends. Returns the name of the definition, and how to read the rows that are there';

CREATE FUNCTION leadscore.track_lead_table(pipeline text, table_name regclass, external_id text, email text DEFAULT NULL, aliases text[] DEFAULT '{}',
		profile text[] DEFAULT '{}', consent text DEFAULT NULL, created_at text DEFAULT NULL, source_id text[] DEFAULT NULL,
		only_if jsonb DEFAULT NULL, on_delete text DEFAULT 'keep', time_zone text DEFAULT NULL, definition text DEFAULT NULL,
		OUT tracked_as text, OUT next_step text)
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	zone text;
BEGIN
	tracked_as := coalesce(definition, (SELECT c.relname FROM pg_catalog.pg_class c WHERE c.oid = table_name));
	PERFORM leadscore_internal.check_tracked(pipeline, table_name, tracked_as, 'external_id', external_id);
	IF external_id = email OR external_id = ANY (aliases) THEN
		RAISE EXCEPTION 'external_id must not be a column that changes'
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Pass the primary key as external_id, and the e-mail address as email and among aliases: then the old address finds the lead, too, when it changes.';
	ELSIF on_delete IS NULL OR on_delete NOT IN ('forget', 'keep') THEN
		RAISE EXCEPTION 'on_delete must be keep or forget'
			USING ERRCODE = 'invalid_parameter_value', HINT = 'forget makes the lead anonymous when its row is deleted; no lead is ever deleted with it.';
	ELSIF only_if IS NOT NULL AND pg_catalog.jsonb_typeof(only_if) <> 'object' THEN
		RAISE EXCEPTION 'only_if must be a JSON object'
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass columns with values, such as {"status": ["paid", "shipped"], "test": false}.';
	END IF;
	IF time_zone IS NOT NULL THEN
		PERFORM leadscore_internal.require_time_zone(time_zone);
	END IF;
	EXECUTE pg_catalog.format('SELECT coalesce($1, s.time_zone) FROM %I.setting s', pipeline) INTO zone USING time_zone;
	BEGIN
		EXECUTE pg_catalog.format('INSERT INTO %I.tracked_table (definition, makes, lead_column, email_column, alias_columns, property_columns, consent_column, created_at_column, key_columns, only_if, on_delete, time_zone) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)', pipeline)
			USING tracked_as, 'leads', external_id, email, coalesce(aliases, '{}'), coalesce(profile, '{}'), consent, created_at,
				leadscore_internal.key_columns(table_name, source_id), only_if, on_delete, zone;
	EXCEPTION
		WHEN unique_violation THEN
			RAISE EXCEPTION 'there is a definition "%" already', tracked_as
				USING ERRCODE = 'duplicate_object', HINT = 'Pass another name as definition, or call leadscore.untrack_table() first.';
	END;
	PERFORM leadscore_internal.bind_table(pipeline, table_name, tracked_as);
	next_step := pg_catalog.format('SELECT leadscore.backfill_table(%L, %L);', pipeline, tracked_as);
END
$$;
COMMENT ON FUNCTION leadscore.track_lead_table(text, regclass, text, text, text[], text[], text, text, text[], jsonb, text, text, text) IS
	'from now on every row of a table of the app makes a lead, or changes it; arguments name columns, but on_delete, time_zone and definition. Columns of profile that are called like columns of lead go there. Writers of the table wait until the transaction ends. Returns the name of the definition, and how to read the rows that are there';

CREATE FUNCTION leadscore.backfill_table(pipeline text, definition text, max_rows bigint DEFAULT 10000, restart boolean DEFAULT false) RETURNS bigint
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	schema_oid CONSTANT regnamespace := leadscore_internal.known_pipeline(pipeline);
	relation oid;
	rows_read bigint;
BEGIN
	IF max_rows IS NULL OR max_rows < 1 OR restart IS NULL THEN
		RAISE EXCEPTION 'max_rows must be a number above zero, and restart true or false'
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Call the function again and again, each time in a transaction of its own, until it returns 0.';
	END IF;
	EXECUTE pg_catalog.format('SELECT %I._tracked_relation(t.definition) FROM %1$I.tracked_table t WHERE t.definition = $1', pipeline) INTO relation USING definition;
	IF relation IS NULL THEN
		RAISE EXCEPTION 'there is no tracked table "%"', definition
			USING ERRCODE = 'undefined_object', HINT = pg_catalog.format('The view %I.tracked_tables lists them.', pipeline);
	ELSIF NOT (pg_catalog.has_table_privilege(relation, 'SELECT') AND pg_catalog.has_any_column_privilege(relation, 'UPDATE')) THEN
		RAISE EXCEPTION 'permission denied for table %', (SELECT c.relname FROM pg_catalog.pg_class c WHERE c.oid = relation)
			USING ERRCODE = 'insufficient_privilege',
				HINT = 'The rows are locked while they are read, which takes SELECT on the table and UPDATE on a column of it, say of its key.';
	END IF;
	IF restart THEN
		EXECUTE pg_catalog.format('UPDATE %I.tracked_table t SET backfilled_to = NULL, backfilled_at = NULL, backfilled_rows = 0 WHERE t.definition = $1', pipeline)
			USING definition;
	END IF;
	EXECUTE pg_catalog.format('SELECT %I._backfill($1, $2, $3)', pipeline) INTO rows_read USING relation::regclass, definition, max_rows;
	RETURN rows_read;
END
$$;
COMMENT ON FUNCTION leadscore.backfill_table(text, text, bigint, boolean) IS
	'reads the next rows of a tracked table that were there before it was tracked, in the order of their key, and returns how many; 0: all have been read. What it makes begins no sequence. restart: from the first row again';

CREATE FUNCTION leadscore.untrack_table(pipeline text, definition text) RETURNS boolean
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	schema_oid CONSTANT regnamespace := leadscore_internal.known_pipeline(pipeline);
	triggers record;
	removed boolean;
	missing boolean := false;
BEGIN
	EXECUTE pg_catalog.format('WITH gone AS (DELETE FROM %I.tracked_table t WHERE t.definition = $1 RETURNING t.definition) SELECT EXISTS (SELECT FROM gone)', pipeline) INTO removed USING definition;
	EXECUTE pg_catalog.format('DELETE FROM %I.tracked_skip s WHERE s.definition = $1', pipeline) USING definition;
	FOR triggers IN
		SELECT t.tgname, n.nspname, c.relname, pg_catalog.pg_has_role(c.relowner, 'USAGE') AS is_owner
		FROM pg_catalog.pg_trigger t
			JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
			JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
			JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
		WHERE p.pronamespace = schema_oid AND p.proname = 'table_changed' AND t.tgparentid = 0
			AND t.tgargs = pg_catalog.convert_to(untrack_table.definition, pg_catalog.getdatabaseencoding()) || pg_catalog.decode('00', 'hex')
	LOOP
		IF triggers.is_owner THEN
			EXECUTE pg_catalog.format('DROP TRIGGER %I ON %I.%I', triggers.tgname, triggers.nspname, triggers.relname);
		ELSE
			missing := true;
		END IF;
	END LOOP;
	IF missing AND removed THEN
		RAISE NOTICE 'triggers of definition "%" remain and do nothing', definition
			USING HINT = 'The owner of the table can drop them.';
	END IF;
	RETURN removed;
END
$$;
COMMENT ON FUNCTION leadscore.untrack_table(text, text) IS
	'ends a definition of track_table() or track_lead_table(): rows make nothing any more, and what they made stays. Returns false if there is none of this name';
