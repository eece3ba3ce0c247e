-- Many leads with 25 rules: psql variable leads. Each lead is known for a year and does
-- some of 25 things in the course of it; each month the chance to buy follows from what
-- it did before.
CREATE TABLE weight AS
SELECT n AS place, 'k' || n AS kind, CASE n % 5 WHEN 0 THEN -0.5 WHEN 1 THEN 0.6 WHEN 2 THEN 0.3 ELSE 0 END::double precision AS weight
FROM generate_series(1, 25) n;
INSERT INTO signal (signal, event_kinds) SELECT 'counts ' || kind, ARRAY[kind] FROM weight;
INSERT INTO model (model) VALUES ('guess');
INSERT INTO dimension (model, dimension) VALUES ('guess', 'all');
INSERT INTO rule (model, dimension, rule, signal, points) SELECT 'guess', 'all', 'rule ' || kind, 'counts ' || kind, CASE WHEN weight < 0 THEN -5 ELSE 5 END FROM weight;
INSERT INTO stage_rule (model, stage, min_score) VALUES ('guess', 'mql', 20), ('guess', 'sql', 35);
-- on average ten events a lead, some kinds more than once, hours after its creation
CREATE UNLOGGED TABLE done AS
SELECT n AS lead_id, k.place, 24 + (hashint8extended(n, 300 + 3 * k.place + i) & 8191) AS hour
FROM generate_series(1, :leads) n,
    LATERAL (SELECT w.place, 1 + (hashint8extended(n, 200 + w.place) & 1)::int AS many FROM weight w
        WHERE (hashint8extended(n, 100 + w.place) & 1023) < 270) k, generate_series(1, k.many) i;
INSERT INTO lead (lead_id, external_id, email, consented_at, created_at)
SELECT n, 'lead-' || n, 'a@b', c.at, c.at FROM generate_series(1, :leads) n,
    LATERAL (SELECT timestamptz '2023-01-01 06:00Z' + (hashint8extended(n, 1) & 15) * interval '30 days' AS at) c;
INSERT INTO event (lead_id, kind, occurred_at)
SELECT d.lead_id, 'k' || d.place, l.created_at + d.hour * interval '1 hour' FROM done d JOIN lead l USING (lead_id);
-- the first month in which it buys: of 720 hours
INSERT INTO event (lead_id, kind, occurred_at, value)
SELECT lead_id, 'purchase', l.created_at + interval '1 hour' * (720 * min(b.month) + (hashint8extended(lead_id, 3) & 511)), 100
FROM (SELECT d.lead_id, d.hour / 720 + 1 AS month, lead(d.hour / 720 + 1, 1, 13::bigint) OVER later AS until_month,
            -5 + sum(w.weight) OVER later AS eta
        FROM done d JOIN weight w USING (place) WINDOW later AS (PARTITION BY d.lead_id ORDER BY d.hour, d.place ROWS UNBOUNDED PRECEDING)
    ) e
    CROSS JOIN generate_series(e.month, e.until_month - 1) b (month)
    JOIN lead l USING (lead_id)
WHERE (hashint8extended(lead_id, 2 + 1000 * b.month) & 65535) / 65536.0 < 1 / (1 + exp(-e.eta))
GROUP BY lead_id, l.created_at;
DROP TABLE done;
