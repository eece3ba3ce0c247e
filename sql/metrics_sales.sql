--
-- Sales discipline: clocks, answers, follow-up, cooling, gaps
--
\getenv srcdir PG_ABS_SRCDIR
\set data :srcdir '/test/oracle/metrics.sql'
SET timezone = 'Asia/Kathmandu';
SELECT leadscore.create_pipeline('crm') \g /dev/null
SET search_path = crm, crm_reports, leadscore, leadscore_internal;

-- An empty pipeline
SELECT * FROM response_time_effect ORDER BY place;
SELECT * FROM followup_summary;
SELECT * FROM won_by_contact_number ORDER BY contact_number;
SELECT * FROM bant_gaps ORDER BY gate, stage_rank;
SELECT (SELECT count(*) FROM sla_status), (SELECT count(*) FROM _sla_clock), (SELECT count(*) FROM first_response), (SELECT count(*) FROM followups), (SELECT count(*) FROM lead_cooling WHERE cold), (SELECT count(*) FROM sla_status_at(now()));

-- The clock of an sql of 10:00: a never contacted, b at exactly 11:00:00, c a
-- second later, d tried at 10:20 and spoken with at 12:00, e lost at 10:30
-- without a contact, f bought at 10:40, g was spoken with before and after
INSERT INTO lead (lead_id, external_id, email, consented_at, created_at)
    SELECT n, chr(96 + n), 'a@b', '2025-03-01 09:00Z', '2025-03-01 09:00Z' FROM generate_series(1, 7) n;
INSERT INTO event (lead_id, kind, occurred_at, properties) SELECT n, 'stage_set', timestamptz '2025-03-01 10:00Z', '{"stage": "sql"}' FROM generate_series(1, 7) n;
INSERT INTO event (lead_id, kind, occurred_at) VALUES
    (2, 'sales_contact', '2025-03-01 11:00:00Z'), (3, 'sales_contact', '2025-03-01 11:00:01Z'),
    (4, 'outreach', '2025-03-01 10:20Z'), (4, 'sales_contact', '2025-03-01 12:00Z'),
    (5, 'lost', '2025-03-01 10:30Z'), (5, 'outreach', '2025-03-01 10:50Z'), (6, 'purchase', '2025-03-01 10:40Z'),
    (7, 'outreach', '2025-03-01 09:30Z'), (7, 'sales_contact', '2025-03-01 10:59Z');
SELECT l.external_id, s.stage, s.due_at AT TIME ZONE 'UTC' AS due,
    max(s.status) FILTER (WHERE at = '2025-03-01 10:59:59Z') AS "10:59:59",
    max(s.status) FILTER (WHERE at = '2025-03-01 11:00:00Z') AS "11:00:00",
    max(s.status) FILTER (WHERE at = '2025-03-01 11:00:01Z') AS "11:00:01",
    max(s.status) FILTER (WHERE at = '2025-03-01 13:00:00Z') AS "13:00"
FROM unnest('{2025-03-01 10:59:59Z,2025-03-01 11:00:00Z,2025-03-01 11:00:01Z,2025-03-01 13:00Z}'::timestamptz[]) at, sla_status_at(at) s JOIN lead l USING (lead_id)
GROUP BY 1, 2, 3 ORDER BY 1;
SELECT lead_id, status, remaining FROM sla_status_at('2025-03-01 10:45Z') ORDER BY 1;
SELECT count(*) FROM sla_status_at('2025-03-01 09:59:59Z');
SELECT lead_id, status, round(response_days * 86400) AS seconds, remaining_days < 0 AS overdue, left_at AT TIME ZONE 'UTC' AS left FROM sla_status ORDER BY 1;
-- another time for some: the row that the engine takes decides
SELECT clone_model('inbound', 'two') \g /dev/null
INSERT INTO signal (signal, source, condition) VALUES ('b2c', 'profile', '$market == "b2c"');
INSERT INTO stage_rule (model, stage, only_if, min_score, sla) VALUES ('two', 'sql', 'b2c', 71, '3 hours'), ('two', 'mql', 'b2c', 31, NULL);
SELECT activate_model('two', wait => true) \g /dev/null
UPDATE lead SET market = 'b2c' WHERE lead_id IN (1, 3);
SELECT lead_id, due_at AT TIME ZONE 'UTC' AS due, status FROM sla_status_at('2025-03-01 12:00Z') WHERE lead_id <= 4 ORDER BY 1;
SELECT * FROM verify();
DROP SCHEMA crm, crm_reports CASCADE;

