-- Which content suits a lead, and which fields a form asks it next.

-- lead_ids NULL: all leads. at NULL: now, and the stage of all leads at once.
CREATE OR REPLACE FUNCTION _suggested_content(lead_ids bigint[], at timestamptz, max_items integer)
    RETURNS TABLE (lead_id bigint, "position" integer, content text, stage text, of_interest boolean)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    RETURN QUERY
    WITH person AS (
        SELECT l.lead_id, l.persona, l.language,
            CASE WHEN _suggested_content.at IS NULL THEN n.stage::text ELSE @pipeline@.stage_at_by_id(l.lead_id, _suggested_content.at) END AS stage
        FROM @pipeline@.lead l
            JOIN @pipeline@._lead_now n ON n.lead_id = l.lead_id
        WHERE (_suggested_content.lead_ids IS NULL OR l.lead_id = ANY (_suggested_content.lead_ids))
            AND l.consented_at IS NOT NULL AND l.contact_allowed AND l.erased_at IS NULL
    ), named AS (
        SELECT e.lead_id, e.properties ->> 'content' AS content, e.properties ->> 'topic' AS topic,
            e.kind = ANY (leadscore_internal.kinds_of($table$@pipeline@.event_kind$table$, 'visit', 'download', 'webinar')) AS shows_interest
        FROM @pipeline@.event e
        WHERE (_suggested_content.lead_ids IS NULL OR e.lead_id = ANY (_suggested_content.lead_ids))
            AND (e.properties ? 'content' OR e.properties ? 'topic')
            AND e.occurred_at <= coalesce(_suggested_content.at, now())
    ), had AS (
        SELECT n.lead_id, n.content
        FROM named n
        WHERE n.content IS NOT NULL
        UNION
        SELECT a.lead_id, a.content
        FROM @pipeline@.action a
        WHERE (_suggested_content.lead_ids IS NULL OR a.lead_id = ANY (_suggested_content.lead_ids))
            AND a.content IS NOT NULL AND a.status IN ('waiting', 'claimed', 'done')
    ), interest AS (
        SELECT n.lead_id, coalesce(n.topic, c.topic) AS topic, count(*) AS events
        FROM named n
            LEFT JOIN @pipeline@.content c ON c.content = n.content
        WHERE n.shows_interest AND coalesce(n.topic, c.topic) IS NOT NULL
        GROUP BY 1, 2
    ), ranked AS (
        SELECT p.lead_id, c.content, p.stage, i.events IS NOT NULL AS of_interest,
            row_number() OVER (PARTITION BY p.lead_id ORDER BY i.events DESC NULLS LAST, c.stage IS NULL, c.persona IS NULL,
                c.language IS NULL, c.content COLLATE "C") AS place
        FROM person p
            -- what is for any stage is not for leads that are lost
            JOIN @pipeline@.content c ON c.active AND (c.stage::text = p.stage OR (c.stage IS NULL AND p.stage NOT IN ('lost', 'disqualified')))
                AND (c.persona = p.persona OR c.persona IS NULL) AND (c.language = p.language OR c.language IS NULL)
            LEFT JOIN had h ON h.lead_id = p.lead_id AND h.content = c.content
            LEFT JOIN interest i ON i.lead_id = p.lead_id AND i.topic = c.topic
        WHERE h.lead_id IS NULL
    )
    SELECT r.lead_id, r.place::integer, r.content, r.stage, r.of_interest
    FROM ranked r
    WHERE r.place <= _suggested_content.max_items;
END
$$;
REVOKE EXECUTE ON FUNCTION _suggested_content(bigint[], timestamptz, integer) FROM PUBLIC;
COMMENT ON FUNCTION _suggested_content(bigint[], timestamptz, integer) IS
    'contents that suit leads, best first: of their stage, persona and language, of topics that they looked at first, and not what they had or are to be sent';

CREATE OR REPLACE FUNCTION suggested_content_by_id(lead_id bigint, max_items integer DEFAULT 3, at timestamptz DEFAULT now())
    RETURNS TABLE ("position" integer, content text, title text, kind text, topic text, intent text, url text, of_interest boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 3 SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@), leadscore_internal.require_instant('at', suggested_content_by_id.at);
    IF max_items IS NULL OR max_items < 1 THEN
        RAISE EXCEPTION 'max_items must be at least 1'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass how many contents you can use, or leave it out for 3.';
    END IF;
    RETURN QUERY
    SELECT s.position, c.content, coalesce(c.title, c.content), c.kind, c.topic, c.intent, c.url, s.of_interest
    FROM @pipeline@._suggested_content(ARRAY[suggested_content_by_id.lead_id], suggested_content_by_id.at, suggested_content_by_id.max_items) s
        JOIN @pipeline@.content c ON c.content = s.content
    ORDER BY s.position;
