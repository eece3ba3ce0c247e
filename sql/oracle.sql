-- The score, computed twice: by the extension and by plain SQL (test/oracle)
\getenv srcdir PG_ABS_SRCDIR
\set oracle :srcdir '/test/oracle/oracle.sql'
\set random :srcdir '/test/oracle/random.sql'
\set golden :srcdir '/test/oracle/golden.sql'
\set ECHO none
\i :oracle
\i :random
\i :golden
\set ECHO all

-- The oracle gives the values that were worked out by hand
SELECT * FROM oracle.golden_errors;

-- A count of an age, for the oracle and for the extension
CREATE FUNCTION oracle.activity(counts oracle.count[], grain text) RETURNS leadscore.lead_activity
LANGUAGE sql IMMUTABLE AS $$
	SELECT leadscore.lead_activity_agg(c.signal_id, oracle.bucket_start(c.bucket, grain), c.n, grain::interval)
	FROM unnest(counts || ROW(0, 0, 0)::oracle.count) c
$$;

-- The extension gives the same, weights in units of 2^-31: 2147483.648 points
-- make 2^31 milli-points
CREATE FUNCTION oracle.weight_model(decay text, period int, percent numeric) RETURNS leadscore.lead_model
LANGUAGE sql IMMUTABLE AS $$
	SELECT oracle.golden_model('1 hour', jsonb_build_object('points', 2147483.648, 'decay', decay,
				'decay_period', period || ' hours', 'decay_percent', percent))::text::leadscore.lead_model
$$;
SELECT g.*
FROM oracle.golden_weight g
WHERE g.weight IS DISTINCT FROM leadscore.score_milli(
	oracle.activity('{"(1,0,1)"}', '1 hour'), oracle.weight_model(decay, period, percent),
	oracle.bucket_start(age, '1 hour'));

SELECT g.id, g.what, g.value, s.score
FROM oracle.golden_rule g,
	 leadscore.score(oracle.activity(oracle.counts(g.counts), g.grain),
					 oracle.golden_model(g.grain, g.rule)::text::leadscore.lead_model,
					 oracle.bucket_start(g.d, g.grain)) s(score)
WHERE g.value IS DISTINCT FROM s.score;

SELECT g.*, s.*
FROM oracle.golden_stage g,
	 LATERAL (SELECT oracle.activity(oracle.counts(g.counts), '1 day') AS a,
					 oracle.golden_stages(g.gates_required)::text::leadscore.lead_model AS m,
					 oracle.bucket_start(g.d, '1 day') AS at) i,
	 LATERAL (SELECT leadscore.score(a, m, at), leadscore.qualified_stage(a, m, at)::text AS stage,
					 leadscore.stage_by_points(a, m, at)::text AS by_points, leadscore.grade(a, m, at),
					 oracle.bucket(leadscore.next_change(a, m, at), '1 day') AS next_change) s
WHERE ROW(g.score, g.stage, g.by_points, g.grade, g.next_change) IS DISTINCT FROM
	  ROW(s.score, s.stage, s.by_points, s.grade, s.next_change);

-- All weights of many periods and percentages
SELECT oracle.fill_half_life(p) FROM generate_series(1, 60) p OFFSET 60;
SELECT oracle.fill_half_life(p) FROM unnest(ARRAY[90, 100, 168, 180, 365, 720, 2160]) p OFFSET 7;
SELECT oracle.fill_step(p) FROM unnest(ARRAY[0.1, 0.5, 1, 3, 7.5, 10, 12.5, 33.333, 50, 75, 87.5, 99.999, 100]) p OFFSET 13;
CREATE TEMP TABLE weight AS
	SELECT decay, parameter::int AS period, NULL::numeric AS percent, steps AS age, weight
	FROM oracle.known_weight WHERE decay = 'half_life'
	UNION ALL
	SELECT decay, 1, parameter, steps, weight FROM oracle.known_weight WHERE decay = 'step'
	UNION ALL
	SELECT 'step', period, 10, age, oracle.weight('step', period, 10, age)
	FROM generate_series(2, 9) period, generate_series(0, 30) age
	UNION ALL
	SELECT 'linear', period, percent, age, oracle.weight('linear', period, percent, age)
	FROM unnest(ARRAY[1, 2, 3, 7, 10, 30, 90, 97]) period,
		 unnest(ARRAY[NULL, 100, 50, 33.333, 12.5, 7, 99.999]) percent,
		 generate_series(0, 200) age
	UNION ALL		-- and nothing after the last one
	SELECT decay, CASE decay WHEN 'step' THEN 1 ELSE parameter::int END,
		   CASE decay WHEN 'step' THEN parameter END, max(steps) + 1, 0
	FROM oracle.known_weight GROUP BY decay, parameter;
