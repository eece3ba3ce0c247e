--
-- compare_models(): what two models have in common is computed once, and workers share the leads; each lead is what both models give by themselves
--
SELECT leadscore.create_pipeline('crm') \g /dev/null
SET search_path = crm, leadscore;
-- few leads to a block, so that there are blocks to share
ALTER TABLE lead_state SET (fillfactor = 10);
INSERT INTO lead (lead_id, email, consented_at, profile, created_at)
    SELECT n, CASE WHEN n % 4 > 0 THEN 'a' || n || '@example.com' END, CASE WHEN n % 5 > 0 THEN timestamptz '2025-01-01' END,
        jsonb_build_object('job_title', CASE WHEN n % 3 = 0 THEN 'Head of Sales' END, 'budget', n % 2 = 0, 'authority', true, 'need', true, 'timeline', true), '2025-01-01'
    FROM generate_series(1, 4000) n;
INSERT INTO event (lead_id, kind, occurred_at)
    SELECT 1 + n * 7919 % 4000, (ARRAY['pricing_view', 'page_view', 'demo_request', 'case_study_download', 'email_open', 'quote_request', 'cart_abandoned', 'product_page_view'])[1 + n % 8],
        now() - n % 200 * interval '1 day'
    FROM generate_series(1, 20000) n;

-- Drafts: the same; other points; other limits, decay and conditions; another set of signals; a rule of quiet time; other stages; nothing in common but the leads
CREATE TEMP TABLE draft AS SELECT * FROM unnest('{same,points,details,signals,quiet,stages,resets}'::text[]) AS name;
SELECT count(clone_model('inbound', name)) FROM draft;
UPDATE rule SET points = 20, max_points = 60 WHERE model = 'points' AND rule = 'prices viewed';
UPDATE rule SET limit_count = 2 WHERE model = 'details' AND rule = 'demo requested';
UPDATE rule SET decay_period = '10 days' WHERE model = 'details' AND rule = 'page viewed';
UPDATE rule SET only_if = '{pricing_view}' WHERE model = 'details' AND rule = 'quote requested';
UPDATE rule SET aggregate = 'first_n', first_n = 1 WHERE model = 'details' AND rule = 'e-mail opened';
DELETE FROM rule WHERE model = 'signals' AND rule = 'page viewed';
INSERT INTO rule (model, rule, dimension, signal, points, aggregate, after)
    SELECT 'quiet', 'quiet', dimension, 'page_view', -7, 'idle', '20 days' FROM rule WHERE model = 'quiet' AND rule = 'page viewed';
UPDATE stage_rule SET min_score = min_score / 2 WHERE model = 'stages' AND min_score IS NOT NULL;
UPDATE dimension SET reset_signals = '{demo_request}' WHERE model = 'resets';

-- Every lead apart, at an instant
CREATE FUNCTION pg_temp.apart(a text, b text, at timestamptz) RETURNS TABLE (level text, lead_id bigint, leads bigint, stage_a text, stage_b text, score_a numeric, score_b numeric, difference numeric)
LANGUAGE plpgsql AS $$
DECLARE
    model_a CONSTANT leadscore.lead_model := crm.compiled_model(a);
    model_b CONSTANT leadscore.lead_model := crm.compiled_model(b);
BEGIN
    RETURN QUERY
    WITH scored AS MATERIALIZED (
        SELECT s.lead_id, leadscore.qualified_stage(s.activity, model_a, at)::text AS stage_a, leadscore.qualified_stage(s.activity, model_b, at)::text AS stage_b,
            leadscore.score(s.activity, model_a, at) AS score_a, leadscore.score(s.activity, model_b, at) AS score_b
        FROM crm.lead_state s JOIN crm.lead l USING (lead_id)
        WHERE l.created_at <= at
    )
    SELECT 'stage', NULL::bigint, count(*), s.stage_a, s.stage_b, round(avg(s.score_a), 3), round(avg(s.score_b), 3), round(avg(s.score_b - s.score_a), 3) FROM scored s GROUP BY s.stage_a, s.stage_b
    UNION ALL
    SELECT 'lead', s.lead_id, 1, s.stage_a, s.stage_b, s.score_a, s.score_b, s.score_b - s.score_a FROM scored s WHERE s.stage_a <> s.stage_b OR s.score_a <> s.score_b;
END $$;
-- True if compare_models() says the same, and in order; how many leads differ depends on the day
CREATE FUNCTION pg_temp.agrees(a text, b text, at timestamptz) RETURNS boolean LANGUAGE sql AS $$
    WITH compared AS MATERIALIZED (SELECT * FROM crm.compare_models(a, b, at) WITH ORDINALITY),
        apart AS MATERIALIZED (SELECT p.*, row_number() OVER (ORDER BY level DESC, stage_rank(stage_a::lead_stage) DESC, stage_rank(stage_b::lead_stage) DESC, lead_id) FROM pg_temp.apart(a, b, at) p)
    SELECT NOT EXISTS (TABLE compared EXCEPT ALL TABLE apart) AND NOT EXISTS (TABLE apart EXCEPT ALL TABLE compared)
$$;
SELECT name, pg_temp.agrees('inbound', name, now()) AS agrees, pg_temp.agrees(name, 'inbound', now()) AS other_way, pg_temp.agrees(name, 'inbound', now() + interval '50 days') AS later,
    (SELECT count(*) FROM compare_models('inbound', name) WHERE level = 'lead') > 0 AS differ
FROM draft ORDER BY name;
SELECT bool_and(pg_temp.agrees(a.name, b.name, now())) AS all_agree FROM draft a, draft b;
SELECT score_a, score_b, difference FROM compare_models('inbound', 'points') WHERE score_a <> trim_scale(score_a) OR scale(score_b) > 3 OR difference <> score_b - score_a AND level = 'lead';

-- Workers share the blocks, and find the same
SELECT pg_relation_size('lead_state') / current_setting('block_size')::int >= 512 AS large;
EXPLAIN (COSTS OFF) SELECT * FROM leadscore_internal.compare_blocks('crm', compiled_model('inbound'), compiled_model('points'), now(), 0, 300)
    UNION ALL SELECT * FROM leadscore_internal.compare_blocks('crm', compiled_model('inbound'), compiled_model('points'), now(), 300, 0);
BEGIN;
CREATE TEMP TABLE by_workers AS SELECT * FROM compare_models('inbound', 'points') WITH ORDINALITY;
SET LOCAL max_parallel_workers_per_gather = 0;
CREATE TEMP TABLE alone AS SELECT * FROM compare_models('inbound', 'points') WITH ORDINALITY;
SELECT count(*) AS others FROM (TABLE by_workers EXCEPT ALL TABLE alone) o;
SELECT (SELECT count(*) FROM by_workers) = (SELECT count(*) FROM alone) AS as_many, (SELECT count(*) FROM alone) > 100 AS many;
COMMIT;

-- A lead that is created only in time to come is left out until then
INSERT INTO lead (lead_id, created_at) VALUES (5000, now() + interval '2 days');
SELECT sum(leads) FILTER (WHERE level = 'stage') AS leads, pg_temp.agrees('inbound', 'points', now()) AS agrees FROM compare_models('inbound', 'points');
SELECT sum(leads) FILTER (WHERE level = 'stage') AS leads, pg_temp.agrees('inbound', 'points', now() + interval '3 days') AS agrees FROM compare_models('inbound', 'points', now() + interval '3 days');

RESET search_path;
SELECT leadscore.drop_pipeline('crm') \g /dev/null
