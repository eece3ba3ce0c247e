-- The queue, for people: what was done and why, and what is to be done today.
--
-- work_list shows addresses: leadscore.grant_reader() leaves it out. The other
-- views show names of contents, and nothing that was said.

CREATE OR REPLACE VIEW action_log WITH (security_invoker = true) AS
SELECT
    a.lead_id,
    a.action_id,
    l.external_id,
    a.sequence,
    a.run,
    a.step,
    a.kind,
    a.channel,
    a.topic,
    a.content,
    a.variant,
    a.transactional,
    a.status,
    a.reason,
    dated(a.created_at) AS created_at,
    dated(a.due_at) AS due_at,
    dated(a.claimed_at) AS claimed_at,
    dated(a.ended_at) AS ended_at,
    a.attempt,
    coalesce(a.assignee, l.owner) AS assignee,
    a.claimed_by,
    a.created_by
FROM action a
    JOIN lead l USING (lead_id);
COMMENT ON VIEW action_log IS 'one row an action: why a lead got something, or did not';
COMMENT ON COLUMN action_log.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN action_log.action_id IS 'number of the action, see the table action';
COMMENT ON COLUMN action_log.external_id IS 'name of the lead in the app';
COMMENT ON COLUMN action_log.sequence IS 'sequence that it is a step of; NULL: an app or a person asked for it';
COMMENT ON COLUMN action_log.run IS 'number of the run of the lead through the sequence';
COMMENT ON COLUMN action_log.step IS 'step of the sequence';
COMMENT ON COLUMN action_log.kind IS 'message, task or alert';
COMMENT ON COLUMN action_log.channel IS 'the way to the lead, such as email or phone';
COMMENT ON COLUMN action_log.topic IS 'topic of the consent that it needs; NULL: only consent for all topics will do';
COMMENT ON COLUMN action_log.content IS 'what was sent or is to be done';
COMMENT ON COLUMN action_log.variant IS 'variant of the content';
COMMENT ON COLUMN action_log.transactional IS 'whether it is a receipt or the like, which needs no consent';
COMMENT ON COLUMN action_log.status IS 'waiting, claimed, done, failed, skipped or cancelled';
COMMENT ON COLUMN action_log.reason IS 'why it waits longer, or was skipped or cancelled, such as quiet hours, frequency cap, frequency preference, topic preference, channel preference, no consent, suppressed, no address, condition, late, paused, goal';
COMMENT ON COLUMN action_log.created_at IS 'when it was put into the queue';
COMMENT ON COLUMN action_log.due_at IS 'when it is to be done, or was to be done';
COMMENT ON COLUMN action_log.claimed_at IS 'when a worker took it last';
COMMENT ON COLUMN action_log.ended_at IS 'when it was done, failed, skipped or cancelled; NULL: it is open';
COMMENT ON COLUMN action_log.attempt IS 'number of times that a worker took it';
COMMENT ON COLUMN action_log.assignee IS 'person of the team whose task or alert it is: the one that it names, or else the owner of the lead';
COMMENT ON COLUMN action_log.claimed_by IS 'worker that took it last';
COMMENT ON COLUMN action_log.created_by IS 'role that put it into the queue, or whose statement did';

-- Tasks and alerts that are open. What belongs to a paused sequence rests, and
-- so does a step whose conditions do not hold: a worker that claims it would
-- skip it.
CREATE OR REPLACE VIEW _team_action WITH (security_invoker = true) AS
SELECT a.lead_id, a.action_id, a.kind, a.channel, a.content, a.assignee, a.sequence, a.step, a.priority, a.due_at, a.status, a.attempt, a.claimed_by
FROM action a
    LEFT JOIN sequence q ON q.sequence = a.sequence
    LEFT JOIN sequence_step t ON t.sequence = a.sequence AND t.step = a.step
    LEFT JOIN enrollment e ON e.lead_id = a.lead_id AND e.sequence = a.sequence AND e.run = a.run
    LEFT JOIN lead_state s ON s.lead_id = a.lead_id
WHERE a.kind <> 'message' AND a.status IN ('waiting', 'claimed')
    AND (a.run IS NULL OR (q.status = 'active' AND t.step IS NOT NULL
        AND CASE WHEN a.status = 'claimed' OR (t.in_segment IS NULL AND t.only_if = '{}' AND t.unless = '{}') THEN true
            ELSE _step_holds(s.activity, s.segments, e.started_at, t.only_if, t.unless, t.in_segment) END));
