-- What several reports say must be the same. A block has a comment, which names
-- what is said, and queries, which must give the same rows, each as one line.
-- Blocks that begin with "now:" must agree before a sweep, too.

-- now: leads by stage
SELECT stage, count(*) FROM lead_score GROUP BY 1;
SELECT stage, count(*) FROM lead_dim GROUP BY 1;
SELECT stage, leads FROM stage_daily WHERE day_date = (SELECT day_date FROM calendar WHERE days_ago = 0) AND leads > 0;
SELECT stage, sum(leads_now) FROM (SELECT stage, leads_now FROM funnel UNION ALL SELECT stage, count(*) FROM lead_score WHERE stage_rank < 40 GROUP BY 1) x WHERE leads_now > 0 GROUP BY 1;
SELECT stage, count(DISTINCT lead_id) FROM lead_dimension GROUP BY 1;

-- leads in segments, and since when
SELECT segment, lead_id, entered_at FROM segment_members;
SELECT segment, lead_id, (array_agg(effective_at ORDER BY seq DESC))[1] FROM segment_history GROUP BY 1, 2 HAVING (array_agg(is_member ORDER BY seq DESC))[1];

-- entering and leaving take turns
SELECT segment, lead_id, row_number() OVER (PARTITION BY segment, lead_id ORDER BY seq) % 2 = 1, effective_at FROM segment_history;
SELECT segment, lead_id, is_member, effective_at FROM segment_history;

-- now: leads in open stages
SELECT stage, leads_now FROM funnel WHERE stage_rank BETWEEN 50 AND 80;
SELECT stage, leads_now FROM stage_to_customer WHERE stage_rank BETWEEN 50 AND 80;
SELECT stage, leads_now FROM pipeline_forecast WHERE stage <> 'all';
SELECT stage, leads_now FROM required_leads(10) WHERE stage <> 'visitor';
SELECT DISTINCT stage, leads FROM bant_gaps;
SELECT stage, periods FROM stage_velocity WHERE outcome = 'open' AND stage_rank BETWEEN 50 AND 80;
SELECT t.stage::text, count(c.lead_id) FROM stages() t LEFT JOIN lead_cooling c ON c.stage_rank = t.stage_rank WHERE t.stage BETWEEN 'iql' AND 'prospect' GROUP BY 1;

-- now: leads that sales should call
SELECT lead_id, stage FROM hot_leads WHERE lead_id IN (SELECT lead_id FROM lead WHERE contact_allowed IS NOT FALSE);
SELECT lead_id, stage FROM lead_dim WHERE lead_id IN (SELECT lead_id FROM lead WHERE contact_allowed IS NOT FALSE) AND temperature IN ('warm', 'hot');
SELECT lead_id, stage FROM lead_score WHERE lead_id IN (SELECT lead_id FROM lead WHERE contact_allowed IS NOT FALSE) AND stage IN ('mql', 'sql');
SELECT lead_id, stage FROM lead_cooling WHERE lead_id IN (SELECT lead_id FROM lead WHERE contact_allowed IS NOT FALSE) AND stage_rank IN (60, 70);

-- now: score of each lead that sales should call
SELECT lead_id, score FROM hot_leads WHERE lead_id IN (SELECT lead_id FROM lead WHERE contact_allowed IS NOT FALSE);
SELECT lead_id, score FROM lead_score WHERE lead_id IN (SELECT lead_id FROM lead WHERE contact_allowed IS NOT FALSE) AND stage IN ('mql', 'sql');
SELECT lead_id, score FROM lead_cooling WHERE lead_id IN (SELECT lead_id FROM lead WHERE contact_allowed IS NOT FALSE) AND stage IN ('mql', 'sql');

-- now: since when leads are in their stage
SELECT lead_id, stage_since_at FROM lead_dim WHERE lead_id IN (SELECT lead_id FROM lead WHERE contact_allowed IS NOT FALSE) AND stage IN ('mql', 'sql');
SELECT lead_id, stage_since_at FROM lead_score WHERE lead_id IN (SELECT lead_id FROM lead WHERE contact_allowed IS NOT FALSE) AND stage IN ('mql', 'sql');
SELECT lead_id, stage_since_at FROM hot_leads WHERE lead_id IN (SELECT lead_id FROM lead WHERE contact_allowed IS NOT FALSE);

-- now: sql and prospects are ready to buy
SELECT sum(leads_now) FROM funnel WHERE stage IN ('sql', 'prospect');
SELECT count(*) FROM lead_dim WHERE ready_to_buy;

