--
-- The segments of the presets: leads that are in and leads that are just not
--
CREATE TABLE preset (preset text);
INSERT INTO preset VALUES ('inbound'), ('enterprise'), ('multidimensional');
SELECT pipeline, active_model FROM preset, leadscore.create_pipeline(preset, preset);

-- Drafts: no lead is in them, and each can be activated alone
SELECT segment, status, persona, ideal_customer, min_match_share, note FROM inbound.segment ORDER BY segment_id;
SELECT count(*) FROM (TABLE inbound.segment_condition UNION ALL TABLE enterprise.segment_condition UNION ALL TABLE multidimensional.segment_condition) c
WHERE in_segment IS NOT NULL;
DO $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT preset, segment FROM preset, unnest('{cold,curious,ready_to_buy,quiet_customers,ideal_customer}'::text[]) segment LOOP
        BEGIN
            EXECUTE format('SELECT %I.activate_segment(%L)', r.preset, r.segment);
            RAISE EXCEPTION USING ERRCODE = 'ZZ000';
        EXCEPTION WHEN SQLSTATE 'ZZ000' THEN
        END;
    END LOOP;
END
$$;
-- and all of them in any order; before there is a lead, so they hold for all the past
SELECT count(inbound.activate_segment(s)) FROM unnest('{cold,curious,ready_to_buy,quiet_customers,ideal_customer}'::text[]) s;
SELECT count(enterprise.activate_segment(s)) FROM unnest('{ideal_customer,quiet_customers,ready_to_buy,curious,cold}'::text[]) s;
SELECT count(multidimensional.activate_segment(s)) FROM unnest('{quiet_customers,cold,ideal_customer,curious,ready_to_buy}'::text[]) s;

-- What leads did. A stage behind a kind: it was set by hand at that time.
CREATE TABLE did (lead text, kind text, at timestamptz, stage text);
INSERT INTO did VALUES
    ('iql', 'newsletter_signup', '2023-03-01 10:00Z', NULL),
    ('visitor', 'newsletter_signup', '2023-03-01 10:00Z', NULL),
    ('mql', 'newsletter_signup', '2023-03-01 10:00Z', NULL), ('mql', 'stage_set', '2023-03-01 10:00Z', 'mql'),
    ('sql', 'case_study_download', '2023-03-01 10:00Z', NULL), ('sql', 'stage_set', '2023-03-01 11:00Z', 'sql'),
    ('prospect', 'newsletter_signup', '2023-03-01 10:00Z', NULL), ('prospect', 'stage_set', '2023-03-01 10:00Z', 'prospect'),
    ('lost', 'case_study_download', '2023-03-01 10:00Z', NULL), ('lost', 'lost', '2023-03-02 10:00Z', NULL),
    ('mql asks', 'quote_request', '2023-03-01 10:00Z', NULL), ('mql asks', 'stage_set', '2023-03-01 10:00Z', 'mql'),
    ('twice prices', 'stage_set', '2023-03-01 10:00Z', 'mql'),
    ('twice prices', 'pricing_view', '2023-03-01 10:00Z', NULL), ('twice prices', 'pricing_view', '2023-03-05 10:00Z', NULL),
    ('often prices', 'stage_set', '2023-03-01 10:00Z', 'mql'), ('often prices', 'pricing_view', '2023-03-01 10:00Z', NULL),
    ('often prices', 'pricing_view', '2023-03-03 10:00Z', NULL), ('often prices', 'pricing_view', '2023-03-05 10:00Z', NULL),
    ('slow prices', 'stage_set', '2023-03-01 10:00Z', 'mql'), ('slow prices', 'pricing_view', '2023-03-01 10:00Z', NULL),
    ('slow prices', 'pricing_view', '2023-03-03 10:00Z', NULL), ('slow prices', 'pricing_view', '2023-03-08 10:00Z', NULL),
    ('buyer', 'purchase', '2023-01-01 10:00Z', NULL),
    ('advocate', 'purchase', '2023-01-01 10:00Z', NULL), ('advocate', 'stage_set', '2023-01-02 10:00Z', 'advocate'),
    ('churned', 'purchase', '2023-01-01 10:00Z', NULL), ('churned', 'lost', '2023-02-01 10:00Z', NULL),
    ('opens mail', 'purchase', '2023-01-01 10:00Z', NULL), ('opens mail', 'email_open', '2023-02-01 10:00Z', NULL),
    ('is only called', 'purchase', '2023-01-01 10:00Z', NULL), ('is only called', 'outreach', '2023-02-01 10:00Z', NULL),
    ('buys again', 'purchase', '2023-01-01 10:00Z', NULL), ('buys again', 'purchase', '2023-02-01 10:00Z', NULL);
