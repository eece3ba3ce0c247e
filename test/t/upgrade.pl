# Every way to get to this version ends at the same: a fresh install, and an
# older one that was updated, with a pipeline that has data and views of its
# user's on ours.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Snapshot;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('upgrade');
$node->init;
$node->start;

my $work = q{
	SELECT count(*) FROM generate_series(1, 40) i,
		LATERAL crm.track('lead' || i % 10, (ARRAY['page_view', 'case_study_download', 'pricing_view', 'quote_request'])[i % 4 + 1],
			occurred_at => timestamptz '2025-01-01 00:00+00' + i * interval '1 day',
			profile => CASE WHEN i % 3 = 0 THEN '{"email": "a@b.example", "consent": true}'::jsonb END) t;
	INSERT INTO crm.event (lead_id, kind, occurred_at, properties) VALUES
		(3, 'stage_set', '2025-02-11', '{"stage": "lost"}'), (3, 'quote_request', '2025-02-12', NULL), (5, 'purchase', '2025-01-20', NULL);
	UPDATE crm.event SET kind = 'demo_request' WHERE kind = 'pricing_view' AND lead_id < 4;
	DELETE FROM crm.event WHERE event_id % 5 = 0;
	DELETE FROM crm.lead WHERE lead_id = 8;
};
my $digest = q{
	SELECT s.lead_id, s.activity, s.stage, s.cycle, s.stage_since, crm.score(s.lead_id, '2025-02-15 00:00+00') FROM crm.lead_state s ORDER BY 1;
	SELECT lead_id, seq, cycle, from_stage, to_stage, effective_at, cause, model, score FROM crm.stage_history ORDER BY 1, 2};

$node->safe_psql('postgres', 'CREATE DATABASE fresh');
$node->safe_psql('fresh', 'CREATE EXTENSION leadscore');
$node->safe_psql('fresh', "SELECT * FROM leadscore.create_pipeline('crm')");
my $fresh = catalog_snapshot($node, 'fresh', 'crm');
$node->safe_psql('fresh', $work);
my $expected = $node->safe_psql('fresh', $digest);
like($expected, qr/\|mql\|/, 'there is something to lose');

my $current = $node->safe_psql('fresh', "SELECT extversion FROM pg_extension WHERE extname = 'leadscore'");
# not from pg_available_extension_versions: it does not see staged files
my @older = sort grep { $_ ne $current }
	map { m{/leadscore--([\d.]+)\.sql$} ? $1 : () } glob("$FindBin::Bin/../../src/sql/leadscore--*.sql");
ok(@older > 0, 'older versions can be installed');

foreach my $version (@older)
{
	my $db = "from_$version";

	$node->safe_psql('postgres', qq{CREATE DATABASE "$db"});
	$node->safe_psql($db, "CREATE EXTENSION leadscore VERSION '$version'");
	$node->safe_psql($db, "SELECT * FROM leadscore.create_pipeline('crm')");
	$node->safe_psql($db, $work);
	$node->safe_psql($db, q{
		CREATE VIEW crm.users_view AS SELECT stage, entered FROM crm.funnel;
		CREATE MATERIALIZED VIEW crm.users_scores AS SELECT * FROM crm.lead_score;
		ALTER TABLE crm.lead ADD users_stage leadscore.lead_stage DEFAULT 'iql'});
	is($node->safe_psql($db, 'SELECT count(*) FROM crm.verify()'), '0',
		"$version: the new library serves the older pipeline");
	is($node->safe_psql($db, $digest), $expected, "$version: and scores as it should");

	$node->safe_psql($db, 'ALTER EXTENSION leadscore UPDATE');
	$node->safe_psql($db, "SELECT crm.track('between', 'page_view')");
	is($node->safe_psql($db, 'SELECT count(*) FROM crm.verify()'), '0',
		"$version: so it does between update and upgrade_pipeline");
	$node->safe_psql($db, "DELETE FROM crm.lead WHERE external_id = 'between'");

	$node->safe_psql($db, "SELECT leadscore.upgrade_pipeline('crm')");
	$node->safe_psql($db, "SELECT leadscore.upgrade_pipeline('crm')");
	is($node->safe_psql($db, q{
		SELECT count(*) FROM (
			SELECT from_stage, from_since, lag(effective_at) OVER (PARTITION BY lead_id ORDER BY seq) AS since
			FROM crm.stage_history) h
		WHERE from_since IS DISTINCT FROM CASE WHEN from_stage IS NOT NULL THEN since END}), '0',
		"$version: older history knows since when, and a second upgrade does no harm");
	is($node->safe_psql($db, $digest), $expected, "$version: states stay as they were");
	is($node->safe_psql($db, 'SELECT count(*) FROM crm.verify()'), '0', "$version: and are right");
	is(difference($fresh, catalog_snapshot($node, $db, 'crm')), '', "$version: all that a fresh install has, and no more");
	$node->safe_psql($db, 'REFRESH MATERIALIZED VIEW crm.users_scores');
	$node->safe_psql($db, "SELECT crm.track('after', 'case_study_download')");
	is($node->safe_psql($db, 'SELECT count(*) FROM crm.users_view'),
		$node->safe_psql($db, 'SELECT count(*) FROM crm.funnel'), "$version: views of users go on");
	$node->safe_psql($db, 'SELECT crm.rebuild(history => true)');
	is($node->safe_psql($db, 'SELECT count(*) FROM crm.verify()'), '0', "$version: a rebuild works");
}

$node->stop;
done_testing();
