--
-- Content and forms: pages, forms, offers, messages, lift, quality, topics, gaps
--
\getenv srcdir PG_ABS_SRCDIR
\set data :srcdir '/test/oracle/metrics.sql'
SET timezone = 'Asia/Kathmandu';
SELECT leadscore.create_pipeline('crm') \g /dev/null
SET search_path = crm, crm_reports, leadscore, leadscore_internal;

-- An empty pipeline
SELECT count(*), sum(leads_with + leads_without), count(with_rate), count(without_rate), count(lift) FROM stage_lift_by_event;
SELECT channel, contacts, leads, lead_rate, sql_rate, sql_low_rate, revenue_amount, value_per_lead_amount FROM lead_quality ORDER BY 1;
SELECT source_kind, source, captures, usual_gap_days, gone_quiet FROM capture_gaps ORDER BY 1, 2;
SELECT (SELECT count(*) FROM landing_pages), (SELECT count(*) FROM form_conversion WHERE level = 'form'), (SELECT count(*) FROM form_conversion), (SELECT count(*) FROM lead_offers), (SELECT count(*) FROM email_engagement),
    (SELECT count(*) FROM message_response), (SELECT count(*) FROM interest_by_topic);

-- Pages: 1 to 4 land on /a, 5 on /b. 1 sees a form, sends it and is a lead; 2
-- sees it; 3 had sent one before; 4 goes on to /b; 5 becomes a customer
INSERT INTO lead (lead_id, email, created_at) SELECT n, 'a@b', '2025-03-01 09:00Z' FROM generate_series(1, 5) n;
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES
    (1, 'page_view', '2025-03-01 10:00Z', '{"page": "/a?mail=x@y"}'), (1, 'form_view', '2025-03-01 10:01Z', '{"form": "f"}'), (1, 'form_submit', '2025-03-01 10:02Z', '{"form": "f", "fields": ["name", "email"]}'),
    (2, 'page_view', '2025-03-01 10:00Z', '{"page": "/A/"}'), (2, 'page_view', '2025-03-01 10:05Z', '{"page": "/a#top"}'), (2, 'form_view', '2025-03-01 10:01Z', '{"form": "f"}'),
    (3, 'form_submit', '2025-03-01 09:30Z', '{"form": "f", "fields": "2"}'), (3, 'pricing_view', '2025-03-01 10:00Z', '{"page": "/a"}'),
    (4, 'page_view', '2025-03-01 10:00Z', '{"page": "/a/index.html"}'), (4, 'page_view', '2025-03-01 10:01Z', '{"page": "/b"}'),
    (5, 'page_view', '2025-03-01 10:00Z', '{"page": "/b"}'), (5, 'page_view', '2025-03-01 09:59Z', '{"page": ""}'), (5, 'page_view', '2025-03-01 09:58Z', '{"page": "/b"}');
