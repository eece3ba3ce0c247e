# Many clients at a time: nothing is lost, stored values are those that verify()
# computes, and nothing deadlocks but transactions of several statements that
# lock the same leads in different orders. CONCURRENCY_SECONDS says how long
# each of the loads runs, default 1.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seconds = $ENV{CONCURRENCY_SECONDS} || 1;
my $node = PostgreSQL::Test::Cluster->new('concurrency');
$node->init;
$node->append_conf('postgresql.conf', q{
fsync = off
max_connections = 20
deadlock_timeout = '20ms'
log_lock_waits = on
log_error_verbosity = verbose
log_line_prefix = '%m [%p] %e '
log_statement = none
autovacuum_naptime = '1s'
});
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION leadscore;
	SELECT leadscore.create_pipeline('p', 'inbound');
	SELECT p.clone_model('inbound', 'other');
	UPDATE p.model SET allow_demotion = true WHERE model = 'other';
	UPDATE p.rule SET points = points * 2 WHERE model = 'other';
	INSERT INTO p.lead (lead_id, external_id, email, consented_at, created_at, updated_at)
		SELECT i, 'lead ' || i, 'a@example.com', '2025-01-01', '2025-01-01', '2025-01-01' FROM generate_series(1, 50) i;
	SELECT setval('p.lead_lead_id_seq', 1000);
	CREATE FUNCTION random_kind() RETURNS text LANGUAGE sql AS $$
		SELECT (ARRAY['pricing_view', 'demo_request', 'purchase', 'lost', 'recycled', 'email_click', 'unknown'])[1 + floor(random() * 7)::int]
	$$;
	-- leads come and go, and so do models: what finds one gone gives up
	CREATE FUNCTION attempt(sql text) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		EXECUTE sql;
	EXCEPTION
		WHEN foreign_key_violation OR no_data_found OR serialization_failure OR object_not_in_prerequisite_state THEN NULL;
	END $$;
});

