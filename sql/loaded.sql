-- attach_pipeline() writes leads that were loaded in one pass over their logs.
-- The result is that of repairing them one by one, as it does where something
-- was written before.
CREATE EXTENSION IF NOT EXISTS leadscore;
SET client_min_messages = warning;
BEGIN;
SELECT leadscore.create_pipeline(p, reports => false) FROM unnest('{fresh,used}'::text[]) p \g /dev/null
SELECT fresh.activate_segment(segment) FROM fresh.segment ORDER BY segment_id \g /dev/null
SELECT used.activate_segment(segment) FROM used.segment ORDER BY segment_id \g /dev/null
COMMIT;
-- where a lead was purged, leads are repaired one by one
INSERT INTO used.lead (external_id, created_at) VALUES ('gone', '2020-01-01 00:00Z');
INSERT INTO used.event (lead_id, kind, occurred_at) SELECT lead_id, 'page_view', '2020-01-02 00:00Z' FROM used.lead;
SELECT count(*) > 0 AS purged FROM used.purge('2020-06-01');
DELETE FROM used.lead;
SELECT pg_relation_size('fresh.lead_checkpoint') > 0 AS fresh, pg_relation_size('used.lead_checkpoint') > 0 AS used;
SELECT leadscore.detach_pipeline(p) FROM unnest('{fresh,used}'::text[]) p \g /dev/null
-- created before its events, after them, in time to come; with a profile, without
INSERT INTO fresh.lead (lead_id, external_id, email, consented_at, profile, created_at, updated_at)
SELECT n, 'lead' || n, CASE WHEN n % 3 > 0 THEN 'lead' || n || '@mail.example' END, CASE WHEN n % 3 > 0 THEN timestamptz '2024-01-01 00:00Z' END,
    CASE WHEN n % 4 = 0 THEN '{"job_title": "Head of Sales", "employees": 100}' ELSE '{}' END::jsonb,
    CASE n % 7 WHEN 0 THEN timestamptz '2024-03-01 12:00Z' WHEN 1 THEN now() + interval '3 days' ELSE timestamptz '2024-01-01 00:00Z' END,
    timestamptz '2024-02-01 00:00Z'
FROM generate_series(1, 300) n;
INSERT INTO fresh.event (lead_id, event_id, kind, occurred_at, value, properties)
SELECT 1 + n % 300, n, (ARRAY['page_view', 'email_open', 'pricing_view', 'content_download', 'demo_request', 'quote_request', 'purchase', 'unsubscribe', 'lost', 'stage_set'])[1 + (hashint4(n) & 7) + 2 * (n % 97 = 0)::int],
    timestamptz '2024-01-05 00:00Z' + interval '1 hour' * (hashint4(n + 1) & 2047), n % 50, '{"stage": "sql", "intent": "solution"}'
FROM generate_series(1, 4000) n;
INSERT INTO used.lead SELECT * FROM fresh.lead;
INSERT INTO used.event SELECT * FROM fresh.event;
BEGIN;
SELECT leadscore.attach_pipeline('fresh') AS fresh, leadscore.attach_pipeline('used') AS used;
COMMIT;
-- of those that are created in time to come the profile is known from now on, a
-- little later in the second pipeline
SELECT count(*) AS leads, count(DISTINCT stage) > 4 AS some_stages FROM fresh.lead_state;
SELECT count(*) AS differ FROM fresh.lead_state a FULL JOIN used.lead_state b USING (lead_id)
WHERE lead_id % 7 <> 1 AND to_jsonb(a) - '{updated_at,profile_at}'::text[] IS DISTINCT FROM to_jsonb(b) - '{updated_at,profile_at}'::text[];
SELECT count(*) > 300 AS some, count(*) FILTER (WHERE to_jsonb(a) - '{recorded_at,changed_at}'::text[] IS DISTINCT FROM to_jsonb(b) - '{recorded_at,changed_at}'::text[]) AS differ
FROM fresh.stage_log a FULL JOIN used.stage_log b USING (lead_id, seq) WHERE lead_id % 7 <> 1;
SELECT count(*) > 100 AS some, count(*) FILTER (WHERE to_jsonb(a) - '{recorded_at,changed_at}'::text[] IS DISTINCT FROM to_jsonb(b) - '{recorded_at,changed_at}'::text[]) AS differ
FROM fresh.segment_log a FULL JOIN used.segment_log b USING (lead_id, seq) WHERE lead_id % 7 <> 1;
SELECT count(*) > 50 AS some, count(*) FILTER (WHERE to_jsonb(a) - '{recorded_at,changed_at}'::text[] IS DISTINCT FROM to_jsonb(b) - '{recorded_at,changed_at}'::text[]) AS differ
FROM fresh.profile_change a FULL JOIN used.profile_change b USING (lead_id, seq);
SELECT * FROM fresh.verify();
SELECT * FROM used.verify();
SELECT leadscore.drop_pipeline(p) FROM unnest('{fresh,used}'::text[]) p \g /dev/null

