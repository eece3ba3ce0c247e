-- Preset multidimensional: four questions instead of one.
--
-- How close is the lead to the persona that buys? How well does it know us?
-- Does it talk with us on social networks? How far down the funnel has it come?
-- Each dimension goes from 0 to 100 points and has a weight. The weights add up
-- to 1, so the score goes from 0 to 100 too, and points by hand come on top.
-- Thresholds, gates and milestones are those of the preset inbound.
--
-- The place in the funnel goes by the contents that the lead took: top, middle
-- and bottom. It cannot go by the stage: the score decides on the stage, and a
-- stage that gave points would hold itself up.

INSERT INTO signal (signal, event_kinds, event_role, condition, quantity, note) VALUES
    ('page_view', '{page_view}', NULL, NULL, NULL, NULL),
    ('product_page_view', '{product_page_view}', NULL, NULL, NULL, NULL),
    ('pricing_view', '{pricing_view}', NULL, NULL, NULL, NULL),
    ('case_study_download', '{case_study_download}', NULL, NULL, NULL, NULL),
    ('educational_content', '{content_download}', NULL, '!($.intent == "solution" || !exists ($.intent ? (@ != null)) && $content_intent == "solution")', NULL, 'content about problems: every download that is not about solutions'),
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
    ('multidimensional', 'persona, knowledge of us, social networks and place in the funnel, each from 0 to 100');

INSERT INTO dimension (model, dimension, position, min_points, max_points, weight, reset_signals) VALUES
    ('multidimensional', 'persona', 1, 0, 100, 0.3, '{}'),
    ('multidimensional', 'knowledge', 2, 0, 100, 0.2, '{recycled,unsubscribe}'),
    ('multidimensional', 'social', 3, 0, 100, 0.1, '{recycled,unsubscribe}'),
    ('multidimensional', 'funnel', 4, 0, 100, 0.4, '{recycled,unsubscribe}'),
    ('multidimensional', 'manual', 5, NULL, NULL, 1, '{}');

-- last: once, also for an account with several such people
INSERT INTO rule (model, dimension, rule, signal, points, aggregate) VALUES
    ('multidimensional', 'persona', 'decision maker', 'decision_maker', 35, 'last'),
    ('multidimensional', 'persona', 'company of 50 or more', 'company_size', 35, 'last'),
    ('multidimensional', 'persona', 'need confirmed', 'need_confirmed', 20, 'last'),
    ('multidimensional', 'persona', 'budget confirmed', 'budget_confirmed', 10, 'last'),
    ('multidimensional', 'persona', 'student', 'student', -50, 'last');

INSERT INTO rule (model, dimension, rule, signal, points, limit_count, limit_period, decay, decay_period, max_points) VALUES
    ('multidimensional', 'knowledge', 'page viewed', 'page_view', 2, 3, 'day', 'half_life', '30 days', 20),
    ('multidimensional', 'knowledge', 'product page viewed', 'product_page_view', 10, 3, 'day', 'half_life', '30 days', 40),
    ('multidimensional', 'knowledge', 'form sent', 'form_submit', 10, 1, 'day', 'half_life', '60 days', 30),
    ('multidimensional', 'knowledge', 'newsletter subscribed', 'newsletter_signup', 20, 1, 'ever', 'half_life', '180 days', NULL),
    ('multidimensional', 'knowledge', 'e-mail opened', 'email_open', 5, 1, 'day', 'half_life', '30 days', 20),
    ('multidimensional', 'knowledge', 'e-mail link followed', 'email_click', 10, 2, 'day', 'half_life', '30 days', 40),
    ('multidimensional', 'knowledge', 'e-mail answered', 'email_reply', 20, 1, 'day', 'half_life', '60 days', 60),
    ('multidimensional', 'knowledge', 'webinar attended', 'webinar_attended', 25, 1, 'week', 'half_life', '60 days', 75),
    ('multidimensional', 'social', 'social interaction', 'social_interaction', 10, 3, 'day', 'half_life', '30 days', NULL),
    ('multidimensional', 'funnel', 'top: educational content', 'educational_content', 5, 3, 'week', 'half_life', '60 days', 15),
    ('multidimensional', 'funnel', 'middle: solution content', 'solution_content', 15, 3, 'week', 'half_life', '60 days', 45),
    ('multidimensional', 'funnel', 'middle: case study', 'case_study_download', 20, 3, 'week', 'half_life', '60 days', 60),
    ('multidimensional', 'funnel', 'bottom: prices viewed', 'pricing_view', 20, 1, 'day', 'half_life', '30 days', 60),
    ('multidimensional', 'funnel', 'bottom: cart abandoned', 'cart_abandoned', -10, 1, 'day', 'half_life', '30 days', -30),
    ('multidimensional', 'funnel', 'bottom: demo requested', 'demo_request', 40, 1, 'month', 'half_life', '60 days', 80),
    ('multidimensional', 'funnel', 'bottom: personal demo requested', 'personal_demo_request', 60, 1, 'month', 'half_life', '60 days', NULL),
    ('multidimensional', 'funnel', 'bottom: quote requested', 'quote_request', 60, 1, 'month', 'half_life', '60 days', NULL),
    ('multidimensional', 'funnel', 'bottom: trial started', 'trial_started', 50, 1, 'month', 'half_life', '60 days', NULL),
    ('multidimensional', 'funnel', 'bottom: meeting booked', 'meeting_booked', 50, 1, 'month', 'half_life', '60 days', NULL),
    ('multidimensional', 'funnel', 'bottom: meeting missed', 'meeting_no_show', -20, 1, 'week', 'half_life', '30 days', -40);

