# Random sequences, limits, hours and timelines of calls, beside a model in Perl
# that was written from the rules of sequences and of the queue, not from their
# SQL: after each call the runs and the actions are those of the model, with
# status, reason and instants.
#
# Calls that take an instant get one to come; what an event or a word of consent
# does is done at the instant of its transaction, which the model is told. Zones
# have no summer time here: contact_time.pl compares the arithmetic of time.
#
# Environment:
#   SEQUENCES_SEED  repeats a run (printed when it fails)
#   SEQUENCES_SETS  how many timelines, default 12
#   SEQUENCES_CALLS how many calls in each, default 60
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use List::Util qw(max min first);

my $seed = $ENV{SEQUENCES_SEED} // int(rand(1e9));
my $sets = $ENV{SEQUENCES_SETS} || 12;
my $calls = $ENV{SEQUENCES_CALLS} || 60;
my $minute = 60_000_000;
my $hour = 60 * $minute;
my $day = 24 * $hour;

my $node = PostgreSQL::Test::Cluster->new('sequences');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\nautovacuum = off\njit = off\ntimezone = 'UTC'\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION leadscore');
srand($seed);
$SIG{__DIE__} = sub { diag(@_) if !$^S };

sub pick { return $_[rand @_]; }
sub maybe { my ($chance, @of) = @_; return rand() < $chance ? pick(@of) : undef; }
sub quote { my ($v) = @_; return defined $v ? "'$v'" : 'NULL'; }
sub list { return "'{" . join(',', @_) . "}'"; }
sub at { my ($us) = @_; return "timestamptz 'epoch' + $us * interval '1 microsecond'"; }
sub contains { my ($x, @of) = @_; return scalar grep { $_ eq $x } @of; }

# ---------- time ----------

my %offset = (UTC => 0, 'Asia/Tokyo' => 9 * $hour, 'Asia/Kolkata' => 5.5 * $hour, 'America/Phoenix' => -7 * $hour);

# day since 1970, 1: Monday to 7: Sunday
sub weekday { my ($d) = @_; return ($d + 3) % 7 + 1; }

