/* leadscore: helpers of the views of pipelines */

-- As immutable as timezone(), which looks things up in the same files.
CREATE FUNCTION leadscore_internal.month_start(at timestamptz, time_zone text) RETURNS date
	AS 'MODULE_PATHNAME', 'leadscore_month_start'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION leadscore_internal.month_start(timestamptz, text) IS
	'first day of the month in which an instant falls in a time zone, fast; NULL outside the years 1 to 9999';

-- The planner computes it beforehand, for its statistics.
CREATE FUNCTION leadscore_internal.kinds_of(event_kind regclass, VARIADIC roles text[]) RETURNS text[]
	AS 'MODULE_PATHNAME', 'leadscore_kinds_of'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION leadscore_internal.kinds_of(regclass, text[]) IS
	'kinds of events that have one of the roles, by a pipeline''s table event_kind; {} if there are none';

-- In C: a function in PL/pgSQL that catches an error begins a subtransaction, and
-- up to PostgreSQL 16 a parallel query may not do that.
CREATE FUNCTION leadscore_internal.require_time_zone(time_zone text) RETURNS text
	AS 'MODULE_PATHNAME', 'leadscore_require_time_zone'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION leadscore_internal.require_time_zone(text) IS
	'the time zone, or an error that says where to find names';

CREATE FUNCTION leadscore_internal.require_range(first_day timestamptz, last_day timestamptz) RETURNS boolean
	LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF first_day IS NULL OR last_day IS NULL THEN
		RAISE EXCEPTION '% must not be null', CASE WHEN first_day IS NULL THEN 'first_day' ELSE 'last_day' END
			USING ERRCODE = 'null_value_not_allowed',
				HINT = 'Pass the first and the last day, such as ''2025-01-01'' and ''2025-03-31''.';
	END IF;
	IF NOT (first_day > '0001-01-04 00:00+00' AND first_day < '9999-12-28 00:00+00' AND last_day > '0001-01-04 00:00+00' AND last_day < '9999-12-28 00:00+00') THEN
		RAISE EXCEPTION '% must be a day of the years 1 to 9999', CASE WHEN first_day > '0001-01-04 00:00+00' AND first_day < '9999-12-28 00:00+00' THEN 'last_day' ELSE 'first_day' END
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Pass the first and the last day, such as ''2025-01-01'' and ''2025-03-31''.';
	END IF;
	IF first_day > last_day THEN
		RAISE EXCEPTION 'first_day (%) is after last_day (%)', first_day::date, last_day::date
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Pass the first day first. Both days are included, so they may be equal.';
	END IF;
	RETURN true;
END
$$;
COMMENT ON FUNCTION leadscore_internal.require_range(timestamptz, timestamptz) IS
	'true, or an error if the first day is after the last';

-- Not exp(sum(ln())), which fails at 0.
CREATE AGGREGATE leadscore_internal.product(double precision) (
	SFUNC = pg_catalog.float8mul,
	STYPE = double precision,
	INITCOND = '1',
	COMBINEFUNC = pg_catalog.float8mul,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE leadscore_internal.product(double precision) IS 'product of all values; 1 of none';

-- A market or an owner is often known only of leads that went on. If it is
-- unknown of many, the rates of the leads with a known one are too high.
CREATE FUNCTION leadscore_internal.few_unknown(unknown bigint, whole bigint) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT coalesce(few_unknown.unknown, 0) * 20 <= few_unknown.whole;
END;
COMMENT ON FUNCTION leadscore_internal.few_unknown(bigint, bigint) IS
	'whether at most one in twenty is unknown, so that rates of parts of the whole mean something';

-- Wilson's interval: unlike the usual one it is right for few leads and for
-- rates near 0 and 1.
CREATE FUNCTION leadscore_internal.rate_low(part bigint, whole bigint) RETURNS double precision
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN rate_low.part = 0 AND rate_low.whole > 0 THEN 0
		WHEN rate_low.whole > 0 THEN
			(rate_low.part + 1.920729 - 1.959964 * sqrt(rate_low.part * (rate_low.whole - rate_low.part) / rate_low.whole::double precision + 0.9603647))
			/ (rate_low.whole + 3.841459)
	END;
END;
COMMENT ON FUNCTION leadscore_internal.rate_low(bigint, bigint) IS
	'lower end of the 95 % interval of the rate part / whole (Wilson); NULL if whole is 0';

CREATE FUNCTION leadscore_internal.rate_high(part bigint, whole bigint) RETURNS double precision
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN rate_high.part = rate_high.whole AND rate_high.whole > 0 THEN 1
		WHEN rate_high.whole > 0 THEN
			(rate_high.part + 1.920729 + 1.959964 * sqrt(rate_high.part * (rate_high.whole - rate_high.part) / rate_high.whole::double precision + 0.9603647))
			/ (rate_high.whole + 3.841459)
	END;
END;
COMMENT ON FUNCTION leadscore_internal.rate_high(bigint, bigint) IS
	'upper end of the 95 % interval of the rate part / whole (Wilson); NULL if whole is 0';
