-- The tables of a pipeline.
--
-- Plain tables of the role that creates the pipeline. No schema names: new
-- objects go to the first schema of search_path. lead and event use no type of the
-- extension, so that they outlive it. Every table about leads has lead_id
-- first in its keys, so that it can be partitioned or distributed by it.

-- Periods are written in whole days, hours or minutes. A month has no fixed
-- number of days, so it is no period. Used by checks below.
CREATE FUNCTION period_text(period interval) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE
        WHEN extract(year FROM period_text.period) <> 0
            OR extract(month FROM period_text.period) <> 0
            OR extract(epoch FROM period_text.period) <= 0 THEN NULL
        WHEN extract(epoch FROM period_text.period) % 86400 = 0
            THEN div(extract(epoch FROM period_text.period), 86400) || ' days'
        WHEN extract(epoch FROM period_text.period) % 3600 = 0
            THEN div(extract(epoch FROM period_text.period), 3600) || ' hours'
        WHEN extract(epoch FROM period_text.period) % 60 = 0
            THEN div(extract(epoch FROM period_text.period), 60) || ' minutes'
    END;
END;
COMMENT ON FUNCTION period_text(interval) IS
    'a period in whole days, hours or minutes, whatever IntervalStyle; NULL if it is none';

-- Settings.

CREATE TABLE setting (
    id boolean NOT NULL DEFAULT true,
    layout_version integer NOT NULL DEFAULT 1,
    configuration bigint NOT NULL DEFAULT 0,
    signals_configuration bigint NOT NULL DEFAULT 0,
    grain interval NOT NULL DEFAULT '1 day',
    time_zone text NOT NULL DEFAULT 'UTC',
    currency text NOT NULL DEFAULT 'EUR',
    mature_after interval NOT NULL DEFAULT '90 days',
    first_response_within interval NOT NULL DEFAULT '1 hour',
    attribution_scope text NOT NULL DEFAULT 'lead',
    attribution_window interval,
    complexity text,
    CONSTRAINT setting_pkey PRIMARY KEY (id),
    CONSTRAINT setting_one_row CHECK (id),
    CONSTRAINT setting_grain_check CHECK ((period_text(grain) IN ('1 days', '1 hours')) IS TRUE),
    -- fails where it is written, not in every view, if there is no such zone
    CONSTRAINT setting_time_zone_check CHECK (timestamptz '2000-01-01 00:00+00' AT TIME ZONE time_zone IS NOT NULL),
    CONSTRAINT setting_currency_check CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT setting_mature_after_check CHECK (mature_after >= interval '0'),
    CONSTRAINT setting_first_response_within_check CHECK (first_response_within > interval '0'),
    CONSTRAINT setting_attribution_scope_check CHECK (attribution_scope IN ('lead', 'account')),
    CONSTRAINT setting_attribution_window_check CHECK (attribution_window > interval '0'),
    CONSTRAINT setting_complexity_check CHECK (complexity IN ('simple', 'complex'))
);
COMMENT ON TABLE setting IS 'settings of this pipeline: one row';
COMMENT ON COLUMN setting.id IS 'always true: there is one row';
COMMENT ON COLUMN setting.layout_version IS 'version of the tables, raised by leadscore.upgrade_pipeline';
COMMENT ON COLUMN setting.configuration IS 'number of the newest change of models, signals or segments; leads with a smaller one are behind';
COMMENT ON COLUMN setting.signals_configuration IS 'number of the newest change of signals; leads with a smaller one are to be counted again';
COMMENT ON COLUMN setting.grain IS 'width of the buckets that events are counted in, 1 day or 1 hour; fixed when the pipeline is created';
COMMENT ON COLUMN setting.time_zone IS 'time zone of the dates in the views';
COMMENT ON COLUMN setting.currency IS 'currency of all amounts, ISO 4217';
COMMENT ON COLUMN setting.mature_after IS 'age at which a lead is expected to have converted, if it ever does';
COMMENT ON COLUMN setting.first_response_within IS 'time in which a new enquiry should be answered';
COMMENT ON COLUMN setting.attribution_scope IS 'a purchase is credited to touches of: lead, the lead that bought; account, all leads of its organization';
COMMENT ON COLUMN setting.attribution_window IS 'touches longer before a purchase than this have no part in it; NULL: all have';
COMMENT ON COLUMN setting.complexity IS 'how a sale to b2b goes: simple (few people decide soon) or complex; for leads that do not say so themselves. NULL: not known';

-- Leads and what they do.

