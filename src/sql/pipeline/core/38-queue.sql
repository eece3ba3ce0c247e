-- The queue: handing out what is due, and what became of it.
--
-- claim_actions() picks leads whose state nobody has locked, locks them, and only
-- then looks at their actions, in a new statement: so a lead whose event is
-- being written is left for the next claim, and two workers never have one lead.
-- What may not go now is moved on to when it may, so that it is not read again
-- by every claim until then.

CREATE OR REPLACE FUNCTION _pick_leads(channel text, max_leads integer, at timestamptz) RETURNS bigint[]
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
    -- the indexes give the order, and the first rows are wanted
    SET plan_cache_mode = force_custom_plan SET enable_sort = off SET enable_hashjoin = off SET enable_mergejoin = off
    SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
AS $$
DECLARE
    picked bigint[];
    next_priority smallint;
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    picked := ARRAY(
        SELECT a.lead_id
        FROM @pipeline@.action a JOIN @pipeline@.lead_state s ON s.lead_id = a.lead_id
        WHERE a.channel = _pick_leads.channel AND a.status = 'claimed' AND a.claimed_until <= _pick_leads.at
        ORDER BY a.claimed_until
        LIMIT _pick_leads.max_leads
        FOR NO KEY UPDATE OF s SKIP LOCKED);
    LOOP
        SELECT min(a.priority) INTO next_priority
        FROM @pipeline@.action a
        WHERE a.channel = _pick_leads.channel AND a.status = 'waiting' AND (next_priority IS NULL OR a.priority > next_priority);
        EXIT WHEN next_priority IS NULL OR cardinality(picked) >= max_leads;
        picked := picked || ARRAY(
            SELECT a.lead_id
            FROM @pipeline@.action a JOIN @pipeline@.lead_state s ON s.lead_id = a.lead_id
            WHERE a.channel = _pick_leads.channel AND a.status = 'waiting' AND a.priority = next_priority AND a.due_at <= _pick_leads.at
            ORDER BY a.due_at
            LIMIT _pick_leads.max_leads - cardinality(picked)
            FOR NO KEY UPDATE OF s SKIP LOCKED);
    END LOOP;
    RETURN picked;
END
$$;
COMMENT ON FUNCTION _pick_leads(text, integer, timestamptz) IS
    'locks the states of leads that have something due in a channel, the most urgent first, without waiting; returns the numbers of the leads';

CREATE OR REPLACE FUNCTION _refusal(lead_id bigint, channel text, topic text, at timestamptz) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    granted CONSTANT text[] := ARRAY(
        SELECT g.purpose
        FROM @pipeline@._granted(ARRAY[_refusal.lead_id], _refusal.channel, _refusal.topic, false, _refusal.at) g
        WHERE g.granted);
    withdrawn boolean;
    requested_at timestamptz;
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    -- the last word decides: a lead that has unsubscribed may ask to be subscribed again
    SELECT bool_or(n.status = 'withdrawn'), max(n.occurred_at) FILTER (WHERE n.status = 'requested') INTO withdrawn, requested_at
    FROM (
        SELECT DISTINCT ON (c.purpose) c.purpose, c.status, c.occurred_at
        FROM @pipeline@.consent c
        WHERE c.lead_id = _refusal.lead_id AND c.status <> 'granted' AND c.occurred_at <= _refusal.at AND c.purpose <> ALL (granted)
            AND (c.channel IS NULL OR c.channel = _refusal.channel) AND (c.topic IS NULL OR c.topic = _refusal.topic)
        ORDER BY c.purpose, c.occurred_at DESC, c.consent_id DESC
    ) n;
    RETURN CASE
        WHEN EXISTS (
            SELECT FROM @pipeline@._suppressions(ARRAY[_refusal.lead_id]) s
            WHERE (s.channel IS NULL OR s.channel = _refusal.channel)
                AND s.since <= _refusal.at AND (s.lifted_at > _refusal.at) IS NOT FALSE
                AND (s.reason IN ('manual', 'forgotten') OR 'marketing' <> ALL (granted) AND (requested_at > s.since) IS NOT TRUE)) THEN 'suppressed'
        WHEN withdrawn THEN 'withdrawn'
        WHEN requested_at IS NOT NULL THEN 'consent requested'
        ELSE 'no consent' END;
END
$$;
COMMENT ON FUNCTION _refusal(bigint, text, text, timestamptz) IS
    'why a message may not go to a lead that does not allow it: suppressed, withdrawn, consent requested (it may be confirmed yet) or no consent';

