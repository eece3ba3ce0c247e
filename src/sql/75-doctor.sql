-- Help for roles that run pipelines.

CREATE FUNCTION leadscore.doctor(pipeline text)
	RETURNS TABLE (severity text, problem text, detail text, advice text)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	schema_oid CONSTANT regnamespace := leadscore_internal.known_pipeline(pipeline);
	installed CONSTANT text := (SELECT e.extversion FROM pg_catalog.pg_extension e WHERE e.extname = 'leadscore');
	layout integer;
BEGIN
	IF installed <> leadscore.version() THEN
		RETURN QUERY SELECT 'error', 'library and extension differ', pg_catalog.format('The library has version %s, the extension in this database %s.', leadscore.version(), installed),
			'Run ALTER EXTENSION leadscore UPDATE, or reconnect if the library is the older one.';
	END IF;
	EXECUTE pg_catalog.format('SELECT layout_version FROM %I.setting', pipeline) INTO layout;
	IF layout < leadscore_internal.newest_layout()
		OR pg_catalog.to_regprocedure(pg_catalog.format('%I._problems()', pipeline)) IS NULL THEN
		RETURN QUERY SELECT 'error', 'the pipeline is older than the extension', pg_catalog.format('Its layout has version %s, the newest is %s.', layout, leadscore_internal.newest_layout()),
			pg_catalog.format('Call leadscore.upgrade_pipeline(%L), then this function again.', pipeline);
		RETURN;
	END IF;
	-- Without these the rest cannot be asked, and conditions of signals miss a variable.
	RETURN QUERY
	WITH needed AS (
		SELECT n.relname, n.names, pg_catalog.to_regclass(pg_catalog.format('%I.%I', pipeline, n.relname)) AS relid
		FROM (VALUES ('event', '{lead_id,event_id,kind,occurred_at,recorded_at,value,channel,campaign,properties,source_id}'::text[]),
				('lead', '{lead_id,external_id,kind,email,phone,organization,market,country,language,time_zone,channel,campaign,owner,persona,profile,consented_at,contact_allowed,referred_by,erased_at,created_at,updated_at,first_external_id,objective,complexity}')) AS n (relname, names)
	)
	SELECT 'error', pg_catalog.format('table %s is missing', n.relname), 'leadscore relies on it.', 'Give the table its name back.'
	FROM needed n
	WHERE n.relid IS NULL
	UNION ALL
	SELECT 'error', pg_catalog.format('table %s has no column %s', n.relname, u.name), 'leadscore relies on it.', 'Give the column its name back, then call rebuild().'
	FROM needed n CROSS JOIN LATERAL pg_catalog.unnest(n.names) AS u (name)
	WHERE n.relid IS NOT NULL AND NOT EXISTS (
		SELECT FROM pg_catalog.pg_attribute a
		WHERE a.attrelid = n.relid AND a.attname = u.name AND NOT a.attisdropped)
	UNION ALL
	SELECT 'error', pg_catalog.format('table %s does not belong to the owner of the pipeline', c.relname), 'Functions of the pipeline refuse to work.',
		pg_catalog.format('Run ALTER TABLE %I.%I OWNER TO %I.', pipeline, c.relname, pg_catalog.pg_get_userbyid(s.nspowner))
	FROM needed n JOIN pg_catalog.pg_class c ON c.oid = n.relid JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace
	WHERE c.relowner <> s.nspowner;
	IF FOUND THEN
		RETURN;
	END IF;
	RETURN QUERY EXECUTE pg_catalog.format('SELECT * FROM %I._problems()', pipeline);
END
$$;
COMMENT ON FUNCTION leadscore.doctor(text) IS
	'what is wrong with a pipeline, or unwise, and what to do: severity (error: figures are wrong or work stands still; warning: something is late or counts for nothing; hint), problem, detail, advice. No rows: all is well. Reads the whole log, which takes a while if it is long. For its owner: error 42501 for other roles';
