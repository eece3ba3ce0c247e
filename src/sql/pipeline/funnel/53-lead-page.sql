-- The page of one lead: its timeline, origin, interests and path.
--
-- Ask for one lead by lead_id: WHERE lead_id = lead_id('visitor-1'). No
-- personal data, and of the properties those that _event_text() lists.

-- Every branch has its place among what happens in one instant: a lead is
-- created before anything happens, and moves after it. What is joined with lead
-- is shown of leads only that the reader may see, whatever its table allows.
CREATE OR REPLACE VIEW lead_timeline WITH (security_invoker = true) AS
SELECT
    t.lead_id,
    row_number() OVER (PARTITION BY t.lead_id ORDER BY t.happened_at, t.place, t.number) AS entry,
    t.happened_at,
    t.what,
    t.name,
    t.stage::text AS stage,
    stage_rank(t.stage) AS stage_rank,
    t.cause,
    t.score::double precision AS score,
    t.channel,
    t.campaign,
    t.recorded_at,
    CASE WHEN t.what = 'event' THEN _event_text(t.lead_id, t.number, 'content') ELSE t.content END AS content,
    CASE WHEN t.what = 'event' THEN _event_text(t.lead_id, t.number, 'page') END AS page,
    CASE WHEN t.what = 'event' THEN _event_text(t.lead_id, t.number, 'form') END AS form,
    CASE WHEN t.what = 'event' THEN _event_text(t.lead_id, t.number, 'outcome') END AS outcome,
    CASE WHEN t.what = 'event' THEN _event_text(t.lead_id, t.number, 'reason') ELSE t.reason END AS reason,
    t.value::double precision AS value,
    CASE WHEN t.what = 'event' THEN _event_text(t.lead_id, t.number, 'by') ELSE t.who END AS who,
    _score_after(t.lead_id, t.happened_at, CASE WHEN t.what = 'event' THEN t.number END) AS score_after
