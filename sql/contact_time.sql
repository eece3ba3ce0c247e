--
-- The arithmetic of time of messages: zones, delays, hours, periods, open time.
-- Right results were found by hand, from the offsets of the zones.
--
SET timezone = 'UTC';
-- What is named here is no part of the interface: shorter names.
SET search_path = public, leadscore_internal;

-- Zones: a name that is known, whatever its case; else the other; else UTC
SELECT zone, other, known_zone(zone, other) FROM (VALUES
    (1, 'Europe/Madrid', 'Asia/Tokyo'), (2, 'europe/madrid', 'Asia/Tokyo'), (3, 'Europe/Nowhere', 'Asia/Tokyo'),
    (4, NULL, 'Asia/Tokyo'), (5, '', 'Asia/Tokyo'), (6, 'Europe/Madrid ', 'Asia/Tokyo'), (7, 'Europe/Nowhere', 'Mars/Olympus'),
    (8, 'Europe/Nowhere', NULL), (9, NULL, NULL), (10, 'UTC+2', 'Asia/Tokyo'), (11, '+02:00', 'Asia/Tokyo'), (12, 'Etc/GMT-2', 'Asia/Tokyo'),
    (13, 'EST5EDT', 'Asia/Tokyo'), (14, 'CEST', 'Asia/Tokyo'), (15, '../../etc/passwd', 'Asia/Tokyo'), (16, 'Europe/Nowhere', '<+02>-02')
    ) AS z (n, zone, other) ORDER BY n;
SELECT known_zone(repeat('x', 100000), 'Asia/Tokyo');

-- Delays: days and months by the wall clock, what is below a day as it passes
SELECT timezone(zone, at) AS wall, delay, add_wall_time(at, delay, zone) AS utc, timezone(zone, add_wall_time(at, delay, zone)) AS wall_then
FROM (VALUES
    -- two days from Friday 18:30, over the begin of summer time
    (1, timestamptz '2026-03-27 17:30Z', interval '2 days', 'Europe/Madrid'),
    (2, '2026-03-27 17:30Z', '48 hours', 'Europe/Madrid'),
    -- 02:30 does not exist on 29 March, and is twice on 25 October: the second
    (3, '2026-03-28 01:30Z', '1 day', 'Europe/Madrid'),
    (4, '2026-10-24 00:30Z', '1 day', 'Europe/Madrid'),
    -- nothing, or hours, in the first of the two hours: no day, no wall clock
    (5, '2026-10-25 00:30Z', '0', 'Europe/Madrid'),
    (6, '2026-10-25 00:30Z', '30 minutes', 'Europe/Madrid'),
    (7, '2026-03-28 01:30Z', '1 day 1 hour', 'Europe/Madrid'),
    (8, '2026-01-31 11:00Z', '1 month', 'Europe/Madrid'),
    (9, '2026-01-31 11:00Z', '1 month 1 day', 'Europe/Madrid'),
    -- equal to nothing, but not nothing
    (10, '2026-01-31 11:00Z', '1 month -30 days', 'Europe/Madrid'),
    (11, '2026-11-01 00:00Z', '-1 week', 'America/Los_Angeles'),
    (12, '2011-12-29 22:00Z', '1 day', 'Pacific/Apia'),
    (13, '2011-12-29 22:00Z', '2 days', 'Pacific/Apia'),
    (14, 'infinity', '1 day', 'Europe/Madrid'),
    (15, '-infinity', '1 hour', 'Europe/Madrid'),
    (16, NULL, '1 day', 'Europe/Madrid')
    ) AS d (n, at, delay, zone) ORDER BY n;
-- whatever the session's zone is
SET timezone = 'America/Los_Angeles';
SELECT add_wall_time('2026-03-27 17:30Z', '2 days', 'Europe/Madrid') = '2026-03-29 16:30Z' AS same,
    next_allowed('2026-03-08 05:00Z', 'UTC', '08:00', '21:00', '{1}') = '2026-03-09 08:00Z' AS same,
    add_business_time('2026-03-06 20:00Z', '2 days', 'UTC', '{6,7,1}', '{00:00,00:00,00:00}', '{24:00,24:00,24:00}') = '2026-03-09 00:00Z' AS same,
    add_business_time('2026-03-06 20:00Z', '2 days', 'UTC', '{}', '{}', '{}') = '2026-03-08 20:00Z' AS same;
SET timezone = 'UTC';

-- Hours
SELECT n, to_char(timezone(zone, at), 'Dy DD HH24:MI:SS') AS wall, not_before, not_after, weekdays,
    next_allowed(at, zone, not_before, not_after, weekdays) AS utc,
    to_char(timezone(zone, next_allowed(at, zone, not_before, not_after, weekdays)), 'Dy DD HH24:MI:SS') AS wall_then
