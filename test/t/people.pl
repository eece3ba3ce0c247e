
# Random consent, merges and erasures against what the rules say in words: every
# name finds the lead that a union of sets finds, consent is what a walk over
# the rows of both leads gives, figures stay, and nothing of a person that was
# forgotten is left.
#
#   PEOPLE_SEED    repeats a run (printed when it fails)
#   PEOPLE_MERGES  how many merges, default 1000

use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{PEOPLE_SEED} // int(rand(1e9));
my $merges = $ENV{PEOPLE_MERGES} || 1000;
srand($seed);
note("PEOPLE_SEED=$seed");

sub one_of { return $_[int rand @_] }
sub chance { return rand(100) < $_[0] }

my $node = PostgreSQL::Test::Cluster->new('people');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\nautovacuum = off\ntimezone = 'UTC'\n");
$node->start;
$node->safe_psql('postgres', q{CREATE EXTENSION leadscore; SELECT leadscore.create_pipeline('p')});

sub psql { return $node->safe_psql('postgres', $_[0]) }

# An instant is a number of hours since the first of January; few of them, so
# that many rows are of one.
sub instant { return "timestamptz '2025-01-01 00:00+00' + interval '$_[0] hours'" }

# Leads: names, addresses that some share, a creation, events, rows of consent.
my $leads = int($merges * 1.5);
my (@lead, @said);
my @sql;
for my $i (1 .. $leads)
{
	my $email = chance(50) ? 'mail' . int(rand($leads / 2)) . '@x.example' : undef;
	push @lead, { id => $i, name => "lead $i", email => $email, phone => chance(20) ? "+34$i" : undef, created => int rand 50,
		events => { map { ("s$i-$_" => 1) } 1 .. int rand 3 }, profile => { map { ($_ => $i) } grep { chance(40) } qw(a b c) } };
	my $l = $lead[-1];
	$l->{events}{ 'shared ' . int rand 20 } = 1 if chance(40);
	push @sql, sprintf "(%d, %s, %s, %s, %s, '{%s}')", $i, "'$l->{name}'", map({ defined ? "'$_'" : 'NULL' } @$l{qw(email phone)}), instant($l->{created}),
	  join ', ', map { qq{"$_": $l->{profile}{$_}} } sort keys %{ $l->{profile} };
}
psql('INSERT INTO p.lead (lead_id, external_id, email, phone, created_at, profile) VALUES ' . join(', ', @sql) . "; SELECT setval('p.lead_lead_id_seq', $leads)");
@sql = ();
foreach my $l (@lead)
{
	push @sql, map { "($l->{id}, '" . one_of(qw(page_view demo_request content_download pricing_view)) . "', '$_', " . instant(60 + int rand 900) . ')' } sort keys %{ $l->{events} };
	push @sql, map { "($l->{id}, 'page_view', NULL, " . instant(60 + int rand 900) . ')' } 1 .. ($l->{nameless} = int rand 3);
}
psql('INSERT INTO p.event (lead_id, kind, source_id, occurred_at) VALUES ' . join(', ', @sql));
@sql = ();
for (1 .. $leads * 4)
{
	my $row = { lead => 1 + int rand $leads, purpose => chance(35) ? 'policy' : 'marketing', status => one_of(qw(granted granted granted withdrawn withdrawn requested)),
		proven => chance(60), at => int rand 40 };
	@$row{qw(channel topic)} = (one_of(undef, 'email', 'phone'), one_of(undef, 'news', 'offers')) if $row->{purpose} eq 'marketing';
	$row->{origin} = 0;
	push @said, $row;
	$row->{number} = scalar @said;
	push @sql, sprintf "(%d, %d, '%s', %s, %s, '%s', %s, %s)", $row->{lead}, $row->{number}, $row->{purpose}, map({ defined ? "'$_'" : 'NULL' } @$row{qw(channel topic)}),
	  $row->{status}, $row->{proven} ? "'{}'" : 'NULL', instant($row->{at});
}
psql('INSERT INTO p.consent (lead_id, consent_id, purpose, channel, topic, status, evidence, occurred_at) VALUES ' . join(', ', @sql));