CREATE TABLE lead (
    lead_id bigserial,
    external_id text,
    kind text NOT NULL DEFAULT 'person',
    email text,
    phone text,
    organization text,
    market text,
    country text,
    language text,
    time_zone text,
    channel text,
    campaign text,
    owner text,
    persona text,
    profile jsonb NOT NULL DEFAULT '{}',
    consented_at timestamptz,
    contact_allowed boolean,
    referred_by bigint,
    erased_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    first_external_id text,
    objective text,
    complexity text,
    CONSTRAINT lead_pkey PRIMARY KEY (lead_id),
    CONSTRAINT lead_external_id_key UNIQUE (external_id),
    CONSTRAINT lead_kind_check CHECK (kind IN ('person', 'organization')),
    CONSTRAINT lead_market_check CHECK (market IN ('b2b', 'b2c')),
    CONSTRAINT lead_complexity_check CHECK (complexity IN ('simple', 'complex')),
    CONSTRAINT lead_profile_check CHECK (jsonb_typeof(profile) = 'object'),
    CONSTRAINT lead_referred_by_check CHECK (referred_by <> lead_id),
    CONSTRAINT lead_referred_by_fkey FOREIGN KEY (referred_by) REFERENCES lead ON DELETE SET NULL
);
-- a lead that is deleted is looked for here
CREATE INDEX lead_referred_by_idx ON lead (referred_by) WHERE referred_by IS NOT NULL;
-- leads with an address: what one of them says of messages to it holds for all
CREATE INDEX lead_address_idx ON lead (lower(btrim(email) COLLATE "C")) WHERE email IS NOT NULL;
CREATE INDEX lead_phone_idx ON lead (regexp_replace(phone, '[^0-9]', '', 'g')) WHERE phone IS NOT NULL;
COMMENT ON TABLE lead IS 'persons and organizations that left contact data, or may yet: one row each';
COMMENT ON COLUMN lead.lead_id IS 'number of the lead, never reused';
COMMENT ON COLUMN lead.external_id IS 'name of the lead in the app that sends the events; one that is an e-mail address is kept in lower case. Other names are in lead_alias';
COMMENT ON COLUMN lead.kind IS 'person or organization';
COMMENT ON COLUMN lead.email IS 'e-mail address; personal data, in no view';
COMMENT ON COLUMN lead.phone IS 'telephone number; personal data, in no view';
COMMENT ON COLUMN lead.organization IS 'organization that the person belongs to; contacts of one organization add up in account_score';
COMMENT ON COLUMN lead.market IS 'market of the lead: b2b or b2c';
COMMENT ON COLUMN lead.country IS 'country of the lead, best as ISO 3166 code';
COMMENT ON COLUMN lead.language IS 'language to write to the lead in, best as ISO 639 code';
COMMENT ON COLUMN lead.time_zone IS 'time zone of the lead, such as Europe/Madrid; NULL, or no such zone: setting.time_zone';
COMMENT ON COLUMN lead.channel IS 'channel that the lead came by';
COMMENT ON COLUMN lead.campaign IS 'campaign that the lead came by';
COMMENT ON COLUMN lead.owner IS 'person of your company in charge of the lead';
COMMENT ON COLUMN lead.persona IS 'buyer persona that the lead stands for';
COMMENT ON COLUMN lead.profile IS 'other facts about the lead, a JSON object; profile signals have conditions on it. Personal data, in no view';
COMMENT ON COLUMN lead.consented_at IS 'when the data protection policy was accepted; NULL: it was not, or consent was taken back. Follows the table consent; a value that is written here becomes a row there';
COMMENT ON COLUMN lead.contact_allowed IS 'whether messages of some kind may be sent, see may_contact(); NULL: not asked. Follows the tables consent and suppression; a value that is written here becomes a row of consent without evidence';
COMMENT ON COLUMN lead.referred_by IS 'lead_id of another lead, which recommended us';
COMMENT ON COLUMN lead.erased_at IS 'when forget_lead() made the lead anonymous: its profile counts as it was then';
COMMENT ON COLUMN lead.created_at IS 'when the lead became known';
COMMENT ON COLUMN lead.updated_at IS 'time of the last change of this row';
COMMENT ON COLUMN lead.first_external_id IS 'name under which the lead was first known, by which experiments go; of one that had no name its lead_id. NULL: it is external_id. Kept by the engine when the name changes';
COMMENT ON COLUMN lead.objective IS 'what the lead was captured for, such as newsletter, demo or quote; NULL: that of its campaign';
COMMENT ON COLUMN lead.complexity IS 'how a sale to this lead goes: simple or complex; NULL: as setting.complexity says';

-- No foreign key to lead: it would more than halve the rate of inserts. The
-- statement that counts an event checks that the lead is there.
CREATE TABLE event (
    lead_id bigint NOT NULL,
    event_id bigserial,
    kind text NOT NULL,
    occurred_at timestamptz NOT NULL DEFAULT now(),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    value numeric,
    channel text,
    campaign text,
    properties jsonb,
    source_id text,
    CONSTRAINT event_pkey PRIMARY KEY (lead_id, event_id),
    -- a key of one column, for tools that know no other; the one to drop where
    -- event is partitioned or distributed
    CONSTRAINT event_event_id_key UNIQUE (event_id)
);
CREATE UNIQUE INDEX event_source_id_key ON event (lead_id, source_id) WHERE source_id IS NOT NULL;
COMMENT ON TABLE event IS 'things that happened to leads, one row each; insert here, and score and stage are right at commit';
COMMENT ON COLUMN event.lead_id IS 'number of the lead that did it, or to which it was done';
COMMENT ON COLUMN event.event_id IS 'number of the event; not an order in time';
COMMENT ON COLUMN event.kind IS 'kind of event, see event_kind; other kinds are kept and score nothing';
COMMENT ON COLUMN event.occurred_at IS 'when it happened';
COMMENT ON COLUMN event.recorded_at IS 'when it was recorded here';
COMMENT ON COLUMN event.value IS 'amount of a purchase, number of points, or the like';
COMMENT ON COLUMN event.channel IS 'channel that the event came by';
COMMENT ON COLUMN event.campaign IS 'campaign that the event came by';
COMMENT ON COLUMN event.properties IS 'other facts about the event, a JSON object; signals have conditions on it';
COMMENT ON COLUMN event.source_id IS 'name of the event in the app that sends it; a second event of this name for the same lead is refused';

-- Kinds of events. The meaning of an event is said once, by the role of its kind:
-- reports look for roles, and so may signals.

CREATE TABLE event_role (
    role text,
    note text,
    CONSTRAINT event_role_pkey PRIMARY KEY (role),
    CONSTRAINT event_role_role_check CHECK (role <> '')
);
COMMENT ON TABLE event_role IS 'roles that a kind of event can have; roles of your own are for reports and signals of your own';
COMMENT ON COLUMN event_role.role IS 'the role';
COMMENT ON COLUMN event_role.note IS 'what the reports, and the signals of the presets, take events of this role for';

CREATE TABLE event_kind (
    kind text,
    role text NOT NULL,
    note text,
    CONSTRAINT event_kind_pkey PRIMARY KEY (kind),
    CONSTRAINT event_kind_role_fkey FOREIGN KEY (role) REFERENCES event_role
);
COMMENT ON TABLE event_kind IS 'known kinds of events, and their roles';
COMMENT ON COLUMN event_kind.kind IS 'kind of event';
COMMENT ON COLUMN event_kind.role IS 'what the events mean to reports and signals, see event_role: visit, request, sales_contact, purchase ...';
COMMENT ON COLUMN event_kind.note IS 'meaning of the kind, and its properties';

-- How events and profiles are classified.

