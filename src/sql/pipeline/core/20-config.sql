-- Triggers of the configuration, and the rows that every pipeline starts with.

-- The engine caches the configuration. Plain DML tells caches nothing, so
-- these triggers do. They also refuse changes that would break the past: edits
-- of a model that was active, another number for a signal. ALWAYS: a replica or
-- a bulk load must not escape them.

CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON setting
    FOR EACH ROW EXECUTE FUNCTION config_changed();
CREATE TRIGGER config_truncated AFTER TRUNCATE ON setting
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
ALTER TABLE setting ENABLE ALWAYS TRIGGER config_changed;
ALTER TABLE setting ENABLE ALWAYS TRIGGER config_truncated;

CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON signal
    FOR EACH ROW EXECUTE FUNCTION config_changed();
CREATE TRIGGER config_truncated AFTER TRUNCATE ON signal
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
ALTER TABLE signal ENABLE ALWAYS TRIGGER config_changed;
ALTER TABLE signal ENABLE ALWAYS TRIGGER config_truncated;

CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON value_list
    FOR EACH ROW EXECUTE FUNCTION config_changed();
CREATE TRIGGER config_truncated AFTER TRUNCATE ON value_list
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
ALTER TABLE value_list ENABLE ALWAYS TRIGGER config_changed;
ALTER TABLE value_list ENABLE ALWAYS TRIGGER config_truncated;

CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON content
    FOR EACH ROW EXECUTE FUNCTION config_changed();
CREATE TRIGGER config_truncated AFTER TRUNCATE ON content
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
ALTER TABLE content ENABLE ALWAYS TRIGGER config_changed;
ALTER TABLE content ENABLE ALWAYS TRIGGER config_truncated;

CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON model
    FOR EACH ROW EXECUTE FUNCTION config_changed();
CREATE TRIGGER config_truncated AFTER TRUNCATE ON model
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
ALTER TABLE model ENABLE ALWAYS TRIGGER config_changed;
ALTER TABLE model ENABLE ALWAYS TRIGGER config_truncated;

CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON model_activation
    FOR EACH ROW EXECUTE FUNCTION config_changed();
CREATE TRIGGER config_truncated AFTER TRUNCATE ON model_activation
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
ALTER TABLE model_activation ENABLE ALWAYS TRIGGER config_changed;
ALTER TABLE model_activation ENABLE ALWAYS TRIGGER config_truncated;

CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON dimension
    FOR EACH ROW EXECUTE FUNCTION config_changed();
CREATE TRIGGER config_truncated AFTER TRUNCATE ON dimension
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
ALTER TABLE dimension ENABLE ALWAYS TRIGGER config_changed;
ALTER TABLE dimension ENABLE ALWAYS TRIGGER config_truncated;

CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON rule
    FOR EACH ROW EXECUTE FUNCTION config_changed();
CREATE TRIGGER config_truncated AFTER TRUNCATE ON rule
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
ALTER TABLE rule ENABLE ALWAYS TRIGGER config_changed;
ALTER TABLE rule ENABLE ALWAYS TRIGGER config_truncated;

CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON stage_rule
    FOR EACH ROW EXECUTE FUNCTION config_changed();
CREATE TRIGGER config_truncated AFTER TRUNCATE ON stage_rule
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
ALTER TABLE stage_rule ENABLE ALWAYS TRIGGER config_changed;
ALTER TABLE stage_rule ENABLE ALWAYS TRIGGER config_truncated;

CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON stage_gate
    FOR EACH ROW EXECUTE FUNCTION config_changed();
CREATE TRIGGER config_truncated AFTER TRUNCATE ON stage_gate
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
ALTER TABLE stage_gate ENABLE ALWAYS TRIGGER config_changed;
ALTER TABLE stage_gate ENABLE ALWAYS TRIGGER config_truncated;

CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON grade
    FOR EACH ROW EXECUTE FUNCTION config_changed();
