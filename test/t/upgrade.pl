# ALTER EXTENSION UPDATE and upgrade_pipeline(), from a made-up predecessor to
# a made-up successor of the version in the tree. The predecessor has a smaller
# number, and one function and one view less; the successor has one column
# more. Both are built here. What comes out is what a fresh install has, and
# what users added is still there.
use strict;
use warnings;
use File::Basename;
use File::Path qw(make_path);
use lib dirname(__FILE__);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Snapshot;
use Test::More;

my $top = dirname(__FILE__) . '/../..';
my $pg_config = $ENV{PG_CONFIG} || 'pg_config';

plan skip_all => 'the server finds extensions in its own folder only'
	unless $ENV{TEMP_CONFIG} && slurp_file($ENV{TEMP_CONFIG}) =~ /^(extension_destdir|extension_control_path)/m;
my $setting = $1;
chomp(my $libdir = `$pg_config --pkglibdir`);
chomp(my $sharedir = `$pg_config --sharedir`);
my ($version) = slurp_file("$top/leadscore.control") =~ /^default_version = '(.*)'/m;
my $older = '0.0.1';
delete @ENV{qw(MAKEFLAGS MFLAGS MAKELEVEL)};

# a copy of the build
sub copy_tree
{
	my $dir = PostgreSQL::Test::Utils::tempdir;

	system_or_bail('cp', '-r', "$top/Makefile", "$top/leadscore.control", "$top/src", $dir);
	system_or_bail('sh', '-c', "rm -f '$dir'/src/*.o '$dir'/src/*.bc '$dir'/src/pipeline_files.c");
	return $dir;
}
sub write_file
{
	my ($file, $text) = @_;

	make_path(dirname($file));
	open my $out, '>', $file or die "$file: $!";
	print $out $text;
	close $out;
	return;
}
# replace what matches in a file by what a function makes of its two groups
sub edit
{
	my ($file, $pattern, $replacement) = @_;
	my $text = slurp_file($file);
	my $found = $text =~ s/$pattern/$replacement->($1, $2)/ge;

	write_file($file, $text) if $found;
	return $found;
}
sub build
{
	my ($dir) = @_;

	system_or_bail('make', '-s', '-j2', '-C', $dir, "PG_CONFIG=$pg_config", 'with_llvm=no',
		'COPT=-O0 -U_FORTIFY_SOURCE', 'install', "DESTDIR=$dir/stage");
	return $setting eq 'extension_destdir'
		? "extension_destdir = '$dir/stage'\ndynamic_library_path = '$dir/stage$libdir:\$libdir'\n"
		: "extension_control_path = '$dir/stage$sharedir:\$system'\ndynamic_library_path = '$dir/stage$libdir:\$libdir'\n";
}

