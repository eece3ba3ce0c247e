-- Sequences: what begins a run, what ends it, and the step that comes next.
--
-- A session locks the state of a lead before it looks at its runs and actions.
-- The engine has done so when it calls _edges_written().
--
-- Functions that the engine calls find a lead's rows by lead_id: OFFSET 0 keeps
-- the planner from reading a table that was empty once instead, and IS NOT
-- DISTINCT FROM from an index that does not begin with lead_id.

-- What the engine looks out for, see edge.c.
CREATE OR REPLACE VIEW _watched WITH (security_invoker = true) AS
SELECT DISTINCT w.kind, w.awaited
FROM (
        SELECT CASE q.starts_on WHEN 'stage' THEN 'stage' WHEN 'event' THEN 'signal' ELSE 'segment' END AS kind, q.start_name AS awaited
        FROM sequence q
        WHERE q.status = 'active' AND q.starts_on <> 'by_hand'
        UNION ALL
        SELECT 'signal', n.name
        FROM sequence q, unnest(q.goal_signals || q.exit_signals) AS n (name)
        WHERE q.status IN ('active', 'paused')
        UNION ALL
        SELECT 'segment', q.stay_in_segment
        FROM sequence q
        WHERE q.status IN ('active', 'paused') AND q.stay_in_segment IS NOT NULL
        UNION ALL
        SELECT 'correction', ''
        FROM sequence q
        WHERE q.status IN ('active', 'paused') AND q.stay_in_segment IS NOT NULL
        UNION ALL
        SELECT 'stage', n.stage::text
        FROM sequence q, unnest('{disqualified,lost,recycled,visitor,iql,mql,sql,prospect,customer,advocate}'::lead_stage[]) AS n (stage)
        WHERE q.status IN ('active', 'paused') AND (n.stage >= q.goal_stage OR n.stage = ANY (q.exit_stages))
        UNION ALL
        SELECT 'stage', a.stage::text
        FROM assignment a
        WHERE a.active AND a.weight > 0
    ) w;
COMMENT ON VIEW _watched IS 'stages, signals and segments that sequences and assignments wait for';
COMMENT ON COLUMN _watched.kind IS 'stage, signal, segment or correction';
COMMENT ON COLUMN _watched.awaited IS 'name of it';

-- Runs

