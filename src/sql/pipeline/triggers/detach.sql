-- The opposite of attach. Run by leadscore.detach_pipeline().

DROP TRIGGER IF EXISTS leadscore_inserted ON event;
DROP TRIGGER IF EXISTS leadscore_updated ON event;
DROP TRIGGER IF EXISTS leadscore_deleted ON event;
DROP TRIGGER IF EXISTS leadscore_truncated ON event;

DROP TRIGGER IF EXISTS leadscore_touched ON lead;
DROP TRIGGER IF EXISTS leadscore_inserted ON lead;
DROP TRIGGER IF EXISTS leadscore_updated ON lead;
DROP TRIGGER IF EXISTS leadscore_deleted ON lead;
DROP TRIGGER IF EXISTS leadscore_truncated ON lead;

DROP TRIGGER IF EXISTS guarded ON lead_state;
DROP TRIGGER IF EXISTS guarded_truncate ON lead_state;
DROP TRIGGER IF EXISTS guarded ON lead_checkpoint;
DROP TRIGGER IF EXISTS guarded_truncate ON lead_checkpoint;
DROP TRIGGER IF EXISTS guarded ON stage_log;
DROP TRIGGER IF EXISTS guarded_truncate ON stage_log;
DROP TRIGGER IF EXISTS guarded ON profile_change;
DROP TRIGGER IF EXISTS guarded_truncate ON profile_change;
DROP TRIGGER IF EXISTS guarded ON model_activation;
DROP TRIGGER IF EXISTS guarded_truncate ON model_activation;
DROP TRIGGER IF EXISTS guarded ON segment_log;
DROP TRIGGER IF EXISTS guarded_truncate ON segment_log;
DROP TRIGGER IF EXISTS guarded ON segment_activation;
DROP TRIGGER IF EXISTS guarded_truncate ON segment_activation;

DROP TRIGGER IF EXISTS consent_checked ON consent;
DROP TRIGGER IF EXISTS consent_recorded ON consent;
DROP TRIGGER IF EXISTS consent_kept ON consent;
