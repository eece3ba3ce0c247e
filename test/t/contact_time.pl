# Hours, delays, periods and open time around days on which the clock is set,
# beside a search that looks at every minute.
#
# PostgreSQL tells the wall clock of each minute of two weeks in each zone, and
# the rules are applied to these minutes one after another. Nothing here knows
# an offset or a rule of a zone.
#
# Environment:
#   CONTACT_TIME_SEED   the same run again (printed when it fails); default random
#   CONTACT_TIME_CASES  cases for each change of a clock and function, default 15
use strict;
use warnings;
use POSIX qw(floor);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{CONTACT_TIME_SEED} // int(rand(2**31));
my $cases = $ENV{CONTACT_TIME_CASES} || 15;
srand($seed);

# Days before which two days are looked at, and after which twelve. All of them are
# past: what is to come a newer list of time zones may know better.
my @changes = (
	[ 'Europe/Madrid', '2024-03-31', '2024-10-27' ],
	[ 'America/Los_Angeles', '2024-03-10', '2024-11-03' ],
	[ 'Europe/London', '2024-03-31', '2024-10-27' ],
	[ 'Australia/Lord_Howe', '2024-04-07', '2024-10-06' ],    # half an hour
	[ 'Australia/Adelaide', '2023-10-01', '2024-04-07' ],
	[ 'America/Santiago', '2024-04-07', '2024-09-08' ],       # at midnight
	[ 'America/Havana', '2024-03-10', '2024-11-03' ],         # at midnight
	[ 'America/Sao_Paulo', '2018-11-04', '2019-02-17' ],      # at midnight
	[ 'America/St_Johns', '2010-03-14', '2010-11-07' ],       # at one minute past midnight
	[ 'Antarctica/Troll', '2024-03-31', '2024-10-27' ],       # two hours
	[ 'Pacific/Apia', '2011-12-30', '2011-09-24' ],           # a day
	[ 'Africa/Casablanca', '2023-03-19', '2023-04-23' ],
	[ 'Asia/Kolkata', '2024-03-31' ]);

my $node = PostgreSQL::Test::Cluster->new('contact_time');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\njit = off\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION leadscore');
my $file = PostgreSQL::Test::Utils::tempdir . '/cases.sql';

sub one_of { return $_[ rand @_ ]; }
sub chance { return rand(100) < $_[0]; }

# minutes of the wall clock, since 1970
sub day_of { return floor($_[0] / 1440); }
sub weekday_of { return ($_[0] + 3) % 7 + 1; }

my @wall;    # of each minute
my $first;   # the first of them
my %shown;   # what first_shown() found

# Whether the wall clock is in the hours: of a window of today or of yesterday.
sub in_window
{
	my ($wall, $window) = @_;
	my ($from, $to, $weekdays) = @$window;
	$from //= 0;
	$to //= 1440;
	($from, $to) = (0, 1440) if $from % 1440 == $to % 1440;
	$to += 1440 if $from > $to;
	foreach my $day (day_of($wall) - 1, day_of($wall))
	{
		next if $weekdays && !grep { $_ == weekday_of($day) } @$weekdays;
		return 1 if $wall >= $day * 1440 + $from && $wall < $day * 1440 + $to;
	}
	return 0;
}

