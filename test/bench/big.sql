-- The tables of test/bench/big. Variables: leads, events, mix.
\set ON_ERROR_STOP on
\set QUIET on
SELECT setseed(0.5) \g /dev/null
CREATE EXTENSION leadscore;
SELECT leadscore.create_pipeline('crm', attach => false) \g /dev/null
\ir kinds.sql
\ir processor.sql

-- When the events begin: the last one is of an hour ago
CREATE TABLE span AS
    SELECT now() - interval '730 days 1 hour' AS began_at, interval '730 days' AS lasts, :leads::bigint AS leads, :events::bigint AS events;

-- Leads came evenly over the last three years. Three in ten have left an address and
-- agreed to its use, one in ten has told sales its budget and the like.
INSERT INTO crm.lead (lead_id, external_id, email, consented_at, country, channel, organization, profile, created_at, updated_at)
    SELECT n, 'user-' || n,
        CASE WHEN n % 10 < 3 THEN 'user' || n || '@example.com' END, CASE WHEN n % 10 < 3 THEN t.at END,
        'DE', 'seo', CASE WHEN n % 4 = 0 THEN 'Company ' || n % 500000 END,
        CASE WHEN n % 10 = 1 THEN '{"job_title": "Head of Sales", "budget": true, "authority": true, "need": true, "timeline": true}'
            ELSE '{"job_title": "Engineer"}' END::jsonb,
        t.at, t.at
    FROM span s, generate_series(1, :leads) n,
        LATERAL (SELECT s.began_at - s.lasts / 2 + s.lasts * 1.5 * (n::double precision / s.leads)) AS t (at);

-- The events of one stretch, in order of time
CREATE UNLOGGED TABLE stretch (
    n integer PRIMARY KEY,
    lead_id bigint,
    kind text,
    occurred_at timestamptz,
    channel text,
    properties jsonb
) WITH (autovacuum_enabled = off);

-- Events from number `first` on, from 0. Six in ten are of leads that came lately,
-- 60 days ago on average, three in ten of one lead in twenty, and one in ten of any
-- lead. With `anybody` all are of any lead, in the hour after the last one.
CREATE PROCEDURE make_stretch(first bigint, size integer, anybody boolean DEFAULT false) LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE stretch;
    INSERT INTO stretch
        SELECT i.n, l.lead_id, k.kinds[1 + (random() * 999)::int],
            s.began_at + s.lasts * t.share + CASE WHEN anybody THEN interval '1 hour' * (i.n::double precision / size) ELSE interval '0' END,
            (ARRAY['seo', 'social', 'email', NULL])[1 + l.lead_id % 4],
            ('{"page": "/p/' || l.lead_id % 1000 || '"}')::jsonb
        FROM span s, kinds k, generate_series(1, size) AS i (n),
            LATERAL (SELECT CASE WHEN anybody THEN 1 ELSE (first + i.n)::double precision / s.events END) AS t (share),
            -- how many leads there are at that time
            LATERAL (SELECT s.leads * (1 + 2 * t.share) / 3 - 1) AS c (known),
            LATERAL (SELECT 1 + CASE
                WHEN anybody OR i.n % 10 = 0 THEN random() * c.known
                WHEN i.n % 10 < 4 THEN floor(random() * c.known / 20) * 20
                ELSE greatest(c.known + ln(1 - random()) * s.leads * 60 / 1095, 0) END::bigint) AS l (lead_id);
    ANALYZE stretch;
END
$$;

-- The bare table, with the columns and indexes of event
CREATE SCHEMA bare;
CREATE TABLE bare.event (LIKE crm.event INCLUDING ALL);

-- Takes a part of the stretch into a table, each batch its own transaction
CREATE TABLE taken (stretch integer, what text, events bigint, seconds double precision, processor double precision, wal_bytes numeric);
CREATE PROCEDURE take_in(stretch integer, what text, first integer, last integer, batch integer) LANGUAGE plpgsql AS $$
DECLARE
    began_at CONSTANT timestamptz := clock_timestamp();
    used CONSTANT double precision := processor();
    wal_before CONSTANT pg_lsn := pg_current_wal_insert_lsn();
    till integer;
BEGIN
    FOR start IN first..last BY batch LOOP
        till := least(start + batch - 1, last);
        IF what = 'crm' THEN
            INSERT INTO crm.event (lead_id, kind, occurred_at, channel, properties)
                SELECT s.lead_id, s.kind, s.occurred_at, s.channel, s.properties FROM stretch s WHERE s.n BETWEEN start AND till;
        ELSE
            INSERT INTO bare.event (lead_id, kind, occurred_at, channel, properties)
                SELECT s.lead_id, s.kind, s.occurred_at, s.channel, s.properties FROM stretch s WHERE s.n BETWEEN start AND till;
        END IF;
        COMMIT;
    END LOOP;
    INSERT INTO taken
        VALUES (stretch, what, last - first + 1, extract(epoch FROM clock_timestamp() - began_at), processor() - used, pg_current_wal_insert_lsn() - wal_before);
END
$$;

-- What is behind one line of output: sizes of tables with their indexes, and
-- counts of the updates of lead_state
CREATE VIEW standing AS
    SELECT pg_table_size('crm.event') AS event, pg_indexes_size('crm.event') AS event_indexes, pg_table_size('crm.lead_state') AS state,
        pg_indexes_size('crm.lead_state') AS state_indexes, s.n_tup_upd AS updates, s.n_tup_hot_upd AS hot, s.n_dead_tup AS dead, s.autovacuum_count AS vacuums
    FROM pg_stat_user_tables s
    WHERE s.relid = 'crm.lead_state'::regclass;
