--
-- Experiments: who gets which variant, what was shown, and what follows.
--
SET timezone = 'UTC';
SELECT leadscore.create_pipeline('crm') \g /dev/null
SET search_path = crm, crm_reports, public;

-- Statistics. The values are those of other programs: R's integrate() for the
-- first three, tables of the distributions for the rest.
SET extra_float_digits = 0;
SELECT round(x::numeric, 13) AS greater FROM unnest(ARRAY[leadscore_internal.beta_greater(121, 881, 151, 851),
    leadscore_internal.beta_greater(11, 91, 16, 86), leadscore_internal.beta_greater(3, 5, 2, 9)]) x;
-- 120 of 1000 against 150 of 1000, pooled: p = 0.0496403868654
SELECT round((2 * leadscore_internal.normal_tail(0.03 / sqrt(0.135 * 0.865 * 2 / 1000)))::numeric, 13) AS p;
SELECT round(leadscore_internal.chi_square_tail(x, df)::numeric, 12) AS tail FROM (VALUES (3.841458820694124, 1), (5.991464547107979, 2), (7.814727903251179, 3), (18.307038053275146, 10)) AS t (x, df);
SELECT round(leadscore_internal.normal_quantile(p)::numeric, 12) AS z FROM unnest('{0.5,0.975,0.025,0.0005}'::double precision[]) p;
-- swapped arms, and success for failure
SELECT count(*) FILTER (WHERE abs(leadscore_internal.beta_greater(a, b, c, d) + leadscore_internal.beta_greater(c, d, a, b) - 1) > 1e-9
        OR abs(leadscore_internal.beta_greater(a, b, c, d) - leadscore_internal.beta_greater(d, c, b, a)) > 1e-9) AS wrong, count(*) AS cases
    FROM unnest('{1,2,7,300,5000}'::bigint[]) a, unnest('{1,3,40,2000}'::bigint[]) b, unnest('{1,5,60,900}'::bigint[]) c, unnest('{1,4,70,10000}'::bigint[]) d;
-- the loss is the mean difference where it is positive: both ways differ by the difference of the means
SELECT count(*) FILTER (WHERE abs(leadscore_internal.beta_loss(a, b, c, d) - leadscore_internal.beta_loss(c, d, a, b)
        - (a::double precision / (a + b) - c::double precision / (c + d))) > 1e-7) AS wrong, count(*) AS cases
    FROM unnest('{1,2,7,300,5000,2000000}'::bigint[]) a, unnest('{1,3,40,3000000}'::bigint[]) b, unnest('{1,5,900,2500000}'::bigint[]) c, unnest('{1,4,70,10000}'::bigint[]) d;
-- a sum of 100000 terms, and the normal distribution beyond, agree
SELECT abs(leadscore_internal.beta_greater(100000, 900000, 100300, 899700) - leadscore_internal.beta_greater(100001, 900000, 100301, 899700)) < 1e-3 AS agree;
-- v = 0.01 ^ 2, effect 0.05, difference 0.03: by hand sqrt(1 / 26) e ^ (9 * 25 / 52) = 14.8459, and its margin
SELECT round(leadscore_internal.sequential_p(0.03, 0.0001, 0.05)::numeric, 6) AS p, round((sqrt(26) * exp(-225 / 52.0))::numeric, 6) AS by_hand,
    round(leadscore_internal.sequential_margin(0.0001, 0.05, 0.05)::numeric, 6) AS margin, round(sqrt(0.000104 * (2 * ln(20) + ln(26)))::numeric, 6) AS by_hand;
-- the end of the interval is where p is alpha
SELECT round(leadscore_internal.sequential_p(leadscore_internal.sequential_margin(v, e, a), v, e)::numeric, 9) = a::numeric AS dual
    FROM unnest('{0.0001,0.01,1e-9}'::double precision[]) v, unnest('{0.01,0.2}'::double precision[]) e, unnest('{0.05,0.001}'::double precision[]) a GROUP BY 1;
