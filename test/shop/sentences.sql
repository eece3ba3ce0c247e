-- What a person says from a page of the shop, and the same figures another way:
-- from events, leads, costs and recorded stages, with kinds of events, roles and
-- the time zone written out, and without any view or function of the pipeline.
--
-- A block: "-- view: the sentence", in which _ stands for a figure; the query of
-- the view in one line; "-- by hand" and the other one.

-- begin
SELECT (date_trunc('month', now() AT TIME ZONE 'Europe/Rome') - interval '6 months')::date AS march, date_trunc('day', now(), 'UTC') AS today \gset
CREATE TEMP TABLE walk AS SELECT lead_id, seq, cycle, to_stage AS stage, effective_at AS at, cause, is_lead,
    lead(to_stage) OVER w AS next, lead(effective_at) OVER w AS left_at, lag(to_stage) OVER w AS before
    FROM crm.stage_log WHERE superseded_at IS NULL WINDOW w AS (PARTITION BY lead_id ORDER BY seq);
CREATE TEMP TABLE cycles AS SELECT lead_id, cycle, min(at) AS began_at, min(at) FILTER (WHERE stage < 'visitor') AS ended_at, min(seq) FILTER (WHERE is_lead AND stage >= 'iql' AND (cycle = 1 OR stage < 'customer')) AS lead_seq, min(at) FILTER (WHERE is_lead AND stage >= 'iql' AND (cycle = 1 OR stage < 'customer')) AS lead_at,
    min(at) FILTER (WHERE stage >= 'customer') AS won_at FROM walk GROUP BY 1, 2;
CREATE TEMP TABLE life AS SELECT lead_id, min(at) FILTER (WHERE is_lead AND stage >= 'iql') AS lead_at, min(at) FILTER (WHERE stage >= 'mql') AS mql_at, min(at) FILTER (WHERE stage >= 'sql') AS sql_at, min(at) FILTER (WHERE stage >= 'customer') AS won_at,
    (array_agg(stage ORDER BY seq DESC))[1] AS stage FROM walk GROUP BY 1;
UPDATE life SET mql_at = NULL, sql_at = NULL WHERE lead_at IS NULL;
CREATE TEMP TABLE buy AS SELECT lead_id, event_id, source_id, occurred_at AS at, (date_trunc('month', occurred_at AT TIME ZONE 'Europe/Rome'))::date AS month, CASE WHEN value < 1e12 THEN round(value, 2) END AS paid, CASE WHEN value < 1e12 THEN round(value, 2) END AS amount
    FROM crm.event WHERE kind IN ('tea_order', 'tea_parcel') AND (value >= 0 OR value IS NULL) AND occurred_at BETWEEN '2000-01-01' AND now();
-- money back, in the order in which it was given: of the order that is named, or else of the last one before
CREATE TEMP TABLE back (lead_id bigint, event_id bigint, order_id bigint, amount numeric);
DO $$
DECLARE
    r record;
    o record;
    given numeric;
BEGIN
    FOR r IN SELECT * FROM crm.event WHERE kind = 'tea_back' OR kind = 'tea_order' AND value < 0 ORDER BY occurred_at, event_id LOOP
        SELECT * INTO o FROM buy b WHERE b.lead_id = r.lead_id AND CASE WHEN r.properties ? 'purchase' THEN b.source_id = r.properties ->> 'purchase' ELSE b.at <= r.occurred_at END ORDER BY at DESC, event_id DESC LIMIT 1;
        -- all that is left
        given := coalesce(round(abs(r.value), 2), greatest(o.amount, 0));
        INSERT INTO back VALUES (r.lead_id, r.event_id, o.event_id, given);
        UPDATE buy SET amount = amount - given WHERE event_id = o.event_id;
    END LOOP;
END $$;
CREATE INDEX ON walk (lead_id, cycle, seq);
CREATE INDEX ON buy (lead_id);
CREATE TEMP TABLE spoke AS SELECT lead_id, event_id, occurred_at AS at, lower(properties ->> 'outcome') AS said FROM crm.event WHERE kind IN ('ring', 'chat', 'came_for_tea') AND occurred_at <= now();
CREATE INDEX ON spoke (lead_id);
-- costs of days so far, today included
CREATE TEMP TABLE spent AS SELECT campaign, channel, round(amount * (SELECT count(*) FROM generate_series(day_from::timestamp, day_to::timestamp, '1 day') d WHERE d <= now() AT TIME ZONE 'Europe/Rome') / (day_to - day_from + 1), 2) AS amount FROM crm.cost;
-- enquiries: a contact answers one, and the end of the cycle ends it
CREATE TEMP TABLE asked (n bigint GENERATED ALWAYS AS IDENTITY, lead_id bigint, at timestamptz, answered timestamptz, ended timestamptz, was leadscore.lead_stage);
DO $$
DECLARE
    r record;
    running bigint;
BEGIN
    FOR r IN SELECT lead_id, occurred_at AS at, 1 AS what, NULL::leadscore.lead_stage AS stage FROM crm.event WHERE kind = 'sample_wanted' AND occurred_at <= now() UNION ALL SELECT lead_id, at, 2, NULL FROM spoke
            UNION ALL SELECT lead_id, at, 3, stage FROM walk WHERE (stage >= 'customer' OR stage < 'visitor') AND (before < 'customer' AND before >= 'visitor' OR before IS NULL OR stage < 'visitor') ORDER BY lead_id, at, what LOOP
        SELECT n INTO running FROM asked WHERE lead_id = r.lead_id AND answered IS NULL AND ended IS NULL;
        IF r.what = 1 AND running IS NULL THEN
            INSERT INTO asked (lead_id, at) VALUES (r.lead_id, r.at);
        ELSIF r.what = 2 THEN
            UPDATE asked SET answered = r.at WHERE n = running;
        ELSIF r.what = 3 THEN
            UPDATE asked SET ended = r.at WHERE n = running;
        END IF;
    END LOOP;
    UPDATE asked SET was = (SELECT stage FROM walk w WHERE w.lead_id = asked.lead_id AND w.at < coalesce(asked.answered, asked.at) ORDER BY seq DESC LIMIT 1);
END $$;
-- appointments: of an end the first booking that has none
CREATE TEMP TABLE tea (n bigint GENERATED ALWAYS AS IDENTITY, lead_id bigint, at timestamptz, wanted timestamptz, ended timestamptz, how text);
DO $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT lead_id, kind, occurred_at AS at, properties ->> 'meeting_at' AS wanted FROM crm.event WHERE kind IN ('tea_date', 'came_for_tea', 'stood_us_up', 'date_off') AND occurred_at <= now()
            ORDER BY lead_id, occurred_at, kind <> 'tea_date', event_id LOOP
        IF r.kind = 'tea_date' THEN
            INSERT INTO tea (lead_id, at, wanted, how) VALUES (r.lead_id, r.at, CASE WHEN length(r.wanted) = 10 THEN r.wanted::timestamp AT TIME ZONE 'Europe/Rome' WHEN r.wanted <> 'soon' THEN r.wanted::timestamptz END, 'tea_date');
        ELSE
            UPDATE tea SET ended = r.at, how = r.kind WHERE n = (SELECT min(n) FROM tea WHERE lead_id = r.lead_id AND ended IS NULL);
            IF NOT FOUND THEN
                INSERT INTO tea (lead_id, ended, how) VALUES (r.lead_id, r.at, r.kind);
            END IF;
        END IF;
    END LOOP;
END $$;
CREATE TEMP TABLE touch AS SELECT lead_id, event_id, occurred_at AS at, channel, campaign FROM crm.event WHERE (channel IS NOT NULL OR campaign IS NOT NULL) AND kind NOT IN ('tea_order', 'tea_parcel', 'gone', 'shelved', 'hoax', 'stage_set', 'email_sent', 'tea_back');
CREATE INDEX ON touch (lead_id, at, event_id);
INSERT INTO touch SELECT lead_id, 0, created_at, channel, campaign FROM crm.lead l WHERE (channel IS NOT NULL OR campaign IS NOT NULL) AND NOT EXISTS (SELECT FROM touch t WHERE t.lead_id = l.lead_id AND t.at <= l.created_at);
ANALYZE;

-- funnel: Of _ entries into iql _ went higher, _ were lost and _ are open.
SELECT entered, converted, lost, open FROM funnel WHERE stage = 'iql';
-- by hand
SELECT count(*), count(*) FILTER (WHERE up), count(*) FILTER (WHERE NOT up AND gone), count(*) FILTER (WHERE NOT up AND NOT gone)
FROM (SELECT coalesce(max(seq) FILTER (WHERE stage > 'iql') > min(seq) FILTER (WHERE stage = 'iql'), false) AS up, bool_or(stage < 'visitor') AS gone FROM walk GROUP BY lead_id, cycle HAVING bool_or(stage = 'iql')) c;

