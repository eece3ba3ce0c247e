-- Sales: when and how often leads were contacted, and which leads cool.

-- Contacts are events of role outreach (sales tried to reach the lead),
-- sales_contact (sales spoke with it) and meeting_held (sales met it).

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
COMMENT ON COLUMN sla_status.contacted_at IS 'the last outreach, sales_contact or meeting_held before the stage, in the same cycle and at most stage_rule.sla before it; or else the first one in the stage';
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

-- Clocks that run until sales answers.
--
-- request: an enquiry begins with a request and takes in all further ones until
-- it ends: with the first contact, which answers it, or when the lead becomes a
-- customer or is lost, disqualified or recycled. A form or a subscription is no
-- request: nobody waits for a call because of a newsletter.
-- stage: the clocks of sla_status.
--
-- Of one instant a request comes first, then a contact, then the end.
CREATE OR REPLACE VIEW _answer_clock WITH (security_invoker = true) AS
WITH step AS (
    SELECT e.lead_id, e.occurred_at AS at, CASE WHEN e.kind = ANY (kinds_of('event_kind', 'request')) THEN 1 ELSE 2 END AS what
    FROM event e
    WHERE e.kind = ANY (kinds_of('event_kind', 'request', 'outreach', 'sales_contact', 'meeting_held')) AND is_dated(e.occurred_at) AND e.occurred_at <= now()
    UNION ALL
    SELECT h.lead_id, h.effective_at AS at, 3 AS what
    FROM _history h
    WHERE h.effective_at <= now() AND (h.to_stage < 'visitor' OR h.to_stage >= 'customer' AND h.from_stage < 'customer')
), placed AS (
    SELECT s.lead_id, s.at, s.what, lag(s.what) OVER path AS what_before, row_number() OVER path AS place, count(*) OVER (PARTITION BY s.lead_id) AS places
    FROM step s
    WINDOW path AS (PARTITION BY s.lead_id ORDER BY s.at, s.what)
), turn AS (
    -- the first of each run of requests, and what is between the runs
    SELECT p.lead_id, p.at, p.what, coalesce(lead(p.place) OVER path, p.places + 1) - p.place AS requests,
        lead(p.at) OVER path AS end_at, lead(p.what) OVER path AS end_what
    FROM placed p
    WHERE p.what > 1 OR p.what_before IS DISTINCT FROM 1
    WINDOW path AS (PARTITION BY p.lead_id ORDER BY p.place)
)
SELECT t.lead_id, 'request' AS clock, NULL::lead_stage AS stage, NULL::integer AS seq, t.requests, t.at AS started_at, due_after(t.at, s.within, s.time_zone, s.weekdays, s.opens, s.closes) AS due_at,
    CASE WHEN t.end_what = 2 THEN t.end_at END AS responded_at,
    CASE WHEN t.end_what = 3 THEN t.end_at END AS closed_at,
    lead(t.at) OVER (PARTITION BY t.lead_id ORDER BY t.at) AS next_at
FROM turn t
    -- OFFSET: once, not for each lead
    CROSS JOIN (SELECT fixed_period(s.first_response_within) AS within, w.* FROM setting s CROSS JOIN _business_week w OFFSET 0) s
WHERE t.what = 1
UNION ALL
SELECT c.lead_id, 'stage' AS clock, c.stage, c.seq, NULL::bigint AS requests, c.entered_at AS started_at, c.due_at,
    CASE WHEN c.contacted_at <= now() THEN c.contacted_at END AS responded_at,
    c.left_at AS closed_at,
    lead(c.entered_at) OVER (PARTITION BY c.lead_id ORDER BY c.entered_at, c.seq) AS next_at
FROM _sla_clock c
WHERE c.entered_at <= now();
COMMENT ON VIEW _answer_clock IS 'one row an enquiry, and one row a stay in a stage with a time for a first contact: when sales answered';

