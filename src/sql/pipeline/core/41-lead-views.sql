-- Where leads stand: for sales.
--
-- Plain types only; dates in the time zone of the pipeline; stage as text, with
-- stage_rank to sort by. No personal data: leadscore.grant_reader grants the
-- columns that views read.

CREATE OR REPLACE VIEW lead_score WITH (security_invoker = true) AS
SELECT
    l.lead_id,
    l.external_id,
    l.kind,
    l.organization,
    l.market,
    l.country,
    l.channel,
    l.campaign,
    l.owner,
    l.persona,
    s.stage::text AS stage,
    s.stage_rank,
    temperature(s.stage) AS temperature,
    score_milli(s.activity, s.compiled, s.at) / 1000.0::double precision AS score,
    dimension_points(s.activity, s.compiled, 'engagement', s.at) AS engagement,
    dimension_points(s.activity, s.compiled, 'fit', s.at) AS fit,
    grade(s.activity, s.compiled, s.at) AS grade,
    dated(last_activity(s.activity, s.at, c.signals)) AS last_activity_at,
    s.stage_since_at,
    s.next_review_at,
    s.cycle,
    l.consented_at IS NOT NULL AS consented,
    l.contact_allowed,
    dated(l.created_at) AS created_at,
    CASE WHEN s.stage_rank BETWEEN 50 AND 80 THEN
        calibrated_chance(c.curve, score_milli(s.activity, s.compiled, s.at) / 1000.0::double precision, s.stage_rank)
    END AS conversion_probability
FROM lead l
    LEFT JOIN _lead_now s ON s.lead_id = l.lead_id
    -- once a query. By the aggregates the planner knows that it is one row, and drops
    -- the join if nobody asks for it
    LEFT JOIN (
        SELECT coalesce(array_agg(g.signal_id::integer) FILTER (WHERE g.event_role = 'outreach'), '{}') AS signals, max(k.curve) AS curve
        FROM signal g
            LEFT JOIN (
                SELECT calibration_curve(k.intercept, k.points_coefficient, k.stage_coefficients, k.bin_edges, k.bin_rates) AS curve
                FROM model_calibration k
                    JOIN model n ON n.model = k.model
                WHERE n.status = 'active' AND k.target = 'customer'
                ORDER BY k.calibrated_at DESC, k.horizon
                LIMIT 1
            ) k ON true
    ) c ON true;
COMMENT ON VIEW lead_score IS 'one row a lead: its score and stage now';
COMMENT ON COLUMN lead_score.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN lead_score.external_id IS 'name of the lead in the app';
COMMENT ON COLUMN lead_score.kind IS 'person or organization';
COMMENT ON COLUMN lead_score.organization IS 'organization that the person belongs to';
COMMENT ON COLUMN lead_score.market IS 'market of the lead: b2b or b2c';
COMMENT ON COLUMN lead_score.country IS 'country of the lead, best as ISO 3166 code';
COMMENT ON COLUMN lead_score.channel IS 'channel that the lead came by, as recorded with the lead; lead_dim has that of its campaign too';
COMMENT ON COLUMN lead_score.campaign IS 'campaign that the lead came by';
COMMENT ON COLUMN lead_score.owner IS 'person of your company in charge of the lead';
COMMENT ON COLUMN lead_score.persona IS 'buyer persona that the lead stands for';
COMMENT ON COLUMN lead_score.stage IS 'stage: visitor, iql, mql, sql, prospect, customer, advocate; recycled, lost, disqualified';
COMMENT ON COLUMN lead_score.stage_rank IS 'rank of the stage to sort by: visitor 40 to advocate 100, exits 10 to 30';
COMMENT ON COLUMN lead_score.temperature IS 'cold (iql), warm (mql) or hot (sql); NULL: another stage';
COMMENT ON COLUMN lead_score.score IS 'score now in points, by the active model';
COMMENT ON COLUMN lead_score.engagement IS 'points of the dimension engagement, if the model has one';
COMMENT ON COLUMN lead_score.fit IS 'points of the dimension fit, if the model has one';
COMMENT ON COLUMN lead_score.grade IS 'grades of the graded dimensions, such as A or A1';
COMMENT ON COLUMN lead_score.last_activity_at IS 'beginning of the UTC day (or hour, by the grain) of the newest event that counts; an outreach of ours is none';
COMMENT ON COLUMN lead_score.stage_since_at IS 'since when the lead is in its stage';
COMMENT ON COLUMN lead_score.next_review_at IS 'when the stage or a segment may change though nothing happens; NULL: never';
COMMENT ON COLUMN lead_score.cycle IS 'number of the cycle through the funnel; a new one begins when a lost or recycled lead comes back';
COMMENT ON COLUMN lead_score.consented IS 'whether the data protection policy is accepted';
COMMENT ON COLUMN lead_score.contact_allowed IS 'whether messages of some kind may be sent, see may_contact(); NULL: not asked';
COMMENT ON COLUMN lead_score.created_at IS 'when the lead became known';
COMMENT ON COLUMN lead_score.conversion_probability IS 'chance to become a customer, see conversion_probability(); NULL: the active model is not calibrated, or the lead is none that could become one';

