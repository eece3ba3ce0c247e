-- Segments: defining them, putting them into use, and asking who is in them.

CREATE OR REPLACE FUNCTION segment_definition(segment text) RETURNS jsonb
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    segment := @pipeline@._require_name('segment', segment);
    RETURN (
        SELECT jsonb_build_object(
            'segment', s.segment, 'segment_id', s.segment_id, 'persona', s.persona,
            'ideal_customer', s.ideal_customer, 'min_match_share', s.min_match_share,
            'conditions', coalesce((
                SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                    'condition', c.condition,
                    'signal', CASE WHEN c.lead_condition IS NULL THEN c.signal ELSE p.signal END,
                    'signal_id', CASE WHEN c.lead_condition IS NULL THEN g.signal_id ELSE p.signal_id END,
                    'distinct', CASE WHEN c.lead_condition IS NULL AND g.distinct_on IS NOT NULL THEN true END,
                    'min_count', c.min_count, 'within', @pipeline@.period_text(c.within),
                    'lead_condition', c.lead_condition::text,
                    'dimension', c.dimension, 'min_points', c.min_points,
                    'stage_from', c.stage_from::text, 'stage_to', c.stage_to::text,
                    'in_segment', o.segment, 'in_segment_id', o.segment_id,
                    'negate', c.negate, 'weight', c.weight))
                    ORDER BY c.condition COLLATE "C", c.condition_id)
                FROM @pipeline@.segment_condition c
                    LEFT JOIN @pipeline@.signal g ON g.signal = c.signal
                    LEFT JOIN @pipeline@.segment o ON o.segment = c.in_segment
                    -- the signal that says the same
                    LEFT JOIN LATERAL (
                        SELECT g.signal, g.signal_id
                        FROM @pipeline@.signal g
                        WHERE g.source = 'profile' AND g.condition::text = c.lead_condition::text
                        ORDER BY g.signal_id
                        LIMIT 1
                    ) p ON true
                WHERE c.segment = s.segment), '[]'))
        FROM @pipeline@.segment s
        WHERE s.segment = segment_definition.segment);
END
$$;
COMMENT ON FUNCTION segment_definition(text) IS
    'a segment with its conditions as one document. Error 42704 if there is no such segment';

CREATE OR REPLACE FUNCTION _require_name(kind text, name text) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    names text[];
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@), leadscore_internal.require_text(kind, name);
    names := CASE kind
        WHEN 'segment' THEN ARRAY(SELECT s.segment FROM @pipeline@.segment s ORDER BY s.segment)
        WHEN 'sequence' THEN ARRAY(SELECT q.sequence FROM @pipeline@.sequence q ORDER BY q.sequence)
        WHEN 'experiment' THEN ARRAY(SELECT x.experiment FROM @pipeline@.experiment x ORDER BY x.experiment) END;
    IF name <> ALL (names) THEN
        RAISE EXCEPTION '% "%" does not exist', kind, name
            USING ERRCODE = 'undefined_object',
                HINT = format('%ss of this pipeline: %s.', initcap(kind), coalesce(nullif(array_to_string(names, ', '), ''), 'none'));
    END IF;
    RETURN name;
END
$$;
COMMENT ON FUNCTION _require_name(text, text) IS 'the name of a segment, sequence or experiment, or an error that lists those of the pipeline';

CREATE OR REPLACE FUNCTION clone_segment(source text, target text) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pipeline CONSTANT regnamespace := leadscore_internal.pipeline_schema(@pipeline_name@);
BEGIN
    source := @pipeline@._require_name('segment', source);
    target := leadscore_internal.require_text('target', target);
    INSERT INTO @pipeline@.segment (segment, persona, ideal_customer, min_match_share, note)
        SELECT target, s.persona, s.ideal_customer, s.min_match_share, s.note
        FROM @pipeline@.segment s WHERE s.segment = source;
    INSERT INTO @pipeline@.segment_condition (segment, condition, signal, min_count, within, lead_condition, dimension,
            min_points, stage_from, stage_to, in_segment, negate, weight)
        SELECT target, c.condition, CASE WHEN c.lead_condition IS NULL THEN c.signal END, c.min_count, c.within, c.lead_condition, c.dimension,
            c.min_points, c.stage_from, c.stage_to, c.in_segment, c.negate, c.weight
        FROM @pipeline@.segment_condition c WHERE c.segment = source ORDER BY c.condition_id;
    RETURN target;
END
$$;
REVOKE EXECUTE ON FUNCTION clone_segment(text, text) FROM PUBLIC;
COMMENT ON FUNCTION clone_segment(text, text) IS 'copies a segment with its conditions to a draft that can be edited, and returns the name of the draft. Errors: 42704 no such segment, 23505 the name is taken';

