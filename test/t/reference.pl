# doc/reference.md holds what it says.

use strict;
use warnings;

use File::Basename;
use lib dirname(__FILE__);
use Page;
use PostgreSQL::Test::Utils;
use Test::More;

my $doc = dirname(__FILE__) . '/../../doc';
my ($node, $text) = check_page('reference', "$doc/reference.md", 17);

# no view without an entry, here or in the page on reports
$text .= slurp_file("$doc/views.md");
foreach my $view (split /\n/, $node->safe_psql('reference',
		q{SELECT relname FROM pg_class WHERE relnamespace = 'crm'::regnamespace AND relkind = 'v' AND relname NOT LIKE '\_%'}))
{
	like($text, qr/\b$view\b/, "$view is explained");
}

$node->stop;
done_testing();