-- 5 of 5 where half was planned: Beta(50, 50) gives B(55, 50) / B(50, 50) * 2 ^ 5
SELECT round(leadscore_internal.ratio_log_bayes('{5,0}', '{1,1}')::numeric, 9) AS log_bayes,
    round(ln(50 * 51 * 52 * 53 * 54 * 32.0 / (100 * 101 * 102 * 103 * 104.0)), 9) AS by_hand,
    round(leadscore_internal.ratio_chi_square('{5,0}', '{1,1}')::numeric, 9) AS p, round(leadscore_internal.chi_square_tail(5, 1)::numeric, 9) AS by_hand;
SELECT leadscore_internal.ratio_log_bayes('{5,1}', '{1,0}') AS of_weight_0, leadscore_internal.ratio_chi_square('{5,1}', '{1,0}') AS p, round(leadscore_internal.ratio_log_bayes('{5,0}', '{1,0}')::numeric, 9) AS none;
-- nothing fails, and nothing is NaN
SELECT leadscore_internal.beta_greater(0, 1, 1, 1), leadscore_internal.beta_loss(1, 1, -1, 1), leadscore_internal.normal_quantile(0), leadscore_internal.normal_quantile('NaN'),
    leadscore_internal.chi_square_tail('NaN', 1), leadscore_internal.chi_square_tail(1, 0), leadscore_internal.sequential_p(0, -1, 1), leadscore_internal.sequential_p('NaN', 1, 1),
    leadscore_internal.sequential_margin(1, 0, 0.05), leadscore_internal.ratio_log_bayes('{1,2}', '{1}'), leadscore_internal.ratio_log_bayes('{}', '{}'),
    leadscore_internal.ratio_chi_square('{1,NULL}', '{1,1}'), leadscore_internal.ratio_chi_square('{1,1}', '{0,0}'), leadscore_internal.difference_variance(0, 0, 1, 2);
SELECT leadscore_internal.sequential_p(0, 0, 0.05) AS p, leadscore_internal.sequential_p(1, 0, 0.05) AS p_of_1, leadscore_internal.sequential_margin(0, 0.05, 0.05) AS margin,
    leadscore_internal.chi_square_tail('Infinity', 3) AS tail, leadscore_internal.normal_tail('Infinity') AS z, leadscore_internal.ratio_chi_square('{0,0}', '{1,1}') AS ratio;
SELECT count(*) FILTER (WHERE x IS NULL OR x = 'NaN' OR x < 0 OR x > 1) AS wrong
    FROM unnest('{1,2,1000000000000000,9000000000000000000}'::bigint[]) a, unnest('{1,9000000000000000000}'::bigint[]) b,
        unnest('{1,30,9000000000000000000}'::bigint[]) c, unnest('{1,9000000000000000000}'::bigint[]) d,
        LATERAL (VALUES (leadscore_internal.beta_greater(a, b, c, d)), (leadscore_internal.beta_loss(a, b, c, d))) AS v (x);

-- A definition: frozen at the start
INSERT INTO experiment (experiment, salt, goal_signals, goal_within) VALUES ('offer', 's1', '{nothing}', '14 days');
SELECT length(salt) AS salt, status, expected_effect FROM experiment WHERE experiment = 'offer';
INSERT INTO variant (experiment, variant, position, weight) VALUES ('offer', 'plain', 1, 1), ('offer', 'bold', 2, 0);
SELECT expose('offer', 'ana', 'third');
SELECT expose('offer', 'ana', at => 'infinity');
SELECT variant('offer', 'ana') IS NULL AS of_a_draft, expose('offer', 'ana') IS NULL AS not_shown, (SELECT count(*) FROM lead) AS leads;
SELECT start_experiment('offer');
UPDATE variant SET weight = 1 WHERE variant = 'bold';
SELECT start_experiment('offer');
UPDATE experiment SET goal_signals = '{}';
SELECT start_experiment('offer');
SELECT start_experiment('missing');
SELECT start_experiment('offer', 'infinity');
SELECT start_experiment('offer', now() + interval '1 hour');
UPDATE experiment SET goal_stage = 'customer';
SELECT end_experiment('offer');
SELECT start_experiment('offer', '2025-03-01 00:00Z');
SELECT start_experiment('offer');
UPDATE variant SET weight = 2 WHERE variant = 'bold';
DELETE FROM variant;
INSERT INTO variant (experiment, variant, position) VALUES ('offer', 'third', 3);
UPDATE experiment SET salt = 'other';
UPDATE experiment SET expected_effect = 0.1;
UPDATE experiment SET status = 'draft', started_at = NULL;
DELETE FROM experiment;
INSERT INTO experiment (experiment, status, started_at) VALUES ('late', 'running', now());
INSERT INTO experiment (experiment, salt) VALUES ('same', 's1');
UPDATE experiment SET note = 'a remark may change';
UPDATE variant SET note = 'and so may this' WHERE variant = 'bold';
SELECT frozen FROM experiment;

