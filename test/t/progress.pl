# leadscore.progress: other sessions see what long work does, and how far it is,
# with the rights that they have; it vanishes when the work ends, is cancelled,
# fails in a part that is caught, or is killed, and work that was cancelled
# leaves everything as before.
#
# Work stands still where a test holds a lock that it needs. So what is seen is
# known, whatever the machine.

use strict;
use warnings;

use File::Basename;
use lib dirname(__FILE__);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Session;
use Snapshot;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = PostgreSQL::Test::Cluster->new('progress');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\nautovacuum = off\nrestart_after_crash = on\nmax_prepared_transactions = 2\n");
$node->start;
sub sql { return $node->safe_psql('postgres', @_) }

sub start { return start_session($node, '-c', @_) }
sub hold { return hold_session($node, @_) }

# What the view shows, when it shows what is wanted, or at the end of a minute.
sub seen
{
	my ($wanted) = @_;
	my $end = time() + 60;
	my $rows;
	do
	{
		$rows = sql('SELECT pipeline, task, phase, done, total, percent FROM leadscore.progress');
		sleep 0.05;
	} while ($rows !~ $wanted && time() < $end);
	return $rows;
}

sub cancel { sql('SELECT pg_cancel_backend(pid) FROM leadscore.progress') }

# Everything that a pipeline holds
sub contents
{
	return sql(q{
		SELECT string_agg(relname || ' ' || md5(query_to_xml(format('SELECT t::text FROM p.%I t ORDER BY 1', relname), false, false, '')::text), E'\n' ORDER BY relname)
			|| (SELECT string_agg(tgname, ' ' ORDER BY tgname) FROM pg_trigger t WHERE tgrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'p'::regnamespace) AND NOT tgisinternal)
		FROM pg_class WHERE relnamespace = 'p'::regnamespace AND relkind = 'r'});
}

sql(q{
	CREATE EXTENSION leadscore;
	CREATE ROLE bi LOGIN;
	CREATE ROLE stranger LOGIN;
	SELECT leadscore.create_pipeline('p', 'inbound', attach => false);
	SELECT leadscore.grant_reader('p', 'bi');
	INSERT INTO p.lead (external_id, created_at) SELECT 'lead ' || lpad(i::text, 2, '0'), '2024-01-01' FROM generate_series(1, 10) i;
	INSERT INTO p.event (lead_id, kind, occurred_at) SELECT lead_id, 'pricing_view', timestamptz '2024-02-01' + j * interval '10 days' FROM p.lead, generate_series(1, 3) j;
});
is(sql('SELECT count(*) FROM leadscore.progress'), '0', 'nothing at first');

# --- attach_pipeline() waits some seconds for a writer, and then counts
my $before = contents();
my $writer = hold(q{LOCK p.model IN ROW SHARE MODE});
my $work = start(q{SELECT leadscore.attach_pipeline('p')});
is(seen(qr/./), 'p|attach_pipeline|waiting for sessions that write|||', 'attach: what it waits for');
cancel();
like(finish($work)->{err}, qr/canceling statement due to user request/, 'attach: cancelled while it waits');
is(sql('SELECT count(*) FROM leadscore.progress'), '0', 'attach: nothing is seen after that');
release($writer);
is(difference($before, contents()), '', 'attach: everything is as before');
is(sql(q{SELECT leadscore.attach_pipeline('p')}), '10', 'attach: then it counts all');

# --- rebuild() repairs leads; the tenth and the fifth are locked
sub damage
{
	sql(q{SET session_replication_role = replica; UPDATE p.lead_state SET stage = 'lost'});
}
damage();
$before = contents();
my $tenth = hold(q{SELECT FROM p.lead_state WHERE lead_id = p.lead_id('lead 10') FOR UPDATE});
my $fifth = hold(q{SELECT FROM p.lead_state WHERE lead_id = p.lead_id('lead 05') FOR UPDATE});
$work = start('SELECT p.rebuild()');
is(seen(qr/repairing.*\|4\|/), 'p|rebuild|repairing leads|4|10|40', 'rebuild: four of ten leads are repaired');
is(sql('SELECT phase_ends_at >= now() FROM leadscore.progress'), 't', 'rebuild: an end is estimated');
# it stands still as long as the test wants; attach_pipeline() gives up
is(sql(q{SET ROLE bi; SELECT task FROM leadscore.progress}), 'rebuild', 'a reader of the pipeline sees it');
is(sql(q{SET ROLE stranger; SELECT count(*) FROM leadscore.progress}), '0', 'a role without the pipeline does not');
is(sql(q{SELECT pid IN (SELECT pid FROM pg_stat_activity) AND started_at <= phase_started_at AND phase_started_at <= clock_timestamp() AND started_at > now() - interval '5 minutes' FROM leadscore.progress}),
	't', 'session and times are right');
