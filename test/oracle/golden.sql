/*
 * golden.sql: results worked out by hand (weights: bc -l with 50 digits)
 *
 * They check the oracle before the oracle checks anything.  Needs oracle.sql.
 */

CREATE TABLE oracle.golden_weight (
	decay text, period int, percent numeric, age int, weight bigint);
INSERT INTO oracle.golden_weight VALUES
	('none', NULL, NULL, 0, 2147483648),
	('none', NULL, NULL, 100000, 2147483648),
	('window', 7, NULL, 6, 2147483648),
	('window', 7, NULL, 7, 0),
	('half_life', 7, NULL, 0, 2147483648),
	('half_life', 7, NULL, 1, 1945026759),
	('half_life', 7, NULL, 2, 1761656763),
	('half_life', 7, NULL, 3, 1595574218),
	('half_life', 7, NULL, 4, 1445149328),
	('half_life', 7, NULL, 5, 1308905945),
	('half_life', 7, NULL, 6, 1185507088),
	('half_life', 7, NULL, 7, 1073741824),
	('half_life', 7, NULL, 8, 972513379),
	('half_life', 7, NULL, 13, 592753544),
	('half_life', 7, NULL, 14, 536870912),
	('half_life', 7, NULL, 100, 107523),
	('half_life', 7, NULL, 217, 1),
	('half_life', 7, NULL, 223, 1),
	('half_life', 7, NULL, 224, 1),			-- a half, exactly
	('half_life', 7, NULL, 225, 0),
	('half_life', 1, NULL, 1, 1073741824),
	('half_life', 1, NULL, 31, 1),
	('half_life', 1, NULL, 32, 1),
	('half_life', 1, NULL, 33, 0),
	('half_life', 30, NULL, 1, 2098435054),
	('half_life', 30, NULL, 29, 1098839349),
	('half_life', 30, NULL, 31, 1049217527),
	('half_life', 30, NULL, 365, 467088),
	('half_life', 90, NULL, 1, 2131008038),
	('half_life', 90, NULL, 45, 1518500250),
	('half_life', 90, NULL, 1000, 970850),
	('half_life', 365, NULL, 1, 2143409375),
	('half_life', 365, NULL, 400, 1004694396),
	('half_life', 720, NULL, 1, 2145417251),
	('half_life', 720, NULL, 719, 1074776018),
	('half_life', 720, NULL, 5000, 17435877),
	('half_life', 720, NULL, 1000000, 0),
	('linear', 3, NULL, 0, 2147483648),
	('linear', 3, NULL, 1, 1431655765),
	('linear', 3, 100, 2, 715827883),
	('linear', 3, 100, 3, 0),
	('linear', 3, 100, 4, 0),
	('linear', 30, 100, 1, 2075900860),
	('linear', 7, 50, 1, 1994091959),
	('linear', 7, 50, 13, 153391689),
	('linear', 7, 50, 14, 0),
	('linear', 7, 33.333, 5, 1636183131),
	('linear', 7, 33.333, 21, 21475),		-- 21474.83648
	('linear', 7, 33.333, 22, 0),
	('linear', 7, 12.5, 55, 38347922),
	('linear', 30, 0.1, 1, 2147412065),
	('step', 7, 10, 6, 2147483648),
	('step', 7, 10, 7, 1932735283),
	('step', 1, 10, 2, 1739461755),
	('step', 1, 10, 3, 1565515579),
	('step', 1, 10, 4, 1408964021),
	('step', 1, 10, 210, 1),				-- 0.5283
	('step', 1, 33.333, 1, 1431662924),
	('step', 1, 33.333, 2, 954446721),
	('step', 1, 33.333, 7, 125691599),
	('step', 1, 0.1, 1, 2145336164),
	('step', 1, 0.1, 1000, 789619912),
	('step', 1, 0.1, 22100, 1),				-- 0.5361
	('step', 1, 0.1, 22200, 0),				-- 0.4850
	('step', 1, 75, 15, 2),
	('step', 1, 75, 16, 1),					-- a half, exactly
	('step', 1, 75, 17, 0),
	('step', 1, 50, 32, 1),
	('step', 1, 50, 33, 0),
	('step', 3, 100, 2, 2147483648),
	('step', 3, 100, 3, 0);

