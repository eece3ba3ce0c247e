-- Models as documents, and copies of them.
--
-- These functions have string bodies, so that nothing in the catalog makes
-- them depend on a table; they name the schema of the pipeline, which is
-- filled in when they are made. pipeline_schema() refuses to go on after the
-- schema was renamed, until leadscore.upgrade_pipeline() makes them again.

CREATE OR REPLACE FUNCTION model_definition(model text) RETURNS jsonb
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pipeline CONSTANT regnamespace := leadscore_internal.pipeline_schema(@pipeline_name@);
    definition jsonb;
BEGIN
    model := leadscore_internal.require_model(pipeline, model);
    SELECT jsonb_build_object(
        'model', m.model,
        'grain', CASE @pipeline@.period_text(s.grain) WHEN '1 hours' THEN '1 hour' ELSE '1 day' END,
        'min_score', m.min_score,
        'max_score', m.max_score,
        'gates_required', m.gates_required,
        'allow_demotion', m.allow_demotion,
        'demotion_margin', m.demotion_margin,
        'signals', coalesce((
            SELECT jsonb_agg(jsonb_build_object(
                'signal', g.signal, 'signal_id', g.signal_id, 'source', g.source)
                || CASE WHEN g.distinct_on IS NULL THEN '{}' ELSE '{"distinct": true}' END::jsonb
                ORDER BY g.signal_id)
            FROM @pipeline@.signal g), '[]'),
        'dimensions', coalesce((
            SELECT jsonb_agg(jsonb_build_object(
                'dimension', d.dimension, 'min_points', d.min_points, 'max_points', d.max_points,
                'weight', d.weight, 'reset_signals', d.reset_signals)
                ORDER BY d.position, d.dimension COLLATE "C")
            FROM @pipeline@.dimension d WHERE d.model = m.model), '[]'),
        'rules', coalesce((
            SELECT jsonb_agg(jsonb_build_object(
                'rule', r.rule, 'dimension', r.dimension, 'signal', r.signal, 'points', r.points,
                'aggregate', r.aggregate, 'first_n', r.first_n, 'tiers', r.tiers, 'of_dimension', r.of_dimension, 'min_count', r.min_count, 'period', r.period,
                'within', @pipeline@.period_text(r.within), 'after', @pipeline@.period_text(r.after), 'repeat', r.repeat,
                'limit_count', r.limit_count, 'limit_period', r.limit_period,
                'decay', r.decay, 'decay_period', @pipeline@.period_text(r.decay_period),
                'decay_percent', r.decay_percent, 'max_points', r.max_points,
                'only_if', r.only_if, 'unless', r.unless)
                ORDER BY d.position, r.dimension COLLATE "C", r.rule COLLATE "C")
            FROM @pipeline@.rule r JOIN @pipeline@.dimension d USING (model, dimension) WHERE r.model = m.model), '[]'),
        'stage_rules', coalesce((
            SELECT jsonb_agg(jsonb_build_object(
                'stage', r.stage::text, 'only_if', r.only_if, 'min_score', r.min_score,
                'entry_signals', r.entry_signals, 'sla', @pipeline@.period_text(r.sla))
                ORDER BY r.stage, r.only_if COLLATE "C")
            FROM @pipeline@.stage_rule r WHERE r.model = m.model), '[]'),
        'stage_gates', coalesce((
            SELECT jsonb_agg(jsonb_build_object(
                'stage', t.stage::text, 'gate', t.gate, 'signal', t.signal, 'dimension', t.dimension,
                'min_count', t.min_count, 'min_points', t.min_points,
                'within', @pipeline@.period_text(t.within), 'negate', t.negate)
                ORDER BY t.stage, t.gate COLLATE "C", t.gate_id)
            FROM @pipeline@.stage_gate t WHERE t.model = m.model), '[]'),
        'grades', coalesce((
            SELECT jsonb_agg(jsonb_build_object(
                'dimension', g.dimension, 'grade', g.grade, 'min_points', g.min_points)
                ORDER BY d.position, g.dimension COLLATE "C", g.min_points DESC)
            FROM @pipeline@.grade g JOIN @pipeline@.dimension d USING (model, dimension) WHERE g.model = m.model), '[]'))
    INTO definition
    FROM @pipeline@.model m, @pipeline@.setting s
    WHERE m.model = model_definition.model;
    RETURN definition;
