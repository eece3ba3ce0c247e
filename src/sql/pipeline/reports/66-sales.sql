-- Sales: when and how often leads were contacted, and which leads cool.

-- Contacts are events of role outreach (sales tried to reach the lead) and
-- sales_contact (sales spoke with it).

-- One row for each time that a lead was in a stage for which the active model
-- has a time (stage_rule.sla). The clock starts with the stage; the stays and
-- their contacts are those of hot_leads.
CREATE OR REPLACE VIEW _sla_clock WITH (security_invoker = true) AS
SELECT y.lead_id, y.seq, y.cycle, y.stage, y.entered_at, y.due_at, y.contacted_at, y.left_at
FROM _stay y
WHERE y.stage = ANY (ARRAY(
        SELECT r.stage FROM stage_rule r JOIN model m ON m.model = r.model WHERE m.status = 'active' AND r.sla IS NOT NULL))
    AND y.due_at IS NOT NULL;
COMMENT ON VIEW _sla_clock IS 'one row a stay in a stage with a time for a first contact';

CREATE OR REPLACE VIEW sla_status WITH (security_invoker = true) AS
SELECT
    c.lead_id,
    c.seq,
    c.cycle,
    c.stage::text AS stage,
    stage_rank(c.stage) AS stage_rank,
    d.channel,
    d.campaign,
    d.owner,
    c.entered_at,
    c.due_at,
    c.contacted_at,
    c.left_at,
    sla_state(c.due_at, c.contacted_at, c.left_at, now()) AS status,
    CASE WHEN sla_state(c.due_at, c.contacted_at, c.left_at, now()) = 'due' OR c.contacted_at IS NULL AND c.left_at IS NULL
        THEN date_part('epoch', c.due_at - now()) / 86400 END AS remaining_days,
    date_part('epoch', greatest(c.contacted_at, c.entered_at) - c.entered_at) / 86400 * CASE WHEN c.contacted_at IS NOT NULL THEN 1 END AS response_days
FROM _sla_clock c
    JOIN _source d USING (lead_id);
COMMENT ON VIEW sla_status IS 'one row a stay in a stage with a time for a first contact: whether sales kept it';
COMMENT ON COLUMN sla_status.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN sla_status.seq IS 'number of the change by which the lead entered the stage, see stage_history; NULL: no sweep has recorded it yet';
COMMENT ON COLUMN sla_status.cycle IS 'number of the cycle through the funnel';
COMMENT ON COLUMN sla_status.stage IS 'the stage';
COMMENT ON COLUMN sla_status.stage_rank IS 'rank of the stage to sort by: visitor 40 to advocate 100, exits 10 to 30';
COMMENT ON COLUMN sla_status.channel IS 'channel that the lead came by, or that of its campaign; (none): not known';
COMMENT ON COLUMN sla_status.campaign IS 'campaign that the lead came by; (none): not known';
COMMENT ON COLUMN sla_status.owner IS 'person of your company in charge of the lead; (none): nobody';
COMMENT ON COLUMN sla_status.entered_at IS 'when the lead entered the stage; later today if points of an event that is dated so moved it';
COMMENT ON COLUMN sla_status.due_at IS 'until when it is to be contacted';
COMMENT ON COLUMN sla_status.contacted_at IS 'the last outreach or sales_contact before the stage, in the same cycle and at most stage_rule.sla before it; or else the first one in the stage';
COMMENT ON COLUMN sla_status.left_at IS 'when the lead left the stage; NULL: it is still in it';
COMMENT ON COLUMN sla_status.status IS 'kept: contacted in time; due: the time runs; breached: the time is over; left: left the stage in time without a contact';
COMMENT ON COLUMN sla_status.remaining_days IS 'days that are left to contact a lead that is still in the stage; negative: overdue';
COMMENT ON COLUMN sla_status.response_days IS 'days from entered_at to contacted_at; 0 if the contact led to the stage';

