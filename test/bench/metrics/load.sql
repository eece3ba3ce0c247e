-- A pipeline of :leads leads (psql variable) and ten times as many events in
-- two years, counted when they are all there.
\set QUIET on
SET client_min_messages = 'warning';
CREATE EXTENSION leadscore;
SELECT leadscore.create_pipeline('crm', attach => false) \g /dev/null
SET search_path = crm, crm_reports, leadscore;

INSERT INTO campaign (campaign, channel, sourcing)
    SELECT 'campaign ' || n, (ARRAY['seo', 'social', 'email', 'radio'])[1 + n % 4], CASE WHEN n % 3 > 0 THEN 'internal' ELSE 'outsourced' END FROM generate_series(1, 20) n;
INSERT INTO cost (day_from, day_to, channel, campaign, category, amount)
    SELECT d, d + 29, NULL, 'campaign ' || n, 'media', 100 + n FROM generate_series(1, 20) n, generate_series(0, 23) m, LATERAL (SELECT current_date - 740 + 30 * m) s (d);
-- some days a second time
INSERT INTO cost (day_from, day_to, campaign, category, amount)
    SELECT d, d, 'campaign ' || n, 'media', 5 FROM generate_series(1, 20) n, LATERAL (SELECT current_date - 20 - 30 * n) s (d);

INSERT INTO lead (lead_id, external_id, email, market, channel, campaign, owner, consented_at, contact_allowed, created_at, updated_at)
    SELECT n, 'lead-' || n, 'a@b', (ARRAY['b2b', 'b2c', NULL])[1 + n % 3], NULL, 'campaign ' || 1 + n % 20, 'owner ' || n % 7, CASE WHEN n % 5 > 0 THEN c.at END, CASE WHEN n % 3 = 0 THEN n % 2 = 0 END, c.at, c.at
    FROM generate_series(1, :leads) n, LATERAL (SELECT now() - interval '1 minute' * (200000 + 3 * (7919::bigint * n % 280000))) c (at);

-- hash of a number, spread over 0 to 999
CREATE FUNCTION pg_temp.spread(n bigint) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN abs(hashint8(n)::bigint % 1000);
INSERT INTO event (lead_id, kind, occurred_at, value, channel, source_id, properties)
    SELECT l.lead_id, k.kind, l.created_at + interval '1 minute' * (i * 1440 + pg_temp.spread(l.lead_id * 31 + i)),
        CASE k.kind WHEN 'purchase' THEN 10 + pg_temp.spread(l.lead_id) END,
        CASE WHEN i % 3 = 0 THEN (ARRAY['seo', 'social', 'email', 'radio'])[1 + pg_temp.spread(l.lead_id + i) % 4] END,
        CASE k.kind WHEN 'purchase' THEN 'order ' || i END,
        CASE WHEN k.d < 500 THEN jsonb_build_object('page', CASE i % 3 WHEN 0 THEN '/p' WHEN 1 THEN '/P' ELSE 'https://a.example/p' END || k.d % 50 || CASE WHEN i % 2 = 0 THEN '/?x=' || i ELSE '' END) || CASE WHEN k.d % 3 > 0 THEN jsonb_build_object('variant', 'v' || k.d % 3) ELSE '{}' END WHEN k.d < 560 THEN jsonb_build_object('form', 'f' || k.d % 5, 'variant', 'v' || k.d % 2)
            WHEN k.d < 600 THEN jsonb_build_object('form', 'f' || k.d % 5, 'fields', 2 + k.d % 5) WHEN k.d < 850 THEN jsonb_strip_nulls(jsonb_build_object('message', CASE WHEN k.d < 700 OR i % 5 > 0 THEN 'm' || i % 2 END, 'variant', CASE WHEN k.d < 700 OR i % 3 > 0 THEN 'v' || (l.lead_id + i / 4) % 2 END))
            WHEN k.d < 900 THEN jsonb_build_object('content', 'c' || k.d % 9) WHEN k.d < 940 THEN jsonb_build_object('outcome', 'no')
            WHEN k.d < 975 THEN jsonb_build_object('stage', CASE WHEN k.d < 958 THEN 'mql' ELSE 'sql' END) END
    FROM lead l, generate_series(1, 10) i,
        LATERAL (SELECT d, CASE WHEN d < 50 THEN 'quote_request' WHEN d < 500 THEN 'page_view' WHEN d < 560 THEN 'form_view' WHEN d < 600 THEN 'form_submit' WHEN d < 700 THEN 'email_sent' WHEN d < 800 THEN 'email_open'
            WHEN d < 830 THEN 'email_click' WHEN d < 850 THEN 'email_reply' WHEN d < 900 THEN 'content_download' WHEN d < 940 THEN 'outreach' WHEN d < 975 THEN 'stage_set'
            WHEN d < 985 THEN 'sales_contact' WHEN d < 993 THEN 'purchase' ELSE 'lost' END
            FROM (SELECT pg_temp.spread(l.lead_id * 17 + i * 7919)) s (d)) k (d, kind);
