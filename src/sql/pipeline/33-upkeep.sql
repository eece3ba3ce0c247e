-- Upkeep of a pipeline.

-- Whoever locks leads or states first says that it writes, with the weak lock
-- of the engine: otherwise activate_model() could wait for it and it for
-- activate_model(). No row is locked, the table is.
CREATE OR REPLACE FUNCTION begin_write() RETURNS void
    LANGUAGE sql VOLATILE SET search_path = ''
BEGIN ATOMIC
    SELECT FROM model WHERE false FOR KEY SHARE;
END;
REVOKE EXECUTE ON FUNCTION begin_write() FROM PUBLIC;
COMMENT ON FUNCTION begin_write() IS 'internal: keeps the configuration as it is until the end of the transaction';

CREATE OR REPLACE FUNCTION sweep(max_leads integer DEFAULT 1000) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    SELECT begin_write();
    -- Several sweeps at a time share the work: none waits for a lead.
    SELECT coalesce(cardinality(d.lead_ids), 0)
    FROM (
            SELECT array_agg(n.lead_id ORDER BY n.lead_id) AS lead_ids
            FROM (
                SELECT s.lead_id
                FROM lead_state s
                WHERE s.next_review_at <= now()
                ORDER BY s.next_review_at
                LIMIT sweep.max_leads
                FOR NO KEY UPDATE SKIP LOCKED
            ) n
        ) d,
        LATERAL (SELECT CASE WHEN d.lead_ids IS NOT NULL THEN review(pipeline(), d.lead_ids, now(), 'decay') END AS changes OFFSET 0) r
    WHERE r.changes IS NULL OR r.changes >= 0;
END;
REVOKE EXECUTE ON FUNCTION sweep(integer) FROM PUBLIC;
COMMENT ON FUNCTION sweep(integer) IS
    'moves the stages that are due because time passed, returns how many leads it looked at; call it now and then until it returns 0; under row security that is forced, the owner needs a policy';

CREATE OR REPLACE FUNCTION rebuild(history boolean DEFAULT false) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    SELECT lock_pipeline(pipeline());
    SELECT rebuild(pipeline(), NULL, rebuild.history);
END;
REVOKE EXECUTE ON FUNCTION rebuild(boolean) FROM PUBLIC;
COMMENT ON FUNCTION rebuild(boolean) IS
    'counts all events and profiles again, whatever row security says, and with history replays all stages; returns how many leads were not right, with history how many were replayed';