CREATE OR REPLACE FUNCTION sla_status_at(at timestamptz)
    RETURNS TABLE (lead_id bigint, seq integer, stage text, stage_rank integer, entered_at timestamptz, due_at timestamptz,
        contacted_at timestamptz, status text, remaining interval)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    RETURN QUERY
        SELECT c.lead_id, c.seq, c.stage::text, leadscore.stage_rank(c.stage), c.entered_at, c.due_at,
            CASE WHEN c.contacted_at <= sla_status_at.at THEN c.contacted_at END,
            leadscore_internal.sla_state(c.due_at, c.contacted_at, c.left_at, sla_status_at.at),
            CASE WHEN (c.contacted_at IS NULL OR c.contacted_at > sla_status_at.at) AND (c.left_at IS NULL OR c.left_at > sla_status_at.at)
                THEN c.due_at - leadscore_internal.dated(sla_status_at.at) END
        FROM @reports@._sla_clock c
        -- a stage whose event is dated later today is one of now, as in sla_status
        WHERE least(c.entered_at, now()) <= sla_status_at.at
        ORDER BY c.due_at, c.lead_id, c.seq;
END
$$;
COMMENT ON FUNCTION sla_status_at(timestamptz) IS 'sla_status as it was or will be at an instant, if sales makes no contact from now on';

-- An enquiry: the first time that a lead asked for something, sent a form or
-- subscribed.
CREATE OR REPLACE VIEW first_response WITH (security_invoker = true) AS
WITH enquiry AS (
    SELECT e.lead_id, min(e.occurred_at) AS enquired_at
    FROM event e
    WHERE e.kind = ANY (kinds_of('event_kind', 'request', 'form_submit', 'capture')) AND is_dated(e.occurred_at)
    GROUP BY e.lead_id
), answered AS (
    SELECT q.lead_id, q.enquired_at, min(e.contacted_at) AS responded_at
    FROM enquiry q
        LEFT JOIN _contact e ON e.lead_id = q.lead_id AND e.contacted_at >= q.enquired_at
    GROUP BY q.lead_id, q.enquired_at
)
SELECT
    a.lead_id,
    m.channel,
    m.direction,
    m.campaign,
    m.market,
    m.owner,
    a.enquired_at,
    a.responded_at,
    date_part('epoch', a.responded_at - a.enquired_at) / 86400 AS response_days,
    a.responded_at <= a.enquired_at + s.within AS in_time,
    CASE
        WHEN a.responded_at IS NULL THEN 'never'
        WHEN a.responded_at <= a.enquired_at + s.within THEN 'in time'
        WHEN a.responded_at <= a.enquired_at + interval '24 hours' THEN 'within a day'
        WHEN a.responded_at <= a.enquired_at + interval '168 hours' THEN 'within a week'
        ELSE 'later'
    END AS response,
    m.sql_at,
    m.customer_at
FROM answered a
    JOIN _lead_milestone m USING (lead_id)
    -- OFFSET: once, not for each lead
    CROSS JOIN (SELECT fixed_period(s.first_response_within) AS within FROM setting s OFFSET 0) s;
COMMENT ON VIEW first_response IS 'one row a lead that enquired: how long it took to answer it';
COMMENT ON COLUMN first_response.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN first_response.channel IS 'channel that the lead came by, or that of its campaign; (none): not known';
COMMENT ON COLUMN first_response.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN first_response.campaign IS 'campaign that the lead came by; (none): not known';
COMMENT ON COLUMN first_response.market IS 'market of the lead: b2b or b2c; (none): not known';
COMMENT ON COLUMN first_response.owner IS 'person of your company in charge of the lead; (none): nobody';
COMMENT ON COLUMN first_response.enquired_at IS 'first event of role request, form_submit or capture';
COMMENT ON COLUMN first_response.responded_at IS 'first outreach or sales_contact since';
COMMENT ON COLUMN first_response.response_days IS 'days from enquired_at to responded_at; NULL: no response';
COMMENT ON COLUMN first_response.in_time IS 'whether the response came within setting.first_response_within';
COMMENT ON COLUMN first_response.response IS 'speed of the response: in time, within a day, within a week, later or never';
COMMENT ON COLUMN first_response.sql_at IS 'when it first was sql or higher';
COMMENT ON COLUMN first_response.customer_at IS 'when it first was customer or higher; NULL: never';

