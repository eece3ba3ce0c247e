-- The tables of test/bench/ingest: eight schemas that take the same events.
-- Variables: leads, mix.
\set ON_ERROR_STOP on
\set QUIET on
SELECT setseed(0.5) \g /dev/null
CREATE EXTENSION leadscore;
SELECT leadscore.create_pipeline('crm', attach => false) \g /dev/null

\ir kinds.sql

-- source: each row another lead, in random order. source10: ten in a row of
-- one lead.
CREATE TABLE source AS
    SELECT row_number() OVER (ORDER BY random()) AS n, lead_id,
        (SELECT kinds[1 + floor(random() * cardinality(kinds))::int] FROM kinds WHERE lead_id > 0) AS kind,
        (ARRAY['seo', 'social', 'email', NULL])[1 + floor(random() * 4)::int] AS channel,
        jsonb_build_object('page', '/p/' || lead_id % 1000, 'stage', (ARRAY['iql', 'mql', 'sql', 'prospect'])[1 + floor(random() * 4)::int]) AS properties
    FROM generate_series(1, :leads) AS lead_id;
ALTER TABLE source ADD PRIMARY KEY (n);
CREATE TABLE source10 AS
    SELECT s.n, t.lead_id, s.kind, s.channel, s.properties
    FROM source s JOIN source t ON t.n = (s.n + 9) / 10;
ALTER TABLE source10 ADD PRIMARY KEY (n);
VACUUM ANALYZE source, source10;

-- Leads: six in ten have left an address and agreed to its use.
INSERT INTO crm.lead (lead_id, external_id, email, consented_at, country, channel, profile, created_at)
    SELECT n, 'user-' || n,
        CASE WHEN n % 10 < 6 THEN 'user' || n || '@example.com' END,
        CASE WHEN n % 10 < 6 THEN now() - interval '90 days' END,
        'DE', 'seo', jsonb_build_object('job_title', CASE WHEN n % 20 = 0 THEN 'Head of Sales' ELSE 'Engineer' END),
        now() - interval '90 days'
    FROM generate_series(1, :leads) n;

-- Five events of each lead are there before the measurement begins.
INSERT INTO crm.event (lead_id, kind, occurred_at, channel, properties)
    SELECT s.lead_id, s.kind, now() - interval '1 day' * (1 + (s.n * 7 + d.day * 17) % 80), s.channel, s.properties
    FROM generate_series(1, 5) AS d (day), source s
    ORDER BY d.day, s.n;

-- (a) the bare table, with the pipeline's columns and indexes
CREATE SCHEMA bare;
CREATE TABLE bare.event (LIKE crm.event INCLUDING ALL);
INSERT INTO bare.event SELECT * FROM crm.event;

-- (b) with a foreign key
CREATE SCHEMA fk;
CREATE TABLE fk.lead (LIKE crm.lead INCLUDING ALL);
INSERT INTO fk.lead SELECT * FROM crm.lead;
CREATE TABLE fk.event (LIKE crm.event INCLUDING ALL);
INSERT INTO fk.event SELECT * FROM crm.event;
ALTER TABLE fk.event ADD FOREIGN KEY (lead_id) REFERENCES fk.lead;

-- Triggers as written by hand. They do less than leadscore: no profiles, no
-- late events, no changes and deletions, limits by day only, one model that
-- cannot be changed for what has happened.
--
-- (c) and (d) do the same job otherwise: signals with conditions are counted by
-- lead and day, for limits and decay need that; from the counts follow the
-- score, the stage and its history.
CREATE TABLE signal AS
    SELECT row_number() OVER (ORDER BY r.rule)::smallint AS signal_id, k.kind,
        -- these events name no content
        regexp_replace(s.condition::text, '\$"content_\w+"', 'null', 'g')::jsonpath AS condition,
        r.points::float8, coalesce(r.limit_count, 1000000) AS limit_count,
        coalesce(extract(epoch FROM r.decay_period) / 86400, 1e6)::float8 AS half_life,
        coalesce(r.max_points, sign(r.points) * 1000000)::float8 AS max_points,
        EXISTS (SELECT FROM crm.stage_gate g WHERE g.signal = r.signal AND g.stage::text = 'mql') AS solution
    FROM crm.rule r JOIN crm.signal s USING (signal), unnest(s.event_kinds) AS k (kind);