UPDATE lead SET consented_at = '2025-03-01 10:02Z', updated_at = '2025-03-01 10:02Z' WHERE lead_id = 1;
INSERT INTO event (lead_id, kind, occurred_at, value) VALUES (5, 'purchase', '2025-03-02 10:00Z', 70);
SELECT page, views, visitors, landed, form_viewed, form_submitted, leads, customers, lead_rate, customer_rate, ratio_to_all FROM landing_pages ORDER BY page;
SELECT form, variant, fields, viewed, submitted, submitted_unseen, submit_rate FROM form_conversion WHERE level = 'form';
-- 5 bought without consent: a customer and 70 of revenue, in no rate of leads
SELECT contacts, leads, mqls, sqls, customers, lead_rate, mql_rate, customer_rate, revenue_amount, value_per_lead_amount FROM lead_quality WHERE contacts > 0;
SELECT leads, customers, cost_per_customer_amount FROM cost_per_lead WHERE customers > 0;
SELECT segment, leads, customers, lead_to_customer_rate, revenue_amount, revenue_per_lead_amount FROM sourcing_comparison WHERE customers > 0 ORDER BY place;
SELECT lead_id, lead_at IS NOT NULL AS lead, sql_at IS NOT NULL AS sql, customer_at IS NOT NULL AS customer FROM lead_dim WHERE lead_id IN (1, 5) ORDER BY 1;
SELECT metric, numerator, denominator FROM conversion_rates WHERE market = 'all' AND metric IN ('visitor_to_lead', 'lead_to_customer') ORDER BY place;
-- One name for a page: each address beside the name that it must have
SELECT address, page_name(address) AS name, page_name(address) = right_name AS right FROM (VALUES
    ('/guide', '/guide'), ('/guide/', '/guide'), ('/guide/?utm=x', '/guide'), ('/Guide', '/guide'), ('/guide#top', '/guide'), ('/guide#a?b', '/guide'), (' /guide/// ', '/guide'),
    ('/guide/index.html', '/guide'), ('/guide/INDEX.PHP?x', '/guide'), ('/guide/index.htm', '/guide'), ('index.html', '/'), ('/index.html', '/'), ('/my-index.html', '/my-index.html'), ('/index.html/', '/index.html'),
    ('/', '/'), ('//', '/'), ('/?a=/b', '/'), ('guide', 'guide'), ('a/b/', 'a/b'), ('/a//b', '/a//b'), ('/%C3%89t%e9', '/%c3%89t%e9'), ('/I', '/i'),
    -- with a host: it stays, as one pipeline may have several
    ('https://Shop.example/Guide/?utm=x', 'shop.example/guide'), ('http://www.shop.example/guide', 'shop.example/guide'), ('//shop.example/guide/', 'shop.example/guide'), ('HTTPS://blog.example/guide', 'blog.example/guide'),
    ('https://shop.example', 'shop.example'), ('https://shop.example/', 'shop.example'), ('https://shop.example?x', 'shop.example'), ('https://shop.example:443/a', 'shop.example/a'), ('http://shop.example:80', 'shop.example'),
    ('http://shop.example:8080/a', 'shop.example:8080/a'), ('https://ann:secret@shop.example/a@b', 'shop.example/a@b'), ('https://www.', 'www.'), ('file:///c', '/c'), ('app://home/x', 'home/x'), ('https://', '/'),
    ('/go?to=https://other.example/', '/go'), ('a:b//c', 'a:b//c'), ('/x:80', '/x:80'), ('1://x', '1://x'),
    ('', '(none)'), ('?', '(none)'), ('#x', '(none)'), ('  ', '(none)'), (NULL, '(none)')) v (address, right_name);
SELECT page_name(repeat('/A', 100000)) = repeat('/a', 100000) AS long, page_name('/GRÖSSE') = '/grÖsse' AS ascii_only;
SELECT j, field_count(j) FROM jsonb_array_elements('[3, 1e9, -1, 2.6, "4", "many", "9999", [], [1, 2], {"a": 1, "b": null}, true, null]') j;

-- Forms: 3 fields 8 of 10, 5 fields 2 of 10: half lost with each field. Variants
-- by the form that was seen last; a lead that comes back counts once
TRUNCATE event;
DELETE FROM lead;
INSERT INTO lead (lead_id, created_at) SELECT n, '2025-03-01 09:00Z' FROM generate_series(1, 30) n;
INSERT INTO event (lead_id, kind, occurred_at, properties)
    SELECT n, 'form_view', timestamptz '2025-03-01 10:00Z', jsonb_build_object('form', CASE WHEN n <= 10 THEN 'short' ELSE 'long' END) FROM generate_series(1, 20) n
    UNION ALL SELECT n, 'form_submit', timestamptz '2025-03-01 10:05Z' + k * interval '1 minute', jsonb_build_object('form', CASE WHEN n <= 10 THEN 'short' ELSE 'long' END, 'fields', CASE WHEN n <= 10 THEN 3 ELSE 5 END)
        FROM unnest('{1,2,3,4,5,6,7,8,11,12}'::bigint[]) n, generate_series(1, 2) k
    UNION ALL SELECT n, 'form_view', timestamptz '2025-03-01 10:00Z', jsonb_build_object('form', 'ab', 'variant', v) FROM (VALUES (21, 'a'), (22, 'a'), (22, 'b'), (23, 'b'), (24, 'b')) s (n, v)
    UNION ALL SELECT n, 'form_submit', timestamptz '2025-03-01 10:05Z', p::jsonb FROM (VALUES (21, '{"form": "ab"}'), (23, '{"form": "ab", "variant": "b"}'), (24, '{"form": "ab", "variant": "a"}'), (25, '{"form": "ab"}'), (26, '{}')) s (n, p);
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES (22, 'form_view', '2025-03-01 10:01Z', '{"form": "ab", "variant": "a"}'), (22, 'form_submit', '2025-03-01 10:02Z', '{"form": "ab"}');
SELECT form, variant, fields, viewed, submitted, submitted_unseen, submit_rate FROM form_conversion WHERE level = 'form' ORDER BY 1, 2;
SELECT fields, forms, viewed, submitted, submit_rate, round(low_rate::numeric, 4) AS low, round(high_rate::numeric, 4) AS high, drop_per_field_rate FROM form_conversion WHERE level = 'fields' ORDER BY 1;