-- Only leads that qualify after the response count: sales likes to answer leads
-- that are qualified already, which would look like an effect of the response.
CREATE OR REPLACE VIEW response_time_effect WITH (security_invoker = true) AS
WITH figure AS (
    SELECT k.place, k.response,
        count(f.lead_id) AS leads,
        count(f.lead_id) FILTER (WHERE f.sql_at IS NULL OR f.sql_at >= coalesce(f.responded_at, f.enquired_at)) AS unqualified,
        count(f.lead_id) FILTER (WHERE f.sql_at >= coalesce(f.responded_at, f.enquired_at)) AS qualified,
        count(f.customer_at) FILTER (WHERE f.customer_at >= coalesce(f.responded_at, f.enquired_at)) AS customers
    FROM (VALUES (1, 'in time'), (2, 'within a day'), (3, 'within a week'), (4, 'later'), (5, 'never')) AS k (place, response)
        LEFT JOIN first_response f USING (response)
    GROUP BY k.place, k.response
), late AS (
    SELECT sum(f.qualified)::double precision / nullif(sum(f.unqualified), 0)::double precision AS qualified_rate,
        sum(f.customers)::double precision / nullif(sum(f.leads), 0)::double precision AS customer_rate
    FROM figure f
    WHERE f.place IN (2, 3, 4)
)
SELECT
    f.response,
    f.place,
    f.leads,
    f.unqualified,
    f.qualified,
    f.qualified::double precision / nullif(f.unqualified, 0) AS qualified_rate,
    rate_low(f.qualified, f.unqualified) AS qualified_low_rate,
    rate_high(f.qualified, f.unqualified) AS qualified_high_rate,
    f.customers,
    f.customers::double precision / nullif(f.leads, 0) AS customer_rate,
    f.qualified::double precision / nullif(f.unqualified, 0) / nullif(l.qualified_rate, 0) AS qualified_ratio_to_late,
    f.customers::double precision / nullif(f.leads, 0) / nullif(l.customer_rate, 0) AS customer_ratio_to_late
FROM figure f
    CROSS JOIN late l;
COMMENT ON VIEW response_time_effect IS 'one row a speed of response: how many of the enquiries became sql and customers';
COMMENT ON COLUMN response_time_effect.response IS 'speed of the response: in time (setting.first_response_within), within a day, within a week, later or never';
COMMENT ON COLUMN response_time_effect.place IS 'number to sort the rows by';
COMMENT ON COLUMN response_time_effect.leads IS 'leads that enquired';
COMMENT ON COLUMN response_time_effect.unqualified IS 'leads that were not sql or higher before the response';
COMMENT ON COLUMN response_time_effect.qualified IS 'of unqualified, leads that reached sql or higher after the response';
COMMENT ON COLUMN response_time_effect.qualified_rate IS 'qualified / unqualified';
COMMENT ON COLUMN response_time_effect.qualified_low_rate IS 'lower end of the 95 % interval of qualified_rate (Wilson)';
COMMENT ON COLUMN response_time_effect.qualified_high_rate IS 'upper end of the 95 % interval of qualified_rate (Wilson)';
COMMENT ON COLUMN response_time_effect.customers IS 'leads that became customers';
COMMENT ON COLUMN response_time_effect.customer_rate IS 'customers / leads';
COMMENT ON COLUMN response_time_effect.qualified_ratio_to_late IS 'qualified_rate / qualified_rate of all leads that were answered late';
COMMENT ON COLUMN response_time_effect.customer_ratio_to_late IS 'customer_rate / customer_rate of all leads that were answered late';