CREATE TABLE signal (
    signal text,
    signal_id smallserial,
    source text NOT NULL DEFAULT 'event',
    event_kinds text[],
    event_role text,
    condition jsonpath,
    quantity jsonpath,
    note text,
    distinct_on jsonpath,
    CONSTRAINT signal_pkey PRIMARY KEY (signal),
    CONSTRAINT signal_signal_id_key UNIQUE (signal_id),
    CONSTRAINT signal_signal_check CHECK (signal <> ''),
    CONSTRAINT signal_signal_id_check CHECK (signal_id >= 0),
    CONSTRAINT signal_source_check CHECK (source IN ('event', 'profile')),
    CONSTRAINT signal_profile_check CHECK (source = 'event'
        OR (condition IS NOT NULL AND event_kinds IS NULL AND event_role IS NULL AND quantity IS NULL AND distinct_on IS NULL)),
    -- no kind at all: counted by the engine, not by events
    CONSTRAINT signal_event_kinds_check CHECK (array_position(event_kinds, NULL) IS NULL
        AND (cardinality(event_kinds) > 0 OR signal_id = 0)),
    CONSTRAINT signal_distinct_on_check CHECK (distinct_on IS NULL OR quantity IS NULL),
    CONSTRAINT signal_event_role_check CHECK (event_kinds IS NULL OR event_role IS NULL),
    CONSTRAINT signal_event_role_fkey FOREIGN KEY (event_role) REFERENCES event_role
);
COMMENT ON TABLE signal IS 'signals: the classes that events and profiles fall into when they are written; models give points to signals';
COMMENT ON COLUMN signal.signal IS 'name of the signal';
COMMENT ON COLUMN signal.signal_id IS 'number of the signal in lead_state.activity; never change or reuse it';
COMMENT ON COLUMN signal.source IS 'event: counted for every event that matches; profile: present while the lead''s profile matches';
COMMENT ON COLUMN signal.event_kinds IS 'kinds of events that match; NULL: see event_role';
COMMENT ON COLUMN signal.event_role IS 'role of the kinds of events that match, by event_kind; NULL, and event_kinds too: any kind';
COMMENT ON COLUMN signal.condition IS 'jsonpath on event.properties or lead.profile that must hold too; columns and value lists are variables, as in $value > 100; NULL: none';
COMMENT ON COLUMN signal.quantity IS 'jsonpath that gives how often an event counts, a number; NULL: once';
COMMENT ON COLUMN signal.note IS 'remark for people';
COMMENT ON COLUMN signal.distinct_on IS 'jsonpath that gives the value by which events are told apart, such as $.page; rules, gates and segments count different values then; an event without one such value does not count; NULL: all events count';

CREATE TABLE value_list (
    list text,
    item text,
    CONSTRAINT value_list_pkey PRIMARY KEY (list, item),
    CONSTRAINT value_list_list_check CHECK (list ~ '^[A-Za-z_][A-Za-z0-9_]*$')
);
COMMENT ON TABLE value_list IS 'lists for the conditions of signals: the list competitors is the variable $competitors';
COMMENT ON COLUMN value_list.list IS 'name of the list';
COMMENT ON COLUMN value_list.item IS 'one item of the list';

-- Models: points of signals, and conditions of stages. Numbers have at
-- most three decimals, so that scores are exact.

CREATE TABLE model (
    model text,
    status text NOT NULL DEFAULT 'draft',
    min_score numeric,
    max_score numeric,
    gates_required boolean NOT NULL DEFAULT true,
    allow_demotion boolean NOT NULL DEFAULT false,
    demotion_margin numeric NOT NULL DEFAULT 0,
    note text,
    compiled lead_model,
    created_by text NOT NULL DEFAULT leadscore_internal.caller(),
    created_at timestamptz NOT NULL DEFAULT now(),
    activated_by text,
    activated_at timestamptz,
    CONSTRAINT model_pkey PRIMARY KEY (model),
    CONSTRAINT model_model_check CHECK (model <> ''),
    CONSTRAINT model_status_check CHECK (status IN ('draft', 'active', 'retired')),
    CONSTRAINT model_active_check CHECK (status = 'draft'
        OR (compiled IS NOT NULL AND activated_by IS NOT NULL AND activated_at IS NOT NULL)),
    CONSTRAINT model_min_score_check CHECK (abs(min_score) <= 1e9 AND min_score = round(min_score, 3)),
    CONSTRAINT model_max_score_check CHECK (abs(max_score) <= 1e9 AND max_score = round(max_score, 3) AND max_score >= min_score),
    CONSTRAINT model_demotion_margin_check CHECK (demotion_margin >= 0 AND demotion_margin <= 1e9 AND demotion_margin = round(demotion_margin, 3))
);
CREATE UNIQUE INDEX model_one_active_key ON model (status) WHERE status = 'active';
COMMENT ON TABLE model IS 'scoring models; a draft can be edited, the active one scores, a retired one explains the past';
COMMENT ON COLUMN model.model IS 'name of the model';
COMMENT ON COLUMN model.status IS 'draft, active (one) or retired; set by activate_model()';
COMMENT ON COLUMN model.min_score IS 'no score is lower; NULL: no limit';
COMMENT ON COLUMN model.max_score IS 'no score is higher; NULL: no limit';
COMMENT ON COLUMN model.gates_required IS 'false: points alone make an mql or sql; gates of iql always hold';
COMMENT ON COLUMN model.allow_demotion IS 'whether an iql, mql or sql falls back when its points fall below the threshold';
COMMENT ON COLUMN model.demotion_margin IS 'points below the threshold at which it falls back';
COMMENT ON COLUMN model.note IS 'remark for people';
COMMENT ON COLUMN model.compiled IS 'the model as it was activated; model::text exports it';
COMMENT ON COLUMN model.created_by IS 'role that created it';
COMMENT ON COLUMN model.created_at IS 'when it was created';
COMMENT ON COLUMN model.activated_by IS 'role that activated it last';
COMMENT ON COLUMN model.activated_at IS 'when it was activated last';

CREATE TABLE model_activation (
    -- the number that the configuration got, alike on every node
    activation_id bigint,
    model text NOT NULL,
    activated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT model_activation_pkey PRIMARY KEY (activation_id),
    CONSTRAINT model_activation_model_fkey FOREIGN KEY (model) REFERENCES model
);
COMMENT ON TABLE model_activation IS 'activations of models, one row each; append-only, so that the history of stages can be replayed';
COMMENT ON COLUMN model_activation.activation_id IS 'order of the activations';
COMMENT ON COLUMN model_activation.model IS 'the model that became active';
COMMENT ON COLUMN model_activation.activated_at IS 'when it became active; events before the first activation are judged by the first model';

CREATE TABLE dimension (
    model text,
    dimension text,
    position integer NOT NULL DEFAULT 1,
    min_points numeric,
    max_points numeric,
    weight numeric NOT NULL DEFAULT 1,
    reset_signals text[] NOT NULL DEFAULT '{}',
    CONSTRAINT dimension_pkey PRIMARY KEY (model, dimension),
    CONSTRAINT dimension_model_fkey FOREIGN KEY (model) REFERENCES model ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT dimension_dimension_check CHECK (dimension <> ''),
    CONSTRAINT dimension_min_points_check CHECK (abs(min_points) <= 1e9 AND min_points = round(min_points, 3)),
    CONSTRAINT dimension_max_points_check CHECK (abs(max_points) <= 1e9 AND max_points = round(max_points, 3) AND max_points >= min_points),
    CONSTRAINT dimension_weight_check CHECK (abs(weight) <= 1e6 AND weight = round(weight, 3)),
    CONSTRAINT dimension_reset_signals_check CHECK (array_position(reset_signals, NULL) IS NULL)
);
COMMENT ON TABLE dimension IS 'parts of the score that a model adds up apart, such as engagement and fit; the score is their weighted sum';
COMMENT ON COLUMN dimension.model IS 'the model';
COMMENT ON COLUMN dimension.dimension IS 'name of the dimension';
COMMENT ON COLUMN dimension.position IS 'place in lists, and of its grade in grades such as A1';
COMMENT ON COLUMN dimension.min_points IS 'its points never fall below this; NULL: no limit';
COMMENT ON COLUMN dimension.max_points IS 'its points never rise above this; NULL: no limit';
COMMENT ON COLUMN dimension.weight IS 'factor in the score; 0: shown, but not in the score';
COMMENT ON COLUMN dimension.reset_signals IS 'only events after the newest of these signals count';

