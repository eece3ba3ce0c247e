-- Quality: which sources and actions bring good leads, whether a source has gone
-- quiet, and how well scores tell customers from other leads.

CREATE OR REPLACE VIEW lead_quality WITH (security_invoker = true) AS
WITH figure AS (
    SELECT m.channel, m.campaign, count(*) AS contacts,
        count(m.lead_at) AS leads, count(m.mql_at) AS mqls, count(m.sql_at) AS sqls, count(m.customer_at) AS customers,
        count(*) FILTER (WHERE m.lead_at <= m.customer_at) AS leads_won,
        coalesce(sum(r.revenue_amount), 0) AS revenue_amount,
        coalesce(sum(r.revenue_amount) FILTER (WHERE m.lead_at IS NOT NULL), 0) AS lead_revenue
    FROM _lead_milestone m
        LEFT JOIN _revenue r USING (lead_id)
    GROUP BY m.channel, m.campaign
)
SELECT
    n.channel,
    coalesce(p.direction, h.direction, '(none)') AS direction,
    n.campaign,
    coalesce(f.contacts, 0) AS contacts,
    coalesce(f.leads, 0) AS leads,
    coalesce(f.mqls, 0) AS mqls,
    coalesce(f.sqls, 0) AS sqls,
    coalesce(f.customers, 0) AS customers,
    f.leads::double precision / nullif(f.contacts, 0) AS lead_rate,
    f.mqls::double precision / nullif(f.leads, 0) AS mql_rate,
    f.sqls::double precision / nullif(f.leads, 0) AS sql_rate,
    rate_low(f.sqls, f.leads) AS sql_low_rate,
    rate_high(f.sqls, f.leads) AS sql_high_rate,
    f.leads_won::double precision / nullif(f.leads, 0) AS customer_rate,
    as_amount(coalesce(f.revenue_amount, 0))::numeric(14,2) AS revenue_amount,
    as_amount(f.lead_revenue / nullif(f.leads, 0))::numeric(14,2) AS value_per_lead_amount
FROM (
        SELECT k.channel, k.campaign FROM _source_list k
        UNION
        SELECT k.channel, k.campaign FROM figure k
    ) n
    LEFT JOIN figure f USING (channel, campaign)
    LEFT JOIN campaign p ON p.campaign = n.campaign
    LEFT JOIN channel h ON h.channel = n.channel;
COMMENT ON VIEW lead_quality IS 'one row a source: how far its leads come, and their revenue';
COMMENT ON COLUMN lead_quality.channel IS 'the channel';
COMMENT ON COLUMN lead_quality.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN lead_quality.campaign IS 'the campaign';
COMMENT ON COLUMN lead_quality.contacts IS 'leads and visitors that came by the source';
COMMENT ON COLUMN lead_quality.leads IS 'of contacts, leads that reached iql or higher';
COMMENT ON COLUMN lead_quality.mqls IS 'leads that reached mql or higher';
COMMENT ON COLUMN lead_quality.sqls IS 'leads that reached sql or higher';
COMMENT ON COLUMN lead_quality.customers IS 'leads that became customers';
COMMENT ON COLUMN lead_quality.lead_rate IS 'leads / contacts';
COMMENT ON COLUMN lead_quality.mql_rate IS 'mqls / leads';
COMMENT ON COLUMN lead_quality.sql_rate IS 'sqls / leads';
COMMENT ON COLUMN lead_quality.sql_low_rate IS 'lower end of the 95 % interval of sql_rate (Wilson)';
COMMENT ON COLUMN lead_quality.sql_high_rate IS 'upper end of the 95 % interval of sql_rate (Wilson)';
COMMENT ON COLUMN lead_quality.customer_rate IS 'share of the leads that became customers; customers that never were leads are left out';
COMMENT ON COLUMN lead_quality.revenue_amount IS 'sum of purchases, less refunds';
COMMENT ON COLUMN lead_quality.value_per_lead_amount IS 'revenue of the leads / leads';