/*
 * One rule, its counts and what it is worth.  Counts: signal@bucket:count
 * or signal@*:count.  In the model a = 1, b = 2, reset = 3, created = 0; the
 * dimension has reset_signals {reset}.
 */
CREATE TABLE oracle.golden_rule (
	id int GENERATED ALWAYS AS IDENTITY, what text, grain text, rule jsonb, counts text, d int, value numeric);
INSERT INTO oracle.golden_rule (what, grain, rule, counts, d, value) VALUES
	('sum of all up to d', '1 day', '{"points": 2}', '1@10:3 1@20:1 1@21:5 2@1:9', 20, 8),
	('timeless too', '1 day', '{"points": 2.5}', '1@*:2 1@10:1', 10, 7.5),
	('negative counts are none', '1 day', '{"points": 2}', '1@10:-3 1@11:1', 20, 2),
	('a cancelled count', '1 day', '{"points": 2}', '1@10:3 1@10:-1', 20, 4),
	('half-life', '1 day', '{"points": 10, "decay": "half_life", "decay_period": "7 days"}', '1@10:2 1@17:1', 24, 10),
	-- 15 * 1945026759 / 2^31 = 13.585856...
	('a day later', '1 day', '{"points": 15, "decay": "half_life", "decay_period": "7 days"}', '1@10:1', 11, 13.586),
	('half away from zero', '1 day', '{"points": 0.001, "decay": "half_life", "decay_period": "1 day"}', '1@10:1', 11, 0.001),
	('also below', '1 day', '{"points": -0.001, "decay": "half_life", "decay_period": "1 day"}', '1@10:1', 11, -0.001),
	('timeless do not decay', '1 day', '{"points": 1, "decay": "window", "decay_period": "1 day"}', '1@*:2 1@9:4 1@10:1', 10, 3),
	('cap', '1 day', '{"points": 4, "max_points": 9}', '1@1:3', 3, 9),
	('cap after decay', '1 day', '{"points": 4, "max_points": 9, "decay": "half_life", "decay_period": "1 day"}', '1@1:3', 2, 6),
	('negative cap', '1 day', '{"points": -4, "max_points": -9}', '1@1:3', 3, -9),
	('a cap of nothing', '1 day', '{"points": 4, "max_points": 0}', '1@1:3', 3, 0),
	('and below', '1 day', '{"points": -4, "max_points": 0}', '1@1:3', 3, 0),
	('negative tiers and cap', '1 day', '{"points": null, "aggregate": "tier", "tiers": {"1": -2, "3": -5.5}, "max_points": -5}', '1@1:3', 3, -5),
	('limit a day', '1 day', '{"points": 1, "limit_count": 2, "limit_period": "day"}', '1@1:3 1@2:1 1@3:9', 3, 5),
	('timeless know no limit', '1 day', '{"points": 1, "limit_count": 2, "limit_period": "ever"}', '1@*:5 1@2:1 1@3:9', 3, 7),
	-- day 0 = Saturday 2000-01-01; 2 = Monday
	('limit a week', '1 day', '{"points": 1, "limit_count": 1, "limit_period": "week"}', '1@-5:1 1@1:1 1@2:1 1@8:1 1@9:1', 20, 3),
	('limit a month', '1 day', '{"points": 1, "limit_count": 1, "limit_period": "month"}', '1@-1:1 1@0:1 1@30:1 1@31:1', 40, 3),
	('limit a quarter', '1 day', '{"points": 1, "limit_count": 1, "limit_period": "quarter"}', '1@-1:1 1@0:1 1@90:1 1@91:1', 99, 3),
	('limit a year', '1 day', '{"points": 1, "limit_count": 1, "limit_period": "year"}', '1@-1:1 1@0:1 1@365:1 1@366:1', 400, 3),
	-- day 59 = Tuesday 2000-02-29, 60 = 2000-03-01, 121 = 2000-05-01, 182 = 2000-07-01
	('limit in 2 months', '1 day', '{"points": 1, "limit_count": 1, "limit_period": "2 months"}', '1@-1:1 1@0:1 1@59:1 1@60:1', 99, 3),
	('limit in 4 months', '1 day', '{"points": 1, "limit_count": 1, "limit_period": "4 months"}', '1@-1:1 1@0:1 1@120:1 1@121:1', 199, 3),
	('limit in 6 months', '1 day', '{"points": 1, "limit_count": 1, "limit_period": "6 months"}', '1@-1:1 1@0:1 1@181:1 1@182:1', 199, 3),
	('three in a day', '1 day', '{"points": 15, "aggregate": "periods", "period": "day", "min_count": 3}', '1@1:3 1@2:2 1@3:9 1@4:1 1@5:3', 4, 30),
	-- two on days 100 and 120 (April 30), one on 121 (May 1), the second on 200
	('two in four months', '1 day', '{"points": 20, "aggregate": "periods", "period": "4 months", "min_count": 2}', '1@100:1 1@120:1 1@121:1', 130, 20),
	('and later', '1 day', '{"points": 20, "aggregate": "periods", "period": "4 months", "min_count": 2}', '1@100:1 1@120:1 1@121:1 1@200:1', 200, 40),
	('a period not full yet', '1 day', '{"points": 20, "aggregate": "periods", "period": "4 months", "min_count": 2}', '1@100:1 1@120:1 1@121:1 1@200:1', 199, 20),
	('paid when it is full', '1 day', '{"points": 8, "aggregate": "periods", "period": "month", "min_count": 2, "decay": "half_life", "decay_period": "1 day"}', '1@1:1 1@5:1 1@6:7', 6, 4),
	('once ever', '1 day', '{"points": 8, "aggregate": "periods", "period": "ever", "min_count": 3}', '1@-400:1 1@5:1 1@800:9 1@801:9', 900, 8),
	('timeless are of no period', '1 day', '{"points": 8, "aggregate": "periods", "period": "ever", "min_count": 1}', '1@*:5', 6, 0),
	('negative counts fill none', '1 day', '{"points": 8, "aggregate": "periods", "period": "month", "min_count": 2}', '1@1:2 1@2:-2 1@31:3 1@32:-3 1@60:2 1@60:-1', 99, 16),
	('limits come first', '1 day', '{"points": 8, "aggregate": "periods", "period": "month", "min_count": 2, "limit_count": 1, "limit_period": "day"}', '1@1:9 1@31:2 1@40:1', 99, 8),
	('resets too', '1 day', '{"points": 8, "aggregate": "periods", "period": "month", "min_count": 2}', '1@1:9 1@31:2 3@40:1 1@40:1 1@45:1', 45, 0),
	('periods and a cap', '1 day', '{"points": 8, "aggregate": "periods", "period": "day", "min_count": 1, "max_points": 20}', '1@1:9 1@2:2 1@3:1', 3, 20),
	('days by the hour too', '1 hour', '{"points": 8, "aggregate": "periods", "period": "day", "min_count": 3, "decay": "step", "decay_percent": 50, "decay_period": "10 hours"}', '1@0:2 1@22:1 1@23:5 1@24:2 1@-1:1', 32, 4),
	('the earliest are kept', '1 day', '{"points": 8, "limit_count": 1, "limit_period": "ever", "decay": "half_life", "decay_period": "1 day"}', '1@1:1 1@4:1', 4, 1),
	('limit a day by the hour', '1 hour', '{"points": 1, "limit_count": 3, "limit_period": "day"}', '1@-1:9 1@0:2 1@23:2 1@24:1', 30, 7),
	('hours', '1 hour', '{"points": 8, "decay": "half_life", "decay_period": "1 day"}', '1@0:1', 24, 4),
	('more hours', '1 hour', '{"points": 8, "decay": "step", "decay_percent": 50, "decay_period": "12 hours"}', '1@0:1', 35, 2),
	('reset', '1 day', '{"points": 1}', '1@1:1 3@2:1 1@2:1 1@3:1 3@9:1', 4, 1),
	('a later reset', '1 day', '{"points": 1}', '1@1:1 3@2:1 1@3:1 1@10:1', 2, 0),
	('timeless know no reset', '1 day', '{"points": 1}', '1@*:1 3@*:1 3@2:1 1@2:1', 2, 1),
	('a timeless reset is none', '1 day', '{"points": 1}', '1@1:1 3@*:1', 2, 1),
	('a limit begins anew', '1 day', '{"points": 1, "limit_count": 1, "limit_period": "ever"}', '1@1:1 3@1:1 1@3:1', 3, 1),
	('last', '1 day', '{"points": 8, "aggregate": "last", "decay": "half_life", "decay_period": "1 day"}', '1@1:9 1@3:9 1@9:1', 4, 4),
	('last, timeless', '1 day', '{"points": 8, "aggregate": "last", "decay": "half_life", "decay_period": "1 day"}', '1@*:3 1@3:9', 4, 8),
	('last of nothing', '1 day', '{"points": 8, "aggregate": "last"}', '2@1:1', 4, 0),
	('last of the kept', '1 day', '{"points": 8, "aggregate": "last", "limit_count": 1, "limit_period": "ever", "decay": "half_life", "decay_period": "1 day"}', '1@1:1 1@3:1', 3, 2),
	('first three', '1 day', '{"points": 8, "aggregate": "first_n", "first_n": 3, "decay": "half_life", "decay_period": "1 day"}', '1@1:2 1@2:2 1@3:1', 3, 8),
	('first three, timeless first', '1 day', '{"points": 8, "aggregate": "first_n", "first_n": 3, "decay": "half_life", "decay_period": "1 day"}', '1@*:2 1@2:2', 3, 20),
	('days', '1 day', '{"points": 1, "aggregate": "days"}', '1@1:5 1@2:1 1@4:1 1@*:7', 3, 3),
	('days by the hour', '1 hour', '{"points": 1, "aggregate": "days", "decay": "linear", "decay_period": "100 hours"}', '1@-1:1 1@4:1 1@20:1 1@25:2', 40, 2.08),
	('tier', '1 day', '{"points": null, "aggregate": "tier", "tiers": {"3": 5, "10": 15.5}}', '1@1:2 1@2:1', 2, 5),
	('tier not reached', '1 day', '{"points": null, "aggregate": "tier", "tiers": {"3": 5, "10": 15.5}}', '1@1:2 1@3:9', 2, 0),
	('tier by number, not by text', '1 day', '{"points": null, "aggregate": "tier", "tiers": {"9": 5, "10": 15.5}}', '1@1:12', 2, 15.5),
	('tier within', '1 day', '{"points": 2, "aggregate": "tier", "within": "2 days", "tiers": {"1": 1, "3": 5}}', '1@1:2 1@2:1 1@3:1', 3, 2),
	('tier times points', '1 day', '{"points": 0.5, "aggregate": "tier", "tiers": {"1": 0.005}}', '1@1:2', 3, 0.003),
	('idle, not yet', '1 day', '{"points": -10, "aggregate": "idle", "after": "30 days", "repeat": true}', '1@1:2 0@0:1', 30, 0),
	('idle', '1 day', '{"points": -10, "aggregate": "idle", "after": "30 days", "repeat": true}', '1@1:2 0@0:1', 31, -10),
	('idle twice', '1 day', '{"points": -10, "aggregate": "idle", "after": "30 days", "repeat": true}', '1@1:2 0@0:1', 61, -20),
	('idle once', '1 day', '{"points": -10, "aggregate": "idle", "after": "30 days"}', '1@1:2 0@0:1', 91, -10),
	('idle since creation', '1 day', '{"points": -10, "aggregate": "idle", "after": "30 days"}', '0@5:1 1@*:1', 35, -10),
	('idle since the reset', '1 day', '{"points": -10, "aggregate": "idle", "after": "30 days"}', '0@5:1 1@6:1 3@10:1', 39, 0),
	('an old reset', '1 day', '{"points": -10, "aggregate": "idle", "after": "30 days"}', '0@5:1 3@1:1', 34, 0),
	('idle without a start', '1 day', '{"points": -10, "aggregate": "idle", "after": "1 day"}', '1@50:1', 40, 0),
	('idle and capped', '1 day', '{"points": -10, "aggregate": "idle", "after": "1 day", "repeat": true, "max_points": -35}', '1@1:1', 9, -35),
	-- the dimension has no points but those of the rule
	('idle by points', '1 day', '{"points": null, "aggregate": "idle", "after": "30 days", "repeat": true, "tiers": {"-1": -5, "0": -7.5, "0.001": -9}}', '1@1:2', 61, -15),
	('below all tiers', '1 day', '{"points": null, "aggregate": "idle", "after": "30 days", "tiers": {"0.001": -9}, "of_dimension": "d"}', '1@1:2', 61, 0),
	('idle by points, a factor and a cap', '1 day', '{"points": 0.333, "aggregate": "idle", "after": "1 day", "repeat": true, "tiers": {"0": -0.005}, "max_points": -0.016}', '1@1:2', 10, -0.015),
	('and the cap', '1 day', '{"points": 0.333, "aggregate": "idle", "after": "1 day", "repeat": true, "tiers": {"0": -0.005}, "max_points": -0.016}', '1@1:2', 12, -0.016),
	('only if present', '1 day', '{"points": 1, "only_if": ["b", "reset"]}', '1@1:1 2@2:1', 3, 0),
	('present by a bucket', '1 day', '{"points": 1, "only_if": ["b"]}', '1@1:1 2@3:1', 3, 1),
	('not present yet', '1 day', '{"points": 1, "only_if": ["b"]}', '1@1:1 2@3:1', 2, 0),
	('present without a time', '1 day', '{"points": 1, "only_if": ["b"]}', '1@1:1 2@*:1', 2, 1),
	('unless', '1 day', '{"points": 1, "unless": ["b"]}', '1@1:1 2@2:1', 2, 0),
	('unless, later', '1 day', '{"points": 1, "unless": ["b"]}', '1@1:1 2@3:1', 2, 1),
	('idle but excluded', '1 day', '{"points": -1, "aggregate": "idle", "after": "1 day", "unless": ["b"]}', '0@1:1 2@*:1', 9, 0);

