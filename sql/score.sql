-- Scores and stages: cases worked out by hand, and what must hold for all

SET client_min_messages = 'notice';
SET search_path = public, leadscore;

-- A model of one rule: signal a (1) in dimension d, 10 points unless it says otherwise
CREATE FUNCTION rule_model(rule jsonb, more jsonb DEFAULT '{}') RETURNS lead_model LANGUAGE sql IMMUTABLE AS $$
	SELECT lead_model(jsonb '{"model": "t", "signals": [{"signal": "lead_created", "signal_id": 0}, {"signal": "a", "signal_id": 1}, {"signal": "b", "signal_id": 2}, {"signal": "reset", "signal_id": 3}, {"signal": "p", "signal_id": 9, "source": "profile"}],
		"dimensions": [{"dimension": "d", "reset_signals": ["reset"]}]}' || jsonb_build_object('rules', jsonb_build_array(jsonb '{"rule": "r", "dimension": "d", "signal": "a", "points": 10}' || rule)) || more) $$;
CREATE FUNCTION show(rule jsonb, activity lead_activity, at timestamptz, expected numeric, more jsonb DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	m lead_model := rule_model(rule, CASE WHEN activity::text LIKE 'hour%' THEN jsonb '{"grain": "1 hour"}' ELSE '{}' END || more);
	s numeric := score(activity, m, at);
BEGIN
	RETURN s || CASE WHEN s = expected THEN '' ELSE ' but ' || expected || ' expected' END
		|| CASE WHEN score_milli(activity, m, at) = s * 1000 THEN '' ELSE ' and other milli-points' END
		|| CASE WHEN (SELECT coalesce(sum(points), 0) FROM explain(activity, m, at)) = s THEN '' ELSE ' and explained otherwise' END;
END $$;

-- Aggregates and decay
SELECT rule, show(rule, 'day{1@2025-03-01:2,1@2025-03-10:1,1@2025-03-11:5,1@*:1,2@2025-03-10:7}', '2025-03-10 12:00 UTC', expected) FROM (VALUES
	('{}'::jsonb, 40), ('{"points": -2.5}', -10), ('{"points": 0}', 0), ('{"signal": "b"}', 70), ('{"signal": "p"}', 0),
	('{"decay": "half_life", "decay_period": "9 days"}', 30), ('{"decay": "half_life", "decay_period": "3 days"}', 22.5),
	('{"decay": "linear", "decay_period": "10 days"}', 22), ('{"decay": "linear", "decay_period": "10 days", "decay_percent": 50}', 31), ('{"decay": "linear", "decay_period": "9 days"}', 20), ('{"decay": "linear", "decay_period": "1 day", "decay_percent": 10}', 22),
	('{"decay": "step", "decay_period": "3 days", "decay_percent": 10}', 34.58), ('{"decay": "step", "decay_period": "10 days", "decay_percent": 10}', 40), ('{"decay": "step", "decay_period": "9 days", "decay_percent": 100}', 20),
	('{"decay": "window", "decay_period": "9 days"}', 20), ('{"decay": "window", "decay_period": "10 days"}', 40),
	('{"aggregate": "last"}', 10), ('{"aggregate": "last", "decay": "window", "decay_period": "1 day"}', 10),
	('{"aggregate": "first_n", "first_n": 3}', 30), ('{"aggregate": "first_n", "first_n": 1}', 10), ('{"aggregate": "first_n", "first_n": 9}', 40), ('{"aggregate": "first_n", "first_n": 3, "decay": "half_life", "decay_period": "9 days"}', 20),
	('{"aggregate": "days"}', 30), ('{"aggregate": "days", "decay": "half_life", "decay_period": "9 days"}', 25),
	('{"aggregate": "periods", "period": "day", "min_count": 1}', 20), ('{"aggregate": "periods", "period": "month", "min_count": 3}', 10), ('{"aggregate": "periods", "period": "month", "min_count": 4}', 0), ('{"aggregate": "periods", "period": "week", "min_count": 2}', 10),
	('{"aggregate": "periods", "period": "month", "min_count": 3, "decay": "half_life", "decay_period": "9 days"}', 10), ('{"aggregate": "periods", "period": "ever", "min_count": 2, "decay": "half_life", "decay_period": "9 days"}', 5),
	('{"aggregate": "tier", "points": null, "tiers": {"3": 5, "10": 15}}', 5), ('{"aggregate": "tier", "points": 2, "tiers": {"3": 5, "4": 5.5}}', 11), ('{"aggregate": "tier", "points": -1, "tiers": {"4": 0.001}}', -0.001), ('{"aggregate": "tier", "tiers": {"5": 1}}', 0),
	('{"aggregate": "tier", "points": 1, "tiers": {"2": 1, "3": 2}, "within": "9 days"}', 1), ('{"aggregate": "tier", "points": 1, "tiers": {"2": 1, "3": 2}, "within": "10 days"}', 2),
	('{"aggregate": "idle", "after": "1 day"}', 0), ('{"limit_count": 1, "limit_period": "day"}', 30), ('{"limit_count": 1, "limit_period": "month"}', 20), ('{"limit_count": 2, "limit_period": "ever"}', 30), ('{"limit_count": 2, "limit_period": "ever", "decay": "half_life", "decay_period": "9 days"}', 20),
	('{"limit_count": 1, "limit_period": "ever", "aggregate": "first_n", "first_n": 5}', 20), ('{"limit_count": 1, "limit_period": "ever", "aggregate": "tier", "points": 1, "tiers": {"2": 1, "3": 2}}', 1),
	('{"max_points": 39.999}', 39.999), ('{"max_points": 40}', 40), ('{"points": -10, "max_points": -25}', -25), ('{"max_points": 0}', 0), ('{"points": -10, "max_points": 0}', 0), ('{"max_points": 25, "decay": "half_life", "decay_period": "9 days"}', 25),
	('{"only_if": ["b"]}', 40), ('{"only_if": ["b", "p"]}', 0), ('{"unless": ["p"]}', 40), ('{"unless": ["p", "b"]}', 0), ('{"only_if": ["a"], "unless": ["a"]}', 0)) v(rule, expected);
-- without a count of no time
SELECT rule, activity, show(rule, activity, '2025-03-10 UTC', expected) FROM (VALUES
	('{"aggregate": "last", "decay": "half_life", "decay_period": "5 days"}'::jsonb, 'day{1@2025-03-01:9,1@2025-03-05:1}'::lead_activity, 5), ('{"aggregate": "last"}', 'day{}', 0), ('{"aggregate": "last"}', 'day{1@2025-03-11:1}', 0), ('{"aggregate": "last"}', 'day{1@2025-03-10:-1}', 0),
	('{"aggregate": "last", "decay": "half_life", "decay_period": "9 days", "limit_count": 1, "limit_period": "month"}', 'day{1@2025-03-01:1,1@2025-03-10:1}', 5),
	('{"aggregate": "last", "decay": "half_life", "decay_period": "9 days"}', 'day{1@2025-03-01:1,1@2025-03-10:-1}', 5), ('{}', 'day{1@2025-03-01:-5,1@2025-03-02:1,1@*:-2}', 10), ('{"only_if": ["b"]}', 'day{1@2025-03-01:1,2@2025-03-01:-1}', 0), ('{"only_if": ["b"]}', 'day{1@2025-03-01:1,2@2025-03-11:1}', 0),
	('{"unless": ["b"]}', 'day{1@2025-03-01:1,2@2025-03-11:1}', 10),
	-- resets: what is later counts, what has no time stays, presence and gates know none
	('{}', 'day{1@2025-03-01:1,1@2025-03-05:2,1@2025-03-06:4,3@2025-03-05:1}', 40), ('{}', 'day{1@2025-03-01:1,1@*:2,3@2025-03-10:1}', 20), ('{}', 'day{1@2025-03-01:1,3@2025-03-11:1}', 10), ('{}', 'day{1@2025-03-01:1,3@*:1}', 10), ('{}', 'day{1@2025-03-01:1,3@2025-03-05:-1}', 10),
	('{}', 'day{1@2025-03-04:1,3@2025-03-03:1,3@2025-03-05:1,3@2025-03-06:-1}', 0), ('{"only_if": ["a"], "signal": "b"}', 'day{1@2025-03-01:1,2@2025-03-06:1,3@2025-03-05:1}', 10), ('{"limit_count": 1, "limit_period": "ever"}', 'day{1@2025-03-01:1,1@2025-03-06:3,3@2025-03-05:1}', 10),
	-- idle: since the newest event, or the later of creation and reset
	('{"aggregate": "idle", "after": "5 days"}', 'day{1@2025-03-05:1}', 10), ('{"aggregate": "idle", "after": "6 days"}', 'day{1@2025-03-05:1}', 0), ('{"aggregate": "idle", "after": "2 days", "repeat": true}', 'day{1@2025-03-05:1}', 20), ('{"aggregate": "idle", "after": "1 day", "repeat": true, "max_points": 33}', 'day{1@2025-03-05:1}', 33),
	('{"aggregate": "idle", "after": "1 day", "repeat": true}', 'day{0@2025-03-03:1}', 70), ('{"aggregate": "idle", "after": "1 day", "repeat": true}', 'day{0@2025-03-03:1,1@2025-03-09:1}', 10), ('{"aggregate": "idle", "after": "1 day", "repeat": true}', 'day{0@2025-03-03:1,3@2025-03-08:1}', 20),
	('{"aggregate": "idle", "after": "1 day", "repeat": true}', 'day{0@2025-03-08:1,3@2025-03-03:1}', 20), ('{"aggregate": "idle", "after": "1 day", "repeat": true}', 'day{0@2025-03-01:1,1@2025-03-04:1,3@2025-03-05:1}', 50), ('{"aggregate": "idle", "after": "1 day", "repeat": true}', 'day{1@2025-03-11:1}', 0),
	('{"aggregate": "idle", "after": "1 day", "repeat": true}', 'day{1@*:1}', 0), ('{"aggregate": "idle", "after": "1 day", "repeat": true, "unless": ["b"]}', 'day{0@2025-03-01:1,2@*:1}', 0), ('{"aggregate": "idle", "after": "2000000 days"}', 'day{1@0001-01-01:1}', 0), ('{"aggregate": "idle", "after": "700000 days"}', 'day{1@0001-01-01:1}', 10),
	-- periods: every one that has enough, from the day on which it has; what counts is what a limit, a reset and a correction leave
	('{"aggregate": "periods", "period": "day", "min_count": 3}', 'day{1@2025-03-01:3,1@2025-03-02:2,1@2025-03-03:9}', 20), ('{"aggregate": "periods", "period": "4 months", "min_count": 2}', 'day{1@2024-12-31:1,1@2025-01-01:1,1@2025-03-10:1}', 10), ('{"aggregate": "periods", "period": "4 months", "min_count": 2}', 'day{1@2024-12-31:1,1@2025-01-01:1,1@2025-03-11:1}', 0),
	('{"aggregate": "periods", "period": "month", "min_count": 2, "max_points": 15}', 'day{1@2025-01-31:1,1@2025-01-01:1,1@2025-03-10:2}', 15), ('{"aggregate": "periods", "period": "month", "min_count": 2, "decay": "half_life", "decay_period": "9 days"}', 'day{1@2025-02-01:1,1@2025-03-01:2,1@2025-03-10:7}', 5), ('{"aggregate": "periods", "period": "month", "min_count": 2, "decay": "half_life", "decay_period": "9 days"}', 'day{1@2025-02-01:1,1@2025-03-01:1,1@2025-03-10:7}', 10),
	('{"aggregate": "periods", "period": "month", "min_count": 2, "limit_count": 1, "limit_period": "day"}', 'day{1@2025-02-01:9,1@2025-03-01:4,1@2025-03-10:7}', 10), ('{"aggregate": "periods", "period": "day", "min_count": 2, "limit_count": 3, "limit_period": "month"}', 'day{1@2025-03-01:1,1@2025-03-05:4,1@2025-03-10:7}', 10), ('{"aggregate": "periods", "period": "month", "min_count": 2}', 'day{1@2025-03-01:9,3@2025-03-05:1,1@2025-03-06:1}', 0),
	('{"aggregate": "periods", "period": "year", "min_count": 2, "only_if": ["b"]}', 'day{1@2025-03-01:9}', 0), ('{"aggregate": "periods", "period": "year", "min_count": 2}', 'day{1@*:9,1@2025-03-01:1,1@2025-03-02:-1}', 0), ('{"aggregate": "periods", "period": "year", "min_count": 2147483647, "points": -1}', 'day{1@2024-03-01:9223372036854775807,1@2025-01-01:2147483646,1@2025-03-01:1}', -2),
	-- limits per calendar period: weeks begin on Monday
	('{"limit_count": 1, "limit_period": "week"}', 'day{1@2024-12-29:1,1@2024-12-30:1,1@2025-01-05:1,1@2025-01-06:1}', 30), ('{"limit_count": 1, "limit_period": "quarter"}', 'day{1@2024-12-31:1,1@2025-01-01:1,1@2025-03-09:1}', 20), ('{"limit_count": 1, "limit_period": "month"}', 'day{1@2024-02-01:1,1@2024-02-29:1,1@2024-03-01:1}', 20),
	('{"limit_count": 1, "limit_period": "year"}', 'day{1@2024-01-01:1,1@2024-12-31:1,1@2025-01-01:1}', 20), ('{"limit_count": 1, "limit_period": "week"}', 'day{1@1999-12-26:1,1@1999-12-27:1,1@2000-01-02:1,1@2000-01-03:1}', 30), ('{"limit_count": 1, "limit_period": "month"}', 'day{1@1999-12-31:1,1@2000-01-01:1,1@1900-02-28:1,1@1900-03-01:1}', 40),
	('{"limit_count": 1, "limit_period": "quarter"}', 'day{1@1899-12-31:1,1@1900-01-01:1,1@1900-03-31:1}', 20), ('{"limit_count": 1, "limit_period": "year"}', 'day{1@0004-02-29:1,1@0004-12-31:1,1@0005-01-01:1}', 20), ('{"limit_count": 3, "limit_period": "week"}', 'day{1@2025-03-03:2,1@2025-03-04:2,1@2025-03-10:9}', 60)
	) v(rule, activity, expected);
-- by the hour
SELECT rule, activity, show(rule, activity, '2025-03-02 05:59:59 UTC', expected) FROM (VALUES
	('{}'::jsonb, 'hour{1@2025-03-02T05:1,1@2025-03-02T06:1}'::lead_activity, 10), ('{"decay": "half_life", "decay_period": "1 day"}', 'hour{1@2025-03-01T05:1}', 5), ('{"decay": "half_life", "decay_period": "8 hours"}', 'hour{1@2025-03-01T05:1}', 1.25), ('{"aggregate": "days"}', 'hour{1@2025-03-01T05:3,1@2025-03-01T20:1,1@2025-03-02T00:1}', 20),
	('{"aggregate": "days", "decay": "linear", "decay_period": "30 hours"}', 'hour{1@2025-03-01T05:3,1@2025-03-01T20:1,1@2025-03-02T00:1}', 10.333), ('{"limit_count": 1, "limit_period": "day"}', 'hour{1@1999-12-31T23:2,1@2000-01-01T00:2,1@2000-01-01T23:1}', 20), ('{"aggregate": "idle", "after": "5 hours", "repeat": true}', 'hour{1@2025-03-01T19:1}', 20),
	('{"aggregate": "periods", "period": "day", "min_count": 3, "decay": "half_life", "decay_period": "9 hours"}', 'hour{1@2025-03-01T01:2,1@2025-03-01T20:1,1@2025-03-01T23:5,1@2025-03-02T00:2}', 5), ('{"aggregate": "periods", "period": "2 months", "min_count": 3}', 'hour{1@2024-12-31T23:1,1@2025-01-01T00:1,1@2025-02-28T23:1,1@2025-03-01T00:1,1@2025-03-01T23:1,1@2025-03-02T05:1}', 10),
	('{"aggregate": "tier", "points": 1, "tiers": {"1": 7}, "within": "1 hour"}', 'hour{1@2025-03-02T04:1}', 0), ('{"aggregate": "tier", "points": 1, "tiers": {"1": 7}, "within": "2 hours"}', 'hour{1@2025-03-02T04:1}', 7)) v(rule, activity, expected);
-- any two days: a limit per period agrees with date_trunc, and with months counted from January
CREATE FUNCTION period_begin(period text, day timestamp) RETURNS timestamp LANGUAGE sql IMMUTABLE RETURN CASE WHEN period LIKE '%months' THEN date_trunc('year', day) + (extract(month FROM day)::int - 1) / left(period, 1)::int * period::interval ELSE date_trunc(period, day) END;
SELECT period, bool_and(score_milli(lead_activity(1, a, 1, '1 day') + lead_activity(1, b, 1, '1 day'), rule_model(jsonb_build_object('points', 1, 'limit_count', 1, 'limit_period', period)), '9999-12-31 UTC') = CASE WHEN period_begin(period, a) = period_begin(period, b) THEN 1000 ELSE 2000 END) AS same,
       bool_and(score_milli(lead_activity(1, a, 1, '1 day') + lead_activity(1, b, 1, '1 day'), rule_model(jsonb_build_object('points', 1, 'aggregate', 'periods', 'min_count', 2, 'period', period)), '9999-12-31 UTC') = CASE WHEN period_begin(period, a) = period_begin(period, b) THEN 1000 ELSE 0 END) AS periods_too,
       count(*) FILTER (WHERE period_begin(period, a) = period_begin(period, b)) > 20 AS some
FROM unnest('{day,week,month,2 months,quarter,4 months,6 months,year}'::text[]) period, generate_series(1, 400) i,
     LATERAL (SELECT ('x' || md5(i || period))::bit(60)::bigint) r(r), LATERAL (SELECT timestamp '0001-01-01' + r % 3652000 * interval '1 day') x(a), LATERAL (SELECT a + r / 3652000 % (CASE period WHEN 'day' THEN 2 WHEN 'week' THEN 8 WHEN 'month' THEN 32 WHEN 'year' THEN 367 WHEN 'quarter' THEN 93 ELSE left(period, 1)::int * 31 END) * interval '1 day') y(b)
WHERE b < '9999-12-31' GROUP BY period ORDER BY period;

-- Weights are exact in all 31 bits: 1,000 counts of 2^31 milli-points are the weight in points. The sums come from an independent computation with rational numbers.
SELECT rule, md5(string_agg(w::text, ',' ORDER BY age)) = digest AS same, sum(w) = total AS total, max(w) FILTER (WHERE age = 1) AS second
FROM (VALUES ('{"decay": "half_life", "decay_period": "1 day"}'::jsonb, 'c6b4fb5be867900069e6124fa705f525', 4294967296), ('{"decay": "half_life", "decay_period": "7 days"}', 'e141709044b54e964f57a33affb5438f', 22778607494), ('{"decay": "half_life", "decay_period": "14 days"}', '1d927c5c8645632e2ca9445e0547f9a0', 44456897838),
	('{"decay": "half_life", "decay_period": "30 days"}', '720a6aff2b9a5a9ac0fa619afd8816db', 94022796836), ('{"decay": "half_life", "decay_period": "90 days"}', 'a37d5b64d5ac6e637eac08f7affd163d', 279909880882), ('{"decay": "half_life", "decay_period": "365 days"}', '3e1c7723727ce1e1d9082ac88607c7b2', 1128112841148),
	('{"decay": "linear", "decay_period": "30 days"}', '624a2b4396ef36f5771fa6ad338a94a7', 33285996544), ('{"decay": "linear", "decay_period": "7 days", "decay_percent": 33.333}', '94734115c05e1f7949da2843f09fe6bc', 23622556353), ('{"decay": "linear", "decay_period": "365 days", "decay_percent": 12.5}', '2d2752ed59f5a2f6924d2a9ba68c4a4a', 3136399867904),
	('{"decay": "step", "decay_period": "7 days", "decay_percent": 25}', 'b7661de32c444ea9ff2195949935c3c8', 60129542137), ('{"decay": "step", "decay_period": "1 day", "decay_percent": 50}', 'c6b4fb5be867900069e6124fa705f525', 4294967296), ('{"decay": "step", "decay_period": "30 days", "decay_percent": 10}', '693b0b16cc89d34119cb1b14d64dd6fd', 644228039380),
	('{"decay": "step", "decay_period": "1 day", "decay_percent": 0.1}', 'abd1cf10a087e322fda5297bfef8b673', 2040833851334)) v(rule, digest, total),
     LATERAL (SELECT rule_model(rule || '{"points": 2147483.648}') OFFSET 0) m(m), generate_series(0, 3000) age, LATERAL (SELECT score('day{1@2000-01-01:1000}', m, '2000-01-01 UTC'::timestamptz + age * interval '1 day')) w(w)
GROUP BY rule, digest, total ORDER BY rule;
-- the same in any order of ages: tables grow as far as they are asked for
SELECT count(DISTINCT s) FROM (SELECT sum(score_milli('day{1@2000-01-01:1000000}', m, '2000-01-01 UTC'::timestamptz + age * interval '1 day') * age) AS s FROM (SELECT rule_model('{"decay": "half_life", "decay_period": "90 days"}')) r(m), (VALUES (1), (-1)) d(d), LATERAL (SELECT age FROM generate_series(0, 2999) age ORDER BY age * d) a GROUP BY d) x;
-- a long period, seen from the ends of time
SELECT score('day{1@0001-01-01:1}', rule_model('{"points": 1000000, "decay": "linear", "decay_period": "2900000 days"}'), 'infinity'), score('hour{1@2024-01-01T00:1}', rule_model('{"points": 1000000, "decay": "half_life", "decay_period": "8784 hours"}', '{"grain": "1 hour"}'), '2025-01-01 UTC'), score('day{1@0001-01-01:1}', rule_model('{}'), '-infinity');

-- Dimensions: limits and weights; the score's own limits
CREATE FUNCTION dim(change jsonb) RETURNS jsonb LANGUAGE sql RETURN jsonb_build_object('dimensions', jsonb_build_array(jsonb '{"dimension": "d"}' || change));
SELECT rule, more, show(rule, 'day{1@2025-03-01:4}', '2025-03-10 UTC', expected, more) FROM (VALUES
	('{}'::jsonb, dim('{"weight": 0}'), 0), ('{}', dim('{"weight": 0.333}'), 13.32), ('{}', dim('{"weight": 2.5}'), 100), ('{}', dim('{"max_points": 39.5}'), 39.5), ('{}', dim('{"max_points": 39.5, "weight": 0.333}'), 13.154), ('{}', dim('{"min_points": 50, "weight": 2}'), 100), ('{"points": -10}', dim('{"min_points": -5}'), -5),
	('{"points": 0}', dim('{"min_points": 1, "max_points": 2}'), 1), ('{}', dim('{"max_points": -1}'), -1), ('{"points": 0.125}', dim('{"weight": 0.001}'), 0.001), ('{"points": -0.125}', dim('{"weight": 0.001}'), -0.001), ('{"points": 0.12475}'::jsonb - 'points', dim('{"weight": 0.001, "max_points": 0.499}'), 0), ('{"points": 0.000}', dim('{"weight": 1000000}'), 0),
	('{}', '{"max_score": 30.5}', 30.5), ('{}', '{"min_score": 60}', 60), ('{"points": -10}', '{"min_score": -0.001}', -0.001), ('{}', dim('{"max_points": 20, "weight": 3}') || '{"max_score": 50, "min_score": -50}', 50)) v(rule, more, expected);

-- Nothing overflows: counts, points, weights at their ends
SELECT rule, more, show(rule, 'day{1@2025-03-01:9223372036854775807,1@2025-03-02:9223372036854775807,1@2025-03-03:9223372036854775807,1@*:9223372036854775807}', '2025-03-10 UTC', expected, more) FROM (VALUES
	('{"points": 1000000000}'::jsonb, '{}'::jsonb, 1000000000000), ('{"points": -1000000000}', '{}', -1000000000000), ('{"points": 0.001}', '{}', 1000000000000), ('{"points": 1000000000, "decay": "half_life", "decay_period": "1 day"}', '{}', 1000000000000), ('{"points": 1000000000, "max_points": 7}', '{}', 7), ('{"points": 1000000000}', dim('{"weight": 1000000}'), 1000000000000),
	('{"points": -1000000000}', dim('{"weight": 1000000}'), -1000000000000), ('{"points": 1000000000}', dim('{"weight": 0.001}'), 1000000000), ('{"aggregate": "tier", "points": 1000000000, "tiers": {"2147483647": 1000000000}}', '{}', 1000000000000), ('{"aggregate": "first_n", "first_n": 2147483647, "points": 1}', '{}', 2147483647), ('{"aggregate": "days", "points": 1}', '{}', 4),
	('{"limit_count": 2147483647, "limit_period": "ever", "points": 0, "aggregate": "last"}', '{}', 0), ('{"aggregate": "tier", "points": 1, "tiers": {"1": 1}, "limit_count": 1, "limit_period": "day"}', '{}', 1)) v(rule, more, expected);
SELECT score('day{1@*:1000000000}', lead_model(jsonb_build_object('signals', '[{"signal": "a", "signal_id": 1}]'::jsonb, 'dimensions', '[{"dimension": "d", "weight": 1000000}]'::jsonb, 'rules', (SELECT jsonb_agg(jsonb_build_object('rule', i::text, 'dimension', 'd', 'signal', 'a', 'points', 1000000000)) FROM generate_series(1, 8192) i))), now());
SELECT note, points FROM explain('day{1@*:9223372036854775807,1@2025-01-01:9223372036854775807}', rule_model('{"points": 1000000000, "limit_count": 1, "limit_period": "ever", "max_points": 12}'), '2025-03-10 UTC');
-- idle time until the end of the calendar, and a cap that is never reached
SELECT next_change('hour{1@2025-01-01T00:1}', rule_model('{"points": 0.001, "aggregate": "idle", "after": "69600000 hours", "repeat": true, "max_points": 1000000000}', '{"grain": "1 hour", "stage_rules": [{"stage": "mql", "min_score": 0.001}]}'), '2025-01-02 UTC');
SELECT next_change('day{1@2025-01-01:1}', rule_model('{"points": 0.001, "aggregate": "idle", "after": "1 day", "repeat": true, "max_points": 1000000000}', '{"stage_rules": [{"stage": "mql", "min_score": 2912508}, {"stage": "sql", "min_score": 2912509}]}'), '2025-01-02 UTC'),
       next_change('day{1@2025-01-01:1}', rule_model('{"points": 1, "aggregate": "idle", "after": "1 day", "repeat": true}', '{"stage_rules": [{"stage": "mql", "min_score": 2912507}]}'), '2025-01-02 UTC');

-- Quiet time that takes by what a lead has: 10 points a view, 20 of fit; of 31 to 70 points it takes 15 in each 30 quiet days, up to 100 points 30, and 50 above
CREATE FUNCTION quiet_model(change jsonb DEFAULT '{}', more jsonb DEFAULT '{}') RETURNS lead_model LANGUAGE sql IMMUTABLE AS $$
	SELECT rule_model('{}', jsonb_build_object('dimensions', jsonb '[{"dimension": "d", "reset_signals": ["reset"]}, {"dimension": "fit"}, {"dimension": "q", "weight": 2}]', 'rules', jsonb_build_array(
		jsonb '{"rule": "quiet", "dimension": "d", "signal": "a", "aggregate": "idle", "after": "30 days", "repeat": true, "tiers": {"31": -15, "71": -30, "100.001": -50}}' || change,
		jsonb '{"rule": "views", "dimension": "d", "signal": "a", "points": 10}', jsonb '{"rule": "fit", "dimension": "fit", "signal": "p", "points": 20}')) || more) $$;
SELECT change, more, activity, score(activity, m, at), expected, (SELECT string_agg(points::text, ' ' ORDER BY rule = 'quiet' DESC NULLS LAST, points) FROM explain(activity, m, at)) AS explained
FROM (VALUES ('{}'::jsonb, '{}'::jsonb, 'day{1@2025-02-08:3}'::lead_activity, 30), ('{}', '{}', 'day{1@2025-02-08:3,9@*:1}', 35), ('{}', '{}', 'day{1@2025-02-09:3,9@*:1}', 50), ('{}', '{}', 'day{1@2025-02-08:5,9@*:1}', 55), ('{}', '{}', 'day{1@2025-02-08:8,9@*:1}', 70), ('{}', '{}', 'day{1@2025-02-08:9,9@*:1}', 60), ('{}', '{}', 'day{1@2025-01-09:8,9@*:1}', 40),
	('{"repeat": false}', '{}', 'day{1@2025-01-09:8,9@*:1}', 70), ('{"max_points": -40}', '{}', 'day{1@2025-01-09:8,9@*:1}', 60), ('{"points": 0.5}', '{}', 'day{1@2025-01-09:8,9@*:1}', 70), ('{"points": -1}', '{}', 'day{1@2025-01-09:8,9@*:1}', 160), ('{"only_if": ["b"]}', '{}', 'day{1@2025-01-09:8,9@*:1}', 100), ('{"unless": ["b"]}', '{}', 'day{1@2025-01-09:8,9@*:1}', 40),
	-- by one dimension, of whatever weight
	('{"of_dimension": "d"}', '{}', 'day{1@2025-02-08:7,9@*:1}', 75), ('{"of_dimension": "fit"}', '{}', 'day{1@2025-02-08:7,9@*:1}', 90), ('{"of_dimension": "fit", "tiers": {"20": -1}}', '{"dimensions": [{"dimension": "d"}, {"dimension": "fit", "weight": 0}]}', 'day{1@2025-02-08:7,9@*:1}', 69),
	-- after a reset it is not quiet yet, and then the points are gone
	('{}', '{}', 'day{1@2025-01-09:8,3@2025-02-20:1,9@*:1}', 20), ('{"tiers": {"20": -7}}', '{}', 'day{1@2025-01-09:8,3@2025-02-08:1,9@*:1}', 13),
	-- the limits of score and dimension hold for the points that decide, and again for what is left
	('{}', '{"max_score": 90}', 'day{1@2025-02-08:9,9@*:1}', 80), ('{}', '{"dimensions": [{"dimension": "d", "max_points": 60}, {"dimension": "fit"}]}', 'day{1@2025-02-08:9,9@*:1}', 80), ('{}', '{"min_score": 50}', 'day{1@2025-02-08:5,9@*:1}', 55), ('{}', '{"min_score": 50}', 'day{1@2025-01-09:5,9@*:1}', 50), ('{}', '{"dimensions": [{"dimension": "d", "min_points": 20}, {"dimension": "fit"}]}', 'day{1@2025-01-09:4,9@*:1}', 40),
	-- into another dimension, of weight 2
	('{"dimension": "q"}', '{}', 'day{1@2025-02-08:8,9@*:1}', 40), ('{"dimension": "q", "of_dimension": "q", "tiers": {"0": -1}}', '{}', 'day{1@2025-02-08:8,9@*:1}', 98),
	-- tiers in any order: who has more loses less
	('{"tiers": {"0": -20, "50.5": -10.001, "90": 0}}', '{}', 'day{1@2025-02-08:3,9@*:1}', 30), ('{"tiers": {"0": -20, "50.5": -10.001, "90": 0}}', '{}', 'day{1@2025-02-08:4,9@*:1}', 49.999), ('{"tiers": {"0": -20, "50.5": -10.001, "90": 0}}', '{}', 'day{1@2025-02-08:7,9@*:1}', 90), ('{"tiers": {"-10": 4}}', '{}', 'day{1@2025-02-08:7}', 74),
	-- many points, many times
	('{"tiers": {"1": -1000000000}, "points": 1000000000, "after": "1 day"}', '{}', 'day{1@0001-01-01:1}', -999999999990), ('{"tiers": {"1": -1000000000}, "points": 1000000000, "after": "1 day", "max_points": -5}', '{}', 'day{1@0001-01-01:1}', 5)) v(change, more, activity, expected),
	quiet_model(change, more) m, (VALUES ('2025-03-10 UTC'::timestamptz)) t(at);
-- two such rules do not see each other, and the explanation names the tier
SELECT dimension, rule, points, note FROM explain('day{1@2025-01-09:8,9@*:1}', quiet_model('{}', jsonb_build_object('max_score', 95, 'rules', quiet_model()::jsonb -> 'rules' || jsonb '[{"rule": "long quiet", "dimension": "q", "signal": "a", "points": 2, "aggregate": "idle", "after": "60 days", "tiers": {"0.5": -0.25}, "of_dimension": "d"}, {"rule": "too little", "dimension": "q", "signal": "a", "aggregate": "idle", "after": "60 days", "tiers": {"95.001": -5}}]')), '2025-03-10 UTC');
-- what is taken goes by what is left: of 36 points on 11 March, after 30 quiet days, twice 15; of the 30.4 points of 18 March nothing
SELECT day::date, score('day{1@2025-02-09:6,9@*:1}', m, day), qualified_stage('day{1@2025-02-09:6,9@*:1}', m, day) AS stage, next_change('day{1@2025-02-09:6,9@*:1}', m, day)
FROM quiet_model('{"repeat": false}', '{"rules": [{"rule": "quiet", "dimension": "q", "signal": "a", "aggregate": "idle", "after": "30 days", "tiers": {"31": -15}, "of_dimension": "d"}, {"rule": "views", "dimension": "d", "signal": "a", "points": 10, "decay": "linear", "decay_period": "60 days", "decay_percent": 80}], "stage_rules": [{"stage": "mql", "min_score": 20}]}') m,
	unnest('{2025-02-09,2025-03-10,2025-03-11,2025-03-17,2025-03-18,2025-03-31,2025-04-01}'::timestamptz[]) day;

-- Explanations
CREATE TABLE m (name text PRIMARY KEY, m lead_model);
INSERT INTO m VALUES ('inbound', '{"model": "inbound", "max_score": 120, "signals": [{"signal": "lead_created", "signal_id": 0}, {"signal": "page_view", "signal_id": 1}, {"signal": "webinar", "signal_id": 2}, {"signal": "case_study", "signal_id": 3}, {"signal": "demo", "signal_id": 4}, {"signal": "recycled", "signal_id": 5}, {"signal": "unsubscribe", "signal_id": 6},
		{"signal": "consent", "signal_id": 10, "source": "profile"}, {"signal": "contact", "signal_id": 11, "source": "profile"}, {"signal": "budget", "signal_id": 12, "source": "profile"}, {"signal": "need", "signal_id": 13, "source": "profile"}, {"signal": "b2c", "signal_id": 14, "source": "profile"}, {"signal": "decider", "signal_id": 15, "source": "profile"}, {"signal": "competitor", "signal_id": 16, "source": "profile"}, {"signal": "paid", "signal_id": 17}],
	"dimensions": [{"dimension": "engagement", "min_points": -20, "max_points": 80, "reset_signals": ["recycled"]}, {"dimension": "fit", "weight": 0.5}, {"dimension": "interest", "weight": 0}],
	"rules": [{"rule": "page views", "dimension": "engagement", "signal": "page_view", "points": 2, "limit_count": 3, "limit_period": "day", "decay": "half_life", "decay_period": "30 days", "max_points": 20}, {"rule": "webinars", "dimension": "engagement", "signal": "webinar", "points": 15, "decay": "linear", "decay_period": "90 days"},
		{"rule": "case studies", "dimension": "engagement", "signal": "case_study", "points": 10, "aggregate": "first_n", "first_n": 2}, {"rule": "demo", "dimension": "engagement", "signal": "demo", "points": 30, "aggregate": "last", "decay": "step", "decay_period": "14 days", "decay_percent": 50}, {"rule": "quiet", "dimension": "engagement", "signal": "page_view", "points": -5, "aggregate": "idle", "after": "30 days", "repeat": true, "max_points": -15},
		{"rule": "unsubscribed", "dimension": "engagement", "signal": "unsubscribe", "points": -20, "aggregate": "days", "decay": "window", "decay_period": "60 days"}, {"rule": "decider", "dimension": "fit", "signal": "decider", "points": 30, "unless": ["competitor"]}, {"rule": "budget", "dimension": "fit", "signal": "budget", "points": 25.5, "only_if": ["contact"]},
		{"rule": "webinar visits", "dimension": "interest", "signal": "webinar", "points": null, "aggregate": "tier", "tiers": {"1": 5, "3": 10}, "within": "180 days"}],
	"stage_rules": [{"stage": "iql"}, {"stage": "mql", "min_score": 31, "sla": "2 days"}, {"stage": "mql", "only_if": "b2c", "min_score": 15}, {"stage": "mql", "only_if": "competitor", "min_score": 100}, {"stage": "sql", "min_score": 71, "sla": "1 hour"}, {"stage": "sql", "only_if": "b2c", "min_score": 40}, {"stage": "prospect", "entry_signals": ["demo"]}, {"stage": "customer", "entry_signals": ["paid"]}, {"stage": "recycled", "entry_signals": ["recycled"]}],
	"stage_gates": [{"stage": "iql", "gate": "consent", "signal": "consent"}, {"stage": "iql", "gate": "reachable", "signal": "contact"}, {"stage": "mql", "gate": "solution content", "signal": "case_study", "within": "90 days"}, {"stage": "mql", "gate": "solution content", "signal": "webinar", "min_count": 2}, {"stage": "mql", "gate": "solution content", "dimension": "engagement", "min_points": 60.5},
		{"stage": "sql", "gate": "budget", "signal": "budget"}, {"stage": "sql", "gate": "no rival", "signal": "competitor", "negate": true}, {"stage": "sql", "gate": "calm", "signal": "page_view", "min_count": 50, "within": "1 day", "negate": true}, {"stage": "sql", "gate": "fits", "dimension": "fit", "min_points": 20}, {"stage": "sql", "gate": "not cold", "dimension": "engagement", "min_points": 0, "negate": false}, {"stage": "sql", "gate": "not hot", "dimension": "interest", "min_points": 11, "negate": true}],
	"grades": [{"dimension": "fit", "grade": "A", "min_points": 50}, {"dimension": "fit", "grade": "B", "min_points": 25}, {"dimension": "fit", "grade": "D", "min_points": -1000}, {"dimension": "engagement", "grade": "1", "min_points": 40}, {"dimension": "engagement", "grade": "2", "min_points": 0}]}');