FROM (
        SELECT e.lead_id, dated(e.occurred_at) AS happened_at, 4 AS place, e.event_id AS number, 'event' AS what, e.kind AS name,
            NULL::lead_stage AS stage, NULL::text AS cause, NULL::numeric AS score, e.channel, e.campaign, dated(e.recorded_at) AS recorded_at,
            NULL::text AS content, NULL::text AS reason, e.value, NULL::text AS who
        FROM event e
        UNION ALL
        SELECT h.lead_id, dated(h.effective_at) AS happened_at, CASE WHEN h.from_stage IS NULL THEN 0 ELSE 5 END AS place, h.seq AS number, 'stage' AS what, CASE WHEN h.from_stage IS NULL THEN '' ELSE h.from_stage::text || ' -> ' END || h.to_stage::text AS name,
            h.to_stage AS stage, h.cause, h.score, NULL AS channel, NULL AS campaign, dated(h.recorded_at) AS recorded_at,
            NULL AS content, NULL AS reason, NULL AS value, NULL AS who
        FROM stage_history h
        UNION ALL
        SELECT p.lead_id, dated(p.changed_at) AS happened_at, 3 AS place, p.seq AS number, 'profile' AS what, CASE WHEN p.count > 0 THEN '+ ' ELSE '- ' END || p.signal AS name,
            NULL AS stage, NULL AS cause, NULL AS score, NULL AS channel, NULL AS campaign, NULL AS recorded_at,
            NULL AS content, NULL AS reason, NULL AS value, NULL AS who
        FROM profile_change p
        UNION ALL
        SELECT g.lead_id, dated(g.effective_at) AS happened_at, 6 AS place, g.seq AS number, 'segment' AS what, CASE WHEN g.is_member THEN '+ ' ELSE '- ' END || g.segment AS name,
            NULL AS stage, NULL AS cause, NULL AS score, NULL AS channel, NULL AS campaign, dated(g.recorded_at) AS recorded_at,
            NULL AS content, NULL AS reason, NULL AS value, NULL AS who
        FROM segment_history g
            JOIN lead l USING (lead_id)
        UNION ALL
        SELECT c.lead_id, dated(c.changed_at) AS happened_at, 1 AS place, c.change_id AS number, c.attribute AS what, coalesce(c.old_value, '(none)') || ' -> ' || coalesce(c.new_value, '(none)') AS name,
            NULL AS stage, NULL AS cause, NULL AS score, NULL AS channel, NULL AS campaign, dated(c.recorded_at) AS recorded_at,
            NULL AS content, NULL AS reason, NULL AS value, c.changed_by AS who
        FROM lead_change c
            JOIN lead l USING (lead_id)
        UNION ALL
        SELECT s.lead_id, dated(s.occurred_at) AS happened_at, 2 AS place, s.consent_id AS number, 'consent' AS what, concat_ws(' ', s.purpose, s.status, s.topic) AS name,
            NULL AS stage, s.basis AS cause, NULL AS score, s.channel, NULL AS campaign, dated(s.recorded_at) AS recorded_at,
            NULL AS content, NULL AS reason, NULL AS value, s.recorded_by AS who
        FROM consent s
            JOIN lead l USING (lead_id)
        UNION ALL
        -- no address is hashed where none is suppressed
        SELECT l.lead_id, dated(v.at) AS happened_at, 7 AS place, 0::bigint AS number, 'suppression' AS what, v.name,
            NULL AS stage, u.reason AS cause, NULL AS score, u.channel, NULL AS campaign, NULL AS recorded_at,
            NULL AS content, NULL AS reason, NULL AS value, NULL AS who
        FROM lead l
            CROSS JOIN LATERAL _suppressed(l.lead_id) u
            CROSS JOIN LATERAL (VALUES ('suppressed', u.since), ('suppression lifted', u.lifted_at)) AS v (name, at)
        WHERE v.at IS NOT NULL AND EXISTS (SELECT o.suppression_id FROM suppression o)
        UNION ALL
        -- one that was done is an event, but for alerts
        SELECT a.lead_id, dated(a.ended_at) AS happened_at, 8 AS place, a.action_id AS number, 'action' AS what, a.kind || ' ' || a.status AS name,
            NULL AS stage, NULL AS cause, NULL AS score, a.channel, NULL AS campaign, dated(a.created_at) AS recorded_at,
            a.content, a.reason, NULL AS value, a.claimed_by AS who
        FROM action a
            JOIN lead l USING (lead_id)
        WHERE a.status IN ('done', 'failed', 'skipped') AND (a.status <> 'done' OR _done_kind(a.kind, a.channel) IS NULL)
        UNION ALL
        SELECT r.lead_id, dated(v.at) AS happened_at, 9 AS place, r.run::bigint AS number, 'sequence' AS what, v.name,
            NULL AS stage, v.cause, NULL AS score, NULL AS channel, NULL AS campaign, NULL AS recorded_at,
            NULL AS content, NULL AS reason, NULL AS value, NULL AS who
        FROM enrollment r
            JOIN lead l USING (lead_id)
            CROSS JOIN LATERAL (VALUES ('+ ' || r.sequence, r.started_at, r.started_by), ('- ' || r.sequence, r.ended_at, r.end_reason)) AS v (name, at, cause)
        WHERE v.at IS NOT NULL
        UNION ALL
        SELECT m.lead_id, dated(m.merged_at) AS happened_at, 10 AS place, m.loser_id AS number, 'merge' AS what, 'lead ' || m.loser_id AS name,
            NULL AS stage, NULL AS cause, NULL AS score, NULL AS channel, NULL AS campaign, NULL AS recorded_at,
            NULL AS content, NULL AS reason, NULL AS value, m.merged_by AS who
        FROM lead_merge m
            JOIN lead l USING (lead_id)
        UNION ALL
        SELECT f.lead_id, dated(f.erased_at) AS happened_at, 11 AS place, 0::bigint AS number, 'erasure' AS what, 'forgotten' AS name,
            NULL AS stage, NULL AS cause, NULL AS score, NULL AS channel, NULL AS campaign, NULL AS recorded_at,
            NULL AS content, NULL AS reason, NULL AS value, f.erased_by AS who
        FROM erasure f
            JOIN lead l USING (lead_id)
    ) t;