ALTER TABLE signal ADD PRIMARY KEY (kind, signal_id);
CREATE UNIQUE INDEX ON signal (signal_id);
CREATE TABLE day_count_rows (
    lead_id bigint,
    signal_id smallint,
    day date,
    n int NOT NULL,
    PRIMARY KEY (lead_id, signal_id, day)
);
INSERT INTO day_count_rows
    SELECT e.lead_id, s.signal_id, (e.occurred_at AT TIME ZONE 'UTC')::date, count(*)
    FROM crm.event e JOIN signal s USING (kind)
    WHERE s.condition IS NULL OR e.properties @@ s.condition
    GROUP BY 1, 2, 3
    ORDER BY 1, 2, 3;
CREATE TABLE score_rows (
    lead_id bigint PRIMARY KEY,
    score float8 NOT NULL,
    stage smallint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);
CREATE INDEX ON score_rows (stage);
INSERT INTO score_rows (lead_id, score, stage)
    SELECT l.lead_id, coalesce(sum(s.points * c.n), 0), CASE WHEN sum(s.points * c.n) >= 31 AND bool_or(s.solution) THEN 1 ELSE 0 END
    FROM crm.lead l LEFT JOIN (day_count_rows c JOIN signal s USING (signal_id)) USING (lead_id)
    GROUP BY l.lead_id
    ORDER BY l.lead_id;
VACUUM ANALYZE signal, day_count_rows;

CREATE SCHEMA by_row;
CREATE TABLE by_row.event (LIKE crm.event INCLUDING ALL);
INSERT INTO by_row.event SELECT * FROM crm.event;
CREATE TABLE by_row.day_count (LIKE day_count_rows INCLUDING ALL);
INSERT INTO by_row.day_count SELECT * FROM day_count_rows;
CREATE TABLE by_row.lead_score (LIKE score_rows INCLUDING ALL) WITH (fillfactor = 70);
INSERT INTO by_row.lead_score SELECT * FROM score_rows;
CREATE TABLE by_row.history (lead_id bigint, changed_at timestamptz, stage smallint, PRIMARY KEY (lead_id, changed_at));
CREATE FUNCTION by_row.count_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    new_score float8;
    new_stage smallint;
    old_stage smallint;
BEGIN
    INSERT INTO by_row.day_count AS c (lead_id, signal_id, day, n)
        SELECT NEW.lead_id, s.signal_id, (NEW.occurred_at AT TIME ZONE 'UTC')::date, 1
        FROM public.signal s
        WHERE s.kind = NEW.kind AND (s.condition IS NULL OR NEW.properties @@ s.condition)
        ON CONFLICT (lead_id, signal_id, day) DO UPDATE SET n = c.n + 1;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT stage INTO old_stage FROM by_row.lead_score WHERE lead_id = NEW.lead_id FOR NO KEY UPDATE;
    SELECT coalesce(sum(CASE WHEN p.max_points > 0 THEN least(p.points, p.max_points) ELSE greatest(p.points, p.max_points) END), 0),
            coalesce(max(p.solution::int), 0)
        INTO new_score, new_stage
        FROM (
            SELECT s.max_points, s.solution,
                s.points * sum(least(c.n, s.limit_count) * 0.5::float8 ^ (((now() AT TIME ZONE 'UTC')::date - c.day) / s.half_life)) AS points
            FROM by_row.day_count c JOIN public.signal s USING (signal_id)
            WHERE c.lead_id = NEW.lead_id
            GROUP BY s.signal_id, s.points, s.max_points, s.solution
        ) p;
    new_stage := CASE WHEN new_score >= 31 THEN new_stage ELSE 0 END;
    IF old_stage IS NULL THEN
        INSERT INTO by_row.lead_score (lead_id, score, stage) VALUES (NEW.lead_id, new_score, new_stage)
            ON CONFLICT (lead_id) DO UPDATE SET score = excluded.score, stage = excluded.stage, updated_at = now();
    ELSE
        UPDATE by_row.lead_score SET score = new_score, stage = greatest(stage, new_stage), updated_at = now()
            WHERE lead_id = NEW.lead_id;
    END IF;
    IF new_stage > coalesce(old_stage, -1) THEN
        INSERT INTO by_row.history VALUES (NEW.lead_id, clock_timestamp(), new_stage);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER count_event AFTER INSERT ON by_row.event
    FOR EACH ROW EXECUTE FUNCTION by_row.count_event();