-- Answers to requests: h in time, i a second late, j after two days, k after ten,
-- l never, m was an sql before it was answered, n was contacted before it asked,
-- asked at the moment of a contact, which answers, and asked again in vain
SELECT leadscore.create_pipeline('crm') \g /dev/null
INSERT INTO lead (lead_id, external_id, email, consented_at, created_at)
    SELECT n, chr(103 + n), 'a@b', '2025-03-01 09:00Z', '2025-03-01 09:00Z' FROM generate_series(1, 7) n;
INSERT INTO event (lead_id, kind, occurred_at) SELECT n, CASE n % 3 WHEN 0 THEN 'demo_request' WHEN 1 THEN 'quote_request' ELSE 'personal_demo_request' END, timestamptz '2025-03-01 10:00Z' FROM generate_series(1, 7) n;
-- nobody waits for a call because of these
INSERT INTO event (lead_id, kind, occurred_at) SELECT n, k, timestamptz '2025-03-01 09:10Z' FROM generate_series(1, 7) n, unnest('{form_submit,newsletter_signup,content_download}'::text[]) k;
INSERT INTO event (lead_id, kind, occurred_at) VALUES
    (1, 'outreach', '2025-03-01 11:00:00Z'), (2, 'outreach', '2025-03-01 11:00:01Z'), (3, 'sales_contact', '2025-03-03 10:00Z'), (4, 'outreach', '2025-03-11 10:00Z'),
    (6, 'outreach', '2025-03-01 10:30Z'), (7, 'outreach', '2025-03-01 09:59Z'), (7, 'quote_request', '2025-03-04 10:00Z'), (7, 'outreach', '2025-03-01 10:00Z');
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES (1, 'stage_set', '2025-03-05 10:00Z', '{"stage": "sql"}'), (2, 'stage_set', '2025-03-05 10:00Z', '{"stage": "sql"}'), (6, 'stage_set', '2025-03-01 10:10Z', '{"stage": "sql"}');
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'purchase', '2025-03-06 10:00Z'), (3, 'purchase', '2025-03-06 10:00Z');
SELECT lead_id, requests, enquired_at AT TIME ZONE 'UTC' AS enquired, responded_at AT TIME ZONE 'UTC' AS responded, response_days, in_time, response, status, was_qualified AS was, sql_at IS NOT NULL AS sql, customer_at IS NOT NULL AS customer FROM first_response WHERE clock = 'request' ORDER BY 1, 3;
-- by the stage: h never contacted as an sql, i neither; m after 20 minutes
SELECT lead_id, stage, response, status, was_qualified AS was, customer_at IS NOT NULL AS customer FROM first_response WHERE clock = 'stage' ORDER BY 1;
-- in time h, n and m, which was an sql before; late i, j and k, of which i and j (which bought) got there
SELECT clock, response, enquiries, unqualified, qualified, round(qualified_rate::numeric, 4) AS rate, customers, round(customer_rate::numeric, 4) AS customer_rate, round(customer_low_rate::numeric, 4) AS low, round(customer_high_rate::numeric, 4) AS high,
    round(qualified_ratio_to_late::numeric, 4) AS qualified_ratio, round(customer_ratio_to_late::numeric, 4) AS customer_ratio FROM response_time_effect ORDER BY place;
UPDATE setting SET first_response_within = '61 minutes';
SELECT response, enquiries FROM response_time_effect WHERE clock = 'request' AND enquiries > 0 ORDER BY place;
UPDATE setting SET first_response_within = '1 hour';

-- The first hour: 100 leads sent a form months ago, and 60 of them were contacted
-- then. Now all ask for a quote. 1 to 50 are answered after 30 minutes, and 20 of
-- them become sql; 51 to 100 after two hours, and 5 of them do
DELETE FROM lead;
INSERT INTO lead (lead_id, email, consented_at, created_at) SELECT n, 'a@b', '2025-01-01 09:00Z', '2025-01-01 09:00Z' FROM generate_series(1, 100) n;
INSERT INTO event (lead_id, kind, occurred_at, properties)
    SELECT n, k, timestamptz '2025-01-01 10:00Z', NULL::jsonb FROM generate_series(1, 100) n, unnest('{newsletter_signup,form_submit}'::text[]) k
    UNION ALL SELECT n, 'outreach', timestamptz '2025-01-05 10:00Z', NULL FROM generate_series(1, 60) n
    UNION ALL SELECT n, 'quote_request', timestamptz '2025-06-01 10:00Z' + n * interval '1 minute', NULL FROM generate_series(1, 100) n
    UNION ALL SELECT n, 'outreach', timestamptz '2025-06-01 10:00Z' + n * interval '1 minute' + CASE WHEN n <= 50 THEN interval '30 minutes' ELSE interval '2 hours' END, NULL FROM generate_series(1, 100) n
    UNION ALL SELECT n, 'stage_set', timestamptz '2025-06-03 10:00Z', '{"stage": "sql"}' FROM generate_series(31, 55) n;
