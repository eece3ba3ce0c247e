-- Consent: which leads may be written to.
--
-- The rule is in _granted(): a purpose is granted in a scope (a channel, a
-- topic) if there is a grant, and each withdrawal is undone by a later grant
-- that is as narrow or narrower and has evidence. The columns consented_at and
-- contact_allowed of lead follow.
--
-- A session locks the lead first, and looks at its consent then. To plan these
-- statements costs more than to run them for one lead; so plans are kept.

-- Hashes of addresses

CREATE OR REPLACE FUNCTION _hash(text text) RETURNS bytea
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    RETURN (SELECT sha256(k.key || convert_to(_hash.text, getdatabaseencoding())) FROM @pipeline@.suppression_key k);
END
$$;
COMMENT ON FUNCTION _hash(text) IS 'SHA-256 of the key and a text';

CREATE OR REPLACE FUNCTION address_hash(address text) RETURNS bytea
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    RETURN @pipeline@._hash(CASE WHEN strpos(address, '@') > 0 THEN lower(btrim(leadscore_internal.fold_name(address)) COLLATE "C")
        ELSE 'tel:' || regexp_replace(address, '[^0-9]', '', 'g') END);
END
$$;
REVOKE EXECUTE ON FUNCTION address_hash(text) FROM PUBLIC;
COMMENT ON FUNCTION address_hash(text) IS
    'the hash of an e-mail address or of a telephone number, as in suppression.address_hash; case and blanks do not matter, of a number only the digits do';

CREATE OR REPLACE FUNCTION _name_hash(name text) RETURNS bytea
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    RETURN @pipeline@._hash(CASE WHEN leadscore_internal.fold_name(name) ~ '^[^@[:space:]]+@[^@[:space:]]+[.]'
        THEN leadscore_internal.fold_name(name) ELSE 'name:' || name END);
END
$$;
COMMENT ON FUNCTION _name_hash(text) IS 'the hash of a name of a lead; of one that is an e-mail address it is that of the address';

CREATE OR REPLACE FUNCTION _address_hashes(email text, phone text) RETURNS bytea[]
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    RETURN (SELECT leadscore_internal.address_hashes(k.key, email, phone) FROM @pipeline@.suppression_key k);
END
$$;
COMMENT ON FUNCTION _address_hashes(text, text) IS 'hashes of the addresses of a lead';

CREATE OR REPLACE FUNCTION _is_forgotten(external_id text, email text, phone text) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    -- OFFSET: an index is used, whatever the planner thinks of the table
    RETURN EXISTS (
        SELECT FROM unnest(@pipeline@._address_hashes(email, phone) || @pipeline@._name_hash(external_id)) h,
            LATERAL (SELECT FROM @pipeline@.suppression s
                WHERE s.address_hash = h AND s.reason = 'forgotten' AND s.lifted_at IS NULL OFFSET 0) f);
END
$$;
COMMENT ON FUNCTION _is_forgotten(text, text, text) IS 'whether a name or an address is that of a person that was forgotten';

-- What holds at an instant

CREATE OR REPLACE FUNCTION _suppressions(lead_ids bigint[])
    RETURNS TABLE (lead_id bigint, channel text, reason text, since timestamptz, lifted_at timestamptz)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    hash_key bytea;
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF EXISTS (SELECT FROM @pipeline@.suppression) THEN
        hash_key := (SELECT k.key FROM @pipeline@.suppression_key k);
        -- OFFSET: as above
        RETURN QUERY
        SELECT l.lead_id, s.channel, s.reason, s.since, s.lifted_at
        FROM @pipeline@.lead l,
            LATERAL unnest(leadscore_internal.address_hashes(hash_key, l.email, l.phone)) h,
            LATERAL (SELECT * FROM @pipeline@.suppression o WHERE o.address_hash = h OFFSET 0) s
        WHERE l.lead_id = ANY (_suppressions.lead_ids);
    END IF;
END
$$;
COMMENT ON FUNCTION _suppressions(bigint[]) IS 'the suppressions that hold, or held, for the addresses of leads';

CREATE OR REPLACE FUNCTION _granted(lead_ids bigint[], channel text, topic text, own_scopes boolean, at timestamptz)
    RETURNS TABLE (lead_id bigint, purpose text, granted boolean)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    RETURN QUERY
    WITH suppressed AS (
        SELECT s.lead_id, s.channel, s.reason, s.since
        FROM @pipeline@._suppressions(_granted.lead_ids) s
        WHERE s.since <= _granted.at AND (s.lifted_at > _granted.at) IS NOT FALSE
    ), said AS (
        SELECT c.lead_id, c.purpose, c.channel, c.topic, c.status = 'granted' AS yes, c.evidence IS NOT NULL AS proven,
            c.occurred_at, c.consent_id, c.merged_from
        FROM @pipeline@.consent c
        WHERE c.lead_id = ANY (_granted.lead_ids) AND c.status <> 'requested' AND c.occurred_at <= _granted.at
        UNION ALL
        -- a lead that unsubscribes, bounces or complains withdraws for every lead with its address
        SELECT s.lead_id, 'marketing', s.channel, NULL, false, false, s.since, NULL, NULL
        FROM suppressed s
        WHERE s.reason IN ('unsubscribed', 'bounced', 'complained')
            -- its own withdrawal has its place among its rows
            AND NOT EXISTS (
                SELECT FROM @pipeline@.consent c
                WHERE c.lead_id = s.lead_id AND c.purpose = 'marketing' AND c.status = 'withdrawn' AND c.topic IS NULL
                    AND c.channel IS NOT DISTINCT FROM s.channel AND c.occurred_at = s.since OFFSET 0)
    ), latest AS (
        -- of rows of one kind the latest decides: a lead that unsubscribes again and again costs no time
        SELECT DISTINCT ON (s.lead_id, s.purpose, s.channel, s.topic, s.yes, s.proven, s.merged_from, s.consent_id IS NULL) s.*
        FROM said s
        ORDER BY s.lead_id, s.purpose, s.channel, s.topic, s.yes, s.proven, s.merged_from, s.consent_id IS NULL,
            s.occurred_at DESC, s.consent_id DESC
    ), person AS (
        SELECT s.lead_id, s.purpose, bool_or(s.yes) AS ever, array_agg(s.channel) AS channels, array_agg(s.topic) AS topics,
            array_agg(s.yes) AS yes, array_agg(s.proven) AS proven, array_agg(s.occurred_at) AS at, array_agg(s.consent_id) AS ids, array_agg(s.merged_from) AS origins
        FROM latest s
        GROUP BY s.lead_id, s.purpose
    )
    SELECT p.lead_id, p.purpose, coalesce(bool_or(a.granted), false)
    FROM person p
        LEFT JOIN LATERAL (
            SELECT DISTINCT u.channel, u.topic, true AS asked
            FROM unnest(p.channels, p.topics) AS u (channel, topic)
            WHERE own_scopes AND p.ever AND (p.purpose = 'policy' OR NOT EXISTS (
                SELECT FROM suppressed b
                WHERE b.lead_id = p.lead_id AND b.reason IN ('manual', 'forgotten') AND (b.channel IS NULL OR b.channel = u.channel)))
            UNION ALL
            SELECT _granted.channel, _granted.topic, true WHERE NOT own_scopes AND p.ever
        ) k ON true
        LEFT JOIN LATERAL (
            SELECT bool_or(w.yes) AND bool_and(w.yes OR EXISTS (
                SELECT FROM unnest(p.channels, p.topics, p.yes, p.proven, p.at, p.ids, p.origins)
                    AS g (channel, topic, yes, proven, at, id, origin)
                WHERE g.yes AND g.proven
                    AND (g.channel IS NULL OR g.channel = k.channel) AND (g.topic IS NULL OR g.topic = k.topic)
                    AND (w.channel IS NULL OR g.channel = w.channel) AND (w.topic IS NULL OR g.topic = w.topic)
                    -- of one instant the rows of one lead are in the order of recording
                    AND (g.at > w.at OR g.at = w.at AND g.id > w.id AND g.origin IS NOT DISTINCT FROM w.origin))) AS granted
            FROM unnest(p.channels, p.topics, p.yes, p.at, p.ids, p.origins) AS w (channel, topic, yes, at, id, origin)
            WHERE (w.channel IS NULL OR w.channel = k.channel) AND (w.topic IS NULL OR w.topic = k.topic)
        ) a ON k.asked
    GROUP BY p.lead_id, p.purpose;