-- now: leads in the funnel that have a time to be called, and whether sales kept it
SELECT lead_id, due_at, contacted_at, breached FROM hot_leads WHERE lead_id IN (SELECT lead_id FROM lead WHERE contact_allowed IS NOT FALSE) AND due_at IS NOT NULL;
SELECT lead_id, due_at, contacted_at, status = 'breached' FROM sla_status WHERE lead_id IN (SELECT lead_id FROM lead WHERE contact_allowed IS NOT FALSE) AND left_at IS NULL AND stage IN ('mql', 'sql');

-- now: what the forecast for all is made of
SELECT leads_now, round(expected_customers::numeric, 9) FROM pipeline_forecast WHERE stage = 'all';
SELECT sum(leads_now), round(sum(expected_customers)::numeric, 9) FROM pipeline_forecast WHERE stage <> 'all';

-- now: customers that the leads of today still bring
SELECT stage, leads_now, round(expected_customers::numeric, 9) FROM pipeline_forecast WHERE stage <> 'all';
SELECT stage, leads_now, round(expected_customers::numeric, 9) FROM required_leads(100) WHERE stage <> 'visitor';
SELECT stage, leads_now, round(expected_customers::numeric, 9) FROM pipeline_forecast_at(now()) WHERE stage <> 'all';

-- now: leads of organizations
SELECT sum(leads), sum(people), sum(customers) FROM account_score;
SELECT count(*), count(*) FILTER (WHERE kind = 'person'), count(*) FILTER (WHERE stage_rank >= 90) FROM lead_score WHERE organization IS NOT NULL;

-- now: points of the parts of a score (this score has no other limit)
SELECT lead_id, round(sum(points * weight)::numeric, 3) FROM lead_dimension GROUP BY 1;
SELECT lead_id, round(score::numeric, 3) FROM lead_score;

-- entries into stages, by all that is counted
SELECT stage, entered, entered_directly, converted, lost, open, matured, matured_converted FROM funnel;
SELECT stage, sum(entered), sum(entered_directly), sum(converted), sum(lost), sum(open), sum(matured), sum(matured_converted) FROM funnel_cohort GROUP BY 1;
SELECT stage, entered, entered_directly, converted, lost, open, matured, matured_converted FROM funnel_between('1900-01-01', '2100-01-01');
SELECT t.stage::text, coalesce(sum(entered), 0), coalesce(sum(entered_directly), 0), coalesce(sum(converted), 0), coalesce(sum(lost), 0), coalesce(sum(open), 0), coalesce(sum(matured), 0), coalesce(sum(matured_converted), 0) FROM stages() t LEFT JOIN stage_entry USING (stage_rank) WHERE t.stage >= 'visitor' GROUP BY 1;

-- entries into stages, by each slice
SELECT v.slice_by, stage, entered, entered_directly, converted, lost, open FROM funnel, (VALUES ('channel'), ('campaign'), ('market'), ('owner'), ('persona'), ('country'), ('objective')) v (slice_by);
SELECT slice_by, stage, sum(entered), sum(entered_directly), sum(converted), sum(lost), sum(open) FROM funnel_by WHERE slice_by <> 'segment' GROUP BY 1, 2;

-- entries into stages of each owner
SELECT slice, stage, entered, converted, lost FROM funnel_by WHERE slice_by = 'owner' AND entered > 0;
SELECT owner, stage, sum(entered), sum(converted), sum(lost) FROM stage_entry WHERE stage_rank >= 40 GROUP BY 1, 2;

-- entries into stages of each month
SELECT entered_month, stage, entered, converted FROM funnel_cohort WHERE entered > 0;
SELECT entered_month, stage, sum(entered), sum(converted) FROM stage_entry WHERE stage_rank >= 40 GROUP BY 1, 2 HAVING sum(entered) > 0;

-- entries into open stages, and how many of them have had time
SELECT stage, entered, matured FROM funnel WHERE stage_rank BETWEEN 40 AND 80;
SELECT stage, entered, matured FROM stage_to_customer;

-- entries into the stages that rates begin with (no rate has customers that never were leads)
SELECT f.stage, f.entered FROM funnel f WHERE f.stage IN ('iql', 'mql', 'sql');
SELECT step_from, denominator FROM conversion_rates WHERE metric IN ('iql_to_mql', 'mql_to_sql', 'sql_to_customer') AND market = 'all';

