# A process of the server, or the whole of it, is killed at any point, under a
# load of everything: nothing is lost but the transactions that were open, and
# stored values are those that verify() computes from the log. CRASH_CYCLES says how
# often (default 4), CRASH_SECONDS how long at most the load runs before (0.5).
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $cycles = $ENV{CRASH_CYCLES} || 4;
my $seconds = $ENV{CRASH_SECONDS} || 0.5;

my $node = PostgreSQL::Test::Cluster->new('crash');
$node->init;
$node->append_conf('postgresql.conf', q{
fsync = off
restart_after_crash = on
log_line_prefix = '%m [%p] %e '
log_statement = none
autovacuum_naptime = '1s'
max_wal_size = '32MB'
});
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION leadscore;
	CREATE EXTENSION amcheck;
	SELECT leadscore.create_pipeline('p', 'inbound');
	SELECT p.clone_model('inbound', 'other');
	UPDATE p.model SET allow_demotion = true WHERE model = 'other';
	UPDATE p.rule SET points = points * 2 WHERE model = 'other';
	INSERT INTO p.lead (lead_id, external_id, email, consented_at)
		SELECT i, 'lead ' || i, 'a@example.com', now() FROM generate_series(1, 100) i;
	SELECT setval('p.lead_lead_id_seq', 100);
	-- leads come and go: what finds one gone gives up, and a savepoint with it
	CREATE FUNCTION attempt(sql text) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		EXECUTE sql;
	EXCEPTION
		WHEN integrity_constraint_violation OR object_not_in_prerequisite_state THEN NULL;
	END $$;
});

my $dir = PostgreSQL::Test::Utils::tempdir;
my %scripts = (
	# ten events of leads in any order
	insert => q{
\set lead random(1, 100)
SELECT attempt($$INSERT INTO p.event (lead_id, kind, occurred_at)
	SELECT l.lead_id, (ARRAY['pricing_view', 'demo_request', 'purchase', 'lost', 'recycled', 'email_click'])[1 + i % 6],
		now() - (i * 7 + :lead) * interval '1 hour'
	FROM generate_series(1, 10) i JOIN p.lead l ON l.lead_id = 1 + (:lead * i * 37) % 100$$);
},
	update => q{
\set lead random(1, 100)
\set other random(1, 100)
SELECT attempt($$UPDATE p.event SET lead_id = :other, occurred_at = occurred_at - interval '1 day'
	WHERE lead_id = :lead AND event_id % 3 = 0 AND EXISTS (SELECT FROM p.lead WHERE lead_id = :other)$$);
},
	delete => q{
\set lead random(1, 100)
DELETE FROM p.event WHERE lead_id = :lead AND event_id % 4 = 0;
},
	lead => q{
\set lead random(1, 100)
BEGIN;
UPDATE p.lead SET profile = jsonb_build_object('budget', :lead % 2 = 0, 'employees', :lead * 10) WHERE lead_id = :lead;
INSERT INTO p.event (lead_id, kind) SELECT lead_id, 'quote_request' FROM p.lead WHERE lead_id = :lead;
COMMIT;
},
	gone => q{
\set lead random(1, 100)
DELETE FROM p.lead WHERE lead_id = :lead;
INSERT INTO p.lead (lead_id, external_id, email, consented_at) VALUES (:lead, 'lead ' || :lead, 'a@example.com', now()) ON CONFLICT DO NOTHING;
},
	track => q{
\set lead random(1, 150)
SELECT attempt($$SELECT FROM p.track('lead ' || :lead, 'product_page_view', source_id => 's' || :lead, profile => '{"authority": true}')$$);
},
	upkeep => q{
SELECT CASE WHEN random() < 0.1 THEN p.rebuild() END;
SELECT p.sweep(50);
SELECT attempt($$SELECT CASE WHEN random() < 0.1 THEN p.activate_model(m.model) END FROM p.model m WHERE m.status <> 'active' LIMIT 1$$);
});
my @load;
foreach my $name (sort keys %scripts)
{
	append_to_file("$dir/$name.sql", $scripts{$name});
	push @load, '-f', "$dir/$name.sql\@" . ($name eq 'insert' ? 10 : $name eq 'gone' || $name eq 'upkeep' ? 1 : 3);
}

foreach my $cycle (1 .. $cycles)
{
	local $ENV{PGAPPNAME} = 'load';
	my $running = IPC::Run::start(
		[ 'pgbench', '-n', '-c', 6, '-j', 2, '-T', 600, '-h', $node->host, '-p', $node->port,
			'--max-tries=0', @load, 'postgres' ],
		'>', \my $out, '2>', \my $err);
	local $ENV{PGAPPNAME} = 'test';
	$node->poll_query_until('postgres', "SELECT count(*) = 6 FROM pg_stat_activity WHERE application_name = 'load'")
	  or die 'no load';
	usleep(int(rand($seconds * 1_000_000)));
	my $victim;
	if ($cycle % 2)
	{
		$victim = 'a process';
		my $pid = $node->safe_psql('postgres', 'SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() ORDER BY random() LIMIT 1');
		kill 'KILL', $pid;
		$running->finish;
		$node->poll_query_until('postgres', 'SELECT true');
	}
	else
	{
		$victim = 'the server';
		my ($pid) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
		$node->kill9;
		$running->finish;
		usleep(10_000) while kill 0, $pid;
		# its processes go as soon as they see it
		usleep(100_000) until $node->start(fail_ok => 1);
	}
	is($node->safe_psql('postgres', 'SELECT * FROM p.verify()'), '', "cycle $cycle: verify() after $victim was killed");
}

is($node->safe_psql('postgres', 'SELECT count(*) > 100 FROM p.event'), 't', 'there was a load');
is($node->safe_psql('postgres', 'SELECT p.rebuild()'), '0', 'nothing to rebuild');
$node->command_ok(
	[ 'pg_amcheck', '--heapallindexed', '--parent-check', '-d', 'postgres', '-h', $node->host, '-p', $node->port ],
	'tables and indexes are sound');
$node->stop;
my $log = slurp_file($node->logfile);
unlike($log, qr/TRAP|signal (?!9:)\d/, 'no other crashes');
# a deadlock, what a crash says, or autovacuum that makes way for others
my %states = map { $_ => 1 } $log =~ /\] (\w{5}) (?:ERROR|FATAL|PANIC)/g;
is(join(' ', grep { !/^(40P01|57014|57P0[123])$/ } sort keys %states), '', 'no other errors');
done_testing();