-- The outcome of a contact is a property of the event, which readers of views
-- must not see: so outcomes are counted with the rights of the pipeline's owner.
CREATE OR REPLACE FUNCTION _contacts_by_lead()
    RETURNS TABLE (lead_id bigint, won_at timestamptz, contacts bigint, contacts_until_won bigint,
        first_contact_at timestamptz, last_contact_at timestamptz, first_no_at timestamptz, contacts_after_no bigint, last_no boolean)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF NOT @pipeline@._shows_all_leads() THEN
        RETURN;
    END IF;
    RETURN QUERY
        -- contacts and, before those of each lead, when it became a customer
        WITH step AS (
            SELECT e.lead_id, e.event_id, e.occurred_at, lower(e.properties ->> 'outcome') = 'no' AS said_no, NULL::timestamptz AS won_at
            FROM @pipeline@.event e
            WHERE e.kind = ANY (leadscore_internal.kinds_of($table$@pipeline@.event_kind$table$, 'outreach', 'sales_contact')) AND leadscore_internal.is_dated(e.occurred_at)
                -- one that is dated ahead has not been made
                AND e.occurred_at <= now()
            UNION ALL
            SELECT h.lead_id, NULL::bigint AS event_id, NULL::timestamptz AS occurred_at, NULL::boolean AS said_no, h.effective_at AS won_at
            FROM @pipeline@._history h
            WHERE h.to_stage >= 'customer'
        ), placed AS (
            SELECT s.lead_id, s.occurred_at, s.said_no,
                min(s.won_at) OVER path AS won_at,
                min(s.occurred_at) FILTER (WHERE s.said_no) OVER path AS first_no_at,
                lead(s.event_id) OVER path IS NULL AS latest
            FROM step s
            WINDOW path AS (PARTITION BY s.lead_id ORDER BY s.occurred_at NULLS FIRST, s.event_id)
        )
        SELECT p.lead_id, min(p.won_at),
            count(p.occurred_at),
            CASE WHEN min(p.won_at) IS NOT NULL THEN count(*) FILTER (WHERE p.occurred_at <= p.won_at) END,
            min(p.occurred_at),
            max(p.occurred_at),
            min(p.first_no_at),
            count(*) FILTER (WHERE p.occurred_at > p.first_no_at),
            coalesce(bool_or(p.latest AND p.said_no), false)
        FROM placed p
        GROUP BY p.lead_id;
END
$$;
REVOKE EXECUTE ON FUNCTION _contacts_by_lead() FROM PUBLIC;
COMMENT ON FUNCTION _contacts_by_lead() IS
    'one row a lead: how often sales contacted it and when it said no';

CREATE OR REPLACE VIEW followups WITH (security_invoker = true) AS
SELECT
    c.lead_id,
    d.channel,
    d.campaign,
    d.owner,
    s.stage::text AS stage,
    s.stage_rank,
    c.contacts,
    c.first_contact_at,
    c.last_contact_at,
    c.won_at,
    c.contacts_until_won,
    c.first_no_at,
    c.contacts_after_no,
    -- the last outcome is no, and there were fewer than five contacts
    c.won_at IS NULL AND c.last_no AND c.contacts < 5 AS given_up,
    c.won_at IS NULL AND c.first_no_at IS NOT NULL AND c.contacts_after_no = 0 AS given_up_after_first_no
FROM _contacts_by_lead() c
    JOIN _source d USING (lead_id)
    JOIN _lead_now s USING (lead_id);
COMMENT ON VIEW followups IS 'one row a lead that sales contacted or that bought: how often it was contacted';
COMMENT ON COLUMN followups.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN followups.channel IS 'channel that the lead came by, or that of its campaign; (none): not known';
COMMENT ON COLUMN followups.campaign IS 'campaign that the lead came by; (none): not known';
COMMENT ON COLUMN followups.owner IS 'person of your company in charge of the lead; (none): nobody';
COMMENT ON COLUMN followups.stage IS 'stage of the lead now';
COMMENT ON COLUMN followups.stage_rank IS 'rank of the stage to sort by: visitor 40 to advocate 100, exits 10 to 30';
COMMENT ON COLUMN followups.contacts IS 'events of role outreach or sales_contact';
COMMENT ON COLUMN followups.first_contact_at IS 'the first contact';
COMMENT ON COLUMN followups.last_contact_at IS 'the last contact';
COMMENT ON COLUMN followups.won_at IS 'when it first became a customer';
COMMENT ON COLUMN followups.contacts_until_won IS 'contacts up to won_at; NULL: not won';
COMMENT ON COLUMN followups.first_no_at IS 'first contact with outcome no';
COMMENT ON COLUMN followups.contacts_after_no IS 'contacts after first_no_at';
COMMENT ON COLUMN followups.given_up IS 'not won, the last outcome is no, and there were fewer than five contacts';
COMMENT ON COLUMN followups.given_up_after_first_no IS 'not won, and no contact after the first no';

