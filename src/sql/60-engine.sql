/* The engine: triggers and upkeep of a pipeline */

CREATE FUNCTION leadscore_internal.event_signals(event anyelement)
	RETURNS TABLE (signal_id smallint, quantity bigint, value bigint)
	LANGUAGE c STABLE STRICT PARALLEL SAFE COST 10 ROWS 1 AS 'MODULE_PATHNAME', 'leadscore_event_signals';
COMMENT ON FUNCTION leadscore_internal.event_signals(anyelement) IS
	'the signals that a row of a pipeline''s table event counts for, how often, and for which value if different values are counted';

CREATE FUNCTION leadscore_internal.profile_signals(lead anyelement)
	RETURNS TABLE (signal_id smallint)
	LANGUAGE c STABLE STRICT PARALLEL SAFE COST 20 ROWS 5 AS 'MODULE_PATHNAME', 'leadscore_profile_signals';
COMMENT ON FUNCTION leadscore_internal.profile_signals(anyelement) IS
	'the profile signals that a row of a pipeline''s table lead matches';

CREATE FUNCTION leadscore_internal.event_mistypes(event anyelement)
	RETURNS TABLE (signal_id smallint, key text)
	LANGUAGE c STABLE STRICT PARALLEL SAFE COST 20 ROWS 1 AS 'MODULE_PATHNAME', 'leadscore_event_mistypes';
COMMENT ON FUNCTION leadscore_internal.event_mistypes(anyelement) IS
	'properties of a row of a pipeline''s table event whose type a signal cannot make anything of, such as "200" for $.amount > 100';

CREATE FUNCTION leadscore_internal.profile_mistypes(lead anyelement)
	RETURNS TABLE (signal_id smallint, key text)
	LANGUAGE c STABLE STRICT PARALLEL SAFE COST 100 ROWS 1 AS 'MODULE_PATHNAME', 'leadscore_profile_mistypes';
COMMENT ON FUNCTION leadscore_internal.profile_mistypes(anyelement) IS
	'keys of the profile of a row of a pipeline''s table lead whose type a signal cannot make anything of, such as "yes" for $.budget == true';

CREATE FUNCTION leadscore_internal.stage_to_set(properties jsonb) RETURNS leadscore.lead_stage
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_stage_to_set';
COMMENT ON FUNCTION leadscore_internal.stage_to_set(jsonb) IS
	'the stage that the properties of an event of kind stage_set name; NULL if they name none';

CREATE FUNCTION leadscore_internal.shows_all(relation regclass) RETURNS boolean
	LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_shows_all';
COMMENT ON FUNCTION leadscore_internal.shows_all(regclass) IS
	'whether row security leaves all rows of a table to the role that the session runs as; unlike row_security_active() also in a function that runs as another role';

CREATE FUNCTION leadscore_internal.caller() RETURNS text
	LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_caller';
COMMENT ON FUNCTION leadscore_internal.caller() IS
	'the role that is at work: that of SET ROLE, or else the one that logged in; unlike current_user also in a function that runs as another role';

CREATE FUNCTION leadscore_internal.lock_pipeline(pipeline regnamespace) RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_lock_pipeline';
COMMENT ON FUNCTION leadscore_internal.lock_pipeline(regnamespace) IS
	'makes writers of events wait until the end of the transaction; readers pass';

CREATE FUNCTION leadscore_internal.activate_model(pipeline regnamespace, model text, wait boolean) RETURNS bigint
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_activate_model';
COMMENT ON FUNCTION leadscore_internal.activate_model(regnamespace, text, boolean) IS
	'makes a model the one that scores; with wait brings all leads up to date; returns how many';

CREATE FUNCTION leadscore_internal.activate_segment(pipeline regnamespace, segment text, replaces text, wait boolean) RETURNS bigint
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_activate_segment';
COMMENT ON FUNCTION leadscore_internal.activate_segment(regnamespace, text, text, boolean) IS
	'puts a segment into use, perhaps in the place of another; with wait brings all leads up to date; returns how many';

