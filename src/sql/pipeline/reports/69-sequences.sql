-- Sequences: what their messages and runs led to.

-- An answer is to the newest message that was sent before and has the content
-- that the answer names as its message; if it names none, to the newest message
-- of all. What apps sent without the queue is such a message too, so that its
-- answers count for no step. An action counts once for each kind of answer,
-- however often its lead opened it.
CREATE OR REPLACE FUNCTION _sequence_counts()
    RETURNS TABLE (sequence text, step text, variant text, kind text, channel text, content text, queued bigint, open_actions bigint, done bigint, sent bigint,
        failed bigint, cancelled bigint, skipped bigint, skipped_late bigint, skipped_condition bigint, skipped_no_address bigint,
        skipped_no_consent bigint, skipped_suppressed bigint, opened bigint, clicked bigint, replied bigint, unsubscribed bigint, bounced bigint, goals bigint)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF NOT @pipeline@._shows_all_leads() THEN
        RETURN;
    END IF;
    RETURN QUERY
        -- what: 0 sent, 1 opened, 2 clicked, 3 replied, 4 unsubscribed, 5 bounced
        WITH act AS (
            SELECT a.lead_id, a.ended_at AS at, 0 AS what, a.content COLLATE "C" AS message, a.action_id
            FROM @pipeline@.action a
            WHERE a.kind = 'message' AND a.status = 'done'
            UNION ALL
            SELECT e.lead_id, e.occurred_at,
                CASE
                    WHEN e.kind = ANY (leadscore_internal.kinds_of($table$@pipeline@.event_kind$table$, 'email_sent')) THEN 0
                    WHEN e.kind = ANY (leadscore_internal.kinds_of($table$@pipeline@.event_kind$table$, 'email_open')) THEN 1
                    WHEN e.kind = ANY (leadscore_internal.kinds_of($table$@pipeline@.event_kind$table$, 'email_click')) THEN 2
                    WHEN e.kind = ANY (leadscore_internal.kinds_of($table$@pipeline@.event_kind$table$, 'email_reply')) THEN 3
                    WHEN e.kind = ANY (leadscore_internal.kinds_of($table$@pipeline@.event_kind$table$, 'unsubscribe')) THEN 4
                    ELSE 5
                END,
                e.properties ->> 'message', NULL
            FROM @pipeline@.event e
            WHERE e.kind = ANY (leadscore_internal.kinds_of($table$@pipeline@.event_kind$table$, 'email_sent', 'email_open', 'email_click', 'email_reply', 'unsubscribe', 'email_bounce'))
                AND leadscore_internal.is_dated(e.occurred_at) AND e.occurred_at <= pg_catalog.now()
                AND e.lead_id IN (SELECT o.lead_id FROM @pipeline@.action o WHERE o.kind = 'message' AND o.status = 'done' AND o.run IS NOT NULL)
                -- done actions are events too
                AND NOT EXISTS (
                    SELECT FROM @pipeline@.action o
                    WHERE o.lead_id = e.lead_id AND o.kind = 'message' AND o.status = 'done' AND e.source_id = 'action:' || o.action_id)
        ), counted AS (
            SELECT a.*,
                count(*) FILTER (WHERE a.what = 0) OVER (PARTITION BY a.lead_id ORDER BY a.at, a.what, a.action_id ROWS UNBOUNDED PRECEDING) AS letters
            FROM act a
        ), known AS (
            SELECT c.lead_id, c.at, c.what, c.action_id,
                coalesce(c.message, CASE WHEN c.letters > 0 THEN first_value(c.message) OVER (PARTITION BY c.lead_id, c.letters ORDER BY c.what) END, '') AS message
            FROM counted c
        ), placed AS (
            SELECT k.*,
                count(*) FILTER (WHERE k.what = 0) OVER (PARTITION BY k.lead_id, k.message ORDER BY k.at, k.what, k.action_id ROWS UNBOUNDED PRECEDING) AS letters
            FROM known k
        ), answer AS (
            SELECT p.lead_id, p.what, CASE WHEN p.letters > 0 THEN first_value(p.action_id) OVER (PARTITION BY p.lead_id, p.message, p.letters ORDER BY p.what) END AS action_id
            FROM placed p
        ), answered AS (
            SELECT n.lead_id, n.action_id, bool_or(n.what = 1) AS opened, bool_or(n.what = 2) AS clicked, bool_or(n.what = 3) AS replied,
                bool_or(n.what = 4) AS unsubscribed, bool_or(n.what = 5) AS bounced
            FROM answer n
            WHERE n.action_id IS NOT NULL
            GROUP BY n.lead_id, n.action_id
        )
        SELECT a.sequence, a.step, a.variant, max(a.kind), max(a.channel), (array_agg(a.content ORDER BY a.action_id DESC))[1],
            count(*),
            count(*) FILTER (WHERE a.status IN ('waiting', 'claimed')),
            count(*) FILTER (WHERE a.status = 'done'),
            count(*) FILTER (WHERE a.status = 'done' AND a.kind = 'message'),
            count(*) FILTER (WHERE a.status = 'failed'),
            count(*) FILTER (WHERE a.status = 'cancelled'),
            count(*) FILTER (WHERE a.status = 'skipped'),
            count(*) FILTER (WHERE a.status = 'skipped' AND a.reason = 'late'),
            count(*) FILTER (WHERE a.status = 'skipped' AND a.reason = 'condition'),
            count(*) FILTER (WHERE a.status = 'skipped' AND a.reason = 'no address'),
            count(*) FILTER (WHERE a.status = 'skipped' AND a.reason = 'no consent'),
            count(*) FILTER (WHERE a.status = 'skipped' AND a.reason = 'suppressed'),
            count(*) FILTER (WHERE r.opened), count(*) FILTER (WHERE r.clicked), count(*) FILTER (WHERE r.replied),
            count(*) FILTER (WHERE r.unsubscribed), count(*) FILTER (WHERE r.bounced),
            count(*) FILTER (WHERE a.status = 'done' AND n.end_reason = 'goal' AND n.ended_at >= a.ended_at)
        FROM @pipeline@.action a
            JOIN @pipeline@.enrollment n ON n.lead_id = a.lead_id AND n.sequence = a.sequence AND n.run = a.run
            LEFT JOIN answered r ON r.lead_id = a.lead_id AND r.action_id = a.action_id
        GROUP BY a.sequence, a.step, a.variant;
