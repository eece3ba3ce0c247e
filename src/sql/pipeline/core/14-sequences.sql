-- Sequences of messages, tasks and alerts, and the queue of what is to be done.
-- Nothing is sent from here: workers claim actions, see 38-queue.sql.
--
-- enrollment and action have no guards, as the tables have that the engine keeps:
-- nothing is computed from them, so that a row that the owner corrects by hand
-- makes no score or stage wrong. What functions rely on, the checks and keys of
-- the tables hold.

CREATE TABLE sequence (
    sequence text,
    status text NOT NULL DEFAULT 'draft',
    starts_on text NOT NULL,
    start_name text,
    goal_stage lead_stage,
    goal_signals text[] NOT NULL DEFAULT '{}',
    exit_stages lead_stage[] NOT NULL DEFAULT '{lost,disqualified}',
    exit_signals text[] NOT NULL DEFAULT '{}',
    stay_in_segment text,
    again_after interval,
    late_after interval NOT NULL DEFAULT '2 days',
    priority smallint NOT NULL DEFAULT 100,
    note text,
    created_by text NOT NULL DEFAULT leadscore_internal.caller(),
    created_at timestamptz NOT NULL DEFAULT now(),
    activated_by text,
    activated_at timestamptz,
    CONSTRAINT sequence_pkey PRIMARY KEY (sequence),
    CONSTRAINT sequence_stay_in_segment_fkey FOREIGN KEY (stay_in_segment) REFERENCES segment ON UPDATE CASCADE,
    CONSTRAINT sequence_sequence_check CHECK (sequence <> '' AND strpos(sequence, '/') = 0 AND NOT starts_with(sequence, 'app:')),
    CONSTRAINT sequence_status_check CHECK (status IN ('draft', 'active', 'paused', 'retired')),
    CONSTRAINT sequence_starts_on_check CHECK (starts_on IN ('stage', 'segment_entered', 'segment_left', 'event', 'by_hand')),
    CONSTRAINT sequence_start_name_check CHECK ((start_name IS NULL) = (starts_on = 'by_hand')),
    CONSTRAINT sequence_again_after_check CHECK (again_after >= interval '0' AND again_after <= interval '100 years'),
    CONSTRAINT sequence_late_after_check CHECK (late_after > interval '0' AND late_after <= interval '10 years'),
    CONSTRAINT sequence_active_check CHECK (status = 'draft' OR (activated_by IS NOT NULL AND activated_at IS NOT NULL))
);
COMMENT ON TABLE sequence IS 'sequences of actions that a lead goes through, one step after the other; a draft, and one that is paused, can be edited';
COMMENT ON COLUMN sequence.sequence IS 'name of the sequence';
COMMENT ON COLUMN sequence.status IS 'draft: does nothing yet; active: leads begin it and its actions are done; paused: none of its actions is handed out, and no lead begins it; retired: no lead is in it. Set by activate_sequence(), pause_sequence() and retire_sequence()';
COMMENT ON COLUMN sequence.starts_on IS 'what begins it: stage (the lead rises into the stage start_name, or ends in it if that is an exit), segment_entered, segment_left, event (the signal start_name is counted), by_hand (only enroll() and enroll_lead())';
COMMENT ON COLUMN sequence.start_name IS 'the stage, the segment or the signal';
COMMENT ON COLUMN sequence.goal_stage IS 'a lead that comes into this stage or a higher one has reached the goal, which ends its run; NULL: no such goal';
COMMENT ON COLUMN sequence.goal_signals IS 'signals: an event that counts for one of them is the goal too';
COMMENT ON COLUMN sequence.exit_stages IS 'stages that end the run without the goal';
COMMENT ON COLUMN sequence.exit_signals IS 'signals: an event that counts for one of them ends the run without the goal';
COMMENT ON COLUMN sequence.stay_in_segment IS 'only a lead in this segment begins it, and one that is no longer in it ends its run; NULL: it need not be in one';
COMMENT ON COLUMN sequence.again_after IS 'a lead may begin it again so long after its last run has ended; NULL: never again';
COMMENT ON COLUMN sequence.late_after IS 'how late is too late: what happened longer ago begins no run, and an action that no worker has claimed so long after it was due is skipped';
COMMENT ON COLUMN sequence.priority IS 'of its actions: those with a lower number go first, and take what contact_limit leaves';
COMMENT ON COLUMN sequence.note IS 'remark for people';
COMMENT ON COLUMN sequence.created_by IS 'role that created it';
COMMENT ON COLUMN sequence.created_at IS 'when it was created';
COMMENT ON COLUMN sequence.activated_by IS 'role that activated it last';
COMMENT ON COLUMN sequence.activated_at IS 'when it was activated last; nothing that happened before begins a run';