END
$$;
COMMENT ON FUNCTION model_definition(text) IS 'a model with all its rows as one document, which the type lead_model reads';

CREATE OR REPLACE FUNCTION compiled_model(model text) RETURNS lead_model
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pipeline CONSTANT regnamespace := leadscore_internal.pipeline_schema(@pipeline_name@);
    compiled leadscore.lead_model;
BEGIN
    model := leadscore_internal.require_model(pipeline, model);
    -- a draft may have changed since
    SELECT CASE WHEN m.status = 'draft' THEN @pipeline@.model_definition(m.model)::leadscore.lead_model ELSE m.compiled END
    INTO compiled
    FROM @pipeline@.model m
    WHERE m.model = compiled_model.model;
    RETURN compiled;
END
$$;
COMMENT ON FUNCTION compiled_model(text) IS 'a model as it scores, or would score';

CREATE OR REPLACE FUNCTION clone_model(source text, target text) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pipeline CONSTANT regnamespace := leadscore_internal.pipeline_schema(@pipeline_name@);
    message text;
    constraint_name text;
BEGIN
    source := leadscore_internal.require_model(pipeline, source);
    target := leadscore_internal.require_text('target', target);
    -- in two steps: Citus 13 writes no INSERT with now() of one step that selects from a table on one node
    WITH m AS MATERIALIZED (
        SELECT m.min_score, m.max_score, m.gates_required, m.allow_demotion, m.demotion_margin, m.note
        FROM @pipeline@.model m WHERE m.model = source
    )
    INSERT INTO @pipeline@.model (model, min_score, max_score, gates_required, allow_demotion, demotion_margin, note)
        SELECT target, m.min_score, m.max_score, m.gates_required, m.allow_demotion, m.demotion_margin, m.note FROM m;
    INSERT INTO @pipeline@.dimension (model, dimension, position, min_points, max_points, weight, reset_signals)
        SELECT target, d.dimension, d.position, d.min_points, d.max_points, d.weight, d.reset_signals
        FROM @pipeline@.dimension d WHERE d.model = source;
    INSERT INTO @pipeline@.rule (model, rule, dimension, signal, points, aggregate, first_n, tiers, of_dimension, min_count, period, within, after, repeat,
            limit_count, limit_period, decay, decay_period, decay_percent, max_points, only_if, unless, note)
        SELECT target, r.rule, r.dimension, r.signal, r.points, r.aggregate, r.first_n, r.tiers, r.of_dimension, r.min_count, r.period, r.within, r.after, r.repeat,
            r.limit_count, r.limit_period, r.decay, r.decay_period, r.decay_percent, r.max_points, r.only_if, r.unless, r.note
        FROM @pipeline@.rule r WHERE r.model = source;
    INSERT INTO @pipeline@.stage_rule (model, stage, only_if, min_score, entry_signals, sla, note)
        SELECT target, r.stage, r.only_if, r.min_score, r.entry_signals, r.sla, r.note
        FROM @pipeline@.stage_rule r WHERE r.model = source;
    INSERT INTO @pipeline@.stage_gate (model, stage, gate, signal, dimension, min_count, min_points, within, negate)
        SELECT target, t.stage, t.gate, t.signal, t.dimension, t.min_count, t.min_points, t.within, t.negate
        FROM @pipeline@.stage_gate t WHERE t.model = source ORDER BY t.gate_id;
    INSERT INTO @pipeline@.grade (model, dimension, grade, min_points)
        SELECT target, g.dimension, g.grade, g.min_points
        FROM @pipeline@.grade g WHERE g.model = source;
    RETURN target;
EXCEPTION
    -- these show a row, which is the owner's
    WHEN check_violation OR not_null_violation OR exclusion_violation THEN
        GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, constraint_name = CONSTRAINT_NAME;
        RAISE EXCEPTION USING ERRCODE = SQLSTATE, MESSAGE = message, CONSTRAINT = constraint_name;
END
$$;
REVOKE EXECUTE ON FUNCTION clone_model(text, text) FROM PUBLIC;
COMMENT ON FUNCTION clone_model(text, text) IS 'copies a model to a draft that can be edited, and returns its name';
