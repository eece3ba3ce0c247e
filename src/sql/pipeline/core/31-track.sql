-- The functions by which apps record events and leads; see 31-lead.sql for
-- their language.
--
-- They write with the rights of the pipeline's owner, and under a search_path
-- of pg_catalog and pg_temp alone, so that triggers of the owner's are safe.
-- Row security holds for them as for an owner without FORCE: a
-- role that may call them may write every lead, and learns its stage. An error
-- about a constraint tells no value of a row; the server's log does.

CREATE OR REPLACE FUNCTION track(external_id text, kind text, properties jsonb DEFAULT NULL, occurred_at timestamptz DEFAULT now(),
        value double precision DEFAULT NULL, channel text DEFAULT NULL, campaign text DEFAULT NULL, source_id text DEFAULT NULL,
        profile jsonb DEFAULT NULL,
        OUT lead_id bigint, OUT event_id bigint, OUT score numeric, OUT stage text, OUT stage_changed boolean,
        OUT duplicate boolean, OUT scored boolean)
    LANGUAGE leadscore VOLATILE PARALLEL UNSAFE AS 'track';
REVOKE EXECUTE ON FUNCTION track(text, text, jsonb, timestamptz, double precision, text, text, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION track(text, text, jsonb, timestamptz, double precision, text, text, text, jsonb) IS
    'records an event of a lead, which is created if it is new, merges profile into the lead, and returns where the lead stands now. value is stored with 15 digits. duplicate: the lead has an event of this source_id already, whose event_id is returned, and nothing is stored but the profile. scored: the event matches a signal; false for a duplicate. Of the kinds stage_set, points_added and points_removed the property by is the role that calls, if properties names nobody. event_id is NULL if a trigger of the owner''s drops the event. All but the flags is NULL, and nothing is stored, if the person was forgotten. Errors: 22004 and 22023 for an argument that is null, empty or of the wrong kind, 40001 if the lead is deleted meanwhile';

CREATE OR REPLACE FUNCTION track_many(events jsonb, OUT inserted bigint, OUT duplicates bigint, OUT skipped bigint)
    LANGUAGE leadscore VOLATILE PARALLEL UNSAFE AS 'track_many';
REVOKE EXECUTE ON FUNCTION track_many(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION track_many(jsonb) IS
    'records many events in one statement: an array of objects with the arguments of track() as keys; returns how many were stored, how many were duplicates by their source_id, and how many were skipped because the person was forgotten. A lead is created at the time of its first event; profiles of one lead are put together in the order of events and count from the time of the first. One element that is not valid is an error, 22023, that names it, and nothing is stored';

CREATE OR REPLACE FUNCTION upsert_lead(external_id text, email text DEFAULT NULL, profile jsonb DEFAULT NULL,
        kind text DEFAULT NULL, organization text DEFAULT NULL, market text DEFAULT NULL, country text DEFAULT NULL,
        channel text DEFAULT NULL, campaign text DEFAULT NULL, owner text DEFAULT NULL, persona text DEFAULT NULL,
        consent boolean DEFAULT NULL, contact_allowed boolean DEFAULT NULL, referred_by bigint DEFAULT NULL,
        phone text DEFAULT NULL, language text DEFAULT NULL, time_zone text DEFAULT NULL, at timestamptz DEFAULT now()) RETURNS bigint
    LANGUAGE leadscore VOLATILE PARALLEL UNSAFE AS 'upsert_lead';
REVOKE EXECUTE ON FUNCTION upsert_lead(text, text, jsonb, text, text, text, text, text, text, text, text, boolean, boolean, bigint, text, text, text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION upsert_lead(text, text, jsonb, text, text, text, text, text, text, text, text, boolean, boolean, bigint, text, text, text, timestamptz) IS
    'creates a lead or updates it, and returns its lead_id: profile is merged, except keys that are columns of lead, which go there, where null empties them; an argument that is NULL leaves its column as it is. A value of at in the future counts as now(). Returns NULL, and stores nothing, for a person that was forgotten. Errors: 22004 and 22023 for an argument that is null, empty or of the wrong kind';

CREATE OR REPLACE FUNCTION set_stage(external_id text, stage text, reason text DEFAULT NULL, by text DEFAULT NULL) RETURNS text
    LANGUAGE leadscore VOLATILE PARALLEL UNSAFE AS 'set_stage';
REVOKE EXECUTE ON FUNCTION set_stage(text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION set_stage(text, text, text, text) IS
    'puts a lead into a stage by hand, as an event of kind stage_set, whose property by says who did it (NULL: the role that calls); returns the stage it is in then. Errors: 55000 for a stage from iql to prospect if the lead fails a gate of iql (consent and contact data in the presets); the detail says which. P0002 if there is no such lead, 22P02 if there is no such stage';

CREATE OR REPLACE FUNCTION set_stage_by_id(lead_id bigint, stage text, reason text DEFAULT NULL, by text DEFAULT NULL) RETURNS text
    LANGUAGE leadscore VOLATILE PARALLEL UNSAFE AS 'set_stage_by_id';
REVOKE EXECUTE ON FUNCTION set_stage_by_id(bigint, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION set_stage_by_id(bigint, text, text, text) IS 'set_stage() of the lead with this number';