-- the same of each market
SELECT slice, stage, entered FROM funnel_by WHERE slice_by = 'market' AND slice <> '(none)' AND stage IN ('iql', 'mql', 'sql');
SELECT market, step_from, denominator FROM conversion_rates WHERE metric IN ('iql_to_mql', 'mql_to_sql', 'sql_to_customer') AND market IN (SELECT slice FROM funnel_by WHERE slice_by = 'market');

-- cycles
SELECT reached FROM funnel WHERE stage = 'visitor';
SELECT count(*) FROM lead_path WHERE stages > 0;
SELECT count(*) FROM cycle_time;

-- cycles that ended in a customer
SELECT reached FROM funnel WHERE stage = 'customer';
SELECT count(*) FROM cycle_time WHERE outcome = 'won';
SELECT sum(customers) + (SELECT count(*) FROM cycle_time WHERE outcome = 'won' AND total_days IS NULL) FROM cycle_time_histogram;
SELECT count(*) FROM lead_path WHERE path ~ 'customer|advocate';

-- cycles of leads, and how many of them came to sql and to a customer
SELECT sum(leads), sum(sqls), sum(customers) FROM period_comparison WHERE period = 'month';
SELECT max(denominator), (SELECT count(*) FROM lead_path p WHERE path ~ 'sql|prospect|customer|advocate' AND EXISTS (SELECT FROM stage_history h WHERE h.lead_id = p.lead_id AND h.cycle = p.cycle AND h.is_lead AND h.to_stage >= 'iql' AND (h.cycle = 1 OR h.to_stage < 'customer'))), max(numerator) FROM conversion_rates WHERE metric = 'lead_to_customer' AND market = 'all';

-- cycles that took a step, and the days that the step took
SELECT metric || '_days', market, numerator FROM conversion_rates WHERE metric IN ('iql_to_mql', 'mql_to_sql', 'iql_to_sql', 'sql_to_customer', 'lead_to_customer');
SELECT metric, market, conversions FROM conversion_times;

-- days from sql to customer
SELECT conversions, round(mean_days::numeric, 6), round(median_days::numeric, 6) FROM conversion_times WHERE metric = 'sql_to_customer_days' AND market = 'all';
SELECT count(sql_to_customer_days), round(avg(sql_to_customer_days)::numeric, 6), round((percentile_cont(0.5) WITHIN GROUP (ORDER BY sql_to_customer_days))::numeric, 6) FROM cycle_time;

-- stays that ended
SELECT stage, periods, round(mean_days::numeric, 6) FROM stage_velocity WHERE outcome = 'left' AND periods > 0;
SELECT stage, count(days_in_stage), round(avg(days_in_stage)::numeric, 6) FROM stage_entry WHERE stage_rank >= 40 AND left_at IS NOT NULL GROUP BY 1;
SELECT stage, sum(periods), round((sum(periods * mean_days) / sum(periods))::numeric, 6) FROM stage_velocity WHERE outcome = 'step' GROUP BY 1;

-- what became of entries, by days
SELECT stage, entered, converted, lost, open FROM funnel WHERE entered > 0;
SELECT stage, max(at_risk), sum(converted), sum(lost), sum(open) FROM conversion_curve GROUP BY 1 HAVING max(at_risk) > 0;

-- stays in open stages and steps up, with any kind of event and without it
SELECT DISTINCT stage, leads_with + leads_without, converted_with + converted_without FROM stage_lift_by_event;
SELECT stage, entered, converted FROM funnel WHERE stage_rank BETWEEN 50 AND 80;

-- leads, each once, and how far they came
SELECT count(lead_at), count(mql_at), count(sql_at), count(customer_at) FROM lead_dim;
SELECT sum(leads), sum(mqls), sum(sqls), sum(customers) FROM cost_per_lead;
SELECT sum(leads), sum(mqls), sum(sqls), sum(customers) FROM lead_quality;
SELECT sum(leads), sum(mqls), sum(sqls), sum(customers) FROM sourcing_comparison WHERE comparison = 'sourcing';
SELECT sum(leads), sum(mqls), sum(sqls), sum(customers) FROM sourcing_comparison WHERE comparison = 'direction';

-- leads of each source
SELECT channel, campaign, count(*), count(lead_at), count(mql_at), count(sql_at), count(customer_at) FROM lead_dim GROUP BY 1, 2;
SELECT channel, campaign, contacts, leads, mqls, sqls, customers FROM lead_quality WHERE contacts > 0;

-- leads of each source, again
SELECT channel, campaign, sum(leads), sum(mqls), sum(sqls), sum(customers) FROM cost_per_lead GROUP BY 1, 2;
SELECT channel, campaign, leads, mqls, sqls, customers FROM lead_quality;

