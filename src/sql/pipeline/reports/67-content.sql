-- Content and forms: which pages, forms, messages and offers bring leads on.

-- Properties of events may hold anything, so readers of views cannot see them.
-- Functions with the rights of the pipeline's owner count by those properties
-- that name pages, forms, messages and contents, and give out the counts only,
-- and no rows to a role that row security prevents from seeing every lead. What is
-- dated ahead counts from its time on.

-- Landing: the first visit of a lead. Its later actions count for that page.
CREATE OR REPLACE FUNCTION _landing_page_counts()
    RETURNS TABLE (page text, views bigint, visitors bigint, landed bigint, form_viewed bigint, form_submitted bigint, leads bigint, customers bigint)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF NOT @pipeline@._shows_all_leads() THEN
        RETURN;
    END IF;
    RETURN QUERY
        WITH visit AS MATERIALIZED (
            SELECT e.lead_id, leadscore_internal.page_name(e.properties ->> 'page') COLLATE "C" AS page, e.occurred_at
            FROM @pipeline@.event e
            WHERE e.kind = ANY (leadscore_internal.kinds_of($table$@pipeline@.event_kind$table$, 'visit')) AND leadscore_internal.is_dated(e.occurred_at) AND e.occurred_at <= now()
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
                max(e.occurred_at) FILTER (WHERE e.kind = ANY (leadscore_internal.kinds_of($table$@pipeline@.event_kind$table$, 'form_view'))) AS form_viewed_at,
                max(e.occurred_at) FILTER (WHERE e.kind = ANY (leadscore_internal.kinds_of($table$@pipeline@.event_kind$table$, 'form_submit'))) AS form_submitted_at
            FROM @pipeline@.event e
            WHERE e.kind = ANY (leadscore_internal.kinds_of($table$@pipeline@.event_kind$table$, 'form_view', 'form_submit')) AND leadscore_internal.is_dated(e.occurred_at) AND e.occurred_at <= now()
            GROUP BY e.lead_id
        ), landed AS (
            SELECT l.page, count(*) AS landed,
                count(*) FILTER (WHERE a.form_viewed_at >= l.landed_at) AS form_viewed,
                count(*) FILTER (WHERE a.form_submitted_at >= l.landed_at) AS form_submitted,
                count(*) FILTER (WHERE r.lead_at >= l.landed_at) AS leads,
                count(*) FILTER (WHERE r.customer_at >= l.landed_at) AS customers
            FROM landing l
                LEFT JOIN act a USING (lead_id)
                LEFT JOIN @pipeline@._milestone r USING (lead_id)
            GROUP BY l.page
        )
        SELECT n.page, n.views, n.visitors, coalesce(d.landed, 0), coalesce(d.form_viewed, 0), coalesce(d.form_submitted, 0),
            coalesce(d.leads, 0), coalesce(d.customers, 0)
        FROM seen n
            LEFT JOIN landed d USING (page);
END
$$;
REVOKE EXECUTE ON FUNCTION _landing_page_counts() FROM PUBLIC;
COMMENT ON FUNCTION _landing_page_counts() IS
    'the counts of the view landing_pages';

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
FROM _landing_page_counts() c;
COMMENT ON VIEW landing_pages IS 'one row a page: how many contacts had their first visit there, and what they did afterwards';
COMMENT ON COLUMN landing_pages.page IS 'name of the page: its address in lower case, without scheme, www., query, fragment, index file and slash at the end; (none): without';
COMMENT ON COLUMN landing_pages.views IS 'visits to it';
COMMENT ON COLUMN landing_pages.visitors IS 'leads and visitors that saw it';
COMMENT ON COLUMN landing_pages.landed IS 'of visitors, contacts whose first visit it was';
COMMENT ON COLUMN landing_pages.form_viewed IS 'of landed, contacts that saw a form afterwards';
COMMENT ON COLUMN landing_pages.form_submitted IS 'of landed, contacts that sent a form afterwards';
COMMENT ON COLUMN landing_pages.leads IS 'of landed, contacts that became iql or higher afterwards';
COMMENT ON COLUMN landing_pages.customers IS 'of landed, contacts that became customers afterwards';
COMMENT ON COLUMN landing_pages.form_view_rate IS 'form_viewed / landed';
COMMENT ON COLUMN landing_pages.form_submit_rate IS 'form_submitted / landed';
COMMENT ON COLUMN landing_pages.lead_rate IS 'leads / landed';
COMMENT ON COLUMN landing_pages.lead_low_rate IS 'lower end of the 95 % interval of lead_rate (Wilson)';
COMMENT ON COLUMN landing_pages.lead_high_rate IS 'upper end of the 95 % interval of lead_rate (Wilson)';
COMMENT ON COLUMN landing_pages.customer_rate IS 'customers / landed';
COMMENT ON COLUMN landing_pages.ratio_to_all IS 'lead_rate / lead_rate of all pages together';