COMMENT ON VIEW _team_action IS 'one row a task or an alert that is waiting, and whose conditions hold, or that is claimed';

CREATE OR REPLACE VIEW open_alerts WITH (security_invoker = true) AS
SELECT
    a.lead_id,
    a.action_id,
    a.attempt,
    l.external_id,
    l.organization,
    coalesce(a.assignee, l.owner) AS owner,
    a.content,
    a.channel,
    a.sequence,
    a.step,
    s.stage::text AS stage,
    s.stage_rank,
    score_milli(s.activity, s.compiled, s.at) / 1000.0::double precision AS score,
    s.stage_since_at,
    dated(a.due_at) AS raised_at,
    a.claimed_by
FROM _team_action a
    JOIN lead l USING (lead_id)
    JOIN _lead_now s USING (lead_id)
WHERE a.kind = 'alert' AND a.due_at <= now();
COMMENT ON VIEW open_alerts IS 'one row an alert that is raised and that nobody has acknowledged: complete_action(lead_id, action_id, attempt) does so';
COMMENT ON COLUMN open_alerts.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN open_alerts.action_id IS 'number of the action, see the table action';
COMMENT ON COLUMN open_alerts.attempt IS 'the ticket that complete_action() needs';
COMMENT ON COLUMN open_alerts.external_id IS 'name of the lead in the app';
COMMENT ON COLUMN open_alerts.organization IS 'organization that the person belongs to';
COMMENT ON COLUMN open_alerts.owner IS 'person of the team that it is for: the one that it names, or else the owner of the lead';
COMMENT ON COLUMN open_alerts.content IS 'the news';
COMMENT ON COLUMN open_alerts.channel IS 'the way to the team, such as email';
COMMENT ON COLUMN open_alerts.sequence IS 'sequence that raised it; NULL: an app did';
COMMENT ON COLUMN open_alerts.step IS 'step of the sequence';
COMMENT ON COLUMN open_alerts.stage IS 'stage of the lead now';
COMMENT ON COLUMN open_alerts.stage_rank IS 'rank of the stage to sort by: visitor 40 to advocate 100, exits 10 to 30';
COMMENT ON COLUMN open_alerts.score IS 'score now in points, by the active model';
COMMENT ON COLUMN open_alerts.stage_since_at IS 'since when the lead is in its stage';
COMMENT ON COLUMN open_alerts.raised_at IS 'since when it is raised';
COMMENT ON COLUMN open_alerts.claimed_by IS 'worker that has taken it; NULL: none has yet';

-- A property that readers of work_list may see, of one lead at a time.
CREATE OR REPLACE FUNCTION _last_outcome(lead_id bigint) RETURNS text
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_of_lead(@pipeline_name@, _last_outcome.lead_id);
    RETURN (
        SELECT CASE WHEN jsonb_typeof(e.properties -> 'outcome') = 'string' THEN e.properties ->> 'outcome' END
        FROM @pipeline@.event e
        WHERE e.lead_id = _last_outcome.lead_id AND @pipeline@._shows_all_leads()
            AND e.kind = ANY (leadscore_internal.kinds_of($table$@pipeline@.event_kind$table$, 'outreach', 'sales_contact'))
            AND leadscore_internal.is_dated(e.occurred_at) AND e.occurred_at <= now()
        ORDER BY e.occurred_at DESC, e.event_id DESC
        LIMIT 1);
END
$$;
REVOKE EXECUTE ON FUNCTION _last_outcome(bigint) FROM PUBLIC;
COMMENT ON FUNCTION _last_outcome(bigint) IS 'what came of the newest contact of sales with a lead, its property outcome';

-- The work of today, in the time zone of the pipeline: tasks that are due before
-- the day ends, one for each lead; and leads that are sql, and of which no task
-- is planned at all. Of several tasks of a lead the others follow, see next_at.
CREATE OR REPLACE VIEW _todo WITH (security_invoker = true) AS
SELECT o.*
FROM (
        SELECT DISTINCT ON (a.lead_id) a.lead_id, a.action_id, a.attempt, a.channel, a.content, a.sequence, a.step, a.claimed_by, a.assignee, a.priority, a.due_at
        FROM _team_action a
            CROSS JOIN setting z
        WHERE a.kind = 'task'
            AND (a.status = 'claimed'
                OR a.due_at < (date_trunc('day', now() AT TIME ZONE z.time_zone) + interval '1 day') AT TIME ZONE z.time_zone)
        ORDER BY a.lead_id, a.due_at, a.priority, a.action_id
    ) o