CREATE OR REPLACE VIEW lead_dimension WITH (security_invoker = true) AS
SELECT
    s.lead_id,
    d.dimension,
    d.points::double precision AS points,
    d.weight::double precision AS weight,
    d.grade,
    s.stage::text AS stage,
    s.stage_rank
FROM _lead_now s
    CROSS JOIN LATERAL dimension_scores(s.activity, s.compiled, s.at) d;
COMMENT ON VIEW lead_dimension IS 'one row a lead and dimension of the active model: the parts of the score';
COMMENT ON COLUMN lead_dimension.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN lead_dimension.dimension IS 'the dimension';
COMMENT ON COLUMN lead_dimension.points IS 'points now, by the active model, after the limits of the dimension and before its weight';
COMMENT ON COLUMN lead_dimension.weight IS 'factor of the points in the score';
COMMENT ON COLUMN lead_dimension.grade IS 'grade, if the dimension has grades';
COMMENT ON COLUMN lead_dimension.stage IS 'stage of the lead now';
COMMENT ON COLUMN lead_dimension.stage_rank IS 'rank of the stage to sort by: visitor 40 to advocate 100, exits 10 to 30';

CREATE OR REPLACE VIEW account_score WITH (security_invoker = true) AS
SELECT
    o.organization,
    o.leads,
    o.people,
    o.stage::text AS stage,
    stage_rank(o.stage) AS stage_rank,
    score_milli(o.activity, m.compiled, o.at) / 1000.0::double precision AS score,
    dimension_points(o.activity, m.compiled, 'engagement', o.at) AS engagement,
    dimension_points(o.activity, m.compiled, 'fit', o.at) AS fit,
    grade(o.activity, m.compiled, o.at) AS grade,
    o.customers,
    o.created_at
FROM (
        SELECT
            l.organization,
            count(*) AS leads,
            count(*) FILTER (WHERE l.kind = 'person') AS people,
            max(s.stage) AS stage,
            count(*) FILTER (WHERE s.stage >= 'customer') AS customers,
            min(dated(l.created_at)) AS created_at,
            sum(s.activity) AS activity,
            min(s.at) AS at
        FROM lead l
            JOIN _lead_now s USING (lead_id)
        -- a name that is empty is no name, as in attribution
        WHERE l.organization <> ''
        GROUP BY l.organization
    ) o
    LEFT JOIN model m ON m.status = 'active';
COMMENT ON VIEW account_score IS 'one row an organization: all its contacts together, scored as if they were one lead';
COMMENT ON COLUMN account_score.organization IS 'the organization';
COMMENT ON COLUMN account_score.leads IS 'contacts of the organization, in whatever stage';
COMMENT ON COLUMN account_score.people IS 'contacts that are persons';
COMMENT ON COLUMN account_score.stage IS 'highest stage of the contacts';
COMMENT ON COLUMN account_score.stage_rank IS 'rank of the stage to sort by: visitor 40 to advocate 100, exits 10 to 30';
COMMENT ON COLUMN account_score.score IS 'score of what all contacts did and are, with the caps and limits of one lead';
COMMENT ON COLUMN account_score.engagement IS 'points of the dimension engagement, if the model has one';
COMMENT ON COLUMN account_score.fit IS 'points of the dimension fit, if the model has one';
COMMENT ON COLUMN account_score.grade IS 'grades of the graded dimensions';
COMMENT ON COLUMN account_score.customers IS 'contacts that are customers';
COMMENT ON COLUMN account_score.created_at IS 'when the first of the contacts became known';

