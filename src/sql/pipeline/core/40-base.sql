-- Base views and functions, which several views read.
--
-- Names that begin with an underscore are internal: they may change in any
-- version. The others are CREATE OR REPLACE too, columns are only appended,
-- and security_invoker is restated.

-- Some views call functions that read columns which the reader of the view may
-- not see. These run as the owner, which row security does not bind. They
-- return no rows to a role that row security prevents from seeing every lead,
-- because they could not leave out the hidden leads.
CREATE OR REPLACE FUNCTION _shows_all_leads() RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    RETURN leadscore_internal.shows_all($table$@pipeline@.lead$table$::pg_catalog.regclass) AND leadscore_internal.shows_all($table$@pipeline@.event$table$::pg_catalog.regclass)
        AND leadscore_internal.shows_all($table$@pipeline@.lead_state$table$::pg_catalog.regclass) AND leadscore_internal.shows_all($table$@pipeline@.stage_log$table$::pg_catalog.regclass);
END
$$;
COMMENT ON FUNCTION _shows_all_leads() IS
    'whether the role that the session runs as sees every row of lead, event, lead_state and stage_log';

-- Where each lead stands now, including changes that no sweep has recorded yet:
-- because time passed, or because models, signals or segments changed. The only view that
-- reads the stage of lead_state. It reads lead_state twice, so that a condition on the
-- stage of leads that are not due can use an index, and takes each lead from one of the
-- two. What tells them apart stands outside of the union: only then does the planner
-- look single leads up in it, by whatever a query joins to it.
CREATE OR REPLACE VIEW _lead_now WITH (security_invoker = true) AS
SELECT
    s.lead_id,
    s.stage,
    stage_rank(s.stage) AS stage_rank,
    dated(s.stage_since) AS stage_since_at,
    s.recorded_stage,
    s.due,
    dated(s.next_review_at) AS next_review_at,
    s.cycle,
    s.activity,
    m.model,
    m.compiled,
    now() AS at,
    dated(s.recorded_since) AS recorded_since_at
FROM (
        SELECT s.lead_id, s.stage, s.stage_since, s.stage AS recorded_stage, s.stage_since AS recorded_since, false AS due, s.next_review_at,
            s.configuration, s.cycle, s.activity, s.stage_since AS sought_at, (-1)::bigint AS sought_configuration
        FROM lead_state s
        UNION ALL
        SELECT
            s.lead_id,
            current_stage($name$@pipeline@$name$::regnamespace, s.lead_id),
            current_stage_since($name$@pipeline@$name$::regnamespace, s.lead_id),
            s.stage,
            s.stage_since,
            true,
            s.next_review_at,
            s.configuration,
            s.cycle,
            CASE WHEN s.configuration < (SELECT g.signals_configuration FROM setting g)
                THEN current_activity($name$@pipeline@$name$::regnamespace, s.lead_id) ELSE s.activity END,
            s.next_review_at,
            s.configuration
        FROM lead_state s
    ) s
    LEFT JOIN model m ON m.status = 'active'
-- An index finds the leads that are due. For the others this is true: by the second part,
-- and by the first the planner knows it
WHERE (s.sought_at <= now()
        -- a range between two bounds the planner takes for small: it would think of a third of all leads
        OR s.sought_configuration >= -1 AND s.sought_configuration < (SELECT g.configuration FROM setting g)
            AND s.sought_configuration <> (SELECT g.configuration FROM setting g))
    -- the planner takes a test for NULL to hold for nearly all, and a comparison for half of them
    AND CASE WHEN ((s.next_review_at <= now() OR s.configuration < (SELECT g.configuration FROM setting g)) IS TRUE) = s.due THEN true END IS NOT NULL;
COMMENT ON VIEW _lead_now IS
    'one row a lead: its stage of now, beside what a score is computed from; due: the stage had to be computed, else it is recorded_stage';

-- The columns that leads are sliced by.
CREATE OR REPLACE VIEW _source WITH (security_invoker = true) AS
SELECT
    l.lead_id,
    l.external_id,
    coalesce(l.market, '(none)') AS market,
    coalesce(l.country, '(none)') AS country,
    coalesce(l.channel, c.channel, '(none)') AS channel,
    coalesce(c.direction, h.direction, '(none)') AS direction,
    coalesce(l.campaign, '(none)') AS campaign,
    coalesce(c.sourcing, '(none)') AS sourcing,
    coalesce(l.owner, '(none)') AS owner,
    coalesce(l.persona, '(none)') AS persona,
    l.referred_by,
    dated(l.created_at) AS created_at,
    coalesce(l.objective, c.objective, '(none)') AS objective