SELECT count(*) AS weights, count(*) FILTER (WHERE weight = 0) AS zero FROM weight;
WITH model AS MATERIALIZED (
	SELECT decay, period, percent, oracle.weight_model(decay, period, percent) AS m
	FROM (SELECT DISTINCT decay, period, percent FROM weight) w
)
SELECT w.decay, w.period, w.percent, count(*) AS wrong, min(age)
FROM model LEFT JOIN weight w ON (w.decay, w.period) = (model.decay, model.period)
							 AND w.percent IS NOT DISTINCT FROM model.percent
WHERE w.weight IS DISTINCT FROM leadscore.score_milli(
	'hour{1@2000-01-01T00:1}', m, oracle.bucket_start(age, '1 hour'))
GROUP BY w.decay, w.period, w.percent
ORDER BY 1, 2, 3;

-- Random models and histories: so many for each commit, more by "make oracle"
\getenv cases ORACLE_CASES
\if :{?cases}
\else
\set cases 200
\endif
CREATE TEMP TABLE history AS
	SELECT seed, h.*
	FROM generate_series(1, :cases) seed, oracle.random_history(seed, oracle.random_grain(seed)) h;
CREATE TEMP TABLE random_case AS
	SELECT seed, oracle.random_grain(seed) AS grain, oracle.random_model(seed) AS model
	FROM generate_series(1, :cases) seed;
ALTER TABLE random_case ADD counts oracle.count[], ADD m leadscore.lead_model, ADD a leadscore.lead_activity;
UPDATE random_case c SET
	m = model::text::leadscore.lead_model,
	counts = ARRAY(SELECT ROW(h.signal_id, oracle.bucket(h.at, grain), h.n)::oracle.count
				   FROM history h WHERE h.seed = c.seed),
	-- an activity learns its grain from its rows, so there is always one
	a = (SELECT leadscore.lead_activity_agg(h.signal_id, h.at, h.n, grain::interval)
		 FROM (SELECT signal_id, at, n FROM history h WHERE h.seed = c.seed
			   UNION ALL VALUES (0, NULL::timestamptz, 0)) h);
CREATE TEMP TABLE instant AS
	SELECT seed, i, at, oracle.bucket(at, grain) AS d
	FROM random_case, oracle.random_instants(seed, grain);
ANALYZE history, random_case, instant;

-- The activity holds these counts
SELECT seed
FROM random_case c
WHERE EXISTS (
	(SELECT signal_id::int, oracle.bucket(bucket, grain), count::numeric FROM leadscore.unnest(a)
	 EXCEPT ALL
	 SELECT signal_id, bucket, sum(n) FROM unnest(counts) GROUP BY 1, 2 HAVING sum(n) <> 0)
	UNION ALL
	(SELECT signal_id, bucket, sum(n) FROM unnest(counts) GROUP BY 1, 2 HAVING sum(n) <> 0
	 EXCEPT ALL
	 SELECT signal_id::int, oracle.bucket(bucket, grain), count::numeric FROM leadscore.unnest(a)));

-- What the oracle says of each case at each instant
CREATE TEMP TABLE answer AS
	SELECT seed, i, at, d, ARRAY(SELECT v FROM oracle.dimension_values(model, counts, d, d) v) AS dimensions
	FROM random_case JOIN instant USING (seed);
ALTER TABLE answer ADD score bigint, ADD stage text, ADD by_points text;
UPDATE answer x SET
	score = (SELECT s.score FROM oracle.scores(model, x.dimensions) s),
	stage = (SELECT q.stage FROM oracle.qualified_stages(model, counts, x.d, x.d, x.dimensions) q)
