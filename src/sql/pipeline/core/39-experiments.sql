-- Experiments: which lead gets which variant, and what was shown.
--
-- A lead gets the variant that it was shown first, as it is recorded. Before that a hash of the
-- salt and of the name under which it was first known decides, so that any
-- program can compute it, and a visitor without a row has a variant, too.

CREATE OR REPLACE FUNCTION _require_variant(experiment text, variant text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF NOT EXISTS (SELECT FROM @pipeline@.variant v WHERE v.experiment = _require_variant.experiment AND v.variant = _require_variant.variant) THEN
        RAISE EXCEPTION 'experiment "%" has no variant "%"', experiment, variant
            USING ERRCODE = 'undefined_object',
                HINT = 'Its variants: ' || coalesce((SELECT string_agg(v.variant, ', ' ORDER BY v.position) FROM @pipeline@.variant v
                    WHERE v.experiment = _require_variant.experiment), 'none') || '.';
    END IF;
    RETURN variant;
END
$$;
COMMENT ON FUNCTION _require_variant(text, text) IS 'the name of a variant, or an error that lists the variants of the experiment';

-- All in whole numbers: the first 60 bits of the hash times the sum of weights
-- are compared with the weights up to a variant times 2^60.
CREATE OR REPLACE FUNCTION _hashed_variant(experiment text, name text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    RETURN (
        SELECT v.variant
        FROM (
            SELECT o.variant, o.position, sum(o.weight) OVER (ORDER BY o.position)::numeric AS up_to, sum(o.weight) OVER ()::numeric AS total,
                ('x' || left(encode(sha256(convert_to(x.salt || ':' || _hashed_variant.name, 'UTF8')), 'hex'), 15))::bit(60)::bigint AS hash
            FROM @pipeline@.variant o JOIN @pipeline@.experiment x ON x.experiment = o.experiment
            WHERE o.experiment = _hashed_variant.experiment
        ) v
        WHERE v.hash * v.total < v.up_to * 1152921504606846976
        ORDER BY v.position
        LIMIT 1);
END
$$;
COMMENT ON FUNCTION _hashed_variant(text, text) IS 'the variant that the hash of the salt and a name gives';

CREATE OR REPLACE FUNCTION _variant_of(experiment text, lead_id bigint, name text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    test @pipeline@.experiment;
    shown text;
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    SELECT * INTO test FROM @pipeline@.experiment x WHERE x.experiment = _variant_of.experiment;
    IF test.winner IS NOT NULL THEN
        RETURN test.winner;
    ELSIF test.status = 'draft' THEN
        RETURN NULL;
    END IF;
    SELECT o.variant INTO shown
    FROM @pipeline@.exposure o JOIN @pipeline@.variant v ON v.experiment = o.experiment AND v.variant = o.variant
    WHERE o.lead_id = _variant_of.lead_id AND o.experiment = _variant_of.experiment
    -- not by exposed_at: what arrives late must not give the lead another variant
    ORDER BY o.recorded_at, o.exposed_at, v.position
    LIMIT 1;
    IF shown IS NULL THEN
        shown := @pipeline@._hashed_variant(_variant_of.experiment, coalesce((
            SELECT coalesce(l.first_external_id, l.external_id, l.lead_id::text) FROM @pipeline@.lead l WHERE l.lead_id = _variant_of.lead_id),
            _variant_of.name));
    END IF;
    RETURN shown;
END
$$;
COMMENT ON FUNCTION _variant_of(text, bigint, text) IS 'the variant of a lead, or of the visitor with this name if there is no such lead; NULL: the experiment is a draft';

CREATE OR REPLACE FUNCTION variant_by_id(experiment text, lead_id bigint) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    experiment := @pipeline@._require_name('experiment', experiment);
    IF NOT EXISTS (SELECT FROM @pipeline@.lead l WHERE l.lead_id = variant_by_id.lead_id) THEN
        RAISE EXCEPTION 'there is no lead %', coalesce(lead_id::text, 'NULL')
            USING ERRCODE = 'no_data_found', HINT = @pipeline@._missing_hint(lead_id);
    END IF;
    RETURN @pipeline@._variant_of(experiment, lead_id);
END
$$;
REVOKE EXECUTE ON FUNCTION variant_by_id(text, bigint) FROM PUBLIC;
COMMENT ON FUNCTION variant_by_id(text, bigint) IS 'variant() of the lead with this number, which must be there';

CREATE OR REPLACE FUNCTION variant(experiment text, external_id text) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    experiment := @pipeline@._require_name('experiment', experiment);
    external_id := leadscore_internal.fold_name(leadscore_internal.require_text('external_id', external_id));
    RETURN @pipeline@._variant_of(experiment, @pipeline@.lead_id(external_id), external_id);
END
$$;
REVOKE EXECUTE ON FUNCTION variant(text, text) FROM PUBLIC;
COMMENT ON FUNCTION variant(text, text) IS
    'the variant of an experiment that a lead or visitor gets: the one that it was shown first, else by a hash of the salt and of the name under which it was first known; a visitor needs no row. While the experiment runs it never changes; NULL before the start, and after the end the winner if there is one. Records nothing, see expose(). Errors: 42704 no such experiment, 22004 and 22023 without a name';

-- What was shown

CREATE OR REPLACE FUNCTION _expose(lead_ids bigint[], experiments text[], variants text[], instants timestamptz[]) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    INSERT INTO @pipeline@.exposure AS o (lead_id, experiment, variant, exposed_at)
    SELECT u.lead_id, u.experiment, u.variant, min(u.exposed_at)
    FROM unnest(lead_ids, experiments, variants, instants) AS u (lead_id, experiment, variant, exposed_at)
        JOIN @pipeline@.experiment x ON x.experiment = u.experiment AND x.status = 'running' AND x.started_at <= u.exposed_at
        JOIN @pipeline@.variant v ON v.experiment = u.experiment AND v.variant = u.variant
        JOIN @pipeline@.lead l ON l.lead_id = u.lead_id
    WHERE isfinite(u.exposed_at)
    GROUP BY u.lead_id, u.experiment, u.variant
    ORDER BY u.lead_id, u.experiment, min(u.exposed_at), u.variant
    ON CONFLICT (lead_id, experiment, variant) DO UPDATE SET exposed_at = excluded.exposed_at WHERE excluded.exposed_at < o.exposed_at;
END
$$;
COMMENT ON FUNCTION _expose(bigint[], text[], text[], timestamptz[]) IS
    'records that leads, whose states are locked, were shown variants; what is of no running experiment, or from before its start, is left out';

CREATE OR REPLACE FUNCTION _events_exposed(lead_ids bigint[], event_ids bigint[]) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    leads bigint[];
    experiments text[];
    variants text[];
    instants timestamptz[];
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    -- events that name their variant come first: they say which one the others of the lead mean
    FOR named IN REVERSE 1 .. 0 LOOP
        SELECT array_agg(e.lead_id), array_agg(x.experiment), array_agg(CASE named WHEN 1 THEN e.properties ->> 'variant'
                ELSE @pipeline@._variant_of(x.experiment, e.lead_id) END), array_agg(e.occurred_at)
        INTO leads, experiments, variants, instants
        FROM unnest(_events_exposed.lead_ids, _events_exposed.event_ids) AS u (lead_id, event_id)
            -- OFFSET: an index is used, whatever the planner thinks of the table
            CROSS JOIN LATERAL (SELECT * FROM @pipeline@.event o WHERE o.lead_id = u.lead_id AND o.event_id = u.event_id OFFSET 0) e
            JOIN @pipeline@.experiment x ON x.experiment = e.properties ->> 'experiment' AND x.status = 'running' AND x.started_at <= e.occurred_at
        WHERE (e.properties ->> 'variant' IS NOT NULL) = (named = 1);
        PERFORM @pipeline@._expose(leads, experiments, variants, instants);
    END LOOP;
END
$$;
COMMENT ON FUNCTION _events_exposed(bigint[], bigint[]) IS
    'records what events showed that name an experiment: the variant that they name, or that of the lead';

CREATE OR REPLACE FUNCTION expose_by_id(experiment text, lead_id bigint, variant text DEFAULT NULL, at timestamptz DEFAULT now()) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    test @pipeline@.experiment;
    living bigint;
BEGIN
    PERFORM leadscore_internal.pipeline_on_one_node(@pipeline_name@);
    experiment := @pipeline@._require_name('experiment', experiment);
    PERFORM leadscore_internal.require_instant('at', at);
    SELECT * INTO test FROM @pipeline@.experiment x WHERE x.experiment = expose_by_id.experiment;
    IF variant IS NOT NULL THEN
        variant := @pipeline@._require_variant(experiment, variant);
    END IF;
    IF at < test.started_at THEN
        RAISE EXCEPTION 'experiment "%" was started later than that', experiment
            USING ERRCODE = 'invalid_parameter_value', HINT = format('Pass an instant that is not before %s.', test.started_at);
    END IF;
    living := @pipeline@._lock_living(lead_id);
    IF living IS NULL THEN
        RAISE EXCEPTION 'there is no lead %', coalesce(lead_id::text, 'NULL')
            USING ERRCODE = 'no_data_found', HINT = @pipeline@._missing_hint(lead_id);
    END IF;
    variant := coalesce(variant, @pipeline@._variant_of(experiment, living));
    PERFORM @pipeline@._expose(ARRAY[living], ARRAY[experiment], ARRAY[variant], ARRAY[at]);
    RETURN variant;
END
$$;
REVOKE EXECUTE ON FUNCTION expose_by_id(text, bigint, text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION expose_by_id(text, bigint, text, timestamptz) IS 'expose() for the lead with this number, which must be there';

CREATE OR REPLACE FUNCTION expose(experiment text, external_id text, variant text DEFAULT NULL, at timestamptz DEFAULT now()) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    shown_to bigint;
BEGIN
    PERFORM leadscore_internal.pipeline_on_one_node(@pipeline_name@);
    experiment := @pipeline@._require_name('experiment', experiment);
    -- of a visitor that leaves no row, too
    PERFORM leadscore_internal.require_instant('at', at);
    IF variant IS NOT NULL THEN
        variant := @pipeline@._require_variant(experiment, variant);
    END IF;
    shown_to := @pipeline@.lead_id(leadscore_internal.require_text('external_id', external_id));
    -- a visitor of a draft, or after the end, leaves no row behind
    IF shown_to IS NULL AND EXISTS (SELECT FROM @pipeline@.experiment x WHERE x.experiment = expose.experiment AND x.status = 'running') THEN
        shown_to := @pipeline@.upsert_lead(external_id);
    END IF;
    IF shown_to IS NULL THEN
        RETURN coalesce(variant, @pipeline@.variant(experiment, external_id));
    END IF;
    RETURN @pipeline@.expose_by_id(experiment, shown_to, variant, at);
END
$$;
REVOKE EXECUTE ON FUNCTION expose(text, text, text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION expose(text, text, text, timestamptz) IS
    'records that a lead was shown a variant, that of variant() unless one is named, and returns the variant; a lead that does not exist is created. The first exposure binds. A draft, and an experiment that has ended, record nothing. Errors: 42704 no such experiment or variant, 22023 if at is before the start';

-- Definitions

CREATE OR REPLACE FUNCTION _check_experiment(experiment text) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    PERFORM leadscore_internal.refuse('invalid_parameter_value', format('experiment "%s" %s', _check_experiment.experiment, c.problem), c.advice)
    FROM (
        SELECT 1, 'has fewer than two variants with a weight', 'Insert rows into variant.'
        WHERE (SELECT count(*) FROM @pipeline@.variant v WHERE v.experiment = _check_experiment.experiment AND v.weight > 0) < 2
        UNION ALL
        SELECT 2, 'has no goal', 'Set goal_stage or goal_signals.'
        FROM @pipeline@.experiment x
        WHERE x.experiment = _check_experiment.experiment AND x.goal_stage IS NULL AND x.goal_signals = '{}'
        UNION ALL
        SELECT 3, format('names signal "%s", which does not exist or is none of events', n.name), 'Signals are in the table signal.'
        FROM @pipeline@.experiment x, unnest(x.goal_signals) AS n (name)
        WHERE x.experiment = _check_experiment.experiment
            AND NOT EXISTS (SELECT FROM @pipeline@.signal g WHERE g.signal = n.name AND g.source = 'event')
    ) AS c (number, problem, advice)
    ORDER BY c.number
    LIMIT 1;
END
$$;
COMMENT ON FUNCTION _check_experiment(text) IS 'refuses the definition of an experiment that is to start';

CREATE OR REPLACE FUNCTION experiment_checked() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    -- rows of a restore come in any order, before those of setting
    IF TG_OP = 'INSERT' AND NOT EXISTS (SELECT FROM @pipeline@.setting) THEN
        RETURN NEW;
    ELSIF TG_OP = 'INSERT' AND NEW.status <> 'draft' THEN
        RAISE EXCEPTION 'experiment "%" cannot be % before it was a draft', NEW.experiment, NEW.status
            USING ERRCODE = 'object_not_in_prerequisite_state',
                HINT = 'Insert it as a draft, add its variants, then call start_experiment().';
    ELSIF TG_OP = 'INSERT' THEN
        RETURN NEW;
    ELSIF OLD.status = 'draft' AND TG_OP = 'DELETE' THEN
        RETURN OLD;
    ELSIF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'experiment "%" was started and cannot be deleted', OLD.experiment
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'Exposures of leads refer to it.', HINT = 'Call end_experiment().';
    ELSIF OLD.status <> 'draft' AND (NEW.status = 'draft' OR OLD.status = 'ended' AND NEW.status <> 'ended'
        OR to_jsonb(NEW) - '{status,note,winner,ended_at}'::text[] <> to_jsonb(OLD) - '{status,note,winner,ended_at}'::text[]
        OR OLD.status = 'ended' AND NEW.ended_at <> OLD.ended_at)
    THEN
        RAISE EXCEPTION 'experiment "%" was started and cannot be edited', OLD.experiment
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'Leads that were shown variants before and after could not be compared.',
                HINT = 'Call end_experiment(), and start another one with a new salt.';
    END IF;
    IF NEW.status <> OLD.status AND OLD.status = 'draft' THEN
        PERFORM @pipeline@._check_experiment(OLD.experiment);
        NEW.started_at := coalesce(NEW.started_at, now());
        NEW.started_by := leadscore_internal.caller();
        SELECT jsonb_agg(jsonb_build_object('variant', v.variant, 'position', v.position, 'weight', v.weight) ORDER BY v.position) INTO NEW.frozen
        FROM @pipeline@.variant v
        WHERE v.experiment = OLD.experiment;
    END IF;
    IF NEW.status = 'ended' THEN
        NEW.ended_at := coalesce(NEW.ended_at, now());
        IF NEW.winner IS NOT NULL THEN
            PERFORM @pipeline@._require_variant(NEW.experiment, NEW.winner);
        END IF;
    END IF;
    RETURN NEW;
END
$$;
REVOKE EXECUTE ON FUNCTION experiment_checked() FROM PUBLIC;
COMMENT ON FUNCTION experiment_checked() IS 'trigger: checks an experiment that starts, and keeps it as it is from then on';

CREATE OR REPLACE FUNCTION variant_checked() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    edited text;
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF TG_OP = 'UPDATE' AND to_jsonb(NEW) - 'note' = to_jsonb(OLD) - 'note' THEN
        RETURN NEW;
    END IF;
    -- a start in another session comes before or after
    PERFORM FROM @pipeline@.experiment x
    WHERE x.experiment IN (CASE WHEN TG_OP <> 'INSERT' THEN OLD.experiment END, CASE WHEN TG_OP <> 'DELETE' THEN NEW.experiment END)
    FOR SHARE;
    SELECT x.experiment INTO edited
    FROM @pipeline@.experiment x
    WHERE x.experiment IN (CASE WHEN TG_OP <> 'INSERT' THEN OLD.experiment END, CASE WHEN TG_OP <> 'DELETE' THEN NEW.experiment END)
        AND x.status <> 'draft'
        -- a restore of data alone: it does not come before that of setting
        AND NOT (TG_OP = 'INSERT' AND x.frozen @> jsonb_build_array(jsonb_build_object('variant', NEW.variant, 'position', NEW.position, 'weight', NEW.weight)));
    IF edited IS NOT NULL THEN
        RAISE EXCEPTION 'variants of experiment "%" are frozen, as it was started', edited
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'Other weights would give leads another variant.',
                HINT = 'Call end_experiment(), and start another one with a new salt.';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END
$$;
REVOKE EXECUTE ON FUNCTION variant_checked() FROM PUBLIC;
COMMENT ON FUNCTION variant_checked() IS 'trigger: keeps the variants of an experiment that was started as they are';

CREATE OR REPLACE TRIGGER experiment_checked BEFORE INSERT OR UPDATE OR DELETE ON experiment
    FOR EACH ROW EXECUTE FUNCTION experiment_checked();
CREATE OR REPLACE TRIGGER variant_checked BEFORE INSERT OR UPDATE OR DELETE ON variant
    FOR EACH ROW EXECUTE FUNCTION variant_checked();

CREATE OR REPLACE FUNCTION start_experiment(experiment text, at timestamptz DEFAULT now()) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_on_one_node(@pipeline_name@);
    experiment := @pipeline@._require_name('experiment', experiment);
    PERFORM leadscore_internal.require_instant('at', at);
    IF at > now() THEN
        RAISE EXCEPTION 'an experiment cannot start in the future'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave at out if now is meant.';
    END IF;
    UPDATE @pipeline@.experiment x SET status = 'running', started_at = at
    WHERE x.experiment = start_experiment.experiment AND x.status = 'draft';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'experiment "%" was started already', experiment
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Start another one with a new salt.';
    END IF;
END
$$;
REVOKE EXECUTE ON FUNCTION start_experiment(text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION start_experiment(text, timestamptz) IS
    'starts a draft: from now on, or from an instant of the past, leads get variants and exposures count; variants, weights, goal and expected effect are frozen. Errors: 42704 no such experiment, 22023 a wrong definition, 55000 if it was started already';

CREATE OR REPLACE FUNCTION end_experiment(experiment text, winner text DEFAULT NULL, at timestamptz DEFAULT now()) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    test @pipeline@.experiment;
BEGIN
    PERFORM leadscore_internal.pipeline_on_one_node(@pipeline_name@);
    experiment := @pipeline@._require_name('experiment', experiment);
    PERFORM leadscore_internal.require_instant('at', at);
    SELECT * INTO test FROM @pipeline@.experiment x WHERE x.experiment = end_experiment.experiment FOR UPDATE;
    IF test.status <> 'running' THEN
        RAISE EXCEPTION 'experiment "%" is not running', experiment
            USING ERRCODE = 'object_not_in_prerequisite_state',
                HINT = CASE test.status WHEN 'draft' THEN 'Delete it if it is not wanted.' ELSE 'It has ended already.' END;
    ELSIF at > now() OR at < test.started_at THEN
        RAISE EXCEPTION 'an experiment ends between its start and now'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave at out if now is meant.';
    END IF;
    UPDATE @pipeline@.experiment x SET status = 'ended', winner = end_experiment.winner, ended_at = at
    WHERE x.experiment = end_experiment.experiment;
END
$$;
REVOKE EXECUTE ON FUNCTION end_experiment(text, text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION end_experiment(text, text, timestamptz) IS
    'ends an experiment: no exposure counts from then on; goals of leads whose time runs still do. With a winner all leads get that variant from now on. Errors: 42704 no such experiment or variant, 55000 if it is not running';