CREATE OR REPLACE FUNCTION _end_runs(lead_ids bigint[], sequences text[], runs integer[], reasons text[], at timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    FOR i IN 1 .. coalesce(cardinality(lead_ids), 0) LOOP
        UPDATE @pipeline@.enrollment e
        SET ended_at = greatest(e.started_at, _end_runs.at), end_reason = reasons[i]
        WHERE e.lead_id = lead_ids[i] AND e.sequence IS NOT DISTINCT FROM sequences[i] AND e.run = runs[i] AND e.ended_at IS NULL;
        CONTINUE WHEN NOT FOUND;
        UPDATE @pipeline@.action a
        SET status = 'cancelled', reason = reasons[i], ended_at = _end_runs.at
        WHERE a.lead_id = lead_ids[i] AND a.status IN ('waiting', 'claimed') AND a.sequence IS NOT DISTINCT FROM sequences[i] AND a.run = runs[i]
            -- the index of what waits does not begin with lead_id
            AND a.status IS NOT DISTINCT FROM 'waiting';
    END LOOP;
END
$$;
COMMENT ON FUNCTION _end_runs(bigint[], text[], integer[], text[], timestamptz) IS
    'ends runs that are open, and cancels what waits of them; what a worker has claimed stays with it';

CREATE OR REPLACE FUNCTION _sla(lead_id bigint, stage lead_stage) RETURNS interval
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    -- of several rows for the stage the one that the engine takes, see _stay
    RETURN coalesce((
            SELECT (array_agg(r.sla ORDER BY r.only_if = '', r.only_if COLLATE "C"))[1]
            FROM @pipeline@.lead_state s
                CROSS JOIN @pipeline@.model m
                JOIN @pipeline@.stage_rule r ON r.model = m.model AND r.stage = _sla.stage
                LEFT JOIN @pipeline@.signal g ON g.signal = r.only_if
            WHERE s.lead_id = _sla.lead_id AND m.status = 'active'
                AND (r.only_if = '' OR leadscore_internal.has_signal(s.activity, g.signal_id))),
        (SELECT z.first_response_within FROM @pipeline@.setting z));
END
$$;
COMMENT ON FUNCTION _sla(bigint, lead_stage) IS
    'time in which a lead that enters a stage should be contacted, by stage_rule of the active model, or else setting.first_response_within';

CREATE OR REPLACE FUNCTION _next_steps(lead_ids bigint[], sequences text[], runs integer[], at timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    days integer[];
    opens time[];
    closes time[];
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    SELECT coalesce(array_agg(b.weekday ORDER BY b.weekday, b.opens_at), '{}'), coalesce(array_agg(b.opens_at ORDER BY b.weekday, b.opens_at), '{}'),
        coalesce(array_agg(b.closes_at ORDER BY b.weekday, b.opens_at), '{}')
    INTO days, opens, closes
    FROM @pipeline@.business_hours b;
    WITH next AS MATERIALIZED (
        SELECT e.lead_id, e.sequence, e.run, s.step, s.position, s.kind, s.channel, s.topic, s.content, s.experiment, s.transactional,
            CASE WHEN s.experiment IS NULL THEN s.variant ELSE @pipeline@._variant_of(s.experiment, e.lead_id) END AS variant,
            q.priority, q.late_after, q.status = 'retired' AS is_retired, z.zone,
            CASE WHEN s.business_time THEN leadscore_internal.add_business_time(_next_steps.at, y.delay, z.business_zone, days, opens, closes)
                ELSE leadscore_internal.add_wall_time(_next_steps.at, y.delay, z.zone) END AS due_at,
            s.not_before, s.not_after, s.weekdays, h.not_before AS from_time, h.not_after AS to_time, h.weekdays AS on_days
        FROM unnest(_next_steps.lead_ids, _next_steps.sequences, _next_steps.runs) AS u (lead_id, sequence, run)
            CROSS JOIN LATERAL (SELECT * FROM @pipeline@.enrollment o WHERE o.lead_id = u.lead_id AND o.ended_at IS NULL OFFSET 0) e
            JOIN @pipeline@.sequence q ON q.sequence = e.sequence
            CROSS JOIN LATERAL (SELECT o.time_zone FROM @pipeline@.lead o WHERE o.lead_id = u.lead_id OFFSET 0) l
            CROSS JOIN LATERAL (
                SELECT leadscore_internal.known_zone(l.time_zone, o.time_zone) AS zone, leadscore_internal.known_zone(o.time_zone, 'UTC') AS business_zone
                FROM (SELECT (SELECT g.time_zone FROM @pipeline@.setting g) AS time_zone) o
            ) z
            LEFT JOIN LATERAL (
                SELECT * FROM @pipeline@.sequence_step o
                WHERE o.sequence = e.sequence AND o.position > e.last_position AND q.status <> 'retired'
                    AND (o.experiment IS NULL OR o.variant IS NULL OR o.variant = @pipeline@._variant_of(o.experiment, e.lead_id))
                    -- a step that was moved further back is not done twice
                    AND NOT EXISTS (
                        SELECT FROM @pipeline@.action a
                        WHERE a.lead_id = e.lead_id AND a.dedup_key = e.sequence || '/' || e.run || '/' || o.step)
                ORDER BY o.position
                LIMIT 1
            ) s ON true
            CROSS JOIN LATERAL (
                SELECT CASE WHEN s.delay IS NULL AND s.step IS NOT NULL THEN @pipeline@._sla(e.lead_id, q.start_name::leadscore.lead_stage) ELSE s.delay END AS delay
            ) y
            LEFT JOIN @pipeline@.contact_hours h ON h.channel = s.channel AND s.kind = 'message' AND NOT s.transactional
        WHERE e.sequence = u.sequence AND e.run = u.run
    ), due AS MATERIALIZED (
        SELECT n.*, coalesce(leadscore_internal.next_allowed_of_both(n.due_at, n.zone, n.not_before, n.not_after, n.weekdays,
                n.from_time, n.to_time, n.on_days), n.due_at) AS allowed_at
        FROM next n
        WHERE n.step IS NOT NULL
    ), added AS (
        INSERT INTO @pipeline@.action (lead_id, dedup_key, kind, channel, topic, content, variant, experiment, sequence, run, step, transactional,
            priority, due_at, expires_at, created_at)
        SELECT d.lead_id, d.sequence || '/' || d.run || '/' || d.step, d.kind, d.channel, d.topic, d.content, d.variant, d.experiment, d.sequence, d.run, d.step,
            d.transactional, d.priority, d.allowed_at, leadscore_internal.add_wall_time(d.allowed_at, d.late_after, d.zone), _next_steps.at
        FROM due d
        ORDER BY d.lead_id
    )
    UPDATE @pipeline@.enrollment e
    SET last_position = coalesce(n.position, e.last_position), ended_at = CASE WHEN n.step IS NULL THEN greatest(e.started_at, _next_steps.at) END,
        -- it was being retired when the run began
        end_reason = CASE WHEN n.step IS NULL THEN CASE WHEN n.is_retired THEN 'retired' ELSE 'completed' END END
    FROM next n
    WHERE e.lead_id = n.lead_id AND e.sequence IS NOT DISTINCT FROM n.sequence AND e.run = n.run;
END
$$;
COMMENT ON FUNCTION _next_steps(bigint[], text[], integer[], timestamptz) IS
    'puts the next step of runs into the queue, or completes those that have none left; at: when the step before ended, or the run began';

CREATE OR REPLACE FUNCTION _begin_runs(lead_ids bigint[], sequences text[], started_by text[], edges_at timestamptz[], at timestamptz) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    begun_leads bigint[];
    begun_sequences text[];
    begun_runs integer[];
    newest bigint;
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    SELECT z.configuration INTO newest FROM @pipeline@.setting z WHERE 'by_hand' = ANY (_begin_runs.started_by);
    WITH begun AS (
        INSERT INTO @pipeline@.enrollment (lead_id, sequence, run, started_at, started_by, edge_at)
        SELECT u.lead_id, u.sequence, coalesce(b.run, 0) + 1, _begin_runs.at, u.started_by, u.edge_at
        FROM (
                SELECT DISTINCT ON (u.lead_id, u.sequence) u.*
                FROM unnest(_begin_runs.lead_ids, _begin_runs.sequences, _begin_runs.started_by, _begin_runs.edges_at) AS u (lead_id, sequence, started_by, edge_at)
                ORDER BY u.lead_id, u.sequence, u.edge_at DESC
            ) u
            JOIN @pipeline@.sequence q ON q.sequence = u.sequence
            CROSS JOIN LATERAL (SELECT FROM @pipeline@.lead o WHERE o.lead_id = u.lead_id AND o.erased_at IS NULL OFFSET 0) l
            CROSS JOIN LATERAL (
                SELECT max(o.run) AS run, bool_or(o.ended_at IS NULL) AS is_open, max(o.ended_at) AS ended_at, max(o.edge_at) AS edge_at
                FROM @pipeline@.enrollment o
                WHERE o.lead_id = u.lead_id AND o.sequence IS NOT DISTINCT FROM u.sequence
            ) b
        WHERE
            -- what only time has done, and no sweep has recorded yet, counts too
            (q.stay_in_segment IS NULL OR EXISTS (
                SELECT FROM @pipeline@.lead_state s
                    JOIN @pipeline@.segment g ON g.segment_id = ANY (
                        CASE WHEN s.next_review_at <= now() OR s.configuration < newest
                            THEN leadscore_internal.current_segments($name$@pipeline@$name$::regnamespace, s.lead_id) ELSE s.segments END)
                WHERE s.lead_id = u.lead_id AND g.segment = q.stay_in_segment))
            AND (b.run IS NULL OR (NOT b.is_open
                -- one edge begins one run, though a correction may write it again
                AND (u.edge_at > b.edge_at) IS NOT FALSE
                AND (b.ended_at AT TIME ZONE 'UTC' + q.again_after) AT TIME ZONE 'UTC' <= _begin_runs.at))
        ORDER BY u.lead_id, u.sequence
        ON CONFLICT DO NOTHING
        RETURNING lead_id, sequence, run
    )
    SELECT array_agg(n.lead_id), array_agg(n.sequence), array_agg(n.run) INTO begun_leads, begun_sequences, begun_runs
    FROM begun n;
    IF begun_leads IS NOT NULL THEN
        PERFORM @pipeline@._next_steps(begun_leads, begun_sequences, begun_runs, _begin_runs.at);
    END IF;
    RETURN coalesce(cardinality(begun_leads), 0);
END
$$;
COMMENT ON FUNCTION _begin_runs(bigint[], text[], text[], timestamptz[], timestamptz) IS
    'begins runs, unless one is open or the last ended too lately, and returns how many; edges_at: when what begins it happened, NULL by hand';

CREATE OR REPLACE FUNCTION _assign_owners(lead_ids bigint[], stages lead_stage[]) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    UPDATE @pipeline@.lead l
    SET owner = p.owner
    FROM (
        SELECT DISTINCT ON (c.lead_id) c.lead_id, c.owner
        FROM (
            SELECT u.lead_id, a.owner, sum(a.weight) OVER (PARTITION BY u.lead_id, a.segment IS NULL ORDER BY a.owner, a.segment) AS up_to,
                sum(a.weight) OVER (PARTITION BY u.lead_id, a.segment IS NULL) AS total, a.segment IS NULL AS is_general,
                ('x' || left(encode(sha256(convert_to(u.lead_id::text, 'UTF8')), 'hex'), 8))::bit(32)::bigint AS hash
            FROM (SELECT DISTINCT o.lead_id, o.stage FROM unnest(_assign_owners.lead_ids, _assign_owners.stages) AS o (lead_id, stage)) u
                JOIN @pipeline@.assignment a ON a.stage = u.stage AND a.active AND a.weight > 0
                LEFT JOIN @pipeline@.segment g ON g.segment = a.segment
                JOIN @pipeline@.lead_state s ON s.lead_id = u.lead_id AND s.stage = u.stage
            WHERE a.segment IS NULL OR g.segment_id = ANY (s.segments)
        ) c
        WHERE (c.hash & 4294967295) % c.total < c.up_to
        ORDER BY c.lead_id, c.is_general, c.up_to
    ) p
    WHERE l.lead_id = p.lead_id
        -- states are locked, and leads are locked before states: one that another session has locked is left to a sweep
        AND l.lead_id = ANY (ARRAY(
            SELECT o.lead_id FROM @pipeline@.lead o
            WHERE o.lead_id = ANY (_assign_owners.lead_ids) AND o.owner IS NULL AND o.erased_at IS NULL
            FOR NO KEY UPDATE SKIP LOCKED));
END
$$;
COMMENT ON FUNCTION _assign_owners(bigint[], lead_stage[]) IS 'gives leads that have come into stages, and have no owner, one by the table assignment';

CREATE OR REPLACE FUNCTION _assign_left() RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ids bigint[];
    stages leadscore.lead_stage[];
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF NOT EXISTS (SELECT FROM @pipeline@.assignment a WHERE a.active AND a.weight > 0) THEN
        RETURN;
    END IF;
    SELECT array_agg(w.lead_id), array_agg(w.stage) INTO ids, stages
    FROM (
        SELECT s.lead_id, s.stage
        FROM @pipeline@.lead_state s JOIN @pipeline@.lead l USING (lead_id)
        WHERE l.owner IS NULL AND l.erased_at IS NULL AND EXISTS (
            SELECT FROM @pipeline@.assignment a LEFT JOIN @pipeline@.segment g ON g.segment = a.segment
            WHERE a.stage = s.stage AND a.active AND a.weight > 0 AND (a.segment IS NULL OR g.segment_id = ANY (s.segments)))
        ORDER BY s.lead_id
        LIMIT 1000
    ) w;
    PERFORM @pipeline@._assign_owners(ids, stages);
END
$$;
COMMENT ON FUNCTION _assign_left() IS 'gives an owner to leads that came into their stage while another session had locked them, or before assignment had rows';

-- The engine calls this for leads that it has written, with their states locked.
CREATE OR REPLACE FUNCTION _edges_written(lead_ids bigint[], kinds text[], names text[], edges_at timestamptz[], causes text[]) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    ids bigint[];
    sequences text[];
    runs integer[];
    words text[];
    instants timestamptz[];
    stages leadscore.lead_stage[];
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF kinds && '{stage,stage_back}' AND EXISTS (SELECT FROM @pipeline@.assignment a WHERE a.active AND a.weight > 0) THEN
        SELECT array_agg(u.lead_id), array_agg(u.name::leadscore.lead_stage) INTO ids, stages
        FROM unnest(_edges_written.lead_ids, _edges_written.kinds, _edges_written.names) AS u (lead_id, kind, name)
        WHERE u.kind IN ('stage', 'stage_back');
        PERFORM @pipeline@._assign_owners(ids, stages);
    END IF;

    SELECT array_agg(w.lead_id), array_agg(w.sequence), array_agg(w.run), array_agg(w.reason) INTO ids, sequences, runs, words
    FROM (
        SELECT DISTINCT ON (e.lead_id, e.sequence, e.run) e.lead_id, e.sequence, e.run, v.reason
        FROM unnest(_edges_written.lead_ids, _edges_written.kinds, _edges_written.names, _edges_written.edges_at) AS u (lead_id, kind, name, at)
            CROSS JOIN LATERAL (SELECT * FROM @pipeline@.enrollment o WHERE o.lead_id = u.lead_id AND o.ended_at IS NULL OFFSET 0) e
            JOIN @pipeline@.sequence q ON q.sequence = e.sequence
            CROSS JOIN LATERAL (SELECT o.stage, o.segments FROM @pipeline@.lead_state o WHERE o.lead_id = u.lead_id OFFSET 0) s
            LEFT JOIN @pipeline@.segment g ON g.segment = q.stay_in_segment
            CROSS JOIN LATERAL (
                -- an event of long before the run says nothing about it
                SELECT CASE
                    WHEN u.kind IN ('stage', 'stage_back') AND s.stage >= q.goal_stage THEN 'goal'
                    WHEN u.kind = 'signal' AND u.name = ANY (q.goal_signals)
                        AND u.at > (e.started_at AT TIME ZONE 'UTC' - q.late_after) AT TIME ZONE 'UTC' THEN 'goal'
                    WHEN u.kind IN ('stage', 'stage_back') AND s.stage = ANY (q.exit_stages) THEN 'exited'
                    WHEN u.kind = 'signal' AND u.name = ANY (q.exit_signals)
                        AND u.at > (e.started_at AT TIME ZONE 'UTC' - q.late_after) AT TIME ZONE 'UTC' THEN 'exited'
                    WHEN u.kind IN ('segment_left', 'correction') AND g.segment IS NOT NULL
                        AND (g.segment_id = ANY (s.segments)) IS NOT TRUE THEN 'exited'
                    END AS reason
            ) v
        WHERE v.reason IS NOT NULL
        ORDER BY e.lead_id, e.sequence, e.run, v.reason DESC
    ) w;
    IF ids IS NOT NULL THEN
        PERFORM @pipeline@._end_runs(ids, sequences, runs, words, now());
    END IF;

    IF NOT current_setting('leadscore.enroll')::boolean THEN
        RETURN;
    END IF;
    -- A lead that falls back into a stage has been there, or higher: it begins
    -- nothing. Into an exit it always falls.
    SELECT array_agg(u.lead_id), array_agg(q.sequence), array_agg(q.starts_on), array_agg(u.at) INTO ids, sequences, words, instants
    FROM unnest(_edges_written.lead_ids, _edges_written.kinds, _edges_written.names, _edges_written.edges_at, _edges_written.causes)
            AS u (lead_id, kind, name, at, cause)
        JOIN @pipeline@.sequence q ON q.status = 'active' AND q.start_name = u.name
            AND q.starts_on = CASE u.kind WHEN 'signal' THEN 'event'
                WHEN 'stage_back' THEN CASE WHEN u.name::leadscore.lead_stage < 'visitor' THEN 'stage' END ELSE u.kind END
        CROSS JOIN LATERAL (SELECT o.stage, o.segments, o.next_review_at <= now() AS due FROM @pipeline@.lead_state o WHERE o.lead_id = u.lead_id OFFSET 0) s
        LEFT JOIN @pipeline@.segment g ON g.segment = u.name AND u.kind IN ('segment_entered', 'segment_left')
    WHERE u.at > greatest(q.activated_at, (now() AT TIME ZONE 'UTC' - q.late_after) AT TIME ZONE 'UTC')
        -- it must hold at the end of the statement, and now: an event of the past may
        -- lead to what time has taken back since
        AND CASE
            WHEN u.kind IN ('stage', 'stage_back') THEN u.name::leadscore.lead_stage
                = CASE WHEN s.due THEN leadscore_internal.current_stage($name$@pipeline@$name$::regnamespace, u.lead_id) ELSE s.stage END
            WHEN u.kind IN ('segment_entered', 'segment_left') THEN (g.segment_id = ANY (
                CASE WHEN s.due THEN leadscore_internal.current_segments($name$@pipeline@$name$::regnamespace, u.lead_id) ELSE s.segments END)) IS TRUE
                = (u.kind = 'segment_entered')
            ELSE true END
        AND (u.cause NOT IN ('activation', 'definition') OR (u.cause = 'definition' AND g.enrolls))
        -- a goal of the same statement comes before it
        AND NOT (s.stage >= q.goal_stage) IS TRUE
        AND NOT EXISTS (
            SELECT FROM unnest(_edges_written.lead_ids, _edges_written.kinds, _edges_written.names, _edges_written.edges_at) AS o (lead_id, kind, name, at)
            WHERE o.lead_id = u.lead_id AND o.kind = 'signal' AND o.at >= u.at AND (o.name = ANY (q.goal_signals) OR o.name = ANY (q.exit_signals)));
    IF ids IS NOT NULL THEN
        PERFORM @pipeline@._begin_runs(ids, sequences, words, instants, now());
    END IF;
END
$$;
COMMENT ON FUNCTION _edges_written(bigint[], text[], text[], timestamptz[], text[]) IS
    'ends and begins runs because of what a statement has done to leads: stages that began (stage_back: from above), segments that were entered or left, signals that events count for, histories that were corrected; each with its time and its cause';

CREATE OR REPLACE FUNCTION _step_holds(activity lead_activity, segments integer[], since timestamptz, only_if text[], unless text[], in_segment text)
    RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF in_segment IS NOT NULL
        AND (SELECT g.segment_id = ANY (segments) FROM @pipeline@.segment g WHERE g.segment = _step_holds.in_segment) IS NOT TRUE THEN
        RETURN false;
    END IF;
    RETURN (
        SELECT only_if <@ p.signals AND NOT unless && p.signals
        FROM (
                SELECT coalesce(array_agg(x.signal), '{}') AS signals
                FROM leadscore.unnest(_step_holds.activity) c
                    JOIN @pipeline@.signal x ON x.signal_id = c.signal_id
                WHERE x.signal = ANY (_step_holds.only_if || _step_holds.unless)
                    AND (x.source = 'profile' OR c.bucket >= date_bin((SELECT z.grain FROM @pipeline@.setting z), _step_holds.since, '2000-01-01 00:00+00'))
            ) p);
END
$$;
COMMENT ON FUNCTION _step_holds(lead_activity, integer[], timestamptz, text[], text[], text) IS
    'whether the conditions of a step hold for a lead with this activity and in these segments; of events those count that came since its run began, by their bucket';

-- Definitions

CREATE OR REPLACE FUNCTION _done_kind(kind text, channel text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE kind WHEN 'message' THEN channel || '_sent' WHEN 'task' THEN 'outreach' END;
END;
COMMENT ON FUNCTION _done_kind(text, text) IS 'kind of the event that an action becomes when it is done; NULL: it becomes none';

CREATE OR REPLACE FUNCTION _has_address(channel text, email text, phone text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN channel = 'email' THEN email ~ '[^[:space:]]' WHEN channel IN ('phone', 'sms', 'whatsapp') THEN phone ~ '[0-9]' ELSE true END IS TRUE;
END;
COMMENT ON FUNCTION _has_address(text, text, text) IS 'whether a lead has an address for messages of a channel; of a channel that we do not know the worker knows';

CREATE OR REPLACE FUNCTION _check_sequence(sequence text) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    q @pipeline@.sequence;
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    SELECT * INTO q FROM @pipeline@.sequence o WHERE o.sequence = _check_sequence.sequence;
    PERFORM leadscore_internal.refuse('invalid_parameter_value', format('sequence "%s" %s', q.sequence, c.problem), c.advice)
    FROM (
        SELECT 1, 'has no steps', 'Insert rows into sequence_step.'
        WHERE NOT EXISTS (SELECT FROM @pipeline@.sequence_step s WHERE s.sequence = q.sequence)
        UNION ALL
        SELECT 2, format('starts on segment "%s", which is not active', q.start_name), 'Call activate_segment() first.'
        WHERE q.starts_on IN ('segment_entered', 'segment_left')
            AND NOT EXISTS (SELECT FROM @pipeline@.segment g WHERE g.segment = q.start_name AND g.status = 'active')
        UNION ALL
        SELECT 3, format('names segment "%s", which is not active', n.name), 'Call activate_segment() first.'
        FROM (
                SELECT q.stay_in_segment AS name WHERE q.stay_in_segment IS NOT NULL
                UNION ALL
                SELECT s.in_segment FROM @pipeline@.sequence_step s WHERE s.sequence = q.sequence AND s.in_segment IS NOT NULL
            ) n
        WHERE NOT EXISTS (SELECT FROM @pipeline@.segment g WHERE g.segment = n.name AND g.status = 'active')
        UNION ALL
        SELECT 4, format('names signal "%s", which does not exist or is none of events', n.name), 'Signals are in the table signal.'
        FROM unnest(q.goal_signals || q.exit_signals || CASE WHEN q.starts_on = 'event' THEN ARRAY[q.start_name] END) AS n (name)
        WHERE NOT EXISTS (SELECT FROM @pipeline@.signal g WHERE g.signal = n.name AND g.source = 'event')
        UNION ALL
        SELECT 5, format('names signal "%s", which does not exist', n.name), 'Signals are in the table signal.'
        FROM @pipeline@.sequence_step s, unnest(s.only_if || s.unless) AS n (name)
        WHERE s.sequence = q.sequence AND NOT EXISTS (SELECT FROM @pipeline@.signal g WHERE g.signal = n.name)
        UNION ALL
        SELECT 6, format('starts itself: step "%s" writes an event that counts for signal "%s"', s.step, q.start_name), 'Let it start on an event of the lead itself.'
        FROM @pipeline@.signal g, @pipeline@.sequence_step s
        WHERE q.starts_on = 'event' AND g.signal = q.start_name AND s.sequence = q.sequence AND s.kind <> 'alert'
            AND CASE WHEN g.event_role IS NOT NULL
                THEN EXISTS (SELECT FROM @pipeline@.event_kind k WHERE k.role = g.event_role AND k.kind = @pipeline@._done_kind(s.kind, s.channel))
                ELSE g.event_kinds IS NULL OR @pipeline@._done_kind(s.kind, s.channel) = ANY (g.event_kinds) END
        UNION ALL
        SELECT 7, 'would end when it starts', 'Remove its start from its goals and exits.'
        WHERE CASE q.starts_on
            WHEN 'event' THEN q.start_name = ANY (q.goal_signals || q.exit_signals)
            WHEN 'stage' THEN q.start_name::leadscore.lead_stage >= q.goal_stage OR q.start_name::leadscore.lead_stage = ANY (q.exit_stages)
            WHEN 'segment_left' THEN q.start_name = q.stay_in_segment END
        UNION ALL
        SELECT 8, format('has step "%s", whose hours are never those of channel %s', s.step, s.channel), 'See contact_hours.'
        FROM @pipeline@.sequence_step s JOIN @pipeline@.contact_hours h ON h.channel = s.channel
        WHERE s.sequence = q.sequence AND s.kind = 'message' AND NOT s.transactional
            AND leadscore_internal.next_allowed_of_both(now(), 'UTC', s.not_before, s.not_after, s.weekdays, h.not_before, h.not_after, h.weekdays) IS NULL
        UNION ALL
        SELECT 13, format('has step "%s" without a delay, though it starts on no stage', s.step), 'A delay of NULL is the sla of that stage. Give the step a delay.'
        FROM @pipeline@.sequence_step s
        WHERE s.sequence = q.sequence AND s.delay IS NULL AND q.starts_on <> 'stage'
        UNION ALL
        SELECT 9, format('has steps "%s" and "%s" at position %s', min(s.step), max(s.step), s.position),
            'Only variants of one experiment can share a position.'
        FROM @pipeline@.sequence_step s
        WHERE s.sequence = q.sequence
        GROUP BY s.position
        HAVING count(*) > 1 AND (count(s.experiment) < count(*) OR count(s.variant) < count(*) OR count(DISTINCT s.experiment) > 1)
        UNION ALL
        SELECT 10, format('names experiment "%s", which was not started', s.experiment), 'Call start_experiment() first.'
        FROM @pipeline@.sequence_step s JOIN @pipeline@.experiment x ON x.experiment = s.experiment
        WHERE s.sequence = q.sequence AND x.status = 'draft'
        UNION ALL
        SELECT 11, format('has step "%s" for variant "%s", which experiment "%s" has not', s.step, s.variant, s.experiment), 'Variants are in the table variant.'
        FROM @pipeline@.sequence_step s
        WHERE s.sequence = q.sequence AND s.experiment IS NOT NULL AND s.variant IS NOT NULL
            AND NOT EXISTS (SELECT FROM @pipeline@.variant v WHERE v.experiment = s.experiment AND v.variant = s.variant)
        UNION ALL
        SELECT 12, format('has no step for variant "%s" of experiment "%s" at position %s', v.variant, v.experiment, s.position),
            'Leads of a variant without a step are shown nothing, and could not be compared: insert one for each variant.'
        FROM (SELECT DISTINCT o.position, o.experiment FROM @pipeline@.sequence_step o
                WHERE o.sequence = q.sequence AND o.experiment IS NOT NULL AND o.variant IS NOT NULL) s
            JOIN @pipeline@.variant v ON v.experiment = s.experiment AND v.weight > 0
        WHERE NOT EXISTS (SELECT FROM @pipeline@.sequence_step o
            WHERE o.sequence = q.sequence AND o.position = s.position AND o.experiment = v.experiment AND o.variant = v.variant)
    ) AS c (number, problem, advice)
    ORDER BY c.number
    LIMIT 1;
END
$$;
COMMENT ON FUNCTION _check_sequence(text) IS 'refuses the definition of a sequence that is to be active';

CREATE OR REPLACE FUNCTION sequence_checked() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    -- rows of a restore come in any order, before those of setting
    IF TG_OP = 'INSERT' AND NOT EXISTS (SELECT FROM @pipeline@.setting) THEN
        RETURN NEW;
    END IF;
    IF TG_OP <> 'INSERT' AND OLD.status = 'active'
        AND (TG_OP = 'DELETE' OR to_jsonb(NEW) - '{status,note,activated_by,activated_at}'::text[] <> to_jsonb(OLD) - '{status,note,activated_by,activated_at}'::text[])
    THEN
        RAISE EXCEPTION 'sequence "%" is active and cannot be edited', OLD.sequence
            USING ERRCODE = 'object_not_in_prerequisite_state',
                HINT = 'Call pause_sequence(), edit it, then call activate_sequence(). Leads that are in it keep their place.';
    ELSIF TG_OP = 'DELETE' AND OLD.status <> 'draft' OR TG_OP = 'UPDATE' AND NEW.sequence <> OLD.sequence AND OLD.status <> 'draft' THEN
        RAISE EXCEPTION 'sequence "%" was active and cannot be deleted or renamed', OLD.sequence
            USING ERRCODE = 'object_not_in_prerequisite_state',
                DETAIL = 'Runs and actions refer to it.', HINT = 'Call retire_sequence().';
    ELSIF TG_OP = 'DELETE' THEN
        RETURN OLD;
    ELSIF NEW.status IN ('active', 'paused', 'retired') AND TG_OP = 'INSERT' OR NEW.status = 'draft' AND OLD.status <> 'draft' THEN
        RAISE EXCEPTION 'sequence "%" cannot be %', NEW.sequence,
                CASE TG_OP WHEN 'INSERT' THEN format('%s before it was a draft', NEW.status) ELSE 'a draft again' END
            USING ERRCODE = 'object_not_in_prerequisite_state',
                HINT = CASE TG_OP WHEN 'INSERT' THEN 'Insert it as a draft, add its steps, then call activate_sequence().'
                    ELSE 'Call pause_sequence() to edit it, or retire_sequence().' END;
    END IF;
    IF NEW.starts_on = 'stage' THEN
        NEW.start_name := NEW.start_name::leadscore.lead_stage::text;
    END IF;
    IF NEW.status = 'active' AND OLD.status <> 'active' THEN
        NEW.activated_at := now();
        NEW.activated_by := leadscore_internal.caller();
    END IF;
    RETURN NEW;
END
$$;
REVOKE EXECUTE ON FUNCTION sequence_checked() FROM PUBLIC;
COMMENT ON FUNCTION sequence_checked() IS 'trigger: keeps an active sequence as it is';

CREATE OR REPLACE FUNCTION sequence_changed() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ids bigint[];
    sequences text[];
    runs integer[];
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF NEW.status = OLD.status THEN
        RETURN NULL;
    ELSIF NEW.status = 'active' THEN
        PERFORM @pipeline@._check_sequence(NEW.sequence);
        -- time went on while it was paused
        ids := ARRAY(SELECT a.lead_id FROM @pipeline@.action a WHERE a.sequence = NEW.sequence AND a.status = 'waiting' AND a.reason = 'paused');
        PERFORM @pipeline@._lock_leads(ids);
        UPDATE @pipeline@.action a
        SET due_at = least(a.due_at, now()), reason = NULL
        WHERE a.lead_id = ANY (ids) AND a.sequence = NEW.sequence AND a.status = 'waiting' AND a.reason = 'paused';
    ELSIF NEW.status = 'retired' THEN
        PERFORM @pipeline@._lock_leads(ARRAY(SELECT e.lead_id FROM @pipeline@.enrollment e WHERE e.sequence = NEW.sequence AND e.ended_at IS NULL));
        SELECT array_agg(e.lead_id), array_agg(e.sequence), array_agg(e.run) INTO ids, sequences, runs
        FROM @pipeline@.enrollment e
        WHERE e.sequence = NEW.sequence AND e.ended_at IS NULL;
        PERFORM @pipeline@._end_runs(ids, sequences, runs, array_fill('retired'::text, ARRAY[coalesce(cardinality(ids), 0)]), now());
    END IF;
    RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION sequence_changed() FROM PUBLIC;
COMMENT ON FUNCTION sequence_changed() IS 'trigger: checks a sequence that becomes active, ends the runs of one that is retired';

CREATE OR REPLACE FUNCTION sequence_step_checked() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    edited text;
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF TG_OP = 'INSERT' AND NOT EXISTS (SELECT FROM @pipeline@.setting) THEN
        RETURN NEW;
    END IF;
    SELECT q.sequence INTO edited
    FROM @pipeline@.sequence q
    WHERE q.sequence IN (CASE WHEN TG_OP <> 'INSERT' THEN OLD.sequence END, CASE WHEN TG_OP <> 'DELETE' THEN NEW.sequence END)
        AND q.status = 'active';
    IF edited IS NOT NULL THEN
        RAISE EXCEPTION 'sequence "%" is active and cannot be edited', edited
            USING ERRCODE = 'object_not_in_prerequisite_state',
                HINT = 'Call pause_sequence(), edit it, then call activate_sequence(). Leads that are in it keep their place.';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END
$$;
REVOKE EXECUTE ON FUNCTION sequence_step_checked() FROM PUBLIC;
COMMENT ON FUNCTION sequence_step_checked() IS 'trigger: keeps the steps of an active sequence as they are';

CREATE OR REPLACE TRIGGER sequence_checked BEFORE INSERT OR UPDATE OR DELETE ON sequence
    FOR EACH ROW EXECUTE FUNCTION sequence_checked();
CREATE OR REPLACE TRIGGER sequence_changed AFTER UPDATE ON sequence
    FOR EACH ROW EXECUTE FUNCTION sequence_changed();
CREATE OR REPLACE TRIGGER sequence_step_checked BEFORE INSERT OR UPDATE OR DELETE ON sequence_step
    FOR EACH ROW EXECUTE FUNCTION sequence_step_checked();

-- For people who make campaigns

CREATE OR REPLACE FUNCTION _standing_leads(sequence text) RETURNS SETOF bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    RETURN QUERY
    SELECT n.lead_id
    FROM @pipeline@.sequence q JOIN @pipeline@._lead_now n ON n.stage = CASE WHEN q.starts_on = 'stage' THEN q.start_name::leadscore.lead_stage END
    WHERE q.sequence = _standing_leads.sequence
    UNION ALL
    SELECT m.lead_id
    FROM @pipeline@.sequence q JOIN @pipeline@.segment_members m ON m.segment = q.start_name
    WHERE q.sequence = _standing_leads.sequence AND q.starts_on = 'segment_entered';
END
$$;
COMMENT ON FUNCTION _standing_leads(text) IS 'the leads that are in the stage or the segment now on which a sequence starts';

CREATE OR REPLACE FUNCTION activate_sequence(sequence text, enroll text DEFAULT 'new') RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    was text;
    starts text;
    ids bigint[];
BEGIN
    PERFORM leadscore_internal.pipeline_on_one_node(@pipeline_name@);
    sequence := @pipeline@._require_name('sequence', sequence);
    IF enroll IS NULL OR enroll NOT IN ('new', 'all') THEN
        RAISE EXCEPTION 'enroll must be new or all, not "%"', coalesce(enroll, 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
                HINT = 'new: leads begin it from now on; all: also those that are in its stage or segment now.';
    END IF;
    SELECT q.status, q.starts_on INTO was, starts FROM @pipeline@.sequence q WHERE q.sequence = activate_sequence.sequence FOR UPDATE;
    IF was = 'active' THEN
        RAISE EXCEPTION 'sequence "%" is active already', sequence
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Call pause_sequence() first, or enroll() to let more leads begin it.';
    ELSIF enroll = 'all' AND starts NOT IN ('stage', 'segment_entered') THEN
        RAISE EXCEPTION 'sequence "%" does not start on a stage or a segment that leads could be in now', sequence
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave enroll out, and call enroll() with a segment.';
    END IF;
    UPDATE @pipeline@.sequence q SET status = 'active' WHERE q.sequence = activate_sequence.sequence;
    IF enroll = 'new' THEN
        RETURN 0;
    END IF;
    ids := ARRAY(SELECT @pipeline@._standing_leads(sequence));
    PERFORM @pipeline@._lock_leads(ids);
    -- what is so still, now that nobody changes it
    ids := ARRAY(SELECT s FROM @pipeline@._standing_leads(sequence) s WHERE s = ANY (ids));
    RETURN @pipeline@._begin_runs(ids, array_fill(sequence, ARRAY[cardinality(ids)]), array_fill('by_hand'::text, ARRAY[cardinality(ids)]),
        array_fill(NULL::timestamptz, ARRAY[cardinality(ids)]), now());
END
$$;
REVOKE EXECUTE ON FUNCTION activate_sequence(text, text) FROM PUBLIC;
COMMENT ON FUNCTION activate_sequence(text, text) IS
    'puts a draft, a paused or a retired sequence into use: leads begin it from now on, with enroll => ''all'' also those that are in its stage or its segment now; what waited while it was paused is due. Returns how many began it. See sequence_preview(). Errors: 42704 no such sequence, 22023 a wrong definition, 55000 if it is active';

CREATE OR REPLACE FUNCTION pause_sequence(sequence text) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_on_one_node(@pipeline_name@);
    sequence := @pipeline@._require_name('sequence', sequence);
    UPDATE @pipeline@.sequence q SET status = 'paused' WHERE q.sequence = pause_sequence.sequence AND q.status IN ('active', 'paused');
    IF NOT FOUND THEN
        RAISE EXCEPTION 'sequence "%" is not active', sequence
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Only an active sequence can be paused.';
    END IF;
END
$$;
REVOKE EXECUTE ON FUNCTION pause_sequence(text) FROM PUBLIC;
COMMENT ON FUNCTION pause_sequence(text) IS
    'stops a sequence until activate_sequence(): none of its actions is claimed and nobody begins it; time goes on, so what is too late by then is skipped. Error 55000 if it is not active';

CREATE OR REPLACE FUNCTION retire_sequence(sequence text) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ended bigint;
BEGIN
    PERFORM leadscore_internal.pipeline_on_one_node(@pipeline_name@);
    sequence := @pipeline@._require_name('sequence', sequence);
    -- enroll() in another session comes before or after
    PERFORM FROM @pipeline@.sequence q WHERE q.sequence = retire_sequence.sequence FOR UPDATE;
    SELECT count(*) INTO ended FROM @pipeline@.enrollment e WHERE e.sequence = retire_sequence.sequence AND e.ended_at IS NULL;
    UPDATE @pipeline@.sequence q SET status = 'retired' WHERE q.sequence = retire_sequence.sequence AND q.status IN ('active', 'paused');
    IF NOT FOUND THEN
        RAISE EXCEPTION 'sequence "%" is not active', sequence
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Only a sequence that is active or paused can be retired; delete a draft.';
    END IF;
    RETURN ended;
END
$$;
REVOKE EXECUTE ON FUNCTION retire_sequence(text) FROM PUBLIC;
COMMENT ON FUNCTION retire_sequence(text) IS
    'puts a sequence out of use: all runs end, and what waits is cancelled; what was done stays. Returns how many runs were open. Error 55000 if it is not active';

CREATE OR REPLACE FUNCTION sequence_preview(sequence text)
    RETURNS TABLE (leads_now bigint, could_begin bigint, leads_a_day double precision, without_consent bigint, without_address bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    first_step @pipeline@.sequence_step;
    q @pipeline@.sequence;
    ids bigint[];
    unknown text;
BEGIN
    PERFORM leadscore_internal.pipeline_on_one_node(@pipeline_name@), @pipeline@._require_name('sequence', sequence_preview.sequence);
    IF NOT @pipeline@._shows_all_leads() THEN
        RETURN;
    END IF;
    SELECT * INTO q FROM @pipeline@.sequence o WHERE o.sequence = sequence_preview.sequence;
    SELECT * INTO first_step
    FROM @pipeline@.sequence_step s
    WHERE s.sequence = sequence_preview.sequence AND s.kind = 'message' AND NOT s.transactional
    ORDER BY s.position
    LIMIT 1;
    -- contents are optional, so this is no error
    SELECT string_agg(format('%s (step %s)', s.content, s.step), ', ' ORDER BY s.position) INTO unknown
    FROM @pipeline@.sequence_step s
    WHERE s.sequence = sequence_preview.sequence AND s.kind = 'message' AND s.content IS NOT NULL
        AND EXISTS (SELECT FROM @pipeline@.content)
        AND NOT EXISTS (SELECT FROM @pipeline@.content c WHERE c.content = s.content);
    IF unknown IS NOT NULL THEN
        RAISE WARNING 'contents of sequence "%" are not in table content', sequence_preview.sequence
            USING DETAIL = unknown || '.', HINT = 'Insert them there, or correct their names.';
    END IF;
    ids := ARRAY(SELECT @pipeline@._standing_leads(sequence_preview.sequence));
    RETURN QUERY
    SELECT count(*),
        count(*) FILTER (WHERE b.run IS NULL OR (NOT b.is_open AND (b.ended_at AT TIME ZONE 'UTC' + q.again_after) AT TIME ZONE 'UTC' <= now())),
        CASE WHEN q.starts_on <> 'by_hand' THEN
            (SELECT sum(n.edges) / 30.0
            FROM (
                SELECT count(*) AS edges
                FROM @pipeline@.stage_log h
                WHERE q.starts_on = 'stage' AND h.superseded_at IS NULL AND h.to_stage::text = q.start_name AND h.cause <> 'activation'
                    AND (h.from_stage < h.to_stage OR h.to_stage < 'visitor') AND h.effective_at > now() - interval '30 days'
                UNION ALL
                SELECT count(*)
                FROM @pipeline@.segment_log h
                WHERE q.starts_on IN ('segment_entered', 'segment_left') AND h.superseded_at IS NULL AND h.segment = q.start_name
                    AND h.entered = (q.starts_on = 'segment_entered') AND h.cause NOT IN ('activation', 'definition')
                    AND h.effective_at > now() - interval '30 days'
                UNION ALL
                SELECT sum(c.count)
                FROM @pipeline@.signal x, @pipeline@.lead_state s, leadscore.unnest(s.activity) c
                WHERE q.starts_on = 'event' AND x.signal = q.start_name AND c.signal_id = x.signal_id
                    AND c.bucket > now() - interval '30 days' AND c.bucket <= now()
            ) n)::double precision END,
        count(*) FILTER (WHERE first_step.step IS NOT NULL AND g.allowed IS NOT TRUE),
        count(*) FILTER (WHERE NOT @pipeline@._has_address(first_step.channel, l.email, l.phone))
    FROM @pipeline@.lead l
        LEFT JOIN LATERAL (
            SELECT max(o.run) AS run, bool_or(o.ended_at IS NULL) AS is_open, max(o.ended_at) AS ended_at
            FROM @pipeline@.enrollment o
            WHERE o.lead_id = l.lead_id AND o.sequence = sequence_preview.sequence
        ) b ON true
        LEFT JOIN (
            SELECT o.lead_id, count(*) FILTER (WHERE o.granted) = 2 AS allowed
            FROM @pipeline@._granted(ids, first_step.channel, first_step.topic, false, now()) o
            GROUP BY o.lead_id
        ) g ON g.lead_id = l.lead_id
    WHERE l.lead_id = ANY (ids);
END
$$;
REVOKE EXECUTE ON FUNCTION sequence_preview(text) FROM PUBLIC;
COMMENT ON FUNCTION sequence_preview(text) IS
    'the leads that would begin a sequence: those that are in its stage or segment now; how many of them activate_sequence() with enroll => ''all'' would let begin; how many came into it a day in the last 30 days; of the leads now, those whose consent its first message lacks, and those that have no address for it. No row for a role that row security keeps from some leads';

CREATE OR REPLACE FUNCTION _enroll(ids bigint[], sequence text, at timestamptz) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    sequence := @pipeline@._require_name('sequence', sequence);
    PERFORM leadscore_internal.require_instant('at', at);
    PERFORM FROM @pipeline@.sequence q WHERE q.sequence = _enroll.sequence AND q.status = 'active' FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'sequence "%" is not active', sequence
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Call activate_sequence() first.';
    END IF;
    PERFORM @pipeline@._lock_leads(ids);
    RETURN @pipeline@._begin_runs(ids, array_fill(sequence, ARRAY[cardinality(ids)]), array_fill('by_hand'::text, ARRAY[cardinality(ids)]),
        array_fill(NULL::timestamptz, ARRAY[cardinality(ids)]), at);
END
$$;
COMMENT ON FUNCTION _enroll(bigint[], text, timestamptz) IS 'lets leads begin a sequence by hand, and returns how many did';

CREATE OR REPLACE FUNCTION enroll(sequence text, segment text, at timestamptz DEFAULT now()) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_on_this_node(@pipeline_name@);
    segment := @pipeline@._require_name('segment', segment);
    IF NOT EXISTS (SELECT FROM @pipeline@.segment g WHERE g.segment = enroll.segment AND g.status = 'active') THEN
        RAISE EXCEPTION 'segment "%" is not active', segment
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Call activate_segment() first.';
    END IF;
    RETURN @pipeline@._enroll(ARRAY(SELECT m.lead_id FROM @pipeline@.segment_members m WHERE m.segment = enroll.segment), sequence, at);
END
$$;
REVOKE EXECUTE ON FUNCTION enroll(text, text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION enroll(text, text, timestamptz) IS
    'lets all leads that are in a segment now begin a sequence, as for a newsletter, and returns how many did. A lead that is in it already, or may not begin it again yet (again_after), does not. at: when the runs begin; in the future the first steps wait until then. Errors: 42704 no such sequence or segment, 55000 if one is not active';

CREATE OR REPLACE FUNCTION enroll_lead_by_id(lead_id bigint, sequence text, at timestamptz DEFAULT now()) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_on_this_node(@pipeline_name@);
    IF NOT EXISTS (SELECT FROM @pipeline@.lead l WHERE l.lead_id = enroll_lead_by_id.lead_id) THEN
        RAISE EXCEPTION 'there is no lead %', coalesce(lead_id::text, 'NULL')
            USING ERRCODE = 'no_data_found', HINT = @pipeline@._missing_hint(lead_id);
    END IF;
    RETURN @pipeline@._enroll(ARRAY[lead_id], sequence, at) = 1;
END
$$;
REVOKE EXECUTE ON FUNCTION enroll_lead_by_id(bigint, text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION enroll_lead_by_id(bigint, text, timestamptz) IS 'enroll_lead() of the lead with this number, which must be there';

CREATE OR REPLACE FUNCTION enroll_lead(external_id text, sequence text, at timestamptz DEFAULT now()) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_on_this_node(@pipeline_name@);
    -- retire_sequence() locks the sequence before leads
    PERFORM FROM @pipeline@.sequence q WHERE q.sequence = enroll_lead.sequence FOR SHARE;
    RETURN @pipeline@.enroll_lead_by_id(@pipeline@._hold_lead(external_id), sequence, at);
END
$$;
REVOKE EXECUTE ON FUNCTION enroll_lead(text, text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION enroll_lead(text, text, timestamptz) IS
    'lets one lead begin a sequence, and returns whether it did: not if it is in it, or may not begin it again yet. Errors: 42704 no such sequence, 55000 if it is not active, P0002 if there is no such lead';

CREATE OR REPLACE FUNCTION unenroll_by_id(lead_id bigint, sequence text, at timestamptz DEFAULT now()) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    open_run integer;
BEGIN
    PERFORM leadscore_internal.pipeline_on_this_node(@pipeline_name@);
    sequence := @pipeline@._require_name('sequence', sequence);
    PERFORM leadscore_internal.require_instant('at', at);
    PERFORM @pipeline@._lock_leads(ARRAY[lead_id]);
    IF NOT EXISTS (SELECT FROM @pipeline@.lead l WHERE l.lead_id = unenroll_by_id.lead_id) THEN
        RAISE EXCEPTION 'there is no lead %', coalesce(lead_id::text, 'NULL')
            USING ERRCODE = 'no_data_found', HINT = @pipeline@._missing_hint(lead_id);
    END IF;
    SELECT e.run INTO open_run
    FROM @pipeline@.enrollment e
    WHERE e.lead_id = unenroll_by_id.lead_id AND e.sequence = unenroll_by_id.sequence AND e.ended_at IS NULL;
    IF open_run IS NULL THEN
        RETURN false;
    END IF;
    PERFORM @pipeline@._end_runs(ARRAY[lead_id], ARRAY[sequence], ARRAY[open_run], ARRAY['by_hand'], at);
    RETURN true;
END
$$;
REVOKE EXECUTE ON FUNCTION unenroll_by_id(bigint, text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION unenroll_by_id(bigint, text, timestamptz) IS 'unenroll() of the lead with this number, which must be there';

CREATE OR REPLACE FUNCTION unenroll(external_id text, sequence text, at timestamptz DEFAULT now()) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_on_this_node(@pipeline_name@);
    RETURN @pipeline@.unenroll_by_id(@pipeline@._hold_lead(external_id), sequence, at);
END
$$;
REVOKE EXECUTE ON FUNCTION unenroll(text, text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION unenroll(text, text, timestamptz) IS
    'ends the run of a lead through a sequence, and cancels what waits of it; false if there is no open run. Errors: 42704 no such sequence, P0002 if there is no such lead';

CREATE OR REPLACE FUNCTION assign_lead_by_id(lead_id bigint, owner text) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before text;
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    SELECT l.owner INTO before FROM @pipeline@.lead l WHERE l.lead_id = assign_lead_by_id.lead_id AND l.erased_at IS NULL FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no lead %', coalesce(lead_id::text, 'NULL')
            USING ERRCODE = 'no_data_found', HINT = @pipeline@._missing_hint(lead_id);
    END IF;
    UPDATE @pipeline@.lead l SET owner = nullif(btrim(assign_lead_by_id.owner), '') WHERE l.lead_id = assign_lead_by_id.lead_id;
    RETURN before;
END
$$;
REVOKE EXECUTE ON FUNCTION assign_lead_by_id(bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION assign_lead_by_id(bigint, text) IS 'assign_lead() of the lead with this number';

CREATE OR REPLACE FUNCTION assign_lead(external_id text, owner text) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    RETURN @pipeline@.assign_lead_by_id(@pipeline@._find_lead(external_id), owner);
END
$$;
REVOKE EXECUTE ON FUNCTION assign_lead(text, text) FROM PUBLIC;
COMMENT ON FUNCTION assign_lead(text, text) IS
    'gives a lead another owner (NULL: none), who gets its open tasks too, and returns the owner before. Error P0002 if there is no such lead';