CREATE INDEX sequence_start_name_idx ON sequence (start_name);

CREATE TABLE sequence_step (
    sequence text,
    step text,
    position integer NOT NULL,
    delay interval DEFAULT '0',
    business_time boolean NOT NULL DEFAULT false,
    not_before time,
    not_after time,
    weekdays integer[],
    kind text NOT NULL DEFAULT 'message',
    channel text NOT NULL,
    topic text,
    content text,
    variant text,
    transactional boolean NOT NULL DEFAULT false,
    only_if text[] NOT NULL DEFAULT '{}',
    unless text[] NOT NULL DEFAULT '{}',
    in_segment text,
    experiment text,
    CONSTRAINT sequence_step_pkey PRIMARY KEY (sequence, step),
    -- of the steps at one position a lead goes through that of its variant
    CONSTRAINT sequence_step_position_key UNIQUE NULLS NOT DISTINCT (sequence, position, experiment, variant) DEFERRABLE,
    CONSTRAINT sequence_step_sequence_fkey FOREIGN KEY (sequence) REFERENCES sequence ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT sequence_step_in_segment_fkey FOREIGN KEY (in_segment) REFERENCES segment ON UPDATE CASCADE,
    CONSTRAINT sequence_step_step_check CHECK (step <> '' AND strpos(step, '/') = 0),
    CONSTRAINT sequence_step_position_check CHECK (position > 0),
    CONSTRAINT sequence_step_delay_check CHECK (delay >= interval '0' AND delay <= interval '10 years'),
    CONSTRAINT sequence_step_weekdays_check CHECK (cardinality(weekdays) > 0 AND weekdays <@ '{1,2,3,4,5,6,7}'),
    CONSTRAINT sequence_step_kind_check CHECK (kind IN ('message', 'task', 'alert')),
    CONSTRAINT sequence_step_channel_check CHECK (channel <> '' AND channel = lower(btrim(channel) COLLATE "C")),
    CONSTRAINT sequence_step_topic_check CHECK (topic <> '' AND topic = lower(btrim(topic) COLLATE "C")),
    CONSTRAINT sequence_step_transactional_check CHECK (NOT transactional OR (kind = 'message' AND topic IS NULL))
);
COMMENT ON TABLE sequence_step IS 'steps of sequences; a step is due some time after the one before has ended';
COMMENT ON COLUMN sequence_step.sequence IS 'the sequence';
COMMENT ON COLUMN sequence_step.step IS 'name of the step';
COMMENT ON COLUMN sequence_step.position IS 'order of the steps, of which only variants of one experiment share a position; a lead goes from one to the next higher, also if steps were put between or taken away';
COMMENT ON COLUMN sequence_step.delay IS 'how long after the step before has ended, or after the run has begun; months and days by the clock of the lead, hours and less as they pass. NULL: the sla that stage_rule gives the stage that the sequence starts on, or else setting.first_response_within';
COMMENT ON COLUMN sequence_step.business_time IS 'true: only time in business_hours counts for the delay';
COMMENT ON COLUMN sequence_step.not_before IS 'earliest time of day by the clock of the lead; NULL: 0:00';
COMMENT ON COLUMN sequence_step.not_after IS 'end of the time of day in which it may be due, which may be after midnight; NULL: 24:00';
COMMENT ON COLUMN sequence_step.weekdays IS 'days on which it may be due, 1: Monday to 7: Sunday; NULL: all';
COMMENT ON COLUMN sequence_step.kind IS 'message (to the lead), task (for a person of the team) or alert (that tells a person of the team)';
COMMENT ON COLUMN sequence_step.channel IS 'the way to the lead: email, phone, sms or another name that the workers know, in lower case';
COMMENT ON COLUMN sequence_step.topic IS 'topic of the consent that it needs, such as newsletter; NULL: only consent for all topics will do';
COMMENT ON COLUMN sequence_step.content IS 'what to send or to do: a name that the workers know';
COMMENT ON COLUMN sequence_step.variant IS 'variant of the content';
COMMENT ON COLUMN sequence_step.transactional IS 'true: a receipt, or a request to confirm; needs no consent, and neither hours nor limits hold for it';
COMMENT ON COLUMN sequence_step.only_if IS 'signals that must all be counted since the day on which the run began, those of the profile now; else the step is skipped';
COMMENT ON COLUMN sequence_step.unless IS 'signals of which none may be counted likewise; else the step is skipped';
COMMENT ON COLUMN sequence_step.in_segment IS 'a segment that the lead must be in when the step is due; else the step is skipped';
COMMENT ON COLUMN sequence_step.experiment IS 'experiment that the step is a part of; without variant its action gets that of the lead, with variant it is a step only of leads that have this one';