-- The hash: sha256('s1:' || name), as any program computes it
SELECT variant('offer', 'ana') AS ana, variant('offer', 'zoë') AS zoe, variant('offer', ' Ana@Example.com ') = variant('offer', 'ana@example.com') AS folded;
WITH hashed AS (
    SELECT n, variant('offer', n) AS variant, get_byte(sha256(convert_to('s1:' || n, 'UTF8')), 0) < 128 AS lower_half
    FROM generate_series(1, 2000) i, LATERAL (SELECT 'visitor-' || i || repeat('é', i % 3)) AS t (n))
SELECT variant, lower_half, count(*) > 900 AS half FROM hashed GROUP BY 1, 2;
SELECT variant('missing', 'ana');
SELECT variant('offer', '');
SELECT variant('offer', NULL);
SELECT variant_by_id('offer', 99);
SELECT count(*) AS leads FROM lead;

-- Exposure: the first one binds, by any of the names
SELECT variant('offer', 'v7') AS hashed, expose('offer', 'v7', 'bold', '2025-03-02 10:00Z') AS shown, variant('offer', 'v7') AS bound;
SELECT expose('offer', 'v7', 'bold', '2025-03-03 10:00Z'), expose('offer', 'v7', at => '2025-03-01 10:00Z');
SELECT variant, exposed_at FROM exposure;
SELECT expose('offer', 'v7', 'third');
SELECT expose('offer', 'v7', 'bold', '2025-02-28 23:59Z');
SELECT expose_by_id('offer', 99);
SELECT identify('v7', 'olga@example.com') > 0 AS known;
SELECT variant('offer', 'olga@example.com') AS olga, variant('offer', 'v7') AS v7;
-- without an exposure the first name decides: renamed, by identify() and by hand
CREATE TEMP TABLE asked AS SELECT n, variant('offer', n) AS variant FROM unnest('{w1,w2,w3,w4,w5,w6}'::text[]) n;
SELECT upsert_lead(n) > 0 AS made FROM asked WHERE n <> 'w2' GROUP BY 1;
SELECT identify('w1', 'w1 known') > 0 AS renamed;
SELECT identify('w2', 'w2 known') > 0 AS both_new;
UPDATE lead SET external_id = 'w3 once' WHERE external_id = 'w3';
UPDATE lead SET external_id = 'w3 twice' WHERE external_id = 'w3 once';
UPDATE lead SET created_at = '2020-01-01' WHERE external_id = 'w4';
SELECT merge_leads('w5', 'w4') > 0 AS older_is_merged;
SELECT external_id, first_external_id FROM lead WHERE external_id ~ '^w' ORDER BY external_id;
SELECT variant('offer', 'w1 known') = (SELECT variant FROM asked WHERE n = 'w1') AS w1, variant('offer', 'w2 known') = (SELECT variant FROM asked WHERE n = 'w2') AS w2,
    variant('offer', 'w3 twice') = (SELECT variant FROM asked WHERE n = 'w3') AS w3, variant('offer', 'w5') = (SELECT variant FROM asked WHERE n = 'w4') AS w4;
-- a lead without a name goes by its number
INSERT INTO lead (email) VALUES ('nameless@example.com');
SELECT variant_by_id('offer', lead_id) = variant('offer', lead_id::text) AS by_number FROM lead WHERE external_id IS NULL;