# The files that make up pipelines: an engine that spreads tables over machines
# runs one subcommand of ALTER TABLE at a time.
my @files = glob "$top/src/sql/pipeline/*/*.sql";
my $two = qr/^ALTER TABLE\b(?:[^;()']|'[^']*'|(\((?:[^()]|(?1))*\)))*,[^;]*;/m;
cmp_ok(@files, '>', 10, 'there are files');
is(join(' ', grep { slurp_file($_) =~ $two } @files), '', 'no ALTER TABLE with two subcommands');
like("ALTER TABLE t\n    ADD x numeric(1, 2), DROP y;\n", $two, '... which would be seen');
unlike("ALTER TABLE t ADD x numeric(1, 2) DEFAULT '1,2';\nALTER TABLE t DROP a;\n", $two, '... and only that');

my $function = qr/^CREATE FUNCTION leadscore\.version\(\).*?;\nCOMMENT ON FUNCTION leadscore\.version\(\).*?;\n/ms;
my $view = qr/^CREATE OR REPLACE VIEW unscored_events\b.*?;\n|^COMMENT ON (?:VIEW|COLUMN) unscored_events\b.*?;\n/ms;

my $old = copy_tree();
ok(edit("$old/leadscore.control", qr/^default_version = .*$/m, sub { "default_version = '$older'" }), 'the predecessor has a smaller number');
is((grep { edit($_, $function, sub { '' }) } glob "$old/src/sql/*.sql"), 1, '... one function less');
is((grep { edit($_, $view, sub { '' }) } glob "$old/src/sql/pipeline/*/*.sql"), 1, '... and one view less');
my $old_settings = build($old);

my $new = copy_tree();
my ($created) = join('', map { slurp_file($_) } glob "$new/src/sql/*.sql") =~ /($function)/;
write_file("$new/src/sql/upgrade/leadscore--$older--$version.sql",
	qq{\\echo Use "ALTER EXTENSION leadscore UPDATE" to load this file. \\quit\n\n$created});
my $column = "COMMENT ON COLUMN lead.made_up IS 'made up by a test';\n";
ok(edit("$new/src/sql/pipeline/core/10-tables.sql", qr/^(CREATE TABLE lead \(.*?)(    CONSTRAINT .*?\n\);\n)/ms,
	sub { "$_[0]    made_up text DEFAULT 'no',\n$_[1]$column" }), 'the successor has one column more');
my ($newest) = sort { $b <=> $a } (1, map { m|/(\d+)-[^/]*$| } glob "$new/src/sql/pipeline/layout/*.sql");
my $layout = $newest + 1;
write_file("$new/src/sql/pipeline/layout/$layout-made-up.sql", "ALTER TABLE lead ADD COLUMN made_up text DEFAULT 'no';\n$column");
my $new_settings = build($new);

my $node = PostgreSQL::Test::Cluster->new('upgrade');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\nlog_statement = none\njit = off\n$old_settings");
$node->start;
$node->safe_psql('postgres', 'CREATE ROLE boss LOGIN; CREATE DATABASE upgraded OWNER boss; CREATE DATABASE fresh OWNER boss');
sub sql
{
	my ($db, $sql) = @_;
	return $node->safe_psql($db, $sql, extra_params => [ '-U', 'boss' ]);
}

sql('upgraded', q{
	CREATE EXTENSION leadscore;
	CREATE SCHEMA mine;
	SELECT leadscore.create_pipeline('crm');
	INSERT INTO crm.lead (external_id, email, consented_at, created_at) SELECT 'lead ' || i, 'a@example.com', '2025-01-01', '2025-01-01' FROM generate_series(1, 20) i;
	INSERT INTO crm.event (lead_id, kind, occurred_at)
		SELECT 1 + i % 20, (ARRAY['pricing_view', 'demo_request', 'purchase'])[1 + i % 3], '2025-01-02'::timestamptz + i * interval '1 hour'
		FROM generate_series(1, 200) i;
	ALTER TABLE crm.lead ADD COLUMN users_note text;
	UPDATE crm.lead SET users_note = 'note ' || lead_id;
	CREATE VIEW mine.hot AS SELECT lead_id, score, stage FROM crm.lead_score WHERE stage IN ('sql', 'customer');
	CREATE VIEW crm.users_view AS SELECT l.users_note, s.stage FROM crm.lead l JOIN crm.lead_state s USING (lead_id) WHERE s.stage >= 'mql';
});
is(sql('upgraded', q{SELECT extversion, to_regprocedure('leadscore.version()') IS NULL, to_regclass('crm.unscored_events') IS NULL FROM pg_extension WHERE extname = 'leadscore'}),
	"$older|t|t", 'a predecessor is installed');
my $contents = q{
	SELECT md5(string_agg(s::text, ' ' ORDER BY s.lead_id)) FROM crm.lead_state s;
	SELECT md5(string_agg(h::text, ' ' ORDER BY h)) FROM crm.stage_history h;
	SELECT lead_id, score FROM mine.hot ORDER BY 1;
	SELECT users_note, stage FROM crm.users_view ORDER BY 1};
my $before = sql('upgraded', $contents);
like($before, qr/^note 1\|/m, 'with what users added');

# A package replaces the library under all databases at once.
$node->stop;
$node->append_conf('postgresql.conf', $new_settings);
$node->start;
is(sql('upgraded', $contents), $before, 'the new library serves what the old version made');
is(sql('upgraded', q{SELECT external_id, duplicate FROM crm.track('lead 1', 'page_view', occurred_at => '2025-01-01') t, crm.lead l WHERE l.lead_id = t.lead_id}),
	'lead 1|f', 'apps go on');
foreach my $call (qw(create_pipeline('other') upgrade_pipeline('crm') add_reports('crm')))
{
	my ($rc, $out, $err) = $node->psql('upgraded', "SELECT leadscore.$call", extra_params => [ '-U', 'boss' ]);
	like($err, qr/library of leadscore has version \Q$version\E, but the extension has version \Q$older\E.*HINT:  Run ALTER EXTENSION leadscore UPDATE\./s, "$call waits for the upgrade");
}
$before = sql('upgraded', $contents);

sql('upgraded', 'ALTER EXTENSION leadscore UPDATE');
is(sql('upgraded', q{SELECT extversion, leadscore.version() FROM pg_extension WHERE extname = 'leadscore'}), "$version|$version", 'the extension is upgraded');
is(sql('upgraded', $contents), $before, 'pipelines are as they were');
is(sql('upgraded', q{SELECT leadscore.upgrade_pipeline('crm')}), $layout, 'the pipeline is upgraded');
is(sql('upgraded', q{SELECT leadscore.upgrade_pipeline('crm')}), $layout, '... once');
sql('fresh', q{CREATE EXTENSION leadscore; SELECT leadscore.create_pipeline('crm')});
is(difference(catalog_snapshot($node, 'fresh', 'crm'), catalog_snapshot($node, 'upgraded', 'crm')), '', 'all objects are those of a fresh install');
is(sql('upgraded', $contents), $before, 'what users added is still there');
is(sql('upgraded', 'SELECT DISTINCT made_up FROM crm.lead'), 'no', 'the new column is there');
is(sql('upgraded', q{SELECT attname FROM pg_attribute WHERE attrelid = 'crm.lead'::regclass AND attname IN ('updated_at', 'made_up', 'users_note') ORDER BY attnum}),
	"updated_at\nusers_note\nmade_up", '... behind that of the user');
sql('upgraded', "SELECT crm.track('lead 2', 'what is this')");
is(sql('upgraded', 'SELECT kind FROM crm.unscored_events'), 'what is this', 'the new view works');
is(sql('upgraded', 'SELECT * FROM crm.verify()'), '', 'all is right');

$node->stop;
done_testing();
