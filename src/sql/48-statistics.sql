/* leadscore: the statistics of experiments */

CREATE FUNCTION leadscore_internal.normal_tail(z double precision) RETURNS double precision
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_normal_tail_sql';
COMMENT ON FUNCTION leadscore_internal.normal_tail(double precision) IS
	'chance that a standard normal variable is larger';

CREATE FUNCTION leadscore_internal.normal_quantile(p double precision) RETURNS double precision
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_normal_quantile_sql';
COMMENT ON FUNCTION leadscore_internal.normal_quantile(double precision) IS
	'number below which a standard normal variable is with this chance; NULL unless it is between 0 and 1';

CREATE FUNCTION leadscore_internal.chi_square_tail(x double precision, df integer) RETURNS double precision
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_chi_square_tail_sql';
COMMENT ON FUNCTION leadscore_internal.chi_square_tail(double precision, integer) IS
	'chance that a chi-square variable with df degrees of freedom is larger; NULL unless df is 1 to 1000000';

CREATE FUNCTION leadscore_internal.beta_greater(a1 bigint, b1 bigint, a2 bigint, b2 bigint) RETURNS double precision
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'leadscore_beta_greater_sql';
COMMENT ON FUNCTION leadscore_internal.beta_greater(bigint, bigint, bigint, bigint) IS
	'chance that Beta(a2, b2) is larger than Beta(a1, b1): exact if one parameter is at most 100000 and all are at most 1000000000, else by the normal distribution; NULL if one is less than 1';

CREATE FUNCTION leadscore_internal.beta_loss(a1 bigint, b1 bigint, a2 bigint, b2 bigint) RETURNS double precision
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'leadscore_beta_loss_sql';
COMMENT ON FUNCTION leadscore_internal.beta_loss(bigint, bigint, bigint, bigint) IS
	'mean of Beta(a1, b1) - Beta(a2, b2) where that is positive, and 0 elsewhere: what choosing the second costs on average; NULL if a parameter is less than 1';

CREATE FUNCTION leadscore_internal.sequential_p(difference double precision, variance double precision, effect double precision)
	RETURNS double precision
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_sequential_p_sql';
COMMENT ON FUNCTION leadscore_internal.sequential_p(double precision, double precision, double precision) IS
	'p-value of a difference with this variance that holds however often one looks, if about effect is expected; NULL if variance is negative or effect is not positive';

CREATE FUNCTION leadscore_internal.sequential_margin(variance double precision, effect double precision, alpha double precision)
	RETURNS double precision
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_sequential_margin_sql';
COMMENT ON FUNCTION leadscore_internal.sequential_margin(double precision, double precision, double precision) IS
	'half the width of the interval of a difference that holds however often one looks, but for a chance of alpha; NULL if variance is negative, effect is not positive, or alpha is not between 0 and 1';

-- Of few leads nobody knows the variance: one success and one failure more of
-- each side keep it from being 0.
CREATE FUNCTION leadscore_internal.difference_variance(part bigint, whole bigint, base_part bigint, base_whole bigint)
	RETURNS double precision
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
	SELECT (difference_variance.part + 1.0::double precision) / (difference_variance.whole + 2)
			* (1 - (difference_variance.part + 1.0::double precision) / (difference_variance.whole + 2)) / nullif(difference_variance.whole, 0)
		+ (difference_variance.base_part + 1.0::double precision) / (difference_variance.base_whole + 2)
			* (1 - (difference_variance.base_part + 1.0::double precision) / (difference_variance.base_whole + 2)) / nullif(difference_variance.base_whole, 0);
END;
COMMENT ON FUNCTION leadscore_internal.difference_variance(bigint, bigint, bigint, bigint) IS
	'variance of the difference of two rates, each with one success and one failure added; NULL if there is nothing of one';

-- R. G. Newcombe, Interval estimation for the difference between independent
-- proportions, method 10: from Wilson's intervals of both.
CREATE FUNCTION leadscore_internal.difference_low(part bigint, whole bigint, base_part bigint, base_whole bigint)
	RETURNS double precision
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
	SELECT r.rate - r.base_rate
		- sqrt(power(r.rate - leadscore_internal.rate_low(difference_low.part, difference_low.whole), 2)
			+ power(leadscore_internal.rate_high(difference_low.base_part, difference_low.base_whole) - r.base_rate, 2))
	FROM (SELECT difference_low.part::double precision / nullif(difference_low.whole, 0) AS rate,
			difference_low.base_part::double precision / nullif(difference_low.base_whole, 0) AS base_rate) r;
END;
COMMENT ON FUNCTION leadscore_internal.difference_low(bigint, bigint, bigint, bigint) IS
	'lower end of the 95 % interval of the difference of two rates (Newcombe)';

CREATE FUNCTION leadscore_internal.difference_high(part bigint, whole bigint, base_part bigint, base_whole bigint)
	RETURNS double precision
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
	SELECT r.rate - r.base_rate
		+ sqrt(power(leadscore_internal.rate_high(difference_high.part, difference_high.whole) - r.rate, 2)
			+ power(r.base_rate - leadscore_internal.rate_low(difference_high.base_part, difference_high.base_whole), 2))
	FROM (SELECT difference_high.part::double precision / nullif(difference_high.whole, 0) AS rate,
			difference_high.base_part::double precision / nullif(difference_high.base_whole, 0) AS base_rate) r;
END;
COMMENT ON FUNCTION leadscore_internal.difference_high(bigint, bigint, bigint, bigint) IS
	'upper end of the 95 % interval of the difference of two rates (Newcombe)';

CREATE FUNCTION leadscore_internal.ratio_chi_square(counts bigint[], weights bigint[]) RETURNS double precision
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_ratio_chi_square_sql';
COMMENT ON FUNCTION leadscore_internal.ratio_chi_square(bigint[], bigint[]) IS
	'p-value of counts that were to be in the ratio of weights, by chi-square, for one look; NULL if they are no such';

CREATE FUNCTION leadscore_internal.ratio_log_bayes(counts bigint[], weights bigint[]) RETURNS double precision
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_ratio_log_bayes_sql';
COMMENT ON FUNCTION leadscore_internal.ratio_log_bayes(bigint[], bigint[]) IS
	'logarithm of the Bayes factor of other ratios against these weights, which holds however often one looks; NULL if they are no such';