-- funnel: Of _ that became customers _ left.
SELECT entered, lost FROM funnel WHERE stage = 'customer';
-- by hand
SELECT count(*), count(*) FILTER (WHERE gone AND NOT recommends) FROM (SELECT bool_or(stage < 'visitor') AS gone, coalesce(max(seq) FILTER (WHERE stage = 'advocate') > min(seq) FILTER (WHERE stage = 'customer'), false) AS recommends FROM walk GROUP BY lead_id, cycle HAVING bool_or(stage = 'customer')) c;

-- funnel_cohort: Of _ that became mql half a year ago _ went higher.
SELECT entered, converted FROM funnel_cohort WHERE stage = 'mql' AND entered_month = :'march';
-- by hand
SELECT count(*), count(*) FILTER (WHERE EXISTS (SELECT FROM walk u WHERE u.lead_id = f.lead_id AND u.cycle = f.cycle AND u.seq > f.seq AND u.stage > 'mql'))
FROM (SELECT DISTINCT ON (lead_id, cycle) * FROM walk WHERE stage = 'mql' ORDER BY lead_id, cycle, seq) f
WHERE f.at >= :'march'::timestamp AT TIME ZONE 'Europe/Rome' AND f.at < (:'march'::timestamp + interval '1 month') AT TIME ZONE 'Europe/Rome';

-- funnel_by: Of _ iql in Italy _ became mql or more.
SELECT entered, converted FROM funnel_by WHERE slice_by = 'country' AND slice = 'IT' AND stage = 'iql';
-- by hand
SELECT count(*), count(*) FILTER (WHERE up) FROM (SELECT max(seq) FILTER (WHERE stage > 'iql') > min(seq) FILTER (WHERE stage = 'iql') AS up
    FROM walk JOIN crm.lead USING (lead_id) WHERE country = 'IT' GROUP BY lead_id, cycle HAVING bool_or(stage = 'iql')) c;

-- funnel_by: Of _ that became mql while they waited for samples _ went higher.
SELECT entered, converted FROM funnel_by WHERE slice_by = 'segment' AND slice = 'waits' AND stage = 'mql';
-- by hand
SELECT count(*), count(*) FILTER (WHERE EXISTS (SELECT FROM walk u WHERE u.lead_id = f.lead_id AND u.cycle = f.cycle AND u.seq > f.seq AND u.stage > 'mql'))
FROM (SELECT DISTINCT ON (lead_id, cycle) * FROM walk WHERE stage = 'mql' ORDER BY lead_id, cycle, seq) f
WHERE EXISTS (SELECT FROM crm.event e WHERE e.lead_id = f.lead_id AND e.kind = 'sample_wanted' AND e.occurred_at <= f.at AND f.at < date_trunc('day', e.occurred_at, 'UTC') + interval '30 days')
    AND NOT EXISTS (SELECT FROM buy WHERE buy.lead_id = f.lead_id AND buy.at <= f.at);

-- segment_members: _ asked for samples within 30 days and have ordered nothing yet, and _ are hosts.
SELECT count(*) FILTER (WHERE segment = 'waits'), count(*) FILTER (WHERE is_persona) FROM segment_members;
-- by hand
SELECT count(*) FILTER (WHERE EXISTS (SELECT FROM crm.event e WHERE e.lead_id = l.lead_id AND kind = 'sample_wanted' AND occurred_at <= now() AND occurred_at >= :'today'::timestamptz - interval '29 days')
        AND NOT EXISTS (SELECT FROM buy WHERE buy.lead_id = l.lead_id)), count(*) FILTER (WHERE market = 'b2b') FROM crm.lead l;

-- segment_history: _ times a lead began to wait with samples and without an order, and _ times it ordered in these 30 days.
SELECT count(*) FILTER (WHERE is_member), count(*) FILTER (WHERE NOT is_member AND cause = 'event') FROM segment_history WHERE segment = 'waits';
-- by hand
WITH first AS (SELECT lead_id, min(at) AS at FROM buy GROUP BY 1),
sample AS (SELECT lead_id, occurred_at AS at, date_trunc('day', occurred_at, 'UTC') + interval '30 days' AS over, lag(date_trunc('day', occurred_at, 'UTC') + interval '30 days') OVER (PARTITION BY lead_id ORDER BY occurred_at) AS over_before
    FROM crm.event WHERE kind = 'sample_wanted' AND occurred_at <= now())
SELECT (SELECT count(*) FROM sample s LEFT JOIN first f USING (lead_id) WHERE (s.over_before <= s.at) IS NOT FALSE AND (s.at < f.at) IS NOT FALSE),
    (SELECT count(*) FROM first f WHERE EXISTS (SELECT FROM sample s WHERE s.lead_id = f.lead_id AND s.at < f.at AND f.at < s.over));

-- stage_history: _ times leads moved because points faded, and _ times because they bought.
SELECT count(*) FILTER (WHERE cause = 'decay'), count(*) FILTER (WHERE cause = 'milestone' AND to_stage = 'customer') FROM stage_history;
-- by hand
SELECT count(*) FILTER (WHERE cause = 'decay'), count(*) FILTER (WHERE EXISTS (SELECT FROM buy WHERE buy.lead_id = walk.lead_id AND buy.at = walk.at) AND stage = 'customer') FROM walk;

-- stage_entry: A friend's friend was mql for _ days on average.
SELECT round(avg(days_in_stage)::numeric, 2) FROM stage_entry WHERE campaign = 'friends-of-tea' AND stage = 'mql';
-- by hand
SELECT round((avg(extract(epoch FROM left_at - at)) / 86400)::numeric, 2) FROM walk JOIN crm.lead USING (lead_id) WHERE campaign = 'friends-of-tea' AND stage = 'mql';

-- stage_daily: A hundred days ago in the evening _ leads were mql, and _ were shelved.
SELECT sum(leads) FILTER (WHERE stage = 'mql'), sum(leads) FILTER (WHERE stage = 'recycled') FROM stage_daily WHERE day_date = (now() AT TIME ZONE 'Europe/Rome')::date - 100;
-- by hand
SELECT count(*) FILTER (WHERE stage = 'mql'), count(*) FILTER (WHERE stage = 'recycled')
FROM (SELECT DISTINCT ON (lead_id) stage FROM walk WHERE at < ((now() AT TIME ZONE 'Europe/Rome')::date - 99)::timestamp AT TIME ZONE 'Europe/Rome' ORDER BY lead_id, seq DESC) s;

-- stage_velocity: Half of the sql move on within _ days, and nine of ten within _.
SELECT round(median_days::numeric, 3), round(p90_days::numeric, 3) FROM stage_velocity WHERE stage = 'sql' AND outcome = 'left';
-- by hand
WITH d AS (SELECT extract(epoch FROM left_at - at) / 86400 AS days, row_number() OVER (ORDER BY left_at - at) - 1 AS i, count(*) OVER () - 1 AS n FROM walk WHERE stage = 'sql' AND left_at IS NOT NULL)
SELECT round(sum(days * greatest(0, 1 - abs(i - 0.5 * n))), 3), round(sum(days * greatest(0, 1 - abs(i - 0.9 * n))), 3) FROM d;

-- conversion_curve: Within 20 days _ % of the mql went higher, and _ % were lost.
SELECT round(100 * converted_rate::numeric, 3), round(100 * lost_rate::numeric, 3) FROM conversion_curve WHERE stage = 'mql' AND after_days <= 20 ORDER BY after_days DESC LIMIT 1;
-- by hand
WITH e AS (SELECT f.*, (SELECT min(u.at) FROM walk u WHERE u.lead_id = f.lead_id AND u.cycle = f.cycle AND u.seq > f.seq AND u.stage > 'mql') AS up_at, c.ended_at
        FROM (SELECT DISTINCT ON (lead_id, cycle) * FROM walk WHERE stage = 'mql' ORDER BY lead_id, cycle, seq) f JOIN cycles c USING (lead_id, cycle)),
d AS (SELECT greatest(floor(extract(epoch FROM coalesce(up_at, ended_at, now()) - at) / 86400), 0) AS day, up_at IS NOT NULL AS up, up_at IS NULL AND ended_at IS NOT NULL AS gone FROM e),
r AS (SELECT t.day, (SELECT count(*) FROM d WHERE d.day >= t.day) AS n, (SELECT count(*) FROM d WHERE d.day = t.day AND up) AS up, (SELECT count(*) FROM d WHERE d.day = t.day AND gone) AS gone FROM generate_series(0, 20) t (day)),
s AS (SELECT r.*, coalesce((SELECT exp(sum(ln(1 - (b.up + b.gone)::float8 / b.n))) FROM r b WHERE b.day < r.day), 1) AS left_open FROM r)
SELECT round((100 * sum(left_open * up / n))::numeric, 3), round((100 * sum(left_open * gone / n))::numeric, 3) FROM s;

-- cycle_time: _ ways were won, by _ days on average.
SELECT count(*), round(avg(total_days)::numeric, 3) FROM cycle_time WHERE outcome = 'won';
-- by hand
SELECT count(*), round(avg(extract(epoch FROM won_at - began_at) / 86400) FILTER (WHERE cycle = 1 OR won_at > began_at)::numeric, 3) FROM cycles WHERE won_at IS NOT NULL;

