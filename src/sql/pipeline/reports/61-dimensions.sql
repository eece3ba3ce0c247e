-- Dimensions, for star schemas of BI tools: leads and days.

CREATE OR REPLACE VIEW lead_dim WITH (security_invoker = true) AS
SELECT
    l.lead_id,
    l.external_id,
    l.kind,
    l.organization,
    d.market,
    d.country,
    d.channel,
    d.direction,
    d.campaign,
    d.sourcing,
    d.owner,
    d.persona,
    s.stage::text AS stage,
    s.stage_rank,
    temperature(s.stage) AS temperature,
    s.stage >= 'sql' AND s.stage < 'customer' AS ready_to_buy,
    s.stage_since_at,
    s.cycle,
    l.consented_at IS NOT NULL AS consented,
    l.contact_allowed,
    l.referred_by IS NOT NULL AS referred,
    d.created_at,
    date_of(l.created_at, z.time_zone) AS created_date,
    month_start(l.created_at, z.time_zone) AS created_month,
    m.lead_at,
    m.mql_at,
    m.sql_at,
    m.customer_at,
    _deadline_at(l.lead_id) AS deadline_at,
    d.objective,
    CASE WHEN l.market = 'b2b' THEN coalesce(l.complexity, z.complexity) END AS complexity
FROM lead l
    JOIN _source d ON d.lead_id = l.lead_id
    CROSS JOIN setting z
    LEFT JOIN _lead_now s ON s.lead_id = l.lead_id
    LEFT JOIN _milestone m ON m.lead_id = l.lead_id;
COMMENT ON VIEW lead_dim IS 'one row a lead: the columns that reports are sliced by; join it by lead_id. No personal data';
COMMENT ON COLUMN lead_dim.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN lead_dim.external_id IS 'name of the lead in the app';
COMMENT ON COLUMN lead_dim.kind IS 'person or organization';
COMMENT ON COLUMN lead_dim.organization IS 'organization that the person belongs to';
COMMENT ON COLUMN lead_dim.market IS 'market of the lead: b2b or b2c; (none): not known';
COMMENT ON COLUMN lead_dim.country IS 'country of the lead, best as ISO 3166 code; (none): not known';
COMMENT ON COLUMN lead_dim.channel IS 'channel that the lead came by, or that of its campaign; (none): not known';
COMMENT ON COLUMN lead_dim.direction IS 'inbound or outbound, of the campaign or else of the channel; (none): not known';
COMMENT ON COLUMN lead_dim.campaign IS 'campaign that the lead came by; (none): not known';
COMMENT ON COLUMN lead_dim.sourcing IS 'internal or outsourced, of the campaign; (none): not known';
COMMENT ON COLUMN lead_dim.owner IS 'person of your company in charge of the lead; (none): nobody';
COMMENT ON COLUMN lead_dim.persona IS 'buyer persona that the lead stands for; (none): not known';
COMMENT ON COLUMN lead_dim.stage IS 'stage of the lead now';
COMMENT ON COLUMN lead_dim.stage_rank IS 'rank of the stage to sort by: visitor 40 to advocate 100, exits 10 to 30';
COMMENT ON COLUMN lead_dim.temperature IS 'cold (iql), warm (mql) or hot (sql); NULL: another stage';
COMMENT ON COLUMN lead_dim.ready_to_buy IS 'true: sql or prospect; false: all others, such as the curious';
COMMENT ON COLUMN lead_dim.stage_since_at IS 'since when the lead is in its stage';
COMMENT ON COLUMN lead_dim.cycle IS 'number of the cycle through the funnel';
COMMENT ON COLUMN lead_dim.consented IS 'whether the data protection policy is accepted';
COMMENT ON COLUMN lead_dim.contact_allowed IS 'whether messages of some kind may be sent, see may_contact(); NULL: not asked';
COMMENT ON COLUMN lead_dim.referred IS 'whether another lead recommended us';
COMMENT ON COLUMN lead_dim.created_at IS 'when the lead became known';
COMMENT ON COLUMN lead_dim.created_date IS 'day of created_at';
COMMENT ON COLUMN lead_dim.created_month IS 'first day of the month of created_at';
COMMENT ON COLUMN lead_dim.lead_at IS 'when it first was iql or higher, as a lead; NULL also for customers that never were leads';
COMMENT ON COLUMN lead_dim.mql_at IS 'when a lead first was mql or higher';
COMMENT ON COLUMN lead_dim.sql_at IS 'when a lead first was sql or higher';
COMMENT ON COLUMN lead_dim.customer_at IS 'when it first was customer or higher; NULL: never';
COMMENT ON COLUMN lead_dim.deadline_at IS 'by when the lead wants to be ready: the key deadline of its profile, an ISO date (its midnight, in the time zone of the pipeline) or timestamp; NULL: not known, or no such date';
COMMENT ON COLUMN lead_dim.objective IS 'what the lead was captured for: lead.objective, or else that of its campaign; (none): not known';
COMMENT ON COLUMN lead_dim.complexity IS 'simple or complex, of a b2b lead: lead.complexity, or else setting.complexity; NULL: not known';

