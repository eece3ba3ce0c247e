# The page "From an ORM" holds what it says: the code blocks of each of its
# sections are one program, which is run as the role of an app; of three events
# it deletes one and no more. Needs Debian's python3-django, python3-psycopg2,
# python3-sqlalchemy, ruby-activerecord, ruby-pg, and npm's pg and sequelize
# where node finds them (NODE_PATH); a client that is missing is skipped.

use strict;
use warnings;

use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my %section;
my ($title, $language) = ('', undef);
foreach my $line (split /\n/, slurp_file(dirname(__FILE__) . '/../../doc/orm.md'))
{
	if ($line =~ /^```(\w*)/)
	{
		$language = defined $language ? undef : $1;
		$section{$title}{$language} .= "\n" if defined $language;
	}
	elsif (defined $language) { $section{$title}{$language} .= "$line\n"; }
	elsif ($line =~ /^#+ (.*)/) { $title = $1; }
}
ok(!defined $language, 'every block ends');
my ($expected) = map { $section{$_}{text} } grep { $section{$_}{text} } keys %section;
$expected =~ s/^\n+//;
like($expected, qr/^\d+ 2 [\d.]+ \w+ \d+\n$/, 'the page says what is printed');

my $node = PostgreSQL::Test::Cluster->new('orm');
$node->init;
$node->start;
$node->safe_psql('postgres', 'CREATE ROLE app LOGIN');

# section => [ language, interpreter, what it needs, that it is there ]
my %clients = (
	'Django' => [ 'python', '/usr/bin/python3', 'import django, psycopg2' ],
	'SQLAlchemy' => [ 'python', '/usr/bin/python3', 'import sqlalchemy, psycopg2' ],
	'ActiveRecord' => [ 'ruby', 'ruby', q{require 'active_record'; require 'pg'} ],
	'Sequelize' => [ 'js', 'node', q{require('pg'); require('sequelize')} ]);
is_deeply([ sort grep { !$section{$_}{sql} } keys %section ], [ sort keys %clients ], 'every section is run');

foreach my $name (sort keys %clients)
{
	my ($what, $interpreter, $needs) = @{ $clients{$name} };
	my $option = $interpreter =~ /python/ ? '-c' : '-e';
	my ($out, $err, $database) = ('', '', lc $name);

	SKIP:
	{
		skip "$name is not here", 4 unless eval { IPC::Run::run([ $interpreter, $option, $needs ], '>', \$out, '2>', \$err) };

		$node->safe_psql('postgres', "CREATE DATABASE $database");
		$node->safe_psql($database, "CREATE EXTENSION leadscore; $section{'From an ORM'}{sql}");
		my $file = $node->basedir . "/$database.$what";
		append_to_file($file, $section{$name}{$what});
		$out = $err = '';
		{
			local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => $database, PGUSER => 'app');
			ok(IPC::Run::run([ $interpreter, $file ], '>', \$out, '2>', \$err), "$name: runs") or diag($err);
		}
		# 20 is 20.0 in some languages
		is($out =~ s/\.0$//mr, $expected, "$name: what it prints");
		is($node->safe_psql($database, 'SELECT lead_id, source_id, value FROM crm.event ORDER BY source_id'),
			"9007199254740993|view 0|12345678901.25\n9007199254740993|view 1|12345678901.25", "$name: one event is gone");
		is($node->safe_psql($database, 'SELECT * FROM crm.verify()'), '', "$name: verify()");
	}
}
$node->stop;
done_testing();
