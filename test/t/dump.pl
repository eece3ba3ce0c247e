# A dump that is restored by an owner that is no superuser: the same scores,
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
# A definition that was shown once and read again has fewer parentheses, and names for
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
	INSERT INTO p.segment (segment, persona) VALUES ('dumped', true), ('dumped_after', false), ('dumped_draft', false);
	INSERT INTO p.segment_condition (segment, condition, signal, within, lead_condition, in_segment) VALUES
		('dumped', 'bought', 'purchase', NULL, NULL, NULL), ('dumped_after', 'viewed', 'pricing_view', '20 days', NULL, NULL), ('dumped_draft', 'in', NULL, NULL, NULL, 'dumped'), ('dumped_draft', 'firm', NULL, NULL, '$.employees > 500', NULL);
	SELECT p.activate_segment('dumped', wait => true), p.activate_segment('dumped_after', wait => true);
	SELECT p.clone_model('inbound', 'other');
	UPDATE p.rule SET points = points * 2 WHERE model = 'other';
	SELECT p.activate_model('other', wait => true);
	SELECT p.clone_model('other', 'draft');
	INSERT INTO p.sequence (sequence, starts_on, start_name, stay_in_segment) VALUES ('dumped', 'segment_entered', 'dumped', 'dumped'), ('dumped paused', 'event', 'demo_request', NULL), ('dumped draft', 'by_hand', NULL, NULL);
	INSERT INTO p.sequence_step (sequence, step, position, channel, delay) SELECT s, n, i, 'email', i * interval '1 day' FROM unnest('{dumped,dumped paused,dumped draft}'::text[]) s, unnest('{one,two}'::text[]) WITH ORDINALITY AS n (n, i);
	INSERT INTO p.experiment (experiment, goal_stage) VALUES ('dumped', 'sql'), ('dumped draft', 'sql');
	INSERT INTO p.variant (experiment, variant, position, weight) SELECT x.experiment, v, i, i FROM p.experiment x, unnest('{a,b,c}'::text[]) WITH ORDINALITY AS n (v, i);
	SELECT p.start_experiment('dumped'), count(p.expose_by_id('dumped', lead_id)) FROM p.lead WHERE lead_id <= 20;
	SELECT p.activate_sequence('dumped', 'all'), p.activate_sequence('dumped paused'), p.pause_sequence('dumped paused');
	INSERT INTO p.assignment (owner, stage) VALUES ('ann', 'sql');
	INSERT INTO p.contact_limit (channel, period, max_count) VALUES ('email', 'week', 100);
	ALTER TABLE p.lead_state DISABLE TRIGGER USER;
	UPDATE p.lead_state SET baseline = leadscore.lead_activity(1, '2024-12-01', 5, '1 day') WHERE lead_id = 7;
	ALTER TABLE p.lead_state ENABLE TRIGGER USER;
	SELECT p.rebuild();
	INSERT INTO "Odd ""one""".lead (external_id, email, consented_at) VALUES ('a', 'a@target.example', '2025-01-01');
	INSERT INTO "Odd ""one""".event (lead_id, kind, occurred_at, source_id) VALUES (1, 'demo_request', '2025-01-02', 'purged'), (1, 'demo_request', '2025-02-02', NULL);
	SELECT FROM "Odd ""one""".purge('2025-01-20');
	INSERT INTO "Odd ""one""".event (lead_id, kind, occurred_at) VALUES (1, 'pricing_view', '2025-01-03');
	UPDATE "Odd ""one""".retention SET keep_for = '2 years' WHERE table_name = 'event';
});

