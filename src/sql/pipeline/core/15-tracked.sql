-- Tables of the app's whose rows make events or leads, see 39-tracked.sql and
-- leadscore.track_table(). A definition names columns; the trigger on the table
-- names the definition. So the table may be renamed, dumped and restored.

CREATE TABLE tracked_table (
    definition text,
    makes text NOT NULL,
    lead_column text NOT NULL,
    kind text,
    kind_column text,
    occurred_at_column text,
    value_column text,
    channel_column text,
    campaign_column text,
    property_columns text[] NOT NULL DEFAULT '{}',
    key_columns text[] NOT NULL,
    email_column text,
    consent_column text,
    created_at_column text,
    alias_columns text[] NOT NULL DEFAULT '{}',
    only_if jsonb,
    on_delete text NOT NULL,
    time_zone text NOT NULL,
    backfilled_to text[],
    backfilled_rows bigint NOT NULL DEFAULT 0,
    backfilled_at timestamptz,
    created_by text NOT NULL DEFAULT leadscore_internal.caller(),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT tracked_table_pkey PRIMARY KEY (definition),
    CONSTRAINT tracked_table_definition_check CHECK (definition <> '' AND strpos(definition, ':') = 0 AND octet_length(definition) <= 36),
    CONSTRAINT tracked_table_makes_check CHECK (makes IN ('events', 'leads')),
    CONSTRAINT tracked_table_kind_check CHECK (num_nonnulls(kind, kind_column) = CASE makes WHEN 'events' THEN 1 ELSE 0 END AND kind <> ''),
    CONSTRAINT tracked_table_occurred_at_check CHECK ((occurred_at_column IS NOT NULL) = (makes = 'events')),
    CONSTRAINT tracked_table_key_check CHECK (cardinality(key_columns) > 0),
    CONSTRAINT tracked_table_only_if_check CHECK (jsonb_typeof(only_if) = 'object'),
    CONSTRAINT tracked_table_on_delete_check CHECK (on_delete IN ('keep', CASE makes WHEN 'events' THEN 'remove' ELSE 'forget' END))
);
COMMENT ON TABLE tracked_table IS 'what is made of the rows of tables of the app, one row for each leadscore.track_table() and leadscore.track_lead_table()';
COMMENT ON COLUMN tracked_table.definition IS 'name of the definition, which begins the source_id of its events';
COMMENT ON COLUMN tracked_table.makes IS 'events or leads';
COMMENT ON COLUMN tracked_table.lead_column IS 'column with the name of the lead';
COMMENT ON COLUMN tracked_table.kind IS 'kind of the events; NULL: see kind_column';
COMMENT ON COLUMN tracked_table.kind_column IS 'column with the kind of the event';
COMMENT ON COLUMN tracked_table.occurred_at_column IS 'column with the time of the event';
COMMENT ON COLUMN tracked_table.value_column IS 'column with the value of the event';
COMMENT ON COLUMN tracked_table.channel_column IS 'column with its channel';
COMMENT ON COLUMN tracked_table.campaign_column IS 'column with its campaign';
COMMENT ON COLUMN tracked_table.property_columns IS 'columns that become properties of the event, or the profile of the lead';
COMMENT ON COLUMN tracked_table.key_columns IS 'columns of a unique key, which names the row';
COMMENT ON COLUMN tracked_table.email_column IS 'column with the e-mail address of the lead';
COMMENT ON COLUMN tracked_table.consent_column IS 'column that says whether, or when, the policy was accepted';
COMMENT ON COLUMN tracked_table.created_at_column IS 'column with the time from which the lead is known';
COMMENT ON COLUMN tracked_table.alias_columns IS 'columns with other names of the lead';
COMMENT ON COLUMN tracked_table.only_if IS 'columns with the values of which one must be there; NULL: every row counts';
COMMENT ON COLUMN tracked_table.on_delete IS 'what follows if a row is deleted: remove the event, keep what was made, or forget the person';
COMMENT ON COLUMN tracked_table.time_zone IS 'time zone of dates, and of times without one';
COMMENT ON COLUMN tracked_table.backfilled_to IS 'key of the last row that backfill_table() has read; NULL: none yet, or all';
COMMENT ON COLUMN tracked_table.backfilled_rows IS 'number of rows that it has read';
COMMENT ON COLUMN tracked_table.backfilled_at IS 'when it had read all of them; NULL: it has not';
COMMENT ON COLUMN tracked_table.created_by IS 'role that tracked the table';
COMMENT ON COLUMN tracked_table.created_at IS 'when it did';

-- Rows are only added, so that sessions that leave out rows do not wait for
-- each other.
CREATE TABLE tracked_skip (
    skip_id bigserial,
    definition text NOT NULL,
    reason text NOT NULL,
    skipped bigint NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT tracked_skip_pkey PRIMARY KEY (skip_id)
);
COMMENT ON TABLE tracked_skip IS 'rows of tracked tables that were left out, by statement and reason; sweep() adds them up when they are many';
COMMENT ON COLUMN tracked_skip.skip_id IS 'number of the row';
COMMENT ON COLUMN tracked_skip.definition IS 'the definition, see tracked_table';
COMMENT ON COLUMN tracked_skip.reason IS 'no lead, too long, forgotten, unfit value, name of another lead, or broken definition';
COMMENT ON COLUMN tracked_skip.skipped IS 'number of rows, or of values';
COMMENT ON COLUMN tracked_skip.recorded_at IS 'when, of rows that were added up that of the last one';
