-- The leads to call first.
\set QUIET on
\pset footer off
\pset pager off
\pset null -
SET timezone = 'UTC';

\echo
\echo
\echo '== 2. Leads to call first: the view hot_leads. An sql is to be contacted within the hour.'
\echo

SELECT call_order AS "#", external_id AS lead, organization, stage, score,
    replace(why, ', ', E'\n') AS "why (most points first)",
    to_char(due_at, 'Mon DD HH24:MI') AS due,
    CASE WHEN due_at IS NULL AND NOT contacted THEN NULL WHEN contacted AND breached THEN 'called late' WHEN contacted THEN 'called'
        WHEN breached THEN 'overdue' ELSE 'in time' END AS state
FROM crm.hot_leads
ORDER BY call_order
LIMIT 6;
