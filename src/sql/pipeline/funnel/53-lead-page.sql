-- The page of one lead: its timeline, origin, interests and path.
--
-- Ask for one lead by lead_id: WHERE lead_id = lead_id('visitor-1'). No
-- personal data and no properties but the names of contents.

CREATE OR REPLACE VIEW lead_timeline WITH (security_invoker = true) AS
SELECT
    t.lead_id,
    row_number() OVER (PARTITION BY t.lead_id ORDER BY t.happened_at, t.place, t.number) AS entry,
    t.happened_at,
    t.what,
    t.name,
    t.stage,
    t.stage_rank,
    t.cause,
    t.score,
    t.channel,
    t.campaign,
    t.recorded_at
FROM (
        SELECT
            e.lead_id,
            dated(e.occurred_at) AS happened_at,
            2 AS place,
            e.event_id AS number,
            'event' AS what,
            e.kind AS name,
            NULL::text AS stage,
            NULL::integer AS stage_rank,
            NULL::text AS cause,
            NULL::double precision AS score,
            e.channel,
            e.campaign,
            dated(e.recorded_at) AS recorded_at
        FROM event e
        UNION ALL
        SELECT
            h.lead_id,
            dated(h.effective_at) AS happened_at,
            -- a lead is created before anything happens, and moves after it
            CASE WHEN h.from_stage IS NULL THEN 0 ELSE 3 END AS place,
            h.seq AS number,
            'stage' AS what,
            CASE WHEN h.from_stage IS NULL THEN '' ELSE h.from_stage::text || ' -> ' END || h.to_stage::text AS name,
            h.to_stage::text AS stage,
            stage_rank(h.to_stage) AS stage_rank,
            h.cause,
            h.score::double precision AS score,
            NULL::text AS channel,
            NULL::text AS campaign,
            dated(h.recorded_at) AS recorded_at
        FROM stage_history h
        UNION ALL
        SELECT
            p.lead_id,
            dated(p.changed_at) AS happened_at,
            1 AS place,
            p.seq AS number,
            'profile' AS what,
            CASE WHEN p.count > 0 THEN '+ ' ELSE '- ' END || p.signal AS name,
            NULL::text AS stage,
            NULL::integer AS stage_rank,
            NULL::text AS cause,
            NULL::double precision AS score,
            NULL::text AS channel,
            NULL::text AS campaign,
            NULL::timestamptz AS recorded_at
        FROM profile_change p
    ) t;
COMMENT ON VIEW lead_timeline IS 'one row an entry in the timeline of a lead: its events, changes of its profile and of its stage, in event time';
COMMENT ON COLUMN lead_timeline.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN lead_timeline.entry IS 'number of the entry of this lead, in the order in which things happened';
COMMENT ON COLUMN lead_timeline.happened_at IS 'when it happened';
COMMENT ON COLUMN lead_timeline.what IS 'event, profile or stage';
COMMENT ON COLUMN lead_timeline.name IS 'event: its kind; profile: the signal that began (+) or ceased (-) to match; stage: the stage before and after';
COMMENT ON COLUMN lead_timeline.stage IS 'stage from then on; only in rows of stage';
COMMENT ON COLUMN lead_timeline.stage_rank IS 'rank of the stage to sort by: visitor 40 to advocate 100, exits 10 to 30';
COMMENT ON COLUMN lead_timeline.cause IS 'why the stage changed: created, points, decay, milestone, set, profile or activation';
COMMENT ON COLUMN lead_timeline.score IS 'score at that change in points, as recorded';
COMMENT ON COLUMN lead_timeline.channel IS 'channel of the event';
COMMENT ON COLUMN lead_timeline.campaign IS 'campaign of the event';
COMMENT ON COLUMN lead_timeline.recorded_at IS 'when it was recorded; later than happened_at if it came late';

CREATE OR REPLACE VIEW lead_origin WITH (security_invoker = true) AS
SELECT
    d.lead_id,
    d.external_id,
    d.created_at,
    f.kind AS first_kind,
    f.occurred_at AS first_at,
    coalesce(f.channel, fc.channel) AS first_channel,
    f.campaign AS first_campaign,
    i.kind AS interest_kind,
    i.occurred_at AS interest_at,
    _content_name(i.lead_id, i.event_id) AS interest_content,
    b.lead_at,
    d.channel,
    d.direction,
    d.campaign,
    d.referred_by