CREATE TABLE rule (
    model text,
    rule text,
    dimension text NOT NULL,
    signal text NOT NULL,
    points numeric,
    aggregate text NOT NULL DEFAULT 'sum',
    first_n integer,
    tiers jsonb,
    of_dimension text,
    min_count integer,
    period text,
    within interval,
    after interval,
    repeat boolean NOT NULL DEFAULT false,
    limit_count integer,
    limit_period text,
    decay text NOT NULL DEFAULT 'none',
    decay_period interval,
    decay_percent numeric,
    max_points numeric,
    only_if text[] NOT NULL DEFAULT '{}',
    unless text[] NOT NULL DEFAULT '{}',
    note text,
    CONSTRAINT rule_pkey PRIMARY KEY (model, rule),
    CONSTRAINT rule_model_fkey FOREIGN KEY (model) REFERENCES model ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT rule_dimension_fkey FOREIGN KEY (model, dimension) REFERENCES dimension ON UPDATE CASCADE,
    CONSTRAINT rule_of_dimension_fkey FOREIGN KEY (model, of_dimension) REFERENCES dimension ON UPDATE CASCADE,
    CONSTRAINT rule_signal_fkey FOREIGN KEY (signal) REFERENCES signal,
    CONSTRAINT rule_rule_check CHECK (rule <> ''),
    CONSTRAINT rule_points_check CHECK (abs(points) <= 1e9 AND points = round(points, 3) AND (points IS NOT NULL OR tiers IS NOT NULL)),
    CONSTRAINT rule_aggregate_check CHECK (aggregate IN ('sum', 'last', 'first_n', 'days', 'periods', 'tier', 'idle')),
    CONSTRAINT rule_first_n_check CHECK ((aggregate = 'first_n') = (first_n IS NOT NULL) AND first_n > 0),
    CONSTRAINT rule_tiers_check CHECK (jsonb_typeof(tiers) = 'object'
        AND CASE aggregate WHEN 'tier' THEN tiers IS NOT NULL WHEN 'idle' THEN true ELSE tiers IS NULL END),
    CONSTRAINT rule_of_dimension_check CHECK (of_dimension IS NULL OR (aggregate = 'idle' AND tiers IS NOT NULL)),
    CONSTRAINT rule_min_count_check CHECK ((aggregate = 'periods') = (min_count IS NOT NULL) AND min_count > 0),
    CONSTRAINT rule_period_check CHECK ((aggregate = 'periods') = (period IS NOT NULL)
        AND period IN ('day', 'week', 'month', '2 months', 'quarter', '4 months', '6 months', 'year', 'ever')),
    CONSTRAINT rule_within_check CHECK (within IS NULL OR (aggregate = 'tier' AND period_text(within) ~ '(days|hours)$') IS TRUE),
    CONSTRAINT rule_after_check CHECK (CASE aggregate WHEN 'idle' THEN period_text(after) ~ '(days|hours)$' ELSE after IS NULL END IS TRUE),
    CONSTRAINT rule_repeat_check CHECK (aggregate = 'idle' OR NOT repeat),
    CONSTRAINT rule_limit_check CHECK ((limit_count IS NULL) = (limit_period IS NULL) AND (limit_count IS NULL OR aggregate <> 'idle')),
    CONSTRAINT rule_limit_count_check CHECK (limit_count > 0),
    CONSTRAINT rule_limit_period_check CHECK (limit_period IN ('day', 'week', 'month', '2 months', 'quarter', '4 months', '6 months', 'year', 'ever')),
    CONSTRAINT rule_decay_check CHECK (decay IN ('none', 'half_life', 'linear', 'step', 'window')
        AND (decay = 'none' OR aggregate NOT IN ('tier', 'idle'))),
    CONSTRAINT rule_decay_period_check CHECK (CASE decay WHEN 'none' THEN decay_period IS NULL
        ELSE period_text(decay_period) ~ '(days|hours)$' END IS TRUE),
    CONSTRAINT rule_decay_percent_check CHECK (CASE decay WHEN 'step' THEN decay_percent IS NOT NULL
        WHEN 'linear' THEN true ELSE decay_percent IS NULL END
        AND decay_percent > 0 AND decay_percent <= 100 AND decay_percent = round(decay_percent, 3)),
    CONSTRAINT rule_max_points_check CHECK (abs(max_points) <= 1e9 AND max_points = round(max_points, 3)
        -- of tiers the sign counts too, which compiling looks at
        AND (tiers IS NOT NULL OR max_points * points >= 0)),
    CONSTRAINT rule_only_if_check CHECK (array_position(only_if, NULL) IS NULL),
    CONSTRAINT rule_unless_check CHECK (array_position(unless, NULL) IS NULL)
);
COMMENT ON TABLE rule IS 'rules: points that a model gives to a signal';
COMMENT ON COLUMN rule.model IS 'the model';
COMMENT ON COLUMN rule.rule IS 'name of the rule, as explain() shows it';
COMMENT ON COLUMN rule.dimension IS 'dimension that the points go to';
COMMENT ON COLUMN rule.signal IS 'signal that the points are for';
COMMENT ON COLUMN rule.points IS 'points, positive or negative, for each count, or for what aggregate makes of the counts; factor of tiers, 1 if NULL';
COMMENT ON COLUMN rule.aggregate IS 'which counts give points: sum: every count; last: the newest; first_n: the first ones; days: one a day; periods: one a calendar period that has enough; tier: points by number; idle: quiet times';
COMMENT ON COLUMN rule.first_n IS 'for aggregate first_n: how many counts';
COMMENT ON COLUMN rule.tiers IS 'for aggregate tier: points by the number of counts that is reached, as in {"3": 5, "10": 15}; for aggregate idle: by the points that the lead has, as in {"31": -15, "71": -30}; NULL: points alone';
COMMENT ON COLUMN rule.of_dimension IS 'for tiers of aggregate idle: dimension whose points choose the tier, NULL: the score; both as they are without such rules';
COMMENT ON COLUMN rule.min_count IS 'for aggregate periods: how many counts a period needs';
COMMENT ON COLUMN rule.period IS 'for aggregate periods: day, week, month, 2 months, quarter, 4 months, 6 months, year (UTC calendar, from Monday and from January) or ever';
COMMENT ON COLUMN rule.within IS 'for aggregate tier: only counts younger than this; NULL: all';
COMMENT ON COLUMN rule.after IS 'for aggregate idle: the time without the signal';
COMMENT ON COLUMN rule.repeat IS 'for aggregate idle: again each time it has passed';
COMMENT ON COLUMN rule.limit_count IS 'at most this many counts in limit_period, the earliest ones';
COMMENT ON COLUMN rule.limit_period IS 'day, week, month, 2 months, quarter, 4 months, 6 months, year (UTC calendar, from Monday and from January) or ever';
COMMENT ON COLUMN rule.decay IS 'how points fade: none, half_life, linear, step or window';
COMMENT ON COLUMN rule.decay_period IS 'time in which they halve, lose decay_percent, or end';
COMMENT ON COLUMN rule.decay_percent IS 'for decay linear (100 if NULL) and step: percent lost in decay_period';
COMMENT ON COLUMN rule.max_points IS 'at most this many points in all, of the same sign as points; NULL: no limit';
COMMENT ON COLUMN rule.only_if IS 'signals that must all be present';
COMMENT ON COLUMN rule.unless IS 'signals of which none may be present';
COMMENT ON COLUMN rule.note IS 'remark for people';