CREATE SCHEMA by_set;
CREATE TABLE by_set.event (LIKE crm.event INCLUDING ALL);
INSERT INTO by_set.event SELECT * FROM crm.event;
CREATE TABLE by_set.day_count (LIKE day_count_rows INCLUDING ALL);
INSERT INTO by_set.day_count SELECT * FROM day_count_rows;
CREATE TABLE by_set.lead_score (LIKE score_rows INCLUDING ALL) WITH (fillfactor = 70);
INSERT INTO by_set.lead_score SELECT * FROM score_rows;
CREATE TABLE by_set.history (lead_id bigint, changed_at timestamptz, stage smallint, PRIMARY KEY (lead_id, changed_at));
CREATE FUNCTION by_set.count_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO by_set.day_count AS c (lead_id, signal_id, day, n)
        SELECT e.lead_id, s.signal_id, (e.occurred_at AT TIME ZONE 'UTC')::date, count(*)
        FROM new_event e JOIN public.signal s USING (kind)
        WHERE s.condition IS NULL OR e.properties @@ s.condition
        GROUP BY 1, 2, 3
        ORDER BY 1, 2, 3
        ON CONFLICT (lead_id, signal_id, day) DO UPDATE SET n = c.n + excluded.n;
    WITH signal_points AS (
        SELECT e.lead_id, s.max_points, s.solution,
            s.points * sum(least(c.n, s.limit_count) * 0.5::float8 ^ (((now() AT TIME ZONE 'UTC')::date - c.day) / s.half_life)) AS points
        FROM (SELECT DISTINCT lead_id FROM new_event) e
            JOIN by_set.day_count c USING (lead_id)
            JOIN public.signal s USING (signal_id)
        GROUP BY e.lead_id, s.signal_id, s.points, s.max_points, s.solution
    ), scored AS (
        SELECT lead_id, score, CASE WHEN score >= 31 AND solution THEN 1 ELSE 0 END::smallint AS stage
        FROM (
            SELECT lead_id, bool_or(solution) AS solution,
                sum(CASE WHEN max_points > 0 THEN least(points, max_points) ELSE greatest(points, max_points) END) AS score
            FROM signal_points
            GROUP BY lead_id
        ) x
    ), changed AS (
        INSERT INTO by_set.history
            SELECT n.lead_id, clock_timestamp(), n.stage
            FROM scored n LEFT JOIN by_set.lead_score o USING (lead_id)
            WHERE n.stage > coalesce(o.stage, -1)
    )
    INSERT INTO by_set.lead_score AS s (lead_id, score, stage)
        SELECT lead_id, score, stage FROM scored ORDER BY lead_id
        ON CONFLICT (lead_id) DO UPDATE SET
            score = excluded.score, stage = greatest(s.stage, excluded.stage), updated_at = now();
    RETURN NULL;
END
$$;
CREATE TRIGGER count_events AFTER INSERT ON by_set.event
    REFERENCING NEW TABLE AS new_event
    FOR EACH STATEMENT EXECUTE FUNCTION by_set.count_events();

-- The least that can be called a score: a sum of points by kind. It neither
-- decays nor is it limited, and has no history.
CREATE TABLE points AS SELECT kind, sum(points) AS points FROM signal GROUP BY kind;
ALTER TABLE points ADD PRIMARY KEY (kind);
VACUUM ANALYZE points;