-- the same with every kind of event that counts
INSERT INTO did
SELECT 'took ' || kind, kind, '2023-03-01 10:00Z', NULL
FROM unnest('{case_study_download,content_download,webinar_attended,pricing_view,demo_request,personal_demo_request,quote_request,trial_started}'::text[]) kind;
INSERT INTO did
SELECT 'customer did ' || kind, k, at, NULL
FROM unnest('{page_view,product_page_view,pricing_view,case_study_download,content_download,webinar_attended,form_submit,email_open,email_click,email_reply,newsletter_signup,social_interaction,demo_request,personal_demo_request,quote_request,trial_started}'::text[]) kind,
    LATERAL (VALUES ('purchase', timestamptz '2023-01-01 10:00Z'), (kind, '2023-02-01 10:00Z')) v (k, at);

-- Who is in what when, by the words of the notes: within 30 days of 1 March is
-- up to 30 March, as an event counts fully for its day.
CREATE TABLE expected (lead text, segment text, at timestamptz, member boolean);
INSERT INTO expected VALUES
    ('iql', 'cold', '2023-03-01 09:59Z', false), ('iql', 'cold', '2023-03-01 10:00Z', true), ('iql', 'cold', '2023-12-01Z', true),
    ('iql', 'curious', '2023-03-02Z', false), ('iql', 'ready_to_buy', '2023-03-02Z', false),
    ('visitor', 'cold', '2023-03-02Z', false),
    ('took content_download', 'cold', '2023-03-02Z', true), ('took content_download', 'curious', '2023-03-02Z', false),
    ('mql', 'cold', '2023-03-02Z', false), ('mql', 'curious', '2023-03-02Z', false), ('mql', 'ready_to_buy', '2023-03-02Z', false),
    ('sql', 'curious', '2023-03-01 10:59Z', true), ('sql', 'curious', '2023-03-01 11:00Z', false),
    ('sql', 'ready_to_buy', '2023-03-01 10:59Z', false), ('sql', 'ready_to_buy', '2023-03-01 11:00Z', true), ('sql', 'ready_to_buy', '2023-12-01Z', true),
    ('prospect', 'ready_to_buy', '2023-12-01Z', true),
    ('lost', 'cold', '2023-05-02Z', false), ('lost', 'curious', '2023-03-02 09:59Z', true), ('lost', 'curious', '2023-03-02 10:00Z', false),
    ('took quote_request', 'ready_to_buy', '2023-03-02Z', false),
    ('mql asks', 'ready_to_buy', '2023-03-14 23:59:59Z', true), ('mql asks', 'ready_to_buy', '2023-03-15 00:00Z', false),
    ('twice prices', 'ready_to_buy', '2023-03-05 12:00Z', false),
    ('often prices', 'ready_to_buy', '2023-03-05 09:59Z', false), ('often prices', 'ready_to_buy', '2023-03-05 10:00Z', true),
    ('often prices', 'ready_to_buy', '2023-03-07 23:59:59Z', true), ('often prices', 'ready_to_buy', '2023-03-08 00:00Z', false),
    ('slow prices', 'ready_to_buy', '2023-03-08 12:00Z', false),
    ('buyer', 'quiet_customers', '2023-03-01 23:59:59Z', false), ('buyer', 'quiet_customers', '2023-03-02 00:00Z', true),
    ('buyer', 'quiet_customers', '2023-12-31 23:59:59Z', true), ('buyer', 'quiet_customers', '2024-01-01 00:00Z', false),
    ('buyer', 'ready_to_buy', '2023-01-02Z', false), ('buyer', 'cold', '2023-03-02Z', false),
    ('advocate', 'quiet_customers', '2023-03-02Z', true),
    ('churned', 'quiet_customers', '2023-03-02Z', false),
    ('opens mail', 'quiet_customers', '2023-04-01 23:59:59Z', false), ('opens mail', 'quiet_customers', '2023-04-02 00:00Z', true),
    ('is only called', 'quiet_customers', '2023-03-02 00:00Z', true),
    ('buys again', 'quiet_customers', '2023-04-01 23:59:59Z', false), ('buys again', 'quiet_customers', '2023-04-02 00:00Z', true),
    ('buys again', 'quiet_customers', '2024-01-31 23:59:59Z', true), ('buys again', 'quiet_customers', '2024-02-01 00:00Z', false);
INSERT INTO expected
SELECT DISTINCT lead, v.* FROM did, (VALUES
    ('cold', timestamptz '2023-03-30 23:59:59Z', false), ('cold', '2023-03-31 00:00Z', true),
    ('curious', '2023-03-30 23:59:59Z', true), ('curious', '2023-03-31 00:00Z', false)) v
WHERE lead LIKE 'took %' AND lead <> 'took content_download';
INSERT INTO expected
SELECT DISTINCT lead, 'quiet_customers', v.* FROM did, (VALUES
    (timestamptz '2023-03-02 00:00Z', false), ('2023-04-01 23:59:59Z', false), ('2023-04-02 00:00Z', true)) v
WHERE lead LIKE 'customer did %';

