/* leadscore: helpers for the views and reports of pipelines */

-- Apps may send any instant. A calendar has the years 1 to 9999: outside of
-- them most clients have no date, and sums of an instant and a period, or of
-- an instant and a time zone, leave the range of the type.
CREATE FUNCTION leadscore_internal.is_dated(at timestamptz) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT is_dated.at >= timestamptz '0001-01-03 00:00:00+00' AND is_dated.at < timestamptz '9999-12-30 00:00:00+00';
END;
COMMENT ON FUNCTION leadscore_internal.is_dated(timestamptz) IS
	'whether an instant lies in the years 1 to 9999 in every time zone';

CREATE FUNCTION leadscore_internal.dated(at timestamptz) RETURNS timestamptz
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_dated';
COMMENT ON FUNCTION leadscore_internal.dated(timestamptz) IS
	'an instant of the years 1 to 9999; NULL for any other';

CREATE FUNCTION leadscore_internal.date_of(at timestamptz, time_zone text) RETURNS date
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE WHEN date_of.at >= timestamptz '0001-01-03 00:00:00+00' AND date_of.at < timestamptz '9999-12-30 00:00:00+00'
		THEN (date_of.at AT TIME ZONE date_of.time_zone)::date END;
END;
COMMENT ON FUNCTION leadscore_internal.date_of(timestamptz, text) IS
	'the date of an instant in a time zone; NULL outside the years 1 to 9999';

-- Instants in profiles and properties come from apps, too.
CREATE FUNCTION leadscore_internal.iso_instant(value text, time_zone text) RETURNS timestamptz
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_iso_instant';
COMMENT ON FUNCTION leadscore_internal.iso_instant(text, text) IS
	'the instant that a text of the form 2026-03-01, 2026-03-01T10:00 or 2026-03-01T10:00:00+01:00 names, in the time zone if it has no offset; NULL if it is no such text, no day of the calendar, or outside the years 1 to 9999';

-- A day is 24 hours here, whatever the time zone of the session does.
CREATE FUNCTION leadscore_internal.fixed_period(period interval) RETURNS interval
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT date_part('epoch', CASE WHEN fixed_period.period > interval '1000 years' THEN interval '1000 years' ELSE fixed_period.period END) * interval '1 second';
END;
COMMENT ON FUNCTION leadscore_internal.fixed_period(interval) IS
	'the same period in seconds, at most 1000 years: added to an instant it gives the same in every time zone';

-- Amounts come from apps: a view must not fail because one of them is odd.
CREATE FUNCTION leadscore_internal.as_amount(value numeric) RETURNS numeric
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE WHEN abs(round(as_amount.value, 2)) < 1000000000000 THEN round(as_amount.value, 2) END;
END;
COMMENT ON FUNCTION leadscore_internal.as_amount(numeric) IS
	'rounded to cents; NULL for NaN, infinity or an amount of 10^12 and more';

-- As in the conditions of signals, minus infinity is no number: an unknown amount.
CREATE FUNCTION leadscore_internal.takes_back(value numeric) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT coalesce(takes_back.value < 0 AND takes_back.value > '-Infinity', false);
END;
COMMENT ON FUNCTION leadscore_internal.takes_back(numeric) IS
	'whether the value of a purchase is negative, so that it is a refund';

-- A figure of few leads says little: of 4 leads 3 are 75 %, of the next 4 perhaps
-- 1. So below and above are said only if the whole interval is.
CREATE FUNCTION leadscore_internal.compared(figure double precision, figure_low double precision, figure_high double precision,
		low double precision, high double precision) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN compared.figure IS NULL OR (compared.low IS NULL AND compared.high IS NULL) THEN NULL
		WHEN compared.figure_high < compared.low THEN 'below'
		WHEN compared.figure_low > compared.high THEN 'above'
		WHEN compared.figure < compared.low OR compared.figure > compared.high THEN 'unclear'
		ELSE 'within'
	END;