CREATE OR REPLACE VIEW followup_summary WITH (security_invoker = true) AS
SELECT
    count(*) AS leads,
    coalesce(sum(c.contacts), 0)::bigint AS contacts,
    count(c.won_at) AS sales,
    avg(c.contacts_until_won)::double precision AS mean_contacts_until_won,
    count(*) FILTER (WHERE c.contacts_until_won >= 5) AS won_with_five,
    count(*) FILTER (WHERE c.contacts_until_won >= 5)::double precision / nullif(count(c.won_at), 0) AS won_with_five_rate,
    count(c.first_no_at) AS said_no,
    count(*) FILTER (WHERE c.won_at IS NULL AND c.first_no_at IS NOT NULL AND c.contacts_after_no = 0) AS gave_up_after_first_no,
    count(*) FILTER (WHERE c.won_at IS NULL AND c.first_no_at IS NOT NULL AND c.contacts_after_no = 0)::double precision
        / nullif(count(c.first_no_at), 0) AS gave_up_after_first_no_rate,
    count(*) FILTER (WHERE c.won_at > c.first_no_at) AS won_after_no
FROM _contacts_by_lead() c;
COMMENT ON VIEW followup_summary IS 'one row: how many contacts a sale takes, and how often sales gave up after a no';
COMMENT ON COLUMN followup_summary.leads IS 'leads that sales contacted or that bought';
COMMENT ON COLUMN followup_summary.contacts IS 'events of role outreach or sales_contact';
COMMENT ON COLUMN followup_summary.sales IS 'sales, each lead once';
COMMENT ON COLUMN followup_summary.mean_contacts_until_won IS 'mean number of contacts of a sale';
COMMENT ON COLUMN followup_summary.won_with_five IS 'sales that took five or more contacts';
COMMENT ON COLUMN followup_summary.won_with_five_rate IS 'won_with_five / sales';
COMMENT ON COLUMN followup_summary.said_no IS 'leads that said no at least once';
COMMENT ON COLUMN followup_summary.gave_up_after_first_no IS 'of said_no, leads that were neither won nor contacted again';
COMMENT ON COLUMN followup_summary.gave_up_after_first_no_rate IS 'gave_up_after_first_no / said_no';
COMMENT ON COLUMN followup_summary.won_after_no IS 'sales to leads that had said no before';

CREATE OR REPLACE VIEW won_by_contact_number WITH (security_invoker = true) AS
SELECT
    k.contact_number,
    CASE k.contact_number WHEN 0 THEN 'none' WHEN 10 THEN '10 or more' ELSE k.contact_number::text END AS contact_label,
    count(c.lead_id) AS sales,
    count(c.lead_id)::double precision / nullif(sum(count(c.lead_id)) OVER (), 0)::double precision AS won_rate,
    (sum(count(c.lead_id)) OVER (ORDER BY k.contact_number))::double precision
        / nullif(sum(count(c.lead_id)) OVER (), 0)::double precision AS cumulative_rate
FROM generate_series(0, 10) AS k (contact_number)
    LEFT JOIN (
        SELECT c.lead_id, least(c.contacts_until_won, 10) AS contact_number
        FROM _contacts_by_lead() c
        WHERE c.won_at IS NOT NULL
    ) c ON c.contact_number = k.contact_number