-- Leads that are mql or sql. A lead that wants no messages is one of them only if
-- it has asked for something since it said so.
CREATE OR REPLACE VIEW _hot WITH (security_invoker = true) AS
SELECT
    s.lead_id,
    l.external_id,
    l.organization,
    l.owner,
    l.channel,
    l.campaign,
    l.contact_allowed,
    s.stage::text AS stage,
    s.stage_rank,
    score_milli(s.activity, s.compiled, s.at) / 1000.0::double precision AS score,
    s.stage_since_at,
    s.activity,
    s.compiled,
    s.at
FROM _lead_now s
    JOIN lead l USING (lead_id)
WHERE s.stage IN ('mql', 'sql')
    AND s.compiled IS NOT NULL
    AND l.erased_at IS NULL
    -- a lead that asks for something is to be answered
    AND (l.contact_allowed IS NOT FALSE
        OR EXISTS (
            SELECT FROM event e
                JOIN event_kind k USING (kind)
            WHERE e.lead_id = s.lead_id AND k.role = 'request'
                -- one that is dated ahead has not been made
                AND e.occurred_at <= now()
                AND e.occurred_at > (
                    SELECT max(c.occurred_at)
                    FROM consent c
                    WHERE c.lead_id = s.lead_id AND c.purpose = 'marketing' AND c.status = 'withdrawn')));
COMMENT ON VIEW _hot IS 'one row a lead that is sql or mql and that sales may call';

-- What hot_leads and hot_leads(n) show of a lead, which takes longer than to find
-- its place.
CREATE OR REPLACE VIEW _hot_lead WITH (security_invoker = true) AS
SELECT
    h.lead_id,
    h.external_id,
    h.organization,
    h.owner,
    h.channel,
    h.campaign,
    h.stage,
    h.stage_rank,
    h.score,
    top_rules(h.activity, h.compiled, h.at) AS why,
    h.stage_since_at,
    y.due_at,
    y.contacted_at IS NOT NULL AS contacted,
    y.contacted_at,
    coalesce(y.contacted_at, now()) > y.due_at AS breached,
    h.contact_allowed,
    _deadline_at(h.lead_id) AS deadline_at
FROM _hot h
    -- lead by lead: all stays of all leads would be many
    LEFT JOIN LATERAL (
        SELECT y.due_at, y.contacted_at
        FROM _stay y
        WHERE y.lead_id = h.lead_id AND y.is_current
        LIMIT 1
    ) y ON true;
COMMENT ON VIEW _hot_lead IS 'one row a lead that is sql or mql and that sales may call: the columns of hot_leads but its place';

CREATE OR REPLACE VIEW hot_leads WITH (security_invoker = true) AS
SELECT q.call_order, q.lead_id, q.external_id, q.organization, q.owner, q.channel, q.campaign, q.stage, q.stage_rank, q.score, c.why,
    q.stage_since_at, c.due_at, c.contacted, c.contacted_at, c.breached, q.contact_allowed, c.deadline_at
FROM (
        SELECT h.lead_id, h.external_id, h.organization, h.owner, h.channel, h.campaign, h.stage, h.stage_rank, h.score, h.stage_since_at, h.contact_allowed,
            row_number() OVER (ORDER BY h.stage_rank DESC, h.score DESC, h.stage_since_at, h.lead_id) AS call_order
        FROM _hot h
        ORDER BY call_order
    ) q
    -- OFFSET: lead by lead, so that neither LIMIT nor a condition need explain all
    CROSS JOIN LATERAL (SELECT * FROM _hot_lead c WHERE c.lead_id = q.lead_id OFFSET 0) c