-- Events that show a variant
SELECT (track('e1', 'form_view', '{"form": "f", "experiment": "offer", "variant": "bold"}', '2025-03-04 10:00Z')).stage AS stage;
SELECT (track('e2', 'page_view', '{"experiment": "offer"}', '2025-03-04 11:00Z')).stage AS stage;
SELECT (track('e3', 'email_sent', '{"experiment": "offer", "variant": "plain"}', '2025-02-04 11:00Z')).stage AS too_early;
SELECT (track('e4', 'email_click', '{"experiment": "offer", "variant": "plain"}', '2025-03-04 11:00Z')).stage AS shows_nothing;
SELECT (track('e5', 'page_view', '{"experiment": "missing", "variant": "plain"}', '2025-03-04 11:00Z')).stage AS no_such;
SELECT (track('e6', 'page_view', '{"experiment": "offer", "variant": "third"}', '2025-03-04 11:00Z')).stage AS no_such;
SELECT l.external_id, o.variant = CASE l.external_id WHEN 'e1' THEN 'bold' ELSE variant('offer', 'e2') END AS shown, o.exposed_at FROM exposure o JOIN lead l USING (lead_id) WHERE l.external_id ~ '^e' ORDER BY 1;
-- in one statement: what names no variant means the one that is named
INSERT INTO lead (external_id) VALUES ('e7');
INSERT INTO event (lead_id, kind, occurred_at, properties) SELECT lead_id, 'page_view', t, p::jsonb FROM lead, (VALUES (timestamptz '2025-03-04 12:00Z', '{"experiment": "offer"}'),
    ('2025-03-04 13:00Z', '{"experiment": "offer", "variant": "bold"}'), ('2025-03-04 14:00Z', '{"experiment": "offer", "variant": "bold"}')) AS v (t, p) WHERE external_id = 'e7';
INSERT INTO event (lead_id, kind, occurred_at, properties) SELECT lead_id, 'page_view', '2025-03-04 12:00Z', p::jsonb FROM lead, unnest('{"[]","7","{}","{\"experiment\": 7}"}'::text[]) p WHERE external_id = 'e7';
SELECT variant, exposed_at FROM exposure JOIN lead USING (lead_id) WHERE external_id = 'e7';

-- Steps: a variant of the content, and of the time
INSERT INTO sequence (sequence, starts_on) VALUES ('news', 'by_hand');
INSERT INTO sequence_step (sequence, step, position, channel, content, delay, weekdays, experiment, variant) VALUES
    ('news', 'letter', 1, 'email', 'letter', '0', NULL, 'offer', NULL),
    ('news', 'tuesday', 2, 'email', 'reminder', '1 hour', '{2}', 'offer', 'plain');
SELECT activate_sequence('news');
INSERT INTO sequence_step (sequence, step, position, channel, content) VALUES ('news', 'thursday', 2, 'email', 'reminder');
SELECT activate_sequence('news');
UPDATE sequence_step SET experiment = 'offer', variant = 'plain' WHERE step = 'thursday';
UPDATE sequence_step SET experiment = 'offer', variant = 'third', weekdays = '{4}' WHERE step = 'thursday';
SELECT activate_sequence('news');
UPDATE sequence_step SET variant = 'bold', delay = '1 hour' WHERE step = 'thursday';
SELECT activate_sequence('news');
-- t1 has plain, t2 has bold; Monday 7 April 2025
SELECT expose('offer', 't1', 'plain', '2025-04-07 09:00Z') AS t1, expose('offer', 't2', 'bold', '2025-04-07 09:00Z') AS t2;
UPDATE lead SET email = external_id || '@example.com' WHERE external_id ~ '^t[12]$';
SELECT bool_or(give_consent(external_id, p, evidence => '{"form": "f"}', occurred_at => '2025-04-01')) IS NOT NULL AS consented
    FROM lead, unnest('{policy,marketing}'::text[]) p WHERE external_id ~ '^t[12]$';