-- lead_timeline: The lead that did most has _ entries of events, stages and its profile, _ of them stages.
SELECT count(*), count(*) FILTER (WHERE what = 'stage') FROM lead_timeline WHERE what IN ('event', 'stage', 'profile') GROUP BY lead_id ORDER BY 1 DESC, 2 DESC, lead_id LIMIT 1;
-- by hand
SELECT events + stages + profiles, stages FROM crm.lead l, LATERAL (SELECT (SELECT count(*) FROM crm.event e WHERE e.lead_id = l.lead_id), (SELECT count(*) FROM walk w WHERE w.lead_id = l.lead_id),
    (SELECT count(*) FROM crm.profile_change p WHERE p.lead_id = l.lead_id)) n (events, stages, profiles) ORDER BY 1 DESC, 2 DESC, l.lead_id LIMIT 1;

-- lead_origin: _ showed interest first by joining the club, and _ by an order.
SELECT count(*) FILTER (WHERE interest_kind = 'club_joined'), count(*) FILTER (WHERE interest_kind = 'tea_order') FROM lead_origin;
-- by hand
SELECT count(*) FILTER (WHERE kind = 'club_joined'), count(*) FILTER (WHERE kind = 'tea_order') FROM (SELECT DISTINCT ON (lead_id) kind FROM crm.event
    WHERE kind IN ('club_joined', 'form_submit', 'recipe_taken', 'tasting', 'sample_wanted', 'tea_order', 'tea_parcel') AND isfinite(occurred_at) AND occurred_at <= now() ORDER BY lead_id, occurred_at, event_id) f;

-- lead_profile: _ took an offer, and _ of them took chai.
SELECT count(*), count(*) FILTER (WHERE offers_taken ~ 'chai') FROM lead_profile WHERE offers > 0;
-- by hand
SELECT count(DISTINCT lead_id), count(DISTINCT lead_id) FILTER (WHERE properties ->> 'content' = 'chai') FROM crm.event WHERE kind IN ('recipe_taken', 'tasting') AND occurred_at <= now();

-- lead_path: _ ways were without the stage mql, though they led over it.
SELECT count(*) FROM lead_path WHERE skipped_stages ~ 'mql';
-- by hand
SELECT count(*) FROM (SELECT FROM walk GROUP BY lead_id, cycle HAVING min(stage) FILTER (WHERE stage >= 'visitor') < 'mql' AND max(stage) > 'mql' AND NOT bool_or(stage = 'mql')) c;

-- touchpoints: Customers met us _ times before they were customers, on average.
SELECT round(count(*)::numeric / count(DISTINCT lead_id), 3) FROM touchpoints WHERE won;
-- by hand
SELECT round(count(*)::numeric / count(DISTINCT lead_id), 3) FROM crm.event JOIN life USING (lead_id)
WHERE occurred_at <= won_at AND kind NOT IN ('tea_order', 'tea_parcel', 'stage_set', 'gone', 'shelved', 'hoax', 'old_shop_ping', 'tea_back');

-- lead_score: _ mql are inns that gave consent.
SELECT count(*) FROM lead_score WHERE stage = 'mql' AND market = 'b2b' AND consented;
-- by hand
SELECT count(*) FROM crm.lead JOIN life USING (lead_id) WHERE stage = 'mql' AND organization LIKE 'Inn %' AND consented_at IS NOT NULL;

-- lead_dimension: _ know what they like, for which they have 10 points each.
SELECT count(*) FROM lead_dimension WHERE dimension = 'fit' AND points = 10 AND grade = 'A';
-- by hand
SELECT count(*) FROM crm.lead WHERE profile ->> 'taste' = 'true';

-- account_score: The inn with most customers has _ contacts, and _ customers.
SELECT leads, customers FROM account_score ORDER BY customers DESC, leads DESC LIMIT 1;
-- by hand
SELECT count(*), count(*) FILTER (WHERE stage >= 'customer') FROM crm.lead JOIN life USING (lead_id) WHERE organization IS NOT NULL GROUP BY organization ORDER BY 2 DESC, 1 DESC LIMIT 1;

-- hot_leads: _ are to be called, _ of them as sql, of which _ have not been spoken with.
SELECT count(*), count(*) FILTER (WHERE stage = 'sql'), count(*) FILTER (WHERE stage = 'sql' AND NOT contacted) FROM hot_leads;
-- by hand
SELECT count(*), count(*) FILTER (WHERE w.stage = 'sql'), count(*) FILTER (WHERE w.stage = 'sql' AND NOT EXISTS (SELECT FROM spoke s JOIN cycles c ON c.lead_id = w.lead_id AND c.cycle = w.cycle WHERE s.lead_id = w.lead_id AND s.at >= greatest(w.at - interval '4 hours', c.began_at)))
FROM walk w WHERE w.next IS NULL AND w.stage IN ('mql', 'sql')
    AND NOT EXISTS (SELECT FROM crm.consent c WHERE c.lead_id = w.lead_id AND c.purpose = 'marketing' AND c.status = 'withdrawn'
        AND NOT EXISTS (SELECT FROM crm.event e WHERE e.lead_id = w.lead_id AND e.kind IN ('sample_wanted', 'demo_request', 'personal_demo_request', 'quote_request') AND e.occurred_at > c.occurred_at));

-- action_log: _ letters of the sequence were sent, and _ were not, because there was no consent.
SELECT count(*) FILTER (WHERE status = 'done'), count(*) FILTER (WHERE reason = 'no consent') FROM action_log WHERE sequence = 'letters';
-- by hand
SELECT (SELECT count(*) FROM crm.event WHERE source_id LIKE 'action:%'), (SELECT count(*) FROM crm.enrollment WHERE lead_id % 4 = 0 AND lead_id % 10 < 5);

-- open_alerts: _ alerts wait for somebody to look.
SELECT count(*) FROM open_alerts;
-- by hand
SELECT count(*) FROM crm.action WHERE kind = 'alert' AND due_at <= now();

-- work_list: _ are to be rung up today, and for _ as sql nothing is planned.
SELECT count(action_id), count(*) FILTER (WHERE action_id IS NULL) FROM work_list;
-- by hand
SELECT (SELECT count(DISTINCT lead_id) FROM crm.action WHERE kind = 'task' AND due_at < (date_trunc('day', now() AT TIME ZONE 'Europe/Rome') + interval '1 day') AT TIME ZONE 'Europe/Rome'), count(*)
FROM walk w WHERE w.next IS NULL AND w.stage = 'sql' AND NOT EXISTS (SELECT FROM crm.action a WHERE a.lead_id = w.lead_id AND a.kind = 'task')
    AND NOT EXISTS (SELECT FROM crm.consent c WHERE c.lead_id = w.lead_id AND c.purpose = 'marketing' AND c.status = 'withdrawn'
        AND NOT EXISTS (SELECT FROM crm.event e WHERE e.lead_id = w.lead_id AND e.kind IN ('sample_wanted', 'demo_request', 'personal_demo_request', 'quote_request') AND e.occurred_at > c.occurred_at));

-- recommended_action: _ iql are to be asked how the samples were, _ are to get a recipe, and _ leads are to be rung up.
SELECT count(*) FILTER (WHERE action = 'ask how the samples were'), count(*) FILTER (WHERE action = 'send a recipe'), count(*) FILTER (WHERE action = 'ring up') FROM recommended_action;
-- by hand
SELECT count(*) FILTER (WHERE w.stage = 'iql' AND t.waits), count(*) FILTER (WHERE w.stage = 'iql' AND NOT t.waits), (SELECT count(*) FROM crm.action WHERE content = 'ring up')
FROM walk w, LATERAL (SELECT EXISTS (SELECT FROM crm.event e WHERE e.lead_id = w.lead_id AND kind = 'sample_wanted' AND occurred_at <= now() AND occurred_at >= :'today'::timestamptz - interval '29 days')
        AND NOT EXISTS (SELECT FROM buy WHERE buy.lead_id = w.lead_id) AS waits) t WHERE w.next IS NULL;

-- sequence_result: Of _ runs of the letters _ reached the goal; of _ second letters _ were opened.
SELECT q.runs, q.goal_runs, s.sent, s.opened FROM sequence_result q, (SELECT sum(sent) AS sent, sum(opened) AS opened FROM sequence_result WHERE level = 'step' AND step = 'letter 2') s WHERE q.level = 'sequence' AND q.sequence = 'letters';
-- by hand
SELECT count(DISTINCT e.lead_id), count(DISTINCT e.lead_id) FILTER (WHERE e.lead_id % 6 = 0), count(*) FILTER (WHERE l.message = 'letter 2'),
    count(*) FILTER (WHERE l.message = 'letter 2' AND EXISTS (SELECT FROM crm.event o WHERE o.lead_id = e.lead_id AND o.kind = 'email_open' AND o.properties ->> 'message' = 'letter 2' AND o.occurred_at >= e.occurred_at))