my $dir = PostgreSQL::Test::Utils::tempdir;
my %scripts = (
	# ten events of any leads, in any order
	batch => q{
INSERT INTO p.event (lead_id, kind, occurred_at)
	SELECT 1 + floor(random() * 50)::int, random_kind(), '2025-02-01'::timestamptz + i * interval '1 hour'
	FROM generate_series(1, 10) i;
},
	hot => q{
INSERT INTO p.event (lead_id, kind, occurred_at) VALUES (1, random_kind(), '2025-03-01'::timestamptz + random() * interval '90 days');
},
	# several statements: a deadlock is tried again
	several => q{
\set one random(1, 50)
\set two random(1, 50)
\set three random(1, 50)
BEGIN;
INSERT INTO p.event (lead_id, kind) VALUES (:one, 'page_view');
INSERT INTO p.event (lead_id, kind) VALUES (:two, 'page_view');
INSERT INTO p.event (lead_id, kind) VALUES (:three, 'page_view');
COMMIT;
},
	# what a snapshot sees stays as it is
	snapshot => q{
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT md5(string_agg(concat(s, ' ', p.score_by_id(lead_id, '2025-06-01')), ',' ORDER BY lead_id)) AS before FROM p.lead_state s \gset
\sleep :ms ms
SELECT 1 / (md5(string_agg(concat(s, ' ', p.score_by_id(lead_id, '2025-06-01')), ',' ORDER BY lead_id)) = ':before')::int FROM p.lead_state s;
COMMIT;
},
	insert => q{
SELECT attempt($$INSERT INTO p.event (lead_id, kind, occurred_at)
	SELECT lead_id, random_kind(), '2025-02-01'::timestamptz + lead_id * interval '1 day' FROM p.lead ORDER BY random() LIMIT 10$$);
},
	update => q{
\set lead random(1, 50)
SELECT attempt($$UPDATE p.event SET lead_id = :lead, occurred_at = occurred_at - interval '1 day', kind = random_kind()
	WHERE (lead_id, event_id) IN (SELECT lead_id, event_id FROM p.event ORDER BY random() LIMIT 1) AND EXISTS (SELECT FROM p.lead WHERE lead_id = :lead)$$);
},
	delete => q{
DELETE FROM p.event WHERE (lead_id, event_id) IN (SELECT lead_id, event_id FROM p.event ORDER BY random() LIMIT 1);
},
	profile => q{
\set lead random(1, 50)
UPDATE p.lead SET profile = jsonb_build_object('budget', :lead % 2 = 0, 'employees', floor(random() * 1000)) WHERE lead_id = :lead;
},
	lead => q{
\set lead random(1, 50)
DELETE FROM p.lead WHERE lead_id = :lead;
INSERT INTO p.lead (lead_id, external_id, email, consented_at) VALUES (:lead, 'lead ' || :lead, 'a@example.com', '2025-01-01') ON CONFLICT DO NOTHING;
},
	# leads that all clients make at the same time
	track => q{
SELECT attempt($$SELECT FROM p.track('new ' || floor(extract(epoch FROM clock_timestamp()) * 20), 'demo_request', profile => '{"need": true}')$$);
},
	track_many => q{
SELECT attempt($$SELECT FROM p.track_many((SELECT jsonb_agg(jsonb_build_object('kind', 'page_view', 'profile', '{"budget": true}'::jsonb, 'external_id',
	CASE WHEN i < 3 THEN 'new ' || floor(extract(epoch FROM clock_timestamp()) * 20) + i ELSE 'lead ' || floor(1 + random() * 50) END)) FROM generate_series(1, 5) i))$$);
},
	upsert => q{
SELECT attempt($$SELECT p.upsert_lead('new ' || floor(extract(epoch FROM clock_timestamp()) * 20), 'b@example.com', '{"timeline": true}')$$);
},
	stage => q{
\set lead random(1, 50)
SELECT attempt($$SELECT p.set_stage_by_id(:lead, 'mql')$$);
},
	sweep => "SELECT p.sweep(10);\n",
	rebuild => "SELECT p.rebuild();\n",
	activate => q{
SELECT attempt($$SELECT p.activate_model(model) FROM p.model WHERE model IN ('inbound', 'other') AND status <> 'active'$$);
},
	clone => q{
SELECT attempt($$SELECT p.clone_model('inbound', 'm' || clock_timestamp() || pg_backend_pid())$$);
},
	signal => q{
UPDATE p.signal SET condition = CASE WHEN random() < 0.5 THEN '$value == 1'::jsonpath END
	WHERE signal = (ARRAY['pricing_view', 'demo_request'])[1 + floor(random() * 2)::int];
});
append_to_file("$dir/$_.sql", $scripts{$_}) foreach keys %scripts;

sub query { return $node->safe_psql('postgres', $_[0]); }

# Run scripts, each with its weight, beside a long snapshot. Returns how many
# transactions were committed.
sub load
{
	my ($name, %weights) = @_;
	my @command = ('pgbench', '-n', '-T', $seconds, '--max-tries=0', '-h', $node->host, '-p', $node->port);
	my $snapshot = IPC::Run::start([ @command, '-D', 'ms=' . $seconds * 800, '-f', "$dir/snapshot.sql", 'postgres' ],
		'>', \my $snapshot_out, '2>', \my $snapshot_err);
	my $ok = IPC::Run::run([ @command, '-c', 8, '-j', 2, (map { ('-f', "$dir/$_.sql\@$weights{$_}") } sort keys %weights), 'postgres' ],
		'>', \my $out, '2>', \my $err);
	ok($ok, "$name: load") or diag($err);
	ok($snapshot->finish, "$name: a long snapshot beside it") or diag($snapshot_err);
	is(query('SELECT * FROM p.verify()'), '', "$name: verify()");
	my ($committed) = $out =~ /number of transactions actually processed: (\d+)/;
	note("$name: $committed transactions");
	return $committed;
}

