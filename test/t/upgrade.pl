# Every way to get to this version ends at the same: a fresh install, and an
# older one that was updated, with a pipeline that has data and views of its
# user's on ours.

use strict;
use warnings;

use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('upgrade');
$node->init;
$node->start;

# What the catalogs say of the extension and of a pipeline, without OIDs
my $snapshot = q{
	SELECT line FROM (
		SELECT 'member ' || pg_describe_object(classid, objid, 0) AS line
		FROM pg_depend
		WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
			AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'leadscore')
		UNION ALL
		SELECT pg_get_functiondef(p.oid) || coalesce(p.proacl::text, '') || coalesce(obj_description(p.oid, 'pg_proc'), '')
		FROM pg_proc p
		WHERE pronamespace IN ('leadscore'::regnamespace, 'crm'::regnamespace) AND prokind = 'f'
		UNION ALL
		SELECT c.relname || ' ' || c.relkind::text || ' ' || coalesce(c.reloptions::text, '') || coalesce(obj_description(c.oid, 'pg_class'), '')
			|| CASE WHEN c.relkind = 'v' THEN pg_get_viewdef(c.oid) ELSE '' END
			|| CASE WHEN c.relkind = 'i' THEN pg_get_indexdef(c.oid) ELSE '' END
		FROM pg_class c WHERE c.relnamespace = 'crm'::regnamespace AND c.relname NOT LIKE 'users%'
		UNION ALL
		SELECT c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull::text
			|| coalesce(pg_get_expr(d.adbin, d.adrelid), '') || coalesce(col_description(c.oid, a.attnum), '')
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
			LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
		WHERE c.relnamespace = 'crm'::regnamespace AND c.relkind IN ('r', 'v') AND c.relname NOT LIKE 'users%'
		UNION ALL
		SELECT c.relname || ' ' || pg_get_constraintdef(k.oid)
		FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid WHERE k.connamespace = 'crm'::regnamespace
		UNION ALL
		SELECT pg_get_triggerdef(t.oid) || t.tgenabled::text
		FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
		WHERE c.relnamespace = 'crm'::regnamespace AND NOT t.tgisinternal
	) s ORDER BY line COLLATE "C"};

my $work = q{
	SELECT count(*) FROM generate_series(1, 40) i,
		LATERAL crm.track('lead' || i % 10, (ARRAY['page_view', 'case_study_download', 'pricing_view', 'quote_request'])[i % 4 + 1],
			occurred_at => timestamptz '2025-01-01 00:00+00' + i * interval '1 day',
			profile => CASE WHEN i % 3 = 0 THEN '{"email": "a@b.example", "consent": true}'::jsonb END) t;
};
my $digest = q{
	SELECT md5(string_agg(lead_id || activity::text || stage::text, ',' ORDER BY lead_id)) FROM crm.lead_state};

$node->safe_psql('postgres', 'CREATE DATABASE fresh');
$node->safe_psql('fresh', 'CREATE EXTENSION leadscore');
$node->safe_psql('fresh', "SELECT * FROM leadscore.create_pipeline('crm')");
my $fresh = $node->safe_psql('fresh', $snapshot);

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
	$node->safe_psql($db, 'CREATE VIEW crm.users_view AS SELECT stage, entered FROM crm.funnel');
	is($node->safe_psql($db, 'SELECT count(*) FROM crm.verify()'), '0',
		"$version: the new library serves the older pipeline");
	my $before = $node->safe_psql($db, $digest);

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
	is($node->safe_psql($db, $digest), $before, "$version: states stay as they were");
	is($node->safe_psql($db, 'SELECT count(*) FROM crm.verify()'), '0', "$version: and are right");
	my @upgraded = split /\n/, $node->safe_psql($db, $snapshot);
	my %fresh_lines = map { $_ => 1 } split /\n/, $fresh;
	my %upgraded_lines = map { $_ => 1 } @upgraded;
	is(join("\n", grep { !$fresh_lines{$_} } @upgraded), '', "$version: nothing that a fresh install has not");
	is(join("\n", grep { !$upgraded_lines{$_} } split /\n/, $fresh), '', "$version: all that a fresh install has");
	$node->safe_psql($db, "SELECT crm.track('after', 'case_study_download')");
	is($node->safe_psql($db, 'SELECT count(*) FROM crm.users_view'),
		$node->safe_psql($db, 'SELECT count(*) FROM crm.funnel'), "$version: views of users go on");
	$node->safe_psql($db, 'SELECT crm.rebuild(history => true)');
	is($node->safe_psql($db, 'SELECT count(*) FROM crm.verify()'), '0', "$version: a rebuild works");
}

$node->stop;
done_testing();
