--
-- Points learned from several instants of a lead: the rows, beside the log, and the errors, beside R
--
\getenv srcdir PG_ABS_SRCDIR
\set history :srcdir '/test/bench/learn/history.sql'
SET timezone = 'Asia/Kathmandu';
SELECT leadscore.create_pipeline('crm', attach => false) \g /dev/null
SET search_path = crm, crm_reports, leadscore, leadscore_internal, public;
SET client_min_messages = 'warning';

-- Refused arguments
SELECT count(*) FROM suggest_points('inbound', instants => 0);
SELECT count(*) FROM suggest_points('inbound', instants => 25);
SELECT count(*) FROM suggest_points('inbound', instants => NULL);

\set leads 2000
\set seed 5
\set ECHO none
\set QUIET on
\i :history
\set QUIET off
\set ECHO all
-- a third of the leads do something later, and a fifth have a job from their 45th day on
INSERT INTO event (lead_id, kind, occurred_at) SELECT lead_id, 'a', created_at + interval '40 days' FROM lead WHERE lead_id % 3 = 0;
INSERT INTO rule (model, dimension, rule, signal, points) VALUES ('guess', 'all', 'boss', 'decision_maker', 5);
SELECT attach_pipeline('crm');
UPDATE lead SET profile = '{"job_title": "CEO"}', updated_at = created_at + interval '45 days' WHERE lead_id % 5 = 0;

-- The instants that are left for a horizon of 80 days, a split and an end
\set horizon '''80 days'''
\set split '''2024-06-01 00:00Z'''
\set at '''2025-03-01 00:00Z'''
CREATE TEMP VIEW month AS SELECT array_agg(m ORDER BY m) AS months FROM (SELECT timestamptz '2023-02-01 00:00Z' + n * interval '1 month' AS m FROM generate_series(0, 22) n) i
WHERE m <= '2024-03-01 00:00Z' OR m >= :split;

-- What is looked at, from the log: the first months that the hash draws, at whose
-- beginning a lead was known and had not bought; from the split on only the first
CREATE FUNCTION pg_temp.by_hand(most bigint) RETURNS TABLE (lead_id bigint, at timestamptz, converted boolean, counts float8[], nth bigint) LANGUAGE sql AS $$
SELECT l.lead_id, c.at, coalesce(b.bought_at <= c.at + interval '80 days', false),
	(l.lead_id % 5 = 0 AND l.created_at + interval '45 days' < c.at)::int::float8
		|| array(SELECT (SELECT count(*) FROM crm.event e WHERE e.lead_id = l.lead_id AND e.kind = w.kind AND e.occurred_at < c.at)::float8 FROM crm.weight w ORDER BY w.place), c.nth
FROM crm.lead l
	LEFT JOIN LATERAL (SELECT min(occurred_at) AS bought_at FROM crm.event e WHERE e.lead_id = l.lead_id AND e.kind = 'purchase') b ON true
	CROSS JOIN LATERAL (SELECT m.at, row_number() OVER (ORDER BY m.at) AS nth FROM month, unnest(months) AS m (at)
		WHERE m.at > l.created_at AND (m.at < b.bought_at OR b.bought_at IS NULL) AND get_byte(sha256(convert_to(l.lead_id || ':' || extract(epoch FROM m.at)::bigint, 'UTF8')), 7) % 2 = 0) c
WHERE c.nth = 1 OR c.nth <= most AND c.at < '2024-06-01 00:00Z'
$$;
CREATE FUNCTION pg_temp.seen(most int) RETURNS TABLE (lead_id bigint, at timestamptz, converted boolean, counts float8[], nth bigint) LANGUAGE sql AS $$
SELECT p.lead_id, p.at, p.converted, p.rule_values[1:11], p.nth
FROM month, crm._past_leads(crm.compiled_model('guess'), 'customer', '80 days', months, true, most, '2024-06-01 00:00Z') p
$$;
CREATE TEMP TABLE by_hand AS SELECT * FROM pg_temp.by_hand(3);
CREATE TEMP TABLE seen AS SELECT * FROM pg_temp.seen(3);
SELECT at < :split AS learned, count(*), count(DISTINCT lead_id) AS leads, count(*) FILTER (WHERE converted) AS converted, count(DISTINCT lead_id) FILTER (WHERE converted) AS converted_leads
FROM by_hand GROUP BY 1 ORDER BY 1;
SELECT count(*) AS different FROM ((TABLE seen EXCEPT ALL TABLE by_hand) UNION ALL (TABLE by_hand EXCEPT ALL TABLE seen)) d;
-- all that the hash draws, and one of each
SELECT most, count(*) AS rows, (SELECT count(*) FROM (SELECT * FROM pg_temp.seen(most) EXCEPT ALL SELECT * FROM pg_temp.by_hand(most)) d) AS different,
	(SELECT count(*) FROM pg_temp.by_hand(most)) = count(*) AS all_there, max(nth) AS most_of_one
