-- Attribution: which touches brought a purchase.

-- A touch is an event that names a channel or a campaign and that the lead did
-- or took part in. The lead's own origin is a touch too, unless an event up to
-- its creation is one. With setting.attribution_scope account the touches of all
-- leads of the buyer's organization count, each lead with its origin. A purchase
-- without any touch in setting.attribution_window is credited to (none).
-- Credits are millionths, rounded by largest remainder: so the credits of a
-- purchase add up to one million exactly. They share the net amount: a refund is
-- taken back from the touches that had brought the purchase.
CREATE OR REPLACE VIEW attribution_credit WITH (security_invoker = true) AS
WITH buyer AS MATERIALIZED (
    SELECT p.lead_id, p.event_id, p.purchased_at, p.purchase_month, p.purchase_amount, p.net_amount,
        p.purchased_at - fixed_period(s.attribution_window) AS since_at
    FROM purchases p
        CROSS JOIN setting s
), account AS MATERIALIZED (
    SELECT l.lead_id, l.organization
    FROM lead l
    WHERE l.organization <> ''
        -- once, and no lead is read if the scope is another
        AND (SELECT s.attribution_scope = 'account' FROM setting s)
), member AS MATERIALIZED (
    -- the leads whose touches count for a buyer: itself, and its account
    SELECT DISTINCT b.lead_id AS buyer_id, b.lead_id
    FROM buyer b
    UNION ALL
    SELECT DISTINCT b.lead_id AS buyer_id, o.lead_id
    FROM buyer b
        JOIN account a ON a.lead_id = b.lead_id
        JOIN account o ON o.organization = a.organization AND o.lead_id <> b.lead_id
), touch AS MATERIALIZED (
    SELECT e.lead_id, e.event_id, e.occurred_at AS touched_at, e.channel, e.campaign
    FROM event e
    WHERE (e.channel IS NOT NULL OR e.campaign IS NOT NULL)
        AND is_dated(e.occurred_at)
        AND e.kind <> ALL (kinds_of('event_kind', 'purchase', 'refund', 'cancellation', 'lost', 'disqualified', 'recycled', 'points', 'stage', 'unsubscribe', 'email_sent'))
        AND EXISTS (SELECT FROM member m WHERE m.lead_id = e.lead_id)
), every_touch AS (
    SELECT t.lead_id, t.event_id, t.touched_at, t.channel, t.campaign
    FROM touch t
    UNION ALL
    SELECT l.lead_id, NULL::bigint AS event_id, l.created_at AS touched_at, l.channel, l.campaign
    FROM lead l
    WHERE (l.channel IS NOT NULL OR l.campaign IS NOT NULL)
        AND is_dated(l.created_at)
        AND EXISTS (SELECT FROM member m WHERE m.lead_id = l.lead_id)
        AND NOT EXISTS (SELECT FROM touch t WHERE t.lead_id = l.lead_id AND t.touched_at <= l.created_at)
), counted_touch AS (
    SELECT m.buyer_id, t.lead_id, t.event_id, t.touched_at, t.channel, t.campaign
    FROM member m
        JOIN every_touch t ON t.lead_id = m.lead_id
), placed AS (
    SELECT b.lead_id, b.event_id AS purchase_event_id, b.purchased_at, b.purchase_month, b.purchase_amount, b.net_amount,
        t.lead_id AS touch_lead_id, t.event_id AS touch_event_id, t.touched_at, t.channel, t.campaign,
        row_number() OVER path AS place,
        count(*) OVER run AS touches,
        date_part('epoch', max(t.touched_at) OVER run - t.touched_at) / 86400 AS age_days
    FROM buyer b
        LEFT JOIN counted_touch t ON t.buyer_id = b.lead_id AND t.touched_at <= b.purchased_at AND (t.touched_at >= b.since_at OR b.since_at IS NULL)
    WINDOW run AS (PARTITION BY b.lead_id, b.event_id),
        path AS (PARTITION BY b.lead_id, b.event_id ORDER BY t.touched_at, t.event_id NULLS FIRST, t.lead_id)
), shared AS (
    SELECT m.model, p.lead_id, p.purchase_event_id, p.purchased_at, p.purchase_month, p.purchase_amount, p.net_amount,
        p.touch_lead_id, p.touch_event_id, p.touched_at, p.channel, p.campaign, p.place, p.touches,
        1000000 * w.weight / sum(w.weight) OVER (PARTITION BY p.lead_id, p.purchase_event_id, m.model) AS share
    FROM placed p
        CROSS JOIN (VALUES ('first'), ('last'), ('linear'), ('position'), ('time_decay')) AS m (model)
        CROSS JOIN LATERAL (SELECT touch_weight(m.model, p.place, p.touches, coalesce(p.age_days, 0))) AS w (weight)
), ranked AS (
    SELECT s.model, s.lead_id, s.purchase_event_id, s.purchased_at, s.purchase_month, s.purchase_amount, s.net_amount,
        s.touch_lead_id, s.touch_event_id, s.touched_at, s.channel, s.campaign, s.place, s.touches,
        floor(s.share)::bigint AS whole,
        1000000 - sum(floor(s.share)::bigint) OVER (PARTITION BY s.lead_id, s.purchase_event_id, s.model) AS rest,
        row_number() OVER (PARTITION BY s.lead_id, s.purchase_event_id, s.model ORDER BY s.share - floor(s.share) DESC, s.place) AS turn
    FROM shared s
), given AS (
    SELECT r.model, r.lead_id, r.purchase_event_id, r.purchased_at, r.purchase_month, r.purchase_amount, r.net_amount,
        r.touch_lead_id, r.touch_event_id, r.touched_at, r.channel, r.campaign, r.place, r.touches,
        r.whole + CASE WHEN r.turn <= r.rest THEN 1 ELSE 0 END AS micro_credits,
        sum(r.whole + CASE WHEN r.turn <= r.rest THEN 1 ELSE 0 END)
            OVER (PARTITION BY r.lead_id, r.purchase_event_id, r.model ORDER BY r.place) AS upto
    FROM ranked r
)
SELECT
    g.model,
    g.lead_id,
    g.purchase_event_id,
    g.purchased_at,
    g.purchase_month,
    g.purchase_amount,
    g.touch_event_id,
    g.touched_at,
    coalesce(g.channel, c.channel, '(none)') AS channel,
    coalesce(c.direction, h.direction, '(none)') AS direction,
    coalesce(g.campaign, '(none)') AS campaign,
    g.place,
    g.touches,
    g.micro_credits,
    g.micro_credits / 1000000::double precision AS credit,
    -- rounded so that the parts add up to the amount
    (round(g.net_amount * g.upto / 1000000, 2) - round(g.net_amount * (g.upto - g.micro_credits) / 1000000, 2))::numeric(14,2) AS revenue_amount,
    g.touch_lead_id,
    g.net_amount