SELECT response, enquiries, unqualified, qualified, qualified_rate, round(qualified_ratio_to_late::numeric, 4) AS ratio FROM response_time_effect WHERE clock = 'request' ORDER BY place;

-- Enquiries of one lead. 1 asked three times before the answer: one enquiry; again
-- after it: another, to which the sale belongs. 2 is contacted after it was lost:
-- that answers nothing; its next request does not count for the first. 3 bought
-- without an answer, in time. 4 is a customer that asks. 5 asked now; 6 will ask
DELETE FROM lead;
INSERT INTO lead (lead_id, email, consented_at, created_at) SELECT n, 'a@b', '2025-03-01 09:00Z', '2025-03-01 09:00Z' FROM generate_series(1, 6) n;
INSERT INTO event (lead_id, kind, occurred_at) VALUES
    (1, 'demo_request', '2025-03-01 10:00Z'), (1, 'quote_request', '2025-03-01 10:10Z'), (1, 'quote_request', '2025-03-01 10:20Z'), (1, 'outreach', '2025-03-01 10:30Z'), (1, 'outreach', '2025-03-01 10:50Z'),
    (1, 'quote_request', '2025-03-05 10:00Z'), (1, 'outreach', '2025-03-05 13:00Z'), (1, 'purchase', '2025-03-06 10:00Z'),
    (2, 'quote_request', '2025-03-01 10:00Z'), (2, 'lost', '2025-03-10 10:00Z'), (2, 'outreach', '2025-03-12 10:00Z'), (2, 'quote_request', '2025-04-01 10:00Z'), (2, 'sales_contact', '2025-04-01 10:30Z'),
    (3, 'quote_request', '2025-03-01 10:00Z'), (3, 'purchase', '2025-03-01 10:40Z'), (3, 'outreach', '2025-03-01 10:50Z'),
    (4, 'purchase', '2025-03-01 10:00Z'), (4, 'quote_request', '2025-03-01 11:00Z'), (4, 'outreach', '2025-03-01 11:10Z'),
    (5, 'quote_request', now()), (6, 'quote_request', now() + interval '1 day');
SELECT lead_id, requests, enquired_at > now() - interval '1 hour' AS now, responded_at AT TIME ZONE 'UTC' AS responded, closed_at AT TIME ZONE 'UTC' AS closed, in_time, response, status, was_customer AS was, customer_at IS NOT NULL AS customer FROM first_response WHERE clock = 'request' ORDER BY 1, enquired_at;
SELECT response, enquiries, customers FROM response_time_effect WHERE clock = 'request' ORDER BY place;
-- which events are requests is said by the role
UPDATE event_kind SET role = 'request' WHERE kind = 'trial_started';
INSERT INTO event (lead_id, kind, occurred_at) VALUES (5, 'trial_started', now() - interval '1 day');
SELECT requests, response FROM first_response WHERE lead_id = 5;

-- Follow-up: after how many contacts; leads that said no, and leads that sales gave up
DELETE FROM lead;
INSERT INTO lead (lead_id, email, consented_at, created_at) SELECT n, 'a@b', '2025-03-01 09:00Z', '2025-03-01 09:00Z' FROM generate_series(1, 7) n;
INSERT INTO event (lead_id, kind, occurred_at, properties)
    SELECT n, CASE i % 2 WHEN 0 THEN 'sales_contact' ELSE 'outreach' END, timestamptz '2025-03-02 10:00Z' + i * interval '1 hour', o.properties
    FROM (VALUES (1, 1), (2, 5), (3, 11), (4, 2), (5, 1), (6, 5)) v (n, contacts), generate_series(1, contacts) i,
        LATERAL (SELECT CASE WHEN n IN (2, 4) AND i = 1 OR n IN (5, 6) AND i = contacts THEN '{"outcome": "No"}'::jsonb END) o (properties);