is(sql(q{CREATE DATABASE other}) . $node->safe_psql('other', 'CREATE EXTENSION leadscore; SELECT count(*) FROM leadscore.progress'), '0', 'other databases do not see it');
release($fifth);
is(seen(qr/\|9\|/), 'p|rebuild|repairing leads|9|10|90', 'rebuild: it goes on');
# two at a time: the other one reads only
is(sql('SELECT count(*) FROM p.verify()'), '10', 'verify: beside it');
cancel();
like(finish($work)->{err}, qr/canceling statement/, 'rebuild: cancelled');
is(sql('SELECT count(*) FROM leadscore.progress'), '0', 'rebuild: nothing is seen after that');
release($tenth);
is(difference($before, contents()), '', 'rebuild: everything is as before');

# one that is terminated, and one whose process is killed
foreach my $how ('pg_terminate_backend(pid)', 'kill')
{
	my $lock = hold(q{SELECT FROM p.lead_state WHERE lead_id = p.lead_id('lead 10') FOR UPDATE});
	$work = start('SELECT p.rebuild()');
	is(seen(qr/\|9\|/), 'p|rebuild|repairing leads|9|10|90', "rebuild: at work ($how)");
	my $pid = sql('SELECT pid FROM leadscore.progress');
	if ($how eq 'kill') { kill 'KILL', $pid; }
	else { sql("SELECT $how FROM leadscore.progress"); }
	finish($work);
	isnt($work->{err}, '', "rebuild: it failed ($how)");
	if ($how eq 'kill')
	{
		eval { $lock->{run}->finish };
		ok($node->poll_query_until('postgres', 'SELECT true'), 'the server is back');
	}
	else { release($lock); }
	is(sql('SELECT count(*) FROM leadscore.progress'), '0', "rebuild: nothing is seen after that ($how)");
	is(sql(q{SELECT count(*) FROM pg_locks WHERE locktype = 'userlock'}), '0', "rebuild: no lock is left ($how)");
	is(difference($before, contents()), '', "rebuild: everything is as before ($how)");
}
is(sql('SELECT p.rebuild()'), '10', 'rebuild: to the end');
is(sql('SELECT * FROM p.verify()'), '', 'verify: all is right');
is(sql(q{BEGIN; SELECT p.rebuild(); SELECT count(*) FROM pg_locks WHERE locktype = 'userlock'; COMMIT}), "0\n0", 'no lock is kept up to the end of the transaction');

# --- an error that is caught ends the work, and later work is seen
damage();
my $lock = hold(q{SELECT FROM p.lead_state WHERE lead_id = p.lead_id('lead 03') FOR UPDATE});
$work = start(q{DO $$
	DECLARE
		n bigint;
	BEGIN
		SET LOCAL lock_timeout = '1ms';
		BEGIN
			PERFORM p.rebuild();
		EXCEPTION
			WHEN lock_not_available THEN
				SET LOCAL lock_timeout = 0;
				SELECT count(*) INTO n FROM pg_locks WHERE locktype = 'userlock';
				RAISE NOTICE 'locks: %', n;
		END;
		PERFORM p.sweep();
		PERFORM p.rebuild();
	END
$$});
is(seen(qr/repairing.*\|2\|/), 'p|rebuild|repairing leads|2|10|20', 'after an error that was caught, the next work is seen');
release($lock);
like(finish($work)->{err}, qr/NOTICE:  locks: 0\n/, 'the error took the locks with it');
is(sql('SELECT * FROM p.verify()'), '', 'and the next work was done');
# one inside a savepoint that is released
is(sql(q{BEGIN; SAVEPOINT a; SELECT p.rebuild(); RELEASE a; SELECT count(*) FROM pg_locks WHERE locktype = 'userlock'; PREPARE TRANSACTION 'x';
	SELECT count(*) FROM leadscore.progress; COMMIT PREPARED 'x'}), "0\n0\n0", 'savepoints and two-phase commit');

