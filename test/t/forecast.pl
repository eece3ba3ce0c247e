# What the forecast said in the past against what came: on the data of the demo,
# as of 6, 9 and 12 months before its end.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use File::Basename qw(dirname);

my $node = PostgreSQL::Test::Cluster->new('forecast');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\njit = off");
$node->start;
run_log([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', dirname(__FILE__) . '/../demo/10-load.sql', '-d', 'postgres', '-h', $node->host, '-p', $node->port ],
	'>', \my $out)
	or BAIL_OUT('cannot load the demo');

foreach my $days (184, 274, 365)
{
	# the leads that were in the pipeline then, and those of them that bought in
	# the 90 days after, from nothing but stage_log
	my ($leads, $customers) = split /\|/, $node->safe_psql('postgres', qq{
		WITH at AS (SELECT now() - interval '$days days' AS at),
		past AS (SELECT DISTINCT ON (lead_id) lead_id, cycle, to_stage FROM crm.stage_log, at WHERE superseded_at IS NULL AND effective_at <= at ORDER BY lead_id, seq DESC)
		SELECT count(*), count(*) FILTER (WHERE EXISTS (SELECT FROM crm.stage_log s, at WHERE s.lead_id = t.lead_id AND s.cycle = t.cycle AND s.superseded_at IS NULL
			AND s.to_stage >= 'customer' AND s.effective_at > at AND s.effective_at <= at + interval '90 days'))
		FROM past t WHERE to_stage BETWEEN 'iql' AND 'prospect'});
	my ($said_leads, $expected, $low, $high) = split /\|/, $node->safe_psql('postgres', qq{
		SELECT leads_now, round(expected_customers::numeric, 1), round(low_customers::numeric, 1), round(high_customers::numeric, 1)
		FROM crm_reports.pipeline_forecast_at(now() - interval '$days days') WHERE stage = 'all'});
	note("$days days before the end: $leads leads, expected $expected ($low to $high), $customers came");
	# the instants of the two queries are not quite the same
	cmp_ok(abs($said_leads - $leads), '<=', 2, "$days days before the end: as many leads");
	cmp_ok($customers, '>', 10, "$days days before the end: customers came");
	cmp_ok($low, '<=', $customers, "$days days before the end: not fewer than it said");
	cmp_ok($customers, '<=', $high, "$days days before the end: not more than it said");
	# an interval that says nothing would hold anything
	cmp_ok($high - $low, '<', 2 * $expected, "$days days before the end: an interval to act on");
}
done_testing();
