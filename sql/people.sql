--
-- Who is who: names, merges, people that are forgotten
--
SET timezone = 'UTC';
SELECT leadscore.create_pipeline('crm') \g /dev/null
CREATE SCHEMA try;
CREATE FUNCTION try.try(sql text, OUT code text, OUT message text, OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE sql;
    code := 'none';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
END
$$;

-- A name that is an e-mail address is kept in lower case, whichever way it comes
SELECT n, leadscore_internal.fold_name(n) FROM unnest(ARRAY['Bob@X.example', E' \tBob@X.example\n', 'Bob@X', 'B@b@x.example', 'a b@X.example', '@X.example', 'Bob', ' Bob ', 'Bob@.example', 'Bob@x.', 'Ä@X.example']) n;
INSERT INTO crm.lead (external_id) VALUES ('Bob@X.example');
COPY crm.lead (external_id) FROM stdin;
 Cid@X.example
\.
SELECT crm.upsert_lead('BOB@x.example') = crm.lead_id('bob@x.example ') AS one;
SELECT (crm.track('bob@X.example', 'page_view')).lead_id = crm.lead_id('bob@x.example') AS one;
SELECT * FROM crm.track_many('[{"external_id": "Bob@x.example", "kind": "page_view"}, {"external_id": "bob@x.example", "kind": "page_view"}]');
UPDATE crm.lead SET external_id = 'Cid2@X.example' WHERE external_id = 'cid@x.example';
SELECT external_id, count(e.*) FROM crm.lead LEFT JOIN crm.event e USING (lead_id) GROUP BY 1 ORDER BY 1;
SELECT (try.try($$INSERT INTO crm.lead (external_id) VALUES ('BOB@X.EXAMPLE')$$)).code;
-- other columns of a person
SELECT crm.upsert_lead('columns', phone => '+34 600', language => 'es', time_zone => 'Europe/Madrid') > 0 AS made, crm.upsert_lead('columns 2', profile => '{"phone": 34600, "language": "de", "time_zone": null, "employees": 5}') > 0 AS made_too;
SELECT external_id, phone, language, time_zone, profile FROM crm.lead WHERE external_id LIKE 'columns%' ORDER BY 1;
SELECT crm.upsert_lead('then', 'then@x.example', consent => true, at => '2025-01-01') AS "then" \gset
SELECT bool_and(recorded_at > changed_at) AS recorded_later FROM crm.profile_change WHERE lead_id = :then;

-- A visitor of January is a lead that is known since March: one lead, created in
-- January, whose profile holds from March on; it has done what both did.
SELECT event_id > 0 FROM crm.track('web-1', 'page_view', occurred_at => '2025-01-10 10:00'), crm.track('web-1', 'content_download', '{"intent": "solution"}', occurred_at => '2025-01-11 10:00') b (a1, a2);
SELECT crm.upsert_lead('ann', 'ann@acme.example', consent => true, at => '2025-03-01 10:00') AS ann \gset
SELECT stage FROM crm.track('ann', 'demo_request', occurred_at => '2025-03-02 10:00', source_id => '1');
SELECT crm.lead_id('web-1') AS web1 \gset
SELECT crm.identify('web-1', 'ann') = :ann AS ann;
SELECT crm.lead_id('web-1') = :ann AS alias, (SELECT created_at FROM crm.lead WHERE lead_id = :ann) AS created_at, (SELECT count(*) FROM crm.event WHERE lead_id = :ann) AS events, (SELECT count(*) FROM crm.lead WHERE lead_id = :web1) AS others;
SELECT from_stage, to_stage, effective_at, cause FROM crm.stage_history WHERE lead_id = :ann ORDER BY seq;
SELECT signal, count, changed_at FROM crm.profile_change WHERE lead_id = :ann ORDER BY seq;
SELECT external_id, lead_id = :ann AS ann FROM crm.lead_alias;
SELECT lead_id = :ann AS winner, loser_id = :web1 AS loser, reason FROM crm.lead_merge;

-- identify: nothing new; names that nobody has; a name that is an alias already
SELECT crm.identify('web-1', 'ann') = :ann AS again, crm.identify('ann', 'ann') = :ann AS itself, crm.identify('ann', 'web-1') = :ann AS the_other_way;
SELECT crm.identify('web-2', 'ann') = :ann AS remembered;
SELECT crm.lead_id('web-2') = :ann AS found, (crm.track('web-2', 'page_view', occurred_at => '2025-03-03')).lead_id = :ann AS tracked;
SELECT crm.identify('web-3', 'dan') > 0 AS both_new;
SELECT crm.lead_id('web-3') = crm.lead_id('dan') AS one;
SELECT event_id > 0 FROM crm.track('web-4', 'page_view', occurred_at => '2025-03-03');
SELECT crm.identify('web-4', 'Eve@X.example') AS eve \gset
SELECT crm.lead_id('eve@x.example') = :eve AS renamed;
SELECT l.external_id, a.external_id AS alias FROM crm.lead l JOIN crm.lead_alias a USING (lead_id) WHERE l.external_id LIKE 'eve%';
-- two people on one device are not joined
SELECT t.* FROM unnest(ARRAY[$$SELECT crm.identify('ann', 'dan')$$, $$SELECT crm.identify('web-1', 'dan')$$, $$SELECT crm.identify('web-4', 'ann')$$, $$SELECT crm.identify(NULL, 'ann')$$, $$SELECT crm.identify('', 'ann')$$]) s, try.try(s) t;
SELECT crm.identify('web-4', 'dan', force => true) = crm.lead_id('dan') AS forced;
SELECT crm.lead_id(n) = crm.lead_id('dan') AS dan FROM unnest('{web-3,web-4,eve@x.example}'::text[]) n;
SELECT (try.try($$INSERT INTO crm.lead (external_id) VALUES ('web-4')$$)).*;
SELECT (try.try($$UPDATE crm.lead SET external_id = 'web-4' WHERE external_id = 'ann'$$)).code;

-- merge: duplicates by source_id fall away, the winner's stay; counts add; the
-- winner's profile comes first
SELECT crm.upsert_lead('f1', 'f1@x.example', '{"employees": 5, "a": 1}', country => 'DE', consent => true, at => '2025-01-05') AS f1, crm.upsert_lead('f2', 'f2@x.example', '{"employees": 9, "b": 2}', country => 'FR', market => 'b2b', phone => '+1', at => '2025-01-03') AS f2 \gset
SELECT crm.upsert_lead('referred', referred_by => :f2) > 0 AS referred;
INSERT INTO crm.event (lead_id, kind, occurred_at, source_id, value) VALUES (:f1, 'purchase', '2025-02-01', 'o1', 10), (:f1, 'purchase', '2025-02-02', 'o2', 20), (:f2, 'purchase', '2025-02-03', 'o2', 99), (:f2, 'purchase', '2025-02-04', 'o3', 30), (:f2, 'page_view', '2025-02-05', NULL, NULL), (:f1, 'page_view', '2025-02-05', NULL, NULL);
SELECT crm.merge_leads('f1', 'f2', 'one person') = :f1 AS merged;
SELECT external_id, email, phone, country, market, profile, created_at, consented_at FROM crm.lead WHERE lead_id = :f1;
SELECT kind, source_id, value FROM crm.event WHERE lead_id = :f1 ORDER BY occurred_at, source_id;
SELECT signal, events FROM crm.explain('f1', '2025-02-06') WHERE source = 'event' AND rule IS NOT NULL;
SELECT referred_by = :f1 AS moved FROM crm.lead WHERE external_id = 'referred';
-- documents about two names of one lead become one: that of the 1st of February, and over it that of the 2nd
SELECT crm.upsert_lead('n1') AS n1, crm.upsert_lead('n2') AS n2 \gset
SELECT crm.merge_leads('n1', 'n2') = :n1 AS merged;
SELECT * FROM crm.track_many('[{"external_id": "n1", "kind": "page_view", "occurred_at": "2025-02-02", "profile": {"a": 1, "b": 1}}, {"external_id": "n2", "kind": "page_view", "occurred_at": "2025-02-01", "profile": {"b": 2, "c": 2}}]');
SELECT profile FROM crm.lead WHERE lead_id = :n1;
-- the address of the loser may be one that is refused: the winner has said what it has said, no more
SELECT crm.upsert_lead('granted') AS granted, crm.upsert_lead('given', 'given@x.example') AS given \gset
SELECT crm.give_consent('granted', 'marketing', 'email', evidence => '{"form": "f"}', occurred_at => '2025-01-10'), crm.suppress('given@x.example', reason => 'unsubscribed', since => '2025-01-20') AS leads;
SELECT crm.merge_leads('granted', 'given') = :granted AS merged;
SELECT email, contact_allowed, crm.may_contact('granted', 'email') AS email_allowed FROM crm.lead WHERE lead_id = :granted;
SELECT purpose, channel, status, occurred_at FROM crm.consent WHERE lead_id = :granted;
-- a chain of merges, and circles
SELECT crm.upsert_lead('f3') AS f3 \gset
SELECT crm.merge_leads('f3', 'f1') = :f3 AS merged;
SELECT n, crm.lead_id(n) = :f3 AS f3 FROM unnest('{f1,f2,f3}'::text[]) n;
SELECT regexp_replace(t.message, '\d+', 'N') AS message, t.code, regexp_replace(t.hint, '\d+', 'N', 'g') AS hint FROM unnest(ARRAY[$$SELECT crm.merge_leads('f1', 'f2')$$, $$SELECT crm.merge_leads('f3', 'f3')$$, $$SELECT crm.merge_leads('f3', 'nobody')$$, $$SELECT crm.merge_leads(NULL, 'f3')$$, $$SELECT crm.merge_leads('f3', '')$$,
    format('SELECT crm.merge_leads_by_id(%s, %s)', :f3, :f2), format('SELECT crm.merge_leads_by_id(%s, %s)', :f2, :f3), format('INSERT INTO crm.event (lead_id, kind) VALUES (%s, ''page_view'')', :f2),
    format('SELECT crm.give_consent_by_id(%s, ''policy'')', :f2), format('SELECT crm.set_stage_by_id(%s, ''mql'')', :f2)]) s, try.try(s) t;

-- Consent of both: never asked is not withdrawn; a withdrawal of either holds,
-- unless a later grant of the other has evidence
CREATE FUNCTION try.pair(name text, a text, a_at timestamptz, b text, b_at timestamptz, b_evidence jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM crm.upsert_lead(name || ' a', at => '2024-12-01'), crm.upsert_lead(name || ' b', at => '2024-12-01');
    INSERT INTO crm.consent (lead_id, purpose, status, evidence, occurred_at)
    SELECT crm.lead_id(name || v.who), p, v.status, CASE WHEN v.status = 'granted' THEN v.evidence END, v.at
    FROM (VALUES (' a', a, a_at, jsonb '{}'), (' b', b, b_at, b_evidence)) AS v (who, status, at, evidence), unnest('{policy,marketing}'::text[]) p
    WHERE v.status IS NOT NULL;
    PERFORM crm.merge_leads(name || ' a', name || ' b');
    RETURN crm.may_contact(name || ' b', 'email');
END
$$;
SELECT n, try.pair(n, a, a_at, b, b_at, evidence) AS may_contact FROM (VALUES
    ('never asked', 'granted', timestamptz '2025-01-01', NULL::text, NULL::timestamptz, NULL::jsonb), ('withdrawn by b', 'granted', '2025-01-01', 'withdrawn', '2025-02-01', NULL),
    ('again, with evidence', 'withdrawn', '2025-02-01', 'granted', '2025-03-01', jsonb '{"form": "f"}'), ('again, by import', 'withdrawn', '2025-02-01', 'granted', '2025-03-01', NULL),
    ('at once', 'withdrawn', '2025-02-01', 'granted', '2025-02-01', '{"form": "f"}'), ('at once, the other way', 'granted', '2025-02-01', 'withdrawn', '2025-02-01', NULL)) AS v (n, a, a_at, b, b_at, evidence);
SELECT external_id, consented_at FROM crm.lead WHERE external_id LIKE '% a' ORDER BY 1;
SELECT status, occurred_at, merged_from IS NOT NULL AS moved FROM crm.consent WHERE lead_id = crm.lead_id('again, with evidence a') AND purpose = 'policy' ORDER BY consent_id;
-- it is a lead while its consent holds, and not from its withdrawal on
SELECT crm.upsert_lead('g1', 'g1@x.example', consent => true, at => '2025-01-01') > 0 AS g1, crm.upsert_lead('g2', 'g2@x.example', consent => true, at => '2025-01-10') > 0 AS g2;
SELECT crm.withdraw_consent('g2', 'policy', occurred_at => '2025-02-01');
SELECT crm.merge_leads('g1', 'g2') > 0 AS merged;
SELECT from_stage, to_stage, effective_at::date, cause FROM crm.stage_history WHERE lead_id = crm.lead_id('g1') ORDER BY seq;
SELECT * FROM crm.verify();
SELECT crm.rebuild();

-- A person is forgotten: nothing of it is left but figures
SELECT crm.upsert_lead('Hal@Secret.example', 'hal@secret.example', '{"first_name": "Halvar", "job_title": "head of sales", "budget": true}', phone => '+46 70 123', organization => 'Acme', consent => true, at => '2025-01-01') AS hal \gset
SELECT event_id > 0 FROM crm.track('hal@secret.example', 'content_download', '{"content": "guide for Halvar", "intent": "solution", "note": "call me"}', '2025-01-02', source_id => 'mail hal@secret.example');
INSERT INTO crm.event (lead_id, kind, occurred_at, value, source_id, properties) VALUES (:hal, 'purchase', '2025-02-01', 100, 'order 1', '{"card": "visa qz"}'), (:hal, 'refund', '2025-02-02', 40, 'back 1', '{"purchase": "order 1"}'),
    (:hal, 'form_submit', '2025-01-03', NULL, NULL, '{"form": "f", "fields": ["name", "mail"], "message": "I am Halvar"}'), (:hal, 'page_view', '2025-01-03', NULL, NULL, '{"page": "/a?mail=HAL@secret.example"}');
SELECT crm.identify('hal cookie', 'hal@secret.example') = :hal AS known, crm.give_consent('hal cookie', 'marketing', evidence => '{"ip": "203.0.113.7"}') AS granted;
CREATE TABLE try.before AS SELECT s.stage, s.activity, crm.score_by_id(:hal) AS score, (SELECT jsonb_agg(to_jsonb(h) ORDER BY seq) FROM crm.stage_history h WHERE lead_id = :hal) AS history,
    (SELECT jsonb_agg(to_jsonb(r) ORDER BY r.event_id) FROM crm_reports.refunds r) AS refunds, (SELECT jsonb_agg(to_jsonb(f) ORDER BY f.form, f.variant, f.level) FROM crm_reports.form_conversion f) AS forms FROM crm.lead_state s WHERE lead_id = :hal;
SELECT crm.forget_lead('Hal Cookie') AS nobody, crm.forget_lead('hal cookie', '2025-03-01') AS forgotten;
SELECT t.code, t.message, t.hint FROM unnest(ARRAY[$$SELECT crm.set_stage('hal cookie', 'lost')$$, $$SELECT crm.give_consent('hal cookie', 'policy')$$,
    $$SELECT crm.give_consent('hal 2', 'policy', email => 'hal@secret.example')$$, $$SELECT crm.unenroll('hal cookie', 'welcome')$$, $$SELECT crm.set_stage('hal 2', 'lost')$$]) s, try.try(s) t;
SELECT t.code, t.hint FROM try.try(format('SELECT crm.give_consent_by_id(%s, ''policy'')', :hal)) t;
SELECT crm.forget_lead('hal@secret.example') AS again, crm.forget_lead_by_id(:hal) AS by_number, crm.forget_lead('nobody') AS nobody;
-- a name that no regular expression can hold
SELECT stage FROM crm.track('long', 'case_study_download', jsonb_build_object('content', 'of ' || repeat('Ann ', 30000) || 'end'), profile => jsonb_build_object('name', repeat('Ann ', 30000)));
SELECT crm.lead_id('long') AS long \gset
SELECT crm.forget_lead('long');
SELECT properties FROM crm.event WHERE lead_id = :long AND kind = 'case_study_download';
SELECT s.stage = b.stage AS stage, s.activity = b.activity AS activity, crm.score_by_id(:hal) = b.score AS score, (SELECT jsonb_agg(to_jsonb(h) ORDER BY seq) FROM crm.stage_history h WHERE lead_id = :hal) = b.history AS history,
    (SELECT jsonb_agg(to_jsonb(r) ORDER BY r.event_id) FROM crm_reports.refunds r) = b.refunds AS refunds, (SELECT jsonb_agg(to_jsonb(f) ORDER BY f.form, f.variant, f.level) FROM crm_reports.form_conversion f) = b.forms AS forms FROM crm.lead_state s, try.before b WHERE lead_id = :hal;
SELECT external_id, email, phone, profile, organization, consented_at, contact_allowed, erased_at IS NOT NULL AS erased FROM crm.lead WHERE lead_id = :hal;
SELECT kind, occurred_at, value, source_id, properties FROM crm.event WHERE lead_id = :hal AND kind <> 'refund' ORDER BY event_id;
SELECT purpose, status, evidence FROM crm.consent WHERE lead_id = :hal ORDER BY consent_id;
SELECT requested_at FROM crm.erasure WHERE lead_id = :hal;
SELECT crm.may_contact_by_id(:hal, 'email', transactional => true) AS contact, (SELECT count(*) FROM crm.hot_leads WHERE lead_id = :hal) AS hot;
-- no text of the pipeline has it
CREATE FUNCTION try.find(what text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    t regclass;
    found bigint;
BEGIN
    FOR t IN SELECT oid FROM pg_class WHERE relnamespace = 'crm'::regnamespace AND relkind = 'r' LOOP
        EXECUTE format('SELECT count(*) FROM %s r WHERE r::text ~* $1', t) INTO found USING what;
        IF found > 0 THEN RETURN NEXT t; END IF;
    END LOOP;
END
$$;
SELECT try.find('halvar|secret\.example|hal cookie|46 70|call me|visa qz|203\.0');
SELECT * FROM crm.verify();
SELECT crm.rebuild();
-- what is imported again makes no lead, and is no secret found
INSERT INTO crm.lead (external_id, email) VALUES ('hal@secret.example', NULL), ('other', ' HAL@secret.example'), ('Hal cookie', NULL), ('hal cookie', NULL);
INSERT INTO crm.lead (phone) VALUES ('+4670123');
COPY crm.lead (external_id, email) FROM stdin;
more	Hal@SECRET.example
\.
SELECT crm.upsert_lead('more', 'hal@secret.example') AS upserted, (crm.track('hal cookie', 'page_view')).*;
SELECT crm.upsert_lead('by number', profile => '{"phone": 4670123}') AS by_number, crm.upsert_lead('by line', E'hal@Secret.example\r\n') AS by_line;
SELECT * FROM crm.track_many('[{"external_id": "hal cookie", "kind": "page_view"}, {"external_id": "x", "kind": "page_view", "profile": {"email": "hal@secret.example"}}, {"external_id": "ann", "kind": "page_view"}]');
SELECT crm.identify('hal cookie', 'ann') = :ann AS ann, crm.identify('new', 'hal@secret.example') AS nobody;
UPDATE crm.lead SET email = 'hal@secret.example' WHERE external_id = 'columns';
UPDATE crm.lead SET email = 'back@x.example', external_id = 'back', profile = profile WHERE lead_id = :hal;
SELECT external_id, email FROM crm.lead WHERE external_id IN ('more', 'other', 'columns', 'Hal cookie') OR phone = '+4670123' OR lead_id = :hal ORDER BY 1;
SELECT (try.try($$SELECT crm.give_consent('hal@secret.example', 'policy')$$)).*;
-- it comes back by itself
SELECT crm.give_consent('hal@secret.example', 'policy', email => 'hal@secret.example', evidence => '{"form": "again"}') AS granted;
SELECT lead_id <> :hal AS another, email, crm.may_contact(external_id, 'email', transactional => true) AS receipt FROM crm.lead WHERE external_id = 'hal@secret.example';
SELECT * FROM try.try(format('SELECT crm.merge_leads_by_id(%s, crm.lead_id(''hal@secret.example''))', :hal)) t (code, message, hint) WHERE message ~ 'was forgotten$';

-- What is stored of somebody
SELECT jsonb_object_agg(key, CASE jsonb_typeof(value) WHEN 'array' THEN jsonb_array_length(value)::text ELSE jsonb_typeof(value) END) FROM jsonb_each(crm.export_lead('web-1'));
SELECT crm.export_lead('ann') -> 'lead' ->> 'email' AS email, crm.export_lead('nobody') AS nobody, crm.export_lead_by_id(:hal) -> 'lead' ->> 'email' AS forgotten;
SELECT * FROM crm.verify();

DROP SCHEMA crm, crm_reports, try CASCADE;
