-- What test/discard-caches runs twice, with caches and without: every kind of
-- write and of configuration change, on few rows. All instants are given, so
-- that both outputs are the same.
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET client_min_messages = 'warning';
SET search_path = crm, crm_reports, leadscore, public;
\set VERBOSITY terse

-- Events and leads, written in all ways
INSERT INTO lead (lead_id, external_id, email, consented_at, profile, created_at, updated_at) VALUES
    (1, 'ann', 'ann@acme.example', '2025-01-01', '{"budget": true}', '2025-01-01', '2025-01-01'),
    (2, 'bob', 'bob@acme.example', '2025-01-01', '{"employees": 300}', '2025-01-01', '2025-01-01'),
    (3, 'eve', NULL, NULL, '{}', '2025-01-01', '2025-01-01');
SELECT setval('lead_lead_id_seq', 10);
INSERT INTO event (lead_id, kind, occurred_at, source_id)
    SELECT 1 + i / 3, (ARRAY['product_page_view', 'pricing_view', 'unheard of'])[1 + i % 3], '2025-01-02'::timestamptz + i * interval '3 days', i FROM generate_series(1, 8) i;
INSERT INTO event (lead_id, kind, occurred_at, source_id) VALUES (1, 'quote_request', '2025-02-01', '1') ON CONFLICT DO NOTHING;
COPY event (lead_id, kind, occurred_at) FROM stdin;
2	case_study_download	2025-02-02
3	email_open	2025-02-02
\.
MERGE INTO event e USING (VALUES (1, '1'), (2, 'new')) AS v (lead_id, source_id) ON e.lead_id = v.lead_id AND e.source_id = v.source_id
    WHEN MATCHED THEN DELETE
    WHEN NOT MATCHED THEN INSERT (lead_id, kind, occurred_at, source_id) VALUES (v.lead_id, 'demo_request', '2025-02-03', v.source_id);
UPDATE event SET lead_id = 2, occurred_at = '2025-02-04' WHERE lead_id = 3 AND kind = 'email_open';
DELETE FROM event WHERE lead_id = 3;
INSERT INTO event (lead_id, kind) VALUES (999, 'page_view');
UPDATE lead SET profile = profile || '{"need": true, "authority": true}', updated_at = '2025-02-05' WHERE lead_id = 1;
SELECT lead_id, stage, duplicate FROM track('ann', 'case_study_download', occurred_at => '2025-02-06', profile => '{"timeline": true}');
SELECT lead_id, stage, duplicate FROM track('dan', 'webinar_attended', '{"content": "x"}', '2025-02-06');
SELECT * FROM track_many('[{"external_id": "ann", "kind": "email_click", "occurred_at": "2025-02-07Z"}, {"external_id": "fay", "kind": "page_view", "occurred_at": "2025-02-07Z"}]');
SELECT set_stage_by_id(2, 'lost', 'why not');
BEGIN;
SAVEPOINT s;
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'purchase', '2025-02-08');
ROLLBACK TO s;
INSERT INTO event (lead_id, kind, occurred_at, value) VALUES (1, 'sales_contact', '2025-02-08', 5);
COMMIT;
DELETE FROM lead WHERE external_id = 'fay';
PREPARE p (bigint, text) AS INSERT INTO event (lead_id, kind, occurred_at) VALUES ($1, $2, '2025-02-09');
EXECUTE p (1, 'page_view');

-- Another definition of a signal, another model
INSERT INTO signal (signal, event_kinds) VALUES ('odd', '{"unheard of"}');
EXECUTE p (1, 'unheard of');
INSERT INTO value_list VALUES ('names', 'x');
UPDATE signal SET event_kinds = '{"unheard of",page_view}', condition = '$kind != $names[*]' WHERE signal = 'odd';
SELECT clone_model('inbound', 'other');
INSERT INTO rule (model, dimension, rule, signal, points) SELECT 'other', dimension, 'odd', 'odd', 20.5 FROM rule WHERE model = 'other' ORDER BY rule LIMIT 1;
UPDATE model SET allow_demotion = true WHERE model = 'other';
SELECT level, leads, stage_a, stage_b, score_a, score_b FROM compare_models('inbound', 'other', '2025-02-10');
SELECT activate_model('other') >= 0;
UPDATE rule SET note = 'changed' WHERE model = 'other';
EXECUTE p (2, 'unheard of');
ALTER TABLE lead_state ADD more int DEFAULT 7;
EXECUTE p (1, 'page_view');
SELECT sweep() >= 0;
SELECT detach_pipeline('crm');
INSERT INTO event (lead_id, kind, occurred_at) VALUES (2, 'trial_started', '2025-02-10');
SELECT attach_pipeline('crm');
SELECT verify();
SELECT rebuild(), rebuild(true) > 0;
SELECT grant_app('crm', 'app'), grant_reader('crm', 'app');
SET ROLE app;
SELECT lead_id, duplicate FROM track('ann', 'email_open', occurred_at => '2025-02-11', source_id => 'once');
INSERT INTO event (lead_id, kind, occurred_at, source_id) VALUES (2, 'email_open', '2025-02-11', 'once');
RESET ROLE;

-- What there is now
SELECT lead_id, activity, stage, cycle, held, more FROM lead_state ORDER BY 1;
SELECT lead_id, seq, cycle, from_stage, to_stage, cause, model FROM stage_history ORDER BY 1, 2;
SELECT lead_id, seq, signal, count FROM profile_change ORDER BY 1, 2;
SELECT lead_id, score_by_id(lead_id, '2025-03-01'), stage_at_by_id(lead_id, '2025-02-05') FROM lead ORDER BY 1;
SELECT rule, points, note FROM explain_by_id(1, '2025-03-01') ORDER BY rule COLLATE "C", points;
SELECT * FROM next_steps_by_id(1) ORDER BY 1, 2;
SELECT next_change(s.activity, m.compiled, '2025-02-10'), grade(s.activity, m.compiled, '2025-02-10')
    FROM lead_state s, model m WHERE m.status = 'active' ORDER BY s.lead_id;
SELECT e.kind, g.signal_id, g.quantity FROM event e, event_signals(e) g WHERE e.lead_id = 2 ORDER BY 1, 2;
SELECT lead_id, signal_id FROM lead l, profile_signals(l) ORDER BY 1, 2;
SELECT lead_id, window_funnel(occurred_at, '90 days', 'ordered', kind = 'pricing_view', kind LIKE 'demo%'), funnel_times(occurred_at, '90 days', 'any', kind = 'pricing_view', kind LIKE 'demo%')
    FROM event GROUP BY lead_id ORDER BY 1;
SELECT stage, entered FROM funnel ORDER BY stage_rank;
SELECT md5(m::text::lead_model::text) = md5(m::text) FROM (SELECT compiled FROM model WHERE status = 'active') x (m);
TRUNCATE event;
TRUNCATE lead CASCADE;
SELECT count(*) FROM lead_state;