INSERT INTO rule (model, dimension, rule, signal, points) VALUES
    ('multidimensional', 'manual', 'points added', 'points_added', 0.001),
    ('multidimensional', 'manual', 'points removed', 'points_removed', -0.001);

INSERT INTO grade (model, dimension, grade, min_points) VALUES
    ('multidimensional', 'persona', 'A', 70),
    ('multidimensional', 'persona', 'B', 35),
    ('multidimensional', 'persona', 'C', 10),
    ('multidimensional', 'persona', 'D', 0);

INSERT INTO stage_rule (model, stage, min_score, entry_signals, sla, note) VALUES
    ('multidimensional', 'iql', NULL, '{}', NULL, 'a contact that may be kept and can be reached'),
    ('multidimensional', 'mql', 31, '{}', NULL, 'interested in a solution'),
    ('multidimensional', 'sql', 71, '{}', '1 hour', 'ready to talk about buying'),
    ('multidimensional', 'prospect', NULL, '{sales_contact,meeting_held}', NULL, 'sales is in touch'),
    ('multidimensional', 'customer', NULL, '{purchase}', NULL, NULL),
    ('multidimensional', 'lost', NULL, '{lost}', NULL, NULL),
    ('multidimensional', 'disqualified', NULL, '{disqualified}', NULL, NULL),
    ('multidimensional', 'recycled', NULL, '{recycled}', NULL, NULL);

INSERT INTO stage_gate (model, stage, gate, signal) VALUES
    ('multidimensional', 'iql', 'consent', 'consented'),
    ('multidimensional', 'iql', 'contact', 'contactable'),
    ('multidimensional', 'mql', 'solution content', 'case_study_download'),
    ('multidimensional', 'mql', 'solution content', 'solution_content'),
    ('multidimensional', 'mql', 'solution content', 'webinar_attended'),
    ('multidimensional', 'mql', 'solution content', 'pricing_view'),
    ('multidimensional', 'mql', 'solution content', 'demo_request'),
    ('multidimensional', 'mql', 'solution content', 'personal_demo_request'),
    ('multidimensional', 'mql', 'solution content', 'quote_request'),
    ('multidimensional', 'mql', 'solution content', 'trial_started'),
    ('multidimensional', 'mql', 'solution content', 'meeting_booked'),
    ('multidimensional', 'sql', 'budget', 'budget_confirmed'),
    ('multidimensional', 'sql', 'authority', 'authority_confirmed'),
    ('multidimensional', 'sql', 'need', 'need_confirmed'),
    ('multidimensional', 'sql', 'timeline', 'timeline_confirmed'),
    ('multidimensional', 'sql', 'timeline', 'deadline_known');