-- Variants of a page, as of messages. The variant is that of the first visit.
CREATE OR REPLACE FUNCTION _page_variant_counts()
    RETURNS TABLE (page text, variant text, landed bigint, form_submitted bigint, leads bigint, customers bigint)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF NOT @pipeline@._shows_all_leads() THEN
        RETURN;
    END IF;
    RETURN QUERY
        WITH landing AS (
            SELECT DISTINCT ON (e.lead_id) e.lead_id, leadscore_internal.page_name(e.properties ->> 'page') COLLATE "C" AS page,
                coalesce(e.properties ->> 'variant', '(none)') COLLATE "C" AS variant, e.occurred_at AS landed_at
            FROM @pipeline@.event e
            WHERE e.kind = ANY (leadscore_internal.kinds_of($table$@pipeline@.event_kind$table$, 'visit')) AND leadscore_internal.is_dated(e.occurred_at) AND e.occurred_at <= now()
            ORDER BY e.lead_id, e.occurred_at, 2, 3
        ), act AS (
            SELECT e.lead_id, max(e.occurred_at) AS form_submitted_at
            FROM @pipeline@.event e
            WHERE e.kind = ANY (leadscore_internal.kinds_of($table$@pipeline@.event_kind$table$, 'form_submit')) AND leadscore_internal.is_dated(e.occurred_at) AND e.occurred_at <= now()
            GROUP BY e.lead_id
        )
        SELECT l.page, l.variant, count(*),
            count(*) FILTER (WHERE a.form_submitted_at >= l.landed_at),
            count(*) FILTER (WHERE r.lead_at >= l.landed_at),
            count(*) FILTER (WHERE r.customer_at >= l.landed_at)
        FROM landing l
            LEFT JOIN act a USING (lead_id)
            LEFT JOIN @pipeline@._milestone r USING (lead_id)
        GROUP BY l.page, l.variant;
END
$$;
REVOKE EXECUTE ON FUNCTION _page_variant_counts() FROM PUBLIC;
COMMENT ON FUNCTION _page_variant_counts() IS
    'the counts of the view landing_page_variants';

CREATE OR REPLACE VIEW landing_page_variants WITH (security_invoker = true) AS
WITH variant AS (
    SELECT c.page, c.variant, c.landed, c.form_submitted, c.leads, c.customers,
        c.leads::double precision / nullif(c.landed, 0) AS rate,
        rate_low(c.leads, c.landed) AS low,
        rate_high(c.leads, c.landed) AS high,
        first_value(c.variant) OVER (PARTITION BY c.page
            ORDER BY c.variant = 'generic' DESC, c.variant = 'control' DESC, c.variant = '(none)', c.variant COLLATE "C") AS baseline
    FROM _page_variant_counts() c
)
SELECT
    v.page,
    v.variant,
    v.baseline,
    v.landed,
    v.form_submitted,
    v.leads,
    v.customers,
    v.form_submitted::double precision / nullif(v.landed, 0) AS form_submit_rate,
    v.rate AS lead_rate,
    v.low AS low_rate,
    v.high AS high_rate,
    v.rate / nullif(b.rate, 0) AS ratio_to_baseline,
    v.rate - b.rate AS difference_rate,
    CASE WHEN v.variant <> v.baseline THEN v.rate - b.rate - sqrt(power(v.rate - v.low, 2) + power(b.high - b.rate, 2)) END AS difference_low_rate,
    CASE WHEN v.variant <> v.baseline THEN v.rate - b.rate + sqrt(power(v.high - v.rate, 2) + power(b.rate - b.low, 2)) END AS difference_high_rate,
    CASE WHEN v.variant <> v.baseline THEN (v.rate - b.rate) / nullif(sqrt(t.share * (1 - t.share)
        * (1.0::double precision / nullif(v.landed, 0) + 1.0::double precision / nullif(b.landed, 0))), 0) END AS z_score
FROM variant v
    JOIN variant b ON b.page = v.page AND b.variant = v.baseline
    CROSS JOIN LATERAL (SELECT (v.leads + b.leads)::double precision / nullif(v.landed + b.landed, 0)) AS t (share);
COMMENT ON VIEW landing_page_variants IS 'one row a page and variant: how many contacts that had their first visit there became leads, against the baseline variant';
COMMENT ON COLUMN landing_page_variants.page IS 'name of the page, as in landing_pages; (none): without';
COMMENT ON COLUMN landing_page_variants.variant IS 'property variant of the first visit; (none): without';
COMMENT ON COLUMN landing_page_variants.baseline IS 'the variant to compare with: generic, control, or else the first by name; (none) only if there is no other';
COMMENT ON COLUMN landing_page_variants.landed IS 'contacts whose first visit it was';
COMMENT ON COLUMN landing_page_variants.form_submitted IS 'of landed, contacts that sent a form afterwards';
COMMENT ON COLUMN landing_page_variants.leads IS 'of landed, contacts that became iql or higher afterwards';
COMMENT ON COLUMN landing_page_variants.customers IS 'of landed, contacts that became customers afterwards';
COMMENT ON COLUMN landing_page_variants.form_submit_rate IS 'form_submitted / landed';
COMMENT ON COLUMN landing_page_variants.lead_rate IS 'leads / landed';
COMMENT ON COLUMN landing_page_variants.low_rate IS 'lower end of the 95 % interval of lead_rate (Wilson)';
COMMENT ON COLUMN landing_page_variants.high_rate IS 'upper end of the 95 % interval of lead_rate (Wilson)';
COMMENT ON COLUMN landing_page_variants.ratio_to_baseline IS 'lead_rate / lead_rate of the baseline';
COMMENT ON COLUMN landing_page_variants.difference_rate IS 'lead_rate - lead_rate of the baseline';
COMMENT ON COLUMN landing_page_variants.difference_low_rate IS 'lower end of the 95 % interval of difference_rate (Newcombe)';
COMMENT ON COLUMN landing_page_variants.difference_high_rate IS 'upper end of the 95 % interval of difference_rate (Newcombe)';
COMMENT ON COLUMN landing_page_variants.z_score IS 'difference in standard errors, pooled; beyond 1.96 chance alone is unlikely (p < 0.05)';

