# Functions that the engine calls for leads plan without scans of whole tables.
# Up to PostgreSQL 17 the planner does so by a cost so high that it cannot tell
# plans apart any more, should one scan be left. So none may be left in a join.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('plans');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\nshared_preload_libraries = 'auto_explain'\n"
	  . "auto_explain.log_min_duration = 0\nauto_explain.log_nested_statements = on\n");
$node->start;

my ($plans, %found) = (0);
foreach my $file (qw(consent sequences queue experiments one_command))
{
	my $begin = -s $node->logfile;
	$node->safe_psql('postgres', "DROP DATABASE IF EXISTS plans");
	$node->safe_psql('postgres', "CREATE DATABASE plans");
	$node->safe_psql('plans', "CREATE EXTENSION leadscore");
	# what it prints is for the test of this name
	$node->psql('plans', slurp_file("sql/$file.sql"), on_error_stop => 0);
	foreach my $plan (split /LOG:  duration: .* plan:\n/, slurp_file($node->logfile, $begin))
	{
		next unless $plan =~ /Nested Loop|Hash.* Join|Merge.* Join/;
		# the configuration is read as a whole
		next if $plan =~ /Query Text: [^\n]* FROM crm\._watched /;
		$plans++;
		$plan = without_initplans($plan);
		next unless $plan =~ /(Seq Scan on \w+)[^\n]*(?:\(cost=1\d{10}|\n\s+Disabled: true)/;
		my $scan = $1;
		my ($query) = $plan =~ /Query Text: (.{0,80})/s;
		$found{"$scan: $query"} = 1;
	}
}

# A plan without the scans that are run once, before the whole statement or one
# of its WITH queries: their cost is added when its joins are chosen. What a
# subquery in a join runs once is a part of the cost of that subquery.
sub without_initplans
{
	my ($plan) = @_;
	my (@above, $kept, $left_out);

	foreach my $line (split /^/, $plan)
	{
		my $indent = $line =~ /^(\s*)\S/ ? length $1 : 0;

		undef $left_out if defined $left_out && $indent <= $left_out;
		pop @above while @above && $above[-1][0] >= $indent;
		$left_out //= $indent if $line =~ /^\s*InitPlan/ && (@above < 2 || $above[-2][1] =~ /^\s*CTE /);
		push @above, [ $indent, $line ];
		$kept .= $line unless defined $left_out;
	}
	return $kept;
}
cmp_ok($plans, '>', 500, 'plans of joins were logged');
is(join("\n", sort keys %found), '', 'no scan of a whole table is left in one');
$node->stop;
done_testing();
