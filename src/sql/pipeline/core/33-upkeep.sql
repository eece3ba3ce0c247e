-- Upkeep: sweeps, checks and repair.

CREATE OR REPLACE FUNCTION sweep(max_leads integer DEFAULT 1000) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pipeline CONSTANT regnamespace := leadscore_internal.pipeline_schema(@pipeline_name@);
BEGIN
    IF max_leads IS NULL OR max_leads < 0 THEN
        RAISE EXCEPTION 'max_leads must not be %', CASE WHEN max_leads IS NULL THEN 'null' ELSE 'negative' END
            USING ERRCODE = CASE WHEN max_leads IS NULL THEN 'null_value_not_allowed' ELSE 'invalid_parameter_value' END,
                HINT = 'Pass the greatest number of leads to bring up to date, such as 1000.';
    END IF;
    PERFORM @pipeline@._merge_skips();
    -- in shards the engine does this, for the leads that a node has
    IF NOT leadscore_internal.is_distributed(pipeline) THEN
        PERFORM @pipeline@._assign_left();
    END IF;
    IF leadscore_internal.has_other_nodes(pipeline) THEN
        RETURN (
            SELECT sum(n::bigint)
            FROM leadscore_internal.on_all_nodes('sweep()', format('SELECT leadscore_internal.sweep(%L::regnamespace, %s)', pipeline, max_leads)) n);
    END IF;
    RETURN leadscore_internal.sweep(pipeline, max_leads);
END
$$;
REVOKE EXECUTE ON FUNCTION sweep(integer) FROM PUBLIC;
COMMENT ON FUNCTION sweep(integer) IS
    'brings up to date at most so many leads, of a distributed pipeline so many on each node: leads whose stage or segments may have changed because time passed, and leads that are behind a change of models, signals or segments; returns how many. Call it every ten minutes or so, again while it returns more than 0. Several sweeps at a time share the work';

CREATE OR REPLACE FUNCTION rebuild() RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pipeline CONSTANT regnamespace := leadscore_internal.pipeline_schema(@pipeline_name@);
BEGIN
    IF leadscore_internal.has_other_nodes(pipeline) THEN
        RETURN (
            SELECT sum(n::bigint)
            FROM leadscore_internal.on_all_nodes('rebuild()', format('SELECT leadscore_internal.rebuild(%L::regnamespace, NULL)', pipeline)) n);
    END IF;
    RETURN leadscore_internal.rebuild(pipeline, NULL);
END
$$;
REVOKE EXECUTE ON FUNCTION rebuild() FROM PUBLIC;
COMMENT ON FUNCTION rebuild() IS
    'repairs every lead that verify() would list, or that a sweep would leave wrong, by a replay of its events, its profile and the models, whatever row security says; returns how many there were';

CREATE OR REPLACE FUNCTION rebuild_by_id(lead_id bigint) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pipeline CONSTANT regnamespace := leadscore_internal.pipeline_schema(@pipeline_name@);
BEGIN
    IF lead_id IS NULL THEN
        RAISE EXCEPTION 'lead_id must not be null'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Call rebuild() to repair all leads.';
    END IF;
    IF leadscore_internal.has_other_nodes(pipeline) THEN
        RETURN (
            SELECT max(n::bigint)
            FROM leadscore_internal.on_all_nodes('rebuild_by_id()', format('SELECT leadscore_internal.rebuild(%L::regnamespace, %L)', pipeline, lead_id)) n);
    END IF;
    RETURN leadscore_internal.rebuild(pipeline, lead_id);
END
$$;
REVOKE EXECUTE ON FUNCTION rebuild_by_id(bigint) FROM PUBLIC;
COMMENT ON FUNCTION rebuild_by_id(bigint) IS
    'repairs one lead by a replay of its events, its profile and the models; returns 1, or 0 if there is no such lead';

-- A rebuild of many leads in several sessions: each range in a transaction of its own.