FROM (VALUES (1), (2), (24)) AS v (most), pg_temp.seen(most) GROUP BY most ORDER BY most;
-- the counts of a lead are not the same at each instant
SELECT count(*) > 100 AS later_events, (SELECT count(*) > 50 FROM seen a JOIN seen b USING (lead_id) WHERE a.nth < b.nth AND a.counts[1] < b.counts[1]) AS later_jobs FROM seen a JOIN seen b USING (lead_id) WHERE a.nth < b.nth AND a.counts[2] < b.counts[2];
-- no lead is on both sides
SELECT count(*) FROM (SELECT lead_id FROM seen GROUP BY lead_id HAVING count(DISTINCT at < :split) > 1) b;

-- The fit of these rows without a penalty, with errors clustered by lead. Base R, of
-- a file of the rows of by_hand before the split with their counts:
--
--	d <- read.table("rows.csv", sep = ";", header = TRUE); y <- d$converted
--	X <- do.call(rbind, lapply(strsplit(d$counts, ","), as.numeric))
--	exact <- glm.control(epsilon = 1e-14, maxit = 100)
--	m <- glm(y ~ X, family = binomial, control = exact)
--	b <- coef(m); p <- fitted(m); Z <- cbind(1, X)
--	bread <- solve(t(Z) %*% (Z * (p * (1 - p))))
--	u <- rowsum(Z * (y - p), d$lead_id); g <- nrow(u)
--	meat <- t(u) %*% u * g / (g - 1)
--	e <- sqrt(diag(bread %*% meat %*% bread)); naive <- sqrt(diag(bread))
--
-- and the points, on the scale that keeps the chance at 20 points of now:
--
--	score <- pmin(60, X %*% c(5, 5, 5, -5, 5, 5, -5, 5, 5, 5, 5))
--	l <- coef(glm(y ~ score, family = binomial, control = exact))
--	unit <- (l[1] + l[2] * 20 - b[1]) / 20
--	round(b[-1] / unit, 3); round(e[-1] / unit, 3); (l[1] + l[2] * 35 - b[1]) / unit
CREATE TEMP TABLE r AS SELECT * FROM (VALUES
	(0, '(Intercept)', -2.07047932611, 0.17935002261, 0.14008770147, NULL, NULL),
	(1, 'boss', 0.09188403258, 0.18148318974, 0.14418845112, 1.952, 3.856),
	(2, 'rule a', 0.47570715457, 0.05565488688, 0.04447288766, 10.108, 1.183),
	(3, 'rule b', 1.31747448529, 0.13793708521, 0.10817053860, 27.994, 2.931),
	(4, 'rule c', -0.84207372493, 0.08848219949, 0.06933172040, -17.892, 1.880),
	(5, 'rule d', 0.16924116613, 0.13851390475, 0.10731560120, 3.596, 2.943),
	(6, 'rule e', 0.31061470903, 0.04582654364, 0.03547621893, 6.600, 0.974),
	(7, 'rule f', -1.02463904898, 0.15021304490, 0.11281367987, -21.772, 3.192),
	(8, 'rule g', 0.14861621399, 0.07701754008, 0.06174205261, 3.158, 1.636),
	(9, 'rule h', 0.74269668003, 0.13421922586, 0.10524229539, 15.781, 2.852),
	(10, 'rule i', 0.01911269982, 0.05602425074, 0.04345886385, 0.406, 1.190),
	(11, 'rule j', 0.39103398150, 0.13346750271, 0.10529249665, 8.309, 2.836)) AS v (place, name, coefficient, error, naive, points, points_error);
WITH fit AS (SELECT leadscore_internal.logistic_fit_sample(leadscore_internal.logistic_sample(converted, counts, lead_id), array_fill(true, ARRAY[11]), 0) AS c,
		leadscore_internal.logistic_fit_sample(leadscore_internal.logistic_sample(converted, counts), array_fill(true, ARRAY[11]), 0) AS n, logistic_fit(converted, counts, 0, lead_id) AS l FROM seen WHERE at < :split)
SELECT count(*), bool_and(abs(u.b - r.coefficient) < 1e-9) AS coefficients, bool_and(abs(u.e - r.error) < 1e-9) AS errors, bool_and(abs(u.n - r.naive) < 1e-9) AS naive, bool_and(u.e > u.n) AS larger, (SELECT c = l FROM fit) AS same_as_aggregate
FROM fit, unnest((c).intercept || (c).coefficients, (c).intercept_error || (c).errors, (n).intercept_error || (n).errors) WITH ORDINALITY AS u (b, e, n, place) JOIN r ON r.place = u.place - 1;

