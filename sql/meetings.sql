--
-- Meetings: what they do to a lead, and what came of them
--
SELECT leadscore.create_pipeline('crm') \g /dev/null
SET search_path = crm, crm_reports, leadscore, leadscore_internal;
SET timezone = 'UTC';
SELECT count(*) FROM meeting_outcome;

-- By hand, for each owner; each lead is one course
INSERT INTO lead (lead_id, owner, created_at, updated_at) SELECT n, CASE WHEN n <= 4 THEN 'kim' WHEN n <> 6 THEN 'lena' END, '2024-12-01Z', '2024-12-01Z' FROM generate_series(1, 9) n;
INSERT INTO event (lead_id, kind, occurred_at, value, properties) VALUES
    -- two days ahead, held, and bought
    (1, 'meeting_booked', '2025-01-01 10:00Z', NULL, '{"meeting_at": "2025-01-03T10:00:00Z", "by": "kim"}'), (1, 'meeting_held', '2025-01-03 10:05Z', NULL, '{"outcome": "yes"}'), (1, 'purchase', '2025-01-10 10:00Z', 100, NULL),
    -- 3 days and 14 hours ahead, no show; then held two days later, without a time
    (2, 'meeting_booked', '2025-01-01 10:00Z', NULL, '{"meeting_at": "2025-01-05"}'), (2, 'meeting_no_show', '2025-01-05 10:00Z', NULL, NULL),
    (2, 'meeting_booked', '2025-01-06 10:00Z', NULL, NULL), (2, 'meeting_held', '2025-01-08 10:00Z', NULL, NULL),
    -- without a booking; and one that is called off, of which the time is not known
    (3, 'meeting_held', '2025-01-02 10:00Z', NULL, NULL), (3, 'meeting_booked', '2025-01-03 10:00Z', NULL, '{"meeting_at": "soon"}'), (3, 'meeting_cancelled', '2025-01-04 10:00Z', NULL, NULL),
    -- two bookings: the end is that of the first, and the second is 18 days ahead and overdue
    (4, 'meeting_booked', '2025-01-01 10:00Z', NULL, NULL), (4, 'meeting_booked', '2025-01-02 10:00Z', NULL, '{"meeting_at": "2025-01-20T10:00Z"}'), (4, 'meeting_held', '2025-01-03 10:00Z', NULL, NULL),
    -- a customer before
    (6, 'purchase', '2025-01-01 10:00Z', 100, NULL), (6, 'meeting_booked', '2025-01-02 10:00Z', NULL, NULL), (6, 'meeting_held', '2025-01-03 10:00Z', NULL, NULL),
    -- two without a booking, and one with it
    (7, 'meeting_held', '2025-01-01 10:00Z', NULL, NULL), (7, 'meeting_held', '2025-01-02 10:00Z', NULL, NULL), (7, 'meeting_booked', '2025-01-03 10:00Z', NULL, NULL), (7, 'meeting_held', '2025-01-04 10:00Z', NULL, NULL),
    -- of one instant the booking comes first; nothing ends the past
    (8, 'meeting_held', '2025-01-03 10:00Z', NULL, NULL), (8, 'meeting_booked', '2025-01-03 10:00Z', NULL, '{"meeting_at": "2025-01-01"}'),
    -- what is dated ahead has not happened, and some never will
    (8, 'meeting_held', now() + interval '2 days', NULL, NULL), (8, 'meeting_booked', 'infinity', NULL, NULL), (8, 'meeting_held', '-infinity', NULL, NULL);
