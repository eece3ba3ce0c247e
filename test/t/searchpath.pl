# Everything works under an empty search_path and as an app's role, and what
# an attacker puts into the way is not called.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('searchpath');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\n");
$node->start;
$node->safe_psql('postgres', 'CREATE ROLE boss LOGIN; CREATE ROLE app LOGIN; CREATE ROLE evil LOGIN; CREATE DATABASE d OWNER boss');
sub as
{
	my ($role, $sql, $path) = @_;
	return $node->safe_psql('d', 'SET search_path = ' . (defined $path ? $path : "''") . "; $sql", extra_params => [ '-U', $role ]);
}

as('boss', q{
	CREATE EXTENSION leadscore;
	SELECT leadscore.create_pipeline('p', 'inbound');
	SELECT leadscore.grant_app('p', 'app');
	INSERT INTO p.lead (external_id, email, consented_at, created_at, updated_at) VALUES ('one', 'a@example.com', '2025-01-01', '2025-01-01', '2025-01-01');
	INSERT INTO p.event (lead_id, kind, occurred_at) VALUES (1, 'demo_request', '2025-01-02'), (1, 'quote_request', '2025-01-02');
	UPDATE p.event SET kind = 'pricing_view' WHERE kind = 'quote_request';
	UPDATE p.lead SET profile = '{"need": true}';
	DELETE FROM p.event WHERE kind = 'pricing_view';
	SELECT p.clone_model('inbound', 'other');
	SELECT p.activate_model('other');
	INSERT INTO p.signal (signal, event_kinds) VALUES ('more', '{more}');
	SELECT p.sweep(), p.rebuild(), p.rebuild(true);
	SELECT leadscore.upgrade_pipeline('p');
	SELECT leadscore.detach_pipeline('p');
	SELECT leadscore.attach_pipeline('p');
});
is(as('boss', 'SELECT * FROM p.verify()'), '', 'the owner with an empty search_path');

# an app: only what it was granted
is(as('app', "INSERT INTO p.event (lead_id, kind, occurred_at) VALUES (1, 'quote_request', '2025-01-03'), (1, 'unknown', '2025-01-03') RETURNING lead_id"), "1\n1", 'insert');
is(as('app', "INSERT INTO p.event (lead_id, kind, occurred_at, source_id) VALUES (1, 'quote_request', '2025-01-03', 'a') ON CONFLICT DO NOTHING"), '', 'insert with ON CONFLICT');
is(as('app', "SELECT lead_id, duplicate FROM p.track('two', 'demo_request', profile => '{\"email\": \"b\@example.com\", \"consent\": true}')"), '2|f', 'track');
is(as('app', "SELECT * FROM p.track_many('[{\"external_id\": \"two\", \"kind\": \"demo_request\"}, {\"external_id\": \"three\", \"kind\": \"page_view\"}]')"), '2|0', 'track_many');
is(as('app', "SELECT p.upsert_lead('three', 'c\@example.com', consent => true)"), '3', 'upsert_lead');
is(as('app', "SELECT p.score(1, '2025-01-03') > 0, p.stage_at(1, '2025-01-03'), p.lead_id('one')"), 't|mql|1', 'questions');
is(as('app', "SELECT p.set_stage(3, 'lost')"), 'lost', 'set_stage');
foreach my $sql (
	'SELECT * FROM p.event', 'UPDATE p.event SET value = 1', 'DELETE FROM p.event', 'TRUNCATE p.event', 'SELECT email FROM p.lead',
	'UPDATE p.lead SET email = NULL', "INSERT INTO p.lead (email) VALUES ('x')", 'UPDATE p.lead_state SET cycle = 1', 'INSERT INTO p.signal (signal) VALUES (1)',
	"SELECT p.activate_model('inbound')", 'SELECT p.rebuild()', 'SELECT p.sweep()', "SELECT leadscore.rebuild('p', NULL, true)",
	"SELECT leadscore.lock_pipeline('p')", "SELECT leadscore.review('p', NULL, now(), 'decay')")
{
	my ($rc, $out, $err) = $node->psql('d', $sql, extra_params => [ '-U', 'app' ]);
	like($err, qr/permission denied/, "refused: $sql");
}