FROM (VALUES
    -- the step of two days, 09:00 to 18:00 from Monday to Friday
    (1, timestamptz '2026-03-29 16:30Z', 'Europe/Madrid', time '09:00', time '18:00', '{1,2,3,4,5}'::int[]),
    -- 02:00 in Los Angeles
    (2, '2026-11-30 10:00Z', 'America/Los_Angeles', '08:00', '21:00', NULL),
    -- half-open
    (3, '2026-06-01 07:00Z', 'Europe/Madrid', '09:00', '18:00', NULL),
    (4, '2026-06-01 15:59:59.999999Z', 'Europe/Madrid', '09:00', '18:00', NULL),
    (5, '2026-06-01 16:00Z', 'Europe/Madrid', '09:00', '18:00', NULL),
    -- no hours; no begin; no end
    (6, '2026-06-01 16:00:00.5Z', 'Europe/Madrid', NULL, NULL, NULL),
    (7, '2026-06-01 16:00Z', 'Europe/Madrid', NULL, '12:00', NULL),
    (8, '2026-06-01 04:00Z', 'Europe/Madrid', '18:00', NULL, NULL),
    (9, '2026-06-05 10:00Z', 'Europe/Madrid', NULL, NULL, '{3}'),
    -- equal: the whole day, from midnight
    (10, '2026-06-05 10:00Z', 'Europe/Madrid', '09:00', '09:00', '{6}'),
    (11, '2026-06-06 01:00Z', 'Europe/Madrid', '09:00', '09:00', '{6}'),
    -- past midnight, of the weekday on which it begins: Friday's ends on Saturday
    (12, '2026-06-05 23:00Z', 'Europe/Madrid', '22:00', '02:00', '{5}'),
    (13, '2026-06-06 00:00Z', 'Europe/Madrid', '22:00', '02:00', '{5}'),
    (14, '2026-06-04 23:00Z', 'Europe/Madrid', '22:00', '02:00', '{5}'),
    (15, '2026-06-05 12:00Z', 'Europe/Madrid', '22:00', '00:00', '{7}'),
    (16, '2026-06-07 23:00Z', 'Europe/Madrid', '22:00', '02:00', '{7}'),
    -- from 24:00 of Friday is on Saturday
    (17, '2026-06-05 12:00Z', 'Europe/Madrid', '24:00', '02:00', '{5}'),
    (18, '2026-06-05 22:30Z', 'Europe/Madrid', '24:00', '02:00', '{5}'),
    -- midnight to midnight: the whole day
    (42, '2026-06-05 10:00Z', 'Europe/Madrid', '24:00', '00:00', '{5}'),
    (43, '2026-06-05 10:00Z', 'Europe/Madrid', '24:00', '00:00', '{6}'),
    -- summer time begins: the window is lost; loses its first half; is entered by the jump
    (19, '2026-03-29 00:00Z', 'Europe/Madrid', '02:15', '02:45', NULL),
    (20, '2026-03-29 00:00Z', 'Europe/Madrid', '02:30', '03:30', NULL),
    (21, '2026-03-29 00:00Z', 'Europe/Madrid', '03:00', '03:30', NULL),
    (22, '2026-03-29 00:00Z', 'Europe/Madrid', '02:15', '02:45', '{7}'),
    -- and ends: the first of two; the second, when the first is over; back into the window
    (23, '2026-10-24 23:00Z', 'Europe/Madrid', '02:15', '02:45', NULL),
    (24, '2026-10-25 00:50Z', 'Europe/Madrid', '02:15', '02:45', NULL),
    (25, '2026-10-25 01:45Z', 'Europe/Madrid', '02:15', '02:45', NULL),
    (26, '2026-10-25 00:45Z', 'Europe/Madrid', '01:30', '02:30', NULL),
    (27, '2026-10-25 00:45:30.25Z', 'Europe/Madrid', '01:30', '02:30', NULL),
    (28, '2026-03-08 09:00Z', 'America/Los_Angeles', '02:00', '03:00', NULL),
    (29, '2026-11-01 07:00Z', 'America/Los_Angeles', '01:30', '02:00', '{7}'),
    -- half an hour and a quarter
    (30, '2026-06-01 00:00Z', 'Asia/Kolkata', '09:00', '18:00', NULL),
    (31, '2026-06-01 00:00Z', 'Asia/Kathmandu', '09:00', '18:00', NULL),
    (32, '2026-04-04 14:00Z', 'Australia/Lord_Howe', '01:15', '01:20', NULL),
    (33, '2026-04-04 14:55Z', 'Australia/Lord_Howe', '01:40', '01:45', NULL),
    -- a day that is left out: Friday 30 December 2011
    (34, '2011-12-30 06:00Z', 'Pacific/Apia', '09:00', '18:00', NULL),
    (35, '2011-12-30 06:00Z', 'Pacific/Apia', '09:00', '18:00', '{5}'),
    (36, '2011-12-30 06:00Z', 'Pacific/Apia', NULL, NULL, '{5}'),
    (37, '2011-12-30 06:00Z', 'Pacific/Apia', '22:00', '02:00', '{5}'),
    (38, '2011-12-30 06:00Z', 'Pacific/Apia', NULL, NULL, '{6}'),
    (39, 'infinity', 'Europe/Madrid', '09:00', '18:00', '{1}'),
    (40, '-infinity', 'Europe/Madrid', '09:00', '18:00', '{1}'),
    (41, NULL, 'Europe/Madrid', '09:00', '18:00', '{1}')
    ) AS h (n, at, zone, not_before, not_after, weekdays) ORDER BY n;