-- A lead whose creation is dated ahead has done nothing of that time yet, also if
-- an event shows that it is older: it becomes a quiet customer 60 days after the
-- purchase, in 20 days.
SELECT leadscore.create_pipeline('crm', reports => false) \g /dev/null
SELECT crm.activate_segment('quiet_customers') \g /dev/null
INSERT INTO crm.lead (lead_id, external_id, created_at) VALUES (1, 'early', now() + interval '90 days');
INSERT INTO crm.event (lead_id, kind, occurred_at) VALUES (1, 'purchase', now() - interval '40 days');
SELECT segments, (next_review_at AT TIME ZONE 'UTC')::date - (now() AT TIME ZONE 'UTC')::date AS days_to_go FROM crm.lead_state;
SELECT count(*) FROM crm.segment_log;
SELECT * FROM crm.verify();
-- nor if its creation is corrected
INSERT INTO crm.lead (lead_id, external_id, created_at) VALUES (2, 'corrected', now() + interval '90 days');
UPDATE crm.lead SET created_at = now() - interval '10 days' WHERE lead_id = 2;
SELECT stage, (processed_until <= now()) AS up_to_now FROM crm.lead_state WHERE lead_id = 2;
SELECT * FROM crm.verify();
SELECT leadscore.drop_pipeline('crm') \g /dev/null

-- Consent that the call records is what the columns say, so nothing follows it, lead
-- by lead or otherwise. That which was loaded is followed at once, whatever the
-- instants at which it was given.
SELECT leadscore.create_pipeline('crm', attach => false, reports => false) \g /dev/null
INSERT INTO crm.lead (lead_id, external_id, email, consented_at, created_at, updated_at)
SELECT n, 'lead' || n, 'lead' || n || '@mail.example', t.at, t.at, t.at
FROM generate_series(1, 20) n, LATERAL (SELECT timestamptz '2024-01-01 00:00Z' + interval '1 hour' * n) AS t (at);
BEGIN;
SET LOCAL track_functions = 'pl';
SELECT leadscore.attach_pipeline('crm') \g /dev/null
SELECT funcname, calls FROM pg_stat_xact_user_functions WHERE schemaname = 'crm' AND funcname IN ('_columns_written', 'consent_checked', 'consent_recorded', '_follow_consents');
COMMIT;
SELECT leadscore.detach_pipeline('crm') \g /dev/null
INSERT INTO crm.consent (lead_id, purpose, status, occurred_at)
SELECT n, CASE WHEN n <= 15 THEN 'marketing' ELSE 'policy' END, CASE WHEN n <= 10 THEN 'granted' ELSE 'withdrawn' END, timestamptz '2024-02-01 00:00Z' + interval '1 hour' * n
FROM generate_series(1, 20) n;
BEGIN;
SET LOCAL track_functions = 'pl';
SELECT leadscore.attach_pipeline('crm') \g /dev/null
SELECT calls < 20 AS at_once FROM pg_stat_xact_user_functions WHERE schemaname = 'crm' AND funcname = '_follow_consents';
COMMIT;
SELECT contact_allowed, consented_at IS NOT NULL AS consented, count(*), min(updated_at) AS first, max(updated_at) AS last FROM crm.lead GROUP BY 1, 2 ORDER BY 1, 2;
SELECT * FROM crm.verify();
SELECT leadscore.drop_pipeline('crm') \g /dev/null

-- A lead with a suppressed address may not be contacted, whatever its columns said,
-- whether it is loaded or inserted; and its last change stays that of its profile.
SELECT leadscore.create_pipeline('crm', reports => false) \g /dev/null
SELECT crm.suppress('blocked@mail.example') \g /dev/null
SELECT leadscore.detach_pipeline('crm') \g /dev/null
INSERT INTO crm.lead (lead_id, email, contact_allowed, consented_at, created_at, updated_at) VALUES
    (1, 'blocked@mail.example', true, '2024-01-01', '2024-01-01', '2024-01-01'),
    (2, 'blocked@mail.example', NULL, NULL, '2024-01-01', '2024-01-01'),
    (3, 'other@mail.example', true, '2024-01-01', '2024-01-01', '2024-01-01');
SELECT leadscore.attach_pipeline('crm') \g /dev/null
INSERT INTO crm.lead (lead_id, email, contact_allowed, consented_at, created_at, updated_at) SELECT lead_id + 10, email, lead_id <> 2 OR NULL, consented_at, created_at, '2024-01-01' FROM crm.lead;
SELECT lead_id, contact_allowed, consented_at IS NOT NULL AS consented, updated_at < '2024-01-03' AS of_then FROM crm.lead ORDER BY lead_id;
SELECT lead_id, purpose, status FROM crm.consent ORDER BY 1, 2;
-- also if others have consent already
SELECT leadscore.detach_pipeline('crm') \g /dev/null
INSERT INTO crm.lead (lead_id, email, created_at, updated_at) VALUES (4, 'blocked@mail.example', '2024-01-01', '2024-01-01'), (5, 'fifth@mail.example', '2024-01-01', '2024-01-01');
SELECT leadscore.attach_pipeline('crm') \g /dev/null
SELECT lead_id, contact_allowed, updated_at < '2024-01-03' AS of_then FROM crm.lead WHERE lead_id IN (4, 5) ORDER BY lead_id;
SELECT * FROM crm.verify();
SELECT leadscore.drop_pipeline('crm') \g /dev/null