CREATE TABLE enrollment (
    lead_id bigint,
    sequence text,
    run integer,
    started_at timestamptz NOT NULL DEFAULT now(),
    started_by text NOT NULL,
    edge_at timestamptz,
    last_position integer NOT NULL DEFAULT 0,
    ended_at timestamptz,
    end_reason text,
    CONSTRAINT enrollment_pkey PRIMARY KEY (lead_id, sequence, run),
    CONSTRAINT enrollment_end_reason_check CHECK (end_reason IN ('completed', 'goal', 'exited', 'unsubscribed', 'merged', 'forgotten', 'by_hand', 'retired')),
    CONSTRAINT enrollment_ended_check CHECK ((ended_at IS NULL) = (end_reason IS NULL))
);
CREATE UNIQUE INDEX enrollment_open_key ON enrollment (lead_id, sequence) WHERE ended_at IS NULL;
CREATE INDEX enrollment_sequence_idx ON enrollment (sequence, started_at);
COMMENT ON TABLE enrollment IS 'runs of leads through sequences; a lead has one open run of a sequence at most';
COMMENT ON COLUMN enrollment.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN enrollment.sequence IS 'the sequence';
COMMENT ON COLUMN enrollment.run IS 'number of the run of this lead through this sequence, from 1';
COMMENT ON COLUMN enrollment.started_at IS 'when it began';
COMMENT ON COLUMN enrollment.started_by IS 'what began it, as in sequence.starts_on; by_hand: enroll(), enroll_lead() or activate_sequence()';
COMMENT ON COLUMN enrollment.edge_at IS 'when that happened, in event time; NULL: by hand';
COMMENT ON COLUMN enrollment.last_position IS 'position of the newest step that was put into the queue';
COMMENT ON COLUMN enrollment.ended_at IS 'when it ended; NULL: it is open';
COMMENT ON COLUMN enrollment.end_reason IS 'completed (no step is left), goal, exited, unsubscribed (consent was withdrawn, or the address is suppressed), merged, forgotten, by_hand or retired';

