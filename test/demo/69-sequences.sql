-- A day of the queue: who gets what, what ends it, and what sales has to do.
\set QUIET on
\pset footer off
\pset pager off
\pset null ''
SET timezone = 'UTC';

\echo
\echo
\echo '== 9. Sequences: drafts of the preset. Who would begin one? SELECT * FROM crm.sequence_preview(''solution'');'
\echo

\o /dev/null
INSERT INTO crm.assignment (owner, stage) VALUES ('kim', 'sql'), ('lou', 'sql');
-- what the letters of the sequence are about
INSERT INTO crm.content (content, title, kind, topic, intent, stage) VALUES
    ('our solution', 'How an office gets its coffee', 'other', 'office coffee', 'solution', 'mql'),
    ('case study of a solution', 'Three offices, three machines', 'case_study', 'office coffee', 'solution', 'mql'),
    ('demo invitation', 'Come and taste', 'other', 'office coffee', 'solution', 'mql'),
    ('offer to talk', 'May we call?', 'other', NULL, 'solution', 'mql');
\o
SELECT s.sequence, p.leads_now, p.could_begin, p.without_consent, p.without_address
FROM unnest('{solution,immediate_contact}'::text[]) AS s (sequence), crm.sequence_preview(s.sequence) p;

\echo '      Let those begin that are in the stage now: SELECT crm.activate_sequence(''solution'', enroll => ''all'');'
\echo '      When the first letters are due, a worker claims them: SELECT * FROM crm.claim_actions(''email'', 1000);'
\echo

SELECT crm.activate_sequence('solution', enroll => 'all') AS begun \gset
SELECT crm.activate_sequence('immediate_contact'), crm.activate_sequence('hot_lead') \g /dev/null
-- the morning to come: a worker has its own clock, and asks without at
SELECT max(due_at) AS morning FROM crm.action WHERE sequence = 'solution' \gset
CREATE TEMP TABLE claimed (lead_id bigint, action_id bigint, attempt integer, external_id text, content text);
-- claimed alone, as the first to write in a transaction
SELECT coalesce(jsonb_agg(jsonb_build_object('lead_id', lead_id, 'action_id', action_id, 'attempt', attempt, 'external_id', external_id, 'content', content)), '[]') AS claims
FROM crm.claim_actions('email', 10000, at => :'morning') \gset
INSERT INTO claimed SELECT * FROM jsonb_to_recordset(:'claims') AS c (lead_id bigint, action_id bigint, attempt integer, external_id text, content text);
SELECT crm.complete_actions(jsonb_agg(to_jsonb(c)), at => :'morning') AS sent FROM claimed c \gset

\echo '      ':begun 'began,' :sent 'letters were sent. The others, with the reason: the view action_log.'
\echo

SELECT step, content, status, reason, count(*) AS actions
FROM crm.action_log WHERE sequence = 'solution'
GROUP BY 1, 2, 3, 4 ORDER BY 1 DESC, 3, 4;

\echo '      Of two that got a letter one becomes an sql, and one unsubscribes. Both runs end with the event:'
\echo

SELECT min(lead_id) AS buyer, max(lead_id) AS leaver FROM claimed \gset
\o /dev/null
SELECT crm.set_stage_by_id(:buyer, 'sql');
INSERT INTO crm.event (lead_id, kind, properties) VALUES (:leaver, 'unsubscribe', '{"channel": "email"}');
\o
SELECT CASE e.lead_id WHEN :buyer THEN 'becomes an sql' ELSE 'unsubscribes' END AS what, e.sequence, e.end_reason, a.step, a.status, a.reason
FROM crm.enrollment e JOIN crm.action_log a USING (lead_id, sequence, run)
WHERE e.lead_id IN (:buyer, :leaver)
ORDER BY what, a.action_id;

\echo '      The day of sales: SELECT * FROM crm.work_list; the new sql comes first, and has an owner.'
\echo

SELECT call_order, external_id, owner, content, stage, breached, last_kind FROM crm.work_list ORDER BY call_order LIMIT 6;

\echo '      Kim calls, and nobody answers: complete_action() plans the next call.'
\echo

SELECT crm.complete_action(lead_id, action_id, attempt, outcome => 'not reached') AS done FROM crm.work_list WHERE lead_id = :buyer \g /dev/null
SELECT step, content, status, outcome FROM crm.action WHERE lead_id = :buyer AND kind = 'task' ORDER BY action_id;

\echo '      Meanwhile two more become sql. The team is told: SELECT * FROM crm.open_alerts;'
\echo

SELECT crm.set_stage_by_id(lead_id, 'sql') FROM claimed WHERE lead_id NOT IN (:buyer, :leaver) ORDER BY lead_id LIMIT 2 \g /dev/null
SELECT external_id, stage, content FROM crm.open_alerts ORDER BY lead_id LIMIT 6;
