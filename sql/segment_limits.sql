--
-- Segments at their limits: many of them, and tables that were changed by hand
--
SET client_min_messages = warning;
SELECT active_model FROM leadscore.create_pipeline('crm', 'inbound');

-- A signal that stands for a condition on the lead says what the segment says
INSERT INTO crm.signal (signal, source, condition) VALUES ('seats', 'profile', '$.seats > 50');
INSERT INTO crm.segment (segment) VALUES ('big'), ('small');
INSERT INTO crm.segment_condition (segment, condition, lead_condition, negate) VALUES
    ('big', 'seats', '$.seats > 50', false), ('small', 'seats', '$.seats > 50', true);
SELECT crm.activate_segment('big'), crm.activate_segment('small');
UPDATE crm.signal SET condition = '$.seats > 5' WHERE signal = 'seats';
UPDATE crm.signal SET source = 'event', event_kinds = '{page_view}', condition = NULL WHERE signal = 'seats';
UPDATE crm.signal SET note = 'a remark' WHERE signal = 'seats';
UPDATE crm.signal SET condition = '$.seats > 5' WHERE signal = 'company_size';

-- Numbers of rows that a state does not know any more
INSERT INTO crm.lead (external_id, profile) VALUES ('a', '{"seats": 60}'), ('b', '{}');
UPDATE crm.lead SET profile = '{"seats": 7}' WHERE external_id = 'a';
SELECT seq, segment, is_member, cause FROM crm.segment_history WHERE lead_id = 1 ORDER BY seq;
SELECT leadscore.detach_pipeline('crm');
UPDATE crm.lead_state SET segments_seq = 1 WHERE lead_id = 1;
SELECT leadscore.attach_pipeline('crm');
SELECT * FROM crm.verify();
UPDATE crm.lead SET profile = '{"seats": 70}' WHERE external_id = 'a';
SELECT seq, segment, is_member, cause FROM crm.segment_history WHERE lead_id = 1 ORDER BY seq;

-- A definition that lacks the signal of a condition on the lead
SELECT leadscore.detach_pipeline('crm');
CREATE TABLE kept AS TABLE crm.segment_activation;
UPDATE crm.segment_activation SET definition = definition #- '{conditions,0,signal_id}' WHERE segment = 'big';
SELECT leadscore.attach_pipeline('crm');
UPDATE crm.segment_activation a SET definition = k.definition FROM kept k WHERE k.activation_id = a.activation_id;
SELECT leadscore.attach_pipeline('crm');
INSERT INTO crm.event (lead_id, kind) VALUES (1, 'page_view');
SELECT * FROM crm.verify();

-- Many segments: what a session keeps of a pipeline grows with their number, and
-- not with its square
INSERT INTO crm.segment (segment) SELECT 'segment ' || i FROM generate_series(1, 60) i;
INSERT INTO crm.segment_condition (segment, condition, signal, within)
SELECT 'segment ' || i, 'condition ' || j, 'page_view', make_interval(days => i + j)
FROM generate_series(1, 60) i, generate_series(1, 20) j;
SELECT count(crm.activate_segment('segment ' || i)) FROM generate_series(1, 60) i;
\c -
SET timezone = 'UTC';
INSERT INTO crm.event (lead_id, kind) VALUES (2, 'page_view');
SELECT count(*), sum(total_bytes) < 2500000 AS is_small FROM pg_backend_memory_contexts WHERE name = 'leadscore pipeline';
SELECT count(*) FROM crm.segment_members WHERE lead_id = 2;
SELECT count(crm.retire_segment('segment ' || i)) FROM generate_series(1, 60) i;
SELECT crm.sweep();
SELECT * FROM crm.verify();

DROP SCHEMA crm, crm_reports CASCADE;
DROP TABLE kept;