-- A stay is with an event if the event came while the lead was in the stage, up
-- to the step to a higher one: a later event cannot have helped. Kinds of
-- events that are the step themselves (milestones) are left out.
CREATE OR REPLACE VIEW stage_lift_by_event WITH (security_invoker = true) AS
WITH stay AS (
    SELECT r.lead_id, r.cycle, t.stage_rank, t.entered_at,
        coalesce(t.first_at, u.step_at) IS NOT NULL AS converted,
        coalesce(t.first_at, u.step_at, r.ended_at, now()) AS until_at
    FROM _run r
        CROSS JOIN LATERAL (
            SELECT k.stage_rank, k.entered_at, CASE WHEN k.step_at >= k.entered_at THEN k.step_at END AS first_at, k.step_at < k.entered_at AS came_from_above
            FROM (VALUES
                (50, r.iql_at, r.mql_reached_at),
                (60, r.mql_at, r.sql_reached_at),
                (70, r.sql_at, r.prospect_reached_at),
                (80, r.prospect_at, r.customer_at)
            ) AS k (stage_rank, entered_at, step_at)
        ) t
        -- a lead that fell back into the stage may have gone up again
        LEFT JOIN LATERAL (
            SELECT min(h.effective_at) AS step_at
            FROM _history h
            WHERE t.came_from_above AND h.lead_id = r.lead_id AND h.cycle = r.cycle
                AND stage_rank(h.to_stage) > t.stage_rank AND h.effective_at >= t.entered_at
        ) u ON true
    WHERE t.entered_at IS NOT NULL
), total AS (
    SELECT s.stage_rank, count(*) AS leads, count(*) FILTER (WHERE s.converted) AS converted
    FROM stay s
    GROUP BY s.stage_rank
), helper AS (
    SELECT k.kind
    FROM event_kind k
    WHERE k.role NOT IN ('points', 'stage', 'purchase', 'refund', 'lost', 'disqualified', 'recycled')
        AND NOT EXISTS (
            SELECT FROM _kind_signal g
                JOIN stage_rule r ON r.entry_signals @> ARRAY[g.signal]
                JOIN model m ON m.model = r.model
            WHERE m.status = 'active' AND g.kind = k.kind)
), helped AS (
    SELECT d.stage_rank, d.kind, count(*) AS leads, count(*) FILTER (WHERE d.converted) AS converted
    FROM (
        SELECT DISTINCT s.lead_id, s.cycle, s.stage_rank, e.kind, s.converted
        FROM stay s
            JOIN event e ON e.lead_id = s.lead_id AND e.occurred_at >= s.entered_at AND e.occurred_at <= s.until_at
        WHERE e.kind = ANY (ARRAY(SELECT k.kind FROM helper k)) AND is_dated(e.occurred_at)
    ) d
    GROUP BY d.stage_rank, d.kind
)
SELECT
    t.stage::text AS stage,
    t.stage_rank,
    k.kind,
    coalesce(h.leads, 0) AS leads_with,
    coalesce(h.converted, 0) AS converted_with,
    h.converted::double precision / nullif(h.leads, 0) AS with_rate,
    rate_low(h.converted, h.leads) AS with_low_rate,
    rate_high(h.converted, h.leads) AS with_high_rate,
    coalesce(n.leads, 0) - coalesce(h.leads, 0) AS leads_without,
    coalesce(n.converted, 0) - coalesce(h.converted, 0) AS converted_without,
    w.rate AS without_rate,
    h.converted::double precision / nullif(h.leads, 0) / nullif(w.rate, 0) AS lift
FROM stages() t
    CROSS JOIN helper k
    LEFT JOIN total n USING (stage_rank)
    LEFT JOIN helped h ON h.stage_rank = t.stage_rank AND h.kind = k.kind
    CROSS JOIN LATERAL (SELECT (coalesce(n.converted, 0) - coalesce(h.converted, 0))::double precision
        / nullif(coalesce(n.leads, 0) - coalesce(h.leads, 0), 0)) AS w (rate)
