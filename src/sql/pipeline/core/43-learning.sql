-- Learning from the past: which points would have told who becomes a customer.
--
-- What is learned from must be as it was known at the time. So leads are looked
-- at as of past instants, the first ones of months: their counts before it, their
-- profile as it was recorded before it, their stage before it. The label is
-- whether the lead reached the target within the horizon after it. Nothing that
-- comes later changes what is looked at, not even which instant is chosen.

-- The first instants of months, in UTC.
CREATE OR REPLACE FUNCTION _months(from_at timestamptz, until_at timestamptz) RETURNS timestamptz[]
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN coalesce((
        SELECT array_agg(m AT TIME ZONE 'UTC' ORDER BY m)
        -- infinity has no end
        FROM generate_series(date_trunc('month', greatest(from_at, timestamptz '1900-01-01 00:00+00') AT TIME ZONE 'UTC'),
            least(until_at, timestamptz '2199-12-31 00:00+00') AT TIME ZONE 'UTC', interval '1 month') m
        WHERE m AT TIME ZONE 'UTC' >= from_at), '{}');
END
$$;
COMMENT ON FUNCTION _months(timestamptz, timestamptz) IS
    'midnights (UTC) on the first of each month from one instant to another, both included, in the years 1900 to 2199';

-- Data often have a few leads with a date of long ago, such as 1970. By the first of
-- all leads most of the time to learn from would be time without leads.
CREATE OR REPLACE FUNCTION _leads_since(target lead_stage, until_at timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    RETURN (
        SELECT percentile_disc(0.01) WITHIN GROUP (ORDER BY f.first_at)
        FROM (
            SELECT min(h.effective_at) AS first_at
            FROM @pipeline@.stage_history h
            WHERE h.to_stage >= 'iql' AND h.to_stage < _leads_since.target
                AND leadscore_internal.is_dated(h.effective_at) AND h.effective_at <= _leads_since.until_at
            GROUP BY h.lead_id
        ) f);
END
$$;
REVOKE EXECUTE ON FUNCTION _leads_since(leadscore.lead_stage, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION _leads_since(lead_stage, timestamptz) IS
    'since when there are leads below the target, but for the hundredth that is the oldest, of those up to an instant; NULL: there are none';

-- Of several instants a lead gets the first ones for which a hash of both is even
-- (the first eight bytes of SHA-256, the same on every server): so a choice depends
-- on nothing that comes after it. The ones with the lowest hashes would: a lead that
-- reached the target has fewer instants to choose from, so each would be chosen more
-- often. Of one instant it gets that.
--
-- From more_until on a lead is looked at only if it was not before, and once: so no
-- lead is on both sides, and the later side is the same however many instants each
-- lead has on the earlier one.
CREATE OR REPLACE FUNCTION _past_leads(compiled lead_model, target lead_stage, horizon interval, instants timestamptz[], trust_profile boolean,
        most integer DEFAULT 1, more_until timestamptz DEFAULT 'infinity')
    RETURNS TABLE (lead_id bigint, at timestamptz, stage lead_stage, reached_at timestamptz, converted boolean, rule_values double precision[], nth integer)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    pipeline CONSTANT regnamespace := leadscore_internal.pipeline_schema(@pipeline_name@);
    single CONSTANT boolean := cardinality(instants) = 1;
BEGIN
    RETURN QUERY
        WITH stay AS (
            SELECT h.lead_id, h.to_stage AS stage, h.effective_at AS from_at,
                lead(h.effective_at) OVER (PARTITION BY h.lead_id ORDER BY h.seq) AS until_at,
                min(h.effective_at) FILTER (WHERE h.to_stage >= _past_leads.target) OVER (PARTITION BY h.lead_id) AS reached_at
            FROM @pipeline@.stage_history h
        ), chosen AS (
            -- the stage in the lowest byte of the place
            SELECT y.lead_id, min(i.place << 8 | leadscore.stage_rank(y.stage)) AS first,
                array_agg(i.place << 8 | leadscore.stage_rank(y.stage)) FILTER (WHERE _past_leads.most > 1) AS choices,
                min(y.reached_at) AS reached_at
            FROM stay y
                -- instants after the stay began, up to its end, before the target
                CROSS JOIN LATERAL generate_series(width_bucket(y.from_at, _past_leads.instants) + 1,
                    width_bucket(least(coalesce(y.until_at, timestamptz 'infinity'), coalesce(y.reached_at - interval '1 microsecond', timestamptz 'infinity')), _past_leads.instants)) AS i (place)
            WHERE y.stage >= 'iql' AND y.stage <= 'prospect' AND y.stage < _past_leads.target
                AND (single OR get_byte(sha256(convert_to(y.lead_id || ':' || extract(epoch FROM _past_leads.instants[i.place])::bigint, 'UTF8')), 7) & 1 = 0)
            GROUP BY y.lead_id
        ), person AS (
            SELECT c.lead_id, _past_leads.instants[d.choice >> 8] AS at, d.choice & 255 AS stage_rank, c.reached_at, d.nth
            FROM chosen c
                JOIN @pipeline@.lead l ON l.lead_id = c.lead_id
                LEFT JOIN @pipeline@.lead_checkpoint k ON k.lead_id = c.lead_id
                CROSS JOIN LATERAL (
                    SELECT e.choice, (row_number() OVER (ORDER BY e.choice))::integer AS nth
                    FROM (
                        SELECT min(u.choice) AS choice
                        FROM unnest(coalesce(c.choices, ARRAY[c.first])) AS u (choice)
                        GROUP BY u.choice >> 8
                        ORDER BY 1
                        LIMIT _past_leads.most
                    ) e
                    WHERE (e.choice = c.first OR _past_leads.instants[e.choice >> 8] < _past_leads.more_until)
                        -- signals that changed since cannot be counted again in what was purged
                        AND (k.purged_before > _past_leads.instants[e.choice >> 8]) IS NOT TRUE
                ) d
            WHERE l.erased_at IS NULL
                AND NOT EXISTS (SELECT FROM @pipeline@.lead_merge g WHERE g.lead_id = c.lead_id)
        ), profile AS (
            SELECT p.lead_id, p.at, leadscore.lead_activity_agg(g.signal_id, NULL::timestamptz, c.count::bigint, z.grain) AS later
            FROM person p
                JOIN @pipeline@.profile_change c ON c.lead_id = p.lead_id
                JOIN @pipeline@.signal g USING (signal)
                CROSS JOIN @pipeline@.setting z
            WHERE CASE WHEN _past_leads.trust_profile THEN c.changed_at ELSE greatest(c.changed_at, c.recorded_at) END >= p.at
            GROUP BY p.lead_id, p.at
        )
        SELECT p.lead_id, p.at, t.stage, p.reached_at,
            p.reached_at IS NOT NULL AND p.reached_at <= p.at + leadscore_internal.fixed_period(_past_leads.horizon),
            leadscore_internal.rule_values(CASE WHEN f.later IS NULL THEN a.activity ELSE a.activity - f.later END,
                _past_leads.compiled, p.at - interval '1 microsecond'),
            p.nth
        FROM person p
            JOIN leadscore.stages() t ON t.stage_rank = p.stage_rank
            JOIN @pipeline@.lead_state s ON s.lead_id = p.lead_id
            CROSS JOIN @pipeline@.setting z
            LEFT JOIN profile f ON f.lead_id = p.lead_id AND f.at = p.at
            CROSS JOIN LATERAL (SELECT CASE WHEN s.configuration < z.signals_configuration
                THEN leadscore_internal.current_activity(pipeline, s.lead_id) ELSE s.activity END) AS a (activity);
END
$$;
REVOKE EXECUTE ON FUNCTION _past_leads(leadscore.lead_model, leadscore.lead_stage, interval, timestamptz[], boolean, integer, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION _past_leads(lead_model, lead_stage, interval, timestamptz[], boolean, integer, timestamptz) IS
    'leads below the target, each as of one of these instants, or of up to most of them: its stage, what each rule of a model counted, its score last, and whether it reached the target within horizon after. A profile counts from when it was recorded; with trust_profile from the day that it is for. From more_until on only leads that were not looked at before';

-- Signals that tell of the target because they come with it, not before it.
CREATE OR REPLACE FUNCTION _signals_of_outcome(model text, target lead_stage) RETURNS TABLE (signal text, reason text)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    RETURN QUERY
        SELECT g.signal, CASE WHEN m.signal IS NOT NULL THEN format('it puts a lead into stage %s', m.stage) ELSE format('events of role %s follow the score', r.role) END
        FROM @pipeline@.signal g
            LEFT JOIN (
                SELECT e.signal, min(s.stage)::text AS stage
                FROM @pipeline@.stage_rule s CROSS JOIN LATERAL unnest(s.entry_signals) AS e (signal)
                WHERE s.model = _signals_of_outcome.model AND (s.stage >= _signals_of_outcome.target OR s.stage < 'visitor')
                GROUP BY e.signal
            ) m ON m.signal = g.signal
            LEFT JOIN (
                SELECT q.signal, min(q.role) AS role
                FROM (
                    SELECT n.signal, n.event_role AS role
                    FROM @pipeline@.signal n
                    UNION ALL
                    SELECT k.signal, e.role
                    FROM @pipeline@._kind_signal k JOIN @pipeline@.event_kind e ON e.kind = k.kind
                ) q
                WHERE q.role IN ('outreach', 'sales_contact', 'meeting_held', 'purchase', 'refund', 'lost', 'disqualified', 'recycled', 'stage')
                GROUP BY q.signal
            ) r ON r.signal = g.signal
        WHERE m.signal IS NOT NULL OR r.signal IS NOT NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION _signals_of_outcome(text, leadscore.lead_stage) FROM PUBLIC;
COMMENT ON FUNCTION _signals_of_outcome(text, lead_stage) IS
    'signals that are the target or an exit, or what sales does about a lead: they follow from the score and the outcome, and are not learned from';

-- A sale often brings signals with it. If half of the leads that reached the
-- target had a signal first within a day of it, it is no sign, but a part of it.
CREATE OR REPLACE FUNCTION _signals_at_target(lead_ids bigint[], reached timestamptz[])
    RETURNS TABLE (signal text, share double precision)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    RETURN QUERY
        WITH winner AS (
            SELECT w.lead_id, date_trunc('day', w.reached_at, 'UTC') AS reached_day
            FROM unnest(_signals_at_target.lead_ids, _signals_at_target.reached) AS w (lead_id, reached_at)
        ), first AS (
            SELECT s.lead_id, g.signal, min(a.bucket) AS first_at
            FROM winner w
                JOIN @pipeline@.lead_state s ON s.lead_id = w.lead_id
                CROSS JOIN LATERAL leadscore.unnest(s.activity) a
                JOIN @pipeline@.signal g ON g.signal_id = a.signal_id
            WHERE g.signal_id <> 0 AND a.bucket IS NOT NULL
            GROUP BY s.lead_id, g.signal
            UNION ALL
            SELECT c.lead_id, c.signal, min(c.changed_at)
            FROM winner w
                JOIN @pipeline@.profile_change c ON c.lead_id = w.lead_id
            WHERE c.count > 0
            GROUP BY c.lead_id, c.signal
        )
        SELECT f.signal, count(*)::double precision / cardinality(_signals_at_target.lead_ids)
        FROM first f
            JOIN winner w ON w.lead_id = f.lead_id
        WHERE f.first_at >= w.reached_day - interval '24 hours' AND f.first_at < w.reached_day + interval '48 hours'
        GROUP BY f.signal
        HAVING count(*) * 2 >= cardinality(_signals_at_target.lead_ids);
END
$$;
REVOKE EXECUTE ON FUNCTION _signals_at_target(bigint[], timestamptz[]) FROM PUBLIC;
COMMENT ON FUNCTION _signals_at_target(bigint[], timestamptz[]) IS
    'signals that at least half of these leads had first on the day of reaching the target, the day before or the day after';

-- The chance at the threshold of a stage is kept, and so the points of the other
-- thresholds and of all rules follow: see doc/learning.md.
CREATE OR REPLACE FUNCTION _make_draft(source text, draft text, names text[], points numeric[], stages text[], only_ifs text[], thresholds numeric[], note text) RETURNS text
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    turned text;
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    SELECT string_agg(r.rule, ', ' ORDER BY r.rule COLLATE "C") INTO turned
    FROM unnest(_make_draft.names, _make_draft.points) AS n (rule, points)
        JOIN @pipeline@.rule r ON r.model = _make_draft.source AND r.rule = n.rule
    WHERE r.max_points IS NOT NULL AND n.points * coalesce(r.points, 1) < 0;
    IF turned IS NOT NULL THEN
        RAISE EXCEPTION 'points of rules with max_points would change their sign: %', turned
            USING ERRCODE = 'object_not_in_prerequisite_state',
                DETAIL = 'A cap is for points of one sign.',
                HINT = 'Leave these rules out by exclude, or remove their max_points in a copy of the model.';
    END IF;
    PERFORM @pipeline@.clone_model(_make_draft.source, _make_draft.draft);
    UPDATE @pipeline@.rule r
    SET points = n.points,
        max_points = CASE WHEN n.points <> 0 THEN round(r.max_points * n.points / coalesce(r.points, 1), 3) END
    FROM unnest(_make_draft.names, _make_draft.points) AS n (rule, points)
    WHERE r.model = _make_draft.draft AND r.rule = n.rule;
    UPDATE @pipeline@.stage_rule r
    SET min_score = n.threshold
    FROM unnest(_make_draft.stages, _make_draft.only_ifs, _make_draft.thresholds) AS n (stage, only_if, threshold)
    WHERE r.model = _make_draft.draft AND r.stage = n.stage::leadscore.lead_stage AND r.only_if = n.only_if;
    UPDATE @pipeline@.dimension d SET min_points = NULL, max_points = NULL WHERE d.model = _make_draft.draft;
    UPDATE @pipeline@.model m SET min_score = NULL, max_score = NULL, note = _make_draft.note WHERE m.model = _make_draft.draft;
    -- a mistake is an error here
    PERFORM @pipeline@.compiled_model(_make_draft.draft);
    RETURN _make_draft.draft;
END
$$;
REVOKE EXECUTE ON FUNCTION _make_draft(text, text, text[], numeric[], text[], text[], numeric[], text) FROM PUBLIC;
COMMENT ON FUNCTION _make_draft(text, text, text[], numeric[], text[], text[], numeric[], text) IS
    'a copy of a model with other points and thresholds, and without limits of dimensions and of the score';

CREATE OR REPLACE FUNCTION _moved_thresholds(model text, old_intercept double precision, old_slope double precision, new_intercept double precision, unit double precision, decimals integer)
    RETURNS TABLE (stage lead_stage, only_if text, min_score numeric, threshold numeric)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    RETURN QUERY
        SELECT s.stage, s.only_if, s.min_score,
            CASE WHEN s.min_score > 0 THEN round(((_moved_thresholds.old_intercept + _moved_thresholds.old_slope * s.min_score::double precision - _moved_thresholds.new_intercept)
                / _moved_thresholds.unit)::numeric, _moved_thresholds.decimals) ELSE s.min_score END
        FROM @pipeline@.stage_rule s
        WHERE s.model = _moved_thresholds.model AND s.min_score IS NOT NULL
        ORDER BY s.stage, s.only_if COLLATE "C";
END
$$;
REVOKE EXECUTE ON FUNCTION _moved_thresholds(text, double precision, double precision, double precision, double precision, integer) FROM PUBLIC;
COMMENT ON FUNCTION _moved_thresholds(text, double precision, double precision, double precision, double precision, integer) IS
    'thresholds of the stages of a model in other points: each keeps the chance that it has by the score';

CREATE OR REPLACE FUNCTION suggest_points(model text, target text DEFAULT 'customer', horizon interval DEFAULT NULL, at timestamptz DEFAULT now(),
        split timestamptz DEFAULT NULL, draft text DEFAULT NULL, decimals integer DEFAULT 0, include text[] DEFAULT '{}', exclude text[] DEFAULT '{}',
        trust_profile boolean DEFAULT false, ridge double precision DEFAULT 1, instants integer DEFAULT 1)
    RETURNS TABLE (level text, name text, points_now numeric, points_suggested numeric, standard_error numeric, leads bigint, converted bigint,
        lift double precision, auc double precision, auc_low double precision, auc_high double precision, note text)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    pipeline CONSTANT regnamespace := leadscore_internal.pipeline_on_one_node(@pipeline_name@);
    source text;
    unknown text;
    compiled leadscore.lead_model;
    goal leadscore.lead_stage;
    period interval;
    period_words text;
    first_at timestamptz;
    last_at timestamptz;
    months timestamptz[];
    described bytea;
    learned_from bytea;
    tested_with bytea;
    winners bigint[];
    winner_times timestamptz[];
    learned_leads bigint;
    won bigint;
    names text[];
    reasons text[];
    factors double precision[];
    now_points numeric[];
    tiered boolean[];
    uses boolean[];
    width integer;
    fit leadscore.logistic_model;
    line leadscore.logistic_model;
    alone double precision[];
    unit double precision;
    base record;
    suggested numeric[];
    coefficients double precision[];
    kept integer := 0;
    learned_area record;
    rounded_area record;
    moved record;
    features bigint;
    outermost boolean;
BEGIN
    IF NOT @pipeline@._shows_all_leads() THEN
        RAISE EXCEPTION 'row security hides leads from the role %', leadscore_internal.caller()
            USING ERRCODE = 'insufficient_privilege', HINT = 'Points can be learned only from all leads.';
    END IF;
    source := leadscore_internal.require_model(pipeline, suggest_points.model);
    goal := leadscore_internal.require_text('target', suggest_points.target)::leadscore.lead_stage;
    IF goal < 'mql' THEN
        RAISE EXCEPTION 'target must be mql or a higher stage'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass the stage that leads are to reach, such as customer.';
    END IF;
    PERFORM leadscore_internal.require_instant('at', suggest_points.at);
    -- a lead whose horizon still runs would count as one that did not reach the target
    IF suggest_points.at > now() THEN
        RAISE EXCEPTION 'at must not be in the future'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave at out if now is meant.';
    END IF;
    IF suggest_points.split IS NOT NULL THEN
        PERFORM leadscore_internal.require_instant('split', suggest_points.split);
    END IF;
    SELECT leadscore_internal.fixed_period(coalesce(suggest_points.horizon, z.mature_after)) INTO period FROM @pipeline@.setting z;
    IF NOT period > interval '0' THEN
        RAISE EXCEPTION 'horizon must be greater than zero'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass the time in which leads are to reach the target, such as 90 days.';
    END IF;
    IF suggest_points.decimals IS NULL OR suggest_points.decimals NOT BETWEEN 0 AND 3 THEN
        RAISE EXCEPTION 'decimals must be from 0 to 3'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Use 0 for whole points, 1 for tenths.';
    END IF;
    IF suggest_points.include IS NULL OR suggest_points.exclude IS NULL OR suggest_points.trust_profile IS NULL OR suggest_points.ridge IS NULL THEN
        RAISE EXCEPTION '% must not be null', CASE WHEN suggest_points.include IS NULL THEN 'include' WHEN suggest_points.exclude IS NULL THEN 'exclude'
                WHEN suggest_points.ridge IS NULL THEN 'ridge' ELSE 'trust_profile' END
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Leave it out for the default.';
    END IF;
    IF EXISTS (SELECT FROM @pipeline@.model m WHERE m.model = suggest_points.draft) THEN
        RAISE EXCEPTION 'there is a model "%" already', suggest_points.draft
            USING ERRCODE = 'unique_violation', HINT = 'Pass another name as draft.';
    END IF;
    SELECT u.name INTO unknown
    FROM unnest(suggest_points.include || suggest_points.exclude) AS u (name)
    WHERE NOT EXISTS (SELECT FROM @pipeline@.rule r WHERE r.model = source AND r.rule = u.name) AND NOT EXISTS (SELECT FROM @pipeline@.signal g WHERE g.signal = u.name)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'there is no rule of model "%" and no signal "%"', source, unknown
            USING ERRCODE = 'undefined_object', HINT = 'Names for include and exclude are in the tables rule and signal.';
    END IF;
    IF suggest_points.instants IS NULL OR suggest_points.instants NOT BETWEEN 1 AND 24 THEN
        RAISE EXCEPTION 'instants must be from 1 to 24'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Use 1 to look at each lead once, 3 as of up to three months.';
    END IF;
    period_words := coalesce(@pipeline@.period_text(period), period::text);
    compiled := @pipeline@.compiled_model(source);

    outermost := leadscore_internal.progress_begin(pipeline, 'suggest_points', 'reading leads as they were');

    -- Instants: to learn from, up to a horizon before the split, and to test with,
    -- from the split on. So no label of the first kind reaches into the second.
    first_at := @pipeline@._leads_since(goal, suggest_points.at);
    last_at := suggest_points.at - period;
    split := coalesce(suggest_points.split, date_trunc('month', first_at + period + leadscore_internal.fixed_period(greatest(last_at - first_at - period, interval '0') * 0.7), 'UTC'));
    SELECT array_agg(i ORDER BY i) INTO months
    FROM unnest(@pipeline@._months(first_at, last_at)) i
    WHERE i <= split - period OR i >= split;
    IF months IS NULL OR months[1] > split - period OR months[cardinality(months)] < split THEN
        RAISE EXCEPTION 'the history of leads is too short to learn from'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                DETAIL = format('Leads as of the beginning of a month are learned from if they had %s up to %s, and tested with if they had it after that. %s',
                    period_words, (coalesce(split, suggest_points.at) AT TIME ZONE 'UTC')::date, coalesce('There are leads to look at from ' || (first_at AT TIME ZONE 'UTC')::date || ' on.', 'There are no leads yet.')),
                HINT = 'Use a shorter horizon, or wait.';
    END IF;
    -- The rules are described by the first instant of each lead. If more are learned
    -- from, rows of one lead are a cluster, and leads are counted, not rows.
    SELECT leadscore_internal.logistic_sample(p.converted, p.rule_values) FILTER (WHERE p.at < split AND p.nth = 1),
        leadscore_internal.logistic_sample(p.converted, p.rule_values, p.lead_id) FILTER (WHERE p.at < split AND suggest_points.instants > 1),
        leadscore_internal.logistic_sample(p.converted, p.rule_values) FILTER (WHERE p.at >= split),
        array_agg(p.lead_id) FILTER (WHERE p.at < split AND p.converted),
        array_agg(p.reached_at) FILTER (WHERE p.at < split AND p.converted),
        count(*) FILTER (WHERE p.at < split AND p.nth = 1)
    INTO described, learned_from, tested_with, winners, winner_times, learned_leads
    FROM @pipeline@._past_leads(compiled, goal, period, months, suggest_points.trust_profile, suggest_points.instants, split) p;
    IF learned_from IS NULL THEN
        learned_from := described;
    END IF;
    SELECT array_agg(w.lead_id), array_agg(w.reached_at), count(*) INTO winners, winner_times, won
    FROM (SELECT DISTINCT u.lead_id, u.reached_at FROM unnest(winners, winner_times) AS u (lead_id, reached_at)) w;
    IF won < 50 THEN
        RAISE EXCEPTION 'too few leads reached stage % to learn from: % of at least 50', goal, won
            USING ERRCODE = 'object_not_in_prerequisite_state',
                DETAIL = format('Each lead is looked at as of %s that began before %s, and counts if it reached the stage within %s.',
                    CASE WHEN suggest_points.instants = 1 THEN 'one month' ELSE format('up to %s months', suggest_points.instants) END, ((split - period) AT TIME ZONE 'UTC')::date, period_words),
                HINT = 'Use a stage that more leads reach, a longer horizon or a later split, or wait.';
    END IF;
    IF tested_with IS NULL THEN
        RAISE EXCEPTION 'there are no leads to test with from % on', (split AT TIME ZONE 'UTC')::date
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Pass an earlier split.';
    END IF;

    -- The rules in the order of the compiled model, and why some are left out.
    SELECT array_agg(r.rule ->> 'rule' ORDER BY r.place), array_agg((d.dimension ->> 'weight')::double precision ORDER BY r.place),
        array_agg(coalesce((r.rule ->> 'points')::numeric, 1) ORDER BY r.place),
        array_agg(CASE
            WHEN r.rule ->> 'rule' = ANY (suggest_points.exclude) OR r.rule ->> 'signal' = ANY (suggest_points.exclude) THEN 'it is excluded'
            WHEN (d.dimension ->> 'weight')::numeric = 0 THEN 'its dimension has weight 0'
            WHEN coalesce((r.rule ->> 'points')::numeric, 1) = 0 THEN 'it gives no points now'
            WHEN r.rule ->> 'aggregate' = 'idle' AND jsonb_typeof(r.rule -> 'tiers') = 'object' THEN 'its points depend on the score'
            WHEN r.rule ->> 'rule' = ANY (suggest_points.include) OR r.rule ->> 'signal' = ANY (suggest_points.include) THEN NULL
            WHEN o.signal IS NOT NULL THEN o.reason
            WHEN a.signal IS NOT NULL THEN format('%s %% of the leads that reached stage %s had it first within a day of it', round(a.share * 100), goal)
        END ORDER BY r.place),
        array_agg(jsonb_typeof(r.rule -> 'tiers') = 'object' ORDER BY r.place)
    INTO names, factors, now_points, reasons, tiered
    FROM jsonb_array_elements(compiled::jsonb -> 'rules') WITH ORDINALITY AS r (rule, place)
        JOIN jsonb_array_elements(compiled::jsonb -> 'dimensions') AS d (dimension) ON d.dimension ->> 'dimension' = r.rule ->> 'dimension'
        LEFT JOIN @pipeline@._signals_of_outcome(source, goal) o ON o.signal = r.rule ->> 'signal'
        LEFT JOIN @pipeline@._signals_at_target(winners, winner_times) a ON a.signal = r.rule ->> 'signal';
    width := coalesce(cardinality(names), 0);
    include := suggest_points.include || coalesce((SELECT array_agg(r.rule) FROM @pipeline@.rule r WHERE r.model = source AND r.signal = ANY (suggest_points.include)), '{}');

    PERFORM leadscore_internal.progress_next('learning points');
    -- A fit; and again without rules that alone tell too well.
    SELECT array_agg(f.auc ORDER BY f.place) INTO alone FROM leadscore_internal.logistic_features(described) f;
    FOR i IN 1 .. width LOOP
        IF reasons[i] IS NULL AND greatest(alone[i], 1 - alone[i]) > 0.95
                AND names[i] <> ALL (suggest_points.include) THEN
            reasons[i] := format('alone it tells who reaches stage %s (AUC %s), so it may be a part of it', goal, round(alone[i]::numeric, 3));
        END IF;
        uses[i] := reasons[i] IS NULL;
    END LOOP;
    uses := uses || false;
    fit := leadscore_internal.logistic_fit_sample(learned_from, uses, suggest_points.ridge);
    features := (SELECT count(e) FROM unnest(fit.errors) e);
    IF features = 0 THEN
        RAISE EXCEPTION 'there is no rule to learn points for'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                DETAIL = 'Every rule is left out, or counted the same for all leads.';
    END IF;
    IF won < 10 * features THEN
        RAISE EXCEPTION 'too few leads reached stage % to learn from: % of at least %', goal, won, 10 * features
            USING ERRCODE = 'object_not_in_prerequisite_state',
                DETAIL = format('There must be 10 for each of %s rules that are learned.', features),
                HINT = 'Leave out rules by exclude, use a stage that more leads reach, a longer horizon or a later split, or wait.';
    END IF;
    PERFORM leadscore_internal.progress_next('testing points');
    learned_area := leadscore_internal.logistic_auc(tested_with, fit.coefficients);
    IF learned_area.auc IS NULL OR learned_area.auc_low <= 0.5 THEN
        RAISE EXCEPTION 'the rules do not tell which leads reach stage %', goal
            USING ERRCODE = 'object_not_in_prerequisite_state',
                DETAIL = format('Of %s leads from %s on, %s reached it.', coalesce(learned_area.leads, 0), (split AT TIME ZONE 'UTC')::date, coalesce(learned_area.converted, 0))
                    || CASE WHEN learned_area.auc IS NULL THEN ''
                        ELSE format(' The area under the curve is %s (95 %% interval %s to %s), and 0.5 is chance.',
                            round(learned_area.auc::numeric, 3), round(learned_area.auc_low::numeric, 3), round(learned_area.auc_high::numeric, 3)) END,
                HINT = 'See the report signal_report for signals that matter and have no rule.';
    END IF;

    -- From log-odds to points: what the score says now, of the leads learned from.
    line := leadscore_internal.logistic_fit_sample(learned_from, array_fill(false, ARRAY[width]) || true, 0);
    SELECT s.stage, s.min_score INTO base
    FROM @pipeline@.stage_rule s
    WHERE s.model = source AND s.only_if = '' AND s.min_score > 0 AND s.stage >= 'iql'
    ORDER BY s.stage <> 'mql', s.stage LIMIT 1;
    unit := (line.intercept + line.coefficients[width + 1] * base.min_score - fit.intercept) / base.min_score;
    IF base.stage IS NULL OR line.coefficients[width + 1] <= 0 OR NOT unit > 0 THEN
        RAISE EXCEPTION 'there is no scale for the points'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                DETAIL = CASE WHEN base.stage IS NULL THEN 'No stage has a min_score greater than 0.'
                    ELSE format('By the score of now the chance to reach stage %s at the threshold of stage %s is not above that of a lead without points.', goal, base.stage)
                        || coalesce((SELECT ' Left out: ' || string_agg(format('%s: %s', n.name, n.reason), '; ' ORDER BY n.place) || '.'
                            FROM unnest(names, reasons) WITH ORDINALITY AS n (name, reason, place) WHERE n.reason IS NOT NULL), '') END,
                HINT = 'Give the threshold of a stage, and points to rules that matter, in a copy of the model.';
    END IF;
    FOR i IN 1 .. width LOOP
        suggested[i] := CASE WHEN fit.errors[i] IS NOT NULL THEN
            -- the points of tiers are in the tiers; this is their factor
            round((fit.coefficients[i] / unit / factors[i])::numeric,
                CASE WHEN tiered[i] THEN 3 ELSE suggest_points.decimals END) END;
        IF reasons[i] IS NULL AND fit.errors[i] IS NULL THEN
            reasons[i] := 'it counted the same for all leads';
        END IF;
        -- a rule that is left out keeps its points in a draft
        coefficients[i] := coalesce(suggested[i], now_points[i]) * factors[i];
        kept := kept + (suggested[i] IS NULL AND coefficients[i] <> 0)::integer;
    END LOOP;
    rounded_area := leadscore_internal.logistic_auc(tested_with, coefficients || 0::double precision);

    RETURN QUERY
        SELECT 'model', v.name, NULL::numeric, NULL::numeric, NULL::numeric, a.leads, a.converted, NULL::double precision,
            a.auc, a.auc_low, a.auc_high, v.note
        FROM (VALUES
            (1, 'now', array_fill(0::double precision, ARRAY[width]) || 1::double precision, format('model %s as it is; leads from %s on', source, (split AT TIME ZONE 'UTC')::date)),
            (2, 'learned', fit.coefficients, format('before points are rounded; learned from %s leads up to %s, of which %s reached stage %s within %s', learned_leads, ((split - period) AT TIME ZONE 'UTC')::date, won, goal, period_words)
                || CASE WHEN suggest_points.instants > 1 THEN format('; each as of up to %s months, which gives %s rows', suggest_points.instants, fit.labels) ELSE '' END),
            (3, 'rounded', coefficients || 0::double precision, format('%s points more double the odds', round((ln(2::double precision) / unit)::numeric, 1))
                || CASE WHEN kept > 0 THEN format('; rules that are left out and keep their points: %s', kept) ELSE '' END)
        ) AS v (place, name, coefficients, note)
            CROSS JOIN LATERAL leadscore_internal.logistic_auc(tested_with, v.coefficients) a
        ORDER BY v.place;
    RETURN QUERY
        SELECT 'threshold', s.stage::text || CASE WHEN s.only_if <> '' THEN ' (' || s.only_if || ')' ELSE '' END, s.min_score, s.threshold, NULL::numeric, NULL::bigint, NULL::bigint,
            NULL::double precision, NULL::double precision, NULL::double precision, NULL::double precision,
            CASE WHEN s.min_score > 0 THEN format('the chance there is %s %%', round((100 * leadscore_internal.chance_of(line.intercept + line.coefficients[width + 1] * s.min_score::double precision))::numeric, 1)) ELSE 'as it is' END
        FROM @pipeline@._moved_thresholds(source, line.intercept, line.coefficients[width + 1], fit.intercept, unit, suggest_points.decimals) s;
    RETURN QUERY
        SELECT 'rule', names[f.place], now_points[f.place], suggested[f.place],
            CASE WHEN suggested[f.place] IS NOT NULL THEN round((fit.errors[f.place] / unit / abs(factors[f.place]))::numeric, 3) END,
            f.leads, f.converted,
            f.converted::double precision / nullif(f.leads, 0) / nullif((d.converted - f.converted)::double precision / nullif(d.leads - f.leads, 0), 0),
            f.auc, f.auc_low, f.auc_high,
            CASE WHEN reasons[f.place] IS NOT NULL THEN 'left out: ' || reasons[f.place]
                WHEN abs(fit.coefficients[f.place]) < 1.959963984540054 * fit.errors[f.place] THEN 'no difference from 0 is seen' END
        FROM leadscore_internal.logistic_features(described) f
            CROSS JOIN leadscore_internal.logistic_auc(described, array_fill(0::double precision, ARRAY[width + 1])) d
        WHERE f.place <= width
        ORDER BY reasons[f.place] IS NOT NULL, f.place;

    IF suggest_points.draft IS NOT NULL THEN
        PERFORM leadscore_internal.progress_next('writing the draft');
        SELECT array_agg(s.stage::text) AS stages, array_agg(s.only_if) AS only_ifs, array_agg(s.threshold) AS thresholds INTO moved
        FROM @pipeline@._moved_thresholds(source, line.intercept, line.coefficients[width + 1], fit.intercept, unit, suggest_points.decimals) s;
        PERFORM @pipeline@._make_draft(source, leadscore_internal.require_text('draft', suggest_points.draft), n.names, n.points, moved.stages, moved.only_ifs, moved.thresholds,
            format('points of model %s as learned on %s for stage %s within %s%s; dimensions and score have no limits, gates and grades are as they were', source, (suggest_points.at AT TIME ZONE 'UTC')::date, goal, period_words,
                CASE WHEN suggest_points.instants > 1 THEN format(', from leads as of up to %s months each', suggest_points.instants) ELSE '' END))
        FROM (SELECT array_agg(n.name) AS names, array_agg(n.points) AS points FROM unnest(names, suggested) AS n (name, points) WHERE n.points IS NOT NULL) n;
        INSERT INTO @pipeline@.learned_model (model, source_model, target, horizon, known_until, test_from, leads, converted, test_leads, test_converted, auc, auc_low, auc_high, points_to_double_odds)
            VALUES (suggest_points.draft, source, goal, justify_hours(period), suggest_points.at, split, learned_leads, won, rounded_area.leads, rounded_area.converted,
                rounded_area.auc, rounded_area.auc_low, rounded_area.auc_high, ln(2::double precision) / unit);
    END IF;
    PERFORM leadscore_internal.progress_end(outermost);
END
$$;
REVOKE EXECUTE ON FUNCTION suggest_points(text, text, interval, timestamptz, timestamptz, text, integer, text[], text[], boolean, double precision, integer) FROM PUBLIC;
COMMENT ON FUNCTION suggest_points(text, text, interval, timestamptz, timestamptz, text, integer, text[], text[], boolean, double precision, integer) IS
    'points that the rules of a model should have given to tell which leads reach target within horizon (default: setting.mature_after), learned from leads as of past months and tested with later ones: rows of level model, threshold and rule. draft: name of a copy of the model to make with these points. Signals that come with the target are named and left out; include names signals or rules to use all the same, exclude others to leave out. instants: as of how many months each lead is learned from at most; errors allow for it. Refused if there is too little data, and it says how much is missing';