-- leads of each direction
SELECT segment, leads, mqls, sqls, customers FROM sourcing_comparison WHERE comparison = 'direction' AND leads + customers > 0;
SELECT direction, count(lead_at), count(mql_at), count(sql_at), count(customer_at) FROM lead_dim GROUP BY 1 HAVING count(lead_at) + count(customer_at) > 0;
SELECT direction, sum(leads), sum(mqls), sum(sqls), sum(customers) FROM cost_per_lead GROUP BY 1 HAVING sum(leads) + sum(customers) > 0;
SELECT direction, sum(leads), sum(mqls), sum(sqls), sum(customers) FROM lead_quality GROUP BY 1 HAVING sum(leads) + sum(customers) > 0;

-- leads of each month
SELECT calendar_month, sum(leads), sum(customers) FROM cost_per_lead GROUP BY 1 HAVING sum(leads) + sum(customers) > 0;
SELECT calendar_month, sum(leads), sum(customers) FROM (SELECT c.day_month AS calendar_month, 1 AS leads, 0 AS customers FROM lead_dim d JOIN calendar c ON c.day_date = (d.lead_at AT TIME ZONE (SELECT time_zone FROM setting))::date UNION ALL SELECT c.day_month, 0, 1 FROM lead_dim d JOIN calendar c ON c.day_date = (d.customer_at AT TIME ZONE (SELECT time_zone FROM setting))::date) x GROUP BY 1;

-- cycles that became leads in each month
SELECT from_date, leads FROM period_comparison WHERE period = 'month' AND leads > 0;
SELECT m, count(*) FROM (SELECT e.lead_id, e.cycle, (array_agg(e.entered_month ORDER BY e.entry_seq))[1] AS m FROM stage_entry e JOIN stage_history h ON h.lead_id = e.lead_id AND h.seq = e.entry_seq WHERE h.is_lead AND e.stage_rank >= 50 AND (e.cycle = 1 OR e.stage_rank < 90) GROUP BY 1, 2) x GROUP BY 1;

-- when each lead became a lead
SELECT lead_id, lead_at FROM lead_origin WHERE lead_at IS NOT NULL;
SELECT lead_id, lead_at FROM lead_dim WHERE lead_at IS NOT NULL;

-- when each lead became a customer
SELECT lead_id, customer_at FROM lead_dim WHERE customer_at IS NOT NULL;
SELECT lead_id, won_at FROM followups WHERE won_at IS NOT NULL;
SELECT lead_id, min(entered_at) FROM stage_entry WHERE stage_rank >= 90 GROUP BY 1;
SELECT lead_id, min(customer_at) FROM cycle_time WHERE outcome = 'won' GROUP BY 1;

-- customers, each lead once
SELECT count(customer_at) FROM lead_dim;
SELECT sales FROM followup_summary;
SELECT sum(sales) FROM won_by_contact_number;
SELECT count(won_at) FROM followups;
SELECT count(DISTINCT lead_id) FROM cycle_time WHERE outcome = 'won';

-- contacts of sales
SELECT leads, contacts, sales, said_no, gave_up_after_first_no, won_with_five FROM followup_summary;
SELECT count(*), sum(contacts), count(won_at), count(first_no_at), count(*) FILTER (WHERE given_up_after_first_no), count(*) FILTER (WHERE contacts_until_won >= 5) FROM followups;
SELECT (SELECT count(*) FROM followups), (SELECT sum(contacts) FROM followups), sum(sales), (SELECT count(first_no_at) FROM followups), (SELECT count(*) FROM followups WHERE given_up_after_first_no), sum(sales) FILTER (WHERE contact_number >= 5) FROM won_by_contact_number;

-- enquiries of leads that were no customers, by each clock
SELECT clock, count(*), count(responded_at), count(sql_at), count(customer_at) FROM first_response WHERE NOT was_customer GROUP BY 1;
SELECT clock, sum(enquiries), sum(enquiries) FILTER (WHERE response NOT IN ('never', 'waiting')), sum(qualified), sum(customers) FROM response_time_effect GROUP BY 1 HAVING sum(enquiries) > 0;

-- now: stays in a stage with a time for a contact
SELECT lead_id, enquired_at, due_at, responded_at, status FROM first_response WHERE clock = 'stage';
SELECT lead_id, entered_at, due_at, contacted_at, status FROM sla_status;