FROM given g
    LEFT JOIN campaign c ON c.campaign = g.campaign
    LEFT JOIN channel h ON h.channel = coalesce(g.channel, c.channel);
COMMENT ON VIEW attribution_credit IS 'one row a purchase, touch before it, and attribution model: the share of the purchase that is credited to the touch';
COMMENT ON COLUMN attribution_credit.model IS 'attribution model: first, last, linear, position or time_decay';
COMMENT ON COLUMN attribution_credit.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN attribution_credit.purchase_event_id IS 'event of the purchase';
COMMENT ON COLUMN attribution_credit.purchased_at IS 'when it was bought';
COMMENT ON COLUMN attribution_credit.purchase_month IS 'first day of the month of purchased_at';
COMMENT ON COLUMN attribution_credit.purchase_amount IS 'amount of the purchase, without regard to refunds; NULL: not known';
COMMENT ON COLUMN attribution_credit.touch_event_id IS 'event of the touch; NULL: the origin of the lead';
COMMENT ON COLUMN attribution_credit.touched_at IS 'when the touch was';
COMMENT ON COLUMN attribution_credit.channel IS 'channel of the touch, or of its campaign; (none): not known';
COMMENT ON COLUMN attribution_credit.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN attribution_credit.campaign IS 'campaign of the touch; (none): not known';
COMMENT ON COLUMN attribution_credit.place IS 'number of the touch among those of the purchase, from 1';
COMMENT ON COLUMN attribution_credit.touches IS 'number of touches of the purchase; 1 if there is none';
COMMENT ON COLUMN attribution_credit.micro_credits IS 'share of the purchase in millionths; the shares of a purchase add up to 1000000 in each model';
COMMENT ON COLUMN attribution_credit.credit IS 'the share as a fraction';
COMMENT ON COLUMN attribution_credit.revenue_amount IS 'share of the net amount; the shares of a purchase add up to its net amount in each model';
COMMENT ON COLUMN attribution_credit.touch_lead_id IS 'lead that the touch is of, another contact of the organization if setting.attribution_scope is account; NULL: no touch';
COMMENT ON COLUMN attribution_credit.net_amount IS 'amount of the purchase less its refunds; NULL: not known';