FROM lead l
    LEFT JOIN campaign c ON c.campaign = l.campaign
    LEFT JOIN channel h ON h.channel = coalesce(l.channel, c.channel);
COMMENT ON VIEW _source IS 'one row a lead: its source, owner and other columns to slice by; (none): not known';

-- A contact is a lead while it has the stage iql or a higher one and meets the
-- gates of iql (is_lead; where no model was active, the stages up to prospect).
-- A customer that never was a lead is in no rate of leads.
CREATE OR REPLACE VIEW _history WITH (security_invoker = true) AS
SELECT
    h.lead_id,
    h.seq,
    h.cycle,
    h.from_stage,
    h.to_stage,
    dated(h.effective_at) AS effective_at,
    dated(h.from_since) AS from_since,
    h.to_stage >= 'iql' AND coalesce(h.is_lead, h.to_stage <= 'prospect') AS is_lead,
    h.stepped_back,
    h.cause
FROM stage_history h;
COMMENT ON VIEW _history IS
    'one row for each time that a lead was in a stage; is_lead: as a lead; instants outside the years 1 to 9999 are NULL';

-- Contacts by sales: it tried to reach the lead (outreach), spoke with it
-- (sales_contact) or met it (meeting_held). One that is dated ahead has not been made.
CREATE OR REPLACE VIEW _contact WITH (security_invoker = true) AS
SELECT e.lead_id, e.event_id, e.occurred_at AS contacted_at
FROM event e
WHERE e.kind = ANY (kinds_of('event_kind', 'outreach', 'sales_contact', 'meeting_held')) AND is_dated(e.occurred_at) AND e.occurred_at <= now();
COMMENT ON VIEW _contact IS 'one row an event of role outreach, sales_contact or meeting_held, up to now';

-- The hours of the team, as add_business_time() takes them: clocks of sales run
-- only then, as sla_warning does. One without hours is never off duty. The zone
-- takes more time than all the rest of a row, and is for hours only.
CREATE OR REPLACE VIEW _business_week WITH (security_invoker = true) AS
SELECT CASE WHEN b.weekdays IS NOT NULL THEN known_zone(z.time_zone, 'UTC') END AS time_zone, b.weekdays, b.opens, b.closes
FROM (SELECT max(s.time_zone) AS time_zone FROM setting s) z
    CROSS JOIN (
        SELECT array_agg(b.weekday ORDER BY b.weekday, b.opens_at) AS weekdays,
            array_agg(b.opens_at ORDER BY b.weekday, b.opens_at) AS opens,
            array_agg(b.closes_at ORDER BY b.weekday, b.opens_at) AS closes
        FROM business_hours b
    ) b;
COMMENT ON VIEW _business_week IS 'one row: business_hours as arrays, and their time zone; all NULL if there are none';

-- One row for each stay in a stage, as of now, with the first contact of sales
-- that counts for it. A contact before the stay counts if it led to it: it was
-- in the same cycle, and not longer before than the time in which the stage
-- asks for a contact (stage_rule.sla, or else setting.first_response_within);
-- of several the last one. A call a minute before the last answer of BANT is
-- such a contact. Else the first contact counts that came during the stay.
CREATE OR REPLACE VIEW _stay_row WITH (security_invoker = true) AS
SELECT
    y.lead_id,
    y.seq,
    y.cycle,
    y.stage,
    y.entered_at,
    dated(due_after(y.entered_at, r.sla, w.time_zone, w.weekdays, w.opens, w.closes)) AS due_at,
    y.left_at,
    y.is_current,
    coalesce(k.before_at, k.during_at) AS contacted_at
