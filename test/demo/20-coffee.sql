-- The story of one lead, an event at a time.
\set QUIET on
\pset footer off
\pset pager off
SET timezone = 'UTC';

\echo
\echo
\echo '== 1. One lead, step by step. A line is a call, such as SELECT * FROM crm.track(''ana'', ''email_open'');'
\echo '      Score and stage are right at commit, and undone by a rollback.'
\echo

CREATE TEMP TABLE story (line serial, ana text, score numeric, stage text, remark text);

INSERT INTO story (ana, score, stage, remark)
    SELECT 'looks at a product; leaves an address, consents', score, stage, '15; with consent a contact is an iql'
    FROM crm.track('ana', 'product_page_view',
        profile => '{"email": "ana@ana.example", "consent": true, "organization": "Cafe Ana"}');
INSERT INTO story (ana, score, stage, remark)
    SELECT 'downloads a case study', score, stage, '+10'
    FROM crm.track('ana', 'case_study_download');
INSERT INTO story (ana, score, stage, remark)
    SELECT 'opens an e-mail', score, stage, '+5'
    FROM crm.track('ana', 'email_open');
INSERT INTO story (ana, score, stage, remark)
    SELECT 'leaves a full cart behind', score, stage, '-5; an mql needs 31 points'
    FROM crm.track('ana', 'cart_abandoned');
INSERT INTO story (ana, score, stage, remark)
    SELECT 'looks at the prices', score, stage, '+10; and the case study was solution content'
    FROM crm.track('ana', 'pricing_view');
INSERT INTO story (ana, score, stage, remark)
    SELECT 'starts a trial', score, stage, '+20'
    FROM crm.track('ana', 'trial_started');
INSERT INTO story (ana, score, stage, remark)
    SELECT 'asks for a quote', score, stage, '+25; 71 points are there, but what of the budget?'
    FROM crm.track('ana', 'quote_request');
INSERT INTO story (ana, score, stage, remark)
    SELECT 'confirms budget, authority, need and timeline', score, stage, 'all gates open: to be called within the hour'
    FROM crm.track('ana', 'form_view',
        profile => '{"budget": true, "authority": true, "need": true, "timeline": true}');

SELECT ana AS "what Ana does", score, stage, remark AS why FROM story ORDER BY line;
