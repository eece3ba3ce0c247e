# Random histories: whatever the order in which the same events arrive, are
# corrected, moved and deleted, and in however few statements, states and the
# valid histories of stages and segments are those that the final events give in
# time order.
#
# A history is a lead (sometimes two, that events move between) and its
# operations. Many histories run at a time, each statement works on one
# operation or several of all of them. Each history is written three times:
#
#   live   operation by operation, in the order in which they arrive
#   order  the final events and profiles only, one by one, in time order
#   batch  the final events in one statement, profiles before or after them
#
# All must stand alike, and as before after a replay by rebuild(). Segments are
# random too, and are activated before there is a lead, and while the histories
# are written. What is said of segments before a sweep is what the sweep records:
# of now and of the past, and segment_preview() says who activate_segment() finds.
#
# A purge is of all leads that are there, so of those of live and order, and what
# is in batch was never purged. In time order nothing comes that is dated before
# a line that was drawn. In live it may: then its counts must be right, if the
# purge has left the events there, and the stages before the line stay.
#
# Within an instant the order of arrival does not matter, except that of two
# profiles of a lead the later one holds. An event of a bucket to come waits
# for its bucket, a milestone for its instant: all that is compared is swept
# first.
#
# Environment:
#   RANDOM_SEED       repeats a run (printed when it fails)
#   RANDOM_HISTORIES  how many for each preset and grain
#   RANDOM_KINDS      classes of operations, all of them if not set: see @kinds;
#                     -x,-y: all but these
#   RANDOM_PIPELINES  such as "inbound 1 day,enterprise 1 hour"
#   RANDOM_OPS        at most so many events in a history
#   RANDOM_SHRINK     how many failed histories are made minimal, default 1

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use List::Util qw(max min shuffle);

my @kinds = qw(
	late
	milestone
	exit
	set
	reset
	profile
	consent
	future
	extreme
	early
	equal
	boundary
	correct
	move
	model
	newcomer
	segment
	purge
	txn
	sweep
	clock
);
# late       events arrive in any order          boundary  instants where a bucket begins
# milestone  sales_contact, purchase             correct   events are wrong first, or are deleted
# exit       lost, recycled, disqualified        move      they are another lead's first
# set        stage_set                           model     models are edited and activated
# reset      unsubscribe                         txn       several statements in a transaction
# profile    profiles change                     sweep     sweep() in between
# consent    consent is given and withdrawn
# future     instants to come                    equal     several things in one instant
# extreme    the first and the last instants     early     events before the lead's creation
# newcomer   leads are written after activations that they were there for
# segment    random segments are activated, replaced and retired
# purge      events of before some instant are purged in between
# clock      days pass between activations (needs Debian's libfaketime)