END
$$;
COMMENT ON FUNCTION _granted(bigint[], text, text, boolean, timestamptz) IS
    'whether purposes are granted by what leads have said up to an instant, in a scope, or with own_scopes in any scope that they named and that is not blocked by hand: there is a grant, and every withdrawal is undone by a later grant that is as narrow or narrower and has evidence. No row for a purpose of which a lead has said nothing';

CREATE OR REPLACE FUNCTION _may_contact(lead_id bigint, channel text, topic text, at timestamptz, transactional boolean) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    channel := lower(btrim(channel) COLLATE "C");
    topic := lower(btrim(topic) COLLATE "C");
    IF NOT EXISTS (
        SELECT FROM @pipeline@.lead l
        WHERE l.lead_id = _may_contact.lead_id AND (l.erased_at <= _may_contact.at) IS NOT TRUE)
    OR EXISTS (
        SELECT FROM @pipeline@._suppressions(ARRAY[_may_contact.lead_id]) s
        WHERE (s.channel IS NULL OR s.channel = _may_contact.channel)
            AND s.since <= _may_contact.at AND (s.lifted_at > _may_contact.at) IS NOT FALSE
            AND (s.reason IN ('manual', 'forgotten')
                -- a message that needs no consent does not go to a dead address, unless the lead has come back with it
                OR s.reason = 'bounced' AND transactional AND NOT EXISTS (
                    SELECT FROM @pipeline@.consent c
                    WHERE c.lead_id = _may_contact.lead_id AND c.status <> 'withdrawn'
                        AND c.occurred_at > s.since AND c.occurred_at <= _may_contact.at)))
    THEN
        RETURN false;
    END IF;
    RETURN transactional IS TRUE OR (
        SELECT count(*) FILTER (WHERE g.granted) = 2
        FROM @pipeline@._granted(ARRAY[_may_contact.lead_id], _may_contact.channel, _may_contact.topic, false, _may_contact.at) g);
END
$$;
COMMENT ON FUNCTION _may_contact(bigint, text, text, timestamptz, boolean) IS 'may_contact() of a lead, with the rights of the caller';

CREATE OR REPLACE FUNCTION may_contact(external_id text, channel text DEFAULT NULL, topic text DEFAULT NULL,
        at timestamptz DEFAULT now(), transactional boolean DEFAULT false) RETURNS boolean
    LANGUAGE leadscore STABLE PARALLEL SAFE COST 200 AS 'may_contact';
REVOKE EXECUTE ON FUNCTION may_contact(text, text, text, timestamptz, boolean) FROM PUBLIC;
COMMENT ON FUNCTION may_contact(text, text, text, timestamptz, boolean) IS
    'whether a message of a channel and a topic may be sent to a lead at an instant: its policy and its marketing consent are granted for them, and no address of it is suppressed. Name the channel, and the topic if there is one: without them only what was said of all channels, or all topics, counts. transactional: a receipt, or the request to confirm, which needs no consent. false if there is no such lead';

CREATE OR REPLACE FUNCTION may_contact_by_id(lead_id bigint, channel text DEFAULT NULL, topic text DEFAULT NULL,
        at timestamptz DEFAULT now(), transactional boolean DEFAULT false) RETURNS boolean
    LANGUAGE leadscore STABLE PARALLEL SAFE COST 200 AS 'may_contact_by_id';
REVOKE EXECUTE ON FUNCTION may_contact_by_id(bigint, text, text, timestamptz, boolean) FROM PUBLIC;
COMMENT ON FUNCTION may_contact_by_id(bigint, text, text, timestamptz, boolean) IS 'may_contact() of the lead with this number';

-- The columns of lead follow

CREATE OR REPLACE FUNCTION _consent_now(lead_ids bigint[])
    RETURNS TABLE (lead_id bigint, consented_at timestamptz, contact_allowed boolean)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    RETURN QUERY
    WITH granted AS (
        SELECT g.lead_id, bool_or(g.granted) FILTER (WHERE g.purpose = 'policy') AS policy,
            bool_or(g.granted) FILTER (WHERE g.purpose = 'marketing') AS marketing
        FROM @pipeline@._granted(_consent_now.lead_ids, NULL, NULL, true, 'infinity') g
        GROUP BY g.lead_id
    ), silent AS (
        SELECT array_agg(l.lead_id) AS ids
        FROM unnest(_consent_now.lead_ids) AS l (lead_id) LEFT JOIN granted g USING (lead_id)
        WHERE g.marketing IS NULL
    ), blocked AS (
        SELECT DISTINCT b.lead_id
        FROM silent s, @pipeline@._suppressions(s.ids) b
        WHERE s.ids IS NOT NULL AND b.channel IS NULL AND b.lifted_at IS NULL
    )
    SELECT l.lead_id,
        CASE WHEN l.erased_at IS NOT NULL THEN l.consented_at
            -- of the grants that no withdrawal follows, the one that was recorded last
            WHEN g.policy THEN (
                SELECT c.occurred_at
                FROM @pipeline@.consent c
                WHERE c.lead_id = l.lead_id AND c.purpose = 'policy' AND c.status = 'granted'
                    AND NOT EXISTS (
                        SELECT FROM @pipeline@.consent w
                        WHERE w.lead_id = c.lead_id AND w.purpose = 'policy' AND w.status = 'withdrawn' AND w.occurred_at > c.occurred_at)
                ORDER BY c.consent_id DESC
                LIMIT 1)
        END,
        -- a lead that has said nothing may have an address that is blocked
        CASE WHEN l.erased_at IS NOT NULL OR b.lead_id IS NOT NULL THEN false ELSE g.marketing END
    FROM @pipeline@.lead l
        LEFT JOIN granted g USING (lead_id)
        LEFT JOIN blocked b USING (lead_id)
    WHERE l.lead_id = ANY (_consent_now.lead_ids);
