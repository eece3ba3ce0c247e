# What rebuilds, sweeps, activations of models, merges and a dump leave as it is:
# runs and actions. And what begins no run: history that is older than late_after,
# and edges that a rebuild writes.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('sequences_kept');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\n");
$node->start;
my $dir = PostgreSQL::Test::Utils::tempdir;
sub query { return $node->safe_psql('postgres', "SET search_path = p, leadscore, public; $_[0]"); }

query(q{
	CREATE EXTENSION leadscore;
	SELECT leadscore.create_pipeline('p', 'inbound');
	-- without the sequences, hours and limits of the preset
	DELETE FROM p.sequence;
	DELETE FROM p.contact_hours;
	DELETE FROM p.contact_limit;
	INSERT INTO p.segment (segment) VALUES ('viewers');
	INSERT INTO p.segment_condition (segment, condition, signal, within) VALUES ('viewers', 'c', 'pricing_view', '20 days');
	SELECT p.activate_segment('viewers', wait => true);
	INSERT INTO p.sequence (sequence, starts_on, start_name, goal_stage, again_after) VALUES
		('mqls', 'stage', 'mql', 'customer', '0'), ('iqls', 'stage', 'iql', NULL, '0'), ('viewed', 'segment_entered', 'viewers', NULL, '0'), ('left', 'segment_left', 'viewers', NULL, '0'),
		('demos', 'event', 'demo_request', 'customer', '0'), ('news', 'by_hand', NULL, NULL, '0');
	INSERT INTO p.sequence_step (sequence, step, position, channel, delay)
		SELECT q, s, n, 'email', (n - 1) * interval '1 hour' FROM unnest('{mqls,iqls,viewed,left,demos,news}'::text[]) q, unnest('{one,two}'::text[]) WITH ORDINALITY AS t (s, n);
	INSERT INTO p.assignment (owner, stage) VALUES ('ann', 'mql');
	SELECT p.activate_sequence(sequence) FROM p.sequence;
	-- they were activated long ago
	UPDATE p.sequence SET activated_at = now() - interval '1 year';
});

# ---- A: an import of history begins nothing ----
my $lead_sql = q{SELECT i, 'lead ' || i, i || '@example.com', '2025-01-01', '2025-01-01', '2025-01-01' FROM generate_series(%d, %d) i};
query(sprintf("COPY (SELECT 1 + i %% 200, (ARRAY['pricing_view', 'case_study_download', 'demo_request', 'quote_request'])[1 + i %% 4], now() - interval '50 hours' - i * interval '3 hours' FROM generate_series(1, 2000) i) TO '%s/events'", $dir));
query('INSERT INTO lead (lead_id, external_id, email, consented_at, created_at, updated_at) ' . sprintf($lead_sql, 1, 200));
query("SELECT setval('lead_lead_id_seq', 1000)");
query("COPY event (lead_id, kind, occurred_at) FROM '$dir/events'");
cmp_ok(query("SELECT count(*) FROM stage_log WHERE to_stage = 'mql'"), '>', 50, 'history has leads that became mql');
cmp_ok(query("SELECT count(*) FROM segment_log WHERE entered"), '>', 50, 'and leads that entered a segment');
is(query('SELECT (SELECT count(*) FROM enrollment), (SELECT count(*) FROM action)'), '0|0', 'history that is older than late_after: no runs, no actions');
query('SELECT sweep(100000)');
is(query("SELECT count(*) FROM enrollment WHERE (edge_at > now() - interval '2 days') IS NOT TRUE OR sequence <> 'left'"), '0', 'a sweep finds only what time has done of late');