-- buyers, purchases and revenue
SELECT count(DISTINCT lead_id), count(*), sum(net_amount) FROM purchases;
SELECT sum(customers), sum(purchases), sum(revenue_amount) FROM customer_lifetime_value;
SELECT sum(customers) FILTER (WHERE months_since = 0), (SELECT count(*) FROM purchases), sum(revenue_amount) FROM customer_retention;

-- buyers have become customers, at the latest by buying
SELECT lead_id FROM purchases GROUP BY 1;
SELECT p.lead_id FROM purchases p JOIN lead_dim d USING (lead_id) WHERE d.customer_at <= p.purchased_at GROUP BY 1;

-- customers of each month of first purchase
SELECT cohort_month, sum(customers), sum(revenue_amount) FROM customer_lifetime_value GROUP BY 1;
SELECT cohort_month, max(customers), sum(revenue_amount) FROM customer_retention GROUP BY 1;
SELECT cohort_month, count(*), sum(revenue) FROM (SELECT min(purchase_month) AS cohort_month, sum(net_amount) AS revenue FROM purchases GROUP BY lead_id) x GROUP BY 1;

-- revenue of each month
SELECT purchase_month, coalesce(sum(net_amount), 0.00) FROM purchases GROUP BY 1;
SELECT calendar_month, sum(revenue_amount) FROM customer_retention GROUP BY 1 HAVING sum(buyers) > 0;
SELECT purchase_month, coalesce(sum(revenue_amount), 0.00) FROM attribution_credit WHERE model = 'position' GROUP BY 1;

-- revenue, whoever it is shared between
SELECT m.model, sum(net_amount), round(count(*)) FROM purchases, (VALUES ('first'), ('last'), ('linear'), ('position'), ('time_decay')) m (model) GROUP BY 1;
SELECT model, sum(revenue_amount), round(sum(micro_credits) / 1000000) FROM attribution_credit GROUP BY 1;
SELECT model, sum(revenue_amount), round(sum(credited_purchases)) FROM roas GROUP BY 1;

-- revenue and credits of each source
SELECT model, channel, campaign, sum(revenue_amount), round(sum(credited_purchases)::numeric, 6) FROM roas WHERE credited_purchases > 0 GROUP BY 1, 2, 3;
SELECT model, channel, campaign, coalesce(sum(revenue_amount), 0.00), round(sum(micro_credits) / 1000000.0, 6) FROM attribution_credit GROUP BY 1, 2, 3 HAVING sum(micro_credits) > 0;

-- credits of each direction
SELECT direction, round(sum(credited_purchases)::numeric, 6) FROM roas WHERE model = 'linear' GROUP BY 1 HAVING sum(credited_purchases) > 0;
SELECT direction, round(sum(micro_credits) / 1000000.0, 6) FROM attribution_credit WHERE model = 'linear' GROUP BY 1 HAVING sum(micro_credits) > 0;

-- revenue of the leads of all sources
SELECT coalesce(sum(net_amount), 0) FROM purchases;
SELECT sum(revenue_amount) FROM lead_quality;
SELECT sum(revenue_amount) FROM sourcing_comparison WHERE comparison = 'sourcing';
SELECT sum(revenue_amount) FROM sourcing_comparison WHERE comparison = 'direction';

-- revenue and buyers of the leads of each source
SELECT channel, campaign, sum(revenue_amount) FROM customer_lifetime_value GROUP BY 1, 2 HAVING sum(revenue_amount) > 0;
SELECT channel, campaign, revenue_amount FROM lead_quality WHERE revenue_amount > 0;

-- revenue of leads, by the month in which they became leads
SELECT sum(revenue_amount) FROM period_comparison WHERE period = 'month';
SELECT sum(net_amount) FROM purchases JOIN lead_dim USING (lead_id) WHERE lead_at IS NOT NULL;

-- revenue since leads were customers (an advocate that never was one is left out)
SELECT customers, revenue_amount FROM value_by_stage WHERE stage = 'customer';
SELECT count(DISTINCT p.lead_id), sum(p.net_amount) FROM purchases p JOIN (SELECT lead_id, min(entered_at) AS at FROM stage_entry WHERE stage = 'customer' GROUP BY 1) e USING (lead_id) WHERE p.purchased_at >= e.at;

-- leads that ever were in a stage
SELECT stage, leads FROM value_by_stage WHERE leads > 0;
SELECT stage, count(DISTINCT lead_id) FROM stage_entry WHERE stage_rank >= 40 GROUP BY 1;

-- worth of a customer
SELECT DISTINCT customer_amount FROM pipeline_forecast;
SELECT round(sum(revenue_amount) / sum(customers), 2) FROM customer_lifetime_value;

