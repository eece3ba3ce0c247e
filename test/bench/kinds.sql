-- The kinds of events of test/bench/ingest and test/bench/big. Variable: mix.
--
-- 24 kinds, most of them visits and opened mail. `kinds` has each as often as its
-- share in a thousand; scored are 18 of them, and three more are known. In the
-- harsh mix every fifth event sets a stage, and what is rare in life comes ten
-- times as often.
CREATE TABLE kind_share (kind text, realistic int, harsh int);
INSERT INTO kind_share VALUES
    ('page_view', 560, 300), ('email_sent', 130, 80), ('email_open', 120, 80), ('product_page_view', 40, 40),
    ('pricing_view', 15, 20), ('email_click', 25, 40), ('social_interaction', 30, 40), ('content_download', 12, 20),
    ('form_view', 30, 30), ('form_submit', 12, 20), ('newsletter_signup', 4, 10), ('case_study_download', 3, 10),
    ('webinar_attended', 3, 10), ('cart_abandoned', 2, 10), ('email_reply', 2, 10), ('demo_request', 1, 10),
    ('quote_request', 1, 10), ('trial_started', 1, 10), ('personal_demo_request', 1, 10), ('outreach', 3, 10),
    ('points_added', 1, 10), ('points_removed', 1, 10), ('unsubscribe', 1, 10), ('heartbeat', 2, 0), ('stage_set', 0, 200);
CREATE TABLE kinds AS
    SELECT array_agg(kind) AS kinds FROM kind_share, generate_series(1, :mix);
