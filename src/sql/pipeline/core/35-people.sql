-- Who is who: joining two leads that are one person, forgetting a person, and
-- telling a person what is stored.
--
-- Both leads are locked first, in the order of lead_id. Every other name of a
-- lead is in lead_alias and points at a lead that exists, so that a name is
-- found in one step.

-- The trigger on lead calls this for leads whose owner or persona has changed.
CREATE OR REPLACE FUNCTION _attributes_written(lead_ids bigint[], attributes text[], old_values text[], new_values text[]) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    INSERT INTO @pipeline@.lead_change (lead_id, attribute, old_value, new_value, changed_at)
    SELECT l.lead_id, c.attribute, c.old_value, c.new_value, l.updated_at
    FROM unnest(_attributes_written.lead_ids, _attributes_written.attributes, _attributes_written.old_values, _attributes_written.new_values)
            AS c (lead_id, attribute, old_value, new_value)
        JOIN @pipeline@.lead l ON l.lead_id = c.lead_id
    WHERE c.attribute IN ('owner', 'persona')
    ORDER BY l.lead_id, c.attribute;
END
$$;
COMMENT ON FUNCTION _attributes_written(bigint[], text[], text[], text[]) IS 'records what owner and persona of leads were before a change, and after it';

CREATE OR REPLACE FUNCTION _merge_runs(winner bigint, loser bigint) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ids bigint[];
    sequences text[];
    runs integer[];
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    -- of two open runs of one sequence the older stays
    SELECT array_agg(e.lead_id), array_agg(e.sequence), array_agg(e.run) INTO ids, sequences, runs
    FROM (
        SELECT o.*, row_number() OVER (PARTITION BY o.sequence ORDER BY o.started_at, o.lead_id = winner DESC) AS place
        FROM @pipeline@.enrollment o
        WHERE o.lead_id IN (winner, loser) AND o.ended_at IS NULL
    ) e
    WHERE e.place > 1;
    PERFORM @pipeline@._end_runs(ids, sequences, runs, array_fill('merged'::text, ARRAY[coalesce(cardinality(ids), 0)]), now());
    -- the app wanted one of these for a person: what was done for the loser need not be done for the winner
    UPDATE @pipeline@.action a
    SET status = 'cancelled', reason = 'merged', ended_at = now()
    WHERE a.lead_id = winner AND a.run IS NULL AND a.status = 'waiting' AND EXISTS (
        SELECT FROM @pipeline@.action o WHERE o.lead_id = loser AND o.dedup_key = a.dedup_key AND o.status IN ('claimed', 'done'));
    WITH moved AS (
        SELECT e.sequence, e.run, e.run + coalesce((SELECT max(o.run) FROM @pipeline@.enrollment o WHERE o.lead_id = winner AND o.sequence = e.sequence), 0) AS new_run
        FROM @pipeline@.enrollment e
        WHERE e.lead_id = loser
    ), runs AS (
        UPDATE @pipeline@.enrollment e
        SET lead_id = winner, run = m.new_run
        FROM moved m
        WHERE e.lead_id = loser AND e.sequence = m.sequence AND e.run = m.run
    )
    UPDATE @pipeline@.action a
    SET lead_id = winner, run = m.new_run,
        dedup_key = CASE WHEN a.run IS NOT NULL THEN a.sequence || '/' || m.new_run || '/' || a.step
            WHEN EXISTS (SELECT FROM @pipeline@.action o WHERE o.lead_id = winner AND o.dedup_key = a.dedup_key) THEN 'merged/' || a.action_id
            ELSE a.dedup_key END,
        status = CASE WHEN d.is_twin THEN 'cancelled' ELSE a.status END, reason = CASE WHEN d.is_twin THEN 'merged' ELSE a.reason END,
        ended_at = CASE WHEN d.is_twin THEN now() ELSE a.ended_at END
    FROM @pipeline@.action b
        LEFT JOIN moved m ON m.sequence = b.sequence AND m.run = b.run
        CROSS JOIN LATERAL (
            SELECT b.run IS NULL AND b.status = 'waiting'
                AND EXISTS (SELECT FROM @pipeline@.action o WHERE o.lead_id = winner AND o.dedup_key = b.dedup_key) AS is_twin
        ) d
    WHERE a.lead_id = loser AND b.lead_id = a.lead_id AND b.action_id = a.action_id;
END
$$;
COMMENT ON FUNCTION _merge_runs(bigint, bigint) IS
    'gives the runs and actions of a lead to the one that it is merged into; runs are numbered after those of that one';

CREATE OR REPLACE FUNCTION _merge_touches(winner bigint, loser bigint) RETURNS bigint[]
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    RETURN ARRAY[winner, loser]
        || ARRAY(SELECT l.lead_id FROM @pipeline@.lead l WHERE l.referred_by = loser)
        -- an event that refuses messages refuses them for all leads with the address of the lead to which it moves
        || CASE WHEN EXISTS (
            SELECT FROM @pipeline@.event e JOIN @pipeline@.event_kind k USING (kind)
            WHERE e.lead_id = loser AND k.role IN ('unsubscribe', 'email_bounce', 'complaint'))
        THEN @pipeline@._same_address(ARRAY[winner]) END;
END
$$;
COMMENT ON FUNCTION _merge_touches(bigint, bigint) IS 'leads that a merge changes: both, those that the loser had referred, and those whose address the loser has refused';