SELECT next_allowed('2026-06-01Z', 'UTC', '09:00', '18:00', '{}');
SELECT next_allowed('2026-06-01Z', 'UTC', '09:00', '18:00', '{0}');
SELECT next_allowed('2026-06-01Z', 'UTC', '09:00', '18:00', '{1,8}');
SELECT next_allowed('2026-06-01Z', 'UTC', '09:00', '18:00', '{1,NULL}');
SELECT next_allowed('2026-06-01Z', NULL, '09:00', '18:00', NULL);

-- Hours of a step and of a channel
SELECT n, next_allowed_of_both(at, 'Europe/Madrid', a, b, c, d, e, f) AS utc FROM (VALUES
    (1, timestamptz '2026-06-05 10:00Z', time '09:00', time '18:00', NULL::int[], time '08:00', time '21:00', NULL::int[]),
    (2, '2026-06-05 17:00Z', '09:00', '18:00', '{1,2,3,4,5}', '08:00', '21:00', NULL),
    (3, '2026-06-05 17:00Z', '09:00', '18:00', '{1,2,3,4,5}', '12:00', '21:00', '{2,6}'),
    (4, '2026-06-05 17:00Z', '22:00', '02:00', '{5}', '01:00', '09:00', '{6}'),
    (5, '2026-06-05 17:00Z', '09:00', '12:00', NULL, '12:00', '18:00', NULL),
    (6, '2026-06-05 17:00Z', NULL, NULL, '{1}', NULL, NULL, '{2}'),
    -- in common they have only Sunday 02:00 to 02:30, which 29 March leaves out
    (7, '2026-03-29 00:00Z', '01:00', '02:30', NULL, '02:00', '03:00', '{7}'),
    (8, 'infinity', '09:00', '12:00', NULL, '12:00', '18:00', NULL),
    (9, NULL, '09:00', '12:00', NULL, '12:00', '18:00', NULL)
    ) AS h (n, at, a, b, c, d, e, f) ORDER BY n;

-- Periods
SELECT n, zone, at, period, period_start(at, zone, period), period_end(at, zone, period) FROM (VALUES
    (1, timestamptz '2026-03-29 12:00Z', 'Europe/Madrid', 'day'),
    (2, '2026-10-25 12:00Z', 'Europe/Madrid', 'day'),
    (3, '2026-10-25 12:00Z', 'Europe/Madrid', 'week'),
    (4, '2026-10-25 23:00Z', 'Europe/Madrid', 'week'),
    (5, '2026-10-25 12:00Z', 'Europe/Madrid', 'month'),
    (6, '2026-01-01 07:59:59.999999Z', 'America/Los_Angeles', 'month'),
    (7, '2026-01-01 00:00Z', 'Asia/Kolkata', 'day'),
    -- 00:00 does not exist, and is twice
    (8, '2026-09-06 12:00Z', 'America/Santiago', 'day'),
    (9, '2024-11-03 04:30Z', 'America/Havana', 'day'),
    (10, '2024-11-03 05:30Z', 'America/Havana', 'day'),
    (11, '2024-11-03 03:59Z', 'America/Havana', 'day'),
    -- Sao Paulo had 23:00 to 24:00 twice; 23:30 to 00:30 was left out in Toronto;
    -- at 00:01 the clock of Saint John's went back to 23:01
    (12, '2019-02-17 02:30Z', 'America/Sao_Paulo', 'day'),
    (13, '1919-03-31 12:00Z', 'America/Toronto', 'day'),
    (14, '1919-03-31 04:00Z', 'America/Toronto', 'day'),
    (15, '2010-11-07 02:30:30Z', 'America/St_Johns', 'day'),
    (16, '2010-11-07 02:59Z', 'America/St_Johns', 'day'),
    (17, '2010-11-07 02:29:59Z', 'America/St_Johns', 'day'),
    (18, '2011-12-30 09:00Z', 'Pacific/Apia', 'day'),
    (19, '2011-12-30 10:00Z', 'Pacific/Apia', 'day'),
    (20, '2011-12-30 10:00Z', 'Pacific/Apia', 'week'),
    (21, 'infinity', 'Europe/Madrid', 'day'),
    (22, NULL, 'Europe/Madrid', 'day')
    ) AS p (n, at, zone, period) ORDER BY n;