-- Of six purchases one is refunded, in some way: by an event that names it, or
-- by a negative purchase that does not, or without an amount.
INSERT INTO event (lead_id, kind, occurred_at, value, channel, properties)
    SELECT e.lead_id, CASE WHEN e.lead_id / 6 % 4 = 2 THEN 'purchase' ELSE 'refund' END, e.occurred_at + interval '1 day' * (e.lead_id / 24 % 7),
        CASE e.lead_id / 6 % 4 WHEN 0 THEN e.value WHEN 1 THEN round(e.value / 3, 2) WHEN 2 THEN - round(e.value / 2, 2) END, 'seo',
        CASE e.lead_id / 6 % 4 WHEN 0 THEN jsonb_build_object('purchase', e.source_id) WHEN 1 THEN jsonb_build_object('purchase', e.event_id) END
    FROM event e
    WHERE e.kind = 'purchase' AND e.lead_id % 6 = 0;
-- Of four leads one has meetings, in any order and some without a booking.
INSERT INTO event (lead_id, kind, occurred_at, properties)
    SELECT l.lead_id, k.kind, l.created_at + interval '1 minute' * (i * 2880 + pg_temp.spread(l.lead_id * 13 + i)),
        CASE k.kind WHEN 'meeting_booked' THEN jsonb_strip_nulls(jsonb_build_object('meeting_at', CASE WHEN k.d % 3 > 0 THEN to_char((l.created_at + interval '1 hour' * (48 * i + k.d)) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') END)) END
    FROM lead l, generate_series(1, 6) i,
        LATERAL (SELECT d, CASE WHEN d < 480 THEN 'meeting_booked' WHEN d < 750 THEN 'meeting_held' WHEN d < 850 THEN 'meeting_no_show' WHEN d < 930 THEN 'meeting_cancelled' END
            FROM (SELECT pg_temp.spread(l.lead_id * 29 + i * 6151)) s (d)) k (d, kind)
    WHERE l.lead_id % 4 = 1 AND k.kind IS NOT NULL;
-- Purchases, and what is left of them after refunds: for the queries by hand.
CREATE SCHEMA hand;
CREATE VIEW hand.sold AS
    WITH refund AS MATERIALIZED (
        SELECT r.lead_id, r.event_id, r.occurred_at, abs(r.value) AS value,
            CASE WHEN r.properties ? 'purchase'
                THEN (SELECT p.event_id FROM crm.event p WHERE p.lead_id = r.lead_id AND p.kind = 'purchase' AND p.value >= 0 AND r.properties ->> 'purchase' IN (p.source_id, p.event_id::text))
                ELSE (SELECT p.event_id FROM crm.event p WHERE p.lead_id = r.lead_id AND p.kind = 'purchase' AND p.value >= 0 AND p.occurred_at <= r.occurred_at ORDER BY p.occurred_at DESC LIMIT 1)
            END AS sold_id
        FROM crm.event r
        WHERE (r.kind = 'refund' OR r.kind = 'purchase' AND r.value < 0) AND isfinite(r.occurred_at)
    ), whole AS (
        SELECT DISTINCT ON (r.sold_id) r.sold_id, r.occurred_at, r.event_id FROM refund r WHERE r.value IS NULL ORDER BY r.sold_id, r.occurred_at, r.event_id
    ), returned AS (
        SELECT r.sold_id, sum(r.value) AS value, w.sold_id IS NOT NULL AS whole, coalesce(sum(r.value) FILTER (WHERE (r.occurred_at, r.event_id) < (w.occurred_at, w.event_id)), 0) AS earlier
        FROM refund r LEFT JOIN whole w USING (sold_id) GROUP BY r.sold_id, w.sold_id
    )
    SELECT p.lead_id, p.event_id, p.occurred_at, p.value AS price,
        p.value - coalesce(r.value, 0) - CASE WHEN r.whole THEN greatest(p.value - r.earlier, 0) ELSE 0 END AS value
    FROM crm.event p LEFT JOIN returned r ON r.sold_id = p.event_id
    WHERE p.kind = 'purchase' AND p.value >= 0 AND isfinite(p.occurred_at);
-- Contents, some for leads of a stage, some with a topic.
INSERT INTO content (content, kind, topic, stage) SELECT 'c' || i, 'ebook', CASE WHEN i % 2 = 0 THEN 't' || i % 4 END, CASE i % 3 WHEN 0 THEN 'iql'::lead_stage WHEN 1 THEN 'mql' END FROM generate_series(0, 11) i;
-- Runs of a sequence of two letters, as if workers had sent them.
INSERT INTO sequence (sequence, starts_on) VALUES ('letters', 'by_hand');
INSERT INTO sequence_step (sequence, step, position, channel, content) SELECT 'letters', 'letter ' || i, i, 'email', 'm' || i % 2 FROM generate_series(1, 2) i;
SELECT activate_sequence('letters'), pause_sequence('letters');
INSERT INTO enrollment (lead_id, sequence, run, started_by, started_at, ended_at, end_reason)
    SELECT l.lead_id, 'letters', 1, 'by_hand', l.created_at, l.created_at + interval '9 days', (ARRAY['completed', 'goal', 'exited', 'unsubscribed'])[1 + l.lead_id % 4]
    FROM lead l WHERE l.lead_id % 3 = 0;
INSERT INTO action (lead_id, dedup_key, channel, content, variant, sequence, run, step, due_at, status, reason, ended_at)
    SELECT l.lead_id, 'letters/1/' || i, 'email', 'm' || i % 2, CASE WHEN i = 1 THEN 'v' || l.lead_id / 3 % 2 END, 'letters', 1, 'letter ' || i, l.created_at + interval '1 day' * 3 * i,
        CASE WHEN (l.lead_id / 3 + i) % 5 = 0 THEN 'skipped' ELSE 'done' END, CASE WHEN (l.lead_id / 3 + i) % 5 = 0 THEN (ARRAY['late', 'no consent'])[i] END, l.created_at + interval '1 day' * 3 * i
    FROM lead l, generate_series(1, 2) i WHERE l.lead_id % 3 = 0;
-- Meetings, put together one event after the other: for the query by hand.
CREATE TABLE hand.meeting (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, lead_id bigint, booked_at timestamptz, meeting_at timestamptz, ended_at timestamptz, outcome text DEFAULT 'open');
CREATE INDEX ON hand.meeting (lead_id);
DO $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT lead_id, kind, occurred_at AS at, (properties ->> 'meeting_at')::timestamptz AS meeting_at FROM crm.event WHERE kind ~ '^meeting_' ORDER BY lead_id, occurred_at, kind <> 'meeting_booked', event_id LOOP
        IF r.kind = 'meeting_booked' THEN
            INSERT INTO hand.meeting (lead_id, booked_at, meeting_at) VALUES (r.lead_id, r.at, r.meeting_at);
        ELSE
            UPDATE hand.meeting SET ended_at = r.at, outcome = replace(r.kind, 'meeting_', '') WHERE n = (SELECT min(n) FROM hand.meeting WHERE lead_id = r.lead_id AND ended_at IS NULL);
            IF NOT FOUND THEN
                INSERT INTO hand.meeting (lead_id, ended_at, outcome) VALUES (r.lead_id, r.at, replace(r.kind, 'meeting_', ''));
            END IF;
        END IF;
    END LOOP;
END $$;
-- An experiment: who saw a page was shown a variant of it, and some saw both.
INSERT INTO experiment (experiment, goal_stage, goal_within) VALUES ('page', 'sql', '60 days');
INSERT INTO variant (experiment, variant, position) VALUES ('page', 'old', 1), ('page', 'new', 2);
SELECT start_experiment('page', '2000-01-01');
INSERT INTO exposure SELECT e.lead_id, 'page', CASE e.lead_id % 2 WHEN 0 THEN 'new' ELSE 'old' END, min(e.occurred_at) FROM event e WHERE e.kind = 'page_view' AND e.occurred_at >= '2000-01-01' GROUP BY e.lead_id;
INSERT INTO exposure SELECT o.lead_id, 'page', CASE o.variant WHEN 'old' THEN 'new' ELSE 'old' END, o.exposed_at + interval '1 hour' FROM exposure o WHERE o.lead_id % 17 = 0 AND isfinite(o.exposed_at);
SELECT attach_pipeline('crm') \g /dev/null
VACUUM ANALYZE;