-- What came of it: after the answer (or, without one, after the start), and
-- before the next clock of the lead started. So no success counts twice.
CREATE OR REPLACE VIEW first_response WITH (security_invoker = true) AS
WITH outcome AS (
    SELECT k.lead_id, k.clock, k.stage, k.seq, k.requests, k.started_at, k.due_at, k.responded_at, k.closed_at,
        -- of seq and rank in one number the greatest: the newest stage before
        coalesce(max(h.seq::bigint << 8 | stage_rank(h.to_stage)) FILTER (WHERE h.effective_at < greatest(k.responded_at, k.started_at)) & 255, 0) AS rank_before,
        coalesce(max(h.seq::bigint << 8 | stage_rank(h.to_stage)) FILTER (WHERE h.effective_at < k.started_at) & 255, 0) AS rank_at_start,
        bool_or(h.is_lead) AS was_lead,
        min(h.effective_at) FILTER (WHERE h.to_stage >= 'sql' AND h.effective_at >= greatest(k.responded_at, k.started_at)
            AND (h.effective_at < k.next_at OR k.next_at IS NULL)) AS sql_at,
        min(h.effective_at) FILTER (WHERE h.to_stage >= 'customer' AND h.effective_at >= greatest(k.responded_at, k.started_at)
            AND (h.effective_at < k.next_at OR k.next_at IS NULL)) AS customer_at
    FROM _answer_clock k
        LEFT JOIN _history h ON h.lead_id = k.lead_id
    GROUP BY k.lead_id, k.clock, k.stage, k.seq, k.requests, k.started_at, k.due_at, k.responded_at, k.closed_at
), judged AS (
    SELECT o.*,
        sla_state(o.due_at, o.responded_at, o.closed_at, now()) AS status,
        o.stage IS NOT NULL AND o.stage >= 'sql' OR o.rank_before >= stage_rank('sql'::lead_stage) AS was_qualified,
        o.rank_at_start >= stage_rank('customer'::lead_stage) AS was_customer
    FROM outcome o
)
SELECT
    a.lead_id,
    d.channel,
    d.direction,
    d.campaign,
    d.market,
    d.owner,
    a.started_at AS enquired_at,
    a.responded_at,
    date_part('epoch', greatest(a.responded_at, a.started_at) - a.started_at) / 86400 * CASE WHEN a.responded_at IS NOT NULL THEN 1 END AS response_days,
    CASE a.status WHEN 'kept' THEN true WHEN 'breached' THEN false END AS in_time,
    CASE
        WHEN a.status = 'kept' THEN 'in time'
        WHEN a.responded_at <= a.started_at + interval '24 hours' THEN 'within a day'
        WHEN a.responded_at <= a.started_at + interval '168 hours' THEN 'within a week'
        WHEN a.responded_at IS NOT NULL THEN 'later'
        WHEN a.status = 'due' THEN 'waiting'
        ELSE 'never'
    END AS response,
    CASE WHEN a.was_lead AND NOT a.was_qualified THEN a.sql_at END AS sql_at,
    CASE WHEN NOT a.was_customer THEN a.customer_at END AS customer_at,
    a.clock,
    a.stage::text AS stage,
    stage_rank(a.stage) AS stage_rank,
    a.seq,
    a.requests,
    a.due_at,
    a.closed_at,
    a.status,
    a.was_qualified,
    a.was_customer
FROM judged a
    JOIN _source d USING (lead_id);
