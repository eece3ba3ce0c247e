/* leadscore: the ratio of two rates */

-- By the logarithm (D. Katz and others, Biometrics 34, 1978), with a half added to
-- each count, so that a rate of 0 has an interval too (S. D. Walter, Biometrika
-- 62, 1975). It holds if each of the four cells, of both rates and of what they
-- leave, may expect 5: less is an answer too, NULL.
CREATE FUNCTION leadscore_internal.ratio_error(part bigint, whole bigint, base_part bigint, base_whole bigint)
	RETURNS double precision
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN least(ratio_error.whole, ratio_error.base_whole)::double precision
				* least(ratio_error.part + ratio_error.base_part, ratio_error.whole - ratio_error.part + ratio_error.base_whole - ratio_error.base_part)
			>= 5 * (ratio_error.whole + ratio_error.base_whole)::double precision AND ratio_error.whole + ratio_error.base_whole > 0
		THEN sqrt(1 / (ratio_error.part + 0.5::double precision) - 1 / (ratio_error.whole + 0.5::double precision)
			+ 1 / (ratio_error.base_part + 0.5::double precision) - 1 / (ratio_error.base_whole + 0.5::double precision))
	END;
END;
COMMENT ON FUNCTION leadscore_internal.ratio_error(bigint, bigint, bigint, bigint) IS
	'standard error of the logarithm of the ratio of two rates (Katz, Walter); NULL of too few to tell';

CREATE FUNCTION leadscore_internal.ratio_low(part bigint, whole bigint, base_part bigint, base_whole bigint)
	RETURNS double precision
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE WHEN ratio_low.part = 0 AND e.error IS NOT NULL THEN 0
		ELSE (ratio_low.part + 0.5::double precision) / (ratio_low.whole + 0.5::double precision)
			/ (ratio_low.base_part + 0.5::double precision) * (ratio_low.base_whole + 0.5::double precision) * exp(-1.959963984540054 * e.error) END
	FROM (SELECT leadscore_internal.ratio_error(ratio_low.part, ratio_low.whole, ratio_low.base_part, ratio_low.base_whole) AS error) e;
END;
COMMENT ON FUNCTION leadscore_internal.ratio_low(bigint, bigint, bigint, bigint) IS
	'lower end of the 95 % interval of the ratio of two rates; NULL of too few to tell';

CREATE FUNCTION leadscore_internal.ratio_high(part bigint, whole bigint, base_part bigint, base_whole bigint)
	RETURNS double precision
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE WHEN ratio_high.base_part > 0
		THEN (ratio_high.part + 0.5::double precision) / (ratio_high.whole + 0.5::double precision)
			/ (ratio_high.base_part + 0.5::double precision) * (ratio_high.base_whole + 0.5::double precision) * exp(1.959963984540054 * e.error) END
	FROM (SELECT leadscore_internal.ratio_error(ratio_high.part, ratio_high.whole, ratio_high.base_part, ratio_high.base_whole) AS error) e;
END;
COMMENT ON FUNCTION leadscore_internal.ratio_high(bigint, bigint, bigint, bigint) IS
	'upper end of the 95 % interval of the ratio of two rates; NULL of too few to tell, or if the second rate is 0, which has no bound';