END
$$;
REVOKE EXECUTE ON FUNCTION suggested_content_by_id(bigint, integer, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION suggested_content_by_id(bigint, integer, timestamptz) IS 'suggested_content() of the lead with this number';

CREATE OR REPLACE FUNCTION suggested_content(external_id text, max_items integer DEFAULT 3, at timestamptz DEFAULT now())
    RETURNS TABLE ("position" integer, content text, title text, kind text, topic text, intent text, url text, of_interest boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 3 SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    RETURN QUERY
    SELECT s.* FROM @pipeline@.suggested_content_by_id(@pipeline@.lead_id(external_id), max_items, at) s;
END
$$;
REVOKE EXECUTE ON FUNCTION suggested_content(text, integer, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION suggested_content(text, integer, timestamptz) IS
    'contents of the table content to offer to a lead, best first: those for its stage at an instant, its persona and its language, of topics that it looked at first; not what an event of it names, nor what an action is to send it. No rows without consent to messages, or if there is no such lead';

CREATE OR REPLACE FUNCTION next_fields_by_id(lead_id bigint, form text, n integer DEFAULT 2)
    RETURNS TABLE (field text, "position" integer, required boolean, question text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 2 SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    sent bigint;
    reached text;
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@), leadscore_internal.require_text('form', next_fields_by_id.form);
    IF n IS NULL OR n < 1 THEN
        RAISE EXCEPTION 'n must be at least 1'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass how many fields the form has room for, or leave it out for 2.';
    END IF;
    IF NOT EXISTS (SELECT FROM @pipeline@.form_field f WHERE f.form = next_fields_by_id.form) THEN
        RAISE EXCEPTION 'form "%" has no fields', next_fields_by_id.form
            USING ERRCODE = 'undefined_object', HINT = 'Insert its fields into form_field first.';
    END IF;
    sent := (
        SELECT count(*)
        FROM @pipeline@.event e
        WHERE e.lead_id = next_fields_by_id.lead_id AND e.occurred_at <= now()
            AND (e.kind = ANY (leadscore_internal.kinds_of($table$@pipeline@.event_kind$table$, 'form_submit'))
                OR e.kind = ANY (leadscore_internal.kinds_of($table$@pipeline@.event_kind$table$, 'request')) AND e.properties ? 'form'));
    reached := @pipeline@.stage_at_by_id(next_fields_by_id.lead_id);
    RETURN QUERY
    WITH person AS (
        SELECT l.profile || jsonb_strip_nulls(jsonb_build_object('email', l.email, 'phone', l.phone, 'organization', l.organization,
                'market', l.market, 'country', l.country, 'language', l.language, 'time_zone', l.time_zone, 'persona', l.persona,
                'consent', CASE WHEN l.consented_at IS NOT NULL THEN true END)) AS answers
        FROM @pipeline@.lead l
        WHERE l.lead_id = next_fields_by_id.lead_id
    ), answered AS (
        SELECT a.key
        FROM person p, jsonb_each(p.answers) a
        WHERE a.value NOT IN ('null', '""', '[]', '{}')
        UNION
        -- fields that a form was sent with, if the app names them
        SELECT coalesce(g.profile_key, g.field)
        FROM @pipeline@.event e
            JOIN @pipeline@.form_field g ON g.form = e.properties ->> 'form' AND e.properties -> 'fields' ? g.field
        WHERE e.lead_id = next_fields_by_id.lead_id AND e.occurred_at <= now()
            AND e.kind = ANY (leadscore_internal.kinds_of($table$@pipeline@.event_kind$table$, 'form_submit', 'request'))
            AND (jsonb_typeof(e.properties -> 'fields') = 'array' OR e.properties -> 'fields' ->> g.field <> '')
    )
    SELECT f.field, f.position, f.required, coalesce(f.question, f.field)
    FROM @pipeline@.form_field f
    WHERE f.form = next_fields_by_id.form AND f.ask_after <= sent
        AND (f.ask_from IS NULL OR leadscore.stage_rank(reached::leadscore.lead_stage) >= leadscore.stage_rank(f.ask_from))
        AND NOT EXISTS (SELECT FROM answered a WHERE a.key = coalesce(f.profile_key, f.field))
    ORDER BY coalesce(f.profile_key, f.field) NOT IN ('name', 'first_name', 'last_name', 'email'), f.position
    LIMIT n;
END
$$;
REVOKE EXECUTE ON FUNCTION next_fields_by_id(bigint, text, integer) FROM PUBLIC;
COMMENT ON FUNCTION next_fields_by_id(bigint, text, integer) IS 'next_fields() of the lead with this number';

CREATE OR REPLACE FUNCTION next_fields(external_id text, form text, n integer DEFAULT 2)
    RETURNS TABLE (field text, "position" integer, required boolean, question text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 2 SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    RETURN QUERY
    SELECT f.* FROM @pipeline@.next_fields_by_id(@pipeline@.lead_id(external_id), form, n) f;
END
$$;
REVOKE EXECUTE ON FUNCTION next_fields(text, text, integer) FROM PUBLIC;
COMMENT ON FUNCTION next_fields(text, text, integer) IS
    'the next n fields of a form that a lead has not answered yet, see form_field: name and e-mail first, then by position. Answered is what the lead''s row or profile holds under the field''s profile_key, and fields that a form was sent with. A lead that is not known, or NULL, is asked the first n. Error 42704 if the form has no fields';