-- they are shown it in the letter, too; what was before this is of another test
DELETE FROM exposure;
SELECT enroll_lead(n, 'news', '2025-04-07 10:00Z') AS begun FROM unnest('{t1,t2}'::text[]) n;
SELECT l.external_id, a.step, a.experiment, a.variant = variant('offer', l.external_id) AS own_variant FROM action a JOIN lead l USING (lead_id) ORDER BY 1;
CREATE TEMP TABLE given AS SELECT n, variant('offer', n) AS variant FROM unnest('{t1,t2}'::text[]) n;
SELECT count(*) AS claimed FROM claim_actions('email', at => '2025-04-07 10:00Z');
SELECT count(*) AS not_yet FROM exposure;
SELECT bool_and(complete_action(a.lead_id, a.action_id, a.attempt, at => '2025-04-07 10:05Z')) AS done FROM action a WHERE a.status = 'claimed';
SELECT l.external_id, o.variant = g.variant AS own_variant, o.exposed_at FROM exposure o JOIN lead l USING (lead_id) JOIN given g ON g.n = l.external_id ORDER BY 1;
SELECT a.step, a.step = CASE g.variant WHEN 'plain' THEN 'tuesday' ELSE 'thursday' END AS of_the_variant, extract(isodow FROM a.due_at) = CASE g.variant WHEN 'plain' THEN 2 ELSE 4 END AS its_day
    FROM action a JOIN lead l USING (lead_id) JOIN given g ON g.n = l.external_id WHERE a.status = 'waiting' AND l.external_id = 't1';
SELECT count(*) AS other_steps FROM action a JOIN lead l USING (lead_id) JOIN given g ON g.n = l.external_id
    WHERE a.status = 'waiting' AND a.variant IS DISTINCT FROM g.variant OR a.step <> 'letter' AND a.step <> CASE g.variant WHEN 'plain' THEN 'tuesday' ELSE 'thursday' END;

-- People: merged, told, forgotten, deleted
SELECT expose('offer', 'p2', 'bold', '2025-04-30 10:00Z') AS p2, expose('offer', 'p1', 'plain', '2025-05-01 10:00Z') AS p1, expose('offer', 'p3', 'bold', '2025-05-02 10:00Z') AS p3;
SELECT merge_leads('p1', 'p2') = merge_leads('p1', 'p3') AS merged;
SELECT variant, exposed_at FROM exposure JOIN lead USING (lead_id) WHERE external_id = 'p1' ORDER BY exposed_at;
SELECT variant('offer', 'p1') AS the_first;
-- what was earlier, but arrives later, changes nothing
SELECT expose('offer', 'p1', 'plain', '2025-04-01 10:00Z') AS told, variant('offer', 'p1') AS the_first;
SELECT jsonb_path_query_array(export_lead('p1'), '$.exposures[*].variant') AS told;
SELECT forget_lead('p1') AS forgotten;
SELECT count(*) AS exposures_stay, count(first_external_id) AS names FROM exposure JOIN lead USING (lead_id) WHERE erased_at IS NOT NULL;
SELECT expose('offer', 'p1') IS NOT NULL AS shown_to_nobody, (SELECT count(*) FROM lead WHERE external_id = 'p1') AS leads;
SELECT expose('offer', 'p4', 'plain', '2025-05-01 10:00Z') AS p4;
DELETE FROM lead WHERE external_id = 'p4';
SELECT * FROM verify();

-- The end
SELECT end_experiment('offer', 'third');
SELECT end_experiment('offer', 'bold', now() + interval '1 hour');
SELECT end_experiment('offer', 'bold');
SELECT end_experiment('offer');
SELECT DISTINCT variant('offer', 'v' || i) AS all_of_them FROM generate_series(1, 50) i;
SELECT expose('offer', 'nobody'), (SELECT count(*) FROM lead WHERE external_id = 'nobody') AS leads;
UPDATE variant SET weight = 2 WHERE variant = 'bold';
UPDATE experiment SET winner = 'third';
UPDATE experiment SET winner = 'plain';
UPDATE experiment SET ended_at = now() + interval '1 day';