sub in_window
{
	my ($wall, $w) = @_;
	my $d = int($wall / $day);
	my $time = $wall - $d * $day;
	my ($from, $to) = (($w->{from} // 0) * $hour, ($w->{to} // 24) * $hour);
	my $on = sub { return !$w->{days} || contains(weekday($_[0]), @{ $w->{days} }) };
	return $from < $to
	  ? $time >= $from && $time < $to && $on->($d)
	  : $time >= $from && $on->($d) || $time < $to && $on->($d - 1);
}

# The first instant from $t on that is in all windows
sub allowed
{
	my ($t, $zone, @windows) = @_;
	@windows = grep { $_ } @windows;
	my $wall = $t + $offset{$zone};
	my @starts = map { $_ * $hour } 0, grep { defined } map { $_->{from} } @windows;
	foreach my $candidate ($wall, sort { $a <=> $b } map { my $d = int($wall / $day) + $_; map { $d * $day + $_ } @starts } 0 .. 30)
	{
		next if $candidate < $wall;
		return $candidate - $offset{$zone} if !grep { !in_window($candidate, $_) } @windows;
	}
	return undef;
}

sub period
{
	my ($t, $zone, $period) = @_;
	my $d = int(($t + $offset{$zone}) / $day);
	my ($from, $to) = ($d, $d + 1);
	if ($period eq 'week')
	{
		$from = $d - weekday($d) + 1;
		$to = $from + 7;
	}
	return map { $_ * $day - $offset{$zone} } $from, $to;
}

# ---------- the model ----------

my (%sequence, %lead, %runs, @actions, @limits, %hours, $default_zone);

sub zone { my ($lead) = @_; return defined $lead->{zone} && exists $offset{ $lead->{zone} } ? $lead->{zone} : $default_zone; }

sub open_run { my ($lead, $name) = @_; return first { !defined $_->{ended} } @{ $runs{$lead}{$name} || [] }; }

# The step that comes next, some time after $at
sub go_on
{
	my ($run, $at) = @_;
	return if !$run || defined $run->{ended};
	my $s = $sequence{ $run->{sequence} };
	my $step = first { $_->{position} > $run->{position} } @{ $s->{steps} };
	if (!$step)
	{
		@$run{qw(ended why)} = (max($run->{started}, $at), 'completed');
		return;
	}
	$run->{position} = $step->{position};
	my $zone = zone($lead{ $run->{lead} });
	my $due = allowed($at + $step->{delay}, $zone, $step->{window},
		$step->{kind} eq 'message' && !$step->{transactional} ? $hours{ $step->{channel} } : undef);
	push @actions, {
		lead => $run->{lead}, key => "$run->{sequence}/$run->{run}/$step->{step}", run => $run, step => $step, priority => $s->{priority},
		(map { $_ => $step->{$_} } qw(kind channel topic transactional)), due => $due, expires => $due + $s->{late}, status => 'waiting', reason => '', attempt => 0 };
	return;
}

sub begin_run
{
	my ($lead, $name, $at, $edge) = @_;
	my $all = $runs{$lead}{$name} ||= [];
	return 0 if $sequence{$name}{stay} && !$lead{$lead}{es};
	my $last = $all->[-1];
	if ($last)
	{
		return 0 if !defined $last->{ended} || !defined $sequence{$name}{again} || $last->{ended} + $sequence{$name}{again} > $at;
		my $before = max(0, grep { defined } map { $_->{edge} } @$all);
		return 0 if defined $edge && $before && $edge <= $before;
	}
	my $run = { lead => $lead, sequence => $name, run => @$all + 1, started => $at, edge => $edge, position => 0 };
	push @$all, $run;
	go_on($run, $at);
	return 1;
}

sub end_run
{
	my ($run, $why, $at) = @_;
	return if defined $run->{ended};
	@$run{qw(ended why)} = (max($run->{started}, $at), $why);
	@$_{qw(status reason)} = ('cancelled', $why) foreach grep { $_->{run} && $_->{run} == $run && $_->{status} eq 'waiting' } @actions;
	return;
}

# What a lead said, in its order: is a purpose granted in a channel?
sub is_granted
{
	my ($lead, $purpose, $channel) = @_;
	my @said = grep { $_->{purpose} eq $purpose && $_->{status} ne 'requested' && (!defined $_->{channel} || $_->{channel} eq $channel) } @{ $lead->{said} };
	return 0 if !grep { $_->{status} eq 'granted' } @said;
	foreach my $i (grep { $said[$_]{status} eq 'withdrawn' } 0 .. $#said)
	{
		return 0 if !grep { $_->{status} eq 'granted' && (!defined $said[$i]{channel} || defined $_->{channel} && $_->{channel} eq $said[$i]{channel}) } @said[ $i + 1 .. $#said ];
	}
	return 1;
}

sub may_contact { my ($lead, $channel) = @_; return is_granted($lead, 'policy', $channel) && is_granted($lead, 'marketing', $channel); }

# Refused for good, or until what was requested is confirmed? The last word about
# what is not granted decides.
sub refusal
{
	my ($lead, $channel) = @_;
	my ($requested, $withdrawn) = (0, 0);
	foreach my $purpose ('policy', 'marketing')
	{
		next if is_granted($lead, $purpose, $channel);
		my ($last) = reverse grep { $_->{purpose} eq $purpose && $_->{status} ne 'granted' && (!defined $_->{channel} || $_->{channel} eq $channel) } @{ $lead->{said} };
		next if !$last;
		$last->{status} eq 'withdrawn' ? $withdrawn++ : $requested++;
	}
	return $withdrawn ? 'withdrawn' : $requested ? 'consent requested' : 'no consent';
}

# Whether an address was suppressed by a withdrawal that nothing has followed
sub is_suppressed
{
	my ($lead, $channel) = @_;
	return 0 if is_granted($lead, 'marketing', $channel);
	my @said = grep { !defined $_->{channel} || $_->{channel} eq $channel } @{ $lead->{said} };
	my $asked = 0;
	foreach my $purpose ('policy', 'marketing')
	{
		next if is_granted($lead, $purpose, $channel);
		my ($last) = reverse grep { $said[$_]{purpose} eq $purpose && $said[$_]{status} ne 'granted' } 0 .. $#said;
		$asked = max($asked, $last + 1) if defined $last && $said[$last]{status} eq 'requested';
	}
	return scalar grep { $said[$_]{purpose} eq 'marketing' && $said[$_]{status} eq 'withdrawn' && $_ + 1 > $asked
			# no address, no suppression
			&& ($lead->{email} || $lead->{phone} && ($said[$_]{channel} // '') ne 'email') } 0 .. $#said;
}

sub follow_consent
{
	my ($id, $now) = @_;
	my $lead = $lead{$id};
	foreach my $a (grep { $_->{lead} == $id && contains($_->{status}, 'waiting', 'claimed') && $_->{kind} eq 'message' && !$_->{transactional} } @actions)
	{
		if (may_contact($lead, $a->{channel}))
		{
			@$a{qw(due reason)} = ($now, '') if $a->{status} eq 'waiting' && $a->{reason} eq 'consent requested';
			next;
		}
		next if !is_suppressed($lead, $a->{channel}) && refusal($lead, $a->{channel}) ne 'withdrawn';
		@$a{qw(status reason)} = ('skipped', 'no consent') if $a->{status} eq 'waiting';
		end_run($a->{run}, 'unsubscribed', $now) if $a->{run};
	}
	return;
}

sub has_signal
{
	my ($lead, $signal, $since) = @_;
	return $lead->{fit} if $signal eq 'fit';
	return scalar grep { $_->{kind} eq $signal && int($_->{at} / $day) >= int($since / $day) } @{ $lead->{events} };
}

# Why an action may not go; nothing: it may
sub problem
{
	my ($a, $at) = @_;
	my $lead = $lead{ $a->{lead} };
	my ($run, $step) = @$a{qw(run step)};
	return ('cancelled', $run->{why}) if $run && defined $run->{ended};
	return ('failed', 'lease expired') if $a->{status} eq 'claimed' && $a->{attempt} >= 5;
	return ('skipped', 'late') if $a->{expires} <= $at;
	return ('waiting', 'paused', min($at + $hour, $a->{expires})) if $run && $sequence{ $run->{sequence} }{status} eq 'paused';
	return ('skipped', 'condition') if $run && ($step->{in_segment} && !$lead->{es}
		|| grep({ !has_signal($lead, $_, $run->{started}) } @{ $step->{only_if} }) || grep({ has_signal($lead, $_, $run->{started}) } @{ $step->{unless} }));
	return () if $a->{kind} ne 'message';
	return ('skipped', 'no address') if !$lead->{ $a->{channel} eq 'email' ? 'email' : 'phone' };
	return () if $a->{transactional};
	if (!may_contact($lead, $a->{channel}))
	{
		return ('skipped', 'suppressed', undef, 1) if is_suppressed($lead, $a->{channel});
		my $why = refusal($lead, $a->{channel});
		return ('skipped', 'no consent', undef, 1) if $why eq 'withdrawn';
		return ('waiting', $why, $a->{expires}) if $why eq 'consent requested';
		return ('skipped', $why);
	}
	# what it does not want of what it allows
	my $wish = $lead->{wish} || {};
	return ('skipped', 'channel preference') if $wish->{channels} && !contains($a->{channel}, @{ $wish->{channels} });
	return ('skipped', 'topic preference') if $wish->{topics} && defined $a->{topic} && !contains($a->{topic}, @{ $wish->{topics} });
	my $opens = allowed($at, zone($lead), $hours{ $a->{channel} }, $step ? $step->{window} : undef);
	return ('waiting', 'quiet hours', $opens) if $opens > $at;
	return ();
}

sub claim
{
	my ($channel, $at, $lease) = @_;
	foreach my $round (1 .. 20)
	{
		my @due = sort { $a->{priority} <=> $b->{priority} || $a->{due} <=> $b->{due} || $a->{id} <=> $b->{id} }
		  grep { $_->{channel} eq $channel && ($_->{status} eq 'waiting' ? $_->{due} <= $at : $_->{status} eq 'claimed' && $_->{until} <= $at) } @actions;
		last if !@due;
		my (%place, @ended, @next, @claimed, @before);
		push @before, [ $_, problem($_, $at) ] foreach @due;
		# what was sent before; what is handed out again counts anew
		my @sent = grep { my $a = $_; $a->{kind} eq 'message' && !$a->{transactional} && contains($a->{status}, 'claimed', 'done') && !grep { $_ == $a } @due } @actions;
		foreach my $one (@before)
		{
			my ($a, $status, $reason, $due, $ends) = @$one;
			my $zone = zone($lead{ $a->{lead} });
			if (!$status && $a->{kind} eq 'message' && !$a->{transactional})
			{
				my (@full, $others);
				my $wish = $lead{ $a->{lead} }{wish};
				foreach my $limit (grep({ !defined $_->{channel} || $_->{channel} eq $channel } @limits), $wish && $wish->{count} ? $wish : ())
				{
					my ($from, $to) = period($at, $zone, $limit->{period});
					my $used = grep { $_->{lead} == $a->{lead} && (!defined $limit->{channel} || $_->{channel} eq $channel) && $_->{claimed} >= $from } @sent, @claimed;
					next if $used < $limit->{count};
					push @full, $to;
					$others = 1 if !$wish || $limit != $wish;
				}
				($status, $reason, $due) = ('waiting', $others ? 'frequency cap' : 'frequency preference', allowed(max(@full), $zone, $hours{$channel}, $a->{step} ? $a->{step}{window} : undef)) if @full;
				if (!@full)
				{
					push @claimed, $a;
					$a->{claimed} = $at;
				}
			}
			if (!$status)
			{
				@$a{qw(status reason until)} = ('claimed', '', $at + $lease);
				$a->{attempt}++;
				$place{claimed}++;
				next;
			}
			@$a{qw(status reason)} = ($status, $reason);
			$a->{due} = $due if $status eq 'waiting';
			push @ended, $a->{run} if $ends && $a->{run};
			push @next, $a->{run} if !$ends && $a->{run} && contains($status, 'skipped', 'failed');
		}
		end_run($_, 'unsubscribed', $at) foreach @ended;
		go_on($_, $at) foreach @next;
		number_actions();
		last if $place{claimed};
	}
	return;
}

# Actions have numbers in the order in which they come
my $numbered = 0;
sub number_actions { $_->{id} //= ++$numbered foreach @actions; return; }

# What a statement has done to a lead, at the instant $now
sub edges
{
	my ($id, $now, @edges) = @_;
	my $lead = $lead{$id};
	foreach my $name (sort keys %sequence)
	{
		my $s = $sequence{$name};
		next if !contains($s->{status}, 'active', 'paused');
		my $run = open_run($id, $name) or next;
		my @recent = grep { $_->{kind} eq 'signal' && $_->{at} > $run->{started} - $s->{late} } @edges;
		my $stage = first { $_->{kind} eq 'stage' } @edges;
		if ($stage && $s->{goal_stage} && $lead->{customer} || grep { contains($_->{name}, @{ $s->{goals} }) } @recent)
		{
			end_run($run, 'goal', $now);
		}
		elsif (grep({ contains($_->{name}, @{ $s->{exits} }) } @recent) || $s->{stay} && grep { $_->{kind} eq 'segment_left' } @edges)
		{
			end_run($run, 'exited', $now);
		}
	}
	foreach my $name (sort keys %sequence)
	{
		my $s = $sequence{$name};
		next if $s->{status} ne 'active' || $s->{goal_stage} && $lead->{customer};
		my @starts = grep {
			my $e = $_;
			$e->{kind} eq ($s->{starts} eq 'event' ? 'signal' : $s->{starts}) && $e->{name} eq ($s->{start} // '')
			  && $e->{at} > $s->{activated} && $e->{at} > $now - $s->{late}
			  && !grep { $_->{kind} eq 'signal' && $_->{at} >= $e->{at} && contains($_->{name}, @{ $s->{goals} }, @{ $s->{exits} }) } @edges
		} @edges;
		begin_run($id, $name, $now, max(map { $_->{at} } @starts)) if @starts;
	}
	return;
}

# ---------- the same in SQL ----------

my %model_state;
sub model_state
{
	return join "\n", sort(
		(map { my $a = $_; join '|', 'action', $a->{lead}, $a->{key}, $a->{status}, $a->{reason}, $a->{due}, $a->{attempt} } @actions),
		map { map { map { join '|', 'run', $_->{lead}, $_->{sequence}, $_->{run}, $_->{started}, $_->{ended} // '', $_->{why} // '' } @$_ } values %$_ } values %runs);
}
my $us = '(extract(epoch FROM %s) * 1000000)::bigint';
my $state_sql = sprintf(qq{
	SELECT concat_ws('|', 'action', lead_id, dedup_key, status, coalesce(reason, ''), $us, attempt) FROM s.action
	UNION ALL
	SELECT concat_ws('|', 'run', lead_id, sequence, run, $us, coalesce(${us}::text, ''), coalesce(end_reason, '')) FROM s.enrollment},
	'due_at', 'started_at', 'ended_at');

my @log;
# Run a call, and return its result and the instant of its transaction; then
# compare, once the model has been told
sub call
{
	my ($sql) = @_;
	push @log, $sql;
	my ($rc, $out, $err) = $node->psql('postgres', sprintf("BEGIN;\nSET LOCAL search_path = s, leadscore;\nSELECT $us;\n", 'now()') . "$sql;\nCOMMIT;\n" . "SELECT 'state';\n$state_sql;", on_error_stop => 1);
	die "$sql: $err" if $rc != 0;
	my ($head, $state) = split /^state$/m, $out, 2;
	my ($now, @result) = split /\n/, $head;
	$model_state{sql} = join "\n", sort grep { $_ ne '' } split /\n/, $state;
	return ($now, @result);
}

sub window
{
	my ($chance) = @_;
	return undef if rand() > $chance;
	my ($from, $to) = (pick(undef, 7, 8, 9, 22), pick(undef, 12, 17, 20, 6));
	($from, $to) = (9, 18) if defined $from && defined $to && $from == $to;
	# from 22:00 to 24:00 with other hours is never
	($from, $to) = (22, 10) if defined $from && $from == 22 && !defined $to;
	return { from => $from, to => $to, days => maybe(0.4, [ 1 .. 5 ], [ 1, 3, 6 ], [ 6, 7, 1 ]) };
}
sub time_sql { my ($h) = @_; return defined $h ? sprintf("'%02d:00'", $h) : 'NULL'; }
sub days_sql { my ($w) = @_; return $w && $w->{days} ? list(@{ $w->{days} }) : 'NULL'; }

sub new_set
{
	%sequence = %lead = %runs = ();
	@actions = @limits = @log = ();
	%hours = ();
	$numbered = 0;
	my $sql = q{
		SET client_min_messages = warning;
		DO $$ BEGIN IF to_regnamespace('s') IS NOT NULL THEN PERFORM leadscore.drop_pipeline('s'); END IF; END $$;
		SELECT leadscore.create_pipeline('s', 'empty', reports => false);
		SET search_path = s, leadscore;
		INSERT INTO signal (signal, event_kinds) VALUES ('a', '{a}'), ('b', '{b}'), ('c', '{c}'), ('buy', '{buy}');
		INSERT INTO signal (signal, source, condition) VALUES ('fit', 'profile', '$.fit == true');
		INSERT INTO model (model) VALUES ('m');
		INSERT INTO stage_rule (model, stage, entry_signals) VALUES ('m', 'customer', '{buy}');
		SELECT activate_model('m', wait => true);
		INSERT INTO segment (segment) VALUES ('es');
		INSERT INTO segment_condition (segment, condition, lead_condition) VALUES ('es', 'c', '$country == "ES"');
		SELECT activate_segment('es', wait => true);
	};
	$default_zone = pick(qw(UTC Asia/Kolkata));
	$sql .= "UPDATE setting SET time_zone = '$default_zone';\n";
	foreach my $id (1 .. 3)
	{
		my $lead = $lead{$id} = { zone => pick(undef, 'Mars/Base', keys %offset), email => rand() < 0.9, phone => rand() < 0.8, said => [], events => [] };
		$sql .= "INSERT INTO lead (lead_id, external_id, email, phone, time_zone, created_at, updated_at) VALUES ($id, 'lead $id', "
		  . ($lead->{email} ? "'$id\@example.com'" : 'NULL') . ', ' . ($lead->{phone} ? "'+34 6$id'" : 'NULL') . ', ' . quote($lead->{zone}) . ", '2025-01-01', '2025-01-01');\n";
	}
	foreach my $id (grep { rand() < 0.7 } 1 .. 3)
	{
		push @{ $lead{$id}{said} }, map { { purpose => $_, channel => undef, status => 'granted' } } 'policy', 'marketing';
		$sql .= "SELECT give_consent('lead $id', p, evidence => '{\"form\": \"f\"}') FROM unnest('{policy,marketing}'::text[]) p;\n";
	}
	foreach my $channel ('email', 'sms')
	{
		my $w = window(0.5) or next;
		$w->{from} //= 0;
		$w->{to} //= 24;
		$hours{$channel} = $w;
		$sql .= "INSERT INTO contact_hours VALUES ('$channel', " . time_sql($w->{from}) . ', ' . time_sql($w->{to}) . ', ' . days_sql($w) . ");\n";
	}
	my %limit;
	foreach (1 .. int(rand(4)))
	{
		my $limit = { channel => pick(undef, 'email', 'sms'), period => pick('day', 'week'), count => pick(1, 1, 2, 3) };
		next if $limit{ ($limit->{channel} // '') . $limit->{period} }++;
		push @limits, $limit;
		$sql .= 'INSERT INTO contact_limit VALUES (' . quote($limit->{channel}) . ", '$limit->{period}', $limit->{count});\n";
	}
	foreach my $name (map { "q$_" } 1 .. 2 + int(rand(3)))
	{
		my $s = $sequence{$name} = {
			starts => pick(qw(event event by_hand segment_entered segment_left)), status => 'active', priority => pick(10, 100, 200),
			again => maybe(0.7, 0, 5 * $hour, 2 * $day), late => pick($day, 2 * $day, 5 * $day), goal_stage => rand() < 0.3, stay => 0,
			goals => [ rand() < 0.5 ? pick(qw(b buy)) : () ], exits => [ rand() < 0.3 ? 'c' : () ] };
		$s->{start} = $s->{starts} eq 'event' ? pick(qw(a a b c)) : $s->{starts} eq 'by_hand' ? undef : 'es';
		$s->{$_} = [ grep { $_ ne ($s->{start} // '') } @{ $s->{$_} } ] foreach 'goals', 'exits';
		$s->{stay} = 1 if $s->{starts} ne 'segment_left' && rand() < 0.3;
		$sql .= "INSERT INTO sequence (sequence, starts_on, start_name, goal_stage, goal_signals, exit_signals, stay_in_segment, again_after, late_after, priority) VALUES ('$name', '$s->{starts}', "
		  . quote($s->{start}) . ', ' . quote($s->{goal_stage} ? 'customer' : undef) . ', ' . list(@{ $s->{goals} }) . ', ' . list(@{ $s->{exits} }) . ', ' . quote($s->{stay} ? 'es' : undef) . ', '
		  . (defined $s->{again} ? "'" . $s->{again} / $hour . " hours'" : 'NULL') . ", '" . $s->{late} / $day . " days', $s->{priority});\n";
		foreach my $position (sort { $a <=> $b } map { 10 * $_ + int(rand(9)) } 1 .. 1 + int(rand(4)))
		{
			my $kind = pick(qw(message message message message task alert));
			my $step = {
				step => "s$position", position => $position, kind => $kind, channel => pick(qw(email email sms)), delay => pick(0, 0, 5 * $minute, 3 * $hour, $day, 2 * $day + $hour),
				transactional => $kind eq 'message' && rand() < 0.15, window => window(0.25), in_segment => rand() < 0.1,
				only_if => [ rand() < 0.15 ? pick(qw(a fit)) : () ], unless => [ rand() < 0.15 ? pick(qw(b fit)) : () ] };
			$step->{topic} = $step->{transactional} ? undef : maybe(0.5, 'x', 'y');
			push @{ $s->{steps} }, $step;
			my $delay = int($step->{delay} / $day) . ' days ' . ($step->{delay} % $day) / $minute . ' minutes';
			my $w = $step->{window};
			$sql .= "INSERT INTO sequence_step (sequence, step, position, delay, not_before, not_after, weekdays, kind, channel, topic, transactional, only_if, unless, in_segment) VALUES ('$name', 's$position', $position, '$delay', "
			  . time_sql($w && $w->{from}) . ', ' . time_sql($w && $w->{to}) . ', ' . days_sql($w) . ", '$kind', '$step->{channel}', " . quote($step->{topic}) . ', ' . ($step->{transactional} ? 'true' : 'false') . ', '
			  . list(@{ $step->{only_if} }) . ', ' . list(@{ $step->{unless} }) . ', ' . quote($step->{in_segment} ? 'es' : undef) . ");\n";
			# hours that never meet would be refused
			return 0 if $kind eq 'message' && !$step->{transactional} && !defined allowed(1.8e15, 'UTC', $w, $hours{ $step->{channel} });
		}
		$sql .= "SELECT activate_sequence('$name'); UPDATE sequence SET activated_at = now() - interval '30 hours' WHERE sequence = '$name';\n";
	}
	$sql .= sprintf("SELECT $us FROM sequence LIMIT 1;", 'activated_at');
	push @log, $sql;
	my $out = $node->safe_psql('postgres', $sql);
	my ($activated) = $out =~ /(\d{15,})\s*$/ or die $out;
	# they were activated one after the other
	foreach my $name (keys %sequence)
	{
		$sequence{$name}{activated} = $node->safe_psql('postgres', sprintf("SELECT $us FROM s.sequence WHERE sequence = '$name'", 'activated_at'));
	}
	return $activated + 30 * $hour;
}

my %seen;
SET: foreach my $set (1 .. $sets)
{
	my $t;
	1 until $t = new_set();
	$t += 2 * $minute;
	foreach my $n (1 .. $calls)
	{
		my $id = pick(1, 2, 3);
		my $lead = $lead{$id};
		my $what = pick(qw(event event event consent consent enroll enroll unenroll country profile pause prefer prefer),
			('claim') x 8, ('work') x 8, 'add');
		$t += pick(0, $minute, 20 * $minute, $hour, 5 * $hour, 11 * $hour + 7 * $minute) if contains($what, qw(claim work enroll));
		if ($what eq 'event')
		{
			my @events = map { { kind => pick(qw(a a b c)), ago => pick(0, 1, 10, 25, 29, 31, 50) } } 1 .. pick(1, 1, 2);
			push @events, { kind => 'buy', ago => 0 } if rand() < 0.1;
			my ($now) = call('INSERT INTO event (lead_id, kind, occurred_at) VALUES ' . join ', ', map { "($id, '$_->{kind}', now() - interval '$_->{ago} hours')" } @events);
			$_->{at} = $now - $_->{ago} * $hour foreach @events;
			push @{ $lead->{events} }, @events;
			my @edges = map { { kind => 'signal', name => $_->{kind}, at => $_->{at} } } @events;
			if (grep({ $_->{kind} eq 'buy' } @events) && !$lead->{customer})
			{
				$lead->{customer} = 1;
				push @edges, { kind => 'stage', name => 'customer', at => $now };
			}
			edges($id, $now, @edges);
		}
		elsif ($what eq 'country')
		{
			$lead->{es} = !$lead->{es};
			my ($now) = call("UPDATE lead SET country = '" . ($lead->{es} ? 'ES' : 'FR') . "' WHERE lead_id = $id");
			edges($id, $now, { kind => $lead->{es} ? 'segment_entered' : 'segment_left', name => 'es', at => $now });
		}
		elsif ($what eq 'profile')
		{
			$lead->{fit} = !$lead->{fit};
			call("UPDATE lead SET profile = jsonb_build_object('fit', " . ($lead->{fit} ? 'true' : 'false') . ") WHERE lead_id = $id");
		}
		elsif ($what eq 'prefer')
		{
			my $wish = $lead->{wish} = { topics => maybe(0.5, [], ['x'], [ 'x', 'y' ]), channels => maybe(0.4, ['email'], ['sms'], [ 'email', 'sms' ]), count => maybe(0.5, 1, 2), period => pick('day', 'week') };
			call("SELECT set_preferences('lead $id', " . join(', ', map({ $_ ? list(@$_) : 'NULL' } @$wish{qw(topics channels)}), $wish->{count} ? ($wish->{count}, "'$wish->{period}'") : ('NULL', 'NULL')) . ')');
		}
		elsif ($what eq 'consent')
		{
			my $status = pick(qw(granted granted granted granted withdrawn requested));
			foreach my $purpose ($status eq 'withdrawn' ? pick(qw(policy marketing marketing)) : qw(policy marketing))
			{
				my $channel = $purpose eq 'marketing' ? pick(undef, undef, 'email', 'sms') : undef;
				my ($now) = call($status eq 'withdrawn' ? "SELECT withdraw_consent('lead $id', '$purpose', " . quote($channel) . ')'
					: "SELECT give_consent('lead $id', '$purpose', " . quote($channel) . ", evidence => '{\"form\": \"f\"}', status => '$status')");
				push @{ $lead->{said} }, { purpose => $purpose, channel => $channel, status => $status };
				follow_consent($id, $now);
			}
		}
		elsif ($what eq 'enroll')
		{
			my $name = pick(sort keys %sequence);
			next if $sequence{$name}{status} ne 'active';
			my ($now, $begun) = call("SELECT enroll_lead('lead $id', '$name', " . at($t) . ')');
			is($begun, begin_run($id, $name, $t) ? 't' : 'f', "enroll_lead('lead $id', '$name')");
		}
		elsif ($what eq 'unenroll')
		{
			my $name = pick(sort keys %sequence);
			my ($now, $ended) = call("SELECT unenroll('lead $id', '$name', " . at($t) . ')');
			my $run = open_run($id, $name);
			is($ended, $run ? 't' : 'f', "unenroll('lead $id', '$name')");
			end_run($run, 'by_hand', $t) if $run;
		}
		elsif ($what eq 'pause')
		{
			my $name = pick(sort keys %sequence);
			my $s = $sequence{$name};
			my $pause = $s->{status} eq 'active';
			my ($now) = call($pause ? "SELECT pause_sequence('$name')" : "SELECT activate_sequence('$name')");
			$s->{status} = $pause ? 'paused' : 'active';
			if (!$pause)
			{
				$s->{activated} = $now;
				@$_{qw(due reason)} = (min($_->{due}, $now), '') foreach grep { $_->{run} && $_->{run}{sequence} eq $name && $_->{status} eq 'waiting' && $_->{reason} eq 'paused' } @actions;
			}
		}
		elsif ($what eq 'add')
		{
			my $key = pick(qw(x y z));
			my $transactional = rand() < 0.3;
			call("SELECT add_action('lead $id', 'email', 'own', due_at => " . at($t) . ", dedup_key => '$key', transactional => " . ($transactional ? 'true' : 'false') . ', priority => 50)');
			push @actions, { lead => $id, key => "app:$key", kind => 'message', channel => 'email', transactional => $transactional, priority => 50, due => $t, expires => $t + 2 * $day,
				status => 'waiting', reason => '', attempt => 0 } if !grep { $_->{lead} == $id && $_->{key} eq "app:$key" } @actions;
		}
		elsif ($what eq 'claim')
		{
			my ($channel, $lease) = (pick(qw(email email sms)), pick(10, 100));
			call("SELECT count(*) FROM claim_actions('$channel', 100, '$lease minutes', " . at($t) . ')');
			claim($channel, $t, $lease * $minute);
		}
		else
		{
			my @held = grep { $_->{status} eq 'claimed' } @actions or next;
			my $a = rand() < 0.9 ? pick(@held) : pick(@actions);
			my $attempt = rand() < 0.85 ? $a->{attempt} : $a->{attempt} + pick(-1, 1);
			my $verb = pick(qw(complete complete complete complete fail fail extend cancel));
			my $retry = rand() < 0.8;
			my (undef, $result) = call("SELECT ${verb}_action($a->{lead}, (SELECT action_id FROM action WHERE lead_id = $a->{lead} AND dedup_key = '$a->{key}'), $attempt, "
				. ($verb eq 'fail' ? 'retry => ' . ($retry ? 'true, ' : 'false, ') : '') . 'at => ' . at($t) . ')');
			my $yes = $attempt == $a->{attempt} && ($a->{status} eq 'claimed'
				|| $verb eq 'complete' && ($a->{status} eq 'done' || $a->{status} eq 'waiting' && $a->{kind} ne 'message') || $verb eq 'cancel' && $a->{status} eq 'waiting');
			is($result, $yes ? 't' : 'f', "${verb}_action() of $a->{key}, attempt $attempt");
			if ($yes && $verb eq 'extend')
			{
				$a->{until} = max($a->{until}, $t + 5 * $minute);
			}
			elsif ($yes && $verb eq 'complete' && $a->{status} ne 'done')
			{
				@$a{qw(status reason)} = ('done', '');
				go_on($a->{run}, $t);
			}
			elsif ($yes && $verb eq 'cancel')
			{
				@$a{qw(status reason)} = ('cancelled', 'by hand');
				go_on($a->{run}, $t);
			}
			elsif ($yes && $verb eq 'fail')
			{
				if ($a->{run} && defined $a->{run}{ended})
				{
					@$a{qw(status reason)} = ('cancelled', $a->{run}{why});
				}
				elsif (!$retry || $a->{attempt} >= 5)
				{
					@$a{qw(status reason)} = ('failed', '');
					go_on($a->{run}, $t);
				}
				else
				{
					@$a{qw(status reason due)} = ('waiting', 'retry', $t + $minute * 4**($a->{attempt} - 1));
				}
			}
		}
		number_actions();
		$seen{ $_->{status} . ' ' . $_->{reason} }++ foreach @actions;
		# which of two refusals a later word of the lead names is told by sql/queue.sql
		my ($is, $should) = map { s/\|skipped\|suppressed\|/|skipped|no consent|/gr } $model_state{sql}, model_state();
		if ($is ne $should)
		{
			my %is = map { $_ => 1 } split /\n/, $is;
			my %should = map { $_ => 1 } split /\n/, $should;
			fail("set $set, call $n");
			diag(join "\n", (map { "is:        $_" } grep { !$should{$_} } sort keys %is), (map { "should be: $_" } grep { !$is{$_} } sort keys %should), 'after:', @log[ max(0, @log - 8) .. $#log ], "t = $t", $log[0]);
			diag("SEQUENCES_SEED=$seed repeats this");
			last SET;
		}
	}
	pass("set $set: " . @actions . ' actions');
	is($node->safe_psql('postgres', 'SELECT * FROM s.verify()'), '', "set $set: verify()");
}
note('seen: ' . join ', ', map { "$_: $seen{$_}" } sort keys %seen);
diag("SEQUENCES_SEED=$seed repeats this") if !Test::More->builder->is_passing;
done_testing();
