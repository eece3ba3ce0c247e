-- What people said about messages, which addresses must not be written to, and
-- which names are one person's. Rows are added and never edited, but by a
-- merge and by an erasure, which triggers check. See 34-consent.sql and
-- 35-people.sql.

CREATE TABLE consent (
    lead_id bigint NOT NULL,
    consent_id bigserial,
    purpose text NOT NULL,
    channel text,
    topic text,
    status text NOT NULL,
    basis text NOT NULL DEFAULT 'consent',
    policy_version text,
    evidence jsonb,
    occurred_at timestamptz NOT NULL DEFAULT now(),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    recorded_by text NOT NULL DEFAULT leadscore_internal.caller(),
    merged_from bigint,
    CONSTRAINT consent_pkey PRIMARY KEY (lead_id, consent_id),
    CONSTRAINT consent_purpose_check CHECK (purpose IN ('policy', 'marketing')),
    CONSTRAINT consent_scope_check CHECK (purpose = 'marketing' OR (channel IS NULL AND topic IS NULL)),
    CONSTRAINT consent_channel_check CHECK (channel <> ''),
    CONSTRAINT consent_topic_check CHECK (topic <> ''),
    CONSTRAINT consent_status_check CHECK (status IN ('requested', 'granted', 'withdrawn')),
    CONSTRAINT consent_basis_check CHECK (basis IN ('consent', 'contract', 'legitimate_interest')),
    CONSTRAINT consent_evidence_check CHECK (jsonb_typeof(evidence) = 'object')
);
COMMENT ON TABLE consent IS 'the statements of leads about their data and about messages, one row each time; append-only. may_contact() says what follows';
COMMENT ON COLUMN consent.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN consent.consent_id IS 'number of the row, in the order of recording';
COMMENT ON COLUMN consent.purpose IS 'policy: that the data are kept and used, which makes the contact a lead; marketing: that messages are sent';
COMMENT ON COLUMN consent.channel IS 'channel of the messages, such as email or phone; NULL: all';
COMMENT ON COLUMN consent.topic IS 'topic of the messages, such as newsletter; NULL: all';
COMMENT ON COLUMN consent.status IS 'requested: to be confirmed yet, which allows nothing; granted; withdrawn';
COMMENT ON COLUMN consent.basis IS 'legal ground: consent, contract or legitimate_interest';
COMMENT ON COLUMN consent.policy_version IS 'version of the text that the lead agreed to';
COMMENT ON COLUMN consent.evidence IS 'what proves it, a JSON object: form, address, text. A grant without it never undoes a withdrawal. Personal data, in no view';
COMMENT ON COLUMN consent.occurred_at IS 'when the lead said it';
COMMENT ON COLUMN consent.recorded_at IS 'when it was recorded here';
COMMENT ON COLUMN consent.recorded_by IS 'role that recorded it';
COMMENT ON COLUMN consent.merged_from IS 'number of the lead that said it, before that one was merged into this; NULL: this one';

-- A wish, and no consent: it can only keep messages back that consent allows.
CREATE TABLE lead_preference (
    lead_id bigint,
    topics text[],
    channels text[],
    max_messages integer,
    period text,
    updated_at timestamptz NOT NULL DEFAULT now(),
    updated_by text NOT NULL DEFAULT leadscore_internal.caller(),
    CONSTRAINT lead_preference_pkey PRIMARY KEY (lead_id),
    CONSTRAINT lead_preference_topics_check CHECK (array_position(topics, NULL) IS NULL),
    CONSTRAINT lead_preference_channels_check CHECK (array_position(channels, NULL) IS NULL),
    CONSTRAINT lead_preference_max_messages_check CHECK (max_messages > 0),
    CONSTRAINT lead_preference_period_check CHECK (period IN ('day', 'week', 'month')),
    CONSTRAINT lead_preference_frequency_check CHECK ((max_messages IS NULL) = (period IS NULL))
);
COMMENT ON TABLE lead_preference IS 'what messages a lead would like to get, see set_preferences(); no row: it has not said so';
COMMENT ON COLUMN lead_preference.lead_id IS 'number of the lead, see the table lead';
COMMENT ON COLUMN lead_preference.topics IS 'topics that it wants messages about; NULL: all. A message without a topic is never kept back for it';
COMMENT ON COLUMN lead_preference.channels IS 'channels by which it wants messages; NULL: all';
COMMENT ON COLUMN lead_preference.max_messages IS 'how many messages it wants in a period at most, of all channels; NULL: as contact_limit allows';
COMMENT ON COLUMN lead_preference.period IS 'day, week (from Monday) or month, by the clock of the lead';
COMMENT ON COLUMN lead_preference.updated_at IS 'when it said so';
COMMENT ON COLUMN lead_preference.updated_by IS 'role that recorded it';

