# A writer that does not end, a change of the configuration that waits for it,
# and others that write meanwhile: these are not held up behind the one that
# waits, and its error names who is in the way.
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('idle_writer');
$node->init;
$node->append_conf('postgresql.conf', "max_prepared_transactions = 10\nfsync = off\n");
$node->start;
sub sql { return $node->safe_psql('postgres', shift) }

sql(q{
	CREATE EXTENSION leadscore;
	SELECT leadscore.create_pipeline('p', reports => false);
	INSERT INTO p.lead (lead_id, email, consented_at, created_at, updated_at)
		SELECT i, 'a@example.com', '2025-01-01', '2025-01-01', '2025-01-01' FROM generate_series(1, 3) i;
	SELECT p.clone_model('inbound', 'other');
});

# A session that stays: psql that answers each question with all that it says
# up to a mark.
sub session
{
	my ($name) = @_;
	my $self = { in => '', out => '', err => '' };
	$self->{run} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') . " application_name=$name" ],
		'<', \$self->{in}, '>', \$self->{out}, '2>', \$self->{err}, IPC::Run::timeout(180));
	return $self;
}
sub ask
{
	my ($self, $sql) = @_;
	$self->{out} = '';
	$self->{in} .= "$sql;\n\\echo done\n";
	$self->{run}->pump until $self->{out} =~ /^done$/m;
	return $self->{out} =~ s/^done\n//mr =~ s/\n\z//r;
}

my $idle = session('idle');
my $third = session('third');
my $pid = ask($idle, 'SELECT pg_backend_pid()');
my $events = 0;

foreach my $test (
	[ 'a session', 'activation', "SELECT p.activate_model('other')" ],
	[ 'a session', 'edit of a signal', "INSERT INTO p.signal (signal, event_kinds) VALUES ('unknown', '{unknown}')" ],
	[ 'a prepared transaction', 'activation', "SELECT p.activate_model('other')" ])
{
	my ($holder, $change, $sql) = @$test;
	my $name = "$holder, $change";

	if ($holder eq 'a session')
	{
		ask($idle, "BEGIN; INSERT INTO p.event (lead_id, kind, occurred_at) VALUES (1, 'page_view', '2025-01-02')");
	}
	else
	{
		sql("BEGIN; INSERT INTO p.event (lead_id, kind, occurred_at) VALUES (1, 'page_view', '2025-01-02'); PREPARE TRANSACTION 'idle'");
	}
	$events++;

	my ($out, $err) = ('', '');
	my $changer = IPC::Run::start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres') . ' application_name=changer', '-c', $sql ],
		'>', \$out, '2>', \$err, IPC::Run::timeout(180));
	# it waits in short attempts, with pauses in which it asks for no lock; the first place in the line it keeps
	ok( $node->poll_query_until('postgres', q{
			SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)
				WHERE a.application_name = 'changer' AND a.wait_event_type IN ('Lock', 'Extension')
					AND l.granted AND l.relation = 'p.setting'::regclass AND l.mode = 'ShareUpdateExclusiveLock')}),
		"$name: waits");
	my $answer = ask($third, join('', map {
			"INSERT INTO p.event (lead_id, kind, occurred_at) VALUES (2, 'page_view', '2025-01-02'), (3, 'page_view', '2025-01-02');"
		} 1 .. 5) . q{SELECT string_agg(application_name || ' ' || state, ', ' ORDER BY application_name) FROM pg_stat_activity WHERE application_name IN ('idle', 'changer')});
	$events += 10;
	is($answer, $holder eq 'a session' ? 'changer active, idle idle in transaction' : 'changer active, idle idle',
		"$name: five transactions of a third session have ended, the first has not, the second waits on");

	# it gives up, and says for whom it has waited
	ok(!$changer->finish, "$name: gives up");
	like($err, qr/ERROR:  could not change the configuration of pipeline "p" while other transactions write to it/, "$name: error");
	my $way = $holder eq 'a session' ? "session $pid (idle in transaction)" : "prepared transaction 'idle'";
	like($err, qr/DETAIL:  In the way: \Q$way\E\.\n/, "$name: names who is in the way");

	$holder eq 'a session' ? ask($idle, 'COMMIT') : sql("COMMIT PREPARED 'idle'");
	sql('BEGIN; ' . $sql . '; ' . ($change eq 'activation' && $holder eq 'a session' ? 'ROLLBACK' : 'COMMIT'));
	is(sql('SELECT count(*) FROM p.event'), $events, "$name: all events are there");
	is(sql('SELECT * FROM p.verify()'), '', "$name: verify()");
}
is(sql("SELECT model FROM p.model WHERE status = 'active'"), 'other', 'activated when nobody is in the way');
is($_->{err}, '', 'no errors of the others') foreach $idle, $third;
foreach my $session ($idle, $third)
{
	$session->{in} .= "\\q\n";
	$session->{run}->finish;
}
$node->stop;
done_testing();