CREATE OR REPLACE VIEW calendar WITH (security_invoker = true) AS
SELECT
    d.day_date,
    date_trunc('month', d.day)::date AS day_month,
    extract(year FROM d.day)::integer AS year,
    extract(quarter FROM d.day)::integer AS quarter,
    extract(month FROM d.day)::integer AS month_number,
    extract(day FROM d.day)::integer AS month_day,
    extract(isoyear FROM d.day)::integer AS iso_year,
    extract(week FROM d.day)::integer AS iso_week,
    extract(isodow FROM d.day)::integer AS weekday,
    extract(isodow FROM d.day) >= 6 AS weekend,
    to_char(d.day, 'YYYY-MM') AS month_label,
    to_char(d.day, 'YYYY"-Q"Q') AS quarter_label,
    d.today - d.day_date AS days_ago,
    d.day_date > d.today AS future
FROM (
        SELECT b.first_date + n AS day_date, (b.first_date + n)::timestamp AS day, b.today
        FROM (
                SELECT
                    -- one wrong date must not make the view endless
                    greatest(least((least(e.first_at, l.first_at) AT TIME ZONE z.time_zone)::date, (now() AT TIME ZONE z.time_zone)::date),
                        (now() AT TIME ZONE z.time_zone - interval '50 years')::date) AS first_date,
                    (now() AT TIME ZONE z.time_zone)::date AS today,
                    ((now() AT TIME ZONE z.time_zone) + interval '1 year')::date AS last_date
                FROM setting z
                    CROSS JOIN (SELECT min(v.occurred_at) AS first_at FROM event v WHERE is_dated(v.occurred_at)) e
                    CROSS JOIN (SELECT min(v.created_at) AS first_at FROM lead v WHERE is_dated(v.created_at)) l
            ) b
            CROSS JOIN LATERAL generate_series(0, b.last_date - b.first_date) n
    ) d
ORDER BY d.day_date;
COMMENT ON VIEW calendar IS 'one row a day, from the first event (at most 50 years ago) to a year from today: the dimension of time';
COMMENT ON COLUMN calendar.day_date IS 'the day; join entered_date, created_date or another date to it';
COMMENT ON COLUMN calendar.day_month IS 'first day of its month';
COMMENT ON COLUMN calendar.year IS 'calendar year';
COMMENT ON COLUMN calendar.quarter IS 'quarter of the year, 1 to 4';
COMMENT ON COLUMN calendar.month_number IS 'month of the year, 1 to 12';
COMMENT ON COLUMN calendar.month_day IS 'day of the month, 1 to 31';
COMMENT ON COLUMN calendar.iso_year IS 'year that the ISO week belongs to';
COMMENT ON COLUMN calendar.iso_week IS 'ISO week, 1 to 53';
COMMENT ON COLUMN calendar.weekday IS 'day of the week, 1 Monday to 7 Sunday';
COMMENT ON COLUMN calendar.weekend IS 'whether it is a Saturday or Sunday';
COMMENT ON COLUMN calendar.month_label IS 'year and month, such as 2025-03';
COMMENT ON COLUMN calendar.quarter_label IS 'year and quarter, such as 2025-Q1';
COMMENT ON COLUMN calendar.days_ago IS 'days from then to today, in the time zone of the pipeline; negative: the day is to come';
COMMENT ON COLUMN calendar.future IS 'whether the day is yet to come';
