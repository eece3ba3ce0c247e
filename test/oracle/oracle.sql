/*
 * oracle.sql: the score in plain SQL
 *
 * An independent second computation of everything that leadscore computes
 * from (counts, model, instant), for tests only.  No type and no function of
 * the extension is used here.  It favours the wording of the specification
 * over speed: read it next to the seven steps in the documentation.
 *
 *   model   the JSON form of a lead_model
 *   counts  an array of oracle.count rows; the same bucket may occur often
 *   d       the bucket of the instant (days or hours since 2000-01-01 UTC)
 *
 * Points are milli-points (bigint), weights are Q31 integers (2^31 = 1),
 * stages are text.  Functions with d_from, d_to answer for every bucket in
 * the range at once; the ones with a single d are the same for one bucket.
 * The large ones ask for generic plans: they are planned once a session.
 */

CREATE SCHEMA oracle;

-- Many plans, each run for milliseconds: compiling them takes far longer.
SET jit = off;

CREATE TYPE oracle.count AS (
	signal_id	int,
	bucket		int,			-- NULL = timeless
	n			bigint
);

CREATE TABLE oracle.stage (stage text PRIMARY KEY, rank int NOT NULL);
INSERT INTO oracle.stage VALUES
	('disqualified', 10), ('lost', 20), ('recycled', 30), ('visitor', 40),
	('iql', 50), ('mql', 60), ('sql', 70), ('prospect', 80),
	('customer', 90), ('advocate', 100);

/* ---------- time ---------- */

-- The bucket of an instant: clamped to years 1 .. 9999, rounded down.
CREATE FUNCTION oracle.bucket(at timestamptz, grain text) RETURNS int
LANGUAGE sql IMMUTABLE STRICT AS $$
	SELECT floor(extract(epoch FROM
				least(greatest(at, '0001-01-01 00:00+00'), '9999-12-31 23:59:59+00')
				- timestamptz '2000-01-01 00:00+00')
			/ CASE grain WHEN '1 day' THEN 86400 WHEN '1 hour' THEN 3600 END)::int
$$;

-- The instant at which a bucket begins.
CREATE FUNCTION oracle.bucket_start(bucket int, grain text) RETURNS timestamptz
LANGUAGE sql IMMUTABLE AS $$
	SELECT timestamptz '2000-01-01 00:00+00'
		+ bucket * CASE grain WHEN '1 day' THEN interval '24 hours'
							  WHEN '1 hour' THEN interval '1 hour' END
$$;

-- The number of the UTC day (0 = 2000-01-01) that a bucket belongs to.
CREATE FUNCTION oracle.utc_day(bucket int, grain text) RETURNS int
LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE grain WHEN '1 day' THEN bucket ELSE floor(bucket / 24.0)::int END
$$;

-- The first day of the calendar period that a UTC day belongs to.
CREATE FUNCTION oracle.period_start(utc_day int, period text) RETURNS date
LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE
			WHEN period = 'ever' THEN date '2000-01-01'
			WHEN period LIKE '% months' THEN	-- from January on
				(SELECT max(m)::date
				 FROM (SELECT date '2000-01-01' + utc_day) x(day),
					  generate_series(date_trunc('year', day::timestamp), day::timestamp, period::interval) m)
			ELSE date_trunc(period, (date '2000-01-01' + utc_day)::timestamp)::date
		END
$$;

-- '30 days' as a number of buckets.
CREATE FUNCTION oracle.buckets(period text, grain text) RETURNS int
LANGUAGE sql IMMUTABLE AS $$
	SELECT split_part(period, ' ', 1)::int
		* CASE
			WHEN grain = '1 day' AND period ~ '^\d+ days?$' THEN 1
			WHEN grain = '1 hour' AND period ~ '^\d+ hours?$' THEN 1
			WHEN grain = '1 hour' AND period ~ '^\d+ days?$' THEN 24
		  END
$$;

/* ---------- weights ---------- */

/*
 * The integer nearest to x, half rounds up.  x carries about 60 digits; if it
 * were so near to a tie that those could not decide, say so.
 */
CREATE FUNCTION oracle.nearest(x numeric) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF x - floor(x) <> 0.5 AND abs(x - floor(x) - 0.5) < 1e-15 THEN
		RAISE EXCEPTION 'cannot decide how to round %', x;
	END IF;
	RETURN floor(x + 0.5);