SELECT period_start('2026-06-01Z', 'UTC', 'year');

-- Open time
SELECT n, to_char(timezone('Europe/Madrid', at), 'Dy DD Mon HH24:MI') AS wall, work, add_business_time(at, work, 'Europe/Madrid', d, o, c) AS utc,
    to_char(timezone('Europe/Madrid', add_business_time(at, work, 'Europe/Madrid', d, o, c)), 'Dy DD Mon HH24:MI:SS.US') AS wall_then
FROM (VALUES
    -- an hour from Friday 17:30, the office opens at 09:00 on Monday
    (1, timestamptz '2026-06-05 15:30Z', interval '1 hour', '{1,2,3,4,5}'::int[], '{09:00,09:00,09:00,09:00,09:00}'::time[], '{18:00,18:00,18:00,18:00,18:00}'::time[]),
    -- what ends at 18:00 ends then, not on Monday
    (2, '2026-06-05 15:30Z', '30 minutes', '{1,5}', '{09:00,09:00}', '{18:00,18:00}'),
    (3, '2026-06-05 15:30Z', '30 minutes 0.000001 seconds', '{1,5}', '{09:00,09:00}', '{18:00,18:00}'),
    (4, '2026-06-06 10:00Z', '1 hour', '{1,5}', '{09:00,09:00}', '{18:00,18:00}'),
    -- two rows a day with a break, in any order; and rows that overlap
    (5, '2026-06-05 10:00Z', '4 hours', '{5,5}', '{15:00,09:00}', '{18:00,13:00}'),
    (6, '2026-06-05 10:00Z', '4 hours', '{5,5,5}', '{09:00,12:00,14:00}', '{14:00,13:00,18:00}'),
    (7, '2026-06-05 10:00Z', '0', '{1}', '{09:00}', '{18:00}'),
    (8, '2026-06-05 10:00Z', '-1 hour', '{1}', '{09:00}', '{18:00}'),
    (9, '2026-06-05 10:00Z', '1 hour', '{}', '{}', '{}'),
    (10, '2026-06-05 10:00Z', '1 day', NULL, NULL, NULL),
    -- a night without an hour, and one with an hour more; always open
    (11, '2026-03-29 00:00Z', '3 hours', '{7}', '{00:00}', '{24:00}'),
    (12, '2026-10-24 23:00Z', '3 hours', '{7}', '{00:00}', '{24:00}'),
    (13, '2026-03-28 12:00Z', '7 days', '{1,2,3,4,5,6,7}', '{00:00,00:00,00:00,00:00,00:00,00:00,00:00}', '{24:00,24:00,24:00,24:00,24:00,24:00,24:00}'),
    -- only the hour that 25 October has twice: both count; and that 29 March has not
    (14, '2026-10-24 12:00Z', '90 minutes', '{7}', '{02:00}', '{03:00}'),
    (15, '2026-03-28 12:00Z', '10 minutes', '{7}', '{02:00}', '{03:00}'),
    -- Monday's first second, and years: 52 weeks of 40 hours; ten years without a pause
    (16, '2026-01-04 23:00Z', '2080 hours', '{1,2,3,4,5}', '{09:00,09:00,09:00,09:00,09:00}', '{17:00,17:00,17:00,17:00,17:00}'),
    (17, '2026-01-04 23:00Z', '87672 hours', '{1,2,3,4,5,6,7}', '{00:00,00:00,00:00,00:00,00:00,00:00,00:00}', '{24:00,24:00,24:00,24:00,24:00,24:00,24:00}'),
    (18, 'infinity', '1 hour', '{1}', '{09:00}', '{18:00}'),
    (19, NULL, '1 hour', '{1}', '{09:00}', '{18:00}')
    ) AS b (n, at, work, d, o, c) ORDER BY n;
SELECT add_business_time('2026-06-05 10:00Z', '100000 years', 'UTC', '{1}', '{09:00}', '{18:00}');
SELECT add_business_time('2026-06-05 10:00Z', '1 hour', 'UTC', '{8}', '{09:00}', '{18:00}');
SELECT add_business_time('2026-06-05 10:00Z', '1 hour', 'UTC', '{1}', '{18:00}', '{09:00}');
SELECT add_business_time('2026-06-05 10:00Z', '1 hour', 'UTC', '{1,2}', '{09:00}', '{18:00}');
