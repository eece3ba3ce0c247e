-- The funnel: how many leads entered a stage, and how many went on.
--
-- All is counted per cycle: a lead that comes back after an exit begins a new
-- cycle. In a cycle the first entry into a stage counts, and conversion and loss
-- count with that entry: so a lead that converted was counted as entered before,
-- and no rate of entries exceeds 1, though leads skip stages, fall back and
-- begin anywhere.
--
-- stage_entry has a row for each entry. The funnels do not read it, as windows
-- over millions of rows take seconds: they add up _funnel_delta (funnels of all
-- leads count equal changes together), and a test compares the two.
-- Ranks of stages that follow each other differ by 10, and 1 << rank / 10 is a
-- stage as a bit.

CREATE OR REPLACE VIEW stage_entry WITH (security_invoker = true) AS
SELECT
    e.lead_id,
    e.seq AS entry_seq,
    e.cycle,
    e.stage,
    e.stage_rank,
    e.entered_at,
    date_of(e.entered_at, z.time_zone) AS entered_date,
    month_start(e.entered_at, z.time_zone) AS entered_month,
    e.left_at,
    e.next_stage,
    e.next_stage_rank,
    date_part('epoch', e.left_at - e.entered_at) / 86400 AS days_in_stage,
    -- no time yet if the event is dated later today
    CASE WHEN e.left_at IS NULL AND e.entered_at > now() THEN 0 WHEN e.left_at IS NULL THEN date_part('epoch', now() - e.entered_at) / 86400 END AS open_days,
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
                        FROM _history h
                    ) b
                WINDOW course AS (PARTITION BY b.lead_id ORDER BY b.seq),
                    run AS (PARTITION BY b.lead_id, b.cycle ORDER BY b.seq)
            ) p
            CROSS JOIN _maturity m
    ) e
    CROSS JOIN setting z
    LEFT JOIN _source d USING (lead_id)
    -- a lead that fell back first converted later than it left the stage
    LEFT JOIN LATERAL (
        SELECT min(h.effective_at) AS converted_at
        FROM _history h
        WHERE e.converted AND e.next_stage_rank < e.stage_rank
            AND h.lead_id = e.lead_id AND h.cycle = e.cycle AND h.seq > e.seq AND stage_rank(h.to_stage) > e.stage_rank
    ) c ON true;
COMMENT ON VIEW stage_entry IS 'one row for each time that a lead was in a stage: sums of the 0/1 columns, grouped by anything, are funnels; rows of exits (recycled, lost, disqualified) have 0 in all of them';
COMMENT ON COLUMN stage_entry.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN stage_entry.entry_seq IS 'number of the stage of this lead';
COMMENT ON COLUMN stage_entry.cycle IS 'number of the cycle through the funnel';
COMMENT ON COLUMN stage_entry.stage IS 'the stage';
COMMENT ON COLUMN stage_entry.stage_rank IS 'rank of the stage to sort by: visitor 40 to advocate 100, exits 10 to 30';
COMMENT ON COLUMN stage_entry.entered_at IS 'when it began';
COMMENT ON COLUMN stage_entry.entered_date IS 'the day of that';
COMMENT ON COLUMN stage_entry.entered_month IS 'first day of the month of that';
COMMENT ON COLUMN stage_entry.left_at IS 'when the lead left the stage; NULL: it is still in it';
COMMENT ON COLUMN stage_entry.next_stage IS 'the stage after this one; NULL: the lead is still in this one';
COMMENT ON COLUMN stage_entry.next_stage_rank IS 'rank of the stage to sort by: visitor 40 to advocate 100, exits 10 to 30';
COMMENT ON COLUMN stage_entry.days_in_stage IS 'days that the lead was in the stage; NULL: it still is';
COMMENT ON COLUMN stage_entry.open_days IS 'days that the lead has been in the stage so far; NULL: it has left';
COMMENT ON COLUMN stage_entry.cause IS 'how it was entered: created, points, decay, milestone, set, profile, activation or rebuild';
COMMENT ON COLUMN stage_entry.entered IS '1: first entry into this stage in this cycle; 0: the lead came back to it, or it is an exit';
COMMENT ON COLUMN stage_entry.entered_directly IS '1: entered, and the lead had not been in the next lower stage before in this cycle';
COMMENT ON COLUMN stage_entry.converted IS '1: entered, and the lead reached a higher stage later in this cycle';
COMMENT ON COLUMN stage_entry.lost IS '1: entered, and the lead did not, and the cycle ended in an exit';
COMMENT ON COLUMN stage_entry.open IS '1: entered, and neither converted nor lost so far';
COMMENT ON COLUMN stage_entry.matured IS '1: entered, at least setting.mature_after ago';
COMMENT ON COLUMN stage_entry.matured_converted IS '1: matured and converted';
COMMENT ON COLUMN stage_entry.converted_at IS 'when the higher stage was reached';
COMMENT ON COLUMN stage_entry.lost_at IS 'when the cycle ended in an exit';
COMMENT ON COLUMN stage_entry.external_id IS 'name of the lead in the app';
COMMENT ON COLUMN stage_entry.channel IS 'channel that the lead came by, or that of its campaign; (none): not known';
COMMENT ON COLUMN stage_entry.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN stage_entry.campaign IS 'campaign that the lead came by; (none): not known';
COMMENT ON COLUMN stage_entry.market IS 'market of the lead: b2b or b2c; (none): not known';
COMMENT ON COLUMN stage_entry.country IS 'country of the lead, best as ISO 3166 code; (none): not known';
COMMENT ON COLUMN stage_entry.owner IS 'person of your company in charge of the lead; (none): nobody';
COMMENT ON COLUMN stage_entry.persona IS 'buyer persona that the lead stands for; (none): not known';