WHERE t.stage >= 'iql' AND t.stage <= 'prospect';
COMMENT ON VIEW stage_lift_by_event IS 'one row a stage and kind of event: the share of stays that end with a step up, with such an event in the stage before the step and without';
COMMENT ON COLUMN stage_lift_by_event.stage IS 'the stage';
COMMENT ON COLUMN stage_lift_by_event.stage_rank IS 'rank of the stage to sort by: visitor 40 to advocate 100, exits 10 to 30';
COMMENT ON COLUMN stage_lift_by_event.kind IS 'kind of event';
COMMENT ON COLUMN stage_lift_by_event.leads_with IS 'stays in the stage with such an event';
COMMENT ON COLUMN stage_lift_by_event.converted_with IS 'of leads_with, stays that ended with a step up';
COMMENT ON COLUMN stage_lift_by_event.with_rate IS 'converted_with / leads_with';
COMMENT ON COLUMN stage_lift_by_event.with_low_rate IS 'lower end of the 95 % interval of with_rate (Wilson)';
COMMENT ON COLUMN stage_lift_by_event.with_high_rate IS 'upper end of the 95 % interval of with_rate (Wilson)';
COMMENT ON COLUMN stage_lift_by_event.leads_without IS 'stays in the stage without such an event';
COMMENT ON COLUMN stage_lift_by_event.converted_without IS 'of leads_without, stays that ended with a step up';
COMMENT ON COLUMN stage_lift_by_event.without_rate IS 'converted_without / leads_without';
COMMENT ON COLUMN stage_lift_by_event.lift IS 'with_rate / without_rate; not a proof of cause';

-- The usual gap is the mean time between captures: five times as long happens
-- to a source that goes on as before in one of 150 cases. Nights and holidays
-- are gaps too: so the gap must also be longer than any before.
CREATE OR REPLACE FUNCTION _capture_times()
    RETURNS TABLE (source_kind text, source text, captures bigint, first_capture_at timestamptz, last_capture_at timestamptz, longest_gap interval)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF NOT @pipeline@._shows_all_leads() THEN
        RETURN;
    END IF;
    RETURN QUERY
        WITH capture AS (
            SELECT coalesce(e.channel, p.channel, l.channel, o.channel, '(none)') AS channel, e.properties ->> 'form' AS form, e.occurred_at
            FROM @pipeline@.event e
                JOIN @pipeline@.lead l USING (lead_id)
                LEFT JOIN @pipeline@.campaign p ON p.campaign = e.campaign
                LEFT JOIN @pipeline@.campaign o ON o.campaign = l.campaign
            WHERE e.kind = ANY (leadscore_internal.kinds_of($table$@pipeline@.event_kind$table$, 'capture', 'form_submit', 'request')) AND leadscore_internal.is_dated(e.occurred_at)
                AND e.occurred_at <= now()
        ), gap AS (
            SELECT 'channel' AS source_kind, c.channel AS source, c.occurred_at,
                c.occurred_at - lag(c.occurred_at) OVER (PARTITION BY c.channel ORDER BY c.occurred_at) AS gap
            FROM capture c
            UNION ALL
            SELECT 'form', c.form, c.occurred_at,
                c.occurred_at - lag(c.occurred_at) OVER (PARTITION BY c.form ORDER BY c.occurred_at) AS gap
            FROM capture c
            WHERE c.form IS NOT NULL
        )
        SELECT g.source_kind, g.source, count(*), min(g.occurred_at), max(g.occurred_at), max(g.gap)
        FROM gap g
        GROUP BY g.source_kind, g.source;
END
$$;
REVOKE EXECUTE ON FUNCTION _capture_times() FROM PUBLIC;
COMMENT ON FUNCTION _capture_times() IS
    'the times of the view capture_gaps';

CREATE OR REPLACE VIEW capture_gaps WITH (security_invoker = true) AS
WITH captured AS (
    SELECT c.source_kind, c.source, c.captures, c.first_capture_at, c.last_capture_at,
        date_part('epoch', c.longest_gap) / 86400 AS longest_gap_days,
        date_part('epoch', c.last_capture_at - c.first_capture_at) / 86400 / nullif(c.captures - 1, 0) AS usual_gap_days,
        date_part('epoch', now() - c.last_capture_at) / 86400 AS quiet_days
    FROM _capture_times() c
)
SELECT
    k.source_kind,
    k.source,
    coalesce(c.captures, 0) AS captures,
    c.first_capture_at,
    c.last_capture_at,
    c.usual_gap_days,
    c.longest_gap_days,
    c.quiet_days,
    c.quiet_days / nullif(c.usual_gap_days, 0) AS quiet_ratio,
    CASE WHEN c.captures >= 3 THEN c.quiet_days > greatest(5 * c.usual_gap_days, c.longest_gap_days) END AS gone_quiet
FROM (
        SELECT 'channel' AS source_kind, h.channel AS source FROM channel h
        UNION
        SELECT c.source_kind, c.source FROM captured c
    ) k
    LEFT JOIN captured c USING (source_kind, source);