GROUP BY k.contact_number;
COMMENT ON VIEW won_by_contact_number IS 'one row a number of contacts: how many sales took that many';
COMMENT ON COLUMN won_by_contact_number.contact_number IS 'contacts up to the sale; 10: ten or more';
COMMENT ON COLUMN won_by_contact_number.contact_label IS 'contact_number in words';
COMMENT ON COLUMN won_by_contact_number.sales IS 'sales, each lead once';
COMMENT ON COLUMN won_by_contact_number.won_rate IS 'share of all sales';
COMMENT ON COLUMN won_by_contact_number.cumulative_rate IS 'share of all sales that took so many contacts or fewer';

-- An open lead cools when its points no longer carry its stage (mql or sql; a
-- prospect is in the hands of sales), or when it has been quiet for too long
-- (benchmark quiet_days), whichever comes first.
CREATE OR REPLACE VIEW lead_cooling WITH (security_invoker = true) AS
SELECT
    q.lead_id,
    q.channel,
    q.campaign,
    q.owner,
    q.stage::text AS stage,
    q.stage_rank,
    q.score,
    q.last_activity_at,
    date_part('epoch', q.at - coalesce(q.last_activity_at, q.created_at)) / 86400 AS quiet_days,
    q.faded,
    CASE WHEN q.can_fade AND NOT q.faded AND qualified_stage(q.activity, q.compiled, q.change_at) < q.stage THEN dated(q.change_at) END AS fades_at,
    q.quiet_at,
    least(CASE WHEN q.can_fade AND NOT q.faded AND qualified_stage(q.activity, q.compiled, q.change_at) < q.stage THEN dated(q.change_at) END,
        q.quiet_at) AS cools_at,
    q.quiet_at <= q.at OR q.faded AS cold,
    CASE WHEN q.faded AND q.quiet_at <= q.at THEN 'faded and quiet' WHEN q.faded THEN 'faded' WHEN q.quiet_at <= q.at THEN 'quiet' END AS reason
FROM (
        SELECT s.lead_id, s.stage, s.stage_rank, s.activity, s.compiled, s.at,
            score_milli(s.activity, s.compiled, s.at) / 1000.0::double precision AS score,
            d.channel, d.campaign, d.owner, d.created_at,
            dated(last_activity(s.activity, s.at)) AS last_activity_at,
            coalesce(dated(last_activity(s.activity, s.at)), d.created_at)
                + least(greatest(coalesce(b.high, 30), 0), 365000) * interval '24 hours' AS quiet_at,
            next_change(s.activity, s.compiled, s.at) AS change_at,
            s.stage >= 'mql' AND s.stage <= 'sql' AS can_fade,
            s.stage >= 'mql' AND s.stage <= 'sql' AND qualified_stage(s.activity, s.compiled, s.at) < s.stage AS faded
        FROM _lead_now s
            JOIN _source d USING (lead_id)
            LEFT JOIN benchmark b ON b.metric = 'quiet_days' AND b.segment = 'all'
        WHERE s.compiled IS NOT NULL
            -- the first line says nothing new, but can use indexes
            AND (s.recorded_stage >= 'iql' AND s.recorded_stage <= 'prospect' OR s.due)
            AND s.stage >= 'iql' AND s.stage <= 'prospect'
    ) q;