COMMENT ON VIEW first_response IS 'one row an enquiry (clock request), and one row a stay in a stage with a time for a first contact (clock stage): how long it took to answer it. Ask for one clock';
COMMENT ON COLUMN first_response.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN first_response.channel IS 'channel that the lead came by, or that of its campaign; (none): not known';
COMMENT ON COLUMN first_response.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN first_response.campaign IS 'campaign that the lead came by; (none): not known';
COMMENT ON COLUMN first_response.market IS 'market of the lead: b2b or b2c; (none): not known';
COMMENT ON COLUMN first_response.owner IS 'person of your company in charge of the lead; (none): nobody';
COMMENT ON COLUMN first_response.enquired_at IS 'when the clock started: the first request of the enquiry, or the entry into the stage';
COMMENT ON COLUMN first_response.responded_at IS 'clock request: the first outreach, sales_contact or meeting_held since, before closed_at; clock stage: contacted_at of sla_status';
COMMENT ON COLUMN first_response.response_days IS 'days from enquired_at to responded_at; 0 if the contact led to the stage; NULL: no response';
COMMENT ON COLUMN first_response.in_time IS 'whether status is kept (true) or breached (false); NULL: due or left';
COMMENT ON COLUMN first_response.response IS 'speed of the response: in time, within a day, within a week, later; never; or waiting: unanswered, and the time runs';
COMMENT ON COLUMN first_response.sql_at IS 'when the lead became sql or higher after the response (without one, after enquired_at) and before its next clock; NULL: it did not, or was before';
COMMENT ON COLUMN first_response.customer_at IS 'when the lead became a customer, likewise';
COMMENT ON COLUMN first_response.clock IS 'request: the clock starts with a request; stage: with the entry into a stage for which the active model has a time';
COMMENT ON COLUMN first_response.stage IS 'clock stage: the stage';
COMMENT ON COLUMN first_response.stage_rank IS 'rank of the stage to sort by: visitor 40 to advocate 100, exits 10 to 30';
COMMENT ON COLUMN first_response.seq IS 'clock stage: number of the change by which the lead entered it, see sla_status; NULL: no sweep has recorded it yet';
COMMENT ON COLUMN first_response.requests IS 'clock request: events of role request in the enquiry';
COMMENT ON COLUMN first_response.due_at IS 'until when it is to be answered: setting.first_response_within, or stage_rule.sla, after enquired_at';
COMMENT ON COLUMN first_response.closed_at IS 'clock request: when the lead became a customer, lost, disqualified or recycled, without an answer; clock stage: when it left the stage';
COMMENT ON COLUMN first_response.status IS 'kept: answered in time; due: the time runs; breached: the time is over; left: closed in time without an answer; as in sla_status';
COMMENT ON COLUMN first_response.was_qualified IS 'whether the lead was sql or higher before the response (without one, before enquired_at)';
COMMENT ON COLUMN first_response.was_customer IS 'whether the lead was a customer before it';

-- Only leads that qualify after the response count: sales likes to answer leads
-- that are qualified already, which would look like an effect of the response.
CREATE OR REPLACE VIEW response_time_effect WITH (security_invoker = true) AS
WITH figure AS (
    SELECT c.clock, c.place + k.place AS place, k.place AS speed, k.response,
        count(f.lead_id) AS enquiries,
        count(f.lead_id) FILTER (WHERE NOT f.was_qualified) AS unqualified,
        count(f.sql_at) AS qualified,
        count(f.customer_at) AS customers
    FROM (VALUES (0, 'request'), (6, 'stage')) AS c (place, clock)
        CROSS JOIN (VALUES (1, 'in time'), (2, 'within a day'), (3, 'within a week'), (4, 'later'), (5, 'never'), (6, 'waiting')) AS k (place, response)
        LEFT JOIN first_response f ON f.clock = c.clock AND f.response = k.response AND NOT f.was_customer
    GROUP BY c.clock, c.place, k.place, k.response
), late AS (
    SELECT f.clock, sum(f.qualified)::double precision / nullif(sum(f.unqualified), 0)::double precision AS qualified_rate,
        sum(f.customers)::double precision / nullif(sum(f.enquiries), 0)::double precision AS customer_rate
    FROM figure f
    WHERE f.speed IN (2, 3, 4)
    GROUP BY f.clock
)
SELECT
    f.response,
    f.place,
    f.enquiries,
    f.unqualified,
    f.qualified,
    f.qualified::double precision / nullif(f.unqualified, 0) AS qualified_rate,
    rate_low(f.qualified, f.unqualified) AS qualified_low_rate,
    rate_high(f.qualified, f.unqualified) AS qualified_high_rate,
    f.customers,
    f.customers::double precision / nullif(f.enquiries, 0) AS customer_rate,
    f.qualified::double precision / nullif(f.unqualified, 0) / nullif(l.qualified_rate, 0) AS qualified_ratio_to_late,
    f.customers::double precision / nullif(f.enquiries, 0) / nullif(l.customer_rate, 0) AS customer_ratio_to_late,
    f.clock,
    rate_low(f.customers, f.enquiries) AS customer_low_rate,
    rate_high(f.customers, f.enquiries) AS customer_high_rate
