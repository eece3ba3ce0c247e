-- The picture of doc/learning.md, from the shop of test/demo:
--
--   psql -X -A -t -f test/bench/learn/picture.sql demo >doc/learning.svg
--
-- in a database in which test/demo/10-load.sql has been run. One line a rule that is
-- learned: the points that it has, and those that it should have had, with their
-- 95 % interval.
\set QUIET on
SET timezone = 'UTC';
SET client_min_messages = 'warning';
CREATE TEMP TABLE dot AS
    SELECT name, points_now::double precision AS guess, points_suggested::double precision AS learned,
        points_suggested - 1.96 * standard_error AS low, points_suggested + 1.96 * standard_error AS high,
        row_number() OVER (ORDER BY points_suggested DESC, name COLLATE "C") AS line
    FROM crm.suggest_points('inbound', 'sql', '120 days', exclude => '{page viewed}')
    WHERE level = 'rule' AND points_suggested IS NOT NULL;
CREATE TEMP TABLE scale AS
    SELECT 230::double precision AS x0, 600 / (ceil(max(high) / 10) - floor(min(low) / 10)) / 10 AS per_point, floor(min(low) / 10) * 10 AS first,
        ceil(max(high) / 10) * 10 AS last, 60 + 26 * max(line) AS bottom
    FROM dot;
CREATE FUNCTION pg_temp.x(points double precision) RETURNS numeric LANGUAGE sql AS
    'SELECT round((x0 + (points - first) * per_point)::numeric, 1) FROM scale';

SELECT format($svg$<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 %s" role="img" aria-labelledby="t d">
  <title id="t">Points that were guessed, and points that were learned</title>
  <desc id="d">One line a rule of the model inbound in the demo. A ring is the points that it has; a dot is what it should have had, with its 95 %% interval.</desc>
  <style>
    text { font: 14px sans-serif; fill: #1f2937 }
    .small { font-size: 12px; fill: #4b5563 }
    .name { text-anchor: end }
    .tick { text-anchor: middle; font-size: 12px; fill: #4b5563 }
    .grid { stroke: #e5e7eb }
    .zero { stroke: #6b7280; stroke-width: 1.5 }
    .bar { stroke: #4f46e5; stroke-width: 2 }
    .dot { fill: #4f46e5 }
    .ring { fill: none; stroke: #a16207; stroke-width: 2 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e5e7eb }
      .small, .tick { fill: #b6bdc9 }
      .grid { stroke: #374151 }
      .zero { stroke: #9ca3af }
      .bar { stroke: #a5b4fc }
      .dot { fill: #a5b4fc }
      .ring { stroke: #facc15 }
    }
  </style>
  <circle class="ring" cx="240" cy="20" r="5"/><text x="252" y="25">points that the rule has</text>
  <circle class="dot" cx="470" cy="20" r="5"/><text x="482" y="25">points as learned, with 95 %% interval</text>$svg$, bottom + 50)
FROM scale;
SELECT format('  <path class="%s" d="M%s 45V%s"/><text class="tick" x="%s" y="%s">%s</text>', CASE WHEN p = 0 THEN 'zero' ELSE 'grid' END, pg_temp.x(p), s.bottom, pg_temp.x(p), s.bottom + 18, p)
FROM scale s, generate_series(s.first::int, s.last::int, 10) p ORDER BY p;
SELECT format('  <text class="name" x="215" y="%s">%s</text><path class="bar" d="M%s %sH%s"/><circle class="ring" cx="%s" cy="%s" r="5"/><circle class="dot" cx="%s" cy="%s" r="5"/>',
    y + 5, name, pg_temp.x(low), y, pg_temp.x(high), pg_temp.x(guess), y, pg_temp.x(learned), y)
FROM dot, LATERAL (SELECT 40 + 26 * line AS y) l ORDER BY line;
SELECT format('  <text class="small" x="230" y="%s">points for each time that the rule counts; target: sql within 120 days</text>', bottom + 40) FROM scale;
SELECT '</svg>';
