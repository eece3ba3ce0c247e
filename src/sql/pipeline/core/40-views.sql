-- The views: for sales, for reports, for BI tools.
--
-- CREATE OR REPLACE throughout, columns are only appended, security_invoker is
-- restated. Plain types only; dates in the time zone of the pipeline; stage as
-- text, with stage_rank to sort by. No personal data: leadscore.grant_reader
-- grants what views read.

-- Where every lead stands now, though no sweep has recorded yet what is due
-- because time passed, or because models or signals changed.
CREATE OR REPLACE VIEW _lead_now WITH (security_invoker = true) AS
SELECT s.lead_id,
    CASE WHEN s.configuration < g.signals_configuration THEN current_activity(pipeline(), s.lead_id) ELSE s.activity END AS activity,
    CASE WHEN s.next_review_at <= now() OR s.configuration < g.configuration THEN current_stage(pipeline(), s.lead_id) ELSE s.stage END AS stage,
    CASE WHEN s.next_review_at <= now() OR s.configuration < g.configuration THEN current_stage_since(pipeline(), s.lead_id) ELSE s.stage_since END AS stage_since,
    s.next_review_at,
    s.cycle,
    m.model,
    m.compiled,
    now() AS at
FROM lead_state s
    CROSS JOIN setting g
    LEFT JOIN model m ON m.status = 'active';
COMMENT ON VIEW _lead_now IS 'internal: the state of every lead as of now, with the active model';

CREATE OR REPLACE VIEW lead_score WITH (security_invoker = true) AS
SELECT
    l.lead_id,
    l.external_id,
    l.kind,
    l.organization,
    l.market,
    l.country,
    coalesce(l.channel, c.channel) AS channel,
    coalesce(c.direction, h.direction) AS direction,
    l.campaign,
    l.owner,
    l.persona,
    n.stage::text AS stage,
    stage_rank(n.stage) AS stage_rank,
    temperature(n.stage) AS temperature,
    score_milli(s.activity, m.compiled, now()) / 1000.0::double precision AS score,
    d.engagement,
    d.fit,
    grade(s.activity, m.compiled, now()) AS grade,
    a.last_activity_at,
    CASE WHEN n.stage = s.stage THEN s.stage_since ELSE s.next_review_at END AS stage_since_at,
    s.next_review_at,
    s.cycle,
    l.consented_at IS NOT NULL AS consented,
    l.contact_allowed,
    CASE WHEN isfinite(l.created_at) THEN l.created_at END AS created_at
FROM lead l
    LEFT JOIN lead_state s USING (lead_id)
    LEFT JOIN model m ON m.status = 'active'
    LEFT JOIN campaign c ON c.campaign = l.campaign
    LEFT JOIN channel h ON h.channel = coalesce(l.channel, c.channel)
    LEFT JOIN LATERAL (SELECT CASE WHEN s.next_review_at <= now() OR s.configuration < (SELECT g.configuration FROM setting g) THEN current_stage(pipeline(), s.lead_id) ELSE s.stage END) AS n (stage) ON true
    LEFT JOIN LATERAL (
        SELECT max(p.points) FILTER (WHERE p.dimension = 'engagement')::double precision AS engagement,
            max(p.points) FILTER (WHERE p.dimension = 'fit')::double precision AS fit
        FROM dimension_scores(s.activity, m.compiled, now()) p
    ) d ON true
    LEFT JOIN LATERAL (
        SELECT max(u.bucket) AS last_activity_at
        FROM unnest(s.activity) u
        WHERE u.signal_id > 0 AND u.count > 0 AND u.bucket <= now()
    ) a ON true;