CREATE OR REPLACE FUNCTION activate_segment(segment text, replaces text DEFAULT NULL, wait boolean DEFAULT false, enroll boolean DEFAULT false) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF segment IS NULL OR wait IS NULL OR enroll IS NULL THEN
        RAISE EXCEPTION '% must not be null', CASE WHEN segment IS NULL THEN 'segment' WHEN wait IS NULL THEN 'wait' ELSE 'enroll' END
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Pass the name of a segment, and true or false for wait and enroll.';
    END IF;
    UPDATE @pipeline@.segment g SET enrolls = activate_segment.enroll WHERE g.segment = coalesce(replaces, activate_segment.segment) AND g.enrolls <> activate_segment.enroll;
    RETURN leadscore_internal.activate_segment(leadscore_internal.pipeline_schema(@pipeline_name@), segment, replaces, wait);
END
$$;
REVOKE EXECUTE ON FUNCTION activate_segment(text, text, boolean, boolean) FROM PUBLIC;
COMMENT ON FUNCTION activate_segment(text, text, boolean, boolean) IS
    'puts a draft (or a retired segment) into use: from now on the engine records who enters it and leaves it. With replaces the draft takes the place of that active segment, whose name stays, and the draft is gone. Queries show the members at once; leads are brought up to date at their next write or by sweep(), with wait => true before this returns, while writers wait. Leads that the definition itself puts in or out begin no sequences, unless enroll is true. Returns how many leads were brought up to date. Errors: 42704 no such segment, 22023 a wrong definition, 55000 a reference to what is not active, 55P03 if transactions that write do not end within some seconds';

CREATE OR REPLACE FUNCTION retire_segment(segment text, wait boolean DEFAULT false) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF segment IS NULL OR wait IS NULL THEN
        RAISE EXCEPTION '% must not be null', CASE WHEN segment IS NULL THEN 'segment' ELSE 'wait' END
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Pass the name of a segment, and true or false for wait.';
    END IF;
    RETURN leadscore_internal.retire_segment(leadscore_internal.pipeline_schema(@pipeline_name@), segment, wait);