INSERT INTO m SELECT 'open', lead_model(m::jsonb || '{"gates_required": false, "allow_demotion": true, "demotion_margin": 5}') FROM m;
INSERT INTO m SELECT 'hourly', lead_model(replace(m::jsonb::text, '"1 day"', '"1 hour"')::jsonb || '{"stage_gates": []}') FROM m WHERE name = 'inbound';
CREATE TABLE lead (name text PRIMARY KEY, a lead_activity);
INSERT INTO lead VALUES ('nobody', 'day{}'), ('visitor', 'day{0@2025-01-01:1,1@2025-01-01:4,10@*:1}'), ('warm', 'day{0@2025-01-01:1,1@2025-01-01:2,1@2025-02-28:8,2@2025-02-01:2,3@2025-03-01:3,10@*:1,11@*:1,15@*:1}'),
	('hot', 'day{0@2025-01-01:1,1@2025-03-01:60,2@2025-02-01:4,3@2025-03-01:3,4@2025-02-20:1,10@*:1,11@*:1,12@*:1,15@*:1}'), ('rival', 'day{0@2025-01-01:1,1@2025-03-01:60,3@2025-03-01:3,4@2025-03-02:1,10@*:1,11@*:1,15@*:1,16@*:1}'),
	('shopper', 'day{0@2025-01-01:1,1@2025-02-25:6,3@2025-02-25:1,10@*:1,11@*:1,14@*:1,12@*:1}'), ('recycled', 'day{0@2025-01-01:1,1@2025-02-01:6,1@2025-03-04:1,3@2025-02-01:2,5@2025-03-01:1,6@2025-03-02:1,6@2025-03-03:2,10@*:1,11@*:1}'), ('no contact', 'day{0@2025-01-01:1,12@*:1,15@*:1,10@*:1,1@2025-03-04:3,3@2025-03-05:1}');