COMMENT ON VIEW lead_score IS 'one row a lead: where it stands now';
COMMENT ON COLUMN lead_score.lead_id IS 'the lead';
COMMENT ON COLUMN lead_score.external_id IS 'name of the lead in the app';
COMMENT ON COLUMN lead_score.kind IS 'person or organization';
COMMENT ON COLUMN lead_score.organization IS 'organization that the person belongs to';
COMMENT ON COLUMN lead_score.market IS 'b2b or b2c';
COMMENT ON COLUMN lead_score.country IS 'country';
COMMENT ON COLUMN lead_score.channel IS 'channel that the lead came by';
COMMENT ON COLUMN lead_score.direction IS 'inbound or outbound, of the campaign or else of the channel';
COMMENT ON COLUMN lead_score.campaign IS 'campaign that the lead came by';
COMMENT ON COLUMN lead_score.owner IS 'who looks after the lead';
COMMENT ON COLUMN lead_score.persona IS 'buyer persona';
COMMENT ON COLUMN lead_score.stage IS 'stage: visitor, iql, mql, sql, prospect, customer, advocate; recycled, lost, disqualified';
COMMENT ON COLUMN lead_score.stage_rank IS 'order of the stages: visitor 40 to advocate 100, exits below';
COMMENT ON COLUMN lead_score.temperature IS 'cold (iql), warm (mql), hot (sql)';
COMMENT ON COLUMN lead_score.score IS 'score now, by the active model';
COMMENT ON COLUMN lead_score.engagement IS 'points of the dimension engagement, if the model has one';
COMMENT ON COLUMN lead_score.fit IS 'points of the dimension fit, if the model has one';
COMMENT ON COLUMN lead_score.grade IS 'grades of the graded dimensions, such as A or A1';
COMMENT ON COLUMN lead_score.last_activity_at IS 'beginning of the UTC day (or hour, by the grain) of the newest event that counts';
COMMENT ON COLUMN lead_score.stage_since_at IS 'since when the lead is in its stage';
COMMENT ON COLUMN lead_score.next_review_at IS 'when the stage may change though nothing happens';
COMMENT ON COLUMN lead_score.cycle IS 'number of the run through the funnel';
COMMENT ON COLUMN lead_score.consented IS 'whether the data protection policy is accepted';
COMMENT ON COLUMN lead_score.contact_allowed IS 'whether messages may be sent; NULL: not asked';
COMMENT ON COLUMN lead_score.created_at IS 'when the lead was first heard of';

CREATE OR REPLACE VIEW lead_dimension WITH (security_invoker = true) AS
SELECT
    s.lead_id,
    d.dimension,
    d.points::double precision AS points,
    d.weight::double precision AS weight,
    d.grade,
    n.stage::text AS stage,
    stage_rank(n.stage) AS stage_rank
FROM lead_state s
    JOIN model m ON m.status = 'active'
    CROSS JOIN LATERAL (SELECT CASE WHEN s.next_review_at <= now() OR s.configuration < (SELECT g.configuration FROM setting g) THEN current_stage(pipeline(), s.lead_id) ELSE s.stage END) AS n (stage)
    CROSS JOIN LATERAL dimension_scores(s.activity, m.compiled, now()) d;
COMMENT ON VIEW lead_dimension IS 'one row a lead and dimension: what the score is made of';
COMMENT ON COLUMN lead_dimension.lead_id IS 'the lead';
COMMENT ON COLUMN lead_dimension.dimension IS 'the dimension';
COMMENT ON COLUMN lead_dimension.points IS 'points now, by the active model';
COMMENT ON COLUMN lead_dimension.weight IS 'factor in the score';
COMMENT ON COLUMN lead_dimension.grade IS 'grade, if the dimension has grades';
COMMENT ON COLUMN lead_dimension.stage IS 'stage of the lead';
COMMENT ON COLUMN lead_dimension.stage_rank IS 'order of the stages';

CREATE OR REPLACE VIEW account_score WITH (security_invoker = true) AS
SELECT
    o.organization,
    o.leads,
    o.people,
    o.stage::text AS stage,
    stage_rank(o.stage) AS stage_rank,
    score_milli(o.activity, m.compiled, now()) / 1000.0::double precision AS score,
    d.engagement,
    d.fit,
    grade(o.activity, m.compiled, now()) AS grade,
    o.customers,
    o.created_at