FROM _source d
    LEFT JOIN LATERAL (
        SELECT e.kind, e.occurred_at, e.channel, e.campaign
        FROM event e
        WHERE e.lead_id = d.lead_id AND is_dated(e.occurred_at)
        ORDER BY e.occurred_at, e.event_id
        LIMIT 1
    ) f ON true
    LEFT JOIN campaign fc ON fc.campaign = f.campaign
    LEFT JOIN LATERAL (
        SELECT e.lead_id, e.event_id, e.kind, e.occurred_at
        FROM event e
            JOIN event_kind k USING (kind)
        WHERE e.lead_id = d.lead_id AND is_dated(e.occurred_at)
            AND k.role IN ('capture', 'form_submit', 'download', 'webinar', 'request', 'trial', 'purchase')
            AND NOT (k.role = 'purchase' AND takes_back(e.value))
        ORDER BY e.occurred_at, e.event_id
        LIMIT 1
    ) i ON true
    LEFT JOIN LATERAL (
        SELECT min(h.effective_at) AS lead_at
        FROM _history h
        WHERE h.lead_id = d.lead_id AND h.is_lead
    ) b ON true;
COMMENT ON VIEW lead_origin IS 'one row a lead: where it came from, and the action by which it first showed interest';
COMMENT ON COLUMN lead_origin.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN lead_origin.external_id IS 'name of the lead in the app';
COMMENT ON COLUMN lead_origin.created_at IS 'when the lead became known';
COMMENT ON COLUMN lead_origin.first_kind IS 'kind of its first event';
COMMENT ON COLUMN lead_origin.first_at IS 'when its first event was';
COMMENT ON COLUMN lead_origin.first_channel IS 'channel of that event, or of its campaign';
COMMENT ON COLUMN lead_origin.first_campaign IS 'campaign of that event';
COMMENT ON COLUMN lead_origin.interest_kind IS 'kind of the first event that shows interest: a form sent, a download, a request, a trial, a purchase ...';
COMMENT ON COLUMN lead_origin.interest_at IS 'when the first event that shows interest was';
COMMENT ON COLUMN lead_origin.interest_content IS 'property content of that event';
COMMENT ON COLUMN lead_origin.lead_at IS 'when it became a lead, that is iql or higher';
COMMENT ON COLUMN lead_origin.channel IS 'channel that the lead came by, or that of its campaign; (none): not known';
COMMENT ON COLUMN lead_origin.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN lead_origin.campaign IS 'campaign that the lead came by; (none): not known';
COMMENT ON COLUMN lead_origin.referred_by IS 'lead_id of the lead that recommended us';

CREATE OR REPLACE VIEW lead_profile WITH (security_invoker = true) AS
SELECT
    l.lead_id,
    l.external_id,
    coalesce(l.persona, p.personas, '(none)') AS persona,
    o.offers_taken,
    a.other_actions,
    coalesce(o.offers, 0) AS offers,
    o.first_offer,
    o.last_offer,
    o.last_offer_at,
    coalesce(a.actions, 0) AS actions,
    a.last_action_at