SELECT l.name, e.* FROM lead l, m, explain(l.a, m.m, '2025-03-05 09:00 UTC') e WHERE m.name = 'inbound';
SELECT l.name, m.name AS model, score(l.a, m.m, at), stage_by_points(l.a, m.m, at) AS points, qualified_stage(l.a, m.m, at) AS stage, grade(l.a, m.m, at), next_change(l.a, m.m, at), (SELECT sum(points) FROM explain(l.a, m.m, at)) = score(l.a, m.m, at) AS explained
FROM lead l, m, (VALUES ('2025-03-05 09:00 UTC'::timestamptz)) v(at) WHERE m.name <> 'hourly' ORDER BY m.name, l.name;
SELECT l.name, d.* FROM lead l, m, dimension_scores(l.a, m.m, '2025-03-05 09:00 UTC') d WHERE m.name = 'inbound' AND l.name IN ('nobody', 'hot', 'rival') ORDER BY l.name;
SELECT l.name, g.* FROM lead l, m, stage_gates(l.a, m.m, '2025-03-05 09:00 UTC') g WHERE m.name = 'inbound' AND l.name IN ('nobody', 'hot', 'warm', 'rival');
-- without gates the gates of iql stay
SELECT g.* FROM lead l, m, stage_gates(l.a, m.m, '2025-03-05 09:00 UTC') g WHERE m.name = 'open' AND l.name = 'visitor';
-- only_if rows: the first present one in alphabetical order decides, without any the stage is out of reach
SELECT a, qualified_stage(a, m, '2025-03-05 UTC'), stage_by_points(a, m, '2025-03-05 UTC') AS points, (SELECT string_agg(stage || ' ' || gate || ': ' || coalesce(missing, 'met'), ', ') FROM stage_gates(a, m, '2025-03-05 UTC')) AS gates
FROM rule_model('{}', '{"stage_rules": [{"stage": "mql", "only_if": "reset", "min_score": 5}, {"stage": "mql", "only_if": "b", "min_score": 15}, {"stage": "sql", "only_if": "p", "min_score": 20}, {"stage": "sql", "only_if": "b", "min_score": 40}]}') m,
     unnest('{"day{1@*:2}","day{1@*:1,3@*:1}","day{1@*:1,2@*:1,3@*:1}","day{1@*:2,2@*:1,3@*:1}","day{1@*:2,9@*:1}","day{1@*:4,2@*:1,9@*:1}","day{1@*:2,9@2025-03-06:1}"}'::lead_activity[]) a;