FROM (
        -- what has ended: the next stage has begun, recorded by a sweep or not
        SELECT h.lead_id, h.seq, h.cycle, h.to_stage AS stage, h.effective_at AS entered_at, CASE WHEN n.lead_id IS NULL THEN s.stage_since_at ELSE n.effective_at END AS left_at,
            false AS is_current, s.activity, s.model
        FROM _history h
            JOIN _lead_now s ON s.lead_id = h.lead_id
            LEFT JOIN LATERAL (
                SELECT n.lead_id, n.effective_at
                FROM _history n
                WHERE n.lead_id = h.lead_id AND n.seq > h.seq
                ORDER BY n.seq
                LIMIT 1
            ) n ON true
        WHERE n.lead_id IS NOT NULL OR s.due AND (s.stage, s.stage_since_at) IS DISTINCT FROM (s.recorded_stage, s.recorded_since_at)
        UNION ALL
        -- the stage of now: the state of the lead says all but its number
        SELECT
            s.lead_id,
            CASE WHEN NOT s.due OR (s.stage, s.stage_since_at) IS NOT DISTINCT FROM (s.recorded_stage, s.recorded_since_at)
                THEN h.seq END,
            s.cycle,
            s.stage,
            s.stage_since_at,
            NULL,
            true,
            s.activity,
            s.model
        FROM _lead_now s
            LEFT JOIN LATERAL (SELECT max(h.seq) AS seq FROM _history h WHERE h.lead_id = s.lead_id) h ON true
    ) y
    CROSS JOIN (SELECT fixed_period(max(s.first_response_within)) AS first_response_within FROM setting s) z
    CROSS JOIN _business_week w
    -- of several rows for a stage the one that the engine takes
    LEFT JOIN LATERAL (
        SELECT fixed_period((array_agg(r.sla ORDER BY r.only_if = '', r.only_if COLLATE "C"))[1]) AS sla
        FROM stage_rule r
            LEFT JOIN signal g ON g.signal = r.only_if
        WHERE r.model = y.model AND r.stage = y.stage AND (r.only_if = '' OR has_signal(y.activity, g.signal_id))
    ) r ON true
    LEFT JOIN LATERAL (
        SELECT
            min(c.contacted_at) FILTER (WHERE c.contacted_at >= y.entered_at AND (c.contacted_at <= y.left_at OR y.left_at IS NULL)) AS during_at,
            max(c.contacted_at) FILTER (WHERE c.contacted_at < y.entered_at
                AND c.contacted_at >= y.entered_at - coalesce(r.sla, z.first_response_within)
                AND c.contacted_at >= b.began_at) AS before_at
        FROM _contact c
            CROSS JOIN (
                SELECT min(b.effective_at) AS began_at
                FROM _history b
                WHERE b.lead_id = y.lead_id AND b.cycle = y.cycle
            ) b
        WHERE c.lead_id = y.lead_id
            -- most leads have none, and their events need not be read
            AND may_have_event($name$@pipeline@$name$::regnamespace, y.activity, 'outreach', 'sales_contact', 'meeting_held')
    ) k ON true
WHERE y.entered_at IS NOT NULL;
COMMENT ON VIEW _stay_row IS
    'one row a stay in a stage, as of now: by when sales was to contact the lead, and when it did';

-- It has another form where Citus spreads the leads over nodes.
CREATE OR REPLACE VIEW _stay WITH (security_invoker = true) AS
SELECT y.lead_id, y.seq, y.cycle, y.stage, y.entered_at, y.due_at, y.left_at, y.is_current, y.contacted_at
FROM _stay_row y;
COMMENT ON VIEW _stay IS 'the rows of _stay_row';

-- Signals that ask for certain kinds of events, by name or by role.
CREATE OR REPLACE VIEW _kind_signal WITH (security_invoker = true) AS
SELECT k.kind, g.signal
FROM signal g
    CROSS JOIN LATERAL unnest(g.event_kinds) AS k (kind)
UNION
SELECT k.kind, g.signal
FROM signal g
    JOIN event_kind k ON k.role = g.event_role;
COMMENT ON VIEW _kind_signal IS 'one row a kind of event and signal that asks for it';

