-- The view work_list where Citus spreads the leads over nodes. There a list is not
-- looked up lead by lead: what belongs to its leads is joined for all of them.
CREATE OR REPLACE VIEW work_list WITH (security_invoker = true) AS
WITH task AS MATERIALIZED (
    SELECT t.lead_id, t.action_id, t.attempt, t.channel, t.content, t.sequence, t.step, t.claimed_by, t.assignee, t.priority, t.due_at
    FROM _todo t
), w AS MATERIALIZED (
    SELECT t.lead_id, t.action_id, t.attempt, t.channel, t.content, t.sequence, t.step, t.claimed_by, t.priority, dated(t.due_at) AS due_at,
        l.external_id, l.organization, coalesce(t.assignee, l.owner) AS owner, l.email, l.phone, l.contact_allowed,
        s.stage::text AS stage, s.stage_rank, score_milli(s.activity, s.compiled, s.at) / 1000.0::double precision AS score, s.stage_since_at,
        CASE WHEN y.contacted_at IS NULL THEN y.due_at END AS sla_due_at,
        e.kind AS last_kind, e.occurred_at AS last_at, _last_outcome(l.lead_id) AS last_outcome, dated(n.due_at) AS next_at
    FROM task t
        JOIN lead l ON l.lead_id = t.lead_id
        JOIN _lead_now s ON s.lead_id = t.lead_id
        LEFT JOIN _stay y ON y.lead_id = t.lead_id AND y.is_current
        LEFT JOIN (
            SELECT DISTINCT ON (e.lead_id) e.lead_id, e.kind, e.occurred_at
            FROM event e
            WHERE is_dated(e.occurred_at) AND e.occurred_at <= now()
            ORDER BY e.lead_id, e.occurred_at DESC, e.event_id DESC
        ) e ON e.lead_id = t.lead_id
        LEFT JOIN (
            SELECT t.lead_id, t.action_id, min(a.due_at) AS due_at
            FROM task t
                JOIN _team_action a ON a.lead_id = t.lead_id
            WHERE a.kind = 'task' AND a.status = 'waiting' AND a.action_id <> t.action_id
            GROUP BY t.lead_id, t.action_id
        ) n ON n.lead_id = t.lead_id AND n.action_id = t.action_id
)
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
    w.last_outcome,
    w.next_at,
    w.contact_allowed,
    w.action_id,
    w.attempt,
    w.claimed_by
FROM w
WINDOW urgent AS (ORDER BY w.sla_due_at IS NULL, w.priority, least(w.sla_due_at, w.due_at), w.stage_rank DESC, w.score DESC, w.lead_id)
ORDER BY call_order;