COMMENT ON VIEW capture_gaps IS 'one row a channel and one a form: when it last brought an enquiry, and whether it has gone quiet';
COMMENT ON COLUMN capture_gaps.source_kind IS 'channel or form';
COMMENT ON COLUMN capture_gaps.source IS 'the channel or form; a channel is that of the enquiry or of its campaign, or else that of the lead or of its campaign; (none): not known';
COMMENT ON COLUMN capture_gaps.captures IS 'events of role capture, form_submit or request';
COMMENT ON COLUMN capture_gaps.first_capture_at IS 'when the first enquiry came';
COMMENT ON COLUMN capture_gaps.last_capture_at IS 'when the last enquiry came';
COMMENT ON COLUMN capture_gaps.usual_gap_days IS 'mean days between two enquiries';
COMMENT ON COLUMN capture_gaps.longest_gap_days IS 'longest time between two enquiries, in days';
COMMENT ON COLUMN capture_gaps.quiet_days IS 'days since last_capture_at';
COMMENT ON COLUMN capture_gaps.quiet_ratio IS 'quiet_days / usual_gap_days';
COMMENT ON COLUMN capture_gaps.gone_quiet IS 'whether quiet_days is more than five times usual_gap_days and more than longest_gap_days; NULL: fewer than three enquiries';

-- Leads are scored as they were at an instant of the past: only events up to it
-- count, and profiles are those of then. The instant is the end of a bucket (day or hour), as a score counts the
-- whole of its bucket. Outcomes are customers won after it, within horizon.
CREATE OR REPLACE FUNCTION _scored_leads(compiled lead_model, at timestamptz, horizon interval)
    RETURNS TABLE (lead_id bigint, milli bigint, band lead_stage, won boolean)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    RETURN QUERY
        WITH instant AS (
            SELECT s.grain, date_trunc(CASE s.grain WHEN interval '1 hour' THEN 'hour' ELSE 'day' END,
                coalesce(_scored_leads.at, now() - leadscore_internal.fixed_period(coalesce(_scored_leads.horizon, s.mature_after))), 'UTC') AS at,
                leadscore_internal.fixed_period(coalesce(_scored_leads.horizon, s.mature_after)) AS horizon
            FROM @pipeline@.setting s
        ), history AS MATERIALIZED (
            -- the newest stage before the instant: of seq and rank in one number the
            -- greatest. Materialized, or the planner takes the leads for few
            SELECT h.lead_id,
                (max(h.seq::bigint << 8 | leadscore.stage_rank(h.to_stage)) FILTER (WHERE h.effective_at < i.at) & 255)
                    BETWEEN leadscore.stage_rank('iql') AND leadscore.stage_rank('prospect') AS scored,
                coalesce(bool_or(h.to_stage >= 'customer' AND h.effective_at >= i.at AND h.effective_at < i.at + i.horizon), false) AS won
            FROM @pipeline@._history h
                CROSS JOIN instant i
            GROUP BY h.lead_id
        ), profile AS (
            SELECT c.lead_id, leadscore.lead_activity_agg(g.signal_id, NULL::timestamptz, c.count::bigint, i.grain) AS later
            FROM @pipeline@.profile_change c
                JOIN @pipeline@.signal g USING (signal)
                CROSS JOIN instant i
            WHERE c.changed_at >= i.at
            GROUP BY c.lead_id
        )
        SELECT s.lead_id,
            leadscore.score_milli(a.activity, _scored_leads.compiled, i.at - interval '1 microsecond'),
            leadscore.stage_by_points(a.activity, _scored_leads.compiled, i.at - interval '1 microsecond'),
            h.won
        FROM history h
            JOIN @pipeline@.lead_state s ON s.lead_id = h.lead_id
            LEFT JOIN profile p ON p.lead_id = h.lead_id
            CROSS JOIN instant i
            CROSS JOIN LATERAL (SELECT CASE WHEN p.later IS NULL THEN s.activity ELSE s.activity - p.later END) AS a (activity)
        WHERE h.scored;
END
$$;
COMMENT ON FUNCTION _scored_leads(lead_model, timestamptz, interval) IS
    'leads (iql to prospect) of an instant, their points as of then in thousandths, and whether they became customers within horizon';