END
$$;
COMMENT ON FUNCTION _consent_now(bigint[]) IS
    'what the columns of leads should say: contact_allowed is whether messages of some scope may be sent';

CREATE OR REPLACE FUNCTION _write_consent(lead_ids bigint[], instants timestamptz[]) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    is_signal CONSTANT boolean := EXISTS (SELECT FROM @pipeline@.signal s WHERE s.source = 'profile' AND s.condition::text ~ 'contact_allowed'
        AND leadscore_internal.pipeline_schema(@pipeline_name@) IS NOT NULL);
BEGIN
    -- A change has a time of its own, later than the one before, but never one to
    -- come. That of contact_allowed alone is not that of its event: an app may
    -- send a profile with that time, which must not come later for it. So it is
    -- just before, unless a signal goes by it: what an event does is not before it.
    UPDATE @pipeline@.lead l
    SET consented_at = n.consented_at, contact_allowed = n.contact_allowed,
        updated_at = CASE WHEN g.at IS NULL THEN l.updated_at
            WHEN l.updated_at > now() THEN clock_timestamp()
            WHEN l.consented_at IS DISTINCT FROM n.consented_at
                THEN greatest(l.updated_at + interval '1 microsecond', least(g.at, now()))
            WHEN is_signal
                THEN greatest(l.updated_at, least(g.at, now())) + interval '1 microsecond'
            ELSE greatest(l.updated_at + interval '2 microseconds', least(g.at, now()), timestamptz '4713-01-01 00:00+00 BC')
                - interval '1 microsecond' END
    FROM @pipeline@._consent_now(_write_consent.lead_ids) n
        JOIN unnest(_write_consent.lead_ids, _write_consent.instants) AS g (lead_id, at) ON g.lead_id = n.lead_id
    WHERE l.lead_id = ANY (_write_consent.lead_ids) AND l.lead_id = n.lead_id
        AND (l.consented_at IS DISTINCT FROM n.consented_at OR l.contact_allowed IS DISTINCT FROM n.contact_allowed);
END
$$;
COMMENT ON FUNCTION _write_consent(bigint[], timestamptz[]) IS
    'brings consented_at and contact_allowed of leads up to their consent; instants: when that of each was given, NULL: as a part of the change that is being made';

CREATE OR REPLACE FUNCTION _follow_consents(lead_ids bigint[], instants timestamptz[]) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.write_consent(leadscore_internal.pipeline_schema(@pipeline_name@), lead_ids, instants);
    PERFORM @pipeline@._follow_actions(lead_ids);
END
$$;
COMMENT ON FUNCTION _follow_consents(bigint[], timestamptz[]) IS 'the same, and what waits for these leads follows';