# operators, functions, tables and casts that lie in the way
as('boss', 'CREATE SCHEMA trap; GRANT ALL ON SCHEMA trap TO evil, app');
my $fn = q{LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION 'trapped as %', current_user; END $f$};
my $n = 0;
my $trap = join "\n", map {
	my ($op, $l, $r, $result) = @$_;
	my $name = 'op' . ++$n;
	"CREATE OR REPLACE FUNCTION trap.$name(a $l, b $r) RETURNS $result $fn; CREATE OPERATOR trap.$op (LEFTARG = $l, RIGHTARG = $r, FUNCTION = trap.$name);"
} (
	[ '=', 'bigint', 'bigint', 'boolean' ], [ '=', 'text', 'text', 'boolean' ], [ '+', 'integer', 'integer', 'integer' ],
	[ '<=', 'timestamptz', 'timestamptz', 'boolean' ], [ '>', 'bigint', 'bigint', 'boolean' ], [ '||', 'text', 'text', 'text' ]);
$trap .= join "\n", map { "CREATE FUNCTION trap.$_ $fn;" } (
	'now() RETURNS timestamptz', 'max(integer) RETURNS integer', 'coalesce(a integer, b integer) RETURNS integer', 'unnest(bigint[]) RETURNS SETOF bigint',
	'review(regnamespace, bigint[], timestamptz, text) RETURNS bigint', 'pipeline() RETURNS regnamespace', 'lock_pipeline(regnamespace) RETURNS void',
	'score(leadscore.lead_activity, leadscore.lead_model, timestamptz) RETURNS numeric', 'lead_stage(text) RETURNS leadscore.lead_stage');
$trap .= 'CREATE TABLE trap.' . $_ . ' (x int);' foreach qw(lead event lead_state signal model setting new_event old_event stage_history);
as('evil', $trap);
my ($rc, $out, $err) = $node->psql('d', "SET search_path = trap, pg_catalog; SELECT 1::bigint = 1::bigint", extra_params => [ '-U', 'app' ]);
like($err, qr/trapped as app/, 'the traps work');
my $path = 'trap, pg_temp, p, leadscore, pg_catalog';
my $temp = 'CREATE TEMP TABLE event (x int); CREATE TEMP TABLE new_event (x int); CREATE TEMP TABLE lead_state (x int); CREATE TEMP TABLE model (x int);';
as('app', "$temp INSERT INTO p.event (lead_id, kind, occurred_at) VALUES (1, 'quote_request', '2025-02-03'), (2, 'page_view', '2025-01-03')", $path);
as('app', "$temp SELECT * FROM p.track('two', 'demo_request', profile => '{\"job_title\": \"CEO\"}'); SELECT p.upsert_lead('four', 'd\@example.com')", $path);
as('app', "$temp SELECT * FROM p.track_many('[{\"external_id\": \"two\", \"kind\": \"demo_request\"}]'); SELECT p.set_stage(2, 'lost'); SELECT * FROM p.explain(2); SELECT * FROM p.next_steps(1)", $path);
as('boss', "$temp UPDATE p.event SET kind = 'page_view'; DELETE FROM p.event WHERE kind OPERATOR(pg_catalog.=) 'nothing'; UPDATE p.lead SET owner = 'x'", $path);
as('boss', "$temp SELECT p.sweep(); SELECT p.rebuild(true); SELECT p.activate_model('inbound'); INSERT INTO p.signal (signal, event_kinds) VALUES ('yet more', '{more}'); SELECT * FROM p.verify(); SELECT leadscore.upgrade_pipeline('p')", $path);
as('boss', "$temp TRUNCATE p.event; DELETE FROM p.lead", $path);
is(as('boss', 'SELECT * FROM p.verify()'), '', 'nothing was trapped');

# settings of a session change no score
as('boss', "INSERT INTO p.lead (lead_id, email, consented_at, created_at, updated_at) VALUES (70, 'a\@example.com', '2025-01-01 00:00+00', '2025-01-01 00:00+00', '2025-01-01 00:00+00')");
as('app', "SET timezone = 'Pacific/Kiritimati'; SET datestyle = 'SQL, DMY'; SET intervalstyle = 'iso_8601'; SET standard_conforming_strings = off; SET extra_float_digits = 0; SET bytea_output = 'escape';
	INSERT INTO p.event (lead_id, kind, occurred_at) VALUES (70, 'quote_request', '2025-01-02 23:30:00+00'), (70, 'pricing_view', '2025-01-02 00:10:00+00')");
as('boss', "SET timezone = 'America/Adak'; SET datestyle = 'German'; SET row_security = off; SELECT p.rebuild(); SELECT p.rebuild(true)");
is(as('boss', "SET timezone = 'UTC'; SELECT p.score(70, '2025-01-02'), activity ~ '\@2025-01-02:1.*\@2025-01-02:1' FROM (SELECT activity::text FROM p.lead_state WHERE lead_id = 70) s"), '35|t', 'whatever the session has set', );
is(as('boss', 'SELECT * FROM p.verify()'), '', 'verify() at last');
$node->stop;
done_testing();
