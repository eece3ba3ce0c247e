-- Logistic regression: published results, hard cases, and the order of rows

SET client_min_messages = 'notice';
SET search_path = public, leadscore;
SET extra_float_digits = 0;

-- Berkeley 1973 (UCBAdmissions of R), admitted ~ female + department. R's glm:
-- 0.58205139528, 0.09987008816, -0.04339793121, -1.26259802238, -1.29460646875,
-- -1.73930573782, -3.30648005589
CREATE TEMP TABLE berkeley AS
SELECT (d.department, d.female, a.admitted)::text AS name, a.admitted, ARRAY[d.female, (d.department = 'B')::int, (d.department = 'C')::int, (d.department = 'D')::int, (d.department = 'E')::int, (d.department = 'F')::int]::float8[] AS features, a.n
FROM (VALUES ('A', 0, 512, 313), ('A', 1, 89, 19), ('B', 0, 353, 207), ('B', 1, 17, 8), ('C', 0, 120, 205), ('C', 1, 202, 391),
		('D', 0, 138, 279), ('D', 1, 131, 244), ('E', 0, 53, 138), ('E', 1, 94, 299), ('F', 0, 22, 351), ('F', 1, 24, 317)) AS d (department, female, yes, no),
	LATERAL (VALUES (true, d.yes), (false, d.no)) AS a (admitted, n);
CREATE TEMP TABLE applicant AS
SELECT b.admitted, b.features, row_number() OVER (ORDER BY b.name, i) AS id FROM berkeley b, generate_series(1, b.n) i;
ANALYZE applicant;
SELECT round(intercept::numeric, 8) AS intercept, round(intercept_error::numeric, 6) AS error, round(log_likelihood::numeric, 4) AS log_likelihood, labels, positives
FROM (SELECT (logistic_fit(admitted, features, 0)).* FROM applicant) f;
SELECT n, round(c::numeric, 8) AS coefficient, round(e::numeric, 6) AS error
FROM (SELECT logistic_fit(admitted, features, 0) AS f FROM applicant) f, unnest((f).coefficients, (f).errors) WITH ORDINALITY AS u (c, e, n) ORDER BY n;

-- The twenty patients of MADlib's manual; R: -6.36346994, -1.02410605, 0.11904492, log-likelihood -9.41018299
CREATE TEMP TABLE patient (attack boolean, treatment int, anxiety int);
INSERT INTO patient VALUES (true, 1, 70), (true, 1, 50), (true, 0, 40), (true, 0, 75), (true, 0, 70), (false, 1, 65), (false, 1, 45), (false, 1, 40), (false, 0, 55), (false, 0, 50),
	(true, 1, 80), (true, 0, 60), (true, 0, 65), (true, 0, 80), (true, 0, 60), (false, 1, 50), (false, 1, 35), (false, 1, 50), (false, 0, 45), (false, 0, 60);
SELECT round(f.intercept::numeric, 8) AS intercept, round(f.coefficients[1]::numeric, 8) AS treatment, round(f.coefficients[2]::numeric, 8) AS anxiety, round(f.log_likelihood::numeric, 7) AS log_likelihood
FROM (SELECT (logistic_fit(attack, ARRAY[treatment, anxiety], 0)).* FROM patient) f;

-- infert of R, case ~ spontaneous + induced: -1.707860071360, 1.197205035293, 0.418129395048
SELECT round((f).intercept::numeric, 9) AS intercept, round((f).coefficients[1]::numeric, 9) AS spontaneous, round((f).coefficients[2]::numeric, 9) AS induced
FROM (SELECT logistic_fit(c = 1, ARRAY[spontaneous, induced], 0) AS f
	FROM (VALUES (0, 0, 0, 60), (1, 0, 0, 7), (0, 1, 0, 25), (1, 1, 0, 22), (0, 2, 0, 11), (1, 2, 0, 18), (0, 0, 1, 33), (1, 0, 1, 12), (0, 1, 1, 11), (1, 1, 1, 5),
			(0, 2, 1, 1), (1, 2, 1, 6), (0, 0, 2, 20), (1, 0, 2, 9), (0, 1, 2, 4), (1, 1, 2, 4)) AS v (c, spontaneous, induced, n), generate_series(1, n)) f;

