# The reports beside the same figures in SQL by hand, as test/bench/metrics
# compares their speed: here only the rows must agree.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use File::Basename qw(dirname);

my $dir = dirname(__FILE__) . '/../bench/metrics';
my $node = PostgreSQL::Test::Cluster->new('by_hand');
$node->init;
$node->start;
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-v', 'leads=2000', '-f', "$dir/load.sql", '-d', 'postgres', '-h', $node->host, '-p', $node->port ],
	'load');

# "-- view", the query of the view, "-- by hand", the other one
my @pairs = slurp_file("$dir/pairs.sql") =~ /^-- ([a-z_]+)[^\n]*\n([^\n]+)\n-- by hand\n(.*?)(?=^-- [a-z_]+|\z)/msg;
cmp_ok(scalar(@pairs), '>=', 60, 'there are pairs');
while (my ($name, $view, $hand) = splice @pairs, 0, 3)
{
	# one transaction: now() is the same
	my @rows = map { join "\n", sort split /\n/ } split /^====\n/m, $node->safe_psql('postgres', "
		SET search_path = crm, crm_reports, leadscore; SET timezone = 'UTC';
		BEGIN;
		$view
		SELECT '====';
		$hand");
	cmp_ok(length($rows[0]), '>', 0, "$name: has rows");
	is($rows[0], $rows[1], "$name: the rows agree");
}
done_testing();