COMMENT ON VIEW lead_timeline IS 'one row an entry in the timeline of a lead: all that happened to it and all that was recorded about it, in event time';
COMMENT ON COLUMN lead_timeline.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN lead_timeline.entry IS 'number of the entry of this lead, in the order in which things happened';
COMMENT ON COLUMN lead_timeline.happened_at IS 'when it happened';
COMMENT ON COLUMN lead_timeline.what IS 'event, stage, profile, segment, owner, persona, consent, suppression, action (of the queue: one that failed or was skipped, or an alert that was seen; messages and tasks that were done are events), sequence, merge or erasure';
COMMENT ON COLUMN lead_timeline.name IS 'event: its kind; stage, owner, persona: before and after; profile: the signal that began (+) or ceased (-) to match; segment, sequence: entered or begun (+), left or ended (-); consent: purpose, status and topic; action: kind and what became of it; merge: the lead that was merged into this one';
COMMENT ON COLUMN lead_timeline.stage IS 'stage from then on; only in rows of stage';
COMMENT ON COLUMN lead_timeline.stage_rank IS 'rank of the stage to sort by: visitor 40 to advocate 100, exits 10 to 30';
COMMENT ON COLUMN lead_timeline.cause IS 'stage: created, points, decay, milestone, set, profile or activation; sequence: what began it, or why it ended; consent: its legal ground; suppression: its reason';
COMMENT ON COLUMN lead_timeline.score IS 'stage: score at that change in points, as recorded, by the model of then';
COMMENT ON COLUMN lead_timeline.channel IS 'channel of the event, the consent, the suppression or the action';
COMMENT ON COLUMN lead_timeline.campaign IS 'campaign of the event';
COMMENT ON COLUMN lead_timeline.recorded_at IS 'when it was recorded; later than happened_at if it came late';
COMMENT ON COLUMN lead_timeline.content IS 'event: its property content, or else message; action: what was to be sent or done';
COMMENT ON COLUMN lead_timeline.page IS 'event: its property page, as landing_pages spells it';
COMMENT ON COLUMN lead_timeline.form IS 'event: its property form';
COMMENT ON COLUMN lead_timeline.outcome IS 'event: its property outcome';
COMMENT ON COLUMN lead_timeline.reason IS 'event: its property reason; action: why it was skipped';
COMMENT ON COLUMN lead_timeline.value IS 'event: its value, such as the amount of a purchase';
COMMENT ON COLUMN lead_timeline.who IS 'event: its property by, a person of the team; else the role or worker that recorded it';
COMMENT ON COLUMN lead_timeline.score_after IS 'score right after the entry in points, by the active model: events that come later on the same day do not count yet. Ask for one lead: each row takes a computation; NULL: the lead was not created yet, or row security hides leads';

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
        WHERE e.lead_id = d.lead_id AND is_dated(e.occurred_at) AND e.occurred_at <= now()
        ORDER BY e.occurred_at, e.event_id
        LIMIT 1
    ) f ON true
    LEFT JOIN campaign fc ON fc.campaign = f.campaign
    LEFT JOIN LATERAL (
        SELECT e.lead_id, e.event_id, e.kind, e.occurred_at
        FROM event e
            JOIN event_kind k USING (kind)
        WHERE e.lead_id = d.lead_id AND is_dated(e.occurred_at) AND e.occurred_at <= now()
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
            -- of one instant the first by name, as in lead_offers
            (array_agg(n.offer ORDER BY n.occurred_at, n.offer COLLATE "C"))[1] AS first_offer,
            (array_agg(n.offer ORDER BY n.occurred_at DESC, n.offer COLLATE "C"))[1] AS last_offer,
            max(n.occurred_at) AS last_offer_at
        FROM (
                SELECT e.occurred_at, coalesce(_content_name(e.lead_id, e.event_id), e.kind) AS offer
                FROM event e
                    JOIN event_kind k USING (kind)
                WHERE e.lead_id = l.lead_id AND is_dated(e.occurred_at) AND e.occurred_at <= now() AND k.role IN ('download', 'webinar')
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
                WHERE e.lead_id = l.lead_id AND is_dated(e.occurred_at) AND e.occurred_at <= now()
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
    -- no time yet if the cycle begins later
    date_part('epoch', greatest(coalesce(r.ended_at, now()), r.started_at) - r.started_at) / 86400 AS total_days
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
            AND k.role NOT IN ('purchase', 'refund', 'cancellation', 'points', 'stage', 'lost', 'disqualified', 'recycled', 'unsubscribe')
            -- what is dated ahead is no contact yet
            AND e.occurred_at <= coalesce(w.customer_at, now())
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