-- One feature that is there or not: the coefficient is the logarithm of the odds
-- ratio, and its variance the sum of 1 / n over the four cells
SELECT round((f).coefficients[1]::numeric, 10) = round(ln(30 * 60 / (10 * 20)::numeric), 10) AS odds_ratio,
	round((f).intercept::numeric, 10) = round(ln(20 / 60::numeric), 10) AS intercept,
	round((f).errors[1]::numeric, 9) = round(sqrt(1 / 30.0 + 1 / 10.0 + 1 / 20.0 + 1 / 60.0), 9) AS error
FROM (SELECT logistic_fit(i <= 30 OR i BETWEEN 41 AND 60, ARRAY[(i <= 40)::int], 0) AS f FROM generate_series(1, 120) i) f;

-- The same bits in every order, from one process and from several
CREATE FUNCTION bits(f logistic_model) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT md5(float8send((f).intercept)::text || (SELECT string_agg(float8send(x)::text, '') FROM unnest((f).coefficients || (f).errors) x) || float8send((f).log_likelihood)::text) $$;
CREATE TEMP TABLE odd AS
SELECT hashint8extended(i, 7) % 3 = 0 AS label, ARRAY[(i % 7) * 0.1, sqrt(i % 50), (i % 3) - 1]::float8[] AS features, i FROM generate_series(1, 5000) i;
CREATE TABLE public.spread AS SELECT * FROM odd;
ALTER TABLE spread SET (parallel_workers = 2);
ANALYZE spread;
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT logistic_fit(label, features, 1) FROM spread;
CREATE TEMP TABLE way AS SELECT 'parallel' AS way, bits(logistic_fit(label, features, 1)) AS bits FROM spread;
SET max_parallel_workers_per_gather = 0;
INSERT INTO way SELECT 'serial', bits(logistic_fit(label, features, 1)) FROM spread;
INSERT INTO way SELECT 'backwards', bits(logistic_fit(label, features, 1 ORDER BY i DESC)) FROM spread;
INSERT INTO way SELECT 'shuffled', bits(logistic_fit(label, features, 1 ORDER BY hashint8(i))) FROM spread;
SELECT count(*) AS ways, count(DISTINCT bits) AS results FROM way;
-- a state can be asked again
SELECT count(*), count(DISTINCT bits) AS results FROM (SELECT bits(logistic_fit(label, features, 1) OVER (ORDER BY i)) AS bits FROM spread WHERE i <= 20) w WHERE bits IS NOT NULL;
DROP TABLE spread;

-- Constant columns say nothing, and a sum of others is shared or refused
SELECT (f).coefficients[2:4] AS constant, (f).errors[2:4] AS none, round((f).coefficients[1]::numeric, 6) = round((g).coefficients[1]::numeric, 6) AS same
FROM (SELECT logistic_fit(attack, ARRAY[anxiety, 0, 1, -2.5], 0) AS f, logistic_fit(attack, ARRAY[anxiety], 0) AS g FROM patient) f;
SELECT logistic_fit(attack, ARRAY[anxiety, treatment, anxiety + treatment], 0) FROM patient;
SELECT round((f).coefficients[1]::numeric, 6) = round((f).coefficients[2]::numeric, 6) AS shared FROM (SELECT logistic_fit(attack, ARRAY[treatment, treatment], 1) AS f FROM patient) f;
-- labels that can be told apart without an error
SELECT logistic_fit(i > 50, ARRAY[i], 0) FROM generate_series(1, 100) i;
SELECT logistic_fit(i > 50, ARRAY[(i > 50)::int], 0) FROM generate_series(1, 100) i;
SELECT (f).coefficients[1] > 1 AS rises, (f).coefficients[1] < 10 AS ends FROM (SELECT logistic_fit(i > 50, ARRAY[(i > 50)::int], 1) AS f FROM generate_series(1, 100) i) f;
SELECT logistic_fit(true, ARRAY[i], 1) FROM generate_series(1, 100) i;
SELECT logistic_fit(false, ARRAY[i], 1) FROM generate_series(1, 100) i;
-- what is no row
SELECT logistic_fit(NULL, ARRAY[1.0], 1) IS NULL AS nothing, logistic_fit(true, ARRAY[1.0], 1) FILTER (WHERE false) IS NULL AS none;
SELECT (logistic_fit(l, f, 0)).labels FROM (VALUES (true, ARRAY[1.0]), (false, ARRAY[2.0]), (true, ARRAY[3.0]), (NULL, ARRAY[9.0]), (false, NULL), (false, ARRAY[3.5])) AS v (l, f);
SELECT (f).coefficients, round((f).intercept::numeric, 9) AS intercept FROM (SELECT logistic_fit(i <= 25, '{}', 1) AS f FROM generate_series(1, 100) i) f;
SELECT logistic_fit(true, ARRAY[1.0, NULL], 1);
SELECT logistic_fit(true, ARRAY['NaN'::float8], 1);
SELECT logistic_fit(true, ARRAY[[1.0], [2.0]], 1);
SELECT logistic_fit(true, f, 1) FROM (VALUES (ARRAY[1.0]), (ARRAY[1.0, 2.0])) AS v (f);
SELECT logistic_fit(true, ARRAY[1.0], -1);
SELECT logistic_fit(true, ARRAY[1.0], NULL);
SELECT logistic_fit(true, ARRAY[1.0], r) FROM (VALUES (1), (2)) AS v (r);
SELECT logistic_fit(true, array_fill(1.0::float8, ARRAY[1001]), 1);

