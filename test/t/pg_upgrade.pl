# pg_upgrade of a database with a pipeline that has views and columns of its
# user's own: all is as it was, and goes on. Skipped unless OLD_PG_CONFIG names a server to upgrade
# from and OLD_SETTINGS a file of settings by which it finds this extension:
# "make pg-upgrade" has them.
use strict;
use warnings;
use File::Basename;
use lib dirname(__FILE__);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Snapshot;
use Test::More;

plan skip_all => 'no server to upgrade from, see make pg-upgrade' unless $ENV{OLD_PG_CONFIG};

chomp(my $old_bindir = `$ENV{OLD_PG_CONFIG} --bindir`);
chomp(my $new_bindir = `$ENV{PG_CONFIG} --bindir`);
my $new_settings = $ENV{TEMP_CONFIG};
my @databases = qw(today);

$ENV{TEMP_CONFIG} = $ENV{OLD_SETTINGS};
my $old = PostgreSQL::Test::Cluster->new('old', install_path => dirname($old_bindir));
$old->init;
$ENV{TEMP_CONFIG} = $new_settings;
my $new = PostgreSQL::Test::Cluster->new('new');
$new->init;
$_->append_conf('postgresql.conf', "fsync = off\nlog_statement = none\njit = off\n") foreach ($old, $new);

sub sql
{
	my ($node, $db, $sql) = @_;
	return $node->safe_psql($db, $sql, extra_params => [ '-U', 'boss' ]);
}

# everything that a database shows
sub contents
{
	my ($node, $db) = @_;
	my @tables = split /\n/, sql($node, $db,
		q{SELECT oid::regclass FROM pg_class WHERE relnamespace = 'crm'::regnamespace AND relkind = 'r' ORDER BY relname});

	return sql($node, $db, join "\n", (map { "SELECT '$_', count(*), md5(string_agg(t::text, ' ' ORDER BY t::text)) FROM $_ t;" } @tables), q{
		TABLE crm.stage_history;
		SELECT lead_id, stage, users_stage, crm.score_by_id(lead_id, '2025-03-01'), crm.explain_by_id(lead_id, '2025-03-01') FROM crm.lead JOIN crm.lead_state USING (lead_id);
		TABLE users_funnel;
		SELECT * FROM users_table WHERE stage >= 'mql' ORDER BY stage, activity;
		TABLE users_scores});
}

$old->start;
$old->safe_psql('postgres', 'CREATE ROLE boss LOGIN; CREATE ROLE app; CREATE ROLE reader');
foreach my $db (@databases)
{
	$old->safe_psql('postgres', "CREATE DATABASE $db OWNER boss");
	$old->safe_psql($db, "ALTER SCHEMA public OWNER TO boss; ALTER DATABASE $db SET search_path = public, leadscore");
	sql($old, $db, 'CREATE EXTENSION leadscore');
	sql($old, $db, q{
		SELECT leadscore.create_pipeline('crm');
		SELECT leadscore.grant_app('crm', 'app'), leadscore.grant_reader('crm', 'reader');
		ALTER TABLE crm.lead ADD users_stage leadscore.lead_stage DEFAULT 'iql';
		SELECT count(*) FROM generate_series(1, 200) i,
			LATERAL crm.track('lead ' || i % 30, (ARRAY['page_view', 'case_study_download', 'pricing_view', 'quote_request', 'purchase', 'lost', 'unknown'])[i % 7 + 1],
				occurred_at => timestamptz '2025-01-01' + i * interval '7 hours',
				profile => CASE WHEN i % 3 = 0 THEN '{"email": "a@b.example", "consent": true}'::jsonb END) t;
		UPDATE crm.lead SET users_stage = 'mql' WHERE lead_id % 2 = 0;
		SELECT crm.clone_model('inbound', 'other');
		UPDATE crm.rule SET points = points * 2 WHERE model = 'other';
		SELECT crm.activate_model('other', wait => true);
		CREATE TABLE users_table AS SELECT lead_id, stage, activity FROM crm.lead_state;
		CREATE INDEX ON users_table (stage);
		CREATE UNIQUE INDEX ON users_table USING btree (activity, lead_id);
		CREATE VIEW users_funnel AS SELECT stage, entered, converted FROM crm.funnel;
		CREATE MATERIALIZED VIEW users_scores AS SELECT lead_id, score(activity, compiled, '2025-03-01') FROM crm.lead_state, crm.model WHERE status = 'active'});
	is(sql($old, $db, 'SELECT * FROM crm.verify()'), '', "$db: verify() before");
}
my %before = map { $_ => contents($old, $_) } @databases;
$old->stop;

chdir $PostgreSQL::Test::Utils::tmp_check;
command_ok([
		'pg_upgrade', '--old-bindir', $old_bindir, '--new-bindir', $new_bindir, '--old-datadir', $old->data_dir,
		'--new-datadir', $new->data_dir, '--old-port', $old->port, '--new-port', $new->port, '--socketdir', $new->host
	], 'pg_upgrade');
die map { grep { /error:/ } split /^/, slurp_file($_) } glob($new->data_dir . '/pg_upgrade_output.d/*/log/*.log')
  unless Test::More->builder->is_passing;

$new->start;
foreach my $db (@databases)
{
	is(difference($before{$db}, contents($new, $db)), '', "$db: all is as it was");
	is(sql($new, $db, 'SELECT * FROM crm.verify()'), '', "$db: verify() after");
	is(sql($new, $db, 'SELECT crm.rebuild()'), '0', "$db: nothing to rebuild");
	is(sql($new, $db, 'SET enable_seqscan = off; SELECT count(*) FROM users_table WHERE stage >= \'mql\''),
		sql($new, $db, 'SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off; SELECT count(*) FROM users_table WHERE stage >= \'mql\''),
		"$db: indexes are right");

	sql($new, $db, q{
		SELECT crm.track('somebody new', 'demo_request'), crm.track('lead 1', 'quote_request');
		UPDATE crm.event SET kind = 'demo_request' WHERE kind = 'page_view';
		DELETE FROM crm.event WHERE event_id % 5 = 0;
		UPDATE crm.lead SET profile = '{"budget": true}' WHERE lead_id < 5;
		DELETE FROM crm.lead WHERE lead_id = 7});
	is(sql($new, $db, 'SELECT * FROM crm.verify()'), '', "$db: triggers go on");
	sql($new, $db, q{
		SELECT leadscore.upgrade_pipeline('crm');
		SELECT crm.activate_model('inbound', wait => true);
		SELECT crm.rebuild();
		REFRESH MATERIALIZED VIEW users_scores});
	is(sql($new, $db, 'SELECT * FROM crm.verify()'), '', "$db: verify() at last");
}
$new->stop;
done_testing();
