-- What is wrong with this pipeline, or unwise; leadscore.doctor() shows it.

CREATE OR REPLACE FUNCTION _problems() RETURNS TABLE (severity text, problem text, detail text, advice text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    schema_oid CONSTANT regnamespace := leadscore_internal.pipeline_schema(@pipeline_name@);
    -- apart, for Citus joins no catalog with tables of a pipeline
    columns CONSTANT text[] := ARRAY(
        SELECT c.relname || '.' || a.attname
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = schema_oid AND c.relname IN ('event', 'lead') AND a.attnum > 0 AND NOT a.attisdropped);
BEGIN

    -- Broken: figures are wrong, or work stands still
    RETURN QUERY
    SELECT 'error', format('table %s has no trigger %s', w.relname, w.tgname), 'What is written to it is not counted.',
        format('Call leadscore.attach_pipeline(%L), then rebuild().', @pipeline_name@)
    FROM (VALUES ('event', 'leadscore_inserted'), ('event', 'leadscore_updated'), ('event', 'leadscore_deleted'), ('event', 'leadscore_truncated'),
            ('lead', 'leadscore_inserted'), ('lead', 'leadscore_updated'), ('lead', 'leadscore_deleted'), ('lead', 'leadscore_truncated')) AS w (relname, tgname)
    WHERE NOT EXISTS (
        SELECT FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        WHERE c.relnamespace = schema_oid AND c.relname = w.relname AND t.tgname = w.tgname);
    RETURN QUERY
    SELECT 'error', format('trigger %s of table %s is disabled', t.tgname, c.relname), 'What is written meanwhile is not counted.',
        format('Run ALTER TABLE %I.%I ENABLE TRIGGER %I, then rebuild().', @pipeline_name@, c.relname, t.tgname)
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE c.relnamespace = schema_oid AND NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgenabled = 'D'
    ORDER BY c.relname, t.tgname;
    RETURN QUERY
    SELECT 'error', format('index %s of table %s is not valid', i.relname, c.relname), 'An attempt to build it failed, and no query uses it.',
        format('Run REINDEX INDEX CONCURRENTLY %I.%I.', @pipeline_name@, i.relname)
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid
    WHERE c.relnamespace = schema_oid AND NOT x.indisvalid
    ORDER BY i.relname;
    -- kept since create_pipeline() made them; a key that a partitioned or
    -- distributed table cannot have is left out
    RETURN QUERY
    SELECT 'error', format('table %s has no index %s', w.relname, w.index), 'What the engine finds by it is found by reading the whole table.',
        format('Make it as it is in a new pipeline: SELECT leadscore.create_pipeline(%L), and see %I there.', @pipeline_name@ || '_new', w.index)
    FROM (VALUES ('lead_state', 'lead_state_next_review_at_idx'), ('lead_state', 'lead_state_stage_idx'), ('lead_state', 'lead_state_stage_name_idx'), ('lead_state', 'lead_state_level_idx'), ('lead_state', 'lead_state_configuration_idx'),
            ('lead', 'lead_referred_by_idx'), ('lead', 'lead_address_idx'), ('lead', 'lead_phone_idx'), ('event', 'event_source_id_key'), ('event', 'event_content_idx'),
            ('stage_log', 'stage_log_stepped_back_idx'), ('lead_alias', 'lead_alias_lead_id_idx'), ('lead_merge', 'lead_merge_loser_id_idx'),
            ('enrollment', 'enrollment_open_key'), ('action', 'action_due_idx'), ('action', 'action_lease_idx'), ('action', 'action_contact_idx'),
            ('action', 'action_open_idx'), ('action', 'action_team_idx')) AS w (relname, index)
    WHERE NOT EXISTS (
        SELECT FROM pg_class i
        WHERE i.relnamespace = schema_oid AND i.relname = w.index)
        -- a table that is partitioned by time has one that is not unique
        AND NOT (w.index = 'event_source_id_key' AND EXISTS (
            SELECT FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid
            WHERE c.relnamespace = schema_oid AND c.relname = w.relname AND c.relkind = 'p'
                AND pg_get_indexdef(x.indexrelid, 1, true) = quote_ident('lead_id') AND pg_get_indexdef(x.indexrelid, 2, true) = quote_ident('source_id')));

    RETURN QUERY
    SELECT 'error', 'no model is active', 'Nobody has a score, and nobody comes into a stage.',
        'Call activate_model(). Drafts: ' || coalesce((SELECT string_agg(m.model, ', ' ORDER BY m.model) FROM @pipeline@.model m WHERE m.status = 'draft'), 'none') || '.'
    WHERE NOT EXISTS (SELECT FROM @pipeline@.model m WHERE m.status = 'active');

    RETURN QUERY
    SELECT 'error', format('tracked table "%s" is not read', t.definition), t.problem,
        format('Mend it, then call leadscore.backfill_table(%L, %L, restart => true).', @pipeline_name@, t.definition)
    FROM @pipeline@.tracked_tables t
    WHERE t.problem IS NOT NULL
    ORDER BY t.definition;

    -- Late
    RETURN QUERY
    SELECT 'warning', 'a rebuild is not finished', format('Ranges of leads that are left: %s of %s.', count(*) FILTER (WHERE r.finished_at IS NULL), count(*)),
        format('CALL %I.continue_rebuild(), in several sessions if you like.', @pipeline_name@)
    FROM @pipeline@.rebuild_range r
    HAVING bool_or(r.finished_at IS NULL);

    RETURN QUERY
    SELECT 'warning', format('older rows of tracked table "%s" are not read', t.definition), format('Rows that were read: %s.', t.backfilled_rows),
        format('Call leadscore.backfill_table(%L, %L) until it returns 0.', @pipeline_name@, t.definition)
    FROM @pipeline@.tracked_tables t
    WHERE t.problem IS NULL AND NOT t.backfilled
    ORDER BY t.definition;
    RETURN QUERY
    SELECT 'warning', 'events are kept longer than retention says', format('The oldest is of %s.', e.oldest::date),
        format('Call %I.apply_retention(), as by pg_cron.', @pipeline_name@)
    FROM @pipeline@.retention r,
        LATERAL (SELECT min(o.occurred_at) AS oldest FROM @pipeline@.event o WHERE isfinite(o.occurred_at)) e
    WHERE r.table_name = 'event' AND r.keep_for IS NOT NULL AND e.oldest < now() - r.keep_for - interval '7 days';
    RETURN QUERY
    SELECT 'warning', 'sweep() is overdue', format('Leads whose stage or segments may have changed because time passed: %s, the first %s ago. Scores are right; sequences, history and alerts wait.',
            count(*), date_trunc('minute', now() - min(s.next_review_at))),
        format('Call %I.sweep() every ten minutes, as by pg_cron.', @pipeline_name@)
    FROM @pipeline@.lead_state s
    WHERE s.next_review_at < now() - interval '1 hour'
    HAVING count(*) > 0;
    RETURN QUERY
    SELECT 'warning', 'leads are behind a change of the configuration', format('Leads: %s. Views compute them at every read until then.', count(*)),
        format('Call %I.sweep() until it returns 0.', @pipeline_name@)
    FROM @pipeline@.lead_state s, @pipeline@.setting o
    WHERE s.configuration < o.configuration
        AND (SELECT max(greatest(m.activated_at, g.activated_at))
            FROM (SELECT max(a.activated_at) AS activated_at FROM @pipeline@.model_activation a) m,
                (SELECT max(a.activated_at) AS activated_at FROM @pipeline@.segment_activation a) g) < now() - interval '1 hour'
    HAVING count(*) > 0;
    RETURN QUERY
    SELECT 'warning', format('no worker takes what is due in channel %s', a.channel),
        format('Messages that wait: %s, the first for %s.', count(*), date_trunc('minute', now() - min(a.due_at))),
        format('Start a worker that calls claim_actions(%L), see doc/worker.', a.channel)
    FROM @pipeline@.action a LEFT JOIN @pipeline@.sequence q ON q.sequence = a.sequence
    WHERE a.kind = 'message' AND a.status = 'waiting' AND a.due_at < now() - interval '1 hour' AND (a.run IS NULL OR q.status = 'active')
    GROUP BY a.channel
    ORDER BY a.channel;
    RETURN QUERY
    SELECT 'warning', format('messages fail in channel %s', a.channel),
        format('Of those that ended in the last day: %s of %s. The newest error: %s.', count(*) FILTER (WHERE a.status = 'failed'), count(*),
            coalesce((array_agg(left(a.error, 200) ORDER BY a.ended_at DESC) FILTER (WHERE a.status = 'failed' AND a.error <> ''))[1], 'none was given')),
        'See action_log, and the log of the worker.'
    FROM @pipeline@.action a
    WHERE a.kind = 'message' AND a.status IN ('done', 'failed') AND a.ended_at > now() - interval '1 day'
    GROUP BY a.channel
    HAVING count(*) FILTER (WHERE a.status = 'failed') * 20 > count(*)
    ORDER BY a.channel;
    RETURN QUERY
    SELECT 'warning', format('sequence "%s" names a segment that is not active', q.sequence), format('Segment "%s" is %s.', g.segment, g.status),
        'Call activate_segment(), or pause_sequence().'
    FROM @pipeline@.sequence q
        JOIN @pipeline@.segment g ON g.segment = q.stay_in_segment OR (q.starts_on IN ('segment_entered', 'segment_left') AND g.segment = q.start_name)
    WHERE q.status = 'active' AND g.status <> 'active'
    ORDER BY q.sequence, g.segment;

    -- Blind
    RETURN QUERY
    SELECT 'warning', 'no lead has given consent', 'Without consent a contact stays a visitor, whatever it does.',
        'Pass consent in the profile of track() or upsert_lead(), or call give_consent().'
    -- a column is named, for Citus makes a table of what it reads elsewhere
    WHERE EXISTS (SELECT l.lead_id FROM @pipeline@.lead l) AND NOT EXISTS (SELECT l.lead_id FROM @pipeline@.lead l WHERE l.consented_at IS NOT NULL);
    -- a column of yours, say, that was dropped or renamed
    RETURN QUERY
    SELECT DISTINCT 'warning', format('signal "%s" asks for "$%s", which is not there', g.signal, v.name[1]),
        format('No column of %s and no list has this name, so it is null.', w.relname),
        'Give the column its name back, insert an item into value_list, or change the condition.'
    FROM @pipeline@.signal g
        CROSS JOIN LATERAL (SELECT CASE g.source WHEN 'event' THEN 'event' ELSE 'lead' END AS relname) w
        CROSS JOIN LATERAL regexp_matches(concat_ws(' ', g.condition, g.quantity, g.distinct_on), '[$]"([[:alnum:]_]+)"', 'g') AS v (name)
    WHERE w.relname || '.' || v.name[1] <> ALL (columns)
        AND NOT EXISTS (SELECT FROM @pipeline@.value_list l WHERE l.list = v.name[1])
        AND v.name[1] <> ALL (CASE g.source WHEN 'event' THEN '{content_kind,content_topic,content_intent,content_stage,content_persona}'::text[] ELSE '{consented,email_domain}' END)
    ORDER BY 2;
    RETURN QUERY
    SELECT 'warning', format('events of kind %s count for nothing', quote_literal(u.kind)),
        format('In the last 30 days: %s, %s.', count(*), u.reason),
        CASE u.reason WHEN 'unknown kind' THEN 'Add a signal for the kind, or a row of event_kind if it shall not count.'
            WHEN 'wrong type' THEN format('Send property %s with another type, see unscored_events.', coalesce(min(u.property), '?'))
            ELSE 'See unscored_events.' END
    FROM @pipeline@.unscored_events u
    WHERE u.occurred_at > now() - interval '30 days' AND u.reason IN ('unknown kind', 'wrong type')
    GROUP BY u.kind, u.reason
    ORDER BY count(*) DESC, u.kind
    LIMIT 10;
    RETURN QUERY
    SELECT 'warning', format('property %s of profiles has the wrong type', quote_literal(u.property)), format('Leads for which signal "%s" cannot compare it: %s.', u.signal, count(*)),
        'Send it with another type, see unscored_profiles.'
    FROM @pipeline@.unscored_profiles u
    GROUP BY u.signal, u.property
    ORDER BY count(*) DESC, u.signal
    LIMIT 10;
    -- reports put what is spelled otherwise into a row of its own
    RETURN QUERY
    WITH named AS (
        SELECT v.what, v.name, count(*) AS rows
        FROM (SELECT l.channel, l.campaign FROM @pipeline@.lead l
                UNION ALL
                SELECT e.channel, e.campaign FROM @pipeline@.event e WHERE e.recorded_at > now() - interval '30 days') n,
            LATERAL (VALUES ('channel', n.channel), ('campaign', n.campaign)) AS v (what, name)
        WHERE v.name IS NOT NULL
        GROUP BY v.what, v.name
    ), known AS (
        SELECT 'channel' AS what, h.channel AS name FROM @pipeline@.channel h
        UNION ALL
        SELECT 'campaign', p.campaign FROM @pipeline@.campaign p
    ), stray AS (
        SELECT n.*, k.meant, row_number() OVER (PARTITION BY n.what ORDER BY k.meant IS NULL, n.rows DESC, n.name) AS place
        FROM named n,
            LATERAL (SELECT min(k.name) AS meant FROM known k WHERE k.what = n.what AND lower(k.name) = lower(btrim(n.name))) k
        WHERE NOT EXISTS (SELECT FROM known k WHERE k.what = n.what AND k.name = n.name)
    )
    SELECT CASE WHEN u.meant IS NULL THEN 'hint' ELSE 'warning' END, format('%s %s is not in the table %1$s', u.what, quote_literal(u.name)),
        format('Leads, and events of the last 30 days, that name it: %s. It has no %s, and no costs.', u.rows, CASE u.what WHEN 'channel' THEN 'direction' ELSE 'channel' END),
        CASE WHEN u.meant IS NULL THEN format('Add a row for it to the table %s.', u.what) ELSE format('Send %L.', u.meant) END
    FROM stray u
    WHERE u.place <= 10
    ORDER BY u.what DESC, u.place;
    RETURN QUERY
    SELECT 'warning', 'purchases have no amount', format('In the last 30 days: %s of %s. They make customers, and no revenue.', count(*) FILTER (WHERE e.value IS NULL), count(*)),
        'Pass the amount as value, not as a property.'
    FROM @pipeline@.event e
    WHERE e.kind = ANY (leadscore_internal.kinds_of($table$@pipeline@.event_kind$table$, 'purchase')) AND e.recorded_at > now() - interval '30 days'
    HAVING count(*) FILTER (WHERE e.value IS NULL) > 0;
    RETURN QUERY
    SELECT 'warning', 'events are dated ahead', format('Events that were recorded in the last 30 days: %s, by up to %s. They count from their day on.',
            count(*), date_trunc('minute', max(e.occurred_at) - now())),
        'Look at the clock and the time zone of the program that sends them.'
    FROM @pipeline@.event e
    WHERE e.recorded_at > now() - interval '30 days' AND e.occurred_at > now() + interval '1 day' AND isfinite(e.occurred_at)
    HAVING count(*) > 0;

    -- Unwise
    RETURN QUERY
    SELECT 'hint', 'sequences send without a limit', 'No row of contact_limit: a lead in several sequences gets all of their messages.', 'Insert one, such as two a day.'
    WHERE EXISTS (SELECT FROM @pipeline@.sequence q JOIN @pipeline@.sequence_step t USING (sequence) WHERE q.status = 'active' AND t.kind = 'message' AND NOT t.transactional)
        AND NOT EXISTS (SELECT FROM @pipeline@.contact_limit);
    RETURN QUERY
    SELECT 'hint', format('statistics of table %s are old', t.relname),
        CASE WHEN greatest(t.last_analyze, t.last_autoanalyze) IS NULL THEN 'It was never analyzed.' ELSE format('Rows that changed since: %s.', t.n_mod_since_analyze) END,
        format('Run ANALYZE %I.%I, and see that autovacuum runs.', @pipeline_name@, t.relname)
    FROM pg_stat_all_tables t
    WHERE t.schemaname = @pipeline_name@ AND t.n_live_tup > 10000
        AND (greatest(t.last_analyze, t.last_autoanalyze) IS NULL OR t.n_mod_since_analyze > t.n_live_tup)
    ORDER BY t.relname;
    RETURN QUERY
    SELECT 'hint', format('table %s holds more dead rows than live ones', t.relname), format('Dead: %s, live: %s.', t.n_dead_tup, t.n_live_tup),
        'See that autovacuum runs, and that no old transaction or replication slot keeps them.'
    FROM pg_stat_all_tables t
    WHERE t.schemaname = @pipeline_name@ AND t.n_dead_tup > 10000 AND t.n_dead_tup > t.n_live_tup
    ORDER BY t.relname;
END
$$;
REVOKE EXECUTE ON FUNCTION _problems() FROM PUBLIC;
COMMENT ON FUNCTION _problems() IS 'what is wrong with this pipeline, or unwise, and what to do; for leadscore.doctor()';