ORDER BY q.call_order;
COMMENT ON VIEW hot_leads IS 'one row a lead that is sql or mql, in the order in which sales should call them. A lead that wants no messages is left out, unless it has asked for something since it said so';
COMMENT ON COLUMN hot_leads.call_order IS '1: call this lead first; sql before mql, then by score';
COMMENT ON COLUMN hot_leads.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN hot_leads.external_id IS 'name of the lead in the app';
COMMENT ON COLUMN hot_leads.organization IS 'organization that the person belongs to';
COMMENT ON COLUMN hot_leads.owner IS 'person of your company in charge of the lead';
COMMENT ON COLUMN hot_leads.channel IS 'channel that the lead came by, as recorded with the lead';
COMMENT ON COLUMN hot_leads.campaign IS 'campaign that the lead came by';
COMMENT ON COLUMN hot_leads.stage IS 'stage: sql or mql';
COMMENT ON COLUMN hot_leads.stage_rank IS 'rank of the stage to sort by: visitor 40 to advocate 100, exits 10 to 30';
COMMENT ON COLUMN hot_leads.score IS 'score now in points, by the active model';
COMMENT ON COLUMN hot_leads.why IS 'the three rules that give most points';
COMMENT ON COLUMN hot_leads.stage_since_at IS 'since when the lead is in its stage';
COMMENT ON COLUMN hot_leads.due_at IS 'until when sales should contact the lead; NULL: the stage has no such time';
COMMENT ON COLUMN hot_leads.contacted IS 'whether there is an outreach, sales_contact or meeting_held since then, or before then in the same cycle, at most stage_rule.sla (or else setting.first_response_within) before it';
COMMENT ON COLUMN hot_leads.contacted_at IS 'the last contact before the stage that counts for it, or else the first contact since';
COMMENT ON COLUMN hot_leads.breached IS 'whether the contact was too late, or is already';
COMMENT ON COLUMN hot_leads.contact_allowed IS 'whether messages of some kind may be sent, see may_contact(); NULL: not asked';
COMMENT ON COLUMN hot_leads.deadline_at IS 'by when the lead wants to be ready: the key deadline of its profile, an ISO date (its midnight, in the time zone of the pipeline) or timestamp; NULL: not known, or no such date';

CREATE OR REPLACE VIEW unscored_events WITH (security_invoker = true) AS
SELECT
    e.lead_id,
    e.event_id,
    e.kind,
    u.reason,
    dated(e.occurred_at) AS occurred_at,
    dated(e.recorded_at) AS recorded_at,
    e.channel,
    e.campaign,
    u.signal,
    u.key AS property
FROM _unscored() u
    JOIN event e USING (lead_id, event_id);
COMMENT ON VIEW unscored_events IS 'one row an event that counts for nothing, or for less than it should: of an unknown kind, matching no signal of its kind, with a property of the wrong type, or setting no stage';
COMMENT ON COLUMN unscored_events.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN unscored_events.event_id IS 'number of the event, see the table event';
COMMENT ON COLUMN unscored_events.kind IS 'kind of the event, see event_kind';
COMMENT ON COLUMN unscored_events.reason IS 'unknown kind: neither in event_kind nor asked for by a signal; no signal matches: the conditions of all signals of this kind fail; wrong type: a signal cannot compare a property, such as "200" with 100; stage not set: the stage that the event names does not exist, or it is one from iql to prospect and the contact lacked what makes a lead';
COMMENT ON COLUMN unscored_events.occurred_at IS 'when it happened; NULL outside the years 1 to 9999';
COMMENT ON COLUMN unscored_events.recorded_at IS 'when it was recorded';
COMMENT ON COLUMN unscored_events.channel IS 'channel that the event came by';
COMMENT ON COLUMN unscored_events.campaign IS 'campaign that the event came by';
COMMENT ON COLUMN unscored_events.signal IS 'wrong type: the signal, of several the first by name';
COMMENT ON COLUMN unscored_events.property IS 'wrong type: the property';

CREATE OR REPLACE VIEW unscored_profiles WITH (security_invoker = true) AS
SELECT
    u.lead_id,
    l.external_id,
    u.signal,
    u.key AS property,
    u.value_type
FROM _unscored_profiles() u
    JOIN lead l USING (lead_id);
COMMENT ON VIEW unscored_profiles IS 'one row a lead, signal and property of its profile of a type that the signal cannot compare, such as "yes" with true: it scores nothing';
COMMENT ON COLUMN unscored_profiles.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN unscored_profiles.external_id IS 'name of the lead in the app';
COMMENT ON COLUMN unscored_profiles.signal IS 'the profile signal';
COMMENT ON COLUMN unscored_profiles.property IS 'the key of the profile';
COMMENT ON COLUMN unscored_profiles.value_type IS 'type of its value: string, number, boolean, array or object';