FROM random_case c WHERE c.seed = x.seed;
UPDATE answer x SET by_points = oracle.stage_by_points(x.score, model, counts, x.d)
FROM random_case c WHERE c.seed = x.seed;
ANALYZE answer;

-- What the cases are like: of everything there is something
SELECT count(*) = 4 * :cases AS all_cases, count(*) FILTER (WHERE score <> 0) > 2 * :cases AS with_points,
	   count(*) FILTER (WHERE score % 1000 <> 0) > :cases AS with_fractions,
	   count(*) FILTER (WHERE stage <> by_points) > :cases / 4 AS with_gates
FROM answer;
SELECT stage, count(*) > :cases / 20 AS some, count(*) FILTER (WHERE stage = by_points) > 0 AS also_by_points
FROM answer JOIN oracle.stage USING (stage) GROUP BY rank, stage ORDER BY rank;

-- Score, stages and dimensions
SELECT seed, i, d, x.score, leadscore.score_milli(a, m, at)
FROM answer x JOIN random_case USING (seed)
WHERE x.score IS DISTINCT FROM leadscore.score_milli(a, m, at)
   OR x.score IS DISTINCT FROM leadscore.score(a, m, at) * 1000
ORDER BY 1, 2 LIMIT 10;

SELECT seed, i, d, x.stage, leadscore.qualified_stage(a, m, at)
FROM answer x JOIN random_case USING (seed)
WHERE x.stage IS DISTINCT FROM leadscore.qualified_stage(a, m, at)::text
ORDER BY 1, 2 LIMIT 10;

SELECT seed, i, d, x.by_points, leadscore.stage_by_points(a, m, at)
FROM answer x JOIN random_case USING (seed)
WHERE x.by_points IS DISTINCT FROM leadscore.stage_by_points(a, m, at)::text
ORDER BY 1, 2 LIMIT 10;

SELECT seed, p, leadscore.stage_by_points(p, m), oracle.stage_by_points((p * 1000)::bigint, model)
FROM random_case, unnest(ARRAY[-100, -20, 0, 0.001, 10, 20.5, 30, 40, 60.333, 1000]) p
WHERE seed <= :cases / 5
  AND leadscore.stage_by_points(p, m)::text <> oracle.stage_by_points((p * 1000)::bigint, model)
ORDER BY 1, 2 LIMIT 10;

SELECT seed, i, d, o.answer, e.answer
FROM answer x JOIN random_case USING (seed)
	CROSS JOIN LATERAL (
		SELECT array_agg(format('%s %s %s', v.dimension, v.points,
								oracle.grade(model, v.dimension, v.points)) ORDER BY v.place) AS answer
		FROM unnest(x.dimensions) v) o
	CROSS JOIN LATERAL (
		SELECT array_agg(format('%s %s %s', s.dimension, (s.points * 1000)::bigint, s.grade) ORDER BY s.ordinality) AS answer
		FROM leadscore.dimension_scores(a, m, at) WITH ORDINALITY s) e
WHERE o.answer IS DISTINCT FROM e.answer
ORDER BY 1, 2 LIMIT 10;

SELECT seed, i, d, oracle.grade(model, counts, d), leadscore.grade(a, m, at)
FROM answer x JOIN random_case USING (seed)
WHERE i = 1 AND oracle.grade(model, counts, d) IS DISTINCT FROM leadscore.grade(a, m, at)
ORDER BY 1, 2 LIMIT 10;

-- The explanation adds up to the score
SELECT seed, i, d, x.score, e.points, e.dimensions
FROM answer x JOIN random_case USING (seed)
	CROSS JOIN LATERAL (SELECT coalesce(sum(e.points), 0) * 1000 AS points, count(DISTINCT e.dimension) AS dimensions
						FROM leadscore.explain(a, m, at) e) e
WHERE x.score <> e.points
ORDER BY 1, 2 LIMIT 10;