FROM crm.event e, LATERAL (SELECT e.properties ->> 'message' AS message) l WHERE e.kind = 'email_sent' AND e.lead_id % 2 = 0 AND l.message IN ('letter 2', 'letter 3');

-- unscored_events: _ events are of a kind that nobody knows.
SELECT count(*) FROM unscored_events WHERE reason = 'unknown kind';
-- by hand
SELECT count(*) FROM crm.event WHERE kind = 'old_shop_ping';

-- unscored_profiles: _ said what they like in a way that cannot be scored.
SELECT count(*) FROM unscored_profiles WHERE signal = 'taste' AND property = 'taste' AND value_type = 'string';
-- by hand
SELECT count(*) FROM crm.lead WHERE profile @> '{"taste": "sweet"}';

-- tracked_tables: _ tables of the app make events by themselves, and no column of theirs is missing.
SELECT count(*) FROM tracked_tables WHERE problem IS NULL;
-- by hand
SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'leadscore\_%\_ins';

-- conversion_rates: Of _ mql _ came to sql or farther: _ %.
SELECT denominator, numerator, round(100 * conversion_rate::numeric, 2) FROM conversion_rates WHERE metric = 'mql_to_sql' AND market = 'all';
-- by hand
SELECT count(*), count(*) FILTER (WHERE up), round(100.0 * count(*) FILTER (WHERE up) / count(*), 2) FROM (SELECT max(seq) FILTER (WHERE stage >= 'sql') > min(seq) FILTER (WHERE stage = 'mql') AS up FROM walk GROUP BY lead_id, cycle HAVING bool_or(stage = 'mql')) c;

-- conversion_times: The median sql waits _ days for the order; _ have ordered.
SELECT round(median_days::numeric, 3), conversions FROM conversion_times WHERE metric = 'sql_to_customer_days' AND market = 'all';
-- by hand
SELECT round((percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM o.at - s.at) / 86400))::numeric, 3), count(*)
FROM (SELECT DISTINCT ON (lead_id, cycle) * FROM walk WHERE stage = 'sql' ORDER BY lead_id, cycle, seq) s
    CROSS JOIN LATERAL (SELECT at FROM walk u WHERE u.lead_id = s.lead_id AND u.cycle = s.cycle AND u.seq > s.seq AND u.stage >= 'customer' ORDER BY seq LIMIT 1) o;

-- cycle_time_histogram: _ became customers within a month of coming, and _ took one to two.
SELECT sum(customers) FILTER (WHERE months_until = 1), sum(customers) FILTER (WHERE months_from = 1) FROM cycle_time_histogram;
-- by hand
SELECT count(*) FILTER (WHERE months = 0), count(*) FILTER (WHERE months = 1)
FROM (SELECT 12 * (extract(year FROM w) - extract(year FROM b)) + extract(month FROM w) - extract(month FROM b) - (w - date_trunc('month', w) < b - date_trunc('month', b))::integer AS months
    FROM (SELECT began_at AT TIME ZONE 'Europe/Rome' AS b, won_at AT TIME ZONE 'Europe/Rome' AS w FROM cycles WHERE won_at IS NOT NULL AND (cycle = 1 OR won_at > began_at)) c) m;

-- period_comparison: Of _ that became leads half a year ago _ bought; the leads of that month brought _.
SELECT leads, customers, revenue_amount FROM period_comparison WHERE period = 'month' AND from_date = :'march';
-- by hand
SELECT count(*), count(*) FILTER (WHERE EXISTS (SELECT FROM walk w WHERE w.lead_id = c.lead_id AND w.cycle = c.cycle AND w.seq >= c.lead_seq AND w.stage >= 'customer' AND (w.before IS NULL OR w.before < 'customer'))),
    (SELECT sum(amount) FROM buy JOIN life USING (lead_id) WHERE lead_at >= :'march'::timestamp AT TIME ZONE 'Europe/Rome' AND lead_at < (:'march'::timestamp + interval '1 month') AT TIME ZONE 'Europe/Rome')
FROM cycles c WHERE lead_at >= :'march'::timestamp AT TIME ZONE 'Europe/Rome' AND lead_at < (:'march'::timestamp + interval '1 month') AT TIME ZONE 'Europe/Rome';

-- period_comparison: In the last half year _ leads bought; of _ leads that had had the time _ did.
SELECT sales, leads, customers FROM period_comparison WHERE period = 'half year' AND to_date = (now() AT TIME ZONE 'Europe/Rome')::date - 1;
-- by hand
SELECT count(*) FILTER (WHERE won_at >= lead_at AND won_at >= a AND won_at < b), count(*) FILTER (WHERE fair), count(*) FILTER (WHERE fair AND won_at BETWEEN lead_at AND lead_at + interval '1440 hours')
FROM life, LATERAL (SELECT (date_trunc('day', now() AT TIME ZONE 'Europe/Rome') - interval '6 months') AT TIME ZONE 'Europe/Rome' AS a, date_trunc('day', now() AT TIME ZONE 'Europe/Rome') AT TIME ZONE 'Europe/Rome' AS b) h, LATERAL (SELECT lead_at >= a - interval '1440 hours' AND lead_at < b - interval '1440 hours' AS fair) f;

-- cost_by_month: Half a year ago the search cost _ in a month, and all together _.
SELECT sum(cost_amount) FILTER (WHERE campaign = 'tea-search'), sum(cost_amount) FROM cost_by_month WHERE calendar_month = :'march';
-- by hand
SELECT sum(m) FILTER (WHERE campaign = 'tea-search'), sum(m) FROM (SELECT campaign, round(amount * count(*) FILTER (WHERE d < :'march'::date + interval '1 month') / count(*), 2) - round(amount * count(*) FILTER (WHERE d < :'march'::date) / count(*), 2) AS m
    FROM crm.cost, generate_series(day_from::timestamp, day_to::timestamp, '1 day') d GROUP BY cost_id, campaign, amount) c;

-- cost_overlaps: _ cost of the radio may have been booked twice, for _ day.
SELECT count(*), sum(overlap_days) FROM cost_overlaps WHERE channel = 'radio';
-- by hand
SELECT count(DISTINCT a.cost_id), count(*) FROM crm.cost a, crm.cost b, generate_series(now() - interval '1 year', now(), '1 day') d WHERE a.channel = 'radio' AND b.channel = 'radio' AND a.cost_id < b.cost_id AND d::date BETWEEN a.day_from AND a.day_to AND d::date BETWEEN b.day_from AND b.day_to;

-- cost_per_lead: Half a year ago _ new leads came by the stars, who cost _.
SELECT leads, cost_amount FROM cost_per_lead WHERE calendar_month = :'march' AND channel = 'social' AND campaign = 'tea-stars';
-- by hand
SELECT count(*), (SELECT sum(m) FROM (SELECT round(amount * count(*) FILTER (WHERE d < :'march'::date + interval '1 month') / count(*), 2) - round(amount * count(*) FILTER (WHERE d < :'march'::date) / count(*), 2) AS m
    FROM crm.cost, generate_series(day_from::timestamp, day_to::timestamp, '1 day') d WHERE campaign = 'tea-stars' AND channel IS NULL GROUP BY cost_id, amount) c)
FROM life JOIN crm.lead USING (lead_id) WHERE campaign = 'tea-stars' AND coalesce(channel, 'social') = 'social' AND lead_at >= :'march'::timestamp AT TIME ZONE 'Europe/Rome' AND lead_at < (:'march'::timestamp + interval '1 month') AT TIME ZONE 'Europe/Rome';

-- sourcing_comparison: Others brought us _ leads for _, and _ of these became sql.
SELECT leads, cost_amount, sqls FROM sourcing_comparison WHERE comparison = 'sourcing' AND segment = 'outsourced';
-- by hand
SELECT count(lead_at), (SELECT sum(amount) FROM spent WHERE campaign IN ('tea-stars', 'milan-fair')), count(sql_at) FROM life JOIN crm.lead USING (lead_id) WHERE campaign IN ('tea-stars', 'milan-fair');

-- attribution_credit: By the first touch _ orders and _ in money go to the search.
SELECT count(*), sum(revenue_amount) FROM attribution_credit WHERE model = 'first' AND micro_credits > 0 AND campaign = 'tea-search';
-- by hand
SELECT count(*), sum(amount) FROM buy b WHERE (SELECT e.campaign FROM touch e WHERE e.lead_id = b.lead_id AND e.at <= b.at ORDER BY e.at, e.event_id LIMIT 1) = 'tea-search';

-- roas: By the last touch the letter brought _, for _ that it cost.
SELECT revenue_amount, cost_amount FROM roas WHERE model = 'last' AND channel = 'email' AND campaign = 'tea-letter';
-- by hand
SELECT (SELECT sum(amount) FROM buy b WHERE (SELECT coalesce(e.channel, 'email') || e.campaign FROM touch e WHERE e.lead_id = b.lead_id AND e.at <= b.at ORDER BY e.at DESC, e.event_id DESC LIMIT 1) = 'emailtea-letter'), sum(amount) FROM spent WHERE campaign = 'tea-letter';

