# What BI tools see through the drivers that most of them use, JDBC and ODBC:
# all views as views, every column with a type that they know, and comments.
# Views that begin with an underscore are internal, and stage_history is there
# to be compared in SQL, with stages of our own type.
# Needs Debian's libpostgresql-jdbc-java with a JDK, and odbc-postgresql with
# unixodbc; a driver that is missing is skipped.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('drivers');
$node->init;
$node->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'");
$node->start;
$node->safe_psql(
	'postgres', q{
CREATE EXTENSION leadscore;
CREATE ROLE bi LOGIN;
SELECT leadscore.create_pipeline('crm');
SELECT crm.track('ann', 'newsletter_signup', NULL, '2025-03-01 12:00Z', profile => '{"email": "ann@mail.example", "consent": true}');
SELECT leadscore.grant_reader('crm', 'bi');
ALTER ROLE bi SET timezone = 'Asia/Tokyo';
ALTER ROLE bi SET search_path = crm, crm_reports;
});
my $port = $node->port;
my $shown = q{c.relnamespace IN ('crm'::regnamespace, 'crm_reports'::regnamespace) AND c.relkind = 'v' AND c.relname !~ '^(_|stage_history$)'};
my @views = split /\n/, $node->safe_psql('postgres', qq{SELECT relname FROM pg_class c WHERE $shown ORDER BY relname COLLATE "C"});
my $columns = $node->safe_psql('postgres', "SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE $shown AND a.attnum > 0");
cmp_ok(scalar @views, '>', 50, 'there are views');

# run COMMAND with input: (success, output)
sub output_of
{
	my ($input, @command) = @_;
	my ($out, $err) = ('', '');
	my $ok = eval { IPC::Run::run(\@command, '<', \$input, '>', \$out, '2>', \$err) };
	diag($err) if !$ok && $err;
	return ($ok, $out);
}

sub can_run
{
	my ($command) = @_;
	return grep { -x "$_/$command" } split /:/, $ENV{PATH};
}

my ($jar) = grep { -e $_ } '/usr/share/java/postgresql.jar';
SKIP:
{
	skip 'no JDBC driver here (libpostgresql-jdbc-java)', 6 unless $jar;
	skip 'no JDK here', 6 unless can_run('java') && can_run('javac');

	my $source = $node->basedir . '/Metadata.java';
	append_to_file(
		$source, q{
import java.sql.*;

public class Metadata
{
	public static void main(String[] arguments) throws Exception
	{
		Connection connection = DriverManager.getConnection(arguments[0], "bi", "");
		DatabaseMetaData metadata = connection.getMetaData();

		ResultSet tables = metadata.getTables(null, "crm%", "%", new String[]{"VIEW"});
		while (tables.next())
			System.out.println("view " + tables.getString("TABLE_NAME") + " " + (tables.getString("REMARKS") == null ? "silent" : "explained"));
		ResultSet columns = metadata.getColumns(null, "crm%", "%", "%");
		while (columns.next())
			if (metadata.getTables(null, columns.getString("TABLE_SCHEM"), columns.getString("TABLE_NAME"), new String[]{"VIEW"}).next())
				System.out.println("column " + columns.getString("TABLE_NAME") + "." + columns.getString("COLUMN_NAME") + " "
					+ JDBCType.valueOf(columns.getInt("DATA_TYPE")) + " "
					+ (columns.getString("REMARKS") == null ? "silent" : "explained"));
		PreparedStatement query = connection.prepareStatement("SELECT stage, entered, step_rate FROM crm.funnel WHERE stage = ? AND stage_rank >= ?");
		query.setString(1, "iql");
		query.setInt(2, 40);
		ResultSet rows = query.executeQuery();
		while (rows.next())
			System.out.println("row " + rows.getString(1) + " " + rows.getLong(2) + " " + rows.getDouble(3));
		rows = connection.createStatement().executeQuery("SELECT entered_date, entered_month FROM crm.stage_entry WHERE entered = 1");
		while (rows.next())
			System.out.println("date " + rows.getDate(1) + " " + rows.getDate(2));
	}
}
});
	my ($ok, $out) = output_of('', 'java', '-cp', $jar, $source, "jdbc:postgresql://127.0.0.1:$port/postgres");
	ok($ok, 'JDBC: metadata and rows can be read');
	my @seen = sort grep { !/^(?:_|stage_history$)/ } $out =~ /^view (\w+) explained$/mg;
	is_deeply(\@seen, \@views, 'JDBC: all views are views, with comments');
	my @types = $out =~ /^column (?!_|stage_history\.)\S+ (\w+) explained$/mg;
	is(scalar @types, $columns, 'JDBC: all columns are there, with comments');
	# boolean is BIT to JDBC
	my %known = map { $_ => 1 } qw(VARCHAR BIT BOOLEAN INTEGER BIGINT DOUBLE NUMERIC DATE TIMESTAMP TIMESTAMP_WITH_TIMEZONE);
	is(join(' ', grep { !$known{$_} } @types), '', 'JDBC: all types are known');
	like($out, qr/^row iql 1 0\.0$/m, 'JDBC: a stage is compared with a text parameter');
	like($out, qr/^date 2025-03-01 2025-03-01$/m, "JDBC: dates are the pipeline's, whatever the session's time zone");
}

my ($driver) = glob('/usr/lib/*/odbc/psqlodbcw.so');
SKIP:
{
	skip 'no ODBC driver here (odbc-postgresql)', 5 unless $driver;
	skip 'no isql here (unixodbc)', 5 unless can_run('isql');

	my $source = "Driver=$driver;Servername=127.0.0.1;Port=$port;Database=postgres;Username=bi;UseServerSidePrepare=1";
	my ($ok, $out) = output_of("help\n", 'isql', '-b', '-d,', '-k', $source);
	ok($ok, 'ODBC: metadata can be read');
	my %seen = map { $_ => 1 } grep { !/^(?:_|stage_history$)/ } $out =~ /^[^,]*,crm(?:_reports)?,(\w+),VIEW,/mg;
	is_deeply([ sort keys %seen ], \@views, 'ODBC: all views are views');

	# the driver looks for columns in the first schema of the path
	my (%types, $count);
	foreach my $view (map { ("crm $_", "crm_reports $_") } @views)
	{
		(my $schema, $view) = split / /, $view;
		local $ENV{PGOPTIONS} = "-c search_path=$schema";
		(undef, $out) = output_of("help $view\n", 'isql', '-b', '-d,', '-k', $source);
		foreach ($out =~ /^[^,]*,$schema,\Q$view\E,\w+,-?\d+,(\w+),/mg)
		{
			$types{$_} = 1;
			$count++;
		}
	}
	is($count, $columns, 'ODBC: all columns are there');
	my %known = map { $_ => 1 } qw(text bool int4 int8 float8 numeric date timestamptz);
	is(join(' ', grep { !$known{$_} } sort keys %types), '', 'ODBC: all types are known');
	($ok, $out) = output_of("SELECT stage, entered, entered_directly FROM crm.funnel WHERE stage = 'iql'\n", 'isql', '-b', '-d,', '-k', $source);
	like($out, qr/^iql,1,1$/m, 'ODBC: rows can be read');
}

$node->stop;
done_testing();