UNION ALL
SELECT h.lead_id, NULL AS action_id, NULL AS attempt, NULL AS channel, NULL AS content, NULL AS sequence, NULL AS step, NULL AS claimed_by, NULL AS assignee,
    100 AS priority, NULL AS due_at
FROM _hot h
WHERE h.stage = 'sql' AND NOT EXISTS (SELECT FROM _team_action a WHERE a.lead_id = h.lead_id AND a.kind = 'task');
COMMENT ON VIEW _todo IS 'one row a lead that sales has to do with today: its task that is due first, or nothing but its number if no task is planned';

-- It has another form where Citus spreads the leads over nodes.
CREATE OR REPLACE VIEW work_list WITH (security_invoker = true) AS
SELECT
    row_number() OVER urgent AS call_order,
    w.lead_id,
    w.external_id,
    w.organization,
    w.owner,
    w.email,
    w.phone,
    w.channel,
    w.content,
    w.sequence,
    w.step,
    w.stage,
    w.stage_rank,
    w.score,
    w.stage_since_at,
    w.due_at,
    w.sla_due_at,
    w.sla_due_at < now() AS breached,
    w.last_kind,
    w.last_at,
    _last_outcome(w.lead_id) AS last_outcome,
    w.next_at,
    w.contact_allowed,
    w.action_id,
    w.attempt,
    w.claimed_by
FROM (
        SELECT t.lead_id, t.action_id, t.attempt, t.channel, t.content, t.sequence, t.step, t.claimed_by, t.priority, dated(t.due_at) AS due_at,
            s.external_id, s.organization, coalesce(t.assignee, s.owner) AS owner, s.email, s.phone, s.contact_allowed,
            s.stage, s.stage_rank, s.score, s.stage_since_at, y.sla_due_at,
            e.kind AS last_kind, e.occurred_at AS last_at, dated(n.due_at) AS next_at
        FROM _todo t
            -- OFFSET: lead by lead, for these are few, though the planner cannot know
            CROSS JOIN LATERAL (
                SELECT l.external_id, l.organization, l.owner, l.email, l.phone, l.contact_allowed, n.stage::text AS stage, n.stage_rank, n.stage_since_at,
                    score_milli(n.activity, n.compiled, n.at) / 1000.0::double precision AS score
                FROM _lead_now n
                    JOIN lead l ON l.lead_id = n.lead_id
                WHERE n.lead_id = t.lead_id
                OFFSET 0
            ) s
            LEFT JOIN LATERAL (
                SELECT CASE WHEN y.contacted_at IS NULL THEN y.due_at END AS sla_due_at
                FROM _stay y
                WHERE y.lead_id = t.lead_id AND y.is_current
                LIMIT 1
            ) y ON true
            LEFT JOIN LATERAL (
                SELECT e.kind, e.occurred_at
                FROM event e
                WHERE e.lead_id = t.lead_id AND is_dated(e.occurred_at) AND e.occurred_at <= now()
                ORDER BY e.occurred_at DESC, e.event_id DESC
                LIMIT 1
            ) e ON true
            LEFT JOIN LATERAL (
                SELECT min(a.due_at) AS due_at
                FROM _team_action a
                WHERE a.lead_id = t.lead_id AND a.kind = 'task' AND a.status = 'waiting' AND a.action_id <> t.action_id
            ) n ON true
    ) w
