-- Which signals tell of a step up, before anybody made a model or beside one.
--
-- A lead that stays long has time to do more, so leads that never step up have
-- more signals for that reason alone. Therefore every stay in a stage is looked at
-- at the same age, and judged by what comes after (a landmark: J. R. Anderson,
-- K. C. Cain and R. D. Gelber, Journal of Clinical Oncology 1, 1983). The age is
-- half of the median time of the steps up, so that most of them come after it.

-- Properties of events decide what counts for a signal, and readers of views
-- may not see them. The function gives out counts of leads only.
CREATE OR REPLACE FUNCTION _signal_counts()
    RETURNS TABLE (signal text, source text, stage text, stage_rank integer, as_of interval, leads_with bigint, converted_with bigint, leads bigint, converted bigint,
        rules bigint, gates bigint, direction integer)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    active text;
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF NOT @pipeline@._shows_all_leads() THEN
        RETURN;
    END IF;
    SELECT m.model INTO active FROM @pipeline@.model m WHERE m.status = 'active';
    RETURN QUERY
        WITH entry AS (
            -- the first entry of each cycle into a stage, if it is mature
            SELECT h.lead_id, h.cycle, h.to_stage AS stage, min(h.effective_at) AS entered_at, min(h.seq) AS seq
            FROM @pipeline@._history h
            WHERE h.to_stage >= 'iql' AND h.to_stage <= 'prospect'
            GROUP BY h.lead_id, h.cycle, h.to_stage
        ), stay AS (
            SELECT y.lead_id, y.cycle, y.stage, y.entered_at, n.gone_at,
                CASE WHEN n.step_at <= y.entered_at + m.mature_after THEN n.step_at END AS step_at
            FROM entry y
                JOIN @pipeline@._maturity m ON y.entered_at <= m.before
                CROSS JOIN LATERAL (
                    SELECT min(h.effective_at) FILTER (WHERE h.to_stage > y.stage) AS step_at,
                        min(h.effective_at) FILTER (WHERE h.to_stage < 'visitor') AS gone_at
                    FROM @pipeline@._history h
                    WHERE h.lead_id = y.lead_id AND h.cycle = y.cycle AND h.seq > y.seq
                ) n
        ), pace AS (
            SELECT s.stage, leadscore_internal.fixed_period(percentile_disc(0.5) WITHIN GROUP (ORDER BY s.step_at - s.entered_at) / 2) AS as_of
            FROM stay s
            WHERE s.step_at IS NOT NULL
            GROUP BY s.stage
        ), look AS MATERIALIZED (
            -- stays that last until they are looked at; what a lead did before
            -- its purge is not known day by day
            SELECT s.lead_id, s.cycle, s.stage, s.entered_at + p.as_of AS looked_at, s.step_at IS NOT NULL AS converted, c.purged_before
            FROM stay s
                JOIN pace p ON p.stage = s.stage
                LEFT JOIN @pipeline@.lead_checkpoint c ON c.lead_id = s.lead_id
            WHERE (s.step_at <= s.entered_at + p.as_of) IS NOT TRUE AND (s.gone_at <= s.entered_at + p.as_of) IS NOT TRUE
                AND (c.purged_before > s.entered_at + p.as_of) IS NOT TRUE
        ), person AS (
            SELECT k.lead_id, max(k.looked_at) AS looked_at, min(k.purged_before) AS purged_before
            FROM look k
            GROUP BY k.lead_id
        ), first AS (
            SELECT e.lead_id, c.signal_id, min(e.occurred_at) AS first_at
            FROM person p
                JOIN @pipeline@.event e ON e.lead_id = p.lead_id AND e.occurred_at <= p.looked_at AND (e.occurred_at < p.purged_before) IS NOT TRUE
                CROSS JOIN LATERAL leadscore_internal.event_signals(e) c
            WHERE c.quantity > 0
            GROUP BY e.lead_id, c.signal_id
            UNION ALL
            SELECT p.lead_id, b.signal_id, timestamptz '-infinity'
            FROM person p
                JOIN @pipeline@.lead_state s ON s.lead_id = p.lead_id
                CROSS JOIN LATERAL leadscore.unnest(s.baseline) b
            WHERE p.purged_before IS NOT NULL AND b.bucket IS NOT NULL AND b.count > 0
        ), had AS (
            SELECT k.lead_id, k.cycle, k.stage, f.signal_id, k.converted
            FROM look k JOIN first f ON f.lead_id = k.lead_id AND f.first_at <= k.looked_at
            UNION
            -- a profile counts from when it was recorded
            SELECT k.lead_id, k.cycle, k.stage, g.signal_id, k.converted
            FROM look k
                JOIN @pipeline@.profile_change c ON c.lead_id = k.lead_id AND greatest(c.changed_at, c.recorded_at) <= k.looked_at
                JOIN @pipeline@.signal g ON g.signal = c.signal
            GROUP BY k.lead_id, k.cycle, k.stage, g.signal_id, k.converted
            HAVING sum(c.count) > 0
        ), total AS (
            SELECT k.stage, count(*) AS leads, count(*) FILTER (WHERE k.converted) AS converted
            FROM look k
            GROUP BY k.stage
        ), part AS (
            SELECT h.stage, h.signal_id, count(*) AS leads, count(*) FILTER (WHERE h.converted) AS converted
            FROM had h
            GROUP BY h.stage, h.signal_id
        ), used AS (
            SELECT r.signal, count(*) AS rules,
                CASE WHEN bool_and(r.tiers IS NULL AND r.points > 0) THEN 1 WHEN bool_and(r.tiers IS NULL AND r.points < 0) THEN -1 ELSE 0 END AS direction
            FROM @pipeline@.rule r
            WHERE r.model = active AND (r.points <> 0 OR r.points IS NULL)
            GROUP BY r.signal
        ), gated AS (
            SELECT s.signal, count(*) AS gates
            FROM @pipeline@.stage_gate s
            WHERE s.model = active
            GROUP BY s.signal
        )
        SELECT g.signal, g.source, t.stage::text, t.stage_rank, p.as_of, coalesce(w.leads, 0), coalesce(w.converted, 0), coalesce(n.leads, 0), coalesce(n.converted, 0),
            coalesce(u.rules, 0), coalesce(d.gates, 0), coalesce(u.direction, 0)
        FROM leadscore.stages() t
            CROSS JOIN @pipeline@.signal g
            LEFT JOIN pace p ON p.stage = t.stage
            LEFT JOIN total n ON n.stage = t.stage
            LEFT JOIN part w ON w.stage = t.stage AND w.signal_id = g.signal_id
            LEFT JOIN used u ON u.signal = g.signal
            LEFT JOIN gated d ON d.signal = g.signal
        WHERE t.stage >= 'iql' AND t.stage <= 'prospect' AND g.signal_id <> 0
            AND NOT EXISTS (SELECT FROM @pipeline@._signals_of_outcome(active, 'mql') o WHERE o.signal = g.signal)
            -- points that somebody gave
            AND NOT EXISTS (SELECT FROM @pipeline@._kind_signal k JOIN @pipeline@.event_kind e ON e.kind = k.kind WHERE k.signal = g.signal AND e.role = 'points');