FROM figure f
    JOIN late l USING (clock);
COMMENT ON VIEW response_time_effect IS 'one row a clock and speed of response: how many of the enquiries led to an sql and a customer. Ask for one clock';
COMMENT ON COLUMN response_time_effect.response IS 'speed of the response: in time (setting.first_response_within, or stage_rule.sla), within a day, within a week, later; never; or waiting: unanswered, and the time runs';
COMMENT ON COLUMN response_time_effect.place IS 'number to sort the rows by';
COMMENT ON COLUMN response_time_effect.enquiries IS 'rows of first_response, those of customers left out: enquiries, or stays in a stage; a lead may have several';
COMMENT ON COLUMN response_time_effect.unqualified IS 'of enquiries, those of leads that were not sql or higher before the response';
COMMENT ON COLUMN response_time_effect.qualified IS 'of unqualified, those whose lead became sql or higher after the response and before its next clock';
COMMENT ON COLUMN response_time_effect.qualified_rate IS 'qualified / unqualified';
COMMENT ON COLUMN response_time_effect.qualified_low_rate IS 'lower end of the 95 % interval of qualified_rate (Wilson)';
COMMENT ON COLUMN response_time_effect.qualified_high_rate IS 'upper end of the 95 % interval of qualified_rate (Wilson)';
COMMENT ON COLUMN response_time_effect.customers IS 'of enquiries, those whose lead became a customer after the response and before its next clock';
COMMENT ON COLUMN response_time_effect.customer_rate IS 'customers / enquiries';
COMMENT ON COLUMN response_time_effect.qualified_ratio_to_late IS 'qualified_rate / qualified_rate of all enquiries that were answered late';
COMMENT ON COLUMN response_time_effect.customer_ratio_to_late IS 'customer_rate / customer_rate of all enquiries that were answered late';
COMMENT ON COLUMN response_time_effect.clock IS 'request or stage, see first_response';
COMMENT ON COLUMN response_time_effect.customer_low_rate IS 'lower end of the 95 % interval of customer_rate (Wilson)';
COMMENT ON COLUMN response_time_effect.customer_high_rate IS 'upper end of the 95 % interval of customer_rate (Wilson)';

