-- The functions of a pipeline.
--
-- CREATE OR REPLACE throughout: leadscore.upgrade_pipeline runs this again.
-- Bodies are bound when they are created (BEGIN ATOMIC), so they work under
-- any search_path and follow renames. They sort and group by ranks of stages,
-- not by stages: pg_upgrade restores them before the operator classes of our
-- types. A parameter is always written function.parameter: a bare name is a
-- column. What writes more than events runs with the rights of the pipeline's
-- owner and is closed to PUBLIC.

CREATE OR REPLACE FUNCTION pipeline() RETURNS regnamespace
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT c.relnamespace::regnamespace FROM pg_class c WHERE c.oid = 'lead'::regclass;
END;
COMMENT ON FUNCTION pipeline() IS 'the schema of this pipeline';

-- Functions that views need to look into what their readers may not see run as
-- the owner, whom row security does not stop. They give nothing to whom it
-- hides a lead: they cannot know which, and would count it in.
CREATE OR REPLACE FUNCTION shows_all_leads() RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT shows_all('lead'::regclass) AND shows_all('event'::regclass)
        AND shows_all('lead_state'::regclass) AND shows_all('stage_history'::regclass);
END;
COMMENT ON FUNCTION shows_all_leads() IS
    'internal: whether row security hides no lead, nor what it did, from the role that the session runs as';

-- Models

