-- Many leads with 25 rules: psql variable leads. Each lead is known for a year, and
-- does some of 25 things in its first month; the chance to buy follows from them.
CREATE TABLE weight AS
SELECT n AS place, 'k' || n AS kind, CASE n % 5 WHEN 0 THEN -0.5 WHEN 1 THEN 0.4 WHEN 2 THEN 0.2 ELSE 0 END::double precision AS weight
FROM generate_series(1, 25) n;
INSERT INTO signal (signal, event_kinds) SELECT 'counts ' || kind, ARRAY[kind] FROM weight;
INSERT INTO model (model) VALUES ('guess');
INSERT INTO dimension (model, dimension) VALUES ('guess', 'all');
INSERT INTO rule (model, dimension, rule, signal, points) SELECT 'guess', 'all', 'rule ' || kind, 'counts ' || kind, CASE WHEN weight < 0 THEN -5 ELSE 5 END FROM weight;
INSERT INTO stage_rule (model, stage, min_score) VALUES ('guess', 'mql', 20), ('guess', 'sql', 35);
-- on average ten events a lead, some kinds more than once
CREATE UNLOGGED TABLE done AS
SELECT n AS lead_id, m AS month, k.place, k.many
FROM (SELECT n, timestamptz '2023-01-01 00:00Z' + (hashint8extended(n, 1) & 15) * interval '30 days' AS m FROM generate_series(1, :leads) n OFFSET 0) l,
    LATERAL (SELECT w.place, 1 + (hashint8extended(l.n, 200 + w.place) & 1)::int AS many FROM weight w
        WHERE (hashint8extended(l.n, 100 + w.place) & 1023) < 270) k;
INSERT INTO lead (lead_id, external_id, email, consented_at, created_at)
SELECT n, 'lead-' || n, 'a@b', c.at, c.at FROM generate_series(1, :leads) n,
    LATERAL (SELECT timestamptz '2023-01-01 06:00Z' + (hashint8extended(n, 1) & 15) * interval '30 days' AS at) c;
INSERT INTO event (lead_id, kind, occurred_at)
SELECT d.lead_id, 'k' || d.place, d.month + interval '1 hour' * (24 + (hashint8extended(d.lead_id, 300 + 3 * d.place + i) & 511))
FROM done d, generate_series(1, d.many) i;
INSERT INTO event (lead_id, kind, occurred_at, value)
SELECT e.lead_id, 'purchase', e.month + interval '1 hour' * (600 + (hashint8extended(e.lead_id, 3) & 2047)), 100
FROM (SELECT d.lead_id, d.month, -3.5 + sum(w.weight * d.many) AS eta FROM done d JOIN weight w USING (place) GROUP BY d.lead_id, d.month) e
WHERE (hashint8extended(e.lead_id, 2) & 65535) / 65536.0 < 1 / (1 + exp(-e.eta));
DROP TABLE done;