END
$$;
REVOKE EXECUTE ON FUNCTION _sequence_counts() FROM PUBLIC;
COMMENT ON FUNCTION _sequence_counts() IS 'counts of actions, and of answers to them, by step and variant';

CREATE OR REPLACE VIEW sequence_result WITH (security_invoker = true) AS
WITH counted AS MATERIALIZED (
    SELECT c.* FROM _sequence_counts() c
), figure AS (
    SELECT 'step' AS level, c.sequence, c.step, c.variant, c.kind, c.channel, c.content,
        NULL::bigint AS runs, NULL::bigint AS open_runs, NULL::bigint AS completed_runs, NULL::bigint AS goal_runs, NULL::bigint AS exited_runs,
        NULL::bigint AS unsubscribed_runs, NULL::bigint AS other_runs,
        c.queued, c.open_actions, c.done, c.sent, c.failed, c.cancelled, c.skipped, c.skipped_late, c.skipped_condition, c.skipped_no_address,
        c.skipped_no_consent, c.skipped_suppressed, c.opened, c.clicked, c.replied, c.unsubscribed, c.bounced, c.goals, c.done AS goal_base
    FROM counted c
    UNION ALL
    SELECT 'sequence' AS level, q.sequence, NULL, NULL, NULL, NULL, NULL,
        coalesce(r.runs, 0), coalesce(r.open_runs, 0), coalesce(r.completed_runs, 0), coalesce(r.goal_runs, 0), coalesce(r.exited_runs, 0),
        coalesce(r.unsubscribed_runs, 0), coalesce(r.other_runs, 0),
        coalesce(t.queued, 0), coalesce(t.open_actions, 0), coalesce(t.done, 0), coalesce(t.sent, 0), coalesce(t.failed, 0), coalesce(t.cancelled, 0), coalesce(t.skipped, 0),
        coalesce(t.skipped_late, 0), coalesce(t.skipped_condition, 0), coalesce(t.skipped_no_address, 0), coalesce(t.skipped_no_consent, 0),
        coalesce(t.skipped_suppressed, 0), coalesce(t.opened, 0), coalesce(t.clicked, 0), coalesce(t.replied, 0), coalesce(t.unsubscribed, 0),
        coalesce(t.bounced, 0), coalesce(r.goal_runs, 0), coalesce(r.runs, 0)
    FROM sequence q
        LEFT JOIN (
            SELECT e.sequence, count(*) AS runs, count(*) FILTER (WHERE e.ended_at IS NULL) AS open_runs,
                count(*) FILTER (WHERE e.end_reason = 'completed') AS completed_runs, count(*) FILTER (WHERE e.end_reason = 'goal') AS goal_runs,
                count(*) FILTER (WHERE e.end_reason = 'exited') AS exited_runs, count(*) FILTER (WHERE e.end_reason = 'unsubscribed') AS unsubscribed_runs,
                count(*) FILTER (WHERE e.end_reason IN ('merged', 'forgotten', 'by_hand', 'retired')) AS other_runs
            FROM enrollment e
            GROUP BY e.sequence
        ) r ON r.sequence = q.sequence
        LEFT JOIN (
            SELECT c.sequence, sum(c.queued)::bigint AS queued, sum(c.open_actions)::bigint AS open_actions, sum(c.done)::bigint AS done, sum(c.sent)::bigint AS sent,
                sum(c.failed)::bigint AS failed, sum(c.cancelled)::bigint AS cancelled, sum(c.skipped)::bigint AS skipped,
                sum(c.skipped_late)::bigint AS skipped_late, sum(c.skipped_condition)::bigint AS skipped_condition,
                sum(c.skipped_no_address)::bigint AS skipped_no_address, sum(c.skipped_no_consent)::bigint AS skipped_no_consent,
                sum(c.skipped_suppressed)::bigint AS skipped_suppressed, sum(c.opened)::bigint AS opened, sum(c.clicked)::bigint AS clicked,
                sum(c.replied)::bigint AS replied, sum(c.unsubscribed)::bigint AS unsubscribed, sum(c.bounced)::bigint AS bounced
            FROM counted c
            GROUP BY c.sequence
        ) t ON t.sequence = q.sequence
    WHERE q.status <> 'draft'
)
SELECT
    f.level,
    f.sequence,
    f.step,
    f.variant,
    f.kind,
    f.channel,
    f.content,
    f.runs,
    f.open_runs,
    f.completed_runs,
    f.goal_runs,
    f.exited_runs,
    f.unsubscribed_runs,
    f.other_runs,
    f.queued,
    f.open_actions,
    f.done,
    f.sent,
    f.failed,
    f.cancelled,
    f.skipped,
    f.skipped_late,
    f.skipped_condition,
    f.skipped_no_address,
    f.skipped_no_consent,
    f.skipped_suppressed,
    f.opened,
    f.clicked,
    f.replied,
    f.unsubscribed,
    f.bounced,
    f.goals,
    f.opened::double precision / nullif(f.sent, 0) AS open_rate,
    f.clicked::double precision / nullif(f.sent, 0) AS click_rate,
    rate_low(f.clicked, f.sent) AS click_low_rate,
    rate_high(f.clicked, f.sent) AS click_high_rate,
    f.replied::double precision / nullif(f.sent, 0) AS reply_rate,
    f.unsubscribed::double precision / nullif(f.sent, 0) AS unsubscribe_rate,
    f.bounced::double precision / nullif(f.sent, 0) AS bounce_rate,
    f.goals::double precision / nullif(f.goal_base, 0) AS goal_rate,
    rate_low(f.goals, f.goal_base) AS goal_low_rate,
    rate_high(f.goals, f.goal_base) AS goal_high_rate
