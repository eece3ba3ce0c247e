# Reports of one pipeline never contradict each other: what two views say of one
# thing is the same. test/shop/agree.sql lists what is said, and which views say
# it; it is asked of the demo and of the shop, and what is about now also while
# leads wait for a sweep. The demo is asked as a role that only reads, which sees
# what the owner sees, and with credits for the touches of whole accounts.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use File::Basename qw(dirname);

my $dir = dirname(__FILE__) . '/..';
my $node = PostgreSQL::Test::Cluster->new('agree');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\njit = off");
$node->start;

# "-- what is said", and queries of one line each
my @said = map { [ $_->[0], split /\n/, $_->[1] ] } pairs(slurp_file("$dir/shop/agree.sql") =~ /^-- ([^\n]+)\n((?:SELECT [^\n]+\n)+)/mg);
cmp_ok(scalar(@said), '>=', 70, 'there are statements');

sub pairs
{
	my @pairs;
	push @pairs, [ splice @_, 0, 2 ] while @_;
	return @pairs;
}

sub load
{
	my ($database, $set, @files) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	foreach my $file (@files)
	{
		run_log([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-v', $set, '-f', "$dir/$file", '-d', $node->connstr($database) ], '>', \my $out)
		  or BAIL_OUT("cannot load $file");
	}
}

# All queries see one instant and one state, and each view that they name is
# computed once: a temporary table of its name stands for it. Rows have no order.
sub check
{
	my ($database, $role, $where, @asked) = @_;
	my %words = map { $_ => 1 } map { /\w+/g } map { my ($name, @queries) = @$_; @queries } @asked;
	my $words = join ',', sort keys %words;
	my @rows = map { join "\n", sort split /\n/ } split /^====\n/m, $node->safe_psql($database, "
		SET search_path = crm, crm_reports, leadscore; SET timezone = 'UTC'; SET ROLE $role;
		BEGIN ISOLATION LEVEL REPEATABLE READ;
		DO \$\$
		DECLARE
			view regclass;
		BEGIN
			FOR view IN SELECT oid FROM pg_class WHERE relnamespace IN ('crm'::regnamespace, 'crm_reports'::regnamespace) AND relkind = 'v' AND relname = ANY ('{$words}') LOOP
				EXECUTE format('CREATE TEMP TABLE %I AS SELECT * FROM %s', (SELECT relname FROM pg_class WHERE oid = view), view);
			END LOOP;
		END\$\$;
		" . join("\n", map { my ($name, @queries) = @$_; map { "$_ SELECT '====';" } @queries } @asked) . "\n\\echo") . "\n", -1;
	my %empty;
	foreach (@asked)
	{
		my ($name, @queries) = @$_;
		my @answers = splice @rows, 0, scalar @queries;
		$empty{$name} = 1 if $answers[0] eq '';
		foreach my $i (1 .. $#queries)
		{
			next if $answers[$i] eq $answers[0];
			my %in = map { $_ => 1 } split /\n/, $answers[0];
			my %of = map { $_ => 1 } split /\n/, $answers[$i];
			diag("$where, $name:\n$queries[0]\n$queries[$i]\n",
				(map { "first only: $_\n" } grep { !$of{$_} } sort keys %in), map { "second only: $_\n" } grep { !$in{$_} } sort keys %of);
			$answers[0] = undef;
			last;
		}
		ok(defined $answers[0], "$where: $name");
	}
	return %empty;
}

load('shop', 'on=1', 'shop/load.sql');
my %empty = check('shop', 'none', 'shop', @said);
is(join(', ', sort keys %empty), '', 'shop: every statement is about something');

load('demo', 'visitors=6000', 'demo/10-load.sql', 'demo/65-report.sql');
$node->safe_psql('demo', q{CREATE ROLE bi; SELECT leadscore.grant_reader('crm', 'bi');
	UPDATE crm.setting SET attribution_scope = 'account', attribution_window = '60 days'});
%empty = check('demo', 'bi', 'demo', @said);
is(join(', ', sort grep { !/^money given back|to be called/ } keys %empty), '', 'demo: so is every statement but of what it has not');

# Another model: leads are in other stages at once, and no sweep has recorded it.
$node->safe_psql('shop', q{
	SELECT crm.clone_model('shop', 'shop 2');
	UPDATE crm.stage_rule SET min_score = 12 WHERE model = 'shop 2' AND stage = 'mql';
	UPDATE crm.stage_rule SET min_score = 55 WHERE model = 'shop 2' AND stage = 'sql';
	SELECT crm.activate_model('shop 2')});
cmp_ok($node->safe_psql('shop', 'SELECT count(*) FROM crm._lead_now WHERE stage <> recorded_stage'), '>', 10, 'leads wait for a sweep');
%empty = check('shop', 'none', 'before a sweep', grep { $_->[0] =~ /^now:/ } @said);
is(join(', ', sort keys %empty), '', 'before a sweep: every statement is about something');

$node->stop;
done_testing();
