-- Segments: named conditions, and the leads that meet them. A segment is a
-- draft until activate_segment(); see 36-segments.sql.

CREATE TABLE segment (
    segment text,
    segment_id serial,
    status text NOT NULL DEFAULT 'draft',
    persona boolean NOT NULL DEFAULT false,
    ideal_customer boolean NOT NULL DEFAULT false,
    min_match_share numeric NOT NULL DEFAULT 1,
    enrolls boolean NOT NULL DEFAULT false,
    note text,
    created_by text NOT NULL DEFAULT leadscore_internal.caller(),
    created_at timestamptz NOT NULL DEFAULT now(),
    activated_by text,
    activated_at timestamptz,
    CONSTRAINT segment_pkey PRIMARY KEY (segment),
    CONSTRAINT segment_segment_id_key UNIQUE (segment_id),
    CONSTRAINT segment_segment_check CHECK (segment <> ''),
    CONSTRAINT segment_segment_id_check CHECK (segment_id > 0),
    CONSTRAINT segment_status_check CHECK (status IN ('draft', 'active', 'retired')),
    CONSTRAINT segment_active_check CHECK (status = 'draft' OR (activated_by IS NOT NULL AND activated_at IS NOT NULL)),
    CONSTRAINT segment_ideal_customer_check CHECK (persona OR NOT ideal_customer),
    CONSTRAINT segment_min_match_share_check CHECK (min_match_share > 0 AND min_match_share <= 1 AND min_match_share = round(min_match_share, 3))
);
CREATE UNIQUE INDEX segment_one_ideal_customer_key ON segment (ideal_customer) WHERE ideal_customer AND status = 'active';
COMMENT ON TABLE segment IS 'segments of leads; a draft can be edited, of an active one the engine records who enters and leaves it';
COMMENT ON COLUMN segment.segment IS 'name of the segment';
COMMENT ON COLUMN segment.segment_id IS 'number of the segment in lead_state.segments; never change or reuse it';
COMMENT ON COLUMN segment.status IS 'draft: does nothing yet; active: members are recorded; retired: nobody is in it. Set by activate_segment() and retire_segment()';
COMMENT ON COLUMN segment.persona IS 'whether it is a buyer persona: persona_match() tells how much of it a lead has';
COMMENT ON COLUMN segment.ideal_customer IS 'whether the persona is the ideal customer profile; one active persona at most';
COMMENT ON COLUMN segment.min_match_share IS 'share of the weights of its conditions that must hold, above 0 up to 1; 1: all of them';
COMMENT ON COLUMN segment.enrolls IS 'whether leads that its newest definition put in or out begin sequences; set by activate_segment()';
COMMENT ON COLUMN segment.note IS 'remark for people';
COMMENT ON COLUMN segment.created_by IS 'role that created it';
COMMENT ON COLUMN segment.created_at IS 'when it was created';
COMMENT ON COLUMN segment.activated_by IS 'role that activated it last';
COMMENT ON COLUMN segment.activated_at IS 'when it was activated last';

CREATE TABLE segment_condition (
    condition_id bigserial,
    segment text NOT NULL,
    condition text NOT NULL,
    signal text,
    min_count bigint,
    within interval,
    lead_condition jsonpath,
    dimension text,
    min_points numeric,
    stage_from lead_stage,
    stage_to lead_stage,
    in_segment text,
    negate boolean NOT NULL DEFAULT false,
    weight numeric NOT NULL DEFAULT 1,
    CONSTRAINT segment_condition_pkey PRIMARY KEY (condition_id),
    CONSTRAINT segment_condition_segment_fkey FOREIGN KEY (segment) REFERENCES segment ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT segment_condition_signal_fkey FOREIGN KEY (signal) REFERENCES signal,
    CONSTRAINT segment_condition_in_segment_fkey FOREIGN KEY (in_segment) REFERENCES segment ON UPDATE CASCADE,
    CONSTRAINT segment_condition_condition_check CHECK (condition <> ''),
    CONSTRAINT segment_condition_kind_check CHECK (
        (num_nonnulls(signal, lead_condition) > 0)::integer + (min_points IS NOT NULL)::integer
            + (num_nonnulls(stage_from, stage_to) > 0)::integer + (in_segment IS NOT NULL)::integer = 1
        AND (dimension IS NULL OR min_points IS NOT NULL)
        AND ((signal IS NOT NULL AND lead_condition IS NULL) OR (min_count IS NULL AND within IS NULL))),
    CONSTRAINT segment_condition_min_count_check CHECK (min_count > 0 AND min_count <= 2147483647),
    CONSTRAINT segment_condition_within_check CHECK (within IS NULL OR (period_text(within) ~ '(days|hours)$') IS TRUE),
    CONSTRAINT segment_condition_min_points_check CHECK (abs(min_points) <= 1e9 AND min_points = round(min_points, 3)),
    CONSTRAINT segment_condition_stage_check CHECK (stage_from <= stage_to),
    CONSTRAINT segment_condition_in_segment_check CHECK (in_segment <> segment),
    CONSTRAINT segment_condition_weight_check CHECK (weight > 0 AND weight <= 1000 AND weight = round(weight, 3))
);
CREATE UNIQUE INDEX segment_condition_alternative_key ON segment_condition
    (segment, condition, signal, min_count, within, (lead_condition::text), dimension, min_points, stage_from, stage_to, in_segment, negate)
    NULLS NOT DISTINCT;
