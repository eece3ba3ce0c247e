-- Chances that were learned from the past: for a model, a stage to reach and a
-- time to reach it in, what a score and a stage are worth. No row is about a lead.

CREATE TABLE model_calibration (
    model text,
    target lead_stage,
    horizon interval,
    method text NOT NULL,
    calibrated_at timestamptz NOT NULL DEFAULT now(),
    known_until timestamptz NOT NULL,
    fit_from timestamptz NOT NULL,
    test_from timestamptz NOT NULL,
    leads bigint NOT NULL,
    converted bigint NOT NULL,
    auc double precision NOT NULL,
    auc_low double precision NOT NULL,
    auc_high double precision NOT NULL,
    intercept double precision NOT NULL,
    points_coefficient double precision NOT NULL,
    stage_coefficients double precision[] NOT NULL,
    stage_leads bigint[] NOT NULL,
    bin_edges double precision[] NOT NULL,
    bin_leads bigint[] NOT NULL,
    bin_converted bigint[] NOT NULL,
    bin_rates double precision[],
    CONSTRAINT model_calibration_pkey PRIMARY KEY (model, target, horizon),
    CONSTRAINT model_calibration_model_fkey FOREIGN KEY (model) REFERENCES model ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT model_calibration_horizon_check CHECK (horizon > interval '0'),
    CONSTRAINT model_calibration_method_check CHECK (method IN ('platt', 'isotonic') AND (method = 'isotonic') = (bin_rates IS NOT NULL))
);
COMMENT ON TABLE model_calibration IS 'what a score and a stage of a model mean as a chance, by calibrate_model()';
COMMENT ON COLUMN model_calibration.model IS 'the model';
COMMENT ON COLUMN model_calibration.target IS 'stage that leads are to reach';
COMMENT ON COLUMN model_calibration.horizon IS 'time in which they are to reach it';
COMMENT ON COLUMN model_calibration.method IS 'platt: the chance is a logistic curve; isotonic: it is that of a bin';
COMMENT ON COLUMN model_calibration.calibrated_at IS 'when it was calibrated';
COMMENT ON COLUMN model_calibration.known_until IS 'nothing later was looked at';
COMMENT ON COLUMN model_calibration.fit_from IS 'leads as of this instant and later were calibrated with';
COMMENT ON COLUMN model_calibration.test_from IS 'leads as of this instant and later were not, and test it: see the report calibration';
COMMENT ON COLUMN model_calibration.leads IS 'leads that it was calibrated with; a lead at several instants is several';
COMMENT ON COLUMN model_calibration.converted IS 'of leads, those that reached the target in time';
COMMENT ON COLUMN model_calibration.auc IS 'how often, of these, a lead that reached the target had the greater chance';
COMMENT ON COLUMN model_calibration.auc_low IS 'lower end of the 95 % interval of auc (Hanley and McNeil)';
COMMENT ON COLUMN model_calibration.auc_high IS 'upper end of the 95 % interval of auc';
COMMENT ON COLUMN model_calibration.intercept IS 'log-odds of an iql without points';
COMMENT ON COLUMN model_calibration.points_coefficient IS 'log-odds that a point adds';
COMMENT ON COLUMN model_calibration.stage_coefficients IS 'log-odds that the stages iql, mql, sql and prospect add; NULL of one that too few leads were in';
COMMENT ON COLUMN model_calibration.stage_leads IS 'leads that were in the stages iql, mql, sql and prospect';
COMMENT ON COLUMN model_calibration.bin_edges IS 'log-odds at which the bins after the first begin';
COMMENT ON COLUMN model_calibration.bin_leads IS 'leads of each bin';
COMMENT ON COLUMN model_calibration.bin_converted IS 'of these, leads that reached the target in time';
COMMENT ON COLUMN model_calibration.bin_rates IS 'chance of each bin; NULL with the method platt';