-- The outcome of a contact is a property of the event, which readers of views
-- must not see: so outcomes are counted with the rights of the pipeline's owner.
CREATE OR REPLACE FUNCTION _contacts_by_lead()
    RETURNS TABLE (lead_id bigint, won_at timestamptz, contacts bigint, contacts_until_won bigint,
        first_contact_at timestamptz, last_contact_at timestamptz, first_no_at timestamptz, contacts_after_no bigint, last_no boolean,
        waiting boolean)
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
            SELECT e.lead_id, e.event_id, e.occurred_at, lower(btrim(e.properties ->> 'outcome')) = 'no' AS said_no, NULL::timestamptz AS won_at
            FROM @pipeline@.event e
            WHERE e.kind = ANY (leadscore_internal.kinds_of($table$@pipeline@.event_kind$table$, 'outreach', 'sales_contact', 'meeting_held')) AND leadscore_internal.is_dated(e.occurred_at)
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
        ), counted AS MATERIALIZED (
            SELECT p.lead_id, min(p.won_at) AS won_at,
                count(p.occurred_at) AS contacts,
                CASE WHEN min(p.won_at) IS NOT NULL THEN count(*) FILTER (WHERE p.occurred_at <= p.won_at) END AS contacts_until_won,
                min(p.occurred_at) AS first_contact_at,
                max(p.occurred_at) AS last_contact_at,
                min(p.first_no_at) AS first_no_at,
                count(*) FILTER (WHERE p.occurred_at > p.first_no_at) AS contacts_after_no,
                coalesce(bool_or(p.latest AND p.said_no), false) AS last_no
            FROM placed p
            GROUP BY p.lead_id
        )
        SELECT c.lead_id, c.won_at, c.contacts, c.contacts_until_won, c.first_contact_at, c.last_contact_at, c.first_no_at, c.contacts_after_no, c.last_no,
            -- a lead that said no yesterday is not given up yet, nor is one that is to be called in spring
            c.first_no_at IS NOT NULL AND c.won_at IS NULL AND s.stage >= 'visitor'
                AND (c.last_contact_at > now() - least(greatest(coalesce(b.high, 30), 0), 365000) * interval '24 hours'
                    OR a.lead_id IS NOT NULL)
        FROM counted c
            JOIN @pipeline@._lead_now s USING (lead_id)
            LEFT JOIN (SELECT DISTINCT a.lead_id FROM @pipeline@.action a WHERE a.kind = 'task' AND a.status IN ('waiting', 'claimed')) a USING (lead_id)
            LEFT JOIN @pipeline@.benchmark b ON b.metric = 'quiet_days' AND b.segment = 'all';
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
    c.won_at IS NULL AND c.last_no AND c.contacts < 5 AND NOT c.waiting AS given_up,
    c.won_at IS NULL AND c.first_no_at IS NOT NULL AND c.contacts_after_no = 0 AND NOT c.waiting AS given_up_after_first_no,
    c.waiting
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
COMMENT ON COLUMN followups.contacts IS 'events of role outreach, sales_contact or meeting_held';
COMMENT ON COLUMN followups.first_contact_at IS 'the first contact';
COMMENT ON COLUMN followups.last_contact_at IS 'the last contact';
COMMENT ON COLUMN followups.won_at IS 'when it first became a customer';
COMMENT ON COLUMN followups.contacts_until_won IS 'contacts up to won_at; NULL: not won';
COMMENT ON COLUMN followups.first_no_at IS 'first contact with outcome no';
COMMENT ON COLUMN followups.contacts_after_no IS 'contacts after first_no_at';
COMMENT ON COLUMN followups.given_up IS 'not won, the last outcome is no, there were fewer than five contacts, and it does not wait';
COMMENT ON COLUMN followups.given_up_after_first_no IS 'not won, no contact after the first no, and it does not wait';
COMMENT ON COLUMN followups.waiting IS 'said no, is neither won nor out of the funnel, and sales may still call again: the last contact is not longer ago than the benchmark quiet_days, or a task for it is open';

CREATE OR REPLACE VIEW followup_summary WITH (security_invoker = true) AS
SELECT
    count(*) AS leads,
    coalesce(sum(c.contacts), 0)::bigint AS contacts,
    count(c.won_at) AS sales,
    avg(c.contacts_until_won)::double precision AS mean_contacts_until_won,
    count(*) FILTER (WHERE c.contacts_until_won >= 5) AS won_with_five,
    count(*) FILTER (WHERE c.contacts_until_won >= 5)::double precision / nullif(count(c.won_at), 0) AS won_with_five_rate,
    count(c.first_no_at) AS said_no,
    count(*) FILTER (WHERE c.won_at IS NULL AND c.first_no_at IS NOT NULL AND c.contacts_after_no = 0 AND NOT c.waiting) AS gave_up_after_first_no,
    count(*) FILTER (WHERE c.won_at IS NULL AND c.first_no_at IS NOT NULL AND c.contacts_after_no = 0 AND NOT c.waiting)::double precision
        / nullif(count(c.first_no_at) - count(*) FILTER (WHERE c.contacts_after_no = 0 AND c.waiting), 0) AS gave_up_after_first_no_rate,
    count(*) FILTER (WHERE c.won_at > c.first_no_at) AS won_after_no,
    count(*) FILTER (WHERE c.contacts_after_no = 0 AND c.waiting) AS waiting_after_first_no
