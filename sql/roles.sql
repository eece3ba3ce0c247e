--
-- What an event means is said once, by the role of its kind
--

SELECT leadscore.create_pipeline('crm') \g /dev/null
SET search_path = crm, crm_reports, leadscore, leadscore_internal;
INSERT INTO lead (lead_id, email, consented_at, created_at, updated_at)
    SELECT i, 'a@example.com', '2025-01-01Z', '2025-01-01Z', '2025-01-01Z' FROM generate_series(1, 3) i;
INSERT INTO event (lead_id, kind, occurred_at, value) VALUES
    (1, 'order_paid', '2025-01-02 12:00Z', 30), (1, 'order_paid', '2025-01-05 12:00Z', 20),
    (2, 'purchase', '2025-01-03 12:00Z', 10), (3, 'page_view', '2025-01-04 12:00Z', NULL);
CREATE VIEW figures AS
    SELECT (SELECT count(*) FROM lead_state WHERE stage = 'customer') AS recorded,
        (SELECT string_agg(format('%s %s', lead_id, stage), ', ' ORDER BY lead_id) FROM lead_score) AS now,
        (SELECT entered FROM funnel WHERE stage = 'customer') AS funnel,
        (SELECT sum(numerator) FROM conversion_rates WHERE metric = 'lead_to_customer' AND market = 'all') AS rates,
        (SELECT count(DISTINCT lead_id) FROM purchases) AS money,
        (SELECT sum(revenue_amount) FROM customer_lifetime_value) AS revenue,
        (SELECT string_agg(reason, ', ') FROM unscored_events) AS unscored,
        (SELECT count(*) FROM verify()) AS differ;

-- a kind of one's own: unknown at first, a purchase in all reports as soon as
-- it has the role, and in the log of stages when it was swept
SELECT * FROM figures;
INSERT INTO event_kind (kind, role, note) VALUES ('order_paid', 'purchase', 'the shop was paid (value: amount)');
SELECT * FROM figures;
SELECT sweep();
SELECT * FROM figures;
SELECT lead_id, to_stage, effective_at AT TIME ZONE 'UTC' AS at FROM stage_history WHERE to_stage = 'customer' ORDER BY 1;
-- the next one counts at once
INSERT INTO event (lead_id, kind, occurred_at, value) VALUES (3, 'order_paid', '2025-01-06 12:00Z', 5);
SELECT * FROM figures;
-- what role it has can be changed: then it never was a purchase
BEGIN;
UPDATE event_kind SET role = 'request' WHERE kind = 'order_paid';
SELECT sweep();
SELECT * FROM figures;
ROLLBACK;
BEGIN;
DELETE FROM event_kind WHERE kind = 'order_paid';
SELECT sweep();
SELECT * FROM figures;
ROLLBACK;
BEGIN;
TRUNCATE event_kind;
SELECT sweep();
SELECT * FROM figures;
ROLLBACK;
SELECT * FROM figures;

-- only an edit that changes what signals find puts leads behind
CREATE VIEW behind AS SELECT count(*) AS behind FROM lead_state s, setting g WHERE s.configuration < g.configuration;
INSERT INTO event_kind (kind, role) VALUES ('chat', 'request');
UPDATE event_kind SET note = 'x' WHERE kind = 'order_paid';
SELECT * FROM behind;
UPDATE event_kind SET role = 'visit' WHERE kind = 'chat';
SELECT * FROM behind;
UPDATE event_kind SET kind = 'order' WHERE kind = 'order_paid';
SELECT * FROM behind;
UPDATE event_kind SET kind = 'order_paid' WHERE kind = 'order';
SELECT sweep();
SELECT * FROM figures;

-- a role that nobody knows is refused where it is written
INSERT INTO event_kind (kind, role) VALUES ('invoice', 'purchases');
UPDATE event_kind SET role = 'buy' WHERE kind = 'order_paid';
INSERT INTO signal (signal, event_role) VALUES ('bought', 'purchases');
\set VERBOSITY terse
INSERT INTO signal (signal, event_kinds, event_role) VALUES ('bought', '{order_paid}', 'purchase');
INSERT INTO signal (signal, source, event_role, condition) VALUES ('bought', 'profile', 'purchase', '$.a');
\set VERBOSITY default
DELETE FROM event_role WHERE role = 'purchase';
-- one's own role, for signals of one's own; a condition holds for it too
INSERT INTO event_role (role, note) VALUES ('engagement', 'ours');
INSERT INTO event_kind (kind, role) VALUES ('liked', 'engagement'), ('shared', 'engagement');
INSERT INTO signal (signal, event_role, condition) VALUES ('engaged', 'engagement', '$value > 1');
INSERT INTO event (lead_id, kind, occurred_at, value) VALUES (3, 'liked', '2025-01-07Z', 1), (3, 'liked', '2025-01-07Z', 2), (3, 'shared', '2025-01-07Z', 3);
SELECT s.signal, sum(u.count) FROM lead_state l, unnest(l.activity) u JOIN signal s USING (signal_id) WHERE l.lead_id = 3 GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM verify();

-- A call in PL/pgSQL is used again by later statements: with another role, and after
-- a kind came. Each webinar counts for a signal, so a lead without counts has seen
-- none; of engagement only some events count.
DO $$
DECLARE
    roles text[];
    kinds text[];
    may_have boolean;
BEGIN
    FOR i IN 1 .. 3 LOOP
        roles := CASE i WHEN 2 THEN '{webinar}' ELSE '{engagement}' END;
        kinds := kinds_of('event_kind', VARIADIC roles);
        may_have := may_have_event('crm', 'day{}', VARIADIC roles);
        RAISE WARNING '%: % kinds, %', roles, cardinality(kinds), may_have;
        INSERT INTO event_kind (kind, role) VALUES ('praised ' || i, 'engagement');
    END LOOP;
END $$;
SELECT count(*) FROM event_kind WHERE role = 'webinar';

-- A query looks up the active model once, for however many leads
BEGIN;
SELECT count(score_by_id(lead_id)) FROM lead;
SELECT seq_scan + idx_scan AS looks FROM pg_stat_xact_user_tables WHERE relid = 'model'::regclass \gset
SELECT count(score_by_id(lead_id)) FROM lead;
SELECT seq_scan + idx_scan - :looks AS looks FROM pg_stat_xact_user_tables WHERE relid = 'model'::regclass;
COMMIT;

-- A lead is recommended by another one
INSERT INTO lead (lead_id, referred_by) VALUES (4, 1), (5, 6), (6, NULL);
\set VERBOSITY terse
UPDATE lead SET referred_by = 2 WHERE lead_id = 2;
UPDATE lead SET referred_by = 99 WHERE lead_id = 2;
\set VERBOSITY default
DELETE FROM lead WHERE lead_id = 1;
SELECT lead_id, referred_by FROM lead WHERE lead_id > 3 ORDER BY 1;
SELECT count(*) FROM verify();

DROP VIEW figures, behind;
RESET search_path;
SELECT leadscore.drop_pipeline('crm');