CREATE SCHEMA sum_row;
CREATE TABLE sum_row.event (LIKE crm.event INCLUDING ALL);
INSERT INTO sum_row.event SELECT * FROM crm.event;
CREATE TABLE sum_row.lead_score (LIKE score_rows INCLUDING ALL) WITH (fillfactor = 70);
INSERT INTO sum_row.lead_score SELECT * FROM score_rows;
CREATE FUNCTION sum_row.count_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    p float8;
BEGIN
    SELECT points INTO p FROM public.points WHERE kind = NEW.kind;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    UPDATE sum_row.lead_score s SET
        score = s.score + p,
        stage = CASE WHEN s.score + p >= 31 THEN 1 ELSE 0 END,
        updated_at = now()
        WHERE s.lead_id = NEW.lead_id;
    IF NOT FOUND THEN
        INSERT INTO sum_row.lead_score AS s (lead_id, score, stage)
            VALUES (NEW.lead_id, p, CASE WHEN p >= 31 THEN 1 ELSE 0 END)
            ON CONFLICT (lead_id) DO UPDATE SET
                score = s.score + excluded.score,
                stage = CASE WHEN s.score + excluded.score >= 31 THEN 1 ELSE 0 END,
                updated_at = now();
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER count_event AFTER INSERT ON sum_row.event
    FOR EACH ROW EXECUTE FUNCTION sum_row.count_event();

CREATE SCHEMA sum_set;
CREATE TABLE sum_set.event (LIKE crm.event INCLUDING ALL);
INSERT INTO sum_set.event SELECT * FROM crm.event;
CREATE TABLE sum_set.lead_score (LIKE score_rows INCLUDING ALL) WITH (fillfactor = 70);
INSERT INTO sum_set.lead_score SELECT * FROM score_rows;
CREATE FUNCTION sum_set.count_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO sum_set.lead_score AS s (lead_id, score, stage)
        SELECT e.lead_id, sum(p.points), CASE WHEN sum(p.points) >= 31 THEN 1 ELSE 0 END
        FROM new_event e JOIN public.points p USING (kind)
        GROUP BY e.lead_id
        ORDER BY e.lead_id
        ON CONFLICT (lead_id) DO UPDATE SET
            score = s.score + excluded.score,
            stage = CASE WHEN s.score + excluded.score >= 31 THEN 1 ELSE 0 END,
            updated_at = now();
    RETURN NULL;
END
$$;
CREATE TRIGGER count_events AFTER INSERT ON sum_set.event
    REFERENCING NEW TABLE AS new_event
    FOR EACH STATEMENT EXECUTE FUNCTION sum_set.count_events();

-- (e) leadscore: attaching counts the events that are there
SELECT leadscore.attach_pipeline('crm') \g /dev/null

-- (f) the same with twenty active segments, as a marketing team might have
-- them: by stage, by what was done lately, by quiet, by points, by profile and
-- by other segments.
SELECT leadscore.create_pipeline('segments', attach => false) \g /dev/null
DELETE FROM segments.sequence;
DELETE FROM segments.stage_action;
DELETE FROM segments.segment;
INSERT INTO segments.segment (segment, persona)
    SELECT s, s LIKE 'persona%'
    FROM unnest('{information,solution,ready,prices,content,webinars,mail readers,mail silent,visitors,social,trial,quiet customers,quiet leads,score 20,score 50,engaged,fit,persona sales,persona engineer,call}'::text[]) s;
INSERT INTO segments.segment_condition (segment, condition, stage_from, stage_to) VALUES
    ('information', 'stage', 'iql', 'iql'), ('solution', 'stage', 'mql', 'mql'), ('ready', 'stage', 'sql', 'prospect'),
    ('quiet customers', 'stage', 'customer', NULL), ('quiet leads', 'stage', 'iql', 'mql'), ('content', 'stage', 'iql', NULL);
