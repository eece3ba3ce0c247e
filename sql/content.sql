--
-- Contents: what events that name one count for, and what a change of a content does.
--
SET timezone = 'UTC';
SELECT leadscore.create_pipeline('crm') \g /dev/null
SET search_path = crm, crm_reports, leadscore;

-- An event that says no intent has that of the content that it names
INSERT INTO content (content, title, kind, intent, topic, stage) VALUES
    ('guide', 'Brewing at home', 'ebook', 'educational', 'brewing', 'iql'),
    ('plan', 'Coffee for fifty', 'checklist', 'solution', 'office', 'mql'),
    ('7', NULL, 'other', 'solution', NULL, NULL);
INSERT INTO lead (lead_id, email, consented_at, created_at) SELECT n, 'a@b.example', '2025-01-01', '2025-01-01' FROM generate_series(1, 8) n;
-- two looks at a product are 30 points, a download 5 more: what is missing is a look at a solution
INSERT INTO event (lead_id, kind, occurred_at) SELECT n, 'product_page_view', '2025-01-02 09:00' FROM generate_series(1, 8) n, generate_series(1, 2);
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES
    (1, 'content_download', '2025-01-02 10:00', '{"content": "plan"}'),
    (2, 'content_download', '2025-01-02 10:00', '{"content": "guide"}'),
    -- the event's own word wins
    (3, 'content_download', '2025-01-02 10:00', '{"content": "plan", "intent": "educational"}'),
    (4, 'content_download', '2025-01-02 10:00', '{"content": "guide", "intent": "solution"}'),
    -- null is no word
    (5, 'content_download', '2025-01-02 10:00', '{"content": "plan", "intent": null}'),
    -- not known, and none
    (6, 'content_download', '2025-01-02 10:00', '{"content": "map"}'),
    (7, 'content_download', '2025-01-02 10:00', NULL),
    -- a number names a content as text does
    (8, 'content_download', '2025-01-02 10:00', '{"content": 7}');
CREATE VIEW solution AS
    SELECT lead_id, EXISTS (SELECT FROM leadscore.unnest(s.activity) c JOIN signal USING (signal_id) WHERE signal = 'solution_content') AS counted, stage_at_by_id(lead_id, '2025-01-03') AS stage FROM lead_state s;
SELECT * FROM solution ORDER BY 1;

-- A change of what signals ask for counts past events again, at the next write or by a sweep
CREATE TABLE before AS SELECT configuration, signals_configuration FROM setting;
CREATE FUNCTION leads_are_behind() RETURNS boolean LANGUAGE plpgsql SET search_path = crm, pg_catalog AS $$
DECLARE
    behind boolean := (SELECT s.signals_configuration > b.signals_configuration FROM setting s, before b);
BEGIN
    UPDATE before SET (configuration, signals_configuration) = (SELECT s.configuration, s.signals_configuration FROM setting s);
    RETURN behind;
END
$$;
INSERT INTO content (content, kind, intent) VALUES ('map', 'template', 'solution');
SELECT leads_are_behind();
INSERT INTO event (lead_id, kind, occurred_at) VALUES (6, 'page_view', '2025-01-02 11:00');
SELECT * FROM solution WHERE lead_id = 6;
UPDATE content SET intent = CASE content WHEN 'plan' THEN 'educational' ELSE 'solution' END;
SELECT leads_are_behind();
SELECT sweep();
SELECT * FROM solution ORDER BY 1;
SELECT count(*) AS wrong FROM verify();
-- renamed, deleted, truncated
UPDATE content SET content = 'guide 2' WHERE content = 'guide';
SELECT leads_are_behind(), sweep();
SELECT * FROM solution WHERE counted ORDER BY 1;
DELETE FROM content WHERE content = 'map';
SELECT leads_are_behind(), sweep();
SELECT * FROM solution WHERE counted ORDER BY 1;
TRUNCATE content;
SELECT leads_are_behind(), sweep();
SELECT * FROM solution WHERE counted ORDER BY 1;
SELECT count(*) AS wrong FROM verify();