-- Offers
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES (1, 'content_download', '2025-03-02', '{"content": "guide"}'), (1, 'case_study_download', '2025-03-03', NULL), (1, 'content_download', '2025-03-04', '{"content": "guide"}'), (1, 'webinar_attended', '2025-03-03', '{"content": "live"}');
SELECT lead_id, channel, offers, first_offer, last_offer, all_offers, first_offer_at AT TIME ZONE 'UTC' < last_offer_at AT TIME ZONE 'UTC' AS ordered FROM lead_offers;

-- Messages. Golden: 120 of 1000 against 150 of 1000 is p = 0.0496403868654
TRUNCATE event;
INSERT INTO lead (lead_id) SELECT n FROM generate_series(1001, 3000) n;
INSERT INTO event (lead_id, kind, occurred_at, properties)
    SELECT n, 'email_sent', timestamptz '2025-03-01', jsonb_build_object('message', 'hello', 'variant', CASE WHEN n <= 2000 THEN 'generic' ELSE 'by name' END) FROM generate_series(1001, 3000) n
    UNION ALL SELECT n, CASE n % 2 WHEN 0 THEN 'email_click' ELSE 'email_reply' END, timestamptz '2025-03-02', jsonb_build_object('message', 'hello', 'variant', CASE WHEN n <= 2000 THEN 'generic' ELSE 'by name' END) FROM generate_series(1001, 3000) n WHERE n <= 1120 OR n > 2000 AND n <= 2150
    UNION ALL SELECT n, 'email_open', timestamptz '2025-03-02', jsonb_build_object('message', 'hello', 'variant', 'generic') FROM generate_series(1001, 1300) n
    -- not sent, or before it was
    UNION ALL SELECT n, 'email_open', timestamptz '2025-02-28', jsonb_build_object('message', 'hello', 'variant', 'generic') FROM generate_series(1301, 1400) n
    UNION ALL SELECT 1, 'email_click', timestamptz '2025-03-02', '{"message": "hello", "variant": "generic"}'
    UNION ALL SELECT 1, 'email_sent', timestamptz '2025-03-02', NULL;
SELECT message, sent, opened, clicked, replied, open_rate, click_rate, reply_rate FROM email_engagement ORDER BY 1;
SELECT message, variant, baseline, sent, responded, response_rate, round(ratio_to_baseline::numeric, 4) AS ratio, round(difference_rate::numeric, 4) AS difference,
    round(difference_low_rate::numeric, 5) AS low, round(difference_high_rate::numeric, 5) AS high, round(z_score::numeric, 9) AS z FROM message_response ORDER BY 1, 2;
-- p of that z is twice the tail of the normal curve, here as a sum of its slices
SELECT round((2 * sum(exp(-x * x / 2) * 0.0001 / sqrt(2 * pi())))::numeric, 7) AS p
    FROM message_response r, generate_series(0, 79999) i, LATERAL (SELECT abs(r.z_score) + (i + 0.5) * 0.0001) s (x) WHERE r.variant = 'by name';
