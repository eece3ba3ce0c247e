# Follow the README as a reader does: run its blocks from the heading "Install"
# to the end of the section on tables of an app, in the order in which they
# stand, and compare the results that it shows. It needs no modules, so that it
# runs where no more than PostgreSQL is installed.
#
#   follow_readme.pl README.md build      the blocks that make packages
#   follow_readme.pl README.md install    all blocks after them
#
# It runs in the folder of the sources; SQL runs in the database that a command
# of the README has created.

use strict;
use warnings;

$| = 1;
my ($readme, $part) = @ARGV;
my $last_section = 'Your own tables';

# Blocks: the kind, the text, and the line in which the block begins.
my (@blocks, $block, $section, $seen);
open(my $file, '<', $readme) or die "$readme: $!";
while (my $line = <$file>)
{
	if ($line =~ /^## (.*)/ && !$block)
	{
		last if $seen;
		$section = $1;
	}
	$seen = 1 if ($section // '') eq $last_section;
	next unless defined $section;
	if ($line =~ /^```(\w*)/)
	{
		# a line of a shell is a command of its own
		push @blocks, ($block->{kind} ne 'sh' ? $block : map { { kind => 'sh', text => $_, line => $block->{line} } }
			$block->{text} =~ /^\S.*\n(?:\s.*\n)*/mg) if $block;
		$block = $block ? undef : { kind => $1, text => '', line => $. };
	}
	elsif ($block)
	{
		$block->{text} .= $line;
	}
}
close $file;
die "$readme has no section \"$last_section\"\n" unless $seen;

# run(INPUT, COMMAND...): its output; the end of all if it fails.
sub run
{
	my ($input, @command) = @_;
	my $name = "/tmp/follow_readme.$$";

	open(my $in, '>', $name) or die "$name: $!";
	print $in $input;
	close $in;
	my $pid = open(my $out, '-|') // die "fork: $!";
	if ($pid == 0)
	{
		open(STDIN, '<', $name) or die "$name: $!";
		open(STDERR, '>&', \*STDOUT) or die $!;
		exec @command or die "$command[0]: $!";
	}
	my $output = '';
	while (my $line = <$out>)
	{
		print $line;
		$output .= $line;
	}
	close $out;
	unlink $name;
	die "README: it failed: @command\n" if $? != 0;
	return $output;
}

my ($built, $database, $output, $compared, $tables) = (0, undef, '', 0, 0);
foreach (@blocks)
{
	my ($kind, $text) = @{$_}{qw(kind text)};
	my $builds = $text =~ /dpkg-buildpackage/;

	# the sources are here already
	next if $kind eq 'sh' && $text =~ /^git clone/;
	$built = 1 if $builds;
	next if $part eq 'build' ? !$builds : !$built || $builds;
	print "== README, from line $_->{line}\n";
	if ($kind eq 'sh')
	{
		print "\$ $text";
		$output = run('', 'bash', '-euc', $text);
		$database = $1 if $text =~ /\bcreatedb (\w+)/;
	}
	elsif ($kind eq 'sql')
	{
		print $text;
		die "README, line $_->{line}: there is no database yet\n" unless defined $database;
		$output = run($text, 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-P', 'footer=off', '-d', $database);
		die "README, line $_->{line}: a warning\n" if $output =~ /WARNING/;
	}
	elsif ($kind eq 'text')
	{
		$output =~ s/ +$//mg;
		$text =~ s/ +$//mg;
		die "README, line $_->{line}: not printed:\n$text" if index("\n$output", "\n$text") < 0;
		$compared++;
	}
}
die "README: nothing in it builds packages\n" unless $built;
die "README: few results were compared\n" if $part eq 'install' && $compared < 4;