END
$$;

-- Q31 weight of a count of this age, straight from the definition.
CREATE FUNCTION oracle.weight(decay text, period int, percent numeric, age int)
RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE decay
		WHEN 'none' THEN 2147483648
		WHEN 'window' THEN CASE WHEN age < period THEN 2147483648 ELSE 0 END
		WHEN 'half_life' THEN
			-- 2^(-age/period) = 2^(-remainder/period) / 2^quotient
			CASE WHEN age > 32 * period THEN 0		-- less than a half
			ELSE oracle.nearest(2147483648
					* power(round(2.0, 60), - (round((age % period)::numeric, 60) / period))
					/ power(2::numeric, (age / period)::numeric))
			END
		WHEN 'linear' THEN
			-- 1 - percent/100 * age/period, as one exact fraction
			greatest(0, div(2 * 2147483648 * (100 * period - coalesce(percent, 100) * age)
							+ 100 * period,
							200 * period))::bigint
		WHEN 'step' THEN
			CASE WHEN percent = 100 THEN
				CASE WHEN age < period THEN 2147483648 ELSE 0 END
			ELSE oracle.nearest(2147483648
					* power(round(1 - percent / 100, 60), (age / period)::numeric))
			END
	END
$$;

/*
 * Powers are slow, so those of half_life and step are computed once.  A
 * half-life is looked up by its age, a step by the number of whole periods;
 * an age that is not in the table any more weighs nothing.
 */
CREATE TABLE oracle.known_weight (
	decay		text,
	parameter	numeric,		-- half_life: the period; step: the percentage
	steps		int,			-- half_life: the age; step: whole periods
	weight		bigint NOT NULL,
	PRIMARY KEY (decay, parameter, steps)
);

CREATE FUNCTION oracle.fill_half_life(period int) RETURNS void
LANGUAGE sql AS $$
	DELETE FROM oracle.known_weight WHERE decay = 'half_life' AND parameter = period;
	WITH fraction AS MATERIALIZED (
		SELECT r, power(round(2.0, 60), - (round(r::numeric, 60) / period)) AS f
		FROM generate_series(0, period - 1) r
	)
	INSERT INTO oracle.known_weight
	SELECT 'half_life', period, q * period + r,
		   oracle.nearest(2147483648 * f / power(2::numeric, q::numeric))
	FROM fraction, generate_series(0, 32) q
	WHERE q < 32 OR r = 0
$$;

CREATE FUNCTION oracle.fill_step(percent numeric) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	k	int := 0;
	w	bigint;
BEGIN
	DELETE FROM oracle.known_weight WHERE decay = 'step' AND parameter = percent;
	LOOP
		w := oracle.weight('step', 1, percent, k);
		EXIT WHEN w = 0;
		INSERT INTO oracle.known_weight VALUES ('step', percent, k, w);
		k := k + 1;
	END LOOP;
END
$$;