-- Clusters: rows that are there twice say nothing new, so the error stays
SELECT round((t).errors[1]::numeric, 8) = round((o).errors[1]::numeric, 8) AS same
FROM (SELECT logistic_fit(admitted, features, 0, id) AS t FROM applicant, generate_series(1, 2)) t,
	(SELECT logistic_fit(admitted, features, 0, id) AS o FROM applicant) o;
-- with an intercept alone the variance is clusters / (clusters - 1) * the sum of the squares of what each cluster is off, over (n p (1 - p))^2
WITH r AS (SELECT i % 7 = 0 OR i < 20 AS label, i / 13 AS cluster FROM generate_series(1, 100) i),
	p AS (SELECT avg(label::int) AS p, count(*) AS n, count(DISTINCT cluster) AS g FROM r),
	c AS (SELECT sum(label::int - p.p) AS off FROM r, p GROUP BY r.cluster)
SELECT round((SELECT (logistic_fit(label, '{}', 0, cluster)).intercept_error FROM r)::numeric, 10)
	= round(sqrt(p.g / (p.g - 1.0) * (SELECT sum(off * off) FROM c) / (p.n * p.p * (1 - p.p)) ^ 2), 10) AS same
FROM p;

-- Samples: the area under the curve by counting pairs, and the same fit
CREATE TEMP TABLE sample AS SELECT leadscore_internal.logistic_sample(attack, ARRAY[treatment, anxiety]) AS s FROM patient;
SELECT a.leads, a.converted, round(a.auc::numeric, 8) AS auc, round(a.auc_low::numeric, 4) AS low, round(a.auc_high::numeric, 4) AS high,
	(SELECT round(avg(CASE WHEN p.anxiety > n.anxiety THEN 1 WHEN p.anxiety = n.anxiety THEN 0.5 ELSE 0 END), 8) FROM patient p, patient n WHERE p.attack AND NOT n.attack) AS by_pairs
FROM sample, leadscore_internal.logistic_auc(s, '{0,1}') a;
SELECT f.place, f.leads, f.converted, round(f.auc::numeric, 8) AS auc FROM sample, leadscore_internal.logistic_features(s) f;
SELECT bits(leadscore_internal.logistic_fit_sample(s, '{t,t}', 0)) = (SELECT bits(logistic_fit(attack, ARRAY[treatment, anxiety], 0)) FROM patient) AS same,
	round((leadscore_internal.logistic_fit_sample(s, '{f,t}', 0)).coefficients[1]::numeric, 3) AS left_out
FROM sample;
-- bytes that anybody could make up
SELECT leadscore_internal.logistic_auc('\x', '{}');
SELECT leadscore_internal.logistic_auc(substr(s, 1, length(s) - 8), '{0,1}') FROM sample;
SELECT leadscore_internal.logistic_fit_sample(s, '{t}', 0) FROM sample;
SELECT leadscore_internal.logistic_auc(s, '{1}') FROM sample;
DO $$
DECLARE
	s bytea := (SELECT sample.s FROM sample);
	refused int := 0;
BEGIN
	FOR i IN 0 .. length(s) - 1 LOOP
		BEGIN
			PERFORM leadscore_internal.logistic_auc(set_byte(s, i, (get_byte(s, i) + 137) % 256), '{0,1}');
		EXCEPTION WHEN invalid_parameter_value OR array_subscript_error THEN
			refused := refused + 1;
		END;
	END LOOP;
	ASSERT refused > 0;
END $$;
