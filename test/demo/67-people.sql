-- Whom we may write to, who is who, and how somebody is forgotten.
\set QUIET on
\pset footer off
\pset pager off
\pset null ''
SET timezone = 'UTC';

\echo
\echo
\echo '== 7. May we write to Ana? SELECT crm.may_contact(''ana'', ''email'', ''newsletter''); a receipt needs no consent.'
\echo

CREATE TEMP TABLE said (line serial, ana text, newsletter boolean, offers boolean, receipt boolean, remark text);
CREATE FUNCTION pg_temp.note(ana text, remark text) RETURNS void LANGUAGE sql VOLATILE AS $$
    INSERT INTO said (ana, newsletter, offers, receipt, remark)
    SELECT ana, crm.may_contact('ana', 'email', 'newsletter'), crm.may_contact('ana', 'email', 'offers'),
        crm.may_contact('ana', 'email', transactional => true), remark $$;

\o /dev/null
SELECT pg_temp.note('accepted the policy, and ticked nothing else', 'the policy alone allows no messages');
SELECT crm.give_consent('ana', 'marketing', 'email', status => 'requested', evidence => '{"form": "newsletter"}');
SELECT pg_temp.note('subscribes', 'not confirmed yet');
SELECT crm.give_consent('ana', 'marketing', 'email', evidence => '{"link": "confirm"}');
SELECT pg_temp.note('follows the link in the message', 'double opt-in');
SELECT crm.track('ana', 'unsubscribe', '{"channel": "email", "topic": "offers"}');
SELECT pg_temp.note('wants no more offers', 'the newsletter goes on');
SELECT crm.upsert_lead('old list 17', email => 'Ana@ana.example', consent => true, contact_allowed => true);
SELECT crm.track('ana', 'unsubscribe', '{"channel": "email"}');
SELECT pg_temp.note('unsubscribes', 'her address is suppressed, whatever lead has it');
SELECT crm.give_consent('ana', 'marketing', 'email', 'newsletter', evidence => '{"form": "footer"}');
SELECT pg_temp.note('asks for the newsletter again', 'a later yes with evidence, for the newsletter only');
\o

SELECT ana AS "what Ana does", newsletter, offers, receipt, remark AS why FROM said ORDER BY line;

\o /dev/null
SELECT crm.track('phone-9', 'pricing_view');
SELECT crm.identify('phone-9', 'ana');
\o
SELECT crm.lead_id('ana') AS ana \gset
SELECT CASE WHEN crm.may_contact('old list 17', 'email') THEN 'may' ELSE 'must not' END AS list \gset

\echo '      The old list says yes to her address: we' :list 'write. Her phone was a visitor; identify() made both one lead.'
\echo '      She asks to be forgotten, and a list brings her back: SELECT crm.forget_lead(''ana'');'
\echo

CREATE TEMP TABLE lives (line serial, remark text, found boolean, email text, stage text, events bigint);
INSERT INTO lives (remark, found, email, stage, events)
    SELECT 'before', crm.lead_id('phone-9') = lead_id, email, crm.stage_at_by_id(lead_id), (SELECT count(*) FROM crm.event WHERE lead_id = :ana)
    FROM crm.lead WHERE lead_id = :ana;
\o /dev/null
SELECT crm.forget_lead('ana');
SELECT crm.upsert_lead('ana', email => 'ana@ana.example', contact_allowed => true);
\o
INSERT INTO lives (remark, found, email, stage, events)
    SELECT 'after', crm.lead_id('phone-9') IS NOT NULL OR crm.lead_id('ana') IS NOT NULL, email, crm.stage_at_by_id(lead_id), (SELECT count(*) FROM crm.event WHERE lead_id = :ana)
    FROM crm.lead WHERE lead_id = :ana;

SELECT remark AS "her lead", found AS "by her names", email, stage, events FROM lives ORDER BY line;
