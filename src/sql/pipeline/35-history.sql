-- Layout 2: what stage_history needs so that funnels are one pass over it.
--
-- Run for new pipelines too. The engine fills from_since where there is such
-- a column; rows of before get it here, once.

ALTER TABLE stage_history ADD COLUMN IF NOT EXISTS from_since timestamptz;
COMMENT ON COLUMN stage_history.from_since IS 'when the stage before had begun; NULL: the lead was new';
UPDATE stage_history h SET from_since = p.since
    FROM (
        SELECT b.lead_id, b.seq, lag(b.effective_at) OVER (PARTITION BY b.lead_id ORDER BY b.seq) AS since
        FROM stage_history b
    ) p, setting s
    WHERE s.layout_version < 2 AND p.lead_id = h.lead_id AND p.seq = h.seq AND h.from_stage IS NOT NULL;

-- A column and not only a condition of the index: so the planner knows how
-- few they are.
ALTER TABLE stage_history ADD COLUMN IF NOT EXISTS stepped_back boolean
    GENERATED ALWAYS AS (from_stage IS NOT NULL AND to_stage < from_stage AND to_stage >= 'visitor') STORED;
COMMENT ON COLUMN stage_history.stepped_back IS 'whether the lead went to a lower stage without leaving the funnel';
CREATE INDEX IF NOT EXISTS stage_history_stepped_back_idx ON stage_history (lead_id) WHERE stepped_back;

UPDATE setting SET layout_version = 2 WHERE layout_version < 2;
