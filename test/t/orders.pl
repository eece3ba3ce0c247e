# All orders of small histories, against an oracle: whatever the order in which
# events, corrections, milestones, exits, stages set by hand, profiles and
# consent arrive, the history of stages is the one that Lifecycle.pm gives for
# what they amount to. (random.pl compares ways of writing with each other, in
# longer histories.)
#
# A set is a lead and up to five writes about it, each a statement of its own:
# events, events that are wrong first and then corrected, events that are deleted
# again, and profiles. Each order of the writes is a lead. Only profiles come in
# the order of their times, as what comes later is what is known now; and a
# correction comes after what it corrects. Halfway another model is activated.
# All is compared after a sweep, after a rebuild, and after some days have passed.
#
# First come histories whose stages were worked out by hand, for the oracle too.
#
# Environment:
#   ORDERS_SEED   repeats a run (printed when it fails)
#   ORDERS_SETS   how many random sets for each model, default 12

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use List::Util qw(max min shuffle);
use Lifecycle;

my $seed = $ENV{ORDERS_SEED} // int(rand(1e9));
my $sets_each = $ENV{ORDERS_SETS} // 12;
my ($faketime) = grep { -e $_ } glob('/usr/lib/*/faketime/libfaketime.so.1');
# how far the clock is moved in the end
my $days_ahead = 4;
my $day = 86_400_000_000;

my $node = PostgreSQL::Test::Cluster->new('orders');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\nautovacuum = off\njit = off\n");
$node->start;
my $dir = PostgreSQL::Test::Utils::tempdir;

# ---------- models ----------

my @scoring = qw(view fair demo spam);
my @milestones = qw(contact purchase lost recycled disqualified);
my @signals = (@scoring, @milestones, 'unsubscribe');
my %condition = (
	consented => '$consented == true',
	contactable => '$email like_regex "@"',
	map { $_ => "\$.$_ == true" } qw(budget big rival));
my %entry = (prospect => 'contact', customer => 'purchase', map { $_ => $_ } qw(lost recycled disqualified));
my @lead_gates = ({ gate => 'consent', signal => 'consented' }, { gate => 'contact', signal => 'contactable' });

sub model
{
	my ($name, %model) = @_;
	my %stages = (iql => { gates => \@lead_gates }, map { $_ => { entry => $entry{$_} } } keys %entry);
	return {
		name => $name, signals => \@signals, grain => 'day', allow_demotion => 0, margin => 0, gates_required => 1, %model,
		dimensions => { engagement => {}, fit => {}, %{ $model{dimensions} || {} } },
		rules => [ map { { dimension => 'engagement', %$_ } } @{ $model{rules} } ],
		stages => { %stages, %{ $model{stages} } } };
}

my @plain_rules = (
	{ signal => 'view', points => 10 },
	{ signal => 'fair', points => 15, decay => 'window', period => 3 },
	{ signal => 'demo', points => 20, decay => 'linear', period => 10 },
	{ signal => 'spam', points => -15 },
	{ signal => 'big', points => 10, dimension => 'fit' });
my @interest = ({ gate => 'interest', signal => 'demo' }, { gate => 'interest', signal => 'fair' });
my @other_rules = (
	{ signal => 'view', points => 12, limit => [ 1, 'day' ], unless => ['rival'] },
	{ signal => 'fair', points => 15, decay => 'window', period => 2 },
	{ signal => 'demo', points => 30.5, decay => 'half_life', period => 4 },
	{ signal => 'spam', points => -10, decay => 'linear', period => 3 },
	{ signal => 'purchase', points => 5, only_if => ['big'] },
	{ signal => 'big', points => 8, dimension => 'fit' });

