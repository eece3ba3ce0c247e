-- What was learned from the past: of models that were learned, and of chances.
-- No table is about single leads.

CREATE TABLE learned_model (
    model text,
    source_model text NOT NULL,
    target lead_stage NOT NULL,
    horizon interval NOT NULL,
    learned_at timestamptz NOT NULL DEFAULT now(),
    known_until timestamptz NOT NULL,
    test_from timestamptz NOT NULL,
    leads bigint NOT NULL,
    converted bigint NOT NULL,
    test_leads bigint NOT NULL,
    test_converted bigint NOT NULL,
    auc double precision NOT NULL,
    auc_low double precision NOT NULL,
    auc_high double precision NOT NULL,
    points_to_double_odds double precision NOT NULL,
    CONSTRAINT learned_model_pkey PRIMARY KEY (model),
    CONSTRAINT learned_model_model_fkey FOREIGN KEY (model) REFERENCES model ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT learned_model_horizon_check CHECK (horizon > interval '0')
);
COMMENT ON TABLE learned_model IS 'models whose points were learned by suggest_points(): from what, and how well they told';
COMMENT ON COLUMN learned_model.model IS 'the model';
COMMENT ON COLUMN learned_model.source_model IS 'model whose rules it has';
COMMENT ON COLUMN learned_model.target IS 'stage that leads were to reach';
COMMENT ON COLUMN learned_model.horizon IS 'time in which they were to reach it';
COMMENT ON COLUMN learned_model.learned_at IS 'when it was learned';
COMMENT ON COLUMN learned_model.known_until IS 'nothing later was looked at';
COMMENT ON COLUMN learned_model.test_from IS 'leads as of this instant and later were not learned from, but tested with';
COMMENT ON COLUMN learned_model.leads IS 'leads that it was learned from';
COMMENT ON COLUMN learned_model.converted IS 'of leads, those that reached the target in time';
COMMENT ON COLUMN learned_model.test_leads IS 'leads that it was tested with';
COMMENT ON COLUMN learned_model.test_converted IS 'of test_leads, those that reached the target in time';
COMMENT ON COLUMN learned_model.auc IS 'how often, in the test, a lead that reached the target had more points than one that did not';
COMMENT ON COLUMN learned_model.auc_low IS 'lower end of the 95 % interval of auc (Hanley and McNeil)';
COMMENT ON COLUMN learned_model.auc_high IS 'upper end of the 95 % interval of auc';
COMMENT ON COLUMN learned_model.points_to_double_odds IS 'so many points more double the odds';