CREATE OR REPLACE FUNCTION model_quality(model text, at timestamptz DEFAULT NULL, horizon interval DEFAULT NULL)
    RETURNS TABLE (level text, place integer, stage text, score_from numeric, score_to numeric, leads bigint, converted bigint,
        converted_rate double precision, low_rate double precision, high_rate double precision, lift double precision, captured_rate double precision,
        true_positives bigint, false_positives bigint, false_negatives bigint, true_negatives bigint,
        precision_rate double precision, recall_rate double precision, auc double precision, auc_low double precision, auc_high double precision)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    compiled leadscore.lead_model;
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF model_quality.horizon <= interval '0' THEN
        RAISE EXCEPTION 'horizon must be greater than zero'
            USING ERRCODE = 'invalid_parameter_value',
                HINT = 'Pass the time in which leads should have become customers, such as 90 days.';
    END IF;
    -- a lead whose horizon still runs would count as one that did not become a customer
    IF model_quality.at > now() - leadscore_internal.fixed_period(coalesce(model_quality.horizon, (SELECT s.mature_after FROM @pipeline@.setting s))) THEN
        RAISE EXCEPTION 'horizon after at is not over yet'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass an earlier at or a shorter horizon.';
    END IF;
    -- an unknown model is an error of this line, not of the long query
    compiled := @pipeline@.compiled_model(model_quality.model);
    RETURN QUERY
        WITH scored AS MATERIALIZED (
            SELECT l.lead_id, l.milli, l.band, l.won,
                rank() OVER (ORDER BY l.milli) + (count(*) OVER (PARTITION BY l.milli) - 1) / 2.0::double precision AS mid_rank,
                ntile(10) OVER (ORDER BY l.milli DESC, l.lead_id) AS decile
            FROM @reports@._scored_leads(compiled, model_quality.at, model_quality.horizon) l
        ), total AS (
            SELECT count(*) AS leads, count(*) FILTER (WHERE s.won) AS won,
                -- Mann and Whitney: how often a customer had more points than somebody else, ties half
                (sum(s.mid_rank) FILTER (WHERE s.won) - count(*) FILTER (WHERE s.won)::double precision * (count(*) FILTER (WHERE s.won) + 1) / 2)
                    / nullif(count(*) FILTER (WHERE s.won)::double precision * count(*) FILTER (WHERE NOT s.won), 0) AS auc,
                min(s.milli) AS low, max(s.milli) AS high
            FROM scored s
        ), area AS (
            -- Hanley and McNeil
            SELECT t.auc, 1.959963984540054 * sqrt((t.auc * (1 - t.auc)
                + (t.won - 1) * (t.auc / (2 - t.auc) - t.auc * t.auc)
                + (t.leads - t.won - 1) * (2 * t.auc * t.auc / (1 + t.auc) - t.auc * t.auc))
                / nullif(t.won::double precision * (t.leads - t.won), 0)) AS margin
            FROM total t
        ), line AS (
            SELECT 1 AS part, 'summary' AS level, 1 AS place, NULL::text AS stage, t.low, t.high, t.leads, t.won,
                NULL::bigint AS upto, NULL::bigint AS true_positives, NULL::bigint AS false_positives
            FROM total t
            UNION ALL
            SELECT 2, 'band', n.stage_rank, n.stage::text, min(s.milli), max(s.milli), count(s.lead_id), count(*) FILTER (WHERE s.won),
                NULL::bigint, NULL::bigint, NULL::bigint
            FROM leadscore.stages() n
                LEFT JOIN scored s ON s.band = n.stage
            WHERE n.stage >= 'iql' AND n.stage <= 'sql'
            GROUP BY n.stage_rank, n.stage::text
            UNION ALL
            SELECT 3, 'decile', d.decile, NULL::text, min(s.milli), max(s.milli), count(s.lead_id), count(*) FILTER (WHERE s.won),
                sum(count(*) FILTER (WHERE s.won)) OVER (ORDER BY d.decile)::bigint, NULL::bigint, NULL::bigint
            FROM generate_series(1, 10) AS d (decile)
                LEFT JOIN scored s USING (decile)
            GROUP BY d.decile
            UNION ALL
            SELECT 4, 'threshold', leadscore.stage_rank(r.stage), r.stage::text, (r.min_score * 1000)::bigint, NULL::bigint,
                count(s.lead_id), count(*) FILTER (WHERE s.won), NULL::bigint,
                count(*) FILTER (WHERE s.won AND s.milli >= r.min_score * 1000),
                count(*) FILTER (WHERE NOT s.won AND s.milli >= r.min_score * 1000)
            FROM @pipeline@.stage_rule r
                LEFT JOIN scored s ON true
            WHERE r.model = model_quality.model AND r.only_if = '' AND r.min_score IS NOT NULL
            GROUP BY leadscore.stage_rank(r.stage), r.stage::text, r.min_score
        )
        SELECT n.level, n.place, n.stage, trim_scale(n.low / 1000.0), trim_scale(n.high / 1000.0), n.leads, n.won,
            n.won::double precision / nullif(n.leads, 0),
            leadscore_internal.rate_low(n.won, n.leads), leadscore_internal.rate_high(n.won, n.leads),
            CASE WHEN n.part <= 3 THEN n.won::double precision / nullif(n.leads, 0) / nullif(t.won::double precision / nullif(t.leads, 0), 0) END,
            n.upto::double precision / nullif(t.won, 0),
            n.true_positives, n.false_positives, n.won - n.true_positives, n.leads - n.won - n.false_positives,
            n.true_positives::double precision / nullif(n.true_positives + n.false_positives, 0),
            n.true_positives::double precision / nullif(n.won, 0),
            CASE WHEN n.part = 1 THEN a.auc END,
            CASE WHEN n.part = 1 AND a.auc IS NOT NULL THEN greatest(0, a.auc - a.margin) END,
            CASE WHEN n.part = 1 AND a.auc IS NOT NULL THEN least(1, a.auc + a.margin) END
        FROM line n
            CROSS JOIN total t
            CROSS JOIN area a
        ORDER BY n.part, n.place;