# Each pipeline has two models; the second one is activated halfway.
my %pipelines = (
	steady => [
		model('steady', rules => \@plain_rules,
			stages => { mql => { min => 20, gates => \@interest }, sql => { min => 40, gates => [ { gate => 'budget', signal => 'budget' } ] } }),
		model('lower', rules => \@plain_rules, allow_demotion => 1,
			stages => { mql => { min => 15 }, sql => { min => 35 } }) ],
	falling => [
		model('falling', rules => \@other_rules, allow_demotion => 1, margin => 5,
			dimensions => { engagement => { reset => [qw(recycled unsubscribe)], max => 60 } },
			stages => {
				mql => { min => 20, gates => [ { gate => 'recent', signal => 'demo', within => 5 }, { gate => 'recent', signal => 'view', count => 2 } ] },
				sql => { min => 35, gates => [ { gate => 'engaged', dimension => 'engagement', points => 30 }, { gate => 'no rival', signal => 'rival', negate => 1 } ] } }),
		model('staying', rules => \@other_rules,
			stages => { mql => { min => 22.5 }, sql => { min => 40 } }) ],
	hours => [
		model('hours', grain => 'hour', rules => \@plain_rules, allow_demotion => 1, gates_required => 0,
			stages => { mql => { min => 20, gates => \@interest }, sql => { min => 40 } }),
		model('other hours', grain => 'hour', rules => \@other_rules, allow_demotion => 1, margin => 2.5,
			dimensions => { engagement => { reset => ['unsubscribe'] } },
			stages => { mql => { min => 18 }, sql => { min => 30, gates => [ { gate => 'budget', signal => 'budget' } ] } }) ],
	quiet => [
		model('quiet', rules => [ @plain_rules, { signal => 'view', points => -8, after => 4, dimension => 'fit' } ], allow_demotion => 1, margin => 3,
			stages => { iql => { min => 5, gates => \@lead_gates }, mql => { min => 20 }, sql => { min => 40 } }),
		model('seen', rules => \@plain_rules,
			stages => { iql => { gates => [ @lead_gates, { gate => 'seen', signal => 'view', within => 4 }, { gate => 'seen', signal => 'demo' } ] },
				mql => { min => 20 }, sql => { min => 40, gates => \@interest } }) ]);

