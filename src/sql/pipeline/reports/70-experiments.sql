-- Experiments: what variants led to.

-- A lead counts for the variant that it was shown first. One that was shown
-- another too is mixed: it counts for how the leads were divided, and in no rate.
-- A goal counts after the first exposure and within goal_within. Rates are of
-- leads whose time is over: with those that have reached the goal early, and
-- without those that have not yet, every rate would be too high at first.
--
-- The p-value is the least of all days up to now, each with the leads whose time
-- was over by then. So the answer does not depend on when somebody looked.
CREATE OR REPLACE FUNCTION _experiment_counts()
    RETURNS TABLE (experiment text, level text, slice text, variant text, exposed bigint, mixed bigint, open_leads bigint, open_converted bigint,
        closed bigint, converted bigint, least_p double precision)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF NOT @pipeline@._shows_all_leads() THEN
        RETURN;
    END IF;
    RETURN QUERY
        WITH shown AS MATERIALIZED (
            SELECT DISTINCT ON (o.experiment, o.lead_id) o.experiment, o.lead_id, o.variant, o.exposed_at,
                (o.exposed_at AT TIME ZONE 'UTC' + x.goal_within) AT TIME ZONE 'UTC' AS closes_at,
                count(*) OVER (PARTITION BY o.experiment, o.lead_id) > 1 AS is_mixed
            FROM @pipeline@.exposure o
                JOIN @pipeline@.experiment x ON x.experiment = o.experiment
                JOIN @pipeline@.variant v ON v.experiment = o.experiment AND v.variant = o.variant
            WHERE leadscore_internal.is_dated(o.exposed_at) AND o.exposed_at <= pg_catalog.now()
                AND o.exposed_at >= x.started_at AND (o.exposed_at < x.ended_at) IS NOT FALSE
            ORDER BY o.experiment, o.lead_id, o.exposed_at, v.position
        ), goal AS (
            SELECT s.experiment, s.lead_id
            FROM shown s
                JOIN @pipeline@.experiment x ON x.experiment = s.experiment
                JOIN @pipeline@.stage_log h ON h.lead_id = s.lead_id AND h.superseded_at IS NULL AND h.to_stage >= x.goal_stage
                    AND (h.from_stage < x.goal_stage) IS NOT FALSE
                    AND h.effective_at > s.exposed_at AND h.effective_at <= s.closes_at AND h.effective_at <= pg_catalog.now()
            UNION
            SELECT s.experiment, s.lead_id
            FROM shown s
                JOIN @pipeline@.experiment x ON x.experiment = s.experiment
                JOIN @pipeline@.signal g ON g.signal = ANY (x.goal_signals)
                JOIN @pipeline@.event e ON e.lead_id = s.lead_id
                    AND e.occurred_at > s.exposed_at AND e.occurred_at <= s.closes_at AND e.occurred_at <= pg_catalog.now()
                CROSS JOIN LATERAL leadscore_internal.event_signals(e) c
            WHERE c.signal_id = g.signal_id
        ), lead AS MATERIALIZED (
            SELECT s.experiment, s.lead_id, s.variant, s.exposed_at, s.closes_at, s.is_mixed, g.lead_id IS NOT NULL AS has_goal,
                s.closes_at <= pg_catalog.now() AS is_closed
            FROM shown s LEFT JOIN goal g ON g.experiment = s.experiment AND g.lead_id = s.lead_id
        ), sliced AS MATERIALIZED (
            SELECT l.*, 'all' AS level, NULL::text AS slice
            FROM lead l
            UNION ALL
            SELECT l.*, 'persona', coalesce(p.persona, '(none)')
            FROM lead l JOIN @pipeline@.lead p ON p.lead_id = l.lead_id
            UNION ALL
            SELECT l.*, 'segment', y.segment
            FROM lead l JOIN @pipeline@._segment_stay y ON y.lead_id = l.lead_id AND y.entered_at <= l.exposed_at AND (y.left_at > l.exposed_at) IS NOT FALSE
        ), part AS (
            SELECT DISTINCT s.experiment, s.level, s.slice FROM sliced s
            UNION
            SELECT x.experiment, 'all', NULL FROM @pipeline@.experiment x WHERE x.status <> 'draft'
        ), counted AS (
            SELECT p.experiment, p.level, p.slice, v.variant,
                count(s.lead_id) AS exposed,
                count(s.lead_id) FILTER (WHERE s.is_mixed) AS mixed,
                count(s.lead_id) FILTER (WHERE NOT s.is_mixed AND NOT s.is_closed) AS open_leads,
                count(s.lead_id) FILTER (WHERE NOT s.is_mixed AND NOT s.is_closed AND s.has_goal) AS open_converted,
                count(s.lead_id) FILTER (WHERE NOT s.is_mixed AND s.is_closed) AS closed,
                count(s.lead_id) FILTER (WHERE NOT s.is_mixed AND s.is_closed AND s.has_goal) AS converted
            FROM part p
                JOIN @pipeline@.variant v ON v.experiment = p.experiment
                LEFT JOIN sliced s ON s.experiment = p.experiment AND s.level = p.level AND s.slice IS NOT DISTINCT FROM p.slice AND s.variant = v.variant
            GROUP BY p.experiment, p.level, p.slice, v.variant
        ), daily AS (
            SELECT s.experiment, s.level, s.slice, s.variant, (s.closes_at AT TIME ZONE 'UTC')::date AS day,
                count(*) AS closed, count(*) FILTER (WHERE s.has_goal) AS converted
            FROM sliced s
            WHERE s.is_closed AND NOT s.is_mixed
            GROUP BY s.experiment, s.level, s.slice, s.variant, (s.closes_at AT TIME ZONE 'UTC')::date
        ), look AS (
            SELECT n.experiment, n.level, n.slice, n.variant, n.day, n.place,
                coalesce(sum(d.closed) OVER upto, 0)::bigint AS closed, coalesce(sum(d.converted) OVER upto, 0)::bigint AS converted
            FROM (
                    SELECT t.experiment, t.level, t.slice, t.day, v.variant, row_number() OVER (PARTITION BY t.experiment, t.level, t.slice, t.day ORDER BY v.position) AS place
                    FROM (SELECT DISTINCT o.experiment, o.level, o.slice, o.day FROM daily o) t
                        JOIN @pipeline@.variant v ON v.experiment = t.experiment
                ) n
                LEFT JOIN daily d ON d.experiment = n.experiment AND d.level = n.level AND d.slice IS NOT DISTINCT FROM n.slice
                    AND d.variant = n.variant AND d.day = n.day
            WINDOW upto AS (PARTITION BY n.experiment, n.level, n.slice, n.variant ORDER BY n.day)
        ), compared AS (
            SELECT k.experiment, k.level, k.slice, k.variant, k.place, k.closed, k.converted,
                first_value(k.closed) OVER first AS base_closed, first_value(k.converted) OVER first AS base_converted
            FROM look k
            WINDOW first AS (PARTITION BY k.experiment, k.level, k.slice, k.day ORDER BY k.place)
        ), least_p AS (
            SELECT c.experiment, c.level, c.slice, c.variant,
                min(leadscore_internal.sequential_p(
                    c.converted::double precision / nullif(c.closed, 0) - c.base_converted::double precision / nullif(c.base_closed, 0),
                    leadscore_internal.difference_variance(c.converted, c.closed, c.base_converted, c.base_closed), x.expected_effect)) AS p
            FROM compared c JOIN @pipeline@.experiment x ON x.experiment = c.experiment
            WHERE c.place > 1
            GROUP BY c.experiment, c.level, c.slice, c.variant
        )
        SELECT c.experiment, c.level, c.slice, c.variant, c.exposed, c.mixed, c.open_leads, c.open_converted, c.closed, c.converted, p.p
        FROM counted c
            LEFT JOIN least_p p ON p.experiment = c.experiment AND p.level = c.level AND p.slice IS NOT DISTINCT FROM c.slice AND p.variant = c.variant;