INSERT INTO event (lead_id, kind, occurred_at) SELECT n, 'purchase', timestamptz '2025-03-03 10:00Z' FROM unnest('{1,2,3,7}'::bigint[]) n;
INSERT INTO event (lead_id, kind, occurred_at) VALUES (1, 'outreach', '2025-03-04 10:00Z');
SELECT lead_id, stage, contacts, contacts_until_won, first_no_at AT TIME ZONE 'UTC' AS first_no, contacts_after_no, given_up, given_up_after_first_no FROM followups ORDER BY 1;
SELECT * FROM followup_summary;
SELECT contact_label, sales, won_rate, cumulative_rate FROM won_by_contact_number WHERE sales > 0 ORDER BY contact_number;
DROP SCHEMA crm, crm_reports CASCADE;

-- Cooling: o asked for a demo today, p half a year ago and is still an mql, q
-- is new, r a prospect, s lost, t no lead at all, u as quiet as can be
SELECT leadscore.create_pipeline('crm') \g /dev/null
INSERT INTO lead (lead_id, external_id, email, consented_at, created_at)
    SELECT n, substr('opqrstu', n, 1), 'a@b', CASE WHEN n <> 6 THEN c.at END, c.at
    FROM generate_series(1, 7) n, LATERAL (SELECT CASE n WHEN 3 THEN now() ELSE now() - interval '200 days' END) c (at);
INSERT INTO event (lead_id, kind, occurred_at) SELECT n, k, now() - CASE n WHEN 2 THEN interval '180 days' ELSE interval '0' END
    FROM unnest('{1,2,4,5}'::bigint[]) n, unnest('{pricing_view,case_study_download,demo_request}'::text[]) k;
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES (4, 'stage_set', now(), '{"stage": "sql"}');
INSERT INTO event (lead_id, kind, occurred_at) VALUES (4, 'sales_contact', now()), (5, 'lost', now());
SELECT l.external_id, c.stage, c.score, c.last_activity_at = date_trunc('day', now(), 'UTC') AS today, c.faded, c.cold,
    c.quiet_at - c.last_activity_at AS quiet_after, c.cools_at = least(c.fades_at, c.quiet_at) AS earlier FROM lead_cooling c JOIN lead l USING (lead_id) ORDER BY 1;
SELECT l.external_id, c.stage, c.reason FROM lead_cooling c JOIN lead l USING (lead_id) WHERE c.cold ORDER BY 1;
-- the day when it fades is the first on which its points say so: searched day by day
SELECT l.external_id, c.fades_at = (
        SELECT min(d) FROM generate_series(date_trunc('day', now(), 'UTC') + interval '24 hours', now() + interval '9600 hours', '24 hours') d
        WHERE qualified_stage(s.activity, m.compiled, d) < 'mql') AS right
FROM lead_cooling c JOIN lead l USING (lead_id) JOIN lead_state s USING (lead_id), model m
WHERE m.status = 'active' AND l.external_id = 'o';
UPDATE benchmark SET high = 300 WHERE metric = 'quiet_days';
SELECT l.external_id, c.reason FROM lead_cooling c JOIN lead l USING (lead_id) WHERE c.cold ORDER BY 1;
DELETE FROM benchmark WHERE metric = 'quiet_days';
SELECT l.external_id, c.quiet_at - c.last_activity_at AS quiet_after FROM lead_cooling c JOIN lead l USING (lead_id) WHERE l.external_id = 'o';

-- Gaps: of three mql one has all but a budget, one nothing, one everything but points
TRUNCATE event;
DELETE FROM lead;
INSERT INTO lead (lead_id, email, consented_at, profile) VALUES (21, 'a@b', now(), '{"authority": true, "need": true, "timeline": true}'), (22, 'a@b', now(), '{}'),
    (23, 'a@b', now(), '{"budget": true, "authority": true, "need": true, "timeline": true}'), (24, 'a@b', now(), '{"budget": "some"}');
INSERT INTO event (lead_id, kind) SELECT n, k FROM generate_series(21, 23) n, unnest('{pricing_view,case_study_download,demo_request}'::text[]) k;
SELECT gate, stage, leads, met, missing, missing_rate, only_missing FROM bant_gaps WHERE leads > 0 ORDER BY gate, stage_rank;
DROP SCHEMA crm, crm_reports CASCADE;