CREATE OR REPLACE FUNCTION _follow_consent(lead_ids bigint[], at timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    PERFORM @pipeline@._follow_consents(array_agg(u.lead_id ORDER BY u.lead_id), array_agg(_follow_consent.at))
    FROM (SELECT DISTINCT i AS lead_id FROM unnest(_follow_consent.lead_ids) i) u;
END
$$;
COMMENT ON FUNCTION _follow_consent(bigint[], timestamptz) IS 'the same for consent that was given at one instant';

CREATE OR REPLACE FUNCTION _lock_leads(lead_ids bigint[], changed bigint DEFAULT NULL, renamed bigint DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    next_id bigint;
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF changed IS NULL THEN
        PERFORM FROM @pipeline@.lead l WHERE l.lead_id = ANY (lead_ids) ORDER BY l.lead_id FOR NO KEY UPDATE;
        PERFORM FROM @pipeline@.lead_state s WHERE s.lead_id = ANY (lead_ids) ORDER BY s.lead_id FOR NO KEY UPDATE;
        RETURN;
    END IF;
    FOR next_id IN SELECT DISTINCT i FROM unnest(lead_ids) i ORDER BY i LOOP
        -- a session that refers to a lead whose name goes, or is to be another, would else be waited for later
        IF next_id IN (changed, renamed) THEN
            PERFORM FROM @pipeline@.lead l WHERE l.lead_id = next_id FOR UPDATE;
        ELSE
            PERFORM FROM @pipeline@.lead l WHERE l.lead_id = next_id FOR NO KEY UPDATE;
        END IF;
    END LOOP;
    LOOP
        BEGIN
            -- a session that changes an event locks it before the state
            PERFORM FROM @pipeline@.event e WHERE e.lead_id = changed FOR UPDATE;
            FOR next_id IN SELECT DISTINCT i FROM unnest(lead_ids) i ORDER BY i LOOP
                -- an event that no signal counts locks the state FOR KEY SHARE, and is one of its lead
                IF next_id = changed THEN
                    PERFORM FROM @pipeline@.lead_state s WHERE s.lead_id = next_id FOR UPDATE;
                ELSE
                    PERFORM FROM @pipeline@.lead_state s WHERE s.lead_id = next_id FOR NO KEY UPDATE;
                END IF;
            END LOOP;
            -- events that came meanwhile, and that others change, wait for the state: give it up once more
            EXIT WHEN (SELECT count(*) FROM @pipeline@.event e WHERE e.lead_id = changed)
                = (SELECT count(*) FROM (SELECT FROM @pipeline@.event e WHERE e.lead_id = changed FOR UPDATE SKIP LOCKED) o);
            RAISE SQLSTATE 'LS001';
        EXCEPTION
            WHEN SQLSTATE 'LS001' THEN NULL;
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION _lock_leads(bigint[], bigint, bigint) IS
    'locks leads, then the events of the one whose events are to be changed, then the states; leads and states each in the order of lead_id. renamed: another lead of them whose name may change';

CREATE OR REPLACE FUNCTION _same_address(lead_ids bigint[]) RETURNS bigint[]
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    -- OFFSET: as above
    RETURN ARRAY(
        SELECT o.lead_id
        FROM unnest(lead_ids) u,
            LATERAL (SELECT l.email FROM @pipeline@.lead l WHERE l.lead_id = u OFFSET 0) l,
            LATERAL (SELECT s.lead_id FROM @pipeline@.lead s
                WHERE lower(btrim(s.email) COLLATE "C") = lower(btrim(l.email) COLLATE "C") OFFSET 0) o
        WHERE l.email ~ '[^[:space:]]'
        UNION
        SELECT o.lead_id
        FROM unnest(lead_ids) u,
            LATERAL (SELECT l.phone FROM @pipeline@.lead l WHERE l.lead_id = u OFFSET 0) l,
            LATERAL (SELECT s.lead_id FROM @pipeline@.lead s
                WHERE s.phone IS NOT NULL AND regexp_replace(s.phone, '[^0-9]', '', 'g') = regexp_replace(l.phone, '[^0-9]', '', 'g') OFFSET 0) o
        WHERE l.phone ~ '[0-9]'
        UNION
        SELECT unnest(lead_ids));
END
$$;
COMMENT ON FUNCTION _same_address(bigint[]) IS 'these leads, and all others with an e-mail address or a telephone number of theirs';

-- Triggers

CREATE OR REPLACE FUNCTION consent_checked() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    was_erased boolean;
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF NEW.occurred_at > clock_timestamp() THEN
        RAISE EXCEPTION 'consent cannot be dated ahead'
            USING ERRCODE = 'invalid_parameter_value',
                HINT = 'Record consent when it is given or withdrawn.';
    END IF;
    -- Email and email are one channel: nobody refuses half of it
    NEW.channel := lower(btrim(NEW.channel) COLLATE "C");
    NEW.topic := lower(btrim(NEW.topic) COLLATE "C");
    SELECT l.erased_at IS NOT NULL INTO was_erased FROM @pipeline@.lead l WHERE l.lead_id = NEW.lead_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no lead %', NEW.lead_id
            USING ERRCODE = 'foreign_key_violation', HINT = @pipeline@._missing_hint(NEW.lead_id);
    END IF;
    -- an empty object proves nothing; of a person that was forgotten it is what an erasure leaves
    IF NOT was_erased THEN
        NEW.evidence := nullif(NEW.evidence, '{}');
    END IF;
    -- claim_actions() passes by a lead whose consent is being written
    PERFORM FROM @pipeline@.lead_state s WHERE s.lead_id = NEW.lead_id FOR NO KEY UPDATE;
    RETURN NEW;
END
$$;
REVOKE EXECUTE ON FUNCTION consent_checked() FROM PUBLIC;
COMMENT ON FUNCTION consent_checked() IS 'trigger: locks the lead, refuses consent that is dated ahead, and takes an empty object for no evidence';

CREATE OR REPLACE FUNCTION consent_recorded() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    -- all at once: a statement for each instant would cost a file of old consent its time
    PERFORM @pipeline@._follow_consents(array_agg(n.lead_id ORDER BY n.lead_id), array_agg(n.occurred_at ORDER BY n.lead_id))
    FROM (SELECT c.lead_id, max(c.occurred_at) AS occurred_at FROM new_consent c GROUP BY c.lead_id) n
    HAVING count(*) > 0;
    RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION consent_recorded() FROM PUBLIC;
COMMENT ON FUNCTION consent_recorded() IS 'trigger: the columns of lead follow';

CREATE OR REPLACE FUNCTION consent_kept() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    was jsonb := to_jsonb(OLD) - '{lead_id,merged_from,evidence}'::text[];
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF TG_OP = 'DELETE' THEN
        IF NOT EXISTS (SELECT FROM @pipeline@.lead l WHERE l.lead_id = OLD.lead_id) THEN
            RETURN OLD;
        END IF;
    ELSIF to_jsonb(NEW) - '{lead_id,merged_from,evidence}'::text[] = was THEN
        IF NEW.lead_id <> OLD.lead_id AND NEW.merged_from = coalesce(OLD.merged_from, OLD.lead_id)
            AND NEW.evidence IS NOT DISTINCT FROM OLD.evidence
            AND EXISTS (SELECT FROM @pipeline@.lead_merge m WHERE m.lead_id = NEW.lead_id AND m.loser_id = OLD.lead_id)
        THEN
            RETURN NEW;
        ELSIF NEW.lead_id = OLD.lead_id AND NEW.merged_from IS NOT DISTINCT FROM OLD.merged_from AND NEW.evidence = '{}'
            AND EXISTS (SELECT FROM @pipeline@.erasure e WHERE e.lead_id = OLD.lead_id)
        THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'rows of table "consent" cannot be changed'
        USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Call give_consent() or withdraw_consent(), which add rows.';
END
$$;
REVOKE EXECUTE ON FUNCTION consent_kept() FROM PUBLIC;
COMMENT ON FUNCTION consent_kept() IS 'trigger: only a merge moves rows of consent, only an erasure empties their evidence';

-- The trigger on lead calls this for leads whose columns or addresses were
-- written. With another address the columns are to say something else, and so
-- only a column that was written itself is a statement.
CREATE OR REPLACE FUNCTION _columns_written(lead_ids bigint[], consented boolean[], allowed boolean[], inserted boolean) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    INSERT INTO @pipeline@.consent (lead_id, purpose, status, evidence, occurred_at)
    SELECT w.lead_id, s.purpose, s.status, s.evidence, s.occurred_at
    FROM (
            SELECT l.lead_id, l.consented_at, l.contact_allowed, n.consented_at AS consented_before, n.contact_allowed AS allowed_before,
                least(l.updated_at, now()) AS changed_at, u.consented, u.allowed
            FROM unnest(_columns_written.lead_ids, _columns_written.consented, _columns_written.allowed) AS u (lead_id, consented, allowed)
                JOIN @pipeline@.lead l USING (lead_id)
                LEFT JOIN @pipeline@._consent_now(CASE WHEN NOT inserted THEN _columns_written.lead_ids END) n USING (lead_id)
        ) w,
        -- no VALUES, which would prepare its expressions anew for each lead
        LATERAL (
            -- a column that has a date is a statement of that date; an import of old leads proves nothing
            SELECT 'policy', 'granted', CASE WHEN NOT inserted THEN jsonb '{"column": "consented_at"}' END,
                least(w.consented_at, now()),
                w.consented AND w.consented_at IS NOT NULL AND w.consented_at IS DISTINCT FROM w.consented_before
            UNION ALL
            SELECT 'policy', 'withdrawn', NULL, greatest(w.changed_at, w.consented_before),
                w.consented AND w.consented_at IS NULL AND w.consented_before IS NOT NULL
            UNION ALL
            SELECT 'marketing', 'granted', NULL, w.changed_at,
                w.allowed AND w.contact_allowed AND w.allowed_before IS NOT TRUE
            UNION ALL
            SELECT 'marketing', 'withdrawn', NULL, w.changed_at,
                w.allowed AND w.contact_allowed IS NOT TRUE AND (w.allowed_before OR NOT w.contact_allowed AND w.allowed_before IS NULL)
        ) AS s (purpose, status, evidence, occurred_at, said)
    WHERE s.said
        -- OFFSET: else the whole table could be hashed
        AND NOT (inserted AND EXISTS (SELECT FROM @pipeline@.consent c WHERE c.lead_id = w.lead_id AND c.purpose = s.purpose OFFSET 0))
    ORDER BY w.lead_id, s.status DESC;
END
$$;
COMMENT ON FUNCTION _columns_written(bigint[], boolean[], boolean[], boolean) IS
    'records as consent what consented_at and contact_allowed of leads were set to; consented, allowed: which of the two columns of each lead were written; inserted: the leads are new';

CREATE OR REPLACE FUNCTION _columns_corrected(lead_ids bigint[], inserted boolean) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    PERFORM @pipeline@._follow_consent(CASE WHEN NOT inserted THEN _columns_corrected.lead_ids
        ELSE ARRAY(SELECT s.lead_id FROM @pipeline@._suppressions(_columns_corrected.lead_ids) s) END, NULL);
END
$$;
COMMENT ON FUNCTION _columns_corrected(bigint[], boolean) IS
    'then corrects these columns by what else was said: a withdrawal, or a suppression of the address';

CREATE OR REPLACE FUNCTION _refused(lead_ids bigint[], event_ids bigint[])
    RETURNS TABLE (lead_id bigint, event_id bigint, role text, email text, phone text, occurred_at timestamptz, channel text, topic text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    RETURN QUERY
        SELECT e.lead_id, e.event_id, k.role, l.email, l.phone,
            least(e.occurred_at, now()) AS occurred_at,
            -- what is no word narrows nothing
            CASE WHEN jsonb_typeof(e.properties -> 'channel') = 'string' AND octet_length(e.properties ->> 'channel') <= 200
                THEN nullif(lower(btrim(e.properties ->> 'channel') COLLATE "C"), '') END AS channel,
            CASE WHEN jsonb_typeof(e.properties -> 'topic') = 'string' AND octet_length(e.properties ->> 'topic') <= 200
                THEN nullif(lower(btrim(e.properties ->> 'topic') COLLATE "C"), '') END AS topic
        -- OFFSET: as above
        FROM ROWS FROM (unnest(_refused.lead_ids), unnest(_refused.event_ids)) AS u (lead_id, event_id)
            CROSS JOIN LATERAL (SELECT * FROM @pipeline@.event o WHERE o.lead_id = u.lead_id AND o.event_id = u.event_id OFFSET 0) e
            JOIN @pipeline@.event_kind k ON k.kind = e.kind
            CROSS JOIN LATERAL (SELECT o.email, o.phone FROM @pipeline@.lead o WHERE o.lead_id = u.lead_id OFFSET 0) l
        WHERE k.role IN ('unsubscribe', 'complaint')
            OR k.role = 'email_bounce' AND lower(e.properties ->> 'type' COLLATE "C") IN ('hard', 'permanent')
                -- it was the address of the lead that was merged which is dead
                AND NOT EXISTS (SELECT FROM @pipeline@.lead_merge m WHERE m.lead_id = e.lead_id AND m.merged_at >= e.recorded_at);
END
$$;
COMMENT ON FUNCTION _refused(bigint[], bigint[]) IS 'what some events say against messages';

-- The trigger on event calls this for events of the roles unsubscribe,
-- email_bounce and complaint, with the leads locked. Where leads are spread over
-- nodes, a node cannot write the addresses that all of them know: there each of
-- these events withdraws the consent of its lead.
CREATE OR REPLACE FUNCTION _events_refused(lead_ids bigint[], event_ids bigint[], locked bigint[]) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    by_lead CONSTANT boolean := leadscore_internal.is_by_lead(leadscore_internal.pipeline_schema(@pipeline_name@));
    hash_key CONSTANT bytea := (SELECT k.key FROM @pipeline@.suppression_key k);
    followed bigint[];
    instants timestamptz[];
BEGIN
    IF by_lead THEN
        WITH withdrawn AS (
            INSERT INTO @pipeline@.consent (lead_id, purpose, channel, topic, status, evidence, occurred_at)
            SELECT r.lead_id, 'marketing', CASE WHEN r.role = 'unsubscribe' THEN r.channel ELSE coalesce(r.channel, 'email') END,
                CASE WHEN r.role = 'unsubscribe' THEN r.topic END, 'withdrawn', jsonb_build_object('event_id', r.event_id), r.occurred_at
            FROM @pipeline@._refused(_events_refused.lead_ids, _events_refused.event_ids) r
            WHERE NOT EXISTS (
                SELECT FROM @pipeline@.consent c
                WHERE c.lead_id = r.lead_id AND c.status = 'withdrawn' AND c.evidence = jsonb_build_object('event_id', r.event_id) OFFSET 0)
            ORDER BY r.lead_id, r.occurred_at, r.event_id
            RETURNING lead_id, occurred_at
        )
        SELECT array_agg(o.lead_id ORDER BY o.lead_id), array_agg(o.at ORDER BY o.lead_id) INTO followed, instants
        FROM (SELECT w.lead_id, max(w.occurred_at) AS at FROM withdrawn w GROUP BY w.lead_id) o;
        IF followed IS NOT NULL THEN
            PERFORM @pipeline@._follow_consents(followed, instants);
        END IF;
        RETURN;
    END IF;
    WITH refused AS (
        SELECT r.*, CASE WHEN r.role = 'unsubscribe' THEN r.channel ELSE coalesce(r.channel, 'email') END AS of_channel
        FROM @pipeline@._refused(_events_refused.lead_ids, _events_refused.event_ids) r
    ), hashed AS (
        SELECT h, r.of_channel, r.role, r.occurred_at
        FROM refused r,
            unnest(leadscore_internal.address_hashes(hash_key, r.email,
                CASE WHEN r.role = 'unsubscribe' AND r.channel IS DISTINCT FROM 'email' THEN r.phone END)) h
        WHERE r.role <> 'unsubscribe' OR r.topic IS NULL
    ), suppressed AS (
        INSERT INTO @pipeline@.suppression (address_hash, channel, reason, since)
        SELECT h, of_channel,
            CASE role WHEN 'unsubscribe' THEN 'unsubscribed' WHEN 'complaint' THEN 'complained' ELSE 'bounced' END, occurred_at
        FROM hashed
        ORDER BY 1, 2, 3, 4
        ON CONFLICT DO NOTHING
    ), withdrawn AS (
        INSERT INTO @pipeline@.consent (lead_id, purpose, channel, topic, status, evidence, occurred_at)
        SELECT r.lead_id, 'marketing', r.of_channel, CASE WHEN r.role = 'unsubscribe' THEN r.topic END,
            'withdrawn', jsonb_build_object('event_id', r.event_id), r.occurred_at
        FROM refused r
        WHERE r.role = 'unsubscribe'
            -- a merge brings the row with the event; OFFSET: as above
            AND NOT EXISTS (
                SELECT FROM @pipeline@.consent c
                WHERE c.lead_id = r.lead_id AND c.status = 'withdrawn' AND c.evidence = jsonb_build_object('event_id', r.event_id) OFFSET 0)
        ORDER BY r.lead_id, r.occurred_at, r.event_id
        RETURNING lead_id, occurred_at
    ), own AS (
        SELECT w.lead_id, max(w.occurred_at) AS at FROM withdrawn w GROUP BY w.lead_id
    ), others AS (
        SELECT u AS lead_id, max(h.occurred_at) AS at
        FROM unnest(_events_refused.locked) u
            CROSS JOIN LATERAL (SELECT o.email, o.phone FROM @pipeline@.lead o WHERE o.lead_id = u OFFSET 0) l
            CROSS JOIN LATERAL unnest(leadscore_internal.address_hashes(hash_key, l.email, l.phone)) a
            JOIN hashed h ON h.h = a
        WHERE NOT EXISTS (SELECT FROM own o WHERE o.lead_id = u)
        GROUP BY u
    )
    SELECT array_agg(f.lead_id ORDER BY f.lead_id), array_agg(f.at ORDER BY f.lead_id) INTO followed, instants
    FROM (TABLE own UNION ALL TABLE others) f;
    IF followed IS NOT NULL THEN
        PERFORM @pipeline@._follow_consents(followed, instants);
    END IF;
END
$$;
COMMENT ON FUNCTION _events_refused(bigint[], bigint[], bigint[]) IS
    'records what events say against messages: an unsubscribe withdraws consent, and with a hard bounce and a complaint it suppresses the address; where leads are spread over nodes, each of them withdraws consent. locked: the leads, and the others with an address of theirs';

-- For apps

CREATE OR REPLACE FUNCTION _missing_hint(lead_id bigint) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    winner bigint;
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    WITH RECURSIVE merged AS (
        SELECT m.lead_id FROM @pipeline@.lead_merge m WHERE m.loser_id = _missing_hint.lead_id
        UNION
        SELECT m.lead_id FROM merged p JOIN @pipeline@.lead_merge m ON m.loser_id = p.lead_id
    )
    SELECT p.lead_id INTO winner
    FROM merged p
    WHERE NOT EXISTS (SELECT FROM @pipeline@.lead_merge m WHERE m.loser_id = p.lead_id);
    RETURN CASE WHEN EXISTS (SELECT FROM @pipeline@.lead l WHERE l.lead_id = _missing_hint.lead_id AND l.erased_at IS NOT NULL)
            THEN 'The person was forgotten. Only give_consent() with evidence and an address brings it back, as a new lead.'
        WHEN winner IS NULL THEN 'Use the lead_id that upsert_lead() or track() has returned.'
        ELSE format('Lead %s was merged into lead %s.', _missing_hint.lead_id, winner) END;
END
$$;
COMMENT ON FUNCTION _missing_hint(bigint) IS 'what to do about a lead that is not there';

CREATE OR REPLACE FUNCTION _find_lead(external_id text) RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_id bigint;
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    found_id := @pipeline@.lead_id(leadscore_internal.require_text('external_id', external_id));
    IF found_id IS NULL THEN
        RAISE EXCEPTION 'there is no lead "%"', external_id
            USING ERRCODE = 'no_data_found',
                HINT = CASE WHEN @pipeline@._is_forgotten(external_id, NULL, NULL)
                    THEN 'The person was forgotten. Only give_consent() with evidence and an address brings it back.'
                    ELSE 'Create it with upsert_lead() or track() first.' END;
    END IF;
    RETURN found_id;
END
$$;
COMMENT ON FUNCTION _find_lead(text) IS 'number of the lead with this name, or an error';

-- This takes the lock that is needed in the end: a weaker one would not come in
-- the order of lead_id, and a merge or an erasure would wait for it.
CREATE OR REPLACE FUNCTION _hold_lead(external_id text) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    found_id bigint := @pipeline@._find_lead(external_id);
    held_id bigint;
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    WHILE found_id IS DISTINCT FROM held_id LOOP
        PERFORM FROM @pipeline@.lead l WHERE l.lead_id = found_id FOR NO KEY UPDATE;
        held_id := found_id;
        -- a merge that was under way has given the name to another lead
        found_id := @pipeline@._find_lead(external_id);
    END LOOP;
    RETURN found_id;
END
$$;
COMMENT ON FUNCTION _hold_lead(text) IS
    'the same, and the lead is locked: a merge or an erasure of it comes before or after';

CREATE OR REPLACE FUNCTION _lock_addresses(lead_id bigint) RETURNS bigint[]
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    same bigint[];
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    LOOP
        same := @pipeline@._same_address(ARRAY[lead_id]);
        BEGIN
            PERFORM @pipeline@._lock_leads(same);
            -- an address may have changed while we waited: give the locks up once more
            EXIT WHEN array_remove(@pipeline@._same_address(ARRAY[lead_id]), NULL) <@ same;
            RAISE SQLSTATE 'LS001';
        EXCEPTION
            WHEN SQLSTATE 'LS001' THEN NULL;
        END;
    END LOOP;
    RETURN same;
END
$$;
COMMENT ON FUNCTION _lock_addresses(bigint) IS 'locks a lead and all others with an address of it, and returns their numbers';

CREATE OR REPLACE FUNCTION give_consent_by_id(lead_id bigint, purpose text, channel text DEFAULT NULL, topic text DEFAULT NULL,
        evidence jsonb DEFAULT NULL, status text DEFAULT 'granted', basis text DEFAULT 'consent', policy_version text DEFAULT NULL,
        occurred_at timestamptz DEFAULT now()) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    at CONSTANT timestamptz := coalesce(occurred_at, now());
    problem text;
BEGIN
    PERFORM leadscore_internal.pipeline_on_this_node(@pipeline_name@);
    channel := lower(btrim(channel) COLLATE "C");
    topic := lower(btrim(topic) COLLATE "C");
    IF lead_id IS NULL OR purpose IS NULL OR status IS NULL OR basis IS NULL THEN
        RAISE EXCEPTION '% must not be null', CASE WHEN lead_id IS NULL THEN 'lead_id' WHEN purpose IS NULL THEN 'purpose'
                WHEN status IS NULL THEN 'status' ELSE 'basis' END
            USING ERRCODE = 'null_value_not_allowed',
                HINT = CASE WHEN lead_id IS NULL THEN 'Pass the number of a lead.' WHEN purpose IS NULL THEN 'Pass policy or marketing.'
                    ELSE 'Leave the argument out if the default is meant.' END;
    END IF;
    problem := CASE
        WHEN purpose NOT IN ('policy', 'marketing') THEN format('purpose must be policy or marketing, not "%s"', purpose)
        WHEN status NOT IN ('requested', 'granted', 'withdrawn') THEN format('status must be requested, granted or withdrawn, not "%s"', status)
        WHEN basis NOT IN ('consent', 'contract', 'legitimate_interest') THEN format('basis must be consent, contract or legitimate_interest, not "%s"', basis)
        WHEN purpose = 'policy' AND num_nonnulls(channel, topic) > 0 THEN 'consent to the policy has no channel and no topic'
        WHEN channel = '' OR topic = '' THEN 'channel and topic must not be empty'
        WHEN octet_length(channel) > 200 OR octet_length(topic) > 200 THEN 'channel and topic must not be longer than 200 bytes'
        WHEN jsonb_typeof(evidence) <> 'object' THEN format('evidence must be a JSON object, not %s', jsonb_typeof(evidence))
        WHEN at > clock_timestamp() THEN 'consent cannot be dated ahead'
    END;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION '%', problem
            USING ERRCODE = 'invalid_parameter_value',
                HINT = CASE WHEN problem LIKE '%dated ahead' THEN 'Record consent when it is given or withdrawn.'
                    ELSE 'Pass something like purpose => ''marketing'', channel => ''email'', topic => ''newsletter'', evidence => ''{"form": "footer"}''.' END;
    END IF;
    PERFORM @pipeline@._lock_leads(ARRAY[lead_id]);
    PERFORM FROM @pipeline@.lead l WHERE l.lead_id = give_consent_by_id.lead_id AND l.erased_at IS NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no lead %', lead_id
            USING ERRCODE = 'no_data_found', HINT = @pipeline@._missing_hint(lead_id);
    END IF;
    INSERT INTO @pipeline@.consent (lead_id, purpose, channel, topic, status, basis, policy_version, evidence, occurred_at)
        VALUES (lead_id, purpose, channel, topic, status, basis, policy_version, evidence, at);
    RETURN coalesce((
        SELECT g.granted FROM @pipeline@._granted(ARRAY[lead_id], channel, topic, false, 'infinity') g WHERE g.purpose = give_consent_by_id.purpose), false);
END
$$;
REVOKE EXECUTE ON FUNCTION give_consent_by_id(bigint, text, text, text, jsonb, text, text, text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION give_consent_by_id(bigint, text, text, text, jsonb, text, text, text, timestamptz) IS
    'give_consent() of the lead with this number, which must be there';

CREATE OR REPLACE FUNCTION give_consent(external_id text, purpose text, channel text DEFAULT NULL, topic text DEFAULT NULL,
        evidence jsonb DEFAULT NULL, status text DEFAULT 'granted', basis text DEFAULT 'consent', policy_version text DEFAULT NULL,
        occurred_at timestamptz DEFAULT now(), email text DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    same bigint[];
BEGIN
    PERFORM leadscore_internal.pipeline_on_this_node(@pipeline_name@), leadscore_internal.require_text('external_id', external_id);
    -- a person that was forgotten comes back by itself
    IF evidence <> '{}' AND status <> 'withdrawn' THEN
        UPDATE @pipeline@.suppression s
        SET lifted_at = now()
        WHERE s.reason = 'forgotten' AND s.lifted_at IS NULL AND s.since <= coalesce(occurred_at, now())
            AND s.address_hash = ANY (@pipeline@._address_hashes(email, NULL) || @pipeline@._name_hash(external_id));
        IF FOUND THEN
            same := ARRAY(SELECT l.lead_id FROM @pipeline@.lead l
                WHERE lower(btrim(l.email) COLLATE "C") = lower(btrim(give_consent.email) COLLATE "C"));
            -- with the lead itself, which may have another address yet
            PERFORM @pipeline@._lock_leads(array_append(same, @pipeline@.lead_id(external_id)));
            PERFORM @pipeline@._follow_consent(same, now());
        END IF;
    END IF;
    IF email ~ '[^[:space:]]' THEN
        -- the address was known when the consent was given
        IF @pipeline@.upsert_lead(external_id, email => email, at => CASE WHEN isfinite(occurred_at) THEN occurred_at ELSE now() END) IS NULL THEN
            RAISE EXCEPTION 'there is no lead "%"', external_id
                USING ERRCODE = 'no_data_found', HINT = 'The person was forgotten. Only consent with evidence, given since then, brings it back.';
        END IF;
    END IF;
    RETURN @pipeline@.give_consent_by_id(@pipeline@._hold_lead(external_id),
        purpose, channel, topic, evidence, status, basis, policy_version, occurred_at);
END
$$;
REVOKE EXECUTE ON FUNCTION give_consent(text, text, text, text, jsonb, text, text, text, timestamptz, text) FROM PUBLIC;
COMMENT ON FUNCTION give_consent(text, text, text, text, jsonb, text, text, text, timestamptz, text) IS
    'records what a lead said, and returns whether the purpose is granted in that scope then. With status requested it waits for a second call with granted (double opt-in). email creates the lead if it is new, or sets its address. A grant dated before a withdrawal, or without evidence, does not undo it; one with evidence brings a forgotten person back, as a new lead. Errors: 22004 and 22023 for an argument that is null, unknown or dated ahead, P0002 if there is no such lead';

-- What this leads to holds for all leads with the address: same, which are locked.
CREATE OR REPLACE FUNCTION _withdraw(lead_id bigint, same bigint[], purpose text, channel text, topic text, evidence jsonb, occurred_at timestamptz)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    granted boolean;
BEGIN
    PERFORM leadscore_internal.pipeline_on_one_node(@pipeline_name@);
    channel := lower(btrim(channel) COLLATE "C");
    granted := @pipeline@.give_consent_by_id(lead_id, purpose, channel, topic, evidence, 'withdrawn', 'consent', NULL, occurred_at);
    IF purpose = 'marketing' AND topic IS NULL THEN
        INSERT INTO @pipeline@.suppression (address_hash, channel, reason, since)
        SELECT h, channel, 'unsubscribed', coalesce(occurred_at, now())
        -- others may have its telephone, and read their own mail
        FROM @pipeline@.lead l,
            unnest(@pipeline@._address_hashes(l.email, CASE WHEN channel IS DISTINCT FROM 'email' THEN l.phone END)) h
        WHERE l.lead_id = _withdraw.lead_id
        ON CONFLICT DO NOTHING;
        PERFORM @pipeline@._follow_consent(same, occurred_at);
    END IF;
    RETURN granted;
END
$$;
COMMENT ON FUNCTION _withdraw(bigint, bigint[], text, text, text, jsonb, timestamptz) IS 'withdraw_consent() of a lead that is locked, with all that have an address of it';

CREATE OR REPLACE FUNCTION withdraw_consent_by_id(lead_id bigint, purpose text, channel text DEFAULT NULL, topic text DEFAULT NULL,
        evidence jsonb DEFAULT NULL, occurred_at timestamptz DEFAULT now()) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_on_this_node(@pipeline_name@);
    RETURN @pipeline@._withdraw(lead_id, @pipeline@._lock_addresses(lead_id), purpose, channel, topic, evidence, occurred_at);
END
$$;
REVOKE EXECUTE ON FUNCTION withdraw_consent_by_id(bigint, text, text, text, jsonb, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION withdraw_consent_by_id(bigint, text, text, text, jsonb, timestamptz) IS
    'withdraw_consent() of the lead with this number';

CREATE OR REPLACE FUNCTION withdraw_consent(external_id text, purpose text, channel text DEFAULT NULL, topic text DEFAULT NULL,
        evidence jsonb DEFAULT NULL, occurred_at timestamptz DEFAULT now()) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_id bigint;
    same bigint[];
BEGIN
    PERFORM leadscore_internal.pipeline_on_this_node(@pipeline_name@);
    LOOP
        found_id := @pipeline@._find_lead(external_id);
        BEGIN
            same := @pipeline@._lock_addresses(found_id);
            -- a merge that was under way has given the name to another lead
            EXIT WHEN @pipeline@._find_lead(external_id) = found_id;
            RAISE SQLSTATE 'LS001';
        EXCEPTION
            WHEN SQLSTATE 'LS001' THEN NULL;
        END;
    END LOOP;
    RETURN @pipeline@._withdraw(found_id, same, purpose, channel, topic, evidence, occurred_at);
END
$$;
REVOKE EXECUTE ON FUNCTION withdraw_consent(text, text, text, text, jsonb, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION withdraw_consent(text, text, text, text, jsonb, timestamptz) IS
    'records that a lead takes consent back: of the policy, or of messages of a channel and a topic (NULL: all). Without topic it also suppresses the addresses of the lead for that channel. Returns whether a grant stands against it, which is so only if a later one is recorded. Errors as of give_consent()';

CREATE OR REPLACE FUNCTION suppress(address text, channel text DEFAULT NULL, reason text DEFAULT 'manual',
        since timestamptz DEFAULT now()) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    hash bytea;
    lead_ids bigint[];
BEGIN
    PERFORM leadscore_internal.pipeline_on_this_node(@pipeline_name@);
    IF leadscore_internal.require_text('address', address) !~ '[@0-9]' THEN
        RAISE EXCEPTION 'address must be an e-mail address or a telephone number'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass something like ann@acme.example.';
    ELSIF reason IS NULL OR reason NOT IN ('unsubscribed', 'bounced', 'complained', 'manual') THEN
        RAISE EXCEPTION 'unknown reason "%"', reason
            USING ERRCODE = 'invalid_parameter_value',
                HINT = 'Reasons are unsubscribed, bounced, complained and manual; forget_lead() forgets a person.';
    ELSIF octet_length(channel) > 200 THEN
        RAISE EXCEPTION 'channel must not be longer than 200 bytes'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass something like email.';
    ELSIF since > clock_timestamp() THEN
        RAISE EXCEPTION 'a suppression cannot be dated ahead'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Call suppress() when it is to hold.';
    END IF;
    hash := @pipeline@.address_hash(address);
    IF strpos(address, '@') > 0 THEN
        lead_ids := ARRAY(SELECT l.lead_id FROM @pipeline@.lead l
            WHERE lower(btrim(l.email) COLLATE "C") = lower(btrim(leadscore_internal.fold_name(suppress.address)) COLLATE "C"));
    ELSE
        lead_ids := ARRAY(SELECT l.lead_id FROM @pipeline@.lead l
            WHERE l.phone IS NOT NULL AND regexp_replace(l.phone, '[^0-9]', '', 'g') = regexp_replace(suppress.address, '[^0-9]', '', 'g'));
    END IF;
    PERFORM @pipeline@._lock_leads(lead_ids);
    INSERT INTO @pipeline@.suppression (address_hash, channel, reason, since)
        VALUES (hash, nullif(lower(btrim(channel) COLLATE "C"), ''), reason, coalesce(since, now()))
        ON CONFLICT DO NOTHING;
    PERFORM @pipeline@._follow_consent(lead_ids, since);
    RETURN cardinality(lead_ids);
END
$$;
REVOKE EXECUTE ON FUNCTION suppress(text, text, text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION suppress(text, text, text, timestamptz) IS
    'keeps an e-mail address or a telephone number from being written to, by a channel or by all (NULL), whatever leads have it or will; returns how many leads have it. Only a hash of it is stored';

CREATE OR REPLACE FUNCTION unsuppress(address text) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lifted bigint;
    lead_ids bigint[];
BEGIN
    PERFORM leadscore_internal.pipeline_on_this_node(@pipeline_name@);
    lead_ids := ARRAY(SELECT l.lead_id FROM @pipeline@.lead l
        WHERE lower(btrim(l.email) COLLATE "C") = lower(btrim(leadscore_internal.fold_name(leadscore_internal.require_text('address', unsuppress.address))) COLLATE "C")
            OR strpos(unsuppress.address, '@') = 0
                AND l.phone IS NOT NULL AND regexp_replace(l.phone, '[^0-9]', '', 'g') = regexp_replace(unsuppress.address, '[^0-9]', '', 'g'));
    PERFORM @pipeline@._lock_leads(lead_ids);
    UPDATE @pipeline@.suppression s
    SET lifted_at = now()
    WHERE s.address_hash = @pipeline@.address_hash(unsuppress.address) AND s.reason IN ('manual', 'bounced')
        AND s.lifted_at IS NULL AND s.since <= now();
    GET DIAGNOSTICS lifted = ROW_COUNT;
    PERFORM @pipeline@._follow_consent(lead_ids, now());
    RETURN lifted;
END
$$;
REVOKE EXECUTE ON FUNCTION unsuppress(text) FROM PUBLIC;
COMMENT ON FUNCTION unsuppress(text) IS
    'lifts what suppress() did by hand, and bounces, of an address; returns how many rows. What a person said against messages only consent with evidence undoes';