CREATE TABLE stage_rule (
    model text,
    stage lead_stage,
    only_if text DEFAULT '',
    min_score numeric,
    entry_signals text[] NOT NULL DEFAULT '{}',
    sla interval,
    note text,
    CONSTRAINT stage_rule_pkey PRIMARY KEY (model, stage, only_if),
    CONSTRAINT stage_rule_model_fkey FOREIGN KEY (model) REFERENCES model ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT stage_rule_min_score_check CHECK (abs(min_score) <= 1e9 AND min_score = round(min_score, 3)),
    CONSTRAINT stage_rule_entry_signals_check CHECK (array_position(entry_signals, NULL) IS NULL),
    CONSTRAINT stage_rule_sla_check CHECK (sla IS NULL OR period_text(sla) IS NOT NULL)
);
COMMENT ON TABLE stage_rule IS 'points and milestones of each stage; its other conditions are in stage_gate';
COMMENT ON COLUMN stage_rule.model IS 'the model';
COMMENT ON COLUMN stage_rule.stage IS 'the stage';
COMMENT ON COLUMN stage_rule.only_if IS 'profile signal of the leads that this row is for, say B2C; empty: all other leads';
COMMENT ON COLUMN stage_rule.min_score IS 'score that the stage needs; NULL: gates alone decide, or milestones';
COMMENT ON COLUMN stage_rule.entry_signals IS 'milestones: one of these puts a lead into the stage';
COMMENT ON COLUMN stage_rule.sla IS 'time in which a lead that enters the stage should be contacted; NULL: none';
COMMENT ON COLUMN stage_rule.note IS 'remark for people';

CREATE TABLE stage_gate (
    gate_id bigserial,
    model text NOT NULL,
    stage lead_stage NOT NULL,
    gate text NOT NULL,
    signal text,
    dimension text,
    min_count bigint,
    min_points numeric,
    within interval,
    negate boolean NOT NULL DEFAULT false,
    CONSTRAINT stage_gate_pkey PRIMARY KEY (gate_id),
    CONSTRAINT stage_gate_alternative_key UNIQUE NULLS NOT DISTINCT
        (model, stage, gate, signal, dimension, min_count, min_points, within, negate),
    CONSTRAINT stage_gate_model_fkey FOREIGN KEY (model) REFERENCES model ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT stage_gate_signal_fkey FOREIGN KEY (signal) REFERENCES signal,
    CONSTRAINT stage_gate_dimension_fkey FOREIGN KEY (model, dimension) REFERENCES dimension ON UPDATE CASCADE,
    -- the threshold of a stage, its min_score, is shown as the gate score
    CONSTRAINT stage_gate_gate_check CHECK (gate NOT IN ('', 'score')),
    CONSTRAINT stage_gate_kind_check CHECK (num_nonnulls(signal, dimension) <= 1
        AND (signal IS NULL) = (min_points IS NOT NULL)
        AND (signal IS NOT NULL OR (min_count IS NULL AND within IS NULL))),
    CONSTRAINT stage_gate_min_count_check CHECK (min_count > 0),
    CONSTRAINT stage_gate_min_points_check CHECK (abs(min_points) <= 1e9 AND min_points = round(min_points, 3)),
    CONSTRAINT stage_gate_within_check CHECK (within IS NULL OR (period_text(within) ~ '(days|hours)$') IS TRUE)
);
COMMENT ON TABLE stage_gate IS 'gates: conditions of a stage besides points; rows with one gate name are alternatives, different gates must all hold';
COMMENT ON COLUMN stage_gate.gate_id IS 'number of the row';
COMMENT ON COLUMN stage_gate.model IS 'the model';
COMMENT ON COLUMN stage_gate.stage IS 'the stage';
COMMENT ON COLUMN stage_gate.gate IS 'name of the gate, as next_steps() shows it';
COMMENT ON COLUMN stage_gate.signal IS 'signal that must have been counted; NULL: see min_points';
COMMENT ON COLUMN stage_gate.dimension IS 'dimension that must have points; NULL: see signal, or the score must have them';
COMMENT ON COLUMN stage_gate.min_count IS 'how often the signal must have been counted; NULL: once';
COMMENT ON COLUMN stage_gate.min_points IS 'points that the dimension must have, or without dimension the score';
COMMENT ON COLUMN stage_gate.within IS 'only counts younger than this; NULL: all';
COMMENT ON COLUMN stage_gate.negate IS 'true: the condition must not hold';

CREATE TABLE grade (
    model text,
    dimension text,
    grade text,
    min_points numeric NOT NULL,
    CONSTRAINT grade_pkey PRIMARY KEY (model, dimension, grade),
    CONSTRAINT grade_min_points_key UNIQUE (model, dimension, min_points),
    CONSTRAINT grade_dimension_fkey FOREIGN KEY (model, dimension) REFERENCES dimension ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT grade_grade_check CHECK (grade <> ''),
    CONSTRAINT grade_min_points_check CHECK (abs(min_points) <= 1e9 AND min_points = round(min_points, 3))
);
COMMENT ON TABLE grade IS 'grades of a dimension, such as A to D for fit';
COMMENT ON COLUMN grade.model IS 'the model';
COMMENT ON COLUMN grade.dimension IS 'the dimension';
COMMENT ON COLUMN grade.grade IS 'the grade';
COMMENT ON COLUMN grade.min_points IS 'points of the dimension from which it is given';