-- a stage of milestones only is not reached by points; a model without stages leaves visitors
SELECT qualified_stage('day{1@*:9}', rule_model('{}', s), now()), stage_by_points('day{1@*:9}', rule_model('{}', s), now()) AS points, next_change('day{1@*:9}', rule_model('{}', s), now()), (SELECT count(*) FROM stage_gates('day{1@*:9}', rule_model('{}', s), now())) AS gates
FROM (VALUES ('{}'::jsonb), ('{"stage_rules": [{"stage": "customer", "entry_signals": ["b"]}, {"stage": "visitor"}, {"stage": "lost"}]}'), ('{"stage_rules": [{"stage": "iql"}], "stage_gates": [{"stage": "iql", "gate": "a", "signal": "a"}]}'), ('{"stage_rules": [{"stage": "iql"}, {"stage": "mql"}], "stage_gates": [{"stage": "mql", "gate": "a", "signal": "a"}], "gates_required": false}')) v(s);
SELECT grade('day{}', rule_model('{}'), now()) IS NULL AS no_grades;
-- points of the score in a gate: iql by a profile or 20 points; mql by b, three of a in five days, or 60 points; sql from 80 and below 120
CREATE TABLE by_gate AS SELECT rule_model('{"decay": "window", "decay_period": "40 days"}', '{"stage_rules": [{"stage": "iql"}, {"stage": "mql"}, {"stage": "sql", "min_score": 80}],
	"stage_gates": [{"stage": "iql", "gate": "known", "signal": "p"}, {"stage": "iql", "gate": "known", "min_points": 20},
		{"stage": "mql", "gate": "interest", "signal": "b"}, {"stage": "mql", "gate": "interest", "signal": "a", "min_count": 3, "within": "5 days"}, {"stage": "mql", "gate": "interest", "min_points": 60},
		{"stage": "sql", "gate": "sober", "min_points": 120, "negate": true}]}') AS m;