END
$$;
COMMENT ON FUNCTION model_quality(text, timestamptz, interval) IS
    'how well the scores at an instant (default: horizon ago) told which leads became customers within horizon (default: setting.mature_after): summary with AUC, bands of points, tenths of leads, thresholds';

-- Leads that were made anonymous are nobody to write to, and are left out.
CREATE OR REPLACE VIEW consent_by_stage WITH (security_invoker = true) AS
SELECT
    t.stage::text AS stage,
    t.stage_rank,
    count(l.lead_id) AS leads,
    count(l.consented_at) AS consents,
    count(*) FILTER (WHERE l.contact_allowed) AS allowed,
    count(*) FILTER (WHERE NOT l.contact_allowed) AS refused,
    count(l.lead_id) FILTER (WHERE l.contact_allowed IS NULL) AS not_asked,
    count(*) FILTER (WHERE l.contact_allowed AND l.consented_at IS NOT NULL) AS reachable,
    count(*) FILTER (WHERE l.contact_allowed AND l.consented_at IS NOT NULL)::double precision / nullif(count(l.lead_id), 0) AS reachable_rate
FROM stages() t
    LEFT JOIN (
        _lead_now s
        JOIN lead l ON l.lead_id = s.lead_id AND l.erased_at IS NULL
    ) ON s.stage = t.stage
GROUP BY t.stage, t.stage_rank
ORDER BY t.stage_rank;
COMMENT ON VIEW consent_by_stage IS 'one row a stage: how many leads in it may be written to. Leads that were forgotten are left out';
COMMENT ON COLUMN consent_by_stage.stage IS 'stage of now';
COMMENT ON COLUMN consent_by_stage.stage_rank IS 'rank of the stage to sort by: visitor 40 to advocate 100, exits 10 to 30';
COMMENT ON COLUMN consent_by_stage.leads IS 'leads in the stage';
COMMENT ON COLUMN consent_by_stage.consents IS 'of these, leads that consented to the policy';
COMMENT ON COLUMN consent_by_stage.allowed IS 'leads that allow messages of some kind';
COMMENT ON COLUMN consent_by_stage.refused IS 'leads that want no messages, or whose address is suppressed';
COMMENT ON COLUMN consent_by_stage.not_asked IS 'leads that said nothing about messages';
COMMENT ON COLUMN consent_by_stage.reachable IS 'leads that consented and allow messages of some kind';
COMMENT ON COLUMN consent_by_stage.reachable_rate IS 'reachable / leads';