-- Signals are conditions on properties, which readers of views must not see.
CREATE OR REPLACE FUNCTION _unscored() RETURNS TABLE (lead_id bigint, event_id bigint, reason text, signal text, key text)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    by_lead CONSTANT boolean := leadscore_internal.is_by_lead(leadscore_internal.pipeline_schema(@pipeline_name@));
BEGIN
    IF NOT @pipeline@._shows_all_leads() THEN
        RETURN;
    END IF;
    IF by_lead THEN
        -- the same: Citus takes a function of a row in the list of columns only
        RETURN QUERY
            SELECT e.lead_id, e.event_id,
                CASE WHEN m.least IS NOT NULL THEN 'wrong type' WHEN k.kind IS NOT NULL OR a.kind IS NOT NULL THEN 'no signal matches' ELSE 'unknown kind' END,
                m.least[1], m.least[2]
            FROM @pipeline@.event e
                LEFT JOIN @pipeline@.event_kind k ON k.kind = e.kind
                LEFT JOIN (SELECT DISTINCT g.kind FROM @pipeline@._kind_signal g) a ON a.kind = e.kind
                LEFT JOIN (
                    SELECT t.lead_id, t.event_id, min(ARRAY[g.signal, (t.m).key] COLLATE "C") AS least
                    FROM (SELECT o.lead_id, o.event_id, leadscore_internal.event_mistypes(o) AS m FROM @pipeline@.event o WHERE o.properties <> '{}') t
                        JOIN @pipeline@.signal g ON g.signal_id = (t.m).signal_id
                    GROUP BY t.lead_id, t.event_id
                ) m ON m.lead_id = e.lead_id AND m.event_id = e.event_id
                LEFT JOIN (
                    SELECT DISTINCT t.lead_id, t.event_id
                    FROM (SELECT o.lead_id, o.event_id, leadscore_internal.event_signals(o) AS s FROM @pipeline@.event o) t
                ) s ON s.lead_id = e.lead_id AND s.event_id = e.event_id
            WHERE e.kind <> 'stage_set'
                AND (m.least IS NOT NULL OR s.event_id IS NULL AND NOT (k.kind IS NOT NULL AND a.kind IS NULL));
    ELSE
        RETURN QUERY
            SELECT e.lead_id, e.event_id,
                CASE WHEN m.signal IS NOT NULL THEN 'wrong type' WHEN a.listed OR a.asked THEN 'no signal matches' ELSE 'unknown kind' END,
                m.signal, m.key
            FROM @pipeline@.event e
                CROSS JOIN LATERAL (
                    SELECT EXISTS (SELECT FROM @pipeline@.event_kind k WHERE k.kind = e.kind) AS listed,
                        EXISTS (SELECT FROM @pipeline@._kind_signal g WHERE g.kind = e.kind) AS asked
                ) a
                LEFT JOIN LATERAL (
                    SELECT g.signal, t.key
                    FROM leadscore_internal.event_mistypes(e) t
                        JOIN @pipeline@.signal g USING (signal_id)
                    ORDER BY g.signal COLLATE "C", t.key COLLATE "C"
                    LIMIT 1
                ) m ON e.properties <> '{}'
            WHERE e.kind <> 'stage_set'
                AND (m.signal IS NOT NULL
                    OR NOT EXISTS (SELECT FROM leadscore_internal.event_signals(e) s)
                        -- known, and not meant to count
                        AND NOT (a.listed AND NOT a.asked));
    END IF;
    -- A stage by hand is to put the lead into it, unless it is in it already.
    RETURN QUERY
        SELECT e.lead_id, e.event_id, 'stage not set', NULL::text, NULL::text
        FROM @pipeline@.event e
            JOIN @pipeline@.lead_state s USING (lead_id)
            CROSS JOIN LATERAL (SELECT greatest(e.occurred_at, timestamptz '0001-01-01 00:00+00') AS at) t
        WHERE e.kind = 'stage_set'
            -- what is dated ahead waits, and what is due until it is recorded
            AND t.at <= now()
            AND (s.pending_at > t.at) IS NOT FALSE
            AND NOT EXISTS (
                SELECT FROM @pipeline@.stage_history h
                WHERE h.lead_id = e.lead_id
                    AND h.to_stage = leadscore_internal.stage_to_set(e.properties)
                    AND h.effective_at <= t.at
                    AND NOT EXISTS (
                        SELECT FROM @pipeline@.stage_history n
                        WHERE n.lead_id = h.lead_id AND n.seq > h.seq
                            AND (n.effective_at < t.at
                                -- lost in the same instant, and so not to be set
                                OR n.effective_at = t.at AND NOT n.is_lead AND h.to_stage BETWEEN 'iql' AND 'prospect')
                    )
            );
