-- Help for who runs pipelines.

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
	RETURN QUERY EXECUTE pg_catalog.format('SELECT * FROM %I._problems()', pipeline);
END
$$;
COMMENT ON FUNCTION leadscore.doctor(text) IS
	'what is wrong with a pipeline, or unwise, and what to do: severity (error: figures are wrong or work stands still; warning: something is late or counts for nothing; hint), problem, detail, advice. No rows: all is well. Reads the whole log, which takes a while if it is long. For its owner: error 42501 for other roles';