SELECT a, score(a, m, at), qualified_stage(a, m, at) AS stage, stage_by_points(a, m, at) AS points, qualified_stage(a, (m::jsonb || '{"gates_required": false}')::lead_model, at) AS ungated, next_change(a, m, at),
	stage || ' ' || points || ' ' || ungated AS expected, next
FROM by_gate, (VALUES ('2025-03-05 UTC'::timestamptz)) t(at), (VALUES
	('day{1@2025-03-05:1}'::lead_activity, 'visitor', 'visitor', 'visitor', NULL::date), ('day{1@2025-03-05:2}', 'iql', 'iql', 'iql', '2025-04-14'), ('day{1@2025-03-05:3}', 'mql', 'iql', 'iql', '2025-03-10'), ('day{1@2025-02-01:5}', 'iql', 'iql', 'iql', '2025-03-13'),
	('day{1@2025-02-01:6}', 'mql', 'mql', 'iql', '2025-03-13'), ('day{1@2025-02-01:2,1@2025-02-02:6}', 'sql', 'sql', 'sql', '2025-03-13'), ('day{1@2025-02-01:12}', 'mql', 'sql', 'sql', '2025-03-13'), ('day{1@2025-02-01:1,1@2025-02-02:11}', 'mql', 'sql', 'sql', '2025-03-13'),
	('day{9@*:1}', 'iql', 'visitor', 'iql', NULL), ('day{2@2025-02-01:1,9@*:1}', 'mql', 'visitor', 'iql', NULL), ('day{2@2025-02-01:1}', 'visitor', 'visitor', 'visitor', NULL)) v(a, stage, points, ungated, next);
