-- The functions by which apps ask where a lead stands.
--
-- They are in language leadscore: the body names a function of the library,
-- which finds the pipeline by the schema that its caller is in. So they work
-- under any search_path and follow renames.
--
-- A caller needs EXECUTE and no right on a table, as they read with the rights
-- of the pipeline's owner. Where row security on lead or lead_state holds for
-- the caller, a lead that it hides is not there: they look the lead up as the
-- caller first. The caller then needs SELECT (lead_id) on that table.

CREATE OR REPLACE FUNCTION lead_id(external_id text) RETURNS bigint
    LANGUAGE leadscore STABLE PARALLEL SAFE COST 20 AS 'lead_id';
REVOKE EXECUTE ON FUNCTION lead_id(text) FROM PUBLIC;
COMMENT ON FUNCTION lead_id(text) IS
    'number of the lead with this external_id; NULL if there is none, or row security hides it from the caller';

CREATE OR REPLACE FUNCTION score(external_id text, at timestamptz DEFAULT now(), as_of_model boolean DEFAULT false)
    RETURNS numeric
    LANGUAGE leadscore STABLE PARALLEL SAFE COST 50 AS 'score';
REVOKE EXECUTE ON FUNCTION score(text, timestamptz, boolean) FROM PUBLIC;
COMMENT ON FUNCTION score(text, timestamptz, boolean) IS
    'points of a lead at an instant, exact to a thousandth, by its events up to then (all events of the same UTC day or hour included) and its profile of then; by the active model, or with as_of_model by the one that was active then. NULL if there is no such lead, if it was not created yet, or if no model is active';

CREATE OR REPLACE FUNCTION score_by_id(lead_id bigint, at timestamptz DEFAULT now(), as_of_model boolean DEFAULT false)
    RETURNS numeric
    LANGUAGE leadscore STABLE PARALLEL SAFE COST 50 AS 'score_by_id';
REVOKE EXECUTE ON FUNCTION score_by_id(bigint, timestamptz, boolean) FROM PUBLIC;
COMMENT ON FUNCTION score_by_id(bigint, timestamptz, boolean) IS 'score() of the lead with this number';

CREATE OR REPLACE FUNCTION explain(external_id text, at timestamptz DEFAULT now(), as_of_model boolean DEFAULT false)
    RETURNS TABLE (dimension text, rule text, signal text, source text, events bigint, last_at timestamptz, points numeric, note text)
    LANGUAGE leadscore STABLE PARALLEL SAFE COST 100 ROWS 10 AS 'explain';
REVOKE EXECUTE ON FUNCTION explain(text, timestamptz, boolean) FROM PUBLIC;
COMMENT ON FUNCTION explain(text, timestamptz, boolean) IS
    'the parts of score() of a lead at an instant: the points of the rows add up to it exactly; no rows where score() is NULL';

CREATE OR REPLACE FUNCTION explain_by_id(lead_id bigint, at timestamptz DEFAULT now(), as_of_model boolean DEFAULT false)
    RETURNS TABLE (dimension text, rule text, signal text, source text, events bigint, last_at timestamptz, points numeric, note text)
    LANGUAGE leadscore STABLE PARALLEL SAFE COST 100 ROWS 10 AS 'explain_by_id';
REVOKE EXECUTE ON FUNCTION explain_by_id(bigint, timestamptz, boolean) FROM PUBLIC;
COMMENT ON FUNCTION explain_by_id(bigint, timestamptz, boolean) IS 'explain() of the lead with this number';

CREATE OR REPLACE FUNCTION next_steps(external_id text)
    RETURNS TABLE (stage text, gate text, met boolean, missing text)
    LANGUAGE leadscore STABLE PARALLEL SAFE COST 100 ROWS 5 AS 'next_steps';
REVOKE EXECUTE ON FUNCTION next_steps(text) FROM PUBLIC;
COMMENT ON FUNCTION next_steps(text) IS
    'gates of the next stage of a lead, whether each is met now, and what is missing; the gate score is the threshold of points. No rows if there is no such lead or no next stage';

CREATE OR REPLACE FUNCTION next_steps_by_id(lead_id bigint)
    RETURNS TABLE (stage text, gate text, met boolean, missing text)
    LANGUAGE leadscore STABLE PARALLEL SAFE COST 100 ROWS 5 AS 'next_steps_by_id';
REVOKE EXECUTE ON FUNCTION next_steps_by_id(bigint) FROM PUBLIC;
COMMENT ON FUNCTION next_steps_by_id(bigint) IS 'next_steps() of the lead with this number';

CREATE OR REPLACE FUNCTION stage_at(external_id text, at timestamptz DEFAULT now(), as_known_at timestamptz DEFAULT NULL)
    RETURNS text
    LANGUAGE leadscore STABLE PARALLEL SAFE COST 50 AS 'stage_at';
REVOKE EXECUTE ON FUNCTION stage_at(text, timestamptz, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION stage_at(text, timestamptz, timestamptz) IS
    'stage of a lead at an instant, as it is known now or was known at as_known_at; NULL before its creation, or if there is no such lead';

CREATE OR REPLACE FUNCTION stage_at_by_id(lead_id bigint, at timestamptz DEFAULT now(), as_known_at timestamptz DEFAULT NULL)
    RETURNS text
    LANGUAGE leadscore STABLE PARALLEL SAFE COST 50 AS 'stage_at_by_id';
REVOKE EXECUTE ON FUNCTION stage_at_by_id(bigint, timestamptz, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION stage_at_by_id(bigint, timestamptz, timestamptz) IS 'stage_at() of the lead with this number';
