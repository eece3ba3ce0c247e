/* leadscore: when a message may go out: time zones, delays, hours, periods */

-- Instants are converted to wall clock with timezone(), which these functions
-- are as immutable as. Sums are those of timestamps in UTC: a sum of an instant
-- and days would depend on the time zone of the session.

-- The first argument comes from leads. A POSIX specification such as UTC+2 is
-- no name: PostgreSQL reads it as two hours west of Greenwich, and the app that
-- wrote it meant two hours east. The second one is a setting, and may be all
-- that timezone() takes. Not parallel: up to PostgreSQL 16 a parallel query may
-- not begin the subtransaction that catches the error.
CREATE FUNCTION leadscore_internal.known_zone(zone text, other text) RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF zone !~ '[0-9]' OR zone ~* '^(Etc/GMT[-+]?[0-9]{1,2}|GMT[-+]?0|(EST5E|CST6C|MST7M|PST8P)DT)$' THEN
		BEGIN
			PERFORM pg_catalog.timezone(zone, timestamptz '2000-01-01 00:00+00');
			RETURN zone;
		EXCEPTION
			WHEN invalid_parameter_value OR config_file_error THEN
				NULL;
		END;
	END IF;
	IF other IS NOT NULL THEN
		BEGIN
			PERFORM pg_catalog.timezone(other, timestamptz '2000-01-01 00:00+00');
			RETURN other;
		EXCEPTION
			WHEN invalid_parameter_value OR config_file_error THEN
				NULL;
		END;
	END IF;
	RETURN 'UTC';
END
$$;
COMMENT ON FUNCTION leadscore_internal.known_zone(text, text) IS
	'the first name if PostgreSQL knows a time zone of that name, else the second if it is known, else UTC';

-- The offset of a zone is constant within a second. At the end it must differ
-- from that at the beginning. Between them there is one change: zones change
-- weeks apart, and callers look at days.
CREATE FUNCTION leadscore_internal.offset_change(after_utc timestamp, until_utc timestamp, zone text) RETURNS timestamp
	LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	low timestamp := date_trunc('second', after_utc);
	high timestamp := date_trunc('second', until_utc);
	middle timestamp;
	zone_offset interval := timezone(zone, timezone('UTC', low)) - low;
BEGIN
	WHILE high > low + interval '1 second' LOOP
		middle := date_trunc('second', low + (high - low) / 2);
		IF timezone(zone, timezone('UTC', middle)) - middle = zone_offset THEN
			low := middle;
		ELSE
			high := middle;
		END IF;
	END LOOP;
	RETURN high;
END
$$;
COMMENT ON FUNCTION leadscore_internal.offset_change(timestamp, timestamp, text) IS
	'the instant, in UTC, at which a time zone leaves the offset that it has at the first instant, by the second one';

-- AT TIME ZONE takes the second of two, and in a gap an instant that is later
-- by what is left of the gap. The two days are more than any zone ever moved.
CREATE FUNCTION leadscore_internal.wall_begins(wall timestamp, zone text) RETURNS timestamptz
	LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	at timestamptz := timezone(zone, wall);
	utc timestamp := timezone('UTC', at);
	before timestamp := utc - interval '2 days';
	old_offset interval := timezone(zone, timezone('UTC', before)) - before;
	change timestamp;
BEGIN
	IF wall - utc = old_offset AND timezone(zone, at) = wall THEN
		RETURN at;
	END IF;
	-- a gap that ends at or before the instant, or a change that may repeat it
	change := leadscore_internal.offset_change(before, utc, zone);
	IF wall - old_offset < change THEN
		RETURN timezone('UTC', wall - old_offset);
	END IF;
	RETURN timezone('UTC', greatest(change, wall - (timezone(zone, timezone('UTC', change)) - change)));
END
$$;
COMMENT ON FUNCTION leadscore_internal.wall_begins(timestamp, text) IS
	'the first instant at which the wall clock of a time zone shows this time or, if the clock skips it, a later one';