COMMENT ON VIEW lead_cooling IS 'one row an open lead: when it will be cold if nothing happens, because its points fade or because it is quiet';
COMMENT ON COLUMN lead_cooling.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN lead_cooling.channel IS 'channel that the lead came by, or that of its campaign; (none): not known';
COMMENT ON COLUMN lead_cooling.campaign IS 'campaign that the lead came by; (none): not known';
COMMENT ON COLUMN lead_cooling.owner IS 'person of your company in charge of the lead; (none): nobody';
COMMENT ON COLUMN lead_cooling.stage IS 'stage of the lead now';
COMMENT ON COLUMN lead_cooling.stage_rank IS 'rank of the stage to sort by: visitor 40 to advocate 100, exits 10 to 30';
COMMENT ON COLUMN lead_cooling.score IS 'score now in points, by the active model';
COMMENT ON COLUMN lead_cooling.last_activity_at IS 'beginning of the UTC day (or hour, by the grain) of the newest event that counts';
COMMENT ON COLUMN lead_cooling.quiet_days IS 'days since last_activity_at';
COMMENT ON COLUMN lead_cooling.faded IS 'whether it is an mql or sql and its points no longer suffice for that';
COMMENT ON COLUMN lead_cooling.fades_at IS 'when its points will no longer suffice for its stage; NULL: they do not already, or always will';
COMMENT ON COLUMN lead_cooling.quiet_at IS 'when it will have been quiet for as long as the benchmark quiet_days says';
COMMENT ON COLUMN lead_cooling.cools_at IS 'the earlier of fades_at and quiet_at';
COMMENT ON COLUMN lead_cooling.cold IS 'whether it has faded or gone quiet already';
COMMENT ON COLUMN lead_cooling.reason IS 'why it is cold: faded, quiet, or faded and quiet; NULL: it is not';

-- Gates of the stage sql in the active model, which are budget, authority,
-- need and timeline in the preset.
CREATE OR REPLACE VIEW bant_gaps WITH (security_invoker = true) AS
WITH pattern AS (
    SELECT s.stage_rank, g.missing, count(*) AS leads
    FROM _lead_now s
        CROSS JOIN LATERAL (
            SELECT array_agg(g.gate) FILTER (WHERE NOT g.met) AS missing
            FROM stage_gates(s.activity, s.compiled, s.at) g
            WHERE g.stage = 'sql' AND g.gate <> 'score'
        ) g
    WHERE s.compiled IS NOT NULL
        -- the first line says nothing new, but can use indexes
        AND (s.recorded_stage >= 'iql' AND s.recorded_stage <= 'prospect' OR s.due)
        AND s.stage >= 'iql' AND s.stage <= 'prospect'
    GROUP BY s.stage_rank, g.missing
), gap AS (
    SELECT k.gate, t.stage::text AS stage, t.stage_rank,
        coalesce(sum(p.leads), 0)::bigint AS leads,
        coalesce(sum(p.leads) FILTER (WHERE k.gate = ANY (p.missing)), 0)::bigint AS missing,
        coalesce(sum(p.leads) FILTER (WHERE p.missing = ARRAY[k.gate]), 0)::bigint AS only_missing
    FROM (SELECT DISTINCT t.gate FROM stage_gate t JOIN model m ON m.model = t.model AND m.status = 'active' WHERE t.stage = 'sql') k
        CROSS JOIN stages() t
        LEFT JOIN pattern p USING (stage_rank)
    WHERE t.stage >= 'iql' AND t.stage <= 'prospect'
    GROUP BY k.gate, t.stage, t.stage_rank
)
SELECT
    g.gate,
    g.stage,
    g.stage_rank,
    g.leads,
    g.leads - g.missing AS met,
    g.missing,
    g.missing::double precision / nullif(g.leads, 0) AS missing_rate,
    g.only_missing
FROM gap g;
COMMENT ON VIEW bant_gaps IS 'one row a gate of the stage sql and stage: how many open leads fail it; in the presets the gates are budget, authority, need and timeline';
COMMENT ON COLUMN bant_gaps.gate IS 'the gate';
COMMENT ON COLUMN bant_gaps.stage IS 'stage of the leads: iql, mql, sql or prospect';
COMMENT ON COLUMN bant_gaps.stage_rank IS 'rank of the stage to sort by: visitor 40 to advocate 100, exits 10 to 30';
COMMENT ON COLUMN bant_gaps.leads IS 'open leads in that stage';
COMMENT ON COLUMN bant_gaps.met IS 'open leads in that stage that meet the gate';
COMMENT ON COLUMN bant_gaps.missing IS 'open leads in that stage that fail the gate';
COMMENT ON COLUMN bant_gaps.missing_rate IS 'missing / leads';
COMMENT ON COLUMN bant_gaps.only_missing IS 'of missing, leads that fail no other gate of sql';
