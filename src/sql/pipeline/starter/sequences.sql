-- What every preset but empty begins with, beside its own rows.

-- Sequences, as drafts: nothing is sent until activate_sequence() is called. The
-- names of contents are for the workers that send them.
--
-- No step asks to confirm an address: the app that hears the request sends that
-- at once, by add_action() with transactional => true, for it alone knows the
-- link. What needs consent waits for the answer meanwhile.
--
-- Tasks and alerts are not too late for long. An sql raises an alert beside the
-- first call, and one more if nobody has called: each once for each time that a
-- lead becomes one. A lead is cold from its first day, as long as it looks at no
-- solution: it is to be won back only if it stays so.
INSERT INTO sequence (sequence, starts_on, start_name, goal_stage, goal_signals, exit_stages, stay_in_segment, again_after, late_after, priority, note) VALUES
    ('welcome', 'stage', 'iql', 'mql', '{}', '{lost,disqualified,recycled}', NULL, NULL, '2 days', 50, 'says hello'),
    ('education', 'stage', 'iql', 'mql', '{}', '{lost,disqualified,recycled}', NULL, '180 days', '2 days', 100, 'about the problem, until they look for a solution'),
    ('solution', 'stage', 'mql', 'sql', '{}', '{lost,disqualified,recycled}', NULL, '180 days', '2 days', 80, 'about our solution, until they are ready to talk'),
    ('immediate_contact', 'stage', 'sql', 'prospect', '{sales_contact}', '{lost,disqualified,recycled}', NULL, '30 days', '30 days', 10, 'five calls: most give up after the first'),
    ('hot_lead', 'stage', 'sql', 'prospect', '{outreach,sales_contact}', '{lost,disqualified,recycled}', NULL, '0 days', '30 days', 10, 'tells the owner of each new sql'),
    ('sla_warning', 'stage', 'sql', 'prospect', '{outreach,sales_contact}', '{lost,disqualified,recycled}', NULL, '0 days', '30 days', 10, 'tells that nobody has tried to reach an sql within stage_rule.sla, in business_hours'),
    ('re_engagement', 'segment_entered', 'cold', 'mql', '{}', '{lost,disqualified,recycled}', 'cold', '180 days', '2 days', 120, 'wins back leads that stay cold for a month'),
    ('after_sale', 'stage', 'customer', NULL, '{}', '{lost,disqualified,recycled}', NULL, '365 days', '2 days', 100, 'helps new customers to succeed, and asks for a recommendation'),
    ('customer_care', 'segment_entered', 'quiet_customers', NULL, '{purchase}', '{lost,disqualified,recycled}', 'quiet_customers', '90 days', '30 days', 60, 'a call to customers at risk');

