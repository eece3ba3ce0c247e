-- Preset enterprise: few large accounts, strict rules.
--
-- 100 points make an mql: behaviour (engagement) plus demographic points (fit,
-- at most 70), and a matrix of fit A to D and engagement 1 to 4 decides.
-- Every rule has its own frequency limit, quiet months cost points,
-- competitors, students and our own people are excluded.

INSERT INTO value_list (list, item) VALUES
    ('competitor_domains', 'competitor.example'),
    ('own_domains', 'ours.example'),
    ('free_domains', 'gmail.com'),
    ('free_domains', 'googlemail.com'),
    ('free_domains', 'gmx.net'),
    ('free_domains', 'hotmail.com'),
    ('free_domains', 'icloud.com'),
    ('free_domains', 'outlook.com'),
    ('free_domains', 'proton.me'),
    ('free_domains', 'yahoo.com'),
    ('target_industries', 'finance'),
    ('target_industries', 'manufacturing'),
    ('target_industries', 'software'),
    ('target_industries', 'telecommunications'),
    ('unfit_functions', 'facilities'),
    ('unfit_functions', 'legal'),
    ('unfit_functions', 'recruiting');

INSERT INTO signal (signal, event_kinds, event_role, condition, quantity, note) VALUES
    ('interest', '{page_view,product_page_view,pricing_view,case_study_download,content_download,webinar_attended,form_submit,email_open,email_click,email_reply,newsletter_signup,social_interaction,demo_request,personal_demo_request,quote_request,trial_started,meeting_booked,meeting_held}', NULL,
        NULL, NULL, 'whatever shows that they are still there'),
    ('page_view', '{page_view}', NULL, NULL, NULL, NULL),
    ('careers_view', '{page_view}', NULL, '$.page like_regex "career|jobs" flag "i"', NULL, 'looks for work, not for us'),
    ('product_page_view', '{product_page_view}', NULL, NULL, NULL, NULL),
    ('pricing_view', '{pricing_view}', NULL, NULL, NULL, NULL),
    ('case_study_download', '{case_study_download}', NULL, NULL, NULL, NULL),
    ('content_download', '{content_download}', NULL, NULL, NULL, NULL),
    ('webinar_attended', '{webinar_attended}', NULL, NULL, NULL, NULL),
    ('form_submit', '{form_submit}', NULL, NULL, NULL, NULL),
    ('email_open', '{email_open}', NULL, NULL, NULL, NULL),
    ('email_click', '{email_click}', NULL, NULL, NULL, NULL),
    ('email_reply', '{email_reply}', NULL, NULL, NULL, NULL),
    ('email_bounced', '{email_bounced}', NULL, NULL, NULL, NULL),
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
    ('competitor', 'profile', '$competitor_domains[*] == $email_domain', NULL),
    ('own_people', 'profile', '$own_domains[*] == $email_domain', NULL),
    ('free_address', 'profile', '$free_domains[*] == $email_domain', 'an address that anybody can have'),
    ('student', 'profile', '$.job_title like_regex "(^|[^a-z])(student|pupil|intern|trainee)([^a-z]|$)" flag "i"', NULL),
    ('budget_confirmed', 'profile', '$.budget == true', NULL),
    ('authority_confirmed', 'profile', '$.authority == true', NULL),
    ('need_confirmed', 'profile', '$.need == true', NULL),
    ('timeline_confirmed', 'profile', '$.timeline == true', NULL),
    ('executive', 'profile', '$.job_title like_regex "(^|[^a-z])(owner|founder|chief|ceo|cfo|cio|cmo|coo|cto|president|vp)([^a-z]|$)" flag "i"', NULL),
    ('manager', 'profile', '$.job_title like_regex "(^|[^a-z])(director|head|manager|lead)([^a-z]|$)" flag "i"', NULL),
    ('unfit_function', 'profile', '$unfit_functions[*] == $.job_function', NULL),
    ('target_industry', 'profile', '$target_industries[*] == $.industry', NULL),
    ('large_company', 'profile', '$.employees >= 1000', NULL),
    ('medium_company', 'profile', '$.employees >= 100 && $.employees < 1000', NULL);

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
    ('enterprise', '100 points of behaviour and demographic make an mql, a matrix of both decides');

-- position: so that grades read A1, fit first
INSERT INTO dimension (model, dimension, position, min_points, max_points, reset_signals) VALUES
    ('enterprise', 'fit', 1, NULL, 70, '{}'),
    ('enterprise', 'engagement', 2, 0, 300, '{recycled,unsubscribe}');

