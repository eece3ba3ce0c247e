/*
 * random.sql: random but valid models, histories and instants
 *
 * The same seed gives the same case on every server: all numbers come from
 * md5, not from random().  Needs oracle.sql.
 */

/* ---------- numbers ---------- */

-- A number from lo to hi (both possible) that depends on seed and key only.
CREATE FUNCTION oracle.pick(seed int, key text, lo int, hi int) RETURNS int
LANGUAGE sql IMMUTABLE AS $$
	SELECT (lo + ('x' || substr(md5(seed || ' ' || key), 1, 8))::bit(32)::bigint
			% (hi::bigint - lo + 1))::int
$$;

CREATE FUNCTION oracle.chance(seed int, key text, percent int) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
	SELECT oracle.pick(seed, key, 1, 100) <= percent
$$;

-- One of the given values; repeat a value to make it likelier.
CREATE FUNCTION oracle.choose(seed int, key text, VARIADIC choices text[]) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
	SELECT choices[oracle.pick(seed, key, 1, cardinality(choices))]
$$;

-- Each of the given values with this chance.
CREATE FUNCTION oracle.some(seed int, key text, percent int, VARIADIC choices text[]) RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
	SELECT ARRAY(SELECT c FROM unnest(choices) WITH ORDINALITY u(c, i)
				 WHERE oracle.chance(seed, key || ' ' || c, percent) ORDER BY i)
$$;