-- Results. Goal: a purchase within 10 days. Of 44 leads of a, 8 buy, and one at
-- the last instant; one buys too early, one at the very instant of the exposure,
-- one too late. Of 40 leads of b 16 buy. 2 saw both; 3 have time left.
INSERT INTO experiment (experiment, salt, goal_signals, goal_within) VALUES ('page', 's2', '{purchase}', '10 days');
INSERT INTO variant (experiment, variant, position) VALUES ('page', 'a', 1), ('page', 'b', 2);
SELECT start_experiment('page', '2025-01-01');
SELECT count(expose('page', 'a' || i, 'a', '2025-01-05 12:00Z')) FROM generate_series(1, 44) i;
SELECT count(expose('page', 'b' || i, 'b', CASE WHEN i > 30 THEN timestamptz '2025-01-06 12:00Z' ELSE '2025-01-05 12:00Z' END)) FROM generate_series(1, 40) i;
SELECT count(track('a' || i, 'purchase', NULL, '2025-01-10 12:00Z')) FROM generate_series(1, 8) i;
SELECT count(track('a' || i, 'purchase', NULL, t)) FROM (VALUES (9, timestamptz '2025-01-15 12:00Z'), (10, '2025-01-04 12:00Z'), (11, '2025-01-05 12:00Z'), (12, '2025-01-15 12:00:00.000001Z')) AS v (i, t);
SELECT count(track('b' || i, 'purchase', NULL, '2025-01-10 12:00Z')) FROM generate_series(1, 40, 5) i, generate_series(1, 2) twice;
SELECT count(track('b' || i, 'purchase', NULL, '2025-01-11 12:00Z')) FROM generate_series(2, 40, 5) i;
SELECT count(expose('page', 'm' || i, v, t)) FROM generate_series(1, 2) i, (VALUES ('a', timestamptz '2025-01-05'), ('b', '2025-01-07')) AS v (v, t);
SELECT count(track('m1', 'purchase', NULL, '2025-01-08'));
SELECT count(expose('page', 'o' || i, 'b', now() - interval '1 day')) FROM generate_series(1, 3) i;
SELECT count(track('o1', 'purchase', NULL, now() - interval '1 hour'));
UPDATE lead SET persona = 'buyer' WHERE external_id IN ('a1', 'a20', 'b1', 'b2', 'b40');
SELECT variant, exposed, mixed, open_leads, open_converted, closed, converted, round(goal_rate::numeric, 6) AS goal_rate, round(difference_rate::numeric, 6) AS difference_rate
    FROM experiment_result WHERE experiment = 'page' AND level = 'all' ORDER BY position;
-- by hand: rates 9/44 and 16/40, with one more of each 10/46 and 17/42; of the day before 9/44 and 12/30, 13/32
WITH hand AS (
    SELECT 16 / 40.0 - 9 / 44.0 AS d, 10 / 46.0 * 36 / 46.0 / 44 + 17 / 42.0 * 25 / 42.0 / 40 AS v, 12 / 30.0 - 9 / 44.0 AS d1, 10 / 46.0 * 36 / 46.0 / 44 + 13 / 32.0 * 19 / 32.0 / 30 AS v1
), p AS (
    SELECT d, sqrt(v * (v + 0.0025) / 0.0025 * (2 * ln(20.0) + ln((v + 0.0025) / v))) AS margin,
        least(1, 1 / (sqrt(v / (v + 0.0025)) * exp(d * d * 0.0025 / (2 * v * (v + 0.0025)))), 1 / (sqrt(v1 / (v1 + 0.0025)) * exp(d1 * d1 * 0.0025 / (2 * v1 * (v1 + 0.0025))))) AS p
    FROM hand)
SELECT abs(r.always_valid_low_rate - (p.d - p.margin)) < 1e-9 AS low, abs(r.always_valid_high_rate - (p.d + p.margin)) < 1e-9 AS high, abs(r.always_valid_p - p.p) < 1e-9 AS p,
    r.p_better_uncorrected = leadscore_internal.beta_greater(10, 36, 17, 25) AS better, r.expected_loss_rate = leadscore_internal.beta_loss(10, 36, 17, 25) AS loss,
    r.planned_rate, r.exposed_rate = 43 / 89::double precision AS exposed_rate, r.ratio_alarm, abs(ln(r.ratio_bayes_factor) - leadscore_internal.ratio_log_bayes('{46,43}', '{1,1}')) < 1e-9 AS bayes
    FROM experiment_result r, p WHERE r.experiment = 'page' AND r.level = 'all' AND r.variant = 'b';