CREATE OR REPLACE FUNCTION attribution(model text)
    RETURNS TABLE (lead_id bigint, purchase_event_id bigint, purchased_at timestamptz, purchase_amount numeric, touch_event_id bigint,
        touched_at timestamptz, channel text, direction text, campaign text, place bigint, touches bigint, micro_credits bigint,
        credit double precision, revenue_amount numeric, touch_lead_id bigint, net_amount numeric)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    PERFORM leadscore_internal.require_attribution(attribution.model);
    RETURN QUERY
        SELECT a.lead_id, a.purchase_event_id, a.purchased_at, a.purchase_amount, a.touch_event_id,
            a.touched_at, a.channel, a.direction, a.campaign, a.place, a.touches, a.micro_credits, a.credit, a.revenue_amount, a.touch_lead_id, a.net_amount
        FROM @reports@.attribution_credit a
        WHERE a.model = attribution.model
        ORDER BY a.purchased_at, a.lead_id, a.purchase_event_id, a.place;
END
$$;
COMMENT ON FUNCTION attribution(text) IS
    'share of each purchase that is credited to each touch before it, by the model first, last, linear, position (2/5, 1/5, 2/5) or time_decay (halved every 7 days); micro_credits of a purchase add up to 1000000';

CREATE OR REPLACE VIEW roas WITH (security_invoker = true) AS
WITH revenue AS (
    SELECT a.model, a.channel, a.campaign, sum(a.micro_credits) AS micro_credits, sum(a.revenue_amount) AS revenue_amount
    FROM attribution_credit a
    GROUP BY a.model, a.channel, a.campaign
), spent AS (
    SELECT c.channel, c.campaign, sum(c.cost_amount) AS cost_amount
    FROM cost_by_month c
    GROUP BY c.channel, c.campaign
), line AS (
    SELECT m.model, n.channel, n.campaign
    FROM (VALUES ('first'), ('last'), ('linear'), ('position'), ('time_decay')) AS m (model)
        CROSS JOIN _source_list n
    UNION
    SELECT r.model, r.channel, r.campaign FROM revenue r
), figure AS (
    -- as in cost_per_lead: a cost without a campaign is for those of its channel
    -- too, and one without a channel for all
    SELECT n.model, n.channel, n.campaign, coalesce(r.micro_credits, 0) AS micro_credits, coalesce(r.revenue_amount, 0) AS revenue_amount, s.cost_amount,
        CASE WHEN n.campaign <> '(none)' OR coalesce(r.micro_credits, 0)
            = coalesce(CASE n.channel WHEN '(none)' THEN sum(r.micro_credits) OVER (PARTITION BY n.model)
                ELSE sum(r.micro_credits) OVER (PARTITION BY n.model, n.channel) END, 0)
            -- more came back than was spent: nothing is the revenue of one unit of it
            THEN CASE WHEN s.cost_amount > 0 THEN s.cost_amount END END AS own_cost
    FROM line n
        LEFT JOIN revenue r USING (model, channel, campaign)
        LEFT JOIN spent s USING (channel, campaign)
)
SELECT
    n.model,
    n.channel,
    coalesce(p.direction, h.direction, '(none)') AS direction,
    n.campaign,
    n.micro_credits / 1000000::double precision AS credited_purchases,
    as_amount(n.revenue_amount)::numeric(14,2) AS revenue_amount,
    as_amount(coalesce(n.cost_amount, 0))::numeric(14,2) AS cost_amount,
    n.revenue_amount::double precision / n.own_cost::double precision AS roas,
    as_amount(n.revenue_amount - coalesce(n.cost_amount, 0))::numeric(14,2) AS profit_amount,
    (n.revenue_amount - n.own_cost)::double precision / n.own_cost::double precision AS roi