-- purchases: _ orders brought _, of which _ were left when money was given back.
SELECT count(*), sum(purchase_amount), sum(net_amount) FROM purchases;
-- by hand
SELECT count(*), sum(round(value, 2)) FILTER (WHERE value < 1e12), (SELECT sum(amount) FROM buy) FROM crm.event WHERE kind ~ '^tea_(order|parcel)$' AND (value < 0) IS NOT TRUE AND occurred_at <= now();

-- refunds: _ times money was given back, _ in all, and _ times for an order that is not there.
SELECT count(*), sum(refund_amount) FILTER (WHERE status = 'refunded'), count(*) FILTER (WHERE status = 'no purchase') FROM refunds;
-- by hand
SELECT count(*), sum(back.amount) FILTER (WHERE paid IS NOT NULL), count(*) FILTER (WHERE order_id IS NULL) FROM back LEFT JOIN buy ON buy.event_id = order_id;

-- refunds: Of what was ordered half a year ago _ was given back, whenever that was.
SELECT sum(refund_amount) FROM refunds WHERE purchase_month = :'march' AND status = 'refunded';
-- by hand
SELECT sum(paid - amount) FROM buy WHERE month = :'march';

-- customer_lifetime_value: A customer won half a year ago has brought _ so far; _ of _ bought again.
SELECT round(sum(revenue_amount) / sum(customers), 2), sum(repeat_customers), sum(customers) FROM customer_lifetime_value WHERE cohort_month = :'march';
-- by hand
SELECT round(sum(total) / count(*), 2), count(*) FILTER (WHERE n > 1), count(*) FROM (SELECT sum(amount) AS total, count(*) AS n FROM buy GROUP BY lead_id HAVING min(month) = :'march') c;

-- customer_retention: Of _ customers won half a year ago _ bought two months later.
SELECT customers, buyers FROM customer_retention WHERE cohort_month = :'march' AND months_since = 2;
-- by hand
SELECT count(*), count(*) FILTER (WHERE later) FROM (SELECT bool_or(month = :'march'::date + interval '2 months') AS later FROM buy GROUP BY lead_id HAVING min(month) = :'march') c;

-- value_by_stage: One that was sql has brought _ since, on average.
SELECT value_per_lead_amount FROM value_by_stage WHERE stage = 'sql';
-- by hand
SELECT round((SELECT sum(b.amount) FROM buy b WHERE b.at >= (SELECT min(w.at) FROM walk w WHERE w.lead_id = b.lead_id AND w.stage = 'sql')) / count(DISTINCT lead_id), 2) FROM walk WHERE stage = 'sql';

-- stage_to_customer: Of _ prospects of two months ago and before _ bought.
SELECT matured, converted FROM stage_to_customer WHERE stage = 'prospect';
-- by hand
SELECT count(*), count(*) FILTER (WHERE EXISTS (SELECT FROM walk u WHERE u.lead_id = f.lead_id AND u.cycle = f.cycle AND u.seq > f.seq AND u.stage >= 'customer'))
FROM (SELECT DISTINCT ON (lead_id, cycle) * FROM walk WHERE stage = 'prospect' ORDER BY lead_id, cycle, seq) f WHERE f.at <= (now() AT TIME ZONE 'Europe/Rome' - interval '60 days') AT TIME ZONE 'Europe/Rome';

-- pipeline_forecast: Of the _ prospects of now _ will buy in 60 days, for _ each.
SELECT leads_now, round(expected_customers::numeric, 6), customer_amount FROM pipeline_forecast WHERE stage = 'prospect';
-- by hand
WITH g AS (SELECT make_interval(days => d) AS age FROM unnest('{0,1,2,4,7,14,30,60,90,120,180,270,365}'::int[]) d),
s AS (SELECT w.at, coalesce(w.left_at, 'infinity') AS left_at, c.won_at FROM walk w JOIN cycles c USING (lead_id, cycle) WHERE w.stage = 'prospect'),
p AS (SELECT age, count(*) AS n, count(*) FILTER (WHERE won_at > at + age AND won_at <= at + age + interval '60 days') AS won FROM s, g WHERE left_at > at + age AND at + age + interval '60 days' <= now() GROUP BY 1)
SELECT count(*), round(sum((SELECT won::numeric / n FROM p WHERE at + age <= now() AND (n >= 10 OR age = '0') ORDER BY age DESC LIMIT 1)), 6), (SELECT round(sum(amount) / count(DISTINCT lead_id), 2) FROM buy) FROM s WHERE left_at = 'infinity';

-- sla_status: Sales kept its four hours _ times, and _ times it did not.
SELECT count(*) FILTER (WHERE status = 'kept'), count(*) FILTER (WHERE status = 'breached') FROM sla_status;
-- by hand
SELECT count(*) FILTER (WHERE said_at <= at + interval '4 hours'), count(*) FILTER (WHERE coalesce(said_at, 'infinity') > at + interval '4 hours' AND coalesce(left_at, 'infinity') > at + interval '4 hours' AND at + interval '4 hours' < now())
FROM (SELECT w.at, w.left_at, coalesce((SELECT max(s.at) FROM spoke s WHERE s.lead_id = w.lead_id AND s.at < w.at AND s.at >= greatest(w.at - interval '4 hours', c.began_at)),
    (SELECT min(s.at) FROM spoke s WHERE s.lead_id = w.lead_id AND s.at >= w.at AND s.at <= coalesce(w.left_at, 'infinity'))) AS said_at FROM walk w JOIN cycles c USING (lead_id, cycle) WHERE w.stage = 'sql') k;

-- first_response: Of _ that asked for samples _ were answered, _ of them within four hours.
SELECT count(*), count(responded_at), count(*) FILTER (WHERE in_time) FROM first_response WHERE clock = 'request';
-- by hand
SELECT count(*), count(answered), count(*) FILTER (WHERE answered <= at + interval '4 hours') FROM asked;

-- response_time_effect: Of _ that were answered within a day, but late, _ are customers since.
SELECT enquiries, customers FROM response_time_effect WHERE clock = 'request' AND response = 'within a day';
-- by hand
SELECT count(*), count(*) FILTER (WHERE EXISTS (SELECT FROM walk w WHERE w.lead_id = a.lead_id AND w.stage >= 'customer' AND w.at >= a.answered AND w.at < coalesce(a.next_at, 'infinity')))
FROM (SELECT *, lead(at) OVER (PARTITION BY lead_id ORDER BY at) AS next_at FROM asked) a WHERE answered > at + interval '4 hours' AND answered <= at + interval '24 hours' AND (was < 'customer' OR was IS NULL);

-- followups: Sales gave up on _ that had said no once or more, without another call.
SELECT count(*) FROM followups WHERE given_up_after_first_no;
-- by hand
SELECT count(*) FROM (SELECT lead_id, min(at) FILTER (WHERE said = 'no') AS no_at, max(at) AS last_at FROM spoke GROUP BY 1) s JOIN life USING (lead_id) WHERE no_at = last_at AND won_at IS NULL
    AND NOT (stage >= 'visitor' AND (last_at > now() - interval '720 hours' OR EXISTS (SELECT FROM crm.action a WHERE a.lead_id = s.lead_id AND a.kind = 'task' AND a.status IN ('waiting', 'claimed'))));

-- followup_summary: A sale took _ contacts on average, and _ sales took five or more.
SELECT round(mean_contacts_until_won::numeric, 3), won_with_five FROM followup_summary;
-- by hand
SELECT round(avg(n), 3), count(*) FILTER (WHERE n >= 5) FROM (SELECT (SELECT count(*) FROM spoke s WHERE s.lead_id = l.lead_id AND s.at <= l.won_at) AS n FROM life l WHERE won_at IS NOT NULL) c;

-- won_by_contact_number: _ sales took no contact, and _ took three.
SELECT sum(sales) FILTER (WHERE contact_number = 0), sum(sales) FILTER (WHERE contact_number = 3) FROM won_by_contact_number;
-- by hand
SELECT count(*) FILTER (WHERE n = 0), count(*) FILTER (WHERE n = 3) FROM (SELECT (SELECT count(*) FROM spoke s WHERE s.lead_id = l.lead_id AND s.at <= l.won_at) AS n FROM life l WHERE won_at IS NOT NULL) c;

-- lead_cooling: _ open leads have been quiet for 30 days.
SELECT count(*) FROM lead_cooling WHERE reason ~ 'quiet';
-- by hand
SELECT count(*) FROM life JOIN crm.lead USING (lead_id) LEFT JOIN (SELECT lead_id, max(date_trunc('day', occurred_at, 'UTC')) AS at FROM crm.event
        WHERE kind IN ('shelf_view', 'tea_view', 'club_joined', 'sample_wanted', 'recipe_taken', 'tasting', 'email_click', 'chat', 'tea_order', 'tea_parcel', 'gone', 'shelved', 'hoax') AND date_trunc('day', occurred_at, 'UTC') <= now() GROUP BY 1) e USING (lead_id)
