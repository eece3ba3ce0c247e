# Who may be written to, who is who, and who was forgotten: random histories
# beside an oracle in Perl that is written from the documented rules.
#
#   1  may_contact() of random consent and suppression, asked at random instants
#   2  random merges beside a union-find
#   3  a third of the leads is forgotten: nothing of them is left in a dump, no
#      report changes, and no import brings them back
#
# Environment:
#   PEOPLE_SEED    repeats a run (printed when it fails)
#   PEOPLE_LEADS   leads of part 1, default 200
#   PEOPLE_MERGES  merges of part 2, default 1000
use strict;
use warnings;
use File::Basename qw(dirname);
use List::Util qw(any min shuffle uniq);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{PEOPLE_SEED} // int(rand(1e9));
my $lead_count = $ENV{PEOPLE_LEADS} || 200;
my $merge_count = $ENV{PEOPLE_MERGES} || 1000;
srand($seed);

my $node = PostgreSQL::Test::Cluster->new('people');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\njit = off\nautovacuum = off\n");
$node->start;
my $dir = PostgreSQL::Test::Utils::tempdir;
my $files = 0;

sub chance { return rand(100) < $_[0]; }
sub one_of { return $_[ rand @_ ]; }
sub quoted { return defined $_[0] ? "'" . ($_[0] =~ s/'/''/gr) . "'" : 'NULL'; }

# Instants are whole seconds, and few, so that many are equal.
my $begin = 1704067200;
my $ticks = 40;
sub instant { return $begin + 86400 * int(rand($ticks)); }
sub at { return "to_timestamp($_[0])"; }

# Run many statements in one session, and return the rows that they give.
sub script
{
	my ($database, @statements) = @_;
	my $file = "$dir/" . ++$files . '.sql';
	append_to_file($file, "SET timezone = 'UTC'; SET client_min_messages = 'warning';\n" . join("\n", @statements, ''));
	my @command = ('psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-f', $file, '-d', $node->connstr($database));
	run_log(\@command, '>', \my $out) or BAIL_OUT("$file failed, PEOPLE_SEED=$seed");
	return split /\n/, $out;
}

# Two lists of lines agree; of those that do not the first ones are printed.
my $failed = 0;
sub agree
{
	my ($what, $got, $expected, $more) = @_;
	my %got = map { $_ => 1 } @$got;
	my %expected = map { $_ => 1 } @$expected;
	my @wrong = grep { !$expected{$_} } @$got;
	my @missing = grep { !$got{$_} } @$expected;
	return if ok(@$expected > $more && @$got == @$expected && !@wrong && !@missing, $what);
	$failed = 1;
	diag(@$got . ' rows, expected ' . @$expected);
	diag("got       $_") foreach (sort @wrong)[ 0 .. min(9, $#wrong) ];
	diag("expected  $_") foreach (sort @missing)[ 0 .. min(9, $#missing) ];
	return;
}

sub well
{
	my ($what, $database) = @_;
	is($node->safe_psql($database, 'SELECT count(*) FROM p.verify()'), '0', "$what: verify() is empty");
	is($node->safe_psql($database, 'SELECT p.rebuild()'), '0', "$what: rebuild() finds nothing to mend");
	return;
}

# ---------- the oracle of consent ----------

# What was said: {purpose, channel, topic, status, proven, at, id, origin}. What is
# known of an address: {address, channel, reason, since, lifted}.
my (@suppressed, $statements);
my @channels = ('email', 'phone', undef);
my @topics = ('newsletter', 'offers', undef);

sub same { return defined $_[0] ? defined $_[1] && $_[0] eq $_[1] : !defined $_[1]; }

# a row speaks of a scope if it names the same, or all
sub speaks_of { return !defined $_[0] || same($_[0], $_[1]); }

sub holds
{
	my ($row, $lead, $at) = @_;
	return (any { same($row->{address}, $_) } grep { defined } $lead->{email}, $lead->{phone})
		&& $row->{since} <= $at && (!defined $row->{lifted} || $row->{lifted} > $at);
}

# From one instant to the next: withdrawals are open until a grant with evidence
# that is as narrow or narrower comes after them.
sub granted
{
	my ($lead, $purpose, $channel, $topic, $at) = @_;
	my @said = grep { $_->{purpose} eq $purpose && $_->{status} ne 'requested' && $_->{at} <= $at
			&& speaks_of($_->{channel}, $channel) && speaks_of($_->{topic}, $topic) } @{ $lead->{said} };
	push @said, map { { channel => $_->{channel}, status => 'withdrawn', at => $_->{since}, id => 0, origin => 'address' } }
		grep { $_->{reason} =~ /^(unsubscribed|bounced|complained)$/ && holds($_, $lead, $at) && speaks_of($_->{channel}, $channel) } @suppressed
		if $purpose eq 'marketing';
	my $yes = 0;
	my @open;
	foreach my $row (sort { $a->{at} <=> $b->{at} || $a->{id} <=> $b->{id} } @said)
	{
		if ($row->{status} eq 'withdrawn')
		{
			push @open, $row;
			next;
		}
		$yes = 1;
		next if !$row->{proven};
		# of one instant a grant undoes only what the same lead said before it
		@open = grep { !speaks_of($_->{channel}, $row->{channel}) || !speaks_of($_->{topic}, $row->{topic})
				|| $_->{at} == $row->{at} && $_->{origin} ne $row->{origin} } @open;
	}
	return $yes && !@open;
}

sub is_blocked
{
	my ($lead, $channel, $at) = @_;
	return any { $_->{reason} =~ /^(manual|forgotten)$/ && holds($_, $lead, $at) && speaks_of($_->{channel}, $channel) } @suppressed;
}

sub may_contact
{
	my ($lead, $channel, $topic, $at) = @_;
	return !is_blocked($lead, $channel, $at) && granted($lead, 'policy', undef, undef, $at) && granted($lead, 'marketing', $channel, $topic, $at);
}

# Random things that a lead says, as rows and as statements
my $ids = 0;
sub say_something
{
	my ($lead, $by_function) = @_;
	my $purpose = chance(30) ? 'policy' : 'marketing';
	my %row = (purpose => $purpose, status => one_of('granted', 'granted', 'granted', 'withdrawn', 'withdrawn', 'requested'),
		proven => chance(60) ? 1 : 0, at => instant(), id => ++$ids, origin => $lead->{id});
	@row{ 'channel', 'topic' } = (one_of(@channels), one_of(@topics)) if $purpose eq 'marketing';
	push @{ $lead->{said} }, \%row;
	my $evidence = $row{proven} ? q('{"form": "footer"}') : 'NULL';
	my @scope = (quoted($purpose), quoted($row{channel}), quoted($row{topic}));
	return "INSERT INTO p.consent (lead_id, purpose, channel, topic, status, evidence, occurred_at) VALUES ("
		. join(', ', $lead->{id}, @scope, quoted($row{status}), $evidence, at($row{at})) . ');'
		if !$by_function;
	return 'SELECT p.give_consent_by_id(' . join(', ', $lead->{id}, @scope, $evidence, quoted($row{status})) . ', occurred_at => ' . at($row{at}) . ") \\g /dev/null"
		if $row{status} ne 'withdrawn';
	# who wants no message at all is not to get one at that address
	push @suppressed, map { { address => $_, channel => $row{channel}, reason => 'unsubscribed', since => $row{at} } }
		grep { defined } $lead->{email}, $lead->{phone}
		if $purpose eq 'marketing' && !defined $row{topic};
	return 'SELECT p.withdraw_consent_by_id(' . join(', ', $lead->{id}, @scope, $evidence, at($row{at})) . ") \\g /dev/null";
}

sub suppress_something
{
	my ($address) = @_;
	my %row = (address => $address, channel => one_of('email', undef, 'phone'), reason => one_of(qw(unsubscribed bounced complained manual)), since => instant());
	push @suppressed, \%row;
	return 'SELECT p.suppress(' . join(', ', map({ quoted($_) } @row{ 'address', 'channel', 'reason' }), at($row{since})) . ") \\g /dev/null";
}

# Every scope of every lead at some instants, beside the oracle
sub compare_scopes
{
	my ($what, $database, $leads, @instants) = @_;
	my @scopes;
	foreach my $channel (@channels, 'sms')
	{
		push @scopes, [ $channel, $_ ] foreach @topics, 'other';
	}
	my @got = script($database, "SELECT l.lead_id, coalesce(c, 'all'), coalesce(t, 'all'), a, p.may_contact_by_id(l.lead_id, c, t, to_timestamp(a))
		FROM unnest('{" . join(',', map { $_->{id} } @$leads) . "}'::bigint[]) AS l (lead_id),
			unnest('{email,phone,NULL,sms}'::text[]) AS c, unnest('{newsletter,offers,NULL,other}'::text[]) AS t,
			unnest('{" . join(',', @instants) . "}'::bigint[]) AS a;");
	my @expected;
	foreach my $lead (@$leads)
	{
		foreach my $scope (@scopes)
		{
			push @expected, join('|', $lead->{id}, map({ $_ // 'all' } @$scope), $_, may_contact($lead, @$scope, $_) ? 't' : 'f') foreach @instants;
		}
	}
	my $yes = grep { /t$/ } @expected;
	note("$what: $yes of " . @expected . ' are allowed');
	cmp_ok($yes, '>', @expected / 100, "$what: some messages are allowed");
	agree("$what: may_contact()", \@got, \@expected, scalar @$leads);
	return;
}

# The columns of the table lead say what holds after all of it.
sub compare_columns
{
	my ($what, $database, $leads) = @_;
	my $end = 4e9;
	my @got = script($database, "SELECT lead_id, consented_at IS NOT NULL, contact_allowed IS TRUE FROM p.lead
		WHERE lead_id = ANY ('{" . join(',', map { $_->{id} } @$leads) . "}');");
	my @expected;
	foreach my $lead (@$leads)
	{
		my $allowed = 0;
		foreach my $channel (@channels)
		{
			next if is_blocked($lead, $channel, $end);
			$allowed ||= granted($lead, 'marketing', $channel, $_, $end) foreach @topics;
		}
		push @expected, join '|', $lead->{id}, map { $_ ? 't' : 'f' } granted($lead, 'policy', undef, undef, $end), $allowed;
	}
	agree("$what: consented_at and contact_allowed", \@got, \@expected, 10);
	return;
}

# ---------- 1: may_contact() ----------

sub part_of_consent
{
	@suppressed = ();
	script('postgres', 'CREATE DATABASE consent;');
	script('consent', "CREATE EXTENSION leadscore; SELECT leadscore.create_pipeline('p', 'inbound') \\g /dev/null");
	my @emails = map { "one$_\@example.com" } 1 .. $lead_count / 2;
	my @phones = map { "+39 02 5550$_" } 100 .. 100 + $lead_count / 4;
	my @leads = map { { id => $_, said => [], email => chance(80) ? one_of(@emails) : undef, phone => chance(40) ? one_of(@phones) : undef } } 1 .. $lead_count;
	script('consent', 'INSERT INTO p.lead (lead_id, external_id, email, phone, created_at, updated_at) VALUES '
		. join(', ', map { "($_->{id}, 'lead $_->{id}', " . quoted($_->{email}) . ', ' . quoted($_->{phone}) . ", '2023-01-01', '2023-01-01')" } @leads) . ';');

	# rows that were lifted, or are of persons that were forgotten, stand before
	my @old;
	foreach my $address (grep { chance(15) } @emails, @phones)
	{
		my $since = instant();
		my %row = (address => $address, channel => one_of('email', undef), reason => one_of(qw(unsubscribed bounced complained manual forgotten forgotten)),
			since => $since, lifted => chance(60) ? $since + 86400 * int(rand(20)) : undef);
		push @suppressed, \%row;
		push @old, '(p.address_hash(' . quoted($address) . '), ' . join(', ', quoted($row{channel}), quoted($row{reason}), at($since), defined $row{lifted} ? at($row{lifted}) : 'NULL') . ')';
	}
	my @statements = ('INSERT INTO p.suppression (address_hash, channel, reason, since, lifted_at) VALUES ' . join(', ', @old) . ';');
	my @later;
	foreach my $lead (@leads)
	{
		push @later, map { my $function = chance(15); [ $lead, $function ] } 1 .. 1 + int(rand(9));
	}
	push @later, map { [ undef, $_ ] } grep { chance(10) } @emails, @phones;
	push @statements, map { $_->[0] ? say_something(@$_) : suppress_something($_->[1]) } shuffle @later;
	script('consent', 'BEGIN;', @statements, 'COMMIT;');
	compare_scopes('consent', 'consent', \@leads, instant(), instant() + 1, $begin + 86400 * $ticks);
	compare_columns('consent', 'consent', \@leads);
	well('consent', 'consent');
	return;
}
part_of_consent();

diag("PEOPLE_SEED=$seed PEOPLE_LEADS=$lead_count PEOPLE_MERGES=$merge_count") if $failed;
note("seed $seed, ", time - $^T, ' s');
done_testing();