-- A form that was sent without a variant counts for the variant that the lead
-- saw last before. A request that names a form was sent by it.
CREATE OR REPLACE FUNCTION _form_counts()
    RETURNS TABLE (form text, variant text, fields integer, viewed bigint, submitted bigint, submitted_unseen bigint)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF NOT @pipeline@._shows_all_leads() THEN
        RETURN;
    END IF;
    RETURN QUERY
        WITH act AS (
            SELECT e.lead_id, e.occurred_at, e.kind <> ALL (leadscore_internal.kinds_of($table$@pipeline@.event_kind$table$, 'form_view')) AS submitted,
                coalesce(e.properties ->> 'form', '(none)') AS form, (e.properties ->> 'variant') COLLATE "C" AS variant, e.properties -> 'fields' AS fields
            FROM @pipeline@.event e
            WHERE e.kind = ANY (leadscore_internal.kinds_of($table$@pipeline@.event_kind$table$, 'form_view', 'form_submit', 'request')) AND leadscore_internal.is_dated(e.occurred_at) AND e.occurred_at <= now()
                AND (e.properties ->> 'form' IS NOT NULL OR e.kind <> ALL (leadscore_internal.kinds_of($table$@pipeline@.event_kind$table$, 'request')))
        ), counted AS (
            SELECT a.*,
                count(*) FILTER (WHERE NOT a.submitted) OVER (PARTITION BY a.lead_id, a.form ORDER BY a.occurred_at, a.submitted, a.variant ROWS UNBOUNDED PRECEDING) AS views
            FROM act a
        ), placed AS MATERIALIZED (
            SELECT c.lead_id, c.form, c.occurred_at, c.submitted, c.fields,
                coalesce(c.variant, CASE WHEN c.views > 0 THEN first_value(c.variant) OVER (PARTITION BY c.lead_id, c.form, c.views ORDER BY c.submitted) END, '(none)') AS variant
            FROM counted c
        ), seen AS (
            SELECT p.lead_id, p.form, p.variant, min(p.occurred_at) AS first_at, max(leadscore_internal.field_count(p.fields)) AS fields
            FROM placed p
            WHERE NOT p.submitted
            GROUP BY p.lead_id, p.form, p.variant
        ), sent AS (
            SELECT p.lead_id, p.form, p.variant, max(p.occurred_at) AS last_at, max(leadscore_internal.field_count(p.fields)) AS fields
            FROM placed p
            WHERE p.submitted
            GROUP BY p.lead_id, p.form, p.variant
        )
        SELECT form, variant,
            mode() WITHIN GROUP (ORDER BY coalesce(t.fields, s.fields)),
            count(s.lead_id),
            count(*) FILTER (WHERE t.last_at >= s.first_at),
            count(*) FILTER (WHERE t.lead_id IS NOT NULL AND (s.lead_id IS NULL OR t.last_at < s.first_at))
        FROM seen s
            FULL JOIN sent t USING (lead_id, form, variant)
        GROUP BY form, variant;
END
$$;
REVOKE EXECUTE ON FUNCTION _form_counts() FROM PUBLIC;
COMMENT ON FUNCTION _form_counts() IS
    'the counts of the view form_conversion';

CREATE OR REPLACE VIEW form_conversion WITH (security_invoker = true) AS
WITH counted AS MATERIALIZED (
    SELECT c.form, c.variant, c.fields, c.viewed, c.submitted, c.submitted_unseen
    FROM _form_counts() c
), figure AS (
    SELECT 'form' AS level, c.form, c.variant, c.fields, 1::bigint AS forms, c.viewed, c.submitted, c.submitted_unseen,
        c.submitted::double precision / nullif(c.viewed, 0) AS submit_rate
    FROM counted c
    UNION ALL
    SELECT 'fields' AS level, NULL::text AS form, NULL::text AS variant, c.fields, count(*) AS forms,
        sum(c.viewed)::bigint AS viewed, sum(c.submitted)::bigint AS submitted, sum(c.submitted_unseen)::bigint AS submitted_unseen,
        sum(c.submitted)::double precision / nullif(sum(c.viewed), 0)::double precision AS submit_rate
    FROM counted c
    GROUP BY c.fields
)
SELECT
    f.level,
    f.form,
    f.variant,
    f.fields,
    f.forms,
    f.viewed,
    f.submitted,
    f.submitted_unseen,
    f.submit_rate,
    rate_low(f.submitted, f.viewed) AS low_rate,
    rate_high(f.submitted, f.viewed) AS high_rate,
    CASE WHEN f.level = 'fields' AND f.fields > lag(f.fields) OVER fewer AND lag(f.submit_rate) OVER fewer > 0
        THEN 1 - power(f.submit_rate / lag(f.submit_rate) OVER fewer, 1.0::double precision / (f.fields - lag(f.fields) OVER fewer))
        END AS drop_per_field_rate
