# An online shop, of another shape than the demo: what a person says from each
# page is true. test/shop/load.sql loads it; test/shop/sentences.sql has a
# sentence for every view, with its figures from the view, and by hand from
# events, leads and costs. The stages that figures by hand rest on are those of
# Lifecycle.pm, which computes them from the events by the documentation alone:
# here for one lead of each course of life that the shop has seen.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Lifecycle;

my $dir = "$FindBin::RealBin/../shop";
my $node = PostgreSQL::Test::Cluster->new('shop');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\njit = off");
$node->start;
run_log([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/load.sql", '-d', $node->connstr('postgres') ], '>', \my $out)
  or BAIL_OUT('cannot load the shop');

sub rows { return map { [ split /\|/, $_, -1 ] } split /\n/, $node->safe_psql('postgres', $_[0]); }

is($node->safe_psql('postgres', 'SELECT count(*) FROM crm.verify()'), '0', 'counts and stages are those of the log');

# ---------- lives ----------

# the model of the shop, as Lifecycle.pm wants it, and the signal of each kind
my @lead_gates = ({ gate => 'consent', signal => 'consented' }, { gate => 'contact', signal => 'contactable' });
my $model = {
	name => 'shop', grain => 'day', allow_demotion => 1, margin => 5, gates_required => 1,
	signals => [qw(view club sample recipe tasting click contact bought gone shelved hoax)],
	dimensions => { engagement => { reset => ['shelved'], max => 120 }, fit => {} },
	rules => [
		(map { { dimension => 'engagement', %$_ } }
			{ signal => 'view', points => 2, limit => [ 3, 'day' ], decay => 'window', period => 30 },
			{ signal => 'club', points => 5, limit => [ 1, 'ever' ] },
			{ signal => 'sample', points => 25, decay => 'window', period => 60 },
			{ signal => 'recipe', points => 10, decay => 'half_life', period => 45 },
			{ signal => 'tasting', points => 15, decay => 'linear', period => 90 },
			{ signal => 'click', points => 3, limit => [ 2, 'day' ], decay => 'half_life', period => 30 }),
		{ dimension => 'fit', signal => 'taste', points => 10 } ],
	stages => {
		iql => { gates => \@lead_gates },
		mql => { min => 20, other => { only_if => 'private', min => 15 } },
		sql => { min => 40, gates => [ { gate => 'taste', signal => 'taste' }, map { { gate => 'asked', signal => $_ } } qw(sample tasting) ] },
		prospect => { entry => 'contact' }, customer => { entry => 'bought' }, lost => { entry => 'gone' },
		recycled => { entry => 'shelved' }, disqualified => { entry => 'hoax' } } };
my %signal = (
	shelf_view => 'view', tea_view => 'view', club_joined => 'club', sample_wanted => 'sample', recipe_taken => 'recipe', tasting => 'tasting',
	email_click => 'click', chat => 'contact', tea_order => 'bought', tea_parcel => 'bought', gone => 'gone', shelved => 'shelved', hoax => 'hoax');

my $micros = '(extract(epoch FROM %s) * 1000000)::bigint';
my @ids = map { $_->[0] } rows(q{
	SELECT DISTINCT ON (course) lead_id
	FROM (SELECT lead_id, string_agg(to_stage::text || cause, ' ' ORDER BY seq) AS course FROM crm.stage_log WHERE superseded_at IS NULL GROUP BY 1) c
	ORDER BY course, lead_id DESC});
cmp_ok(scalar(@ids), '>', 80, 'there are many courses of life');
my $of_these = 'lead_id IN (' . join(',', @ids) . ')';
my (%created, %items, %recorded, %profile, %score);
my ($now) = map { $_->[0] } rows('SELECT ' . sprintf($micros, 'now()'));
$created{ $_->[0] } = $_->[1] foreach rows('SELECT lead_id, ' . sprintf($micros, 'created_at') . " FROM crm.lead WHERE $of_these");
foreach (rows('SELECT lead_id, ' . sprintf($micros, 'occurred_at') . ", kind, CASE WHEN kind = 'stage_set' THEN properties ->> 'stage' END FROM crm.event WHERE $of_these AND isfinite(occurred_at)"))
{
	my ($id, $at, $kind, $stage) = @$_;
	push @{ $items{$id} }, { at => $at, kind => $signal{$kind} // $kind, $stage ne '' ? (stage => $stage) : () };
}
foreach (rows('SELECT lead_id, ' . sprintf($micros, 'changed_at') . ", signal, count FROM crm.profile_change WHERE $of_these ORDER BY lead_id, seq"))
{
	my ($id, $at, $signal, $count) = @$_;
	$profile{$id}{$signal} = $count > 0 ? 1 : 0;
	push @{ $items{$id} }, { at => $at, profile => { %{ $profile{$id} } } };
}
push @{ $recorded{ shift @$_ } }, join ' ', @$_
  foreach rows("SELECT lead_id, cycle, coalesce(from_stage::text, '-'), to_stage, " . sprintf($micros, 'effective_at') . ", is_lead::integer FROM crm.stage_log WHERE $of_these AND superseded_at IS NULL ORDER BY lead_id, seq");
$score{ $_->[0] } = "$_->[1] $_->[2]" foreach rows("SELECT lead_id, stage, round((score * 1000)::numeric) FROM crm.lead_score WHERE $of_these");
foreach my $id (@ids)
{
	my $life = life([ [ 0, $model ] ], { created => $created{$id}, profile => {} }, $items{$id} || [], $now);
	is(join("\n", @{ $recorded{$id} }, $score{$id}),
		join("\n", (map { join ' ', @$_{qw(cycle from to at)}, $_->{is_lead} ? 1 : 0 } @{ $life->{rows} }), "$life->{stage} $life->{score}"),
		"life of lead $id");
}

# ---------- sentences ----------

my $text = slurp_file("$dir/sentences.sql");
my ($begin) = $text =~ /^-- begin\n(.*?)\n\n/ms;
my @blocks = $text =~ /^-- ([a-z_]+): ([^\n]+)\n([^\n]+)\n-- by hand\n(.*?)(?=\n\n|\z)/msg;
my (%views, @said, $script);
while (my ($view, $sentence, @queries) = splice @blocks, 0, 4)
{
	$views{$view} = 1;
	push @said, [ $view, $sentence ];
	$script .= "$_\n\\echo ====\n" foreach @queries;
}

# no view without a sentence
is(join(' ', grep { !$views{$_} } map { $_->[0] } rows(q{
		SELECT relname FROM pg_class WHERE relnamespace IN ('crm'::regnamespace, 'crm_reports'::regnamespace) AND relkind = 'v' AND relname !~ '^_' ORDER BY 1})),
	'', 'every view has a sentence');

# the page of views says the first sentence of each
my $page = slurp_file("$dir/../../doc/views.md");
my %before;
is(join("\n", grep { index($page, $_) < 0 }
		map { 'In a sentence: *' . $_->[1] =~ s/(?<!\w)_(?!\w)/\xe2\x80\xa6/gr . '*' }
		grep { $_->[0] !~ /_at$/ && !$before{ $_->[0] }++ } @said),
	'', 'doc/views.md has them');

# All of it is said at one instant. By hand no view is within reach.
$script =~ s/^(.*?\n)\\echo ====\n(.*?\\echo ====\n)/SET LOCAL search_path = crm_reports, crm, leadscore, pg_temp;\n$1\\echo ====\nSET LOCAL search_path = leadscore, pg_temp;\n$2/msg;
my @answers = split /^====\n/m, $node->safe_psql('postgres', "SET timezone = 'UTC';\nBEGIN;\n$begin\n$script") . "\n", -1;
foreach (@said)
{
	my ($view, $sentence) = @$_;
	my ($shown, $hand) = map { s/\s+\z//r } splice @answers, 0, 2;
	my @figures = split /\|/, $shown, -1;
	my $filled = $sentence =~ s/(?<!\w)_(?!\w)/shift(@figures) \/\/ ''/ger;
	is($shown, $hand, "$view: $filled");
	is(scalar(grep { $_ eq '' || $_ == 0 } split /\|/, $shown, -1), 0, "$view: no figure is missing or nought");
}

$node->stop;
done_testing();