FROM _contacts_by_lead() c;
COMMENT ON VIEW followup_summary IS 'one row: how many contacts a sale takes, and how often sales gave up after a no';
COMMENT ON COLUMN followup_summary.leads IS 'leads that sales contacted or that bought';
COMMENT ON COLUMN followup_summary.contacts IS 'events of role outreach, sales_contact or meeting_held';
COMMENT ON COLUMN followup_summary.sales IS 'sales, each lead once';
COMMENT ON COLUMN followup_summary.mean_contacts_until_won IS 'mean number of contacts of a sale';
COMMENT ON COLUMN followup_summary.won_with_five IS 'sales that took five or more contacts';
COMMENT ON COLUMN followup_summary.won_with_five_rate IS 'won_with_five / sales';
COMMENT ON COLUMN followup_summary.said_no IS 'leads that said no at least once';
COMMENT ON COLUMN followup_summary.gave_up_after_first_no IS 'of said_no, leads that were neither won nor contacted again, and do not wait';
COMMENT ON COLUMN followup_summary.gave_up_after_first_no_rate IS 'gave_up_after_first_no / (said_no - waiting_after_first_no)';
COMMENT ON COLUMN followup_summary.won_after_no IS 'sales to leads that had said no before';
COMMENT ON COLUMN followup_summary.waiting_after_first_no IS 'of said_no, leads that were neither won nor contacted again, and wait: see followups.waiting';

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
    -- a lead that was made ahead of its time has not been quiet at all
    date_part('epoch', greatest(q.at, coalesce(q.last_activity_at, q.created_at)) - coalesce(q.last_activity_at, q.created_at)) / 86400 AS quiet_days,
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
            dated(last_activity(s.activity, s.at, o.signals)) AS last_activity_at,
            coalesce(dated(last_activity(s.activity, s.at, o.signals)), d.created_at)
                + least(greatest(coalesce(b.high, 30), 0), 365000) * interval '24 hours' AS quiet_at,
            next_change(s.activity, s.compiled, s.at) AS change_at,
            s.stage >= 'mql' AND s.stage <= 'sql' AS can_fade,
            s.stage >= 'mql' AND s.stage <= 'sql' AND qualified_stage(s.activity, s.compiled, s.at) < s.stage AS faded
        FROM _lead_now s
            JOIN _source d USING (lead_id)
            CROSS JOIN (SELECT coalesce(array_agg(g.signal_id::integer), '{}') AS signals FROM signal g WHERE g.event_role = 'outreach') o
            LEFT JOIN benchmark b ON b.metric = 'quiet_days' AND b.segment = 'all'
        WHERE s.compiled IS NOT NULL
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
COMMENT ON COLUMN lead_cooling.last_activity_at IS 'beginning of the UTC day (or hour, by the grain) of the newest event that counts; an outreach of ours is none';
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

-- Meetings. An event that ends a meeting (held, no show, cancelled) ends the
-- oldest booking of its lead that is open; without one it is a meeting that
-- nobody has booked here. Of one instant a booking comes first.
--
-- When a meeting is to take place is a property, which readers of views must not
-- see: so meetings are put together with the rights of the pipeline's owner.
CREATE OR REPLACE FUNCTION _meetings()
    RETURNS TABLE (lead_id bigint, booked_at timestamptz, meeting_at timestamptz, ended_at timestamptz, outcome text)
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF NOT @pipeline@._shows_all_leads() THEN
        RETURN;
    END IF;
    RETURN QUERY
        WITH step AS (
            SELECT e.lead_id, e.event_id, e.occurred_at, k.role,
                CASE WHEN k.role = 'meeting_booked' THEN leadscore_internal.iso_instant(e.properties ->> 'meeting_at', s.time_zone) END AS meeting_at
            FROM @pipeline@.event e
                JOIN @pipeline@.event_kind k USING (kind)
                CROSS JOIN @pipeline@.setting s
            WHERE e.kind = ANY (leadscore_internal.kinds_of($table$@pipeline@.event_kind$table$, 'meeting_booked', 'meeting_held', 'meeting_no_show', 'meeting_cancelled'))
                -- one that is dated ahead has not happened
                AND leadscore_internal.is_dated(e.occurred_at) AND e.occurred_at <= now()
        ), counted AS (
            SELECT t.*,
                count(*) FILTER (WHERE t.role = 'meeting_booked') OVER path AS booked,
                count(*) FILTER (WHERE t.role <> 'meeting_booked') OVER path AS ended
            FROM step t
            WINDOW path AS (PARTITION BY t.lead_id ORDER BY t.occurred_at, t.role <> 'meeting_booked', t.event_id)
        ), placed AS (
            -- of the ends so far those that found no open booking: as many as there
            -- ever were more ends than bookings
            SELECT c.*, greatest(max(c.ended - c.booked) OVER path, 0) AS unbooked
            FROM counted c
            WINDOW path AS (PARTITION BY c.lead_id ORDER BY c.occurred_at, c.role <> 'meeting_booked', c.event_id)
        ), ending AS (
            SELECT p.lead_id, p.occurred_at, p.role,
                CASE WHEN p.unbooked = coalesce(lag(p.unbooked) OVER path, 0) THEN p.ended - p.unbooked END AS nth
            FROM placed p
            WHERE p.role <> 'meeting_booked'
            WINDOW path AS (PARTITION BY p.lead_id ORDER BY p.occurred_at, p.event_id)
        )
        SELECT coalesce(b.lead_id, n.lead_id), b.occurred_at,
            coalesce(b.meeting_at, CASE WHEN n.role = 'meeting_held' THEN n.occurred_at END),
            n.occurred_at,
            CASE n.role WHEN 'meeting_held' THEN 'held' WHEN 'meeting_no_show' THEN 'no show' WHEN 'meeting_cancelled' THEN 'cancelled' ELSE 'open' END
        FROM (SELECT p.lead_id, p.occurred_at, p.meeting_at, p.booked AS nth FROM placed p WHERE p.role = 'meeting_booked') b
            FULL JOIN ending n ON n.lead_id = b.lead_id AND n.nth = b.nth;
