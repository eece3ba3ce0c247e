# Who may be written to, who is who, and who was forgotten: random histories
# beside an oracle in Perl that is written from the documented rules.
#
#   1  may_contact() of random consent and suppression, asked at random instants
#   2  random merges beside a union-find
#   3  a third of the leads is forgotten: nothing of them is left in a dump, no
#      report changes, and no import brings them back
#
# Environment:
#   PEOPLE_SEED    the same run again (printed when it fails); default random
#   PEOPLE_LEADS   leads of part 1, default 200
#   PEOPLE_MERGES  merges of part 2, default 1000
#   PEOPLE_PARTS   parts to run, default 123
use strict;
use warnings;
use File::Basename qw(dirname);
use List::Util qw(any min shuffle uniq);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{PEOPLE_SEED} // int(rand(2**31));
my $lead_count = $ENV{PEOPLE_LEADS} || 200;
my $merge_count = $ENV{PEOPLE_MERGES} || 1000;
my $parts = $ENV{PEOPLE_PARTS} || '123';
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
my @suppressed;
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

# the lead said itself what is known of its address
sub withdrew
{
	my ($lead, $row) = @_;
	return any { $_->{purpose} eq 'marketing' && $_->{status} eq 'withdrawn' && !defined $_->{topic} && same($_->{channel}, $row->{channel}) && $_->{at} == $row->{since} } @{ $lead->{said} };
}