-- Tables that the engine keeps. Only its triggers write them; they also delete
-- the rows of a lead that is deleted: foreign keys would cost a check for every
-- event.

CREATE TABLE lead_state (
    -- columns that seldom change first: WAL of an update leaves out the common start
    lead_id bigint,
    stage_since timestamptz NOT NULL,
    profile_at timestamptz,
    milestone_at timestamptz,
    pending_at timestamptz,
    segments_since timestamptz,
    next_review_at timestamptz,
    configuration bigint NOT NULL,
    cycle integer NOT NULL,
    stage lead_stage NOT NULL,
    suspended_stage lead_stage,
    level smallint NOT NULL DEFAULT 32767,
    promotion_blocked boolean NOT NULL,
    segments_seq integer NOT NULL DEFAULT 0,
    processed_until timestamptz NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    segments integer[],
    activity lead_activity NOT NULL,
    baseline lead_activity,
    CONSTRAINT lead_state_pkey PRIMARY KEY (lead_id)
) WITH (fillfactor = 70);
-- An event changes no indexed column unless the stage or the level moves: the update is HOT.
CREATE INDEX lead_state_stage_idx ON lead_state (stage, level DESC);
-- views show stages as text
CREATE INDEX lead_state_stage_name_idx ON lead_state ((stage::text));
CREATE INDEX lead_state_level_idx ON lead_state (level DESC) WHERE level > 0;
CREATE INDEX lead_state_next_review_at_idx ON lead_state (next_review_at) WHERE next_review_at IS NOT NULL;
CREATE INDEX lead_state_configuration_idx ON lead_state (configuration);
COMMENT ON TABLE lead_state IS 'one row a lead: counts of its signals, its stage and its segments; kept by the engine, see verify() and rebuild()';
COMMENT ON COLUMN lead_state.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN lead_state.activity IS 'how often each signal was counted, by bucket (UTC day or hour)';
COMMENT ON COLUMN lead_state.baseline IS 'the part of activity whose events were purged from the log, see lead_checkpoint; NULL: none';
COMMENT ON COLUMN lead_state.stage IS 'the stage';
COMMENT ON COLUMN lead_state.stage_since IS 'when the stage began, in event time';
COMMENT ON COLUMN lead_state.suspended_stage IS 'of a visitor that lost consent: the stage that it comes back to when consent is given again';
COMMENT ON COLUMN lead_state.level IS 'how high the score can be from now on, if nothing happens: 0 up to the threshold of sql, then one more for each doubling; may be too high, until sweep() lowers it, and is never too low; 32767: not known';
COMMENT ON COLUMN lead_state.promotion_blocked IS 'true after an exit or a step back: points promote again only after a later positive event';
COMMENT ON COLUMN lead_state.cycle IS 'number of the cycle through the funnel; a new one begins when a lost or recycled lead comes back';
COMMENT ON COLUMN lead_state.processed_until IS 'event time up to which everything is applied; an event dated before it comes late';
COMMENT ON COLUMN lead_state.profile_at IS 'when the profile changed last; NULL: not since the lead began';
COMMENT ON COLUMN lead_state.milestone_at IS 'time of the newest milestone or stage set by hand, whether it moved the stage or not; NULL: none';
COMMENT ON COLUMN lead_state.pending_at IS 'when an event that is dated ahead acts next; NULL: none waits';
COMMENT ON COLUMN lead_state.segments IS 'the segments that the lead is in, by segment_id; NULL: none';
COMMENT ON COLUMN lead_state.segments_since IS 'when it entered or left a segment last; NULL: never';
COMMENT ON COLUMN lead_state.segments_seq IS 'number of its newest row of segment_log';
COMMENT ON COLUMN lead_state.next_review_at IS 'when the stage or a segment may change though nothing happens: from then on sweep() looks at the lead; NULL: never';
COMMENT ON COLUMN lead_state.configuration IS 'number of the change of models, signals or segments that the lead was brought up to date with, see setting.configuration';
COMMENT ON COLUMN lead_state.updated_at IS 'time of the last change of this row';

-- Written by start_rebuild() and continue_rebuild().
CREATE TABLE rebuild_range (
    first_lead_id bigint,
    last_lead_id bigint NOT NULL,
    finished_at timestamptz,
    leads_changed bigint,
    CONSTRAINT rebuild_range_pkey PRIMARY KEY (first_lead_id),
    CONSTRAINT rebuild_range_order_check CHECK (last_lead_id >= first_lead_id),
    CONSTRAINT rebuild_range_finished_check CHECK ((finished_at IS NULL) = (leads_changed IS NULL))
);
CREATE INDEX rebuild_range_left_idx ON rebuild_range (first_lead_id) WHERE finished_at IS NULL;
COMMENT ON TABLE rebuild_range IS 'one row a range of leads that a rebuild brings up to date in a transaction of its own';
COMMENT ON COLUMN rebuild_range.first_lead_id IS 'least number of a lead in the range';
COMMENT ON COLUMN rebuild_range.last_lead_id IS 'greatest number of a lead in the range';
COMMENT ON COLUMN rebuild_range.finished_at IS 'time when the range was done; NULL: not yet';
COMMENT ON COLUMN rebuild_range.leads_changed IS 'leads of the range that were not as their events say, and were repaired';

-- Written by purge() alone: an ordinary write does not touch it.
CREATE TABLE lead_checkpoint (
    lead_id bigint,
    purged_before timestamptz NOT NULL,
    stage_seq integer NOT NULL,
    segments_seq integer NOT NULL,
    stage lead_stage NOT NULL,
    suspended_stage lead_stage,
    promotion_blocked boolean NOT NULL,
    cycle integer NOT NULL,
    stage_since timestamptz NOT NULL,
    profile_at timestamptz,
    milestone_at timestamptz,
    segments integer[],
    segments_since timestamptz,
    configuration bigint NOT NULL,
    source_ids bigint[],
    purged_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT lead_checkpoint_pkey PRIMARY KEY (lead_id)
);
COMMENT ON TABLE lead_checkpoint IS 'one row a lead whose old events were purged: where it stood at the line, from which its log is replayed; its counts of then are in lead_state.baseline';
COMMENT ON COLUMN lead_checkpoint.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN lead_checkpoint.purged_before IS 'the line: events dated before it are no part of the log any more';
COMMENT ON COLUMN lead_checkpoint.stage_seq IS 'the last row of stage_log of the time up to the line; rows up to it stay as they are';
COMMENT ON COLUMN lead_checkpoint.segments_seq IS 'the same of segment_log; 0: none';
COMMENT ON COLUMN lead_checkpoint.stage IS 'the stage at the line, after what time changed in that instant and before anything else of it';
COMMENT ON COLUMN lead_checkpoint.suspended_stage IS 'lead_state.suspended_stage at the line';
COMMENT ON COLUMN lead_checkpoint.promotion_blocked IS 'lead_state.promotion_blocked at the line';
COMMENT ON COLUMN lead_checkpoint.cycle IS 'number of the cycle at the line';
COMMENT ON COLUMN lead_checkpoint.stage_since IS 'when that stage began';
COMMENT ON COLUMN lead_checkpoint.profile_at IS 'when the profile had changed last; NULL: not since the lead began';
COMMENT ON COLUMN lead_checkpoint.milestone_at IS 'time of the newest milestone or stage set by hand before the line; NULL: none';
COMMENT ON COLUMN lead_checkpoint.segments IS 'the segments that the lead was in, by segment_id; NULL: none';
COMMENT ON COLUMN lead_checkpoint.segments_since IS 'when it had entered or left a segment last; NULL: never';
COMMENT ON COLUMN lead_checkpoint.configuration IS 'number of the activation that was in force before the line';
COMMENT ON COLUMN lead_checkpoint.source_ids IS 'hashes of the source_id of its events before the line, which are refused as duplicates; NULL: none had one';
COMMENT ON COLUMN lead_checkpoint.purged_at IS 'when the lead was purged last';