SELECT variant, baseline, difference_rate, always_valid_low_rate, always_valid_p, p_better_uncorrected, expected_loss_rate FROM experiment_result WHERE experiment = 'page' AND level = 'all' AND variant = 'a';
SELECT level, segment, persona, variant, exposed, closed, converted FROM experiment_result WHERE experiment = 'page' AND level <> 'all' ORDER BY 1, 2, 3, 4;
-- a segment of now: those that are in it when they are shown a variant
INSERT INTO segment (segment) VALUES ('of buyers');
INSERT INTO segment_condition (segment, condition, signal) VALUES ('of buyers', 'bought', 'purchase');
SELECT activate_segment('of buyers') >= 0 AS activated;
SELECT count(expose('page', n, 'b')) FROM unnest('{o1,n1,n2}'::text[]) n;
SELECT count(expose('page', n, 'a', now() + interval '1 day')) AS not_yet FROM unnest('{n3}'::text[]) n;
SELECT (track('n2', 'purchase')).stage AS later;
SELECT (track('n4', 'purchase')).stage, expose('page', 'n4', 'a') AS n4;
SELECT segment, variant, exposed, open_leads FROM experiment_result WHERE experiment = 'page' AND level = 'segment' ORDER BY 1, 2;
-- everybody gets the same: the alarm
SELECT count(expose('page', 'z' || i, 'a', '2025-01-08')) FROM generate_series(1, 120) i;
SELECT variant, exposed, ratio_alarm, ratio_p_one_look < 0.001 AS by_chi_square FROM experiment_result WHERE experiment = 'page' AND level = 'all' ORDER BY position;

-- each of 1000 variants has one lead, as planned: a factor below what a number can hold, and no error
BEGIN;
INSERT INTO experiment (experiment, salt, goal_signals) VALUES ('many', 's4', '{purchase}');
INSERT INTO variant (experiment, variant, position) SELECT 'many', 'v' || i, i FROM generate_series(1, 1000) i;
SELECT start_experiment('many', '2025-01-01') \g /dev/null
INSERT INTO lead (lead_id) SELECT 100000 + i FROM generate_series(1, 1000) i;
INSERT INTO exposure (lead_id, experiment, variant, exposed_at) SELECT 100000 + i, 'many', 'v' || i, '2025-01-08' FROM generate_series(1, 1000) i;
SELECT count(*), bool_and(ratio_bayes_factor < 1e-300 AND NOT ratio_alarm) AS tiny FROM experiment_result WHERE experiment = 'many' AND level = 'all';
ROLLBACK;

-- A goal by stage: the first rise into it after the exposure; three variants, one without weight, one without leads
INSERT INTO experiment (experiment, salt, goal_stage) VALUES ('stages', 's3', 'customer');
INSERT INTO variant (experiment, variant, position, weight) VALUES ('stages', 'one', 1, 1), ('stages', 'two', 2, 3), ('stages', 'none', 3, 0);
SELECT start_experiment('stages', '2025-01-01');
SELECT array_agg(DISTINCT variant('stages', 'x' || i)) AS variants FROM generate_series(1, 100) i;
-- a1 became a customer on 10 January, after it was shown a variant, and a2 before
SELECT expose('stages', 'a1', 'one', '2025-01-07'), expose('stages', 'a2', 'one', '2025-01-11'), expose('stages', 'a30', 'one', '2025-01-11');
SELECT variant, exposed, closed, converted, goal_rate, planned_rate, difference_rate, always_valid_p, p_better_uncorrected, ratio_alarm FROM experiment_result WHERE experiment = 'stages' AND level = 'all' ORDER BY position;
SELECT end_experiment('stages', at => '2025-01-08');
SELECT variant, exposed, converted, round(running_days::numeric, 3) AS running_days, status FROM experiment_result WHERE experiment = 'stages' AND level = 'all' ORDER BY position;