SELECT a, g.* FROM by_gate, unnest('{"day{1@2025-03-05:1}","day{1@2025-02-01:7}","day{1@2025-02-01:12}"}'::lead_activity[]) a, stage_gates(a, m, '2025-03-05 UTC') g;
SELECT p AS points, stage_by_points(p, m) FROM by_gate, unnest('{-1,19.999,20,59.999,60,79.999,80,1000}'::numeric[]) p;
-- of several gates that ask for points all must be met; those of other things do not matter to points
SELECT p AS points, stage_by_points(p, rule_model('{}', '{"stage_rules": [{"stage": "iql"}, {"stage": "mql"}, {"stage": "sql"}], "stage_gates": [{"stage": "iql", "gate": "a", "signal": "a"}, {"stage": "mql", "gate": "low", "min_points": 10}, {"stage": "mql", "gate": "low", "min_points": 12}, {"stage": "mql", "gate": "b", "signal": "b"},
	{"stage": "mql", "gate": "high", "min_points": 20, "negate": true}, {"stage": "mql", "gate": "high", "min_points": 30}]}')) FROM unnest('{9.999,10,19.999,20,29.999,30}'::numeric[]) p;
DROP TABLE by_gate;

-- The stage of a number of points
SELECT points, stage_by_points(points, rule_model('{}', s)) FROM (VALUES ('{"stage_rules": [{"stage": "iql", "min_score": 0}, {"stage": "mql", "min_score": 31}, {"stage": "mql", "only_if": "b", "min_score": 1}, {"stage": "sql", "min_score": 71}]}'::jsonb)) v(s),
	unnest('{-Infinity,-1e20,-0.0001,-0.001,0,0.000,30.9999,30.9999999999999999999999999,31,31.0001,70.9999,71,1e15,1e20,Infinity}'::numeric[]) points;