CREATE FUNCTION leadscore_internal.retire_segment(pipeline regnamespace, segment text, wait boolean) RETURNS bigint
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_retire_segment';
COMMENT ON FUNCTION leadscore_internal.retire_segment(regnamespace, text, boolean) IS
	'puts a segment out of use; with wait brings all leads up to date; returns how many';

CREATE FUNCTION leadscore_internal.would_be_in(lead anyelement, activity leadscore.lead_activity, stage leadscore.lead_stage, definition jsonb) RETURNS boolean
	LANGUAGE c STABLE STRICT PARALLEL SAFE COST 100 AS 'MODULE_PATHNAME', 'leadscore_would_be_in';
COMMENT ON FUNCTION leadscore_internal.would_be_in(anyelement, leadscore.lead_activity, leadscore.lead_stage, jsonb) IS
	'whether a row of a pipeline''s table lead, with its activity and in its stage, would be in a segment of this definition now';

CREATE FUNCTION leadscore_internal.sweep(pipeline regnamespace, max_leads bigint) RETURNS bigint
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_sweep';
COMMENT ON FUNCTION leadscore_internal.sweep(regnamespace, bigint) IS
	'brings up to date at most so many leads that are due, or behind the configuration; returns how many';

CREATE FUNCTION leadscore_internal.rebuild(pipeline regnamespace, lead_id bigint) RETURNS bigint
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_rebuild';
COMMENT ON FUNCTION leadscore_internal.rebuild(regnamespace, bigint) IS
	'repairs a lead by a replay of its log (NULL: every lead that differs from it); returns how many';
CREATE FUNCTION leadscore_internal.rebuild(pipeline regnamespace, first_lead_id bigint, last_lead_id bigint) RETURNS bigint
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_rebuild';
COMMENT ON FUNCTION leadscore_internal.rebuild(regnamespace, bigint, bigint) IS
	'repairs the leads from one to another that differ from a replay of their log; returns how many. Up to the greatest number: rows without a lead, too';

CREATE FUNCTION leadscore_internal.verify(pipeline regnamespace)
	RETURNS TABLE (lead_id bigint, problem text, stored text, expected text)
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED COST 100000 ROWS 1 AS 'MODULE_PATHNAME', 'leadscore_verify';
COMMENT ON FUNCTION leadscore_internal.verify(regnamespace) IS
	'leads that differ from a replay of their log, and rows without a lead';
CREATE FUNCTION leadscore_internal.verify_share(pipeline regnamespace, share int, shares int)
	RETURNS TABLE (lead_id bigint, problem text, stored text, expected text)
	LANGUAGE c VOLATILE STRICT PARALLEL SAFE COST 1000000 ROWS 1 AS 'MODULE_PATHNAME', 'leadscore_verify';
COMMENT ON FUNCTION leadscore_internal.verify_share(regnamespace, int, int) IS
	'of a share of the leads those that differ from a replay of their log; the last share has rows without a lead';

CREATE FUNCTION leadscore_internal.purge(pipeline regnamespace, before timestamptz, max_leads bigint, delete_events boolean) RETURNS bigint
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_purge';
COMMENT ON FUNCTION leadscore_internal.purge(regnamespace, timestamptz, bigint, boolean) IS
	'takes the events before a line out of the log of at most so many leads, and perhaps deletes them; returns how many it deleted';

CREATE FUNCTION leadscore_internal.purge_superseded(pipeline regnamespace, segments boolean, before timestamptz, max_rows bigint) RETURNS bigint
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_purge_superseded';
COMMENT ON FUNCTION leadscore_internal.purge_superseded(regnamespace, boolean, timestamptz, bigint) IS
	'deletes at most so many rows of stage_log (segments: of segment_log) that a correction superseded before an instant; returns how many';

CREATE FUNCTION leadscore_internal.current_stage(pipeline regnamespace, lead_id bigint) RETURNS leadscore.lead_stage
	LANGUAGE c STABLE STRICT PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'leadscore_current_stage';
COMMENT ON FUNCTION leadscore_internal.current_stage(regnamespace, bigint) IS
	'stage of a lead now, including a change that is due and not recorded yet; NULL if row security hides its state';