# Addresses that are refused, for a time.
my @refused;
for (1 .. $leads / 20)
{
	my $r = { email => 'mail' . int(rand($leads / 2)) . '@x.example', channel => one_of(undef, 'email', 'phone'), reason => one_of(qw(unsubscribed bounced complained manual)), since => int rand 40 };
	$r->{lifted} = $r->{since} + int rand 10 if $r->{reason} eq 'manual' && chance(50);
	push @refused, $r;
}
psql('INSERT INTO p.suppression (address_hash, channel, reason, since, lifted_at) VALUES ' . join(', ', map {
	"(p.address_hash('$_->{email}'), " . (defined $_->{channel} ? "'$_->{channel}'" : 'NULL') . ", '$_->{reason}', " . instant($_->{since}) . ', ' . (defined $_->{lifted} ? instant($_->{lifted}) : 'NULL') . ')' } @refused)
	. ' ON CONFLICT DO NOTHING');

# May a lead be contacted?  As the rule says it: the policy and marketing are
# granted, every withdrawal that covers the message is undone by a later grant
# that is as narrow or narrower and has evidence, and the address is not blocked.
sub covers { my ($row, $channel, $topic) = @_; return (!defined $row->{channel} || $row->{channel} eq ($channel // '')) && (!defined $row->{topic} || $row->{topic} eq ($topic // '')) }
sub later
{
	my ($g, $w) = @_;
	return $g->{at} > $w->{at} || ($g->{at} == $w->{at} && defined $w->{number} && $g->{number} > $w->{number} && $g->{origin} == $w->{origin});
}
sub granted
{
	my ($rows, $channel, $topic) = @_;
	my @covering = grep { $_->{status} ne 'requested' && covers($_, $channel, $topic) } @$rows;
	my @grants = grep { $_->{status} eq 'granted' } @covering;
	return 0 unless @grants;
	foreach my $w (grep { $_->{status} eq 'withdrawn' } @covering)
	{
		return 0 unless grep { $_->{proven} && later($_, $w) && (!defined $w->{channel} || ($_->{channel} // '') eq $w->{channel}) && (!defined $w->{topic} || ($_->{topic} // '') eq $w->{topic}) } @grants;
	}
	return 1;
}
sub may_contact
{
	my ($rows, $email, $channel, $topic, $at) = @_;
	my @now = grep { $_->{at} <= $at } @$rows;
	foreach my $r (grep { $_->{email} eq ($email // '') && $_->{since} <= $at && (!defined $_->{lifted} || $_->{lifted} > $at) } @refused)
	{
		return 0 if $r->{reason} eq 'manual' && (!defined $r->{channel} || $r->{channel} eq ($channel // ''));
		push @now, { purpose => 'marketing', status => 'withdrawn', channel => $r->{channel}, at => $r->{since} } if $r->{reason} ne 'manual';
	}
	return granted([ grep { $_->{purpose} eq 'policy' } @now ]) && granted([ grep { $_->{purpose} eq 'marketing' } @now ], $channel, $topic) ? 1 : 0;
}

# Ask for every lead in all scopes at some instants, and compare.
sub compare_consent
{
	my ($what, @alive) = @_;
	my @scopes = map { my $c = $_; map { [ $c, $_ ] } undef, 'news', 'offers' } undef, 'email', 'phone';
	my @ask;
	foreach my $l (@alive)
	{
		push @ask, [ $l, @{ one_of(@scopes) }, int rand 45 ] for 1 .. 4;
	}
	my $values = join ', ', map { "($_, $ask[$_][0]{id}::bigint, " . join(', ', map({ defined ? "'$_'" : 'NULL::text' } @{ $ask[$_] }[ 1, 2 ])) . ', ' . instant($ask[$_][3]) . ')' } 0 .. $#ask;
	my %answer = map { split /\|/ } split /\n/, psql("SELECT n, p.may_contact_by_id(id, channel, topic, at)::int FROM (VALUES $values) AS v (n, id, channel, topic, at)");
	my @wrong = grep { $answer{$_} != may_contact($ask[$_][0]{said}, $ask[$_][0]{email}, @{ $ask[$_] }[ 1 .. 3 ]) } 0 .. $#ask;
	is(join(' ', map { "lead $ask[$_][0]{id} at $ask[$_][3]: $answer{$_}" } @wrong[ 0 .. ($#wrong > 4 ? 4 : $#wrong) ]), '', "$what: answers of " . scalar(@ask))
	  or diag("PEOPLE_SEED=$seed PEOPLE_MERGES=$merges");
	my $yes = grep { $answer{$_} } keys %answer;
	cmp_ok($yes, '>', @ask / 50, "$what: some answers are yes ($yes)");

	# and the columns of lead
	my %column = map { my @c = split /\|/; ($c[0] => "$c[1]$c[2]") } split /\n/, psql("SELECT lead_id, (consented_at IS NOT NULL)::int, CASE WHEN contact_allowed THEN 'y' ELSE 'n' END FROM p.lead");
	my @off = grep {
		my $l = $_;
		my $policy = granted([ grep { $_->{purpose} eq 'policy' } @{ $l->{said} } ]);
		my @rows = grep { $_->{purpose} eq 'marketing' } @{ $l->{said} };
		my @hits = grep { $_->{email} eq ($l->{email} // '') && !defined $_->{lifted} } @refused;
		my $blocked = grep { $_->{reason} eq 'manual' && !defined $_->{channel} } @hits;
		push @rows, map { { status => 'withdrawn', channel => $_->{channel}, at => $_->{since} } } grep { $_->{reason} ne 'manual' } @hits;
		my $allowed = !$blocked && grep { granted(\@rows, @$_{qw(channel topic)}) } @rows;
		($column{ $l->{id} } // '') ne ($policy ? 1 : 0) . ($allowed ? 'y' : 'n');
	} @alive;
	is(join(' ', map { "$_->{id}: $column{$_->{id}}" } @off[ 0 .. ($#off > 4 ? 4 : $#off) ]), '', "$what: columns of lead") or diag("PEOPLE_SEED=$seed PEOPLE_MERGES=$merges");
	return;
}
$_->{said} = [] foreach @lead;
push @{ $lead[ $_->{lead} - 1 ]{said} }, $_ foreach @said;
# the addresses were suppressed behind the back of the leads
psql('SELECT p._follow_consent(array_agg(lead_id ORDER BY lead_id), now()) FROM p.lead');
compare_consent('before', @lead);

# Merges, by name, by number, and of visitors; each name in use may be meant.
my %owner = map { ($_->{name} => $_) } @lead;
my @alive = @lead;
my $script = '';
my $done = 0;
for (1 .. $merges)
{
	last if @alive < 2;
	my $winner = $owner{ one_of(keys %owner) };
	my $loser = $owner{ one_of(keys %owner) };
	next if $winner == $loser;
	my ($w, $l) = map { my $lead = $_; one_of(grep { $owner{$_} == $lead } sort keys %owner) } $winner, $loser;
	$script .= chance(40) ? "SELECT p.merge_leads('$w', '$l', 'random');\n" : chance(50) ? "SELECT p.merge_leads_by_id($winner->{id}, $loser->{id});\n" : "SELECT p.identify('$l', '$w', force => true);\n";
	foreach (@{ $loser->{said} }) { $_->{origin} ||= $loser->{id} }
	push @{ $winner->{said} }, @{ $loser->{said} };
	$winner->{events} = { %{ $loser->{events} }, %{ $winner->{events} } };
	$winner->{nameless} += $loser->{nameless};
	$winner->{profile} = { %{ $loser->{profile} }, %{ $winner->{profile} } };
	$winner->{email} //= $loser->{email};
	$winner->{created} = $loser->{created} if $loser->{created} < $winner->{created};
	$owner{$_} = $winner foreach grep { $owner{$_} == $loser } keys %owner;
	if (chance(20)) { $script .= "SELECT p.identify('other $_', '$w');\n"; $owner{"other $_"} = $winner }
	@alive = grep { $_ != $loser } @alive;
	$done++;
}
psql($script);
cmp_ok($done, '>=', $merges * 0.8, "$done merges");
my %found = map { split /\|/ } split /\n/, psql("SELECT n, p.lead_id(n) FROM unnest('{" . join(',', sort keys %owner) . "}'::text[]) n");
is(join(' ', grep { ($found{$_} // 0) != $owner{$_}{id} } sort keys %owner), '', 'every name finds its lead') or diag("PEOPLE_SEED=$seed PEOPLE_MERGES=$merges");
is(psql('SELECT count(*) FROM p.lead'), scalar @alive, 'and no other lead is there');
is(psql('SELECT count(*), count(DISTINCT loser_id) FROM p.lead_merge'), "$done|$done", 'every merge is recorded');
is(psql('SELECT count(*) FROM p.lead_alias a WHERE EXISTS (SELECT FROM p.lead l WHERE l.external_id = a.external_id) OR NOT EXISTS (SELECT FROM p.lead l WHERE l.lead_id = a.lead_id)'), 0, 'a name is in one place');
compare_consent('after', @alive);
my %stored = map { my @c = split /\|/, $_, -1; (shift(@c) => join('|', @c)) } split /\n/, psql(<<'SQL');
SELECT l.lead_id, extract(epoch FROM l.created_at - '2025-01-01 00:00+00') / 3600, coalesce(string_agg(e.source_id, ',' ORDER BY e.source_id COLLATE "C"), ''), count(e.event_id) FILTER (WHERE e.source_id IS NULL),
	(SELECT coalesce(string_agg(key || value, ',' ORDER BY key), '') FROM jsonb_each_text(l.profile)), l.email
FROM p.lead l LEFT JOIN p.event e USING (lead_id) GROUP BY l.lead_id
SQL
is(join("\n", grep { defined } map {
	my $l = $_;
	my $right = join '|', sprintf('%.16f', $l->{created}), join(',', sort keys %{ $l->{events} }), $l->{nameless}, join(',', map { "$_$l->{profile}{$_}" } sort keys %{ $l->{profile} }), $l->{email} // '';
	$stored{ $l->{id} } eq $right ? undef : "lead $l->{id}: $stored{$l->{id}}, not $right" } @alive), '', 'creation, events, profile and address of each lead')
  or diag("PEOPLE_SEED=$seed PEOPLE_MERGES=$merges");
is(psql('SELECT * FROM p.verify()'), '', 'verify() says nothing');
is(psql('SELECT p.rebuild()'), 0, 'nor has rebuild() anything to do');

# A third of the people is forgotten. Each has words that nobody else has, in
# places where personal data lie; figures of every view stay.
psql(<<'SQL');
UPDATE p.lead SET email = 'secret' || lead_id || 'x@x.example', phone = '+99' || lead_id || '0000', profile = profile || jsonb_build_object('name', 'Secret ' || lead_id || 'x', 'note', 'secret' || lead_id || 'x');
INSERT INTO p.event (lead_id, kind, occurred_at, value, source_id, properties) SELECT lead_id, k, '2025-03-01', 5, 'secret' || lead_id || 'x ' || k,
	jsonb_build_object('page', '/a?secret' || lead_id || 'x@x.example', 'form', 'f', 'fields', jsonb_build_array('secret' || lead_id || 'x'), 'content', 'c', 'intent', 'solution', 'message', 'm', 'purchase', 'secret' || lead_id || 'x purchase',
		'said', 'secret' || lead_id || 'x', 'deep', jsonb_build_object('secret' || lead_id || 'x', 1))
	FROM p.lead, unnest('{page_view,form_submit,content_download,email_sent,purchase,refund}'::text[]) k WHERE lead_id % 2 = 0;
SELECT count(p.identify('secret' || lead_id || 'x cookie', external_id)) FROM p.lead;
SELECT count(p.give_consent_by_id(lead_id, 'marketing', 'post', evidence => jsonb_build_object('ip', 'secret' || lead_id || 'x'), occurred_at => '2025-02-28')) FROM p.lead;
SQL
my $views = psql(q{SELECT n.nspname || '.' || c.relname || ':' || string_agg(CASE WHEN a.attname IN ('external_id', 'contact_allowed', 'call_order') THEN NULL ELSE a.attname || '=' || t.typname END, ',' ORDER BY a.attnum)
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid
	WHERE n.nspname IN ('p', 'p_reports') AND c.relkind = 'v' AND c.relname !~ '^_' AND a.attnum > 0 AND c.relname NOT IN ('hot_leads', 'consent_by_stage') GROUP BY 1, n.nspname, c.relname});
# hot_leads and consent_by_stage leave people out that were forgotten. Scores
# and times that go on until now are rounded.
sub figures
{
	my %figure;
	my @query;
	foreach (split /\n/, $views)
	{
		my ($view, $columns) = split /:/;
		my @sum = map { my ($c, $t) = split /=/; $t =~ /^(numeric|float8|int4|int8)$/ && $c !~ /days|gap|lead_id|event_id|cost_id/ ? "round(sum($c)::numeric, 3)" : () } split /,/, $columns;
		push @query, "SELECT '$view', concat_ws(' ', count(*)" . join('', map { ", coalesce($_::text, '-')" } @sum) . ") FROM $view";
	}
	return split /\n/, psql('BEGIN ISOLATION LEVEL REPEATABLE READ; ' . join(' UNION ALL ', @query));
}
my @before = figures();
cmp_ok(scalar @before, '>', 40, scalar(@before) . ' views');
my @gone = split /\n/, psql('SELECT lead_id FROM p.lead WHERE lead_id % 3 = 0');
is(psql('SELECT count(*) FILTER (WHERE p.forget_lead_by_id(lead_id)) FROM p.lead WHERE lead_id % 3 = 0'), scalar @gone, scalar(@gone) . ' people are forgotten');
is(join("\n", figures()), join("\n", @before), 'no report changes') or diag("PEOPLE_SEED=$seed PEOPLE_MERGES=$merges");
is(psql('SELECT * FROM p.verify()'), '', 'verify() says nothing');
is(psql('SELECT p.rebuild()'), 0, 'nor has rebuild() anything to do');
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump.sql';
$node->command_ok([ 'pg_dump', '-n', 'p', '-n', 'p_reports', '-f', $dump, 'postgres' ], 'a dump');
my $text = slurp_file($dump);
is(join(' ', grep { $text =~ /secret${_}x|\+99${_}0000|Secret ${_}x/ } @gone), '', 'nothing of them is in it');
my %gone = map { ($_ => 1) } @gone;
my @stay = grep { !$gone{ $_->{id} } } @alive;
is(scalar(grep { $text =~ /secret$_->{id}x/ } @stay), scalar @stay, 'but of the others');
# the same people once more
psql("CREATE TABLE people AS SELECT 'secret' || i || 'x' AS word FROM unnest('{" . join(',', @gone) . "}'::bigint[]) i");
psql(q{INSERT INTO p.lead (external_id, email) SELECT word || ' crm', upper(word) || '@X.example' FROM people;
	INSERT INTO p.lead (external_id) SELECT word || ' cookie' FROM people});
is(psql(q{SELECT count(p.upsert_lead(word || ' crm', word || '@x.example')), count((p.track(word || ' cookie', 'page_view')).lead_id) FROM people}), '0|0', 'they are not there when they are written again');
is(psql(q{SELECT inserted, skipped FROM p.track_many((SELECT jsonb_agg(jsonb_build_object('external_id', word || ' cookie', 'kind', 'page_view')) FROM people))}), '0|' . @gone, 'nor when many are');
is(psql('SELECT count(*) FROM p.lead'), scalar @alive, 'no lead was made');
is(psql(q{SELECT count(*) FILTER (WHERE p.give_consent(word || ' cookie', 'policy', email => word || '@x.example', evidence => '{"form": "f"}')) FROM people}), scalar @gone, 'with evidence they come back');
is(psql('SELECT count(*) FROM p.lead'), @alive + @gone, 'as new leads');
is(psql('SELECT * FROM p.verify()'), '', 'verify() says nothing at last');

done_testing();