SELECT stage_by_points('NaN'::numeric, rule_model('{}'));
\echo :SQLSTATE

-- Instants: an event counts from the start of its bucket, the score is that of the bucket
SELECT at, score('day{1@2025-03-10:1}', m, at), next_change('day{1@2025-03-10:1}', m, at) FROM rule_model('{"decay": "window", "decay_period": "2 days"}', '{"stage_rules": [{"stage": "mql", "min_score": 10}]}') m,
	unnest('{-infinity,"2025-03-09 23:59:59.999999 UTC","2025-03-10 UTC","2025-03-10 23:59:59 UTC","2025-03-11 23:59:59.999999 UTC","2025-03-12 UTC",infinity}'::timestamptz[]) at;
SELECT at, next_change('hour{1@2025-03-10T22:3}', m, at) FROM rule_model('{"decay": "half_life", "decay_period": "3 hours"}', '{"grain": "1 hour", "stage_rules": [{"stage": "mql", "min_score": 7.5}, {"stage": "sql", "min_score": 15}]}') m,
	unnest('{"2025-03-10 22:59 UTC","2025-03-11 01:00 UTC","2025-03-11 01:59 UTC","2025-03-11 02:00 UTC","2025-03-11 04:30 UTC","2025-03-11 05:00 UTC"}'::timestamptz[]) at;
-- ends of time
SELECT next_change('day{1@9999-12-31:1}', m, '9999-12-30 UTC') AS last, next_change('day{1@9999-12-31:1}', m, 'infinity') AS after, next_change('day{1@0001-01-01:1}', m, '-infinity') AS first FROM rule_model('{}', '{"stage_rules": [{"stage": "mql", "min_score": 10}]}') m;

-- For all: random leads of the models above, and of one with rules for periods, tiers of quiet time, and points of the score in gates
INSERT INTO m SELECT 'sheet', lead_model(jsonb_set(m::jsonb, '{rules}', m::jsonb -> 'rules' || jsonb '[{"rule": "busy weeks", "dimension": "engagement", "signal": "page_view", "points": 9.5, "aggregate": "periods", "period": "week", "min_count": 2, "decay": "half_life", "decay_period": "20 days"},
		{"rule": "busy terms", "dimension": "fit", "signal": "webinar", "points": 20, "aggregate": "periods", "period": "4 months", "min_count": 3, "limit_count": 1, "limit_period": "day", "decay": "window", "decay_period": "50 days"},
		{"rule": "quiet and rich", "dimension": "engagement", "signal": "page_view", "aggregate": "idle", "after": "12 days", "repeat": true, "tiers": {"10": -4, "25": -11, "40": -25}, "max_points": -60},
		{"rule": "quiet and keen", "dimension": "fit", "signal": "webinar", "aggregate": "idle", "after": "20 days", "tiers": {"-5": -20, "5": -3, "30": 0}, "of_dimension": "engagement"}]')
	|| '{"stage_rules": [{"stage": "iql"}, {"stage": "mql"}, {"stage": "sql", "min_score": 35}], "stage_gates": [{"stage": "iql", "gate": "known", "signal": "contact"}, {"stage": "iql", "gate": "known", "min_points": 12}, {"stage": "mql", "gate": "interest", "min_points": 20}, {"stage": "mql", "gate": "interest", "signal": "case_study", "min_count": 3, "within": "30 days"}, {"stage": "sql", "gate": "sober", "min_points": 60, "negate": true}]}')
	FROM m WHERE name = 'inbound';
CREATE FUNCTION noise(text) RETURNS bigint LANGUAGE sql IMMUTABLE RETURN ('x' || md5($1))::bit(60)::bigint;
CREATE TABLE crowd AS SELECT i, lead_activity_agg(CASE WHEN k <= n THEN noise(i || 's' || k) % 7 ELSE 3 + k END::int, CASE WHEN k <= n THEN '2025-01-01 UTC'::timestamptz + noise(i || 'd' || k) % 90 * interval '1 day' WHEN noise(i || 'f' || k) % 5 = 0 THEN '2025-02-01 UTC'::timestamptz + noise(i || 'g' || k) % 60 * interval '1 day' END,
		CASE WHEN k <= n OR noise(i || 'p' || k) % 3 > 0 THEN 1 + noise(i || 'c' || k) % 3 / 2 * 3 ELSE 0 END, '1 day') AS a
	FROM generate_series(1, 150) i, LATERAL (SELECT 6 + i % 12) x(n), LATERAL generate_series(1, 13) y(k) WHERE k <= n OR k >= 7 GROUP BY i;
SELECT count(*), bool_and((SELECT coalesce(sum(points), 0) FROM explain(a, m, at)) = score(a, m, at)) AS explained, bool_and(score_milli(a, m, at) = score(a, m, at) * 1000) AS milli,
       bool_and((SELECT least(sum(round(points * weight, 3)), 120) FROM dimension_scores(a, m, at)) = score(a, m, at)) AS dimensions,
       bool_and((SELECT coalesce(bool_and(NOT met = (missing IS NOT NULL)), true) FROM stage_gates(a, m, at))) AS texts,
       bool_and(qualified_stage(a, m, at) >= stage OR coalesce(NOT met, false)) AS gates
