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