END;
COMMENT ON FUNCTION leadscore_internal.compared(double precision, double precision, double precision, double precision, double precision) IS
	'below or above: the whole interval of a figure lies outside of a goal; within: the figure lies inside; unclear: outside, but its interval reaches in; NULL: no figure or no goal';

-- Of n values in order, those of this rank from below and from above enclose
-- the median in 95 of 100 cases, whatever their distribution: the rank comes
-- from the binomial distribution, by its normal approximation with correction
-- for continuity. (W. J. Conover, Practical Nonparametric Statistics, 3.2.)
CREATE FUNCTION leadscore_internal.median_rank(n bigint) RETURNS integer
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
	SELECT nullif(floor((median_rank.n + 1) / 2.0::double precision - 0.979982 * sqrt(median_rank.n)), 0)::integer;
END;
COMMENT ON FUNCTION leadscore_internal.median_rank(bigint) IS
	'rank, from both ends, of the values that enclose the median of n values in 95 of 100 cases; NULL: fewer than 6 values never do';

CREATE FUNCTION leadscore_internal.sla_state(due_at timestamptz, contacted_at timestamptz, left_at timestamptz, at timestamptz) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN sla_state.contacted_at <= least(sla_state.due_at, sla_state.at) THEN 'kept'
		WHEN sla_state.left_at <= least(sla_state.due_at, sla_state.at) THEN 'left'
		WHEN sla_state.at > sla_state.due_at THEN 'breached'
		ELSE 'due'
	END;
END;
COMMENT ON FUNCTION leadscore_internal.sla_state(timestamptz, timestamptz, timestamptz, timestamptz) IS
	'kept: contacted in time; left: the lead left the stage in time, without a contact; breached: neither, and the time is over; due: the time runs';

CREATE FUNCTION leadscore_internal.touch_weight(model text, place bigint, touches bigint, age_days double precision) RETURNS double precision
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE touch_weight.model
		WHEN 'first' THEN CASE WHEN touch_weight.place = 1 THEN 1 ELSE 0 END
		WHEN 'last' THEN CASE WHEN touch_weight.place = touch_weight.touches THEN 1 ELSE 0 END
		WHEN 'linear' THEN 1
		-- 2/5 for the first and the last, 1/5 for those between; of two 1/2 each
		WHEN 'position' THEN CASE WHEN touch_weight.touches > 2 AND touch_weight.place IN (1, touch_weight.touches)
			THEN 2 * (touch_weight.touches - 2) ELSE 1 END
		-- halved every 7 days before the last touch; a touch older than 7000
		-- days has no weight, which would underflow
		WHEN 'time_decay' THEN CASE WHEN touch_weight.age_days < 7000 THEN power(2::double precision, - touch_weight.age_days / 7) ELSE 0 END
	END;
END;
COMMENT ON FUNCTION leadscore_internal.touch_weight(text, bigint, bigint, double precision) IS
	'weight of a touch among those of a purchase: place counts from 1, age_days is the time before the last touch';

-- The query of an address may hold anything, names of persons too.
CREATE FUNCTION leadscore_internal.page_name(page text) RETURNS text
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_page_name';
COMMENT ON FUNCTION leadscore_internal.page_name(text) IS
	'one name for the addresses of a page: host and path in lower case, without scheme, user, www., port 80 or 443, query, fragment, index file and slash at the end; an address without a host is a path; (none) if there is none';

CREATE FUNCTION leadscore_internal.field_count(fields jsonb) RETURNS integer
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE jsonb_typeof(field_count.fields)
		WHEN 'number' THEN CASE WHEN field_count.fields::numeric >= 0 AND field_count.fields::numeric < 1000 THEN field_count.fields::integer END
		WHEN 'string' THEN CASE WHEN field_count.fields #>> '{}' ~ '^[0-9]{1,3}$' THEN (field_count.fields #>> '{}')::integer END
		WHEN 'array' THEN jsonb_array_length(field_count.fields)
		WHEN 'object' THEN jsonb_array_length(jsonb_path_query_array(field_count.fields, '$.keyvalue()'))
	END;