-- A delay without days must not go through the wall clock: in the hour that
-- comes twice, the first would become the second. Not delay = '0': a month less
-- 30 days is equal to nothing.
CREATE FUNCTION leadscore_internal.add_wall_time(at timestamptz, delay interval, zone text) RETURNS timestamptz
	LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	days interval;
BEGIN
	IF NOT isfinite(at) THEN
		RETURN at;
	END IF;
	IF NOT isfinite(delay) OR date_part('day', delay) = 0 AND date_part('month', delay) = 0 AND date_part('year', delay) = 0 THEN
		RETURN at + delay;
	END IF;
	days := date_trunc('day', delay);
	RETURN timezone(zone, timezone(zone, at) + days) + (delay - days);
END
$$;
COMMENT ON FUNCTION leadscore_internal.add_wall_time(timestamptz, interval, text) IS
	'an instant and a delay: first months and days by the wall clock of a time zone, then hours, minutes and seconds that pass';

-- While the offset stays, the wall clock runs evenly, and the first allowed
-- instant is the next beginning of a window. When it changes the clock jumps,
-- perhaps into a window or past it: so look again from the instant of the
-- change.
CREATE FUNCTION leadscore_internal.next_allowed(at timestamptz, zone text, not_before time, not_after time, weekdays integer[]) RETURNS timestamptz
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	opens time := coalesce(not_before, '00:00');
	closes time := coalesce(not_after, '24:00');
	result timestamptz := at;
	utc timestamp;
	wall timestamp;
	target timestamp;
	begins timestamp;
	day date;
BEGIN
	IF at IS NULL OR NOT isfinite(at) THEN
		RETURN at;
	END IF;
	IF zone IS NULL THEN
		RAISE EXCEPTION 'time zone must not be null'
			USING ERRCODE = 'null_value_not_allowed', HINT = 'Pass a name from pg_timezone_names, such as UTC or Europe/Madrid.';
	END IF;
	-- an element that is NULL is not contained either
	IF weekdays = '{}' OR NOT weekdays <@ '{1,2,3,4,5,6,7}' THEN
		RAISE EXCEPTION 'invalid weekdays %', weekdays
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass numbers from 1 (Monday) to 7 (Sunday), at least one, or NULL for every day.';
	END IF;
	-- from midnight to midnight, however written, is the whole day too
	IF opens = closes OR opens = '24:00' AND closes = '00:00' THEN
		opens := '00:00';
		closes := '24:00';
	END IF;
	LOOP
		wall := timezone(zone, result);
		day := wall::date;
		IF opens < closes THEN
			IF wall >= day + opens AND wall < day + closes
				AND (weekdays IS NULL OR date_part('isodow', day)::integer = ANY (weekdays))
			THEN
				RETURN result;
			END IF;
		ELSIF wall >= day + opens AND (weekdays IS NULL OR date_part('isodow', day)::integer = ANY (weekdays))
			OR wall < day + closes AND (weekdays IS NULL OR date_part('isodow', day - 1)::integer = ANY (weekdays))
		THEN
			RETURN result;
		END IF;

		IF wall >= day + opens THEN
			day := day + 1;
		END IF;
		WHILE NOT date_part('isodow', day)::integer = ANY (weekdays) LOOP
			day := day + 1;
		END LOOP;
		begins := day + opens;
		utc := timezone('UTC', result);
		target := begins - (wall - utc);
		result := timezone('UTC', target);
		IF timezone(zone, result) = begins THEN
			RETURN result;
		END IF;
		result := timezone('UTC', leadscore_internal.offset_change(utc, target, zone));
	END LOOP;
END
$$;
COMMENT ON FUNCTION leadscore_internal.next_allowed(timestamptz, text, time, time, integer[]) IS
	'the first instant not before this one at which the wall clock of a time zone is within hours of one of the weekdays (1 Monday to 7 Sunday; NULL: every day)';