CREATE OR REPLACE FUNCTION start_rebuild(leads_per_range integer DEFAULT 10000) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pipeline CONSTANT regnamespace := leadscore_internal.pipeline_schema(@pipeline_name@);
    ranges bigint;
BEGIN
    PERFORM leadscore_internal.forbid_ranges_on_nodes(pipeline);
    IF leads_per_range IS NULL OR leads_per_range < 1 THEN
        RAISE EXCEPTION 'leads_per_range must be at least 1'
            USING ERRCODE = CASE WHEN leads_per_range IS NULL THEN 'null_value_not_allowed' ELSE 'invalid_parameter_value' END,
                HINT = 'Pass the number of leads to rebuild in one transaction, such as 10000.';
    END IF;
    -- of two sessions that start one, the later begins with the ranges of the other
    LOCK TABLE @pipeline@.rebuild_range IN SHARE UPDATE EXCLUSIVE MODE;
    DELETE FROM @pipeline@.rebuild_range;
    INSERT INTO @pipeline@.rebuild_range (first_lead_id, last_lead_id)
    SELECT coalesce(lag(r.last) OVER (ORDER BY r.last) + 1, '-9223372036854775808'), r.last
    FROM (
        SELECT n.lead_id
        FROM (SELECT l.lead_id, row_number() OVER (ORDER BY l.lead_id) AS place FROM @pipeline@.lead l) n
        WHERE n.place % leads_per_range = 0 AND n.lead_id < 9223372036854775807
        UNION ALL SELECT 9223372036854775807
    ) r (last);
    GET DIAGNOSTICS ranges = ROW_COUNT;
    RETURN ranges;
END
$$;
REVOKE EXECUTE ON FUNCTION start_rebuild(integer) FROM PUBLIC;
COMMENT ON FUNCTION start_rebuild(integer) IS
    'cuts the leads into ranges of so many, the rows of rebuild_range, for continue_rebuild(); returns how many ranges. A rebuild that was started before is forgotten';

CREATE OR REPLACE FUNCTION _rebuild_range() RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pipeline CONSTANT regnamespace := leadscore_internal.pipeline_schema(@pipeline_name@);
    next @pipeline@.rebuild_range;
BEGIN
    PERFORM leadscore_internal.forbid_ranges_on_nodes(pipeline);
    SELECT r.* INTO next
    FROM @pipeline@.rebuild_range r
    WHERE r.finished_at IS NULL
    ORDER BY r.first_lead_id
    LIMIT 1
    FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    next.leads_changed := leadscore_internal.rebuild(pipeline, next.first_lead_id, next.last_lead_id);
    UPDATE @pipeline@.rebuild_range r
    SET finished_at = clock_timestamp(), leads_changed = next.leads_changed
    WHERE r.first_lead_id = next.first_lead_id;
    RETURN next.leads_changed;
END
$$;
REVOKE EXECUTE ON FUNCTION _rebuild_range() FROM PUBLIC;
COMMENT ON FUNCTION _rebuild_range() IS
    'rebuilds the first range that is not finished and that no other session has; returns how many leads changed, or NULL if there is none';

-- A procedure that commits can have no path of its own: all it calls is named in full.
CREATE OR REPLACE PROCEDURE continue_rebuild()
    LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    LOOP
        EXIT WHEN @pipeline@._rebuild_range() IS NULL;
        COMMIT;
    END LOOP;
END
$$;
REVOKE EXECUTE ON PROCEDURE continue_rebuild() FROM PUBLIC;
COMMENT ON PROCEDURE continue_rebuild() IS
    'rebuilds the ranges of start_rebuild() that are left, and commits each. Sessions that call it at the same time share the ranges; after a crash, call it again. Writers go on';

CREATE OR REPLACE PROCEDURE sweep_all()
    LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    LOOP
        EXIT WHEN @pipeline@.sweep(1000) OPERATOR(pg_catalog.=) 0;
        COMMIT;
    END LOOP;