-- ... and rule by rule, where limits of dimension and total are left out
SELECT seed, i, d, o.answer, e.answer
FROM answer x JOIN random_case USING (seed)
	CROSS JOIN LATERAL (
		SELECT array_agg(format('%s %s', v.rule, v.value) ORDER BY v.rule COLLATE "C") AS answer
		FROM oracle.score_parts(model, counts, d) v
		WHERE v.value <> 0) o
	CROSS JOIN LATERAL (
		SELECT array_agg(format('%s %s', rule, points) ORDER BY rule COLLATE "C") AS answer
		FROM (SELECT e.rule, (sum(e.points) * 1000)::bigint AS points
			  FROM leadscore.explain(a, m, at) e
			  WHERE e.rule IS NOT NULL
			  GROUP BY e.rule) e
		WHERE points <> 0) e
WHERE i = 1 AND o.answer IS DISTINCT FROM e.answer
ORDER BY 1, 2 LIMIT 10;

-- What a stage asks for: its score, its gates unless the model ignores them,
-- and always the gates of iql
SELECT seed, i, d, o.answer, e.answer
FROM answer x JOIN random_case USING (seed)
	CROSS JOIN LATERAL (
		SELECT array_agg(format('%s %s %s', stage, gate, met) ORDER BY stage, gate, met) AS answer
		FROM (SELECT r.stage, g.gate, g.holds AS met
			  FROM oracle.deciding_rules(model, counts, d, d) r
				JOIN oracle.gates(model, counts, d, d, x.dimensions) g
					ON g.stage = r.stage AND (r.stage = 'iql' OR model->>'gates_required' IS DISTINCT FROM 'false')
					OR g.stage = 'iql' AND r.rank > 50
			  WHERE r.min_score IS NOT NULL
				OR r.has_gates AND (r.stage = 'iql' OR model->>'gates_required' IS DISTINCT FROM 'false')
			  UNION ALL
			  SELECT r.stage, 'score', x.score >= r.min_score
			  FROM oracle.deciding_rules(model, counts, d, d) r
			  WHERE r.min_score IS NOT NULL) g) o
	CROSS JOIN LATERAL (
		SELECT array_agg(format('%s %s %s', g.stage, g.gate, g.met) ORDER BY g.stage::text, g.gate, g.met) AS answer
		FROM leadscore.stage_gates(a, m, at) g) e
WHERE i <= 2 AND o.answer IS DISTINCT FROM e.answer
ORDER BY 1, 2 LIMIT 10;

-- The next change of stage: by looking at each of the next 40 buckets, in
-- some cases 400
CREATE TEMP TABLE change AS
	SELECT seed, i, at, d, horizon, stage, oracle.next_change(model, counts, d, horizon) AS expected,
		   leadscore.next_change(a, m, at) AS got, grain
	FROM answer
		JOIN random_case USING (seed)
		CROSS JOIN LATERAL (SELECT CASE WHEN seed <= :cases / 15 AND i = 1 THEN 400 ELSE 40 END) h(horizon)
	WHERE i = 1 OR (i = 2 AND seed <= :cases / 5 * 2);
SELECT count(expected) > :cases / 5 AS soon, count(expected) FILTER (WHERE expected = d + 1) > 0 AS at_once,
	   count(*) FILTER (WHERE expected IS NULL AND got IS NOT NULL) > :cases / 10 AS later,
	   count(*) FILTER (WHERE got IS NULL) > :cases / 2 AS never
FROM change;
SELECT seed, i, at, expected, got
FROM change
WHERE got <> oracle.bucket_start(oracle.bucket(got, grain), grain)
   OR CASE WHEN expected IS NULL THEN oracle.bucket(got, grain) <= d + horizon
		   ELSE oracle.bucket(got, grain) IS DISTINCT FROM expected END
ORDER BY 1, 2 LIMIT 10;

-- A change after that is one; until then (or ever) there is none
SELECT seed, i, at, got, later.d, c.stage, later.stage
FROM change c JOIN random_case USING (seed)
	CROSS JOIN LATERAL oracle.bucket(got, c.grain) b
	CROSS JOIN LATERAL (SELECT k, q.stage, q.d
						FROM unnest(ARRAY[b, b - 1, c.d + (b - c.d) / 2, c.d + (b - c.d) / 5 * 4]) WITH ORDINALITY x(bucket, k),
							 oracle.qualified_stages(model, counts, bucket, bucket) q) later
