-- Experiments: variants of messages, pages, forms and times, and which lead was
-- shown which. See 39-experiments.sql.

CREATE TABLE experiment (
    experiment text,
    status text NOT NULL DEFAULT 'draft',
    salt text NOT NULL DEFAULT replace(gen_random_uuid()::text, '-', ''),
    goal_stage lead_stage,
    goal_signals text[] NOT NULL DEFAULT '{}',
    goal_within interval NOT NULL DEFAULT '14 days',
    expected_effect double precision NOT NULL DEFAULT 0.05,
    winner text,
    note text,
    created_by text NOT NULL DEFAULT leadscore_internal.caller(),
    created_at timestamptz NOT NULL DEFAULT now(),
    started_by text,
    started_at timestamptz,
    ended_at timestamptz,
    frozen jsonb,
    CONSTRAINT experiment_pkey PRIMARY KEY (experiment),
    -- with one salt two experiments would give the same leads the same variants
    CONSTRAINT experiment_salt_key UNIQUE (salt),
    CONSTRAINT experiment_experiment_check CHECK (experiment <> ''),
    CONSTRAINT experiment_status_check CHECK (status IN ('draft', 'running', 'ended')),
    CONSTRAINT experiment_salt_check CHECK (salt <> ''),
    CONSTRAINT experiment_goal_within_check CHECK (goal_within > interval '0' AND goal_within <= interval '10 years'),
    CONSTRAINT experiment_expected_effect_check CHECK (expected_effect > 0 AND expected_effect <= 1),
    CONSTRAINT experiment_winner_check CHECK (winner IS NULL OR status = 'ended'),
    CONSTRAINT experiment_started_check CHECK ((status = 'draft') = (started_at IS NULL)),
    CONSTRAINT experiment_ended_check CHECK ((status = 'ended') = (ended_at IS NOT NULL) AND ended_at >= started_at)
);
COMMENT ON TABLE experiment IS 'experiments: the variants that leads get, and the goal that counts as success; only a draft can be edited';
COMMENT ON COLUMN experiment.experiment IS 'name of the experiment';
COMMENT ON COLUMN experiment.status IS 'draft; running: leads get variants and exposures are recorded; ended. Set by start_experiment() and end_experiment()';
COMMENT ON COLUMN experiment.salt IS 'text that is hashed with the name of a lead, so that each experiment divides the leads anew';
COMMENT ON COLUMN experiment.goal_stage IS 'a lead that rises into this stage, or past it, has reached the goal; NULL: no such goal';
COMMENT ON COLUMN experiment.goal_signals IS 'signals: an event that counts for one of them is the goal too';
COMMENT ON COLUMN experiment.goal_within IS 'how long after its first exposure a lead has time for the goal';
COMMENT ON COLUMN experiment.expected_effect IS 'difference of rates that is expected, 0.05 for 5 points: the always-valid interval is narrowest for such differences';
COMMENT ON COLUMN experiment.winner IS 'variant that all leads get since the experiment ended; NULL: every lead keeps its own';
COMMENT ON COLUMN experiment.note IS 'remark for people';
COMMENT ON COLUMN experiment.created_by IS 'role that created it';
COMMENT ON COLUMN experiment.created_at IS 'when it was created';
COMMENT ON COLUMN experiment.started_by IS 'role that started it';
COMMENT ON COLUMN experiment.started_at IS 'when it began; exposures before do not count';
COMMENT ON COLUMN experiment.ended_at IS 'when it ended; exposures from then on do not count';
COMMENT ON COLUMN experiment.frozen IS 'its variants as they were at the start, with position and weight; a restore can insert these, and no others';

CREATE TABLE variant (
    experiment text,
    variant text,
    position integer NOT NULL,
    weight integer NOT NULL DEFAULT 1,
    note text,
    CONSTRAINT variant_pkey PRIMARY KEY (experiment, variant),
    CONSTRAINT variant_position_key UNIQUE (experiment, position) DEFERRABLE,
    CONSTRAINT variant_experiment_fkey FOREIGN KEY (experiment) REFERENCES experiment ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT variant_variant_check CHECK (variant <> ''),
    CONSTRAINT variant_weight_check CHECK (weight BETWEEN 0 AND 1000000)
);
COMMENT ON TABLE variant IS 'variants of experiments; frozen when the experiment starts';
COMMENT ON COLUMN variant.experiment IS 'the experiment';
COMMENT ON COLUMN variant.variant IS 'name of the variant';
COMMENT ON COLUMN variant.position IS 'order of the variants; the others are compared with the first';
COMMENT ON COLUMN variant.weight IS 'share of the leads, relative to the other variants; 0: none';
COMMENT ON COLUMN variant.note IS 'remark for people';

CREATE TABLE exposure (
    lead_id bigint,
    experiment text,
    variant text,
    exposed_at timestamptz NOT NULL DEFAULT now(),
    -- of two transactions the one that locked the lead first is first
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT exposure_pkey PRIMARY KEY (lead_id, experiment, variant)
);
CREATE INDEX exposure_experiment_idx ON exposure (experiment);
COMMENT ON TABLE exposure IS 'the variants that leads were shown; the one that was recorded first binds the lead to it';
COMMENT ON COLUMN exposure.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN exposure.experiment IS 'the experiment';
COMMENT ON COLUMN exposure.variant IS 'the variant';
COMMENT ON COLUMN exposure.exposed_at IS 'when the lead was shown it first';
COMMENT ON COLUMN exposure.recorded_at IS 'when that was recorded first';

ALTER TABLE sequence_step ADD CONSTRAINT sequence_step_experiment_fkey FOREIGN KEY (experiment) REFERENCES experiment ON UPDATE CASCADE;
