-- What would another model do?
\set QUIET on
\pset footer off
\pset pager off
\pset format wrapped
\pset columns 118
SET timezone = 'UTC';

\echo
\echo
\echo '== 5. What if a product page gave 8 points, not 15? Copy the model, edit the copy, compare for all leads.'
\echo '      No event is read and nothing is written: SELECT * FROM crm.compare_models(''inbound'', ''cooler'')'

SELECT crm.clone_model('inbound', 'cooler') \g /dev/null
UPDATE crm.rule SET points = 8 WHERE model = 'cooler' AND rule = 'product page viewed';
\timing on
CREATE TEMP TABLE change AS SELECT * FROM crm.compare_models('inbound', 'cooler');
\timing off

\echo
\echo '      Where points and gates alone put how many leads, visitors and customers too (scores are means):'
\echo

SELECT stage_a AS "stage now", stage_b AS "stage then", leads, score_a AS "score now", score_b AS "score then", difference
FROM change
WHERE level = 'stage'
ORDER BY stage_a DESC, stage_b DESC;

\echo
\echo '      The leads that change most:'
\echo

SELECT l.external_id AS lead, l.organization, c.stage_a AS "stage now", c.stage_b AS "stage then",
    c.score_a AS "score now", c.score_b AS "score then", c.difference
FROM change c JOIN crm.lead l USING (lead_id)
WHERE c.level = 'lead'
ORDER BY abs(c.difference) DESC, c.lead_id
LIMIT 5;

\echo
\echo '      To activate it: SELECT crm.activate_model(''cooler'');'