CREATE OR REPLACE FUNCTION _decide_actions(lead_ids bigint[], channel text, max_actions integer, lease interval, worker text, at timestamptz,
        OUT claimed_leads bigint[], OUT claimed_ids bigint[])
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    ended_leads bigint[];
    ended_sequences text[];
    ended_runs integer[];
    ended_words text[];
    next_leads bigint[];
    next_sequences text[];
    next_runs integer[];
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    WITH due AS MATERIALIZED (
        SELECT a.lead_id, a.action_id, a.kind, a.topic, a.transactional, a.priority, a.due_at, a.expires_at, a.status, a.attempt, a.max_attempts,
            a.sequence, a.run, a.step, l.email, l.phone, l.time_zone, l.erased_at,
            a.kind = 'message' AND NOT a.transactional AND _decide_actions.channel <> ALL (p.channels) AS is_unwanted_channel,
            a.kind = 'message' AND a.topic IS NOT NULL AND a.topic <> ALL (p.topics) AS is_unwanted_topic, p.max_messages, p.period
        FROM (SELECT DISTINCT unnest(_decide_actions.lead_ids) AS lead_id) u
            JOIN @pipeline@.action a ON a.lead_id = u.lead_id
            JOIN @pipeline@.lead l ON l.lead_id = u.lead_id
            LEFT JOIN @pipeline@.lead_preference p ON p.lead_id = u.lead_id
        WHERE a.channel = _decide_actions.channel AND a.status IN ('waiting', 'claimed')
            AND CASE a.status WHEN 'waiting' THEN a.due_at ELSE a.claimed_until END <= _decide_actions.at
    ), zones AS MATERIALIZED (
        -- the arithmetic of time is done once for leads of one zone
        SELECT o.time_zone, leadscore_internal.known_zone(o.time_zone, (SELECT z.time_zone FROM @pipeline@.setting z)) AS zone
        FROM (SELECT DISTINCT d.time_zone FROM due d) o
    ), granted AS MATERIALIZED (
        SELECT t.topic, g.lead_id, count(*) FILTER (WHERE g.granted) = 2 AS granted
        FROM (
                SELECT d.topic, array_agg(DISTINCT d.lead_id) AS ids
                FROM due d
                WHERE d.kind = 'message' AND NOT d.transactional
                GROUP BY d.topic
            ) t,
            LATERAL @pipeline@._granted(t.ids, _decide_actions.channel, t.topic, false, _decide_actions.at) g
        GROUP BY t.topic, g.lead_id
    ), suppressed AS MATERIALIZED (
        SELECT s.lead_id, bool_or(s.reason IN ('manual', 'forgotten')) AS is_blocked
        FROM @pipeline@._suppressions(_decide_actions.lead_ids) s
        WHERE (s.channel IS NULL OR s.channel = _decide_actions.channel)
            AND s.since <= _decide_actions.at AND (s.lifted_at > _decide_actions.at) IS NOT FALSE
        GROUP BY s.lead_id
    ), judged AS MATERIALIZED (
        SELECT d.*, o.zone, e.ended_at AS run_ended_at, e.end_reason AS run_end_reason, q.status AS sequence_status,
            st.not_before, st.not_after, st.weekdays, h.not_before AS from_time, h.not_after AS to_time, h.weekdays AS on_days,
            d.kind = 'message' AND CASE
                WHEN d.transactional THEN NOT @pipeline@._may_contact(d.lead_id, _decide_actions.channel, NULL, _decide_actions.at, true)
                ELSE coalesce(s.is_blocked, false) OR g.granted IS NOT TRUE END AS is_refused,
            d.kind <> 'message' OR @pipeline@._has_address(_decide_actions.channel, d.email, d.phone) AS has_address,
            -- a step may have been taken out of its sequence
            d.run IS NULL OR st.step IS NOT NULL AND CASE WHEN st.in_segment IS NULL AND st.only_if = '{}' AND st.unless = '{}' THEN true
                ELSE @pipeline@._step_holds(ls.activity, ls.segments, e.started_at, st.only_if, st.unless, st.in_segment) END AS is_wanted
        FROM due d
            JOIN zones o ON o.time_zone IS NOT DISTINCT FROM d.time_zone
            LEFT JOIN @pipeline@.enrollment e ON e.lead_id = d.lead_id AND e.sequence = d.sequence AND e.run = d.run
            LEFT JOIN @pipeline@.sequence q ON q.sequence = d.sequence
            LEFT JOIN @pipeline@.sequence_step st ON st.sequence = d.sequence AND st.step = d.step
            LEFT JOIN @pipeline@.contact_hours h ON h.channel = _decide_actions.channel AND d.kind = 'message' AND NOT d.transactional
            LEFT JOIN granted g ON g.lead_id = d.lead_id AND g.topic IS NOT DISTINCT FROM d.topic
            LEFT JOIN suppressed s ON s.lead_id = d.lead_id
            LEFT JOIN @pipeline@.lead_state ls ON ls.lead_id = d.lead_id AND st.step IS NOT NULL
    ), windows AS MATERIALIZED (
        SELECT o.*, leadscore_internal.next_allowed_of_both(_decide_actions.at, o.zone, o.from_time, o.to_time, o.on_days, o.not_before, o.not_after, o.weekdays) AS opens_at
        FROM (
            SELECT DISTINCT j.zone, j.from_time, j.to_time, j.on_days, j.not_before, j.not_after, j.weekdays
            FROM judged j
            WHERE j.kind = 'message' AND NOT j.transactional
        ) o
    ), periods AS MATERIALIZED (
        SELECT o.zone, m.channel, m.max_count, leadscore_internal.period_start(_decide_actions.at, o.zone, m.period) AS begins_at,
            leadscore_internal.period_end(_decide_actions.at, o.zone, m.period) AS ends_at
        FROM (SELECT DISTINCT z.zone FROM zones z) o
            JOIN @pipeline@.contact_limit m ON m.channel IS NULL OR m.channel = _decide_actions.channel
    ), sorted AS MATERIALIZED (
        SELECT j.*, CASE
                WHEN j.erased_at IS NOT NULL THEN 'forgotten'
                WHEN j.run_ended_at IS NOT NULL THEN j.run_end_reason
                -- it was being retired when the run began
                WHEN j.sequence_status = 'retired' THEN 'retired'
                WHEN j.status = 'claimed' AND j.attempt >= j.max_attempts THEN 'lease expired'
                WHEN j.expires_at <= _decide_actions.at THEN 'late'
                WHEN j.sequence_status <> 'active' THEN 'paused'
                WHEN NOT j.is_wanted THEN 'condition'
                WHEN NOT j.has_address THEN 'no address'
                WHEN j.is_refused THEN CASE WHEN j.transactional THEN 'suppressed'
                    ELSE @pipeline@._refusal(j.lead_id, _decide_actions.channel, j.topic, _decide_actions.at) END
                WHEN j.is_unwanted_channel THEN 'channel preference'
                WHEN j.is_unwanted_topic THEN 'topic preference'
                -- no instant: the hours of the step and of the channel never meet
                WHEN j.kind = 'message' AND NOT j.transactional AND (w.opens_at <= _decide_actions.at) IS NOT TRUE THEN 'quiet hours'
                END AS problem, w.opens_at
        FROM judged j
            LEFT JOIN windows w ON w.zone = j.zone
                AND (w.from_time, w.to_time, w.on_days, w.not_before, w.not_after, w.weekdays)
                    IS NOT DISTINCT FROM (j.from_time, j.to_time, j.on_days, j.not_before, j.not_after, j.weekdays)
    ), ranked AS MATERIALIZED (
        SELECT s.*, s.problem IS NULL AND s.kind = 'message' AND NOT s.transactional AS is_capped,
            count(*) FILTER (WHERE s.problem IS NULL AND s.kind = 'message' AND NOT s.transactional)
                OVER (PARTITION BY s.lead_id ORDER BY s.priority, s.due_at, s.action_id) AS place
        FROM sorted s
    ), wishes AS MATERIALIZED (
        SELECT o.zone, o.period, leadscore_internal.period_start(_decide_actions.at, o.zone, o.period) AS begins_at,
            leadscore_internal.period_end(_decide_actions.at, o.zone, o.period) AS ends_at
        FROM (SELECT DISTINCT r.zone, r.period FROM ranked r WHERE r.is_capped AND r.period IS NOT NULL) o
    ), limits AS (
        -- those of the pipeline, and the one that the lead wishes
        SELECT r.lead_id, r.action_id, r.place, m.channel, m.max_count, m.begins_at, m.ends_at, false AS is_wish
        FROM ranked r JOIN periods m ON m.zone = r.zone
        WHERE r.is_capped
        UNION ALL
        SELECT r.lead_id, r.action_id, r.place, NULL, r.max_messages, w.begins_at, w.ends_at, true
        FROM ranked r JOIN wishes w ON w.zone = r.zone AND w.period = r.period
        WHERE r.is_capped
    ), capped AS MATERIALIZED (
        SELECT m.lead_id, m.action_id, max(m.ends_at) AS free_at, bool_and(m.is_wish) AS is_wish
        FROM limits m
            CROSS JOIN LATERAL (
                SELECT count(*) AS used
                FROM @pipeline@.action c
                WHERE c.lead_id = m.lead_id AND c.kind = 'message' AND c.status IN ('claimed', 'done') AND NOT c.transactional
                    AND c.claimed_at >= m.begins_at
                    AND (m.channel IS NULL OR c.channel = m.channel)
                    -- what is handed out again counts below
                    AND NOT EXISTS (SELECT FROM ranked o WHERE o.lead_id = c.lead_id AND o.action_id = c.action_id)
            ) n
        WHERE n.used + m.place > m.max_count
        GROUP BY m.lead_id, m.action_id
    ), verdicts AS MATERIALIZED (
        SELECT r.lead_id, r.action_id, r.sequence, r.run, r.priority, r.due_at,
            CASE WHEN r.problem IN ('late', 'condition', 'no address', 'suppressed', 'withdrawn', 'no consent', 'channel preference', 'topic preference') THEN 'skipped'
                WHEN r.problem = 'lease expired' THEN 'failed'
                WHEN r.problem IN ('paused', 'consent requested', 'quiet hours') OR c.action_id IS NOT NULL THEN 'waiting'
                WHEN r.problem IS NOT NULL THEN 'cancelled'
                ELSE 'claimed' END AS verdict,
            CASE WHEN r.problem = 'withdrawn' THEN 'no consent'
                WHEN r.problem IS NULL AND c.action_id IS NOT NULL THEN CASE WHEN c.is_wish THEN 'frequency preference' ELSE 'frequency cap' END
                ELSE r.problem END AS reason,
            CASE
                WHEN r.problem = 'paused' THEN least(_decide_actions.at + interval '1 hour', r.expires_at)
                -- a grant makes it due
                WHEN r.problem = 'consent requested' THEN coalesce(r.expires_at, _decide_actions.at + interval '24 hours')
                WHEN r.problem = 'quiet hours' THEN coalesce(r.opens_at, r.expires_at, _decide_actions.at + interval '24 hours')
                WHEN c.free_at IS NOT NULL THEN coalesce(leadscore_internal.next_allowed_of_both(c.free_at, r.zone, r.from_time, r.to_time, r.on_days, r.not_before, r.not_after, r.weekdays), c.free_at)
                END AS again_at,
            r.problem IN ('suppressed', 'withdrawn', 'retired') AS ends_run,
            row_number() OVER (PARTITION BY r.problem IS NULL AND c.action_id IS NULL ORDER BY r.priority, r.due_at, r.lead_id, r.action_id) AS place
        FROM ranked r LEFT JOIN capped c USING (lead_id, action_id)
    ), written AS (
        UPDATE @pipeline@.action a
        SET status = v.verdict, reason = v.reason,
            due_at = CASE WHEN v.verdict = 'waiting' THEN v.again_at ELSE a.due_at END,
            attempt = CASE WHEN v.verdict = 'claimed' THEN a.attempt + 1 ELSE a.attempt END,
            claimed_at = CASE WHEN v.verdict = 'claimed' THEN _decide_actions.at ELSE a.claimed_at END,
            claimed_until = CASE WHEN v.verdict = 'claimed' THEN _decide_actions.at + _decide_actions.lease END,
            claimed_by = CASE WHEN v.verdict = 'claimed' THEN _decide_actions.worker ELSE a.claimed_by END,
            ended_at = CASE WHEN v.verdict NOT IN ('waiting', 'claimed') THEN _decide_actions.at END
        FROM verdicts v
        WHERE a.lead_id = v.lead_id AND a.action_id = v.action_id AND (v.verdict <> 'claimed' OR v.place <= _decide_actions.max_actions)
        RETURNING a.lead_id, a.action_id, a.sequence, a.run, v.verdict, v.reason, v.ends_run
    )
    SELECT array_agg(w.lead_id) FILTER (WHERE w.verdict = 'claimed'), array_agg(w.action_id) FILTER (WHERE w.verdict = 'claimed'),
        array_agg(w.lead_id) FILTER (WHERE w.ends_run), array_agg(w.sequence) FILTER (WHERE w.ends_run), array_agg(w.run) FILTER (WHERE w.ends_run),
        array_agg(CASE w.reason WHEN 'retired' THEN 'retired' ELSE 'unsubscribed' END) FILTER (WHERE w.ends_run),
        array_agg(w.lead_id) FILTER (WHERE w.goes_on), array_agg(w.sequence) FILTER (WHERE w.goes_on), array_agg(w.run) FILTER (WHERE w.goes_on)
    INTO claimed_leads, claimed_ids, ended_leads, ended_sequences, ended_runs, ended_words, next_leads, next_sequences, next_runs
    FROM (
        SELECT o.lead_id, o.action_id, o.sequence, o.run, o.verdict, o.reason, o.ends_run AND o.run IS NOT NULL AS ends_run,
            o.verdict IN ('skipped', 'failed') AND NOT o.ends_run AND o.run IS NOT NULL AS goes_on
        FROM written o
    ) w;
    IF ended_leads IS NOT NULL THEN
        PERFORM @pipeline@._end_runs(ended_leads, ended_sequences, ended_runs, ended_words, _decide_actions.at);
    END IF;
    IF next_leads IS NOT NULL THEN
        PERFORM @pipeline@._next_steps(next_leads, next_sequences, next_runs, _decide_actions.at);
    END IF;
