# Large numbers of everything, and what a server must live through: one lead
# with very many events, many signals, kinds and pipelines, states that are
# updated very often, a full disk, a clock that goes back, transaction ids that
# wrap around. After each, stored values are those that verify() computes.
#
# SIZES=1 is the full size (make sizes); by default it is a hundredth.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use List::Util qw(max);
use Time::HiRes qw(time);

my $scale = $ENV{SIZES} || 0.01;
sub scaled { return max($_[1] // 1, int($_[0] * $scale)); }

my $node = PostgreSQL::Test::Cluster->new('sizes');
$node->init;
$node->append_conf('postgresql.conf', q{
fsync = off
autovacuum = off
log_statement = none
max_wal_size = '4GB'
});
$node->start;
sub query { return $node->safe_psql('postgres', $_[0]); }
query('CREATE EXTENSION leadscore');

# Run SQL, and note how long it took.
sub timed
{
	my ($name, $sql) = @_;
	my $begin = time;
	my $result = query($sql);
	note(sprintf '%s: %.1f s', $name, time - $begin);
	return $result;
}

sub verified
{
	my ($name, $pipeline) = @_;
	is(timed("$name, verify()", "SELECT * FROM $pipeline.verify() LIMIT 5"), '', "$name: verify()");
}

# A pipeline with three leads that may become customers
sub pipeline
{
	my ($name, $preset, $grain) = @_;
	query("SELECT leadscore.create_pipeline('$name', '$preset', '$grain')");
	query("INSERT INTO $name.lead (external_id, email, consented_at, created_at, updated_at)
		SELECT i, 'a\@example.com', '2020-01-01', '2020-01-01', '2020-01-01' FROM generate_series(1, 3) i");
}

# ---------- one lead ----------

my $events = scaled(1_000_000);
# 50,000 different hours, 2,083 days
query("CREATE TABLE source AS SELECT (i - 1) * 1000::bigint / $events AS batch, (ARRAY['page_view', 'pricing_view', 'email_open', 'cart_abandoned'])[1 + i % 4] AS kind,
	'2020-01-01'::timestamptz + i * interval '3 minutes' * (1000000 / $events) AS at FROM generate_series(1, $events) i; CREATE INDEX ON source (batch); ANALYZE source");
foreach my $grain ('1 day', '1 hour')
{
	my $name = $grain eq '1 day' ? 'days' : 'hours';
	pipeline($name, 'inbound', $grain);
	timed("$events events in one statement, $name", "INSERT INTO $name.event (lead_id, kind, occurred_at) SELECT 1, kind, at FROM source");
	timed("$events events in 1,000 statements, $name", "DO \$\$ BEGIN FOR b IN 0..999 LOOP
		INSERT INTO $name.event (lead_id, kind, occurred_at) SELECT 2, kind, at FROM source WHERE batch = b; COMMIT; END LOOP; END \$\$");
	is(query("SELECT (SELECT activity FROM $name.lead_state WHERE lead_id = 1) = (SELECT activity FROM $name.lead_state WHERE lead_id = 2)"), 't', "one lead, $name: the same activity in one statement and in 1,000");
	is(query("SELECT (SELECT string_agg(concat_ws(' ', to_stage, effective_at), ',' ORDER BY seq) FROM $name.stage_history WHERE lead_id = 1) IS NOT DISTINCT FROM
		(SELECT string_agg(concat_ws(' ', to_stage, effective_at), ',' ORDER BY seq) FROM $name.stage_history WHERE lead_id = 2)"), 't', "one lead, $name: the same history");
	timed("a late event, $name", "INSERT INTO $name.event (lead_id, kind, occurred_at) VALUES (1, 'page_view', '2020-02-01'), (1, 'purchase', '2020-03-01')");
	timed("a correction, $name", "DELETE FROM $name.event WHERE lead_id = 1 AND kind = 'purchase'");
	verified("one lead, $name", $name);
}

# ---------- signals ----------

my $signals = scaled(5_000, 8);
query("SELECT leadscore.create_pipeline('signals', 'empty')");
timed("$signals signals", "
INSERT INTO signals.signal (signal, event_kinds, condition)
	SELECT 'e' || i, CASE WHEN i % 3 > 0 THEN ARRAY['k' || i % 10] END, CASE WHEN i % 2 = 0 THEN ('\$.a == ' || i)::jsonpath END FROM generate_series(1, $signals / 2) i;
INSERT INTO signals.signal (signal, source, condition)
	SELECT 'p' || i, 'profile', ('\$consented == true || \$.x > ' || i)::jsonpath FROM generate_series(1, $signals / 2) i;
INSERT INTO signals.model (model) VALUES ('m');
INSERT INTO signals.dimension (model, dimension) VALUES ('m', 'd');
INSERT INTO signals.rule (model, dimension, rule, signal, points) SELECT 'm', 'd', signal, signal, 1 FROM signals.signal WHERE signal_id > 0;
INSERT INTO signals.stage_rule (model, stage, min_score) VALUES ('m', 'iql', 1), ('m', 'mql', 100000);
SELECT signals.activate_model('m')");
timed('leads with many signals', "INSERT INTO signals.lead (external_id, profile) SELECT i, '{}' FROM generate_series(1, 20) i");
timed('profiles with many signals', q{UPDATE signals.lead SET profile = '{"x": 10000}'});
timed('events with many signals', q{INSERT INTO signals.event (lead_id, kind, properties) SELECT 1 + i % 20, 'k' || i % 10, jsonb_build_object('a', i) FROM generate_series(1, 200) i});
my $profile = int($signals / 2);
is(query("SELECT count(*) FROM signals.profile_change WHERE lead_id = 1"), $profile, 'signals: all of the profile are there');
# by hand: all of the profile, and what each event of lead 1 (i = 20, 40, ... all of kind k0) matches
is(query('SELECT leadscore.score(activity, compiled) FROM signals.lead_state, signals.model WHERE lead_id = 1'),
	query(qq{SELECT $profile + count(*) FROM generate_series(20, 200, 20) i, generate_series(1, $profile) s
		WHERE (s % 3 = 0 OR s % 10 = 0) AND (s % 2 = 1 OR s = i)}), 'signals: score');
verified('signals', 'signals');

# ---------- kinds ----------

my $kinds = scaled(20_000);
query("SELECT leadscore.create_pipeline('kinds', 'empty')");
timed("$kinds kinds", "
INSERT INTO kinds.event_role (role) VALUES ('engagement');
INSERT INTO kinds.event_kind (kind, role) SELECT 'k' || i, 'engagement' FROM generate_series(1, $kinds) i;
INSERT INTO kinds.signal (signal, event_kinds) SELECT 's' || i, ARRAY['k' || i] FROM generate_series(1, $kinds) i;
INSERT INTO kinds.signal (signal, event_kinds) SELECT 'all', array_agg('k' || i) FROM generate_series(1, $kinds) i;
INSERT INTO kinds.signal (signal, event_kinds) VALUES ('any', NULL), ('twice', '{k1,k1}');
INSERT INTO kinds.lead (external_id) VALUES ('a')");
timed('events of all kinds', "INSERT INTO kinds.event (lead_id, kind) SELECT 1, 'k' || i FROM generate_series(1, $kinds) i");
is(query("SELECT string_agg(n::text, ' ' ORDER BY signal) FROM (SELECT g.signal, sum(u.count) AS n FROM kinds.lead_state s, leadscore.unnest(s.activity) u JOIN kinds.signal g USING (signal_id)
	WHERE g.signal IN ('all', 'any', 'twice', 's1', 's$kinds') GROUP BY g.signal) x"), "$kinds $kinds 1 1 1", 'kinds: each counts for its signals');
verified('kinds', 'kinds');

# ---------- pipelines ----------

my $pipelines = scaled(300, 3);
timed("$pipelines pipelines", join('', map { "SELECT FROM leadscore.create_pipeline('many$_', 'inbound'); INSERT INTO many$_.lead (external_id) VALUES ('a');\n" } 1 .. $pipelines));
my $touch = join('', map { "INSERT INTO many$_.event (lead_id, kind) VALUES (1, 'page_view');\n" } 1 .. $pipelines);
my $edit = join('', map { "INSERT INTO many$_.value_list VALUES ('l', clock_timestamp()::text);\n" } 1 .. $pipelines);
my $bytes = "SELECT sum(total_bytes) FROM pg_backend_memory_contexts WHERE name LIKE 'leadscore%'";
my ($once, $later) = split /\n/, timed('one session in all pipelines', "$touch $edit $touch $bytes; $edit $touch $edit $touch $edit $touch $bytes");
note("memory of the pipelines: $once, later $later bytes");
cmp_ok($once, '<', $pipelines * 1_000_000 + 1_000_000, 'pipelines: the cache of each is small');
cmp_ok($later, '<', 1.2 * $once + 100_000, 'pipelines: it does not grow when they change');
verified('pipelines', "many$pipelines");

# ---------- updates without vacuum ----------

# Blocks of a pipeline's tables and indexes that were looked at until now
sub blocks_read
{
	my ($pipeline) = @_;
	return query("SELECT sum(heap_blks_read + heap_blks_hit + coalesce(idx_blks_read + idx_blks_hit, 0)) FROM pg_statio_all_tables WHERE schemaname = '$pipeline'");
}

my $updates = scaled(2_000_000);
pipeline('updates', 'inbound', '1 day');
my $tenth = int($updates / 10);
my (@seconds, @blocks);
for (1 .. 10)
{
	my $begin = time;
	my $before = blocks_read('updates');
	query("DO \$\$ BEGIN FOR i IN 1..$tenth LOOP INSERT INTO updates.event (lead_id, kind, occurred_at) VALUES (1 + i % 3, 'email_open', '2024-01-01'); COMMIT; END LOOP; END \$\$");
	push @seconds, time - $begin;
	push @blocks, blocks_read('updates') - $before;
}
note("$updates updates, seconds of each tenth: ", join(' ', map { sprintf '%.2f', $_ } @seconds), ", blocks: @blocks");
cmp_ok($blocks[9], '<', 2 * $blocks[0], 'updates: the last take as few blocks as the first');
cmp_ok(query("SELECT pg_relation_size('updates.lead_state')"), '<', 1_000_000, 'updates: states stay in few pages');
verified('updates', 'updates');

# Pages of lead_state are pruned when their room is scarce: rows that have grown
# leave less of a page free than the fillfactor does, but room for many versions.
pipeline('pruned', 'inbound', '1 day');
query(q{INSERT INTO pruned.lead (external_id, created_at) SELECT 'l' || i, '2020-01-01' FROM generate_series(1, 500) i;
	INSERT INTO pruned.event (lead_id, kind, occurred_at) SELECT lead_id, k, '2020-01-05' FROM pruned.lead, unnest('{page_view,email_open,email_click}'::text[]) k;
	VACUUM pruned.lead_state});
my $before = query('SELECT pg_current_wal_insert_lsn()');
query(q{DO $$ BEGIN FOR i IN 1..1000 LOOP INSERT INTO pruned.event (lead_id, kind, occurred_at) VALUES (1 + i * 7 % 500, 'page_view', '2020-01-05'); COMMIT; END LOOP; END $$});
my $after = query('SELECT pg_current_wal_insert_lsn()');
query('SELECT pg_switch_wal()');
my ($records) = run_command(['pg_waldump', '--stats=record', '-p', $node->data_dir . '/pg_wal', '-s', $before, '-e', $after]);
my ($pruned) = $records =~ m{^Heap2/PRUNE\S*\s+(\d+)}m;
my ($hot) = $records =~ m{^Heap/HOT_UPDATE\s+(\d+)}m;
cmp_ok($hot, '>=', 990, 'pruned: updates are HOT');
cmp_ok($pruned // 0, '<', 333, 'pruned: not a page for each update');

# ---------- a full disk ----------

# A limit of the size of its files stops a server in the same places as a full
# disk, and needs no disk of its own.
{
	query('CREATE DATABASE disk');
	$node->safe_psql('disk', q{CREATE EXTENSION leadscore; SELECT leadscore.create_pipeline('p');
		INSERT INTO p.lead (external_id, email, consented_at) SELECT i, 'a@example.com', now() FROM generate_series(1, 200) i;
		CHECKPOINT});
	$node->stop;
	# a little more than a segment of WAL, in blocks of 512 bytes
	my $blocks = 32768 + 64;
	my $limited = 'ulimit -f ' . $blocks . '; exec "$@"';
	system_or_bail('sh', '-c', $limited, 'sh', 'pg_ctl', '-w', '-D', $node->data_dir, '-l', $node->logfile, 'start');
	my $failed = 0;
	for (1 .. 40)
	{
		my ($code) = $node->psql('disk', q{INSERT INTO p.event (lead_id, kind, properties) SELECT 1 + i % 200, 'pricing_view', jsonb_build_object('x', repeat(md5(i::text), 20)) FROM generate_series(1, 2000) i});
		$failed++ if $code != 0;
		last if $failed > 3;
	}
	cmp_ok($failed, '>', 0, 'full disk: statements fail');
	is($node->safe_psql('disk', 'SELECT * FROM p.verify()'), '', 'full disk: verify()');
	system_or_bail('pg_ctl', '-w', '-D', $node->data_dir, '-m', 'immediate', 'stop');
	$node->start;
	is($node->safe_psql('disk', 'SELECT * FROM p.verify()'), '', 'full disk: verify() after a crash');
	$node->safe_psql('disk', q{INSERT INTO p.event (lead_id, kind) SELECT lead_id, 'pricing_view' FROM p.lead});
	is($node->safe_psql('disk', 'SELECT * FROM p.verify()'), '', 'full disk: all goes on');
}

# ---------- a clock that goes back ----------

SKIP:
{
	my ($faketime) = grep { -e $_ } glob('/usr/lib/*/faketime/libfaketime.so.1');
	skip 'no libfaketime here', 4 unless $faketime;

	pipeline('clock', 'inbound', '1 day');
	my $write = q{
		INSERT INTO clock.event (lead_id, kind) SELECT lead_id, k FROM clock.lead, unnest('{pricing_view,demo_request,sales_contact,points_added}'::text[]) k;
		UPDATE clock.lead SET profile = profile || jsonb_build_object('employees', 60 + floor(random() * 10), 'need', random() < 0.5);
		INSERT INTO clock.event (lead_id, kind) SELECT lead_id, (ARRAY['lost', 'recycled', 'purchase'])[lead_id] FROM clock.lead;
		SELECT clock.sweep();
	};
	query($write);
	foreach my $ahead ('-40d', '+3d', '-1h', undef)
	{
		$node->stop;
		local %ENV = (%ENV, LD_PRELOAD => $faketime, FAKETIME => $ahead, DONT_FAKE_MONOTONIC => 1) if $ahead;
		$node->start;
		query($write);
		is(query('SELECT * FROM clock.verify()'), '', 'clock at ' . ($ahead // 'now') . ': verify()');
	}
	is(query(q{SELECT count(*) FROM (SELECT recorded_at < lag(recorded_at) OVER (PARTITION BY lead_id ORDER BY seq) AS before FROM clock.stage_log) h WHERE before}), '0',
		'clock: no row of a lead is recorded before another');
	is(query('SELECT clock.rebuild()'), '0', 'clock: nothing to rebuild');
}

# ---------- transaction ids ----------

# Set the next transaction id of the stopped server; its part of the log of
# commits must be there.
sub set_next_xid
{
	my ($xid, $epoch) = @_;
	my $file = sprintf '%s/pg_xact/%04X', $node->data_dir, int($xid / 1048576);
	append_to_file($file, "\0" x 262144) unless -e $file;
	system_or_bail('pg_resetwal', '-D', $node->data_dir, '-x', $xid, '-e', $epoch);
}
sub freeze { $node->command_ok([ 'vacuumdb', '-q', '--all', '--freeze' ], 'transaction ids: freeze'); }

pipeline('xid', 'inbound', '1 day');
my $write = q{DO $$ BEGIN FOR i IN 1..} . scaled(20_000) . q{ LOOP INSERT INTO xid.event (lead_id, kind) VALUES (1 + i % 3, (ARRAY['pricing_view', 'lost', 'demo_request', 'recycled'])[1 + i % 4]); COMMIT; END LOOP; END $$};
freeze();
query('ALTER DATABASE template0 ALLOW_CONNECTIONS true');
freeze();
foreach my $step ([ 2_140_000_000, 0 ], [ 4_280_000_000, 0 ], [ 4_294_967_200, 0 ])
{
	$node->stop;
	set_next_xid(@$step);
	$node->start;
	query($write);
	verified("transaction id $step->[0]", 'xid');
	freeze();
}
query($write);
cmp_ok(query('SELECT txid_current()'), '>', 2**32, 'transaction ids: wrapped around');
verified('transaction ids', 'xid');

$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP|XX000|terminated by signal/, 'log');
done_testing();
