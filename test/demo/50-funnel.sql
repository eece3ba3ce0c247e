-- The funnel, and how it compares with what marketing aims at.
\set QUIET on
\pset footer off
\pset pager off
\pset null ''
SET timezone = 'UTC';

\echo
\echo
\echo '== 4. The funnel: the view funnel. entered = converted + lost + open; converted: reached a higher stage later.'
\echo '      A lead that was lost and came back entered again.'
\echo

SELECT stage, leads_now, entered, entered_directly AS directly, converted, lost, open,
    to_char(100 * step_rate, '990.9 %') AS step,
    repeat('#', greatest(1, round(4 * log(1 + entered)))::int) AS "entered, on a scale of logarithms"
FROM crm.funnel
ORDER BY stage_rank;

\echo
\echo '      The same beside common goals of marketing (goals, not laws).'
\echo

WITH f AS (
    SELECT max(entered) FILTER (WHERE stage = 'visitor') AS visitor,
        max(entered) FILTER (WHERE stage = 'iql') AS iql,
        max(entered) FILTER (WHERE stage = 'mql') AS mql,
        max(entered) FILTER (WHERE stage = 'sql') AS sql,
        max(entered) FILTER (WHERE stage = 'customer') AS customer
    FROM crm.funnel
)
SELECT r.rate, to_char(100.0 * r.part / r.whole, '990.9 %') AS here, r.goal
FROM f, LATERAL (VALUES
    (1, 'visitor to lead (iql)', iql, visitor, '2 - 5 %'),
    (2, 'iql to mql', mql, iql, '25 - 60 %'),
    (3, 'mql to sql', sql, mql, '40 - 60 %'),
    (4, 'iql to sql', sql, iql, '15 - 25 %'),
    (5, 'sql to customer', customer, sql, '20 - 30 %')
) AS r (line, rate, part, whole, goal)
ORDER BY r.line;