WINDOW urgent AS (ORDER BY w.sla_due_at IS NULL, w.priority, least(w.sla_due_at, w.due_at), w.stage_rank DESC, w.score DESC, w.lead_id)
ORDER BY call_order;
COMMENT ON VIEW work_list IS 'one row a lead that sales has to do with today: its task that is due first, or an sql of which no task is planned. complete_action(lead_id, action_id, attempt, outcome) says that a task is done. For sales: it shows addresses';
COMMENT ON COLUMN work_list.call_order IS '1: do this first; leads whose first contact is still missing (sla_due_at) before others, then by the priority of the task, then by what is due first';
COMMENT ON COLUMN work_list.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN work_list.external_id IS 'name of the lead in the app';
COMMENT ON COLUMN work_list.organization IS 'organization that the person belongs to';
COMMENT ON COLUMN work_list.owner IS 'person of the team whose task it is: the one that it names, or else the owner of the lead';
COMMENT ON COLUMN work_list.email IS 'e-mail address of the lead';
COMMENT ON COLUMN work_list.phone IS 'telephone number of the lead';
COMMENT ON COLUMN work_list.channel IS 'the way to the lead, such as phone; NULL: no task is planned';
COMMENT ON COLUMN work_list.content IS 'what to do; NULL: no task is planned';
COMMENT ON COLUMN work_list.sequence IS 'sequence that the task is a step of';
COMMENT ON COLUMN work_list.step IS 'step of the sequence';
COMMENT ON COLUMN work_list.stage IS 'stage of the lead now';
COMMENT ON COLUMN work_list.stage_rank IS 'rank of the stage to sort by: visitor 40 to advocate 100, exits 10 to 30';
COMMENT ON COLUMN work_list.score IS 'score now in points, by the active model';
COMMENT ON COLUMN work_list.stage_since_at IS 'since when the lead is in its stage';
COMMENT ON COLUMN work_list.due_at IS 'when the task is due; NULL: no task is planned';
COMMENT ON COLUMN work_list.sla_due_at IS 'until when the lead is to be contacted for the first time in its stage, see hot_leads; NULL: it was, or the stage has no such time';
COMMENT ON COLUMN work_list.breached IS 'whether that time is over; NULL: there is none';
COMMENT ON COLUMN work_list.last_kind IS 'kind of the newest event of the lead up to now';
COMMENT ON COLUMN work_list.last_at IS 'when that happened';
COMMENT ON COLUMN work_list.last_outcome IS 'outcome of the newest event of role outreach or sales_contact; NULL: none is recorded';
COMMENT ON COLUMN work_list.next_at IS 'when the next task of the lead after this one is due; NULL: none waits';
COMMENT ON COLUMN work_list.contact_allowed IS 'whether messages of some kind may be sent, see may_contact(); NULL: not asked';
COMMENT ON COLUMN work_list.action_id IS 'number of the action; NULL: no task is planned';
COMMENT ON COLUMN work_list.attempt IS 'the ticket that complete_action() needs';
COMMENT ON COLUMN work_list.claimed_by IS 'worker or person that has taken it; NULL: nobody has yet';

CREATE OR REPLACE VIEW recommended_action WITH (security_invoker = true) AS
SELECT
    s.lead_id,
    l.external_id,
    coalesce(a.assignee, l.owner) AS owner,
    s.stage::text AS stage,
    s.stage_rank,
    CASE WHEN a.lead_id IS NOT NULL THEN 'queue' ELSE 'stage' END AS source,
    CASE WHEN a.lead_id IS NOT NULL THEN coalesce(a.content, a.step, a.kind) ELSE r.action END AS action,
    a.kind,
    a.channel,
    dated(a.due_at) AS due_at,
    a.sequence,
    a.step,
    a.action_id,
    r.segment,
    l.contact_allowed
FROM _lead_now s
    JOIN lead l USING (lead_id)
    JOIN lead_state t USING (lead_id)
    LEFT JOIN (
        SELECT DISTINCT ON (a.lead_id) a.lead_id, a.action_id, a.kind, a.channel, a.content, a.assignee, a.sequence, a.step, a.due_at
        FROM action a
        WHERE a.kind <> 'alert' AND a.status IN ('waiting', 'claimed')
            -- what a worker has is not to be done any more if its run is over
            AND NOT EXISTS (SELECT FROM enrollment n WHERE n.lead_id = a.lead_id AND n.sequence = a.sequence AND n.run = a.run AND n.ended_at IS NOT NULL)
        ORDER BY a.lead_id, a.due_at, a.priority, a.action_id
    ) a ON a.lead_id = s.lead_id
    LEFT JOIN LATERAL (
        SELECT r.action, r.segment
        FROM stage_action r
            LEFT JOIN segment g ON g.segment = r.segment
        WHERE a.lead_id IS NULL AND r.stage = s.stage
            AND (r.segment IS NULL OR g.segment_id = ANY (
                CASE WHEN s.due THEN current_segments($name$@pipeline@$name$::regnamespace, s.lead_id) ELSE t.segments END))
        ORDER BY r.segment IS NULL, r.position, r.segment COLLATE "C"
        LIMIT 1
    ) r ON true