INSERT INTO segments.segment_condition (segment, condition, signal, min_count, within) VALUES
    ('prices', 'prices', 'pricing_view', 2, '14 days'), ('content', 'content', 'content_download', 1, '30 days'),
    ('content', 'content', 'case_study_download', 1, '30 days'), ('webinars', 'webinar', 'webinar_attended', 1, '90 days'),
    ('mail readers', 'mail', 'email_open', 3, '60 days'), ('mail readers', 'mail', 'email_click', 1, '60 days'),
    ('visitors', 'visits', 'page_view', 5, '30 days'), ('social', 'social', 'social_interaction', 1, '60 days'),
    ('trial', 'trial', 'trial_started', 1, '30 days'), ('call', 'asks', 'demo_request', 1, '7 days'),
    ('call', 'asks', 'quote_request', 1, '7 days');
INSERT INTO segments.segment_condition (segment, condition, signal, within, negate)
    SELECT s.segment, g.signal, g.signal, s.within, true
    FROM (VALUES ('quiet customers', interval '60 days'), ('quiet leads', '30 days')) AS s (segment, within),
        unnest('{page_view,product_page_view,pricing_view,email_open,email_click}'::text[]) AS g (signal)
    UNION ALL
    SELECT 'mail silent', 'no answer', 'email_open', interval '60 days', true;
INSERT INTO segments.segment_condition (segment, condition, dimension, min_points) VALUES
    ('score 20', 'points', NULL, 20), ('score 50', 'points', NULL, 50), ('engaged', 'points', 'engagement', 15), ('fit', 'points', 'fit', 10);
INSERT INTO segments.segment_condition (segment, condition, signal) VALUES
    ('persona sales', 'title', 'decision_maker'), ('persona engineer', 'address', 'contactable');
INSERT INTO segments.segment_condition (segment, condition, lead_condition) VALUES
    ('persona sales', 'sales', '$.job_title like_regex "sales" flag "i"'), ('persona engineer', 'engineer', '$.job_title == "Engineer"');
INSERT INTO segments.segment_condition (segment, condition, in_segment) VALUES ('call', 'fit', 'persona sales');
SELECT segments.activate_segment(segment) FROM segments.segment ORDER BY segment = 'call' \g /dev/null
INSERT INTO segments.lead SELECT * FROM crm.lead;
INSERT INTO segments.event (lead_id, kind, occurred_at, channel, properties)
    SELECT lead_id, kind, occurred_at, channel, properties FROM crm.event ORDER BY event_id;
SELECT leadscore.attach_pipeline('segments') \g /dev/null

-- (g) the same as (e) with five active sequences, whose runs begin and end as
-- events come
SELECT leadscore.create_pipeline('sequences', attach => false) \g /dev/null
DELETE FROM sequences.sequence;
INSERT INTO sequences.sequence (sequence, starts_on, start_name, goal_stage, goal_signals, again_after) VALUES
    ('education', 'stage', 'iql', 'mql', '{purchase}', '30 days'), ('solution', 'stage', 'mql', 'sql', '{purchase}', '30 days'),
    ('contact', 'stage', 'sql', 'prospect', '{}', '30 days'), ('demo', 'event', 'demo_request', NULL, '{purchase}', '30 days'),
    ('after sale', 'event', 'purchase', NULL, '{}', '30 days');
INSERT INTO sequences.sequence_step (sequence, step, position, delay, channel, topic, content)
    SELECT sequence, 'step ' || i, i, interval '3 days' * (i - 1), 'email', 'newsletter', sequence || ' ' || i
    FROM sequences.sequence, generate_series(1, 4) i;
SELECT sequences.activate_sequence(sequence) FROM sequences.sequence \g /dev/null
INSERT INTO sequences.lead SELECT * FROM crm.lead;
INSERT INTO sequences.event (lead_id, kind, occurred_at, channel, properties)
    SELECT lead_id, kind, occurred_at, channel, properties FROM crm.event ORDER BY event_id;
SELECT leadscore.attach_pipeline('sequences') \g /dev/null
VACUUM ANALYZE;
