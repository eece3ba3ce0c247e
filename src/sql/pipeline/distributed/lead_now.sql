-- The view _lead_now where Citus spreads the leads over nodes. There a union that
-- something is joined to is not left to the nodes: its rows, which are the states of
-- all leads, would go to one of them. So lead_state is read once, and a condition
-- on the stage uses no index.
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
    s.model,
    s.compiled,
    now() AS at,
    dated(s.recorded_since) AS recorded_since_at
FROM (
        SELECT
            s.lead_id,
            CASE WHEN s.next_review_at <= now() OR s.configuration < z.configuration
                THEN current_stage($name$@pipeline@$name$::regnamespace, s.lead_id) ELSE s.stage END AS stage,
            CASE WHEN s.next_review_at <= now() OR s.configuration < z.configuration
                THEN current_stage_since($name$@pipeline@$name$::regnamespace, s.lead_id) ELSE s.stage_since END AS stage_since,
            s.stage AS recorded_stage,
            s.stage_since AS recorded_since,
            (s.next_review_at <= now() OR s.configuration < z.configuration) IS TRUE AS due,
            s.next_review_at,
            s.cycle,
            CASE WHEN s.configuration < z.signals_configuration
                THEN current_activity($name$@pipeline@$name$::regnamespace, s.lead_id) ELSE s.activity END AS activity,
            m.model,
            m.compiled
        FROM lead_state s
            -- by the aggregates the planner knows that it is one row
            CROSS JOIN (SELECT max(g.configuration) AS configuration, max(g.signals_configuration) AS signals_configuration FROM setting g) z
            LEFT JOIN model m ON m.status = 'active'
    ) s;