END
$$;
REVOKE EXECUTE ON FUNCTION _meetings() FROM PUBLIC;
COMMENT ON FUNCTION _meetings() IS
    'one row a meeting: when it was booked, is to take place, and ended, and how (held, no show, cancelled, open)';

CREATE OR REPLACE VIEW meeting_outcome WITH (security_invoker = true) AS
WITH meeting AS (
    SELECT d.owner, m.lead_id, m.booked_at, m.meeting_at, m.ended_at, m.outcome,
        CASE WHEN m.meeting_at >= m.booked_at THEN date_part('epoch', m.meeting_at - m.booked_at) / 86400 END AS ahead_days
    FROM _meetings() m
        JOIN _source d USING (lead_id)
), figure AS (
    SELECT m.owner,
        count(*) AS meetings,
        count(m.booked_at) AS booked,
        count(*) FILTER (WHERE m.outcome = 'held') AS held,
        count(*) FILTER (WHERE m.outcome = 'no show') AS no_show,
        count(*) FILTER (WHERE m.outcome = 'cancelled') AS cancelled,
        count(*) FILTER (WHERE m.outcome = 'open') AS open,
        count(*) FILTER (WHERE m.outcome = 'open' AND m.meeting_at < now()) AS overdue,
        count(m.ahead_days) AS timed,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY m.ahead_days) AS median_days,
        (array_agg(m.ahead_days ORDER BY m.ahead_days) FILTER (WHERE m.ahead_days IS NOT NULL))[median_rank(count(m.ahead_days))] AS low_days,
        (array_agg(m.ahead_days ORDER BY m.ahead_days DESC) FILTER (WHERE m.ahead_days IS NOT NULL))[median_rank(count(m.ahead_days))] AS high_days
    FROM meeting m
    GROUP BY m.owner
), met AS (
    -- each lead once; one that was a customer before is not won by a meeting
    SELECT f.owner, count(*) AS leads_met, count(s.customer_at) AS customers
    FROM (SELECT m.owner, m.lead_id, min(m.ended_at) AS met_at FROM meeting m WHERE m.outcome = 'held' GROUP BY m.owner, m.lead_id) f
        LEFT JOIN _milestone s ON s.lead_id = f.lead_id
    WHERE s.customer_at >= f.met_at OR s.customer_at IS NULL
    GROUP BY f.owner
)
SELECT
    f.owner,
    f.meetings,
    f.booked,
    f.held,
    f.no_show,
    f.cancelled,
    f.open,
    f.overdue,
    f.held::double precision / nullif(f.held + f.no_show + f.cancelled, 0) AS held_rate,
    rate_low(f.held, f.held + f.no_show + f.cancelled) AS held_low_rate,
    rate_high(f.held, f.held + f.no_show + f.cancelled) AS held_high_rate,
    f.no_show::double precision / nullif(f.held + f.no_show, 0) AS no_show_rate,
    rate_low(f.no_show, f.held + f.no_show) AS no_show_low_rate,
    rate_high(f.no_show, f.held + f.no_show) AS no_show_high_rate,
    f.timed,
    f.median_days AS median_ahead_days,
    f.low_days AS median_ahead_low_days,
    f.high_days AS median_ahead_high_days,
    coalesce(m.leads_met, 0) AS leads_met,
    coalesce(m.customers, 0) AS customers,
    m.customers::double precision / m.leads_met AS customer_rate,
    rate_low(m.customers, m.leads_met) AS customer_low_rate,
    rate_high(m.customers, m.leads_met) AS customer_high_rate
