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
