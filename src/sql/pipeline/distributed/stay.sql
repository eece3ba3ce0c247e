-- The view _stay where Citus spreads the leads over nodes. There what is joined to a
-- union that has joins in it is refused, so the stays of all leads are computed first.
CREATE OR REPLACE VIEW _stay WITH (security_invoker = true) AS
WITH stay AS MATERIALIZED (
    SELECT y.lead_id, y.seq, y.cycle, y.stage, y.entered_at, y.due_at, y.left_at, y.is_current, y.contacted_at
    FROM _stay_row y
)
SELECT y.lead_id, y.seq, y.cycle, y.stage, y.entered_at, y.due_at, y.left_at, y.is_current, y.contacted_at
FROM stay y;
