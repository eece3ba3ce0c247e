-- The funnel: who entered a stage, and who went on.
--
-- All is counted per lead and run (cycle): who comes back after an exit runs
-- through the funnel again. In a run the first entry into a stage counts, and
-- all that follows counts where and when it was entered: so whoever converted
-- was counted as entered before, and no rate of entries exceeds 1, though
-- leads skip stages, fall back and begin anywhere.
--
-- stage_entry says so for each entry. The funnels do not read it, as windows
-- over millions of rows take seconds: they add up funnel_ledger (those of all
-- leads book moves that are alike together), and a test compares the two.
-- Ranks of stages that follow each other differ by 10, and 1 << rank / 10 is a
-- stage as a bit.

CREATE OR REPLACE VIEW lead_dim WITH (security_invoker = true) AS
SELECT
    l.lead_id,
    l.external_id,
    l.kind,
    l.organization,
    coalesce(l.market, '(none)') AS market,
    coalesce(l.country, '(none)') AS country,
    coalesce(l.channel, c.channel, '(none)') AS channel,
    coalesce(c.direction, h.direction, '(none)') AS direction,
    coalesce(l.campaign, '(none)') AS campaign,
    coalesce(c.sourcing, '(none)') AS sourcing,
    coalesce(l.owner, '(none)') AS owner,
    coalesce(l.persona, '(none)') AS persona,
    n.stage::text AS stage,
    stage_rank(n.stage) AS stage_rank,
    temperature(n.stage) AS temperature,
    n.stage >= 'sql' AND n.stage < 'customer' AS ready_to_buy,
    CASE WHEN n.stage = s.stage THEN s.stage_since ELSE s.next_review_at END AS stage_since_at,
    s.cycle,
    l.consented_at IS NOT NULL AS consented,
    l.contact_allowed,
    l.referred_by IS NOT NULL AS referred,
    CASE WHEN isfinite(l.created_at) THEN l.created_at END AS created_at,
    CASE WHEN isfinite(l.created_at) THEN (l.created_at AT TIME ZONE z.time_zone)::date END AS created_date,
    month_start(l.created_at, z.time_zone) AS created_month
FROM lead l
    CROSS JOIN setting z
    LEFT JOIN lead_state s USING (lead_id)
    LEFT JOIN model m ON m.status = 'active'
    LEFT JOIN campaign c ON c.campaign = l.campaign
    LEFT JOIN channel h ON h.channel = coalesce(l.channel, c.channel)
    LEFT JOIN LATERAL (SELECT CASE WHEN s.next_review_at <= now() OR s.configuration < (SELECT g.configuration FROM setting g) THEN current_stage(pipeline(), s.lead_id) ELSE s.stage END) AS n (stage) ON true;
COMMENT ON VIEW lead_dim IS 'one row a lead: what reports are sliced by; join it by lead_id. No personal data';
COMMENT ON COLUMN lead_dim.lead_id IS 'the lead';
COMMENT ON COLUMN lead_dim.external_id IS 'name of the lead in the app';
COMMENT ON COLUMN lead_dim.kind IS 'person or organization';
COMMENT ON COLUMN lead_dim.organization IS 'organization that the person belongs to';
COMMENT ON COLUMN lead_dim.market IS 'b2b or b2c; (none): not known';
COMMENT ON COLUMN lead_dim.country IS 'country; (none): not known';
COMMENT ON COLUMN lead_dim.channel IS 'channel that the lead came by, or that of its campaign; (none): not known';
COMMENT ON COLUMN lead_dim.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN lead_dim.campaign IS 'campaign that the lead came by; (none): not known';
COMMENT ON COLUMN lead_dim.sourcing IS 'internal or outsourced, of the campaign; (none): not known';
COMMENT ON COLUMN lead_dim.owner IS 'who looks after the lead; (none): nobody';
COMMENT ON COLUMN lead_dim.persona IS 'buyer persona; (none): not known';
COMMENT ON COLUMN lead_dim.stage IS 'stage of the lead now';
COMMENT ON COLUMN lead_dim.stage_rank IS 'order of the stages';
COMMENT ON COLUMN lead_dim.temperature IS 'cold (iql), warm (mql), hot (sql)';
COMMENT ON COLUMN lead_dim.ready_to_buy IS 'true: sql or prospect; false: all others, such as the curious';
COMMENT ON COLUMN lead_dim.stage_since_at IS 'since when the lead is in its stage';
COMMENT ON COLUMN lead_dim.cycle IS 'number of the run through the funnel';
COMMENT ON COLUMN lead_dim.consented IS 'whether the data protection policy is accepted';
COMMENT ON COLUMN lead_dim.contact_allowed IS 'whether messages may be sent; NULL: not asked';
COMMENT ON COLUMN lead_dim.referred IS 'whether another lead recommended us';
COMMENT ON COLUMN lead_dim.created_at IS 'when the lead was first heard of';
COMMENT ON COLUMN lead_dim.created_date IS 'the day of that';
COMMENT ON COLUMN lead_dim.created_month IS 'first day of the month of that';

CREATE OR REPLACE VIEW stage_entry WITH (security_invoker = true) AS
SELECT
    e.lead_id,
    e.seq AS entry_seq,
    e.cycle,
    e.stage,
    e.stage_rank,
    e.entered_at,
    (e.entered_at AT TIME ZONE z.time_zone)::date AS entered_date,
    month_start(e.entered_at, z.time_zone) AS entered_month,
    e.left_at,
    e.next_stage,
    e.next_stage_rank,
    date_part('epoch', e.left_at - e.entered_at) / 86400 AS days_in_stage,
    CASE WHEN e.left_at IS NULL THEN date_part('epoch', now() - e.entered_at) / 86400 END AS open_days,
    e.cause,
    e.entered::integer AS entered,
    e.directly::integer AS entered_directly,
    e.converted::integer AS converted,
    (e.entered AND NOT e.converted AND e.gone)::integer AS lost,
    (e.entered AND NOT e.converted AND NOT e.gone)::integer AS open,
    (e.entered AND e.mature)::integer AS matured,
    (e.converted AND e.mature)::integer AS matured_converted,
    CASE WHEN NOT e.converted THEN NULL WHEN e.next_stage_rank > e.stage_rank THEN e.left_at ELSE c.converted_at END AS converted_at,
    CASE WHEN e.entered AND NOT e.converted THEN e.gone_at END AS lost_at,
    d.external_id,
    coalesce(d.channel, '(none)') AS channel,
    coalesce(d.direction, '(none)') AS direction,
    coalesce(d.campaign, '(none)') AS campaign,
    coalesce(d.market, '(none)') AS market,
    coalesce(d.country, '(none)') AS country,
    coalesce(d.owner, '(none)') AS owner,
    coalesce(d.persona, '(none)') AS persona
