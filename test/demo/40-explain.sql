-- One lead explained to the last point.
\set QUIET on
\pset footer off
\pset pager off
\pset null ''
SET timezone = 'UTC';

-- the hottest lead that is not yet ready for sales and has points cut
SELECT lead_id, external_id, score AS lead_score
FROM crm.hot_leads h
WHERE stage = 'mql' AND EXISTS (SELECT FROM crm.explain_by_id(h.lead_id) e WHERE e.note ~ '^(cap|limit)')
ORDER BY call_order
LIMIT 1 \gset

\echo
\echo
\echo '== 3. Why has' :external_id 'a score of' :lead_score 'and yet is no sql? SELECT * FROM' crm.explain_by_id(:lead_id)
\echo '      Points fade by half-lives; what limits and caps take away has rows of its own. All add up to the score.'
\echo

SELECT dimension, rule, events, to_char(last_at, 'YYYY-MM-DD') AS last, points, note
FROM crm.explain_by_id(:lead_id)
UNION ALL
SELECT 'total', '', sum(events), '', sum(points), CASE WHEN sum(points) = crm.score_by_id(:lead_id) THEN '= score' ELSE 'NOT the score' END
FROM crm.explain_by_id(:lead_id);

\echo
\echo '      Gates of the next stage, and what is missing: SELECT * FROM' crm.next_steps_by_id(:lead_id)
\echo

SELECT stage, gate, met, missing FROM crm.next_steps_by_id(:lead_id);