sub first_allowed
{
	my ($at, @windows) = @_;
	foreach my $i ($at .. $#wall)
	{
		return $i unless grep { !in_window($wall[$i], $_) } @windows;
	}
	return undef;
}

sub after_delay
{
	my ($at, $days, $minutes) = @_;
	return $at + $minutes if $days == 0;
	my $target = $wall[$at] + 1440 * $days;
	my @shown = grep { $wall[$_] == $target } $at .. $at + 6 * 1440;
	return $shown[-1] + $minutes if @shown;
	# it is skipped: the minutes that the clock would have counted without that
	my ($after) = grep { $wall[$_] > $target && $wall[ $_ - 1 ] < $target } $at + 1 .. $#wall;
	return $after - 1 + $target - $wall[ $after - 1 ] + $minutes;
}

sub first_shown
{
	my ($target) = @_;
	if (!exists $shown{$target})
	{
		($shown{$target}) = grep { $wall[$_] >= $target } 0 .. $#wall;
	}
	return $shown{$target};
}

# Begin and end of the day or week: the one that began last.
sub period_of
{
	my ($at, $days) = @_;
	my ($start, $end);
	my $day = day_of($wall[$at]);
	$day -= weekday_of($day) - 1 if $days == 7;
	foreach my $i (0 .. 2)
	{
		my $shown = first_shown(($day + $days * $i) * 1440);
		return ($start, $shown) if !defined $shown || $shown > $at;
		$start = $shown;
	}
	return;
}

sub after_open_time
{
	my ($at, $minutes, @rows) = @_;
	foreach my $i ($at .. $#wall)
	{
		my $day = day_of($wall[$i]);
		my $time = $wall[$i] - 1440 * $day;
		$minutes-- if grep { $_->[0] == weekday_of($day) && $time >= $_->[1] && $time < $_->[2] } @rows;
		return $i + 1 if $minutes == 0;
	}
	return undef;
}

sub time_sql { return defined $_[0] ? sprintf("'%02d:%02d'", int($_[0] / 60), $_[0] % 60) : 'NULL'; }
sub array_sql { return "'{" . join(',', @_) . "}'"; }
sub window_sql { return join ', ', time_sql($_[0][0]), time_sql($_[0][1]), $_[0][2] ? array_sql(@{ $_[0][2] }) : 'NULL'; }
sub at_sql { return "to_timestamp(" . 60 * ($first + $_[0]) . ")"; }

# Times near those at which clocks are set are as likely as all others.
sub some_time
{
	return chance(50) ? one_of(0, 15, 30, 45, 60, 75, 90, 105, 120, 135, 150, 165, 180, 195, 210, 1380, 1395, 1410, 1425, 1440, int(rand(240))) : int(rand(1441));
}

sub some_window
{
	my $from = chance(10) ? undef : some_time();
	my $to = chance(10) ? undef : some_time();
	($from, $to) = ($to, $from) if chance(50) && defined $from && defined $to && $from > $to;
	$to = $from if chance(5);
	my @weekdays = grep { chance(50) } 1 .. 7;
	return [ $from, $to, chance(40) || !@weekdays ? undef : \@weekdays ];
}

my %agree;
my %beyond;
my $failed = 0;
foreach my $zone (@changes)
{
	my ($name, @days) = @$zone;
	foreach my $day (@days)
	{
		@wall = split /\n/, $node->safe_psql('postgres', qq{
			SELECT extract(epoch FROM m AT TIME ZONE '$name')::bigint / 60
			FROM generate_series(timestamptz '$day 00:00Z' - interval '2 days', timestamptz '$day 00:00Z' + interval '12 days', interval '1 minute') m ORDER BY m});
		%shown = ();
		$first = $node->safe_psql('postgres', "SELECT extract(epoch FROM timestamptz '$day 00:00Z' - interval '2 days')::bigint / 60");
		my $set = grep { $wall[$_] != $wall[ $_ - 1 ] + 1 } 1 .. $#wall;
		is($set, $name eq 'Asia/Kolkata' ? 0 : 1, "the clock of $name is set once about $day");

		my (@sql, @expected, @what);
		foreach my $case (1 .. $cases)
		{
			my $at = chance(70) ? 1440 + int(rand(2 * 1440 + 800)) : int(rand(4 * 1440));
			my $zoned = at_sql($at) . ", '$name'";
			my ($one, $other) = (some_window(), some_window());
			push @what, 'next_allowed';
			push @sql, "next_allowed($zoned, " . window_sql($one) . ')';
			push @expected, first_allowed($at, $one);
			push @what, 'next_allowed_of_both';
			push @sql, "next_allowed_of_both($zoned, " . window_sql($one) . ', ' . window_sql($other) . ')';
			push @expected, first_allowed($at, $one, $other);

			my ($delay, $minutes) = (int(rand(4)), chance(50) ? 0 : int(rand(3000)));
			push @what, 'add_wall_time';
			push @sql, "add_wall_time(" . at_sql($at) . ", '$delay days $minutes minutes', '$name')";
			push @expected, after_delay($at, $delay, $minutes);

			my ($start, $end) = period_of($at, 1);
			push @what, 'period_start', 'period_end';
			push @sql, "period_start($zoned, 'day')", "period_end($zoned, 'day')";
			# the first day may begin before the minutes that are looked at
			push @expected, defined $start && $start > 0 ? $start : undef, $end;
			($start, $end) = period_of($at, 7);
			push @what, 'period_start', 'period_end';
			push @sql, "period_start($zoned, 'week')", "period_end($zoned, 'week')";
			push @expected, defined $start && $start > 0 ? $start : undef, $end;

			my @rows;
			foreach (1 .. 1 + int(rand(8)))
			{
				my ($opens, $closes) = sort { $a <=> $b } some_time(), some_time();
				push @rows, [ 1 + int(rand(7)), $opens, $closes ] if $opens < $closes;
			}
			@rows = ([ 7, 0, 1440 ], [ 1, 0, 1440 ], [ 6, 0, 1440 ]) if chance(10) || !@rows;
			my $work = 1 + int(rand(chance(50) ? 300 : 3000));
			push @what, 'add_business_time';
			push @sql, "add_business_time(" . at_sql($at) . ", '$work minutes', '$name', " . array_sql(map { $_->[0] } @rows)
				. ', ' . array_sql(map { time_sql($_->[1]) =~ tr/'//dr } @rows) . ', ' . array_sql(map { time_sql($_->[2]) =~ tr/'//dr } @rows) . ')';
			push @expected, after_open_time($at, $work, @rows);
		}
		unlink $file;
		append_to_file($file, join '', map { "SELECT extract(epoch FROM leadscore_internal.$_) / 60;\n" } @sql);
		run_log([ 'psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-f', $file, '-d', $node->connstr('postgres') ], '>', \my $out)
			or BAIL_OUT("the cases failed, CONTACT_TIME_SEED=$seed");
		my @got = split /\n/, $out, -1;
		foreach my $i (0 .. $#sql)
		{
			my ($got, $expected) = ($got[$i], $expected[$i]);
			# what is not found within these minutes comes after them, or before, or never
			if (!defined $expected)
			{
				$beyond{ $what[$i] }++;
				next if $got eq '' ? $what[$i] eq 'next_allowed_of_both' : $what[$i] eq 'period_start' ? $got - $first <= 0 : $got - $first > $#wall;
			}
			elsif ($got ne '' && $got == $first + $expected)
			{
				$agree{ $what[$i] }++;
				next;
			}
			diag("$sql[$i]: minute " . ($got eq '' ? 'none' : $got - $first) . ', expected ' . ($expected // 'none')) if $failed++ < 20;
		}
	}
}
is($failed, 0, 'instants agree with a search of every minute') or diag("CONTACT_TIME_SEED=$seed");
foreach my $function ('next_allowed', 'next_allowed_of_both', 'add_wall_time', 'period_start', 'period_end', 'add_business_time')
{
	cmp_ok($agree{$function} // 0, '>', 3 * $cases, "$function() was asked for instants that the search finds");
	note("$function: $agree{$function} found, " . ($beyond{$function} // 0) . ' beyond');
}

$node->stop;
done_testing();