CREATE OR REPLACE FUNCTION _lock_merge(winner bigint, loser bigint) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    touched bigint[];
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    LOOP
        touched := @pipeline@._merge_touches(winner, loser);
        BEGIN
            -- the winner may get the name of the loser
            PERFORM @pipeline@._lock_leads(touched, loser, winner);
            -- there may be more of them since we waited: give the locks up once more
            EXIT WHEN array_remove(@pipeline@._merge_touches(winner, loser), NULL) <@ touched;
            RAISE SQLSTATE 'LS001';
        EXCEPTION
            WHEN SQLSTATE 'LS001' THEN NULL;
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION _lock_merge(bigint, bigint) IS 'locks all that a merge changes, as _lock_leads() does';

CREATE OR REPLACE FUNCTION merge_leads_by_id(winner bigint, loser bigint, reason text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pipeline CONSTANT regnamespace := leadscore_internal.pipeline_on_this_node(@pipeline_name@);
    enroll CONSTANT text := current_setting('leadscore.enroll');
    kept @pipeline@.lead;
    gone @pipeline@.lead;
    withdrawn_at timestamptz;
BEGIN
    IF winner IS NULL OR loser IS NULL THEN
        RAISE EXCEPTION '% must not be null', CASE WHEN winner IS NULL THEN 'winner' ELSE 'loser' END
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Pass the lead that is to remain, and the one that is to go.';
    ELSIF winner = loser THEN
        RAISE EXCEPTION 'cannot merge lead % into itself', winner
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass two leads. If these are two names, they mean one lead already.';
    END IF;
    PERFORM @pipeline@._lock_merge(winner, loser);
    SELECT * INTO kept FROM @pipeline@.lead l WHERE l.lead_id = winner;
    SELECT * INTO gone FROM @pipeline@.lead l WHERE l.lead_id = loser;
    IF kept.lead_id IS NULL OR gone.lead_id IS NULL THEN
        RAISE EXCEPTION 'there is no lead %', CASE WHEN kept.lead_id IS NULL THEN winner ELSE loser END
            USING ERRCODE = 'no_data_found',
                HINT = @pipeline@._missing_hint(CASE WHEN kept.lead_id IS NULL THEN winner ELSE loser END);
    ELSIF kept.erased_at IS NOT NULL OR gone.erased_at IS NOT NULL THEN
        RAISE EXCEPTION 'lead % was forgotten', CASE WHEN kept.erased_at IS NOT NULL THEN winner ELSE loser END
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'An erasure leaves nothing that says which person the lead was.';
    END IF;
    -- what was loaded for them, and not counted yet, counts from its own day
    PERFORM leadscore_internal.rebuild(pipeline, l.lead_id)
    FROM @pipeline@.lead l
    WHERE l.lead_id IN (winner, loser) AND (NOT EXISTS (SELECT FROM @pipeline@.lead_state s WHERE s.lead_id = l.lead_id)
        OR EXISTS (SELECT FROM @pipeline@.rebuild_range r WHERE r.finished_at IS NULL AND l.lead_id BETWEEN r.first_lead_id AND r.last_lead_id));
    -- What a merge writes begins no sequence. A clause SET of the function would
    -- keep roles without the right to set unknown parameters from restoring it.
    PERFORM set_config('leadscore.enroll', 'off', true);
    INSERT INTO @pipeline@.lead_merge (lead_id, loser_id, reason) VALUES (winner, loser, reason);

    UPDATE @pipeline@.consent c
    SET lead_id = winner, merged_from = coalesce(c.merged_from, c.lead_id)
    WHERE c.lead_id = loser;

    -- what one of them had, and was purged, is not counted again
    DELETE FROM @pipeline@.event e
    USING @pipeline@.lead_checkpoint c
    WHERE (e.lead_id = winner AND c.lead_id = loser OR e.lead_id = loser AND c.lead_id = winner)
        AND e.source_id IS NOT NULL AND e.occurred_at < c.purged_before
        AND ('x' || left(md5(e.source_id), 16))::bit(64)::bigint = ANY (c.source_ids);
    -- of two logs of which one was purged both begin at one line
    PERFORM leadscore_internal.merge_lines(pipeline, winner, loser);
    DELETE FROM @pipeline@.event e
    WHERE e.lead_id = loser AND e.source_id IS NOT NULL
        AND EXISTS (SELECT FROM @pipeline@.event o WHERE o.lead_id = winner AND o.source_id = e.source_id);
    UPDATE @pipeline@.event e SET lead_id = winner WHERE e.lead_id = loser;

    UPDATE @pipeline@.lead l SET referred_by = nullif(winner, l.lead_id) WHERE l.referred_by = loser;
    UPDATE @pipeline@.lead l
    SET email = coalesce(kept.email, gone.email), phone = coalesce(kept.phone, gone.phone),
        organization = coalesce(kept.organization, gone.organization), market = coalesce(kept.market, gone.market),
        country = coalesce(kept.country, gone.country), language = coalesce(kept.language, gone.language),
        time_zone = coalesce(kept.time_zone, gone.time_zone), channel = coalesce(kept.channel, gone.channel),
        campaign = coalesce(kept.campaign, gone.campaign), owner = coalesce(kept.owner, gone.owner),
        persona = coalesce(kept.persona, gone.persona), profile = gone.profile || kept.profile,
        referred_by = nullif(coalesce(nullif(kept.referred_by, loser), gone.referred_by), winner),
        objective = coalesce(kept.objective, gone.objective), complexity = coalesce(kept.complexity, gone.complexity),
        created_at = least(kept.created_at, gone.created_at),
        first_external_id = CASE WHEN gone.created_at < kept.created_at THEN coalesce(gone.first_external_id, gone.external_id, gone.lead_id::text)
            ELSE kept.first_external_id END,
        consented_at = n.consented_at
    FROM @pipeline@._consent_now(ARRAY[winner]) n
    WHERE l.lead_id = winner;

    -- an address that is given up may be one that another lead unsubscribed
    INSERT INTO @pipeline@.consent (lead_id, purpose, channel, status, occurred_at, merged_from)
    SELECT DISTINCT winner, 'marketing', s.channel, 'withdrawn', s.since, loser
    FROM unnest(@pipeline@._address_hashes(gone.email, gone.phone)) h
        JOIN @pipeline@.suppression s ON s.address_hash = h
    WHERE s.reason IN ('unsubscribed', 'complained') AND s.lifted_at IS NULL
        AND h <> ALL (@pipeline@._address_hashes(coalesce(kept.email, gone.email), coalesce(kept.phone, gone.phone)))
        AND NOT EXISTS (
            SELECT FROM @pipeline@.consent c
            WHERE c.lead_id = winner AND c.purpose = 'marketing' AND c.status = 'withdrawn' AND c.topic IS NULL
                AND c.channel IS NOT DISTINCT FROM s.channel AND c.occurred_at = s.since);

    -- what both profiles were counts from its own day, but consent not from its withdrawal on
    SELECT max(c.occurred_at) INTO withdrawn_at
    FROM @pipeline@.consent c
    WHERE c.lead_id = winner AND c.purpose = 'policy' AND c.status = 'withdrawn'
        AND (SELECT l.consented_at FROM @pipeline@.lead l WHERE l.lead_id = winner) IS NULL;
    PERFORM leadscore_internal.merge_logs(pipeline, winner, loser, withdrawn_at);

    PERFORM @pipeline@._merge_runs(winner, loser);
    INSERT INTO @pipeline@.exposure AS o (lead_id, experiment, variant, exposed_at, recorded_at)
    SELECT winner, x.experiment, x.variant, x.exposed_at, x.recorded_at FROM @pipeline@.exposure x WHERE x.lead_id = loser
    ON CONFLICT (lead_id, experiment, variant) DO UPDATE
    SET exposed_at = least(o.exposed_at, excluded.exposed_at), recorded_at = least(o.recorded_at, excluded.recorded_at);
    UPDATE @pipeline@.lead_change c SET lead_id = winner WHERE c.lead_id = loser;
    -- of two wishes the newer one is that of the person
    DELETE FROM @pipeline@.lead_preference p
    USING @pipeline@.lead_preference o
    WHERE p.lead_id IN (winner, loser) AND o.lead_id IN (winner, loser) AND o.lead_id <> p.lead_id
        AND (o.updated_at > p.updated_at OR o.updated_at = p.updated_at AND o.lead_id = winner);
    UPDATE @pipeline@.lead_preference p SET lead_id = winner WHERE p.lead_id = loser;

    -- before the lead goes, and its names with it
    UPDATE @pipeline@.lead_alias a SET lead_id = winner WHERE a.lead_id = loser;
    DELETE FROM @pipeline@.lead l WHERE l.lead_id = loser;
    IF gone.external_id IS NOT NULL THEN
        IF kept.external_id IS NULL THEN
            UPDATE @pipeline@.lead l SET external_id = gone.external_id WHERE l.lead_id = winner;
        ELSE
            INSERT INTO @pipeline@.lead_alias (external_id, lead_id) VALUES (gone.external_id, winner);
        END IF;
    END IF;
    -- an address of the loser may be suppressed
    PERFORM @pipeline@._follow_consent(ARRAY[winner], now());
    -- what the loser has done may be the goal of a run of the winner, and the other way round
    PERFORM @pipeline@._edges_written(ARRAY[winner, winner], '{stage,correction}', ARRAY[s.stage::text, ''], ARRAY[now(), now()], '{merge,merge}')
    FROM @pipeline@.lead_state s
    WHERE s.lead_id = winner;
    PERFORM set_config('leadscore.enroll', enroll, true);
    RETURN winner;
END
$$;
REVOKE EXECUTE ON FUNCTION merge_leads_by_id(bigint, bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION merge_leads_by_id(bigint, bigint, text) IS 'merge_leads() of the leads with these numbers';

CREATE OR REPLACE FUNCTION merge_leads(winner text, loser text, reason text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_on_this_node(@pipeline_name@);
    RETURN @pipeline@.merge_leads_by_id(@pipeline@._find_lead(leadscore_internal.require_text('winner', winner)),
        @pipeline@._find_lead(leadscore_internal.require_text('loser', loser)), reason);
END
$$;
REVOKE EXECUTE ON FUNCTION merge_leads(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION merge_leads(text, text, text) IS
    'makes two leads one, and returns the number of winner, which remains: events move, of two with one source_id that of winner stays; the profile of winner comes first; what both said about messages counts; every name of loser is one of winner; stages are computed anew from all of it. It cannot be undone. Errors: 22023 if both are one lead, P0002 if there is no such lead, 55000 if one was forgotten';

-- A name that is not known yet is given to a lead for a moment: a session that
-- makes a lead of that name at the same time waits, or is waited for. False if
-- the name is known meanwhile.
CREATE OR REPLACE FUNCTION _take_name(external_id text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    taken bigint;
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    INSERT INTO @pipeline@.lead (external_id) VALUES (_take_name.external_id) ON CONFLICT (external_id) DO NOTHING RETURNING lead_id INTO taken;
    DELETE FROM @pipeline@.lead l WHERE l.lead_id = taken;
    RETURN taken IS NOT NULL;
EXCEPTION
    WHEN unique_violation THEN
        RETURN false;
END
$$;
COMMENT ON FUNCTION _take_name(text) IS 'keeps other sessions from making a lead of a name that is to be an alias, until the transaction ends';

CREATE OR REPLACE FUNCTION identify(anonymous text, known text, force boolean DEFAULT false) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    anonymous_name CONSTANT text := leadscore_internal.fold_name(leadscore_internal.require_text('anonymous', anonymous));
    known_name CONSTANT text := leadscore_internal.fold_name(leadscore_internal.require_text('known', known));
    anonymous_id bigint;
    known_id bigint;
    new_name text;
    identified boolean;
    rounds integer := 0;
BEGIN
    PERFORM leadscore_internal.pipeline_on_this_node(@pipeline_name@);
    IF greatest(octet_length(anonymous_name), octet_length(known_name)) > 2000 THEN
        RAISE EXCEPTION '% is too long', CASE WHEN octet_length(anonymous_name) > 2000 THEN 'anonymous' ELSE 'known' END
            USING ERRCODE = 'string_data_right_truncation',
                DETAIL = format('It has %s bytes.', CASE WHEN octet_length(anonymous_name) > 2000 THEN octet_length(anonymous_name) ELSE octet_length(known_name) END),
                HINT = 'Pass at most 2000 bytes.';
    END IF;
    LOOP
        anonymous_id := @pipeline@.lead_id(anonymous_name);
        known_id := @pipeline@.lead_id(known_name);
        IF known_id IS NULL AND @pipeline@._is_forgotten(known_name, NULL, NULL) THEN
            RETURN NULL;
        ELSIF anonymous_name = known_name OR anonymous_id = known_id
            OR anonymous_id IS NULL AND @pipeline@._is_forgotten(anonymous_name, NULL, NULL)
        THEN
            RETURN coalesce(known_id, @pipeline@.upsert_lead(known_name));
        END IF;
        BEGIN
            -- names that are new come before leads, in the order of names
            FOR new_name IN
                SELECT n.name FROM (VALUES (anonymous_name, anonymous_id), (known_name, known_id)) AS n (name, lead_id)
                WHERE n.lead_id IS NULL
                ORDER BY n.name COLLATE "C"
            LOOP
                IF NOT @pipeline@._take_name(new_name) THEN
                    RAISE SQLSTATE 'LS001';
                END IF;
            END LOOP;
            IF num_nulls(anonymous_id, known_id) = 2 THEN
                known_id := @pipeline@.upsert_lead(known_name);
                -- it was a visitor before, and may have seen a variant
                UPDATE @pipeline@.lead l SET first_external_id = anonymous_name WHERE l.lead_id = known_id;
            ELSIF anonymous_id IS NULL THEN
                PERFORM @pipeline@._lock_leads(ARRAY[known_id]);
            ELSIF known_id IS NULL THEN
                PERFORM @pipeline@._lock_leads(ARRAY[anonymous_id], anonymous_id);
            ELSE
                PERFORM @pipeline@._lock_merge(known_id, anonymous_id);
            END IF;
            -- a merge or an erasure that was under way has moved a name: give all locks up and look again
            IF known_id IS NULL AND anonymous_id IS NULL
                OR @pipeline@.lead_id(anonymous_name) IS DISTINCT FROM anonymous_id OR @pipeline@.lead_id(known_name) IS DISTINCT FROM known_id
            THEN
                RAISE SQLSTATE 'LS001';
            END IF;

            -- a visitor that is not known is another name
            IF anonymous_id IS NULL THEN
                INSERT INTO @pipeline@.lead_alias (external_id, lead_id) VALUES (anonymous_name, known_id);
                RETURN known_id;
            END IF;
            SELECT l.email ~ '[^[:space:]]' OR l.external_id <> anonymous_name
                    OR EXISTS (SELECT FROM @pipeline@.lead_alias a WHERE a.lead_id = l.lead_id) INTO identified
            FROM @pipeline@.lead l WHERE l.lead_id = anonymous_id;
            IF identified AND force IS NOT TRUE THEN
                RAISE EXCEPTION 'lead "%" is identified already', anonymous
                    USING ERRCODE = 'object_not_in_prerequisite_state',
                        DETAIL = 'It has an e-mail address, or another name: two people may share a device.',
                        HINT = 'If both are one person, pass force => true, or call merge_leads().';
            END IF;

            -- one that is takes the other name, and keeps its own
            IF known_id IS NULL THEN
                UPDATE @pipeline@.lead l SET external_id = known_name WHERE l.lead_id = anonymous_id AND l.external_id = anonymous_name;
                INSERT INTO @pipeline@.lead_alias (external_id, lead_id)
                    VALUES (CASE WHEN FOUND THEN anonymous_name ELSE known_name END, anonymous_id);
                RETURN anonymous_id;
            END IF;
            RETURN @pipeline@.merge_leads_by_id(known_id, anonymous_id, 'identify');
        EXCEPTION
            WHEN SQLSTATE 'LS001' THEN
                rounds := rounds + 1;
                -- a snapshot that stays would never see who has the name now, nor would a table whose trigger leaves the name out
                IF rounds = 100 OR current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
                    RAISE EXCEPTION 'could not serialize access due to concurrent change of a name'
                        USING ERRCODE = 'serialization_failure', HINT = 'Run the transaction again.';
                END IF;
        END;
    END LOOP;
END
$$;
REVOKE EXECUTE ON FUNCTION identify(text, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION identify(text, text, boolean) IS
    'says that the visitor with the first name is the lead with the second, and returns its number: both names mean it from then on, and it has done what both did. A name that is new is only remembered. Error 55000 if the visitor has an e-mail address or was identified already, unless force; NULL if the person was forgotten';

-- A database of locale C knows small and capital letters of ASCII only; then ICU is
-- asked, if the server has it. A long text, of which no pattern can be made, is cut
-- out as it is.
CREATE OR REPLACE FUNCTION _without(remark text, secret text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- E: the caller may have set standard_conforming_strings
    pattern CONSTANT text := '(?<![[:alnum:]])' || regexp_replace(secret, E'([][\\\\.*+?^$(){}|])', E'\\\\\\1', 'g') || '(?![[:alnum:]])';
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF length(secret) > 500 OR length(secret) > length(remark) THEN
        RETURN replace(remark, secret, '');
    END IF;
    -- 196: a capital letter with umlaut
    IF lower(chr(196)) = chr(196) AND getdatabaseencoding() ~ '^(UTF8|LATIN|WIN)' AND to_regcollation('pg_catalog."und-x-icu"') IS NOT NULL THEN
        EXECUTE 'SELECT regexp_replace($1 COLLATE pg_catalog."und-x-icu", $2, '''', ''gi'')' INTO remark USING remark, pattern;
        RETURN remark;
    END IF;
    RETURN regexp_replace(remark, pattern, '', 'gi');
END
$$;
REVOKE EXECUTE ON FUNCTION _without(text, text) FROM PUBLIC;
COMMENT ON FUNCTION _without(text, text) IS 'a text without a name or an address as a word of its own, in small letters or capitals';

-- Inside objects and arrays too, which conditions of signals look into.
CREATE OR REPLACE FUNCTION _impersonal(value jsonb, keys text[], secrets text[], words text[]) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    remark text;
    secret text;
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF jsonb_typeof(value) = 'object' THEN
        RETURN (
            SELECT jsonb_object_agg(p.key, CASE
                -- the number of an event
                WHEN p.key = 'purchase' AND p.value #>> '{}' ~ '^[0-9]+$' THEN p.value
                ELSE @pipeline@._impersonal(p.value, keys, secrets, words) END)
            FROM jsonb_each(value) p
            WHERE p.key = ANY (keys));
    ELSIF jsonb_typeof(value) = 'array' THEN
        RETURN (
            SELECT coalesce(jsonb_agg(@pipeline@._impersonal(a.item, keys, secrets, words) ORDER BY a.n), '[]')
            FROM jsonb_array_elements(value) WITH ORDINALITY a (item, n));
    ELSIF jsonb_typeof(value) = 'string' THEN
        remark := value #>> '{}';
        -- whole words: 1001 is not in /product/10012. A page or a message has no
        -- blanks, and is not named after a person
        FOREACH secret IN ARRAY secrets || CASE WHEN remark ~ '[[:space:]]' THEN words ELSE '{}' END LOOP
            remark := @pipeline@._without(remark, secret);
        END LOOP;
        RETURN to_jsonb(remark);
    END IF;
    RETURN value;
END
$$;
COMMENT ON FUNCTION _impersonal(jsonb, text[], text[], text[]) IS
    'the properties of an event that forget_lead() leaves: keys that reports and signals read, with names and addresses of the person cut out, words only of remarks';

CREATE OR REPLACE FUNCTION forget_lead_by_id(lead_id bigint, requested_at timestamptz DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    person @pipeline@.lead;
    same bigint[];
    names text[];
    secrets text[];
    words text[];
    keys text[];
BEGIN
    PERFORM leadscore_internal.pipeline_on_this_node(@pipeline_name@);
    IF forget_lead_by_id.lead_id IS NULL THEN
        RAISE EXCEPTION 'lead_id must not be null'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Pass the number of a lead.';
    END IF;
    -- their address is not written to any more
    same := @pipeline@._same_address(ARRAY[lead_id]);
    PERFORM @pipeline@._lock_leads(same, lead_id);
    SELECT * INTO person FROM @pipeline@.lead l WHERE l.lead_id = forget_lead_by_id.lead_id;
    IF NOT FOUND OR person.erased_at IS NOT NULL THEN
        RETURN false;
    END IF;
    names := array_remove(ARRAY(SELECT a.external_id FROM @pipeline@.lead_alias a WHERE a.lead_id = person.lead_id) || person.external_id, NULL);
    INSERT INTO @pipeline@.suppression (address_hash, channel, reason, since)
    SELECT DISTINCT h, NULL, 'forgotten', now()
    FROM (
        SELECT unnest(@pipeline@._address_hashes(person.email, person.phone)) AS h
        UNION ALL
        SELECT @pipeline@._name_hash(n) FROM unnest(names) n
    ) s
    ON CONFLICT DO NOTHING;
    INSERT INTO @pipeline@.erasure (lead_id, requested_at) VALUES (person.lead_id, forget_lead_by_id.requested_at);

    -- what is worth cutting out of texts: longer ones first
    secrets := ARRAY(
        SELECT DISTINCT ON (length(s.secret), s.secret) s.secret
        FROM (
            SELECT btrim(v) AS secret FROM unnest(names || ARRAY[person.email, person.phone]) v
            UNION ALL
            SELECT replace(btrim(v), '@', '%40') FROM unnest(names || person.email) v
        ) s
        WHERE length(s.secret) >= 4
        ORDER BY length(s.secret) DESC, s.secret);
    words := ARRAY(
        SELECT DISTINCT ON (length(w.word), w.word) w.word
        FROM (
            SELECT btrim(v #>> '{}') AS word
            FROM jsonb_each(person.profile) p, jsonb_path_query(p.value, 'strict $.** ? (@.type() == "string")') v
            WHERE p.key ~* 'name|mail|phone|address|street'
        ) w
        WHERE length(w.word) >= 2
        ORDER BY length(w.word) DESC, w.word);
    -- these tell of our pages and messages, and not of the person
    keys := ARRAY(
        SELECT unnest('{page,content,intent,form,fields,variant,purchase,type,channel,topic}'::text[])
        UNION
        SELECT m[1] FROM @pipeline@.signal s, regexp_matches(concat(s.condition, ' ', s.quantity, ' ', s.distinct_on), '[.]"([^"]+)"', 'g') m
        WHERE s.source = 'event');
    -- a refund goes on naming its purchase
    UPDATE @pipeline@.event e
    SET properties = e.properties || jsonb_build_object('purchase', o.event_id::text)
    FROM @pipeline@.event o
    WHERE e.lead_id = person.lead_id AND o.lead_id = person.lead_id AND o.source_id = e.properties ->> 'purchase';
    UPDATE @pipeline@.event e
    SET properties = CASE WHEN jsonb_typeof(e.properties) = 'object' THEN @pipeline@._impersonal(
            -- of the fields of a form reports want the number
            e.properties || CASE WHEN e.properties ? 'fields' THEN jsonb_build_object('fields', leadscore_internal.field_count(e.properties -> 'fields')) ELSE '{}' END,
            keys || CASE WHEN r.role ~ '^email' OR r.role = 'complaint' THEN '{message}'::text[]
                WHEN r.role IN ('outreach', 'sales_contact', 'meeting_held') THEN '{outcome}' WHEN r.role = 'meeting_booked' THEN '{meeting_at}' WHEN r.role = 'stage' THEN '{stage,by}' WHEN r.role = 'points' THEN '{by}' ELSE '{}' END,
            secrets, words)
            -- so do names of ours, though a person may be called like them
            || CASE WHEN EXISTS (SELECT FROM @pipeline@.content c WHERE c.content = e.properties ->> 'content') THEN jsonb_build_object('content', e.properties -> 'content') ELSE '{}' END
            || CASE WHEN EXISTS (SELECT FROM @pipeline@.form_field f WHERE f.form = e.properties ->> 'form') THEN jsonb_build_object('form', e.properties -> 'form') ELSE '{}' END
        END,
        source_id = NULL
    FROM (SELECT o.event_id, k.role FROM @pipeline@.event o LEFT JOIN @pipeline@.event_kind k USING (kind) WHERE o.lead_id = person.lead_id) r
    WHERE e.lead_id = person.lead_id AND r.event_id = e.event_id AND (e.properties IS NOT NULL OR e.source_id IS NOT NULL);
    UPDATE @pipeline@.consent c SET evidence = '{}' WHERE c.lead_id = person.lead_id AND c.evidence <> '{}';
    UPDATE @pipeline@.enrollment e
    SET ended_at = greatest(e.started_at, now()), end_reason = 'forgotten'
    WHERE e.lead_id = person.lead_id AND e.ended_at IS NULL;
    UPDATE @pipeline@.action a
    SET content = NULL, properties = '{}', error = NULL, outcome = CASE WHEN a.kind = 'task' THEN a.outcome END, claimed_until = NULL,
        dedup_key = CASE WHEN a.run IS NULL THEN 'forgotten/' || a.action_id ELSE a.dedup_key END,
        status = CASE WHEN a.status IN ('waiting', 'claimed') THEN 'cancelled' ELSE a.status END,
        -- why a member of the team cancelled it may name the person
        reason = CASE WHEN a.status IN ('waiting', 'claimed') THEN 'forgotten'
            WHEN a.status = 'cancelled' AND a.reason NOT IN ('goal', 'exited', 'unsubscribed', 'merged', 'by_hand', 'retired') THEN 'by hand'
            ELSE a.reason END,
        ended_at = coalesce(a.ended_at, now())
    WHERE a.lead_id = person.lead_id;
    WITH RECURSIVE merged AS (
        SELECT m.loser_id FROM @pipeline@.lead_merge m WHERE m.lead_id = person.lead_id
        UNION
        SELECT m.loser_id FROM merged p JOIN @pipeline@.lead_merge m ON m.lead_id = p.loser_id
    )
    UPDATE @pipeline@.lead_merge m SET reason = NULL
    FROM merged p
    WHERE m.loser_id = p.loser_id AND m.reason IS NOT NULL;
    DELETE FROM @pipeline@.lead_alias a WHERE a.lead_id = person.lead_id;
    DELETE FROM @pipeline@.lead_preference p WHERE p.lead_id = person.lead_id;
    UPDATE @pipeline@.lead l
    SET external_id = NULL, first_external_id = NULL, email = NULL, phone = NULL, language = NULL, time_zone = NULL, profile = '{}',
        contact_allowed = false, erased_at = now()
    WHERE l.lead_id = person.lead_id;
    PERFORM @pipeline@._follow_consent(array_remove(same, person.lead_id), now());
    RETURN true;
END
$$;
REVOKE EXECUTE ON FUNCTION forget_lead_by_id(bigint, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION forget_lead_by_id(bigint, timestamptz) IS 'forget_lead() of the lead with this number';

CREATE OR REPLACE FUNCTION forget_lead(external_id text, requested_at timestamptz DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_id bigint;
BEGIN
    PERFORM leadscore_internal.pipeline_on_this_node(@pipeline_name@);
    found_id := @pipeline@.lead_id(leadscore_internal.require_text('external_id', external_id));
    RETURN found_id IS NOT NULL AND @pipeline@.forget_lead_by_id(found_id, requested_at);
END
$$;
REVOKE EXECUTE ON FUNCTION forget_lead(text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION forget_lead(text, timestamptz) IS
    'makes a lead anonymous for ever: its names, addresses, profile, preferences, evidence and what it told in events are erased; counts, stages, amounts and the bare rows of consent stay, so that no report changes. Hashes keep the person from coming back by an import: leads and events with its names or address are left out, until give_consent() records evidence. Returns false if there is no such lead, or not any more. Backups, the server''s log and the app''s own tables are not touched';

CREATE OR REPLACE FUNCTION export_lead_by_id(lead_id bigint) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_on_one_node(@pipeline_name@);
    RETURN (
        SELECT jsonb_build_object(
            'lead', to_jsonb(l),
            'aliases', (SELECT coalesce(jsonb_agg(to_jsonb(a) - 'lead_id' ORDER BY a.external_id), '[]')
                FROM @pipeline@.lead_alias a WHERE a.lead_id = l.lead_id),
            'merges', (SELECT coalesce(jsonb_agg(to_jsonb(m) - 'lead_id' ORDER BY m.merged_at, m.loser_id), '[]')
                FROM @pipeline@.lead_merge m WHERE m.lead_id = l.lead_id),
            'consent', (SELECT coalesce(jsonb_agg(to_jsonb(c) - 'lead_id' ORDER BY c.occurred_at, c.consent_id), '[]')
                FROM @pipeline@.consent c WHERE c.lead_id = l.lead_id),
            'suppression', (SELECT coalesce(jsonb_agg(to_jsonb(s) - '{suppression_id,address_hash}'::text[] ORDER BY s.since, s.suppression_id), '[]')
                FROM @pipeline@.suppression s WHERE s.address_hash = ANY (@pipeline@._address_hashes(l.email, l.phone))),
            'erasure', (SELECT to_jsonb(e) - 'lead_id' FROM @pipeline@.erasure e WHERE e.lead_id = l.lead_id),
            'events', (SELECT coalesce(jsonb_agg(to_jsonb(e) - 'lead_id' ORDER BY e.occurred_at, e.event_id), '[]')
                FROM @pipeline@.event e WHERE e.lead_id = l.lead_id),
            'profile_changes', (SELECT coalesce(jsonb_agg(to_jsonb(p) - 'lead_id' ORDER BY p.seq), '[]')
                FROM @pipeline@.profile_change p WHERE p.lead_id = l.lead_id),
            'stages', (SELECT coalesce(jsonb_agg(to_jsonb(h) - 'lead_id' ORDER BY h.seq), '[]')
                FROM @pipeline@.stage_log h WHERE h.lead_id = l.lead_id),
            'segments', (SELECT coalesce(jsonb_agg(to_jsonb(h) - 'lead_id' ORDER BY h.seq), '[]')
                FROM @pipeline@.segment_log h WHERE h.lead_id = l.lead_id),
            'runs', (SELECT coalesce(jsonb_agg(to_jsonb(n) - 'lead_id' ORDER BY n.started_at, n.sequence, n.run), '[]')
                FROM @pipeline@.enrollment n WHERE n.lead_id = l.lead_id),
            'actions', (SELECT coalesce(jsonb_agg(to_jsonb(n) - 'lead_id' ORDER BY n.action_id), '[]')
                FROM @pipeline@.action n WHERE n.lead_id = l.lead_id),
            'exposures', (SELECT coalesce(jsonb_agg(to_jsonb(o) - 'lead_id' ORDER BY o.exposed_at, o.experiment, o.variant), '[]')
                FROM @pipeline@.exposure o WHERE o.lead_id = l.lead_id),
            'changes', (SELECT coalesce(jsonb_agg(to_jsonb(n) - 'lead_id' ORDER BY n.changed_at, n.change_id), '[]')
                FROM @pipeline@.lead_change n WHERE n.lead_id = l.lead_id),
            'preferences', (SELECT to_jsonb(n) - 'lead_id' FROM @pipeline@.lead_preference n WHERE n.lead_id = l.lead_id),
            'checkpoint', (SELECT to_jsonb(c) - 'lead_id' FROM @pipeline@.lead_checkpoint c WHERE c.lead_id = l.lead_id),
            'state', (SELECT to_jsonb(s) - 'lead_id' FROM @pipeline@.lead_state s WHERE s.lead_id = l.lead_id),
            'score', @pipeline@.score_by_id(l.lead_id),
            'points', (SELECT coalesce(jsonb_agg(to_jsonb(x)), '[]') FROM @pipeline@.explain_by_id(l.lead_id) x))
        FROM @pipeline@.lead l
        WHERE l.lead_id = export_lead_by_id.lead_id);
END
$$;
REVOKE EXECUTE ON FUNCTION export_lead_by_id(bigint) FROM PUBLIC;
COMMENT ON FUNCTION export_lead_by_id(bigint) IS 'export_lead() of the lead with this number';

CREATE OR REPLACE FUNCTION export_lead(external_id text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_on_one_node(@pipeline_name@);
    RETURN @pipeline@.export_lead_by_id(@pipeline@.lead_id(leadscore_internal.require_text('external_id', external_id)));
END
$$;
REVOKE EXECUTE ON FUNCTION export_lead(text) FROM PUBLIC;
COMMENT ON FUNCTION export_lead(text) IS
    'all that is stored of a lead, as one JSON object, for a person that asks for it: lead, aliases, merges, consent, suppression, events, profile_changes, stages, segments, runs of sequences, actions, exposures, changes of owner and persona, preferences, checkpoint, state, and the score with its points. NULL if there is no such lead';

-- The trigger on lead calls this for new leads, as another session may have
-- forgotten a person since the row trigger looked.
CREATE OR REPLACE FUNCTION _leave_out_forgotten(lead_ids bigint[]) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    DELETE FROM @pipeline@.lead l
    WHERE l.lead_id = ANY (ARRAY(
        SELECT o.lead_id
        FROM @pipeline@.lead o,
            LATERAL unnest(@pipeline@._address_hashes(o.email, o.phone) || @pipeline@._name_hash(o.external_id)) h,
            LATERAL (SELECT FROM @pipeline@.suppression s
                WHERE s.address_hash = h AND s.reason = 'forgotten' AND s.lifted_at IS NULL OFFSET 0) f
        WHERE o.lead_id = ANY (lead_ids) AND o.erased_at IS NULL));
END
$$;
COMMENT ON FUNCTION _leave_out_forgotten(bigint[]) IS 'deletes new leads that are people that were forgotten';

-- leadscore.attach_pipeline() calls this before it creates the triggers, which would
-- look at each row of consent and lock its lead. No other session can write leads or
-- consent meanwhile.
CREATE OR REPLACE FUNCTION _columns_loaded() RETURNS boolean
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    there boolean;
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    there := EXISTS (SELECT FROM @pipeline@.consent);
    UPDATE @pipeline@.consent c
    SET evidence = NULL
    FROM @pipeline@.lead l
    WHERE c.evidence = '{}' AND l.lead_id = c.lead_id AND l.erased_at IS NULL;
    PERFORM @pipeline@._columns_written(array_agg(l.lead_id), array_agg(true), array_agg(true), true)
    FROM @pipeline@.lead l
    WHERE l.erased_at IS NULL
        AND (l.consented_at IS NOT NULL AND NOT EXISTS (SELECT FROM @pipeline@.consent c WHERE c.lead_id = l.lead_id AND c.purpose = 'policy')
            OR l.contact_allowed IS NOT NULL AND NOT EXISTS (SELECT FROM @pipeline@.consent c WHERE c.lead_id = l.lead_id AND c.purpose = 'marketing'))
    HAVING count(*) > 0;
    RETURN there;
END
$$;
COMMENT ON FUNCTION _columns_loaded() IS
    'records as consent what consented_at and contact_allowed of leads say that were loaded without triggers, and takes empty objects of loaded consent for no evidence; returns whether there was consent before';

-- leadscore.attach_pipeline() calls this when the triggers are there.
CREATE OR REPLACE FUNCTION _leads_loaded(consent_loaded boolean) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pipeline CONSTANT regnamespace := leadscore_internal.pipeline_schema(@pipeline_name@);
    enroll CONSTANT text := current_setting('leadscore.enroll');
    others CONSTANT boolean := consent_loaded OR EXISTS (SELECT FROM @pipeline@.action);
BEGIN
    -- what was loaded begins no sequence
    PERFORM set_config('leadscore.enroll', 'off', true);
    IF EXISTS (SELECT FROM @pipeline@.suppression) THEN
        PERFORM @pipeline@._leave_out_forgotten(ARRAY(SELECT l.lead_id FROM @pipeline@.lead l));
    END IF;
    -- what an event said once was of the address of its day
    PERFORM @pipeline@._events_refused(array_agg(e.lead_id), array_agg(e.event_id), @pipeline@._same_address(array_agg(DISTINCT e.lead_id)))
    FROM @pipeline@.event e JOIN @pipeline@.event_kind k USING (kind) JOIN @pipeline@.lead l USING (lead_id)
    WHERE l.erased_at IS NULL AND CASE k.role
        WHEN 'unsubscribe' THEN NOT EXISTS (
            SELECT FROM @pipeline@.consent c
            WHERE c.lead_id = e.lead_id AND c.status = 'withdrawn' AND c.evidence = jsonb_build_object('event_id', e.event_id))
        WHEN 'email_bounce' THEN NOT EXISTS (SELECT FROM @pipeline@.suppression s WHERE s.reason = 'bounced' AND s.since = e.occurred_at)
        WHEN 'complaint' THEN NOT EXISTS (SELECT FROM @pipeline@.suppression s WHERE s.reason = 'complained' AND s.since = e.occurred_at)
        END
    HAVING count(*) > 0;
    PERFORM @pipeline@._events_exposed(array_agg(e.lead_id), array_agg(e.event_id))
    FROM @pipeline@.event e JOIN @pipeline@.event_kind k USING (kind)
        JOIN @pipeline@.experiment x ON x.experiment = e.properties ->> 'experiment' AND x.status = 'running'
    WHERE k.role IN ('visit', 'form_view', 'email_sent')
    HAVING count(*) > 0;
    -- the columns say what was recorded from them, unless something else was said
    IF others THEN
        PERFORM @pipeline@._follow_consents(array_agg(n.lead_id ORDER BY n.lead_id), array_agg(n.occurred_at ORDER BY n.lead_id))
        FROM (SELECT c.lead_id, max(c.occurred_at) AS occurred_at FROM @pipeline@.consent c GROUP BY c.lead_id) n
        HAVING count(*) > 0;
    END IF;
    -- a suppressed address says something of leads without consent, too
    IF EXISTS (SELECT FROM @pipeline@.suppression) THEN
        PERFORM @pipeline@._follow_consents(array_agg(l.lead_id ORDER BY l.lead_id), array_agg(l.updated_at ORDER BY l.lead_id))
        FROM @pipeline@.lead l
        WHERE l.erased_at IS NULL AND l.lead_id IN (SELECT s.lead_id FROM @pipeline@._suppressions(ARRAY(SELECT o.lead_id FROM @pipeline@.lead o)) s)
        HAVING count(*) > 0;
    END IF;
    -- the time of its last change stays that of its profile
    UPDATE @pipeline@.lead l
    SET external_id = leadscore_internal.fold_name(l.external_id), updated_at = l.updated_at + interval '1 microsecond'
    WHERE l.external_id <> leadscore_internal.fold_name(l.external_id);
    PERFORM set_config('leadscore.enroll', enroll, true);
END
$$;
COMMENT ON FUNCTION _leads_loaded(boolean) IS
    'does what the triggers would have done for leads and events that were loaded without them: names are folded, forgotten people left out, consent recorded; consent_loaded: what _columns_loaded() has returned';