CREATE FUNCTION leadscore_internal.current_stage_since(pipeline regnamespace, lead_id bigint) RETURNS timestamptz
	LANGUAGE c STABLE STRICT PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'leadscore_current_stage_since';
COMMENT ON FUNCTION leadscore_internal.current_stage_since(regnamespace, bigint) IS
	'when that stage began';
CREATE FUNCTION leadscore_internal.current_activity(pipeline regnamespace, lead_id bigint) RETURNS leadscore.lead_activity
	LANGUAGE c STABLE STRICT PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'leadscore_current_activity';
COMMENT ON FUNCTION leadscore_internal.current_activity(regnamespace, bigint) IS
	'activity of a lead as signals are defined now, even if it was not counted again yet';
CREATE FUNCTION leadscore_internal.current_segments(pipeline regnamespace, lead_id bigint) RETURNS integer[]
	LANGUAGE c STABLE STRICT PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'leadscore_current_segments';
COMMENT ON FUNCTION leadscore_internal.current_segments(regnamespace, bigint) IS
	'numbers of the segments that a lead is in now, including changes that are due and not recorded yet; NULL if it is in none';

CREATE FUNCTION leadscore_internal.compare_leads(pipeline regnamespace, a leadscore.lead_model, b leadscore.lead_model, at timestamptz DEFAULT now())
	RETURNS TABLE (level text, lead_id bigint, leads bigint, stage_a text, stage_b text,
				   score_a numeric, score_b numeric, difference numeric)
	LANGUAGE c STABLE STRICT PARALLEL UNSAFE COST 100000 ROWS 1000 AS 'MODULE_PATHNAME', 'leadscore_compare_leads';
COMMENT ON FUNCTION leadscore_internal.compare_leads(regnamespace, leadscore.lead_model, leadscore.lead_model, timestamptz) IS
	'every pair of qualified stages by two models, and every lead that they judge differently, in order; see compare_models() of a pipeline';
CREATE FUNCTION leadscore_internal.compare_blocks(pipeline regnamespace, a leadscore.lead_model, b leadscore.lead_model, at timestamptz, first bigint, last bigint)
	RETURNS TABLE (lead_id bigint, leads bigint, stage_a leadscore.lead_stage, stage_b leadscore.lead_stage,
				   score_milli_a bigint, score_milli_b bigint)
	LANGUAGE c STABLE STRICT PARALLEL SAFE COST 1000000 ROWS 1000 AS 'MODULE_PATHNAME', 'leadscore_compare_blocks';
COMMENT ON FUNCTION leadscore_internal.compare_blocks(regnamespace, leadscore.lead_model, leadscore.lead_model, timestamptz, bigint, bigint) IS
	'a share of compare_leads() for a worker: the leads in some blocks of lead_state, and with lead_id NULL their sums; last 0: to the end';

CREATE FUNCTION leadscore_internal.event_changed() RETURNS trigger
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_event_changed';
COMMENT ON FUNCTION leadscore_internal.event_changed() IS
	'trigger on event, AFTER INSERT, UPDATE or DELETE, for each statement, with transition tables';
CREATE FUNCTION leadscore_internal.event_truncated() RETURNS trigger
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_event_truncated';
COMMENT ON FUNCTION leadscore_internal.event_truncated() IS
	'trigger on event, AFTER TRUNCATE, for each statement';
CREATE FUNCTION leadscore_internal.lead_changed() RETURNS trigger
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_lead_changed';
COMMENT ON FUNCTION leadscore_internal.lead_changed() IS
	'trigger on lead, AFTER INSERT, UPDATE or DELETE, for each statement, with transition tables';
CREATE FUNCTION leadscore_internal.lead_truncated() RETURNS trigger
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_lead_truncated';
COMMENT ON FUNCTION leadscore_internal.lead_truncated() IS
	'trigger on lead, AFTER TRUNCATE, for each statement';