CREATE TABLE action (
    lead_id bigint,
    action_id bigserial,
    dedup_key text NOT NULL,
    kind text NOT NULL DEFAULT 'message',
    channel text NOT NULL,
    topic text,
    content text,
    variant text,
    properties jsonb NOT NULL DEFAULT '{}',
    assignee text,
    sequence text,
    run integer,
    step text,
    transactional boolean NOT NULL DEFAULT false,
    priority smallint NOT NULL DEFAULT 100,
    due_at timestamptz NOT NULL,
    expires_at timestamptz,
    status text NOT NULL DEFAULT 'waiting',
    reason text,
    attempt integer NOT NULL DEFAULT 0,
    max_attempts integer NOT NULL DEFAULT 5,
    claimed_at timestamptz,
    claimed_until timestamptz,
    claimed_by text,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL DEFAULT leadscore_internal.caller(),
    ended_at timestamptz,
    outcome text,
    error text,
    experiment text,
    CONSTRAINT action_pkey PRIMARY KEY (lead_id, action_id),
    CONSTRAINT action_dedup_key_key UNIQUE (lead_id, dedup_key),
    CONSTRAINT action_dedup_key_check CHECK (dedup_key <> ''),
    CONSTRAINT action_kind_check CHECK (kind IN ('message', 'task', 'alert')),
    CONSTRAINT action_channel_check CHECK (channel <> '' AND channel = lower(btrim(channel) COLLATE "C")),
    CONSTRAINT action_topic_check CHECK (topic <> '' AND topic = lower(btrim(topic) COLLATE "C")),
    CONSTRAINT action_properties_check CHECK (jsonb_typeof(properties) = 'object'),
    CONSTRAINT action_step_check CHECK ((sequence IS NULL) = (run IS NULL) AND (run IS NULL) = (step IS NULL)),
    CONSTRAINT action_transactional_check CHECK (NOT transactional OR (kind = 'message' AND topic IS NULL)),
    CONSTRAINT action_status_check CHECK (status IN ('waiting', 'claimed', 'done', 'failed', 'skipped', 'cancelled')),
    CONSTRAINT action_claimed_check CHECK (status <> 'claimed' OR (claimed_at IS NOT NULL AND claimed_until IS NOT NULL)),
    CONSTRAINT action_ended_check CHECK ((ended_at IS NULL) = (status IN ('waiting', 'claimed'))),
    CONSTRAINT action_max_attempts_check CHECK (max_attempts > 0)
);
CREATE INDEX action_due_idx ON action (channel, priority, due_at) WHERE status = 'waiting';
CREATE INDEX action_lease_idx ON action (channel, claimed_until) WHERE status = 'claimed';
CREATE INDEX action_contact_idx ON action (lead_id, claimed_at) WHERE kind = 'message' AND status IN ('claimed', 'done');
CREATE INDEX action_open_idx ON action (lead_id) WHERE status IN ('waiting', 'claimed');
CREATE INDEX action_sequence_idx ON action (sequence, step, ended_at);
-- tasks and alerts are few among the messages that wait
CREATE INDEX action_team_idx ON action (due_at) WHERE kind <> 'message' AND status IN ('waiting', 'claimed');
COMMENT ON TABLE action IS 'the queue: messages to leads, tasks and alerts for the team, one row for each; claim_actions() hands them out';
COMMENT ON COLUMN action.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN action.action_id IS 'number of the action';
COMMENT ON COLUMN action.dedup_key IS 'a lead has at most one action with this key: sequence/run/step, or app: and what an app gave to add_action()';
COMMENT ON COLUMN action.kind IS 'message (to the lead), task (for a person of the team) or alert (that tells a person of the team)';
COMMENT ON COLUMN action.channel IS 'the way to the lead: email, phone, sms or another name that the workers know';
COMMENT ON COLUMN action.topic IS 'topic of the consent that it needs; NULL: only consent for all topics will do';
COMMENT ON COLUMN action.content IS 'what to send or to do';
COMMENT ON COLUMN action.variant IS 'variant of the content';
COMMENT ON COLUMN action.properties IS 'what else an app wants its worker to know';
COMMENT ON COLUMN action.assignee IS 'person of the team whose task it is; NULL: the owner of the lead';
COMMENT ON COLUMN action.sequence IS 'sequence that it is a step of; NULL: of none';
COMMENT ON COLUMN action.run IS 'run of the lead through that sequence, see enrollment';
COMMENT ON COLUMN action.step IS 'step of that sequence';
COMMENT ON COLUMN action.transactional IS 'true: a receipt, or a request to confirm; needs no consent, and neither hours nor limits hold for it';
COMMENT ON COLUMN action.priority IS 'those with a lower number go first';
COMMENT ON COLUMN action.due_at IS 'when it is to be done; moved on while it may not go, see reason';
COMMENT ON COLUMN action.expires_at IS 'when it is too late for it; NULL: never';
COMMENT ON COLUMN action.status IS 'waiting, claimed (a worker has it), done, failed (after all attempts), skipped (it may not go, see reason) or cancelled (it is no longer wanted, see reason)';
COMMENT ON COLUMN action.reason IS 'why it waits longer, or why it was skipped or cancelled: quiet hours, frequency cap, consent requested, paused, retry; late, condition, no address, no consent, suppressed; goal, exited and the other reasons why a run ends';
COMMENT ON COLUMN action.attempt IS 'number of times that it was claimed: the ticket of the worker that has it';
COMMENT ON COLUMN action.max_attempts IS 'after so many attempts it fails';
COMMENT ON COLUMN action.claimed_at IS 'when it was claimed last; it counts for contact_limit from then on';
COMMENT ON COLUMN action.claimed_until IS 'when the lease of the worker that has it runs out';
COMMENT ON COLUMN action.claimed_by IS 'name of that worker';
COMMENT ON COLUMN action.created_at IS 'when it was put into the queue';
COMMENT ON COLUMN action.created_by IS 'role that put it there, or whose statement did';
COMMENT ON COLUMN action.ended_at IS 'when it was done, failed, skipped or cancelled';
COMMENT ON COLUMN action.outcome IS 'what came of it, as the worker says';
COMMENT ON COLUMN action.error IS 'what failed last, as the worker says';
COMMENT ON COLUMN action.experiment IS 'experiment that variant is of: when the action is done, the lead was shown it; NULL: none';

