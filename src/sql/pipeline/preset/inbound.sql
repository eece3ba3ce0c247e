-- Preset inbound: people find us, read, ask, and buy.
--
-- Points come from actions (engagement) and from the profile (fit). From 31
-- points and a look at solution content a lead is an mql; from 71 points and
-- with budget, authority, need and timeline confirmed it is an sql.

INSERT INTO signal (signal, event_kinds, event_role, condition, quantity, note) VALUES
    ('page_view', '{page_view}', NULL, NULL, NULL, NULL),
    ('product_page_view', '{product_page_view}', NULL, NULL, NULL, NULL),
    ('pricing_view', '{pricing_view}', NULL, NULL, NULL, NULL),
    ('case_study_download', '{case_study_download}', NULL, NULL, NULL, NULL),
    ('content_download', '{content_download}', NULL, NULL, NULL, NULL),
    ('solution_content', '{content_download}', NULL, '$.intent == "solution" || !exists ($.intent ? (@ != null)) && $content_intent == "solution"', NULL, 'content about solutions, not about problems'),
    ('webinar_attended', '{webinar_attended}', NULL, NULL, NULL, NULL),
    ('form_submit', '{form_submit}', NULL, NULL, NULL, NULL),
    ('email_open', '{email_open}', NULL, NULL, NULL, NULL),
    ('email_click', '{email_click}', NULL, NULL, NULL, NULL),
    ('email_reply', '{email_reply}', NULL, NULL, NULL, NULL),
    ('newsletter_signup', '{newsletter_signup}', NULL, NULL, NULL, NULL),
    ('unsubscribe', NULL, 'unsubscribe', '!exists ($.topic)', NULL, 'a lead that refuses one topic has not left'),
    ('social_interaction', '{social_interaction}', NULL, NULL, NULL, NULL),
    ('cart_abandoned', '{cart_abandoned}', NULL, NULL, NULL, NULL),
    ('demo_request', '{demo_request}', NULL, NULL, NULL, NULL),
    ('personal_demo_request', '{personal_demo_request}', NULL, NULL, NULL, NULL),
    ('quote_request', '{quote_request}', NULL, NULL, NULL, NULL),
    ('trial_started', '{trial_started}', NULL, NULL, NULL, NULL),
    ('sales_contact', NULL, 'sales_contact', NULL, NULL, NULL),
    ('purchase', NULL, 'purchase', '!($value < 0)', NULL, 'a negative value is a refund'),
    ('lost', NULL, 'lost', NULL, NULL, NULL),
    ('disqualified', NULL, 'disqualified', NULL, NULL, NULL),
    ('recycled', NULL, 'recycled', NULL, NULL, NULL),
    ('points_added', '{points_added}', NULL, NULL, '$value * 1000', 'counted in thousandths of a point'),
    ('points_removed', '{points_removed}', NULL, NULL, '$value * 1000', 'counted in thousandths of a point');

INSERT INTO signal (signal, source, condition, note) VALUES
    ('consented', 'profile', '$consented == true', 'accepted the data protection policy'),
    -- what is blank is no contact data
    ('contactable', 'profile',
        '$email like_regex "\\S@\\S" || $phone like_regex "\\w" || exists ($.phone.** ? (@ like_regex "\\w" || @.type() == "number")) || exists ($.social.** ? (@ like_regex "\\w" || @.type() == "number"))',
        'left contact data'),
    ('budget_confirmed', 'profile', '$.budget == true', NULL),
    ('authority_confirmed', 'profile', '$.authority == true', NULL),
    ('need_confirmed', 'profile', '$.need == true', NULL),
    ('timeline_confirmed', 'profile', '$.timeline == true', NULL),
    ('decision_maker', 'profile',
        '$.job_title like_regex "(^|[^a-z])(owner|founder|chief|ceo|cfo|cio|cmo|coo|cto|president|vp|director|head)([^a-z]|$)" flag "i"', NULL),
    ('company_size', 'profile', '$.employees >= 50', 'fifty people or more'),
    ('student', 'profile', '$.job_title like_regex "(^|[^a-z])(student|pupil|intern|trainee)([^a-z]|$)" flag "i"', NULL);

INSERT INTO signal (signal, source, event_role, condition, note) VALUES
    ('refund', 'event', 'refund', NULL, 'money given back; makes no customer'),
    ('negative_purchase', 'event', 'purchase', '$value < 0', 'money given back too'),
    ('meeting_booked', 'event', 'meeting_booked', NULL, NULL),
    ('meeting_held', 'event', 'meeting_held', NULL, 'makes an sql a prospect, as a sales contact does'),
    ('meeting_no_show', 'event', 'meeting_no_show', NULL, NULL),
    ('deadline_known', 'profile', NULL,
        '$.deadline like_regex "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([T ]([01][0-9]|2[0-3]):[0-5][0-9]|$)" && !($.deadline like_regex "-(02-3[01]|(04|06|09|11)-31)")',
        'a date by which the lead wants to be ready');

-- sequences wait for it; it gives no points
INSERT INTO signal (signal, event_role, note) VALUES
    ('outreach', 'outreach', 'sales tried to reach them');

INSERT INTO model (model, note) VALUES
    ('inbound', 'iql from 0 points, mql from 31 with solution content, sql from 71 with BANT');

INSERT INTO dimension (model, dimension, position, reset_signals) VALUES
    ('inbound', 'engagement', 1, '{recycled,unsubscribe}'),
    ('inbound', 'fit', 2, '{}'),
    ('inbound', 'manual', 3, '{}');