FROM figure f;
COMMENT ON VIEW sequence_result IS 'one row a step and variant of a sequence, and one row a sequence that is no draft: what was sent, how leads answered, and how runs ended. Ask for one level';
COMMENT ON COLUMN sequence_result.level IS 'step: a step and variant that was in the queue; sequence: the whole sequence, with its runs';
COMMENT ON COLUMN sequence_result.sequence IS 'the sequence';
COMMENT ON COLUMN sequence_result.step IS 'level step: the step';
COMMENT ON COLUMN sequence_result.variant IS 'level step: variant of the content; NULL: none';
COMMENT ON COLUMN sequence_result.kind IS 'level step: message, task or alert';
COMMENT ON COLUMN sequence_result.channel IS 'level step: the channel of the action, such as email or phone';
COMMENT ON COLUMN sequence_result.content IS 'level step: newest content of it';
COMMENT ON COLUMN sequence_result.runs IS 'level sequence: runs that were begun';
COMMENT ON COLUMN sequence_result.open_runs IS 'of runs, those that are open';
COMMENT ON COLUMN sequence_result.completed_runs IS 'of runs, those that ended after the last step';
COMMENT ON COLUMN sequence_result.goal_runs IS 'of runs, those that ended because the lead reached the goal';
COMMENT ON COLUMN sequence_result.exited_runs IS 'of runs, those that ended because of an exit';
COMMENT ON COLUMN sequence_result.unsubscribed_runs IS 'of runs, those that ended because consent was withdrawn or the address is suppressed';
COMMENT ON COLUMN sequence_result.other_runs IS 'of runs, those that ended because leads were merged or forgotten, by hand, or because the sequence was retired';
COMMENT ON COLUMN sequence_result.queued IS 'actions that were put into the queue';
COMMENT ON COLUMN sequence_result.open_actions IS 'of queued, those that are waiting or claimed';
COMMENT ON COLUMN sequence_result.done IS 'of queued, those that are done: messages sent, tasks done, alerts acknowledged';
COMMENT ON COLUMN sequence_result.sent IS 'of done, messages';
COMMENT ON COLUMN sequence_result.failed IS 'of queued, those that failed';
COMMENT ON COLUMN sequence_result.cancelled IS 'of queued, those that were cancelled, mostly because the run ended';
COMMENT ON COLUMN sequence_result.skipped IS 'of queued, those that were skipped';
COMMENT ON COLUMN sequence_result.skipped_late IS 'of skipped, those that were too late';
COMMENT ON COLUMN sequence_result.skipped_condition IS 'of skipped, those whose condition did not hold';
COMMENT ON COLUMN sequence_result.skipped_no_address IS 'of skipped, those whose lead had no address';
COMMENT ON COLUMN sequence_result.skipped_no_consent IS 'of skipped, those whose lead had not consented';
COMMENT ON COLUMN sequence_result.skipped_suppressed IS 'of skipped, those whose address is suppressed';
COMMENT ON COLUMN sequence_result.opened IS 'of sent, messages that were opened';
COMMENT ON COLUMN sequence_result.clicked IS 'of sent, messages in which a link was followed';
COMMENT ON COLUMN sequence_result.replied IS 'of sent, messages that were answered';
COMMENT ON COLUMN sequence_result.unsubscribed IS 'of sent, messages that were the newest before their lead unsubscribed';
COMMENT ON COLUMN sequence_result.bounced IS 'of sent, messages that bounced';
COMMENT ON COLUMN sequence_result.goals IS 'level step: of done, actions after which the run reached the goal; level sequence: goal_runs';
COMMENT ON COLUMN sequence_result.open_rate IS 'opened / sent';
COMMENT ON COLUMN sequence_result.click_rate IS 'clicked / sent';
COMMENT ON COLUMN sequence_result.click_low_rate IS 'lower end of the 95 % interval of click_rate (Wilson)';
COMMENT ON COLUMN sequence_result.click_high_rate IS 'upper end of the 95 % interval of click_rate (Wilson)';
COMMENT ON COLUMN sequence_result.reply_rate IS 'replied / sent';
COMMENT ON COLUMN sequence_result.unsubscribe_rate IS 'unsubscribed / sent';
COMMENT ON COLUMN sequence_result.bounce_rate IS 'bounced / sent';
COMMENT ON COLUMN sequence_result.goal_rate IS 'level step: goals / done; level sequence: goal_runs / runs';
COMMENT ON COLUMN sequence_result.goal_low_rate IS 'lower end of the 95 % interval of goal_rate (Wilson)';
COMMENT ON COLUMN sequence_result.goal_high_rate IS 'upper end of the 95 % interval of goal_rate (Wilson)';