-- cost, with that of days to come
SELECT sum(amount) FROM cost;
SELECT sum(cost_amount + planned_amount) FROM cost_by_month;

-- cost
SELECT sum(cost_amount) FROM cost_by_month;
SELECT sum(cost_amount) FROM cost_per_lead;
SELECT sum(cost_amount) FROM sourcing_comparison WHERE comparison = 'sourcing';
SELECT sum(cost_amount) FROM sourcing_comparison WHERE comparison = 'direction';
SELECT DISTINCT sum(cost_amount) FROM roas GROUP BY model;

-- cost of each month
SELECT calendar_month, sum(cost_amount) FROM cost_by_month GROUP BY 1 HAVING sum(cost_amount) <> 0;
SELECT calendar_month, sum(cost_amount) FROM cost_per_lead GROUP BY 1 HAVING sum(cost_amount) <> 0;

-- cost of each source
SELECT channel, campaign, sum(cost_amount) FROM cost_by_month GROUP BY 1, 2;
SELECT channel, campaign, sum(cost_amount) FROM cost_per_lead GROUP BY 1, 2 HAVING sum(cost_amount) <> 0;
SELECT channel, campaign, cost_amount FROM roas WHERE model = 'first' AND cost_amount <> 0;

-- cost of each direction
SELECT direction, sum(cost_amount) FROM cost_by_month GROUP BY 1 HAVING sum(cost_amount) <> 0;
SELECT direction, sum(cost_amount) FROM cost_per_lead GROUP BY 1 HAVING sum(cost_amount) <> 0;
SELECT direction, sum(cost_amount) FROM roas WHERE model = 'last' GROUP BY 1 HAVING sum(cost_amount) <> 0;
SELECT segment, cost_amount FROM sourcing_comparison WHERE comparison = 'direction' AND cost_amount <> 0;

-- what the owner of a lead is
SELECT lead_id, owner, channel, campaign FROM lead_dim WHERE lead_id IN (SELECT lead_id FROM sla_status);
SELECT DISTINCT lead_id, owner, channel, campaign FROM sla_status;

-- messages
SELECT sum(sent) FROM email_engagement;
SELECT sum(sent) FROM message_response;

-- offers that each lead took
SELECT lead_id, first_offer, last_offer, last_offer_at FROM lead_offers;
SELECT lead_id, first_offer, last_offer, last_offer_at FROM lead_profile WHERE offers > 0;

-- visits
SELECT sum(views) FROM landing_pages;
SELECT count(*) FROM event WHERE kind = ANY (leadscore_internal.kinds_of('event_kind', 'visit')) AND isfinite(occurred_at) AND occurred_at <= now();

-- where each lead came from
SELECT lead_id, channel, direction, campaign FROM lead_origin;
SELECT lead_id, channel, direction, campaign FROM lead_dim;

-- first and last day of what is known
SELECT min(day_date) FROM calendar;
SELECT least(min(created_date), min(first)) FROM lead_dim, (SELECT (min(first_at) AT TIME ZONE (SELECT time_zone FROM setting))::date AS first FROM lead_origin) o;

-- now: the highest stage of each organization
SELECT organization, stage FROM account_score;
SELECT organization, (array_agg(stage ORDER BY stage_rank DESC))[1] FROM lead_dim WHERE organization IS NOT NULL GROUP BY 1;

-- now: whether sales kept its time
SELECT lead_id, entered_at, due_at, contacted_at, status FROM sla_status;
SELECT lead_id, entered_at, due_at, contacted_at, status FROM sla_status_at(now());

-- cycles of visitors (of those that never were leads only such as bought are in no rate)
SELECT denominator FROM conversion_rates WHERE metric = 'visitor_to_lead' AND market = 'all';
SELECT entered - (SELECT count(*) FROM cycle_time c WHERE c.outcome = 'won' AND EXISTS (SELECT FROM stage_entry e WHERE e.lead_id = c.lead_id AND e.cycle = c.cycle AND e.stage = 'visitor') AND NOT EXISTS (SELECT FROM stage_history h WHERE h.lead_id = c.lead_id AND h.cycle = c.cycle AND h.is_lead AND h.to_stage >= 'iql')) FROM funnel WHERE stage = 'visitor';

-- leads that became customers, and not before they were leads
SELECT channel, campaign, round(leads * customer_rate) FROM lead_quality WHERE leads > 0;
SELECT channel, campaign, count(*) FILTER (WHERE lead_at <= customer_at) FROM lead_dim GROUP BY 1, 2 HAVING count(lead_at) > 0;