# Views with every form of comparison that has no spelling with the schema of
# its operator, in a schema of the user's. All are made with nothing in
# search_path, as pg_dump restores them, and say the same after it.
my %form = (
	'equal' => q{to_stage = 'mql'},
	'in' => q{to_stage IN ('mql', 'sql')},
	'distinct' => q{to_stage IS DISTINCT FROM 'mql' AND from_stage IS NOT DISTINCT FROM 'iql'},
	'case' => q{CASE to_stage WHEN 'mql' THEN true WHEN 'sql' THEN from_stage IS NULL ELSE false END},
	'nullif' => q{NULLIF(to_stage, 'mql') IS NULL},
	'row_in' => q{(lead_id, to_stage) IN ((1, 'mql'), (2, 'sql'), (3, 'iql'))},
	'row_greater' => q{(to_stage, seq) > ('iql', 1)},
	'between' => q{to_stage BETWEEN 'mql' AND 'customer'},
	'any' => q{to_stage = ANY ('{mql,customer}')},
	'like' => q{to_stage LIKE 'm%' OR to_stage ILIKE 'S_L' OR to_stage NOT LIKE '%'},
	'lower' => q{lower(to_stage) = 'mql' OR upper(to_stage) = 'SQL'},
	'greatest' => q{greatest(from_stage, to_stage) = 'mql'},
	'varchar' => q{to_stage = 'mql'::varchar},
	'subquery' => q{to_stage = (SELECT max(h.to_stage) FROM p.stage_history h WHERE h.lead_id = stage_history.lead_id)});
my %query = (
	(map { $_ => "SELECT lead_id, seq FROM p.stage_history WHERE $form{$_}" } keys %form),
	'using' => q{SELECT a.lead_id, a.seq FROM p.stage_history a JOIN (SELECT lead_id, stage AS to_stage FROM p.lead_state) b USING (lead_id, to_stage)},
	'max' => q{SELECT lead_id, max(to_stage) AS best, min(to_stage) AS worst FROM p.stage_history GROUP BY lead_id},
	'order' => q{SELECT DISTINCT ON (lead_id) lead_id, to_stage FROM p.stage_history ORDER BY lead_id, to_stage DESC},
	'sum' => q{SELECT sum(activity) AS activity FROM p.lead_state},
	'activity' => q{SELECT lead_id, activity + activity - activity = activity AS same FROM p.lead_state});
my $forms = join "\nUNION ALL\n", map { "SELECT '$_', count(*), md5(string_agg(v::text, ' ' ORDER BY v::text)) FROM mine.\"$_\" v" } sort keys %query;
sql('old', join '', "CREATE SCHEMA mine; SET search_path = '';", map { qq{CREATE VIEW mine."$_" AS $query{$_};} } sort keys %query);
sql('old', q{CREATE FUNCTION mine.is_stage(lead bigint, stage varchar) RETURNS boolean LANGUAGE plpgsql SET search_path = '' AS
	$$BEGIN RETURN (SELECT s.stage = is_stage.stage FROM p.lead_state s WHERE s.lead_id = lead); END$$});
$forms .= "\nUNION ALL SELECT 'function', count(*) FILTER (WHERE mine.is_stage(lead_id, stage::text::varchar)), '' FROM p.lead_state";
my $seen = sql('old', $forms);
is(() = $seen =~ /\|0\|/g, 0, 'every form finds something');