-- The hours of both repeat every week, and what they have in common too. A week
-- may lose it to a change of the clock, but not five weeks one after another:
-- what is not found then is never found.
CREATE FUNCTION leadscore_internal.next_allowed_of_both(at timestamptz, zone text,
	a_not_before time, a_not_after time, a_weekdays integer[],
	b_not_before time, b_not_after time, b_weekdays integer[]) RETURNS timestamptz
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a timestamptz := leadscore_internal.next_allowed(at, zone, a_not_before, a_not_after, a_weekdays);
	b timestamptz;
BEGIN
	LOOP
		b := leadscore_internal.next_allowed(a, zone, b_not_before, b_not_after, b_weekdays);
		IF b = a OR b IS NULL THEN
			RETURN b;
		END IF;
		a := leadscore_internal.next_allowed(b, zone, a_not_before, a_not_after, a_weekdays);
		IF a = b THEN
			RETURN a;
		END IF;
		IF a > at + interval '840 hours' THEN
			RETURN NULL;
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION leadscore_internal.next_allowed_of_both(timestamptz, text, time, time, integer[], time, time, integer[]) IS
	'the first instant not before this one that lies within the hours of both, as next_allowed() finds them; NULL if they have none in common';

-- A period begins when the clock first shows its beginning, so periods never
-- overlap. A clock that is set back over midnight shows the old day again: that
-- hour belongs to the new one.
CREATE FUNCTION leadscore_internal.period_bounds(at timestamptz, zone text, period text, OUT starts_at timestamptz, OUT ends_at timestamptz)
	LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	wall timestamp;
	length interval := CASE period WHEN 'day' THEN interval '1 day' WHEN 'week' THEN interval '7 days' WHEN 'month' THEN interval '1 month' END;
BEGIN
	IF length IS NULL THEN
		RAISE EXCEPTION 'invalid period "%"', period
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass day, week or month.';
	END IF;
	IF NOT isfinite(at) THEN
		starts_at := at;
		ends_at := at;
		RETURN;
	END IF;
	wall := date_trunc(period, timezone(zone, at));
	ends_at := leadscore_internal.wall_begins(wall + length, zone);
	IF ends_at <= at THEN
		starts_at := ends_at;
		ends_at := leadscore_internal.wall_begins(wall + 2 * length, zone);
	ELSE
		starts_at := leadscore_internal.wall_begins(wall, zone);
	END IF;
END
$$;
COMMENT ON FUNCTION leadscore_internal.period_bounds(timestamptz, text, text) IS
	'begin and end of the day, week (from Monday) or month of a time zone in which an instant falls';

CREATE FUNCTION leadscore_internal.period_start(at timestamptz, zone text, period text) RETURNS timestamptz
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT (leadscore_internal.period_bounds(period_start.at, period_start.zone, period_start.period)).starts_at;
END;
COMMENT ON FUNCTION leadscore_internal.period_start(timestamptz, text, text) IS
	'begin of the day, week (from Monday) or month of a time zone in which an instant falls';

CREATE FUNCTION leadscore_internal.period_end(at timestamptz, zone text, period text) RETURNS timestamptz
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT (leadscore_internal.period_bounds(period_end.at, period_end.zone, period_end.period)).ends_at;
END;
COMMENT ON FUNCTION leadscore_internal.period_end(timestamptz, text, text) IS
	'end of the day, week (from Monday) or month of a time zone in which an instant falls: the begin of the next one';

-- Open time is time that passes while the wall clock is within the hours: a
-- night shift of the day on which summer time begins is an hour shorter. So
-- the walk goes from change to change of the offset, at most to the end of the
-- week, and four weeks at once if the offset at their end is the same.
CREATE FUNCTION leadscore_internal.add_business_time(at timestamptz, work interval, zone text, weekdays integer[], opens time[], closes time[]) RETURNS timestamptz
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	begins interval[];
	ends interval[];
	week interval;
	remaining interval;
	utc timestamp;
	wall timestamp;
	monday timestamp;
	target timestamp;
	stops timestamp;
	first timestamp;
	last timestamp;