END;
COMMENT ON FUNCTION leadscore_internal.field_count(jsonb) IS
	'number of fields of a form: a number, the length of a list, or the number of keys of an object; NULL otherwise';

CREATE FUNCTION leadscore_internal.require_attribution(model text) RETURNS text
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF model IN ('first', 'last', 'linear', 'position', 'time_decay') THEN
		RETURN model;
	END IF;
	RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
		MESSAGE = CASE WHEN model IS NULL THEN 'attribution model must not be null' ELSE pg_catalog.format('unknown attribution model "%s"', model) END,
		HINT = 'Attribution models are first, last, linear, position and time_decay.';
END
$$;
COMMENT ON FUNCTION leadscore_internal.require_attribution(text) IS
	'the attribution model, or an error that lists the models';

CREATE FUNCTION leadscore_internal.dimension_points(activity leadscore.lead_activity, model leadscore.lead_model, dimension text, at timestamptz)
	RETURNS double precision
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 12 AS 'MODULE_PATHNAME', 'leadscore_dimension_points';
COMMENT ON FUNCTION leadscore_internal.dimension_points(leadscore.lead_activity, leadscore.lead_model, text, timestamptz) IS
	'points of one dimension, as dimension_scores() gives them; NULL if the model has no such dimension';

CREATE FUNCTION leadscore_internal.last_activity(activity leadscore.lead_activity, at timestamptz, besides integer[]) RETURNS timestamptz
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5 AS 'MODULE_PATHNAME', 'leadscore_last_activity';
COMMENT ON FUNCTION leadscore_internal.last_activity(leadscore.lead_activity, timestamptz, integer[]) IS
	'beginning of the newest bucket up to at in which an event counted, for other signals than those of besides; NULL if there is none';

CREATE FUNCTION leadscore_internal.has_signal(activity leadscore.lead_activity, signal_id integer) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5 AS 'MODULE_PATHNAME', 'leadscore_has_signal';
COMMENT ON FUNCTION leadscore_internal.has_signal(leadscore.lead_activity, integer) IS
	'whether a signal was counted at all';

CREATE FUNCTION leadscore_internal.may_have_event(pipeline regnamespace, activity leadscore.lead_activity, VARIADIC roles text[]) RETURNS boolean
	LANGUAGE c STABLE STRICT PARALLEL SAFE COST 5 AS 'MODULE_PATHNAME', 'leadscore_may_have_event';
COMMENT ON FUNCTION leadscore_internal.may_have_event(regnamespace, leadscore.lead_activity, text[]) IS
	'false: a lead with this activity has no event of kinds with these roles, since each would count for a signal and none was counted';

CREATE FUNCTION leadscore_internal.top_rules(activity leadscore.lead_activity, model leadscore.lead_model, at timestamptz) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 15 AS 'MODULE_PATHNAME', 'leadscore_top_rules';
COMMENT ON FUNCTION leadscore_internal.top_rules(leadscore.lead_activity, leadscore.lead_model, timestamptz) IS
	'the three rules that give most points, as explain() gives them, and their points; NULL if no rule gives any';

CREATE FUNCTION leadscore_internal.level(activity leadscore.lead_activity, model leadscore.lead_model, at timestamptz) RETURNS smallint
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'leadscore_level_of_activity';
COMMENT ON FUNCTION leadscore_internal.level(leadscore.lead_activity, leadscore.lead_model, timestamptz) IS
	'the level of a lead from an instant on: the level of the highest score that it can have if nothing happens';

CREATE FUNCTION leadscore_internal.level_of(milli_points bigint, model leadscore.lead_model) RETURNS smallint
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_level_of_points';
COMMENT ON FUNCTION leadscore_internal.level_of(bigint, leadscore.lead_model) IS
	'the level of a number of points: 0 up to the threshold of sql, then one more for each doubling';
