--
-- verify() by shares, which parallel workers may compare
--
SELECT leadscore.create_pipeline('crm') \g /dev/null
INSERT INTO crm.lead (lead_id, external_id, created_at) SELECT n * 3 - 20000, 'lead ' || n, '2025-01-01 00:00+00' FROM generate_series(1, 10050) n;
INSERT INTO crm.event (lead_id, kind, occurred_at) SELECT n * 3 - 20000, 'page_view', '2025-01-02 00:00+00' FROM generate_series(1, 10050, 100) n;
SELECT count(*) FROM crm.verify();

-- Wrong at both ends and between; an event without a lead
SET session_replication_role = replica;
DELETE FROM crm.lead_state WHERE lead_id IN (-19997, -2, 10150);
INSERT INTO crm.event (lead_id, kind, occurred_at) VALUES (4000000000000000000, 'page_view', '2025-01-02 00:00+00');
RESET session_replication_role;
CREATE TEMP TABLE wrong AS SELECT * FROM leadscore_internal.verify('crm');
SELECT lead_id, problem FROM wrong ORDER BY lead_id;
-- the shares together are the whole, each difference once
SELECT n AS shares, count(*) AS differences, count(w.lead_id) AS found, count(DISTINCT w.lead_id) AS leads
FROM unnest('{1,2,3,6,50}'::int[]) n, generate_series(1, n) k, leadscore_internal.verify_share('crm', k, n) v LEFT JOIN wrong w ON w IS NOT DISTINCT FROM v
GROUP BY n ORDER BY n;
SELECT leadscore_internal.verify_share('crm', 0, 6);
SELECT leadscore_internal.verify_share('crm', 7, 6);

-- Workers do it, in a transaction that has written too
EXPLAIN (COSTS OFF) SELECT * FROM leadscore_internal.verify_share('crm', 1, 2) UNION ALL SELECT * FROM leadscore_internal.verify_share('crm', 2, 2);
BEGIN;
SET LOCAL session_replication_role = replica;
DELETE FROM crm.lead_state WHERE lead_id = 1000;
SET LOCAL session_replication_role = origin;
SELECT v.lead_id, v.problem FROM crm.verify() v ORDER BY v.lead_id;
SET LOCAL max_parallel_workers_per_gather = 0;
SELECT v.lead_id, v.problem FROM crm.verify() v ORDER BY v.lead_id;
ROLLBACK;
-- rows without a lead are found if there are no leads at all
SET session_replication_role = replica;
TRUNCATE crm.lead, crm.lead_state CASCADE;
INSERT INTO crm.event (lead_id, kind, occurred_at) VALUES (7, 'page_view', '2025-01-02 00:00+00');
RESET session_replication_role;
SELECT k, v.lead_id, v.problem FROM generate_series(1, 3) k, leadscore_internal.verify_share('crm', k, 3) v WHERE v.lead_id = 7;

SELECT leadscore.drop_pipeline('crm') \g /dev/null