WHERE l.erased_at IS NULL AND (a.lead_id IS NOT NULL OR r.action IS NOT NULL);
COMMENT ON VIEW recommended_action IS 'one row a lead: what to do next, which is the message or task of the queue that is due first, or else what stage_action says of its stage and segment';
COMMENT ON COLUMN recommended_action.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN recommended_action.external_id IS 'name of the lead in the app';
COMMENT ON COLUMN recommended_action.owner IS 'person of the team whose task it is: the one that it names, or else the owner of the lead';
COMMENT ON COLUMN recommended_action.stage IS 'stage of the lead now';
COMMENT ON COLUMN recommended_action.stage_rank IS 'rank of the stage to sort by: visitor 40 to advocate 100, exits 10 to 30';
COMMENT ON COLUMN recommended_action.source IS 'queue: it waits in the queue; stage: nothing waits, and it is the advice of stage_action';
COMMENT ON COLUMN recommended_action.action IS 'what to do: the content of the action, or the advice';
COMMENT ON COLUMN recommended_action.kind IS 'queue: message or task';
COMMENT ON COLUMN recommended_action.channel IS 'queue: the way to the lead, such as email or phone';
COMMENT ON COLUMN recommended_action.due_at IS 'queue: when it is due';
COMMENT ON COLUMN recommended_action.sequence IS 'queue: sequence that it is a step of';
COMMENT ON COLUMN recommended_action.step IS 'queue: step of the sequence';
COMMENT ON COLUMN recommended_action.action_id IS 'queue: number of the action';
COMMENT ON COLUMN recommended_action.segment IS 'stage: segment whose advice it is; NULL: that of all leads of the stage';
COMMENT ON COLUMN recommended_action.contact_allowed IS 'whether messages of some kind may be sent, see may_contact(); NULL: not asked';

-- What waits, and what follows in the runs that are open: each step its delay
-- after the one before, if nobody leaves. Hours of contacts and business time
-- may move it on.
CREATE OR REPLACE VIEW channel_plan WITH (security_invoker = true) AS
WITH queued AS (
    SELECT a.lead_id, a.sequence, a.run, a.kind, a.channel, a.due_at < now() AS is_overdue, greatest(a.due_at, now()) AS planned_at
    FROM action a
        LEFT JOIN sequence q ON q.sequence = a.sequence
    WHERE a.status IN ('waiting', 'claimed') AND (a.run IS NULL OR q.status = 'active')
), coming AS (
    SELECT q.lead_id, s.kind, s.channel,
        (q.planned_at AT TIME ZONE 'UTC' + sum(s.delay) OVER (PARTITION BY q.lead_id, q.sequence, q.run ORDER BY s.position)) AT TIME ZONE 'UTC' AS planned_at
    FROM queued q
        JOIN enrollment e ON e.lead_id = q.lead_id AND e.sequence = q.sequence AND e.run = q.run AND e.ended_at IS NULL
        JOIN sequence_step s ON s.sequence = e.sequence AND s.position > e.last_position
    WHERE is_dated(q.planned_at)
), planned AS (
    SELECT q.lead_id, q.kind, q.channel, q.planned_at, 1 AS queued, 0 AS coming, q.is_overdue::integer AS overdue
    FROM queued q
    UNION ALL
    SELECT c.lead_id, c.kind, c.channel, c.planned_at, 0 AS queued, 1 AS coming, 0 AS overdue
    FROM coming c
)
SELECT
    date_of(p.planned_at, z.time_zone) AS planned_date,
    p.channel,
    p.kind,
    sum(p.queued)::bigint AS queued,
    sum(p.coming)::bigint AS coming,
    count(DISTINCT p.lead_id) AS leads,
    sum(p.overdue)::bigint AS overdue
FROM planned p
    CROSS JOIN setting z
WHERE p.planned_at < now() + interval '720 hours'
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3;
COMMENT ON VIEW channel_plan IS 'one row a day, channel and kind: the messages, tasks and alerts of the next 30 days that are planned by now';
COMMENT ON COLUMN channel_plan.planned_date IS 'day that they are planned for; what is overdue is planned for today';
COMMENT ON COLUMN channel_plan.channel IS 'the way to the leads, such as email or phone';
COMMENT ON COLUMN channel_plan.kind IS 'message, task or alert';
COMMENT ON COLUMN channel_plan.queued IS 'actions that wait in the queue, or that a worker has';
COMMENT ON COLUMN channel_plan.coming IS 'steps that follow in runs that are open, at the earliest and if no lead leaves its sequence';
COMMENT ON COLUMN channel_plan.leads IS 'leads that they are for';
COMMENT ON COLUMN channel_plan.overdue IS 'of queued, actions that were due before now';