FROM figure f
    LEFT JOIN met m ON m.owner = f.owner;
COMMENT ON VIEW meeting_outcome IS 'one row an owner whose leads have meetings: how many took place, and what came of them';
COMMENT ON COLUMN meeting_outcome.owner IS 'person of your company in charge of the lead; (none): nobody';
COMMENT ON COLUMN meeting_outcome.meetings IS 'meetings, booked or not: held, no_show, cancelled and open';
COMMENT ON COLUMN meeting_outcome.booked IS 'meetings that were booked: events of role meeting_booked';
COMMENT ON COLUMN meeting_outcome.held IS 'meetings that took place: events of role meeting_held';
COMMENT ON COLUMN meeting_outcome.no_show IS 'meetings to which the lead did not come: events of role meeting_no_show';
COMMENT ON COLUMN meeting_outcome.cancelled IS 'meetings that were called off: events of role meeting_cancelled';
COMMENT ON COLUMN meeting_outcome.open IS 'bookings without any of these since; an end belongs to the oldest open booking of its lead';
COMMENT ON COLUMN meeting_outcome.overdue IS 'of open, those whose time is over: nobody has said what came of them';
COMMENT ON COLUMN meeting_outcome.held_rate IS 'held / (held + no_show + cancelled)';
COMMENT ON COLUMN meeting_outcome.held_low_rate IS 'lower end of the 95 % interval of held_rate (Wilson)';
COMMENT ON COLUMN meeting_outcome.held_high_rate IS 'upper end of the 95 % interval of held_rate (Wilson)';
COMMENT ON COLUMN meeting_outcome.no_show_rate IS 'no_show / (held + no_show)';
COMMENT ON COLUMN meeting_outcome.no_show_low_rate IS 'lower end of the 95 % interval of no_show_rate (Wilson)';
COMMENT ON COLUMN meeting_outcome.no_show_high_rate IS 'upper end of the 95 % interval of no_show_rate (Wilson)';
COMMENT ON COLUMN meeting_outcome.timed IS 'bookings of which it is known when the meeting is or was: property meeting_at, or else when it was held';
COMMENT ON COLUMN meeting_outcome.median_ahead_days IS 'median days from booking to meeting, of timed';
COMMENT ON COLUMN meeting_outcome.median_ahead_low_days IS 'lower end of the 95 % interval of the median, by ranks; NULL: fewer than six meetings';
COMMENT ON COLUMN meeting_outcome.median_ahead_high_days IS 'upper end of the 95 % interval of the median, by ranks; NULL: fewer than six meetings';
COMMENT ON COLUMN meeting_outcome.leads_met IS 'leads with a meeting that was held, which were no customers before the first of these';
COMMENT ON COLUMN meeting_outcome.customers IS 'of leads_met, those that became customers after the first meeting that was held';
COMMENT ON COLUMN meeting_outcome.customer_rate IS 'customers / leads_met';
COMMENT ON COLUMN meeting_outcome.customer_low_rate IS 'lower end of the 95 % interval of customer_rate (Wilson)';
COMMENT ON COLUMN meeting_outcome.customer_high_rate IS 'upper end of the 95 % interval of customer_rate (Wilson)';