END
$$;
COMMENT ON FUNCTION _decide_actions(bigint[], text, integer, interval, text, timestamptz) IS
    'decides about all due actions of leads whose states are locked: one that may not go now is moved on, one that may never go is skipped, the others are claimed; returns the claimed actions';

CREATE OR REPLACE FUNCTION claim_actions(channel text, max_actions integer DEFAULT 100, lease interval DEFAULT '5 minutes',
        at timestamptz DEFAULT now(), worker text DEFAULT leadscore_internal.caller())
    RETURNS TABLE (lead_id bigint, action_id bigint, attempt integer, external_id text, email text, phone text, language text, time_zone text,
        owner text, kind text, topic text, content text, variant text, properties jsonb, sequence text, step text, transactional boolean,
        due_at timestamptz, claimed_until timestamptz)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    picked bigint[];
    leads bigint[];
    ids bigint[];
BEGIN
    PERFORM leadscore_internal.pipeline_on_this_node(@pipeline_name@);
    PERFORM leadscore_internal.require_instant('at', at);
    IF claim_actions.channel IS NULL OR max_actions IS NULL OR lease IS NULL THEN
        RAISE EXCEPTION '% must not be null', CASE WHEN claim_actions.channel IS NULL THEN 'channel' WHEN max_actions IS NULL THEN 'max_actions'
                ELSE 'lease' END
            USING ERRCODE = 'null_value_not_allowed',
                HINT = CASE WHEN claim_actions.channel IS NULL THEN 'Pass the channel that the worker sends by, such as email.'
                    ELSE 'Leave the argument out if the default is meant.' END;
    ELSIF max_actions NOT BETWEEN 1 AND 10000 OR lease <= interval '0' OR lease > interval '30 days' THEN
        RAISE EXCEPTION '%', CASE WHEN max_actions NOT BETWEEN 1 AND 10000 THEN 'max_actions must be 1 to 10000'
                ELSE 'lease must be positive, and 30 days at most' END
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass something like claim_actions(''email'', 100, ''5 minutes'').';
    ELSIF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'claim_actions() needs the isolation level read committed, not %', current_setting('transaction_isolation')
            USING ERRCODE = 'invalid_transaction_state', HINT = 'It locks leads first and looks at them then, which an older snapshot would make useless.';
    ELSIF pg_current_xact_id_if_assigned() IS NOT NULL THEN
        RAISE EXCEPTION 'claim_actions() must be the first statement of its transaction that writes'
            USING ERRCODE = 'active_sql_transaction', HINT = 'Call it alone, commit, and send then.';
    END IF;
    claim_actions.channel := lower(btrim(claim_actions.channel) COLLATE "C");
    -- much that may not go now may lie in front of what may
    FOR round IN 1 .. 20 LOOP
        picked := @pipeline@._pick_leads(claim_actions.channel, CASE round WHEN 1 THEN max_actions ELSE greatest(max_actions, 1000) END, at);
        EXIT WHEN cardinality(picked) = 0;
        SELECT d.claimed_leads, d.claimed_ids INTO leads, ids
        FROM @pipeline@._decide_actions(picked, claim_actions.channel, max_actions, lease, worker, at) d;
        EXIT WHEN leads IS NOT NULL;
    END LOOP;
    RETURN QUERY
    SELECT a.lead_id, a.action_id, a.attempt, l.external_id, l.email, l.phone, l.language, l.time_zone, coalesce(a.assignee, l.owner),
        a.kind, a.topic, a.content, a.variant, a.properties, a.sequence, a.step, a.transactional, a.due_at, a.claimed_until
    FROM unnest(leads, ids) AS u (lead_id, action_id)
        JOIN @pipeline@.action a USING (lead_id, action_id)
        JOIN @pipeline@.lead l USING (lead_id)
    ORDER BY a.priority, a.due_at, a.lead_id, a.action_id;