CREATE TRIGGER config_truncated AFTER TRUNCATE ON grade
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
ALTER TABLE grade ENABLE ALWAYS TRIGGER config_changed;
ALTER TABLE grade ENABLE ALWAYS TRIGGER config_truncated;

CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON segment
    FOR EACH ROW EXECUTE FUNCTION config_changed();
CREATE TRIGGER config_truncated AFTER TRUNCATE ON segment
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
ALTER TABLE segment ENABLE ALWAYS TRIGGER config_changed;
ALTER TABLE segment ENABLE ALWAYS TRIGGER config_truncated;

CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON segment_condition
    FOR EACH ROW EXECUTE FUNCTION config_changed();
CREATE TRIGGER config_truncated AFTER TRUNCATE ON segment_condition
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
ALTER TABLE segment_condition ENABLE ALWAYS TRIGGER config_changed;
ALTER TABLE segment_condition ENABLE ALWAYS TRIGGER config_truncated;

CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON segment_activation
    FOR EACH ROW EXECUTE FUNCTION config_changed();
CREATE TRIGGER config_truncated AFTER TRUNCATE ON segment_activation
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
ALTER TABLE segment_activation ENABLE ALWAYS TRIGGER config_changed;
ALTER TABLE segment_activation ENABLE ALWAYS TRIGGER config_truncated;

-- The engine knows what sequences and assignments wait for.
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON sequence
    FOR EACH ROW EXECUTE FUNCTION config_changed();
CREATE TRIGGER config_truncated AFTER TRUNCATE ON sequence
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
ALTER TABLE sequence ENABLE ALWAYS TRIGGER config_changed;
ALTER TABLE sequence ENABLE ALWAYS TRIGGER config_truncated;

CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON assignment
    FOR EACH ROW EXECUTE FUNCTION config_changed();
CREATE TRIGGER config_truncated AFTER TRUNCATE ON assignment
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
ALTER TABLE assignment ENABLE ALWAYS TRIGGER config_changed;
ALTER TABLE assignment ENABLE ALWAYS TRIGGER config_truncated;

-- The engine knows whether experiments run.
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON experiment
    FOR EACH ROW EXECUTE FUNCTION config_changed();
CREATE TRIGGER config_truncated AFTER TRUNCATE ON experiment
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
ALTER TABLE experiment ENABLE ALWAYS TRIGGER config_changed;
ALTER TABLE experiment ENABLE ALWAYS TRIGGER config_truncated;

-- The engine knows the kinds of events that have a role.
CREATE TRIGGER config_changed AFTER INSERT OR UPDATE OR DELETE ON event_kind
    FOR EACH ROW EXECUTE FUNCTION config_changed();
CREATE TRIGGER config_truncated AFTER TRUNCATE ON event_kind
    FOR EACH STATEMENT EXECUTE FUNCTION config_changed();
ALTER TABLE event_kind ENABLE ALWAYS TRIGGER config_changed;
ALTER TABLE event_kind ENABLE ALWAYS TRIGGER config_truncated;

-- Sessions that change what writers read go one after the other, before they lock
-- rows. Not ALWAYS: what a replica applies was put in order at its origin.
CREATE TRIGGER config_changing BEFORE INSERT OR UPDATE OR DELETE ON setting
    FOR EACH STATEMENT EXECUTE FUNCTION config_changing();
CREATE TRIGGER config_changing BEFORE INSERT OR UPDATE OR DELETE ON signal
    FOR EACH STATEMENT EXECUTE FUNCTION config_changing();
CREATE TRIGGER config_changing BEFORE INSERT OR UPDATE OR DELETE ON value_list
    FOR EACH STATEMENT EXECUTE FUNCTION config_changing();
CREATE TRIGGER config_changing BEFORE INSERT OR UPDATE OR DELETE ON content
    FOR EACH STATEMENT EXECUTE FUNCTION config_changing();