FROM (
        SELECT
            p.lead_id,
            p.seq,
            p.cycle,
            p.to_stage::text AS stage,
            p.stage_rank,
            p.effective_at AS entered_at,
            p.left_at,
            p.next_stage::text AS next_stage,
            stage_rank(p.next_stage) AS next_stage_rank,
            p.cause,
            p.funnel AND p.earlier & p.bit = 0 AS entered,
            p.funnel AND p.earlier & (p.bit | (p.bit >> 1)) = 0 AS directly,
            p.funnel AND p.earlier & p.bit = 0 AND p.later >= p.bit << 1 AS converted,
            p.gone_at IS NOT NULL AS gone,
            p.gone_at,
            p.effective_at <= m.before AS mature
        FROM (
                SELECT
                    b.lead_id,
                    b.seq,
                    b.cycle,
                    b.to_stage,
                    b.stage_rank,
                    b.bit,
                    b.stage_rank >= 40 AS funnel,
                    b.effective_at,
                    b.cause,
                    lead(b.effective_at) OVER course AS left_at,
                    lead(b.to_stage) OVER course AS next_stage,
                    coalesce(bit_or(b.bit) OVER (run ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS earlier,
                    coalesce(bit_or(b.bit) OVER (run ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING), 0) AS later,
                    min(b.effective_at) FILTER (WHERE b.stage_rank < 40) OVER (PARTITION BY b.lead_id, b.cycle) AS gone_at
                FROM (
                        SELECT h.*, stage_rank(h.to_stage) AS stage_rank, 1 << stage_rank(h.to_stage) / 10 AS bit
                        FROM stage_history h
                    ) b
                WINDOW course AS (PARTITION BY b.lead_id ORDER BY b.seq),
                    run AS (PARTITION BY b.lead_id, b.cycle ORDER BY b.seq)
            ) p
            CROSS JOIN (SELECT (now() AT TIME ZONE s.time_zone - s.mature_after) AT TIME ZONE s.time_zone AS before, s.time_zone FROM setting s) m
    ) e
    CROSS JOIN setting z
    LEFT JOIN lead_dim d USING (lead_id)
    -- who fell back first converted later than when the stage was left
    LEFT JOIN LATERAL (
        SELECT min(h.effective_at) AS converted_at
        FROM stage_history h
        WHERE e.converted AND e.next_stage_rank < e.stage_rank
            AND h.lead_id = e.lead_id AND h.cycle = e.cycle AND h.seq > e.seq AND stage_rank(h.to_stage) > e.stage_rank
    ) c ON true;
COMMENT ON VIEW stage_entry IS 'one row for each time that a lead was in a stage: sums of the 0/1 columns, grouped by anything, are funnels; rows of exits (recycled, lost, disqualified) have 0 in all of them';
COMMENT ON COLUMN stage_entry.lead_id IS 'the lead';
COMMENT ON COLUMN stage_entry.entry_seq IS 'number of the stage of this lead';
COMMENT ON COLUMN stage_entry.cycle IS 'number of the run through the funnel';
COMMENT ON COLUMN stage_entry.stage IS 'the stage';
COMMENT ON COLUMN stage_entry.stage_rank IS 'order of the stages';
COMMENT ON COLUMN stage_entry.entered_at IS 'when it began';
COMMENT ON COLUMN stage_entry.entered_date IS 'the day of that';
COMMENT ON COLUMN stage_entry.entered_month IS 'first day of the month of that';
COMMENT ON COLUMN stage_entry.left_at IS 'when it ended; NULL: the lead is still there';
COMMENT ON COLUMN stage_entry.next_stage IS 'the stage after it; NULL: the lead is still there';
COMMENT ON COLUMN stage_entry.next_stage_rank IS 'order of the stages';
COMMENT ON COLUMN stage_entry.days_in_stage IS 'how long it lasted; NULL: the lead is still there';
COMMENT ON COLUMN stage_entry.open_days IS 'how long it lasts so far; NULL: the lead has left';
COMMENT ON COLUMN stage_entry.cause IS 'how it was entered: created, points, decay, milestone, set, profile, activation or rebuild';
COMMENT ON COLUMN stage_entry.entered IS '1: first entry into this stage in this run; 0: came back to it, or an exit';
COMMENT ON COLUMN stage_entry.entered_directly IS '1: of these, the lead had not been in the stage before it in this run';
COMMENT ON COLUMN stage_entry.converted IS '1: of those entered, the lead reached a higher stage later in this run';
COMMENT ON COLUMN stage_entry.lost IS '1: of those entered, it did not, and the run ended in an exit';
COMMENT ON COLUMN stage_entry.open IS '1: of those entered, neither so far';
COMMENT ON COLUMN stage_entry.matured IS '1: of those entered, at least setting.mature_after ago';
COMMENT ON COLUMN stage_entry.matured_converted IS '1: matured and converted';
COMMENT ON COLUMN stage_entry.converted_at IS 'when the higher stage was reached';
COMMENT ON COLUMN stage_entry.lost_at IS 'when the run ended';
COMMENT ON COLUMN stage_entry.external_id IS 'name of the lead in the app';
COMMENT ON COLUMN stage_entry.channel IS 'channel that the lead came by, or that of its campaign; (none): not known';
COMMENT ON COLUMN stage_entry.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN stage_entry.campaign IS 'campaign that the lead came by; (none): not known';
COMMENT ON COLUMN stage_entry.market IS 'b2b or b2c; (none): not known';
COMMENT ON COLUMN stage_entry.country IS 'country; (none): not known';
COMMENT ON COLUMN stage_entry.owner IS 'who looks after the lead; (none): nobody';
COMMENT ON COLUMN stage_entry.persona IS 'buyer persona; (none): not known';

-- Each change of a stage books an entry and what became of the entry before
-- it. Where leads only rise, that is all.
CREATE OR REPLACE VIEW funnel_ledger WITH (security_invoker = true) AS
SELECT
    h.lead_id,
    h.to_stage::text AS stage,
    stage_rank(h.to_stage) AS stage_rank,
    h.effective_at AS entered_at,
    month_start(h.effective_at, m.time_zone) AS entered_month,
    h.effective_at <= m.before AS mature,
    1 AS entered,
    CASE WHEN stage_rank(h.from_stage) = stage_rank(h.to_stage) - 10 AND h.from_stage >= 'visitor' THEN 0 ELSE 1 END AS entered_directly,
    0 AS converted,
    0 AS lost,
    1 AS furthest
FROM stage_history h
    JOIN (
        -- grouped, so that it is computed once; joined by an equality that
        -- always holds, so that the planner can do it in parallel
        SELECT z.id, min(z.time_zone) AS time_zone, min((now() AT TIME ZONE z.time_zone - z.mature_after) AT TIME ZONE z.time_zone) AS before
        FROM setting z
        GROUP BY z.id
    ) m ON m.id = (h.lead_id IS NOT NULL)
WHERE h.to_stage >= 'visitor'
UNION ALL
SELECT
    h.lead_id,
    h.from_stage::text AS stage,
    stage_rank(h.from_stage) AS stage_rank,
    h.from_since AS entered_at,
    month_start(h.from_since, m.time_zone) AS entered_month,
    h.from_since <= m.before AS mature,
    0 AS entered,
    0 AS entered_directly,
    CASE WHEN h.to_stage > h.from_stage THEN 1 ELSE 0 END AS converted,
    CASE WHEN h.to_stage > h.from_stage THEN 0 ELSE 1 END AS lost,
    CASE WHEN h.to_stage > h.from_stage THEN -1 ELSE 0 END AS furthest
FROM stage_history h
    JOIN (
        -- grouped, so that it is computed once; joined by an equality that
        -- always holds, so that the planner can do it in parallel
        SELECT z.id, min(z.time_zone) AS time_zone, min((now() AT TIME ZONE z.time_zone - z.mature_after) AT TIME ZONE z.time_zone) AS before
        FROM setting z
        GROUP BY z.id
    ) m ON m.id = (h.lead_id IS NOT NULL)
WHERE h.from_stage >= 'visitor' AND NOT h.stepped_back;
COMMENT ON VIEW funnel_ledger IS 'what the funnels add up, together with funnel_correction: bookings of entries and of what became of them; single rows mean nothing';
COMMENT ON COLUMN funnel_ledger.lead_id IS 'the lead';
COMMENT ON COLUMN funnel_ledger.stage IS 'the stage';
COMMENT ON COLUMN funnel_ledger.stage_rank IS 'order of the stages';
COMMENT ON COLUMN funnel_ledger.entered_at IS 'when the lead entered the stage';
COMMENT ON COLUMN funnel_ledger.entered_month IS 'first day of the month of that';
COMMENT ON COLUMN funnel_ledger.mature IS 'whether that was at least setting.mature_after ago';
COMMENT ON COLUMN funnel_ledger.entered IS 'entries';
COMMENT ON COLUMN funnel_ledger.entered_directly IS 'of these, entries of leads that had not been in the stage before it in this run';
COMMENT ON COLUMN funnel_ledger.converted IS 'of these, entries of leads that reached a higher stage afterwards';
COMMENT ON COLUMN funnel_ledger.lost IS 'of these, entries of leads that did not, and left the funnel';
COMMENT ON COLUMN funnel_ledger.furthest IS 'runs that got to this stage and no farther';

-- Of leads that ever fell back all entries are looked at, and what the ledger
-- has booked wrongly is corrected.
CREATE OR REPLACE VIEW funnel_correction WITH (security_invoker = true) AS
SELECT
    h.lead_id,
    h.stage,
    h.stage_rank,
    h.entered_at,
    month_start(h.entered_at, m.time_zone) AS entered_month,
    h.entered_at <= m.before AS mature,
    h.entered::integer - 1 AS entered,
    (h.entered AND h.earlier & (h.bit >> 1) = 0)::integer - h.booked_directly::integer AS entered_directly,
    (h.entered AND h.later >= h.bit << 1)::integer - (h.next_rank > h.stage_rank)::integer AS converted,
    (h.entered AND h.later < h.bit << 1 AND h.later & 14 <> 0)::integer - (h.next_rank < 40)::integer AS lost,
    (h.entered AND h.later < h.bit << 1 AND h.earlier < h.bit)::integer - (h.next_rank <= h.stage_rank)::integer AS furthest
FROM (
        SELECT
            p.lead_id,
            p.to_stage::text AS stage,
            p.stage_rank,
            p.bit,
            p.effective_at AS entered_at,
            p.earlier & p.bit = 0 AS entered,
            p.earlier,
            p.later,
            coalesce(p.next_rank, p.stage_rank) AS next_rank,
            p.from_stage IS NULL OR p.from_stage < 'visitor' OR stage_rank(p.from_stage) <> p.stage_rank - 10 AS booked_directly
        FROM (
                SELECT
                    b.lead_id,
                    b.from_stage,
                    b.to_stage,
                    b.stage_rank,
                    b.bit,
                    b.effective_at,
                    lead(b.stage_rank) OVER (run ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS next_rank,
                    coalesce(bit_or(b.bit) OVER (run ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS earlier,
                    coalesce(bit_or(b.bit) OVER (run ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING), 0) AS later
                FROM (
                        SELECT h.*, stage_rank(h.to_stage) AS stage_rank, 1 << stage_rank(h.to_stage) / 10 AS bit
                        FROM stage_history h
                        WHERE h.lead_id IN (SELECT k.lead_id FROM stage_history k WHERE k.stepped_back)
                    ) b
                WINDOW run AS (PARTITION BY b.lead_id, b.cycle ORDER BY b.seq)
            ) p
        WHERE p.stage_rank >= 40
    ) h
    JOIN (
        -- grouped, so that it is computed once; joined by an equality that
        -- always holds, so that the planner can do it in parallel
        SELECT z.id, min(z.time_zone) AS time_zone, min((now() AT TIME ZONE z.time_zone - z.mature_after) AT TIME ZONE z.time_zone) AS before
        FROM setting z
        GROUP BY z.id
    ) m ON m.id = (h.lead_id IS NOT NULL);
COMMENT ON VIEW funnel_correction IS 'what is added to funnel_ledger because leads fell back; single rows mean nothing';
COMMENT ON COLUMN funnel_correction.lead_id IS 'the lead';
COMMENT ON COLUMN funnel_correction.stage IS 'the stage';
COMMENT ON COLUMN funnel_correction.stage_rank IS 'order of the stages';
COMMENT ON COLUMN funnel_correction.entered_at IS 'when the lead entered the stage';
COMMENT ON COLUMN funnel_correction.entered_month IS 'first day of the month of that';
COMMENT ON COLUMN funnel_correction.mature IS 'whether that was at least setting.mature_after ago';
COMMENT ON COLUMN funnel_correction.entered IS 'entries';
COMMENT ON COLUMN funnel_correction.entered_directly IS 'of these, entries of leads that had not been in the stage before it in this run';
COMMENT ON COLUMN funnel_correction.converted IS 'of these, entries of leads that reached a higher stage afterwards';
COMMENT ON COLUMN funnel_correction.lost IS 'of these, entries of leads that did not, and left the funnel';
COMMENT ON COLUMN funnel_correction.furthest IS 'runs that got to this stage and no farther';

CREATE OR REPLACE VIEW funnel WITH (security_invoker = true) AS
WITH moved AS (
    -- moves that book alike, counted in one pass
    SELECT
        h.from_stage,
        h.to_stage,
        count(*) AS moves,
        count(*) FILTER (WHERE h.effective_at <= m.before) AS matured,
        count(*) FILTER (WHERE h.from_since <= m.before) AS from_matured
    FROM stage_history h
        JOIN (
            SELECT z.id, min(z.time_zone) AS time_zone, min((now() AT TIME ZONE z.time_zone - z.mature_after) AT TIME ZONE z.time_zone) AS before
            FROM setting z
            GROUP BY z.id
        ) m ON m.id = (h.lead_id IS NOT NULL)
    GROUP BY h.from_stage, h.to_stage
), booked AS (
    SELECT
        stage_rank(v.to_stage) AS stage_rank,
        v.moves AS entered,
        CASE WHEN stage_rank(v.from_stage) = stage_rank(v.to_stage) - 10 AND v.from_stage >= 'visitor' THEN 0 ELSE v.moves END AS entered_directly,
        0 AS converted,
        0 AS lost,
        v.matured,
        0 AS matured_converted,
        v.moves AS runs
    FROM moved v
    WHERE v.to_stage >= 'visitor'
    UNION ALL
    SELECT
        stage_rank(v.from_stage) AS stage_rank,
        0 AS entered,
        0 AS entered_directly,
        CASE WHEN v.to_stage > v.from_stage THEN v.moves ELSE 0 END AS converted,
        CASE WHEN v.to_stage > v.from_stage THEN 0 ELSE v.moves END AS lost,
        0 AS matured,
        CASE WHEN v.to_stage > v.from_stage THEN v.from_matured ELSE 0 END AS matured_converted,
        CASE WHEN v.to_stage > v.from_stage THEN -v.moves ELSE 0 END AS runs
    FROM moved v
    WHERE v.from_stage >= 'visitor' AND (v.to_stage > v.from_stage OR v.to_stage < 'visitor')
    UNION ALL
    SELECT
        g.stage_rank,
        sum(g.entered) AS entered,
        sum(g.entered_directly) AS entered_directly,
        sum(g.converted) AS converted,
        sum(g.lost) AS lost,
        sum(g.entered) FILTER (WHERE g.mature) AS matured,
        sum(g.converted) FILTER (WHERE g.mature) AS matured_converted,
        sum(g.furthest) AS runs
    FROM funnel_correction g
    GROUP BY g.stage_rank
), entry AS (
    SELECT
        b.stage_rank,
        sum(b.entered)::bigint AS entered,
        sum(b.entered_directly)::bigint AS entered_directly,
        sum(b.converted)::bigint AS converted,
        sum(b.lost)::bigint AS lost,
        sum(b.matured)::bigint AS matured,
        sum(b.matured_converted)::bigint AS matured_converted,
        sum(b.runs) AS runs
    FROM booked b
    GROUP BY b.stage_rank
), present AS (
    -- few are due, and only of them the stage must be computed
    SELECT n.stage_rank, sum(n.leads)::bigint AS leads
    FROM (
            SELECT stage_rank(k.stage) AS stage_rank, k.leads
            FROM (
                    SELECT s.stage, count(*) AS leads
                    FROM lead_state s
                    WHERE s.next_review_at > now() OR s.next_review_at IS NULL
                    GROUP BY s.stage
                ) k
            UNION ALL
            SELECT stage_rank(CASE WHEN s.next_review_at <= now() OR s.configuration < (SELECT g.configuration FROM setting g) THEN current_stage(pipeline(), s.lead_id) ELSE s.stage END) AS stage_rank, 1 AS leads
            FROM lead_state s
                LEFT JOIN model m ON m.status = 'active'
            WHERE s.next_review_at <= now()
        ) n
    GROUP BY n.stage_rank
), counted AS (
    SELECT
        t.stage,
        t.stage_rank,
        t.stage_label,
        coalesce(p.leads, 0) AS leads_now,
        coalesce(e.entered, 0) AS entered,
        coalesce(e.entered_directly, 0) AS entered_directly,
        coalesce(e.converted, 0) AS converted,
        coalesce(e.lost, 0) AS lost,
        coalesce(e.matured, 0) AS matured,
        coalesce(e.matured_converted, 0) AS matured_converted,
        coalesce(sum(e.runs) OVER (ORDER BY t.stage_rank DESC), 0)::bigint AS reached,
        (sum(e.runs) OVER ())::bigint AS runs
    FROM stages() t
        LEFT JOIN entry e USING (stage_rank)
        LEFT JOIN present p USING (stage_rank)
    WHERE t.stage >= 'visitor'
)
SELECT
    c.stage::text AS stage,
    c.stage_rank,
    c.stage_label,
    c.leads_now,
    c.entered,
    c.entered_directly,
    c.converted,
    c.lost,
    c.entered - c.converted - c.lost AS open,
    c.converted::double precision / nullif(c.entered, 0) AS step_rate,
    c.reached::double precision / nullif(c.runs, 0) AS cumulative_rate,
    c.reached,
    c.converted + c.lost AS resolved,
    c.matured,
    c.matured_converted,
    c.converted::double precision / nullif(c.converted + c.lost, 0) AS resolved_rate,
    c.matured_converted::double precision / nullif(c.matured, 0) AS matured_rate,
    rate_low(c.converted, c.entered) AS step_low_rate,
    rate_high(c.converted, c.entered) AS step_high_rate
FROM counted c
ORDER BY c.stage_rank;
COMMENT ON VIEW funnel IS 'one row a stage, from visitor to advocate: how many leads came in and how many went on; a lead that was lost and came back counts again';
COMMENT ON COLUMN funnel.stage IS 'the stage';
COMMENT ON COLUMN funnel.stage_rank IS 'order of the stages';
COMMENT ON COLUMN funnel.stage_label IS 'the stage with a number in front, for tools that sort by name';
COMMENT ON COLUMN funnel.leads_now IS 'leads in this stage now';
COMMENT ON COLUMN funnel.entered IS 'leads that ever were in this stage: converted, lost and open together';
COMMENT ON COLUMN funnel.entered_directly IS 'of these, those that had not been in the stage before it in this run';
COMMENT ON COLUMN funnel.converted IS 'of those that entered, those that reached a higher stage afterwards';
COMMENT ON COLUMN funnel.lost IS 'of those that entered, those that did not, and are recycled, lost or disqualified';
COMMENT ON COLUMN funnel.open IS 'of those that entered, those of whom neither is known yet';
COMMENT ON COLUMN funnel.step_rate IS 'converted / entered; too low for young entries, which had little time';
COMMENT ON COLUMN funnel.cumulative_rate IS 'reached / all leads of the funnel';
COMMENT ON COLUMN funnel.reached IS 'leads that got this far or farther, whether or not they were in this very stage';
COMMENT ON COLUMN funnel.resolved IS 'converted + lost';
COMMENT ON COLUMN funnel.matured IS 'of those that entered, those that did so at least setting.mature_after ago';
COMMENT ON COLUMN funnel.matured_converted IS 'of these, those that reached a higher stage afterwards';
COMMENT ON COLUMN funnel.resolved_rate IS 'converted / resolved; too high for young entries, as winners are known first';
COMMENT ON COLUMN funnel.matured_rate IS 'matured_converted / matured; right for every age, but silent about the young ones';
COMMENT ON COLUMN funnel.step_low_rate IS 'lower end of the 95 % interval of step_rate (Wilson): wide means few leads';
COMMENT ON COLUMN funnel.step_high_rate IS 'upper end of it';

CREATE OR REPLACE VIEW funnel_cohort WITH (security_invoker = true) AS
WITH moved AS (
    -- moves that book alike, counted in one pass
    SELECT
        h.from_stage,
        h.to_stage,
        month_start(h.effective_at, m.time_zone) AS entered_month,
        month_start(h.from_since, m.time_zone) AS from_month,
        count(*) AS moves,
        count(*) FILTER (WHERE h.effective_at <= m.before) AS matured,
        count(*) FILTER (WHERE h.from_since <= m.before) AS from_matured
    FROM stage_history h
        JOIN (
            SELECT z.id, min(z.time_zone) AS time_zone, min((now() AT TIME ZONE z.time_zone - z.mature_after) AT TIME ZONE z.time_zone) AS before
            FROM setting z
            GROUP BY z.id
        ) m ON m.id = (h.lead_id IS NOT NULL)
    GROUP BY h.from_stage, h.to_stage, entered_month, from_month
), booked AS (
    SELECT
        v.entered_month,
        stage_rank(v.to_stage) AS stage_rank,
        v.moves AS entered,
        CASE WHEN stage_rank(v.from_stage) = stage_rank(v.to_stage) - 10 AND v.from_stage >= 'visitor' THEN 0 ELSE v.moves END AS entered_directly,
        0 AS converted,
        0 AS lost,
        v.matured,
        0 AS matured_converted
    FROM moved v
    WHERE v.to_stage >= 'visitor'
    UNION ALL
    SELECT
        v.from_month AS entered_month,
        stage_rank(v.from_stage) AS stage_rank,
        0 AS entered,
        0 AS entered_directly,
        CASE WHEN v.to_stage > v.from_stage THEN v.moves ELSE 0 END AS converted,
        CASE WHEN v.to_stage > v.from_stage THEN 0 ELSE v.moves END AS lost,
        0 AS matured,
        CASE WHEN v.to_stage > v.from_stage THEN v.from_matured ELSE 0 END AS matured_converted
    FROM moved v
    WHERE v.from_stage >= 'visitor' AND (v.to_stage > v.from_stage OR v.to_stage < 'visitor')
    UNION ALL
    SELECT
        g.entered_month,
        g.stage_rank,
        sum(g.entered) AS entered,
        sum(g.entered_directly) AS entered_directly,
        sum(g.converted) AS converted,
        sum(g.lost) AS lost,
        sum(g.entered) FILTER (WHERE g.mature) AS matured,
        sum(g.converted) FILTER (WHERE g.mature) AS matured_converted
    FROM funnel_correction g
    GROUP BY g.entered_month, g.stage_rank
), entry AS (
    SELECT
        b.entered_month,
        b.stage_rank,
        sum(b.entered)::bigint AS entered,
        sum(b.entered_directly)::bigint AS entered_directly,
        sum(b.converted)::bigint AS converted,
        sum(b.lost)::bigint AS lost,
        sum(b.matured)::bigint AS matured,
        sum(b.matured_converted)::bigint AS matured_converted
    FROM booked b
    GROUP BY b.entered_month, b.stage_rank
), counted AS (
    SELECT
        k.entered_month,
        t.stage,
        t.stage_rank,
        t.stage_label,
        coalesce(e.entered, 0) AS entered,
        coalesce(e.entered_directly, 0) AS entered_directly,
        coalesce(e.converted, 0) AS converted,
        coalesce(e.lost, 0) AS lost,
        coalesce(e.matured, 0) AS matured,
        coalesce(e.matured_converted, 0) AS matured_converted
    FROM (
            SELECT n.entered_month FROM entry n WHERE n.entered > 0
            UNION
            SELECT month_start(now(), s.time_zone) AS entered_month FROM setting s
        ) k
        CROSS JOIN stages() t
        LEFT JOIN entry e ON e.entered_month = k.entered_month AND e.stage_rank = t.stage_rank
    WHERE t.stage >= 'visitor'
)
SELECT
    c.entered_month,
    c.stage::text AS stage,
    c.stage_rank,
    c.stage_label,
    c.entered,
    c.entered_directly,
    c.converted,
    c.lost,
    c.entered - c.converted - c.lost AS open,
    c.converted::double precision / nullif(c.entered, 0) AS step_rate,
    c.converted + c.lost AS resolved,
    c.matured,
    c.matured_converted,
    c.converted::double precision / nullif(c.converted + c.lost, 0) AS resolved_rate,
    c.matured_converted::double precision / nullif(c.matured, 0) AS matured_rate,
    rate_low(c.converted, c.entered) AS step_low_rate,
    rate_high(c.converted, c.entered) AS step_high_rate
FROM counted c
ORDER BY c.entered_month, c.stage_rank;
COMMENT ON VIEW funnel_cohort IS 'one row a month and stage: what became, whenever, of the leads that entered the stage in that month; months without entries are left out, but for this one';
COMMENT ON COLUMN funnel_cohort.entered_month IS 'first day of the month of entry';
COMMENT ON COLUMN funnel_cohort.stage IS 'the stage';
COMMENT ON COLUMN funnel_cohort.stage_rank IS 'order of the stages';
COMMENT ON COLUMN funnel_cohort.stage_label IS 'the stage with a number in front, for tools that sort by name';
COMMENT ON COLUMN funnel_cohort.entered IS 'leads that entered the stage: converted, lost and open together';
COMMENT ON COLUMN funnel_cohort.entered_directly IS 'of these, those that had not been in the stage before it in this run';
COMMENT ON COLUMN funnel_cohort.converted IS 'of those that entered, those that reached a higher stage afterwards';
COMMENT ON COLUMN funnel_cohort.lost IS 'of those that entered, those that did not, and are recycled, lost or disqualified';
COMMENT ON COLUMN funnel_cohort.open IS 'of those that entered, those of whom neither is known yet';
COMMENT ON COLUMN funnel_cohort.step_rate IS 'converted / entered; too low for young entries, which had little time';
COMMENT ON COLUMN funnel_cohort.resolved IS 'converted + lost';
COMMENT ON COLUMN funnel_cohort.matured IS 'of those that entered, those that did so at least setting.mature_after ago';
COMMENT ON COLUMN funnel_cohort.matured_converted IS 'of these, those that reached a higher stage afterwards';
COMMENT ON COLUMN funnel_cohort.resolved_rate IS 'converted / resolved; too high for young entries, as winners are known first';
COMMENT ON COLUMN funnel_cohort.matured_rate IS 'matured_converted / matured; right for every age, but silent about the young ones';
COMMENT ON COLUMN funnel_cohort.step_low_rate IS 'lower end of the 95 % interval of step_rate (Wilson): wide means few leads';
COMMENT ON COLUMN funnel_cohort.step_high_rate IS 'upper end of it';

CREATE OR REPLACE VIEW funnel_period WITH (security_invoker = true) AS
SELECT
    p.entered_month,
    p.stage,
    p.stage_rank,
    p.stage_label,
    p.entered,
    p.entered_directly,
    p.previous_stage,
    p.previous_stage_rank,
    p.previous_entered,
    p.entered::double precision / nullif(p.previous_entered, 0) AS period_rate
FROM (
        SELECT
            c.entered_month,
            c.stage,
            c.stage_rank,
            c.stage_label,
            c.entered,
            c.entered_directly,
            lag(c.stage) OVER same_month AS previous_stage,
            lag(c.stage_rank) OVER same_month AS previous_stage_rank,
            lag(c.entered) OVER same_month AS previous_entered
        FROM funnel_cohort c
        WINDOW same_month AS (PARTITION BY c.entered_month ORDER BY c.stage_rank)
    ) p
ORDER BY p.entered_month, p.stage_rank;
COMMENT ON VIEW funnel_period IS 'one row a month and stage: entries into the stage beside entries into the stage before in the same month, mostly of other leads; for the share of leads that go on see funnel_cohort';
COMMENT ON COLUMN funnel_period.entered_month IS 'first day of the month';
COMMENT ON COLUMN funnel_period.stage IS 'the stage';
COMMENT ON COLUMN funnel_period.stage_rank IS 'order of the stages';
COMMENT ON COLUMN funnel_period.stage_label IS 'the stage with a number in front, for tools that sort by name';
COMMENT ON COLUMN funnel_period.entered IS 'leads that entered the stage in the month';
COMMENT ON COLUMN funnel_period.entered_directly IS 'of these, those that had not been in the stage before it in this run';
COMMENT ON COLUMN funnel_period.previous_stage IS 'the stage before; NULL: there is none';
COMMENT ON COLUMN funnel_period.previous_stage_rank IS 'order of the stages';
COMMENT ON COLUMN funnel_period.previous_entered IS 'leads that entered that in the month';
COMMENT ON COLUMN funnel_period.period_rate IS 'entered / previous_entered; may exceed 1, as these are not the same leads';

CREATE OR REPLACE VIEW funnel_by_channel WITH (security_invoker = true) AS
WITH booked AS (
    SELECT
        coalesce(d.channel, '(none)') AS channel,
        g.stage_rank,
        sum(g.entered) AS entered,
        sum(g.entered_directly) AS entered_directly,
        sum(g.converted) AS converted,
        sum(g.lost) AS lost,
        sum(g.entered) FILTER (WHERE g.mature) AS matured,
        sum(g.converted) FILTER (WHERE g.mature) AS matured_converted
    FROM funnel_ledger g
        LEFT JOIN lead_dim d USING (lead_id)
    GROUP BY coalesce(d.channel, '(none)'), g.stage_rank
    UNION ALL
    SELECT
        coalesce(d.channel, '(none)') AS channel,
        g.stage_rank,
        sum(g.entered) AS entered,
        sum(g.entered_directly) AS entered_directly,
        sum(g.converted) AS converted,
        sum(g.lost) AS lost,
        sum(g.entered) FILTER (WHERE g.mature) AS matured,
        sum(g.converted) FILTER (WHERE g.mature) AS matured_converted
    FROM funnel_correction g
        LEFT JOIN lead_dim d USING (lead_id)
    GROUP BY coalesce(d.channel, '(none)'), g.stage_rank
), entry AS (
    SELECT
        b.channel,
        b.stage_rank,
        sum(b.entered)::bigint AS entered,
        sum(b.entered_directly)::bigint AS entered_directly,
        sum(b.converted)::bigint AS converted,
        sum(b.lost)::bigint AS lost,
        sum(b.matured)::bigint AS matured,
        sum(b.matured_converted)::bigint AS matured_converted
    FROM booked b
    GROUP BY b.channel, b.stage_rank
), counted AS (
    SELECT
        k.channel,
        t.stage,
        t.stage_rank,
        t.stage_label,
        coalesce(e.entered, 0) AS entered,
        coalesce(e.entered_directly, 0) AS entered_directly,
        coalesce(e.converted, 0) AS converted,
        coalesce(e.lost, 0) AS lost,
        coalesce(e.matured, 0) AS matured,
        coalesce(e.matured_converted, 0) AS matured_converted
    FROM (
            SELECT n.channel FROM entry n
            UNION
            SELECT '(none)' AS channel
        ) k
        CROSS JOIN stages() t
        LEFT JOIN entry e ON e.channel = k.channel AND e.stage_rank = t.stage_rank
    WHERE t.stage >= 'visitor'
)
SELECT
    c.channel,
    c.stage::text AS stage,
    c.stage_rank,
    c.stage_label,
    c.entered,
    c.entered_directly,
    c.converted,
    c.lost,
    c.entered - c.converted - c.lost AS open,
    c.converted::double precision / nullif(c.entered, 0) AS step_rate,
    c.converted + c.lost AS resolved,
    c.matured,
    c.matured_converted,
    c.converted::double precision / nullif(c.converted + c.lost, 0) AS resolved_rate,
    c.matured_converted::double precision / nullif(c.matured, 0) AS matured_rate,
    rate_low(c.converted, c.entered) AS step_low_rate,
    rate_high(c.converted, c.entered) AS step_high_rate
FROM counted c
ORDER BY c.channel, c.stage_rank;
COMMENT ON VIEW funnel_by_channel IS 'one row a channel and stage: the funnel of its leads; (none): leads without';
COMMENT ON COLUMN funnel_by_channel.channel IS 'channel that the lead came by, or that of its campaign; (none): not known';
COMMENT ON COLUMN funnel_by_channel.stage IS 'the stage';
COMMENT ON COLUMN funnel_by_channel.stage_rank IS 'order of the stages';
COMMENT ON COLUMN funnel_by_channel.stage_label IS 'the stage with a number in front, for tools that sort by name';
COMMENT ON COLUMN funnel_by_channel.entered IS 'leads that entered the stage: converted, lost and open together';
COMMENT ON COLUMN funnel_by_channel.entered_directly IS 'of these, those that had not been in the stage before it in this run';
COMMENT ON COLUMN funnel_by_channel.converted IS 'of those that entered, those that reached a higher stage afterwards';
COMMENT ON COLUMN funnel_by_channel.lost IS 'of those that entered, those that did not, and are recycled, lost or disqualified';
COMMENT ON COLUMN funnel_by_channel.open IS 'of those that entered, those of whom neither is known yet';
COMMENT ON COLUMN funnel_by_channel.step_rate IS 'converted / entered; too low for young entries, which had little time';
COMMENT ON COLUMN funnel_by_channel.resolved IS 'converted + lost';
COMMENT ON COLUMN funnel_by_channel.matured IS 'of those that entered, those that did so at least setting.mature_after ago';
COMMENT ON COLUMN funnel_by_channel.matured_converted IS 'of these, those that reached a higher stage afterwards';
COMMENT ON COLUMN funnel_by_channel.resolved_rate IS 'converted / resolved; too high for young entries, as winners are known first';
COMMENT ON COLUMN funnel_by_channel.matured_rate IS 'matured_converted / matured; right for every age, but silent about the young ones';
COMMENT ON COLUMN funnel_by_channel.step_low_rate IS 'lower end of the 95 % interval of step_rate (Wilson): wide means few leads';
COMMENT ON COLUMN funnel_by_channel.step_high_rate IS 'upper end of it';

CREATE OR REPLACE VIEW funnel_by_campaign WITH (security_invoker = true) AS
WITH booked AS (
    SELECT
        coalesce(d.campaign, '(none)') AS campaign,
        g.stage_rank,
        sum(g.entered) AS entered,
        sum(g.entered_directly) AS entered_directly,
        sum(g.converted) AS converted,
        sum(g.lost) AS lost,
        sum(g.entered) FILTER (WHERE g.mature) AS matured,
        sum(g.converted) FILTER (WHERE g.mature) AS matured_converted
    FROM funnel_ledger g
        LEFT JOIN lead_dim d USING (lead_id)
    GROUP BY coalesce(d.campaign, '(none)'), g.stage_rank
    UNION ALL
    SELECT
        coalesce(d.campaign, '(none)') AS campaign,
        g.stage_rank,
        sum(g.entered) AS entered,
        sum(g.entered_directly) AS entered_directly,
        sum(g.converted) AS converted,
        sum(g.lost) AS lost,
        sum(g.entered) FILTER (WHERE g.mature) AS matured,
        sum(g.converted) FILTER (WHERE g.mature) AS matured_converted
    FROM funnel_correction g
        LEFT JOIN lead_dim d USING (lead_id)
    GROUP BY coalesce(d.campaign, '(none)'), g.stage_rank
), entry AS (
    SELECT
        b.campaign,
        b.stage_rank,
        sum(b.entered)::bigint AS entered,
        sum(b.entered_directly)::bigint AS entered_directly,
        sum(b.converted)::bigint AS converted,
        sum(b.lost)::bigint AS lost,
        sum(b.matured)::bigint AS matured,
        sum(b.matured_converted)::bigint AS matured_converted
    FROM booked b
    GROUP BY b.campaign, b.stage_rank
), counted AS (
    SELECT
        k.campaign,
        t.stage,
        t.stage_rank,
        t.stage_label,
        coalesce(e.entered, 0) AS entered,
        coalesce(e.entered_directly, 0) AS entered_directly,
        coalesce(e.converted, 0) AS converted,
        coalesce(e.lost, 0) AS lost,
        coalesce(e.matured, 0) AS matured,
        coalesce(e.matured_converted, 0) AS matured_converted
    FROM (
            SELECT n.campaign FROM entry n
            UNION
            SELECT '(none)' AS campaign
        ) k
        CROSS JOIN stages() t
        LEFT JOIN entry e ON e.campaign = k.campaign AND e.stage_rank = t.stage_rank
    WHERE t.stage >= 'visitor'
)
SELECT
    c.campaign,
    c.stage::text AS stage,
    c.stage_rank,
    c.stage_label,
    c.entered,
    c.entered_directly,
    c.converted,
    c.lost,
    c.entered - c.converted - c.lost AS open,
    c.converted::double precision / nullif(c.entered, 0) AS step_rate,
    c.converted + c.lost AS resolved,
    c.matured,
    c.matured_converted,
    c.converted::double precision / nullif(c.converted + c.lost, 0) AS resolved_rate,
    c.matured_converted::double precision / nullif(c.matured, 0) AS matured_rate,
    rate_low(c.converted, c.entered) AS step_low_rate,
    rate_high(c.converted, c.entered) AS step_high_rate
FROM counted c
ORDER BY c.campaign, c.stage_rank;
COMMENT ON VIEW funnel_by_campaign IS 'one row a campaign and stage: the funnel of its leads; (none): leads without';
COMMENT ON COLUMN funnel_by_campaign.campaign IS 'campaign that the lead came by; (none): not known';
COMMENT ON COLUMN funnel_by_campaign.stage IS 'the stage';
COMMENT ON COLUMN funnel_by_campaign.stage_rank IS 'order of the stages';
COMMENT ON COLUMN funnel_by_campaign.stage_label IS 'the stage with a number in front, for tools that sort by name';
COMMENT ON COLUMN funnel_by_campaign.entered IS 'leads that entered the stage: converted, lost and open together';
COMMENT ON COLUMN funnel_by_campaign.entered_directly IS 'of these, those that had not been in the stage before it in this run';
COMMENT ON COLUMN funnel_by_campaign.converted IS 'of those that entered, those that reached a higher stage afterwards';
COMMENT ON COLUMN funnel_by_campaign.lost IS 'of those that entered, those that did not, and are recycled, lost or disqualified';
COMMENT ON COLUMN funnel_by_campaign.open IS 'of those that entered, those of whom neither is known yet';
COMMENT ON COLUMN funnel_by_campaign.step_rate IS 'converted / entered; too low for young entries, which had little time';
COMMENT ON COLUMN funnel_by_campaign.resolved IS 'converted + lost';
COMMENT ON COLUMN funnel_by_campaign.matured IS 'of those that entered, those that did so at least setting.mature_after ago';
COMMENT ON COLUMN funnel_by_campaign.matured_converted IS 'of these, those that reached a higher stage afterwards';
COMMENT ON COLUMN funnel_by_campaign.resolved_rate IS 'converted / resolved; too high for young entries, as winners are known first';
COMMENT ON COLUMN funnel_by_campaign.matured_rate IS 'matured_converted / matured; right for every age, but silent about the young ones';
COMMENT ON COLUMN funnel_by_campaign.step_low_rate IS 'lower end of the 95 % interval of step_rate (Wilson): wide means few leads';
COMMENT ON COLUMN funnel_by_campaign.step_high_rate IS 'upper end of it';

CREATE OR REPLACE VIEW funnel_by_market WITH (security_invoker = true) AS
WITH booked AS (
    SELECT
        coalesce(d.market, '(none)') AS market,
        g.stage_rank,
        sum(g.entered) AS entered,
        sum(g.entered_directly) AS entered_directly,
        sum(g.converted) AS converted,
        sum(g.lost) AS lost,
        sum(g.entered) FILTER (WHERE g.mature) AS matured,
        sum(g.converted) FILTER (WHERE g.mature) AS matured_converted
    FROM funnel_ledger g
        LEFT JOIN lead_dim d USING (lead_id)
    GROUP BY coalesce(d.market, '(none)'), g.stage_rank
    UNION ALL
    SELECT
        coalesce(d.market, '(none)') AS market,
        g.stage_rank,
        sum(g.entered) AS entered,
        sum(g.entered_directly) AS entered_directly,
        sum(g.converted) AS converted,
        sum(g.lost) AS lost,
        sum(g.entered) FILTER (WHERE g.mature) AS matured,
        sum(g.converted) FILTER (WHERE g.mature) AS matured_converted
    FROM funnel_correction g
        LEFT JOIN lead_dim d USING (lead_id)
    GROUP BY coalesce(d.market, '(none)'), g.stage_rank
), entry AS (
    SELECT
        b.market,
        b.stage_rank,
        sum(b.entered)::bigint AS entered,
        sum(b.entered_directly)::bigint AS entered_directly,
        sum(b.converted)::bigint AS converted,
        sum(b.lost)::bigint AS lost,
        sum(b.matured)::bigint AS matured,
        sum(b.matured_converted)::bigint AS matured_converted
    FROM booked b
    GROUP BY b.market, b.stage_rank
), counted AS (
    SELECT
        k.market,
        t.stage,
        t.stage_rank,
        t.stage_label,
        coalesce(e.entered, 0) AS entered,
        coalesce(e.entered_directly, 0) AS entered_directly,
        coalesce(e.converted, 0) AS converted,
        coalesce(e.lost, 0) AS lost,
        coalesce(e.matured, 0) AS matured,
        coalesce(e.matured_converted, 0) AS matured_converted
    FROM (
            SELECT n.market FROM entry n
            UNION
            SELECT '(none)' AS market
        ) k
        CROSS JOIN stages() t
        LEFT JOIN entry e ON e.market = k.market AND e.stage_rank = t.stage_rank
    WHERE t.stage >= 'visitor'
)
SELECT
    c.market,
    c.stage::text AS stage,
    c.stage_rank,
    c.stage_label,
    c.entered,
    c.entered_directly,
    c.converted,
    c.lost,
    c.entered - c.converted - c.lost AS open,
    c.converted::double precision / nullif(c.entered, 0) AS step_rate,
    c.converted + c.lost AS resolved,
    c.matured,
    c.matured_converted,
    c.converted::double precision / nullif(c.converted + c.lost, 0) AS resolved_rate,
    c.matured_converted::double precision / nullif(c.matured, 0) AS matured_rate,
    rate_low(c.converted, c.entered) AS step_low_rate,
    rate_high(c.converted, c.entered) AS step_high_rate
FROM counted c
ORDER BY c.market, c.stage_rank;
COMMENT ON VIEW funnel_by_market IS 'one row a market and stage: the funnel of its leads; (none): leads without';
COMMENT ON COLUMN funnel_by_market.market IS 'b2b or b2c; (none): not known';
COMMENT ON COLUMN funnel_by_market.stage IS 'the stage';
COMMENT ON COLUMN funnel_by_market.stage_rank IS 'order of the stages';
COMMENT ON COLUMN funnel_by_market.stage_label IS 'the stage with a number in front, for tools that sort by name';
COMMENT ON COLUMN funnel_by_market.entered IS 'leads that entered the stage: converted, lost and open together';
COMMENT ON COLUMN funnel_by_market.entered_directly IS 'of these, those that had not been in the stage before it in this run';
COMMENT ON COLUMN funnel_by_market.converted IS 'of those that entered, those that reached a higher stage afterwards';
COMMENT ON COLUMN funnel_by_market.lost IS 'of those that entered, those that did not, and are recycled, lost or disqualified';
COMMENT ON COLUMN funnel_by_market.open IS 'of those that entered, those of whom neither is known yet';
COMMENT ON COLUMN funnel_by_market.step_rate IS 'converted / entered; too low for young entries, which had little time';
COMMENT ON COLUMN funnel_by_market.resolved IS 'converted + lost';
COMMENT ON COLUMN funnel_by_market.matured IS 'of those that entered, those that did so at least setting.mature_after ago';
COMMENT ON COLUMN funnel_by_market.matured_converted IS 'of these, those that reached a higher stage afterwards';
COMMENT ON COLUMN funnel_by_market.resolved_rate IS 'converted / resolved; too high for young entries, as winners are known first';
COMMENT ON COLUMN funnel_by_market.matured_rate IS 'matured_converted / matured; right for every age, but silent about the young ones';
COMMENT ON COLUMN funnel_by_market.step_low_rate IS 'lower end of the 95 % interval of step_rate (Wilson): wide means few leads';
COMMENT ON COLUMN funnel_by_market.step_high_rate IS 'upper end of it';

CREATE OR REPLACE VIEW funnel_by_owner WITH (security_invoker = true) AS
WITH booked AS (
    SELECT
        coalesce(d.owner, '(none)') AS owner,
        g.stage_rank,
        sum(g.entered) AS entered,
        sum(g.entered_directly) AS entered_directly,
        sum(g.converted) AS converted,
        sum(g.lost) AS lost,
        sum(g.entered) FILTER (WHERE g.mature) AS matured,
        sum(g.converted) FILTER (WHERE g.mature) AS matured_converted
    FROM funnel_ledger g
        LEFT JOIN lead_dim d USING (lead_id)
    GROUP BY coalesce(d.owner, '(none)'), g.stage_rank
    UNION ALL
    SELECT
        coalesce(d.owner, '(none)') AS owner,
        g.stage_rank,
        sum(g.entered) AS entered,
        sum(g.entered_directly) AS entered_directly,
        sum(g.converted) AS converted,
        sum(g.lost) AS lost,
        sum(g.entered) FILTER (WHERE g.mature) AS matured,
        sum(g.converted) FILTER (WHERE g.mature) AS matured_converted
    FROM funnel_correction g
        LEFT JOIN lead_dim d USING (lead_id)
    GROUP BY coalesce(d.owner, '(none)'), g.stage_rank
), entry AS (
    SELECT
        b.owner,
        b.stage_rank,
        sum(b.entered)::bigint AS entered,
        sum(b.entered_directly)::bigint AS entered_directly,
        sum(b.converted)::bigint AS converted,
        sum(b.lost)::bigint AS lost,
        sum(b.matured)::bigint AS matured,
        sum(b.matured_converted)::bigint AS matured_converted
    FROM booked b
    GROUP BY b.owner, b.stage_rank
), counted AS (
    SELECT
        k.owner,
        t.stage,
        t.stage_rank,
        t.stage_label,
        coalesce(e.entered, 0) AS entered,
        coalesce(e.entered_directly, 0) AS entered_directly,
        coalesce(e.converted, 0) AS converted,
        coalesce(e.lost, 0) AS lost,
        coalesce(e.matured, 0) AS matured,
        coalesce(e.matured_converted, 0) AS matured_converted
    FROM (
            SELECT n.owner FROM entry n
            UNION
            SELECT '(none)' AS owner
        ) k
        CROSS JOIN stages() t
        LEFT JOIN entry e ON e.owner = k.owner AND e.stage_rank = t.stage_rank
    WHERE t.stage >= 'visitor'
)
SELECT
    c.owner,
    c.stage::text AS stage,
    c.stage_rank,
    c.stage_label,
    c.entered,
    c.entered_directly,
    c.converted,
    c.lost,
    c.entered - c.converted - c.lost AS open,
    c.converted::double precision / nullif(c.entered, 0) AS step_rate,
    c.converted + c.lost AS resolved,
    c.matured,
    c.matured_converted,
    c.converted::double precision / nullif(c.converted + c.lost, 0) AS resolved_rate,
    c.matured_converted::double precision / nullif(c.matured, 0) AS matured_rate,
    rate_low(c.converted, c.entered) AS step_low_rate,
    rate_high(c.converted, c.entered) AS step_high_rate
FROM counted c
ORDER BY c.owner, c.stage_rank;
COMMENT ON VIEW funnel_by_owner IS 'one row an owner and stage: the funnel of its leads; (none): leads without';
COMMENT ON COLUMN funnel_by_owner.owner IS 'who looks after the lead; (none): nobody';
COMMENT ON COLUMN funnel_by_owner.stage IS 'the stage';
COMMENT ON COLUMN funnel_by_owner.stage_rank IS 'order of the stages';
COMMENT ON COLUMN funnel_by_owner.stage_label IS 'the stage with a number in front, for tools that sort by name';
COMMENT ON COLUMN funnel_by_owner.entered IS 'leads that entered the stage: converted, lost and open together';
COMMENT ON COLUMN funnel_by_owner.entered_directly IS 'of these, those that had not been in the stage before it in this run';
COMMENT ON COLUMN funnel_by_owner.converted IS 'of those that entered, those that reached a higher stage afterwards';
COMMENT ON COLUMN funnel_by_owner.lost IS 'of those that entered, those that did not, and are recycled, lost or disqualified';
COMMENT ON COLUMN funnel_by_owner.open IS 'of those that entered, those of whom neither is known yet';
COMMENT ON COLUMN funnel_by_owner.step_rate IS 'converted / entered; too low for young entries, which had little time';
COMMENT ON COLUMN funnel_by_owner.resolved IS 'converted + lost';
COMMENT ON COLUMN funnel_by_owner.matured IS 'of those that entered, those that did so at least setting.mature_after ago';
COMMENT ON COLUMN funnel_by_owner.matured_converted IS 'of these, those that reached a higher stage afterwards';
COMMENT ON COLUMN funnel_by_owner.resolved_rate IS 'converted / resolved; too high for young entries, as winners are known first';
COMMENT ON COLUMN funnel_by_owner.matured_rate IS 'matured_converted / matured; right for every age, but silent about the young ones';
COMMENT ON COLUMN funnel_by_owner.step_low_rate IS 'lower end of the 95 % interval of step_rate (Wilson): wide means few leads';
COMMENT ON COLUMN funnel_by_owner.step_high_rate IS 'upper end of it';

CREATE OR REPLACE FUNCTION funnel_between("from" date, "to" date, time_zone text DEFAULT NULL)
    RETURNS TABLE (stage text, stage_rank integer, stage_label text, entered bigint, entered_directly bigint, converted bigint,
        lost bigint, open bigint, step_rate double precision, resolved bigint, matured bigint, matured_converted bigint,
        resolved_rate double precision, matured_rate double precision, step_low_rate double precision, step_high_rate double precision)
    LANGUAGE sql STABLE PARALLEL SAFE ROWS 7
BEGIN ATOMIC
    WITH range AS MATERIALIZED (
        SELECT
            require_range(funnel_between."from", funnel_between."to") AS checked,
            funnel_between."from"::timestamp AT TIME ZONE z.time_zone AS since,
            (funnel_between."to" + 1)::timestamp AT TIME ZONE z.time_zone AS until
        FROM setting s
            CROSS JOIN LATERAL (SELECT require_time_zone(coalesce(funnel_between.time_zone, s.time_zone)) OFFSET 0) AS z (time_zone)
    ), booked AS (
        SELECT
            g.stage_rank,
            sum(g.entered) AS entered,
            sum(g.entered_directly) AS entered_directly,
            sum(g.converted) AS converted,
            sum(g.lost) AS lost,
            sum(g.entered) FILTER (WHERE g.mature) AS matured,
            sum(g.converted) FILTER (WHERE g.mature) AS matured_converted
        FROM funnel_ledger g
            CROSS JOIN range r
        WHERE r.checked AND g.entered_at >= r.since AND g.entered_at < r.until
        GROUP BY g.stage_rank
        UNION ALL
        SELECT
            g.stage_rank,
            sum(g.entered) AS entered,
            sum(g.entered_directly) AS entered_directly,
            sum(g.converted) AS converted,
            sum(g.lost) AS lost,
            sum(g.entered) FILTER (WHERE g.mature) AS matured,
            sum(g.converted) FILTER (WHERE g.mature) AS matured_converted
        FROM funnel_correction g
            CROSS JOIN range r
        WHERE r.checked AND g.entered_at >= r.since AND g.entered_at < r.until
        GROUP BY g.stage_rank
    ), entry AS (
        SELECT
            b.stage_rank,
            sum(b.entered)::bigint AS entered,
            sum(b.entered_directly)::bigint AS entered_directly,
            sum(b.converted)::bigint AS converted,
            sum(b.lost)::bigint AS lost,
            sum(b.matured)::bigint AS matured,
            sum(b.matured_converted)::bigint AS matured_converted
        FROM booked b
        GROUP BY b.stage_rank
    ), counted AS (
        SELECT
            t.stage,
            t.stage_rank,
            t.stage_label,
            coalesce(e.entered, 0) AS entered,
            coalesce(e.entered_directly, 0) AS entered_directly,
            coalesce(e.converted, 0) AS converted,
            coalesce(e.lost, 0) AS lost,
            coalesce(e.matured, 0) AS matured,
            coalesce(e.matured_converted, 0) AS matured_converted
        FROM range r
            JOIN stages() t ON r.checked AND t.stage >= 'visitor'
            LEFT JOIN entry e USING (stage_rank)
    )
    SELECT
        c.stage::text AS stage,
        c.stage_rank,
        c.stage_label,
        c.entered,
        c.entered_directly,
        c.converted,
        c.lost,
        c.entered - c.converted - c.lost AS open,
        c.converted::double precision / nullif(c.entered, 0) AS step_rate,
        c.converted + c.lost AS resolved,
        c.matured,
        c.matured_converted,
        c.converted::double precision / nullif(c.converted + c.lost, 0) AS resolved_rate,
        c.matured_converted::double precision / nullif(c.matured, 0) AS matured_rate,
        rate_low(c.converted, c.entered) AS step_low_rate,
        rate_high(c.converted, c.entered) AS step_high_rate
    FROM counted c
    ORDER BY c.stage_rank;
END;
COMMENT ON FUNCTION funnel_between(date, date, text) IS
    'the funnel of the leads that entered stages from one day to another, both included; time_zone: that of the pipeline if not given';

-- A row of every day on which a lead changed, and sums up to it.
CREATE OR REPLACE VIEW stage_daily WITH (security_invoker = true) AS
WITH moved AS (
    -- what is older than 50 years counts from then on: one wrong date must
    -- not make the view endless
    SELECT greatest(v.day_date, (now() AT TIME ZONE 'UTC')::date - 18262) AS day_date, v.stage_rank, sum(v.leads) AS leads
    FROM (
            SELECT (h.effective_at AT TIME ZONE z.time_zone)::date AS day_date, stage_rank(h.to_stage) AS stage_rank, 1 AS leads
            FROM stage_history h CROSS JOIN setting z
            UNION ALL
            SELECT (h.effective_at AT TIME ZONE z.time_zone)::date AS day_date, stage_rank(h.from_stage) AS stage_rank, -1 AS leads
            FROM stage_history h CROSS JOIN setting z
            WHERE h.from_stage IS NOT NULL
        ) v
    GROUP BY greatest(v.day_date, (now() AT TIME ZONE 'UTC')::date - 18262), v.stage_rank
)
SELECT
    d.day_date,
    t.stage::text AS stage,
    t.stage_rank,
    t.stage_label,
    (coalesce(sum(v.leads) OVER (PARTITION BY t.stage_rank ORDER BY d.day_date), 0))::bigint AS leads
FROM (
        SELECT b.first_date + n AS day_date
        FROM (
                SELECT least(f.first_date, (now() AT TIME ZONE z.time_zone)::date) AS first_date, (now() AT TIME ZONE z.time_zone)::date AS today
                FROM setting z
                    CROSS JOIN (SELECT min(w.day_date) AS first_date FROM moved w) f
            ) b
            CROSS JOIN LATERAL generate_series(0, b.today - b.first_date) n
    ) d
    CROSS JOIN stages() t
    LEFT JOIN moved v ON v.day_date = d.day_date AND v.stage_rank = t.stage_rank
ORDER BY d.day_date, t.stage_rank;
COMMENT ON VIEW stage_daily IS 'one row a day and stage: how many leads were in the stage at the end of the day; exits too';
COMMENT ON COLUMN stage_daily.day_date IS 'the day, in the time zone of the pipeline; the last is today so far';
COMMENT ON COLUMN stage_daily.stage IS 'the stage';
COMMENT ON COLUMN stage_daily.stage_rank IS 'order of the stages';
COMMENT ON COLUMN stage_daily.stage_label IS 'the stage with a number in front, for tools that sort by name';
COMMENT ON COLUMN stage_daily.leads IS 'leads in this stage as the day ended';

-- Only characters that every encoding has.
CREATE OR REPLACE VIEW funnel_chart WITH (security_invoker = true) AS
SELECT
    f.stage,
    f.stage_rank,
    f.stage_label,
    f.reached,
    f.step_rate,
    to_char(100 * f.step_rate, 'FM990.0') || ' %' AS step_percent,
    repeat('#', CASE WHEN f.reached > 0 THEN greatest(1, round(40 * f.cumulative_rate)::integer) ELSE 0 END) AS chart
FROM funnel f
ORDER BY f.stage_rank;
COMMENT ON VIEW funnel_chart IS 'the funnel as a picture, for psql';
COMMENT ON COLUMN funnel_chart.stage IS 'the stage';
COMMENT ON COLUMN funnel_chart.stage_rank IS 'order of the stages';
COMMENT ON COLUMN funnel_chart.stage_label IS 'the stage with a number in front, for tools that sort by name';
COMMENT ON COLUMN funnel_chart.reached IS 'leads that got this far or farther';
COMMENT ON COLUMN funnel_chart.step_rate IS 'converted / entered; too low for young entries, which had little time';
COMMENT ON COLUMN funnel_chart.step_percent IS 'step_rate in words, of the leads that entered this stage';
COMMENT ON COLUMN funnel_chart.chart IS 'reached as a bar; 40 characters are all leads of the funnel';