CREATE FUNCTION oracle.counts(counts text) RETURNS oracle.count[]
LANGUAGE sql IMMUTABLE AS $$
	SELECT coalesce(array_agg(ROW(m[1], nullif(m[2], '*'), m[3])::oracle.count), '{}')
	FROM regexp_matches(counts, '(\d+)@(-?\d+|\*):(-?\d+)', 'g') m
$$;

CREATE FUNCTION oracle.golden_model(grain text, rule jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
	SELECT jsonb_build_object('model', 'golden', 'grain', grain, 'signals',
		jsonb '[{"signal": "lead_created", "signal_id": 0, "source": "event"},
				{"signal": "a", "signal_id": 1, "source": "event"},
				{"signal": "b", "signal_id": 2, "source": "event"},
				{"signal": "reset", "signal_id": 3, "source": "event"}]',
		'dimensions', jsonb '[{"dimension": "d", "reset_signals": ["reset"]}]',
		'rules', jsonb_build_array(jsonb '{"rule": "r", "dimension": "d", "signal": "a"}' || rule))
$$;

/*
 * Stages.  A small inbound model: iql needs consent, mql 31 and solution
 * content, sql 71 and budget and (need or timeline); in market b2c, mql is 10.
 */
CREATE FUNCTION oracle.golden_stages(gates_required boolean) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
	SELECT jsonb '{"model": "stages", "grain": "1 day",
		"signals": [{"signal": "lead_created", "signal_id": 0, "source": "event"},
			{"signal": "view", "signal_id": 1, "source": "event"},
			{"signal": "solution", "signal_id": 2, "source": "event"},
			{"signal": "consent", "signal_id": 10, "source": "profile"},
			{"signal": "budget", "signal_id": 11, "source": "profile"},
			{"signal": "need", "signal_id": 12, "source": "profile"},
			{"signal": "timeline", "signal_id": 13, "source": "profile"},
			{"signal": "b2c", "signal_id": 14, "source": "profile"}],
		"dimensions": [{"dimension": "d", "max_points": 60, "weight": 1.5}],
		"rules": [{"rule": "views", "dimension": "d", "signal": "view", "points": 1,
			"decay": "window", "decay_period": "10 days"}],
		"stage_rules": [{"stage": "iql"}, {"stage": "mql", "min_score": 31},
			{"stage": "mql", "min_score": 10, "only_if": "b2c"},
			{"stage": "sql", "min_score": 71}, {"stage": "customer", "entry_signals": ["solution"]}],
		"stage_gates": [{"stage": "iql", "gate": "consent", "signal": "consent"},
			{"stage": "mql", "gate": "solution", "signal": "solution", "within": "5 days"},
			{"stage": "mql", "gate": "solution", "dimension": "d", "min_points": 50},
			{"stage": "sql", "gate": "budget", "signal": "budget"},
			{"stage": "sql", "gate": "wish", "signal": "need"},
			{"stage": "sql", "gate": "wish", "signal": "timeline"}],
		"grades": [{"dimension": "d", "grade": "A", "min_points": 30}, {"dimension": "d", "grade": "B", "min_points": 5}]}'
		|| jsonb_build_object('gates_required', gates_required)