FROM figure n
    LEFT JOIN campaign p ON p.campaign = n.campaign
    LEFT JOIN channel h ON h.channel = n.channel;
COMMENT ON VIEW roas IS 'one row an attribution model and source: revenue credited to it, and profit, for each unit of money spent on it';
COMMENT ON COLUMN roas.model IS 'attribution model: first, last, linear, position or time_decay';
COMMENT ON COLUMN roas.channel IS 'the channel';
COMMENT ON COLUMN roas.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN roas.campaign IS 'the campaign';
COMMENT ON COLUMN roas.credited_purchases IS 'number of purchases credited to the source, shared ones in part, refunded ones too';
COMMENT ON COLUMN roas.revenue_amount IS 'revenue, less refunds, credited to the source';
COMMENT ON COLUMN roas.cost_amount IS 'cost of the source';
COMMENT ON COLUMN roas.roas IS 'revenue_amount / cost_amount; NULL if nothing was spent, and for a cost without a campaign that is for purchases of campaigns too';
COMMENT ON COLUMN roas.profit_amount IS 'revenue_amount - cost_amount; adds up to the profit of all sources';
COMMENT ON COLUMN roas.roi IS 'profit_amount / cost_amount; NULL if nothing was spent, and for a cost without a campaign that is for purchases of campaigns too';