CREATE TABLE answer (preset text, lead text, segment text, at timestamptz, member boolean);
CREATE PROCEDURE play(pipeline text, known_before interval) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format($play$
        INSERT INTO %1$I.lead (external_id, email, consented_at, created_at, updated_at)
            SELECT lead, CASE WHEN lead <> 'visitor' THEN 'x@mail.example' END, min(at) - $1, min(at) - $1, min(at) - $1 FROM did GROUP BY lead;
        INSERT INTO %1$I.event (lead_id, kind, occurred_at, properties)
            SELECT %1$I.lead_id(lead), kind, at, CASE WHEN stage IS NOT NULL THEN jsonb_build_object('stage', stage) END FROM did;
        $play$, pipeline) USING known_before;
END
$$;
CREATE PROCEDURE ask(pipeline text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('INSERT INTO answer SELECT %L, lead, segment, at, %1$I.in_segment(lead, segment, at) FROM expected', pipeline);
END
$$;
CALL play('inbound', '0');
CALL play('enterprise', '1 second');
CALL play('multidimensional', '1 second');
CALL ask('inbound');
CALL ask('enterprise');
CALL ask('multidimensional');
SELECT count(*) > 90 AS asked FROM expected;
SELECT a.*, e.member AS expected FROM answer a JOIN expected e USING (lead, segment, at) WHERE a.member IS DISTINCT FROM e.member;

-- A sweep records what time did, and changes no answer
TRUNCATE answer;
-- (leads of inbound were replayed, as their first events took them out of the segment cold again)
SELECT enterprise.sweep() > 0 AND multidimensional.sweep() > 0 AS swept;
CALL ask('inbound');
CALL ask('enterprise');
CALL ask('multidimensional');
SELECT a.*, e.member AS expected FROM answer a JOIN expected e USING (lead, segment, at) WHERE a.member IS DISTINCT FROM e.member;
SELECT lead_id, problem FROM inbound.verify() UNION ALL SELECT lead_id, problem FROM enterprise.verify() UNION ALL SELECT lead_id, problem FROM multidimensional.verify();
SET timezone = 'UTC';
SELECT external_id, segment, is_member, effective_at, cause FROM inbound.segment_history JOIN inbound.lead USING (lead_id)
WHERE external_id IN ('sql', 'took trial_started', 'buys again') ORDER BY lead_id, seq;

-- The ideal customer: of ten, decision maker and company are three each, need
-- two, budget and not to be a student one
CREATE TABLE person (person text, title text, large boolean, need boolean, budget boolean, match_share numeric);
INSERT INTO person VALUES
    ('all', 'Head of sales', true, true, true, 1),
    ('nobody', 'clerk', false, false, false, 0.1),
    ('student', 'student', false, false, false, 0),
    ('stranger', NULL, NULL, NULL, NULL, 0.1),
    ('by profile', 'CEO', true, false, false, 0.7),
    ('asks for it', 'clerk', true, true, true, 0.7),
    ('small company', 'CEO', false, true, true, 0.7),
    ('no money', 'clerk', true, true, false, 0.6),
    ('small and no money', 'CEO', false, true, false, 0.6),
    ('trainee', 'assistant of the CEO, trainee', true, false, false, 0.6);
CREATE PROCEDURE meet(pipeline text, employees integer) LANGUAGE plpgsql AS $$
DECLARE
    r record;
BEGIN
    EXECUTE format($meet$
        INSERT INTO %1$I.lead (external_id, created_at, profile)
            SELECT person, '2023-03-01', jsonb_strip_nulls(jsonb_build_object('job_title', title,
                'employees', CASE WHEN large THEN $1 ELSE $1 - 1 END, 'need', need, 'budget', budget)) FROM person
        $meet$, pipeline) USING employees;
    FOR r IN EXECUTE format('SELECT p.person, p.match_share AS expected, m.* FROM person p LEFT JOIN %I.persona_match(person) m ON true', pipeline) LOOP
        IF (r.persona, r.is_ideal_customer, r.match_share, r.is_member) IS DISTINCT FROM ('ideal_customer', true, r.expected, r.expected >= 0.7) THEN
            RAISE WARNING '%: %', pipeline, r;
        END IF;
    END LOOP;
END
$$;
CALL meet('inbound', 50);
CALL meet('enterprise', 100);
CALL meet('multidimensional', 50);
SELECT external_id, entered_at FROM inbound.segment_members JOIN inbound.lead USING (lead_id) WHERE segment = 'ideal_customer' ORDER BY lead_id;
SELECT external_id, entered_at FROM enterprise.segment_members JOIN enterprise.lead USING (lead_id) WHERE segment = 'ideal_customer' ORDER BY lead_id;
SELECT condition, asks, has, met, weight FROM enterprise.explain_segment('asks for it', 'ideal_customer');
SELECT condition, asks, has, met FROM inbound.explain_segment('took quote_request', 'ready_to_buy');

SELECT leadscore.drop_pipeline(preset) FROM preset;
DROP TABLE preset, did, expected, answer, person;
DROP PROCEDURE play, ask, meet;
