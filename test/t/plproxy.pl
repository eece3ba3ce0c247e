# Leads in two databases behind a front, by PL/Proxy: an app calls the function
# that it knows, and the figures add up to those of one database.
use strict;
use warnings;
use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('plproxy');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\njit = off\n");
$node->start;
if ($node->safe_psql('postgres', "SELECT count(*) FROM pg_available_extensions WHERE name = 'plproxy'") eq '0')
{
	$node->stop;
	plan skip_all => 'PL/Proxy is not installed';
}
$node->safe_psql('postgres', 'CREATE DATABASE whole');
$node->safe_psql('whole', "CREATE EXTENSION leadscore; SELECT leadscore.create_pipeline('crm', reports => false)");
$node->safe_psql('postgres', "CREATE DATABASE $_ TEMPLATE whole") foreach 'part0', 'part1';
$node->safe_psql("part$_", "ALTER SEQUENCE crm.lead_lead_id_seq INCREMENT 2 RESTART WITH " . ($_ + 1)) foreach 0, 1;

# as doc/sharding.md has it
my ($track) = slurp_file("$FindBin::Bin/../../doc/sharding.md") =~ /^```sql\n(CREATE FUNCTION track.*?)^```/ms;
my $where = sprintf 'host=%s port=%d', $node->host, $node->port;
$node->safe_psql('postgres', qq{
	CREATE EXTENSION plproxy;
	CREATE SERVER leads FOREIGN DATA WRAPPER plproxy OPTIONS (p0 '$where dbname=part0', p1 '$where dbname=part1');
	CREATE USER MAPPING FOR CURRENT_USER SERVER leads;
	$track
	CREATE FUNCTION funnel(OUT stage text, OUT entered bigint) RETURNS SETOF record LANGUAGE plproxy AS \$\$
		CLUSTER 'leads'; RUN ON ALL; SELECT f.stage, f.entered FROM crm.funnel f; \$\$});

my $calls = q{SELECT sum(score), count(DISTINCT lead_id), string_agg(stage, ',' ORDER BY i)
	FROM generate_series(1, 300) i, LATERAL %s('l' || i %% 40,
		(ARRAY['page_view','pricing_view','case_study_download','demo_request','sales_contact','purchase','lost'])[1 + i * 7919 / 13 %% 7],
		occurred_at => timestamptz '2025-01-02Z' + i * interval '3 hours') t};
my $whole = $node->safe_psql('whole', sprintf $calls, 'crm.track');
is($node->safe_psql('postgres', sprintf $calls, 'track'), $whole, 'the answers are those of one database');
is($node->safe_psql('postgres', 'SELECT stage, sum(entered) FROM funnel() GROUP BY stage ORDER BY stage'),
	$node->safe_psql('whole', 'SELECT stage, entered FROM crm.funnel ORDER BY stage'), 'the funnel adds up');
cmp_ok($node->safe_psql("part$_", 'SELECT count(*) FROM crm.lead'), '>', 5, "leads in part $_") foreach 0, 1;
is($node->safe_psql("part$_", 'SELECT * FROM crm.verify()'), '', "all is right in part $_") foreach 0, 1;
$node->stop;
done_testing();