my %on = map { $_ => 1 } @kinds;
if (my $chosen = $ENV{RANDOM_KINDS})
{
	my @names = split /[, ]+/, $chosen;
	my @bad = grep { my $name = s/^-//r; !grep { $_ eq $name } @kinds } @names;
	die "unknown kinds: @bad\n" if @bad;
	%on = () if grep { !/^-/ } @names;
	/^-(.*)/ ? delete $on{$1} : ($on{$_} = 1) foreach @names;
}
my ($faketime) = grep { -e $_ } glob('/usr/lib/*/faketime/libfaketime.so.1');
delete $on{clock} if !$faketime;
my $seed = $ENV{RANDOM_SEED} // int(rand(1e9));
my $count = $ENV{RANDOM_HISTORIES} || 150;
my $most_events = $ENV{RANDOM_OPS} || 10;
my $shrink = $ENV{RANDOM_SHRINK} // 1;
my @pipelines = split /,/, $ENV{RANDOM_PIPELINES} || 'inbound 1 day,inbound 1 hour,enterprise 1 day,enterprise 1 hour,multidimensional 1 day';
# the times between activations; in the first one everything is long ago
my $phases = 3;
my $rounds_of_phase = 1000;

my $node = PostgreSQL::Test::Cluster->new('random');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\nautovacuum = off\n");
$node->start;
my $dir = PostgreSQL::Test::Utils::tempdir;

# Start the server anew, its clock so many seconds ahead.
sub set_clock
{
	my ($ahead) = @_;
	$node->stop('fast');
	local %ENV = (%ENV, LD_PRELOAD => $faketime, FAKETIME => "+$ahead", DONT_FAKE_MONOTONIC => 1) if $ahead;
	$node->start;
}

# ---------- generate ----------

# of the pipeline at hand: seconds of a bucket, when it began, how many seconds
# ahead the clock is in each phase, and how segments change as each phase begins
my ($width, $now, @ahead, $segments, $purges);

sub chance { return rand(100) < $_[0]; }
sub one_of { return $_[ rand @_ ]; }

sub instant
{
	my ($seconds, $micros) = @_;
	my @t = gmtime(int $seconds);
	return sprintf('%04d-%02d-%02d %02d:%02d:%02d.%06d+00', $t[5] + 1900, $t[4] + 1, @t[ 3, 2, 1, 0 ], $micros || 0);
}

# When something happens: {at, sort}, or {phase, micros} for what happens after
# an activation, at an instant that is not known yet
sub random_time
{
	my ($history, $for_profile) = @_;
	my $created = $history->{created};
	my $today = $now - $now % $width;

	# even: what a refusal does to updated_at is a microsecond off, and would make a profile of then one of now
	return { phase => 1 + int rand $phases, micros => $on{equal} && chance(30) ? 500 : 2 * int rand 500 } if chance(12);
	return { phase => 0, at => one_of(@{ $history->{common} }) } if $on{equal} && chance(35);
	if (!$for_profile)
	{
		return { phase => 0, at => one_of('infinity', '-infinity', '294276-12-31 23:59:59+00', '4714-11-24 00:00:00+00 BC', '0001-01-01 00:00:00+00') }
		  if $on{extreme} && chance(4);
		return { phase => 0, at => instant($created - rand(20 * $width)) } if $on{early} && chance(5);
		return { phase => 0, at => instant(chance(30) ? $today + $width - 1 - rand(60) : $now + rand(40 * $width)) }
		  if $on{future} && chance(7);
	}
	return { phase => 0, at => instant($today + rand($now - $today)) } if chance(8);
	my $at = $created + rand($now - $created);
	if ($on{boundary} && chance(10))
	{
		$at += $width;
		$at -= $at % $width;
		$at = $now - 1 if $at > $now;
	}
	return { phase => 0, at => instant($at) };
}

sub random_profile
{
	my ($history) = @_;
	my %profile = map { $_ => chance(85) ? 'true' : 'false' } qw(budget authority need timeline);
	my @fields = map { qq("$_": $profile{$_}) } sort keys %profile;
	push @fields, '"job_title": "' . one_of('CEO', 'head of sales', 'manager', 'engineer', 'engineer', 'student') . '"';
	push @fields, '"employees": ' . one_of(5, 60, 500, 5000), '"industry": "' . one_of('software', 'farming') . '"';
	return (
		profile => '{' . join(', ', @fields) . '}',
		email => chance(85) ? 'x@example.com' : one_of('x@competitor.example', 'x@gmail.com', ''),
		consented => !$on{consent} || chance(75));
}

sub random_event
{
	my ($history) = @_;
	my @from = (qw(product_page_view pricing_view case_study_download content_download webinar_attended demo_request
		  personal_demo_request quote_request trial_started form_submit points_added points_added points_removed cart_abandoned
		  email_open unknown));
	push @from, ('sales_contact') x 3, ('purchase') x 2 if $on{milestone};
	push @from, qw(lost recycled recycled disqualified) if $on{exit};
	push @from, qw(unsubscribe) if $on{reset};
	push @from, ('stage_set') x 3 if $on{set};
	my $kind = one_of(@from);
	my %event = (kind => $kind, value => undef, properties => undef);
	$event{value} = one_of(5, 20, 40, 80, 120) if $kind =~ /^points/;
	# an intent of its own, or that of the content that it names
	$event{properties} = one_of('{"intent": "solution"}', '{"intent": "educational"}', '{"content": "plan"}', '{"content": "guide"}',
		'{"content": "guide", "intent": "solution"}', '{"content": "no such"}') if $kind eq 'content_download';
	$event{properties} = '{"stage": "' . one_of(qw(visitor iql mql sql prospect customer lost recycled disqualified nonsense)) . '"}'
	  if $kind eq 'stage_set';
	return %event;
}

sub random_history
{
	my $history = { created => $now - (8 + rand 25) * $width };
	$history->{created_at} = instant($history->{created});
	$history->{common} = [ $history->{created_at}, map { instant($history->{created} + rand($now - $history->{created})) } 1 .. 2 ];
	%$history = (%$history, random_profile($history));
	my @ops;
	for my $key (1 .. 1 + int rand $most_events)
	{
		my $event = { what => 'put', key => $key, which => 0, random_event($history), %{ random_time($history) } };
		my @chain = ($event);
		while (($on{correct} || $on{move}) && chance(25))
		{
			# what was there before it became right
			my $wrong = { %{ $chain[0] } };
			if ($on{move} && (!$on{correct} || chance(30))) { $wrong->{which} = 1 - $wrong->{which}; }
			elsif (chance(50)) { delete @$wrong{qw(at phase micros)}; %$wrong = (%$wrong, %{ random_time($history) }); }
			else { %$wrong = (%$wrong, random_event($history)); }
			unshift @chain, $wrong;
		}
		push @chain, { %$event, what => 'delete' } if $on{correct} && chance(15);
		# each comes when its time has come, and all before it have
		my $came = 0;
		for my $op (@chain)
		{
			$came = $op->{came} = max($came, $on{late} ? $op->{phase} + int rand($phases + 1 - $op->{phase}) : $op->{phase});
		}
		push @ops, @chain;
	}
	if ($on{profile} || $on{consent})
	{
		# an update that leaves updated_at as it is happens now
		my %taken = ($history->{created_at} => 1);
		for (1 .. int rand 4)
		{
			my $time = random_time($history, 1);
			next if $taken{ $time->{at} // "$time->{phase} $time->{micros}" }++;
			my $op = { what => 'profile', key => 0, which => 0, random_profile($history), %$time };
			$op->{profile} = $history->{profile}, $op->{email} = $history->{email} if !$on{profile};
			$op->{came} = $on{late} ? $op->{phase} + int rand($phases + 1 - $op->{phase}) : $op->{phase};
			push @ops, $op;
		}
	}
	$history->{ops} = arrange(@ops);
	return $history;
}

# Segments that are active, and how the configuration changes: for each phase the
# statements that begin it, for phase 0 before there is a lead.
sub random_segments
{
	my ($pipeline) = @_;
	my ($signals, $dimensions, $paths) = map { [ split /\n/, $node->safe_psql(template($pipeline), "SELECT DISTINCT $_ ORDER BY 1") ] }
	  'signal FROM p.signal', 'dimension FROM p.dimension', "condition::text FROM p.signal WHERE source = 'profile'";
	my $grain = $pipeline =~ /hour/ ? 'hours' : 'days';
	my (%active, %retired);
	my ($made, $later) = (0, 0);
	my $draft = sub {
		my ($name, $rank) = @_;
		# references go to segments that were made before, so there is no circle
		my @others = grep { $active{$_} < $rank } sort keys %active;
		my @conditions;
		for my $condition ('a' .. one_of(qw(a a b b c d)))
		{
			my $weight = one_of(1, 1, 1, 2, 0.5, 0.333);
			my %seen;
			for (1 .. one_of(1, 1, 1, 2, 3))
			{
				my %c = (negate => chance(20) ? 'true' : 'false');
				my $kind = rand 100;
				if ($kind < 45)
				{
					$c{signal} = quote(one_of(@$signals));
					$c{min_count} = $c{signal} =~ /points_/ ? 10000 * (1 + int rand 5) : 1 + int rand 3 if chance(40);
					$c{within} = quote((1 + int rand 12) . " $grain") if chance(60);
				}
				elsif ($kind < 50)
				{
					# a signal that is made later is dated as the row was written last, by a refusal too
					my @new = ('$.industry == "software"', '$.employees > 100 && $.need == true', '$.job_title == "CEO" || $email like_regex "gmail"');
					$c{lead_condition} = quote(one_of(@$paths, $later ? () : @new));
				}
				elsif ($kind < 70) { @c{qw(dimension min_points)} = (quote(one_of(@$dimensions)), one_of(-10, 0.001, 5, 12.5, 20, 40, 80)); }
				elsif ($kind < 80) { $c{min_points} = one_of(-5, 10, 25, 31, 50.25, 71, 120); }
				elsif ($kind < 90 || !@others)
				{
					my ($from, $to) = sort { $a <=> $b } int rand 10, int rand 10;
					my @stages = qw(disqualified lost recycled visitor iql mql sql prospect customer advocate);
					$c{stage_from} = quote($stages[$from]) if !chance(25);
					$c{stage_to} = quote($stages[$to]) if !$c{stage_from} || chance(70);
				}
				else { $c{in_segment} = quote(one_of(@others)); }
				my $key = join ',', map { "$_=$c{$_}" } sort keys %c;
				push @conditions, { condition => quote($condition), weight => $weight, %c } if !$seen{$key}++;
			}
		}
		my $share = chance(35) ? one_of(0.2, 0.333, 0.5, 0.75, 0.9) : 1;
		return "INSERT INTO p.segment (segment, persona, min_match_share) VALUES (" . join(', ', quote($name), one_of('true', 'false'), $share) . ");\n"
		  . join '', map { my $c = $_; "INSERT INTO p.segment_condition (segment, " . join(', ', sort keys %$c) . ") VALUES (" . join(', ', quote($name), map { $c->{$_} } sort keys %$c) . ");\n" } @conditions;
	};
	my $activate = sub {
		my $name = 'segment ' . ++$made;
		my $sql = $draft->($name, $made) . "SELECT activate(" . quote($name) . ");\n";
		$active{$name} = $made;
		return $sql;
	};
	my @changes = ([ "INSERT INTO p.content (content, kind, intent) VALUES ('plan', 'checklist', 'solution'), ('guide', 'ebook', 'educational');\n",
		map { $activate->() } 1 .. 4 + int rand 4 ]);
	for (1 .. $phases)
	{
		$later = 1;
		my @now = map { $activate->() } 1 .. int rand 3;
		push @now, $draft->("new $_", $active{$_}) . "SELECT activate(" . quote("new $_") . ', ' . quote($_) . ");\n"
		  foreach grep { chance(20) } sort keys %active;
		# these may be refused: what is retired may name what is too, and be named
		push @now, "SELECT try('activate_segment', " . quote($_) . ");\n" foreach grep { chance(15) } sort keys %retired;
		foreach my $name (grep { chance(10) } sort keys %active)
		{
			push @now, "SELECT try('retire_segment', " . quote($name) . ");\n";
			$retired{$name} = delete $active{$name};
		}
		push @changes, \@now;
	}
	return \@changes;
}

# After which rounds events are purged, before when, and whether they are deleted.
# A purged event that is still there cannot go to another lead and come back.
sub random_purges
{
	return [ map { chance(45) ? [ chance(15) ? 'infinity' : instant($now - rand(30 * $width)), $on{move} || chance(60) ? 'true' : 'false' ] : undef } 1 .. 7 ];
}

sub quote { return "'" . ($_[0] =~ s/'/''/gr) . "'"; }

sub by_time
{
	my ($x, $y) = @_;
	return $x->{phase} <=> $y->{phase} || ($x->{micros} || 0) <=> ($y->{micros} || 0) || time_key($x->{at}) cmp time_key($y->{at});
}

sub time_key
{
	my $at = $_[0] // '';
	return $at =~ /^-inf|BC/ ? "0$at" : $at =~ /^inf|^294/ ? "9$at" : "5$at";
}

# Put operations in the order in which they arrive: of one event, and the
# profiles, in their own order.
sub arrange
{
	my @ops = shuffle @_;
	my %at;
	@ops = sort { by_time($a, $b) } @ops if !$on{late};
	@ops = sort { $a->{came} <=> $b->{came} } @ops;
	my %own;
	push @{ $own{ $_->{key} } }, $_ foreach @_;
	@{ $own{0} } = sort { by_time($a, $b) } @{ $own{0} } if $own{0};
	foreach my $key (keys %own)
	{
		my @places = grep { $ops[$_]{key} == $key } 0 .. $#ops;
		my @came = sort { $a <=> $b } map { $ops[$_]{came} } @places;
		@ops[@places] = @{ $own{$key} };
		$ops[ $places[$_] ]{came} = $came[$_] foreach 0 .. $#places;
	}
	return \@ops;
}

# ---------- run ----------

sub quoted { return defined $_[0] ? $_[0] : '\N'; }

sub write_file
{
	my ($name, @rows) = @_;
	open my $fh, '>', "$dir/$name" or die $!;
	print $fh join("\t", map { quoted($_) } @$_), "\n" foreach @rows;
	close $fh;
	return "$dir/$name";
}

# How the operations of a history are run: in rounds, at most one of each event
# and one profile in a round
sub rounds
{
	my ($history) = @_;
	my (@rows, %there, %used);
	my ($phase, $round) = (0, 0);
	my $ord = 0;
	foreach my $op (@{ $history->{ops} })
	{
		my $what = $op->{what};
		my $key = $op->{key};
		if ($what eq 'put') { $what = $there{$key}++ ? 'update' : 'insert'; }
		elsif ($what eq 'delete') { next if !$there{$key}; delete $there{$key}; }
		if ($op->{came} > $phase) { $phase = $op->{came}; $round = 0; %used = (); }
		# mostly each in a statement of its own
		if ($used{$key} || ($op->{together} //= chance(30)) == 0) { $round++; %used = (); }
		$used{$key} = 1;
		push @rows, [ $ord++, $phase * $rounds_of_phase + $round, $what, @$op{qw(key which at phase micros kind value properties email)},
			$op->{consented} ? 't' : 'f', $op->{profile} ];
	}
	return @rows;
}

my %template;

# A database with a pipeline and what this test needs
sub template
{
	my ($pipeline) = @_;
	return $template{$pipeline} if $template{$pipeline};
	my ($preset, $grain) = $pipeline =~ /^(\w+) (.*)$/ or die "no pipeline: $pipeline\n";
	my $name = "template_${preset}_" . ($grain =~ s/ /_/r);
	# what a lead does, and what it is
	my ($does, $is, $reads) = $preset eq 'multidimensional' ? qw(funnel persona solution_content) : qw(engagement fit content_download);
	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$node->safe_psql($name, qq{
SET client_min_messages = warning;
CREATE EXTENSION leadscore;
SELECT FROM leadscore.create_pipeline('p', '$preset', '$grain');
SELECT p.clone_model('$preset', 'model 1');
UPDATE p.rule SET points = points * 1.5 WHERE model = 'model 1' AND decay <> 'none';
UPDATE p.model SET allow_demotion = true, demotion_margin = 2.5 WHERE model = 'model 1';
INSERT INTO p.rule (model, rule, dimension, signal, points, aggregate, min_count, period) VALUES
	('model 1', 'busy days', '$does', 'product_page_view', 12, 'periods', 2, 'day'),
	('model 1', 'busy months', '$does', 'pricing_view', 20, 'periods', 2, '2 months');
INSERT INTO p.rule (model, rule, dimension, signal, aggregate, after, tiers, repeat, of_dimension) VALUES
	('model 1', 'quiet', '$does', '$reads', 'idle', 4 * interval '$grain', '{"20": -6, "60.5": -25}', true, NULL),
	('model 1', 'quiet and fit', '$is', 'webinar_attended', 'idle', 7 * interval '$grain', '{"-5": -4, "40": -20, "90": 0}', false, '$does');
SELECT p.clone_model('$preset', 'model 2');
UPDATE p.model SET gates_required = false WHERE model = 'model 2';
UPDATE p.stage_rule SET min_score = min_score / 2 WHERE model = 'model 2';
INSERT INTO p.stage_gate (model, stage, gate, min_points) VALUES ('model 2', 'iql', 'contact', 40);
SELECT p.clone_model('model 1', 'model 3');
UPDATE p.dimension SET weight = 0.5 WHERE model = 'model 3';
DELETE FROM p.stage_gate WHERE model = 'model 3' AND gate IN ('budget', 'authority');
UPDATE p.stage_rule SET min_score = NULL WHERE model = 'model 3' AND stage = 'mql';
INSERT INTO p.stage_gate (model, stage, gate, min_points, negate) VALUES ('model 3', 'mql', 'points', 30, false), ('model 3', 'sql', 'need', 80, false), ('model 3', 'sql', 'sober', 200, true);
INSERT INTO p.stage_gate (model, stage, gate, signal) VALUES ('model 3', 'mql', 'points', 'demo_request');
} . q{
CREATE TABLE history (hist int, created_at timestamptz, email text, consented boolean, profile jsonb, leads int);
CREATE TABLE op (hist int, ord int, round int, what text, key int, which int, at timestamptz, phase int, micros int,
	kind text, value numeric, properties jsonb, email text, consented boolean, profile jsonb);
-- the final events, and the order in which they happened
CREATE TABLE final (LIKE op);
ALTER TABLE final ADD comes int, ADD n int;
CREATE TABLE phases (phase int, starts timestamptz);
CREATE TABLE kept (lead_id bigint PRIMARY KEY, course text);
CREATE TABLE touched (hist int, deleted boolean);
CREATE TABLE frozen (lead_id bigint, line timestamptz, stages text, segments text);
CREATE TABLE problem (hist int, problem text, detail text);

CREATE FUNCTION phase_of(at timestamptz, phase int) RETURNS int LANGUAGE sql BEGIN ATOMIC
	SELECT CASE phase WHEN 0 THEN (SELECT max(s.phase) FROM phases s WHERE s.phase = 0 OR s.starts <= at) ELSE phase END;
END;

CREATE FUNCTION prepare() RETURNS void LANGUAGE sql BEGIN ATOMIC
	INSERT INTO final
		SELECT x.*, phase_of(at, phase), row_number() OVER (PARTITION BY hist ORDER BY
			phase_of(at, phase), at > now() AND phase = 0, at, micros, CASE what WHEN 'profile' THEN ord ELSE 1000 END, random())
		FROM (
			SELECT * FROM (
				SELECT DISTINCT ON (hist, key) * FROM op WHERE what <> 'profile' ORDER BY hist, key, ord DESC
			) e WHERE what <> 'delete'
			UNION ALL
			SELECT * FROM op WHERE what = 'profile'
		) x;
END;

-- What happens after an activation happens now.
CREATE FUNCTION begin_phase(p int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	start timestamptz := clock_timestamp();
BEGIN
	UPDATE op SET at = start + interval '1 microsecond' * micros WHERE phase = p;
	UPDATE final SET at = start + interval '1 microsecond' * micros WHERE phase = p;
	PERFORM pg_sleep(0.003);
END $$;

CREATE FUNCTION add_leads(variant int, h history[]) RETURNS void LANGUAGE sql BEGIN ATOMIC
	INSERT INTO p.lead (lead_id, email, consented_at, profile, created_at, updated_at)
		SELECT x.hist * 8 + variant * 2 + which + 1, replace(x.email, 'x@', 'x' || (x.hist * 8 + variant * 2 + which + 1) || '@'), CASE WHEN x.consented THEN x.created_at END, x.profile, x.created_at, x.created_at
		FROM unnest(h) x, generate_series(0, x.leads - 1) AS w(which);
END;

CREATE FUNCTION add_events(variant int, o op[]) RETURNS void LANGUAGE sql BEGIN ATOMIC
	INSERT INTO p.event (lead_id, kind, occurred_at, value, properties, source_id)
		SELECT hist * 8 + variant * 2 + which + 1, kind, at, value, properties, key::text FROM unnest(o) ORDER BY random();
END;

CREATE FUNCTION change_profiles(variant int, o op[]) RETURNS void LANGUAGE sql BEGIN ATOMIC
	UPDATE p.lead l SET email = replace(o.email, 'x@', 'x' || l.lead_id || '@'), consented_at = CASE WHEN o.consented THEN o.at END, profile = o.profile, updated_at = o.at
		FROM unnest(o) o WHERE l.lead_id = hist * 8 + variant * 2 + which + 1;
END;

CREATE FUNCTION ops(r int, what text) RETURNS op[] LANGUAGE sql BEGIN ATOMIC
	SELECT array_agg(o) FROM op o WHERE o.round = r AND o.what = ops.what;
END;

-- One round of the live histories
CREATE FUNCTION live(r int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF r % 2 = 0 THEN
		PERFORM change_profiles(0, ops(r, 'profile'));
	END IF;
	PERFORM add_events(0, ops(r, 'insert'));
	UPDATE p.event e
		SET lead_id = o.hist * 8 + o.which + 1, kind = o.kind, occurred_at = o.at, value = o.value, properties = o.properties
		FROM unnest(ops(r, 'update')) o
		WHERE e.lead_id = ANY (ARRAY[o.hist * 8 + 1, o.hist * 8 + 2]) AND e.source_id = o.key::text;
	DELETE FROM p.event e USING unnest(ops(r, 'delete')) o
		WHERE e.lead_id = ANY (ARRAY[o.hist * 8 + 1, o.hist * 8 + 2]) AND e.source_id = o.key::text;
	IF r % 2 = 1 THEN
		PERFORM change_profiles(0, ops(r, 'profile'));
	END IF;
END $$;

-- The final events, one by one in time order
CREATE FUNCTION in_order(p int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	i int;
BEGIN
	FOR i IN SELECT DISTINCT n FROM final ORDER BY n LOOP
		PERFORM add_events(1, (SELECT array_agg(ROW(f.hist, f.ord, f.round, f.what, f.key, f.which, f.at, f.phase, f.micros, f.kind, f.value, f.properties, f.email, f.consented, f.profile)::op)
			FROM final f WHERE n = i AND what <> 'profile' AND comes = p));
		PERFORM change_profiles(1, (SELECT array_agg(o) FROM op o JOIN final f USING (hist, ord) WHERE n = i AND f.what = 'profile' AND f.phase = p));
	END LOOP;
END $$;

-- The final events, all at once
CREATE FUNCTION in_batch() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	late boolean;
	i int;
BEGIN
	FOREACH late IN ARRAY '{f,t}'::bool[] LOOP
		IF late THEN
			PERFORM add_events(2, (SELECT array_agg(o) FROM op o JOIN final f USING (hist, ord) WHERE f.what <> 'profile'));
		END IF;
		FOR i IN SELECT DISTINCT ord FROM op WHERE what = 'profile' ORDER BY ord LOOP
			PERFORM change_profiles(2, (SELECT array_agg(o) FROM op o WHERE what = 'profile' AND ord = i AND (hist % 2 = 1) = late));
		END LOOP;
	END LOOP;
END $$;

-- Put a segment into use; whom that finds the preview has said.
CREATE FUNCTION activate(name text, replaces text DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	kept CONSTANT text := coalesce(replaces, name);
	before CONSTANT bigint[] := ARRAY(SELECT lead_id FROM p.segment_members WHERE segment = kept ORDER BY 1);
	previewed record;
	listed record;
	after bigint[];
BEGIN
	SELECT * INTO previewed FROM p.segment_preview(name, replaces);
	SELECT array_agg(lead_id ORDER BY lead_id) FILTER (WHERE in_now) AS in_now, array_agg(lead_id ORDER BY lead_id) FILTER (WHERE would_be_in) AS would_be_in
		INTO listed FROM p.segment_preview_leads(name, replaces);
	PERFORM p.activate_segment(name, replaces, random() < 0.5);
	after := ARRAY(SELECT lead_id FROM p.segment_members WHERE segment = kept ORDER BY 1);
	INSERT INTO problem
		SELECT coalesce((lead_id - 1) / 8, 0), 'preview', concat_ws(' ', 'preview of', name, 'for', kept, 'is wrong of lead', lead_id)
		FROM (
			(SELECT unnest(listed.in_now) AS lead_id EXCEPT SELECT unnest(before)) UNION ALL (SELECT unnest(before) EXCEPT SELECT unnest(listed.in_now))
			UNION ALL (SELECT unnest(listed.would_be_in) EXCEPT SELECT unnest(after)) UNION ALL (SELECT unnest(after) EXCEPT SELECT unnest(listed.would_be_in))
			UNION ALL
			SELECT NULL WHERE (previewed.in_now, previewed.would_leave, previewed.would_enter, previewed.would_be_in) IS DISTINCT FROM (
				cardinality(before), (SELECT count(*) FROM (SELECT unnest(before) EXCEPT SELECT unnest(after)) x),
				(SELECT count(*) FROM (SELECT unnest(after) EXCEPT SELECT unnest(before)) x), cardinality(after))
		) w;
END $$;

-- Do it if it is not refused.
CREATE FUNCTION try(function text, name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('SELECT p.%I(%L)', function, name);
EXCEPTION WHEN object_not_in_prerequisite_state THEN
	NULL;
END $$;

CREATE FUNCTION sweep_all() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	WHILE p.sweep() > 0 LOOP
	END LOOP;
END $$;

CREATE VIEW course AS
	SELECT s.lead_id, concat('stage ', s.stage::text, ', cycle ', s.cycle, ', since ', s.stage_since, E'\n  ', s.activity::text, (
			SELECT string_agg(concat_ws(' ', E'\n  cycle', h.cycle, h.from_stage::text, '>', h.to_stage::text, h.effective_at, coalesce(h.model, '-')), '' ORDER BY h.seq)
			FROM p.stage_history h WHERE h.lead_id = s.lead_id),
			E'\n  segments ', (SELECT string_agg(g.segment, ', ' ORDER BY g.segment) FROM p.segment g WHERE g.segment_id = ANY (s.segments)), ' since ', s.segments_since, (
			SELECT string_agg(concat_ws(' ', E'\n ', h.segment, CASE WHEN h.is_member THEN 'entered' ELSE 'left' END, h.effective_at, h.cause), '' ORDER BY h.seq)
			FROM p.segment_history h WHERE h.lead_id = s.lead_id)) AS course
	FROM p.lead_state s;

-- What is said of segments before a sweep, and what the sweep makes of it
CREATE FUNCTION check_unswept() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	CREATE TEMP TABLE said ON COMMIT DROP AS SELECT lead_id, segment FROM p.segment_members;
	CREATE TEMP TABLE asked ON COMMIT DROP AS
		SELECT lead_id, segment, at, p.in_segment_by_id(lead_id, segment, at) AS is_in
		FROM (
			SELECT l.lead_id, g.segment, CASE WHEN random() < 0.3 THEN now() ELSE now() - random() * (now() - l.created_at + interval '2 hours') END AS at
			FROM p.lead l, p.segment g WHERE g.status <> 'draft' AND random() < 0.2
		) x;
	PERFORM sweep_all();
	INSERT INTO problem
		SELECT (lead_id - 1) / 8, 'members', concat_ws(' ', 'lead', lead_id, 'segment', segment, what)
		FROM (
			(SELECT *, 'is in it before a sweep only' AS what FROM said EXCEPT SELECT lead_id, segment, 'is in it before a sweep only' FROM p.segment_members)
			UNION ALL
			(SELECT lead_id, segment, 'is in it after a sweep only' FROM p.segment_members EXCEPT SELECT *, 'is in it after a sweep only' FROM said)
		) d;
	INSERT INTO problem
		SELECT (lead_id - 1) / 8, 'in_segment', concat_ws(' ', 'lead', lead_id, 'segment', segment, 'at', at, is_in)
		FROM asked a WHERE is_in IS DISTINCT FROM coalesce((
			SELECT h.is_member FROM p.segment_history h WHERE h.lead_id = a.lead_id AND h.segment = a.segment AND h.effective_at <= a.at ORDER BY h.seq DESC LIMIT 1), false);
END $$;

-- What was recorded of a lead before an instant
CREATE FUNCTION stages_before(lead bigint, line timestamptz) RETURNS text LANGUAGE sql BEGIN ATOMIC
	SELECT string_agg(concat_ws(' ', seq, cycle, from_stage::text, '>', to_stage::text, effective_at, cause), ', ' ORDER BY seq)
		FROM p.stage_history WHERE lead_id = lead AND effective_at < line;
END;
CREATE FUNCTION segments_before(lead bigint, line timestamptz) RETURNS text LANGUAGE sql BEGIN ATOMIC
	SELECT string_agg(concat_ws(' ', seq, segment, is_member, effective_at, cause), ', ' ORDER BY seq)
		FROM p.segment_history WHERE lead_id = lead AND effective_at < line;
END;

-- Purge, and note in which histories something comes later that is dated before
-- the line, or changes what is.
CREATE FUNCTION purge_some(r int, before timestamptz, deletes boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	line CONSTANT timestamptz := p._purge_line(least(before, now()));
BEGIN
	PERFORM p.purge(line, NULL, deletes);
	INSERT INTO touched
		SELECT DISTINCT o.hist, deletes
		FROM op o
		WHERE o.round > r AND CASE WHEN o.what = 'profile' THEN o.at < line
			ELSE EXISTS (SELECT FROM op x WHERE x.hist = o.hist AND x.key = o.key AND x.what <> 'profile' AND x.at < line) END;
	INSERT INTO frozen
		SELECT c.lead_id, c.purged_before, stages_before(c.lead_id, c.purged_before), segments_before(c.lead_id, c.purged_before)
		FROM p.lead_checkpoint c WHERE c.purged_before = line;
	IF deletes THEN
		INSERT INTO problem
			SELECT (e.lead_id - 1) / 8, 'purge', concat('lead ', e.lead_id, ' has events before ', line) FROM p.event e WHERE e.occurred_at < line;
	END IF;
END $$;

CREATE FUNCTION check_verify() RETURNS void LANGUAGE sql BEGIN ATOMIC
	INSERT INTO problem SELECT (v.lead_id - 1) / 8, 'verify', concat_ws(' ', 'lead', v.lead_id, v.problem, v.stored, '<>', v.expected) FROM p.verify() v;
END;

-- Compare the variants.
CREATE FUNCTION check_variants() RETURNS void LANGUAGE sql BEGIN ATOMIC
	INSERT INTO problem
		SELECT (b.lead_id - 1) / 8, v.name, concat(v.name, ', lead ', b.lead_id - 2 + v.at, E'\n  ', c.course, E'\nin order, lead ', b.lead_id, E'\n  ', b.course)
		FROM course b, (VALUES ('live', 0), ('batch', 4)) v(name, at), course c
		WHERE (b.lead_id - 1) % 8 / 2 = 1 AND c.lead_id = b.lead_id - 2 + v.at
			AND c.course <> b.course
			AND NOT (v.at = 0 AND (b.lead_id - 1) / 8 IN (SELECT hist FROM touched));
	INSERT INTO problem
		SELECT (f.lead_id - 1) / 8, 'frozen', concat('lead ', f.lead_id, ' before ', f.line, E'\n', f.stages, E'\n', f.segments, E'\nis now\n',
			stages_before(f.lead_id, f.line), E'\n', segments_before(f.lead_id, f.line))
		FROM frozen f WHERE (stages_before(f.lead_id, f.line), segments_before(f.lead_id, f.line)) IS DISTINCT FROM (f.stages, f.segments);
	INSERT INTO problem
		SELECT (a.lead_id - 1) / 8, 'counts', concat('lead ', a.lead_id, E'\n  ', a.activity::text, E'\nin order\n  ', b.activity::text)
		FROM p.lead_state a JOIN p.lead_state b ON b.lead_id = a.lead_id + 2
		WHERE (a.lead_id - 1) % 8 / 2 = 0 AND a.activity <> b.activity
			AND (a.lead_id - 1) / 8 NOT IN (SELECT hist FROM touched WHERE deleted);
	INSERT INTO problem
		SELECT (l.lead_id - 1) / 8, 'missing', concat('lead ', l.lead_id, ' has no state') FROM p.lead l WHERE l.lead_id NOT IN (SELECT lead_id FROM course);
	INSERT INTO problem
		SELECT DISTINCT (h.lead_id - 1) / 8, 'rows', concat('history of lead ', h.lead_id, ' does not hang together, seq ', h.seq)
		FROM (
			SELECT h.*, lag(to_stage) OVER w AS before, lag(effective_at) OVER w AS before_at, lag(h.cycle) OVER w AS before_cycle,
				lead(seq) OVER w IS NULL AS newest, s.stage, s.stage_since, s.cycle AS cycle_now
			FROM p.stage_history h JOIN p.lead_state s USING (lead_id) WINDOW w AS (PARTITION BY lead_id ORDER BY seq)) h
		WHERE from_stage::text IS DISTINCT FROM before::text OR from_stage::text = to_stage::text OR effective_at < before_at OR h.cycle < before_cycle
			OR newest AND (to_stage::text, effective_at, h.cycle) IS DISTINCT FROM (stage::text, stage_since, cycle_now);
	-- a segment is entered and left in turn, and who is in it last is in it
	INSERT INTO problem
		SELECT DISTINCT (h.lead_id - 1) / 8, 'segments', concat('segments of lead ', h.lead_id, ' do not hang together, seq ', h.seq)
		FROM (
			SELECT h.*, lag(is_member, 1, false) OVER w AS before, lag(effective_at) OVER (PARTITION BY lead_id ORDER BY seq) AS before_at,
				lead(seq) OVER w IS NULL AS newest, max(effective_at) OVER (PARTITION BY lead_id) AS last_at
			FROM p.segment_history h WINDOW w AS (PARTITION BY lead_id, segment ORDER BY seq)) h
			JOIN p.lead_state s USING (lead_id) JOIN p.segment g USING (segment)
		WHERE is_member = before OR effective_at < before_at OR segments_since IS DISTINCT FROM last_at
			OR newest AND (is_member <> coalesce(g.segment_id = ANY (s.segments), false) OR is_member AND g.status <> 'active');
	INSERT INTO problem
		SELECT (lead_id - 1) / 8, 'segments', concat_ws(' ', 'lead', lead_id, 'is in what it never entered')
		FROM (
			SELECT s.lead_id, u FROM p.lead_state s, unnest(s.segments) u
			EXCEPT SELECT h.lead_id, g.segment_id FROM p.segment_history h JOIN p.segment g USING (segment)
		) x;
END;

CREATE FUNCTION check_replay() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO kept SELECT * FROM course;
	PERFORM p.rebuild();
	PERFORM sweep_all();
	INSERT INTO problem
		SELECT (k.lead_id - 1) / 8, 'replay', concat('lead ', k.lead_id, E'\n  ', k.course, E'\nafter a replay\n  ', c.course)
		FROM kept k FULL JOIN course c USING (lead_id) WHERE k.course IS DISTINCT FROM c.course;
END $$;
});
	return $template{$pipeline} = $name;
}

sub run_script
{
	my ($script) = @_;
	open my $fh, '>', "$dir/script.sql" or die $!;
	print $fh "\\o /dev/null\nSET timezone = 'UTC';\nSET datestyle = 'ISO';\n$script";
	close $fh;
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('run'), '-f', "$dir/script.sql" ], '>', \$out, '2>', \$err)
	  or die "run broke off: $err";
	return $out;
}

# Run histories; returns {number of the failed one => {problem => detail}}.
sub run
{
	my ($pipeline, $models, @histories) = @_;
	my $template = template($pipeline);
	my @segments = map { [@$_] } @$segments;
	my $newcomer = $on{newcomer} ? 'hist % 4 = 0' : 'false';
	my (@history_rows, @op_rows, %rounds);
	for my $hist (0 .. $#histories)
	{
		my $h = $histories[$hist];
		my @rows = rounds($h);
		push @op_rows, map { [ $hist, @$_ ] } @rows;
		$rounds{ $_->[1] } = 1 foreach @rows;
		push @history_rows, [ $hist, @$h{qw(created_at email)}, $h->{consented} ? 't' : 'f', $h->{profile}, (grep { $_->[4] } @rows) ? 2 : 1 ];
	}
	my $history_file = write_file('history', @history_rows);
	my $op_file = write_file('op', @op_rows);
	$node->safe_psql('postgres', "DROP DATABASE IF EXISTS run; CREATE DATABASE run TEMPLATE $template");
	my $script = qq{
COPY history FROM '$history_file';
COPY op FROM '$op_file';
CREATE INDEX ON op (round, what);
INSERT INTO phases VALUES } . join(', ', map { "($_, now() + interval '$ahead[$_] seconds')" } 0 .. $phases) . qq{;
SELECT prepare();
CREATE INDEX ON final (n);
CREATE UNIQUE INDEX ON op (hist, ord);
ANALYZE op, final;
} . join('', @{ $segments[0] }) . qq{
SELECT add_leads(0, array_agg(h)), add_leads(1, array_agg(h)), add_leads(2, array_agg(h) FILTER (WHERE NOT $newcomer)) FROM history h;
};
	for my $phase (0 .. $phases)
	{
		my $open = 0;
		if ($phase > 0)
		{
			if ($ahead[$phase])
			{
				run_script($script);
				$script = '';
				set_clock($ahead[$phase]);
			}
			my @changes = @{ $segments[$phase] };
			splice @changes, $phase * 7 % (@changes + 1), 0, "SELECT p.activate_model('model $phase');\n" if $models;
			# all in one instant, or one after the other
			@changes = ('BEGIN;', @changes, 'COMMIT;') if $phase == 2;
			$script .= join '', @changes, "SELECT begin_phase($phase);\n";
		}
		$script .= "SELECT in_order($phase);\n";
		for my $round (grep { int($_ / $rounds_of_phase) == $phase } sort { $a <=> $b } keys %rounds)
		{
			$script .= "BEGIN;\n", $open = 1 if $on{txn} && !$open && $round % 3 == 0;
			$script .= "SELECT live($round);\n";
			$script .= "COMMIT;\n", $open = 0 if $open && $round % 3 == 2;
			$script .= "SELECT p.sweep();\n" if $on{sweep} && $round % 4 == 3;
			my $purge = $purges->[ $round % $rounds_of_phase % @$purges ];
			$script .= "SELECT purge_some($round, '$purge->[0]', $purge->[1]);\n" if $purge;
		}
		$script .= "COMMIT;\n" if $open;
	}
	$script .= qq{
SELECT add_leads(2, array_agg(h) FILTER (WHERE $newcomer)) FROM history h;
SELECT in_batch();
SELECT check_unswept();
SELECT check_verify();
SELECT check_variants();
SELECT check_replay();
SELECT check_verify();
\\o
SELECT hist, problem, replace(detail, E'\\n', '\\n') FROM problem ORDER BY hist, problem, detail;
};
	my $out = run_script($script);
	set_clock(0) if $ahead[$phases];
	my %failed;
	foreach (split /\n/, $out)
	{
		my ($hist, $problem, $detail) = split /\|/, $_, 3;
		$failed{$hist}{$problem} //= $detail =~ s/\\n/\n/gr;
	}
	return \%failed;
}

# ---------- shrink ----------

sub size { return scalar @{ $_[0]{ops} }; }

# Histories that are a little simpler: without some operations, each in a
# statement of its own, in one transaction less
sub simpler
{
	my ($history) = @_;
	my @ops = @{ $history->{ops} };
	my @simpler;
	for (my $chunk = int(@ops / 2) || 1; $chunk; $chunk = int($chunk / 2))
	{
		for (my $i = 0; $i < @ops; $i += $chunk)
		{
			push @simpler, { %$history, ops => [ @ops[ grep { $_ < $i || $_ >= $i + $chunk } 0 .. $#ops ] ] };
		}
	}
	for my $i (0 .. $#ops)
	{
		my $op = $ops[$i];
		my @changes;
		push @changes, { together => 0 } if $op->{together};
		push @changes, { came => $op->{phase} } if $op->{came} > $op->{phase} && !grep { $_->{came} > $op->{phase} } @ops[ 0 .. $i - 1 ];
		foreach my $change (@changes)
		{
			push @simpler, { %$history, ops => [ @ops[ 0 .. $i - 1 ], { %$op, %$change }, @ops[ $i + 1 .. $#ops ] ] };
		}
	}
	return @simpler;
}

# Make a failed history minimal; returns it and its first difference.
sub shrink
{
	my ($pipeline, $models, $history, $problems) = @_;
	my %given;
	for (1 .. 60)
	{
		my @candidates = grep { !$given{ describe($_) }++ } simpler($history);
		last if !@candidates;
		my $failed = run($pipeline, $models, @candidates);
		# the same kind of failure, if it can be had
		my @same = grep { my $f = $failed->{$_}; grep { $f->{$_} } keys %$problems } keys %$failed;
		my ($best) = sort { size($candidates[$a]) <=> size($candidates[$b]) || $a <=> $b } @same;
		next if !defined $best && !%given;
		last if !defined $best;
		$history = $candidates[$best];
		$problems = $failed->{$best};
	}
	return ($history, $problems);
}

sub describe
{
	my ($history) = @_;
	my @lines = ("created $history->{created_at}, consented " . ($history->{consented} ? 'yes' : 'no') . ", $history->{email}, $history->{profile}");
	foreach (rounds($history))
	{
		my ($ord, $round, $what, $key, $which, $at, $phase, $micros, $kind, $value, $properties, $email, $consented, $profile) = @$_;
		push @lines, join ' ', "round $round:", $what,
		  $what eq 'profile' ? ("consented $consented,", $email, $profile) : ("event $key", $which ? 'of the other lead' : (), $kind, grep { defined } $value, $properties),
		  'at', $at // "now in phase $phase, microsecond $micros";
	}
	return join "\n", @lines;
}

# ---------- the test ----------

my $failures = 0;
foreach my $i (0 .. $#pipelines)
{
	my $pipeline = $pipelines[$i];
	srand($seed + $i);
	$width = $pipeline =~ /hour/ ? 3600 : 86400;
	$now = time;
	@ahead = (0) x ($phases + 1);
	$ahead[$_] = $ahead[ $_ - 1 ] + ($on{clock} ? int rand(15 * $width) : 0) foreach 1 .. $phases;
	$segments = $on{segment} ? random_segments($pipeline) : [ map { [] } 0 .. $phases ];
	$purges = $on{purge} ? random_purges() : [undef];
	my @histories = map { random_history() } 1 .. $count;
	my $begin = time;
	my $failed = run($pipeline, $on{model}, @histories);
	my %problems;
	foreach my $hist (keys %$failed)
	{
		$problems{$_}++ foreach keys %{ $failed->{$hist} };
	}
	my $summary = join ', ', map { "$_ $problems{$_}" } sort keys %problems;
	note("$pipeline: leads purged, of histories with late events: ",
		$node->safe_psql('run', "SELECT count(*), count(*) FILTER (WHERE (lead_id - 1) % 8 / 2 = 0 AND (lead_id - 1) / 8 IN (SELECT hist FROM touched)) FROM p.lead_checkpoint"))
	  if $on{purge};
	note("$pipeline: $count histories, ", time - $begin, " s; seed $seed; kinds ", join(',', grep { $on{$_} } @kinds));
	is($summary, '', "$pipeline: histories that went wrong") and next;
	diag("segments, by phase:\n", map { my $phase = $_; map { "-- phase $phase\n$_" } @{ $segments->[$phase] } } 0 .. $phases) if $on{segment};
	diag("$pipeline: of $count histories ", scalar keys %$failed, ' failed. RANDOM_SEED=', $seed, ' RANDOM_HISTORIES=', $count,
		' RANDOM_OPS=', $most_events, ' RANDOM_KINDS=', join(',', grep { $on{$_} } @kinds));
	# the shortest ones first
	my @worst = sort { size($histories[$a]) <=> size($histories[$b]) || $a <=> $b } keys %$failed;
	foreach my $hist (grep { defined } @worst[ 0 .. $shrink - 1 ])
	{
		my ($history, $problems) = shrink($pipeline, $on{model}, $histories[$hist], $failed->{$hist});
		diag("history $hist made minimal:\n", describe($history), "\n", map { "-- $_:\n$problems->{$_}\n" } sort keys %$problems);
	}
}
$node->stop;
done_testing();
