-- Content and forms: which pages, forms, messages and offers bring leads on.

-- Properties of events may hold anything, so readers of views cannot see them.
-- Functions with the rights of the pipeline's owner count by those properties
-- that name pages, forms, messages and contents, and give out the counts only,
-- and nothing to whom row security hides some leads.

-- An address without its query, which may hold anything
CREATE OR REPLACE FUNCTION page_name(page text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT coalesce(nullif(split_part(split_part(page_name.page, '?', 1), '#', 1), ''), '(none)');
END;
COMMENT ON FUNCTION page_name(text) IS 'the address of a page without what follows ? or #; (none) if there is nothing';

CREATE OR REPLACE FUNCTION field_count(fields jsonb) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE jsonb_typeof(field_count.fields)
        WHEN 'number' THEN CASE WHEN field_count.fields::numeric >= 0 AND field_count.fields::numeric < 1000 THEN field_count.fields::integer END
        WHEN 'string' THEN CASE WHEN field_count.fields #>> '{}' ~ '^[0-9]{1,3}$' THEN (field_count.fields #>> '{}')::integer END
        WHEN 'array' THEN jsonb_array_length(field_count.fields)
        WHEN 'object' THEN jsonb_array_length(jsonb_path_query_array(field_count.fields, '$.keyvalue()'))
    END;
END;
COMMENT ON FUNCTION field_count(jsonb) IS 'number of fields of a form: a number, or the length of a list or the number of keys of an object; NULL otherwise';

-- Landing: the first visit of a lead. What it did afterwards counts for that page.
CREATE OR REPLACE FUNCTION landing_page_counts()
    RETURNS TABLE (page text, views bigint, visitors bigint, landed bigint, form_viewed bigint, form_submitted bigint, leads bigint, customers bigint)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    WITH visit AS MATERIALIZED (
        SELECT e.lead_id, page_name(e.properties ->> 'page') COLLATE "C" AS page, e.occurred_at
        FROM event e
        WHERE e.kind = ANY (kinds_of('event_kind', 'visit')) AND isfinite(e.occurred_at)
    ), seen AS (
        SELECT v.page, count(*) AS views, count(DISTINCT v.lead_id) AS visitors
        FROM visit v
        GROUP BY v.page
    ), landing AS (
        SELECT DISTINCT ON (v.lead_id) v.lead_id, v.page, v.occurred_at AS landed_at
        FROM visit v
        ORDER BY v.lead_id, v.occurred_at, v.page
    ), act AS (
        SELECT e.lead_id,
            max(e.occurred_at) FILTER (WHERE e.kind = ANY (kinds_of('event_kind', 'form_view'))) AS form_viewed_at,
            max(e.occurred_at) FILTER (WHERE e.kind = ANY (kinds_of('event_kind', 'form_submit'))) AS form_submitted_at
        FROM event e
        WHERE e.kind = ANY (kinds_of('event_kind', 'form_view', 'form_submit')) AND isfinite(e.occurred_at)
        GROUP BY e.lead_id
    ), reached AS (
        SELECT h.lead_id, min(h.effective_at) AS lead_at, min(h.effective_at) FILTER (WHERE h.to_stage >= 'customer') AS customer_at
        FROM stage_history h
        WHERE h.to_stage >= 'iql'
        GROUP BY h.lead_id
    ), landed AS (
        SELECT l.page, count(*) AS landed,
            count(*) FILTER (WHERE a.form_viewed_at >= l.landed_at) AS form_viewed,
            count(*) FILTER (WHERE a.form_submitted_at >= l.landed_at) AS form_submitted,
            count(*) FILTER (WHERE r.lead_at >= l.landed_at) AS leads,
            count(*) FILTER (WHERE r.customer_at >= l.landed_at) AS customers
        FROM landing l
            LEFT JOIN act a USING (lead_id)
            LEFT JOIN reached r USING (lead_id)
        GROUP BY l.page
    )
    SELECT n.page, n.views, n.visitors, coalesce(d.landed, 0), coalesce(d.form_viewed, 0), coalesce(d.form_submitted, 0),
        coalesce(d.leads, 0), coalesce(d.customers, 0)
    FROM seen n
        LEFT JOIN landed d USING (page)
    WHERE shows_all_leads();
END;
REVOKE EXECUTE ON FUNCTION landing_page_counts() FROM PUBLIC;
COMMENT ON FUNCTION landing_page_counts() IS 'internal: the counts of the view landing_pages';

CREATE OR REPLACE VIEW landing_pages WITH (security_invoker = true) AS
SELECT
    c.page,
    c.views,
    c.visitors,
    c.landed,
    c.form_viewed,
    c.form_submitted,
    c.leads,
    c.customers,
    c.form_viewed::double precision / nullif(c.landed, 0) AS form_view_rate,
    c.form_submitted::double precision / nullif(c.landed, 0) AS form_submit_rate,
    c.leads::double precision / nullif(c.landed, 0) AS lead_rate,
    rate_low(c.leads, c.landed) AS lead_low_rate,
    rate_high(c.leads, c.landed) AS lead_high_rate,
    c.customers::double precision / nullif(c.landed, 0) AS customer_rate,
    (c.leads::double precision / nullif(c.landed, 0))
        / nullif((sum(c.leads) OVER ())::double precision / nullif(sum(c.landed) OVER (), 0)::double precision, 0) AS ratio_to_all
FROM landing_page_counts() c;
COMMENT ON VIEW landing_pages IS 'one row a page: who came in there, and what became of them';
COMMENT ON COLUMN landing_pages.page IS 'the page, without what follows ? or #';
COMMENT ON COLUMN landing_pages.views IS 'visits to it';
COMMENT ON COLUMN landing_pages.visitors IS 'leads and visitors that saw it';
COMMENT ON COLUMN landing_pages.landed IS 'of these, those whose first visit it was';
COMMENT ON COLUMN landing_pages.form_viewed IS 'of the landed, those that saw a form afterwards';
COMMENT ON COLUMN landing_pages.form_submitted IS 'of the landed, those that sent one afterwards';
COMMENT ON COLUMN landing_pages.leads IS 'of the landed, those that became iql or higher afterwards';
COMMENT ON COLUMN landing_pages.customers IS 'of the landed, those that became customers afterwards';
COMMENT ON COLUMN landing_pages.form_view_rate IS 'form_viewed / landed';
COMMENT ON COLUMN landing_pages.form_submit_rate IS 'form_submitted / landed';
COMMENT ON COLUMN landing_pages.lead_rate IS 'leads / landed';
COMMENT ON COLUMN landing_pages.lead_low_rate IS 'lower end of its 95 % interval';
COMMENT ON COLUMN landing_pages.lead_high_rate IS 'upper end of its 95 % interval';
COMMENT ON COLUMN landing_pages.customer_rate IS 'customers / landed';
COMMENT ON COLUMN landing_pages.ratio_to_all IS 'lead_rate / that of all pages together';

-- A form that was sent without saying which variant counts for the variant
-- that the lead saw last.
CREATE OR REPLACE FUNCTION form_counts()
    RETURNS TABLE (form text, variant text, fields integer, viewed bigint, submitted bigint, submitted_unseen bigint)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    WITH act AS MATERIALIZED (
        SELECT e.lead_id, e.occurred_at, e.kind = ANY (kinds_of('event_kind', 'form_submit')) AS submitted,
            coalesce(e.properties ->> 'form', '(none)') AS form, e.properties ->> 'variant' AS variant, e.properties -> 'fields' AS fields
        FROM event e
        WHERE e.kind = ANY (kinds_of('event_kind', 'form_view', 'form_submit')) AND isfinite(e.occurred_at)
    ), seen AS (
        SELECT a.lead_id, a.form, coalesce(a.variant, '(none)') AS variant,
            min(a.occurred_at) AS first_at, max(a.occurred_at) AS last_at, max(field_count(a.fields)) AS fields
        FROM act a
        WHERE NOT a.submitted
        GROUP BY 1, 2, 3
    ), latest AS (
        SELECT DISTINCT ON (s.lead_id, s.form) s.lead_id, s.form, s.variant
        FROM seen s
        ORDER BY s.lead_id, s.form, s.last_at DESC, s.variant COLLATE "C"
    ), sent AS (
        SELECT a.lead_id, a.form, coalesce(a.variant, n.variant, '(none)') AS variant,
            max(a.occurred_at) AS last_at, max(field_count(a.fields)) AS fields
        FROM act a
            LEFT JOIN latest n ON n.lead_id = a.lead_id AND n.form = a.form
        WHERE a.submitted
        GROUP BY 1, 2, 3
    )
    SELECT form, variant,
        mode() WITHIN GROUP (ORDER BY coalesce(t.fields, s.fields)),
        count(s.lead_id),
        count(*) FILTER (WHERE t.last_at >= s.first_at),
        count(*) FILTER (WHERE t.lead_id IS NOT NULL AND (s.lead_id IS NULL OR t.last_at < s.first_at))
    FROM seen s
        FULL JOIN sent t USING (lead_id, form, variant)
    WHERE shows_all_leads()
    GROUP BY form, variant;
END;
REVOKE EXECUTE ON FUNCTION form_counts() FROM PUBLIC;
COMMENT ON FUNCTION form_counts() IS 'internal: the counts of the views form_funnel and form_conversion';

CREATE OR REPLACE VIEW form_funnel WITH (security_invoker = true) AS
SELECT
    c.form,
    c.variant,
    c.fields,
    c.viewed,
    c.submitted,
    c.submitted_unseen,
    c.submitted::double precision / nullif(c.viewed, 0) AS submit_rate,
    rate_low(c.submitted, c.viewed) AS low_rate,
    rate_high(c.submitted, c.viewed) AS high_rate
FROM form_counts() c;
COMMENT ON VIEW form_funnel IS 'one row a form and variant: who saw it, and who sent it';
COMMENT ON COLUMN form_funnel.form IS 'name of the form; (none): without';
COMMENT ON COLUMN form_funnel.variant IS 'name of the variant; (none): without';
COMMENT ON COLUMN form_funnel.fields IS 'number of fields that it was sent with most often; NULL: not known';
COMMENT ON COLUMN form_funnel.viewed IS 'leads that saw it';
COMMENT ON COLUMN form_funnel.submitted IS 'of these, leads that sent it afterwards';
COMMENT ON COLUMN form_funnel.submitted_unseen IS 'leads that sent it without having seen it as far as is known';
COMMENT ON COLUMN form_funnel.submit_rate IS 'submitted / viewed';
COMMENT ON COLUMN form_funnel.low_rate IS 'lower end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN form_funnel.high_rate IS 'upper end of the 95 % interval of the rate (Wilson)';

CREATE OR REPLACE VIEW form_conversion WITH (security_invoker = true) AS
WITH figure AS (
    SELECT c.fields, count(*) AS forms, sum(c.viewed)::bigint AS viewed, sum(c.submitted)::bigint AS submitted,
        sum(c.submitted)::double precision / nullif(sum(c.viewed), 0)::double precision AS submit_rate
    FROM form_counts() c
    GROUP BY c.fields
)
SELECT
    f.fields,
    f.forms,
    f.viewed,
    f.submitted,
    f.submit_rate,
    rate_low(f.submitted, f.viewed) AS low_rate,
    rate_high(f.submitted, f.viewed) AS high_rate,
    CASE WHEN f.fields > lag(f.fields) OVER fewer AND lag(f.submit_rate) OVER fewer > 0
        THEN 1 - power(f.submit_rate / lag(f.submit_rate) OVER fewer, 1.0::double precision / (f.fields - lag(f.fields) OVER fewer))
        END AS drop_per_field_rate
FROM figure f
WINDOW fewer AS (ORDER BY f.fields NULLS LAST);
COMMENT ON VIEW form_conversion IS 'one row a number of fields: how many of those who saw forms with so many sent them';
COMMENT ON COLUMN form_conversion.fields IS 'number of fields; NULL: not known';
COMMENT ON COLUMN form_conversion.forms IS 'forms and variants with so many';
COMMENT ON COLUMN form_conversion.viewed IS 'leads that saw it';
COMMENT ON COLUMN form_conversion.submitted IS 'of these, leads that sent it afterwards';
COMMENT ON COLUMN form_conversion.submit_rate IS 'submitted / viewed';
COMMENT ON COLUMN form_conversion.low_rate IS 'lower end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN form_conversion.high_rate IS 'upper end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN form_conversion.drop_per_field_rate IS 'share of senders lost with each field more, against the row with fewer fields';

CREATE OR REPLACE FUNCTION offers_by_lead()
    RETURNS TABLE (lead_id bigint, offers bigint, first_offer text, first_offer_at timestamptz, last_offer text, last_offer_at timestamptz, all_offers text)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    WITH offer AS (
        SELECT e.lead_id, coalesce(e.properties ->> 'content', e.kind) AS offer,
            min(e.occurred_at) AS first_at, max(e.occurred_at) AS last_at
        FROM event e
        WHERE e.kind = ANY (kinds_of('event_kind', 'download', 'webinar')) AND isfinite(e.occurred_at)
        GROUP BY 1, 2
    )
    SELECT o.lead_id, count(*),
        (array_agg(o.offer ORDER BY o.first_at, o.offer COLLATE "C"))[1], min(o.first_at),
        (array_agg(o.offer ORDER BY o.last_at DESC, o.offer COLLATE "C"))[1], max(o.last_at),
        string_agg(o.offer, ', ' ORDER BY o.first_at, o.offer COLLATE "C")
    FROM offer o
    WHERE shows_all_leads()
    GROUP BY o.lead_id;
END;
REVOKE EXECUTE ON FUNCTION offers_by_lead() FROM PUBLIC;
COMMENT ON FUNCTION offers_by_lead() IS 'internal: the offers of the view lead_offers';

CREATE OR REPLACE VIEW lead_offers WITH (security_invoker = true) AS
SELECT
    o.lead_id,
    coalesce(l.channel, p.channel, '(none)') AS channel,
    coalesce(l.campaign, '(none)') AS campaign,
    coalesce(l.persona, '(none)') AS persona,
    o.offers,
    o.first_offer,
    o.first_offer_at,
    o.last_offer,
    o.last_offer_at,
    o.all_offers
FROM offers_by_lead() o
    JOIN lead l USING (lead_id)
    LEFT JOIN campaign p ON p.campaign = l.campaign;
COMMENT ON VIEW lead_offers IS 'one row a lead: the downloads and webinars it took';
COMMENT ON COLUMN lead_offers.lead_id IS 'the lead';
COMMENT ON COLUMN lead_offers.channel IS 'channel that the lead came by, or that of its campaign; (none): not known';
COMMENT ON COLUMN lead_offers.campaign IS 'campaign that the lead came by; (none): not known';
COMMENT ON COLUMN lead_offers.persona IS 'buyer persona; (none): not known';
COMMENT ON COLUMN lead_offers.offers IS 'number of different ones';
COMMENT ON COLUMN lead_offers.first_offer IS 'the first';
COMMENT ON COLUMN lead_offers.first_offer_at IS 'when it was taken';
COMMENT ON COLUMN lead_offers.last_offer IS 'the last';
COMMENT ON COLUMN lead_offers.last_offer_at IS 'when it was taken';
COMMENT ON COLUMN lead_offers.all_offers IS 'all of them, in the order of the first time';

-- Of those that a message was sent to: what they did with it then.
CREATE OR REPLACE FUNCTION message_counts()
    RETURNS TABLE (message text, sent bigint, opened bigint, clicked bigint, replied bigint, first_sent_at timestamptz, last_sent_at timestamptz)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    WITH letter AS (
        SELECT e.lead_id, coalesce(e.properties ->> 'message', '(none)') AS message, e.properties ->> 'variant' AS variant,
            min(e.occurred_at) FILTER (WHERE e.kind = ANY (kinds_of('event_kind', 'email_sent'))) AS sent_at,
            max(e.occurred_at) FILTER (WHERE e.kind = ANY (kinds_of('event_kind', 'email_open'))) AS opened_at,
            max(e.occurred_at) FILTER (WHERE e.kind = ANY (kinds_of('event_kind', 'email_click'))) AS clicked_at,
            max(e.occurred_at) FILTER (WHERE e.kind = ANY (kinds_of('event_kind', 'email_reply'))) AS replied_at
        FROM event e
        WHERE e.kind = ANY (kinds_of('event_kind', 'email_sent', 'email_open', 'email_click', 'email_reply')) AND isfinite(e.occurred_at)
        GROUP BY 1, 2, 3
    )
    SELECT t.message,
        count(t.sent_at),
        count(*) FILTER (WHERE t.opened_at >= t.sent_at),
        count(*) FILTER (WHERE t.clicked_at >= t.sent_at),
        count(*) FILTER (WHERE t.replied_at >= t.sent_at),
        min(t.sent_at), max(t.sent_at)
    FROM letter t
    WHERE shows_all_leads()
    GROUP BY t.message;
END;
REVOKE EXECUTE ON FUNCTION message_counts() FROM PUBLIC;
COMMENT ON FUNCTION message_counts() IS 'internal: the counts of the view email_engagement';

-- A response is a click or a reply; openings, of which there are many, are
-- none.
CREATE OR REPLACE FUNCTION response_counts() RETURNS TABLE (message text, variant text, sent bigint, responded bigint)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    WITH letter AS (
        SELECT e.lead_id, coalesce(e.properties ->> 'message', '(none)') AS message, coalesce(e.properties ->> 'variant', '(none)') AS variant,
            min(e.occurred_at) FILTER (WHERE e.kind = ANY (kinds_of('event_kind', 'email_sent'))) AS sent_at,
            max(e.occurred_at) FILTER (WHERE e.kind <> ALL (kinds_of('event_kind', 'email_sent'))) AS responded_at
        FROM event e
        WHERE e.kind = ANY (kinds_of('event_kind', 'email_sent', 'email_click', 'email_reply')) AND isfinite(e.occurred_at)
        GROUP BY 1, 2, 3
    )
    SELECT t.message, t.variant, count(t.sent_at), count(*) FILTER (WHERE t.responded_at >= t.sent_at)
    FROM letter t
    WHERE shows_all_leads()
    GROUP BY t.message, t.variant;
END;
REVOKE EXECUTE ON FUNCTION response_counts() FROM PUBLIC;
COMMENT ON FUNCTION response_counts() IS 'internal: the counts of the view message_response';

CREATE OR REPLACE VIEW email_engagement WITH (security_invoker = true) AS
SELECT
    c.message,
    c.first_sent_at,
    c.last_sent_at,
    c.sent,
    c.opened,
    c.clicked,
    c.replied,
    c.opened::double precision / nullif(c.sent, 0) AS open_rate,
    c.clicked::double precision / nullif(c.sent, 0) AS click_rate,
    c.replied::double precision / nullif(c.sent, 0) AS reply_rate
FROM message_counts() c;
COMMENT ON VIEW email_engagement IS 'one row a message: what those did with it that it was sent to';
COMMENT ON COLUMN email_engagement.message IS 'name of the message; (none): without';
COMMENT ON COLUMN email_engagement.first_sent_at IS 'when it was first sent';
COMMENT ON COLUMN email_engagement.last_sent_at IS 'when it was last sent to somebody new';
COMMENT ON COLUMN email_engagement.sent IS 'leads that it was sent to';
COMMENT ON COLUMN email_engagement.opened IS 'of these, those that opened it';
COMMENT ON COLUMN email_engagement.clicked IS 'of these, those that followed a link';
COMMENT ON COLUMN email_engagement.replied IS 'of these, those that answered';
COMMENT ON COLUMN email_engagement.open_rate IS 'opened / sent';
COMMENT ON COLUMN email_engagement.click_rate IS 'clicked / sent';
COMMENT ON COLUMN email_engagement.reply_rate IS 'replied / sent';

-- Compared with the variant called generic or control, or else the first by
-- name. The interval of the difference is Newcombe's, from Wilson's of both.
CREATE OR REPLACE VIEW message_response WITH (security_invoker = true) AS
WITH variant AS (
    SELECT c.message, c.variant, c.sent, c.responded,
        c.responded::double precision / nullif(c.sent, 0) AS rate,
        rate_low(c.responded, c.sent) AS low,
        rate_high(c.responded, c.sent) AS high,
        first_value(c.variant) OVER (PARTITION BY c.message
            ORDER BY c.variant = 'generic' DESC, c.variant = 'control' DESC, c.variant COLLATE "C") AS baseline
    FROM response_counts() c
)
SELECT
    v.message,
    v.variant,
    v.baseline,
    v.sent,
    v.responded,
    v.rate AS response_rate,
    v.low AS low_rate,
    v.high AS high_rate,
    v.rate / nullif(b.rate, 0) AS ratio_to_baseline,
    v.rate - b.rate AS difference_rate,
    CASE WHEN v.variant <> v.baseline THEN v.rate - b.rate - sqrt(power(v.rate - v.low, 2) + power(b.high - b.rate, 2)) END AS difference_low_rate,
    CASE WHEN v.variant <> v.baseline THEN v.rate - b.rate + sqrt(power(v.high - v.rate, 2) + power(b.rate - b.low, 2)) END AS difference_high_rate,
    CASE WHEN v.variant <> v.baseline THEN (v.rate - b.rate) / nullif(sqrt(t.share * (1 - t.share)
        * (1.0::double precision / nullif(v.sent, 0) + 1.0::double precision / nullif(b.sent, 0))), 0) END AS z_score
FROM variant v
    JOIN variant b ON b.message = v.message AND b.variant = v.baseline
    CROSS JOIN LATERAL (SELECT (v.responded + b.responded)::double precision / nullif(v.sent + b.sent, 0)) AS t (share);
COMMENT ON VIEW message_response IS 'one row a message and variant: how many clicked or replied, against the baseline variant';
COMMENT ON COLUMN message_response.message IS 'name of the message; (none): without';
COMMENT ON COLUMN message_response.variant IS 'name of the variant; (none): without';
COMMENT ON COLUMN message_response.baseline IS 'the variant compared with: generic, control, or the first by name';
COMMENT ON COLUMN message_response.sent IS 'leads that it was sent to';
COMMENT ON COLUMN message_response.responded IS 'of these, those that followed a link or answered';
COMMENT ON COLUMN message_response.response_rate IS 'responded / sent';
COMMENT ON COLUMN message_response.low_rate IS 'lower end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN message_response.high_rate IS 'upper end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN message_response.ratio_to_baseline IS 'response_rate / that of the baseline';
COMMENT ON COLUMN message_response.difference_rate IS 'response_rate - that of the baseline';
COMMENT ON COLUMN message_response.difference_low_rate IS 'lower end of its 95 % interval (Newcombe)';
COMMENT ON COLUMN message_response.difference_high_rate IS 'upper end of its 95 % interval (Newcombe)';
COMMENT ON COLUMN message_response.z_score IS 'difference in standard errors, pooled; beyond 1.96 chance alone is unlikely (p < 0.05)';

-- A lead is with an event if it came while the lead was in the stage, up to
-- the step to a higher one: what came afterwards cannot have helped. Kinds of
-- events that are the step themselves (milestones) are left out.
CREATE OR REPLACE VIEW stage_lift_by_event WITH (security_invoker = true) AS
WITH run AS (
    SELECT
        h.lead_id,
        h.cycle,
        min(h.effective_at) FILTER (WHERE h.to_stage = 'iql') AS iql_at,
        min(h.effective_at) FILTER (WHERE h.to_stage = 'mql') AS mql_at,
        min(h.effective_at) FILTER (WHERE h.to_stage = 'sql') AS sql_at,
        min(h.effective_at) FILTER (WHERE h.to_stage = 'prospect') AS prospect_at,
        min(h.effective_at) FILTER (WHERE h.to_stage >= 'mql') AS from_mql_at,
        min(h.effective_at) FILTER (WHERE h.to_stage >= 'sql') AS from_sql_at,
        min(h.effective_at) FILTER (WHERE h.to_stage >= 'prospect') AS from_prospect_at,
        min(h.effective_at) FILTER (WHERE h.to_stage >= 'customer') AS from_customer_at,
        min(h.effective_at) FILTER (WHERE h.to_stage < 'visitor') AS gone_at
    FROM stage_history h
    GROUP BY h.lead_id, h.cycle
), stay AS (
    SELECT r.lead_id, r.cycle, t.stage_rank, t.entered_at,
        t.step_at >= t.entered_at AS converted,
        CASE WHEN t.step_at >= t.entered_at THEN t.step_at ELSE coalesce(r.gone_at, now()) END AS until_at
    FROM run r
        CROSS JOIN LATERAL (VALUES
            (50, r.iql_at, r.from_mql_at),
            (60, r.mql_at, r.from_sql_at),
            (70, r.sql_at, r.from_prospect_at),
            (80, r.prospect_at, r.from_customer_at)
        ) AS t (stage_rank, entered_at, step_at)
    WHERE t.entered_at IS NOT NULL
), total AS (
    SELECT s.stage_rank, count(*) AS leads, count(*) FILTER (WHERE s.converted) AS converted
    FROM stay s
    GROUP BY s.stage_rank
), helper AS (
    SELECT k.kind
    FROM event_kind k
    WHERE k.role NOT IN ('points', 'stage', 'purchase', 'lost', 'disqualified', 'recycled')
        AND NOT EXISTS (
            SELECT FROM signal g
                JOIN stage_rule r ON r.entry_signals @> ARRAY[g.signal]
                JOIN model m ON m.model = r.model
            WHERE m.status = 'active' AND g.event_kinds @> ARRAY[k.kind])
), helped AS (
    SELECT d.stage_rank, d.kind, count(*) AS leads, count(*) FILTER (WHERE d.converted) AS converted
    FROM (
        SELECT DISTINCT s.lead_id, s.cycle, s.stage_rank, e.kind, s.converted
        FROM stay s
            JOIN event e ON e.lead_id = s.lead_id AND e.occurred_at >= s.entered_at AND e.occurred_at <= s.until_at
        WHERE e.kind = ANY (ARRAY(SELECT k.kind FROM helper k)) AND isfinite(e.occurred_at)
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
COMMENT ON VIEW stage_lift_by_event IS 'one row a stage and kind of event: the share that goes on to a higher stage, with such an event in the stage before the step and without';
COMMENT ON COLUMN stage_lift_by_event.stage IS 'the stage';
COMMENT ON COLUMN stage_lift_by_event.stage_rank IS 'order of the stages';
COMMENT ON COLUMN stage_lift_by_event.kind IS 'kind of event';
COMMENT ON COLUMN stage_lift_by_event.leads_with IS 'stays in the stage with such an event';
COMMENT ON COLUMN stage_lift_by_event.converted_with IS 'of these, those that ended with a step up';
COMMENT ON COLUMN stage_lift_by_event.with_rate IS 'converted_with / leads_with';
COMMENT ON COLUMN stage_lift_by_event.with_low_rate IS 'lower end of its 95 % interval';
COMMENT ON COLUMN stage_lift_by_event.with_high_rate IS 'upper end of its 95 % interval';
COMMENT ON COLUMN stage_lift_by_event.leads_without IS 'stays in the stage without such an event';
COMMENT ON COLUMN stage_lift_by_event.converted_without IS 'of these, those that ended with a step up';
COMMENT ON COLUMN stage_lift_by_event.without_rate IS 'converted_without / leads_without';
COMMENT ON COLUMN stage_lift_by_event.lift IS 'with_rate / without_rate; not a proof of cause';

CREATE OR REPLACE VIEW lead_quality WITH (security_invoker = true) AS
WITH revenue AS (
    SELECT p.lead_id, sum(p.purchase_amount) AS revenue_amount
    FROM purchases p
    GROUP BY p.lead_id
), figure AS (
    SELECT m.channel, m.campaign, count(*) AS contacts,
        count(m.lead_at) AS leads, count(m.mql_at) AS mqls, count(m.sql_at) AS sqls, count(m.customer_at) AS customers,
        coalesce(sum(r.revenue_amount) FILTER (WHERE m.lead_at IS NOT NULL), 0) AS revenue_amount
    FROM lead_milestone m
        LEFT JOIN revenue r USING (lead_id)
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
    f.customers::double precision / nullif(f.leads, 0) AS customer_rate,
    as_amount(coalesce(f.revenue_amount, 0))::numeric(14,2) AS revenue_amount,
    as_amount(f.revenue_amount / nullif(f.leads, 0))::numeric(14,2) AS value_per_lead_amount
FROM (
        SELECT k.channel, k.campaign FROM source_list k
        UNION
        SELECT k.channel, k.campaign FROM figure k
    ) n
    LEFT JOIN figure f USING (channel, campaign)
    LEFT JOIN campaign p ON p.campaign = n.campaign
    LEFT JOIN channel h ON h.channel = n.channel;
COMMENT ON VIEW lead_quality IS 'one row a source: how good its leads are and what they bring';
COMMENT ON COLUMN lead_quality.channel IS 'the channel';
COMMENT ON COLUMN lead_quality.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN lead_quality.campaign IS 'the campaign';
COMMENT ON COLUMN lead_quality.contacts IS 'all that came by the source, visitors too';
COMMENT ON COLUMN lead_quality.leads IS 'of these, those that reached iql or higher';
COMMENT ON COLUMN lead_quality.mqls IS 'those that reached mql or higher';
COMMENT ON COLUMN lead_quality.sqls IS 'those that reached sql or higher';
COMMENT ON COLUMN lead_quality.customers IS 'those that became customers';
COMMENT ON COLUMN lead_quality.lead_rate IS 'leads / contacts';
COMMENT ON COLUMN lead_quality.mql_rate IS 'mqls / leads';
COMMENT ON COLUMN lead_quality.sql_rate IS 'sqls / leads';
COMMENT ON COLUMN lead_quality.sql_low_rate IS 'lower end of its 95 % interval';
COMMENT ON COLUMN lead_quality.sql_high_rate IS 'upper end of its 95 % interval';
COMMENT ON COLUMN lead_quality.customer_rate IS 'customers / leads';
COMMENT ON COLUMN lead_quality.revenue_amount IS 'what the leads bought for';
COMMENT ON COLUMN lead_quality.value_per_lead_amount IS 'revenue_amount / leads';

CREATE OR REPLACE FUNCTION topic_counts()
    RETURNS TABLE (topic text, events bigint, leads bigint, leads_lately bigint, mqls bigint, customers bigint)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    WITH interest AS (
        SELECT e.lead_id, coalesce(e.properties ->> 'topic', e.properties ->> 'content', nullif(page_name(e.properties ->> 'page'), '(none)'), e.kind) AS topic,
            count(*) AS events, min(e.occurred_at) AS first_at, max(e.occurred_at) AS last_at
        FROM event e
        WHERE e.kind = ANY (kinds_of('event_kind', 'visit', 'download', 'webinar')) AND isfinite(e.occurred_at)
        GROUP BY 1, 2
    ), reached AS (
        SELECT h.lead_id, min(h.effective_at) AS mql_at, min(h.effective_at) FILTER (WHERE h.to_stage >= 'customer') AS customer_at
        FROM stage_history h
        WHERE h.to_stage >= 'mql'
        GROUP BY h.lead_id
    )
    SELECT i.topic, sum(i.events)::bigint, count(*),
        count(*) FILTER (WHERE i.last_at > now() - interval '720 hours' AND i.last_at <= now()),
        count(*) FILTER (WHERE r.mql_at >= i.first_at),
        count(*) FILTER (WHERE r.customer_at >= i.first_at)
    FROM interest i
        LEFT JOIN reached r USING (lead_id)
    WHERE shows_all_leads()
    GROUP BY i.topic;
END;
REVOKE EXECUTE ON FUNCTION topic_counts() FROM PUBLIC;
COMMENT ON FUNCTION topic_counts() IS 'internal: the counts of the view interest_by_topic';

CREATE OR REPLACE VIEW interest_by_topic WITH (security_invoker = true) AS
SELECT
    c.topic,
    c.events,
    c.leads,
    c.leads_lately,
    c.mqls,
    c.customers,
    c.mqls::double precision / nullif(c.leads, 0) AS mql_rate,
    c.customers::double precision / nullif(c.leads, 0) AS customer_rate
FROM topic_counts() c;
COMMENT ON VIEW interest_by_topic IS 'one row a topic: who looked at it or took it, and what became of them';
COMMENT ON COLUMN interest_by_topic.topic IS 'the property topic of the event, or else content, page or kind';
COMMENT ON COLUMN interest_by_topic.events IS 'events of role visit, download or webinar';
COMMENT ON COLUMN interest_by_topic.leads IS 'leads and visitors that did them';
COMMENT ON COLUMN interest_by_topic.leads_lately IS 'of these, those with one in the last 30 days';
COMMENT ON COLUMN interest_by_topic.mqls IS 'of these, those that became mql or higher afterwards';
COMMENT ON COLUMN interest_by_topic.customers IS 'of these, those that became customers afterwards';
COMMENT ON COLUMN interest_by_topic.mql_rate IS 'mqls / leads';
COMMENT ON COLUMN interest_by_topic.customer_rate IS 'customers / leads';

-- The usual gap is the mean time between captures: five times as long happens
-- to a source that goes on as before in one of 150 cases. Nights and holidays
-- are gaps too: so it must also be longer than any before.
CREATE OR REPLACE FUNCTION capture_times()
    RETURNS TABLE (source_kind text, source text, captures bigint, first_capture_at timestamptz, last_capture_at timestamptz, longest_gap interval)
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    WITH capture AS (
        SELECT coalesce(e.channel, p.channel, l.channel, '(none)') AS channel, e.properties ->> 'form' AS form, e.occurred_at
        FROM event e
            JOIN lead l USING (lead_id)
            LEFT JOIN campaign p ON p.campaign = e.campaign
        WHERE e.kind = ANY (kinds_of('event_kind', 'capture', 'form_submit', 'request')) AND isfinite(e.occurred_at)
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
    WHERE shows_all_leads()
    GROUP BY g.source_kind, g.source;
END;
REVOKE EXECUTE ON FUNCTION capture_times() FROM PUBLIC;
COMMENT ON FUNCTION capture_times() IS 'internal: the times of the view capture_gaps';

CREATE OR REPLACE VIEW capture_gaps WITH (security_invoker = true) AS
WITH captured AS (
    SELECT c.source_kind, c.source, c.captures, c.first_capture_at, c.last_capture_at,
        date_part('epoch', c.longest_gap) / 86400 AS longest_gap_days,
        date_part('epoch', c.last_capture_at - c.first_capture_at) / 86400 / nullif(c.captures - 1, 0) AS usual_gap_days,
        date_part('epoch', now() - c.last_capture_at) / 86400 AS quiet_days
    FROM capture_times() c
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
COMMENT ON COLUMN capture_gaps.source IS 'the channel or form';
COMMENT ON COLUMN capture_gaps.captures IS 'events of role capture, form_submit or request';
COMMENT ON COLUMN capture_gaps.first_capture_at IS 'the first';
COMMENT ON COLUMN capture_gaps.last_capture_at IS 'the last';
COMMENT ON COLUMN capture_gaps.usual_gap_days IS 'mean time between two';
COMMENT ON COLUMN capture_gaps.longest_gap_days IS 'longest time between two';
COMMENT ON COLUMN capture_gaps.quiet_days IS 'time since the last';
COMMENT ON COLUMN capture_gaps.quiet_ratio IS 'quiet_days / usual_gap_days';
COMMENT ON COLUMN capture_gaps.gone_quiet IS 'whether quiet_days is more than five usual gaps, and than any before; NULL: fewer than three captures';
