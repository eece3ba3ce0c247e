# doc/views.md holds what it says.

use strict;
use warnings;

use File::Basename;
use lib dirname(__FILE__);
use Page;
use PostgreSQL::Test::Utils;
use Test::More;

my $doc = dirname(__FILE__) . '/../../doc';
my ($node, $text) = check_page('views', "$doc/views.md", 35);

# no view of these topics without an entry
foreach my $view (split /\n/, $node->safe_psql('views', q{
	SELECT v FROM leadscore_internal.ddl_files() f, leadscore_internal.ddl_views(f) v
	WHERE f LIKE 'reports/%' AND v !~ '^_'}))
{
	like($text, qr/^### .*\b$view\b/m, "$view is explained");
}

$node->stop;
done_testing();
