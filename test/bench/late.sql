-- The tables of test/bench/late. Variable: mix.
\set ON_ERROR_STOP on
\set QUIET on
SELECT setseed(0.5) \g /dev/null
CREATE EXTENSION leadscore;
SELECT leadscore.create_pipeline('ordered', reports => false), leadscore.create_pipeline('shuffled', reports => false) \g /dev/null
\ir kinds.sql
\ir processor.sql

-- The events, with their places in order of time and in random order
CREATE UNLOGGED TABLE source (
    ordered integer,
    shuffled integer,
    lead_id bigint,
    kind text,
    occurred_at timestamptz,
    properties jsonb
);
CREATE UNIQUE INDEX ON source (ordered);
CREATE UNIQUE INDEX ON source (shuffled);

CREATE PROCEDURE make_events(leads integer, each integer) LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE source;
    INSERT INTO source
        SELECT row_number() OVER (ORDER BY e.at), row_number() OVER (ORDER BY random()), e.lead_id, k.kinds[1 + (random() * 999)::int], e.at,
            jsonb_build_object('page', '/p/' || e.lead_id, 'stage', (ARRAY['iql', 'mql', 'sql', 'prospect'])[1 + (random() * 3)::int])
        FROM kinds k, (
            SELECT 1 + i % leads AS lead_id, now() - interval '1 day' - interval '364 days' * random() AS at
            FROM generate_series(1, leads * each) i) e;
END
$$;

-- Leads without events
CREATE PROCEDURE begin_again(pipeline text, leads integer) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('TRUNCATE %1$I.event, %1$I.lead, %1$I.suppression', pipeline);
    EXECUTE format($q$
        INSERT INTO %I.lead (lead_id, external_id, email, consented_at, profile, created_at, updated_at)
            SELECT n, 'user-' || n, 'user' || n || '@example.com', t.at,
                CASE WHEN n %% 10 = 1 THEN '{"job_title": "Head of Sales", "budget": true, "authority": true, "need": true, "timeline": true}'
                    ELSE '{"job_title": "Engineer"}' END::jsonb, t.at, t.at
            FROM generate_series(1, %s) n, (SELECT now() - interval '365 days') AS t (at)
        $q$, pipeline, leads);
END
$$;

-- Takes all events into a pipeline, in its order
CREATE TABLE taken (pipeline text, round integer, rate double precision);
CREATE PROCEDURE take_in(pipeline text, round integer) LANGUAGE plpgsql AS $$
DECLARE
    used double precision := processor();
    n CONSTANT integer := (SELECT count(*) FROM source);
BEGIN
    FOR start IN 1..n BY 1000 LOOP
        EXECUTE format('INSERT INTO %1$I.event (lead_id, kind, occurred_at, properties)
                SELECT lead_id, kind, occurred_at, properties FROM source WHERE %1$I BETWEEN $1 AND $1 + 999', pipeline)
            USING start;
        COMMIT;
    END LOOP;
    INSERT INTO taken VALUES (pipeline, round, n / (processor() - used));
END
$$;
