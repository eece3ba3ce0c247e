# doc/views.md holds what it says.

use strict;
use warnings;

use File::Basename;
use lib dirname(__FILE__);
use Page;
use PostgreSQL::Test::Utils;
use Test::More;

my $doc = dirname(__FILE__) . '/../../doc';
my ($node, $text) = check_page('views', "$doc/views.md", 63);

# no view without an entry, and no entry without a view
my @views = split /\n/, $node->safe_psql('views', q{
	SELECT relname FROM pg_class WHERE relnamespace IN ('crm'::regnamespace, 'shop_reports'::regnamespace) AND relkind = 'v' AND relname !~ '^_'});
cmp_ok(scalar @views, '>', 40, 'there are views');
foreach my $view (@views)
{
	like($text, qr/^### (?:.*, )?$view\b/m, "$view is explained");
}
my %there = map { $_ => 1 } @views, split /\n/, $node->safe_psql('views', q{
	SELECT proname FROM pg_proc WHERE pronamespace IN ('crm'::regnamespace, 'shop_reports'::regnamespace)});
is(join(' ', grep { !$there{$_} } map { s/\(.*?\)//gr } map { split /, (?![^(]*\))/ } $text =~ /^### (.*)$/mg), '', 'every entry is there');

# no view of these topics without an entry
foreach my $view (split /\n/, $node->safe_psql('views', q{
	SELECT v FROM leadscore_internal.ddl_files() f, leadscore_internal.ddl_views(f) v
	WHERE f LIKE 'reports/%' AND v !~ '^_'}))
{
	like($text, qr/^### .*\b$view\b/m, "$view has an entry of its own");
}

$node->stop;
done_testing();