$$;

CREATE TABLE oracle.golden_stage (
	id int GENERATED ALWAYS AS IDENTITY, gates_required boolean, counts text, d int,
	score numeric, stage text, by_points text, grade text, next_change int);
INSERT INTO oracle.golden_stage
	(gates_required, counts, d, score, stage, by_points, grade, next_change) VALUES
	(true, '', 1, 0, 'visitor', 'iql', NULL, NULL),
	(true, '10@*:1', 1, 0, 'iql', 'iql', NULL, NULL),
	(true, '10@*:1 1@1:20', 1, 30, 'iql', 'iql', 'B', NULL),
	(true, '10@*:1 1@1:21 2@3:1', 1, 31.5, 'iql', 'mql', 'B', 3),
	(true, '10@*:1 1@1:21 2@3:1', 3, 31.5, 'mql', 'mql', 'B', 8),
	(true, '10@*:1 1@1:21 2@9:1', 9, 31.5, 'mql', 'mql', 'B', 11),
	(true, '1@1:21 2@3:1 10@5:1', 3, 31.5, 'visitor', 'mql', 'B', 5),
	(true, '10@*:1 1@1:48', 1, 72, 'iql', 'sql', 'A', NULL),
	(true, '10@*:1 1@1:50', 1, 75, 'mql', 'sql', 'A', 11),
	(true, '10@*:1 11@*:1 13@*:1 1@1:48', 1, 72, 'sql', 'sql', 'A', 11),
	(true, '10@*:1 11@*:1 1@1:100', 1, 90, 'mql', 'sql', 'A', 11),
	(true, '10@*:1 14@*:1 2@2:1 1@1:7', 2, 10.5, 'mql', 'mql', 'B', 7),
	(true, '10@*:1 14@*:1 2@2:1 1@1:6', 2, 9, 'iql', 'iql', 'B', NULL),
	(false, '10@*:1 1@1:48', 1, 72, 'sql', 'sql', 'A', 11),
	(false, '10@*:1 1@1:21', 1, 31.5, 'mql', 'mql', 'B', 11),
	(false, '1@1:48', 1, 72, 'visitor', 'sql', 'A', NULL);

