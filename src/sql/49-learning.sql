/* Learning: logistic regression, and what it learns from */

CREATE TYPE leadscore.logistic_model AS (
	intercept double precision,
	coefficients double precision[],
	intercept_error double precision,
	errors double precision[],
	log_likelihood double precision,
	labels bigint,
	positives bigint,
	steps integer
);
COMMENT ON TYPE leadscore.logistic_model IS
	'the result of logistic_fit(): the chance of a label is 1 / (1 + exp(-(intercept + the sum of coefficients * features)))';
COMMENT ON COLUMN leadscore.logistic_model.intercept IS 'log-odds of a row whose features are all 0';
COMMENT ON COLUMN leadscore.logistic_model.coefficients IS 'log-odds that each feature adds; 0 of a feature that has the same value in every row';
COMMENT ON COLUMN leadscore.logistic_model.intercept_error IS 'standard error of intercept';
COMMENT ON COLUMN leadscore.logistic_model.errors IS 'standard errors of coefficients; NULL of a feature that has the same value in every row';
COMMENT ON COLUMN leadscore.logistic_model.log_likelihood IS 'logarithm of the chance of all labels, without the penalty';
COMMENT ON COLUMN leadscore.logistic_model.labels IS 'rows with a label and features';
COMMENT ON COLUMN leadscore.logistic_model.positives IS 'of labels, those that are true';
COMMENT ON COLUMN leadscore.logistic_model.steps IS 'steps that the fit took';

CREATE FUNCTION leadscore_internal.logistic_transfn(internal, boolean, double precision[], double precision) RETURNS internal
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_logistic_transfn';
CREATE FUNCTION leadscore_internal.logistic_clustered_transfn(internal, boolean, double precision[], double precision, bigint) RETURNS internal
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_logistic_clustered_transfn';
CREATE FUNCTION leadscore_internal.logistic_sample_transfn(internal, boolean, double precision[]) RETURNS internal
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_logistic_sample_transfn';
CREATE FUNCTION leadscore_internal.logistic_clustered_sample_transfn(internal, boolean, double precision[], bigint) RETURNS internal
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_logistic_clustered_sample_transfn';
CREATE FUNCTION leadscore_internal.logistic_combinefn(internal, internal) RETURNS internal
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_logistic_combinefn';
CREATE FUNCTION leadscore_internal.logistic_serialfn(internal) RETURNS bytea
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_logistic_serialfn';
CREATE FUNCTION leadscore_internal.logistic_deserialfn(bytea, internal) RETURNS internal
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_logistic_deserialfn';
CREATE FUNCTION leadscore_internal.logistic_finalfn(internal) RETURNS leadscore.logistic_model
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_logistic_finalfn';
CREATE FUNCTION leadscore_internal.logistic_sample_finalfn(internal) RETURNS bytea
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_logistic_sample_finalfn';

CREATE AGGREGATE leadscore.logistic_fit(label boolean, features double precision[], ridge double precision) (
	SFUNC = leadscore_internal.logistic_transfn, STYPE = internal, SSPACE = 1000000,
	COMBINEFUNC = leadscore_internal.logistic_combinefn,
	SERIALFUNC = leadscore_internal.logistic_serialfn, DESERIALFUNC = leadscore_internal.logistic_deserialfn,
	FINALFUNC = leadscore_internal.logistic_finalfn, PARALLEL = SAFE
);
COMMENT ON AGGREGATE leadscore.logistic_fit(boolean, double precision[], double precision) IS
	'ridge logistic regression in one pass: the same bits in whatever order rows come, and by however many workers; ridge is the penalty, 0 for none';
CREATE AGGREGATE leadscore.logistic_fit(label boolean, features double precision[], ridge double precision, cluster bigint) (
	SFUNC = leadscore_internal.logistic_clustered_transfn, STYPE = internal, SSPACE = 1000000,
	COMBINEFUNC = leadscore_internal.logistic_combinefn,
	SERIALFUNC = leadscore_internal.logistic_serialfn, DESERIALFUNC = leadscore_internal.logistic_deserialfn,
	FINALFUNC = leadscore_internal.logistic_finalfn, PARALLEL = SAFE
);
COMMENT ON AGGREGATE leadscore.logistic_fit(boolean, double precision[], double precision, bigint) IS
	'the same for rows of which some are of one cluster, such as a lead at several instants: errors allow for it (sandwich)';

