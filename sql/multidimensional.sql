--
-- Preset multidimensional: persona, knowledge, social networks, place in the funnel
--
SELECT * FROM leadscore.create_pipeline('multi', 'multidimensional');
SET search_path = multi, leadscore, public;
SET timezone = 'UTC';
SELECT dimension, min_points, max_points, weight, reset_signals FROM dimension ORDER BY position;
-- weights add up to 1, so that the score goes from 0 to 100
SELECT sum(weight) FROM dimension WHERE dimension <> 'manual';

-- Eva heads operations in a company of 120: 35 + 35 points of persona, times 0.3
-- are 21. A newsletter and a webinar: 20 + 25, times 0.2 are 9. One point is missing.
SELECT stage FROM track('eva', 'newsletter_signup', occurred_at => '2024-03-01 09:00Z',
    profile => '{"email": "eva@acme.example", "consent": true, "job_title": "Head of operations", "employees": 120}');
SELECT stage FROM track('eva', 'webinar_attended', '{"content": "roasting"}', '2024-03-01 10:00Z');
SELECT score('eva', timestamptz '2024-03-01 10:00Z');
-- A word on a social network is 10 points, times 0.1: 31, and a webinar is solution content
SELECT stage FROM track('eva', 'social_interaction', occurred_at => '2024-03-01 11:00Z');
SELECT score('eva', timestamptz '2024-03-01 11:00Z'), stage_at('eva', '2024-03-01 10:59Z'), stage_at('eva', '2024-03-01 11:00Z');
-- Down the funnel: educational content 5, solution content 15, a case study 20; times 0.4 are 16: 47
SELECT inserted FROM track_many('[
    {"external_id": "eva", "kind": "content_download", "occurred_at": "2024-03-01T12:00Z", "properties": {"content": "why coffee", "intent": "educational"}},
    {"external_id": "eva", "kind": "content_download", "occurred_at": "2024-03-01T12:05Z", "properties": {"content": "plan", "intent": "solution"}},
    {"external_id": "eva", "kind": "case_study_download", "occurred_at": "2024-03-01T12:10Z"}]');
SELECT dimension, points, weight, grade FROM lead_state s, model m, dimension_scores(s.activity, m.compiled, '2024-03-01') WHERE m.status = 'active';
SELECT score('eva', timestamptz '2024-03-01 12:10Z');
SELECT rule, points, note FROM explain('eva', timestamptz '2024-03-01 12:10Z');
SELECT sum(points) FROM explain('eva', timestamptz '2024-03-01 12:10Z');
-- A quote, 60: the funnel is at its limit, 100, which gives 40. 21 + 9 + 1 + 40 = 71, and yet she has said nothing of BANT
SELECT stage FROM track('eva', 'quote_request', occurred_at => '2024-03-01 13:00Z');
SELECT score('eva', timestamptz '2024-03-01 13:00Z'), stage_at('eva', '2024-03-01 13:00Z');
UPDATE lead SET profile = profile || '{"budget": true, "authority": true, "need": true, "timeline": true}', updated_at = '2024-03-01 14:00Z' WHERE external_id = 'eva';
-- need and budget make 100 of persona: 30 + 9 + 1 + 40
SELECT score('eva', timestamptz '2024-03-01 14:00Z'), stage_at('eva', '2024-03-01 14:00Z');
SELECT from_stage, to_stage, effective_at, cause FROM stage_history WHERE lead_id = lead_id('eva') ORDER BY seq;
-- The place in the funnel goes by contents: a stage gives no points
SELECT set_stage('eva', 'customer'), score('eva', timestamptz '2024-03-01 14:00Z');

-- Recycling resets what a lead did, and the persona stays: 30
SELECT stage FROM track('eva', 'recycled', occurred_at => '2024-03-02');
SELECT dimension, points FROM lead_state s, model m, dimension_scores(s.activity, m.compiled, '2024-03-02') WHERE m.status = 'active' AND lead_id = lead_id('eva');
SELECT score('eva', timestamptz '2024-03-02 09:00Z');

-- The threshold of an sql: 30 of persona, 32 of a case study and a quote, and 40 of knowledge make 70
SELECT inserted FROM track_many('[
    {"external_id": "max", "kind": "case_study_download", "occurred_at": "2024-03-01T09:00Z",
     "profile": {"email": "max@acme.example", "consent": true, "job_title": "Owner", "employees": 50, "budget": true, "authority": true, "need": true, "timeline": true}},
    {"external_id": "max", "kind": "quote_request", "occurred_at": "2024-03-01T09:00Z"},
    {"external_id": "max", "kind": "email_open", "occurred_at": "2024-03-01T09:00Z"},
    {"external_id": "max", "kind": "email_click", "occurred_at": "2024-03-01T09:00Z"},
    {"external_id": "max", "kind": "webinar_attended", "occurred_at": "2024-03-01T09:00Z"}]');
SELECT score('max', timestamptz '2024-03-01 09:00Z'), stage_at('max', '2024-03-01 10:00Z');
-- pages are two points, times 0.2
SELECT stage_changed FROM track('max', 'page_view', occurred_at => '2024-03-01 12:00Z');
SELECT stage_changed FROM track('max', 'page_view', occurred_at => '2024-03-01 13:00Z');
SELECT score('max', timestamptz '2024-03-01 09:00Z'), stage_at('max', '2024-03-01 13:00Z');
SELECT stage_changed FROM track('max', 'page_view', occurred_at => '2024-03-01 14:00Z');
SELECT score('max', timestamptz '2024-03-01 09:00Z'), stage_at('max', '2024-03-01 14:00Z');

-- Points fade: of 80 in the funnel half are left after 60 days, of 10 in social networks a quarter
SELECT inserted FROM track_many('[
    {"external_id": "tom", "kind": "case_study_download", "occurred_at": "2024-03-01T09:00Z"},
    {"external_id": "tom", "kind": "quote_request", "occurred_at": "2024-03-01T09:00Z"},
    {"external_id": "tom", "kind": "social_interaction", "occurred_at": "2024-03-01T09:00Z"}]');
SELECT d, score('tom', '2024-03-01 09:00Z'::timestamptz + d * interval '1 day') FROM unnest('{0,60}'::int[]) d;

-- No dimension falls below 0 or rises above 100; points by hand count in full
SELECT inserted FROM track_many('[
    {"external_id": "ida", "kind": "cart_abandoned", "occurred_at": "2024-03-01T09:00Z", "profile": {"job_title": "student"}},
    {"external_id": "ida", "kind": "points_added", "value": 12.5, "occurred_at": "2024-03-01T09:00Z"},
    {"external_id": "joe", "kind": "quote_request", "occurred_at": "2024-03-01T09:00Z"},
    {"external_id": "joe", "kind": "personal_demo_request", "occurred_at": "2024-03-01T09:00Z"},
    {"external_id": "joe", "kind": "trial_started", "occurred_at": "2024-03-01T09:00Z"}]');
SELECT external_id, dimension, points, grade
FROM lead JOIN lead_state s USING (lead_id), model m, dimension_scores(s.activity, m.compiled, '2024-03-01')
WHERE m.status = 'active' AND external_id IN ('ida', 'joe') AND (points <> 0 OR grade IS NOT NULL) ORDER BY 1, 2;
SELECT score('ida', timestamptz '2024-03-01 09:00Z') AS ida, score('joe', timestamptz '2024-03-01 09:00Z') AS joe;
-- the best that a lead can do
SELECT sum(weight * max_points) FROM dimension;

SELECT * FROM verify();
SELECT leadscore.drop_pipeline('multi');