my $digest = q{
	SELECT md5(string_agg(s::text, ' ' ORDER BY s.lead_id)) FROM p.lead_state s
	UNION ALL SELECT md5(string_agg(h::text, ' ' ORDER BY h.lead_id, h.seq)) FROM p.stage_history h
	UNION ALL SELECT md5(string_agg(m::text, ' ' ORDER BY m.model)) FROM p.model m
	UNION ALL SELECT md5(string_agg(h::text, ' ' ORDER BY h.lead_id, h.seq)) || count(*) FROM p.segment_log h
	UNION ALL SELECT md5(string_agg(g::text, ' ' ORDER BY g.segment)) || count(*) FROM p.segment g
	UNION ALL SELECT md5(string_agg(c::text, ' ' ORDER BY c.condition_id)) || count(*) FROM p.segment_condition c
	UNION ALL SELECT md5(string_agg(a::text, ' ' ORDER BY a.activation_id)) || count(*) FROM p.segment_activation a
	UNION ALL SELECT md5(string_agg(q::text, ' ' ORDER BY q.sequence)) || count(*) FROM p.sequence q
	UNION ALL SELECT md5(string_agg(s::text, ' ' ORDER BY s.sequence, s.step)) || count(*) FROM p.sequence_step s
	UNION ALL SELECT md5(string_agg(e::text, ' ' ORDER BY e.lead_id, e.sequence)) || count(*) FROM p.enrollment e
	UNION ALL SELECT md5(string_agg(a::text, ' ' ORDER BY a.lead_id, a.action_id)) || count(*) FROM p.action a
	UNION ALL SELECT md5(string_agg(x::text, ' ' ORDER BY x.experiment)) || count(*) FROM p.experiment x
	UNION ALL SELECT md5(string_agg(v::text, ' ' ORDER BY v.experiment, v.position)) || count(*) FROM p.variant v
	UNION ALL SELECT md5(string_agg(o::text, ' ' ORDER BY o.lead_id, o.experiment)) || count(*) FROM p.exposure o
	UNION ALL SELECT md5(string_agg(e::text, ' ' ORDER BY e.event_id)) FROM p.event e
	UNION ALL SELECT md5(string_agg(s::text, ' ' ORDER BY s.lead_id)) FROM "Odd ""one""".lead_state s
	UNION ALL SELECT md5(string_agg(c::text, ' ' ORDER BY c.lead_id)) || count(*) || count(c.source_ids) FROM "Odd ""one""".lead_checkpoint c
	UNION ALL SELECT string_agg(concat(r.table_name, r.keep_for), ' ' ORDER BY r.table_name) FROM "Odd ""one""".retention r
	UNION ALL SELECT string_agg(p.score_by_id(l.lead_id, '2025-03-01')::text, ' ' ORDER BY l.lead_id) FROM p.lead l };
my $before = sql('old', $digest);

tool('dump as text', 'pg_dump', '-f', "$dir/plain.sql", 'old');
tool('dump as archive', 'pg_dump', '-Fc', '-f', "$dir/archive", 'old');
tool('dump of the schema', 'pg_dump', '-s', '-f', "$dir/schema.sql", 'old');
tool('dump of the data', 'pg_dump', '-a', '-f', "$dir/data.sql", 'old');
tool('dump of leads and events', 'pg_dump', '-a', '-t', 'p.lead', '-t', 'p.event', '-f', "$dir/events.sql", 'old');
tool('dump of a pipeline', 'pg_dump', '--schema=p', '--schema=p_reports', '--extension=leadscore', '-f', "$dir/alone.sql", 'old');
$node->safe_psql('postgres', "CREATE DATABASE $_ OWNER boss") foreach qw(plain archive schema events alone);
restore('plain', 'plain');
tool('restore archive in parallel', 'pg_restore', '-j2', '--exit-on-error', '-d', 'archive', "$dir/archive");
restore('schema', 'schema');
restore('alone', 'alone');