-- What of it does not come out as it should: no rows.
CREATE VIEW oracle.golden_errors AS
	SELECT 'weight' AS kind, format('%s %s %s age %s', decay, period, percent, age) AS what,
		   g.weight::text AS expected, oracle.weight(decay, period, percent, age)::text AS got
	FROM oracle.golden_weight g
	WHERE g.weight IS DISTINCT FROM oracle.weight(decay, period, percent, age)
	UNION ALL
	SELECT 'rule', g.what, g.value::text, (v.value / 1000.0)::text
	FROM oracle.golden_rule g
		CROSS JOIN LATERAL oracle.rule_value(oracle.golden_model(g.grain, g.rule),
											 oracle.counts(g.counts), g.d, 'r') v(value)
	WHERE g.value * 1000 IS DISTINCT FROM v.value
	UNION ALL
	SELECT 'stage', format('%s: %s at %s', g.id, g.counts, g.d),
		   g.result::text, s.result::text
	FROM (SELECT x.*, ROW((score * 1000)::bigint, stage, by_points, grade, next_change) AS result
		  FROM oracle.golden_stage x) g
		CROSS JOIN LATERAL (SELECT oracle.golden_stages(g.gates_required) AS m,
								   oracle.counts(g.counts) AS c) i
		CROSS JOIN LATERAL (
			SELECT ROW(oracle.score_milli(m, c, g.d),
					   oracle.qualified_stage(m, c, g.d),
					   oracle.stage_by_points(oracle.score_milli(m, c, g.d), m, c, g.d),
					   oracle.grade(m, c, g.d),
					   oracle.next_change(m, c, g.d, 30)) AS result) s
	WHERE g.result::text <> s.result::text;