CREATE FUNCTION leadscore_internal.lead_touched() RETURNS trigger
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_lead_touched';
COMMENT ON FUNCTION leadscore_internal.lead_touched() IS
	'trigger on lead, BEFORE INSERT or UPDATE, for each row: folds the name, leaves out people that were forgotten, and sets updated_at unless an UPDATE does';
CREATE FUNCTION leadscore_internal.config_changing() RETURNS trigger
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_config_changing';
COMMENT ON FUNCTION leadscore_internal.config_changing() IS
	'trigger on configuration tables, BEFORE, for each statement: sessions that change them go one after the other';
CREATE FUNCTION leadscore_internal.config_changed() RETURNS trigger
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_config_changed';
COMMENT ON FUNCTION leadscore_internal.config_changed() IS
	'trigger on configuration tables, AFTER, for each row, and for each statement on TRUNCATE';
CREATE FUNCTION leadscore_internal.signals_changed() RETURNS trigger
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_signals_changed';
COMMENT ON FUNCTION leadscore_internal.signals_changed() IS
	'trigger on signal and value_list, AFTER, for each statement: from now on every lead is behind, and is counted again';
CREATE FUNCTION leadscore_internal.content_changed() RETURNS trigger
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_content_changed';
COMMENT ON FUNCTION leadscore_internal.content_changed() IS
	'trigger on content, AFTER, for each statement, with transition tables: if events name a content that changed, and signals ask for it, every lead is behind';
CREATE FUNCTION leadscore_internal.guard_engine_table() RETURNS trigger
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_guard_engine_table';
COMMENT ON FUNCTION leadscore_internal.guard_engine_table() IS
	'trigger on tables that the engine keeps, BEFORE, for each statement: refuses other writers';

CREATE FUNCTION leadscore_internal.fold_name(name text) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_fold_name';
COMMENT ON FUNCTION leadscore_internal.fold_name(text) IS
	'the name of a lead as it is kept: one that is an e-mail address in lower case, without blanks around it';
CREATE FUNCTION leadscore_internal.address_hashes(key bytea, email text, phone text) RETURNS bytea[]
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN array_remove(ARRAY[
		CASE WHEN email ~ '[^[:space:]]' THEN
			sha256(key || convert_to(lower(btrim(leadscore_internal.fold_name(email)) COLLATE "C"), getdatabaseencoding())) END,
		CASE WHEN phone ~ '[0-9]' THEN
			sha256(key || convert_to('tel:' || regexp_replace(phone, '[^0-9]', '', 'g'), getdatabaseencoding())) END], NULL);
COMMENT ON FUNCTION leadscore_internal.address_hashes(bytea, text, text) IS
	'hashes of the addresses of a lead: SHA-256 of the key of the pipeline and the address';
CREATE FUNCTION leadscore_internal.merge_logs(pipeline regnamespace, winner bigint, loser bigint, withdrawn_at timestamptz) RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'leadscore_merge_logs';
COMMENT ON FUNCTION leadscore_internal.merge_logs(regnamespace, bigint, bigint, timestamptz) IS
	'called by merge_leads(): puts the changes of both profiles together and replays the winner; withdrawn_at: since when consent is withdrawn, NULL: it is not';
CREATE FUNCTION leadscore_internal.merge_lines(pipeline regnamespace, winner bigint, loser bigint) RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'leadscore_merge_lines';
COMMENT ON FUNCTION leadscore_internal.merge_lines(regnamespace, bigint, bigint) IS
	'called by merge_leads() before it moves events: if one of two leads was purged, the log of both begins at the later one of their lines, and the past of the lead that had come further holds';
CREATE FUNCTION leadscore_internal.write_consent(pipeline regnamespace, lead_ids bigint[], instants timestamptz[]) RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'leadscore_write_consent';
COMMENT ON FUNCTION leadscore_internal.write_consent(regnamespace, bigint[], timestamptz[]) IS
	'calls _write_consent(): what it writes to columns of lead is no statement about consent';
CREATE FUNCTION leadscore_internal.records_consent() RETURNS boolean
	LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_records_consent';
COMMENT ON FUNCTION leadscore_internal.records_consent() IS
	'whether a trigger on lead or event is writing rows of consent, for leads that it has locked';
