-- What messages leads would like to get. A preference is a wish and no consent:
-- claim_actions() asks for consent first, and then keeps back what the lead does
-- not want of what it allows.

CREATE OR REPLACE FUNCTION _wishes(items text[]) RETURNS text[]
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    RETURN CASE WHEN items IS NOT NULL THEN ARRAY(
        SELECT DISTINCT lower(btrim(i) COLLATE "C") COLLATE "C" AS item FROM unnest(items) i ORDER BY item) END;
END
$$;
COMMENT ON FUNCTION _wishes(text[]) IS 'topics or channels as the queue spells them, each once';

CREATE OR REPLACE FUNCTION set_preferences_by_id(lead_id bigint, topics text[] DEFAULT NULL, channels text[] DEFAULT NULL,
        max_messages integer DEFAULT NULL, period text DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    problem text;
    changed boolean;
BEGIN
    PERFORM leadscore_internal.pipeline_on_one_node(@pipeline_name@);
    problem := CASE
        WHEN max_messages < 1 THEN 'max_messages must be positive'
        WHEN (max_messages IS NULL) <> (period IS NULL) THEN 'max_messages and period belong together'
        WHEN period NOT IN ('day', 'week', 'month') THEN format('period must be day, week or month, not "%s"', period)
        WHEN cardinality(topics) > 1000 OR cardinality(channels) > 1000 THEN 'there are more than 1000 topics or channels'
        WHEN EXISTS (SELECT FROM (SELECT unnest(topics) UNION ALL SELECT unnest(channels)) o (i) WHERE btrim(i) = '' OR i IS NULL OR octet_length(i) > 200)
            THEN 'topics and channels must not be null, empty or longer than 200 bytes'
    END;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION '%', problem
            USING ERRCODE = 'invalid_parameter_value',
                HINT = 'Pass something like topics => ''{newsletter,product}'', channels => ''{email}'', max_messages => 1, period => ''week''.';
    END IF;
    PERFORM @pipeline@._lock_leads(ARRAY[lead_id]);
    PERFORM FROM @pipeline@.lead l WHERE l.lead_id = set_preferences_by_id.lead_id AND l.erased_at IS NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no lead %', coalesce(lead_id::text, 'NULL')
            USING ERRCODE = 'no_data_found', HINT = @pipeline@._missing_hint(lead_id);
    END IF;
    topics := @pipeline@._wishes(topics);
    channels := @pipeline@._wishes(channels);
    IF num_nonnulls(topics, channels, max_messages) = 0 THEN
        DELETE FROM @pipeline@.lead_preference p WHERE p.lead_id = set_preferences_by_id.lead_id;
        RETURN FOUND;
    END IF;
    INSERT INTO @pipeline@.lead_preference AS p (lead_id, topics, channels, max_messages, period)
        VALUES (lead_id, topics, channels, max_messages, period)
    ON CONFLICT (lead_id) DO UPDATE
        SET topics = excluded.topics, channels = excluded.channels, max_messages = excluded.max_messages, period = excluded.period,
            updated_at = excluded.updated_at, updated_by = excluded.updated_by
        WHERE (p.topics, p.channels, p.max_messages, p.period)
            IS DISTINCT FROM (excluded.topics, excluded.channels, excluded.max_messages, excluded.period);
    changed := FOUND;
    RETURN changed;
END
$$;
REVOKE EXECUTE ON FUNCTION set_preferences_by_id(bigint, text[], text[], integer, text) FROM PUBLIC;
COMMENT ON FUNCTION set_preferences_by_id(bigint, text[], text[], integer, text) IS 'set_preferences() of the lead with this number';

CREATE OR REPLACE FUNCTION set_preferences(external_id text, topics text[] DEFAULT NULL, channels text[] DEFAULT NULL,
        max_messages integer DEFAULT NULL, period text DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_on_one_node(@pipeline_name@);
    RETURN @pipeline@.set_preferences_by_id(@pipeline@._hold_lead(external_id), topics, channels, max_messages, period);
END
$$;
REVOKE EXECUTE ON FUNCTION set_preferences(text, text[], text[], integer, text) FROM PUBLIC;
COMMENT ON FUNCTION set_preferences(text, text[], text[], integer, text) IS
    'records what messages a lead would like to get, in place of all that it said before: only of these topics, only by these channels, and at most so many in a day, week or month; NULL: as before it said anything. Returns whether that is something new. claim_actions() obeys it. It gives no consent and takes none. Errors: 22023 for a wrong argument, P0002 if there is no such lead';

CREATE OR REPLACE FUNCTION preferences_by_id(lead_id bigint)
    RETURNS TABLE (topics text[], channels text[], max_messages integer, period text, updated_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    RETURN QUERY
        SELECT p.topics, p.channels, p.max_messages, p.period, p.updated_at
        FROM @pipeline@.lead_preference p
        WHERE p.lead_id = preferences_by_id.lead_id;
END
$$;
REVOKE EXECUTE ON FUNCTION preferences_by_id(bigint) FROM PUBLIC;
COMMENT ON FUNCTION preferences_by_id(bigint) IS 'preferences() of the lead with this number';

CREATE OR REPLACE FUNCTION preferences(external_id text)
    RETURNS TABLE (topics text[], channels text[], max_messages integer, period text, updated_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    RETURN QUERY SELECT p.* FROM @pipeline@.preferences_by_id(@pipeline@.lead_id(leadscore_internal.require_text('external_id', external_id))) p;
END
$$;
REVOKE EXECUTE ON FUNCTION preferences(text) FROM PUBLIC;
COMMENT ON FUNCTION preferences(text) IS
    'what messages a lead would like to get, as set_preferences() recorded it: the row for a page on which it can change that. No rows if it has not said so, or there is no such lead';

CREATE OR REPLACE FUNCTION _unwanted(lead_id bigint, channel text, topic text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    RETURN (
        SELECT CASE WHEN _unwanted.channel <> ALL (p.channels) THEN 'channel preference' WHEN _unwanted.topic IS NOT NULL AND _unwanted.topic <> ALL (p.topics) THEN 'topic preference' END
        FROM @pipeline@.lead_preference p
        WHERE p.lead_id = _unwanted.lead_id);
END
$$;
COMMENT ON FUNCTION _unwanted(bigint, text, text) IS
    'why a lead does not want a message of a channel and a topic: channel preference or topic preference; NULL: it has nothing against it';