# --- all other work: where it stands while a lock is held, cancelled
sql(q{
	SELECT p.clone_model('inbound', 'other');
	CREATE TABLE orders (order_id bigint PRIMARY KEY, buyer text, at timestamptz);
	INSERT INTO orders SELECT i, 'lead ' || lpad(i::text, 2, '0'), '2024-03-01' FROM generate_series(1, 10) i;
	SELECT leadscore.track_table('p', 'orders', 'buyer', 'purchase', 'at');
	UPDATE p.retention SET keep_for = '30 days' WHERE table_name = 'event';
	CREATE FUNCTION wait_here() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NEW; END $$;
	CREATE TRIGGER wait_here BEFORE UPDATE ON p.lead_state FOR EACH ROW EXECUTE FUNCTION wait_here();
});
$before = contents();
my $state = 'SELECT pg_advisory_xact_lock(7)';
my $line = 'LOCK p.lead_checkpoint IN SHARE MODE';
foreach my $case (
	[ 'activate_model', q{SELECT p.activate_model('other', true)}, 'LOCK p.model IN ROW SHARE MODE', 'waiting for sessions that write|||' ],
	[ 'activate_model', q{SELECT p.activate_model('other', true)}, $state, 'bringing leads up to date|0|10|0' ],
	[ 'activate_segment', q{SELECT p.activate_segment('curious', NULL, true)}, 'LOCK p.model IN ROW SHARE MODE', 'waiting for sessions that write|||' ],
	[ 'sweep', q{SELECT p.activate_model('other'), p.sweep()}, $state, 'looking at leads that are due|||' ],
	[ 'purge', q{SELECT * FROM p.purge('2024-03-01')}, $line, 'keeping the counts of leads|0|10|0' ],
	[ 'apply_retention', q{SELECT * FROM p.apply_retention()}, $line, 'keeping the counts of leads|0|10|0' ],
	[ 'backfill_table', q{SELECT leadscore.backfill_table('p', 'orders')},
		q{SELECT FROM p.lead_state WHERE lead_id = p.lead_id('lead 05') FOR UPDATE}, 'counting events|4|10|40' ],
	[ 'verify', 'SELECT * FROM p.verify()', 'LOCK p.event IN ACCESS EXCLUSIVE MODE', 'comparing leads with their events|0|10|0' ],
	[ 'compare_models', q{SELECT * FROM p.compare_models('inbound', 'other')}, 'LOCK p.lead_state IN ACCESS EXCLUSIVE MODE', 'computing both scores of leads|||' ],
	[ 'suggest_points', q{SELECT * FROM p.suggest_points('inbound')}, 'LOCK p.stage_log IN ACCESS EXCLUSIVE MODE', 'reading leads as they were|||' ],)
{
	my ($task, $statement, $blocker, $phase) = @$case;
	my $blocked = hold($blocker);
	$work = start($statement);
	is(seen(qr/\Q$phase\E$/), "p|$task|$phase", "$task: $phase");
	cancel();
	like(finish($work)->{err}, qr/canceling statement due to user request/, "$task: cancelled");
	is(sql('SELECT count(*) FROM leadscore.progress'), '0', "$task: nothing is seen after that");
	release($blocked);
	is(difference($before, contents()), '', "$task: everything is as before");
}
# two sessions that do the same
{
	my $blocked = hold('LOCK p.event IN ACCESS EXCLUSIVE MODE');
	my @both = map { start('SELECT * FROM p.verify()') } 1, 2;
	my $row = 'p|verify|comparing leads with their events|0|10|0';
	is(seen(qr/\|0\|10\|0\n.*\|0\|10\|0$/), "$row\n$row", 'two sessions at the same work are two rows');
	is(sql('SELECT count(DISTINCT pid) FROM leadscore.progress'), '2', 'each with its number');
	release($blocked);
	is(finish($_)->{err}, '', 'neither waits for the other') foreach @both;
}
# what was cancelled can be done
is(sql(q{SELECT leadscore.backfill_table('p', 'orders'), p.activate_model('other', true)}), '10|10', 'the work can be done after that');
is(sql(q{SELECT rows_removed FROM p.apply_retention() WHERE table_name = 'event'}), '40', 'the work can be done after that: retention');
is(sql('SELECT * FROM p.verify()'), '', 'verify: all is right');
is(sql(q{SELECT count(*) FROM pg_locks WHERE locktype = 'userlock'}), '0', 'no lock is left');

# --- figures that change while they are read are whole; work that lasts says so
sql(q{
	INSERT INTO p.lead (external_id, created_at) SELECT 'more ' || i, '2025-01-01' FROM generate_series(1, 3000) i;
	INSERT INTO p.event (lead_id, kind, occurred_at) SELECT lead_id, 'pricing_view', '2025-02-01' FROM p.lead WHERE external_id LIKE 'more %';
	DROP TRIGGER wait_here ON p.lead_state;
	CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.004); RETURN NEW; END $$;
	CREATE TRIGGER slow BEFORE UPDATE ON p.lead_state FOR EACH ROW EXECUTE FUNCTION slow();
	ALTER TABLE p.lead_state ENABLE ALWAYS TRIGGER slow;
	SET session_replication_role = replica;
	ALTER TABLE p.lead_state DISABLE TRIGGER slow;
	UPDATE p.lead_state SET stage = 'lost';
	ALTER TABLE p.lead_state ENABLE ALWAYS TRIGGER slow;
});
$work = start('SELECT p.rebuild()');
my ($last, $grew, $odd, %ends) = (0, 0, '');
my $ended = time() + 120;
seen(qr/repairing/);
while (time() < $ended)
{
	my $row = sql('SELECT done, total, percent, phase FROM leadscore.progress');
	last if $row eq '';
	my ($done, $total, $percent) = $row =~ /^(\d+)\|3010\|(\d+)\|repairing leads$/ ? ($1, 3010, $2) : (-1, 0, 0);
	$odd .= "$row\n" if $done < $last || $percent != int(100 * $done / 3010);
	$grew++ if $done > $last;
	$last = $done if $done > $last;
}
finish($work);
is($odd, '', 'figures are whole, and only grow');
cmp_ok($grew, '>', 5, 'they grow');
is($work->{out}, "3010\n", 'the work is done');
like($work->{err}, qr/^NOTICE:  rebuild of pipeline "p" took \d+ seconds\nDETAIL:  Comparing leads with their events: 3010; repairing leads: 3010\.\n$/,
	'what took long says what it did');

$node->stop;
done_testing();