FROM figure f
WINDOW fewer AS (PARTITION BY f.level ORDER BY f.fields NULLS LAST);
COMMENT ON VIEW form_conversion IS 'one row a form and variant, and one row a number of fields: how many leads saw the form, and how many sent it';
COMMENT ON COLUMN form_conversion.level IS 'form: a form and variant; fields: all forms and variants with so many fields';
COMMENT ON COLUMN form_conversion.form IS 'name of the form; (none): without';
COMMENT ON COLUMN form_conversion.variant IS 'name of the variant; (none): without';
COMMENT ON COLUMN form_conversion.fields IS 'number of fields that it was sent with most often; NULL: not known';
COMMENT ON COLUMN form_conversion.forms IS 'forms and variants with so many fields; 1 in the rows of level form';
COMMENT ON COLUMN form_conversion.viewed IS 'leads that saw it';
COMMENT ON COLUMN form_conversion.submitted IS 'of viewed, leads that sent it afterwards: events of role form_submit, or of role request that name the form';
COMMENT ON COLUMN form_conversion.submitted_unseen IS 'leads that sent it without a recorded view before';
COMMENT ON COLUMN form_conversion.submit_rate IS 'submitted / viewed';
COMMENT ON COLUMN form_conversion.low_rate IS 'lower end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN form_conversion.high_rate IS 'upper end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN form_conversion.drop_per_field_rate IS 'level fields: share of senders lost with each further field, compared with the row with fewer fields';

CREATE OR REPLACE FUNCTION _offers_by_lead()
    RETURNS TABLE (lead_id bigint, offers bigint, first_offer text, first_offer_at timestamptz, last_offer text, last_offer_at timestamptz, all_offers text)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF NOT @pipeline@._shows_all_leads() THEN
        RETURN;
    END IF;
    RETURN QUERY
        WITH offer AS (
            -- as in lead_profile: what is neither a text nor a number is no name
            SELECT e.lead_id, coalesce(CASE WHEN jsonb_typeof(e.properties -> 'content') IN ('string', 'number') THEN e.properties ->> 'content' END, e.kind) AS offer,
                min(e.occurred_at) AS first_at, max(e.occurred_at) AS last_at
            FROM @pipeline@.event e
            WHERE e.kind = ANY (leadscore_internal.kinds_of($table$@pipeline@.event_kind$table$, 'download', 'webinar')) AND leadscore_internal.is_dated(e.occurred_at) AND e.occurred_at <= now()
            GROUP BY 1, 2
        )
        SELECT o.lead_id, count(*),
            (array_agg(o.offer ORDER BY o.first_at, o.offer COLLATE "C"))[1], min(o.first_at),
            (array_agg(o.offer ORDER BY o.last_at DESC, o.offer COLLATE "C"))[1], max(o.last_at),
            string_agg(o.offer, ', ' ORDER BY o.first_at, o.offer COLLATE "C")
        FROM offer o
        GROUP BY o.lead_id;
END
$$;
REVOKE EXECUTE ON FUNCTION _offers_by_lead() FROM PUBLIC;
COMMENT ON FUNCTION _offers_by_lead() IS
    'the offers of the view lead_offers';

CREATE OR REPLACE VIEW lead_offers WITH (security_invoker = true) AS
SELECT
    o.lead_id,
    d.channel,
    d.campaign,
    d.persona,
    o.offers,
    o.first_offer,
    o.first_offer_at,
    o.last_offer,
    o.last_offer_at,
    o.all_offers,
    f.kind AS first_offer_kind,
    c.kind AS last_offer_kind,
    c.topic AS last_offer_topic
FROM _offers_by_lead() o
    JOIN _source d USING (lead_id)
    LEFT JOIN content f ON f.content = o.first_offer
    LEFT JOIN content c ON c.content = o.last_offer;
COMMENT ON VIEW lead_offers IS 'one row a lead: the downloads and webinars it took';
COMMENT ON COLUMN lead_offers.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN lead_offers.channel IS 'channel that the lead came by, or that of its campaign; (none): not known';
COMMENT ON COLUMN lead_offers.campaign IS 'campaign that the lead came by; (none): not known';
COMMENT ON COLUMN lead_offers.persona IS 'buyer persona that the lead stands for; (none): not known';
COMMENT ON COLUMN lead_offers.offers IS 'number of different offers';
COMMENT ON COLUMN lead_offers.first_offer IS 'the first offer';
COMMENT ON COLUMN lead_offers.first_offer_at IS 'when the first offer was taken';
COMMENT ON COLUMN lead_offers.last_offer IS 'the last offer';
COMMENT ON COLUMN lead_offers.last_offer_at IS 'when the last offer was taken';
COMMENT ON COLUMN lead_offers.all_offers IS 'all offers, in the order in which each was first taken';
COMMENT ON COLUMN lead_offers.first_offer_kind IS 'kind of the first offer, see the table content; NULL: not there';
COMMENT ON COLUMN lead_offers.last_offer_kind IS 'kind of the last offer, see the table content; NULL: not there';
COMMENT ON COLUMN lead_offers.last_offer_topic IS 'topic of the last offer, see the table content; NULL: none, or not there';

