-- A made-up history whose weights are known: psql variables leads and seed.
--
-- In each month from the first after it became known a lead buys with the same
-- chance, 1 / (1 + exp(-(-3.2 + the sum of weight * count))), on a day from the
-- 2nd to the 21st. What it counts lies before its first month. So at the beginning
-- of any month the chance to buy within 25 days is this one, whatever was before.

-- a number between 0 and 1 that belongs to a lead, a question and the seed
CREATE FUNCTION pg_temp.draw(lead bigint, question int, seed int) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((hashint8extended(lead, question + 1000::bigint * seed) & 4294967295) + 0.5) / 4294967296.0::double precision;

CREATE TABLE weight (place int PRIMARY KEY, kind text, many int, weight double precision);
INSERT INTO weight VALUES
    (1, 'a', 3, 0.5), (2, 'b', 1, 1.2), (3, 'c', 2, -0.6), (4, 'd', 1, 0), (5, 'e', 4, 0.25),
    (6, 'f', 1, -1), (7, 'g', 2, 0.1), (8, 'h', 1, 0.8), (9, 'i', 3, 0), (10, 'j', 1, 0.4);

INSERT INTO signal (signal, event_kinds) SELECT 'counts ' || kind, ARRAY[kind] FROM weight;
INSERT INTO model (model) VALUES ('guess');
INSERT INTO dimension (model, dimension, max_points) VALUES ('guess', 'all', 60);
-- points that somebody guessed
INSERT INTO rule (model, dimension, rule, signal, points) SELECT 'guess', 'all', 'rule ' || kind, 'counts ' || kind, CASE WHEN weight < 0 THEN -5 ELSE 5 END FROM weight;
INSERT INTO stage_rule (model, stage, min_score) VALUES ('guess', 'mql', 20), ('guess', 'sql', 35);

CREATE TABLE past AS
SELECT n AS lead_id, 1 + floor(pg_temp.draw(n, 1, :seed) * 20)::int AS month,
    array(SELECT greatest(0, floor(pg_temp.draw(n, 10 + w.place, :seed) * 2 * (w.many + 0.5)) - w.many)::int FROM weight w ORDER BY w.place) AS counts
FROM generate_series(1, :leads) n;
INSERT INTO lead (lead_id, external_id, email, consented_at, created_at)
SELECT p.lead_id, 'lead-' || p.lead_id, 'a@b', c.at, c.at FROM past p, LATERAL (SELECT timestamptz '2022-12-01 00:00Z' + p.month * interval '1 month' + interval '6 hours' AS at) c;
INSERT INTO event (lead_id, kind, occurred_at)
SELECT p.lead_id, w.kind, timestamptz '2022-12-01 00:00Z' + p.month * interval '1 month' + interval '1 day' * (1 + floor(pg_temp.draw(p.lead_id, 100 + 10 * w.place + i, :seed) * 25))
FROM past p, weight w, generate_series(1, p.counts[w.place]) i;
-- the month of the purchase: how many months pass is geometric
CREATE TABLE sale AS
SELECT p.lead_id, p.month + s.months AS month
FROM past p,
    LATERAL (SELECT -3.2 + sum(w.weight * p.counts[w.place]) AS eta FROM weight w) e,
    LATERAL (SELECT ceil(ln(pg_temp.draw(p.lead_id, 2, :seed)) / -ln(1 + exp(e.eta)))::int AS months) s
WHERE p.month + s.months <= 26;
INSERT INTO event (lead_id, kind, occurred_at, value)
SELECT s.lead_id, 'purchase', timestamptz '2022-12-01 12:00Z' + s.month * interval '1 month' + interval '1 day' * (1 + floor(pg_temp.draw(s.lead_id, 3, :seed) * 20)), 100
FROM sale s;