COMMENT ON TABLE segment_condition IS 'conditions of segments, each about one thing; rows with one name are alternatives, all names must hold unless segment.min_match_share says else';
COMMENT ON COLUMN segment_condition.condition_id IS 'number of the row';
COMMENT ON COLUMN segment_condition.segment IS 'the segment';
COMMENT ON COLUMN segment_condition.condition IS 'name of the condition, as explain_segment() shows it';
COMMENT ON COLUMN segment_condition.signal IS 'signal that must have been counted; of a row with lead_condition the profile signal that activate_segment() has found or made for it';
COMMENT ON COLUMN segment_condition.min_count IS 'how often the signal must have been counted at least; NULL: once';
COMMENT ON COLUMN segment_condition.within IS 'only what is younger than this counts, in whole days or hours. Where events are counted by day, 14 days are the UTC day of the instant and the 13 days before it. NULL: all time';
COMMENT ON COLUMN segment_condition.lead_condition IS 'jsonpath on lead.profile, with the columns of lead and value lists as variables, as in $.employees > 50 && $country == "ES"';
COMMENT ON COLUMN segment_condition.dimension IS 'dimension of the model that must have min_points; NULL: the score must';
COMMENT ON COLUMN segment_condition.min_points IS 'points that the dimension must have at least, or without dimension the score';
COMMENT ON COLUMN segment_condition.stage_from IS 'lowest stage that the lead may be in; NULL: no limit, so exits (recycled, lost, disqualified) too';
COMMENT ON COLUMN segment_condition.stage_to IS 'highest stage that the lead may be in; NULL: no limit';
COMMENT ON COLUMN segment_condition.in_segment IS 'another segment that the lead must be in; that one must be active first';
COMMENT ON COLUMN segment_condition.negate IS 'true: the condition must not hold';
COMMENT ON COLUMN segment_condition.weight IS 'points that the condition gives to the match share; the same in all rows of one name';

CREATE TABLE segment_activation (
    -- one order with activations of models
    activation_id bigint,
    segment text NOT NULL,
    segment_id integer NOT NULL,
    definition jsonb,
    activated_at timestamptz NOT NULL DEFAULT now(),
    activated_by text NOT NULL DEFAULT leadscore_internal.caller(),
    CONSTRAINT segment_activation_pkey PRIMARY KEY (activation_id)
);
COMMENT ON TABLE segment_activation IS 'definitions of segments, one row each time that one was activated or retired; append-only, so that the history of segments can be replayed';
COMMENT ON COLUMN segment_activation.activation_id IS 'order of the activations of models and segments';
COMMENT ON COLUMN segment_activation.segment IS 'the segment';
COMMENT ON COLUMN segment_activation.segment_id IS 'its number';
COMMENT ON COLUMN segment_activation.definition IS 'its definition from then on, see segment_definition(); NULL: it was retired';
COMMENT ON COLUMN segment_activation.activated_at IS 'when; a segment that was activated before there was a lead holds for all the past';
COMMENT ON COLUMN segment_activation.activated_by IS 'role that did it';

CREATE TABLE segment_log (
    lead_id bigint,
    seq integer,
    segment text NOT NULL,
    entered boolean NOT NULL,
    effective_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    superseded_at timestamptz,
    cause text NOT NULL,
    changed_at timestamptz GENERATED ALWAYS AS (greatest(recorded_at, superseded_at)) STORED,
    CONSTRAINT segment_log_pkey PRIMARY KEY (lead_id, seq)
);
COMMENT ON TABLE segment_log IS 'every time that a lead was recorded to enter or leave a segment; a correction of the past supersedes rows and appends others. The valid rows are in segment_history';
COMMENT ON COLUMN segment_log.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN segment_log.seq IS 'number of the row of this lead; of valid rows also their order in event time';
COMMENT ON COLUMN segment_log.segment IS 'the segment';
COMMENT ON COLUMN segment_log.entered IS 'true: entered, false: left';
COMMENT ON COLUMN segment_log.effective_at IS 'when, in event time';
COMMENT ON COLUMN segment_log.recorded_at IS 'when it was recorded: the start of the transaction, or later if the lead was written before; not its commit';
COMMENT ON COLUMN segment_log.superseded_at IS 'when a correction took its place; NULL: the row is valid';
COMMENT ON COLUMN segment_log.cause IS 'created, event, profile, time, definition (of the segment) or activation (of a model)';
COMMENT ON COLUMN segment_log.changed_at IS 'when the row was recorded or superseded last: a cursor for programs that copy changes';

CREATE OR REPLACE VIEW segment_history WITH (security_invoker = true) AS
SELECT lead_id, seq, segment, entered AS is_member, effective_at, recorded_at, cause
FROM segment_log
WHERE superseded_at IS NULL;
COMMENT ON VIEW segment_history IS 'when leads entered and left segments, as their events give it in the order of event time, corrections included';
COMMENT ON COLUMN segment_history.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN segment_history.seq IS 'order of the changes of this lead';
COMMENT ON COLUMN segment_history.segment IS 'the segment';
COMMENT ON COLUMN segment_history.is_member IS 'true: the lead entered the segment, false: it left it';
COMMENT ON COLUMN segment_history.effective_at IS 'when, in event time';
COMMENT ON COLUMN segment_history.recorded_at IS 'when it was recorded';
COMMENT ON COLUMN segment_history.cause IS 'created, event, profile, time, definition (of the segment) or activation (of a model)';
