# The life of a lead, as the documentation tells it: an oracle that shares no
# code and no data structure with the extension. It goes from instant to instant
# and computes everything anew each time: slow, and short enough to be read
# beside the words that it follows.
#
# Instants are microseconds since 1970 UTC, points are thousandths.
#
# A model, as orders.pl writes them:
#
#   name, grain (day or hour), signals (of events), allow_demotion, margin, gates_required
#   dimensions  {name => {reset => [signals], max => points}}
#   rules       [{signal, points, dimension, decay, period, limit => [n, period],
#               need => [n, period], only_if, unless, after, tiers => {from => points},
#               of}]; need: calendar periods with so many counts; after: quiet
#               time instead of counts, tiers: by points of dimension of, or of
#               the score
#   stages      {stage => {min, gates => [{gate, signal, count, within, negate}
#               or {gate, dimension, points} or {gate, points}], other => {only_if,
#               min}, entry}}; entry: a milestone
#
# A segment:
#
#   name, persona, share, conditions [{condition, weight,
#     signal, count, within or dimension, points or points or from, to or
#     in (another segment) or lead ([what its profile says]),
#     negate}]; rows of one condition are alternatives
#
# A lead: created, profile {signal => 1 or 0} and profile_at, when that was known.
# What happens to it: {at, profile},
# or {at, kind, stage}: an event counts for the signal of the name of its kind,
# and stage is what an event of kind stage_set names.
package Lifecycle;

use strict;
use warnings;
use integer;

use Exporter 'import';

use List::Util qw(any all max min sum0 uniqnum);

our @EXPORT = qw(life segment_condition_holds segment_match was_in);

my @stages = qw(disqualified lost recycled visitor iql mql sql prospect customer advocate);
my %rank = map { $stages[$_] => $_ } 0 .. $#stages;

sub is_exit { return $rank{ $_[0] } < $rank{visitor}; }

# a stage that only a lead can be in
sub is_for_leads { return $rank{ $_[0] } > $rank{visitor} && $rank{ $_[0] } < $rank{customer}; }

# ---------- counts and points ----------

sub width { return ($_[0]{model}{grain} eq 'hour' ? 3600 : 86400) * 1_000_000; }

# rounded down, before 1970 too
sub bucket
{
	my ($life, $at) = @_;
	my $width = width($life);
	return ($at - ($at % $width + $width) % $width) / $width;
}

# The buckets of a signal's events that have happened, the oldest first
sub buckets
{
	my ($life, $signal) = @_;
	# a lead may be known before it is created
	return grep { $_ <= $life->{bucket} } bucket($life, $life->{created}) if $signal eq 'lead_created';
	return sort { $a <=> $b } map { bucket($life, $_->{at}) } grep { $_->{kind} eq $signal } @{ $life->{happened} };
}

sub is_present
{
	my ($life, $signal) = @_;
	my @buckets = buckets($life, $signal);
	return $life->{profile}{$signal} || @buckets > 0;
}

# What is left of a count of some age, in units of 2^-31
sub weight
{
	my ($rule, $age) = @_;
	my $one = 1 << 31;
	my $decay = $rule->{decay} // 'none';
	return $one if $decay eq 'none';
	return $age < $rule->{period} ? $one : 0 if $decay eq 'window';
	return $age < $rule->{period} ? (2 * $one * ($rule->{period} - $age) + $rule->{period}) / (2 * $rule->{period}) : 0 if $decay eq 'linear';
	no integer;
	return int($one * 2**(-$age / $rule->{period}) + 0.5) if $decay eq 'half_life';
	die "no decay: $decay";
}

sub rounded
{
	my ($n, $unit) = @_;
	return $n < 0 ? -((-2 * $n + $unit) / (2 * $unit)) : (2 * $n + $unit) / (2 * $unit);
}

sub milli
{
	no integer;
	return sprintf('%.0f', $_[0] * 1000);
}

