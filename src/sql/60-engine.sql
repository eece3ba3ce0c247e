/* The engine: triggers of a pipeline, and what maintains it */

CREATE FUNCTION leadscore_internal.settled_stage(activity leadscore.lead_activity, model leadscore.lead_model,
	stage leadscore.lead_stage, held boolean, settled_at timestamptz, at timestamptz DEFAULT now())
	RETURNS leadscore.lead_stage
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50 AS 'MODULE_PATHNAME', 'leadscore_settled_stage';
COMMENT ON FUNCTION leadscore_internal.settled_stage(leadscore.lead_activity, leadscore.lead_model, leadscore.lead_stage, boolean, timestamptz, timestamptz) IS
	'the stage that a recorded state comes to by at through the passing of time: what the next sweep records';

CREATE FUNCTION leadscore_internal.event_signals(event anyelement)
	RETURNS TABLE (signal_id smallint, quantity bigint)
	LANGUAGE c STABLE STRICT PARALLEL SAFE COST 10 ROWS 1 AS 'MODULE_PATHNAME', 'leadscore_event_signals';
COMMENT ON FUNCTION leadscore_internal.event_signals(anyelement) IS
	'the signals that a row of a pipeline''s table event counts for, and how often';

CREATE FUNCTION leadscore_internal.profile_signals(lead anyelement)
	RETURNS TABLE (signal_id smallint)
	LANGUAGE c STABLE STRICT PARALLEL SAFE COST 20 ROWS 5 AS 'MODULE_PATHNAME', 'leadscore_profile_signals';
COMMENT ON FUNCTION leadscore_internal.profile_signals(anyelement) IS
	'the profile signals that a row of a pipeline''s table lead matches';

CREATE FUNCTION leadscore_internal.shows_all(relation regclass) RETURNS boolean
	LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_shows_all';
COMMENT ON FUNCTION leadscore_internal.shows_all(regclass) IS
	'whether row security leaves all rows of a table to the role that the session runs as; unlike row_security_active() also in a function that runs as somebody else';

CREATE FUNCTION leadscore_internal.lock_pipeline(pipeline regnamespace) RETURNS void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_lock_pipeline';
COMMENT ON FUNCTION leadscore_internal.lock_pipeline(regnamespace) IS
	'makes writers of events wait until the end of the transaction; readers pass';

CREATE FUNCTION leadscore_internal.review(pipeline regnamespace, lead_ids bigint[], at timestamptz, cause text) RETURNS bigint
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_review';
COMMENT ON FUNCTION leadscore_internal.review(regnamespace, bigint[], timestamptz, text) IS
	'applies to these leads (NULL: all) what is due up to at; cause is decay or activation; returns the number of stage changes';

CREATE FUNCTION leadscore_internal.rebuild(pipeline regnamespace, lead_ids bigint[], history boolean) RETURNS bigint
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_rebuild';
COMMENT ON FUNCTION leadscore_internal.rebuild(regnamespace, bigint[], boolean) IS
	'counts these leads (NULL: all) again from the log, and replays their stage history if asked; returns the number of leads that changed';

CREATE FUNCTION leadscore_internal.compare_leads(pipeline regnamespace, a leadscore.lead_model, b leadscore.lead_model, at timestamptz DEFAULT now())
	RETURNS TABLE (lead_id bigint, leads bigint, stage_a leadscore.lead_stage, stage_b leadscore.lead_stage,
				   score_milli_a bigint, score_milli_b bigint)
	LANGUAGE c STABLE STRICT PARALLEL UNSAFE COST 100000 ROWS 1000 AS 'MODULE_PATHNAME', 'leadscore_compare_leads';
COMMENT ON FUNCTION leadscore_internal.compare_leads(regnamespace, leadscore.lead_model, leadscore.lead_model, timestamptz) IS
	'every lead that two models judge differently, and with lead_id NULL every pair of qualified stages with its leads and the sums of their milli-points; see compare_models() of a pipeline';

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
	'trigger on lead, BEFORE UPDATE, for each row: sets updated_at unless the statement does';
CREATE FUNCTION leadscore_internal.config_changed() RETURNS trigger
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'leadscore_config_changed';
COMMENT ON FUNCTION leadscore_internal.config_changed() IS
	'trigger on configuration tables, AFTER, for each row, and for each statement on TRUNCATE';
