-- Segments that every preset but empty has, as drafts: they cost nothing until
-- activate_segment() is called.
INSERT INTO segment (segment, persona, ideal_customer, min_match_share, note) VALUES
    ('cold', false, false, 1, 'an iql that wants information only: no look at a solution for 30 days'),
    ('curious', false, false, 1, 'an iql or mql that looked at a solution within 30 days'),
    ('ready_to_buy', false, false, 1, 'in the hands of sales, or asked for an offer or a trial within 14 days, or looked at prices three times in 7 days'),
    ('quiet_customers', false, false, 1, 'customers at risk: bought within a year, and 60 days without a sign of interest'),
    ('ideal_customer', true, true, 0.7, 'the ideal customer profile: weights add up to 10, and 7 of them make a match');

INSERT INTO segment_condition (segment, condition, stage_from, stage_to) VALUES
    ('cold', 'stage', 'iql', 'iql'),
    ('curious', 'stage', 'iql', 'mql'),
    ('ready_to_buy', 'stage', 'mql', 'prospect'),
    ('ready_to_buy', 'ready', 'sql', 'prospect'),
    ('quiet_customers', 'stage', 'customer', 'advocate');

INSERT INTO segment_condition (segment, condition, signal, min_count, within) VALUES
    ('ready_to_buy', 'ready', 'quote_request', 1, '14 days'),
    ('ready_to_buy', 'ready', 'personal_demo_request', 1, '14 days'),
    ('ready_to_buy', 'ready', 'trial_started', 1, '14 days'),
    ('ready_to_buy', 'ready', 'pricing_view', 3, '7 days'),
    ('quiet_customers', 'bought', 'purchase', 1, '365 days');

-- Below, of the signals that are named those count that the preset has.

-- Each of a cold lead's on its own: none may have been counted. Of a curious one
-- one is enough: rows of one name are alternatives.
INSERT INTO segment_condition (segment, condition, signal, within, negate)
SELECT k.segment, CASE WHEN k.negate THEN 'no ' || replace(s.signal, '_', ' ') ELSE 'solution content' END, s.signal, '30 days', k.negate
FROM (VALUES ('cold', true), ('curious', false)) AS k (segment, negate),
    unnest('{case_study_download,solution_content,webinar_attended,pricing_view,demo_request,personal_demo_request,quote_request,trial_started,meeting_booked}'::text[]) WITH ORDINALITY AS n (name, place)
    JOIN signal s ON s.signal = n.name
ORDER BY k.segment, n.place;

-- A signal that stands for others takes their place: interest for all.
INSERT INTO segment_condition (segment, condition, signal, within, negate)
SELECT 'quiet_customers', 'no ' || replace(s.signal, '_', ' '), s.signal, '60 days', true
FROM unnest('{interest,page_view,product_page_view,pricing_view,case_study_download,content_download,educational_content,solution_content,webinar_attended,form_submit,email_open,email_click,email_reply,newsletter_signup,social_interaction,demo_request,personal_demo_request,quote_request,trial_started,meeting_booked,meeting_held,purchase}'::text[]) WITH ORDINALITY AS n (name, place)
    JOIN signal s ON s.signal = n.name
WHERE CASE
    WHEN s.signal IN ('interest', 'purchase') THEN true
    WHEN EXISTS (SELECT FROM signal o WHERE o.signal = 'interest') THEN false
    WHEN s.signal = 'solution_content' THEN NOT EXISTS (SELECT FROM signal o WHERE o.signal = 'content_download')
    ELSE true END
ORDER BY n.place;

INSERT INTO segment_condition (segment, condition, signal, negate, weight)
SELECT 'ideal_customer', c.condition, c.signal, c.negate, c.weight
FROM (VALUES
        (1, 'decision maker', 'decision_maker', false, 3),
        (2, 'decision maker', 'executive', false, 3),
        (3, 'decision maker', 'manager', false, 3),
        (4, 'company of 50 or more', 'company_size', false, 3),
        (5, 'company of 100 or more', 'large_company', false, 3),
        (6, 'company of 100 or more', 'medium_company', false, 3),
        (7, 'need', 'need_confirmed', false, 2),
        (8, 'budget', 'budget_confirmed', false, 1),
        (9, 'no student', 'student', true, 1)) AS c (place, condition, signal, negate, weight)
    JOIN signal s ON s.signal = c.signal
ORDER BY c.place;
