# The workers of doc/worker, started as a person would: they empty the queue,
# whatever a mailer does that fails at random, and end cleanly. Every message is
# sent once, but where a worker was killed between the mailer and
# complete_action(): nobody can tell then if it is on its way.
# Needs psycopg2, and for node the package pg where node finds it (NODE_PATH); a
# client that is missing is skipped.

use strict;
use warnings;

use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $folder = dirname(__FILE__) . '/../../doc/worker';
my $node = PostgreSQL::Test::Cluster->new('worker');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\n");
$node->start;
$node->safe_psql('postgres', 'CREATE ROLE app LOGIN');

my $leads = 30;
my %workers = ('Python' => [ '/usr/bin/python3', '-c', 'import psycopg2', 'worker.py' ], 'Node' => [ 'node', '-e', q{require('pg')}, 'worker.js' ]);

# a mailer that writes down what it sends, and fails at random before it does
my $mailer = PostgreSQL::Test::Utils::tempdir . '/mailer';
append_to_file($mailer, <<'END');
use Fcntl ':flock';
my $message = do { local $/; <STDIN> };
exit 1 if rand() < $ENV{FAILS};
select undef, undef, undef, $ENV{TAKES};
my ($id) = $message =~ /"action_id": ?"?(\d+)/ or die $message;
open my $log, '>>', $ENV{SENT} or die $!;
flock $log, LOCK_EX or die $!;
print $log "$id\n";
close $log or die $!;
END

foreach my $name (sort keys %workers)
{
	my ($interpreter, $option, $needs, $script) = @{ $workers{$name} };
	my $database = lc $name;
	my ($out, $err) = ('', '');

	SKIP:
	{
		skip "$name is not here", 12 unless eval { IPC::Run::run([ $interpreter, $option, $needs ], '>', \$out, '2>', \$err) };

		$node->safe_psql('postgres', "CREATE DATABASE $database");
		$node->safe_psql($database, q{
			CREATE EXTENSION leadscore;
			SELECT leadscore.create_pipeline('crm', reports => false), leadscore.grant_app('crm', 'app');
			DELETE FROM crm.contact_hours;
			DELETE FROM crm.contact_limit;
			INSERT INTO crm.sequence (sequence, starts_on) VALUES ('three mails', 'by_hand');
			INSERT INTO crm.sequence_step (sequence, step, position, channel, topic, content)
				SELECT 'three mails', 'mail ' || i, i, 'email', 'news', 'mail ' || i FROM generate_series(1, 3) i;
			SELECT crm.activate_sequence('three mails');
		} . "SELECT crm.upsert_lead('lead ' || i, i || '\@mail.example', consent => true) FROM generate_series(1, $leads) i;" . q{
			SELECT crm.give_consent('lead ' || i, 'marketing', 'email', evidence => '{"form": "f"}'), crm.enroll_lead('lead ' || i, 'three mails') FROM generate_series(1, 25) i;
		});
		my $sent = PostgreSQL::Test::Utils::tempdir . "/$database.sent";
		my $worker = sub {
			my ($called, $fails, $takes) = @_;
			local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => $database, PGUSER => 'app',
				WORKER => $called, MAILER => "$^X $mailer", SENT => $sent, FAILS => $fails, TAKES => $takes);
			return IPC::Run::start([ $interpreter, "$folder/$script" ], '>', \$out, '2>', \$err);
		};
		my $waiting = sub { return $node->safe_psql($database, q{SELECT count(*) FROM crm.action WHERE status IN ('waiting', 'claimed') AND due_at <= now()}); };
		my $wait_for = sub { my ($what) = @_; my $end = time() + 120; sleep 0.2 while $what->() && time() < $end; };

		# without a command nothing is claimed
		{
			local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => $database, PGUSER => 'app', MAILER => '');
			ok(!IPC::Run::run([ $interpreter, "$folder/$script" ], '>', \$out, '2>', \$err), "$name: needs a command");
			like($err, qr/^set MAILER/, "$name: says so");
		}
		is($node->safe_psql($database, q{SELECT count(*) FROM crm.action WHERE status = 'claimed'}), '0', "$name: claims nothing without");

		# two of them, one of which is told to stop while it sends
		my @running = map { $worker->($_, 0.2, 0) } 'one', 'two';
		$wait_for->(sub { $node->safe_psql($database, q{SELECT count(*) FROM crm.action WHERE status = 'done'}) < 10 });
		$running[0]->signal('TERM');
		ok($running[0]->finish, "$name: ends when told to") or diag($err);
		# what it had claimed and not sent comes back with its lease, and retries wait minutes: let time pass
		$wait_for->(sub {
			$node->safe_psql($database, q{
				UPDATE crm.action SET claimed_until = now() WHERE status = 'claimed' AND claimed_by = 'one' AND claimed_until > now();
				UPDATE crm.action SET due_at = now() WHERE status = 'waiting' AND reason = 'retry' AND due_at > now();});
			return $node->safe_psql($database, 'SELECT count(*) FROM crm.enrollment WHERE ended_at IS NULL') > 0;
		});
		$running[1]->signal('TERM');
		ok($running[1]->finish, "$name: the other one too") or diag($err);
		my @lines = split /\n/, slurp_file($sent);
		my %times;
		$times{$_}++ foreach @lines;
		is(join(' ', grep { $times{$_} > 1 } sort keys %times), '', "$name: no message was sent twice");
		is($node->safe_psql($database, q{SELECT count(*) FROM crm.action WHERE status = 'done'}), scalar(keys %times), "$name: what was sent is done");
		is($node->safe_psql($database, q{SELECT count(*) FROM crm.event WHERE kind = 'email_sent'}), scalar(keys %times), "$name: and an event");
		cmp_ok($node->safe_psql($database, 'SELECT max(attempt) FROM crm.action'), '>', 1, "$name: some were tried again");

		# killed in the middle of a message, and the server goes away under another
		$node->safe_psql($database, q{
			SELECT crm.add_action('lead ' || i, 'email', 'receipt', dedup_key => 'r', transactional => true) FROM generate_series(1, 10) i;});
		my $before = @lines;
		my $killed = $worker->('killed', 0, 0.3);
		$wait_for->(sub { @lines = split /\n/, slurp_file($sent); @lines < $before + 2 });
		$killed->kill_kill(grace => 0);
		my $lost = $worker->('lost', 0, 0.3);
		sleep 1;
		$node->restart;
		$node->safe_psql($database, q{UPDATE crm.action SET claimed_until = now() WHERE status = 'claimed'});
		$wait_for->(sub { my $n = eval { $waiting->() }; $n // 1 });
		$lost->signal('TERM');
		ok($lost->finish, "$name: goes on after a restart of the server") or diag($err);
		is($node->safe_psql($database, q{SELECT count(*) FROM crm.action WHERE content = 'receipt' AND status <> 'done'}), '0', "$name: all receipts are done");
		%times = ();
		$times{$_}++ foreach split /\n/, slurp_file($sent);
		cmp_ok((scalar grep { $times{$_} > 1 } keys %times), '<=', 2, "$name: of killed workers one message each may be sent twice");
	}
}
$node->stop;
done_testing();
