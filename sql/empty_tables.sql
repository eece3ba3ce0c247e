-- Statements that were planned while tables were empty, as VACUUM ANALYZE says,
-- must not read them whole for each lead once they are full.
CREATE EXTENSION IF NOT EXISTS leadscore;
SET client_min_messages = warning;
SELECT leadscore.create_pipeline('crm', reports => false) \g /dev/null
SET search_path = crm, leadscore, public;
SELECT activate_segment(segment) FROM segment ORDER BY segment_id \g /dev/null
INSERT INTO sequence (sequence, starts_on, start_name, goal_signals) VALUES ('request', 'event', 'demo_request', '{purchase}');
INSERT INTO sequence_step (sequence, step, position, channel) VALUES ('request', 'answer', 1, 'email');
SELECT activate_sequence(sequence) FROM sequence \g /dev/null
CREATE TABLE public.shop (id int PRIMARY KEY, email text, at timestamptz, amount numeric);
CREATE TABLE public.member (id int PRIMARY KEY, email text, accepted_at timestamptz, plan text);
SELECT leadscore.track_table('crm', 'shop', lead => 'email', kind => 'purchase', occurred_at => 'at', value => 'amount') \g /dev/null
SELECT leadscore.track_lead_table('crm', 'member', external_id => 'id', email => 'email', consent => 'accepted_at', profile => '{plan}') \g /dev/null
VACUUM ANALYZE;

-- Tables of which more rows were read than by sixty scans of 1500 rows, which an
-- index may give
CREATE VIEW read_whole AS
    SELECT s.schemaname || '.' || s.relname AS table_name FROM pg_stat_xact_user_tables s
    WHERE s.seq_tup_read + coalesce(s.idx_tup_fetch, 0) > 100000;

\echo leads with consent, and some of one address
SELECT setval('lead_lead_id_seq', 10000) \g /dev/null
SELECT pg_stat_force_next_flush() \g /dev/null
BEGIN;
INSERT INTO lead (lead_id, external_id, email, consented_at, created_at)
    SELECT n, 'lead' || n, 'user' || n / 2 || '@mail.example', now() - interval '90 days', now() - interval '90 days' FROM generate_series(1, 1500) n;
TABLE read_whole;
COMMIT;
\echo events, each of another lead, and refusals
SELECT pg_stat_force_next_flush() \g /dev/null
BEGIN;
INSERT INTO event (lead_id, kind, occurred_at, source_id, properties)
    SELECT n, (ARRAY['page_view', 'demo_request', 'unsubscribe', 'email_bounce', 'form_submit'])[1 + n % 5], now() - interval '1 hour', 'a' || n, '{"type": "hard"}'
    FROM generate_series(1, 1500) n;
TABLE read_whole;
COMMIT;
\echo track_many
SELECT pg_stat_force_next_flush() \g /dev/null
BEGIN;
SELECT inserted FROM track_many((SELECT jsonb_agg(jsonb_build_object('external_id', 'new' || n, 'kind', 'page_view', 'source_id', 'b' || n, 'profile', jsonb_build_object('plan', 'x'))) FROM generate_series(1, 1500) n));
TABLE read_whole;
COMMIT;
\echo tables of the app
SELECT pg_stat_force_next_flush() \g /dev/null
BEGIN;
INSERT INTO member SELECT n, 'member' || n || '@mail.example', now() - interval '2 days', 'free' FROM generate_series(1, 1500) n;
INSERT INTO shop SELECT n, 'member' || n || '@mail.example', now() - interval '1 day', n FROM generate_series(1, 1500) n;
UPDATE shop SET amount = amount + 1;
TABLE read_whole;
COMMIT;
\echo single events, which begin and end runs, and refusals
SELECT pg_stat_force_next_flush() \g /dev/null
BEGIN;
DO $$
BEGIN
    FOR n IN 1 .. 400 LOOP
        INSERT INTO event (lead_id, kind) VALUES (n, 'demo_request');
    END LOOP;
    FOR n IN 1 .. 400 LOOP
        INSERT INTO event (lead_id, kind, value) VALUES (n, 'purchase', 1);
    END LOOP;
END
$$;
TABLE read_whole;
COMMIT;
SELECT pg_stat_force_next_flush() \g /dev/null
BEGIN;
DO $$
BEGIN
    FOR n IN 1 .. 400 LOOP
        INSERT INTO event (lead_id, kind) VALUES (n, 'unsubscribe');
    END LOOP;
END
$$;
TABLE read_whole;
ROLLBACK;
SELECT sequence, end_reason, count(*) FROM enrollment WHERE lead_id <= 400 AND sequence IN ('request', 'after_sale') GROUP BY 1, 2 ORDER BY 1;
\echo the queue
SELECT pg_stat_force_next_flush() \g /dev/null
BEGIN;
SELECT count(*) >= 0 AS claimed FROM claim_actions('email', 1000, '5 minutes', now() + interval '8 days');
COMMIT;
BEGIN;
SELECT sweep(10000) >= 0 AS swept;
TABLE read_whole;
COMMIT;
\echo loading without triggers
SELECT leadscore.create_pipeline('fresh', attach => false, reports => false) \g /dev/null
VACUUM ANALYZE;
INSERT INTO fresh.lead (lead_id, external_id, email, consented_at, created_at)
    SELECT n, 'lead' || n, 'user' || n || '@mail.example', now() - interval '90 days', now() - interval '90 days' FROM generate_series(1, 1500) n;
INSERT INTO fresh.event (lead_id, kind, occurred_at) SELECT n, 'unsubscribe', now() - interval '1 day' FROM generate_series(1, 1500) n;
SELECT pg_stat_force_next_flush() \g /dev/null
BEGIN;
SELECT leadscore.attach_pipeline('fresh') AS changed;
TABLE read_whole;
COMMIT;
SELECT * FROM fresh.verify();
SELECT * FROM crm.verify();
SELECT leadscore.drop_pipeline('fresh') \g /dev/null
DROP TABLE shop, member;
SELECT leadscore.drop_pipeline('crm') \g /dev/null
