-- The view hot_leads where Citus spreads the leads over nodes. There nothing is joined
-- lead by lead to what was ranked, so all hot leads are explained.
CREATE OR REPLACE VIEW hot_leads WITH (security_invoker = true) AS
SELECT
    row_number() OVER (ORDER BY h.stage_rank DESC, h.score DESC, h.stage_since_at, h.lead_id) AS call_order,
    h.lead_id, h.external_id, h.organization, h.owner, h.channel, h.campaign, h.stage, h.stage_rank, h.score, h.why,
    h.stage_since_at, h.due_at, h.contacted, h.contacted_at, h.breached, h.contact_allowed, h.deadline_at
FROM _hot_lead h
ORDER BY call_order;
