-- The triggers that keep states right, and those that keep other writers from
-- them. Run by leadscore.attach_pipeline().
-- Statement triggers with transition tables: one for each operation.

CREATE OR REPLACE TRIGGER leadscore_inserted AFTER INSERT ON event
    REFERENCING NEW TABLE AS new_event
    FOR EACH STATEMENT EXECUTE FUNCTION event_changed();
CREATE OR REPLACE TRIGGER leadscore_updated AFTER UPDATE ON event
    REFERENCING OLD TABLE AS old_event NEW TABLE AS new_event
    FOR EACH STATEMENT EXECUTE FUNCTION event_changed();
CREATE OR REPLACE TRIGGER leadscore_deleted AFTER DELETE ON event
    REFERENCING OLD TABLE AS old_event
    FOR EACH STATEMENT EXECUTE FUNCTION event_changed();
CREATE OR REPLACE TRIGGER leadscore_truncated AFTER TRUNCATE ON event
    FOR EACH STATEMENT EXECUTE FUNCTION event_truncated();

CREATE OR REPLACE TRIGGER leadscore_touched BEFORE INSERT OR UPDATE ON lead
    FOR EACH ROW EXECUTE FUNCTION lead_touched();
CREATE OR REPLACE TRIGGER leadscore_inserted AFTER INSERT ON lead
    REFERENCING NEW TABLE AS new_lead
    FOR EACH STATEMENT EXECUTE FUNCTION lead_changed();
CREATE OR REPLACE TRIGGER leadscore_updated AFTER UPDATE ON lead
    REFERENCING OLD TABLE AS old_lead NEW TABLE AS new_lead
    FOR EACH STATEMENT EXECUTE FUNCTION lead_changed();
CREATE OR REPLACE TRIGGER leadscore_deleted AFTER DELETE ON lead
    REFERENCING OLD TABLE AS old_lead
    FOR EACH STATEMENT EXECUTE FUNCTION lead_changed();
CREATE OR REPLACE TRIGGER leadscore_truncated AFTER TRUNCATE ON lead
    FOR EACH STATEMENT EXECUTE FUNCTION lead_truncated();

-- What the engine keeps no other writer may change, not even the owner.
-- Logical replication, and restores with --disable-triggers, pass; so does a
-- load into a detached pipeline.
CREATE OR REPLACE TRIGGER guarded BEFORE INSERT OR UPDATE OR DELETE ON lead_state
    FOR EACH STATEMENT EXECUTE FUNCTION guard_engine_table();
CREATE OR REPLACE TRIGGER guarded_truncate BEFORE TRUNCATE ON lead_state
    FOR EACH STATEMENT EXECUTE FUNCTION guard_engine_table();
CREATE OR REPLACE TRIGGER guarded BEFORE INSERT OR UPDATE OR DELETE ON lead_checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION guard_engine_table();
CREATE OR REPLACE TRIGGER guarded_truncate BEFORE TRUNCATE ON lead_checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION guard_engine_table();
CREATE OR REPLACE TRIGGER guarded BEFORE INSERT OR UPDATE OR DELETE ON stage_log
    FOR EACH STATEMENT EXECUTE FUNCTION guard_engine_table();
CREATE OR REPLACE TRIGGER guarded_truncate BEFORE TRUNCATE ON stage_log
    FOR EACH STATEMENT EXECUTE FUNCTION guard_engine_table();
CREATE OR REPLACE TRIGGER guarded BEFORE INSERT OR UPDATE OR DELETE ON profile_change
    FOR EACH STATEMENT EXECUTE FUNCTION guard_engine_table();
CREATE OR REPLACE TRIGGER guarded_truncate BEFORE TRUNCATE ON profile_change
    FOR EACH STATEMENT EXECUTE FUNCTION guard_engine_table();
CREATE OR REPLACE TRIGGER guarded BEFORE INSERT OR UPDATE OR DELETE ON model_activation
    FOR EACH STATEMENT EXECUTE FUNCTION guard_engine_table();
CREATE OR REPLACE TRIGGER guarded_truncate BEFORE TRUNCATE ON model_activation
    FOR EACH STATEMENT EXECUTE FUNCTION guard_engine_table();
CREATE OR REPLACE TRIGGER guarded BEFORE INSERT OR UPDATE OR DELETE ON segment_log
    FOR EACH STATEMENT EXECUTE FUNCTION guard_engine_table();
CREATE OR REPLACE TRIGGER guarded_truncate BEFORE TRUNCATE ON segment_log
    FOR EACH STATEMENT EXECUTE FUNCTION guard_engine_table();
CREATE OR REPLACE TRIGGER guarded BEFORE INSERT OR UPDATE OR DELETE ON segment_activation
    FOR EACH STATEMENT EXECUTE FUNCTION guard_engine_table();
CREATE OR REPLACE TRIGGER guarded_truncate BEFORE TRUNCATE ON segment_activation
    FOR EACH STATEMENT EXECUTE FUNCTION guard_engine_table();

-- Rows of consent are added and kept, and the columns of lead follow them.
CREATE OR REPLACE TRIGGER consent_checked BEFORE INSERT ON consent
    FOR EACH ROW WHEN (NOT leadscore_internal.records_consent()) EXECUTE FUNCTION consent_checked();
CREATE OR REPLACE TRIGGER consent_recorded AFTER INSERT ON consent
    REFERENCING NEW TABLE AS new_consent
    FOR EACH STATEMENT WHEN (NOT leadscore_internal.records_consent()) EXECUTE FUNCTION consent_recorded();
CREATE OR REPLACE TRIGGER consent_kept BEFORE UPDATE OR DELETE ON consent
    FOR EACH ROW EXECUTE FUNCTION consent_kept();