END
$$;
REVOKE EXECUTE ON FUNCTION retire_segment(text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION retire_segment(text, boolean) IS
    'puts an active segment out of use: its members leave it now, its history stays. Leads follow as they follow activate_segment(); returns how many did. Error 55000 if it is not active, or if another active segment names it';

-- Who is in a segment now, including changes that no sweep has recorded yet.
CREATE OR REPLACE VIEW segment_members WITH (security_invoker = true) AS
SELECT
    g.segment,
    s.lead_id,
    g.persona AS is_persona,
    g.ideal_customer AS is_ideal_customer,
    -- NULL while no sweep has recorded it
    dated(h.entered_at) AS entered_at
FROM segment g
    CROSS JOIN setting z
    JOIN lead_state s ON g.segment_id = ANY (CASE WHEN s.next_review_at <= now() OR s.configuration < z.configuration
        THEN current_segments($name$@pipeline@$name$::regnamespace, s.lead_id) ELSE s.segments END)
    LEFT JOIN LATERAL (
        SELECT max(h.effective_at) AS entered_at
        FROM segment_log h
        WHERE h.lead_id = s.lead_id AND h.segment = g.segment AND h.superseded_at IS NULL AND h.entered
    ) h ON true
WHERE g.status = 'active';
COMMENT ON VIEW segment_members IS 'one row a segment and lead that is in it now; ask for one segment';
COMMENT ON COLUMN segment_members.segment IS 'the segment';
COMMENT ON COLUMN segment_members.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN segment_members.is_persona IS 'whether the segment is a buyer persona';
COMMENT ON COLUMN segment_members.is_ideal_customer IS 'whether it is the ideal customer profile';
COMMENT ON COLUMN segment_members.entered_at IS 'when the lead entered the segment last; NULL: no sweep has recorded it yet';

CREATE OR REPLACE FUNCTION segment_preview_leads(segment text, replaces text DEFAULT NULL)
    RETURNS TABLE (lead_id bigint, in_now boolean, would_be_in boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    pipeline CONSTANT regnamespace := leadscore_internal.pipeline_schema(@pipeline_name@);
    definition CONSTANT jsonb := @pipeline@.segment_definition(segment_preview_leads.segment);
    old text;
BEGIN
    IF NOT @pipeline@._shows_all_leads() THEN
        RETURN;
    END IF;
    old := CASE WHEN segment_preview_leads.replaces IS NULL THEN segment_preview_leads.segment
        ELSE @pipeline@._require_name('segment', segment_preview_leads.replaces) END;
    -- without leads too a wrong definition is to be refused
    PERFORM leadscore_internal.would_be_in(jsonb_populate_record(NULL::@pipeline@.lead, '{"lead_id": 0, "profile": {}}'),
            CASE z.grain WHEN '1 day' THEN 'day{}' ELSE 'hour{}' END::leadscore.lead_activity, 'visitor', definition)
    FROM @pipeline@.setting z
    -- a column is named, for Citus makes a table of what it reads elsewhere
    WHERE NOT EXISTS (SELECT l.lead_id FROM @pipeline@.lead l);
    RETURN QUERY
        SELECT p.lead_id, p.in_now, p.would_be_in
        FROM (
            SELECT n.lead_id, m.lead_id IS NOT NULL AS in_now,
                leadscore_internal.would_be_in(l, n.activity, n.stage, definition) AS would_be_in
            FROM @pipeline@._lead_now n
                JOIN @pipeline@.lead l ON l.lead_id = n.lead_id
                LEFT JOIN @pipeline@.segment_members m ON m.segment = old AND m.lead_id = n.lead_id
        ) p
        WHERE p.in_now OR p.would_be_in
        ORDER BY p.lead_id;
END
$$;
REVOKE EXECUTE ON FUNCTION segment_preview_leads(text, text) FROM PUBLIC;
COMMENT ON FUNCTION segment_preview_leads(text, text) IS
    'the leads that segment_preview() counts: those that are in the segment now, and those that would be';

CREATE OR REPLACE FUNCTION segment_preview(segment text, replaces text DEFAULT NULL)
    RETURNS TABLE (in_now bigint, would_leave bigint, would_enter bigint, would_be_in bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    RETURN QUERY
        SELECT count(*) FILTER (WHERE p.in_now), count(*) FILTER (WHERE p.in_now AND NOT p.would_be_in),
            count(*) FILTER (WHERE NOT p.in_now AND p.would_be_in), count(*) FILTER (WHERE p.would_be_in)
        FROM @pipeline@.segment_preview_leads(segment_preview.segment, segment_preview.replaces) p;
END
$$;
REVOKE EXECUTE ON FUNCTION segment_preview(text, text) FROM PUBLIC;
COMMENT ON FUNCTION segment_preview(text, text) IS
    'how many leads are in a segment now, and how many would leave and enter if activate_segment() were called with the same arguments; nothing is changed. Zeros for a role that row security keeps from some leads';

-- For apps, in language leadscore: see 30-lead.sql.

CREATE OR REPLACE FUNCTION in_segment(external_id text, segment text, at timestamptz DEFAULT now()) RETURNS boolean
    LANGUAGE leadscore STABLE PARALLEL SAFE COST 50 AS 'in_segment';
REVOKE EXECUTE ON FUNCTION in_segment(text, text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION in_segment(text, text, timestamptz) IS
    'whether a lead is in a segment at an instant: in the past as segment_history says, in the time to come if nothing happens until then. False before the lead was created, and while the segment was not active. NULL if there is no such lead, or row security hides it from the caller; error 42704 if there is no such segment';

CREATE OR REPLACE FUNCTION in_segment_by_id(lead_id bigint, segment text, at timestamptz DEFAULT now()) RETURNS boolean
    LANGUAGE leadscore STABLE PARALLEL SAFE COST 50 AS 'in_segment_by_id';
REVOKE EXECUTE ON FUNCTION in_segment_by_id(bigint, text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION in_segment_by_id(bigint, text, timestamptz) IS 'in_segment() of the lead with this number';

CREATE OR REPLACE FUNCTION persona_match(external_id text)
    RETURNS TABLE (persona text, match_share numeric, is_member boolean, is_ideal_customer boolean)
    LANGUAGE leadscore STABLE PARALLEL SAFE COST 100 ROWS 5 AS 'persona_match';
REVOKE EXECUTE ON FUNCTION persona_match(text) FROM PUBLIC;
COMMENT ON FUNCTION persona_match(text) IS
    'how much of each active persona a lead has now, the best first: the share of the weights of its conditions that hold, 0 to 1, rounded down to a thousandth. No rows if there is no such lead';

CREATE OR REPLACE FUNCTION persona_match_by_id(lead_id bigint)
    RETURNS TABLE (persona text, match_share numeric, is_member boolean, is_ideal_customer boolean)
    LANGUAGE leadscore STABLE PARALLEL SAFE COST 100 ROWS 5 AS 'persona_match_by_id';
REVOKE EXECUTE ON FUNCTION persona_match_by_id(bigint) FROM PUBLIC;
COMMENT ON FUNCTION persona_match_by_id(bigint) IS 'persona_match() of the lead with this number';

CREATE OR REPLACE FUNCTION explain_segment(external_id text, segment text)
    RETURNS TABLE (condition text, asks text, has text, met boolean, weight numeric)
    LANGUAGE leadscore STABLE PARALLEL SAFE COST 100 ROWS 5 AS 'explain_segment';
REVOKE EXECUTE ON FUNCTION explain_segment(text, text) FROM PUBLIC;
COMMENT ON FUNCTION explain_segment(text, text) IS
    'each condition of an active segment: what it asks for, what the lead has of it now, and whether it is met; rows of one name are alternatives. No rows if there is no such lead, or if the segment is not active; error 42704 if there is no such segment';

CREATE OR REPLACE FUNCTION explain_segment_by_id(lead_id bigint, segment text)
    RETURNS TABLE (condition text, asks text, has text, met boolean, weight numeric)
    LANGUAGE leadscore STABLE PARALLEL SAFE COST 100 ROWS 5 AS 'explain_segment_by_id';
REVOKE EXECUTE ON FUNCTION explain_segment_by_id(bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION explain_segment_by_id(bigint, text) IS 'explain_segment() of the lead with this number';