CREATE OR REPLACE FUNCTION verify()
    RETURNS TABLE (lead_id bigint, problem text, stored text, expected text)
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH counted AS (
        SELECT l.lead_id, 0 AS signal_id, l.created_at AS at, 1::bigint AS count
        FROM lead l
        UNION ALL
        SELECT l.lead_id, p.signal_id, NULL, 1
        FROM lead l, profile_signals(l) p
        UNION ALL
        SELECT e.lead_id, p.signal_id, e.occurred_at, p.quantity
        FROM event e, event_signals(e) p
    ), expected AS (
        SELECT c.lead_id, lead_activity_agg(c.signal_id, c.at, c.count, s.grain) AS activity
        FROM counted c, setting s
        GROUP BY c.lead_id
    ), newest AS (
        SELECT DISTINCT ON (h.lead_id) h.lead_id, h.to_stage, h.cycle
        FROM stage_history h
        ORDER BY h.lead_id, h.seq DESC
    )
    SELECT l.lead_id, 'lead without a state' AS problem, NULL::text AS stored, NULL::text AS expected
    FROM lead l
    WHERE NOT EXISTS (SELECT FROM lead_state s WHERE s.lead_id = l.lead_id)
    UNION ALL
    SELECT s.lead_id, 'state without a lead' AS problem, s.activity::text AS stored, NULL::text AS expected
    FROM lead_state s
    WHERE NOT EXISTS (SELECT FROM lead l WHERE l.lead_id = s.lead_id)
    UNION ALL
    SELECT e.lead_id, 'events without a lead' AS problem, count(*)::text AS stored, NULL::text AS expected
    FROM event e
    WHERE NOT EXISTS (SELECT FROM lead l WHERE l.lead_id = e.lead_id)
    GROUP BY e.lead_id
    UNION ALL
    SELECT h.lead_id, 'history without a lead' AS problem, h.to_stage::text AS stored, NULL::text AS expected
    FROM newest h
    WHERE NOT EXISTS (SELECT FROM lead l WHERE l.lead_id = h.lead_id)
    UNION ALL
    SELECT s.lead_id, 'activity differs from the events and the profile' AS problem,
        s.activity::text AS stored, x.activity::text AS expected
    FROM lead l
        JOIN lead_state s USING (lead_id)
        JOIN expected w USING (lead_id),
        LATERAL (SELECT CASE WHEN s.baseline IS NULL THEN w.activity ELSE s.baseline + w.activity END) AS x (activity)
    WHERE s.activity <> x.activity
    UNION ALL
    SELECT s.lead_id, 'stage differs from the newest in stage_history' AS problem,
        s.stage::text || ', cycle ' || s.cycle AS stored, h.to_stage::text || ', cycle ' || h.cycle AS expected
    FROM lead_state s
        LEFT JOIN newest h USING (lead_id)
        -- of ranks: IS DISTINCT FROM on our types could not be restored from a dump
    WHERE (stage_rank(s.stage), s.cycle) IS DISTINCT FROM (stage_rank(h.to_stage), h.cycle)
    UNION ALL
    -- a stage by hand leaves no trace in the counts
    SELECT s.lead_id, 'stage_set was not applied' AS problem, s.stage::text AS stored, g.stage::text AS expected
    FROM event e
        JOIN lead_state s USING (lead_id)
        JOIN stages() g ON g.stage::text = lower(e.properties ->> 'stage')
    WHERE e.kind = 'stage_set' AND g.stage <> s.stage
        AND e.occurred_at > s.settled_at AND e.occurred_at > s.stage_since AND e.occurred_at <= now()
    UNION ALL
    -- what is due is the sweep's work; what is not due must not be different
    SELECT s.lead_id, 'stage is behind what points and gates say' AS problem, s.stage::text AS stored, q.stage::text AS expected
    FROM lead_state s,
        model m,
        LATERAL (SELECT qualified_stage(s.activity, m.compiled, now())) AS q (stage)
    WHERE m.status = 'active'
        AND is_open(s.stage) AND NOT s.held
        AND (s.next_review_at IS NULL OR s.next_review_at > now())
        AND q.stage > s.stage
    UNION ALL
    SELECT s.lead_id, 'next_review_at is too late' AS problem, s.next_review_at::text AS stored, q.stage::text AS expected
    FROM lead_state s,
        model m,
        LATERAL (SELECT settled_stage(s.activity, m.compiled, s.stage, s.held, s.settled_at, now())) AS q (stage)
    WHERE m.status = 'active'
        AND (s.next_review_at IS NULL OR s.next_review_at > now())
        AND q.stage <> s.stage;
END;
COMMENT ON FUNCTION verify() IS 'what is stored but wrong, compared with a computation from all events: no rows, ever';

CREATE OR REPLACE FUNCTION unscored() RETURNS TABLE (lead_id bigint, event_id bigint)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    SELECT e.lead_id, e.event_id
    FROM event e
    WHERE shows_all_leads()
        AND NOT EXISTS (SELECT FROM event_signals(e) s)
        AND NOT (
            -- known, and not meant to count
            EXISTS (SELECT FROM event_kind k WHERE k.kind = e.kind)
            AND NOT EXISTS (SELECT FROM signal g WHERE g.event_kinds @> ARRAY[e.kind])
        );
END;
REVOKE EXECUTE ON FUNCTION unscored() FROM PUBLIC;
COMMENT ON FUNCTION unscored() IS
    'keys of the events behind the view unscored_events: signals are conditions on properties, which readers of the view must not see; nothing for whom row security hides some leads';