CREATE OR REPLACE FUNCTION _content_suggestions()
    RETURNS TABLE (lead_id bigint, "position" integer, content text, stage text, of_interest boolean)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF NOT @pipeline@._shows_all_leads() THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT s.* FROM @pipeline@._suggested_content(NULL, NULL, 3) s;
END
$$;
REVOKE EXECUTE ON FUNCTION _content_suggestions() FROM PUBLIC;
COMMENT ON FUNCTION _content_suggestions() IS
    'the suggestions of the view content_suggestions';

CREATE OR REPLACE VIEW content_suggestions WITH (security_invoker = true) AS
SELECT
    s.lead_id,
    s.position,
    s.content,
    coalesce(c.title, c.content) AS title,
    c.kind,
    c.topic,
    c.intent,
    c.url,
    s.of_interest,
    s.stage,
    stage_rank(s.stage::lead_stage) AS stage_rank,
    d.persona,
    d.owner
FROM _content_suggestions() s
    JOIN content c ON c.content = s.content
    JOIN _source d ON d.lead_id = s.lead_id;
COMMENT ON VIEW content_suggestions IS 'up to three rows a lead that may be written to: contents that suit it and that it has not had, see suggested_content()';
COMMENT ON COLUMN content_suggestions.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN content_suggestions.position IS '1: the content that suits the lead best';
COMMENT ON COLUMN content_suggestions.content IS 'name of the content, see the table content';
COMMENT ON COLUMN content_suggestions.title IS 'its title, or else its name';
COMMENT ON COLUMN content_suggestions.kind IS 'ebook, whitepaper, case_study, discount, webinar, video, checklist, template, calculator, sample or other';
COMMENT ON COLUMN content_suggestions.topic IS 'what it is about; NULL: not known';
COMMENT ON COLUMN content_suggestions.intent IS 'educational or solution; NULL: not known';
COMMENT ON COLUMN content_suggestions.url IS 'where it is; NULL: not known';
COMMENT ON COLUMN content_suggestions.of_interest IS 'whether the lead looked at its topic before';
COMMENT ON COLUMN content_suggestions.stage IS 'stage of the lead';
COMMENT ON COLUMN content_suggestions.stage_rank IS 'order of the stages';
COMMENT ON COLUMN content_suggestions.persona IS 'buyer persona that the lead stands for; (none): not known';
COMMENT ON COLUMN content_suggestions.owner IS 'person in charge of the lead; (none): not known';

-- What counts is what was sent: leads that a message was sent to, and their
-- actions afterwards. An action that names no message is about the one that was
-- sent to the lead last. It is about the variant that it names, if that was sent
-- to the lead; else about the variant of the message that was sent last. So
-- letters and answers agree, though the app that sends knows less than the one
-- that sees clicks, or the other way round. A response is a click or a reply,
-- not an opening, of which there are many.
CREATE OR REPLACE FUNCTION _letters()
    RETURNS TABLE (lead_id bigint, message text, variant text, sent_at timestamptz, opened boolean, clicked boolean, replied boolean)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    RETURN QUERY
        -- action: 0 sent, 1 opened, 2 clicked, 3 replied
        WITH act AS (
            SELECT e.lead_id, e.occurred_at,
                CASE
                    WHEN e.kind = ANY (leadscore_internal.kinds_of($table$@pipeline@.event_kind$table$, 'email_sent')) THEN 0
                    WHEN e.kind = ANY (leadscore_internal.kinds_of($table$@pipeline@.event_kind$table$, 'email_open')) THEN 1
                    WHEN e.kind = ANY (leadscore_internal.kinds_of($table$@pipeline@.event_kind$table$, 'email_click')) THEN 2
                    ELSE 3
                END AS action,
                (e.properties ->> 'message') COLLATE "C" AS message, (e.properties ->> 'variant') COLLATE "C" AS variant
            FROM @pipeline@.event e
            WHERE e.kind = ANY (leadscore_internal.kinds_of($table$@pipeline@.event_kind$table$, 'email_sent', 'email_open', 'email_click', 'email_reply')) AND leadscore_internal.is_dated(e.occurred_at)
                -- what is dated ahead is planned, and nobody could have opened it
                AND e.occurred_at <= pg_catalog.now()
        ), counted AS (
            SELECT a.*,
                count(*) FILTER (WHERE a.action = 0) OVER (PARTITION BY a.lead_id ORDER BY a.occurred_at, a.action, a.message, a.variant ROWS UNBOUNDED PRECEDING) AS letters
            FROM act a
        ), known AS (
            SELECT c.lead_id, c.occurred_at, c.action, c.variant,
                coalesce(c.message, CASE WHEN c.letters > 0 THEN first_value(c.message) OVER (PARTITION BY c.lead_id, c.letters ORDER BY c.action) END, '(none)') AS message
            FROM counted c
        ), placed AS (
            SELECT k.*,
                count(*) FILTER (WHERE k.action = 0) OVER (PARTITION BY k.lead_id, k.message ORDER BY k.occurred_at, k.action, k.variant ROWS UNBOUNDED PRECEDING) AS letters,
                min(k.occurred_at) FILTER (WHERE k.action = 0) OVER (PARTITION BY k.lead_id, k.message, k.variant) AS named_sent_at
            FROM known k
        ), matched AS (
            -- no variant: no letter of this message came before
            SELECT p.lead_id, p.occurred_at, p.action, p.message,
                CASE
                    WHEN p.variant IS NOT NULL AND p.named_sent_at <= p.occurred_at THEN p.variant
                    WHEN p.letters > 0 THEN coalesce(first_value(p.variant) OVER (PARTITION BY p.lead_id, p.message, p.letters ORDER BY p.action), '(none)')
                END AS variant
            FROM placed p
        )
        SELECT m.lead_id, m.message, m.variant,
            min(m.occurred_at) FILTER (WHERE m.action = 0) AS sent_at,
            bool_or(m.action = 1) AS opened, bool_or(m.action = 2) AS clicked, bool_or(m.action = 3) AS replied
        FROM matched m
        GROUP BY m.lead_id, m.message, m.variant;