END
$$;
REVOKE EXECUTE ON FUNCTION _unscored() FROM PUBLIC;
COMMENT ON FUNCTION _unscored() IS 'the events of the view unscored_events';

CREATE OR REPLACE FUNCTION _unscored_profiles() RETURNS TABLE (lead_id bigint, signal text, key text, value_type text)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF NOT @pipeline@._shows_all_leads() THEN
        RETURN;
    END IF;
    RETURN QUERY
        SELECT l.lead_id, g.signal, t.key, jsonb_typeof(l.profile -> t.key)
        FROM @pipeline@.lead l
            CROSS JOIN LATERAL leadscore_internal.profile_mistypes(l) t
            JOIN @pipeline@.signal g USING (signal_id)
        WHERE l.profile <> '{}';
END
$$;
REVOKE EXECUTE ON FUNCTION _unscored_profiles() FROM PUBLIC;
COMMENT ON FUNCTION _unscored_profiles() IS 'the rows of the view unscored_profiles';

-- What a profile says that readers of views may see, of one lead at a time: the
-- date by which the lead wants to be ready. It is computed only if it is asked for.
CREATE OR REPLACE FUNCTION _deadline_at(lead_id bigint) RETURNS timestamptz
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    deadline text;
BEGIN
    PERFORM leadscore_internal.pipeline_of_lead(@pipeline_name@, _deadline_at.lead_id);
    deadline := (SELECT l.profile ->> 'deadline' FROM @pipeline@.lead l WHERE l.lead_id = _deadline_at.lead_id);
    -- few leads have one, and only then is the rest worth its time
    IF deadline IS NULL OR NOT @pipeline@._shows_all_leads() THEN
        RETURN NULL;
    END IF;
    RETURN (SELECT leadscore_internal.iso_instant(deadline, s.time_zone) FROM @pipeline@.setting s);
END
$$;
REVOKE EXECUTE ON FUNCTION _deadline_at(bigint) FROM PUBLIC;
COMMENT ON FUNCTION _deadline_at(bigint) IS 'when a lead wants to be ready, by the key deadline of its profile; NULL if it is no date';

-- A property that readers of views may see, of one lead at a time: the name of
-- the content that an event is about.
CREATE OR REPLACE FUNCTION _content_name(lead_id bigint, event_id bigint) RETURNS text
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_of_lead(@pipeline_name@, _content_name.lead_id);
    RETURN (
        SELECT e.properties ->> 'content'
        FROM @pipeline@.event e
        WHERE e.lead_id = _content_name.lead_id AND e.event_id = _content_name.event_id
            AND jsonb_typeof(e.properties -> 'content') IN ('string', 'number') AND @pipeline@._shows_all_leads());
END
$$;
REVOKE EXECUTE ON FUNCTION _content_name(bigint, bigint) FROM PUBLIC;
COMMENT ON FUNCTION _content_name(bigint, bigint) IS 'what an event is about, its property content';

