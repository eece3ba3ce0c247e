# Logical replication: results go to a database for reports, without
# events and personal data, and the views show the same there. Leads and events
# go to another one that has a pipeline of its own: no statement trigger fires
# there, verify() says so and rebuild() makes up for it.
use strict;
use warnings;
use File::Basename;
use lib dirname(__FILE__);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Snapshot;
use Test::More;

# One server: it can subscribe to itself if the slot is there before.
my $node = PostgreSQL::Test::Cluster->new('logical');
$node->init(allows_streaming => 'logical');
$node->append_conf('postgresql.conf', q{
fsync = off
log_statement = none
jit = off
max_logical_replication_workers = 10
max_sync_workers_per_subscription = 4
max_worker_processes = 20
wal_retrieve_retry_interval = 100ms
});
$node->start;
sub sql { return $node->safe_psql(@_) }
my $connect = $node->connstr('main') =~ s{'}{''}gr;

sub subscribe
{
	my ($db, $publication) = @_;
	sql('main', "SELECT FROM pg_create_logical_replication_slot('$db', 'pgoutput')");
	sql($db, "CREATE SUBSCRIPTION $db CONNECTION '$connect' PUBLICATION $publication WITH (create_slot = false)");
	$node->wait_for_subscription_sync($node, $db, $db);
}

sub all_there { $node->wait_for_catchup($_) foreach qw(bi node) }

sql('postgres', "CREATE DATABASE $_") foreach qw(main bi node);
sql('main', q{
	CREATE EXTENSION leadscore;
	SELECT leadscore.create_pipeline('p', 'enterprise');
	INSERT INTO p.campaign (campaign, channel) VALUES ('fair', 'seo');
	SELECT p.activate_segment('ready_to_buy'), p.activate_segment('quiet_customers'), p.activate_segment('curious');
	SELECT p.track_many((SELECT jsonb_agg(jsonb_build_object('external_id', 'lead ' || i % 20, 'campaign', 'fair', 'value', 100,
		'kind', (ARRAY['pricing_view', 'demo_request', 'quote_request', 'case_study_download', 'purchase'])[1 + i % 5],
		'occurred_at', '2025-01-02'::timestamptz + i * interval '5 hours',
		'profile', '{"email": "a@target.example", "consent": true, "market": "b2b"}'::jsonb))
		FROM generate_series(1, 200) i));
	SELECT p.sweep();
	CREATE PUBLICATION results FOR TABLE p.lead_state, p.stage_log, p.segment_log,
		p.lead (lead_id, external_id, kind, market, country, channel, campaign, owner, persona, consented_at, contact_allowed, erased_at, created_at, updated_at),
		p.consent (lead_id, consent_id, purpose, status, occurred_at),
		p.setting, p.event_role, p.event_kind, p.signal, p.value_list, p.content, p.model, p.model_activation, p.dimension, p.rule, p.stage_rule, p.stage_gate, p.grade, p.segment, p.segment_condition, p.segment_activation,
		p.channel, p.campaign, p.cost, p.benchmark;
	CREATE PUBLICATION raw FOR TABLE p.lead, p.event;
});

# For reports: the schema first. States and models come as they are.
$node->command_ok([ 'pg_dump', '-s', '--no-publications', '-f', $node->basedir . '/schema.sql', $node->connstr('main') ], 'dump of the schema');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('bi'), '-f', $node->basedir . '/schema.sql' ], 'restore of the schema');
subscribe('bi', 'results');
# To score anew: a pipeline of its own.
sql('node', q{CREATE EXTENSION leadscore; SELECT leadscore.create_pipeline('p', 'enterprise');
	SELECT p.activate_segment('ready_to_buy'), p.activate_segment('quiet_customers'), p.activate_segment('curious')});
subscribe('node', 'raw');

my @views = ((map { "p.$_" } qw(lead_score lead_dimension funnel funnel_cohort funnel_by stage_daily conversion_curve cycle_time segment_members segment_history)),
	map { "p_reports.$_" } qw(lead_dim conversion_rates cost_per_lead));
my $contents = join "\n", (map { "SELECT '$_', count(*), md5(string_agg(v::text, ' ' ORDER BY v::text)) FROM $_ v;" } @views),
	'SELECT lead_id, entry_seq, stage, cause, entered, converted, lost, open FROM p.stage_entry ORDER BY 1, 2;',
	"SELECT lead_id, p.score_by_id(lead_id, '2025-03-05'), p.stage_at_by_id(lead_id, '2025-02-01') FROM p.lead ORDER BY 1";
my $consents = 'SELECT lead_id, consent_id, purpose, status, occurred_at FROM p.consent ORDER BY 1, 2';
my $states = 'SELECT lead_id, activity, stage, cycle, promotion_blocked, stage_since, processed_until FROM p.lead_state ORDER BY 1';
my $history = 'SELECT lead_id, seq, cycle, from_stage, to_stage, effective_at, cause, model, score FROM p.stage_history ORDER BY 1, 2';
my $segments = 'SELECT lead_id, segment, is_member, effective_at, cause FROM p.segment_history ORDER BY lead_id, seq';

