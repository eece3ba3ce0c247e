-- What is offered to leads, and what forms ask.

CREATE TABLE content (
    content text,
    title text,
    kind text NOT NULL,
    topic text,
    intent text,
    stage lead_stage,
    persona text,
    language text,
    url text,
    active boolean NOT NULL DEFAULT true,
    note text,
    CONSTRAINT content_pkey PRIMARY KEY (content),
    -- the index below holds so much of a name
    CONSTRAINT content_content_check CHECK (content <> '' AND length(content) <= 100),
    CONSTRAINT content_kind_check CHECK (kind IN ('ebook', 'whitepaper', 'case_study', 'discount', 'webinar', 'video', 'checklist',
        'template', 'calculator', 'sample', 'other')),
    CONSTRAINT content_topic_check CHECK (topic <> ''),
    CONSTRAINT content_intent_check CHECK (intent IN ('educational', 'solution')),
    CONSTRAINT content_persona_check CHECK (persona <> ''),
    CONSTRAINT content_language_check CHECK (language <> '')
);
COMMENT ON TABLE content IS 'contents that are offered to leads; an event that names one in its property content says with it of what kind, topic and intent it is';
COMMENT ON COLUMN content.content IS 'name of the content, as events have it in the property content, and steps of sequences';
COMMENT ON COLUMN content.title IS 'title for people; NULL: its name';
COMMENT ON COLUMN content.kind IS 'ebook, whitepaper, case_study, discount, webinar, video, checklist, template, calculator, sample or other; $content_kind in conditions of signals';
COMMENT ON COLUMN content.topic IS 'what it is about; $content_topic in conditions';
COMMENT ON COLUMN content.intent IS 'educational (about a problem) or solution (about what you sell); $content_intent in conditions. An event with the property intent of its own is not asked for it by the presets';
COMMENT ON COLUMN content.stage IS 'stage of the leads that it is for; NULL: of any stage; $content_stage in conditions';
COMMENT ON COLUMN content.persona IS 'buyer persona that it is for; NULL: any; $content_persona in conditions';
COMMENT ON COLUMN content.language IS 'language that it is in, as in lead.language; NULL: any';
COMMENT ON COLUMN content.url IS 'where it is';
COMMENT ON COLUMN content.active IS 'whether it is still offered: suggested_content() leaves out what is not';
COMMENT ON COLUMN content.note IS 'remark for people';

-- Which events name a content: a change of a content that no event has named
-- puts no lead behind. Names in events may be longer than an index can hold.
CREATE INDEX event_content_idx ON event (left(properties ->> 'content', 100) COLLATE "C") WHERE properties ? 'content';

CREATE TABLE form_field (
    form text,
    field text,
    position integer NOT NULL,
    required boolean NOT NULL DEFAULT false,
    profile_key text,
    ask_after integer NOT NULL DEFAULT 0,
    ask_from lead_stage,
    question text,
    CONSTRAINT form_field_pkey PRIMARY KEY (form, field),
    CONSTRAINT form_field_position_key UNIQUE (form, position) DEFERRABLE,
    CONSTRAINT form_field_form_check CHECK (form <> ''),
    CONSTRAINT form_field_field_check CHECK (field <> ''),
    CONSTRAINT form_field_position_check CHECK (position > 0),
    CONSTRAINT form_field_profile_key_check CHECK (profile_key <> ''),
    CONSTRAINT form_field_ask_after_check CHECK (ask_after >= 0)
);
COMMENT ON TABLE form_field IS 'fields of forms that ask a little more each time, see next_fields()';
COMMENT ON COLUMN form_field.form IS 'name of the form, as events have it in the property form';
COMMENT ON COLUMN form_field.field IS 'name of the field';
COMMENT ON COLUMN form_field.position IS 'order in which the fields of a form are asked';
COMMENT ON COLUMN form_field.required IS 'whether the form cannot be sent without it';
COMMENT ON COLUMN form_field.profile_key IS 'where the answer is kept: a key of lead.profile, or email, phone, organization, market, country, language, time_zone, persona or consent of the lead; NULL: the name of the field. Fields of several forms with one key are one question';
COMMENT ON COLUMN form_field.ask_after IS 'how many times the lead must have sent a form, any form, before it is asked';
COMMENT ON COLUMN form_field.ask_from IS 'stage that the lead must have reached before it is asked; NULL: any';
COMMENT ON COLUMN form_field.question IS 'text of the question; NULL: the name of the field';