-- Nothing puts leads behind that changes no count: contents that no event names, titles,
-- a column that no signal asks for, a statement that changes nothing
INSERT INTO content (content, kind, intent) VALUES ('new', 'ebook', 'solution'), (repeat('x', 100), 'video', 'solution');
UPDATE content SET intent = 'educational' WHERE content = 'new';
UPDATE content SET content = 'newer' WHERE content = 'new';
DELETE FROM content WHERE content = 'newer';
SELECT leads_are_behind();
INSERT INTO content (content, kind, intent) VALUES ('plan', 'ebook', 'solution');
SELECT leads_are_behind();
UPDATE content SET title = 'x', url = 'https://example', note = 'n', language = 'de', active = NOT active;
UPDATE content SET kind = 'video', topic = 'office', stage = 'sql', persona = 'owner';
UPDATE content SET intent = intent;
DELETE FROM content WHERE content = 'no such';
SELECT leads_are_behind();
-- a signal that asks for the kind: from now on a change of that counts too
INSERT INTO signal (signal, event_role, condition) VALUES ('video', 'download', '$content_kind == "video"');
SELECT leads_are_behind();
UPDATE content SET kind = 'ebook' WHERE content = 'plan';
SELECT leads_are_behind();
UPDATE content SET topic = 'machines' WHERE content = 'plan';
SELECT leads_are_behind();
DELETE FROM signal WHERE signal = 'video';
-- no signal asks for any
UPDATE signal SET condition = '$.intent == "solution"' WHERE signal = 'solution_content';
SELECT leads_are_behind();
UPDATE content SET intent = 'educational' WHERE content = 'plan';
SELECT leads_are_behind();
-- a name in an event that is longer than the index holds
INSERT INTO signal (signal, event_kinds, condition, quantity) VALUES
    ('any content', NULL, '$content_kind == "webinar" && $content_topic == "t" && $content_intent == "solution" && $content_stage == "sql" && $content_persona == "p"', NULL),
    ('counted', '{content_download}', NULL, '$content_persona.double()');
INSERT INTO content (content, kind, topic, intent, stage, persona) VALUES ('all', 'webinar', 't', 'solution', 'sql', 'p'), ('three', 'other', NULL, NULL, NULL, '3');
SELECT signal, count FROM (VALUES ('{"content": "all"}'), ('{"content": "three"}'), ('{"content": ["all"]}'), ('"all"'), ('["content", "all"]'), ('{"content": true}'), (NULL)) AS v (properties),
    LATERAL leadscore_internal.event_signals(ROW(1, 1, 'content_download', '2025-01-01', '2025-01-01', NULL, NULL, NULL, v.properties::jsonb, NULL)::event) JOIN signal USING (signal_id) WHERE signal IN ('any content', 'counted');
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES (1, 'download', '2025-01-04', jsonb_build_object('content', repeat('long ', 100000)));
SELECT count(*) AS wrong FROM verify();

-- A column of event of that name is the variable; what is no column of content is none
BEGIN;
ALTER TABLE event ADD COLUMN content_kind text DEFAULT 'mine';
INSERT INTO signal (signal, event_kinds, condition) VALUES ('mine', '{x}', '$content_kind == "mine"');
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES (2, 'x', '2025-01-04', '{"content": "all"}');
SELECT count(*) FROM lead_state s, leadscore.unnest(s.activity) JOIN signal USING (signal_id) WHERE signal = 'mine';
ROLLBACK;
INSERT INTO signal (signal, event_kinds, condition) VALUES ('bad', '{x}', '$content_title == "x"');
INSERT INTO signal (signal, source, condition) VALUES ('bad', 'profile', '$content_kind == "x"');

-- Contents that are none
INSERT INTO content (content, kind) VALUES ('x', 'book');
INSERT INTO content (content, kind, intent) VALUES ('x', 'ebook', 'buy');
INSERT INTO content (content, kind) VALUES (repeat('x', 101), 'ebook');
INSERT INTO content (content, kind) VALUES ('', 'ebook');
INSERT INTO content (content, kind, stage) VALUES ('x', 'ebook', 'warm');
DROP SCHEMA crm, crm_reports CASCADE;