INSERT INTO sequence_step (sequence, step, position, delay, not_before, not_after, weekdays, business_time, kind, channel, content, unless) VALUES
    ('welcome', 'hello', 1, '0', NULL, NULL, NULL, false, 'message', 'email', 'welcome', '{}'),
    ('welcome', 'start', 2, '3 days', '09:00', '18:00', '{1,2,3,4,5}', false, 'message', 'email', 'where to start', '{}'),
    ('education', 'basics', 1, '7 days', '09:00', '18:00', '{1,2,3,4,5}', false, 'message', 'email', 'basics', '{}'),
    ('education', 'webinar', 2, '7 days', '09:00', '18:00', '{1,2,3,4,5}', false, 'message', 'email', 'webinar invitation', '{webinar_attended}'),
    ('education', 'example', 3, '14 days', '09:00', '18:00', '{1,2,3,4,5}', false, 'message', 'email', 'case study', '{case_study_download}'),
    ('solution', 'overview', 1, '1 day', '09:00', '18:00', '{1,2,3,4,5}', false, 'message', 'email', 'our solution', '{}'),
    ('solution', 'example', 2, '4 days', '09:00', '18:00', '{1,2,3,4,5}', false, 'message', 'email', 'case study of a solution', '{case_study_download}'),
    ('solution', 'demo', 3, '5 days', '09:00', '18:00', '{1,2,3,4,5}', false, 'message', 'email', 'demo invitation', '{demo_request,personal_demo_request}'),
    ('solution', 'talk', 4, '10 days', '09:00', '18:00', '{1,2,3,4,5}', false, 'message', 'email', 'offer to talk', '{}'),
    ('immediate_contact', 'call 1', 1, '0', NULL, NULL, NULL, false, 'task', 'phone', 'first call', '{}'),
    ('immediate_contact', 'call 2', 2, '1 day', '09:00', '18:00', '{1,2,3,4,5}', false, 'task', 'phone', 'second call', '{}'),
    ('immediate_contact', 'call 3', 3, '2 days', '09:00', '18:00', '{1,2,3,4,5}', false, 'task', 'phone', 'third call', '{}'),
    ('immediate_contact', 'call 4', 4, '4 days', '09:00', '18:00', '{1,2,3,4,5}', false, 'task', 'phone', 'fourth call', '{}'),
    ('immediate_contact', 'call 5', 5, '7 days', '09:00', '18:00', '{1,2,3,4,5}', false, 'task', 'phone', 'fifth call', '{}'),
    ('immediate_contact', 'not reached', 6, '1 day', NULL, NULL, NULL, false, 'alert', 'team', 'five calls without an answer', '{}'),
    ('hot_lead', 'alert', 1, '0', NULL, NULL, NULL, false, 'alert', 'team', 'a new sql', '{}'),
    ('sla_warning', 'alert', 1, NULL, NULL, NULL, NULL, true, 'alert', 'team', 'an sql waits too long', '{}'),
    ('re_engagement', 'ask', 1, '30 days', '09:00', '18:00', '{1,2,3,4,5}', false, 'message', 'email', 'still interested', '{}'),
    ('re_engagement', 'news', 2, '14 days', '09:00', '18:00', '{1,2,3,4,5}', false, 'message', 'email', 'what is new', '{}'),
    ('re_engagement', 'goodbye', 3, '14 days', '09:00', '18:00', '{1,2,3,4,5}', false, 'message', 'email', 'goodbye', '{}'),
    ('after_sale', 'first steps', 1, '1 day', '09:00', '18:00', '{1,2,3,4,5}', false, 'message', 'email', 'first steps', '{}'),
    ('after_sale', 'check', 2, '14 days', '09:00', '18:00', '{1,2,3,4,5}', false, 'task', 'phone', 'ask how it goes', '{}'),
    ('after_sale', 'recommend', 3, '60 days', '09:00', '18:00', '{1,2,3,4,5}', false, 'message', 'email', 'recommend us', '{}'),
    ('customer_care', 'call', 1, '0', '09:00', '18:00', '{1,2,3,4,5}', false, 'task', 'phone', 'call a customer at risk', '{}');

-- A lead may be in several sequences, and apps add messages of their own: so
-- there is a limit from the start. What rings is for the day; an e-mail waits
-- until it is read, and the steps above go in office hours anyway.
INSERT INTO contact_limit (channel, period, max_count) VALUES
    (NULL, 'day', 2),
    (NULL, 'week', 5);
INSERT INTO contact_hours (channel, not_before, not_after, weekdays) VALUES
    ('phone', '09:00', '20:00', '{1,2,3,4,5,6}'),
    ('sms', '09:00', '20:00', '{1,2,3,4,5,6}'),
    ('whatsapp', '09:00', '20:00', '{1,2,3,4,5,6}');

INSERT INTO stage_action (stage, segment, position, action) VALUES
    ('iql', 'cold', 1, 'win back: ask what they look for'),
    ('iql', NULL, 1, 'send content about the problem'),
    ('mql', 'ready_to_buy', 1, 'call: they ask for an offer'),
    ('mql', NULL, 1, 'send content about the solution'),
    ('sql', NULL, 1, 'call within the hour'),
    ('prospect', NULL, 1, 'agree on the next appointment'),
    ('customer', 'quiet_customers', 1, 'call: a customer at risk'),
    ('customer', NULL, 1, 'help to succeed, then ask for a recommendation'),
    ('advocate', 'quiet_customers', 1, 'call: a customer at risk'),
    ('advocate', NULL, 1, 'keep in touch, and ask for a story'),
    ('recycled', NULL, 1, 'send content again');
