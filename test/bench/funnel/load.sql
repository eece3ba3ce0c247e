-- 1,000,000 leads and their history of stages over two years: 45 % stay
-- visitors, some start further up or skip stages, some fall back, 1 in 20 of
-- those that were lost comes back. Written without events, as only the views
-- are measured. The history lies in the order in which things happened.
\set QUIET on
SET timezone = 'UTC';
SET client_min_messages = 'warning';
CREATE EXTENSION IF NOT EXISTS leadscore;
SELECT leadscore.create_pipeline('crm', attach => false) \g /dev/null

CREATE FUNCTION pg_temp.draw(lead bigint, question int) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (hashint8extended(lead, question) & 1048575) / 1048576.0::double precision;

INSERT INTO crm.campaign (campaign, channel) SELECT 'campaign ' || n, (ARRAY['seo','content','social','email','telemarketing'])[1 + n % 5] FROM generate_series(1, 40) n;
INSERT INTO crm.lead (lead_id, external_id, market, country, channel, campaign, owner, created_at, updated_at)
    SELECT n, 'lead ' || n, (ARRAY['b2b','b2c'])[1 + n % 2], (ARRAY['DE','FR','ES',NULL])[1 + n % 4],
        (ARRAY['seo','content','social',NULL])[1 + (n / 7) % 4], 'campaign ' || 1 + n % 40, 'owner ' || n % 20,
        now() - interval '730 days' * (1 - n / 1000001.0), now()
    FROM generate_series(1, 1000000) n;

-- the stages that a lead goes through, each lasting some days
CREATE TEMP TABLE step AS
    SELECT l.lead_id, s.seq, s.stage, l.created_at + interval '20 days' * sum(CASE WHEN s.seq = 1 THEN 0 ELSE pg_temp.draw(l.lead_id, 10 + s.seq::int) END)
        OVER (PARTITION BY l.lead_id ORDER BY s.seq) AS at
    FROM crm.lead l,
        LATERAL (SELECT pg_temp.draw(l.lead_id, 1) AS d, pg_temp.draw(l.lead_id, 2) AS e) r,
        LATERAL unnest(CASE
            WHEN r.d < 0.45 THEN '{visitor}'
            WHEN r.d < 0.55 THEN '{iql}'
            WHEN r.d < 0.70 THEN '{visitor,iql}'
            WHEN r.d < 0.75 THEN '{visitor,iql,lost}'
            WHEN r.d < 0.82 THEN '{visitor,iql,mql}'
            WHEN r.d < 0.85 THEN '{visitor,mql}'
            WHEN r.d < 0.89 THEN '{visitor,iql,mql,recycled}'
            WHEN r.d < 0.90 THEN '{visitor,iql,mql,recycled,iql,mql,sql}'
            WHEN r.d < 0.92 THEN '{visitor,iql,mql,iql}'
            WHEN r.d < 0.93 THEN '{visitor,iql,mql,iql,mql,sql,prospect,customer}'
            WHEN r.d < 0.96 THEN '{visitor,iql,mql,sql}'
            WHEN r.d < 0.98 THEN '{visitor,iql,mql,sql,prospect,lost}'
            ELSE '{visitor,iql,mql,sql,prospect,customer}' END::text[]) WITH ORDINALITY AS s (stage, seq);
DELETE FROM step WHERE at > now();
INSERT INTO crm.stage_history (lead_id, seq, cycle, from_stage, to_stage, effective_at, recorded_at, cause, model, score, from_since)
    SELECT * FROM (
        SELECT s.lead_id, s.seq, 1 + count(*) FILTER (WHERE s.stage IN ('lost', 'recycled')) OVER (earlier ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
            (lag(s.stage) OVER earlier)::leadscore.lead_stage, s.stage::leadscore.lead_stage, s.at, s.at, CASE s.seq WHEN 1 THEN 'created' ELSE 'points' END, 'inbound', 10 * s.seq, lag(s.at) OVER earlier
        FROM step s
        WINDOW earlier AS (PARTITION BY s.lead_id ORDER BY s.seq)) h
    ORDER BY 6;
INSERT INTO crm.lead_state (lead_id, stage_since, cycle, stage, held, settled_at, activity)
    SELECT DISTINCT ON (h.lead_id) h.lead_id, h.effective_at, h.cycle, h.to_stage, false, h.effective_at, 'day{}'
    FROM crm.stage_history h ORDER BY h.lead_id, h.seq DESC;
VACUUM ANALYZE;
SELECT count(*) AS stage_history_rows FROM crm.stage_history;
