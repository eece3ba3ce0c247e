# dashboard/reports writes all views of a pipeline into one page, and of the demo
# no report is empty but those that tell of faults, of tables elsewhere, and of
# chances: so few visitors are too few to learn these from.

use strict;
use warnings;

use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = dirname(__FILE__) . '/../..';
my $node = PostgreSQL::Test::Cluster->new('reports');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\njit = off");
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE demo; CREATE ROLE bi LOGIN; CREATE ROLE stranger LOGIN');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-v', 'visitors=6000', '-d', $node->connstr('demo'), '-o', '/dev/null',
		map { ('-f', "$top/test/demo/$_.sql") } qw(10-load 65-report 69-sequences) ], 'the demo is loaded');

# names that are not made for HTML, or for psql
my $nasty = q{</td><script>1</script> & '\x `id` :pipeline};
my @companies = split /\n/, $node->safe_psql('demo', 'SELECT DISTINCT organization FROM crm.lead WHERE organization IS NOT NULL');
$node->safe_psql('demo', sprintf(q{
	UPDATE crm.lead SET organization = $n$%s$n$ || organization;
	COMMENT ON VIEW crm.funnel IS $n$one row a stage %s$n$;
	SELECT leadscore.grant_reader('crm', 'bi')}, $nasty, $nasty));

# page(ROLE, PIPELINE): what it writes, or undef if it fails.
my $errors;
sub page
{
	my ($role, $pipeline, $database) = @_;
	my $out = '';
	$errors = '';
	my $ok = IPC::Run::run([ "$top/dashboard/reports", $pipeline, '-h', $node->host, '-p', $node->port, '-U', $role, '-d', $database // 'demo' ],
		'>', \$out, '2>', \$errors);
	return $ok ? $out : undef;
}

# sections(PAGE): name => [what it says, rows]
sub sections
{
	my %sections;
	while ($_[0] =~ m{<section id="v\d+"><h2>(.*?)</h2><p>(.*?)</p>\n(<table.*?</table>)}sg)
	{
		my ($name, $says, $table) = ($1, $2, $3);
		my @rows = map { [ /<td[^>]*>(.*?)<\/td>/sg ] } split /<\/tr>/, $table;
		$sections{$name} = [ $says, grep { @$_ } @rows ];
	}
	return %sections;
}

my $page = page('bi', 'crm');
ok(defined $page, 'a reader makes the page') or BAIL_OUT($errors);
is($errors, '', 'without a word');
my %sections = sections($page);
my @views = split /\n/, $node->safe_psql('demo', q{
	SELECT relnamespace::regnamespace || '.' || relname FROM pg_class
	WHERE relnamespace IN ('crm'::regnamespace, 'crm_reports'::regnamespace) AND relkind = 'v' AND relname !~ '^_' AND has_table_privilege('bi', oid, 'SELECT')});
cmp_ok(scalar @views, '>', 60, 'there are views');
is(join(' ', sort keys %sections), join(' ', sort @views), 'all that it may read are there');
is(join(' ', grep { @{ $sections{$_} } == 1 } sort keys %sections), 'crm.tracked_tables crm.unscored_events crm.unscored_profiles crm_reports.calibration crm_reports.cost_overlaps crm_reports.model_drift',
	'and have rows, but those named above');
my @funnel = @{ $sections{'crm.funnel'} };
is(join("\n", map { join '|', map { s/&nbsp;|^\s+|\s+$//gr } @$_ } @funnel[ 1 .. $#funnel ]), $node->safe_psql('demo', 'SELECT * FROM crm.funnel'), 'the rows are those of the view');
is(scalar @{ $sections{'crm.lead_score'} }, 13, 'of many rows there are twelve');
my $shown = q{&lt;/td&gt;&lt;script&gt;1&lt;/script&gt; &amp; '\x `id` :pipeline};
is($sections{'crm.funnel'}[0], "one row a stage $shown", 'a comment is shown as it is');
# which rows the page shows of a view is left to the planner, so all companies have such a name
my %shown = map { ($shown . s/&/&amp;/gr => 1) } @companies;
ok(grep({ grep { $shown{$_} } @$_ } map { @{$_}[ 1 .. $#$_ ] } values %sections), 'and so is the name of a company');
unlike($page, qr/<script|(?:src)=|url\(|\@import/, 'it runs nothing and loads nothing');

ok(!defined page('bi', 'shop'), 'there is no page of no pipeline');
like($errors, qr/there is no such pipeline, or this role may not read it\nHINT: /, 'which is said');
ok(!defined page('stranger', 'crm'), 'nor for a role without rights');
like($errors, qr/there is no such pipeline, or this role may not read it\nHINT: /, 'which is said, too');

# an empty pipeline whose name needs quotes
$node->safe_psql('postgres', q{CREATE EXTENSION leadscore; SELECT leadscore.create_pipeline('The "CRM"')});
my %empty = sections(page($node->safe_psql('postgres', 'SELECT current_user'), 'The "CRM"', 'postgres') // die $errors);
cmp_ok(scalar keys %empty, '>', 70, 'an empty pipeline has a page');

$node->stop;
done_testing();
