# Prepared transactions: writes of many leads, committed, rolled back, and
# over a crash. What they hold others wait for. So can the extension and its
# pipelines be made, updated and detached: it is how distributed databases
# commit on all nodes or on none.
use strict;
use warnings;

use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('twophase');
$node->init;
$node->append_conf('postgresql.conf', "max_prepared_transactions = 10\nfsync = off\n");
$node->start;
sub sql { return $node->safe_psql('postgres', shift) }
sub verify_is_empty { is(sql('SELECT * FROM p.verify()'), '', "verify() " . shift) }

sql(q{
	CREATE EXTENSION leadscore;
	SELECT leadscore.create_pipeline('p', 'inbound');
	INSERT INTO p.lead (email, consented_at, created_at, updated_at)
		SELECT 'a@example.com', '2025-01-01', '2025-01-01', '2025-01-01' FROM generate_series(1, 1000) i;
	SELECT p.clone_model('inbound', 'other');
});
my $insert = "INSERT INTO p.event (lead_id, kind, occurred_at) SELECT i, k, '2025-01-02' FROM generate_series(%d, %d) i, unnest('{pricing_view,demo_request,quote_request,unknown}'::text[]) k";
my $stages = "SELECT string_agg(stage || ' ' || n, ', ' ORDER BY stage) FROM (SELECT stage, count(*) AS n FROM p.lead_state GROUP BY 1) s";

sql('BEGIN; ' . sprintf($insert, 1, 500) . "; PREPARE TRANSACTION 'a'");
sql('BEGIN; ' . sprintf($insert, 501, 1000) . "; DELETE FROM p.lead WHERE lead_id > 990; UPDATE p.lead SET profile = '{\"need\": true}' WHERE lead_id > 980;"
	. " SELECT p.set_stage_by_id(980, 'lost'); SELECT * FROM p.track('new', 'page_view'); PREPARE TRANSACTION 'b'");
is(sql($stages), 'iql 1000', 'nothing is seen before');
verify_is_empty('with both prepared');

my ($rc, $out, $err) = $node->psql('postgres', "SET lock_timeout = '100ms'; " . sprintf($insert, 1, 1));
like($err, qr/lock timeout/, 'an event waits for a prepared one of its lead');
($rc, $out, $err) = $node->psql('postgres', "SET lock_timeout = '100ms'; SELECT p.activate_model('other', wait => true)");
like($err, qr/In the way: prepared transaction 'a', prepared transaction 'b'\./, 'so does an activation');
sql("COMMIT PREPARED 'a'");
is(sql($stages), 'iql 500, mql 500', 'committed');
verify_is_empty('with one committed');

$node->stop('immediate');
$node->start;
verify_is_empty('after a crash');
sql("ROLLBACK PREPARED 'b'");
is(sql($stages), 'iql 500, mql 500', 'rolled back');
verify_is_empty('with one rolled back');

sql('BEGIN; SAVEPOINT s; ' . sprintf($insert, 600, 700) . '; ROLLBACK TO s; ' . sprintf($insert, 601, 700) . "; SELECT p.sweep(); PREPARE TRANSACTION 'c'");
$node->stop('immediate');
$node->start;
sql("COMMIT PREPARED 'c'");
is(sql($stages), 'iql 400, mql 600', 'committed after a crash');
verify_is_empty('at last');

# activations and signal edits can be prepared as well
sql("BEGIN; SELECT p.activate_model('other', wait => true); INSERT INTO p.signal (signal, event_kinds) VALUES ('unknown', '{unknown}'); PREPARE TRANSACTION 'd'");
is(sql("SELECT model FROM p.model WHERE status = 'active'"), 'inbound', 'not active yet');
sql("COMMIT PREPARED 'd'");
is(sql("SELECT model FROM p.model WHERE status = 'active'"), 'other', 'active');
sql(sprintf($insert, 1, 10));
verify_is_empty('under the new model and the new signal');
is(sql('SELECT p.rebuild()'), '0', 'nothing to rebuild');

# Changes that are prepared in a database are there once they are committed.
sub prepared
{
	my ($db, $sql, $commit) = @_;
	$node->safe_psql($db, "BEGIN; $sql; PREPARE TRANSACTION 'x'");
	$node->safe_psql($db, ($commit // 'COMMIT') . " PREPARED 'x'");
}
my $work = q{
	INSERT INTO p.lead (lead_id, email, consented_at) SELECT i, 'a@example.com', '2025-01-01' FROM generate_series(1001, 1003) i;
	INSERT INTO p.event (lead_id, kind) SELECT lead_id, 'demo_request' FROM p.lead};
my ($version) = map { /default_version = '([^']+)'/ ? $1 : () } split /\n/, slurp_file("$FindBin::Bin/../../leadscore.control");
foreach my $older (sort map { m{/leadscore--([\d.]+)\.sql$} ? $1 : () } glob("$FindBin::Bin/../../src/sql/leadscore--*.sql"))
{
	sql(qq{CREATE DATABASE "from_$older"});
	prepared("from_$older", "CREATE EXTENSION leadscore VERSION '$older'");
	prepared("from_$older", "SELECT leadscore.create_pipeline('p'); $work");
	prepared("from_$older", 'ALTER EXTENSION leadscore UPDATE');
	prepared("from_$older", "SELECT leadscore.upgrade_pipeline('p'); SELECT p.track('new', 'page_view')");
	is($node->safe_psql("from_$older", 'SELECT extversion, (SELECT count(*) FROM p.lead_state), (SELECT count(*) FROM p.verify()) FROM pg_extension WHERE extname = \'leadscore\''),
		"$version|4|0", "$older: made, updated and upgraded");
}
sql('CREATE DATABASE fresh');
prepared('fresh', 'CREATE EXTENSION leadscore', 'ROLLBACK');
is($node->safe_psql('fresh', "SELECT count(*) FROM pg_extension WHERE extname = 'leadscore'"), '0', 'an extension that is rolled back is not there');
prepared('fresh', "CREATE EXTENSION leadscore; SELECT leadscore.create_pipeline('p'); $work");
prepared('fresh', "SELECT leadscore.detach_pipeline('p'); $work" =~ s/100/200/gr . "; SELECT leadscore.attach_pipeline('p')");
is($node->safe_psql('fresh', 'SELECT (SELECT count(*) FROM p.lead_state), (SELECT count(*) FROM p.verify())'), '6|0', 'made, detached and attached');
prepared('fresh', 'DROP SCHEMA p, p_reports CASCADE; DROP EXTENSION leadscore');
is($node->safe_psql('fresh', "SELECT count(*) FROM pg_proc WHERE probin ~ 'leadscore'"), '0', 'dropped');
$node->stop;
done_testing();