# From one instant to the next: withdrawals are open until a grant with evidence
# that is as narrow or narrower comes after them.
sub granted
{
	my ($lead, $purpose, $channel, $topic, $at) = @_;
	my @said = grep { $_->{purpose} eq $purpose && $_->{status} ne 'requested' && $_->{at} <= $at
			&& speaks_of($_->{channel}, $channel) && speaks_of($_->{topic}, $topic) } @{ $lead->{said} };
	push @said, map { { channel => $_->{channel}, status => 'withdrawn', at => $_->{since}, id => 0, origin => 'address' } }
		grep {
			my $row = $_;
			$_->{reason} =~ /^(unsubscribed|bounced|complained)$/ && holds($_, $lead, $at) && speaks_of($_->{channel}, $channel)
				&& !withdrew($lead, $row)
		} @suppressed
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
	# a lead that wants no message at all is not to get one at that address; a
	# refusal of e-mail says nothing of a telephone number
	push @suppressed, map { { address => $_, channel => $row{channel}, reason => 'unsubscribed', since => $row{at} } }
		grep { defined } $lead->{email}, same($row{channel}, 'email') ? undef : $lead->{phone}
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
	my %got = map { (split /\|/)[0] => $_ } script($database, "SELECT lead_id, consented_at IS NOT NULL, contact_allowed IS TRUE FROM p.lead;");
	my (@got, @expected);
	foreach my $lead (@$leads)
	{
		my ($allowed, $unblocked);
		foreach my $channel (@channels)
		{
			foreach my $topic (@topics)
			{
				next if !granted($lead, 'marketing', $channel, $topic, $end);
				$allowed ||= !is_blocked($lead, undef, $end);
				$unblocked ||= !is_blocked($lead, $channel, $end);
			}
		}
		# one word for all channels cannot tell of a single one that is blocked by hand
		next if !$allowed != !$unblocked;
		push @got, $got{ $lead->{id} };
		push @expected, join '|', $lead->{id}, map { $_ ? 't' : 'f' } granted($lead, 'policy', undef, undef, $end), $allowed;
	}
	cmp_ok(@expected / @$leads, '>', 0.9, "$what: nearly all leads have columns to compare");
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
part_of_consent() if $parts =~ /1/;

# ---------- 2: merges ----------

# Where each lead and each name went: a union-find. At the root is the lead that
# remains, with all that the oracle knows of it.
my (%parent, %root, %member_of, @merged);

sub find
{
	my ($id) = @_;
	$id = $parent{$id} while defined $parent{$id};
	return $root{$id};
}

sub by_name { return find($member_of{ $_[0] }); }

# The rules of a merge: the profile of the winner comes first, the list of what was
# said is the union, of two events with one source_id that of the winner stays.
sub join_leads
{
	my ($winner, $loser) = @_;
	push @merged, "$winner->{id}|$loser->{id}";
	$parent{ $loser->{id} } = $winner->{id};
	my @given_up = grep { defined } $loser->{email}, $loser->{phone};
	$winner->{$_} //= $loser->{$_} foreach qw(email phone country channel name);
	# what was said against an address of the loser that the winner does not take
	@given_up = grep { !same($_, $winner->{email}) && !same($_, $winner->{phone}) } @given_up;
	push @{ $winner->{said} }, @{ $loser->{said} };
	foreach my $row (grep { $_->{reason} =~ /^(unsubscribed|complained)$/ && !defined $_->{lifted} } @suppressed)
	{
		# what one of the two said itself is among its rows
		push @{ $winner->{said} }, { purpose => 'marketing', channel => $row->{channel}, topic => undef, status => 'withdrawn', at => $row->{since}, id => 1e9, origin => $loser->{id} }
			if (any { $_ eq $row->{address} } @given_up) && !withdrew($winner, $row);
	}
	$winner->{profile} = { %{ $loser->{profile} }, %{ $winner->{profile} } };
	$winner->{created} = min $winner->{created}, $loser->{created};
	my %taken = map { $_->{source} => 1 } grep { defined $_->{source} } @{ $winner->{events} };
	push @{ $winner->{events} }, grep { !defined $_->{source} || !$taken{ $_->{source} } } @{ $loser->{events} };
	push @{ $winner->{names} }, @{ $loser->{names} };
	$winner->{merges} += 1 + $loser->{merges};
	return;
}

# One random call, and what it must return
sub random_merge
{
	my ($living, $new_name) = @_;
	my ($one, $other) = map { one_of(@$living) } 1, 2;
	my @named = grep { @{ $_->{names} } } $one, $other;
	if (chance(30) || @named < 2)
	{
		my $call = "merge_leads_by_id($one->{id}, $other->{id})";
		return ($call, '22023') if $one == $other;
		join_leads($one, $other);
		return ($call, $one->{id});
	}
	my ($name, $other_name) = map { one_of(@{ $_->{names} }) } $one, $other;
	# people write an address with capitals
	my @written = map { /@/ && chance(50) ? uc : $_ } $name, $other_name;
	if (chance(50))
	{
		my $call = "merge_leads('$written[0]', '$written[1]', 'random')";
		return ($call, '22023') if $one == $other;
		join_leads($one, $other);
		return ($call, $one->{id});
	}
	my $force = chance(60);
	my $how = $force ? ', force => true' : one_of('', ', force => NULL');
	if (chance(15))
	{
		# a name that is new is only remembered
		push @{ $one->{names} }, $new_name;
		$member_of{$new_name} = $one->{id};
		return ("identify('$new_name', '$written[0]'$how)", $one->{id});
	}
	my $identified = defined $other->{email} || @{ $other->{names} } > 1 || $other->{name} ne $other_name;
	if (chance(15))
	{
		my $call = "identify('$written[1]', '$new_name'$how)";
		return ($call, '55000') if $identified && !$force;
		push @{ $other->{names} }, $new_name;
		$member_of{$new_name} = $other->{id};
		$other->{name} = $new_name if $other->{name} eq $other_name;
		return ($call, $other->{id});
	}
	my $call = "identify('$written[1]', '$written[0]'$how)";
	return ($call, $one->{id}) if $one == $other;
	return ($call, '55000') if $identified && !$force;
	join_leads($one, $other);
	return ($call, $one->{id});
}

sub profile_text { my ($profile) = @_; return join ',', map { "$_=$profile->{$_}" } sort keys %$profile; }

sub part_of_merges
{
	@suppressed = ();
	script('postgres', 'CREATE DATABASE merges;');
	script('merges', "CREATE EXTENSION leadscore; SELECT leadscore.create_pipeline('p', 'inbound') \\g /dev/null", q{
		-- what a call returns, or its error
		CREATE FUNCTION public.try(call text) RETURNS text LANGUAGE plpgsql AS $$
		DECLARE
			result text;
		BEGIN
			EXECUTE 'SELECT p.' || call INTO result;
			RETURN result;
		EXCEPTION WHEN OTHERS THEN
			RETURN SQLSTATE;
		END
		$$;
	});
	my $n = int($merge_count * 1.4) + 10;
	my @emails = map { "two$_\@example.com" } 1 .. $n;
	my @leads = map { { id => $_, said => [], merges => 0,
			name => chance(90) ? (chance(30) ? "name$_\@example.com" : "Name $_") : undef,
			email => chance(40) ? one_of(@emails) : undef, phone => chance(20) ? "+39 06 777$_" : undef,
			country => one_of('IT', 'ES', undef), channel => one_of('seo', 'social', undef),
			profile => { map { $_ => int(rand(100)) } grep { chance(50) } qw(employees budget industry seats) },
			created => instant(),
			events => [ map { { tag => ++$ids, source => chance(50) ? 'source ' . int(rand(4)) : undef, at => instant(),
						kind => one_of(qw(pricing_view demo_request purchase case_study_download lost unheard_of)) } } 1 .. rand(5) ] } } 1 .. $n;
	foreach my $lead (@leads)
	{
		my %seen;
		$lead->{events} = [ grep { !defined $_->{source} || !$seen{ $_->{source} }++ } @{ $lead->{events} } ];
		$lead->{names} = [ grep { defined } $lead->{name} ];
		$root{ $lead->{id} } = $lead;
		$member_of{$_} = $lead->{id} foreach @{ $lead->{names} };
	}
	my $event_count = 0;
	my @statements = ('INSERT INTO p.lead (lead_id, external_id, email, phone, country, channel, profile, created_at, updated_at) VALUES '
		. join(', ', map { my $lead = $_;
			"($lead->{id}, " . join(', ', map({ quoted($lead->{$_}) } qw(name email phone country channel)),
				quoted('{' . join(',', map { qq("$_": $lead->{profile}{$_}) } keys %{ $lead->{profile} }) . '}'), at($lead->{created}), at($lead->{created})) . ')' } @leads) . ';',
		"SELECT setval('p.lead_lead_id_seq', $n) \\g /dev/null",
		'INSERT INTO p.event (lead_id, kind, occurred_at, source_id, properties) VALUES '
		. join(', ', map { my $lead = $_; map {; "($lead->{id}, '$_->{kind}', " . at($_->{at}) . ', ' . quoted($_->{source}) . qq{, '{"tag": $_->{tag}}')} } @{ $lead->{events} } } @leads) . ';');
	push @statements, map { my $lead = $_; map { say_something($lead, chance(10)) } 1 .. rand(4) } @leads;
	push @statements, map { suppress_something($_) } grep { chance(5) } @emails;
	script('merges', 'BEGIN;', @statements, 'COMMIT;');

	my (@calls, @expected);
	my @living = @leads;
	for (my $i = 1; @merged < $merge_count; $i++)
	{
		my ($call, $result) = random_merge(\@living, "new name $i");
		push @calls, $call;
		push @expected, $result;
		@living = grep { !defined $parent{ $_->{id} } } @living;
	}
	my @got = script('merges', map { "SELECT public.try(\$\$$_\$\$);" } @calls);
	my @wrong = grep { ($got[$_] // '') ne $expected[$_] } 0 .. $#calls;
	ok(!@wrong, "merges: what $#calls calls return") or $failed = 1;
	diag("$calls[$_]: $got[$_], expected $expected[$_]") foreach @wrong[ 0 .. min(9, $#wrong) ];
	note(join ', ', map { my $code = $_; "$code: " . grep { $_ eq $code } @expected } '22023', '55000');

	agree('merges: every name finds the lead that remains',
		[ script('merges', 'SELECT n, p.lead_id(n) FROM unnest(' . 'ARRAY[' . join(',', map { quoted($_) } sort keys %member_of) . ']) n;') ],
		[ map { "$_|" . by_name($_)->{id} } keys %member_of ], 100);
	is($node->safe_psql('merges', 'SELECT count(*) FROM (SELECT external_id FROM p.lead WHERE external_id IS NOT NULL UNION ALL SELECT external_id FROM p.lead_alias) s'),
		scalar(keys %member_of), 'merges: each name is there once');
	agree('merges: leads', [ script('merges', q{
			SELECT lead_id, coalesce(external_id, '-'), coalesce(email, '-'), coalesce(phone, '-'), coalesce(country, '-'), coalesce(channel, '-'), extract(epoch FROM created_at)::bigint,
				(SELECT coalesce(string_agg(key || '=' || value, ',' ORDER BY key COLLATE "C"), '') FROM jsonb_each_text(profile))
			FROM p.lead;}) ],
		[ map { my $lead = $_; join '|', $lead->{id}, map({ $lead->{$_} // '-' } qw(name email phone country channel)), $lead->{created}, profile_text($lead->{profile}) } @living ], 100);
	agree('merges: events', [ script('merges', q{SELECT lead_id, properties ->> 'tag', kind, coalesce(source_id, '-'), extract(epoch FROM occurred_at)::bigint FROM p.event;}) ],
		[ map { my $lead = $_; map { join '|', $lead->{id}, @$_{ 'tag', 'kind' }, $_->{source} // '-', $_->{at} } @{ $lead->{events} } } @living ], 100);
	# a name that is new is a lead for a moment in identify(), so numbers above these are there too
	agree('merges: lead_merge', [ script('merges', "SELECT lead_id, loser_id FROM p.lead_merge WHERE loser_id <= $n;") ], \@merged, 5);
	my @big = grep { $_->{merges} > 0 } @living;
	compare_scopes('merges', 'merges', \@big, instant(), $begin + 86400 * $ticks);
	compare_columns('merges', 'merges', \@living);
	agree('merges: nothing is granted that nobody said',
		[ script('merges', q{SELECT lead_id, purpose, coalesce(channel, '-'), coalesce(topic, '-'), extract(epoch FROM occurred_at)::bigint FROM p.consent WHERE status = 'granted';}) ],
		[ map { my $lead = $_; map { join '|', $lead->{id}, $_->{purpose}, $_->{channel} // '-', $_->{topic} // '-', $_->{at} } grep { $_->{status} eq 'granted' } @{ $lead->{said} } } @living ], 100);
	well('merges', 'merges');
	return;
}
part_of_merges() if $parts =~ /2/;

# ---------- 3: people that are forgotten ----------

# Row counts and sums of all views, one line each, before and after some statements. The keys of a lead (external_id)
# and contact_allowed are what forgetting takes away. Whom to call, and how many
# may be written to (hot_leads with _hot and _hot_lead, recommended_action, consent_by_stage), leave out leads that were forgotten.
sub view_sums
{
	my ($database, @statements) = @_;
	my @queries = script($database, q{
		SELECT format('SELECT %L, count(*)%s FROM %I.%I', c.table_schema || '.' || c.table_name,
			coalesce(string_agg(format(', sum(%I)::numeric(40,6)', c.column_name), '' ORDER BY c.ordinal_position)
				FILTER (WHERE c.data_type IN ('integer', 'bigint', 'numeric', 'double precision') AND c.column_name !~ '_low_rate$|_high_rate$|^lead_id$'), ''), c.table_schema, c.table_name)
			-- it also tells that the person was forgotten, and what ended by that
			|| CASE c.table_name WHEN 'lead_timeline' THEN $$ WHERE what IN ('event', 'stage', 'profile', 'segment', 'owner', 'persona')$$ ELSE '' END || ';'
		FROM information_schema.columns c JOIN information_schema.views v USING (table_schema, table_name)
		WHERE c.table_schema IN ('p', 'p_reports') AND c.table_name NOT IN ('hot_leads', '_hot', '_hot_lead', 'recommended_action', 'consent_by_stage')
		GROUP BY c.table_schema, c.table_name
		ORDER BY 1;});
	# one transaction, so that ages are those of one instant
	my @rows = script($database, 'BEGIN;', @queries, @statements, @queries, 'COMMIT;');
	return ([ @rows[ 0 .. $#queries ] ], [ @rows[ @queries .. $#rows ] ]);
}

sub part_of_forgetting
{
	@suppressed = ();
	my $n = 240;
	script('postgres', 'CREATE DATABASE forget;');
	script('forget', "CREATE EXTENSION leadscore; SELECT leadscore.create_pipeline('p', 'inbound') \\g /dev/null");
	# what only this person has: words that are in no other text
	my @kinds = qw(pricing_view case_study_download demo_request sales_contact purchase refund form_submit email_opened email_clicked lost recycled webinar_attended call unheard_of);
	my @leads = map { { id => $_, secrets => { name => one_of("visitor-qz$_-x", "Mail.Qz$_\@Name.example"), email => "Box.Qz$_\@Mail.example", phone => "+39 02 88${_}0 77$_",
				full => "Fullname Qz$_ Rossi", street => "Via Qz$_ 7", note => "wrote qz$_ to us", source => "order-qz$_", form => "evidence qz$_" },
			at => instant() } } 1 .. $n;
	my (@lead_rows, @event_rows, @consent_rows);
	foreach my $lead (@leads)
	{
		my %s = %{ $lead->{secrets} };
		push @lead_rows, "($lead->{id}, " . join(', ', map({ quoted($_) } @s{qw(name email phone)}), quoted(one_of('IT', 'ES', undef)), quoted(one_of('seo', 'social')),
			quoted(qq({"name": "$s{full}", "street": "$s{street}", "employees": @{[ int(rand(500)) ]}})), map { at($lead->{at}) } 1 .. 3) . ')';
		foreach my $i (1 .. 1 + rand(8))
		{
			my $kind = one_of(@kinds);
			push @event_rows, "($lead->{id}, '$kind', " . at($lead->{at} + int(rand(86400 * 60))) . ', ' . ($kind =~ /purchase|refund/ ? 10 + int(rand(90)) : 'NULL')
				. ', ' . quoted(qq({"page": "/page@{[ int(rand(5)) ]}", "content": "guide", "note": "$s{note}", "nested": {"deep": "$s{note}"}, "mail": "$s{email}", "form": "footer", "type": "soft, for $s{full}"}))
				. ', ' . quoted("$s{source}-$i") . ')';
		}
		my $granted = "'granted', " . quoted(qq({"text": "$s{form}", "address": "$s{email}"})) . ', ' . at($lead->{at}) . ')';
		push @consent_rows, "($lead->{id}, 'policy', $granted", "($lead->{id}, 'marketing', $granted";
	}
	script('forget', 'INSERT INTO p.lead (lead_id, external_id, email, phone, country, channel, profile, consented_at, created_at, updated_at) VALUES ' . join(', ', @lead_rows) . ';',
		"SELECT setval('p.lead_lead_id_seq', $n) \\g /dev/null",
		'INSERT INTO p.event (lead_id, kind, occurred_at, value, properties, source_id) VALUES ' . join(', ', @event_rows) . ';',
		'INSERT INTO p.consent (lead_id, purpose, status, evidence, occurred_at) VALUES ' . join(', ', @consent_rows) . ';',
		# other names of some
		(map { "SELECT p.identify('device-qz$_', " . quoted($leads[ $_ - 1 ]{secrets}{name}) . ") \\g /dev/null" } grep { $_ % 5 == 0 } 1 .. $n),
		'SELECT p.sweep() \\g /dev/null');
	$leads[ $_ - 1 ]{secrets}{device} = "device-qz$_" foreach grep { $_ % 5 == 0 } 1 .. $n;

	my @gone = grep { chance(33) } @leads;
	my ($before, $after) = view_sums('forget',
		map { chance(50) ? "SELECT p.forget_lead_by_id($_->{id}) \\g /dev/null" : 'SELECT p.forget_lead(' . quoted($_->{secrets}{name}) . ") \\g /dev/null" } @gone);
	cmp_ok(scalar(@$before), '>', 50, 'forget: there are views');
	my @changed = map { "$before->[$_]\n          now  $after->[$_]" } grep { $before->[$_] ne $after->[$_] } 0 .. $#$before;
	is(join("\n", @changed), '', 'forget: no sum of any view changes');

	run_log([ 'pg_dump', '-f', "$dir/forget.dump", '-d', $node->connstr('forget') ]) or BAIL_OUT('cannot dump');
	my $dump = lc slurp_file("$dir/forget.dump");
	my %gone = map { $_->{id} => 1 } @gone;
	my @found = map { my $lead = $_; map { "lead $lead->{id}: $_" } grep { my $secret = lc $lead->{secrets}{$_}; $dump =~ /\Q$secret\E(?![0-9])/ } sort keys %{ $lead->{secrets} } } @gone;
	is(join("\n", @found[ 0 .. min(19, $#found) ]), '', 'forget: nothing of a person is in a dump');
	# the words are such that they would be found
	my $other = (grep { !$gone{ $_->{id} } } @leads)[0];
	is(join(' ', grep { index($dump, lc $other->{secrets}{$_}) < 0 } sort keys %{ $other->{secrets} }), '', 'forget: all of another person is in the dump');
	well('forget', 'forget');

	# the next import brings the same people
	my $leads_now = $node->safe_psql('forget', 'SELECT count(*) FROM p.lead');
	is($leads_now, $n, 'forget: the leads are still there, without a name');
	my @copy = map { "$_->{secrets}{name}\t$_->{secrets}{email}" } @gone;
	my @answers = script('forget',
		'INSERT INTO p.lead (external_id, email) VALUES ' . join(', ', map { '(' . quoted($_->{secrets}{name}) . ', ' . quoted($_->{secrets}{email}) . ')' } @gone) . ';',
		# a new name with the old address, and written otherwise
		'INSERT INTO p.lead (external_id, email) VALUES ' . join(', ', map { "('other $_->{id}', " . quoted(' ' . uc $_->{secrets}{email}) . ')' } @gone) . ';',
		'INSERT INTO p.lead (external_id, phone) VALUES ' . join(', ', map { "('third $_->{id}', " . quoted($_->{secrets}{phone} =~ s/ /-/gr) . ')' } @gone) . ';',
		"COPY p.lead (external_id, email) FROM stdin;", @copy, '\\.',
		(map { 'SELECT p.upsert_lead(' . quoted($_->{secrets}{name}) . ') IS NULL;' } @gone),
		(map { "SELECT p.upsert_lead('fourth $_->{id}', email => " . quoted($_->{secrets}{email}) . ') IS NULL;' } @gone),
		(map { 'SELECT t.lead_id IS NULL AND t.event_id IS NULL FROM p.track(' . quoted($_->{secrets}{name}) . ", 'pricing_view') t;" } @gone),
		(map { "SELECT t.lead_id IS NULL FROM p.track('$_->{secrets}{device}', 'pricing_view') t;" } grep { $_->{secrets}{device} } @gone),
		"SELECT t.skipped = " . @gone . " AND t.inserted = 0 FROM p.track_many('[" . join(', ', map { qq({"external_id": "$_->{secrets}{name}", "kind": "pricing_view"}) } @gone) . "]') t;");
	is(join('', uniq @answers), 't', 'forget: functions store nothing');
	is($node->safe_psql('forget', 'SELECT count(*) FROM p.lead'), $n, 'forget: an import makes no lead');
	well('import', 'forget');

	# a person comes back by itself
	my ($back) = shuffle @gone;
	my ($name, $email) = map { quoted($_) } @{ $back->{secrets} }{ 'name', 'email' };
	is(join(' ', script('forget', "SELECT p.give_consent($name, 'policy', evidence => '{\"form\": \"again\"}', email => $email);",
			"SELECT p.give_consent($name, 'marketing', evidence => '{\"form\": \"again\"}');",
			"SELECT p.lead_id($name) > $n, p.may_contact($name), (SELECT count(*) FROM p.event WHERE lead_id = p.lead_id($name)), (SELECT count(*) FROM p.lead);",
			"SELECT external_id IS NULL AND erased_at IS NOT NULL FROM p.lead WHERE lead_id = $back->{id};")),
		't t t|t|0|' . ($n + 1) . ' t', 'forget: one that comes back is a new lead');
	well('back', 'forget');

	# two leads with one address, one of which is forgotten
	is(join(' ', script('forget', "INSERT INTO p.lead (external_id, email) VALUES ('one', 'Shared\@x.example'), ('two', 'shared\@x.example');",
			"SELECT p.give_consent(n, s, evidence => '{}') FROM unnest('{one,two}'::text[]) n, unnest('{policy,marketing}'::text[]) s \\g /dev/null",
			"SELECT p.may_contact('two'), contact_allowed FROM p.lead WHERE external_id = 'two';", "SELECT p.forget_lead('one');",
			"SELECT p.may_contact('two'), contact_allowed FROM p.lead WHERE external_id = 'two';")),
		't|t t f|f', 'forget: the address is not written to, whatever other lead has it');
	return;
}
part_of_forgetting() if $parts =~ /3/;

diag("PEOPLE_SEED=$seed PEOPLE_LEADS=$lead_count PEOPLE_MERGES=$merge_count") if $failed;
note("seed $seed, ", time - $^T, ' s');
done_testing();