-- Answers that do not say what they answer. Of m, 10 leads were sent a, 10 b. 1 to
-- 5 and 11 to 13 clicked and named no variant: 5 of a, 3 of b. 14 named a variant
-- c that nobody was sent: it was sent b. 15 named b, 16 named neither: the last
-- message that it was sent, of b. 17 was sent n after that, so its answer is to n,
-- which was sent without a variant. 18 clicked m before it was sent m: unmatched;
-- 31 was sent nothing: unmatched. 19 was sent a after b: what it did in between is
-- of b, afterwards of a, and of m it counts once. 32 answers a letter without a name
TRUNCATE event;
INSERT INTO event (lead_id, kind, occurred_at, properties)
    SELECT n, 'email_sent', timestamptz '2025-03-01', jsonb_build_object('message', 'm', 'variant', CASE WHEN n <= 10 THEN 'a' ELSE 'b' END) FROM generate_series(1, 20) n
    UNION ALL SELECT n, 'email_click', timestamptz '2025-03-03', '{"message": "m"}' FROM unnest('{1,2,3,4,5,11,12,13}'::bigint[]) n;
INSERT INTO lead (lead_id) VALUES (31), (32);
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES
    (14, 'email_click', '2025-03-03', '{"message": "m", "variant": "c"}'), (15, 'email_reply', '2025-03-01', '{"message": "m", "variant": "b"}'), (16, 'email_reply', '2025-03-03', NULL),
    (17, 'email_sent', '2025-03-02', '{"message": "n"}'), (17, 'email_open', '2025-03-03', '{}'), (17, 'email_reply', '2025-03-03', '{"variant": "z"}'),
    (18, 'email_click', '2025-02-28', '{"message": "m"}'), (31, 'email_open', '2025-03-03', NULL), (31, 'email_click', '2025-03-03', '{"message": "m", "variant": "a"}'), (31, 'email_click', '2025-03-03', '{"message": "p"}'),
    (19, 'email_open', '2025-03-02', '{"message": "m"}'), (19, 'email_sent', '2025-03-03', '{"message": "m", "variant": "a"}'), (19, 'email_click', '2025-03-04', '{"message": "m"}'), (19, 'email_reply', '2025-03-05', '{"message": "m", "variant": "b"}'),
    (32, 'email_sent', '2025-03-01', NULL), (32, 'email_reply', '2025-03-02', NULL);
-- m: clicked 1 to 5, 11 to 14, 19; replied 15, 16, 19
SELECT message, sent, opened, clicked, replied, unmatched FROM email_engagement ORDER BY 1;
-- a: 1 to 5 and 19 of eleven; b: 11 to 16 and 19 of ten
SELECT message, variant, baseline, sent, responded, round(difference_rate::numeric, 4) AS difference FROM message_response ORDER BY 1, 2;
-- letters without a variant are the baseline only where there are no others
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES (32, 'email_sent', '2025-03-01', '{"message": "m"}');
SELECT message, variant, baseline, sent FROM message_response WHERE message = 'm' ORDER BY 2;
-- letters that are dated ahead were sent to nobody yet
INSERT INTO event (lead_id, kind, occurred_at, properties) SELECT n, 'email_sent', now() + interval '2 days', '{"message": "n", "variant": "a"}' FROM generate_series(1, 20) n;
SELECT message, sent, opened, replied FROM email_engagement WHERE message = 'n';
SELECT message, variant, sent FROM message_response WHERE message = 'n';
-- a form seen in a, sent, seen in b: sent in a. A request that names a form was sent by it
TRUNCATE event;
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES (1, 'form_view', '2025-03-01', '{"form": "f", "variant": "a"}'), (1, 'form_submit', '2025-03-02', '{"form": "f"}'), (1, 'form_view', '2025-03-03', '{"form": "f", "variant": "b"}'),
    (2, 'form_view', '2025-03-01', '{"form": "f", "variant": "b"}'), (2, 'quote_request', '2025-03-02', '{"form": "f"}'), (3, 'quote_request', '2025-03-02', NULL);
SELECT form, variant, viewed, submitted, submitted_unseen FROM form_conversion WHERE level = 'form' ORDER BY 1, 2;
DROP SCHEMA crm, crm_reports CASCADE;

