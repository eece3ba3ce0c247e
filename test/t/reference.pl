# The pages of doc/ hold what they say: their SQL runs and gives the results
# that they show; every function and table that users may know of is there, as
# the catalog has it, and none that does not exist.

use strict;
use warnings;

use File::Basename;
use lib dirname(__FILE__);
use Page;
use PostgreSQL::Test::Utils;
use Test::More;

my $doc = dirname(__FILE__) . '/../../doc';

foreach (['security', 1], ['operations', 0], ['people', 8], ['segments', 9], ['sequences', 10], ['experiments', 4], ['tracking', 7], ['content', 4], ['import', 7])
{
	my ($node, $text) = check_page($_->[0], "$doc/$_->[0].md", $_->[1]);
	if ($_->[0] eq 'people')
	{
		# every column of consent, and every word that it and suppression take
		my %explained = map { $_ => 1 } map { /`(\w+)`/g } grep { /^\|/ } split /\n/, $text;
		my @words = split /\n/, $node->safe_psql('people', q{
			SELECT attname FROM pg_attribute WHERE attrelid = 'crm.consent'::regclass AND attnum > 0 AND attname NOT IN ('lead_id', 'consent_id')
			UNION
			SELECT m[1] FROM pg_constraint, regexp_matches(pg_get_constraintdef(oid), '''(\w+)''::text', 'g') m
			WHERE conname IN ('consent_purpose_check', 'consent_status_check', 'consent_basis_check', 'suppression_reason_check')});
		cmp_ok(scalar @words, '>', 20, 'there are words of consent');
		is(join(' ', grep { !$explained{$_} } @words), '', 'they are explained');
	}
	$node->stop;
}

# tables
my ($node, $text) = check_page('concepts', "$doc/concepts.md", 7);
my ($table) = $text =~ /^\| table of `crm` .*?\n\n/ms ? $& : '';
my %documented = map { $_ => 1 } map { /^\|([^|]*)\|/ ? $1 =~ /`(\w+)`/g : () } grep { !/^\| table of/ } split /\n/, $table;
my %there = map { $_ => 1 } split /\n/, $node->safe_psql('concepts',
	q{SELECT relname FROM pg_class WHERE relnamespace = 'crm'::regnamespace AND relkind = 'r'});
cmp_ok(scalar keys %there, '>', 15, 'there are tables');
is_deeply([ sort keys %documented ], [ sort keys %there ], 'the tables, and no others, are explained');
$node->stop;

# functions: each signature stands in the page, in a block without a language
($node, $text) = check_page('functions', "$doc/functions.md", 7);
my %signature;
my $fence;
foreach my $line (split /\n/, $text)
{
	if ($line =~ /^```(.*)/) { $fence = defined $fence ? undef : $1; next; }
	next unless defined $fence && $fence eq '';
	# a continuation is indented
	if ($line =~ /^\S/) { $signature{ scalar keys %signature } = $line; }
	else { $signature{ keys(%signature) - 1 } .= $line =~ s/^\s+/ /r; }
}
my @signatures = sort map { s/\( /(/r } values %signature;
my @functions = sort split /\n/, $node->safe_psql('functions', q{
	WITH support AS (
		SELECT unnest(ARRAY[typinput, typoutput, typreceive, typsend]) AS oid FROM pg_type
		UNION SELECT oprcode FROM pg_operator
		UNION SELECT amproc FROM pg_amproc
		UNION SELECT castfunc FROM pg_cast
		UNION SELECT unnest(ARRAY[aggtransfn, aggfinalfn, aggcombinefn]) FROM pg_aggregate
	)
	SELECT CASE p.prokind WHEN 'p' THEN 'CALL ' ELSE '' END || n.nspname || '.' || p.proname
		|| '(' || replace(regexp_replace(pg_get_function_arguments(p.oid), '::[a-z ]+(\[\])?', '', 'g'), 'timestamp with time zone', 'timestamptz')
		|| ')' || coalesce(' -> ' || replace(pg_get_function_result(p.oid), 'timestamp with time zone', 'timestamptz'), '')
	FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
	WHERE n.nspname IN ('leadscore', 'crm', 'crm_reports') AND p.proname !~ '^_'
		AND p.prorettype <> 'trigger'::regtype AND p.oid NOT IN (SELECT oid FROM support)});
cmp_ok(scalar @functions, '>', 50, 'there are functions');
is_deeply(\@signatures, \@functions, 'signatures are those of the catalog');
# each is under a heading of its name
my %heading = map { $_ => 1 } map { split /, / } $text =~ /^### (.*)$/mg;
is(join(' ', grep { !$heading{$_} } map { /\.(\w+)\(/ } @functions), '', 'each function has a heading');
my %name = map { $_ => 1 } map { /\.(\w+)\(/ } @functions;
is(join(' ', grep { !$name{$_} } sort keys %heading), '', 'each heading has a function');

$node->stop;
done_testing();