-- A period: whole days, in an hourly model also hours.
CREATE FUNCTION oracle.random_period(seed int, key text, grain text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN grain = '1 hour' AND oracle.chance(seed, key || ' hours', 60)
		THEN oracle.choose(seed, key, '1 hour', '2 hours', '5 hours', '6 hours', '12 hours',
						   '24 hours', '36 hours', '100 hours')
		ELSE oracle.choose(seed, key, '1 day', '2 days', '3 days', '5 days', '7 days',
						   '10 days', '14 days', '30 days', '90 days') END
$$;

-- A period of the calendar; short ones are likelier to have an end in a history.
CREATE FUNCTION oracle.random_calendar(seed int, key text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
	SELECT oracle.choose(seed, key, 'day', 'day', 'week', 'week', 'month', 'month', '2 months',
						 'quarter', '4 months', '6 months', 'year', 'ever')
$$;

-- Points with up to three decimals, of either sign; seldom 0 or huge.
CREATE FUNCTION oracle.random_points(seed int, key text) RETURNS numeric
LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE oracle.pick(seed, key || ' kind', 1, 40)
			WHEN 1 THEN 0
			WHEN 2 THEN 1000000
			ELSE oracle.pick(seed, key, 1, 25)
				+ oracle.choose(seed, key || ' decimals', '0', '0', '0', '0.5', '0.25', '0.333', '0.001')::numeric
		END * CASE WHEN oracle.chance(seed, key || ' sign', 25) THEN -1 ELSE 1 END
$$;

/* ---------- models ---------- */

CREATE FUNCTION oracle.random_grain(seed int) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
	SELECT oracle.choose(seed, 'grain', '1 day', '1 day', '1 hour')
$$;

-- All models have these signals.  Ids have gaps; 0 is the lead's creation.
CREATE FUNCTION oracle.random_signals() RETURNS TABLE (signal text, signal_id int, source text)
LANGUAGE sql IMMUTABLE AS $$
	VALUES ('lead_created', 0, 'event'), ('e1', 1, 'event'), ('e2', 2, 'event'),
		('e3', 3, 'event'), ('e4', 4, 'event'), ('e5', 7, 'event'), ('e6', 300, 'event'),
		('recycled', 20, 'event'), ('unsubscribe', 21, 'event'),
		('p1', 100, 'profile'), ('p2', 101, 'profile'), ('p3', 127, 'profile'),
		('p4', 128, 'profile')
$$;

CREATE FUNCTION oracle.random_rule(seed int, i int, grain text, dimensions int) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	k			text := 'rule ' || i;
	aggregate	text := oracle.choose(seed, k || ' aggregate', 'sum', 'sum', 'sum', 'sum',
							'last', 'first_n', 'first_n', 'days', 'periods', 'periods', 'tier', 'tier', 'idle', 'idle');
	points		numeric := oracle.random_points(seed, k || ' points');
	decay		text := 'none';
	tier_sign	int := 1;
	r			jsonb;
BEGIN
	r := jsonb_build_object(
		'rule', 'rule ' || i,
		'dimension', 'd' || oracle.pick(seed, k || ' dimension', 1, dimensions),
		'signal', oracle.choose(seed, k || ' signal', 'e1', 'e1', 'e2', 'e2', 'e3', 'e3', 'e4',
						'e5', 'e6', 'e6', 'p1', 'p2', 'p3', 'lead_created', 'recycled'),
		'points', points);
	IF aggregate <> 'sum' OR oracle.chance(seed, k || ' say', 50) THEN
		r := r || jsonb_build_object('aggregate', aggregate);
	END IF;

	IF aggregate = 'first_n' THEN
		r := r || jsonb_build_object('first_n', oracle.pick(seed, k || ' first', 1, 6));
	ELSIF aggregate = 'periods' THEN
		r := r || jsonb_build_object('min_count', oracle.pick(seed, k || ' min count', 1, 4),
						'period', oracle.random_calendar(seed, k || ' period'));
	ELSIF aggregate = 'idle' THEN
		r := r || jsonb_build_object('after', oracle.random_period(seed, k || ' after', grain),
						'repeat', oracle.chance(seed, k || ' repeat', 50));
		-- by the points of the score or of a dimension, rising or not
		IF oracle.chance(seed, k || ' by points', 50) THEN
			points := CASE WHEN oracle.chance(seed, k || ' no points', 60) THEN 1 ELSE points END;
			tier_sign := CASE WHEN oracle.chance(seed, k || ' tier sign', 70) THEN -1 ELSE 1 END;
			r := r || jsonb_build_object('points', nullif(points, 1), 'tiers',
				(SELECT jsonb_object_agg((20 * t - oracle.pick(seed, k || ' tier ' || t, 0, 39)
							+ oracle.choose(seed, k || ' tier from ' || t, '0', '0', '0.001', '-0.5')::numeric)::text,
						tier_sign * (oracle.pick(seed, k || ' tier points ' || t, 0, 25)
							+ oracle.choose(seed, k || ' tier decimals ' || t, '0', '0', '0.5', '0.333')::numeric))
				 FROM generate_series(0, oracle.pick(seed, k || ' tiers', 1, 4)) t));
			IF oracle.chance(seed, k || ' of one', 50) THEN
				r := r || jsonb_build_object('of_dimension', 'd' || oracle.pick(seed, k || ' of', 1, dimensions));
			END IF;
		END IF;
	ELSIF aggregate = 'tier' THEN
		IF oracle.chance(seed, k || ' no points', 50) THEN
			points := 1;
			r := r || jsonb_build_object('points', NULL);
		END IF;
		IF oracle.chance(seed, k || ' tier sign', 25) THEN
			tier_sign := -1;
		END IF;
		-- counts 1-2, 3-4, 5-6 ...; points do not fall
		r := r || jsonb_build_object('tiers',
			(SELECT jsonb_object_agg((2 * t - oracle.pick(seed, k || ' tier ' || t, 0, 1))::text,
						tier_sign * (5 * t + oracle.choose(seed, k || ' tier points ' || t,
														   '0', '0.5', '5', '0.333')::numeric))
			 FROM generate_series(1, oracle.pick(seed, k || ' tiers', 1, 4)) t));
		IF oracle.chance(seed, k || ' within', 60) THEN
			r := r || jsonb_build_object('within', oracle.random_period(seed, k || ' window', grain));
		END IF;
	END IF;

	IF aggregate <> 'idle' AND oracle.chance(seed, k || ' limit', 35) THEN
		r := r || jsonb_build_object(
			'limit_count', oracle.pick(seed, k || ' limit count', 1, 5),
			'limit_period', oracle.random_calendar(seed, k || ' limit period'));
	END IF;

	IF aggregate IN ('sum', 'last', 'first_n', 'days', 'periods') THEN
		decay := oracle.choose(seed, k || ' decay', 'none', 'none', 'none', 'half_life', 'half_life',
							   'linear', 'linear', 'step', 'step', 'window', 'window');
		r := r || jsonb_build_object('decay', decay);
	END IF;
	IF decay <> 'none' THEN
		r := r || jsonb_build_object('decay_period', oracle.random_period(seed, k || ' decay period', grain));
	END IF;
	IF decay = 'linear' AND oracle.chance(seed, k || ' decay percent', 60) THEN
		r := r || jsonb_build_object('decay_percent',
			oracle.choose(seed, k || ' linear', '100', '50', '33.333', '12.5', '0.1', '7')::numeric);
	ELSIF decay = 'step' THEN
		r := r || jsonb_build_object('decay_percent',
			oracle.choose(seed, k || ' step', '50', '50', '10', '25', '33.333', '75', '87.5', '100', '3')::numeric);
	END IF;

	-- a cap has the sign of the value
	IF points <> 0 AND oracle.chance(seed, k || ' cap', 40) THEN
		r := r || jsonb_build_object('max_points', sign(points) * tier_sign
			* (oracle.pick(seed, k || ' cap points', 0, 60)
			   + oracle.choose(seed, k || ' cap decimals', '0', '0', '0.125')::numeric));
	END IF;
	IF oracle.chance(seed, k || ' only', 15) THEN
		r := r || jsonb_build_object('only_if',
			oracle.some(seed, k || ' only if', 25, 'p1', 'p2', 'p4', 'e1', 'e2', 'lead_created'));
	END IF;
	IF oracle.chance(seed, k || ' not', 15) THEN
		r := r || jsonb_build_object('unless',
			oracle.some(seed, k || ' unless', 20, 'p1', 'p3', 'e3', 'e4', 'unsubscribe'));
	END IF;
	IF oracle.chance(seed, k || ' note', 10) THEN
		r := r || jsonb_build_object('note', 'made up');
	END IF;
	RETURN r;
END
$$;

-- The alternatives of the gates of one stage: each another signal, a dimension,
-- or the score.
CREATE FUNCTION oracle.random_gates(seed int, stage text, grain text, dimensions int)
RETURNS SETOF jsonb
LANGUAGE sql IMMUTABLE AS $$
	SELECT jsonb_build_object('stage', stage, 'gate', 'gate ' || g)
		|| CASE WHEN a = 1 AND oracle.chance(seed, k || ' total', 20) THEN
			jsonb_build_object('min_points', oracle.pick(seed, k || ' score', -10, 70)
					+ oracle.choose(seed, k || ' decimals', '0', '0', '0.001')::numeric)
		   WHEN a <= dimensions AND oracle.chance(seed, k || ' dimension', 35) THEN
			jsonb_build_object('dimension', 'd' || a,
				'min_points', oracle.pick(seed, k || ' points', -10, 30)
					+ oracle.choose(seed, k || ' decimals', '0', '0', '0.5')::numeric)
		   ELSE
			jsonb_build_object('signal', CASE a
				WHEN 1 THEN oracle.choose(seed, k || ' signal', 'e1', 'e2', 'p1', 'p3')
				WHEN 2 THEN oracle.choose(seed, k || ' signal', 'e3', 'e6', 'p2', 'unsubscribe')
				ELSE oracle.choose(seed, k || ' signal', 'e4', 'e5', 'p4', 'lead_created') END)
			|| CASE WHEN oracle.chance(seed, k || ' count', 40)
				THEN jsonb_build_object('min_count', oracle.pick(seed, k || ' min', 1, 3))
				ELSE '{}' END
			|| CASE WHEN oracle.chance(seed, k || ' within', 35)
				THEN jsonb_build_object('within', oracle.random_period(seed, k || ' window', grain))
				ELSE '{}' END
		   END
		|| CASE WHEN oracle.chance(seed, k || ' negate', 20) THEN '{"negate": true}'::jsonb
				ELSE '{}' END
	FROM generate_series(1, oracle.pick(seed, stage || ' gates', 0,
										CASE stage WHEN 'iql' THEN 1 ELSE 2 END)) g,
		 generate_series(1, oracle.pick(seed, stage || ' alternatives ' || g, 1, 3)) a,
		 concat(stage, ' gate ', g, ' ', a) k
$$;

CREATE FUNCTION oracle.random_stage_rules(seed int) RETURNS SETOF jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	variant	text;
	s		text;
	k		text;
	points	numeric;
BEGIN
	FOREACH variant IN ARRAY ARRAY['', 'p2', 'p1'] LOOP
		points := oracle.pick(seed, variant || ' first threshold', -25, 0);
		FOREACH s IN ARRAY ARRAY['iql', 'mql', 'sql', 'prospect', 'customer'] LOOP
			k := concat('stage ', variant, ' ', s);
			-- a stage may be missing; variants are rare
			CONTINUE WHEN NOT oracle.chance(seed, k, CASE
				WHEN variant <> '' THEN 15
				WHEN s IN ('iql', 'mql', 'sql') THEN 93
				ELSE 40 END);
			points := points + oracle.pick(seed, k || ' more', 1, 25)
				+ oracle.choose(seed, k || ' decimals', '0', '0', '0.5', '0.001')::numeric;
			RETURN NEXT jsonb_build_object('stage', s, 'only_if', variant)
				|| CASE WHEN oracle.chance(seed, k || ' no score', CASE s WHEN 'iql' THEN 40 ELSE 15 END)
					THEN '{}' ELSE jsonb_build_object('min_score', points) END
				|| CASE WHEN s IN ('prospect', 'customer') AND oracle.chance(seed, k || ' entry', 50)
					THEN '{"entry_signals": ["e5"]}'::jsonb ELSE '{}' END
				|| CASE WHEN oracle.chance(seed, k || ' sla', 20)
					THEN '{"sla": "60 minutes"}'::jsonb ELSE '{}' END;
		END LOOP;
	END LOOP;
	IF oracle.chance(seed, 'stage recycled', 30) THEN
		RETURN NEXT jsonb '{"stage": "recycled", "entry_signals": ["recycled"]}';
	END IF;
END
$$;

CREATE FUNCTION oracle.random_model(seed int) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	grain		text := oracle.random_grain(seed);
	dimensions	int := oracle.pick(seed, 'dimensions', 1, 3);
	stage_rules	jsonb := (SELECT coalesce(jsonb_agg(r), '[]') FROM oracle.random_stage_rules(seed) r);
	m			jsonb;
BEGIN
	m := jsonb_build_object('model', 'random ' || seed, 'grain', grain,
			'signals', (SELECT jsonb_agg(s) FROM oracle.random_signals() s));
	IF oracle.chance(seed, 'min score', 25) THEN
		m := m || jsonb_build_object('min_score', oracle.pick(seed, 'lowest', -20, 5));
	END IF;
	IF oracle.chance(seed, 'max score', 25) THEN
		m := m || jsonb_build_object('max_score', oracle.pick(seed, 'highest', 20, 120));
	END IF;
	IF oracle.chance(seed, 'gates required', 40) THEN
		m := m || jsonb_build_object('gates_required', oracle.chance(seed, 'gates', 30));
	END IF;
	IF oracle.chance(seed, 'allow demotion', 30) THEN
		m := m || jsonb_build_object('allow_demotion', true, 'demotion_margin', 2.5);
	END IF;

	m := m || jsonb_build_object(
		'dimensions',
			(SELECT jsonb_agg(jsonb_build_object('dimension', 'd' || i)
				|| CASE WHEN oracle.chance(seed, k || ' min', 30)
					THEN jsonb_build_object('min_points', oracle.pick(seed, k || ' lowest', -15, 5)) ELSE '{}' END
				|| CASE WHEN oracle.chance(seed, k || ' max', 30)
					THEN jsonb_build_object('max_points', oracle.pick(seed, k || ' highest', 5, 80)) ELSE '{}' END
				|| CASE WHEN oracle.chance(seed, k || ' weight', 40)
					THEN jsonb_build_object('weight', oracle.choose(seed, k || ' factor',
						'0', '0.333', '0.5', '1', '1.5', '2', '0.001')::numeric) ELSE '{}' END
				|| CASE WHEN oracle.chance(seed, k || ' reset', 35)
					THEN jsonb_build_object('reset_signals', oracle.some(seed, k || ' resets', 60,
						'recycled', 'unsubscribe', 'p4')) ELSE '{}' END
				ORDER BY i)
			 FROM generate_series(1, dimensions) i, concat('dimension ', i) k),
		'rules',
			(SELECT jsonb_agg(oracle.random_rule(seed, i, grain, dimensions) ORDER BY i)
			 FROM generate_series(1, oracle.pick(seed, 'rules', 2, 10)) i),
		'stage_rules', stage_rules,
		'stage_gates',
			coalesce((SELECT jsonb_agg(g)
					  FROM unnest(ARRAY['iql', 'mql', 'sql', 'prospect']) s,
						   oracle.random_gates(seed, s, grain, dimensions) g
					  WHERE oracle.chance(seed, s || ' gated', CASE s WHEN 'iql' THEN 40 ELSE 60 END)
						AND stage_rules @> jsonb_build_array(jsonb_build_object('stage', s))), '[]'));

	-- grades of the first dimension, now and then of the second
	m := m || jsonb_build_object('grades',
		coalesce((SELECT jsonb_agg(jsonb_build_object('dimension', 'd' || i, 'grade', g.grade,
						'min_points', g.cut) ORDER BY i, g.cut DESC)
				  FROM generate_series(1, least(dimensions, 2)) i,
					   (VALUES ('A', 30), ('B', 12.5), ('C', 0), ('D', -1000000000)) g(grade, cut)
				  WHERE oracle.chance(seed, 'graded ' || i, 40)), '[]'));
	RETURN m;
END
$$;

/* ---------- histories and instants ---------- */

-- The middle of the time in which most of a history happens.
CREATE FUNCTION oracle.random_now(seed int) RETURNS timestamptz
LANGUAGE sql IMMUTABLE AS $$
	SELECT timestamptz '2024-12-20 00:00+00'
		+ interval '1 second' * oracle.pick(seed, 'now', 0, 86400 * 500)
$$;

/*
 * Up to some forty counted events around oracle.random_now, in a time of the
 * length of the usual periods: several in one bucket, some removed again,
 * some twice, some long ago or still to come, and profile signals without a
 * time.
 */
CREATE FUNCTION oracle.random_history(seed int, grain text)
RETURNS TABLE (signal_id int, at timestamptz, n bigint)
LANGUAGE sql IMMUTABLE AS $$
	WITH event AS MATERIALIZED (
		SELECT i,
			   (ARRAY[1, 1, 2, 2, 3, 3, 4, 7, 300, 300, 20, 21])[oracle.pick(seed, k || ' signal', 1, 12)] AS signal_id,
			   CASE oracle.pick(seed, k || ' when', 1, 40)
				WHEN 1 THEN timestamptz '1999-12-31 23:59:59.999999+00'
				WHEN 2 THEN timestamptz '1970-01-01 00:00+00'
					+ interval '1 day' * oracle.pick(seed, k || ' old', 0, 12000)
				WHEN 3 THEN oracle.choose(seed, k || ' odd', 'infinity', '-infinity',
					'0001-01-01 00:00+00', '2000-01-01 00:00+00', '4713-01-01 00:00+00 BC', '9999-12-31 12:00+00')::timestamptz
				WHEN 4 THEN oracle.random_now(seed)
					+ interval '1 day' * oracle.pick(seed, k || ' years', 100, 2000)
				ELSE date_trunc(oracle.choose(seed, k || ' trunc', 'second', 'second', 'hour', 'day'),
						oracle.random_now(seed)
							+ interval '1 second' * oracle.pick(seed, k || ' second',
								-86400 * CASE grain WHEN '1 day' THEN 60 ELSE 6 END,
								 86400 * CASE grain WHEN '1 day' THEN 12 ELSE 1 END),
						'UTC')
			   END AS at,
			   CASE oracle.pick(seed, k || ' quantity', 1, 12)
				WHEN 1 THEN oracle.pick(seed, k || ' n', 2, 9)
				WHEN 2 THEN oracle.pick(seed, k || ' many', 1, 5000)
				ELSE 1 END AS n,
			   oracle.pick(seed, k || ' fate', 1, 20) AS fate
		FROM generate_series(1, oracle.pick(seed, 'events', 0, oracle.pick(seed, 'busy', 1, 40))) i,
			 concat('event ', i) k
	)
	SELECT signal_id, at, n::bigint FROM event
	UNION ALL							-- counted a second time, or removed again
	SELECT signal_id, at, CASE fate WHEN 1 THEN n WHEN 2 THEN -n ELSE -n - 1 END
	FROM event WHERE fate <= 3
	UNION ALL
	SELECT 0, oracle.random_now(seed) - interval '1 second' * oracle.pick(seed, 'created', 0,
				86400 * CASE grain WHEN '1 day' THEN 70 ELSE 8 END), 1
	WHERE oracle.chance(seed, 'has created', 85)
	UNION ALL							-- the profile; now and then an event's signal without a time
	SELECT s.signal_id, NULL, 1
	FROM oracle.random_signals() s
	WHERE oracle.chance(seed, 'timeless ' || s.signal, CASE s.source WHEN 'profile' THEN 50 ELSE 12 END)
	UNION ALL							-- and once a profile signal with a time, or twice there
	SELECT 100 + oracle.pick(seed, 'which', 0, 1), oracle.choose(seed, 'dated profile',
				NULL, oracle.random_now(seed)::text)::timestamptz, oracle.pick(seed, 'profile count', -1, 2)
	WHERE oracle.chance(seed, 'odd profile', 10)
$$;

-- The same as counts for the oracle.
CREATE FUNCTION oracle.random_counts(seed int, grain text) RETURNS oracle.count[]
LANGUAGE sql IMMUTABLE AS $$
	SELECT coalesce(array_agg(ROW(h.signal_id, oracle.bucket(h.at, grain), h.n)::oracle.count), '{}')
	FROM oracle.random_history(seed, grain) h
$$;

-- Instants to look at it: within, before, after, at the edge of a bucket.
CREATE FUNCTION oracle.random_instants(seed int, grain text)
RETURNS TABLE (i int, at timestamptz)
LANGUAGE sql IMMUTABLE AS $$
	SELECT i, CASE i
		WHEN 1 THEN now - unit * oracle.pick(seed, 'within', 0, 59)
		WHEN 2 THEN date_trunc('day', now, 'UTC') + interval '1 day'
			- interval '1 microsecond' * oracle.pick(seed, 'edge', 0, 1)
		WHEN 3 THEN now + unit * oracle.pick(seed, 'after', 1, 150)
		WHEN 4 THEN CASE oracle.pick(seed, 'odd', 1, 5)
			WHEN 1 THEN timestamptz '1987-06-05 04:03:02+00'
			WHEN 2 THEN now + interval '900 days'
			WHEN 3 THEN now - interval '100 days'
			ELSE now - unit * oracle.pick(seed, 'before', 30, 62) END
		END
	FROM generate_series(1, 4) i, oracle.random_now(seed) now,
		 (SELECT CASE grain WHEN '1 day' THEN interval '1 day' ELSE interval '2 hours 24 minutes' END) u(unit)
$$;