is(difference(sql('main', $contents), sql('bi', $contents)), '', 'reports: scores and views are the same');
like(sql('main', $consents), qr/granted/, 'consents are recorded');
is(difference(sql('main', $consents), sql('bi', $consents)), '', 'reports: the same consents');

is(sql('node', 'SELECT problem, count(*) FROM p.verify() GROUP BY 1'), 'lead without a state|20', 'node: nothing is scored at first, and verify() says so');
is(sql('node', 'SELECT p.rebuild()'), '20', 'node: rebuild() scores');
is(sql('node', 'SELECT * FROM p.verify()'), '', 'node: verify() after that');
is(difference(sql('main', $states), sql('node', $states)), '', 'node: the same states');
is(difference(sql('main', $history), sql('node', $history)), '', 'node: the same history');
like(sql('main', $segments), qr/quiet_customers\|t/, 'leads entered segments');
is(difference(sql('main', $segments), sql('node', $segments)), '', 'node: the same segments');

# Life goes on: new leads and events, corrections, stages by hand, deletes, a
# new signal and a new model.
sql('main', q{
	SELECT p.track('somebody new', 'demo_request', occurred_at => '2025-03-01', profile => '{"email": "b@target.example", "consent": true}');
	SELECT p.track('lead 3', 'demo_request', occurred_at => '2025-03-01');
	SELECT p.track('lead 4', 'purchase', occurred_at => '2025-03-01');
	SELECT p.track('lead 5', 'lost', occurred_at => '2025-03-01');
	INSERT INTO p.event (lead_id, kind, occurred_at, properties) VALUES (p.lead_id('lead 6'), 'stage_set', '2025-03-01', '{"stage": "advocate"}');
	UPDATE p.event SET kind = 'page_view' WHERE lead_id = p.lead_id('lead 7') AND kind = 'quote_request';
	DELETE FROM p.event WHERE lead_id = p.lead_id('lead 8') AND occurred_at > '2025-02-01';
	UPDATE p.lead SET consented_at = NULL, updated_at = '2025-03-01' WHERE external_id = 'lead 9';
	DELETE FROM p.lead WHERE external_id = 'lead 10';
	SELECT p.sweep();
});
all_there();
is(sql('node', 'SELECT count(DISTINCT lead_id) FROM p.verify()'), '9', 'node: verify() finds what was applied');
is(sql('node', 'SELECT p.rebuild()'), '9', 'node: rebuild() makes up for it');
is(sql('node', 'SELECT * FROM p.verify()'), '', 'node: verify() after that');
is(difference(sql('main', $states), sql('node', $states)), '', 'node: the same states again');
is(difference(sql('main', $segments), sql('node', $segments)), '', 'node: the same segments again');

# a segment takes the place of another, and one is retired
sql('main', q{
	SELECT p.clone_segment('curious', 'curious 2');
	UPDATE p.segment_condition SET within = '20 days' WHERE segment = 'curious 2' AND within IS NOT NULL;
	SELECT p.activate_segment('curious 2', replaces => 'curious', wait => true);
	SELECT p.retire_segment('ready_to_buy', wait => true);
});

sql('main', q{
	INSERT INTO p.signal (signal, event_kinds) VALUES ('asked', '{demo_request,quote_request}');
	SELECT p.clone_model('enterprise', 'other');
	INSERT INTO p.rule (model, dimension, rule, signal, points) SELECT model, dimension, 'asked', 'asked', 50 FROM p.dimension WHERE model = 'other' LIMIT 1;
	SELECT p.activate_model('other', wait => true);
	SELECT p.clone_model('other', 'waste');
	DELETE FROM p.model WHERE model = 'waste';
	SELECT p.rebuild();
});
all_there();
is(difference(sql('main', $contents), sql('bi', $contents)), '', 'reports: scores and views are the same again');
my ($rc, $out, $err) = $node->psql('bi', "UPDATE p.rule SET points = 1 WHERE model = 'other'");
like($err, qr/not a draft/, 'reports: models are frozen there too');
($rc, $out, $err) = $node->psql('bi', "UPDATE p.segment_condition SET within = '1 day' WHERE segment = 'curious' AND within IS NOT NULL");
like($err, qr/not a draft/, 'reports: segments are frozen there too');

sql('main', 'TRUNCATE p.event');
all_there();
isnt(sql('node', 'SELECT * FROM p.verify()'), '', 'node: verify() notices a TRUNCATE');
sql('node', 'SELECT p.rebuild()');
is(sql('node', 'SELECT * FROM p.verify()'), '', 'node: and rebuild() repairs');
is(difference(sql('main', $contents), sql('bi', $contents)), '', 'reports: after a TRUNCATE too');

is(join('', grep { /ERROR/ && !/logical\.pl/ } split /^/, slurp_file($node->logfile)), '', 'nothing was refused on the way');
sql('bi', 'DROP SUBSCRIPTION bi');
sql('node', 'DROP SUBSCRIPTION node');
$node->stop;
done_testing();