CREATE TEMP TABLE one AS SELECT row_number() OVER () AS n, * FROM suggest_points('guess', horizon => :horizon, at => :at, split => :split, trust_profile => true, ridge => 0, decimals => 3, instants => 1);
CREATE TEMP TABLE three AS SELECT row_number() OVER () AS n, * FROM suggest_points('guess', horizon => :horizon, at => :at, split => :split, trust_profile => true, ridge => 0, decimals => 3, instants => 3, draft => 'three');
SELECT count(*), count(*) FILTER (WHERE points_suggested = r.points) AS points, count(*) FILTER (WHERE standard_error = r.points_error) AS errors FROM three JOIN r USING (name);
SELECT name, points_suggested FROM three WHERE level = 'threshold' ORDER BY n;
SELECT name, leads, converted, note FROM three WHERE level = 'model' ORDER BY n;
-- leads are counted, not rows; the model as it is and the rules are described as by one instant
SELECT leads, converted, test_leads, test_converted, note FROM learned_model JOIN model USING (model);
SELECT count(*), count(*) FILTER (WHERE (t.leads, t.converted, t.lift, t.auc, t.auc_low, t.auc_high) = (o.leads, o.converted, o.lift, o.auc, o.auc_low, o.auc_high)) AS same, count(*) FILTER (WHERE t.standard_error < o.standard_error) AS less
FROM one o JOIN three t USING (level, name) WHERE level = 'rule';
SELECT bool_and((t.leads, t.converted) = (o.leads, o.converted)) AS same_test, bool_and((t.auc, t.auc_low, t.auc_high) = (o.auc, o.auc_low, o.auc_high)) FILTER (WHERE name = 'now') AS same_now FROM one o JOIN three t USING (level, name) WHERE level = 'model';
-- the default is one
SELECT count(*) AS different FROM (SELECT row_number() OVER () AS n, * FROM suggest_points('guess', horizon => :horizon, at => :at, split => :split, trust_profile => true, ridge => 0, decimals => 3)) d FULL JOIN one o USING (n) WHERE (d.*) IS DISTINCT FROM (o.*);

-- Too few leads, though there are rows enough: 50 at least, and 10 for each rule
CREATE FUNCTION pg_temp.reached(until_at timestamptz, horizon interval) RETURNS TABLE (rows bigint, leads bigint, by_one bigint) LANGUAGE sql AS $$
SELECT count(*), count(DISTINCT h.lead_id), count(*) FILTER (WHERE h.nth = 1)
FROM by_hand h JOIN (SELECT lead_id, min(occurred_at) AS bought_at FROM crm.event WHERE kind = 'purchase' GROUP BY lead_id) b USING (lead_id) WHERE h.at <= until_at AND b.bought_at <= h.at + horizon
$$;
SELECT * FROM pg_temp.reached('2023-03-01 00:00Z', '110 days');
SELECT count(*) FROM suggest_points('guess', horizon => '110 days', at => :at, split => '2023-06-19 00:00Z', trust_profile => true, instants => 3);
SELECT count(*) FROM suggest_points('guess', horizon => '110 days', at => :at, split => '2023-06-19 00:00Z', trust_profile => true);
SELECT * FROM pg_temp.reached('2023-05-01 00:00Z', '80 days');
SELECT count(*) FROM suggest_points('guess', horizon => '80 days', at => :at, split => '2023-07-22 00:00Z', trust_profile => true, instants => 3);

-- Instants before the line up to which events were purged are left out, and later ones of the same lead stay
BEGIN;
SELECT count(*) FROM purge('2023-09-01 00:00Z') \g /dev/null
CREATE TEMP TABLE left_by_hand AS SELECT lead_id, at, converted, counts, row_number() OVER (PARTITION BY lead_id ORDER BY at) AS nth, nth AS nth_before FROM by_hand h LEFT JOIN lead_checkpoint c USING (lead_id) WHERE (h.at < c.purged_before) IS NOT TRUE;
SELECT count(*) FROM ((SELECT * FROM pg_temp.seen(3) EXCEPT ALL SELECT lead_id, at, converted, counts, nth FROM left_by_hand) UNION ALL (SELECT lead_id, at, converted, counts, nth FROM left_by_hand EXCEPT ALL SELECT * FROM pg_temp.seen(3))) d;
SELECT count(*) > 100 AS moved_up FROM left_by_hand WHERE nth = 1 AND nth_before > 1;
SELECT note LIKE format('%%learned from %s leads %% of which %s reached %%which gives %s rows', l.leads, l.converted, l.rows) AS counted
FROM suggest_points('guess', horizon => :horizon, at => :at, split => :split, trust_profile => true, instants => 3),
	(SELECT count(DISTINCT lead_id) AS leads, count(DISTINCT lead_id) FILTER (WHERE converted) AS converted, count(*) AS rows FROM left_by_hand WHERE at < :split) l
WHERE name = 'learned';
ROLLBACK;
DROP SCHEMA crm, crm_reports CASCADE;
