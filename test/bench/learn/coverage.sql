-- Does the truth lie in the 95 % intervals? Psql variable seed; one line a seed:
-- intervals, and those that hold the true weight.
SET client_min_messages = 'warning';
SELECT leadscore.create_pipeline('crm', attach => false, reports => false) \g /dev/null
SET search_path = crm, leadscore, public;
\ir history.sql
SELECT leadscore.attach_pipeline('crm') \g /dev/null
SELECT :seed AS seed, count(*) AS intervals, count(*) FILTER (WHERE abs(c - w.weight) <= 1.959964 * e) AS hold
FROM (
        SELECT logistic_fit(converted, rule_values[1:10], 1) AS f
        FROM crm._past_leads(crm.compiled_model('guess'), 'customer', '25 days', crm._months('2023-01-01', '2024-12-31'), false)
    ) f
    CROSS JOIN unnest((f).coefficients, (f).errors) WITH ORDINALITY AS u (c, e, n)
    JOIN weight w ON w.place = n;
DROP SCHEMA crm CASCADE;