# of one file what is fresh begins runs, what is old does not
query('INSERT INTO lead (lead_id, external_id, email, consented_at, created_at, updated_at) ' . sprintf($lead_sql, 201, 300));
query(q{INSERT INTO event (lead_id, kind, occurred_at) SELECT i, 'demo_request', now() - i % 4 * interval '20 hours' - interval '1 hour' FROM generate_series(201, 300) i});
is(query(q{SELECT lead_id % 4, count(*) FROM enrollment WHERE sequence = 'demos' GROUP BY 1 ORDER BY 1}), "0|25\n1|25\n2|25", 'the webinar of the evening before: enrolled; of 61 hours before: not');
# what only time did was at midnight, which may be less than an hour ago
is(query(q{SELECT count(*) FROM enrollment WHERE started_at < edge_at + interval '1 hour' AND sequence <> 'left'}), '0', 'a run begins when its edge is written');
query(q{SET leadscore.enroll = off; INSERT INTO event (lead_id, kind) SELECT i, 'demo_request' FROM generate_series(1, 20) i});
is(query(q{SELECT count(*) FROM enrollment WHERE lead_id <= 20 AND sequence <> 'left'}), '0', 'leadscore.enroll = off: no runs');

# ---- actions in all states ----
query("SELECT give_consent_by_id(lead_id, w, evidence => '{\"form\": \"f\"}') FROM lead, unnest('{policy,marketing}'::text[]) w WHERE lead_id % 9 > 0");
query('SELECT count(*) FROM claim_actions($$email$$, 60)');
query("SELECT complete_action(lead_id, action_id, attempt) FROM action WHERE status = 'claimed' AND lead_id % 3 = 0");
query("SELECT fail_action(lead_id, action_id, attempt, retry => lead_id % 2 = 0) FROM action WHERE status = 'claimed' AND lead_id % 3 = 1");
query("INSERT INTO event (lead_id, kind) SELECT DISTINCT lead_id, 'purchase' FROM action WHERE lead_id % 10 = 1");
query("SELECT enroll_lead_by_id(lead_id, 'news') FROM lead WHERE lead_id % 11 = 0");
query("SELECT cancel_action(lead_id, action_id, attempt) FROM action WHERE status = 'waiting' AND lead_id % 13 = 0");
cmp_ok(query('SELECT count(DISTINCT (status, reason)) FROM action'), '>=', 7, 'actions in many states');
my $rows = "SELECT 'run', e::text FROM p.enrollment e UNION ALL SELECT 'action', a::text FROM p.action a ORDER BY 1, 2";
my $before = query($rows);
sub kept { my ($what) = @_; return is(query($rows), $before, "$what: runs and actions are as they were, byte for byte"); }

# A rebuild of leads whose history is lost writes all of their edges again
sub rebuild
{
	query("SET session_replication_role = replica; DELETE FROM stage_log WHERE lead_id % 3 > 0; DELETE FROM segment_log WHERE lead_id % 3 > 0");
	return cmp_ok(query('SELECT rebuild()'), '>', 50, 'a rebuild that repairs much');
}
query('SELECT rebuild()');
kept('rebuild()');
rebuild();
kept('a rebuild of history');
query('SELECT sweep(100000)');
query('SELECT sweep(100000)');
kept('two sweeps');
query(q{SELECT clone_model('inbound', 'other'); UPDATE rule SET points = points * 3 WHERE model = 'other'; UPDATE model SET allow_demotion = true WHERE model = 'other'});
my $stages = query('SELECT count(*) FROM stage_log');
query(q{SELECT activate_model('other', wait => true)});
kept('the activation of a model');
cmp_ok(query('SELECT count(*) FROM stage_log'), '>', $stages, 'which moved leads to other stages');
query('SELECT sweep(100000)');
rebuild();
kept('a sweep and a rebuild after that');

# ---- B: a late event rewrites history, which begins nothing again ----
query('INSERT INTO lead (lead_id, external_id, email, consented_at, created_at, updated_at) ' . sprintf($lead_sql, 400, 400));
query("SELECT activate_model('inbound', wait => true)");
query(q{
	DO $$
	BEGIN
		FOR i IN 1 .. 30 LOOP
			INSERT INTO event (lead_id, kind, occurred_at)
				VALUES (400, (ARRAY['pricing_view', 'page_view', 'case_study_download', 'demo_request'])[1 + i % 4], now());
			EXIT WHEN EXISTS (SELECT FROM lead_state WHERE lead_id = 400 AND stage = 'mql');
		END LOOP;
	END $$});
