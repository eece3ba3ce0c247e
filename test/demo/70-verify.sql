-- Is all of it true?
\set QUIET on
\pset footer off
\pset pager off

\echo
\echo
\echo '== 10. Count all events again and compare with the stored values: SELECT * FROM crm.verify() has no rows.'
\echo

SELECT count(*) AS "rows of verify()", (SELECT count(*) FROM crm.lead_state) AS leads, (SELECT count(*) FROM crm.event) AS events
FROM crm.verify();
\echo