# What went wrong since the last call must be of these SQLSTATEs; that autovacuum
# makes way for others (57014) did not. Else the log is shown: the errors, and
# what the sessions that they name waited for.
my $read = 0;
sub errors_are
{
	my ($expected, $name) = @_;
	my @entries = split(/^(?=\d{4}-\d\d-\d\d \S+ \S+ \[\d+\])/m, slurp_file($node->logfile, $read));
	$read = -s $node->logfile;
	my (%states, %wrong, %sessions);
	foreach my $entry (@entries)
	{
		my ($pid, $state, $level) = $entry =~ /^\S+ \S+ \S+ \[(\d+)\] (\w{5}) (\w+):/ or next;
		next if $state eq '57014' || $state eq '00000';
		$states{$state} = 1 if $level =~ /ERROR|FATAL|PANIC/;
		next if $state =~ /^(?:$expected)$/;
		$wrong{$entry} = 1;
		$sessions{$_} = 1 foreach $pid, $entry =~ /\bProcess (\d+)/g;
	}
	return if is(join(' ', grep { !/^(?:$expected)$/ } sort keys %states), '', $name);
	my @waits = grep { /^\S+ \S+ \S+ \[(\d+)\]/ && $sessions{$1} && !$wrong{$_} } @entries;
	diag(join('', (@waits > 60 ? @waits[-60 .. -1] : @waits), grep { $wrong{$_} } @entries));
	return;
}

my $committed = load('batches', batch => 1);
is(query('SELECT count(*) FROM p.event'), 10 * $committed, 'batches: all are there');
errors_are('', 'batches: no deadlocks');

# an index of the owner's moves the state to another place with every event
query('TRUNCATE p.event; CREATE INDEX mine ON p.lead_state (updated_at)');
$committed = load('one lead', hot => 1);
is(query('SELECT count(*) FROM p.event WHERE lead_id = 1'), $committed, 'one lead: all are there');
errors_are('', 'one lead: no deadlocks');

query('TRUNCATE p.event; DROP INDEX p.mine');
$committed = load('several statements', several => 1);
is(query('SELECT count(*) FROM p.event'), 3 * $committed, 'several statements: all are there');
errors_are('40P01', 'several statements: deadlocks only');

load('all at once', insert => 10, update => 4, delete => 4, profile => 4, lead => 2,
	track => 6, upsert => 2, track_many => 4, stage => 2, sweep => 3, rebuild => 1, activate => 1, clone => 1, signal => 1);
errors_are('', 'all at once: no deadlocks');

load('leads that come and go', insert => 10, track => 6, track_many => 20, lead => 12);
errors_are('', 'leads that come and go: no deadlocks');

load('signals', insert => 10, signal => 10, activate => 4, clone => 4);
errors_are('', 'signals: no deadlocks');

is(query('SELECT count(*) FROM p.event e WHERE NOT EXISTS (SELECT FROM p.lead l WHERE l.lead_id = e.lead_id)'), '0', 'no events without a lead');
is(query(q{
	SELECT count(*) FROM (
		SELECT h.*, lag(to_stage) OVER w AS before, lag(effective_at) OVER w AS at_before, lead(seq) OVER w IS NULL AS newest, s.stage
		FROM p.stage_history h FULL JOIN p.lead_state s USING (lead_id) WINDOW w AS (PARTITION BY lead_id ORDER BY seq)) h
	WHERE from_stage::text IS DISTINCT FROM before::text OR effective_at < at_before OR newest AND to_stage::text IS DISTINCT FROM stage::text
	}), '0', 'histories without gaps');
query('SELECT p.sweep(1000000)');
is(query('SELECT p.sweep()'), '0', 'nothing is due');
is(query('SELECT p.rebuild()'), '0', 'nothing to rebuild');
$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP|PANIC|XX000|terminated by signal/, 'log');
done_testing();