WHERE stage BETWEEN 'iql' AND 'prospect' AND coalesce(e.at, created_at) + interval '720 hours' <= now();

-- meeting_outcome: Of _ that had agreed to come for tea _ came and _ did not, half of them within _ days; of _ that came _ bought since.
SELECT booked, held, no_show, open, overdue, round(median_ahead_days::numeric, 6), leads_met, customers FROM meeting_outcome WHERE owner = (SELECT owner FROM meeting_outcome ORDER BY meetings DESC, owner LIMIT 1);
-- by hand
SELECT count(t.at), count(*) FILTER (WHERE how = 'came_for_tea'), count(*) FILTER (WHERE how = 'stood_us_up'), count(*) FILTER (WHERE how = 'tea_date'), count(*) FILTER (WHERE how = 'tea_date' AND wanted < now()),
    (SELECT round(percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM d.meets - d.at)::float8 / 86400)::numeric, 6) FROM (SELECT l.owner, t.at, coalesce(t.wanted, CASE t.how WHEN 'came_for_tea' THEN t.ended END) AS meets FROM tea t JOIN crm.lead l USING (lead_id)) d
        WHERE coalesce(d.owner, '(none)') = coalesce(l.owner, '(none)') AND d.meets >= d.at),
    (SELECT count(*) FROM (SELECT t.lead_id, min(t.ended) AS met FROM tea t JOIN crm.lead m USING (lead_id) WHERE t.how = 'came_for_tea' AND coalesce(m.owner, '(none)') = coalesce(l.owner, '(none)') GROUP BY 1) f JOIN life USING (lead_id) WHERE won_at IS NULL OR won_at >= met),
    (SELECT count(*) FROM (SELECT t.lead_id, min(t.ended) AS met FROM tea t JOIN crm.lead m USING (lead_id) WHERE t.how = 'came_for_tea' AND coalesce(m.owner, '(none)') = coalesce(l.owner, '(none)') GROUP BY 1) f JOIN life USING (lead_id) WHERE won_at >= met)
FROM tea t JOIN crm.lead l USING (lead_id) GROUP BY coalesce(l.owner, '(none)'), l.owner ORDER BY count(*) DESC, coalesce(l.owner, '(none)') LIMIT 1;

-- bant_gaps: Of _ mql _ have not said what they like.
SELECT leads, missing FROM bant_gaps WHERE stage = 'mql' AND gate = 'taste';
-- by hand
SELECT count(*), count(*) FILTER (WHERE profile ->> 'taste' IS DISTINCT FROM 'true') FROM life JOIN crm.lead USING (lead_id) WHERE stage = 'mql';

-- landing_pages: _ landed on the page of black teas, and _ of them bought since.
SELECT landed, customers FROM landing_pages WHERE page = '/black';
-- by hand
SELECT count(*), count(*) FILTER (WHERE won_at >= at) FROM (SELECT DISTINCT ON (lead_id) lead_id, occurred_at AS at, coalesce(properties ->> 'page', '(none)') AS page FROM crm.event WHERE kind IN ('page_view', 'shelf_view', 'tea_view') ORDER BY lead_id, occurred_at, event_id) v JOIN life USING (lead_id)
WHERE page IN ('/black', '/black#oolong');

-- landing_page_variants: Of _ that landed on the new front page _ became leads, and of _ on the old one _.
SELECT n.landed, n.leads, o.landed, o.leads FROM landing_page_variants n JOIN landing_page_variants o ON o.page = n.page AND o.variant = n.baseline WHERE n.page = '/' AND n.variant = 'new';
-- by hand
SELECT count(*) FILTER (WHERE variant = 'new'), count(*) FILTER (WHERE variant = 'new' AND lead_at >= at), count(*) FILTER (WHERE variant = 'control'), count(*) FILTER (WHERE variant = 'control' AND lead_at >= at)
FROM (SELECT DISTINCT ON (lead_id) lead_id, occurred_at AS at, properties ->> 'page' AS page, properties ->> 'variant' AS variant FROM crm.event WHERE kind IN ('page_view', 'shelf_view', 'tea_view') ORDER BY lead_id, occurred_at, event_id) v JOIN life USING (lead_id)
WHERE page = '/';

-- form_conversion: Of _ that saw the short form of the club _ sent it.
SELECT viewed, submitted FROM form_conversion WHERE level = 'form' AND form = 'club' AND variant = 'short';
-- by hand
SELECT count(*), count(*) FILTER (WHERE EXISTS (SELECT FROM crm.event s WHERE s.lead_id = v.lead_id AND s.kind = 'form_submit' AND s.properties ->> 'form' = 'club' AND coalesce(s.properties ->> 'variant', 'short') = 'short' AND s.occurred_at >= v.at))
FROM (SELECT lead_id, min(occurred_at) AS at FROM crm.event WHERE kind = 'form_view' AND properties @> '{"form": "club", "variant": "short"}' GROUP BY 1) v;

-- lead_offers: _ took iced tea first, and _ were at a tasting last.
SELECT count(*) FILTER (WHERE first_offer = 'iced tea'), count(*) FILTER (WHERE last_offer = 'tasting') FROM lead_offers;
-- by hand
SELECT count(*) FILTER (WHERE f = 'iced tea'), count(*) FILTER (WHERE l = 'tasting') FROM (SELECT (array_agg(coalesce(properties ->> 'content', kind) ORDER BY occurred_at))[1] AS f, (array_agg(coalesce(properties ->> 'content', kind) ORDER BY occurred_at DESC))[1] AS l
    FROM crm.event WHERE kind IN ('recipe_taken', 'tasting') AND occurred_at <= now() GROUP BY lead_id) o;

-- content_suggestions: _ are ready for ten percent off, and _ for tea samples; of these _ looked at oolong.
SELECT count(*) FILTER (WHERE content = 'ten percent'), count(*) FILTER (WHERE content = 'tea samples'), count(*) FILTER (WHERE content = 'tea samples' AND of_interest) FROM content_suggestions;
-- by hand
SELECT count(*) FILTER (WHERE f.stage = 'sql'), count(*) FILTER (WHERE f.stage = 'mql'), count(*) FILTER (WHERE f.stage = 'mql' AND EXISTS (SELECT FROM crm.event e WHERE e.lead_id = f.lead_id AND e.properties ->> 'topic' = 'oolong' AND e.occurred_at <= now()))
FROM life f JOIN crm.lead l USING (lead_id) WHERE l.consented_at IS NOT NULL AND l.contact_allowed;

-- email_engagement: Of _ that letter 2 was sent to _ opened it.
SELECT sent, opened FROM email_engagement WHERE message = 'letter 2';
-- by hand
SELECT count(*), count(*) FILTER (WHERE EXISTS (SELECT FROM crm.event o WHERE o.lead_id = s.lead_id AND o.kind = 'email_open' AND o.properties ->> 'message' = 'letter 2' AND o.occurred_at >= s.at))
FROM (SELECT lead_id, min(occurred_at) AS at FROM crm.event WHERE kind = 'email_sent' AND properties ->> 'message' = 'letter 2' GROUP BY 1) s;

-- message_response_by_segment: Letter 1 was answered or followed by _ of _ gourmets as a haiku.
SELECT responded, sent FROM message_response_by_segment WHERE message = 'letter 1' AND variant = 'haiku' AND level = 'persona' AND persona = 'gourmet' AND baseline = 'control';
-- by hand
SELECT count(DISTINCT r.lead_id), count(DISTINCT s.lead_id) FROM crm.lead l JOIN crm.event s USING (lead_id) LEFT JOIN crm.event r ON r.lead_id = s.lead_id AND r.kind IN ('email_click', 'email_reply') AND r.properties = s.properties AND r.occurred_at >= s.occurred_at
WHERE l.persona = 'gourmet' AND s.kind = 'email_sent' AND s.properties = '{"message": "letter 1", "variant": "haiku"}';

-- experiment_result: Of _ leads that saw the new shelf _ bought within two months.
SELECT closed, converted FROM experiment_result WHERE experiment = 'shelf' AND level = 'all' AND variant = 'new';
-- by hand
SELECT count(*), count(*) FILTER (WHERE EXISTS (SELECT FROM walk w WHERE w.lead_id = s.lead_id AND w.stage >= 'customer' AND coalesce(w.before, 'visitor') < 'customer' AND w.at > s.at AND w.at <= s.at + interval '60 days'))
FROM (SELECT lead_id, min(occurred_at) AS at FROM crm.event WHERE kind = 'tea_view' AND occurred_at >= '2000-01-01' AND lead_id % 2 = 0 GROUP BY 1) s WHERE s.at + interval '60 days' <= now();

-- message_response: Letter 1 was answered or followed by _ of _ as a haiku.
SELECT responded, sent FROM message_response WHERE message = 'letter 1' AND variant = 'haiku' AND baseline = 'control';
-- by hand
SELECT count(DISTINCT r.lead_id), count(DISTINCT s.lead_id) FROM crm.event s LEFT JOIN crm.event r ON r.lead_id = s.lead_id AND r.kind IN ('email_click', 'email_reply') AND r.properties = s.properties AND r.occurred_at >= s.occurred_at
WHERE s.kind = 'email_sent' AND s.properties = '{"message": "letter 1", "variant": "haiku"}';