CREATE TABLE contact_limit (
    channel text,
    period text NOT NULL,
    max_count integer NOT NULL,
    limit_id bigserial,
    CONSTRAINT contact_limit_pkey PRIMARY KEY (limit_id),
    CONSTRAINT contact_limit_key UNIQUE NULLS NOT DISTINCT (channel, period),
    CONSTRAINT contact_limit_channel_check CHECK (channel <> '' AND channel = lower(btrim(channel) COLLATE "C")),
    CONSTRAINT contact_limit_period_check CHECK (period IN ('day', 'week', 'month')),
    CONSTRAINT contact_limit_max_count_check CHECK (max_count > 0)
);
COMMENT ON TABLE contact_limit IS 'how many messages a lead may get in a period of its calendar; transactional ones do not count';
COMMENT ON COLUMN contact_limit.channel IS 'the channel; NULL: all channels together';
COMMENT ON COLUMN contact_limit.period IS 'day, week (from Monday) or month, by the clock of the lead';
COMMENT ON COLUMN contact_limit.max_count IS 'how many at most';
COMMENT ON COLUMN contact_limit.limit_id IS 'number of the row';

CREATE TABLE contact_hours (
    channel text,
    not_before time NOT NULL,
    not_after time NOT NULL,
    weekdays integer[],
    CONSTRAINT contact_hours_pkey PRIMARY KEY (channel),
    CONSTRAINT contact_hours_channel_check CHECK (channel <> '' AND channel = lower(btrim(channel) COLLATE "C")),
    CONSTRAINT contact_hours_weekdays_check CHECK (cardinality(weekdays) > 0 AND weekdays <@ '{1,2,3,4,5,6,7}')
);
COMMENT ON TABLE contact_hours IS 'hours in which messages of a channel may go, by the clock of the lead (lead.time_zone, else setting.time_zone); without a row always';
COMMENT ON COLUMN contact_hours.channel IS 'the channel';
COMMENT ON COLUMN contact_hours.not_before IS 'begin of the hours';
COMMENT ON COLUMN contact_hours.not_after IS 'end of the hours, which may be after midnight';
COMMENT ON COLUMN contact_hours.weekdays IS 'days on which they begin, 1: Monday to 7: Sunday; NULL: all';