FROM lead l
    LEFT JOIN LATERAL (
        SELECT
            string_agg(DISTINCT n.offer, ', ' ORDER BY n.offer) AS offers_taken,
            count(*) AS offers,
            (array_agg(n.offer ORDER BY n.occurred_at, n.event_id))[1] AS first_offer,
            (array_agg(n.offer ORDER BY n.occurred_at DESC, n.event_id DESC))[1] AS last_offer,
            max(n.occurred_at) AS last_offer_at
        FROM (
                SELECT e.event_id, e.occurred_at, coalesce(_content_name(e.lead_id, e.event_id), e.kind) AS offer
                FROM event e
                    JOIN event_kind k USING (kind)
                WHERE e.lead_id = l.lead_id AND is_dated(e.occurred_at) AND k.role IN ('download', 'webinar')
            ) n
    ) o ON true
    LEFT JOIN LATERAL (
        SELECT
            string_agg(n.kind || ' ' || n.times, ', ' ORDER BY n.times DESC, n.kind) AS other_actions,
            sum(n.times)::bigint AS actions,
            max(n.last_at) AS last_action_at
        FROM (
                SELECT e.kind, count(*) AS times, max(e.occurred_at) AS last_at
                FROM event e
                    LEFT JOIN event_kind k USING (kind)
                WHERE e.lead_id = l.lead_id AND is_dated(e.occurred_at)
                    -- no actions of ours, such as a refund, and no entries by hand
                    AND coalesce(k.role, '') NOT IN ('download', 'webinar', 'email_sent', 'outreach', 'meeting_no_show', 'meeting_cancelled', 'refund', 'points', 'stage', 'lost', 'disqualified', 'recycled')
                    AND (k.role = 'purchase' AND takes_back(e.value)) IS NOT TRUE
                GROUP BY e.kind
            ) n
    ) a ON true
    -- what the app does not know, segments may
    LEFT JOIN LATERAL (
        SELECT string_agg(m.segment, ', ' ORDER BY NOT m.is_ideal_customer, m.segment) AS personas
        FROM segment_members m
        WHERE m.lead_id = l.lead_id AND m.is_persona
    ) p ON l.persona IS NULL;
COMMENT ON VIEW lead_profile IS 'one row a lead: its persona, the offers that it took, and its other actions';
COMMENT ON COLUMN lead_profile.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN lead_profile.external_id IS 'name of the lead in the app';
COMMENT ON COLUMN lead_profile.persona IS 'buyer persona that the lead stands for: lead.persona, or else the personas whose segments it is in, see segment_members; (none): not known';
COMMENT ON COLUMN lead_profile.offers_taken IS 'contents that it took or attended, or the kind of event if that has no content; NULL: none';
COMMENT ON COLUMN lead_profile.other_actions IS 'kinds of other actions and how often, most often first; NULL: none';
COMMENT ON COLUMN lead_profile.offers IS 'number of offers that it took, repeated ones too';
COMMENT ON COLUMN lead_profile.first_offer IS 'the first offer that it took';
COMMENT ON COLUMN lead_profile.last_offer IS 'the newest offer that it took';
COMMENT ON COLUMN lead_profile.last_offer_at IS 'when the newest offer was taken';
COMMENT ON COLUMN lead_profile.actions IS 'number of other actions';
COMMENT ON COLUMN lead_profile.last_action_at IS 'when the newest of these actions was';

CREATE OR REPLACE VIEW lead_path WITH (security_invoker = true) AS
SELECT
    r.lead_id,
    l.external_id,
    r.cycle,
    r.path,
    r.stages,
    r.step_backs,
    k.skipped_stages,
    r.started_at,
    r.ended_at,
    r.stage,
    r.stage_rank,
    date_part('epoch', coalesce(r.ended_at, now()) - r.started_at) / 86400 AS total_days
FROM (
        SELECT
            h.lead_id,
            h.cycle,
            string_agg(h.to_stage::text, ' > ' ORDER BY h.seq) AS path,
            count(DISTINCT stage_rank(h.to_stage)) FILTER (WHERE h.to_stage >= 'visitor') AS stages,
            count(*) FILTER (WHERE h.stepped_back) AS step_backs,
            min(stage_rank(h.to_stage)) FILTER (WHERE h.to_stage >= 'visitor') AS lowest_rank,
            max(stage_rank(h.to_stage)) AS highest_rank,
            array_agg(stage_rank(h.to_stage)) AS ranks,
            min(h.effective_at) AS started_at,
            min(h.effective_at) FILTER (WHERE h.to_stage < 'visitor') AS ended_at,
            (array_agg(h.to_stage::text ORDER BY h.seq DESC))[1] AS stage,
            (array_agg(stage_rank(h.to_stage) ORDER BY h.seq DESC))[1] AS stage_rank
        FROM _history h
        GROUP BY h.lead_id, h.cycle
    ) r
    LEFT JOIN lead l USING (lead_id)
    LEFT JOIN LATERAL (
        SELECT string_agg(t.stage::text, ', ' ORDER BY t.stage_rank) AS skipped_stages
        FROM stages() t
        WHERE t.stage_rank > r.lowest_rank AND t.stage_rank < r.highest_rank AND t.stage_rank <> ALL (r.ranks)
    ) k ON true;