sub quoted { return defined $_[0] ? "'" . ($_[0] =~ s/'/''/gr) . "'" : 'NULL'; }

sub array { return quoted('{' . join(',', map { qq("$_") } @_) . '}'); }

sub model_sql
{
	my ($p, $m) = @_;
	my $name = quoted($m->{name});
	my $unit = $m->{grain};
	my $period = sub { return $_[0] ? "'$_[0] ${unit}s'" : 'NULL'; };
	my $bool = sub { return $_[0] ? 'true' : 'false'; };
	my $sql = "INSERT INTO $p.model (model, gates_required, allow_demotion, demotion_margin) VALUES ($name, "
	  . $bool->($m->{gates_required}) . ', ' . $bool->($m->{allow_demotion}) . ", $m->{margin});\n";
	foreach my $dimension (sort keys %{ $m->{dimensions} })
	{
		my $d = $m->{dimensions}{$dimension};
		$sql .= "INSERT INTO $p.dimension (model, dimension, reset_signals, max_points) VALUES ($name, '$dimension', "
		  . array(@{ $d->{reset} || [] }) . ', ' . ($d->{max} // 'NULL') . ");\n";
	}
	foreach my $r (@{ $m->{rules} })
	{
		my ($count, $limit) = @{ $r->{limit} || [] };
		$sql .= "INSERT INTO $p.rule (model, rule, dimension, signal, points, aggregate, after, limit_count, limit_period, decay, decay_period, only_if, unless) VALUES ("
		  . join(', ', $name, quoted("$r->{signal} $r->{points}"), quoted($r->{dimension}), quoted($r->{signal}), $r->{points},
			$r->{after} ? "'idle'" : "'sum'", $period->($r->{after}), $count // 'NULL', quoted($limit),
			quoted($r->{decay} // 'none'), $period->($r->{period}), array(@{ $r->{only_if} || [] }), array(@{ $r->{unless} || [] })) . ");\n";
	}
	foreach my $stage (sort keys %{ $m->{stages} })
	{
		my $s = $m->{stages}{$stage};
		$sql .= "INSERT INTO $p.stage_rule (model, stage, min_score, entry_signals) VALUES ($name, '$stage', " . ($s->{min} // 'NULL') . ', '
		  . array(grep { defined } $s->{entry}) . ");\n";
		foreach my $g (@{ $s->{gates} || [] })
		{
			$sql .= "INSERT INTO $p.stage_gate (model, stage, gate, signal, min_count, within, dimension, min_points, negate) VALUES ("
			  . join(', ', $name, "'$stage'", quoted($g->{gate}), quoted($g->{signal}), $g->{count} // 'NULL', $period->($g->{within}),
				quoted($g->{dimension}), $g->{points} // 'NULL', $bool->($g->{negate})) . ");\n";
		}
	}
	return $sql;
}

# A pipeline with its models, the first one active; and the writes to come: what
# happens to a lead in a step is a statement of its own.
sub pipeline_sql
{
	my ($p, @models) = @_;
	my $sql = "SELECT leadscore.create_pipeline('$p', 'empty', '1 $models[0]{grain}', reports => false);\n";
	$sql .= "INSERT INTO $p.signal (signal, event_kinds) VALUES " . join(', ', map { "('$_', '{$_}')" } @signals) . ";\n";
	$sql .= "INSERT INTO $p.signal (signal, source, condition) VALUES " . join(', ', map { "('$_', 'profile', '$condition{$_}')" } sort keys %condition) . ";\n";
	$sql .= model_sql($p, $_) foreach @models;
	return $sql . "SELECT $p.activate_model(" . quoted($models[0]{name}) . ");\n" . qq{
CREATE TABLE $p.write (lead_id bigint, step int, what text, key text, kind text, at timestamptz, stage text, consented boolean, email text, profile jsonb);
CREATE PROCEDURE $p.run_step(s int) LANGUAGE plpgsql AS \$\$
BEGIN
	INSERT INTO $p.lead (lead_id, created_at, updated_at, consented_at, email, profile)
		SELECT lead_id, at, at, CASE WHEN consented THEN at END, email, profile FROM $p.write WHERE step = s AND what = 'lead';
	INSERT INTO $p.event (lead_id, source_id, kind, occurred_at, properties)
		SELECT lead_id, key, kind, at, CASE WHEN stage IS NOT NULL THEN jsonb_build_object('stage', stage) END
		FROM $p.write WHERE step = s AND what = 'insert' ORDER BY random();
	UPDATE $p.event e SET kind = w.kind, occurred_at = w.at, properties = CASE WHEN w.stage IS NOT NULL THEN jsonb_build_object('stage', w.stage) END
		FROM $p.write w WHERE w.step = s AND w.what = 'update' AND e.lead_id = w.lead_id AND e.source_id = w.key;
	DELETE FROM $p.event e
		USING $p.write w WHERE w.step = s AND w.what = 'delete' AND e.lead_id = w.lead_id AND e.source_id = w.key;
	UPDATE $p.lead l SET consented_at = CASE WHEN w.consented THEN w.at END, email = w.email, profile = w.profile, updated_at = w.at
		FROM $p.write w WHERE w.step = s AND w.what = 'profile' AND l.lead_id = w.lead_id;
END \$\$;
CREATE PROCEDURE $p.sweep_all() LANGUAGE plpgsql AS \$\$
BEGIN
	WHILE $p.sweep() > 0 LOOP
	END LOOP;
END \$\$;
CREATE FUNCTION $p.courses(at timestamptz) RETURNS TABLE (course text) LANGUAGE sql AS \$\$
	SELECT concat_ws(E'\\t', s.lead_id, string_agg(concat_ws(' ', h.cycle, coalesce(h.from_stage::text, '-') || '>' || h.to_stage::text, extract(epoch FROM h.effective_at) * 1000000, h.cause, h.model), ',' ORDER BY h.seq),
		s.stage::text || ' ' || extract(epoch FROM s.stage_since) * 1000000 || ' ' || s.cycle, $p.score_by_id(s.lead_id, at) * 1000)
	FROM $p.lead_state s JOIN $p.stage_history h USING (lead_id)
	GROUP BY s.lead_id, s.stage, s.stage_since, s.cycle
\$\$;
};
}

# ---------- sets ----------

sub chance { return rand(100) < $_[0]; }
sub one_of { return $_[ rand @_ ]; }

my $now;
my $grain;

# An instant as the day, counted from today, and the time
sub instant_text
{
	my ($at) = @_;
	my $midnight = $now - $now % $day;
	my $days = int(($at - ($at - $midnight) % $day - $midnight) / $day);
	my $micros = ($at - $midnight) % $day;
	my $seconds = int($micros / 1e6);
	return sprintf('day %+d %02d:%02d:%02d', $days, int($seconds / 3600), int($seconds / 60) % 60, $seconds % 60) . ($micros % 1e6 ? sprintf('.%06d', $micros % 1e6) : '');
}

# The same backwards
sub instant
{
	my ($text) = @_;
	my ($days, $hours, $minutes) = $text =~ /^([+-]?\d+) (\d\d):(\d\d)$/ or die "no instant: $text\n";
	return $now - $now % $day + $days * $day + ($hours * 60 + $minutes) * 60_000_000;
}

sub random_profile
{
	my ($sure) = @_;
	return {
		consented => chance($sure) || 0, contactable => chance(95) || 0, budget => chance(60) || 0, big => chance(30) || 0, rival => chance(15) || 0 };
}

sub random_event
{
	my @at = @_;
	my %event = (at => one_of(@at), kind => one_of((@scoring) x 3, 'demo', 'demo', (@milestones) x 2, 'contact', 'unsubscribe', ('stage_set') x 5, 'unknown'));
	$event{stage} = one_of(qw(visitor iql mql mql sql sql prospect customer advocate lost recycled disqualified)) if $event{kind} eq 'stage_set';
	return \%event;
}

# {lead, base => events that are there first, chains => writes in their order}
sub random_set
{
	my $width = $grain eq 'hour' ? $day / 24 : $day;
	my $today = $now - $now % $width;
	my $created = $today - (2 + int rand 9) * $width - one_of(0, int rand $width);
	my $lead = { created => $created, profile => random_profile(75) };
	# few instants, so that some are met twice
	my @at = map {
		my $at = $created + int(rand($now - $created));
		chance(30) ? $at - $at % $width : $at;
	} 1 .. 3;
	$_ = max($_, $created + 1) foreach @at;
	my @early = ($created, $created - int rand 2 * $width);
	my @future = ($now + 600_000_000 + int rand(2 * $width), $today + one_of(1 .. $days_ahead) * $width, $today + $width - 1);
	my @pool = ((@at) x 3, @early, chance(50) ? @future : ());
	my (@base, @chains, @profiles);
	push @base, random_event((@at) x 3, @early) foreach 1 .. one_of(0, 1, 2, 3);
	$_->{kind} = one_of(@scoring, 'demo', 'fair') foreach grep { chance(60) } @base;
	delete $_->{stage} foreach grep { $_->{kind} ne 'stage_set' } @base;
	my %taken = ($created => 1);
	my $writes = 2 + int rand 4;
	while ($writes > 0)
	{
		if (chance(25))
		{
			my $at = one_of(@at);
			next if $taken{$at}++ && $writes--;
			push @profiles, { at => $at, profile => random_profile(60) };
			$writes--;
			next;
		}
		my @chain = { what => 'insert', event => random_event(@pool) };
		if ($writes > 1 && chance(30))
		{
			my $right = random_event(@pool);
			# another kind, another time, or both; or it never was
			$right->{at} = $chain[0]{event}{at} if chance(30);
			@$right{qw(kind stage)} = @{ $chain[0]{event} }{qw(kind stage)} if chance(30);
			push @chain, chance(40) ? { what => 'delete' } : { what => 'update', event => $right };
		}
		push @chains, \@chain;
		$writes -= @chain;
	}
	push @chains, [ map { { what => 'profile', %$_ } } sort { $a->{at} <=> $b->{at} } @profiles ] if @profiles;
	return { lead => $lead, base => \@base, chains => \@chains, orders => [] };
}

# What a set amounts to
sub final_items
{
	my ($set) = @_;
	my @items = @{ $set->{base} };
	foreach my $chain (@{ $set->{chains} })
	{
		if ($chain->[0]{what} eq 'profile') { push @items, @$chain; }
		else { push @items, grep { defined } $chain->[-1]{event}; }
	}
	return \@items;
}

# All orders of the writes of chains, each chain in its own: lists of chain numbers
sub orders
{
	my @left = @_;
	return [] if !grep { $_ } @left;
	my @orders;
	foreach my $i (grep { $left[$_] } 0 .. $#left)
	{
		my @rest = @left;
		$rest[$i]--;
		push @orders, map { [ $i, @$_ ] } orders(@rest);
	}
	return @orders;
}

# Rows of the table write: (what, key, kind, at, stage, consented, email, profile)
sub event_row { my ($what, $key, $e) = @_; return ($what, $key, $e->{kind}, $e->{at}, $e->{stage}, undef, undef, undef); }

sub profile_row
{
	my ($what, $at, $p) = @_;
	return ($what, undef, undef, $at, undef, $p->{consented} ? 't' : 'f', $p->{contactable} ? 'x@example.com' : 'none',
		'{' . join(', ', map { qq("$_": ) . ($p->{$_} ? 'true' : 'false') } qw(budget big rival)) . '}');
}

sub set_rows
{
	my ($set, $first_id) = @_;
	my @rows;
	foreach my $order (orders(map { scalar @$_ } @{ $set->{chains} }))
	{
		my $id = $first_id + @{ $set->{orders} };
		push @{ $set->{orders} }, $order;
		push @rows, [ $id, 0, profile_row('lead', $set->{lead}{created}, $set->{lead}{profile}) ];
		push @rows, map { [ $id, 1, event_row('insert', "base $_", $set->{base}[$_]) ] } 0 .. $#{ $set->{base} };
		my %done;
		foreach my $i (0 .. $#$order)
		{
			my $chain = $order->[$i];
			my $write = $set->{chains}[$chain][ $done{$chain}++ ];
			push @rows, [ $id, 2 + $i, $write->{what} eq 'profile' ? profile_row('profile', @$write{qw(at profile)}) : event_row($write->{what}, $chain, $write->{event} || {}) ];
		}
	}
	return @rows;
}

# ---------- run ----------

sub psql
{
	my ($sql) = @_;
	return $node->safe_psql('orders', "SET timezone = 'UTC'; SET client_min_messages = warning;\n$sql");
}

sub set_clock
{
	my ($ahead) = @_;
	$node->stop('fast');
	local %ENV = (%ENV, LD_PRELOAD => $faketime, FAKETIME => "+${ahead}d", DONT_FAKE_MONOTONIC => 1) if $ahead;
	$node->start;
}

sub server_now { return psql('SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint'); }

sub row_text
{
	my ($row, $with_cause) = @_;
	return "$row->{cycle} $row->{from}>$row->{to} " . instant_text($row->{at}) . ($with_cause ? " $row->{cause}" : '') . " $row->{model}";
}

sub describe_item
{
	my ($item) = @_;
	return instant_text($item->{at}) . ' ' . ($item->{kind} // 'profile ' . join(' ', map { ($item->{profile}{$_} ? '+' : '-') . $_ } sort keys %{ $item->{profile} }))
	  . ($item->{stage} ? " $item->{stage}" : '');
}

sub describe
{
	my ($set, $order) = @_;
	my %done;
	my @lines = ('lead created ' . describe_item({ at => $set->{lead}{created}, profile => $set->{lead}{profile} }), map { 'there first: ' . describe_item($_) } @{ $set->{base} });
	foreach my $chain (@$order)
	{
		my $write = $set->{chains}[$chain][ $done{$chain}++ ];
		push @lines, "$write->{what} " . ($write->{what} eq 'profile' ? '' : "event $chain ") . ($write->{event} ? describe_item($write->{event}) : $write->{what} eq 'profile' ? describe_item($write) : '');
	}
	return join "\n", @lines;
}

# Compare all that a pipeline holds with the oracle.
sub compare
{
	my ($p, $sets, $models, $what) = @_;
	my $wrong = 0;
	my ($before, $after, $out);
	my $width = $grain eq 'hour' ? $day / 24 : $day;
	do
	{
		$before = server_now();
		psql("CALL $p.sweep_all()");
		$out = psql("SELECT course FROM $p.courses(to_timestamp($before / 1e6))");
		$after = server_now();
		# again if a bucket has begun meanwhile, or something dated ahead is due
	} while (int($before / $width) != int($after / $width) || grep { $_->{at} > $before && $_->{at} <= $after } map { @{ final_items($_) } } @$sets);
	my %course = map { /^(\d+)\t(.*)/ ? ($1 => $2) : () } split /\n/, $out;
	foreach my $set (@$sets)
	{
		my $life = life($models, $set->{lead}, final_items($set), $before);
		my $expected = join "\n", (map { row_text($_) } @{ $life->{rows} }), "$life->{stage} " . instant_text($life->{since}) . " $life->{cycle}", "score $life->{score}";
		my $wrong_here = 0;
		foreach my $i (0 .. $#{ $set->{orders} })
		{
			my ($rows, $state, $score) = split /\t/, $course{ $set->{first_id} + $i } // '';
			my @rows = map {
				my ($cycle, $stages, $at, $cause, $model) = split / /, $_, 5;
				my ($from, $to) = split />/, $stages;
				row_text({ cycle => $cycle, from => $from, to => $to, at => $at, cause => $cause, model => $model });
			} split /,/, $rows // '';
			my ($stage, $since, $cycle) = split / /, $state // '';
			my $found = join "\n", @rows, $stage ? "$stage " . instant_text($since) . " $cycle" : 'none', 'score ' . sprintf('%.0f', $score // 0);
			next if $found eq $expected;
			$wrong++;
			diag("$p, $what, lead ", $set->{first_id} + $i, ($set->{name} ? ", $set->{name}" : ''), "; ORDERS_SEED=$seed ORDERS_SETS=$sets_each\n",
				describe($set, $set->{orders}[$i]), "\n-- found:\n$found\n-- expected:\n$expected\n") if !$wrong_here++ && $wrong < 200;
		}
		diag("$wrong_here of ", scalar @{ $set->{orders} }, ' orders') if $wrong_here;
	}
	is($wrong, 0, "$p: $what");
	is(psql("SELECT v.* FROM $p.verify() v LIMIT 5"), '', "$p: verify() $what");
}

$node->safe_psql('postgres', 'CREATE DATABASE orders');
psql('CREATE EXTENSION leadscore');
$now = time * 1_000_000;
my (%sets_of, %models_of);
my $begin = time;
my @names = sort keys %pipelines;
foreach my $i (0 .. $#names)
{
	my $p = $names[$i];
	srand($seed + $i);
	$grain = $pipelines{$p}[0]{grain};
	psql(pipeline_sql($p, @{ $pipelines{$p} }));
	my @rows;
	my $next = 1;
	foreach (1 .. $sets_each)
	{
		my $set = random_set();
		$set->{first_id} = $next;
		push @rows, set_rows($set, $next);
		$next += @{ $set->{orders} };
		push @{ $sets_of{$p} }, $set;
	}
	open my $fh, '>', "$dir/write" or die $!;
	foreach my $row (@rows)
	{
		my @row = @$row;
		$row[5] = defined $row[5] ? instant_sql($row[5]) : undef;
		print $fh join("\t", map { $_ // '\N' } @row), "\n";
	}
	close $fh;
	psql("COPY $p.write FROM '$dir/write'; CREATE INDEX ON $p.write (step, what); ANALYZE $p.write");
	psql("CALL $p.run_step($_)") foreach 0 .. 3;
	psql("SELECT $p.activate_model(" . quoted($pipelines{$p}[1]{name}) . ')');
	psql("CALL $p.run_step($_)") foreach 4 .. 6;
	$models_of{$p} = [
		[ undef, $pipelines{$p}[0] ],
		[ psql("SELECT (extract(epoch FROM max(activated_at)) * 1000000)::bigint FROM $p.model_activation"), $pipelines{$p}[1] ] ];
	note("$p: ", $next - 1, ' leads, ', time - $begin, ' s');
	compare($p, $sets_of{$p}, $models_of{$p}, 'as written');
	psql("SELECT $p.rebuild()");
	compare($p, $sets_of{$p}, $models_of{$p}, 'rebuilt');
	note("$p: ", time - $begin, ' s');
}

sub instant_sql
{
	my ($at) = @_;
	my @t = gmtime(int($at / 1e6));
	return sprintf('%04d-%02d-%02d %02d:%02d:%02d.%06d+00', $t[5] + 1900, $t[4] + 1, @t[ 3, 2, 1, 0 ], $at % 1_000_000);
}

SKIP:
{
	skip 'libfaketime is not installed', 2 * keys %pipelines if !$faketime;
	set_clock($days_ahead);
	foreach my $p (sort keys %pipelines)
	{
		$grain = $pipelines{$p}[0]{grain};
		compare($p, $sets_of{$p}, $models_of{$p}, "$days_ahead days later");
	}
	note(time - $begin, ' s');
}
$node->stop;
done_testing();