-- A/A: of 200 experiments without a difference, looked at 25 times. The chance
-- of a false alarm at 5 % stays below that, and far above it with a z-test.
SELECT setseed(0.25) \g /dev/null
WITH look AS (
    SELECT run, look, sum(a) OVER w AS a, sum(b) OVER w AS b, look * 40 AS n
    FROM (SELECT run, look, count(*) FILTER (WHERE random() < 0.1) AS a, count(*) FILTER (WHERE random() < 0.1) AS b
        FROM generate_series(1, 200) run, generate_series(1, 25) look, generate_series(1, 40) lead GROUP BY 1, 2) c
    WINDOW w AS (PARTITION BY run ORDER BY look)
), test AS (
    SELECT run, min(leadscore_internal.sequential_p((b - a)::double precision / n, leadscore_internal.difference_variance(b::bigint, n, a::bigint, n), 0.05)) AS p,
        min(2 * leadscore_internal.normal_tail(abs(b - a)::double precision / n / nullif(sqrt((a + b) / (2.0 * n) * (1 - (a + b) / (2.0 * n)) * 2 / n)::double precision, 0))) AS z_p
    FROM look GROUP BY run)
SELECT count(*) FILTER (WHERE p <= 0.05) <= 10 AS always_valid, count(*) FILTER (WHERE z_p <= 0.05) > 30 AS z_test_is_not, count(*) AS runs FROM test;

-- Messages by persona: ratio against the generic variant of the same persona
SELECT count(track(l, 'email_sent', jsonb_build_object('message', 'm', 'variant', v), '2025-02-01')) FROM (VALUES ('a1', 'generic'), ('a20', 'generic'), ('b1', 'own'), ('b2', 'own'), ('b3', 'own'), ('b40', 'own')) AS t (l, v);
SELECT count(track(l, 'email_click', '{"message": "m"}', '2025-02-02')) FROM unnest('{a1,b1,b2}'::text[]) l;
SELECT level, persona, variant, baseline, sent, responded, round(response_rate::numeric, 4) AS response_rate, round(ratio_to_baseline::numeric, 4) AS ratio FROM message_response_by_segment ORDER BY 1, 2, 3;

-- Rights
CREATE ROLE exp_app;
CREATE ROLE exp_reader;
CREATE ROLE exp_marketing;
SELECT leadscore.grant_app('crm', 'exp_app'), leadscore.grant_reader('crm', 'exp_reader'), leadscore.grant_marketing('crm', 'exp_marketing') \g /dev/null
SET ROLE exp_app;
SELECT variant('page', 'r1') = expose('page', 'r1') AS same;
SELECT count(*) FROM exposure;
SELECT end_experiment('page');
SET ROLE exp_reader;
SELECT count(*) > 0 AS counts FROM experiment_result;
SELECT count(*) FROM exposure;
SELECT salt FROM experiment;
SELECT variant('page', 'r1');
SET ROLE exp_marketing;
INSERT INTO experiment (experiment, goal_stage, expected_effect) VALUES ('mine', 'sql', 0.02);
INSERT INTO variant (experiment, variant, position) VALUES ('mine', 'a', 1), ('mine', 'b', 2);
UPDATE experiment SET status = 'running' WHERE experiment = 'mine';
SELECT start_experiment('mine'), end_experiment('mine', 'b');
SELECT count(*) FROM exposure;
RESET ROLE;
-- a role that row security keeps from some leads sees no counts
CREATE POLICY half ON lead TO exp_reader USING (lead_id % 2 = 0);
ALTER TABLE lead ENABLE ROW LEVEL SECURITY;
SET ROLE exp_reader;
SELECT count(*) AS counts FROM experiment_result;
SELECT count(*) AS counts FROM message_response_by_segment;
RESET ROLE;
DROP OWNED BY exp_app, exp_reader, exp_marketing;
DROP ROLE exp_app, exp_reader, exp_marketing;
DROP SCHEMA crm, crm_reports CASCADE;