END
$$;
REVOKE EXECUTE ON FUNCTION _letters() FROM PUBLIC;
COMMENT ON FUNCTION _letters() IS 'one row a lead, message and variant: when it was first sent, and how the lead answered; variant NULL: an answer to what was not sent. For functions with the rights of the owner';

CREATE OR REPLACE FUNCTION _message_counts()
    RETURNS TABLE (message text, variant text, sent bigint, opened bigint, clicked bigint, replied bigint, responded bigint,
        unmatched bigint, first_sent_at timestamptz, last_sent_at timestamptz)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF NOT @pipeline@._shows_all_leads() THEN
        RETURN;
    END IF;
    RETURN QUERY
        WITH letter AS MATERIALIZED (
            SELECT t.* FROM @reports@._letters() t
        ), whole AS (
            SELECT l.lead_id, l.message, min(l.sent_at) AS sent_at,
                bool_or(l.opened) FILTER (WHERE l.variant IS NOT NULL) AS opened, bool_or(l.clicked) FILTER (WHERE l.variant IS NOT NULL) AS clicked,
                bool_or(l.replied) FILTER (WHERE l.variant IS NOT NULL) AS replied, bool_or(l.variant IS NULL) AS unmatched
            FROM letter l
            GROUP BY l.lead_id, l.message
        )
        SELECT l.message, l.variant, count(*), count(*) FILTER (WHERE l.opened), count(*) FILTER (WHERE l.clicked), count(*) FILTER (WHERE l.replied),
            count(*) FILTER (WHERE l.clicked OR l.replied), 0::bigint, min(l.sent_at), max(l.sent_at)
        FROM letter l
        WHERE l.variant IS NOT NULL
        GROUP BY l.message, l.variant
        UNION ALL
        SELECT w.message, NULL, count(w.sent_at), count(*) FILTER (WHERE w.opened), count(*) FILTER (WHERE w.clicked), count(*) FILTER (WHERE w.replied),
            count(*) FILTER (WHERE w.clicked OR w.replied), count(*) FILTER (WHERE w.unmatched), min(w.sent_at), max(w.sent_at)
        FROM whole w
        GROUP BY w.message;
END
$$;
REVOKE EXECUTE ON FUNCTION _message_counts() FROM PUBLIC;
COMMENT ON FUNCTION _message_counts() IS 'counts of the actions of leads on each variant of each message; variant NULL: on the whole message, each lead once';

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
    c.replied::double precision / nullif(c.sent, 0) AS reply_rate,
    c.unmatched
FROM _message_counts() c
WHERE c.variant IS NULL;
COMMENT ON VIEW email_engagement IS 'one row a message: how many leads it was sent to, and how many opened, clicked or replied; each lead once';
COMMENT ON COLUMN email_engagement.message IS 'name of the message; (none): without';
COMMENT ON COLUMN email_engagement.first_sent_at IS 'when it was first sent';
COMMENT ON COLUMN email_engagement.last_sent_at IS 'when it was last sent to a lead for the first time';
COMMENT ON COLUMN email_engagement.sent IS 'leads that it was sent to';
COMMENT ON COLUMN email_engagement.opened IS 'of sent, leads that opened it';
COMMENT ON COLUMN email_engagement.clicked IS 'of sent, leads that followed a link in it';
COMMENT ON COLUMN email_engagement.replied IS 'of sent, leads that answered it';
COMMENT ON COLUMN email_engagement.open_rate IS 'opened / sent';
COMMENT ON COLUMN email_engagement.click_rate IS 'clicked / sent';
COMMENT ON COLUMN email_engagement.reply_rate IS 'replied / sent';
COMMENT ON COLUMN email_engagement.unmatched IS 'leads that opened, clicked or replied when it had not been sent to them; in no other column';