CREATE TRIGGER config_changing BEFORE INSERT OR UPDATE OR DELETE ON event_kind
    FOR EACH STATEMENT EXECUTE FUNCTION config_changing();

-- Counts follow from signals: if these change, every lead is counted again, at
-- its next write or by sweep().
CREATE TRIGGER signals_changed
    AFTER INSERT OR DELETE OR UPDATE OF signal, source, event_kinds, event_role, condition, quantity, distinct_on ON signal
    FOR EACH STATEMENT EXECUTE FUNCTION signals_changed();
CREATE TRIGGER signals_changed
    AFTER INSERT OR DELETE OR UPDATE ON value_list
    FOR EACH STATEMENT EXECUTE FUNCTION signals_changed();
CREATE TRIGGER signals_truncated AFTER TRUNCATE ON value_list
    FOR EACH STATEMENT EXECUTE FUNCTION signals_changed();

-- A content changes counts if a signal asks for what changed, and an event names it.
CREATE TRIGGER content_inserted AFTER INSERT ON content
    REFERENCING NEW TABLE AS new_content
    FOR EACH STATEMENT EXECUTE FUNCTION content_changed();
CREATE TRIGGER content_updated AFTER UPDATE ON content
    REFERENCING OLD TABLE AS old_content NEW TABLE AS new_content
    FOR EACH STATEMENT EXECUTE FUNCTION content_changed();
CREATE TRIGGER content_deleted AFTER DELETE ON content
    REFERENCING OLD TABLE AS old_content
    FOR EACH STATEMENT EXECUTE FUNCTION content_changed();
CREATE TRIGGER content_truncated AFTER TRUNCATE ON content
    FOR EACH STATEMENT EXECUTE FUNCTION content_changed();

INSERT INTO signal (signal, signal_id, event_kinds, note) VALUES
    ('lead_created', 0, '{}', 'counted by the engine when a lead begins, so that quiet times have a start');

INSERT INTO event_role (role, note) VALUES
    ('visit', 'looked at a page: landing pages, content on the way to a sale'),
    ('download', 'took content: an offer'),
    ('webinar', 'attended a webinar: an offer'),
    ('form_view', 'saw a form'),
    ('form_submit', 'sent a form: an enquiry'),
    ('capture', 'left contact data without a form, such as for a newsletter: an enquiry'),
    ('request', 'asked for something: an enquiry'),
    ('trial', 'tries the product'),
    ('cart', 'left a cart'),
    ('social', 'reacted on a social network'),
    ('email_sent', 'was sent a message'),
    ('email_open', 'opened a message'),
    ('email_click', 'followed a link in a message: a response'),
    ('email_reply', 'answered a message: a response'),
    ('email_bounce', 'could not be sent a message: a hard bounce suppresses the address'),
    ('complaint', 'called a message spam: the address is suppressed'),
    ('outreach', 'sales tried to reach the lead: a contact'),
    ('sales_contact', 'sales spoke with the lead: a contact; in the presets it makes an sql a prospect'),
    ('meeting_booked', 'agreed on a meeting with sales'),
    ('meeting_held', 'sales met the lead: a contact; in the presets it makes an sql a prospect'),
    ('meeting_no_show', 'did not come to the meeting'),
    ('meeting_cancelled', 'called the meeting off, or sales did'),
    ('purchase', 'bought: revenue; in the presets it makes a customer. A negative value is a refund'),
    ('refund', 'got money back: revenue of its purchase, taken'),
    ('cancellation', 'ended a subscription: no recurring revenue from then on'),
    ('lost', 'will not buy; in the presets the stage lost'),
    ('disqualified', 'never was a lead; in the presets the stage disqualified'),
    ('recycled', 'back to marketing; in the presets the stage recycled'),
    ('unsubscribe', 'wants no more messages: consent is withdrawn, and the address is suppressed'),
    ('points', 'points by hand; in the presets only the kinds points_added and points_removed give any'),
    ('stage', 'stage by hand; only the kind stage_set sets one, see set_stage()');