END
$$;
REVOKE EXECUTE ON FUNCTION claim_actions(text, integer, interval, timestamptz, text) FROM PUBLIC;
COMMENT ON FUNCTION claim_actions(text, integer, interval, timestamptz, text) IS
    'hands out what is due in a channel, the most urgent first: for lease it is the worker''s, who sends it and calls complete_action() or fail_action() with the attempt. Consent, preferences, hours, limits and conditions are looked at now; what may not go is moved on or skipped, with a reason. No rows: nothing may go now. at: instant to decide for, as in a test. Call it alone and commit before sending. Errors: 25000 at another isolation level than read committed, 25001 after a write in the same transaction, 22004 and 22023 for arguments';

-- What became of it

CREATE OR REPLACE FUNCTION _living_lead(lead_id bigint) RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    living bigint := lead_id;
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    WHILE NOT EXISTS (SELECT FROM @pipeline@.lead_state s WHERE s.lead_id = living) LOOP
        SELECT m.lead_id INTO living FROM @pipeline@.lead_merge m WHERE m.loser_id = living;
        EXIT WHEN NOT FOUND;
    END LOOP;
    RETURN living;
END
$$;
COMMENT ON FUNCTION _living_lead(bigint) IS 'number of a lead, or of the lead that it was merged into; NULL if there is none';