-- A contact that led to an sql counts for it. All became sql 30 minutes ago: h
-- was called a minute before, i exactly an hour before, j a second more than
-- that; k was called five minutes before, but in the cycle before; l was called
-- twice before, and after; m only after; nobody called n
SELECT leadscore.create_pipeline('crm') \g /dev/null
BEGIN;
CREATE TEMP TABLE called (lead_id bigint, name text, before interval[], after interval[]);
INSERT INTO called VALUES (1, 'h', '{1 minute}', '{}'), (2, 'i', '{1 hour}', '{}'), (3, 'j', '{1 hour 1 second}', '{}'), (4, 'k', '{5 minutes}', '{}'),
    (5, 'l', '{40 minutes,2 minutes}', '{10 minutes}'), (6, 'm', '{}', '{20 minutes}'), (7, 'n', '{}', '{}');
INSERT INTO lead (lead_id, external_id, email, consented_at, created_at) SELECT c.lead_id, c.name, 'a@b', now() - interval '3 hours', now() - interval '3 hours' FROM called c;
INSERT INTO event (lead_id, kind, occurred_at) SELECT c.lead_id, 'outreach', now() - interval '30 minutes' - b FROM called c, unnest(c.before) b;
INSERT INTO event (lead_id, kind, occurred_at) VALUES (4, 'lost', now() - interval '32 minutes');
INSERT INTO event (lead_id, kind, occurred_at, properties) SELECT c.lead_id, 'stage_set', now() - interval '30 minutes', '{"stage": "sql"}' FROM called c;
INSERT INTO event (lead_id, kind, occurred_at) SELECT c.lead_id, 'outreach', now() - interval '30 minutes' + a FROM called c, unnest(c.after) a;
SELECT h.external_id, h.contacted, h.stage_since_at - h.contacted_at AS before, h.due_at - h.stage_since_at AS within, h.breached, s.status, round(s.response_days * 1440) AS response_minutes, s.contacted_at IS NOT DISTINCT FROM h.contacted_at AS same
    FROM hot_leads h JOIN sla_status s USING (lead_id) ORDER BY 1;
-- the time is that of the stage, or else first_response_within
UPDATE setting SET first_response_within = '10 minutes';
SELECT clone_model('inbound', 'no sla') \g /dev/null
UPDATE stage_rule SET sla = NULL WHERE model = 'no sla';
SELECT activate_model('no sla', wait => true) \g /dev/null
SELECT external_id, contacted, due_at FROM hot_leads ORDER BY 1;
ROLLBACK;
DROP SCHEMA crm, crm_reports CASCADE;

-- Drawn leads, with loops over rows
\set ECHO none
\i :data
\set ECHO all
SELECT count(*) AS clocks, count(*) FILTER (WHERE c.contacted_at IS NOT DISTINCT FROM coalesce((SELECT max(e.occurred_at) FROM event e WHERE e.lead_id = c.lead_id AND e.kind IN ('outreach', 'sales_contact')
            AND e.occurred_at >= c.entered_at - interval '1 hour' AND e.occurred_at < c.entered_at
            AND NOT EXISTS (SELECT FROM stage_history h WHERE h.lead_id = c.lead_id AND h.cycle < c.cycle AND h.effective_at > e.occurred_at)),
        (SELECT min(e.occurred_at) FROM event e WHERE e.lead_id = c.lead_id AND e.kind IN ('outreach', 'sales_contact')
            AND e.occurred_at BETWEEN c.entered_at AND coalesce(c.left_at, 'infinity')))
    AND c.left_at IS NOT DISTINCT FROM (SELECT h.effective_at FROM stage_history h WHERE h.lead_id = c.lead_id AND h.seq = c.seq + 1)
    AND c.due_at = c.entered_at + interval '1 hour') AS right
FROM _sla_clock c;
SELECT (SELECT count(*) FROM _sla_clock) = (SELECT count(*) FROM stage_history WHERE to_stage = 'sql') AS all_there;
-- both clocks agree with sla_status; enquiries, found request by request: one begins an enquiry if none is open
SELECT count(*) AS stays, count(*) FILTER (WHERE f.status = s.status AND f.responded_at IS NOT DISTINCT FROM s.contacted_at AND f.due_at = s.due_at AND f.response_days IS NOT DISTINCT FROM s.response_days AND (f.response = 'in time') = (s.status = 'kept')) AS right,
    (SELECT count(*) FROM first_response WHERE clock = 'stage') = count(*) AS all_there