FROM (
        SELECT
            l.organization,
            count(*) AS leads,
            count(*) FILTER (WHERE l.kind = 'person') AS people,
            max(n.stage) AS stage,
            count(*) FILTER (WHERE n.stage >= 'customer') AS customers,
            min(l.created_at) FILTER (WHERE isfinite(l.created_at)) AS created_at,
            sum(s.activity) AS activity
        FROM lead l
            JOIN lead_state s USING (lead_id)
            LEFT JOIN model m ON m.status = 'active'
            CROSS JOIN LATERAL (SELECT CASE WHEN s.next_review_at <= now() OR s.configuration < (SELECT g.configuration FROM setting g) THEN current_stage(pipeline(), s.lead_id) ELSE s.stage END) AS n (stage)
        WHERE l.organization IS NOT NULL
        GROUP BY l.organization
    ) o
    LEFT JOIN model m ON m.status = 'active'
    LEFT JOIN LATERAL (
        SELECT max(p.points) FILTER (WHERE p.dimension = 'engagement')::double precision AS engagement,
            max(p.points) FILTER (WHERE p.dimension = 'fit')::double precision AS fit
        FROM dimension_scores(o.activity, m.compiled, now()) p
    ) d ON true;
COMMENT ON VIEW account_score IS 'one row an organization: all its contacts together, scored as if they were one lead';
COMMENT ON COLUMN account_score.organization IS 'the organization';
COMMENT ON COLUMN account_score.leads IS 'number of its leads';
COMMENT ON COLUMN account_score.people IS 'number of those that are persons';
COMMENT ON COLUMN account_score.stage IS 'highest stage of its leads';
COMMENT ON COLUMN account_score.stage_rank IS 'order of the stages';
COMMENT ON COLUMN account_score.score IS 'score of what all of them did and are, with the caps and limits of one lead';
COMMENT ON COLUMN account_score.engagement IS 'points of the dimension engagement, if the model has one';
COMMENT ON COLUMN account_score.fit IS 'points of the dimension fit, if the model has one';
COMMENT ON COLUMN account_score.grade IS 'grades of the graded dimensions';
COMMENT ON COLUMN account_score.customers IS 'number of its leads that are customers';
COMMENT ON COLUMN account_score.created_at IS 'when the first of its leads was heard of';

CREATE OR REPLACE VIEW hot_leads WITH (security_invoker = true) AS
SELECT
    q.call_order,
    q.lead_id,
    q.external_id,
    q.organization,
    q.owner,
    q.channel,
    q.campaign,
    q.stage,
    q.stage_rank,
    q.score,
    w.why,
    q.stage_since_at,
    q.due_at,
    k.contacted_at IS NOT NULL AS contacted,
    k.contacted_at,
    coalesce(k.contacted_at, now()) > q.due_at AS breached,
    q.contact_allowed
FROM (
        SELECT
            row_number() OVER (ORDER BY h.stage_rank DESC, h.score DESC, h.stage_since_at, h.lead_id) AS call_order,
            h.*
        FROM (
                SELECT
                    s.lead_id,
                    l.external_id,
                    l.organization,
                    l.owner,
                    l.channel,
                    l.campaign,
                    l.contact_allowed,
                    n.stage::text AS stage,
                    stage_rank(n.stage) AS stage_rank,
                    score_milli(s.activity, m.compiled, now()) / 1000.0::double precision AS score,
                    t.since AS stage_since_at,
                    t.since + r.sla AS due_at,
                    s.activity,
                    m.compiled
                FROM lead_state s
                    JOIN lead l USING (lead_id)
                    JOIN model m ON m.status = 'active'
                    CROSS JOIN LATERAL (SELECT CASE WHEN s.next_review_at <= now() OR s.configuration < (SELECT g.configuration FROM setting g) THEN current_stage(pipeline(), s.lead_id) ELSE s.stage END) AS n (stage)
                    CROSS JOIN LATERAL (SELECT CASE WHEN n.stage = s.stage THEN s.stage_since ELSE s.next_review_at END) AS t (since)
                    -- the row of stage_rule that the engine goes by
                    LEFT JOIN LATERAL (
                        SELECT r.sla
                        FROM stage_rule r
                        WHERE r.model = m.model AND r.stage = n.stage
                            AND (r.only_if = '' OR EXISTS (
                                SELECT FROM signal g, unnest(s.activity) u
                                WHERE g.signal = r.only_if AND u.signal_id = g.signal_id AND u.count > 0))
                        ORDER BY r.only_if = '', r.only_if COLLATE "C"
                        LIMIT 1
                    ) r ON true
                WHERE (s.stage IN ('mql', 'sql') OR s.next_review_at <= now() OR s.configuration < (SELECT g.configuration FROM setting g))
                    AND n.stage IN ('mql', 'sql')
            ) h
    ) q
    LEFT JOIN LATERAL (
        SELECT string_agg(t.rule || ' +' || t.points, ', ' ORDER BY t.points DESC, t.rule) AS why
        FROM (
            -- limits and caps of a rule are rows of their own
            SELECT e.rule, trim_scale(sum(e.points)) AS points
            FROM explain(q.activity, q.compiled, now()) e
            WHERE e.rule IS NOT NULL
            GROUP BY e.rule
            HAVING sum(e.points) > 0
            ORDER BY sum(e.points) DESC, e.rule
            LIMIT 3
        ) t
    ) w ON true
    LEFT JOIN LATERAL (
        SELECT min(e.occurred_at) AS contacted_at
        FROM event e
            JOIN event_kind t USING (kind)
        WHERE e.lead_id = q.lead_id AND e.occurred_at >= q.stage_since_at AND t.role IN ('outreach', 'sales_contact')
    ) k ON true