WHERE expected IS NULL AND (later.stage <> c.stage) <> (k = 1)
ORDER BY 1, 2, 5 LIMIT 10;
SELECT seed, i, at, later, c.stage, q.stage
FROM change c JOIN random_case USING (seed)
	CROSS JOIN unnest(ARRAY[100, 300, 900, 5000, 300000]) later
	CROSS JOIN LATERAL oracle.qualified_stages(model, counts, d + later, d + later) q
WHERE got IS NULL AND i = 1 AND seed <= :cases / 5 * 2 AND q.stage <> c.stage
ORDER BY 1, 2, 4 LIMIT 10;

-- Time travel: what comes after the bucket does not matter
SELECT seed, i, d
FROM answer x JOIN random_case c USING (seed)
	CROSS JOIN LATERAL (
		SELECT leadscore.lead_activity_agg(h.signal_id, h.at, h.n, c.grain::interval) AS until
		FROM (SELECT h.signal_id, h.at, h.n FROM history h
			  WHERE h.seed = c.seed AND (h.at IS NULL OR oracle.bucket(h.at, c.grain) <= x.d)
			  UNION ALL VALUES (0, NULL::timestamptz, 0)) h) t
WHERE leadscore.score_milli(until, m, x.at) IS DISTINCT FROM x.score
   OR leadscore.qualified_stage(until, m, x.at)::text IS DISTINCT FROM x.stage
ORDER BY 1, 2 LIMIT 10;

-- Nor does the time of day
SELECT seed, i, d
FROM answer x JOIN random_case c USING (seed)
WHERE leadscore.score_milli(a, m, oracle.bucket_start(d, grain)) <> x.score
   OR leadscore.score_milli(a, m, oracle.bucket_start(d + 1, grain) - interval '1 microsecond') <> x.score
ORDER BY 1, 2 LIMIT 10;

-- Merging is adding: the parts of a history, in any order, make the whole
SELECT seed
FROM random_case c
	CROSS JOIN LATERAL (
		SELECT array_agg(part ORDER BY k) AS parts, sum(part) AS total
		FROM (SELECT k, leadscore.lead_activity_agg(h.signal_id, h.at, h.n, c.grain::interval) AS part
			  FROM generate_series(0, 2) k,
				   (SELECT *, row_number() OVER (ORDER BY md5(at::text), signal_id, n) % 3 AS r
					FROM history h WHERE h.seed = c.seed
					UNION ALL SELECT NULL, 0, NULL::timestamptz, 0, g FROM generate_series(0, 2) g) h
			  WHERE h.r = k
			  GROUP BY k) p) p
WHERE a::text <> total::text
   OR a::text <> (parts[3] + parts[1] + parts[2])::text
   OR (a - parts[1])::text <> (parts[2] + parts[3])::text
   OR leadscore.lead_activity_send(a) <> leadscore.lead_activity_send(total)
ORDER BY 1 LIMIT 10;

-- Another model reads the same activity
SELECT x.seed, x.d
FROM answer x
	JOIN random_case c ON c.seed = x.seed
	JOIN random_case o ON o.seed = x.seed % :cases + 1 AND o.grain = c.grain
WHERE i = 1
  AND (oracle.score_milli(o.model, c.counts, x.d) IS DISTINCT FROM leadscore.score_milli(c.a, o.m, x.at)
	   OR oracle.qualified_stage(o.model, c.counts, x.d) IS DISTINCT FROM leadscore.qualified_stage(c.a, o.m, x.at)::text)
ORDER BY 1 LIMIT 10;

-- A model survives as text
SELECT seed
FROM random_case
WHERE m::text <> m::text::leadscore.lead_model::text
   OR oracle.score_milli(m::text::jsonb, counts, 9200) IS DISTINCT FROM oracle.score_milli(model, counts, 9200)
ORDER BY 1 LIMIT 10;

SET client_min_messages = error;
DROP SCHEMA oracle CASCADE;
