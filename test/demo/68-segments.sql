-- Who is ready to buy, who goes quiet, and who is the customer that we want.
\set QUIET on
\pset footer off
\pset pager off
\pset null ''
\pset format wrapped
\pset columns 118
SET timezone = 'UTC';

\echo
\echo
\echo '== 8. Segments: drafts of the preset, here active since the beginning. Members now: the view segment_members.'
\echo

SELECT s.segment, m.members AS "now", h.leads AS "ever", h.times, replace(replace(s.note, ': ', E':\n'), ', or ', E',\nor ') AS note
FROM crm.segment s
    JOIN (SELECT segment, count(*) AS members FROM crm.segment_members GROUP BY 1) m USING (segment)
    JOIN (SELECT segment, count(DISTINCT lead_id) AS leads, count(*) AS times FROM crm.segment_history WHERE is_member GROUP BY 1) h USING (segment)
ORDER BY s.segment_id;

-- a customer with most to tell
SELECT h.lead_id, l.external_id, min(h.effective_at) FILTER (WHERE h.is_member AND h.segment = 'quiet_customers') AS quiet_at
FROM crm.segment_history h JOIN crm.lead l USING (lead_id)
GROUP BY 1, 2
HAVING bool_or(h.segment = 'quiet_customers')
ORDER BY count(*) DESC, min(h.effective_at), h.lead_id
LIMIT 1 \gset

\echo '      When' :external_id 'was in them, and why it entered and left: the view segment_history.'
\echo '      What only time changes is at midnight, UTC.'
\echo

SELECT segment, CASE WHEN is_member THEN 'entered' ELSE 'left' END AS what, to_char(effective_at, 'YYYY-MM-DD HH24:MI') AS "when", cause
FROM crm.segment_history
WHERE lead_id = :lead_id
ORDER BY seq;

\echo '      At any instant, past or ahead: SELECT' crm.in_segment_by_id(:lead_id, '''quiet_customers'', at)'
\echo

SELECT to_char(at, 'YYYY-MM-DD HH24:MI') AS at, crm.stage_at_by_id(:lead_id, at) AS stage, crm.in_segment_by_id(:lead_id, 'quiet_customers', at) AS quiet
FROM (VALUES (:'quiet_at'::timestamptz - interval '1 minute'), (:'quiet_at'), (now()), (now() + interval '2 years')) v (at);

\echo '      Who is the ideal customer? Of the leads to call first: SELECT * FROM crm.persona_match_by_id(lead_id).'
\echo

SELECT h.external_id AS lead, h.organization, h.stage, p.persona, p.match_share, p.is_member
FROM (SELECT * FROM crm.hot_leads ORDER BY call_order LIMIT 6) h, crm.persona_match_by_id(h.lead_id) p
ORDER BY p.match_share DESC, h.call_order;

SELECT h.lead_id FROM (SELECT * FROM crm.hot_leads ORDER BY call_order LIMIT 6) h, crm.persona_match_by_id(h.lead_id) p ORDER BY p.match_share DESC, h.call_order LIMIT 1 \gset
\echo '      Why? SELECT * FROM' crm.explain_segment_by_id(:lead_id, '''ideal_customer'')'
\echo

SELECT condition, asks, has, met, weight FROM crm.explain_segment_by_id(:lead_id, 'ideal_customer');

\echo '      What would the draft curious be? SELECT * FROM crm.segment_preview(''curious''); then activate it.'
\echo

SELECT * FROM crm.segment_preview('curious');
SELECT crm.activate_segment('curious', wait => true) AS "leads brought up to date";
SELECT count(*) AS "members of curious" FROM crm.segment_members WHERE segment = 'curious';