CREATE AGGREGATE leadscore_internal.logistic_sample(label boolean, features double precision[]) (
	SFUNC = leadscore_internal.logistic_sample_transfn, STYPE = internal, SSPACE = 1000000,
	COMBINEFUNC = leadscore_internal.logistic_combinefn,
	SERIALFUNC = leadscore_internal.logistic_serialfn, DESERIALFUNC = leadscore_internal.logistic_deserialfn,
	FINALFUNC = leadscore_internal.logistic_sample_finalfn, FINALFUNC_MODIFY = READ_WRITE, PARALLEL = SAFE
);
COMMENT ON AGGREGATE leadscore_internal.logistic_sample(boolean, double precision[]) IS
	'rows to learn from as one value, which the functions below look at';
CREATE AGGREGATE leadscore_internal.logistic_sample(label boolean, features double precision[], cluster bigint) (
	SFUNC = leadscore_internal.logistic_clustered_sample_transfn, STYPE = internal, SSPACE = 1000000,
	COMBINEFUNC = leadscore_internal.logistic_combinefn,
	SERIALFUNC = leadscore_internal.logistic_serialfn, DESERIALFUNC = leadscore_internal.logistic_deserialfn,
	FINALFUNC = leadscore_internal.logistic_sample_finalfn, FINALFUNC_MODIFY = READ_WRITE, PARALLEL = SAFE
);
COMMENT ON AGGREGATE leadscore_internal.logistic_sample(boolean, double precision[], bigint) IS
	'the same for rows of which some are of one cluster: errors of a fit allow for it';

CREATE FUNCTION leadscore_internal.logistic_fit_sample(sample bytea, learned boolean[], ridge double precision) RETURNS leadscore.logistic_model
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_logistic_fit_sample';
COMMENT ON FUNCTION leadscore_internal.logistic_fit_sample(bytea, boolean[], double precision) IS
	'logistic_fit() of a sample with some of its features; its errors allow for clusters if the sample has them';

CREATE FUNCTION leadscore_internal.logistic_features(sample bytea)
	RETURNS TABLE (place integer, leads bigint, converted bigint, auc double precision, auc_low double precision, auc_high double precision)
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 20 AS 'MODULE_PATHNAME', 'leadscore_logistic_features';
COMMENT ON FUNCTION leadscore_internal.logistic_features(bytea) IS
	'of each feature of a sample how many rows have it, how many of them are true, and how well it alone tells';

CREATE FUNCTION leadscore_internal.logistic_auc(sample bytea, coefficients double precision[],
		OUT leads bigint, OUT converted bigint, OUT auc double precision, OUT auc_low double precision, OUT auc_high double precision)
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_logistic_auc';
COMMENT ON FUNCTION leadscore_internal.logistic_auc(bytea, double precision[]) IS
	'area under the curve of a sum of features, with its 95 % interval (Mann and Whitney; Hanley and McNeil)';

CREATE FUNCTION leadscore_internal.rule_values(activity leadscore.lead_activity, model leadscore.lead_model, at timestamptz) RETURNS double precision[]
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'leadscore_values_of_rules';
COMMENT ON FUNCTION leadscore_internal.rule_values(leadscore.lead_activity, leadscore.lead_model, timestamptz) IS
	'how often each rule of a model counts, after its limit, decay and cap; then the score';

-- tanh() neither overflows nor fails
CREATE FUNCTION leadscore_internal.chance_of(log_odds double precision) RETURNS double precision
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
	SELECT (1 + tanh(chance_of.log_odds / 2)) / 2;
END;
COMMENT ON FUNCTION leadscore_internal.chance_of(double precision) IS
	'the chance that has these log-odds';

CREATE FUNCTION leadscore_internal.calibration_curve(intercept double precision, points_coefficient double precision, stage_coefficients double precision[],
		bin_edges double precision[], bin_rates double precision[]) RETURNS double precision[]
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT ARRAY[calibration_curve.intercept, calibration_curve.points_coefficient] || array_replace(calibration_curve.stage_coefficients, NULL, 'NaN')
		|| CASE WHEN calibration_curve.bin_rates IS NOT NULL THEN calibration_curve.bin_edges || calibration_curve.bin_rates ELSE '{}' END;
END;
COMMENT ON FUNCTION leadscore_internal.calibration_curve(double precision, double precision, double precision[], double precision[], double precision[]) IS
	'a row of model_calibration as calibrated_chance() reads it';

CREATE FUNCTION leadscore_internal.calibrated_chance(curve double precision[], score double precision, stage_rank integer) RETURNS double precision
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'leadscore_calibrated_chance';
COMMENT ON FUNCTION leadscore_internal.calibrated_chance(double precision[], double precision, integer) IS
	'the chance that a score and a stage have by a calibration; NULL if the stage has none';