-- interest_by_topic: _ looked at oolong, and _ of them became mql since.
SELECT leads, mqls FROM interest_by_topic WHERE topic = 'oolong';
-- by hand
SELECT count(*), count(*) FILTER (WHERE mql_at >= at) FROM (SELECT lead_id, min(occurred_at) AS at FROM crm.event WHERE properties ->> 'topic' = 'oolong' GROUP BY 1) t JOIN life USING (lead_id);

-- lead_quality: Of _ that came by friends _ became leads, and _ are or were customers.
SELECT sum(contacts), sum(leads), sum(customers) FROM lead_quality WHERE campaign = 'friends-of-tea';
-- by hand
SELECT count(*), count(lead_at), count(won_at) FROM life JOIN crm.lead USING (lead_id) WHERE campaign = 'friends-of-tea';

-- stage_lift_by_event: _ of _ iql that opened a letter went higher, and _ of _ others.
SELECT converted_with, leads_with, converted_without, leads_without FROM stage_lift_by_event WHERE stage = 'iql' AND kind = 'email_open';
-- by hand
SELECT count(*) FILTER (WHERE opened AND up_at IS NOT NULL), count(*) FILTER (WHERE opened), count(*) FILTER (WHERE NOT opened AND up_at IS NOT NULL), count(*) FILTER (WHERE NOT opened)
FROM (SELECT i.*, EXISTS (SELECT FROM crm.event e WHERE e.lead_id = i.lead_id AND e.kind = 'email_open' AND e.occurred_at BETWEEN i.at AND coalesce(i.up_at, i.ended_at, now())) AS opened
    FROM (SELECT DISTINCT ON (f.lead_id, f.cycle) f.lead_id, f.at, c.ended_at, (SELECT min(u.at) FROM walk u WHERE u.lead_id = f.lead_id AND u.cycle = f.cycle AND u.seq > f.seq AND u.stage > 'iql') AS up_at
        FROM walk f JOIN cycles c USING (lead_id, cycle) WHERE f.stage = 'iql' ORDER BY f.lead_id, f.cycle, f.seq) i) k;

-- signal_report: After _ days _ of _ iql that had been at a tasting by then went higher, and _ of _ others.
SELECT round(as_of_days::numeric, 4), converted_with, leads_with, converted_without, leads_without FROM signal_report WHERE stage = 'iql' AND signal = 'tasting';
-- by hand
WITH stay AS (SELECT DISTINCT ON (f.lead_id, f.cycle) f.lead_id, f.at, c.ended_at, (SELECT min(u.at) FROM walk u WHERE u.lead_id = f.lead_id AND u.cycle = f.cycle AND u.seq > f.seq AND u.stage > 'iql' AND u.at <= f.at + interval '1440 hours') AS up_at
    FROM walk f JOIN cycles c USING (lead_id, cycle) WHERE f.stage = 'iql' ORDER BY f.lead_id, f.cycle, f.seq),
old AS (SELECT * FROM stay WHERE at <= (now() AT TIME ZONE 'Europe/Rome' - interval '60 days') AT TIME ZONE 'Europe/Rome'),
age AS (SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY up_at - at) / 2 AS age FROM old WHERE up_at IS NOT NULL),
k AS (SELECT o.*, EXISTS (SELECT FROM crm.event e WHERE e.lead_id = o.lead_id AND e.kind = 'tasting' AND e.occurred_at <= o.at + a.age) AS tasted FROM old o, age a
    WHERE (up_at IS NULL OR up_at > at + a.age) AND (ended_at IS NULL OR ended_at > at + a.age))
SELECT round((extract(epoch FROM (SELECT age FROM age)) / 86400)::numeric, 4), count(*) FILTER (WHERE tasted AND up_at IS NOT NULL), count(*) FILTER (WHERE tasted), count(*) FILTER (WHERE NOT tasted AND up_at IS NOT NULL), count(*) FILTER (WHERE NOT tasted) FROM k;

-- consent_by_stage: Of _ leads that are mql we may write to _; _ want no letters.
SELECT leads, reachable, refused FROM consent_by_stage WHERE stage = 'mql';
-- by hand
SELECT count(*), count(*) FILTER (WHERE p.given AND m.given AND NOT m.taken), count(*) FILTER (WHERE m.taken)
    FROM life f, LATERAL (SELECT coalesce((array_agg(c.status = 'granted' ORDER BY c.occurred_at DESC, c.consent_id DESC))[1], false) AS given FROM crm.consent c WHERE c.lead_id = f.lead_id AND c.purpose = 'policy') p,
        LATERAL (SELECT coalesce(bool_or(c.status = 'granted'), false) AS given, coalesce(bool_or(c.status = 'withdrawn'), false) AS taken FROM crm.consent c WHERE c.lead_id = f.lead_id AND c.purpose = 'marketing') m
    WHERE f.stage = 'mql';

-- capture_gaps: The form for samples brought _ enquiries, the last _ days ago.
SELECT captures, round(quiet_days::numeric, 3) FROM capture_gaps WHERE source_kind = 'form' AND source = 'samples';
-- by hand
SELECT count(*), round((extract(epoch FROM now() - max(occurred_at)) / 86400)::numeric, 3) FROM crm.event WHERE properties ->> 'form' = 'samples' AND kind = 'sample_wanted';

-- lead_dim: In Spain are _ customers, _ of which another lead recommended us to.
SELECT count(*), count(*) FILTER (WHERE referred) FROM lead_dim WHERE country = 'ES' AND stage_rank >= 90;
-- by hand
SELECT count(*), count(referred_by) FROM crm.lead JOIN life USING (lead_id) WHERE country = 'ES' AND stage >= 'customer';

-- calendar: The shop has been open for _ days, on _ Sundays.
SELECT count(*), count(*) FILTER (WHERE weekday = 7) FROM calendar WHERE NOT future;
-- by hand
SELECT count(*), count(*) FILTER (WHERE to_char(d, 'DY') = 'SUN') FROM (SELECT least(min(occurred_at), (SELECT min(created_at) FROM crm.lead)) AT TIME ZONE 'Europe/Rome' AS a FROM crm.event) x, generate_series(date_trunc('day', a), now() AT TIME ZONE 'Europe/Rome', '1 day') d;

-- funnel_between: In the last 90 days there were _ new mql, of which _ went higher by now.
SELECT entered, converted FROM funnel_between((now() AT TIME ZONE 'Europe/Rome')::date - 90, (now() AT TIME ZONE 'Europe/Rome')::date - 1) WHERE stage = 'mql';
-- by hand
SELECT count(*), count(*) FILTER (WHERE EXISTS (SELECT FROM walk u WHERE u.lead_id = f.lead_id AND u.cycle = f.cycle AND u.seq > f.seq AND u.stage > 'mql'))
FROM (SELECT DISTINCT ON (lead_id, cycle) * FROM walk WHERE stage = 'mql' ORDER BY lead_id, cycle, seq) f
WHERE (f.at AT TIME ZONE 'Europe/Rome')::date BETWEEN (now() AT TIME ZONE 'Europe/Rome')::date - 90 AND (now() AT TIME ZONE 'Europe/Rome')::date - 1;

-- required_leads: For 100 customers we need _ mql, and have _.
SELECT required, leads_now FROM required_leads(100) WHERE stage = 'mql';
-- by hand
SELECT ceil(100.0 * count(*) / count(*) FILTER (WHERE EXISTS (SELECT FROM walk u WHERE u.lead_id = f.lead_id AND u.cycle = f.cycle AND u.seq > f.seq AND u.stage >= 'customer'))), (SELECT count(*) FROM life WHERE stage = 'mql')
FROM (SELECT DISTINCT ON (lead_id, cycle) * FROM walk WHERE stage = 'mql' ORDER BY lead_id, cycle, seq) f WHERE f.at <= (now() AT TIME ZONE 'Europe/Rome' - interval '60 days') AT TIME ZONE 'Europe/Rome';

-- sla_status_at: At noon a week ago _ sql had waited too long, and _ had been called in time.
SELECT count(*) FILTER (WHERE status = 'breached'), count(*) FILTER (WHERE status = 'kept') FROM sla_status_at(:'today'::timestamptz - interval '156 hours');
-- by hand
SELECT count(*) FILTER (WHERE coalesce(said_at, 'infinity') > at + interval '4 hours' AND coalesce(left_at, 'infinity') > at + interval '4 hours' AND at + interval '4 hours' < noon), count(*) FILTER (WHERE said_at <= at + interval '4 hours' AND said_at <= noon)
FROM (SELECT w.at, w.left_at, :'today'::timestamptz - interval '156 hours' AS noon, coalesce((SELECT max(s.at) FROM spoke s WHERE s.lead_id = w.lead_id AND s.at < w.at AND s.at >= greatest(w.at - interval '4 hours', c.began_at)),
    (SELECT min(s.at) FROM spoke s WHERE s.lead_id = w.lead_id AND s.at >= w.at AND s.at <= coalesce(w.left_at, 'infinity'))) AS said_at FROM walk w JOIN cycles c USING (lead_id, cycle) WHERE w.stage = 'sql') k WHERE at <= noon;