is(query("SELECT count(*) FROM enrollment WHERE lead_id = 400 AND sequence = 'mqls'"), '1', 'a lead became mql');
query("INSERT INTO event (lead_id, kind, occurred_at) VALUES (400, 'purchase', now() - interval '20 days')");
is(query("SELECT end_reason FROM enrollment WHERE lead_id = 400 AND sequence = 'mqls'"), 'goal', 'a purchase that arrives late is the goal');
$before = query($rows);
rebuild();
is(query("SELECT count(*) FROM stage_log WHERE lead_id = 400 AND to_stage = 'mql' AND superseded_at IS NULL"), '0', 'the edge is not in history any more');
kept('but');

# ---- a merge moves runs, and a rebuild after it nothing ----
my $runs = query('SELECT count(*) FROM enrollment');
my $count = query('SELECT count(*) FROM action');
query("SELECT merge_leads_by_id(i, i + 1) FROM generate_series(201, 239, 2) i");
is(query('SELECT count(*) FROM enrollment'), $runs, 'merges begin no runs, and lose none');
is(query('SELECT count(*) FROM action'), $count, 'nor actions');
is(query('SELECT count(*) FROM enrollment e LEFT JOIN lead l USING (lead_id) WHERE l.lead_id IS NULL'), '0', 'all of leads that exist');
is(query('SELECT lead_id, sequence, count(*) FROM enrollment WHERE ended_at IS NULL GROUP BY 1, 2 HAVING count(*) > 1'), '', 'one open run of a lead and a sequence');
is(query("SELECT * FROM action WHERE run IS NOT NULL AND dedup_key <> sequence || '/' || run || '/' || step"), '', 'keys of actions follow their runs');
cmp_ok(query("SELECT count(*) FROM enrollment WHERE end_reason = 'merged'"), '>', 0, 'of two open runs the younger ended');
$before = query($rows);
rebuild();
query('SELECT sweep(100000)');
kept('a rebuild after merges');

# ---- a step that was done and is moved further back ----
query("INSERT INTO lead (lead_id, external_id) VALUES (500, 'lead 500')");
query("SELECT pause_sequence('news'); UPDATE sequence_step SET kind = 'alert' WHERE sequence = 'news'; SELECT activate_sequence('news'); SELECT enroll_lead('lead 500', 'news')");
my $done = "SELECT complete_action(lead_id, action_id, attempt) FROM action WHERE lead_id = 500 AND status = 'waiting'";
is(query($done), 't', 'the first step is done');
query("SELECT pause_sequence('news'); UPDATE sequence_step SET position = 9 WHERE sequence = 'news' AND step = 'one'; SELECT activate_sequence('news')");
is(query($done), 't', 'and the second');
is(query("SELECT end_reason, (SELECT count(*) FROM action a WHERE a.lead_id = 500) FROM enrollment WHERE lead_id = 500"), 'completed|2', 'the run is completed, and no step was done twice');
$before = query($rows);

# ---- dump and restore ----
$node->command_ok([ 'pg_dump', '-h', $node->host, '-p', $node->port, '-f', "$dir/dump.sql", 'postgres' ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-h', $node->host, '-p', $node->port, '-o', "$dir/out", '-f', "$dir/dump.sql", 'restored' ], 'restore');
is($node->safe_psql('restored', "SET search_path = p, leadscore, public; $rows"), $before, 'runs and actions are restored as they were');
is($node->safe_psql('restored', 'SELECT * FROM p.verify()'), '', 'verify() after that');
cmp_ok($node->safe_psql('restored', "SELECT count(*) FROM p.claim_actions('email', at => now() + interval '2 hours')"), '>', 0, 'and the queue goes on');
is($node->safe_psql('restored', "INSERT INTO p.event (lead_id, kind) VALUES (20, 'demo_request'); SELECT count(*) FROM p.enrollment WHERE lead_id = 20 AND sequence = 'demos'"), '1', 'and edges begin runs');
$node->stop;
done_testing();