-- as call_order, and so that LIMIT need not explain all
ORDER BY q.stage_rank DESC, q.score DESC, q.stage_since_at, q.lead_id;
COMMENT ON VIEW hot_leads IS 'whom to call: leads that are sql or mql, the hottest first';
COMMENT ON COLUMN hot_leads.call_order IS '1: call first; sql before mql, then by score';
COMMENT ON COLUMN hot_leads.lead_id IS 'the lead';
COMMENT ON COLUMN hot_leads.external_id IS 'name of the lead in the app';
COMMENT ON COLUMN hot_leads.organization IS 'organization that the person belongs to';
COMMENT ON COLUMN hot_leads.owner IS 'who looks after the lead';
COMMENT ON COLUMN hot_leads.channel IS 'channel that the lead came by';
COMMENT ON COLUMN hot_leads.campaign IS 'campaign that the lead came by';
COMMENT ON COLUMN hot_leads.stage IS 'stage: sql or mql';
COMMENT ON COLUMN hot_leads.stage_rank IS 'order of the stages';
COMMENT ON COLUMN hot_leads.score IS 'score now, by the active model';
COMMENT ON COLUMN hot_leads.why IS 'the three rules that give most points';
COMMENT ON COLUMN hot_leads.stage_since_at IS 'since when the lead is in its stage';
COMMENT ON COLUMN hot_leads.due_at IS 'by when it should be contacted; NULL: no such time is set for the stage';
COMMENT ON COLUMN hot_leads.contacted IS 'whether sales tried to reach the lead since then';
COMMENT ON COLUMN hot_leads.contacted_at IS 'when first';
COMMENT ON COLUMN hot_leads.breached IS 'whether that was, or is already, too late';
COMMENT ON COLUMN hot_leads.contact_allowed IS 'whether messages may be sent; NULL: not asked';

CREATE OR REPLACE VIEW unscored_events WITH (security_invoker = true) AS
SELECT
    e.lead_id,
    e.event_id,
    e.kind,
    CASE WHEN k.kind IS NULL THEN 'unknown kind' ELSE 'no signal matches' END AS reason,
    CASE WHEN isfinite(e.occurred_at) THEN e.occurred_at END AS occurred_at,
    e.recorded_at,
    e.channel,
    e.campaign
FROM unscored() u
    JOIN event e USING (lead_id, event_id)
    LEFT JOIN (SELECT kind FROM event_kind UNION SELECT unnest(event_kinds) FROM signal) k ON k.kind = e.kind;
COMMENT ON VIEW unscored_events IS 'events that count for nothing though they should: of a kind that nobody knows, or matching no signal of their kind';
COMMENT ON COLUMN unscored_events.lead_id IS 'the lead';
COMMENT ON COLUMN unscored_events.event_id IS 'the event';
COMMENT ON COLUMN unscored_events.kind IS 'its kind';
COMMENT ON COLUMN unscored_events.reason IS 'unknown kind: neither in event_kind nor of any signal; no signal matches: signals of this kind have conditions that do not hold';
COMMENT ON COLUMN unscored_events.occurred_at IS 'when it happened';
COMMENT ON COLUMN unscored_events.recorded_at IS 'when it was recorded';
COMMENT ON COLUMN unscored_events.channel IS 'channel that it came by';
COMMENT ON COLUMN unscored_events.campaign IS 'campaign that it came by';