-- What to offer to whom
SELECT leadscore.create_pipeline('crm') \g /dev/null
INSERT INTO content (content, title, kind, topic, intent, stage, persona, language, active) VALUES
    ('guide', 'Brewing at home', 'ebook', 'brewing', 'educational', 'iql', NULL, NULL, true),
    ('office guide', NULL, 'ebook', 'office', 'educational', 'iql', NULL, NULL, true),
    ('for owners', NULL, 'checklist', NULL, NULL, 'iql', 'cafe owner', NULL, true),
    ('anleitung', NULL, 'ebook', 'brewing', 'educational', 'iql', NULL, 'de', true),
    ('old', NULL, 'ebook', 'brewing', NULL, 'iql', NULL, NULL, false),
    ('newsletter', NULL, 'other', NULL, NULL, NULL, NULL, NULL, true),
    ('ten percent', NULL, 'discount', NULL, 'solution', 'sql', NULL, NULL, true);
-- 1 owner, English; 2 German; 3 without consent to messages; 4 an sql; 5 lost; 6 forgotten; 7 nothing left but the newsletter
INSERT INTO lead (lead_id, external_id, email, consented_at, contact_allowed, persona, language, created_at)
    SELECT n, 'lead ' || n, n || '@b.example', '2025-01-01', n <> 3, CASE n WHEN 1 THEN 'cafe owner' END, CASE n WHEN 2 THEN 'de' ELSE 'en' END, '2025-01-01' FROM generate_series(1, 7) n;
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES
    (1, 'page_view', '2025-01-02', '{"topic": "office"}'),
    (2, 'content_download', '2025-01-02', '{"content": "guide"}'),
    (4, 'stage_set', '2025-01-02', '{"stage": "sql"}'),
    (5, 'lost', '2025-01-02', NULL),
    (7, 'email_sent', '2025-01-02', '{"content": "guide", "message": "m"}'),
    (7, 'content_download', '2025-01-02', '{"content": "office guide"}');
-- a person called like a content and a form: these are ours, a remark is not
UPDATE lead SET profile = '{"name": "Office"}' WHERE lead_id = 6;
INSERT INTO form_field (form, field, position) VALUES ('office form', 'email', 1);
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES
    (6, 'content_download', '2025-01-02 10:00', '{"content": "office guide", "form": "office form"}'),
    (6, 'content_download', '2025-01-02 11:00', '{"content": "for Office only", "form": "Office asks"}');