# The calendar period that a bucket lies in: a day, or so many months from January
# on; else all is one
sub period
{
	my ($life, $bucket, $period) = @_;
	my $seconds = $bucket * width($life) / 1_000_000;
	return $seconds / 86400 if $period eq 'day';
	my ($months) = $period =~ /^(\d+) months$/ or return 0;
	my (undef, undef, undef, undef, $month, $year) = gmtime $seconds;
	return ($year * 12 + $month) / $months;
}

# What the last tier that points have reached gives
sub tier_points
{
	my ($rule, $points) = @_;
	my ($from) = sort { $b <=> $a } grep { milli($_) <= $points } keys %{ $rule->{tiers} };
	return defined $from ? milli($rule->{tiers}{$from}) : 0;
}

sub rule_points
{
	my ($life, $rule, $at) = @_;
	my $now = bucket($life, $at);
	return 0 if any { !is_present($life, $_) } @{ $rule->{only_if} || [] };
	return 0 if any { is_present($life, $_) } @{ $rule->{unless} || [] };
	return milli($rule->{points}) if $life->{profile}{ $rule->{signal} };

	# of an engagement that was reset only what came later counts
	my $reset = max map { buckets($life, $_) } @{ $life->{model}{dimensions}{ $rule->{dimension} }{reset} || [] };
	my @buckets = grep { !defined $reset || $_ > $reset } buckets($life, $rule->{signal});
	if ($rule->{after})
	{
		my $since = @buckets ? $buckets[-1] : max grep { defined } $reset, bucket($life, $life->{created});
		return 0 if $now - $since < $rule->{after};
		return milli($rule->{points}) if !$rule->{tiers};
		# of what the lead would have without such rules
		return tier_points($rule, $rule->{of} ? dimension_points($life, $rule->{of}, $at, 1) : score($life, $at, 1));
	}
	if (my ($most, $period) = @{ $rule->{limit} || [] })
	{
		my %used;
		@buckets = grep { ++$used{ period($life, $_, $period) } <= $most } @buckets;
	}
	if (my ($need, $period) = @{ $rule->{need} || [] })
	{
		# of each period the bucket with which it has enough
		my %seen;
		@buckets = grep { ++$seen{ period($life, $_, $period) } == $need } @buckets;
	}
	return rounded(milli($rule->{points}) * sum0(map { weight($rule, $now - $_) } @buckets), 1 << 31);
}

sub dimension_points
{
	my ($life, $dimension, $at, $without_tiers) = @_;
	my @rules = grep { $_->{dimension} eq $dimension && !($without_tiers && $_->{tiers}) } @{ $life->{model}{rules} };
	my $points = sum0 map { rule_points($life, $_, $at) } @rules;
	my $most = $life->{model}{dimensions}{$dimension}{max};
	return defined $most ? min($points, milli($most)) : $points;
}

sub score
{
	my ($life, $at, $without_tiers) = @_;
	return sum0 map { dimension_points($life, $_, $at, $without_tiers) } keys %{ $life->{model}{dimensions} };
}

# ---------- what a stage asks for ----------