END
$$;
REVOKE EXECUTE ON PROCEDURE sweep_all() FROM PUBLIC;
COMMENT ON PROCEDURE sweep_all() IS
    'calls sweep() until no lead is left, and commits after each 1,000 leads. Sessions that call it at the same time share the work, say after activate_model()';

CREATE OR REPLACE FUNCTION verify()
    RETURNS TABLE (lead_id bigint, problem text, stored text, expected text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pipeline regnamespace := leadscore_internal.pipeline_schema(@pipeline_name@);
BEGIN
    IF leadscore_internal.has_other_nodes(pipeline) THEN
        RETURN QUERY
            SELECT d.lead_id, d.problem, d.stored, d.expected
            FROM leadscore_internal.on_all_nodes('verify()', format('SELECT coalesce(json_agg(v), ''[]'') FROM leadscore_internal.verify(%L::regnamespace) v', pipeline)) n,
                json_to_recordset(n::json) AS d (lead_id bigint, problem text, stored text, expected text);
        RETURN;
    END IF;
    -- Shares of many leads are compared by workers, as many as the planner takes;
    -- in a transaction of one process the whole is read in one pass.
    IF current_setting('max_parallel_workers_per_gather')::int > 0 AND EXISTS (SELECT FROM @pipeline@.lead OFFSET 10000) THEN
        RETURN QUERY
            SELECT * FROM leadscore_internal.verify_share(pipeline, 1, 6)
            UNION ALL SELECT * FROM leadscore_internal.verify_share(pipeline, 2, 6)
            UNION ALL SELECT * FROM leadscore_internal.verify_share(pipeline, 3, 6)
            UNION ALL SELECT * FROM leadscore_internal.verify_share(pipeline, 4, 6)
            UNION ALL SELECT * FROM leadscore_internal.verify_share(pipeline, 5, 6)
            UNION ALL SELECT * FROM leadscore_internal.verify_share(pipeline, 6, 6);
    ELSE
        RETURN QUERY SELECT * FROM leadscore_internal.verify(pipeline);
    END IF;
END
$$;
REVOKE EXECUTE ON FUNCTION verify() FROM PUBLIC;
COMMENT ON FUNCTION verify() IS
    'stored values that differ from a replay of the log: no rows, ever. Of leads that are due, or behind a change of models, signals or segments, only the counts are compared';

-- How long things are kept.

CREATE OR REPLACE FUNCTION _purge_line(before timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF before IS NULL THEN
        RAISE EXCEPTION 'before must not be null'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Pass the instant from which on events are to stay.';
    ELSIF before > now() THEN
        RAISE EXCEPTION 'before must not be in the future'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass the instant from which on events are to stay.';
    END IF;
    RETURN (SELECT date_bin(s.grain, before, timestamptz '2000-01-01 00:00:00+00') FROM @pipeline@.setting s);
END
$$;
COMMENT ON FUNCTION _purge_line(timestamptz) IS 'the beginning of the bucket of an instant, which must be past';

-- What a view reads is in the catalog. What a function reads is in its body,
-- where every table, view and function of the pipeline is named with its schema,
-- in quotes only where the name needs them.
CREATE OR REPLACE FUNCTION _views_of_events() RETURNS SETOF text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
AS $$
DECLARE
    pipeline CONSTANT regnamespace := leadscore_internal.pipeline_schema(@pipeline_name@);
    reports CONSTANT regnamespace := to_regnamespace(quote_ident(leadscore_internal.reports_schema(@pipeline_name@)));
BEGIN
    RETURN QUERY
        WITH RECURSIVE body AS MATERIALIZED (
            SELECT p.oid, p.prosrc FROM pg_proc p WHERE p.pronamespace = pipeline OR p.pronamespace = reports
        ), known AS MATERIALIZED (
            SELECT 'pg_class'::regclass::oid AS class, c.oid, '(FROM|JOIN)[[:space:]]+'
                || regexp_replace(format('%I.%I', n.nspname, c.relname), '([^[:alnum:]_"])', E'\\\\\\1', 'g') || '(?![[:alnum:]_])' AS called
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.oid IN (pipeline, reports) AND (c.relkind = 'v' OR c.oid = $table$@pipeline@.event$table$::regclass)
            UNION ALL
            SELECT 'pg_proc'::regclass::oid, p.oid, regexp_replace(format('%I.%I', n.nspname, p.proname), '([^[:alnum:]_"])', E'\\\\\\1', 'g') || '[(]'
            FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
            WHERE n.oid IN (pipeline, reports)
        ), edge AS MATERIALIZED (
            SELECT 'pg_class'::regclass::oid AS class, r.ev_class AS oid, d.refclassid AS from_class, d.refobjid AS from_oid
            FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
            WHERE d.classid = 'pg_rewrite'::regclass AND d.refobjid <> r.ev_class
            UNION ALL
            SELECT 'pg_proc'::regclass::oid, b.oid, k.class, k.oid
            FROM body b JOIN known k ON b.prosrc ~ k.called
        ), reader (class, oid) AS (
            SELECT 'pg_class'::regclass::oid, $table$@pipeline@.event$table$::regclass::oid
            UNION
            SELECT e.class, e.oid
            FROM reader r JOIN edge e ON e.from_class = r.class AND e.from_oid = r.oid
        )
        SELECT c.relname::text
        FROM reader r JOIN pg_class c ON c.oid = r.oid AND r.class = 'pg_class'::regclass
        WHERE c.relkind = 'v' AND c.relnamespace IN (pipeline, reports) AND c.relname NOT LIKE E'\\_%'
        ORDER BY 1;
END
$$;
COMMENT ON FUNCTION _views_of_events() IS 'the views that read events, themselves or through other views and functions';

CREATE OR REPLACE FUNCTION purge(before timestamptz, max_leads integer DEFAULT NULL, delete_events boolean DEFAULT true)
    RETURNS TABLE (table_name text, rows_removed bigint, leads_left bigint, complete_since timestamptz)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    pipeline CONSTANT regnamespace := leadscore_internal.pipeline_schema(@pipeline_name@);
    line CONSTANT timestamptz := @pipeline@._purge_line(before);
BEGIN
    IF max_leads < 0 THEN
        RAISE EXCEPTION 'max_leads must not be negative'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass the greatest number of leads to purge, such as 1000, or NULL for all.';
    ELSIF delete_events IS NULL THEN
        RAISE EXCEPTION 'delete_events must not be null'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Pass false if the partitions of the events are going to be dropped.';
    END IF;
    table_name := 'event';
    rows_removed := leadscore_internal.purge(pipeline, line, coalesce(max_leads, 9223372036854775807), delete_events);
    complete_since := greatest(line, (SELECT max(c.purged_before) FROM @pipeline@.lead_checkpoint c));
    SELECT count(DISTINCT e.lead_id) INTO leads_left
    FROM @pipeline@.event e
    WHERE e.occurred_at < line
        AND (delete_events OR NOT EXISTS (
            SELECT FROM @pipeline@.lead_checkpoint c WHERE c.lead_id = e.lead_id AND c.purged_before >= line)
            AND (EXISTS (SELECT FROM @pipeline@.stage_log h WHERE h.lead_id = e.lead_id AND h.effective_at < line)
                -- it was loaded, and is not counted yet
                OR EXISTS (SELECT FROM @pipeline@.lead l WHERE l.lead_id = e.lead_id
                    AND NOT EXISTS (SELECT FROM @pipeline@.lead_state s WHERE s.lead_id = l.lead_id))));
    RETURN NEXT;
    IF leads_left = 0 THEN
        RETURN QUERY SELECT v, NULL::bigint, NULL::bigint, complete_since FROM @pipeline@._views_of_events() v;
    END IF;
END
$$;
REVOKE EXECUTE ON FUNCTION purge(timestamptz, integer, boolean) FROM PUBLIC;
COMMENT ON FUNCTION purge(timestamptz, integer, boolean) IS
    'takes events dated before an instant, brought down to the beginning of its bucket, out of the log of at most so many leads and deletes them. Counts, scores, and stages and segments since then stay as they are. Returns how many events were deleted and how many leads are left, and when none is, the views that read events, with the instant from which on they are complete. With delete_events => false the rows stay, and can be dropped with their partition. Only the owner may call it';

CREATE OR REPLACE FUNCTION _purge_actions(before timestamptz, max_leads integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ids bigint[];
    removed bigint;
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    -- as every function of the queue does: the states first, then the actions
    SELECT array_agg(s.lead_id) INTO ids
    FROM (
        SELECT s.lead_id
        FROM @pipeline@.lead_state s
        WHERE EXISTS (
            SELECT FROM @pipeline@.action a LEFT JOIN @pipeline@.enrollment e USING (lead_id, sequence, run)
            WHERE a.lead_id = s.lead_id AND a.ended_at < _purge_actions.before AND (a.run IS NULL OR e.ended_at IS NOT NULL))
        ORDER BY s.lead_id
        LIMIT _purge_actions.max_leads
        FOR NO KEY UPDATE SKIP LOCKED
    ) s;
    DELETE FROM @pipeline@.action a
    WHERE a.lead_id = ANY (ids) AND a.ended_at < _purge_actions.before
        AND (a.run IS NULL OR EXISTS (
            SELECT FROM @pipeline@.enrollment e
            WHERE e.lead_id = a.lead_id AND e.sequence = a.sequence AND e.run = a.run AND e.ended_at IS NOT NULL));
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$$;
REVOKE EXECUTE ON FUNCTION _purge_actions(timestamptz, integer) FROM PUBLIC;
COMMENT ON FUNCTION _purge_actions(timestamptz, integer) IS
    'deletes actions of at most so many leads that have ended before an instant, and whose run is not open; returns how many';

CREATE OR REPLACE FUNCTION apply_retention(max_leads integer DEFAULT 1000)
    RETURNS TABLE (table_name text, rows_removed bigint)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    pipeline CONSTANT regnamespace := leadscore_internal.pipeline_on_this_node(@pipeline_name@);
    kept record;
    outermost boolean;
BEGIN
    IF max_leads IS NULL OR max_leads < 0 THEN
        RAISE EXCEPTION 'max_leads must not be %', CASE WHEN max_leads IS NULL THEN 'null' ELSE 'negative' END
            USING ERRCODE = CASE WHEN max_leads IS NULL THEN 'null_value_not_allowed' ELSE 'invalid_parameter_value' END,
                HINT = 'Pass the greatest number of leads to purge, such as 1000.';
    END IF;
    outermost := leadscore_internal.progress_begin(pipeline, 'apply_retention', 'choosing leads');
    FOR kept IN SELECT r.table_name, now() - r.keep_for AS before FROM @pipeline@.retention r WHERE r.keep_for IS NOT NULL ORDER BY r.table_name LOOP
        table_name := kept.table_name;
        IF kept.table_name = 'action' THEN
            PERFORM leadscore_internal.progress_next('deleting ended actions');
        END IF;
        rows_removed := CASE kept.table_name
            WHEN 'event' THEN leadscore_internal.purge(pipeline, kept.before, max_leads, true)
            WHEN 'action' THEN @pipeline@._purge_actions(kept.before, max_leads)
            ELSE leadscore_internal.purge_superseded(pipeline, kept.table_name = 'segment_log', kept.before, max_leads) END;
        RETURN NEXT;
    END LOOP;
    PERFORM leadscore_internal.progress_end(outermost);
END
$$;
REVOKE EXECUTE ON FUNCTION apply_retention(integer) FROM PUBLIC;
COMMENT ON FUNCTION apply_retention(integer) IS
    'removes what is older than table retention says: events and ended actions of at most so many leads, and at most so many rows of each history that a correction superseded; returns how many rows of each table. Call it once an hour or so. Only the owner may call it';
