# PL/Perl, PL/Python and PL/Tcl can stop a statement after so many rows. One
# that inserts and returns ends then before its statement triggers: its events
# are stored and not counted (see doc/operations.md). verify() says so, rebuild()
# counts them, and track() is not affected. A language that is not installed is skipped.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('row_limit');
$node->init;
$node->start;
$node->safe_psql('postgres', "CREATE EXTENSION leadscore; SELECT leadscore.create_pipeline('crm'); SELECT crm.upsert_lead('ann')");

my $insert = "INSERT INTO crm.event (lead_id, kind) VALUES (1, 'page_view') RETURNING event_id";
my $track = "SELECT * FROM crm.track('ann', 'page_view')";
my %body = (
	plperl => q{return spi_exec_query($_[0], $_[1])->{processed};},
	plpython3u => q{return len(plpy.execute(statement, rows))},
	pltcl => q{return [spi_exec -count $2 $1]});

foreach my $language (sort keys %body)
{
  SKIP:
	{
		skip "no $language here", 6
		  if $node->safe_psql('postgres', "SELECT count(*) FROM pg_available_extensions WHERE name = '$language'") eq '0';
		$node->safe_psql('postgres', "CREATE EXTENSION $language");
		$node->safe_psql('postgres',
			"CREATE FUNCTION run_$language(statement text, rows integer) RETURNS bigint LANGUAGE $language AS \$\$$body{$language}\$\$");
		my $run = sub {
			my ($statement, $rows) = @_;
			return $node->safe_psql('postgres', "SELECT run_$language(\$\$$statement\$\$, $rows)");
		};
		my $wrong = sub { return $node->safe_psql('postgres', 'SELECT count(*) FROM crm.verify()') };

		is($run->($insert, 0), '1', "$language: no limit");
		is($wrong->(), '0', "$language: counted");
		$run->($insert, 1);
		is($wrong->(), '1', "$language: a limit, and verify() reports it");
		is($node->safe_psql('postgres', 'SELECT crm.rebuild()'), '1', "$language: rebuild() counts it");
		is($run->($track, 1), '1', "$language: a limit on track()");
		is($wrong->(), '0', "$language: counted too");
	}
}

done_testing();