-- Lift: ten mql, four with a trial of which three became sql, six without of
-- which one did. A trial after the step, or before the stage, does not count;
-- one at the moment of the step does. A sales contact is a step itself
SELECT leadscore.create_pipeline('crm') \g /dev/null
INSERT INTO lead (lead_id, email, consented_at, created_at) SELECT n, 'a@b', '2025-03-01 09:00Z', '2025-03-01 09:00Z' FROM generate_series(1, 10) n;
INSERT INTO event (lead_id, kind, occurred_at, properties) SELECT n, 'stage_set', timestamptz '2025-03-02 10:00Z', '{"stage": "mql"}' FROM generate_series(1, 10) n;
INSERT INTO event (lead_id, kind, occurred_at, properties) SELECT n, 'stage_set', timestamptz '2025-03-05 10:00Z', '{"stage": "sql"}' FROM generate_series(1, 4) n;
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'trial_started', '2025-03-03 10:00Z'), (1, 'trial_started', '2025-03-04 10:00Z'), (2, 'trial_started', '2025-03-05 10:00Z'), (3, 'trial_started', '2025-03-02 10:00Z'),
    (4, 'trial_started', '2025-03-06 10:00Z'), (5, 'trial_started', '2025-03-04 10:00Z'), (6, 'trial_started', '2025-03-01 10:00Z'), (7, 'lost', '2025-03-03 10:00Z'), (7, 'trial_started', '2025-03-04 10:00Z'), (1, 'sales_contact', '2025-03-06 10:00Z');
SELECT stage, kind, leads_with, converted_with, with_rate, leads_without, converted_without, round(without_rate::numeric, 4) AS without_rate, round(lift::numeric, 4) AS lift
    FROM stage_lift_by_event WHERE kind = 'trial_started' ORDER BY stage_rank;
SELECT count(DISTINCT kind) AS kinds, count(*) FILTER (WHERE kind IN ('purchase', 'sales_contact', 'lost', 'stage_set', 'points_added')) AS milestones FROM stage_lift_by_event;

-- A source that has gone quiet: every day up to ten days ago; one every ten days; two in all; a form
DELETE FROM lead;
INSERT INTO lead (lead_id, channel) VALUES (11, 'seo'), (12, 'social'), (13, 'press');
INSERT INTO event (lead_id, kind, occurred_at, properties)
    SELECT 11, 'form_submit', now() - interval '24 hours' * d, '{"form": "guide"}'::jsonb FROM generate_series(10, 30) d
    UNION ALL SELECT 12, 'quote_request', now() - interval '24 hours' * d, NULL FROM generate_series(10, 60, 10) d
    UNION ALL SELECT 12, 'quote_request', now() + interval '24 hours', NULL
    UNION ALL SELECT 13, 'newsletter_signup', now() - interval '24 hours' * d, NULL FROM generate_series(300, 301) d;
SELECT source_kind, source, captures, round(usual_gap_days::numeric, 4) AS usual, round(longest_gap_days::numeric, 4) AS longest, round(quiet_days::numeric, 2) AS quiet, round(quiet_ratio::numeric, 2) AS ratio, gone_quiet
    FROM capture_gaps WHERE captures > 0 ORDER BY 1, 2;
-- the channel of a lead is that of its campaign, if it names none
INSERT INTO campaign (campaign, channel) VALUES ('stand', 'physical_event'), ('letter', 'direct_mail');
INSERT INTO lead (lead_id, campaign) VALUES (14, 'stand');
INSERT INTO event (lead_id, kind, occurred_at, campaign) VALUES (14, 'form_submit', '2025-03-01Z', NULL), (14, 'form_submit', '2025-03-02Z', NULL), (14, 'form_submit', '2025-03-03Z', 'letter');
SELECT source, captures FROM capture_gaps WHERE source IN ('physical_event', 'direct_mail', '(none)') AND captures > 0 ORDER BY 1;

-- What is dated ahead counts from its time on: of each there is one of yesterday
INSERT INTO lead (lead_id) VALUES (15);
INSERT INTO event (lead_id, kind, occurred_at, properties)
    SELECT 15, k, now() + d, '{"page": "/p", "form": "f", "content": "c"}'::jsonb FROM unnest('{page_view,form_view,form_submit,webinar_attended}'::text[]) k, unnest('{-1 day,40 days}'::interval[]) d;
