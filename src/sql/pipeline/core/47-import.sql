-- Exports of CRMs: a table with the rows of a file becomes leads, consent and
-- stages of their day.
--
-- The table is read with the rights of the caller, in batches: _import_query()
-- makes one statement of its columns and the mapping. _import_read() tells what
-- a row means and what is wrong with it, and reads no table. _import_write()
-- writes a batch with the rights of the owner, in a few statements.

CREATE OR REPLACE FUNCTION _import_key(text text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    encoding CONSTANT text := getdatabaseencoding();
BEGIN
    -- dashes, a curly apostrophe and a hard blank, which are no punctuation in C
    IF encoding = 'UTF8' THEN
        text := translate(text, chr(8208) || chr(8211) || chr(8212) || chr(8217) || chr(160), '');
    ELSIF encoding = 'SQL_ASCII' THEN
        -- a file that was loaded as it is: the bytes that UTF8 has for them
        text := regexp_replace(text COLLATE "C", chr(226) || chr(128) || '[' || chr(144) || chr(147) || chr(148) || chr(153) || ']|' || chr(194) || chr(160), '', 'g');
    ELSIF encoding ~ '^WIN125' THEN
        text := translate(text, chr(150) || chr(151) || chr(146) || chr(160), '');
    ELSIF encoding ~ '^(LATIN|ISO_8859)' THEN
        text := translate(text, chr(160), '');
    END IF;
    RETURN lower(regexp_replace(text COLLATE "C", '[[:space:][:punct:]]', '', 'g') COLLATE "C");
END
$$;
COMMENT ON FUNCTION _import_key(text) IS 'a header or a value as it is compared: without capital letters, blanks and punctuation';

CREATE OR REPLACE FUNCTION _import_instant(value text, time_zone text, date_order text) RETURNS timestamptz
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    months CONSTANT text[] := '{jan,feb,mar,apr,may,jun,jul,aug,sep,oct,nov,dec}';
    part text[];
    clock text[];
    year integer;
    month integer;
    day integer;
    hour integer := 0;
    minute integer := 0;
    second double precision := 0;
    first integer;
    rest text;
    local timestamp;
BEGIN
    -- what most files have, and what needs no calendar
    IF value ~ '^(19|20)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?)?$' THEN
        RETURN value::timestamp AT TIME ZONE time_zone;
    END IF;
    part := regexp_match(value, '^([0-9]{4})[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})(.*)$');
    IF part IS NOT NULL THEN
        year := part[1];
        month := part[2];
        day := part[3];
        rest := part[4];
    ELSIF value ~ '^[0-9]{13}$' THEN
        -- milliseconds, as interfaces for programs write them
        RETURN to_timestamp(value::double precision / 1000);
    ELSE
        part := regexp_match(value, '^([0-9]{1,2})[-/.]([0-9]{1,2})[-/.]([0-9]{4})(.*)$');
        IF part IS NOT NULL THEN
            year := part[3];
            first := part[1];
            day := part[2];
            rest := part[4];
            IF date_order = 'mdy' OR date_order IS NULL AND (day > 12 OR first = day) THEN
                month := first;
            ELSIF date_order = 'dmy' OR date_order IS NULL AND first > 12 THEN
                month := day;
                day := first;
            END IF;
        ELSE
            part := regexp_match(value, '^([A-Za-z]{3,9})[.]? +([0-9]{1,2}),? +([0-9]{4})(.*)$');
            IF part IS NOT NULL THEN
                day := part[2];
            ELSE
                part := regexp_match(value, '^([0-9]{1,2})[- ]([A-Za-z]{3,9})[.,]?[- ]+([0-9]{4})(.*)$');
                day := part[1];
                part[1] := part[2];
            END IF;
            month := array_position(months, lower(left(part[1], 3)));
            year := part[3];
            rest := part[4];
        END IF;
    END IF;
    IF rest <> '' THEN
        clock := regexp_match(rest,
            '^[T, ]+([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}(?:[.][0-9]{1,6})?)[0-9]*)?(?: ?([AP])[.]?M[.]?)?(?: ?(Z|UTC|GMT|[-+][0-9]{2}(?::?[0-9]{2})?))?$', 'i');
        hour := clock[1];
        minute := clock[2];
        second := coalesce(clock[3], '0');
        IF clock[4] IS NOT NULL THEN
            hour := CASE WHEN hour BETWEEN 1 AND 12 THEN hour % 12 + CASE upper(clock[4]) WHEN 'P' THEN 12 ELSE 0 END END;
        END IF;
    END IF;
    IF (year BETWEEN 1900 AND 9999 AND month BETWEEN 1 AND 12 AND hour <= 23 AND minute <= 59 AND second < 60
        AND day BETWEEN 1 AND extract(day FROM make_date(CASE WHEN year BETWEEN 1900 AND 9999 THEN year ELSE 1900 END,
            CASE WHEN month BETWEEN 1 AND 12 THEN month ELSE 1 END, 1) + interval '1 month' - interval '1 day')) IS NOT TRUE
    THEN
        RETURN NULL;
    END IF;
    local := make_timestamp(year, month, day, hour, minute, second);
    RETURN CASE
        WHEN clock[5] IS NULL THEN local AT TIME ZONE time_zone
        WHEN clock[5] ~ '[0-9]' THEN local AT TIME ZONE 'UTC' - (left(clock[5], 1) || '1')::integer
            * make_interval(hours => substr(clock[5], 2, 2)::integer, mins => coalesce(nullif(right(replace(clock[5], ':', ''), -3), ''), '0')::integer)
        ELSE local AT TIME ZONE 'UTC' END;
END
$$;
COMMENT ON FUNCTION _import_instant(text, text, text) IS
    'the instant that a date of a file means, without a zone of its own in time_zone; NULL if there is no such date, or if its order is not known';

CREATE OR REPLACE FUNCTION _import_check(source text, mapping jsonb, time_zone text, date_order text, basis text, marketing_basis text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    named jsonb;
    problem text;
    hint text := 'See import_mapping(''hubspot'') for an example of a mapping.';
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@), leadscore_internal.require_text('source', source);
    named := coalesce(_import_check.mapping, @pipeline@.import_mapping(source));
    IF source !~ '^[A-Za-z0-9_-]{1,40}$' THEN
        problem := format('source must be a word of at most 40 letters and digits, not "%s"', left(source, 60));
        hint := 'It begins the names of leads and events, as in hubspot:101.';
    ELSIF named IS NULL THEN
        problem := format('there is no mapping for "%s"', source);
        hint := 'Pass hubspot, salesforce, pipedrive, zoho or dynamics, or a mapping of your own.';
    ELSIF date_order NOT IN ('mdy', 'dmy', 'ymd') THEN
        problem := format('date_order must be mdy, dmy or ymd, not "%s"', date_order);
        hint := 'mdy: 12/31/2025, dmy: 31/12/2025, ymd: 2025-12-31.';
    ELSIF basis NOT IN ('consent', 'contract', 'legitimate_interest', 'none') OR marketing_basis NOT IN ('consent', 'contract', 'legitimate_interest') THEN
        problem := format('unknown legal basis "%s"', CASE WHEN basis NOT IN ('consent', 'contract', 'legitimate_interest', 'none') THEN basis ELSE marketing_basis END);
        hint := 'It is consent, contract or legitimate_interest; basis may be none, too.';
    ELSIF jsonb_typeof(named) <> 'object' OR jsonb_typeof(named -> 'record_id') IS DISTINCT FROM 'array' THEN
        problem := 'a mapping must be a JSON object with an array of headers record_id';
    ELSE
        SELECT format('the mapping has an unknown key "%s"', k.key) INTO problem
        FROM jsonb_object_keys(named) AS k (key)
        WHERE k.key NOT IN ('record_id', 'record_id_length', 'email', 'phone', 'created_at', 'columns', 'profile', 'stages', 'stage', 'basis', 'basis_values', 'opt_outs', 'opt_ins');
        IF problem IS NULL THEN
            SELECT format('%s of the mapping must be %s %s', t.key, CASE t.shape WHEN 'number' THEN 'a' ELSE 'an' END, t.shape) INTO problem
            FROM (VALUES ('record_id', 'array'), ('email', 'array'), ('phone', 'array'), ('created_at', 'array'), ('basis', 'array'), ('opt_outs', 'array'), ('opt_ins', 'array'),
                ('columns', 'object'), ('profile', 'object'), ('stages', 'object'), ('stage', 'object'), ('basis_values', 'object'), ('record_id_length', 'number')) AS t (key, shape)
            WHERE jsonb_typeof(named -> t.key) <> t.shape;
        END IF;
        IF problem IS NULL AND (named -> 'record_id_length')::numeric NOT BETWEEN 1 AND 1000 THEN
            problem := 'record_id_length of the mapping must be from 1 to 1000';
        END IF;
        IF problem IS NULL THEN
            SELECT format('%s of the mapping must be arrays of headers', t.key) INTO problem
            FROM (VALUES ('columns'), ('profile'), ('stages')) AS t (key), jsonb_each(coalesce(named -> t.key, '{}')) AS v
            WHERE jsonb_typeof(v.value) <> 'array';
        END IF;
        IF problem IS NULL THEN
            SELECT format('"%s" of the mapping is no column of lead that an import fills', k.key) INTO problem
            FROM jsonb_object_keys(coalesce(named -> 'columns', '{}')) AS k (key)
            WHERE k.key NOT IN ('organization', 'market', 'country', 'language', 'time_zone', 'channel', 'campaign', 'owner', 'persona', 'objective', 'complexity');
        END IF;
        IF problem IS NULL THEN
            SELECT format('"%s" of the mapping is no stage', k.stage) INTO problem
            FROM (SELECT jsonb_object_keys(coalesce(named -> 'stages', '{}')) UNION ALL
                SELECT v.value #>> '{}' FROM jsonb_each(coalesce(named #> '{stage,values}', '{}')) AS v) AS k (stage)
            WHERE k.stage IS NOT NULL AND NOT EXISTS (SELECT FROM leadscore.stages() s WHERE s.stage::text = k.stage);
        END IF;
        IF problem IS NULL THEN
            SELECT format('"%s" of the mapping is no legal basis', v.value #>> '{}') INTO problem
            FROM jsonb_each(coalesce(named -> 'basis_values', '{}')) AS v
            WHERE v.value #>> '{}' NOT IN ('consent', 'contract', 'legitimate_interest');
        END IF;
        IF problem IS NULL THEN
            SELECT format('each of %s of the mapping must name headers, or a prefix, and a channel', t.key) INTO problem
            FROM (VALUES ('opt_outs'), ('opt_ins')) AS t (key), jsonb_array_elements(coalesce(named -> t.key, '[]')) AS v
            WHERE (CASE WHEN jsonb_typeof(v) = 'object' THEN (jsonb_typeof(v -> 'headers') = 'array' OR jsonb_typeof(v -> 'prefix') = 'string')
                AND jsonb_typeof(v -> 'channel') = 'string' AND length(btrim(v ->> 'channel')) BETWEEN 1 AND 50
                AND coalesce(v ->> 'reason', 'unsubscribed') IN ('unsubscribed', 'bounced')
                AND coalesce(jsonb_typeof(v -> 'values'), 'array') = 'array' AND (t.key = 'opt_outs' OR v ? 'values') END) IS NOT TRUE;
        END IF;
    END IF;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION '%', problem
            USING ERRCODE = 'invalid_parameter_value', HINT = hint;
    END IF;
    RETURN jsonb_build_object('mapping', named, 'source', lower(source COLLATE "C"),
        'time_zone', leadscore_internal.require_time_zone(coalesce(_import_check.time_zone, (SELECT s.time_zone FROM @pipeline@.setting s))));
END
$$;
REVOKE EXECUTE ON FUNCTION _import_check(text, jsonb, text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION _import_check(text, jsonb, text, text, text, text) IS 'the mapping, the source and the time zone of an import, or an error';

-- The statement names columns only as they are in the catalog, quoted. It reads
-- them as text, and a column may be of type date: functions that run it fix how
-- dates and numbers are written. The planner takes a mapping for a long one, and
-- would compile what reads it.
CREATE OR REPLACE FUNCTION _import_query(staging regclass, mapping jsonb, OUT query text, OUT stages text[], OUT has_basis boolean)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
    -- a value without the blanks around it
    blank CONSTANT text := 'nullif(btrim(t.%I::text, '' '' || chr(9) || chr(10) || chr(13)), '''')';
    problem text;
    headers jsonb;
    named jsonb := '{}';
    field record;
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    IF staging IS NULL THEN
        RAISE EXCEPTION 'staging must not be null'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Pass the table with the rows of the file.';
    END IF;
    SELECT CASE WHEN c.relkind <> 'r' THEN 'is not an ordinary table' WHEN c.relrowsecurity THEN 'has row security' END INTO problem
    FROM pg_class c WHERE c.oid = staging;
    -- code of another role's would run with the rights of the caller
    IF problem IS NULL THEN
        SELECT format('has the column "%s", whose type is not built in', a.attname) INTO problem
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = staging AND a.attnum > 0 AND NOT a.attisdropped AND (t.typnamespace <> 'pg_catalog'::regnamespace OR t.typtype <> 'b');
    END IF;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'table "%" %', staging, problem
            USING ERRCODE = 'wrong_object_type', HINT = 'Load the file into a table of columns of type text, see create_import_table().';
    END IF;

    -- each header of the mapping, and the columns that it means: of long names a table keeps 63 bytes
    FOR field IN
        SELECT f.kind, f.key, f.place, f.header, a.attname, f.prefix
        FROM (
            SELECT k.kind, '' AS key, h.header, h.place, false AS prefix
            FROM (VALUES ('record_id'), ('email'), ('phone'), ('created_at'), ('basis')) AS k (kind),
                jsonb_array_elements_text(coalesce(mapping -> k.kind, '[]')) WITH ORDINALITY AS h (header, place)
            UNION ALL
            SELECT 'stage', '', h.header, h.place, false
            FROM jsonb_array_elements_text(coalesce(mapping #> '{stage,headers}', '[]')) WITH ORDINALITY AS h (header, place)
            UNION ALL
            SELECT k.kind, v.key, h.header, h.place, false
            FROM (VALUES ('columns'), ('profile'), ('stages')) AS k (kind), jsonb_each(coalesce(mapping -> k.kind, '{}')) AS v,
                jsonb_array_elements_text(v.value) WITH ORDINALITY AS h (header, place)
            UNION ALL
            SELECT k.kind || ' ' || p.part, (v.place - 1)::text, h.header, h.place, p.part = 'prefix'
            FROM (VALUES ('opt_outs'), ('opt_ins')) AS k (kind), jsonb_array_elements(coalesce(mapping -> k.kind, '[]')) WITH ORDINALITY AS v (entry, place),
                (VALUES ('headers'), ('at'), ('prefix')) AS p (part),
                jsonb_array_elements_text(CASE jsonb_typeof(v.entry -> p.part) WHEN 'array' THEN v.entry -> p.part WHEN 'string' THEN jsonb_build_array(v.entry -> p.part) ELSE '[]' END)
                    WITH ORDINALITY AS h (header, place)
        ) f
            JOIN pg_attribute a ON a.attrelid = staging AND a.attnum > 0 AND NOT a.attisdropped
                AND CASE WHEN f.prefix THEN starts_with(lower(a.attname::text COLLATE "C"), lower(f.header COLLATE "C"))
                    ELSE @pipeline@._import_key(a.attname) IN (@pipeline@._import_key(f.header), @pipeline@._import_key(f.header::name)) END
        ORDER BY f.kind, f.key, f.place, a.attnum
    LOOP
        headers := coalesce(named #> ARRAY[field.kind, field.key], '[]') || to_jsonb(CASE WHEN field.prefix
            THEN jsonb_build_object('column', field.attname, 'topic', nullif(btrim(right(field.attname, - length(field.header))), ''))
            ELSE to_jsonb(field.attname) END);
        named := named || jsonb_build_object(field.kind, coalesce(named -> field.kind, '{}') || jsonb_build_object(field.key, headers));
    END LOOP;
    IF named -> 'record_id' IS NULL THEN
        RAISE EXCEPTION 'table "%" has no column "%"', staging, mapping #>> '{record_id,0}'
            USING ERRCODE = 'undefined_column',
                HINT = format('The columns of the table are to be called like those of the file; one of these is needed: %s.',
                    (SELECT string_agg(h, ', ') FROM jsonb_array_elements_text(mapping -> 'record_id') h))
                    || CASE (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = staging AND a.attnum > 0 AND NOT a.attisdropped)
                        WHEN 1 THEN ' This table has one column: perhaps the file has another delimiter, see create_import_table().' ELSE '' END;
    END IF;

    SELECT format($query$
        SELECT jsonb_agg(b.record ORDER BY b.row)
        FROM (
            SELECT a.row, jsonb_strip_nulls(jsonb_build_object('row', a.row, 'first_row', min(a.row) OVER (PARTITION BY a.record_id), 'record_id', a.record_id)) || a.rest AS record
            FROM (
                SELECT row_number() OVER (ORDER BY t.ctid) AS row, left(%s, %s) AS record_id, jsonb_strip_nulls(jsonb_build_object(
                    'email', %s, 'phone', %s, 'created_at', %s, 'basis', %s, 'stage', %s,
                    'columns', jsonb_object(ARRAY[%s]::text[], ARRAY[%s]::text[]), 'profile', jsonb_object(ARRAY[%s]::text[], ARRAY[%s]::text[]),
                    'stages', jsonb_object(ARRAY[%s]::text[], ARRAY[%s]::text[]),
                    'opt_outs', to_jsonb(array_remove(ARRAY[%s]::jsonb[], NULL)), 'opt_ins', to_jsonb(array_remove(ARRAY[%s]::jsonb[], NULL)))) AS rest
                FROM ONLY %s t
            ) a
        ) b
        GROUP BY (b.row - 1) / 1000
        ORDER BY (b.row - 1) / 1000$query$,
        max(e.value) FILTER (WHERE e.kind = 'record_id'), coalesce(mapping ->> 'record_id_length', '1000')::numeric::integer,
        coalesce(max(e.value) FILTER (WHERE e.kind = 'email'), 'NULL::text'), coalesce(max(e.value) FILTER (WHERE e.kind = 'phone'), 'NULL::text'),
        coalesce(max(e.value) FILTER (WHERE e.kind = 'created_at'), 'NULL::text'), coalesce(max(e.value) FILTER (WHERE e.kind = 'basis'), 'NULL::text'),
        coalesce(max(e.value) FILTER (WHERE e.kind = 'stage'), 'NULL::text'),
        string_agg(quote_literal(e.key), ', ' ORDER BY e.key) FILTER (WHERE e.kind = 'columns'), string_agg(e.value, ', ' ORDER BY e.key) FILTER (WHERE e.kind = 'columns'),
        string_agg(quote_literal(e.key), ', ' ORDER BY e.key) FILTER (WHERE e.kind = 'profile'), string_agg(e.value, ', ' ORDER BY e.key) FILTER (WHERE e.kind = 'profile'),
        string_agg(quote_literal(e.key), ', ' ORDER BY e.key) FILTER (WHERE e.kind = 'stages'), string_agg(e.value, ', ' ORDER BY e.key) FILTER (WHERE e.kind = 'stages'),
        string_agg(e.said, ', ' ORDER BY e.key, e.topic) FILTER (WHERE e.kind IN ('opt_outs headers', 'opt_outs prefix')),
        string_agg(e.said, ', ' ORDER BY e.key, e.topic) FILTER (WHERE e.kind IN ('opt_ins headers', 'opt_ins prefix')),
        staging),
        coalesce(array_agg(e.key ORDER BY e.key) FILTER (WHERE e.kind = 'stages'), '{}'), coalesce(bool_or(e.kind = 'basis'), false)
    INTO query, stages, has_basis
    FROM (
        SELECT d.kind, d.key, d.topic, d.value, format('CASE WHEN %s IS NOT NULL THEN jsonb_build_object(''entry'', %L, ''value'', %s, ''topic'', %L, ''at'', %s) END',
                d.value, d.key, d.value, d.topic, coalesce(d.at, 'NULL')) AS said
        FROM (
            SELECT k.key AS kind, f.key, NULL AS topic, x.value, y.value AS at
            FROM jsonb_each(named) AS k, jsonb_each(k.value) AS f,
                LATERAL (SELECT 'coalesce(' || string_agg(format(blank, h), ', ' ORDER BY o) || ')' AS value
                    FROM jsonb_array_elements_text(f.value) WITH ORDINALITY AS h (h, o)) AS x,
                LATERAL (SELECT 'coalesce(' || string_agg(format(blank, h), ', ' ORDER BY o) || ')' AS value
                    FROM jsonb_array_elements_text(CASE WHEN k.key LIKE '% headers' THEN named #> ARRAY[replace(k.key, ' headers', ' at'), f.key] END) WITH ORDINALITY AS h (h, o)) AS y
            WHERE k.key NOT LIKE '% prefix'
            UNION ALL
            SELECT k.key, f.key, h ->> 'topic', format(blank, h ->> 'column'), NULL
            FROM jsonb_each(named) AS k, jsonb_each(k.value) AS f, jsonb_array_elements(f.value) AS h
            WHERE k.key LIKE '% prefix'
        ) d
    ) e;
END
$$;
COMMENT ON FUNCTION _import_query(regclass, jsonb) IS
    'the statement that reads a table by a mapping, as arrays of up to 1000 records, the stages whose dates it has, and whether it says on what legal basis';

CREATE OR REPLACE FUNCTION _import_read(records jsonb, mapping jsonb, time_zone text, date_order text, stages_told boolean)
    RETURNS TABLE ("row" bigint, record_id text, email text, phone text, created_at timestamptz, columns jsonb, profile jsonb, stages jsonb, stage text,
        basis text, opt_outs jsonb, opt_ins jsonb, rejected boolean, problems text[])
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    yes CONSTANT text[] := '{true,yes,y,t,1,x,on,donotallow,donotsend,optedout,unsubscribed}';
    no CONSTANT text[] := '{false,no,n,f,0,off,allow,send,subscribed}';
    stage_values jsonb;
    basis_values jsonb;
    record jsonb;
    entry jsonb;
    said jsonb;
    answer text;
    refused boolean;
    at timestamptz;
    key text;
    value text;
    last text;
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    SELECT jsonb_object_agg(@pipeline@._import_key(v.key), v.value) INTO stage_values FROM jsonb_each(coalesce(mapping #> '{stage,values}', '{}')) AS v;
    SELECT jsonb_object_agg(@pipeline@._import_key(v.key), v.value) INTO basis_values FROM jsonb_each(coalesce(mapping -> 'basis_values', '{}')) AS v;
    FOR record IN SELECT r FROM jsonb_array_elements(records) r LOOP
        "row" := record -> 'row';
        record_id := record ->> 'record_id';
        phone := record ->> 'phone';
        columns := coalesce(record -> 'columns', '{}');
        profile := coalesce(record -> 'profile', '{}');
        stages := '{}';
        stage := NULL;
        basis := NULL;
        opt_outs := '[]';
        opt_ins := '[]';
        problems := '{}';
        -- the first of several addresses
        email := lower(btrim(split_part(split_part(record ->> 'email', ';', 1), ',', 1)) COLLATE "C");
        IF record_id IS NULL THEN
            problems := problems || 'no record ID'::text;
        ELSIF octet_length(record_id) > 200 THEN
            problems := problems || 'the record ID is longer than 200 bytes'::text;
        ELSIF (record -> 'first_row')::bigint < "row" THEN
            problems := problems || format('row %s has the same record ID', record -> 'first_row');
        END IF;
        IF email !~ '^[^@[:space:]]+@[^@[:space:]]+[.][^@[:space:]]+$' OR octet_length(email) > 320 THEN
            problems := problems || format('"%s" is no e-mail address', left(email, 60));
            email := NULL;
        END IF;
        IF octet_length(phone) > 100 THEN
            problems := problems || 'the telephone number is longer than 100 bytes'::text;
        END IF;
        FOR key, value IN
            SELECT '', record ->> 'created_at' WHERE record ? 'created_at' UNION ALL
            SELECT s.key, s.value FROM jsonb_each_text(record -> 'stages') s
        LOOP
            at := @pipeline@._import_instant(value, time_zone, date_order);
            IF at IS NULL OR at > now() THEN
                problems := problems || format('%s "%s" %s', CASE key WHEN '' THEN 'date of creation' ELSE 'date of ' || key END, left(value, 40),
                    CASE WHEN at IS NOT NULL THEN 'lies ahead'
                        WHEN date_order IS NULL AND @pipeline@._import_instant(value, time_zone, 'mdy') IS NOT NULL
                            AND @pipeline@._import_instant(value, time_zone, 'dmy') IS NOT NULL THEN 'may be two dates: pass date_order'
                        ELSE 'is no date that is known' END);
            ELSIF key = '' THEN
                created_at := at;
            ELSE
                stages := stages || jsonb_build_object(key, at);
            END IF;
        END LOOP;
        rejected := problems <> '{}';
        IF NOT record ? 'created_at' OR rejected THEN
            created_at := (SELECT min(s.value::timestamptz) FROM jsonb_each_text(stages) s);
        END IF;

        -- what follows is told, and does not keep the row out
        FOR key, value IN
            SELECT c.key, c.value FROM jsonb_each_text(columns) c
            WHERE c.key = 'market' AND c.value NOT IN ('b2b', 'b2c') OR c.key = 'complexity' AND c.value NOT IN ('simple', 'complex')
        LOOP
            problems := problems || format('%s cannot be "%s"', key, left(value, 60));
            columns := columns - key;
        END LOOP;
        IF columns ? 'time_zone' THEN
            columns := columns || jsonb_build_object('time_zone', replace(columns ->> 'time_zone', '_slash_', '/'));
        END IF;
        IF record ? 'basis' THEN
            -- of several grounds what the person said comes first
            SELECT min(basis_values ->> v.key), string_agg(v.text, ';') FILTER (WHERE NOT coalesce(basis_values, '{}') ? v.key) INTO basis, value
            FROM (SELECT @pipeline@._import_key(u) AS key, btrim(u) AS text FROM unnest(string_to_array(record ->> 'basis', ';')) u WHERE btrim(u) <> '') v;
            IF value IS NOT NULL THEN
                problems := problems || format('unknown legal basis "%s"', left(value, 60));
            END IF;
        END IF;
        IF record ? 'stage' THEN
            key := @pipeline@._import_key(record ->> 'stage');
            IF NOT coalesce(stage_values, '{}') ? key THEN
                problems := problems || format('unknown stage "%s"', left(record ->> 'stage', 60));
            END IF;
            stage := stage_values ->> key;
            last := (SELECT s.key FROM jsonb_each_text(stages) s ORDER BY s.value::timestamptz DESC, s.key::leadscore.lead_stage DESC LIMIT 1);
            IF stage IS NOT DISTINCT FROM last THEN
                stage := NULL;
            ELSIF stage IS NOT NULL AND NOT stages_told AND NOT rejected THEN
                problems := problems || format('stage %s has no date', stage);
            END IF;
        END IF;
        FOR said, entry, refused IN
            SELECT o, mapping #> ARRAY['opt_outs', o ->> 'entry'], true FROM jsonb_array_elements(record -> 'opt_outs') o
            UNION ALL
            SELECT o, mapping #> ARRAY['opt_ins', o ->> 'entry'], false FROM jsonb_array_elements(record -> 'opt_ins') o
        LOOP
            answer := @pipeline@._import_key(said ->> 'value');
            IF entry ? 'values' THEN
                CONTINUE WHEN NOT EXISTS (SELECT FROM jsonb_array_elements_text(entry -> 'values') v WHERE @pipeline@._import_key(v) = answer);
            ELSIF NOT coalesce((entry -> 'any')::boolean, false) THEN
                CONTINUE WHEN answer = ANY (no);
                IF answer <> ALL (yes) THEN
                    problems := problems || format('"%s" was taken as a refusal', left(said ->> 'value', 60));
                END IF;
            END IF;
            at := NULL;
            IF said ? 'at' THEN
                at := @pipeline@._import_instant(said ->> 'at', time_zone, date_order);
                IF at IS NULL OR at > now() THEN
                    problems := problems || format('date "%s" of a refusal was left out', left(said ->> 'at', 40));
                    at := NULL;
                END IF;
            END IF;
            said := jsonb_strip_nulls(jsonb_build_object('channel', lower(btrim(entry ->> 'channel') COLLATE "C"), 'topic', lower(left(said ->> 'topic', 50) COLLATE "C"), 'at', at,
                'reason', coalesce(entry ->> 'reason', 'unsubscribed')));
            IF refused THEN
                opt_outs := opt_outs || said;
            ELSE
                opt_ins := opt_ins || said;
            END IF;
        END LOOP;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION _import_read(jsonb, jsonb, text, text, boolean) IS
    'what records of a file mean and what is wrong with them; stages_told: a stage without a date has one from the caller';

CREATE OR REPLACE FUNCTION _import_find(names text[], emails text[])
    RETURNS TABLE (place bigint, lead_id bigint)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
#variable_conflict use_column
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    -- OFFSET: an index is used, whatever the planner thinks of the table
    RETURN QUERY
    SELECT u.place, coalesce(n.lead_id, a.lead_id, m.lead_id, b.lead_id, e.lead_id)
    FROM unnest(names, emails) WITH ORDINALITY AS u (name, email, place)
        LEFT JOIN LATERAL (SELECT l.lead_id FROM @pipeline@.lead l WHERE l.external_id = u.name OFFSET 0) n ON true
        LEFT JOIN LATERAL (SELECT l.lead_id FROM @pipeline@.lead_alias l WHERE l.external_id = u.name OFFSET 0) a ON true
        LEFT JOIN LATERAL (SELECT l.lead_id FROM @pipeline@.lead l WHERE l.external_id = u.email OFFSET 0) m ON true
        LEFT JOIN LATERAL (SELECT l.lead_id FROM @pipeline@.lead_alias l WHERE l.external_id = u.email OFFSET 0) b ON true
        LEFT JOIN LATERAL (SELECT min(l.lead_id) AS lead_id FROM @pipeline@.lead l WHERE lower(btrim(l.email) COLLATE "C") = u.email OFFSET 0) e ON true;
END
$$;
COMMENT ON FUNCTION _import_find(text[], text[]) IS 'leads by the names of records, or else by their e-mail addresses, NULL: not by these';

CREATE OR REPLACE FUNCTION _import_write(records jsonb, source text, options jsonb, OUT created bigint, OUT matched bigint, OUT changed bigint, OUT forgotten bigint,
        OUT stages bigint, OUT consents bigint, OUT opt_outs bigint)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    enroll CONSTANT text := current_setting('leadscore.enroll');
    by_email CONSTANT boolean := (options -> 'match_email')::boolean;
    overwrite CONSTANT boolean := (options -> 'overwrite')::boolean;
    exported_at CONSTANT timestamptz := options ->> 'exported_at';
    basis CONSTANT text := options ->> 'basis';
    marketing_basis CONSTANT text := options ->> 'marketing_basis';
    stage_at CONSTANT timestamptz := options ->> 'stage_at';
    names text[];
    emails text[];
    lead_ids bigint[];
    refused bigint[];
    taken_ids bigint[];
    taken text[];
    n bigint;
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    PERFORM set_config('leadscore.enroll', 'off', true);

    -- The leads, and those with their addresses, are locked in the order of lead_id.
    SELECT array_agg(leadscore_internal.fold_name(source || ':' || r.record_id) ORDER BY r.place), array_agg(CASE WHEN by_email THEN r.email END ORDER BY r.place) INTO names, emails
    FROM (SELECT o ->> 'record_id' AS record_id, leadscore_internal.fold_name(o ->> 'email') AS email, place FROM jsonb_array_elements(records) WITH ORDINALITY AS e (o, place)) r;
    SELECT count(f.lead_id) INTO matched
    FROM @pipeline@._import_find(names, emails) f
    WHERE NOT (records #> ARRAY[(f.place - 1)::text, 'rejected'])::boolean;
    INSERT INTO @pipeline@.lead (external_id, email, phone, organization, market, country, language, time_zone, channel, campaign, owner, persona, objective, complexity,
        profile, created_at, updated_at)
    SELECT r.name, r.o ->> 'email', r.o ->> 'phone', r.c ->> 'organization', r.c ->> 'market', r.c ->> 'country', r.c ->> 'language', r.c ->> 'time_zone', r.c ->> 'channel',
        r.c ->> 'campaign', r.c ->> 'owner', r.c ->> 'persona', r.c ->> 'objective', r.c ->> 'complexity', r.o -> 'profile', r.created_at, r.created_at - interval '1 microsecond'
    FROM (
        SELECT DISTINCT ON (coalesce(emails[p.place], names[p.place])) names[p.place] AS name, e.o, e.o -> 'columns' AS c,
            coalesce((e.o ->> 'created_at')::timestamptz, exported_at) AS created_at
        FROM jsonb_array_elements(records) WITH ORDINALITY AS e (o, place)
            JOIN @pipeline@._import_find(names, emails) p ON p.place = e.place
        WHERE p.lead_id IS NULL AND NOT (e.o -> 'rejected')::boolean
        ORDER BY coalesce(emails[p.place], names[p.place]), p.place
    ) r
    ORDER BY r.name
    ON CONFLICT (external_id) DO NOTHING;
    GET DIAGNOSTICS created = ROW_COUNT;
    SELECT array_agg(CASE WHEN NOT (e.o -> 'rejected')::boolean THEN p.lead_id END ORDER BY p.place) INTO lead_ids
    FROM jsonb_array_elements(records) WITH ORDINALITY AS e (o, place)
        JOIN @pipeline@._import_find(names, emails) p ON p.place = e.place;
    SELECT count(*) INTO forgotten
    FROM jsonb_array_elements(records) WITH ORDINALITY AS e (o, place)
    WHERE lead_ids[e.place] IS NULL AND NOT (e.o -> 'rejected')::boolean;
    -- what a row that is rejected refuses holds nevertheless
    SELECT array_agg(l.lead_id) INTO refused
    FROM jsonb_array_elements(records) AS o
        JOIN @pipeline@.lead l ON lower(btrim(l.email) COLLATE "C") = o ->> 'email'
    WHERE (o -> 'rejected')::boolean AND o -> 'opt_outs' <> '[]';
    PERFORM @pipeline@._lock_leads(@pipeline@._same_address(array_remove(lead_ids, NULL) || refused));

    -- Names that are new are taken as _take_name() does, all at once.
    WITH wanted AS (
        SELECT DISTINCT u.name
        FROM unnest(names || emails, lead_ids || lead_ids) AS u (name, lead_id)
        WHERE u.lead_id IS NOT NULL AND u.name IS NOT NULL
            AND NOT EXISTS (SELECT FROM @pipeline@.lead l WHERE l.external_id = u.name)
            AND NOT EXISTS (SELECT FROM @pipeline@.lead_alias a WHERE a.external_id = u.name)
    ), held AS (
        INSERT INTO @pipeline@.lead (external_id) SELECT w.name FROM wanted w ORDER BY w.name ON CONFLICT (external_id) DO NOTHING RETURNING lead_id, external_id
    )
    SELECT array_agg(h.lead_id), array_agg(h.external_id) INTO taken_ids, taken FROM held h;
    DELETE FROM @pipeline@.lead l WHERE l.lead_id = ANY (taken_ids);
    INSERT INTO @pipeline@.lead_alias (external_id, lead_id)
    SELECT DISTINCT ON (u.name) u.name, u.lead_id
    FROM unnest(names || emails, lead_ids || lead_ids) WITH ORDINALITY AS u (name, lead_id, place)
    WHERE u.name = ANY (taken) AND u.lead_id IS NOT NULL
    ORDER BY u.name, u.place;

    -- First, and alone, so that it holds from its own date.
    INSERT INTO @pipeline@.consent (lead_id, purpose, status, basis, occurred_at)
    SELECT DISTINCT ON (u.lead_id) u.lead_id, 'policy', 'granted', g.basis, coalesce((u.o ->> 'created_at')::timestamptz, exported_at)
    FROM ROWS FROM (unnest(lead_ids), jsonb_array_elements(records)) WITH ORDINALITY AS u (lead_id, o, place)
        CROSS JOIN LATERAL (VALUES (coalesce(u.o ->> 'basis', nullif(basis, 'none')))) AS g (basis)
        LEFT JOIN LATERAL (
            SELECT c.basis, c.status, c.evidence
            FROM @pipeline@.consent c
            WHERE c.lead_id = u.lead_id AND c.purpose = 'policy' AND c.status <> 'requested'
            ORDER BY c.consent_id DESC LIMIT 1) c ON true
    WHERE u.lead_id IS NOT NULL AND g.basis IS NOT NULL
        -- another ground takes the place of one that no person has given
        AND (c.basis IS NULL OR c.basis <> g.basis AND c.status = 'granted' AND c.evidence IS NULL AND u.o ->> 'basis' IS NOT NULL)
    ORDER BY u.lead_id, u.place;
    GET DIAGNOSTICS consents = ROW_COUNT;

    -- What is refused holds for the address.
    INSERT INTO @pipeline@.suppression (address_hash, channel, reason, since)
    SELECT DISTINCT ON (h, w.channel, w.reason) h, w.channel, w.reason, coalesce(w.at, exported_at)
    FROM ROWS FROM (unnest(lead_ids), jsonb_array_elements(records)) AS u (lead_id, o),
        jsonb_to_recordset(u.o -> 'opt_outs') AS w (channel text, topic text, at timestamptz, reason text),
        unnest(@pipeline@._address_hashes(u.o ->> 'email', CASE WHEN w.channel <> 'email' THEN u.o ->> 'phone' END)) h
    WHERE w.topic IS NULL
        AND NOT EXISTS (
            SELECT FROM @pipeline@.suppression s
            WHERE s.address_hash = h AND (s.channel IS NULL OR s.channel = w.channel) AND s.reason = w.reason
                AND (s.lifted_at IS NULL OR s.lifted_at >= coalesce(w.at, exported_at)) AND @pipeline@._import_refuses(u.lead_id, s.since, w.channel, NULL, coalesce(w.at, exported_at)))
    ORDER BY h, w.channel, w.reason, coalesce(w.at, exported_at)
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS opt_outs = ROW_COUNT;
    INSERT INTO @pipeline@.consent (lead_id, purpose, channel, topic, status, basis, evidence, occurred_at)
    SELECT DISTINCT ON (s.lead_id, s.purpose, s.channel, s.topic, s.status) s.lead_id, s.purpose, s.channel, s.topic, s.status, s.basis, s.evidence, s.occurred_at
    FROM (
        SELECT u.lead_id, 'marketing' AS purpose, w.channel, w.topic, 'withdrawn' AS status, 'consent' AS basis, jsonb_build_object('import', source) AS evidence,
            coalesce(w.at, exported_at) AS occurred_at
        FROM ROWS FROM (unnest(lead_ids), jsonb_array_elements(records)) AS u (lead_id, o),
            jsonb_to_recordset(u.o -> 'opt_outs') AS w (channel text, topic text, at timestamptz, reason text)
        WHERE w.reason = 'unsubscribed'
            AND NOT EXISTS (
                SELECT FROM @pipeline@.consent c
                WHERE c.lead_id = u.lead_id AND c.purpose = 'marketing' AND c.status = 'withdrawn' AND c.channel IS NOT DISTINCT FROM w.channel
                    AND c.topic IS NOT DISTINCT FROM w.topic AND @pipeline@._import_refuses(u.lead_id, c.occurred_at, w.channel, w.topic, coalesce(w.at, exported_at)))
        UNION ALL
        SELECT u.lead_id, 'marketing', w.channel, NULL, 'granted', 'consent', NULL, coalesce(w.at, (u.o ->> 'created_at')::timestamptz, exported_at)
        FROM ROWS FROM (unnest(lead_ids), jsonb_array_elements(records)) AS u (lead_id, o),
            jsonb_to_recordset(u.o -> 'opt_ins') AS w (channel text, at timestamptz)
        WHERE NOT EXISTS (SELECT FROM @pipeline@.consent c WHERE c.lead_id = u.lead_id AND c.purpose = 'marketing' AND c.status = 'granted'
            AND (c.channel IS NULL OR c.channel = w.channel) AND c.topic IS NULL)
        UNION ALL
        SELECT u.lead_id, 'marketing', 'email', NULL, 'granted', marketing_basis, NULL, coalesce((u.o ->> 'created_at')::timestamptz, exported_at)
        FROM ROWS FROM (unnest(lead_ids), jsonb_array_elements(records)) AS u (lead_id, o)
        WHERE marketing_basis IS NOT NULL AND u.o -> 'opt_ins' = '[]'
            AND NOT EXISTS (SELECT FROM jsonb_to_recordset(u.o -> 'opt_outs') AS w (channel text, topic text) WHERE w.channel = 'email' AND w.topic IS NULL)
            AND NOT EXISTS (SELECT FROM @pipeline@.consent c WHERE c.lead_id = u.lead_id AND c.purpose = 'marketing' AND c.topic IS NULL)
    ) s
    WHERE s.lead_id IS NOT NULL
    ORDER BY s.lead_id, s.purpose, s.channel, s.topic, s.status, s.occurred_at;
    GET DIAGNOSTICS n = ROW_COUNT;
    consents := consents + n;
    IF opt_outs > 0 THEN
        SELECT array_agg(u.lead_id) || refused INTO refused
        FROM ROWS FROM (unnest(lead_ids), jsonb_array_elements(records)) AS u (lead_id, o)
        WHERE u.lead_id IS NOT NULL AND u.o -> 'opt_outs' <> '[]';
        PERFORM @pipeline@._follow_consent(@pipeline@._same_address(array_remove(refused, NULL)), exported_at);
    END IF;

    -- Of rows that mean one lead the first tells what it is like.
    UPDATE @pipeline@.lead l
    SET email = v.email, phone = v.phone, organization = v.organization, market = v.market, country = v.country, language = v.language, time_zone = v.time_zone,
        channel = v.channel, campaign = v.campaign, owner = v.owner, persona = v.persona, objective = v.objective, complexity = v.complexity, profile = v.profile
    FROM (
        SELECT o.lead_id, coalesce(p.email, o.email) AS email, coalesce(p.phone, o.phone) AS phone, coalesce(p.organization, o.organization) AS organization,
            coalesce(p.market, o.market) AS market, coalesce(p.country, o.country) AS country, coalesce(p.language, o.language) AS language,
            coalesce(p.time_zone, o.time_zone) AS time_zone, coalesce(p.channel, o.channel) AS channel, coalesce(p.campaign, o.campaign) AS campaign,
            coalesce(p.owner, o.owner) AS owner, coalesce(p.persona, o.persona) AS persona, coalesce(p.objective, o.objective) AS objective,
            coalesce(p.complexity, o.complexity) AS complexity, CASE WHEN overwrite THEN o.profile || (r.o -> 'profile') ELSE (r.o -> 'profile') || o.profile END AS profile
        FROM (
            SELECT DISTINCT ON (u.lead_id) u.lead_id, u.o
            FROM ROWS FROM (unnest(lead_ids), jsonb_array_elements(records)) WITH ORDINALITY AS u (lead_id, o, place)
            WHERE u.lead_id IS NOT NULL
            ORDER BY u.lead_id, u.place
        ) r
            JOIN @pipeline@.lead o ON o.lead_id = r.lead_id
            CROSS JOIN LATERAL jsonb_to_record(jsonb_strip_nulls(jsonb_build_object('email', r.o -> 'email', 'phone', r.o -> 'phone')) || (r.o -> 'columns'))
                AS c (email text, phone text, organization text, market text, country text, language text, time_zone text, channel text, campaign text, owner text,
                    persona text, objective text, complexity text)
            CROSS JOIN LATERAL (VALUES (
                CASE WHEN lower(btrim(o.email) COLLATE "C") = c.email OR NOT overwrite THEN coalesce(o.email, c.email) ELSE c.email END,
                CASE WHEN overwrite THEN c.phone ELSE coalesce(o.phone, c.phone) END, CASE WHEN overwrite THEN c.organization ELSE coalesce(o.organization, c.organization) END,
                CASE WHEN overwrite THEN c.market ELSE coalesce(o.market, c.market) END, CASE WHEN overwrite THEN c.country ELSE coalesce(o.country, c.country) END,
                CASE WHEN overwrite THEN c.language ELSE coalesce(o.language, c.language) END, CASE WHEN overwrite THEN c.time_zone ELSE coalesce(o.time_zone, c.time_zone) END,
                CASE WHEN overwrite THEN c.channel ELSE coalesce(o.channel, c.channel) END, CASE WHEN overwrite THEN c.campaign ELSE coalesce(o.campaign, c.campaign) END,
                CASE WHEN overwrite THEN c.owner ELSE coalesce(o.owner, c.owner) END, CASE WHEN overwrite THEN c.persona ELSE coalesce(o.persona, c.persona) END,
                CASE WHEN overwrite THEN c.objective ELSE coalesce(o.objective, c.objective) END, CASE WHEN overwrite THEN c.complexity ELSE coalesce(o.complexity, c.complexity) END))
                AS p (email, phone, organization, market, country, language, time_zone, channel, campaign, owner, persona, objective, complexity)
    ) v
    WHERE l.lead_id = v.lead_id
        AND (l.email, l.phone, l.organization, l.market, l.country, l.language, l.time_zone, l.channel, l.campaign, l.owner, l.persona, l.objective, l.complexity, l.profile)
            IS DISTINCT FROM (v.email, v.phone, v.organization, v.market, v.country, v.language, v.time_zone, v.channel, v.campaign, v.owner, v.persona, v.objective, v.complexity, v.profile);
    GET DIAGNOSTICS changed = ROW_COUNT;

    -- A date that the file has no more was corrected there, and so was another one.
    DELETE FROM @pipeline@.event e
    USING ROWS FROM (unnest(lead_ids), unnest(names), jsonb_array_elements(records)) AS u (lead_id, name, o),
        jsonb_array_elements_text(options -> 'stages') s
    WHERE e.lead_id = u.lead_id AND e.source_id = u.name || ':' || s AND NOT (u.o -> 'stages') ? s;
    GET DIAGNOSTICS stages = ROW_COUNT;
    UPDATE @pipeline@.event e
    SET occurred_at = s.value::timestamptz
    FROM ROWS FROM (unnest(lead_ids), unnest(names), jsonb_array_elements(records)) AS u (lead_id, name, o),
        jsonb_each_text(u.o -> 'stages') s
    WHERE e.lead_id = u.lead_id AND e.source_id = u.name || ':' || s.key AND e.occurred_at <> s.value::timestamptz;
    GET DIAGNOSTICS n = ROW_COUNT;
    stages := stages + n;
    INSERT INTO @pipeline@.event (lead_id, kind, occurred_at, properties, source_id)
    SELECT s.lead_id, 'stage_set', s.at, jsonb_build_object('stage', s.stage, 'reason', 'import', 'by', source), s.source_id
    FROM (
        SELECT DISTINCT ON (u.lead_id, u.name, s.key) u.lead_id, s.value::timestamptz AS at, s.key AS stage, u.name || ':' || s.key AS source_id
        FROM ROWS FROM (unnest(lead_ids), unnest(names), jsonb_array_elements(records)) AS u (lead_id, name, o),
            jsonb_each_text(u.o -> 'stages') s
        UNION ALL
        SELECT u.lead_id, stage_at, u.o ->> 'stage', u.name || ':now:' || (u.o ->> 'stage')
        FROM ROWS FROM (unnest(lead_ids), unnest(names), jsonb_array_elements(records)) AS u (lead_id, name, o)
            JOIN @pipeline@.lead_state t ON t.lead_id = u.lead_id
        WHERE stage_at IS NOT NULL AND u.o ->> 'stage' <> t.stage::text
    ) s
    WHERE s.lead_id IS NOT NULL
        AND NOT EXISTS (SELECT FROM @pipeline@.event e WHERE e.lead_id = s.lead_id AND e.source_id = s.source_id)
        -- what was purged stays counted as it was
        AND NOT EXISTS (SELECT FROM @pipeline@.lead_checkpoint c WHERE c.lead_id = s.lead_id AND s.at < c.purged_before
            AND ('x' || left(md5(s.source_id), 16))::bit(64)::bigint = ANY (c.source_ids))
    -- of one instant the later one of the funnel counts
    ORDER BY s.lead_id, s.at, s.stage::leadscore.lead_stage;
    GET DIAGNOSTICS n = ROW_COUNT;
    stages := stages + n;
    PERFORM set_config('leadscore.enroll', enroll, true);
END
$$;
REVOKE EXECUTE ON FUNCTION _import_write(jsonb, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION _import_write(jsonb, text, jsonb) IS 'writes what _import_read() made of records';

CREATE OR REPLACE FUNCTION _import_refuses(lead_id bigint, said_at timestamptz, channel text, topic text, at timestamptz) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    RETURN said_at >= at OR NOT EXISTS (
        SELECT FROM @pipeline@.consent c
        WHERE c.lead_id = _import_refuses.lead_id AND c.purpose = 'marketing' AND c.status = 'granted' AND c.evidence IS NOT NULL
            AND c.occurred_at >= said_at AND (c.channel IS NULL OR c.channel = _import_refuses.channel)
            AND (c.topic IS NULL OR c.topic = _import_refuses.topic));
END
$$;
COMMENT ON FUNCTION _import_refuses(bigint, timestamptz, text, text, timestamptz) IS
    'whether a refusal that is recorded makes another one of an instant needless: it is not older, or nothing with evidence came after it';

CREATE OR REPLACE FUNCTION import_crm(staging regclass, source text, basis text DEFAULT NULL, marketing_basis text DEFAULT NULL, time_zone text DEFAULT NULL,
        date_order text DEFAULT NULL, exported_at timestamptz DEFAULT now(), stage_at timestamptz DEFAULT NULL, match_email boolean DEFAULT true,
        overwrite boolean DEFAULT true, mapping jsonb DEFAULT NULL,
        OUT rows_read bigint, OUT rejected bigint, OUT created bigint, OUT matched bigint, OUT changed bigint, OUT forgotten bigint, OUT stages bigint, OUT consents bigint,
        OUT opt_outs bigint)
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD' SET intervalstyle = 'postgres' SET extra_float_digits = 1
AS $$
#variable_conflict use_variable
DECLARE
    checked jsonb;
    statement record;
    options jsonb;
    records jsonb;
    batch jsonb;
    wrote record;
    no_basis bigint;
BEGIN
    PERFORM leadscore_internal.pipeline_on_this_node(@pipeline_name@);
    checked := @pipeline@._import_check(source, mapping, time_zone, date_order, basis, marketing_basis);
    IF exported_at > clock_timestamp() OR stage_at > clock_timestamp() THEN
        RAISE EXCEPTION '% must not lie ahead', CASE WHEN stage_at > clock_timestamp() THEN 'stage_at' ELSE 'exported_at' END
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass when the file was made.';
    END IF;
    SELECT * INTO statement FROM @pipeline@._import_query(staging, checked -> 'mapping');
    options := jsonb_build_object('basis', basis, 'marketing_basis', marketing_basis, 'match_email', coalesce(match_email, true), 'overwrite', coalesce(overwrite, true),
        'exported_at', coalesce(exported_at, now()), 'stage_at', stage_at, 'stages', statement.stages);
    SELECT 0, 0, 0, 0, 0, 0, 0, 0, 0 INTO rows_read, rejected, created, matched, changed, forgotten, stages, consents, opt_outs;
    FOR records IN EXECUTE statement.query LOOP
        SELECT jsonb_agg(to_jsonb(r) - 'problems' ORDER BY r.row), count(*) FILTER (WHERE r.basis IS NULL AND NOT r.rejected) INTO batch, no_basis
        FROM @pipeline@._import_read(records, checked -> 'mapping', checked ->> 'time_zone', date_order, stage_at IS NOT NULL) r;
        -- without one nobody of the file would be a lead
        IF basis IS NULL AND no_basis > 0 THEN
            RAISE EXCEPTION 'the export does not say on what legal basis people are kept'
                USING ERRCODE = 'invalid_parameter_value',
                    DETAIL = CASE WHEN statement.has_basis THEN format('Row %s is the first that does not.',
                        (SELECT r -> 'row' FROM jsonb_array_elements(batch) r WHERE r ->> 'basis' IS NULL AND NOT (r -> 'rejected')::boolean LIMIT 1)) ELSE 'There is no column of it.' END,
                    HINT = 'Pass basis => ''contract'', ''legitimate_interest'' or ''consent'' for these rows. With basis => ''none'' they stay visitors.';
        END IF;
        SELECT * INTO wrote FROM @pipeline@._import_write(batch, checked ->> 'source', options);
        rows_read := rows_read + jsonb_array_length(batch);
        rejected := rejected + (SELECT count(*) FROM jsonb_array_elements(batch) r WHERE (r -> 'rejected')::boolean);
        created := created + wrote.created;
        matched := matched + wrote.matched;
        changed := changed + wrote.changed;
        forgotten := forgotten + wrote.forgotten;
        stages := stages + wrote.stages;
        consents := consents + wrote.consents;
        opt_outs := opt_outs + wrote.opt_outs;
    END LOOP;
END
$$;
REVOKE EXECUTE ON FUNCTION import_crm(regclass, text, text, text, text, text, timestamptz, timestamptz, boolean, boolean, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION import_crm(regclass, text, text, text, text, text, timestamptz, timestamptz, boolean, boolean, jsonb) IS
    'makes leads, consent and stages of the rows of a table with an export of a CRM, see import_mapping(); import_problems() lists what was left out. Begins no sequence. A second call changes only what is different. Errors: 22023 for an argument that is not possible, and without basis if the export names none; 42703 if a column is missing';

CREATE OR REPLACE FUNCTION import_problems(staging regclass, source text, time_zone text DEFAULT NULL, date_order text DEFAULT NULL, mapping jsonb DEFAULT NULL)
    RETURNS TABLE ("row" bigint, record_id text, rejected boolean, problem text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD' SET intervalstyle = 'postgres' SET extra_float_digits = 1
AS $$
#variable_conflict use_column
DECLARE
    checked jsonb;
    statement record;
    records jsonb;
BEGIN
    PERFORM leadscore_internal.pipeline_schema(@pipeline_name@);
    checked := @pipeline@._import_check(source, mapping, time_zone, date_order, NULL, NULL);
    SELECT * INTO statement FROM @pipeline@._import_query(staging, checked -> 'mapping');
    FOR records IN EXECUTE statement.query LOOP
        RETURN QUERY
        SELECT r.row, r.record_id, r.rejected, p
        FROM @pipeline@._import_read(records, checked -> 'mapping', checked ->> 'time_zone', import_problems.date_order, false) r, unnest(r.problems) WITH ORDINALITY AS u (p, place)
        ORDER BY r.row, u.place;
    END LOOP;
END
$$;
REVOKE EXECUTE ON FUNCTION import_problems(regclass, text, text, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION import_problems(regclass, text, text, text, jsonb) IS
    'the problems of rows of a table with an export of a CRM: row counts them in the order in which they were loaded; rejected: of the row import_crm() takes only what the lead refuses; else it takes all but the problem. Writes nothing, so that it can be asked before an import';

CREATE OR REPLACE FUNCTION create_import_table(name text, header text, delimiter text DEFAULT ',') RETURNS regclass
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    path CONSTANT text[] := parse_ident(leadscore_internal.require_text('name', name));
    line text := rtrim(leadscore_internal.require_text('header', header), chr(13) || chr(10));
    place integer := 1;
    part text[];
    word text;
    columns text[] := '{}';
BEGIN
    -- a byte order mark; a planner that folds constants must not meet it elsewhere
    IF getdatabaseencoding() = 'UTF8' THEN
        line := replace(line, chr(65279), '');
    END IF;
    IF cardinality(path) > 2 OR length(delimiter) IS DISTINCT FROM 1 OR delimiter ~ '["[:alnum:]]' THEN
        RAISE EXCEPTION '%', CASE WHEN cardinality(path) > 2 THEN format('"%s" is no name of a table', name) ELSE format('delimiter cannot be "%s"', delimiter) END
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass something like public.hubspot_contacts, the first line of the file, and the separator of its columns.';
    END IF;
    WHILE place <= length(line) + 1 LOOP
        part := coalesce(regexp_match(substr(line, place), '^ *"((?:[^"]|"")*)" *'), ARRAY[NULL]);
        IF part[1] IS NOT NULL THEN
            word := replace(part[1], '""', '"');
            place := place + length((regexp_match(substr(line, place), '^ *"(?:[^"]|"")*" *'))[1]);
        ELSE
            word := split_part(substr(line, place), delimiter, 1);
            place := place + length(word);
        END IF;
        word := coalesce(nullif(btrim(word), ''), 'column ' || cardinality(columns) + 1)::name;
        -- two columns may be called alike in a file
        IF word = ANY (columns) THEN
            word := left(word, 14) || ' ' || cardinality(columns) + 1;
        END IF;
        columns := columns || word;
        place := place + 1;
    END LOOP;
    EXECUTE format('CREATE TABLE %I.%I (%s)', CASE cardinality(path) WHEN 2 THEN path[1] ELSE 'public' END, path[cardinality(path)],
        (SELECT string_agg(format('%I text', c), ', ' ORDER BY o) FROM unnest(columns) WITH ORDINALITY AS u (c, o)));
    RETURN format('%I.%I', CASE cardinality(path) WHEN 2 THEN path[1] ELSE 'public' END, path[cardinality(path)])::regclass;
END
$$;
REVOKE EXECUTE ON FUNCTION create_import_table(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION create_import_table(text, text, text) IS
    'makes a table of columns of type text for a file, whose first line is header: for import_crm(). Without a schema it is made in public';