COMMENT ON VIEW lead_path IS 'one row a lead and cycle: the stages that it went through';
COMMENT ON COLUMN lead_path.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN lead_path.external_id IS 'name of the lead in the app';
COMMENT ON COLUMN lead_path.cycle IS 'number of the cycle through the funnel';
COMMENT ON COLUMN lead_path.path IS 'stages of the cycle, in order';
COMMENT ON COLUMN lead_path.stages IS 'number of different stages, without exits';
COMMENT ON COLUMN lead_path.step_backs IS 'how often the lead fell back to a lower stage';
COMMENT ON COLUMN lead_path.skipped_stages IS 'stages between its lowest and its highest that the lead never was in; NULL: none';
COMMENT ON COLUMN lead_path.started_at IS 'when the cycle began';
COMMENT ON COLUMN lead_path.ended_at IS 'when the lead was recycled, lost or disqualified; NULL: it was not';
COMMENT ON COLUMN lead_path.stage IS 'the last stage of the cycle';
COMMENT ON COLUMN lead_path.stage_rank IS 'rank of the stage to sort by: visitor 40 to advocate 100, exits 10 to 30';
COMMENT ON COLUMN lead_path.total_days IS 'days that the cycle lasted, or has lasted so far';

CREATE OR REPLACE VIEW touchpoints WITH (security_invoker = true) AS
SELECT
    t.lead_id,
    t.event_id,
    row_number() OVER (PARTITION BY t.lead_id ORDER BY t.touched_at, t.event_id) AS touch,
    count(*) OVER (PARTITION BY t.lead_id) AS touches,
    t.touched_at,
    t.kind,
    t.role,
    coalesce(t.channel, c.channel, '(none)') AS channel,
    coalesce(c.direction, h.direction, '(none)') AS direction,
    coalesce(t.campaign, '(none)') AS campaign,
    t.customer_at IS NOT NULL AS won,
    t.customer_at,
    date_part('epoch', t.customer_at - t.touched_at) / 86400 AS before_days
FROM (
        SELECT e.lead_id, e.event_id, e.occurred_at AS touched_at, e.kind, k.role, e.channel, e.campaign, w.customer_at
        FROM event e
            JOIN event_kind k USING (kind)
            LEFT JOIN _milestone w USING (lead_id)
        WHERE is_dated(e.occurred_at)
            AND k.role NOT IN ('purchase', 'refund', 'points', 'stage', 'lost', 'disqualified', 'recycled', 'unsubscribe')
            AND (e.occurred_at <= w.customer_at OR w.customer_at IS NULL)
    ) t
    LEFT JOIN campaign c ON c.campaign = t.campaign
    LEFT JOIN channel h ON h.channel = coalesce(t.channel, c.channel);
COMMENT ON VIEW touchpoints IS 'one row a contact between a lead and us, up to its becoming a customer or up to now: events of known kinds, without purchases, refunds, and points and stages by hand';
COMMENT ON COLUMN touchpoints.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN touchpoints.event_id IS 'number of the event, see the table event';
COMMENT ON COLUMN touchpoints.touch IS 'number of the contact among those of the lead, from 1';
COMMENT ON COLUMN touchpoints.touches IS 'number of contacts of this lead in the view';
COMMENT ON COLUMN touchpoints.touched_at IS 'when the contact was';
COMMENT ON COLUMN touchpoints.kind IS 'kind of the event, see event_kind';
COMMENT ON COLUMN touchpoints.role IS 'role of the kind in event_kind';
COMMENT ON COLUMN touchpoints.channel IS 'channel of the event, or of its campaign; (none): not known';
COMMENT ON COLUMN touchpoints.direction IS 'inbound or outbound, of the campaign or else of the channel';
COMMENT ON COLUMN touchpoints.campaign IS 'campaign of the event; (none): not known';
COMMENT ON COLUMN touchpoints.won IS 'whether the lead became a customer';
COMMENT ON COLUMN touchpoints.customer_at IS 'when it first became a customer; NULL: never';
COMMENT ON COLUMN touchpoints.before_days IS 'days from the contact to customer_at';
