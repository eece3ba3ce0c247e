# Tables of the app that are tracked: after any interleaving of statements in
# several sessions with the backfill, the events are what a SELECT over the table
# finds, and the states are right.
#
# TRACK_SEED repeats a run, TRACK_SECONDS makes it longer.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $seed = $ENV{TRACK_SEED} // int(rand(2**31));
my $seconds = $ENV{TRACK_SECONDS} // 6;
note "TRACK_SEED=$seed";
srand $seed;

my $node = PostgreSQL::Test::Cluster->new('track_table');
$node->init(extra => [ '--locale=C', '--encoding=UTF8' ]);
$node->append_conf('postgresql.conf', "timezone = 'UTC'\ndeadlock_timeout = '20ms'\nmax_connections = 30\n");
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION leadscore;
SELECT leadscore.create_pipeline('crm');
CREATE TABLE orders (region int, id int, email text, paid_at timestamptz, amount numeric, sku text, open boolean, PRIMARY KEY (region, id));
CREATE TABLE visits (region int, id int, email text, at timestamp, page text, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE visits_0 PARTITION OF visits FOR VALUES IN (0);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES IN (1);
INSERT INTO orders SELECT i % 2, i, 'lead' || i % 40 || '@x.example', timestamptz '2025-01-01' + i * interval '1 hour', i, 's' || i % 3, i % 5 = 0
    FROM generate_series(1, 400) i;
INSERT INTO visits SELECT i % 2, i, 'Lead' || i % 40 || '@x.example', timestamp '2025-01-01' + i * interval '1 hour', 'p' || i % 3
    FROM generate_series(1, 400) i;

-- C1 over the tables: what there must be
CREATE VIEW wanted AS
    SELECT format('orders:[%s,%s]', region, id) AS source_id, lower(btrim(email)) AS lead, 'purchase' AS kind, paid_at AS occurred_at,
        amount AS value, CASE WHEN sku IS NOT NULL THEN jsonb_build_object('sku', sku) END AS properties
    FROM orders WHERE btrim(email) <> '' AND paid_at IS NOT NULL AND NOT open
    UNION ALL
    SELECT format('visits:[%s,%s]', region, id), lower(btrim(email)), 'page_view', at AT TIME ZONE 'UTC',
        NULL, CASE WHEN page IS NOT NULL THEN jsonb_build_object('page', page) END
    FROM visits WHERE btrim(email) <> '' AND at IS NOT NULL;
CREATE VIEW found AS
    SELECT e.source_id, l.external_id AS lead, e.kind, e.occurred_at, e.value, e.properties FROM crm.event e JOIN crm.lead l USING (lead_id);
CREATE VIEW difference AS
    (SELECT 'missing' AS what, w.* FROM wanted w EXCEPT ALL SELECT 'missing', f.* FROM found f)
    UNION ALL
    (SELECT 'too many', f.* FROM found f EXCEPT ALL SELECT 'too many', w.* FROM wanted w);
SQL

# one random statement on one of the tables
sub statement
{
	my $orders = rand() < 0.6;
	my ($table, $time) = $orders ? ('orders', 'paid_at') : ('visits', 'at');
	my $id = sub { 1 + int(rand(500)) };
	my $email = sub {
		my $case = int(rand(12));
		return 'NULL' if $case == 0;
		return "'  '" if $case == 1;
		return "' LEAD" . int(rand(45)) . "\@x.example '" if $case < 5;
		return "'lead" . int(rand(45)) . "\@x.example'";
	};
	my $at = sub { rand() < 0.15 ? 'NULL' : "'2025-02-01'::timestamp + " . int(rand(5000)) . " * interval '1 minute'" };
	my ($low, $high) = sort { $a <=> $b } ($id->(), $id->());
	$high = $low + 8 if $high > $low + 8;
	my $where = "id BETWEEN $low AND $high" . (rand() < 0.5 ? ' AND region = ' . int(rand(2)) : '');
	my $case = int(rand(9));
	my $rest = $orders ? int(rand(100)) . ", 's" . int(rand(3)) . "', " . (rand() < 0.3 ? 'true' : 'false') : "'p" . int(rand(3)) . "'";
	my $columns = $orders ? 'region, id, email, paid_at, amount, sku, open' : 'region, id, email, at, page';

	return "DELETE FROM $table WHERE $where" if $case == 0;
	return "UPDATE $table SET email = " . $email->() . " WHERE $where" if $case == 1;
	return "UPDATE $table SET $time = " . $at->() . " WHERE $where" if $case == 2;
	return "UPDATE $table SET id = id + 1000 WHERE $where" if $case == 3 && rand() < 0.3;
	return "UPDATE $table SET region = 1 - region WHERE $where" if $case == 3;
	return $orders ? "UPDATE orders SET open = NOT open, amount = amount + 1 WHERE $where" : "UPDATE visits SET page = NULL WHERE $where"
	  if $case == 4;
	return "INSERT INTO $table ($columns) SELECT " . int(rand(2)) . ", i, " . $email->() . ", " . $at->() . ", $rest FROM generate_series($low, $high) i"
	  . " ON CONFLICT (region, id) DO " . (rand() < 0.5 ? 'NOTHING' : "UPDATE SET email = excluded.email, $time = excluded.$time")
	  if $case == 5 || $case == 6;
	return "MERGE INTO $table t USING (SELECT 0 AS region, i AS id FROM generate_series($low, $high) i) n ON t.region = n.region AND t.id = n.id"
	  . " WHEN MATCHED AND n.id % 2 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET email = " . $email->()
	  . " WHEN NOT MATCHED THEN INSERT ($columns) VALUES (n.region, n.id, " . $email->() . ", " . $at->() . ", $rest)"
	  if $case == 7;
	return "WITH d AS (DELETE FROM $table WHERE $where RETURNING *) SELECT count(*) FROM d";
}

# sessions: files of statements, each a transaction or some in one, that go on after an error
my @sessions;
foreach my $number (1 .. 4)
{
	my $script = '';
	foreach (1 .. 150 * $seconds)
	{
		my $several = int(rand(4)) == 0;
		$script .= "BEGIN;\n" if $several;
		$script .= statement() . ";\n" for 1 .. ($several ? 3 : 1);
		$script .= (rand() < 0.2 ? "ROLLBACK;\n" : "COMMIT;\n") if $several;
	}
	my $file = $node->basedir . "/session$number.sql";
	append_to_file($file, $script);
	push @sessions, $file;
}
my @running;
foreach my $file (@sessions)
{
	my ($out, $err) = ('', '');
	push @running,
	  {
		err => \$err,
		handle => IPC::Run::start(
			[ 'psql', '-X', '-q', '-d', $node->connstr('postgres'), '-v', 'VERBOSITY=verbose', '-f', $file ],
			'>', \$out, '2>', \$err)
	  };
}

# the tables are tracked while they are written, and the old rows read in small batches
$node->safe_psql('postgres', <<'SQL');
SELECT leadscore.track_table('crm', 'orders', lead => 'email', kind => 'purchase', occurred_at => 'paid_at', value => 'amount',
    properties => '{sku}', only_if => '{"open": false}');
SELECT leadscore.track_table('crm', 'visits', lead => 'email', kind => 'page_view', occurred_at => 'at', properties => '{page}');
SQL
my %batches;
foreach my $table (qw(orders visits))
{
	my $rows = 1;
	while ($rows ne '0')
	{
		my ($result, $out, $err) = $node->psql('postgres', "SELECT leadscore.backfill_table('crm', '$table', max_rows => 25)");
		if ($result == 0)
		{
			$rows = $out;
			$batches{$table}++;
		}
		else
		{
			like($err, qr/deadlock detected|could not serialize|already moved to another partition/, "a batch of $table that fails may be tried again");
		}
	}
}
$_->{handle}->finish foreach @running;
cmp_ok($batches{$_}, '>', 5, "$_: the old rows took many batches") foreach qw(orders visits);
foreach my $session (@running)
{
	my @errors = grep { !/40P01|40001|23505|25P02/ } ${ $session->{err} } =~ /(?:ERROR|FATAL|PANIC|WARNING): .*/g;
	is(join("\n", @errors[0 .. ($#errors < 3 ? $#errors : 3)]), '', 'no statement of the app failed for being tracked');
}

is($node->safe_psql('postgres', 'SELECT * FROM difference ORDER BY source_id, what LIMIT 10'), '', 'the events are those of the rows');
is($node->safe_psql('postgres', 'SELECT * FROM crm.verify()'), '', 'the states are right');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM found'), '>', 100, 'there are many events');
is($node->safe_psql('postgres', "SELECT count(*) FROM crm.tracked_tables WHERE problem IS NOT NULL OR NOT backfilled"), '0', 'both tables are whole');

# read again from the first row: nothing changes
my $before = $node->safe_psql('postgres', 'SELECT count(*), sum(xmin::text::bigint) FROM crm.event');
$node->safe_psql('postgres', "SELECT leadscore.backfill_table('crm', t, 100000, restart => true) FROM unnest('{orders,visits}'::text[]) t");
is($node->safe_psql('postgres', 'SELECT count(*), sum(xmin::text::bigint) FROM crm.event'), $before, 'a second reading writes nothing');

# partitions that go keep their events
$node->safe_psql('postgres', 'ALTER TABLE visits DETACH PARTITION visits_1; DROP TABLE visits_1');
is($node->safe_psql('postgres', "SELECT count(*), sum(xmin::text::bigint) FROM crm.event"), $before, 'a partition that is dropped takes no event with it');

# dump and restore: the restored table goes on
$node->command_ok([ 'pg_dump', '-Fc', '-f', $node->basedir . '/dump', '-d', $node->connstr('postgres') ], 'dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'pg_restore', '-e', '-1', '-d', $node->connstr('restored'), $node->basedir . '/dump' ], 'restore');
$node->safe_psql('restored', "INSERT INTO orders VALUES (0, 90001, 'new\@x.example', '2025-03-01', 5, 's1', false)");
is($node->safe_psql('restored', "SELECT value FROM found WHERE source_id = 'orders:[0,90001]'"), '5', 'the restored table is tracked');
is($node->safe_psql('restored', "SELECT count(*) FROM crm.tracked_tables WHERE problem IS NULL"), '2', 'both definitions are whole there');

done_testing();