CREATE TABLE business_hours (
    weekday integer,
    opens_at time,
    closes_at time NOT NULL,
    CONSTRAINT business_hours_pkey PRIMARY KEY (weekday, opens_at),
    CONSTRAINT business_hours_weekday_check CHECK (weekday BETWEEN 1 AND 7),
    CONSTRAINT business_hours_closes_at_check CHECK (closes_at > opens_at)
);
COMMENT ON TABLE business_hours IS 'hours in which the team works, in setting.time_zone; without rows always. The time for a first contact, and steps with business_time, count only these';
COMMENT ON COLUMN business_hours.weekday IS 'day, 1: Monday to 7: Sunday';
COMMENT ON COLUMN business_hours.opens_at IS 'begin of the hours';
COMMENT ON COLUMN business_hours.closes_at IS 'end of the hours, 24:00 at the latest';

CREATE TABLE assignment (
    owner text NOT NULL,
    stage lead_stage NOT NULL DEFAULT 'sql',
    segment text,
    weight integer NOT NULL DEFAULT 1,
    active boolean NOT NULL DEFAULT true,
    note text,
    assignment_id bigserial,
    CONSTRAINT assignment_pkey PRIMARY KEY (assignment_id),
    CONSTRAINT assignment_key UNIQUE NULLS NOT DISTINCT (owner, stage, segment),
    CONSTRAINT assignment_segment_fkey FOREIGN KEY (segment) REFERENCES segment ON UPDATE CASCADE,
    CONSTRAINT assignment_owner_check CHECK (owner <> ''),
    CONSTRAINT assignment_weight_check CHECK (weight BETWEEN 0 AND 1000)
);
COMMENT ON TABLE assignment IS 'people of the team who get leads: a lead without owner that comes into a stage gets one of them. Rows whose segment the lead is in come before rows without segment; among them the weights decide, by a hash of lead_id';
COMMENT ON COLUMN assignment.owner IS 'the person, as in lead.owner';
COMMENT ON COLUMN assignment.stage IS 'stage into which the lead must come';
COMMENT ON COLUMN assignment.segment IS 'segment that the lead must be in; NULL: any lead';
COMMENT ON COLUMN assignment.weight IS 'share of the leads, relative to the other rows; 0: none';
COMMENT ON COLUMN assignment.active IS 'false: on holiday; gets no leads';
COMMENT ON COLUMN assignment.note IS 'remark for people';
COMMENT ON COLUMN assignment.assignment_id IS 'number of the row';

CREATE TABLE stage_action (
    stage lead_stage NOT NULL,
    segment text,
    position integer NOT NULL DEFAULT 1,
    action text NOT NULL,
    stage_action_id bigserial,
    CONSTRAINT stage_action_pkey PRIMARY KEY (stage_action_id),
    CONSTRAINT stage_action_key UNIQUE NULLS NOT DISTINCT (stage, segment),
    CONSTRAINT stage_action_segment_fkey FOREIGN KEY (segment) REFERENCES segment ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT stage_action_action_check CHECK (action <> '')
);
COMMENT ON TABLE stage_action IS 'what to do next with a lead of which nothing waits in the queue, see recommended_action. A row whose segment the lead is in comes before the row without segment';
COMMENT ON COLUMN stage_action.stage IS 'stage of the lead';
COMMENT ON COLUMN stage_action.segment IS 'segment that the lead must be in; NULL: any lead of the stage';
COMMENT ON COLUMN stage_action.position IS 'of several segments that a lead is in, the lowest position counts';
COMMENT ON COLUMN stage_action.action IS 'what to do, in words for people';
COMMENT ON COLUMN stage_action.stage_action_id IS 'number of the row';
