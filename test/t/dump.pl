# A dump that is restored by the owner, who is no superuser: the same scores,
# and triggers that go on. Whatever restores it.
use strict;
use warnings;
use File::Basename;
use lib dirname(__FILE__);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Snapshot;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('dump');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\nlog_statement = none\n");
$node->start;
my $dir = PostgreSQL::Test::Utils::tempdir;
$node->safe_psql('postgres', 'CREATE ROLE boss LOGIN CREATEDB; CREATE ROLE app LOGIN; CREATE ROLE reader LOGIN; CREATE DATABASE old OWNER boss');
sub sql
{
	my ($db, $sql) = @_;
	return $node->safe_psql($db, $sql, extra_params => [ '-U', 'boss' ]);
}
sub tool
{
	my ($what, @command) = @_;
	$node->command_ok([ $command[0], '-U', 'boss', '-h', $node->host, '-p', $node->port, @command[ 1 .. $#command ] ], $what);
}
sub restore
{
	my ($file, $db) = @_;
	tool("restore $file", 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-o', "$dir/out", '-f', "$dir/$file.sql", $db);
}
# What was shown once and read again has fewer parentheses, and names for
# constants.
sub catalogs
{
	my $lines = catalog_snapshot($node, shift, 'p');

	$lines =~ s/[()]//g;
	$lines =~ s/(::text|::timestamp with time zone) AS (text|timestamptz)\b/$1/g;
	return $lines;
}

sql('old', q{
	CREATE EXTENSION leadscore;
	SELECT leadscore.create_pipeline('p', 'inbound');
	SELECT leadscore.create_pipeline('Odd "one"', 'enterprise', '1 hour');
	SELECT leadscore.grant_app('p', 'app'), leadscore.grant_reader('p', 'reader');
	INSERT INTO p.lead (external_id, email, consented_at, profile, created_at, updated_at)
		SELECT 'lead ' || i, 'a@example.com', '2025-01-01', jsonb_build_object('employees', i * 10), '2025-01-01', '2025-01-01' FROM generate_series(1, 100) i;
	INSERT INTO p.event (lead_id, kind, occurred_at)
		SELECT 1 + i % 100, (ARRAY['pricing_view', 'demo_request', 'purchase', 'lost', 'recycled', 'unknown'])[1 + i % 6], '2025-01-02'::timestamptz + i * interval '1 hour'
		FROM generate_series(1, 1000) i;
	SELECT p.clone_model('inbound', 'other');
	UPDATE p.rule SET points = points * 2 WHERE model = 'other';
	SELECT p.activate_model('other');
	SELECT p.clone_model('other', 'draft');
	UPDATE p.lead_state SET baseline = leadscore.lead_activity(1, '2024-12-01', 5, '1 day') WHERE lead_id = 7;
	SELECT p.rebuild();
	INSERT INTO "Odd ""one""".lead (external_id, email, consented_at) VALUES ('a', 'a@target.example', '2025-01-01');
	INSERT INTO "Odd ""one""".event (lead_id, kind, occurred_at) VALUES (1, 'demo_request', '2025-01-02');
});
my $digest = q{
	SELECT md5(string_agg(s::text, ' ' ORDER BY s.lead_id)) FROM p.lead_state s
	UNION ALL SELECT md5(string_agg(h::text, ' ' ORDER BY h.lead_id, h.seq)) FROM p.stage_history h
	UNION ALL SELECT md5(string_agg(m::text, ' ' ORDER BY m.model)) FROM p.model m
	UNION ALL SELECT md5(string_agg(e::text, ' ' ORDER BY e.event_id)) FROM p.event e
	UNION ALL SELECT md5(string_agg(s::text, ' ' ORDER BY s.lead_id)) FROM "Odd ""one""".lead_state s
	UNION ALL SELECT string_agg(p.score_by_id(l.lead_id, '2025-03-01')::text, ' ' ORDER BY l.lead_id) FROM p.lead l };
my $before = sql('old', $digest);

tool('dump as text', 'pg_dump', '-f', "$dir/plain.sql", 'old');
tool('dump as archive', 'pg_dump', '-Fc', '-f', "$dir/archive", 'old');
tool('dump of the schema', 'pg_dump', '-s', '-f', "$dir/schema.sql", 'old');
tool('dump of the data', 'pg_dump', '-a', '-f', "$dir/data.sql", 'old');
tool('dump of leads and events', 'pg_dump', '-a', '-t', 'p.lead', '-t', 'p.event', '-f', "$dir/events.sql", 'old');
$node->safe_psql('postgres', "CREATE DATABASE $_ OWNER boss") foreach qw(plain archive schema events);
restore('plain', 'plain');
tool('restore archive in parallel', 'pg_restore', '-j2', '--exit-on-error', '-d', 'archive', "$dir/archive");
restore('schema', 'schema');

is(sql('schema', 'SELECT count(*) FROM p.setting'), '0', 'a schema alone is empty');
my $catalogs = catalogs('old');
is(difference($catalogs, catalogs($_)), '', "$_: the same catalogs") foreach qw(plain archive schema);

# data alone, into that schema: nothing fires, and nothing is counted again
sql('schema', q{SELECT leadscore.detach_pipeline('p'), leadscore.detach_pipeline('Odd "one"')});
restore('data', 'schema');
is(sql('schema', q{SELECT leadscore.attach_pipeline('p'), leadscore.attach_pipeline('Odd "one"')}), '0|0', 'all of it is right');
is(difference($catalogs, catalogs('schema')), '', 'the same catalogs after attaching');

# leads and events alone, into a pipeline of its own models
sql('events', q{CREATE EXTENSION leadscore; SELECT leadscore.create_pipeline('p', attach => false)});
restore('events', 'events');
is(sql('events', q{SELECT leadscore.attach_pipeline('p')}), '100', 'all leads are counted');
is(sql('events', 'SELECT * FROM p.verify()'), '', 'events: verify()');
my $activities = q{SELECT md5(string_agg(activity::text, ' ' ORDER BY lead_id)) FROM p.lead_state WHERE lead_id <> 7};
is(sql('events', $activities), sql('old', $activities), 'events: the same counts');
is(sql('events', "SELECT lead_id, duplicate FROM p.track('somebody new', 'demo_request')"), '101|f', 'events: sequences go on');

foreach my $db (qw(plain archive schema))
{
	is(sql($db, $digest), $before, "$db: the same states, histories, models and scores");
	is(sql($db, 'SELECT * FROM p.verify() UNION ALL SELECT * FROM "Odd ""one""".verify()'), '', "$db: verify()");
	is(sql($db, 'SELECT p.rebuild()'), '0', "$db: nothing to rebuild");
	is(sql($db, "SELECT duplicate FROM p.track('lead 5', 'demo_request', occurred_at => '2025-06-01')"), 'f', "$db: events go on");
	is(sql($db, "SELECT duplicate FROM p.track('somebody new', 'demo_request', occurred_at => '2025-06-01')"), 'f', "$db: leads go on");
	is($node->safe_psql($db, "SELECT lead_id FROM p.track('lead 6', 'page_view')", extra_params => [ '-U', 'app' ]), '6', "$db: the app may");
	my ($rc, $out, $err) = $node->psql($db, "UPDATE p.rule SET note = 'x'", extra_params => [ '-U', 'boss' ]);
	like($err, qr/not a draft/, "$db: models are frozen");
	sql($db, "INSERT INTO p.signal (signal, event_kinds) VALUES ('unknown', '{unknown}'); SELECT p.activate_model('draft'); SELECT p.sweep(10000)");
	is(sql($db, 'SELECT * FROM p.verify()'), '', "$db: verify() after all that");
}

# The extension outlives no pipeline, but leads outlive it
my $mine = q{SELECT md5(string_agg(l::text, ' ' ORDER BY l.lead_id)) FROM p.lead l UNION ALL SELECT md5(string_agg(e::text, ' ' ORDER BY e.event_id)) FROM p.event e};
$before = sql('plain', $mine);
my ($rc, $out, $err) = $node->psql('plain', 'DROP EXTENSION leadscore', extra_params => [ '-U', 'boss' ]);
like($err, qr/cannot drop extension leadscore because other objects depend on it/, 'DROP EXTENSION is refused');
sql('plain', 'DROP EXTENSION leadscore CASCADE');
is(sql('plain', $mine), $before, 'CASCADE leaves leads and events');
sql('plain', "INSERT INTO p.event (lead_id, kind) VALUES (1, 'page_view')");
sql('plain', 'DROP SCHEMA p, "Odd ""one""" CASCADE');
$node->stop;
done_testing();