INSERT INTO rule (model, dimension, rule, signal, points, limit_count, limit_period) VALUES
    ('enterprise', 'engagement', 'page viewed', 'page_view', 1, 5, 'day'),
    ('enterprise', 'engagement', 'careers page viewed', 'careers_view', -10, 1, 'day'),
    ('enterprise', 'engagement', 'product page viewed', 'product_page_view', 5, 1, 'day'),
    ('enterprise', 'engagement', 'prices viewed', 'pricing_view', 10, 1, 'week'),
    ('enterprise', 'engagement', 'case study downloaded', 'case_study_download', 15, 3, 'month'),
    ('enterprise', 'engagement', 'content downloaded', 'content_download', 10, 3, 'month'),
    ('enterprise', 'engagement', 'webinar attended', 'webinar_attended', 20, 2, 'month'),
    ('enterprise', 'engagement', 'form sent', 'form_submit', 10, 1, 'day'),
    ('enterprise', 'engagement', 'e-mail opened', 'email_open', 1, 1, 'day'),
    ('enterprise', 'engagement', 'e-mail link followed', 'email_click', 5, 1, 'day'),
    ('enterprise', 'engagement', 'e-mail answered', 'email_reply', 15, 1, 'week'),
    ('enterprise', 'engagement', 'e-mail bounced', 'email_bounced', -20, 1, 'month'),
    ('enterprise', 'engagement', 'newsletter subscribed', 'newsletter_signup', 5, 1, 'ever'),
    ('enterprise', 'engagement', 'social interaction', 'social_interaction', 2, 1, 'day'),
    ('enterprise', 'engagement', 'cart abandoned', 'cart_abandoned', -5, 1, 'week'),
    ('enterprise', 'engagement', 'demo requested', 'demo_request', 40, 1, 'quarter'),
    ('enterprise', 'engagement', 'personal demo requested', 'personal_demo_request', 60, 1, 'quarter'),
    ('enterprise', 'engagement', 'quote requested', 'quote_request', 60, 1, 'quarter'),
    ('enterprise', 'engagement', 'trial started', 'trial_started', 50, 1, 'year'),
    ('enterprise', 'engagement', 'meeting booked', 'meeting_booked', 50, 1, 'quarter'),
    ('enterprise', 'engagement', 'meeting missed', 'meeting_no_show', -20, 1, 'month'),
    ('enterprise', 'engagement', 'points added', 'points_added', 0.001, NULL, NULL),
    ('enterprise', 'engagement', 'points removed', 'points_removed', -0.001, NULL, NULL);

INSERT INTO rule (model, dimension, rule, signal, points, aggregate, after, repeat) VALUES
    ('enterprise', 'engagement', '30 quiet days', 'interest', -10, 'idle', '30 days', true);

-- last: once, also for an account with several such people
INSERT INTO rule (model, dimension, rule, signal, points, aggregate, unless) VALUES
    ('enterprise', 'fit', 'executive', 'executive', 30, 'last', '{}'),
    ('enterprise', 'fit', 'manager', 'manager', 15, 'last', '{executive}'),
    ('enterprise', 'fit', 'company of 1000 or more', 'large_company', 30, 'last', '{}'),
    ('enterprise', 'fit', 'company of 100 or more', 'medium_company', 20, 'last', '{large_company}'),
    ('enterprise', 'fit', 'target industry', 'target_industry', 20, 'last', '{}'),
    ('enterprise', 'fit', 'free e-mail address', 'free_address', -10, 'last', '{}'),
    ('enterprise', 'fit', 'function that never buys', 'unfit_function', -20, 'last', '{}');

INSERT INTO grade (model, dimension, grade, min_points) VALUES
    ('enterprise', 'fit', 'A', 50),
    ('enterprise', 'fit', 'B', 30),
    ('enterprise', 'fit', 'C', 10),
    ('enterprise', 'fit', 'D', -1000),
    ('enterprise', 'engagement', '1', 80),
    ('enterprise', 'engagement', '2', 50),
    ('enterprise', 'engagement', '3', 20),
    ('enterprise', 'engagement', '4', 0);

INSERT INTO stage_rule (model, stage, min_score, entry_signals, sla, note) VALUES
    ('enterprise', 'iql', NULL, '{}', NULL, 'a contact that may be kept, can be reached and is not excluded'),
    ('enterprise', 'mql', 100, '{}', '1 day', 'matrix: A1 A2 A3 B1 B2 C1'),
    ('enterprise', 'sql', 120, '{}', '1 hour', 'matrix: A1 A2 A3 B1 B2'),
    ('enterprise', 'prospect', NULL, '{sales_contact,meeting_held}', NULL, 'sales is in touch'),
    ('enterprise', 'customer', NULL, '{purchase}', NULL, NULL),
    ('enterprise', 'lost', NULL, '{lost}', NULL, NULL),
    ('enterprise', 'disqualified', NULL, '{disqualified}', NULL, NULL),
    ('enterprise', 'recycled', NULL, '{recycled}', NULL, NULL);

INSERT INTO stage_gate (model, stage, gate, signal, negate) VALUES
    ('enterprise', 'iql', 'consent', 'consented', false),
    ('enterprise', 'iql', 'contact', 'contactable', false),
    ('enterprise', 'iql', 'no competitor', 'competitor', true),
    ('enterprise', 'iql', 'none of us', 'own_people', true),
    ('enterprise', 'iql', 'no student', 'student', true),
    ('enterprise', 'sql', 'budget', 'budget_confirmed', false),
    ('enterprise', 'sql', 'authority', 'authority_confirmed', false),
    ('enterprise', 'sql', 'need', 'need_confirmed', false),
    ('enterprise', 'sql', 'timeline', 'timeline_confirmed', false),
    ('enterprise', 'sql', 'timeline', 'deadline_known', false);

-- The matrix. The cells that qualify are a staircase, and a staircase is a set
-- of conditions that must all hold, each with alternatives: going down one
-- grade of fit needs one more of engagement.
INSERT INTO stage_gate (model, stage, gate, dimension, min_points) VALUES
    ('enterprise', 'mql', 'matrix: at least C', 'fit', 10),
    ('enterprise', 'mql', 'matrix: at least B, or 1', 'fit', 30),
    ('enterprise', 'mql', 'matrix: at least B, or 1', 'engagement', 80),
    ('enterprise', 'mql', 'matrix: A, or at least 2', 'fit', 50),
    ('enterprise', 'mql', 'matrix: A, or at least 2', 'engagement', 50),
    ('enterprise', 'mql', 'matrix: at least 3', 'engagement', 20),
    ('enterprise', 'sql', 'matrix: at least B', 'fit', 30),
    ('enterprise', 'sql', 'matrix: A, or at least 2', 'fit', 50),
    ('enterprise', 'sql', 'matrix: A, or at least 2', 'engagement', 50),
    ('enterprise', 'sql', 'matrix: at least 3', 'engagement', 20);