SELECT forget_lead('lead 6');
SELECT properties FROM event WHERE lead_id = 6 ORDER BY occurred_at;
DELETE FROM form_field WHERE form = 'office form';
DELETE FROM event WHERE lead_id = 6;
SELECT add_action('lead 7', 'email', 'newsletter') > 0 AS added;
-- 1: looked at office; what is for owners before what is for all. 2: had the guide, so of brewing the German one
SELECT position, content, title, kind, topic, intent, of_interest FROM suggested_content('lead 1', 10);
SELECT position, content, of_interest FROM suggested_content('lead 2');
SELECT content FROM suggested_content('lead 1', 1);
-- before its visit and its download
SELECT position, content, of_interest FROM suggested_content('lead 1', 10, '2025-01-01 12:00');
SELECT position, content, of_interest FROM suggested_content('lead 2', 10, '2025-01-01 12:00');
-- before it was an sql, and before it was known
SELECT content FROM suggested_content('lead 4');
SELECT count(*) FROM suggested_content('lead 4', 10, '2025-01-01 12:00');
SELECT count(*) FROM suggested_content('lead 4', 10, '2024-01-01');
SELECT n, count(c.content) FROM unnest('{3,5,6,7,8}'::bigint[]) n LEFT JOIN suggested_content_by_id(n) c ON true GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM (SELECT * FROM suggested_content('nobody') UNION ALL SELECT * FROM suggested_content(NULL)) s;
SELECT * FROM suggested_content('lead 1', 0);
SELECT * FROM suggested_content('lead 1', NULL);
SELECT * FROM suggested_content('lead 1', at => 'infinity');
SELECT lead_id, position, content, kind, of_interest, stage, persona FROM content_suggestions ORDER BY 1, 2;
-- one lead and all leads say the same
SELECT count(*) AS differ FROM content_suggestions v FULL JOIN (SELECT l.lead_id, s.position, s.content FROM lead l, LATERAL suggested_content_by_id(l.lead_id) s) f USING (lead_id, position, content) WHERE v.lead_id IS NULL OR f.lead_id IS NULL;
-- offers and topics know the contents
SELECT lead_id, first_offer, first_offer_kind, last_offer_kind, last_offer_topic FROM lead_offers ORDER BY 1;
SELECT topic, events, leads FROM interest_by_topic ORDER BY 1;
-- a step of a sequence that names a content which is not there
INSERT INTO sequence (sequence, starts_on) VALUES ('s', 'by_hand');
INSERT INTO sequence_step (sequence, step, position, channel, content) VALUES ('s', 'one', 1, 'email', 'guide'), ('s', 'two', 2, 'email', 'gide'), ('s', 'three', 3, 'email', NULL);
SELECT leads_now FROM sequence_preview('s');
UPDATE sequence_step SET content = 'guide' WHERE step = 'two';
SELECT leads_now FROM sequence_preview('s');

-- Forms that ask a little more each time
INSERT INTO form_field (form, field, position, required, profile_key, ask_after, ask_from, question) VALUES
    ('guide', 'job', 1, false, 'job_title', 1, NULL, 'What do you do?'),
    ('guide', 'name', 2, true, NULL, 0, NULL, 'Your name'),
    ('guide', 'mail', 3, true, 'email', 0, NULL, NULL),
    ('guide', 'company', 4, false, 'organization', 0, NULL, NULL),
    ('guide', 'size', 5, false, 'employees', 2, NULL, NULL),
    ('guide', 'budget', 6, false, NULL, 0, 'mql', NULL),
    ('trial', 'role', 1, false, 'job_title', 0, NULL, NULL),
    ('trial', 'taste', 2, false, NULL, 0, NULL, NULL);
-- nobody in particular: name and e-mail first
SELECT * FROM next_fields(NULL, 'guide');
SELECT field FROM next_fields('stranger', 'guide', 10);
-- known by its address; then by name too
INSERT INTO lead (lead_id, external_id, email, consented_at, created_at) VALUES (11, 'ann', 'ann@b.example', '2025-01-01', '2025-01-01');
SELECT field FROM next_fields('ann', 'guide');
UPDATE lead SET profile = '{"name": "Ann", "job_title": "", "employees": null}' WHERE lead_id = 11;
SELECT field FROM next_fields('ann', 'guide');
-- it sends forms: one, and a request by another one, which names its fields
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES (11, 'form_submit', '2025-01-03', '{"form": "guide", "fields": 2}');
SELECT field, question FROM next_fields('ann', 'guide');
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES (11, 'quote_request', '2025-01-04', '{"form": "trial", "fields": ["role"]}');
SELECT field FROM next_fields('ann', 'guide', 10);
SELECT field FROM next_fields_by_id(11, 'trial', 10);
-- an answer that is empty is none
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES (11, 'form_submit', '2025-01-05', '{"form": "trial", "fields": {"taste": ""}}');
SELECT field FROM next_fields('ann', 'trial', 10);
UPDATE event SET properties = '{"form": "trial", "fields": {"taste": "dark"}}' WHERE occurred_at = '2025-01-05';
SELECT field FROM next_fields('ann', 'trial', 10);
-- an mql is asked for its budget
INSERT INTO event (lead_id, kind, occurred_at, properties) VALUES (11, 'stage_set', '2025-01-06', '{"stage": "mql"}');
UPDATE lead SET organization = 'Alder Books', profile = profile || '{"employees": 12}' WHERE lead_id = 11;
SELECT field FROM next_fields('ann', 'guide', 10);
-- no such form, no room
SELECT * FROM next_fields('ann', 'gide');
SELECT * FROM next_fields('ann', NULL);
SELECT * FROM next_fields('ann', 'guide', 0);
INSERT INTO form_field (form, field, position) VALUES ('x', 'a', 0);
INSERT INTO form_field (form, field, position, ask_after) VALUES ('x', 'a', 1, -1);
INSERT INTO form_field (form, field, position) VALUES ('x', 'a', 1), ('x', 'b', 1);