INSERT INTO event_kind (kind, role, note) VALUES
    ('page_view', 'visit', 'looked at a page (page)'),
    ('product_page_view', 'visit', 'looked at a product or its features (page)'),
    ('pricing_view', 'visit', 'looked at the prices'),
    ('case_study_download', 'download', 'took a case study (content)'),
    ('content_download', 'download', 'took a guide, checklist, template ... (content, intent: educational or solution)'),
    ('webinar_attended', 'webinar', 'attended a webinar (content)'),
    ('form_view', 'form_view', 'saw a form (form, variant)'),
    ('form_submit', 'form_submit', 'sent a form (form, fields)'),
    ('email_sent', 'email_sent', 'was sent an e-mail (message, variant)'),
    ('email_open', 'email_open', 'opened it (message, variant)'),
    ('email_click', 'email_click', 'followed a link in it (message, variant)'),
    ('email_reply', 'email_reply', 'answered it (message, variant)'),
    ('email_bounced', 'email_bounce', 'could not be sent an e-mail (message, variant, type: hard or soft)'),
    ('email_complained', 'complaint', 'called an e-mail spam (message, variant)'),
    ('newsletter_signup', 'capture', 'subscribed to the newsletter'),
    ('unsubscribe', 'unsubscribe', 'wants no more messages (channel, topic: no more of these)'),
    ('social_interaction', 'social', 'reacted on a social network (network)'),
    ('cart_abandoned', 'cart', 'left a full cart'),
    ('demo_request', 'request', 'asked to see it'),
    ('personal_demo_request', 'request', 'asked for a demonstration of their own'),
    ('quote_request', 'request', 'asked for a quote'),
    ('trial_started', 'trial', 'began to try it'),
    ('outreach', 'outreach', 'sales tried to reach them (outcome, by)'),
    ('sales_contact', 'sales_contact', 'sales spoke with them (by)'),
    ('meeting_booked', 'meeting_booked', 'agreed on a meeting (meeting_at: when it takes place; by)'),
    ('meeting_held', 'meeting_held', 'met with sales (outcome, by)'),
    ('meeting_no_show', 'meeting_no_show', 'did not come to the meeting (by)'),
    ('meeting_cancelled', 'meeting_cancelled', 'the meeting was called off (reason, by)'),
    ('purchase', 'purchase', 'bought (value: amount; negative: a refund)'),
    ('refund', 'refund', 'got money back (value: amount; purchase: source_id or event_id of the purchase)'),
    ('subscription_started', 'purchase', 'subscribed to a service (value: amount for the first period; months: its length, 1 if it is not said; subscription: its name)'),
    ('subscription_renewed', 'purchase', 'paid for the next period (value, months, subscription)'),
    ('subscription_cancelled', 'cancellation', 'ended the subscription (subscription; reason)'),
    ('lost', 'lost', 'will not buy (reason)'),
    ('disqualified', 'disqualified', 'never was a lead (reason)'),
    ('recycled', 'recycled', 'back to marketing'),
    ('points_added', 'points', 'points by hand (value, by)'),
    ('points_removed', 'points', 'points by hand, taken (value, by)'),
    ('stage_set', 'stage', 'stage by hand (stage, reason, by), see set_stage()');

INSERT INTO channel (channel, direction) VALUES
    ('content', 'inbound'),
    ('seo', 'inbound'),
    ('social', 'inbound'),
    ('referral', 'inbound'),
    ('website', 'inbound'),
    ('direct_mail', 'outbound'),
    ('press', 'outbound'),
    ('radio', 'outbound'),
    ('telemarketing', 'outbound'),
    ('email', 'outbound'),
    ('virtual_event', 'outbound'),
    ('physical_event', 'outbound');
