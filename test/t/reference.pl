# doc/reference.md holds what it says: its SQL runs, in order, in one session,
# and gives the results that it shows.

use strict;
use warnings;

use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $page = dirname(__FILE__) . '/../../doc/reference.md';
my @lines = split /\n/, slurp_file($page);

# SQL blocks stay in their lines, all else becomes blank: so psql's errors have
# the line numbers of the page. Results stand in a text block behind the SQL.
my ($script, $last) = ('', '');
my ($fence, $result, @results);
for my $i (0 .. $#lines)
{
	my $line = $lines[$i];

	if ($line =~ /^```(\w*)/)
	{
		if (defined $fence)
		{
			$last = $fence;
			undef $fence;
			$script .= "\n";
		}
		else
		{
			$fence = $1;
			undef $result;
			if ($fence eq 'text' && $last eq 'sql' && $lines[ $i + 2 ] =~ /^-[-+]+$/)
			{
				$result = { line => $i + 1, text => '' };
				push @results, $result;
			}
			$script .= "\n";
		}
		next;
	}
	$result->{text} .= "$line\n" if defined $fence && defined $result;
	$script .= ($fence // '') eq 'sql' ? "$line\n" : "\n";
}
ok(!defined $fence, 'every block ends');

my $node = PostgreSQL::Test::Cluster->new('reference');
$node->init;
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE reference');

my $file = $node->basedir . '/reference.sql';
append_to_file($file, $script);
my ($out, $err) = ('', '');
my $ok = IPC::Run::run(
	[
		'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-P', 'footer=off',
		'-d', $node->connstr('reference'), '-f', $file
	],
	'>', \$out, '2>', \$err);
ok($ok, 'all SQL of the page runs') or diag($err);
unlike($err, qr/WARNING/, 'without warnings');

# what is shown is what comes out, trailing blanks aside
$out =~ s/ +$//mg;
foreach (@results)
{
	$_->{text} =~ s/ +$//mg;
	$_->{text} =~ s/\n+$//;
	ok(index($out, "\n$_->{text}\n") >= 0, "result in line $_->{line}")
	  or diag("not printed:\n$_->{text}");
}
cmp_ok(scalar @results, '>=', 20, 'results were found');

# no view without an entry
my $text = join("\n", @lines);
foreach my $view (split /\n/, $node->safe_psql('reference',
		q{SELECT relname FROM pg_class WHERE relnamespace = 'crm'::regnamespace AND relkind = 'v'}))
{
	like($text, qr/\b$view\b/, "$view is explained");
}

$node->stop;
done_testing();