-- the same in all
SELECT count(*) FROM lead_dim WHERE lead_at <= customer_at;
SELECT sum(round(leads * lead_to_customer_rate)) FROM sourcing_comparison WHERE comparison = 'sourcing';
SELECT sum(round(leads * lead_to_customer_rate)) FROM sourcing_comparison WHERE comparison = 'direction';
SELECT sum(round(leads * customer_rate)) FROM lead_quality;

-- days from lead to customer, of all cycles
SELECT conversions, round(mean_days::numeric, 6) FROM conversion_times WHERE metric = 'lead_to_customer_days' AND market = 'all';
SELECT count(*), round(avg(days)::numeric, 6) FROM (SELECT extract(epoch FROM min(e.entered_at) FILTER (WHERE e.stage_rank >= 90 AND e.entry_seq >= l.seq) - l.at) / 86400 AS days FROM stage_entry e JOIN (SELECT DISTINCT ON (lead_id, cycle) lead_id, cycle, seq, effective_at AS at FROM stage_history WHERE is_lead AND to_stage >= 'iql' AND (cycle = 1 OR to_stage < 'customer') ORDER BY lead_id, cycle, seq) l USING (lead_id, cycle) WHERE NOT EXISTS (SELECT FROM stage_history c WHERE c.lead_id = l.lead_id AND c.cycle = l.cycle AND c.seq < l.seq AND c.to_stage >= 'customer') GROUP BY l.lead_id, l.cycle, l.seq, l.at) x WHERE days IS NOT NULL;
SELECT sum(sales), (SELECT round(mean_days::numeric, 6) FROM conversion_times WHERE metric = 'lead_to_customer_days' AND market = 'all') FROM period_comparison WHERE period = 'month';

-- the longest way from lead to customer, of the leads of each month
SELECT bool_and(median_sale_days >= 0) FROM period_comparison;
SELECT min(total_days) >= 0 FROM cycle_time WHERE outcome = 'won';

-- contacts of sales up to the first order
SELECT lead_id, contacts_until_won FROM followups WHERE contacts_until_won > 0;
SELECT lead_id, count(*) FROM touchpoints WHERE role IN ('outreach', 'sales_contact', 'meeting_held') AND won GROUP BY 1;

-- the first request
SELECT min(enquired_at) FROM first_response WHERE clock = 'request';
SELECT min(occurred_at) FROM event WHERE kind = ANY (leadscore_internal.kinds_of('event_kind', 'request'));

-- enquiries by channel
SELECT sum(captures) FROM capture_gaps WHERE source_kind = 'channel';
SELECT count(*) FROM event WHERE kind = ANY (leadscore_internal.kinds_of('event_kind', 'capture', 'form_submit', 'request')) AND isfinite(occurred_at);

-- interest: visits and offers
SELECT sum(events) FROM interest_by_topic;
SELECT (SELECT sum(views) FROM landing_pages) + (SELECT sum(offers) FROM lead_profile);

-- forms
SELECT sum(viewed), sum(submitted), sum(submitted_unseen) FROM form_conversion WHERE level = 'form';
SELECT sum(viewed), sum(submitted), sum(submitted_unseen) FROM form_conversion WHERE level = 'fields';

-- messages by variant, and summed over personas
SELECT message, variant, sent, responded FROM message_response;
SELECT message, variant, sum(sent), sum(responded) FROM message_response_by_segment WHERE level = 'persona' GROUP BY 1, 2;

-- leads of an experiment, and summed over personas
SELECT experiment, variant, exposed, mixed, closed, converted FROM experiment_result WHERE level = 'all' AND exposed > 0;
SELECT experiment, variant, sum(exposed), sum(mixed), sum(closed), sum(converted) FROM experiment_result WHERE level = 'persona' GROUP BY 1, 2;

-- messages that each group was sent
SELECT message, sent FROM email_engagement;
SELECT message, sum(sent) FROM message_response GROUP BY 1;

-- what a lead did, and the stages that it was in
SELECT (SELECT count(*) FROM lead_timeline WHERE what = 'event'), (SELECT count(*) FROM lead_timeline WHERE what = 'stage');
SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM stage_entry);

-- cycles: when they began and ended, and how often leads fell back
SELECT lead_id, cycle, started_at, ended_at FROM lead_path;
SELECT lead_id, cycle, started_at, ended_at FROM cycle_time;