CREATE TABLE stage_log (
    lead_id bigint,
    seq integer,
    cycle integer NOT NULL,
    from_stage lead_stage,
    to_stage lead_stage NOT NULL,
    effective_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    superseded_at timestamptz,
    cause text NOT NULL,
    model text,
    score numeric,
    from_since timestamptz,
    is_lead boolean,
    -- A column and not only a condition of the index: so the planner knows how
    -- few rows have it.
    stepped_back boolean
        GENERATED ALWAYS AS (from_stage IS NOT NULL AND to_stage < from_stage AND to_stage >= 'visitor') STORED,
    changed_at timestamptz GENERATED ALWAYS AS (greatest(recorded_at, superseded_at)) STORED,
    CONSTRAINT stage_log_pkey PRIMARY KEY (lead_id, seq)
);
CREATE INDEX stage_log_stepped_back_idx ON stage_log (lead_id) WHERE stepped_back;
COMMENT ON TABLE stage_log IS 'every stage that a lead was ever recorded in; a correction of the past supersedes rows and appends others. The valid rows are in stage_history';
COMMENT ON COLUMN stage_log.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN stage_log.seq IS 'number of the row of this lead; of valid rows also their order in event time';
COMMENT ON COLUMN stage_log.cycle IS 'number of the cycle through the funnel';
COMMENT ON COLUMN stage_log.from_stage IS 'the stage before; NULL: the lead was new';
COMMENT ON COLUMN stage_log.to_stage IS 'the stage from then on';
COMMENT ON COLUMN stage_log.effective_at IS 'when the stage began, in event time';
COMMENT ON COLUMN stage_log.recorded_at IS 'when it was recorded: the start of the transaction, not its commit';
COMMENT ON COLUMN stage_log.superseded_at IS 'when a correction took its place; NULL: the row is valid';
COMMENT ON COLUMN stage_log.cause IS 'created, points, decay, milestone, set, profile or activation';
COMMENT ON COLUMN stage_log.model IS 'the model that decided';
COMMENT ON COLUMN stage_log.score IS 'score at that time in points, as recorded';
COMMENT ON COLUMN stage_log.from_since IS 'when the stage before had begun; NULL: the lead was new';
COMMENT ON COLUMN stage_log.is_lead IS 'whether the contact was a lead then, that is met the gates of iql; NULL: no model was active';
COMMENT ON COLUMN stage_log.stepped_back IS 'whether the lead went to a lower stage without leaving the funnel';
COMMENT ON COLUMN stage_log.changed_at IS 'when the row was recorded or superseded last: a cursor for programs that copy changes';

CREATE OR REPLACE VIEW stage_history WITH (security_invoker = true) AS
SELECT lead_id, seq, cycle, from_stage, to_stage, effective_at, recorded_at, cause, model, score, from_since, stepped_back, is_lead
FROM stage_log
WHERE superseded_at IS NULL;
COMMENT ON VIEW stage_history IS 'the stages that a lead was in, as its events give them in the order of event time, corrections included';
COMMENT ON COLUMN stage_history.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN stage_history.seq IS 'order of the changes of this lead';
COMMENT ON COLUMN stage_history.cycle IS 'number of the cycle through the funnel';
COMMENT ON COLUMN stage_history.from_stage IS 'the stage before; NULL: the lead was new';
COMMENT ON COLUMN stage_history.to_stage IS 'the stage from then on';
COMMENT ON COLUMN stage_history.effective_at IS 'when the stage began, in event time';
COMMENT ON COLUMN stage_history.recorded_at IS 'when it was recorded';
COMMENT ON COLUMN stage_history.cause IS 'created, points, decay, milestone, set, profile or activation';
COMMENT ON COLUMN stage_history.model IS 'the model that decided';
COMMENT ON COLUMN stage_history.score IS 'score at that time in points, as recorded';
COMMENT ON COLUMN stage_history.from_since IS 'when the stage before had begun; NULL: the lead was new';
COMMENT ON COLUMN stage_history.stepped_back IS 'whether the lead went to a lower stage without leaving the funnel';
COMMENT ON COLUMN stage_history.is_lead IS 'whether the contact was a lead then, that is met the gates of iql; NULL: no model was active';

CREATE TABLE profile_change (
    lead_id bigint,
    seq integer,
    signal text NOT NULL,
    count smallint NOT NULL,
    changed_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT profile_change_pkey PRIMARY KEY (lead_id, seq),
    CONSTRAINT profile_change_count_check CHECK (count IN (-1, 1))
);
COMMENT ON TABLE profile_change IS 'one row each time that a profile began or ceased to match a signal; append-only, so that the history of stages can be replayed';
COMMENT ON COLUMN profile_change.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN profile_change.seq IS 'number of the change of this lead';
COMMENT ON COLUMN profile_change.signal IS 'the profile signal';
COMMENT ON COLUMN profile_change.count IS '1: began to match, -1: ceased to match';
COMMENT ON COLUMN profile_change.changed_at IS 'when it did, in event time';
COMMENT ON COLUMN profile_change.recorded_at IS 'when it was recorded: a profile that was imported today was not known on the day that it is for';

