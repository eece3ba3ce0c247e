# The page "Clients, poolers and generators" holds what it says: each of its
# programs runs as it stands, as the role of an app, directly and some through
# PgBouncer; the jobs, partitions and the stream of changes work; what a
# generator of APIs would see is what users call.
#
# Needs Debian's python3-psycopg, python3-psycopg2, libpostgresql-jdbc-java with a
# JDK, pgbouncer, and for the server's version the packages cron, partman and
# wal2json; and npm's pg, knex and drizzle-orm where node finds them (NODE_PATH).
# What is missing is skipped.

use strict;
use warnings;

use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

# section => language => its blocks
my %section;
my ($title, $language) = ('', undef);
foreach my $line (split /\n/, slurp_file(dirname(__FILE__) . '/../../doc/clients.md'))
{
	if ($line =~ /^```(\w*)/)
	{
		$language = defined $language ? undef : $1;
		push @{ $section{$title}{$language} }, '' if defined $language;
	}
	elsif (defined $language) { $section{$title}{$language}[-1] .= "$line\n"; }
	elsif ($line =~ /^#+ (.*)/) { $title = $1; }
}
ok(!defined $language, 'every block ends');
my $main = 'Clients, poolers and generators';
my $expected = $section{$main}{text}[0];
is($expected, "iql 1\niql 1\n", 'the page says what is printed');

my $node = PostgreSQL::Test::Cluster->new('clients');
my ($sharedir) = map { chomp; $_ } `@{[ $ENV{PG_CONFIG} || 'pg_config' ]} --sharedir`;
my ($pkglibdir) = map { chomp; $_ } `@{[ $ENV{PG_CONFIG} || 'pg_config' ]} --pkglibdir`;
my $has_cron = -e "$sharedir/extension/pg_cron.control";
my $has_partman = -e "$sharedir/extension/pg_partman.control";
my $has_wal2json = -e "$pkglibdir/wal2json.so";
$node->init(allows_streaming => 'logical');
$node->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'\nfsync = off\nmax_worker_processes = 20\n");
$node->start;
$node->safe_psql('postgres', 'CREATE ROLE app LOGIN');
# newer minor versions ask for it
$node->append_conf('postgresql.conf', "output_plugin_libraries = 'pgoutput, test_decoding, wal2json'\n")
	if $node->safe_psql('postgres', q{SELECT count(*) FROM pg_settings WHERE name = 'output_plugin_libraries'}) == 1;
$node->reload;

# A database with the pipeline of the page.
sub database
{
	my ($name) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$node->safe_psql($name, "CREATE EXTENSION leadscore; $section{$main}{sql}[0]");
}

# run COMMAND: success, output, errors
sub output_of
{
	my (@command) = @_;
	my ($out, $err) = ('', '');
	my $ok = eval { IPC::Run::run(\@command, '<', \undef, '>', \$out, '2>', \$err) };
	return ($ok, $out, $err);
}

my ($jar) = grep { -e $_ } '/usr/share/java/postgresql.jar';
my $java = $jar && (output_of('javac', '-version'))[0];

# section => [ language, file, command, what it needs ]
my %clients = (
	'node-postgres' => [ 'js', 'track.js', [ 'node' ], [ 'node', '-e', q{require('pg')} ] ],
	'psycopg' => [ 'python', 'track.py', ['/usr/bin/python3'], [ '/usr/bin/python3', '-c', 'import psycopg' ] ],
	'JDBC' => [ 'java', 'Track.java', [ 'java', '-cp', $jar // '' ], [ $java ? 'true' : 'false' ] ],
	'Knex' => [ 'js', 'knex.js', ['node'], [ 'node', '-e', q{require('pg'); require('knex')} ] ],
	'Drizzle' => [ 'js', 'drizzle.js', ['node'], [ 'node', '-e', q{require('pg'); require('drizzle-orm/node-postgres')} ] ]);
is_deeply([ sort grep { $section{$_}{js} || $section{$_}{java} || ($section{$_}{python} && $_ ne 'Outbox') } keys %section ],
	[ sort keys %clients ], 'every program is run');

# Run the program of a section; through a pooler with what the page says there.
sub run_client
{
	my ($name, $database, $host, $port, $pooled) = @_;
	my ($what, $file, $command) = @{ $clients{$name} };
	my $folder = PostgreSQL::Test::Utils::tempdir;
	my $program = $section{$name}{$what}[0];

	if ($pooled)
	{
		$program =~ s/psycopg\.connect\(/psycopg.connect(prepare_threshold=None, /;
		$program =~ s/(getenv\("PGDATABASE"\))/$1 + "?prepareThreshold=0"/;
	}
	append_to_file("$folder/$file", $program);
	local %ENV = (%ENV, PGHOST => $host, PGPORT => $port, PGDATABASE => $database, PGUSER => 'app');
	return output_of(@$command, "$folder/$file");
}

foreach my $name (sort keys %clients)
{
	SKIP:
	{
		skip "$name is not here", 3 unless (output_of(@{ $clients{$name}[3] }))[0];
		my $database = lc($name) =~ s/\W//gr;
		database($database);
		# JDBC knows no sockets of files
		my ($ok, $out, $err) = run_client($name, $database, $name eq 'JDBC' ? '127.0.0.1' : $node->host, $node->port, 0);
		ok($ok, "$name: runs") or diag($err);
		is($out, $expected, "$name: what it prints");
		is($node->safe_psql($database, q{SELECT l.external_id, l.email, l.consented_at IS NOT NULL, e.kind, e.source_id FROM crm.lead l JOIN crm.event e USING (lead_id)}),
			'ann|ann@example.com|t|demo_request|form 17', "$name: one event is stored");
	}
}

# PgBouncer in transaction mode, one connection for all: what one client leaves
# behind in its session the next one would find.
SKIP:
{
	my ($bouncer) = grep { -x $_ } map { "$_/pgbouncer" } (split(/:/, $ENV{PATH}), '/usr/sbin');
	skip 'PgBouncer is not here', 12 unless $bouncer;

	database('pooled');
	my $folder = PostgreSQL::Test::Utils::tempdir_short;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	append_to_file("$folder/bouncer.ini", "[databases]\npooled = host=" . $node->host . ' port=' . $node->port . " dbname=pooled\n\n"
		. $section{PgBouncer}{ini}[0]
		. "default_pool_size = 1\nlisten_addr = 127.0.0.1\nlisten_port = $port\nunix_socket_dir = $folder\nauth_type = any\nlogfile = $folder/log\npidfile = $folder/pid\n");
	# "any" logs in as a role that is given
	my $ini = slurp_file("$folder/bouncer.ini") =~ s/dbname=pooled/dbname=pooled user=app/r;
	unlink "$folder/bouncer.ini";
	append_to_file("$folder/bouncer.ini", $ini);
	my ($out, $err) = ('', '');
	my $pooler = IPC::Run::start([ $bouncer, "$folder/bouncer.ini" ], '<', \undef, '>', \$out, '2>', \$err);
	my $connect = "host=127.0.0.1 port=$port dbname=pooled user=app";
	my $end = time() + 30;
	sleep 0.2 until (output_of('psql', '-XAt', '-d', $connect, '-c', 'SELECT 1'))[0] || time() > $end;

	foreach my $name (sort keys %clients)
	{
		SKIP:
		{
			skip "$name is not here", 2 unless (output_of(@{ $clients{$name}[3] }))[0];
			$node->safe_psql('pooled', q{DELETE FROM crm.lead; ALTER SEQUENCE crm.event_event_id_seq RESTART});
			my ($ok, $printed, $errors) = run_client($name, 'pooled', '127.0.0.1', $port, 1);
			ok($ok, "PgBouncer: $name runs") or diag($errors);
			is($printed, $expected, "PgBouncer: what $name prints");
		}
	}

	# two clients, statement by statement in turns on one connection
	$node->safe_psql('postgres', 'CREATE ROLE zoe; GRANT zoe TO app');
	$node->safe_psql('pooled', q{SELECT leadscore.grant_app('crm', 'zoe')});
	my @psql = ('psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $connect);
	my ($ok, $printed, $errors) = output_of(@psql,
		'-c', q{SELECT stage FROM crm.track('ben', 'page_view', source_id => 'q', profile => '{"email": "ben@example.com", "consent": true}')},
		'-c', q{BEGIN; SET LOCAL ROLE zoe; SELECT crm.set_stage('ben', 'iql'); COMMIT},
		'-c', q{SELECT current_user},
		'-c', q{SELECT stage FROM crm.track('ben', 'page_view', source_id => 'p')});
	ok($ok, 'PgBouncer: roles of transactions') or diag($errors);
	is($node->safe_psql('pooled', q{SELECT properties ->> 'by' FROM crm.event WHERE kind = 'stage_set'}), 'zoe', 'PgBouncer: who did it');
	like($printed, qr/^app$/m, 'PgBouncer: the role ends with its transaction');
	is($node->safe_psql('pooled', 'SELECT * FROM crm.verify()'), '', 'PgBouncer: verify()');
	$pooler->signal('INT');
	$pooler->finish;
}

SKIP:
{
	skip 'pg_cron is not here', 5 unless $has_cron;

	database('cron');
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_cron'\ncron.database_name = 'cron'\ncron.use_background_workers = on\n");
	$node->restart;
	$node->safe_psql('cron', 'CREATE EXTENSION pg_cron');
	is($node->safe_psql('cron', join '', @{ $section{pg_cron}{sql} }), "1\n2\n3", 'pg_cron: three jobs');
	# a lead that time moves, and an old event
	$node->safe_psql('cron', q{
		UPDATE crm.retention SET keep_for = '30 days' WHERE table_name = 'event';
		SELECT crm.track('ann', 'demo_request', occurred_at => now() - interval '2 years');
		UPDATE cron.job SET schedule = '* * * * *';
	});
	ok($node->poll_query_until('cron', q{SELECT count(*) FILTER (WHERE status = 'succeeded') >= 3 FROM cron.job_run_details}), 'pg_cron: the jobs succeed');
	is($node->safe_psql('cron', q{SELECT count(*) FROM cron.job_run_details WHERE status = 'failed'}), '0', 'pg_cron: none fails');
	is($node->safe_psql('cron', 'SELECT count(*) FROM crm.event'), '0', 'pg_cron: the old event was purged');
	is($node->safe_psql('cron', 'SELECT * FROM crm.verify()'), '', 'pg_cron: verify()');
	$node->safe_psql('cron', 'SELECT cron.unschedule(jobid) FROM cron.job');
}

SKIP:
{
	skip 'pg_partman is not here', 7 unless $has_partman;

	database('partman');
	$node->safe_psql('partman', q{
		CREATE SCHEMA partman;
		CREATE EXTENSION pg_partman SCHEMA partman;
		SELECT crm.track('ann', 'demo_request', occurred_at => '2024-01-10', profile => '{"email": "ann@example.com", "consent": true}');
		SELECT crm.track('ann', 'pricing_view', occurred_at => '2024-02-10');
		SELECT crm.track('ben', 'demo_request', occurred_at => '2023-05-05');
	});
	my $score = q{SELECT s.external_id, s.stage, crm.score_by_id(s.lead_id, '2024-03-01') FROM crm.lead_score s ORDER BY 1};
	my $histories = 'SELECT lead_id, seq, to_stage, effective_at FROM crm.stage_history ORDER BY 1, 2';
	my ($before, $history) = map { $node->safe_psql('partman', $_) } $score, $histories;
	my ($make, $drop) = @{ $section{pg_partman}{sql} };
	$node->safe_psql('partman', $make);
	is($node->safe_psql('partman', q{SELECT count(DISTINCT tableoid) FROM crm.event}), '3', 'pg_partman: events are in partitions');
	is($node->safe_psql('partman', $score), $before, 'pg_partman: scores are as before');
	is($node->safe_psql('partman', q{SELECT stage FROM crm.track('cid', 'demo_request', profile => '{"email": "c@example.com", "consent": true}')}), 'iql', 'pg_partman: an event of today');
	# what is old goes; the scores stay
	my $left = $node->safe_psql('partman', 'SELECT count(*) FROM crm.event');
	$node->safe_psql('partman', $drop);
	is($node->safe_psql('partman', q{SELECT string_agg(kind, ' ') FROM crm.event WHERE occurred_at >= '2024-01-01'}), 'demo_request', 'pg_partman: old partitions are gone');
	is($node->safe_psql('partman', "SELECT * FROM ($score) s WHERE external_id <> 'cid'"), $before, 'pg_partman: and scores are as before');
	is($node->safe_psql('partman', "SELECT * FROM ($histories) h WHERE lead_id <> crm.lead_id('cid')"), $history, 'pg_partman: and histories');
	is($node->safe_psql('partman', 'SELECT * FROM crm.verify()'), '', 'pg_partman: verify()');
}

SKIP:
{
	skip 'wal2json is not here', 5 unless $has_wal2json;
	skip 'psycopg2 is not here', 5 unless (output_of('/usr/bin/python3', '-c', 'import psycopg2'))[0];

	database('outbox');
	$node->safe_psql('postgres', 'CREATE ROLE feed LOGIN REPLICATION');
	$node->safe_psql('outbox', $section{Outbox}{sql}[0]);
	my $file = PostgreSQL::Test::Utils::tempdir . '/outbox.py';
	append_to_file($file, $section{Outbox}{python}[0]);
	my ($out, $err) = ('', '');
	my $feed = sub {
		local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'outbox', PGUSER => 'feed');
		return IPC::Run::start([ '/usr/bin/python3', $file ], '<', \undef, '>', \$out, '2>', \$err);
	};
	my $wait_for = sub {
		my ($wanted, $program) = @_;
		my $end = time() + 60;
		do { sleep 0.1; $program->pump_nb; } while ($out !~ $wanted && time() < $end);
	};

	# before it runs
	$node->safe_psql('outbox', q{SELECT crm.track('ann', 'demo_request', occurred_at => '2025-03-02 10:00Z', profile => '{"email": "ann@example.com", "consent": true}')});
	$node->safe_psql('outbox', q{SELECT crm.track('ann', 'purchase', occurred_at => '2025-03-03 10:00Z', value => 900)});
	my $running = $feed->();
	my $rows = $node->safe_psql('outbox', q{SELECT format('entered %s %s %s', lead_id, seq, to_stage) FROM crm.stage_log ORDER BY seq}) . "\n";
	$wait_for->(qr/customer\n/, $running);
	is($out, $rows, 'outbox: stages that were entered before it began');
	# the purchase is taken back, and so is the stage
	$out = '';
	$node->safe_psql('outbox', q{DELETE FROM crm.event WHERE kind = 'purchase'});
	my $superseded = $node->safe_psql('outbox', 'SELECT count(*) FROM crm.stage_log WHERE superseded_at IS NOT NULL');
	cmp_ok($superseded, '>', 0, 'outbox: a correction supersedes');
	$wait_for->(qr/taken back .*\n/, $running);
	is((() = $out =~ /^taken back \d+ \d+ customer$/mg), 1, 'outbox: and is told');
	unlike($out, qr/example\.com/, 'outbox: nothing personal');
	$running->kill_kill;
	# what comes meanwhile is there when it comes back
	$out = '';
	$node->safe_psql('outbox', q{SELECT crm.track('ben', 'demo_request', occurred_at => '2025-03-03 10:00Z', profile => '{"email": "ben@example.com", "consent": true}')});
	$running = $feed->();
	$wait_for->(qr/entered 2 .*\n/, $running);
	like($out, qr/^entered 2 1 iql$/m, 'outbox: goes on where it stood');
	$running->kill_kill;
}

# What a generator of APIs sees: what a role may use, by the catalog.
database('api');
$node->safe_psql('api', join '', @{ $section{'Generators of APIs'}{sql} });
my $sees = sub {
	my ($role, $schemas) = @_;
	return $node->safe_psql('api', qq{
		SELECT kind || ' ' || name FROM (
			SELECT 'relation' AS kind, c.oid::regclass::text AS name FROM pg_class c
			WHERE c.relnamespace::regnamespace::text = ANY ('$schemas') AND c.relkind IN ('r', 'v', 'm', 'f', 'p')
				AND has_schema_privilege('$role', c.relnamespace, 'USAGE') AND has_table_privilege('$role', c.oid, 'SELECT, INSERT, UPDATE, DELETE')
			UNION ALL
			SELECT 'function', p.oid::regproc::text FROM pg_proc p
			WHERE p.pronamespace::regnamespace::text = ANY ('$schemas')
				AND has_schema_privilege('$role', p.pronamespace, 'USAGE') AND has_function_privilege('$role', p.oid, 'EXECUTE')
		) s ORDER BY 1});
};
is($sees->('anon', '{api,crm,crm_reports}'), '', 'generators: anon sees nothing');
my @staff = split /\n/, $sees->('staff', '{api}');
is(join(' ', grep { /function/ } @staff), 'function api.track', 'generators: staff can call what the page makes');
is(join(' ', grep { /\._/ } @staff), '', 'generators: nothing internal');
is(join("\n", map { s/.*\.//r } grep { /relation/ } @staff), $node->safe_psql('api', q{
	SELECT viewname FROM pg_views WHERE schemaname = 'crm_reports' AND viewname NOT LIKE '\_%' ORDER BY 'relation api.' || viewname}), 'generators: all reports');
cmp_ok(scalar @staff, '>', 30, 'generators: there are some');
is($node->safe_psql('api', q{SELECT count(*) FROM pg_class WHERE relnamespace = 'api'::regnamespace AND obj_description(oid, 'pg_class') IS NULL AND relkind = 'v'}), '0', 'generators: all are explained');
is($node->safe_psql('api', q{SET ROLE staff; SELECT api.track('ann', 'demo_request', 'form 1'); SELECT count(*) FROM api.lead_dim}), "visitor\n1",
	'generators: staff can use it');
like(($node->psql('api', q{SET ROLE anon; SELECT count(*) FROM api.lead_dim}))[2], qr/permission denied/, 'generators: anon cannot');
is($node->safe_psql('api', q{SELECT leadscore.upgrade_pipeline('crm') > 0, count(*) FROM api.lead_dim}), 't|1', 'generators: upgrade_pipeline() works beside it');
is($node->safe_psql('api', q{SELECT count(*) FROM pg_description WHERE description LIKE '@%' AND objoid IN (
	SELECT oid FROM pg_class WHERE relnamespace IN ('crm'::regnamespace, 'crm_reports'::regnamespace, 'leadscore'::regnamespace)
	UNION SELECT oid FROM pg_proc WHERE pronamespace IN ('crm'::regnamespace, 'crm_reports'::regnamespace, 'leadscore'::regnamespace))}), '0', 'generators: no comment is a smart tag');

$node->stop;
done_testing();