FROM sla_status s LEFT JOIN first_response f ON f.clock = 'stage' AND f.lead_id = s.lead_id AND f.seq = s.seq;
CREATE FUNCTION pg_temp.enquiries() RETURNS TABLE (lead_id bigint, enquired_at timestamptz, requests bigint, responded_at timestamptz, closed_at timestamptz) LANGUAGE plpgsql AS $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT e.lead_id AS lead, e.occurred_at AS at, CASE WHEN e.kind = 'demo_request' THEN 'asked' ELSE 'called' END AS what, 1 AS later FROM event e WHERE e.kind IN ('demo_request', 'outreach', 'sales_contact')
            UNION ALL SELECT h.lead_id, h.effective_at, 'over', 2 FROM stage_history h WHERE h.to_stage IN ('lost', 'disqualified', 'recycled') OR h.to_stage IN ('customer', 'advocate') AND h.from_stage NOT IN ('customer', 'advocate')
            ORDER BY 1, 2, 4, 3 LOOP
        IF lead_id IS DISTINCT FROM r.lead THEN
            IF enquired_at IS NOT NULL THEN
                RETURN NEXT;
            END IF;
            lead_id := r.lead; enquired_at := NULL; requests := 0; responded_at := NULL; closed_at := NULL;
        END IF;
        IF r.what = 'asked' THEN
            enquired_at := coalesce(enquired_at, r.at); requests := requests + 1;
        ELSIF enquired_at IS NOT NULL THEN
            responded_at := CASE WHEN r.what = 'called' THEN r.at END; closed_at := CASE WHEN r.what = 'over' THEN r.at END;
            RETURN NEXT;
            enquired_at := NULL; requests := 0; responded_at := NULL; closed_at := NULL;
        END IF;
    END LOOP;
    IF enquired_at IS NOT NULL THEN
        RETURN NEXT;
    END IF;
END
$$;
SELECT count(*) AS enquiries, count(responded_at) > 20 AS answered, count(closed_at) > 5 AS closed FROM pg_temp.enquiries();
SELECT count(*) AS differ FROM ((SELECT * FROM pg_temp.enquiries() EXCEPT ALL SELECT lead_id, enquired_at, requests, responded_at, closed_at FROM first_response WHERE clock = 'request')
    UNION ALL (SELECT lead_id, enquired_at, requests, responded_at, closed_at FROM first_response WHERE clock = 'request' EXCEPT ALL SELECT * FROM pg_temp.enquiries())) d;
SELECT e.clock, sum(e.enquiries) = (SELECT count(*) FROM first_response f WHERE f.clock = e.clock AND NOT f.was_customer) AS all_there,
    sum(e.customers) = (SELECT count(DISTINCT f.customer_at::text || f.lead_id) FROM first_response f WHERE f.clock = e.clock) AS each_once FROM response_time_effect e GROUP BY 1 ORDER BY 1;
SELECT count(*) AS followed, count(*) FILTER (WHERE f.contacts = (SELECT count(*) FROM event e WHERE e.lead_id = f.lead_id AND e.kind IN ('outreach', 'sales_contact'))
    AND f.contacts_after_no = (SELECT count(*) FROM event e WHERE e.lead_id = f.lead_id AND e.kind IN ('outreach', 'sales_contact')
        AND e.occurred_at > (SELECT min(n.occurred_at) FROM event n WHERE n.lead_id = f.lead_id AND n.properties ->> 'outcome' ILIKE 'no'))
    AND f.contacts_until_won IS NOT DISTINCT FROM (SELECT count(e.event_id) FROM (SELECT min(h.effective_at) AS at FROM stage_history h WHERE h.lead_id = f.lead_id AND h.to_stage >= 'customer' HAVING count(*) > 0) w
        LEFT JOIN event e ON e.lead_id = f.lead_id AND e.kind IN ('outreach', 'sales_contact') AND e.occurred_at <= w.at GROUP BY w.at)) AS right
FROM followups f;
SELECT sum(sales) = (SELECT count(DISTINCT lead_id) FROM stage_history WHERE to_stage >= 'customer') AS all_won, sum(won_rate) AS one FROM won_by_contact_number;
SELECT s.sales = sum(w.sales) AS sales, s.won_with_five = sum(w.sales) FILTER (WHERE w.contact_number >= 5) AS five FROM followup_summary s, won_by_contact_number w GROUP BY s.sales, s.won_with_five;
SELECT count(*) > 100 AS enough, bool_and(c.faded = (c.stage IN ('mql', 'sql') AND qualified_stage(s.activity, m.compiled, now()) < c.stage::lead_stage)) AS right
FROM lead_cooling c JOIN lead_state s USING (lead_id), model m WHERE m.status = 'active';
DROP SCHEMA crm, crm_reports CASCADE;
DROP FUNCTION public.draw;
