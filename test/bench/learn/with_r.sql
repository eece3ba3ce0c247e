-- The rows that are learned from, and what comes of them, for R.
SET client_min_messages = 'warning';
SET extra_float_digits = 1;
SELECT leadscore.create_pipeline('crm', attach => false, reports => false) \g /dev/null
SET search_path = crm, leadscore, public;
\ir history.sql
SELECT leadscore.attach_pipeline('crm') \g /dev/null
CREATE TEMP TABLE seen AS
SELECT converted, rule_values[1:10] AS counts
FROM crm._past_leads(crm.compiled_model('guess'), 'customer', '25 days', crm._months('2023-01-01', '2024-12-31'), false);
\pset format csv
\pset tuples_only on
\o :work/rows.csv
SELECT converted::int, counts[1], counts[2], counts[3], counts[4], counts[5], counts[6], counts[7], counts[8], counts[9], counts[10] FROM seen;
\o :work/ours.csv
WITH fit AS (SELECT logistic_fit(converted, counts, 0) AS f, leadscore_internal.logistic_sample(converted, counts) AS s FROM seen)
SELECT unnest(ARRAY[(leadscore_internal.logistic_auc(s, (f).coefficients)).auc, (f).intercept] || (f).coefficients) FROM fit;
\o