BEGIN
	IF at IS NULL OR work IS NULL OR zone IS NULL THEN
		RETURN NULL;
	END IF;
	IF NOT isfinite(at) THEN
		RETURN at;
	END IF;
	IF NOT isfinite(work) THEN
		RETURN at + work;
	END IF;
	-- a day is 24 hours here
	remaining := extract(epoch FROM work) * interval '1 second';
	IF remaining <= interval '0' THEN
		RETURN at;
	END IF;
	IF coalesce(cardinality(weekdays), 0) = 0 THEN
		RETURN at + remaining;
	END IF;
	IF EXISTS (SELECT FROM unnest(weekdays, opens, closes) AS h (weekday, o, c) WHERE (weekday BETWEEN 1 AND 7 AND o < c) IS NOT TRUE) THEN
		RAISE EXCEPTION 'invalid business hours'
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Each weekday is a number from 1 (Monday) to 7 (Sunday), and opens before it closes.';
	END IF;

	-- the hours of a week, one after another, as microseconds since Monday 00:00
	SELECT array_agg(lower(r) * interval '1 microsecond' ORDER BY r), array_agg(upper(r) * interval '1 microsecond' ORDER BY r),
		sum(upper(r) - lower(r)) * interval '1 microsecond'
	INTO begins, ends, week
	FROM (
		SELECT range_agg(int8range(
			(((weekday - 1) * 86400 + extract(epoch FROM o)) * 1000000)::bigint,
			(((weekday - 1) * 86400 + extract(epoch FROM c)) * 1000000)::bigint))
		FROM unnest(weekdays, opens, closes) AS h (weekday, o, c)
	) AS hours (all_of_them), unnest(all_of_them) r;

	utc := timezone('UTC', at);
	LOOP
		IF utc >= timestamp '9999-01-01' THEN
			RAISE EXCEPTION 'business time out of range'
				USING ERRCODE = 'datetime_field_overflow', DETAIL = format('%s of open time end after the year 9998.', work);
		END IF;
		wall := timezone(zone, timezone('UTC', utc));
		monday := date_trunc('week', wall);
		IF wall = monday AND remaining > 4 * week THEN
			target := utc + interval '28 days';
			IF timezone(zone, timezone('UTC', target)) = monday + interval '28 days' THEN
				remaining := remaining - 4 * week;
				utc := target;
				CONTINUE;
			END IF;
		END IF;

		-- up to Monday or to the change of the offset, the clock runs evenly
		target := monday + interval '7 days' - (wall - utc);
		IF timezone(zone, timezone('UTC', target)) <> monday + interval '7 days' THEN
			target := leadscore_internal.offset_change(utc, target, zone);
		END IF;
		stops := wall + (target - utc);
		FOR i IN 1 .. cardinality(begins) LOOP
			first := greatest(wall, monday + begins[i]);
			last := least(stops, monday + ends[i]);
			CONTINUE WHEN first >= last;
			IF remaining <= last - first THEN
				RETURN timezone('UTC', utc + (first - wall) + remaining);
			END IF;
			remaining := remaining - (last - first);
		END LOOP;
		utc := target;
	END LOOP;
END
$$;
COMMENT ON FUNCTION leadscore_internal.add_business_time(timestamptz, interval, text, integer[], time[], time[]) IS
	'the instant at which so much time within business hours has passed; hours are rows of weekday (1 Monday to 7 Sunday), opens and closes; no rows: always open';

-- For views, which must not fail: what is too far ahead, or takes more than a
-- month of work, is counted by the calendar.
CREATE FUNCTION leadscore_internal.due_after(at timestamptz, work interval, zone text, weekdays integer[], opens time[], closes time[]) RETURNS timestamptz
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE WHEN due_after.weekdays IS NULL OR due_after.at >= timestamptz '8000-01-01 00:00:00+00' OR due_after.work > interval '31 days'
		THEN timezone('UTC', timezone('UTC', due_after.at) + due_after.work)
		ELSE leadscore_internal.add_business_time(due_after.at, due_after.work, due_after.zone, due_after.weekdays, due_after.opens, due_after.closes) END;
END;
COMMENT ON FUNCTION leadscore_internal.due_after(timestamptz, interval, text, integer[], time[], time[]) IS
	'the instant until which something of a month at most is due, by business hours if there are any';