-- Which way brings leads on: what they saw of us between entering a stage and
-- leaving it. An outreach and a message that we sent go to the lead, whatever
-- their channel; the event that moves the lead is one of its touches.
CREATE OR REPLACE VIEW step_direction WITH (security_invoker = true) AS
WITH entry AS MATERIALIZED (
    SELECT e.lead_id, e.entry_seq, e.stage_rank, e.entered_at, e.converted = 1 AS converted,
        -- no time yet if the event is dated later today
        greatest(least(coalesce(e.converted_at, e.lost_at, now()), now()), e.entered_at) AS until_at
    FROM stage_entry e
    WHERE e.entered = 1 AND e.stage IN ('iql', 'mql', 'sql', 'prospect')
), touch AS (
    SELECT e.lead_id, e.occurred_at, coalesce(c.direction, h.direction, CASE WHEN k.role IN ('outreach', 'email_sent') THEN 'outbound' END) AS direction
    FROM event e
        JOIN event_kind k USING (kind)
        LEFT JOIN campaign c ON c.campaign = e.campaign
        LEFT JOIN channel h ON h.channel = coalesce(e.channel, c.channel)
    WHERE is_dated(e.occurred_at)
        AND k.role NOT IN ('purchase', 'refund', 'cancellation', 'points', 'stage', 'lost', 'disqualified', 'recycled', 'unsubscribe')
), touched AS (
    SELECT n.lead_id, n.entry_seq, bool_or(t.direction = 'inbound') AS inbound, bool_or(t.direction = 'outbound') AS outbound
    FROM entry n
        JOIN touch t ON t.lead_id = n.lead_id AND t.occurred_at > n.entered_at AND t.occurred_at <= n.until_at
    GROUP BY n.lead_id, n.entry_seq
), counted AS (
    SELECT n.stage_rank,
        CASE WHEN t.inbound AND t.outbound THEN 'both' WHEN t.inbound THEN 'inbound' WHEN t.outbound THEN 'outbound' ELSE '(none)' END AS direction,
        count(*) AS entered,
        count(*) FILTER (WHERE n.converted) AS converted,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY date_part('epoch', n.until_at - n.entered_at) / 86400) FILTER (WHERE n.converted) AS median_days,
        avg(date_part('epoch', n.until_at - n.entered_at) / 86400) AS mean_days
    FROM entry n
        LEFT JOIN touched t USING (lead_id, entry_seq)
    GROUP BY 1, 2
), single AS (
    SELECT c.stage_rank, sum(c.converted)::double precision / nullif(sum(c.entered), 0)::double precision AS rate
    FROM counted c
    WHERE c.direction IN ('inbound', 'outbound')
    GROUP BY c.stage_rank
)
SELECT
    f.stage::text AS step_from,
    f.stage_rank AS step_from_rank,
    t.stage::text AS step_to,
    d.direction,
    d.place,
    coalesce(c.entered, 0) AS entered,
    coalesce(c.converted, 0) AS converted,
    c.converted::double precision / nullif(c.entered, 0) AS conversion_rate,
    rate_low(c.converted, c.entered) AS low_rate,
    rate_high(c.converted, c.entered) AS high_rate,
    c.median_days,
    c.mean_days,
    c.converted::double precision / nullif(c.entered, 0) / nullif(s.rate, 0) AS ratio_to_single
FROM stages() f
    JOIN stages() t ON t.stage_rank = f.stage_rank + 10
    CROSS JOIN (VALUES ('both', 1), ('inbound', 2), ('outbound', 3), ('(none)', 4)) AS d (direction, place)
    LEFT JOIN counted c ON c.stage_rank = f.stage_rank AND c.direction = d.direction
    LEFT JOIN single s ON s.stage_rank = f.stage_rank
WHERE f.stage IN ('iql', 'mql', 'sql', 'prospect')
ORDER BY f.stage_rank, d.place;
COMMENT ON VIEW step_direction IS 'one row a step of the funnel and direction: leads that touched us, or that we touched, in that direction only, in both or in none while they were in the stage, and how many of them went on';
COMMENT ON COLUMN step_direction.step_from IS 'stage where the step starts';
COMMENT ON COLUMN step_direction.step_from_rank IS 'rank of that stage to sort by';
COMMENT ON COLUMN step_direction.step_to IS 'the next stage; leads that skipped it went on too';
COMMENT ON COLUMN step_direction.direction IS 'both, inbound or outbound only, or (none), of the events after the entry up to the step, the loss of the lead or now: that of their campaign or channel; an outreach and a message of ours without one is outbound';
COMMENT ON COLUMN step_direction.place IS 'number to sort the directions by';
COMMENT ON COLUMN step_direction.entered IS 'first entries into step_from in a cycle';
COMMENT ON COLUMN step_direction.converted IS 'of entered, those that came to a higher stage';
COMMENT ON COLUMN step_direction.conversion_rate IS 'converted / entered';
COMMENT ON COLUMN step_direction.low_rate IS 'lower end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN step_direction.high_rate IS 'upper end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN step_direction.median_days IS 'median of the days that the step took, of converted';
COMMENT ON COLUMN step_direction.mean_days IS 'mean of the days up to the step, the loss of the lead or now, of entered: a lead that stays longer has time for more touches';
COMMENT ON COLUMN step_direction.ratio_to_single IS 'conversion_rate / the rate of leads that were touched in one direction only; of both: how much better both work';