END
$$;
REVOKE EXECUTE ON FUNCTION _signal_counts() FROM PUBLIC;
COMMENT ON FUNCTION _signal_counts() IS
    'the counts of the view signal_report';

CREATE OR REPLACE VIEW signal_report WITH (security_invoker = true) AS
SELECT
    r.signal,
    r.source,
    r.stage,
    r.stage_rank,
    r.as_of_days,
    r.leads_with,
    r.converted_with,
    r.with_rate,
    rate_low(r.converted_with, r.leads_with) AS with_low_rate,
    rate_high(r.converted_with, r.leads_with) AS with_high_rate,
    r.leads_without,
    r.converted_without,
    r.without_rate,
    CASE WHEN r.error IS NOT NULL THEN r.with_rate / nullif(r.without_rate, 0) END AS lift,
    r.lift_low,
    r.lift_high,
    r.rules,
    r.gates,
    CASE
        WHEN r.error IS NULL THEN 'too few leads to tell'
        WHEN (r.lift_low > 1) IS NOT TRUE AND (r.lift_high < 1) IS NOT TRUE THEN 'no difference is seen'
        WHEN r.rules + r.gates = 0 THEN 'matters and scores nothing'
        WHEN r.lift_low > 1 AND r.direction < 0 OR r.lift_high < 1 AND r.direction > 0 THEN 'matters and its points go the other way'
        ELSE 'matters and is used'
    END AS finding
