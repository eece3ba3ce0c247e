# A page of documentation holds what it says: its SQL blocks run, in order, in
# one session, and give the results that stand in text blocks behind them.
package Page;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(check_page);

# check_page(NAME, FILE, RESULTS): run the page in a new server, which is
# returned with the text of the page; there must be that many results or more.
sub check_page
{
	my ($name, $page, $least) = @_;
	my @lines = split /\n/, slurp_file($page);

	# SQL blocks stay in their lines, all else becomes blank: so psql's errors
	# have the line numbers of the page.
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

	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init;
	$node->start;
	$node->safe_psql('postgres', "CREATE DATABASE $name");

	my $file = $node->basedir . "/$name.sql";
	append_to_file($file, $script);
	my ($out, $err) = ('', '');
	my $ok = IPC::Run::run(
		[
			'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-P', 'footer=off',
			'-d', $node->connstr($name), '-f', $file
		],
		'>', \$out, '2>', \$err);
	ok($ok, 'all SQL of the page runs') or diag($err);
	unlike($err, qr/WARNING/, 'without warnings');

	# shown results are the results of the run, trailing blanks aside
	$out =~ s/ +$//mg;
	foreach (@results)
	{
		$_->{text} =~ s/ +$//mg;
		$_->{text} =~ s/\n+$//;
		ok(index($out, "\n$_->{text}\n") >= 0, "result in line $_->{line}")
		  or diag("not printed:\n$_->{text}");
	}
	cmp_ok(scalar @results, '>=', $least, 'results were found');
	return ($node, join("\n", @lines));
}

1;