CREATE OR REPLACE VIEW funnel WITH (security_invoker = true) AS
WITH moved AS (
    -- changes that count in the same way, counted in one pass
    SELECT
        h.from_stage,
        h.to_stage,
        count(*) AS moves,
        count(*) FILTER (WHERE h.effective_at <= m.before) AS matured,
        count(*) FILTER (WHERE h.from_since <= m.before) AS from_matured
    FROM _history h
        JOIN _maturity m ON m.id = (h.lead_id IS NOT NULL)
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
    FROM _funnel_regression g
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
    SELECT s.stage_rank, count(*) AS leads
    FROM _lead_now s
    GROUP BY s.stage_rank
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
    rate_high(c.converted, c.entered) AS step_high_rate,
    -- only characters that every encoding has
    repeat('#', CASE WHEN c.reached > 0 THEN greatest(1, round(40 * c.reached::double precision / nullif(c.runs, 0))::integer) ELSE 0 END) AS chart
FROM counted c
ORDER BY c.stage_rank;
COMMENT ON VIEW funnel IS 'one row a stage, from visitor to advocate: how many cycles entered it and how many went on; a lead that was lost and came back counts again';
COMMENT ON COLUMN funnel.stage IS 'the stage';
COMMENT ON COLUMN funnel.stage_rank IS 'rank of the stage to sort by: visitor 40 to advocate 100, exits 10 to 30';
COMMENT ON COLUMN funnel.stage_label IS 'the stage with a number in front, for tools that sort by name';
COMMENT ON COLUMN funnel.leads_now IS 'leads in this stage now';
COMMENT ON COLUMN funnel.entered IS 'leads that ever were in this stage: converted, lost and open together';
COMMENT ON COLUMN funnel.entered_directly IS 'of entered, cycles that had not been in the next lower stage before';
COMMENT ON COLUMN funnel.converted IS 'of entered, cycles that reached a higher stage later';
COMMENT ON COLUMN funnel.lost IS 'of entered, cycles that did not, and ended in recycled, lost or disqualified';
COMMENT ON COLUMN funnel.open IS 'of entered, cycles that neither converted nor were lost yet';
COMMENT ON COLUMN funnel.step_rate IS 'converted / entered; too low for young entries, which had little time';
COMMENT ON COLUMN funnel.cumulative_rate IS 'reached / all leads of the funnel';
COMMENT ON COLUMN funnel.reached IS 'leads that got this far or farther, whether or not they were in this very stage';
COMMENT ON COLUMN funnel.resolved IS 'converted + lost';
COMMENT ON COLUMN funnel.matured IS 'of entered, entries at least setting.mature_after ago';
COMMENT ON COLUMN funnel.matured_converted IS 'of matured, cycles that reached a higher stage later';
COMMENT ON COLUMN funnel.resolved_rate IS 'converted / resolved; too high for young entries, as conversions are known before losses';
COMMENT ON COLUMN funnel.matured_rate IS 'matured_converted / matured; fair, but says nothing about young entries';
COMMENT ON COLUMN funnel.step_low_rate IS 'lower end of the 95 % interval of step_rate (Wilson); a wide interval means few leads';
COMMENT ON COLUMN funnel.step_high_rate IS 'upper end of the 95 % interval of step_rate (Wilson)';
COMMENT ON COLUMN funnel.chart IS 'reached as a bar, for psql: 40 characters are all leads of the funnel';

CREATE OR REPLACE VIEW funnel_cohort WITH (security_invoker = true) AS
WITH moved AS (
    -- changes that count in the same way, counted in one pass
    SELECT
        h.from_stage,
        h.to_stage,
        month_start(h.effective_at, m.time_zone) AS entered_month,
        month_start(h.from_since, m.time_zone) AS from_month,
        count(*) AS moves,
        count(*) FILTER (WHERE h.effective_at <= m.before) AS matured,
        count(*) FILTER (WHERE h.from_since <= m.before) AS from_matured
    FROM _history h
        JOIN _maturity m ON m.id = (h.lead_id IS NOT NULL)
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
    FROM _funnel_regression g
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
            SELECT n.entered_month FROM entry n WHERE n.entered > 0 AND n.entered_month IS NOT NULL
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
    rate_high(c.converted, c.entered) AS step_high_rate,
    lag(c.stage::text) OVER same_month AS previous_stage,
    lag(c.stage_rank) OVER same_month AS previous_stage_rank,
    lag(c.entered) OVER same_month AS previous_entered,
    c.entered::double precision / nullif(lag(c.entered) OVER same_month, 0) AS period_rate
FROM counted c
WINDOW same_month AS (PARTITION BY c.entered_month ORDER BY c.stage_rank)
ORDER BY c.entered_month, c.stage_rank;
COMMENT ON VIEW funnel_cohort IS 'one row a month and stage: the outcome up to now of entries into the stage in that month. The current month has rows without entries too; entries outside the years 1 to 9999 are left out';
COMMENT ON COLUMN funnel_cohort.entered_month IS 'first day of the month of entry';
COMMENT ON COLUMN funnel_cohort.stage IS 'the stage';
COMMENT ON COLUMN funnel_cohort.stage_rank IS 'rank of the stage to sort by: visitor 40 to advocate 100, exits 10 to 30';
COMMENT ON COLUMN funnel_cohort.stage_label IS 'the stage with a number in front, for tools that sort by name';
COMMENT ON COLUMN funnel_cohort.entered IS 'leads that entered the stage: converted, lost and open together';
COMMENT ON COLUMN funnel_cohort.entered_directly IS 'of entered, cycles that had not been in the next lower stage before';
COMMENT ON COLUMN funnel_cohort.converted IS 'of entered, cycles that reached a higher stage later';
COMMENT ON COLUMN funnel_cohort.lost IS 'of entered, cycles that did not, and ended in recycled, lost or disqualified';
COMMENT ON COLUMN funnel_cohort.open IS 'of entered, cycles that neither converted nor were lost yet';
COMMENT ON COLUMN funnel_cohort.step_rate IS 'converted / entered; too low for young entries, which had little time';
COMMENT ON COLUMN funnel_cohort.resolved IS 'converted + lost';
COMMENT ON COLUMN funnel_cohort.matured IS 'of entered, entries at least setting.mature_after ago';
COMMENT ON COLUMN funnel_cohort.matured_converted IS 'of matured, cycles that reached a higher stage later';
COMMENT ON COLUMN funnel_cohort.resolved_rate IS 'converted / resolved; too high for young entries, as conversions are known before losses';
COMMENT ON COLUMN funnel_cohort.matured_rate IS 'matured_converted / matured; fair, but says nothing about young entries';
COMMENT ON COLUMN funnel_cohort.step_low_rate IS 'lower end of the 95 % interval of step_rate (Wilson); a wide interval means few leads';
COMMENT ON COLUMN funnel_cohort.step_high_rate IS 'upper end of the 95 % interval of step_rate (Wilson)';
COMMENT ON COLUMN funnel_cohort.previous_stage IS 'the next lower stage; NULL: there is none';
COMMENT ON COLUMN funnel_cohort.previous_stage_rank IS 'rank of the stage to sort by: visitor 40 to advocate 100, exits 10 to 30';
COMMENT ON COLUMN funnel_cohort.previous_entered IS 'leads that entered the next lower stage in the same month, mostly other leads';
COMMENT ON COLUMN funnel_cohort.period_rate IS 'entered / previous_entered; may exceed 1, as these are not the same leads';

-- Counted by all slices of a lead at once first, then by each.
CREATE OR REPLACE VIEW funnel_by WITH (security_invoker = true) AS
WITH delta AS (
    SELECT g.lead_id, g.stage_rank, g.entered_at, g.entered, g.entered_directly, g.converted, g.lost, g.mature FROM _funnel_delta g
    UNION ALL
    SELECT g.lead_id, g.stage_rank, g.entered_at, g.entered, g.entered_directly, g.converted, g.lost, g.mature FROM _funnel_regression g
), sliced AS (
    SELECT
        coalesce(d.channel, '(none)') AS channel,
        coalesce(d.campaign, '(none)') AS campaign,
        coalesce(d.market, '(none)') AS market,
        coalesce(d.owner, '(none)') AS owner,
        coalesce(d.persona, '(none)') AS persona,
        coalesce(d.country, '(none)') AS country,
        coalesce(d.objective, '(none)') AS objective,
        g.stage_rank,
        sum(g.entered) AS entered,
        sum(g.entered_directly) AS entered_directly,
        sum(g.converted) AS converted,
        sum(g.lost) AS lost,
        sum(g.entered) FILTER (WHERE g.mature) AS matured,
        sum(g.converted) FILTER (WHERE g.mature) AS matured_converted
    FROM delta g
        LEFT JOIN _source d USING (lead_id)
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
), booked AS (
    SELECT v.slice_by, v.slice, s.stage_rank, s.entered, s.entered_directly, s.converted, s.lost, s.matured, s.matured_converted
    FROM sliced s
        CROSS JOIN LATERAL (VALUES
            ('channel', s.channel),
            ('campaign', s.campaign),
            ('market', s.market),
            ('owner', s.owner),
            ('persona', s.persona),
            ('country', s.country),
            ('objective', s.objective)
        ) AS v (slice_by, slice)
    UNION ALL
    -- a lead in several segments is in several slices ...
    SELECT 'segment', y.segment, g.stage_rank, g.entered, g.entered_directly, g.converted, g.lost,
        CASE WHEN g.mature THEN g.entered END, CASE WHEN g.mature THEN g.converted END
    FROM delta g
        JOIN _segment_stay y ON y.lead_id = g.lead_id AND y.entered_at <= g.entered_at AND (y.left_at > g.entered_at) IS NOT FALSE
    -- ... and in none if it is not in any: nothing is looked up where there are none
    UNION ALL
    SELECT 'segment', '(none)', s.stage_rank, s.entered, s.entered_directly, s.converted, s.lost, s.matured, s.matured_converted
    FROM sliced s
    UNION ALL
    SELECT 'segment', '(none)', g.stage_rank, -g.entered, -g.entered_directly, -g.converted, -g.lost,
        CASE WHEN g.mature THEN -g.entered END, CASE WHEN g.mature THEN -g.converted END
    FROM delta g
    WHERE (g.lead_id, g.entered_at) IN (
        SELECT d.lead_id, d.entered_at
        FROM delta d
            JOIN _segment_stay y ON y.lead_id = d.lead_id AND y.entered_at <= d.entered_at AND (y.left_at > d.entered_at) IS NOT FALSE)
), entry AS (
    SELECT
        b.slice_by,
        b.slice,
        b.stage_rank,
        sum(b.entered)::bigint AS entered,
        sum(b.entered_directly)::bigint AS entered_directly,
        sum(b.converted)::bigint AS converted,
        sum(b.lost)::bigint AS lost,
        sum(b.matured)::bigint AS matured,
        sum(b.matured_converted)::bigint AS matured_converted
    FROM booked b
    GROUP BY b.slice_by, b.slice, b.stage_rank
), counted AS (
    SELECT
        k.slice_by,
        k.slice,
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
            SELECT n.slice_by, n.slice FROM entry n
            UNION
            SELECT v.slice_by, '(none)' AS slice
            FROM (VALUES ('channel'), ('campaign'), ('market'), ('owner'), ('persona'), ('country'), ('objective'), ('segment')) AS v (slice_by)
        ) k
        CROSS JOIN stages() t
        LEFT JOIN entry e ON e.slice_by = k.slice_by AND e.slice = k.slice AND e.stage_rank = t.stage_rank
    WHERE t.stage >= 'visitor'
), rated AS (
    -- a lead that came by no channel or campaign, was captured for no objective or
    -- is in no segment, is known to; one without a market, owner, persona or country may be to get it when it goes on
    SELECT c.slice_by, c.slice, c.stage, c.stage_rank, c.stage_label, c.entered, c.entered_directly, c.converted, c.lost, c.matured, c.matured_converted,
        c.slice_by IN ('channel', 'campaign', 'objective', 'segment') OR few_unknown((sum(c.entered) FILTER (WHERE c.slice = '(none)') OVER level)::bigint,
            (sum(c.entered) OVER level)::bigint) AS known
    FROM counted c
    WINDOW level AS (PARTITION BY c.slice_by, c.stage_rank)
)
SELECT
    c.slice_by,
    c.slice,
    c.stage::text AS stage,
    c.stage_rank,
    c.stage_label,
    c.entered,
    c.entered_directly,
    c.converted,
    c.lost,
    c.entered - c.converted - c.lost AS open,
    CASE WHEN c.known THEN c.converted::double precision / nullif(c.entered, 0) END AS step_rate,
    c.converted + c.lost AS resolved,
    c.matured,
    c.matured_converted,
    CASE WHEN c.known THEN c.converted::double precision / nullif(c.converted + c.lost, 0) END AS resolved_rate,
    CASE WHEN c.known THEN c.matured_converted::double precision / nullif(c.matured, 0) END AS matured_rate,
    CASE WHEN c.known THEN rate_low(c.converted, c.entered) END AS step_low_rate,
    CASE WHEN c.known THEN rate_high(c.converted, c.entered) END AS step_high_rate
FROM rated c
ORDER BY c.slice_by, c.slice, c.stage_rank;
COMMENT ON VIEW funnel_by IS 'one row a slice and stage: the funnel of the leads of each channel, campaign, market, owner, persona, country and segment; ask for one slice_by';
COMMENT ON COLUMN funnel_by.slice_by IS 'what leads are sliced by: channel, campaign, market, owner, persona, country or segment';
COMMENT ON COLUMN funnel_by.slice IS 'the slice, such as the channel seo; a channel is that of the lead or else of its campaign, a segment one that the lead was in when it entered the stage, of several each; (none): not known, in no segment';
COMMENT ON COLUMN funnel_by.stage IS 'the stage';
COMMENT ON COLUMN funnel_by.stage_rank IS 'rank of the stage to sort by: visitor 40 to advocate 100, exits 10 to 30';
COMMENT ON COLUMN funnel_by.stage_label IS 'the stage with a number in front, for tools that sort by name';
COMMENT ON COLUMN funnel_by.entered IS 'leads that entered the stage: converted, lost and open together';
COMMENT ON COLUMN funnel_by.entered_directly IS 'of entered, cycles that had not been in the next lower stage before';
COMMENT ON COLUMN funnel_by.converted IS 'of entered, cycles that reached a higher stage later';
COMMENT ON COLUMN funnel_by.lost IS 'of entered, cycles that did not, and ended in recycled, lost or disqualified';
COMMENT ON COLUMN funnel_by.open IS 'of entered, cycles that neither converted nor were lost yet';
COMMENT ON COLUMN funnel_by.step_rate IS 'converted / entered; too low for young entries, which had little time. No rate of a market, owner, persona or country is given if it is unknown of more than one in twenty leads that entered the stage';
COMMENT ON COLUMN funnel_by.resolved IS 'converted + lost';
COMMENT ON COLUMN funnel_by.matured IS 'of entered, entries at least setting.mature_after ago';
COMMENT ON COLUMN funnel_by.matured_converted IS 'of matured, cycles that reached a higher stage later';
COMMENT ON COLUMN funnel_by.resolved_rate IS 'converted / resolved; too high for young entries, as conversions are known before losses';
COMMENT ON COLUMN funnel_by.matured_rate IS 'matured_converted / matured; fair, but says nothing about young entries';
COMMENT ON COLUMN funnel_by.step_low_rate IS 'lower end of the 95 % interval of step_rate (Wilson); a wide interval means few leads';
COMMENT ON COLUMN funnel_by.step_high_rate IS 'upper end of the 95 % interval of step_rate (Wilson)';

-- A timestamp stands for the day that it is on by the session's time zone.
CREATE OR REPLACE FUNCTION funnel_between(first_day timestamptz, last_day timestamptz, time_zone text DEFAULT NULL)
    RETURNS TABLE (stage text, stage_rank integer, stage_label text, entered bigint, entered_directly bigint, converted bigint,
        lost bigint, open bigint, step_rate double precision, resolved bigint, matured bigint, matured_converted bigint,
        resolved_rate double precision, matured_rate double precision, step_low_rate double precision, step_high_rate double precision)
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 7 SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    zone text;
    since timestamptz;
    until timestamptz;
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    PERFORM leadscore_internal.require_range(first_day, last_day);
    zone := leadscore_internal.require_time_zone(coalesce(funnel_between.time_zone, (SELECT s.time_zone FROM @pipeline@.setting s)));
    since := first_day::date::timestamp AT TIME ZONE zone;
    until := (last_day::date + 1)::timestamp AT TIME ZONE zone;
    RETURN QUERY
        WITH booked AS (
            SELECT
                g.stage_rank,
                sum(g.entered) AS entered,
                sum(g.entered_directly) AS entered_directly,
                sum(g.converted) AS converted,
                sum(g.lost) AS lost,
                sum(g.entered) FILTER (WHERE g.mature) AS matured,
                sum(g.converted) FILTER (WHERE g.mature) AS matured_converted
            FROM @pipeline@._funnel_delta g
            WHERE g.entered_at >= since AND g.entered_at < until
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
            FROM @pipeline@._funnel_regression g
            WHERE g.entered_at >= since AND g.entered_at < until
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
            FROM leadscore.stages() t
                LEFT JOIN entry e USING (stage_rank)
            WHERE t.stage >= 'visitor'
        )
        SELECT
            c.stage::text,
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
            leadscore_internal.rate_low(c.converted, c.entered) AS step_low_rate,
            leadscore_internal.rate_high(c.converted, c.entered) AS step_high_rate
        FROM counted c
        ORDER BY c.stage_rank;
END
$$;
COMMENT ON FUNCTION funnel_between(timestamptz, timestamptz, text) IS
    'the funnel of the leads that entered stages from one day to another, both included; time_zone: that of the pipeline if not given';

-- A row of every day on which a lead changed, and sums up to it. Today is as in
-- all other views: changes that no sweep has recorded yet count, and so do
-- recorded ones whose event is dated later today.
CREATE OR REPLACE VIEW stage_daily WITH (security_invoker = true) AS
WITH moved AS (
    -- a change before that, or before year 1 and so without a date, counts from
    -- then on: one wrong date must not make the view endless
    SELECT greatest(v.day_date, (now() AT TIME ZONE 'UTC')::date - 18262) AS day_date, v.stage_rank, sum(v.leads) AS leads
    FROM (
            SELECT date_of(least(h.effective_at, now()), z.time_zone) AS day_date, m.stage_rank, m.leads
            FROM stage_history h CROSS JOIN setting z
                CROSS JOIN LATERAL (VALUES (stage_rank(h.to_stage), 1), (stage_rank(h.from_stage), -1)) AS m (stage_rank, leads)
            WHERE m.stage_rank IS NOT NULL
            UNION ALL
            SELECT date_of(least(s.stage_since_at, now()), z.time_zone) AS day_date, m.stage_rank, m.leads
            FROM _lead_now s CROSS JOIN setting z
                CROSS JOIN LATERAL (VALUES (s.stage_rank, 1), (stage_rank(s.recorded_stage), -1)) AS m (stage_rank, leads)
            WHERE s.due AND s.stage <> s.recorded_stage
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
COMMENT ON COLUMN stage_daily.stage_rank IS 'rank of the stage to sort by: visitor 40 to advocate 100, exits 10 to 30';
COMMENT ON COLUMN stage_daily.stage_label IS 'the stage with a number in front, for tools that sort by name';
COMMENT ON COLUMN stage_daily.leads IS 'leads in this stage as the day ended';
