--
-- One command that changes events and adds others, or writes to lead too, fires
-- several triggers when all of it is done. If the first replays the lead, what the
-- others bring is in the log already, and counts once.
--
SELECT leadscore.create_pipeline('m', 'empty', reports => false) \g /dev/null
SET search_path = m, leadscore, public; SET timezone = 'UTC';
INSERT INTO signal (signal, event_kinds) VALUES ('act', '{act}'), ('buy', '{buy}');
INSERT INTO model (model, allow_demotion) VALUES ('m', true);
INSERT INTO dimension (model, dimension) VALUES ('m', 'd');
INSERT INTO rule (model, dimension, rule, signal, points, decay) VALUES ('m', 'd', 'act', 'act', 10, 'none');
INSERT INTO stage_rule (model, stage, min_score) VALUES ('m', 'iql', 10), ('m', 'mql', 20);
SELECT activate_model('m', wait => true) \g /dev/null
INSERT INTO lead (lead_id, created_at) SELECT i, '2025-01-01' FROM generate_series(1, 5) i;
INSERT INTO event (lead_id, kind, occurred_at, source_id) SELECT i, 'act', '2025-02-01', n FROM generate_series(1, 5) i, unnest('{a,x,y,z}'::text[]) n;
-- each lead has four of 02-01. 1: one is moved, two are added
INSERT INTO event (lead_id, kind, occurred_at, source_id) VALUES (1, 'act', '2025-01-20', 'a'), (1, 'act', '2025-03-01', 'b'), (1, 'act', '2025-03-01', 'c')
    ON CONFLICT (lead_id, source_id) WHERE source_id IS NOT NULL DO UPDATE SET occurred_at = excluded.occurred_at;
-- 2: one is moved, one is added
MERGE INTO event e USING (VALUES (2, 'a', timestamptz '2025-01-20'), (2, 'b', '2025-03-01')) v (lead_id, source_id, at) ON e.lead_id = v.lead_id AND e.source_id = v.source_id
    WHEN MATCHED THEN UPDATE SET occurred_at = v.at WHEN NOT MATCHED THEN INSERT (lead_id, kind, occurred_at, source_id) VALUES (v.lead_id, 'act', v.at, v.source_id);
-- 3: three are deleted, one is added
WITH gone AS (DELETE FROM event WHERE lead_id = 3 AND source_id <> 'a') INSERT INTO event (lead_id, kind, occurred_at) VALUES (3, 'act', '2025-03-01');
-- 4: the lead is older, one is added
WITH l AS (UPDATE lead SET created_at = '2024-12-01' WHERE lead_id = 4) INSERT INTO event (lead_id, kind, occurred_at) VALUES (4, 'act', '2025-03-01');
-- 5: one is added, one is moved
WITH e AS (INSERT INTO event (lead_id, kind, occurred_at) VALUES (5, 'act', '2025-01-15')) UPDATE event SET occurred_at = '2025-01-10' WHERE lead_id = 5 AND source_id = 'a';
SELECT lead_id, activity, stage FROM lead_state ORDER BY 1;
SELECT * FROM verify();
SELECT leadscore.drop_pipeline('m');
