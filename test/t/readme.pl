# The README holds what it says: its SQL runs, in order, in one session, and
# gives the results that it shows. It is short, and a reader who tries it has
# the first result soon.

use strict;
use warnings;

use File::Basename;
use lib dirname(__FILE__);
use Page;
use Test::More;

my $top = dirname(__FILE__) . '/../..';
my ($node, $text) = check_page('readme', "$top/README.md", 4);

my @lines = split /\n/, $text;
my ($create_extension) = grep { $lines[$_] =~ /^CREATE EXTENSION/ } 0 .. $#lines;
cmp_ok($create_extension + 1, '<', 30, 'CREATE EXTENSION comes early');
my ($result) = grep { $lines[$_] =~ /^```text/ } 0 .. $#lines;
cmp_ok($result + 1, '<', 40, 'so does the first result');
cmp_ok(scalar @lines, '<=', 230, 'it is short');

# links of all pages lead to files, and to headings in them
my %anchors;
my @pages = ('README.md', map { 'doc/' . basename($_) } glob "$top/doc/*.md");
foreach my $page (@pages, 'test/README.md')
{
	open(my $file, '<', "$top/$page") or die "$page: $!";
	my $content = join '', <$file>;
	close $file;
	$content =~ s/^```.*?^```//gms;
	foreach my $heading ($content =~ /^#+ (.*)$/mg)
	{
		my $anchor = lc $heading;
		$anchor =~ s/[^\w\- ]//g;
		$anchor =~ s/ /-/g;
		$anchors{$page}{$anchor} = 1;
	}
}
foreach my $page (@pages)
{
	open(my $file, '<', "$top/$page") or die "$page: $!";
	my $content = join '', <$file>;
	close $file;
	my @broken;
	foreach my $link ($content =~ /\]\(([^)\s]+)\)/g)
	{
		next if $link =~ /^https?:/;
		my ($to, $anchor) = split /#/, $link;
		my $target = $to eq '' ? $page : $page =~ m{^doc/} ? "doc/$to" : $to;
		push @broken, $link if !-e "$top/$target" || defined $anchor && !$anchors{$target}{$anchor};
	}
	is(join(' ', @broken), '', "links of $page");
}

$node->stop;
done_testing();
