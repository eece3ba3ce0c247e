-- The functions of a pipeline.
--
-- CREATE OR REPLACE throughout: leadscore.upgrade_pipeline runs this again.
-- Bodies are bound when they are created (BEGIN ATOMIC), so they work under
-- any search_path and follow renames. They sort and group by ranks of stages,
-- not by stages: pg_upgrade restores them before the operator classes of our
-- types. A parameter is always written function.parameter: a bare name is a
-- column. What writes more than events runs with the rights of the pipeline's
-- owner and is closed to PUBLIC.

CREATE OR REPLACE FUNCTION pipeline() RETURNS regnamespace
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT c.relnamespace::regnamespace FROM pg_class c WHERE c.oid = 'lead'::regclass;
END;
COMMENT ON FUNCTION pipeline() IS 'the schema of this pipeline';

-- Models

CREATE OR REPLACE FUNCTION activate_model(model text, wait boolean DEFAULT false) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    SELECT require_model(pipeline(), activate_model.model);
    SELECT activate_model(pipeline(), activate_model.model, activate_model.wait);
END;
REVOKE EXECUTE ON FUNCTION activate_model(text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION activate_model(text, boolean) IS 'makes a draft (or a retired model) the one that scores. Queries show the new scores and stages at once; the leads are brought up to date at their next write or by sweep(), with wait => true before this returns, while writers wait. Returns how many leads were brought up to date';

CREATE OR REPLACE FUNCTION compare_models(a text, b text, at timestamptz DEFAULT now())
    RETURNS TABLE (level text, lead_id bigint, leads bigint, stage_a lead_stage, stage_b lead_stage,
        score_a numeric, score_b numeric, difference numeric)
    LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT CASE WHEN c.lead_id IS NULL THEN 'stage' ELSE 'lead' END AS level,
        c.lead_id, c.leads, c.stage_a, c.stage_b,
        trim_scale(round(c.score_milli_a / 1000.0 / c.leads, 3)) AS score_a,
        trim_scale(round(c.score_milli_b / 1000.0 / c.leads, 3)) AS score_b,
        trim_scale(round((c.score_milli_b - c.score_milli_a) / 1000.0 / c.leads, 3)) AS difference
    FROM compare_leads(pipeline(), compiled_model(compare_models.a), compiled_model(compare_models.b), compare_models.at) c
    ORDER BY c.lead_id IS NOT NULL, stage_rank(c.stage_a) DESC, stage_rank(c.stage_b) DESC, c.lead_id;
END;
COMMENT ON FUNCTION compare_models(text, text, timestamptz) IS
    'two models side by side, nothing is changed: level stage = how many leads each pair of qualified stages has (scores are means), level lead = every lead that differs';

-- One lead

CREATE OR REPLACE FUNCTION lead_id(external_id text) RETURNS bigint
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT l.lead_id FROM lead l WHERE l.external_id = lead_id.external_id;
END;
COMMENT ON FUNCTION lead_id(text) IS 'the lead that the app calls so; NULL if there is none';

CREATE OR REPLACE FUNCTION score(lead_id bigint, at timestamptz DEFAULT now()) RETURNS numeric
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT score(s.activity, m.compiled, score.at)
    FROM lead_state s, model m
    WHERE s.lead_id = score.lead_id AND m.status = 'active';
END;
COMMENT ON FUNCTION score(bigint, timestamptz) IS 'score of a lead at an instant, by the active model';

CREATE OR REPLACE FUNCTION explain(lead_id bigint, at timestamptz DEFAULT now())
    RETURNS TABLE (dimension text, rule text, signal text, source text, events bigint, last_at timestamptz, points numeric, note text)
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT e.dimension, e.rule, e.signal, e.source, e.events, e.last_at, e.points, e.note
    FROM lead_state s, model m, explain(s.activity, m.compiled, explain.at) e
    WHERE s.lead_id = explain.lead_id AND m.status = 'active';
END;
COMMENT ON FUNCTION explain(bigint, timestamptz) IS 'where the score of a lead comes from: the points add up to the score exactly';

CREATE OR REPLACE FUNCTION next_steps(lead_id bigint)
    RETURNS TABLE (stage lead_stage, gate text, met boolean, missing text)
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH step AS (
        SELECT s.stage AS stage_now, g.stage, g.gate, g.met, g.missing
        FROM lead_state s, model m, stage_gates(s.activity, m.compiled, now()) g
        WHERE s.lead_id = next_steps.lead_id AND m.status = 'active'
        UNION ALL
        SELECT s.stage AS stage_now, r.stage, 'milestone' AS gate, false AS met,
            'one of: ' || array_to_string(r.entry_signals, ', ') AS missing
        FROM lead_state s, model m, stage_rule r
        WHERE s.lead_id = next_steps.lead_id AND m.status = 'active' AND r.model = m.model
            AND cardinality(r.entry_signals) > 0
    )
    SELECT t.stage, t.gate, t.met, t.missing
    FROM step t
    WHERE t.stage = (SELECT min(u.stage) FROM step u WHERE u.stage > u.stage_now AND u.stage > 'visitor')
    ORDER BY t.met, t.gate;
END;
COMMENT ON FUNCTION next_steps(bigint) IS 'what the next stage of a lead needs, and what of it is missing';

-- The valid rows of stage_log
CREATE OR REPLACE VIEW stage_history WITH (security_invoker = true) AS
SELECT lead_id, seq, cycle, from_stage, to_stage, effective_at, recorded_at, cause, model, score, from_since, stepped_back, is_lead
FROM stage_log
WHERE superseded_at IS NULL;
COMMENT ON VIEW stage_history IS 'the stages that a lead was in: what its events give in the order of event time, whatever was corrected meanwhile';
COMMENT ON COLUMN stage_history.lead_id IS 'the lead';
COMMENT ON COLUMN stage_history.seq IS 'order of the changes of this lead';
COMMENT ON COLUMN stage_history.cycle IS 'number of the cycle through the funnel';
COMMENT ON COLUMN stage_history.from_stage IS 'the stage before; NULL: the lead was new';
COMMENT ON COLUMN stage_history.to_stage IS 'the stage from then on';
COMMENT ON COLUMN stage_history.effective_at IS 'when it began, in event time';
COMMENT ON COLUMN stage_history.recorded_at IS 'when it was recorded';
COMMENT ON COLUMN stage_history.cause IS 'created, points, decay, milestone, set, profile or activation';
COMMENT ON COLUMN stage_history.model IS 'the model that decided';
COMMENT ON COLUMN stage_history.score IS 'the score at that time, as recorded';
COMMENT ON COLUMN stage_history.from_since IS 'when the stage before had begun; NULL: the lead was new';
COMMENT ON COLUMN stage_history.stepped_back IS 'whether the lead went to a lower stage without leaving the funnel';
COMMENT ON COLUMN stage_history.is_lead IS 'whether the contact was a lead then: what the gates of iql ask for was there; NULL: no model was active';

CREATE OR REPLACE FUNCTION stage_at(lead_id bigint, at timestamptz DEFAULT now(), as_known_at timestamptz DEFAULT NULL) RETURNS lead_stage
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT h.to_stage
    FROM stage_log h
    WHERE h.lead_id = stage_at.lead_id AND h.effective_at <= stage_at.at
        AND CASE WHEN stage_at.as_known_at IS NULL THEN h.superseded_at IS NULL
            ELSE h.recorded_at <= stage_at.as_known_at
                AND (h.superseded_at IS NULL OR h.superseded_at > stage_at.as_known_at) END
    ORDER BY h.seq DESC
    LIMIT 1;
END;
COMMENT ON FUNCTION stage_at(bigint, timestamptz, timestamptz) IS 'stage of a lead at an instant; with as_known_at, what was recorded of it by then; NULL before its creation';

-- Statements in functions see what earlier ones did only if they are run by
-- a VOLATILE function: so this reads the state behind the engine's trigger.
CREATE OR REPLACE FUNCTION standing(lead_id bigint, event_id bigint, OUT score numeric, OUT stage lead_stage)
    LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT (SELECT score(s.activity, m.compiled, now()) FROM model m WHERE m.status = 'active'), s.stage
    FROM lead_state s
    WHERE s.lead_id = standing.lead_id;
END;
COMMENT ON FUNCTION standing(bigint, bigint) IS 'internal: score and stage of a lead now, behind the event that was inserted';

CREATE OR REPLACE FUNCTION add_event(lead_id bigint, kind text, properties jsonb, occurred_at timestamptz,
        value numeric, channel text, campaign text, source_id text) RETURNS bigint
    LANGUAGE sql VOLATILE SET search_path = ''
BEGIN ATOMIC
    INSERT INTO event (lead_id, kind, properties, occurred_at, value, channel, campaign, source_id)
        VALUES (add_event.lead_id, add_event.kind, add_event.properties, coalesce(add_event.occurred_at, now()),
            add_event.value, add_event.channel, add_event.campaign, add_event.source_id)
        ON CONFLICT DO NOTHING
        RETURNING event_id;
END;
COMMENT ON FUNCTION add_event(bigint, text, jsonb, timestamptz, numeric, text, text, text) IS
    'internal: inserts an event, returns its event_id, or NULL if its source_id is there already';

CREATE OR REPLACE FUNCTION set_stage(lead_id bigint, stage lead_stage, reason text DEFAULT NULL) RETURNS lead_stage
    LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT s.stage
    FROM add_event(set_stage.lead_id, 'stage_set',
            jsonb_strip_nulls(jsonb_build_object('stage', set_stage.stage::text, 'reason', set_stage.reason)),
            NULL, NULL, NULL, NULL, NULL) AS e (event_id),
        standing(set_stage.lead_id, e.event_id) s;
END;
COMMENT ON FUNCTION set_stage(bigint, lead_stage, text) IS 'puts a lead into a stage by hand, as an event of kind stage_set; returns the stage it is in then';

-- What apps send. A document about a lead is merged into its profile, except
-- keys that are columns of lead: these go there. So does the key consent, true
-- or false, which sets or clears consented_at.

CREATE OR REPLACE FUNCTION lead_document(document jsonb)
    RETURNS TABLE (kind text, email text, organization text, market text, country text, channel text, campaign text,
        owner text, persona text, consent boolean, consented_at timestamptz, contact_allowed boolean, referred_by bigint,
        rest jsonb)
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT d.kind, d.email, d.organization, d.market, d.country, d.channel, d.campaign,
        d.owner, d.persona, d.consent, d.consented_at, d.contact_allowed, d.referred_by,
        coalesce(lead_document.document, '{}') - '{kind,email,organization,market,country,channel,campaign,owner,persona,consent,consented_at,contact_allowed,referred_by}'::text[]
    FROM jsonb_to_record(coalesce(lead_document.document, '{}')) AS d
        (kind text, email text, organization text, market text, country text, channel text, campaign text,
        owner text, persona text, consent boolean, consented_at timestamptz, contact_allowed boolean, referred_by bigint);
END;
COMMENT ON FUNCTION lead_document(jsonb) IS 'internal: splits a document about a lead into columns and the rest';

-- Whoever locks leads or states first says that it writes, with the weak lock
-- of the engine: otherwise activate_model() could wait for it and it for
-- activate_model(). No row is locked, the table is.
CREATE OR REPLACE FUNCTION begin_write() RETURNS void
    LANGUAGE sql VOLATILE SET search_path = ''
BEGIN ATOMIC
    SELECT FROM model WHERE false FOR KEY SHARE;
END;
COMMENT ON FUNCTION begin_write() IS 'internal: keeps the configuration as it is until the end of the transaction';

-- The engine locks leads before states, both by lead_id: so do these. Most
-- calls need only one or two of them, and a statement costs most when it is
-- planned: so there are several. The SET clauses keep the planner from reading
-- the bodies of functions that are not called.
CREATE OR REPLACE FUNCTION lock_leads(external_ids text[]) RETURNS bigint
    LANGUAGE sql VOLATILE SET search_path = ''
BEGIN ATOMIC
    SELECT FROM lead l
    WHERE l.external_id = ANY (lock_leads.external_ids)
    ORDER BY l.lead_id
    FOR NO KEY UPDATE;
    -- all states before any is changed: changes of profiles come first, then
    -- events of other leads, and whoever inserts events locks by lead_id
    SELECT count(*)
    FROM (
        SELECT FROM lead_state s
        WHERE s.lead_id IN (SELECT l.lead_id FROM lead l WHERE l.external_id = ANY (lock_leads.external_ids))
        ORDER BY s.lead_id
        FOR NO KEY UPDATE
    ) n;
END;
COMMENT ON FUNCTION lock_leads(text[]) IS 'internal: locks leads that are about to be changed, returns how many';

CREATE OR REPLACE FUNCTION open_leads(external_ids text[], documents jsonb[], ats timestamptz[], channels text[], campaigns text[])
    RETURNS bigint
    LANGUAGE sql VOLATILE SET search_path = ''
BEGIN ATOMIC
    WITH made AS (
        INSERT INTO lead (external_id, kind, email, organization, market, country, channel, campaign, owner, persona,
                profile, consented_at, contact_allowed, referred_by, created_at, updated_at)
            SELECT n.external_id, coalesce(d.kind, 'person'), d.email, d.organization, d.market, d.country,
                coalesce(d.channel, n.channel), coalesce(d.campaign, n.campaign), d.owner, d.persona, d.rest,
                CASE WHEN d.consent IS NOT FALSE THEN coalesce(d.consented_at, CASE WHEN d.consent THEN n.at END) END,
                d.contact_allowed, d.referred_by, n.at, n.at
            FROM unnest(open_leads.external_ids, open_leads.documents, open_leads.ats, open_leads.channels, open_leads.campaigns)
                    AS n (external_id, document, at, channel, campaign),
                lead_document(n.document) d
            -- a conflict would use up a number
            WHERE NOT EXISTS (SELECT FROM lead l WHERE l.external_id = n.external_id)
            ORDER BY n.external_id
            ON CONFLICT DO NOTHING
            RETURNING 1
    )
    SELECT count(*) FROM made;
END;
COMMENT ON FUNCTION open_leads(text[], jsonb[], timestamptz[], text[], text[]) IS
    'internal: creates those of these leads that are missing, returns how many';

CREATE OR REPLACE FUNCTION merge_leads(external_ids text[], documents jsonb[], ats timestamptz[])
    RETURNS bigint
    LANGUAGE sql VOLATILE SET search_path = ''
BEGIN ATOMIC
    WITH merged AS (
        UPDATE lead l SET
            kind = n.kind, email = n.email, organization = n.organization, market = n.market, country = n.country,
            channel = n.channel, campaign = n.campaign, owner = n.owner, persona = n.persona, profile = n.profile,
            consented_at = n.consented_at, contact_allowed = n.contact_allowed, referred_by = n.referred_by,
            -- always later than before: so the change has its own time
            updated_at = greatest(l.updated_at + interval '1 microsecond', n.at)
        FROM (
            SELECT o.lead_id, g.at,
                coalesce(d.kind, o.kind) AS kind,
                CASE WHEN g.document ? 'email' THEN d.email ELSE o.email END AS email,
                CASE WHEN g.document ? 'organization' THEN d.organization ELSE o.organization END AS organization,
                CASE WHEN g.document ? 'market' THEN d.market ELSE o.market END AS market,
                CASE WHEN g.document ? 'country' THEN d.country ELSE o.country END AS country,
                CASE WHEN g.document ? 'channel' THEN d.channel ELSE o.channel END AS channel,
                CASE WHEN g.document ? 'campaign' THEN d.campaign ELSE o.campaign END AS campaign,
                CASE WHEN g.document ? 'owner' THEN d.owner ELSE o.owner END AS owner,
                CASE WHEN g.document ? 'persona' THEN d.persona ELSE o.persona END AS persona,
                o.profile || d.rest AS profile,
                CASE
                    WHEN NOT d.consent THEN NULL
                    WHEN g.document ? 'consented_at' THEN d.consented_at
                    WHEN d.consent THEN coalesce(o.consented_at, g.at)
                    ELSE o.consented_at
                END AS consented_at,
                CASE WHEN g.document ? 'contact_allowed' THEN d.contact_allowed ELSE o.contact_allowed END AS contact_allowed,
                CASE WHEN g.document ? 'referred_by' THEN d.referred_by ELSE o.referred_by END AS referred_by
            FROM unnest(merge_leads.external_ids, merge_leads.documents, merge_leads.ats) AS g (external_id, document, at)
                JOIN lead o ON o.external_id = g.external_id,
                lead_document(g.document) d
            WHERE g.document IS NOT NULL
        ) n
        WHERE l.lead_id = n.lead_id
            AND (l.kind, l.email, l.organization, l.market, l.country, l.channel, l.campaign, l.owner, l.persona,
                l.profile, l.consented_at, l.contact_allowed, l.referred_by)
            IS DISTINCT FROM (n.kind, n.email, n.organization, n.market, n.country, n.channel, n.campaign, n.owner, n.persona,
                n.profile, n.consented_at, n.contact_allowed, n.referred_by)
        RETURNING 1
    )
    SELECT count(*) FROM merged;
END;
COMMENT ON FUNCTION merge_leads(text[], jsonb[], timestamptz[]) IS
    'internal: merges documents into existing leads, returns how many changed';

-- The state is locked, so that two calls at a time never both report the same
-- change of stage.
CREATE OR REPLACE FUNCTION hold_lead(external_id text, created boolean, OUT lead_id bigint, OUT stage lead_stage)
    LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT l.lead_id,
        CASE WHEN NOT hold_lead.created
            THEN (SELECT s.stage FROM lead_state s WHERE s.lead_id = l.lead_id FOR NO KEY UPDATE) END
    FROM lead l
    WHERE l.external_id = hold_lead.external_id;
END;
COMMENT ON FUNCTION hold_lead(text, boolean) IS 'internal: locks the state of a lead, returns its stage before the change, NULL if it is new';

CREATE OR REPLACE FUNCTION touch_lead(external_id text, document jsonb, at timestamptz, channel text, campaign text,
        OUT lead_id bigint, OUT stage lead_stage)
    LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT CASE WHEN h.lead_id IS NULL
            THEN refuse('object_in_use', format('lead "%s" could not be created', touch_lead.external_id),
                detail => 'Its new lead_id is taken already, or somebody deleted the lead meanwhile.',
                hint => 'After loading leads with a lead_id of their own, set the sequence of lead.lead_id past them with setval(). Otherwise try again.')::bigint
            ELSE h.lead_id END, h.stage
    FROM (
            SELECT CASE
                WHEN CASE WHEN NOT EXISTS (SELECT FROM lead l WHERE l.external_id = touch_lead.external_id)
                    THEN open_leads(ARRAY[touch_lead.external_id], ARRAY[touch_lead.document], ARRAY[touch_lead.at],
                        ARRAY[touch_lead.channel], ARRAY[touch_lead.campaign]) = 1 END
                    THEN true
                -- it was there, or somebody else has just created it
                WHEN touch_lead.document IS NOT NULL
                    THEN lock_leads(ARRAY[touch_lead.external_id]) IS NULL
                ELSE false END AS created
            OFFSET 0
        ) o,
        hold_lead(touch_lead.external_id, o.created) h,
        LATERAL (
            SELECT CASE WHEN h.lead_id IS NOT NULL AND touch_lead.document IS NOT NULL AND NOT o.created
                THEN merge_leads(ARRAY[touch_lead.external_id], ARRAY[touch_lead.document], ARRAY[touch_lead.at]) END AS merged
            OFFSET 0
        ) m
    WHERE m.merged IS NULL OR m.merged >= 0;
END;
COMMENT ON FUNCTION touch_lead(text, jsonb, timestamptz, text, text) IS
    'internal: creates or merges a lead, returns its number and the stage it had before';

CREATE OR REPLACE FUNCTION known_event(lead_id bigint, source_id text) RETURNS bigint
    LANGUAGE sql VOLATILE SET search_path = ''
BEGIN ATOMIC
    SELECT e.event_id FROM event e WHERE e.lead_id = known_event.lead_id AND e.source_id = known_event.source_id;
END;
COMMENT ON FUNCTION known_event(bigint, text) IS 'internal: the event of a lead with this source_id';

CREATE OR REPLACE FUNCTION track(external_id text, kind text, properties jsonb DEFAULT NULL, occurred_at timestamptz DEFAULT now(),
        value numeric DEFAULT NULL, channel text DEFAULT NULL, campaign text DEFAULT NULL, source_id text DEFAULT NULL,
        profile jsonb DEFAULT NULL,
        OUT lead_id bigint, OUT event_id bigint, OUT score numeric, OUT stage text, OUT stage_changed boolean, OUT duplicate boolean)
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    SELECT begin_write();
    SELECT t.lead_id,
        CASE WHEN e.event_id IS NULL THEN known_event(t.lead_id, track.source_id) ELSE e.event_id END,
        s.score, s.stage::text, s.stage <> coalesce(t.stage, 'visitor'), e.event_id IS NULL
    FROM touch_lead(require_text('external_id', track.external_id), require_object('profile', track.profile),
            coalesce(track.occurred_at, now()), track.channel, track.campaign) t,
        add_event(t.lead_id, require_text('kind', track.kind), track.properties, track.occurred_at,
            track.value, track.channel, track.campaign, track.source_id) AS e (event_id),
        standing(t.lead_id, e.event_id) s;
END;
REVOKE EXECUTE ON FUNCTION track(text, text, jsonb, timestamptz, numeric, text, text, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION track(text, text, jsonb, timestamptz, numeric, text, text, text, jsonb) IS
    'records an event of a lead, which is created if new, merges profile into the lead, returns where the lead stands then; a second event of the same source_id is a duplicate and changes nothing; works with the rights of the pipeline''s owner, so row security holds for it as for the owner';

-- Leads are created at the time of their first event in the batch. Profiles
-- of one lead are put together in the order of events, and count from the time
-- of the first one.
CREATE OR REPLACE FUNCTION track_many(events jsonb, OUT inserted bigint, OUT duplicates bigint)
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    SELECT begin_write();
    SELECT merge_leads(b.external_ids, b.documents, b.profile_ats)
    FROM (
            SELECT array_agg(n.external_id) AS external_ids, array_agg(n.document) AS documents,
                array_agg(n.created_at) AS created_ats, array_agg(n.profile_at) AS profile_ats,
                array_agg(n.channel) AS channels, array_agg(n.campaign) AS campaigns
            FROM (
                SELECT i.external_id, min(i.occurred_at) AS created_at,
                    min(i.occurred_at) FILTER (WHERE i.profile IS NOT NULL) AS profile_at,
                    (array_agg(i.channel ORDER BY i.occurred_at, i.position))[1] AS channel,
                    (array_agg(i.campaign ORDER BY i.occurred_at, i.position))[1] AS campaign,
                    (SELECT jsonb_object_agg(k.key, k.value ORDER BY p.place)
                        FROM unnest(array_agg(i.profile ORDER BY i.occurred_at, i.position)) WITH ORDINALITY AS p (profile, place),
                            jsonb_each(p.profile) k) AS document
                FROM track_items(track_many.events) i
                GROUP BY i.external_id
            ) n
        ) b,
        -- new leads first: who waits for somebody else's holds no lock yet
        LATERAL (
            SELECT open_leads(b.external_ids, b.documents, b.created_ats, b.channels, b.campaigns) AS created
            OFFSET 0
        ) o,
        LATERAL (SELECT CASE WHEN o.created >= 0 THEN lock_leads(b.external_ids) END AS locked OFFSET 0) k
    WHERE k.locked >= 0;
    WITH added AS (
        INSERT INTO event (lead_id, kind, properties, occurred_at, value, channel, campaign, source_id)
            SELECT l.lead_id, i.kind, i.properties, i.occurred_at, i.value, i.channel, i.campaign, i.source_id
            FROM track_items(track_many.events) i JOIN lead l USING (external_id)
            ORDER BY i.occurred_at, i.position
            ON CONFLICT DO NOTHING
            RETURNING 1
    )
    SELECT count(*), jsonb_array_length(track_many.events) - count(*) FROM added;
END;
REVOKE EXECUTE ON FUNCTION track_many(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION track_many(jsonb) IS
    'records many events at once: an array of objects with the arguments of track() as keys; returns how many were inserted and how many were there already; works with the rights of the pipeline''s owner, so row security holds for it as for the owner';

CREATE OR REPLACE FUNCTION upsert_lead(external_id text, email text DEFAULT NULL, profile jsonb DEFAULT NULL,
        kind text DEFAULT NULL, organization text DEFAULT NULL, market text DEFAULT NULL, country text DEFAULT NULL,
        channel text DEFAULT NULL, campaign text DEFAULT NULL, owner text DEFAULT NULL, persona text DEFAULT NULL,
        consent boolean DEFAULT NULL, contact_allowed boolean DEFAULT NULL, referred_by bigint DEFAULT NULL,
        at timestamptz DEFAULT now()) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    SELECT begin_write();
    SELECT t.lead_id
    FROM touch_lead(require_text('external_id', upsert_lead.external_id),
        coalesce(require_object('profile', upsert_lead.profile), '{}') || jsonb_strip_nulls(jsonb_build_object(
            'email', upsert_lead.email, 'kind', upsert_lead.kind, 'organization', upsert_lead.organization,
            'market', upsert_lead.market, 'country', upsert_lead.country, 'channel', upsert_lead.channel,
            'campaign', upsert_lead.campaign, 'owner', upsert_lead.owner, 'persona', upsert_lead.persona,
            'consent', upsert_lead.consent, 'contact_allowed', upsert_lead.contact_allowed,
            'referred_by', upsert_lead.referred_by)),
        coalesce(upsert_lead.at, now()), NULL, NULL) t;
END;
REVOKE EXECUTE ON FUNCTION upsert_lead(text, text, jsonb, text, text, text, text, text, text, text, text, boolean, boolean, bigint, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION upsert_lead(text, text, jsonb, text, text, text, text, text, text, text, text, boolean, boolean, bigint, timestamptz) IS
    'creates a lead or updates it: profile is merged, of the other arguments NULL leaves the column as it is; returns lead_id; works with the rights of the pipeline''s owner, so row security holds for it as for the owner';

REVOKE EXECUTE ON FUNCTION begin_write() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION lock_leads(text[]) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION open_leads(text[], jsonb[], timestamptz[], text[], text[]) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION merge_leads(text[], jsonb[], timestamptz[]) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION hold_lead(text, boolean) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION touch_lead(text, jsonb, timestamptz, text, text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION known_event(bigint, text) FROM PUBLIC;

-- Upkeep

CREATE OR REPLACE FUNCTION sweep(max_leads integer DEFAULT 1000) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    SELECT sweep(pipeline(), sweep.max_leads);
END;
REVOKE EXECUTE ON FUNCTION sweep(integer) FROM PUBLIC;
COMMENT ON FUNCTION sweep(integer) IS
    'brings up to date at most so many leads: those whose stage is due to be looked at because time passed, and those that are behind a change of models or signals; returns how many; call it now and then until it returns 0. Several sweeps at a time share the work';

CREATE OR REPLACE FUNCTION rebuild() RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    SELECT rebuild(pipeline(), NULL);
END;
REVOKE EXECUTE ON FUNCTION rebuild() FROM PUBLIC;
COMMENT ON FUNCTION rebuild() IS
    'makes every lead that verify() would list what its events, its profile and the models say, whatever row security says; returns how many there were';

CREATE OR REPLACE FUNCTION rebuild_by_id(lead_id bigint) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    SELECT rebuild(pipeline(), rebuild_by_id.lead_id);
END;
REVOKE EXECUTE ON FUNCTION rebuild_by_id(bigint) FROM PUBLIC;
COMMENT ON FUNCTION rebuild_by_id(bigint) IS
    'makes one lead what its events, its profile and the models say';

CREATE OR REPLACE FUNCTION verify()
    RETURNS TABLE (lead_id bigint, problem text, stored text, expected text)
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = ''
BEGIN ATOMIC
    SELECT v.lead_id, v.problem, v.stored, v.expected FROM verify(pipeline()) v;
END;
REVOKE EXECUTE ON FUNCTION verify() FROM PUBLIC;
COMMENT ON FUNCTION verify() IS
    'what is stored but wrong, compared with a replay of the log: no rows, ever. Of leads that are due, or behind a change of models or signals, only the counts are compared';