-- a week from now: open, and not overdue
INSERT INTO event (lead_id, kind, occurred_at, properties) SELECT 5, 'meeting_booked', now(), jsonb_build_object('meeting_at', to_char(now() + interval '7 days', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'));
\x
SELECT owner, meetings, booked, held, no_show, cancelled, open, overdue, held_rate, no_show_rate, timed, median_ahead_days, median_ahead_low_days, leads_met, customers, customer_rate FROM meeting_outcome ORDER BY 1;
\x
-- Wilson's interval of 4 of 6, 1 of 5 and 1 of 4, from the usual formula
SELECT round(x::numeric, 9) AS low, round(y::numeric, 9) AS high, round(((p + z * z / (2 * n) - z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z * z / n))::numeric, 5) AS by_hand
    FROM meeting_outcome, LATERAL (VALUES (held_low_rate, held_high_rate, 4 / 6.0::float8, 6), (no_show_low_rate, no_show_high_rate, 0.2, 5), (customer_low_rate, customer_high_rate, 0.25, 4)) v (x, y, p, n), (SELECT 1.959964::float8 AS z) z WHERE owner = 'kim';

-- Anything may be in the properties of a booking: it is open, and its time is not known
INSERT INTO event (lead_id, kind, occurred_at, properties)
    SELECT 9, 'meeting_booked', '2025-02-01 10:00Z', v::jsonb FROM unnest(ARRAY['{"meeting_at": "2026-02-31"}', '{"meeting_at": 20260301}', '{"meeting_at": ["2026-03-01"]}', '{"meeting_at": {"on": 1}}', '{"meeting_at": 1e400}',
        '{"meeting_at": null}', '{"meeting_at": "infinity"}', '{"meeting_at": "99999-01-01"}', '["meeting_at"]', '"2026-03-01"', '7', 'null', NULL]) v;
SELECT meetings, open, timed, overdue FROM meeting_outcome WHERE owner = 'lena';

-- 400 courses at random, followed one event after the other
INSERT INTO lead (lead_id, owner, created_at, updated_at) SELECT n, 'many', '2024-12-01Z', '2024-12-01Z' FROM generate_series(100, 499) n;
INSERT INTO event (lead_id, kind, occurred_at)
    SELECT n, (ARRAY['meeting_booked', 'meeting_booked', 'meeting_booked', 'meeting_held', 'meeting_held', 'meeting_no_show', 'meeting_cancelled'])[1 + abs(hashint8(n * 31 + i)::bigint) % 7],
        timestamptz '2025-03-01Z' + interval '1 hour' * (abs(hashint8(n * 17 + i * 7)::bigint) % 12)
    FROM generate_series(100, 499) n, generate_series(1, 1 + n % 9) i;
CREATE TEMP TABLE followed (n bigint GENERATED ALWAYS AS IDENTITY, lead_id bigint, booked_at timestamptz, ended_at timestamptz, outcome text DEFAULT 'open');
DO $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT * FROM crm.event e WHERE e.lead_id >= 100 ORDER BY e.lead_id, e.occurred_at, e.kind <> 'meeting_booked', e.event_id LOOP
        IF r.kind = 'meeting_booked' THEN
            INSERT INTO followed (lead_id, booked_at) VALUES (r.lead_id, r.occurred_at);
        ELSE
            UPDATE followed f SET ended_at = r.occurred_at, outcome = replace(replace(r.kind, 'meeting_', ''), '_', ' ')
                WHERE f.n = (SELECT min(o.n) FROM followed o WHERE o.lead_id = r.lead_id AND o.ended_at IS NULL);
            IF NOT FOUND THEN
                INSERT INTO followed (lead_id, ended_at, outcome) VALUES (r.lead_id, r.occurred_at, replace(replace(r.kind, 'meeting_', ''), '_', ' '));
            END IF;
        END IF;
    END LOOP;
END $$;
SELECT count(*) > 1000 AS many, count(*) FILTER (WHERE booked_at IS NULL) > 100 AS unbooked, count(*) FILTER (WHERE outcome = 'open') > 100 AS open FROM followed;
SELECT count(*) AS differ FROM ((SELECT lead_id, booked_at, ended_at, outcome FROM followed EXCEPT ALL SELECT lead_id, booked_at, ended_at, outcome FROM _meetings() WHERE lead_id >= 100)
    UNION ALL (SELECT lead_id, booked_at, ended_at, outcome FROM _meetings() WHERE lead_id >= 100 EXCEPT ALL SELECT lead_id, booked_at, ended_at, outcome FROM followed)) d;
-- the median of 6 and more has an interval: of the waits in order those of the ranks that median_rank() gives
WITH w AS (SELECT extract(epoch FROM ended_at - booked_at)::float8 / 86400 AS days FROM followed WHERE outcome = 'held' AND booked_at IS NOT NULL)
SELECT timed = (SELECT count(*) FROM w) AS timed, median_ahead_days = (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY days) FROM w) AS median,
    median_ahead_low_days = (SELECT days FROM w ORDER BY days OFFSET median_rank(timed) - 1 LIMIT 1) AND median_ahead_high_days = (SELECT days FROM w ORDER BY days DESC OFFSET median_rank(timed) - 1 LIMIT 1) AS ends
FROM meeting_outcome WHERE owner = 'many';
SELECT * FROM verify();

SELECT setval('lead_lead_id_seq', 1000);
-- A meeting that was held is a contact: it answers an enquiry and keeps the time
-- of a stage; a booking is none
SELECT upsert_lead(n, n || '@mail.example', '{"budget": true, "authority": true, "need": true, "timeline": true}', consent => true, at => now() - interval '2 hours') > 0 FROM unnest('{met,booked}'::text[]) n;
SELECT stage FROM track('met', 'points_added', value => 80, occurred_at => now() - interval '50 minutes');
SELECT stage FROM track('booked', 'points_added', value => 80, occurred_at => now() - interval '50 minutes');
SELECT stage FROM track('met', 'quote_request', occurred_at => now() - interval '50 minutes');
SELECT stage FROM track('booked', 'quote_request', occurred_at => now() - interval '50 minutes');
-- an sql that sales has met is a prospect, a booking makes none
SELECT score > 100 AS scored, stage FROM track('booked', 'meeting_booked', occurred_at => now() - interval '20 minutes');
SELECT stage, scored FROM track('met', 'meeting_held', occurred_at => now() - interval '20 minutes');
SELECT l.external_id, f.clock, f.status, f.responded_at = e.occurred_at AS by_meeting
    FROM first_response f JOIN lead l USING (lead_id) LEFT JOIN event e ON e.lead_id = l.lead_id AND e.kind = 'meeting_held'
    WHERE l.external_id IN ('met', 'booked') ORDER BY 1, 2;
SELECT contacts FROM followups WHERE lead_id = lead_id('met');
SELECT external_id, contacted FROM hot_leads;
-- no kind of meeting is unknown
SELECT kind, reason FROM unscored_events WHERE kind ~ '^meeting' AND lead_id < 10;

-- Points by hand: a booking gives 20, halved in 60 days, once a month; to miss
-- it takes 10, halved in 30 days
SELECT stage FROM track('points', 'meeting_booked', occurred_at => '2025-03-01 10:00Z', profile => '{"email": "p@mail.example", "consent": true}');
SELECT stage FROM track('points', 'meeting_booked', occurred_at => '2025-03-02 10:00Z');
SELECT stage FROM track('points', 'meeting_no_show', occurred_at => '2025-03-31 10:00Z');
SELECT stage FROM track('points', 'meeting_cancelled', occurred_at => '2025-03-31 11:00Z');
SELECT crm.score('points', '2025-03-02') AS first, crm.score('points', '2025-03-31') AS last, round(20 * 2 ^ (-30 / 60.0) - 10, 3) AS by_hand;
-- and is a look at a solution
SELECT stage FROM track('points', 'points_added', value => 40, occurred_at => '2025-03-02 12:00Z');
SELECT stage_at('points', '2025-03-03');
-- an erasure keeps when a meeting was to be, and what came of it
SELECT track_many('[{"external_id": "points", "kind": "meeting_booked", "properties": {"meeting_at": "2031-01-01", "by": "p@mail.example", "note": "private"}},
    {"external_id": "points", "kind": "meeting_held", "properties": {"outcome": "yes", "note": "private"}}]');
SELECT forget_lead('points');
SELECT kind, properties FROM event WHERE properties ?| '{meeting_at,outcome,note}' ORDER BY event_id DESC LIMIT 2;

-- A kind of one's own with the role, and the other presets
INSERT INTO event_kind (kind, role) VALUES ('visit_paid', 'meeting_held');
SELECT upsert_lead('own', owner => 'own') > 0;
SELECT stage FROM track('own', 'visit_paid', occurred_at => '2025-03-01 10:00Z');
SELECT held FROM meeting_outcome WHERE owner = 'own';

-- A role that may not see every lead sees none of them
CREATE ROLE leadscore_reader;
SELECT grant_reader('crm', 'leadscore_reader');
SET ROLE leadscore_reader;
SELECT count(*) > 2 AS some FROM meeting_outcome;
SELECT * FROM _meetings() WHERE lead_id = 1;
RESET ROLE;
ALTER TABLE lead ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON lead TO leadscore_reader USING (owner = 'kim');
SET ROLE leadscore_reader;
SELECT count(*) FROM meeting_outcome;
RESET ROLE;
RESET search_path;
SELECT leadscore.drop_pipeline('crm');
DROP ROLE leadscore_reader;
SELECT p.preset, c.active_model FROM unnest('{enterprise,multidimensional}'::text[]) WITH ORDINALITY AS p (preset, n), leadscore.create_pipeline('p' || p.n, p.preset) c;
SELECT p1.score('a') AS none, a.score AS booked, b.score AS missed, c.scored AS held, d.scored AS cancelled
    FROM p1.track('a', 'meeting_booked') a, p1.track('a', 'meeting_no_show') b, p1.track('a', 'meeting_held') c, p1.track('a', 'meeting_cancelled') d;
SELECT a.score AS booked, b.score AS missed, c.scored AS held, d.scored AS cancelled
    FROM p2.track('a', 'meeting_booked') a, p2.track('a', 'meeting_no_show') b, p2.track('a', 'meeting_held') c, p2.track('a', 'meeting_cancelled') d;
SELECT 'p1' AS pipeline, entry_signals FROM p1.stage_rule WHERE stage = 'prospect' UNION ALL SELECT 'p2', entry_signals FROM p2.stage_rule WHERE stage = 'prospect' ORDER BY 1;
SELECT leadscore.drop_pipeline(p) FROM unnest('{p1,p2}'::text[]) p;