-- Written by the trigger on lead. There is a row for a change only: before the
-- first one the lead had old_value, or without any what its column says.
CREATE TABLE lead_change (
    lead_id bigint,
    change_id bigserial,
    attribute text NOT NULL,
    old_value text,
    new_value text,
    changed_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    changed_by text NOT NULL DEFAULT leadscore_internal.caller(),
    CONSTRAINT lead_change_pkey PRIMARY KEY (lead_id, change_id),
    CONSTRAINT lead_change_attribute_check CHECK (attribute IN ('owner', 'persona'))
);
COMMENT ON TABLE lead_change IS 'one row each time that a lead got another owner or persona';
COMMENT ON COLUMN lead_change.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN lead_change.change_id IS 'number of the change';
COMMENT ON COLUMN lead_change.attribute IS 'owner or persona';
COMMENT ON COLUMN lead_change.old_value IS 'what it was before; NULL: there was none';
COMMENT ON COLUMN lead_change.new_value IS 'what it is from then on; NULL: there is none';
COMMENT ON COLUMN lead_change.changed_at IS 'when it changed: lead.updated_at of that change';
COMMENT ON COLUMN lead_change.recorded_at IS 'when it was recorded here';
COMMENT ON COLUMN lead_change.changed_by IS 'role that changed it';

-- How long things are kept; see apply_retention().

CREATE TABLE retention (
    table_name text,
    keep_for interval,
    note text,
    CONSTRAINT retention_pkey PRIMARY KEY (table_name),
    CONSTRAINT retention_table_name_check CHECK (table_name IN ('event', 'stage_log', 'segment_log', 'action')),
    CONSTRAINT retention_keep_for_check CHECK (keep_for > '0'),
    -- limits count the messages of a month
    CONSTRAINT retention_action_check CHECK (table_name <> 'action' OR keep_for >= interval '32 days')
);
COMMENT ON TABLE retention IS 'how long rows are kept, see apply_retention()';
COMMENT ON COLUMN retention.table_name IS 'the table';
COMMENT ON COLUMN retention.keep_for IS 'how long; NULL: for ever';
COMMENT ON COLUMN retention.note IS 'remark for people';
INSERT INTO retention (table_name, note) VALUES
    ('event', 'events, by occurred_at; what they counted stays, see purge()'),
    ('stage_log', 'stages that a correction superseded, by superseded_at'),
    ('segment_log', 'segments that a correction superseded, by superseded_at'),
    ('action', 'actions that have ended, of runs that have ended, by ended_at');

-- Tables in which reports look things up. No foreign keys from leads and events:
-- an unknown kind or channel must not stop an app.

CREATE TABLE channel (
    channel text,
    direction text,
    CONSTRAINT channel_pkey PRIMARY KEY (channel),
    CONSTRAINT channel_direction_check CHECK (direction IN ('inbound', 'outbound'))
);
COMMENT ON TABLE channel IS 'channels: ways by which leads come, such as seo or physical_event';
COMMENT ON COLUMN channel.channel IS 'the channel';
COMMENT ON COLUMN channel.direction IS 'inbound: they find us; outbound: we go to them';

CREATE TABLE campaign (
    campaign text,
    channel text,
    direction text,
    sourcing text,
    objective text,
    CONSTRAINT campaign_pkey PRIMARY KEY (campaign),
    CONSTRAINT campaign_channel_fkey FOREIGN KEY (channel) REFERENCES channel ON UPDATE CASCADE,
    CONSTRAINT campaign_direction_check CHECK (direction IN ('inbound', 'outbound')),
    CONSTRAINT campaign_sourcing_check CHECK (sourcing IN ('internal', 'outsourced'))
);
COMMENT ON TABLE campaign IS 'campaigns, each with its channel';
COMMENT ON COLUMN campaign.campaign IS 'the campaign';
COMMENT ON COLUMN campaign.channel IS 'its channel';
COMMENT ON COLUMN campaign.direction IS 'inbound or outbound, if other than its channel; e-mail may be both';
COMMENT ON COLUMN campaign.sourcing IS 'internal: we generate the leads; outsourced: another company does';
COMMENT ON COLUMN campaign.objective IS 'what it captures leads for, such as newsletter, demo or quote';

CREATE TABLE cost (
    cost_id bigserial,
    day_from date NOT NULL,
    day_to date NOT NULL,
    channel text,
    campaign text,
    category text,
    amount numeric(14,2) NOT NULL,
    source_id text,
    CONSTRAINT cost_pkey PRIMARY KEY (cost_id),
    -- an import that is repeated must not count twice
    CONSTRAINT cost_booking_key UNIQUE NULLS NOT DISTINCT (day_from, day_to, channel, campaign, category, source_id),
    CONSTRAINT cost_channel_fkey FOREIGN KEY (channel) REFERENCES channel ON UPDATE CASCADE,
    CONSTRAINT cost_campaign_fkey FOREIGN KEY (campaign) REFERENCES campaign ON UPDATE CASCADE,
    CONSTRAINT cost_day_check CHECK (isfinite(day_from) AND isfinite(day_to) AND day_to >= day_from),
    CONSTRAINT cost_amount_check CHECK (amount <> 'NaN')
);
COMMENT ON TABLE cost IS 'costs of marketing and sales, one row for each amount and range of days';
COMMENT ON COLUMN cost.cost_id IS 'number of the cost';
COMMENT ON COLUMN cost.day_from IS 'first day that it is for';
COMMENT ON COLUMN cost.day_to IS 'last day that it is for';
COMMENT ON COLUMN cost.channel IS 'channel that it is for; NULL: see campaign, or all';
COMMENT ON COLUMN cost.campaign IS 'campaign that it is for; NULL: all';
COMMENT ON COLUMN cost.category IS 'purpose of the cost: media, wages, technology, training ...';
COMMENT ON COLUMN cost.amount IS 'amount in the currency of the pipeline';
COMMENT ON COLUMN cost.source_id IS 'name of the booking in the system that it comes from, such as the number of an invoice; two costs that agree in all else need different ones';

CREATE TABLE benchmark (
    metric text,
    segment text DEFAULT 'all',
    low double precision,
    high double precision,
    denominator text,
    source text,
    CONSTRAINT benchmark_pkey PRIMARY KEY (metric, segment),
    CONSTRAINT benchmark_range_check CHECK (high >= low)
);
COMMENT ON TABLE benchmark IS 'goals with which reports compare their figures; edit them';
COMMENT ON COLUMN benchmark.metric IS 'name of the figure, such as mql_to_sql';
COMMENT ON COLUMN benchmark.segment IS 'what the goal is for: all, b2b, b2c, b2b_simple or b2b_complex';
COMMENT ON COLUMN benchmark.low IS 'lower end of the goal, in the unit of the figure';
COMMENT ON COLUMN benchmark.high IS 'upper end of the goal, in the unit of the figure';
COMMENT ON COLUMN benchmark.denominator IS 'stage of the leads that the rate is a share of; NULL: that of the figure';
COMMENT ON COLUMN benchmark.source IS 'origin of the goal';