INSERT INTO lead (lead_id) VALUES (16);
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES (16, 'page_view', now() + interval '40 days', '{"page": "/q", "form": "g"}'), (16, 'form_view', now() + interval '40 days', '{"form": "g"}'), (16, 'webinar_attended', now() + interval '40 days', '{"content": "d"}');
SELECT page, views, landed FROM landing_pages ORDER BY 1;
SELECT page, variant, landed FROM landing_page_variants ORDER BY 1;
SELECT form, viewed, submitted FROM form_conversion WHERE level = 'form' AND form IN ('f', 'g') ORDER BY 1;
SELECT lead_id, offers, first_offer FROM lead_offers ORDER BY 1;
SELECT topic, events, leads FROM interest_by_topic ORDER BY 1;
DROP SCHEMA crm, crm_reports CASCADE;

-- Drawn leads, another way
\set ECHO none
\i :data
\set ECHO all
SELECT sum(views) = (SELECT count(*) FROM event WHERE kind = 'page_view') AS views, sum(landed) = (SELECT count(DISTINCT lead_id) FROM event WHERE kind = 'page_view') AS landed FROM landing_pages;
SELECT p.page, p.landed, p.landed = count(*) AS landed_right, p.leads = count(*) FILTER (WHERE b.lead) AS leads_right, p.form_submitted = count(*) FILTER (WHERE b.sent) AS sent_right
FROM landing_pages p
    JOIN (SELECT DISTINCT ON (e.lead_id) e.lead_id, regexp_replace(e.properties ->> 'page', '[?#].*', '') AS page,
            EXISTS (SELECT FROM stage_history h WHERE h.lead_id = e.lead_id AND h.to_stage >= 'iql' AND h.is_lead) AND (SELECT min(h.effective_at) FROM stage_history h WHERE h.lead_id = e.lead_id AND h.to_stage >= 'iql' AND h.is_lead) >= e.occurred_at AS lead,
            EXISTS (SELECT FROM event f WHERE f.lead_id = e.lead_id AND f.kind = 'form_submit' AND f.occurred_at >= e.occurred_at) AS sent
        FROM event e WHERE e.kind = 'page_view' ORDER BY e.lead_id, e.occurred_at) b USING (page)
GROUP BY p.page, p.landed, p.leads, p.form_submitted ORDER BY 1;
SELECT f.form, f.variant, f.viewed = count(*) AS viewed_right, f.submitted = count(*) FILTER (WHERE EXISTS (SELECT FROM event s WHERE s.lead_id = v.lead_id AND s.kind = 'form_submit' AND s.properties ->> 'form' = v.form
    AND (SELECT w.properties ->> 'variant' FROM event w WHERE w.lead_id = v.lead_id AND w.kind = 'form_view' AND w.properties ->> 'form' = v.form AND w.occurred_at <= s.occurred_at ORDER BY w.occurred_at DESC LIMIT 1) = v.variant)) AS submitted_right
FROM (SELECT * FROM form_conversion WHERE level = 'form') f
    JOIN (SELECT e.lead_id, e.properties ->> 'form' AS form, e.properties ->> 'variant' AS variant FROM event e WHERE e.kind = 'form_view' GROUP BY 1, 2, 3) v USING (form, variant)
GROUP BY f.form, f.variant, f.viewed, f.submitted ORDER BY 1, 2;
SELECT r.message, r.variant, r.sent = count(*) AS sent_right, r.responded = count(*) FILTER (WHERE EXISTS (SELECT FROM event c WHERE c.lead_id = s.lead_id AND c.kind IN ('email_click', 'email_reply') AND c.properties @> s.key AND c.occurred_at >= s.at)) AS responded_right
FROM message_response r
    JOIN (SELECT e.lead_id, e.properties AS key, e.properties ->> 'message' AS message, e.properties ->> 'variant' AS variant, min(e.occurred_at) AS at FROM event e WHERE e.kind = 'email_sent' GROUP BY 1, 2) s USING (message, variant)