END
$$;
REVOKE EXECUTE ON FUNCTION _experiment_counts() FROM PUBLIC;
COMMENT ON FUNCTION _experiment_counts() IS 'the counts of the view experiment_result';

CREATE OR REPLACE VIEW experiment_result WITH (security_invoker = true) AS
WITH figure AS MATERIALIZED (
    SELECT c.experiment, c.level, c.slice, c.variant, c.exposed, c.mixed, c.open_leads, c.open_converted, c.closed, c.converted, c.least_p,
        v.position, v.weight, x.status, x.winner, x.started_at, x.ended_at, x.expected_effect,
        c.converted::double precision / nullif(c.closed, 0) AS rate,
        row_number() OVER by_position AS place,
        first_value(c.variant) OVER by_position AS baseline,
        first_value(c.closed) OVER by_position AS base_closed,
        first_value(c.converted) OVER by_position AS base_converted,
        sum(c.exposed) OVER whole AS all_exposed,
        sum(v.weight) OVER whole AS all_weight,
        array_agg(c.exposed) OVER whole AS counts,
        array_agg(v.weight::bigint) OVER whole AS weights
    FROM _experiment_counts() c
        JOIN experiment x ON x.experiment = c.experiment
        JOIN variant v ON v.experiment = c.experiment AND v.variant = c.variant
    WINDOW by_position AS (PARTITION BY c.experiment, c.level, c.slice ORDER BY v.position),
        whole AS (PARTITION BY c.experiment, c.level, c.slice ORDER BY v.position ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
), compared AS (
    SELECT f.*, f.base_converted::double precision / nullif(f.base_closed, 0) AS base_rate,
        CASE WHEN f.place > 1 THEN difference_variance(f.converted, f.closed, f.base_converted, f.base_closed) END AS variance
    FROM figure f
), judged AS (
    SELECT c.*, c.rate - c.base_rate AS difference, sequential_margin(c.variance, c.expected_effect, 0.05) AS margin,
        ratio_log_bayes(c.counts, c.weights) AS log_bayes
    FROM compared c
)
SELECT
    j.experiment,
    j.level,
    CASE j.level WHEN 'segment' THEN j.slice END AS segment,
    CASE j.level WHEN 'persona' THEN j.slice END AS persona,
    j.variant,
    j.position,
    j.status,
    j.winner,
    dated(j.started_at) AS started_at,
    dated(j.ended_at) AS ended_at,
    extract(epoch FROM coalesce(j.ended_at, now()) - j.started_at)::double precision / 86400 AS running_days,
    j.exposed,
    j.mixed,
    j.open_leads,
    j.open_converted,
    j.closed,
    j.converted,
    j.rate AS goal_rate,
    rate_low(j.converted, j.closed) AS goal_low_rate,
    rate_high(j.converted, j.closed) AS goal_high_rate,
    j.baseline,
    CASE WHEN j.place > 1 THEN j.difference END AS difference_rate,
    greatest(CASE WHEN j.place > 1 THEN j.difference - j.margin END, CASE WHEN j.place > 1 AND j.difference - j.margin IS NOT NULL THEN -1 END) AS always_valid_low_rate,
    least(CASE WHEN j.place > 1 THEN j.difference + j.margin END, CASE WHEN j.place > 1 AND j.difference + j.margin IS NOT NULL THEN 1 END) AS always_valid_high_rate,
    j.least_p AS always_valid_p,
    CASE WHEN j.place > 1 AND j.closed > 0 AND j.base_closed > 0
        THEN beta_greater(j.base_converted + 1, j.base_closed - j.base_converted + 1, j.converted + 1, j.closed - j.converted + 1) END AS p_better_uncorrected,
    CASE WHEN j.place > 1 AND j.closed > 0 AND j.base_closed > 0
        THEN beta_loss(j.base_converted + 1, j.base_closed - j.base_converted + 1, j.converted + 1, j.closed - j.converted + 1) END AS expected_loss_rate,
    j.weight::double precision / nullif(j.all_weight, 0) AS planned_rate,
    j.exposed::double precision / nullif(j.all_exposed, 0)::double precision AS exposed_rate,
    exp(greatest(least(j.log_bayes, 700), CASE WHEN j.log_bayes IS NOT NULL THEN -700 END)) AS ratio_bayes_factor,
    ratio_chi_square(j.counts, j.weights) AS ratio_p_one_look,
    j.log_bayes > ln(1000::double precision) AS ratio_alarm
FROM judged j;
COMMENT ON VIEW experiment_result IS 'one row an experiment that was started and variant, for all leads, and for those of each segment and persona: how many reached the goal in time, compared with the first variant. Ask for one level; rates are of leads whose time is over';
COMMENT ON COLUMN experiment_result.experiment IS 'the experiment';
COMMENT ON COLUMN experiment_result.level IS 'all: all leads; segment: leads that were in the segment when they were first shown a variant; persona: leads of this persona';
COMMENT ON COLUMN experiment_result.segment IS 'level segment: the segment';
COMMENT ON COLUMN experiment_result.persona IS 'level persona: the persona of the lead; (none): not known';
COMMENT ON COLUMN experiment_result.variant IS 'the variant';
COMMENT ON COLUMN experiment_result.position IS 'order of the variants';
COMMENT ON COLUMN experiment_result.status IS 'running or ended';
COMMENT ON COLUMN experiment_result.winner IS 'variant that all leads get since it ended; NULL: none';
COMMENT ON COLUMN experiment_result.started_at IS 'when it began';
COMMENT ON COLUMN experiment_result.ended_at IS 'when it ended; NULL: it runs';
COMMENT ON COLUMN experiment_result.running_days IS 'days from its start to its end, or to now';
COMMENT ON COLUMN experiment_result.exposed IS 'leads that were shown this variant first, before the end of the experiment';
COMMENT ON COLUMN experiment_result.mixed IS 'of exposed, leads that were shown another variant too, as one person under two names; in no rate';
COMMENT ON COLUMN experiment_result.open_leads IS 'of exposed, leads whose time for the goal still runs; in no rate, and no failures';
COMMENT ON COLUMN experiment_result.open_converted IS 'of open_leads, those that have reached the goal already; in no rate yet, as the others may follow';
COMMENT ON COLUMN experiment_result.closed IS 'of exposed, leads whose time is over: exposed - mixed - open_leads';
COMMENT ON COLUMN experiment_result.converted IS 'of closed, leads that reached the goal after they were first shown the variant, and within goal_within';
COMMENT ON COLUMN experiment_result.goal_rate IS 'converted / closed';
COMMENT ON COLUMN experiment_result.goal_low_rate IS 'lower end of the 95 % interval of goal_rate (Wilson); for one look';
COMMENT ON COLUMN experiment_result.goal_high_rate IS 'upper end of the 95 % interval of goal_rate (Wilson); for one look';
COMMENT ON COLUMN experiment_result.baseline IS 'the variant to compare with: the first by position';
COMMENT ON COLUMN experiment_result.difference_rate IS 'goal_rate - goal_rate of the baseline; NULL for the baseline';
COMMENT ON COLUMN experiment_result.always_valid_low_rate IS 'lower end of the 95 % interval of difference_rate that holds however often one looks (mSPRT)';
COMMENT ON COLUMN experiment_result.always_valid_high_rate IS 'upper end of the 95 % interval of difference_rate that holds however often one looks (mSPRT)';
COMMENT ON COLUMN experiment_result.always_valid_p IS 'p-value of the difference that holds however often one looks: the least of all days so far (mSPRT)';
COMMENT ON COLUMN experiment_result.p_better_uncorrected IS 'chance that the variant is better than the baseline, with even prior (Beta 1, 1); not corrected for looking early: a test that stops as soon as this is high is often wrong';
COMMENT ON COLUMN experiment_result.expected_loss_rate IS 'what choosing the variant would cost on average if the baseline is better after all, in points of goal_rate; not corrected for looking early either';
COMMENT ON COLUMN experiment_result.planned_rate IS 'share of the leads that its weight gives it';
COMMENT ON COLUMN experiment_result.exposed_rate IS 'share of the leads that were shown it first';
COMMENT ON COLUMN experiment_result.ratio_bayes_factor IS 'how much better other shares than planned_rate explain exposed than these do (Dirichlet-multinomial); holds however often one looks';
COMMENT ON COLUMN experiment_result.ratio_p_one_look IS 'p-value of exposed against planned_rate by chi-square; more exact, but only for one look';
COMMENT ON COLUMN experiment_result.ratio_alarm IS 'true: ratio_bayes_factor is above 1000; leads are lost or shown wrong variants, and no figure of the experiment can be trusted';