CREATE TABLE suppression (
    suppression_id bigserial,
    address_hash bytea NOT NULL,
    channel text,
    reason text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    lifted_at timestamptz,
    recorded_by text NOT NULL DEFAULT leadscore_internal.caller(),
    CONSTRAINT suppression_pkey PRIMARY KEY (suppression_id),
    -- its index finds the rows of an address
    CONSTRAINT suppression_address_key UNIQUE NULLS NOT DISTINCT (address_hash, channel, reason, since),
    CONSTRAINT suppression_channel_check CHECK (channel <> ''),
    CONSTRAINT suppression_reason_check CHECK (reason IN ('unsubscribed', 'bounced', 'complained', 'forgotten', 'manual'))
);
COMMENT ON TABLE suppression IS 'addresses that must not be written to, as keyed hashes; holds for every lead with the address, and for leads that come later';
COMMENT ON COLUMN suppression.suppression_id IS 'number of the row';
COMMENT ON COLUMN suppression.address_hash IS 'SHA-256 of the key and the address, see address_hash(); of a person that was forgotten also of its names';
COMMENT ON COLUMN suppression.channel IS 'channel that it holds for; NULL: all';
COMMENT ON COLUMN suppression.reason IS 'unsubscribed, bounced or complained, which a later grant with evidence undoes; manual, which unsuppress() undoes; forgotten, which a later grant with evidence lifts';
COMMENT ON COLUMN suppression.since IS 'when it began';
COMMENT ON COLUMN suppression.lifted_at IS 'when it was lifted; NULL: it holds';
COMMENT ON COLUMN suppression.recorded_by IS 'role that recorded it';

-- Apart from the settings, which readers may see.
CREATE TABLE suppression_key (
    id boolean NOT NULL DEFAULT true,
    key bytea NOT NULL,
    CONSTRAINT suppression_key_pkey PRIMARY KEY (id),
    CONSTRAINT suppression_key_one_row CHECK (id)
);
INSERT INTO suppression_key (key)
    SELECT sha256(string_agg(uuid_send(gen_random_uuid()), ''::bytea)) FROM generate_series(1, 4);
COMMENT ON TABLE suppression_key IS 'the secret that addresses are hashed with: one row. If it is lost, suppressed addresses are not known any more';
COMMENT ON COLUMN suppression_key.id IS 'always true: there is one row';
COMMENT ON COLUMN suppression_key.key IS 'the secret, 32 random bytes';

CREATE TABLE lead_alias (
    external_id text,
    lead_id bigint NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT lead_alias_pkey PRIMARY KEY (external_id)
);
CREATE INDEX lead_alias_lead_id_idx ON lead_alias (lead_id);
COMMENT ON TABLE lead_alias IS 'other names of leads: those that identify() and merge_leads() joined to a lead. A name is here or in lead.external_id';
COMMENT ON COLUMN lead_alias.external_id IS 'the name';
COMMENT ON COLUMN lead_alias.lead_id IS 'the lead that it means, which exists';
COMMENT ON COLUMN lead_alias.since IS 'when the name was joined';

CREATE TABLE lead_merge (
    lead_id bigint,
    loser_id bigint,
    merged_at timestamptz NOT NULL DEFAULT now(),
    merged_by text NOT NULL DEFAULT leadscore_internal.caller(),
    reason text,
    CONSTRAINT lead_merge_pkey PRIMARY KEY (lead_id, loser_id),
    CONSTRAINT lead_merge_check CHECK (lead_id <> loser_id)
);
CREATE INDEX lead_merge_loser_id_idx ON lead_merge (loser_id);
COMMENT ON TABLE lead_merge IS 'leads that were merged into another';
COMMENT ON COLUMN lead_merge.lead_id IS 'number of the lead that remained then; it may have been merged since';
COMMENT ON COLUMN lead_merge.loser_id IS 'number of the lead that is gone';
COMMENT ON COLUMN lead_merge.merged_at IS 'when';
COMMENT ON COLUMN lead_merge.merged_by IS 'role that merged them';
COMMENT ON COLUMN lead_merge.reason IS 'remark for people; an erasure empties it';

CREATE TABLE erasure (
    lead_id bigint,
    requested_at timestamptz,
    erased_at timestamptz NOT NULL DEFAULT now(),
    erased_by text NOT NULL DEFAULT leadscore_internal.caller(),
    CONSTRAINT erasure_pkey PRIMARY KEY (lead_id)
);
COMMENT ON TABLE erasure IS 'leads that forget_lead() made anonymous';
COMMENT ON COLUMN erasure.lead_id IS 'number of the lead, which tells nothing of the person any more';
COMMENT ON COLUMN erasure.requested_at IS 'when the person asked for it; NULL: not recorded';
COMMENT ON COLUMN erasure.erased_at IS 'when it was done';
COMMENT ON COLUMN erasure.erased_by IS 'role that did it';
