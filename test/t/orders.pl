# All orders of small histories, against an oracle: whatever the order in which
# events, corrections, milestones, exits, stages set by hand, profiles and
# consent arrive, the histories of stages and of segments are those that
# Lifecycle.pm gives for what they amount to. (random.pl compares ways of writing with each other, in
# longer histories.)
#
# A set is a lead and up to five writes about it, each a statement of its own:
# events, events that are wrong first and then corrected, events that are deleted
# again, profiles, and another time of the lead's creation. Each order of the
# writes is a lead. Only profiles come in the order of their times, as what comes
# later is what is known now; and a correction comes after what it corrects. Two
# more leads get all events in one statement, before the profiles or after them.
# All is compared after a sweep, after a rebuild, and after some days have passed.
#
# First come histories whose stages were worked out by hand, for the oracle too;
# then random ones, and a few longer ones of which some orders are tried. While
# these are written another model is activated, and segments are activated,
# replaced and retired.
#
# Compared are cycle, stages, instants and model of each row, whether the contact
# was a lead, the standing, the score, which stages by hand changed nothing, and
# segments: who entered and left them, when and why. Some leads of each set are
# asked more, also before a sweep: in_segment() at instants past and to come,
# segment_members, persona_match() and explain_segment().
# The cause of a row is as recorded: it is compared where nothing else can have
# made the same move at the same instant.
#
# Environment:
#   ORDERS_SEED   repeats a run (printed when it fails), at another time of day
#   ORDERS_SETS   how many random sets for each model, default 24; longer ones
#                 are a tenth of it
#   ORDERS_PIPELINES  some of them, such as "by_hand,sheet"

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use List::Util qw(max shuffle);
use Lifecycle;

my $seed = $ENV{ORDERS_SEED} // int(rand(1e9));
my $sets_each = $ENV{ORDERS_SETS} // 24;
my ($faketime) = grep { -e $_ } glob('/usr/lib/*/faketime/libfaketime.so.1');
# in a set; all orders of five are 120
my $most_writes = 5;
my $most_writes_long = 40;
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
	{ signal => 'view', points => 12, limit => [ 1, 'day' ], unless => [qw(rival unsubscribe)] },
	{ signal => 'view', points => 4, only_if => ['fair'] },
	{ signal => 'fair', points => 15, decay => 'window', period => 2 },
	{ signal => 'demo', points => 30.5, decay => 'half_life', period => 4 },
	{ signal => 'spam', points => -10, decay => 'linear', period => 3 },
	{ signal => 'purchase', points => 5, only_if => ['big'] },
	{ signal => 'big', points => 8, dimension => 'fit' });

my @sheet_rules = (
	{ signal => 'view', points => 6 },
	{ signal => 'view', points => 11, need => [ 2, 'day' ], decay => 'window', period => 5 },
	{ signal => 'fair', points => 14.5, need => [ 2, '4 months' ], limit => [ 1, 'day' ], decay => 'half_life', period => 6 },
	{ signal => 'demo', points => 20, need => [ 1, '1 months' ], unless => ['rival'] },
	{ signal => 'spam', points => -9, need => [ 1, 'day' ], decay => 'linear', period => 4 },
	{ signal => 'purchase', points => 25, decay => 'linear', period => 12 },
	{ signal => 'big', points => 10, dimension => 'fit' },
	{ signal => 'view', tiers => { -5 => 0, 20 => -4, 40.5 => -19.75 }, after => 3 },
	{ signal => 'demo', tiers => { 0 => -12, 6 => -3, 30 => 0 }, of => 'engagement', after => 5, dimension => 'fit', unless => ['purchase'] });

my %plain = (
	rules => \@plain_rules,
	stages => { mql => { min => 20, gates => \@interest }, sql => { min => 40, gates => [ { gate => 'budget', signal => 'budget' } ] } });

# Each pipeline has two models; the second one is activated halfway.
my %pipelines = (
	steady => [
		model('steady', %plain),
		model('higher', rules => \@plain_rules, allow_demotion => 1, margin => 15,
			stages => { mql => { min => 30 }, sql => { min => 50, other => { only_if => 'big', min => 35 } } }) ],
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
				mql => { min => 20 }, sql => { min => 40, gates => \@interest } }) ],
	# what rule sheets say
	sheet => [
		model('sheet', rules => \@sheet_rules, allow_demotion => 1, margin => 4,
			stages => {
				mql => { gates => [ { gate => 'interest', signal => 'demo', within => 3 }, { gate => 'interest', signal => 'view', count => 3 }, { gate => 'interest', points => 25 } ] },
				sql => { min => 35, gates => [ { gate => 'sober', points => 90, negate => 1 } ] } }),
		model('points', rules => \@sheet_rules, allow_demotion => 1,
			stages => { iql => { gates => [ @lead_gates, { gate => 'known', signal => 'big' }, { gate => 'known', points => 8.5 } ] },
				mql => { min => 18, gates => [ { gate => 'both', dimension => 'fit', points => 5 }, { gate => 'both', points => 30 } ] },
				sql => { gates => [ { gate => 'points', points => 50 } ] } }) ]);

# Segments whose edges were worked out by hand: see @by_hand
my @segments_by_hand = (
	{ name => 'keen', conditions => [ { condition => 'points', points => 30 }, { condition => 'new', signal => 'view', within => 2 } ] },
	{ name => 'ready', persona => 1, share => 0.6, conditions => [
			{ condition => 'money', weight => 2, lead => ['budget'] },
			{ condition => 'stage', from => 'mql', to => 'sql' },
			{ condition => 'asked', signal => 'demo', count => 2 }, { condition => 'asked', signal => 'fair' },
			{ condition => 'engaged', weight => 0.5, dimension => 'engagement', points => 20 } ] },
	{ name => 'not keen', conditions => [ { condition => 'keen', in => 'keen', negate => 1 }, { condition => 'lead', from => 'iql' } ] });

# May a segment ask for what no profile signal says yet?  One that is made when
# there are leads is dated as their rows were written last, and not by the rules.
our $new_signals = 1;

# A random segment, which may name some others
sub random_segment
{
	my ($name, $width, @others) = @_;
	my @conditions;
	foreach my $condition ('a' .. one_of(qw(a b b c d)))
	{
		my $weight = one_of(1, 1, 2, 0.5, 0.333);
		my %seen;
		foreach (1 .. one_of(1, 1, 2, 3))
		{
			my %c = chance(20) ? (negate => 1) : ();
			my $kind = rand 100;
			if ($kind < 45)
			{
				# the profile has a signal too
				$c{signal} = one_of(@signals, @scoring, 'lead_created', sort keys %condition);
				$c{count} = 1 + int rand 3 if chance(40);
				$c{within} = 1 + int rand 6 if chance(60);
			}
			elsif ($kind < 55) { $c{lead} = one_of(['budget'], ['consented'], $new_signals ? ([qw(budget big)], [qw(big rival)], [qw(consented big)]) : ()); }
			elsif ($kind < 68) { @c{qw(dimension points)} = (one_of(qw(engagement fit)), one_of(-10, 0.001, 8, 10, 12.5, 20, 40)); }
			elsif ($kind < 80) { $c{points} = one_of(-5, 0.5, 15, 20, 25, 40.25); }
			elsif ($kind < 92 || !@others)
			{
				my @stages = qw(disqualified lost recycled visitor iql mql sql prospect customer advocate);
				my ($from, $to) = sort { $a <=> $b } int rand 10, int rand 10;
				$c{from} = $stages[$from] if chance(75);
				$c{to} = $stages[$to] if !$c{from} || chance(70);
			}
			else { $c{in} = one_of(@others); }
			push @conditions, { condition => $condition, weight => $weight, %c } if !$seen{ join ',', map { "$_=" . (ref $c{$_} ? "@{ $c{$_} }" : $c{$_}) } sort keys %c }++;
		}
	}
	return { name => $name, persona => chance(50) || 0, share => chance(40) ? one_of(0.2, 0.333, 0.5, 0.75, 0.9) : 1, conditions => \@conditions };
}