is(sql('schema', 'SELECT count(*) FROM p.setting'), '0', 'a schema alone is empty');
my $catalogs = catalogs('old');
is(difference($catalogs, catalogs($_)), '', "$_: the same catalogs") foreach qw(plain archive schema alone);
is(sql('alone', 'SELECT pipeline FROM leadscore.pipelines'), 'p', 'a pipeline alone');
is(sql('alone', 'SELECT * FROM p.verify()'), '', '... is right');

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
	is(sql($db, q{SELECT "Odd ""one""".rebuild()}), '0', "$db: nor where events were purged");
	is(sql($db, q{SELECT duplicate FROM "Odd ""one""".track('a', 'demo_request', occurred_at => '2025-01-02', source_id => 'purged')}), 't', "$db: a purged event is known");
	is(sql($db, $forms), $seen, "$db: views of the user that compare stages");
	is(sql($db, "SELECT duplicate FROM p.track('lead 5', 'demo_request', occurred_at => '2025-06-01')"), 'f', "$db: events go on");
	is(sql($db, "SELECT duplicate FROM p.track('somebody new', 'demo_request', occurred_at => '2025-06-01')"), 'f', "$db: leads go on");
	is($node->safe_psql($db, "SELECT lead_id FROM p.track('lead 6', 'page_view')", extra_params => [ '-U', 'app' ]), '6', "$db: the app may");
	my ($rc, $out, $err) = $node->psql($db, "UPDATE p.rule SET note = 'x'", extra_params => [ '-U', 'boss' ]);
	like($err, qr/not a draft/, "$db: models are frozen");
	($rc, $out, $err) = $node->psql($db, "UPDATE p.segment_condition SET min_count = 2 WHERE segment = 'dumped'", extra_params => [ '-U', 'boss' ]);
	like($err, qr/not a draft/, "$db: segments are frozen");
	($rc, $out, $err) = $node->psql($db, "UPDATE p.sequence_step SET position = 9 WHERE sequence = 'dumped' AND step = 'two'", extra_params => [ '-U', 'boss' ]);
	like($err, qr/is active and cannot be edited/, "$db: so are sequences");
	is(sql($db, "SELECT count(*), bool_and(ended_at IS NULL) FROM p.enrollment WHERE sequence = 'dumped'"), '50|t', "$db: the runs of leads are open");
	is(sql($db, "SELECT count(*) FROM p.claim_actions('email', at => now() + interval '1 day')"), '0', "$db: nothing goes without consent to messages");
	is(sql($db, "SELECT count(*) FROM p.action WHERE status = 'skipped' AND reason = 'no consent'"), '50', "$db: what was due is skipped");
	is(sql($db, "SELECT count(*) FROM p.segment_members WHERE segment = 'dumped'"), '50', "$db: every second lead bought");
	sql($db, "SELECT p.activate_segment('dumped_draft', wait => true)");
	sql($db, "INSERT INTO p.signal (signal, event_kinds) VALUES ('unknown', '{unknown}'); SELECT p.activate_model('draft', wait => true); SELECT p.sweep(10000)");
	is(sql($db, 'SELECT * FROM p.verify()'), '', "$db: verify() after all that");
}

# Migrations and test suites begin with this. Nothing of ours is in it.
foreach my $path ("''", 'p', 'public')
{
	is(sql('archive', "SET search_path = $path; BEGIN; DROP SCHEMA public CASCADE; SELECT lead_id FROM p.stage_history WHERE to_stage = 'mql' ORDER BY lead_id LIMIT 1; ROLLBACK"),
		sql('old', q{SELECT lead_id FROM mine.equal ORDER BY lead_id LIMIT 1}), "search_path = $path, without schema public");
}
$node->safe_psql('archive', 'DROP SCHEMA public CASCADE');
is(sql('archive', 'SELECT * FROM p.verify()'), '', 'all is right without the schema public');
is(sql('archive', 'SELECT count(*) > 0 FROM mine.max'), 't', 'and the views of the user are there');

# The extension outlives no pipeline, but leads outlive it
my $mine = q{SELECT md5(string_agg(l::text, ' ' ORDER BY l.lead_id)) FROM p.lead l UNION ALL SELECT md5(string_agg(e::text, ' ' ORDER BY e.event_id)) FROM p.event e};
$before = sql('plain', $mine);
my ($rc, $out, $err) = $node->psql('plain', 'DROP EXTENSION leadscore', extra_params => [ '-U', 'boss' ]);
like($err, qr/cannot drop extension leadscore because other objects depend on it/, 'DROP EXTENSION is refused');
sql('plain', 'DROP EXTENSION leadscore CASCADE; DROP SCHEMA mine CASCADE');
is(sql('plain', $mine), $before, 'CASCADE leaves leads and events');
sql('plain', "INSERT INTO p.event (lead_id, kind) VALUES (1, 'page_view')");
sql('plain', 'DROP SCHEMA p, p_reports, "Odd ""one""", "Odd ""one""_reports" CASCADE');
$node->stop;
done_testing();