INSERT INTO rule (model, dimension, rule, signal, points, limit_count, limit_period, decay, decay_period, max_points) VALUES
    ('inbound', 'engagement', 'page viewed', 'page_view', 1, 3, 'day', 'half_life', '30 days', 10),
    ('inbound', 'engagement', 'product page viewed', 'product_page_view', 15, 3, 'day', 'half_life', '30 days', 60),
    ('inbound', 'engagement', 'prices viewed', 'pricing_view', 10, 1, 'day', 'half_life', '30 days', 30),
    ('inbound', 'engagement', 'case study downloaded', 'case_study_download', 10, 3, 'week', 'half_life', '60 days', 40),
    ('inbound', 'engagement', 'content downloaded', 'content_download', 5, 3, 'week', 'half_life', '60 days', 20),
    ('inbound', 'engagement', 'solution content downloaded', 'solution_content', 5, 3, 'week', 'half_life', '60 days', 20),
    ('inbound', 'engagement', 'webinar attended', 'webinar_attended', 15, 1, 'week', 'half_life', '60 days', 45),
    ('inbound', 'engagement', 'form sent', 'form_submit', 5, 1, 'day', 'half_life', '60 days', 15),
    ('inbound', 'engagement', 'e-mail opened', 'email_open', 5, 1, 'day', 'half_life', '30 days', 20),
    ('inbound', 'engagement', 'e-mail link followed', 'email_click', 5, 2, 'day', 'half_life', '30 days', 20),
    ('inbound', 'engagement', 'e-mail answered', 'email_reply', 10, 1, 'day', 'half_life', '60 days', 30),
    ('inbound', 'engagement', 'newsletter subscribed', 'newsletter_signup', 5, 1, 'ever', 'half_life', '180 days', NULL),
    ('inbound', 'engagement', 'social interaction', 'social_interaction', 2, 3, 'day', 'half_life', '30 days', 10),
    ('inbound', 'engagement', 'cart abandoned', 'cart_abandoned', -5, 1, 'day', 'half_life', '30 days', -15),
    ('inbound', 'engagement', 'demo requested', 'demo_request', 15, 1, 'month', 'half_life', '60 days', 30),
    ('inbound', 'engagement', 'personal demo requested', 'personal_demo_request', 25, 1, 'month', 'half_life', '60 days', 50),
    ('inbound', 'engagement', 'quote requested', 'quote_request', 25, 1, 'month', 'half_life', '60 days', 50),
    ('inbound', 'engagement', 'trial started', 'trial_started', 20, 1, 'month', 'half_life', '60 days', 40),
    ('inbound', 'engagement', 'meeting booked', 'meeting_booked', 20, 1, 'month', 'half_life', '60 days', 40),
    ('inbound', 'engagement', 'meeting missed', 'meeting_no_show', -10, 1, 'week', 'half_life', '30 days', -20);

-- last: once, also for an account with several such people
INSERT INTO rule (model, dimension, rule, signal, points, aggregate) VALUES
    ('inbound', 'fit', 'decision maker', 'decision_maker', 10, 'last'),
    ('inbound', 'fit', 'company of 50 or more', 'company_size', 10, 'last'),
    ('inbound', 'fit', 'student', 'student', -10, 'last');

INSERT INTO rule (model, dimension, rule, signal, points) VALUES
    ('inbound', 'manual', 'points added', 'points_added', 0.001),
    ('inbound', 'manual', 'points removed', 'points_removed', -0.001);

INSERT INTO grade (model, dimension, grade, min_points) VALUES
    ('inbound', 'fit', 'A', 20),
    ('inbound', 'fit', 'B', 10),
    ('inbound', 'fit', 'C', 0),
    ('inbound', 'fit', 'D', -10);

INSERT INTO stage_rule (model, stage, min_score, entry_signals, sla, note) VALUES
    ('inbound', 'iql', NULL, '{}', NULL, 'a contact that may be kept and can be reached'),
    ('inbound', 'mql', 31, '{}', NULL, 'interested in a solution'),
    ('inbound', 'sql', 71, '{}', '1 hour', 'ready to talk about buying'),
    ('inbound', 'prospect', NULL, '{sales_contact,meeting_held}', NULL, 'sales is in touch'),
    ('inbound', 'customer', NULL, '{purchase}', NULL, NULL),
    ('inbound', 'lost', NULL, '{lost}', NULL, NULL),
    ('inbound', 'disqualified', NULL, '{disqualified}', NULL, NULL),
    ('inbound', 'recycled', NULL, '{recycled}', NULL, NULL);

INSERT INTO stage_gate (model, stage, gate, signal) VALUES
    ('inbound', 'iql', 'consent', 'consented'),
    ('inbound', 'iql', 'contact', 'contactable'),
    ('inbound', 'mql', 'solution content', 'case_study_download'),
    ('inbound', 'mql', 'solution content', 'solution_content'),
    ('inbound', 'mql', 'solution content', 'webinar_attended'),
    ('inbound', 'mql', 'solution content', 'pricing_view'),
    ('inbound', 'mql', 'solution content', 'demo_request'),
    ('inbound', 'mql', 'solution content', 'personal_demo_request'),
    ('inbound', 'mql', 'solution content', 'quote_request'),
    ('inbound', 'mql', 'solution content', 'trial_started'),
    ('inbound', 'mql', 'solution content', 'meeting_booked'),
    ('inbound', 'sql', 'budget', 'budget_confirmed'),
    ('inbound', 'sql', 'authority', 'authority_confirmed'),
    ('inbound', 'sql', 'need', 'need_confirmed'),
    ('inbound', 'sql', 'timeline', 'timeline_confirmed'),
    ('inbound', 'sql', 'timeline', 'deadline_known');