-- Variants of a page: 20 contacts landed on a, of which 4 became leads; 20 on b, of which 8 did; 2 saw no variant
TRUNCATE event;
DELETE FROM lead;
INSERT INTO lead (lead_id, email, consented_at, created_at)
    SELECT n, CASE WHEN n % 20 < d.leads THEN n || '@b.example' END, CASE WHEN n % 20 < d.leads THEN timestamptz '2025-01-01 10:00' END, '2025-01-01 10:00'
    FROM generate_series(0, 41) n, LATERAL (SELECT CASE n / 20 WHEN 0 THEN 4 WHEN 1 THEN 8 ELSE 0 END) d (leads);
INSERT INTO event (lead_id, kind, occurred_at, properties)
    SELECT n, 'page_view', timestamptz '2025-01-01 10:00', jsonb_build_object('page', '/fair', 'variant', CASE WHEN n < 20 THEN 'a' ELSE 'b' END) FROM generate_series(0, 39) n
    UNION ALL SELECT n, 'page_view', timestamptz '2025-01-01 10:00', '{"page": "/fair"}' FROM generate_series(40, 41) n
    -- a later visit is no landing
    UNION ALL SELECT n, 'page_view', timestamptz '2025-01-01 11:00', '{"page": "/fair", "variant": "b"}' FROM generate_series(0, 39) n
    UNION ALL SELECT n, 'form_submit', timestamptz '2025-01-03', '{"form": "guide"}' FROM generate_series(0, 39) n WHERE n % 20 < 4;
SELECT page, variant, baseline, landed, form_submitted, leads, customers, lead_rate, ratio_to_baseline, difference_rate FROM landing_page_variants ORDER BY 1, 2;
-- Wilson of 4 and 8 of 20, Newcombe of their difference, z pooled, from their formulas
WITH w AS (
    SELECT v, x / 20.0::float8 AS p, (x / 20.0::float8 + z * z / 40) / (1 + z * z / 20) AS mid, z * sqrt(x / 20.0::float8 * (1 - x / 20.0::float8) / 20 + z * z / 1600) / (1 + z * z / 20) AS half
    FROM (VALUES ('a', 4), ('b', 8)) AS n (v, x), (VALUES (1.959963984540054::float8)) AS q (z)
)
SELECT r.variant, abs(r.low_rate - (w.mid - w.half)) < 1e-6 AS low, abs(r.high_rate - (w.mid + w.half)) < 1e-6 AS high,
    abs(r.difference_low_rate - (w.p - a.p - sqrt((w.p - w.mid + w.half) ^ 2 + (a.mid + a.half - a.p) ^ 2))) < 1e-6 AS difference_low,
    abs(r.difference_high_rate - (w.p - a.p + sqrt((w.mid + w.half - w.p) ^ 2 + (a.p - a.mid + a.half) ^ 2))) < 1e-6 AS difference_high,
    abs(r.z_score - 0.2 / sqrt(0.3 * 0.7 * 2 / 20)) < 1e-6 AS z
FROM landing_page_variants r JOIN w ON w.v = r.variant CROSS JOIN w a WHERE a.v = 'a' ORDER BY 1;
SELECT sum(landed) = (SELECT sum(landed) FROM landing_pages) AS landed, sum(leads) = (SELECT sum(leads) FROM landing_pages) AS leads FROM landing_page_variants;
DROP SCHEMA crm, crm_reports CASCADE;