CREATE OR REPLACE FUNCTION known_model(model text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN EXISTS (SELECT FROM model m WHERE m.model = known_model.model)
        THEN known_model.model
        ELSE refuse('undefined_object',
            format('model "%s" does not exist', known_model.model),
            hint => 'Models of this pipeline: '
                || coalesce((SELECT string_agg(m.model, ', ' ORDER BY m.model) FROM model m), 'none') || '.')
    END;
END;
COMMENT ON FUNCTION known_model(text) IS 'the model of this name, or an error that lists those there are';

CREATE OR REPLACE FUNCTION model_definition(model text) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT known_model(model_definition.model);
    SELECT jsonb_build_object(
        'model', m.model,
        'grain', CASE period_text(s.grain) WHEN '1 hours' THEN '1 hour' ELSE '1 day' END,
        'min_score', m.min_score,
        'max_score', m.max_score,
        'gates_required', m.gates_required,
        'allow_demotion', m.allow_demotion,
        'demotion_margin', m.demotion_margin,
        'signals', coalesce((
            SELECT jsonb_agg(jsonb_build_object(
                'signal', g.signal, 'signal_id', g.signal_id, 'source', g.source)
                ORDER BY g.signal_id)
            FROM signal g), '[]'),
        'dimensions', coalesce((
            SELECT jsonb_agg(jsonb_build_object(
                'dimension', d.dimension, 'min_points', d.min_points, 'max_points', d.max_points,
                'weight', d.weight, 'reset_signals', d.reset_signals)
                ORDER BY d.position, d.dimension COLLATE "C")
            FROM dimension d WHERE d.model = m.model), '[]'),
        'rules', coalesce((
            SELECT jsonb_agg(jsonb_build_object(
                'rule', r.rule, 'dimension', r.dimension, 'signal', r.signal, 'points', r.points,
                'aggregate', r.aggregate, 'first_n', r.first_n, 'tiers', r.tiers,
                'within', period_text(r.within), 'after', period_text(r.after), 'repeat', r.repeat,
                'limit_count', r.limit_count, 'limit_period', r.limit_period,
                'decay', r.decay, 'decay_period', period_text(r.decay_period),
                'decay_percent', r.decay_percent, 'max_points', r.max_points,
                'only_if', r.only_if, 'unless', r.unless)
                ORDER BY d.position, r.dimension COLLATE "C", r.rule COLLATE "C")
            FROM rule r JOIN dimension d USING (model, dimension) WHERE r.model = m.model), '[]'),
        'stage_rules', coalesce((
            SELECT jsonb_agg(jsonb_build_object(
                'stage', r.stage::text, 'only_if', r.only_if, 'min_score', r.min_score,
                'entry_signals', r.entry_signals, 'sla', period_text(r.sla))
                ORDER BY stage_rank(r.stage), r.only_if COLLATE "C")
            FROM stage_rule r WHERE r.model = m.model), '[]'),
        'stage_gates', coalesce((
            SELECT jsonb_agg(jsonb_build_object(
                'stage', t.stage::text, 'gate', t.gate, 'signal', t.signal, 'dimension', t.dimension,
                'min_count', t.min_count, 'min_points', t.min_points,
                'within', period_text(t.within), 'negate', t.negate)
                ORDER BY stage_rank(t.stage), t.gate COLLATE "C", t.gate_id)
            FROM stage_gate t WHERE t.model = m.model), '[]'),
        'grades', coalesce((
            SELECT jsonb_agg(jsonb_build_object(
                'dimension', g.dimension, 'grade', g.grade, 'min_points', g.min_points)
                ORDER BY d.position, g.dimension COLLATE "C", g.min_points DESC)
            FROM grade g JOIN dimension d USING (model, dimension) WHERE g.model = m.model), '[]'))
    FROM model m, setting s
    WHERE m.model = model_definition.model;
END;
COMMENT ON FUNCTION model_definition(text) IS 'a model with all its rows as one document, which the type lead_model reads';

CREATE OR REPLACE FUNCTION compiled_model(model text) RETURNS lead_model
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT known_model(compiled_model.model);
    -- a draft may have changed since
    SELECT CASE WHEN m.status = 'draft' THEN model_definition(m.model)::lead_model ELSE m.compiled END
    FROM model m
    WHERE m.model = compiled_model.model;
END;
COMMENT ON FUNCTION compiled_model(text) IS 'a model as it scores, or would score';

CREATE OR REPLACE FUNCTION clone_model("from" text, "to" text) RETURNS text
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    SELECT known_model(clone_model."from");
    INSERT INTO model (model, min_score, max_score, gates_required, allow_demotion, demotion_margin, note)
        SELECT clone_model."to", m.min_score, m.max_score, m.gates_required, m.allow_demotion, m.demotion_margin, m.note
        FROM model m WHERE m.model = clone_model."from";
    INSERT INTO dimension (model, dimension, position, min_points, max_points, weight, reset_signals)
        SELECT clone_model."to", d.dimension, d.position, d.min_points, d.max_points, d.weight, d.reset_signals
        FROM dimension d WHERE d.model = clone_model."from";
    INSERT INTO rule (model, rule, dimension, signal, points, aggregate, first_n, tiers, within, after, repeat,
            limit_count, limit_period, decay, decay_period, decay_percent, max_points, only_if, unless, note)
        SELECT clone_model."to", r.rule, r.dimension, r.signal, r.points, r.aggregate, r.first_n, r.tiers, r.within, r.after, r.repeat,
            r.limit_count, r.limit_period, r.decay, r.decay_period, r.decay_percent, r.max_points, r.only_if, r.unless, r.note
        FROM rule r WHERE r.model = clone_model."from";
    INSERT INTO stage_rule (model, stage, only_if, min_score, entry_signals, sla, note)
        SELECT clone_model."to", r.stage, r.only_if, r.min_score, r.entry_signals, r.sla, r.note
        FROM stage_rule r WHERE r.model = clone_model."from";
    INSERT INTO stage_gate (model, stage, gate, signal, dimension, min_count, min_points, within, negate)
        SELECT clone_model."to", t.stage, t.gate, t.signal, t.dimension, t.min_count, t.min_points, t.within, t.negate
        FROM stage_gate t WHERE t.model = clone_model."from" ORDER BY t.gate_id;
    INSERT INTO grade (model, dimension, grade, min_points)
        SELECT clone_model."to", g.dimension, g.grade, g.min_points
        FROM grade g WHERE g.model = clone_model."from";
    SELECT clone_model."to";
END;
REVOKE EXECUTE ON FUNCTION clone_model(text, text) FROM PUBLIC;
COMMENT ON FUNCTION clone_model(text, text) IS 'copies a model to a draft that can be edited, and returns its name';

CREATE OR REPLACE FUNCTION review_all(cause text) RETURNS bigint
    LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT review(pipeline(), NULL, now(), review_all.cause);
END;
REVOKE EXECUTE ON FUNCTION review_all(text) FROM PUBLIC;
COMMENT ON FUNCTION review_all(text) IS 'internal: reviews the stage of every lead, returns the number of changes';

CREATE OR REPLACE FUNCTION switch_model(model text) RETURNS bigint
    LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT known_model(switch_model.model);
    SELECT refuse('object_not_in_prerequisite_state', format('model "%s" is active already', m.model),
            hint => 'To change it, call clone_model(), edit the copy, look at compare_models() and activate the copy.')
        FROM model m WHERE m.model = switch_model.model AND m.status = 'active';
    -- what is due until now is the old model's work
    SELECT review(pipeline(), coalesce(array_agg(s.lead_id ORDER BY s.lead_id), '{}'), now(), 'decay')
        FROM lead_state s WHERE s.next_review_at <= now();
    UPDATE model SET status = 'retired' WHERE status = 'active';
    UPDATE model m SET
        status = 'active',
        compiled = model_definition(m.model)::lead_model,
        activated_by = session_user,
        activated_at = now()
        WHERE m.model = switch_model.model;
    INSERT INTO model_activation (model) VALUES (switch_model.model);
    SELECT review_all('activation');
END;
REVOKE EXECUTE ON FUNCTION switch_model(text) FROM PUBLIC;
COMMENT ON FUNCTION switch_model(text) IS 'internal: activates a model, for who has locked the pipeline';

-- Who writes events waits from here on; who reads does not. A function locks
-- the tables of all its statements as it begins: so the update of model is in
-- another, or two activations would wait for each other.
CREATE OR REPLACE FUNCTION activate_model(model text) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    SELECT lock_pipeline(pipeline());
    SELECT switch_model(activate_model.model);
END;
REVOKE EXECUTE ON FUNCTION activate_model(text) FROM PUBLIC;
COMMENT ON FUNCTION activate_model(text) IS 'makes a draft (or a retired model) the one that scores, reviews all leads, whatever row security says, returns how many stages changed';

CREATE OR REPLACE FUNCTION compare_models(a text, b text, at timestamptz DEFAULT now())
    RETURNS TABLE (level text, lead_id bigint, leads bigint, stage_a lead_stage, stage_b lead_stage,
        score_a numeric, score_b numeric, difference numeric)
    LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT CASE WHEN c.lead_id IS NULL THEN 'stage' ELSE 'lead' END AS level,
        c.lead_id, c.leads, c.stage_a, c.stage_b,
        trim_scale(round(c.score_milli_a / 1000.0 / c.leads, 3)) AS score_a,
        trim_scale(round(c.score_milli_b / 1000.0 / c.leads, 3)) AS score_b,
        trim_scale(round((c.score_milli_b - c.score_milli_a) / 1000.0 / c.leads, 3)) AS difference
    FROM compare_leads(pipeline(), compiled_model(compare_models.a), compiled_model(compare_models.b), compare_models.at) c
    ORDER BY c.lead_id IS NOT NULL, stage_rank(c.stage_a) DESC, stage_rank(c.stage_b) DESC, c.lead_id;
END;
COMMENT ON FUNCTION compare_models(text, text, timestamptz) IS
    'two models side by side, by the events and profiles up to at, nothing is changed: level stage = how many leads each pair of qualified stages has (scores are means), level lead = every lead that differs';
