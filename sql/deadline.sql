--
-- A date by which a lead wants to be ready: a column, a gate, and never an error
--
CREATE ROLE leadscore_reader;
SELECT leadscore.create_pipeline('crm') \g /dev/null
SET search_path = crm, crm_reports, leadscore, leadscore_internal;
SET timezone = 'UTC';
SET datestyle = 'ISO';

-- What is a date and what is not. In Madrid it is an hour later than in UTC in
-- winter, and two hours in summer; on 2026-03-29 02:30 there was no such time
SELECT v, iso_instant(v, 'Europe/Madrid') FROM unnest(ARRAY[
    '2026-01-15', '2026-07-15', '2026-07-15T10:30', '2026-07-15 10:30:15', '2026-07-15T10:30:15.25', '2026-07-15T10:30:15.123456789',
    '2026-07-15T10:30Z', '2026-07-15T10:30 Z', '2026-07-15T10:30:15+02:00', '2026-07-15T10:30:15-0330', '2026-07-15 10:30+05',
    '2026-03-29T02:30', '2024-02-29', '2000-02-29', '0001-01-03', '9999-12-28']) v;
SET datestyle = 'German, DMY';
SELECT iso_instant('2026-07-15', 'UTC') = timestamptz '2026-07-15 00:00Z' AS whatever_datestyle;
SET datestyle = 'ISO';
SELECT v FROM unnest(ARRAY['', ' ', 'soon', 'now', 'tomorrow', 'infinity', '-infinity', 'epoch', '2026', '2026-07', '2026-7-15', '20260715', '15.07.2026', '07/15/2026',
    ' 2026-07-15', '2026-07-15 ', '2026-07-15T', '2026-07-15T10', '2026-07-15T24:00', '2026-07-15T10:60', '2026-07-15T10:30:60', '2026-07-15T10:30:15.', '2026-07-15T10:30+',
    '2026-07-15T10:30+1', '2026-07-15T10:30+16:00', '2026-07-15T10:30+01:60', '2026-07-15T10:30 CET', '2026-07-15T10:30Zulu', '2026-00-15', '2026-13-15', '2026-07-00', '2026-02-31',
    '2026-04-31', '2026-02-29', '1900-02-29', '0000-01-01', '0001-01-01', '9999-12-31', '12026-07-15', '-2026-07-15', '2026-07-15 BC', '2026-07-15\u0000', E'2026-07-15\n', repeat('2', 100000)]) v
    WHERE iso_instant(v, 'UTC') IS NOT NULL;
SELECT iso_instant(NULL, 'UTC'), iso_instant('2026-07-15', NULL);
-- each day of some centuries and no other, as PostgreSQL counts them
SELECT count(*) AS days, count(*) = date '2401-01-01' - date '1899-01-01' AS all_days, bool_and(v::timestamptz = i) AS same
    FROM generate_series(1899, 2400) y, generate_series(0, 13) m, generate_series(0, 32) d, LATERAL format('%s-%s-%s', y, lpad(m::text, 2, '0'), lpad(d::text, 2, '0')) v, LATERAL iso_instant(v, 'UTC') i WHERE i IS NOT NULL;

-- Anything may be in a profile, however it is written
CREATE TABLE given (n integer, deadline jsonb);
INSERT INTO given
    SELECT row_number() OVER (), v::jsonb
    FROM unnest(ARRAY['"2031-05-02"', '"2031-05-02T10:00:00+02:00"', '"soon"', '"2026-02-31"', '20310502', '["2031-05-02"]', '{"on": "2031-05-02"}', '1e400', '-1e-400', 'true', 'null', '""',
        '"2031-05-02T10:00 or so"', '"9999-12-31"', to_jsonb(repeat('9', 100000))::text]) v;
INSERT INTO lead (external_id, email, consented_at, profile)
    SELECT 'insert ' || n, n || '@mail.example', '2026-01-01Z', jsonb_build_object('deadline', deadline, 'budget', true, 'authority', true, 'need', true) FROM given;
SELECT count(upsert_lead('upsert ' || n, n || '@mail.example', jsonb_build_object('deadline', deadline), consent => true)) FROM given;
SELECT count(t.*) FROM given, track('insert ' || n, 'points_added', value => 80) t;
SELECT count(t.*) FROM given, track('insert ' || n, 'demo_request', profile => jsonb_build_object('deadline', deadline, 'more', n)) t;
UPDATE lead SET profile = profile || '{"seen": true}';
INSERT INTO lead (external_id, profile) VALUES ('silent', '{}');
UPDATE setting SET time_zone = 'Europe/Madrid';
-- the gate looks at the day, and as in all conditions one of a list is enough;
-- the column is NULL if any of it cannot be read
SELECT left(g.deadline::text, 30) AS deadline, h.stage, h.deadline_at, d.deadline_at IS NOT DISTINCT FROM h.deadline_at AS same
    FROM given g JOIN hot_leads h ON h.external_id = 'insert ' || g.n JOIN lead_dim d USING (lead_id) ORDER BY g.n;
SELECT count(*), count(deadline_at) FROM lead_dim;
SELECT external_id, signal, property, value_type FROM unscored_profiles WHERE external_id ~ '^insert' ORDER BY lead_id;
SELECT gate, met, missing FROM next_steps('insert 3') WHERE gate = 'timeline';
SELECT gate, missing FROM bant_gaps WHERE stage = 'mql' AND gate = 'timeline';
-- taken back, the gate is open for a lead that enters the stage only
SELECT upsert_lead('insert 1', profile => '{"deadline": null}') > 0;
SELECT external_id, stage, deadline_at FROM hot_leads WHERE external_id = 'insert 1';
SELECT * FROM verify();

-- A date changes no order
SELECT bool_and(call_order = place) AS by_score FROM (SELECT call_order, row_number() OVER (ORDER BY stage_rank DESC, score DESC, stage_since_at, lead_id) AS place FROM hot_leads) h;

-- A reader sees dates and no profile; a role that may not see every lead sees none
SELECT leadscore.grant_reader('crm', 'leadscore_reader');
SET ROLE leadscore_reader;
SELECT external_id, deadline_at FROM hot_leads WHERE deadline_at IS NOT NULL;
SELECT profile FROM lead;
RESET ROLE;
ALTER TABLE lead ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON lead TO leadscore_reader USING (external_id = 'insert 2');
SET ROLE leadscore_reader;
SELECT external_id, deadline_at FROM hot_leads;
RESET ROLE;

RESET search_path;
DROP TABLE crm.given;
SELECT leadscore.drop_pipeline('crm');
DROP ROLE leadscore_reader;

-- The gate in the other presets
SELECT p.preset, c.active_model FROM unnest('{enterprise,multidimensional}'::text[]) WITH ORDINALITY AS p (preset, n), leadscore.create_pipeline('p' || p.n, p.preset) c;
SELECT p1.upsert_lead('a', 'a@acme.example', '{"deadline": "2031-05-02"}') > 0, p2.upsert_lead('a', 'a@acme.example', '{"deadline": "2031-05-02"}') > 0;
SELECT signal FROM p1.profile_change UNION ALL SELECT 'and ' || signal FROM p2.profile_change ORDER BY 1;
SELECT 'p1' AS pipeline, gate, signal FROM p1.stage_gate WHERE gate = 'timeline' UNION ALL SELECT 'p2', gate, signal FROM p2.stage_gate WHERE gate = 'timeline' ORDER BY 1, 3;
SELECT leadscore.drop_pipeline(p) FROM unnest('{p1,p2}'::text[]) p;