-- Computes what the rules of a model need and is not there yet.
CREATE FUNCTION oracle.fill_weights(model jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	r	record;
BEGIN
	FOR r IN
		SELECT DISTINCT x.decay,
			CASE x.decay WHEN 'half_life' THEN oracle.buckets(x.decay_period, model->>'grain')
				ELSE x.decay_percent END AS parameter
		FROM jsonb_to_recordset(model->'rules') x(decay text, decay_period text, decay_percent numeric)
		WHERE x.decay IN ('half_life', 'step')
	LOOP
		CONTINUE WHEN EXISTS (SELECT FROM oracle.known_weight k
							  WHERE k.decay = r.decay AND k.parameter = r.parameter);
		IF r.decay = 'half_life' THEN
			PERFORM oracle.fill_half_life(r.parameter::int);
		ELSE
			PERFORM oracle.fill_step(r.parameter);
		END IF;
	END LOOP;
END
$$;

/* ---------- the counts ---------- */

/*
 * What was counted: one row per signal and bucket.  Buckets whose sum is not
 * positive count as never seen.
 */
CREATE FUNCTION oracle.seen(counts oracle.count[])
RETURNS TABLE (signal_id int, bucket int, n bigint)
LANGUAGE sql IMMUTABLE AS $$
	SELECT c.signal_id, c.bucket, sum(c.n)::bigint
	FROM unnest(counts) c
	GROUP BY c.signal_id, c.bucket
	HAVING sum(c.n) > 0
$$;

-- Signals by name, with the first bucket in which each is present
-- (timeless: since ever; NULL: not at all).
CREATE FUNCTION oracle.signals(model jsonb, counts oracle.count[])
RETURNS TABLE (signal text, signal_id int, present_from int)
LANGUAGE sql IMMUTABLE AS $$
	SELECT s.signal, s.signal_id, min(coalesce(c.bucket, -2147483648)) FILTER (WHERE c.n > 0)
	FROM jsonb_to_recordset(model->'signals') s(signal text, signal_id int)
		LEFT JOIN oracle.seen(counts) c USING (signal_id)
	GROUP BY s.signal, s.signal_id
$$;

/* ---------- rules: steps 1 to 6 ---------- */

CREATE FUNCTION oracle.rule_values(model jsonb, counts oracle.count[], d_from int, d_to int)
RETURNS TABLE (d int, dimension text, rule text, value bigint)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	grain	text := model->>'grain';
BEGIN
	PERFORM oracle.fill_weights(model);

	RETURN QUERY
	WITH instant AS MATERIALIZED (
		SELECT d FROM generate_series(d_from, d_to) d
	),
	seen AS MATERIALIZED (
		SELECT * FROM oracle.seen(counts)
	),
	signals AS MATERIALIZED (
		SELECT * FROM oracle.signals(model, counts)
	),
	rules AS MATERIALIZED (
		SELECT r.rule, r.dimension, s.signal_id,
			   coalesce(r.points, 1) * 1000 AS points,
			   coalesce(r.aggregate, 'sum') AS aggregate,
			   r.first_n, r.tiers, r.of_dimension, r.min_count, r.period,
			   oracle.buckets(r.within, grain) AS within,
			   oracle.buckets(r.after, grain) AS after,
			   coalesce(r.repeat, false) AS repeat,
			   r.limit_count, r.limit_period,
			   coalesce(r.decay, 'none') AS decay,
			   oracle.buckets(r.decay_period, grain) AS decay_period,
			   r.decay_percent,
			   r.max_points * 1000 AS max_points,
			   coalesce(r.only_if, '{}') AS only_if,
			   coalesce(r.unless, '{}') AS unless
		FROM jsonb_to_recordset(model->'rules') r(
				rule text, dimension text, signal text, points numeric, aggregate text,
				first_n bigint, tiers jsonb, of_dimension text, min_count bigint, period text, within text, after text, repeat boolean,
				limit_count bigint, limit_period text, decay text, decay_period text,
				decay_percent numeric, max_points numeric, only_if text[], unless text[])
			JOIN signals s USING (signal)
	),
	-- Step 1: does the rule apply at all?
	applies AS MATERIALIZED (
		SELECT i.d, r.rule
		FROM instant i CROSS JOIN rules r
		WHERE NOT EXISTS (SELECT FROM signals s
						  WHERE s.signal = ANY (r.only_if)
							AND s.present_from <= i.d IS NOT TRUE)
		  AND NOT EXISTS (SELECT FROM signals s
						  WHERE s.signal = ANY (r.unless)
							AND s.present_from <= i.d)
	),
	-- Step 2: the newest reset of each dimension ...
	reset AS MATERIALIZED (
		SELECT i.d, x.dimension, max(c.bucket) AS bucket
		FROM jsonb_to_recordset(model->'dimensions') x(dimension text, reset_signals text[])
			JOIN signals s ON s.signal = ANY (x.reset_signals)
			JOIN seen c ON c.signal_id = s.signal_id AND c.bucket IS NOT NULL
			JOIN instant i ON c.bucket <= i.d
		GROUP BY i.d, x.dimension
	),
	rule_bucket AS MATERIALIZED (
		SELECT r.rule, c.bucket, c.n, oracle.utc_day(c.bucket, grain) AS utc_day,
			   oracle.period_start(oracle.utc_day(c.bucket, grain), r.limit_period) AS limit_start,
			   oracle.period_start(oracle.utc_day(c.bucket, grain), r.period) AS period_start
		FROM rules r JOIN seen c USING (signal_id)
	),
	-- ... and the counts after it, up to d; the timeless ones always
	survived AS MATERIALIZED (
		SELECT a.d, r.*, b.bucket, b.n, b.utc_day, b.limit_start, b.period_start
		FROM applies a
			JOIN rules r USING (rule)
			JOIN rule_bucket b USING (rule)
			LEFT JOIN reset x ON x.d = a.d AND x.dimension = r.dimension
		WHERE b.bucket IS NULL
		   OR (b.bucket <= a.d AND (x.bucket IS NULL OR b.bucket > x.bucket))
	),
	-- Step 3: so many per calendar period, the earliest; the timeless ones all
	limited AS MATERIALIZED (
		SELECT d, rule, aggregate, bucket, utc_day, first_n, min_count, period_start, within,
			   decay, decay_period, decay_percent, n AS kept
		FROM survived
		WHERE limit_count IS NULL OR bucket IS NULL
		UNION ALL
		SELECT d, rule, aggregate, bucket, utc_day, first_n, min_count, period_start, within,
			   decay, decay_period, decay_percent, least(n, limit_count - earlier)
		FROM (SELECT s.*,
					 coalesce(sum(n) OVER (PARTITION BY d, rule, limit_start ORDER BY bucket
						ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)::bigint AS earlier
			  FROM survived s
			  WHERE limit_count IS NOT NULL AND bucket IS NOT NULL) s
		WHERE earlier < limit_count
	),
	-- Step 4: the weight by age; the timeless ones do not decay
	weighted AS MATERIALIZED (
		SELECT l.*,
			   CASE
				WHEN l.bucket IS NULL OR l.decay = 'none' THEN 2147483648
				WHEN l.decay IN ('half_life', 'step') THEN coalesce(k.weight, 0)
				ELSE oracle.weight(l.decay, l.decay_period, l.decay_percent, l.d - l.bucket)
			   END AS weight
		FROM limited l
			LEFT JOIN oracle.known_weight k
				ON l.bucket IS NOT NULL
				AND k.decay = l.decay
				AND k.parameter = CASE l.decay WHEN 'half_life' THEN l.decay_period::numeric
									WHEN 'step' THEN l.decay_percent END
				AND k.steps = CASE l.decay WHEN 'half_life' THEN l.d - l.bucket
									WHEN 'step' THEN (l.d - l.bucket) / l.decay_period END
	),
	-- Step 5: the aggregates; Q31 but for tier (a count) and idle (a bucket)
	aggregated AS (
		SELECT d, rule, sum(kept::numeric * weight) AS value
		FROM weighted
		WHERE aggregate = 'sum'
		GROUP BY d, rule
		UNION ALL
		SELECT d, rule, (array_agg(weight ORDER BY bucket DESC NULLS FIRST))[1]
		FROM weighted
		WHERE aggregate = 'last'
		GROUP BY d, rule
		UNION ALL
		SELECT d, rule, sum(least(kept, first_n - earlier)::numeric * weight)
		FROM (SELECT w.*,
					 coalesce(sum(kept) OVER (PARTITION BY d, rule ORDER BY bucket NULLS FIRST
						ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)::bigint AS earlier
			  FROM weighted w
			  WHERE aggregate = 'first_n') w
		WHERE earlier < first_n
		GROUP BY d, rule
		UNION ALL
		SELECT d, rule, sum(weight)		-- utc_day is NULL for the timeless bucket
		FROM (SELECT DISTINCT ON (d, rule, utc_day) d, rule, weight
			  FROM weighted
			  WHERE aggregate = 'days'
			  ORDER BY d, rule, utc_day, bucket) w
		GROUP BY d, rule
		UNION ALL
		SELECT d, rule, sum(weight)		-- of the bucket with which the period has enough
		FROM (SELECT DISTINCT ON (d, rule, period_start) d, rule, weight
			  FROM (SELECT w.*, sum(kept) OVER (PARTITION BY d, rule, period_start ORDER BY bucket) AS so_far
					FROM weighted w
					WHERE aggregate = 'periods' AND bucket IS NOT NULL) w
			  WHERE so_far >= min_count
			  ORDER BY d, rule, period_start, bucket) w
		GROUP BY d, rule
		UNION ALL
		SELECT d, rule, sum(kept)
		FROM weighted
		WHERE aggregate = 'tier' AND (bucket IS NULL OR within IS NULL OR d - bucket < within)
		GROUP BY d, rule
		UNION ALL
		SELECT d, rule, max(bucket)
		FROM weighted
		WHERE aggregate = 'idle'
		GROUP BY d, rule
	),
	-- Step 6: times points, in milli-points; of quiet time by tiers the times
	scored AS (
		SELECT i.d, r.dimension, r.rule, r.max_points,
			   CASE
				WHEN p.rule IS NULL THEN 0
				WHEN r.aggregate = 'tier' THEN
					round(r.points * coalesce(
						(SELECT t.value::numeric
						 FROM jsonb_each_text(r.tiers) t
						 WHERE t.key::bigint <= coalesce(a.value, 0)
						 ORDER BY t.key::bigint DESC
						 LIMIT 1), 0))
				WHEN r.aggregate = 'idle' THEN
					CASE WHEN r.tiers IS NULL THEN r.points ELSE 1 END * coalesce(
						(SELECT CASE WHEN quiet >= r.after THEN
									CASE WHEN r.repeat THEN quiet / r.after ELSE 1 END
								END
						 FROM (SELECT i.d - coalesce(a.value,
									greatest((SELECT max(c.bucket) FROM seen c
											  WHERE c.signal_id = 0 AND c.bucket <= i.d),
											 x.bucket))::int) q(quiet)), 0)
				ELSE	-- 2^-31 is exact with 31 decimals
					round(r.points * coalesce(a.value, 0) * 0.0000000004656612873077392578125)
			   END AS value,
			   CASE WHEN r.aggregate = 'idle' THEN r.tiers END AS tiers,
			   r.of_dimension, r.points
		FROM instant i
			CROSS JOIN rules r
			LEFT JOIN applies p ON p.d = i.d AND p.rule = r.rule
			LEFT JOIN aggregated a ON a.d = i.d AND a.rule = r.rule
			LEFT JOIN reset x ON x.d = i.d AND x.dimension = r.dimension
	),
	capped AS MATERIALIZED (
		SELECT s.*, CASE WHEN max_points IS NULL OR tiers IS NOT NULL THEN value	-- both have the same sign
						 ELSE sign(value) * least(abs(value), abs(max_points)) END AS points_of_rule
		FROM scored s
	),
	-- What each dimension, and the score, is without quiet time by tiers
	without AS MATERIALIZED (
		SELECT i.d, x.dimension, v.points, round(v.points * coalesce(x.weight, 1)) AS weighted
		FROM instant i
			CROSS JOIN jsonb_to_recordset(model->'dimensions') x(
				dimension text, min_points numeric, max_points numeric, weight numeric)
			CROSS JOIN LATERAL (
				SELECT oracle.clamp(coalesce(sum(c.points_of_rule), 0), x.min_points * 1000, x.max_points * 1000)
				FROM capped c
				WHERE c.d = i.d AND c.dimension = x.dimension AND c.tiers IS NULL) v(points)
	),
	-- The tier of the points that the rule names, times the quiet times
	tiered AS (
		SELECT c.d, c.dimension, c.rule, c.max_points,
			   round(c.points * c.value * coalesce(
				(SELECT t.value::numeric
				 FROM jsonb_each_text(c.tiers) t
				 WHERE t.key::numeric * 1000 <=
					CASE WHEN c.of_dimension IS NOT NULL
						THEN (SELECT w.points FROM without w WHERE w.d = c.d AND w.dimension = c.of_dimension)
						ELSE (SELECT oracle.clamp(sum(w.weighted), (model->>'min_score')::numeric * 1000,
												  (model->>'max_score')::numeric * 1000)
							  FROM without w WHERE w.d = c.d) END
				 ORDER BY t.key::numeric DESC
				 LIMIT 1), 0)) AS value
		FROM capped c
		WHERE c.tiers IS NOT NULL
	)
	SELECT c.d, c.dimension, c.rule, c.points_of_rule::bigint
	FROM capped c
	WHERE c.tiers IS NULL
	UNION ALL
	SELECT t.d, t.dimension, t.rule,
		   CASE WHEN t.max_points IS NULL THEN t.value
				ELSE sign(t.value) * least(abs(t.value), abs(t.max_points)) END::bigint
	FROM tiered t;
END
$$;

/* ---------- dimensions and the total: step 7 ---------- */

CREATE FUNCTION oracle.clamp(value numeric, lowest numeric, highest numeric) RETURNS numeric
LANGUAGE sql IMMUTABLE AS $$
	SELECT least(greatest(value, lowest), highest)	-- NULL = no limit
$$;

CREATE TYPE oracle.dimension_value AS (
	d			int,
	dimension	text,
	place		bigint,			-- order in the model
	points		bigint,			-- clamped
	weighted	bigint
);

CREATE FUNCTION oracle.dimension_values(model jsonb, counts oracle.count[], d_from int, d_to int)
RETURNS SETOF oracle.dimension_value
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
BEGIN
	RETURN QUERY
	SELECT i.d, x.dimension, x.place, c.points::bigint,
		   round(c.points * coalesce(x.weight, 1))::bigint
	FROM generate_series(d_from, d_to) i(d)
		CROSS JOIN (SELECT y.*, e.place
					FROM jsonb_array_elements(model->'dimensions') WITH ORDINALITY e(o, place),
						 jsonb_to_record(e.o) y(dimension text, min_points numeric,
												max_points numeric, weight numeric)) x
		LEFT JOIN (SELECT v.d, v.dimension, sum(v.value) AS points
				   FROM oracle.rule_values(model, counts, d_from, d_to) v
				   GROUP BY v.d, v.dimension) r
			ON r.d = i.d AND r.dimension = x.dimension
		CROSS JOIN LATERAL oracle.clamp(coalesce(r.points, 0),
										x.min_points * 1000, x.max_points * 1000) c(points);
END
$$;

CREATE FUNCTION oracle.scores(model jsonb, dimension_values oracle.dimension_value[])
RETURNS TABLE (d int, score bigint)
LANGUAGE sql STABLE AS $$
	SELECT v.d, oracle.clamp(sum(v.weighted),
							 (model->>'min_score')::numeric * 1000,
							 (model->>'max_score')::numeric * 1000)::bigint
	FROM unnest(dimension_values) v
	GROUP BY v.d
$$;

CREATE FUNCTION oracle.scores(model jsonb, counts oracle.count[], d_from int, d_to int)
RETURNS TABLE (d int, score bigint)
LANGUAGE sql AS $$
	SELECT s.*
	FROM oracle.scores(model,
			ARRAY(SELECT v FROM oracle.dimension_values(model, counts, d_from, d_to) v)) s
$$;

/* ---------- gates and stages ---------- */

-- One row per stage, gate and bucket: does one of the alternatives hold?
CREATE FUNCTION oracle.gates(model jsonb, counts oracle.count[], d_from int, d_to int,
							 dimension_values oracle.dimension_value[])
RETURNS TABLE (d int, stage text, gate text, holds boolean)
LANGUAGE sql STABLE AS $$
	WITH seen AS MATERIALIZED (
		SELECT s.signal, c.bucket, c.n
		FROM oracle.signals(model, counts) s JOIN oracle.seen(counts) c USING (signal_id)
	),
	alternative AS MATERIALIZED (
		SELECT row_number() OVER () AS id, g.stage, g.gate, g.signal, g.dimension,
			   coalesce(g.min_count, 1) AS min_count, g.min_points * 1000 AS min_points,
			   oracle.buckets(g.within, model->>'grain') AS within,
			   coalesce(g.negate, false) AS negate
		FROM jsonb_to_recordset(model->'stage_gates') g(
				stage text, gate text, signal text, dimension text, min_count bigint,
				min_points numeric, within text, negate boolean)
	),
	counted AS MATERIALIZED (
		SELECT i.d, a.id, sum(c.n) AS n
		FROM alternative a
			JOIN seen c ON c.signal = a.signal
			JOIN generate_series(d_from, d_to) i(d)
				ON c.bucket IS NULL
				OR (c.bucket <= i.d AND (a.within IS NULL OR i.d - c.bucket < a.within))
		GROUP BY i.d, a.id
	)
	SELECT i.d, a.stage, a.gate,
		   bool_or(a.negate <> CASE WHEN a.signal IS NOT NULL THEN coalesce(c.n, 0) >= a.min_count
									WHEN a.dimension IS NOT NULL THEN v.points >= a.min_points
									ELSE s.score >= a.min_points END)
	FROM generate_series(d_from, d_to) i(d)
		CROSS JOIN alternative a
		LEFT JOIN counted c ON c.d = i.d AND c.id = a.id
		LEFT JOIN unnest(dimension_values) v ON v.d = i.d AND v.dimension = a.dimension
		LEFT JOIN oracle.scores(model, dimension_values) s ON s.d = i.d
	GROUP BY i.d, a.stage, a.gate
$$;

CREATE FUNCTION oracle.gates(model jsonb, counts oracle.count[], d_from int, d_to int)
RETURNS TABLE (d int, stage text, gate text, holds boolean)
LANGUAGE sql AS $$
	SELECT g.*
	FROM oracle.gates(model, counts, d_from, d_to,
			ARRAY(SELECT v FROM oracle.dimension_values(model, counts, d_from, d_to) v)) g
$$;

-- The stage_rule row that decides for each stage.
CREATE FUNCTION oracle.deciding_rules(model jsonb, counts oracle.count[], d_from int, d_to int)
RETURNS TABLE (d int, stage text, rank int, min_score bigint, has_gates boolean)
LANGUAGE sql STABLE AS $$
	SELECT DISTINCT ON (i.d, t.rank)
		   i.d, r.stage, t.rank, (r.min_score * 1000)::bigint,
		   EXISTS (SELECT FROM jsonb_to_recordset(model->'stage_gates') g(stage text)
				   WHERE g.stage = r.stage)
	FROM generate_series(d_from, d_to) i(d)
		CROSS JOIN jsonb_to_recordset(model->'stage_rules') r(
				stage text, only_if text, min_score numeric)
		JOIN oracle.stage t ON t.stage = r.stage
		LEFT JOIN oracle.signals(model, counts) s ON s.signal = r.only_if
	WHERE coalesce(r.only_if, '') = '' OR s.present_from <= i.d
	ORDER BY i.d, t.rank, coalesce(r.only_if, '') = '', r.only_if COLLATE "C"
$$;

-- The highest stage whose score and gates hold.
CREATE FUNCTION oracle.qualified_stages(model jsonb, counts oracle.count[], d_from int, d_to int,
										dimension_values oracle.dimension_value[])
RETURNS TABLE (d int, stage text)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	gates_required	boolean := coalesce((model->>'gates_required')::boolean, true);
BEGIN
	RETURN QUERY
	WITH gate AS MATERIALIZED (		-- do all gates of the stage hold?
		SELECT d, stage, bool_and(holds) AS hold
		FROM oracle.gates(model, counts, d_from, d_to, dimension_values)
		GROUP BY d, stage
	),
	rule AS MATERIALIZED (
		SELECT d, stage, rank, min_score,
			   -- gates above iql may be ignored, those of iql never
			   has_gates AND (gates_required OR stage = 'iql') AS own_gates
		FROM oracle.deciding_rules(model, counts, d_from, d_to)
	),
	holding AS MATERIALIZED (
		SELECT r.d, r.rank, r.stage
		FROM rule r
			JOIN oracle.scores(model, dimension_values) s ON s.d = r.d
			LEFT JOIN gate own ON own.d = r.d AND own.stage = r.stage
			LEFT JOIN gate iql ON iql.d = r.d AND iql.stage = 'iql'
		WHERE (r.min_score IS NOT NULL OR r.own_gates)		-- else milestones only
		  AND (r.min_score IS NULL OR s.score >= r.min_score)
		  AND (NOT r.own_gates OR own.hold)
		  AND (r.rank <= 50 OR coalesce(iql.hold, true))	-- a condition of all above iql
	)
	SELECT i.d, coalesce((SELECT h.stage FROM holding h WHERE h.d = i.d
						  ORDER BY h.rank DESC LIMIT 1), 'visitor')
	FROM generate_series(d_from, d_to) i(d);
END
$$;

CREATE FUNCTION oracle.qualified_stages(model jsonb, counts oracle.count[], d_from int, d_to int)
RETURNS TABLE (d int, stage text)
LANGUAGE sql AS $$
	SELECT q.*
	FROM oracle.qualified_stages(model, counts, d_from, d_to,
			ARRAY(SELECT v FROM oracle.dimension_values(model, counts, d_from, d_to) v)) q
$$;

-- What points alone say of a lead with these counts in bucket d.
CREATE FUNCTION oracle.stage_by_points(points bigint, model jsonb,
									   counts oracle.count[] DEFAULT '{}', d int DEFAULT 0)
RETURNS text
LANGUAGE sql STABLE AS $$
	-- without a min_score, gates that ask for a score decide
	WITH gate AS (
		SELECT g.stage, g.gate, bool_or((points >= g.min_points * 1000) <> coalesce(g.negate, false)) AS met
		FROM jsonb_to_recordset(model->'stage_gates') g(
				stage text, gate text, signal text, dimension text, min_points numeric, negate boolean)
		WHERE g.signal IS NULL AND g.dimension IS NULL
		GROUP BY g.stage, g.gate
	),
	r AS MATERIALIZED (
		SELECT r.*, CASE WHEN r.min_score IS NOT NULL THEN points >= r.min_score
						 ELSE (SELECT bool_and(g.met) FROM gate g WHERE g.stage = r.stage) END AS reached
		FROM oracle.deciding_rules(model, counts, d, d) r
	)
	SELECT coalesce(
		(SELECT r.stage FROM r WHERE r.reached ORDER BY r.rank DESC LIMIT 1),
		(SELECT r.stage FROM r
		 WHERE r.reached IS NULL AND r.has_gates
		   AND EXISTS (SELECT FROM r x WHERE x.reached IS NOT NULL)
		   AND r.rank < ALL (SELECT x.rank FROM r x WHERE x.reached IS NOT NULL)
		 ORDER BY r.rank DESC LIMIT 1),
		'visitor')
$$;

/* ---------- one instant ---------- */

CREATE FUNCTION oracle.score_parts(model jsonb, counts oracle.count[], d int)
RETURNS TABLE (dimension text, rule text, value bigint)
LANGUAGE sql AS $$
	SELECT v.dimension, v.rule, v.value FROM oracle.rule_values(model, counts, d, d) v
$$;

CREATE FUNCTION oracle.rule_value(model jsonb, counts oracle.count[], d int, rule text)
RETURNS bigint
LANGUAGE sql AS $$
	SELECT v.value FROM oracle.rule_values(model, counts, d, d) v WHERE v.rule = rule_value.rule
$$;

CREATE FUNCTION oracle.dimension_points(model jsonb, counts oracle.count[], d int, dimension text)
RETURNS bigint
LANGUAGE sql AS $$
	SELECT v.points FROM oracle.dimension_values(model, counts, d, d) v
	WHERE v.dimension = dimension_points.dimension
$$;

CREATE FUNCTION oracle.score_milli(model jsonb, counts oracle.count[], d int) RETURNS bigint
LANGUAGE sql AS $$
	SELECT s.score FROM oracle.scores(model, counts, d, d) s
$$;

CREATE FUNCTION oracle.gate_holds(model jsonb, counts oracle.count[], d int, stage text, gate text)
RETURNS boolean
LANGUAGE sql AS $$
	SELECT g.holds FROM oracle.gates(model, counts, d, d) g
	WHERE g.stage = gate_holds.stage AND g.gate = gate_holds.gate
$$;

CREATE FUNCTION oracle.qualified_stage(model jsonb, counts oracle.count[], d int) RETURNS text
LANGUAGE sql AS $$
	SELECT q.stage FROM oracle.qualified_stages(model, counts, d, d) q
$$;

-- The grade of a dimension: the highest cut point that is reached.
CREATE FUNCTION oracle.grade(model jsonb, dimension text, points bigint) RETURNS text
LANGUAGE sql STABLE AS $$
	SELECT g.grade
	FROM jsonb_to_recordset(model->'grades') g(dimension text, grade text, min_points numeric)
	WHERE g.dimension = grade.dimension AND g.min_points * 1000 <= points
	ORDER BY g.min_points DESC
	LIMIT 1
$$;

-- The grades of all graded dimensions.
CREATE FUNCTION oracle.grade(model jsonb, counts oracle.count[], d int) RETURNS text
LANGUAGE sql AS $$
	SELECT string_agg(oracle.grade(model, v.dimension, v.points), '' ORDER BY v.place)
	FROM oracle.dimension_values(model, counts, d, d) v
$$;

/*
 * The first of the next n buckets in which the qualified stage is another
 * one than in d; NULL if there is none among them.
 */
CREATE FUNCTION oracle.next_change(model jsonb, counts oracle.count[], d int, n int) RETURNS int
LANGUAGE sql AS $$
	WITH q AS MATERIALIZED (
		SELECT * FROM oracle.qualified_stages(model, counts, d, d + n)
	)
	SELECT min(later.d)
	FROM q now JOIN q later ON later.stage <> now.stage
	WHERE now.d = next_change.d
$$;