FROM (
        SELECT c.signal, c.source, c.stage, c.stage_rank, c.leads_with, c.converted_with, c.rules, c.gates, c.direction,
            extract(epoch FROM c.as_of)::double precision / 86400 AS as_of_days,
            c.converted_with::double precision / nullif(c.leads_with, 0) AS with_rate,
            c.leads - c.leads_with AS leads_without,
            c.converted - c.converted_with AS converted_without,
            (c.converted - c.converted_with)::double precision / nullif(c.leads - c.leads_with, 0) AS without_rate,
            ratio_error(c.converted_with, c.leads_with, c.converted - c.converted_with, c.leads - c.leads_with) AS error,
            ratio_low(c.converted_with, c.leads_with, c.converted - c.converted_with, c.leads - c.leads_with) AS lift_low,
            ratio_high(c.converted_with, c.leads_with, c.converted - c.converted_with, c.leads - c.leads_with) AS lift_high
        FROM _signal_counts() c
    ) r;
COMMENT ON VIEW signal_report IS 'one row a stage and signal: the share of stays that end with a step up, with the signal before and without. Each stay is looked at once, as_of_days after it began, if it still lasts: only what came before that counts, and only what comes after it is told. Stays that began less than setting.mature_after ago are left out';
COMMENT ON COLUMN signal_report.signal IS 'the signal; those that are a step themselves, points given by hand, and what sales does about a lead, are left out';
COMMENT ON COLUMN signal_report.source IS 'event or profile; a profile counts from when it was recorded';
COMMENT ON COLUMN signal_report.stage IS 'the stage';
COMMENT ON COLUMN signal_report.stage_rank IS 'rank of the stage to sort by: visitor 40 to advocate 100, exits 10 to 30';
COMMENT ON COLUMN signal_report.as_of_days IS 'days after which a stay is looked at: half of the median time to a step up; NULL: nobody stepped up';
COMMENT ON COLUMN signal_report.leads_with IS 'stays that lasted until then, with the signal up to then, in this stage or before';
COMMENT ON COLUMN signal_report.converted_with IS 'of leads_with, stays with a step up after that and within setting.mature_after of their beginning';
COMMENT ON COLUMN signal_report.with_rate IS 'converted_with / leads_with';
COMMENT ON COLUMN signal_report.with_low_rate IS 'lower end of the 95 % interval of with_rate (Wilson)';
COMMENT ON COLUMN signal_report.with_high_rate IS 'upper end of the 95 % interval of with_rate (Wilson)';
COMMENT ON COLUMN signal_report.leads_without IS 'stays that lasted until then, without the signal';
COMMENT ON COLUMN signal_report.converted_without IS 'of leads_without, stays with a step up as above';
COMMENT ON COLUMN signal_report.without_rate IS 'converted_without / leads_without';
COMMENT ON COLUMN signal_report.lift IS 'with_rate / without_rate; no proof of cause. NULL: too few leads to tell (less than 5 expected of a kind), or without_rate is 0';
COMMENT ON COLUMN signal_report.lift_low IS 'lower end of the 95 % interval of lift (logarithm, Katz and Walter)';
COMMENT ON COLUMN signal_report.lift_high IS 'upper end of the 95 % interval of lift; NULL too if without_rate is 0';
COMMENT ON COLUMN signal_report.rules IS 'rules of the active model that give points for it';
COMMENT ON COLUMN signal_report.gates IS 'conditions of gates of the active model that ask for it';
COMMENT ON COLUMN signal_report.finding IS 'too few leads to tell; no difference is seen: 1 lies in the interval of lift; matters and scores nothing: 1 does not, and neither rules nor gates use it; matters and its points go the other way; matters and is used';
