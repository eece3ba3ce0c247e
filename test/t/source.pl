# src/README says what is so: every file and function that it names exists, and
# its trees of calls are those of the code. And what the layers keep to.

use strict;
use warnings;

use File::Basename;
use File::Find;
use PostgreSQL::Test::Utils;
use Test::More;

my $src = dirname(__FILE__) . '/../../src';
my $readme = slurp_file("$src/README");

# the text of every file, and of each C function by file and name
my (%text, %function);
find(
	{
		no_chdir => 1,
		wanted => sub {
			return unless /\.(c|h|sql)$/;
			my $name = substr($_, length("$src/"));
			return if $name eq 'pipeline_files.c';
			my $text = slurp_file($_);
			$text{$name} = $text;
			return unless $name =~ /\.[ch]$/;
			while ($text =~ /^(\w+)\([^;{]*?\)\n\{\n(.*?)^\}$/msg)
			{
				$function{$name}{$1} = $2;
			}
		}
	},
	$src);
cmp_ok(scalar keys %function, '>', 30, 'functions were found in many files');

# files: of src/, of src/sql/pipeline/ without the folders before, or of the tree
foreach my $file (sort { $a cmp $b } keys %{ { map { $_ => 1 } $readme =~ m{[\w./-]+\.(?:c|h|sql|pl|out|md)\b}g } })
{
	ok((grep { $_ eq $file || "sql/$_" eq $file || m{(^|/)\Q$file\E$} } keys %text) || -e "$src/../$file", "$file exists");
}

# functions, in C or SQL
foreach my $name (sort { $a cmp $b } keys %{ { map { $_ => 1 } $readme =~ /\b(\w+)\(\)/g } })
{
	ok((grep { exists $function{$_}{$name} } keys %function)
		  || (grep { /FUNCTION (?:[\w.]+\.)?$name\(/ } values %text),
		"$name() exists");
}

# types
foreach my $type ($readme =~ /^  ([A-Z][a-z]+[A-Z]?\w+)  /mg)
{
	ok((grep { /^(?:\} $type;|typedef struct $type\b)/m } values %text), "$type is a type");
}

# trees of calls: who is indented below calls
my @callers;
my $calls = 0;
foreach my $line (split /\n/, $readme)
{
	my ($indent, $name, $file) = $line =~ /^( +)(\w+)\(\) +(\w+\.c)\b/;
	if (!$name)
	{
		@callers = ();
		next;
	}
	ok(exists $function{$file}{$name}, "$name() is in $file");
	pop @callers while @callers && $callers[-1]{indent} >= length $indent;
	if (@callers)
	{
		my $caller = $callers[-1];
		like($function{ $caller->{file} }{ $caller->{name} } // '', qr/\b$name\(/, "$caller->{name}() calls $name()");
		$calls++;
	}
	push @callers, { indent => length $indent, name => $name, file => $file };
}
cmp_ok($calls, '>', 40, 'the trees were found');

# layers: a file calls files of its own row and below
my ($layers) = $readme =~ /^A file calls files.*?\n\n(.*?)\n\n/ms;
my (%layer, %defined_in);
my $row = 0;
foreach my $line (split /\n/, $layers)
{
	$row++ if $line =~ /^  \S/;
	$layer{$_} = $row foreach $line =~ /\b(\w+\.[ch])\b/g;
}
foreach my $file (keys %function)
{
	# static functions of one name are in several files
	$defined_in{$_} = $file foreach grep { /^lead/ } keys %{ $function{$file} };
}
foreach my $file (sort { $a cmp $b } grep { /\.c$/ && $_ ne 'leadscore.c' } keys %function)
{
	ok($layer{$file}, "$file is in a layer") or next;
	my %up;
	foreach my $called (join('', values %{ $function{$file} }) =~ /\b(lead\w+)\(/g)
	{
		my $other = $defined_in{$called} or next;
		$up{"$called() of $other"} = 1 if $layer{$other} && $layer{$other} < $layer{$file};
	}
	is(join(', ', sort { $a cmp $b } keys %up), '', "$file calls nothing above");
}

# the values know no catalog and no SPI, so that they can be fuzzed alone
my %of_values = map { $_ => 1 }
  qw(postgres.h miscadmin.h common/int.h lib/sort_template.h port/pg_bitutils.h math.h statistics.h
  calendar.h activity.h model.h segment.h score.h score_parts.h score_pair.h segment_match.h bounds.h qualify.h stage_search.h lifecycle.h funnel_match.h stage.h);
foreach my $name (
	qw(calendar.h activity.h activity.c model.h segment.h segment_set.c segment_match.h segment_match.c score.h score_parts.h score_pair.h score.c score_pair.c scorer.c decay.c evaluation.c
	bounds.h bounds.c qualify.h qualify.c stage_search.h stage_search.c lifecycle.h lifecycle.c funnel_match.h funnel_match.c statistics.h statistics.c))
{
	is(join(' ', grep { !$of_values{$_} } $text{$name} =~ /^#include ["<](.*)[">]/mg), '', "$name includes values only");
}

# every file says what it is
foreach my $name (sort { $a cmp $b } grep { /\.[ch]$/ } keys %text)
{
	like($text{$name}, qr{\A/\*-+\n \*\n \* \Q$name\E\n \*\t\t\S}, "$name begins with its idea");
}

done_testing();