-- Properties that readers of views may see, of one event at a time: what names
-- our contents, pages, forms and messages, what came of a contact, why, and who
-- of the team it was.
CREATE OR REPLACE FUNCTION _event_text(lead_id bigint, event_id bigint, key text) RETURNS text
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_of_lead(@pipeline_name@, _event_text.lead_id);
    RETURN (
        SELECT CASE _event_text.key
            WHEN 'content' THEN coalesce(t.content, t.message)
            WHEN 'page' THEN CASE WHEN t.page IS NOT NULL THEN leadscore_internal.page_name(t.page) END
            WHEN 'form' THEN t.form
            WHEN 'outcome' THEN t.outcome
            WHEN 'reason' THEN t.reason
            WHEN 'by' THEN t.by END
        FROM @pipeline@.event e
            CROSS JOIN LATERAL (
                SELECT min(p.value #>> '{}') FILTER (WHERE p.key = 'content'), min(p.value #>> '{}') FILTER (WHERE p.key = 'message'),
                    min(p.value #>> '{}') FILTER (WHERE p.key = 'page'), min(p.value #>> '{}') FILTER (WHERE p.key = 'form'),
                    min(p.value #>> '{}') FILTER (WHERE p.key = 'outcome'), min(p.value #>> '{}') FILTER (WHERE p.key = 'reason'),
                    min(p.value #>> '{}') FILTER (WHERE p.key = 'by')
                FROM jsonb_each(CASE WHEN jsonb_typeof(e.properties) = 'object' THEN e.properties END) p
                WHERE jsonb_typeof(p.value) IN ('string', 'number')
            ) t (content, message, page, form, outcome, reason, by)
        WHERE e.lead_id = _event_text.lead_id AND e.event_id = _event_text.event_id AND @pipeline@._shows_all_leads());
END
$$;
REVOKE EXECUTE ON FUNCTION _event_text(bigint, bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION _event_text(bigint, bigint, text) IS
    'a property of an event that is a text or a number: content (or else message), page, form, outcome, reason or by; NULL for other keys';

-- The state knows how often each signal was counted on each day. What is not
-- yet so at an instant is taken back: what the profile became later, and the
-- events of the same day, or hour, that come after. So only the events of one
-- day are read.
CREATE OR REPLACE FUNCTION _score_after(lead_id bigint, at timestamptz, event_id bigint) RETURNS double precision
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    grain interval;
    counts leadscore.lead_activity;
    later leadscore.lead_activity;
    compiled leadscore.lead_model;
    next_at timestamptz;
BEGIN
    PERFORM leadscore_internal.pipeline_of_lead(@pipeline_name@, _score_after.lead_id);
    IF at IS NULL OR NOT @pipeline@._shows_all_leads() THEN
        RETURN NULL;
    END IF;
    SELECT n.activity, n.compiled, z.grain INTO counts, compiled, grain
    FROM @pipeline@._lead_now n
        JOIN @pipeline@.lead l ON l.lead_id = n.lead_id
        CROSS JOIN @pipeline@.setting z
    WHERE n.lead_id = _score_after.lead_id AND l.created_at <= _score_after.at;
    IF compiled IS NULL THEN
        RETURN NULL;
    END IF;
    next_at := date_bin(grain, at, timestamptz '2000-01-01 00:00+00') + extract(epoch FROM grain) * interval '1 second';
    SELECT leadscore.lead_activity_agg(s.signal_id, e.occurred_at, s.quantity, grain, s.value) INTO later
    FROM @pipeline@.event e
        CROSS JOIN LATERAL leadscore_internal.event_signals(e) s
    WHERE e.lead_id = _score_after.lead_id AND e.occurred_at >= _score_after.at AND e.occurred_at < next_at
        AND (e.occurred_at > _score_after.at OR e.event_id > _score_after.event_id);
    IF later IS NOT NULL THEN
        counts := counts - later;
    END IF;
    SELECT leadscore.lead_activity_agg(g.signal_id, NULL, p.count, grain) INTO later
    FROM @pipeline@.profile_change p
        JOIN @pipeline@.signal g ON g.signal = p.signal
    WHERE p.lead_id = _score_after.lead_id AND p.changed_at > _score_after.at;
    IF later IS NOT NULL THEN
        counts := counts - later;
    END IF;
    RETURN leadscore.score_milli(counts, compiled, at) / 1000.0::double precision;
END
$$;
REVOKE EXECUTE ON FUNCTION _score_after(bigint, timestamptz, bigint) FROM PUBLIC;
COMMENT ON FUNCTION _score_after(bigint, timestamptz, bigint) IS
    'points of a lead right after an event, by the active model; event_id NULL: after all events up to that instant';

-- Addresses are hashed with a key that readers of views may not see.
CREATE OR REPLACE FUNCTION _suppressed(lead_id bigint) RETURNS TABLE (channel text, reason text, since timestamptz, lifted_at timestamptz)
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_of_lead(@pipeline_name@, _suppressed.lead_id);
    IF NOT @pipeline@._shows_all_leads() THEN
        RETURN;
    END IF;
    RETURN QUERY SELECT s.channel, s.reason, s.since, s.lifted_at FROM @pipeline@._suppressions(ARRAY[_suppressed.lead_id]) s;
END
$$;
REVOKE EXECUTE ON FUNCTION _suppressed(bigint) FROM PUBLIC;
COMMENT ON FUNCTION _suppressed(bigint) IS 'the suppressions that hold, or held, for the addresses of a lead';
