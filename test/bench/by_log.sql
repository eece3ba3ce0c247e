-- Two models compared over the event log, by hand: how many leads each pair
-- of stages has. Counts by day for the limits, half-lives, caps, thresholds
-- and the gates; limits by day only, and in floating point.
WITH counted AS (
    SELECT e.lead_id, p.rule, (e.occurred_at AT TIME ZONE 'UTC')::date AS day, count(*) AS n
    FROM crm.event e JOIN signal_points p USING (kind)
    WHERE p.condition IS NULL OR e.properties @@ p.condition
    GROUP BY 1, 2, 3
), weighed AS (
    SELECT c.lead_id, c.rule,
        sum(least(c.n, p.limit_count) * 0.5::float8 ^ (((now() AT TIME ZONE 'UTC')::date - c.day) / p.half_life)) AS weight
    FROM counted c JOIN signal_points p USING (rule)
    GROUP BY c.lead_id, c.rule
), scored AS (
    SELECT w.lead_id,
        sum(CASE WHEN p.points_a > 0 THEN least(w.weight * p.points_a, p.max_a) ELSE greatest(w.weight * p.points_a, p.max_a) END) AS a,
        sum(CASE WHEN p.points_b > 0 THEN least(w.weight * p.points_b, p.max_b) ELSE greatest(w.weight * p.points_b, p.max_b) END) AS b,
        bool_or(p.solution) AS solution
    FROM weighed w JOIN signal_points p USING (rule)
    GROUP BY w.lead_id
), fit AS (
    SELECT lead_id, consented_at IS NOT NULL AND email IS NOT NULL AS lead,
        profile @@ '$.budget == true && $.authority == true && $.need == true && $.timeline == true' AS bant,
        CASE WHEN profile ->> 'job_title' ~* '(head|chief|director|owner|president)' THEN 10 ELSE 0 END AS points
    FROM crm.lead
)
SELECT
    CASE WHEN NOT f.lead THEN 'visitor' WHEN f.points + coalesce(s.a, 0) >= 71 AND s.solution AND f.bant THEN 'sql'
        WHEN f.points + coalesce(s.a, 0) >= 31 AND s.solution THEN 'mql' ELSE 'iql' END AS stage_a,
    CASE WHEN NOT f.lead THEN 'visitor' WHEN f.points + coalesce(s.b, 0) >= 71 AND s.solution AND f.bant THEN 'sql'
        WHEN f.points + coalesce(s.b, 0) >= 31 AND s.solution THEN 'mql' ELSE 'iql' END AS stage_b,
    count(*), avg(f.points + coalesce(s.a, 0)), avg(f.points + coalesce(s.b, 0))
FROM fit f LEFT JOIN scored s USING (lead_id)
GROUP BY 1, 2
ORDER BY 1, 2;