-- Compared with the variant called generic or control, or else the first by
-- name; letters without a variant only if there are no others. The interval of
-- the difference is Newcombe's, from Wilson's of both.
CREATE OR REPLACE VIEW message_response WITH (security_invoker = true) AS
WITH variant AS (
    SELECT c.message, c.variant, c.sent, c.responded,
        c.responded::double precision / nullif(c.sent, 0) AS rate,
        rate_low(c.responded, c.sent) AS low,
        rate_high(c.responded, c.sent) AS high,
        first_value(c.variant) OVER (PARTITION BY c.message
            ORDER BY c.variant = 'generic' DESC, c.variant = 'control' DESC, c.variant = '(none)', c.variant COLLATE "C") AS baseline
    FROM _message_counts() c
    WHERE c.variant IS NOT NULL
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
    CASE WHEN v.variant <> v.baseline THEN difference_low(v.responded, v.sent, b.responded, b.sent) END AS difference_low_rate,
    CASE WHEN v.variant <> v.baseline THEN difference_high(v.responded, v.sent, b.responded, b.sent) END AS difference_high_rate,
    CASE WHEN v.variant <> v.baseline THEN (v.rate - b.rate) / nullif(sqrt(t.share * (1 - t.share)
        * (1.0::double precision / nullif(v.sent, 0) + 1.0::double precision / nullif(b.sent, 0))), 0) END AS z_score
FROM variant v
    JOIN variant b ON b.message = v.message AND b.variant = v.baseline
    CROSS JOIN LATERAL (SELECT (v.responded + b.responded)::double precision / nullif(v.sent + b.sent, 0)) AS t (share);
COMMENT ON VIEW message_response IS 'one row a message and variant that were sent: how many clicked or replied, against the baseline variant';
COMMENT ON COLUMN message_response.message IS 'name of the message; (none): without';
COMMENT ON COLUMN message_response.variant IS 'name of the variant; (none): sent without';
COMMENT ON COLUMN message_response.baseline IS 'the variant to compare with: generic, control, or else the first by name; (none) only if there is no other';
COMMENT ON COLUMN message_response.sent IS 'leads that it was sent to';
COMMENT ON COLUMN message_response.responded IS 'of sent, leads that followed a link or answered';
COMMENT ON COLUMN message_response.response_rate IS 'responded / sent';
COMMENT ON COLUMN message_response.low_rate IS 'lower end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN message_response.high_rate IS 'upper end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN message_response.ratio_to_baseline IS 'response_rate / response_rate of the baseline';
COMMENT ON COLUMN message_response.difference_rate IS 'response_rate - response_rate of the baseline';
COMMENT ON COLUMN message_response.difference_low_rate IS 'lower end of the 95 % interval of difference_rate (Newcombe)';
COMMENT ON COLUMN message_response.difference_high_rate IS 'upper end of the 95 % interval of difference_rate (Newcombe)';
COMMENT ON COLUMN message_response.z_score IS 'difference in standard errors, pooled; beyond 1.96 chance alone is unlikely (p < 0.05)';

CREATE OR REPLACE FUNCTION _message_counts_by_segment()
    RETURNS TABLE (level text, slice text, message text, variant text, sent bigint, responded bigint)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF NOT @pipeline@._shows_all_leads() THEN
        RETURN;
    END IF;
    RETURN QUERY
        WITH letter AS MATERIALIZED (
            SELECT t.* FROM @reports@._letters() t WHERE t.variant IS NOT NULL AND t.sent_at IS NOT NULL
        ), sliced AS (
            SELECT t.*, 'persona' AS level, p.persona AS slice
            FROM letter t JOIN @pipeline@._source p ON p.lead_id = t.lead_id
            UNION ALL
            SELECT t.*, 'segment', y.segment
            FROM letter t JOIN @pipeline@._segment_stay y ON y.lead_id = t.lead_id AND y.entered_at <= t.sent_at AND (y.left_at > t.sent_at) IS NOT FALSE
        )
        SELECT s.level, s.slice, s.message, s.variant, count(*), count(*) FILTER (WHERE s.clicked OR s.replied)
        FROM sliced s
        GROUP BY s.level, s.slice, s.message, s.variant;
END
$$;
REVOKE EXECUTE ON FUNCTION _message_counts_by_segment() FROM PUBLIC;
COMMENT ON FUNCTION _message_counts_by_segment() IS 'the counts of the view message_response_by_segment';

CREATE OR REPLACE VIEW message_response_by_segment WITH (security_invoker = true) AS
WITH variant AS (
    SELECT c.level, c.slice, c.message, c.variant, c.sent, c.responded,
        c.responded::double precision / nullif(c.sent, 0) AS rate,
        first_value(c.variant) OVER (PARTITION BY c.message
            ORDER BY c.variant = 'generic' DESC, c.variant = 'control' DESC, c.variant = '(none)', c.variant COLLATE "C") AS baseline
    FROM _message_counts_by_segment() c
)
SELECT
    v.level,
    CASE v.level WHEN 'segment' THEN v.slice END AS segment,
    CASE v.level WHEN 'persona' THEN v.slice END AS persona,
    v.message,
    v.variant,
    v.baseline,
    v.sent,
    v.responded,
    v.rate AS response_rate,
    rate_low(v.responded, v.sent) AS low_rate,
    rate_high(v.responded, v.sent) AS high_rate,
    v.rate / nullif(b.responded::double precision / nullif(b.sent, 0), 0) AS ratio_to_baseline,
    CASE WHEN v.variant <> v.baseline THEN v.rate - b.responded::double precision / nullif(b.sent, 0) END AS difference_rate,
    CASE WHEN v.variant <> v.baseline THEN difference_low(v.responded, v.sent, b.responded, b.sent) END AS difference_low_rate,
    CASE WHEN v.variant <> v.baseline THEN difference_high(v.responded, v.sent, b.responded, b.sent) END AS difference_high_rate
FROM variant v
    LEFT JOIN variant b ON b.level = v.level AND b.slice = v.slice AND b.message = v.message AND b.variant = v.baseline;
COMMENT ON VIEW message_response_by_segment IS 'one row a message and variant that were sent, for each segment that the leads were in then and for each persona: how many clicked or replied, against the baseline variant in the same segment or persona. Ask for one level';
COMMENT ON COLUMN message_response_by_segment.level IS 'segment: leads that were in the segment when the message was sent; persona: leads of this persona';
COMMENT ON COLUMN message_response_by_segment.segment IS 'level segment: the segment';
COMMENT ON COLUMN message_response_by_segment.persona IS 'level persona: the persona of the lead; (none): not known';
COMMENT ON COLUMN message_response_by_segment.message IS 'name of the message; (none): without';
COMMENT ON COLUMN message_response_by_segment.variant IS 'name of the variant; (none): sent without';
COMMENT ON COLUMN message_response_by_segment.baseline IS 'the variant to compare with: generic, control, or else the first by name; (none) only if there is no other';
COMMENT ON COLUMN message_response_by_segment.sent IS 'leads that it was sent to';
COMMENT ON COLUMN message_response_by_segment.responded IS 'of sent, leads that followed a link or answered';
COMMENT ON COLUMN message_response_by_segment.response_rate IS 'responded / sent';
COMMENT ON COLUMN message_response_by_segment.low_rate IS 'lower end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN message_response_by_segment.high_rate IS 'upper end of the 95 % interval of the rate (Wilson)';
COMMENT ON COLUMN message_response_by_segment.ratio_to_baseline IS 'response_rate / response_rate of the baseline in the same segment or persona; NULL: it was not sent there, or nobody responded';
COMMENT ON COLUMN message_response_by_segment.difference_rate IS 'response_rate - response_rate of the baseline in the same segment or persona';
COMMENT ON COLUMN message_response_by_segment.difference_low_rate IS 'lower end of the 95 % interval of difference_rate (Newcombe); for one look';
COMMENT ON COLUMN message_response_by_segment.difference_high_rate IS 'upper end of the 95 % interval of difference_rate (Newcombe); for one look';

CREATE OR REPLACE FUNCTION _topic_counts()
    RETURNS TABLE (topic text, events bigint, leads bigint, leads_lately bigint, mqls bigint, customers bigint)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF NOT @pipeline@._shows_all_leads() THEN
        RETURN;
    END IF;
    RETURN QUERY
        WITH interest AS (
            SELECT e.lead_id, coalesce(e.properties ->> 'topic', c.topic, e.properties ->> 'content', nullif(leadscore_internal.page_name(e.properties ->> 'page'), '(none)'), e.kind) AS topic,
                count(*) AS events, min(e.occurred_at) AS first_at, max(e.occurred_at) AS last_at
            FROM @pipeline@.event e
                LEFT JOIN @pipeline@.content c ON c.content = e.properties ->> 'content'
            WHERE e.kind = ANY (leadscore_internal.kinds_of($table$@pipeline@.event_kind$table$, 'visit', 'download', 'webinar')) AND leadscore_internal.is_dated(e.occurred_at) AND e.occurred_at <= now()
            GROUP BY 1, 2
        )
        SELECT i.topic, sum(i.events)::bigint, count(*),
            count(*) FILTER (WHERE i.last_at > now() - interval '720 hours' AND i.last_at <= now()),
            count(*) FILTER (WHERE r.mql_at >= i.first_at),
            count(*) FILTER (WHERE r.customer_at >= i.first_at)
        FROM interest i
            LEFT JOIN @pipeline@._milestone r USING (lead_id)
        GROUP BY i.topic;
END
$$;
REVOKE EXECUTE ON FUNCTION _topic_counts() FROM PUBLIC;
COMMENT ON FUNCTION _topic_counts() IS
    'the counts of the view interest_by_topic';

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
FROM _topic_counts() c;
COMMENT ON VIEW interest_by_topic IS 'one row a topic: how many leads looked at it or took it, and how many became mql and customers';
COMMENT ON COLUMN interest_by_topic.topic IS 'property topic of the events, or else topic of the content that they name, or its name, page or kind';
COMMENT ON COLUMN interest_by_topic.events IS 'events of role visit, download or webinar';
COMMENT ON COLUMN interest_by_topic.leads IS 'leads and visitors with such an event';
COMMENT ON COLUMN interest_by_topic.leads_lately IS 'leads and visitors with such an event in the last 30 days';
COMMENT ON COLUMN interest_by_topic.mqls IS 'of leads, those that became mql or higher afterwards';
COMMENT ON COLUMN interest_by_topic.customers IS 'of leads, those that became customers afterwards';
COMMENT ON COLUMN interest_by_topic.mql_rate IS 'mqls / leads';
COMMENT ON COLUMN interest_by_topic.customer_rate IS 'customers / leads';
