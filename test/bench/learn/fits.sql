-- Fits of rows with the features, the weights and the chances of history.sql, one
-- instant a lead: psql variables leads, fits. One line a fit: intervals, and
-- those that hold the true weight.
CREATE FUNCTION pg_temp.draw(lead bigint, question int, seed int) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((hashint8extended(lead, question + 1000::bigint * seed) & 4294967295) + 0.5) / 4294967296.0::double precision;
CREATE TEMP TABLE weight (place int, many int, weight double precision);
INSERT INTO weight VALUES (1, 3, 0.5), (2, 1, 1.2), (3, 2, -0.6), (4, 1, 0), (5, 4, 0.25), (6, 1, -1), (7, 2, 0.1), (8, 1, 0.8), (9, 3, 0), (10, 1, 0.4);
SELECT s.seed, count(*) AS intervals, count(*) FILTER (WHERE abs(c - w.weight) <= 1.959964 * e) AS hold
FROM generate_series(1001, 1000 + :fits) s (seed)
    CROSS JOIN LATERAL (
        SELECT leadscore.logistic_fit(pg_temp.draw(r.n, 2, s.seed) < 1 / (1 + exp(3.2 - r.eta)), r.counts, 1) AS f
        FROM (
            SELECT n, array_agg(greatest(0, floor(pg_temp.draw(n, 10 + w.place, s.seed) * 2 * (w.many + 0.5)) - w.many) ORDER BY w.place) AS counts,
                sum(w.weight * greatest(0, floor(pg_temp.draw(n, 10 + w.place, s.seed) * 2 * (w.many + 0.5)) - w.many)) AS eta
            FROM generate_series(1, :leads) n, weight w
            GROUP BY n
        ) r
    ) f
    CROSS JOIN LATERAL unnest((f).coefficients, (f).errors) WITH ORDINALITY AS u (c, e, n)
    JOIN weight w ON w.place = n
GROUP BY s.seed ORDER BY s.seed;
