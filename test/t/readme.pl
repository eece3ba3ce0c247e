# The README holds what it says: its SQL runs, in order, in one session, and
# gives the results that it shows.

use strict;
use warnings;

use File::Basename;
use lib dirname(__FILE__);
use Page;
use Test::More;

my ($node, $text) = check_page('readme', dirname(__FILE__) . '/../../README.md', 4);

my @lines = split /\n/, $text;
my ($create_extension) = grep { $lines[$_] =~ /^CREATE EXTENSION/ } 0 .. $#lines;
cmp_ok($create_extension + 1, '<', 60, 'CREATE EXTENSION comes early');

$node->stop;
done_testing();
