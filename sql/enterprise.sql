--
-- Preset enterprise: strict rules, all of them rows
--
SELECT * FROM leadscore.create_pipeline('ent', 'enterprise');
SET search_path = ent, leadscore, public;

-- What is blank is no contact data, wherever it stands
SELECT lead, EXISTS (SELECT FROM leadscore_internal.profile_signals(jsonb_populate_record(NULL::lead, lead)) s JOIN signal USING (signal_id) WHERE signal = 'contactable') AS contact
FROM unnest(ARRAY['{}', '{"email": ""}', '{"email": " @ "}', '{"email": "a@b.example"}', '{"email": "\"Ann B\"@b.example"}',
    '{"profile": {"phone": ""}}', '{"profile": {"phone": " \t\n"}}', '{"profile": {"phone": null}}', '{"profile": {"phone": []}}', '{"profile": {"phone": [null, "", [" "]]}}',
    '{"profile": {"phone": {}}}', '{"profile": {"phone": {"home": ""}}}', '{"profile": {"phone": false}}', '{"profile": {"phone": "-"}}', '{"profile": {"social": ""}}', '{"profile": {"social": [" "]}}',
    '{"profile": {"phone": "+43 1 1234"}}', '{"profile": {"phone": 4311234}}', '{"profile": {"phone": ["", "1234"]}}', '{"profile": {"phone": {"home": "", "work": "1234"}}}',
    '{"profile": {"social": "@ann"}}', '{"profile": {"social": [{"network": "x", "name": "ann"}]}}', '{"email": "", "profile": {"phone": "", "social": "@ann"}}']::jsonb[]) WITH ORDINALITY AS v (lead, n)
ORDER BY n;

-- The matrix decides: every cell, with the points that its grades begin at,
-- lifted to 100 in all by a dimension of its own, so that only the cell decides
SELECT clone_model('enterprise', 'lifted');
INSERT INTO dimension (model, dimension, position) VALUES ('lifted', 'lift', 3);
INSERT INTO rule (model, dimension, rule, signal, points) VALUES ('lifted', 'lift', 'everybody', 'lead_created', 200);
INSERT INTO signal (signal, source, condition) VALUES ('fit_a', 'profile', '$.fit == "A"'), ('fit_b', 'profile', '$.fit == "B"'), ('fit_c', 'profile', '$.fit == "C"');
INSERT INTO rule (model, dimension, rule, signal, points) VALUES
    ('lifted', 'fit', 'A', 'fit_a', 50), ('lifted', 'fit', 'B', 'fit_b', 30), ('lifted', 'fit', 'C', 'fit_c', 10);
SELECT activate_model('lifted', wait => true);
SELECT f.grade || e.grade AS cell, t.stage
FROM unnest('{A,B,C,D}'::text[]) AS f (grade),
    (VALUES ('1', 80), ('2', 50), ('3', 20), ('4', 19.999)) AS e (grade, points),
    track('cell ' || f.grade || e.grade, 'points_added', value => e.points,
        profile => jsonb_build_object('email', 'x@customer.example', 'consent', true, 'fit', f.grade)) t
ORDER BY 1;
SELECT external_id, grade FROM lead_score ORDER BY external_id;
-- (an activation replaces earlier ones that judged no lead)
DELETE FROM lead;
SELECT activate_model('enterprise', wait => true);

-- 100 points of behaviour and demographic, at most 70 of these
SELECT stage FROM track('big', 'page_view', occurred_at => '2025-03-03', profile => '{"email": "cio@big.example", "consent": true, "job_title": "CIO", "employees": 5000, "industry": "software"}');
SELECT dimension, points, grade FROM lead_state s, model m, dimension_scores(s.activity, m.compiled, '2025-03-03') WHERE s.lead_id = lead_id('big') AND m.status = 'active';
SELECT stage, stage_changed FROM track('big', 'points_added', occurred_at => '2025-03-03', value => 28.999);
SELECT stage, stage_changed FROM track('big', 'points_added', occurred_at => '2025-03-03', value => 0.001);
SELECT score('big', timestamptz '2025-03-03'), stage_at('big', '2025-03-03');
SELECT g.stage, g.gate, g.met, g.missing FROM lead_state s, model m, stage_gates(s.activity, m.compiled, '2025-03-03') g
    WHERE s.lead_id = lead_id('big') AND m.status = 'active' ORDER BY g.stage, g.gate COLLATE "C";

-- Frequency: a day, a week, a month, a quarter, a year, ever
SELECT inserted FROM track_many((
    SELECT jsonb_agg(jsonb_build_object('external_id', 'often', 'kind', k, 'occurred_at', '2025-01-01T10:00Z'::timestamptz + i * interval '12 hours'))
    FROM generate_series(0, 59) i, unnest('{email_open,pricing_view,case_study_download,demo_request,trial_started,newsletter_signup}'::text[]) k));
SELECT rule, events, points, note FROM explain('often', timestamptz '2025-01-31 12:00Z') ORDER BY rule COLLATE "C";

-- 10 points less for each 30 quiet days, not below 0
SELECT d, score('often', '2025-01-30 12:00Z'::timestamptz + d * interval '1 day')
    - score('often', timestamptz '2025-01-30 12:00Z') AS change
FROM unnest('{0,29,30,59,60,90,365,3650}'::int[]) d;
-- a lead that never did anything is quiet since its creation
SELECT upsert_lead('silent', 's@silent.example', consent => true, at => '2025-01-01') > 0;
SELECT rule, points, note FROM explain('silent', timestamptz '2025-03-15') WHERE points <> 0;

-- Competitors, our own people and students are no leads, whatever their points
SELECT v.id, t.stage
    FROM (VALUES
        (1, 'rival', '{"email": "Boss@Competitor.Example", "consent": true}'::jsonb),
        (2, 'ours', '{"email": "me@ours.example", "consent": true}'),
        (3, 'student', '{"email": "s@university.example", "consent": true, "job_title": "PhD student"}'),
        (4, 'free', '{"email": "somebody@gmail.com", "consent": true}'),
        (5, 'fine', '{"email": "somebody@customer.example", "consent": true}')) v (n, id, profile),
        track(v.id, 'quote_request', profile => v.profile) t
    ORDER BY v.n;
-- a new competitor is known at once
INSERT INTO value_list VALUES ('competitor_domains', 'customer.example');
SELECT stage FROM lead_score WHERE external_id = 'fine';
SELECT external_id, fit FROM lead_score WHERE external_id IN ('free', 'fine') ORDER BY 1;

-- Unsubscribing leaves the demographic points only
SELECT stage FROM track('big', 'unsubscribe', occurred_at => '2025-03-04');
SELECT dimension, points FROM lead_state s, model m, dimension_scores(s.activity, m.compiled, '2025-03-04') WHERE s.lead_id = lead_id('big') AND m.status = 'active';

SELECT * FROM verify();
SELECT rebuild() >= 0;
SELECT * FROM verify();
RESET search_path;
DROP SCHEMA ent, ent_reports CASCADE;