-- newest cycle of each lead
SELECT lead_id, cycle FROM lead_dim;
SELECT lead_id, max(cycle) FROM lead_path GROUP BY 1;
SELECT lead_id, cycle FROM lead_score;

-- leads that bought more than once
SELECT sum(repeat_customers) FROM customer_lifetime_value;
SELECT count(*) FROM (SELECT lead_id FROM purchases GROUP BY 1 HAVING count(*) > 1) x;

-- leads in open stages at the end of days of the past
SELECT d.day_date, sum(d.leads) FROM stage_daily d WHERE d.stage_rank BETWEEN 50 AND 80 AND d.day_date IN (SELECT day_date FROM calendar WHERE days_ago IN (45, 100, 200)) GROUP BY 1;
SELECT c.day_date, f.leads_now FROM calendar c, pipeline_forecast_at((c.day_date + 1)::timestamp AT TIME ZONE (SELECT time_zone FROM setting) - interval '1 microsecond') f WHERE c.days_ago IN (45, 100, 200) AND f.stage = 'all';

-- leads that a model is judged by
SELECT leads FROM model_quality((SELECT model FROM model WHERE status = 'active'), date_trunc('day', now(), 'UTC') - interval '100 days') WHERE level = 'summary';
SELECT leads_now FROM pipeline_forecast_at(date_trunc('day', now(), 'UTC') - interval '100 days 1 microsecond') WHERE stage = 'all';

-- credits by the function and by the view
SELECT lead_id, purchase_event_id, place, channel, micro_credits, revenue_amount FROM attribution('time_decay');
SELECT lead_id, purchase_event_id, place, channel, micro_credits, revenue_amount FROM attribution_credit WHERE model = 'time_decay';

-- the part of an amount for one lead, where it is divided
SELECT calendar_month, channel, campaign, cost_per_lead_amount FROM cost_per_lead WHERE cost_per_lead_amount IS NOT NULL;
SELECT calendar_month, channel, campaign, round(cost_amount / leads, 2) FROM cost_per_lead WHERE cost_per_lead_amount IS NOT NULL;

-- cycles that came so far or farther
SELECT stage, reached FROM funnel WHERE reached > 0;
SELECT t.stage::text, count(*) FROM (SELECT max(stage_rank) AS rank FROM stage_entry GROUP BY lead_id, cycle) c JOIN stages() t ON t.stage_rank <= c.rank AND t.stage >= 'visitor' GROUP BY 1;

-- days of leads in their stage so far
SELECT stage, periods, round(mean_days::numeric, 6) FROM stage_velocity WHERE outcome = 'open' AND periods > 0;
SELECT stage, count(open_days), round(avg(open_days)::numeric, 6) FROM stage_entry WHERE stage_rank >= 40 AND left_at IS NULL GROUP BY 1;

-- nothing has lasted less than no time
SELECT count(*) FROM stage_entry WHERE left_at IS NULL AND open_days >= 0;
SELECT count(*) FROM lead_score;

-- the number of the contact that counts for a stage
SELECT count(*) FROM sla_status WHERE contacted_at IS NOT NULL;
SELECT count(*) FROM sla_status WHERE response_days >= 0 AND contacted_at <= now();

-- contacts made
SELECT sum(contacts) FROM followups;
SELECT count(*) FROM event WHERE kind = ANY (leadscore_internal.kinds_of('event_kind', 'outreach', 'sales_contact', 'meeting_held')) AND occurred_at <= now();

-- meetings
SELECT coalesce(sum(meetings), 0), coalesce(sum(booked), 0), coalesce(sum(held), 0) FROM meeting_outcome;
SELECT coalesce(sum(held + no_show + cancelled + open), 0), (SELECT count(*) FROM event WHERE kind = ANY (leadscore_internal.kinds_of('event_kind', 'meeting_booked')) AND occurred_at <= now()), (SELECT count(*) FROM event WHERE kind = ANY (leadscore_internal.kinds_of('event_kind', 'meeting_held')) AND occurred_at <= now()) FROM meeting_outcome;

-- money given back
SELECT sum(refund_amount) FROM refunds WHERE status = 'refunded';
SELECT nullif(sum(purchase_amount - net_amount), 0) FROM purchases;

-- money given back for the orders of each month
SELECT purchase_month, sum(refund_amount) FROM refunds WHERE status = 'refunded' GROUP BY 1 HAVING sum(refund_amount) > 0;
SELECT purchase_month, sum(purchase_amount - net_amount) FROM purchases GROUP BY 1 HAVING sum(purchase_amount - net_amount) > 0;