# Changes of segments: {activate => segment}, {replace => segment of that name} or
# {retire => name}; what each step begins with, undef before there is a lead
sub random_changes
{
	my ($width) = @_;
	my @names = map { "segment $_" } 1 .. 5;
	my @first = map { { activate => random_segment($names[$_], $width, @names[ 0 .. $_ - 1 ]) } } 0 .. $#names;
	# what a segment names was made before it
	local $new_signals = 0;
	my ($again, $new) = (int rand @names, random_segment('segment 6', $width, @names));
	my @later = ({ activate => $new }, { replace => random_segment($names[$again], $width, @names[ 0 .. $again - 1 ]) });
	return { before => \@first, 3 => [ shuffle @later ], 4 => [ { retire => 'segment 6' } ], 5 => [ { activate => random_segment('segment 7', $width, @names) }, { activate => $new } ] };
}

sub segment_sql
{
	my ($p, $grain, $segment, $name) = @_;
	my $sql = "INSERT INTO $p.segment (segment, persona, min_match_share) VALUES (" . join(', ', quoted($name), $segment->{persona} ? 'true' : 'false', $segment->{share} // 1) . ");\n";
	foreach my $c (@{ $segment->{conditions} })
	{
		my $path = $c->{lead} && join ' && ', map { $condition{$_} } @{ $c->{lead} };
		$sql .= "INSERT INTO $p.segment_condition (segment, condition, weight, negate, signal, min_count, within, lead_condition, dimension, min_points, stage_from, stage_to, in_segment) VALUES ("
		  . join(', ', quoted($name), quoted($c->{condition}), $c->{weight} // 1, $c->{negate} ? 'true' : 'false', quoted($c->{signal}), $c->{count} // 'NULL',
			quoted($c->{within} && "$c->{within} ${grain}s"), quoted($path), quoted($c->{dimension}), $c->{points} // 'NULL', map { quoted($_) } @$c{qw(from to in)}) . ");\n";
	}
	return $sql;
}

sub change_sql
{
	my ($p, $grain, $change) = @_;
	return "SELECT $p.retire_segment(" . quoted($change->{retire}) . ");\n" if $change->{retire};
	my $segment = $change->{activate} || $change->{replace};
	my $name = $segment->{name};
	return segment_sql($p, $grain, $segment, "new $name") . "SELECT $p.activate_segment(" . quoted("new $name") . ', ' . quoted($name) . ");\n" if $change->{replace};
	# one that was retired comes back as it was
	return ($segment->{known}++ ? '' : segment_sql($p, $grain, $segment, $name)) . "SELECT $p.activate_segment(" . quoted($name) . ");\n";
}

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
		my ($need, $calendar) = @{ $r->{need} || [] };
		my $tiers = $r->{tiers} && join ', ', map { qq("$_": $r->{tiers}{$_}) } sort keys %{ $r->{tiers} };
		s/^1 months$/month/ foreach grep { defined } $limit, $calendar;
		$sql .= "INSERT INTO $p.rule (model, rule, dimension, signal, points, aggregate, after, tiers, of_dimension, min_count, period, limit_count, limit_period, decay, decay_period, only_if, unless) VALUES ("
		  . join(', ', $name, quoted("$r->{signal} " . ($r->{points} // 'quiet')), quoted($r->{dimension}), quoted($r->{signal}), $r->{points} // 'NULL',
			$r->{after} ? "'idle'" : $need ? "'periods'" : "'sum'", $period->($r->{after}), quoted($tiers && "{$tiers}"), quoted($r->{of}),
			$need // 'NULL', quoted($calendar), $count // 'NULL', quoted($limit),
			quoted($r->{decay} // 'none'), $period->($r->{period}), array(@{ $r->{only_if} || [] }), array(@{ $r->{unless} || [] })) . ");\n";
	}
	foreach my $stage (sort keys %{ $m->{stages} })
	{
		my $s = $m->{stages}{$stage};
		$sql .= "INSERT INTO $p.stage_rule (model, stage, min_score, entry_signals) VALUES ($name, '$stage', " . ($s->{min} // 'NULL') . ', '
		  . array(grep { defined } $s->{entry}) . ");\n";
		$sql .= "INSERT INTO $p.stage_rule (model, stage, only_if, min_score) VALUES ($name, '$stage', '$s->{other}{only_if}', $s->{other}{min});\n" if $s->{other};
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
	my ($p, $changes, @models) = @_;
	my $sql = "SELECT leadscore.create_pipeline('$p', 'empty', '1 $models[0]{grain}', reports => false);\n";
	$sql .= "INSERT INTO $p.signal (signal, event_kinds) VALUES " . join(', ', map { "('$_', '{$_}')" } @signals) . ";\n";
	$sql .= "INSERT INTO $p.signal (signal, source, condition) VALUES " . join(', ', map { "('$_', 'profile', '$condition{$_}')" } sort keys %condition) . ";\n";
	$sql .= model_sql($p, $_) foreach @models;
	$sql .= "SELECT $p.activate_model(" . quoted($models[0]{name}) . ");\n";
	$sql .= change_sql($p, $models[0]{grain}, $_) foreach @{ $changes->{before} || [] };
	return $sql . qq{
CREATE TABLE $p.write (lead_id bigint, step int, what text, key text, kind text, at timestamptz, stage text, consented boolean, email text, profile jsonb);
CREATE PROCEDURE $p.run_step(s int) LANGUAGE plpgsql AS \$\$
BEGIN
	INSERT INTO $p.lead (lead_id, created_at, updated_at, consented_at, email, profile)
		SELECT lead_id, at, at, CASE WHEN consented THEN at END, replace(email, 'x\@', 'x' || lead_id || '\@'), profile FROM $p.write WHERE step = s AND what = 'lead';
	INSERT INTO $p.event (lead_id, source_id, kind, occurred_at, properties)
		SELECT lead_id, key, kind, at, CASE WHEN stage IS NOT NULL THEN jsonb_build_object('stage', stage) END
		FROM $p.write WHERE step = s AND what = 'insert' ORDER BY random();
	UPDATE $p.event e SET kind = w.kind, occurred_at = w.at, properties = CASE WHEN w.stage IS NOT NULL THEN jsonb_build_object('stage', w.stage) END
		FROM $p.write w WHERE w.step = s AND w.what = 'update' AND e.lead_id = w.lead_id AND e.source_id = w.key;
	DELETE FROM $p.event e
		USING $p.write w WHERE w.step = s AND w.what = 'delete' AND e.lead_id = w.lead_id AND e.source_id = w.key;
	UPDATE $p.lead l SET created_at = w.at
		FROM $p.write w WHERE w.step = s AND w.what = 'created' AND l.lead_id = w.lead_id;
	UPDATE $p.lead l SET consented_at = CASE WHEN w.consented THEN w.at END, email = replace(w.email, 'x\@', 'x' || w.lead_id || '\@'), profile = w.profile, updated_at = w.at
		FROM $p.write w WHERE w.step = s AND w.what = 'profile' AND l.lead_id = w.lead_id;
END \$\$;
CREATE FUNCTION $p.lives(at timestamptz) RETURNS TABLE (lead_id bigint, stage text, since numeric, cycle int, score numeric, ignored text, segments text, segments_since numeric, edges text, history text) LANGUAGE sql AS \$\$
	SELECT s.lead_id, s.stage::text, trunc(extract(epoch FROM s.stage_since) * 1000000), s.cycle, trunc($p.score_by_id(s.lead_id, at) * 1000), u.ignored,
		(SELECT string_agg(segment, ', ' ORDER BY segment) FROM $p.segment WHERE segment_id = ANY (s.segments)), trunc(extract(epoch FROM s.segments_since) * 1000000),
		(SELECT string_agg(concat_ws(',', e.segment, e.is_member::int, trunc(extract(epoch FROM e.effective_at) * 1000000), e.cause), ';' ORDER BY e.seq)
			FROM $p.segment_history e WHERE e.lead_id = s.lead_id),
		string_agg(concat_ws(',', h.cycle, coalesce(h.from_stage::text, '-'), h.to_stage, trunc(extract(epoch FROM h.effective_at) * 1000000), h.cause, h.model, h.is_lead::int), ';' ORDER BY h.seq)
	FROM $p.lead_state s JOIN $p.stage_history h USING (lead_id)
		LEFT JOIN (
			SELECT e.lead_id, string_agg(concat_ws(',', trunc(extract(epoch FROM e.occurred_at) * 1000000), e.kind, e.properties ->> 'stage'), ';') AS ignored
			FROM $p.unscored_events JOIN $p.event e USING (lead_id, event_id) WHERE reason = 'stage not set' GROUP BY e.lead_id
		) u USING (lead_id)
	GROUP BY s.lead_id, u.ignored
\$\$;
};
}

# ---------- instants ----------

sub chance { return rand(100) < $_[0]; }
sub one_of { return $_[ rand @_ ]; }

# when the test began, in microseconds
my $now;

# An instant as the day, counted from today, and the time
sub instant_text
{
	my ($at) = @_;
	my $from = $now - $now % $day;
	my $micros = ($at - $from) % $day;
	my $seconds = int($micros / 1e6);
	return sprintf('%+d %02d:%02d', ($at - $micros - $from) / $day, int($seconds / 3600), int($seconds / 60) % 60)
	  . ($micros % 60_000_000 ? sprintf(':%02d.%06d', $seconds % 60, $micros % 1e6) : '');
}

# The same backwards
sub instant
{
	my ($text) = @_;
	my ($days, $hours, $minutes) = $text =~ /^([+-]?\d+) (\d\d):(\d\d)$/ or die "no instant: $text\n";
	return $now - $now % $day + $days * $day + ($hours * 60 + $minutes) * 60_000_000;
}

# ---------- histories worked out by hand ----------

# Points of the model "steady" by age in days: view 10; fair 15, 15, 15, 0; demo
# 20, 18, 16, 14, 12, 10, 8 ...; spam -15; a big company 10. An mql has 20 points
# and was at a fair or a demo, an sql has 40 points and a budget. "down" differs
# in that an mql falls back below 15 points and an sql below 35.
#
# In "gated" an mql was at a fair or has 20 points, in one gate; else it is "down".
# "barred" is "steady", but a lead that has unsubscribed has no points of demos.
#
# A lead is created on day -10 at 09:00 with consent, an address and a budget,
# unless it says otherwise. {first} is there before the writes; a list in {writes}
# are writes of one event. {later} is what comes to {history} in $days_ahead days.
my @by_hand = (
	{
		name => 'points promote when they are there',
		writes => [ '-9 10:00 demo', '-8 10:00 view', '-7 10:00 fair' ],
		history => [ '1 ->iql -10 09:00 created', '1 iql>mql -9 10:00 points', '1 mql>sql -7 10:00 points' ] },
	{
		name => 'a peak at noon promotes though the evening takes it back',
		writes => [ '-9 10:00 demo', '-9 18:00 spam' ],
		history => [ '1 ->iql -10 09:00 created', '1 iql>mql -9 10:00 points' ] },
	{
		name => 'no peak if what takes points away came first',
		writes => [ '-9 09:00 spam', '-9 10:00 demo', '-9 12:00 fair' ],
		history => [ '1 ->iql -10 09:00 created', '1 iql>mql -9 12:00 points' ] },
	{
		name => 'an event before the creation is the birth',
		writes => [ '-12 10:00 demo', '-9 10:00 view', [ '-14 10:00 unknown', 'deleted' ] ],
		history => [ '1 ->visitor -12 10:00 created', '1 visitor>iql -10 09:00 profile', '1 iql>mql -9 10:00 points' ] },
	{
		name => 'a lead that was created earlier in the day',
		writes => [ '-10 08:00 created', '-9 10:00 demo' ],
		history => [ '1 ->visitor -10 08:00 created', '1 visitor>iql -10 09:00 profile', '1 iql>mql -9 10:00 points' ] },
	{
		name => 'what the instant of its birth takes away a lead was never in',
		writes => [ '-10 09:00 view', '-10 09:00 fair', '-10 09:00 view' ],
		history => [ '1 ->iql -10 09:00 created', '1 iql>mql -10 09:00 points' ],
		edges => [ 'keen entered -10 09:00 event', 'ready entered -10 09:00 event', 'keen left -8 00:00 time', 'not keen entered -8 00:00 time' ] },
	{
		name => 'what an event of that instant took away comes back when it was a mistake',
		writes => [ '-10 09:00 view', '-10 09:00 fair', [ '-10 09:00 view', 'deleted' ] ],
		history => [ '1 ->iql -10 09:00 created', '1 iql>mql -10 09:00 points' ],
		edges => [ 'not keen entered -10 09:00 created', 'ready entered -10 09:00 event' ] },
	{
		name => 'a birth before the creation',
		writes => [ '-10 08:00 view', '-10 09:00 fair', '-10 09:00 view' ],
		history => [ '1 ->visitor -10 08:00 created', '1 visitor>mql -10 09:00 points' ],
		edges => [ 'keen entered -10 09:00 event', 'ready entered -10 09:00 event', 'keen left -8 00:00 time', 'not keen entered -8 00:00 time' ] },
	{
		name => 'without consent a stage by hand changes nothing',
		lead => '-10 09:00 profile contactable budget',
		writes => [ '-9 10:00 demo', '-8 12:00 stage_set sql', '-6 08:00 profile consented contactable budget' ],
		history => [ '1 ->visitor -10 09:00 created', '1 visitor>iql -6 08:00 profile' ] },
	{
		name => 'a prospect that gives consent again is a prospect',
		first => [ '-9 10:00 demo', '-9 10:00 fair', '-9 10:00 view' ],
		writes => [ '-8 12:00 contact', '-6 08:00 profile contactable budget', '-5 09:00 view', '-3 08:00 profile consented contactable budget' ],
		history => [ '1 ->iql -10 09:00 created', '1 iql>sql -9 10:00 points', '1 sql>prospect -8 12:00 milestone',
			'1 prospect>visitor -6 08:00 profile', '1 visitor>prospect -3 08:00 profile' ] },
	{
		name => 'what came without consent counts when it is given again',
		first => ['-9 10:00 demo'],
		writes => [ '-8 08:00 profile contactable budget', '-7 10:00 fair', '-7 11:00 view', '-7 11:00 view', '-6 08:00 profile consented contactable budget' ],
		history => [ '1 ->iql -10 09:00 created', '1 iql>mql -9 10:00 points', '1 mql>visitor -8 08:00 profile', '1 visitor>sql -6 08:00 profile' ] },
	{
		name => 'a contact of sales without consent makes no prospect',
		first => [ '-9 10:00 demo', '-9 10:00 fair', '-9 10:00 view' ],
		writes => [ '-8 08:00 profile contactable budget', '-7 12:00 contact', '-6 08:00 profile consented contactable budget' ],
		history => [ '1 ->iql -10 09:00 created', '1 iql>sql -9 10:00 points', '1 sql>visitor -8 08:00 profile', '1 visitor>sql -6 08:00 profile' ] },
	{
		name => 'a purchase without consent makes a customer',
		first => ['-9 10:00 demo'],
		writes => [ '-8 08:00 profile contactable budget', '-7 12:00 purchase', '-6 08:00 profile consented contactable budget', '-5 12:00 recycled', '-4 12:00 disqualified' ],
		history => [ '1 ->iql -10 09:00 created', '1 iql>mql -9 10:00 points', '1 mql>visitor -8 08:00 profile', '1 visitor>customer -7 12:00 milestone' ] },
	{
		name => 'a customer that is lost has churned, and begins anew',
		writes => [ '-9 10:00 demo', '-8 12:00 purchase', '-7 12:00 lost', '-6 08:00 profile consented contactable budget big', '-5 12:00 purchase', '-4 12:00 recycled' ],
		history => [ '1 ->iql -10 09:00 created', '1 iql>mql -9 10:00 points', '1 mql>customer -8 12:00 milestone', '1 customer>lost -7 12:00 milestone',
			'2 lost>customer -5 12:00 milestone' ] },
	{
		name => 'a purchase in the instant in which consent is taken back',
		writes => [ '-9 10:00 demo', '-8 12:00 purchase', '-8 12:00 profile contactable budget' ],
		history => [ '1 ->iql -10 09:00 created', '1 iql>mql -9 10:00 points', '1 mql>customer -8 12:00 milestone' ] },
	{
		name => 'what is set by hand as consent is taken back is no loss of consent',
		first => [ '-9 10:00 demo', '-9 10:00 fair', '-9 10:00 view' ],
		writes => [ '-8 12:00 profile contactable budget', '-8 12:00 stage_set visitor', '-6 08:00 profile consented contactable budget', '-5 10:00 view' ],
		history => [ '1 ->iql -10 09:00 created', '1 iql>sql -9 10:00 points', '1 sql>visitor -8 12:00 set', '1 visitor>mql -5 10:00 points' ] },
	{
		name => 'a step back by hand outlasts a time without consent',
		first => ['-9 09:00 view'],
		writes => [ '-9 10:00 demo', '-8 12:00 stage_set iql', '-7 08:00 profile contactable budget', '-6 08:00 profile consented contactable budget', '-5 10:00 fair' ],
		history => [ '1 ->iql -10 09:00 created', '1 iql>mql -9 10:00 points', '1 mql>iql -8 12:00 set', '1 iql>visitor -7 08:00 profile', '1 visitor>iql -6 08:00 profile',
			'1 iql>mql -5 10:00 points' ] },
	{
		name => 'a late event finds the profile of its time',
		writes => [ '-9 10:00 demo', '-8 10:00 view', '-8 12:00 fair', '-6 08:00 profile consented contactable' ],
		history => [ '1 ->iql -10 09:00 created', '1 iql>mql -9 10:00 points', '1 mql>sql -8 12:00 points' ] },
	{
		name => 'an event that was a mistake is no reason to promote again',
		first => ['-9 10:00 demo'],
		writes => [ '-8 08:00 profile contactable budget', '-7 12:00 lost', [ '-6 10:00 view', 'deleted' ], '-5 08:00 profile consented contactable budget' ],
		history => [ '1 ->iql -10 09:00 created', '1 iql>mql -9 10:00 points', '1 mql>visitor -8 08:00 profile', '1 visitor>lost -7 12:00 milestone' ] },
	{
		name => 'a first event 120 days ahead, and five today',
		first => ['+120 12:00 demo'],
		writes => [ '+0 00:01 fair', '+0 00:02 view', '+0 00:03 spam', '+0 00:04 view', '+0 00:05 demo' ],
		history => [ '1 ->iql -10 09:00 created', '1 iql>mql +0 00:02 points', '1 mql>sql +0 00:05 points' ] },
	{
		name => 'a purchase that is dated decades ahead makes no customer',
		writes => [ '-9 10:00 demo', '+13000 12:00 purchase' ],
		history => [ '1 ->iql -10 09:00 created', '1 iql>mql -9 10:00 points' ] },
	{
		name => 'a purchase that was dated decades ahead, and corrected',
		writes => [ '-9 10:00 demo', [ '+13000 12:00 purchase', '-2 12:00 purchase' ] ],
		history => [ '1 ->iql -10 09:00 created', '1 iql>mql -9 10:00 points', '1 mql>customer -2 12:00 milestone' ] },
	{
		name => 'a milestone that is dated ahead acts when its time comes',
		writes => [ '-9 10:00 demo', '+2 12:00 purchase', '+3 12:00 lost' ],
		history => [ '1 ->iql -10 09:00 created', '1 iql>mql -9 10:00 points' ],
		later => [ '1 mql>customer +2 12:00 milestone', '1 customer>lost +3 12:00 milestone' ] },
	{
		name => 'a purchase that was a mistake leaves no customer',
		writes => [ '-9 10:00 demo', [ '-5 12:00 purchase', 'deleted' ], '-4 12:00 contact' ],
		history => [ '1 ->iql -10 09:00 created', '1 iql>mql -9 10:00 points' ] },
	{
		name => 'after an exit only an event makes points promote again',
		writes => [ '-9 10:00 demo', '-8 12:00 lost', '-7 09:00 profile consented contactable budget big', '-6 10:00 view' ],
		history => [ '1 ->iql -10 09:00 created', '1 iql>mql -9 10:00 points', '1 mql>lost -8 12:00 milestone', '2 lost>mql -6 10:00 points' ] },
	{
		name => 'of one instant: up the funnel first, and no exit of a customer but to lost',
		first => [ '-9 10:00 demo', '-9 10:00 fair', '-9 10:00 view' ],
		writes => [ '-8 12:00 contact', '-8 12:00 purchase', '-8 12:00 recycled', '-7 12:00 purchase', '-7 12:00 lost' ],
		history => [ '1 ->iql -10 09:00 created', '1 iql>sql -9 10:00 points', '1 sql>prospect -8 12:00 milestone', '1 prospect>customer -8 12:00 milestone',
			'1 customer>lost -7 12:00 milestone' ] },
	{
		name => 'of one instant: points first, then exits, the gravest last',
		writes => [ '-9 10:00 demo', '-9 10:00 lost', '-9 10:00 recycled', '-9 10:01 view' ],
		history => [ '1 ->iql -10 09:00 created', '1 iql>mql -9 10:00 points', '1 mql>recycled -9 10:00 milestone', '1 recycled>lost -9 10:00 milestone', '2 lost>mql -9 10:01 points' ] },
	{
		name => 'a step back by hand stays until the next positive event',
		first => ['-9 09:00 view'],
		writes => [ '-9 10:00 demo', '-8 12:00 stage_set iql', '-7 10:00 spam', '-6 10:00 fair', '-5 12:00 stage_set advocate' ],
		history => [ '1 ->iql -10 09:00 created', '1 iql>mql -9 10:00 points', '1 mql>iql -8 12:00 set', '1 iql>mql -6 10:00 points', '1 mql>advocate -5 12:00 set' ] },
	{
		name => 'points fade, come back and fade',
		model => 'down',
		writes => [ '-9 10:00 demo', '-5 10:00 view', '+1 12:00 fair' ],
		history => [ '1 ->iql -10 09:00 created', '1 iql>mql -9 10:00 points', '1 mql>iql -6 00:00 decay', '1 iql>mql -5 10:00 points', '1 mql>iql -1 00:00 decay' ],
		later => [ '1 iql>mql +1 12:00 points', '1 mql>iql +4 00:00 decay' ] },
	{
		name => 'a profile opens a gate, points fade step by step',
		model => 'down',
		lead => '-10 09:00 profile consented contactable',
		writes => [ '-9 10:00 demo', '-9 10:30 fair', '-9 11:00 view', '-8 09:00 profile consented contactable budget' ],
		history => [ '1 ->iql -10 09:00 created', '1 iql>mql -9 10:00 points', '1 mql>sql -8 09:00 profile', '1 sql>mql -6 00:00 decay', '1 mql>iql -1 00:00 decay' ] },
	{
		name => 'points in a gate promote, and do not hold up',
		model => 'gated',
		writes => [ '-9 10:00 spam', '-9 11:00 demo', '-9 12:00 view', '-9 13:00 view' ],
		history => [ '1 ->iql -10 09:00 created', '1 iql>mql -9 13:00 points' ] },
	{
		name => 'an sql that falls back is an mql while the gate holds',
		model => 'gated',
		writes => [ '-9 10:00 demo', '-9 11:00 view', '-9 12:00 view' ],
		history => [ '1 ->iql -10 09:00 created', '1 iql>mql -9 10:00 points', '1 mql>sql -9 12:00 points', '1 sql>mql -6 00:00 decay' ] },
	{
		name => 'what bars points later in the day has not barred them before',
		model => 'barred',
		writes => [ '-9 10:00 demo', '-9 18:00 unsubscribe', '-8 10:00 unsubscribe' ],
		history => [ '1 ->iql -10 09:00 created', '1 iql>mql -9 10:00 points' ] },
	{
		name => 'the other row of the gate needs no points',
		model => 'gated',
		writes => [ '-9 10:00 spam', '-9 11:00 fair' ],
		history => [ '1 ->iql -10 09:00 created', '1 iql>mql -9 11:00 points' ] });

# A write in words: its instant, and a kind of event, what a profile says, or
# when the lead was created
sub write_of
{
	my ($words) = @_;
	return { what => 'delete' } if $words eq 'deleted';
	my ($at, $kind, @rest) = $words =~ /^(\S+ \S+) (\w+) ?(.*)/;
	@rest = split / /, $rest[0];
	return { what => 'created', at => instant($at) } if $kind eq 'created';
	return { what => 'profile', at => instant($at), profile => { map { my $signal = $_; $signal => (grep { $_ eq $signal } @rest) || 0 } keys %condition } } if $kind eq 'profile';
	return { what => 'insert', event => { at => instant($at), kind => $kind, stage => $rest[0] } };
}

sub set_by_hand
{
	my ($case) = @_;
	my (@chains, @profiles);
	foreach my $write (@{ $case->{writes} })
	{
		my @chain = map { write_of($_) } ref $write ? @$write : $write;
		$_->{what} = 'update' foreach grep { $_->{what} eq 'insert' } @chain[ 1 .. $#chain ];
		if ($chain[0]{what} eq 'profile') { push @profiles, @chain; }
		else { push @chains, \@chain; }
	}
	push @chains, \@profiles if @profiles;
	my $lead = write_of($case->{lead} // '-10 09:00 profile consented contactable budget');
	return {
		%$case, lead => { created => $lead->{at}, profile_at => $lead->{at}, profile => $lead->{profile} },
		base => [ map { write_of($_)->{event} } @{ $case->{first} || [] } ], chains => \@chains };
}

# ---------- random sets ----------

# A set is {lead, base => events that are there first, chains => lists of writes
# that come in their order, long}.

sub random_profile
{
	my ($sure) = @_;
	return {
		consented => chance($sure) || 0, contactable => chance(95) || 0, budget => chance(60) || 0, big => chance(30) || 0, rival => chance(15) || 0 };
}

sub random_event
{
	my ($at, @kinds) = @_;
	@kinds = ((@scoring) x 3, 'demo', 'demo', (@milestones) x 2, 'contact', 'unsubscribe', ('stage_set') x 5, 'unknown') if !@kinds;
	my %event = (at => $at, kind => one_of(@kinds));
	$event{stage} = one_of(qw(visitor iql mql mql sql sql prospect customer advocate lost recycled disqualified nonsense)) if $event{kind} eq 'stage_set';
	return \%event;
}

sub random_set
{
	my ($width, $long) = @_;
	my $today = $now - $now % $width;
	my $created = $today - (2 + int rand 9) * $width - one_of(0, int rand $width);
	my $past = sub {
		# a microsecond after the creation is what consent may make of updated_at: a profile of then would be one of now
		my $at = $created + 2 + int rand($now - $created - 2);
		return chance(20) ? max($at - $at % $width, $created + 2) : $at;
	};
	my $any = sub {
		return one_of($created, $created - int rand 2 * $width) if chance(10);
		return one_of($now + 600_000_000 + int rand(2 * $width), $today + one_of(1 .. $days_ahead) * $width, $today + $width - 1) if chance(12);
		return $past->();
	};
	# of few instants some are met twice
	my ($few, $few_past) = ($any, $past);
	if (chance(60))
	{
		my @past = map { $past->() } 1 .. ($long ? 8 : 3);
		my @any = (@past, $any->());
		$few = sub { return one_of(@any); };
		$few_past = sub { return one_of(@past); };
	}
	my @base = map { random_event(chance(85) ? $few_past->() : $created - int rand 2 * $width, chance(60) ? qw(view fair demo) : ()) } 1 .. int rand 4;
	my (@chains, @profiles);
	# profiles of one instant are one profile
	my %taken = ($created => 1);
	for (my $left = $long ? $most_writes_long / 2 + int rand($most_writes_long / 2 + 1) : 2 + int rand($most_writes - 1); $left > 0;)
	{
		if (chance($long ? 10 : 25))
		{
			my $at = $few_past->();
			push @profiles, { what => 'profile', at => $at } if !$taken{$at}++;
			$left--;
			next;
		}
		if (chance(6) && !grep { $_->[0]{what} eq 'created' } @chains)
		{
			push @chains, [ { what => 'created', at => one_of($created - int rand $width, $created + int rand $width, $any->()) } ];
			$left--;
			next;
		}
		my @chain = { what => 'insert', event => random_event($few->()) };
		if ($left > 1 && chance(30))
		{
			# another kind, another time, or both; or it never was
			my %right = %{ random_event($few->()) };
			$right{at} = $chain[0]{event}{at} if chance(30);
			@right{qw(kind stage)} = @{ $chain[0]{event} }{qw(kind stage)} if chance(30);
			push @chain, chance(40) ? { what => 'delete' } : { what => 'update', event => \%right };
		}
		push @chains, \@chain;
		$left -= @chain;
	}
	my $first = random_profile(75);
	my $profile = $first;
	foreach my $write (sort { $a->{at} <=> $b->{at} } @profiles)
	{
		# mostly one thing changes
		my $signal = one_of('consented', 'budget', keys %condition);
		$profile = $write->{profile} = chance(30) ? random_profile(60) : { %$profile, $signal => 1 - $profile->{$signal} };
	}
	push @chains, [ sort { $a->{at} <=> $b->{at} } @profiles ] if @profiles;
	return { lead => { created => $created, profile_at => $created, profile => $first }, base => \@base, chains => \@chains, long => $long };
}

# What a set amounts to: a lead
sub final_lead
{
	my ($set) = @_;
	my ($created) = map { $_->{at} } grep { $_->{what} eq 'created' } map { @$_ } @{ $set->{chains} };
	return { %{ $set->{lead} }, created => $created // $set->{lead}{created} };
}

# and what happens to it
sub final_items
{
	my ($set) = @_;
	my @items = @{ $set->{base} };
	foreach my $chain (grep { $_->[0]{what} ne 'created' } @{ $set->{chains} })
	{
		push @items, $chain->[0]{what} eq 'profile' ? @$chain : grep { defined } $chain->[-1]{event};
	}
	return \@items;
}

# Is there only one thing at each instant, whatever was written, and none where
# a bucket begins? Then no other cause can have been recorded.
sub has_causes
{
	my ($set, $width) = @_;
	my %seen;
	my @at = map { ($_->{event} || $_)->{at} // () } map { @$_ } @{ $set->{chains} };
	return !grep { $seen{$_}++ || $_ % $width == 0 } @at, $set->{lead}{created}, map { $_->{at} } @{ $set->{base} };
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

sub instant_sql
{
	my ($at) = @_;
	my @t = gmtime(int($at / 1e6));
	return sprintf('%04d-%02d-%02d %02d:%02d:%02d.%06d+00', $t[5] + 1900, $t[4] + 1, @t[ 3, 2, 1, 0 ], $at % 1_000_000);
}

# Rows of the table write: (what, key, kind, at, stage, consented, email, profile)
sub event_row
{
	my ($what, $key, $event) = @_;
	# what is deleted, and a creation, have no kind
	return ($what, $key, $event->{kind}, $event->{at} ? instant_sql($event->{at}) : undef, $event->{stage}, undef, undef, undef);
}

sub profile_row
{
	my ($what, $at, $p) = @_;
	return ($what, undef, undef, instant_sql($at), undef, $p->{consented} ? 't' : 'f', $p->{contactable} ? 'x@example.com' : 'none',
		'{' . join(', ', map { qq("$_": ) . ($p->{$_} ? 'true' : 'false') } qw(budget big rival)) . '}');
}

# A way to write a set: {steps => lists of numbers of chains whose next writes
# come together, from => the step of the first, base => that of the events that
# are there first, chains}
sub ways
{
	my ($set) = @_;
	my @chains = @{ $set->{chains} };
	my @ways = map { { steps => $_ } } $set->{long} ? map { some_order(@chains) } 1 .. 6 : map { [ map { [$_] } @$_ ] } orders(map { scalar @$_ } @chains);
	$_ = { chains => \@chains, from => 2, base => 1, %$_ } foreach @ways;

	# and what they amount to, all events at once
	my @final = map { !$_->[0]{event} ? $_ : $_->[-1]{event} ? [ { what => 'insert', event => $_->[-1]{event} } ] : () } @chains;
	my @events = grep { $final[$_][0]{event} } 0 .. $#final;
	my @others = map { [$_] } map { my $chain = $_; map { $chain } @{ $final[$chain] } } grep { !$final[$_][0]{event} } 0 .. $#final;
	return (@ways,
		{ chains => \@final, from => 1, base => 1, steps => [ \@events, @others ] },
		{ chains => \@final, from => 2, base => 2 + @others, steps => [ @others, \@events ] });
}

# Some order of chains, with a few writes together
sub some_order
{
	my @chains = @_;
	my $together = one_of(0, 0, 40);
	my @steps;
	my %used;
	foreach my $chain (shuffle map { my $chain = $_; map { $chain } @{ $chains[$chain] } } 0 .. $#chains)
	{
		if (!@steps || $used{$chain} || !chance($together)) { push @steps, []; %used = (); }
		push @{ $steps[-1] }, $chain;
		$used{$chain} = 1;
	}
	return \@steps;
}

# The rows of a way: step, and what is written then
sub way_rows
{
	my ($set, $way) = @_;
	my @rows = ([ 0, profile_row('lead', $set->{lead}{created}, $set->{lead}{profile}) ],
		map { [ $way->{base}, event_row('insert', "base $_", $set->{base}[$_]) ] } 0 .. $#{ $set->{base} });
	my %done;
	foreach my $i (0 .. $#{ $way->{steps} })
	{
		foreach my $chain (@{ $way->{steps}[$i] })
		{
			my $write = $way->{chains}[$chain][ $done{$chain}++ ];
			push @rows, [ $way->{from} + $i, $write->{profile} ? profile_row('profile', @$write{qw(at profile)}) : event_row($write->{what}, $chain, $write->{event} || $write) ];
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
	my ($days) = @_;
	$node->stop('fast');
	local %ENV = (%ENV, LD_PRELOAD => $faketime, FAKETIME => "+${days}d", DONT_FAKE_MONOTONIC => 1);
	$node->start;
}

sub server_now { return psql('SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint'); }

# Write some sets into a pipeline, each in all ways; meanwhile activate another
# model, and change segments.
sub write_sets
{
	my ($p, $sets, $changes, $grain, $model) = @_;
	my $id = 0;
	my $last_step = 3;
	open my $fh, '>', "$dir/write" or die $!;
	foreach my $set (@$sets)
	{
		$set->{first_id} = $id + 1;
		$set->{ways} = [ ways($set) ];
		foreach my $way (@{ $set->{ways} })
		{
			$id++;
			foreach my $row (way_rows($set, $way))
			{
				print $fh join("\t", $id, map { $_ // '\N' } @$row), "\n";
				$last_step = max($last_step, $row->[0]);
			}
		}
	}
	close $fh;
	my @calls;
	foreach my $step (0 .. max($last_step, grep { /\d/ } keys %$changes))
	{
		my @now = map { change_sql($p, $grain, $_) } @{ $changes->{$step} || [] };
		splice @now, int rand(@now + 1), 0, "SELECT $p.activate_model(" . quoted($model) . ");\n" if $model && $step == 4;
		push @calls, @now, "CALL $p.run_step($step);\n";
	}
	psql("COPY $p.write FROM '$dir/write'; CREATE INDEX ON $p.write (step, what); ANALYZE $p.write;\n" . join '', @calls);
	return $id;
}

# What was in use when: [since, model, {name => segment}], the last one of those
# before there was a lead first
sub configurations
{
	my ($p, $changes, @models) = @_;
	my (%defined, %active, @configurations);
	push @{ $defined{ $_->{name} } }, $_ foreach map { $_->{activate} || $_->{replace} || () } map { @{ $changes->{$_} } } 'before', sort grep { /\d/ } keys %$changes;
	my $model;
	foreach (split /\n/, psql("SELECT (extract(epoch FROM activated_at) * 1000000)::bigint, model, segment, retired FROM (
			SELECT activation_id, activated_at, model, NULL AS segment, NULL AS retired FROM $p.model_activation UNION ALL
			SELECT activation_id, activated_at, NULL, segment, definition IS NULL FROM $p.segment_activation) a ORDER BY activation_id"))
	{
		my ($at, $name, $segment, $retired) = split /\|/, $_, -1;
		if ($name ne '') { ($model) = grep { $_->{name} eq $name } @models; }
		elsif ($retired eq 't') { delete $active{$segment}; }
		else { $active{$segment} = shift @{ $defined{$segment} }; }
		push @configurations, [ $at, $model, {%active} ] if $model;
	}
	return \@configurations;
}

# A row of a history in words: with its cause, with its model and whether the
# contact was a lead
sub row_text
{
	my ($row, $with_cause, $with_model) = @_;
	return join ' ', $row->{cycle}, "$row->{from}>$row->{to}", instant_text($row->{at}), $with_cause ? $row->{cause} : (), $with_model ? ($row->{model}, $row->{is_lead} ? () : 'no lead') : ();
}

sub edge_text
{
	my ($edge) = @_;
	return join ' ', $edge->{segment}, $edge->{entered} ? 'entered' : 'left', instant_text($edge->{at}), $edge->{cause};
}

# The edges of one instant in the order of segments
sub edges_text { return map { edge_text($_) } sort { $a->{at} <=> $b->{at} || $a->{segment} cmp $b->{segment} } @_; }

sub event_text
{
	my ($event) = @_;
	return join ' ', instant_text($event->{at}), $event->{kind}, $event->{stage} // ();
}

# Where a lead stands in the end, and with how many points
sub standing_text
{
	my ($life) = @_;
	my $since = max map { $_->{at} } @{ $life->{edges} };
	return sprintf "now %s since %s, cycle %d, %.3f points, in %s since %s", $life->{stage}, instant_text($life->{since}), $life->{cycle}, $life->{score} / 1000,
	  join(', ', sort keys %{ $life->{segments} }) || 'no segment', defined $since ? instant_text($since) : 'ever';
}

sub profile_text
{
	my ($profile) = @_;
	return join ' ', 'profile', grep { $profile->{$_} } sort keys %$profile;
}

# A set that is written in some way
sub describe
{
	my ($set, $way) = @_;
	my %done;
	my @lines = ('step 0: lead created ' . instant_text($set->{lead}{created}) . ' ' . profile_text($set->{lead}{profile}),
		map { "step $way->{base}: " . event_text($_) } @{ $set->{base} });
	foreach my $i (0 .. $#{ $way->{steps} })
	{
		foreach my $chain (@{ $way->{steps}[$i] })
		{
			my $write = $way->{chains}[$chain][ $done{$chain}++ ];
			push @lines, join ' ', 'step', $way->{from} + $i . ':', $write->{event} ? ($write->{what}, "event $chain", event_text($write->{event}))
			  : $write->{at} ? (instant_text($write->{at}), $write->{profile} ? profile_text($write->{profile}) : 'created')
			  : ('delete', "event $chain");
		}
	}
	return join "\n", @lines;
}

# The leads of a pipeline as they are: {lead_id => {rows, stage, since, cycle, score}}
sub read_lives
{
	my ($p, $at) = @_;
	my %lives;
	foreach (split /\n/, psql("SELECT * FROM $p.lives(to_timestamp($at / 1e6))"))
	{
		my ($id, $stage, $since, $cycle, $score, $ignored, $segments, $segments_since, $edges, $rows) = split /\|/;
		$lives{$id} = { stage => $stage, since => $since, cycle => $cycle, score => $score, ignored => [], rows => [], edges => [] };
		$lives{$id}{segments} = { map { $_ => 1 } split /, /, $segments };
		foreach (split /;/, $edges)
		{
			my %edge;
			@edge{qw(segment entered at cause)} = split /,/;
			push @{ $lives{$id}{edges} }, \%edge;
		}
		# what is stored beside the edges must be what they say
		my ($last) = reverse map { $_->{at} } @{ $lives{$id}{edges} };
		$lives{$id}{stage} .= " (segments_since is $segments_since)" if $segments_since ne ($last // '');
		foreach (split /;/, $ignored)
		{
			my %event;
			@event{qw(at kind stage)} = split /,/;
			push @{ $lives{$id}{ignored} }, \%event;
		}
		foreach (split /;/, $rows)
		{
			my %row;
			@row{qw(cycle from to at cause model is_lead)} = split /,/;
			push @{ $lives{$id}{rows} }, \%row;
		}
	}
	return \%lives;
}

# Compare sets of a pipeline with the oracle, and the oracle with what was worked
# out by hand. Options: later, in $days_ahead days; unswept, as they are since an
# instant.
sub compare
{
	my ($p, $sets, $models, $when, %option) = @_;
	my $width = $models->[0][1]{grain} eq 'hour' ? $day / 24 : $day;
	my ($lives, $at, $after);
	# again if meanwhile a bucket begins, or something dated ahead is due
	do
	{
		$at = server_now();
		# a bucket that has begun is for a sweep
		psql("CALL $p.sweep_all()") if !$option{unswept} || int($at / $width) != int($option{unswept} / $width);
		$lives = read_lives($p, $at);
		$after = server_now();
	} while (int($at / $width) != int($after / $width) || grep { $_->{at} > $at && $_->{at} <= $after } map { @{ final_items($_) } } @$sets);
	my $wrong = 0;
	foreach my $set (@$sets)
	{
		my $right = life($models, final_lead($set), final_items($set), $at);
		if ($set->{history})
		{
			my @found = map { row_text($_, 1) } @{ $right->{rows} };
			is_deeply(\@found, [ @{ $set->{history} }, $option{later} ? @{ $set->{later} || [] } : () ], "by hand, $when: $set->{name}");
			is_deeply([ edges_text(@{ $right->{edges} }) ], [ @{ $set->{edges} }, $option{later} ? @{ $set->{edges_later} || [] } : () ], "by hand, $when, segments: $set->{name}")
			  if $set->{edges};
		}
		my $with_causes = has_causes($set, $width);
		my $text = sub { my ($life) = @_; return join "\n", (map { row_text($_, $with_causes, 1) } @{ $life->{rows} }), edges_text(@{ $life->{edges} }), standing_text($life), sort map { 'ignored ' . event_text($_) } @{ $life->{ignored} }; };
		my $expected = $text->($right);
		my @others = grep { !$lives->{ $set->{first_id} + $_ } || $text->($lives->{ $set->{first_id} + $_ }) ne $expected } 0 .. $#{ $set->{ways} };
		next if !@others;
		diag("$p, $when", $set->{name} ? ", $set->{name}" : '', ': ', scalar @others, ' of ', scalar @{ $set->{ways} },
			" ways, ORDERS_SEED=$seed ORDERS_SETS=$sets_each, such as\n", describe($set, $set->{ways}[ $others[0] ]),
			"\n-- lead ", $set->{first_id} + $others[0], ":\n", $lives->{ $set->{first_id} + $others[0] } ? $text->($lives->{ $set->{first_id} + $others[0] }) : 'missing',
			"\n-- expected:\n$expected\n") if $wrong < 10;
		$wrong++;
	}
	is($wrong, 0, "$p, $when: histories as they should be, whatever the order");
	is(psql("SELECT v.* FROM $p.verify() v LIMIT 5"), '', "$p, $when: verify() is empty") if !$option{unswept};
}

# Ask about segments of a lead of each set, and compare the answers with the oracle.
sub ask
{
	my ($p, $sets, $configurations, $when) = @_;
	my $width = $configurations->[0][1]{grain} eq 'hour' ? $day / 24 : $day;
	my $now = server_now();
	my %asked;
	foreach my $set (@$sets)
	{
		my $right = life($configurations, final_lead($set), final_items($set), $now);
		my @edges = map { $_->{at} } @{ $right->{edges} };
		my $birth = $right->{rows}[0]{at};
		$asked{ $set->{first_id} + int rand @{ $set->{ways} } } = { set => $set, at => [
				$birth - 1, $birth + int rand($now - $birth), (map { one_of($_ - 1, $_, $_ + 1) } @edges ? (one_of(@edges), one_of(@edges)) : ()), $now,
				$now + int rand 2 * $width, $now + int rand(6 * $width) ] };
	}
	my $instants = join ', ', map { my $id = $_; map { "($id, $_)" } @{ $asked{$id}{at} } } sort { $a <=> $b } keys %asked;
	my $leads = join ', ', sort { $a <=> $b } keys %asked;
	my $script = qq{
		BEGIN ISOLATION LEVEL REPEATABLE READ;
		SELECT 'now', (extract(epoch FROM now()) * 1000000)::bigint;
		SELECT 'lead', lead_id, 'is in', segment, 'at', at, $p.in_segment_by_id(lead_id, segment, to_timestamp(at / 1000000) + at % 1000000 * interval '1 microsecond')::int
			FROM (VALUES $instants) i (lead_id, at) CROSS JOIN $p.segment;
		SELECT 'lead', lead_id, 'is member of', segment FROM $p.segment_members WHERE lead_id IN ($leads);
		SELECT 'lead', lead_id, 'matches', persona, round(match_share, 3), is_member::int FROM unnest('{$leads}'::bigint[]) lead_id, $p.persona_match_by_id(lead_id);
		SELECT 'lead', lead_id, 'meets', segment, n, condition, met::int FROM unnest('{$leads}'::bigint[]) lead_id, $p.segment,
			ROWS FROM ($p.explain_segment_by_id(lead_id, segment)) WITH ORDINALITY x (condition, asks, has, met, weight, n)};
	my ($at, @answers) = split /\n/, psql($script);
	$at =~ s/^now\|//;
	my @right;
	foreach my $id (sort { $a <=> $b } keys %asked)
	{
		my $set = $asked{$id}{set};
		my $lived = life($configurations, final_lead($set), final_items($set), $at);
		my %all = map { map { $_ => 1 } keys %{ $_->[2] } } @$configurations;
		foreach my $instant (@{ $asked{$id}{at} })
		{
			my $life = $instant > $at ? life($configurations, final_lead($set), final_items($set), $instant) : $lived;
			push @right, map { "lead|$id|is in|$_|at|$instant|" . was_in($life, $_, $instant) } keys %all;
		}
		push @right, map { "lead|$id|is member of|$_" } keys %{ $lived->{segments} };
		foreach my $name (keys %{ $lived->{active} })
		{
			my $segment = $lived->{active}{$name};
			my ($held, $of) = segment_match($lived, $name, $at);
			push @right, sprintf("lead|$id|matches|$name|%.3f|%d", int($held * 1000 / $of) / 1000, $lived->{segments}{$name} // 0) if $segment->{persona};
			my $n = 0;
			push @right, map { join '|', 'lead', $id, 'meets', $name, ++$n, $_->{condition}, segment_condition_holds($lived, $_, $at) ? 1 : 0 }
			  sort { $a->{condition} cmp $b->{condition} } @{ $segment->{conditions} };
		}
	}
	my %answers = map { $_ => 1 } @answers;
	my %right = map { $_ => 1 } @right;
	my @wrong = ((map { "found: $_" } grep { !$right{$_} } @answers), map { "expected: $_" } grep { !$answers{$_} } @right);
	my %wrong = map { /lead\|(\d+)/ ? ($1 => 1) : () } @wrong;
	foreach my $id ((sort { $a <=> $b } keys %wrong)[ 0 .. 1 ])
	{
		next if !$id;
		my $set = $asked{$id}{set};
		diag("$p, $when, lead $id, ORDERS_SEED=$seed ORDERS_SETS=$sets_each:\n", describe($set, $set->{ways}[ $id - $set->{first_id} ]), "\n-- now ", instant_text($at), "\n",
			map { "$_\n" } grep { /lead\|$id\|/ } @wrong);
	}
	is(scalar @wrong, 0, "$p, $when: what is said of segments");
	return scalar @right;
}

# What events do in silence functions refuse, and say why.
sub check_calls
{
	my ($p) = @_;
	psql("SELECT setval('$p.lead_lead_id_seq', 1000000); SELECT $p.upsert_lead('ann', 'ann\@mail.example')");
	my ($out, $err) = ('', '');
	$node->psql('orders', "\\set VERBOSITY verbose\nSELECT $p.set_stage('ann', 'sql')", stdout => \$out, stderr => \$err);
	like($err, qr/ERROR:  55000: cannot set lead \d+ to stage sql because it fails the gates of stage iql.*\nDETAIL:  Missing: consent \(consented\)\.\nHINT:  /, 'a call that sets a stage says that consent is missing');
	is(psql("SELECT count(*) FROM $p.event WHERE lead_id = $p.lead_id('ann')"), 0, 'and writes no event');
	is(psql("SELECT stage FROM $p.track('ann', 'stage_set', '{\"stage\": \"sql\"}')"), 'visitor', 'an event changes nothing');
	is(psql("SELECT kind, reason FROM $p.unscored_events WHERE lead_id = $p.lead_id('ann')"), 'stage_set|stage not set', 'and is listed');
	is(psql("SELECT $p.upsert_lead('ann', consent => true) > 0; SELECT $p.set_stage('ann', 'sql')"), "t\nsql", 'with consent the call does it');
	is(psql("SELECT kind, reason FROM $p.unscored_events WHERE lead_id = $p.lead_id('ann')"), 'stage_set|stage not set', 'and is not listed');
	# a lead that a new signal is to be counted of says that it wants no messages
	psql("SELECT $p.upsert_lead('bob', 'bob\@mail.example', consent => true); SELECT $p.track('bob', 'purchase');
		INSERT INTO $p.signal (signal, source, condition) VALUES ('nobody', 'profile', '\$.nobody == true')");
	psql("SELECT $p.track('bob', 'unsubscribe')");
	is(psql("SELECT stage, activity::text ~ '10\@[0-9-]*:1,' FROM $p.lead_state WHERE lead_id = $p.lead_id('bob')"), 'customer|t', 'what it says is counted once');
	is(psql("SELECT v.* FROM $p.verify() v"), '', 'and verify() is empty');
	psql("DELETE FROM $p.lead WHERE external_id IN ('ann', 'bob')");
}

# ---------- the test ----------

$node->safe_psql('postgres', 'CREATE DATABASE orders');
psql('CREATE EXTENSION leadscore');
$now = time * 1_000_000;
my $begin = time;
my @names = ('by_hand', 'down', 'gated', 'barred', sort keys %pipelines);
my %chosen = map { $_ => 1 } split /,/, $ENV{ORDERS_PIPELINES} || join ',', @names;
my %models = (%pipelines, by_hand => [ $pipelines{steady}[0] ], down => [ model('down', %plain, allow_demotion => 1, margin => 5) ],
	barred => [ model('barred', %plain, rules => [ map { $_->{signal} eq 'demo' ? { %$_, unless => ['unsubscribe'] } : $_ } @plain_rules ]) ],
	gated => [ model('gated', %plain, allow_demotion => 1, margin => 5,
			stages => { %{ $plain{stages} }, mql => { gates => [ { gate => 'interest', signal => 'fair' }, { gate => 'interest', points => 20 } ] } }) ]);
my %sets;
my %active;
foreach my $i (0 .. $#names)
{
	my $p = $names[$i];
	my ($first, $second) = @{ $models{$p} };
	next if !$chosen{$p};
	srand($seed + $i);
	my $width = $first->{grain} eq 'hour' ? $day / 24 : $day;
	my $changes = $second ? random_changes($width) : { before => [ map { { activate => {%$_} } } @segments_by_hand ] };
	psql(pipeline_sql($p, $changes, @{ $models{$p} }));
	$sets{$p} = $second ? [ map { random_set($width, $_ % 10 == 0) } 1 .. $sets_each ]
	  : [ map { set_by_hand($_) } grep { ($_->{model} // 'by_hand') eq $p } @by_hand ];
	my $leads = write_sets($p, $sets{$p}, $changes, $first->{grain}, $second && $second->{name});
	$active{$p} = configurations($p, $changes, @{ $models{$p} });
	ask($p, $sets{$p}, $active{$p}, 'as written');
	compare($p, $sets{$p}, $active{$p}, 'as written');
	psql("SELECT $p.rebuild()");
	compare($p, $sets{$p}, $active{$p}, 'rebuilt');
	check_calls($p) if $p eq 'by_hand';
	note("$p: ", scalar @{ $sets{$p} }, " sets, $leads leads, ", time - $begin, ' s');
}
SKIP:
{
	skip('libfaketime is not installed', 1) if !$faketime;
	set_clock($days_ahead);
	# what is due by now, and not recorded yet, comes before what is written now
	@names = grep { $chosen{$_} } @names;
	ask($_, $sets{$_}, $active{$_}, "$days_ahead days later, before a sweep") foreach @names;
	foreach my $p (grep { $chosen{$_} } sort keys %pipelines)
	{
		my @some = @{ $sets{$p} }[ grep { $_ % 2 } 0 .. $#{ $sets{$p} } ];
		my $event = { kind => 'view', at => $now + $days_ahead * $day };
		push @{ $_->{base} }, $event foreach @some;
		my $written_at = server_now();
		psql(join '', map { "INSERT INTO $p.event (lead_id, kind, occurred_at) SELECT i, 'view', '" . instant_sql($event->{at})
			  . "' FROM generate_series($_->{first_id}, " . ($_->{first_id} + $#{ $_->{ways} }) . ") i;\n" } @some);
		compare($p, \@some, $active{$p}, "written $days_ahead days later", unswept => $written_at);
	}
	compare($_, $sets{$_}, $active{$_}, "$days_ahead days later", later => 1) foreach @names;
}
note("seed $seed, ", time - $begin, ' s');
$node->stop;
done_testing();