CREATE OR REPLACE FUNCTION _lock_living(lead_id bigint) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    living bigint := lead_id;
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    LOOP
        living := @pipeline@._living_lead(living);
        PERFORM FROM @pipeline@.lead_state s WHERE s.lead_id = living FOR NO KEY UPDATE;
        -- it may have been merged while we waited
        EXIT WHEN FOUND OR living IS NULL;
    END LOOP;
    RETURN living;
END
$$;
COMMENT ON FUNCTION _lock_living(bigint) IS 'locks the state of a lead, or of the lead that it was merged into, and returns the number of that one; NULL if there is none';

CREATE OR REPLACE FUNCTION _go_on(lead_id bigint, sequence text, run integer, at timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF run IS NOT NULL THEN
        PERFORM @pipeline@._next_steps(ARRAY[lead_id], ARRAY[sequence], ARRAY[run], at);
    END IF;
END
$$;
COMMENT ON FUNCTION _go_on(bigint, text, integer, timestamptz) IS 'lets the sequence of an action that has ended go on, if its run is still open; run NULL: it is of no sequence';

CREATE OR REPLACE FUNCTION _follow_up(lead_id bigint, action_id bigint, properties jsonb, at timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF _follow_up.properties ? 'call_back_at' THEN
        -- it was promised to a person: so it is never too late for it, and no end of a run takes it back
        INSERT INTO @pipeline@.action (lead_id, dedup_key, kind, channel, content, properties, assignee, priority, due_at, created_at)
        SELECT a.lead_id, 'call back/' || a.action_id, 'task', a.channel, a.content, a.properties, a.assignee, a.priority,
            greatest(c.call_at, _follow_up.at), _follow_up.at
        FROM @pipeline@.action a
            JOIN @pipeline@.lead l ON l.lead_id = a.lead_id
            CROSS JOIN @pipeline@.setting z
            CROSS JOIN LATERAL (
                -- people write anything; what is no date is no error
                SELECT leadscore_internal.iso_instant(_follow_up.properties ->> 'call_back_at', leadscore_internal.known_zone(l.time_zone, z.time_zone)) AS call_at
            ) c
        WHERE a.lead_id = _follow_up.lead_id AND a.action_id = _follow_up.action_id AND a.kind <> 'message'
            AND l.erased_at IS NULL AND c.call_at IS NOT NULL
        ON CONFLICT DO NOTHING;
    END IF;
END
$$;
COMMENT ON FUNCTION _follow_up(bigint, bigint, jsonb, timestamptz) IS
    'adds the task that the outcome of a task or an alert asks for: the same again, at the instant of the property call_back_at';

CREATE OR REPLACE FUNCTION complete_action(lead_id bigint, action_id bigint, attempt integer, outcome text DEFAULT NULL,
        properties jsonb DEFAULT '{}', at timestamptz DEFAULT now()) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    living bigint;
    done @pipeline@.action;
    event_kind text;
BEGIN
    PERFORM leadscore_internal.pipeline_on_this_node(@pipeline_name@);
    PERFORM leadscore_internal.require_instant('at', at);
    IF jsonb_typeof(complete_action.properties) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'properties must be a JSON object'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave the argument out if the default is meant.';
    END IF;
    living := @pipeline@._lock_living(complete_action.lead_id);
    SELECT * INTO done FROM @pipeline@.action a WHERE a.lead_id = living AND a.action_id = complete_action.action_id;
    IF done.action_id IS NULL OR done.attempt IS DISTINCT FROM complete_action.attempt THEN
        RETURN false;
    ELSIF done.status = 'done' THEN
        RETURN true;
    ELSIF done.status <> 'claimed' AND NOT (done.status = 'waiting' AND done.kind <> 'message') THEN
        RETURN false;
    END IF;
    UPDATE @pipeline@.action a
    SET status = 'done', reason = NULL, ended_at = at, outcome = complete_action.outcome, claimed_until = NULL, error = NULL
    WHERE a.lead_id = done.lead_id AND a.action_id = done.action_id;
    IF done.experiment IS NOT NULL THEN
        PERFORM @pipeline@._expose(ARRAY[done.lead_id], ARRAY[done.experiment], ARRAY[done.variant], ARRAY[at]);
    END IF;
    event_kind := @pipeline@._done_kind(done.kind, done.channel);
    IF event_kind IS NOT NULL THEN
        INSERT INTO @pipeline@.event (lead_id, kind, occurred_at, channel, source_id, properties)
        VALUES (done.lead_id, event_kind, at, NULL, 'action:' || done.action_id,
            done.properties || jsonb_strip_nulls(jsonb_build_object('message', done.content, 'variant', done.variant, 'topic', done.topic,
                'sequence', done.sequence, 'step', done.step, 'outcome', complete_action.outcome,
                'by', CASE WHEN done.kind = 'task' THEN coalesce(done.assignee, (SELECT l.owner FROM @pipeline@.lead l WHERE l.lead_id = done.lead_id)) END))
            || complete_action.properties)
        ON CONFLICT DO NOTHING;
    END IF;
    PERFORM @pipeline@._follow_up(done.lead_id, done.action_id, complete_action.properties, at);
    PERFORM @pipeline@._go_on(done.lead_id, done.sequence, done.run, at);
    RETURN true;
END
$$;
REVOKE EXECUTE ON FUNCTION complete_action(bigint, bigint, integer, text, jsonb, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION complete_action(bigint, bigint, integer, text, jsonb, timestamptz) IS
    'says that an action was done: a message becomes an event of kind <channel>_sent, a task one of kind outreach, with properties added; the next step of its sequence is due its delay after at. Of a task or an alert the property call_back_at, an ISO date or timestamp, adds the same task for then; without an offset it is by the clock of the lead, and what is no date adds none. attempt: the ticket from claim_actions(), or of a task or an alert that nobody has claimed the number that a view shows. False, and nothing is changed, if another attempt has it or it was ended otherwise; true again if it was done with this attempt';

CREATE OR REPLACE FUNCTION complete_actions(actions jsonb, at timestamptz DEFAULT now()) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    hint CONSTANT text := 'Pass something like [{"lead_id": 1, "action_id": 7, "attempt": 1, "outcome": "sent"}].';
    lead_ids bigint[];
    action_ids bigint[];
    attempts integer[];
    outcomes text[];
    details jsonb[];
    completed bigint := 0;
BEGIN
    PERFORM leadscore_internal.pipeline_on_this_node(@pipeline_name@);
    IF jsonb_typeof(actions) IS DISTINCT FROM 'array' OR jsonb_path_exists(actions, 'strict $[*] ? (@.type() != "object")') THEN
        RAISE EXCEPTION 'actions must be a JSON array of objects'
            USING ERRCODE = 'invalid_parameter_value', HINT = hint;
    END IF;
    BEGIN
        -- in the order of the leads that are locked, which a merge may have changed
        SELECT array_agg(o.lead_id), array_agg(o.action_id), array_agg(o.attempt), array_agg(o.outcome), array_agg(coalesce(o.properties, '{}'))
        INTO lead_ids, action_ids, attempts, outcomes, details
        FROM (
            SELECT a.*
            FROM jsonb_to_recordset(actions) AS a (lead_id bigint, action_id bigint, attempt integer, outcome text, properties jsonb)
            ORDER BY @pipeline@._living_lead(a.lead_id), a.action_id
        ) o;
    EXCEPTION
        WHEN invalid_text_representation OR numeric_value_out_of_range THEN
            RAISE EXCEPTION 'lead_id, action_id and attempt of each action must be whole numbers'
                USING ERRCODE = 'invalid_parameter_value', HINT = hint;
    END;
    FOR i IN 1 .. coalesce(cardinality(lead_ids), 0) LOOP
        completed := completed + @pipeline@.complete_action(lead_ids[i], action_ids[i], attempts[i], outcomes[i], details[i], at)::integer;
    END LOOP;
    RETURN completed;
END
$$;
REVOKE EXECUTE ON FUNCTION complete_actions(jsonb, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION complete_actions(jsonb, timestamptz) IS
    'complete_action() for many: an array of objects with lead_id, action_id, attempt, and outcome and properties if there are any; returns how many are done';

CREATE OR REPLACE FUNCTION fail_action(lead_id bigint, action_id bigint, attempt integer, error text DEFAULT NULL,
        retry boolean DEFAULT true, at timestamptz DEFAULT now()) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    living bigint;
    failed @pipeline@.action;
    ended text;
    again boolean;
BEGIN
    PERFORM leadscore_internal.pipeline_on_this_node(@pipeline_name@);
    PERFORM leadscore_internal.require_instant('at', at);
    living := @pipeline@._lock_living(fail_action.lead_id);
    SELECT * INTO failed FROM @pipeline@.action a WHERE a.lead_id = living AND a.action_id = fail_action.action_id;
    IF failed.action_id IS NULL OR failed.status <> 'claimed' OR failed.attempt IS DISTINCT FROM fail_action.attempt THEN
        RETURN false;
    END IF;
    SELECT e.end_reason INTO ended
    FROM @pipeline@.enrollment e
    WHERE e.lead_id = failed.lead_id AND e.sequence = failed.sequence AND e.run = failed.run AND e.ended_at IS NOT NULL;
    again := ended IS NULL AND retry IS TRUE AND failed.attempt < failed.max_attempts;
    UPDATE @pipeline@.action a
    SET status = CASE WHEN again THEN 'waiting' WHEN ended IS NOT NULL THEN 'cancelled' ELSE 'failed' END,
        reason = CASE WHEN again THEN 'retry' ELSE ended END,
        ended_at = CASE WHEN NOT again THEN at END,
        -- 1, 4, 16 and 64 minutes
        due_at = CASE WHEN again THEN at + interval '1 minute' * 4 ^ (least(a.attempt, 10) - 1) ELSE a.due_at END,
        claimed_until = NULL, error = fail_action.error
    WHERE a.lead_id = failed.lead_id AND a.action_id = failed.action_id
    RETURNING * INTO failed;
    IF failed.status = 'failed' THEN
        PERFORM @pipeline@._go_on(failed.lead_id, failed.sequence, failed.run, at);
    END IF;
    RETURN true;
END
$$;
REVOKE EXECUTE ON FUNCTION fail_action(bigint, bigint, integer, text, boolean, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION fail_action(bigint, bigint, integer, text, boolean, timestamptz) IS
    'says that an attempt failed: it is tried again 1, 4, 16, 64 minutes later, up to max_attempts; then, or with retry => false, it has failed and its sequence goes on. If its run has ended it is cancelled. False, and nothing is changed, if another attempt has it';

CREATE OR REPLACE FUNCTION extend_action(lead_id bigint, action_id bigint, attempt integer, lease interval DEFAULT '5 minutes',
        at timestamptz DEFAULT now()) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    living bigint;
    held @pipeline@.action;
BEGIN
    PERFORM leadscore_internal.pipeline_on_this_node(@pipeline_name@);
    PERFORM leadscore_internal.require_instant('at', at);
    IF lease IS NULL OR lease <= interval '0' OR lease > interval '30 days' THEN
        RAISE EXCEPTION 'lease must be positive, and 30 days at most'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass something like interval ''5 minutes''.';
    END IF;
    living := @pipeline@._lock_living(extend_action.lead_id);
    SELECT * INTO held FROM @pipeline@.action a WHERE a.lead_id = living AND a.action_id = extend_action.action_id;
    IF held.action_id IS NULL OR held.status <> 'claimed' OR held.attempt IS DISTINCT FROM extend_action.attempt THEN
        RETURN false;
    END IF;
    UPDATE @pipeline@.action a
    SET claimed_until = greatest(a.claimed_until, at + lease)
    WHERE a.lead_id = held.lead_id AND a.action_id = held.action_id;
    RETURN true;
END
$$;
REVOKE EXECUTE ON FUNCTION extend_action(bigint, bigint, integer, interval, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION extend_action(bigint, bigint, integer, interval, timestamptz) IS
    'lets a worker keep an action for lease from at on, never shorter than before. False, and nothing is changed, if another attempt has it';

CREATE OR REPLACE FUNCTION cancel_action(lead_id bigint, action_id bigint, attempt integer, reason text DEFAULT 'by hand',
        at timestamptz DEFAULT now()) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    living bigint;
    held @pipeline@.action;
BEGIN
    PERFORM leadscore_internal.pipeline_on_this_node(@pipeline_name@);
    PERFORM leadscore_internal.require_instant('at', at);
    living := @pipeline@._lock_living(cancel_action.lead_id);
    SELECT * INTO held FROM @pipeline@.action a WHERE a.lead_id = living AND a.action_id = cancel_action.action_id;
    IF held.action_id IS NULL OR held.status NOT IN ('waiting', 'claimed') OR held.attempt IS DISTINCT FROM cancel_action.attempt THEN
        RETURN false;
    END IF;
    UPDATE @pipeline@.action a
    SET status = 'cancelled', reason = cancel_action.reason, ended_at = at, claimed_until = NULL
    WHERE a.lead_id = held.lead_id AND a.action_id = held.action_id;
    PERFORM @pipeline@._go_on(held.lead_id, held.sequence, held.run, at);
    RETURN true;
END
$$;
REVOKE EXECUTE ON FUNCTION cancel_action(bigint, bigint, integer, text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION cancel_action(bigint, bigint, integer, text, timestamptz) IS
    'takes an action out of the queue, also from its worker; its sequence goes on, see unenroll(). False, and nothing is changed, if it was claimed since (another attempt) or has ended';

CREATE OR REPLACE FUNCTION action_wanted(lead_id bigint, action_id bigint, attempt integer, at timestamptz DEFAULT now()) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    living CONSTANT bigint := @pipeline@._living_lead(action_wanted.lead_id);
BEGIN
    PERFORM leadscore_internal.pipeline_on_this_node(@pipeline_name@);
    RETURN EXISTS (
        SELECT FROM @pipeline@.action a
        WHERE a.lead_id = living AND a.action_id = action_wanted.action_id AND a.attempt = action_wanted.attempt
            AND a.status = 'claimed' AND a.claimed_until > action_wanted.at
            AND NOT EXISTS (
                SELECT FROM @pipeline@.enrollment e
                WHERE e.lead_id = a.lead_id AND e.sequence = a.sequence AND e.run = a.run AND e.ended_at IS NOT NULL)
            AND NOT EXISTS (SELECT FROM @pipeline@.sequence q WHERE q.sequence = a.sequence AND q.status <> 'active')
            AND (a.kind <> 'message' OR @pipeline@._may_contact(a.lead_id, a.channel, a.topic, action_wanted.at, a.transactional)
                AND (a.transactional OR @pipeline@._unwanted(a.lead_id, a.channel, a.topic) IS NULL)));
END
$$;
REVOKE EXECUTE ON FUNCTION action_wanted(bigint, bigint, integer, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION action_wanted(bigint, bigint, integer, timestamptz) IS
    'whether a worker that has claimed an action is still to do it: its lease runs, no goal or exit has ended the run meanwhile, its sequence is not paused, consent holds, and the lead wants such messages. To be asked right before sending';

CREATE OR REPLACE FUNCTION add_action_by_id(lead_id bigint, channel text, content text, due_at timestamptz DEFAULT now(), dedup_key text DEFAULT NULL,
        kind text DEFAULT 'message', topic text DEFAULT NULL, transactional boolean DEFAULT false, priority integer DEFAULT 100,
        properties jsonb DEFAULT '{}', expires_after interval DEFAULT '2 days', assignee text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    added bigint;
    problem text;
BEGIN
    PERFORM leadscore_internal.pipeline_on_one_node(@pipeline_name@);
    PERFORM leadscore_internal.require_instant('due_at', due_at);
    channel := lower(btrim(channel) COLLATE "C");
    topic := nullif(lower(btrim(topic) COLLATE "C"), '');
    problem := CASE
        WHEN channel IS NULL OR channel = '' THEN 'channel must not be empty'
        WHEN octet_length(channel) > 200 OR octet_length(topic) > 200 THEN 'channel and topic must not be longer than 200 bytes'
        WHEN dedup_key = '' THEN 'dedup_key must not be empty'
        WHEN octet_length(dedup_key) > 2000 THEN 'dedup_key must not be longer than 2000 bytes'
        WHEN kind IS NULL OR kind NOT IN ('message', 'task', 'alert') THEN format('kind must be message, task or alert, not "%s"', kind)
        WHEN transactional IS NULL THEN 'transactional must be true or false'
        WHEN transactional AND (kind <> 'message' OR topic IS NOT NULL) THEN 'only a message without topic can be transactional'
        WHEN priority IS NULL OR priority NOT BETWEEN -32768 AND 32767 THEN 'priority must be a smallint'
        WHEN jsonb_typeof(properties) IS DISTINCT FROM 'object' THEN 'properties must be a JSON object'
        WHEN expires_after <= interval '0' OR expires_after > interval '100 years' THEN 'expires_after must be positive, and 100 years at most'
    END;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION '%', problem
            USING ERRCODE = 'invalid_parameter_value',
                HINT = 'Pass something like channel => ''email'', content => ''receipt'', dedup_key => ''order 42'', transactional => true.';
    END IF;
    PERFORM @pipeline@._lock_leads(ARRAY[lead_id]);
    PERFORM FROM @pipeline@.lead l WHERE l.lead_id = add_action_by_id.lead_id AND l.erased_at IS NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no lead %', coalesce(lead_id::text, 'NULL')
            USING ERRCODE = 'no_data_found', HINT = @pipeline@._missing_hint(lead_id);
    END IF;
    INSERT INTO @pipeline@.action (lead_id, dedup_key, kind, channel, topic, content, properties, assignee, transactional, priority, due_at, expires_at)
    SELECT lead_id, coalesce('app:' || dedup_key, 'app/' || gen_random_uuid()), kind, channel, topic, content, properties, assignee, transactional, priority, due_at,
        (due_at AT TIME ZONE 'UTC' + expires_after) AT TIME ZONE 'UTC'
    ON CONFLICT DO NOTHING
    RETURNING action_id INTO added;
    RETURN coalesce(added, (SELECT a.action_id FROM @pipeline@.action a WHERE a.lead_id = add_action_by_id.lead_id AND a.dedup_key = 'app:' || add_action_by_id.dedup_key));
END
$$;
REVOKE EXECUTE ON FUNCTION add_action_by_id(bigint, text, text, timestamptz, text, text, text, boolean, integer, jsonb, interval, text) FROM PUBLIC;
COMMENT ON FUNCTION add_action_by_id(bigint, text, text, timestamptz, text, text, text, boolean, integer, jsonb, interval, text) IS
    'add_action() for the lead with this number, which must be there';

CREATE OR REPLACE FUNCTION add_action(external_id text, channel text, content text, due_at timestamptz DEFAULT now(), dedup_key text DEFAULT NULL,
        kind text DEFAULT 'message', topic text DEFAULT NULL, transactional boolean DEFAULT false, priority integer DEFAULT 100,
        properties jsonb DEFAULT '{}', expires_after interval DEFAULT '2 days', assignee text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_on_one_node(@pipeline_name@);
    RETURN @pipeline@.add_action_by_id(@pipeline@._hold_lead(external_id), channel, content, due_at, dedup_key, kind, topic, transactional,
        priority, properties, expires_after, assignee);
END
$$;
REVOKE EXECUTE ON FUNCTION add_action(text, text, text, timestamptz, text, text, text, boolean, integer, jsonb, interval, text) FROM PUBLIC;
COMMENT ON FUNCTION add_action(text, text, text, timestamptz, text, text, text, boolean, integer, jsonb, interval, text) IS
    'puts a message, a task or an alert of the app''s own into the queue, under the same consent, hours and limits, and returns its number. If the lead has an action with this dedup_key already, nothing is added, and the number of that one is returned. expires_after: so long after due_at it is skipped, NULL: never. Errors: 22023 for a wrong argument, P0002 if there is no such lead';

-- Consent

CREATE OR REPLACE FUNCTION _follow_actions(lead_ids bigint[]) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    ids bigint[];
    sequences text[];
    runs integer[];
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF NOT EXISTS (SELECT FROM @pipeline@.action a WHERE a.lead_id = ANY (_follow_actions.lead_ids) AND a.status IN ('waiting', 'claimed')) THEN
        RETURN;
    END IF;
    -- confirmed: what waited for it is due
    UPDATE @pipeline@.action a
    SET due_at = least(a.due_at, now(), (SELECT max(c.occurred_at) FROM @pipeline@.consent c WHERE c.lead_id = a.lead_id AND c.status = 'granted')), reason = NULL
    WHERE a.lead_id = ANY (_follow_actions.lead_ids) AND a.status IN ('waiting', 'claimed') AND a.reason = 'consent requested'
        -- the index of what waits does not begin with lead_id
        AND a.status IS NOT DISTINCT FROM 'waiting'
        AND @pipeline@._may_contact(a.lead_id, a.channel, a.topic, 'infinity', false);
    -- withdrawn: what waits will never go, and its sequence ends
    WITH refused AS (
        UPDATE @pipeline@.action a
        SET status = CASE a.status WHEN 'waiting' THEN 'skipped' ELSE a.status END,
            reason = CASE WHEN a.status = 'claimed' THEN a.reason WHEN EXISTS (
                    SELECT FROM @pipeline@._suppressions(ARRAY[a.lead_id]) s
                    WHERE (s.channel IS NULL OR s.channel = a.channel) AND s.lifted_at IS NULL) THEN 'suppressed' ELSE 'no consent' END,
            ended_at = CASE a.status WHEN 'waiting' THEN now() END
        WHERE a.lead_id = ANY (_follow_actions.lead_ids) AND a.status IN ('waiting', 'claimed') AND a.kind = 'message' AND NOT a.transactional
            AND NOT @pipeline@._may_contact(a.lead_id, a.channel, a.topic, 'infinity', false)
            AND @pipeline@._refusal(a.lead_id, a.channel, a.topic, 'infinity') IN ('suppressed', 'withdrawn')
        RETURNING a.lead_id, a.sequence, a.run
    )
    SELECT array_agg(r.lead_id), array_agg(r.sequence), array_agg(r.run) INTO ids, sequences, runs
    FROM refused r
    WHERE r.run IS NOT NULL;
    IF ids IS NOT NULL THEN
        PERFORM @pipeline@._end_runs(ids, sequences, runs, array_fill('unsubscribed'::text, ARRAY[cardinality(ids)]), now());
    END IF;
END
$$;
COMMENT ON FUNCTION _follow_actions(bigint[]) IS
    'decides about waiting actions of leads whose consent has changed: an action that waited for a grant is due from then on, and one that may never go is skipped';