GROUP BY r.message, r.variant, r.sent, r.responded ORDER BY 1, 2;
-- lift: stay by stay; a lead that fell back may go up again
CREATE TEMP VIEW stay AS
    SELECT h.lead_id, h.cycle, h.to_stage, min(h.effective_at) AS at,
        (SELECT min(n.effective_at) FROM stage_history n WHERE n.lead_id = h.lead_id AND n.cycle = h.cycle AND n.to_stage > h.to_stage AND n.effective_at >= min(h.effective_at)) AS up,
        (SELECT min(n.effective_at) FROM stage_history n WHERE n.lead_id = h.lead_id AND n.cycle = h.cycle AND n.to_stage < 'visitor') AS gone
    FROM stage_history h WHERE h.to_stage IN ('iql', 'mql', 'sql', 'prospect') GROUP BY 1, 2, 3;
SELECT count(*) AS lines, count(*) FILTER (WHERE v.leads_with = s.leads_with AND v.converted_with = s.converted_with AND v.leads_without = s.leads_without AND v.converted_without = s.converted_without) AS right
FROM stage_lift_by_event v
    JOIN (SELECT t.to_stage::text AS stage, k.kind, count(*) FILTER (WHERE w.has) AS leads_with, count(*) FILTER (WHERE w.has AND t.up >= t.at) AS converted_with,
            count(*) FILTER (WHERE NOT w.has) AS leads_without, count(*) FILTER (WHERE NOT w.has AND t.up >= t.at) AS converted_without
        FROM stay t, event_kind k, LATERAL (SELECT EXISTS (SELECT FROM event e WHERE e.lead_id = t.lead_id AND e.kind = k.kind AND e.occurred_at >= t.at
            AND e.occurred_at <= CASE WHEN t.up >= t.at THEN t.up ELSE coalesce(t.gone, now()) END)) w (has)
        GROUP BY 1, 2) s USING (stage, kind);
DROP VIEW stay;
-- quality of sources adds up to all leads
SELECT sum(contacts) = (SELECT count(*) FROM lead) AS contacts, sum(sqls) = (SELECT count(DISTINCT h.lead_id) FROM stage_history h WHERE to_stage >= 'sql' AND EXISTS (SELECT FROM stage_history l WHERE l.lead_id = h.lead_id AND l.to_stage >= 'iql' AND l.is_lead)) AS sqls,
    sum(revenue_amount) = (SELECT sum(value) FROM event e WHERE kind = 'purchase') AS revenue FROM lead_quality;
SELECT q.channel, q.campaign, q.leads, q.leads = count(h.lead_id) AS right FROM lead_quality q
    LEFT JOIN (SELECT DISTINCT h.lead_id, coalesce(l.channel, p.channel, '(none)') AS channel, coalesce(l.campaign, '(none)') AS campaign FROM stage_history h JOIN lead l USING (lead_id) LEFT JOIN campaign p USING (campaign) WHERE h.to_stage >= 'iql' AND h.is_lead) h
    USING (channel, campaign) WHERE q.contacts > 0 GROUP BY 1, 2, 3 HAVING q.leads <> count(h.lead_id);
SELECT sum(events) = (SELECT count(*) FROM event WHERE kind IN ('page_view', 'content_download')) AS events FROM interest_by_topic;
SELECT i.topic, i.leads, i.leads = count(*) AS right FROM interest_by_topic i JOIN (SELECT DISTINCT lead_id, coalesce(properties ->> 'content', regexp_replace(properties ->> 'page', '[?#].*', '')) AS topic FROM event WHERE kind IN ('page_view', 'content_download')) e USING (topic) GROUP BY 1, 2 ORDER BY 1;
SELECT count(*) AS takers, count(*) FILTER (WHERE o.offers = (SELECT count(DISTINCT properties ->> 'content') FROM event e WHERE e.lead_id = o.lead_id AND kind = 'content_download')
    AND o.last_offer = (SELECT properties ->> 'content' FROM event e WHERE e.lead_id = o.lead_id AND kind = 'content_download' ORDER BY occurred_at DESC LIMIT 1)) AS right FROM lead_offers o;
SELECT source_kind, sum(captures) = (SELECT count(*) FROM event WHERE kind = 'form_submit' OR source_kind = 'channel' AND kind = 'demo_request') AS all_there FROM capture_gaps GROUP BY 1 ORDER BY 1;
DROP SCHEMA crm, crm_reports CASCADE;
DROP FUNCTION public.draw;