sub condition_holds
{
	my ($life, $condition, $at) = @_;
	my $holds;
	if ($condition->{dimension})
	{
		$holds = dimension_points($life, $condition->{dimension}, $at) >= milli($condition->{points});
	}
	elsif (!$condition->{signal})
	{
		$holds = score($life, $at) >= milli($condition->{points});
	}
	else
	{
		my $now = bucket($life, $at);
		my $count = grep { !$condition->{within} || $now - $_ < $condition->{within} } buckets($life, $condition->{signal});
		$count++ if $life->{profile}{ $condition->{signal} };
		$holds = $count >= ($condition->{count} // 1);
	}
	return $condition->{negate} ? !$holds : $holds;
}

# Gates of one name are alternatives, all names must hold.
sub gates_hold
{
	my ($life, $stage, $at) = @_;
	my %gates;
	push @{ $gates{ $_->{gate} } }, $_ foreach @{ $life->{model}{stages}{$stage}{gates} || [] };
	return all { any { condition_holds($life, $_, $at) } @$_ } values %gates;
}

# The gates of iql make a contact a lead.
sub is_lead { return gates_hold($_[0], 'iql', $_[1]); }

# What a stage asks for, of some leads something else
sub stage_rule
{
	my ($life, $stage) = @_;
	my $rule = $life->{model}{stages}{$stage} || {};
	my $other = $rule->{other};
	return $other && is_present($life, $other->{only_if}) ? { %$rule, min => $other->{min} } : $rule;
}

sub stage_holds
{
	my ($life, $stage, $at) = @_;
	my $rule = stage_rule($life, $stage);
	return 0 if !defined $rule->{min} && !$rule->{gates};
	return 0 if !is_lead($life, $at);
	return 0 if defined $rule->{min} && score($life, $at) < milli($rule->{min});
	return !$life->{model}{gates_required} || gates_hold($life, $stage, $at);
}

# The highest stage from visitor on, and below another one, that points and
# gates allow
sub highest
{
	my ($life, $below, $at) = @_;
	foreach my $stage (reverse @stages)
	{
		next if $rank{$stage} >= $below;
		last if $stage eq 'visitor';
		return $stage if stage_holds($life, $stage, $at);
	}
	return 'visitor';
}

# ---------- segments ----------

sub segment_condition_holds
{
	my ($life, $c, $at) = @_;
	my $holds;
	if ($c->{from} || $c->{to})
	{
		$holds = $rank{ $life->{stage} } >= $rank{ $c->{from} // 'disqualified' } && $rank{ $life->{stage} } <= $rank{ $c->{to} // 'advocate' };
	}
	elsif ($c->{in})
	{
		$holds = is_in($life, $c->{in}, $at);
	}
	elsif ($c->{lead})
	{
		$holds = all { $life->{profile}{$_} } @{ $c->{lead} };
	}
	else
	{
		return condition_holds($life, $c, $at);
	}
	return $c->{negate} ? !$holds : $holds;
}

# The weights of the conditions of a segment that hold, and of all of them
sub segment_match
{
	my ($life, $name, $at) = @_;
	my %rows;
	push @{ $rows{ $_->{condition} } }, $_ foreach @{ $life->{active}{$name}{conditions} };
	my @hold = grep { any { segment_condition_holds($life, $_, $at) } @{ $rows{$_} } } keys %rows;
	my $weight = sub { return sum0 map { milli($rows{$_}[0]{weight} // 1) } @_; };
	return ($weight->(@hold), $weight->(keys %rows));
}

sub is_in
{
	my ($life, $name, $at) = @_;
	my ($held, $all) = segment_match($life, $name, $at);
	return $held * 1000 >= $all * milli($life->{active}{$name}{share} // 1);
}

# Look who is in what, once all of an instant is done.
sub review_segments
{
	my ($life, $at, $cause) = @_;
	foreach my $name (sort keys %{ { %{ $life->{active} }, %{ $life->{segments} } } })
	{
		my $retired = !$life->{active}{$name};
		my $now = !$retired && is_in($life, $name, $at);
		next if !$now == !$life->{segments}{$name};
		push @{ $life->{edges} }, { segment => $name, entered => $now ? 1 : 0, at => $at, cause => $retired ? 'definition' : $cause };
		if ($now) { $life->{segments}{$name} = 1; }
		else { delete $life->{segments}{$name}; }
	}
}

# What a lead leaves in the instant of its birth it was never in.
sub undo_birth
{
	my ($life) = @_;
	my %left = map { $_->{segment} => 1 } grep { !$_->{entered} } @{ $life->{edges} };
	$life->{edges} = [ grep { !$left{ $_->{segment} } } @{ $life->{edges} } ];
}

# ---------- how the stage moves ----------

sub move
{
	my ($life, $to, $at, $cause) = @_;
	my $from = $life->{stage};
	if ($cause ne 'set' && $to eq 'visitor' && is_for_leads($from) && !is_lead($life, $at))
	{
		# what the loss of consent takes away, consent gives back
		$life->{suspended} = $from;
	}
	else
	{
		# an exit or a step back, unless it is consent that is given again
		delete $life->{blocked} if !$life->{suspended} || is_exit($to);
		$life->{blocked} = $at if is_exit($to) || $rank{$to} < $rank{$from};
		delete $life->{suspended};
	}
	$life->{cycle}++ if is_exit($from) && !is_exit($to);
	$life->{stage} = $to;
	$life->{since} = $at;
	push @{ $life->{rows} }, { cycle => $life->{cycle}, from => $from, to => $to, at => $at, cause => $cause, model => $life->{model}{name}, is_lead => is_lead($life, $at) };
}

# The stage that points and gates of an instant lead to
sub next_stage
{
	my ($life, $at) = @_;
	my $stage = $life->{suspended} // $life->{stage};
	my $rule = stage_rule($life, $stage);
	return 'visitor' if is_for_leads($stage) && !is_lead($life, $at);
	if (!defined $life->{blocked})
	{
		my $highest = highest($life, 100, $at);
		return $highest if $highest ne 'visitor' && $rank{$highest} > $rank{$stage};
	}
	return highest($life, $rank{$stage}, $at)
	  if $life->{model}{allow_demotion} && $rank{$stage} > $rank{visitor} && $rank{$stage} <= $rank{sql}
	  && defined $rule->{min} && score($life, $at) < milli($rule->{min}) - milli($life->{model}{margin});
	return $stage;
}

sub follow_points
{
	my ($life, $at, $cause, $only_up) = @_;
	my $next = next_stage($life, $at);
	return if $next eq $life->{stage} || ($only_up && $rank{$next} < $rank{ $life->{stage} });
	move($life, $next, $at, $cause);
}

sub follow_milestone
{
	my ($life, $to, $at) = @_;
	my $stage = $life->{stage};
	# of customers only those that are lost leave
	return if is_exit($to) ? ($rank{$stage} >= $rank{customer} && $to ne 'lost') || $stage eq $to
	  # sales is in touch with an sql
	  : $to eq 'prospect' ? $stage ne 'sql'
	  : $rank{$to} <= $rank{$stage};
	move($life, $to, $at, 'milestone');
}

# All that happens in one instant is one step.
sub happen
{
	my ($life, $at, $now, @items) = @_;
	my (%set, %milestone);
	foreach my $item (@items)
	{
		$life->{profile} = $item->{profile}, next if $item->{profile};
		push @{ $life->{happened} }, $item;
		delete $life->{blocked}
		  if defined $life->{blocked} && $at > $life->{blocked}
		  && any { $_->{signal} eq $item->{kind} && !$_->{after} && $_->{points} > 0 } @{ $life->{model}{rules} };
		# what is dated ahead counts from its bucket on, but moves no stage yet
		next if $at > $now;
		push @{ $set{ $item->{stage} } }, $item if $item->{kind} eq 'stage_set';
		$milestone{$_} = 1 foreach grep { ($life->{model}{stages}{$_}{entry} // '') eq $item->{kind} } keys %{ $life->{model}{stages} };
	}
	my $events = any { $_->{kind} } @items;
	my $moves = %set || %milestone;
	# first what points promote
	follow_points($life, $at, $events ? 'points' : 'profile', $moves);
	if ($moves)
	{
		follow_moves($life, $at, \%set, \%milestone);
		# then points and gates again
		follow_points($life, $at, 'points');
	}
	review_segments($life, $at, $events ? 'event' : 'profile');
}

# Milestones and stages set by hand
sub follow_moves
{
	my ($life, $at, $set, $milestone) = @_;
	# up the funnel, then exits, the gravest last
	foreach my $to ((grep { !is_exit($_) } @stages), reverse grep { is_exit($_) } @stages)
	{
		if (is_for_leads($to) && !is_lead($life, $at))
		{
			push @{ $life->{ignored} }, @{ $set->{$to} || [] };
			next;
		}
		if ($set->{$to} && $life->{stage} ne $to) { move($life, $to, $at, 'set'); }
		elsif ($milestone->{$to}) { follow_milestone($life, $to, $at); }
	}
}

# life(CONFIGURATIONS, LEAD, ITEMS, NOW): {rows, stage, since, cycle, score} of a
# lead, the {edges} where it entered and left segments, those it is in, and which
# stages by hand are {ignored}.
# CONFIGURATIONS: [since, model, {name => segment}] in the order in which they came
# into use; what happened before the first of them is judged by it.
sub life
{
	my ($configurations, $lead, $items, $now) = @_;
	my ($first, @later) = @$configurations;
	my $life = {
		model => $first->[1], active => $first->[2] || {}, created => $lead->{created}, stage => 'visitor', cycle => 1,
		profile => {}, happened => [], segments => {}, edges => [] };
	my %signals = map { $_ => 1 } @{ $first->[1]{signals} };
	my @items = grep { $_->{profile} || $signals{ $_->{kind} } || exists $rank{ $_->{stage} // '' } } @$items;
	# what counts for nothing is no part of a life, not even its beginning
	$life->{ignored} = [ grep { $_->{stage} && !exists $rank{ $_->{stage} } && $_->{at} <= $now } @$items ];
	push @items, { at => $lead->{profile_at}, profile => $lead->{profile} } if any { $_ } values %{ $lead->{profile} };
	my $birth = min $lead->{created}, map { $_->{at} } @items;
	my $today = bucket($life, $now);

	# what is known at birth a lead is born with
	$_->{at} == $birth and $life->{profile} = $_->{profile} foreach grep { $_->{profile} } @items;
	@items = grep { !$_->{profile} || $_->{at} > $birth } grep { bucket($life, $_->{at}) <= $today } @items;
	$life->{since} = $birth;
	$life->{bucket} = bucket($life, $birth);
	$life->{stage} = next_stage($life, $birth);
	$life->{rows} = [ { cycle => 1, from => '-', to => $life->{stage}, at => $birth, cause => 'created', model => $life->{model}{name}, is_lead => is_lead($life, $birth) } ];
	review_segments($life, $birth, 'created');

	# the instants: where a bucket begins, where a model or a segment comes into
	# use, and where something happens
	my $width = width($life);
	my @starts = map { $_ * $width } bucket($life, $birth) + 1 .. $today;
	my %starts = map { $_ => 1 } @starts;
	foreach my $at (sort { $a <=> $b } uniqnum(@starts, (map { $_->[0] } @later), map { $_->{at} } @items))
	{
		$life->{bucket} = bucket($life, $at);
		# what the passing of time changes comes first
		if ($starts{$at})
		{
			follow_points($life, $at, 'decay');
			review_segments($life, $at, 'time');
		}
		# of several activations in one instant only the last one counts
		if (my ($activated) = reverse grep { $_->[0] == $at } @later)
		{
			my $cause = $life->{model}{name} eq $activated->[1]{name} ? 'definition' : 'activation';
			$life->{model} = $activated->[1];
			$life->{active} = $activated->[2] || {};
			follow_points($life, $at, 'activation');
			review_segments($life, $at, $cause);
		}
		my @here = grep { $_->{at} == $at } @items;
		happen($life, $at, $now, @here) if @here;
		undo_birth($life) if $at == $birth;
	}
	$life->{bucket} = $today;
	$life->{score} = score($life, $now);
	return $life;
}

# Was a lead with this life in a segment at an instant?
sub was_in
{
	my ($life, $name, $at) = @_;
	my @edges = grep { $_->{segment} eq $name && $_->{at} <= $at } @{ $life->{edges} };
	return @edges ? $edges[-1]{entered} : 0;
}

1;