-- attribution: If each touch gets the same share, _ in money goes to whispers.
SELECT round(sum(revenue_amount), 0) FROM attribution('linear') WHERE campaign = 'whispers';
-- by hand
SELECT round(sum(amount * (SELECT count(*) FILTER (WHERE campaign = 'whispers')::numeric / nullif(count(*), 0) FROM touch t WHERE t.lead_id = b.lead_id AND t.at <= b.at)), 0) FROM buy b;

-- pipeline_forecast_at: A hundred days ago _ were prospects, of which _ were to buy in 60 days.
SELECT leads_now, round(expected_customers::numeric, 6) FROM pipeline_forecast_at(:'today'::timestamptz - interval '100 days') WHERE stage = 'prospect';
-- by hand
WITH g AS (SELECT make_interval(days => d) AS age, :'today'::timestamptz - interval '100 days' AS now FROM unnest('{0,1,2,4,7,14,30,60,90,120,180,270,365}'::int[]) d),
s AS (SELECT w.at, coalesce(w.left_at, 'infinity') AS left_at, c.won_at FROM walk w JOIN cycles c USING (lead_id, cycle) WHERE w.stage = 'prospect'),
p AS (SELECT age, now, count(*) AS n, count(*) FILTER (WHERE won_at > at + age AND won_at <= at + age + interval '60 days') AS won FROM s, g WHERE left_at > at + age AND at + age + interval '60 days' <= now GROUP BY 1, 2)
SELECT count(*), round(sum((SELECT won::numeric / n FROM p WHERE at + age <= now AND (n >= 10 OR age = '0') ORDER BY age DESC LIMIT 1)), 6) FROM s, (SELECT DISTINCT now FROM g) i WHERE at <= now AND left_at > now;

-- step_direction: Of _ iql that came to us by themselves alone, _ went on.
SELECT entered, converted FROM step_direction WHERE step_from = 'iql' AND direction = 'inbound';
-- by hand
WITH came AS (SELECT w.lead_id, w.cycle, min(w.seq) AS seq, min(w.at) AS at FROM walk w WHERE w.stage = 'iql' GROUP BY 1, 2),
    stay AS (SELECT c.*, (SELECT min(h.at) FROM walk h WHERE h.lead_id = c.lead_id AND h.cycle = c.cycle AND h.seq > c.seq AND h.stage > 'iql') AS up_at, (SELECT y.ended_at FROM cycles y WHERE y.lead_id = c.lead_id AND y.cycle = c.cycle) AS gone_at FROM came c),
    seen AS (SELECT s.lead_id, s.cycle, s.up_at, bool_or(t.way = 'inbound') AS hither, bool_or(t.way = 'outbound') AS thither
        FROM stay s LEFT JOIN (SELECT e.lead_id, e.occurred_at AS at, coalesce(c.direction, h.direction, CASE WHEN k.role IN ('outreach', 'email_sent') THEN 'outbound' END) AS way FROM crm.event e JOIN crm.event_kind k USING (kind) LEFT JOIN crm.campaign c ON c.campaign = e.campaign LEFT JOIN crm.channel h ON h.channel = coalesce(e.channel, c.channel)
        WHERE k.role NOT IN ('purchase', 'refund', 'cancellation', 'points', 'stage', 'lost', 'disqualified', 'recycled', 'unsubscribe') AND e.occurred_at BETWEEN '2000-01-01' AND now()) t
            ON t.lead_id = s.lead_id AND t.at > s.at AND t.at <= coalesce(s.up_at, s.gone_at, now())
        GROUP BY 1, 2, 3)
SELECT count(*), count(up_at) FROM seen WHERE hither AND thither IS NOT TRUE;

-- channel_plan: In the next 30 days _ tasks are planned, and _ alerts.
SELECT sum(queued) FILTER (WHERE kind = 'task'), sum(queued) FILTER (WHERE kind = 'alert') FROM channel_plan;
-- by hand
SELECT count(*) FILTER (WHERE kind = 'task'), count(*) FILTER (WHERE kind = 'alert') FROM crm.action WHERE status IN ('waiting', 'claimed') AND due_at < now() + interval '30 days';

-- referral_tree: The lead that recommended us most brought _ leads, and these paid _.
SELECT referrals, revenue_amount FROM referral_tree ORDER BY revenue_amount DESC, lead_id LIMIT 1;
-- by hand
WITH RECURSIVE under AS (
    SELECT l.referred_by AS top, l.lead_id FROM crm.lead l WHERE l.referred_by IS NOT NULL
    UNION
    SELECT u.top, l.lead_id FROM under u JOIN crm.lead l ON l.referred_by = u.lead_id
)
SELECT count(DISTINCT u.lead_id), coalesce(sum(b.amount), 0)::numeric(14,2) FROM under u LEFT JOIN (SELECT lead_id, sum(amount) AS amount FROM buy GROUP BY 1) b USING (lead_id) GROUP BY u.top ORDER BY 2 DESC, u.top LIMIT 1;

-- subscription_months: _ subscriptions ran at the end of last month, and brought _ a month.
SELECT active, monthly_revenue_amount FROM subscription_months WHERE calendar_month = (:'march'::date + interval '5 months')::date;
-- by hand
SELECT count(*), sum(amount)::numeric(14,2) FROM (
    SELECT b.lead_id, b.amount, row_number() OVER (PARTITION BY b.lead_id ORDER BY b.at DESC) AS newest, b.at
    FROM buy b JOIN crm.event e USING (lead_id, event_id)
    WHERE e.kind = 'tea_parcel' AND b.at < ((:'march'::date + interval '6 months')::timestamp AT TIME ZONE 'Europe/Rome')) p
WHERE newest = 1 AND ((at AT TIME ZONE 'Europe/Rome' + interval '1 month') AT TIME ZONE 'Europe/Rome') + interval '7 days' >= ((:'march'::date + interval '6 months')::timestamp AT TIME ZONE 'Europe/Rome');

-- calibration: Of _ leads at the beginnings of later months _ bought within four weeks.
SELECT leads, converted FROM calibration WHERE level = 'summary';
-- by hand
SELECT count(*), count(*) FILTER (WHERE f.won_at <= i.at + interval '672 hours')
FROM crm.model_calibration c CROSS JOIN generate_series(timestamp '2020-01-01', timestamp '2100-01-01', interval '1 month') m CROSS JOIN LATERAL (SELECT m AT TIME ZONE 'UTC' OFFSET 0) i (at)
    JOIN walk w ON w.at < i.at AND (w.left_at >= i.at OR w.left_at IS NULL) JOIN life f USING (lead_id)
WHERE i.at >= c.test_from AND i.at <= now() - interval '672 hours' AND w.stage BETWEEN 'iql' AND 'prospect' AND (f.won_at > i.at OR f.won_at IS NULL)
    AND c.stage_coefficients[CASE w.stage WHEN 'iql' THEN 1 WHEN 'mql' THEN 2 WHEN 'sql' THEN 3 ELSE 4 END] IS NOT NULL
    AND NOT EXISTS (SELECT FROM crm.lead_merge g WHERE g.lead_id = w.lead_id) AND NOT EXISTS (SELECT FROM crm.lead l WHERE l.lead_id = w.lead_id AND l.erased_at IS NOT NULL);

-- model_drift: Of _ leads at the beginning of the last month that is over _ bought within four weeks.
SELECT leads, converted FROM model_drift WHERE metric = 'converted_rate' ORDER BY month_date DESC LIMIT 1;
-- by hand
SELECT count(*), count(*) FILTER (WHERE f.won_at <= i.at + interval '672 hours')
FROM crm.model_calibration c CROSS JOIN generate_series(timestamp '2020-01-01', timestamp '2100-01-01', interval '1 month') m CROSS JOIN LATERAL (SELECT m AT TIME ZONE 'UTC' OFFSET 0) i (at)
    JOIN walk w ON w.at < i.at AND (w.left_at >= i.at OR w.left_at IS NULL) JOIN life f USING (lead_id)
WHERE i.at <= now() - interval '672 hours' AND w.stage BETWEEN 'iql' AND 'prospect' AND (f.won_at > i.at OR f.won_at IS NULL)
    AND c.stage_coefficients[CASE w.stage WHEN 'iql' THEN 1 WHEN 'mql' THEN 2 WHEN 'sql' THEN 3 ELSE 4 END] IS NOT NULL
    AND NOT EXISTS (SELECT FROM crm.lead_merge g WHERE g.lead_id = w.lead_id) AND NOT EXISTS (SELECT FROM crm.lead l WHERE l.lead_id = w.lead_id AND l.erased_at IS NOT NULL)
GROUP BY i.at ORDER BY i.at DESC LIMIT 1;
