/* Scores and stages: pure functions of an activity, a model and an instant */

CREATE FUNCTION leadscore.score(activity leadscore.lead_activity, model leadscore.lead_model, at timestamptz DEFAULT now())
	RETURNS numeric
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'leadscore_score';
COMMENT ON FUNCTION leadscore.score(leadscore.lead_activity, leadscore.lead_model, timestamptz) IS
	'score of an activity under a model at an instant, in points, exact to a thousandth';

CREATE FUNCTION leadscore.score_milli(activity leadscore.lead_activity, model leadscore.lead_model, at timestamptz DEFAULT now())
	RETURNS bigint
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'leadscore_score_milli';
COMMENT ON FUNCTION leadscore.score_milli(leadscore.lead_activity, leadscore.lead_model, timestamptz) IS
	'score in milli-points, thousandths of a point: as exact as score() and faster to sum and sort';

CREATE FUNCTION leadscore.qualified_stage(activity leadscore.lead_activity, model leadscore.lead_model, at timestamptz DEFAULT now())
	RETURNS leadscore.lead_stage
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'leadscore_qualified_stage_sql';
COMMENT ON FUNCTION leadscore.qualified_stage(leadscore.lead_activity, leadscore.lead_model, timestamptz) IS
	'the highest stage whose score and gates hold at an instant; visitor if none does';

CREATE FUNCTION leadscore.stage_by_points(activity leadscore.lead_activity, model leadscore.lead_model, at timestamptz DEFAULT now())
	RETURNS leadscore.lead_stage
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'leadscore_stage_by_activity';
COMMENT ON FUNCTION leadscore.stage_by_points(leadscore.lead_activity, leadscore.lead_model, timestamptz) IS
	'the stage that points alone give, without gates';

CREATE FUNCTION leadscore.stage_by_points(points numeric, model leadscore.lead_model)
	RETURNS leadscore.lead_stage
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_stage_by_score';
COMMENT ON FUNCTION leadscore.stage_by_points(numeric, leadscore.lead_model) IS
	'the stage that a number of points alone gives, without gates';

CREATE FUNCTION leadscore.next_change(activity leadscore.lead_activity, model leadscore.lead_model, at timestamptz DEFAULT now())
	RETURNS timestamptz
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50 AS 'MODULE_PATHNAME', 'leadscore_next_change';
COMMENT ON FUNCTION leadscore.next_change(leadscore.lead_activity, leadscore.lead_model, timestamptz) IS
	'the first instant after at when the qualified stage changes if nothing happens; NULL if it never does';

CREATE FUNCTION leadscore.grade(activity leadscore.lead_activity, model leadscore.lead_model, at timestamptz DEFAULT now())
	RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 12 AS 'MODULE_PATHNAME', 'leadscore_grade_text';
COMMENT ON FUNCTION leadscore.grade(leadscore.lead_activity, leadscore.lead_model, timestamptz) IS
	'the grades of the graded dimensions in their order, such as A2; NULL if there is none';

CREATE FUNCTION leadscore.dimension_scores(activity leadscore.lead_activity, model leadscore.lead_model, at timestamptz DEFAULT now())
	RETURNS TABLE (dimension text, points numeric, weight numeric, grade text)
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20 ROWS 3 AS 'MODULE_PATHNAME', 'leadscore_dimension_scores';
COMMENT ON FUNCTION leadscore.dimension_scores(leadscore.lead_activity, leadscore.lead_model, timestamptz) IS
	'points of each dimension after its limits and before its weight, and the grade they earn';

CREATE FUNCTION leadscore.explain(activity leadscore.lead_activity, model leadscore.lead_model, at timestamptz DEFAULT now())
	RETURNS TABLE (dimension text, rule text, signal text, source text, events bigint,
				   last_at timestamptz, points numeric, note text)
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50 ROWS 10 AS 'MODULE_PATHNAME', 'leadscore_explain';
COMMENT ON FUNCTION leadscore.explain(leadscore.lead_activity, leadscore.lead_model, timestamptz) IS
	'the parts of a score, whose points add up to it exactly: a row for each rule, then rows for the effect of limits, caps, weights and clamps';

CREATE FUNCTION leadscore.stage_gates(activity leadscore.lead_activity, model leadscore.lead_model, at timestamptz DEFAULT now())
	RETURNS TABLE (stage leadscore.lead_stage, gate text, met boolean, missing text)
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50 ROWS 10 AS 'MODULE_PATHNAME', 'leadscore_stage_gates';
COMMENT ON FUNCTION leadscore.stage_gates(leadscore.lead_activity, leadscore.lead_model, timestamptz) IS
	'gates of each stage, whether each is met, and what is missing; the gate named score is the threshold of points';
