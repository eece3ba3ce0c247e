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

# a claim that is prepared keeps its actions from others, over a crash too, and events of its leads wait for it
sql(q{
	INSERT INTO p.sequence (sequence, starts_on, start_name) VALUES ('s', 'event', 'quote_request');
	INSERT INTO p.sequence_step (sequence, step, position, channel) VALUES ('s', 'one', 1, 'chat'), ('s', 'two', 2, 'chat');
	SELECT p.activate_sequence('s');
	UPDATE p.lead SET contact_allowed = true WHERE lead_id <= 20;
	BEGIN;
	INSERT INTO p.event (lead_id, kind) SELECT i, 'quote_request' FROM generate_series(1, 20) i;
	PREPARE TRANSACTION 'begun'});
is(sql('SELECT count(*) FROM p.action'), '0', 'no run has begun before it is committed');
is(sql("SELECT count(*) FROM p.claim_actions('chat')"), '0', 'nor is there anything to claim');
sql("COMMIT PREPARED 'begun'");
is(sql("BEGIN; SELECT count(*) FROM p.claim_actions('chat', 5); PREPARE TRANSACTION 'claimed'"), '5', 'a claim is prepared');
is(sql("SELECT count(*) FROM p.claim_actions('chat', 100)"), '15', 'others have the rest');
$node->stop('immediate');
$node->start;
is(sql("SELECT count(*) FROM p.claim_actions('chat', 100)"), '0', 'after a crash too');
($rc, $out, $err) = $node->psql('postgres', "SET lock_timeout = '100ms'; INSERT INTO p.event (lead_id, kind) SELECT i, 'page_view' FROM generate_series(1, 20) i");
like($err, qr/lock timeout/, 'events of its leads wait');
sql("ROLLBACK PREPARED 'claimed'");
is(sql("BEGIN; SELECT count(*) FROM p.claim_actions('chat', 100); PREPARE TRANSACTION 'claimed'"), '5', 'rolled back, they are claimed again');
sql("COMMIT PREPARED 'claimed'");
is(sql('SELECT status, attempt, count(*) FROM p.action GROUP BY 1, 2'), 'claimed|1|20', 'each once');
sql('BEGIN; SELECT p.complete_action(lead_id, action_id, 1) FROM p.action; PREPARE TRANSACTION \'done\'');
sql("COMMIT PREPARED 'done'");
is(sql('SELECT step, status, count(*) FROM p.action GROUP BY 1, 2 ORDER BY 1'), "one|done|20\ntwo|waiting|20", 'done, the next step comes');
sql("SELECT p.retire_sequence('s')");
verify_is_empty('after claims');

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