FROM crowd, m, generate_series('2025-01-15 12:00 UTC', '2025-06-30 12:00 UTC', interval '9 days') at, LATERAL (SELECT stage, bool_and(met) AS met FROM stage_gates(a, m, at) GROUP BY stage) g WHERE m.name IN ('inbound', 'open', 'sheet');
-- later events change nothing
SELECT bool_and(score(a, m, at) = score(past, m, at)) AS score, bool_and(qualified_stage(a, m, at) = qualified_stage(past, m, at)) AS stage
FROM crowd, m, generate_series('2025-01-15 UTC', '2025-04-15 UTC', interval '6 days') at, LATERAL (SELECT coalesce(lead_activity_agg(u.signal_id, u.bucket, u.count, '1 day'), 'day{}') FROM unnest(a) u WHERE u.bucket IS NULL OR u.bucket < at + interval '1 day') p(past) WHERE name <> 'hourly';
-- the next change is the first day of another stage
SELECT name, count(*), count(next_change) AS changes, bool_and(next_change IS NOT DISTINCT FROM found) AS right
FROM (SELECT name, next_change(a, m, at), (SELECT min(day) FROM generate_series(at::date::timestamptz + interval '1 day', '2026-01-15 UTC', interval '1 day') day WHERE qualified_stage(a, m, day) <> qualified_stage(a, m, at)) AS found
	FROM (SELECT name, m FROM m WHERE name <> 'hourly' UNION ALL SELECT 'easy', lead_model(m::jsonb || '{"stage_gates": [{"stage": "iql", "gate": "demo", "signal": "unsubscribe", "within": "20 days", "negate": true}], "stage_rules": [{"stage": "iql", "min_score": -2}, {"stage": "mql", "min_score": 10}, {"stage": "mql", "only_if": "b2c", "min_score": 7}, {"stage": "sql", "min_score": 25}, {"stage": "prospect", "min_score": 40}]}') FROM m WHERE name = 'inbound') m,
		crowd, unnest('{"2025-01-20 18:00 UTC","2025-02-20 UTC","2025-04-10 07:00 UTC"}'::timestamptz[]) at) n GROUP BY name ORDER BY name;

-- Where bounds tell nothing the search stays exact, and does not take the memory of every step
SELECT next_change('day{1@2025-01-01:1}', rule_model('{}', '{"rules": [{"rule": "up", "dimension": "d", "signal": "a", "points": 10, "aggregate": "idle", "after": "2 days", "repeat": true}, {"rule": "down", "dimension": "d", "signal": "a", "points": -10, "aggregate": "idle", "after": "2 days", "repeat": true}, {"rule": "once", "dimension": "d", "signal": "a", "points": 5, "aggregate": "idle", "after": "100000 days"}], "stage_rules": [{"stage": "mql", "min_score": 5}]}'), '2025-01-02 UTC');

-- Mistakes of the caller
SELECT score('hour{1@*:1}', rule_model('{}'), now());
\echo :SQLSTATE
SELECT * FROM explain('day{}', rule_model('{}', '{"grain": "1 hour"}'), now());
SELECT score(NULL, rule_model('{}'), now()) IS NULL AS a, score('day{}', NULL, now()) IS NULL AS b, score('day{}', rule_model('{}'), NULL) IS NULL AS c, qualified_stage('day{}', NULL) IS NULL AS d, (SELECT count(*) FROM explain('day{}', NULL)) AS e;

-- Call sites keep a model from row to row: it changes with every row, ...
CREATE FUNCTION call_sites() RETURNS TABLE (rows bigint, wrong bigint) LANGUAGE sql AS $$
	SELECT count(*), count(*) FILTER (WHERE score(l.a, m.m, '2025-03-05 UTC') <> (SELECT coalesce(sum(points), 0) FROM explain(l.a, m.m::text::lead_model, '2025-03-05 UTC')))
	FROM generate_series(1, 20) i, (SELECT * FROM m ORDER BY name OFFSET 0) m, lead l WHERE m.name <> 'hourly' $$;
SELECT * FROM call_sites();
SELECT string_agg(score(l.a, m, '2025-03-05 UTC')::text, ' ') FROM lead l, generate_series(1, 4) i, LATERAL (SELECT CASE i % 2 WHEN 0 THEN rule_model('{}') ELSE rule_model('{"points": 7}') END) x(m) WHERE l.name = 'visitor';
-- ... is compressed, out of line, in a short header, or made in the query
CREATE TABLE kept (way text, m lead_model);
ALTER TABLE kept ALTER m SET STORAGE extended;
INSERT INTO kept SELECT 'compressed ' || name, m FROM m WHERE name <> 'hourly';
ALTER TABLE kept ALTER m SET STORAGE external;
INSERT INTO kept SELECT 'toasted ' || name, (m::jsonb || jsonb_build_object('rules', m::jsonb -> 'rules' || (SELECT jsonb_agg(jsonb_build_object('rule', 'more ' || i, 'dimension', 'engagement', 'signal', 'paid', 'points', 1)) FROM generate_series(1, 200) i))) FROM m WHERE name <> 'hourly';
ALTER TABLE kept ALTER m SET STORAGE main;
INSERT INTO kept VALUES ('tiny', '{}'), ('tiny floor', '{"min_score": 5}');
SELECT k.way, bool_and(pg_column_size(m) > 10000) AS large, bool_and(pg_column_size(m) < 127) AS short, count(*), sum(score(l.a, k.m, '2025-03-05 UTC')), sum(score_milli(l.a, k.m, '2025-03-05 UTC')) FROM generate_series(1, 3), lead l, kept k GROUP BY way ORDER BY way;
SELECT string_agg(score(a, m, '2025-03-05 UTC')::text, ' ' ORDER BY n, way) FROM (SELECT * FROM generate_series(1, 2) n, kept k, lead l WHERE l.name = 'warm' ORDER BY n, way OFFSET 0) x;
-- a toasted model that changes inside a transaction
BEGIN;
DO $$
DECLARE
	s numeric;
	said text := '';
BEGIN
	FOR i IN 1..4 LOOP
		SELECT score(l.a, k.m, '2025-03-05 UTC') INTO s FROM lead l, kept k WHERE l.name = 'warm' AND k.way = 'toasted open';
		said := said || ' ' || s;
		UPDATE kept SET m = m::jsonb || jsonb_build_object('max_score', i) WHERE way = 'toasted open';
	END LOOP;
	RAISE NOTICE '%', said;
END $$;
ROLLBACK;
-- the parameter of a prepared statement, a variable
PREPARE points(lead_activity, lead_model) AS SELECT score($1, $2, '2025-03-05 UTC');
SET plan_cache_mode = force_generic_plan;
EXECUTE points('day{1@*:1}', '{"min_score": 1}');
EXECUTE points('day{1@*:1}', '{"min_score": 2}');
SET plan_cache_mode = force_custom_plan;
EXECUTE points('day{1@*:1}', '{"min_score": 3}');
RESET plan_cache_mode;
DEALLOCATE points;
DO $$
DECLARE
	m lead_model;
	said text := '';
BEGIN
	FOR i IN 1..3 LOOP
		m := rule_model(jsonb_build_object('points', i));
		said := said || ' ' || score('day{1@*:1}', m, '2025-03-05 UTC');
		BEGIN
			PERFORM score('hour{1@*:1}', m, '2025-03-05 UTC');
		EXCEPTION WHEN datatype_mismatch THEN
			said := said || ' refused';
		END;
	END LOOP;
	RAISE NOTICE '%', said;
END $$;
-- an index on a score
CREATE INDEX ON crowd (score_milli(a, '{}', '2025-03-05 UTC'));
SELECT sum(score_milli(a, m, '2025-03-05 UTC')) = (SELECT sum(points) * 1000 FROM crowd c, m o, explain(c.a, o.m, '2025-03-05 UTC') WHERE o.name = 'open') FROM crowd, m WHERE name = 'open';

DROP TABLE m, lead, crowd, kept;
DROP FUNCTION show(jsonb, lead_activity, timestamptz, numeric, jsonb);
DROP FUNCTION rule_model(jsonb, jsonb);
DROP FUNCTION dim(jsonb);
DROP FUNCTION noise(text);
DROP FUNCTION call_sites();
